//! Links, pipes, directories, sockets and devices in the place of a store's files: nobody follows one, writes through one or waits
//! for one, and what they lead to stays as it is.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::cli::{CHATWAL, Ran, Running, Sandbox, generated, message, possible, until};

/// What may stand in a file's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// To somebody's file, to nothing, to the file itself, which is elsewhere now.
    LinkToPrecious,
    LinkToNothing,
    LinkToItself,
    /// Names of somebody's file, and of the file itself.
    NameOfPrecious,
    SecondName,
    Pipe,
    Directory,
    Socket,
    Device,
}

use Kind::*;

const KINDS: [Kind; 9] =
    [LinkToPrecious, LinkToNothing, LinkToItself, NameOfPrecious, SecondName, Pipe, Directory, Socket, Device];

impl Kind {
    fn is_file(self) -> bool {
        matches!(self, NameOfPrecious | SecondName)
    }
}

const LAST: &str = "0000000005.wal";
const SEALED: &str = "0000000004.wal";
const OLDER: &str = "0000000003.wal";
const SNAPSHOT: &str = "0000000001-0000000002.snap";
const UNFINISHED: [&str; 2] = ["0000000006.wal.tmp", "0000000001-0000000005.snap.tmp"];

/// A store with all of these, inputs, and somebody's file, which is no store's.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d", "e", "f"] {
        sandbox.write(name, generated(&format!("-n 150 --seed {}", name.as_bytes()[0])));
    }
    for step in ["ingest a b", "compact", "ingest c d e"] {
        let options = if step.starts_with("ingest") { "--segment-size 4096 --no-compact" } else { "" };
        sandbox.run(&format!("{step} --store s {options}")).expect(0);
    }
    let names: Vec<String> = sandbox.listing("s").into_keys().collect();
    assert_eq!(names, [SNAPSHOT, OLDER, SEALED, LAST, "ACKNOWLEDGED", "LOCK"]);
    fs::create_dir(sandbox.path("aside")).unwrap();
    sandbox.write("aside/precious", "not to be written to");
    sandbox
}

/// Copies the store to `t`, and puts something in the place of one of its files; false if that cannot be.
fn put(sandbox: &Sandbox, kind: Kind, name: &str) -> bool {
    for old in ["t", "itself"] {
        let _ = fs::remove_dir_all(sandbox.path(old));
        let _ = fs::remove_file(sandbox.path(old));
    }
    sandbox.shell("cp -rp s t").expect(0);
    let (place, itself) = (sandbox.path("t").join(name), sandbox.path("itself"));
    if place.exists() {
        fs::rename(&place, &itself).unwrap();
    } else {
        fs::write(&itself, "half a file").unwrap();
    }
    let precious = sandbox.path("aside/precious");
    match kind {
        LinkToPrecious => symlink(precious, place).unwrap(),
        LinkToNothing => symlink(sandbox.path("aside/nothing"), place).unwrap(),
        LinkToItself => symlink(itself, place).unwrap(),
        NameOfPrecious => fs::hard_link(precious, place).unwrap(),
        SecondName => fs::hard_link(itself, place).unwrap(),
        Pipe => assert!(Command::new("mkfifo").arg(place).status().unwrap().success()),
        Directory => {
            fs::create_dir(&place).unwrap();
            fs::write(place.join("inside"), "not to be deleted").unwrap();
        }
        Socket => drop(UnixListener::bind(place).unwrap()),
        // Writes to it vanish, reads give nothing.
        Device => {
            let made = Command::new("mknod").arg(place).args(["c", "1", "3"]).stderr(Stdio::null()).status();
            return made.unwrap().success();
        }
    }
    true
}

/// What nobody is to touch: somebody's file, and the store's own where it is elsewhere.
fn untouched(sandbox: &Sandbox) -> BTreeMap<String, (Vec<u8>, i64, u32)> {
    let files = ["aside/precious", "itself"].into_iter().filter(|name| sandbox.has(name));
    let look = |name: &str| {
        let metadata = fs::metadata(sandbox.path(name)).unwrap();
        (sandbox.read(name), metadata.mtime_nsec(), metadata.mode())
    };
    let files: BTreeMap<_, _> = files.map(|name| (name.to_owned(), look(name))).collect();
    assert!(!sandbox.has("aside/nothing"), "a link to nothing was followed, and is to something now");
    files
}

