//! Appending to the log: frames in order, fsynced by a thread of their own, acknowledged only with proof.
//!
//! A frame is appended in two steps. Whoever holds the log gives it a place: an offset, a sequence number, a link in the chain, and a
//! header that says so ([`Log::place_batch`]). That takes no call to the system, unless the segment is full. Then it is written, by any
//! thread, while others place and write the next ones ([`Placed::write`]). So writes end in any order, and may reach the disk in any:
//!
//! * **Written** is a frame once it and all before it are. An fsync claims nothing beyond that; a frame before a hole is not claimed
//!   by the one behind it.
//! * A roll, and whoever flushes or settles, waits until all that was placed is written.
//! * A write that fails, or a place that is given up, fails the log: what stands behind it is never claimed by anything, so it was never
//!   acknowledged, and the next opening takes it for torn.
//!
//! Who appends never waits for the disk; the syncer calls fsync again and again while there is something to
//! sync, so the frames of one fsync are those that were written during the one before. Calls that change the disk come
//! from the syncer, from whoever holds the log and from those who write what was placed. After a failed write or fsync nothing more is acknowledged and nothing is tried
//! again: the kernel may have dropped the pages and marked them clean, and the next opening recovers.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::base::shares::{Guard, Lock, idle};
use crate::base::threads::start;
use crate::disk::{File, Storage, explained, leads_to, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::batch::Checkpoint;
use crate::format::frame::{
    ENTRY, Entry, FRAME_HEADER, FrameHeader, FrameKind, MAX_PAYLOAD, SEGMENT_HEADER, SectionKind, SegmentHeader, crc,
};
use crate::segment::{Link, Segment};
use crate::store::place::Place;
use crate::store::recover::{Recovery, publish_segment, recover};
use crate::store::{ACKNOWLEDGED_NAME, View, segment_name};

/// How long a segment grows before the next begins.
pub const SEGMENT_SIZE: u64 = 128 << 20;

/// What an acknowledgement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every acknowledged frame was fsynced: it survives the loss of power.
    Sync,
    /// Frames are left to the operating system until their segment is half full, and are fsynced before it is sealed: they
    /// survive the death of the process.
    Os,
}

/// How to append.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// What an acknowledgement stands for.
    pub durability: Durability,
    /// Bytes after which a segment is sealed.
    pub segment_size: u64,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions { durability: Durability::Sync, segment_size: SEGMENT_SIZE }
    }
}

/// What a worker made of a chunk: every section of a batch but the checkpoint.
#[derive(Debug, Default)]
pub struct Batch {
    /// The directory's entries, ascending.
    pub entries: Vec<Entry>,
    /// The sections' bytes behind one another.
    pub sections: Vec<u8>,
}

impl Batch {
    /// Encodes the directory, so that there is less to do for whoever holds the log.
    pub fn prepare(&self) -> Prepared {
        let mut head = Vec::with_capacity(FRAME_HEADER + (1 + self.entries.len()) * ENTRY + ROOM_FOR_CHECKPOINT);
        // The first section is the checkpoint, which is not known yet.
        head.resize(FRAME_HEADER + ENTRY, 0);
        self.entries.iter().for_each(|entry| entry.encode(&mut head));
        Prepared { head, rest: self.sections.len() }
    }
}

/// A checkpoint takes so many bytes at most, as a rule.
const ROOM_FOR_CHECKPOINT: usize = 2048;

/// The start of a batch's frame, which has no header and no checkpoint yet.
#[derive(Debug)]
pub struct Prepared {
    head: Vec<u8>,
    /// Bytes of the sections behind the checkpoint.
    rest: usize,
}

/// What a writer and the compactor beside it know of each other.
#[derive(Debug, Default)]
pub struct Tail {
    /// Bytes of sealed segments that are in no snapshot.
    bytes: AtomicU64,
    pipes: Mutex<Pipes>,
}

/// Standard inputs. Those that have ended become one input when they are compacted.
#[derive(Debug, Default)]
struct Pipes {
    /// Those of which this writer appends frames, or did.
    read: BTreeSet<Uid>,
    /// Those that are, or are about to be, in the sum of them.
    gone: BTreeSet<Uid>,
}

