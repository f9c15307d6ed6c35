//! P8, hostile or unlucky shapes: inputs that hold no events, rejects by the million, files by the thousand. What is told of
//! them stays short, what is kept of them small, and the work grows with their size alone.

mod support;

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chatwal::disk::{Disk, Storage};
use chatwal::intake::ingest::{Caller, IngestOptions, Intake, MaxRejects};
use chatwal::intake::repeats::Seek;
use chatwal::intake::source::Source;
use chatwal::store::log::{Log, LogOptions};
use chatwal::upkeep::compact::{Background, CompactOptions};
use support::cli::{Sandbox, message};
use support::setting;

/// Wrong lines, each different from the others.
fn wrong(count: usize) -> String {
    (0..count).map(|number| format!("wrong {number}\n")).collect()
}

/// Events, one a line.
fn events(count: usize) -> String {
    (0..count).map(|number| message("1", &number.to_string(), "v", number as i64)).collect()
}

#[track_caller]
fn holds(sandbox: &Sandbox, events: usize, rejects: usize) {
    let stat = sandbox.stat();
    assert_eq!((&stat["events"], &stat["rejects"]), (&events.into(), &rejects.into()));
}

#[test]
fn one_reject_more_than_allowed_is_an_error_that_names_it() {
    let sandbox = Sandbox::new();
    let input = ["x\n", &events(2), "y\n\n", "zz\n"].concat();
    let third = format!("in.jsonl:6 (byte {})", input.len() - 3);
    sandbox.write("in.jsonl", &input);
    for command in ["ingest --store s --max-rejects 2 in.jsonl", "run --store s --max-rejects 2 in.jsonl"] {
        let ran = sandbox.run(command).fails(1, &[&third, "reject 3", "and 2 are allowed"]);
        assert_eq!(ran.out, "");
        holds(&sandbox, 0, 0);
    }
    sandbox.run("ingest --store s --max-rejects 0 in.jsonl").fails(1, &["in.jsonl:1 (byte 0)", "JSON"]);
    sandbox.run("ingest --store s --max-rejects 3 in.jsonl").expect(3);
    holds(&sandbox, 2, 3);
    // Those of earlier runs count, and a run that finds no new one has nothing to complain of.
    sandbox.run("ingest --store s --max-rejects 0 in.jsonl").expect(3);
    sandbox.append("in.jsonl", "w\n");
    let fourth = format!("in.jsonl:7 (byte {})", input.len());
    sandbox.run("ingest --store s --max-rejects 3 in.jsonl").fails(1, &[&fourth, "reject 4"]);
    sandbox.run("ingest --store s --max-rejects 1 in.jsonl").fails(1, &[&fourth, "reject 4", "and 1 are allowed"]);
    sandbox.run("ingest --store s --max-rejects 4 in.jsonl").expect(3);
    holds(&sandbox, 2, 4);
    sandbox.run("ingest --store s --max-rejects all in.jsonl").expect(3);
    for wrong in ["--max-rejects 1 --strict", "--max-rejects -1", "--max-rejects some"] {
        sandbox.run(&format!("ingest --store s {wrong} in.jsonl")).expect(2);
    }
}

#[test]
fn an_input_whose_first_lines_are_all_wrong_is_refused() {
    let sandbox = Sandbox::new();
    let blanks = "\n \t\r\n";
    let input = [blanks, &wrong(500), blanks, &wrong(500), &events(5)].concat();
    sandbox.write("in.jsonl", &input);
    sandbox.write("good.jsonl", events(3));
    let first = "line 3 (byte 5)";
    sandbox
        .run("run --store s in.jsonl")
        .fails(1, &["in.jsonl", "first 1000 lines", first, "JSON"])
        .says(&["hint", "all"]);
    holds(&sandbox, 0, 0);
    // It is no reason to leave out the others.
    sandbox.run("ingest --store s in.jsonl good.jsonl").fails(1, &["first 1000 lines"]);
    holds(&sandbox, 3, 0);
    sandbox.run("ingest --store s --max-rejects 1000 in.jsonl").expect(3);
    holds(&sandbox, 5, 1000);
    // One event among them, and they are rejects as ever; so are fewer.
    for (name, lines) in [("a", [wrong(999), events(1), wrong(999)].concat()), ("b", wrong(999))] {
        let sandbox = Sandbox::new();
        sandbox.write(name, &lines);
        sandbox.run(&format!("ingest --store s {name}")).expect(3);
        sandbox.append(name, wrong(2000));
        let again = sandbox.run(&format!("ingest --store s {name}"));
        match name {
            "a" => drop(again.expect(3)),
            // The lines of the run before count, too.
            _ => drop(again.fails(1, &["first 1000 lines", "999 of which the store holds", "line 1000"])),
        }
    }
}

