//! The shuffled style: the same values in any layout that JSON allows.

use crate::event::{Event, Kind};
use crate::plain::{KEYS, push, push_decimal, words};
use crate::random::{Dice, mix};

/// What some messages of the shuffled style hold besides words.
const SPICES: [&str; 14] = [
    "\"quoted\"",
    "C:\\temp\\",
    "two\nlines",
    "a\ttab",
    "and/or",
    "</b>",
    "café",
    "naïve",
    "Größe",
    "日本語",
    "😀",
    "👩\u{200d}💻",
    "\u{7f}\u{1}",
    "\u{2028}",
];

/// Unknown members, some of which look like what is required.
const UNKNOWN: [&str; 16] = [
    r#""room":"lobby, 2nd \"floor\" {[""#,
    r#""agent":"a\\""#,
    r#""rank":12"#,
    r#""delta":-0"#,
    r#""score":-1.25e-7"#,
    r#""huge":123456789012345678901234567890"#,
    r#""vip":true"#,
    r#""spam":false"#,
    r#""reply_to":null"#,
    r#""meta":{"id":"no","site_id":7,"data":{"message":null},"timestamp":[]}"#,
    r#""trace":[1,"two",[3,{"four":[]}],{},null]"#,
    r#""deep":[[[[[[[[{"a":{"b":{"c":[0]}}}]]]]]]]]"#,
    r#""":"""#,
    r#""l\u0061ng":"\u00e9\ud83d\ude00\/""#,
    r#""日本":"語""#,
    r#""ids":" \"id\":\"x\" ""#,
];

/// One line of the shuffled style: the same values as in a plain line, but for spices in the messages.
pub fn shuffled_line(event: &Event, dice: &mut Dice, out: &mut Vec<u8>) {
    // Numbers from KEYS.len() on stand for unknown members.
    let mut order = [0, 1, 2, 3, 4, 5, 6, 7, 8];
    let unknown = if dice.one_in(2) { dice.index(4) } else { 0 };
    let order = &mut order[..KEYS.len() + unknown];
    dice.shuffle(order);
    let first_unknown = dice.index(UNKNOWN.len());
    let (comma, colon) = dice.pick(&[(",", ":"), (", ", ": "), (" ,\t", " : ")]);
    // About one line in 100 has an escape where hardly anybody writes one: in a key (0 to 5) or in a value (from 6).
    let odd = if dice.one_in(100) { dice.index(12) } else { usize::MAX };
    let ascii = dice.one_in(2);

    push(out, "{");
    for (place, &member) in order.iter().enumerate() {
        if place > 0 {
            push(out, comma);
        }
        let Some(&key) = KEYS.get(member) else {
            push(out, UNKNOWN[(first_unknown + 5 * member) % UNKNOWN.len()]);
            continue;
        };
        push_name(out, key, odd == member, dice);
        push(out, colon);
        let odd_value = odd == 6 + member;
        match key {
            "id" => push_name(out, text(|out| event.push_id(out)), odd_value, dice),
            "type" => push_name(out, event.type_name(), odd_value, dice),
            "from" => push_name(out, text(|out| event.push_from(out)), odd_value, dice),
            "site_id" => push_name(out, text(|out| event.push_site(out)), odd_value, dice),
            "timestamp" => push_decimal(out, event.timestamp),
            _ => {
                push(out, "{");
                let extra = dice.below(8);
                if extra == 0 {
                    push(out, dice.pick(&UNKNOWN));
                    push(out, comma);
                }
                // A timestamp has no escape: its number is that of the key in `data`.
                push_name(out, event.type_name(), odd == 10, dice);
                push(out, colon);
                match event.kind {
                    Kind::Message => push_text(out, spiced(event.text), ascii, dice),
                    Kind::Online | Kind::Offline => push_name(out, event.status(), odd_value, dice),
                }
                if extra == 1 {
                    push(out, comma);
                    push(out, dice.pick(&UNKNOWN));
                }
                push(out, "}");
            }
        }
    }
    push(out, "}");
}

