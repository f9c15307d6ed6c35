//! Number 8. Rejects say where: line, byte, column, what stands there, what was expected, what to write instead. The words are
//! tested beside the code, in src/intake/explain/tests.rs; here is what the program makes of them.

use serde_json::Value;

use crate::support::cli::{Sandbox, message, possible, run};

/// A line of an input, the column of its fault, and the reason that `rejects` prints.
#[rustfmt::skip]
const LINES: [(&[u8], Option<u64>, &str); 22] = [
    (br#"{"id":"a","type":"message",}"#, Some(27), r#"not valid JSON: trailing comma before "}""#),
    (br#"{'id':'a'}"#, Some(2), r#"not valid JSON: single quotes around the key id; write "id""#),
    (br#"{id:"a"}"#, Some(2), r#"not valid JSON: the key id has no quotes; write "id""#),
    (br#"{"id":"a","score":NaN}"#, Some(19), "not valid JSON: NaN is no word of JSON; write null"),
    (br#"{"id":"a","read":True}"#, Some(18), "not valid JSON: True is no word of JSON; write true"),
    (br#"{"id":"a" "type":"message"}"#, Some(11), r#"not valid JSON: missing comma before "type""#),
    (br#"{"id":"a","data":{"message":"Hi"}"#, Some(34), r#"not valid JSON: the line ends, "}" is missing"#),
    (br#"{"id":"a","from":"visitor1}"#, Some(18), r#"not valid JSON: a string has no end: "visitor1}"#),
    (b"{\"id\":\"a\",\"text\":\"a\tb\"}", Some(20), r#"not valid JSON: U+0009 (a tab) in the string of "text"; write \t"#),
    (b"{\"id\":\"a\",\"text\":\"\xe9t\xe9\"}", Some(19), "not UTF-8: byte 0xE9, which is \"é\" in Latin-1; iconv -f LATIN1 -t UTF-8 converts it"),
    ("{\"id\":\"a\",\u{a0}\"b\":1}".as_bytes(), Some(11), "not valid JSON: U+00A0 (a no-break space) where a key was expected; remove it"),
    (br#"{"id":7}"#, Some(7), r#""id" is 7; expected a string of 1 to 1,024 bytes: write it in quotes, "7""#),
    (br#"{"id":"a","timestamp":1429026445.0}"#, Some(23), r#""timestamp" is 1429026445.0; expected an integer: write 1429026445"#),
    (br#"{"id":"a","timestamp":"1429026445"}"#, Some(23), r#""timestamp" is "1429026445"; expected an integer: write 1429026445, without quotes"#),
    (br#"{"id":"a","timestamp":"2015-04-14T15:47:25Z"}"#, Some(23), r#""timestamp" is "2015-04-14T15:47:25Z"; expected an integer: jq -c '.timestamp |= fromdate' converts it to seconds"#),
    (br#"{"id":"a","type":"Message"}"#, Some(18), r#""type" is "Message"; expected "message" or "status": write "message""#),
    (br#"{"id":"a","id":"b"}"#, Some(11), r#""id" stands twice, here for the second time; expected once"#),
    (br#"{"id":"a","type":"message","from":"v","siteId":"1","timestamp":7,"data":{"message":"Hi"}}"#, Some(39), r#""site_id" is missing; rename "siteId" to "site_id""#),
    (br#"{"events":[{"id":"a"}]}"#, Some(2), r#"not an event itself; events stand under "events": jq -c '.events[]' takes them out"#),
    (br#"Oct 11 22:14:15 host app: {"id":"a"}"#, Some(1), r#"not valid JSON: words before the object: "Oct 11 22:14:15 host app:"; sed 's/^[^{]*//' cuts them off"#),
    (b"hello", Some(1), r#"not valid JSON: expected an object, found "hello""#),
    ("{\u{feff}\"id\":\"a\"}".as_bytes(), Some(2), r#"not valid JSON: U+FEFF (a byte-order mark) where a key or "}" was expected; remove it"#),
];

#[test]
fn each_reject_is_told_with_its_place() {
    let sandbox = Sandbox::new();
    let event = message("1", "x", "v", 1);
    let input: Vec<u8> = LINES.iter().flat_map(|(line, ..)| [event.as_bytes(), line, b"\n"].concat()).collect();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s in.jsonl").expect(3);
    let records = sandbox.run("rejects --store s --format ndjson").expect(0).silently().records();
    let lines = sandbox.run("rejects --store s").expect(0).silently().out;
    assert_eq!((records.len(), lines.lines().count()), (LINES.len(), LINES.len()));
    let mut byte = 0;
    for (at, ((text, column, reason), (record, line))) in
        LINES.iter().zip(records.iter().zip(lines.lines())).enumerate()
    {
        byte += event.len();
        let number = 2 * at + 2;
        let expected: [Value; 5] = [number.into(), byte.into(), (*column).into(), text.len().into(), (*reason).into()];
        let found = ["line", "byte", "column", "length", "reason"].map(|key| record[key].clone());
        assert_eq!(found, expected);
        let place = column.map_or(String::new(), |column| format!("column {column}: "));
        let start = format!("in.jsonl:{number} (byte {byte}): {place}{reason}: ");
        assert!(line.starts_with(&start), "{line}\n{start}");
        // Nothing of it is left that is not seen.
        assert!(!line.contains(|char: char| char.is_control() || "\u{a0}\u{feff}".contains(char)), "{line}");
        byte += text.len() + 1;
    }
}

#[test]
fn what_was_not_kept_has_no_column() {
    let sandbox = Sandbox::new();
    let long = format!("{{\"text\":\"{}\",}}\n", "x".repeat(5000));
    sandbox.write("in.jsonl", message("1", "x", "v", 1) + &long);
    sandbox.run("ingest --store s in.jsonl").expect(3);
    let reason = "not valid JSON: somewhere behind the first 4,096 bytes, which are all that was kept";
    let record = &sandbox.run("rejects --store s --format ndjson").expect(0).records()[0];
    assert_eq!((&record["column"], &record["reason"]), (&Value::Null, &reason.into()));
    let csv = sandbox.run("rejects --store s --format csv").expect(0).out;
    assert!(csv.contains(&format!(",,{},\"{reason}\",", long.len() - 1)), "{}", &csv[..200]);
    sandbox.run("rejects --store s").expect(0).prints(&[&format!("): {reason}: {{\"text\"")]);
}

#[test]
fn the_column_stands_behind_the_byte_in_every_format() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "x", "v", 1) + "{\"id\":\"a\",}\n");
    sandbox.run("ingest --store s in.jsonl").expect(3);
    for format in ["csv", "table"] {
        let out = sandbox.run(&format!("rejects --store s --format {format}")).expect(0).out;
        let header: Vec<&str> = out.lines().next().unwrap().split([',', ' ']).filter(|name| !name.is_empty()).collect();
        assert_eq!(header, ["source", "instance", "line", "byte", "column", "length", "reason", "raw"]);
    }
}

/// A name of a file that has such a character in it is shown escaped, and the path in a hint leads to it all the same.
#[test]
fn the_path_of_a_hint_can_be_pasted() {
    if !possible("bash", &["-c", "true"], "paths in `$'…'`") {
        return;
    }
    for char in [
        "\u{feff}",
        "\u{a0}",
        "\u{3000}",
        "\u{2003}",
        "\u{200b}",
        "\u{ad}",
        "\u{e000}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{e0041}",
    ] {
        let sandbox = Sandbox::new();
        let store = format!("s{char}t");
        sandbox.write("in.jsonl", message("1", "x", "v", 1) + "{\"id\":\"a\",}\n");
        let mut command = sandbox.chatwal("ingest in.jsonl --store");
        command.arg(&store);
        let ran = run(command).expect(3);
        assert!(!ran.err.contains(char), "{ran:#?}");
        let hint = ran.err.lines().find_map(|line| line.split('`').nth(1)).unwrap_or_else(|| panic!("{ran:#?}"));
        let script = hint.replacen("chatwal", env!("CARGO_BIN_EXE_chatwal"), 1);
        let mut shell = sandbox.program("bash", "-c");
        shell.arg(script);
        run(shell).expect(0).prints(&["trailing comma"]);
    }
}
