//! P3, no starting over: an input is known by its content, and a run of `ingest` reads what the store has not seen of it.

mod support;

use std::fs;

use support::cli::{Sandbox, generated, gzip, message, spread, zstd};

const INGEST: &str = "ingest --store s --progress json in.jsonl";

/// An input longer than the windows by which it is known.
fn input() -> Vec<u8> {
    generated("-n 1000 --sites 10 --copies 0.1")
}

/// Cut at the end of a line near the middle.
fn halves(input: &[u8]) -> (&[u8], &[u8]) {
    let at = input.len() / 2;
    input.split_at(at + 1 + input[at..].iter().position(|&byte| byte == b'\n').unwrap())
}

fn length(bytes: &[u8]) -> u64 {
    bytes.len() as u64
}

#[test]
fn a_file_that_was_read_is_not_read_again() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", input());
    let end = length(&input());
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, end));
    let before = sandbox.read("s/0000000001.wal");
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (end, end));
    assert!(sandbox.read("s/0000000001.wal") == before, "a rerun has nothing to add");
    sandbox.reports(input());
}

#[test]
fn the_summary_says_what_was_read() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", input());
    let end = format!("durable up to byte {}", input().len());
    sandbox.run("ingest --store s in.jsonl").expect(0).says(&["in.jsonl: 1000 lines, 1000 events, 0 rejects", &end]);
    let place = format!("in.jsonl: going on at byte {}, after line 1000", input().len());
    sandbox.run("ingest --store s in.jsonl").expect(0).says(&[&place]).says(&["in.jsonl: 0 lines", &end]);
}

#[test]
fn a_file_that_grew_is_gone_on_with() {
    let sandbox = Sandbox::new();
    let input = input();
    let mut offset = 0;
    // Below the window of its head, beyond it, and far beyond.
    for end in [100, 1_000, 3_000, 5_000, 50_000, input.len()] {
        sandbox.write("in.jsonl", &input[..end]);
        let is_cut = input[end - 1] != b'\n';
        let (from, to) = sandbox.run(INGEST).expect(if is_cut { 3 } else { 0 }).read();
        let lines = input[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at as u64 + 1);
        assert_eq!((from, to), (offset, lines), "up to byte {end}");
        sandbox.reports(&input[..end]);
        offset = to;
    }
    assert_eq!(sandbox.sources().len(), 1);
}

#[test]
fn a_file_may_be_renamed_and_copied() {
    let sandbox = Sandbox::new();
    let input = input();
    let (first, rest) = halves(&input);
    sandbox.write("in.jsonl", first);
    sandbox.run(INGEST).expect(0);
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("renamed")).unwrap();
    sandbox.append("renamed", rest);
    fs::create_dir(sandbox.path("elsewhere")).unwrap();
    fs::copy(sandbox.path("renamed"), sandbox.path("elsewhere/copy")).unwrap();
    let ran = sandbox.run("ingest --store s --progress json renamed").expect(0);
    assert_eq!(ran.read(), (length(first), length(&input)));
    let ran = sandbox.run("ingest --store s --progress json elsewhere/copy").expect(0);
    assert_eq!(ran.read(), (length(&input), length(&input)));
    sandbox.reports(&input);
    assert_eq!(sandbox.sources().len(), 1);
}

#[test]
fn a_file_may_be_compressed_and_decompressed() {
    for pack in [gzip, zstd] {
        let sandbox = Sandbox::new();
        let input = input();
        let (first, rest) = halves(&input);
        let end = length(&input);
        sandbox.write("in.jsonl", first);
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, length(first)));
        sandbox.write("in.jsonl", pack(&input));
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (length(first), end));
        sandbox.write("in.jsonl", pack(&input));
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (end, end));
        sandbox.write("in.jsonl", [&input, rest].concat());
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (end, end + length(rest)));
        sandbox.reports(&input);
    }
}