impl Tail {
    /// Bytes of sealed segments that are in no snapshot: what a compaction would fold.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many of them are in a snapshot now.
    pub(crate) fn folded(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the compactor choose among standard inputs that have ended; it is told of which of them frames may come.
    pub(crate) fn take_away(&self, choose: impl FnOnce(&BTreeSet<Uid>) -> Vec<Uid>) {
        let mut pipes = self.pipes();
        let gone = choose(&pipes.read);
        pipes.gone.extend(gone);
    }
}

/// The one writer of a store: holds its lock and the end of its log.
pub struct Log {
    storage: Arc<dyn Storage>,
    options: LogOptions,
    header: SegmentHeader,
    target: Arc<Target>,
    /// Offset of the next frame.
    end: u64,
    link: Link,
    /// The last frame that is not just a mark or a seal, as the record of what was acknowledged names it.
    last_content: Option<Acknowledged>,
    /// What that record says, as far as this log knows.
    recorded: u64,
    tail: Arc<Tail>,
    shared: Arc<Shared>,
    syncer: Option<JoinHandle<()>>,
    _lock: Box<dyn Send + Sync>,
}

/// The file that is written to.
struct Target {
    file: Arc<dyn File>,
    path: String,
}

struct Shared {
    state: Lock<State>,
    changed: Condvar,
    /// Whoever syncs holds it, so that it is one at a time.
    syncing: Mutex<()>,
    /// There is no thread that syncs.
    alone: AtomicBool,
    place: Place,
}

#[derive(Default)]
struct State {
    /// What the syncer syncs; frames of earlier files are durable already.
    written: Option<Written>,
    /// Frames that have a place, from the first one on that is not written.
    placed: VecDeque<InHand>,
    /// The last frame that is written, with all before it, and what its header claims to be durable.
    appended: Claim,
    /// Offset behind the furthest frame of the segment that is written, and behind the last one that has a place.
    reached: u64,
    promised: u64,
    /// The last frame that an fsync covers.
    durable: u64,
    /// The last frame that a durable header proves durable.
    acknowledged: u64,
    /// Whether the syncer has to sync: somebody waits, or durability is `Sync`.
    wanted: bool,
    stopping: bool,
    failure: Option<Error>,
}

/// The segment that is appended to.
#[derive(Clone)]
struct Written {
    file: Arc<dyn File>,
    path: String,
    number: u64,
    /// The last one of the store: this one, or its successor once that is published.
    last: u64,
}

#[derive(Clone, Copy, Default)]
struct Claim {
    sequence: u64,
    durable_upto: u64,
}

/// A frame that has a place.
struct InHand {
    claim: Claim,
    is_written: bool,
}

impl Shared {
    fn lock(&self) -> Guard<'_, State> {
        // A panic elsewhere must not hide what is durable; the state is valid between any two statements.
        self.state.lock()
    }

    fn wait<'a>(&self, state: Guard<'a, State>) -> Guard<'a, State> {
        state.wait(&self.changed)
    }

    /// The same, for somebody who waits for a sync.
    fn wait_for_sync<'a>(&'a self, state: Guard<'a, State>) -> Guard<'a, State> {
        // What others have in hand is theirs to write: only then is there something to sync.
        if !self.alone.load(Ordering::Relaxed) || state.durable == state.appended.sequence {
            return self.wait(state);
        }
        drop(state);
        idle(|| self.sync(true));
        self.lock()
    }

    /// Fsyncs what is appended, until told to stop; or `once`, until there is nothing left to sync.
    fn sync(&self, once: bool) {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        loop {
            let due = state.wanted && state.failure.is_none() && state.durable < state.appended.sequence;
            match state.written.clone().filter(|_| due) {
                Some(written) => {
                    // What this fsync covers is what was written before it began, with no frame missing, not what is when it ends.
                    let claim = state.appended;
                    drop(state);
                    let result = written.file.sync();
                    // And where it is now: the disk keeps what is in a directory that nobody finds, too.
                    let result = result.map_err(Error::io("sync", &written.path)).and_then(|()| self.look(&written));
                    state = self.lock();
                    match result {
                        Ok(()) => {
                            state.durable = claim.sequence;
                            state.acknowledged = state.acknowledged.max(claim.durable_upto);
                        }
                        Err(error) => state.fail(error),
                    }
                    self.changed.notify_all();
                }
                None if state.stopping || once => return,
                None => state = self.wait(state),
            }
        }
    }

    /// Looks whether what is written is where the store's path says.
    fn look(&self, written: &Written) -> Result<()> {
        self.place.check(written.number, &*written.file, written.last)
    }

    /// Looks before something is acknowledged; what is found wrong once stays wrong.
    fn check_place(&self) -> Result<()> {
        let state = self.lock();
        state.check()?;
        let written = state.written.clone();
        drop(state);
        match written.map_or(Ok(()), |written| self.look(&written)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let mut state = self.lock();
                state.fail(error);
                self.changed.notify_all();
                state.check()
            }
        }
    }
}