/// Runs a command on the copy, which has to come to an end.
#[track_caller]
fn run(sandbox: &Sandbox, command: &str) -> Ran {
    let started = Instant::now();
    let before = untouched(sandbox);
    let ran = sandbox.run(&command.replace(" s", " t"));
    assert!(started.elapsed() < Duration::from_secs(20), "it waited for somebody");
    assert!(untouched(sandbox) == before, "{command}: {ran:?}");
    ran
}

const READERS: [&str; 4] = ["report --store s", "verify --store s", "stat --store s", "compact --dry-run --store s"];
const WRITERS: [&str; 3] = ["ingest --no-compact --store s f", "compact --all --store s", "repair --store s"];

/// Asserts that it was refused, and how.
#[track_caller]
fn refused(ran: Ran, name: &str, kind: Kind) {
    let what = if kind.is_file() { "it has 2 names" } else { "not a regular file but a " };
    let ran = ran.fails(1, &[&format!("t/{name}: cannot "), what]);
    assert!(ran.err.contains("move it away") || ran.err.contains("cp -p"), "{ran:?}");
}

#[test]
fn what_stands_in_the_place_of_a_file_is_refused_by_everyone() {
    let (sandbox, mut tried) = (store(), 0);
    for name in [LAST, SEALED, SNAPSHOT] {
        for kind in KINDS.into_iter().filter(|kind| !kind.is_file()) {
            for command in READERS.into_iter().chain(WRITERS) {
                if put(&sandbox, kind, name) {
                    println!("{kind:?} in the place of {name}: {command}");
                    refused(run(&sandbox, command), name, kind);
                    tried += 1;
                }
            }
            if put(&sandbox, kind, name) && kind != LinkToItself && kind != LinkToPrecious {
                sandbox.run(&format!("dump t/{name}")).fails(1, &[&format!("t/{name}: cannot open")]);
            }
        }
    }
    assert!(tried >= 100, "only {tried}");
}

/// A file may have two names as long as nobody writes to it: hard links make a cheap copy of what is sealed.
#[test]
fn a_second_name_keeps_writers_from_the_last_segments_and_nobody_from_the_others() {
    let sandbox = store();
    let report = sandbox.report();
    for name in [LAST, SEALED, OLDER, SNAPSHOT] {
        for command in READERS.into_iter().chain(WRITERS) {
            put(&sandbox, SecondName, name);
            let ran = run(&sandbox, command);
            // The one before the last may want its seal. A repair of what is sound opens nothing for writing.
            match [LAST, SEALED].contains(&name) && WRITERS.contains(&command) && !command.starts_with("repair") {
                true => refused(ran, name, SecondName),
                false => drop(ran.expect(0)),
            }
        }
    }
    // The hint is a command that helps.
    put(&sandbox, SecondName, LAST);
    let hint = run(&sandbox, WRITERS[0]).fails(1, &[]).err.split('`').nth(1).unwrap().to_owned();
    sandbox.shell(&hint).expect(0);
    run(&sandbox, WRITERS[0]).expect(0);
    // Somebody else's file in the place of one is damage, and is not written to.
    for name in [LAST, SEALED, SNAPSHOT] {
        put(&sandbox, NameOfPrecious, name);
        assert!([1, 4].contains(&run(&sandbox, WRITERS[0]).code.unwrap()));
        run(&sandbox, READERS[0]).expect(4);
    }
    assert_eq!(sandbox.report(), report);
}

#[test]
fn what_stands_in_the_place_of_an_unfinished_file_goes_and_nothing_is_written_through_it() {
    let (sandbox, mut tried) = (store(), 0);
    let report = sandbox.report();
    for name in UNFINISHED {
        for kind in KINDS {
            for command in READERS {
                if put(&sandbox, kind, name) {
                    run(&sandbox, command).expect(0);
                    assert!(fs::symlink_metadata(sandbox.path("t").join(name)).is_ok());
                }
            }
            for command in [
                "ingest --segment-size 4096 --no-compact --store s f d",
                "ingest --segment-size 4096 --compact-at 1 --store s f d",
                "compact --all --store s",
            ] {
                if !put(&sandbox, kind, name) {
                    continue;
                }
                println!("{kind:?} in the place of {name}: {command}");
                let ran = run(&sandbox, command);
                if kind == Directory {
                    refused(ran, name, kind);
                    assert!(sandbox.has(&format!("t/{name}/inside")));
                } else {
                    ran.expect(0);
                    assert!(fs::symlink_metadata(sandbox.path("t").join(name)).is_err());
                    sandbox.run("verify --store t").expect(0);
                }
                tried += 1;
            }
        }
    }
    assert!(tried >= 48, "only {tried}");
    assert_eq!(sandbox.report(), report);
}

