//! Rejects can be mended: they come out as they were, some of them can be allowed, and an input is forgotten by any of its names.

use crate::support::cli::{Sandbox, message};

/// So many events and so many wrong lines, of which no two are alike.
fn lines(name: &str, events: usize, wrong: usize) -> String {
    let event = |number| message("1", &format!("{name}-{number}"), "v", number as i64);
    (0..events).map(event).chain((0..wrong).map(|number| format!("{name} {number}\n"))).collect()
}

/// What `rejects --raw` prints; what it says beside it goes to the file `said`.
fn raw(sandbox: &Sandbox, status: u8) -> Vec<u8> {
    let script = format!("$chatwal rejects --store s --raw > raw 2> said; test $? = {status}");
    sandbox.shell(&script).expect(0);
    sandbox.read("raw")
}

fn said(sandbox: &Sandbox) -> String {
    String::from_utf8(sandbox.read("said")).unwrap()
}

#[test]
fn raw_is_what_was_rejected_byte_for_byte() {
    let wrong: [&[u8]; 9] = [
        b"oops",
        b"oops",
        b"oops",
        b"\"a\\u0000b\"",
        b"tab\tand \"quotes\", commas\\ and \x1b[2J",
        b"no UTF-8: \xff\xfe\x80",
        "turned: \u{202e}, nothing: \u{200b}".as_bytes(),
        b"{\"id\":\"a\",\"type\":\"message\"}",
        &[b'x'; 4096],
    ];
    let sandbox = Sandbox::new();
    let mut input = message("1", "a", "v", 1).into_bytes();
    for line in wrong {
        input.extend_from_slice(line);
        input.push(b'\n');
    }
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(3);
    let expected: Vec<u8> = wrong.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
    assert_eq!(raw(&sandbox, 0), expected);
    // Names that deceive are the business of whoever reads them on a terminal.
    assert_eq!(said(&sandbox), "");
    sandbox.run("compact --store s").expect(0);
    assert_eq!(raw(&sandbox, 0), expected);
    for format in ["line", "csv", "json"] {
        sandbox.run(&format!("rejects --store s --raw --format {format}")).expect(2);
    }
    sandbox.run("sources --store s forget in.jsonl").expect(0);
    assert_eq!(raw(&sandbox, 0), b"");
}

#[test]
fn what_is_mended_in_a_pipe_counts() {
    let sandbox = Sandbox::new();
    let good: Vec<String> = (0..50).map(|at| message("1", &at.to_string(), &format!("v{at}"), at)).collect();
    // Every fifth line has a comma too many.
    let broken = |(at, line): (usize, &String)| match at % 5 {
        0 => line.replace("\"}\n", "\",}\n"),
        _ => line.clone(),
    };
    sandbox.write("in.jsonl", good.iter().enumerate().map(broken).collect::<String>());
    sandbox.run("ingest --store s in.jsonl").expect(3).says(&["holds 10 rejected lines"]);
    sandbox
        .shell("$chatwal rejects --store s --raw | sed 's/\",}/\"}/' | $chatwal ingest --store s -")
        .expect(0)
        .says(&["-: 10 lines, 10 events, 0 rejects"]);
    sandbox.reports(good.concat());
}

#[test]
fn a_line_that_was_kept_in_part_is_said_to_be_cut() {
    let sandbox = Sandbox::new();
    let long = |length: usize| "x".repeat(length) + "\n";
    sandbox.write("in.jsonl", message("1", "a", "v", 1) + &long(4096) + &long(4097) + &long(70_000) + "short\n");
    sandbox.run("ingest --store s in.jsonl").expect(3);
    assert_eq!(raw(&sandbox, 3), (long(4096) + &long(4096) + &long(4096) + "short\n").as_bytes());
    let said = said(&sandbox);
    assert!(
        said.starts_with("chatwal: warning: 2 lines of 4 rejected lines: only the first bytes were kept"),
        "{said}"
    );
    let hint =
        "chatwal: hint: the longest has 70000 bytes: `chatwal ingest --store s --from-start --keep-rejects 70000 FILE`";
    assert!(said.lines().nth(1).is_some_and(|line| line.starts_with(hint)), "{said}");
    sandbox.run("rejects --store s --raw -q").expect(3).silently();
    // As the hint says; and what is kept can be read by whoever mends it.
    sandbox.run("ingest --store s --from-start --keep-rejects 70000 in.jsonl").expect(3);
    assert_eq!(raw(&sandbox, 0), (long(4096) + &long(4097) + &long(70_000) + "short\n").as_bytes());
    // There is an end to it.
    sandbox.write("more.jsonl", long(2_000_000));
    sandbox.run("ingest --store s --keep-rejects 2M more.jsonl").expect(2).says(&["1M is the most"]);
    sandbox.run("ingest --store s --keep-rejects 1M more.jsonl").expect(3);
    assert_eq!(raw(&sandbox, 3).len(), 4097 + 4098 + 70_001 + 6 + (1 << 20) + 1);
    let ran = sandbox.run("rejects --store s --raw").expect(3);
    ran.says(&["the longest has 2000000 bytes", "--keep-rejects 1048576", "as much of them as can be kept"]);
}

