//! What the writer of a log and a compactor beside it tell each other: how much there is to fold, and which standard inputs are gone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::format::Uid;

/// What a writer and the compactor beside it know of each other.
#[derive(Debug, Default)]
pub struct Tail {
    /// Bytes of sealed segments that are in no snapshot.
    bytes: AtomicU64,
    pipes: Mutex<Pipes>,
}

/// Standard inputs. A compaction makes one input of those that have ended.
#[derive(Debug, Default)]
struct Pipes {
    /// Those of which this writer appends frames, or did.
    read: BTreeSet<Uid>,
    /// Those that a compaction has added up, or is about to.
    gone: BTreeSet<Uid>,
}

impl Tail {
    /// A log of which so many bytes are sealed and in no snapshot.
    pub(super) fn new(bytes: u64) -> Tail {
        Tail { bytes: AtomicU64::new(bytes), pipes: Mutex::default() }
    }

    /// Bytes of sealed segments that are in no snapshot: what a compaction would fold.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// So many more bytes were sealed.
    pub(super) fn sealed(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many of them are in a snapshot now.
    pub(crate) fn folded(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn pipes(&self) -> MutexGuard<'_, Pipes> {
        self.pipes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note that frames may come of an input that is, or was, a standard input. Returns false if a compaction has taken it away.
    pub(super) fn keep_pipe(&self, instance: Uid) -> bool {
        let mut pipes = self.pipes();
        let kept = !pipes.gone.contains(&instance);
        if kept {
            pipes.read.insert(instance);
        }
        kept
    }

    /// Lets the compactor choose among standard inputs that have ended. `choose` is told of which ones frames may still come.
    pub(crate) fn take_away(&self, choose: impl FnOnce(&BTreeSet<Uid>) -> Vec<Uid>) {
        let mut pipes = self.pipes();
        let gone = choose(&pipes.read);
        pipes.gone.extend(gone);
    }
}
