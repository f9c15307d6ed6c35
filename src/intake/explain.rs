//! Why a text is not an event, in words that say where to look and what to write.
//!
//! The judge, [`super::parse`], has to be quick and says one of twenty reasons. What is here is asked only about the rejects
//! that somebody is told of: it walks through a rejected text again, to the first fault from left to right. Nothing of it
//! is stored: what is kept of a reject is its reason and its first bytes.

mod fields;
mod near;
mod scan;
mod string;
mod value;
mod words;

use super::parse::Reason;
use fields::{Ended, Fields};
use scan::{End, Kind, Next, Scan, Stop, What};
use words::{grouped, shown};

/// Where the fault of a rejected text is, and what is to be said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Offset of the fault in the text; at most the text's length. `None` if the fault lies in what was not kept.
    pub at: Option<usize>,
    /// What stands there, what was expected, what to write instead: one line, in which all that is not seen is escaped.
    pub text: String,
}

impl Explanation {
    fn new(at: usize, text: String) -> Explanation {
        Explanation { at: Some(at), text }
    }

    /// The line and the column of the fault, where the text begins at this line and column, all of them from 1; columns are
    /// bytes. `raw` is the text. It has line ends in it if it comes from a document.
    pub fn place(&self, raw: &[u8], line: u64, column: u64) -> Option<(u64, u64)> {
        let before = raw.get(..self.at?)?;
        Some(match memchr::memrchr(b'\n', before) {
            None => (line, column + before.len() as u64),
            Some(last) => (line + memchr::memchr_iter(b'\n', before).count() as u64, (before.len() - last) as u64),
        })
    }
}

/// What stands between objects and means nothing; line ends in documents.
const FILLER: [char; 6] = [' ', '\t', '\r', '\n', '\0', '\u{feff}'];

/// Bytes at the start of an object that is too long in which a wrapper is looked for.
const HEAD: usize = 4096;

/// Explains a reject: its reason, its first bytes, and how many it has in all.
///
/// Takes time in proportion to the bytes, and a byte for each bracket that is open. Where the walk finds another fault than the
/// judge, be it because the reject was judged by an older program, the text has that fault all the same.
pub fn explain(reason: Reason, raw: &[u8], whole: u64) -> Explanation {
    let cut = whole > raw.len() as u64;
    let (text, end) = readable(raw, cut);
    let start = text.len() - text.trim_start_matches(FILLER).len();
    if reason == Reason::TooLong {
        return too_long(raw, start, whole);
    }
    if let (Reason::NotUtf8, End::NotUtf8(_)) = (reason, end) {
        return not_utf8(raw, text.len(), end);
    }
    let found = match text.as_bytes().get(start) {
        None => None,
        Some(b'{') => object(reason, text, start, end, whole),
        Some(_) => no_object(text, start, end),
    };
    match found {
        Some(found) if found.at == Some(text.len()) && end != End::Whole && end != End::Cut => {
            not_utf8(raw, text.len(), end)
        }
        Some(found) => found,
        None if text.len() == start && matches!(end, End::NotUtf8(_)) => not_utf8(raw, text.len(), end),
        None if cut => behind(reason, raw.len()),
        None => Explanation { at: None, text: reason.to_string() },
    }
}

/// The part of the text that is UTF-8, and what stands behind it.
fn readable(raw: &[u8], cut: bool) -> (&str, End) {
    let Some(piece) = raw.utf8_chunks().next() else {
        return ("", if cut { End::Cut } else { End::Whole });
    };
    let (text, wrong) = (piece.valid(), piece.invalid());
    let end = match text.len() + wrong.len() == raw.len() {
        true if wrong.is_empty() => {
            if cut {
                End::Cut
            } else {
                End::Whole
            }
        }
        // A character that was cut off is not a wrong one.
        true if cut && is_begun(wrong) => End::Cut,
        _ => End::NotUtf8(wrong.len()),
    };
    (text, end)
}

