//! The oracle's reading of one input: which of its bytes are events, which are rejects, and which are left for later.
//!
//! Written from the page on inputs alone. `serde_json` says what JSON is; the rest is a walk from left to right.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::NaiveKind;

/// The longest object, from `{` to `}`.
pub const MAX_OBJECT: usize = 1_048_576;

/// The longest `id`, `from` and `site_id`, in bytes after unescaping.
pub const MAX_NAME: usize = 1_024;

/// How much of an input is looked at to tell lines from a document.
const HEAD: usize = 1_048_576;

/// The parts of an event that mean something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaiveEvent {
    /// `site_id`.
    pub site: String,
    /// `id`.
    pub id: String,
    /// `from`.
    pub from: String,
    /// `timestamp`.
    pub timestamp: i64,
    /// `type`, and the status.
    pub kind: NaiveKind,
}

/// Bytes that are no event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NaiveReject {
    /// Its first byte.
    pub offset: u64,
    /// The `\n` before it, plus 1.
    pub line: u64,
    /// The bytes between the last `\n` before it and its first byte, plus 1.
    pub column: u64,
    /// Its bytes.
    pub length: u64,
}

/// What an input is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NaiveForm {
    /// Objects in lines.
    Lines,
    /// A stream of JSON values.
    Document,
}

/// Whether something may still be added to an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NaiveEnd {
    /// A file may grow.
    MayGrow,
    /// A pipe has ended for good.
    Final,
}

/// What an input says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NaiveReading {
    /// The events, copies included, in the order of the input.
    pub events: Vec<NaiveEvent>,
    /// The rejects, in the order of the input.
    pub rejects: Vec<NaiveReject>,
    /// Bytes at the end that are left for the next run.
    pub left: u64,
    /// NUL bytes that were skipped.
    pub nuls: u64,
    /// It is an array, and it has no end.
    pub endless: bool,
}

/// Reads a whole input; its head says what it is read as, unless `form` does.
pub fn read(input: &[u8], form: Option<NaiveForm>, end: NaiveEnd) -> NaiveReading {
    let mut reader =
        Reader { input, end, line: 1, line_start: 0, counted: 0, level: 0, reading: NaiveReading::default() };
    match form.unwrap_or_else(|| form_of(input)) {
        NaiveForm::Lines => reader.lines(),
        NaiveForm::Document => reader.document(),
    }
    // What a file ends in may still be written over.
    if end == NaiveEnd::MayGrow && reader.reading.left == 0 {
        let nuls = input.iter().rev().take_while(|byte| **byte == 0).count() as u64;
        reader.reading.left = nuls;
        reader.reading.nuls -= nuls;
    }
    reader.reading
}

/// What the head says that an input is.
pub fn form_of(input: &[u8]) -> NaiveForm {
    let head = &input[..input.len().min(HEAD)];
    let is_one_line = !head.contains(&b'\n') && input.len() > HEAD;
    let mut at = 0;
    while filler(&head[at..]).max(line_end(&head[at..])) > 0 {
        at += filler(&head[at..]).max(line_end(&head[at..]));
    }
    let rest = &head[at..];
    let is_document = match rest.first() {
        Some(0x1e) => true,
        Some(b'[') => behind_white_space(&rest[1..]).first().is_none_or(|next| b"{[]".contains(next)),
        Some(b'{') => match shape(rest) {
            Shape::Broken(_) => false,
            Shape::Whole(length) => rest[..length].contains(&b'\n') || is_one_line,
            Shape::Unfinished => rest.contains(&b'\n') || is_one_line,
        },
        _ => false,
    };
    if is_document { NaiveForm::Document } else { NaiveForm::Lines }
}

/// White space, as JSON has it.
const WHITE: &[u8] = b" \t\r\n";

/// A text without the white space at its start. (`trim_ascii_start` would take a form feed, too.)
fn behind_white_space(text: &[u8]) -> &[u8] {
    let first = text.iter().position(|byte| !WHITE.contains(byte));
    &text[first.unwrap_or(text.len())..]
}

