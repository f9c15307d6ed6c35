//! Messages on their way from the parts to those who count them: each part's in order, in memory or put aside.

use std::sync::{Mutex, PoisonError};

use crate::disk::scratch::{Extent, Scratch, Spill};
use crate::error::Result;
use crate::format::coding::{Malformed, Reader, put_varint, unzigzag, zigzag};

/// Moments of one record.
const MOMENTS: usize = 1 << 9;

/// What is held, in messages.
const MESSAGES: &str = "the messages of a site";

/// The messages of all parts.
pub(super) struct Messages {
    /// Where they are put aside.
    pub(super) spill: Spill,
    streams: Mutex<Vec<MessageStream>>,
}

impl Messages {
    /// None yet.
    pub(super) fn new(scratch: &Scratch) -> Messages {
        Messages { spill: scratch.file(), streams: Mutex::default() }
    }

    /// Adds the messages of a part that is done.
    pub(super) fn add(&self, mut stream: MessageStream) {
        // There may be thousands.
        (stream.site, stream.moments) = (Vec::new(), Vec::new());
        stream.held.shrink_to_fit();
        self.streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    /// Where they are put aside, and those of each part.
    pub(super) fn into_streams(self) -> (Spill, Vec<MessageStream>) {
        (self.spill, self.streams.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The messages of one part: records of a site, a number of moments, and these moments in order.
#[derive(Default)]
pub(super) struct MessageStream {
    extents: Vec<Extent>,
    /// Records that are not put aside.
    held: Vec<u8>,
    /// The record at hand.
    site: Vec<u8>,
    moments: Vec<i64>,
}

impl MessageStream {
    /// Begins with the messages of a site.
    pub(super) fn begin(&mut self, site: &[u8]) {
        self.site.clear();
        self.site.extend_from_slice(site);
    }

    /// Adds a message of this site, by its moment.
    pub(super) fn put(&mut self, moment: i64) {
        self.moments.push(moment);
        if self.moments.len() >= MOMENTS {
            self.end_record();
        }
    }

    /// Ends the record at hand.
    pub(super) fn end_record(&mut self) {
        let Some(first) = self.moments.first().copied() else { return };
        put_varint(&mut self.held, self.site.len() as u64);
        self.held.extend_from_slice(&self.site);
        put_varint(&mut self.held, self.moments.len() as u64);
        put_varint(&mut self.held, zigzag(first));
        let mut before = first;
        for moment in self.moments.drain(..) {
            put_varint(&mut self.held, moment.wrapping_sub(before).cast_unsigned());
            before = moment;
        }
    }

    /// How many bytes are held.
    pub(super) fn bytes_held(&self) -> usize {
        self.held.len()
    }

    /// Puts aside what is held, if it is more than `most` bytes.
    pub(super) fn put_aside(&mut self, spill: &Spill, most: usize) -> Result<()> {
        if self.held.len() > most {
            self.extents.push(spill.append(&self.held)?);
            self.held.clear();
        }
        Ok(())
    }

    pub(super) fn reader<'r>(&'r self, spill: &'r Spill) -> MessageReader<'r> {
        MessageReader {
            spill,
            extents: self.extents.iter(),
            held: Some(&self.held),
            buffer: Vec::new(),
            next: 0,
            site: Vec::new(),
            moments: Vec::new(),
            at: 0,
        }
    }
}

/// Reads a [`MessageStream`], record by record.
pub(super) struct MessageReader<'r> {
    spill: &'r Spill,
    extents: std::slice::Iter<'r, Extent>,
    held: Option<&'r [u8]>,
    buffer: Vec<u8>,
    /// Where the next record is in the buffer.
    next: usize,
    /// The site of the record that was read last.
    pub(super) site: Vec<u8>,
    /// Its moments.
    pub(super) moments: Vec<i64>,
    /// The first of the moments that is not counted yet.
    pub(super) at: usize,
}

impl MessageReader<'_> {
    /// Reads the next record, if there is one.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if self.next >= self.buffer.len() {
            match (self.extents.next(), self.held.take()) {
                (Some(extent), held) => {
                    self.held = held;
                    self.spill.read(extent, &mut self.buffer)?;
                }
                (None, Some(held)) => {
                    self.buffer.clear();
                    self.buffer.extend_from_slice(held);
                }
                (None, None) => (self.buffer, self.moments) = (Vec::new(), Vec::new()),
            }
            self.next = 0;
            if self.buffer.is_empty() {
                // There are many of them.
                (self.buffer, self.moments) = (Vec::new(), Vec::new());
                return Ok(false);
            }
        }
        let mut reader = Reader::new(self.buffer.get(self.next..).unwrap_or_default());
        let (site, moments) = (&mut self.site, &mut self.moments);
        let mut read = || {
            let length = reader.count(usize::MAX, MESSAGES)?;
            site.clear();
            site.extend_from_slice(reader.bytes(length, MESSAGES)?);
            let count = reader.count(MOMENTS, MESSAGES)?;
            let mut moment = unzigzag(reader.varint(MESSAGES)?);
            moments.clear();
            for _ in 0..count {
                moment = moment.wrapping_add_unsigned(reader.varint(MESSAGES)?);
                moments.push(moment);
            }
            Ok::<usize, Malformed>(reader.left())
        };
        let left = read().map_err(|_| self.spill.scratch().changed())?;
        (self.next, self.at) = (self.buffer.len() - left, 0);
        Ok(true)
    }
}
