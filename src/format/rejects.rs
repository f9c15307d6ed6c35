//! The section of rejects: what of a batch's input is not an event.
//!
//! Rejects that are alike and follow one another at one distance are written as one, with their number. Otherwise a few kilobytes
//! of compressed input, millions of equal lines, would become hundreds of megabytes of store. So a few bytes can stand for
//! millions of rejects, and nothing here makes a list of them.

use super::checkpoint::Checkpoint;
use super::coding::{Decoded, Reader, put_varint};
use super::directory::{Entry, SectionKind};
use super::{MAX_KEPT, MAX_OFFSET};

/// Stands in the place of a reason where a record is a run: further rejects like the one before.
const RUN: u8 = 0;

/// Stands beside a reason where a reject does not begin its line: a column follows.
const INSIDE: u8 = 1 << 7;

/// Text that is not an event: the rest of a line, or an item of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reject<'a> {
    /// Offset of its first byte in the decompressed input.
    pub offset: u64,
    /// The number of the line that it begins in, from 1.
    pub line: u64,
    /// Bytes of that line before it.
    pub column: u64,
    /// Code of the reason.
    pub reason: u8,
    /// All its bytes, without the line end behind it.
    pub length: u64,
    /// Its first bytes.
    pub raw: &'a [u8],
}

/// Writes the section; offsets and lines count from the start of the batch.
#[derive(Default)]
pub struct RejectsEncoder {
    bytes: Vec<u8>,
    count: u32,
    /// Of the last reject.
    offset: u64,
    line: u64,
    column: u64,
    reason: u8,
    whole: u64,
    /// Where its kept bytes are among `bytes`.
    raw: std::ops::Range<usize>,
    run: Run,
}

/// Rejects that are alike, each so many bytes and lines behind the one before.
#[derive(Clone, Copy, Default)]
struct Run {
    gap: u64,
    lines: u64,
    count: u64,
}

impl RejectsEncoder {
    /// How many there are.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes that they take so far.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a reject. All its bytes at hand are kept, up to 1 MiB. Its offset and line count from the batch's start, both
    /// from 0, and ascend.
    pub fn push(&mut self, reject: Reject<'_>) {
        let Reject { offset, line, column, reason, length: whole, raw } = reject;
        let raw = &raw[..raw.len().min(MAX_KEPT)];
        let (gap, lines) = (offset - self.offset, line - self.line);
        let alike = self.count > 0
            && gap > 0
            && (reason, whole, column) == (self.reason, self.whole, self.column)
            && self.bytes.get(self.raw.clone()) == Some(raw);
        if !alike {
            self.end_run();
            put_varint(&mut self.bytes, gap);
            put_varint(&mut self.bytes, lines);
            self.bytes.push(if column > 0 { reason | INSIDE } else { reason });
            if column > 0 {
                put_varint(&mut self.bytes, column);
            }
            put_varint(&mut self.bytes, whole);
            put_varint(&mut self.bytes, raw.len() as u64);
            let start = self.bytes.len();
            self.bytes.extend_from_slice(raw);
            (self.reason, self.whole, self.column) = (reason, whole, column);
            self.raw = start..self.bytes.len();
        } else {
            // Even a run of one is shorter than its reject, which has a length and a number of kept bytes.
            if (self.run.gap, self.run.lines) != (gap, lines) {
                self.end_run();
                self.run = Run { gap, lines, count: 0 };
            }
            self.run.count += 1;
        }
        (self.offset, self.line) = (offset, line);
        self.count += 1;
    }

    /// Writes the run at hand, if there is one.
    fn end_run(&mut self) {
        let Run { gap, lines, count } = std::mem::take(&mut self.run);
        if count > 0 {
            put_varint(&mut self.bytes, gap);
            put_varint(&mut self.bytes, lines);
            self.bytes.push(RUN);
            put_varint(&mut self.bytes, count);
        }
    }

    /// Appends the section to a batch's, if there are rejects, and starts anew.
    pub fn finish(&mut self, entries: &mut Vec<Entry>, out: &mut Vec<u8>) {
        self.end_run();
        if self.count > 0 {
            entries.push(Entry::new(SectionKind::Rejects, 0, self.count, &self.bytes));
            out.extend_from_slice(&self.bytes);
        }
        self.bytes.clear();
        (self.count, self.offset, self.line) = (0, 0, 0);
    }
}

/// Checks a section of rejects as a whole and gives them, one by one and in order. That takes no memory, and as long as the
/// section is, not as long as the rejects are that it stands for.
pub fn decode_rejects<'a>(bytes: &'a [u8], count: u32, checkpoint: &Checkpoint) -> Decoded<Rejects<'a>> {
    let Checkpoint { start, end, start_line, end_line, .. } = *checkpoint;
    let (reader, left) = (Reader::new(bytes), u64::from(count));
    let records = Records { reader, left, last: None, offset: start, line: start_line, end, end_line };
    let mut checked = records.clone();
    while checked.next()?.is_some() {}
    checked.reader.end("the end of the rejects")?;
    Ok(Rejects { records, record: None, offset: start, line: start_line })
}

