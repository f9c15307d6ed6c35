//! The way from an input to the log.
//!
//! Workers each take the next chunk of the input, parse and encode it, and append its frame
//! when its turn comes, in the order of the input; a chunk stays with the
//! processor whose cache it is in. The log's own thread fsyncs. Each chunk holds a permit for its bytes from the moment it is taken until
//! its frame is safe, so no more than [`IN_FLIGHT`] bytes have to be read again after a crash.
//!
//! What only one thread can do is kept short. There are two locks, and what is done under each:
//!
//! * **The reader**: finds where the next range of a plain file ends, and whoever claimed it reads it afterwards
//!   ([`chunk`](crate::intake::chunk)). Anything else, a pipe or a compressed input, is read and cut under the lock.
//! * **The appender**: puts a parsed chunk in its turn, makes its checkpoint, and gives its frame a place in the log. Whose turn has not come
//!   leaves what he parsed to whoever makes it come, and takes the next chunk. Frames are written outside of the lock ([`log`](crate::store::log)).
//!
//! A chunk that has more in it than a worker's share of the memory becomes several batches, one after the other. How the memory is
//! shared is in `room`.

mod chunk_parser;
mod room;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use chunk_parser::ChunkParser;
use room::Room;

use crate::base::memory::Zeros;
use crate::base::shares::{Guard, Lock, busy, idle};
use crate::base::threads::{others, refused};
use crate::error::{Error, Result};
use crate::format::batch::{Checkpoint, Mark, Reject, Windows, decode_rejects};
use crate::format::frame::SectionKind;
use crate::format::{KEPT, STDIN, Uid};
use crate::intake::chunk::{Chunk, Chunker, Range as Claimed};
use crate::intake::explain::explain;
use crate::intake::known::Known;
use crate::intake::parse::Reason;
use crate::intake::repeats::{Repeats, Seek};
use crate::intake::shape::{HEAD, Shape};
use crate::intake::source::{Source, Span, Start, no_thread};
use crate::store::log::{Batch, Log, Placed, Prepared, Watch};
use crate::store::{Input, View};

/// The most input that is read and not yet safe.
pub const IN_FLIGHT: usize = 32 << 20;

/// The memory that is used if nothing else is said.
pub const MEMORY: u64 = 128 << 20;

/// No chunk between two looks at the log is a lull: what was appended is acknowledged by a mark.
const LOOK: Duration = Duration::from_millis(125);

/// Bytes of the shortest event, or fewer.
const SHORTEST: usize = 80;

/// An event takes about one part of so many of its bytes in the log, where it has a UUID for its id, or less.
const SHRINKS: usize = 4;

/// So many bytes of a reject are looked at to explain it.
const EXPLAINED: usize = 64 << 10;

/// So many rejects of an input are looked at when it is checked.
const CHECKED: usize = 100_000;

/// Rejects of one chunk that are told one by one; the rest is counted.
const TOLD: usize = 3;

/// So many rejects at the start of an input, before any event, make it a wrong input.
pub const WRONG_LINES: u64 = 1000;

/// How many wrong lines (or items of a document) of an input are kept as rejects; one more ends the ingest of it with an error. Those that the store
/// holds from earlier runs count too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxRejects {
    /// Any number, unless the input begins with [`WRONG_LINES`] of them: then it is taken for something else than events.
    #[default]
    NotOnly,
    /// So many.
    Number(u64),
    /// All.
    All,
}

/// How to ingest.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Threads that read, parse and append. There may be fewer where `memory` is short.
    pub threads: usize,
    /// Bytes that all of it may take, whatever the lines are: 16 MiB will do. The peak of the process is at most 32 MiB above.
    pub memory: u64,
    /// How many wrong lines are no error.
    pub max_rejects: MaxRejects,
    /// Read the input from its start as a new one, and forget the instance it matches.
    pub from_start: bool,
    /// Whether repeated lines are looked for.
    pub seek: Seek,
    /// What an input is, if it is not to be found out from its first bytes.
    pub shape: Option<Shape>,
    /// How many bytes of a reject are kept.
    pub keep: usize,
}

impl Default for IngestOptions {
    /// With one thread.
    fn default() -> IngestOptions {
        let (max_rejects, seek) = (MaxRejects::default(), Seek::default());
        IngestOptions { threads: 1, memory: MEMORY, max_rejects, from_start: false, seek, shape: None, keep: KEPT }
    }
}

