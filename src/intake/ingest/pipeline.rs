//! The threads: each takes the next chunk, parses it, and appends it when its turn comes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::appender::{Appender, ToWrite};
use super::budget::Budget;
use super::chunk_parser::ChunkParser;
use super::permits::{Permit, Permits};
use super::queue::{Arrived, Slot, Ticket};
use crate::base::memory::Zeros;
use crate::base::shares::{Guard, Lock, busy, idle};
use crate::base::threads::{others, refused};
use crate::error::{Error, Result};
use crate::intake::chunk::{Chunk, Chunker, LineRange};
use crate::intake::repeats::{Repeats, Seek};
use crate::intake::source::no_thread;
use crate::store::log::{Batch, Watch};

/// How often to check for a lull. If no chunk has come since the last check, a mark acknowledges what was appended.
const LULL_CHECK: Duration = Duration::from_millis(125);

/// What the workers share. A thread that holds both locks took the reader's first.
pub(super) struct Pipeline<'a> {
    pub(super) reader: Lock<Reader<'a>>,
    pub(super) appender: Lock<Appender<'a>>,
    /// They tell of every frame that was appended too, and of the end of it all.
    pub(super) permits: &'a Permits,
    pub(super) watch: Watch,
    /// Set when something failed: nothing more is read.
    pub(super) halt: &'a AtomicBool,
    pub(super) budget: Budget,
}

pub(super) struct Reader<'a> {
    chunker: Chunker<'a>,
    /// The number of the next chunk.
    next: u64,
    /// How often ranges were given back.
    epoch: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(chunker: Chunker<'a>) -> Reader<'a> {
        Reader { chunker, next: 0, epoch: 0 }
    }
}

/// What a thread works with.
#[derive(Default)]
pub(super) struct Kit {
    pub(super) parser: ChunkParser,
    buffer: Option<Zeros>,
    batch: Batch,
}

/// A chunk that a thread works on.
struct InHand<'a> {
    ticket: Ticket,
    permit: Permit<'a>,
    chunk: Chunk,
}

/// What came of the wish for a permit.
enum Wish<'a> {
    Granted(Permit<'a>),
    /// Somebody has to give ranges back first.
    NotYet,
    Over,
}

