//! P9 on the real program: EIO from strace at every call in turn, once and for good; a full file system and a limit on the
//! size of files in the middle of a compaction. A non-zero exit, one error with a hint, and once the cause is gone, the same
//! command gives the right report.
//!
//! `tests/bad_input.rs` has the full disk in the middle of an ingest, `tests/failed_writes.rs` the simulated one.

mod support;

use std::fs;
use std::path::Path;

use support::cli::{CHATWAL, Ran, Sandbox, generated, message, possible, run};
use support::naive;

/// Calls on the store's files; whatever the C library calls these.
const CHANGING: [&str; 6] = ["pwrite64", "fdatasync", "fsync", "/^rename", "/^unlink", "ftruncate"];

const INPUTS: [&str; 3] = ["a.jsonl", "b.jsonl", "c.jsonl"];

/// A sandbox with inputs, and with a store in `base` that `prepare` made; gives all that is in the inputs.
fn sandbox(prepare: &[&str]) -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let mut all = Vec::new();
    for (seed, name) in INPUTS.iter().enumerate() {
        let input =
            [generated(&format!("-n 60 --sites 9 --copies 0.1 --seed {seed}")), b"no event\n".to_vec()].concat();
        sandbox.write(name, &input);
        all.extend(input);
    }
    for step in prepare {
        sandbox.run(&format!("{step} --store base")).expect(if step.starts_with("compact") { 0 } else { 3 });
    }
    (sandbox, all)
}

/// The store `s` as `base` is.
fn restore(sandbox: &Sandbox) {
    // There may be none.
    let _ = fs::remove_dir_all(sandbox.path("s"));
    if sandbox.has("base") {
        fs::create_dir(sandbox.path("s")).unwrap();
        for (name, (bytes, _)) in sandbox.listing("base") {
            sandbox.write(Path::new("s").join(name), bytes);
        }
    }
}

/// Runs a command on the store `s`, with a call failing; `None` if the call was not met.
#[allow(clippy::too_many_arguments, reason = "what fails, where and when")]
fn failing(sandbox: &Sandbox, arguments: &str, call: &str, error: &str, when: &str, paths: &[String]) -> Option<Ran> {
    let mut command = sandbox.program("strace", "-f -qqq -o trace");
    let root = sandbox.root().canonicalize().unwrap();
    for path in paths {
        // What is relative to an open directory is known to strace by the whole path; what is not there yet, by no other.
        command.args(["-P", path]).arg("-P").arg(root.join(path));
    }
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={when}")]);
    command.arg(CHATWAL).args(arguments.split_whitespace());
    let ran = run(command);
    String::from_utf8_lossy(&sandbox.read("trace")).contains("(INJECTED)").then_some(ran)
}

/// Lets each of the calls fail, the first, the second and so on, once and for good; the same command is run again after
/// each failure and has to end with `code`.
#[allow(clippy::too_many_arguments, reason = "what fails, where and when")]
fn at_every_call(sandbox: &Sandbox, all: &[u8], arguments: &str, code: i32, calls: &[&str], paths: &[String]) -> usize {
    let mut met = 0;
    for call in calls {
        for for_good in ["", "+"] {
            for n in 1.. {
                restore(sandbox);
                let when = format!("{n}{for_good}");
                let Some(ran) = failing(sandbox, arguments, call, "EIO", &when, paths) else { break };
                println!("{arguments}: {call}:{when}: {:?} {}", ran.code, ran.err.lines().next().unwrap_or_default());
                match ran.err.contains("was not compacted: ") {
                    // Beside an ingest, which it is no failure of.
                    true => drop(ran.expect(code).says(&["warning", "Input/output error"])),
                    false => drop(ran.fails(1, &["Input/output error"])),
                }
                sandbox.run(arguments).expect(code);
                sandbox.reports(all);
                assert_eq!(sandbox.run("rejects --store s").expect(0).out.lines().count(), INPUTS.len());
                met += 1;
            }
        }
    }
    met
}

fn traced() -> bool {
    possible("strace", &["-f", "-qq", "-o", "/dev/null", "true"], "EIO from the real system")
}

