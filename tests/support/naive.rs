//! The oracle: the meaning of a set of events, written down as plainly as possible and shared with nobody.
//!
//! It reads lines with `serde_json`, keeps every copy of every event in ordered maps and folds them at the end. It is
//! slow, holds everything in memory, and must never borrow a line from the library it is compared with. Where chatwal
//! and this file differ, one of the two has misread the design.
#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The longest line, in bytes before its `\n`.
const MAX_LINE: usize = 1_048_576;

/// The longest `id`, `from` and `site_id`, in bytes after unescaping.
const MAX_NAME: usize = 1_024;

/// The report of one whole input, in the `line` format.
pub fn report(input: &[u8]) -> Vec<u8> {
    let mut naive = Naive::new();
    naive.feed_input(input);
    naive.report()
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NaiveKind {
    /// An operator went offline.
    Offline,
    /// An operator came online.
    Online,
    /// A visitor wrote.
    Message,
}

/// One copy of an event. The derived order, field by field, is the order of the events of a site.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    timestamp: i64,
    is_message: bool,
    id: String,
    from: String,
    online: bool,
}

/// A stretch of time in which an operator was online at a site, or none was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NaivePeriod {
    /// Its first moment.
    pub from: i64,
    /// The first moment behind it, if there is one.
    pub until: Option<i64>,
    /// Whether an operator was online.
    pub online: bool,
    /// The most operators at once: at the end of a moment, and with those who came and went within one.
    pub operators: (u64, u64),
    /// Messages while one was.
    pub chats: u64,
    /// Messages while none was.
    pub emails: u64,
}

/// Everything fed so far: site, then id, then the different copies of that event.
#[derive(Clone, Debug, Default)]
pub struct Naive {
    sites: BTreeMap<String, BTreeMap<String, BTreeSet<Event>>>,
    events: u64,
    rejects: usize,
}

impl Naive {
    /// Nothing fed yet.
    pub fn new() -> Naive {
        Naive::default()
    }

