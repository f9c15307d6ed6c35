//! What has no end where a chunk would be cut: a reject that is too long to be held, and what the input ends in.

use super::chunker::{Chunker, Cut, judged};
use super::{ChunkKind, Long};
use crate::error::Result;
use crate::format::KEPT;
use crate::intake::framer::Framer;
use crate::intake::parse::Reason;
use crate::intake::shape::Shape;
use crate::intake::source::Got;

impl Chunker<'_> {
    /// What is left at the end of the input, all of it in the buffer. If the input cannot grow, it is a reject for good.
    pub(super) fn incomplete(&mut self, bytes: &[u8], reason: Option<Reason>) -> Cut {
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
    pub(super) fn skip(&mut self, buffer: &mut [u8], reason: Reason) -> Result<Option<Cut>> {
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

    /// Where the reject that is passed over ends, if it ends in these bytes: behind its line end, or its last byte.
    fn end_of_reject(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.plan.shape != Some(Shape::Document) {
            return memchr::memchr(b'\n', bytes).map(|at| at + 1);
        }
        let (before, mut items) = (self.framer.at(), Vec::new());
        self.framer.feed(bytes, &mut items, 1);
        items.first().map(|item| (item.end - before) as usize)
    }

    /// Whether the document is an array, of which the end is missing so far.
    pub(super) fn is_unclosed(&self) -> bool {
        let is_open = self.framer.level() > 0 && is_array(&self.head);
        // A bracket may be part of a reject.
        self.unclosed && self.plan.shape == Some(Shape::Document) && is_open && last_of(&self.tail) != Some(b']')
    }

    /// At the end of the input: a chunk without a byte, which says that an array has no end, once.
    pub(super) fn unclosed_array(&mut self, buffer: &[u8], filled: usize) -> Option<Cut> {
        // What comes before the first item was not taken.
        if self.offset == 0 {
            self.pass(&buffer[..filled]);
        }
        let unclosed = self.is_unclosed();
        self.unclosed = false;
        let long = Long { reason: Reason::NotJson, length: 0, line_ends: 0 };
        unclosed.then(|| self.whole(ChunkKind::Left(long), &[], 0))
    }
}

/// Whether the first thing in an input is a bracket.
pub(in crate::intake) fn is_array(head: &[u8]) -> bool {
    head.iter().find(is_something) == Some(&b'[')
}

/// The last byte that stands for something.
pub(in crate::intake) fn last_of(bytes: &[u8]) -> Option<u8> {
    bytes.iter().rev().find(is_something).copied()
}

fn is_something(byte: &&u8) -> bool {
    !matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0xef | 0xbb | 0xbf)
}
