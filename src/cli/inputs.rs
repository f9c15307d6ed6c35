//! The commands that write: `run`, `ingest`, `sources forget`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chatwal::base::threads::beside;
use chatwal::disk::{Disk, Names, Storage};
use chatwal::error::{Error, Result};
use chatwal::format::Uid;
use chatwal::intake::ingest::{Caller, IngestOptions, Intake, Left, MaxRejects, Notice, Outcome, Rejected};
use chatwal::intake::packed::PARTS;
use chatwal::intake::packed::{Findings, Trailing};
use chatwal::intake::repeats::Seek;
use chatwal::intake::shape::Shape;
use chatwal::intake::source::{Source, SourceOptions};
use chatwal::query::report::Report;
use chatwal::store::View;
use chatwal::store::log::{Durability, Log, LogOptions};
use chatwal::upkeep::compact::{Background, CompactOptions};

use crate::allow::{Allowed, judge};
use crate::args::{DurabilityArg, Global, InputArgs, RunArgs};
use crate::console::{Console, Share, count};
use crate::files::{Files, find};
use crate::recovery::tell_recovery;
use crate::signals::Signals;
use crate::{
    Stop, compaction, descriptors, led_somewhere, print_report, report_options, shown, status, status_of, store,
    threads,
};

/// A compaction beside an ingest gets one part of so many of the memory.
const BESIDE: u64 = 4;

/// Rejects that are told one by one; the rest is counted.
const TOLD: u64 = 5;

/// Of more inputs than these, only those are told of that have something to say, and a line on all together.
const FEW: usize = 10;

/// An input in the middle of which a signal asked to end.
struct Interrupted {
    /// The exit status that says so.
    status: u8,
    /// It cannot be gone on with.
    piped: bool,
}

/// What became of all inputs together.
struct Taken<'a> {
    console: &'a Console,
    disk: Arc<Disk>,
    /// Ends before the log, which holds the lock.
    compactor: Option<Background>,
    log: Log,
    /// Those that were read to their end, to be told of once they are acknowledged.
    read: Vec<(Teller<'a>, Outcome)>,
    /// Those of many that have nothing to say: the names, and how far they were acknowledged when they were read.
    quiet: Vec<(String, u64)>,
    /// All of them together, where they are many.
    crowd: Option<Crowd>,
    /// Rejects of the inputs named that the store holds; an input may be named twice.
    rejects: BTreeMap<Uid, u64>,
    /// Part of an input was not taken.
    partly: bool,
    /// Lines of these inputs that the store holds, as events or as rejects.
    lines: u64,
    /// How many rejects are no reason to say so by the exit status.
    allowed: Option<&'a Allowed>,
    /// The status of an input that could not be read, or not to its end.
    failed: Option<u8>,
    interrupted: Option<Interrupted>,
}

pub fn ingest(args: &InputArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let store = store(global)?;
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
    // Of the directory that was written to, whatever the path leads to by now.
    let (settled, report) = beside(
        || log.lock().unwrap_or_else(PoisonError::into_inner).settle(),
        || Report::of(&View::open(disk)?, &report_options(global)),
    );
    taken.told(settled)?;
    print_report(&report?, args.output.format.into(), console)?;
    ended(taken, &path, console)
}

