//! P2 for cuts of every kind, with kills: however the objects of a workload are spread over files, members and pipes, and
//! however a file grows, the report is that of the whole, and each reject counts once.
//!
//! `CHATWAL_CUTS=500` tries so many cases of each kind; `CHATWAL_SEED` and `CHATWAL_CUTS=1` repeat one.

use std::io::Write as _;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::rows::left_of;
use crate::support::cli::{Dice, Running, Sandbox, gzip, zstd};
use crate::support::naive::{Naive, NaiveEnd, NaiveForm, form_of, read};
use crate::support::setting;

/// How an object is written.
#[derive(Clone, Copy)]
enum Style {
    /// On one line.
    Compact,
    /// One member a line.
    Pretty(&'static str, &'static str),
}

/// One value of a workload.
struct Value {
    text: String,
    is_event: bool,
}

/// A value that is an event, or a copy of one, or one that disagrees.
fn event(style: Style, dice: &mut Dice) -> Value {
    let id = dice.below(200);
    let (kind, from, data) = match dice.below(4) {
        0 => ("status", "o", ("status", "\"online\"")),
        1 => ("status", "o", ("status", "\"offline\"")),
        2 => ("message", "v", ("message", r#""half \ud83d of one, and }\"{""#)),
        _ => ("message", "v", ("message", "\"Hi\"")),
    };
    let (site, from, timestamp) = (dice.below(7), format!("\"{from}{}\"", dice.below(5)), (id * 7 % 91).to_string());
    let (id, kind, site) = (format!("\"{id}\""), format!("\"{kind}\""), format!("\"{site}\""));
    let data = object(style, 1, &[data]);
    let mut members = [
        ("id", &*id),
        ("type", &*kind),
        ("from", &*from),
        ("site_id", &*site),
        ("timestamp", &*timestamp),
        ("data", &*data),
    ];
    dice.shuffle(&mut members);
    Value { text: object(style, 0, &members), is_event: true }
}

/// A value that is none, and whose end is plain to see.
fn other(dice: &mut Dice, kinds: &[&str]) -> Value {
    let kind = kinds[dice.below(kinds.len() as u64) as usize];
    Value { text: kind.replace('#', &dice.below(1000).to_string()), is_event: false }
}

/// An object with these members, so many steps to the right.
fn object(style: Style, steps: usize, members: &[(&str, &str)]) -> String {
    let (begin, key, between, end) = match style {
        Style::Compact => (String::new(), ":", ",".to_owned(), String::new()),
        Style::Pretty(indent, line_end) => {
            let line = format!("{line_end}{}", indent.repeat(steps + 1));
            (line.clone(), ": ", format!(",{line}"), format!("{line_end}{}", indent.repeat(steps)))
        }
    };
    let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\"{key}{value}")).collect();
    format!("{{{begin}{}{end}}}", members.join(&between))
}

/// One of some.
fn pick<T: Copy>(dice: &mut Dice, some: &[T]) -> T {
    some[dice.below(some.len() as u64) as usize]
}

/// Some cases of a kind, each with a seed of its own.
fn cases(kind: &str, case: impl Fn(&mut Dice) -> u64) {
    let (seed, wanted) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_CUTS", 20));
    let (started, mut kills) = (Instant::now(), 0);
    for seed in seed..seed + wanted {
        let _told = Again { kind, seed };
        kills += case(&mut Dice(seed.wrapping_mul(0x9e37_79b9)));
    }
    println!("{kind}: {wanted} cases from seed {seed}, {kills} kills, in {:?}", started.elapsed());
}

/// Says how to repeat a case that fails.
struct Again<'k> {
    kind: &'k str,
    seed: u64,
}

impl Drop for Again<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}: repeat it with CHATWAL_CUTS=1 CHATWAL_SEED={}", self.kind, self.seed);
        }
    }
}