/// The bytes of filler that stand first in a text: a space, tab, `\r`, NUL or byte-order mark.
fn filler(text: &[u8]) -> usize {
    match text {
        [b' ' | b'\t' | b'\r' | 0, ..] => 1,
        [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    }
}

/// The `\n` that stands first in a text.
fn line_end(text: &[u8]) -> usize {
    usize::from(text.first() == Some(&b'\n'))
}

/// What stands between the values of a document.
fn between_values(text: &[u8]) -> usize {
    match text {
        [b'\n' | b',' | b'[' | b']' | 0x1e, ..] => 1,
        _ => filler(text),
    }
}

/// An input that is being read.
struct Reader<'i> {
    input: &'i [u8],
    end: NaiveEnd,
    /// The line of the byte at `counted`, and where it begins.
    line: u64,
    line_start: usize,
    counted: usize,
    /// Brackets between values that are open.
    level: i64,
    reading: NaiveReading,
}

impl Reader<'_> {
    /// Line by line, and in each object by object.
    fn lines(&mut self) {
        let mut start = 0;
        for line in self.input.split_inclusive(|&byte| byte == b'\n') {
            let is_ended = line.ends_with(b"\n");
            let end = start + line.len() - usize::from(is_ended);
            let mut at = self.skip(start, end, &filler);
            while at < end {
                let Some((event, length)) = event(&self.input[at..end]) else {
                    self.reject(at, end, is_ended);
                    break;
                };
                self.reading.events.push(event);
                at = self.skip(at + length, end, &filler);
            }
            start += line.len();
        }
    }

    /// Value by value.
    fn document(&mut self) {
        let input = self.input;
        let mut at = self.skip(0, input.len(), &between_values);
        while at < input.len() {
            let end = match input[at] {
                b'{' => match shape(&input[at..]) {
                    Shape::Whole(length) => Some(at + length),
                    Shape::Broken(fault) => behind_broken(input, at + fault),
                    Shape::Unfinished => None,
                },
                b'"' => string_or_part(&input[at..]).map(|length| at + length),
                _ => {
                    let stops = |byte: &u8| WHITE.contains(byte) || b",[]{\"\0\x1e".contains(byte);
                    input[at..].iter().position(stops).map(|length| at + length)
                }
            };
            let text = &input[at..end.unwrap_or(input.len())];
            match event(text) {
                Some((event, length)) if length == text.len() => self.reading.events.push(event),
                _ => self.reject(at, at + text.len(), end.is_some()),
            }
            at = self.skip(at + text.len(), input.len(), &between_values);
        }
        let blank = |byte: &&u8| !b" \t\r\n\0\xef\xbb\xbf".contains(byte);
        let last = input.iter().rev().find(blank);
        self.reading.endless = self.level > 0 && is_array(input) && last != Some(&b']');
    }

    /// Skips what `skipped` knows, up to `end`.
    fn skip(&mut self, mut at: usize, end: usize, skipped: &dyn Fn(&[u8]) -> usize) -> usize {
        while at < end {
            let length = skipped(&self.input[at..end]);
            if length == 0 {
                break;
            }
            self.reading.nuls += u64::from(self.input[at] == 0);
            self.level += i64::from(self.input[at] == b'[') - i64::from(self.input[at] == b']');
            at += length;
        }
        at
    }

    /// Takes note of bytes that are no event. If more bytes may change where they end, they are left.
    fn reject(&mut self, start: usize, end: usize, has_end: bool) {
        if !has_end && self.end == NaiveEnd::MayGrow {
            self.reading.left = (end - start) as u64;
            return;
        }
        for at in self.counted..start {
            if self.input[at] == b'\n' {
                self.line += 1;
                self.line_start = at + 1;
            }
        }
        self.counted = start;
        let column = (start - self.line_start) as u64 + 1;
        let (offset, length) = (start as u64, (end - start) as u64);
        self.reading.rejects.push(NaiveReject { offset, line: self.line, column, length });
    }
}

/// Whether the first thing in an input is a bracket.
fn is_array(input: &[u8]) -> bool {
    let mut text = input;
    while let Some(rest) = text.get(filler(text).max(line_end(text))..).filter(|rest| rest.len() < text.len()) {
        text = rest;
    }
    text.first() == Some(&b'[')
}

