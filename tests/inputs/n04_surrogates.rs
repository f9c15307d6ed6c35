//! Text that is not kept may hold lone surrogates: an emoji cut in half costs no chat. Names may not.

use crate::rows::{Row, check, e, row, with};

/// Lines, of which each is an event or a reject.
fn lines(name: &str, objects: &[Vec<u8>], are_events: bool) -> Row {
    let mut at = 0;
    let mut all = row(name, objects.iter().flat_map(|object| [object, &b"\n"[..]].concat()).collect::<Vec<u8>>());
    if are_events {
        return all.events(objects.len() as u64);
    }
    for (line, object) in (1..).zip(objects) {
        all = all.reject(line, at, object.len());
        at += object.len() + 1;
    }
    all
}

/// `e(0)`, `e(1)` and so on, in each of which a piece is replaced.
fn each_with(edits: &[(&str, &str)]) -> Vec<Vec<u8>> {
    (0..).zip(edits).map(|(number, (old, new))| with(e(number), old, new.as_bytes())).collect()
}

/// What a lone surrogate looks like.
const LONE: [&str; 8] = [
    r"\ud83d",
    r"\udc00",
    r"\uDBFF",
    r"\uDfFf",
    r"\ud83d\ud83d\ude00",
    r"\ude00\ud83d",
    r"\ud83d\n\ude00",
    r"\ud83d\u0041",
];

/// The same edit with each of them, and with text around it.
fn each_lone(old: &str, around: impl Fn(&str) -> String) -> Vec<Vec<u8>> {
    let texts =
        LONE.iter().flat_map(|lone| [(*lone).to_owned(), format!("abcdefghijk{lone}lm"), format!("é{lone}\\\"")]);
    (0..).zip(texts).map(|(number, text)| with(e(number), old, around(&text).as_bytes())).collect()
}

#[test]
fn text_that_is_not_kept_may_hold_lone_surrogates() {
    check(vec![
        lines("in a message", &each_lone("\"Hi\"", |text| format!("\"{text}\"")), true),
        lines("in an unknown value", &each_lone("\"from\"", |text| format!("\"x\":\"{text}\",\"from\"")), true),
        lines("in an unknown key", &each_lone("\"from\"", |text| format!("\"{text}\":1,\"from\"")), true),
        lines(
            "in an unknown object",
            &each_lone("\"from\"", |text| format!("\"x\":[{{\"{text}\":[\"{text}\"]}}],\"from\"")),
            true,
        ),
        lines(
            "in a key of data",
            &each_lone("\"message\":\"Hi\"", |text| format!("\"{text}\":\"{text}\",\"message\":\"Hi\"")),
            true,
        ),
        lines(
            "here and there",
            &each_with(&[
                ("\"from\"", r#""\ud800":1,"\ud800":2,"from""#),
                ("\"from\"", r#""from\ud800":7,"from""#),
                ("\"from\"", r#""\ud800from":7,"from""#),
                ("\"message\":\"Hi\"", r#""message\udc00":1,"message":"Hi""#),
                ("\"message\":\"Hi\"", r#""status":"\ud800","message":"Hi""#),
                // Pairs, and what only looks like a surrogate.
                ("\"Hi\"", r#""\ud83d\ude00\uD83D\uDE00""#),
                ("\"Hi\"", r#""\\ud800""#),
                ("\"v\"", r#""\ud83d\ude00""#),
            ]),
            true,
        )
        .visitors(2),
    ]);
}

#[test]
fn names_and_words_may_not() {
    check(vec![
        lines("in an id", &each_lone("\"id\":\"", |text| format!("\"id\":\"{text}")), false),
        lines("in a from", &each_lone("\"from\":\"", |text| format!("\"from\":\"{text}")), false),
        lines("in a site", &each_lone("\"site_id\":\"", |text| format!("\"site_id\":\"{text}")), false),
        lines("in a type", &each_lone("\"type\":\"message", |text| format!("\"type\":\"message{text}")), false),
        lines("in a required key", &each_lone("\"from\"", |text| format!("\"from{text}\"")), false),
        lines(
            "here and there",
            &each_with(&[
                ("{\"message\":\"Hi\"}", r#"{"message\ud800":"Hi"}"#),
                ("\"type\":\"message\"", r#""type":"\ud800""#),
                ("\"timestamp\":5", r#""timestamp":"\ud800""#),
                ("\"data\":{\"message\":\"Hi\"}", r#""data":"\ud800""#),
                // Escapes that are none.
                ("\"Hi\"", r#""\ud8""#),
                ("\"Hi\"", r#""\ud83d\ude""#),
                ("\"Hi\"", r#""\ud83d\x""#),
            ]),
            false,
        ),
        // Raw ones are no UTF-8, wherever they stand.
        lines("raw", &[with(e(1), "Hi", b"\xed\xa0\x80"), with(e(1), "Hi", b"\xed\xa0\xbd\xed\xb8\x80")], false),
    ]);
}
