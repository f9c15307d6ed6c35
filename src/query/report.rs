//! The summary of every site: from the index of a snapshot where that is all there is of it, else from its events.
//!
//! A site whose events are all in one snapshot needs none of them read: the index holds its finished summary. The events of
//! the others are gathered from wherever they are, merged and folded, shard by shard. So a report costs what changed since
//! the last compaction, and the sites.
//!
//! What the index says is dealt by shard, for only the events say which sites they are of; unless there are none, and one snapshot
//! says it all. What is found of each site is a line, and lines are brought into order in the end. All of it is done within the
//! memory that was given: what does not fit is put aside, see [`scratch`](crate::disk::scratch).

use hashbrown::HashTable;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::base::secret;
use crate::base::shares::busy;
use crate::base::turns::Turns;
use crate::disk::scratch::Limits;
use crate::disk::scratch::deal::{Deal, Dealer};
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::{Site, SiteName};
use crate::format::SHARDS;
use crate::format::block::SiteEntry;
use crate::format::coding::{Decoded, Reader, put_varint, shard, site_hash};
use crate::query::fold::Fold;
use crate::query::gather::{Gather, Gathered, Load, Plan, Task, Work, by_site, loads_of, parallel};
use crate::query::large::Large;
use crate::snapshot::IndexedSite;
use crate::snapshot::lines::{Finder, Line, Lines, SortedLines};
use crate::store::{View, copies_of};

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
    /// Copies of events that were dropped, in the whole store; for some sites alone it is not known.
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
    /// What was found besides.
    pub totals: Totals,
}

impl Report {
    /// The report of a view.
    pub fn of(view: &View, options: &ReportOptions) -> Result<Report> {
        let _busy = busy(PHASE);
        let limits = Limits { threads: options.limits.threads.max(1), ..options.limits.clone() };
        let lines = Lines::new(&limits);
        let making = Making::new(view, options, &limits, &lines);
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

    /// Visits each line, until `visit` says that it is enough.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &Summary) -> bool) -> Result<Told> {
        self.stretch(None, None, visit)
    }

    /// Makes bytes of the lines, on all threads: `make` appends those of one, and `take` gets them in order, those of many at a time,
    /// until it says that it is enough.
    pub fn bytes(
        &self,
        make: impl Fn(&[u8], &Summary, &mut Vec<u8>) + Sync,
        take: &mut (dyn FnMut(&[u8]) -> bool + Send),
    ) -> Result<Told> {
        let (bytes, aside) = self.lines.size();
        if aside > 0 {
            // Each stretch would read a block of each run to find where it begins.
            let (mut out, mut wanted) = (Vec::new(), true);
            let told = self.each(&mut |name, summary| {
                make(name, summary, &mut out);
                if out.len() as u64 >= STRETCH {
                    wanted = take(&out);
                    out.clear();
                }
                wanted
            })?;
            if wanted {
                take(&out);
            }
            return Ok(told);
        }
        let stretches = usize::try_from(bytes / STRETCH).unwrap_or(usize::MAX).clamp(1, MOST_STRETCHES);
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

    /// The lines of names from `least` on and before `end`.
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

/// What a report is called where it is measured.
const PHASE: &str = "report";

/// Bytes of lines of which bytes are made at a time, more or less.
const STRETCH: u64 = 128 << 10;

/// Names of sites that say where those begin; there are no more, whatever there is of lines.
const MOST_STRETCHES: usize = 1 << 12;

/// Blocks of an index that are read at once.
const BLOCKS: usize = 64;

/// What the work of a report has in common.
struct Making<'a> {
    view: &'a View,
    limits: &'a Limits,
    window: Window,
    wanted: Option<HashSet<Site<'a>>>,
    lines: &'a Lines,
    /// What the indexes say, by shard, where it may not be all there is of a site.
    places: Deal,
}

impl<'a> Making<'a> {
    fn new(view: &'a View, options: &'a ReportOptions, limits: &'a Limits, lines: &'a Lines) -> Making<'a> {
        let wanted = options.sites.as_ref();
        let wanted = wanted.map(|names| names.iter().map(|name| Site::new(name)).collect());
        Making { view, limits, window: options.window, wanted, lines, places: Deal::new(&limits.scratch, SHARDS) }
    }

