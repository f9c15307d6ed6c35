//! What ingest tells while it works, and at the end.

use std::ops::Range;
use std::sync::atomic::AtomicBool;

use crate::format::Uid;
use crate::format::rejects::Reject;
use crate::intake::explain::explain;
use crate::intake::parse::Reason;

/// How many bytes of a reject are looked at to explain it.
const EXPLAINED: usize = 64 << 10;

/// Text that is not an event, as it is told.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The line that it begins in, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub byte: u64,
    /// The line and the column of the fault, both from 1, if they can be told.
    pub fault: Option<(u64, u64)>,
    /// Why it is not an event.
    pub reason: Reason,
    /// The same in words, with what was found.
    pub text: String,
}

impl Rejected {
    /// Of a reject of which these bytes are at hand. Its line counts from 0.
    pub(super) fn new(reject: &Reject<'_>, reason: Reason) -> Rejected {
        let Reject { offset: byte, line, column, length, raw, .. } = *reject;
        // Only a few are told, whatever their length, but explaining takes much longer than reading.
        let explanation = explain(reason, &raw[..raw.len().min(EXPLAINED)], length);
        let fault = explanation.place(raw, line + 1, column + 1);
        Rejected { line: line + 1, byte, fault, reason, text: explanation.text }
    }

    /// The same, so many lines further down.
    pub(super) fn moved(self, lines: u64) -> Rejected {
        let fault = self.fault.map(|(line, column)| (line + lines, column));
        Rejected { line: self.line + lines, fault, ..self }
    }

    /// What is wrong, with its place behind that of the first byte.
    pub fn fault(&self) -> String {
        match self.fault {
            Some((line, column)) if line != self.line => format!("line {line}, column {column}: {}", self.text),
            Some((_, column)) => format!("column {column}: {}", self.text),
            None => self.text.clone(),
        }
    }
}

/// The end of an input that was not taken, since it is incomplete and the input may still grow.
#[derive(Clone, Debug)]
pub struct Left {
    /// Its bytes; 0 if the input is a document that is an array without an end.
    pub bytes: u64,
    /// It is nothing but NUL bytes.
    pub is_hole: bool,
    /// Where it begins, and what is wrong so far.
    pub what: Rejected,
}

/// How the caller of an ingest takes part in it.
pub struct Caller<'a> {
    /// Once it is set, the chunks at hand are finished and nothing more is read.
    pub stop: &'a AtomicBool,
    /// Hears what happens. Any thread may call it, one at a time, and waits for it.
    pub notify: &'a mut (dyn FnMut(Notice<'_>) + Send),
}

/// What happens while an input is read.
#[derive(Debug)]
pub enum Notice<'a> {
    /// Reading begins, or goes on where an earlier run left the input.
    Begin {
        /// Offset of the first byte read.
        offset: u64,
        /// Line ends before it.
        lines: u64,
    },
    /// A frame was appended.
    Progress(&'a Outcome),
    /// Something failed, and nothing more is appended; what was acknowledged until then.
    Failed(&'a Outcome),
    /// Something was rejected; not everything is told.
    Reject(&'a Rejected),
    /// The end of the input was left.
    Left(&'a Left),
    /// Bytes of the input are others than those that were read of it by an earlier run.
    Changed(Range<u64>),
}

/// What became of an input.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// The input's instance in the store.
    pub instance: Uid,
    /// Lines read by this run.
    pub lines: u64,
    /// Events among them, copies included.
    pub events: u64,
    /// Rejects among them.
    pub rejects: u64,
    /// Rejects of the input that the store holds, those of earlier runs included.
    pub rejects_held: u64,
    /// Bytes read by this run, decompressed.
    pub bytes: u64,
    /// NUL bytes among them that were skipped.
    pub nuls: u64,
    /// Bytes at the end of the input that were not taken, if its end is incomplete.
    pub left: Option<u64>,
    /// Offset behind the last byte consumed, decompressed.
    pub offset: u64,
    /// Offset up to which everything is acknowledged.
    pub durable_offset: u64,
    /// Ended by `stop` and not by the end of the input.
    pub stopped: bool,
    /// Ended because its turn was over: there may be more.
    pub is_over: bool,
}
