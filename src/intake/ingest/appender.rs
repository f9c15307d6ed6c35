//! The appender: gives each batch its checkpoint and its place in the log, and knows what is safe and what is acknowledged.
//!
//! It is under a lock; frames are written outside of it.

use std::collections::VecDeque;

use super::chunk_parser::Parsed;
use super::notice::{Left, Notice, Outcome, Rejected};
use super::options::MaxRejects;
use super::permits::Permit;
use super::queue::{Arrived, Queue};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::checkpoint::Checkpoint;
use crate::store::Input;
use crate::store::log::{Batch, Log, Placed};

/// What an input is called.
pub(super) struct InputName {
    pub(super) instance: Uid,
    /// In messages.
    pub(super) shown: String,
    /// In checkpoints.
    pub(super) kept: Vec<u8>,
}

/// A frame that is appended and not yet safe.
struct InFlight<'a> {
    frame: u64,
    permit: Option<Permit<'a>>,
}

/// A frame that is not yet acknowledged.
pub(super) struct Unproven {
    frame: u64,
    /// The offset of the input that it reaches.
    offset: u64,
}

/// A batch, and its place in the log. What is left at the end of an input has none.
pub(super) struct ToWrite {
    pub(super) placed: Option<Placed>,
    pub(super) batch: Batch,
}

/// How many events and rejects of an input there are.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) events: u64,
    pub(super) rejects: u64,
}

/// What the one thread knows that appends at a time.
pub(super) struct Appender<'a> {
    log: &'a mut Log,
    pub(super) queue: Queue<'a>,
    pub(super) input: InputName,
    /// Where the store says that the input stands.
    pub(super) last: Option<Checkpoint>,
    /// What the store held of the input before this run.
    pub(super) stored: Counts,
    /// Line ends before the next chunk.
    line: u64,
    /// What was appended last ends inside a line.
    open_line: bool,
    pub(super) outcome: Outcome,
    in_flight: VecDeque<InFlight<'a>>,
    pub(super) unproven: VecDeque<Unproven>,
    /// Batches that were appended: their buffers serve again.
    pub(super) spent: Vec<Batch>,
    /// Why nothing more is appended.
    pub(super) failure: Option<Error>,
    /// Why nothing more is read.
    pub(super) unreadable: Option<Error>,
    pub(super) max_rejects: MaxRejects,
    /// The input is read on soon: that its end is incomplete says nothing.
    pub(super) goes_on: bool,
    /// The first one of this run.
    pub(super) first_reject: Option<Rejected>,
    pub(super) notify: &'a mut (dyn FnMut(Notice<'_>) + Send),
}