    fn wants(&self, site: Site<'_>) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&site))
    }

    /// Finds all lines; gives the copies that were dropped.
    fn work(&self) -> Result<u64> {
        let mut loads = loads_of(&self.view.frames);
        if let Some(wanted) = &self.wanted {
            let shards: HashSet<u8> = wanted.iter().map(|site| shard(site_hash(*site))).collect();
            for (_, load) in (0u8..=255).zip(&mut loads).filter(|(number, _)| !shards.contains(number)) {
                *load = Load::default();
            }
        }
        self.indexes(loads.iter().all(|load| load.events == 0))?;
        for (number, load) in loads.iter_mut().enumerate() {
            let length = self.places.length(number);
            // Of what is held there is one more while it is worked on, with a table of it.
            load.add(length / 20 + u64::from(length > 0), length);
        }
        let plan = Plan::of(&loads, self.limits.threads, self.limits.memory);
        let tasks: Vec<&Task> =
            plan.work.iter().filter_map(|work| if let Work::Task(task) = work { Some(task) } else { None }).collect();
        let workers = parallel(
            plan.workers,
            tasks.len(),
            || Worker::new(self),
            |worker, number| match tasks.get(number) {
                Some(task) => worker.task(task),
                None => Ok(()),
            },
        )?;
        let mut copies = 0;
        let mut large: Vec<u8> = Vec::new();
        for mut worker in workers {
            copies += worker.copies;
            large.append(&mut worker.full);
            worker.finder.end()?;
        }
        large.extend(
            plan.work.iter().filter_map(|work| if let Work::Large(shard, _) = work { Some(*shard) } else { None }),
        );
        for shard in large {
            copies += self.large(shard, loads[usize::from(shard)])?;
        }
        Ok(copies)
    }

    /// Reads what the indexes say of the sites that are wanted: lines, where there is nothing else of these, or else places. There
    /// `is_tail`less one snapshot says all.
    fn indexes(&self, tailless: bool) -> Result<()> {
        let is_all = tailless && self.view.snapshots.len() <= 1;
        let wanted = self.wanted.as_ref().map(|sites| {
            let mut names: Vec<SiteName> = sites.iter().map(|site| (*site).into()).collect();
            names.sort_unstable();
            names
        });
        // Each has blocks of it, and their sites.
        let threads = self.limits.for_large().threads;
        for (number, snapshot) in (0u32..).zip(&self.view.snapshots) {
            let begin = || Reading {
                finder: self.lines.finder(threads),
                dealer: self.places.dealer(self.limits.bytes() / 8 / threads),
                buffer: Vec::new(),
                sites: Vec::new(),
            };
            let blocks = snapshot.index_blocks();
            let pieces = if wanted.is_some() { 1 } else { blocks.div_ceil(BLOCKS) };
            let readings = parallel(threads, pieces, begin, |reading, piece| {
                reading.sites.clear();
                match &wanted {
                    Some(wanted) => snapshot.sites_of(wanted, &mut reading.buffer, &mut reading.sites)?,
                    None => {
                        let some = piece * BLOCKS..blocks.min((piece + 1) * BLOCKS);
                        snapshot.sites(some, &mut reading.buffer, &mut reading.sites)?;
                    }
                }
                reading.take(number, self.window, is_all)
            })?;
            for reading in readings {
                reading.finder.end()?;
                reading.dealer.end();
            }
        }
        Ok(())
    }

