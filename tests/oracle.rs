//! The oracle itself: what it makes of inputs, row by row, and that its own meaning holds together.

#[path = "support/naive.rs"]
mod naive;
#[path = "support/pieces.rs"]
mod pieces;

use naive::{MAX_NAME, MAX_OBJECT, Naive, NaiveEnd, NaiveForm, NaiveKind, NaiveReading, form_of, read, report};
use pieces::PIECES;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

const GOOD: &str = r#"{"id":"a","type":"message","from":"v","site_id":"1","timestamp":5,"data":{"message":"x"}}"#;

/// A good object with a piece of it replaced.
fn with(old: &str, new: &str) -> String {
    assert!(GOOD.contains(old), "{old}");
    GOOD.replacen(old, new, 1)
}

/// Events, rejects as (line, column, offset, length), bytes left.
type Told = (usize, Vec<(u64, u64, u64, u64)>, u64);

fn told(reading: &NaiveReading) -> Told {
    let rejects = reading.rejects.iter().map(|it| (it.line, it.column, it.offset, it.length)).collect();
    (reading.events.len(), rejects, reading.left)
}

fn lines(input: impl AsRef<[u8]>) -> Told {
    told(&read(input.as_ref(), Some(NaiveForm::Lines), NaiveEnd::MayGrow))
}

fn document(input: impl AsRef<[u8]>) -> Told {
    told(&read(input.as_ref(), Some(NaiveForm::Document), NaiveEnd::MayGrow))
}

fn piped(form: NaiveForm, input: impl AsRef<[u8]>) -> Told {
    let told = told(&read(input.as_ref(), Some(form), NaiveEnd::Final));
    assert_eq!(told.2, 0, "nothing is left of a pipe");
    told
}

/// Whether a line with this object is an event; it is a reject otherwise.
#[track_caller]
fn accepts(object: impl AsRef<[u8]>) -> bool {
    let line = [object.as_ref(), b"\n"].concat();
    match lines(&line) {
        (1, rejects, 0) if rejects.is_empty() => true,
        (0, rejects, 0) if rejects.len() == 1 => false,
        told => panic!("{told:?}: {}", String::from_utf8_lossy(&line)),
    }
}

#[test]
fn one_message_is_an_email() {
    assert_eq!(report(GOOD.as_bytes()), b"1,messages=0,emails=1,operators=0,visitors=1\n");
}

#[test]
fn the_fold_follows_the_order_not_the_arrival() {
    let mut naive = Naive::new();
    naive.feed_event("2", "e", "v1", 10, NaiveKind::Message);
    naive.feed_event("2", "d", "o2", 9, NaiveKind::Offline);
    naive.feed_event("2", "c", "v1", 8, NaiveKind::Message);
    naive.feed_event("2", "b", "v2", 7, NaiveKind::Message);
    naive.feed_event("2", "z", "o1", 7, NaiveKind::Online);
    naive.feed_event("2", "a", "v2", 6, NaiveKind::Message);
    naive.feed_event("10", "a", "v2", 6, NaiveKind::Message);
    let expected = "10,messages=0,emails=1,operators=0,visitors=1\n2,messages=3,emails=1,operators=2,visitors=2\n";
    assert_eq!(String::from_utf8(naive.report()).unwrap(), expected);
}

#[test]
fn the_first_of_disagreeing_copies_wins() {
    let mut naive = Naive::new();
    for kind in [NaiveKind::Message, NaiveKind::Online, NaiveKind::Offline, NaiveKind::Online] {
        naive.feed_event("1", "a", "x", 5, kind);
    }
    naive.feed_event("1", "b", "v", 6, NaiveKind::Message);
    naive.feed_event("1", "b", "v", 6, NaiveKind::Message);
    assert_eq!(naive.report(), b"1,messages=0,emails=1,operators=1,visitors=1\n");
    assert_eq!((naive.events(), naive.unique(), naive.disagreeing()), (6, 2, 1));
    naive.feed_event("1", "b", "w", 6, NaiveKind::Message);
    assert_eq!((naive.events(), naive.unique(), naive.disagreeing()), (7, 2, 2));
}

