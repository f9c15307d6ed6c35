//! A shard that does not fit the memory, such as that of one huge site. Its events are dealt to parts and put aside; what the report
//! says of its sites is found part by part.
//!
//! 1. Events are dealt by a hash of their site and id, so that all copies of one are in one part.
//! 2. Copies are dropped part by part ([`parts`]). Each part gives four things. Its events, in order, for whoever wants them. Its
//!    messages: site and moment, in order. Its visitors, dealt by a hash of site and name, so that all mentions of one are in one part
//!    of those. And its statuses, which all together are brought into the order of operators and moments.
//! 3. Visitors are counted part by part ([`visitors`]). Statuses are read once ([`steps`]): operators are counted, and where one came or
//!    went, a step of one up or down is noted, by site and moment. Steps in order give the moments at which a site goes online or
//!    offline: statuses count before the messages of their moment, so nothing else of them matters.
//! 4. Messages are counted against those moments, some of them at a time, all parts side by side ([`messages`], [`chats`]).
//!
//! All of it runs on all threads, except the two readings in order, of statuses and of steps. Nothing is held for the whole of a site
//! except what fits the share of memory.

mod chats;
mod keys;
mod messages;
mod parts;
mod steps;
mod visitors;

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use crate::disk::scratch::deal::{Deal, Dealer, part_of};
use crate::disk::scratch::sorter::Sorter;
use crate::disk::scratch::{Limits, Scratch};
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::table::Table;
use crate::event::{Site, SiteName};
use crate::format::block::BlockKind;
use crate::query::gather::{Gather, Task, parallel};
use crate::query::sections::SectionRun;
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::snapshot::lines::{Finder, Line, Lines};
use crate::store::Place;
use keys::{Key, push_key};
use messages::Messages;
use parts::Findings;

/// The most bytes of memory that a part takes as a table, whatever there is: as many as the caches hold.
const PART_BYTES: usize = 4 << 20;

/// The most parts. If they do not fit the memory, each is dealt again.
const MOST_PARTS: u64 = 1 << 10;

/// About how many bytes of a part are put aside at a time, at least.
const LEAST_DEALT_BYTES: usize = 8 << 10;

/// Records that are taken in between two looks at the memory.
const RECORDS_AT_ONCE: usize = 1 << 9;

/// Bytes that are put aside at a time, if there is memory for them.
const SPILL_BYTES: usize = 64 << 10;

/// Bytes that are put aside at a time, at least.
const LEAST_SPILL_BYTES: usize = 1 << 9;

/// Takes events, until it returns false: it has enough.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Table) -> Result<bool>;

/// The events of one shard.
pub(crate) struct Large {
    scratch: Scratch,
    shard: u8,
    threads: usize,
    /// Bytes of memory for one thread.
    share: usize,
    deal: Deal,
}

impl Large {
    /// Nothing yet of a shard that would take about so many `bytes` in memory.
    pub(crate) fn new(limits: &Limits, shard: u8, bytes: u64) -> Large {
        let Limits { threads, scratch, .. } = limits.clone();
        let threads = threads.max(1);
        let share = limits.bytes() / threads;
        let part = (share / 4).clamp(1 << 10, PART_BYTES) as u64;
        // More parts would be put aside, and read back, in pieces that are too small.
        let most = ((share / 4 / LEAST_DEALT_BYTES) as u64).clamp(16, MOST_PARTS);
        let parts = bytes.div_ceil(part).min(most).next_power_of_two().clamp(2, MOST_PARTS);
        Large { shard, threads, share, deal: Deal::new(&scratch, parts as usize), scratch }
    }