/// Text that is no event, as it is told.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The line that it begins in, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub byte: u64,
    /// The line and the column of the fault, both from 1, if they can be told.
    pub fault: Option<(u64, u64)>,
    /// Why it is none.
    pub reason: Reason,
    /// The same in words, with what was found.
    pub text: String,
}

impl Rejected {
    /// One of which these bytes are at hand; its line counts from 0.
    fn new(reject: &Reject<'_>, reason: Reason) -> Rejected {
        let Reject { offset: byte, line, column, length, raw, .. } = *reject;
        // A few are told, of whatever length; to explain takes much longer than to read.
        let explanation = explain(reason, &raw[..raw.len().min(EXPLAINED)], length);
        let fault = explanation.place(raw, line + 1, column + 1);
        Rejected { line: line + 1, byte, fault, reason, text: explanation.text }
    }

    /// The same, so many lines further down.
    fn moved(self, lines: u64) -> Rejected {
        let fault = self.fault.map(|(line, column)| (line + lines, column));
        Rejected { line: self.line + lines, fault, ..self }
    }

    /// What is wrong, with its place behind that of the first byte.
    pub fn fault(&self) -> String {
        match self.fault {
            Some((line, column)) if line != self.line => format!("line {line}, column {column}: {}", self.text),
            Some((_, column)) => format!("column {column}: {}", self.text),
            None => self.text.clone(),
        }
    }
}

/// The end of an input that was not taken, since it is incomplete and the input may still grow.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its bytes; none of a document that is an array without an end.
    pub bytes: u64,
    /// It is nothing but NUL bytes.
    pub is_hole: bool,
    /// Where it begins, and what is wrong so far.
    pub what: Rejected,
}