#[test]
fn what_stands_in_the_place_of_the_lock_is_refused_by_writers() {
    let sandbox = store();
    for kind in KINDS {
        for command in READERS {
            if put(&sandbox, kind, "LOCK") {
                run(&sandbox, command).expect(0);
            }
        }
        for command in WRITERS {
            if put(&sandbox, kind, "LOCK") {
                refused(run(&sandbox, command), "LOCK", kind);
            }
        }
    }
}

/// The files of a repair: the copies that it keeps, and the snapshot and the segment that it publishes.
#[test]
fn a_repair_writes_through_nothing() {
    let sandbox = store();
    let mut damaged = sandbox.read(&format!("s/{SEALED}"));
    damaged[70] ^= 1;
    sandbox.write(format!("s/{SEALED}"), damaged);
    let names = [
        "0000000004.wal.repair-1.tmp",
        "0000000003-0000000005.snap.tmp",
        "0000000006.wal.tmp",
        // Somebody's file of the name that a copy would get is somebody's.
        "0000000004.wal.repair-1",
    ];
    for name in names {
        for kind in KINDS {
            if !put(&sandbox, kind, name) {
                continue;
            }
            println!("{kind:?} in the place of {name}");
            let ran = run(&sandbox, "repair --store s");
            if kind == Directory || !name.ends_with(".tmp") && !kind.is_file() {
                refused(ran, name, if kind.is_file() { Directory } else { kind });
                continue;
            }
            ran.expect(0).says(&["0000000004.wal.repair-"]);
            sandbox.run("verify --store t").expect(0);
            let copies = fs::read_dir(sandbox.path("t")).unwrap().map(|entry| entry.unwrap().path());
            let kept = copies.filter(|path| path.display().to_string().contains("0000000004.wal.repair-"));
            assert!(kept.into_iter().any(|copy| fs::read(copy).unwrap() == sandbox.read(&format!("s/{SEALED}"))));
        }
    }
}

/// The path of a store may be a link: whoever types it means what it leads to.
#[test]
fn a_store_may_be_named_by_a_link() {
    let sandbox = store();
    symlink("s", sandbox.path("link")).unwrap();
    let report = sandbox.report();
    for command in READERS.into_iter().chain(WRITERS) {
        sandbox.run(&command.replace(" s", " link")).expect(0);
    }
    assert_ne!(sandbox.report(), report, "f was ingested");
    sandbox.run("dump link/LOCK").fails(4, &["link/LOCK"]);
}

/// A name that a stranger took just before the writer needed it stays the stranger's.
#[test]
fn a_roll_takes_no_name_over() {
    if !possible("strace", &["-f", "-qq", "-o", "/dev/null", "true"], "a name that is taken in the middle of a roll") {
        return;
    }
    let sandbox = Sandbox::new();
    let lines: String = (0..40).map(|id| message("1", &format!("{id}-{}", "x".repeat(900)), "v", id)).collect();
    sandbox.write("first", message("1", "first", "v", 1));
    sandbox.write("lines", &lines);
    sandbox.run("ingest --store s first").expect(0);
    sandbox.write("precious", "not to be written to");
    // Held up between the writing of the next segment and its name.
    let slow = format!("-f -qq -o trace -e inject=/^rename:delay_enter=1500000 {CHATWAL}");
    let ingest = "ingest --no-compact --store s --segment-size 4096 lines first";
    let writer = Running::start(sandbox.program("strace", &format!("{slow} {ingest}")));
    until("the next segment is being made", || sandbox.has("s/0000000002.wal.tmp"));
    fs::copy(sandbox.path("precious"), sandbox.path("s/0000000002.wal")).unwrap();
    writer.wait().fails(1, &["s/0000000002.wal: cannot publish: somebody else made a file of this name"]);
    assert_eq!(sandbox.read("s/0000000002.wal"), b"not to be written to");
    fs::remove_file(sandbox.path("s/0000000002.wal")).unwrap();
    sandbox.run(ingest).expect(0);
    assert!(!Path::new(&sandbox.path("s/0000000002.wal.tmp")).exists());
    sandbox.reports(message("1", "first", "v", 1) + &lines);
}
