//! What is saved of a damaged snapshot: its intact blocks, wherever they stand, and what they tell of its inputs.

use std::collections::{BTreeMap, BTreeSet};

use super::events::SavedFile;
use super::inputs::KeptRejects;
use super::salvage::Salvage;
use crate::error::Result;
use crate::event::table::Table;
use crate::format::Uid;
use crate::format::block::{BLOCK_HEADER, BlockHeader, BlockKind, REGIONS};
use crate::format::directory::{Entry, SectionKind};
use crate::format::events::EventsDecoder;
use crate::format::rejects::decode_rejects;
use crate::format::snapshot_header::SNAPSHOT_HEADER;
use crate::format::tables::{decode_inputs, decode_shards, split_rejects};
use crate::segment::Section;
use crate::segment::content::decode_events;
use crate::snapshot::{Snapshot, Stretch};
use crate::store::Input;

/// What the intact blocks of a snapshot hold.
#[derive(Default)]
struct IntactBlocks {
    /// Nothing but blocks was found.
    whole: bool,
    /// Bytes of the intact blocks, by kind.
    bytes: [u64; REGIONS],
    events: Vec<Section>,
    /// Events that there should be, as the table of shards says.
    expected: Option<u64>,
    /// Where the events end.
    events_end: Option<u64>,
    inputs: Vec<Input>,
    forgotten: Vec<Uid>,
    rejects: Vec<RejectsBlock>,
    /// How many rejects there are of each input.
    rejected: BTreeMap<Uid, u64>,
}

/// A block of rejects.
struct RejectsBlock {
    instance: Uid,
    section: Section,
}

/// What is known of a snapshot as a whole.
struct Completeness {
    /// All events are there.
    has_all_events: bool,
    /// So is all that it says of inputs.
    has_all_inputs: bool,
    /// Before it something is lost, and nobody knows what it held.
    lost_before: bool,
}

impl Salvage {
    /// Takes what is intact of a snapshot whose header is sound.
    pub(super) fn snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        let header = snapshot.header;
        if self.chain.due.is_some_and(|due| header.first_sequence < due) {
            // It covers frames that were there before, under another name: to count their inputs again would be wrong. It may have
            // others, and nobody knows whose they are.
            self.chain.loss |= self.chain.due.is_some_and(|due| header.next_sequence > due);
            return self.events_of_blocks(snapshot);
        }
        let found = IntactBlocks::of(&snapshot)?;
        let complete = |kind: BlockKind| {
            let region = header.region(kind);
            found.bytes.get(kind.place()) == Some(&(region.end - region.start))
        };
        let has_all_inputs = [BlockKind::Inputs, BlockKind::Forgotten, BlockKind::Rejects].into_iter().all(complete);
        let has_all_events = header.events == found.counted();
        self.events.copies += header.copies;
        self.chain.reach(header.first_sequence);
        let lost_before = self.chain.loss;
        if !has_all_events {
            self.chain.loss = true;
            self.chain.lose(header.first_sequence, header.next_sequence.saturating_sub(1).max(header.first_sequence));
        }
        // A sound header says where the chain goes on; the files behind show whether it does.
        self.chain.due = Some(header.next_sequence);
        self.keep_blocks(snapshot, found, &Completeness { has_all_events, has_all_inputs, lost_before });
        Ok(())
    }

    /// Takes what is intact of a snapshot whose header is bad.
    pub(super) fn headless_snapshot(&mut self, snapshot: Snapshot) -> Result<()> {
        let found = IntactBlocks::of(&snapshot)?;
        let (has_all_events, has_all_inputs) = (found.expected == Some(found.counted()), found.whole);
        let lost_before = self.chain.loss;
        match has_all_events {
            true => self.chain.due = None,
            false => self.chain.loss = true,
        }
        self.keep_blocks(snapshot, found, &Completeness { has_all_events, has_all_inputs, lost_before });
        Ok(())
    }

    fn keep_blocks(&mut self, snapshot: Snapshot, found: IntactBlocks, of: &Completeness) {
        found.forgotten.iter().for_each(|instance| self.inputs.forget(*instance));
        let mut kept = BTreeSet::new();
        for input in found.inputs {
            let instance = input.checkpoint.instance;
            let has_rejects = found.rejected.get(&instance).copied().unwrap_or(0) == input.rejects;
            // Where frames are lost before this snapshot, nobody knows whether the input goes on without a gap.
            if of.has_all_events && !of.lost_before && has_rejects && !self.inputs.is_touched(&instance) {
                kept.insert(instance);
                self.inputs.add(input);
            } else {
                self.inputs.touch(&input.checkpoint, input.checkpoint.end);
            }
        }
        self.chain.loss |= !of.has_all_inputs;
        let file = self.events.file_at_hand();
        for RejectsBlock { instance, section } in found.rejects {
            match kept.contains(&instance) {
                true => self.inputs.keep_rejects(KeptRejects { instance, file, section, checkpoint: None }),
                false => self.inputs.rejects_dropped += u64::from(section.entry.count),
            }
        }
        self.keep_events_of_blocks(snapshot, found.events);
    }

    /// Takes the events of whatever blocks are intact, and nothing else.
    pub(super) fn events_of_blocks(&mut self, snapshot: Snapshot) -> Result<()> {
        let found = IntactBlocks::of(&snapshot)?;
        self.keep_events_of_blocks(snapshot, found.events);
        Ok(())
    }

    fn keep_events_of_blocks(&mut self, snapshot: Snapshot, events: Vec<Section>) {
        events.into_iter().for_each(|section| self.events.keep(vec![section]));
        self.events.take(SavedFile::Snapshot(Box::new(snapshot)));
    }
}

