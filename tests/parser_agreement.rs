//! The fast path and the judge never disagree, and the fast path is not idle.
//!
//! Lines as programs write them, odd lines, and lines broken in random places. What the fast path takes, the judge must
//! accept with the same values; the usual lines it must take; and both are held against a third reading of the rules,
//! in derived structs.

use std::collections::HashMap;
use std::fmt::Write;

use chatwal::event::{Event, Id, Kind, Site};
use chatwal::intake::fast;
use chatwal::intake::parse::{MAX_OBJECT, Reason, Scratch, Text, filler, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde::de::IgnoredAny;

#[path = "support/naive.rs"]
mod naive;

/// What follows the line under test: nothing of it may be read into that line.
const NEXT: &str = "\"}}\n{\"id\":\"next\",\"type\":\"message\",\"data\":{\"message\":\"\"}}\n";

/// Holds the two parsers against each other on one line, and says whether the fast path took it.
#[track_caller]
fn agree(line: impl AsRef<[u8]>) -> bool {
    let line = line.as_ref();
    let shown = String::from_utf8_lossy(line);
    assert!(!line.contains(&b'\n'));
    let (skipped, _) = filler(line);
    let mut scratch = Scratch::default();
    let judged = parse(Text::new(&line[skipped..]), &mut scratch);
    for rest in ["".to_owned(), "\n".to_owned(), format!("\n{NEXT}")] {
        let input = [line, rest.as_bytes()].concat();
        if let Some((event, length)) = fast::parse(&input) {
            let (expected, object) = judged.unwrap_or_else(|reason| panic!("{reason}: {shown}"));
            assert_eq!(event, expected, "{shown}");
            let behind = &input[skipped + object..length];
            assert!(matches!(behind.trim_ascii(), b""), "{shown}");
            assert!(!matches!(input.get(length), Some(b' ' | b'\t' | b'\r')), "{shown}");
        }
        if let Some((event, length)) = fast::object(&input[skipped..]) {
            assert_eq!(Ok((event, length)), judged, "{shown}");
        }
    }

    // The third reading knows whole lines only.
    let length = judged.map_or(line.len(), |(_, length)| skipped + length);
    let oracle = std::str::from_utf8(&line[skipped..length]).ok().and_then(Line::new);
    assert_eq!(
        judged.ok().map(|(event, _)| event),
        oracle.as_ref().map(|(fields, kind)| fields.event(*kind)),
        "{shown}"
    );
    takes(line)
}

fn takes(line: &[u8]) -> bool {
    fast::parse(&[line, b"\n", NEXT.as_bytes()].concat()).is_some_and(|(_, length)| length == line.len() + 1)
}

/// The rules once more, as serde's derive has them: it knows duplicates, unknown keys and types by itself.
#[derive(Deserialize)]
struct Line {
    id: String,
    from: String,
    site_id: String,
    timestamp: i64,
    r#type: String,
    /// A map, because a derived struct would take an array, too.
    #[serde(rename = "data")]
    _data: HashMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Holding<T> {
    data: T,
}

#[derive(Deserialize)]
struct Message {
    #[serde(rename = "message")]
    _message: String,
}

#[derive(Deserialize)]
struct Status {
    status: String,
}

/// A line with a control character in the place of each half of a surrogate pair: neither may stand in a name, a type or a status,
/// and both may elsewhere. serde's derive knows only strings of Unicode.
fn without_halves(line: &str) -> String {
    let mut mended = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        mended.push_str(before);
        let unit = |text: &str| {
            let digits = text.strip_prefix("\\u")?.get(..4)?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
        };
        let low = |text: &str| unit(text).is_some_and(|unit| (0xdc00..0xe000).contains(&unit));
        let length = match unit(escape) {
            Some(0xd800..0xdc00) if low(&escape[6..]) => 12,
            Some(0xd800..0xe000) => {
                mended.push_str("\\u0001");
                rest = &escape[6..];
                continue;
            }
            _ => escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end),
        };
        mended.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    mended + rest
}

impl Line {
    fn new(line: &str) -> Option<(Line, Kind)> {
        if line.len() > MAX_OBJECT || !line.starts_with('{') {
            return None;
        }
        let line = &without_halves(line);
        let fields: Line = serde_json::from_str(line).ok()?;
        let is_name = |name: &str| (1..=1024).contains(&name.len()) && !name.contains(char::is_control);
        let kind = match fields.r#type.as_str() {
            "message" => serde_json::from_str::<Holding<Message>>(line).ok().map(|_| Kind::Message)?,
            "status" => match serde_json::from_str::<Holding<Status>>(line).ok()?.data.status.as_str() {
                "online" => Kind::Online,
                "offline" => Kind::Offline,
                _ => return None,
            },
            _ => return None,
        };
        (is_name(&fields.id) && is_name(&fields.from) && is_name(&fields.site_id)).then_some((fields, kind))
    }

    fn event(&self, kind: Kind) -> Event<'_> {
        Event {
            site: Site::new(self.site_id.as_bytes()),
            id: Id::new(self.id.as_bytes()),
            from: self.from.as_bytes(),
            timestamp: self.timestamp,
            kind,
        }
    }
}

