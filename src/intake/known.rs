//! The inputs that a store knows, to be found again by what they look like.
//!
//! Of all checkpoints that an input matches, the one with the largest end is wanted. There may be thousands of them, and as many
//! inputs to look up, so they are not tried one by one. They are found by the digest of their head, and by their end and the
//! digest of what lies before it.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashMap;

use crate::base::secret;
use crate::format::checkpoint::{Checkpoint, Mark};
use crate::format::{Digest, Digester, Uid, WINDOW, digest};
use crate::store::{Input, add_input};

/// Checkpoints that have a head in common: by their end, and the digest of the bytes before it.
type Ends = BTreeMap<(u64, Digest), BTreeSet<Uid>>;

/// With how many inputs of the same head one is compared that may be the beginning of one of them.
const MOST_COMPARED: usize = 256;

/// The inputs, and where to find them.
#[derive(Default)]
pub struct Known {
    inputs: BTreeMap<Uid, Input>,
    heads: HashMap<(u16, Digest), Ends>,
    /// How many inputs have a head of this length.
    lengths: BTreeMap<u16, usize>,
    /// By a hash of the name: the ends.
    names: HashMap<u64, BTreeSet<(u64, Uid)>>,
}

impl Known {
    /// These.
    pub fn new(inputs: BTreeMap<Uid, Input>) -> Known {
        let mut known = Known { inputs, ..Known::default() };
        let inputs = std::mem::take(&mut known.inputs);
        inputs.values().for_each(|input| known.index(&input.checkpoint));
        known.inputs = inputs;
        known
    }

    /// The inputs.
    pub fn into_inputs(self) -> BTreeMap<Uid, Input> {
        self.inputs
    }

    /// One of them.
    pub fn get(&self, instance: &Uid) -> Option<&Input> {
        self.inputs.get(instance)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.inputs.is_empty()
    }

    /// Takes note of what was read on of an input, or of a new one.
    pub fn advance(&mut self, checkpoint: Checkpoint, events: u64, rejects: u64) {
        if let Some(before) = self.inputs.get(&checkpoint.instance).map(|input| input.checkpoint.clone()) {
            self.unindex(&before);
        }
        self.index(&checkpoint);
        add_input(&mut self.inputs, Input { checkpoint, events, rejects });
    }

    /// Forgets an input.
    pub fn remove(&mut self, instance: &Uid) {
        if let Some(input) = self.inputs.remove(instance) {
            self.unindex(&input.checkpoint);
        }
    }

    fn index(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { instance, end, windows, name, .. } = checkpoint;
        let ends = self.heads.entry((windows.head_length, windows.head)).or_default();
        ends.entry((*end, windows.tail)).or_default().insert(*instance);
        *self.lengths.entry(windows.head_length).or_default() += 1;
        self.names.entry(secret::hash(name)).or_default().insert((*end, *instance));
    }

    fn unindex(&mut self, checkpoint: &Checkpoint) {
        let Checkpoint { instance, end, windows, name, .. } = checkpoint;
        let head = (windows.head_length, windows.head);
        if let Some(ends) = self.heads.get_mut(&head) {
            let place = (*end, windows.tail);
            if let Some(instances) = ends.get_mut(&place) {
                instances.remove(instance);
                if instances.is_empty() {
                    ends.remove(&place);
                }
            }
            if ends.is_empty() {
                self.heads.remove(&head);
            }
        }
        if let Some(count) = self.lengths.get_mut(&windows.head_length) {
            *count -= 1;
            if *count == 0 {
                self.lengths.remove(&windows.head_length);
            }
        }
        let name = secret::hash(name);
        if let Some(ends) = self.names.get_mut(&name) {
            ends.remove(&(*end, *instance));
            if ends.is_empty() {
                self.names.remove(&name);
            }
        }
    }

    /// The furthest checkpoint whose head is shorter than a window: such a head is all that was read then, and so is its tail.
    pub(super) fn short(&self, head: &[u8]) -> Option<&Checkpoint> {
        // Nothing is further than all of it, and nearly always nothing was added.
        let mut found = match u16::try_from(head.len()) {
            Ok(all) if self.lengths.contains_key(&all) => self.short_at(all, digest(head)),
            _ => None,
        };
        if found.is_none() {
            let (mut digester, mut passed) = (Digester::default(), 0);
            for &length in self.lengths.keys().take_while(|length| usize::from(**length) < WINDOW) {
                let Some(piece) = head.get(passed..usize::from(length)) else { break };
                digester.update(piece);
                passed += piece.len();
                found = self.short_at(length, digester.digest()).or(found);
            }
        }
        found
    }

    fn short_at(&self, length: u16, digest: Digest) -> Option<&Checkpoint> {
        let candidates = Candidates { known: self, ends: self.heads.get(&(length, digest)) };
        candidates.at(u64::from(length), digest)
    }

