//! Ingesting inputs one after the other, and what became of them all together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use chatwal::disk::{Disk, Names, Storage};
use chatwal::error::{Error, Result};
use chatwal::format::Uid;
use chatwal::intake::ingest::{Caller, IngestOptions, Intake, MaxRejects, Notice, Outcome};
use chatwal::intake::repeats::Seek;
use chatwal::intake::shape::Shape;
use chatwal::store::View;
use chatwal::store::log::{Durability, Log, LogOptions};
use chatwal::upkeep::compact::{Background, CompactOptions};

use super::FEW;
use super::crowd::Crowd;
use super::open::{check, open};
use super::teller::{Teller, acknowledged};
use crate::allow::Allowed;
use crate::args::{DurabilityArg, Global, InputArgs};
use crate::console::Console;
use crate::files::Files;
use crate::recovery::tell_recovery;
use crate::signals::Signals;
use crate::{shown, status_of, threads};

/// A compaction beside an ingest gets one part of so many of the memory.
const BESIDE: u64 = 4;

/// An input in the middle of which a signal asked to end.
pub(super) struct Interrupted {
    /// The exit status that says so.
    pub(super) status: u8,
    /// It is a pipe: the next run cannot go on with it.
    pub(super) piped: bool,
}

/// What became of all inputs together.
pub(super) struct Taken<'a> {
    pub(super) console: &'a Console,
    pub(super) disk: Arc<Disk>,
    /// Ends before the log, which holds the lock.
    pub(super) compactor: Option<Background>,
    pub(super) log: Log,
    /// Those that were read to their end, to be told of once they are acknowledged.
    pub(super) read: Vec<(Teller<'a>, Outcome)>,
    /// Those of many that have nothing to say: the names, and how far they were acknowledged when they were read.
    pub(super) quiet: Vec<(String, u64)>,
    /// All of them together, where they are many.
    pub(super) crowd: Option<Crowd>,
    /// Rejects of the inputs named that the store holds; an input may be named twice.
    pub(super) rejects: BTreeMap<Uid, u64>,
    /// Part of an input was not taken.
    pub(super) partly: bool,
    /// Lines of these inputs that the store holds, as events or as rejects.
    pub(super) lines: u64,
    /// How many rejects are no reason to say so by the exit status.
    pub(super) allowed: Option<&'a Allowed>,
    /// The status of an input that could not be read, or not to its end.
    pub(super) failed: Option<u8>,
    pub(super) interrupted: Option<Interrupted>,
}

impl<'a> Taken<'a> {
    /// Adds an input that was read.
    fn add(&mut self, teller: Teller<'a>, outcome: Outcome) {
        self.rejects.insert(outcome.instance, outcome.rejects_held);
        self.partly |= outcome.left.is_some() || teller.left;
        if let Some(crowd) = &mut self.crowd {
            crowd.add(&teller, &outcome);
        }
        match teller.is_quiet(&outcome) {
            true => self.quiet.push((teller.input, outcome.durable_offset)),
            false => self.read.push((teller, outcome)),
        }
    }

    /// Takes note of an input that cannot be read on: the others are read all the same. Every other error ends the run.
    fn fail(&mut self, error: Error) -> Result<()> {
        if !matches!(error, Error::Input { .. }) {
            // What was appended before the error is safe all the same, if the log itself is sound.
            let _ = self.log.settle();
            return Err(error);
        }
        match &self.crowd {
            Some(crowd) => crowd.share.aside(|| self.console.error(&error)),
            None => self.console.error(&error),
        }
        self.failed = Some(status_of(&error));
        Ok(())
    }

    /// Says of each input how far it was acknowledged, if what was left to do has failed.
    pub(super) fn told(&self, settled: Result<()>) -> Result<()> {
        if settled.is_err() {
            let tell = |(input, offset): &(String, u64)| self.console.note(&acknowledged(input, *offset));
            if let Some(crowd) = &self.crowd {
                crowd.share.aside(|| self.quiet.iter().for_each(tell));
            }
            self.read.iter().for_each(|(teller, outcome)| teller.acknowledged(outcome));
        }
        settled
    }
}

/// Ingests all inputs that can be read; `None` if none can.
pub(super) fn take<'a>(
    args: &'a InputArgs,
    files: Files,
    path: &Path,
    global: &Global,
    console: &'a Console,
) -> Result<Option<Taken<'a>>> {
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let many = files.paths.len() > FEW && !console.verbose;
    let (files, failed) = from_first_readable(&files, args, global, console);
    if files.is_empty() && failed.is_some() {
        return Ok(None);
    }
    let (mut taken, mut view) = begin(args, path, global, console)?;
    taken.failed = failed;
    taken.crowd = many.then(|| Crowd::new(console));
    let intake = Intake::new(std::mem::take(&mut view.inputs));
    // An open view takes memory, and room on the disk once its files are compacted.
    let view = args.check.then_some(view);
    let options = options(args, global);
    let mut reading = Reading { args, global, signals, intake, view, options };
    for (number, file) in files.iter().enumerate() {
        let result = reading.ingest(file, &mut taken);
        if let Some(crowd) = taken.crowd.as_ref().filter(|_| !console.is_read_by_programs()) {
            crowd.share.update(number as f64 / files.len() as f64);
        }
        match result {
            Ok((teller, outcome)) => {
                let (stopped, piped) = (outcome.stopped, teller.piped);
                taken.add(teller, outcome);
                if stopped {
                    taken.interrupted = Some(Interrupted { status: reading.signals.status(), piped });
                    break;
                }
            }
            Err(error) => taken.fail(error)?,
        }
    }
    let known = reading.intake.into_inputs();
    let held = taken.rejects.keys().filter_map(|instance| known.get(instance));
    taken.lines = held.map(|input| input.events + input.rejects).sum();
    Ok(Some(taken))
}