/// The rejects of a section that was checked.
#[derive(Clone)]
pub struct Rejects<'a> {
    records: Records<'a>,
    /// What is left of the record at hand.
    record: Option<Record<'a>>,
    /// Where the last one began.
    offset: u64,
    line: u64,
}

impl<'a> Iterator for Rejects<'a> {
    type Item = Reject<'a>;

    fn next(&mut self) -> Option<Reject<'a>> {
        let record = match &mut self.record {
            Some(record) if record.count > 0 => record,
            // What was checked has no errors any more.
            other => other.insert(self.records.next().ok()??),
        };
        record.count -= 1;
        self.offset += record.gap;
        self.line += record.lines;
        Some(Reject { offset: self.offset, line: self.line + 1, ..record.like })
    }
}

/// What one record stands for: rejects that are alike, each so many bytes and lines behind the one before.
#[derive(Clone, Copy)]
struct Record<'a> {
    /// Its place means nothing.
    like: Reject<'a>,
    gap: u64,
    lines: u64,
    count: u64,
}

/// Reads records, each of which has to be valid.
#[derive(Clone)]
struct Records<'a> {
    reader: Reader<'a>,
    /// Rejects that are still to come.
    left: u64,
    /// The reject before, which a run goes on with.
    last: Option<Reject<'a>>,
    offset: u64,
    line: u64,
    /// Where the batch ends.
    end: u64,
    end_line: u64,
}