#[test]
fn a_compressed_file_may_have_many_members() {
    for pack in [gzip, zstd] {
        let sandbox = Sandbox::new();
        let input = spread(&generated("-n 2000"), 10 << 20);
        let (first, rest) = halves(&input);
        // Cut anywhere, not at the ends of lines, and with an empty one.
        let members: Vec<u8> = first.chunks(1_000_003).chain([&b""[..]]).flat_map(pack).collect();
        sandbox.write("in.jsonl", &members);
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, length(first)));
        sandbox.append("in.jsonl", pack(rest));
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (length(first), length(&input)));
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (length(&input), length(&input)));
        sandbox.reports(&input);
    }
}

#[test]
fn compressed_standard_input_is_recognised() {
    for pack in [gzip, zstd] {
        let sandbox = Sandbox::new();
        sandbox.run_with("ingest --store s -", &pack(&input())).expect(0);
        sandbox.reports(input());
    }
}

#[test]
fn a_file_that_changed_is_read_from_its_start() {
    // In the head, and before the place that was reached.
    for at in [50, input().len() - 1000] {
        let sandbox = Sandbox::new();
        let before = input();
        sandbox.write("in.jsonl", &before);
        sandbox.run(INGEST).expect(0);
        let mut after = before.clone();
        // In a name, so that the lines stay events.
        let at = (at..).find(|&at| after[at..].starts_with(b"\"id\":\"")).unwrap() + 6;
        after[at] ^= 1;
        sandbox.write("in.jsonl", &after);
        assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, length(&after)));
        sandbox.reports([before, after].concat());
        assert_eq!(sandbox.sources().len(), 2);
    }
}

#[test]
fn a_file_that_was_cut_is_read_from_its_start() {
    let sandbox = Sandbox::new();
    let input = input();
    let (first, _) = halves(&input);
    sandbox.write("in.jsonl", &input);
    sandbox.run(INGEST).expect(0);
    sandbox.write("in.jsonl", first);
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, length(first)));
    sandbox.reports(&input);
}

#[test]
fn two_files_with_one_head_do_not_disturb_each_other() {
    let sandbox = Sandbox::new();
    let input = input();
    let (head, rest) = halves(&input);
    let other = generated("-n 500 --seed 2");
    let (one, two) = ([head, rest].concat(), [head, &other].concat());
    for round in 0..2 {
        for (name, bytes) in [("one", &one), ("two", &two)] {
            sandbox.write(name, bytes);
            let (from, to) = sandbox.run(&format!("ingest --store s --progress json {name}")).expect(0).read();
            assert_eq!((from, to), (if round == 0 { 0 } else { length(bytes) }, length(bytes)));
        }
    }
    sandbox.append("one", message("new", "a", "v", 1));
    sandbox.append("two", message("new", "b", "v", 2));
    let ran = sandbox.run("ingest --store s --progress json two one").expect(0);
    let read: Vec<u64> = ran.done().iter().map(|done| done["lines"].as_u64().unwrap()).collect();
    assert_eq!(read, [1, 1]);
    sandbox.reports([sandbox.read("one"), sandbox.read("two")].concat());
    // What both began with is a third file; it matches what is behind it in neither, so it is one of its own.
    sandbox.write("in.jsonl", head);
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (0, length(head)));
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (length(head), length(head)));
    assert_eq!(sandbox.sources().len(), 3);
}

#[test]
fn the_furthest_place_that_matches_wins() {
    let sandbox = Sandbox::new();
    let input = input();
    let (first, _) = halves(&input);
    sandbox.write("in.jsonl", &input);
    sandbox.run(INGEST).expect(0);
    sandbox.write("short", first);
    sandbox.run("ingest --store s short").expect(0);
    assert_eq!(sandbox.run(INGEST).expect(0).read(), (length(&input), length(&input)));
}

#[test]
fn from_start_reads_all_and_counts_nothing_twice() {
    let sandbox = Sandbox::new();
    let input = [input(), b"oops\n".to_vec()].concat();
    sandbox.write("in.jsonl", &input);
    sandbox.run(INGEST).expect(3);
    let rejects = sandbox.run("rejects --store s").expect(0).out;
    let ran = sandbox.run(&format!("{INGEST} --from-start")).expect(3);
    assert_eq!(ran.read(), (0, length(&input)));
    sandbox.reports(&input);
    assert_eq!(sandbox.run("rejects --store s").expect(0).out, rejects);
    assert_eq!(sandbox.sources().len(), 1);
    assert_eq!(sandbox.run(INGEST).expect(3).read(), (length(&input), length(&input)));
}

