//! Ranges of lines: pieces of a plain file that are claimed without being read.
//!
//! Reading is most of the work of a reader, and only one thread at a time can do it. So in a plain file of lines the reader only finds
//! where a chunk ends: at the last line end among the bytes that a chunk may have. It looks at the last few of them. That is a
//! **range**. The thread that claimed it reads it, with a positioned read, while others claim and read theirs. A range is exactly the
//! chunk that reading would have cut there: the same bytes, whoever reads, and however many do.
//!
//! What cannot be cut like this is read in order, as is everything that is not a plain file: the first bytes, which say what the input is;
//! lines that end too far apart; holes; the last bytes of the file, where it may grow or have an incomplete end; documents.
//!
//! If a range is not what it was when it was claimed (the file was cut, or written over), it is given back, with all behind it.
//! From there on the file is read in order, and what is wrong is found as usual.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::{Chunk, ChunkKind, Chunker};
use crate::base::memory::Zeros;
use crate::disk::File as _;
use crate::error::Result;
use crate::format::checkpoint::Windows;
use crate::format::{Digest, WINDOW, digest};
use crate::intake::shape::Shape;
use crate::intake::source::keep_last;

/// How many of the last bytes of a range are looked at for a line end: first few, since most lines are short.
const LOOKS: [usize; 3] = [512, 8 << 10, 64 << 10];

/// Whole lines of a plain file that nobody has read yet.
pub struct LineRange {
    file: Arc<File>,
    /// Offset of its first byte, and behind its last.
    start: u64,
    end: u64,
    /// Bytes of its first line that come before it.
    column: u64,
    head: Digest,
}

impl LineRange {
    /// Bytes of it.
    pub fn length(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Reads it into the spare buffer, or a new one of at least `least` bytes. Nothing if it is no longer what was claimed.
    pub fn read(&self, spare: &mut Option<Zeros>, least: usize) -> Result<Option<Chunk>> {
        let length = self.length();
        let mut buffer = match spare.take() {
            Some(buffer) if buffer.len() >= length => buffer,
            _ => Zeros::new(least.max(length), "a piece of the input")?,
        };
        let bytes = &mut buffer[..length];
        let is_whole = self.file.read_at(bytes, self.start).is_ok_and(|count| count == length);
        if !is_whole || bytes.last() != Some(&b'\n') {
            *spare = Some(buffer);
            return Ok(None);
        }
        let tail = digest(&bytes[length.saturating_sub(WINDOW)..]);
        let (head_length, tail_length) = (WINDOW as u16, WINDOW as u16);
        let windows = Windows { head_length, head: self.head, tail_length, tail };
        let LineRange { start, end, column, .. } = *self;
        Ok(Some(Chunk { kind: ChunkKind::Lines, start, skipped: 0, end, column, windows, buffer, length, passed: 0 }))
    }
}

impl Chunker<'_> {
    /// Claims the next range, if what comes next is one.
    pub fn claim(&mut self) -> Option<LineRange> {
        let is_between = self.hole.is_none() && self.failure.is_none() && !self.ended;
        if !self.in_ranges || !is_between || self.plan.shape != Some(Shape::Lines) || (self.stop)() {
            return None;
        }
        let (file, length) = self.source.plain()?;
        let (start, most) = (self.offset, self.offset + self.plan.range as u64);
        if most > length {
            return None;
        }
        let end = last_line_end(&file, start, most).ok()??;
        // Then both windows are whole, and the last one is in the range.
        if end - start < WINDOW as u64 {
            return None;
        }
        let head = self.whole_head(&file).ok()??;
        let range = LineRange { file, start, end, column: self.column, head };
        // What was read beyond the last chunk is read again, by whoever claims it.
        self.carry.clear();
        self.source.pass_to(end);
        (self.offset, self.column, self.is_behind) = (end, 0, true);
        Some(range)
    }

    /// Takes a range back that could not be read, and all that was claimed behind it: nothing is claimed any more.
    pub fn give_back(&mut self, range: &LineRange) {
        self.in_ranges = false;
        (self.offset, self.column, self.is_behind) = (range.start, range.column, true);
        (self.hole, self.failure, self.ended) = (None, None, false);
        self.carry.clear();
        self.head.truncate(usize::try_from(range.start).unwrap_or(usize::MAX));
        self.head_digest = None;
    }