/// Runs a command until it comes to its end, after some kills; gives its exit status and the kills.
fn through(sandbox: &Sandbox, command: &str, input: Option<&[u8]>, killable: bool, dice: &mut Dice) -> (i32, u64) {
    let mut kills = 0;
    while killable && dice.below(2) == 0 {
        let mut running = match input {
            None => Running::start(sandbox.chatwal(command)),
            Some(bytes) => {
                let mut running = sandbox.start(command);
                let (mut pipe, bytes) = (running.input(), bytes.to_vec());
                // Whoever reads it may be killed.
                std::thread::spawn(move || drop(pipe.write_all(&bytes)));
                running
            }
        };
        sleep(Duration::from_micros(dice.below(30_000)));
        kills += u64::from(!running.has_ended());
        running.kill();
        if sandbox.has("s") && dice.below(3) == 0 {
            // There may be no store yet; if there is one, whoever reads it finds it sound.
            let ran = sandbox.run("verify --store s");
            assert!(matches!(ran.code, Some(0 | 10)), "after a kill: {ran:#?}");
        }
    }
    let ran = match input {
        None => sandbox.run(command),
        Some(bytes) => sandbox.run_with(command, bytes),
    };
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:#?}");
    (ran.code.unwrap(), kills)
}

/// An input, and a line, first byte and length of it.
type Reject = (String, u64, u64, u64);

/// Asserts that the store holds these rejects, each once.
#[track_caller]
fn rejected(sandbox: &Sandbox, expected: &[Reject], what: &str) {
    let found = rejects(sandbox);
    let differ: Vec<_> = (0..found.len().max(expected.len())).filter(|&at| found.get(at) != expected.get(at)).collect();
    let first: Vec<_> = differ.iter().take(3).map(|&at| (found.get(at), expected.get(at))).collect();
    assert!(differ.is_empty(), "{what}: {} rejects, {} expected; first {first:?}", found.len(), expected.len());
}

/// Every reject of the store, in order.
fn rejects(sandbox: &Sandbox) -> Vec<Reject> {
    let listed = sandbox.run("rejects --store s --format ndjson").expect(0).records();
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let mut rejects: Vec<_> = listed
        .iter()
        .map(|it| {
            let name = it["source"].as_str().unwrap().to_owned();
            (name, number(&it["line"]), number(&it["byte"]), number(&it["length"]))
        })
        .collect();
    rejects.sort();
    rejects
}

/// How an input comes to the program.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Plain,
    Gzip,
    Zstd,
    Pipe,
    PackedPipe,
}

/// The members of a packed file, which end anywhere.
fn packed(bytes: &[u8], pack: fn(&[u8]) -> Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let (mut all, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(1 + dice.below(rest.len() as u64) as usize);
        all.extend(pack(piece));
        rest = behind;
        if dice.below(4) == 0 {
            all.extend(pack(b""));
        }
    }
    all
}

/// Values of lines that are no events, and from which a line's end leads back.
const WRONG_LINES: [&str; 7] = [
    "{\"no event\":#}",
    "oops #",
    "{'id':#}",
    "{\"id\":#,}",
    "[#]",
    "{\"x\":\"#\u{1}\"}",
    "{\"no event\":#} {\"id\":\"a\"}",
];

#[test]
fn a_workload_cut_between_its_objects() {
    cases("between objects", |dice| {
        let values: Vec<Value> = (0..300)
            .map(|_| match dice.below(25) {
                0 => other(dice, &WRONG_LINES),
                _ => event(Style::Compact, dice),
            })
            .collect();
        let mut whole = Naive::new();
        whole.feed_lines(values.iter().map(|value| value.text.clone() + "\n").collect::<String>().as_bytes());

        // A few inputs, each with some of the values in a row; in some much white space, so that it has several chunks.
        let mut inputs = Vec::new();
        let mut rest = &values[..];
        while !rest.is_empty() {
            let (some, behind) = rest.split_at(rest.len().min(1 + dice.below(120) as usize));
            let wide = dice.below(12) == 0;
            inputs.push(line_text(some, wide, dice));
            rest = behind;
        }
        dice.shuffle(&mut inputs);
        // Two files are one, as `cat` makes it.
        if inputs.len() > 2 && dice.below(2) == 0 {
            let (one, two) = (inputs.pop().unwrap(), inputs.pop().unwrap());
            inputs.push(one + &two);
        }
        read_all(&inputs, &whole, dice)
    });
}

