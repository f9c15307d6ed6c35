//! How the memory of an ingest is shared, whatever the lines are.

use super::IN_FLIGHT;
use crate::intake::chunk::{CHUNK, LEAST_CHUNK, ReadPlan};
use crate::intake::repeats::Seek;
use crate::intake::shape::Shape;

/// The shortest range. With smaller ones, the sections of a frame would get too small: there may be 256.
const LEAST_RANGE: usize = 512 << 10;

/// What the program takes besides: its code, stacks, the tables of the system's allocator. The peak may be 32 MiB above the memory;
/// the rest of these is shared out.
const BESIDES: usize = 12 << 20;
const ABOVE: usize = 32 << 20;

/// What a worker takes at most, as a multiple of its share, which bounds the contents of its table and its rejects: the table, which
/// may have twice the room; what orders the rows of one shard; the batch.
/// `tests/memory.rs` measures what a process comes to.
const WORKER: usize = 5;

/// A chunk of common lines, of 160 bytes, takes about so much of its bytes as contents of a table, in hundredths: then it is one batch.
const COMMON: usize = 60;

/// Who gets how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Budget {
    /// Workers.
    pub(super) threads: usize,
    /// Bytes of a range, and of a chunk that is not one.
    pub(super) range: usize,
    pub(super) chunk: usize,
    /// Bytes that may be read and not yet safe.
    pub(super) in_flight: usize,
    /// Bytes of the contents of a worker's table and rejects. A chunk that has more is several batches.
    pub(super) share: usize,
    /// Bytes for the lines that may come again.
    seek: usize,
}

impl Budget {
    /// For so much memory, and so many threads if they fit.
    ///
    /// Each worker has a buffer, of a range, and [`WORKER`] shares. For each range in flight there is a batch that waits for its turn, or its
    /// buffers, which are used again: a share at most. A chunk that is not a range may be longer; its buffer is in flight, too.
    pub(super) fn new(memory: u64, threads: usize, seek: usize) -> Budget {
        let memory = usize::try_from(memory).unwrap_or(usize::MAX).clamp(16 << 20, usize::MAX / 4);
        let seek = seek.min(memory / 4);
        let left = memory + ABOVE - BESIDES - seek;
        let in_flight = IN_FLIGHT.min(memory);
        let mut threads = threads.clamp(1, IN_FLIGHT / LEAST_RANGE);
        loop {
            let most = (in_flight / threads).min(CHUNK);
            let shares = WORKER * threads + in_flight / most;
            let range = most.min(left / (threads + shares * COMMON / 100).max(1));
            if range >= LEAST_RANGE || threads == 1 {
                let range = range.max(LEAST_RANGE);
                // Fewer ranges than fit would be in flight with one longer.
                let shares = WORKER * threads + in_flight / range;
                let share = left.saturating_sub(threads * range) / shares;
                let chunk = if range == CHUNK { CHUNK } else { CHUNK.min(in_flight / 4).max(LEAST_CHUNK) };
                return Budget { threads, range, chunk, in_flight, share, seek };
            }
            threads -= 1;
        }
    }

    /// How an input is read with it.
    pub(super) fn plan(&self, shape: Option<Shape>, keep: usize) -> ReadPlan {
        ReadPlan { chunk: self.chunk, range: self.range, ..ReadPlan::new(shape, keep) }
    }

    /// How lines are looked up with it.
    pub(super) fn seek(&self, seek: Seek) -> Seek {
        Seek { memory: self.seek, ..seek }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn all_fits_whatever_the_memory_and_the_threads_are() {
        for memory in [1, 16, 20, 32, 64, 128, 300, 1024, 1 << 20] {
            for threads in [0, 1, 2, 3, 4, 8, 16, 64, 1000] {
                let budget = Budget::new((memory * MIB) as u64, threads, 32 * MIB);
                let Budget { range, chunk, in_flight, share, seek, .. } = budget;
                let batches = in_flight / range;
                let sum = seek + budget.threads * (range + WORKER * share) + batches * share + BESIDES;
                assert!(sum <= memory.max(16) * MIB + ABOVE, "{memory} MiB, {threads} threads: {sum} of {budget:?}");
                assert!((1..=threads.max(1)).contains(&budget.threads) && in_flight <= IN_FLIGHT, "{budget:?}");
                assert!((LEAST_RANGE..=CHUNK).contains(&range) && (LEAST_CHUNK..=CHUNK).contains(&chunk), "{budget:?}");
                assert!(chunk * 2 <= in_flight && share >= LEAST_RANGE / 3, "{budget:?}");
                if memory >= 300 && threads == 64 {
                    assert!(budget.threads == 64, "{budget:?}");
                }
            }
        }
    }

    #[test]
    fn few_threads_get_whole_chunks_and_many_get_smaller_ones() {
        let of = |memory: usize, threads| Budget::new((memory * MIB) as u64, threads, 32 * MIB);
        for (memory, threads) in [(64, 1), (64, 2), (128, 2), (128, 4), (1024, 8)] {
            let budget = of(memory, threads);
            assert_eq!((budget.threads, budget.range, budget.chunk), (threads, CHUNK, CHUNK), "{memory} {threads}");
            assert!(budget.share >= CHUNK * COMMON / 100, "{budget:?}");
        }
        assert_eq!(of(1024, 64).range, IN_FLIGHT / 64);
        assert!(of(128, 16).range < of(128, 8).range);
    }
}
