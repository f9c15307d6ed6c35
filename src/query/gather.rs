//! Events of some shards, brought together from wherever they are: the tail of the log, and snapshots.
//!
//! A task is a run of neighbouring shards: every frame gives it one contiguous piece, and so does every snapshot, so each
//! file is read once, in pieces, by as many threads as there are, and no task holds more than its share of the memory.
//! Which threads there are, how large the tasks are and how the store is cut changes nothing in the answer: each shard is
//! ordered and folded alone. Reports and compaction both begin here.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::memory;
use crate::base::shares;
use crate::base::threads::together;
use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::event::Site;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::format::SHARDS;
use crate::format::batch::EventsDecoder;
use crate::format::block::BlockKind;
use crate::format::coding::{shard, site_hash};
use crate::format::frame::SectionKind;
use crate::query::large::Large;
use crate::query::merge::{Merge, Merged};
use crate::query::sections::{SectionFile, SectionRun, events_of};
use crate::segment::{Segment, next_section};
use crate::snapshot::{IndexedSite, Snapshot};
use crate::store::{Place, View};
use std::thread::available_parallelism;

/// Memory that an event takes while its shard is worked on, but for texts.
const BYTES_AN_EVENT: u64 = 64;

/// Bytes of an event in the log, where it has no long texts: more of them are texts.
const SHORT_EVENT: u64 = 24;

/// What rows are, in messages.
const ROWS: &str = "the events of a shard";

/// Rows of a part of a large shard.
const PART: usize = 1 << 16;

/// Rows that tell where the parts begin: the earlier, the fewer have to move once more.
const FIRST: usize = 1 << 13;

/// The most parts, whatever a shard claims to have.
const MOST_PARTS: u64 = 1 << 8;

/// Of that many rows the sites say where a part is split.
const SAMPLE: usize = 1 << 9;

/// A task that is much larger than the caches gains nothing, and small tasks end together.
const TASK: u64 = 8 << 20;

/// Bytes of memory for each thread that works on a shard that does not fit: what it reads and decodes at a time.
const LARGE_SHARE: usize = 8 << 20;

/// A run of neighbouring shards that fit the memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The shards.
    pub shards: RangeInclusive<u8>,
    /// Events in them, more or less.
    pub events: u64,
    /// Bytes of memory that it may take.
    pub share: u64,
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Shards that are worked on by one thread, in memory.
    Task(Task),
    /// A shard that does not fit one thread's share, with the bytes of memory that it would take: all threads work on it.
    Large(u8, u64),
}

/// What there is of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Events.
    pub events: u64,
    /// Bytes of their sections and blocks.
    pub bytes: u64,
}

