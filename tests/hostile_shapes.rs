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
