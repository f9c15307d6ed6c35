//! A batch on its way to the log, and the start of its frame: what a thread can prepare before the frame has a place.

use crate::format::directory::{ENTRY, Entry, SectionKind};
use crate::format::frame::FRAME_HEADER;

/// What a worker made of a chunk: every section of a batch but the checkpoint.
#[derive(Debug, Default)]
pub struct Batch {
    /// The directory's entries, in ascending order.
    pub entries: Vec<Entry>,
    /// The bytes of the sections, one after the other.
    pub sections: Vec<u8>,
}

impl Batch {
    /// Encodes the directory, so that whoever holds the log has less to do.
    pub fn prepare(&self) -> Prepared {
        let mut head = Vec::with_capacity(FRAME_HEADER + (1 + self.entries.len()) * ENTRY + ROOM_FOR_CHECKPOINT);
        // The first section is the checkpoint. It is not known yet.
        head.resize(FRAME_HEADER + ENTRY, 0);
        self.entries.iter().for_each(|entry| entry.encode(&mut head));
        Prepared { head, rest: self.sections.len() }
    }
}

/// Bytes that a checkpoint nearly always fits.
const ROOM_FOR_CHECKPOINT: usize = 2048;

/// The start of a batch's frame, without its header and its checkpoint.
#[derive(Debug)]
pub struct Prepared {
    head: Vec<u8>,
    /// Bytes of the sections behind the checkpoint.
    rest: usize,
}

impl Prepared {
    /// Puts the bytes of the checkpoint in, of which there was only room in the directory. Gives the head, and the bytes of the sections behind it.
    pub(super) fn complete(self, checkpoint: &[u8]) -> (Head, usize) {
        let Prepared { mut head, rest } = self;
        let mut first = Vec::with_capacity(ENTRY);
        Entry::new(SectionKind::Checkpoint, 0, 1, checkpoint).encode(&mut first);
        if let Some(room) = head.get_mut(FRAME_HEADER..FRAME_HEADER + ENTRY) {
            room.copy_from_slice(&first);
        }
        let directory = head.len() - FRAME_HEADER;
        head.extend_from_slice(checkpoint);
        (Head { bytes: head, directory }, rest)
    }
}

/// What a frame begins with: room for its header, its directory, its first section.
pub(super) struct Head {
    pub(super) bytes: Vec<u8>,
    /// Bytes of the directory.
    pub(super) directory: usize,
}

impl Head {
    /// With a directory and no section.
    pub(super) fn new(entries: &[Entry]) -> Head {
        let mut bytes = vec![0; FRAME_HEADER];
        entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let directory = bytes.len() - FRAME_HEADER;
        Head { bytes, directory }
    }
}
