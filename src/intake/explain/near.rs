//! What stands in the place of a required key that is missing: one of nearly the same name, or a wrapper around the events.

use super::fields::{Fault, Fields, Required};
use super::scan::{Kind, Scan, Token};
use super::string::{self, Unescaped};
use super::words::{self, key, list};

/// How many keys are looked at. An object of more is not a misspelt event.
const KEYS: usize = 64;

/// The longest key that is looked at, in characters.
const LONGEST: usize = 32;

/// Required keys that something under another key must have to be taken for an event.
const ENOUGH: usize = 3;

/// The keys of an object, and what stands under them.
#[derive(Default)]
pub(super) struct Seen {
    /// The object's own keys, but for the required ones.
    outer: Vec<Token>,
    /// Those of `data`.
    inner: Vec<Token>,
    /// The object's key that the walk is under.
    current: Option<Token>,
    /// The key under that.
    second: Option<Token>,
    /// Required keys that stand under it.
    events: usize,
    wrapper: Option<Wrapper>,
}

/// What a wrapper is around.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    Event,
    Array,
}

/// Where the events are instead.
#[derive(Clone, Copy)]
struct Wrapper {
    /// The object's key.
    key: Token,
    /// The key under it, if they stand under that one.
    second: Option<Token>,
    around: Around,
}

impl Seen {
    /// Looks at a token that stands so deep.
    pub fn see(&mut self, scan: &Scan<'_>, depth: usize, before: Option<Token>, token: Token) {
        let content = || scan.content(token);
        match (depth, token.kind) {
            (1, Kind::Key) => {
                (self.current, self.second, self.events) = (Some(token), None, 0);
                if self.outer.len() < KEYS && Required::outer(content()).is_none() {
                    self.outer.push(token);
                }
            }
            (2, Kind::Key) => {
                self.second = Some(token);
                self.events += usize::from(Required::outer(content()).is_some());
                if self.events == ENOUGH {
                    self.wrap(None, Around::Event);
                }
                if self.inner.len() < KEYS && self.current.is_some_and(|key| string::is(scan.content(key), "data")) {
                    self.inner.push(token);
                }
            }
            // The first thing in an array, under a key or two.
            (2 | 3, Kind::Open)
                if before.is_some_and(|before| before.kind == Kind::Open)
                    && (depth == 3) == self.second.is_some()
                    && scan.slice(token.start, token.end) == "{" =>
            {
                self.wrap(self.second, Around::Array);
            }
            _ => {}
        }
    }

    fn wrap(&mut self, second: Option<Token>, around: Around) {
        if let (None, Some(key)) = (self.wrapper, self.current) {
            self.wrapper = Some(Wrapper { key, second, around });
        }
    }
}

/// What is said of a wrapper around events, and where its key stands.
pub(super) fn wrapper(fields: &Fields<'_>) -> Option<(usize, String)> {
    let Wrapper { key, second, around } = fields.all.wrapper.filter(|_| fields.present() < ENOUGH)?;
    let mut path = step(fields.scan.content(key))?;
    if let Some(second) = second {
        path.push_str(&step(fields.scan.content(second))?);
    }
    let each = if around == Around::Array { "[]" } else { "" };
    let name = words::key(&fields.scan, key);
    Some((key.start, format!("events stand under {name}: jq -c '{path}{each}' takes them out")))
}

/// A step of a path of jq, inside single quotes of a shell.
fn step(key: &str) -> Option<String> {
    let plain = |char: char| char.is_ascii_alphanumeric() || char == '_';
    let harmless = |char: char| char == ' ' || char.is_ascii_graphic() && !"'\\".contains(char);
    if key.len() > LONGEST || !key.chars().all(harmless) {
        return None;
    }
    Some(match key.chars().next().is_some_and(|first| !first.is_ascii_digit()) && key.chars().all(plain) {
        true => format!(".{key}"),
        false => format!(".[\"{key}\"]"),
    })
}

/// The fault of an object in which required keys are missing, if some are.
pub(super) fn missing(fields: &Fields<'_>) -> Option<Fault> {
    let first = fields.absent().next()?;
    let absent: Vec<Required> = fields.absent().collect();
    Some(sentence(fields, first, &absent))
}

/// The same where all that is known is that this one is missing: of the object only the first bytes were kept.
pub(super) fn missing_of_cut(fields: &Fields<'_>, reason: crate::intake::parse::Reason) -> Option<Fault> {
    let key = fields.absent().find(|key| key.missing() == reason)?;
    Some(sentence(fields, key, &[key]))
}