    /// Those whose head is this window.
    pub(super) fn long(&self, head: &[u8]) -> Candidates<'_> {
        Candidates { known: self, ends: self.heads.get(&(WINDOW as u16, digest(head))) }
    }

    /// Whether an input of this length, with this head, is the beginning of one that was read beyond that: as far as its head tells,
    /// and the marks that `fits` is asked for. What is shorter than a window has too little to tell by.
    pub(super) fn is_part(&self, head: &[u8], length: u64, fits: &mut dyn FnMut(&Mark) -> bool) -> bool {
        let candidates = self.long(head);
        let Some(ends) = candidates.ends.filter(|_| head.len() == WINDOW) else { return false };
        let beyond = ends.range((length.saturating_add(1), [0; 16])..).flat_map(|(_, instances)| instances);
        let mut inputs = beyond.filter_map(|instance| self.inputs.get(instance)).take(MOST_COMPARED);
        inputs.any(|input| input.checkpoint.marks.iter().take_while(|mark| mark.end <= length).all(&mut *fits))
    }

    /// Whether an input of this name was read.
    pub fn has_name(&self, name: &[u8]) -> bool {
        self.ends_of(name).next().is_some()
    }

    /// The ends of those of this name, and maybe of some others.
    pub(super) fn ends_of(&self, name: &[u8]) -> impl DoubleEndedIterator<Item = u64> {
        self.names.get(&secret::hash(name)).into_iter().flat_map(|ends| ends.iter().map(|(end, _)| *end))
    }
}

/// Checkpoints with one head of a whole window.
pub(super) struct Candidates<'k> {
    known: &'k Known,
    ends: Option<&'k Ends>,
}

impl<'k> Candidates<'k> {
    /// The greatest end up to `most`.
    pub(super) fn end_up_to(&self, most: u64) -> Option<u64> {
        let ((end, _), _) = self.ends?.range(..=(most, [u8::MAX; 16])).next_back()?;
        Some(*end)
    }

    /// The least end from `least` on.
    pub(super) fn end_from(&self, least: u64) -> Option<u64> {
        let ((end, _), _) = self.ends?.range((least, [0; 16])..).next()?;
        Some(*end)
    }

    /// The marks of the first `most` of them.
    pub(super) fn marks(&self, most: usize) -> BTreeSet<u64> {
        let instances = self.ends.into_iter().flat_map(|ends| ends.values().flatten()).take(most);
        let inputs = instances.filter_map(|instance| self.known.inputs.get(instance));
        inputs.flat_map(|input| input.checkpoint.marks.iter().map(|mark| mark.end)).collect()
    }

    /// The one that ends there, with these bytes before its end.
    pub(super) fn at(&self, end: u64, tail: Digest) -> Option<&'k Checkpoint> {
        let instance = self.ends?.get(&(end, tail))?.first()?;
        self.known.inputs.get(instance).map(|input| &input.checkpoint)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::checkpoint::Windows;

    /// The checkpoint of an input of which so many bytes were read.
    pub(in crate::intake) fn checkpoint(instance: Uid, bytes: &[u8], end: usize) -> Checkpoint {
        let window = end.min(WINDOW);
        let windows = Windows {
            head_length: window as u16,
            head: digest(&bytes[..window]),
            tail_length: window as u16,
            tail: digest(&bytes[end - window..end]),
        };
        let (end, name) = (end as u64, instance.to_vec());
        Checkpoint { instance, start: 0, end, start_line: 0, end_line: 0, windows, name, left: 0, marks: Vec::new() }
    }

    #[test]
    fn what_moved_or_was_forgotten_is_found_no_longer() {
        let bytes: Vec<u8> = (0..20_000u32).map(|number| (number * 7 % 251) as u8).collect();
        let mut known = Known::default();
        for end in [10, 1000, 4096, 9000, 20_000] {
            known.advance(checkpoint([1; 16], &bytes, end), 5, 1);
            known.advance(checkpoint([2; 16], &bytes, end), 1, 0);
            let long = known.long(&bytes[..WINDOW]);
            let (short, at) =
                (known.short(&bytes[..100]), long.at(end as u64, digest(&bytes[end - end.min(WINDOW)..end])));
            assert_eq!((short.is_some(), at.is_some()), (end == 10, end >= WINDOW), "{end}");
            assert_eq!(long.end_up_to(u64::MAX), Some(end as u64).filter(|end| *end >= WINDOW as u64));
            assert_eq!(known.ends_of(&[1; 16]).collect::<Vec<_>>(), [end as u64]);
        }
        let (first, second) = (known.get(&[1; 16]).unwrap().clone(), known.get(&[2; 16]).unwrap().clone());
        assert_eq!((first.events, first.rejects, second.events), (25, 5, 5));
        known.remove(&[1; 16]);
        let long = known.long(&bytes[..WINDOW]);
        assert_eq!(long.at(20_000, second.checkpoint.windows.tail).unwrap().instance, [2; 16], "the other one");
        known.remove(&[2; 16]);
        assert!(known.is_empty() && known.heads.is_empty() && known.lengths.is_empty() && known.names.is_empty());
    }
}
