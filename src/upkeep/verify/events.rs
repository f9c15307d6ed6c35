//! Checks the events of a snapshot: every block can be decoded and lies in its shard; the events of each site are in order and each
//! once. What they say of each site is kept, to be compared with the index.

use super::index::shown;
use super::{Checked, Tally, found};
use crate::error::{Corruption, Result};
use crate::event::SiteName;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::format::block::{BlockHeader, BlockKind};
use crate::format::events::EventsDecoder;
use crate::format::tables::ShardEntry;
use crate::query::fold::Fold;
use crate::query::gather::by_site;
use crate::query::large::Large;
use crate::query::merge::Merge;
use crate::segment::content::decode_events;
use crate::snapshot::Snapshot;
use crate::snapshot::lines::{Finder, Line, Lines};

/// Checks the events of shards; one a thread.
pub(super) struct ShardChecker<'a> {
    lines: &'a Lines,
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    table: Table,
    site: SiteChecker<'a>,
    checked: Checked,
}

impl<'a> ShardChecker<'a> {
    /// One of so many threads.
    pub(super) fn new(snapshot: &'a Snapshot, lines: &'a Lines, threads: usize) -> ShardChecker<'a> {
        let (buffer, decoder, table) = (Vec::new(), EventsDecoder::default(), Table::default());
        let site = SiteChecker::new(snapshot, lines.finder(threads));
        ShardChecker { lines, buffer, decoder, table, site, checked: Checked::default() }
    }

    /// Ends; gives what was found.
    pub(super) fn end(self) -> Result<Tally> {
        self.site.finder.end()?;
        Ok(Tally { findings: self.site.findings, checked: self.checked })
    }

    /// Checks a shard that fits the memory; gives its bytes.
    pub(super) fn check(&mut self, number: u8) -> Result<u64> {
        let entry = self.site.snapshot.shards()[usize::from(number)];
        if entry.length == 0 && entry.events == 0 {
            return Ok(0);
        }
        let checked = self.check_in_memory(number, &entry);
        found(checked, &mut self.site.findings)?;
        Ok(entry.length)
    }

    /// Checks one that does not fit; gives its bytes.
    pub(super) fn check_large(&mut self, number: u8, large: Large) -> Result<u64> {
        let entry = self.site.snapshot.shards()[usize::from(number)];
        let checked = self.check_put_aside(number, &entry, large);
        found(checked, &mut self.site.findings)?;
        Ok(entry.length)
    }

    fn check_in_memory(&mut self, number: u8, entry: &ShardEntry) -> Result<()> {
        self.site.table.clear();
        let events = self.blocks(number, entry, |site, table, header| {
            for rows in by_site(table) {
                if !site.goes_on(table, rows) {
                    site.close()?;
                    site.at = header.offset;
                }
                site.take(table, rows, header);
            }
            Ok(())
        })?;
        self.site.close()?;
        self.site.count(number, entry, events);
        Ok(())
    }

    /// Checks the events of a shard, of which the last one is held, and the others are put aside.
    fn check_put_aside(&mut self, number: u8, entry: &ShardEntry, large: Large) -> Result<()> {
        let (mut rows, mut last, mut ordered) = (large.dealer(), Table::default(), true);
        self.site.table.clear();
        let events = self.blocks(number, entry, |site, table, header| {
            for own in by_site(table) {
                if site.goes_on(table, own) {
                    last.clear();
                    last.push_copy(&site.table, &site.table.rows[0]);
                    own.first().into_iter().for_each(|row| last.push_copy(table, row));
                    ordered &= last.rows.is_sorted_by(|a, b| last.compare(a, b).is_lt());
                } else {
                    site.leave(std::mem::replace(&mut ordered, true))?;
                    site.at = header.offset;
                }
                ordered &= own.is_sorted_by(|a, b| table.compare(a, b).is_lt());
                site.table.clear();
                site.take(table, &own[own.len() - 1..], header);
            }
            rows.put(table)
        })?;
        self.site.leave(ordered)?;
        self.site.table.clear();
        rows.end();
        let copies = large.finish(Window::ALL, Some(self.lines), None)?.unwrap_or_default();
        if copies > 0 {
            let expected = format!("the events of shard {number} in order and each once");
            self.site.findings.push(self.site.snapshot.corrupt(entry.at, expected, "others"));
        }
        self.site.count(number, entry, events);
        Ok(())
    }

    /// Visits the events of a shard block by block; gives their number.
    fn blocks(
        &mut self,
        number: u8,
        entry: &ShardEntry,
        mut visit: impl FnMut(&mut SiteChecker<'a>, &Table, &BlockHeader) -> Result<()>,
    ) -> Result<u64> {
        let ShardChecker { buffer, decoder, table, site, checked, .. } = self;
        let (snapshot, mut events) = (site.snapshot, 0);
        let stretch = entry.at..entry.at.saturating_add(entry.length);
        snapshot.blocks(BlockKind::Events, stretch, buffer, |header, bytes| {
            if header.shard != number {
                let (expected, found) = (format!("a block of shard {number}"), format!("shard {}", header.shard));
                return Err(snapshot.corrupt(header.offset, expected, found).into());
            }
            decode_events(decoder, header.packed_events(bytes), table)
                .map_err(|malformed| snapshot.misencoded(header, malformed))?;
            checked.blocks += 1;
            checked.events += u64::from(header.count);
            events += u64::from(header.count);
            visit(site, table, header)
        })?;
        Ok(events)
    }
}

