//! P8, hostile bytes: whatever a line, a name or a file holds, there is a result or a clear error; memory stays bounded,
//! and nothing that somebody chose can look like a line, a terminal sequence or a path of ours.

mod support;

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;

use serde_json::Value;
use support::cli::{Running, Sandbox, generated, message, run, status};

/// A good line with a piece of it replaced.
fn line(old: &str, new: &str) -> Vec<u8> {
    bytes(old, new.as_bytes())
}

fn bytes(old: &str, new: &[u8]) -> Vec<u8> {
    let good = r#"{"id":"a","type":"message","from":"v","site_id":"1","timestamp":5,"data":{"message":"Hi"}}"#;
    let at = good.find(old).unwrap();
    [&good.as_bytes()[..at], new, &good.as_bytes()[at + old.len()..], b"\n"].concat()
}

/// Whether a line is accepted, and what the store says of it; nothing else may happen.
#[track_caller]
fn accepted(line: &[u8]) -> bool {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", line);
    let ran = sandbox.run("ingest --store s in.jsonl");
    sandbox.reports(line);
    let (events, rejects) = (sandbox.stat()["lines_accepted"].clone(), sandbox.stat()["rejects"].clone());
    match ran.code {
        Some(0) => assert_eq!((events, rejects), (1.into(), 0.into())),
        Some(3) => {
            assert_eq!((events, rejects), (0.into(), 1.into()));
            let raw = String::from_utf8_lossy(&line[..line.len() - 1]).into_owned();
            let kept = sandbox.run("rejects --store s --format ndjson").expect(0).records();
            assert_eq!(kept[0]["raw"], raw.chars().take(4096).collect::<String>());
        }
        _ => panic!("{ran:?}"),
    }
    ran.code == Some(0)
}

#[test]
fn json_is_what_the_standard_says() {
    for (old, new) in [
        ("{\"id\"", " \t\r{ \"id\""),
        ("}}", "} } \r"),
        (":5,", ":-9223372036854775808,"),
        (":5,", ": 9223372036854775807 ,"),
        ("\"a\"", "\"\\u00e9\\ud83d\\ude00\\/\\\\\\\"\""),
        ("\"id\"", "\"\\u0069d\""),
        ("\"Hi\"", "\"\\u0000\\n\\u2028\""),
        ("\"id\"", "\"x\":[1e400,-0,1E-2,{\"a\":[]}],\"id\""),
        ("\"id\"", "\"x\":1,\"x\":2,\"\":\"\",\"id\""),
        ("\"a\"", "\"\u{feff}\u{fffe}\""),
        ("{\"id\"", "\u{feff}{\"id\""),
    ] {
        assert!(accepted(&line(old, new)), "{new}");
    }
    for (old, new) in [
        ("\"a\"", "'a'"),
        ("\"id\"", "id"),
        ("\"id\"", "\"x\":01,\"id\""),
        ("\"id\"", "\"x\":1.,\"id\""),
        ("\"id\"", "\"x\":.5,\"id\""),
        ("\"id\"", "\"x\":+1,\"id\""),
        ("\"id\"", "\"x\":NaN,\"id\""),
        ("\"id\"", "\"x\":Infinity,\"id\""),
        ("\"id\"", "\"x\":0x1,\"id\""),
        ("\"id\"", "\"x\":True,\"id\""),
        ("\"id\"", "\"x\":[1,],\"id\""),
        ("\"id\"", "\"x\":[1 2],\"id\""),
        ("\"id\"", "\"x\":{\"a\"},\"id\""),
        ("\"id\"", "\"x\":\"\\x41\",\"id\""),
        ("\"id\"", "\"x\":\"\\u12\",\"id\""),
        ("\"id\"", "\"x\":\"\t\",\"id\""),
        ("\"id\"", "/* x */\"id\""),
        ("{\"id\"", "\u{a0}{\"id\""),
        (":5,", ":5.0,"),
        (":5,", ":1e3,"),
        (":5,", ":-0,"),
        (":5,", ":\"5\","),
        (":5,", ":9223372036854775808,"),
        ("\"a\"", "null"),
        ("\"a\"", "\"\""),
        ("\"a\"", "\"\\ud800\""),
        ("\"a\"", "\"\\u0000\""),
        ("\"a\"", "\"\\u009b\""),
        ("\"1\"", "\"\\u001b[2J\""),
        ("\"id\"", "\"id\":\"b\",\"id\""),
        ("\"message\",", "\"Message\","),
        ("{\"message\":\"Hi\"}", "[]"),
    ] {
        assert!(!accepted(&line(old, new)), "{new}");
    }
    for wrong in [&b"\xff"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"] {
        assert!(!accepted(&bytes("Hi", wrong)), "{wrong:x?}");
    }
}

