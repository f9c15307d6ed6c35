//! How the memory of an ingest is shared, whatever the lines are.

use super::IN_FLIGHT;
use crate::input::chunk::{CHUNK, LEAST_CHUNK, Plan};
use crate::input::repeats::Seek;
use crate::input::shape::Shape;

/// The shortest range: with smaller ones the sections of a frame, of which there may be 256, get too small.
const LEAST_RANGE: usize = 256 << 10;

/// Who gets how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Workers.
    pub(super) threads: usize,
    /// Bytes of a range, and of a chunk that is not one.
    pub(super) range: usize,
    pub(super) chunk: usize,
    /// Bytes that may be read and not yet safe.
    pub(super) in_flight: usize,
    /// Bytes for the lines that may come again.
    seek: usize,
}

impl Room {
    /// For so much memory, and so many threads if they fit.
    pub(super) fn new(_memory: u64, threads: usize, seek: usize) -> Room {
        let threads = threads.clamp(1, IN_FLIGHT / LEAST_RANGE);
        let range = (IN_FLIGHT / threads).clamp(LEAST_RANGE, CHUNK);
        Room { threads, range, chunk: CHUNK.max(LEAST_CHUNK), in_flight: IN_FLIGHT, seek }
    }

    /// How an input is read with it.
    pub(super) fn plan(&self, shape: Option<Shape>, keep: usize) -> Plan {
        Plan { chunk: self.chunk, range: self.range, ..Plan::new(shape, keep) }
    }

    /// How lines are looked up with it.
    pub(super) fn seek(&self, seek: Seek) -> Seek {
        Seek { memory: self.seek, ..seek }
    }
}
