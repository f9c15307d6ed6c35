//! The command `compact`, and what is said of compactions.

use std::path::Path;
use std::sync::Arc;

use chatwal::compact::{CompactOptions, Outcome, Plan, compact as compact_store};
use chatwal::error::{Error, Result};
use chatwal::log::{Log, LogOptions};
use chatwal::shell::quoted;
use chatwal::storage::{Disk, Storage};
use chatwal::store::{View, refuse_no_store};
use indicatif::HumanBytes;

use crate::args::{CompactArgs, Global};
use crate::console::{Console, count};
use crate::inputs::tell_recovery;
use crate::signals::Signals;
use crate::{Stop, status, store, threads};

/// Folds what there is to fold.
pub fn compact(args: &CompactArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = store(global)?;
    let disk = Arc::new(Disk::open(&path)?);
    if args.dry_run {
        match Plan::of(&View::open(&*disk)?, args.all, true) {
            Some(plan) => console.note(&format!(
                "would fold {} and {} into one: reads and frees {}, writes about as much before",
                count(plan.snapshots as u64, "snapshot"),
                count(plan.segments as u64, "segment"),
                HumanBytes(plan.bytes),
            )),
            None => console.note(NOTHING),
        }
        return Ok(status::DONE);
    }
    refuse_no_store(&*disk)?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let (mut log, view, recovery) = Log::open(Arc::clone(&disk) as Arc<dyn Storage>, LogOptions::default())?;
    tell_recovery(&recovery, console);
    drop(view);
    log.seal()?;
    let options = CompactOptions { threads: threads(global), memory: global.memory, all: args.all };
    let progress = console.share("compacting");
    let outcome = compact_store(&*disk, &options, &signals.stop, &|share| progress.update(share));
    progress.finish();
    let outcome = outcome?;
    log.check_place()?;
    match outcome {
        Some(outcome) => tell(&outcome, console),
        None if signals.stop.load(std::sync::atomic::Ordering::Relaxed) => {
            console.note("interrupted; the store is as it was");
            return Ok(signals.status());
        }
        None => console.note(NOTHING),
    }
    Ok(status::DONE)
}

/// Says what became of a compaction beside an ingest. That it came to nothing is no failure of the ingest; whether it met
/// damage of the store is given back.
pub fn tell_beside(finished: Result<()>, store: &Path, console: &Console) -> bool {
    match finished {
        Ok(()) => false,
        Err(error @ Error::Corruption(_)) => {
            console.error(&error);
            true
        }
        Err(error) => {
            console.warning(&format!(
                "what was ingested is stored, but was not compacted: {error}; `chatwal compact --store {}` tries again",
                quoted(store)
            ));
            false
        }
    }
}

const NOTHING: &str = "nothing to fold";

/// Says what a compaction did.
pub fn tell(outcome: &Outcome, console: &Console) {
    console.note(&format!(
        "folded segments {} to {}: read {}, wrote {}, {} of {}",
        outcome.covers.start(),
        outcome.covers.end(),
        HumanBytes(outcome.freed),
        HumanBytes(outcome.written),
        count(outcome.events, "event"),
        count(outcome.sites, "site"),
    ));
}
