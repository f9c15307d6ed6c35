//! P6, one writer: a second is refused at once and told who holds the lock at that moment. The lock dies with its process; its
//! file stays.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use support::cli::{Running, Sandbox, generated, message, possible, until};

/// A writer that holds the store `s` until its pipe is closed.
fn held(sandbox: &Sandbox, line: &str) -> Running {
    let mut writer = sandbox.start("ingest --store s -");
    writer.send(line);
    until("the writer holds the lock", || writer.holds_a_lock());
    writer
}

/// The line of an event of its own.
fn line(id: &str) -> String {
    message("1", id, "v", 1)
}

#[test]
fn every_second_writer_is_refused_at_once_and_changes_nothing() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let instance = sandbox.sources()[0]["instance"].as_str().unwrap().to_owned();
    let writer = held(&sandbox, &line("pipe"));
    // It holds the lock before it recovers; once its line is visible it has written all there is to write but the mark of a lull.
    let both = "1,messages=0,emails=2,operators=0,visitors=1\n";
    until("the line is visible", || sandbox.report() == both);
    let mut before = BTreeMap::default();
    until("it is at rest", || {
        let seen = std::mem::replace(&mut before, sandbox.listing("s"));
        std::thread::sleep(Duration::from_millis(500));
        seen == before
    });
    let holder = format!("(process {})", writer.pid());
    for arguments in
        ["ingest --store s in.jsonl", "run --store s in.jsonl", &format!("sources forget {instance} --store s")]
    {
        let started = Instant::now();
        sandbox.run(arguments).fails(11, &["s: locked by another writer", &holder]);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert!(sandbox.listing("s") == before);
    writer.end().expect(0);
}

#[test]
fn the_lock_dies_with_its_process_and_the_file_stays() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    for _ in 0..3 {
        held(&sandbox, "").kill();
        assert!(sandbox.has("s/LOCK"));
        sandbox.run("ingest --store s in.jsonl").expect(0);
        assert!(sandbox.has("s/LOCK"));
    }
    let inode = |path| std::os::unix::fs::MetadataExt::ino(&fs::metadata(path).unwrap());
    let before = inode(sandbox.path("s/LOCK"));
    held(&sandbox, &line("pipe")).end().expect(0);
    assert_eq!(inode(sandbox.path("s/LOCK")), before, "the same file, not a new one");
    sandbox.reports(line("file") + &line("pipe"));
}

#[test]
fn what_the_file_says_holds_nothing_and_names_nobody() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    assert_eq!(sandbox.read("s/LOCK"), b"", "nothing is written through a name that anybody could have made");
    // As an earlier program left it; this process is alive, and no writer.
    let own = format!("{}\n", std::process::id());
    for stale in [&own, "no number, and longer than any number is: \u{1b}[31m\n"] {
        sandbox.write("s/LOCK", stale);
        sandbox.run("ingest --store s in.jsonl").expect(0);
        let writer = held(&sandbox, "");
        let ran =
            sandbox.run("ingest --store s in.jsonl").fails(11, &["s: locked", &format!("({})", named(writer.pid()))]);
        assert!(!ran.err.contains(&named(std::process::id())), "{ran:?}");
        writer.end().expect(0);
        assert_eq!(sandbox.read("s/LOCK"), stale.as_bytes());
    }
}

fn named(pid: u32) -> String {
    format!("process {pid}")
}

/// Somebody else can take the lock where the modes let him; whoever it is, he is named only while he holds it.
#[test]
fn a_holder_that_is_no_chatwal_is_named_and_the_hint_says_what_to_do() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    for name in ["s/LOCK", "s"] {
        let held = fs::File::open(sandbox.path(name)).unwrap();
        fs2::FileExt::lock_shared(&held).unwrap();
        let own = std::process::id();
        let ran = sandbox.run("ingest --store s in.jsonl").fails(11, &["s: locked by another writer", &named(own)]);
        let ran = ran.says(&["hint", &format!("process {own} is `"), &format!("`kill {own}`")]);
        assert!(!ran.err.contains("chmod"), "nobody else can: {ran:?}");
        fs::set_permissions(sandbox.path("s"), fs::Permissions::from_mode(0o755)).unwrap();
        sandbox.run("compact --store s").fails(11, &["s: locked"]).says(&["hint", "`chmod 700 s`"]);
        fs::set_permissions(sandbox.path("s"), fs::Permissions::from_mode(0o700)).unwrap();
        drop(held);
        sandbox.run("ingest --store s in.jsonl").expect(0);
    }
}

