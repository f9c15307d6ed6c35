//! P2, same bytes: the report is a function of the set of events. How they arrived, how they were cut, who worked on them
//! and what was killed on the way changes no byte of it.

mod support;

use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::Duration;

use chatwal::event::Site;
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::directory::SectionKind;
use chatwal::format::frame::FrameKind;
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::repeats::Seek;
use chatwal::intake::source::Source;
use chatwal::store::log::Log;
use chatwal::store::{ACKNOWLEDGED_NAME, View, segment_name};
use support::cli::{Dice, Running, Sandbox, generated, message, spread, status};
use support::naive::{self, Naive};
use support::sim::SimDisk;
use support::store::{report, sync, text};

/// Events with copies, busy and quiet sites, every kind of white space and escape, and wrong lines.
fn input() -> Vec<u8> {
    generated("-n 6000 --sites 40 --copies 0.3 --skew hot --style shuffled --bad 0.02 --status-share 0.3")
}

fn lines(input: &[u8]) -> Vec<&[u8]> {
    input.split_inclusive(|&byte| byte == b'\n').collect()
}

fn rejects(input: &[u8]) -> usize {
    let mut naive = Naive::new();
    naive.feed_input(input);
    naive.rejects()
}

#[test]
fn any_order_of_arrival() {
    let input = input();
    let mut lines = lines(&input);
    for seed in 0..4 {
        Dice(seed).shuffle(&mut lines);
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", lines.concat());
        sandbox.run("ingest --store s in.jsonl").expect(3);
        sandbox.reports(&input);
    }
}

/// Lines are made by all threads, a stretch each: they come out in order, however many there are.
#[test]
fn a_report_of_many_sites_is_in_order() {
    let input = generated("-n 60000 --sites 40000 --site-bytes 40");
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let expected = sandbox.run("report --store s --threads 1").expect(0).out;
    let names: Vec<&str> = expected.lines().map(|line| &line[..40]).collect();
    assert!(names.len() > 30_000 && names.is_sorted());
    for (threads, memory) in [(2, "128M"), (8, "128M"), (3, "1M"), (64, "16M")] {
        for turn in 0..3 {
            let command = format!("report --store s --threads {threads} --memory {memory}");
            assert!(sandbox.run(&command).expect(0).out == expected, "{threads} threads, {memory}, {turn}");
        }
    }
}

#[test]
fn any_duplication() {
    let input = input();
    let sandbox = Sandbox::new();
    let mut lines: Vec<&[u8]> = lines(&input).repeat(3);
    Dice(1).shuffle(&mut lines);
    sandbox.write("in.jsonl", lines.concat());
    sandbox.run("ingest --store s in.jsonl").expect(3);
    sandbox.reports(&input);
    let mut naive = Naive::new();
    naive.feed_input(&input);
    let stat = sandbox.stat();
    assert_eq!(stat["events"], naive.unique());
    assert_eq!(stat["lines_accepted"], naive.events() * 3);
    assert_eq!(stat["disagreeing"], naive.disagreeing());
}

/// Lines many of which repeat earlier ones, wrong ones among them; several chunks of them.
fn repeating() -> Vec<u8> {
    generated("-n 300000 --sites 300 --copies 15x --bad 0.01 --order random")
}

#[test]
fn repeated_lines_are_counted_and_not_stored_again() {
    let input = repeating();
    let mut naive = Naive::new();
    naive.feed_input(&input);
    for threads in [1, 2] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", &input);
        let ingested = sandbox.run(&format!("ingest --store s --threads {threads} --progress json in.jsonl")).expect(3);
        assert_eq!(ingested.done()[0]["events"], naive.events());
        assert_eq!(sandbox.report().as_bytes(), naive.report());
        let check = || {
            let stat = sandbox.stat();
            assert_eq!(stat["events"], naive.unique());
            assert_eq!(stat["lines_accepted"], naive.events());
            assert_eq!(stat["copies"], naive.events() - naive.unique() as u64);
            assert_eq!(stat["rejects"], naive.rejects(), "each of them, also of those that are alike");
            assert_eq!(sandbox.sources()[0]["events"], naive.events());
            sandbox.run("verify --store s").expect(0);
            stat["bytes"].as_u64().unwrap()
        };
        // Each worker keeps an event once; until a worker has seen that many repeat, each line.
        let bytes = check();
        assert!(bytes < naive.events() * 16, "{bytes} bytes for {} lines", naive.events());
        sandbox.run("compact --store s").expect(0);
        check();
        assert_eq!(sandbox.report().as_bytes(), naive.report());
    }
}