impl State {
    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// A frame was written that ends at `end`.
    fn wrote(&mut self, sequence: u64, end: u64) {
        if let Some(frame) = self.placed.iter_mut().find(|frame| frame.claim.sequence == sequence) {
            frame.is_written = true;
        }
        self.reached = self.reached.max(end);
        while let Some(first) = self.placed.front().filter(|first| first.is_written) {
            self.appended = first.claim;
            self.placed.pop_front();
        }
    }

    fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |error| Err(error.again()))
    }
}

impl Log {
    /// Opens the store for writing: makes it if need be, takes the lock, recovers.
    pub fn open(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Log, View, Recovery)> {
        let recovered = recover(&*storage).map_err(|error| explained(&*storage, error))?;
        let view = recovered.view;
        let Some(segment) = view.segments.last() else {
            let directory = storage.path().display().to_string();
            return Err(Error::NoStore { store: directory, problem: "no segment".into() });
        };
        let number = segment.header.number;
        let file = storage.open(&segment_name(number), true);
        let file: Arc<dyn File> = file.map_err(Error::io("open", &segment.path))?.into();
        // So that what is appended to is what was recovered.
        leads_to(&*storage, &segment_name(number), &*segment.file)?;
        leads_to(&*storage, &segment_name(number), &*file)?;
        let newest = recovered.successor.as_ref().map_or(number, |successor| successor.header.number);
        // Recovery fsynced every frame there is, so the last header's claim is proven as well.
        let last = view.frames.last().map(|place| place.frame.header);
        // What a snapshot covers is proven by the snapshot.
        let covered = view.snapshots.last().map_or(0, |snapshot| snapshot.header.next_sequence - 1);
        let durable_upto = last.map_or(covered, |header| header.durable_upto);
        let claim = Claim { sequence: view.link.sequence - 1, durable_upto };
        let content = |kind| matches!(kind, FrameKind::Batch | FrameKind::Forget | FrameKind::Hole);
        let last_content = view.frames.iter().rev().map(|place| place.frame.header).find(|header| content(header.kind));
        let state = State {
            written: Some(Written { file: Arc::clone(&file), path: segment.path.clone(), number, last: newest }),
            appended: claim,
            durable: claim.sequence,
            reached: segment.length,
            promised: segment.length,
            // Not `view.durable_upto`: that may have been claimed by a header that recovery cut off, and what nothing on
            // the disk proves any more has to be marked again.
            acknowledged: claim.durable_upto,
            wanted: options.durability == Durability::Sync,
            ..State::default()
        };
        let place = Place::new(Arc::clone(&storage));
        let state = Lock::new("ingest", "the log", state);
        let (changed, syncing, alone) = (Condvar::new(), Mutex::new(()), AtomicBool::new(false));
        let shared = Arc::new(Shared { state, changed, syncing, alone, place });
        let syncer = start("syncer", {
            let shared = Arc::clone(&shared);
            move || shared.sync(false)
        });
        // Without one, whoever has to wait for a sync makes it.
        shared.alone.store(syncer.is_err(), Ordering::Relaxed);
        let mut log = Log {
            options,
            header: segment.header,
            target: Arc::new(Target { file, path: segment.path.clone() }),
            end: segment.length,
            link: view.link,
            last_content: last_content.as_ref().map(record_of),
            recorded: view.acknowledged.map_or(0, |record| record.sequence),
            tail: Arc::new(Tail {
                bytes: AtomicU64::new(view.segments.iter().rev().skip(1).map(|segment| segment.length).sum()),
                pipes: Mutex::default(),
            }),
            shared,
            syncer: syncer.ok(),
            _lock: recovered.lock,
            storage,
        };
        if let Some(successor) = recovered.successor {
            log.enter(successor)?;
        }
        Ok((log, view, recovered.recovery))
    }

