//! Saving what is intact of a damaged store: only on request, under the lock, and with a copy of everything it replaces.
//!
//! A repair compacts what is intact in all files from the first damaged one on. The new snapshot covers these files. Behind it
//! comes a new last segment that begins with a *hole*, a frame that records what is lost. So nothing has to be patched: no frame
//! is rewritten in place, no later header has to chain to a mended one, the index of a damaged snapshot is made anew, and
//! one rename decides.
//!
//! **Inputs.** The checkpoint of an input may not stand behind bytes that are lost. Batches of one instance follow one another
//! without a gap. So a checkpoint moves on over whole batches, up to the first that is damaged, or that begins behind
//! the end of the one before while frames are lost. From there on the events of the instance are kept; its checkpoints and
//! rejects are not. When the input is ingested again, it is read from there; copies count once, and so do the rejects. Where
//! events of a snapshot are lost, nobody knows which input they came from. Then all its inputs go back to where they stood
//! before it.
//!
//! **Crashes.** The order is:
//!
//! 1. The snapshot is written under a temporary name.
//! 2. Every file that is going to be replaced is copied, durably, under a name that the store ignores.
//! 3. The new last segment is published. A store that was refused, or whose report was, stays so, since this segment does not
//!    follow the damaged one.
//! 4. The snapshot is published, which repairs the store.
//! 5. The files that it covers are deleted.
//!
//! A repair that is run again after a crash ignores a last segment that waits for a snapshot, uses copies that are there
//! already, and so comes to the same end. After step 4 the store is sound, and the next writer deletes what is left over.
//!
//! A missing last segment alone replaces nothing: a new one is published in its place.
//!
//! `plan` says what is to be done, and `carry_out` does it. `salvage` gathers what is intact in segments, and `blocks` in damaged
//! snapshots. Both fill `events`, `inputs` and `chain`.

mod blocks;
mod carry_out;
mod chain;
mod events;
mod inputs;
mod plan;
mod salvage;

use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::disk::scratch::Limits;
use crate::disk::scratch::Scratch;
use crate::disk::{Storage, explained};
use crate::error::{Corruption, Error, Result};
use crate::format::hole::Hole;
use crate::store::refuse_no_store;
use crate::upkeep::Control;
use crate::upkeep::verify::Examined;
use plan::RepairPlan;

/// How to repair.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory, all threads together. What does not fit is put aside in temporary files.
    pub memory: u64,
    /// Where these are, if not in the store's directory; of a dry run, in `$TMPDIR` or `/tmp`.
    pub temp: Option<PathBuf>,
    /// Only find out what would be done; needs no lock and changes nothing.
    pub dry_run: bool,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The damage.
    pub findings: Vec<Corruption>,
    /// The files that were replaced.
    pub replaced: Vec<String>,
    /// Where their copies are.
    pub copies: Vec<String>,
    /// The files that were published in their place.
    pub published: Vec<String>,
    /// What is lost.
    pub hole: Hole,
    /// Events that were saved from the files that were replaced, copies included.
    pub saved: u64,
    /// Rejects that were saved and count no longer, since their lines are going to be read again.
    pub rejects: u64,
    /// Whether something is lost and nobody knows what it held: it may be bytes at the end of any input, an input as a whole, or
    /// the word that an input was to be forgotten.
    pub unknown: bool,
}

/// Repairs a store; gives nothing if there is nothing to repair, or once `stop` is set: then nothing was changed but for copies.
pub fn repair(
    storage: &dyn Storage,
    options: &RepairOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Repair>> {
    refuse_no_store(storage)?;
    let _lock = if options.dry_run { None } else { Some(storage.lock()?) };
    let scratch = match (&options.temp, options.dry_run) {
        (Some(temp), _) => Scratch::new(temp),
        (None, true) => Scratch::for_readers(None),
        (None, false) => Scratch::new(&storage.scratch()),
    };
    let limits = Limits { threads: options.threads, memory: options.memory, scratch };
    let examined = Examined::of(storage, &limits, &|share| progress(share / 2.0))?;
    if examined.verification.findings.is_empty() {
        if !options.dry_run {
            // An earlier repair may have died, or failed, between its last renaming and this.
            storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
            storage.in_place()?;
        }
        return Ok(None);
    }
    let mut plan = RepairPlan::of(storage, examined)?;
    if options.dry_run {
        return Ok(Some(plan.repair));
    }
    let control = Control { stop, progress: &|share| progress(0.5 + share / 2.0) };
    let done = plan.carry_out(storage, options, control);
    let done = done.map_err(|error| explained(storage, error))?;
    Ok(done.then_some(plan.repair))
}