const INGEST: &str = "ingest --store s --threads 1 --segment-size 4096 --compact-at 1 a.jsonl b.jsonl c.jsonl";

#[test]
fn an_ingest_whose_writes_fail() {
    if traced() {
        let (sandbox, all) = sandbox(&[]);
        let met = at_every_call(&sandbox, &all, INGEST, 3, &CHANGING[..4], &[]);
        assert!(met > 40, "only {met} failures");
    }
}

#[test]
fn a_compaction_whose_writes_fail() {
    if traced() {
        let (sandbox, all) = sandbox(&["ingest --no-compact --segment-size 4096 a.jsonl b.jsonl c.jsonl"]);
        let met = at_every_call(&sandbox, &all, "compact --store s", 0, &CHANGING[..5], &[]);
        assert!(met > 20, "only {met} failures");
    }
}

#[test]
fn a_recovery_whose_writes_fail() {
    if traced() {
        let (sandbox, all) = sandbox(&["ingest --no-compact a.jsonl b.jsonl c.jsonl"]);
        // A torn end and what an interrupted publish leaves.
        sandbox.append("base/0000000001.wal", [7; 300]);
        sandbox.write("base/0000000002.wal.tmp", "half a hea");
        let arguments = "ingest --store s --no-compact a.jsonl b.jsonl c.jsonl";
        let met = at_every_call(&sandbox, &all, arguments, 3, &CHANGING, &[]);
        assert!(met >= 8, "only {met} failures");
    }
}

#[test]
fn reads_that_fail() {
    if traced() {
        let (sandbox, all) = sandbox(&[
            "ingest --no-compact --segment-size 4096 a.jsonl b.jsonl",
            "compact",
            "ingest --no-compact --segment-size 4096 c.jsonl",
        ]);
        // Only these: the loader reads, too.
        let files = sandbox.listing("base").into_keys().filter(|name| name != "LOCK");
        let files: Vec<String> = files.map(|name| format!("s/{name}")).collect();
        let mut met = 0;
        for arguments in ["compact --store s --all", "report --store s", "stat --store s"] {
            met += at_every_call(&sandbox, &all, arguments, 0, &["pread64"], &files);
        }
        fs::remove_dir_all(sandbox.path("base")).unwrap();
        // All of it in one input: of several, each would have an error of its own.
        sandbox.write("all.jsonl", &all);
        let again = "ingest --store s --no-compact all.jsonl";
        met += at_every_call(&sandbox, &all, again, 3, &["read"], &["all.jsonl".into()]);
        assert!(met > 20, "only {met} failures");
    }
}

/// Names of the store's files that a run made or may make.
fn names(sandbox: &Sandbox) -> Vec<String> {
    let files = sandbox.listing("s").into_keys().filter(|name| name != "LOCK");
    let files: Vec<String> = files.map(|name| format!("s/{name}")).collect();
    let unpublished = files.iter().map(|name| format!("{name}.tmp"));
    ["s".into(), "s/LOCK".into()].into_iter().chain(unpublished).chain(files.iter().cloned()).collect()
}

#[test]
fn files_and_directories_that_cannot_be_opened_or_made() {
    if traced() {
        let (sandbox, all) = sandbox(&[]);
        let plain = "ingest --store s --threads 1 --segment-size 4096 --no-compact a.jsonl b.jsonl c.jsonl";
        let mut met = at_every_call(&sandbox, &all, plain, 3, &["/^mkdir"], &[]);
        sandbox.run(plain).expect(3);
        met += at_every_call(&sandbox, &all, plain, 3, &["openat"], &names(&sandbox));
        sandbox.run(plain.replace(" s ", " base ").as_str()).expect(3);
        restore(&sandbox);
        sandbox.run("compact --store s").expect(0);
        let mut paths = names(&sandbox);
        restore(&sandbox);
        paths.extend(names(&sandbox));
        for arguments in ["compact --store s", "report --store s", "verify --store s"] {
            met += at_every_call(&sandbox, &all, arguments, 0, &["openat"], &paths);
        }
        println!("{met} failures met");
        assert!(met > 40, "only {met} failures");
        // What leads to a new store is opened to be synced.
        let nested = "ingest --store x/y/s --no-compact a.jsonl";
        let ran = failing(&sandbox, nested, "openat", "EIO", "1", &["x".into()]).expect("a look at what was made");
        ran.fails(1, &["x: cannot sync: Input/output error"]);
        sandbox.run(nested).expect(3);
    }
}

