//! Events in order, each once. Copies are dropped here and nowhere else.

use crate::table::{Row, Table};

/// What was dropped and found on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Merged {
    /// Rows that repeated an event.
    pub copies: u64,
    /// Events of which copies disagree in anything but the text of the message.
    pub disputed: u64,
}

/// The most rows that are ordered by way of a second list of them; more are ordered in their place.
const MOST_MOVED: usize = 1 << 18;

/// Rows of a site whose ids are looked up in a roomy table.
const SMALL_SITE: usize = 1 << 11;

/// Rows of a bucket when they are spread: as many as the standard library orders without a division.
const BUCKET: usize = 32;

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
    /// Leaves in `table` each event once: those of a site together, and in the order of events. Of copies that disagree
    /// the first in that order stays, however they arrived; it is marked.
    pub fn unique(&mut self, table: &mut Table) -> Merged {
        let mut rows = std::mem::take(&mut table.rows);
        // One number decides nearly always, and without a branch. What it leaves open are the events of one moment.
        let key = |row: &Row| u128::from(row.site) << 64 | u128::from(row.timestamp.cast_unsigned() ^ 1 << 63);
        if !self.spread(&mut rows) {
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
            kept = self.unique_site(table, &mut rows, start..start + count, kept, &mut merged);
            start += count;
        }
        rows.truncate(kept);
        table.rows = rows;
        if self.seen.len() > MOST_MOVED * 4 {
            // What a giant needed of it is not kept while the giant is folded and encoded.
            self.seen = Vec::new();
        }
        merged
    }

    /// Orders rows by site and timestamp, if they are not too many and range over few enough of both: spreads them over
    /// buckets by the top bits of their site, as neighbouring numbers of sites are about equally busy, and what is left
    /// to order a bucket by fits, with the row's index, into one word. Says whether it did.
    fn spread(&mut self, rows: &mut Vec<Row>) -> bool {
        let count = rows.len();
        if !(2..=MOST_MOVED).contains(&count) {
            return false;
        }
        let (mut first, mut last) = (u64::MAX, 0);
        let (mut earliest, mut latest) = (i64::MAX, i64::MIN);
        for row in &*rows {
            (first, last) = (first.min(row.site), last.max(row.site));
            (earliest, latest) = (earliest.min(row.timestamp), latest.max(row.timestamp));
        }
        let bits = |range: u64| u64::BITS - range.leading_zeros();
        let (site_bits, index_bits) = (bits(last - first), bits(count as u64 - 1));
        let time_bits = bits(latest.wrapping_sub(earliest).cast_unsigned());
        let bucket_bits = site_bits.min(bits((count / BUCKET) as u64));
        let left = site_bits - bucket_bits;
        if left + time_bits + index_bits > u64::BITS {
            return false;
        }
        let bucket = |row: &Row| ((row.site - first) >> left) as usize;
        let site_mask = u64::MAX.unbounded_shr(u64::BITS - left);
        self.ends.clear();
        self.ends.resize(1 << bucket_bits, 0);
        for row in &*rows {
            self.ends[bucket(row)] += 1;
        }
        let mut total = 0;
        for end in &mut self.ends {
            (*end, total) = (total, total + *end);
        }
        self.keys.clear();
        self.keys.resize(count, 0);
        for (index, row) in (0u64..).zip(&*rows) {
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
        std::mem::swap(rows, &mut self.moved);
        true
    }

    /// Moves the rows of one site that are no copies to `kept`; gives the index behind the last.
    fn unique_site(
        &mut self,
        table: &Table,
        rows: &mut [Row],
        site: std::ops::Range<usize>,
        kept: usize,
        merged: &mut Merged,
    ) -> usize {
        // With plenty of room hardly anything collides, and no branch goes the other way; a large site has to do with less.
        let room = if site.len() <= SMALL_SITE { 8 } else { 2 };
        let slots = (site.len() * room).next_power_of_two();
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
                let (id, timestamp) = (Id::Uuid([0, number as u64]), moment % moments);
                table.push_row(site % sites, timestamp, id, 0, Kind::Message, 0, false);
            }
            let mut sorted = table.rows.clone();
            sorted.sort_by_key(|row| (row.site, row.timestamp));
            let mut merge = Merge::default();
            let spread = merge.spread(&mut table.rows);
            prop_assert!(spread || raw.len() < 2 || sites > 1 << 20 || moments > 1 << 40);
            if spread {
                prop_assert_eq!(format!("{:?}", table.rows), format!("{sorted:?}"));
            }
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
