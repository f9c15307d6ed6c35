//! The commands that take inputs in: `run` and `ingest`. `taken` ingests, `teller` and `crowd` say what becomes of the inputs, and
//! `open` opens them. [`crate::files`] finds out which inputs there are.

mod crowd;
mod follow;
mod open;
mod taken;
mod teller;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use chatwal::base::threads::beside;
use chatwal::store::View;

use crate::allow::judge;
use crate::args::{Global, IngestArgs, RunArgs};
use crate::console::Console;
use crate::files::find;
use crate::page::Made;
use crate::{Stop, compaction, led_somewhere, report_options, shown, status, store};
use open::{is_many, is_passing};
use taken::{Interrupted, Taken, take};

/// With more inputs than these, only those that have something to say are named, and one line sums up all of them.
const FEW: usize = 10;

pub fn ingest(args: &IngestArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let store = store(global)?;
    if args.follow.follow {
        return follow::follow(args, &store, global, console);
    }
    let args = &args.input;
    let files = find(args, console)?;
    let Some(mut taken) = take(args, files, &store, global, console)? else { return Ok(status::FAILURE) };
    let settled = taken.log.settle();
    taken.told(settled)?;
    ended(taken, &store, console)
}

pub fn run(args: &RunArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let path = match (&global.store, args.input.files.as_slice()) {
        (Some(_), _) => store(global)?,
        (None, [file]) if is_passing(Path::new(file)) => {
            let problem = format!("{}: not a file, so there is no place beside it for a store", shown(Path::new(file)));
            return Err(Stop::Usage(problem, "name a store with --store DIR".into()));
        }
        (None, [file]) if file != "-" && !is_many(&args.input) => {
            let mut path = file.clone();
            path.push(".chatwal");
            led_somewhere(PathBuf::from(path))?
        }
        _ => {
            let problem = "run with several files, a directory, a list of files, or standard input needs a store";
            return Err(Stop::Usage(problem.into(), "name it with --store DIR".into()));
        }
    };
    let files = find(&args.input, console)?;
    let Some(mut taken) = take(&args.input, files, &path, global, console)? else { return Ok(status::FAILURE) };
    if taken.failed.is_some() || taken.interrupted.is_some() {
        let settled = taken.log.settle();
        taken.told(settled)?;
        return ended(taken, &path, console);
    }
    // The report is made while the last fsync is in flight, and printed when it is proven.
    let (log, disk) = (Mutex::new(&mut taken.log), &*taken.disk);
    // The report is of the directory that was written to, whatever the path leads to by now.
    let (settled, report) = beside(
        || log.lock().unwrap_or_else(PoisonError::into_inner).settle(),
        || Made::of(&View::open(disk)?, &report_options(global), &args.output, Vec::new()),
    );
    taken.told(settled)?;
    // What was acknowledged is told, whatever the report found.
    let printed = report.and_then(|report| report.print(console));
    let status = ended(taken, &path, console)?;
    printed?;
    Ok(status)
}

/// Says what is left to say once everything is acknowledged, and gives the exit status.
fn ended(mut taken: Taken<'_>, store: &Path, console: &Console) -> std::result::Result<u8, Stop> {
    // It may be long ago that it was settled: a report was made and printed meanwhile.
    taken.told(taken.log.check_place())?;
    let durability = taken.log.durability();
    for (teller, outcome) in taken.read {
        teller.finish(outcome, durability);
    }
    if let Some(crowd) = taken.crowd {
        crowd.finish(console, durability);
    }
    let give_up = taken.interrupted.is_some();
    let damaged =
        taken.compactor.take().is_some_and(|compactor| compaction::tell_beside(compactor, give_up, store, console));
    taken.log.check_place()?;
    let rejects = taken.rejects.values().sum();
    let status = match (&taken.interrupted, taken.failed) {
        (Some(Interrupted { status, piped }), _) => {
            console.note(match piped {
                false => "interrupted; what was acknowledged is safe, and the next run goes on after it",
                true => {
                    "interrupted; what was acknowledged is safe; a pipe cannot be gone on with: send all of it again, what \
                     is stored counts once"
                }
            });
            *status
        }
        (None, Some(status)) => status,
        (None, None) => {
            let judged = match rejects {
                0 => status::DONE,
                _ => judge(rejects, taken.lines, taken.allowed, store, console),
            };
            if taken.partly { status::PARTLY } else { judged }
        }
    };
    Ok(if damaged { status::CORRUPT } else { status })
}
