//! What the indexes of snapshots say of sites: which lines are finished, and which events have to be read.

use std::collections::HashSet;
use std::ops::Range;

use hashbrown::HashTable;

use super::making::Making;
use crate::base::secret;
use crate::disk::scratch::deal::Dealer;
use crate::error::Result;
use crate::event::summary::Summary;
use crate::event::{Site, SiteName};
use crate::format::SHARDS;
use crate::format::coding::{Decoded, Reader, put_varint, shard, site_hash};
use crate::format::index::SiteEntry;
use crate::query::gather::Load;
use crate::snapshot::IndexedSite;
use crate::snapshot::lines::{Finder, Line};

/// How much of its sites an index covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Coverage {
    /// All there is: there is one snapshot, and no tail.
    All,
    /// There may be events elsewhere.
    Part,
}

/// Reads an index for one thread.
pub(super) struct IndexReader<'a> {
    pub(super) finder: Finder<'a>,
    pub(super) dealer: Dealer<'a>,
    pub(super) buffer: Vec<u8>,
    /// What was read and not taken yet.
    pub(super) sites: Vec<IndexedSite>,
    /// The events that are to be read for it, by shard.
    pub(super) loads: Box<[Load; SHARDS]>,
}

impl IndexReader<'_> {
    /// Takes what was read of an index: makes lines of what is finished, and deals the rest by shard.
    pub(super) fn take(&mut self, making: &Making<'_>, snapshot: u32, coverage: Coverage) -> Result<()> {
        let window = making.window;
        for IndexedSite { name, entry } in self.sites.drain(..) {
            let is_cut = window.cuts(entry.earliest, entry.latest);
            let mut line = Line { entry, folded: false, stretches: 0 };
            if !is_cut && !window.contains(entry.earliest) {
                // All of it is outside the window.
                (line.entry.events, line.entry.summary) = (0, Summary::default());
            }
            let record = IndexRecord { name, snapshot, is_cut, whole: entry.events, line };
            let is_read = is_cut || making.reads(&record);
            if coverage == Coverage::All && !is_read {
                self.finder.put(record.name.site(), &record.finished())?;
                continue;
            }
            let shard = shard(site_hash(record.name.site()));
            if is_read && let Some(load) = self.loads.get_mut(usize::from(shard)) {
                // Sites share blocks, so their lengths do not add up.
                load.add(record.whole, making.bytes_of(snapshot, shard, record.whole));
            }
            self.dealer.put(usize::from(shard), |out| record.encode(out))?;
        }
        Ok(())
    }
}

/// What an index says of a site.
pub(super) struct IndexRecord {
    pub(super) name: SiteName,
    /// Index of the snapshot.
    pub(super) snapshot: u32,
    /// Some of its events are in the window and some are not.
    is_cut: bool,
    /// How many events it has in the snapshot, in the window or not.
    pub(super) whole: u64,
    /// Its line, if there is nothing else of it.
    pub(super) line: Line,
}

impl IndexRecord {
    /// The line, without the place of its events.
    pub(super) fn finished(&self) -> Line {
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

    /// The record at the start of some bytes, and what is behind it.
    pub(super) fn decode(bytes: &[u8]) -> Decoded<(IndexRecord, &[u8])> {
        let what = "a place";
        let mut reader = Reader::new(bytes);
        let (snapshot, is_cut) = (reader.varint(what)? as u32, reader.varint(what)? > 0);
        let (whole, length) = (reader.varint(what)?, reader.count(bytes.len(), what)?);
        let name = Site::new(reader.bytes(length, what)?).into();
        let (line, rest) = Line::decode(reader.bytes(reader.left(), what)?)?;
        Ok((IndexRecord { name, snapshot, is_cut, whole, line }, rest))
    }
}

/// Records of indexes, by what is left to do.
pub(super) struct SortedOut<'p> {
    /// Their events have to be read.
    pub(super) to_read: Vec<&'p IndexRecord>,
    /// Their lines are finished.
    pub(super) finished: Vec<&'p IndexRecord>,
}

/// Sorts out the records of indexes. To be read are sites in several snapshots, those that the window cuts, and those for which `is_read`
/// says so: the tail holds them too, or their moments are asked for.
pub(super) fn sort_out(records: &[IndexRecord], is_read: impl Fn(&IndexRecord) -> bool) -> SortedOut<'_> {
    // By site: a record, and whether there are more. Not by the hash of the shards: whoever names sites can make them all collide.
    let mut known: HashTable<(&IndexRecord, bool)> = HashTable::with_capacity(records.len());
    let hash = |record: &IndexRecord| secret::hash(record.name.site());
    for record in records {
        match known.find_mut(hash(record), |(other, _)| other.name == record.name) {
            Some((_, is_shared)) => *is_shared = true,
            None => drop(known.insert_unique(hash(record), (record, false), |(record, _)| hash(record))),
        }
    }
    let is_shared = |record: &IndexRecord| {
        let found = known.find(hash(record), |(other, _)| other.name == record.name);
        found.is_some_and(|(_, is_shared)| *is_shared)
    };
    let (to_read, finished) = records.iter().partition(|record| is_shared(record) || record.is_cut || is_read(record));
    SortedOut { to_read, finished }
}

/// The names of the sites of some records in one snapshot, and the stretches of its events that hold them.
pub(super) fn stretches_of<'p>(records: &[&'p IndexRecord], snapshot: u32) -> (HashSet<Site<'p>>, Vec<Range<u64>>) {
    let own = || records.iter().filter(|record| record.snapshot == snapshot);
    let stretch = |record: &IndexRecord| {
        let SiteEntry { at, length, .. } = record.line.entry;
        at..at.saturating_add(length)
    };
    (own().map(|record| record.name.site()).collect(), united(own().map(|record| stretch(record)).collect()))
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
