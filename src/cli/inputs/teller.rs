//! What is said of one input: while it is read, and once it is acknowledged.

use std::ops::Range;

use chatwal::intake::ingest::{Left, Notice, Outcome, Rejected};
use chatwal::intake::packed::{Findings, Trailing};
use chatwal::intake::source::Source;
use chatwal::store::log::Durability;

use super::FEW;
use super::crowd::Crowd;
use crate::console::{Console, Progress, count};

/// Rejects that are told one by one; the rest is counted.
const TOLD: u64 = 5;

/// Tells what happens to one input.
pub(super) struct Teller<'a> {
    console: &'a Console,
    pub(super) input: String,
    pub(super) size: Option<u64>,
    pub(super) piped: bool,
    progress: Progress,
    pub(super) rejects: u64,
    /// It is one of many: only what has to be said is said.
    crowded: bool,
    counted: bool,
    /// Part of it was not taken.
    pub(super) left: bool,
}

impl<'a> Teller<'a> {
    pub(super) fn new(console: &'a Console, source: &Source, crowd: Option<&Crowd>) -> Teller<'a> {
        let around = crowd.map(|crowd| &crowd.share);
        let progress = console.progress(&source.name, source.size, source.taken.clone(), around);
        let counted = crowd.is_some_and(|crowd| crowd.told >= FEW as u64);
        let (input, size, piped) = (source.name.clone(), source.size, source.is_pipe());
        let crowded = crowd.is_some();
        Teller { console, input, size, piped, progress, rejects: 0, crowded, counted, left: false }
    }

    pub(super) fn tell(&mut self, notice: &Notice<'_>) {
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
                    let text = rejected(input, reject);
                    self.progress.aside(|| console.warning(&text));
                    self.rejects += 1;
                }
            }
            Notice::Changed(place) => self.changed(place),
            Notice::Left(left) => self.left_for_later(left),
        }
    }

    /// Says what is left of the input for the next run.
    fn left_for_later(&mut self, left: &Left) {
        let text = incomplete(&self.input, left, "left for the next run");
        self.progress.aside(|| self.console.insist(&text));
        self.left = true;
    }

    /// Says what was not taken of an input that was read to its end. Gives whether there is something.
    pub(super) fn left_out(&self, findings: &Findings) -> bool {
        let trailing = findings.trailing();
        for trailing in &trailing {
            let text = behind(&self.input, trailing);
            self.progress.aside(|| self.console.insist(&text));
        }
        !trailing.is_empty()
    }

    /// Says that the input changed since it was read.
    pub(super) fn changed(&mut self, place: &Range<u64>) {
        // It may be found twice, with --check.
        if std::mem::replace(&mut self.left, true) {
            return;
        }
        let text = format!("{}; run with --from-start to read all of it", changed(&self.input, place));
        self.progress.aside(|| self.console.insist(&text));
    }

    /// Says how far the input is acknowledged, if nothing more of it will be.
    pub(super) fn acknowledged(&self, outcome: &Outcome) {
        let text = acknowledged(&self.input, outcome.durable_offset);
        self.progress.aside(|| self.console.note(&text));
    }

    /// Whether nothing is left to say of it. There may be hundreds of thousands of such inputs.
    pub(super) fn is_quiet(&self, outcome: &Outcome) -> bool {
        self.is_silent(outcome) && !self.console.is_read_by_programs()
    }

    fn is_silent(&self, outcome: &Outcome) -> bool {
        self.crowded && outcome.rejects == 0 && !self.left
    }

    /// Says what was done, once it is acknowledged.
    pub(super) fn finish(self, outcome: Outcome, durability: Durability) {
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
        match self.is_silent(&outcome) {
            true => self.progress.finish_silently(&outcome),
            false => self.progress.finish(self.console, &outcome, durability_of(durability)),
        }
    }
}

/// What was rejected.
pub(super) fn rejected(input: &str, reject: &Rejected) -> String {
    let Rejected { line, byte, .. } = reject;
    format!("{input}:{line} (byte {byte}): rejected: {}", reject.fault())
}

/// Why the end of an input was not taken, and what becomes of it.
pub(super) fn incomplete(input: &str, Left { bytes, is_hole, what }: &Left, fate: &str) -> String {
    let Rejected { line, byte, .. } = what;
    let text = match bytes {
        0 => "the array has no end; was the input cut?".into(),
        bytes if *is_hole => {
            let nuls = count(*bytes, "NUL byte");
            format!("the end is {nuls}, {fate}: something may be written over them")
        }
        bytes => format!("the end is incomplete: {}; {} {fate}", what.fault(), count(*bytes, "byte")),
    };
    format!("{input}:{line} (byte {byte}): {text}")
}

/// Where an input is not what it was.
pub(super) fn changed(input: &str, Range { start, end }: &Range<u64>) -> String {
    format!("{input}: changed since it was read: bytes {start} to {end} are others, and were not read again")
}

/// What stands behind the compressed data of an input and was not taken.
pub(super) fn behind(input: &str, Trailing { bytes, offset, zeros, layer }: &Trailing) -> String {
    let place = if *layer == 0 { "" } else { " of what it unpacks to first" };
    let what = if *zeros { "zeros: padding" } else { "they are no compressed data" };
    let bytes = count(*bytes, "byte");
    format!("{input}: the compressed data ends at byte {offset}{place}; {bytes} behind it not taken ({what})")
}

pub(super) fn acknowledged(input: &str, offset: u64) -> String {
    format!("{input}: acknowledged up to byte {offset}, and no further")
}

/// What an acknowledgement says of the bytes up to a place.
pub(super) fn durability_of(durability: Durability) -> &'static str {
    match durability {
        Durability::Sync => "durable",
        Durability::Os => "left to the system",
    }
}