/// Whether an input is there for this process alone, or for one reading: a pipe, and what a shell makes of `<(...)`.
fn is_passing(file: &Path) -> bool {
    let of_a_process = file.starts_with("/dev/fd")
        || file == Path::new("/dev/stdin")
        || file.starts_with("/proc") && file.components().any(|part| part.as_os_str() == "fd");
    of_a_process || std::fs::metadata(file).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Whether there may be several inputs, though no more than one is named.
fn is_many(args: &InputArgs) -> bool {
    args.files_from.is_some() || args.recursive && args.files.iter().any(|file| Path::new(file).is_dir())
}

impl Taken<'_> {
    /// Says of each input how far it was acknowledged, if what was left to do has failed.
    fn told(&self, settled: Result<()>) -> Result<()> {
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

/// Ingests all inputs that can be read; `None` if none can.
fn take<'a>(
    args: &'a InputArgs,
    files: Files,
    path: &Path,
    global: &Global,
    console: &'a Console,
) -> Result<Option<Taken<'a>>> {
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    // So that a typing error leaves no empty store behind: the first input that can be read makes it. The others are opened when
    // it is their turn, each once.
    let mut failed = files.failed;
    let many = files.paths.len() > FEW && !console.verbose;
    let mut files = files.paths.as_slice();
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
    if files.is_empty() && failed.is_some() {
        return Ok(None);
    }
    let (mut taken, mut view) = begin(args, path, global, console)?;
    taken.failed = failed;
    taken.crowd = many.then(|| Crowd::new(console));
    let mut intake = Intake::new(std::mem::take(&mut view.inputs));
    // What it has open takes memory, and room on the disk once it is compacted.
    let view = args.check.then_some(view);
    let options = IngestOptions {
        threads: threads(global),
        memory: if args.no_compact { global.memory } else { global.memory - global.memory / BESIDE },
        max_rejects: if args.strict { MaxRejects::Number(0) } else { args.max_rejects.unwrap_or_default() },
        from_start: args.from_start,
        seek: Seek::default(),
        shape: args.input.map(Shape::from),
        keep: args.keep_rejects,
    };
    for (number, file) in files.iter().enumerate() {
        let result = open(file, args, global).and_then(|source| {
            let findings = source.findings.clone();
            let mut teller = Teller::new(console, &source, taken.crowd.as_ref());
            if let Some(view) = view.as_ref().filter(|_| !source.is_pipe())
                && let Some(place) = intake.check(view, &mut open(file, args, global)?)?
            {
                teller.changed(&place);
            }
            let stop = &signals.stop;
            let compactor = &mut taken.compactor;
            let tell = &mut |notice: Notice<'_>| {
                if let (Notice::Progress(_), Some(compactor)) = (&notice, compactor.as_mut()) {
                    compactor.poke();
                }
                teller.tell(&notice);
            };
            let outcome = intake.ingest(&mut taken.log, source, options, Caller { stop, notify: tell })?;
            taken.partly |= teller.left_out(&findings);
            Ok((teller, outcome))
        });
        if let Some(crowd) = taken.crowd.as_ref().filter(|_| !console.is_read_by_programs()) {
            crowd.share.update(number as f64 / files.len() as f64);
        }
        match result {
            Ok((teller, outcome)) => {
                let piped = teller.piped;
                taken.rejects.insert(outcome.instance, outcome.rejects_held);
                taken.partly |= outcome.left.is_some() || teller.left;
                if let Some(crowd) = &mut taken.crowd {
                    crowd.add(&teller, &outcome);
                }
                match teller.is_quiet(&outcome) {
                    true => taken.quiet.push((teller.input, outcome.durable_offset)),
                    false => taken.read.push((teller, outcome)),
                }
                if outcome.stopped {
                    taken.interrupted = Some(Interrupted { status: signals.status(), piped });
                    break;
                }
            }
            // One input that cannot be read on is no reason to leave out the others.
            Err(error @ Error::Input { .. }) => {
                match &taken.crowd {
                    Some(crowd) => crowd.share.aside(|| console.error(&error)),
                    None => console.error(&error),
                }
                taken.failed = Some(status_of(&error));
            }
            Err(error) => {
                // What was appended before the error is safe all the same, if the log itself is sound.
                let _ = taken.log.settle();
                return Err(error);
            }
        }
    }
    let known = intake.into_inputs();
    let held = taken.rejects.keys().filter_map(|instance| known.get(instance));
    taken.lines = held.map(|input| input.events + input.rejects).sum();
    Ok(Some(taken))
}

/// Opens the store to ingest into it; gives what is in it.
fn begin<'a>(args: &'a InputArgs, path: &Path, global: &Global, console: &'a Console) -> Result<(Taken<'a>, View)> {
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
    let (read, rejects, allowed) = (Vec::new(), BTreeMap::new(), args.allow_rejects.as_ref());
    let (partly, lines, failed, interrupted) = (false, 0, None, None);
    let (quiet, crowd) = (Vec::new(), None);
    let taken = Taken {
        console,
        disk,
        compactor,
        log,
        read,
        quiet,
        crowd,
        rejects,
        partly,
        lines,
        allowed,
        failed,
        interrupted,
    };
    Ok((taken, view))
}

