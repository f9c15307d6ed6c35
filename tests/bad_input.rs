//! Whatever is wrong with an input, a store or the disk: one line says what and where, the next what to do; nothing is
//! lost, nothing is made by a typing error, and once the cause is gone the same command gives the right report.

mod support;

use std::fs;

use support::cli::{Dice, Sandbox, generated, gzip, message, possible, spread, until, zstd};
use support::naive::{self, Naive};

const INGEST: &str = "ingest --store s in.jsonl";

/// An input and what it looks like on the disk of a sandbox.
fn small() -> Vec<u8> {
    generated("-n 400 --sites 7 --copies 0.2")
}

/// The first segment of the store `s`.
const SEGMENT: &str = "s/0000000001.wal";

#[test]
fn a_missing_file_leaves_no_store() {
    let sandbox = Sandbox::new();
    sandbox.run(INGEST).fails(1, &["in.jsonl: no such file"]);
    sandbox.run("run in.jsonl").fails(1, &["in.jsonl: no such file"]);
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), 0);
    sandbox.write("in.jsonl", small());
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_missing_file_among_others_does_not_keep_them_out() {
    let sandbox = Sandbox::new();
    let (first, second) = (small(), generated("-n 100 --seed 2"));
    sandbox.write("a", &first);
    sandbox.run("ingest --store s a b").fails(1, &["b: no such file"]);
    sandbox.reports(&first);
    sandbox.write("b", &second);
    sandbox.run("ingest --store s a b").expect(0);
    sandbox.reports([first, second].concat());
}

#[test]
fn a_path_below_a_file_is_unreadable() {
    let sandbox = Sandbox::new();
    sandbox.write("file", small());
    sandbox.run("ingest --store s file/in.jsonl").fails(1, &["file/in.jsonl: cannot read it: Not a directory"]);
    assert!(!sandbox.has("s"));
    sandbox.run("ingest --store file/s file").fails(1, &["file/s", "Not a directory"]);
    sandbox.run("ingest --store s file").expect(0);
    sandbox.reports(small());
}

#[test]
fn a_file_of_somebody_else_is_unreadable_and_leaves_no_store() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    // Root may read everything but what belongs to a user that its namespace does not know.
    let forbid = "chmod 0 in.jsonl && (test \"$(id -u)\" != 0 || chown 12345 in.jsonl)";
    sandbox.shell(forbid).expect(0);
    let root = sandbox.shell("test \"$(id -u)\" = 0").code == Some(0);
    if root && !possible("unshare", &["-rm", "true"], "an input without permission") {
        return;
    }
    let ran = match root {
        true => sandbox.shell("unshare -rm $chatwal ingest --store s in.jsonl"),
        false => sandbox.run(INGEST),
    };
    ran.fails(1, &["in.jsonl: not readable: permission denied"]);
    assert!(!sandbox.has("s"));
    sandbox.shell("(test \"$(id -u)\" != 0 || chown 0 in.jsonl) && chmod 600 in.jsonl").expect(0);
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn an_empty_file_is_said_to_be_empty() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", "");
    sandbox.run(INGEST).expect(0).says(&["warning: in.jsonl: empty"]);
    sandbox.reports("");
    sandbox.write("in.jsonl", small());
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_directory_is_no_input() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("in")).unwrap();
    sandbox.write("in/a.jsonl", small());
    sandbox.run("ingest --store s in").fails(1, &["in: a directory"]).says(&["hint", "in/*"]);
    assert!(!sandbox.has("s"));
    sandbox.run("ingest --store s in/a.jsonl").expect(0);
    sandbox.reports(small());
}

#[test]
fn a_file_is_no_store() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    sandbox.write("s", "mine");
    for arguments in [INGEST, "report --store s", "stat --store s"] {
        sandbox.run(arguments).fails(10, &["s: a file"]);
    }
    assert_eq!(sandbox.read("s"), b"mine");
    fs::remove_file(sandbox.path("s")).unwrap();
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_directory_with_other_files_is_no_store_and_is_left_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    fs::create_dir(sandbox.path("s")).unwrap();
    sandbox.write("s/thesis.tex", "mine");
    let before = sandbox.listing("s");
    for arguments in [INGEST, "report --store s", "sources forget 00 --store s"] {
        sandbox.run(arguments).fails(10, &["s: "]);
    }
    assert!(sandbox.listing("s") == before);
    fs::remove_file(sandbox.path("s/thesis.tex")).unwrap();
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn an_empty_directory_is_no_store_to_compact() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("s")).unwrap();
    sandbox.run("compact --store s").fails(10, &["s: no store there"]);
    assert!(sandbox.listing("s").is_empty());
}