    /// Adds what frames of these segments hold of the shard and of the sites that are `wanted`. Adds to `sites` those that it found.
    pub(crate) fn tail(
        &self,
        segments: &[Segment],
        frames: &[Place],
        wanted: impl Fn(Site<'_>) -> bool + Sync,
        sites: Option<&Mutex<HashSet<SiteName>>>,
    ) -> Result<()> {
        self.deal(frames.len(), |gather, task, number| {
            gather.tail(segments, frames.get(number..number + 1).unwrap_or_default(), task, &wanted)?;
            if let Some(sites) = sites {
                let mut sites = sites.lock().unwrap_or_else(PoisonError::into_inner);
                gather.each_site(|site| {
                    sites.insert(site.into());
                });
            }
            Ok(())
        })
    }

    /// Adds what runs hold of the shard.
    pub(crate) fn sections(&self, runs: &[SectionRun<'_>]) -> Result<()> {
        self.deal(runs.len(), |gather, task, number| match runs.get(number) {
            Some(run) => gather.sections(run, task, &|_| true),
            None => Ok(()),
        })
    }

    /// Adds what stretches of a snapshot hold of the sites that are `wanted`.
    pub(crate) fn snapshot(
        &self,
        snapshot: &Snapshot,
        stretches: impl IntoIterator<Item = Range<u64>>,
        wanted: impl Fn(Site<'_>) -> bool + Sync,
    ) -> Result<()> {
        let mut pieces = Vec::new();
        for stretch in stretches {
            snapshot.split(BlockKind::Events, stretch, &mut pieces)?;
        }
        self.deal(pieces.len(), |gather, _, number| match pieces.get(number) {
            Some(piece) => gather.snapshot(snapshot, piece.clone(), &wanted),
            None => Ok(()),
        })
    }

    /// Deals events that were read elsewhere, for one thread.
    pub(crate) fn dealer(&self) -> RowDealer<'_> {
        RowDealer(self.deal.dealer(self.share / 4))
    }

    /// Deals what `read` gathers, piece by piece.
    fn deal(&self, pieces: usize, read: impl Fn(&mut Gather, &Task, usize) -> Result<()> + Sync) -> Result<()> {
        let task = Task { shards: self.shard..=self.shard, events: 0, share: u64::MAX };
        let begin = || {
            let mut gather = Gather::default();
            gather.begin(&task);
            gather.only().map(Table::without_lookup);
            (gather, self.dealer())
        };
        let workers = parallel(self.threads, pieces, begin, |(gather, rows), number| {
            read(gather, &task, number)?;
            let Some(table) = gather.only() else { return Ok(()) };
            rows.put(table)?;
            table.clear();
            Ok(())
        })?;
        workers.into_iter().for_each(|(_, rows)| rows.end());
        Ok(())
    }

    /// Drops copies, and finds what the report says of each site, if there are `lines` for it. `visit` gets all events, in order and
    /// each once, some at a time, until it has enough. Returns the number of copies, or `None` if `visit` had enough before the end.
    pub(crate) fn finish(self, window: Window, lines: Option<&Lines>, visit: Option<Visit<'_>>) -> Result<Option<u64>> {
        let sorter = || Sorter::new(&self.scratch, self.share / 16, self.held());
        let (statuses, order, messages) = (sorter(), sorter(), Messages::new(&self.scratch));
        let visitors = Deal::new(&self.scratch, self.deal.parts());
        let report =
            lines.map(|lines| Findings { lines, statuses: &statuses, visitors: &visitors, threads: self.threads });
        let order_wanted = visit.is_some().then_some(&order);
        let copies = self.work_on_parts(window, report, order_wanted, &messages)?;
        if let Some(lines) = lines {
            self.count_visitors(&visitors, lines)?;
            let steps = self.steps(&statuses.sorted(self.runs())?, window, lines)?;
            self.count_messages(messages, &steps.sorted(self.runs())?, lines)?;
        }
        let is_done = visit.map_or(Ok(true), |visit| self.visit(order, visit))?;
        Ok(Some(copies).filter(|_| is_done))
    }

    /// Visits all events; returns false if `visit` had enough before the end.
    fn visit(&self, order: Sorter, visit: Visit<'_>) -> Result<bool> {
        let (sorted, mut table) = (order.sorted(self.runs())?, Table::default());
        let mut merge = sorted.merge(None, None)?;
        while let Some((key, disputed)) = merge.next()? {
            let disputed = disputed.first() == Some(&1);
            push_key(key, disputed, self.shard, &mut table).ok_or_else(|| self.scratch.changed())?;
            if table.rows.len() >= RECORDS_AT_ONCE {
                if !visit(&table)? {
                    return Ok(false);
                }
                table.clear();
            }
        }
        if table.rows.is_empty() { Ok(true) } else { visit(&table) }
    }

    /// How many bytes of runs may stay in memory.
    fn held(&self) -> usize {
        self.share * self.threads / 8
    }

    /// How many runs are merged at a time, each with a block in memory.
    fn runs(&self) -> usize {
        (self.share * self.threads / 4 / (self.share / 16).clamp(1 << 8, SPILL_BYTES)).clamp(4, 256)
    }
}

/// Deals events to the parts of a [`Large`].
pub(crate) struct RowDealer<'d>(Dealer<'d>);

impl RowDealer<'_> {
    /// Deals all rows of a table.
    pub(crate) fn put(&mut self, table: &Table) -> Result<()> {
        deal_rows(table, &mut self.0, 0)
    }

    /// Ends.
    pub(crate) fn end(self) {
        self.0.end();
    }
}

/// Deals all rows of a table by their events.
fn deal_rows(table: &Table, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
    let parts = dealer.parts();
    table
        .rows
        .iter()
        .try_for_each(|row| dealer.put(part_of(table.hash_event(row), level, parts), |out| table.put_record(row, out)))
}

