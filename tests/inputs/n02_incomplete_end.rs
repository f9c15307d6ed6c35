//! What stands behind the last `\n` and is no event: a file may still grow, so it is left and said; a pipe has ended, so it is a
//! reject.

use crate::rows::{CHUNK, WIDE, check, e, left_of, many, row};
use crate::support::cli::{Sandbox, gzip, possible};
use crate::support::naive::{Naive, NaiveEnd, read};

#[test]
fn what_is_complete_is_taken_and_the_rest_is_left() {
    let (one, two) = (e(1), e(2));
    let n = one.len();
    check(vec![
        row("an event", one.clone()).events(1),
        row("an event and filler", format!("{one} \t\r\0\u{feff}")).events(1).says("NUL"),
        row("half an object", format!("{one}\n{}", &two[..n / 2])).events(1).left(n / 2),
        row("all but the last byte", format!("{one}\n{}", &two[..n - 1])).events(1).left(n - 1),
        row("the first byte", format!("{one}\n{{")).events(1).left(1),
        row("an event and half an object", format!("{one}\n{two}{{\"id\"")).events(2).left(5),
        row("filler before it", format!("{one}\n{two}\0 {{\"id\"")).events(2).left(5),
        row("nothing but half an object", two[..n / 2].to_owned()).left(n / 2),
        row("words", format!("{one}\nand so on")).events(1).left(9),
        row("words behind an event", format!("{one}\n{two} and so on, {one}")).events(2).left(11 + n),
        row("another object", format!("{one}\n{{}}")).events(1).left(2),
        row("another object before an event", format!("{one}\n{{}}{two}")).events(1).left(2 + n),
        row("a comma", format!("{one},")).events(1).left(1),
        row("half a mark", [one.as_bytes(), b"\xef\xbb"].concat()).events(1).left(2),
        row("not UTF-8", [one.as_bytes(), b"\n{\"id\":\"\xff\"}"].concat()).events(1).left(10),
        row("half a character", [one.as_bytes(), b"\n{\"id\":\"\xc3"].concat()).events(1).left(8),
        row("rejects before it", format!("oops\n{one}\noops\noops"))
            .events(1)
            .reject(1, 0, 4)
            .reject(3, n + 6, 4)
            .left(4),
    ]);
}

#[test]
fn a_long_end_is_left_as_well() {
    let count = (5 << 20) / WIDE as u64;
    let much = many(100_000, count, "");
    let long = format!("{{\"id\":\"{}", "x".repeat(2 * CHUNK));
    check(vec![
        row("behind many events", format!("{}\n{much}{{\"id\"", e(1))).events(count + 1).left(5),
        row("words before many events", format!("{}\nx{much}", e(1))).events(1).left(1 + much.len()),
        row("half an object that is too long", format!("{}\n{long}", e(1))).events(1).left(long.len()),
    ]);
}

const INGEST: &str = "ingest --store s --progress json in.jsonl";

#[test]
fn what_is_left_is_said_by_everyone() {
    for pack in [<[u8]>::to_vec as fn(&[u8]) -> Vec<u8>, gzip] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", pack(format!("{}\n{{\"id\":", e(1)).as_bytes()));
        // Each run says it, also one that finds nothing new, and one that is to be quiet.
        for options in ["", "-q", "", "-q --progress json", "-v"] {
            let ran = sandbox.run(&format!("ingest --store s in.jsonl {options}")).expect(3);
            let place = format!("in.jsonl:2 (byte {})", e(1).len() + 1);
            let told = ran.err.lines().find(|line| line.contains("left for the next run"));
            assert!(told.is_some_and(|line| line.contains(&place)), "{ran:#?}");
        }
        let done = sandbox.run(INGEST).expect(3).done();
        assert_eq!((&done[0]["left"], &done[0]["rejects"]), (&6.into(), &0.into()));
        assert_eq!(sandbox.sources()[0]["left"], 6);
        sandbox.run("sources --store s").expect(0).prints(&["left=6", "in.jsonl"]);
        assert_eq!(sandbox.run("rejects --store s").expect(0).out, "");
        sandbox.reports(e(1));

        // The file grows to its end, and all is well.
        let whole = format!("{}\n{}\n", e(1), e(2));
        sandbox.write("in.jsonl", pack(whole.as_bytes()));
        let ran = sandbox.run(INGEST).expect(0);
        assert_eq!(left_of(&ran.done()[0]), 0);
        assert_eq!(ran.read(), (e(1).len() as u64 + 1, whole.len() as u64));
        assert_eq!(left_of(&sandbox.sources()[0]), 0);
        sandbox.reports(whole);
    }
}

