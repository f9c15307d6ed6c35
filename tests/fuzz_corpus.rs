//! P8: what the fuzzers of `fuzz/` have found worth keeping, replayed on stable Rust through the same targets.
//!
//! `cargo fuzz run segment` (or `snapshot`, `json_line`, `operations`) goes on from these corpora; what it finds becomes a
//! small test beside the code first, then a fix.

mod support;

#[path = "../fuzz/targets.rs"]
mod targets;

use std::path::Path;
use std::time::Instant;

use support::{naive, sim, store};

/// Replays a corpus.
fn replay(target: &str, run: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} has {} files", directory.display(), files.len());
    let started = Instant::now();
    for file in &files {
        let bytes = std::fs::read(file).unwrap();
        if std::panic::catch_unwind(|| run(&bytes)).is_err() {
            panic!("replay it with `cargo fuzz run {target} {}`", file.display());
        }
    }
    println!("{target}: {} files in {:?}", files.len(), started.elapsed());
}

#[test]
fn segments() {
    replay("segment", targets::segment);
}

#[test]
fn snapshots() {
    replay("snapshot", targets::snapshot);
}

#[test]
fn json_lines() {
    replay("json_line", targets::json_line);
}

#[test]
fn sequences_of_operations() {
    replay("operations", targets::operations);
}