/// How to ingest.
pub(super) fn options(args: &InputArgs, global: &Global) -> IngestOptions {
    IngestOptions {
        threads: threads(global),
        memory: if args.no_compact { global.memory } else { global.memory - global.memory / BESIDE },
        max_rejects: if args.strict { MaxRejects::Number(0) } else { args.max_rejects.unwrap_or_default() },
        from_start: args.from_start,
        seek: Seek::default(),
        shape: args.input.map(Shape::from),
        keep: args.keep_rejects,
        turn: None,
    }
}

/// The files from the first that can be read on, and the status of those before. So a typing error leaves no empty store behind: the
/// first input that can be read makes it. The others are opened when it is their turn, each once.
fn from_first_readable<'f>(
    files: &'f Files,
    args: &InputArgs,
    global: &Global,
    console: &Console,
) -> (&'f [OsString], Option<u8>) {
    let (mut failed, mut files) = (files.failed, files.paths.as_slice());
    while let [file, rest @ ..] = files {
        match check(file, args, global) {
            Ok(()) => break,
            Err(error) => {
                console.error(&error);
                failed = Some(status_of(&error));
                files = rest;
            }
        }
    }
    (files, failed)
}

/// What all inputs are read with.
struct Reading<'r> {
    args: &'r InputArgs,
    global: &'r Global,
    signals: Signals,
    intake: Intake,
    /// What was read before, if it is to be compared.
    view: Option<View>,
    options: IngestOptions,
}

impl Reading<'_> {
    /// Ingests one input.
    fn ingest<'a>(&mut self, file: &OsString, taken: &mut Taken<'a>) -> Result<(Teller<'a>, Outcome)> {
        let source = open(file, self.args, self.global)?;
        let findings = source.findings.clone();
        let mut teller = Teller::new(taken.console, &source, taken.crowd.as_ref());
        if let Some(view) = self.view.as_ref().filter(|_| !source.is_pipe())
            && let Some(place) = self.intake.check(view, &mut open(file, self.args, self.global)?)?
        {
            teller.changed(&place);
        }
        let compactor = &mut taken.compactor;
        let tell = &mut |notice: Notice<'_>| {
            if let (Notice::Progress(_), Some(compactor)) = (&notice, compactor.as_mut()) {
                compactor.poke();
            }
            teller.tell(&notice);
        };
        let outcome = self.intake.ingest(
            &mut taken.log,
            source,
            self.options,
            Caller { stop: &self.signals.stop, notify: tell },
        )?;
        taken.partly |= teller.left_out(&findings);
        Ok((teller, outcome))
    }
}

/// Opens the store to ingest into it; gives what is in it.
pub(super) fn begin<'a>(
    args: &'a InputArgs,
    path: &Path,
    global: &Global,
    console: &'a Console,
) -> Result<(Taken<'a>, View)> {
    let (durability, names) = match args.durability {
        DurabilityArg::Sync => (Durability::Sync, Names::Durable),
        DurabilityArg::Os => (Durability::Os, Names::DurableIfPossible),
    };
    let options = LogOptions { durability, segment_size: args.segment_size };
    let disk = Arc::new(Disk::create(path, names)?);
    let (log, view, recovery) = Log::open(Arc::clone(&disk) as Arc<dyn Storage>, options)?;
    let compactor = (!args.no_compact).then(|| {
        // One thread: ingest has a use for the others, and for the rest of the memory.
        let (memory, temp) = (global.memory / BESIDE, global.temp.clone());
        let options = CompactOptions { threads: 1, memory, temp, all: false };
        Background::new(Arc::clone(&disk) as Arc<dyn Storage>, options, log.tail(), args.compact_at)
    });
    tell_recovery(&recovery, console);
    if disk.names_are_unsynced() {
        let store = shown(path);
        console.warning(&format!(
            "{store}: this file system cannot fsync a directory: after a loss of power, files of the store may be missing or damaged"
        ));
    }
    let taken = Taken {
        console,
        disk,
        compactor,
        log,
        read: Vec::new(),
        quiet: Vec::new(),
        crowd: None,
        rejects: BTreeMap::new(),
        partly: false,
        lines: 0,
        allowed: args.allow_rejects.as_ref(),
        failed: None,
        interrupted: None,
    };
    Ok((taken, view))
}
