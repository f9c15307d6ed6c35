//! An input cut into chunks between objects, before anybody parses them.

mod ranges;

use std::io;

pub use ranges::Range;

use super::framer::{Framer, Item};
use super::parse::{self, MAX_OBJECT, Reason, Scratch, Text};
use super::shape::Shape;
use super::source::{Got, Source, Start, keep_last};
use crate::base::memory::Zeros;
use crate::error::{Error, Result};
use crate::format::batch::Windows;
use crate::format::{Digest, KEPT, WINDOW, digest};

/// Bytes of a chunk, and the longest stretch without an end that is held in memory, where there is room for it.
pub const CHUNK: usize = 4 << 20;

/// The least that will do: an event has to fit, and more of what comes behind it than a little.
pub const LEAST_CHUNK: usize = 3 * MAX_OBJECT / 2;

/// What a chunk is.
#[derive(Debug, PartialEq, Eq)]
pub enum ChunkKind {
    /// Lines. The first one may have begun before, if it is long, and the last one may be the start of such a one, or the last
    /// of the input: then it has only events.
    Lines,
    /// Items of a document, whole, and what stands between them.
    Document(Vec<Item>),
    /// One reject that is too long to be held; the chunk has its first bytes only.
    Reject(Long),
    /// The incomplete end of an input that may still grow: it is not consumed, and the chunk has its first bytes only. One
    /// without a byte is a document that is an array and has no end.
    Left(Long),
}

/// A stretch of the input of which the first bytes are at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long {
    /// Why it is no event.
    pub reason: Reason,
    /// Its bytes, without the `\n` that it may end at.
    pub length: u64,
    /// Line ends in it, and the one that it ends at.
    pub line_ends: u64,
}

/// A piece of input and its place.
pub struct Chunk {
    /// What it is.
    pub kind: ChunkKind,
    /// Offset of its first byte.
    pub start: u64,
    /// NUL bytes at its start that are not in the buffer: of a hole there may be gigabytes.
    pub skipped: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// Bytes of its first line that come before those in the buffer.
    pub column: u64,
    /// What the input looks like at `end`.
    pub windows: Windows,
    /// Its bytes: the first `length` of them, but for those that were passed.
    pub buffer: Zeros,
    /// How many of the buffer's bytes are the chunk's.
    pub length: usize,
    /// How many of those are no longer.
    pub passed: usize,
}

impl Chunk {
    /// Offset of the first byte in the buffer.
    pub fn base(&self) -> u64 {
        self.start + self.skipped
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.passed..self.length]
    }

    /// What the input looks like behind the first `count` bytes, of which there are [`WINDOW`] or more.
    pub fn windows_behind(&self, count: usize) -> Windows {
        let end = self.passed + count;
        let tail = digest(&self.buffer[end.saturating_sub(WINDOW)..end]);
        Windows { tail_length: WINDOW as u16, tail, ..self.windows }
    }

    /// Goes on behind the first `count` bytes, as if the chunk began there.
    pub fn pass(&mut self, count: usize) {
        let bytes = &self.bytes()[..count];
        self.column = match memchr::memrchr(b'\n', bytes) {
            Some(end) => (count - end - 1) as u64,
            None => self.column + count as u64,
        };
        self.start = self.base() + count as u64;
        self.skipped = 0;
        self.passed += count;
        if let ChunkKind::Document(items) = &mut self.kind {
            items.retain(|item| item.start >= self.start);
        }
    }

    /// Whether its last line goes on behind it, or has no end.
    pub fn ends_in_a_line(&self) -> bool {
        let ends_with_one = match &self.kind {
            ChunkKind::Reject(long) => self.end - self.base() > long.length,
            _ => self.bytes().last() == Some(&b'\n'),
        };
        !ends_with_one
    }
}

