//! Frames that are made here and not copied from another log: their bytes, before they are written.

use crate::format::coding::crc;
use crate::format::directory::{Entry, encode_directory};
use crate::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, SegmentHeader};
use crate::segment::Link;

/// Frames that are to stand one behind the other in a segment.
pub(super) struct PendingFrames {
    header: SegmentHeader,
    /// Where the first one is going to stand.
    start: u64,
    bytes: Vec<u8>,
    next: Link,
}

impl PendingFrames {
    /// None yet. The first one is going to stand at `start` and has to be the `next` of its log.
    pub(super) fn new(header: SegmentHeader, start: u64, next: Link) -> PendingFrames {
        PendingFrames { header, start, bytes: Vec::new(), next }
    }

    /// Adds a frame. It claims that those up to `durable_upto` are durable, which has to be so before it is written.
    pub(super) fn put(&mut self, kind: FrameKind, entries: &[Entry], sections: &[u8], durable_upto: u64) {
        let directory = encode_directory(entries.iter().copied());
        let mut header = FrameHeader {
            kind,
            entries: entries.len() as u16,
            store: self.header.store,
            segment: self.header.number,
            salt: self.header.salt,
            offset: self.start + self.bytes.len() as u64,
            sequence: self.next.sequence,
            durable_upto,
            payload: (directory.len() + sections.len()) as u32,
            previous: self.next.previous.unwrap_or_default(),
            directory_crc: crc(&directory),
            crc: 0,
        };
        let encoded = header.encode();
        header.crc = crc(&encoded[..FRAME_HEADER - 4]);
        self.bytes.extend_from_slice(&encoded);
        self.bytes.extend_from_slice(&directory);
        self.bytes.extend_from_slice(sections);
        self.next = Link::after(&header);
    }

    /// Their bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What the frame behind them chains to.
    pub(super) fn next(&self) -> Link {
        self.next
    }
}
