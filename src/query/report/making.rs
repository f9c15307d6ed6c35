//! Making a report: reads the indexes, shares the shards out among threads, and works on those that do not fit.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use super::ReportOptions;
use super::index::{Coverage, IndexReader, IndexRecord, SortedOut, sort_out, stretches_of};
use super::worker::ReportWorker;
use crate::disk::scratch::Limits;
use crate::disk::scratch::deal::Deal;
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::table::Table;
use crate::event::{Site, SiteName};
use crate::format::SHARDS;
use crate::format::coding::{shard, site_hash};
use crate::query::activity::{Watch, Watcher};
use crate::query::gather::{Load, ReadPlan, Task, Work, loads_of, parallel};
use crate::query::large::Large;
use crate::snapshot::Snapshot;
use crate::snapshot::lines::Lines;
use crate::store::View;

/// Blocks of an index that are read at once.
const BLOCKS_AT_ONCE: usize = 64;

/// What the threads that make a report have in common.
pub(super) struct Making<'a> {
    pub(super) view: &'a View,
    pub(super) limits: &'a Limits,
    pub(super) window: Window,
    /// The sites that were asked for; `None` for all.
    wanted: Option<HashSet<Site<'a>>>,
    pub(super) lines: &'a Lines,
    /// Counts when messages came, if that was asked for.
    pub(super) watch: Option<&'a Watch>,
    /// What the indexes say, by shard, where it may not be all there is of a site.
    records: Deal,
}

