//! The way from an input to the log.
//!
//! Each worker takes the next chunk of the input, parses and encodes it, and appends its frame when its turn comes, in the order
//! of the input. A chunk stays with the processor whose cache it is in. The log's own thread fsyncs. Each chunk holds a permit for its
//! bytes from the moment it is taken until its frame is safe (`permits`). So at most [`IN_FLIGHT`] bytes have to be read again after
//! a crash.
//!
//! What only one thread can do is kept short. There are two locks (`pipeline`):
//!
//! * **The reader** finds where the next range of a plain file ends. Whoever claimed the range reads it afterwards
//!   ([`chunk`](crate::intake::chunk)). Anything else, a pipe or a compressed input, is read and cut under the lock.
//! * **The appender** puts a parsed chunk in its turn (`queue`), makes its checkpoint, and gives its frame a place in the log
//!   (`appender`). A thread whose turn has not come leaves what it parsed to the one whose turn it is, and takes the next chunk. Frames
//!   are written outside of the lock ([`log`](crate::store::log)).
//!
//! A chunk that holds more than a worker's share of the memory becomes several batches, one after the other (`chunk_parser`). How the
//! memory is shared is in `budget`; how many wrong lines are too many, in `limit`.

mod appender;
mod budget;
mod chunk_parser;
mod limit;
mod notice;
mod options;
mod permits;
mod pipeline;
mod queue;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use appender::{Appender, InputName};
use budget::Budget;
pub use notice::{Caller, Left, Notice, Outcome, Rejected};
pub use options::{IngestOptions, MEMORY, MaxRejects, WRONG_LINES};
use permits::Permits;
use pipeline::{Kit, Pipeline, Reader};

use crate::base::shares::Lock;
use crate::error::{Error, Result};
use crate::format::checkpoint::Mark;
use crate::format::{STDIN, Uid};
use crate::intake::Extent;
use crate::intake::chunk::{Chunker, ReadPlan};
use crate::intake::known::Known;
use crate::intake::shape::{HEAD, Shape};
use crate::intake::source::{Source, Span, Start};
use crate::store::log::Log;
use crate::store::{Input, View};

/// The most input that is read and not yet safe.
pub const IN_FLIGHT: usize = 32 << 20;

/// How many rejects of an input are looked at, at most, when it is checked.
const CHECKED: usize = 100_000;

/// Takes inputs in, one after the other, and keeps what serves for the next: what the store knows of inputs, and the buffers of
/// the threads. Inputs may be small, and many.
pub struct Intake {
    known: Known,
    kits: Vec<Kit>,
}

impl Intake {
    /// For a store that knows these inputs.
    pub fn new(inputs: BTreeMap<Uid, Input>) -> Intake {
        Intake { known: Known::new(inputs), kits: Vec::new() }
    }

    /// What the store knows of inputs.
    pub(super) fn known(&self) -> &Known {
        &self.known
    }

    /// The inputs that the store knows by now.
    pub fn into_inputs(self) -> BTreeMap<Uid, Input> {
        self.known.into_inputs()
    }

    /// Appends the events and rejects of an input to the log, from where the store left it. Returns when all is appended;
    /// [`Log::settle`] then makes it durable.
    pub fn ingest(
        &mut self,
        log: &mut Log,
        mut source: Source,
        options: IngestOptions,
        caller: Caller<'_>,
    ) -> Result<Outcome> {
        let Caller { stop, notify } = caller;
        let (start, instance) = self.begin(log, &mut source, options.from_start)?;
        let before = self.known.get(&instance);
        let (offset, lines) = before.map_or((0, 0), |input| (input.checkpoint.end, input.checkpoint.end_line));
        notify(Notice::Begin { offset, lines });
        let budget = Budget::new(options.memory, options.threads, options.seek.memory);
        if let Some(changed) = start.changed.clone() {
            notify(Notice::Changed(changed));
        }
        let mut plan = budget.plan(options.shape, options.keep);
        if offset > 0 {
            go_on(&mut plan, &mut source, offset, &start)?;
        }

        self.kits.resize_with(self.kits.len().max(budget.threads), Kit::default);
        let kits = &mut self.kits[..budget.threads];
        kits.iter_mut().for_each(|kit| kit.parser.keep = options.keep);
        let permits = Permits::new(budget.in_flight);
        let halt = AtomicBool::new(false);
        let begun = Instant::now();
        let is_over = || options.turn.is_some_and(|turn| begun.elapsed() >= turn);
        let ended = || stop.load(Ordering::Relaxed) || halt.load(Ordering::Relaxed) || is_over();
        let piped = source.is_pipe().then(|| source.name.clone());
        let name = InputName { instance, shown: source.name.clone(), kept: source.name_bytes() };
        let watch = log.watch();
        let mut appender = Appender::new(log, name, before, options.max_rejects, notify);
        appender.goes_on = options.turn.is_some();
        let reader = Reader::new(Chunker::new(source, offset, start, plan, &ended));
        let pipeline = Pipeline {
            reader: Lock::new("ingest", "reader", reader),
            appender: Lock::new("ingest", "appender", appender),
            permits: &permits,
            watch,
            halt: &halt,
            budget,
        };
        let ran = pipeline.run(kits, budget.seek(options.seek), piped);
        let outcome = self.conclude(pipeline.appender.into_inner(), ran, stop.load(Ordering::Relaxed))?;
        Ok(Outcome { is_over: is_over(), ..outcome })
    }