    /// What an acknowledgement stands for.
    pub fn durability(&self) -> Durability {
        self.options.durability
    }

    /// For a compactor beside this writer.
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Takes note that frames may come of an input that is, or was, a standard input; no if the compactor has taken it away.
    pub(crate) fn keep_pipe(&self, instance: Uid) -> bool {
        let mut pipes = self.tail.pipes();
        let kept = !pipes.gone.contains(&instance);
        if kept {
            pipes.read.insert(instance);
        }
        kept
    }

    /// Seals the last segment if it has frames, so that all of them can be folded.
    pub fn seal(&mut self) -> Result<()> {
        if self.end > SEGMENT_HEADER as u64 { self.roll() } else { Ok(()) }
    }

    /// Random bytes.
    pub fn random(&self) -> Result<Uid> {
        self.storage.random().map_err(Error::io("get random bytes for", self.storage.path().display().to_string()))
    }

    /// Appends a batch; gives its sequence number.
    pub fn append_batch(&mut self, checkpoint: &Checkpoint, batch: &Batch) -> Result<u64> {
        let placed = self.place_batch(checkpoint, batch.prepare())?;
        let sequence = placed.sequence();
        placed.write(batch)?;
        Ok(sequence)
    }

    /// Gives a batch its place. It has to be written, by whom and whenever it may be; and before
    /// this thread places the next one, which may begin a segment, and waits for all that is not written then.
    pub fn place_batch(&mut self, checkpoint: &Checkpoint, prepared: Prepared) -> Result<Placed> {
        let checkpoint = checkpoint.encode();
        let Prepared { mut head, rest } = prepared;
        let mut first = Vec::with_capacity(ENTRY);
        Entry::new(SectionKind::Checkpoint, 0, 1, &checkpoint).encode(&mut first);
        if let Some(room) = head.get_mut(FRAME_HEADER..FRAME_HEADER + ENTRY) {
            room.copy_from_slice(&first);
        }
        let directory = head.len() - FRAME_HEADER;
        head.extend_from_slice(&checkpoint);
        self.place_content(FrameKind::Batch, Head { bytes: head, directory }, rest)
    }

    /// Appends a frame that makes the checkpoints and the rejects of these inputs count no longer.
    pub fn append_forget(&mut self, instances: &[Uid]) -> Result<u64> {
        let bytes = instances.as_flattened();
        let entry = Entry::new(SectionKind::Forgotten, 0, instances.len() as u32, bytes);
        let mut head = Head::new(&[entry]);
        head.bytes.extend_from_slice(bytes);
        let placed = self.place_content(FrameKind::Forget, head, 0)?;
        let sequence = placed.sequence();
        placed.write_all(&[])?;
        Ok(sequence)
    }

    /// Gives a frame its place that is not just a mark or a seal: behind its head come `rest` bytes.
    fn place_content(&mut self, kind: FrameKind, head: Head, rest: usize) -> Result<Placed> {
        let payload = head.bytes.len() - FRAME_HEADER + rest;
        if payload > MAX_PAYLOAD {
            // The bounds on chunks keep it far below; written, it could not be read again.
            let source = std::io::Error::other(format!("a frame of {payload} bytes is over the limit"));
            return Err(Error::Io { operation: "append to", path: self.target.path.clone(), source });
        }
        let length = (FRAME_HEADER + payload) as u64;
        if self.end > SEGMENT_HEADER as u64 && self.end + length > self.options.segment_size {
            self.roll()?;
        }
        let (placed, header) = self.place(kind, head, rest)?;
        self.last_content = Some(record_of(&header));
        Ok(placed)
    }