    /// Before the next read: goes to where the last range ended.
    pub(super) fn catch_up(&mut self) -> io::Result<()> {
        if !self.is_behind {
            return Ok(());
        }
        let Some((file, _)) = self.source.plain() else { return Ok(()) };
        let length = self.offset.min(WINDOW as u64);
        let mut tail = vec![0; length as usize];
        let count = file.read_at(&mut tail, self.offset - length)?;
        tail.truncate(count);
        self.tail.clear();
        keep_last(&mut self.tail, &tail);
        self.source.move_to(self.offset);
        self.is_behind = false;
        Ok(())
    }

    /// The digest of the first window of the input; none if it is shorter.
    fn whole_head(&mut self, file: &File) -> io::Result<Option<Digest>> {
        if self.head.len() < WINDOW {
            let mut head = vec![0; WINDOW];
            if file.read_at(&mut head, 0)? < WINDOW {
                return Ok(None);
            }
            (self.head, self.head_digest) = (head, None);
        }
        Ok(Some(*self.head_digest.get_or_insert_with(|| digest(&self.head))))
    }
}

/// The offset behind the last line end between two offsets, if it is near the second one.
fn last_line_end(file: &File, start: u64, most: u64) -> io::Result<Option<u64>> {
    let mut buffer = [0; LOOKS[0]];
    let mut longer = Vec::new();
    for look in LOOKS {
        let bytes = if look <= buffer.len() {
            &mut buffer[..]
        } else {
            longer.resize(look, 0);
            &mut longer[..]
        };
        let from = most.saturating_sub(look as u64).max(start);
        let bytes = &mut bytes[..(most - from) as usize];
        if file.read_at(bytes, from)? < bytes.len() {
            return Ok(None);
        }
        if let Some(at) = memchr::memrchr(b'\n', bytes) {
            return Ok(Some(from + at as u64 + 1));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::super::ReadPlan;
    use super::*;
    use crate::format::KEPT;
    use crate::intake::chunk::CHUNK;
    use crate::intake::source::{Source, Start};
    use std::path::Path;

    const SMALL: usize = 64 << 10;

    /// What of a chunk two ways of cutting have to agree on.
    #[derive(Debug, PartialEq)]
    struct Seen {
        kind: ChunkKind,
        start: u64,
        end: u64,
        column: u64,
        windows: Windows,
        bytes: Vec<u8>,
    }

    /// All chunks, and how many of them were ranges.
    fn cut(path: &Path, in_ranges: bool) -> (Vec<Seen>, usize) {
        let never = || false;
        let plan = ReadPlan { chunk: CHUNK, range: CHUNK, ..ReadPlan::new(None, KEPT) };
        let mut chunker = Chunker::new(Source::open(path).unwrap(), 0, Start::default(), plan, &never);
        chunker.in_ranges &= in_ranges;
        let (mut chunks, mut ranges, mut buffer) = (Vec::new(), 0, None);
        loop {
            let chunk = match chunker.claim() {
                Some(range) => {
                    ranges += 1;
                    range.read(&mut buffer, 0).unwrap().unwrap()
                }
                None => match chunker.next(&mut buffer).unwrap() {
                    Some(chunk) => chunk,
                    None => return (chunks, ranges),
                },
            };
            let bytes = chunk.bytes().to_vec();
            let Chunk { kind, start, end, column, windows, .. } = chunk;
            chunks.push(Seen { kind, start, end, column, windows, bytes });
            buffer = Some(chunk.buffer);
        }
    }

    fn lines(bytes: usize, length: impl Fn(usize) -> usize) -> Vec<u8> {
        let mut out = Vec::new();
        for number in 0.. {
            if out.len() >= bytes {
                return out;
            }
            out.extend(std::iter::repeat_n(b'a' + (number % 26) as u8, length(number)));
            out.push(b'\n');
        }
        out
    }

    #[test]
    fn a_range_is_the_chunk_that_reading_would_have_cut() {
        let hole = || vec![0; CHUNK + 77];
        let some = lines(3 * CHUNK, |number| number * 7 % 300);
        let far = lines(3 * CHUNK, |number| if number % 9 == 0 { 700_000 } else { 100 });
        let files = [
            (some.clone(), 2),
            ([&some, &b"no end"[..]].concat(), 2),
            (far.clone(), 0),
            ([some.clone(), hole(), b"\n".to_vec(), some.clone()].concat(), 4),
            ([some.clone(), vec![b'x'; 3 * CHUNK], b"\n".to_vec(), some.clone(), hole()].concat(), 4),
            ([b"\n".to_vec(), far, some.clone()].concat(), 2),
            (b"short\n".to_vec(), 0),
            (Vec::new(), 0),
        ];
        let directory = tempfile::tempdir().unwrap();
        for (number, (bytes, least)) in files.iter().enumerate() {
            let path = directory.path().join(number.to_string());
            std::fs::write(&path, bytes).unwrap();
            let ((one, none), (other, ranges)) = (cut(&path, false), cut(&path, true));
            assert!(one == other, "file {number}: {:?}", one.iter().zip(&other).find(|(one, other)| one != other));
            assert!(none == 0 && ranges >= *least, "file {number}: {ranges} ranges");
        }
    }

    #[test]
    fn every_byte_is_in_one_range_whatever_their_length() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        let bytes = lines(40 * SMALL, |number| number * 31 % 5000);
        std::fs::write(&path, &bytes).unwrap();
        let never = || false;
        for range in [SMALL, SMALL + 1, 3 * SMALL - 7] {
            let plan = ReadPlan { range, ..ReadPlan::new(Some(Shape::Lines), KEPT) };
            let mut chunker = Chunker::new(Source::open(&path).unwrap(), 0, Start::default(), plan, &never);
            let (mut at, mut ranges) = (0, 0);
            while let Some(claimed) = chunker.claim() {
                let chunk = claimed.read(&mut None, 0).unwrap().unwrap();
                assert_eq!((chunk.start, chunk.column, claimed.length() <= range), (at, 0, true));
                assert_eq!(chunk.bytes(), &bytes[at as usize..chunk.end as usize]);
                assert_eq!(chunk.bytes().last(), Some(&b'\n'));
                (at, ranges) = (chunk.end, ranges + 1);
            }
            assert!(ranges >= 10 && bytes.len() as u64 - at < range as u64);
            let last = chunker.next(&mut None).unwrap().unwrap();
            assert_eq!((last.start, last.end), (at, bytes.len() as u64));
            assert_eq!(last.windows.tail, digest(&bytes[bytes.len() - WINDOW..]));
            assert_eq!(last.windows.head, digest(&bytes[..WINDOW]));
            assert!(chunker.next(&mut None).unwrap().is_none());
        }
    }

    #[test]
    fn what_changed_after_it_was_claimed_is_given_back_and_read_as_ever() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        let bytes = lines(10 * SMALL, |_| 99);
        let never = || false;
        for cut in [0, SMALL / 2, SMALL + 50] {
            std::fs::write(&path, &bytes).unwrap();
            let plan = ReadPlan { range: SMALL, ..ReadPlan::new(Some(Shape::Lines), KEPT) };
            let mut chunker = Chunker::new(Source::open(&path).unwrap(), 0, Start::default(), plan, &never);
            let [first, second, third] = [(); 3].map(|()| chunker.claim().unwrap());
            File::options().write(true).open(&path).unwrap().set_len(cut as u64).unwrap();
            let gone: Vec<&LineRange> =
                [&third, &second, &first].into_iter().filter(|it| it.read(&mut None, 0).unwrap().is_none()).collect();
            assert_eq!(gone.len(), if cut > SMALL { 2 } else { 3 });
            // The order in which it is noticed does not matter, as long as the first one is given back last.
            gone.iter().for_each(|range| chunker.give_back(range));
            assert!(chunker.claim().is_none());
            let from = gone.last().unwrap().start;
            let found = chunker.next(&mut None);
            if cut as u64 >= from + 100 {
                let chunk = found.unwrap().unwrap();
                assert_eq!((chunk.start, chunk.end), (from, (cut / 100 * 100) as u64));
                assert!(chunker.next(&mut None).is_err(), "it shrank");
            } else {
                assert!(found.is_err(), "it shrank");
            }
        }
    }
}
