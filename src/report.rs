//! The summary of every site: from the index of a snapshot where that is all there is of it, else from its events.
//!
//! A site whose events are all in one snapshot needs none of them read: the index holds its finished summary. The events of
//! the others are gathered from wherever they are, merged and folded, shard by shard. So a report costs what changed since
//! the last compaction, and the sites.

use hashbrown::HashTable;
use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::Result;
use crate::event::{Site, SiteName, sort_by_name};
use crate::format::SHARDS;
use crate::format::coding::{shard, site_hash};
use crate::gather::{Gather, Gathered, MEMORY, Task, by_site, frame_counts, parallel, tasks};
use crate::memory;
use crate::secret;
use crate::snapshot::IndexedSite;
use crate::store::{View, copies_of};
use crate::summary::{Fold, Summary, Window};
use crate::threads::together;

/// What the lines of a report are, in messages.
const SITES: &str = "the sites of a report";

/// How to make a report.
pub struct ReportOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory for events, all threads together. A single site is held whole, whatever it takes.
    pub memory: u64,
    /// Only these sites.
    pub sites: Option<HashSet<Vec<u8>>>,
    /// Only events of these moments.
    pub window: Window,
}

impl Default for ReportOptions {
    fn default() -> ReportOptions {
        ReportOptions { threads: 1, memory: MEMORY, sites: None, window: Window::ALL }
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

/// What was found besides.
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
    /// Sites of which events were read.
    pub folded: u64,
}

impl Default for Totals {
    fn default() -> Totals {
        Totals { events: 0, copies: 0, disputed: 0, earliest: i64::MAX, latest: i64::MIN, folded: 0 }
    }
}

impl Totals {
    fn add(&mut self, other: &Totals) {
        self.events += other.events;
        self.copies += other.copies;
        self.disputed += other.disputed;
        self.folded += other.folded;
        self.seen(other.earliest, other.latest);
    }