/// Opening a pipe would wait for somebody at its other end, for ever.
#[test]
fn a_pipe_in_the_place_of_a_file_of_the_store_is_no_file() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    sandbox.run("ingest --store s --no-compact in.jsonl").expect(0);
    sandbox.shell("rm s/0000000001.wal && mkfifo s/0000000001.wal").expect(0);
    for command in ["report --store s", "verify --store s", "ingest --store s in.jsonl", "dump s/0000000001.wal"] {
        let ran = sandbox.run(command);
        assert!(
            ran.code == Some(1) && ran.err.contains("s/0000000001.wal: cannot open: not a regular file"),
            "{ran:?}"
        );
    }
}

#[test]
fn nothing_there_is_no_store_and_stays_nothing() {
    let sandbox = Sandbox::new();
    for command in ["report", "stat", "rejects", "sources", "sources forget 00"] {
        sandbox.run(&format!("{command} --store s")).fails(10, &["s: no store there"]).says(&["hint", "--store DIR"]);
    }
    sandbox.run("dump s/0000000001.wal").fails(1, &["s/0000000001.wal"]);
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), 0);
}

#[test]
fn a_store_of_a_newer_format_is_refused_and_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    sandbox.run(INGEST).expect(0);
    let known = sandbox.read(SEGMENT);
    let mut newer = known.clone();
    newer[8] += 1;
    let sum = crc32fast::hash(&newer[..60]);
    newer[60..64].copy_from_slice(&sum.to_le_bytes());
    sandbox.write(SEGMENT, &newer);
    let before = sandbox.segments("s");
    for arguments in [INGEST, "report --store s", "stat --store s", "dump s/0000000001.wal"] {
        sandbox.run(arguments).fails(1, &[SEGMENT, "format 2", "format 1"]).says(&["hint", "newer"]);
    }
    assert!(sandbox.segments("s") == before);
    sandbox.write(SEGMENT, &known);
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    let line = message("first", "a", "v", 1);
    let mut first = sandbox.start("ingest --store s -");
    first.send(&line);
    until("the first has the store", || sandbox.run("report --store s").out.starts_with("first"));
    let holder = format!("process {}", first.pid());
    sandbox.run(INGEST).fails(11, &["s: locked by another writer", &holder]).says(&["hint", "wait"]);
    first.end().expect(0);
    sandbox.run(INGEST).expect(0);
    sandbox.reports([line.into_bytes(), small()].concat());
}

/// Large enough for several frames.
fn large() -> Vec<u8> {
    spread(&generated("-n 8000 --sites 50 --copies 0.1"), 16 << 20)
}

#[test]
fn a_full_disk_keeps_what_was_acknowledged() {
    let sandbox = Sandbox::new();
    let input = large();
    sandbox.write("in.jsonl", &input);
    // `sh` counts in blocks of 512 or 1,024 bytes: room for one frame or two of the four there are, of some 60 KB each.
    let full = sandbox.shell("ulimit -f 140 && exec $chatwal ingest --store s in.jsonl");
    full.fails(1, &[SEGMENT, "write"]).says(&["hint", "ulimit -f"]);
    let consumed = sandbox.sources()[0]["byte"].as_u64().unwrap();
    assert!((1..input.len() as u64).contains(&consumed), "{consumed}");
    sandbox.reports(&input[..consumed as usize]);
    let (from, to) = sandbox.run(&format!("{INGEST} --progress json")).expect(0).read();
    assert_eq!((from, to), (consumed, input.len() as u64));
    sandbox.reports(&input);
}