/// What happens while an input is read.
pub enum Notice<'a> {
    /// Reading begins, or goes on where an earlier run left the input.
    Begin {
        /// Offset of the first byte read.
        offset: u64,
        /// Line ends before it.
        lines: u64,
    },
    /// A frame was appended.
    Progress(&'a Outcome),
    /// Something failed, and nothing more is appended; what was acknowledged until then.
    Failed(&'a Outcome),
    /// Something was rejected; not everything is told.
    Reject(&'a Rejected),
    /// The end of the input was left.
    Left(&'a Left),
    /// Bytes of the input are others than those that were read of it by an earlier run.
    Changed(Range<u64>),
}

/// What became of an input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// The input's instance in the store.
    pub instance: Uid,
    /// Lines read by this run.
    pub lines: u64,
    /// Events among them, copies included.
    pub events: u64,
    /// Rejects among them.
    pub rejects: u64,
    /// Rejects of the input that the store holds, those of earlier runs included.
    pub rejects_held: u64,
    /// Bytes read by this run, decompressed.
    pub bytes: u64,
    /// NUL bytes among them that were skipped.
    pub nuls: u64,
    /// Bytes at the end of the input that were not taken, if its end is incomplete.
    pub left: Option<u64>,
    /// Offset behind the last byte consumed, decompressed.
    pub offset: u64,
    /// Offset up to which everything is acknowledged.
    pub durable_offset: u64,
    /// Ended by `stop` and not by the end of the input.
    pub stopped: bool,
}

/// What a worker made of a chunk.
struct Parsed {
    turn: Turn,
    /// There is no more of its chunk.
    is_last: bool,
    start: u64,
    end: u64,
    windows: Windows,
    batch: Batch,
    /// The start of its frame.
    prepared: Prepared,
    line_ends: u64,
    /// A line has begun and not ended.
    open_line: bool,
    events: u64,
    rejects: u64,
    nuls: u64,
    /// Rejects before the first event.
    leading: u64,
    told: Vec<Rejected>,
    /// It is the end of the input, and to be left for the next run.
    left: Option<Left>,
}

/// Takes inputs in, one after the other, and keeps what serves for the next: what the store knows of inputs, and the buffers of
/// the threads. Inputs may be small, and many.
pub struct Intake {
    known: Known,
    workers: Vec<Worker>,
}

/// What a thread takes chunks with.
#[derive(Default)]
struct Worker {
    parser: ChunkParser,
    buffer: Option<Zeros>,
    batch: Batch,
}

impl Intake {
    /// For a store that knows these inputs.
    pub fn new(inputs: BTreeMap<Uid, Input>) -> Intake {
        Intake { known: Known::new(inputs), workers: Vec::new() }
    }

    /// The inputs that the store knows by now.
    pub fn into_inputs(self) -> BTreeMap<Uid, Input> {
        self.known.into_inputs()
    }

    /// Appends the events and rejects of an input to the log, from where the store left it. Returns when all is appended;
    /// [`Log::settle`] then makes it durable.
    ///
    /// Once `stop` is set, the chunks at hand are finished and nothing more is read. `notify` is called by whichever thread
    /// has something to tell, by one at a time, and holds it up.
    pub fn ingest(
        &mut self,
        log: &mut Log,
        mut source: Source,
        options: IngestOptions,
        stop: &AtomicBool,
        notify: &mut (dyn FnMut(Notice<'_>) + Send),
    ) -> Result<Outcome> {
        let (start, instance) = self.begin(log, &mut source, options.from_start)?;
        let before = self.known.get(&instance);
        let (offset, line) = before.map_or((0, 0), |input| (input.checkpoint.end, input.checkpoint.end_line));
        let held = before.map_or(0, |input| input.rejects);
        let outcome = Outcome { instance, rejects_held: held, offset, durable_offset: offset, ..Outcome::default() };
        notify(Notice::Begin { offset, lines: line });
        let room = Room::new(options.memory, options.threads, options.seek.memory);
        let mut plan = room.plan(options.shape, options.keep);
        if let Some(changed) = start.changed.clone() {
            notify(Notice::Changed(changed));
        }
        if offset > 0 && plan.shape.is_none() {
            // What it was when it was read from its start; a pipe never goes on.
            plan.shape = Shape::of(&source.head(HEAD).map_err(|error| source.error(offset, &error))?, true);
        }
        if offset > 0 && plan.shape == Some(Shape::Document) {
            plan.level = source.open_brackets(offset, &start)?;
        }

        let threads = room.threads;
        self.workers.resize_with(self.workers.len().max(threads), Worker::default);
        let halt = AtomicBool::new(false);
        let ended = || stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed);
        let (input, name) = (source.name.clone(), source.name_bytes());
        let piped = source.is_pipe().then(|| source.name.clone());
        let pipeline = Pipeline {
            watch: log.watch(),
            halt: &halt,
            reader: Lock::new(
                "ingest",
                "reader",
                Reader { chunker: Chunker::new(source, offset, start, plan, &ended), next: 0, epoch: 0 },
            ),
            appender: Lock::new(
                "ingest",
                "appender",
                Appender {
                    log,
                    last: before.map(|input| input.checkpoint.clone()),
                    stored: before.map_or((0, 0), |input| (input.events, input.rejects)),
                    name,
                    line,
                    open_line: false,
                    outcome,
                    early: BTreeMap::new(),
                    next: (0, 0),
                    free: room.in_flight,
                    resets: Vec::new(),
                    giving_back: 0,
                    unsafe_frames: VecDeque::new(),
                    unproven: VecDeque::new(),
                    spent: Vec::new(),
                    failure: None,
                    unreadable: None,
                    input,
                    max_rejects: options.max_rejects,
                    first_reject: None,
                    notify,
                },
            ),
            appended: Condvar::new(),
            room,
        };
        for worker in &mut self.workers[..threads] {
            worker.parser.keep = options.keep;
        }
        let ran = pipeline.run(&mut self.workers[..threads], room.seek(options.seek), piped);
        let mut appender = pipeline.appender.into_inner();
        let stopped = stop.load(Ordering::Relaxed);
        if let (Ok(()), false, None, None) = (&ran, stopped, &appender.failure, &appender.unreadable) {
            appender.failure = appender.end().err();
        }
        if let Some(checkpoint) = appender.last.take() {
            self.known.advance(checkpoint, appender.outcome.events, appender.outcome.rejects);
        }
        ran?;
        // A rejected line stops only what comes behind it: what came before is still to be acknowledged.
        if !matches!(appender.failure, None | Some(Error::Line { .. })) {
            (appender.notify)(Notice::Failed(&appender.outcome));
        }
        match appender.failure.or(appender.unreadable) {
            Some(error) => Err(error),
            None => Ok(Outcome { stopped, ..appender.outcome }),
        }
    }

    /// Whether a file is still what the store knows of it, as far as it kept digests: of places at growing distances, of those where
    /// rejects came in, and all bytes that were kept of rejects. Gives the first stretch that is not. Reads all that was read before.
    pub fn check(&self, view: &View, source: &mut Source) -> Result<Option<Range<u64>>> {
        let Some(input) = source.seek(&self.known)?.found.and_then(|instance| self.known.get(&instance)) else {
            return Ok(None);
        };
        let mut spans: Vec<Span> = input.checkpoint.marks.iter().map(Span::of_mark).collect();
        view.rejects(&mut |checkpoint, rejects| {
            if checkpoint.instance == input.checkpoint.instance {
                spans.push(Span::of_mark(&Mark { end: checkpoint.end, tail: checkpoint.windows.tail }));
                // A few bytes of a store may stand for millions.
                spans.extend(rejects.take(CHECKED.saturating_sub(spans.len())).map(|reject| Span::of_reject(&reject)));
            }
            true
        })?;
        source.check(&spans)
    }

    /// Moves to the place where an input is gone on with; gives that, and its instance.
    fn begin(&mut self, log: &mut Log, source: &mut Source, from_start: bool) -> Result<(Start, Uid)> {
        let mut start = source.seek(&self.known)?;
        // A file can go on where a pipe with its content ended, as long as that is known.
        let was_piped = |instance| self.known.get(&instance).is_some_and(|input| input.checkpoint.name == STDIN);
        if let Some(instance) = start.found.filter(|instance| was_piped(*instance) && !log.keep_pipe(*instance)) {
            self.known.remove(&instance);
            source.rewind()?;
            start = Start::default();
        }
        if let (true, Some(instance)) = (from_start, start.found) {
            log.append_forget(&[instance])?;
            self.known.remove(&instance);
            source.rewind()?;
            start = Start::default();
        }
        let instance = match start.found {
            Some(instance) => instance,
            None => log.random()?,
        };
        if source.name_bytes() == STDIN {
            log.keep_pipe(instance);
        }
        Ok((start, instance))
    }
}

/// Takes in one input, as [`Intake::ingest`] does; keeps `inputs`, which are those the store knows, up to date.
pub fn ingest(
    log: &mut Log,
    inputs: &mut BTreeMap<Uid, Input>,
    source: Source,
    options: IngestOptions,
    stop: &AtomicBool,
    notify: &mut (dyn FnMut(Notice<'_>) + Send),
) -> Result<Outcome> {
    let mut intake = Intake::new(std::mem::take(inputs));
    let outcome = intake.ingest(log, source, options, stop, notify);
    *inputs = intake.into_inputs();
    outcome
}

/// What the workers share. Whoever holds both locks took that of the reader first.
struct Pipeline<'a> {
    reader: Lock<Reader<'a>>,
    appender: Lock<Appender<'a>>,
    /// A frame was appended, or it is over.
    appended: Condvar,
    watch: Watch,
    /// Set when something failed: nothing more is read.
    halt: &'a AtomicBool,
    room: Room,
}

struct Reader<'a> {
    chunker: Chunker<'a>,
    /// The number of the next chunk.
    next: u64,
    /// How often ranges were given back.
    epoch: usize,
}

/// The place of a chunk among the others.
#[derive(Clone, Copy)]
struct Turn {
    index: u64,
    /// The number of the batch among those of its chunk: one, unless there is more in it than memory allows.
    part: u32,
    /// How often ranges had been given back when it was taken.
    epoch: usize,
    /// Bytes of the permit that it holds.
    permit: usize,
}

/// What came of the wish for a permit.
#[derive(PartialEq)]
enum Permit {
    Taken,
    /// Somebody has to give ranges back first.
    NotYet,
    Over,
}

impl<'a> Pipeline<'a> {
    /// Works off the input with a thread for each worker, or fewer where the system gives no more: if it gives none, or the input
    /// is read in one go, with the calling one. That one then has no time to look for lulls, so it cannot serve an input
    /// that is `piped`, whose name is given.
    fn run(&self, workers: &mut [Worker], seek: Seek, piped: Option<String>) -> Result<()> {
        let (threads, mut first) = (workers.len(), None);
        if let (None, Some(worker)) = (&piped, workers.first_mut()) {
            first = self.next(&mut worker.buffer);
            if first.is_none() {
                return Ok(());
            }
            if self.has_ended() {
                self.work(worker, Repeats::new(seek, 1), first);
                return Ok(());
            }
        }
        let (send, ended) = channel();
        let waiting = Mutex::new((workers.iter_mut(), first));
        let work = |threads| {
            let _ended = Ended(&send);
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let (worker, first) = (waiting.0.next(), waiting.1.take());
            drop(waiting);
            if let Some(worker) = worker {
                self.work(worker, Repeats::new(seek, threads), first);
            }
        };
        let beside = || work(threads);
        std::thread::scope(|scope| {
            let mut working = others(scope, threads, &beside).len();
            match (working, piped, refused()) {
                (0, Some(name), Some(refused)) => return Err(no_thread(&name, refused)),
                (0, ..) => work(1),
                _ => {}
            }
            let mut seen = (0, 0);
            while working > 0 {
                match ended.recv_timeout(LOOK) {
                    Ok(()) => working -= 1,
                    Err(RecvTimeoutError::Timeout) => self.look(&mut seen),
                    // Never, as one end of the channel is here.
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            Ok(())
        })
    }

    /// Takes chunks, this one first, parses and appends them, until there are no more.
    fn work(&self, worker: &mut Worker, repeats: Repeats, mut first: Option<(Turn, Chunk)>) {
        // A panic is a bug and ends the program; until then, nobody may wait for what this worker had in hand.
        let _ending = Ending(self);
        let _busy = busy("ingest");
        worker.parser.repeats = repeats;
        worker.parser.share = self.room.share;
        while let Some((turn, chunk)) = first.take().or_else(|| self.next(&mut worker.buffer)) {
            if let Err(error) = worker.parser.make_room(&chunk, &mut worker.batch) {
                return self.fail(&mut self.appender(), error);
            }
            self.take(turn, chunk, worker);
        }
        // What is remembered is of this input, and large.
        worker.parser.repeats = Repeats::default();
    }

    /// Parses a chunk and appends it, as one batch if there is the memory for that.
    fn take(&self, mut turn: Turn, mut chunk: Chunk, worker: &mut Worker) {
        let Worker { parser, buffer, batch } = worker;
        loop {
            let parsed = parser.parse(turn, &mut chunk, std::mem::take(batch));
            let is_last = parsed.is_last;
            *batch = self.append(parsed);
            if is_last {
                break;
            }
            turn.part += 1;
        }
        // One that is larger than those of ranges is had by as many as have a permit for it, and not by all.
        *buffer = Some(chunk.buffer).filter(|buffer| buffer.len() <= self.room.range);
    }

    /// Whether all of the input was read.
    fn has_ended(&self) -> bool {
        self.reader.lock().chunker.has_ended()
    }

    fn appender(&self) -> Guard<'_, Appender<'a>> {
        self.appender.lock()
    }

    /// Waits for a permit and takes the next chunk: one that is read here, or one that is cut under the lock.
    fn next(&self, buffer: &mut Option<Zeros>) -> Option<(Turn, Chunk)> {
        loop {
            let mut reader = self.reader.lock();
            // Whether there is more is known without a permit: the end must not wait for an fsync.
            let range = if reader.chunker.is_done() { return None } else { reader.chunker.claim() };
            let permit = if range.is_some() { self.room.range } else { self.room.chunk };
            // The lock is held, but only until the disk is done: there is nothing to read before.
            match reader.waiting(|| self.permit(permit)) {
                Permit::Taken => {}
                // What was claimed is behind what is given back, and so given back as well.
                Permit::NotYet => {
                    drop(reader);
                    std::thread::yield_now();
                    continue;
                }
                Permit::Over => return None,
            }
            let turn = Turn { index: reader.next, part: 0, epoch: reader.epoch, permit };
            let chunk = match range {
                Some(range) => {
                    reader.next += 1;
                    drop(reader);
                    match range.read(buffer, self.room.range) {
                        Ok(None) => {
                            self.give_back(&range, turn);
                            continue;
                        }
                        other => other,
                    }
                }
                None => {
                    let chunk = reader.chunker.next(buffer);
                    reader.next += u64::from(matches!(chunk, Ok(Some(_))));
                    chunk
                }
            };
            if let Ok(Some(chunk)) = chunk {
                return Some((turn, chunk));
            }
            // The others need it to see the end as well.
            let mut appender = self.appender();
            appender.free += permit;
            if let Err(error) = chunk {
                appender.unreadable = Some(error);
            }
            return None;
        }
    }

    /// Gives back a range that changed under the reader, and all that was claimed behind it. Nothing of that is appended yet, since
    /// this one was not.
    fn give_back(&self, range: &Claimed, turn: Turn) {
        {
            // Whoever holds the reader may wait for a permit that comes only once this chunk is appended.
            let mut appender = self.appender();
            appender.giving_back += 1;
            appender.free += turn.permit;
            self.appended.notify_all();
        }
        let mut reader = self.reader.lock();
        let mut appender = self.appender();
        appender.giving_back -= 1;
        // If another one before it was given back, it is read again in any case.
        if appender.is_stale(turn) {
            return;
        }
        reader.chunker.give_back(range);
        reader.epoch += 1;
        reader.next = turn.index;
        let epoch = reader.epoch;
        appender.resets.push((epoch, turn.index));
        appender.unreadable = None;
        let gone = appender.early.split_off(&(turn.index, 0));
        appender.free += gone.values().map(|parsed| parsed.turn.permit).sum::<usize>();
        appender.spent.extend(gone.into_values().map(|parsed| parsed.batch));
    }

    /// Takes a permit for so many bytes. If too many are taken, nothing can happen before a chunk that was parsed is appended or a
    /// frame that was appended is safe.
    fn permit(&self, bytes: usize) -> Permit {
        let mut appender = self.appender();
        loop {
            if self.halt.load(Ordering::Relaxed) {
                return Permit::Over;
            }
            if let Err(error) = appender.release() {
                self.fail(&mut appender, error);
                return Permit::Over;
            }
            if appender.giving_back > 0 {
                return Permit::NotYet;
            }
            if let Some(free) = appender.free.checked_sub(bytes) {
                appender.free = free;
                return Permit::Taken;
            }
            let Some((first, _)) = appender.unsafe_frames.front().copied() else {
                appender = appender.wait(&self.appended);
                continue;
            };
            // Without the lock: the others append while this one waits.
            drop(appender);
            let waited = idle(|| self.watch.wait_past(first));
            appender = self.appender();
            if let Err(error) = waited {
                self.fail(&mut appender, error);
            }
        }
    }

    /// Appends what was parsed, and what waited for it, if it is its turn. Each frame gets its place under the lock and is written
    /// without it, while others place and write the next ones. Gives the buffers of a batch that is done with.
    fn append(&self, parsed: Parsed) -> Batch {
        let mut appender = self.appender();
        if appender.is_stale(parsed.turn) {
            // It is read again.
            appender.free += parsed.turn.permit;
            self.appended.notify_all();
            return parsed.batch;
        }
        appender.early.insert((parsed.turn.index, parsed.turn.part), parsed);
        let mut batch = None;
        loop {
            let (placed, parsed) = match appender.place_next() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    self.fail(&mut appender, error);
                    break;
                }
            };
            drop(appender);
            self.appended.notify_all();
            // Before the next one gets its place: that may begin a segment, which waits for all that is not written.
            let written = placed.map_or(Ok(()), |placed| placed.write(&parsed));
            appender = self.appender();
            if let Err(error) = written.and_then(|()| appender.tell()) {
                self.fail(&mut appender, error);
            }
            appender.spent.extend(batch.replace(parsed));
        }
        let batch = batch.or_else(|| appender.spent.pop()).unwrap_or_default();
        drop(appender);
        self.appended.notify_all();
        batch
    }

    /// Ends it all after an error.
    fn fail(&self, appender: &mut Appender<'_>, error: Error) {
        appender.failure.get_or_insert(error);
        self.halt.store(true, Ordering::Relaxed);
        self.appended.notify_all();
    }

    /// Acknowledges what was appended if no chunk has come since the last look, which saw that many: no frame comes that
    /// would prove the last ones, and what trickles in must not wait for the next.
    fn look(&self, seen: &mut (u64, u32)) {
        let mut appender = self.appender();
        let released = appender.release();
        let due = *seen == appender.next && !appender.unproven.is_empty() && appender.failure.is_none();
        let settled = released.and_then(|()| if due { appender.settle() } else { Ok(()) });
        if let Err(error) = settled {
            self.fail(&mut appender, error);
        }
        *seen = appender.next;
    }
}

/// Says that a worker has ended, however it did.
struct Ended<'a>(&'a Sender<()>);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        // Who listens stays until all have ended.
        let _ = self.0.send(());
    }
}

