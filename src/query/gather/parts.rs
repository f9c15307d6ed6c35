//! The rows of one large shard, in parts: each part fits the caches when it is ordered, freed of copies and folded.

use crate::base::memory;
use crate::error::Result;
use crate::event::table::{Row, Table};

/// What rows are, in messages.
pub(super) const ROWS: &str = "the events of a shard";

/// Rows of a part.
const PART_ROWS: usize = 1 << 16;

/// So many rows decide where the parts begin. The fewer they are, the fewer rows have to move once more.
pub(super) const FIRST_ROWS: usize = 1 << 13;

/// The most parts, whatever a shard claims to have.
const MOST_PARTS: u64 = 1 << 8;

/// Where a part is split is decided by the sites of so many of its rows.
const SAMPLE_ROWS: usize = 1 << 9;

/// How rows come in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// Section after section, each with some rows of every site: as frames have them.
    Mixed,
    /// Site after site, as a snapshot has them.
    BySite,
}

/// The rows of a large shard, parted by site as they come in. A section has its rows by site, so they fall into the parts in runs.
#[derive(Default)]
pub(super) struct Parts {
    /// How many parts there shall be; 0 if the rows stay where they are.
    count: usize,
    /// The parts by site; none until there are enough rows.
    pub(super) list: Vec<Part>,
    /// Memory for the parts of the next large shard.
    spare: Vec<Vec<Row>>,
}

/// The rows of some neighbouring sites.
pub(super) struct Part {
    /// Its sites are at least this, as [`Row::number`] has it.
    least: u64,
    /// With more rows it is split.
    most: usize,
    pub(super) rows: Vec<Row>,
}

impl Parts {
    /// Begins with a shard of about so many events; 0 for no parts.
    pub(super) fn begin(&mut self, events: u64) {
        self.count = (events / PART_ROWS as u64).min(MOST_PARTS) as usize;
        self.spare.extend(self.list.drain(..).map(|part| part.rows));
        // What a giant needed is not kept, nor more than this shard is going to need.
        self.spare.retain(|rows| rows.capacity() <= 2 * PART_ROWS);
        self.spare.truncate(2 * self.count);
        self.spare.iter_mut().for_each(Vec::clear);
        if self.count < 3 {
            self.count = 0;
        }
    }

    /// Takes the rows of a table, if there are to be parts. The first rows decide where the parts begin if they are mixed; if they are
    /// not, a part begins when the one before it is full.
    pub(super) fn take(&mut self, table: &mut Table, arrival: Arrival) -> Result<()> {
        if self.count == 0 || self.list.is_empty() && table.rows.len() < FIRST_ROWS {
            return Ok(());
        }
        if self.list.is_empty() {
            self.begin_parts(table, arrival)?;
        }
        let mut rest = table.rows.as_slice();
        while let Some(first) = rest.first() {
            let number = self.list.partition_point(|part| part.least <= first.number()).saturating_sub(1);
            let end = self.list.get(number + 1).map_or(u64::MAX, |part| part.least);
            let part = &mut self.list[number];
            let here = part.least..end;
            let (run, behind) = rest.split_at(rest.iter().take_while(|row| here.contains(&row.site)).count());
            memory::reserve(&mut part.rows, run.len(), ROWS)?;
            part.rows.extend_from_slice(run);
            rest = behind;
            if part.rows.len() > part.most {
                self.split(number)?;
            }
        }
        table.rows.clear();
        Ok(())
    }

    /// Makes a first part of the rows of a table, and of mixed ones as many parts as there shall be.
    fn begin_parts(&mut self, table: &mut Table, arrival: Arrival) -> Result<()> {
        let rows = std::mem::replace(&mut table.rows, self.memory()?);
        self.list.push(Part { least: 0, most: 2 * PART_ROWS, rows });
        let mut before = 0;
        while arrival == Arrival::Mixed && before < self.list.len() && self.list.len() < self.count {
            before = self.list.len();
            (0..before).rev().try_for_each(|number| self.split(number))?;
        }
        Ok(())
    }

    /// Splits a part at the site in its middle, if it has more than one.
    fn split(&mut self, number: usize) -> Result<()> {
        let part = &mut self.list[number];
        // If it cannot be split, not every further row is a reason to try again.
        part.most = part.most.max(2 * part.rows.len());
        let some = part.rows.iter().step_by(part.rows.len().div_ceil(SAMPLE_ROWS).max(1));
        let mut sites: Vec<u64> = some.map(Row::number).collect();
        sites.sort_unstable();
        let above_least = sites.partition_point(|site| Some(site) == sites.first());
        let Some(&middle) = sites.get(above_least.max(sites.len() / 2)) else { return Ok(()) };
        let mut rows = self.memory()?;
        let part = &mut self.list[number];
        // The greater half stays where it is: rows that come site after site continue there.
        let least = std::mem::replace(&mut part.least, middle);
        part.most = 2 * PART_ROWS;
        rows.extend(part.rows.extract_if(.., |row| row.number() < middle));
        self.list.insert(number, Part { least, most: 2 * PART_ROWS, rows });
        Ok(())
    }