/// Keys and values as they are written.
type Members = Vec<(String, String)>;

/// What stands around keys and values: before the object, after its brace, before and after the colon, after the comma,
/// after the object.
#[derive(Clone, Copy, Debug)]
struct Style([&'static str; 6]);

const STYLES: [Style; 6] = [
    Style(["", "", "", "", "", ""]),
    Style(["", "", "", " ", " ", ""]),
    Style(["", "", "", "", "", "\r"]),
    Style([" ", " ", " ", " ", " ", " "]),
    Style(["\t", "  ", "\t", "\r\t ", "    ", " \t\r"]),
    Style(["", "", "", "", " ", ""]),
];

fn render(Style([before, open, key, colon, comma, after]): Style, members: &Members) -> String {
    let mut line = format!("{before}{{{open}");
    for (place, (name, value)) in members.iter().enumerate() {
        let separator = if place == 0 { "" } else { "," };
        let space = if place == 0 { "" } else { comma };
        write!(line, "{separator}{space}\"{name}\"{key}:{colon}{value}{open}").unwrap();
    }
    line + "}" + after
}

/// Text in quotes; its length goes through every place in a word of eight bytes.
fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    (0..40usize, vec(select(pieces), 0..8)).prop_map(|(length, pieces)| {
        let mut text = "x".repeat(length);
        for (place, piece) in pieces.into_iter().enumerate() {
            text.push_str(piece);
            text.push_str(&"y".repeat(place * length % 5));
        }
        format!("\"{text}\"")
    })
}

fn message() -> impl Strategy<Value = String> {
    text(&[
        "a",
        "hello ",
        r#"\""#,
        r"\\",
        r"\n",
        r"\/",
        r"\b\f\r\t",
        r"\u00e9",
        r"\u0000",
        r"\uD83d\uDe00",
        "é",
        "日本",
        "😀",
        "{}",
        ",",
        ":",
        "'",
        "\u{7f}",
        "\u{80}",
        "  ",
        r"\\\\",
        r#"\\\""#,
        "\u{2028}",
        "!#[]^",
        "&%$ ",
    ])
}

fn name() -> impl Strategy<Value = String> {
    (text(&["a", "é", "日", "😀", " ", "/", ".", "~", "[", "]", "!", "#"]), 0..30u8).prop_map(|(name, length)| {
        match length {
            0 => format!("\"{}\"", "n".repeat(1024)),
            _ if name == "\"\"" => "\"x\"".into(),
            _ => name,
        }
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => any::<u128>().prop_map(|n| {
            let hex = format!("{n:032x}");
            format!("\"{}-{}-{}-{}-{}\"", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
        }),
        1 => name(),
        1 => any::<u64>().prop_map(|n| format!("\"{n:x}\"")),
        1 => Just("\"7B4A5786-3574-4806-9988-25D109C284B8\"".into()),
    ]
}

fn site_id() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (any::<u64>(), 0..64u32).prop_map(|(n, shift)| format!("\"{}\"", n >> shift)),
        1 => (0..1000u32).prop_map(|n| format!("\"0{n}\"")),
        1 => (0..1000u32).prop_map(|n| format!("\"{n}a\"")),
        1 => name(),
    ]
}

fn timestamp() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (any::<i64>(), 0..64u32).prop_map(|(n, shift)| (n >> shift).to_string()),
        1 => select(vec![0, 9, 10, 99_999_999, 100_000_000, i64::MAX, i64::MIN, i64::MAX - 1, -1])
            .prop_map(|n| n.to_string()),
    ]
}

