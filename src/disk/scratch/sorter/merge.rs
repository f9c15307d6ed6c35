//! Reads all runs at once, in one order.

use std::cmp::Ordering;
use std::ops::{Range, RangeFrom};

use super::record::{LENGTHS, Record, key_at};
use super::{BLOCK, Block, FENCE, Run};
use crate::disk::scratch::{Scratch, Spill};
use crate::error::{Error, Result};
use crate::event::order::{Keyed, prefix};

/// Records in order, run by run.
pub struct Sorted {
    pub(super) spill: Spill,
    pub(super) runs: Vec<Run>,
}

impl Sorted {
    /// Bytes of all records, and how many runs a merge reads from temporary files.
    pub fn size(&self) -> (u64, usize) {
        let bytes = self.runs.iter().map(|run| match run {
            Run::Held { bytes, .. } => bytes.len() as u64,
            Run::Aside(blocks) => blocks.iter().map(|block| block.extent.length()).sum(),
        });
        (bytes.sum(), self.runs.iter().filter(|run| run.blocks() > 0).count())
    }

    /// Up to `count` - 1 keys, ascending, that cut the records into stretches of about one size.
    pub fn splitters(&self, count: usize) -> Vec<Vec<u8>> {
        let mut some: Vec<&[u8]> = Vec::new();
        for run in &self.runs {
            match run {
                Run::Held { bytes, places } => {
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

    /// The temporary files that they are in.
    pub fn scratch(&self) -> &Scratch {
        self.spill.scratch()
    }

    /// The records with keys from `least` on and before `end`, in order.
    pub fn merge(&self, least: Option<&[u8]>, end: Option<&[u8]>) -> Result<Merge<'_>> {
        self.merge_of(0.., least, end)
    }

    /// The same of some of the runs.
    pub(super) fn merge_of(
        &self,
        runs: RangeFrom<usize>,
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

/// The records of a run that is in memory, from some place on.
struct Held<'r> {
    bytes: &'r [u8],
    places: std::slice::Iter<'r, Keyed>,
}

/// One place in a run.
struct Cursor<'r> {
    spill: &'r Spill,
    held: Option<Held<'r>>,
    /// The blocks to come, of a run that is in a temporary file.
    blocks: std::slice::Iter<'r, Block>,
    /// The block at hand, and where the next record in it begins.
    buffer: Vec<u8>,
    next: usize,
    /// Where the key of the record at hand is, and its payload.
    key: Range<usize>,
    payload: Range<usize>,
    /// The first bytes of the key, which decide most comparisons.
    word: u64,
}

impl<'r> Cursor<'r> {
    /// Before the records of a run; at some place before those from `least` on.
    fn new(spill: &'r Spill, run: &'r Run, least: &[u8]) -> Cursor<'r> {
        let (held, blocks) = match run {
            Run::Held { bytes, places } => {
                let before = places.partition_point(|place| key_at(bytes, place.number) < least);
                (Some(Held { bytes, places: places[before..].iter() }), [].iter())
            }
            Run::Aside(blocks) => {
                // The last block that is known to begin before.
                let least = &least[..least.len().min(FENCE)];
                let before = blocks.partition_point(|block| &*block.fence < least);
                (None, blocks[before.saturating_sub(1)..].iter())
            }
        };
        Cursor { spill, held, blocks, buffer: Vec::new(), next: 0, key: 0..0, payload: 0..0, word: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.held.as_ref().map_or(&self.buffer, |held| held.bytes)
    }

    fn key(&self) -> &[u8] {
        &self.bytes()[self.key.clone()]
    }

    /// Goes on to the next record; says whether there is one.
    fn advance(&mut self) -> Result<bool> {
        let at = match &mut self.held {
            Some(held) => match held.places.next() {
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
        let record = Record::first(bytes.get(at..).unwrap_or_default()).ok_or_else(changed)?;
        let (key, length, word) = (record.key.len(), record.length(), prefix(record.key));
        self.key = at + LENGTHS..at + LENGTHS + key;
        self.payload = self.key.end..at + length;
        (self.next, self.word) = (at + length, word);
        Ok(true)
    }

    fn order(&self, other: &Cursor<'_>) -> Ordering {
        self.word.cmp(&other.word).then_with(|| self.key().cmp(other.key()))
    }
}

/// Records of several runs in one order.
pub struct Merge<'r> {
    /// A heap: the cursor with the least key is the first. The two below a place stand at twice the place and one or two more, and have
    /// no lesser key.
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

    /// Moves the cursor at a place down to where it belongs.
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
