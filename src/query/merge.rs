//! Events in order, each once. Copies are dropped here and nowhere else.

use crate::base::memory;
use crate::error::Result;
use crate::event::table::{Row, Table};

/// What was dropped and found on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Rows that repeated an event.
    pub copies: u64,
    /// Events of which copies disagree in anything but the text of the message.
    pub disputed: u64,
}

/// The most rows that are ordered with the help of a second list. More are parted in place first.
const MOST_MOVED: usize = 1 << 18;

/// A site with at most so many rows has its ids looked up in a roomy table.
const SMALL_SITE: usize = 1 << 11;

/// Rows of a bucket when they are spread: as many as the standard library sorts without dividing them.
const BUCKET: usize = 32;

/// Into how many parts too many rows are parted at a time: so few that the processor can follow the end of each.
const PARTS: usize = 1 << 3;

/// What the second list of rows is for, in messages.
const ORDER: &str = "the order of events";

/// What rows are ordered by first. It nearly always decides, and without a branch. Only the events of one moment are left open.
fn key(row: &Row) -> u128 {
    u128::from(row.site) << 64 | u128::from(row.timestamp.cast_unsigned() ^ 1 << 63)
}

/// Slots of the table of ids of a site with so many rows. With plenty of room hardly anything collides, and branches are predicted. A
/// large site gets less.
fn slots(rows: usize) -> usize {
    (rows * if rows <= SMALL_SITE { 8 } else { 2 }).next_power_of_two()
}

/// How many bits the largest number of a range has.
fn bits(range: u64) -> u32 {
    u64::BITS - range.leading_zeros()
}

/// The sites and timestamps of some rows.
struct Range {
    first: u64,
    earliest: i64,
    site_bits: u32,
    time_bits: u32,
}

impl Range {
    fn of(rows: &[Row]) -> Range {
        let (mut first, mut last) = (u64::MAX, 0);
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
        for row in rows {
            (first, last) = (first.min(row.site), last.max(row.site));
            (earliest, latest) = (earliest.min(row.timestamp), latest.max(row.timestamp));
        }
        let time_bits = bits(latest.wrapping_sub(earliest).cast_unsigned());
        Range { first, earliest, site_bits: bits(last.wrapping_sub(first)), time_bits }
    }

    /// A row's place among them, as a number with the bits of both.
    fn place(&self, row: &Row) -> u128 {
        let since = row.timestamp.wrapping_sub(self.earliest).cast_unsigned();
        u128::from(row.site - self.first) << self.time_bits | u128::from(since)
    }
}

/// Where the rows of one site are.
struct SiteRows {
    /// Their indexes, copies and all.
    rows: std::ops::Range<usize>,
    /// The index from which on they are kept.
    kept: usize,
}

/// Orders the rows of a table and drops copies; keeps its buffers.
#[derive(Default)]
pub struct Merge {
    /// Open addressing over the ids of one site: the index of a kept row plus one, or 0.
    seen: Vec<u32>,
    /// By bucket: where its keys end.
    ends: Vec<u32>,
    keys: Vec<u64>,
    moved: Vec<Row>,
}

impl Merge {
    /// Makes room for all that [`Merge::unique`] will need for this table, if it is large.
    pub fn make_room(&mut self, table: &Table) -> Result<()> {
        let Merge { seen, keys, moved, .. } = self;
        let rows = table.rows.len();
        let spread = rows.min(MOST_MOVED);
        memory::reserve(keys, spread.saturating_sub(keys.len()), ORDER)?;
        memory::reserve(moved, spread.saturating_sub(moved.len()), ORDER)?;
        // As if all rows were of one site, or of the largest that still gets plenty of room.
        let slots = slots(rows).max(slots(rows.min(SMALL_SITE)));
        memory::reserve(seen, slots.saturating_sub(seen.len()), "the ids of a site")
    }

