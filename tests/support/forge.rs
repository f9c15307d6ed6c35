//! Segments made by hand, frame by frame, with whatever claims a test wants.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::ops::Range;

use chatwal::format::Uid;
use chatwal::format::block::{BLOCK_HEADER, BlockHeader, BlockKind};
use chatwal::format::coding::crc;
use chatwal::format::directory::{Entry, SectionKind, encode_directory};
use chatwal::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, SEGMENT_HEADER, SegmentHeader};
use chatwal::format::snapshot_header::{SNAPSHOT_HEADER, SnapshotHeader};

use super::sim::Choices;
use super::store::Sample;

/// The id of the stores that are made here.
pub const STORE: Uid = *b"a store by hand.";

/// A segment that is being made.
#[derive(Clone)]
pub struct Forged {
    /// Its header.
    pub header: SegmentHeader,
    /// Its bytes so far.
    pub bytes: Vec<u8>,
    /// The sequence number of the next frame, and the CRC of the header before it.
    pub next: (u64, u32),
    /// Where each frame is.
    pub frames: Vec<Range<usize>>,
}

impl Forged {
    /// The first segment of a log.
    pub fn first() -> Forged {
        let header = SegmentHeader { store: STORE, number: 1, salt: 0x1111, first_sequence: 1 };
        Forged { header, bytes: header.encode().to_vec(), next: (1, header.chain()), frames: Vec::new() }
    }

    /// The segment that follows this one, whether this one has a seal or not: then its first frame follows the seal that is to
    /// come.
    pub fn successor(&self, sealed: bool) -> Forged {
        let (sequence, previous) = self.next;
        let first_sequence = sequence + u64::from(!sealed);
        let number = self.header.number + 1;
        let header = SegmentHeader { store: STORE, number, salt: 0x1111 * number, first_sequence };
        let next = (first_sequence, previous);
        Forged { header, bytes: header.encode().to_vec(), next, frames: Vec::new() }
    }

    /// Appends a frame of these sections.
    pub fn push(&mut self, kind: FrameKind, durable_upto: u64, entries: &[Entry], sections: &[u8]) -> FrameHeader {
        let directory = encode_directory(entries.iter().copied());
        let (sequence, previous) = self.next;
        let mut header = FrameHeader {
            kind,
            entries: entries.len() as u16,
            store: self.header.store,
            segment: self.header.number,
            salt: self.header.salt,
            offset: self.bytes.len() as u64,
            sequence,
            durable_upto,
            payload: (directory.len() + sections.len()) as u32,
            previous,
            directory_crc: crc(&directory),
            crc: 0,
        };
        let encoded = header.encode();
        header.crc = crc(&encoded[..FRAME_HEADER - 4]);
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&encoded);
        self.bytes.extend_from_slice(&directory);
        self.bytes.extend_from_slice(sections);
        self.frames.push(start..self.bytes.len());
        self.next = (sequence + 1, header.crc);
        header
    }

    /// Appends a batch with one event, named after the frame.
    pub fn batch(&mut self, durable_upto: u64) -> FrameHeader {
        let sample = Sample::new(self.next.0, 1, &mut Choices::Random(self.next.0));
        let (checkpoint, batch) = (sample.checkpoint.encode(), sample.batch());
        let first = Entry::new(SectionKind::Checkpoint, 0, 1, &checkpoint);
        let entries: Vec<Entry> = std::iter::once(first).chain(batch.entries).collect();
        self.push(FrameKind::Batch, durable_upto, &entries, &[checkpoint, batch.sections].concat())
    }

    /// Appends a seal, as a writer does: everything before it is durable.
    pub fn seal(&mut self) -> FrameHeader {
        self.push(FrameKind::Seal, self.next.0 - 1, &[], &[])
    }
}

/// Behind the header of a segment.
pub const BODY: usize = SEGMENT_HEADER;

/// A snapshot with its blocks as `edit` leaves them: everything in its place again, and all checksums right. Those before the
/// table of shards have to stay as long as they are, since others name their places.
pub fn reforged(snapshot: &[u8], edit: impl FnOnce(&mut Vec<(BlockHeader, Vec<u8>)>)) -> Vec<u8> {
    let mut header = SnapshotHeader::decode(snapshot).unwrap();
    let (mut blocks, mut at) = (Vec::new(), SNAPSHOT_HEADER);
    while at < snapshot.len() {
        let block = BlockHeader::decode(&snapshot[at..]).unwrap();
        let end = at + block.whole() as usize;
        blocks.push((block, snapshot[at + BLOCK_HEADER..end].to_vec()));
        at = end;
    }
    edit(&mut blocks);
    let mut out = vec![0; SNAPSHOT_HEADER];
    for kind in BlockKind::ALL {
        for (block, payload) in blocks.iter().filter(|(block, _)| block.kind == kind) {
            let (offset, length) = (out.len() as u64, payload.len() as u32);
            let block = BlockHeader { offset, length, payload_crc: crc(payload), ..*block };
            out.extend_from_slice(&block.encode());
            out.extend_from_slice(payload);
        }
        header.ends[kind.place()] = out.len() as u64;
    }
    out[..SNAPSHOT_HEADER].copy_from_slice(&header.encode());
    out
}