/// Any value of an unknown key.
fn unknown() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        message(),
        any::<f64>().prop_filter("JSON", |n| n.is_finite()).prop_map(|n| format!("{n:e}")),
        any::<i32>().prop_map(|n| n.to_string()),
        select(vec![
            "0",
            "-0",
            "1.50",
            "1e5",
            "1E+5",
            "-0.1e-07",
            "true",
            "false",
            "null",
            "123456789012345678901234567890"
        ])
        .prop_map(str::to_owned),
    ];
    scalar.prop_recursive(4, 12, 4, |value| {
        let space = || select(vec!["", "", " ", "\t "]);
        prop_oneof![
            (vec(value.clone(), 0..4), space())
                .prop_map(|(values, space)| format!("[{space}{}{space}]", values.join(&format!("{space},{space}")))),
            (vec((message(), value), 0..4), space()).prop_map(|(members, space)| {
                let members: Vec<_> =
                    members.iter().map(|(key, value)| format!("{key}{space}:{space}{value}")).collect();
                format!("{{{space}{}{space}}}", members.join(&format!("{space},{space}")))
            }),
        ]
    })
}

fn unknowns() -> impl Strategy<Value = Members> {
    let key = select(vec![
        "v",
        "lang",
        "i",
        "idx",
        "user_agent",
        "site",
        "timestamps",
        "timestam",
        "datum",
        "größe",
        "",
        "From",
    ]);
    vec((key.prop_map(str::to_owned), unknown()), 0..3)
}

fn data() -> impl Strategy<Value = (String, String)> {
    let message = (message(), unknowns()).prop_map(|(message, mut members)| {
        members.push(("message".into(), message));
        ("\"message\"", members)
    });
    let status = (select(vec!["\"online\"", "\"offline\""]), unknowns()).prop_map(|(status, mut members)| {
        members.push(("status".into(), status.into()));
        ("\"status\"", members)
    });
    (prop_oneof![message, status], any::<Index>(), select(&STYLES[..])).prop_map(
        |((kind, mut members), place, style)| {
            let last = members.len() - 1;
            members.swap(place.index(last + 1), last);
            (kind.into(), render(style, &members).trim().into())
        },
    )
}

/// The members of a right line, in any order.
fn members() -> impl Strategy<Value = Members> {
    (id(), name(), site_id(), timestamp(), data(), unknowns(), any::<bool>()).prop_flat_map(
        |(id, from, site_id, timestamp, (kind, data), unknowns, shuffle)| {
            let required = [
                ("id", id),
                ("type", kind),
                ("from", from),
                ("site_id", site_id),
                ("timestamp", timestamp),
                ("data", data),
            ];
            let mut members: Members = required.map(|(key, value)| (key.to_owned(), value)).into();
            members.extend(unknowns);
            if shuffle { Just(members).prop_shuffle().boxed() } else { Just(members).boxed() }
        },
    )
}

fn usual_line() -> impl Strategy<Value = String> {
    (select(&STYLES[..]), members()).prop_map(|(style, members)| render(style, &members))
}

const ODD_KEYS: [&str; 16] = [
    "id",
    "from",
    "site_id",
    "timestamp",
    "type",
    "data",
    "message",
    "status",
    r"\u0069d",
    r"d\u0061ta",
    r"\ud800",
    r"\x",
    "Id",
    "id ",
    "timestamp\u{0}",
    "",
];

const ODD_VALUES: [&str; 67] = [
    r#"{"status":"online","status":"offline"}"#,
    r#"{"message":"\ud83d\u0041","status":"online"}"#,
    r#""\ud83d\u0041""#,
    "-0",
    "0",
    "00",
    "01",
    "-1",
    "-01",
    "1.0",
    "1e3",
    "1.",
    ".5",
    "+1",
    "-",
    "1e",
    "1e+",
    "0x1",
    "NaN",
    "Infinity",
    "1E400",
    "-0.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "99999999999999999999",
    "18446744073709551615",
    "100000000000000000000000",
    "\"\"",
    "\"message\"",
    "\"status\"",
    "\"online\"",
    "\"Online\"",
    r#""m\u0065ssage""#,
    r#""\ud800""#,
    r#""\udc00""#,
    r#""\ud83d\ude00""#,
    r#""\ud83d\ud83d\ude00""#,
    r#""\ud83d\n""#,
    r#""\u12g4""#,
    r#""\u+123""#,
    r#""\x41""#,
    r#""\""#,
    r#""\u0000""#,
    "\"\u{1}\"",
    "\"\t\"",
    "\"\u{7f}\"",
    "\"\u{85}\"",
    "'a'",
    "true",
    "nul",
    "TRUE",
    "null",
    "[]",
    "{}",
    "[1,]",
    "[,]",
    "{\"a\":1,}",
    "{\"a\"}",
    r#"{"message":"a","message":"b"}"#,
    r#"{"status":"online","message":""}"#,
    r#"{"message":1,"status":"online"}"#,
    r#"{"message":"\ud800","status":"offline"}"#,
    r#"{"status":"away","message":"a"}"#,
    "",
    "\u{feff}1",
];