impl<'a> Making<'a> {
    pub(super) fn new(
        view: &'a View,
        options: &'a ReportOptions,
        limits: &'a Limits,
        lines: &'a Lines,
        watch: Option<&'a Watch>,
    ) -> Making<'a> {
        let wanted = options.sites.as_ref();
        let wanted = wanted.map(|names| names.iter().map(|name| Site::new(name)).collect());
        let records = Deal::new(&limits.scratch, SHARDS);
        Making { view, limits, window: options.window, wanted, lines, watch, records }
    }

    /// Whether a site was asked for.
    pub(super) fn wants(&self, site: Site<'_>) -> bool {
        self.wanted.as_ref().is_none_or(|wanted| wanted.contains(&site))
    }

    /// Whether the events of a site are read although its line is finished: when they came is asked for.
    pub(super) fn reads(&self, record: &IndexRecord) -> bool {
        let Summary { messages, emails, .. } = record.line.entry.summary;
        self.watch.is_some_and(|watch| messages + emails > 0 || watch.asks_who_is_online())
    }

    /// About how many bytes of a shard of a snapshot so many of its events take.
    pub(super) fn bytes_of(&self, snapshot: u32, shard: u8, events: u64) -> u64 {
        let shards =
            usize::try_from(snapshot).ok().and_then(|number| self.view.snapshots.get(number)).map(Snapshot::shards);
        let Some(shard) = shards.and_then(|shards| shards.get(usize::from(shard))) else { return 0 };
        let share = u128::from(shard.length) * u128::from(events) / u128::from(shard.events.max(1));
        u64::try_from(share).unwrap_or(u64::MAX)
    }

    /// Finds all lines; returns the number of copies that were dropped.
    pub(super) fn work(&self) -> Result<u64> {
        let tail = self.tail_loads();
        let is_all = tail.iter().all(|load| load.events == 0) && self.view.snapshots.len() <= 1;
        let mut loads = self.indexes(if is_all { Coverage::All } else { Coverage::Part })?;
        loads.iter_mut().zip(&tail).for_each(|(load, tail)| load.add(tail.events, tail.bytes));
        for (number, load) in loads.iter_mut().enumerate() {
            let length = self.records.length(number);
            // Of what is held there is one more while it is worked on, with a table of it.
            load.add(length / 20 + u64::from(length > 0), length);
        }
        let plan = ReadPlan::of(&loads, self.limits.threads, self.limits.memory);
        let (mut tasks, mut large) = (Vec::new(), Vec::new());
        for work in &plan.work {
            match work {
                Work::Task(task) => tasks.push(task),
                Work::Large(shard, _) => large.push(*shard),
            }
        }
        let (mut copies, mut full) = self.tasks(&tasks, plan.workers)?;
        full.append(&mut large);
        for shard in full {
            copies += self.large(shard, tail[usize::from(shard)])?;
        }
        Ok(copies)
    }

    /// What the tail has of each shard that a wanted site is in.
    fn tail_loads(&self) -> [Load; SHARDS] {
        let mut loads = loads_of(&self.view.frames);
        if let Some(wanted) = &self.wanted {
            let shards: HashSet<u8> = wanted.iter().map(|site| shard(site_hash(*site))).collect();
            for (_, load) in (0u8..=255).zip(&mut loads).filter(|(number, _)| !shards.contains(number)) {
                *load = Load::default();
            }
        }
        loads
    }

    /// Works on tasks; returns the number of copies that were dropped, and the shards that did not fit.
    fn tasks(&self, tasks: &[&Task], workers: usize) -> Result<(u64, Vec<u8>)> {
        let workers = parallel(
            workers,
            tasks.len(),
            || ReportWorker::new(self),
            |worker, number| match tasks.get(number) {
                Some(task) => worker.task(task),
                None => Ok(()),
            },
        )?;
        let (mut copies, mut full) = (0, Vec::new());
        for mut worker in workers {
            copies += worker.copies;
            full.append(&mut worker.full);
            worker.finder.end()?;
            worker.watcher.into_iter().for_each(Watcher::end);
        }
        Ok((copies, full))
    }

    /// Reads what the indexes say of the sites that are wanted: makes lines of them if the index covers all there is of a site, or
    /// else deals records of them. Gives the events that are to be read for them.
    fn indexes(&self, coverage: Coverage) -> Result<[Load; SHARDS]> {
        let mut loads = [Load::default(); SHARDS];
        let wanted = self.wanted.as_ref().map(|sites| {
            let mut names: Vec<SiteName> = sites.iter().map(|site| (*site).into()).collect();
            names.sort_unstable();
            names
        });
        // Each thread holds blocks of the index, and their sites.
        let threads = self.limits.for_large().threads;
        for (number, snapshot) in (0u32..).zip(&self.view.snapshots) {
            let begin = || IndexReader {
                finder: self.lines.finder(threads),
                dealer: self.records.dealer(self.limits.bytes() / 8 / threads),
                buffer: Vec::new(),
                sites: Vec::new(),
                loads: Box::new([Load::default(); SHARDS]),
            };
            let blocks = snapshot.index_blocks();
            let pieces = if wanted.is_some() { 1 } else { blocks.div_ceil(BLOCKS_AT_ONCE) };
            let readers = parallel(threads, pieces, begin, |reader, piece| {
                reader.sites.clear();
                match &wanted {
                    Some(wanted) => snapshot.sites_of(wanted, &mut reader.buffer, &mut reader.sites)?,
                    None => {
                        let some = piece * BLOCKS_AT_ONCE..blocks.min((piece + 1) * BLOCKS_AT_ONCE);
                        snapshot.sites(some, &mut reader.buffer, &mut reader.sites)?;
                    }
                }
                reader.take(self, number, coverage)
            })?;
            for reader in readers {
                reader.finder.end()?;
                reader.dealer.end();
                loads.iter_mut().zip(reader.loads.iter()).for_each(|(load, own)| load.add(own.events, own.bytes));
            }
        }
        Ok(loads)
    }

    /// The records of some shards.
    pub(super) fn records(&self, shards: impl Iterator<Item = u8>) -> Result<Vec<IndexRecord>> {
        let mut records = Vec::new();
        for number in shards {
            self.records.read(usize::from(number), &mut Vec::new(), |bytes| {
                let mut rest = bytes;
                while !rest.is_empty() {
                    let (record, behind) = IndexRecord::decode(rest).map_err(|_| self.limits.scratch.changed())?;
                    records.push(record);
                    rest = behind;
                }
                Ok(())
            })?;
        }
        Ok(records)
    }

    /// Works on a shard that does not fit one thread's memory; returns the number of copies that were dropped.
    fn large(&self, shard: u8, load: Load) -> Result<u64> {
        let (View { segments, frames, snapshots, .. }, sites) = (self.view, Mutex::default());
        let records = self.records(shard..=shard)?;
        // What the tail has is known; what snapshots have may be less than this.
        let mut whole = load;
        records.iter().for_each(|record| whole.add(record.whole, self.bytes_of(record.snapshot, shard, record.whole)));
        let large = Large::new(&self.limits.for_large(), shard, whole.memory());
        large.tail(segments, frames, |site| self.wants(site), (!records.is_empty()).then_some(&sites))?;
        let sites = sites.into_inner().unwrap_or_else(PoisonError::into_inner);
        let SortedOut { to_read, finished } =
            sort_out(&records, |record| self.reads(record) || sites.contains(&record.name));
        let mut finder = self.lines.finder(1);
        finished.into_iter().try_for_each(|record| finder.put(record.name.site(), &record.finished()))?;
        finder.end()?;
        for (number, snapshot) in (0u32..).zip(snapshots) {
            let (names, stretches) = stretches_of(&to_read, number);
            large.snapshot(snapshot, stretches, |site| names.contains(&site))?;
        }
        let Some(mut watcher) = self.watch.map(Watch::watcher) else {
            return large.finish(self.window, Some(self.lines), None).map(Option::unwrap_or_default);
        };
        let mut stream = watcher.stream();
        let mut visit = |table: &Table| {
            stream.take(table);
            Ok(true)
        };
        let copies = large.finish(self.window, Some(self.lines), Some(&mut visit))?;
        stream.end();
        watcher.end();
        Ok(copies.unwrap_or_default())
    }
}
