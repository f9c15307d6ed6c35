//! The loops over lines: the fast path first, the judge where that says nothing, and copies of lines left out.

use super::{CHECK_EVERY, ChunkParser, Stretch, Wrong, column};
use crate::format::coding::{shard, site_hash};
use crate::intake::chunk::Chunk;
use crate::intake::fast;
use crate::intake::parse::{self, Text, filler};
use crate::intake::repeats::{BLOCK, Filter, Line, Repeats};

/// The rest of a line, as the judge sees it. It is found once for all the objects in the line.
#[derive(Clone, Copy)]
struct Rest<'a> {
    text: Text<'a>,
    /// Where it begins and ends in its chunk, without its `\n`.
    start: usize,
    end: usize,
}

/// What is known of the lines that were passed.
#[derive(Default)]
struct Passed<'a> {
    line_ends: u64,
    /// The rest of the line at hand, if the judge has looked at it before.
    rest: Option<Rest<'a>>,
}

impl ChunkParser {
    /// Parses lines until the batch is full.
    pub(super) fn lines(&mut self, chunk: &Chunk) -> Stretch {
        let taken = match self.repeats.filter.take() {
            Some(mut filter) => {
                let lines = self.new_lines(chunk, &mut filter);
                self.repeats.filter = Some(filter);
                lines
            }
            None => self.all_lines(chunk),
        };
        self.repeats.judge();
        taken
    }

    /// Parses lines until the batch is full.
    fn all_lines(&mut self, chunk: &Chunk) -> Stretch {
        let bytes = chunk.bytes();
        let (mut at, mut passed, mut look) = (0, Passed::default(), CHECK_EVERY);
        loop {
            at = self.lines_up_to(look.min(bytes.len()), chunk, at, &mut passed);
            if at == bytes.len() || self.is_full() {
                return Stretch { bytes: at, line_ends: passed.line_ends };
            }
            look = at + CHECK_EVERY;
        }
    }

    /// Parses the lines that begin before `stop`; gives the place behind them.
    // The place is not in `passed`: it has to live in a register.
    #[inline(always)]
    fn lines_up_to<'c>(&mut self, stop: usize, chunk: &'c Chunk, mut at: usize, passed: &mut Passed<'c>) -> usize {
        let bytes = chunk.bytes();
        while at < stop {
            if let Some((event, length)) = fast::parse(&bytes[at..]) {
                if Repeats::samples(event.id, event.timestamp) {
                    self.repeats.watch(event);
                }
                self.push(&event);
                at += length;
                passed.line_ends += u64::from(bytes[at - 1] == b'\n');
            } else {
                at = self.one(chunk, at, passed);
            }
        }
        at
    }

    /// The same, except for lines that repeat one that was an event.
    fn new_lines(&mut self, chunk: &Chunk, filter: &mut Filter) -> Stretch {
        let bytes = chunk.bytes();
        let (mut at, mut passed, mut look) = (0, Passed::default(), CHECK_EVERY);
        let mut block = [Line::default(); BLOCK];
        while at < bytes.len() {
            if at >= look {
                look = at + CHECK_EVERY;
                if self.is_full() {
                    break;
                }
            }
            let count = filter.cut(&bytes[at..], &mut block);
            for Line { length, hash } in &block[..count] {
                let end = at + length;
                if filter.has(*hash) {
                    self.repeated += 1;
                    // What has no line end is not a line yet: it is never among those that are remembered.
                    (at, passed.line_ends) = (end, passed.line_ends + 1);
                    continue;
                }
                let before = (self.table.rows.len() + 1, self.rejects.count(), self.nuls);
                while at < end {
                    match fast::parse(&bytes[at..]) {
                        Some((event, length)) => {
                            self.push(&event);
                            at += length;
                            passed.line_ends += u64::from(bytes[at - 1] == b'\n');
                        }
                        None => at = self.one(chunk, at, &mut passed),
                    }
                }
                // A line is remembered if it is one event and nothing else.
                let is_event = (self.table.rows.len(), self.rejects.count(), self.nuls) == before;
                if is_event && bytes[at - 1] == b'\n' {
                    filter.add(*hash);
                }
            }
        }
        Stretch { bytes: at, line_ends: passed.line_ends }
    }

    /// Parses the object at a place in a line with the judge, and what stands before it. Keeps it as an event or, with the rest of
    /// its line, as a reject. Gives the place behind it, and behind the line end if one follows.
    fn one<'c>(&mut self, chunk: &'c Chunk, from: usize, passed: &mut Passed<'c>) -> usize {
        let bytes = chunk.bytes();
        let (skipped, nuls) = filler(&bytes[from..]);
        self.nuls += nuls;
        let at = from + skipped;
        let behind = |end: usize, passed: &mut Passed<'_>| {
            passed.line_ends += u64::from(end < bytes.len());
            (end + 1).min(bytes.len())
        };
        if bytes.get(at).is_none_or(|byte| *byte == b'\n') {
            return behind(at, passed);
        }
        let Rest { text, start, end } = match passed.rest {
            Some(known) if at < known.end => known,
            _ => {
                let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
                *passed.rest.insert(Rest { text: Text::new(&bytes[at..end]), start: at, end })
            }
        };
        match parse::parse(text.behind(at - start), &mut self.scratch) {
            Ok((event, length)) => {
                self.table.push(&event, shard(site_hash(event.site)));
                if at + length == end { behind(end, passed) } else { at + length }
            }
            Err(reason) => {
                let raw = &bytes[at..end];
                // Once a line, since there is nothing behind a reject.
                let column = column(&bytes[..at], chunk.column);
                self.reject(chunk, Wrong { at, line: passed.line_ends, column, reason, length: raw.len() as u64, raw });
                behind(end, passed)
            }
        }
    }
}
