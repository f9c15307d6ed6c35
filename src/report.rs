//! The summary of every site, shard by shard, straight from the log.
//!
//! A task is a run of neighbouring shards: every frame gives it one contiguous piece, so the log is read once, in
//! pieces, by as many threads as there are, and no task holds more than its share of the memory. Which threads there are,
//! how large the tasks are and how the log is cut changes nothing in the answer: each shard is ordered and folded alone.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::atomic::{self, AtomicUsize};

use crate::error::Result;
use crate::event::{Site, decimal};
use crate::format::SHARDS;
use crate::format::batch::EventsDecoder;
use crate::format::coding::{shard, site_hash};
use crate::format::frame::SectionKind;
use crate::merge::Merge;
use crate::segment::{Section, next_section};
use crate::store::{Place, View, misencoded};
use crate::summary::{Fold, Summary};
use crate::table::{Row, Table};

/// Memory that a report may use for events, unless told otherwise.
pub const MEMORY: u64 = 64 << 20;

/// Memory that an event takes while its shard is folded, and a margin for the texts.
const BYTES_AN_EVENT: u64 = 64;

/// How to make a report.
pub struct ReportOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory for events, all threads together. A single site is held whole, whatever it takes.
    pub memory: u64,
    /// Only these sites.
    pub sites: Option<HashSet<Vec<u8>>>,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions { threads: 1, memory: MEMORY, sites: None }
    }
}

/// The name of a site; a number takes no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Name {
    Number(u64),
    Text(Box<[u8]>),
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSummary {
    name: Name,
    /// The counts.
    pub summary: Summary,
}

impl SiteSummary {
    /// The order of the report: by the bytes of the names.
    fn compare(a: &SiteSummary, b: &SiteSummary) -> Ordering {
        match (&a.name, &b.name) {
            // Filled up with zeros, numbers compare as their digits do; of `1` and `10` the shorter is the lower.
            (Name::Number(a), Name::Number(b)) => filled_up(*a).cmp(&filled_up(*b)).then(a.cmp(b)),
            _ => a.site(&mut [0; 20]).cmp(b.site(&mut [0; 20])),
        }
    }

    /// The name of the site; `buffer` serves numbers.
    pub fn site<'b>(&'b self, buffer: &'b mut [u8; 20]) -> &'b [u8] {
        match &self.name {
            Name::Number(number) => decimal(*number, buffer),
            Name::Text(name) => name,
        }
    }
}

/// A number below 10^18 with its digits moved to the left end of eighteen.
fn filled_up(number: u64) -> u64 {
    number * 10u64.pow(17 - number.checked_ilog10().unwrap_or(0).min(17))
}

/// What was found besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Events, each once.
    pub events: u64,
    /// Copies of them.
    pub copies: u64,
    /// Events of which copies disagree.
    pub disputed: u64,
    /// The earliest timestamp; more than `latest` if there is no event.
    pub earliest: i64,
    /// The latest timestamp.
    pub latest: i64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { events: 0, copies: 0, disputed: 0, earliest: i64::MAX, latest: i64::MIN }
    }
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.events += other.events;
        self.copies += other.copies;
        self.disputed += other.disputed;
        self.earliest = self.earliest.min(other.earliest);
        self.latest = self.latest.max(other.latest);
    }
}

/// Every site that has an event, ascending by the bytes of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The lines.
    pub sites: Vec<SiteSummary>,
    /// What was found besides.
    pub totals: Totals,
}

/// A run of shards, and of the hash's further bits those that one pass takes.
struct Task {
    shards: std::ops::RangeInclusive<u8>,
    pass: u64,
    passes: u64,
}

impl Task {
    /// Whether the pass takes the site: by the bits of the hash behind those of the shard.
    fn takes(&self, site: Site<'_>) -> bool {
        self.passes == 1 || (site_hash(site) >> 40) & (self.passes - 1) == self.pass
    }
}

impl Report {
    /// Reads the whole log of a view and folds it.
    pub fn of(view: &View, options: &ReportOptions) -> Result<Report> {
        let wanted: Option<HashSet<Site<'_>>> =
            options.sites.as_ref().map(|names| names.iter().map(|name| Site::new(name)).collect());
        let threads = options.threads.max(1);
        let tasks = tasks(view, options.memory / threads as u64, wanted.as_ref());
        let next = AtomicUsize::new(0);
        let work = || -> Result<Report> {
            let mut worker = Worker::default();
            while let Some(task) = tasks.get(next.fetch_add(1, atomic::Ordering::Relaxed)) {
                worker.fold(view, task, wanted.as_ref())?;
            }
            Ok(worker.report)
        };
        let parts = std::thread::scope(|scope| {
            let others: Vec<_> = (1..threads.min(tasks.len())).map(|_| scope.spawn(work)).collect();
            let mut parts = vec![work()];
            // A worker only returns errors; a panic in it is a bug and goes on here.
            parts.extend(
                others.into_iter().map(|other| other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))),
            );
            parts
        });
        let mut report = Report::default();
        for part in parts {
            let part = part?;
            report.totals.add(&part.totals);
            report.sites.extend(part.sites);
        }
        report.sites.sort_unstable_by(SiteSummary::compare);
        Ok(report)
    }
}

