//! The summary of every site: from the index of a snapshot if that is all there is of it, otherwise from its events.
//!
//! The index of a snapshot holds the finished summary of each site. So if all events of a site are in one snapshot, none of them are
//! read. The events of the other sites are gathered from wherever they are, merged and folded, shard by shard. So a report costs what
//! changed since the last compaction, and the number of sites.
//!
//! What the index says is dealt by shard, since only the events tell which sites they are of; unless there are no events, and one
//! snapshot says it all. Each site found is a line; lines are brought into order in the end. All of it is done within the memory that
//! was given: what does not fit is put aside, see [`scratch`](crate::disk::scratch).

mod index;
mod making;
mod worker;

use std::collections::HashSet;

use crate::base::shares::busy;
use crate::base::turns::Turns;
use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::{Site, SiteName};
use crate::query::activity::Watch;
use crate::query::gather::parallel;
use crate::snapshot::lines::{Lines, SortedLines};
use crate::store::{View, copies_of};
use making::Making;

/// What a report is called where it is measured.
const PHASE: &str = "report";

/// About how many bytes of lines are made into bytes at a time.
const STRETCH_BYTES: u64 = 128 << 10;

/// The most stretches of lines, whatever there is of lines: each begins at the name of a site.
const MOST_STRETCHES: usize = 1 << 12;

/// How to make a report.
#[derive(Clone, Debug)]
pub struct ReportOptions {
    /// What it may take.
    pub limits: Limits,
    /// Only these sites.
    pub sites: Option<HashSet<Vec<u8>>>,
    /// Only events of these moments.
    pub window: Window,
}

impl Default for ReportOptions {
    /// All there is, with one thread.
    fn default() -> ReportOptions {
        ReportOptions { limits: Limits::new(1), sites: None, window: Window::ALL }
    }
}

/// One line of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteSummary {
    name: SiteName,
    /// The counts.
    pub summary: Summary,
}

impl SiteSummary {
    /// The name of the site; `buffer` serves numbers.
    pub fn site<'b>(&'b self, buffer: &'b mut [u8; 20]) -> &'b [u8] {
        self.name.text(buffer)
    }
}

/// What was found besides the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Totals {
    /// Events of the sites and moments asked for, each once.
    pub events: u64,
    /// Copies of events that were dropped, in the whole store. How many are of some sites alone is not known.
    pub copies: u64,
    /// Events of the sites asked for, at any moment, of which copies disagree.
    pub disputed: u64,
    /// The earliest timestamp of those sites; more than `latest` if there is no event.
    pub earliest: i64,
    /// The latest timestamp.
    pub latest: i64,
}

/// How many sites there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Sites that have a line.
    pub sites: u64,
    /// Sites of which events were read, with a line or without.
    pub folded: u64,
}

impl Told {
    fn add(&mut self, other: &Told) {
        self.sites += other.sites;
        self.folded += other.folded;
    }
}

/// Every site that has an event, ascending by the bytes of its name.
pub struct Report {
    lines: SortedLines,
    limits: Limits,
    /// What was found besides the lines.
    pub totals: Totals,
}

impl Report {
    /// The report of a view.
    pub fn of(view: &View, options: &ReportOptions) -> Result<Report> {
        Report::watched(view, options, None)
    }

    /// The same, while somebody counts when messages came.
    pub(super) fn watched(view: &View, options: &ReportOptions, watch: Option<&Watch>) -> Result<Report> {
        let _busy = busy(PHASE);
        let limits = Limits { threads: options.limits.threads.max(1), ..options.limits.clone() };
        let lines = Lines::new(&limits);
        let making = Making::new(view, options, &limits, &lines, watch);
        let copies = copies_of(&view.snapshots, &view.frames) + making.work()?;
        let line = lines.total();
        let totals = Totals {
            events: line.events,
            copies,
            disputed: line.disputed,
            earliest: line.earliest,
            latest: line.latest,
        };
        let lines = lines.sorted()?;
        Ok(Report { lines, limits, totals })
    }

    /// Visits each line, until `visit` returns false.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &Summary) -> bool) -> Result<Told> {
        self.stretch(None, None, visit)
    }

    /// Makes bytes of the lines, on all threads: `make` appends those of one line, and `take` gets them in order, those of many lines at
    /// a time, until it returns false.
    pub fn bytes(
        &self,
        make: impl Fn(&[u8], &Summary, &mut Vec<u8>) + Sync,
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<Told> {
        let (bytes, aside) = self.lines.size();
        if aside > 0 {
            return self.bytes_on_one_thread(make, take);
        }
        let stretches = usize::try_from(bytes / STRETCH_BYTES).unwrap_or(usize::MAX).clamp(1, MOST_STRETCHES);
        let ends = self.lines.splitters(stretches);
        let _busy = busy(PHASE);
        let turns = Turns::new(PHASE, "output", take);
        let begin = || (Vec::new(), Told::default());
        let told = parallel(self.limits.threads, ends.len() + 1, begin, |(out, told), number| {
            let _watched = turns.watched();
            out.clear();
            let least = number.checked_sub(1).and_then(|before| ends.get(before)).map(|end| &**end);
            let end = ends.get(number).map(|end| &**end);
            let made = self.stretch(least, end, &mut |name, summary| {
                make(name, summary, out);
                true
            });
            let mut turn = turns.wait(number);
            turn.over |= made.is_err();
            turn.over = turn.over || !(turn.value)(out);
            turns.end(turn);
            made.map(|some| told.add(&some))
        })?;
        let mut all = Told::default();
        told.iter().for_each(|(_, told)| all.add(told));
        Ok(all)
    }

    /// The same where lines were put aside: each stretch would read a block of each run to find where it begins.
    fn bytes_on_one_thread(
        &self,
        make: impl Fn(&[u8], &Summary, &mut Vec<u8>),
        take: &mut dyn FnMut(&[u8]) -> bool,
    ) -> Result<Told> {
        let (mut out, mut wanted) = (Vec::new(), true);
        let told = self.each(&mut |name, summary| {
            make(name, summary, &mut out);
            if out.len() as u64 >= STRETCH_BYTES {
                wanted = take(&out);
                out.clear();
            }
            wanted
        })?;
        if wanted {
            take(&out);
        }
        Ok(told)
    }

    /// Visits the lines of names from `least` on and before `end`.
    fn stretch(
        &self,
        least: Option<&[u8]>,
        end: Option<&[u8]>,
        visit: &mut dyn FnMut(&[u8], &Summary) -> bool,
    ) -> Result<Told> {
        let mut lines = self.lines.stretch(least, end)?;
        let mut told = Told::default();
        while let Some((name, line)) = lines.next()? {
            told.folded += u64::from(line.folded);
            if line.entry.events > 0 {
                told.sites += 1;
                if !visit(name, &line.entry.summary) {
                    break;
                }
            }
        }
        Ok(told)
    }

    /// All lines, which take memory.
    pub fn sites(&self) -> Result<Vec<SiteSummary>> {
        let mut sites = Vec::new();
        self.each(&mut |name, summary| {
            sites.push(SiteSummary { name: Site::new(name).into(), summary: *summary });
            true
        })?;
        Ok(sites)
    }

    /// Bytes that were written to temporary files.
    pub fn put_aside(&self) -> u64 {
        self.limits.scratch.written()
    }
}