/// Values in lines, each line with one or several; those that are no events have the rest of theirs.
fn line_text(values: &[Value], wide: bool, dice: &mut Dice) -> String {
    let mut text = pick(dice, &["", "", "\u{feff}", "\n", "\0\0"]).to_owned();
    for (number, value) in values.iter().enumerate() {
        text.push_str(&value.text);
        let is_last = number + 1 == values.len();
        text.push_str(match value.is_event {
            false => pick(dice, &["\n", "\r\n", "\n\n"]),
            true if is_last => pick(dice, &["", "", " ", "\n", "\0"]),
            true => pick(dice, &["", " ", "\n", "\n", "\r\n", "\n\u{feff}", "\0", " \u{feff}\t"]),
        });
        if wide && number % 20 == 0 && (value.is_event || text.ends_with('\n')) {
            text.push_str(&" ".repeat(900_000));
        }
    }
    text
}

/// Reads inputs in some order, some of them together, and compares what comes out.
fn read_all(inputs: &[String], whole: &Naive, dice: &mut Dice) -> u64 {
    let sandbox = Sandbox::new();
    let (mut kills, mut expected) = (0, Vec::new());
    let mut files = Vec::new();
    let mut ways = Vec::new();
    for (number, input) in inputs.iter().enumerate() {
        let bytes = input.as_bytes();
        let way = pick(dice, &[Way::Plain, Way::Plain, Way::Gzip, Way::Zstd, Way::Pipe, Way::PackedPipe]);
        let (name, stream) = match way {
            Way::Plain => (format!("{number}.jsonl"), bytes.to_vec()),
            Way::Gzip => (format!("{number}.gz"), packed(bytes, gzip, dice)),
            Way::Zstd => (format!("{number}.zst"), packed(bytes, zstd, dice)),
            Way::Pipe => ("-".into(), bytes.to_vec()),
            Way::PackedPipe => ("-".into(), packed(bytes, gzip, dice)),
        };
        let piped = name == "-";
        let end = if piped { NaiveEnd::Final } else { NaiveEnd::MayGrow };
        let reading = read(bytes, None, end);
        // NUL bytes between objects may come to stand last.
        let nuls = bytes.iter().rev().take_while(|byte| **byte == 0).count() as u64;
        assert_eq!(reading.left, if piped { 0 } else { nuls }, "the test cuts between objects");
        expected.extend(reading.rejects.iter().map(|it| (name.clone(), it.line, it.offset, it.length)));
        ways.push((way, reading.rejects.len()));
        match piped {
            // What was sent before a kill is an input of its own, with rejects of its own.
            true => kills += through(&sandbox, &command("-", dice), Some(&stream), reading.rejects.is_empty(), dice).1,
            false => {
                sandbox.write(&name, stream);
                files.push(name);
            }
        }
        if !files.is_empty() && dice.below(2) == 0 || number + 1 == inputs.len() {
            kills += together(&sandbox, &mut files, dice);
        }
    }
    expected.sort();
    let text = |naive: &Naive| String::from_utf8(naive.report()).unwrap();
    assert_eq!(sandbox.report(), text(whole), "{ways:?}");
    rejected(&sandbox, &expected, &format!("{ways:?}"));
    assert_eq!(expected.len(), whole.rejects(), "{ways:?}");
    kills
}

/// Reads files that wait in one run, in any order; all of them are kept.
fn together(sandbox: &Sandbox, files: &mut Vec<String>, dice: &mut Dice) -> u64 {
    if files.is_empty() {
        return 0;
    }
    dice.shuffle(files);
    let kills = through(sandbox, &command(&files.join(" "), dice), None, true, dice).1;
    files.clear();
    kills
}

