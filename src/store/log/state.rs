//! What a log knows of its frames: which have a place, which are written, which an fsync covers, which are proven durable.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::disk::File;
use crate::error::{Error, Result};

/// The state of a log. It is valid between any two statements.
#[derive(Default)]
pub(super) struct State {
    /// What the syncer syncs. Frames of earlier files are already durable.
    pub(super) written: Option<Written>,
    /// The frames that have a place, beginning with the first one that is not written.
    pub(super) placed: VecDeque<InHand>,
    /// The last frame that is written together with all before it, and what its header claims to be durable.
    pub(super) appended: Claim,
    /// Offset behind the furthest frame of the segment that is written.
    pub(super) reached: u64,
    /// Offset behind the last frame that has a place.
    pub(super) promised: u64,
    /// The last frame that an fsync covers.
    pub(super) durable: u64,
    /// The last frame that a durable header proves durable.
    pub(super) acknowledged: u64,
    /// Whether the syncer has to sync: somebody waits, or durability is `Sync`.
    pub(super) wanted: bool,
    /// Whether the syncer is to end.
    pub(super) stopping: bool,
    /// What failed first. After it nothing more is acknowledged.
    pub(super) failure: Option<Error>,
}

/// The segment that is appended to.
#[derive(Clone)]
pub(super) struct Written {
    pub(super) file: Arc<dyn File>,
    pub(super) path: String,
    pub(super) number: u64,
    /// The number of the store's last segment: this one, or its successor once that is published.
    pub(super) last: u64,
}

/// A frame, and what its header claims to be durable.
#[derive(Clone, Copy, Default)]
pub(super) struct Claim {
    pub(super) sequence: u64,
    pub(super) durable_upto: u64,
}

/// A frame that has a place.
pub(super) struct InHand {
    pub(super) claim: Claim,
    pub(super) is_written: bool,
}

impl State {
    /// Takes note of a failure. The first one stays.
    pub(super) fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
    }

    /// A frame was written that ends at `end`.
    pub(super) fn wrote(&mut self, sequence: u64, end: u64) {
        if let Some(frame) = self.placed.iter_mut().find(|frame| frame.claim.sequence == sequence) {
            frame.is_written = true;
        }
        self.reached = self.reached.max(end);
        while let Some(first) = self.placed.front().filter(|first| first.is_written) {
            self.appended = first.claim;
            self.placed.pop_front();
        }
    }

    /// Fails once anything has failed.
    pub(super) fn check(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |error| Err(error.again()))
    }
}
