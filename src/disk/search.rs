//! Reading bytes that may be anything: the header of a file, of whatever version; and headers anywhere, by trying every offset.

use memchr::memmem;

use crate::disk::File;
use crate::error::Result;

/// Bytes that are read at once.
const READ_AT_ONCE: usize = 1 << 20;

/// Something that can be read at any offset, of a length that was taken once.
pub(crate) trait Bytes {
    /// Its length.
    fn length(&self) -> u64;
    /// Reads until `buffer` is full or the bytes end; gives how many were read.
    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize>;
}

/// A search for headers that begin with a magic. It keeps what it read, so a search that goes on where the last one ended does not
/// read it again: a file is read about once, however many headers are looked for.
pub(crate) struct Search {
    magic: memmem::Finder<'static>,
    /// Bytes of a header.
    header: usize,
    buffer: Vec<u8>,
    /// The offset of the buffer's first byte.
    start: u64,
}

impl Search {
    /// For headers of `header` bytes that begin with this magic.
    pub(crate) fn new(magic: &'static [u8], header: usize) -> Search {
        Search { magic: memmem::Finder::new(magic), header, buffer: Vec::new(), start: 0 }
    }

    /// The first place at `from` or behind it where `decode` finds what is wanted. `decode` gets the bytes there, and their offset.
    pub(crate) fn next<T>(
        &mut self,
        bytes: &impl Bytes,
        mut from: u64,
        decode: impl Fn(&[u8], u64) -> Option<T>,
    ) -> Result<Option<(u64, T)>> {
        while from < bytes.length() {
            let end = self.start + self.buffer.len() as u64;
            // Where a header reaches over the end of the buffer, the next piece begins with it.
            if from < self.start || from + self.header as u64 > end {
                let left = usize::try_from(bytes.length() - from).unwrap_or(usize::MAX);
                self.buffer.resize(left.min(READ_AT_ONCE), 0);
                let read = bytes.read(&mut self.buffer, from)?;
                self.buffer.truncate(read);
                self.start = from;
            }
            let skip = usize::try_from(from - self.start).unwrap_or(usize::MAX);
            let rest = self.buffer.get(skip..).unwrap_or_default();
            for found in self.magic.find_iter(rest) {
                let at = from + found as u64;
                if let Some(it) = rest.get(found..).and_then(|header| decode(header, at)) {
                    return Ok(Some((at, it)));
                }
            }
            match rest.len().checked_sub(self.header) {
                Some(passed) => from += passed as u64 + 1,
                None => break,
            }
        }
        Ok(None)
    }
}

/// The header at the start of a file: `own` bytes, or as many as it says it has, since a newer version's may be longer.
pub(crate) fn read_header(file: &dyn File, own: usize) -> std::io::Result<Vec<u8>> {
    let mut bytes = vec![0; own];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    if let Some(&[low, high]) = bytes.get(10..12) {
        let length = usize::from(u16::from_le_bytes([low, high]));
        if length > own {
            bytes.resize(length, 0);
            let read = file.read_at(&mut bytes, 0)?;
            bytes.truncate(read);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    struct Counted<'a>(&'a [u8], Cell<usize>);

    impl Bytes for Counted<'_> {
        fn length(&self) -> u64 {
            self.0.len() as u64
        }

        fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
            let rest = self.0.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            self.1.set(self.1.get() + count);
            Ok(count)
        }
    }

    #[test]
    fn every_header_is_found_and_the_bytes_are_read_about_once() {
        let mut bytes = vec![b'.'; 3 * READ_AT_ONCE + 5];
        let places: Vec<usize> =
            (0..READ_AT_ONCE * 3).step_by(997).chain([READ_AT_ONCE - 3, READ_AT_ONCE, bytes.len() - 8]).collect();
        places.iter().for_each(|&at| bytes[at..at + 8].copy_from_slice(b"head1234"));
        bytes[READ_AT_ONCE * 2 - 4..READ_AT_ONCE * 2].copy_from_slice(b"head");
        bytes.extend_from_slice(b"head123");
        let counted = Counted(&bytes, Cell::new(0));
        let mut search = Search::new(b"head", 8);
        let (mut from, mut found) = (0, Vec::new());
        let whole = |header: &[u8], at| header.starts_with(b"head1234").then_some(at);
        while let Some((at, told)) = search.next(&counted, from, whole).unwrap() {
            assert_eq!(at, told);
            found.push(at as usize);
            from = at + 1;
        }
        let mut expected = places;
        expected.retain(|&at| bytes[at..].starts_with(b"head1234"));
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(found, expected);
        assert!(counted.1.get() < bytes.len() + bytes.len() / 10, "{} bytes read", counted.1.get());
        // Back to the start.
        assert_eq!(search.next(&counted, 0, whole).unwrap(), Some((0, 0)));
    }
}
