//! Writing a snapshot, from front to back.

use std::path::PathBuf;

use crate::disk::{Publication, Storage, path_of};
use crate::error::{Error, Result};
use crate::format::block::{BLOCK_HEADER, BlockHeader, BlockKind};
use crate::format::coding::crc;
use crate::format::index::{Fence, encode_fences, put_site};
use crate::format::snapshot_header::{SNAPSHOT_HEADER, SnapshotHeader};
use crate::format::tables::{InputEntry, ShardEntry, encode_shards, put_input};
use crate::format::{MAX_COUNT, SHARDS, Uid};
use crate::snapshot::lines::SortedLines;

/// Bytes at which a block of the index ends. So much is read and decoded to find one site.
const INDEX_BLOCK: usize = 8 << 10;

/// The least number of sites in a block of the index, unless their names are very long. The first of each is written once more, as
/// a fence.
const INDEX_SITES: u32 = 64;

/// Bytes at which a block of inputs or fences ends.
const TABLE_BLOCK: usize = 1 << 20;

/// A block whose place is not known yet.
pub struct PendingBlock {
    /// What it holds.
    pub kind: BlockKind,
    /// The shard of its events.
    pub shard: u8,
    /// How many things it holds.
    pub count: u32,
    /// Bytes of its payload.
    pub length: u32,
    /// CRC of its payload.
    pub crc: u32,
}

impl PendingBlock {
    /// The block of this payload.
    pub fn new(kind: BlockKind, shard: u8, count: u32, payload: &[u8]) -> PendingBlock {
        PendingBlock { kind, shard, count, length: payload.len() as u32, crc: crc(payload) }
    }
}

/// Blocks that are written together, since a call for each would cost more than the blocks.
#[derive(Default)]
struct Waiting {
    blocks: Vec<PendingBlock>,
    /// Room for the header of each, and its payload behind it.
    bytes: Vec<u8>,
}

impl Waiting {
    /// Takes a block, and leaves its payload empty.
    fn push(&mut self, kind: BlockKind, count: u32, payload: &mut Vec<u8>) {
        self.blocks.push(PendingBlock::new(kind, 0, count, payload));
        self.bytes.resize(self.bytes.len() + BLOCK_HEADER, 0);
        self.bytes.append(payload);
    }

    fn clear(&mut self) {
        self.blocks.clear();
        self.bytes.clear();
    }
}

/// Writes a snapshot from front to back; nobody sees it before [`SnapshotWriter::publish`].
pub struct SnapshotWriter<'a> {
    publication: Publication<'a>,
    header: SnapshotHeader,
    end: u64,
    shards: [ShardEntry; SHARDS],
}

