//! The pipeline from an input to the log.
//!
//! One thread cuts the input into chunks, as many as there are processors parse and encode them, the caller's thread
//! appends the frames in the order of the input, and the log's own thread fsyncs. Each chunk holds a permit from the
//! moment it is read until its frame is safe, so no more than [`IN_FLIGHT`] bytes have to be read again after a crash.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::batch::{Checkpoint, EventsEncoder, RejectsEncoder, Windows};
use crate::format::coding::{shard, site_hash};
use crate::input::chunk::{CHUNK, Chunk, ChunkKind, Chunker};
use crate::input::fast;
use crate::input::parse::{self, MAX_LINE, Reason, Scratch};
use crate::input::source::{Source, Start};
use crate::log::{Batch, Log};
use crate::store::Input;
use crate::table::Table;

/// The most input that is read and not yet safe.
pub const IN_FLIGHT: usize = 32 << 20;

/// How long no chunk comes before what was appended is acknowledged by a mark.
const LULL: Duration = Duration::from_millis(250);

/// Rejects of one chunk that are told one by one; the rest is counted.
const TOLD: usize = 3;

/// How to ingest.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Threads that parse.
    pub threads: usize,
    /// A rejected line is an error.
    pub strict: bool,
    /// Read the input from its start as a new one, and forget the instance it matches.
    pub from_start: bool,
}

/// A line that is no event, as it is told.
#[derive(Clone, Copy, Debug)]
pub struct RejectedLine {
    /// Its number, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub byte: u64,
    /// Why.
    pub reason: Reason,
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
    /// A line was rejected; not every one is told.
    Reject(RejectedLine),
    /// The last line has no end and is no event: it was left for the next run.
    Unterminated(RejectedLine),
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
    /// Offset behind the last byte consumed, decompressed.
    pub offset: u64,
    /// Offset up to which everything is acknowledged.
    pub durable_offset: u64,
    /// Ended by `stop` and not by the end of the input.
    pub stopped: bool,
}

/// What a worker made of a chunk.
struct Parsed {
    index: u64,
    start: u64,
    end: u64,
    windows: Windows,
    batch: Batch,
    /// Lines, and line ends: a last line may have none.
    lines: u64,
    line_ends: u64,
    events: u64,
    rejects: u64,
    told: Vec<RejectedLine>,
    /// The last line, if it is to be left for the next run.
    unterminated: Option<RejectedLine>,
}

/// Appends the events and rejects of an input to the log, from where the store left it. `inputs` are those the store
/// knows, and is kept up to date. Returns when all is appended; [`Log::settle`] then makes it durable.
///
/// Once `stop` is set, the chunks at hand are finished and nothing more is read.
pub fn ingest(
    log: &mut Log,
    inputs: &mut BTreeMap<Uid, Input>,
    mut source: Source,
    options: IngestOptions,
    stop: &AtomicBool,
    notify: &mut dyn FnMut(Notice<'_>),
) -> Result<Outcome> {
    let known: Vec<&Checkpoint> = inputs.values().map(|input| &input.checkpoint).collect();
    let mut start = source.seek(&known)?;
    let mut found = start.found.map(|index| known[index].instance);
    if let (true, Some(instance)) = (options.from_start, found) {
        log.append_forget(&[instance])?;
        inputs.remove(&instance);
        source.rewind()?;
        start = Start::default();
        found = None;
    }
    let instance = match found {
        Some(instance) => instance,
        None => log.random()?,
    };
    let name = source.name_bytes();
    let before = inputs.get(&instance);
    let (offset, line) = before.map_or((0, 0), |input| (input.checkpoint.end, input.checkpoint.end_line));
    let held = before.map_or(0, |input| input.rejects);
    let outcome = Outcome { instance, rejects_held: held, offset, durable_offset: offset, ..Outcome::default() };
    notify(Notice::Begin { offset, lines: line });

    let threads = options.threads.max(1);
    let permits = (IN_FLIGHT / CHUNK).max(threads + 1);
    let (permit, permitted) = sync_channel(permits);
    for _ in 0..permits {
        // There is room for all of them.
        let _ = permit.send(());
    }
    let (chunks, queue) = sync_channel::<(u64, Chunk)>(0);
    // Shared by the workers alone: when the last of them ends, the reader's next send fails and it ends as well.
    let queue = Arc::new(Mutex::new(queue));
    let (finished, results) = channel();
    let (spent_buffer, buffers) = channel();
    let (spent_batch, batches) = channel();
    let batches = Mutex::new(batches);
    let halt = AtomicBool::new(false);
    let name_shown = source.name.clone();
    let ended = || stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed);

    std::thread::scope(|scope| {
        let chunker = Chunker::new(source, offset, start, &ended);
        let reader = scope.spawn(move || read(chunker, &permitted, &buffers, &chunks));
        for _ in 0..threads {
            let (finished, spent_buffer) = (finished.clone(), spent_buffer.clone());
            let (queue, batches) = (Arc::clone(&queue), &batches);
            scope.spawn(move || work(&queue, batches, &finished, &spent_buffer));
        }
        drop((finished, spent_buffer, queue));
        let mut appender = Appender {
            log,
            inputs,
            instance,
            name,
            line,
            outcome,
            early: BTreeMap::new(),
            next: 0,
            unsafe_frames: VecDeque::new(),
            unproven: VecDeque::new(),
            permits,
            permit,
            strict: options.strict.then_some(name_shown.as_str()),
            notify,
        };
        let result = appender.run(&results, &spent_batch);
        let mut outcome = appender.outcome;
        outcome.stopped = stop.load(Ordering::Relaxed);
        // Lets the reader and the workers end, whatever they wait for.
        halt.store(true, Ordering::Relaxed);
        drop((appender, results, spent_batch));
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        result?;
        match read {
            Ok(()) => Ok(outcome),
            Err((source, offset, error)) => Err(source.error(offset, &error)),
        }
    })
}

