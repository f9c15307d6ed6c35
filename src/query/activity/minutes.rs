//! The newest minutes, and who is online: what is looked at while events come in.

use std::collections::{BTreeMap, HashMap};

use crate::event::Kind;
use crate::event::table::{Row, Table};

/// The most minutes that are kept.
const MOST: usize = 400;

/// The most names of operators that are kept of a site, and the most bytes of one.
const MOST_NAMES: usize = 3;
const MOST_NAME: usize = 64;

/// Chats and emails of the newest minutes that have a message. What is taken back was counted before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Minutes {
    /// Minutes up to this one are not kept.
    floor: i64,
    counts: BTreeMap<i64, [i64; 2]>,
}

impl Default for Minutes {
    fn default() -> Minutes {
        Minutes { floor: i64::MIN, counts: BTreeMap::new() }
    }
}

impl Minutes {
    /// Counts messages of a minute from 1970 on; takes them back if `messages` is negative.
    pub(crate) fn count(&mut self, minute: i64, online: bool, messages: i64) {
        let mut counts = [0; 2];
        counts[usize::from(!online)] = messages;
        self.put(minute, counts);
    }

    fn put(&mut self, minute: i64, [chats, emails]: [i64; 2]) {
        if minute <= self.floor {
            return;
        }
        let sum = self.counts.entry(minute).or_default();
        *sum = [sum[0] + chats, sum[1] + emails];
        if self.counts.len() > MOST
            && let Some((oldest, _)) = self.counts.pop_first()
        {
            self.floor = oldest;
        }
    }

    /// Adds what another one counted, so many times.
    pub(crate) fn add(&mut self, other: &Minutes, times: i64) {
        self.floor = self.floor.max(other.floor);
        self.counts = self.counts.split_off(&self.floor.saturating_add(1));
        for (minute, [chats, emails]) in &other.counts {
            self.put(*minute, [chats * times, emails * times]);
        }
    }

    /// Chats and emails of so many minutes, the last of which is the newest that is not behind `latest`, if there is one; and which minute
    /// that is. A clock that goes wrong for one event does not hide all others.
    pub fn newest(&self, count: usize, latest: i64) -> (i64, Vec<[u64; 2]>) {
        let newest = |upto: i64| self.counts.range(..=upto).rev().find(|(_, sum)| **sum != [0; 2]);
        let Some((&last, _)) = newest(latest).or_else(|| newest(i64::MAX)) else {
            return (latest, vec![[0; 2]; count]);
        };
        let first = last.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
        let of = |minute: i64| self.counts.get(&minute).map(|sum| sum.map(|sum| u64::try_from(sum).unwrap_or(0)));
        (last, (first + 1..=last).map(|minute| of(minute).unwrap_or_default()).collect())
    }
}

/// Who is online at a site.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Online {
    /// How many operators.
    pub count: u64,
    /// The first of them by name, a few; the start of a long name.
    pub names: Vec<String>,
}

impl Online {
    /// So many, with these names.
    pub(crate) fn of<'n>(count: u64, names: impl Iterator<Item = &'n [u8]>) -> Online {
        let mut first: Vec<&[u8]> = Vec::new();
        for name in names {
            let at = first.partition_point(|other| *other < name);
            if at < MOST_NAMES {
                first.insert(at, name);
                first.truncate(MOST_NAMES);
            }
        }
        let name = |name: &&[u8]| String::from_utf8_lossy(name.get(..MOST_NAME).unwrap_or(name)).into_owned();
        Online { count, names: first.iter().map(name).collect() }
    }

    /// About how many bytes it takes in a table.
    pub(in crate::query) fn bytes(&self) -> usize {
        2 * size_of::<Online>()
            + self.names.iter().map(|name| size_of::<String>() + name.capacity() + 16).sum::<usize>()
    }

    /// Those who are online after all rows of a site, which are in order; so many are.
    pub(crate) fn at_the_end(count: u64, rows: &[Row], table: &Table) -> Online {
        let mut states = HashMap::new();
        for row in rows.iter().filter(|row| count > 0 && !row.kind.is_message()) {
            states.insert(row.from, row.kind == Kind::Online);
        }
        Online::of(count, states.iter().filter(|(_, online)| **online).map(|(from, _)| table.name_of(*from)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_minutes_are_kept_however_they_come() {
        let mut expected = Minutes::default();
        (1_000..1_400).for_each(|minute| expected.count(minute, minute % 2 == 0, 2));
        let mut halves = [Minutes::default(), Minutes::default()];
        for n in 0..2_800i64 {
            let minute = n * 37 % 1_400;
            halves[(n % 2) as usize].count(minute, minute % 2 == 0, 1);
        }
        let mut sum = Minutes::default();
        halves.iter().for_each(|half| sum.add(half, 1));
        assert_eq!(sum.counts, expected.counts);
        assert_eq!(sum.newest(3, i64::MAX), (1_399, vec![[0, 2], [2, 0], [0, 2]]));
        sum.count(1_399, false, -2);
        assert_eq!(sum.newest(2, i64::MAX), (1_398, vec![[0, 2], [2, 0]]), "taken back");
        sum.count(99_999, true, 1);
        assert_eq!(sum.newest(1, 5_000), (1_398, vec![[2, 0]]), "one far ahead");
        assert_eq!(sum.newest(2, 0).0, 99_999, "all are ahead");
    }

    #[test]
    fn the_first_names_are_kept() {
        let names = [&b"d"[..], b"b", b"a", b"c"];
        assert_eq!(
            Online::of(4, names.into_iter()),
            Online { count: 4, names: vec!["a".into(), "b".into(), "c".into()] }
        );
    }
}
