//! How serde_json reads an object: a visitor for the object and one for its `data`, which note the reason while they read.
//!
//! What a whole event must have is for [`super::parse`] to say.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::Reason;
use crate::event::{Kind, is_name};

/// The value of `type`, which decides what `data` must hold.
#[derive(Clone, Copy)]
pub(super) enum Subject {
    Message,
    Status,
}

impl Subject {
    fn new(text: &str) -> Option<Subject> {
        match text {
            "message" => Some(Subject::Message),
            "status" => Some(Subject::Status),
            _ => None,
        }
    }

    /// The required key of `data`. Its other keys are unknown ones, the other subject's key included.
    fn key(self) -> &'static str {
        match self {
            Subject::Message => "message",
            Subject::Status => "status",
        }
    }

    fn kind(self, value: &str) -> Option<Kind> {
        match (self, value) {
            (Subject::Message, _) => Some(Kind::Message),
            (Subject::Status, "online") => Some(Kind::Online),
            (Subject::Status, "offline") => Some(Kind::Offline),
            (Subject::Status, _) => None,
        }
    }

    fn missing(self) -> Reason {
        match self {
            Subject::Message => Reason::MissingMessage,
            Subject::Status => Reason::MissingStatus,
        }
    }

    fn wrong(self) -> Reason {
        match self {
            Subject::Message => Reason::WrongMessage,
            Subject::Status => Reason::WrongStatus,
        }
    }
}

/// What an object has of the required keys.
#[derive(Default)]
pub(super) struct Fields<'de> {
    pub(super) id: Option<Cow<'de, str>>,
    pub(super) from: Option<Cow<'de, str>>,
    pub(super) site_id: Option<Cow<'de, str>>,
    pub(super) timestamp: Option<i64>,
    pub(super) subject: Option<Subject>,
    pub(super) data: Option<Data>,
}

/// The object under `data`.
pub(super) enum Data {
    /// Valid JSON, but what it must hold was not known.
    Skipped,
    Read(Kind),
}

/// Reads the object that `text` begins with; gives its bytes too. With `subject` known, `data` is read wherever it stands;
/// `at_end` is the reason where the text ends in the middle.
pub(super) fn read(text: &str, subject: Option<Subject>, at_end: Reason) -> Result<(Fields<'_>, usize), Reason> {
    let blame = Blame(Cell::new(Reason::NotAnObject));
    let mut json = serde_json::Deserializer::from_str(text);
    let fields = json.deserialize_map(ObjectVisitor { text, subject, blame: &blame });
    let fields = fields.map_err(|error| match (error.classify(), blame.0.get()) {
        (Category::Eof, _) => at_end,
        (Category::Syntax, Reason::NotAnObject) => Reason::NotJson,
        (_, reason) => reason,
    })?;
    // Where the next thing stands, if there is one, only its error tells.
    let behind = json.end().err().map_or(text.len(), |error| place(text, &error));
    let object = text[..behind].trim_end_matches([' ', '\t', '\r', '\n']);
    Ok((fields, object.len()))
}

/// The byte that an error of serde_json for a character that comes next is about.
fn place(text: &str, error: &serde_json::Error) -> usize {
    let mut start = 0;
    for _ in 1..error.line() {
        let Some(end) = memchr::memchr(b'\n', &text.as_bytes()[start..]) else { break };
        start += end + 1;
    }
    (start + error.column()).saturating_sub(1).min(text.len())
}

/// What is to blame if reading stops here. serde's errors have no room for a [`Reason`].
struct Blame(Cell<Reason>);

impl Blame {
    /// Reads one value of which `reason` tells the faults.
    fn during<T, E>(&self, reason: Reason, read: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.0.set(reason);
        let value = read()?;
        self.0.set(Reason::NotJson);
        Ok(value)
    }

    fn fail<T, E: Error>(&self, reason: Reason) -> Result<T, E> {
        self.0.set(reason);
        Err(E::custom(reason))
    }

    /// Reads the value of a required key into its `field`.
    fn once<T, E: Error>(
        &self,
        field: &mut Option<T>,
        wrong: Reason,
        read: impl FnOnce() -> Result<T, E>,
    ) -> Result<(), E> {
        if field.is_some() {
            return self.fail(Reason::DuplicateKey);
        }
        *field = Some(self.during(wrong, read)?);
        Ok(())
    }
}

/// The whole object.
struct ObjectVisitor<'b> {
    text: &'b str,
    subject: Option<Subject>,
    blame: &'b Blame,
}

enum Key {
    Id,
    From,
    SiteId,
    Timestamp,
    Type,
    Data,
    Unknown,
}