/// `flock` takes the lock on what the shell has open, and is gone; the shell holds it, and the kernel names `flock`.
#[test]
fn a_process_that_is_gone_is_not_named() {
    if !possible("flock", &["--version"], "a lock that its taker has handed on") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let ran = sandbox.shell("exec 9<s/LOCK; flock -n 9 || exit 99; $chatwal ingest --store s in.jsonl");
    let ran = ran.fails(11, &["s: locked by another writer"]).says(&["hint", "wait"]);
    assert!(!ran.err.contains("process"), "{ran:?}");
    sandbox.run("ingest --store s in.jsonl").expect(0);
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    sandbox.write("precious", "not to be written to");
    fs::create_dir(sandbox.path("s")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("precious"), sandbox.path("s/LOCK")).unwrap();
    let ran = sandbox.run("ingest --store s in.jsonl");
    ran.fails(1, &["s/LOCK: cannot open: not a regular file but a symbolic link"]).says(&["hint", "move it away"]);
    assert_eq!(sandbox.read("precious"), b"not to be written to");
    // A store that shares its lock with another is locked whenever that is.
    fs::remove_file(sandbox.path("s/LOCK")).unwrap();
    fs::hard_link(sandbox.path("precious"), sandbox.path("s/LOCK")).unwrap();
    let ran = sandbox.run("ingest --store s in.jsonl").fails(1, &["s/LOCK: cannot lock: it has 2 names"]);
    let hint = ran.err.split('`').nth(1).unwrap();
    sandbox.shell(hint).expect(0);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    assert_eq!(sandbox.read("precious"), b"not to be written to");
}

#[test]
fn of_many_at_once_one_writes_and_the_others_are_refused_or_follow() {
    let sandbox = Sandbox::new();
    let input = generated("-n 3000");
    sandbox.write("in.jsonl", &input);
    let writers: Vec<Running> = (0..8).map(|_| Running::start(sandbox.chatwal("ingest --store s in.jsonl"))).collect();
    let codes: Vec<i32> = writers.into_iter().map(|writer| writer.wait().code.unwrap()).collect();
    assert!(codes.contains(&0), "{codes:?}");
    assert!(codes.iter().all(|code| [0, 11].contains(code)), "{codes:?}");
    sandbox.reports(&input);
    assert_eq!(sandbox.stat()["lines_accepted"], 3000, "read once, not by each");
}

#[test]
fn readers_are_not_blocked() {
    let sandbox = Sandbox::new();
    let writer = held(&sandbox, &line("pipe"));
    until("the line is visible", || sandbox.run("report --store s").code == Some(0) && !sandbox.report().is_empty());
    for command in ["report", "stat", "rejects", "sources"] {
        sandbox.run(&format!("{command} --store s")).expect(0).silently();
    }
    sandbox.run("dump s/0000000001.wal").expect(0);
    sandbox.reports(line("pipe"));
    writer.end().expect(0);
}

#[test]
fn two_stores_do_not_mind_each_other() {
    let sandbox = Sandbox::new();
    let writer = held(&sandbox, "");
    sandbox.write("in.jsonl", line("file"));
    sandbox.run("ingest --store other in.jsonl").expect(0);
    writer.end().expect(0);
}

#[test]
fn who_deletes_the_lock_file_lets_nobody_in() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line("file"));
    let mut writer = held(&sandbox, &line("pipe"));
    fs::remove_file(sandbox.path("s/LOCK")).unwrap();
    // Of the directory's lock, which says so as well.
    let holder = format!("({})", named(writer.pid()));
    sandbox.run("ingest --store s in.jsonl").fails(11, &["s: locked by another writer", &holder]);
    writer.send(line("later"));
    writer.end().expect(0);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.reports(line("file") + &line("pipe") + &line("later"));
}
