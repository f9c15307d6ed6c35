//! P8, hostile or unlucky shapes: inputs that hold no events, rejects by the million, files by the thousand. What is told of
//! them stays short, what is kept of them small, and the work grows with their size alone.

mod support;

use std::io::Write as _;

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
        let ran = sandbox.run(command).fails(1, &[&third, "reject 3", "--max-rejects 2"]);
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
    sandbox.run("ingest --store s --max-rejects 1 in.jsonl").fails(1, &[&fourth, "reject 4", "--max-rejects 1"]);
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
        .says(&["00004.jsonl", "no end"])
        .says(&["00004.jsonl: 0 lines"])
        .says(&[&format!("{count} inputs, "), "1 empty"]);
    assert_eq!(said(&ran), 2 + 2 + 3 + 1 + 1 + 1 + 1 + 1, "{}", ran.err);
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
