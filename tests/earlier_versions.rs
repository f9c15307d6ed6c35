//! Stores that each released version wrote are read by this one: the same answers, sound, and gone on with.
//!
//! `tests/stores/VERSION` holds two inputs, stores that this version made of them, and what it reported of each: `log` has the first
//! input in a segment, `snapshot` has it folded, `both` has the first folded and the second in a segment, `repaired` was damaged, repaired,
//! and got both inputs. A release adds a folder and never changes one.

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::cli::Sandbox;

const STORES: [&str; 4] = ["log", "snapshot", "both", "repaired"];

fn versions() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stores");
    let mut versions: Vec<PathBuf> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    versions.sort();
    versions
}

/// Copies a folder of files.
fn copy(from: &Path, sandbox: &Sandbox, to: &str) {
    fs::create_dir(sandbox.path(to)).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), sandbox.path(to).join(entry.file_name())).unwrap();
    }
}

#[test]
fn stores_of_earlier_versions_are_read_and_gone_on_with() {
    let versions = versions();
    for released in ["0.1.0", env!("CARGO_PKG_VERSION")] {
        assert!(
            versions.iter().any(|path| path.ends_with(released)),
            "tools/earlier_stores.sh: {released} {versions:?}"
        );
    }
    for version in versions {
        let sandbox = Sandbox::new();
        for input in ["a.jsonl", "b.jsonl"] {
            fs::copy(version.join(input), sandbox.path(input)).unwrap();
        }
        let all = fs::read_to_string(version.join("both.report")).unwrap();
        for store in STORES {
            copy(&version.join(store), &sandbox, store);
            let expected = fs::read_to_string(version.join(format!("{store}.report"))).unwrap();
            let report = |expected: &str, when: &str| {
                let ran = sandbox.run(&format!("report --store {store}"));
                assert_eq!(
                    (ran.code, ran.out.as_str()),
                    (Some(0), expected),
                    "{} {when}",
                    version.join(store).display()
                );
            };
            report(&expected, "as it was written");
            sandbox.run(&format!("verify --store {store}")).expect(0);
            for file in fs::read_dir(version.join(store)).unwrap() {
                let name = file.unwrap().file_name().into_string().unwrap();
                sandbox.run(&format!("dump {store}/{name}")).expect(0);
            }
            // The inputs are known by their content: what was read is not read again.
            sandbox.run(&format!("ingest -q --store {store} --no-compact a.jsonl b.jsonl")).expect(3);
            report(&all, "after an ingest");
            sandbox.run(&format!("compact -q --store {store} --all")).expect(0);
            report(&all, "after a compaction");
            sandbox.run(&format!("verify --store {store}")).expect(0);
        }
    }
}
