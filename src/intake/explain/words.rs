//! What is said of a fault: what stands there, what was expected, what to write instead.

use super::fields::{Fault, Fields, Required};
use super::scan::{self, End, Kind, Next, Scan, Token, What, closing_quote};
use super::string::{self, Unescaped};
use super::value;
use crate::base::text::{is_unprintable, printable};
use crate::event::MAX_NAME;
use crate::intake::parse::Reason;

/// Characters of a text that are shown.
const SHOWN: usize = 40;

/// A piece of the text as it stands there: all that is not seen escaped, and not too long.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => printable(text),
        Some((end, _)) => printable(text.get(..end).unwrap_or_default()) + "…",
    }
}

/// A key, in quotes.
pub(super) fn key(scan: &Scan<'_>, token: Token) -> String {
    format!("\"{}\"", shown(scan.content(token)))
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

/// A number as it is read: 1,048,576.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A character by its number, and by its name, if people know it by one.
pub(super) fn character(char: char) -> String {
    let name = match char {
        '\0' => " (NUL)",
        '\t' => " (a tab)",
        '\n' => " (a line end)",
        '\r' => " (a carriage return)",
        '\u{1b}' => " (escape)",
        '\u{a0}' | '\u{202f}' => " (a no-break space)",
        '\u{ad}' => " (a soft hyphen)",
        '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{205f}' | '\u{3000}' => " (a space of another kind)",
        '\u{200b}' => " (a space without width)",
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => " (it turns the order of text)",
        '\u{2028}' | '\u{2029}' => " (a line end of Unicode)",
        '\u{feff}' => " (a byte-order mark)",
        _ => "",
    };
    format!("U+{:04X}{name}", u32::from(char))
}

/// A required key that stands twice, the second time here.
pub(super) fn twice(key: Required, at: usize) -> Fault {
    let text = format!("\"{}\" stands twice, here for the second time; expected once", key.name());
    Fault { reason: Reason::DuplicateKey, at, text }
}

/// What is said of bytes that are not UTF-8: `bytes` begins with them, and `wrong` of them are.
pub(super) fn not_utf8(bytes: &[u8], wrong: usize) -> String {
    let hex: Vec<String> = bytes.iter().take(wrong).map(|byte| format!("0x{byte:02X}")).collect();
    let hex = hex.join(" ");
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            format!("not UTF-8: {hex}, the mark of UTF-16; iconv -f UTF-16 -t UTF-8 converts it")
        }
        [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..] => {
            "not UTF-8: half of a surrogate pair, as bytes; CESU-8 and some databases write characters so".to_owned()
        }
        // Words of Western languages; an 0xC3 is rather the first half of a character of UTF-8.
        [byte, rest @ ..]
            if wrong == 1
                && !matches!(byte, 0xc3 | 0xff)
                && char::from(*byte).is_alphabetic()
                && rest.first().is_none_or(u8::is_ascii) =>
        {
            format!(
                "not UTF-8: byte {hex}, which is \"{}\" in Latin-1; iconv -f LATIN1 -t UTF-8 converts it",
                char::from(*byte)
            )
        }
        _ if wrong > 1 => format!("not UTF-8: bytes {hex}, a character that is cut off"),
        _ => format!("not UTF-8: byte {hex}"),
    }
}

/// A fault in the JSON of an object.
pub(super) fn of_json(fields: &Fields<'_>, fault: scan::Fault) -> Fault {
    let scan::Fault { what, at, end } = fault;
    let scan = &fields.scan;
    let pending = fields.pending;
    // A value that is begun counts as wrong, a text that ends in the middle of it as no JSON.
    let reason = match what {
        What::NotUtf8 => Reason::NotUtf8,
        What::Ends | What::Unterminated => Reason::NotJson,
        _ => pending.map_or(Reason::NotJson, Required::wrong),
    };
    let text = match (pending, what) {
        (Some(key), What::Bare | What::Quotes) if scan.next == Next::Value => {
            let piece = scan.slice(at, end);
            let advice = if scan.is_cut_at(end) { None } else { value::advice(key, Kind::Word, piece) };
            value::sentence(key, &begun(scan, at, end), advice)
        }
        (Some(key @ (Required::Id | Required::From | Required::SiteId)), What::Control) if scan.next == Next::Value => {
            of_name(key, &character(control(scan, at)))
        }
        _ => format!("not valid JSON: {}", json(scan, pending, fault)),
    };
    Fault { reason, at, text }
}