fn open(file: &OsString, args: &InputArgs, global: &Global) -> Result<Source> {
    let options = SourceOptions { memory: global.memory / PARTS, foreign: args.input.is_none() };
    if file == "-" {
        check_stdin()?;
        return Source::stdin(options);
    }
    Source::open_with(Path::new(file), options)
}

fn check_stdin() -> Result<()> {
    descriptors::stdin().map_err(|error| Error::Input {
        input: "-".into(),
        problem: format!("cannot read standard input: {error}"),
        hint: "pass the input on it, or name a file".into(),
    })
}

/// Whether there is something to read. What is neither file nor directory is not opened: a pipe can be only once.
fn check(file: &OsString, args: &InputArgs, global: &Global) -> Result<()> {
    if file == "-" {
        return check_stdin();
    }
    match std::fs::metadata(file) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => Ok(()),
        // Opening says what is wrong with it.
        _ => open(file, args, global).map(|_| ()),
    }
}

/// Many inputs, of which most have nothing to say.
struct Crowd {
    share: Share,
    started: Instant,
    /// All that was read, added up.
    sum: Outcome,
    inputs: u64,
    /// Those of which nothing was new.
    unchanged: u64,
    empty: u64,
    /// Those whose rejects were told one by one.
    told: u64,
}

impl Crowd {
    fn new(console: &Console) -> Crowd {
        let (share, started) = (console.share("inputs"), Instant::now());
        Crowd { share, started, sum: Outcome::default(), inputs: 0, unchanged: 0, empty: 0, told: 0 }
    }

    fn add(&mut self, teller: &Teller<'_>, outcome: &Outcome) {
        self.inputs += 1;
        self.empty += u64::from(teller.size == Some(0));
        self.unchanged += u64::from(outcome.bytes == 0 && outcome.left.is_none() && teller.size != Some(0));
        self.told += u64::from(teller.rejects > 0);
        self.sum.lines += outcome.lines;
        self.sum.events += outcome.events;
        self.sum.rejects += outcome.rejects;
        self.sum.bytes += outcome.bytes;
    }

    fn finish(self, console: &Console, durability: Durability) {
        self.share.finish();
        let some = |number: u64, what: &str| if number > 0 { format!(", {number} {what}") } else { String::new() };
        let inputs = format!(
            "{}{}{}",
            count(self.inputs, "input"),
            some(self.unchanged, "with nothing new"),
            some(self.empty, "empty")
        );
        console.summary(&inputs, &self.sum, self.started.elapsed(), durability_of(durability));
    }
}

/// Tells what happens to one input.
struct Teller<'a> {
    console: &'a Console,
    input: String,
    size: Option<u64>,
    piped: bool,
    progress: crate::console::Progress,
    rejects: u64,
    /// It is one of many: said is only what has to be. Of rejects, a number, unless few inputs had some.
    crowded: bool,
    counted: bool,
    /// Part of it was not taken.
    left: bool,
}

