//! Appending to the log: frames in order, fsynced by a thread of their own, acknowledged only with proof.
//!
//! Who appends writes and never waits for the disk; the syncer calls fsync again and again while there is something to
//! sync, so the frames of one fsync are those that were appended during the one before. Calls that change the disk come
//! from the syncer and from whoever holds the log, one at a time. After a failed write or fsync nothing more is acknowledged and nothing is tried
//! again: the kernel may have dropped the pages and marked them clean, and the next opening recovers.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::batch::Checkpoint;
use crate::format::frame::{
    ENTRY, Entry, FRAME_HEADER, FrameHeader, FrameKind, MAX_PAYLOAD, SEGMENT_HEADER, SectionKind, SegmentHeader, crc,
    encode_directory,
};
use crate::place::Place;
use crate::recover::{Recovery, publish_segment, recover};
use crate::segment::{Link, Segment};
use crate::storage::{File, Storage, explained, leads_to, path_of};
use crate::store::{ACKNOWLEDGED_NAME, View, segment_name};
use crate::threads::start;

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
    file: Arc<dyn File>,
    path: String,
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

struct Shared {
    state: Mutex<State>,
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
    /// The last frame appended, and what its header claims to be durable.
    appended: Claim,
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic elsewhere must not hide what is durable; the state is valid between any two statements.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait(state).unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for somebody who waits for a sync.
    fn wait_for_sync<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        if !self.alone.load(Ordering::Relaxed) {
            return self.wait(state);
        }
        drop(state);
        self.sync(true);
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
                    // What this fsync covers is what was appended before it began, not what is when it ends.
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
            // Not `view.durable_upto`: that may have been claimed by a header that recovery cut off, and what nothing on
            // the disk proves any more has to be marked again.
            acknowledged: claim.durable_upto,
            wanted: options.durability == Durability::Sync,
            ..State::default()
        };
        let place = Place::new(Arc::clone(&storage));
        let state = Mutex::new(state);
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
            file,
            path: segment.path.clone(),
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
        let checkpoint = checkpoint.encode();
        let first = Entry::new(SectionKind::Checkpoint, 0, 1, &checkpoint);
        let entries = std::iter::once(first).chain(batch.entries.iter().copied());
        self.append_content(FrameKind::Batch, entries, &checkpoint, &batch.sections)
    }

    /// Appends a frame that makes the checkpoints and the rejects of these inputs count no longer.
    pub fn append_forget(&mut self, instances: &[Uid]) -> Result<u64> {
        let bytes = instances.as_flattened();
        let entry = Entry::new(SectionKind::Forgotten, 0, instances.len() as u32, bytes);
        self.append_content(FrameKind::Forget, std::iter::once(entry), bytes, &[])
    }

    fn append_content(
        &mut self,
        kind: FrameKind,
        entries: impl Iterator<Item = Entry>,
        first: &[u8],
        rest: &[u8],
    ) -> Result<u64> {
        let directory = encode_directory(entries);
        let payload = directory.len() + first.len() + rest.len();
        if payload > MAX_PAYLOAD {
            // The bounds on chunks keep it far below; written, it could not be read again.
            let source = std::io::Error::other(format!("a frame of {payload} bytes is over the limit"));
            return Err(Error::Io { operation: "append to", path: self.path.clone(), source });
        }
        let length = (FRAME_HEADER + payload) as u64;
        if self.end > SEGMENT_HEADER as u64 && self.end + length > self.options.segment_size {
            self.roll()?;
        }
        let header = self.append(kind, &directory, first, rest)?;
        self.last_content = Some(record_of(&header));
        Ok(header.sequence)
    }

    fn append(&mut self, kind: FrameKind, directory: &[u8], first: &[u8], rest: &[u8]) -> Result<FrameHeader> {
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
            payload: (directory.len() + first.len() + rest.len()) as u32,
            previous: self.link.previous.unwrap_or_default(),
            directory_crc: crc(directory),
            crc: 0,
        };
        let encoded = header.encode();
        let head = [&encoded[..], directory, first].concat();
        let write = || {
            self.file.write_at(&head, self.end)?;
            if rest.is_empty() { Ok(()) } else { self.file.write_at(rest, self.end + head.len() as u64) }
        };
        let mut written =
            self.is_as_long_as_written().and_then(|()| write().map_err(Error::io("write to", &self.path)));
        if self.options.durability == Durability::Os && written.is_ok() {
            // It counts as acknowledged from here on.
            written = self.shared.check_place();
        }
        let mut state = self.shared.lock();
        if let Err(error) = written {
            state.fail(error.again());
            self.shared.changed.notify_all();
            return Err(error);
        }
        self.end += header.length();
        header.crc = crc(&encoded[..FRAME_HEADER - 4]);
        self.link = Link::after(&header);
        state.appended = Claim { sequence: header.sequence, durable_upto };
        // It is sealed before long, and should have little to wait for then.
        state.wanted |= self.end > self.options.segment_size / 2;
        self.shared.changed.notify_all();
        Ok(header)
    }

    /// Refuses to write on in a file that somebody else cut, behind a hole, or wrote to.
    fn is_as_long_as_written(&self) -> Result<()> {
        let (end, found) = (self.end, self.file.length().map_err(Error::io("look at", &self.path))?);
        if found == end {
            return Ok(());
        }
        let problem =
            format!("somebody else changed it while it was written: it has {found} bytes, and {end} were written");
        let hint =
            "restore the store from a backup; or `chatwal repair` saves what is intact, and says what to ingest again"
                .into();
        Err(Error::Displaced { path: self.path.clone(), problem, hint })
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
        self.append(FrameKind::Seal, &[], &[], &[])?;
        self.flush()?;
        self.record()?;
        self.file = file.into();
        self.path = path;
        self.header = header;
        self.tail.bytes.fetch_add(self.end, Ordering::Relaxed);
        self.end = SEGMENT_HEADER as u64;
        let mut state = self.shared.lock();
        let (file, path, number) = (Arc::clone(&self.file), self.path.clone(), header.number);
        state.written = Some(Written { file, path, number, last: number });
        state.wanted = self.options.durability == Durability::Sync;
        Ok(())
    }

    /// Waits until everything that was appended is fsynced.
    pub fn flush(&mut self) -> Result<()> {
        let mut state = self.shared.lock();
        let wanted = state.wanted;
        state.wanted = true;
        self.shared.changed.notify_all();
        let upto = self.link.sequence - 1;
        // The failed frame is not among those up to `link`: without this look, its loss would go unsaid.
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
                self.append(FrameKind::Mark, &[], &[], &[])?;
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
    /// Waits until [`Log::safe`] has reached `sequence`, or a sync failed.
    pub fn wait_past(&self, sequence: u64) -> Result<()> {
        if self.durability == Durability::Os {
            return Ok(());
        }
        let mut state = self.shared.lock();
        while state.durable < sequence {
            state.check()?;
            state = self.shared.wait_for_sync(state);
        }
        Ok(())
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