/// A crash leaves a prefix of the log, and whatever it acknowledges has to be in it: a line may be left out only if the event
/// is in the same frame or before it, whoever read it.
#[test]
fn each_prefix_of_the_log_holds_the_events_of_all_its_lines() {
    let input = repeating();
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    let disk = SimDisk::new(1);
    let (mut log, view, _) = Log::open(disk.storage(), sync(1 << 30)).unwrap();
    let mut inputs = view.inputs;
    let seek = Seek { always: true, ..Seek::default() };
    let options =
        IngestOptions { threads: 4, max_rejects: MaxRejects::All, from_start: false, seek, ..IngestOptions::default() };
    let source = Source::open(&sandbox.path("in.jsonl")).unwrap();
    ingest(&mut log, &mut inputs, source, options, Caller { stop: &AtomicBool::new(false), notify: &mut |_| () })
        .unwrap();
    log.settle().unwrap();
    let mut naive = Naive::new();
    let (mut read, mut batches, mut repeats) = (0, 0, 0);
    let view = View::open(&disk).unwrap();
    for place in view.frames.iter().filter(|place| place.frame.header.kind == FrameKind::Batch) {
        let end = place.checkpoint(&view.segments[0]).unwrap().end as usize;
        naive.feed_input(&input[read..end]);
        (read, batches) = (end, batches + 1);
        repeats += place.frame.count(SectionKind::Repeats);
        let cut = disk.fork();
        cut.lose(ACKNOWLEDGED_NAME);
        cut.edit(&segment_name(1), |bytes| bytes.truncate(place.frame.end() as usize));
        let found = report(&View::open(&cut).unwrap()).unwrap();
        assert_eq!(text(&found), text(&naive.report()), "up to byte {end}");
    }
    assert_eq!(read, input.len());
    assert!(batches > 8 && repeats > naive.events() / 2, "{batches} batches, {repeats} repeats");
}

#[test]
fn any_cut_into_files() {
    let input = input();
    let lines = lines(&input);
    for (seed, files) in [(1, 2), (2, 7), (3, 60)] {
        let sandbox = Sandbox::new();
        let mut dice = Dice(seed);
        let mut parts = vec![Vec::new(); files];
        for line in &lines {
            parts[dice.below(files as u64) as usize].extend_from_slice(line);
        }
        let names: Vec<String> = (0..files).map(|number| format!("part-{number}")).collect();
        for (name, part) in names.iter().zip(&parts) {
            sandbox.write(name, part);
        }
        // In two runs, and a part of them in both.
        let (first, second) = (names[..files / 2 + 1].join(" "), names[files / 2..].join(" "));
        sandbox.run(&format!("ingest --store s --segment-size 16K {first}")).expect(3);
        sandbox.run(&format!("ingest --store s {second}")).expect(3);
        sandbox.reports(&input);
        assert_eq!(sandbox.stat()["rejects"], rejects(&input), "rejects are counted once");
    }
}

#[test]
fn any_threads_segments_memory_and_durability() {
    let input = spread(&input(), 12 << 20);
    let expected = naive::report(&input);
    for options in [
        "--threads 1",
        "--threads 2 --segment-size 4096",
        "--threads 5 --segment-size 100K",
        "--durability os",
        "--durability os --segment-size 50K --threads 5",
    ] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", &input);
        sandbox.run(&format!("ingest --store s in.jsonl {options}")).expect(3);
        for options in
            ["--threads 1", "--threads 2", "--threads 5", "--memory 1M", "--memory 1M --threads 5", "--memory 2M"]
        {
            let ran = sandbox.run(&format!("report --store s {options}")).expect(0);
            assert!(ran.out.as_bytes() == expected, "{options}");
        }
        let ran = sandbox.run(&format!("run --store s in.jsonl {options}")).expect(3);
        assert!(ran.out.as_bytes() == expected, "{options}");
    }
}