/// Wrong lines that are alike, millions of which are a few kilobytes as an input, become a few kilobytes of store; and who
/// lists them needs no memory for them.
#[test]
fn millions_of_wrong_lines_stay_small() {
    let count = setting("CHATWAL_WRONG_LINES", 200_000) as usize;
    let sandbox = Sandbox::new();
    let file = std::fs::File::create(sandbox.path("in.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(file, flate2::Compression::best());
    let piece = "oops\n".repeat(10_000);
    for _ in 0..count / 10_000 {
        packed.write_all(piece.as_bytes()).unwrap();
    }
    packed.finish().unwrap();
    sandbox.run("ingest --store s in.gz").fails(1, &["first 1000 lines", "line 1 (byte 0)"]);
    sandbox.run("ingest --store s --max-rejects all in.gz").expect(3);
    for round in ["log", "snapshot"] {
        let stat = sandbox.stat();
        assert_eq!(stat["rejects"], count);
        let bytes = stat["bytes"].as_u64().unwrap();
        println!("{round}: {bytes} bytes for {count} rejects");
        assert!(bytes < 8192 + count as u64 / 1000, "{bytes} bytes of {round} for {count} rejects");
        sandbox.run("verify --store s").expect(0);
        for format in ["line", "csv", "json", "ndjson", "table"] {
            // The address space bounds what it can take at all.
            let listed =
                sandbox.shell(&format!("ulimit -v 150000; $chatwal rejects --store s --format {format} | tail -n 2"));
            let last = count.to_string();
            let wanted = if format == "json" { "]" } else { &last };
            listed.expect(0).prints(&[wanted]);
        }
        let lines = sandbox.shell("$chatwal rejects --store s | wc -l").expect(0);
        assert_eq!(lines.out.trim(), count.to_string());
        sandbox.run("compact --store s").expect(0);
    }
}

/// A directory `f` of so many small files, each with events of its own.
fn files(sandbox: &Sandbox, count: usize) {
    std::fs::create_dir(sandbox.path("f")).unwrap();
    for number in 0..count {
        let event = |nth: usize| message(&format!("{}", nth % 7), &format!("{number}-{nth}"), "v", nth as i64);
        sandbox.write(format!("f/{number:05}.jsonl"), (0..1 + number % 9).map(event).collect::<String>());
    }
}

/// The lines on stderr.
fn said(ran: &support::cli::Ran) -> usize {
    ran.err.lines().count()
}

#[test]
fn of_thousands_of_inputs_only_those_are_told_of_that_have_something_to_say() {
    let count = setting("CHATWAL_FILES", 2_000) as usize;
    let lines: usize = (0..count).map(|number| 1 + number % 9).sum();
    let sandbox = Sandbox::new();
    files(&sandbox, count);
    let all = |options: &str| sandbox.shell(&format!("$chatwal ingest --store s {options} f/*"));
    let total = format!("{count} inputs: {lines} lines, {lines} events, 0 rejects");
    let ran = all("").expect(0).says(&[&total, "durable"]);
    assert_eq!(said(&ran), 1, "{}", ran.err);
    let ran = all("").expect(0).says(&[&format!("{count} inputs, {count} with nothing new: 0 lines")]);
    assert_eq!(said(&ran), 1, "{}", ran.err);
    assert_eq!(sandbox.sources().len(), count);
    assert_eq!(sandbox.stat()["events"], lines);
    // Programs are told of each, and so is who asks for it.
    assert_eq!(all("--progress json").expect(0).done().len(), count);
    assert!(said(&all("-v").expect(0)) >= 2 * count);
    // What has something to say: wrong lines, an end that is none, a file that is not there, one that holds no events.
    sandbox.append("f/00003.jsonl", "oops\n".repeat(9));
    sandbox.append("f/00004.jsonl", "{\"id\":");
    sandbox.write("f/00005.jsonl", "");
    sandbox.write("f/wrong", wrong(1000));
    let ran = all("missing").expect(1);
    let ran = ran.says(&["error", "missing"]).says(&["error", "f/wrong", "first 1000 lines"]);
    let ran =
        ran.says(&["00003.jsonl:", "rejected"]).says(&["00003.jsonl: and 6 more"]).says(&["00003.jsonl: 9 lines"]);
    let ran = ran
        .says(&["00004.jsonl", "the end is incomplete"])
        .says(&["00004.jsonl: 0 lines"])
        .says(&[&format!("{count} inputs, "), "1 empty"]);
    assert_eq!(said(&ran), 2 + 3 + 3 + 1 + 1 + 1 + 1 + 1, "{}", ran.err);
    // Of many that have wrong lines, those of the first are told one by one.
    for number in 0..30 {
        sandbox.append(&format!("f/{number:05}.jsonl"), "\nwrong\n");
    }
    let ran = all("--max-rejects all").expect(3);
    assert_eq!(ran.err.matches("rejected: ").count(), 10 + 1, "{}", ran.err);
    assert_eq!(ran.err.matches("lines/s").count(), 30 + 1 + 1, "{}", ran.err);
}

/// Few are told of as ever.
#[test]
fn each_of_few_inputs_is_told_of() {
    let sandbox = Sandbox::new();
    files(&sandbox, 10);
    let ran = sandbox.shell("$chatwal ingest --store s f/*").expect(0);
    assert_eq!(said(&ran), 10, "{}", ran.err);
    assert_eq!(said(&sandbox.shell("$chatwal ingest --store s f/*").expect(0)), 20);
}

/// Bytes, events and rejects.
type Told = (u64, u64, u64);

/// What `sources` says of standard inputs: bytes, events, rejects of each, and the sums.
fn pipes(sandbox: &Sandbox) -> (Vec<Told>, Told) {
    let sources = sandbox.sources();
    let number = |source: &serde_json::Value, key: &str| source[key].as_u64().unwrap();
    let all = sources.iter().filter(|source| source["source"] == "-");
    let mut pipes: Vec<_> = all.map(|it| (number(it, "byte"), number(it, "events"), number(it, "rejects"))).collect();
    pipes.sort_unstable();
    let sum = pipes.iter().fold((0, 0, 0), |sum, it| (sum.0 + it.0, sum.1 + it.1, sum.2 + it.2));
    (pipes, sum)
}

/// Standard input is a new input each time. Those that have ended are one once they are compacted, and nothing that the store
/// says of all of them changes.
#[test]
fn standard_inputs_that_have_ended_become_one() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", events(7));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let (mut all, mut sum) = (events(7), (0, 0, 0));
    let mut pipe = |sandbox: &Sandbox, number: usize, wrong: usize| {
        let good = message("2", &number.to_string(), "v", 1).repeat(1 + number % 3);
        let input = [good, "oops\n".repeat(wrong)].concat();
        sandbox.run_with("ingest --store s -", input.as_bytes()).expect(if wrong > 0 { 3 } else { 0 });
        sum = (sum.0 + input.len() as u64, sum.1 + 1 + number as u64 % 3, sum.2 + wrong as u64);
        all.push_str(&input);
        (sum, all.clone())
    };
    let check = |sandbox: &Sandbox, count: usize, (sum, all): &(Told, String)| {
        let (pipes, found) = pipes(sandbox);
        assert_eq!((pipes.len(), &found), (count, sum), "{pipes:?}");
        sandbox.reports(all);
        let stat = sandbox.stat();
        assert_eq!(stat["rejects"], sum.2);
        assert_eq!(stat["sources"], count + 1);
        assert_eq!(stat["lines_accepted"], sum.1 + 7);
        assert_eq!(sandbox.run("rejects --store s").expect(0).out.lines().count() as u64, sum.2);
        sandbox.run("verify --store s").expect(0);
    };
    // One alone stays as it is: a file with its content goes on behind it.
    let mut done = pipe(&sandbox, 0, 0);
    sandbox.run("compact --store s").expect(0);
    check(&sandbox, 1, &done);
    for number in 1..6 {
        let _ = pipe(&sandbox, number, 0);
    }
    done = pipe(&sandbox, 6, 2);
    check(&sandbox, 7, &done);
    sandbox.run("compact --store s --all").expect(0);
    check(&sandbox, 1 + 1, &done);
    // More of them, compacted by themselves, again and again; and then all together.
    for round in 0..3 {
        for number in 0..4 {
            done = pipe(&sandbox, 10 * round + number, usize::from(number == 3 && round == 1));
        }
        sandbox.run("compact --store s").expect(0);
        let (found, sum) = pipes(&sandbox);
        assert!(found.len() <= 3 + sandbox.stat()["snapshots"].as_u64().unwrap() as usize, "{found:?}");
        assert_eq!(sum, done.0);
    }
    sandbox.run("compact --store s --all").expect(0);
    check(&sandbox, 1 + 2, &done);
    // The file is known as ever, and the sum is no place to go on at.
    sandbox.run("ingest --store s in.jsonl").expect(0).says(&["going on at byte"]);
    let instance =
        sandbox.sources().iter().find(|it| it["source"] == "-" && it["rejects"] == 0).unwrap()["instance"].clone();
    sandbox.run(&format!("sources forget {} --store s", instance.as_str().unwrap())).expect(0);
    assert_eq!(pipes(&sandbox).0.len(), 2);
    sandbox.reports(&done.1);
    sandbox.run("compact --store s --all").expect(0);
    assert_eq!(pipes(&sandbox).0.len(), 2);
    sandbox.run("verify --store s").expect(0);
}

/// Two that have ended, in a store whose segments are sealed.
fn two_pipes() -> Sandbox {
    let sandbox = Sandbox::new();
    for number in 0..2 {
        sandbox.run_with("ingest --store s -", message("3", &number.to_string(), "v", 1).as_bytes()).expect(0);
    }
    sandbox
}

#[test]
fn the_sum_of_standard_inputs_survives_a_repair() {
    let sandbox = two_pipes();
    sandbox.run("compact --store s").expect(0);
    let before = pipes(&sandbox);
    assert_eq!((before.0.len(), before.1.1), (1, 2));
    let snapshot = sandbox.listing("s").into_keys().find(|name| name.ends_with(".snap")).unwrap();
    let mut bytes = sandbox.read(&format!("s/{snapshot}"));
    let index = bytes.windows(5).rposition(|bytes| bytes == b"CWbk\x02").unwrap();
    bytes[index + 45] ^= 1;
    sandbox.write(format!("s/{snapshot}"), bytes);
    sandbox.run("report --store s").expect(4);
    sandbox.run("repair --store s").expect(0);
    sandbox.run("verify --store s").expect(0);
    assert_eq!(pipes(&sandbox), before);
}

/// The compactor beside a writer takes standard inputs away that the writer has known from its start.
#[test]
fn a_file_does_not_go_on_where_a_pipe_was_that_is_no_more() {
    for compacted in [false, true] {
        let sandbox = two_pipes();
        let disk: Arc<dyn Storage> = Arc::new(Disk::open(&sandbox.path("s")).unwrap());
        let (mut log, view, _) = Log::open(Arc::clone(&disk), LogOptions::default()).unwrap();
        log.seal().unwrap();
        let mut intake = Intake::new(view.inputs);
        if compacted {
            let options = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: false };
            let mut compactor = Background::new(Arc::clone(&disk), options, log.tail(), 0);
            compactor.poke();
            compactor.finish(false).unwrap();
            assert_eq!(compactor.outcomes.len(), 1);
        }
        let first = message("3", "0", "v", 1);
        sandbox.write("in.jsonl", first.clone() + &message("3", "2", "v", 1));
        let options = IngestOptions {
            threads: 1,
            max_rejects: MaxRejects::All,
            from_start: false,
            seek: Seek::default(),
            ..IngestOptions::default()
        };
        let source = Source::open(&sandbox.path("in.jsonl")).unwrap();
        let outcome = intake
            .ingest(&mut log, source, options, Caller { stop: &AtomicBool::new(false), notify: &mut |_| () })
            .unwrap();
        log.settle().unwrap();
        drop(log);
        assert_eq!(outcome.events, if compacted { 2 } else { 1 });
        let (found, sum) = pipes(&sandbox);
        assert_eq!((found.len(), sum.1), (1, if compacted { 2 } else { 1 }), "{found:?}");
        sandbox.run("verify --store s").expect(0);
    }
}