#[test]
fn a_disk_without_room_for_a_store_makes_none_that_is_broken() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    sandbox.shell("ulimit -f 0 && exec $chatwal ingest --store s in.jsonl").fails(1, &["s/"]).says(&["ulimit -f"]);
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_full_file_system_keeps_what_was_acknowledged() {
    if !possible("unshare", &["-rm", "sh", "-c", "mount -t tmpfs none /mnt"], "a full tmpfs") {
        return;
    }
    let sandbox = Sandbox::new();
    let input = large();
    sandbox.write("in.jsonl", &input);
    fs::create_dir(sandbox.path("disk")).unwrap();
    let script = "
        mount -t tmpfs -o size=140k none disk
        $chatwal ingest --store disk/s in.jsonl; test $? = 1 || exit 101
        $chatwal report --store disk/s > partial || exit 102
        $chatwal sources --store disk/s --format ndjson > place || exit 103
        mount -o remount,size=64m disk
        $chatwal ingest --store disk/s in.jsonl || exit 104
        $chatwal report --store disk/s > whole";
    fs::write(sandbox.path("script"), script).unwrap();
    let ran = sandbox.shell("unshare -rm sh script").expect(0);
    ran.says(&["error: disk/s/", "No space left on device"]).says(&["hint", "make room"]).says(&["going on at byte"]);
    let place: serde_json::Value = serde_json::from_slice(&sandbox.read("place")).unwrap();
    let place = place["byte"].as_u64().unwrap() as usize;
    assert!((1..input.len()).contains(&place), "{place}");
    assert_eq!(sandbox.read("partial"), naive::report(&input[..place]));
    assert_eq!(sandbox.read("whole"), naive::report(&input));
}

#[test]
fn a_line_without_end_is_left_for_the_next_run() {
    let sandbox = Sandbox::new();
    let (first, second, third) = (message("1", "a", "v", 1), message("1", "b", "w", 2), message("1", "c", "x", 3));
    let (half, rest) = second.split_at(20);
    sandbox.write("in.jsonl", format!("{first}{half}"));
    let place = format!("in.jsonl:2 (byte {})", first.len());
    sandbox.run(INGEST).expect(3).says(&["warning", &place, "incomplete", "20 bytes left for the next run"]);
    sandbox.reports(&first);
    assert_eq!(sandbox.run("rejects --store s").expect(0).out, "");
    assert_eq!(sandbox.sources()[0]["left"], 20);
    // Nothing has changed, so the same is said again, and nothing more is kept.
    let size = || sandbox.read("s/0000000001.wal").len();
    let before = size();
    sandbox.run(INGEST).expect(3).says(&[&place]);
    sandbox.run("ingest --store s -q in.jsonl").expect(3).says(&[&place]);
    assert_eq!(size(), before);
    sandbox.run("ingest --store s --strict in.jsonl").fails(1, &[&place, "incomplete"]);
    sandbox.append("in.jsonl", format!("{rest}{third}{{}}\n"));
    let place = format!("in.jsonl:4 (byte {})", first.len() + second.len() + third.len());
    sandbox.run(INGEST).expect(3).says(&["going on", "after line 1"]).says(&[&place, "rejected"]);
    sandbox.reports([first, second, third].concat());
    assert_eq!(sandbox.sources()[0]["left"], 0);
}

#[test]
fn a_last_line_without_end_that_is_an_event_counts() {
    let sandbox = Sandbox::new();
    let (first, second, third) = (message("1", "a", "v", 1), message("1", "b", "w", 2), message("1", "c", "x", 3));
    sandbox.write("in.jsonl", format!("{first}{}", second.trim_end()));
    sandbox.run(INGEST).expect(0);
    sandbox.reports(format!("{first}{second}"));
    // The end of the line comes with the next lines, and is no line of its own.
    sandbox.append("in.jsonl", format!("\n{third}oops\n"));
    sandbox.run(INGEST).expect(3).says(&["in.jsonl:4 ", "rejected"]);
    sandbox.reports([first, second, third].concat());
    let rejects = sandbox.run("rejects --store s --format ndjson").expect(0).records();
    assert_eq!(rejects.iter().map(|reject| reject["line"].as_u64().unwrap()).collect::<Vec<_>>(), [4]);
    assert_eq!(sandbox.sources()[0]["line"], 4);
}

#[test]
fn random_bytes_are_rejects_and_nothing_worse() {
    let sandbox = Sandbox::new();
    // Not what announces a compressed file.
    let noise = [b"x".to_vec(), Dice(7).bytes(300_000), b"\n".to_vec()].concat();
    sandbox.write("in.jsonl", &noise);
    sandbox.run(INGEST).expect(1).says(&["its first 1000 lines are all wrong", "line 1 (byte 0)"]);
    let all = format!("{INGEST} --max-rejects all");
    sandbox.run(&all).expect(3).says(&["rejected", "in.jsonl:1 (byte 0)"]).says(&["more rejected lines"]);
    sandbox.reports("");
    let mut naive = Naive::new();
    naive.feed_input(&noise);
    assert_eq!(sandbox.stat()["rejects"], naive.rejects());
    sandbox.write("good.jsonl", small());
    sandbox.run("ingest --store s good.jsonl").expect(0);
    sandbox.reports(small());
}