#[test]
fn names_have_a_longest_length() {
    assert!(accepted(message(&"s".repeat(1024), "a", "v", 1).as_bytes()));
    assert!(!accepted(message(&"s".repeat(1025), "a", "v", 1).as_bytes()));
    assert!(accepted(message("1", &"i".repeat(1024), &"f".repeat(1024), 1).as_bytes()));
    assert!(!accepted(message("1", "a", &"é".repeat(513), 1).as_bytes()));
}

#[test]
fn objects_have_a_longest_length() {
    let good = message("1", "a", "v", 1);
    let padded = |length: usize| format!("{}{}\n", good.trim_end(), " ".repeat(length - good.len() + 1));
    let sandbox = Sandbox::new();
    let filled = |length: usize| good.replace("Hi", &"x".repeat(length - good.len() + 3));
    let (long, longer) = (filled(1 << 20), filled((1 << 20) + 1));
    sandbox.write("in.jsonl", padded(3 << 20) + &long + &longer + &good);
    let place = format!("in.jsonl:3 (byte {})", (3 << 20) + 1 + long.len());
    sandbox.run("ingest --store s in.jsonl").expect(3).says(&[&place, "rejected", "within 1,048,576 bytes"]);
    sandbox.reports(&good);
    assert_eq!(sandbox.stat()["lines_accepted"], 3);
}

#[test]
fn nesting_of_any_depth_is_passed_over() {
    // Under the longest line, a million brackets is as deep as it gets.
    let deep =
        |open: &str, close: &str, depth: usize| format!("\"x\":{}{},\"id\"", open.repeat(depth), close.repeat(depth));
    assert!(accepted(&line("\"id\"", &deep("[", "]", 500_000))));
    assert!(accepted(&line("\"id\"", &deep("{\"a\":", "}", 1).replace(":}", ":0}"))));
    assert!(!accepted(&line("\"id\"", &format!("\"x\":{}", "[".repeat(1_000_000)))));
    assert!(!accepted(&line("\"id\"", &format!("\"x\":{}", "{\"a\":".repeat(200_000)))));
    assert!(!accepted(&line("\"id\"", &deep("[", "}", 100_000))));
}

#[test]
fn a_huge_line_takes_no_memory() {
    let megabytes = if std::env::var_os("CHATWAL_HUGE").is_some() { 1024 } else { 64 };
    let good = message("1", "a", "v", 1);
    for terminated in [true, false] {
        let sandbox = Sandbox::new();
        let mut file = fs::File::create(sandbox.path("in.jsonl")).unwrap();
        file.write_all(good.as_bytes()).unwrap();
        let piece = vec![b'x'; 1 << 20];
        (0..megabytes).for_each(|_| file.write_all(&piece).unwrap());
        if terminated {
            file.write_all(b"\n").unwrap();
            file.write_all(message("1", "b", "v", 2).as_bytes()).unwrap();
        }
        // Its last words are written while it still is there to be asked.
        let script = "$chatwal ingest --store s --threads 2 in.jsonl; code=$?; exit $code";
        let mut command = sandbox.program("/usr/bin/time", "-f PEAK=%M sh -c");
        command.arg(script).env("chatwal", support::cli::CHATWAL);
        let (ran, peak) = match fs::exists("/usr/bin/time").unwrap() {
            true => {
                let ran = run(command);
                let peak = ran.err.lines().find_map(|line| line.strip_prefix("PEAK=")).unwrap().parse::<u64>().unwrap();
                (ran, peak)
            }
            false => peak_of(&sandbox, "ingest --store s --threads 2 in.jsonl"),
        };
        eprintln!("{megabytes} MiB in one line: {} MiB at most", peak >> 10);
        assert!(peak < 48 << 10, "{peak} KiB");
        match terminated {
            true => {
                ran.expect(3).says(&["in.jsonl:2 ", "rejected"]);
                let reject = sandbox.run("rejects --store s --format ndjson").expect(0).records().remove(0);
                assert_eq!((&reject["line"], &reject["length"]), (&2.into(), &(megabytes << 20).into()));
                assert_eq!(reject["raw"].as_str().unwrap().len(), 4096);
                sandbox.reports(good.clone() + &message("1", "b", "v", 2));
                sandbox.run("ingest --store s in.jsonl").expect(3).says(&["after line 3"]);
            }
            false => {
                ran.expect(3).says(&["in.jsonl:2 ", "left for the next run"]);
                sandbox.reports(&good);
                assert_eq!(sandbox.sources()[0]["byte"], good.len());
            }
        }
    }
}

