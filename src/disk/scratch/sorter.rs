//! Records brought into the order of their keys, however many there are.
//!
//! Each thread collects records and brings what fits its share of the memory into order: a *run*, which stays in memory if it is the
//! thread's last, and goes to a temporary file otherwise. A [`Merge`] reads all runs at once, in one order; several of them
//! can share the work, each a stretch of the keys. Records of one key come in any order.
//!
//! A record is its key and a payload, both bytes; keys order bytewise, a shorter one before those that begin with it.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::{Extent, Scratch, Spill};
use crate::base::memory;
use crate::error::{Error, Result};
use crate::event::order::{Keyed, prefix, sort_texts};

/// Bytes before a record: the lengths of its key and its payload.
const LENGTHS: usize = 4;

/// Bytes at which a block of a run ends: what is read at a time.
const BLOCK: usize = 64 << 10;

/// Bytes of a key that are kept of each block, to find where a stretch of keys begins.
const FENCE: usize = 32;

/// The most bytes of records that one thread holds, whatever memory there is: their places are numbers of 32 bits.
const MOST: usize = 1 << 30;

/// What records are for, in messages.
const RECORDS: &str = "records to be brought into order";

/// A record at the start of some bytes: its key, its payload and how many bytes it has.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], usize)> {
    let (lengths, rest) = bytes.split_first_chunk::<LENGTHS>()?;
    let [a, b, c, d] = *lengths;
    let (key, payload) = (usize::from(u16::from_le_bytes([a, b])), usize::from(u16::from_le_bytes([c, d])));
    let (key, rest) = rest.split_at_checked(key)?;
    Some((key, rest.get(..payload)?, LENGTHS + key.len() + payload))
}

fn put(out: &mut Vec<u8>, key: &[u8], payload: &[u8]) {
    let [a, b] = (key.len() as u16).to_le_bytes();
    let [c, d] = (payload.len() as u16).to_le_bytes();
    out.extend_from_slice(&[a, b, c, d]);
    out.extend_from_slice(key);
    out.extend_from_slice(payload);
}

/// All threads' runs.
pub struct Sorter {
    spill: Spill,
    runs: Mutex<Vec<Run>>,
    block: usize,
    /// Bytes of runs that may stay in memory.
    held: AtomicUsize,
}

/// Records in order.
enum Run {
    /// The records as they came, and the place of each, in order.
    Held(Vec<u8>, Vec<Keyed>),
    /// In a temporary file, block by block.
    Aside(Vec<Block>),
}

struct Block {
    extent: Extent,
    /// What its first key begins with.
    fence: Box<[u8]>,
}

impl Sorter {
    /// One that has no records yet. A run takes about `block` bytes of memory while it is written or read; of the runs that
    /// collectors end with, `held` bytes stay in memory.
    pub fn new(scratch: &Scratch, block: usize, held: usize) -> Sorter {
        let block = block.clamp(1 << 8, BLOCK);
        Sorter { spill: scratch.file(), runs: Mutex::default(), block, held: AtomicUsize::new(held) }
    }

    /// Somebody who collects records and holds up to `most` bytes of them.
    pub fn collector(&self, most: usize) -> Collector<'_> {
        Collector { sorter: self, bytes: Vec::new(), places: Vec::new(), most: most.min(MOST) }
    }

    /// Takes a run of records that come in order.
    pub fn run(&self) -> Ordered<'_> {
        Ordered { spill: &self.spill, most: self.block, bytes: Vec::new(), fence: Vec::new(), blocks: Vec::new() }
    }

    /// Ends a run.
    pub fn add(&self, run: Ordered<'_>) -> Result<()> {
        let run = run.end()?;
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }

    /// All records, once everybody has ended. More than `most` runs are never read at a time: some are merged before, then.
    pub fn sorted(self, most: usize) -> Result<Sorted> {
        let Sorter { spill, runs, block, .. } = self;
        let runs = runs.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (mut sorted, most) = (Sorted { spill, runs }, most.max(2));
        while sorted.runs.len() > most {
            // The shortest ones, and as few as bring it down to `most`.
            sorted.runs.sort_by_key(|run| std::cmp::Reverse(run.blocks()));
            let some = most.min(sorted.runs.len() - most + 1).max(2);
            let longer = sorted.runs.len() - some;
            let mut run = Ordered { spill: &sorted.spill, most: block, ..Ordered::empty(&sorted.spill) };
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
            Run::Held(..) => 0,
            Run::Aside(blocks) => blocks.len(),
        }
    }
}