/// Checks one site after the other, whose events may lie in several blocks.
struct SiteChecker<'a> {
    snapshot: &'a Snapshot,
    /// The events that are held of the site.
    table: Table,
    /// Where its first block begins, and its last one ends.
    at: u64,
    end: u64,
    merge: Merge,
    fold: Fold,
    /// Takes what the events say of each site.
    finder: Finder<'a>,
    findings: Vec<Corruption>,
}

impl<'a> SiteChecker<'a> {
    fn new(snapshot: &'a Snapshot, finder: Finder<'a>) -> SiteChecker<'a> {
        let (table, merge, fold) = (Table::default(), Merge::default(), Fold::default());
        SiteChecker { snapshot, table, at: 0, end: 0, merge, fold, finder, findings: Vec::new() }
    }

    /// Whether these rows are of the site at hand.
    fn goes_on(&self, table: &Table, rows: &[Row]) -> bool {
        match (self.table.rows.first(), rows.first()) {
            (Some(own), Some(first)) => self.table.site_of(own) == table.site_of(first),
            _ => false,
        }
    }

    fn take(&mut self, table: &Table, rows: &[Row], header: &BlockHeader) {
        rows.iter().for_each(|row| self.table.push_copy(table, row));
        self.end = header.offset + header.whole();
    }

    /// Judges the site at hand, if there is one, and makes room for the next.
    fn close(&mut self) -> Result<()> {
        let SiteChecker { snapshot, table, at, end, merge, fold, finder, findings } = self;
        let Some(first) = table.rows.first() else { return Ok(()) };
        let name = SiteName::from(table.site_of(first));
        let mut line = Line { stretches: 1, ..Line::of_rows(&table.rows, Window::ALL) };
        line.entry.summary = fold.site(&table.rows, table.names(), Window::ALL, &mut ());
        (line.entry.at, line.entry.length) = (*at, *end - *at);
        if !table.rows.is_sorted_by(|a, b| table.compare(a, b).is_lt()) || merge.unique(table).copies > 0 {
            findings.push(disordered(snapshot, *at, &name));
        }
        table.clear();
        finder.put(name.site(), &line)
    }

    /// The same where only the last event of the site is held, and whether the events are in order is known.
    fn leave(&mut self, ordered: bool) -> Result<()> {
        let Some(row) = self.table.rows.first() else { return Ok(()) };
        let site = self.table.site_of(row);
        if !ordered {
            self.findings.push(disordered(self.snapshot, self.at, &site.into()));
        }
        let mut line = Line { stretches: 1, ..Line::EMPTY };
        (line.entry.at, line.entry.length) = (self.at, self.end - self.at);
        self.finder.put(site, &line)
    }

    /// Sees to it that a shard has as many events as the table of shards says.
    fn count(&mut self, number: u8, entry: &ShardEntry, events: u64) {
        if events != entry.events {
            let at = self.snapshot.header.region(BlockKind::Shards).start;
            let expected = format!("{events} events of shard {number}");
            self.findings.push(self.snapshot.corrupt(at, expected, entry.events.to_string()));
        }
    }
}

fn disordered(snapshot: &Snapshot, at: u64, name: &SiteName) -> Corruption {
    let expected = format!("the events of site {} in order and each once", shown(name));
    snapshot.corrupt(at, expected, "others")
}
