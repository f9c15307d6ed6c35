//! An input cut into chunks of whole lines, before anybody parses them.

use std::io;

use super::parse::MAX_LINE;
use super::source::{Got, Source, Start, keep_last};
use crate::error::{Error, Result};
use crate::format::batch::Windows;
use crate::format::{Digest, MAX_RAW, WINDOW, digest};
use crate::memory::Zeros;

/// Bytes of a chunk, and the longest stretch without a line end that is held in memory.
pub const CHUNK: usize = 4 << 20;

/// What a chunk is.
#[derive(Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Whole lines, each with its `\n`.
    Lines,
    /// The last line of the input, without `\n`. It counts only if it is an event: the rest may still come.
    Unterminated,
    /// One line that is too long, by this many bytes without its `\n`; the chunk has its first bytes only.
    TooLong(u64),
    /// Such a line that the input ends in: not consumed.
    UnterminatedTooLong(u64),
}

/// A piece of input and its place.
pub struct Chunk {
    /// What it is.
    pub kind: ChunkKind,
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// What the input looks like at `end`.
    pub windows: Windows,
    /// Its bytes: the first `length` of them.
    pub buffer: Zeros,
    /// How many of the buffer's bytes are the chunk's.
    pub length: usize,
}

impl Chunk {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Reads chunks.
pub struct Chunker<'a> {
    source: Source,
    stop: &'a (dyn Fn() -> bool + Sync),
    offset: u64,
    /// The start of a line whose end is still to come.
    carry: Vec<u8>,
    head: Vec<u8>,
    head_digest: Option<Digest>,
    tail: Vec<u8>,
    ended: bool,
    failure: Option<io::Error>,
}

/// What of the input, and of the buffer, a chunk is.
struct Cut {
    kind: ChunkKind,
    start: u64,
    length: usize,
}