/// The same, without saying that it is no JSON.
pub(super) fn json(scan: &Scan<'_>, pending: Option<Required>, fault: scan::Fault) -> String {
    let scan::Fault { what, at, end } = fault;
    let piece = scan.slice(at, end);
    let first = piece.chars().next().unwrap_or_default();
    match what {
        What::Ends => ends(scan),
        // The bytes are told by those who have them.
        What::NotUtf8 => "bytes that are not UTF-8".to_owned(),
        What::Unterminated => format!("a string has no end: {}", shown(piece)),
        What::Control => {
            let char = control(scan, at);
            format!("{} in {}; write {}", character(char), place(scan, pending), escape(char))
        }
        What::Escape => format!("{} in {} is no escape; {}", shown(piece), place(scan, pending), instead(piece)),
        What::TrailingComma => format!("trailing comma before \"{}\"", scan.slice(end.saturating_sub(1), end)),
        What::Comma => match scan.next {
            Next::Value => format!("no value behind {}; expected one before \",\"", last(scan)),
            Next::FirstKey | Next::FirstItem => {
                format!("a comma behind {}; expected {}", last(scan), expected(scan))
            }
            _ => "two commas; expected one".to_owned(),
        },
        What::Close => close(scan, piece),
        What::NoColon => match first {
            ',' | '}' => format!("no value behind {}; expected \":\" and a value", last(scan)),
            '=' | ';' => format!("{} behind {}; write \":\"", quoted(piece), last(scan)),
            _ => format!("missing colon behind {}, before {}", last(scan), head(scan, at)),
        },
        What::NoComma => no_comma(scan, at, end, first),
        What::Comment => format!("a comment, {}; JSON has none", shown(piece)),
        What::Quotes => quotes(scan, piece, first),
        What::EscapedQuote => "\\\" outside of a string; write the object without backslashes".to_owned(),
        What::Bare if matches!(scan.next, Next::Key | Next::FirstKey) => {
            let name = value::literal(piece).map_or(String::new(), |text| format!("; write {text}"));
            format!("the key {} has no quotes{name}", shown(piece))
        }
        What::Bare if !value::is_word(piece) => format!("{} where {} was expected", quoted(piece), expected(scan)),
        What::Bare => {
            let advice = if scan.is_cut_at(end) { None } else { value::of_any(piece) };
            let advice = advice.map_or(String::new(), |text| format!("; write {text}"));
            format!("{} is {}{advice}", begun(scan, at, end), value::described(piece))
        }
        What::Invisible => format!("{} where {} was expected; remove it", character(first), expected(scan)),
        What::Other => format!("{} where {} was expected", quoted(piece), expected(scan)),
    }
}

/// What a required key's value lacks, if something.
pub(super) fn of_value(scan: &Scan<'_>, key: Required, token: Token) -> Option<Fault> {
    let wrong = |at: usize, text: String| Some(Fault { reason: key.wrong(), at, text });
    let content = scan.content(token);
    let fits = match (key, token.kind) {
        (Required::Id | Required::From | Required::SiteId, Kind::Text) => {
            return match name(content) {
                Some((at, text)) => wrong(token.start + at, of_name(key, &text)),
                None => None,
            };
        }
        (Required::Timestamp, Kind::Number) => {
            let text = scan.slice(token.start, token.end);
            text != "-0" && text.parse::<i64>().is_ok()
        }
        (Required::Type, Kind::Text) => string::is(content, "message") || string::is(content, "status"),
        (Required::Status, Kind::Text) => string::is(content, "online") || string::is(content, "offline"),
        (Required::Message, Kind::Text) => true,
        (Required::Data, Kind::Open) => scan.slice(token.start, token.end) == "{",
        _ => false,
    };
    if fits {
        return None;
    }
    let text = scan.slice(token.start, token.end);
    let seen = match token.kind {
        Kind::Open => nested(scan, token.start),
        _ => shown(text),
    };
    wrong(token.start, value::sentence(key, &seen, value::advice(key, token.kind, text)))
}