    fn seen(&mut self, earliest: i64, latest: i64) {
        self.earliest = self.earliest.min(earliest);
        self.latest = self.latest.max(latest);
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

impl Report {
    /// The report of a view.
    pub fn of(view: &View, options: &ReportOptions) -> Result<Report> {
        let threads = options.threads.max(1);
        let wanted = options.sites.as_ref();
        let wanted: Option<HashSet<Site<'_>>> = wanted.map(|names| names.iter().map(|name| Site::new(name)).collect());
        let index = Index::read(view, threads, wanted.as_ref())?;
        let plan = Plan::of(view, &index, options.window);
        let mut counts = plan.counts;
        if let Some(wanted) = &wanted {
            let shards: HashSet<u8> = wanted.iter().map(|site| shard(site_hash(*site))).collect();
            for (number, count) in (0u8..=255).zip(&mut counts) {
                *count *= u64::from(shards.contains(&number));
            }
        }
        let tasks = tasks(&counts, options.memory / threads as u64);
        let workers = parallel(threads, tasks.len(), Worker::default, |worker, number| match tasks.get(number) {
            Some(task) => worker.fold(view, &index, &plan, task, wanted.as_ref(), options.window),
            None => Ok(()),
        })?;
        let mut report = Report::default();
        report.totals.copies = copies_of(&view.snapshots, &view.frames);
        let mut lists = Vec::new();
        for worker in workers {
            report.totals.add(&worker.report.totals);
            lists.push(worker.report.sites);
        }
        let folded = in_order(lists)?;
        report.take(index, &plan, folded, options.window)?;
        Ok(report)
    }

    /// Brings the sites that were folded and those whose finished summary serves into one order.
    fn take(&mut self, index: Index, plan: &Plan, folded: Vec<SiteSummary>, window: Window) -> Result<()> {
        let mut lists = usize::from(!folded.is_empty());
        self.sites = folded;
        memory::reserve(&mut self.sites, index.pieces.iter().flatten().map(Vec::len).sum(), SITES)?;
        for (pieces, done) in index.pieces.into_iter().zip(&plan.done) {
            let before = self.sites.len();
            for (IndexedSite { name, entry }, done) in pieces.into_iter().flatten().zip(done.iter().flatten()) {
                if done.load(Ordering::Relaxed) {
                    continue;
                }
                self.totals.disputed += entry.disputed;
                self.totals.seen(entry.earliest, entry.latest);
                // All of it is inside the window or all of it outside: the others were folded.
                if window.contains(entry.earliest) {
                    self.totals.events += entry.events;
                    self.sites.push(SiteSummary { name, summary: entry.summary });
                }
            }
            lists += usize::from(self.sites.len() > before);
        }
        if lists > 1 {
            self.sites.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(())
    }
}

/// The sites of each snapshot's index, in the order of the report: all of them, or those asked for. In pieces, as they were
/// read: there may be millions, and to copy them into one list takes as long as to read them.
struct Index {
    pieces: Vec<Vec<Vec<IndexedSite>>>,
}

/// A site of the index: snapshot, piece, place in the piece.
type At = (u32, u32, u32);

/// Blocks of an index that are read at once.
const BLOCKS: usize = 64;

impl Index {
    fn read(view: &View, threads: usize, wanted: Option<&HashSet<Site<'_>>>) -> Result<Index> {
        let mut all = Vec::new();
        let wanted = wanted.map(|sites| {
            let mut names: Vec<SiteName> = sites.iter().map(|site| (*site).into()).collect();
            sort_by_name(&mut names, |name| name);
            names
        });
        for snapshot in &view.snapshots {
            let Some(wanted) = &wanted else {
                let blocks = snapshot.index_blocks();
                let start = || (Vec::new(), Vec::new());
                let pieces = parallel(threads, blocks.div_ceil(BLOCKS), start, |(buffer, pieces), number| {
                    // Its share of the sites, and some: growing would copy them.
                    let share = (snapshot.header.sites as usize / blocks.max(1)).saturating_mul(BLOCKS);
                    let mut piece = memory::list(share.min(1 << 16), SITES)?;
                    let first = number * BLOCKS;
                    snapshot.sites(first..blocks.min(first + BLOCKS), buffer, &mut piece)?;
                    pieces.push((number, piece));
                    Ok(())
                })?;
                let mut pieces: Vec<_> = pieces.into_iter().flat_map(|(_, pieces)| pieces).collect();
                pieces.sort_unstable_by_key(|(number, _)| *number);
                all.push(pieces.into_iter().map(|(_, piece)| piece).collect());
                continue;
            };
            let mut found = Vec::new();
            snapshot.sites_of(wanted, &mut Vec::new(), &mut found)?;
            all.push(vec![found]);
        }
        Ok(Index { pieces: all })
    }

    fn get(&self, (snapshot, piece, place): At) -> &IndexedSite {
        &self.pieces[snapshot as usize][piece as usize][place as usize]
    }

    /// The sites of one snapshot and their places, in order.
    fn each(&self, snapshot: usize) -> impl Iterator<Item = (At, &IndexedSite)> {
        self.pieces[snapshot].iter().enumerate().flat_map(move |(piece, sites)| {
            let at = move |place| (snapshot as u32, piece as u32, place as u32);
            sites.iter().enumerate().map(move |(place, site)| (at(place), site))
        })
    }

    /// Visits each site that several snapshots hold, with its places.
    fn each_shared(&self, mut visit: impl FnMut(&[At])) {
        let mut lists: Vec<_> = (0..self.pieces.len()).map(|snapshot| self.each(snapshot).peekable()).collect();
        let mut holders = Vec::new();
        loop {
            holders.clear();
            let mut least: Option<&SiteName> = None;
            for list in &mut lists {
                let Some((at, site)) = list.peek() else { continue };
                let order = least.map_or(std::cmp::Ordering::Less, |least| site.name.cmp(least));
                if order.is_lt() {
                    holders.clear();
                    least = Some(&site.name);
                }
                if order.is_le() {
                    holders.push(*at);
                }
            }
            if holders.is_empty() {
                return;
            }
            for (snapshot, ..) in &holders {
                lists[*snapshot as usize].next();
            }
            if holders.len() > 1 {
                visit(&holders);
            }
        }
    }
}

/// What is known before the tail is read.
struct Plan {
    /// By place: whether the site is answered from its events.
    done: Vec<Vec<Vec<AtomicBool>>>,
    /// By shard: the sites of the index, where the tail may hold some of them.
    held: Vec<Vec<At>>,
    /// By shard: places of which the events have to be read whatever the tail holds.
    touched: Vec<Vec<At>>,
    /// By shard: events that may have to be held.
    counts: [u64; SHARDS],
}

impl Plan {
    fn of(view: &View, index: &Index, window: Window) -> Plan {
        let undone = |piece: &Vec<IndexedSite>| piece.iter().map(|_| AtomicBool::new(false)).collect();
        let done = index.pieces.iter().map(|pieces| pieces.iter().map(undone).collect()).collect();
        let mut touched = vec![Vec::new(); SHARDS];
        let mut counts = [0u64; SHARDS];
        let mut touch = |at: At| {
            let IndexedSite { name, entry } = index.get(at);
            let shard = usize::from(shard(site_hash(name.site())));
            touched[shard].push(at);
            counts[shard] += entry.events;
        };
        if index.pieces.len() > 1 {
            index.each_shared(|places| places.iter().for_each(|at| touch(*at)));
        }
        for (at, IndexedSite { entry, .. }) in (0..index.pieces.len()).flat_map(|snapshot| index.each(snapshot)) {
            if window.cuts(entry.earliest, entry.latest) {
                touch(at);
            }
        }
        // Which sites the tail holds is known only once it is read: as far as memory goes, it may be all of them.
        let tail = frame_counts(&view.frames);
        let mut held = vec![Vec::new(); SHARDS];
        if tail.iter().any(|tail| *tail > 0) {
            for (at, site) in (0..index.pieces.len()).flat_map(|snapshot| index.each(snapshot)) {
                held[usize::from(shard(site_hash(site.name.site())))].push(at);
            }
        }
        for (shard, tail) in tail.into_iter().enumerate().filter(|(_, tail)| *tail > 0) {
            let folded: u64 = view.snapshots.iter().map(|snapshot| snapshot.shards()[shard].events).sum();
            counts[shard] = tail + folded;
        }
        Plan { done, held, touched, counts }
    }
}

/// One thread's buffers and what it found.
#[derive(Default)]
struct Worker {
    gather: Gather,
    fold: Fold,
    report: Report,
}

impl Worker {
    fn fold(
        &mut self,
        view: &View,
        index: &Index,
        plan: &Plan,
        task: &Task,
        wanted: Option<&HashSet<Site<'_>>>,
        window: Window,
    ) -> Result<()> {
        let Worker { gather, fold, report } = self;
        gather.begin(task);
        gather.tail(&view.segments, &view.frames, task, |site| wanted.is_none_or(|wanted| wanted.contains(&site)))?;
        let mut places: Vec<At> = Vec::new();
        if !index.pieces.is_empty() {
            let name = |at: &At| index.get(*at).name.site();
            let held: usize = task.shards.clone().map(|shard| plan.held[usize::from(shard)].len()).sum();
            let mut known = HashTable::with_capacity(task.share(held));
            let of_task = |at: &&At| task.takes(name(at));
            // Not by the hash of the shards: whoever names sites can make them all collide.
            for at in task.shards.clone().flat_map(|shard| &plan.held[usize::from(shard)]).filter(of_task) {
                known.insert_unique(secret::hash(name(at)), *at, |at| secret::hash(name(at)));
            }
            gather.each_site(|site| {
                places.extend(known.iter_hash(secret::hash(site)).filter(|at| name(at) == site));
            });
            let touched = task.shards.clone().flat_map(|shard| &plan.touched[usize::from(shard)]);
            places.extend(touched.filter(of_task));
        }
        for (number, snapshot) in view.snapshots.iter().enumerate() {
            let mut sites = HashSet::new();
            let mut stretches = Vec::new();
            for &at @ (_, piece, place) in places.iter().filter(|(snapshot, ..)| *snapshot as usize == number) {
                let IndexedSite { name, entry } = index.get(at);
                plan.done[number][piece as usize][place as usize].store(true, Ordering::Relaxed);
                sites.insert(name.site());
                stretches.push(entry.at..entry.at.saturating_add(entry.length));
            }
            for stretch in united(stretches) {
                gather.snapshot(snapshot, stretch, task, |site| sites.contains(&site))?;
            }
        }
        gather.finish(|Gathered { table, merged, .. }| {
            report.totals.copies += merged.copies;
            report.totals.disputed += merged.disputed;
            for rows in by_site(table) {
                let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
                report.totals.seen(first.timestamp, last.timestamp);
                report.totals.folded += 1;
                let summary = fold.site(rows, table.names(), window);
                let events = rows.iter().filter(|row| window.contains(row.timestamp)).count() as u64;
                if events > 0 {
                    report.totals.events += events;
                    memory::reserve(&mut report.sites, 1, SITES)?;
                    report.sites.push(SiteSummary { name: table.site_of(first).into(), summary });
                }
            }
            Ok(())
        })
    }
}

/// What each thread found, in one order; each list is brought into it by a thread of its own, if there are as many.
fn in_order(mut lists: Vec<Vec<SiteSummary>>) -> Result<Vec<SiteSummary>> {
    let threads = lists.len();
    let waiting = Mutex::new(lists.iter_mut());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    together(threads, || {
        while let Some(list) = next() {
            sort_by_name(list, |site| &site.name);
        }
    });
    let mut all = memory::list(lists.iter().map(Vec::len).sum(), SITES)?;
    for mut list in lists {
        all.append(&mut list);
    }
    // A stable sort finds the runs that are in order and merges them.
    all.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(all)
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
