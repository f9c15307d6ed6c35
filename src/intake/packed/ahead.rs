//! Reading with a look ahead.

use std::io::{self, BufRead, Read};

use super::again;
use super::sniff::{Header, Sniffed, sniff};
use crate::intake::Extent;

/// Bytes that are held to look ahead, and the shortest read that goes past them.
pub(super) const AHEAD: usize = 128 << 10;

/// A reader of which one can look at what comes next, and which knows how far it was read.
pub(super) struct Ahead {
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Offset of the next byte.
    pub(super) offset: u64,
    pub(super) ended: bool,
    /// Somebody wanted more than there was.
    pub(super) overdrawn: bool,
    /// The reader's own error, so that it is not taken for one of the packing.
    failure: Option<io::Error>,
}

impl Ahead {
    pub(super) fn new(reader: Box<dyn Read + Send>) -> Ahead {
        let (buffer, failure) = (Vec::new(), None);
        Ahead { reader, buffer, start: 0, end: 0, offset: 0, ended: false, overdrawn: false, failure }
    }

    pub(super) fn empty() -> Ahead {
        Ahead { ended: true, ..Ahead::new(Box::new(io::empty())) }
    }

    /// What was read and not yet taken.
    pub(super) fn at_hand(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn skip(&mut self, count: usize) {
        let count = count.min(self.end - self.start);
        self.start += count;
        self.offset += count as u64;
    }

    /// Reads more of it, if there is.
    pub(super) fn more(&mut self) -> io::Result<()> {
        self.buffer.resize(AHEAD, 0);
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.ended || self.end == self.buffer.len() {
            return Ok(());
        }
        let count = self.reader.read(&mut self.buffer[self.end..])?;
        self.end += count;
        self.ended = count == 0;
        Ok(())
    }

    /// The next bytes, past the buffer if that is empty.
    pub(super) fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at_hand().is_empty() && !self.ended {
            if buffer.len() >= AHEAD {
                let count = self.reader.read(buffer)?;
                self.offset += count as u64;
                self.ended = count == 0;
                return Ok(count);
            }
            self.more()?;
        }
        let bytes = self.at_hand();
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.skip(count);
        Ok(count)
    }

    /// What the next bytes are. No more is read than that takes: a line of JSON must not wait for a second one.
    pub(super) fn sniff(&mut self) -> io::Result<Sniffed> {
        loop {
            match sniff(self.at_hand(), Extent::of(self.ended)) {
                Sniffed::More => self.more()?,
                sniffed => return Ok(sniffed),
            }
        }
    }

    /// What a header says that is read as far as it takes; `None` if the input ends before.
    pub(super) fn header<T>(&mut self, read: impl Fn(&[u8]) -> Header<T>) -> io::Result<Option<T>> {
        loop {
            match read(self.at_hand()) {
                Header::Says(value) => return Ok(Some(value)),
                Header::More if self.ended || self.at_hand().len() == AHEAD => return Ok(None),
                Header::More => self.more()?,
            }
        }
    }

    /// The reader's own error instead of what a decoder made of it.
    pub(super) fn or_own(&mut self, error: io::Error) -> Result<io::Error, io::Error> {
        match self.failure.take() {
            Some(own) => Err(own),
            None => Ok(error),
        }
    }
}

/// For decoders, which take an interruption for a failure.
impl BufRead for Ahead {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.start == self.end && !self.ended {
            match self.more() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let told = again(&error);
                    self.failure = Some(error);
                    return Err(told);
                }
                Ok(()) => {}
            }
        }
        self.overdrawn |= self.start == self.end;
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, count: usize) {
        self.skip(count);
    }
}

impl Read for Ahead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        self.skip(count);
        Ok(count)
    }
}

/// Does it again where it was interrupted.
pub(super) fn retry<T>(mut work: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