    /// Leaves each event in `table` once: those of a site together, and in the order of events. Of copies that disagree, the first in
    /// that order stays, however they arrived; it is marked.
    pub fn unique(&mut self, table: &mut Table) -> Merged {
        let mut rows = std::mem::take(&mut table.rows);
        if rows.len() > MOST_MOVED {
            self.order_in_place(&mut rows, MOST_MOVED);
        } else if self.spread(&rows) {
            std::mem::swap(&mut rows, &mut self.moved);
        } else {
            rows.sort_unstable_by_key(key);
        }
        let together = |pair: &[Row]| pair[0].timestamp == pair[1].timestamp && pair[0].site == pair[1].site;
        let mut behind = 0;
        while let Some(place) = rows[behind..].windows(2).position(together) {
            let start = behind + place;
            let first = key(&rows[start]);
            behind = start + rows[start..].iter().take_while(|row| key(row) == first).count();
            rows[start..behind].sort_unstable_by(|a, b| table.compare(a, b));
        }
        let mut merged = Merged::default();
        let (mut kept, mut start) = (0, 0);
        while start < rows.len() {
            let site = rows[start].site;
            let count = rows[start..].iter().take_while(|row| row.site == site).count();
            kept = self.unique_site(table, &mut rows, SiteRows { rows: start..start + count, kept }, &mut merged);
            start += count;
        }
        rows.truncate(kept);
        table.rows = rows;
        if self.seen.capacity() > MOST_MOVED * 4 {
            // What a giant needed is not kept while the giant is folded and encoded.
            self.seen = Vec::new();
        }
        merged
    }

    /// Orders rows by site and timestamp in place: parts them by the top bits of both until no part has more than `most` rows. Only
    /// bits in which the rows of a part differ are used, so each part falls into at least two.
    fn order_in_place(&mut self, rows: &mut [Row], most: usize) {
        let range = Range::of(rows);
        let left = (range.site_bits + range.time_bits).saturating_sub(PARTS.ilog2());
        let part = |row: &Row| (range.place(row) >> left) as usize;
        let mut counts = [0; PARTS];
        for row in &*rows {
            counts[part(row)] += 1;
        }
        let mut ends = [0; PARTS];
        let mut total = 0;
        for (end, count) in ends.iter_mut().zip(counts) {
            total += count;
            *end = total;
        }
        let mut next: [usize; PARTS] = std::array::from_fn(|number| ends[number] - counts[number]);
        for number in 0..PARTS {
            while next[number] < ends[number] {
                let home = part(&rows[next[number]]);
                if home != number {
                    rows.swap(next[number], next[home]);
                }
                next[home] += 1;
            }
        }
        let mut rest = rows;
        for count in counts {
            let (rows, behind) = rest.split_at_mut(count);
            rest = behind;
            if count > most && left > 0 {
                self.order_in_place(rows, most);
            } else if count <= most && self.spread(rows) {
                rows.copy_from_slice(&self.moved);
            } else {
                rows.sort_unstable_by_key(key);
            }
        }
    }

    /// Puts rows into `moved` by site and timestamp, if they range over few enough of both. Spreads them over buckets by the top bits of
    /// their site, since sites with neighbouring numbers are about equally busy. What is left to order a bucket by fits, with the row's
    /// index, into one word. Returns whether it did.
    fn spread(&mut self, rows: &[Row]) -> bool {
        let count = rows.len();
        if count < 2 {
            return false;
        }
        let range = Range::of(rows);
        let Range { first, earliest, site_bits, time_bits } = range;
        let index_bits = bits(count as u64 - 1);
        let bucket_bits = site_bits.min(bits((count / BUCKET) as u64));
        let left = site_bits - bucket_bits;
        if left + time_bits + index_bits > u64::BITS {
            return false;
        }
        let bucket = |row: &Row| ((row.site - first) >> left) as usize;
        let site_mask = u64::MAX.unbounded_shr(u64::BITS - left);
        self.ends.clear();
        self.ends.resize(1 << bucket_bits, 0);
        for row in rows {
            self.ends[bucket(row)] += 1;
        }
        let mut total = 0;
        for end in &mut self.ends {
            (*end, total) = (total, total + *end);
        }
        self.keys.clear();
        self.keys.resize(count, 0);
        for (index, row) in (0u64..).zip(rows) {
            let since = row.timestamp.wrapping_sub(earliest).cast_unsigned();
            let place = ((row.site - first) & site_mask).unbounded_shl(time_bits) | since;
            let end = &mut self.ends[bucket(row)];
            self.keys[*end as usize] = place.unbounded_shl(index_bits) | index;
            *end += 1;
        }
        let mut start = 0;
        for &end in &self.ends {
            self.keys[start..end as usize].sort_unstable();
            start = end as usize;
        }
        let index_mask = u64::MAX.unbounded_shr(u64::BITS - index_bits);
        self.moved.clear();
        self.moved.extend(self.keys.iter().map(|key| rows[(key & index_mask) as usize]));
        true
    }