fn text(push: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut text = Vec::new();
    push(&mut text);
    text
}

/// The text of a message in the shuffled style: its words and, two times in five, spices among them.
fn spiced(hash: u64) -> impl Iterator<Item = &'static str> {
    let spicy = mix(hash) % 5 < 2;
    words(hash).enumerate().flat_map(move |(place, part)| {
        // The parts are spaces and words in turn; a spice comes after every second word.
        if spicy && place % 4 == 1 {
            [part, " ", SPICES[(mix(hash.wrapping_add(place as u64)) % 14) as usize]]
        } else {
            [part, "", ""]
        }
    })
}

/// A string without oddities; `odd`: with one of its characters, all of them ASCII, as an escape.
fn push_name(out: &mut Vec<u8>, name: impl AsRef<[u8]>, odd: bool, dice: &mut Dice) {
    let name = name.as_ref();
    out.push(b'"');
    if odd {
        let place = dice.index(name.len());
        push(out, &name[..place]);
        push_unicode_escape(out, char::from(name[place]), dice.one_in(2));
        push(out, &name[place + 1..]);
    } else {
        push(out, name);
    }
    out.push(b'"');
}

/// A string of any characters, non-ASCII ones as escapes if `ascii`.
fn push_text(out: &mut Vec<u8>, parts: impl Iterator<Item = &'static str>, ascii: bool, dice: &mut Dice) {
    out.push(b'"');
    for c in parts.flat_map(str::chars) {
        match c {
            '"' => push(out, r#"\""#),
            '\\' => push(out, r"\\"),
            '\n' => push(out, r"\n"),
            '\t' => push(out, r"\t"),
            '/' if ascii => push(out, r"\/"),
            '\0'..' ' => push_unicode_escape(out, c, false),
            ' '..='~' => out.push(c as u8),
            _ if ascii => push_unicode_escape(out, c, dice.one_in(2)),
            _ => push(out, c.encode_utf8(&mut [0; 4])),
        }
    }
    out.push(b'"');
}

/// `\u00e9`, or a surrogate pair where one is needed; the hex digits in upper case if `upper`.
fn push_unicode_escape(out: &mut Vec<u8>, c: char, upper: bool) {
    let digits = if upper { b"0123456789ABCDEF" } else { b"0123456789abcdef" };
    for unit in c.encode_utf16(&mut [0; 2]) {
        push(out, r"\u");
        for place in (0..4).rev() {
            out.push(digits[usize::from(*unit >> (4 * place)) & 15]);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::testing::{lines, values};

    #[test]
    fn copies_have_equal_values_in_the_shuffled_style() {
        let mut texts = BTreeMap::new();
        for value in values("-n 3000 --copies 3x --style shuffled") {
            texts
                .entry(value["id"].to_string())
                .or_insert_with(BTreeSet::new)
                .insert(value["data"]["message"].to_string());
        }
        assert_eq!(texts.len(), 1_000);
        assert!(texts.values().all(|texts| texts.len() == 1));
    }

    #[test]
    fn the_shuffled_style_has_what_it_promises() {
        let all = lines("-n 20000 --style shuffled");
        let share = |what: &dyn Fn(&str) -> bool| all.iter().filter(|line| what(line)).count() as f64 / 20_000.0;
        for piece in [r#"\""#, r"\\", r"\n", r"\u00", r"\ud83d\ude00", r"\/", "é", "😀", "{\"type", " : ", ": ", "\t"]
        {
            assert!(share(&|line| line.contains(piece)) > 0.01, "{piece}");
        }
        let bare = |line: &str| KEYS.map(|key| line.contains(&format!("\"{key}\"")));
        let odd_keys = share(&|line| bare(line).contains(&false));
        assert!((0.003..0.007).contains(&odd_keys), "{odd_keys}");
    }
}