impl<'a> Pipeline<'a> {
    /// Works off the input with a thread for each of the `kits`, or fewer if the system gives no more. If it gives none, or if the
    /// input is read in one go, the calling thread does the work. It then has no time to check for lulls, so it cannot serve an
    /// input that is `piped`, whose name is given.
    pub(super) fn run(&self, kits: &mut [Kit], seek: Seek, piped: Option<String>) -> Result<()> {
        let (threads, mut first) = (kits.len(), None);
        if let (None, Some(kit)) = (&piped, kits.first_mut()) {
            first = self.next(&mut kit.buffer);
            if first.is_none() {
                return Ok(());
            }
            if self.has_ended() {
                self.work(kit, Repeats::new(seek, 1), first);
                return Ok(());
            }
        }
        let (send, ended) = channel();
        let waiting = Mutex::new((kits.iter_mut(), first));
        let work = |threads| {
            let _ended = Ended(&send);
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            let (kit, first) = (waiting.0.next(), waiting.1.take());
            drop(waiting);
            if let Some(kit) = kit {
                self.work(kit, Repeats::new(seek, threads), first);
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
            let mut seen = Slot::default();
            while working > 0 {
                match ended.recv_timeout(LULL_CHECK) {
                    Ok(()) => working -= 1,
                    Err(RecvTimeoutError::Timeout) => self.check_for_a_lull(&mut seen),
                    // Never, as one end of the channel is here.
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
            Ok(())
        })
    }

    /// Takes chunks, this one first, parses and appends them, until there are no more.
    fn work(&self, kit: &mut Kit, repeats: Repeats, mut first: Option<InHand<'a>>) {
        // A panic is a bug and ends the program. Until then, nobody may wait for what this worker had in hand.
        let _ending = Ending(self);
        let _busy = busy("ingest");
        kit.parser.repeats = repeats;
        kit.parser.share = self.budget.share;
        while let Some(in_hand) = first.take().or_else(|| self.next(&mut kit.buffer)) {
            if let Err(error) = kit.parser.make_room(&in_hand.chunk, &mut kit.batch) {
                return self.fail(&mut self.appender(), error);
            }
            self.take(in_hand, kit);
        }
        // What is remembered is of this input, and large.
        kit.parser.repeats = Repeats::default();
    }

    /// Parses a chunk and appends it, as one batch if there is the memory for that.
    fn take(&self, in_hand: InHand<'a>, kit: &mut Kit) {
        let InHand { mut ticket, permit, mut chunk } = in_hand;
        let Kit { parser, buffer, batch } = kit;
        let mut permit = Some(permit);
        loop {
            let parsed = parser.parse(&mut chunk, std::mem::take(batch));
            let is_last = parsed.is_last;
            // The chunk is in flight until its last batch is safe.
            let permit = if is_last { permit.take() } else { None };
            *batch = self.append(ticket, Arrived { parsed, permit });
            if is_last {
                break;
            }
            ticket.slot.part += 1;
        }
        // A buffer that is larger than a range is only for threads that have a permit for so much.
        *buffer = Some(chunk.buffer).filter(|buffer| buffer.len() <= self.budget.range);
    }

    /// Whether all of the input was read.
    fn has_ended(&self) -> bool {
        self.reader.lock().chunker.has_ended()
    }

    fn appender(&self) -> Guard<'_, Appender<'a>> {
        self.appender.lock()
    }

    /// Waits for a permit and takes the next chunk: one that is read here, or one that is cut under the lock.
    fn next(&self, buffer: &mut Option<Zeros>) -> Option<InHand<'a>> {
        loop {
            let mut reader = self.reader.lock();
            // Whether there is more is known without a permit: the end must not wait for an fsync.
            let range = if reader.chunker.is_done() { return None } else { reader.chunker.claim() };
            let bytes = if range.is_some() { self.budget.range } else { self.budget.chunk };
            // The lock is held, but only until the disk is done: there is nothing to read before.
            let permit = match reader.waiting(|| self.permit(bytes)) {
                Wish::Granted(permit) => permit,
                // What was claimed is behind what is given back, so it is given back as well.
                Wish::NotYet => {
                    drop(reader);
                    std::thread::yield_now();
                    continue;
                }
                Wish::Over => return None,
            };
            let ticket = Ticket { slot: Slot { chunk: reader.next, part: 0 }, epoch: reader.epoch };
            let chunk = match range {
                Some(range) => {
                    reader.next += 1;
                    drop(reader);
                    match range.read(buffer, self.budget.range) {
                        Ok(None) => {
                            self.give_back(&range, ticket, permit);
                            continue;
                        }
                        Ok(chunk) => Ok(chunk),
                        Err(error) => {
                            // Memory was refused. Its turn never comes, so those behind it would wait for ever.
                            self.halt();
                            Err(error)
                        }
                    }
                }
                None => {
                    let chunk = reader.chunker.next(buffer);
                    reader.next += u64::from(matches!(chunk, Ok(Some(_))));
                    chunk
                }
            };
            match chunk {
                Ok(Some(chunk)) => return Some(InHand { ticket, permit, chunk }),
                Ok(None) => {}
                Err(error) => self.appender().unreadable = Some(error),
            }
            // The others need it to see the end as well.
            drop(permit);
            return None;
        }
    }

    /// Gives back a range that changed under the reader, and all that was claimed behind it. Nothing of that is appended yet, since
    /// this one was not.
    fn give_back(&self, range: &LineRange, ticket: Ticket, permit: Permit<'a>) {
        self.appender().queue.giving_back += 1;
        // Whoever holds the reader may wait for a permit that comes only once this chunk is appended.
        drop(permit);
        let mut reader = self.reader.lock();
        let mut appender = self.appender();
        appender.queue.giving_back -= 1;
        // If another one before it was given back, it is read again in any case.
        if appender.queue.is_stale(ticket) {
            return;
        }
        reader.chunker.give_back(range);
        reader.epoch += 1;
        reader.next = ticket.slot.chunk;
        appender.unreadable = None;
        let gone = appender.queue.reset(reader.epoch, ticket.slot.chunk);
        appender.spent.extend(gone.map(|arrived| arrived.parsed.batch));
    }

    /// Waits for a permit for so many bytes. If too many are taken, nothing can happen before a chunk that was parsed is appended
    /// or a frame that was appended is safe.
    fn permit(&self, bytes: usize) -> Wish<'a> {
        loop {
            let changes = self.permits.changes();
            let mut appender = self.appender();
            if self.halt.load(Ordering::Relaxed) {
                return Wish::Over;
            }
            if let Err(error) = appender.release() {
                self.fail(&mut appender, error);
                return Wish::Over;
            }
            if appender.queue.giving_back > 0 {
                return Wish::NotYet;
            }
            if let Some(permit) = self.permits.take(bytes) {
                return Wish::Granted(permit);
            }
            let first = appender.first_in_flight();
            // Without the lock: the others append while this one waits.
            drop(appender);
            let waited = match first {
                Some(frame) => idle(|| self.watch.wait_past(frame)),
                None => {
                    idle(|| self.permits.wait_past(changes));
                    Ok(())
                }
            };
            if let Err(error) = waited {
                self.fail(&mut self.appender(), error);
            }
        }
    }