/// Whether what is written is in its place is asked with calls that can fail, too: then nobody knows, and it is not acknowledged.
#[test]
fn looks_at_the_place_that_fail() {
    if traced() {
        let (sandbox, all) = sandbox(&["ingest --no-compact --segment-size 4096 a.jsonl"]);
        restore(&sandbox);
        sandbox.run(INGEST).expect(3);
        let (mut refused, mut harmless) = (0, 0);
        for call in ["/^statx", "/^(new)?fstat(at)?(64)?$", "/^getdents"] {
            for n in 1.. {
                restore(&sandbox);
                // The loader asks as well.
                let paths = names(&sandbox);
                let Some(ran) = failing(&sandbox, INGEST, call, "EIO", &n.to_string(), &paths) else { break };
                println!("{call}:{n}: {:?} {}", ran.code, ran.err.lines().last().unwrap_or_default());
                if ran.code == Some(3) {
                    // Asked only for the sake of a message, or of a better way.
                    harmless += 1;
                } else {
                    ran.fails(1, &["Input/output error"]);
                    sandbox.run(INGEST).expect(3);
                    refused += 1;
                }
                sandbox.reports(&all);
            }
        }
        println!("{refused} refused, {harmless} harmless");
        assert!(refused > 20 && harmless < 10, "{refused} refused, {harmless} harmless");
    }
}

/// A signal that nobody waits for may end any of these calls early, and is no failure.
#[test]
fn calls_that_are_interrupted_are_made_again() {
    if traced() {
        let (sandbox, all) = sandbox(&["ingest --no-compact --segment-size 4096 a.jsonl"]);
        restore(&sandbox);
        sandbox.run(INGEST).expect(3);
        let mut paths = names(&sandbox);
        paths.extend(INPUTS.map(str::to_owned));
        let mut met = 0;
        for call in ["openat", "read", "pread64", "pwrite64", "fdatasync", "fsync", "ftruncate", "flock", "/^getdents"]
        {
            // The loader opens and reads as well, and makes none of the others.
            let paths = if ["openat", "read", "pread64"].contains(&call) { paths.as_slice() } else { &[] };
            for n in 1.. {
                restore(&sandbox);
                sandbox.append("s/0000000001.wal", [7; 300]);
                let Some(ran) = failing(&sandbox, INGEST, call, "EINTR", &n.to_string(), paths) else { break };
                println!("{call}:{n}: {:?}", ran.code);
                ran.expect(3);
                sandbox.reports(&all);
                met += 1;
            }
        }
        println!("{met} calls interrupted");
        assert!(met > 40, "only {met} interrupted");
    }
}

/// Runs `chatwal` on a system that lacks some calls: each of `lacking` is a call and the error it always answers with.
fn lacking(sandbox: &Sandbox, lacking: &[(&str, &str)], arguments: &str) -> Ran {
    let mut command = sandbox.program("strace", "-f -qqq -o trace");
    for (call, error) in lacking {
        command.args(["-e", &format!("inject={call}:error={error}")]);
    }
    command.arg(CHATWAL).args(arguments.split_whitespace());
    run(command)
}