    /// Moves the rows of one site that are not copies to where they are kept; returns the index behind the last.
    fn unique_site(&mut self, table: &Table, rows: &mut [Row], site: SiteRows, merged: &mut Merged) -> usize {
        let SiteRows { rows: site, kept } = site;
        let slots = slots(site.len());
        self.seen.clear();
        self.seen.resize(slots, 0);
        let mut end = kept;
        for index in site {
            let row = rows[index];
            let mut slot = table.hash_id(&row) as usize & (slots - 1);
            loop {
                let Some(winner) = self.seen[slot].checked_sub(1) else {
                    rows[end] = row;
                    // Already so where the event comes from a snapshot.
                    merged.disputed += u64::from(row.disputed);
                    self.seen[slot] = (end - kept) as u32 + 1;
                    end += 1;
                    break;
                };
                let winner = &mut rows[kept + winner as usize];
                if table.same_id(winner, &row) {
                    merged.copies += 1;
                    let agrees = (winner.timestamp, winner.kind, winner.from) == (row.timestamp, row.kind, row.from);
                    if (!agrees || row.disputed) && !winner.disputed {
                        winner.disputed = true;
                        merged.disputed += 1;
                    }
                    break;
                }
                slot = (slot + 1) & (slots - 1);
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::table::Numbered;
    use crate::event::{Event, Id, Kind, Site};
    use proptest::prelude::*;

    fn event<'a>(site: &'a str, id: &'a str, timestamp: i64, from: &'a str) -> Event<'a> {
        let (site, id) = (Site::new(site.as_bytes()), Id::new(id.as_bytes()));
        Event { site, id, from: from.as_bytes(), timestamp, kind: Kind::Message }
    }

    proptest! {
        #[test]
        fn spread_rows_are_in_the_order_of_sorted_ones(
            sites in prop_oneof![Just(1u64), Just(1000), Just(1 << 40), Just(u64::MAX)],
            moments in prop_oneof![Just(1i64), Just(5000), Just(1 << 44), Just(i64::MAX)],
            raw in prop::collection::vec((any::<u64>(), any::<i64>()), 0..3000),
        ) {
            let mut table = Table::default();
            for (number, (site, moment)) in raw.iter().enumerate() {
                let (site, timestamp) = (site % sites, moment % moments);
                let event = Numbered { site, timestamp, from: 0, kind: Kind::Message, disputed: false };
                table.push_row(event, Id::Uuid([0, number as u64]), 0);
            }
            let mut sorted = table.rows.clone();
            sorted.sort_by_key(|row| (row.site, row.timestamp));
            let mut merge = Merge::default();
            let spread = merge.spread(&table.rows);
            prop_assert!(spread || raw.len() < 2 || sites > 1 << 20 || moments > 1 << 40);
            if spread {
                prop_assert_eq!(format!("{:?}", merge.moved), format!("{sorted:?}"));
            }
            merge.order_in_place(&mut table.rows, 20);
            prop_assert_eq!(table.rows.iter().map(key).collect::<Vec<_>>(), sorted.iter().map(key).collect::<Vec<_>>());
            let ids = |rows: &[Row]| rows.iter().map(|row| format!("{:?}", table.id_of(row))).collect::<std::collections::BTreeSet<_>>();
            prop_assert_eq!(ids(&table.rows), ids(&sorted));
        }
    }

    fn unique(events: &[Event<'_>]) -> (Vec<String>, Merged) {
        let mut table = Table::default();
        events.iter().for_each(|event| table.push(event, 0));
        let merged = Merge::default().unique(&mut table);
        let shown = |row: &Row| format!("{:?} {}", table.event(row), row.disputed);
        (table.rows.iter().map(shown).collect(), merged)
    }

    #[test]
    fn copies_go_and_the_first_in_order_wins_however_they_arrive() {
        let events = [
            event("7", "a", 5, "x"),
            event("7", "a", 3, "x"),
            event("7", "a", 5, "x"),
            event("7", "b", 4, "y"),
            event("8", "a", 1, "x"),
            event("x", "a", 1, "x"),
            event("x", "a", 1, "w"),
        ];
        let mut expected = Vec::new();
        for turn in 0..events.len() {
            let mut turned = events;
            turned.rotate_left(turn);
            let (rows, merged) = unique(&turned);
            assert_eq!(merged, Merged { copies: 3, disputed: 2 });
            assert_eq!(rows.len(), 4);
            assert!(rows[0].contains("timestamp: 3") && rows[0].ends_with("true"), "{}", rows[0]);
            if turn == 0 {
                expected = rows;
            } else {
                assert_eq!(rows, expected);
            }
        }
    }

    #[test]
    fn one_id_on_two_sites_is_two_events() {
        let (rows, merged) = unique(&[event("1", "a", 1, "x"), event("2", "a", 1, "x")]);
        assert_eq!((rows.len(), merged), (2, Merged::default()));
    }
}