/// How to read.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// What the input is, if that is known: else its first bytes say.
    pub shape: Option<Shape>,
    /// How many bytes of a reject are kept at least, if it has them.
    pub keep: usize,
    /// Brackets of a document that are open where reading begins.
    pub level: i64,
    /// Bytes of a chunk that is cut by reading it, [`LEAST_CHUNK`] or more.
    pub chunk: usize,
    /// Bytes of a range.
    pub range: usize,
}

impl Plan {
    /// With pieces of the usual size, from the start of an input.
    pub fn new(shape: Option<Shape>, keep: usize) -> Plan {
        Plan { shape, keep, level: 0, chunk: CHUNK, range: CHUNK }
    }
}

/// Reads chunks.
pub struct Chunker<'a> {
    source: Source,
    stop: &'a (dyn Fn() -> bool + Sync),
    plan: Plan,
    /// Offset of the next chunk.
    offset: u64,
    /// Bytes of its first line that come before it.
    column: u64,
    /// Where a hole of NUL bytes began that was read up to `offset`, and is not consumed before something comes behind it: a
    /// file may be written into later.
    hole: Option<u64>,
    /// The start of something whose end is still to come.
    carry: Vec<u8>,
    head: Vec<u8>,
    head_digest: Option<Digest>,
    tail: Vec<u8>,
    /// Of a document: where its items are. It has looked at what is carried over.
    framer: Framer,
    /// Nobody was told yet that the array which the document is has no end.
    unclosed: bool,
    ended: bool,
    failure: Option<io::Error>,
    /// Whether ranges may be claimed.
    in_ranges: bool,
    /// The source does not stand at `offset`, since what is before it was claimed and not read.
    is_behind: bool,
}

/// What of the input, and of the buffer, a chunk is.
struct Cut {
    kind: ChunkKind,
    start: u64,
    skipped: u64,
    column: u64,
    length: usize,
}

/// What of a buffer is whole.
#[derive(Default)]
struct Found {
    /// How much of it was looked at.
    searched: usize,
    /// Lines: where the last line end is.
    last_end: Option<usize>,
    /// A document: the items that end in it.
    items: Vec<Item>,
}

