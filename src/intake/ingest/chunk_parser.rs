//! What a worker makes of a chunk: rows of events, rejects, and their sections.

use super::{Left, Parsed, Rejected, SHORTEST, SHRINKS, TOLD, Turn};
use crate::base::memory;
use crate::error::Result;
use crate::event::Event;
use crate::event::table::Table;
use crate::format::batch::{EventsEncoder, Reject, RejectsEncoder};
use crate::format::coding::{shard, site_hash};
use crate::format::frame::{Entry, SectionKind};
use crate::intake::chunk::{Chunk, ChunkKind, Long};
use crate::intake::fast;
use crate::intake::framer::Item;
use crate::intake::parse::{self, Reason, Scratch, Text, filler};
use crate::intake::repeats::{BLOCK, Filter, Line, Repeats};
use crate::store::log::Batch;

/// A worker's buffers.
#[derive(Default)]
pub(super) struct ChunkParser {
    pub(super) repeats: Repeats,
    /// How many bytes of a reject are kept.
    pub(super) keep: usize,
    /// How much of a chunk's events and rejects may be in memory at a time: then a batch is made of them.
    pub(super) share: usize,
    /// Lines of the chunk that repeat an earlier one.
    repeated: u32,
    table: Table,
    rejects: RejectsEncoder,
    events: EventsEncoder,
    scratch: Scratch,
    told: Vec<Rejected>,
    nuls: u64,
    /// Rejects before the first event.
    leading: u64,
}

/// How often one looks whether a batch is full: whenever so many bytes were parsed.
const LOOK: usize = 64 << 10;

/// The rest of a line, as the judge sees it. It is found once for all the objects in it.
#[derive(Clone, Copy)]
struct Rest<'a> {
    text: Text<'a>,
    /// Where it begins and ends in its chunk, without its `\n`.
    start: usize,
    end: usize,
}

/// Text that is no event, in its chunk.
struct Wrong<'a> {
    /// Where it begins.
    at: usize,
    /// Line ends before it.
    line: u64,
    /// Bytes of its line before it.
    column: u64,
    reason: Reason,
    /// Its bytes, of which these are at hand.
    length: u64,
    raw: &'a [u8],
}

impl<'a> Wrong<'a> {
    /// All of a chunk.
    fn of(chunk: &'a Chunk, long: &Long) -> Wrong<'a> {
        let Long { reason, length, .. } = *long;
        Wrong { at: 0, line: 0, column: chunk.column, reason, length, raw: chunk.bytes() }
    }
}

impl ChunkParser {
    /// Makes room for what most chunks come to, so that it is asked for at once and may be refused.
    pub(super) fn make_room(&mut self, chunk: &Chunk, batch: &mut Batch) -> Result<()> {
        self.table.clear();
        batch.sections.clear();
        memory::reserve(&mut self.table.rows, chunk.length / SHORTEST, "the events of a piece of the input")?;
        memory::reserve(&mut batch.sections, chunk.length / SHRINKS, "what is stored of a piece of the input")
    }

    /// Makes a batch of a chunk, or of as much of it as the share allows; passes that.
    pub(super) fn parse(&mut self, turn: Turn, chunk: &mut Chunk, mut batch: Batch) -> Parsed {
        self.table.clear();
        self.repeated = 0;
        self.nuls = if matches!(chunk.kind, ChunkKind::Left(_)) { 0 } else { chunk.skipped };
        let (mut left, all) = (None, chunk.bytes().len());
        let (taken, line_ends) = match &chunk.kind {
            ChunkKind::Lines => {
                let taken = match self.repeats.filter.take() {
                    Some(mut filter) => {
                        let lines = self.new_lines(chunk, &mut filter);
                        self.repeats.filter = Some(filter);
                        lines
                    }
                    None => self.lines(chunk),
                };
                self.repeats.judge();
                taken
            }
            ChunkKind::Document(items) => self.items(chunk, items),
            ChunkKind::Reject(long) => {
                self.reject(chunk, Wrong::of(chunk, long));
                (all, long.line_ends)
            }
            ChunkKind::Left(long @ Long { reason, length, .. }) => {
                let wrong = Wrong::of(chunk, long);
                let what = Rejected::new(&place(chunk, &wrong), *reason);
                let is_hole = *length > 0 && chunk.bytes().iter().all(|byte| *byte == 0);
                left = Some(Left { bytes: *length, is_hole, what });
                (all, 0)
            }
        };
        let is_last = taken == all;
        let (end, windows, open_line) = match is_last {
            true => (chunk.end, chunk.windows, chunk.ends_in_a_line()),
            false => {
                let ends_in_a_line = chunk.bytes()[..taken].last() != Some(&b'\n');
                (chunk.base() + taken as u64, chunk.windows_behind(taken), ends_in_a_line)
            }
        };
        let start = chunk.start;
        chunk.pass(taken);
        let rejects = u64::from(self.rejects.count());
        batch.entries.clear();
        batch.sections.clear();
        self.rejects.finish(&mut batch.entries, &mut batch.sections);
        self.events.encode(&self.table, &mut batch.entries, &mut batch.sections);
        if self.repeated > 0 {
            batch.entries.push(Entry::new(SectionKind::Repeats, 0, self.repeated, &[]));
        }
        Parsed {
            turn: Turn { permit: if is_last { turn.permit } else { 0 }, ..turn },
            is_last,
            start,
            end,
            windows,
            prepared: batch.prepare(),
            batch,
            line_ends,
            open_line,
            events: self.table.rows.len() as u64 + u64::from(self.repeated),
            rejects,
            nuls: std::mem::take(&mut self.nuls),
            leading: std::mem::take(&mut self.leading),
            told: std::mem::take(&mut self.told),
            left,
        }
    }

