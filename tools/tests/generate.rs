//! The generator as a program: what it says where it cannot write, and that it writes what the library makes.

use std::process::Command;

const GENERATE: &str = env!("CARGO_BIN_EXE_chatwal-generate");

fn shell(script: &str) -> (Option<i32>, String, String) {
    let output = Command::new("sh").args(["-c", script]).env("GENERATE", GENERATE).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn it_writes_what_the_library_makes() {
    let (code, out, err) = shell("\"$GENERATE\" --lines 300 --sites 7 --copies 0.2");
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.into_bytes(), chatwal_tools::generated("--lines 300 --sites 7 --copies 0.2").unwrap());
}

#[test]
fn its_exit_status_says_it_where_nobody_can_read_it() {
    for (command, code) in [("--frobnicate", 2), ("-n 1 --output none/x", 1)] {
        let (found, _, err) = shell(&format!("\"$GENERATE\" {command}"));
        assert_eq!(found, Some(code), "{command}: {err}");
        assert!(err.starts_with("chatwal-generate: error: "), "{command}: {err}");
        for lost in ["2>/dev/full", "2>&-"] {
            assert_eq!(shell(&format!("\"$GENERATE\" {command} {lost} >/dev/null")).0, Some(code), "{command} {lost}");
        }
    }
}
