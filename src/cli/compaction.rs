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
    Background, CompactOptions, Outcome, Plan, compact as compact_store, measure, needed_for, refuse_no_room, room_of,
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
    let room = match Plan::of(&view, args.all, true) {
        Some(plan) => refuse_no_room(&*disk, &view, &plan, &options, &signals.stop, 0)?,
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

/// Waits for what is compacted beside an ingest, or gives it up, and says what became of it. That it came to nothing, or had
/// no room, is no failure of the ingest; whether it met damage of the store is given back.
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

/// Says what would be done, and what room it takes: it is folded for that, and nothing is written.
fn dry_run(disk: &Disk, options: &CompactOptions, console: &Console) -> std::result::Result<u8, Stop> {
    let view = View::open(disk)?;
    let Some(plan) = Plan::of(&view, options.all, true) else {
        console.note(NOTHING);
        return Ok(status::DONE);
    };
    let progress = console.share("measuring");
    let measured = measure(disk, &view, &plan, options, &AtomicBool::new(false), &|share| progress.update(share));
    progress.finish();
    let needed = measured?.unwrap_or(0);
    let room = room_of(disk)?;
    console.note(&format!(
        "would fold {} and {} into one: reads and frees {}, and writes {} before{}",
        count(plan.snapshots as u64, "snapshot"),
        count(plan.segments as u64, "segment"),
        HumanBytes(plan.bytes),
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