/// The command that reads files, in one of several ways that must make no difference.
fn command(files: &str, dice: &mut Dice) -> String {
    let threads = 1 + dice.below(3);
    let compacting = pick(dice, &["--no-compact", "--compact-at 1", ""]);
    format!("ingest --store s --segment-size 4096 --threads {threads} {compacting} {files}")
}

/// How a file that grows is written.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Growth {
    /// Appended to.
    Plain,
    /// Packed anew.
    Repacked,
    /// A member is appended.
    Members,
}

/// A file grows by pieces cut at any byte, and is read after each.
fn grow(text: &str, form: Option<NaiveForm>, dice: &mut Dice) -> u64 {
    let bytes = text.as_bytes();
    let growth = pick(dice, &[Growth::Plain, Growth::Plain, Growth::Repacked, Growth::Members]);
    let pack = pick(dice, &[gzip as fn(&[u8]) -> Vec<u8>, zstd]);
    let sandbox = Sandbox::new();
    let mut ends: Vec<usize> = (0..dice.below(7)).map(|_| 1 + dice.below(bytes.len() as u64) as usize).collect();
    // Near its start, the head is still open to question.
    ends.extend((0..dice.below(3)).map(|_| 1 + dice.below(200.min(bytes.len() as u64)) as usize));
    ends.push(bytes.len());
    ends.sort_unstable();
    ends.dedup();
    let option = match form {
        Some(NaiveForm::Lines) => " --input lines",
        Some(NaiveForm::Document) => " --input json",
        None => "",
    };
    let (mut file, mut written, mut kills) = (Vec::new(), 0, 0);
    for end in ends {
        match growth {
            Growth::Plain => file = bytes[..end].to_vec(),
            Growth::Repacked => file = pack(&bytes[..end]),
            Growth::Members => file.extend(pack(&bytes[written..end])),
        }
        written = end;
        sandbox.write("in", &file);
        let (code, killed) = through(&sandbox, &(command("in", dice) + option), None, true, dice);
        kills += killed;
        let part = &bytes[..end];
        let mut naive = Naive::new();
        naive.feed(read(part, form, NaiveEnd::MayGrow));
        let what = format!("{growth:?}, up to byte {end}, {:?}", form.unwrap_or_else(|| form_of(part)));
        assert_eq!(code, if naive.is_complete() { 0 } else { 3 }, "{what}");
        let expected: Vec<_> =
            naive.reject_list().iter().map(|it| ("in".to_owned(), it.line, it.offset, it.length)).collect();
        rejected(&sandbox, &expected, &what);
        assert_eq!(sandbox.report(), String::from_utf8(naive.report()).unwrap(), "{what}");
        let sources = sandbox.sources();
        assert!(sources.len() <= 1, "{what}: {sources:?}");
        match sources.first() {
            Some(source) => {
                let taken = source["byte"].as_u64().unwrap();
                assert_eq!((taken, left_of(source)), (end as u64 - naive.left(), naive.left()), "{what}");
            }
            // What stands before the first object alone is not worth a place in the store.
            None => assert_eq!((naive.events(), naive.rejects()), (0, 0), "{what}"),
        }
    }
    kills
}

#[test]
fn a_file_of_lines_that_grows() {
    cases("lines that grow", |dice| {
        let wide = dice.below(10) == 0;
        let values: Vec<Value> = (0..200)
            .map(|_| match dice.below(20) {
                0 => other(dice, &WRONG_LINES),
                1 => other(dice, &["{\"id\":\"#", "{\"id\"{}", "\u{e9}#", "\"#", "#}{", "{\"x\":{\"y\":#}"]),
                _ => event(Style::Compact, dice),
            })
            .collect();
        // A line that is half an object may be the first of a document; the second line decides.
        let text = event(Style::Compact, dice).text + "\n" + &line_text(&values, wide, dice);
        grow(&text, None, dice)
    });
}