#[test]
fn raw_to_a_closed_or_a_full_output() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", lines("a", 1, 60_000));
    sandbox.run("ingest --store s in.jsonl").expect(3);
    let ran = sandbox.shell("( $chatwal rejects --store s --raw; echo $? > code ) | head -n 1").expect(0).silently();
    assert_eq!((ran.out.as_str(), sandbox.read("code")), ("a 0\n", b"0\n".to_vec()));
    if std::fs::exists("/dev/full").unwrap() {
        sandbox.shell("$chatwal rejects --store s --raw > /dev/full").fails(1, &["standard output", "No space left"]);
    }
}

#[test]
fn some_rejects_can_be_allowed() {
    let sandbox = Sandbox::new();
    // 3 of 100 lines, 1 of 10, none of 100.
    sandbox.write("three", lines("three", 97, 3));
    sandbox.write("one", lines("one", 9, 1));
    sandbox.write("none", lines("none", 100, 0));
    for (inputs, allowed, status) in [
        ("three", "", 3),
        ("three", "--allow-rejects 0", 3),
        ("three", "--allow-rejects 2", 3),
        ("three", "--allow-rejects 3", 0),
        ("three", "--allow-rejects 1000", 0),
        ("three", "--allow-rejects 2.99%", 3),
        ("three", "--allow-rejects 3%", 0),
        ("three", "--allow-rejects 100%", 0),
        ("three three", "--allow-rejects 3", 0),
        ("one", "--allow-rejects 3%", 3),
        ("one", "--allow-rejects 10%", 0),
        // All that are named, together.
        ("three one", "--allow-rejects 3", 3),
        ("three one", "--allow-rejects 4", 0),
        ("three one", "--allow-rejects 3.6%", 3),
        ("three one", "--allow-rejects 3.7%", 0),
        ("three one none", "--allow-rejects 1.9%", 3),
        ("three one none", "--allow-rejects 2%", 0),
        ("none", "--allow-rejects 0", 0),
        ("none", "--allow-rejects 0%", 0),
    ] {
        // The first time, and when nothing is new.
        for command in ["ingest", "ingest", "run"] {
            let ran = sandbox.run(&format!("{command} --store s {allowed} {inputs}")).expect(status);
            let warned = ran.err.contains("warning: the store holds ");
            let noted = ran.err.contains("chatwal: the store holds ");
            assert_eq!((warned, noted), (status == 3, status == 0 && inputs != "none"), "{inputs} {allowed}: {ran:#?}");
            assert_eq!(ran.out.is_empty(), command == "ingest");
        }
        if status == 0 {
            sandbox.run(&format!("ingest -q --store s {allowed} {inputs}")).expect(0).silently();
        }
    }
    sandbox
        .run("ingest --store s --allow-rejects 3% three")
        .says(&["the store holds 3 rejected lines of these inputs, of 100, as --allow-rejects 3% allows"]);
    sandbox
        .run("ingest --store s --allow-rejects 1% three")
        .says(&["warning: the store holds 3 rejected lines of these inputs, of 100, more than --allow-rejects 1%"]);
    // An input that cannot be read is another matter, and so is a limit that stops.
    sandbox.run("ingest --store s --allow-rejects 100% three missing").fails(1, &["missing: no such file"]);
    sandbox.write("more", lines("more", 5, 2));
    sandbox.run("ingest --store s --allow-rejects 100% --max-rejects 1 more").fails(1, &["more:7"]);
    for wrong in ["-1", "x", "1.5", "101%", "%"] {
        sandbox.run(&format!("ingest --store s --allow-rejects={wrong} three")).expect(2);
    }
}

/// A store of five inputs, and their instances in the order of their names.
fn five_inputs() -> (Sandbox, Vec<(String, String)>) {
    let sandbox = Sandbox::new();
    sandbox.shell("mkdir logs").expect(0);
    for name in ["a.jsonl", "b.jsonl", "logs/c.jsonl", "odd [1]\u{202e}*"] {
        sandbox.write(name, lines(name, 2, 1));
    }
    sandbox.shell("$chatwal ingest -q --store s a.jsonl b.jsonl logs/* odd*").expect(3);
    sandbox.run_with("ingest -q --store s -", lines("pipe", 2, 1).as_bytes()).expect(3);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let mut inputs: Vec<(String, String)> =
        sandbox.sources().iter().map(|source| (text(&source["source"]), text(&source["instance"]))).collect();
    inputs.sort();
    (sandbox, inputs)
}