    /// Appends a frame that is nothing but a header.
    fn append(&mut self, kind: FrameKind) -> Result<()> {
        let (placed, _) = self.place(kind, Head::new(&[]), 0)?;
        placed.write_all(&[])
    }

    fn place(&mut self, kind: FrameKind, head: Head, rest: usize) -> Result<(Placed, FrameHeader)> {
        let Head { mut bytes, directory } = head;
        let (room, sections) = bytes.split_at_mut(FRAME_HEADER);
        let directory = sections.get(..directory).unwrap_or_default();
        let durable_upto = {
            let state = self.shared.lock();
            state.check()?;
            state.durable
        };
        let mut header = FrameHeader {
            kind,
            entries: (directory.len() / ENTRY) as u16,
            store: self.header.store,
            segment: self.header.number,
            salt: self.header.salt,
            offset: self.end,
            sequence: self.link.sequence,
            durable_upto,
            payload: (sections.len() + rest) as u32,
            previous: self.link.previous.unwrap_or_default(),
            directory_crc: crc(directory),
            crc: 0,
        };
        let encoded = header.encode();
        header.crc = crc(&encoded[..FRAME_HEADER - 4]);
        room.copy_from_slice(&encoded);
        let claim = Claim { sequence: header.sequence, durable_upto };
        let placed = Placed {
            target: Arc::clone(&self.target),
            shared: Arc::clone(&self.shared),
            durability: self.options.durability,
            offset: self.end,
            end: self.end + header.length(),
            sequence: header.sequence,
            head: bytes,
            is_written: false,
        };
        self.end = placed.end;
        self.link = Link::after(&header);
        let mut state = self.shared.lock();
        state.promised = self.end;
        state.placed.push_back(InHand { claim, is_written: false });
        // It is sealed before long, and should have little to wait for then.
        state.wanted |= self.end > self.options.segment_size / 2;
        drop(state);
        Ok((placed, header))
    }

    /// Begins the next segment. It is published before this one is sealed and gets frames only once the seal is durable:
    /// so a sealed segment without a successor is a missing file, and damage in a sealed one was no torn write.
    fn roll(&mut self) -> Result<()> {
        let rolled = self.publish_successor().and_then(|successor| self.enter(successor));
        let rolled = rolled.map_err(|error| explained(&*self.storage, error));
        // Wherever it stopped: a second attempt would publish over the first or seal twice.
        if let Err(error) = &rolled {
            self.shared.lock().fail(error.again());
        }
        rolled
    }

    fn publish_successor(&mut self) -> Result<Segment> {
        self.flush()?;
        let number = self.header.number + 1;
        let first_sequence = self.link.sequence + 1;
        publish_segment(&*self.storage, self.header.store, number, first_sequence)?;
        if let Some(written) = &mut self.shared.lock().written {
            written.last = number;
        }
        let name = segment_name(number);
        let path = path_of(&*self.storage, &name);
        let file = self.storage.open(&name, true).map_err(Error::io("open", &path))?;
        Segment::open(path, file)
    }

    /// Seals this segment and goes on in its successor.
    fn enter(&mut self, successor: Segment) -> Result<()> {
        let Segment { header, path, file, .. } = successor;
        if (header.store, header.first_sequence) != (self.header.store, self.link.sequence + 1) {
            let expected = format!("a segment of this store that begins with frame {}", self.link.sequence + 1);
            let found = format!("one that begins with frame {}", header.first_sequence);
            return Err(Corruption { file: path, offset: 0, expected, found }.into());
        }
        self.append(FrameKind::Seal)?;
        self.flush()?;
        self.record()?;
        let file: Arc<dyn File> = file.into();
        self.target = Arc::new(Target { file: Arc::clone(&file), path: path.clone() });
        self.header = header;
        self.tail.bytes.fetch_add(self.end, Ordering::Relaxed);
        self.end = SEGMENT_HEADER as u64;
        let mut state = self.shared.lock();
        let number = header.number;
        state.written = Some(Written { file, path, number, last: number });
        (state.reached, state.promised) = (self.end, self.end);
        state.wanted = self.options.durability == Durability::Sync;
        Ok(())
    }