/// Cuts the shards into tasks that fit `memory` each, at least a few a thread.
fn tasks(view: &View, memory: u64, wanted: Option<&HashSet<Site<'_>>>) -> Vec<Task> {
    let mut counts = [0u64; SHARDS];
    for section in view.frames.iter().flat_map(|place| &place.frame.sections) {
        if section.entry.kind == SectionKind::Events {
            counts[usize::from(section.entry.shard)] += u64::from(section.entry.count);
        }
    }
    if let Some(wanted) = wanted {
        let shards: HashSet<u8> = wanted.iter().map(|site| shard(site_hash(*site))).collect();
        for (number, count) in (0u8..=255).zip(&mut counts) {
            *count *= u64::from(shards.contains(&number));
        }
    }
    // A task that is much larger than the caches gains nothing, and small tasks end together.
    let most = (memory / BYTES_AN_EVENT).clamp(1, 1 << 18);
    let mut tasks: Vec<Task> = Vec::new();
    let mut events = u64::MAX;
    for (number, count) in (0u8..=255).zip(counts) {
        if count == 0 {
            continue;
        }
        match tasks.last_mut() {
            Some(last) if events.saturating_add(count) <= most && last.shards.end() + 1 == number => {
                last.shards = *last.shards.start()..=number;
                events += count;
            }
            _ => {
                let passes = count.div_ceil(most.max(memory / BYTES_AN_EVENT)).next_power_of_two().min(1 << 16);
                tasks.extend((0..passes).map(|pass| Task { shards: number..=number, pass, passes }));
                events = if passes == 1 { count } else { u64::MAX };
            }
        }
    }
    tasks
}

/// One thread's buffers and what it found.
#[derive(Default)]
struct Worker {
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    tables: Vec<Table>,
    merge: Merge,
    fold: Fold,
    report: Report,
}

impl Worker {
    fn fold(&mut self, view: &View, task: &Task, wanted: Option<&HashSet<Site<'_>>>) -> Result<()> {
        let (first, last) = (*task.shards.start(), *task.shards.end());
        self.tables.resize_with(self.tables.len().max(usize::from(last - first) + 1), Table::default);
        self.tables.iter_mut().for_each(Table::clear);
        for place in &view.frames {
            let segment = &view.segments[place.segment];
            let sections = place.events(&task.shards);
            let mut run = segment.read_sections(sections, &mut self.buffer)?;
            for section in sections {
                let bytes = next_section(&mut run, section);
                segment.check(section, bytes)?;
                let (shard, count) = (section.entry.shard, section.entry.count);
                let table = &mut self.tables[usize::from(shard - first)];
                let takes = |site: Site<'_>| task.takes(site) && wanted.is_none_or(|wanted| wanted.contains(&site));
                let decoded = self.decoder.decode(bytes, count, shard, table, takes);
                decoded.map_err(|malformed| misencoded(segment, section.at, malformed))?;
            }
        }
        for table in self.tables.iter_mut().filter(|table| !table.rows.is_empty()) {
            let merged = self.merge.unique(table);
            let mut totals = Totals { copies: merged.copies, disputed: merged.disputed, ..Totals::default() };
            for rows in table.rows.chunk_by(|a, b| a.site == b.site) {
                totals.add(&seen(rows));
                let summary = self.fold.site(rows, table.names());
                let name = match table.site_of(&rows[0]) {
                    Site::Number(number) => Name::Number(number),
                    Site::Text(name) => Name::Text(name.into()),
                };
                self.report.sites.push(SiteSummary { name, summary });
            }
            self.report.totals.add(&totals);
        }
        Ok(())
    }
}

/// The totals of one site's rows, which are in order.
fn seen(rows: &[Row]) -> Totals {
    let earliest = rows.first().map_or(i64::MAX, |row| row.timestamp);
    let latest = rows.last().map_or(i64::MIN, |row| row.timestamp);
    Totals { events: rows.len() as u64, earliest, latest, ..Totals::default() }
}

impl Place {
    /// The sections of events of these shards; neighbours in the file.
    fn events(&self, shards: &std::ops::RangeInclusive<u8>) -> &[Section] {
        let sections = &self.frame.sections;
        let place = |section: &Section| (section.entry.kind, section.entry.shard);
        let from = sections.partition_point(|section| place(section) < (SectionKind::Events, *shards.start()));
        let to = sections.partition_point(|section| place(section) <= (SectionKind::Events, *shards.end()));
        &sections[from..to]
    }
}
