//! What is known of each site. It is found piece by piece, brought into the order of the report, and the pieces of a site are added
//! up. An index is written from the lines, and so is a report.

use std::sync::{Mutex, PoisonError};

use crate::disk::scratch::sorter::{Collector, Merge, Sorted, Sorter};
use crate::disk::scratch::{Limits, Scratch};
use crate::error::Result;
use crate::event::Site;
use crate::event::summary::{Summary, Window};
use crate::event::table::Row;
use crate::format::coding::{Decoded, Reader, put_varint, unzigzag, zigzag};
use crate::format::index::SiteEntry;

/// A piece of what is known of a site, or all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Counts that add up to those of the site; the place of its events, where this piece has it.
    pub entry: SiteEntry,
    /// Whether its events were read. Otherwise it is what an index says.
    pub folded: bool,
    /// The number of stretches of a snapshot that hold its events, where somebody counts them.
    pub stretches: u64,
}

impl Line {
    /// A piece that says nothing.
    pub const EMPTY: Line = {
        let summary = Summary { messages: 0, emails: 0, operators: 0, visitors: 0 };
        let (earliest, latest) = (i64::MAX, i64::MIN);
        Line {
            entry: SiteEntry { summary, events: 0, disputed: 0, earliest, latest, at: 0, length: 0 },
            folded: true,
            stretches: 0,
        }
    };

    /// A piece that says only this.
    pub fn of(summary: Summary) -> Line {
        Line { entry: SiteEntry { summary, ..Line::EMPTY.entry }, ..Line::EMPTY }
    }

    /// What some of its rows say, without their summary. The rows are in order, each once. Only events of the window count.
    pub fn of_rows(rows: &[Row], window: Window) -> Line {
        let mut line = Line::EMPTY;
        let entry = &mut line.entry;
        entry.events = rows.iter().filter(|row| window.contains(row.timestamp)).count() as u64;
        entry.disputed = rows.iter().filter(|row| row.disputed).count() as u64;
        if let (Some(first), Some(last)) = (rows.first(), rows.last()) {
            (entry.earliest, entry.latest) = (first.timestamp, last.timestamp);
        }
        line
    }

    /// Adds what another piece says of the site.
    pub fn add(&mut self, other: &Line) {
        let (own, Line { entry: other, folded, stretches }) = (&mut self.entry, other);
        own.summary.messages += other.summary.messages;
        own.summary.emails += other.summary.emails;
        own.summary.operators += other.summary.operators;
        own.summary.visitors += other.summary.visitors;
        own.events += other.events;
        own.disputed += other.disputed;
        own.earliest = own.earliest.min(other.earliest);
        own.latest = own.latest.max(other.latest);
        if other.length > 0 {
            (own.at, own.length) = (other.at, other.length);
        }
        self.folded |= folded;
        self.stretches += stretches;
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let SiteEntry { summary, events, disputed, earliest, latest, at, length } = self.entry;
        let Summary { messages, emails, operators, visitors } = summary;
        for number in
            [u64::from(self.folded) + 2 * self.stretches, messages, emails, operators, visitors, events, disputed]
        {
            put_varint(out, number);
        }
        for number in [zigzag(earliest), latest.wrapping_sub(earliest).cast_unsigned(), at, length] {
            put_varint(out, number);
        }
    }

    /// The line at the start of some bytes, and what is behind it.
    pub fn decode(bytes: &[u8]) -> Decoded<(Line, &[u8])> {
        let mut reader = Reader::new(bytes);
        let mut next = || reader.varint("a number");
        let flags = next()?;
        let summary = Summary { messages: next()?, emails: next()?, operators: next()?, visitors: next()? };
        let (events, disputed, earliest) = (next()?, next()?, unzigzag(next()?));
        let latest = earliest.wrapping_add_unsigned(next()?);
        let entry = SiteEntry { summary, events, disputed, earliest, latest, at: next()?, length: next()? };
        let left = reader.left();
        Ok((
            Line { entry, folded: flags & 1 > 0, stretches: flags / 2 },
            bytes.get(bytes.len() - left..).unwrap_or_default(),
        ))
    }
}

/// The most runs that are merged at a time.
const RUNS: usize = 64;