impl<'a> Chunker<'a> {
    /// From a source that stands at `offset`. Reading ends early, between chunks, once `stop` says so.
    pub fn new(
        source: Source,
        offset: u64,
        start: Start,
        plan: Plan,
        stop: &'a (dyn Fn() -> bool + Sync),
    ) -> Chunker<'a> {
        let Start { head, tail, column, .. } = start;
        let (carry, head_digest, framer) = (Vec::new(), None, Framer::new(offset).at_level(plan.level));
        Chunker {
            source,
            stop,
            plan,
            offset,
            column,
            hole: None,
            carry,
            head,
            head_digest,
            tail,
            framer,
            unclosed: true,
            ended: false,
            failure: None,
            in_ranges: true,
            is_behind: false,
        }
    }

    /// Whether the input has ended: what is still to come was read already, and is little.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether there is nothing more to come, as far as that is known without a read.
    pub fn is_done(&self) -> bool {
        let is_read = self.ended && self.carry.is_empty() && self.hole.is_none();
        is_read && self.failure.is_none() && !self.is_unclosed()
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
        if let Err(error) = self.catch_up() {
            self.ended = true;
            return Err(self.error(&error));
        }
        let mut buffer = match spare.take() {
            Some(buffer) if buffer.len() >= self.plan.chunk => buffer,
            _ => Zeros::new(self.plan.chunk, "a piece of the input")?,
        };
        let most = self.plan.chunk;
        match self.cut(&mut buffer[..most]) {
            Ok(Some(cut)) => Ok(Some(self.finish(cut, buffer))),
            other => {
                *spare = Some(buffer);
                other.map(|_| None)
            }
        }
    }

    /// Reads the next chunk into the start of the buffer.
    fn cut(&mut self, buffer: &mut [u8]) -> Result<Option<Cut>> {
        let (mut filled, mut found) = self.fill(buffer);
        while filled == buffer.len() && !self.ended && !(self.stop)() && self.is_between() && is_hole(&buffer[..filled])
        {
            self.hole.get_or_insert(self.offset);
            self.pass(&buffer[..filled]);
            (filled, found) = self.fill(buffer);
        }
        // A file was looked at when it was opened.
        if self.offset == 0
            && self.source.is_pipe()
            && let Some(error) = self.source.foreign(&buffer[..filled])
        {
            self.ended = true;
            return Err(error);
        }
        let whole = match (self.plan.shape, found.last_end) {
            (Some(Shape::Document), _) => self.framer.open().unwrap_or(self.framer.at()) - self.offset,
            (_, Some(at)) => at as u64 + 1,
            _ => 0,
        } as usize;
        let is_document = self.plan.shape == Some(Shape::Document);
        // What a file ends in may still be written over.
        let may_grow = self.ended && self.failure.is_none() && !self.source.is_pipe();
        let end = filled - if may_grow || !self.ended { trailing_nuls(&buffer[..filled]) } else { 0 };
        let whole = if is_document && self.is_between() { whole.min(end) } else { whole };
        // Nothing is taken of a document before its first item: later it may turn out to be none.
        let is_something = self.offset > 0 || !found.items.is_empty() || !self.ended || !is_document;
        if whole > 0 && is_something {
            let kind = if is_document { ChunkKind::Document(found.items) } else { ChunkKind::Lines };
            return Ok(Some(self.whole(kind, &buffer[..filled], whole)));
        }
        if (self.stop)() {
            return Ok(None);
        }
        if let (true, Some(error)) = (self.ended, self.failure.take()) {
            return Err(self.error(&error));
        }
        let is_tail =
            end == 0 && (filled > 0 || may_grow && self.hole.is_some()) && (self.is_between() || !is_document);
        match (self.ended, is_document) {
            (true, _) if is_tail => Ok(Some(self.incomplete(&buffer[..filled], Some(Reason::NotJson)))),
            (true, _) if filled == 0 && self.hole.is_some() => Ok(Some(self.whole(ChunkKind::Lines, &[], 0))),
            (true, _) if filled == whole => Ok(self.unclosed_array(buffer, filled)),
            (true, true) => Ok(Some(self.incomplete(&buffer[..filled], None))),
            (_, true) => self.skip(buffer, judged(buffer)),
            (_, false) => {
                // Of a line that is longer than the buffer, as much is looked at as must have an end if it is an event.
                let margin = if self.ended { 0 } else { MAX_OBJECT };
                match parse::events(&buffer[..filled], margin) {
                    (0, Some(reason)) if self.ended => Ok(Some(self.incomplete(&buffer[..filled], Some(reason)))),
                    (0, reason) => self.skip(buffer, reason.unwrap_or(Reason::TooLong)),
                    (events, _) => Ok(Some(self.whole(ChunkKind::Lines, &buffer[..filled], events.min(end)))),
                }
            }
        }
    }

    /// Reads until the buffer is full, the input has ended or is silent; gives the bytes that are there, and what is whole of
    /// them. A silent input is waited for as long as nothing is.
    fn fill(&mut self, buffer: &mut [u8]) -> (usize, Found) {
        let mut filled = self.carry.len();
        buffer[..filled].copy_from_slice(&self.carry);
        self.carry.clear();
        let mut found = Found::default();
        if self.plan.shape == Some(Shape::Document) {
            found.searched = (self.framer.at() - self.offset) as usize;
        }
        loop {
            let mut idle = false;
            if filled < buffer.len() && !self.ended {
                match self.source.read(&mut buffer[filled..]) {
                    Ok(Got::Bytes(0)) => self.ended = true,
                    Ok(Got::Bytes(count)) => filled += count,
                    Ok(Got::Idle) => idle = true,
                    Err(error) => {
                        self.failure = Some(error);
                        self.ended = true;
                    }
                }
            }
            let over = filled == buffer.len() || self.ended || (self.stop)();
            if idle || over || self.plan.shape.is_none() {
                self.search(&buffer[..filled], &mut found);
            }
            if over || idle && (found.last_end.is_some() || !found.items.is_empty()) {
                return (filled, found);
            }
        }
    }

    /// Looks for what is whole among the bytes that were not looked at.
    fn search(&mut self, bytes: &[u8], found: &mut Found) {
        if self.plan.shape.is_none() {
            self.plan.shape = Shape::of(bytes, self.ended && self.failure.is_none());
        }
        let new = &bytes[found.searched..];
        match self.plan.shape {
            None => return,
            Some(Shape::Document) => self.framer.feed(new, &mut found.items, usize::MAX),
            Some(Shape::Lines) => {
                let last = memchr::memrchr(b'\n', new).map(|at| found.searched + at);
                found.last_end = last.or(found.last_end);
            }
        }
        found.searched = bytes.len();
    }

    /// What is left at the end of the input, all of which is in the buffer. It is for good if the input cannot grow.
    fn incomplete(&mut self, bytes: &[u8], reason: Option<Reason>) -> Cut {
        let line_ends = memchr::memchr_iter(b'\n', bytes).count() as u64;
        let reason = reason.unwrap_or_else(|| judged(bytes));
        let skipped = self.hole.map_or(0, |start| self.offset - start);
        let length = skipped + bytes.len() as u64;
        let long = Long { reason, length, line_ends };
        self.unclosed &= self.source.is_pipe();
        let cut = self.whole(self.last(long), bytes, bytes.len());
        self.framer = Framer::new(self.offset);
        cut
    }

    /// What a stretch is that the input ends in.
    fn last(&self, long: Long) -> ChunkKind {
        if self.source.is_pipe() { ChunkKind::Reject(long) } else { ChunkKind::Left(long) }
    }

    /// Passes over what fills the whole buffer and is one reject: only its start is kept.
    fn skip(&mut self, buffer: &mut [u8], reason: Reason) -> Result<Option<Cut>> {
        let (base, column) = (self.offset, self.column);
        let start = self.hole.take().unwrap_or(base);
        let kept = buffer[..self.plan.keep.max(KEPT).min(buffer.len())].to_vec();
        let mut line_ends = memchr::memchr_iter(b'\n', buffer).count() as u64;
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
            let end = self.end_of_reject(&buffer[..count]);
            let passed = end.unwrap_or(count);
            self.carry.extend_from_slice(&buffer[passed..count]);
            line_ends += memchr::memchr_iter(b'\n', &buffer[..passed]).count() as u64;
            self.pass(&buffer[..passed]);
            let at_line_end = u64::from(end.is_some() && self.plan.shape != Some(Shape::Document));
            let long = Long { reason, length: self.offset - base - at_line_end, line_ends };
            let kind = match end {
                Some(_) => ChunkKind::Reject(long),
                None if count == 0 => {
                    self.ended = true;
                    self.unclosed &= self.source.is_pipe();
                    self.framer = Framer::new(self.offset);
                    self.last(long)
                }
                None if (self.stop)() => return Ok(None),
                None => continue,
            };
            buffer[..kept.len()].copy_from_slice(&kept);
            return Ok(Some(Cut { kind, start, skipped: base - start, column, length: kept.len() }));
        }
    }

    /// Where the reject ends that is passed over, if it does in these bytes: behind its line end, or its last byte.
    fn end_of_reject(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.plan.shape != Some(Shape::Document) {
            return memchr::memchr(b'\n', bytes).map(|at| at + 1);
        }
        let (before, mut items) = (self.framer.at(), Vec::new());
        self.framer.feed(bytes, &mut items, 1);
        items.first().map(|item| (item.end - before) as usize)
    }

    /// Whether no item of a document is open; lines have none.
    fn is_between(&self) -> bool {
        self.framer.open().is_none()
    }

    /// Whether the document is an array, of which the end is missing so far.
    fn is_unclosed(&self) -> bool {
        let is_open = self.framer.level() > 0 && is_array(&self.head);
        // A bracket may be part of a reject.
        self.unclosed && self.plan.shape == Some(Shape::Document) && is_open && last_of(&self.tail) != Some(b']')
    }

    /// At the end of the input: a chunk without a byte, which says that an array has no end, once.
    fn unclosed_array(&mut self, buffer: &[u8], filled: usize) -> Option<Cut> {
        // What comes before the first item was not taken.
        if self.offset == 0 {
            self.pass(&buffer[..filled]);
        }
        let unclosed = self.is_unclosed();
        self.unclosed = false;
        let long = Long { reason: Reason::NotJson, length: 0, line_ends: 0 };
        unclosed.then(|| self.whole(ChunkKind::Left(long), &[], 0))
    }

    /// A chunk of the first `length` bytes at hand; the others are carried over.
    fn whole(&mut self, kind: ChunkKind, bytes: &[u8], length: usize) -> Cut {
        let (base, column) = (self.offset, self.column);
        let start = self.hole.take().unwrap_or(base);
        let (bytes, rest) = bytes.split_at(length);
        self.carry.extend_from_slice(rest);
        self.pass(bytes);
        Cut { kind, start, skipped: base - start, column, length }
    }

    /// Takes note of bytes that belong to the chunk.
    fn pass(&mut self, bytes: &[u8]) {
        self.offset += bytes.len() as u64;
        self.column = match memchr::memrchr(b'\n', bytes) {
            Some(end) => (bytes.len() - end - 1) as u64,
            None => self.column + bytes.len() as u64,
        };
        let room = WINDOW.saturating_sub(self.head.len());
        self.head.extend_from_slice(&bytes[..bytes.len().min(room)]);
        keep_last(&mut self.tail, bytes);
    }

    fn finish(&mut self, Cut { kind, start, skipped, column, length }: Cut, buffer: Zeros) -> Chunk {
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
        Chunk { kind, start, skipped, end: self.offset, column, windows, buffer, length, passed: 0 }
    }
}

