//! P2 and P3 on the real program: `crash-harness` in small. It kills before every system call that changes the disk, kills
//! some of the reruns at each of theirs as well, and does the same at random moments. The long runs are made by hand:
//! `crash-harness calls` and `crash-harness random --seconds N`, see `--help`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const HARNESS: &str = env!("CARGO_BIN_EXE_crash-harness");

/// Memory where there is some: a kill leaves the page cache alone, so nothing is lost with the disk's fsyncs but time.
fn place(directory: &Path) -> PathBuf {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => memory.join(format!("chatwal-crash-calls-{}", std::process::id())),
        false => directory.join("work"),
    }
}

/// Runs the harness; gives what it printed.
fn harness(arguments: &str, directory: &Path) -> (Option<i32>, String) {
    let mut command = Command::new(HARNESS);
    command.args(arguments.split_whitespace()).arg("--directory").arg(directory);
    let output = command.output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    println!("crash-harness {arguments}\n{said}");
    (output.status.code(), said)
}

#[test]
fn killed_before_every_call_that_changes_the_disk() {
    let strace = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    if !strace.is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED, for want of strace: kills before every system call");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = harness("calls --follow 80", &place(directory.path()));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("verdict: no difference"));
    let kills: u64 =
        said.lines().rev().find_map(|line| line.split_once(" rounds, ")?.1.split(' ').next()?.parse().ok()).unwrap();
    assert!(kills > 300, "only {kills}");
}

#[test]
fn killed_at_random_moments() {
    let directory = tempfile::tempdir().unwrap();
    let (code, said) = harness("random --rounds 12 --lines 8000", &directory.path().join("work"));
    assert_eq!(code, Some(0), "{said}");
}

/// A harness that cannot fail proves nothing: this program under test forgets what it was told.
#[test]
fn a_program_that_loses_what_it_acknowledged_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let (chatwal, forgets) = (Path::new(HARNESS).with_file_name("chatwal"), directory.path().join("forgets"));
    // Once an ingest was killed, the next one begins with an empty store.
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *ingest*) test -e mark && rm -rf \"$2\"; touch mark ;; esac\nexec {} \"$@\"\n",
        chatwal.display()
    );
    std::fs::write(&forgets, script).unwrap();
    let chmod = Command::new("chmod").arg("755").arg(&forgets).status().unwrap();
    assert!(chmod.success());
    let arguments = format!("random --workload compact-all --rounds 1 --lines 400 --chatwal {}", forgets.display());
    let (code, said) = harness(&arguments, &directory.path().join("work"));
    assert_eq!(code, Some(1));
    assert!(said.contains("verdict: DIFFERENCE in round 0: compact-all, seed 1"), "{said}");
    assert!(said.contains("again: crash-harness random --rounds 1 --seed 1 --lines 400"), "{said}");
    let kept = said.lines().find_map(|line| line.strip_prefix("kept: ")).unwrap();
    assert!(Path::new(kept).join("LOCK").exists(), "the case is kept");
}