#[test]
fn utf_16_is_refused_until_it_is_converted() {
    let sandbox = Sandbox::new();
    let text = String::from_utf8(small()).unwrap();
    let utf_16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    sandbox.write("in.jsonl", utf_16);
    sandbox.run(INGEST).fails(1, &["in.jsonl: it is UTF-16 text"]).says(&["iconv -f UTF-16LE -t UTF-8 in.jsonl"]);
    assert!(!sandbox.has("s"));
    sandbox.write("in.jsonl", text);
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_damaged_segment_is_an_error_for_everyone_and_is_kept() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", small());
    sandbox.run(INGEST).expect(0);
    let sound = sandbox.read(SEGMENT);
    // The header of the segment, the header of the first frame, its directory, its sections.
    for place in [20, 70, 150, sound.len() / 2] {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x10;
        sandbox.write(SEGMENT, &damaged);
        let before = sandbox.segments("s");
        for arguments in [INGEST, "report --store s"] {
            sandbox
                .run(arguments)
                .fails(4, &[SEGMENT, "(byte ", "corrupt: expected", "found"])
                .says(&["no stored byte was changed"]);
        }
        assert!(sandbox.segments("s") == before, "byte {place}");
    }
    sandbox.write(SEGMENT, &sound);
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}

#[test]
fn a_missing_segment_is_an_error_for_everyone() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.write(name, generated(&format!("-n 200 --seed {}", name.as_bytes()[0])));
    }
    sandbox.run("ingest --store s --segment-size 4096 a b c").expect(0);
    let segments: Vec<String> = sandbox.segments("s").into_keys().collect();
    assert!(segments.len() >= 3);
    let whole = sandbox.report();
    for name in &segments {
        fs::rename(sandbox.path(format!("s/{name}")), sandbox.path("aside")).unwrap();
        for arguments in ["ingest --store s a", "report --store s"] {
            sandbox.run(arguments).fails(4, &["corrupt"]);
        }
        fs::rename(sandbox.path("aside"), sandbox.path(format!("s/{name}"))).unwrap();
    }
    sandbox.run("ingest --store s a").expect(0);
    assert_eq!(sandbox.report(), whole);
}

#[test]
fn a_truncated_compressed_file_gives_what_it_has() {
    for pack in [gzip, zstd] {
        let sandbox = Sandbox::new();
        let input = large();
        let packed = pack(&input);
        sandbox.write("in.jsonl", &packed[..packed.len() * 3 / 4]);
        sandbox
            .run(INGEST)
            .fails(1, &["in.jsonl: cannot read on at byte"])
            .says(&["hint", "what came before is stored"]);
        let consumed = sandbox.sources()[0]["byte"].as_u64().unwrap() as usize;
        assert!(consumed > 0);
        sandbox.reports(&input[..consumed]);
        sandbox.write("in.jsonl", &packed);
        let (from, _) = sandbox.run(&format!("{INGEST} --progress json")).expect(0).read();
        assert_eq!(from, consumed as u64);
        sandbox.reports(&input);
    }
}

#[test]
fn garbage_behind_compressed_data_is_told_and_not_taken() {
    for pack in [gzip, zstd] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", [pack(&small()), b"garbage".to_vec()].concat());
        let end =
            format!("in.jsonl: the compressed data ends at byte {}; 7 bytes behind it not taken", pack(&small()).len());
        sandbox.run(INGEST).expect(3).says(&[&end]);
        sandbox.reports(small());
        sandbox.write("in.jsonl", pack(&small()));
        sandbox.run(INGEST).expect(0);
        sandbox.reports(small());
    }
}

#[test]
fn garbage_behind_the_last_line_is_told() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", [small(), vec![1; 100]].concat());
    sandbox.run(INGEST).expect(3).says(&["warning: in.jsonl:401 (byte ", "left for the next run"]);
    sandbox.reports(small());
    sandbox.write("in.jsonl", small());
    sandbox.run(INGEST).expect(0);
    sandbox.reports(small());
}