/// Whether there is nothing but NUL bytes.
fn is_hole(bytes: &[u8]) -> bool {
    let (blocks, rest) = bytes.as_chunks::<64>();
    blocks.iter().all(|block| block.iter().fold(0, |all, byte| all | byte) == 0) && rest.iter().all(|byte| *byte == 0)
}

/// How many NUL bytes stand last.
fn trailing_nuls(bytes: &[u8]) -> usize {
    bytes.iter().rev().take_while(|byte| **byte == 0).count()
}

/// Why bytes that are no event are none.
fn judged(bytes: &[u8]) -> Reason {
    parse::parse(Text::new(bytes), &mut Scratch::default()).err().unwrap_or(Reason::NotJson)
}

/// Whether the first thing in an input is a bracket.
pub(super) fn is_array(head: &[u8]) -> bool {
    head.iter().find(is_something) == Some(&b'[')
}

/// The last byte that stands for something.
pub(super) fn last_of(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().find(is_something).copied()
}

fn is_something(byte: &&u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0xef | 0xbb | 0xbf)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::known::Known;
    use std::path::Path;

    const EVENT: &str = r#"{"id":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#;

    fn long(reason: Reason, length: u64, line_ends: u64) -> Long {
        Long { reason, length, line_ends }
    }

    /// Every chunk of a file with these bytes, from `offset`.
    fn chunks(bytes: &[u8], offset: u64) -> Vec<(ChunkKind, u64, u64, Vec<u8>)> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        let start = seek_by_hand(&path, offset);
        let never = || false;
        let mut chunker = Chunker::new(start.0, offset, start.1, Plan::new(None, KEPT), &never);
        let mut chunks = Vec::new();
        let mut buffer = None;
        while let Some(chunk) = chunker.next(&mut buffer).unwrap() {
            let (at, window) = (chunk.end as usize, (chunk.end as usize).min(WINDOW));
            assert_eq!(chunk.windows.head, digest(&bytes[..window]), "the head at {at}");
            assert_eq!(chunk.windows.tail, digest(&bytes[at - window..at]), "the tail at {at}");
            assert_eq!(usize::from(chunk.windows.head_length), window);
            let base = chunk.base() as usize;
            let line = bytes[..base].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            assert_eq!(chunk.column, (base - line) as u64);
            assert!(bytes[chunk.start as usize..base].iter().all(|byte| *byte == 0));
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
            left: 0,
            marks: Vec::new(),
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
    fn of_the_end_of_a_file_what_is_whole_is_taken_and_the_rest_is_left() {
        let event = EVENT.as_bytes();
        let left = |start: u64, bytes: &[u8], reason| {
            let end = start + bytes.len() as u64;
            (ChunkKind::Left(long(reason, bytes.len() as u64, 0)), start, end, bytes.to_vec())
        };
        let lines = |start: u64, bytes: &[u8]| (ChunkKind::Lines, start, start + bytes.len() as u64, bytes.to_vec());
        assert_eq!(chunks(b"", 0), []);
        assert_eq!(chunks(b"a\nb", 0), [lines(0, b"a\n"), left(2, b"b", Reason::NotJson)]);
        assert_eq!(chunks(event, 0), [lines(0, event)]);
        let several = [event, b" ", event, b"\0 "].concat();
        assert_eq!(chunks(&several, 0), [lines(0, &several)]);
        let cut = [event, &event[..20]].concat();
        assert_eq!(chunks(&cut, 0), [lines(0, event), left(event.len() as u64, &event[..20], Reason::NotJson)]);
        let x = vec![b'x'; MAX_OBJECT + 1];
        assert_eq!(chunks(&x, 0), [left(0, &x, Reason::NotJson)]);
    }

    #[test]
    fn of_a_reject_without_bounds_only_the_start_is_held() {
        for (length, behind) in [(CHUNK, 0), (CHUNK + 1, 5), (3 * CHUNK + 17, CHUNK + 9), (CHUNK - 1, CHUNK)] {
            let mut bytes = b"before\n".to_vec();
            bytes.extend(vec![b'x'; length]);
            bytes.push(b'\n');
            bytes.extend(lines(behind / 150));
            let found = chunks(&bytes, 0);
            let wanted = ChunkKind::Reject(long(Reason::NotJson, length as u64, 1));
            let place = found.iter().position(|chunk| chunk.0 == wanted);
            if length < CHUNK {
                // It fits a chunk of its own, and is for the parser to refuse.
                assert_eq!(place, None);
            } else {
                let (_, start, end, kept) = &found[place.unwrap()];
                assert_eq!((*start, *end, kept.len()), (7, 8 + length as u64, KEPT));
            }
            assert_eq!(found.last().map(|chunk| chunk.2), Some(bytes.len() as u64));
        }
        let mut endless = vec![b'x'; 2 * CHUNK + 3];
        assert_eq!(chunks(&endless, 0)[0].0, ChunkKind::Left(long(Reason::NotJson, 2 * CHUNK as u64 + 3, 0)));
        endless.extend(b"\nlast\n");
        let found = chunks(&endless, 0);
        assert_eq!(found[1].3, b"last\n");
    }

    #[test]
    fn a_line_that_is_longer_than_a_chunk_is_cut_between_its_events() {
        let hole = vec![0; CHUNK + 5];
        let events = EVENT.repeat(2 * CHUNK / EVENT.len());
        let long_event = EVENT.replace("Hi", &"x".repeat(MAX_OBJECT - EVENT.len() + 2));
        for bytes in [
            ["\n", &events, &long_event, &events, "\n", EVENT].concat().into_bytes(),
            [b"\n", hole.as_slice(), events.as_bytes(), &hole, &hole, b"\n"].concat(),
        ] {
            let mut at = 0;
            for (kind, start, end, _) in chunks(&bytes, 0) {
                assert_eq!((kind, start), (ChunkKind::Lines, at));
                let next = bytes.get(end as usize);
                assert!(matches!(next, None | Some(b'{' | b'\n' | 0)), "{next:?}");
                at = end;
            }
            assert_eq!(at, bytes.len() as u64);
        }
        // What is no event takes the rest of its line along.
        let (bad, rest) = (EVENT.replace("id", "i"), events.len() as u64);
        let bytes = ["\n", &events, &bad, &events, "\n", &events].concat().into_bytes();
        let found = chunks(&bytes, 0);
        let reject = ChunkKind::Reject(long(Reason::MissingId, rest + bad.len() as u64, 1));
        let at = found.iter().position(|chunk| chunk.0 == reject).unwrap();
        assert_eq!((found[at].1, found[at + 1].0 == ChunkKind::Lines), (1 + rest, true));
        assert_eq!(found.last().map(|chunk| chunk.2), Some(bytes.len() as u64));
    }

    #[test]
    fn nobody_waits_for_the_end_of_a_hole_to_stop() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::File::create(&path).unwrap().set_len(100 * CHUNK as u64).unwrap();
        let asked = std::sync::atomic::AtomicU32::new(0);
        let stop = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) >= 8;
        for shape in [Shape::Lines, Shape::Document] {
            asked.store(0, std::sync::atomic::Ordering::Relaxed);
            let source = Source::open(&path).unwrap();
            let taken = source.taken.clone();
            let plan = Plan::new(Some(shape), KEPT);
            let mut chunker = Chunker::new(source, 0, Start::default(), plan, &stop);
            assert!(chunker.next(&mut None).unwrap().is_none());
            assert!(taken.load(std::sync::atomic::Ordering::Relaxed) < 20 * CHUNK as u64);
        }
    }

    #[test]
    fn the_chunks_of_a_document_are_whole_items() {
        let spread = EVENT.replace(',', ",\n  ");
        let item = format!("{spread},\n");
        let count = 3 * CHUNK / item.len();
        let bytes = format!("\u{feff}[\n{}{spread}\n]\n", item.repeat(count)).into_bytes();
        let (mut at, mut items) = (0, 0);
        for (kind, start, end, _) in chunks(&bytes, 0) {
            let ChunkKind::Document(found) = kind else { panic!("{kind:?}") };
            assert_eq!(start, at);
            for item in &found {
                assert_eq!(&bytes[item.start as usize..item.end as usize], spread.as_bytes());
                assert!(start <= item.start && item.end <= end && !item.broken);
            }
            (at, items) = (end, items + found.len());
        }
        assert_eq!((at, items), (bytes.len() as u64, count + 1));
        for (cut, left) in [(1, 0), (3, 0), (4, spread.len() as u64 - 1), (20, spread.len() as u64 - 17)] {
            let bytes = &bytes[..bytes.len() - cut];
            let last = chunks(bytes, 0).pop().unwrap();
            let ChunkKind::Left(long) = last.0 else {
                assert_eq!(cut, 1);
                continue;
            };
            assert_eq!((long.length, last.1), (left, bytes.len() as u64 - left), "{cut}");
        }
    }

    #[test]
    fn an_item_without_bounds_is_one_reject() {
        let item = format!("{{\"x\":[{}0]}}", "0,\n".repeat(CHUNK));
        let bytes = format!("[{EVENT},{item},{EVENT}]\n").into_bytes();
        let found = chunks(&bytes, 0);
        let reject = ChunkKind::Reject(long(Reason::TooLong, item.len() as u64, CHUNK as u64));
        assert_eq!(found[1].0, reject);
        assert_eq!((found[1].2 - found[1].1, found.len()), (item.len() as u64, 3));
        let bytes = format!("[{EVENT},{{\"x\":\"{} {EVENT}]", "y".repeat(2 * CHUNK)).into_bytes();
        let found = chunks(&bytes, 0);
        assert!(matches!(found[1].0, ChunkKind::Left(Long { reason: Reason::TooLong, .. })), "{:?}", found[1].0);
    }
}
