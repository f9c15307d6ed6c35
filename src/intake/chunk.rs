//! An input cut into chunks between objects, before anybody parses them.
//!
//! A [`Chunker`] reads, and cuts where a line or an item ends. What has no end within a chunk, and what the input ends in, is in
//! `ends`. A plain file of lines is cut without being read (`ranges`).

mod chunker;
mod ends;
mod ranges;

pub use chunker::{Chunker, ReadPlan};
pub(super) use ends::{is_array, last_of};
pub use ranges::LineRange;

use super::framer::Item;
use super::parse::{MAX_OBJECT, Reason};
use crate::base::memory::Zeros;
use crate::format::checkpoint::Windows;
use crate::format::{WINDOW, digest};

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
    /// Why it is not an event.
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
    /// Holds its bytes: the first `length` of them, except for those that were passed.
    pub buffer: Zeros,
    /// How many of the buffer's bytes are the chunk's.
    pub length: usize,
    /// How many of those it no longer has.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::KEPT;
    use crate::intake::known::Known;
    use crate::intake::shape::Shape;
    use crate::intake::source::{Source, Start};
    use std::path::Path;

    const EVENT: &str = r#"{"id":"x","type":"message","from":"v","site_id":"1","timestamp":7,"data":{"message":"Hi"}}"#;

    fn long(reason: Reason, length: u64, line_ends: u64) -> Long {
        Long { reason, length, line_ends }
    }

    /// A chunk, and a copy of its bytes.
    #[derive(Debug, PartialEq)]
    struct Seen {
        kind: ChunkKind,
        start: u64,
        end: u64,
        bytes: Vec<u8>,
    }

    /// Every chunk of a file with these bytes, from `offset`.
    fn chunks(bytes: &[u8], offset: u64) -> Vec<Seen> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        std::fs::write(&path, bytes).unwrap();
        let start = seek_by_hand(&path, offset);
        let never = || false;
        let mut chunker = Chunker::new(start.0, offset, start.1, ReadPlan::new(None, KEPT), &never);
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
            let bytes = chunk.buffer[..chunk.length].to_vec();
            chunks.push(Seen { kind: chunk.kind, start: chunk.start, end: chunk.end, bytes });
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
        let checkpoint = crate::format::checkpoint::Checkpoint {
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
            for chunk in &chunks {
                let length = chunk.end - chunk.start;
                assert_eq!((&chunk.kind, chunk.start, length), (&ChunkKind::Lines, at, chunk.bytes.len() as u64));
                assert_eq!(chunk.bytes, &bytes[at as usize..chunk.end as usize]);
                assert_eq!(chunk.bytes.last(), Some(&b'\n'));
                at = chunk.end;
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
            let kind = ChunkKind::Left(long(reason, bytes.len() as u64, 0));
            Seen { kind, start, end, bytes: bytes.to_vec() }
        };
        let lines = |start: u64, bytes: &[u8]| {
            let end = start + bytes.len() as u64;
            Seen { kind: ChunkKind::Lines, start, end, bytes: bytes.to_vec() }
        };
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
            let place = found.iter().position(|chunk| chunk.kind == wanted);
            if length < CHUNK {
                // It fits a chunk of its own, and is for the parser to refuse.
                assert_eq!(place, None);
            } else {
                let Seen { start, end, bytes: kept, .. } = &found[place.unwrap()];
                assert_eq!((*start, *end, kept.len()), (7, 8 + length as u64, KEPT));
            }
            assert_eq!(found.last().map(|chunk| chunk.end), Some(bytes.len() as u64));
        }
        let mut endless = vec![b'x'; 2 * CHUNK + 3];
        assert_eq!(chunks(&endless, 0)[0].kind, ChunkKind::Left(long(Reason::NotJson, 2 * CHUNK as u64 + 3, 0)));
        endless.extend(b"\nlast\n");
        let found = chunks(&endless, 0);
        assert_eq!(found[1].bytes, b"last\n");
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
            for Seen { kind, start, end, .. } in chunks(&bytes, 0) {
                assert_eq!((kind, start), (ChunkKind::Lines, at));
                let next = bytes.get(end as usize);
                assert!(matches!(next, None | Some(b'{' | b'\n' | 0)), "{next:?}");
                at = end;
            }
            assert_eq!(at, bytes.len() as u64);
        }
        // What is not an event takes the rest of its line along.
        let (bad, rest) = (EVENT.replace("id", "i"), events.len() as u64);
        let bytes = ["\n", &events, &bad, &events, "\n", &events].concat().into_bytes();
        let found = chunks(&bytes, 0);
        let reject = ChunkKind::Reject(long(Reason::MissingId, rest + bad.len() as u64, 1));
        let at = found.iter().position(|chunk| chunk.kind == reject).unwrap();
        assert_eq!((found[at].start, found[at + 1].kind == ChunkKind::Lines), (1 + rest, true));
        assert_eq!(found.last().map(|chunk| chunk.end), Some(bytes.len() as u64));
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
            let plan = ReadPlan::new(Some(shape), KEPT);
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
        for Seen { kind, start, end, .. } in chunks(&bytes, 0) {
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
            let ChunkKind::Left(long) = last.kind else {
                assert_eq!(cut, 1);
                continue;
            };
            assert_eq!((long.length, last.start), (left, bytes.len() as u64 - left), "{cut}");
        }
    }

    #[test]
    fn an_item_without_bounds_is_one_reject() {
        let item = format!("{{\"x\":[{}0]}}", "0,\n".repeat(CHUNK));
        let bytes = format!("[{EVENT},{item},{EVENT}]\n").into_bytes();
        let found = chunks(&bytes, 0);
        let reject = ChunkKind::Reject(long(Reason::TooLong, item.len() as u64, CHUNK as u64));
        assert_eq!(found[1].kind, reject);
        assert_eq!((found[1].end - found[1].start, found.len()), (item.len() as u64, 3));
        let bytes = format!("[{EVENT},{{\"x\":\"{} {EVENT}]", "y".repeat(2 * CHUNK)).into_bytes();
        let found = chunks(&bytes, 0);
        let kind = &found[1].kind;
        assert!(matches!(kind, ChunkKind::Left(Long { reason: Reason::TooLong, .. })), "{kind:?}");
    }
}