/// The error of a read, with its source and the offset where the next chunk would have begun.
type ReadFailure = (Box<Source>, u64, io::Error);

/// Cuts the input into chunks as permits come in; ends when nobody takes them any more.
fn read(
    mut chunker: Chunker<'_>,
    permitted: &Receiver<()>,
    buffers: &Receiver<Vec<u8>>,
    chunks: &SyncSender<(u64, Chunk)>,
) -> std::result::Result<(), ReadFailure> {
    let mut index = 0;
    while permitted.recv().is_ok() {
        let buffer = buffers.try_recv().unwrap_or_default();
        match chunker.next(buffer) {
            Ok(Some(chunk)) => match chunks.send((index, chunk)) {
                Ok(()) => index += 1,
                Err(_) => return Ok(()),
            },
            Ok(None) => return Ok(()),
            Err(error) => {
                let offset = chunker.offset();
                return Err((Box::new(chunker.into_source()), offset, error));
            }
        }
    }
    Ok(())
}

/// Parses and encodes chunks until there are no more.
fn work(
    queue: &Mutex<Receiver<(u64, Chunk)>>,
    batches: &Mutex<Receiver<Batch>>,
    finished: &Sender<Parsed>,
    spent_buffer: &Sender<Vec<u8>>,
) {
    let mut parser = ChunkParser::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok((index, chunk)) = next else { return };
        let batch = batches.lock().unwrap_or_else(PoisonError::into_inner).try_recv().unwrap_or_default();
        let parsed = parser.parse(index, &chunk, batch);
        // The reader may have ended.
        let _ = spent_buffer.send(chunk.buffer);
        if finished.send(parsed).is_err() {
            return;
        }
    }
}

/// The state of the thread that appends.
struct Appender<'a> {
    log: &'a mut Log,
    inputs: &'a mut BTreeMap<Uid, Input>,
    instance: Uid,
    name: Vec<u8>,
    /// Line ends before the next chunk.
    line: u64,
    outcome: Outcome,
    /// Chunks that were parsed before an earlier one was.
    early: BTreeMap<u64, Parsed>,
    next: u64,
    /// Frames that are appended and not yet safe; each holds a permit.
    unsafe_frames: VecDeque<u64>,
    /// Frames that are not yet acknowledged, and the offset that each reaches.
    unproven: VecDeque<(u64, u64)>,
    permits: usize,
    permit: SyncSender<()>,
    /// Rejects are errors of the input with this name.
    strict: Option<&'a str>,
    notify: &'a mut dyn FnMut(Notice<'_>),
}

impl Appender<'_> {
    fn run(&mut self, results: &Receiver<Parsed>, spent: &Sender<Batch>) -> Result<()> {
        loop {
            self.release()?;
            let parsed = match results.recv_timeout(LULL) {
                Ok(parsed) => parsed,
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {
                    // No frame comes that would prove the last ones: what trickles in must not wait for the next.
                    if !self.unproven.is_empty() {
                        self.log.settle()?;
                        self.release()?;
                        (self.notify)(Notice::Progress(&self.outcome));
                    }
                    continue;
                }
            };
            self.early.insert(parsed.index, parsed);
            while let Some(parsed) = self.early.remove(&self.next) {
                self.next += 1;
                let batch = self.append(parsed)?;
                // The workers may have ended.
                let _ = spent.send(batch);
                (self.notify)(Notice::Progress(&self.outcome));
            }
        }
    }

    /// Gives back the permits of the frames that are safe. If they hold all there are, nothing else can happen before one
    /// of them is.
    fn release(&mut self) -> Result<()> {
        if let (Some(first), true) = (self.unsafe_frames.front(), self.unsafe_frames.len() == self.permits) {
            self.log.wait_past(*first)?;
        }
        let (safe, acknowledged) = (self.log.safe(), self.log.acknowledged());
        while self.unsafe_frames.front().is_some_and(|&frame| frame <= safe) {
            self.unsafe_frames.pop_front();
            // The reader may have ended.
            let _ = self.permit.try_send(());
        }
        while let Some((_, offset)) = self.unproven.front().filter(|(frame, _)| *frame <= acknowledged) {
            self.outcome.durable_offset = *offset;
            self.unproven.pop_front();
        }
        Ok(())
    }

    fn append(&mut self, parsed: Parsed) -> Result<Batch> {
        let place = |told: RejectedLine| RejectedLine { line: self.line + told.line, ..told };
        if let (Some(name), Some(reject)) = (self.strict, parsed.told.first()) {
            let RejectedLine { line, byte, reason } = place(*reject);
            return Err(Error::Line { input: name.into(), line, byte, reason: reason.to_string() });
        }
        for told in &parsed.told {
            (self.notify)(Notice::Reject(place(*told)));
        }
        if let Some(told) = parsed.unterminated {
            (self.notify)(Notice::Unterminated(place(told)));
            return Ok(parsed.batch);
        }
        let checkpoint = Checkpoint {
            instance: self.instance,
            start: parsed.start,
            end: parsed.end,
            start_line: self.line,
            end_line: self.line + parsed.line_ends,
            windows: parsed.windows,
            name: self.name.clone(),
        };
        let frame = self.log.append_batch(&checkpoint, &parsed.batch)?;
        self.unsafe_frames.push_back(frame);
        self.unproven.push_back((frame, parsed.end));
        self.line = checkpoint.end_line;
        let outcome = &mut self.outcome;
        outcome.lines += parsed.lines;
        outcome.events += parsed.events;
        outcome.rejects += parsed.rejects;
        outcome.rejects_held += parsed.rejects;
        outcome.bytes += parsed.end - parsed.start;
        outcome.offset = parsed.end;
        let empty = Input { checkpoint: checkpoint.clone(), events: 0, rejects: 0 };
        let input = self.inputs.entry(self.instance).or_insert(empty);
        input.checkpoint = checkpoint;
        input.events += parsed.events;
        input.rejects += parsed.rejects;
        Ok(parsed.batch)
    }
}

