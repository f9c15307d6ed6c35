//! Sorts records by their keys, however many there are.
//!
//! Each thread collects records, and sorts what fits its share of the memory: that is a *run*. It stays in memory if it is the last
//! one of its thread, and goes to a temporary file otherwise. A [`Merge`] reads all runs at once, in one order. Several of them can
//! share the work, each with a stretch of the keys. Records of one key come in any order.
//!
//! A record is a key and a payload, both bytes. Keys are ordered bytewise; a shorter one comes before those that begin with it.

mod merge;
mod record;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::{Extent, Scratch, Spill};
use crate::base::memory;
use crate::error::Result;
use crate::event::order::{Keyed, sort_texts};

pub use merge::{Merge, Sorted};
use record::{LENGTHS, Record, key_at};

/// Bytes at which a block of a run ends. A block is read at a time.
const BLOCK: usize = 64 << 10;

/// Bytes of a key that are kept of each block, to find where a stretch of keys begins.
const FENCE: usize = 32;

/// The most bytes of records that one thread holds, whatever memory there is: their places are numbers of 32 bits.
const MOST: usize = 1 << 30;

/// What the memory is for, in messages.
const RECORDS: &str = "records to be brought into order";

/// The runs of all threads.
pub struct Sorter {
    spill: Spill,
    runs: Mutex<Vec<Run>>,
    block: usize,
    /// Bytes of runs that may stay in memory.
    held: AtomicUsize,
}

/// Sorted records.
enum Run {
    /// The records as they came, and the places of all of them, in order.
    Held { bytes: Vec<u8>, places: Vec<Keyed> },
    /// In a temporary file, block by block.
    Aside(Vec<Block>),
}

/// A part of a run that is read as a whole.
struct Block {
    extent: Extent,
    /// What its first key begins with.
    fence: Box<[u8]>,
}

impl Sorter {
    /// A sorter without records. A run takes about `block` bytes of memory while it is written or read. Up to `held` bytes of the runs
    /// that collectors end with stay in memory.
    pub fn new(scratch: &Scratch, block: usize, held: usize) -> Sorter {
        let block = block.clamp(1 << 8, BLOCK);
        Sorter { spill: scratch.file(), runs: Mutex::default(), block, held: AtomicUsize::new(held) }
    }

    /// A collector that holds up to `most` bytes of records.
    pub fn collector(&self, most: usize) -> Collector<'_> {
        Collector { sorter: self, bytes: Vec::new(), places: Vec::new(), most: most.min(MOST) }
    }

    /// Begins a run of records that come in order.
    pub fn run(&self) -> Ordered<'_> {
        Ordered::new(&self.spill, self.block)
    }

    /// Ends a run.
    pub fn add(&self, run: Ordered<'_>) -> Result<()> {
        let run = run.end()?;
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }

    /// All records, once every collector has ended. Never more than `most` runs are read at a time: if there are more, some are merged
    /// before.
    pub fn sorted(self, most: usize) -> Result<Sorted> {
        let Sorter { spill, runs, block, .. } = self;
        let runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut sorted, most) = (Sorted { spill, runs }, most.max(2));
        while sorted.runs.len() > most {
            // The shortest ones, and as few as bring it down to `most`.
            sorted.runs.sort_by_key(|run| std::cmp::Reverse(run.blocks()));
            let some = most.min(sorted.runs.len() - most + 1).max(2);
            let longer = sorted.runs.len() - some;
            let mut run = Ordered::new(&sorted.spill, block);
            let mut merge = sorted.merge_of(longer.., None, None)?;
            while let Some((key, payload)) = merge.next()? {
                run.put(key, payload)?;
            }
            drop(merge);
            let run = run.end()?;
            sorted.runs.truncate(longer);
            sorted.runs.push(run);
        }
        Ok(sorted)
    }
}

impl Run {
    fn blocks(&self) -> usize {
        match self {
            Run::Held { .. } => 0,
            Run::Aside(blocks) => blocks.len(),
        }
    }
}

/// Collects for one thread.
pub struct Collector<'c> {
    sorter: &'c Sorter,
    bytes: Vec<u8>,
    /// Where each record begins.
    places: Vec<Keyed>,
    most: usize,
}