/// Values of documents that are no events: whole ones, and broken ones, whose end is where the next object begins.
const WRONG_VALUES: [&str; 7] = [
    "{\"no event\":#}",
    "{\"id\":#}",
    "null",
    "\"a ] string #\"",
    "{\"x\":{\"y\":\"}\"}}",
    "{\"id\":\"#,\"from\":\"b\"}",
    "{'id':#}",
];

/// The values of a document, the last of which is an event; broken ones among them, if what is between lets one find the next.
fn values(style: Style, count: usize, wrong: &[&str], dice: &mut Dice) -> Vec<String> {
    let mut values: Vec<String> = (0..count)
        .map(|_| match dice.below(20) {
            0 => other(dice, wrong).text,
            _ => event(style, dice).text,
        })
        .collect();
    values.push(event(style, dice).text);
    values.insert(0, event(style, dice).text);
    values
}

/// Some style of several lines.
fn some_lines(dice: &mut Dice) -> Style {
    pick(
        dice,
        &[
            Style::Pretty("  ", "\n"),
            Style::Pretty("    ", "\n"),
            Style::Pretty("\t", "\n"),
            Style::Pretty("  ", "\r\n"),
        ],
    )
}

/// White space for several chunks, sometimes.
fn some_space(dice: &mut Dice) -> String {
    if dice.below(10) == 0 { " ".repeat(5 << 20) } else { String::new() }
}

#[test]
fn an_array_that_grows() {
    cases("an array that grows", |dice| {
        let style = if dice.below(2) == 0 { Style::Compact } else { some_lines(dice) };
        let all = values(style, 120, &WRONG_VALUES, dice);
        let (begin, between, end) =
            pick(dice, &[("[", ",", "]"), ("[\n", ",\n", "\n]\n"), ("[ ", "\r\n, ", " ]"), ("[[", "],\n[", "]]\n")]);
        let middle = all.len() / 2;
        let text =
            [all[..middle].join(between), all[middle..].join(between)].join(&(between.to_owned() + &some_space(dice)));
        grow(&format!("{begin}{text}{end}"), None, dice)
    });
}

#[test]
fn pretty_printed_objects_that_grow() {
    cases("pretty-printed objects that grow", |dice| {
        let style = some_lines(dice);
        let between = pick(dice, &["\n", "\r\n", "", ",\n", "\n\n"]);
        let text = values(style, 120, &WRONG_VALUES, dice).join(between) + &some_space(dice) + &event(style, dice).text;
        grow(&text, None, dice)
    });
}

#[test]
fn objects_without_separators_that_grow() {
    cases("objects without separators that grow", |dice| {
        // Words among them would run into one another.
        let wrong =
            &["{\"no event\":#}", "{\"id\":#}", "{\"x\":{\"y\":\"}\"}}", "{\"id\":\"#,\"from\":\"b\"}", "{'id':#}"];
        let between = pick(dice, &["", "", " ", ","]);
        let all = values(Style::Compact, 120, wrong, dice);
        match dice.below(3) {
            // More than the head, with no line end in it: a document, by and by.
            0 => {
                let events: Vec<String> = (0..50).map(|_| event(Style::Compact, dice).text).collect();
                let text = events.join(between) + &" ".repeat(1 << 20) + &all.join(between);
                grow(&text, None, dice)
            }
            _ => grow(&all.join(between), Some(NaiveForm::Document), dice),
        }
    });
}

#[test]
fn a_text_sequence_that_grows() {
    cases("a text sequence that grows", |dice| {
        let style = if dice.below(2) == 0 { Style::Compact } else { some_lines(dice) };
        let wrong = &["{\"no event\":#}", "{\"id\":#}", "{\"x\":{\"y\":\"}\"}}", "null", "\"#\""];
        let text: String = values(style, 120, wrong, dice).iter().map(|text| format!("\x1e{text}\n")).collect();
        grow(&text, None, dice)
    });
}
