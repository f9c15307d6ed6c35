//! The header of a snapshot, the blocks it is made of, and what stands in those that hold no events.

use super::Uid;
use super::batch::{Checkpoint, front_coded, put_front_coded};
use super::coding::{Decoded, Reader, put_varint, unzigzag, zigzag};
use super::frame::{BadSegment, MAX_PAYLOAD, crc, fixed, open_file_header};
use super::{MAX_COUNT, SHARDS, VERSION};
use crate::event::summary::Summary;

/// Bytes of a snapshot's header.
pub const SNAPSHOT_HEADER: usize = 192;
/// Bytes of a block's header.
pub const BLOCK_HEADER: usize = 40;
/// The longest payload of a block.
pub const MAX_BLOCK: usize = MAX_PAYLOAD;
/// How a snapshot begins.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"chatsnap";
/// How a block begins.
pub const BLOCK_MAGIC: [u8; 4] = *b"CWbk";

/// What a block holds; the regions of a snapshot, in their order in the file.
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
    /// Inputs that count no longer.
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

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The store.
    pub store: Uid,
    /// The first segment it covers.
    pub first: u64,
    /// The last segment it covers.
    pub last: u64,
    /// Random; every block repeats it.
    pub salt: u64,
    /// Sequence number of the first frame it covers.
    pub first_sequence: u64,
    /// Sequence number of the first frame behind it.
    pub next_sequence: u64,
    /// What its first frame chained to.
    pub first_previous: u32,
    /// What the first frame behind it chains to: the CRC of the last header it covers.
    pub next_previous: u32,
    /// Where each region ends; the last one with the file.
    pub ends: [u64; REGIONS],
    /// Events, each once.
    pub events: u64,
    /// Copies of them that were dropped.
    pub copies: u64,
    /// Events of which copies disagree.
    pub disputed: u64,
    /// Sites.
    pub sites: u64,
    /// The earliest timestamp; more than `latest` if there is no event.
    pub earliest: i64,
    /// The latest timestamp.
    pub latest: i64,
}

impl SnapshotHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SNAPSHOT_HEADER] {
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER);
        out.extend_from_slice(&SNAPSHOT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(SNAPSHOT_HEADER as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.store);
        for number in [self.first, self.last, self.salt, self.first_sequence, self.next_sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.first_previous.to_le_bytes());
        out.extend_from_slice(&self.next_previous.to_le_bytes());
        for number in self.ends.into_iter().chain([self.events, self.copies, self.disputed, self.sites]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.earliest.to_le_bytes());
        out.extend_from_slice(&self.latest.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// The header in the first bytes of a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotHeader, BadSegment> {
        let mut reader = open_file_header(bytes, SNAPSHOT_MAGIC, SNAPSHOT_HEADER)?;
        let what = "the fields of a snapshot header";
        let mut fields = || -> Decoded<SnapshotHeader> {
            reader.array::<4>(what)?;
            let mut header = SnapshotHeader {
                store: reader.array(what)?,
                first: reader.u64(what)?,
                last: reader.u64(what)?,
                salt: reader.u64(what)?,
                first_sequence: reader.u64(what)?,
                next_sequence: reader.u64(what)?,
                first_previous: reader.u32(what)?,
                next_previous: reader.u32(what)?,
                ..SnapshotHeader::default()
            };
            for end in &mut header.ends {
                *end = reader.u64(what)?;
            }
            header.events = reader.u64(what)?;
            header.copies = reader.u64(what)?;
            header.disputed = reader.u64(what)?;
            header.sites = reader.u64(what)?;
            header.earliest = reader.u64(what)?.cast_signed();
            header.latest = reader.u64(what)?.cast_signed();
            Ok(header)
        };
        let header = fields().map_err(|_| BadSegment::Damaged(what))?;
        let mut before = SNAPSHOT_HEADER as u64;
        let ascending = header.ends.iter().all(|&end| std::mem::replace(&mut before, end) <= end);
        let SnapshotHeader { events, copies, disputed, sites, last, next_sequence, .. } = header;
        let bounded = [events, copies, disputed, sites, last, next_sequence].iter().all(|&number| number < MAX_COUNT);
        let chained = (1..=next_sequence).contains(&header.first_sequence);
        if !ascending || header.first == 0 || header.first > last || !chained || !bounded {
            return Err(BadSegment::Damaged("a snapshot header whose fields agree"));
        }
        Ok(header)
    }

    /// Where a region lies.
    pub fn region(&self, kind: BlockKind) -> std::ops::Range<u64> {
        let start = match kind.place().checked_sub(1).and_then(|before| self.ends.get(before)) {
            Some(end) => *end,
            None => SNAPSHOT_HEADER as u64,
        };
        start..self.ends.get(kind.place()).copied().unwrap_or(start)
    }
}