/// Lets the others end if a worker panics.
struct Ending<'a, 'b>(&'b Pipeline<'a>);

impl Drop for Ending<'_, '_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _appender = self.0.appender();
            self.0.halt.store(true, Ordering::Relaxed);
            self.0.appended.notify_all();
        }
    }
}

/// The state of whoever appends.
struct Appender<'a> {
    log: &'a mut Log,
    /// Where the store says that the input stands.
    last: Option<Checkpoint>,
    /// Events and rejects of the input that the store held before this run.
    stored: (u64, u64),
    name: Vec<u8>,
    /// Line ends before the next chunk.
    line: u64,
    /// What was appended last ends inside a line.
    open_line: bool,
    outcome: Outcome,
    /// Chunks that were parsed before an earlier one was.
    early: BTreeMap<(u64, u32), Parsed>,
    /// The number of the chunk whose turn it is, and that of the batch.
    next: (u64, u32),
    /// Bytes of permits that nobody holds.
    free: usize,
    /// When ranges were given back: the epoch that began then, and the first chunk that was taken anew.
    resets: Vec<(usize, u64)>,
    /// How many are about to give a range back.
    giving_back: usize,
    /// Frames that are appended and not yet safe, and the bytes of the permit that each holds.
    unsafe_frames: VecDeque<(u64, usize)>,
    /// Frames that are not yet acknowledged, and the offset that each reaches.
    unproven: VecDeque<(u64, u64)>,
    /// Batches that were appended: their buffers serve again.
    spent: Vec<Batch>,
    /// Why nothing more is appended.
    failure: Option<Error>,
    /// Why nothing more is read.
    unreadable: Option<Error>,
    /// The input's name, for messages.
    input: String,
    max_rejects: MaxRejects,
    /// The first one of this run.
    first_reject: Option<Rejected>,
    notify: &'a mut (dyn FnMut(Notice<'_>) + Send),
}

