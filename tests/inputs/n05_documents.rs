//! Whole documents: an array of objects, pretty-printed objects, objects without any line end. Read as a stream of values.

use std::thread::sleep;
use std::time::Duration;

use crate::rows::{CHUNK, Row, WIDE, check, e, long, many, row};
use crate::support::cli::Sandbox;

const MIB: usize = 1 << 20;

/// A good object, pretty-printed.
fn pretty(number: u64, indent: &str, line_end: &str) -> String {
    pretty_of(&e(number), indent, line_end)
}

fn pretty_of(object: &str, indent: &str, line_end: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(object).unwrap();
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    let mut json = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&value, &mut json).unwrap();
    String::from_utf8(text).unwrap().replace('\n', line_end)
}

/// The same in an array, each line of it a step to the right.
fn pretty_array(numbers: std::ops::Range<u64>, indent: &str, line_end: &str) -> String {
    let step = format!("{line_end}{indent}");
    let objects: Vec<String> =
        numbers.map(|number| pretty(number, indent, line_end).replace(line_end, &step)).collect();
    format!("[{step}{}{line_end}]{line_end}", objects.join(&format!(",{step}")))
}

#[test]
fn arrays_are_documents() {
    let (one, two, three) = (e(1), e(2), e(3));
    let n = one.len();
    check(vec![
        row("on one line", format!("[{one},{two}]\n")).events(2),
        row("without a line end", format!("[{one}, {two}]")).events(2),
        row("a line each", format!("[\n{one},\n{two}\n]\n")).events(2),
        row("commas first", format!("[ {one}\r\n, {two}\r\n, {three} ]")).events(3),
        row("none in it", "[]\n"),
        row("arrays of arrays", format!("[[{one}],[[{two}],[]],\n[{three}]]")).events(3),
        row("one behind another", format!("[{one}][{two}]\n[{three}]\n")).events(3),
        row("behind a mark, blank lines and NULs", format!("\u{feff}\n\0\r\n [{one},{two}]\0\n"))
            .events(2)
            .says("2 NUL"),
        row("a comma too many", format!("[{one},,{two},]")).events(2),
        row("no commas", format!("[{one} {two}\n{three}]")).events(3),
        row("other objects in it", format!("[{one},{{}},{two},\n{{\"x\":[{{}}]}}]"))
            .events(2)
            .reject(1, n + 2, 2)
            .reject(2, 2 * n + 7, 10),
        row("other values in it", format!("[{one},null,\"a, b\",\n12 ,{two}]"))
            .events(2)
            .reject(1, n + 2, 4)
            .reject(1, n + 7, 6)
            .reject(2, n + 15, 2),
        row("numbers first are none", format!("[1,{one}]\n{two}\n")).events(1).reject(1, 0, n + 4),
        row("numbers first, said to be", format!("[1,{one}]\n{two}\n")).forced_to_json().events(2).reject(1, 1, 1),
    ]);
}

#[test]
fn pretty_printed_objects_are_documents() {
    let mut rows = Vec::new();
    for (indent, line_end) in [("  ", "\n"), ("    ", "\n"), ("\t", "\n"), ("  ", "\r\n"), ("", "\n")] {
        let p = |number| pretty(number, indent, line_end);
        let name = format!("{indent:?} and {line_end:?}");
        rows.extend([
            row(format!("one, {name}"), p(1)).events(1),
            row(format!("in lines, {name}"), format!("{}\n{}\n", p(1), p(2))).events(2),
            row(format!("with commas, {name}"), format!("{},\n{},\n", p(1), p(2))).events(2),
            row(format!("nothing between, {name}"), format!("{}{}", p(1), p(2))).events(2),
            row(format!("an array, {name}"), pretty_array(1..5, indent, line_end)).events(4),
            row(format!("behind a mark, {name}"), format!("\u{feff}{}", pretty_array(1..3, indent, line_end)))
                .events(2),
            row(format!("another object, {name}"), format!("{}\n{{{line_end}}}\n{}", p(1), p(2))).events(2).reject(
                1 + p(1).matches('\n').count() as u64 + 1,
                p(1).len() + 1,
                2 + line_end.len(),
            ),
        ]);
    }
    check(rows);
}