/// CIFS and vboxsf, among others. Nothing but directories is fsynced; files are fdatasynced.
#[test]
fn a_file_system_that_cannot_fsync_a_directory() {
    if !traced() {
        return;
    }
    for error in ["EINVAL", "EOPNOTSUPP"] {
        let (sandbox, all) = sandbox(&[]);
        let fsync = [("fsync", error)];
        let ingest = "ingest --store s --segment-size 4096 --no-compact a.jsonl b.jsonl c.jsonl";
        let ran = lacking(&sandbox, &fsync, ingest).fails(1, &["cannot fsync a directory"]);
        ran.says(&["hint", "ext4", "`--durability os`"]);
        let ran = lacking(&sandbox, &fsync, &format!("{ingest} --durability os")).expect(3);
        let warnings: Vec<&str> = ran.err.lines().filter(|line| line.contains("cannot fsync a directory")).collect();
        assert!(warnings.len() == 1 && warnings[0].contains("warning: s: "), "{ran:?}");
        sandbox.reports(&all);
        for command in ["compact --store s", "repair --store s", ingest] {
            let ran = lacking(&sandbox, &fsync, command).fails(1, &["cannot sync", "cannot fsync a directory"]);
            ran.says(&["hint", "`--durability os`"]);
        }
        for command in ["report --store s", "verify --store s", "stat --store s"] {
            lacking(&sandbox, &fsync, command).expect(0).silently();
        }
        sandbox.reports(&all);
        // What compacts beside an ingest works there, too.
        let compacting =
            "ingest --store s --durability os --compact-at 1 --segment-size 4096 --from-start a.jsonl b.jsonl";
        lacking(&sandbox, &fsync, compacting).expect(3).says(&["folded segments"]);
        sandbox.reports(&all);
    }
    // A disk that fails is no such file system.
    let (sandbox, _) = sandbox(&[]);
    let os = "ingest --store s --durability os --no-compact a.jsonl";
    lacking(&sandbox, &[("fsync", "EIO")], os).fails(1, &["Input/output error"]);
}

#[test]
fn a_file_system_without_locks() {
    if !traced() {
        return;
    }
    let (sandbox, all) = sandbox(&["ingest --no-compact a.jsonl b.jsonl c.jsonl"]);
    restore(&sandbox);
    for error in ["ENOLCK", "EOPNOTSUPP", "ENOSYS"] {
        for command in ["ingest --store s a.jsonl", "compact --store s", "repair --store s"] {
            let ran = lacking(&sandbox, &[("flock", error)], command);
            ran.fails(1, &["s/LOCK: cannot lock: this file system has no locks"]).says(&["hint", "NFS"]);
        }
        lacking(&sandbox, &[("flock", error)], "report --store s").expect(0).silently();
    }
    // Where only directories cannot be locked, the file has to do.
    let (call, when) = ("flock:error=EBADF:when=2", "ingest --store s --no-compact a.jsonl");
    let mut command = sandbox.program("strace", &format!("-f -qqq -o trace -e inject={call}"));
    command.arg(CHATWAL).args(when.split_whitespace());
    run(command).expect(3);
    sandbox.reports(&all);
}

/// Linux before 3.15 and some file systems cannot rename without taking a name over; some have no links either. Where a link
/// does it, it has two steps, and a kill may come between them.
#[test]
fn a_system_without_a_renaming_that_takes_no_name() {
    if !traced() {
        return;
    }
    let ways: [&[(&str, &str)]; 4] = [
        &[("renameat2", "ENOSYS")],
        &[("renameat2", "EINVAL")],
        &[("renameat2", "EINVAL"), ("linkat", "EPERM")],
        // As Linux 3.2 is, the oldest that Rust runs on.
        &[("renameat2", "ENOSYS"), ("statx", "ENOSYS"), ("getrandom", "ENOSYS")],
    ];
    for way in ways {
        let (sandbox, all) = sandbox(&[]);
        lacking(&sandbox, way, INGEST).expect(3);
        let injected = String::from_utf8(sandbox.read("trace")).unwrap();
        assert!(way.iter().all(|(call, _)| injected.contains(&format!("{call}("))), "{injected}");
        sandbox.reports(&all);
        lacking(&sandbox, way, "compact --store s --all").expect(0);
        sandbox.reports(&all);
        sandbox.run("verify --store s").expect(0);
    }
    let mut kills = 0;
    for call in ["linkat", "unlinkat", "fsync", "pwrite64"] {
        for n in 1.. {
            let (sandbox, all) = sandbox(&[]);
            let mut command = sandbox.program("strace", "-f -qqq -o trace -e inject=renameat2:error=ENOSYS");
            command.args(["-e", &format!("inject={call}:signal=SIGKILL:when={n}")]);
            command.arg(CHATWAL).args(INGEST.split_whitespace());
            if run(command).code == Some(3) {
                break;
            }
            // The rerun may be on the same system, or on a better one.
            if n % 2 == 0 {
                lacking(&sandbox, &[("renameat2", "ENOSYS")], INGEST).expect(3);
            } else {
                sandbox.run(INGEST).expect(3);
            }
            sandbox.reports(&all);
            sandbox.run("verify --store s").expect(0);
            assert!(!sandbox.segments("s").keys().any(|name| name.ends_with(".tmp")), "{call}:{n}");
            kills += 1;
        }
    }
    println!("{kills} kills");
    assert!(kills > 15, "only {kills}");
}

