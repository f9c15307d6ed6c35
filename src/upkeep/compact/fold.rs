//! Brings events together from runs and snapshots, drops copies, and writes them shard by shard: on all threads where shards fit the
//! memory, one shard after the other where they don't. Compaction and repair both fold here. The blocks themselves are the
//! business of `write`.

use super::write::{BlockStream, Piece};
use super::{CompactOptions, PHASE};
use crate::base::turns::Turns;
use crate::disk::scratch::Limits;
use crate::disk::scratch::Scratch;
use crate::error::{Corruption, Result};
use crate::event::summary::Window;
use crate::format::SHARDS;
use crate::query::gather::{Gather, Gathered, Load, ReadPlan, Task, Work, parallel};
use crate::query::large::Large;
use crate::query::sections::SectionRun;
use crate::snapshot::lines::{Finder, Line, Lines, SortedLines};
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::upkeep::Control;

/// Events that are to be folded.
pub(crate) struct Unfolded<'a> {
    /// Sound snapshots: their tables say where each shard is.
    pub(crate) snapshots: &'a [Snapshot],
    /// Runs of sections, of frames or of blocks.
    pub(crate) runs: Vec<SectionRun<'a>>,
}

/// Events that were folded and written.
pub(crate) struct FoldedEvents {
    /// The lines of the index.
    pub(crate) lines: SortedLines,
    /// Copies that were dropped.
    pub(crate) copies: u64,
}

impl Unfolded<'_> {
    /// Writes the events, shard by shard; gives nothing once it is stopped.
    pub(crate) fn fold(
        &self,
        writer: &mut SnapshotWriter<'_>,
        options: &CompactOptions,
        control: Control<'_>,
    ) -> Result<Option<FoldedEvents>> {
        let loads = self.loads();
        let scratch = options.temp.as_deref().map_or_else(|| Scratch::new(&writer.scratch()), Scratch::new);
        let limits = Limits { threads: options.threads.max(1), memory: options.memory, scratch };
        let lines = Lines::new(&limits);
        let plan = ReadPlan::of(&loads, limits.threads, limits.memory);
        let folding = Folding { events: self, limits: &limits, workers: plan.workers, lines: &lines, control };
        let mut copies = 0;
        let mut done = 0;
        // Tasks that are neighbours are worked on side by side, large shards by themselves: blocks are in the order of shards.
        for work in plan.work.chunk_by(|a, b| matches!((a, b), (Work::Task(_), Work::Task(_)))) {
            let told = |number: usize| (control.progress)((done + number) as f64 / plan.work.len() as f64);
            let dropped = match work {
                [Work::Large(shard, bytes)] => folding.large(writer, *shard, *bytes)?,
                _ => folding.tasks(writer, work, &told)?,
            };
            let Some(dropped) = dropped else { return Ok(None) };
            copies += dropped;
            done += work.len();
            (control.progress)(done as f64 / plan.work.len() as f64);
        }
        let written = lines.total().events;
        // The files are deleted soon: this is the last moment to see that something is missing.
        let there = loads.iter().fold(0u64, |sum, load| sum.saturating_add(load.events));
        if written + copies != there {
            let (expected, found) = (format!("{there} events, as the tables say"), (written + copies).to_string());
            return Err(Corruption { file: self.first_file(), offset: 0, expected, found }.into());
        }
        Ok(Some(FoldedEvents { lines: lines.sorted()?, copies }))
    }

    fn loads(&self) -> [Load; SHARDS] {
        let mut loads = [Load::default(); SHARDS];
        self.runs.iter().for_each(|run| run.add_to(&mut loads));
        for shards in self.snapshots.iter().map(Snapshot::shards) {
            loads.iter_mut().zip(shards).for_each(|(load, shard)| load.add(shard.events, shard.length));
        }
        loads
    }

    fn first_file(&self) -> String {
        let first = self.snapshots.first().map(|snapshot| &*snapshot.path);
        first.or_else(|| self.runs.first().map(|run| run.file.path())).unwrap_or_default().into()
    }
}

/// What all threads that fold share.
struct Folding<'a> {
    events: &'a Unfolded<'a>,
    limits: &'a Limits,
    /// How many tasks are worked on at a time.
    workers: usize,
    lines: &'a Lines,
    control: Control<'a>,
}