    /// Feeds one whole input: lines of JSON, as `ingest` takes them.
    ///
    /// The keys are those of the input, so the NDJSON of `dump --events` can be fed as well.
    pub fn feed_input(&mut self, bytes: &[u8]) {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        for line in bytes.split_inclusive(|&byte| byte == b'\n') {
            let (text, terminated) = match line.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (line, false),
            };
            let short = text.len() <= MAX_LINE;
            if short && text.iter().all(|byte| b" \t\r".contains(byte)) {
                continue;
            }
            match parse(text).filter(|_| short) {
                Some(line) => self.feed_event(&line.site, &line.id, &line.from, line.timestamp, line.kind),
                None if terminated => self.rejects += 1,
                // Nobody knows yet how this line ends: it is not consumed, so it counts as nothing.
                None => {}
            }
        }
    }

    /// Feeds one copy of an event that is known to be right.
    pub fn feed_event(&mut self, site: &str, id: &str, from: &str, timestamp: i64, kind: NaiveKind) {
        self.events += 1;
        let copies = self.sites.entry(site.to_owned()).or_default().entry(id.to_owned()).or_default();
        copies.insert(Event {
            timestamp,
            is_message: kind == NaiveKind::Message,
            id: id.to_owned(),
            from: from.to_owned(),
            online: kind == NaiveKind::Online,
        });
    }

    /// The summary of every site, in the `line` format.
    pub fn report(&self) -> Vec<u8> {
        self.report_between(i64::MIN, i64::MAX)
    }

    /// The same, of the events from the moment `from` to the moment `to` alone; those before it say who was online then.
    pub fn report_between(&self, from: i64, to: i64) -> Vec<u8> {
        let mut output = String::new();
        for site in self.sites.keys() {
            let events = self.events_of(site);
            let mut online = BTreeSet::new();
            let mut operators = BTreeSet::new();
            let mut visitors = BTreeSet::new();
            let (mut chats, mut emails) = (0, 0);
            for event in events.iter().filter(|event| event.timestamp <= to) {
                let counts = event.timestamp >= from;
                if event.is_message && counts {
                    visitors.insert(&event.from);
                    if online.is_empty() {
                        emails += 1;
                    } else {
                        chats += 1;
                    }
                } else if !event.is_message {
                    if counts {
                        operators.insert(&event.from);
                    }
                    if event.online {
                        online.insert(&event.from);
                    } else {
                        online.remove(&event.from);
                    }
                }
            }
            if events.iter().any(|event| (from..=to).contains(&event.timestamp)) {
                output.push_str(&format!(
                    "{site},messages={chats},emails={emails},operators={},visitors={}\n",
                    operators.len(),
                    visitors.len()
                ));
            }
        }
        output.into_bytes()
    }

    /// The events of a site that count, in order. The first of the copies wins, however they arrived.
    fn events_of(&self, site: &str) -> Vec<&Event> {
        let ids = self.sites.get(site);
        let mut events: Vec<&Event> = ids.iter().flat_map(|ids| ids.values()).filter_map(BTreeSet::first).collect();
        events.sort();
        events
    }

    /// The names of the sites.
    pub fn sites(&self) -> impl Iterator<Item = &str> {
        self.sites.keys().map(String::as_str)
    }

    /// Every event that counts, site by site and in order, in words.
    pub fn unique_events(&self) -> Vec<String> {
        let events = self.sites.keys().flat_map(|site| self.events_of(site).into_iter().map(move |it| (site, it)));
        events.map(|(site, event)| format!("{site:?} {event:?}")).collect()
    }

    /// The earliest and the latest timestamp of the events that count.
    pub fn range(&self) -> Option<(i64, i64)> {
        let events: Vec<&Event> = self.sites.keys().flat_map(|site| self.events_of(site)).collect();
        let moments = || events.iter().map(|event| event.timestamp);
        Some((moments().min()?, moments().max()?))
    }

    /// When a site was online: moment by moment, what holds once all statuses of the moment are taken.
    pub fn timeline(&self, site: &str) -> Vec<NaivePeriod> {
        let mut periods: Vec<NaivePeriod> = Vec::new();
        let mut present = BTreeSet::new();
        for moment in self.events_of(site).chunk_by(|a, b| a.timestamp == b.timestamp) {
            let mut busiest = present.len();
            for status in moment.iter().filter(|event| !event.is_message) {
                match status.online {
                    true => present.insert(&status.from),
                    false => present.remove(&status.from),
                };
                busiest = busiest.max(present.len());
            }
            let (from, online) = (moment[0].timestamp, !present.is_empty());
            if periods.last().is_none_or(|last| last.online != online) {
                if let Some(last) = periods.last_mut() {
                    last.until = Some(from);
                }
                let operators = (0, 0);
                periods.push(NaivePeriod { from, until: None, online, operators, chats: 0, emails: 0 });
            }
            let Some(period) = periods.last_mut() else { continue };
            let messages = moment.iter().filter(|event| event.is_message).count() as u64;
            let (least, most) = &mut period.operators;
            *least = (*least).max(present.len() as u64);
            *most = (*most).max(busiest as u64);
            if online {
                period.chats += messages;
            } else {
                period.emails += messages;
            }
        }
        periods
    }

    /// How many lines were rejects.
    pub fn rejects(&self) -> usize {
        self.rejects
    }

    /// How many lines or events were accepted, copies included.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// How many identities (site, id) there are: the events without their copies.
    pub fn unique(&self) -> usize {
        self.sites.values().map(BTreeMap::len).sum()
    }

    /// How many identities have copies that disagree.
    pub fn disagreeing(&self) -> usize {
        self.sites.values().flat_map(BTreeMap::values).filter(|copies| copies.len() > 1).count()
    }
}

/// The parts of a line that mean something.
struct Line {
    site: String,
    id: String,
    from: String,
    timestamp: i64,
    kind: NaiveKind,
}

