//! The command line as it is promised: formats, exit codes, what goes to stdout and what to stderr, signals.

mod support;

use std::fs;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::cli::{Ran, Running, SEGMENT_DUMP, Sandbox, generated, message, run, spread, status, until};
use support::naive;

const SEGMENT: &str = "s/0000000001.wal";

/// A store of three sites and one reject.
fn three_sites() -> (Sandbox, String) {
    let sandbox = Sandbox::new();
    let input = status("10", "a", "operator1", 1, "online")
        + &message("10", "b", "visitor1", 2)
        + &message("10", "c", "visitor2", 3)
        + &message("2", "d", "visitor1", 4)
        + "oops\n"
        + &message("a,b", "e", "visitor1", 5)
        + &message("a,b", "e", "visitor1", 5);
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(3);
    (sandbox, input)
}

#[test]
fn the_report_has_five_formats() {
    let (sandbox, _) = three_sites();
    let report = |format: &str| sandbox.run(&format!("report --store s {format}")).expect(0).silently().out;
    let lines = "10,messages=2,emails=0,operators=1,visitors=2\n\
                 2,messages=0,emails=1,operators=0,visitors=1\n\
                 a,b,messages=0,emails=1,operators=0,visitors=1\n";
    assert_eq!(report(""), lines);
    assert_eq!(report("--format line"), lines);
    assert_eq!(
        report("--format csv"),
        "site_id,messages,emails,operators,visitors\n10,2,0,1,2\n2,0,1,0,1\n\"a,b\",0,1,0,1\n"
    );
    let ndjson = "{\"site_id\":\"10\",\"messages\":2,\"emails\":0,\"operators\":1,\"visitors\":2}\n\
                  {\"site_id\":\"2\",\"messages\":0,\"emails\":1,\"operators\":0,\"visitors\":1}\n\
                  {\"site_id\":\"a,b\",\"messages\":0,\"emails\":1,\"operators\":0,\"visitors\":1}\n";
    assert_eq!(report("--format ndjson"), ndjson);
    let json: Value = serde_json::from_str(&report("--format json")).unwrap();
    assert_eq!(json[0], json!({"site_id": "10", "messages": 2, "emails": 0, "operators": 1, "visitors": 2}));
    assert_eq!(json.as_array().unwrap().len(), 3);
    let table = report("--format table");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(rows[0], ["site_id", "messages", "emails", "operators", "visitors"]);
    assert_eq!(rows[1], ["10", "2", "0", "1", "2"]);
    assert_eq!(rows.len(), 4);
    sandbox.run("report --store s --format yaml").expect(2);
}

#[test]
fn an_empty_report_is_one_in_every_format() {
    let sandbox = Sandbox::new();
    sandbox.run_with("ingest --store s -", b"").expect(0);
    for (format, out) in [
        ("line", ""),
        ("csv", "site_id,messages,emails,operators,visitors\n"),
        ("json", "[]\n"),
        ("ndjson", ""),
        ("table", "site_id  messages  emails  operators  visitors\n"),
    ] {
        assert_eq!(sandbox.run(&format!("report --store s --format {format}")).expect(0).out, out);
    }
}

#[test]
fn the_report_of_some_sites() {
    let (sandbox, _) = three_sites();
    let report = |options: &str| sandbox.run(&format!("report --store s {options}")).expect(0).silently().out;
    let whole = report("");
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    assert_eq!(report("--site 2"), lines[1]);
    assert_eq!(report("--site a,b 10"), [lines[0], lines[2]].concat());
    assert_eq!(report("--site a,b --site 10 --site 10"), [lines[0], lines[2]].concat());
    for (options, out) in [("--site none", ""), ("--site none 2", lines[1])] {
        let ran = sandbox.run(&format!("report --store s {options}")).expect(0).says(&["none: no event of this site"]);
        assert_eq!(ran.out, out);
    }
    // The number 2 and names that look like it.
    let ran = sandbox.run("report --store s --site 02 2.0 +2").expect(0);
    assert_eq!(ran.out, "");
    for name in ["02", "2.0", "+2"] {
        assert!(ran.err.contains(&format!("{name}: no event of this site")), "{ran:#?}");
    }
}

