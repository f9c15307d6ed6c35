//! One part after the other: drops copies, and finds in each part its events in order, its messages, its visitors and its statuses.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use super::keys::{key_of, put_moment, put_name, put_site};
use super::messages::{MessageStream, Messages};
use super::visitors::put_text;
use super::{LEAST_SPILL_BYTES, Large, RECORDS_AT_ONCE, SPILL_BYTES, deal_rows};
use crate::base::{memory, secret};
use crate::disk::scratch::Scratch;
use crate::disk::scratch::deal::{Deal, Dealer, Parted, part_of};
use crate::disk::scratch::sorter::{Collector, Sorter};
use crate::error::Result;
use crate::event::Kind;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::query::gather::{by_site, parallel};
use crate::query::merge::Merge;
use crate::snapshot::lines::{Finder, Line, Lines};

/// What is held, in messages.
const EVENTS: &str = "the events of a part";

impl Large {
    /// Works on all parts: finds what a `report` says of sites, puts events in `order`, and adds up `messages`. Returns the number of
    /// copies that were dropped.
    pub(super) fn work_on_parts(
        &self,
        window: Window,
        report: Option<Findings<'_>>,
        order: Option<&Sorter>,
        messages: &Messages,
    ) -> Result<u64> {
        let Large { scratch, shard, threads, share, deal } = self;
        let stage = Stage {
            scratch,
            shard: *shard,
            share: *share,
            window,
            report,
            order,
            messages,
            spill_bytes: (share * threads / 8 / deal.parts()).clamp(LEAST_SPILL_BYTES, SPILL_BYTES),
            held: AtomicUsize::new(self.held()),
        };
        let workers = parallel(
            *threads,
            deal.parts(),
            || stage.worker(),
            |worker, part| deal.work(part, scratch, share / 16, worker),
        )?;
        workers.into_iter().map(PartWorker::end).sum()
    }
}

/// What the threads that work on parts have in common.
struct Stage<'a> {
    scratch: &'a Scratch,
    shard: u8,
    /// Bytes of memory for one thread.
    share: usize,
    window: Window,
    /// Where to put what is found for the report, if there is one.
    report: Option<Findings<'a>>,
    /// Where to put the events in order, if anybody wants them.
    order: Option<&'a Sorter>,
    /// Where to put messages.
    messages: &'a Messages,
    /// Bytes of the messages of one part that are held at most before they are put aside.
    spill_bytes: usize,
    /// Bytes of the messages of all parts that may be held for good.
    held: AtomicUsize,
}

impl<'a> Stage<'a> {
    fn worker<'w>(&'w self) -> PartWorker<'w, 'a> {
        PartWorker {
            stage: self,
            table: Table::default(),
            merge: Merge::default(),
            report: self.report.map(|found| ThreadFindings {
                finder: found.lines.finder(found.threads),
                statuses: found.statuses.collector(self.share / 16),
                visitors: found.visitors.dealer(self.share / 16),
            }),
            seen: Vec::new(),
            site: 0,
            key: Vec::new(),
            copies: 0,
        }
    }
}

/// Where to put what is found for the report.
#[derive(Clone, Copy)]
pub(super) struct Findings<'a> {
    /// What is counted of each site.
    pub(super) lines: &'a Lines,
    /// The statuses, in the order of operators and moments.
    pub(super) statuses: &'a Sorter,
    /// The visitors, dealt by a hash of site and name.
    pub(super) visitors: &'a Deal,
    pub(super) threads: usize,
}

/// The same, for one thread.
struct ThreadFindings<'a> {
    finder: Finder<'a>,
    statuses: Collector<'a>,
    visitors: Dealer<'a>,
}

/// Works on parts, one after the other.
struct PartWorker<'w, 'a> {
    stage: &'w Stage<'a>,
    table: Table,
    merge: Merge,
    report: Option<ThreadFindings<'a>>,
    /// By the number of a `from`: the last site of which it was a visitor.
    seen: Vec<u32>,
    site: u32,
    key: Vec<u8>,
    copies: u64,
}

impl PartWorker<'_, '_> {
    /// Ends; returns the number of copies that were dropped.
    fn end(self) -> Result<u64> {
        if let Some(ThreadFindings { finder, statuses, visitors }) = self.report {
            finder.end()?;
            statuses.end()?;
            visitors.end();
        }
        Ok(self.copies)
    }
}