/// Looks at the memory of a run until it ends.
fn peak_of(sandbox: &Sandbox, arguments: &str) -> (support::cli::Ran, u64) {
    let mut running = Running::start(sandbox.chatwal(arguments));
    let mut peak = 0;
    while !running.has_ended() {
        peak = running.peak_memory().unwrap_or(0).max(peak);
    }
    (running.wait(), peak)
}

/// Names that somebody may have chosen with something in mind.
const NAMES: [&str; 12] = [
    "../../etc/passwd",
    "/",
    "..",
    "LOCK",
    "1,2",
    "1,messages=9",
    "say \"hi\"",
    "'; DROP TABLE",
    "a\\nb",
    "$(reboot)",
    "=1+1",
    "\u{202e}\u{feff}🦀e\u{301}",
];

#[test]
fn names_are_only_names() {
    let sandbox = Sandbox::new();
    let input: String =
        NAMES.iter().map(|name| message(name, name, name, 1) + &status(name, "on", name, 0, "online")).collect();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.reports(&input);
    let mut names = NAMES.map(String::from);
    names.sort();
    let ndjson = sandbox.run("report --store s --format ndjson").expect(0).records();
    assert_eq!(ndjson.iter().map(|site| site["site_id"].as_str().unwrap()).collect::<Vec<_>>(), names);
    let json: Value = serde_json::from_str(&sandbox.run("report --store s --format json").expect(0).out).unwrap();
    assert_eq!(json.as_array().unwrap(), &ndjson);
    let csv = sandbox.run("report --store s --format csv").expect(0).out;
    assert_eq!(csv.lines().count(), NAMES.len() + 1);
    for row in ["\"1,2\",1,0,1,1", "\"say \"\"hi\"\"\",1,0,1,1", "\"1,messages=9\",1,0,1,1", "a\\nb,1,0,1,1"] {
        assert!(csv.lines().any(|line| line == row), "{row} in {csv}");
    }
    for name in NAMES.iter().filter(|name| !name.contains(char::is_whitespace)) {
        let ran = sandbox.run(&format!("report --store s --site {name}")).expect(0);
        assert_eq!(ran.out, format!("{name},messages=1,emails=0,operators=1,visitors=1\n"));
    }
    let files: Vec<String> = sandbox.listing("s").into_keys().collect();
    assert_eq!(files, ["0000000001.wal", "ACKNOWLEDGED", "LOCK"]);
    let events = sandbox.run("dump --events s/0000000001.wal").expect(0).out;
    assert_eq!(support::naive::report(events.as_bytes()), support::naive::report(input.as_bytes()));
}

/// Bytes that end a line or speak to a terminal.
#[track_caller]
fn harmless(text: &str, lines: usize) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
    assert!(!text.contains("\nchatwal: error: forged"), "{text:?}");
    assert_eq!(text.lines().count(), lines, "{text}");
}

