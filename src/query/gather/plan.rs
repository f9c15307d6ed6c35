//! How the shards are worked on: which ones together, by how many threads at a time, and with how much memory.

use std::ops::RangeInclusive;
use std::thread::available_parallelism;

use crate::disk::scratch::Limits;
use crate::format::SHARDS;
use crate::format::directory::SectionKind;
use crate::store::Place;

/// Memory that an event takes while its shard is worked on, without its texts.
const EVENT_BYTES: u64 = 64;

/// Bytes of an event in the log if it has no long texts. What is beyond that is texts.
const SHORT_EVENT_BYTES: u64 = 24;

/// A task is not larger than this: one that is much larger than the caches gains nothing, and small tasks end together.
const TASK_BYTES: u64 = 8 << 20;

/// Bytes of memory for each thread that works on a shard that does not fit: what it reads and decodes at a time, and what its allocator
/// keeps. With 8 MiB, four threads in 32 MiB took 0.3 MiB more than their bound to compact 30 million events of one site.
const LARGE_SHARE_BYTES: usize = 12 << 20;

/// A run of neighbouring shards that fit the memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The shards.
    pub shards: RangeInclusive<u8>,
    /// About how many events they have.
    pub events: u64,
    /// Bytes of memory that the task may take.
    pub share: u64,
}

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Work {
    /// Shards that one thread works on, in memory.
    Task(Task),
    /// A shard that does not fit one thread's share: all threads work on it. With the bytes of memory that it would take.
    Large(u8, u64),
}

/// What there is of a shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Events.
    pub events: u64,
    /// Bytes of their sections and blocks.
    pub bytes: u64,
}

impl Load {
    /// Adds so many events in so many bytes.
    pub fn add(&mut self, events: u64, bytes: u64) {
        self.events = self.events.saturating_add(events);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    /// About how many bytes of memory it takes.
    pub fn memory(&self) -> u64 {
        let texts = self.bytes.saturating_sub(self.events.saturating_mul(SHORT_EVENT_BYTES));
        self.events.saturating_mul(EVENT_BYTES).saturating_add(texts.saturating_mul(2))
    }
}

/// What some frames have of each shard.
pub fn loads_of(frames: &[Place]) -> [Load; SHARDS] {
    let mut loads = [Load::default(); SHARDS];
    for section in frames.iter().flat_map(|place| &place.frame.sections) {
        if section.entry.kind == SectionKind::Events {
            loads[usize::from(section.entry.shard)].add(section.entry.count.into(), section.entry.length.into());
        }
    }
    loads
}

/// How the shards that have events are worked on.
#[derive(Debug)]
pub struct ReadPlan {
    /// In the order of the shards.
    pub work: Vec<Work>,
    /// How many tasks are worked on at a time, each by a thread.
    pub workers: usize,
}

impl ReadPlan {
    /// Plans for so many threads and so much memory, of which tasks get half. As many tasks are worked on at a time as there are
    /// threads, as long as the shards fit. If they fit one task for each processor, no shard is put aside for the sake of more.
    pub fn of(loads: &[Load; SHARDS], threads: usize, memory: u64) -> ReadPlan {
        let threads = threads.max(1);
        let (budget, processors) = (memory / 2, available_parallelism().map_or(1, usize::from).min(threads));
        let most = (budget / processors as u64).max(1);
        let needs = loads.iter().map(Load::memory).filter(|need| *need <= most);
        let share = needs.max().unwrap_or(0).clamp(budget / threads as u64, most).max(1);
        let workers = usize::try_from(budget / share).unwrap_or(usize::MAX).clamp(1, threads);
        ReadPlan { work: packed(loads, share), workers }
    }
}

/// Packs neighbouring shards into tasks that each fit a share.
fn packed(loads: &[Load; SHARDS], share: u64) -> Vec<Work> {
    let mut work: Vec<Work> = Vec::new();
    let mut taken = 0;
    for (number, load) in (0u8..=255).zip(loads).filter(|(_, load)| load.events > 0) {
        let need = load.memory();
        match work.last_mut() {
            _ if need > share => work.push(Work::Large(number, need)),
            Some(Work::Task(last)) if taken + need <= share.min(TASK_BYTES) && last.shards.end() + 1 == number => {
                last.shards = *last.shards.start()..=number;
                last.events += load.events;
                taken += need;
            }
            _ => {
                work.push(Work::Task(Task { shards: number..=number, events: load.events, share }));
                taken = need;
            }
        }
    }
    work
}

impl Limits {
    /// The limits for a shard that does not fit: half of the memory. No more threads than have room for what they read and decode at a
    /// time, and not many more than there are processors: each has a part of the memory, and the less it has, the more it puts aside.
    pub(crate) fn for_large(&self) -> Limits {
        let useful = available_parallelism().map_or(1, usize::from).max(4).min(self.threads.max(1));
        let threads = (self.bytes() / LARGE_SHARE_BYTES).clamp(1, useful);
        Limits { threads, memory: self.memory / 2, scratch: self.scratch.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shard_that_has_events_is_taken_whatever_it_claims_to_have() {
        let mut loads = [Load::default(); SHARDS];
        for (shard, events) in [(0, 1), (1, 2), (3, 70), (254, u64::MAX), (255, u64::MAX)] {
            loads[shard].add(events, events);
        }
        let plan = ReadPlan::of(&loads, 1, 2 * 64 * 4);
        assert_eq!(plan.workers, 1);
        let (shards, share) = (0..=1, 64 * 4);
        let huge = |shard| Work::Large(shard, u64::MAX);
        let expected = [Work::Task(Task { shards, events: 3, share }), Work::Large(3, 70 * 64), huge(254), huge(255)];
        assert_eq!(plan.work, expected);
    }

    #[test]
    fn threads_take_memory_from_each_other_only_as_long_as_shards_fit() {
        let mut loads = [Load::default(); SHARDS];
        loads.iter_mut().for_each(|load| load.add(1 << 14, 22 << 14));
        let need = loads[0].memory();
        for threads in [1, 2, 7, 64, 1000] {
            let plan = ReadPlan::of(&loads, threads, 32 << 20);
            assert!(plan.work.iter().all(|work| matches!(work, Work::Task(_))), "{threads}");
            assert!(plan.workers as u64 * need <= 16 << 20 && plan.workers <= threads);
            assert!(plan.workers == threads.min(16), "{threads}: {}", plan.workers);
            let limits =
                Limits { threads, memory: 32 << 20, scratch: crate::disk::scratch::Scratch::for_readers(None) };
            assert_eq!(limits.for_large().threads, threads.min(2), "12 MiB each");
        }
    }
}