impl Parted for PartWorker<'_, '_> {
    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        memory::reserve(&mut self.table.rows, RECORDS_AT_ONCE, EVENTS)?;
        let Stage { shard, scratch, .. } = self.stage;
        self.table.take_records(bytes, *shard, RECORDS_AT_ONCE).ok_or_else(|| scratch.changed())
    }

    fn is_full(&self) -> bool {
        self.table.rows.len() > 2 * RECORDS_AT_ONCE && self.table.bytes() > self.stage.share / 2
    }

    /// Drops copies.
    fn thin(&mut self) -> Result<bool> {
        let before = self.table.rows.len();
        self.merge.make_room(&self.table)?;
        self.copies += self.merge.unique(&mut self.table).copies;
        if self.table.rows.len() > before / 2 {
            return Ok(false);
        }
        // Into a new table, without the texts of the copies.
        let mut rest = Table::default();
        self.table.rows.iter().for_each(|row| rest.push_copy(&self.table, row));
        self.table = rest;
        Ok(true)
    }

    fn deal(&mut self, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
        deal_rows(&self.table, dealer, level)?;
        self.table.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.table.rows.is_empty() {
            return Ok(());
        }
        self.merge.make_room(&self.table)?;
        self.copies += self.merge.unique(&mut self.table).copies;
        let mut table = std::mem::take(&mut self.table);
        let mut groups: Vec<&[Row]> = by_site(&table).collect();
        groups.sort_unstable_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        let mut stream = MessageStream::default();
        let mut run = self.stage.order.map(Sorter::run);
        for rows in groups {
            self.site(&table, rows, &mut stream)?;
            let Some(run) = &mut run else { continue };
            for row in rows {
                key_of(&table, row, &mut self.key);
                run.put(&self.key, &[u8::from(row.disputed)])?;
            }
        }
        if let (Some(order), Some(run)) = (self.stage.order, run) {
            order.add(run)?;
        }
        self.end_stream(stream)?;
        table.clear();
        self.table = table;
        Ok(())
    }
}

impl PartWorker<'_, '_> {
    /// What a part has of one site.
    fn site(&mut self, table: &Table, rows: &[Row], stream: &mut MessageStream) -> Result<()> {
        let Stage { window, spill_bytes, messages, .. } = *self.stage;
        let Some(first) = rows.first() else { return Ok(()) };
        let Some(ThreadFindings { finder, statuses, visitors }) = &mut self.report else { return Ok(()) };
        let site = table.site_of(first);
        finder.put(site, &Line::of_rows(rows, window))?;
        self.seen.resize(self.seen.len().max(table.names()), 0);
        self.site = self.site.checked_add(1).unwrap_or_else(|| {
            self.seen.fill(0);
            1
        });
        let key = &mut self.key;
        key.clear();
        put_site(site, key);
        let own = key.len();
        stream.begin(key);
        for row in window.of(rows) {
            key.truncate(own);
            if row.kind == Kind::Message {
                if row.timestamp < window.from {
                    continue;
                }
                stream.put(row.timestamp);
                stream.put_aside(&messages.spill, spill_bytes)?;
                if std::mem::replace(&mut self.seen[row.from as usize], self.site) != self.site {
                    key.extend_from_slice(table.name_of(row.from));
                    let part = part_of(secret::hash(&**key), 0, visitors.parts());
                    visitors.put(part, |out| put_text(key, out))?;
                }
            } else {
                put_name(table.name_of(row.from), key);
                put_moment(row.timestamp, key);
                put_name(table.id_of(row).text(&mut [0; 36]), key);
                key.push(row.kind.code());
                statuses.put(key, &[])?;
            }
        }
        stream.end_record();
        stream.put_aside(&messages.spill, spill_bytes)
    }

    /// Ends the messages of a part. They stay in memory if there is room.
    fn end_stream(&self, mut stream: MessageStream) -> Result<()> {
        let Stage { messages, held, .. } = self.stage;
        let takes = stream.bytes_held();
        if held.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(takes)).is_err() {
            stream.put_aside(&messages.spill, 0)?;
        }
        messages.add(stream);
        Ok(())
    }
}