#[test]
fn run_prints_the_report_and_ends_with_3() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", format!("{}\n{{\"id\":", e(1)));
    let ran = sandbox.run("run in.jsonl").expect(3).says(&["left for the next run"]);
    assert_eq!(ran.out, "1,messages=0,emails=1,operators=0,visitors=1\n");
}

#[test]
fn strict_stops_at_an_incomplete_end() {
    for (name, end) in [("half an object", "{\"id\":"), ("words", "and so on")] {
        let sandbox = Sandbox::new();
        let whole = format!("{}\n{end}", e(1));
        sandbox.write("in.jsonl", &whole);
        let place = format!("in.jsonl:2 (byte {})", e(1).len() + 1);
        let ran = sandbox.run(&format!("{INGEST} --strict")).expect(1);
        assert!(ran.err.contains(&format!("error: {place}")), "{name}: {ran:#?}");
        let ran = sandbox.run_with("ingest --store t --strict -", whole.as_bytes()).expect(1);
        assert!(ran.err.contains("error: -:2"), "{name}, through a pipe: {ran:#?}");
        sandbox.write("in.jsonl", format!("{}\n{}", e(1), e(2)));
        sandbox.run(&format!("{INGEST} --strict")).expect(0);
    }
}

/// Rejects of a store: name, byte and length.
fn rejects(sandbox: &Sandbox) -> Vec<(String, u64, u64)> {
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let listed = sandbox.run("rejects --store s --format ndjson").expect(0).records();
    listed
        .iter()
        .map(|it| (text(&it["source"]), it["byte"].as_u64().unwrap(), it["length"].as_u64().unwrap()))
        .collect()
}

#[test]
fn what_is_no_file_has_ended_for_good() {
    let whole = format!("{}\n{}{{\"id\":", e(1), e(2));
    let offset = whole.len() as u64 - 6;
    let mut ways = vec![
        ("a pipe", "cat in.jsonl | $chatwal ingest --store s -", "-"),
        ("a packed pipe", "gzip -c in.jsonl | $chatwal ingest --store s -", "-"),
        // A file, but nobody knows its name, and no run can go on with it.
        ("a redirected file", "$chatwal ingest --store s - < in.jsonl", "-"),
        ("a named pipe", "mkfifo p; cat in.jsonl > p & $chatwal ingest --store s p", "p"),
    ];
    if possible("bash", &["-c", "true"], "a process substitution") {
        ways.push(("a process substitution", "exec bash -c '$chatwal ingest --store s <(cat in.jsonl)'", "/dev/fd/"));
    }
    for (way, script, name) in ways {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", &whole);
        let ran = sandbox.shell(script);
        assert_eq!(ran.code, Some(3), "{way}: {ran:#?}");
        assert!(!ran.err.contains("left for the next run"), "{way}: {ran:#?}");
        let found = rejects(&sandbox);
        assert!(
            matches!(&found[..], [(source, byte, 6)] if source.starts_with(name) && *byte == offset),
            "{way}: {found:?}"
        );
        sandbox.reports(format!("{}{}", e(1), e(2)));
        assert_eq!(left_of(&sandbox.sources()[0]), 0, "{way}");
    }
}

#[test]
fn an_end_that_grows_into_something_else_is_judged_then() {
    // What was left, what is appended.
    for (left, rest) in [
        ("{\"id\"", ":7}\n"),
        ("{\"id\"", "oops\n"),
        ("oops", "\n"),
        ("x", "{}\n"),
        ("{", "}\n"),
        ("\u{feff}{", "}"),
        (" ", "x"),
        ("{}", &e(3)),
        ("{}", &format!("\n{}", e(3))),
    ] {
        let sandbox = Sandbox::new();
        let (part, whole) = (format!("{}\n{}{left}", e(1), e(2)), format!("{}\n{}{left}{rest}", e(1), e(2)));
        for bytes in [&part, &part, &whole, &whole] {
            sandbox.write("in.jsonl", bytes);
            let reading = read(bytes.as_bytes(), None, NaiveEnd::MayGrow);
            let expected: Vec<_> =
                reading.rejects.iter().map(|it| ("in.jsonl".to_owned(), it.offset, it.length)).collect();
            let mut naive = Naive::new();
            naive.feed(reading);
            let ran = sandbox.run(INGEST).expect(if naive.is_complete() { 0 } else { 3 });
            assert_eq!(left_of(&ran.done()[0]), naive.left(), "{left:?} and {rest:?}");
            assert_eq!(rejects(&sandbox), expected, "{left:?} and {rest:?}");
            sandbox.reports(bytes);
        }
    }
}