impl Appender<'_> {
    /// Whether a chunk was taken before a range at its place, or before it, was given back.
    fn is_stale(&self, turn: Turn) -> bool {
        self.resets.iter().any(|(epoch, first)| *epoch > turn.epoch && *first <= turn.index)
    }

    /// Gives the chunk whose turn it is its place, if it is there. What is left at the end of an input has none.
    fn place_next(&mut self) -> Result<Option<(Option<Placed>, Batch)>> {
        let (None, Some(parsed)) = (&self.failure, self.early.remove(&self.next)) else { return Ok(None) };
        let (index, part) = self.next;
        self.next = if parsed.is_last { (index + 1, 0) } else { (index, part + 1) };
        self.place(parsed).map(Some)
    }

    /// Tells of a frame that was written.
    fn tell(&mut self) -> Result<()> {
        self.release()?;
        if self.failure.is_none() {
            (self.notify)(Notice::Progress(&self.outcome));
        }
        Ok(())
    }

    /// Gives back the permits of the frames that are safe, and takes note of what is acknowledged.
    fn release(&mut self) -> Result<()> {
        let (safe, acknowledged) = (self.log.safe(), self.log.acknowledged());
        while let Some((_, permit)) = self.unsafe_frames.front().filter(|(frame, _)| *frame <= safe) {
            self.free += permit;
            self.unsafe_frames.pop_front();
        }
        if self.unproven.front().is_some_and(|(frame, _)| *frame <= acknowledged) {
            // It is told from here on, which may be long after its fsync.
            self.log.check_place()?;
        }
        while let Some((_, offset)) = self.unproven.front().filter(|(frame, _)| *frame <= acknowledged) {
            self.outcome.durable_offset = *offset;
            self.unproven.pop_front();
        }
        Ok(())
    }

    fn settle(&mut self) -> Result<()> {
        self.log.settle()?;
        self.release()?;
        (self.notify)(Notice::Progress(&self.outcome));
        Ok(())
    }

    fn place(&mut self, mut parsed: Parsed) -> Result<(Option<Placed>, Batch)> {
        if let Some(left) = parsed.left {
            self.free += parsed.turn.permit;
            self.leave(Left { what: left.what.moved(self.line), ..left })?;
            return Ok((None, parsed.batch));
        }
        parsed.told = parsed.told.into_iter().map(|told| told.moved(self.line)).collect();
        let checkpoint = self.checkpoint(&parsed);
        if parsed.rejects > 0 {
            self.first_reject = self.first_reject.take().or_else(|| parsed.told.first().cloned());
            self.check_rejects(&parsed, &checkpoint)?;
        }
        for told in &parsed.told {
            (self.notify)(Notice::Reject(told));
        }

        let placed = self.log.place_batch(&checkpoint, parsed.prepared)?;
        self.unsafe_frames.push_back((placed.sequence(), parsed.turn.permit));
        self.unproven.push_back((placed.sequence(), parsed.end));
        (self.line, self.open_line) = (checkpoint.end_line, parsed.open_line);
        let outcome = &mut self.outcome;
        outcome.lines += parsed.line_ends;
        outcome.events += parsed.events;
        outcome.rejects += parsed.rejects;
        outcome.rejects_held += parsed.rejects;
        outcome.bytes += parsed.end - parsed.start;
        outcome.nuls += parsed.nuls;
        outcome.offset = parsed.end;
        self.last = Some(checkpoint);
        Ok((Some(placed), parsed.batch))
    }

    /// Tells that the end of the input is not taken, or refuses it, where nothing may be wrong.
    fn leave(&mut self, left: Left) -> Result<()> {
        if self.max_rejects == MaxRejects::Number(0) {
            let Rejected { line, byte, .. } = left.what;
            let what = if left.is_hole { "nothing but NUL bytes".into() } else { left.what.fault() };
            let reason = format!("the end of the input is incomplete: {what}");
            return Err(Error::Line { input: self.input.clone(), line, byte, reason });
        }
        self.outcome.left = Some(left.bytes);
        (self.notify)(Notice::Left(&left));
        Ok(())
    }

    /// At the end of the input: counts the last line, and keeps in the store whether anything was left.
    fn end(&mut self) -> Result<()> {
        self.outcome.lines += u64::from(self.open_line);
        let left = self.outcome.left.unwrap_or(0);
        let Some(last) = &self.last else { return Ok(()) };
        if last.left == left {
            return Ok(());
        }
        let (start, start_line) = (last.end, last.end_line);
        let checkpoint = Checkpoint { start, start_line, left, name: self.name.clone(), ..last.clone() };
        let frame = self.log.append_batch(&checkpoint, &Batch::default())?;
        self.unproven.push_back((frame, last.end));
        self.last = Some(checkpoint);
        Ok(())
    }

    /// Where the input stands behind what was parsed.
    fn checkpoint(&self, parsed: &Parsed) -> Checkpoint {
        let instance = self.outcome.instance;
        let before = self.last.as_ref();
        Checkpoint {
            instance,
            start: parsed.start,
            end: parsed.end,
            start_line: self.line,
            end_line: self.line + parsed.line_ends,
            windows: parsed.windows,
            name: self.name.clone(),
            left: 0,
            marks: before.map(|before| before.marks_before(parsed.end)).unwrap_or_default(),
        }
    }

    /// Refuses a chunk with which the input has too many rejects.
    fn check_rejects(&self, parsed: &Parsed, checkpoint: &Checkpoint) -> Result<()> {
        let (events, held) = (self.stored.0 + self.outcome.events, self.stored.1 + self.outcome.rejects);
        match self.max_rejects {
            MaxRejects::Number(most) if held + parsed.rejects > most => {
                Err(self.too_many(parsed, checkpoint, most, held))
            }
            MaxRejects::NotOnly if events == 0 && held + parsed.leading >= WRONG_LINES => Err(self.only_rejects(held)),
            _ => Ok(()),
        }
    }

    /// The error of one reject more than `most`, of which the store holds some.
    fn too_many(&self, parsed: &Parsed, checkpoint: &Checkpoint, most: u64, held: u64) -> Error {
        let nth = usize::try_from(most.saturating_sub(held)).unwrap_or(usize::MAX);
        let entry = parsed.batch.entries.iter().find(|entry| entry.kind == SectionKind::Rejects);
        let section = entry.and_then(|entry| {
            let bytes = parsed.batch.sections.get(..entry.length as usize)?;
            decode_rejects(bytes, entry.count, checkpoint).ok()
        });
        let found = section.and_then(|mut rejects| rejects.nth(nth));
        let told = match found {
            Some(reject) => Reason::from_code(reject.reason)
                .map(|reason| Rejected::new(&Reject { line: reject.line - 1, ..reject }, reason)),
            // What was written a moment ago can be read.
            None => self.first_reject.clone(),
        };
        let (line, byte, reason) = told.map(|told| (told.line, told.byte, told.fault())).unwrap_or_default();
        let reason = match most {
            0 => reason,
            most => format!("{reason}; that is reject {}, and --max-rejects {most} are allowed", held.max(most) + 1),
        };
        Error::Line { input: self.input.clone(), line, byte, reason }
    }

    /// The error of an input that is something else than events.
    fn only_rejects(&self, held: u64) -> Error {
        let first = self
            .first_reject
            .as_ref()
            .map(|told| format!("; the first is line {} (byte {}): {}", told.line, told.byte, told.fault()));
        let again = match held {
            0 => String::new(),
            held => format!(", {held} of which the store holds"),
        };
        let problem = format!("its first {WRONG_LINES} lines are all wrong{again}{}", first.unwrap_or_default());
        let hint = "is it the right file? If it is, run again with --max-rejects all, or --max-rejects N: so many of its \
                    wrong lines are kept as rejects";
        Error::Input { input: self.input.clone(), problem, hint: hint.into() }
    }
}
