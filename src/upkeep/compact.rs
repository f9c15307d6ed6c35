//! Folding sealed segments into snapshots, and small snapshots into larger ones.
//!
//! Tiers: what is folded are the sealed segments of the tail, and every snapshot before them that is at most twice as large as
//! what is folded already. So a snapshot is rewritten only by something at least half as large, an event is rewritten a
//! number of times that grows with the logarithm of the store, and there are no more snapshots than that.
//!
//! The holder of the lock compacts: the `compact` command, or a thread of ingest. Nothing is deleted before the snapshot that
//! replaces it is durable under its final name; a crash anywhere leaves at most files that the next writer removes.

mod room;

use std::collections::BTreeSet;
use std::io;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use crate::base::memory;
use crate::base::shares::busy;
use crate::base::threads::start;
use crate::base::turns::Turns;
use crate::disk::scratch::Limits;
use crate::disk::scratch::Scratch;
use crate::disk::{Storage, explained, path_of};
use crate::error::{Corruption, Error, Result};
use crate::event::SiteName;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::format::Uid;
use crate::format::batch::EventsEncoder;
use crate::format::block::{BLOCK_HEADER, BlockKind, SiteEntry, SnapshotHeader, put_checkpoint};
use crate::format::frame::{FrameKind, SEGMENT_HEADER};
use crate::query::fold::Fold;
use crate::query::gather::{Gather, Gathered, Plan as Parting, Task, Work, by_site, loads_of, parallel};
use crate::query::large::Large;
use crate::segment::Segment;
use crate::snapshot::lines::{Finder, Line, Lines, SortedLines};
use crate::snapshot::{IndexedSite, PendingBlock, Snapshot, SnapshotWriter};
use crate::store::log::Tail;
use crate::store::{Known, Place, View, copies_of, each_section_of_rejects, segment_name, snapshot_name};

pub use room::{measure, needed_for, refuse_no_room, room_of};

/// Bytes of sealed segments at which ingest folds them, unless told otherwise.
pub const TAIL: u64 = 1 << 30;

/// Events of a block, but for a site that begins a block: what is read and decoded to answer for one small site.
const BLOCK_EVENTS: usize = 2048;

/// What a compaction is called where it is measured.
const PHASE: &str = "compact";

/// What the index is made of, in messages.
const SITES: &str = "the sites of a snapshot";
/// The same of what it leads to.
const BLOCKS: &str = "the blocks of a snapshot";

/// Bytes up to which a block may grow that is full of one large site, if most of them are names: each block has the names of
/// its events in it, so that those of thousands of visitors would be written again and again.
const BLOCK_OF_NAMES: usize = 1 << 20;

/// What a compaction beside an ingest leaves free for the ingest.
const SPARE: u64 = 64 << 20;

/// What a compaction takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The segments that the new snapshot covers.
    pub covers: RangeInclusive<u64>,
    /// Snapshots among them, the last ones of the store.
    pub snapshots: usize,
    /// Segments among them, the first ones of the tail.
    pub segments: usize,
    /// Bytes of these files: what is read, freed in the end, and written at most, give or take an index.
    pub bytes: u64,
}

impl Plan {
    /// What there is to fold in a store: nothing, unless it has sealed segments, or several snapshots and `all` are to become
    /// one. `roll` counts the last segment among the sealed ones, if it holds frames.
    pub fn of(view: &View, all: bool, roll: bool) -> Option<Plan> {
        let sealed = view.sealed();
        let last = view.segments.get(sealed).filter(|last| roll && last.length > SEGMENT_HEADER as u64);
        let segments = sealed + usize::from(last.is_some());
        let mut bytes: u64 = view.segments.iter().take(segments).map(|segment| segment.length).sum();
        let mut snapshots = 0;
        for snapshot in view.snapshots.iter().rev() {
            if !all && snapshot.length() / 2 > bytes {
                break;
            }
            bytes += snapshot.length();
            snapshots += 1;
        }
        if segments == 0 && snapshots < 2 {
            return None;
        }
        let first = match view.snapshots.len().checked_sub(snapshots).and_then(|kept| view.snapshots.get(kept)) {
            Some(snapshot) => snapshot.header.first,
            None => view.segments.first()?.header.number,
        };
        let last = match segments.checked_sub(1).and_then(|last| view.segments.get(last)) {
            Some(segment) => segment.header.number,
            None => view.snapshots.last()?.header.last,
        };
        Some(Plan { covers: first..=last, snapshots, segments, bytes })
    }
}