/// The header of a block: like a frame's it says where it belongs.
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

    /// Bytes of the whole block.
    pub fn whole(&self) -> u64 {
        BLOCK_HEADER as u64 + u64::from(self.length)
    }
}

/// What the index says of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its finished summary.
    pub summary: Summary,
    /// Its events, each once.
    pub events: u64,
    /// Those of which copies disagree.
    pub disputed: u64,
    /// Its earliest timestamp.
    pub earliest: i64,
    /// Its latest timestamp.
    pub latest: i64,
    /// Offset of the first block with events of it.
    pub at: u64,
    /// Bytes from there to the end of the last such block; all blocks between are of its shard.
    pub length: u64,
}

/// Appends an entry of the index; `before` is the name of the entry before it in its block, or empty.
pub fn put_site(out: &mut Vec<u8>, before: &[u8], name: &[u8], entry: &SiteEntry) {
    put_front_coded(out, before, name, 1, 0);
    let Summary { messages, emails, operators, visitors } = entry.summary;
    for number in [messages, emails, operators, visitors, entry.events, entry.disputed] {
        put_varint(out, number);
    }
    put_varint(out, zigzag(entry.earliest));
    put_varint(out, entry.latest.wrapping_sub(entry.earliest).cast_unsigned());
    put_varint(out, entry.at);
    put_varint(out, entry.length);
}

/// Visits the entries of a block of the index, in order.
pub fn each_site(bytes: &[u8], count: u32, mut visit: impl FnMut(&[u8], SiteEntry)) -> Decoded<()> {
    let what = "the fields of a site";
    let mut reader = Reader::new(bytes);
    let (mut name, mut before) = (Vec::new(), Vec::new());
    for _ in 0..count {
        front_coded(&mut reader, &mut name, 1)?;
        if name <= before {
            return reader.malformed("a site behind the one before it");
        }
        let (messages, emails) = (reader.tally(what)?, reader.tally(what)?);
        let (operators, visitors) = (reader.tally(what)?, reader.tally(what)?);
        let summary = Summary { messages, emails, operators, visitors };
        let (events, disputed) = (reader.tally(what)?, reader.tally(what)?);
        let earliest = unzigzag(reader.varint(what)?);
        let Some(latest) = earliest.checked_add_unsigned(reader.varint(what)?) else {
            return reader.malformed("a latest timestamp that is one");
        };
        let (at, length) = (reader.varint(what)?, reader.varint(what)?);
        visit(&name, SiteEntry { summary, events, disputed, earliest, latest, at, length });
        before.clone_from(&name);
    }
    reader.end("the end of the sites")
}

/// The first site of a block of the index, and where the block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The name of the site.
    pub site: Box<[u8]>,
    /// Offset of the block.
    pub at: u64,
}

/// The fences' bytes.
pub fn encode_fences(fences: &[Fence]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before: &[u8] = &[];
    for fence in fences {
        put_front_coded(&mut out, before, &fence.site, 1, 0);
        put_varint(&mut out, fence.at);
        before = &fence.site;
    }
    out
}

