//! Appending: gives a frame its place at the end of the log, without a call to the system unless the segment is full.

use std::sync::Arc;

use super::batch::{Batch, Head, Prepared};
use super::placed::Placed;
use super::state::{Claim, InHand};
use super::{Log, SEGMENT_FRAMES};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::checkpoint::Checkpoint;
use crate::format::coding::crc;
use crate::format::directory::{ENTRY, Entry, SectionKind};
use crate::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, MAX_PAYLOAD, SEGMENT_HEADER};
use crate::segment::Link;

impl Log {
    /// Appends a batch; gives its sequence number.
    pub fn append_batch(&mut self, checkpoint: &Checkpoint, batch: &Batch) -> Result<u64> {
        let placed = self.place_batch(checkpoint, batch.prepare())?;
        let sequence = placed.sequence();
        placed.write(batch)?;
        Ok(sequence)
    }

    /// Gives a batch its place. Any thread may write it then. This thread has to have it written before it places the next one, which
    /// may begin a segment and waits for all that is not written.
    ///
    /// Refuses a checkpoint that no reader would accept: once acknowledged, it would make a store that cannot be opened.
    pub fn place_batch(&mut self, checkpoint: &Checkpoint, prepared: Prepared) -> Result<Placed> {
        let checkpoint = checkpoint.encode();
        if let Err(malformed) = Checkpoint::decode(&checkpoint) {
            let what = format!("a checkpoint that no reader accepts: expected {}", malformed.expected);
            let source = std::io::Error::new(std::io::ErrorKind::InvalidInput, what);
            return Err(Error::Io { operation: "append to", path: self.target.path.clone(), source });
        }
        let (head, rest) = prepared.complete(&checkpoint);
        self.place_content(FrameKind::Batch, head, rest)
    }

    /// Appends a frame that says that the checkpoints and the rejects of these inputs no longer count.
    pub fn append_forget(&mut self, instances: &[Uid]) -> Result<u64> {
        let bytes = instances.as_flattened();
        let entry = Entry::new(SectionKind::Forgotten, 0, instances.len() as u32, bytes);
        let mut head = Head::new(&[entry]);
        head.bytes.extend_from_slice(bytes);
        let placed = self.place_content(FrameKind::Forget, head, 0)?;
        let sequence = placed.sequence();
        placed.write_all(&[])?;
        Ok(sequence)
    }

    /// Gives a place to a frame that is not just a mark or a seal. Behind its head come `rest` bytes.
    fn place_content(&mut self, kind: FrameKind, head: Head, rest: usize) -> Result<Placed> {
        let payload = head.bytes.len() - FRAME_HEADER + rest;
        if payload > MAX_PAYLOAD {
            // The bounds on chunks keep it far below this. A larger frame could be written, but not read again.
            let source = std::io::Error::other(format!("a frame of {payload} bytes is over the limit"));
            return Err(Error::Io { operation: "append to", path: self.target.path.clone(), source });
        }
        let length = (FRAME_HEADER + payload) as u64;
        let is_full = self.end + length > self.options.segment_size || self.frames() >= SEGMENT_FRAMES;
        if is_full && self.end > SEGMENT_HEADER as u64 {
            self.roll()?;
        }
        let (placed, header) = self.place(kind, head, rest)?;
        self.last_content = Some(Acknowledged::of(&header));
        Ok(placed)
    }

    /// Frames of this segment.
    pub(super) fn frames(&self) -> u64 {
        self.link.sequence.saturating_sub(self.header.first_sequence)
    }

    /// Appends a frame that is nothing but a header.
    pub(super) fn append(&mut self, kind: FrameKind) -> Result<()> {
        let (placed, _) = self.place(kind, Head::new(&[]), 0)?;
        placed.write_all(&[])
    }

    /// Gives a frame its place, and a header that says so.
    fn place(&mut self, kind: FrameKind, head: Head, rest: usize) -> Result<(Placed, FrameHeader)> {
        let Head { mut bytes, directory } = head;
        let (room, sections) = bytes.split_at_mut(FRAME_HEADER);
        let directory = sections.get(..directory).unwrap_or_default();
        let durable_upto = {
            let state = self.shared.lock();
            state.check()?;
            state.durable
        };
        let mut header = FrameHeader {
            kind,
            entries: (directory.len() / ENTRY) as u16,
            store: self.header.store,
            segment: self.header.number,
            salt: self.header.salt,
            offset: self.end,
            sequence: self.link.sequence,
            durable_upto,
            payload: (sections.len() + rest) as u32,
            previous: self.link.previous.unwrap_or_default(),
            directory_crc: crc(directory),
            crc: 0,
        };
        let encoded = header.encode();
        header.crc = crc(&encoded[..FRAME_HEADER - 4]);
        room.copy_from_slice(&encoded);
        let claim = Claim { sequence: header.sequence, durable_upto };
        let placed = Placed {
            target: Arc::clone(&self.target),
            shared: Arc::clone(&self.shared),
            durability: self.options.durability,
            offset: self.end,
            end: self.end + header.length(),
            sequence: header.sequence,
            head: bytes,
            is_written: false,
        };
        self.end = placed.end;
        self.link = Link::after(&header);
        let mut state = self.shared.lock();
        state.promised = self.end;
        state.placed.push_back(InHand { claim, is_written: false });
        // It will be sealed soon, and should have little to wait for then.
        state.wanted |= self.end > self.options.segment_size / 2;
        drop(state);
        Ok((placed, header))
    }
}