impl<'a> Chunker<'a> {
    /// From a source that stands at `offset`. Reading ends early, between chunks, once `stop` says so.
    pub fn new(source: Source, offset: u64, start: Start, stop: &'a (dyn Fn() -> bool + Sync)) -> Chunker<'a> {
        let Start { head, tail, .. } = start;
        let (carry, head_digest) = (Vec::new(), None);
        Chunker { source, stop, offset, carry, head, head_digest, tail, ended: false, failure: None }
    }

    /// Whether the input has ended: what is still to come was read already, and is no more than a line.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there is nothing more to come, as far as that is known without a read.
    pub fn is_done(&self) -> bool {
        self.ended && self.carry.is_empty() && self.failure.is_none()
    }

    /// An error of a read, with its source and the offset where the next chunk would have begun.
    fn error(&self, error: &io::Error) -> Error {
        self.source.error(self.offset, error)
    }

    /// The next chunk, which takes the `spare` buffer along if there is one; `None` at the end. Without a chunk the buffer stays
    /// there. After an error there is nothing more.
    pub fn next(&mut self, spare: &mut Option<Zeros>) -> Result<Option<Chunk>> {
        if (self.stop)() {
            return Ok(None);
        }
        let mut buffer = match spare.take() {
            Some(buffer) => buffer,
            None => Zeros::new(CHUNK, "a piece of the input")?,
        };
        match self.cut(&mut buffer) {
            Ok(Some(cut)) => Ok(Some(self.finish(cut, buffer))),
            other => {
                *spare = Some(buffer);
                other.map(|_| None)
            }
        }
    }

    /// Reads the next chunk into the start of the buffer.
    fn cut(&mut self, buffer: &mut [u8]) -> Result<Option<Cut>> {
        let mut filled = self.carry.len();
        buffer[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut searched = 0;
        let mut last_end = None;
        while filled < CHUNK && !self.ended {
            match self.source.read(&mut buffer[filled..]) {
                Ok(Got::Bytes(0)) => self.ended = true,
                Ok(Got::Bytes(count)) => filled += count,
                Ok(Got::Idle) => {
                    last_end = memchr::memrchr(b'\n', &buffer[searched..filled]).map(|at| searched + at).or(last_end);
                    searched = filled;
                    if last_end.is_some() {
                        break;
                    }
                }
                Err(error) => {
                    self.failure = Some(error);
                    self.ended = true;
                }
            }
            if (self.stop)() {
                break;
            }
        }
        last_end = memchr::memrchr(b'\n', &buffer[searched..filled]).map(|at| searched + at).or(last_end);
        if let Some(at) = last_end {
            self.carry.extend_from_slice(&buffer[at + 1..filled]);
            return Ok(Some(self.whole(ChunkKind::Lines, &buffer[..at + 1])));
        }
        if (self.stop)() {
            return Ok(None);
        }
        if !self.ended {
            return self.skip_line(buffer);
        }
        if let Some(error) = self.failure.take() {
            return Err(self.error(&error));
        }
        let kind = match filled {
            0 => return Ok(None),
            length if length <= MAX_LINE => ChunkKind::Unterminated,
            length => ChunkKind::UnterminatedTooLong(length as u64),
        };
        Ok(Some(self.whole(kind, &buffer[..filled])))
    }

    /// Ends a line that fills the whole buffer: only its start is kept.
    fn skip_line(&mut self, buffer: &mut [u8]) -> Result<Option<Cut>> {
        let start = self.offset;
        let kept = buffer[..MAX_RAW].to_vec();
        self.pass(buffer);
        loop {
            let count = match self.source.read(buffer) {
                Ok(Got::Bytes(count)) => count,
                Ok(Got::Idle) => {
                    if (self.stop)() {
                        return Ok(None);
                    }
                    continue;
                }
                Err(error) => {
                    self.ended = true;
                    return Err(self.error(&error));
                }
            };
            let end = memchr::memchr(b'\n', &buffer[..count]);
            if let Some(end) = end {
                self.carry.extend_from_slice(&buffer[end + 1..count]);
            }
            self.pass(&buffer[..end.map_or(count, |end| end + 1)]);
            let whole = self.offset - start;
            let kind = match end {
                Some(_) => ChunkKind::TooLong(whole - 1),
                None if count == 0 => {
                    self.ended = true;
                    ChunkKind::UnterminatedTooLong(whole)
                }
                None if (self.stop)() => return Ok(None),
                None => continue,
            };
            buffer[..MAX_RAW].copy_from_slice(&kept);
            return Ok(Some(Cut { kind, start, length: MAX_RAW }));
        }
    }

    /// A chunk of which all bytes are at hand.
    fn whole(&mut self, kind: ChunkKind, bytes: &[u8]) -> Cut {
        let start = self.offset;
        self.pass(bytes);
        Cut { kind, start, length: bytes.len() }
    }

    /// Takes note of bytes that belong to the chunk.
    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        let room = WINDOW.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        keep_last(&mut self.tail, bytes);
    }

    fn finish(&mut self, Cut { kind, start, length }: Cut, buffer: Zeros) -> Chunk {
        let head = match self.head_digest {
            Some(head) => head,
            None => {
                let head = digest(&self.head);
                // A head that is full never changes.
                self.head_digest = Some(head).filter(|_| self.head.len() == WINDOW);
                head
            }
        };
        let windows = Windows {
            head_length: self.head.len() as u16,
            head,
            tail_length: self.tail.len() as u16,
            tail: digest(&self.tail),
        };
        Chunk { kind, start, end: self.offset, windows, buffer, length }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::known::Known;
    use std::path::Path;

    /// Every chunk of a file with these bytes, from `offset`.
    fn chunks(bytes: &[u8], offset: u64) -> Vec<(ChunkKind, u64, u64, Vec<u8>)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        let start = seek_by_hand(&path, offset);
        let never = || false;
        let mut chunker = Chunker::new(start.0, offset, start.1, &never);
        let mut chunks = Vec::new();
        let mut buffer = None;
        while let Some(chunk) = chunker.next(&mut buffer).unwrap() {
            let (at, window) = (chunk.end as usize, (chunk.end as usize).min(WINDOW));
            assert_eq!(chunk.windows.head, digest(&bytes[..window]), "the head at {at}");
            assert_eq!(chunk.windows.tail, digest(&bytes[at - window..at]), "the tail at {at}");
            assert_eq!(usize::from(chunk.windows.head_length), window);
            chunks.push((chunk.kind, chunk.start, chunk.end, chunk.buffer[..chunk.length].to_vec()));
            buffer = Some(chunk.buffer);
        }
        chunks
    }

    /// A source at `offset`, found by the checkpoint that a first reading up to there would have left.
    fn seek_by_hand(path: &Path, offset: u64) -> (Source, Start) {
        let bytes = std::fs::read(path).unwrap();
        let at = offset as usize;
        let window = at.min(WINDOW);
        let windows = Windows {
            head_length: window as u16,
            head: digest(&bytes[..window]),
            tail_length: window as u16,
            tail: digest(&bytes[at - window..at]),
        };
        let checkpoint = crate::format::batch::Checkpoint {
            instance: [0; 16],
            start: 0,
            end: offset,
            start_line: 0,
            end_line: 0,
            windows,
            name: Vec::new(),
        };
        let mut source = Source::open(path).unwrap();
        let mut known = Known::default();
        if offset > 0 {
            known.advance(checkpoint, 0, 0);
        }
        let start = source.seek(&known).unwrap();
        assert_eq!(start.found.is_some(), offset > 0);
        (source, start)
    }

    fn lines(count: usize) -> Vec<u8> {
        (0..count).flat_map(|n| format!("{n:0>width$}\n", width = 1 + n * 7 % 300).into_bytes()).collect()
    }

    #[test]
    fn chunks_are_whole_lines_that_make_up_the_input() {
        let bytes = lines(90_000);
        assert!(bytes.len() > 3 * CHUNK);
        for offset in [0, 2, 302, 4096, 5000] {
            let offset = offset + bytes[offset..].iter().position(|byte| *byte == b'\n').unwrap() + 1;
            let chunks = chunks(&bytes, offset as u64);
            let mut at = offset as u64;
            for (kind, start, end, chunk) in &chunks {
                assert_eq!((kind, *start, end - start), (&ChunkKind::Lines, at, chunk.len() as u64));
                assert_eq!(chunk.as_slice(), &bytes[at as usize..*end as usize]);
                assert_eq!(chunk.last(), Some(&b'\n'));
                at = *end;
            }
            assert_eq!(at, bytes.len() as u64);
            assert!(chunks.len() >= 3);
        }
    }

    #[test]
    fn the_last_line_without_an_end_stands_alone() {
        let found = chunks(b"a\nb", 0);
        let expected = [(ChunkKind::Lines, 0, 2, b"a\n".to_vec()), (ChunkKind::Unterminated, 2, 3, b"b".to_vec())];
        assert_eq!(found, expected);
        assert_eq!(chunks(b"", 0), []);
        assert_eq!(chunks(&vec![b'x'; MAX_LINE + 1], 0)[0].0, ChunkKind::UnterminatedTooLong(MAX_LINE as u64 + 1));
    }

    #[test]
    fn of_a_line_without_bounds_only_the_start_is_held() {
        for (length, behind) in [(CHUNK, 0), (CHUNK + 1, 5), (3 * CHUNK + 17, CHUNK + 9), (CHUNK - 1, CHUNK)] {
            let mut bytes = b"before\n".to_vec();
            bytes.extend(vec![b'x'; length]);
            bytes.push(b'\n');
            bytes.extend(lines(behind / 150));
            let found = chunks(&bytes, 0);
            let long = found.iter().position(|chunk| chunk.0 == ChunkKind::TooLong(length as u64));
            if length < CHUNK {
                // It fits a chunk of its own, and is for the parser to refuse.
                assert_eq!(long, None);
            } else {
                let (_, start, end, kept) = &found[long.unwrap()];
                assert_eq!((*start, *end, kept.len()), (7, 8 + length as u64, MAX_RAW));
            }
            assert_eq!(found.last().map(|chunk| chunk.2), Some(bytes.len() as u64));
        }
        let mut endless = vec![b'x'; 2 * CHUNK + 3];
        assert_eq!(chunks(&endless, 0)[0].0, ChunkKind::UnterminatedTooLong(2 * CHUNK as u64 + 3));
        endless.extend(b"\nlast\n");
        let found = chunks(&endless, 0);
        assert_eq!(found[1].3, b"last\n");
    }
}
