//! The command `compact`, and what is said of compactions.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chatwal::base::shell::quoted;
use chatwal::disk::{Disk, Storage};
use chatwal::error::Error;
use chatwal::store::log::{Log, LogOptions};
use chatwal::store::{View, refuse_no_store};
use chatwal::upkeep::compact::{
    Background, CompactOptions, Compaction, Folded, LastSegment, compact as compact_store, needed_for, room_of,
};
use indicatif::HumanBytes;

use crate::args::{CompactArgs, Global};
use crate::console::{Console, count};
use crate::recovery::tell_recovery;
use crate::signals::Signals;
use crate::{Stop, status, store, threads};

/// Folds what there is to fold.
pub fn compact(args: &CompactArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = store(global)?;
    let disk = Arc::new(Disk::open(&path)?);
    let (memory, temp) = (global.memory, global.temp.clone());
    let options = CompactOptions { threads: threads(global), memory, temp, all: args.all };
    if args.dry_run {
        return dry_run(&disk, &options, console);
    }
    refuse_no_store(&*disk)?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let (mut log, view, recovery) = Log::open(Arc::clone(&disk) as Arc<dyn Storage>, LogOptions::default())?;
    tell_recovery(&recovery, console);
    // Before anything is changed.
    let room = match Compaction::plan(&*disk, &view, &options, LastSegment::SealedFirst) {
        Some(compaction) => compaction.refuse_no_room(&signals.stop, 0)?,
        None => true,
    };
    drop(view);
    if room {
        log.seal()?;
    }
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

/// Waits for what is compacted beside an ingest, or gives it up, and says what became of it. The ingest does not fail if the
/// compaction did, or had no room. Gives whether it met damage in the store.
pub fn tell_beside(mut compactor: Background, give_up: bool, store: &Path, console: &Console) -> bool {
    let finished = compactor.finish(give_up);
    compactor.outcomes.iter().for_each(|outcome| tell(outcome, console));
    if let Some(skipped) = &compactor.skipped {
        console.warning(&format!("not compacted beside the ingest: {skipped}"));
    }
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

/// Says what would be done, and what room it takes. Everything is folded for that, and nothing is written.
fn dry_run(disk: &Disk, options: &CompactOptions, console: &Console) -> std::result::Result<u8, Stop> {
    let view = View::open(disk)?;
    let Some(compaction) = Compaction::plan(disk, &view, options, LastSegment::SealedFirst) else {
        console.note(NOTHING);
        return Ok(status::DONE);
    };
    let progress = console.share("measuring");
    let measured = compaction.measure(&AtomicBool::new(false), &|share| progress.update(share));
    progress.finish();
    let needed = measured?.unwrap_or(0);
    let (room, folds) = (room_of(disk)?, &compaction.folds);
    console.note(&format!(
        "would fold {} and {} into one: reads and frees {}, and writes {} before{}",
        count(folds.snapshots as u64, "snapshot"),
        count(folds.segments as u64, "segment"),
        HumanBytes(folds.bytes),
        HumanBytes(needed),
        room.map(|room| format!(", for which the disk has {}", HumanBytes(room))).unwrap_or_default(),
    ));
    let needed = needed_for(needed);
    if let Some(room) = room.filter(|room| *room < needed) {
        console.warning(&format!("the disk has no room for that: it takes {needed} bytes, and {room} are free"));
    }
    Ok(status::DONE)
}

const NOTHING: &str = "nothing to fold";

/// Says what a compaction did.
pub fn tell(folded: &Folded, console: &Console) {
    console.note(&format!(
        "folded segments {} to {}: read {}, wrote {}, {} of {}",
        folded.covers.start(),
        folded.covers.end(),
        HumanBytes(folded.freed),
        HumanBytes(folded.written),
        count(folded.events, "event"),
        count(folded.sites, "site"),
    ));
}