    /// Waits until everything that was placed is written and fsynced.
    pub fn flush(&mut self) -> Result<()> {
        let mut state = self.shared.lock();
        let wanted = state.wanted;
        state.wanted = true;
        self.shared.changed.notify_all();
        let upto = self.link.sequence - 1;
        // What failed may not be among those up to `link`: without this look, its loss would go unsaid.
        state.check()?;
        while state.durable < upto {
            state = self.shared.wait_for_sync(state);
            state.check()?;
        }
        state.wanted = wanted;
        Ok(())
    }

    /// Waits until everything that was appended is durable and proven so: after this it is acknowledged. With
    /// [`Durability::Os`] it only checks that no write failed and that all of it is in its place.
    pub fn settle(&mut self) -> Result<()> {
        if self.options.durability == Durability::Sync {
            self.flush()?;
            if self.acknowledged() < self.last_content.map_or(0, |content| content.sequence) {
                self.append(FrameKind::Mark)?;
                self.flush()?;
            }
        }
        // Where nothing was to be synced, nobody has looked yet; and what was acknowledged long ago is acknowledged again.
        self.check_place()?;
        self.record()
    }

    /// Records what was acknowledged last, if nothing later was recorded and something fsynced proves it. The record is not
    /// fsynced itself: it may be lost or be an older one after a loss of power, and is true all the same.
    fn record(&mut self) -> Result<()> {
        let proven = self.shared.lock().acknowledged;
        let due = |content: &Acknowledged| content.sequence <= proven && content.sequence > self.recorded;
        let Some(content) = self.last_content.filter(due) else { return Ok(()) };
        let path = || path_of(&*self.storage, ACKNOWLEDGED_NAME);
        let file = self.storage.open_or_create(ACKNOWLEDGED_NAME).map_err(Error::io("open", path()));
        let written = file.and_then(|file| file.write_at(&content.encode(), 0).map_err(Error::io("write to", path())));
        if let Err(error) = written {
            self.shared.lock().fail(error.again());
            return Err(error);
        }
        self.recorded = content.sequence;
        Ok(())
    }

    /// Looks whether all that was written is where the store's path says. Whoever tells somebody of an acknowledgement that is
    /// not of this moment looks before.
    pub fn check_place(&self) -> Result<()> {
        self.shared.check_place()
    }

    /// The last frame that is acknowledged: with [`Durability::Os`], as soon as it is written.
    pub fn acknowledged(&self) -> u64 {
        let state = self.shared.lock();
        match self.options.durability {
            Durability::Sync => state.acknowledged,
            Durability::Os => state.appended.sequence,
        }
    }

    /// The last frame that an fsync covers, or that was written, with [`Durability::Os`]: frames up to it need not be
    /// read again.
    pub fn safe(&self) -> u64 {
        let state = self.shared.lock();
        match self.options.durability {
            Durability::Sync => state.durable,
            Durability::Os => state.appended.sequence,
        }
    }

    /// For threads that wait while another one appends.
    pub fn watch(&self) -> Watch {
        Watch { shared: Arc::clone(&self.shared), durability: self.options.durability }
    }
}

/// What a frame begins with: room for its header, its directory, its first section.
struct Head {
    bytes: Vec<u8>,
    /// Bytes of the directory.
    directory: usize,
}

impl Head {
    /// With a directory and no section.
    fn new(entries: &[Entry]) -> Head {
        let mut bytes = vec![0; FRAME_HEADER];
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let directory = bytes.len() - FRAME_HEADER;
        Head { bytes, directory }
    }
}