/// A worker's buffers.
#[derive(Default)]
struct ChunkParser {
    table: Table,
    rejects: RejectsEncoder,
    events: EventsEncoder,
    scratch: Scratch,
    told: Vec<RejectedLine>,
}

impl ChunkParser {
    fn parse(&mut self, index: u64, chunk: &Chunk, mut batch: Batch) -> Parsed {
        self.table.clear();
        let mut line_ends = 0;
        let mut unterminated = None;
        match chunk.kind {
            ChunkKind::Lines => line_ends = self.lines(chunk),
            ChunkKind::Unterminated => {
                let line = without_mark(chunk);
                unterminated = self.line(line).err().map(|reason| RejectedLine { line: 1, byte: chunk.start, reason });
            }
            ChunkKind::TooLong(length) => {
                line_ends = 1;
                self.reject(chunk.start, 0, 0, Reason::TooLong, length, chunk.bytes());
            }
            ChunkKind::UnterminatedTooLong(_) => {
                unterminated = Some(RejectedLine { line: 1, byte: chunk.start, reason: Reason::TooLong });
            }
        }
        let rejects = u64::from(self.rejects.count());
        batch.entries.clear();
        batch.sections.clear();
        self.rejects.finish(&mut batch.entries, &mut batch.sections);
        self.events.encode(&self.table, &mut batch.entries, &mut batch.sections);
        Parsed {
            index,
            start: chunk.start,
            end: chunk.end,
            windows: chunk.windows,
            batch,
            lines: line_ends + u64::from(chunk.kind == ChunkKind::Unterminated),
            line_ends,
            events: self.table.rows.len() as u64,
            rejects,
            told: std::mem::take(&mut self.told),
            unterminated,
        }
    }

    /// Parses whole lines; gives their number.
    fn lines(&mut self, chunk: &Chunk) -> u64 {
        let bytes = chunk.bytes();
        let mut at = bytes.len() - without_mark(chunk).len();
        let mut lines = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Some((event, length)) = fast::parse(rest) {
                self.table.push(&event, shard(site_hash(event.site)));
                at += length;
            } else {
                let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
                let line = &rest[..length];
                if let Err(reason) = self.line(line) {
                    self.reject(chunk.start, at as u64, lines, reason, length as u64, line);
                }
                at += length + 1;
            }
            lines += 1;
        }
        lines
    }

    /// Parses one line the thorough way and keeps its event; a blank line has none.
    fn line(&mut self, line: &[u8]) -> std::result::Result<(), Reason> {
        if line.len() <= MAX_LINE && parse::is_blank(line) {
            return Ok(());
        }
        let event = parse::parse(line, &mut self.scratch)?;
        self.table.push(&event, shard(site_hash(event.site)));
        Ok(())
    }

    /// Keeps a reject that begins `at` bytes and `line` lines behind the start of the chunk.
    fn reject(&mut self, start: u64, at: u64, line: u64, reason: Reason, length: u64, raw: &[u8]) {
        self.rejects.push(at, line, reason.code(), length, raw);
        if self.told.len() < TOLD {
            self.told.push(RejectedLine { line: line + 1, byte: start + at, reason });
        }
    }
}

/// A chunk without the byte-order mark that an input may begin with.
fn without_mark(chunk: &Chunk) -> &[u8] {
    let bytes = chunk.bytes();
    match chunk.start {
        0 => bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes),
        _ => bytes,
    }
}
