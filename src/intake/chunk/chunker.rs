//! The reader that cuts: it fills a buffer, looks for the last end in it, and carries the rest over to the next chunk.

use std::io;

use super::{CHUNK, Chunk, ChunkKind};
use crate::base::memory::Zeros;
use crate::error::{Error, Result};
use crate::format::checkpoint::Windows;
use crate::format::{Digest, WINDOW, digest};
use crate::intake::Extent;
use crate::intake::framer::{Framer, Item};
use crate::intake::parse::{self, MAX_OBJECT, Reason, Scratch, Text};
use crate::intake::shape::Shape;
use crate::intake::source::{Got, Source, Start, keep_last};

/// How to read an input.
#[derive(Clone, Copy, Debug)]
pub struct ReadPlan {
    /// What the input is, if that is known: else its first bytes say.
    pub shape: Option<Shape>,
    /// How many bytes of a reject are kept at least, if it has them.
    pub keep: usize,
    /// Brackets of a document that are open where reading begins.
    pub level: i64,
    /// Bytes of a chunk that is cut by reading it, [`LEAST_CHUNK`](super::LEAST_CHUNK) or more.
    pub chunk: usize,
    /// Bytes of a range.
    pub range: usize,
}

impl ReadPlan {
    /// With pieces of the usual size, from the start of an input.
    pub fn new(shape: Option<Shape>, keep: usize) -> ReadPlan {
        ReadPlan { shape, keep, level: 0, chunk: CHUNK, range: CHUNK }
    }
}

/// Reads chunks.
pub struct Chunker<'a> {
    pub(super) source: Source,
    pub(super) stop: &'a (dyn Fn() -> bool + Sync),
    pub(super) plan: ReadPlan,
    /// Offset of the next chunk.
    pub(super) offset: u64,
    /// Bytes of its first line that come before it.
    pub(super) column: u64,
    /// Where a hole of NUL bytes began that was read up to `offset`, and is not consumed before something comes behind it: a
    /// file may be written into later.
    pub(super) hole: Option<u64>,
    /// The start of something whose end is still to come.
    pub(super) carry: Vec<u8>,
    pub(super) head: Vec<u8>,
    pub(super) head_digest: Option<Digest>,
    pub(super) tail: Vec<u8>,
    /// Of a document: where its items are. It has looked at what is carried over.
    pub(super) framer: Framer,
    /// Nobody was told yet that the document is an array without an end.
    pub(super) unclosed: bool,
    pub(super) ended: bool,
    pub(super) failure: Option<io::Error>,
    /// Whether ranges may be claimed.
    pub(super) in_ranges: bool,
    /// The source does not stand at `offset`, because what is before it was claimed and not read.
    pub(super) is_behind: bool,
}

/// What of the input, and of the buffer, a chunk is.
pub(super) struct Cut {
    pub(super) kind: ChunkKind,
    pub(super) start: u64,
    pub(super) skipped: u64,
    pub(super) column: u64,
    pub(super) length: usize,
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
        plan: ReadPlan,
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
    pub(super) fn error(&self, error: &io::Error) -> Error {
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
        let (filled, found) = self.fill_past_holes(buffer);
        self.refuse_foreign(&buffer[..filled])?;
        let is_document = self.plan.shape == Some(Shape::Document);
        let whole = match (is_document, found.last_end) {
            (true, _) => (self.framer.open().unwrap_or(self.framer.at()) - self.offset) as usize,
            (false, Some(at)) => at + 1,
            (false, None) => 0,
        };
        // What a file ends in may still be written over.
        let may_grow = self.ended && self.failure.is_none() && !self.source.is_pipe();
        let end = filled - if may_grow || !self.ended { trailing_nuls(&buffer[..filled]) } else { 0 };
        let whole = if is_document && self.is_between() { whole.min(end) } else { whole };
        // Nothing is taken of a document before its first item: later it may turn out to be something else.
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
            (_, false) => self.line_without_an_end(buffer, filled, end),
        }
    }

    /// Fills the buffer with what comes behind the NUL bytes that would fill it whole.
    fn fill_past_holes(&mut self, buffer: &mut [u8]) -> (usize, Found) {
        let (mut filled, mut found) = self.fill(buffer);
        while filled == buffer.len() && !self.ended && !(self.stop)() && self.is_between() && is_hole(&buffer[..filled])
        {
            self.hole.get_or_insert(self.offset);
            self.pass(&buffer[..filled]);
            (filled, found) = self.fill(buffer);
        }
        (filled, found)
    }

    /// Refuses a pipe that begins with something other than JSON. A file was looked at when it was opened.
    fn refuse_foreign(&mut self, bytes: &[u8]) -> Result<()> {
        if self.offset == 0
            && self.source.is_pipe()
            && let Some(error) = self.source.foreign(bytes)
        {
            self.ended = true;
            return Err(error);
        }
        Ok(())
    }

    /// A chunk of a line that is longer than the buffer, or that the input ends in. `end` is where its trailing NUL bytes begin.
    fn line_without_an_end(&mut self, buffer: &mut [u8], filled: usize, end: usize) -> Result<Option<Cut>> {
        // As much is looked at as must have an end if it is an event.
        let margin = if self.ended { 0 } else { MAX_OBJECT };
        match parse::events(&buffer[..filled], margin) {
            (0, Some(reason)) if self.ended => Ok(Some(self.incomplete(&buffer[..filled], Some(reason)))),
            (0, reason) => self.skip(buffer, reason.unwrap_or(Reason::TooLong)),
            (events, _) => Ok(Some(self.whole(ChunkKind::Lines, &buffer[..filled], events.min(end)))),
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
            self.plan.shape = Shape::of(bytes, Extent::of(self.ended && self.failure.is_none()));
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

    /// Whether no item of a document is open; lines have none.
    pub(super) fn is_between(&self) -> bool {
        self.framer.open().is_none()
    }

    /// A chunk of the first `length` bytes at hand; the others are carried over.
    pub(super) fn whole(&mut self, kind: ChunkKind, bytes: &[u8], length: usize) -> Cut {
        let (base, column) = (self.offset, self.column);
        let start = self.hole.take().unwrap_or(base);
        let (bytes, rest) = bytes.split_at(length);
        self.carry.extend_from_slice(rest);
        self.pass(bytes);
        Cut { kind, start, skipped: base - start, column, length }
    }

    /// Takes note of bytes that belong to the chunk.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
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

/// Why bytes that are not an event are not one.
pub(super) fn judged(bytes: &[u8]) -> Reason {
    parse::parse(Text::new(bytes), &mut Scratch::default()).err().unwrap_or(Reason::NotJson)
}