impl<'a> Records<'a> {
    fn next(&mut self) -> Decoded<Option<Record<'a>>> {
        if self.left == 0 {
            return Ok(None);
        }
        let what = "the fields of a reject";
        let reader = &mut self.reader;
        let (gap, lines, reason) = (reader.varint(what)?, reader.varint(what)?, reader.u8(what)?);
        let record = match (reason, self.last) {
            (RUN, None) => return reader.malformed("a reject before a run of others like it"),
            (RUN, Some(like)) => {
                let count = reader.varint(what)?;
                if count == 0 || count > self.left || gap == 0 {
                    return reader.malformed("a run of as many rejects as there are, one behind the other");
                }
                Record { like, gap, lines, count }
            }
            _ => {
                let column = if reason & INSIDE == 0 { 0 } else { reader.varint(what)? };
                let reason = reason & !INSIDE;
                if reason == RUN || column >= MAX_OFFSET {
                    return reader.malformed("a reason, and a column below 2^56");
                }
                let length = reader.varint(what)?;
                let kept = reader.count(MAX_KEPT, "at most 1,048,576 bytes of a reject")?;
                let raw = reader.bytes(kept, what)?;
                if kept as u64 > length {
                    return reader.malformed("a reject inside its batch");
                }
                let like = Reject { offset: 0, line: 0, column, reason, length, raw };
                Record { like, gap, lines, count: 1 }
            }
        };
        let behind = |place: u64, gap: u64| gap.checked_mul(record.count).and_then(|all| place.checked_add(all));
        let (at, number) = (behind(self.offset, gap), behind(self.line, lines));
        match (at.filter(|at| *at < self.end), number.filter(|number| *number <= self.end_line)) {
            (Some(at), Some(number)) => (self.offset, self.line) = (at, number),
            _ => return reader.malformed("a reject inside its batch"),
        }
        self.left -= record.count;
        self.last = Some(record.like);
        Ok(Some(record))
    }
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::tests::checkpoint;
    use super::*;
    use proptest::prelude::*;

    fn reject(offset: u64, line: u64, reason: u8, length: u64, raw: &[u8]) -> Reject<'_> {
        Reject { offset, line, column: 0, reason, length, raw }
    }

    fn encoded(encoder: &mut RejectsEncoder) -> (u32, Vec<u8>) {
        let (mut entries, mut bytes) = (Vec::new(), Vec::new());
        encoder.finish(&mut entries, &mut bytes);
        (entries[0].count, bytes)
    }

    #[test]
    fn rejects_come_back() {
        let mut encoder = RejectsEncoder::default();
        encoder.push(reject(0, 0, 3, 5, b"first"));
        encoder.push(Reject { column: 77, ..reject(4000, 46, 1, 9000, &[b'x'; 8192]) });
        let (count, bytes) = encoded(&mut encoder);
        let rejects: Vec<Reject<'_>> = decode_rejects(&bytes, count, &checkpoint()).unwrap().collect();
        assert_eq!(rejects[0], Reject { offset: 100, line: 4, ..reject(0, 0, 3, 5, b"first") });
        assert_eq!(rejects[1], Reject { offset: 4100, line: 50, column: 77, ..reject(0, 0, 1, 9000, &[b'x'; 8192]) });
        assert!(decode_rejects(&bytes, 3, &checkpoint()).is_err());
        assert!(decode_rejects(&bytes, 1, &checkpoint()).is_err());
        assert_eq!(encoder.count(), 0);
    }

    #[test]
    fn those_that_are_alike_are_written_once() {
        let mut encoder = RejectsEncoder::default();
        for line in 0..2_000_000 {
            encoder.push(reject(line * 2, line, 3, 1, b"x"));
        }
        // Another distance is another run; another text, length or reason another record.
        for (offset, line, reason, whole) in
            [(4_000_010, 2_000_000, 3, 1), (4_000_020, 2_000_001, 4, 1), (4_000_030, 2_000_002, 4, 2)]
        {
            encoder.push(reject(offset, line, reason, whole, b"x"));
        }
        let (count, bytes) = encoded(&mut encoder);
        assert_eq!(count, 2_000_003);
        assert_eq!(bytes.len(), 6 + 6 + 4 + 6 + 6, "{bytes:?}");
        let within = Checkpoint { end: 5_000_000, end_line: 3_000_000, ..checkpoint() };
        let rejects = || decode_rejects(&bytes, count, &within).unwrap();
        assert_eq!(rejects().count(), 2_000_003);
        let last =
            |number| rejects().nth(number).map(|reject| (reject.offset, reject.line, reject.reason, reject.length));
        assert_eq!(last(1_999_999), Some((100 + 3_999_998, 2_000_003, 3, 1)));
        assert_eq!(last(2_000_000), Some((100 + 4_000_010, 2_000_004, 3, 1)));
        assert_eq!(last(2_000_001), Some((100 + 4_000_020, 2_000_005, 4, 1)));
        assert_eq!(last(2_000_002), Some((100 + 4_000_030, 2_000_006, 4, 2)));
        assert!(rejects().all(|reject| reject.raw == b"x"));
    }

    #[test]
    fn a_run_stands_for_no_more_than_there_are_and_stays_inside_its_batch() {
        let first: &[u8] = &[0, 0, 3, 1, 1, b'x'];
        let run = |gap: u64, lines: u64, count: u64| {
            let mut bytes = first.to_vec();
            put_varint(&mut bytes, gap);
            put_varint(&mut bytes, lines);
            bytes.push(RUN);
            put_varint(&mut bytes, count);
            bytes
        };
        let valid = |bytes: &[u8], count| decode_rejects(bytes, count, &checkpoint()).is_ok();
        assert!(valid(&run(2, 1, 46), 47));
        for (gap, lines, n, count) in [
            (2, 1, 48, 49),
            (109, 1, 46, 47),
            (2, 1, 45, 47),
            (2, 1, 46, 46),
            (2, 1, 0, 1),
            (0, 1, 1, 2),
            (u64::MAX, 0, 2, 3),
            (1 << 63, 0, 2, 3),
            (1, u64::MAX, 2, 3),
            (1, 0, u64::MAX, u32::MAX),
        ] {
            assert!(!valid(&run(gap, lines, n), count), "{gap} {lines} {n} {count}");
        }
        assert!(!valid(&run(2, 1, 1)[6..], 1), "a run of what?");
        assert!(
            valid(&[first, &[5, 1, RUN, 2], &[9, 1, RUN, 1], &[1, 1, 4, 0, 0]].concat(), 5),
            "runs behind one another"
        );
    }

    proptest! {
        #[test]
        fn other_bytes_are_refused_or_decoded_but_never_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..300), count: u32,
        ) {
            let _ = decode_rejects(&bytes, count, &checkpoint());
        }

        #[test]
        fn whatever_is_pushed_comes_back(
            raw in prop::collection::vec((0..3u64, 0..2u64, 3..5u8, 1..3u64), 1..60),
        ) {
            let mut encoder = RejectsEncoder::default();
            let (mut offset, mut line) = (0, 0);
            let mut expected = Vec::new();
            for (gap, lines, reason, length) in raw {
                (offset, line) = (offset + gap, line + lines);
                encoder.push(reject(offset, line, reason, length, &b"ab"[..length as usize]));
                expected.push((100 + offset, 4 + line, reason, length));
            }
            let within = Checkpoint { end_line: 500, ..checkpoint() };
            let (count, bytes) = encoded(&mut encoder);
            let decoded = decode_rejects(&bytes, count, &within).unwrap();
            let found: Vec<_> = decoded.map(|it| (it.offset, it.line, it.reason, it.raw.len() as u64)).collect();
            prop_assert_eq!(found, expected);
            for cut in 0..bytes.len() {
                prop_assert!(decode_rejects(&bytes[..cut], count, &within).is_err());
            }
        }
    }
}
