//! The oracle: the meaning of a set of events, written down as plainly as possible and shared with nobody.
//!
//! It reads inputs with `serde_json` (`naive_input.rs`), keeps every copy of every event in ordered maps and folds them at
//! the end. It is slow, holds everything in memory, and must never borrow a line from the library it is compared with.
//! Where chatwal and this file differ, one of the two has misread the design.
#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::{BTreeMap, BTreeSet};

#[path = "naive_input.rs"]
mod input;

#[allow(unused_imports, reason = "included by several tests, each of which uses a part of it")]
pub use input::{
    MAX_NAME, MAX_OBJECT, NaiveEnd, NaiveEvent, NaiveForm, NaiveReading, NaiveReject, event, form_of, read,
};

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
    rejects: Vec<NaiveReject>,
    left: u64,
    nuls: u64,
    endless: bool,
}

impl Naive {
    /// Nothing fed yet.
    pub fn new() -> Naive {
        Naive::default()
    }

    /// Feeds one whole file, plain or packed: lines or a document, as its head says. It may still grow.
    ///
    /// The keys are those of the input, so the NDJSON of `dump --events` can be fed as well.
    pub fn feed_input(&mut self, bytes: &[u8]) {
        self.feed(read(bytes, None, NaiveEnd::MayGrow));
    }

    /// Feeds what came through a pipe, which has ended for good.
    pub fn feed_pipe(&mut self, bytes: &[u8]) {
        self.feed(read(bytes, None, NaiveEnd::Final));
    }

    /// Feeds a file of lines, whatever its head looks like.
    pub fn feed_lines(&mut self, bytes: &[u8]) {
        self.feed(read(bytes, Some(NaiveForm::Lines), NaiveEnd::MayGrow));
    }

    /// Feeds a file that is a document, whatever its head looks like.
    pub fn feed_document(&mut self, bytes: &[u8]) {
        self.feed(read(bytes, Some(NaiveForm::Document), NaiveEnd::MayGrow));
    }

    /// Feeds what an input says.
    pub fn feed(&mut self, reading: NaiveReading) {
        for event in &reading.events {
            self.feed_event(&event.site, &event.id, &event.from, event.timestamp, event.kind);
        }
        self.rejects.extend(&reading.rejects);
        self.left += reading.left;
        self.nuls += reading.nuls;
        self.endless |= reading.endless;
    }

    /// Feeds one copy of an event that is known to be right.
    #[allow(clippy::too_many_arguments, reason = "the members of a line")]
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

    /// The moments of a site's messages, and whether an operator was online at each.
    pub fn messages(&self, site: &str) -> Vec<(i64, bool)> {
        let (mut online, mut messages) = (BTreeSet::new(), Vec::new());
        for event in self.events_of(site) {
            if event.is_message {
                messages.push((event.timestamp, !online.is_empty()));
            } else if event.online {
                online.insert(&event.from);
            } else {
                online.remove(&event.from);
            }
        }
        messages
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

    /// How many rejects there are.
    pub fn rejects(&self) -> usize {
        self.rejects.len()
    }

    /// The rejects, input by input; their places are those in their own input.
    pub fn reject_list(&self) -> &[NaiveReject] {
        &self.rejects
    }

    /// Bytes at the ends of files that are left for the next run.
    pub fn left(&self) -> u64 {
        self.left
    }

    /// NUL bytes that were skipped.
    pub fn nuls(&self) -> u64 {
        self.nuls
    }

    /// Whether everything was taken; the exit status is 3 otherwise.
    pub fn is_complete(&self) -> bool {
        self.rejects.is_empty() && self.left == 0 && !self.endless
    }

    /// How many events were accepted, copies included.
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
