//! How to ingest.

use std::time::Duration;

use crate::format::KEPT;
use crate::intake::repeats::Seek;
use crate::intake::shape::Shape;

/// The memory that is used if nothing else is said.
pub const MEMORY: u64 = 128 << 20;

/// An input that begins with so many rejects, before any event, is a wrong input.
pub const WRONG_LINES: u64 = 1000;

/// How many wrong lines (or items of a document) of an input are kept as rejects. One more ends its ingest with an error. Those
/// that the store holds from earlier runs count too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MaxRejects {
    /// Any number, unless the input begins with [`WRONG_LINES`] of them: then it is taken for something other than events.
    #[default]
    NotOnly,
    /// At most so many.
    Number(u64),
    /// All.
    All,
}

/// How to ingest.
#[derive(Clone, Copy, Debug)]
pub struct IngestOptions {
    /// Threads that read, parse and append. Fewer are used if `memory` is short.
    pub threads: usize,
    /// Bytes that all of it may take, whatever the lines are. 16 MiB will do. The peak of the process is at most 32 MiB above.
    pub memory: u64,
    /// How many wrong lines are not an error.
    pub max_rejects: MaxRejects,
    /// Reads the input from its start as a new one, and forgets the instance it matches.
    pub from_start: bool,
    /// Whether repeated lines are looked for.
    pub seek: Seek,
    /// What an input is. `None` finds it out from the first bytes.
    pub shape: Option<Shape>,
    /// How many bytes of a reject are kept.
    pub keep: usize,
    /// The input is read on soon, so an incomplete end says nothing yet: reading ends there, or after this time, without a word.
    pub turn: Option<Duration>,
}

impl Default for IngestOptions {
    /// With one thread.
    fn default() -> IngestOptions {
        let (max_rejects, seek) = (MaxRejects::default(), Seek::default());
        let (shape, keep, turn) = (None, KEPT, None);
        IngestOptions { threads: 1, memory: MEMORY, max_rejects, from_start: false, seek, shape, keep, turn }
    }
}
