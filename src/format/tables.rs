//! The small tables of a snapshot: where the events of each shard are, the inputs that it inherits, and how a block of rejects begins.

use std::ops::Range;

use super::checkpoint::Checkpoint;
use super::coding::{Decoded, Reader, put_varint};
use super::{MAX_COUNT, SHARDS};

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

/// The bytes of the shard table, and how many shards it has: those with events. Their places follow from their order.
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

/// The shard table. Its shards fill `region` without gaps.
pub fn decode_shards(bytes: &[u8], count: u32, region: &Range<u64>) -> Decoded<[ShardEntry; SHARDS]> {
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
    fn shards_come_back() {
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