impl Load {
    /// Adds so many events in so many bytes.
    pub fn add(&mut self, events: u64, bytes: u64) {
        self.events = self.events.saturating_add(events);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// Bytes of memory that it takes, more or less.
    pub fn memory(&self) -> u64 {
        let texts = self.bytes.saturating_sub(self.events.saturating_mul(SHORT_EVENT));
        self.events.saturating_mul(BYTES_AN_EVENT).saturating_add(texts.saturating_mul(2))
    }
}

/// What some frames have, by shard.
pub fn loads_of(frames: &[Place]) -> [Load; SHARDS] {
    let mut loads = [Load::default(); SHARDS];
    for section in frames.iter().flat_map(|place| &place.frame.sections) {
        if section.entry.kind == SectionKind::Events {
            loads[usize::from(section.entry.shard)].add(section.entry.count.into(), section.entry.length.into());
        }
    }
    loads
}

/// How the shards that have events are worked on.
#[derive(Debug)]
pub struct Plan {
    /// In the order of the shards.
    pub work: Vec<Work>,
    /// How many tasks are worked on at a time, each by a thread.
    pub workers: usize,
}

impl Plan {
    /// Plans for so many threads and so much memory, of which tasks get half. There are as many at a time as there are threads, as
    /// long as the shards fit; but if they fit one for each processor, none is put aside for the sake of more.
    pub fn of(loads: &[Load; SHARDS], threads: usize, memory: u64) -> Plan {
        let threads = threads.max(1);
        let (budget, processors) = (memory / 2, available_parallelism().map_or(1, usize::from).min(threads));
        let most = (budget / processors as u64).max(1);
        let needs = loads.iter().map(Load::memory).filter(|need| *need <= most);
        let share = needs.max().unwrap_or(0).clamp(budget / threads as u64, most).max(1);
        let workers = usize::try_from(budget / share).unwrap_or(usize::MAX).clamp(1, threads);
        let mut work: Vec<Work> = Vec::new();
        let mut taken = 0;
        for (number, load) in (0u8..=255).zip(loads).filter(|(_, load)| load.events > 0) {
            let need = load.memory();
            match work.last_mut() {
                _ if need > share => work.push(Work::Large(number, need)),
                Some(Work::Task(last)) if taken + need <= share.min(TASK) && last.shards.end() + 1 == number => {
                    last.shards = *last.shards.start()..=number;
                    last.events += load.events;
                    taken += need;
                }
                _ => {
                    work.push(Work::Task(Task { shards: number..=number, events: load.events, share }));
                    taken = need;
                }
            }
        }
        Plan { work, workers }
    }
}

/// Runs `count` pieces of work on up to `threads` threads, each with a state of its own; gives the states. The first
/// error ends it.
pub fn parallel<S: Send>(
    threads: usize,
    count: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<()> + Sync,
) -> Result<Vec<S>> {
    let (next, phase) = (AtomicUsize::new(0), shares::phase());
    let run = || -> Result<S> {
        let _busy = phase.map(shares::busy);
        let mut state = start();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(state);
            }
            if let Err(error) = work(&mut state, index) {
                next.fetch_max(count, Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    together(threads.min(count), run).into_iter().collect()
}

/// Sites of a shard, with all of their events.
pub struct Gathered<'a> {
    /// The shard.
    pub shard: u8,
    /// The rows: those of a site together, in order and each once.
    pub table: &'a Table,
    /// What was dropped.
    pub merged: Merged,
    /// Whether there were none of this shard before. Those that follow have greater sites, and the texts of the same table.
    pub first: bool,
}

/// The events of the shards of one task, and the buffers they pass through.
#[derive(Default)]
pub struct Gather {
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    merge: Merge,
    tables: Vec<Table>,
    first: u8,
    used: usize,
    parts: Parts,
    share: usize,
}

impl Gather {
    /// Begins with a task: nothing is gathered yet.
    pub fn begin(&mut self, task: &Task) {
        self.first = *task.shards.start();
        self.used = task.shards.clone().count();
        self.tables.resize_with(self.tables.len().max(self.used), Table::default);
        self.tables.iter_mut().for_each(Table::clear);
        self.parts.begin(if self.used == 1 { task.events } else { 0 });
        // What orders the rows comes on top; and where it is not known before, twice as much is no reason to begin anew.
        self.share = usize::try_from(task.share.saturating_mul(2)).unwrap_or(usize::MAX);
    }

    /// Whether what was gathered takes more memory than the task may. Then it ends here: each shard has to be worked on as a large
    /// one.
    pub fn is_full(&self) -> bool {
        let tables = self.tables[..self.used].iter().map(Table::bytes).sum::<usize>();
        tables + self.parts.list.iter().map(|part| size_of_val(&*part.rows)).sum::<usize>()
            > self.share.max(FIRST * size_of::<Row>())
    }

    /// Adds what some frames of these segments hold of the task's shards and of the sites that `wanted` answers for.
    pub fn tail(
        &mut self,
        segments: &[Segment],
        frames: &[Place],
        task: &Task,
        wanted: impl Fn(Site<'_>) -> bool,
    ) -> Result<()> {
        for place in frames {
            let file = SectionFile::Segment(&segments[place.segment]);
            self.sections(&SectionRun { file, sections: &place.frame.sections }, task, &wanted)?;
        }
        Ok(())
    }

    /// The same of one run, unless what was gathered is too much already.
    #[inline]
    pub fn sections(&mut self, run: &SectionRun<'_>, task: &Task, wanted: &impl Fn(Site<'_>) -> bool) -> Result<()> {
        if self.is_full() {
            return Ok(());
        }
        let (file, sections) = (run.file, events_of(run.sections, &task.shards));
        let mut rest = file.read_sections(sections, &mut self.buffer)?;
        for section in sections {
            let bytes = next_section(&mut rest, section);
            file.check(section, bytes)?;
            let (shard, count) = (section.entry.shard, section.entry.count);
            let table = &mut self.tables[usize::from(shard - self.first)];
            make_room(table, bytes, count)?;
            let decoded = self.decoder.decode(bytes, count, shard, table, wanted);
            decoded.map_err(|malformed| file.misencoded(section, malformed))?;
            self.parts.take(table, true)?;
        }
        Ok(())
    }

    /// Adds what a stretch of a snapshot's events holds of the sites that `wanted` answers for. The stretch begins and ends
    /// with a block, and all its blocks are of the task's shards.
    pub fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        stretch: std::ops::Range<u64>,
        wanted: impl Fn(Site<'_>) -> bool,
    ) -> Result<()> {
        let Gather { buffer, decoder, tables, first, used, parts, .. } = self;
        snapshot.blocks(BlockKind::Events, stretch, buffer, |header, bytes| {
            let table = header.shard.checked_sub(*first).map(usize::from).filter(|index| index < used);
            let Some(table) = table.and_then(|index| tables.get_mut(index)) else {
                let found = format!("shard {}", header.shard);
                return Err(snapshot.corrupt(header.offset, "a block of the shard that lies here", found).into());
            };
            make_room(table, bytes, header.count)?;
            let decoded = decoder.decode(bytes, header.count, header.shard, table, &wanted);
            decoded.map_err(|malformed| snapshot.misencoded(header, malformed))?;
            parts.take(table, false)
        })
    }

    /// The rows of the one shard of a task that has no parts.
    pub(crate) fn only(&mut self) -> Option<&mut Table> {
        self.tables.first_mut()
    }

    /// Visits each site that something was gathered of.
    pub fn each_site(&self, mut visit: impl FnMut(Site<'_>)) {
        let mut seen = hashbrown::HashSet::new();
        for table in &self.tables[..self.used] {
            seen.clear();
            let rows = self.parts.list.iter().flat_map(|part| &part.rows).chain(&table.rows);
            rows.filter(|row| seen.insert(row.site)).for_each(|row| visit(table.site_of(row)));
        }
    }

    /// Orders what was gathered, drops copies, and gives it shard by shard; a large shard in several turns.
    pub fn finish(&mut self, mut visit: impl FnMut(Gathered<'_>) -> Result<()>) -> Result<()> {
        for (shard, table) in (self.first..=u8::MAX).zip(&mut self.tables[..self.used]) {
            let mut first = true;
            for number in 0..self.parts.list.len().max(1) {
                let mut swap = |table: &mut Table| {
                    if let Some(part) = self.parts.list.get_mut(number) {
                        std::mem::swap(&mut part.rows, &mut table.rows);
                    }
                };
                swap(table);
                if !table.rows.is_empty() {
                    self.merge.make_room(table)?;
                    let merged = self.merge.unique(table);
                    visit(Gathered { shard, table, merged, first })?;
                    first = false;
                }
                // Each goes on with the memory it had, so that no part's grows to that of the largest.
                swap(table);
            }
        }
        Ok(())
    }
}

/// Makes room for the rows that these bytes say to hold, which are at most as many as their bits.
fn make_room(table: &mut Table, bytes: &[u8], count: u32) -> Result<()> {
    memory::reserve(&mut table.rows, (count as usize).min(bytes.len().saturating_mul(8)), ROWS)
}

/// The rows of a large shard, parted by site as they come in: each part fits the caches when it is ordered, dropped from and
/// folded. A section has its rows by site, so they fall into the parts in runs.
#[derive(Default)]
struct Parts {
    /// How many there shall be; 0 if the rows stay where they are.
    count: usize,
    /// By site; none until there are enough rows.
    list: Vec<Part>,
    /// Memory for the parts of the next large shard.
    spare: Vec<Vec<Row>>,
}

struct Part {
    /// Its sites are at least this, as [`Row::number`] has it.
    least: u64,
    /// With more rows it is split.
    most: usize,
    rows: Vec<Row>,
}

impl Parts {
    /// Begins with a shard of about so many events.
    fn begin(&mut self, events: u64) {
        self.count = (events / PART as u64).min(MOST_PARTS) as usize;
        self.spare.extend(self.list.drain(..).map(|part| part.rows));
        // What a giant needed is not kept, nor more than this shard is going to need.
        self.spare.retain(|rows| rows.capacity() <= 2 * PART);
        self.spare.truncate(2 * self.count);
        self.spare.iter_mut().for_each(Vec::clear);
        if self.count < 3 {
            self.count = 0;
        }
    }

    /// Takes the rows of a table, if there are to be parts. Whether they are `mixed`, some of every site, decides whether the
    /// first ones tell where the parts begin; if they are not, a part begins when the one before it is full.
    fn take(&mut self, table: &mut Table, mixed: bool) -> Result<()> {
        if self.count == 0 || self.list.is_empty() && table.rows.len() < FIRST {
            return Ok(());
        }
        if self.list.is_empty() {
            let rows = std::mem::replace(&mut table.rows, self.memory()?);
            self.list.push(Part { least: 0, most: 2 * PART, rows });
            let mut before = 0;
            while mixed && before < self.list.len() && self.list.len() < self.count {
                before = self.list.len();
                (0..before).rev().try_for_each(|number| self.split(number))?;
            }
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

    /// Splits a part at the site in its middle, if it has more than one.
    fn split(&mut self, number: usize) -> Result<()> {
        let part = &mut self.list[number];
        // If it cannot be split, not every row is a reason to try again.
        part.most = part.most.max(2 * part.rows.len());
        let some = part.rows.iter().step_by(part.rows.len().div_ceil(SAMPLE).max(1));
        let mut sites: Vec<u64> = some.map(Row::number).collect();
        sites.sort_unstable();
        let above_least = sites.partition_point(|site| Some(site) == sites.first());
        let Some(&middle) = sites.get(above_least.max(sites.len() / 2)) else { return Ok(()) };
        let mut rows = self.memory()?;
        let part = &mut self.list[number];
        // The greater half stays where it is: rows that come in the order of sites go on there.
        let least = std::mem::replace(&mut part.least, middle);
        part.most = 2 * PART;
        rows.extend(part.rows.extract_if(.., |row| row.number() < middle));
        self.list.insert(number, Part { least, most: 2 * PART, rows });
        Ok(())
    }

    /// Memory for a part: what it will hold, and some, since growing would copy it.
    fn memory(&mut self) -> Result<Vec<Row>> {
        self.spare.pop().map_or_else(|| memory::list(PART + PART / 4, ROWS), Ok)
    }
}

/// The rows of each site, in turn.
pub fn by_site(table: &Table) -> impl Iterator<Item = &[Row]> {
    table.rows.chunk_by(|a, b| a.site == b.site)
}

impl Limits {
    /// The same for a shard that does not fit: half of the memory, and no more threads than have room for what they read and decode
    /// at a time, nor many more than there are processors: each has a part of the memory, and puts aside the more, the less it is.
    pub(crate) fn for_large(&self) -> Limits {
        let useful = available_parallelism().map_or(1, usize::from).max(4).min(self.threads.max(1));
        let threads = (self.bytes() / LARGE_SHARE).clamp(1, useful);
        Limits { threads, memory: self.memory / 2, scratch: self.scratch.clone() }
    }
}

/// Visits the events of one site, in order and each once, some at a time; reads nothing that cannot hold some.
pub fn each_of_site(
    view: &View,
    name: &[u8],
    limits: &Limits,
    visit: &mut dyn FnMut(&Table, &[Row]) -> Result<()>,
) -> Result<()> {
    let site = Site::new(name);
    let shard = shard(site_hash(site));
    let mut stretches = Vec::new();
    let mut load = Load::default();
    for snapshot in &view.snapshots {
        if let Some(IndexedSite { entry, .. }) = snapshot.site(&site.into(), &mut Vec::new())? {
            load.add(entry.events, entry.length);
            stretches.push((snapshot, entry.at..entry.at.saturating_add(entry.length)));
        }
    }
    let share = limits.memory / 4;
    if load.memory() <= share {
        let task = Task { shards: shard..=shard, events: 0, share };
        let mut gather = Gather::default();
        gather.begin(&task);
        for (snapshot, stretch) in &stretches {
            gather.snapshot(snapshot, stretch.clone(), |other| other == site)?;
        }
        gather.tail(&view.segments, &view.frames, &task, |other| other == site)?;
        if !gather.is_full() {
            return gather.finish(|gathered| visit(gathered.table, &gathered.table.rows));
        }
    }
    let tail = loads_of(&view.frames)[usize::from(shard)];
    load.add(tail.events, tail.bytes);
    let large = Large::new(&limits.for_large(), shard, load.memory());
    large.tail(&view.segments, &view.frames, |other| other == site, None)?;
    for (snapshot, stretch) in stretches {
        large.snapshot(snapshot, std::iter::once(stretch), |other| other == site)?;
    }
    let mut visit = |table: &Table| visit(table, &table.rows).map(|()| true);
    large.finish(Window::ALL, None, Some(&mut visit)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Id, Kind};

    /// So many rows in sections of 100, site by `site`; they are in the order of their sites unless they are `mixed`.
    fn parted(parts: &mut Parts, count: usize, mixed: bool, site: impl Fn(u64) -> u64) {
        let mut table = Table::default();
        let mut sum = 0;
        parts.begin(count as u64);
        for number in 0..count as u64 {
            let site = match site(number) {
                site if mixed && site.is_multiple_of(2) => table.site(Site::Text(format!("x{site}").as_bytes())),
                site => site,
            };
            table.push_row(site, number as i64, Id::Uuid([0, number]), 0, Kind::Message, 0, false);
            sum += number as i64;
            if number % 100 == 99 {
                parts.take(&mut table, mixed).unwrap();
                assert_eq!(parts.list.is_empty(), number + 1 < FIRST as u64, "at {number}");
            }
        }
        parts.take(&mut table, mixed).unwrap();
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
            parted(&mut parts, PART * 3, true, |number| (number / 7).wrapping_mul(0x9e37_79b9) % 1000);
            assert_eq!(parts.list.len(), 3);
            // The names are half of the rows.
            assert!(parts.list.iter().all(|part| part.rows.len() > PART / 4));
        }
        parts.begin(u64::MAX);
        assert_eq!(parts.count as u64, MOST_PARTS);
        parts.begin(PART as u64 * 3 - 1);
        parts.take(&mut Table::default(), true).unwrap();
        assert!(parts.list.is_empty(), "a shard that fits the caches as it is");
    }

    #[test]
    fn parts_are_small_however_the_rows_arrive_and_their_memory_is_too() {
        let mut parts = Parts::default();
        for count in [PART * 20, PART * 12, PART * 20] {
            // As a snapshot has them, and one after another.
            for site in [|number: u64| number / 50, |number: u64| number % (PART as u64 * 12) / 50] {
                parted(&mut parts, count, false, site);
                assert!(parts.list.iter().all(|part| part.rows.len() <= 2 * PART + 100));
                assert!(room(&parts) <= count * 2, "room for {} rows, of which there are {count}", room(&parts));
            }
        }
        // A site cannot be split.
        parted(&mut parts, PART * 20, false, |number| number / (PART as u64 * 15));
        assert!(parts.list.iter().any(|part| part.rows.len() == PART * 15));
        parts.begin(PART as u64 * 3);
        assert!(room(&parts) <= PART * 8);
    }

    #[test]
    fn every_shard_that_has_events_is_taken_whatever_it_claims_to_have() {
        let mut loads = [Load::default(); SHARDS];
        for (shard, events) in [(0, 1), (1, 2), (3, 70), (254, u64::MAX), (255, u64::MAX)] {
            loads[shard].add(events, events);
        }
        let plan = Plan::of(&loads, 1, 2 * 64 * 4);
        assert_eq!(plan.workers, 1);
        let (shards, share) = (0..=1, 64 * 4);
        let huge = |shard| Work::Large(shard, u64::MAX);
        let expected = [Work::Task(Task { shards, events: 3, share }), Work::Large(3, 70 * 64), huge(254), huge(255)];
        assert_eq!(plan.work, expected);
    }

    #[test]
    fn threads_take_memory_from_each_other_only_as_long_as_shards_fit() {
        let mut loads = [Load::default(); SHARDS];
        loads.iter_mut().for_each(|load| load.add(1 << 14, 22 << 14));
        let need = loads[0].memory();
        for threads in [1, 2, 7, 64, 1000] {
            let plan = Plan::of(&loads, threads, 32 << 20);
            assert!(plan.work.iter().all(|work| matches!(work, Work::Task(_))), "{threads}");
            assert!(plan.workers as u64 * need <= 16 << 20 && plan.workers <= threads);
            assert!(plan.workers == threads.min(16), "{threads}: {}", plan.workers);
            let limits =
                Limits { threads, memory: 32 << 20, scratch: crate::disk::scratch::Scratch::for_readers(None) };
            assert_eq!(limits.for_large().threads, threads.min(4), "8 MiB each");
        }
    }
}