/// What keeps a string from being a name, and where.
fn name(content: &str) -> Option<(usize, String)> {
    let mut length = 0;
    for (at, char) in Unescaped::new(content) {
        match char {
            Ok(char) if char.is_control() => return Some((1 + at, character(char))),
            Ok(char) => length += char.len_utf8(),
            Err(unit) => return Some((1 + at, format!("\\u{unit:04x}, half of a surrogate pair"))),
        }
    }
    match length {
        0 => Some((0, String::new())),
        1..=MAX_NAME => None,
        _ => Some((0, format!("{} bytes", grouped(length as u64)))),
    }
}

/// Something that no name may have; nothing stands for an empty one.
fn of_name(key: Required, what: &str) -> String {
    let name = key.name();
    match what {
        "" => format!("\"{name}\" is empty; expected 1 to 1,024 bytes"),
        _ if what.ends_with(" bytes") => format!("\"{name}\" has {what}; expected at most 1,024"),
        _ if what.ends_with("pair") => format!("\"{name}\" has {what}; expected whole characters"),
        _ => format!("\"{name}\" has {what} in it; expected no control characters"),
    }
}

/// Where the text ends, and what is missing.
fn ends(scan: &Scan<'_>) -> String {
    let what = if scan.text.contains('\n') { "the text ends" } else { "the line ends" };
    let at = match (scan.next, scan.last) {
        (Next::Value, Some(_)) => format!(" where {} was expected", value_of(scan)),
        (Next::Colon, Some(_)) => format!(" behind the key {}", last(scan)),
        _ => String::new(),
    };
    let missing: String = scan.open.iter().rev().take(8).map(|byte| char::from(*byte)).collect();
    match scan.depth() {
        1 => format!("{what}{at}, \"{missing}\" is missing"),
        open @ 2..=8 => format!("{what}{at}, {open} brackets are open: \"{missing}\" is missing"),
        open => format!("{what}{at}, {} brackets are open", grouped(open as u64)),
    }
}

/// A closing bracket that does not belong there.
fn close(scan: &Scan<'_>, piece: &str) -> String {
    match scan.next {
        Next::Value if scan.last.is_some() => {
            format!("no value behind {}; expected one before {}", last(scan), quoted(piece))
        }
        Next::Value => format!("{} that nothing has opened; expected an object", quoted(piece)),
        Next::Colon => format!("no value behind {}; expected \":\" and a value", last(scan)),
        _ => {
            let open = if scan.open.last() == Some(&b'}') { '}' } else { ']' };
            format!("{} where \"{open}\" is missing", quoted(piece))
        }
    }
}

/// No comma and no closing bracket.
fn no_comma(scan: &Scan<'_>, at: usize, end: usize, first: char) -> String {
    let adjacent = scan.last.filter(|last| last.end == at);
    match (adjacent.map(|last| last.kind), first) {
        (_, ':' | ';' | '=' | '(' | ')') => {
            format!("{} where {} was expected", quoted(scan.slice(at, end)), expected(scan))
        }
        (Some(Kind::Text), _) => format!(
            "{} directly behind a string; a comma is missing, or a quotation mark inside the string has to be written \\\"",
            head(scan, at)
        ),
        _ => format!("missing comma before {}", head(scan, at)),
    }
}

/// A word in the wrong quotes.
fn quotes(scan: &Scan<'_>, piece: &str, first: char) -> String {
    let what = match first {
        '\'' => "single quotes".to_owned(),
        other => format!("quotation marks {}", character(other)),
    };
    let key = if matches!(scan.next, Next::Key | Next::FirstKey) { "the key " } else { "" };
    let inner = closing_quote(first).and_then(|close| piece.strip_prefix(first)?.strip_suffix(close));
    match inner.and_then(value::literal) {
        Some(text) => format!("{what} around {key}{}; write {text}", shown(inner.unwrap_or_default())),
        None => format!("{what}, {key}{}; expected \"", shown(piece)),
    }
}