fn sentence(fields: &Fields<'_>, first: Required, absent: &[Required]) -> Fault {
    let scan = &fields.scan;
    let names: Vec<String> = absent.iter().map(|key| format!("\"{}\"", key.name())).collect();
    let verb = if names.len() == 1 { "is" } else { "are" };
    let what = format!("{} {verb} missing", list(&names));
    let fault = |at: usize, text: String| Fault { reason: first.missing(), at, text };
    if let Some((at, where_they_are)) = wrapper(fields) {
        return fault(at, format!("not an event itself; {where_they_are}"));
    }
    let found = absent.iter().filter_map(|missing| Some((*missing, nearest(scan, &fields.all.outer, *missing)?)));
    let found: Vec<(Required, Token)> = found.collect();
    if let Some((_, token)) = found.first() {
        let rename =
            |(missing, token): &(Required, Token)| format!("rename {} to \"{}\"", key(scan, *token), missing.name());
        let renames: Vec<String> = found.iter().map(rename).collect();
        return fault(token.start, format!("{what}; {}", list(&renames)));
    }
    if absent.contains(&Required::Data) {
        let of_data = |token: &&Token| Required::INNER.iter().any(|key| scan.content(**token) == key.key());
        if let Some(token) = fields.all.outer.iter().find(of_data) {
            return fault(token.start, format!("{what}; {} has to stand in \"data\"", key(scan, *token)));
        }
    }
    let empty = fields.all.current.is_none() && absent.len() == Required::OUTER.len();
    fault(fields.start, if empty { format!("{what}: the object is empty") } else { what })
}

/// The fault of a `data` that begins here and in which this key is missing.
pub(super) fn missing_inner(fields: &Fields<'_>, missing: Required, start: usize) -> Fault {
    let scan = &fields.scan;
    let what = format!("\"{}\" is missing, and \"type\" is \"{}\"", missing.name(), missing.key());
    let fault = |at: usize, text: String| Fault { reason: missing.missing(), at, text };
    let other =
        |token: &&Token| Required::INNER.iter().any(|key| *key != missing && scan.content(**token) == key.key());
    match nearest(scan, &fields.all.inner, missing) {
        Some(token) => fault(token.start, format!("{what}; rename {} to \"{}\"", key(scan, token), missing.key())),
        None => match fields.all.inner.iter().find(other) {
            Some(token) => fault(token.start, format!("{what}; \"data\" has {} instead", key(scan, *token))),
            None => fault(start, what),
        },
    }
}

/// What people call a required key, letters and digits only.
fn others(key: Required) -> &'static [&'static str] {
    match key {
        Required::Id => &["uuid", "guid", "eventid", "messageid", "msgid", "uid"],
        Required::From => {
            &["user", "userid", "username", "sender", "author", "actor", "fromuser", "fromid", "visitor", "operator"]
        }
        Required::SiteId => &["site", "sites", "siteidentifier", "tenant", "tenantid", "sid"],
        Required::Timestamp => &["ts", "time", "date", "datetime", "at", "createdat", "eventtime", "epoch", "unixtime"],
        Required::Type => &["eventtype", "kind", "event", "eventname", "action", "typ"],
        Required::Data => &["payload", "body", "content"],
        Required::Message => &["msg", "text", "body", "content"],
        Required::Status => &["state", "presence"],
    }
}

/// The key of a list that nearly is the missing one: but for case and signs; but for a letter; by another word.
fn nearest(scan: &Scan<'_>, keys: &[Token], missing: Required) -> Option<Token> {
    let target = Letters::of(missing.key());
    let near = |token: &Token| {
        let letters = Letters::of(scan.content(*token));
        let letters = letters.text()?;
        let target = target.text()?;
        let is_another = |key: &Required| *key != missing && others(*key).contains(&letters);
        if letters == target {
            Some(0)
        } else if target.len() >= 4 && one_edit(letters, target) && !Required::OUTER.iter().any(is_another) {
            Some(1)
        } else {
            others(missing).iter().position(|other| *other == letters).map(|place| 2 + place)
        }
    };
    keys.iter().filter_map(|token| Some((near(token)?, *token))).min_by_key(|(rank, _)| *rank).map(|(_, token)| token)
}

/// The letters and digits of a key, in lower case.
struct Letters {
    bytes: [u8; LONGEST],
    length: usize,
}

impl Letters {
    fn of(content: &str) -> Letters {
        let mut letters = Letters { bytes: [0; LONGEST], length: 0 };
        let chars = Unescaped::new(content).take(2 * LONGEST).filter_map(|(_, char)| char.ok());
        for char in chars.filter(char::is_ascii_alphanumeric) {
            if let Some(byte) = letters.bytes.get_mut(letters.length) {
                *byte = char.to_ascii_lowercase() as u8;
            }
            letters.length += 1;
        }
        letters
    }

    /// `None` if there are none, or too many.
    fn text(&self) -> Option<&str> {
        str::from_utf8(self.bytes.get(..self.length)?).ok().filter(|text| !text.is_empty())
    }
}

/// Whether two texts differ in one letter: one more, one less, another one, or two that changed places.
fn one_edit(a: &str, b: &str) -> bool {
    let (a, b) = if a.len() < b.len() { (a.as_bytes(), b.as_bytes()) } else { (b.as_bytes(), a.as_bytes()) };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    match (a.get(same..).unwrap_or_default(), b.get(same..).unwrap_or_default()) {
        ([], []) => false,
        ([x, y, rest @ ..], [z, w, other @ ..]) if x == w && y == z && rest == other => true,
        ([_, rest @ ..], [_, other @ ..]) if rest == other => true,
        (rest, [_, other @ ..]) => rest == other,
        (_, []) => false,
    }
}
