//! Texts by number: how a table keeps names and ids.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::hash::BuildHasher;

/// Texts one after the other. Equal texts may be in it several times.
#[derive(Default)]
pub(super) struct Heap {
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
    pub(super) hasher: DefaultHashBuilder,
}

impl Heap {
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    pub(super) fn push(&mut self, text: &[u8]) -> u32 {
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        number
    }

    pub(super) fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }
}

/// Texts, each once. The hash has another seed in every process, since whoever writes a message chooses its `from`.
#[derive(Default)]
pub(crate) struct Texts {
    heap: Heap,
    /// Texts of up to fifteen bytes, by their bytes. Nearly all are short, and a lookup needs neither the heap nor a call to compare.
    short: HashTable<(u128, u32)>,
    long: HashTable<u32>,
}

impl Texts {
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.short.clear();
        self.long.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.ends.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.heap.size() + self.short.len() * size_of::<(u128, u32)>() + self.long.len() * size_of::<u32>()
    }

    pub(crate) fn get(&self, number: u32) -> &[u8] {
        self.heap.get(number)
    }

    /// The number of a text. Texts are numbered from 0 in the order of their first mention.
    #[inline]
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        let Some(key) = short(text) else { return self.intern_long(text) };
        let hasher = &self.heap.hasher;
        let hash = hasher.hash_one(key);
        if let Some((_, number)) = self.short.find(hash, |(other, _)| *other == key) {
            return *number;
        }
        let number = self.heap.push(text);
        let hasher = &self.heap.hasher;
        self.short.insert_unique(hash, (key, number), |(key, _)| hasher.hash_one(key));
        number
    }

    /// Appends a text that differs from all before it, and that nobody will look up.
    pub(super) fn push(&mut self, text: &[u8]) -> u32 {
        self.heap.push(text)
    }

    fn intern_long(&mut self, text: &[u8]) -> u32 {
        let hash = self.heap.hasher.hash_one(text);
        if let Some(&number) = self.long.find(hash, |&number| self.heap.get(number) == text) {
            return number;
        }
        let number = self.heap.push(text);
        let heap = &self.heap;
        self.long.insert_unique(hash, number, |&number| heap.hasher.hash_one(heap.get(number)));
        number
    }
}

/// A text of up to fifteen bytes as one number: its bytes, zeros, and its length on top. Different texts have different numbers.
/// It makes two loads that may overlap, since a copy of a few bytes would cost a call.
#[inline]
fn short(text: &[u8]) -> Option<u128> {
    let length = text.len();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let (low, high) = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) if length < 16 => (word(first), word(last).unbounded_shr(8 * (16 - length) as u32)),
        (Some(_), _) => return None,
        _ => match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (half(first) | half(last) >> (8 * (8 - length)) << 32, 0),
            _ => (text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    };
    Some(u128::from(low) | u128::from(high) << 64 | (length as u128) << 120)
}