#[test]
fn the_name_of_a_file_forges_no_line() {
    let name = OsStr::from_bytes(b"in\nchatwal: error: forged\x1b[2J\xc2\x9b31m\r\xff");
    let sandbox = Sandbox::new();
    sandbox.write(name, message("1", "a", "v", 1) + "{}\n{\"half");
    let ingest = |options: &str| {
        let mut command = sandbox.chatwal(&format!("ingest --store s {options}"));
        command.arg(name);
        run(command).expect(3)
    };
    let ran = ingest("");
    // A reject, the line without end, the summary, and where the rejects are.
    harmless(&ran.err, 4);
    harmless(&ingest("--progress plain").err, 4);
    let ran = ingest("--progress json --from-start");
    harmless(&ran.err, 4);
    assert_eq!(ran.done()[0]["input"], name.to_string_lossy().as_ref());
    for format in ["line", "csv", "json", "ndjson", "table"] {
        for command in ["sources", "rejects"] {
            let ran = sandbox.run(&format!("{command} --store s --format {format}")).expect(0).silently();
            let frame = match format {
                "csv" | "table" => 1,
                "json" => 2,
                _ => 0,
            };
            harmless(&ran.out, 1 + frame);
        }
    }
    let kept = sandbox.run("sources --store s --format ndjson").expect(0).records();
    assert_eq!(kept[0]["source"], name.to_string_lossy().as_ref(), "JSON gives the name as it is");
    harmless(&sandbox.run("dump s/0000000001.wal").expect(0).out, 9);
    let mut missing = sandbox.chatwal("ingest --store s none");
    missing.arg(OsStr::from_bytes(b"none\nchatwal: error: forged"));
    harmless(&run(missing).expect(1).err, 4);
}

#[test]
fn the_name_of_a_store_forges_no_line() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", "{}\n");
    let name = "s\nchatwal: error: forged\u{1b}[2J";
    for (arguments, code, lines) in [("report", 10, 2), ("ingest in.jsonl", 3, 3), ("ingest in.jsonl", 3, 3)] {
        let mut command = sandbox.chatwal(arguments);
        command.env("CHATWAL_STORE", name);
        harmless(&run(command).expect(code).err, lines);
    }
}

#[test]
fn a_rejected_line_forges_no_line() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", "oops\u{1b}[2J\r\u{9b}31m\u{7f}\nin.jsonl:9 (byte 9): forged\n");
    harmless(&sandbox.run("ingest --store s in.jsonl").expect(3).err, 4);
    for (format, lines) in [("line", 2), ("csv", 3), ("json", 4), ("ndjson", 2), ("table", 3)] {
        harmless(&sandbox.run(&format!("rejects --store s --format {format}")).expect(0).out, lines);
    }
    let raw = &sandbox.run("rejects --store s --format ndjson").expect(0).records()[0]["raw"];
    assert_eq!(raw, "oops\u{1b}[2J\r\u{9b}31m\u{7f}", "JSON gives the line as it is");
}

#[test]
fn a_segment_of_anything_is_refused_with_bounded_memory() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", generated("-n 300"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let sound = sandbox.read("s/0000000001.wal");
    let mut dice = support::cli::Dice(9);
    let header = &sound[..64];
    for bytes in [vec![], b"chatwal\0".to_vec(), vec![0xff; 4096], dice.bytes(100_000), sound[1..].to_vec()] {
        sandbox.write("s/0000000001.wal", &bytes);
        sandbox.run("report --store s").fails(4, &["s/0000000001.wal", "corrupt"]);
        sandbox.run("ingest --store s in.jsonl").fails(4, &["s/0000000001.wal", "corrupt"]);
        sandbox.run("dump s/0000000001.wal").expect(4);
    }
    // What was acknowledged is known beside it.
    sandbox.write("s/0000000001.wal", header);
    sandbox.run("report --store s").fails(4, &["s/0000000001.wal (byte 64)", "corrupt", "ACKNOWLEDGED"]);
    fs::remove_file(sandbox.path("s/ACKNOWLEDGED")).unwrap();
    // Nothing in it was ever acknowledged: a torn end, whatever its bytes are.
    for bytes in [vec![0; 5000], vec![0xff; 5000], b"CWfr".repeat(2000), dice.bytes(100_000)] {
        sandbox.write("s/0000000001.wal", [header, &bytes].concat());
        assert_eq!(sandbox.report(), "");
        sandbox.run("dump s/0000000001.wal").expect(0).says(&["torn"]);
    }
    sandbox.run("ingest --store s in.jsonl").expect(0).says(&["cut 100000 bytes"]);
    sandbox.reports(generated("-n 300"));
}