/// The most bytes of a piece that are held until the shards before it are written.
const MOST_HELD: usize = 8 << 20;

impl Folding<'_> {
    /// Bytes of a piece that are held until the shards before it are written. A longer one waits before it makes more.
    fn held(&self) -> usize {
        (self.limits.bytes() / 8 / self.workers).clamp(1 << 12, MOST_HELD)
    }

    /// Works on neighbouring tasks; gives the copies that were dropped, or nothing once it is stopped.
    fn tasks(
        &self,
        writer: &mut SnapshotWriter<'_>,
        work: &[Work],
        progress: &(dyn Fn(usize) + Sync),
    ) -> Result<Option<u64>> {
        // Pieces are written in the order of the shards.
        let turns = Turns::new(PHASE, "writer", writer);
        let begin = || FoldWorker::new(self.lines.finder(self.workers), self.held());
        let workers = parallel(self.workers, work.len(), begin, |worker, number| {
            let Some(Work::Task(task)) = work.get(number) else { return Ok(()) };
            let _watched = turns.watched();
            let flush = |piece: &mut Piece| {
                let mut turn = turns.wait(number);
                if turn.over {
                    // Nobody needs the rest.
                    piece.drop_bytes();
                    return Ok(());
                }
                piece.write(turn.value)
            };
            let piece = if self.control.is_stopped() { None } else { Some(worker.fold(self.events, task, &flush)) };
            let mut turn = turns.wait(number);
            let written = match piece {
                _ if turn.over => Ok(()),
                Some(Ok(true)) => worker.write(turn.value),
                Some(Ok(false)) => self.one_by_one(turn.value, task).map(|copies| match copies {
                    Some(copies) => worker.copies += copies,
                    None => turn.over = true,
                }),
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

    /// Works on the shards of a task that turned out not to fit.
    fn one_by_one(&self, writer: &mut SnapshotWriter<'_>, task: &Task) -> Result<Option<u64>> {
        task.shards.clone().try_fold(Some(0), |copies, shard| {
            let (Some(copies), bytes) = (copies, task.share.saturating_mul(4)) else { return Ok(None) };
            self.large(writer, shard, bytes).map(|own| own.map(|own| copies + own))
        })
    }

    /// Works on a shard that does not fit one thread's memory.
    fn large(&self, writer: &mut SnapshotWriter<'_>, shard: u8, bytes: u64) -> Result<Option<u64>> {
        if self.control.is_stopped() {
            return Ok(None);
        }
        let limits = self.limits.for_large();
        let large = Large::new(&limits, shard, bytes);
        large.sections(&self.events.runs)?;
        for snapshot in self.events.snapshots {
            let own = snapshot.shards()[usize::from(shard)];
            large.snapshot(snapshot, std::iter::once(own.at..own.at + own.length), |_| true)?;
        }
        let mut finder = self.lines.finder(1);
        let mut blocks = BlockStream::new(shard, writer, &mut finder);
        let copies = large.finish(
            Window::ALL,
            Some(self.lines),
            Some(&mut |table| {
                if self.control.is_stopped() {
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
struct FoldWorker<'a> {
    gather: Gather,
    piece: Piece,
    copies: u64,
    finder: Finder<'a>,
}

impl<'a> FoldWorker<'a> {
    fn new(finder: Finder<'a>, held: usize) -> FoldWorker<'a> {
        FoldWorker { gather: Gather::default(), piece: Piece::new(held), copies: 0, finder }
    }

    /// Makes a piece of a task, if it fits; `flush` takes what is done of one that is large.
    fn fold(&mut self, events: &Unfolded<'_>, task: &Task, flush: &dyn Fn(&mut Piece) -> Result<()>) -> Result<bool> {
        let FoldWorker { gather, piece, copies, .. } = self;
        piece.begin();
        gather.begin(task);
        events.runs.iter().try_for_each(|run| gather.sections(run, task, &|_| true))?;
        for snapshot in events.snapshots {
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
                piece.encoder.begin(table);
            }
            piece.add(shard, table, flush)
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
