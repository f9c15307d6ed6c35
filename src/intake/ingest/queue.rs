//! Whose turn it is: parsed batches wait here until all before them in the input are in the log.

use std::collections::BTreeMap;

use super::chunk_parser::Parsed;
use super::permits::Permit;

/// The place of a batch among the others of its input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slot {
    /// The number of its chunk.
    pub(super) chunk: u64,
    /// The number of the batch among those of its chunk: 0, unless there is more in the chunk than memory allows.
    pub(super) part: u32,
}

/// The place of a batch, and when its chunk was taken.
#[derive(Clone, Copy)]
pub(super) struct Ticket {
    pub(super) slot: Slot,
    /// How often ranges had been given back by then.
    pub(super) epoch: usize,
}

/// A batch that a worker has parsed. The last one of a chunk holds the chunk's permit.
pub(super) struct Arrived<'a> {
    pub(super) parsed: Parsed,
    pub(super) permit: Option<Permit<'a>>,
}

/// That ranges were given back.
struct Reset {
    /// The epoch that began then.
    epoch: usize,
    /// The first chunk that was taken anew.
    first: u64,
}

/// The batches that have arrived before their turn.
#[derive(Default)]
pub(super) struct Queue<'a> {
    early: BTreeMap<Slot, Arrived<'a>>,
    /// Whose turn it is.
    next: Slot,
    resets: Vec<Reset>,
    /// How many are about to give a range back.
    pub(super) giving_back: usize,
}

impl<'a> Queue<'a> {
    /// Whose turn it is.
    pub(super) fn next_slot(&self) -> Slot {
        self.next
    }

    /// Whether a chunk was taken before a range at its place, or before it, was given back.
    pub(super) fn is_stale(&self, ticket: Ticket) -> bool {
        self.resets.iter().any(|reset| reset.epoch > ticket.epoch && reset.first <= ticket.slot.chunk)
    }

    /// Adds a batch.
    pub(super) fn add(&mut self, slot: Slot, arrived: Arrived<'a>) {
        self.early.insert(slot, arrived);
    }

    /// The batch whose turn it is, if it is there.
    pub(super) fn pop(&mut self) -> Option<Arrived<'a>> {
        let arrived = self.early.remove(&self.next)?;
        let Slot { chunk, part } = self.next;
        self.next =
            if arrived.parsed.is_last { Slot { chunk: chunk + 1, part: 0 } } else { Slot { chunk, part: part + 1 } };
        Some(arrived)
    }

    /// Begins an epoch in which chunks are taken anew from `first` on; gives what has arrived of those.
    pub(super) fn reset(&mut self, epoch: usize, first: u64) -> impl Iterator<Item = Arrived<'a>> + use<'a> {
        self.resets.push(Reset { epoch, first });
        self.early.split_off(&Slot { chunk: first, part: 0 }).into_values()
    }
}