#[test]
fn copies_are_told_with_v() {
    let (sandbox, _) = three_sites();
    sandbox
        .run("report -v --store s")
        .expect(0)
        .says(&["3 sites, 5 events, copies: 1; events whose copies disagree: 0"]);
    sandbox.run_with("ingest --store s -", message("2", "d", "somebody else", 4).as_bytes()).expect(0);
    sandbox.run("report -v --store s").expect(0).says(&["5 events, copies: 2; events whose copies disagree: 1"]);
}

#[test]
fn stat_tells_what_there_is() {
    let (sandbox, _) = three_sites();
    let stat = sandbox.stat();
    let bytes = fs::metadata(sandbox.path(SEGMENT)).unwrap().len();
    for (key, value) in [("segments", 1), ("bytes", bytes), ("torn_bytes", 0), ("sources", 1), ("rejects", 1)]
        .into_iter()
        .chain([("lines_accepted", 6), ("events", 5), ("copies", 1), ("disagreeing", 0), ("sites", 3)])
        .chain([("earliest", 1), ("latest", 5)])
    {
        assert_eq!(stat[key], value, "{key}");
    }
    let lines = sandbox.run("stat --store s").expect(0).silently().out;
    assert!(lines.contains("\nevents=5\ncopies=1\n"), "{lines}");
    sandbox.append(SEGMENT, [1; 9]);
    assert_eq!(sandbox.stat()["torn_bytes"], 9);
}

#[test]
fn rejects_are_listed_in_every_format() {
    let (sandbox, input) = three_sites();
    let byte = input.find("oops").unwrap();
    let rejects = |format: &str| sandbox.run(&format!("rejects --store s --format {format}")).expect(0).silently();
    let line = rejects("line").out;
    assert!(line.starts_with(&format!("in.jsonl:5 (byte {byte}): ")) && line.ends_with(": oops\n"), "{line}");
    let records = rejects("ndjson").records();
    let [reject] = &records[..] else { panic!("{records:?}") };
    assert_eq!((&reject["source"], &reject["line"], &reject["byte"]), (&"in.jsonl".into(), &5.into(), &byte.into()));
    assert_eq!((&reject["length"], &reject["raw"]), (&4.into(), &"oops".into()));
    assert_eq!(reject["column"], 1);
    assert!(reject["reason"].as_str().unwrap().contains("JSON"));
    assert_eq!(reject["instance"], sandbox.sources()[0]["instance"]);
    assert_eq!(serde_json::from_str::<Value>(&rejects("json").out).unwrap(), Value::from(records));
    let csv = rejects("csv").out;
    assert!(csv.starts_with("source,instance,line,byte,column,length,reason,raw\nin.jsonl,"), "{csv}");
    let table = rejects("table").out;
    assert!(table.starts_with("source") && table.lines().count() == 2, "{table}");
}

#[test]
fn rejects_are_told_in_part_and_counted() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", "oops\n".repeat(100));
    let ran = sandbox.run("ingest --store s in.jsonl").expect(3);
    let told = ran.err.lines().filter(|line| line.contains("rejected: ")).count();
    assert!((1..=5).contains(&told), "{ran:#?}");
    let more = format!("and {} more rejected lines", 100 - told);
    let ran = ran.says(&["100 rejects"]).says(&["in.jsonl", &more]).says(&["chatwal rejects --store s"]);
    assert!(ran.err.contains("in.jsonl:1 (byte 0): rejected"));
}

#[test]
fn rejects_give_exit_3_on_every_rerun_until_they_are_forgotten() {
    let (sandbox, _) = three_sites();
    for command in ["ingest --store s in.jsonl", "run --store s in.jsonl", "ingest --store s in.jsonl"] {
        sandbox.run(command).expect(3).says(&["holds 1 rejected line of these inputs", "chatwal rejects"]);
    }
    // Another input has none.
    sandbox.write("good.jsonl", message("1", "a", "v", 1));
    sandbox.run("ingest --store s good.jsonl").expect(0);
    sandbox.run("ingest --store s good.jsonl in.jsonl").expect(3);
    sandbox.run("report --store s").expect(0);
}