    /// What became of an input once all threads have ended.
    fn conclude(&mut self, mut appender: Appender<'_>, ran: Result<()>, stopped: bool) -> Result<Outcome> {
        let is_end = !stopped && !appender.goes_on;
        if let (Ok(()), true, None, None) = (&ran, is_end, &appender.failure, &appender.unreadable) {
            appender.failure = appender.end().err();
        }
        if let Some(checkpoint) = appender.last.take() {
            self.known.advance(checkpoint, appender.outcome.events, appender.outcome.rejects);
        }
        ran?;
        // A rejected line stops only what comes behind it: what came before is still to be acknowledged.
        if !matches!(appender.failure, None | Some(Error::Line { .. })) {
            (appender.notify)(Notice::Failed(&appender.outcome));
        }
        match appender.failure.or(appender.unreadable) {
            Some(error) => Err(error),
            None => Ok(Outcome { stopped, ..appender.outcome }),
        }
    }

    /// Checks whether a file is still what the store knows of it, as far as it kept digests: of places at growing distances, of those
    /// where rejects came in, and of all bytes that were kept of rejects. Gives the first stretch that is not. Reads all that was
    /// read before.
    pub fn check(&self, view: &View, source: &mut Source) -> Result<Option<Range<u64>>> {
        let Some(input) = source.seek(&self.known)?.found.and_then(|instance| self.known.get(&instance)) else {
            return Ok(None);
        };
        let mut spans: Vec<Span> = input.checkpoint.marks.iter().map(Span::of_mark).collect();
        view.rejects(&mut |checkpoint, rejects| {
            if checkpoint.instance == input.checkpoint.instance {
                spans.push(Span::of_mark(&Mark { end: checkpoint.end, tail: checkpoint.windows.tail }));
                // A few bytes of a store may stand for millions.
                spans.extend(rejects.take(CHECKED.saturating_sub(spans.len())).map(|reject| Span::of_reject(&reject)));
            }
            true
        })?;
        source.check(&spans)
    }

    /// Moves to the place where an input is continued; gives that, and its instance.
    fn begin(&mut self, log: &mut Log, source: &mut Source, from_start: bool) -> Result<(Start, Uid)> {
        let mut start = source.seek(&self.known)?;
        // A file can go on where a pipe with its content ended, as long as that is known.
        let was_piped = |instance| self.known.get(&instance).is_some_and(|input| input.checkpoint.name == STDIN);
        if let Some(instance) = start.found.filter(|instance| was_piped(*instance) && !log.keep_pipe(*instance)) {
            self.known.remove(&instance);
            source.rewind()?;
            start = Start::default();
        }
        if let (true, Some(instance)) = (from_start, start.found) {
            log.append_forget(&[instance])?;
            self.known.remove(&instance);
            source.rewind()?;
            start = Start::default();
        }
        let instance = match start.found {
            Some(instance) => instance,
            None => log.random()?,
        };
        if source.name_bytes() == STDIN {
            log.keep_pipe(instance);
        }
        Ok((start, instance))
    }
}

/// Finds out what an input was when it was read from its start, and how many of its brackets are open where reading goes on. A pipe
/// never goes on.
fn go_on(plan: &mut ReadPlan, source: &mut Source, offset: u64, start: &Start) -> Result<()> {
    if plan.shape.is_none() {
        let head = source.head(HEAD).map_err(|error| source.error(offset, &error))?;
        plan.shape = Shape::of(&head, Extent::Whole);
    }
    if plan.shape == Some(Shape::Document) {
        plan.level = source.open_brackets(offset, start)?;
    }
    Ok(())
}

/// Takes in one input, as [`Intake::ingest`] does; keeps `inputs`, which are those the store knows, up to date.
pub fn ingest(
    log: &mut Log,
    inputs: &mut BTreeMap<Uid, Input>,
    source: Source,
    options: IngestOptions,
    caller: Caller<'_>,
) -> Result<Outcome> {
    let mut intake = Intake::new(std::mem::take(inputs));
    let outcome = intake.ingest(log, source, options, caller);
    *inputs = intake.into_inputs();
    outcome
}