    /// The places of some shards.
    fn places(&self, shards: impl Iterator<Item = u8>) -> Result<Vec<Place>> {
        let mut places = Vec::new();
        for number in shards {
            self.places.read(usize::from(number), &mut Vec::new(), |bytes| {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (place, behind) = Place::decode(rest).map_err(|_| self.limits.scratch.changed())?;
                    places.push(place);
                    rest = behind;
                }
                Ok(())
            })?;
        }
        Ok(places)
    }

    /// Works on a shard that does not fit one thread's memory.
    fn large(&self, shard: u8, load: Load) -> Result<u64> {
        let (View { segments, frames, snapshots, .. }, sites) = (self.view, Mutex::default());
        let places = self.places(shard..=shard)?;
        // What the tail has is known; of what snapshots have, the most that it may be.
        let mut whole = load;
        places.iter().for_each(|place| whole.add(place.whole, place.line.entry.length));
        let large = Large::new(&self.limits.for_large(), shard, whole.memory());
        large.tail(segments, frames, |site| self.wants(site), (!places.is_empty()).then_some(&sites))?;
        let sites = sites.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (touched, finished) = parted(&places, |name| sites.contains(name));
        let mut finder = self.lines.finder(1);
        finished.into_iter().try_for_each(|place| finder.put(place.name.site(), &place.finished()))?;
        finder.end()?;
        for (number, snapshot) in (0u32..).zip(snapshots) {
            let (names, stretches) = stretches_of(&touched, number);
            large.snapshot(snapshot, stretches, |site| names.contains(&site))?;
        }
        large.finish(self.window, Some(self.lines), None).map(Option::unwrap_or_default)
    }
}

/// Reads an index for one thread.
struct Reading<'a> {
    finder: Finder<'a>,
    dealer: Dealer<'a>,
    buffer: Vec<u8>,
    sites: Vec<IndexedSite>,
}

impl Reading<'_> {
    /// Takes what was read of an index.
    fn take(&mut self, snapshot: u32, window: Window, is_all: bool) -> Result<()> {
        for IndexedSite { name, entry } in self.sites.drain(..) {
            let is_cut = window.cuts(entry.earliest, entry.latest);
            let mut line = Line { entry, folded: false, stretches: 0 };
            if !is_cut && !window.contains(entry.earliest) {
                // All of it is outside the window.
                (line.entry.events, line.entry.summary) = (0, Summary::default());
            }
            let place = Place { name, snapshot, is_cut, whole: entry.events, line };
            if is_all && !is_cut {
                self.finder.put(place.name.site(), &place.finished())?;
                continue;
            }
            let shard = shard(site_hash(place.name.site()));
            self.dealer.put(usize::from(shard), |out| place.encode(out))?;
        }
        Ok(())
    }
}

/// What an index says of a site.
struct Place {
    name: SiteName,
    snapshot: u32,
    /// Some of its events are in the window and some are not.
    is_cut: bool,
    /// Its events in the snapshot, in the window or not.
    whole: u64,
    /// Its line, if there is nothing else of it.
    line: Line,
}

impl Place {
    /// The line, without the place.
    fn finished(&self) -> Line {
        let entry = SiteEntry { at: 0, length: 0, ..self.line.entry };
        Line { entry, ..self.line }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let mut buffer = [0; 20];
        let name = self.name.text(&mut buffer);
        for number in [u64::from(self.snapshot), u64::from(self.is_cut), self.whole, name.len() as u64] {
            put_varint(out, number);
        }
        out.extend_from_slice(name);
        self.line.encode(out);
    }

    /// The place at the start of some bytes, and what is behind it.
    fn decode(bytes: &[u8]) -> Decoded<(Place, &[u8])> {
        let what = "a place";
        let mut reader = Reader::new(bytes);
        let (snapshot, is_cut) = (reader.varint(what)? as u32, reader.varint(what)? > 0);
        let (whole, length) = (reader.varint(what)?, reader.count(bytes.len(), what)?);
        let name = Site::new(reader.bytes(length, what)?).into();
        let (line, rest) = Line::decode(reader.bytes(reader.left(), what)?)?;
        Ok((Place { name, snapshot, is_cut, whole, line }, rest))
    }
}