/// Collects for one thread.
pub struct Collector<'c> {
    sorter: &'c Sorter,
    bytes: Vec<u8>,
    /// Of each record; the parts of keys once they are in order.
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
        put(&mut self.bytes, key, payload);
        Ok(())
    }

    fn put_aside(&mut self) -> Result<()> {
        sort_texts(&mut self.places, |at| key_at(&self.bytes, at));
        let mut run = self.sorter.run();
        for place in &self.places {
            if let Some((key, payload, _)) = record(&self.bytes[place.number as usize..]) {
                run.put(key, payload)?;
            }
        }
        self.sorter.add(run)?;
        self.bytes.clear();
        self.places.clear();
        Ok(())
    }

    /// Ends: what is held stays in memory, if there is room.
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
        let run = Run::Held(std::mem::take(&mut self.bytes), std::mem::take(&mut self.places));
        self.sorter.runs.lock().unwrap_or_else(PoisonError::into_inner).push(run);
        Ok(())
    }
}

/// The key of the record at a place.
fn key_at(bytes: &[u8], at: u32) -> &[u8] {
    record(bytes.get(at as usize..).unwrap_or_default()).map_or(&[], |(key, ..)| key)
}

/// A run that is written in order.
pub struct Ordered<'c> {
    spill: &'c Spill,
    most: usize,
    bytes: Vec<u8>,
    fence: Vec<u8>,
    blocks: Vec<Block>,
}

impl<'c> Ordered<'c> {
    fn empty(spill: &'c Spill) -> Ordered<'c> {
        Ordered { spill, most: BLOCK, bytes: Vec::new(), fence: Vec::new(), blocks: Vec::new() }
    }

    /// Appends a record whose key is not less than that of the one before.
    pub fn put(&mut self, key: &[u8], payload: &[u8]) -> Result<()> {
        if self.bytes.is_empty() {
            self.fence.extend_from_slice(&key[..key.len().min(FENCE)]);
        }
        put(&mut self.bytes, key, payload);
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

/// Records in order, run by run.
pub struct Sorted {
    spill: Spill,
    runs: Vec<Run>,
}

impl Sorted {
    /// Bytes of all records, and how many runs a merge reads from temporary files.
    pub fn size(&self) -> (u64, usize) {
        let bytes = self.runs.iter().map(|run| match run {
            Run::Held(bytes, _) => bytes.len() as u64,
            Run::Aside(blocks) => blocks.iter().map(|block| block.extent.length()).sum(),
        });
        (bytes.sum(), self.runs.iter().filter(|run| run.blocks() > 0).count())
    }

    /// Up to `count` - 1 keys, ascending, that cut the records into stretches of about one size.
    pub fn splitters(&self, count: usize) -> Vec<Vec<u8>> {
        let mut some: Vec<&[u8]> = Vec::new();
        for run in &self.runs {
            match run {
                Run::Held(bytes, places) => {
                    // About as many bytes as a block has.
                    let step = (places.len() * BLOCK / 4 / bytes.len().max(1)).max(1);
                    some.extend(places.iter().step_by(step).map(|place| key_at(bytes, place.number)));
                }
                Run::Aside(blocks) => some.extend(blocks.iter().map(|block| &*block.fence)),
            }
        }
        some.sort_unstable();
        let mut splitters: Vec<Vec<u8>> =
            (1..count).filter_map(|number| some.get(some.len() * number / count)).map(|key| key.to_vec()).collect();
        splitters.dedup();
        splitters.retain(|key| !key.is_empty());
        splitters
    }

    /// Where they belong.
    pub fn scratch(&self) -> &Scratch {
        self.spill.scratch()
    }

    /// The records with keys from `least` on and before `end`, in order.
    pub fn merge(&self, least: Option<&[u8]>, end: Option<&[u8]>) -> Result<Merge<'_>> {
        self.merge_of(0.., least, end)
    }

    fn merge_of(
        &self,
        runs: std::ops::RangeFrom<usize>,
        least: Option<&[u8]>,
        end: Option<&[u8]>,
    ) -> Result<Merge<'_>> {
        let mut heap = Vec::new();
        for run in self.runs.get(runs).unwrap_or_default() {
            let mut cursor = Cursor::new(&self.spill, run, least.unwrap_or_default());
            let mut is_there = cursor.advance()?;
            while is_there && least.is_some_and(|least| cursor.key() < least) {
                is_there = cursor.advance()?;
            }
            if is_there {
                heap.push(cursor);
            }
        }
        let mut merge = Merge { heap, end: end.map(<[u8]>::to_vec), is_new: true };
        for at in (0..merge.heap.len() / 2).rev() {
            merge.sink(at);
        }
        Ok(merge)
    }
}

/// One place in a run.
struct Cursor<'r> {
    spill: &'r Spill,
    held: Option<(&'r [u8], std::slice::Iter<'r, Keyed>)>,
    blocks: std::slice::Iter<'r, Block>,
    /// The block at hand, and where the next record in it begins.
    buffer: Vec<u8>,
    next: usize,
    /// Where the key of the record at hand is, and its payload.
    key: Range<usize>,
    payload: Range<usize>,
    word: u64,
}