    /// Whether a batch is to be made of what there is.
    fn is_full(&self) -> bool {
        self.table.size() + self.rejects.size() > self.share
    }

    /// Parses lines until the batch is full; gives the bytes that were parsed, and the number of line ends.
    fn lines(&mut self, chunk: &Chunk) -> (usize, u64) {
        let bytes = chunk.bytes();
        let (mut at, mut lines, mut rest, mut look) = (0, 0, None, LOOK);
        loop {
            at = self.lines_up_to(look.min(bytes.len()), chunk, at, &mut lines, &mut rest);
            if at == bytes.len() || self.is_full() {
                return (at, lines);
            }
            look = at + LOOK;
        }
    }

    /// Parses the lines that begin before a place; gives the place behind them.
    #[inline(always)]
    fn lines_up_to<'c>(
        &mut self,
        stop: usize,
        chunk: &'c Chunk,
        mut at: usize,
        lines: &mut u64,
        rest: &mut Option<Rest<'c>>,
    ) -> usize {
        let bytes = chunk.bytes();
        while at < stop {
            if let Some((event, length)) = fast::parse(&bytes[at..]) {
                if Repeats::samples(event.id, event.timestamp) {
                    self.repeats.watch(event);
                }
                self.push(&event);
                at += length;
                *lines += u64::from(bytes[at - 1] == b'\n');
            } else {
                at = self.one(chunk, at, lines, rest);
            }
        }
        at
    }

    /// The same, but for lines that repeat one that was an event.
    fn new_lines(&mut self, chunk: &Chunk, filter: &mut Filter) -> (usize, u64) {
        let bytes = chunk.bytes();
        let (mut at, mut lines, mut rest, mut look) = (0, 0, None, LOOK);
        let mut block = [Line::default(); BLOCK];
        while at < bytes.len() {
            if at >= look {
                look = at + LOOK;
                if self.is_full() {
                    break;
                }
            }
            let count = filter.cut(&bytes[at..], &mut block);
            for Line { length, hash } in &block[..count] {
                let end = at + length;
                if filter.has(*hash) {
                    self.repeated += 1;
                    // What has no line end is no line yet: it is never among those that are remembered.
                    (at, lines) = (end, lines + 1);
                    continue;
                }
                let before = (self.table.rows.len() + 1, self.rejects.count(), self.nuls);
                while at < end {
                    match fast::parse(&bytes[at..]) {
                        Some((event, length)) => {
                            self.push(&event);
                            at += length;
                            lines += u64::from(bytes[at - 1] == b'\n');
                        }
                        None => at = self.one(chunk, at, &mut lines, &mut rest),
                    }
                }
                // A line is remembered if it is one event and nothing else.
                let is_event = (self.table.rows.len(), self.rejects.count(), self.nuls) == before;
                if is_event && bytes[at - 1] == b'\n' {
                    filter.add(*hash);
                }
            }
        }
        (at, lines)
    }