#[test]
fn an_input_that_is_named_twice_counts_once() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "a", "v", 1) + "no event\n");
    let ran = sandbox.run("ingest --store s in.jsonl in.jsonl").expect(3);
    ran.says(&["the store holds 1 rejected line of these inputs"]);
    let instance = sandbox.sources()[0]["instance"].as_str().unwrap().to_owned();
    sandbox.run(&format!("sources --store s forget {instance} {instance}")).expect(0).says(&["forgot 1 input;"]);
    assert!(sandbox.sources().is_empty());
    sandbox.run("sources --store s --format json forget 00").fails(2, &["`sources forget` prints nothing"]);
}

#[test]
fn strict_stops_at_the_first_wrong_line_and_goes_on_once_it_is_mended() {
    let sandbox = Sandbox::new();
    let (first, last) = (message("1", "a", "v", 1), message("1", "b", "v", 2));
    sandbox.write("in.jsonl", format!("{first}oops\n{last}"));
    let place = format!("in.jsonl:2 (byte {})", first.len());
    for command in ["ingest --strict --store s in.jsonl", "run --strict --store s in.jsonl"] {
        let ran = sandbox.run(command).fails(1, &[&place, "JSON"]).says(&["hint", "--strict"]);
        assert_eq!(ran.out, "");
    }
    sandbox.run("rejects --store s").expect(0).silently();
    sandbox.write("in.jsonl", format!("{first}{last}"));
    sandbox.run("ingest --strict --store s in.jsonl").expect(0);
    sandbox.reports(first + &last);
}

/// `dump` and the program of its own.
fn dumps(sandbox: &Sandbox, arguments: &str) -> [Ran; 2] {
    let one = sandbox.run(&format!("dump {arguments}"));
    let other = run(sandbox.program(SEGMENT_DUMP, arguments));
    assert_eq!((one.code, &one.out), (other.code, &other.out));
    assert_eq!(one.err.replace("chatwal: ", "segment-dump: "), other.err);
    [one, other]
}

#[test]
fn dump_tells_every_frame_of_a_sound_segment() {
    let (sandbox, _) = three_sites();
    let [ran, _] = dumps(&sandbox, SEGMENT);
    let out = ran.expect(0).silently().out;
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("segment 1 of store "), "{out}");
    assert!(lines[2].contains(" batch  ok ") && lines[2].contains("events=6 rejects=1 repeats=0 input="), "{out}");
    assert!(lines[3].contains(" mark   ok "), "{out}");
    assert_eq!(lines.len(), 4);
}

#[test]
fn dump_tells_what_the_record_of_what_was_acknowledged_says() {
    let (sandbox, _) = three_sites();
    let length = sandbox.read(SEGMENT).len();
    let [ran, _] = dumps(&sandbox, "s/ACKNOWLEDGED s/0000000001.wal");
    let out = ran.expect(0).silently().out;
    // The batch, of which the mark behind it says that it is durable.
    let batch_ends = out.lines().nth(4).and_then(|mark| mark.split_whitespace().next()).unwrap().to_string();
    assert!(out.starts_with("record of store ") && batch_ends.parse::<usize>().unwrap() < length, "{out}");
    assert!(
        out.contains(&format!(": acknowledged up to frame 1, which ends at byte {batch_ends} of segment 1, ")),
        "{out}"
    );
    let [ran, _] = dumps(&sandbox, "--events s/ACKNOWLEDGED");
    assert_eq!(ran.expect(0).silently().out, "");
    for at in [0, 20] {
        let mut torn = sandbox.read("s/ACKNOWLEDGED");
        torn[at] ^= 1;
        sandbox.write("s/ACKNOWLEDGED", torn);
        let [ran, _] = dumps(&sandbox, "s/ACKNOWLEDGED");
        assert_eq!(ran.expect(0).silently().out, "record that is torn and says nothing, s/ACKNOWLEDGED\n");
    }
}

