//! The header of a block. A snapshot is made of blocks; blocks of one kind stand together and are a region of it.
//!
//! Blocks of events and of rejects hold what the sections of a frame hold. Only snapshots have an [`index`](super::index) and
//! [`tables`](super::tables).

use super::coding::{Decoded, Reader, crc, fixed};
use super::events::PackedEvents;
use super::frame::MAX_PAYLOAD;

/// Bytes of a block's header.
pub const BLOCK_HEADER: usize = 40;
/// The longest payload of a block.
pub const MAX_BLOCK: usize = MAX_PAYLOAD;
/// How a block begins.
pub const BLOCK_MAGIC: [u8; 4] = *b"CWbk";

/// What a block holds. Also the regions of a snapshot, in their order in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BlockKind {
    /// Events of one shard.
    Events,
    /// Sites in the order of the report, with their summaries and the place of their events.
    Index,
    /// The first site of each block of the index.
    Fences,
    /// Where each shard's events are.
    Shards,
    /// The inputs and how far they were read.
    Inputs,
    /// Inputs that no longer count.
    Forgotten,
    /// The rejected lines of one batch.
    Rejects,
}

/// The regions of a snapshot.
pub const REGIONS: usize = BlockKind::ALL.len();

impl BlockKind {
    /// All kinds, in the order of the regions.
    pub const ALL: [BlockKind; 7] = [
        BlockKind::Events,
        BlockKind::Index,
        BlockKind::Fences,
        BlockKind::Shards,
        BlockKind::Inputs,
        BlockKind::Forgotten,
        BlockKind::Rejects,
    ];

    /// The place among the regions, from 0; on disk, from 1.
    pub fn place(self) -> usize {
        self as usize
    }

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            BlockKind::Events => "events",
            BlockKind::Index => "index",
            BlockKind::Fences => "fences",
            BlockKind::Shards => "shards",
            BlockKind::Inputs => "inputs",
            BlockKind::Forgotten => "forgot",
            BlockKind::Rejects => "rejects",
        }
    }
}

/// The header of a block. Like that of a frame, it says where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockHeader {
    /// What the block holds.
    pub kind: BlockKind,
    /// The shard of its events; 0 otherwise.
    pub shard: u8,
    /// How many events, sites, inputs, rejects it holds.
    pub count: u32,
    /// Bytes of the payload.
    pub length: u32,
    /// Offset of this header in the snapshot.
    pub offset: u64,
    /// Salt of the snapshot.
    pub salt: u64,
    /// CRC of the payload.
    pub payload_crc: u32,
}

impl BlockHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; BLOCK_HEADER] {
        let mut out = Vec::with_capacity(BLOCK_HEADER);
        out.extend_from_slice(&BLOCK_MAGIC);
        out.extend_from_slice(&[self.kind.place() as u8 + 1, self.shard, 0, 0]);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.payload_crc.to_le_bytes());
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// The header in the first bytes, if its CRC says that it is one.
    pub fn decode(bytes: &[u8]) -> Result<BlockHeader, &'static str> {
        let Some(bytes) = bytes.first_chunk::<BLOCK_HEADER>() else { return Err("the 40 bytes of a block header") };
        if !bytes.starts_with(&BLOCK_MAGIC) {
            return Err("a block header, which begins with \"CWbk\"");
        }
        if crc(&bytes[..BLOCK_HEADER - 4]).to_le_bytes() != bytes[BLOCK_HEADER - 4..] {
            return Err("a block header whose CRC is right");
        }
        let mut reader = Reader::new(&bytes[BLOCK_MAGIC.len()..]);
        let what = "the fields of a block header";
        let mut fields = || -> Decoded<BlockHeader> {
            let code = usize::from(reader.u8(what)?);
            let Some(&kind) = code.checked_sub(1).and_then(|place| BlockKind::ALL.get(place)) else {
                return reader.malformed("a block of a known kind");
            };
            let shard = reader.u8(what)?;
            reader.u16(what)?;
            Ok(BlockHeader {
                kind,
                shard,
                count: reader.u32(what)?,
                length: reader.u32(what)?,
                offset: reader.u64(what)?,
                salt: reader.u64(what)?,
                payload_crc: reader.u32(what)?,
            })
        };
        fields().map_err(|malformed| malformed.expected)
    }

    /// The events in a block with this payload.
    pub fn packed_events<'a>(&self, payload: &'a [u8]) -> PackedEvents<'a> {
        PackedEvents { bytes: payload, count: self.count, shard: self.shard }
    }

    /// Bytes of the whole block.
    pub fn whole(&self) -> u64 {
        BLOCK_HEADER as u64 + u64::from(self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_seen() {
        let block =
            BlockHeader { kind: BlockKind::Index, shard: 3, count: 4, length: 5, offset: 6, salt: 7, payload_crc: 8 };
        let bytes = block.encode();
        assert_eq!(BlockHeader::decode(&bytes), Ok(block));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(BlockHeader::decode(&bad).is_err(), "bit {bit}");
        }
    }
}