impl IntactBlocks {
    /// What is intact, wherever it stands.
    fn of(snapshot: &Snapshot) -> Result<IntactBlocks> {
        let mut found = IntactBlocks { whole: true, ..IntactBlocks::default() };
        let mut decoding = Decoding::default();
        snapshot.scan(|stretch| {
            match stretch {
                Stretch::Block(header, bytes, Ok(())) => found.take(header.offset, header, bytes, &mut decoding),
                Stretch::Stray(at, header, bytes) => found.take(at, header, bytes, &mut decoding),
                Stretch::Block(_, _, Err(_)) | Stretch::Gap(..) => found.whole = false,
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Events in the intact blocks.
    fn counted(&self) -> u64 {
        self.events.iter().map(|section| u64::from(section.entry.count)).sum()
    }

    /// Takes a block that stands at `at` and whose CRCs are right. If something else is wrong with it, it is lost.
    fn take(&mut self, at: u64, header: &BlockHeader, bytes: &[u8], decoding: &mut Decoding) {
        let entry = Entry {
            kind: SectionKind::Events,
            shard: header.shard,
            count: header.count,
            length: header.length,
            crc: header.payload_crc,
        };
        let section = Section { entry, at: at + BLOCK_HEADER as u64 };
        if header.kind != BlockKind::Events {
            self.events_end = self.events_end.or(Some(header.offset));
        }
        let Decoding { decoder, table } = decoding;
        let decoded = match header.kind {
            BlockKind::Events => {
                decode_events(decoder, header.packed_events(bytes), table).map(|()| self.events.push(section))
            }
            // Made anew from the events.
            BlockKind::Index | BlockKind::Fences => Ok(()),
            BlockKind::Shards => {
                let region = SNAPSHOT_HEADER as u64..self.events_end.unwrap_or(SNAPSHOT_HEADER as u64);
                // Where events are missing it does not fit, and then they are known to be missing.
                let shards = decode_shards(bytes, header.count, &region).ok();
                self.expected = shards.map(|shards| shards.iter().map(|shard| shard.events).sum());
                Ok(())
            }
            BlockKind::Inputs => decode_inputs(bytes, header.count).map(|inputs| self.inputs.extend(inputs)),
            BlockKind::Forgotten => {
                self.forgotten.extend_from_slice(bytes.as_chunks::<16>().0);
                Ok(())
            }
            BlockKind::Rejects => split_rejects(bytes).and_then(|(checkpoint, rest)| {
                decode_rejects(rest, header.count, &checkpoint)?;
                *self.rejected.entry(checkpoint.instance).or_default() += u64::from(header.count);
                self.rejects.push(RejectsBlock { instance: checkpoint.instance, section });
                Ok(())
            }),
        };
        match (decoded, self.bytes.get_mut(header.kind.place())) {
            (Ok(()), Some(sum)) => *sum += header.whole(),
            _ => self.whole = false,
        }
    }
}

/// What events are decoded with, to see that they can be.
#[derive(Default)]
struct Decoding {
    decoder: EventsDecoder,
    table: Table,
}