/// Where the pieces come together.
pub struct Lines {
    sorter: Sorter,
    /// Bytes that the work may take. The lines take a part of them.
    memory: usize,
    /// All pieces, added up.
    total: Mutex<Line>,
}

impl Lines {
    /// None yet.
    pub fn new(limits: &Limits) -> Lines {
        let memory = limits.bytes();
        let sorter = Sorter::new(&limits.scratch, memory / 16 / limits.threads.max(1), memory / 4);
        Lines { sorter, memory, total: Mutex::new(Line::EMPTY) }
    }

    /// A finder of pieces, for one of so many threads. Together they hold an eighth of the memory.
    pub fn finder(&self, threads: usize) -> Finder<'_> {
        let most = self.memory / 8 / threads.max(1);
        Finder { lines: self, collector: self.sorter.collector(most), payload: Vec::new(), total: Line::EMPTY }
    }

    /// The lines, once every finder has ended.
    pub fn sorted(self) -> Result<SortedLines> {
        Ok(SortedLines(self.sorter.sorted(RUNS)?))
    }

    /// The pieces of all finders that have ended, added up.
    pub fn total(&self) -> SiteEntry {
        self.total.lock().unwrap_or_else(PoisonError::into_inner).entry
    }
}

/// Finds pieces for one thread.
pub struct Finder<'c> {
    lines: &'c Lines,
    collector: Collector<'c>,
    payload: Vec<u8>,
    total: Line,
}

impl Finder<'_> {
    /// Takes a piece of what is known of a site.
    pub fn put(&mut self, site: Site<'_>, line: &Line) -> Result<()> {
        self.total.add(line);
        self.payload.clear();
        line.encode(&mut self.payload);
        self.collector.put(site.name(&mut [0; 20]), &self.payload)
    }

    /// Ends.
    pub fn end(self) -> Result<()> {
        self.lines.total.lock().unwrap_or_else(PoisonError::into_inner).add(&self.total);
        self.collector.end()
    }
}

/// The lines in the order of the report.
pub struct SortedLines(Sorted);

impl SortedLines {
    /// Names that cut the lines into up to so many stretches of about one size.
    pub fn splitters(&self, count: usize) -> Vec<Vec<u8>> {
        self.0.splitters(count)
    }

    /// Bytes of them, and how many runs a stretch reads from temporary files.
    pub fn size(&self) -> (u64, usize) {
        self.0.size()
    }

    /// The lines of names from `least` on and before `end`.
    pub fn stretch(&self, least: Option<&[u8]>, end: Option<&[u8]>) -> Result<LineStretch<'_>> {
        let (merge, scratch) = (self.0.merge(least, end)?, self.0.scratch());
        Ok(LineStretch { merge, scratch, name: Vec::new(), ahead: None, name_ahead: Vec::new() })
    }
}

/// Some of the lines, one after the other.
pub struct LineStretch<'r> {
    merge: Merge<'r>,
    scratch: &'r Scratch,
    name: Vec<u8>,
    /// The first piece of the next site, and its name.
    ahead: Option<Line>,
    name_ahead: Vec<u8>,
}

impl LineStretch<'_> {
    /// The next site, and all that is known of it.
    #[allow(clippy::should_implement_trait)] // It lends what it gives, and may fail.
    pub fn next(&mut self) -> Result<Option<(&[u8], Line)>> {
        let scratch = self.scratch;
        let decode = |payload: &[u8]| Line::decode(payload).map(|(line, _)| line).map_err(|_| scratch.changed());
        let mut line = match self.ahead.take() {
            Some(line) => {
                std::mem::swap(&mut self.name, &mut self.name_ahead);
                line
            }
            None => {
                let Some((name, payload)) = self.merge.next()? else { return Ok(None) };
                self.name.clear();
                self.name.extend_from_slice(name);
                decode(payload)?
            }
        };
        while let Some((name, payload)) = self.merge.next()? {
            let other = decode(payload)?;
            if *name != *self.name {
                self.name_ahead.clear();
                self.name_ahead.extend_from_slice(name);
                self.ahead = Some(other);
                break;
            }
            line.add(&other);
        }
        Ok(Some((&self.name, line)))
    }
}