    /// Memory for a part: what it will hold and some more, since growing would copy it.
    fn memory(&mut self) -> Result<Vec<Row>> {
        self.spare.pop().map_or_else(|| memory::list(PART_ROWS + PART_ROWS / 4, ROWS), Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::table::Numbered;
    use crate::event::{Id, Kind, Site};

    /// So many rows in sections of 100, each of the site that `site` gives.
    fn parted(parts: &mut Parts, count: usize, arrival: Arrival, site: impl Fn(u64) -> u64) {
        let mixed = arrival == Arrival::Mixed;
        let mut table = Table::default();
        let mut sum = 0;
        parts.begin(count as u64);
        for number in 0..count as u64 {
            let site = match site(number) {
                site if mixed && site.is_multiple_of(2) => table.site(Site::Text(format!("x{site}").as_bytes())),
                site => site,
            };
            let event = Numbered { site, timestamp: number as i64, from: 0, kind: Kind::Message, disputed: false };
            table.push_row(event, Id::Uuid([0, number]), 0);
            sum += number as i64;
            if number % 100 == 99 {
                parts.take(&mut table, arrival).unwrap();
                assert_eq!(parts.list.is_empty(), number + 1 < FIRST_ROWS as u64, "at {number}");
            }
        }
        parts.take(&mut table, arrival).unwrap();
        assert!(table.rows.is_empty());
        assert_eq!(parts.list.iter().flat_map(|part| &part.rows).map(|row| row.timestamp).sum::<i64>(), sum);
        assert!(parts.list.is_sorted_by(|a, b| a.least < b.least));
        for (number, part) in parts.list.iter().enumerate() {
            let next = parts.list.get(number + 1).map_or(u64::MAX, |part| part.least);
            assert!(part.rows.iter().all(|row| (part.least..next).contains(&row.number())));
            let names = part.rows.iter().filter(|row| row.number() != row.site).count();
            assert!(number + 1 == parts.list.len() || names == 0, "the names are in one part");
        }
    }

    fn room(parts: &Parts) -> usize {
        parts.list.iter().map(|part| part.rows.capacity()).chain(parts.spare.iter().map(Vec::capacity)).sum()
    }

    #[test]
    fn parts_hold_every_row_and_each_its_sites() {
        let mut parts = Parts::default();
        for _ in 0..2 {
            parted(&mut parts, PART_ROWS * 3, Arrival::Mixed, |number| (number / 7).wrapping_mul(0x9e37_79b9) % 1000);
            assert_eq!(parts.list.len(), 3);
            // The names are half of the rows.
            assert!(parts.list.iter().all(|part| part.rows.len() > PART_ROWS / 4));
        }
        parts.begin(u64::MAX);
        assert_eq!(parts.count as u64, MOST_PARTS);
        parts.begin(PART_ROWS as u64 * 3 - 1);
        parts.take(&mut Table::default(), Arrival::Mixed).unwrap();
        assert!(parts.list.is_empty(), "a shard that fits the caches as it is");
    }

    #[test]
    fn parts_are_small_however_the_rows_arrive_and_their_memory_is_too() {
        let mut parts = Parts::default();
        for count in [PART_ROWS * 20, PART_ROWS * 12, PART_ROWS * 20] {
            // As a snapshot has them, and one after another.
            for site in [|number: u64| number / 50, |number: u64| number % (PART_ROWS as u64 * 12) / 50] {
                parted(&mut parts, count, Arrival::BySite, site);
                assert!(parts.list.iter().all(|part| part.rows.len() <= 2 * PART_ROWS + 100));
                assert!(room(&parts) <= count * 2, "room for {} rows, of which there are {count}", room(&parts));
            }
        }
        // A site cannot be split.
        parted(&mut parts, PART_ROWS * 20, Arrival::BySite, |number| number / (PART_ROWS as u64 * 15));
        assert!(parts.list.iter().any(|part| part.rows.len() == PART_ROWS * 15));
        parts.begin(PART_ROWS as u64 * 3);
        assert!(room(&parts) <= PART_ROWS * 8);
    }
}
