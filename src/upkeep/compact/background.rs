//! Compaction beside an ingest: a thread that folds the tail whenever it has passed a bound, and leaves the ingest room on the
//! disk. How to fold is the business of [`super`].

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use super::{CompactOptions, Compaction, Folded, LastSegment, TAIL_FRAMES, fold_into_one, room_of};
use crate::base::memory;
use crate::base::threads::start;
use crate::disk::{Storage, explained, path_of};
use crate::error::{Error, Result};
use crate::store::log::{Amount, Tail};
use crate::store::{View, snapshot_name};
use crate::upkeep::Control;

/// Bytes that a compaction may take besides its memory.
const BESIDES: u64 = 32 << 20;

/// Bytes of the disk that a compaction beside an ingest leaves to the ingest.
const SPARE: u64 = 64 << 20;

/// Compaction beside an ingest. Whatever becomes of it, the ingest does not fail.
pub struct Background {
    storage: Arc<dyn Storage>,
    options: CompactOptions,
    tail: Arc<Tail>,
    bound: u64,
    stop: Arc<AtomicBool>,
    running: Option<JoinHandle<Result<Option<Folded>>>>,
    /// What was done so far.
    pub outcomes: Vec<Folded>,
    /// Why there is no further compaction, if there was no room for one. The ingest goes on.
    pub skipped: Option<Error>,
    failure: Option<Error>,
}

impl Background {
    /// Watches the tail of a log, which [`crate::store::log::Log::tail`] gives.
    pub fn new(storage: Arc<dyn Storage>, options: CompactOptions, tail: Arc<Tail>, bound: u64) -> Background {
        let (stop, outcomes) = (Arc::default(), Vec::new());
        Background { storage, options, tail, bound, stop, running: None, outcomes, skipped: None, failure: None }
    }

    /// Starts a compaction if one is due; never waits. After one that failed, or had no room, it starts no other.
    pub fn poke(&mut self) {
        if self.running.as_ref().is_some_and(JoinHandle::is_finished) {
            self.join();
        }
        let over = self.failure.is_some() || self.skipped.is_some();
        let Amount { bytes, frames } = self.tail.amount();
        let is_due = bytes >= self.bound || frames >= TAIL_FRAMES;
        if self.running.is_some() || over || !is_due {
            return;
        }
        let (storage, options) = (Arc::clone(&self.storage), self.options.clone());
        let (tail, stop) = (Arc::clone(&self.tail), Arc::clone(&self.stop));
        self.run(move || {
            // The system may refuse only large pieces of memory without ending the whole process, so they are asked for here.
            memory::probe(options.memory.saturating_add(BESIDES), "a compaction beside the ingest")?;
            let outcome = compact_beside(&*storage, &options, &stop, &tail);
            let outcome = outcome.map_err(|error| explained(&*storage, error))?;
            if let Some(outcome) = &outcome {
                tail.folded(outcome.tail);
            }
            Ok(outcome)
        });
    }

    fn run(&mut self, work: impl FnOnce() -> Result<Option<Folded>> + Send + 'static) {
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
            // A bug, which printed its own message. The ingest does not depend on it.
            Err(_) => self.failure = Some(Error::io("compact", self.path())(io::Error::other("it panicked"))),
        }
    }

    fn path(&self) -> String {
        self.storage.path().display().to_string()
    }

    /// Waits for the compaction at hand, or gives it up if `give_up`; what is durable is safe either way. An error concerns the
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

/// Folds what there is to fold beside a writer, and leaves the writer room.
fn compact_beside(
    storage: &dyn Storage,
    options: &CompactOptions,
    give_up: &AtomicBool,
    tail: &Tail,
) -> Result<Option<Folded>> {
    let view = View::open(storage)?;
    let Some(compaction) = Compaction::plan(storage, &view, options, LastSegment::Stays) else { return Ok(None) };
    if !compaction.refuse_no_room(give_up, SPARE)? {
        return Ok(None);
    }
    // The ingest writes meanwhile, and so may others. Each piece that is done looks at the room, and at the signal to give up.
    let (stop, full) = (AtomicBool::new(give_up.load(Ordering::Relaxed)), AtomicBool::new(false));
    let look = |_| {
        let is_full = room_of(storage).is_ok_and(|room| room.is_some_and(|room| room < SPARE / 2));
        full.fetch_or(is_full, Ordering::Relaxed);
        stop.fetch_or(is_full | give_up.load(Ordering::Relaxed), Ordering::Relaxed);
    };
    let path = path_of(storage, &snapshot_name(&compaction.folds.covers));
    match fold_into_one(&compaction, tail, Control { stop: &stop, progress: &look })? {
        None if full.load(Ordering::Relaxed) => {
            let problem = "the disk became so full that the ingest needs what is left";
            Err(Error::io("write", path)(io::Error::new(io::ErrorKind::StorageFull, problem)))
        }
        outcome => Ok(outcome),
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