#[test]
fn dump_notes_a_torn_tail_and_exits_0() {
    let (sandbox, input) = three_sites();
    // What a crash leaves of the frame behind the last: a piece of it.
    let bytes = sandbox.read(SEGMENT);
    sandbox.write(SEGMENT, [&bytes[..], &bytes[64..200]].concat());
    for arguments in [SEGMENT.to_string(), format!("--events {SEGMENT}")] {
        let [ran, _] = dumps(&sandbox, &arguments);
        ran.expect(0).says(&["note: ", SEGMENT, &format!("(byte {})", bytes.len()), "torn: 136 bytes"]);
    }
    // The mark alone proves that the batch was acknowledged, so a cut in the batch is torn only without it.
    sandbox.write(SEGMENT, &bytes[..bytes.len() - 100]);
    let [ran, _] = dumps(&sandbox, SEGMENT);
    assert!(ran.expect(0).says(&["torn"]).out.contains(" BAD "));
    sandbox.write(SEGMENT, &bytes);
    sandbox.reports(input);
}

#[test]
fn dump_goes_on_past_damage_and_exits_4() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c"] {
        sandbox.write(name, generated(&format!("-n 100 --seed {}", name.as_bytes()[0])));
    }
    sandbox.run("ingest --store s a b c").expect(0);
    let sound = sandbox.read(SEGMENT);
    let events = |ran: &Ran| ran.out.lines().count();
    let [whole, _] = dumps(&sandbox, &format!("--events {SEGMENT}"));
    assert_eq!(events(&whole.expect(0)), 300);
    let first = sandbox.run(&format!("dump {SEGMENT}")).out;
    let second_frame: usize = first.lines().nth(3).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    for flipped in [70, 1000, second_frame + 10, second_frame + 1000] {
        let mut damaged = sound.clone();
        damaged[flipped] ^= 1;
        sandbox.write(SEGMENT, &damaged);
        let [ran, _] = dumps(&sandbox, SEGMENT);
        let ran = ran.expect(4).says(&["error: ", SEGMENT, "(byte ", "corrupt: expected"]);
        assert!(ran.out.contains(" BAD ") && ran.out.matches(" batch  ok ").count() == 2, "{}", ran.out);
        let [ran, _] = dumps(&sandbox, &format!("--events {SEGMENT}"));
        assert_eq!(events(&ran.expect(4)), 200);
    }
    // A sound file beside a damaged one and one that is not there.
    sandbox.write("sound.wal", &sound);
    dumps(&sandbox, &format!("none.wal {SEGMENT} sound.wal"))[0].out.contains("segment 1");
    assert_eq!(sandbox.run(&format!("dump none.wal {SEGMENT} sound.wal")).code, Some(4));
    assert_eq!(sandbox.run("dump none.wal sound.wal").code, Some(1));
}

#[test]
fn the_events_of_all_segments_give_the_report() {
    let sandbox = Sandbox::new();
    let input = spread(&generated("-n 3000 --sites 20 --copies 0.2 --style shuffled --skew hot"), 13 << 20);
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s --segment-size 4096 in.jsonl").expect(0);
    let segments: Vec<String> = sandbox.segments("s").into_keys().map(|name| format!("s/{name}")).collect();
    assert!(segments.len() >= 4);
    let [ran, _] = dumps(&sandbox, &format!("--events {}", segments.join(" ")));
    let events = ran.expect(0).silently().out;
    assert_eq!(events.lines().count(), 3000);
    assert!(naive::report(events.as_bytes()) == naive::report(&input));
    // And they can be ingested again.
    let copy = Sandbox::new();
    copy.run_with("ingest --store s -", events.as_bytes()).expect(0);
    copy.reports(&input);
}

