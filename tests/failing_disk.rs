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
fn failing(sandbox: &Sandbox, arguments: &str, call: &str, error: &str, when: &str, paths: &[String]) -> Option<Ran> {
    let mut command = sandbox.program("strace", "-f -qqq -o trace");
    for path in paths {
        command.args(["-P", path]);
    }
    command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={when}")]);
    command.arg(CHATWAL).args(arguments.split_whitespace());
    let ran = run(command);
    String::from_utf8_lossy(&sandbox.read("trace")).contains("(INJECTED)").then_some(ran)
}

/// Lets each of the calls fail, the first, the second and so on, once and for good; the same command is run again after
/// each failure and has to end with `code`.
fn at_every_call(sandbox: &Sandbox, all: &[u8], arguments: &str, code: i32, calls: &[&str], paths: &[String]) -> usize {
    let mut met = 0;
    for call in calls {
        for for_good in ["", "+"] {
            for n in 1.. {
                restore(sandbox);
                let when = format!("{n}{for_good}");
                let Some(ran) = failing(sandbox, arguments, call, "EIO", &when, paths) else { break };
                println!("{arguments}: {call}:{when}: {:?} {}", ran.code, ran.err.lines().next().unwrap_or_default());
                ran.fails(1, &["Input/output error"]);
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
        for call in ["openat", "read", "pread64", "pwrite64", "fdatasync", "fsync", "ftruncate", "flock"] {
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
    limited.fails(1, &["s/", ".snap.tmp", "File too large"]).says(&["hint", "make room"]);
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
    if !mounts("a full tmpfs") {
        return;
    }
    // There is room when it begins; but what it seals takes some of it.
    let script = "
        mount -o remount,size=$((used + room))k disk || exit 103
        $chatwal compact --store disk/s; test $? = 1 || exit 104
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
        mount -o remount,size=$((used + room - 4))k disk || exit 104
        ls -l disk/s > before
        $chatwal compact --store disk/s; test $? = 1 || exit 105
        $chatwal compact --store disk/s --dry-run || exit 106
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
