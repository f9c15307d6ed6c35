//! The commands `verify` and `repair`.

use std::path::Path;
use std::sync::atomic::Ordering;

use chatwal::base::shell::quoted;
use chatwal::base::text::printable;
use chatwal::disk::Disk;
use chatwal::error::Error;
use chatwal::format::hex;
use chatwal::format::hole::LostInput;
use chatwal::store::ACKNOWLEDGED_NAME;
use chatwal::upkeep::repair::{Repair, RepairOptions, repair as repair_store};
use chatwal::upkeep::verify::{Verification, verify as verify_store};

use crate::args::{Global, RepairArgs};
use crate::console::{Console, count};
use crate::signals::Signals;
use crate::{Stop, limits, print, shown, status, store, threads};

/// Inputs and frames that are told one by one; the hole that the repair leaves in the store has all of them.
const TOLD: usize = 100;

/// Checks the whole store; prints what is wrong, and a line on what was checked.
pub fn verify(global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = store(global)?;
    let verified = verified(&path, global, console)?;
    if let Some((what, bytes)) = &verified.torn {
        console.note(&format!(
            "{} (byte {}): torn: {bytes} bytes that were never acknowledged; the next writer cuts them",
            what.file, what.offset
        ));
    }
    if !verified.recorded && verified.checked.frames > 0 {
        console.note(&format!(
            "{}: no record of what was acknowledged ({ACKNOWLEDGED_NAME} is missing or torn), so an end that was cut off could not be \
             told; the next ingest writes one",
            shown(&path)
        ));
    }
    let findings = &verified.findings;
    let verdict = match findings.len() {
        0 => "sound".to_string(),
        found => count(found as u64, "finding"),
    };
    let checked = verified.checked;
    print(|out| {
        for finding in findings {
            writeln!(out, "{}", printable(&finding.to_string()))?;
        }
        writeln!(
            out,
            "{verdict}: {}, {}, {}, {}, {}, {}",
            count(checked.files, "file"),
            count(checked.frames, "frame"),
            count(checked.sections, "section"),
            count(checked.blocks, "block"),
            count(checked.events, "event"),
            count(checked.bytes, "byte"),
        )
    })?;
    if findings.is_empty() {
        return Ok(status::DONE);
    }
    console.failure(
        &format!("{}: damaged: {verdict}", shown(&path)),
        &format!(
            "restore the store from a backup, or see what `chatwal repair --store {} --dry-run` can save",
            quoted(&path)
        ),
    );
    Ok(status::CORRUPT)
}

/// Checks the store at a path.
pub fn verified(path: &Path, global: &Global, console: &Console) -> std::result::Result<Verification, Stop> {
    let progress = console.share("verifying");
    let verified = verify_store(&Disk::open(path)?, &limits(global), &|share| progress.update(share));
    progress.finish();
    Ok(verified?)
}

/// Saves what is intact of a damaged store.
pub fn repair(args: &RepairArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = store(global)?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let options = RepairOptions {
        threads: threads(global),
        memory: global.memory,
        temp: global.temp.clone(),
        dry_run: args.dry_run,
    };
    let progress = console.share("repairing");
    let outcome = repair_store(&Disk::open(&path)?, &options, &signals.stop, &|share| progress.update(share));
    progress.finish();
    match outcome? {
        Some(repair) => tell(&repair, args, &quoted(&path), console),
        None if signals.stop.load(Ordering::Relaxed) => {
            console.note("interrupted; the store is as it was");
            return Ok(signals.status());
        }
        None => {
            console.note("sound: nothing to repair");
            return Ok(status::DONE);
        }
    }
    Ok(if args.dry_run { status::CORRUPT } else { status::DONE })
}

/// Says what a repair did, or would do; `store` is quoted.
fn tell(repair: &Repair, args: &RepairArgs, store: &str, console: &Console) {
    let dry_run = args.dry_run;
    let Repair { findings, replaced, copies, published, hole, saved, rejects, unknown } = repair;
    for finding in findings {
        console.warning(&finding.to_string());
    }
    let (wrote, put) = if dry_run { ("would write", "would replace") } else { ("wrote", "replaced") };
    for copy in copies {
        console.note(&format!("{copy}: a copy of what was there; delete it once nothing is missed"));
    }
    console.note(&format!(
        "{put} {}, {wrote} {}; {} saved",
        if replaced.is_empty() { "nothing".into() } else { replaced.join(" ") },
        published.join(" "),
        count(*saved, "event"),
    ));
    let ranges: Vec<String> = hole.frames.iter().take(TOLD).map(range).collect();
    if !ranges.is_empty() {
        let more = more(hole.frames.len());
        console.warning(&format!("lost, as a whole or in part: frames {}{more}", ranges.join(", ")));
    }
    for LostInput { instance, from, to, name } in hole.inputs.iter().take(TOLD) {
        let name = String::from_utf8_lossy(name);
        let again = match from {
            0 => "from its start".into(),
            from => format!("from byte {from} on"),
        };
        console.warning(&format!(
            "{name} (input {}): bytes {from} to {to} are lost, or may be; ingest it again: it is read {again}",
            hex(*instance)
        ));
    }
    if hole.inputs.len() > TOLD {
        console.warning(&format!("and {} more inputs", hole.inputs.len() - TOLD));
    }
    if *rejects > 0 {
        console.warning(&format!(
            "{} behind these bytes count again once they are read",
            count(*rejects, "rejected line")
        ));
    }
    if *unknown {
        console.warning(
            "something is lost of which nothing tells whose it was: ingest every input again; what is there counts once",
        );
    }
    if hole.frames.is_empty() && hole.inputs.is_empty() && !unknown {
        console.note("nothing is lost");
    }
    match dry_run {
        true => {
            console.hint(&format!("`chatwal repair --store {store}` does it, and keeps a copy of what it replaces"))
        }
        false if hole.inputs.is_empty() && !unknown => {}
        false => console.hint(&format!("`chatwal ingest --store {store} FILE...` reads again what is missing")),
    }
}

fn range((first, last): &(u64, u64)) -> String {
    if first == last { first.to_string() } else { format!("{first} to {last}") }
}

fn more(all: usize) -> String {
    if all > TOLD { format!(" and {} more ranges", all - TOLD) } else { String::new() }
}