impl<'a> Teller<'a> {
    fn new(console: &'a Console, source: &Source, crowd: Option<&Crowd>) -> Teller<'a> {
        let around = crowd.map(|crowd| &crowd.share);
        let progress = console.progress(&source.name, source.size, source.taken.clone(), around);
        let counted = crowd.is_some_and(|crowd| crowd.told >= FEW as u64);
        let (input, size, piped) = (source.name.clone(), source.size, source.is_pipe());
        let crowded = crowd.is_some();
        Teller { console, input, size, piped, progress, rejects: 0, crowded, counted, left: false }
    }

    fn tell(&mut self, notice: &Notice<'_>) {
        let (console, input) = (self.console, &self.input);
        match notice {
            Notice::Begin { .. } if self.crowded => {}
            Notice::Begin { offset: 0, .. } if self.size == Some(0) => {
                console.warning(&format!("{input}: empty, nothing to read"));
            }
            Notice::Begin { offset: 0, .. } => {}
            Notice::Begin { offset, lines } => {
                console.note(&format!("{input}: going on at byte {offset}, after line {lines}"));
            }
            Notice::Progress(outcome) => self.progress.update(outcome),
            Notice::Failed(outcome) => self.acknowledged(outcome),
            Notice::Reject(reject) => {
                if self.rejects < TOLD && !self.counted {
                    let Rejected { line, byte, .. } = reject;
                    let text = format!("{input}:{line} (byte {byte}): rejected: {}", reject.fault());
                    self.progress.aside(|| console.warning(&text));
                    self.rejects += 1;
                }
            }
            Notice::Changed(place) => self.changed(place),
            Notice::Left(Left { bytes, is_hole, what }) => {
                let (Rejected { line, byte, .. }, text) = (what, what.fault());
                let text = match bytes {
                    0 => format!("{input}:{line} (byte {byte}): the array has no end; was the input cut?"),
                    bytes if *is_hole => format!(
                        "{input}:{line} (byte {byte}): the end is {}, left for the next run: something may be written over them",
                        count(*bytes, "NUL byte")
                    ),
                    bytes => format!(
                        "{input}:{line} (byte {byte}): the end is incomplete: {text}; {} left for the next run",
                        count(*bytes, "byte")
                    ),
                };
                self.progress.aside(|| console.insist(&text));
                self.left = true;
            }
        }
    }

    /// Says what of the input was not taken, though it was read to its end; whether there is something.
    fn left_out(&self, findings: &Findings) -> bool {
        let trailing = findings.trailing();
        for Trailing { bytes, offset, zeros, layer } in &trailing {
            let place = if *layer == 0 { "" } else { " of what it unpacks to first" };
            let what = if *zeros { "zeros: padding" } else { "they are no compressed data" };
            let text = format!(
                "{}: the compressed data ends at byte {offset}{place}; {} behind it not taken ({what})",
                self.input,
                count(*bytes, "byte")
            );
            self.progress.aside(|| self.console.insist(&text));
        }
        !trailing.is_empty()
    }

    /// Says that the input is not any more what was read of it.
    fn changed(&mut self, place: &Range<u64>) {
        // It may be found twice, with --check.
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let text = format!(
            "{}: changed since it was read: bytes {} to {} are others, and were not read again; run with --from-start to read all of it",
            self.input, place.start, place.end
        );
        self.progress.aside(|| self.console.insist(&text));
    }

    /// Says how far the input is acknowledged, if nothing more of it will be.
    fn acknowledged(&self, outcome: &Outcome) {
        let text = acknowledged(&self.input, outcome.durable_offset);
        self.progress.aside(|| self.console.note(&text));
    }

    /// Whether nothing is left to say of it. There may be hundreds of thousands of such inputs.
    fn is_quiet(&self, outcome: &Outcome) -> bool {
        self.is_silent(outcome) && !self.console.is_read_by_programs()
    }

    fn is_silent(&self, outcome: &Outcome) -> bool {
        self.crowded && outcome.rejects == 0 && !self.left
    }

    /// Says what was done, once it is acknowledged.
    fn finish(self, outcome: Outcome, durability: Durability) {
        let more = outcome.rejects.saturating_sub(self.rejects);
        if more > 0 && !self.counted {
            let more = count(more, "more rejected line");
            self.progress.aside(|| self.console.warning(&format!("{}: and {more}", self.input)));
        }
        if outcome.nuls > 0 && !self.crowded {
            let nuls = count(outcome.nuls, "NUL byte");
            let text =
                format!("{}: skipped {nuls}, as a file has them that was cut while it was written to", self.input);
            self.progress.aside(|| self.console.note(&text));
        }
        let outcome = Outcome { durable_offset: outcome.offset, ..outcome };
        let silent = self.is_silent(&outcome);
        self.progress.finish(self.console, &outcome, durability_of(durability), silent);
    }
}

fn acknowledged(input: &str, offset: u64) -> String {
    format!("{input}: acknowledged up to byte {offset}, and no further")
}

/// What an acknowledgement says of the bytes up to a place.
fn durability_of(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "durable",
        Durability::Os => "left to the system",
    }
}