/// What the brackets and strings of an object say of its end.
enum Shape {
    /// It ends before this byte.
    Whole(usize),
    /// Nobody knows where it ends: this byte cannot stand there.
    Broken(usize),
    /// The text ends first.
    Unfinished,
}

/// What may stand next in an object, white space aside.
#[derive(Clone, Copy, PartialEq)]
enum Next {
    Key,
    KeyOrEnd,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
}

/// Follows an object to its end. What its numbers, words and escapes are is left to others.
fn shape(text: &[u8]) -> Shape {
    use Next::*;
    let mut open = Vec::new();
    let mut next = Value;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if WHITE.contains(&byte) {
            at += 1;
            continue;
        }
        let mut length = 1;
        next = match (byte, next) {
            (b'{', Value | ValueOrEnd) => {
                open.push(b'}');
                KeyOrEnd
            }
            (b'[', Value | ValueOrEnd) => {
                open.push(b']');
                ValueOrEnd
            }
            (b'}', KeyOrEnd | CommaOrEnd) | (b']', ValueOrEnd | CommaOrEnd) if open.last() == Some(&byte) => {
                open.pop();
                if open.is_empty() {
                    return Shape::Whole(at + 1);
                }
                CommaOrEnd
            }
            (b',', CommaOrEnd) => {
                if open.last() == Some(&b'}') {
                    Key
                } else {
                    Value
                }
            }
            (b':', Colon) => Value,
            (b'"', Key | KeyOrEnd | Value | ValueOrEnd) => {
                let string = &text[at..];
                let end = string_end(string);
                if let Some(fault) = control_in(&string[..end.unwrap_or(string.len())]) {
                    return Shape::Broken(at + fault);
                }
                match end {
                    Some(end) => length = end,
                    None => return Shape::Unfinished,
                }
                if matches!(next, Key | KeyOrEnd) { Colon } else { CommaOrEnd }
            }
            (b'-' | b'0'..=b'9' | b't' | b'f' | b'n', Value | ValueOrEnd) => {
                // Numbers and words are made of these; which of them are right is left to others, too.
                let goes_on = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                length = text[at..].iter().take_while(goes_on).count();
                CommaOrEnd
            }
            _ => return Shape::Broken(at),
        };
        at += length;
    }
    Shape::Unfinished
}

/// The length of the string that a text begins with; of one that a control character is in, up to there.
fn string_or_part(text: &[u8]) -> Option<usize> {
    match (string_end(text), control_in(text)) {
        (Some(end), Some(control)) => Some(end.min(control)),
        (end, control) => end.or(control),
    }
}

/// The length of the string that a text begins with, quotes included.
fn string_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The first control character.
fn control_in(text: &[u8]) -> Option<usize> {
    text.iter().position(|&byte| byte < b' ')
}

/// Where a broken object ends: before the next `{` that looks like the start of another.
fn behind_broken(input: &[u8], fault: usize) -> Option<usize> {
    (fault..input.len()).find(|&at| {
        let before = &input[..at];
        let after_object = || {
            let skipped = before.iter().rev().take_while(|&byte| WHITE.contains(byte) || *byte == b',').count();
            before[..before.len() - skipped].ends_with(b"}")
        };
        input[at] == b'{' && (before.ends_with(b"\n") || after_object())
    })
}

/// The event that a text begins with, and its length; none if the text begins with anything else.
pub fn event(text: &[u8]) -> Option<(NaiveEvent, usize)> {
    if text.first() != Some(&b'{') {
        return None;
    }
    let text = &text[..text.len().min(MAX_OBJECT)];
    // Of an object that is ignored, serde_json checks everything but that its text is UTF-8 and its surrogates are pairs.
    let mut values = serde_json::Deserializer::from_slice(text).into_iter::<IgnoredAny>();
    values.next()?.ok()?;
    let length = values.byte_offset();
    let object = std::str::from_utf8(&text[..length]).ok()?;
    Some((parse(&without_lone_surrogates(object))?, length))
}