/// How to compact.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory, all threads together. What does not fit is put aside in temporary files.
    pub memory: u64,
    /// Where these are, if not in the store's directory.
    pub temp: Option<PathBuf>,
    /// Fold everything into one snapshot.
    pub all: bool,
}

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The segments that the new snapshot covers.
    pub covers: RangeInclusive<u64>,
    /// Bytes of the files that were folded, and are free now.
    pub freed: u64,
    /// Of these, bytes of segments.
    pub tail: u64,
    /// Bytes of the snapshot.
    pub written: u64,
    /// Events in it, each once.
    pub events: u64,
    /// Sites in it.
    pub sites: u64,
}

/// What is folded.
pub(crate) struct Inputs<'a> {
    pub(crate) store: Uid,
    pub(crate) snapshots: &'a [Snapshot],
    pub(crate) segments: &'a [Segment],
    pub(crate) frames: &'a [Place],
}

/// Folds what [`Plan::of`] finds in a store of which the caller holds the lock; `progress` is told the share that is done.
/// Gives nothing if there is nothing to fold, or once `stop` is set: then the store is as it was. Whether there is room,
/// [`refuse_no_room`] tells.
pub fn compact(
    storage: &dyn Storage,
    options: &CompactOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Outcome>> {
    compact_files(storage, options, stop, progress).map_err(|error| explained(storage, error))
}

fn compact_files(
    storage: &dyn Storage,
    options: &CompactOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Outcome>> {
    let view = View::open(storage)?;
    let Some(plan) = Plan::of(&view, options.all, false) else { return Ok(None) };
    fold_into_one(storage, (&view, plan), &Tail::default(), options, stop, progress)
}

/// The same beside a writer, to which it leaves room.
fn compact_beside(
    storage: &dyn Storage,
    options: &CompactOptions,
    give_up: &AtomicBool,
    tail: &Tail,
) -> Result<Option<Outcome>> {
    let view = View::open(storage)?;
    let Some(plan) = Plan::of(&view, options.all, false) else { return Ok(None) };
    if !refuse_no_room(storage, &view, &plan, options, give_up, SPARE)? {
        return Ok(None);
    }
    // The ingest writes meanwhile, and whoever else. Looked at after each piece, as the signal to give up is.
    let (stop, full) = (AtomicBool::new(give_up.load(Ordering::Relaxed)), AtomicBool::new(false));
    let look = |_| {
        let is_full = room_of(storage).is_ok_and(|room| room.is_some_and(|room| room < SPARE / 2));
        full.fetch_or(is_full, Ordering::Relaxed);
        stop.fetch_or(is_full | give_up.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let path = path_of(storage, &snapshot_name(&plan.covers));
    let outcome = fold_into_one(storage, (&view, plan), tail, options, &stop, &look)?;
    match outcome {
        None if full.load(Ordering::Relaxed) => {
            let problem = "the disk became so full that the ingest needs what is left";
            Err(Error::io("write", path)(io::Error::new(io::ErrorKind::StorageFull, problem)))
        }
        outcome => Ok(outcome),
    }
}

/// Writes and publishes the snapshot, and removes what it replaces.
fn fold_into_one(
    storage: &dyn Storage,
    (view, plan): (&View, Plan),
    tail: &Tail,
    options: &CompactOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Outcome>> {
    let inputs = Inputs::of(view, &plan);
    let inherited = inputs.inherited(&plan, view, tail)?;
    let name = snapshot_name(&plan.covers);
    let mut writer = SnapshotWriter::create(storage, &name, inputs.header(&plan)?)?;
    let (copies, events, sites) = match inputs.write(&mut writer, &inherited, options, stop, progress) {
        Ok(Some(written)) if !stop.load(Ordering::Relaxed) => written,
        unfinished => {
            writer.abandon();
            return unfinished.map(|_| None);
        }
    };
    let written = writer.publish(copies)?;
    // Durable under its name: only now may what it replaces go.
    let replaced = inputs.snapshots.iter().map(|old| snapshot_name(&(old.header.first..=old.header.last)));
    for name in replaced.chain(inputs.segments.iter().map(|segment| segment_name(segment.header.number))) {
        storage.remove(&name).map_err(Error::io("remove", path_of(storage, &name)))?;
    }
    storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
    // What is told to be done is done where the path leads.
    storage.in_place()?;
    let tail = inputs.segments.iter().map(|segment| segment.length).sum();
    Ok(Some(Outcome { covers: plan.covers, freed: plan.bytes, tail, written, events, sites }))
}

/// The most bytes of a piece that are held until the shards before it are written.
const PIECE: usize = 8 << 20;

/// What one task became.
#[derive(Default)]
struct Piece {
    blocks: Vec<PendingBlock>,
    bytes: Vec<u8>,
    /// Bytes before these that are written already.
    written: u64,
    /// Its sites, with places that count from its start.
    sites: Vec<IndexedSite>,
    /// Bytes that are held until they are written.
    most: usize,
}

impl<'v> Inputs<'v> {
    /// What a plan takes of a view.
    fn of(view: &'v View, plan: &Plan) -> Inputs<'v> {
        Inputs {
            store: view.store(),
            snapshots: &view.snapshots[view.snapshots.len() - plan.snapshots..],
            segments: &view.segments[..plan.segments],
            frames: &view.frames[..view.frames.partition_point(|place| place.segment < plan.segments)],
        }
    }

    /// Where the chain of frames comes in and where it goes on.
    fn header(&self, plan: &Plan) -> Result<SnapshotHeader> {
        let (first, last) = (self.frames.first().map(|place| place.frame.header), self.frames.last());
        let old = |snapshot: Option<&Snapshot>| snapshot.map(|snapshot| snapshot.header).unwrap_or_default();
        let (before, behind) = (old(self.snapshots.first()), old(self.snapshots.last()));
        let (first_sequence, first_previous) = match (self.snapshots.is_empty(), first) {
            (true, Some(first)) => (first.sequence, first.previous),
            _ => (before.first_sequence, before.first_previous),
        };
        let (next_sequence, next_previous) = match last.map(|place| place.frame.header) {
            Some(seal) => (seal.sequence + 1, seal.crc),
            None => (behind.next_sequence, behind.next_previous),
        };
        Ok(SnapshotHeader {
            store: self.store,
            first: *plan.covers.start(),
            last: *plan.covers.end(),
            first_sequence,
            first_previous,
            next_sequence,
            next_previous,
            ..SnapshotHeader::default()
        })
    }

    /// What the snapshot says of the inputs.
    fn inherited(&self, plan: &Plan, view: &View, tail: &Tail) -> Result<Known> {
        let mut known = Known::of(self.snapshots, self.segments, self.frames)?;
        let mut elsewhere = BTreeSet::new();
        for snapshot in &view.snapshots[..view.snapshots.len() - plan.snapshots] {
            elsewhere.extend(snapshot.inputs.iter().map(|input| input.checkpoint.instance));
        }
        for place in view.frames.iter().filter(|place| place.segment >= plan.segments) {
            let segment = &view.segments[place.segment];
            match place.frame.header.kind {
                FrameKind::Batch => drop(elsewhere.insert(place.checkpoint(segment)?.instance)),
                // In a sum it would be forgotten no longer, or all of the sum with it.
                FrameKind::Forget => elsewhere.extend(place.forgotten(segment)?),
                _ => {}
            }
        }
        tail.take_away(|read| {
            elsewhere.extend(read);
            known.add_up_pipes(&elsewhere)
        });
        if *plan.covers.start() == 1 {
            // Before the first segment there is nothing to be forgotten.
            known.forgotten.clear();
        }
        Ok(known)
    }

    /// Writes all regions of the snapshot; gives the numbers of dropped copies, of events and of sites.
    fn write(
        &self,
        writer: &mut SnapshotWriter<'_>,
        inherited: &Known,
        options: &CompactOptions,
        stop: &AtomicBool,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Option<(u64, u64, u64)>> {
        let _busy = busy(PHASE);
        let Some((lines, dropped)) = self.fold(writer, options, stop, progress)? else { return Ok(None) };
        let (sites, events) = writer.index(&lines)?;
        writer.inputs(inherited.inputs.values(), &inherited.forgotten)?;
        self.rejects(inherited, writer)?;
        let copies = copies_of(self.snapshots, self.frames) + dropped;
        Ok(Some((copies, events, sites)))
    }

    /// Writes the events, shard by shard; gives the lines of the index, and the copies that were dropped.
    pub(crate) fn fold(
        &self,
        writer: &mut SnapshotWriter<'_>,
        options: &CompactOptions,
        stop: &AtomicBool,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Option<(SortedLines, u64)>> {
        let mut loads = loads_of(self.frames);
        for shard in self.snapshots.iter().map(|snapshot| snapshot.shards()) {
            loads.iter_mut().zip(shard).for_each(|(load, shard)| load.add(shard.events, shard.length));
        }
        let scratch = options.temp.as_deref().map_or_else(|| Scratch::new(&writer.scratch()), Scratch::new);
        let limits = Limits { threads: options.threads.max(1), memory: options.memory, scratch };
        let lines = Lines::new(&limits);
        let plan = Parting::of(&loads, limits.threads, limits.memory);
        let folding = Folding { inputs: self, limits: &limits, workers: plan.workers, lines: &lines, stop };
        let mut copies = 0;
        let mut done = 0;
        // Tasks that are neighbours are worked on side by side, large shards by themselves: blocks are in the order of shards.
        for work in plan.work.chunk_by(|a, b| matches!((a, b), (Work::Task(_), Work::Task(_)))) {
            let told = |number: usize| progress((done + number) as f64 / plan.work.len() as f64);
            let dropped = match work {
                [Work::Large(shard, bytes)] => folding.large(writer, *shard, *bytes)?,
                _ => folding.tasks(writer, work, &told)?,
            };
            let Some(dropped) = dropped else { return Ok(None) };
            copies += dropped;
            done += work.len();
            progress(done as f64 / plan.work.len() as f64);
        }
        let written = lines.total().events;
        // What was folded will be deleted: the last moment to see that something is missing.
        let there = loads.iter().fold(0u64, |sum, load| sum.saturating_add(load.events));
        if written + copies != there {
            let first = self.snapshots.first().map(|snapshot| &snapshot.path);
            let file = first.or(self.segments.first().map(|segment| &segment.path)).cloned().unwrap_or_default();
            let (expected, found) = (format!("{there} events, as the tables say"), (written + copies).to_string());
            return Err(Corruption { file, offset: 0, expected, found }.into());
        }
        Ok(Some((lines.sorted()?, copies)))
    }

    /// Copies the rejects that count.
    fn rejects(&self, known: &Known, writer: &mut SnapshotWriter<'_>) -> Result<()> {
        let Inputs { snapshots, segments, frames, .. } = self;
        let mut payload = Vec::new();
        each_section_of_rejects(snapshots, segments, frames, &known.since, &mut |section| {
            payload.clear();
            put_checkpoint(&mut payload, section.checkpoint);
            payload.extend_from_slice(section.bytes);
            writer.rejects(section.count, &payload).map(|()| true)
        })
    }
}

/// What the folding of events has in common.
struct Folding<'a> {
    inputs: &'a Inputs<'a>,
    limits: &'a Limits,
    /// How many tasks are worked on at a time.
    workers: usize,
    lines: &'a Lines,
    stop: &'a AtomicBool,
}

impl Folding<'_> {
    /// Bytes of a piece that are held until the shards before it are written; of more, the rest waits to be made.
    fn piece(&self) -> usize {
        (self.limits.bytes() / 8 / self.workers).clamp(1 << 12, PIECE)
    }

    /// Works on neighbouring tasks; gives the copies that were dropped, or nothing if it is to stop.
    fn tasks(
        &self,
        writer: &mut SnapshotWriter<'_>,
        work: &[Work],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Option<u64>> {
        // Pieces are written in the order of the shards.
        let turns = Turns::new(PHASE, "writer", writer);
        let begin = || Worker::new(self.lines.finder(self.workers), self.piece());
        let workers = parallel(self.workers, work.len(), begin, |worker, number| {
            let Some(Work::Task(task)) = work.get(number) else { return Ok(()) };
            let _watched = turns.watched();
            let flush = |piece: &mut Piece| {
                let mut turn = turns.wait(number);
                if turn.over {
                    // Nobody wants the rest.
                    piece.drop_bytes();
                    return Ok(());
                }
                piece.write(turn.value)
            };
            let stop = self.stop.load(Ordering::Relaxed);
            let piece = if stop { None } else { Some(worker.fold(self.inputs, task, &flush)) };
            let mut turn = turns.wait(number);
            let written = match piece {
                _ if turn.over => Ok(()),
                Some(Ok(true)) => worker.write(turn.value),
                Some(Ok(false)) => {
                    let copies = task.shards.clone().try_fold(Some(0), |copies, shard| {
                        let (Some(copies), bytes) = (copies, task.share.saturating_mul(4)) else { return Ok(None) };
                        self.large(turn.value, shard, bytes).map(|own| own.map(|own| copies + own))
                    });
                    copies.map(|copies| match copies {
                        Some(copies) => worker.copies += copies,
                        None => turn.over = true,
                    })
                }
                Some(Err(error)) => Err(error),
                None => {
                    turn.over = true;
                    Ok(())
                }
            };
            turn.over |= written.is_err();
            turns.end(turn);
            progress(number + 1);
            written
        })?;
        let mut copies = 0;
        for worker in workers {
            copies += worker.copies;
            worker.finder.end()?;
        }
        Ok(Some(copies).filter(|_| !turns.wait(work.len()).over))
    }

    /// Works on a shard that does not fit one thread's memory.
    fn large(&self, writer: &mut SnapshotWriter<'_>, shard: u8, bytes: u64) -> Result<Option<u64>> {
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let limits = self.limits.for_large();
        let large = Large::new(&limits, shard, bytes);
        large.tail(self.inputs.segments, self.inputs.frames, |_| true, None)?;
        for snapshot in self.inputs.snapshots {
            let own = snapshot.shards()[usize::from(shard)];
            large.snapshot(snapshot, std::iter::once(own.at..own.at + own.length), |_| true)?;
        }
        let mut finder = self.lines.finder(1);
        let mut blocks = Blocks::new(shard, writer, &mut finder);
        let copies = large.finish(
            Window::ALL,
            Some(self.lines),
            Some(&mut |table| {
                if self.stop.load(Ordering::Relaxed) {
                    return Ok(false);
                }
                table.rows.iter().try_for_each(|row| blocks.put(table, row))?;
                Ok(true)
            }),
        )?;
        let Some(copies) = copies else { return Ok(None) };
        blocks.end()?;
        finder.end()?;
        Ok(Some(copies))
    }
}

/// One thread's buffers and what it found.
struct Worker<'a> {
    gather: Gather,
    fold: Fold,
    encoder: EventsEncoder,
    order: Vec<Row>,
    piece: Piece,
    copies: u64,
    finder: Finder<'a>,
}

impl<'a> Worker<'a> {
    fn new(finder: Finder<'a>, most: usize) -> Worker<'a> {
        let (gather, fold, encoder) = (Gather::default(), Fold::default(), EventsEncoder::default());
        Worker {
            gather,
            fold,
            encoder,
            order: Vec::new(),
            piece: Piece { most, ..Piece::default() },
            copies: 0,
            finder,
        }
    }

    /// Makes a piece of a task, if it fits; `flush` takes what is done of one that is large.
    fn fold(&mut self, inputs: &Inputs<'_>, task: &Task, flush: &dyn Fn(&mut Piece) -> Result<()>) -> Result<bool> {
        let Worker { gather, fold, encoder, order, piece, copies, .. } = self;
        piece.drop_bytes();
        piece.written = 0;
        gather.begin(task);
        gather.tail(inputs.segments, inputs.frames, task, |_| true)?;
        for snapshot in inputs.snapshots {
            let shard = |number: u8| snapshot.shards()[usize::from(number)];
            let (first, last) = (shard(*task.shards.start()), shard(*task.shards.end()));
            gather.snapshot(snapshot, first.at..last.at + last.length, |_| true)?;
        }
        if gather.is_full() {
            return Ok(false);
        }
        let finished = gather.finish(|Gathered { shard, table, merged, first }| {
            *copies += merged.copies;
            if first {
                encoder.begin(table);
            }
            piece.sites(shard, table, fold, encoder, order, flush)
        });
        finished.map(|()| true)
    }

    /// Writes the rest of the piece, and tells where its sites are now that its place is known.
    fn write(&mut self, writer: &mut SnapshotWriter<'_>) -> Result<()> {
        self.piece.write(writer)?;
        let start = writer.end() - self.piece.written;
        for mut site in self.piece.sites.drain(..) {
            site.entry.at += start;
            self.finder.put(site.name.site(), &Line { entry: site.entry, ..Line::EMPTY })?;
        }
        Ok(())
    }
}

/// Makes blocks of events that come in order, as [`Piece::sites`] does.
struct Blocks<'b, 'w, 'f> {
    shard: u8,
    writer: &'b mut SnapshotWriter<'w>,
    finder: &'b mut Finder<'f>,
    encoder: EventsEncoder,
    /// Events that are in no block yet: of sites that are complete, `held` of them, and of the site at hand.
    table: Table,
    held: usize,
    /// Events of which a block is made that is full of the site at hand.
    most: usize,
    bytes: Vec<u8>,
    /// The last site that has events in a block, and where they are.
    last: Option<(SiteName, Line)>,
}

impl<'b, 'w, 'f> Blocks<'b, 'w, 'f> {
    fn new(shard: u8, writer: &'b mut SnapshotWriter<'w>, finder: &'b mut Finder<'f>) -> Self {
        let (encoder, table) = (EventsEncoder::default(), Table::default());
        Blocks { shard, writer, finder, encoder, table, held: 0, most: BLOCK_EVENTS, bytes: Vec::new(), last: None }
    }

    /// Takes the next event.
    fn put(&mut self, table: &Table, row: &Row) -> Result<()> {
        let is_next = self.table.rows.last().is_some_and(|last| self.table.site_of(last) != table.site_of(row));
        if is_next {
            self.end_site()?;
        }
        self.table.push_copy(table, row);
        let own = self.table.rows.len() - self.held;
        if self.held > 0 && self.table.rows.len() > BLOCK_EVENTS {
            self.block(self.held, false)?;
            self.held = 0;
        }
        if self.held == 0 && own > self.most {
            match self.block(self.most, true)? {
                true => self.most = BLOCK_EVENTS,
                false => self.most *= 2,
            }
        }
        Ok(())
    }

    /// The site at hand is complete.
    fn end_site(&mut self) -> Result<()> {
        self.held = self.table.rows.len();
        if self.held == self.most {
            self.block(self.held, false)?;
            self.held = 0;
        }
        self.most = BLOCK_EVENTS;
        Ok(())
    }

    fn end(mut self) -> Result<()> {
        self.end_site()?;
        if self.held > 0 {
            self.block(self.held, false)?;
        }
        match self.last.take() {
            Some((name, line)) => self.finder.put(name.site(), &line),
            None => Ok(()),
        }
    }

    /// Makes a block of the first events; not if it `may_grow` and most of its bytes are names. Says whether it did.
    fn block(&mut self, count: usize, may_grow: bool) -> Result<bool> {
        let Blocks { shard, writer, finder, encoder, table, bytes, last, .. } = self;
        encoder.begin(table);
        bytes.clear();
        bytes.resize(BLOCK_HEADER, 0);
        let rows = &table.rows[..count];
        encoder.section(table, rows, bytes);
        let section = bytes.len() - BLOCK_HEADER;
        if may_grow && is_mostly_names(encoder, section) {
            return Ok(false);
        }
        let start = writer.end();
        writer.append(&[PendingBlock::new(BlockKind::Events, *shard, count as u32, &bytes[BLOCK_HEADER..])], bytes)?;
        let end = writer.end();
        for row in rows.chunk_by(|a, b| a.site == b.site).filter_map(|rows| rows.first()) {
            let site = table.site_of(row);
            match last {
                Some((name, line)) if name.site() == site => line.entry.length = end - line.entry.at,
                _ => {
                    let mut line = Line::EMPTY;
                    (line.entry.at, line.entry.length) = (start, end - start);
                    if let Some((name, line)) = last.replace((site.into(), line)) {
                        finder.put(name.site(), &line)?;
                    }
                }
            }
        }
        // What is left goes on in a table of its own, without the texts of the others.
        let mut rest = Table::default();
        table.rows[count..].iter().for_each(|row| rest.push_copy(table, row));
        *table = rest;
        Ok(true)
    }
}

/// Whether a block of so many bytes is to grow: most of them are names, which the next one would have again.
fn is_mostly_names(encoder: &EventsEncoder, bytes: usize) -> bool {
    encoder.bytes_of_names() > bytes / 2 && bytes < BLOCK_OF_NAMES / 2
}

impl Piece {
    /// Writes what is held.
    fn write(&mut self, writer: &mut SnapshotWriter<'_>) -> Result<()> {
        writer.append(&self.blocks, &mut self.bytes)?;
        self.written += self.bytes.len() as u64;
        self.drop_bytes();
        Ok(())
    }

    fn drop_bytes(&mut self) {
        self.blocks.clear();
        self.bytes.clear();
    }

    /// Appends sites of a shard, whose rows are in order and each once; `flush` takes what is held once it is much.
    fn sites(
        &mut self,
        shard: u8,
        table: &Table,
        fold: &mut Fold,
        encoder: &mut EventsEncoder,
        order: &mut Vec<Row>,
        flush: &dyn Fn(&mut Piece) -> Result<()>,
    ) -> Result<()> {
        let mut groups: Vec<&[Row]> = by_site(table).collect();
        groups.sort_unstable_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        // Sites of which events are in the block at hand, from this place on.
        let mut open = self.sites.len();
        order.clear();
        for rows in groups {
            if order.len() + rows.len() > BLOCK_EVENTS && !order.is_empty() {
                self.block(shard, table, encoder, order, open, false)?;
                open = self.sites.len();
            }
            let summary = fold.site(rows, table.names(), Window::ALL);
            let entry = SiteEntry { summary, at: u64::MAX, ..Line::of_rows(rows, Window::ALL).entry };
            memory::reserve(&mut self.sites, 1, SITES)?;
            self.sites.push(IndexedSite { name: table.site_of(&rows[0]).into(), entry });
            let (mut rest, mut most) = (rows, BLOCK_EVENTS);
            while !rest.is_empty() {
                let (some, behind) = rest.split_at(rest.len().min(most - order.len()));
                memory::reserve(order, some.len(), BLOCKS)?;
                order.extend_from_slice(some);
                rest = behind;
                if order.len() < most {
                    break;
                }
                if !self.block(shard, table, encoder, order, open, !rest.is_empty())? {
                    most *= 2;
                    continue;
                }
                most = BLOCK_EVENTS;
                // The site at hand may go on.
                open = self.sites.len() - 1;
                if self.bytes.len() >= self.most {
                    flush(self)?;
                }
            }
            if order.is_empty() {
                open = self.sites.len();
            }
        }
        if !order.is_empty() {
            self.block(shard, table, encoder, order, open, false)?;
        }
        Ok(())
    }

    /// Ends the block at hand; not if it `may_grow` and most of its bytes are names. Says whether it did.
    fn block(
        &mut self,
        shard: u8,
        table: &Table,
        encoder: &mut EventsEncoder,
        order: &mut Vec<Row>,
        open: usize,
        may_grow: bool,
    ) -> Result<bool> {
        let (held, start) = (self.bytes.len(), self.written + self.bytes.len() as u64);
        // More only where ids are no UUIDs.
        memory::reserve(&mut self.bytes, BLOCK_HEADER + order.len() * size_of::<Row>(), BLOCKS)?;
        self.bytes.resize(held + BLOCK_HEADER, 0);
        encoder.section(table, order, &mut self.bytes);
        let section = self.bytes.len() - held - BLOCK_HEADER;
        if may_grow && is_mostly_names(encoder, section) {
            self.bytes.truncate(held);
            return Ok(false);
        }
        let payload = &self.bytes[held + BLOCK_HEADER..];
        self.blocks.push(PendingBlock::new(BlockKind::Events, shard, order.len() as u32, payload));
        let end = self.written + self.bytes.len() as u64;
        for site in &mut self.sites[open..] {
            site.entry.at = site.entry.at.min(start);
            site.entry.length = end - site.entry.at;
        }
        order.clear();
        Ok(true)
    }
}

/// Bytes that a compaction may take besides its memory.
const BESIDES: u64 = 32 << 20;

/// Compaction beside an ingest: a thread that folds the tail whenever it has passed a bound. Whatever becomes of it, it is
/// no failure of the ingest.
pub struct Background {
    storage: Arc<dyn Storage>,
    options: CompactOptions,
    tail: Arc<Tail>,
    bound: u64,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<Result<Option<Outcome>>>>,
    /// What was done so far.
    pub outcomes: Vec<Outcome>,
    /// Why there is no further compaction, if there was no room for one: no failure of the ingest.
    pub skipped: Option<Error>,
    failure: Option<Error>,
}

impl Background {
    /// Watches the tail of a log, which [`crate::store::log::Log::tail`] gives.
    pub fn new(storage: Arc<dyn Storage>, options: CompactOptions, tail: Arc<Tail>, bound: u64) -> Background {
        let (stop, outcomes) = (Arc::default(), Vec::new());
        Background { storage, options, tail, bound, stop, running: None, outcomes, skipped: None, failure: None }
    }

    /// Starts a compaction if one is due; never waits. After one that failed, or had no room, there is none.
    pub fn poke(&mut self) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join();
        }
        let over = self.failure.is_some() || self.skipped.is_some();
        if self.running.is_some() || over || self.tail.bytes() < self.bound {
            return;
        }
        let (storage, options) = (Arc::clone(&self.storage), self.options.clone());
        let (tail, stop) = (Arc::clone(&self.tail), Arc::clone(&self.stop));
        self.run(move || {
            // Of what it takes only the large pieces can be refused it without an end of the whole process.
            memory::probe(options.memory.saturating_add(BESIDES), "a compaction beside the ingest")?;
            let outcome = compact_beside(&*storage, &options, &stop, &tail);
            let outcome = outcome.map_err(|error| explained(&*storage, error))?;
            if let Some(outcome) = &outcome {
                tail.folded(outcome.tail);
            }
            Ok(outcome)
        });
    }

    fn run(&mut self, work: impl FnOnce() -> Result<Option<Outcome>> + Send + 'static) {
        match start("compactor", work) {
            Ok(thread) => self.running = Some(thread),
            Err(error) => self.failure = Some(Error::io("start a thread to compact", self.path())(error)),
        }
    }

    fn join(&mut self) {
        let Some(thread) = self.running.take() else { return };
        match thread.join() {
            Ok(Ok(outcome)) => self.outcomes.extend(outcome),
            Ok(Err(error)) if error.is_full() => self.skipped = Some(error),
            Ok(Err(error)) => self.failure = Some(error),
            // A bug, which said so itself. Nothing of what the ingest does depends on it.
            Err(_) => self.failure = Some(Error::io("compact", self.path())(io::Error::other("it panicked"))),
        }
    }

    fn path(&self) -> String {
        self.storage.path().display().to_string()
    }

    /// Waits for the compaction at hand, or gives it up if `give_up`; what is durable is safe either way. An error is one of the
    /// compaction alone: what was ingested meanwhile is as it should be.
    pub fn finish(&mut self, give_up: bool) -> Result<()> {
        self.stop.store(give_up, Ordering::Relaxed);
        self.join();
        self.failure.take().map_or(Ok(()), Err)
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;

    const OPTIONS: CompactOptions = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: false };

    #[test]
    fn a_compaction_that_panics_is_one_that_failed() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Arc::new(Disk::open(directory.path()).unwrap());
        let mut background = Background::new(disk, OPTIONS, Arc::default(), 0);
        background.run(|| panic!("a bug"));
        match background.finish(false) {
            Err(Error::Io { source, .. }) => assert_eq!(source.to_string(), "it panicked"),
            other => panic!("{other:?}"),
        }
        // And so does the last one of an ingest that ends early.
        background.run(|| panic!("a bug"));
        drop(background);
    }
}