/// Puts what was found of a site, if anything, and clears it. `site` is as in a key.
fn put_found(finder: &mut Finder<'_>, site: &[u8], found: &mut Summary) -> Result<()> {
    let found = std::mem::take(found);
    match Key(site).site() {
        Some(site) if found != Summary::default() => finder.put(site, &Line::of(found)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::table::Row;
    use crate::event::{Event, Id, Kind};
    use crate::query::fold::Fold;
    use crate::query::gather::by_site;
    use crate::query::merge::Merge;
    use proptest::prelude::*;

    /// An event: site, id, from, moment, kind.
    type Parts = (u8, u16, u16, i64, u8);

    fn table_of(events: &[Parts], long: bool) -> Table {
        let mut table = Table::default();
        let name = |kind: &str, number: u16| match long || number.is_multiple_of(3) {
            true => format!("{kind} of a name that is long enough to be no short one, {number}"),
            false => format!("{kind}{number}"),
        };
        for (site, id, from, timestamp, kind) in events {
            let site = if *site < 3 { site.to_string() } else { name("site", u16::from(*site)) };
            let id = match id % 2 {
                0 => name("id", *id),
                _ => format!("{id:08x}-0000-4000-8000-000000000000"),
            };
            let (site, id, from) = (Site::new(site.as_bytes()), Id::new(id.as_bytes()), name("v", *from));
            let kind = Kind::from_code(*kind).unwrap();
            table.push(&Event { site, id, from: from.as_bytes(), timestamp: *timestamp, kind }, 7);
        }
        table
    }

    /// What memory that holds everything says: the lines, the events in order, and the copies.
    fn expected(mut table: Table, window: Window) -> (Vec<(String, Line)>, Vec<String>, u64) {
        let copies = Merge::default().unique(&mut table).copies;
        let (mut lines, mut events, mut fold) = (Vec::new(), Vec::new(), Fold::default());
        let mut groups: Vec<&[Row]> = by_site(&table).collect();
        groups.sort_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        for rows in groups {
            let mut line = Line::of(fold.site(rows, table.names(), window, &mut ()));
            line.entry.events = rows.iter().filter(|row| window.contains(row.timestamp)).count() as u64;
            line.entry.disputed = rows.iter().filter(|row| row.disputed).count() as u64;
            (line.entry.earliest, line.entry.latest) = (rows[0].timestamp, rows[rows.len() - 1].timestamp);
            let name = table.site_of(&rows[0]).name(&mut [0; 20]).to_vec();
            lines.push((String::from_utf8(name).unwrap(), line));
            events.extend(rows.iter().map(|row| format!("{:?} {}", table.event(row), row.disputed)));
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        (lines, events, copies)
    }

    #[allow(clippy::too_many_arguments, reason = "the parameters of a case")]
    fn check(events: &[Parts], long: bool, threads: usize, memory: u64, bytes: u64, window: Window) {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { threads, memory, scratch: Scratch::new(directory.path()) };
        let (lines, large) = (Lines::new(&limits), Large::new(&limits, 7, bytes));
        let mut dealers: Vec<RowDealer<'_>> = (0..threads).map(|_| large.dealer()).collect();
        for (number, some) in events.chunks(97).enumerate() {
            dealers[number % threads].put(&table_of(some, long)).unwrap();
        }
        dealers.into_iter().for_each(RowDealer::end);
        let mut found = Vec::new();
        let mut visit = |table: &Table| {
            found.extend(table.rows.iter().map(|row| format!("{:?} {}", table.event(row), row.disputed)));
            Ok(true)
        };
        let copies = large.finish(window, Some(&lines), Some(&mut visit)).unwrap();
        let (expected_lines, expected_events, expected_copies) = expected(table_of(events, long), window);
        assert_eq!(copies, Some(expected_copies));
        assert_eq!(found, expected_events);
        let sorted = lines.sorted().unwrap();
        let mut stretch = sorted.stretch(None, None).unwrap();
        let mut found = Vec::new();
        while let Some((name, line)) = stretch.next().unwrap() {
            found.push((String::from_utf8(name.to_vec()).unwrap(), line));
        }
        assert_eq!(found, expected_lines);
    }

    proptest! {
        #[test]
        fn what_does_not_fit_is_found_as_what_does(
            events in prop::collection::vec((0u8..6, 0u16..300, 0u16..9, -40i64..40, 0u8..3), 0..900),
            threads in 1usize..4,
            memory in prop_oneof![Just(0u64), Just(1 << 12), Just(1 << 16), Just(1 << 30)],
            bytes in prop_oneof![Just(0u64), Just(1 << 16)],
            window in (-50i64..50, -50i64..50),
            whole: bool,
        ) {
            let window = if whole { Window::ALL } else { Window { from: window.0.min(window.1), to: window.0.max(window.1) } };
            check(&events, false, threads, memory, bytes, window);
        }
    }

    /// Parts that are dealt again, since there are more events than was thought, or more names; and copies that go at once.
    #[test]
    fn parts_that_do_not_fit_are_dealt_again() {
        let number = |at: u32, factor: u32| (at.wrapping_mul(factor) >> 7) as u16;
        let kind = |at: u32| if at.is_multiple_of(7) { (at / 7 % 2) as u8 } else { 2 };
        for (ids, froms) in [(60_000, 50_000), (60_000, 4), (40, 50_000), (1, 1)] {
            let event = |at: u32| {
                (0, number(at, 2_654_435_761) % ids, number(at, 40_503) % froms, i64::from(at % 997), kind(at))
            };
            let events: Vec<Parts> = (0..20_000).map(event).collect();
            for threads in [1, 2] {
                check(&events, true, threads, 1 << 17, 0, Window::ALL);
            }
        }
    }
}