/// The same JSON with U+0000 in the place of each lone surrogate: that makes a name wrong and a key unknown just as well, and
/// `serde_json` has a string for it.
fn without_lone_surrogates(json: &str) -> String {
    let unit_at = |at: usize| match json.get(at..at + 6)?.strip_prefix("\\u") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => None,
    };
    let mut text = String::new();
    let mut at = 0;
    while let Some(next) = json[at..].chars().next() {
        let (length, is_lone) = match (next, unit_at(at)) {
            ('\\', Some(0xd800..=0xdbff)) => match unit_at(at + 6) {
                Some(0xdc00..=0xdfff) => (12, false),
                _ => (6, true),
            },
            ('\\', Some(0xdc00..=0xdfff)) => (6, true),
            ('\\', Some(_)) => (6, false),
            // An escape of two bytes.
            ('\\', None) => (2, false),
            (other, _) => (other.len_utf8(), false),
        };
        text.push_str(if is_lone { "\\u0000" } else { &json[at..at + length] });
        at += length;
    }
    text
}

/// The event of an object, or nothing if it is wrong in any way.
///
/// Reads the object twice: which member of `data` is required depends on `type`, which may come after it.
fn parse(text: &str) -> Option<NaiveEvent> {
    let TypeOf(kind) = serde_json::from_str(text).ok()?;
    if kind != "message" && kind != "status" {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let event = WholeObject { kind: &kind }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    (is_name(&event.site) && is_name(&event.id) && is_name(&event.from)).then_some(event)
}

fn is_name(text: &str) -> bool {
    let control = |c| matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    !text.is_empty() && text.len() <= MAX_NAME && !text.contains(control)
}

/// A `type` somewhere in an object; that there is only one is [`WholeObject`]'s to check.
struct TypeOf(String);

impl<'de> Deserialize<'de> for TypeOf {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<TypeOf, D::Error> {
        json.deserialize_map(TypeVisitor)
    }
}

struct TypeVisitor;

impl<'de> Visitor<'de> for TypeVisitor {
    type Value = TypeOf;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TypeOf, A::Error> {
        let mut kind = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "type" {
                kind = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        kind.map(TypeOf).ok_or_else(|| A::Error::missing_field("type"))
    }
}

/// A whole object whose `type` is known.
struct WholeObject<'k> {
    kind: &'k str,
}

impl<'de> DeserializeSeed<'de> for WholeObject<'_> {
    type Value = NaiveEvent;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<NaiveEvent, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WholeObject<'_> {
    type Value = NaiveEvent;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NaiveEvent, A::Error> {
        let (mut id, mut kind, mut from, mut site, mut timestamp, mut data) = (None, None, None, None, None, None);
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "id" => once(&mut id, map.next_value::<String>()?)?,
                "type" => once(&mut kind, map.next_value::<String>()?)?,
                "from" => once(&mut from, map.next_value::<String>()?)?,
                "site_id" => once(&mut site, map.next_value::<String>()?)?,
                // serde_json takes neither 1.0, 1e3 nor -0 for an integer.
                "timestamp" => once(&mut timestamp, map.next_value::<i64>()?)?,
                "data" => once(&mut data, map.next_value_seed(Data { wanted: self.kind })?)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let missing = || A::Error::custom("a required key is missing");
        let kind = match (kind.as_deref(), data.as_deref()) {
            (Some("message"), Some(_)) => NaiveKind::Message,
            (Some("status"), Some("online")) => NaiveKind::Online,
            (Some("status"), Some("offline")) => NaiveKind::Offline,
            _ => return Err(A::Error::custom("no such type or status")),
        };
        Ok(NaiveEvent {
            site: site.ok_or_else(missing)?,
            id: id.ok_or_else(missing)?,
            from: from.ok_or_else(missing)?,
            timestamp: timestamp.ok_or_else(missing)?,
            kind,
        })
    }
}

/// The object `data`, of which one member is required, a string; the others mean nothing.
struct Data<'k> {
    wanted: &'k str,
}

impl<'de> DeserializeSeed<'de> for Data<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<String, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Data<'_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<String, A::Error> {
        let mut value = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.wanted {
                once(&mut value, map.next_value::<String>()?)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        value.ok_or_else(|| A::Error::custom("data lacks what its type requires"))
    }
}

/// Fills `slot`, unless the key has been there before.
fn once<T, E: Error>(slot: &mut Option<T>, value: T) -> Result<(), E> {
    if slot.is_some() {
        return Err(E::custom("a required key twice"));
    }
    *slot = Some(value);
    Ok(())
}