/// Beside an ingest, that of the ingest stays one input by itself, however often what it wrote is compacted meanwhile; and a
/// file goes on behind a pipe only if that is still known by itself.
#[test]
fn a_standard_input_that_is_being_read_stays() {
    let sandbox = Sandbox::new();
    for number in 0..5 {
        let input = message("3", &format!("before {number}"), "v", 1);
        sandbox.run_with("ingest --store s -", input.as_bytes()).expect(0);
    }
    let mut running = sandbox.start("ingest --store s --segment-size 4096 --compact-at 1 --progress json -");
    let mut input = String::new();
    for round in 0..6 {
        let more: String = (0..200).map(|number| message("4", &format!("{round}-{number}"), "v", number)).collect();
        running.send(&more);
        input.push_str(&more);
        let durable = format!("\"durable_offset\":{},", input.len());
        support::cli::until("it is acknowledged", || running.said().contains(&durable));
    }
    running.end().expect(0);
    let (found, sum) = pipes(&sandbox);
    assert!(sandbox.stat()["snapshots"].as_u64() > Some(0), "nothing was compacted beside it");
    assert!(found.contains(&(input.len() as u64, 1200, 0)), "{found:?}");
    assert_eq!(found.len(), 2, "the others are one by now: {found:?}");
    assert_eq!(sum.1, 1205);
    // The first event of the file is that of a pipe that is no more by itself.
    sandbox.write("in.jsonl", message("3", "before 1", "v", 1) + &message("3", "behind it", "v", 2));
    sandbox.run("ingest --store s in.jsonl").expect(0).says(&["in.jsonl: 2 lines, 2 events"]);
    sandbox.write("piped.jsonl", &input);
    sandbox.run("ingest --store s piped.jsonl").expect(0).says(&["piped.jsonl: going on at byte"]);
}