/// The fences of a block, appended to `fences`.
pub fn decode_fences(bytes: &[u8], count: u32, fences: &mut Vec<Fence>) -> Decoded<()> {
    let mut reader = Reader::new(bytes);
    let mut name = Vec::new();
    for _ in 0..count {
        front_coded(&mut reader, &mut name, 1)?;
        let at = reader.varint("the offset of a block of the index")?;
        if fences.last().is_some_and(|last| *last.site >= *name || last.at >= at) {
            return reader.malformed("a fence behind the one before it");
        }
        fences.push(Fence { site: name.as_slice().into(), at });
    }
    reader.end("the end of the fences")
}

/// Where a shard's events are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardEntry {
    /// Offset of its first block.
    pub at: u64,
    /// Bytes of its blocks.
    pub length: u64,
    /// Its events.
    pub events: u64,
}

/// The shard table's bytes, and how many shards it tells of: those that have events. Their places follow from their order.
pub fn encode_shards(shards: &[ShardEntry; SHARDS]) -> (Vec<u8>, u32) {
    let (mut out, mut count) = (Vec::new(), 0);
    for (number, shard) in (0u8..=255).zip(shards).filter(|(_, shard)| shard.events > 0) {
        out.push(number);
        put_varint(&mut out, shard.length);
        put_varint(&mut out, shard.events);
        count += 1;
    }
    (out, count)
}

/// The shard table; its shards fill `region` without gaps.
pub fn decode_shards(bytes: &[u8], count: u32, region: &std::ops::Range<u64>) -> Decoded<[ShardEntry; SHARDS]> {
    let mut reader = Reader::new(bytes);
    let mut shards = [ShardEntry::default(); SHARDS];
    let mut before = None;
    for _ in 0..count {
        let number = reader.u8("a shard")?;
        let (length, events) = (reader.varint("bytes of a shard")?, reader.tally("events of a shard")?);
        if before.is_some_and(|before| before >= number) {
            return reader.malformed("a shard behind the one before it");
        }
        if length == 0 || events == 0 {
            return reader.malformed("a shard that has events");
        }
        before = Some(number);
        if let Some(shard) = shards.get_mut(usize::from(number)) {
            *shard = ShardEntry { at: 0, length, events };
        }
    }
    reader.end("the end of the shards")?;
    let mut next = region.start;
    for shard in &mut shards {
        shard.at = next;
        next = match next.checked_add(shard.length) {
            Some(end) if end <= region.end => end,
            _ => return reader.malformed("shards inside the events"),
        };
    }
    if next == region.end { Ok(shards) } else { reader.malformed("shards up to the end of the events") }
}

/// What a snapshot inherits of an input: its last checkpoint, and how many of its events (copies included) and rejects
/// the snapshot covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputEntry {
    /// How far it was read.
    pub checkpoint: Checkpoint,
    /// Events of it.
    pub events: u64,
    /// Rejects of it.
    pub rejects: u64,
}

/// Appends an input.
pub fn put_input(out: &mut Vec<u8>, input: &InputEntry) {
    put_checkpoint(out, &input.checkpoint);
    // Of the lines that repeat others there may be any number: see `SnapshotWriter::publish`.
    put_varint(out, input.events.min(MAX_COUNT - 1));
    put_varint(out, input.rejects);
}

/// The inputs of a block.
pub fn decode_inputs(bytes: &[u8], count: u32) -> Decoded<Vec<InputEntry>> {
    let mut reader = Reader::new(bytes);
    let mut inputs = Vec::new();
    for _ in 0..count {
        let checkpoint = checkpoint(&mut reader)?;
        let (events, rejects) = (reader.tally("the events")?, reader.tally("the rejects")?);
        inputs.push(InputEntry { checkpoint, events, rejects });
    }
    reader.end("the end of the inputs")?;
    Ok(inputs)
}