#[test]
fn a_forgotten_input_is_read_again_and_its_events_stay() {
    let sandbox = Sandbox::new();
    let input = [input(), b"oops\n".to_vec()].concat();
    sandbox.write("in.jsonl", &input);
    sandbox.write("other", message("other", "a", "v", 1) + "other oops\n");
    sandbox.run("ingest --store s in.jsonl other").expect(3);
    let both = [sandbox.read("in.jsonl"), sandbox.read("other")].concat();
    let sources = sandbox.sources();
    let of = |name: &str| sources.iter().find(|source| source["source"] == name).unwrap().clone();
    assert_eq!((&of("in.jsonl")["byte"], &of("in.jsonl")["line"]), (&length(&input).into(), &1001.into()));
    assert_eq!((&of("in.jsonl")["events"], &of("in.jsonl")["rejects"]), (&1000.into(), &1.into()));
    let instance = of("in.jsonl")["instance"].as_str().unwrap().to_owned();

    sandbox.run("sources forget 0123 --store s").fails(2, &["0123: no such input"]);
    sandbox.run(&format!("sources forget {instance} --store s")).expect(0).says(&["forgot 1 input"]);
    assert_eq!(sandbox.sources().len(), 1);
    let rejects = sandbox.run("rejects --store s").expect(0).out;
    assert!(rejects.starts_with("other:2 (byte 95): ") && rejects.lines().count() == 1, "{rejects}");
    sandbox.reports(&both);
    assert_eq!(sandbox.run(INGEST).expect(3).read(), (0, length(&input)));
    sandbox.reports(&both);
    assert_eq!(sandbox.run("rejects --store s").expect(0).out.lines().count(), 2);
}

#[test]
fn standard_input_is_always_new_and_its_copies_count_once() {
    let sandbox = Sandbox::new();
    for times in 1..=2 {
        let ran = sandbox.run_with("ingest --store s --progress json -", &input()).expect(0);
        assert_eq!(ran.read(), (0, length(&input())));
        sandbox.reports(input());
        assert_eq!(sandbox.sources().len(), times);
    }
    let stat = sandbox.stat();
    assert_eq!(stat["lines_accepted"], 2000);
    assert_eq!(stat["events"], 900);
    assert_eq!(stat["copies"], 1100);
}

#[test]
fn several_files_are_one_input_each() {
    let sandbox = Sandbox::new();
    let input = input();
    let pieces: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let names: Vec<String> = (0..10).map(|number| format!("part-{number}")).collect();
    for (name, lines) in names.iter().zip(pieces.chunks(100)) {
        sandbox.write(name, lines.concat());
    }
    let all = format!("ingest --store s --progress json {}", names.join(" "));
    let total = |ran: support::cli::Ran| ran.done().iter().map(|done| done["bytes"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(total(sandbox.run(&all).expect(0)), length(&input));
    assert_eq!(total(sandbox.run(&all).expect(0)), 0);
    sandbox.append("part-3", message("new", "a", "v", 1));
    assert_eq!(total(sandbox.run(&all).expect(0)), message("new", "a", "v", 1).len() as u64);
    assert_eq!(sandbox.sources().len(), 10);
    sandbox.reports([input, message("new", "a", "v", 1).into_bytes()].concat());
}

#[test]
fn run_again_goes_on_in_the_same_store() {
    let sandbox = Sandbox::new();
    let input = input();
    let (first, rest) = halves(&input);
    sandbox.write("in.jsonl", first);
    let report = |bytes| String::from_utf8(support::naive::report(bytes)).unwrap();
    assert_eq!(sandbox.run("run in.jsonl").expect(0).out, report(first));
    sandbox.append("in.jsonl", rest);
    let ran = sandbox.run("run --progress json in.jsonl").expect(0);
    assert_eq!(ran.out, report(&input));
    assert_eq!(ran.read(), (length(first), length(&input)));
    assert!(sandbox.has("in.jsonl.chatwal"));
}