#[test]
fn a_limit_on_the_size_of_files_ends_a_compaction_in_order() {
    let (sandbox, mut all) = sandbox(&["ingest --no-compact --segment-size 4096 a.jsonl b.jsonl c.jsonl"]);
    for seed in 10..20 {
        let more = generated(&format!("-n 60 --seed {seed}"));
        sandbox.write("more.jsonl", &more);
        sandbox.run("ingest --store base --no-compact --segment-size 4096 more.jsonl").expect(0);
        all.extend(more);
    }
    restore(&sandbox);
    // Room for any segment, and not for the snapshot. `sh` counts in blocks of 512 or 1,024 bytes.
    let largest = sandbox.listing("s").values().map(|(bytes, _)| bytes.len()).max().unwrap();
    assert!(largest < 5600);
    let limited = sandbox.shell("ulimit -f 11 && exec $chatwal compact --store s");
    limited.fails(1, &["s/", ".snap.tmp", "File too large"]).says(&["hint", "ulimit -f"]);
    sandbox.reports(&all);
    sandbox.run("compact --store s").expect(0);
    sandbox.reports(&all);
    assert!(!sandbox.segments("s").keys().any(|name| name.ends_with(".tmp")));
}

/// Whether a file system of a size of its own can be had, and a shell in which it is.
fn mounts(what: &str) -> bool {
    possible("unshare", &["-rm", "sh", "-c", "mount -t tmpfs none /mnt"], what)
}