#[test]
fn an_input_is_forgotten_by_its_instance_its_name_or_a_pattern() {
    let (sandbox, inputs) = five_inputs();
    let [pipe, a, b, c, odd] = [0, 1, 2, 3, 4].map(|at| inputs[at].clone());
    let report = sandbox.report();
    for (arguments, forgotten) in [
        (vec![a.1.as_str()], vec![&a]),
        (vec![&a.1[..12]], vec![&a]),
        (vec!["a.jsonl"], vec![&a]),
        (vec!["-"], vec![&pipe]),
        (vec![odd.0.as_str()], vec![&odd]),
        // As `sources` prints it.
        (vec!["odd [1]\\u{202e}*"], vec![&odd]),
        (vec!["?.jsonl"], vec![&a, &b]),
        (vec!["*.jsonl"], vec![&a, &b, &c]),
        (vec!["logs/*"], vec![&c]),
        (vec!["[ab].jsonl"], vec![&a, &b]),
        (vec!["[!a].jsonl", "-"], vec![&b, &pipe]),
        (vec!["*"], vec![&pipe, &a, &b, &c, &odd]),
        (vec!["a.jsonl", "a*", a.1.as_str()], vec![&a]),
    ] {
        let copy = Sandbox::new();
        let mut command = copy.program("cp", "-r");
        command.args([sandbox.path("s"), copy.path("s")]);
        crate::support::cli::run(command).expect(0);
        let mut command = copy.chatwal("sources --store s forget");
        command.args(&arguments);
        let mut ran = crate::support::cli::run(command).expect(0);
        for (name, instance) in &forgotten {
            let name = chatwal::base::text::printable(name);
            ran = ran.says(&[&format!("forgot {name} (input {instance}): 2 events kept, 1 reject dropped")]);
        }
        let sum =
            if forgotten.len() == 1 { "forgot 1 input;".into() } else { format!("forgot {} inputs;", forgotten.len()) };
        ran.says(&[&sum]);
        let names: Vec<&String> = forgotten.iter().map(|(name, _)| name).collect();
        for source in copy.sources() {
            assert!(!names.contains(&&source["source"].as_str().unwrap().to_owned()), "{arguments:?}: {source}");
        }
        assert_eq!(copy.sources().len(), 5 - forgotten.len(), "{arguments:?}");
        assert_eq!(copy.report(), report, "the events stay");
        assert_eq!(copy.run("rejects --store s").expect(0).out.lines().count(), 5 - forgotten.len());
    }
}

#[test]
fn what_no_input_is_called_is_said_before_anything_is_changed() {
    let (sandbox, inputs) = five_inputs();
    let before = sandbox.listing("s");
    let a = inputs[1].1.as_str();
    let other = if a.starts_with('0') { "1" } else { "0" };
    for (arguments, problem) in [
        (vec!["none"], "none: no such input in this store"),
        (vec!["a.jsonl", "none"], "none: no such input in this store"),
        (vec!["A.jsonl"], "A.jsonl: no such input in this store"),
        (vec![&a[..3]], "(an instance is named by at least 4 digits)"),
        (vec![&a[1..]], "no such input in this store"),
        (vec!["*.gz"], "*.gz: no input of this store has such a name"),
        (vec!["a.jsonl", "x?"], "x?: no input of this store has such a name"),
        (vec!["[a"], "[a: no such input, and not a pattern"),
        (vec![""], ": no such input in this store"),
        (vec![other], "no such input in this store"),
    ] {
        let mut command = sandbox.chatwal("sources --store s forget");
        command.args(&arguments);
        crate::support::cli::run(command).fails(2, &[problem]).says(&[
            "hint",
            "chatwal sources --store s",
            "nothing was forgotten",
        ]);
        assert!(sandbox.listing("s") == before, "{arguments:?}");
    }
}

#[test]
fn what_several_inputs_may_be_called_is_an_error_that_lists_them() {
    // A file whose name is how the instance of another one begins.
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", lines("in", 1, 0));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let instance = sandbox.sources()[0]["instance"].as_str().unwrap().to_owned();
    let name = &instance[..4];
    sandbox.write(name, lines("other", 1, 0));
    sandbox.run(&format!("ingest --store s {name}")).expect(0);
    let problem = format!("in.jsonl (input {instance})");
    sandbox.run(&format!("sources --store s forget {name}")).fails(2, &["fits several inputs", &problem]);
    // More digits mean one of them, and so does all of an instance.
    sandbox.run(&format!("sources --store s forget {}", &instance[..9])).expect(0).says(&["forgot in.jsonl"]);
    // So many inputs that some begin alike: of 2,000 instances two have 4 digits in common (but for 1 run in 10^13).
    let paths: Vec<String> = (0..2000).map(|number| format!("many/{number}")).collect();
    sandbox.shell("mkdir many").expect(0);
    paths.iter().for_each(|path| sandbox.write(path, message("1", path, "v", 1)));
    sandbox.run("ingest -q --recursive --store s many").expect(0);
    let mut prefixes: Vec<String> =
        sandbox.sources().iter().map(|source| source["instance"].as_str().unwrap()[..4].to_owned()).collect();
    prefixes.sort();
    let twice = prefixes.windows(2).find(|pair| pair[0] == pair[1]).expect("two of 2,000 begin alike");
    let ran = sandbox.run(&format!("sources --store s forget {}", twice[0])).fails(2, &["fits several inputs"]);
    assert!(ran.err.matches("(input ").count() >= 2, "{ran:#?}");
    // A name that several inputs have means all of them.
    sandbox.write("in.jsonl", lines("changed", 1, 0));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.write("in.jsonl", lines("changed again", 1, 0));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.run("sources --store s forget in.jsonl").expect(0).says(&["forgot 2 inputs"]);
}
