//! Appending to the log: frames in order, fsynced by a thread of their own, acknowledged only with proof.
//!
//! A frame is appended in two steps. Whoever holds the log gives it a place: an offset, a sequence number, a link in the chain, and a
//! header that says so ([`Log::place_batch`]). That takes no call to the system, unless the segment is full. Then any thread writes it,
//! while others place and write the next ones ([`Placed::write`]). So writes end in any order, and reach the disk in any order:
//!
//! * A frame counts as **written** once it and all before it are. An fsync claims nothing beyond that: a frame behind one that is
//!   missing is not claimed.
//! * A roll, and whoever flushes or settles, waits until all that was placed is written.
//! * A write that fails, or a place that is given up, fails the log: nothing ever claims what stands behind it, so it was never
//!   acknowledged, and the next opening takes it for torn.
//!
//! Whoever appends never waits for the disk. The syncer calls fsync again and again while there is something to sync, so the frames of
//! one fsync are those that were written during the one before. Calls that change the disk come from the syncer, from whoever holds
//! the log, and from those who write what was placed. After a failed write or fsync nothing more is acknowledged and nothing is tried
//! again: the kernel may have dropped the pages and marked them clean. The next opening recovers.

mod acknowledge;
mod append;
mod batch;
mod open;
mod placed;
mod roll;
mod state;
mod syncer;
mod tail;

use std::sync::Arc;
use std::thread::JoinHandle;

use crate::disk::{File, Storage};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::frame::SegmentHeader;
use crate::segment::Link;
pub use acknowledge::Watch;
pub use batch::{Batch, Prepared};
pub use placed::Placed;
use syncer::Shared;
pub use tail::{Amount, Tail};

/// How large a segment grows before the next begins.
pub const SEGMENT_SIZE: u64 = 128 << 20;

/// How many frames a segment has at most: what trickles in makes frames of a line each, and whoever opens the store looks at every
/// one of them until they are folded.
pub const SEGMENT_FRAMES: u64 = 1 << 14;

/// What an acknowledgement stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every acknowledged frame was fsynced: it survives the loss of power.
    Sync,
    /// Frames are left to the operating system until their segment is half full, and are fsynced before it is sealed. They survive
    /// the death of the process.
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

/// The one writer of a store: holds its lock and the end of its log.
pub struct Log {
    storage: Arc<dyn Storage>,
    options: LogOptions,
    header: SegmentHeader,
    target: Arc<Target>,
    /// Offset of the next frame.
    end: u64,
    link: Link,
    /// The last frame that is not just a mark or a seal, as the record of what was acknowledged would name it.
    last_content: Option<Acknowledged>,
    /// The sequence number in that record, as far as this log knows.
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

impl Log {
    /// What an acknowledgement stands for.
    pub fn durability(&self) -> Durability {
        self.options.durability
    }

    /// For a compactor beside this writer.
    pub fn tail(&self) -> Arc<Tail> {
        Arc::clone(&self.tail)
    }

    /// Takes note that frames may come of an input that is, or was, a standard input. Returns false if a compaction has taken it away.
    pub(crate) fn keep_pipe(&self, instance: Uid) -> bool {
        self.tail.keep_pipe(instance)
    }

    /// Random bytes.
    pub fn random(&self) -> Result<Uid> {
        self.storage.random().map_err(Error::io("get random bytes for", self.storage.path().display().to_string()))
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