#[derive(Clone, Debug)]
enum Edit {
    Value(Index, &'static str),
    Key(Index, &'static str),
    Insert(Index, &'static str, &'static str),
    Remove(Index),
    Repeat(Index),
    Nest(Index, usize),
    Lengthen(Index, usize),
}

fn edit() -> impl Strategy<Value = Edit> {
    let (key, value, place) = (|| select(&ODD_KEYS[..]), || select(&ODD_VALUES[..]), any::<Index>);
    prop_oneof![
        4 => (place(), value()).prop_map(|(place, value)| Edit::Value(place, value)),
        2 => (place(), key()).prop_map(|(place, key)| Edit::Key(place, key)),
        2 => (place(), key(), value()).prop_map(|(place, key, value)| Edit::Insert(place, key, value)),
        1 => place().prop_map(Edit::Remove),
        1 => place().prop_map(Edit::Repeat),
        1 => (place(), 0..100usize).prop_map(|(place, depth)| Edit::Nest(place, depth)),
        1 => (place(), 1000..1030usize).prop_map(|(place, length)| Edit::Lengthen(place, length)),
    ]
}

/// Lines of which most are odd in some value, and none outside values and keys.
fn odd_line() -> impl Strategy<Value = String> {
    (select(&STYLES[..]), members(), vec(edit(), 1..3)).prop_map(|(style, mut members, edits)| {
        for edit in edits {
            match edit {
                _ if members.is_empty() => {}
                Edit::Value(place, value) => place.get_mut(&mut members).1 = value.into(),
                Edit::Key(place, key) => place.get_mut(&mut members).0 = key.into(),
                Edit::Insert(place, key, value) => {
                    members.insert(place.index(members.len()), (key.into(), value.into()));
                }
                Edit::Remove(place) => drop(members.remove(place.index(members.len()))),
                Edit::Repeat(place) => members.push(place.get(&members).clone()),
                Edit::Nest(place, depth) => {
                    let value = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
                    members.insert(place.index(members.len()), ("deep".into(), value));
                }
                Edit::Lengthen(place, length) => place.get_mut(&mut members).1 = format!("\"{}\"", "n".repeat(length)),
            }
        }
        render(style, &members)
    })
}

#[derive(Clone, Debug)]
enum Damage {
    Flip(Index, u8),
    Delete(Index, usize),
    Insert(Index, &'static str),
    Truncate(Index),
    Splice(Index, Index, String),
}

const FRAGMENTS: [&str; 40] = [
    "\"",
    "\\",
    ",",
    ":",
    "{",
    "}",
    "[",
    "]",
    " ",
    "\t",
    "\r",
    "0",
    "1",
    "9",
    "-",
    "+",
    ".",
    "e",
    "E",
    "\0",
    "\u{1f}",
    "\u{7f}",
    "é",
    "\u{85}",
    "\u{feff}",
    "\u{a0}",
    "\u{b}",
    "/",
    "'",
    r"\u",
    r"\ud800",
    r"\udc00",
    r"\u0022",
    "null",
    "\"id\":\"x\",",
    "\"v\":[{}],",
    "\"data\":{\"message\":\"\"},",
    "\"type\":\"status\",",
    "\"message\":\"\",",
    "\"status\":\"online\",",
];

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        4 => (place(), 0..8u8).prop_map(|(place, bit)| Damage::Flip(place, bit)),
        3 => (place(), 1..6usize).prop_map(|(place, length)| Damage::Delete(place, length)),
        6 => (place(), select(&FRAGMENTS[..])).prop_map(|(place, fragment)| Damage::Insert(place, fragment)),
        1 => place().prop_map(Damage::Truncate),
        1 => (place(), place(), usual_line()).prop_map(|(place, from, line)| Damage::Splice(place, from, line)),
    ]
}

/// Lines broken anywhere.
fn broken_line() -> impl Strategy<Value = Vec<u8>> {
    (usual_line(), vec(damage(), 1..3)).prop_map(|(line, damages)| {
        let mut line = line.into_bytes();
        for damage in damages {
            let end = line.len();
            match damage {
                Damage::Flip(place, bit) if end > 0 => *place.get_mut(&mut line) ^= 1 << bit,
                Damage::Flip(..) => {}
                Damage::Delete(place, length) => {
                    let start = place.index(end + 1);
                    line.drain(start..end.min(start + length));
                }
                Damage::Insert(place, fragment) => {
                    let place = place.index(end + 1);
                    line.splice(place..place, fragment.bytes());
                }
                Damage::Truncate(place) => line.truncate(place.index(end + 1)),
                Damage::Splice(place, from, other) => {
                    line.truncate(place.index(end + 1));
                    line.extend_from_slice(&other.as_bytes()[from.index(other.len())..]);
                }
            }
        }
        line.retain(|byte| *byte != b'\n');
        line
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn on_usual_lines_and_the_fast_path_takes_them(line in usual_line()) {
        prop_assert!(agree(&line), "not taken: {line}");
        prop_assert!(parse(Text::new(line.as_bytes()), &mut Scratch::default()).is_ok(), "not accepted: {line}");
    }

    #[test]
    fn on_odd_lines(line in odd_line()) {
        agree(&line);
    }

    #[test]
    fn on_broken_lines(line in broken_line()) {
        agree(&line);
    }

    #[test]
    fn on_any_bytes(mut bytes in vec(any::<u8>(), 0..64)) {
        bytes.retain(|byte| *byte != b'\n');
        agree(&bytes);
    }

    #[test]
    fn on_any_bytes_in_a_string(mut bytes in vec(any::<u8>(), 0..80), key: bool) {
        // Most are not UTF-8, and some are where the string ends; nothing else in the line is wrong.
        bytes.retain(|byte| !matches!(byte, 0..b' ' | b'"' | b'\\'));
        let (text, other) = if key { (&b"x\":\""[..], "\"from\":\"") } else { (&b""[..], "tangled") };
        let at = COMPACT.find(other).unwrap() + if key { 1 } else { 0 };
        let quoted = if key { [&bytes[..], text, b"\",\""].concat() } else { bytes };
        agree([&COMPACT.as_bytes()[..at], &quoted, &COMPACT.as_bytes()[at..]].concat());
    }
}

/// What may stand before, between and behind objects.
const FILLERS: [&str; 9] = ["", "", "", " ", "\t \r", "\0", "\0\0\0\0\0\0\0\0\0", "\u{feff}", " \u{feff}\0"];

/// Lone surrogates, and what looks like one.
const HALVES: [&str; 9] = [
    r"\ud800",
    r"\udfff",
    r"\uD83D",
    r"\ude00\ud83d",
    r"\ud83d\ud83d\ude00",
    r"\ud83d\u0041",
    r"\ud83d\n",
    r"\\ud83d",
    r"\ud83",
];

/// Lines with a surrogate, most of them lone, in some text or key.
fn halved_line() -> impl Strategy<Value = String> {
    (usual_line(), vec((any::<Index>(), select(&HALVES[..])), 1..3)).prop_map(|(mut line, halves)| {
        for (place, half) in halves {
            // Behind a quote: half of them begin a text.
            let quotes: Vec<usize> = line.match_indices('"').map(|(at, _)| at + 1).collect();
            line.insert_str(*place.get(&quotes), half);
        }
        line
    })
}

/// Lines of several objects, with filler around them; some are wrong, and the rest of the line with them.
fn crowded_line() -> impl Strategy<Value = Vec<u8>> {
    let object = prop_oneof![
        8 => usual_line().prop_map(String::into_bytes),
        2 => halved_line().prop_map(String::into_bytes),
        1 => odd_line().prop_map(String::into_bytes),
        1 => broken_line(),
    ];
    let part = (select(&FILLERS[..]), object).prop_map(|(filler, object)| [filler.as_bytes(), &object].concat());
    (vec(part, 0..6), select(&FILLERS[..]))
        .prop_map(|(parts, end)| [parts.concat().as_slice(), end.as_bytes()].concat())
}

/// Holds the parsers and the oracle against each other, object by object; gives the objects taken.
#[track_caller]
fn agree_along(line: &[u8]) -> usize {
    assert!(!line.contains(&b'\n'));
    let (mut at, mut objects, mut scratch) = (0, 0, Scratch::default());
    loop {
        at += filler(&line[at..]).0;
        let rest = &line[at..];
        if rest.is_empty() {
            return objects;
        }
        let shown = String::from_utf8_lossy(rest);
        let judged = parse(Text::new(rest), &mut scratch).ok();
        let told = naive::event(rest);
        let expected = told.as_ref().map(|(event, length)| (of_oracle(event), *length));
        assert_eq!(judged, expected, "{shown}");
        for behind in ["".to_owned(), "\n".to_owned(), format!("\n{NEXT}")] {
            let input = [rest, behind.as_bytes()].concat();
            if let Some((event, length)) = fast::parse(&input) {
                let (expected, object) = expected.expect("an event");
                assert_eq!(event, expected, "{shown}");
                assert!(matches!(input[object..length].trim_ascii(), b""), "{shown}");
                // It stops where the next object may begin.
                let line_ends = input[object..length].iter().filter(|&&byte| byte == b'\n').count();
                assert!(line_ends <= 1, "more than one line end: {shown}");
            }
            if let Some(taken) = fast::object(&input) {
                assert_eq!(Some(taken), expected, "{shown}");
            }
        }
        let Some((_, length)) = judged else { return objects };
        at += length;
        objects += 1;
    }
}

fn of_oracle(event: &naive::NaiveEvent) -> Event<'_> {
    let kind = match event.kind {
        naive::NaiveKind::Offline => Kind::Offline,
        naive::NaiveKind::Online => Kind::Online,
        naive::NaiveKind::Message => Kind::Message,
    };
    Event {
        site: Site::new(event.site.as_bytes()),
        id: Id::new(event.id.as_bytes()),
        from: event.from.as_bytes(),
        timestamp: event.timestamp,
        kind,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    #[test]
    fn on_lines_with_lone_surrogates(line in halved_line()) {
        agree(&line);
        agree_along(line.as_bytes());
    }

    #[test]
    fn on_lines_of_several_objects(line in crowded_line()) {
        agree_along(&line);
    }

    #[test]
    fn on_several_usual_objects_and_the_fast_path_takes_them(lines in vec(usual_line(), 1..6), space in select(&["", " ", "\t", "\r", " \t"][..])) {
        let line = lines.join(space);
        prop_assert_eq!(agree_along(line.as_bytes()), lines.len());
        let input = line.clone() + "\n" + NEXT;
        let mut taken = 0;
        for number in 0..lines.len() {
            let fast = fast::parse(&input.as_bytes()[taken..]);
            prop_assert!(fast.is_some(), "object {number} is not taken: {line}");
            taken += fast.map_or(0, |(_, length)| length);
        }
        prop_assert_eq!(taken, line.len() + 1);
    }
}

const COMPACT: &str = r#"{"id":"7b4a5786-3574-4806-9988-25d109c284b8","type":"message","from":"visitor1","site_id":"1","timestamp":7391,"data":{"message":"to and tangled"}}"#;

#[test]
fn on_every_truncation_deletion_insertion_and_byte_of_one_line() {
    for line in
        [COMPACT, &COMPACT.replace(':', ": ").replace(',', ", "), &COMPACT.replace("tangled", r"\ud83d\ude00\n\u00e9")]
    {
        assert!(agree(line));
        let line = line.as_bytes();
        for place in 0..line.len() {
            agree(&line[..place]);
            agree([&line[..place], &line[place + 1..]].concat());
            for byte in (0..=u8::MAX).filter(|&byte| byte != b'\n') {
                agree([&line[..place], &[byte], &line[place..]].concat());
                agree([&line[..place], &[byte], &line[place + 1..]].concat());
            }
        }
    }
}

#[test]
fn at_the_longest_object() {
    for (extra, taken) in [(0, true), (1, false)] {
        let long = COMPACT.replace("to and", &"x".repeat(MAX_OBJECT - COMPACT.len() + "to and".len() + extra));
        assert_eq!(agree(&long), taken);
        let judged = parse(Text::new(long.as_bytes()), &mut Scratch::default()).map(|_| ());
        assert_eq!(judged, if taken { Ok(()) } else { Err(Reason::TooLong) });
    }
}