#[test]
fn the_version_names_the_format() {
    let sandbox = Sandbox::new();
    let ran = sandbox.run("--version").expect(0).silently();
    assert_eq!(ran.out, format!("chatwal {} (format 1)\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_exits_2() {
    let sandbox = Sandbox::new();
    sandbox.write("a", "");
    for arguments in [
        "",
        "frobnicate",
        "report --frobnicate",
        "ingest --store s",
        "ingest --store s --segment-size 100 a",
        "ingest --store s --segment-size 1X a",
        "ingest --store s --durability maybe a",
        "report --store s --threads 0",
        "report --store s --memory lots",
        "report --store s --memory 64K",
        "report -q -v --store s",
        "dump",
    ] {
        let ran = sandbox.run(arguments).expect(2);
        assert_eq!(ran.out, "");
        assert!(!ran.err.is_empty());
    }
    for arguments in ["report", "ingest a", "run a a", "run -", "stat", "sources forget 00"] {
        sandbox.run(arguments).fails(2, &[]).says(&["hint", "--store DIR"]);
    }
    assert_eq!(fs::read_dir(sandbox.root()).unwrap().count(), 1);
}

#[test]
fn the_store_may_be_named_in_the_environment() {
    let (sandbox, input) = three_sites();
    let with = |value: &str, arguments: &str| {
        let mut command = sandbox.chatwal(arguments);
        command.env("CHATWAL_STORE", value);
        run(command)
    };
    assert_eq!(with("s", "report").expect(0).out.as_bytes(), naive::report(input.as_bytes()));
    assert_eq!(with("none", "report --store s").expect(0).out.as_bytes(), naive::report(input.as_bytes()));
    with("none", "report").fails(10, &["none: no store there"]);
    with("", "report").fails(2, &[]);
    with("s", "run in.jsonl").expect(3);
    assert!(!sandbox.has("in.jsonl.chatwal"));
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let sandbox = Sandbox::new();
    let input: String = (0..20_000).map(|number| message(&number.to_string(), "a", "v", number)).collect();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    for command in ["report", "report --format json", "report --format table", "dump --events s/0000000001.wal"] {
        // The shell's status is that of `head`; the other one's is written aside.
        let script = format!("( $chatwal --store s {command}; echo $? > code ) | head -1");
        let ran = sandbox.shell(&script).expect(0).silently();
        assert_eq!((ran.out.lines().count(), sandbox.read("code")), (1, b"0\n".to_vec()), "{command}");
    }
}

#[test]
fn a_full_standard_output_is_an_error() {
    let (sandbox, _) = three_sites();
    if !fs::exists("/dev/full").unwrap() {
        return;
    }
    for command in ["report", "sources", "rejects", "stat", "dump s/0000000001.wal"] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = sandbox.chatwal(&format!("{command} --store s"));
        let ran = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let err = String::from_utf8(ran.stderr).unwrap();
        assert_eq!(ran.status.code(), Some(1), "{err}");
        assert!(err.starts_with("chatwal: error: standard output: cannot write to: No space left"), "{err}");
    }
}

#[test]
fn the_first_signal_ends_in_order_and_the_rerun_goes_on() {
    // Each thread has to see the end, also those that never had a chunk.
    for (signal, code, threads) in [("INT", 130, 1), ("TERM", 143, 2), ("TERM", 143, 64)] {
        let sandbox = Sandbox::new();
        let input: String = (0..50).map(|number| message("1", &number.to_string(), "v", number)).collect();
        let mut running = sandbox.start(&format!("ingest --store s - --threads {threads}"));
        running.send(&input);
        until("it is read", || sandbox.run("report --store s").out.contains("emails=50"));
        running.signal(signal);
        let durable = format!("durable up to byte {}", input.len());
        let ran = running.wait().expect(code);
        ran.says(&["-: 50 lines, 50 events", &durable]).says(&["interrupted; what was acknowledged is safe"]);
        sandbox.reports(&input);
        let more = message("1", "new", "v", 99);
        sandbox.run_with("ingest --store s -", more.as_bytes()).expect(0);
        sandbox.reports(input + &more);
    }
}

#[test]
fn a_signal_in_the_middle_of_a_file_leaves_a_place_to_go_on_at() {
    let sandbox = Sandbox::new();
    let input = spread(&generated("-n 30000 --sites 50"), 200 << 20);
    sandbox.write("in.jsonl", &input);
    for command in ["ingest --store s in.jsonl", "run --store s in.jsonl"] {
        let size = || fs::metadata(sandbox.path(SEGMENT)).map_or(64, |segment| segment.len());
        let before = size();
        let mut running = Running::start(sandbox.chatwal(&format!("{command} --threads 1 --progress json")));
        until("a frame is appended", || size() > before || running.has_ended());
        running.signal("INT");
        let ran = running.wait();
        if ran.code != Some(130) {
            eprintln!("it ended before the signal came: {:?}", ran.code);
            continue;
        }
        assert_eq!(ran.out, "", "no report of a part");
        let (_, to) = ran.read();
        assert!(to <= input.len() as u64 && input[to as usize - 1] == b'\n');
        assert_eq!(sandbox.sources()[0]["byte"], to);
    }
    let before = sandbox.sources()[0]["byte"].as_u64().unwrap();
    let (from, to) = sandbox.run("ingest --store s in.jsonl --progress json").expect(0).read();
    assert_eq!((from, to), (before, input.len() as u64));
    assert!(from > 0);
    sandbox.reports(&input);
}

#[test]
fn the_second_signal_ends_at_once() {
    // The first comes while nothing is to be read: it is seen within a fraction of a second, and before that the second
    // one is there. A machine may be too slow for that once, but not always.
    for _ in 0..10 {
        let sandbox = Sandbox::new();
        let mut running = sandbox.start("ingest --store s -");
        running.send(message("1", "a", "v", 1));
        until("it is read", || sandbox.run("report --store s").out.contains("emails=1"));
        running.signal("STOP");
        running.signal("INT");
        running.signal("CONT");
        sleep(Duration::from_millis(3));
        running.signal("INT");
        let ran = running.wait().expect(130);
        sandbox.reports(message("1", "a", "v", 1));
        if ran.err.is_empty() {
            return;
        }
    }
    panic!("it never left at once");
}

#[test]
fn colour_is_as_asked() {
    let sandbox = Sandbox::new();
    let colored = |ran: Ran| ran.err.contains('\u{1b}');
    assert!(!colored(sandbox.run("report --store s").expect(10)), "no terminal, no colour");
    assert!(colored(sandbox.run("report --store s --color always").expect(10)));
    assert!(!colored(sandbox.run("report --store s --color never").expect(10)));
    let mut command = sandbox.chatwal("report --store s");
    command.env("NO_COLOR", "1");
    assert!(!colored(run(command)));
    let terminal = |environment: &str, options: &str| {
        let inner = format!("{environment} {} report --store s {options}", support::cli::CHATWAL);
        let mut command = sandbox.program("script", "-qec");
        command.args([inner.as_str(), "/dev/null"]);
        run(command).out.contains('\u{1b}')
    };
    if support::cli::possible("script", &["-qec", "true", "/dev/null"], "colours on a terminal") {
        assert!(terminal("TERM=xterm", ""));
        assert!(!terminal("TERM=xterm NO_COLOR=1", ""));
        assert!(!terminal("TERM=xterm", "--color never"));
        assert!(terminal("TERM=xterm NO_COLOR=1", "--color always"));
    }
}

#[test]
fn quiet_says_nothing_but_errors() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "a", "v", 1) + "oops\n");
    sandbox.run("ingest -q --store s in.jsonl").expect(3).silently();
    assert!(!sandbox.run("run -q --store s in.jsonl").expect(3).silently().out.is_empty());
    // And what is not in the store.
    sandbox.append("in.jsonl", "{\"half");
    let ran = sandbox.run("ingest -q --store s in.jsonl").expect(3).says(&["warning", "6 bytes left for the next run"]);
    assert_eq!(ran.err.lines().count(), 1);
    sandbox.run("report -q --store none").fails(10, &["none"]);
}