/// A shard of so many events is worked on in parts, of some of its sites each.
#[test]
fn a_large_shard() {
    let of_one_shard = |name: &String| shard(site_hash(Site::new(name.as_bytes()))) == 7;
    let numbers = (1..).map(|number: u32| number.to_string()).filter(of_one_shard).take(60);
    // Their numbers in a table are by arrival, so a snapshot that trusted those would have them in another order.
    let names = (1..).map(|number: u32| format!("shop-{number}")).filter(of_one_shard).take(30);
    let mut sites: Vec<String> = numbers.chain(names).collect();
    Dice(3).shuffle(&mut sites);
    let mut dice = Dice(4);
    let mut input = String::new();
    for number in 0..230_000 {
        let site = &sites[(dice.below(90).min(dice.below(90))) as usize];
        let (id, from, at) = (dice.below(100_000), dice.below(200), dice.below(1_000_000) as i64);
        let (id, from) = (format!("00000000-0000-4000-8000-{id:012x}"), format!("visitor{from}"));
        input += &match number % 4 {
            0 => status(site, &id, "op@x.org", at, ["online", "offline"][dice.below(2) as usize]),
            _ => message(site, &id, &from, at),
        };
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.reports(&input);
    let held = sandbox.run("report --store s --memory 4M").expect(0).out;
    assert!(held == sandbox.report(), "the answer depends on the memory");
    sandbox.run("compact --store s").expect(0);
    sandbox.reports(&input);
    sandbox.run("verify --store s").expect(0);
    // Sites of a snapshot and the same sites of the tail.
    sandbox.run("ingest --store s in.jsonl --from-start").expect(0);
    sandbox.reports(&input);
}

#[test]
fn run_is_ingest_and_report() {
    let input = input();
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    let ran = sandbox.run("run in.jsonl").expect(3);
    assert!(ran.out.as_bytes() == naive::report(&input));
    assert!(sandbox.run("report --store in.jsonl.chatwal").expect(0).out == ran.out);
}

/// The input offset that the store has reached.
fn reached(sandbox: &Sandbox) -> u64 {
    match sandbox.run("sources --store s --format ndjson") {
        ran if ran.code == Some(10) => 0,
        ran => ran.expect(0).records().first().map_or(0, |source| source["byte"].as_u64().unwrap()),
    }
}

/// Kills many ingests of one input at random moments, each time going on in the same store, until one gets to the end.
/// Gives the number of kills, and of those of them that left something to go on with.
fn survive(input: &[u8], options: &str, pause: u64, seed: u64) -> (u32, u32) {
    let mut dice = Dice(seed);
    let whole = Sandbox::new();
    whole.write("in.jsonl", input);
    whole.run("ingest --store s in.jsonl").expect(3);
    let (report, rejects) = (whole.report(), whole.run("rejects --store s").expect(0).out);
    let instance = whole.sources()[0]["instance"].as_str().unwrap().to_owned();
    assert!(!instance.is_empty());

    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", input);
    let command = format!("ingest --store s in.jsonl {options}");
    let (mut kills, mut resumed, mut before) = (0, 0, 0);
    while kills < 6 {
        let mut running = Running::start(sandbox.chatwal(&command));
        sleep(Duration::from_millis(dice.below(pause)));
        if running.has_ended() {
            before = input.len() as u64;
            break;
        }
        running.kill();
        kills += 1;
        let now = reached(&sandbox);
        assert!(now >= before, "went back from {before} to {now}");
        resumed += u32::from(now > 0 && now < input.len() as u64);
        before = now;
        // What is there is the report of what was read.
        if now > 0 {
            let part = Sandbox::new();
            part.write("in.jsonl", &input[..now as usize]);
            part.run("ingest --store s in.jsonl");
            assert!(sandbox.report() == part.report(), "killed after byte {now}");
        }
    }
    let (from, to) = sandbox.run(&format!("{command} --progress json")).expect(3).read();
    assert_eq!((from, to), (before, input.len() as u64), "goes on where the last kill left it");
    assert!(sandbox.report() == report, "after {kills} kills");
    assert!(sandbox.run("rejects --store s").expect(0).out == rejects);
    assert_eq!(sandbox.run(&format!("{command} --progress json")).expect(3).read(), (to, to));
    (kills, resumed)
}

#[test]
fn killed_at_random_moments() {
    let input = generated("-n 200000 --sites 3000 --copies 0.1 --bad 0.0005");
    let (mut kills, mut resumed, mut seed) = (0, 0, 0);
    while kills < 24 {
        let options = ["--segment-size 4096", "--segment-size 1M", "--durability os", "--threads 1"][seed % 4];
        let (killed, went_on) = survive(&input, options, 150, seed as u64);
        (kills, resumed, seed) = (kills + killed, resumed + went_on, seed + 1);
    }
    eprintln!("{kills} kills, {resumed} of them with a place to go on at");
    assert!(resumed > 0, "the kills came too early to prove anything");
    // And the undisturbed run, which all of them were compared with, is right.
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(3);
    sandbox.reports(&input);
}

#[test]
fn killed_while_it_rolls_and_recovers() {
    // Many small inputs make many small frames, and each one a segment of its own.
    let input = generated("-n 3000 --sites 20 --copies 0.1");
    let sandbox = Sandbox::new();
    let mut names = Vec::new();
    for (number, part) in lines(&input).chunks(10).enumerate() {
        names.push(format!("part-{number}"));
        sandbox.write(&names[number], part.concat());
    }
    let command = format!("ingest --store s --segment-size 4096 {}", names.join(" "));
    let mut dice = Dice(3);
    let mut kills = 0;
    for _ in 0..12 {
        let mut running = Running::start(sandbox.chatwal(&command));
        sleep(Duration::from_millis(dice.below(60)));
        if running.has_ended() {
            break;
        }
        running.kill();
        kills += 1;
        if sandbox.has("s/0000000001.wal") {
            sandbox.run("report --store s").expect(0);
        }
    }
    assert!(kills > 0);
    sandbox.run(&command).expect(0);
    sandbox.reports(&input);
    assert_eq!(sandbox.sources().len(), names.len());
    assert_eq!(sandbox.stat()["lines_accepted"], 3000, "no line was kept twice");
}

/// Lines of every kind: short and long, several objects a line, wrong ones, holes, and one that is longer than a chunk.
fn of_every_kind() -> Vec<u8> {
    let plain = |seed| generated(&format!("-n 45000 --sites 50 --bad 0.01 --style shuffled --seed {seed}"));
    let one = |number: usize| message("7", &format!("x{number}"), "v", number as i64);
    let on_a_line: Vec<u8> = (0..60_000).flat_map(|number| one(number).trim_end().as_bytes().to_vec()).collect();
    let wide: Vec<u8> = (0..200)
        .flat_map(|number| {
            one(number).replace("\"data\"", &format!("\"wide\":\"{}\",\"data\"", "w".repeat(90_000))).into_bytes()
        })
        .collect();
    let wrong = [vec![b'x'; 9 << 20], b"\n".to_vec()].concat();
    let hole = vec![0; 6 << 20];
    let end = one(7).into_bytes();
    [plain(1), on_a_line, b"\n".to_vec(), plain(2), wide, plain(3), wrong, plain(4), hole, plain(5), end[..30].to_vec()]
        .concat()
}

/// What of a store does not depend on when the disk was done: where each batch ends, and its sections.
fn batches(disk: &SimDisk) -> Vec<(u64, u64, u64, Vec<u8>)> {
    let view = View::open(disk).unwrap();
    let batch = |place: &chatwal::store::Place| {
        let segment = &view.segments[place.segment];
        let checkpoint = place.checkpoint(segment).unwrap();
        let sections = place.frame.sections.iter().flat_map(|section| segment.section(section).unwrap()).collect();
        (checkpoint.start, checkpoint.end, checkpoint.end_line, sections)
    };
    view.frames.iter().filter(|place| place.frame.header.kind == FrameKind::Batch).map(batch).collect()
}

#[test]
fn any_number_of_threads() {
    let input = of_every_kind();
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    let mut naive = Naive::new();
    naive.feed_input(&input);
    let mut one = None;
    for threads in [1, 2, 3, 8, 12, 64] {
        let disk = SimDisk::new(1);
        let (mut log, view, _) = Log::open(disk.storage(), sync(1 << 30)).unwrap();
        let mut inputs = view.inputs;
        // Where there is the memory for it, up to eight make the same batches.
        let memory = if threads <= 8 { 1 << 30 } else { 64 << 20 };
        let options = IngestOptions { threads, memory, max_rejects: MaxRejects::All, ..IngestOptions::default() };
        let source = Source::open(&sandbox.path("in.jsonl")).unwrap();
        let outcome = ingest(
            &mut log,
            &mut inputs,
            source,
            options,
            Caller { stop: &AtomicBool::new(false), notify: &mut |_| () },
        )
        .unwrap();
        log.settle().unwrap();
        let view = View::open(&disk).unwrap();
        assert_eq!(text(&report(&view).unwrap()), text(&naive.report()), "{threads} threads");
        let found = batches(&disk);
        let mut at = (0, 0);
        for (start, end, line, _) in &found {
            assert!(
                *start == at.0 && *end >= at.0 && *line >= at.1,
                "{threads} threads: from {start} to {end}, line {line}"
            );
            at = (*end, *line);
        }
        assert_eq!((at.0, outcome.left), (input.len() as u64 - 30, Some(30)), "{threads} threads");
        let rejects = view.inputs.values().map(|input| input.rejects).sum::<u64>();
        assert_eq!(rejects as usize, naive.rejects(), "{threads} threads");
        let (found, lines) = ((found, rejects), at.1);
        match &one {
            None => one = Some((found, lines)),
            Some((one, _)) if threads <= 8 => assert!(*one == found, "{threads} threads: other batches"),
            Some((_, expected)) => {
                assert_eq!(lines, *expected, "{threads} threads");
                assert!(found.0.len() > 10);
            }
        }
    }
}

/// A file that is cut while many read it: what comes before the cut is stored, in order and once, and the rest is an error.
#[test]
fn a_file_that_is_cut_while_many_read_it() {
    let input = generated("-n 200000 --sites 50");
    let sandbox = Sandbox::new();
    for round in 0..12 {
        sandbox.write("in.jsonl", &input);
        let disk = SimDisk::new(round);
        let (mut log, view, _) = Log::open(disk.storage(), sync(1 << 30)).unwrap();
        let mut inputs = view.inputs;
        let options = IngestOptions { threads: 16, ..IngestOptions::default() };
        let path = sandbox.path("in.jsonl");
        let source = Source::open(&path).unwrap();
        let cut = (input.len() / 13 * (round as usize + 1)) as u64;
        let ran = std::thread::scope(|scope| {
            scope.spawn(|| {
                sleep(Duration::from_micros(700 * round));
                std::fs::File::options().write(true).open(&path).unwrap().set_len(cut).unwrap();
            });
            ingest(
                &mut log,
                &mut inputs,
                source,
                options,
                Caller { stop: &AtomicBool::new(false), notify: &mut |_| () },
            )
        });
        let _ = log.settle();
        let view = View::open(&disk).unwrap();
        let stored = view.inputs.values().map(|input| input.checkpoint.end).max().unwrap_or(0);
        match ran {
            Ok(outcome) => assert_eq!(outcome.offset, input.len() as u64),
            Err(error) => {
                assert!(error.to_string().contains("shrank"), "{error}");
                let whole = input[..cut as usize].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
                assert!(stored >= whole as u64, "{stored} bytes are stored of {whole}");
            }
        }
        let mut naive = Naive::new();
        naive.feed_input(&input[..stored as usize]);
        assert_eq!(text(&report(&view).unwrap()), text(&naive.report()), "round {round}, {stored} bytes");
        assert_eq!(view.inputs.values().map(|input| input.events).sum::<u64>(), naive.events());
    }
}