/// Appends a checkpoint, by its length and its bytes in a frame.
pub fn put_checkpoint(out: &mut Vec<u8>, checkpoint: &Checkpoint) {
    let bytes = checkpoint.encode();
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(&bytes);
}

/// The checkpoint at the start of a block of rejects, and the section of rejects behind it.
pub fn split_rejects(bytes: &[u8]) -> Decoded<(Checkpoint, &[u8])> {
    let mut reader = Reader::new(bytes);
    let checkpoint = checkpoint(&mut reader)?;
    let rest = reader.bytes(reader.left(), "rejects")?;
    Ok((checkpoint, rest))
}

fn checkpoint(reader: &mut Reader<'_>) -> Decoded<Checkpoint> {
    let length = reader.count(reader.left(), "the length of a checkpoint")?;
    Checkpoint::decode(reader.bytes(length, "a checkpoint")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_seen() {
        let header = SnapshotHeader {
            store: [7; 16],
            first: 1,
            last: 16,
            salt: 5,
            first_sequence: 1,
            next_sequence: 99,
            first_previous: 1,
            next_previous: 2,
            ends: [200, 300, 300, 400, 500, 500, 600],
            events: 1,
            copies: 2,
            disputed: 3,
            sites: 4,
            earliest: -5,
            latest: 6,
        };
        let bytes = header.encode();
        assert_eq!(SnapshotHeader::decode(&bytes), Ok(header));
        assert_eq!(header.region(BlockKind::Events), 192..200);
        assert_eq!(header.region(BlockKind::Rejects), 500..600);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SnapshotHeader::decode(&bad).is_err(), "bit {bit}");
        }
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

    #[test]
    fn sites_come_back_and_every_cut_is_seen() {
        let entry = |at| SiteEntry {
            summary: Summary { messages: at, emails: 1, operators: 2, visitors: 3 },
            events: 5,
            disputed: 1,
            earliest: i64::MIN,
            latest: i64::MAX,
            at,
            length: u64::MAX,
        };
        let mut out = Vec::new();
        put_site(&mut out, b"", b"1", &entry(1));
        put_site(&mut out, b"1", b"10", &entry(2));
        let mut seen = Vec::new();
        each_site(&out, 2, |name, entry| seen.push((name.to_vec(), entry))).unwrap();
        assert_eq!(seen, [(b"1".to_vec(), entry(1)), (b"10".to_vec(), entry(2))]);
        for end in 0..out.len() {
            assert!(each_site(&out[..end], 2, |_, _| ()).is_err(), "{end}");
        }
        let mut twice = Vec::new();
        put_site(&mut twice, b"", b"1", &entry(1));
        put_site(&mut twice, b"1", b"1", &entry(1));
        assert!(each_site(&twice, 2, |_, _| ()).is_err());
    }

    #[test]
    fn tables_come_back() {
        let fences = [Fence { site: b"1"[..].into(), at: 5 }, Fence { site: b"12"[..].into(), at: 9 }];
        let bytes = encode_fences(&fences);
        let mut back = Vec::new();
        decode_fences(&bytes, 2, &mut back).unwrap();
        assert_eq!(back, fences);
        assert!(decode_fences(&bytes, 2, &mut back).is_err(), "they no longer ascend");
        let mut shards = [ShardEntry { at: 200, ..ShardEntry::default() }; SHARDS];
        shards[7] = ShardEntry { at: 200, length: 50, events: 7 };
        shards[8..].iter_mut().for_each(|shard| shard.at = 250);
        shards[255] = ShardEntry { at: 250, length: 300, events: 1 };
        let (bytes, count) = encode_shards(&shards);
        assert_eq!(decode_shards(&bytes, count, &(200..550)), Ok(shards));
        assert!(decode_shards(&bytes, count, &(200..551)).is_err());
        assert!(decode_shards(&bytes, count, &(200..549)).is_err());
        assert!(decode_shards(&bytes[1..], count, &(200..550)).is_err());
        assert!(decode_shards(&bytes, 1, &(200..550)).is_err());
    }
}