    /// Parses the object at a place in a line the thorough way, and what stands before it; keeps it, as an event or, with the
    /// rest of its line, as a reject. Gives the place behind it, and behind the line end if one follows. The `rest` is that of the
    /// line at hand, if it was looked at before.
    fn one<'c>(&mut self, chunk: &'c Chunk, from: usize, lines: &mut u64, rest: &mut Option<Rest<'c>>) -> usize {
        let bytes = chunk.bytes();
        let (skipped, nuls) = filler(&bytes[from..]);
        self.nuls += nuls;
        let at = from + skipped;
        let behind = |end: usize, lines: &mut u64| {
            *lines += u64::from(end < bytes.len());
            (end + 1).min(bytes.len())
        };
        if bytes.get(at).is_none_or(|byte| *byte == b'\n') {
            return behind(at, lines);
        }
        let Rest { text, start, end } = match *rest {
            Some(known) if at < known.end => known,
            _ => {
                let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |length| at + length);
                *rest.insert(Rest { text: Text::new(&bytes[at..end]), start: at, end })
            }
        };
        match parse::parse(text.behind(at - start), &mut self.scratch) {
            Ok((event, length)) => {
                self.table.push(&event, shard(site_hash(event.site)));
                if at + length == end { behind(end, lines) } else { at + length }
            }
            Err(reason) => {
                let raw = &bytes[at..end];
                // Once a line, since there is nothing behind a reject.
                let column = column(&bytes[..at], chunk.column);
                self.reject(chunk, Wrong { at, line: *lines, column, reason, length: raw.len() as u64, raw });
                behind(end, lines)
            }
        }
    }

    /// Parses the items of a document until the batch is full; gives the bytes that were parsed, and the number of line ends.
    fn items(&mut self, chunk: &Chunk, items: &[Item]) -> (usize, u64) {
        let bytes = chunk.bytes();
        let (mut at, mut lines, mut before, mut look) = (0, 0, chunk.column, LOOK);
        let line_ends = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        for item in items {
            if at >= look {
                look = at + LOOK;
                if self.is_full() {
                    return (at, lines);
                }
            }
            let (start, end) = ((item.start - chunk.base()) as usize, (item.end - chunk.base()) as usize);
            lines += self.between(&bytes[at..start]);
            before = column(&bytes[at..start], before);
            match fast::object(&bytes[start..]) {
                Some((event, length)) if length == end - start => self.push(&event),
                _ => self.item(chunk, *item, lines, before),
            }
            lines += line_ends(&bytes[start..end]);
            before = column(&bytes[start..end], before);
            at = end;
        }
        (bytes.len(), lines + self.between(&bytes[at..]))
    }

    /// What stands between items; gives the number of line ends in it.
    fn between(&mut self, bytes: &[u8]) -> u64 {
        let mut line_ends = 0;
        let mut rest = bytes;
        while let [byte, ..] = rest {
            let (skipped, nuls) = filler(rest);
            self.nuls += nuls;
            line_ends += u64::from(*byte == b'\n');
            rest = &rest[skipped.max(1)..];
        }
        line_ends
    }

    /// Parses an item the thorough way and keeps it.
    fn item(&mut self, chunk: &Chunk, item: Item, line: u64, column: u64) {
        let (at, end) = ((item.start - chunk.base()) as usize, (item.end - chunk.base()) as usize);
        let raw = &chunk.bytes()[at..end];
        let reason = match parse::parse(Text::new(raw), &mut self.scratch) {
            Ok((event, length)) if length == raw.len() => {
                self.table.push(&event, shard(site_hash(event.site)));
                return;
            }
            Ok(_) => Reason::NotJson,
            Err(reason) => reason,
        };
        self.reject(chunk, Wrong { at, line, column, reason, length: raw.len() as u64, raw });
    }

    #[inline(always)]
    fn push(&mut self, event: &Event<'_>) {
        self.table.push(event, shard(site_hash(event.site)));
    }

    /// Keeps a reject.
    fn reject(&mut self, chunk: &Chunk, wrong: Wrong<'_>) {
        let reject = place(chunk, &wrong);
        let raw = &wrong.raw[..wrong.raw.len().min(self.keep)];
        let offset = reject.offset - chunk.start;
        self.rejects.push(Reject { offset, line: wrong.line, raw, ..reject });
        // An event repeated was one before.
        self.leading += u64::from(self.table.rows.is_empty() && self.repeated == 0);
        if self.told.len() < TOLD {
            self.told.push(Rejected::new(&reject, wrong.reason));
        }
    }
}

/// Something wrong, with its offset in the input; its line counts from the start of the chunk.
fn place<'a>(chunk: &Chunk, wrong: &Wrong<'a>) -> Reject<'a> {
    let Wrong { at, line, column, reason, length, raw } = *wrong;
    Reject { offset: chunk.base() + at as u64, line, column, reason: reason.code(), length, raw }
}

/// The bytes of its line that come before a place: behind `bytes`, of whose first line so many come before them.
fn column(bytes: &[u8], before: u64) -> u64 {
    match memchr::memrchr(b'\n', bytes) {
        Some(end) => (bytes.len() - end - 1) as u64,
        None => before + bytes.len() as u64,
    }
}