/// How many times the bytes of its segments a store's only snapshot takes.
fn grows(sandbox: &Sandbox, input: &str) -> f64 {
    let bytes = |sandbox: &Sandbox| {
        let files = sandbox.listing("s").into_iter().filter(|(name, _)| name != "LOCK");
        files.map(|(_, (bytes, _))| bytes.len()).sum::<usize>() as f64
    };
    sandbox.write("in.jsonl", input);
    sandbox.run("ingest --store s --no-compact in.jsonl").expect(0);
    let before = bytes(sandbox);
    sandbox.run("compact --store s").expect(0);
    sandbox.reports(input);
    sandbox.run("verify --store s").expect(0);
    bytes(sandbox) / before
}

/// A name of this length, like no other.
fn long_name(number: usize, length: usize) -> String {
    let hash = |half: u64| (number as u64 + half).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    (0..).map(|half| format!("{:016x}", hash(half).wrapping_mul(half | 1))).take(length / 16 + 1).collect::<String>()
        [..length]
        .into()
}

/// What compaction needs of room is bounded, whatever names are like.
#[test]
fn long_names_make_a_snapshot_at_most_about_twice_as_large() {
    let usual = grows(&Sandbox::new(), &String::from_utf8(support::cli::generated("-n 20000 --sites 500")).unwrap());
    // Sites of which each has one event: the name stands in the events and in the index.
    let sites: String = (0..3000).map(|site| message(&long_name(site, 1000), "a", "v", 1)).collect();
    let of_sites = grows(&Sandbox::new(), &sites);
    // One site, and visitors each of whom writes now and then: their names stand in each block of its events.
    let visitor = |number: usize| long_name(number * 7919 % 1500, 100);
    let hot: String =
        (0..20_000).map(|number| message("7", &number.to_string(), &visitor(number), number as i64)).collect();
    let of_visitors = grows(&Sandbox::new(), &hot);
    println!("usual: {usual:.3}, long names of sites: {of_sites:.3}, of visitors: {of_visitors:.3}");
    assert!(usual < 1.1, "{usual}");
    assert!(of_sites < 2.08, "{of_sites}");
    assert!(of_visitors < 1.1, "{of_visitors}");
}