    /// Appends what was parsed, and what waited for it, if it is its turn. Each frame gets its place under the lock and is written
    /// without it, while others place and write the next ones. Gives the buffers of a batch that is done with.
    fn append(&self, ticket: Ticket, arrived: Arrived<'a>) -> Batch {
        let mut appender = self.appender();
        if appender.queue.is_stale(ticket) {
            // It is read again. Its permit is given back.
            return arrived.parsed.batch;
        }
        appender.queue.add(ticket.slot, arrived);
        let mut batch = None;
        loop {
            let ToWrite { placed, batch: next } = match appender.place_next() {
                Ok(Some(next)) => next,
                Ok(None) => break,
                Err(error) => {
                    self.fail(&mut appender, error);
                    break;
                }
            };
            drop(appender);
            self.permits.tell();
            // Before the next one gets its place: that may begin a segment, which waits for all that is not written.
            let written = placed.map_or(Ok(()), |placed| placed.write(&next));
            appender = self.appender();
            if let Err(error) = written.and_then(|()| appender.tell()) {
                self.fail(&mut appender, error);
            }
            appender.spent.extend(batch.replace(next));
        }
        let batch = batch.or_else(|| appender.spent.pop()).unwrap_or_default();
        drop(appender);
        self.permits.tell();
        batch
    }

    /// Ends it all after an error.
    fn fail(&self, appender: &mut Appender<'_>, error: Error) {
        appender.failure.get_or_insert(error);
        self.halt();
    }

    /// Nothing more is read, and nobody waits any more.
    fn halt(&self) {
        self.halt.store(true, Ordering::Relaxed);
        self.permits.tell();
    }

    /// Acknowledges what was appended if no chunk has come since the last check, when the turn was at `seen`. No frame may come
    /// that would prove the last ones, and what trickles in must not wait for the next.
    fn check_for_a_lull(&self, seen: &mut Slot) {
        let mut appender = self.appender();
        let next = appender.queue.next_slot();
        let released = appender.release();
        let due = *seen == next && !appender.unproven.is_empty() && appender.failure.is_none();
        let settled = released.and_then(|()| if due { appender.settle() } else { Ok(()) });
        if let Err(error) = settled {
            self.fail(&mut appender, error);
        }
        *seen = next;
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
            self.0.halt();
        }
    }
}