/// Whether a character of UTF-8 may begin with these bytes, at the end of a text.
fn is_begun(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

fn not_utf8(raw: &[u8], at: usize, end: End) -> Explanation {
    let wrong = if let End::NotUtf8(wrong) = end { wrong } else { 1 };
    Explanation::new(at, words::not_utf8(raw.get(at..).unwrap_or_default(), wrong))
}

/// The fault is not in what was kept.
fn behind(reason: Reason, kept: usize) -> Explanation {
    let what = match reason {
        // Of an object that is whole it is known that they are missing; of this one, not what stands there instead.
        Reason::MissingId
        | Reason::MissingFrom
        | Reason::MissingSiteId
        | Reason::MissingTimestamp
        | Reason::MissingType
        | Reason::MissingData => return Explanation { at: None, text: reason.to_string() },
        Reason::NotUtf8 => "not UTF-8",
        Reason::NotJson => "not valid JSON",
        Reason::NotAnObject => "not an object",
        _ => &reason.to_string(),
    };
    let text =
        format!("{what}: somewhere behind the first {} bytes, which are all that was kept", grouped(kept as u64));
    Explanation { at: None, text }
}

/// An object that does not end in time. What makes it so long may be a wrapper around all events.
fn too_long(raw: &[u8], start: usize, whole: u64) -> Explanation {
    let (head, _) = readable(raw.get(..HEAD).unwrap_or(raw), true);
    let what = format!(
        "an object does not end within 1,048,576 bytes, the most it may have (the text has {})",
        grouped(whole)
    );
    if head.as_bytes().get(start) == Some(&b'{') {
        let mut fields = Fields::new(Scan::new(head, start, End::Cut));
        // Whatever else is wrong with it.
        let _ = fields.walk();
        if let Some((_, where_they_are)) = near::wrapper(&fields) {
            return Explanation::new(start, format!("{what}; {where_they_are}"));
        }
    }
    Explanation::new(start, what)
}

/// An object, and what stands behind it. `None` if there is no fault in what was kept.
fn object(reason: Reason, text: &str, start: usize, end: End, whole: u64) -> Option<Explanation> {
    let mut fields = Fields::new(Scan::new(text, start, end));
    let fault = match fields.walk() {
        Err(Ended::Fault(fault)) => fault,
        Err(Ended::Cut) => fields.noted(reason).or_else(|| near::missing_of_cut(&fields, reason))?,
        Ok(()) => return tail(text, fields.scan.at()),
    };
    let mut said = fault.text;
    if fields.scan.next == Next::Nothing {
        said.push_str(&taken_along(text, fields.scan.at(), whole));
    }
    Some(Explanation::new(fault.at, said))
}

/// What is to be said of the bytes behind an object that is whole and wrong: they are rejected with it.
fn taken_along(text: &str, end: usize, whole: u64) -> String {
    let rest = text.get(end..).unwrap_or_default().trim_matches(FILLER);
    match rest.strip_prefix(',') {
        _ if rest.is_empty() => String::new(),
        Some(next) if next.trim_start().starts_with('"') => {
            format!("; the object ends before {}: a \"}}\" too many", shown(rest))
        }
        _ => {
            format!("; the {} bytes behind the object are rejected with it", grouped(whole.saturating_sub(end as u64)))
        }
    }
}

/// What stands behind an object that is an event. Its like is a reject of its own, but older programs took all of a line for one.
fn tail(text: &str, end: usize) -> Option<Explanation> {
    let rest = text.get(end..)?.trim_start_matches(FILLER);
    let at = text.len() - rest.len();
    let text = match rest.bytes().next()? {
        b'{' => "a second object behind the first; expected a line for each".to_owned(),
        b',' if begins_object(rest, 1) => "a comma between two objects; expected a line end, or nothing".to_owned(),
        _ => format!("words behind the object: \"{}\"; expected nothing", shown(rest)),
    };
    Some(Explanation::new(at, format!("not valid JSON: {text}")))
}

/// Whether an object begins here, or behind white space.
fn begins_object(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.trim_start_matches(FILLER).starts_with('{'))
}

/// A text that does not begin with an object.
fn no_object(text: &str, start: usize, end: End) -> Option<Explanation> {
    let rest = text.get(start..)?;
    let mut scan = Scan::new(text, start, end);
    let first = scan.token();
    let is = |text: String| Some(Explanation::new(start, format!("not an object: {text}")));
    match (rest.bytes().next()?, first) {
        (b'[', _) if begins_object(rest, 1) => is("an array of objects; jq -c '.[]' takes it apart".to_owned()),
        // Or the date of a log, in brackets.
        (b'[', _) if rest.contains('{') && has_fault(&mut scan) => words_before(rest, start),
        (b'[', _) => is(format!("an array, {}; expected an object", shown(rest))),
        (b'"', Ok(Some(token))) if value::is_packed(scan.content(token)) => {
            is("an object inside a string; jq -c fromjson unpacks it".to_owned())
        }
        (b',', _) if begins_object(rest, 1) => Some(Explanation::new(
            start,
            "not valid JSON: a comma before the object; expected a line end, or nothing, between two objects"
                .to_owned(),
        )),
        (_, Ok(Some(token))) if rest_is_blank(text, token.end) => {
            let kind = match token.kind {
                Kind::Text => "a string",
                Kind::Number => "a number",
                _ => "a word",
            };
            is(format!("{kind}, {}; expected an object", shown(scan.slice(token.start, token.end))))
        }
        (_, Err(Stop::Cut)) if !rest.contains('{') => None,
        (_, Err(Stop::Fault(fault))) if is_of_its_own(fault.what) => {
            Some(Explanation::new(fault.at, format!("not valid JSON: {}", words::json(&scan, None, fault))))
        }
        _ if rest.contains('{') => words_before(rest, start),
        _ => Some(Explanation::new(start, format!("not valid JSON: expected an object, found \"{}\"", shown(rest)))),
    }
}

/// Whether a fault comes before the end of the text's first value.
fn has_fault(scan: &mut Scan<'_>) -> bool {
    loop {
        match scan.token() {
            Ok(Some(_)) => {}
            Ok(None) | Err(Stop::Cut) => return false,
            Err(Stop::Fault(_)) => return true,
        }
    }
}

/// Whether a fault at the start of a text says more than that it is not an object.
fn is_of_its_own(what: What) -> bool {
    matches!(what, What::NotUtf8 | What::Comment | What::Invisible | What::Close | What::Unterminated)
}

fn rest_is_blank(text: &str, at: usize) -> bool {
    text.get(at..).is_some_and(|rest| rest.trim_matches(FILLER).is_empty())
}

/// Words, such as those of a log, and an object behind them.
fn words_before(rest: &str, start: usize) -> Option<Explanation> {
    let (before, _) = rest.split_once('{')?;
    let text = format!(
        "not valid JSON: words before the object: \"{}\"; sed 's/^[^{{]*//' cuts them off",
        shown(before.trim_end())
    );
    Some(Explanation::new(start, text))
}

#[cfg(test)]
mod tests;