#[test]
fn what_is_an_event() {
    for (old, new) in [
        (r#""id""#, r#""id2":1e999,"id2":null,"\u0069d""#),
        (r#""id""#, r#""deep":[[[{"id":{}}]]],"id""#),
        (r#""message":"x""#, r#""message":"","status":1,"status":2"#),
        (":5,", ":-9223372036854775808,"),
        (":", " :\t"),
        // Lone surrogates, where text is not kept.
        (r#""id""#, r#""x":"\ud800","id""#),
        (r#""id""#, r#""\udfff":"\ud800","id""#),
        (r#""id""#, r#""\ud800":1,"\ud800":2,"id""#),
        (r#""id""#, r#""x":{"\ud800":["\udc00"]},"id""#),
        (r#""id""#, r#""id\ud800":"b","id""#),
        (r#""x""#, r#""\ud800""#),
        (r#""x""#, r#""\ud83d\ud83d\ude00\ude00""#),
        (r#""x""#, r#""\\ud800""#),
        (r#""x""#, r#""\\\ud800""#),
        (r#""message":"x""#, r#""\ud800":1,"message":"x","status":"\udc00""#),
        // And pairs of them everywhere.
        (r#""a""#, r#""\ud83d\ude00""#),
        (r#""a""#, r#""\\ud800""#),
    ] {
        assert!(accepts(with(old, new)), "{new}");
    }
    assert!(accepts(with("\"id\"", &format!("\"x\":{}{},\"id\"", "[".repeat(200_000), "]".repeat(200_000)))));
    assert!(accepts(with("\"1\"", &format!("\"{}\"", "1".repeat(MAX_NAME)))));
}

#[test]
fn what_is_a_reject() {
    for (old, new) in [
        (r#""id":"a","#, ""),
        (r#""a""#, r#""""#),
        (r#""a""#, r#""\u0085""#),
        (r#""id""#, r#""id":"a","\u0069d""#),
        (r#""message":"x""#, r#""message":"x","message":"x""#),
        (r#""message":"x""#, r#""status":"online""#),
        (r#"{"message":"x"}"#, r#"["x"]"#),
        (":5,", ":-0,"),
        (":5,", ":5.0,"),
        (":5,", ":05,"),
        (":5,", ":9223372036854775808,"),
        ("\"x\"", "\"\u{1}\""),
        ("\"x\"", r#""\u12""#),
        ("\"x\"", r#""\x""#),
        ("}}", "},}"),
        ("{\"id\"", "[{\"id\""),
        ("{\"id\"", "{\u{feff}\"id\""),
        ("{\"id\"", "{\0\"id\""),
        // Lone surrogates, where text is kept or means something.
        (r#""a""#, r#""\ud800""#),
        (r#""a""#, r#""x\udc00y""#),
        (r#""v""#, r#""\ud83d\u0041""#),
        (r#""1""#, r#""\ud83d\ud83d\ude00""#),
        (r#""message","#, r#""message\ud800","#),
        (r#""id":"a""#, r#""id\ud800":"a""#),
        (r#""message":"x""#, r#""message\ud800":"x""#),
    ] {
        assert!(!accepts(with(old, new)), "{new}");
    }
    for other in ["[]", "null", "{}", "\u{c}", "\u{b}", "x", "\"\"", "\u{a0}{}"] {
        assert!(!accepts(other), "{other}");
    }
    assert!(!accepts(b"{\"x\":\"\xff\"}"));
    assert!(!accepts(with("\"1\"", &format!("\"{}\"", "1".repeat(MAX_NAME + 1)))));
}

#[test]
fn lines_hold_any_number_of_objects() {
    let g = GOOD;
    let n = g.len() as u64;
    for (name, input, expected) in [
        ("one", format!("{g}\n"), (1, vec![], 0)),
        ("two", format!("{g}{g}\n"), (2, vec![], 0)),
        ("with filler", format!("\0\u{feff} {g}\t\r\0{g}\u{feff}\u{feff}{g} \r\n"), (3, vec![], 0)),
        ("blank lines", format!("\u{feff}\n \t\r\n\0\0\n\n{g}\n"), (1, vec![], 0)),
        ("a comma between", format!("{g},{g}\n{g}\n"), (2, vec![(1, n + 1, n, n + 1)], 0)),
        ("words behind", format!("\n {g} x \r\n"), (1, vec![(2, n + 3, n + 3, 3)], 0)),
        ("a reject first", format!("\0x{g}\n{g}"), (1, vec![(1, 2, 1, n + 1)], 0)),
        ("bytes behind", format!("{g}\u{e9}\n"), (1, vec![(1, n + 1, n, 2)], 0)),
        ("no line end", format!("{g}\n{g} {g} "), (3, vec![], 0)),
        ("no line end, half of one", format!("{g}\n{g}{{\"id\": "), (2, vec![], 7)),
        ("no line end, no event", format!("{g}\n{g} x{g}"), (2, vec![], n + 1)),
        ("half of a mark", "\u{feff}".to_owned(), (0, vec![], 0)),
        ("nothing", String::new(), (0, vec![], 0)),
    ] {
        assert_eq!(lines(&input), expected, "{name}");
        let (events, mut rejects, left) = expected;
        if left > 0 {
            let offset = input.len() as u64 - left;
            let start = input.rfind('\n').map_or(0, |at| at as u64 + 1);
            let line = 1 + input.matches('\n').count() as u64;
            rejects.push((line, offset - start + 1, offset, left));
        }
        assert_eq!(piped(NaiveForm::Lines, input), (events, rejects, 0), "{name}, through a pipe");
    }
    assert_eq!(lines(b"\xef\xbb"), (0, vec![], 2));
    assert_eq!(lines([g.as_bytes(), b"\xff\n"].concat()), (1, vec![(1, n + 1, n, 1)], 0));
    let nuls = read(format!("\0\0{g}\0\n\0\nx\0\n\0x").as_bytes(), None, NaiveEnd::MayGrow);
    assert_eq!((nuls.nuls, nuls.left), (5, 1), "those in a reject are its own");
}

#[test]
fn objects_have_a_longest_length_and_lines_have_none() {
    let long = |length: usize| with("\"x\"", &format!("\"{}\"", "x".repeat(length - GOOD.len() + 1)));
    let (most, over) = (MAX_OBJECT as u64, MAX_OBJECT as u64 + 1);
    assert_eq!(long(MAX_OBJECT).len(), MAX_OBJECT);
    assert_eq!(lines(long(MAX_OBJECT) + "\n"), (1, vec![], 0));
    assert_eq!(lines(long(MAX_OBJECT + 1) + "\n"), (0, vec![(1, 1, 0, over)], 0));
    assert_eq!(lines(long(MAX_OBJECT) + &long(MAX_OBJECT) + GOOD + "\n"), (3, vec![], 0));
    let spaces = " ".repeat(MAX_OBJECT);
    assert_eq!(lines(format!("{spaces}{GOOD}{spaces}{GOOD}\n")), (2, vec![], 0));
    assert_eq!(document(long(MAX_OBJECT) + &long(MAX_OBJECT + 1) + GOOD), (2, vec![(1, most + 1, most, over)], 0));
}

#[test]
fn documents_are_values() {
    let g = GOOD;
    let n = g.len() as u64;
    for (name, input, expected) in [
        ("an array", format!("[{g},{g}]"), (2, vec![], 0)),
        ("an array without an end", format!("[{g},\n{g},"), (2, vec![], 0)),
        ("arrays of arrays", format!("[[{g}],[[{g}\n,],]{g}"), (3, vec![], 0)),
        ("a text sequence", format!("\x1e{g}\n\x1e{g}\n"), (2, vec![], 0)),
        ("pretty", g.replace(',', ",\r\n\t").replace('{', "{\n") + "\n" + g, (2, vec![], 0)),
        ("another object", format!("[{g},{{\"x\":[{{}}]}} ,{g}]"), (2, vec![(1, n + 3, n + 2, 10)], 0)),
        (
            "other values",
            format!("[\n1, true \"a ] b\"{{}}x{g}:]"),
            (
                1,
                vec![(2, 1, 2, 1), (2, 4, 5, 4), (2, 9, 10, 7), (2, 16, 17, 2), (2, 18, 19, 1), (2, 19 + n, 20 + n, 1)],
                0,
            ),
        ),
        ("an object that is one brace too long", format!("{g}}}{g}"), (2, vec![(1, n + 1, n, 1)], 0)),
        ("half an object", format!("[{g},{{\"id\":{{\n"), (1, vec![], 8)),
        ("half a string", format!("{g} \"a"), (1, vec![], 2)),
        ("half a word", format!("{g} nul"), (1, vec![], 3)),
        ("a quote too few", format!("{{\"id\":\"a,\"from\":\"b\"}}\n {g}"), (1, vec![(1, 1, 0, 22)], 0)),
        ("a quote too few, in another line", format!("{{\"id\":\"a}}\n{g}"), (1, vec![(1, 1, 0, 10)], 0)),
        ("a brace too few", format!("[{{\"data\":{{}},\n  {g}]"), (1, vec![(1, 2, 1, 14)], 0)),
        (
            "a brace too few, of the inner object",
            format!("[{{\"data\":{{\"x\":1}},\n  {g}]"),
            (1, vec![(1, 2, 1, 19)], 0),
        ),
        ("a bracket for a brace", format!("[{{\"x\":1], {{\"x\":1}}, {g}]"), (1, vec![(1, 2, 1, 18)], 0)),
        ("a word that is none", format!("[{{\"x\":NaN}},{{}},{g}]"), (1, vec![(1, 2, 1, 10), (1, 12, 11, 2)], 0)),
        ("broken to the end", format!("{g}{{\"x\":'a'}}"), (1, vec![], 9)),
        ("not UTF-8", "[{\"x\":\"\u{e9}\"}]".into(), (0, vec![(1, 2, 1, 10)], 0)),
    ] {
        assert_eq!(document(&input), expected, "{name}");
    }
}

#[test]
fn a_document_ends_like_a_line() {
    let g = GOOD;
    let n = g.len() as u64;
    for (end, endless) in [("]", false), ("]\n\0\u{feff}\r ", false), ("", true), (",", true), ("] x", false)] {
        for start in ["[", "\u{feff}\n [\n"] {
            let input = format!("{start}{g}{end}");
            assert_eq!(read(input.as_bytes(), None, NaiveEnd::Final).endless, endless, "{start:?} {end:?}");
        }
        assert!(!read(format!("{g}{end}").as_bytes(), Some(NaiveForm::Document), NaiveEnd::Final).endless);
    }
    assert_eq!(piped(NaiveForm::Document, format!("{g}\n{{\"id\"\n")), (1, vec![(2, 1, n + 1, 6)], 0));
    assert_eq!(piped(NaiveForm::Document, format!("{g} \"a")), (1, vec![(1, n + 2, n + 1, 2)], 0));
}

#[test]
fn the_head_says_lines_or_document() {
    use NaiveForm::{Document, Lines};
    let g = GOOD;
    let much = g.repeat((1 << 20) / g.len() + 1);
    let long = with("\"x\"", &format!("\"{}\"", "x".repeat(1 << 20)));
    for (name, input, form) in [
        ("nothing", "", Lines),
        ("blank", "\u{feff}\n\0 \n", Lines),
        ("lines", &format!("{g}\n{g}\n"), Lines),
        ("one line", g, Lines),
        ("objects without a line end", &format!("{g}{g}"), Lines),
        ("a MiB of them", &much, Document),
        ("a MiB less a byte", &much[..(1 << 20) - 1], Lines),
        ("a MiB of them behind a line end", &format!("\n{much}"), Lines),
        ("a longer object", &long, Document),
        ("pretty", "{\n}", Document),
        ("pretty, behind marks", "\u{feff}\0\r\n {\"a\": 1,\n", Document),
        ("broken, then a line end", "{x\n}", Lines),
        ("a line end in a string", "{\"a\":\"\n\"}", Lines),
        ("cut before the line end", "{\"a\":", Lines),
        ("a missing brace", "{\"a\":{}\n{\"a\":{}}\n", Lines),
        ("an array", "[{", Document),
        ("an array of arrays", "[ \n[", Document),
        ("an empty array", "[]", Document),
        ("an array of numbers", "[1]", Lines),
        ("an open bracket", "[", Document),
        ("an open bracket behind a line end", "\n[\r\n ", Document),
        ("words", "x", Lines),
        ("a text sequence", "\n\x1e", Document),
    ] {
        assert_eq!(form_of(input.as_bytes()), form, "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4096))]

    /// What was read of a file before it grew is the first of what is read of it afterwards, and the rest was left.
    #[test]
    fn a_file_may_grow(pieces in vec(select(PIECES), 0..12), cut: Index, form in select(&[None, Some(NaiveForm::Lines), Some(NaiveForm::Document)][..])) {
        let input = pieces.concat().into_bytes();
        let cut = cut.index(input.len() + 1);
        let (whole, part) = (read(&input, form, NaiveEnd::MayGrow), read(&input[..cut], form, NaiveEnd::MayGrow));
        // A bracket at the end is taken before anybody can know what it begins; if that is nothing of a document, it is
        // not told as a reject.
        prop_assume!(!(part.endless && part.events.is_empty() && form.is_none() && form_of(&input) == NaiveForm::Lines));
        let taken = cut as u64 - part.left;
        prop_assert!(whole.events.starts_with(&part.events), "{part:?} {whole:?}");
        prop_assert!(whole.rejects.starts_with(&part.rejects), "{part:?} {whole:?}");
        prop_assert!(whole.rejects.get(part.rejects.len()).is_none_or(|next| next.offset >= taken), "{part:?} {whole:?}");
    }

    /// A pipe and a file differ in what is left, and in nothing else; each byte is in one place at most.
    #[test]
    fn a_pipe_leaves_nothing(pieces in vec(select(PIECES), 0..12), form in select(&[NaiveForm::Lines, NaiveForm::Document][..])) {
        let input = pieces.concat().into_bytes();
        let (file, pipe) = (read(&input, Some(form), NaiveEnd::MayGrow), read(&input, Some(form), NaiveEnd::Final));
        let mut expected = told(&file);
        let is_hole = input.iter().rev().take(file.left as usize).all(|byte| *byte == 0);
        if let Some(last) = pipe.rejects.last().filter(|_| !is_hole) {
            expected.1.push((last.line, last.column, input.len() as u64 - file.left, file.left));
        }
        expected.2 = 0;
        prop_assert_eq!(told(&pipe), expected);
        for reject in &pipe.rejects {
            let before = &input[..reject.offset as usize];
            let start = before.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
            prop_assert_eq!(reject.line, 1 + before.iter().filter(|&&byte| byte == b'\n').count() as u64);
            prop_assert_eq!(reject.column, (before.len() - start) as u64 + 1);
        }
        prop_assert!(pipe.rejects.is_sorted_by(|one, next| one.offset + one.length <= next.offset));
    }
}
