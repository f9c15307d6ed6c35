//! The bundled example: what it is made of, and what comes out.

mod support;

use std::process::Command;

use support::naive;

const INPUT: &str = "examples/chat.jsonl";

fn file(path: &str) -> Vec<u8> {
    std::fs::read(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[test]
fn its_expected_report_is_the_naive_one() {
    assert_eq!(naive::report(&file(INPUT)), file("examples/chat.report"));
}

#[test]
fn run_prints_its_expected_report() {
    let directory = tempfile::tempdir().unwrap();
    let input = directory.path().join("chat.jsonl");
    std::fs::write(&input, file(INPUT)).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_chatwal")).arg("run").arg(&input).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.stdout, file("examples/chat.report"));
    assert!(directory.path().join("chat.jsonl.chatwal").is_dir());
}

#[test]
fn generate_makes_it() {
    assert_eq!(chatwal_tools::generated("--lines 1000 --sites 20 --copies 0.1 --seed 7").unwrap(), file(INPUT));
}