/// The event of a line, or nothing if the line is wrong in any way.
///
/// Reads the line twice: which member of `data` is required depends on `type`, which may come after it.
fn parse(line: &[u8]) -> Option<Line> {
    let text = std::str::from_utf8(line).ok()?;
    let TypeOf(kind) = serde_json::from_str(text).ok()?;
    if kind != "message" && kind != "status" {
        return None;
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let line = WholeLine { kind: &kind }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    (is_name(&line.site) && is_name(&line.id) && is_name(&line.from)).then_some(line)
}

fn is_name(text: &str) -> bool {
    let control = |c| matches!(c, '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}');
    !text.is_empty() && text.len() <= MAX_NAME && !text.contains(control)
}

/// A `type` somewhere in an object; that there is only one is [`WholeLine`]'s to check.
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

/// A whole line whose `type` is known.
struct WholeLine<'k> {
    kind: &'k str,
}

impl<'de> DeserializeSeed<'de> for WholeLine<'_> {
    type Value = Line;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Line, D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for WholeLine<'_> {
    type Value = Line;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Line, A::Error> {
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
        Ok(Line {
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"a","type":"message","from":"v","site_id":"1","timestamp":5,"data":{"message":"x"}}"#;

    fn counts(input: impl AsRef<[u8]>) -> (u64, usize) {
        let mut naive = Naive::new();
        naive.feed_input(input.as_ref());
        (naive.events(), naive.rejects())
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
    fn lines_blanks_and_ends() {
        assert_eq!(counts(format!("\u{feff}{GOOD}\r\n \t\r\n\n{GOOD}")), (2, 0));
        assert_eq!(counts(format!("{GOOD}\n{{\"id\":")), (1, 0));
        assert_eq!(counts(format!("{GOOD}\n{{\"id\":\n")), (1, 1));
        assert_eq!(counts(format!("{GOOD}\n\u{feff}{GOOD}\n\u{c}\n")), (1, 2));
        let room = " ".repeat(MAX_LINE - GOOD.len());
        assert_eq!(counts(format!("{GOOD}{room}\n{GOOD}{room} \n{GOOD}{room} ")), (1, 1));
    }

    #[test]
    fn what_is_ignored() {
        for (old, new) in [
            (r#""id""#, r#""id2":1e999,"id2":null,"\u0069d""#),
            (r#""id""#, r#""deep":[[[{"id":{}}]]],"id""#),
            (r#""id""#, r#""x":"\ud800","id""#),
            (r#""message":"x""#, r#""message":"","status":1,"status":2"#),
            (":5,", ":-9223372036854775808,"),
            (":", " :\t"),
        ] {
            assert_eq!(counts(GOOD.replacen(old, new, 1) + "\n"), (1, 0), "{new}");
        }
        let deep = format!("\"x\":{}{},\"id\"", "[".repeat(9999), "]".repeat(9999));
        assert_eq!(counts(GOOD.replacen("\"id\"", &deep, 1)), (1, 0));
    }

    #[test]
    fn what_is_wrong() {
        for (old, new) in [
            (r#""id":"a","#, ""),
            (r#""a""#, r#""""#),
            (r#""a""#, r#""\ud800""#),
            (r#""a""#, r#""\u0085""#),
            (r#""x""#, r#""\ud800""#),
            (r#""id""#, r#""id":"a","\u0069d""#),
            (r#""message":"x""#, r#""message":"x","message":"x""#),
            (r#""message":"x""#, r#""status":"online""#),
            (r#"{"message":"x"}"#, r#"["x"]"#),
            (":5,", ":-0,"),
            (":5,", ":5.0,"),
            (":5,", ":05,"),
            (":5,", ":9223372036854775808,"),
            ("}}", "}} x"),
            ("\"x\"", "\"\u{1}\""),
        ] {
            assert_eq!(counts(GOOD.replacen(old, new, 1) + "\n"), (0, 1), "{new}");
        }
        assert_eq!(counts(b"{\"x\":\"\xff\"}\n[]\nnull\n"), (0, 3));
        assert_eq!(counts(GOOD.replace("\"1\"", &format!("\"{}\"", "1".repeat(MAX_NAME)))), (1, 0));
        assert_eq!(counts(GOOD.replace("\"1\"", &format!("\"{}\"", "1".repeat(MAX_NAME + 1))) + "\n"), (0, 1));
    }
}
