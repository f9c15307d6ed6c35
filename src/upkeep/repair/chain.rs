//! The chain of frames through the files that are replaced: what comes next in it, and what is lost of it.

use crate::format::acknowledged::Acknowledged;

/// What is lost of the chain, as far as it was followed.
#[derive(Default)]
pub(super) struct Chain {
    /// Frames that are lost as a whole or in part: the first and the last of each stretch.
    pub(super) lost: Vec<(u64, u64)>,
    /// Something is lost, and nobody knows what it held.
    pub(super) loss: bool,
    /// The sequence number that comes next, where it is known.
    pub(super) due: Option<u64>,
    pub(super) durable_upto: u64,
    pub(super) acknowledged: Option<Acknowledged>,
    /// The last segment ends with bytes of which nothing is intact.
    pub(super) lost_end: bool,
    /// The CRC of the last header.
    pub(super) last_crc: u32,
}

impl Chain {
    /// The frames from the one that is due to before this one are lost.
    pub(super) fn reach(&mut self, sequence: u64) {
        if let Some(due) = self.due.filter(|due| *due < sequence) {
            self.lose(due, sequence - 1);
            self.loss = true;
        }
        self.due = self.due.max(Some(sequence));
    }

    /// These frames are lost, as a whole or in part.
    pub(super) fn lose(&mut self, first: u64, last: u64) {
        match self.lost.last_mut() {
            Some(before) if before.1.saturating_add(1) >= first => before.1 = before.1.max(last),
            _ => self.lost.push((first, last)),
        }
    }

    /// Nothing comes behind: what is known to have been durable, and was not found, is lost.
    pub(super) fn end(&mut self) {
        if let Some(due) = self.due.filter(|due| self.lost_end || *due <= self.durable_upto) {
            self.lose(due, due.max(self.durable_upto));
            self.loss = true;
        }
    }
}