/// A frame that has its place in the log and is not written yet. If it is dropped the log fails, since nothing can come behind what
/// is missing.
#[must_use = "what has a place has to be written"]
pub struct Placed {
    shared: Arc<Shared>,
    target: Arc<Target>,
    durability: Durability,
    offset: u64,
    end: u64,
    sequence: u64,
    /// Its header, its directory and its first section.
    head: Vec<u8>,
    is_written: bool,
}

impl Placed {
    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes it, with the sections of the batch for which it was placed. After an error nothing that stands behind it counts.
    pub fn write(self, batch: &Batch) -> Result<()> {
        self.write_all(&batch.sections)
    }

    fn write_all(mut self, rest: &[u8]) -> Result<()> {
        let head = self.head.as_slice();
        let length = (head.len() + rest.len()) as u64;
        let write = || {
            if length != self.end - self.offset {
                return Err(std::io::Error::other("a batch was changed after it had its place"));
            }
            self.target.file.write_at(head, self.offset)?;
            if rest.is_empty() { Ok(()) } else { self.target.file.write_at(rest, self.offset + head.len() as u64) }
        };
        let mut written =
            self.is_as_long_as_written().and_then(|()| write().map_err(Error::io("write to", &self.target.path)));
        if self.durability == Durability::Os && written.is_ok() {
            // It counts as acknowledged from here on.
            written = self.shared.check_place();
        }
        self.is_written = true;
        let mut state = self.shared.lock();
        match &written {
            Ok(()) => state.wrote(self.sequence, self.end),
            Err(error) => state.fail(error.again()),
        }
        // Whoever is woken wants the lock at once.
        drop(state);
        self.shared.changed.notify_all();
        written
    }

    /// Refuses to write on in a file that somebody else cut, or wrote to. While other frames are being written it may end anywhere
    /// between the furthest one that is and the last one that has a place; without any, at exactly one byte.
    fn is_as_long_as_written(&self) -> Result<()> {
        let least = {
            let state = self.shared.lock();
            // Nothing is written any more after a failure.
            state.check()?;
            state.reached
        };
        let found = self.target.file.length().map_err(Error::io("look at", &self.target.path))?;
        let most = match self.shared.lock().promised {
            promised if promised > self.end => promised,
            _ => self.offset,
        };
        // It may have been written, and more, since the first look.
        if (least..=most.max(least)).contains(&found) {
            return Ok(());
        }
        let expected = if least == most { format!("{most}") } else { format!("{least} to {most}") };
        let problem =
            format!("somebody else changed it while it was written: it has {found} bytes, and {expected} were written");
        let hint =
            "restore the store from a backup; or `chatwal repair` saves what is intact, and says what to ingest again"
                .into();
        Err(Error::Displaced { path: self.target.path.clone(), problem, hint })
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.is_written {
            let source = std::io::Error::other("a frame that had its place was given up");
            self.shared.lock().fail(Error::Io { operation: "append to", path: self.target.path.clone(), source });
            self.shared.changed.notify_all();
        }
    }
}

/// The record that says of a frame that it was acknowledged.
fn record_of(header: &FrameHeader) -> Acknowledged {
    let FrameHeader { store, segment, offset, sequence, crc, .. } = *header;
    Acknowledged { store, segment, end: offset + header.length(), sequence, header_crc: crc }
}

/// What becomes of the frames of a log, seen from outside.
pub struct Watch {
    shared: Arc<Shared>,
    durability: Durability,
}

impl Watch {
    /// Waits until [`Log::safe`] has reached `sequence`, or a write or sync failed.
    pub fn wait_past(&self, sequence: u64) -> Result<()> {
        let mut state = self.shared.lock();
        loop {
            let (safe, is_synced) = match self.durability {
                Durability::Sync => (state.durable, true),
                Durability::Os => (state.appended.sequence, false),
            };
            if safe >= sequence {
                return Ok(());
            }
            state.check()?;
            state = if is_synced { self.shared.wait_for_sync(state) } else { self.shared.wait(state) };
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.stopping = true;
            state.wanted = false;
        }
        self.shared.changed.notify_all();
        if let Some(syncer) = self.syncer.take() {
            // The syncer only ends by returning; if it panicked, there is nobody to tell.
            let _ = syncer.join();
        }
    }
}