/// The places of which events have to be read, and those that are finished. Read are sites that the tail holds, too, or several
/// snapshots, and those that the window cuts.
fn parted(places: &[Place], in_tail: impl Fn(&SiteName) -> bool) -> (Vec<&Place>, Vec<&Place>) {
    // By site: a place, and whether there are more. Not by the hash of the shards: whoever names sites can make them all collide.
    let mut known: HashTable<(&Place, bool)> = HashTable::with_capacity(places.len());
    let hash = |place: &Place| secret::hash(place.name.site());
    for place in places {
        match known.find_mut(hash(place), |(other, _)| other.name == place.name) {
            Some((_, is_shared)) => *is_shared = true,
            None => drop(known.insert_unique(hash(place), (place, false), |(place, _)| hash(place))),
        }
    }
    let is_shared = |place: &Place| {
        let found = known.find(hash(place), |(other, _)| other.name == place.name);
        found.is_some_and(|(_, is_shared)| *is_shared)
    };
    places.iter().partition(|place| is_shared(place) || place.is_cut || in_tail(&place.name))
}

/// The names and the stretches of the places in one snapshot.
fn stretches_of<'p>(places: &[&'p Place], snapshot: u32) -> (HashSet<Site<'p>>, Vec<Range<u64>>) {
    let own = || places.iter().filter(|place| place.snapshot == snapshot);
    let stretch = |place: &&&Place| place.line.entry.at..place.line.entry.at.saturating_add(place.line.entry.length);
    (own().map(|place| place.name.site()).collect(), united(own().map(|place| stretch(&place)).collect()))
}

/// One thread's buffers and what it found.
struct Worker<'a> {
    making: &'a Making<'a>,
    gather: Gather,
    fold: Fold,
    finder: Finder<'a>,
    copies: u64,
    /// Shards that did not fit.
    full: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(making: &'a Making<'a>) -> Worker<'a> {
        let finder = making.lines.finder(making.limits.threads);
        Worker { making, gather: Gather::default(), fold: Fold::default(), finder, copies: 0, full: Vec::new() }
    }

    fn task(&mut self, task: &Task) -> Result<()> {
        let Worker { making, gather, fold, finder, copies, .. } = self;
        let View { segments, frames, snapshots, .. } = making.view;
        gather.begin(task);
        gather.tail(segments, frames, task, |site| making.wants(site))?;
        let places = making.places(task.shards.clone())?;
        let mut sites = HashSet::new();
        if !places.is_empty() {
            gather.each_site(|site| {
                sites.insert(SiteName::from(site));
            });
        }
        let (touched, finished) = parted(&places, |name| sites.contains(name));
        let mut load = Load::default();
        touched.iter().for_each(|place| load.add(place.whole, place.line.entry.length));
        let mut fits = !gather.is_full() && load.memory() <= task.share;
        for (number, snapshot) in (0u32..).zip(snapshots) {
            let (names, stretches) = stretches_of(&touched, number);
            for stretch in stretches {
                fits &= !gather.is_full();
                if fits {
                    gather.snapshot(snapshot, stretch, |site| names.contains(&site))?;
                }
            }
        }
        if !fits || gather.is_full() {
            // Nothing was told of them yet.
            self.full.extend(task.shards.clone());
            return Ok(());
        }
        finished.into_iter().try_for_each(|place| finder.put(place.name.site(), &place.finished()))?;
        let window = making.window;
        gather.finish(|Gathered { table, merged, .. }| {
            *copies += merged.copies;
            for rows in by_site(table) {
                let Some(first) = rows.first() else { continue };
                let mut line = Line::of_rows(rows, window);
                line.entry.summary = fold.site(rows, table.names(), window);
                finder.put(table.site_of(first), &line)?;
            }
            Ok(())
        })
    }
}

/// The stretches in order; those that touch or overlap are one.
fn united(mut stretches: Vec<Range<u64>>) -> Vec<Range<u64>> {
    stretches.sort_unstable_by_key(|stretch| stretch.start);
    let mut united: Vec<Range<u64>> = Vec::new();
    for stretch in stretches {
        match united.last_mut() {
            Some(last) if stretch.start <= last.end => last.end = last.end.max(stretch.end),
            _ => united.push(stretch),
        }
    }
    united
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_are_one() {
        assert_eq!(united(vec![5..7, 0..2, 6..9, 2..3, 20..30, 21..22]), [0..3, 5..9, 20..30]);
        assert_eq!(united(Vec::new()), []);
    }
}
