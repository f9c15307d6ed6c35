//! The plain styles, compact and spaced, and the pieces that lines are put together from.

use crate::event::{Event, Kind};
use crate::random::Dice;

/// The keys of a line, in the order of the plain styles.
pub const KEYS: [&str; 6] = ["id", "type", "from", "site_id", "timestamp", "data"];

/// A line's fixed parts, each of which stands before a value.
pub type Fixed = [&'static str; 7];

#[rustfmt::skip]
pub const COMPACT: Fixed = [
    r#"{"id":""#, r#"","type":""#, r#"","from":""#, r#"","site_id":""#, r#"","timestamp":"#, r#","data":{""#,
    r#"":""#,
];

#[rustfmt::skip]
pub const SPACED: Fixed = [
    r#"{"id": ""#, r#"", "type": ""#, r#"", "from": ""#, r#"", "site_id": ""#, r#"", "timestamp": "#, r#", "data": {""#,
    r#"": ""#,
];

pub fn plain_line([id, kind, from, site, timestamp, data, value]: &Fixed, event: &Event, out: &mut Vec<u8>) {
    push(out, id);
    event.push_id(out);
    push(out, kind);
    push(out, event.type_name());
    push(out, from);
    event.push_from(out);
    push(out, site);
    event.push_site(out);
    push(out, timestamp);
    push_decimal(out, event.timestamp);
    push(out, data);
    push(out, event.type_name());
    push(out, value);
    match event.kind {
        Kind::Message => words(event.text).for_each(|part| push(out, part)),
        Kind::Online | Kind::Offline => push(out, event.status()),
    }
    push(out, r#""}}"#);
}

pub fn push(out: &mut Vec<u8>, text: impl AsRef<[u8]>) {
    out.extend_from_slice(text.as_ref());
}

pub fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Makes a name of `length` bytes `wanted` bytes long, with letters and digits that don't compress and follow from the key.
pub fn push_tail(out: &mut Vec<u8>, length: usize, wanted: usize, key: u64) {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let end = out.len() + wanted.saturating_sub(length);
    let mut dice = Dice(key);
    while out.len() < end {
        let bits = dice.below(1 << 60);
        let letters = (0..10).map(|place| LETTERS[(bits >> (6 * place)) as usize & 63]);
        out.extend(letters.take(end - out.len()));
    }
}

/// A UUID of version 4 that holds all 64 bits of the first hash, which is a bijection: ids are unique.
pub fn uuid((high, low): (u64, u64)) -> [u8; 36] {
    let first = (high & !0xffff) | 0x4000 | (high >> 4) & 0xfff;
    let second = 1 << 63 | (high & 0xf) << 58 | low & ((1 << 58) - 1);
    let bits = u128::from(first) << 64 | u128::from(second);
    let mut text = [b'-'; 36];
    let mut nibbles = (0..32).rev().map(|place| (bits >> (4 * place)) as usize & 15);
    for (place, digit) in text.iter_mut().enumerate() {
        if !matches!(place, 8 | 13 | 18 | 23) {
            *digit = b"0123456789abcdef"[nibbles.next().unwrap_or_default()];
        }
    }
    text
}

/// The words of a message, three to six, and the spaces between them.
pub fn words(hash: u64) -> impl Iterator<Item = &'static str> {
    let count = 3 + (hash >> 62);
    (0..count).flat_map(move |word| {
        let space = if word == 0 { "" } else { " " };
        [space, WORDS[(hash >> (6 * word)) as usize & 63]]
    })
}

#[rustfmt::skip]
const WORDS: [&str; 64] = [
    "order", "and", "hi", "late", "than", "been", "bill", "that", "pay", "still", "has", "had", "lost", "who", "he",
    "his", "why", "fee", "she", "ask", "please", "hello", "thanks", "where", "box", "now", "email", "no", "ok", "yes",
    "to", "reset", "us", "at", "wait", "in", "on", "size", "or", "ship", "today", "price", "for", "code", "was",
    "page", "of", "site", "help", "need", "new", "a", "my", "the", "with", "all", "can", "you", "when", "is", "not",
    "it", "me", "so",
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::testing::lines;

    #[test]
    fn a_compact_line_looks_like_the_sample() {
        let line = lines("-n 1000 --seed 3").into_iter().find(|line| line.contains("message")).unwrap();
        let value: Value = serde_json::from_str(&line).unwrap();
        let text = |key: &str| value[key].as_str().unwrap().to_owned();
        let expected = format!(
            r#"{{"id":"{}","type":"message","from":"{}","site_id":"{}","timestamp":{},"data":{{"message":"{}"}}}}"#,
            text("id"),
            text("from"),
            text("site_id"),
            value["timestamp"],
            value["data"]["message"].as_str().unwrap()
        );
        assert_eq!(line, expected);
        assert!(text("from").starts_with("visitor"));
    }

    #[test]
    fn lines_are_about_160_bytes() {
        let lines = lines("-n 10000 --sites 200000");
        let average = lines.iter().map(String::len).sum::<usize>() / lines.len();
        assert!((155..=165).contains(&average), "{average}");
    }

    #[test]
    fn an_id_holds_every_bit_of_its_first_hash() {
        let ids: BTreeSet<[u8; 36]> = (0..64).map(|bit| uuid((1 << bit, 0))).chain([uuid((0, 0))]).collect();
        assert_eq!(ids.len(), 65);
        assert_eq!(&uuid((0, 0)), b"00000000-0000-4000-8000-000000000000");
        assert_eq!(&uuid((u64::MAX, u64::MAX)), b"ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