impl Key {
    fn new(key: &RawValue) -> Key {
        match unescaped(key).as_ref() {
            "id" => Key::Id,
            "from" => Key::From,
            "site_id" => Key::SiteId,
            "timestamp" => Key::Timestamp,
            "type" => Key::Type,
            "data" => Key::Data,
            _ => Key::Unknown,
        }
    }
}

/// The text of a key. A key with half a surrogate pair has no text, and none of the known keys has one: it stays as it is.
fn unescaped(key: &RawValue) -> Cow<'_, str> {
    let quoted = key.get();
    let text = quoted.get(1..quoted.len() - 1).unwrap_or_default();
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    serde_json::from_str(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = Fields<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let blame = self.blame;
        blame.0.set(Reason::NotJson);
        let mut fields = Fields::default();
        while let Some(key) = map.next_key::<&RawValue>()? {
            match Key::new(key) {
                Key::Id => blame.once(&mut fields.id, Reason::WrongId, || map.next_value_seed(text(name))),
                Key::From => blame.once(&mut fields.from, Reason::WrongFrom, || map.next_value_seed(text(name))),
                Key::SiteId => blame.once(&mut fields.site_id, Reason::WrongSiteId, || map.next_value_seed(text(name))),
                Key::Timestamp => blame.once(&mut fields.timestamp, Reason::WrongTimestamp, || map.next_value()),
                Key::Type => blame.once(&mut fields.subject, Reason::WrongType, || {
                    map.next_value_seed(text(|subject| Subject::new(&subject)))
                }),
                Key::Data => {
                    let subject = self.subject.or(fields.subject);
                    blame.once(&mut fields.data, Reason::WrongData, || match subject {
                        Some(subject) => {
                            let data = DataVisitor { text: self.text, subject, blame };
                            map.next_value_seed(data).map(Data::Read)
                        }
                        None => map.next_value().map(|IgnoredAny| Data::Skipped),
                    })
                }
                Key::Unknown => map.next_value().map(|IgnoredAny| ()),
            }?;
        }
        Ok(fields)
    }
}

/// The object under `data`, of which one key is required.
struct DataVisitor<'b> {
    text: &'b str,
    subject: Subject,
    blame: &'b Blame,
}

impl<'de> DeserializeSeed<'de> for DataVisitor<'_> {
    type Value = Kind;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Kind, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for DataVisitor<'_> {
    type Value = Kind;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
        let DataVisitor { subject, blame, .. } = self;
        blame.0.set(Reason::NotJson);
        let mut kind = None;
        while let Some(key) = map.next_key::<&RawValue>()? {
            if unescaped(key) != subject.key() {
                let IgnoredAny = map.next_value()?;
                continue;
            }
            let value = first_of_value(self.text, key);
            blame.once(&mut kind, subject.wrong(), || match subject {
                // Not kept, so it need not be Unicode; what it holds was checked as it was passed over.
                Subject::Message if value == Some('"') => map.next_value().map(|IgnoredAny| Kind::Message),
                _ => map.next_value_seed(text(|value| subject.kind(&value))),
            })?;
        }
        match kind {
            Some(kind) => Ok(kind),
            None => blame.fail(subject.missing()),
        }
    }
}

/// The first character of the value of `key`, which was read from `text`.
fn first_of_value(text: &str, key: &RawValue) -> Option<char> {
    let key = key.get();
    let end = (key.as_ptr().addr() - text.as_ptr().addr()) + key.len();
    let space = [' ', '\t', '\r', '\n'];
    let value = text.get(end..)?.trim_start_matches(space).strip_prefix(':')?;
    value.trim_start_matches(space).chars().next()
}

fn name(text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    is_name(text.as_bytes()).then_some(text)
}

/// A string, made into something else by a function that may refuse it. Borrowed unless it has escapes.
struct Made<F>(F);

fn text<'de, T, F: FnOnce(Cow<'de, str>) -> Option<T>>(make: F) -> Made<F> {
    Made(make)
}

impl<'de, T, F: FnOnce(Cow<'de, str>) -> Option<T>> DeserializeSeed<'de> for Made<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<T, D::Error> {
        json.deserialize_str(self)
    }
}

impl<'de, T, F: FnOnce(Cow<'de, str>) -> Option<T>> Visitor<'de> for Made<F> {
    type Value = T;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<T, E> {
        (self.0)(Cow::Borrowed(text)).ok_or_else(|| E::custom("a value that is not allowed here"))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(Cow::Owned(text.to_owned())).ok_or_else(|| E::custom("a value that is not allowed here"))
    }
}