#[test]
fn progress_is_what_was_asked_for() {
    let sandbox = Sandbox::new();
    let input = message("1", "a", "v", 1) + "oops\n";
    sandbox.write("in.jsonl", &input);
    let ran = sandbox.run("ingest --store s in.jsonl").expect(3);
    assert!(!ran.err.contains('{') && !ran.err.contains('\r'), "no bar where there is no terminal: {ran:?}");
    let ran = sandbox.run("ingest --store t --progress json in.jsonl").expect(3);
    let done = &ran.done()[0];
    for (key, value) in [("lines", 2), ("events", 1), ("rejects", 1), ("size", input.len()), ("taken", input.len())] {
        assert_eq!(done[key], value, "{key}");
    }
    for key in ["bytes", "offset", "durable_offset"] {
        assert_eq!(done[key], input.len(), "{key}");
    }
    assert_eq!(done["input"], "in.jsonl");
}

#[test]
fn what_comes_on_an_open_pipe_is_visible_soon() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.start("ingest --store s -");
    let mut input = String::new();
    for number in 0..3 {
        let line = message("1", &number.to_string(), "v", number);
        running.send(&line);
        input += &line;
        let sent = Instant::now();
        let expected = String::from_utf8(naive::report(input.as_bytes())).unwrap();
        until("it is visible", || sandbox.run("report --store s").out == expected);
        assert!(sent.elapsed() < Duration::from_secs(2), "after {:?}", sent.elapsed());
    }
    running.end().expect(0);
}

