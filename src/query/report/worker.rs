//! One thread of a report: gathers the events of a task, folds them, and makes lines of them.

use std::collections::HashSet;

use super::index::{SortedOut, sort_out, stretches_of};
use super::making::Making;
use crate::error::Result;
use crate::event::SiteName;
use crate::query::activity::{Watch, Watcher};
use crate::query::fold::Fold;
use crate::query::gather::{Gather, Gathered, Load, Task, by_site};
use crate::snapshot::lines::{Finder, Line};
use crate::store::View;

/// One thread's buffers, and what it found.
pub(super) struct ReportWorker<'a> {
    making: &'a Making<'a>,
    gather: Gather,
    fold: Fold,
    /// Counts when messages came, if that was asked for.
    pub(super) watcher: Option<Watcher<'a>>,
    pub(super) finder: Finder<'a>,
    /// How many copies were dropped.
    pub(super) copies: u64,
    /// Shards that did not fit.
    pub(super) full: Vec<u8>,
}

impl<'a> ReportWorker<'a> {
    pub(super) fn new(making: &'a Making<'a>) -> ReportWorker<'a> {
        let finder = making.lines.finder(making.limits.threads);
        let watcher = making.watch.map(Watch::watcher);
        let (gather, fold) = (Gather::default(), Fold::default());
        ReportWorker { making, gather, fold, watcher, finder, copies: 0, full: Vec::new() }
    }

    /// Works on a task, if it fits.
    pub(super) fn task(&mut self, task: &Task) -> Result<()> {
        let ReportWorker { making, gather, fold, watcher, finder, copies, .. } = self;
        let View { segments, frames, snapshots, .. } = making.view;
        gather.begin(task);
        gather.tail(segments, frames, task, |site| making.wants(site))?;
        let records = making.records(task.shards.clone())?;
        let mut sites = HashSet::new();
        if !records.is_empty() {
            gather.each_site(|site| {
                sites.insert(SiteName::from(site));
            });
        }
        let SortedOut { to_read, finished } =
            sort_out(&records, |record| making.reads(record) || sites.contains(&record.name));
        let places = (0u32..).zip(snapshots).map(|(number, snapshot)| (snapshot, stretches_of(&to_read, number)));
        let places: Vec<_> = places.collect();
        let mut load = Load::default();
        to_read.iter().for_each(|record| load.add(record.whole, 0));
        // Sites share blocks, so their lengths do not add up.
        let stretches = places.iter().flat_map(|(_, (_, stretches))| stretches);
        stretches.for_each(|stretch| load.add(0, stretch.end - stretch.start));
        let mut fits = !gather.is_full() && load.memory() <= task.share;
        for (snapshot, (names, stretches)) in places {
            for stretch in stretches {
                fits &= !gather.is_full();
                if fits {
                    gather.snapshot(snapshot, stretch, |site| names.contains(&site))?;
                }
            }
        }
        if !fits || gather.is_full() {
            // No line of them was put yet.
            self.full.extend(task.shards.clone());
            return Ok(());
        }
        finished.into_iter().try_for_each(|record| finder.put(record.name.site(), &record.finished()))?;
        let window = making.window;
        gather.finish(|Gathered { table, merged, .. }| {
            *copies += merged.copies;
            for rows in by_site(table) {
                let Some(first) = rows.first() else { continue };
                let mut line = Line::of_rows(rows, window);
                let site = table.site_of(first);
                line.entry.summary = match watcher {
                    Some(watcher) => watcher.site(fold, table, rows),
                    None => fold.site(rows, table.names(), window, &mut ()),
                };
                finder.put(site, &line)?;
            }
            Ok(())
        })
    }
}
