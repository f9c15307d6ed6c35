//! Texts for people: nothing in them moves a cursor, or looks like what it is not.

use serde::Serialize;

/// A value as JSON on one line, with everything escaped that [`printable`] escapes.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    if is_plain(&text) {
        return Ok(text);
    }
    // Outside of strings there is nothing of the kind, and inside of them it may stand escaped.
    let mut out = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match is_unprintable(char) {
            true => char.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}"))),
            false => out.push(char),
        }
    }
    Ok(out)
}

/// Whether a text may be shown to people as it is.
pub(crate) fn is_plain(text: &str) -> bool {
    // Nearly all texts are of these bytes, and many of them are seen at once.
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || !text.contains(is_unprintable)
}

/// Whether a character could move a cursor or end a line, or [deceives](is_deceptive).
pub(crate) fn is_unprintable(char: char) -> bool {
    char.is_control() || is_deceptive(char)
}

/// Whether a character is not seen itself, but changes what is seen or what two texts that look alike are: it turns the order of
/// others (the bidirectional controls), ends a line where it is one (U+2028, U+2029), joins, selects or annotates others,
/// takes no room at all, or looks like a plain space, as all other white space does and some blank letters. These are the
/// format characters and the ignorable ones of Unicode, but for marks that have a shape (such as the Arabic number sign), its
/// white space, and what has no shape that people agree on: characters for private use, and those that never will be any. Some of
/// them, such as the joiners, have their good use in Persian or in an emoji; but a name is compared by its bytes, and who
/// reads one has to see which it is.
fn is_deceptive(char: char) -> bool {
    matches!(
        char,
        '\u{a0}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fdd0}'..='\u{fdef}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d159}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
            | '\u{f0000}'..='\u{10ffff}'
    ) || u32::from(char) & 0xfffe == 0xfffe
}

/// Whether there is such a character in bytes that are mostly UTF-8, of which there may be many: found by its own bytes, since
/// nearly all others are passed over by the first.
pub fn has_deceptive(bytes: &[u8]) -> bool {
    !bytes.is_ascii() && (0..bytes.len()).any(|at| begins_deceptive(&bytes[at..]))
}

/// The longest of these characters, in bytes.
pub const DECEPTIVE: usize = 4;

#[inline]
fn begins_deceptive(bytes: &[u8]) -> bool {
    match bytes {
        [..0xc2, ..] | [0xd9..0xe1, ..] | [0xe4..0xee, ..] => false,
        [0xc2, 0xa0 | 0xad, ..] | [0xcd, 0x8f, ..] | [0xd8, 0x9c, ..] => true,
        [0xe1, 0x85, 0x9f..=0xa0, ..] | [0xe1, 0x9a, 0x80, ..] => true,
        [0xe1, 0x9e, 0xb4..=0xb5, ..] | [0xe1, 0xa0, 0x8b..=0x8f, ..] => true,
        [0xe2, 0x80, 0x80..=0x8f | 0xa8..=0xaf, ..] | [0xe2, 0x81, 0x9f..=0xaf, ..] | [0xe2, 0xa0, 0x80, ..] => true,
        [0xe3, 0x80, 0x80, ..] | [0xe3, 0x85, 0xa4, ..] => true,
        [0xee, _, _, ..] | [0xef, 0x80..=0xa3, _, ..] | [0xef, 0xb7, 0x90..=0xaf, ..] => true,
        [0xef, 0xb8, 0x80..=0x8f, ..] | [0xef, 0xbb, 0xbf, ..] | [0xef, 0xbe, 0xa0, ..] => true,
        [0xef, 0xbf, 0xb0..=0xbb | 0xbe..=0xbf, ..] => true,
        [0xf0, 0x93, 0x90, 0xb0..=0xbf, ..] | [0xf0, 0x9b, 0xb2, 0xa0..=0xa3, ..] => true,
        [0xf0, 0x9d, 0x85, 0x99 | 0xb3..=0xba, ..] | [0xf3, 0xa0, _, _, ..] => true,
        [0xf3, 0xb0..=0xbf, _, _, ..] | [0xf4, _, _, _, ..] => true,
        // The last two characters of each plane.
        [0xf0..=0xf3, plane, 0xbf, 0xbe..=0xbf, ..] => plane & 0x0f == 0x0f,
        _ => false,
    }
}

/// `text` with everything escaped that could move a cursor, end a line, look like another program's message or like another
/// text.
pub fn printable(text: &str) -> String {
    if is_plain(text) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            _ if char.is_control() => out.extend(char.escape_default()),
            _ if is_unprintable(char) => out.extend(char.escape_unicode()),
            _ => out.push(char),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_escaped_and_is_found_by_its_bytes() {
        let text = "\u{feff}a\u{200b}\u{2029}b\u{fe0f}\u{e0041}é日\u{3000}\u{a0}\u{e000}";
        let shown = "\\u{feff}a\\u{200b}\\u{2029}b\\u{fe0f}\\u{e0041}é日\\u{3000}\\u{a0}\\u{e000}";
        assert_eq!(printable(text), shown);
        let json = json(&text).unwrap();
        assert_eq!(json, "\"\\ufeffa\\u200b\\u2029b\\ufe0f\\udb40\\udc41é日\\u3000\\u00a0\\ue000\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        let mut found = 0;
        for char in '\0'..=char::MAX {
            let deceptive = is_deceptive(char);
            found += u32::from(deceptive);
            assert!(
                deceptive || char == ' ' || char.is_control() || !char.is_whitespace(),
                "U+{:04X}",
                u32::from(char)
            );
            let bytes = format!("a{char}b");
            assert_eq!(has_deceptive(bytes.as_bytes()), deceptive, "U+{:04X}", u32::from(char));
            let shown = printable(&bytes) != bytes;
            assert_eq!(shown, deceptive || char.is_control(), "U+{:04X}", u32::from(char));
        }
        assert_eq!(found, 141_747);
        // Cut in the middle, a character is nothing yet.
        assert!(!has_deceptive(b"a\xe2\x80"));
    }

    #[test]
    fn nothing_printable_moves_the_cursor() {
        let text = "a\u{1b}[2J\n\u{9b}\u{202e}\u{61c}\u{200f}é";
        assert_eq!(printable(text), "a\\u{1b}[2J\\n\\u{9b}\\u{202e}\\u{61c}\\u{200f}é");
        let json = json(&text).unwrap();
        assert_eq!(json, "\"a\\u001b[2J\\n\\u009b\\u202e\\u061c\\u200fé\"");
        assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
    }
}
