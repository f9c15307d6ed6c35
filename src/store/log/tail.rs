//! What the writer of a log and a compactor beside it tell each other: how much there is to fold, and which standard inputs are gone.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::format::Uid;
use crate::segment::Segment;

/// How much of a log there is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Bytes of its segments.
    pub bytes: u64,
    /// Frames in them.
    pub frames: u64,
}

impl Amount {
    /// Of the first of a log's segments; the next one says how many frames are in them.
    pub(crate) fn of(segments: &[Segment], first: usize) -> Amount {
        let (taken, rest) = segments.split_at_checked(first).unwrap_or((segments, &[]));
        let begin = |segments: &[Segment]| segments.first().map(|segment| segment.header.first_sequence);
        let frames = begin(rest).zip(begin(taken)).map_or(0, |(end, start)| end.saturating_sub(start));
        Amount { bytes: taken.iter().map(|segment| segment.length).sum(), frames }
    }
}

/// What a writer and the compactor beside it know of each other.
#[derive(Debug, Default)]
pub struct Tail {
    /// Bytes of sealed segments that are in no snapshot.
    bytes: AtomicU64,
    /// Frames in them.
    frames: AtomicU64,
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
    /// A log of which so much is sealed and in no snapshot.
    pub(super) fn new(sealed: Amount) -> Tail {
        let Amount { bytes, frames } = sealed;
        Tail { bytes: AtomicU64::new(bytes), frames: AtomicU64::new(frames), pipes: Mutex::default() }
    }

    /// Sealed segments that are in no snapshot: what a compaction would fold.
    pub fn amount(&self) -> Amount {
        Amount { bytes: self.bytes.load(Ordering::Relaxed), frames: self.frames.load(Ordering::Relaxed) }
    }

    /// So much more was sealed.
    pub(super) fn sealed(&self, more: Amount) {
        self.bytes.fetch_add(more.bytes, Ordering::Relaxed);
        self.frames.fetch_add(more.frames, Ordering::Relaxed);
    }

    /// So much of it is in a snapshot now.
    pub(crate) fn folded(&self, gone: Amount) {
        self.bytes.fetch_sub(gone.bytes, Ordering::Relaxed);
        self.frames.fetch_sub(gone.frames, Ordering::Relaxed);
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