impl<'a> SnapshotWriter<'a> {
    /// Begins a snapshot. `header` says what it covers; the rest of the header is filled in at the end.
    pub fn create(storage: &'a dyn Storage, name: &str, mut header: SnapshotHeader) -> Result<SnapshotWriter<'a>> {
        let random = storage.random().map_err(Error::io("get random bytes for", path_of(storage, name)))?;
        header.salt = (u128::from_le_bytes(random) >> 64) as u64;
        let publication = Publication::begin(storage, name)?;
        Ok(SnapshotWriter { publication, header, end: SNAPSHOT_HEADER as u64, shards: [ShardEntry::default(); SHARDS] })
    }

    /// Where its temporary files are, unless somebody names another place.
    pub fn scratch(&self) -> PathBuf {
        self.publication.scratch()
    }

    /// Where the next block will be.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends blocks. `bytes` holds, for each, room for its header and its payload behind it.
    pub fn append(&mut self, blocks: &[PendingBlock], bytes: &mut [u8]) -> Result<()> {
        let mut rest = &mut *bytes;
        let mut offset = self.end;
        for block in blocks {
            let header = BlockHeader {
                kind: block.kind,
                shard: block.shard,
                count: block.count,
                length: block.length,
                offset,
                salt: self.header.salt,
                payload_crc: block.crc,
            };
            if let Some((room, behind)) = std::mem::take(&mut rest).split_at_mut_checked(BLOCK_HEADER) {
                room.copy_from_slice(&header.encode());
                rest = behind.split_at_mut_checked(block.length as usize).map(|(_, rest)| rest).unwrap_or_default();
            }
            if let (BlockKind::Events, Some(shard)) = (block.kind, self.shards.get_mut(usize::from(block.shard))) {
                shard.length += header.whole();
                shard.events += u64::from(block.count);
            }
            offset += header.whole();
        }
        self.publication.write_at(bytes, self.end)?;
        self.end = offset;
        Ok(())
    }

    /// Appends one block that is not of events.
    fn block(&mut self, kind: BlockKind, count: u32, payload: &[u8]) -> Result<()> {
        let block = PendingBlock::new(kind, 0, count, payload);
        let mut bytes = vec![0; BLOCK_HEADER];
        bytes.extend_from_slice(payload);
        self.append(&[block], &mut bytes)
    }

    /// The blocks of a kind end here.
    fn end_region(&mut self, kind: BlockKind) {
        if let Some(end) = self.header.ends.get_mut(kind.place()) {
            *end = self.end;
        }
    }

    /// Writes the index behind the events. Gives the number of sites and of their events.
    pub fn index(&mut self, lines: &SortedLines) -> Result<(u64, u64)> {
        self.end_region(BlockKind::Events);
        (self.header.earliest, self.header.latest) = (i64::MAX, i64::MIN);
        let mut fences: Vec<Fence> = Vec::new();
        let mut waiting = Waiting::default();
        let (mut payload, mut before, mut count) = (Vec::new(), Vec::new(), 0u32);
        let mut lines = lines.stretch(None, None)?;
        while let Some((name, line)) = lines.next()? {
            let (header, entry) = (&mut self.header, line.entry);
            header.sites += 1;
            header.events += entry.events;
            header.disputed += entry.disputed;
            header.earliest = header.earliest.min(entry.earliest);
            header.latest = header.latest.max(entry.latest);
            if payload.len() >= INDEX_BLOCK && (count >= INDEX_SITES || payload.len() >= 8 * INDEX_BLOCK) {
                waiting.push(BlockKind::Index, count, &mut payload);
                (count, before) = (0, Vec::new());
                if waiting.bytes.len() >= TABLE_BLOCK {
                    self.append(&waiting.blocks, &mut waiting.bytes)?;
                    waiting.clear();
                }
            }
            if count == 0 {
                fences.push(Fence { site: name.into(), at: self.end + waiting.bytes.len() as u64 });
            }
            put_site(&mut payload, &before, name, &entry);
            before.clear();
            before.extend_from_slice(name);
            count += 1;
        }
        if count > 0 {
            waiting.push(BlockKind::Index, count, &mut payload);
        }
        self.append(&waiting.blocks, &mut waiting.bytes)?;
        self.end_region(BlockKind::Index);
        // A block a few thousand fences: their names are short, but may not be.
        for some in fences.chunks(1 << 12) {
            self.block(BlockKind::Fences, some.len() as u32, &encode_fences(some))?;
        }
        self.end_region(BlockKind::Fences);
        let (shards, count) = encode_shards(&self.shards);
        self.block(BlockKind::Shards, count, &shards)?;
        self.end_region(BlockKind::Shards);
        Ok((self.header.sites, self.header.events))
    }

    /// Writes the inputs, and those that no longer count, behind the index.
    pub fn inputs<'i>(&mut self, inputs: impl Iterator<Item = &'i InputEntry>, forgotten: &[Uid]) -> Result<()> {
        let (mut payload, mut count) = (Vec::new(), 0);
        for input in inputs {
            put_input(&mut payload, input);
            count += 1;
            if payload.len() >= TABLE_BLOCK {
                self.block(BlockKind::Inputs, count, &payload)?;
                payload.clear();
                count = 0;
            }
        }
        if count > 0 {
            self.block(BlockKind::Inputs, count, &payload)?;
        }
        self.end_region(BlockKind::Inputs);
        for some in forgotten.chunks(TABLE_BLOCK / 16) {
            self.block(BlockKind::Forgotten, some.len() as u32, some.as_flattened())?;
        }
        self.end_region(BlockKind::Forgotten);
        Ok(())
    }

    /// Writes the rejects of one batch behind the inputs: its checkpoint and its section of rejects.
    pub fn rejects(&mut self, count: u32, payload: &[u8]) -> Result<()> {
        self.block(BlockKind::Rejects, count, payload)
    }

    /// Gives it up.
    pub fn abandon(self) {
        self.publication.abandon();
    }

    /// Makes it durable and part of the store, under a name that is new. Gives its bytes. `copies` is how many copies of events were
    /// dropped on the way.
    pub fn publish(mut self, copies: u64) -> Result<u64> {
        self.finish(copies)?;
        self.publication.commit()?;
        Ok(self.end)
    }

    /// Writes the header, once all blocks are written.
    fn finish(&mut self, copies: u64) -> Result<()> {
        self.end_region(BlockKind::Rejects);
        // Repeated lines take no bytes, so nothing but this bounds what damaged counts of them say.
        self.header.copies = copies.min(MAX_COUNT - 1);
        self.publication.write_at(&self.header.encode(), 0)
    }
}
