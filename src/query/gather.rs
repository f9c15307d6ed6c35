//! Events of some shards, brought together from wherever they are: the tail of the log, and snapshots.
//!
//! A task is a run of neighbouring shards. Every frame gives it one contiguous piece, and so does every snapshot: so each file is read
//! once, in pieces, by as many threads as there are, and no task holds more than its share of the memory. Each shard is ordered and
//! folded alone: so the number of threads, the size of the tasks and how the store is cut change nothing in the answer. Reports and
//! compaction both begin here. What does not fit the memory is for `large`.

mod parallel;
mod parts;
mod plan;

use std::ops::Range;

use crate::base::memory;
use crate::error::Result;
use crate::event::Site;
use crate::event::table::{Row, Table};
use crate::format::block::BlockKind;
use crate::format::coding::Decoded;
use crate::format::events::{EventsDecoder, PackedEvents};
use crate::query::merge::{Merge, Merged};
use crate::query::sections::{SectionFile, SectionRun, events_of};
use crate::segment::{Segment, next_section};
use crate::snapshot::Snapshot;
use crate::store::Place;
pub use parallel::parallel;
use parts::{Arrival, FIRST_ROWS, Parts, ROWS};
pub use plan::{Load, ReadPlan, Task, Work, loads_of};

/// Sites of a shard, with all of their events.
pub struct Gathered<'a> {
    /// The shard.
    pub shard: u8,
    /// The rows: those of a site together, in order and each once.
    pub table: &'a Table,
    /// What was dropped.
    pub merged: Merged,
    /// Whether these are the first of the shard. Those that follow have greater sites, and the texts of the same table.
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
        // What orders the rows comes on top. And where the need is not known beforehand, twice as much is no reason to begin anew.
        self.share = usize::try_from(task.share.saturating_mul(2)).unwrap_or(usize::MAX);
    }

    /// Whether what was gathered takes more memory than the task may. Then it ends here, and each shard has to be worked on as a large
    /// one.
    pub fn is_full(&self) -> bool {
        let tables = self.tables[..self.used].iter().map(Table::bytes).sum::<usize>();
        tables + self.parts.list.iter().map(|part| size_of_val(&*part.rows)).sum::<usize>()
            > self.share.max(FIRST_ROWS * size_of::<Row>())
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
            let entry = section.entry;
            let table = &mut self.tables[usize::from(entry.shard - self.first)];
            make_room(table, bytes, entry.count)?;
            let decoded = self.decoder.decode(entry.packed_events(bytes), table, wanted);
            decoded.map_err(|malformed| file.misencoded(section, malformed))?;
            self.parts.take(table, Arrival::Mixed)?;
        }
        Ok(())
    }

    /// Adds what a stretch of a snapshot's events holds of the sites that `wanted` answers for. The stretch begins and ends
    /// with a block, and all its blocks are of the task's shards.
    pub fn snapshot(
        &mut self,
        snapshot: &Snapshot,
        stretch: Range<u64>,
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
            let decoded = decoder.decode(header.packed_events(bytes), table, &wanted);
            decoded.map_err(|malformed| snapshot.misencoded(header, malformed))?;
            parts.take(table, Arrival::BySite)
        })
    }

    /// Adds events that somebody kept, of one of the task's shards.
    pub(crate) fn packed(&mut self, packed: PackedEvents<'_>) -> Result<Decoded<()>> {
        let table = packed.shard.checked_sub(self.first).and_then(|index| self.tables.get_mut(usize::from(index)));
        let Some(table) = table else { return Ok(Ok(())) };
        make_room(table, packed.bytes, packed.count)?;
        let decoded = self.decoder.decode(packed, table, |_| true);
        self.parts.take(table, Arrival::Mixed)?;
        Ok(decoded)
    }

    /// The rows of the one shard of a task that has no parts.
    pub(crate) fn only(&mut self) -> Option<&mut Table> {
        self.tables.first_mut()
    }

    /// Visits each site of which something was gathered.
    pub fn each_site(&self, mut visit: impl FnMut(Site<'_>)) {
        let mut seen = hashbrown::HashSet::new();
        for table in &self.tables[..self.used] {
            seen.clear();
            let rows = self.parts.list.iter().flat_map(|part| &part.rows).chain(&table.rows);
            rows.filter(|row| seen.insert(row.site)).for_each(|row| visit(table.site_of(row)));
        }
    }

    /// Orders what was gathered, drops copies, and visits it shard by shard; a shard in parts, part by part.
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
                // Each part keeps its own memory, so that no part's grows to that of the largest.
                swap(table);
            }
        }
        Ok(())
    }
}

/// Makes room for `count` rows, but for no more than the bytes have bits.
fn make_room(table: &mut Table, bytes: &[u8], count: u32) -> Result<()> {
    memory::reserve(&mut table.rows, (count as usize).min(bytes.len().saturating_mul(8)), ROWS)
}

/// The rows of each site, in turn.
pub fn by_site(table: &Table) -> impl Iterator<Item = &[Row]> {
    table.rows.chunk_by(|a, b| a.site == b.site)
}