#[test]
fn objects_without_line_ends_are_documents_from_a_mebibyte_on() {
    let count = |bytes: usize| (bytes / WIDE) as u64 + 1;
    let (much, less) = (count(5 * MIB), count(MIB / 2));
    check(vec![
        row("5 MiB", many(100_000, much, "")).events(much),
        row("5 MiB, spaces between", many(100_000, much, " ")).events(much),
        row("5 MiB, commas between", many(100_000, much, ",")).events(much),
        row("5 MiB, with another object", format!("{}{{}}{}", many(100_000, much, ""), e(1))).events(much + 1).reject(
            1,
            much as usize * WIDE,
            2,
        ),
        row("5 MiB, and a line end behind", many(100_000, much, "") + "\n" + &e(1)).events(much + 1),
        row("half a MiB", many(100_000, less, "")).events(less),
        row("half a MiB, spaces between", many(100_000, less, " ")).events(less),
        row("half a MiB, commas between: one line", many(100_000, less, ","))
            .events(1)
            .left((less as usize - 1) * (WIDE + 1) + 1),
        row("half a MiB, commas between, said to be", many(100_000, less, ",")).forced_to_json().events(less),
        row("5 MiB, said to be lines", format!("{}{{}}{}\n", many(100_000, much, ""), e(1)))
            .forced_to_lines()
            .events(much)
            .reject(1, much as usize * WIDE, 2 + e(1).len()),
    ]);
}

#[test]
fn text_sequences_are_documents() {
    let (one, two) = (e(1), e(2));
    let sequence = format!("\x1e{one}\n\x1e{two}\n");
    check(vec![
        row("RFC 7464", sequence.clone()).events(2),
        row("without line ends", sequence.replace('\n', "")).events(2),
        row("pretty-printed", format!("\x1e{}\n\x1e{}\n", pretty(1, "  ", "\n"), pretty(2, "  ", "\n"))).events(2),
        row("behind a mark", format!("\u{feff}\n{sequence}")).events(2),
        row("half of one", format!("{sequence}\x1e{{\"id\":")).events(2).left(6),
        row("other values", format!("{sequence}\x1e7\n\x1e{{}}\n")).events(2).reject(3, sequence.len() + 1, 1).reject(
            4,
            sequence.len() + 4,
            2,
        ),
        row("lines before it: lines", format!("{one}\n\x1e{two}\n")).events(1).reject(2, one.len() + 1, two.len() + 1),
        row("as lines", sequence).forced_to_lines().reject(1, 0, one.len() + 1).reject(2, one.len() + 2, two.len() + 1),
    ]);
}