impl Collector<'_> {
    /// Collects one record; key and payload have less than 65,536 bytes each.
    pub fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        let more = LENGTHS + key.len() + payload.len();
        let held = self.bytes.len() + size_of::<Keyed>() * self.places.len();
        if held + more > self.most && !self.places.is_empty() {
            self.put_aside()?;
        }
        memory::reserve(&mut self.places, 1, RECORDS)?;
        memory::reserve(&mut self.bytes, more, RECORDS)?;
        self.places.push(Keyed::new(self.bytes.len() as u32));
        Record { key, payload }.put(&mut self.bytes);
        Ok(())
    }

    fn put_aside(&mut self) -> Result<()> {
        sort_texts(&mut self.places, |at| key_at(&self.bytes, at));
        let mut run = self.sorter.run();
        for place in &self.places {
            if let Some(Record { key, payload }) = Record::first(&self.bytes[place.number as usize..]) {
                run.put(key, payload)?;
            }
        }
        self.sorter.add(run)?;
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }

    /// Ends. What it holds stays in memory if there is room.
    pub fn end(mut self) -> Result<()> {
        if self.places.is_empty() {
            return Ok(());
        }
        let takes = self.bytes.len() + size_of::<Keyed>() * self.places.len();
        let taken = self.sorter.held.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(takes));
        if taken.is_err() {
            return self.put_aside();
        }
        self.bytes.shrink_to_fit();
        self.places.shrink_to_fit();
        sort_texts(&mut self.places, |at| key_at(&self.bytes, at));
        let run = Run::Held { bytes: std::mem::take(&mut self.bytes), places: std::mem::take(&mut self.places) };
        self.sorter.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }
}

/// A run that is written in order.
pub struct Ordered<'c> {
    spill: &'c Spill,
    /// Bytes at which a block ends.
    most: usize,
    bytes: Vec<u8>,
    fence: Vec<u8>,
    blocks: Vec<Block>,
}

impl<'c> Ordered<'c> {
    fn new(spill: &'c Spill, most: usize) -> Ordered<'c> {
        Ordered { spill, most, bytes: Vec::new(), fence: Vec::new(), blocks: Vec::new() }
    }

    /// Appends a record whose key is not less than that of the one before.
    pub fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        if self.bytes.is_empty() {
            self.fence.extend_from_slice(&key[..key.len().min(FENCE)]);
        }
        Record { key, payload }.put(&mut self.bytes);
        if self.bytes.len() >= self.most { self.end_block() } else { Ok(()) }
    }

    fn end_block(&mut self) -> Result<()> {
        let extent = self.spill.append(&self.bytes)?;
        self.blocks.push(Block { extent, fence: std::mem::take(&mut self.fence).into() });
        self.bytes.clear();
        Ok(())
    }

    fn end(mut self) -> Result<Run> {
        if !self.bytes.is_empty() {
            self.end_block()?;
        }
        Ok(Run::Aside(self.blocks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// All records of a merge.
    fn all(mut merge: Merge<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut found = Vec::new();
        while let Some((key, payload)) = merge.next().unwrap() {
            found.push((key.to_vec(), payload.to_vec()));
        }
        found
    }

    proptest! {
        #[test]
        fn records_come_in_order_and_all_of_them(
            keys in prop::collection::vec(prop_oneof!["[ab]{0,3}", "shared by all of them[a-d]{0,40}", "[\\x00-\\xff]{0,9}"], 0..400),
            threads in 1usize..4,
            most in prop_oneof![Just(0usize), Just(300), Just(1 << 20)],
            block in 0usize..2000,
            runs in 0usize..9,
            stretches in 1usize..5,
        ) {
            let directory = tempfile::tempdir().unwrap();
            let scratch = Scratch::new(directory.path());
            let sorter = Sorter::new(&scratch, block, 1 << 30);
            let mut expected = Vec::new();
            for thread in 0..threads {
                let mut collector = sorter.collector(most);
                for (number, key) in keys.iter().enumerate().skip(thread).step_by(threads) {
                    let payload = number.to_string().repeat(number % 3);
                    collector.put(key.as_bytes(), payload.as_bytes()).unwrap();
                    expected.push((key.as_bytes().to_vec(), payload.into_bytes()));
                }
                collector.end().unwrap();
            }
            expected.sort();
            let sorted = sorter.sorted(runs).unwrap();
            prop_assert!(sorted.runs.len() <= runs.max(2));
            prop_assert!(most < 1 << 20 || threads > runs.max(2) || scratch.written() == 0);
            let mut found = all(sorted.merge(None, None).unwrap());
            prop_assert!(found.is_sorted_by(|a, b| a.0 <= b.0));
            found.sort();
            prop_assert_eq!(&found, &expected);
            // The same in stretches, be their ends keys or not.
            let mut ends: Vec<Option<Vec<u8>>> = sorted.splitters(stretches).into_iter().map(Some).collect();
            ends.push(None);
            let (mut least, mut pieces) = (None, Vec::new());
            for end in ends {
                pieces.extend(all(sorted.merge(least.as_deref(), end.as_deref()).unwrap()));
                least = end;
            }
            prop_assert!(pieces.is_sorted_by(|a, b| a.0 <= b.0));
            pieces.sort();
            prop_assert_eq!(pieces, expected);
        }
    }
}