/// What a script begins with: on a small file system of its own, the store `disk/s`, and `room` in KiB, rounded up, that its
/// snapshot takes, as a compaction of a copy elsewhere tells.
const SMALL_DISK: &str = "
    mount -t tmpfs -o size=64m none disk
    $chatwal ingest --store disk/s --no-compact --segment-size 4096 a.jsonl b.jsonl c.jsonl more.jsonl; test $? = 3 || exit 101
    cp -r disk/s copy
    $chatwal compact --store copy || exit 102
    room=$((($(stat -c %s copy/*.snap) + 4095) / 4096 * 4))
    used=$(df -k disk | awk 'NR == 2 { print $3 }')
    segments=$(cat disk/s/*.wal | wc -c)
";

fn on_a_small_disk(more: &[u8], script: &str) -> (Sandbox, Vec<u8>, Ran) {
    let (sandbox, all) = sandbox(&[]);
    sandbox.write("more.jsonl", more);
    fs::create_dir(sandbox.path("disk")).unwrap();
    fs::write(sandbox.path("script"), [SMALL_DISK, script].concat()).unwrap();
    let ran = sandbox.shell("unshare -rm sh script");
    (sandbox, [&all, more].concat(), ran)
}

#[test]
fn a_full_file_system_in_the_middle_of_a_compaction_loses_nothing() {
    if !mounts("a full tmpfs") || !possible("strace", &["-f", "-qq", "-o", "/dev/null", "true"], "a full tmpfs") {
        return;
    }
    // There is room when it looks, and a moment later there is not.
    let script = "
        touch trace
        strace -f -qq -o trace -e inject=fstatfs:delay_exit=3000000:when=2 $chatwal compact --store disk/s &
        until grep -q statfs trace; do sleep 0.05; done
        sleep 1
        mount -o remount,size=$((used + room / 2))k disk || exit 103
        wait $!; test $? = 1 || exit 104
        $chatwal report --store disk/s > full || exit 105
        mount -o remount,size=64m disk
        $chatwal compact --store disk/s || exit 106
        $chatwal report --store disk/s > whole || exit 107
        ls disk/s > names";
    let (sandbox, all, ran) = on_a_small_disk(&generated("-n 4000 --sites 50 --seed 9"), script);
    ran.expect(0).says(&["error: disk/s/", ".snap.tmp", "No space left on device"]).says(&["hint", "make room"]);
    let expected = naive::report(&all);
    assert!(sandbox.read("full") == expected && sandbox.read("whole") == expected);
    assert!(!String::from_utf8_lossy(&sandbox.read("names")).contains(".tmp"));
}

/// Sites with names so long that the snapshot, which has them twice, takes about twice what it frees.
fn long_names() -> Vec<u8> {
    let name = |site: u64| {
        format!("{:x}", u128::from(site + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)).repeat(30)
    };
    (0..700u64).flat_map(|site| message(&name(site), &site.to_string(), "v", 1).into_bytes()).collect()
}

#[test]
fn a_compaction_without_room_is_refused_before_it_changes_anything() {
    if !mounts("a small tmpfs") {
        return;
    }
    let script = "
        test $room -gt $((segments / 1024 * 3 / 2)) || exit 103
        ls -l disk/s > before
        for less in 0 4; do
            mount -o remount,size=$((used + room - less))k disk || exit 104
            $chatwal compact --store disk/s; test $? = 1 || exit 105
            $chatwal compact --store disk/s --dry-run || exit 106
        done
        ls -l disk/s > after
        $chatwal report --store disk/s > full || exit 107
        mount -o remount,size=$((used + room + 16))k disk || exit 108
        $chatwal compact --store disk/s || exit 109
        $chatwal report --store disk/s > whole || exit 110
        echo $room > room";
    let (sandbox, all, ran) = on_a_small_disk(&long_names(), script);
    let ran = ran.expect(0);
    let room: u64 = String::from_utf8(sandbox.read("room")).unwrap().trim().parse().unwrap();
    let free = format!("the disk has {} free", (room - 4) << 10);
    let ran = ran.says(&["error: disk/s/", ".snap: cannot write: it takes", &free]).says(&["hint", "make room"]);
    let ran =
        ran.says(&["would fold", "reads and frees", "writes", "the disk has"]).says(&["warning", "no room for that"]);
    assert!(!ran.err.contains("No space left"), "{ran:?}");
    assert_eq!(ran.err.matches("no room for that").count(), 2, "the dry run says what the compaction says: {ran:?}");
    assert_eq!(sandbox.read("before"), sandbox.read("after"));
    assert!(sandbox.read("full") == naive::report(&all) && sandbox.read("whole") == naive::report(&all));
}

#[test]
fn a_compaction_beside_an_ingest_is_skipped_where_it_has_no_room() {
    if !mounts("a small tmpfs") {
        return;
    }
    let script = "
        $chatwal ingest --store disk/s --compact-at 1 --segment-size 4096 again.jsonl || exit 103
        ls disk/s > names
        $chatwal report --store disk/s > whole || exit 104";
    let (sandbox, mut all) = sandbox(&[]);
    let again = generated("-n 2000 --sites 50 --seed 10");
    sandbox.write("more.jsonl", "");
    sandbox.write("again.jsonl", &again);
    fs::create_dir(sandbox.path("disk")).unwrap();
    fs::write(sandbox.path("script"), [SMALL_DISK, script].concat()).unwrap();
    let ran = sandbox.shell("unshare -rm sh script").expect(0);
    assert_eq!(ran.err.matches("warning: not compacted beside the ingest").count(), 1, "{ran:?}");
    assert!(!ran.err.contains("error"), "{ran:?}");
    all.extend(again);
    assert!(sandbox.read("whole") == naive::report(&all));
    assert!(!String::from_utf8_lossy(&sandbox.read("names")).contains(".snap"));
}
