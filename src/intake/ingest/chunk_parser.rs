//! What a worker makes of a chunk: rows of events, rejects, and their sections.
//!
//! Here are documents and what is common to all chunks; the loops over lines are in `lines`.

mod lines;

use super::notice::{Left, Rejected};
use crate::base::memory;
use crate::error::Result;
use crate::event::Event;
use crate::event::table::Table;
use crate::format::checkpoint::Windows;
use crate::format::coding::{shard, site_hash};
use crate::format::directory::{Entry, SectionKind};
use crate::format::events::EventsEncoder;
use crate::format::rejects::{Reject, RejectsEncoder};
use crate::intake::chunk::{Chunk, ChunkKind, Long};
use crate::intake::fast;
use crate::intake::framer::Item;
use crate::intake::parse::{self, Reason, Scratch, Text, filler};
use crate::intake::repeats::Repeats;
use crate::store::log::{Batch, Prepared};

/// Bytes of the shortest event, or fewer.
const SHORTEST: usize = 80;

/// An event takes about one part of so many of its bytes in the log, or less, if its id is a UUID.
const SHRINKS: usize = 4;

/// Rejects of one chunk that are told one by one; the rest is counted.
const TOLD: usize = 3;

/// How often to check whether a batch is full: whenever so many bytes were parsed.
const CHECK_EVERY: usize = 64 << 10;

/// What a worker made of a chunk, or of as much of it as a batch may hold.
pub(super) struct Parsed {
    /// There is no more of its chunk.
    pub(super) is_last: bool,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) windows: Windows,
    pub(super) batch: Batch,
    /// The start of its frame.
    pub(super) prepared: Prepared,
    pub(super) line_ends: u64,
    /// A line has begun and not ended.
    pub(super) open_line: bool,
    pub(super) events: u64,
    pub(super) rejects: u64,
    pub(super) nuls: u64,
    /// Rejects before the first event.
    pub(super) leading: u64,
    pub(super) told: Vec<Rejected>,
    /// It is the end of the input, and to be left for the next run.
    pub(super) left: Option<Left>,
}

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

/// How much of a chunk was parsed: the bytes, and the line ends in them.
struct Stretch {
    bytes: usize,
    line_ends: u64,
}

/// Text that is not an event, in its chunk.
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
    /// Makes room for what most chunks come to. It is asked for at once, so that it may be refused.
    pub(super) fn make_room(&mut self, chunk: &Chunk, batch: &mut Batch) -> Result<()> {
        self.table.clear();
        batch.sections.clear();
        memory::reserve(&mut self.table.rows, chunk.length / SHORTEST, "the events of a piece of the input")?;
        memory::reserve(&mut batch.sections, chunk.length / SHRINKS, "what is stored of a piece of the input")
    }

    /// Makes a batch of a chunk, or of as much of it as the share allows; passes that.
    pub(super) fn parse(&mut self, chunk: &mut Chunk, mut batch: Batch) -> Parsed {
        self.table.clear();
        self.repeated = 0;
        self.nuls = if matches!(chunk.kind, ChunkKind::Left(_)) { 0 } else { chunk.skipped };
        let all = chunk.bytes().len();
        let taken = match &chunk.kind {
            ChunkKind::Lines => self.lines(chunk),
            ChunkKind::Document(items) => self.items(chunk, items),
            ChunkKind::Reject(long) => {
                self.reject(chunk, Wrong::of(chunk, long));
                Stretch { bytes: all, line_ends: long.line_ends }
            }
            ChunkKind::Left(_) => Stretch { bytes: all, line_ends: 0 },
        };
        let left = left(chunk);
        let is_last = taken.bytes == all;
        let (end, windows, open_line) = match is_last {
            true => (chunk.end, chunk.windows, chunk.ends_in_a_line()),
            false => {
                let ends_in_a_line = chunk.bytes()[..taken.bytes].last() != Some(&b'\n');
                (chunk.base() + taken.bytes as u64, chunk.windows_behind(taken.bytes), ends_in_a_line)
            }
        };
        let start = chunk.start;
        chunk.pass(taken.bytes);
        let rejects = u64::from(self.rejects.count());
        self.encode(&mut batch);
        Parsed {
            is_last,
            start,
            end,
            windows,
            prepared: batch.prepare(),
            batch,
            line_ends: taken.line_ends,
            open_line,
            events: self.table.rows.len() as u64 + u64::from(self.repeated),
            rejects,
            nuls: std::mem::take(&mut self.nuls),
            leading: std::mem::take(&mut self.leading),
            told: std::mem::take(&mut self.told),
            left,
        }
    }

    /// Writes the sections of a batch.
    fn encode(&mut self, batch: &mut Batch) {
        batch.entries.clear();
        batch.sections.clear();
        self.rejects.finish(&mut batch.entries, &mut batch.sections);
        self.events.encode(&self.table, &mut batch.entries, &mut batch.sections);
        if self.repeated > 0 {
            batch.entries.push(Entry::new(SectionKind::Repeats, 0, self.repeated, &[]));
        }
    }

    /// Whether a batch is to be made of what there is.
    fn is_full(&self) -> bool {
        self.table.size() + self.rejects.size() > self.share
    }

    /// Parses the items of a document until the batch is full.
    fn items(&mut self, chunk: &Chunk, items: &[Item]) -> Stretch {
        let bytes = chunk.bytes();
        let (mut at, mut lines, mut before, mut look) = (0, 0, chunk.column, CHECK_EVERY);
        let line_ends = |bytes: &[u8]| memchr::memchr_iter(b'\n', bytes).count() as u64;
        for item in items {
            if at >= look {
                look = at + CHECK_EVERY;
                if self.is_full() {
                    return Stretch { bytes: at, line_ends: lines };
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
        let line_ends = lines + self.between(&bytes[at..]);
        Stretch { bytes: bytes.len(), line_ends }
    }

    /// Passes what stands between items; gives the number of line ends in it.
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

/// The incomplete end of an input, if the chunk is one.
fn left(chunk: &Chunk) -> Option<Left> {
    let ChunkKind::Left(long) = &chunk.kind else { return None };
    let what = Rejected::new(&place(chunk, &Wrong::of(chunk, long)), long.reason);
    let is_hole = long.length > 0 && chunk.bytes().iter().all(|byte| *byte == 0);
    Some(Left { bytes: long.length, is_hole, what })
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