/// What may stand where something else does.
fn expected(scan: &Scan<'_>) -> &'static str {
    match scan.next {
        Next::Value if scan.last.is_none() => "an object",
        Next::Value | Next::Item => "a value",
        Next::FirstItem => "a value or \"]\"",
        Next::FirstKey => "a key or \"}\"",
        Next::Key => "a key",
        Next::Colon => "\":\"",
        Next::More if scan.open.last() == Some(&b'}') => "\",\" or \"}\"",
        Next::More => "\",\" or \"]\"",
        Next::Nothing => "nothing",
    }
}

/// A piece of the text, which may go on in what was not kept.
fn begun(scan: &Scan<'_>, start: usize, end: usize) -> String {
    shown(scan.slice(start, end)) + if scan.is_cut_at(end) { "…" } else { "" }
}

/// The bytes of a value that begins with a bracket, as far as they are shown.
fn nested(scan: &Scan<'_>, start: usize) -> String {
    let mut inner = Scan::new(scan.text, start, End::Cut);
    // One that is longer is cut in any case, and so is one with a fault in it.
    while inner.at() < start + 4 * SHOWN && matches!(inner.token(), Ok(Some(_))) {}
    match inner.next {
        Next::Nothing => shown(scan.slice(start, inner.at())),
        _ => shown(scan.text.get(start..).unwrap_or_default()),
    }
}

/// The token before, in a sentence.
fn last(scan: &Scan<'_>) -> String {
    match scan.last {
        Some(token) if token.kind == Kind::Key => key(scan, token),
        Some(token) => quoted(scan.slice(token.start, token.end)),
        None => "the start".to_owned(),
    }
}

/// What the walk is about to read.
fn value_of(scan: &Scan<'_>) -> String {
    match scan.last {
        Some(token) if token.kind == Kind::Key => format!("the value of {}", key(scan, token)),
        _ => "a value".to_owned(),
    }
}

/// A character or a few, in quotes.
fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// What begins here: a string with its quotes, or a word.
fn head(scan: &Scan<'_>, at: usize) -> String {
    let rest = scan.text.get(at..).unwrap_or_default();
    let inside = rest.strip_prefix('"').unwrap_or(rest);
    let end = inside.find(['"', ',', ':', '{', '}', '[', ']', ' ', '\n']).unwrap_or(inside.len());
    match rest.strip_prefix('"') {
        Some(inside) if end > 0 => {
            let whole = inside.get(end..).is_some_and(|rest| rest.starts_with('"'));
            shown(rest.get(..end + 1 + usize::from(whole)).unwrap_or_default())
        }
        None if end > 0 => shown(inside.get(..end).unwrap_or_default()),
        _ => quoted(rest.chars().next().map(String::from).unwrap_or_default().as_str()),
    }
}

/// The string that the walk stands in.
fn place(scan: &Scan<'_>, pending: Option<Required>) -> String {
    match (scan.next, pending, scan.last) {
        (Next::Key | Next::FirstKey, _, _) => "a key".to_owned(),
        (Next::Value, Some(key), _) => format!("\"{}\"", key.name()),
        (Next::Value, None, Some(token)) if token.kind == Kind::Key => format!("the string of {}", key(scan, token)),
        _ => "a string".to_owned(),
    }
}

fn control(scan: &Scan<'_>, at: usize) -> char {
    scan.text.get(at..).and_then(|rest| rest.chars().next()).unwrap_or_default()
}

/// How a control character is written in a string.
fn escape(char: char) -> String {
    match char {
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        _ => format!("\\u{:04x}", u32::from(char)),
    }
}

/// What to write instead of a wrong escape.
fn instead(piece: &str) -> String {
    match piece.chars().nth(1) {
        Some('u') => "expected four hexadecimal digits behind \\u".to_owned(),
        Some('x') => "write \\u00 and the two digits".to_owned(),
        Some('\'') => "write ' without a backslash".to_owned(),
        Some(char) if char == '\n' || is_unprintable(char) => "a backslash is written \\\\".to_owned(),
        _ => format!("a backslash is written \\\\, so write \\{}", shown(piece)),
    }
}
