//! Folding sealed segments into snapshots, and small snapshots into larger ones.
//!
//! Tiers: a compaction folds the sealed segments of the tail, and every snapshot before them that is at most twice as large as
//! what it folds already. So a snapshot is rewritten only by something at least half as large. The number of times that an event is
//! rewritten, and the number of snapshots, grow with the logarithm of the store.
//!
//! The holder of the lock compacts: the `compact` command, or a thread of ingest ([`Background`]). Nothing is deleted before the
//! snapshot that replaces it is durable under its final name. A crash anywhere leaves at most files that the next writer removes.
//!
//! `plan` says which files are folded. `files` writes all of the snapshot but the events. `fold` brings the events together, and
//! `write` makes blocks of them. `room` checks that the disk has room.

mod background;
mod files;
pub(crate) mod fold;
mod plan;
mod room;
mod write;

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::disk::{Storage, explained, path_of};
use crate::error::{Error, Result};
use crate::snapshot::SnapshotWriter;
use crate::store::log::{Amount, SEGMENT_FRAMES, Tail};
use crate::store::{View, segment_name, snapshot_name};
use crate::upkeep::Control;
use files::{FoldedFiles, Written};

pub use background::Background;
pub use plan::{Folds, LastSegment};
pub use room::{needed_for, room_of};

/// Bytes of sealed segments at which ingest folds them, unless told otherwise.
pub const TAIL: u64 = 1 << 30;

/// Frames of sealed segments at which ingest folds them, however few bytes they are.
pub const TAIL_FRAMES: u64 = 2 * SEGMENT_FRAMES;

/// The name of a compaction in the measured shares of work.
const PHASE: &str = "compact";

/// How to compact.
#[derive(Clone, Debug)]
pub struct CompactOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory, all threads together. What does not fit is put aside in temporary files.
    pub memory: u64,
    /// Where these are, if not in the store's directory.
    pub temp: Option<PathBuf>,
    /// Fold everything into one snapshot.
    pub all: bool,
}

/// What a compaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The segments that the new snapshot covers.
    pub covers: RangeInclusive<u64>,
    /// Bytes of the files that were folded, and are free now.
    pub freed: u64,
    /// What of these were segments.
    pub tail: Amount,
    /// Bytes of the snapshot.
    pub written: u64,
    /// Events in it, each once.
    pub events: u64,
    /// Sites in it.
    pub sites: u64,
}

/// A compaction that was planned and not begun.
pub struct Compaction<'a> {
    storage: &'a dyn Storage,
    view: &'a View,
    options: &'a CompactOptions,
    /// The files that it takes.
    pub folds: Folds,
}

impl<'a> Compaction<'a> {
    /// Plans what there is to fold in a view of the store. Gives nothing if there is nothing to fold.
    pub fn plan(
        storage: &'a dyn Storage,
        view: &'a View,
        options: &'a CompactOptions,
        last: LastSegment,
    ) -> Option<Compaction<'a>> {
        let folds = Folds::of(view, options.all, last)?;
        Some(Compaction { storage, view, options, folds })
    }

    fn files(&self) -> FoldedFiles<'_> {
        FoldedFiles::of(self.view, &self.folds)
    }
}

/// Folds what there is to fold in a store whose lock the caller holds; `progress` is told the share that is done. Gives nothing if
/// there is nothing to fold, or once `stop` is set: then the store is as it was. It does not check whether there is room:
/// [`Compaction::refuse_no_room`] does.
pub fn compact(
    storage: &dyn Storage,
    options: &CompactOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Folded>> {
    compact_files(storage, options, Control { stop, progress }).map_err(|error| explained(storage, error))
}

fn compact_files(storage: &dyn Storage, options: &CompactOptions, control: Control<'_>) -> Result<Option<Folded>> {
    let view = View::open(storage)?;
    let Some(compaction) = Compaction::plan(storage, &view, options, LastSegment::Stays) else { return Ok(None) };
    fold_into_one(&compaction, &Tail::default(), control)
}

/// Writes and publishes the snapshot, and removes what it replaces.
fn fold_into_one(compaction: &Compaction<'_>, tail: &Tail, control: Control<'_>) -> Result<Option<Folded>> {
    let Compaction { storage, options, folds, .. } = compaction;
    let (storage, files) = (*storage, compaction.files());
    let inherited = files.inherited(tail)?;
    let name = snapshot_name(&folds.covers);
    let mut writer = SnapshotWriter::create(storage, &name, files.header())?;
    let Written { copies, events, sites } = match files.write(&mut writer, &inherited, options, control) {
        Ok(Some(written)) if !control.is_stopped() => written,
        unfinished => {
            writer.abandon();
            return unfinished.map(|_| None);
        }
    };
    let written = writer.publish(copies)?;
    // Durable under its name: only now may what it replaces go.
    let replaced = files.snapshots.iter().map(|old| snapshot_name(&(old.header.first..=old.header.last)));
    for name in replaced.chain(files.segments.iter().map(|segment| segment_name(segment.header.number))) {
        storage.remove(&name).map_err(Error::io("remove", path_of(storage, &name)))?;
    }
    storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
    // Nothing is reported as done before it is certain that the path still leads here.
    storage.in_place()?;
    let tail = Amount::of(&compaction.view.segments, folds.segments);
    Ok(Some(Folded { covers: folds.covers.clone(), freed: folds.bytes, tail, written, events, sites }))
}