impl<'a> Appender<'a> {
    /// Goes on with an input where the store left it, if it knows it.
    pub(super) fn new(
        log: &'a mut Log,
        input: InputName,
        before: Option<&Input>,
        max_rejects: MaxRejects,
        notify: &'a mut (dyn FnMut(Notice<'_>) + Send),
    ) -> Appender<'a> {
        let last = before.map(|before| before.checkpoint.clone());
        let stored = before.map_or(Counts::default(), |it| Counts { events: it.events, rejects: it.rejects });
        let (offset, line) = last.as_ref().map_or((0, 0), |last| (last.end, last.end_line));
        let (instance, rejects_held) = (input.instance, stored.rejects);
        let outcome = Outcome { instance, rejects_held, offset, durable_offset: offset, ..Outcome::default() };
        Appender {
            log,
            queue: Queue::default(),
            input,
            last,
            stored,
            line,
            open_line: false,
            outcome,
            in_flight: VecDeque::new(),
            unproven: VecDeque::new(),
            spent: Vec::new(),
            failure: None,
            unreadable: None,
            max_rejects,
            goes_on: false,
            first_reject: None,
            notify,
        }
    }

    /// The first frame that is appended and not yet safe.
    pub(super) fn first_in_flight(&self) -> Option<u64> {
        self.in_flight.front().map(|first| first.frame)
    }

    /// Gives the batch whose turn it is its place, if it is there.
    pub(super) fn place_next(&mut self) -> Result<Option<ToWrite>> {
        if self.failure.is_some() {
            return Ok(None);
        }
        self.queue.pop().map(|arrived| self.place(arrived)).transpose()
    }

    /// Tells of a frame that was written.
    pub(super) fn tell(&mut self) -> Result<()> {
        self.release()?;
        if self.failure.is_none() {
            (self.notify)(Notice::Progress(&self.outcome));
        }
        Ok(())
    }

    /// Gives back the permits of the frames that are safe, and takes note of what is acknowledged.
    pub(super) fn release(&mut self) -> Result<()> {
        let (safe, acknowledged) = (self.log.safe(), self.log.acknowledged());
        while self.in_flight.front().is_some_and(|first| first.frame <= safe) {
            drop(self.in_flight.pop_front().map(|first| first.permit));
        }
        if self.unproven.front().is_some_and(|first| first.frame <= acknowledged) {
            // It is told from here on. Its fsync may be long ago.
            self.log.check_place()?;
        }
        while let Some(Unproven { offset, .. }) = self.unproven.front().filter(|first| first.frame <= acknowledged) {
            self.outcome.durable_offset = *offset;
            self.unproven.pop_front();
        }
        Ok(())
    }

    /// Makes all of it durable and acknowledges it.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.log.settle()?;
        self.release()?;
        (self.notify)(Notice::Progress(&self.outcome));
        Ok(())
    }

    /// Gives a batch its place in the log.
    fn place(&mut self, arrived: Arrived<'a>) -> Result<ToWrite> {
        let Arrived { mut parsed, permit } = arrived;
        if let Some(left) = parsed.left {
            if self.goes_on {
                return Ok(ToWrite { placed: None, batch: parsed.batch });
            }
            self.leave(Left { what: left.what.moved(self.line), ..left })?;
            return Ok(ToWrite { placed: None, batch: parsed.batch });
        }
        parsed.told = parsed.told.into_iter().map(|told| told.moved(self.line)).collect();
        let checkpoint = self.checkpoint(&parsed);
        if parsed.rejects > 0 {
            self.first_reject = self.first_reject.take().or_else(|| parsed.told.first().cloned());
            self.check_rejects(&parsed, &checkpoint)?;
        }
        for told in &parsed.told {
            (self.notify)(Notice::Reject(told));
        }

        let placed = self.log.place_batch(&checkpoint, parsed.prepared)?;
        let frame = placed.sequence();
        self.in_flight.push_back(InFlight { frame, permit });
        self.unproven.push_back(Unproven { frame, offset: parsed.end });
        (self.line, self.open_line) = (checkpoint.end_line, parsed.open_line);
        let outcome = &mut self.outcome;
        outcome.lines += parsed.line_ends;
        outcome.events += parsed.events;
        outcome.rejects += parsed.rejects;
        outcome.rejects_held += parsed.rejects;
        outcome.bytes += parsed.end - parsed.start;
        outcome.nuls += parsed.nuls;
        outcome.offset = parsed.end;
        self.last = Some(checkpoint);
        Ok(ToWrite { placed: Some(placed), batch: parsed.batch })
    }

    /// Tells that the end of the input is not taken. Refuses it if nothing may be wrong.
    fn leave(&mut self, left: Left) -> Result<()> {
        if self.max_rejects == MaxRejects::Number(0) {
            let Rejected { line, byte, .. } = left.what;
            let what = if left.is_hole { "nothing but NUL bytes".into() } else { left.what.fault() };
            let reason = format!("the end of the input is incomplete: {what}");
            return Err(Error::Line { input: self.input.shown.clone(), line, byte, reason });
        }
        self.outcome.left = Some(left.bytes);
        (self.notify)(Notice::Left(&left));
        Ok(())
    }

    /// At the end of the input: counts the last line, and keeps in the store whether anything was left.
    pub(super) fn end(&mut self) -> Result<()> {
        self.outcome.lines += u64::from(self.open_line);
        let left = self.outcome.left.unwrap_or(0);
        let Some(last) = &self.last else { return Ok(()) };
        if last.left == left {
            return Ok(());
        }
        let (start, start_line) = (last.end, last.end_line);
        let checkpoint = Checkpoint { start, start_line, left, name: self.input.kept.clone(), ..last.clone() };
        let frame = self.log.append_batch(&checkpoint, &Batch::default())?;
        self.unproven.push_back(Unproven { frame, offset: last.end });
        self.last = Some(checkpoint);
        Ok(())
    }

    /// Where the input stands behind what was parsed.
    fn checkpoint(&self, parsed: &Parsed) -> Checkpoint {
        let instance = self.outcome.instance;
        let before = self.last.as_ref();
        Checkpoint {
            instance,
            start: parsed.start,
            end: parsed.end,
            start_line: self.line,
            end_line: self.line + parsed.line_ends,
            windows: parsed.windows,
            name: self.input.kept.clone(),
            left: 0,
            marks: before.map(|before| before.marks_before(parsed.end)).unwrap_or_default(),
        }
    }
}
