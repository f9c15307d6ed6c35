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

/// Orders the rows of a table and drops copies; keeps its buffer.
#[derive(Default)]
pub struct Merge {
    /// Open addressing over the ids of one site: the index of a kept row plus one, or 0.
    seen: Vec<u32>,
}

impl Merge {
    /// Leaves in `table` each event once: those of a site together, and in the order of events. Of copies that disagree
    /// the first in that order stays, however they arrived; it is marked.
    pub fn unique(&mut self, table: &mut Table) -> Merged {
        let mut rows = std::mem::take(&mut table.rows);
        // One number decides nearly always, and without a branch. What it leaves open are the events of one moment.
        let key = |row: &Row| u128::from(row.site) << 64 | u128::from(row.timestamp.cast_unsigned() ^ 1 << 63);
        rows.sort_unstable_by_key(key);
        for moment in rows.chunk_by_mut(|a, b| key(a) == key(b)).filter(|moment| moment.len() > 1) {
            moment.sort_unstable_by(|a, b| table.compare(a, b));
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
        merged
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
        let slots = (site.len() * 2).next_power_of_two();
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

    fn event<'a>(site: &'a str, id: &'a str, timestamp: i64, from: &'a str) -> Event<'a> {
        let (site, id) = (Site::new(site.as_bytes()), Id::new(id.as_bytes()));
        Event { site, id, from: from.as_bytes(), timestamp, kind: Kind::Message }
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
