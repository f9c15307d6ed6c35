//! The command `backup`.

use std::path::Path;
use std::sync::atomic::Ordering;

use chatwal::base::shell::quoted;
use chatwal::disk::{Disk, Names};
use chatwal::error::Error;
use chatwal::store::View;
use chatwal::upkeep::backup::{Backup, backup as back_up, refuse_inside};
use indicatif::HumanBytes;

use crate::args::{BackupArgs, Global};
use crate::console::{Console, count};
use crate::health::verified;
use crate::recovery::tell_recovery;
use crate::signals::Signals;
use crate::{Stop, led_somewhere, lists, shown, status, store};

/// Brings a backup up to date, or makes it. Prints how far each input was read in it.
pub fn backup(args: &BackupArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let source = Disk::open(&store(global)?)?;
    let place = led_somewhere(args.dest.clone())?;
    // Before any directory is made: what is no store is not backed up, and nothing is made inside a store.
    View::open(&source)?;
    refuse_inside(&source, &place)?;
    let dest = Disk::create(&place, Names::Durable)?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let progress = console.share("backing up");
    let outcome = back_up(&source, &dest, &signals.stop, &|share| progress.update(share));
    progress.finish();
    let outcome = match outcome {
        Err(Error::Corruption(found)) if Path::new(&found.file).starts_with(&place) => {
            return Ok(damaged(&found.to_string(), &place, console));
        }
        outcome => outcome?,
    };
    let Some(outcome) = outcome else {
        console.note("interrupted; the backup holds what it held before, or more, and the next one goes on");
        return Ok(if signals.stop.load(Ordering::Relaxed) { signals.status() } else { status::FAILURE });
    };
    tell(&outcome, &place, console);
    if args.verify {
        let verification = verified(&place, global, console)?;
        if let [first, ..] = &verification.findings[..] {
            verification.findings.iter().for_each(|finding| console.insist(&finding.to_string()));
            return Ok(damaged(&first.to_string(), &place, console));
        }
        console.note(&format!("{}: sound: {} verified", shown(&place), count(verification.checked.bytes, "byte")));
    }
    lists::sources(&outcome.inputs, args.output.format())
}

/// Says what was copied.
fn tell(outcome: &Backup, place: &Path, console: &Console) {
    tell_recovery(&outcome.recovery, console);
    let (files, all) = (count(outcome.files, "file"), count(outcome.all_files, "file"));
    let place = shown(place);
    match outcome.copied {
        0 => console.note(&format!("{place}: nothing new to copy; it has {} in {all}", HumanBytes(outcome.bytes))),
        copied => console.note(&format!(
            "{place}: copied {copied} bytes ({}) in {files}; it has {} in {all}",
            HumanBytes(copied),
            HumanBytes(outcome.bytes)
        )),
    }
}

/// Says that the backup is damaged, and not the store.
fn damaged(what: &str, place: &Path, console: &Console) -> u8 {
    let hint = format!("the store is not concerned: back it up into a new directory, then delete {}", quoted(place));
    console.failure(&format!("the backup is damaged: {what}"), &hint);
    status::CORRUPT
}