/// Who waits for the acknowledgement before he goes on must not wait for ever.
#[test]
fn what_comes_on_an_open_pipe_is_acknowledged_soon() {
    let sandbox = Sandbox::new();
    let mut running = sandbox.start("ingest --store s - --progress json");
    let mut sent = 0;
    for number in 0..3 {
        let line = message("1", &number.to_string(), "v", number);
        sent += line.len();
        running.send(line);
        until("it is said", || running.said().contains(&format!(r#""durable_offset":{sent},"#)));
        until("a mark proves it", || {
            let dumped = sandbox.run("dump s/0000000001.wal").out;
            let frames = |kind: &str| dumped.lines().filter(|line| line.contains(kind)).count() as i64;
            (frames(" batch "), frames(" mark ")) == (number + 1, number + 1)
        });
    }
    let (said, end) = (running.said(), running.end().expect(0).done());
    assert_eq!(end.len(), 1, "{said}");
    sandbox.reports((0..3).map(|number| message("1", &number.to_string(), "v", number)).collect::<String>());
}

#[test]
fn what_trickles_from_a_pipe_is_visible_soon() {
    // Never silent for long: the end of a chunk cannot be the silence behind it.
    let sandbox = Sandbox::new();
    let mut running = sandbox.start("ingest --store s -");
    let started = Instant::now();
    let mut seen = None;
    for number in 0.. {
        running.send(message("1", &number.to_string(), "v", number));
        sleep(Duration::from_millis(20));
        if number % 10 == 9 && !sandbox.run("report --store s").out.is_empty() {
            seen = Some(started.elapsed());
        }
        if seen.is_some() || started.elapsed() > Duration::from_secs(4) {
            break;
        }
    }
    running.end().expect(0);
    assert!(seen.is_some_and(|after| after < Duration::from_secs(2)), "{seen:?}");
}

#[test]
fn half_a_line_on_a_pipe_waits_for_its_end() {
    let sandbox = Sandbox::new();
    let (first, second) = (message("1", "a", "v", 1), message("1", "b", "w", 2));
    let mut running = sandbox.start("ingest --store s -");
    running.send(format!("{first}{}", &second[..30]));
    until("the first is visible", || sandbox.run("report --store s").out.contains("emails=1"));
    sleep(Duration::from_millis(300));
    running.send(&second[30..]);
    until("the second is visible", || sandbox.run("report --store s").out.contains("emails=2"));
    running.end().expect(0);
    sandbox.reports(first + &second);
}

#[test]
fn a_named_pipe_is_read_to_its_end() {
    let sandbox = Sandbox::new();
    let input = generated("-n 500");
    sandbox.write("in.jsonl", &input);
    sandbox.shell("mkfifo pipe && (cat in.jsonl > pipe &) && $chatwal ingest --store s pipe").expect(0);
    sandbox.reports(&input);
}

#[test]
fn a_signal_ends_the_wait_for_a_named_pipe_that_nobody_opens() {
    let sandbox = Sandbox::new();
    sandbox.shell("mkfifo pipe").expect(0);
    let running = sandbox.start("ingest --store s pipe");
    until("it holds the store", || sandbox.has("s/0000000001.wal"));
    sleep(Duration::from_millis(50));
    running.signal("INT");
    running.wait().expect(130).says(&["pipe: 0 lines"]).says(&["interrupted"]);
}

#[test]
fn snapshots_of_equal_runs_become_few() {
    let sandbox = Sandbox::new();
    for run in 0..24 {
        let input: String = (0..200).map(|at| message("1", &format!("{run}-{at}"), "v", at)).collect();
        sandbox.run_with("ingest --store s -", input.as_bytes()).expect(0);
        sandbox.run("compact --store s").expect(0);
    }
    let snapshots = sandbox.listing("s").keys().filter(|name| name.ends_with(".snap")).count();
    assert!(snapshots <= 5, "{snapshots} snapshots of 24 equal runs");
    assert_eq!(sandbox.report(), "1,messages=0,emails=4800,operators=0,visitors=1\n");
}

#[test]
fn a_writer_removes_nobody_elses_files_and_takes_any_path() {
    use std::os::unix::ffi::OsStrExt;
    let sandbox = Sandbox::new();
    let name = std::ffi::OsStr::from_bytes(b"nu\xff");
    let ingest = || {
        let mut ingest = sandbox.program(support::cli::CHATWAL, "ingest -q - --store");
        ingest.arg(name);
        support::cli::run(ingest).expect(0);
    };
    ingest();
    std::fs::write(sandbox.path(name).join("thesis.tmp"), "important").unwrap();
    ingest();
    assert_eq!(std::fs::read(sandbox.path(name).join("thesis.tmp")).unwrap(), b"important");
}

/// Without the record, an end that is cut off looks like one that was never acknowledged.
#[test]
fn verify_says_that_there_is_no_record_of_what_was_acknowledged() {
    let sandbox = Sandbox::new();
    sandbox.write("in", generated("-n 200"));
    sandbox.run("ingest --store s in").expect(0);
    let said = |sandbox: &Sandbox| sandbox.run("verify --store s").expect(0).err;
    assert!(!said(&sandbox).contains("no record"), "{}", said(&sandbox));
    sandbox.write("s/ACKNOWLEDGED", [7; 64]);
    assert!(said(&sandbox).contains("ACKNOWLEDGED is missing or torn"), "{}", said(&sandbox));
    std::fs::remove_file(sandbox.path("s/ACKNOWLEDGED")).unwrap();
    assert!(said(&sandbox).contains("no record"));
    sandbox.write("more", generated("-n 10 --seed 2"));
    sandbox.run("ingest --store s more").expect(0);
    assert!(!said(&sandbox).contains("no record"));
}

/// What is typed wrong is answered with what to type.
#[test]
fn hints_of_the_command_line() {
    let sandbox = Sandbox::new();
    sandbox.write("in", generated("-n 20"));
    sandbox.run("run in").expect(0);
    let says = |arguments: &str, parts: &[&str]| {
        let ran = sandbox.run(arguments);
        assert!(ran.code != Some(0) && parts.iter().all(|part| ran.err.contains(part)), "{arguments}: {ran:#?}");
    };
    says("report in.chatwal", &["unexpected argument", "hint: a store is named with --store DIR"]);
    says("ingest --store s", &["hint: name the inputs; `-` is standard input"]);
    says("run in.chatwal", &["a chatwal store", "report --store in.chatwal"]);
    says("dump in.chatwal", &["a directory", "hint: name a file in it"]);
    let mut command = sandbox.chatwal("report --store in.chatwal");
    command.env("CHATWAL_MEMORY", "lots");
    assert!(support::cli::run(command).expect(2).err.contains("hint: CHATWAL_MEMORY is set in the environment"));
}