#[test]
fn the_head_may_be_overruled() {
    let (one, two, three) = (e(1), e(2), e(3));
    let n = one.len();
    check(vec![
        row("lines as a document", format!("{one}\n{two}\n")).forced_to_json().events(2),
        row("lines with words, as a document", format!("{one}\noops, {two}\n")).forced_to_json().events(2).reject(
            2,
            n + 1,
            4,
        ),
        row("an array as lines", format!("[{one},\n{two}\n]\n{three}\n"))
            .forced_to_lines()
            .events(2)
            .reject(1, 0, n + 2)
            .reject(3, 2 * n + 4, 1),
        row("a broken first object: lines", format!("{{'id':\n 1}}\n{one}\n"))
            .events(1)
            .reject(1, 0, 6)
            .reject(2, 8, 2),
        row("a broken first object, said to be", format!("{{'id':\n 1}}\n{one}\n"))
            .forced_to_json()
            .events(1)
            .reject(1, 0, 11),
        row("words first: lines", format!("oops\n{}\n{one}\n", pretty(2, "", "\n").replace('\n', " ")))
            .events(2)
            .reject(1, 0, 4),
    ]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn a_broken_object_costs_itself_alone() {
    let (one, two, three) = (e(1), e(2), e(3));
    let n = one.len();
    // What is broken, in an array of one line and in one of many; up to where the reject reaches in it.
    let mut rows = Vec::new();
    for (name, broken) in [
        ("a quote too few", "{\"id\":\"a,\"from\":\"b\"}"),
        ("a quote too many", "{\"id\":\"a\"\",\"from\":\"b\"}"),
        ("no quotes around a key", "{id:\"a\"}"),
        ("single quotes", "{'id':'a'}"),
        ("NaN", "{\"x\":NaN}"),
        ("a comment", "{/* x */}"),
        ("a bracket for a brace", "{\"x\":[1}"),
        ("a brace for a bracket", "{\"x\":{\"y\":1]}"),
        ("a comma at the end", "{\"x\":1,}"),
        ("no comma", "{\"x\":1 \"y\":2}"),
        ("no comma in a list", "{\"x\":[1 2]}"),
        ("no colon", "{\"x\" 1}"),
        ("no value", "{\"x\":}"),
        ("no key", "{\"x\":1,2}"),
    ] {
        let whole = broken.len();
        rows.extend([
            row(format!("{name}, on one line"), format!("[{one},{broken}, {two},{three}]")).events(3).reject(
                1,
                n + 2,
                whole + 2,
            ),
            row(format!("{name}, a line each"), format!("[\n{one},\n{broken},\n{two},\n{three}\n]\n"))
                .events(3)
                .reject(3, n + 4, whole + 2),
            row(format!("{name}, at the end"), format!("[{one},{two},{broken}]")).events(2).left(whole + 1),
        ]);
    }
    let pretty = pretty_array(1..5, "  ", "\n");
    let at = |number: u64| pretty.find(&format!("\"id\": \"{number}\"")).unwrap();
    let begin = |number: u64| pretty[..at(number)].rfind("\n  {").unwrap() + 3;
    let line = |byte: usize| 1 + pretty[..byte].matches('\n').count() as u64;
    // The second object without something.
    let shorter = |lost: &str, less: &str| {
        let place = begin(2) + pretty[begin(2)..].find(lost).unwrap();
        [&pretty[..place], less, &pretty[place + lost.len()..]].concat()
    };
    rows.extend([
        row("a brace too few inside", shorter("    },", "    ,")).events(3).reject(
            line(begin(2)),
            begin(2),
            begin(3) - begin(2) - 1,
        ),
        // The next one begins neither behind a brace nor at the start of a line.
        row("a brace too few", shorter("\n  },", "\n  ,")).events(2).reject(
            line(begin(2)),
            begin(2),
            begin(4) - begin(2) - 1,
        ),
        row("a line end in a string", format!("[{one},\n{{\"id\":\"a\nb\"}},\n{two}]")).events(2).reject(2, n + 3, 14),
        row("two in a row", format!("[{one},\n{{'a'}},\n{{'b'}},\n{two}]")).events(2).reject(2, n + 3, 7).reject(
            3,
            n + 10,
            7,
        ),
        // What stands in numbers, words and escapes does not hide where an object ends.
        row(
            "wrong values are not broken",
            format!("[{one},{{\"id\":7,\"x\":\"\\u12\"}},{{\"x\":01,\"y\":trve}},{two}]"),
        )
        .events(2)
        .reject(1, n + 2, 19)
        .reject(1, n + 22, 17),
        row("a string that has no end", format!("[{one},\"a, b\n{two}]")).events(2).reject(1, n + 2, 5),
        row("a word before a string", format!("[{one},nul\"a\"{two}]")).events(2).reject(1, n + 2, 3).reject(
            1,
            n + 5,
            3,
        ),
    ]);
    check(rows);
}

#[test]
fn a_document_may_end_early() {
    let (one, two) = (e(1), e(2));
    let n = one.len();
    check(vec![
        row("in an object", format!("[{one},\n{}", &two[..n / 2])).events(1).left(n / 2).endless(),
        row("in an object, between its lines", format!("[{one},\n{{\n\"id\":\n")).events(1).left(8).endless(),
        row("in a pretty one", format!("{}\n{}", pretty(1, "  ", "\n"), &pretty(2, "  ", "\n")[..20]))
            .events(1)
            .left(20),
        row("in the first one", pretty(1, "  ", "\n")[..20].to_owned()).left(20),
        row("before the bracket", format!("[{one},\n{two}\n")).events(2).endless(),
        row("behind a comma", format!("[{one},{two},")).events(2).endless(),
        row("filler at the end", format!("[{one}]\r\n\0\u{feff}")).events(1).says("NUL"),
    ]);
}

#[test]
fn objects_of_documents_have_a_longest_length() {
    let n = e(1).len();
    check(vec![
        row("the longest", format!("[{},\n{},{}]", e(1), long(2, MIB), long(3, MIB))).events(3),
        row("one byte more", format!("[{},\n{},{}]", e(1), long(2, MIB + 1), e(3))).events(2).reject(2, n + 3, MIB + 1),
        row("many times as long", format!("[{},\n{},{}]", e(1), long(2, 2 * CHUNK), e(3))).events(2).reject(
            2,
            n + 3,
            2 * CHUNK,
        ),
        row("the first one", format!("{}{}", long(1, MIB), e(2))).events(2),
        row("the first one, a byte more", format!("{}{}", long(1, MIB + 1), e(2))).events(1).reject(1, 0, MIB + 1),
    ]);
}

#[test]
fn chunks_of_documents_end_anywhere() {
    let n = e(1).len();
    let mut rows: Vec<Row> = Vec::new();
    for before in [0, 1, 2, n / 2, n - 1, n, n + 1] {
        let begin = format!("[{},", e(9));
        let pad = format!("{begin}{}", " ".repeat(CHUNK - before - begin.len()));
        rows.push(row(format!("an object {before} bytes before"), format!("{pad}{},{}]", e(1), e(2))).events(3));
        let broken = "{\"id\":\"a,\"from\":\"b\"}";
        rows.push(
            row(format!("a broken object {before} bytes before"), format!("{pad}{broken},{}]", e(2))).events(2).reject(
                1,
                CHUNK - before,
                broken.len() + 1,
            ),
        );
        let pretty = pretty(1, "\t", "\r\n");
        rows.push(row(format!("a pretty object {before} bytes before"), format!("{pad}{pretty},{}]", e(2))).events(3));
    }
    let count = (9 << 20) / WIDE as u64;
    rows.extend([
        row("9 MiB in one line", format!("[{}{}]", many(100_000, count, ","), e(1))).events(count + 1),
        row("9 MiB in lines", format!("[\n{}{}]\n", many(100_000, count, ",\n"), e(1))).events(count + 1),
        row("9 MiB, broken in the middle", {
            format!("[{}{{'a'}},{}{}]", many(100_000, count, ",\n"), many(500_000, 1000, ","), e(1))
        })
        .events(count + 1001)
        .reject(1 + count, 1 + count as usize * (WIDE + 2), 6),
        row(
            "pretty-printed",
            (0..count).map(|it| pretty_of(&long(it, WIDE), "    ", "\n") + ",\n").collect::<String>(),
        )
        .events(count),
        row("broken for many chunks", format!("[{},{{'a'{}\n{}]", e(1), "x".repeat(2 * CHUNK), e(2))).events(2).reject(
            1,
            n + 2,
            5 + 2 * CHUNK,
        ),
        row("white space for many chunks", format!("[{},{}\n{}]", e(1), " ".repeat(2 * CHUNK), e(2))).events(2),
    ]);
    check(rows);
}

#[test]
fn a_head_may_come_in_pieces() {
    for (name, input, form) in [
        ("an array", format!("[\n{},\n{}\n]\n", e(1), e(2)), ""),
        ("an array behind a mark", format!("\u{feff}\r\n[\n{},\n{}\n]\n", e(1), e(2)), ""),
        ("pretty-printed", format!("\n{}\n{}\n", pretty(1, "", "\n"), pretty(2, "", "\n")), ""),
        ("a text sequence behind NULs", format!("\0\0\x1e{}\n\x1e{}\n", e(1), e(2)), ""),
        ("lines behind a mark", format!("\u{feff}{}\n\u{feff}{}\n", e(1), e(2)), ""),
        ("lines, said to be a document", format!("{}\n{}\n", e(1), e(2)), "--input json"),
    ] {
        for cut in [1, 2, 3, 4, 5, 6, 8, 12, 40] {
            let sandbox = Sandbox::new();
            let mut running = sandbox.start(&format!("ingest --store s --durability os {form} -"));
            running.send(&input.as_bytes()[..cut]);
            // Long enough for it to be read by itself, most of the time.
            sleep(Duration::from_millis(20));
            running.send(&input.as_bytes()[cut..]);
            let ran = running.end();
            assert_eq!(ran.code, Some(0), "{name}, {cut} bytes first: {ran:#?}");
            let (first, second) = (e(1), e(2));
            sandbox.reports(format!("{first}\n{second}"));
        }
    }
}