impl<'r> Cursor<'r> {
    /// Before the records of a run; at some place before those from `least` on.
    fn new(spill: &'r Spill, run: &'r Run, least: &[u8]) -> Cursor<'r> {
        let (held, blocks) = match run {
            Run::Held(bytes, places) => {
                let before = places.partition_point(|place| key_at(bytes, place.number) < least);
                (Some((&**bytes, places[before..].iter())), [].iter())
            }
            Run::Aside(blocks) => {
                // The last block of which it is known that it begins before.
                let least = &least[..least.len().min(FENCE)];
                let before = blocks.partition_point(|block| &*block.fence < least);
                (None, blocks[before.saturating_sub(1)..].iter())
            }
        };
        Cursor { spill, held, blocks, buffer: Vec::new(), next: 0, key: 0..0, payload: 0..0, word: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.held.as_ref().map_or(&self.buffer, |(bytes, _)| bytes)
    }

    fn key(&self) -> &[u8] {
        &self.bytes()[self.key.clone()]
    }

    /// Goes on to the next record; says whether there is one.
    fn advance(&mut self) -> Result<bool> {
        let at = match &mut self.held {
            Some((_, places)) => match places.next() {
                Some(place) => place.number as usize,
                None => return Ok(false),
            },
            None => {
                if self.next >= self.buffer.len() {
                    let Some(block) = self.blocks.next() else { return Ok(false) };
                    self.spill.read(&block.extent, &mut self.buffer)?;
                    self.next = 0;
                }
                self.next
            }
        };
        let bytes = self.bytes();
        let changed = || -> Error { self.spill.scratch().changed() };
        let (key, payload, length) = record(bytes.get(at..).unwrap_or_default()).ok_or_else(changed)?;
        let (key, payload, word) = (key.len(), payload.len(), prefix(key));
        self.key = at + LENGTHS..at + LENGTHS + key;
        self.payload = self.key.end..self.key.end + payload;
        (self.next, self.word) = (at + length, word);
        Ok(true)
    }

    fn order(&self, other: &Cursor<'_>) -> Ordering {
        self.word.cmp(&other.word).then_with(|| self.key().cmp(other.key()))
    }
}

/// Records of several runs in one order.
pub struct Merge<'r> {
    /// The cursor with the least key first; of the two behind each, at twice its place and one or two more, none has a lesser.
    heap: Vec<Cursor<'r>>,
    end: Option<Vec<u8>>,
    /// The first record was not given yet.
    is_new: bool,
}

impl Merge<'_> {
    /// The key and the payload of the next record.
    #[allow(clippy::should_implement_trait)] // It lends what it gives, and may fail.
    pub fn next(&mut self) -> Result<Option<(&[u8], &[u8])>> {
        if !std::mem::replace(&mut self.is_new, false)
            && let Some(first) = self.heap.first_mut()
        {
            if !first.advance()? {
                self.heap.swap_remove(0);
            }
            self.sink(0);
        }
        let Some(first) = self.heap.first() else { return Ok(None) };
        let key = first.key();
        match &self.end {
            Some(end) if key >= &**end => Ok(None),
            _ => Ok(Some((key, &first.bytes()[first.payload.clone()]))),
        }
    }

    fn sink(&mut self, mut at: usize) {
        let heap = &mut self.heap;
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            if left >= heap.len() {
                return;
            }
            let least = if right < heap.len() && heap[right].order(&heap[left]).is_lt() { right } else { left };
            if heap[least].order(&heap[at]).is_ge() {
                return;
            }
            heap.swap(at, least);
            at = least;
        }
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
