//! Events that are put aside site by site, so that a site is folded again without a search for its events.
//!
//! A shard is kept once a site of it is folded: then all events that the tail has of it are put aside. From then on, whatever comes in is
//! put behind. What snapshots have of a site is added when it is folded first. Copies may be among the pieces; the merge drops them.

use crate::disk::scratch::{Extent, Scratch, Spill};
use crate::error::Result;
use crate::event::table::{Row, Table};
use crate::format::SHARDS;
use crate::format::events::{EventsEncoder, PackedEvents};
use crate::query::gather::Gather;

/// With so many pieces, the events of a site are put aside anew in one.
const MOST_PIECES: usize = 8;

/// Bytes that may be put aside in any case.
const LEAST: u64 = 256 << 20;

/// Where the events of a site are.
#[derive(Clone, Debug, Default)]
pub(super) struct Pieces {
    list: Vec<Extent>,
    /// Those of the snapshots are among them.
    pub(super) with_snapshots: bool,
}

impl Pieces {
    /// Adds a piece.
    pub(super) fn push(&mut self, piece: Extent) {
        self.list.push(piece);
    }

    /// One piece in the place of all; nothing else is known of the site.
    pub(super) fn only(piece: Extent) -> Pieces {
        Pieces { list: vec![piece], with_snapshots: true }
    }

    /// Whether they are to be put aside anew.
    pub(super) fn are_many(&self) -> bool {
        self.list.len() >= MOST_PIECES
    }
}

/// What becomes of a shard.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing of it is kept.
    #[default]
    Not,
    /// What the tail has of it is.
    Kept,
    /// It does not fit the memory.
    Large,
}

/// What is kept.
pub(super) struct Kept {
    pub(super) states: [State; SHARDS],
    pub(super) spill: Spill,
}

impl Kept {
    pub(super) fn new(scratch: &Scratch) -> Kept {
        Kept { states: [State::Not; SHARDS], spill: scratch.file() }
    }

    /// Whether most of what was put aside is out of use; `bytes` are those of the store.
    pub(super) fn is_worn(&self, bytes: u64) -> bool {
        self.spill.length() > bytes.saturating_mul(2).saturating_add(LEAST)
    }
}

/// Puts events aside and reads them back, for one thread.
#[derive(Default)]
pub(super) struct Packer {
    one: Table,
    encoder: EventsEncoder,
    buffer: Vec<u8>,
}

impl Packer {
    /// Puts the rows of one site aside.
    pub(super) fn put(&mut self, spill: &Spill, table: &Table, rows: &[Row]) -> Result<Extent> {
        let Packer { one, encoder, buffer } = self;
        one.clear();
        rows.iter().for_each(|row| one.push_copy(table, row));
        buffer.clear();
        buffer.extend_from_slice(&(rows.len() as u32).to_le_bytes());
        encoder.encode(one, &mut Vec::new(), buffer);
        spill.append(buffer)
    }

    /// Gathers what was put aside of a site of this shard, until that is too much.
    pub(super) fn get(&mut self, spill: &Spill, pieces: &Pieces, shard: u8, gather: &mut Gather) -> Result<()> {
        for piece in &pieces.list {
            if gather.is_full() {
                break;
            }
            spill.read(piece, &mut self.buffer)?;
            let changed = || spill.scratch().changed();
            let (count, bytes) = self.buffer.split_first_chunk().ok_or_else(changed)?;
            let packed = PackedEvents { bytes, count: u32::from_le_bytes(*count), shard };
            gather.packed(packed)?.map_err(|_| changed())?;
        }
        Ok(())
    }
}
