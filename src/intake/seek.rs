//! Where to go on in an input: the place that it was read to, found by what is before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read as _};
use std::ops::Range;

use super::known::Known;
use super::packed::Unpacked;
use super::source::{Shrank, Start};
use crate::format::checkpoint::{Checkpoint, Mark};
use crate::format::{Digest, WINDOW, digest};

/// At most so many tails are looked at for one input, and one more for each window that it has. So an input that has its head in
/// common with thousands of others, all of other lengths, costs no more than reading it. Beyond that, only those of its own name
/// are tried.
const TAILS: u64 = 256;

/// A place in an input that a checkpoint matches.
struct Match {
    checkpoint: Checkpoint,
    /// The bytes before the place.
    tail: Vec<u8>,
}

/// Gives where to go on in a plain file, and what is known of it there.
pub(super) fn seek_plain(file: &File, name: &[u8], known: &Known) -> io::Result<(u64, Start)> {
    if known.is_empty() {
        return Ok((0, Start::default()));
    }
    let size = file.metadata()?.len();
    let mut head = vec![0; WINDOW];
    let read = crate::disk::File::read_at(file, &mut head, 0)?;
    head.truncate(read);
    let tail_at = |end: u64| {
        let length = end.min(WINDOW as u64);
        let mut tail = vec![0; length as usize];
        let read = crate::disk::File::read_at(file, &mut tail, end - length)?;
        tail.truncate(read);
        io::Result::Ok(tail)
    };
    let Some(Match { checkpoint, tail }) = find_plain(tail_at, size, &head, name, known)? else {
        let mut fits = |mark: &Mark| tail_at(mark.end).is_ok_and(|tail| digest(&tail) == mark.tail);
        let is_part = known.is_part(&head, size, &mut fits);
        return Ok((0, Start { is_part, ..Start::default() }));
    };
    let column = column_at(file, checkpoint.end, &tail)?;
    let mut changed = None;
    for mark in &checkpoint.marks {
        if changed.is_none() && digest(&tail_at(mark.end)?) != mark.tail {
            changed = Some(window_before(mark.end));
        }
    }
    head.truncate(usize::from(checkpoint.windows.head_length));
    Ok((checkpoint.end, Start { found: Some(checkpoint.instance), head, tail, column, changed, is_part: false }))
}

/// What a digest of the bytes before a place is of.
pub(super) fn window_before(end: u64) -> Range<u64> {
    end.saturating_sub(WINDOW as u64)..end
}

/// Bytes of one piece in which the start of a line is looked for.
const LOOK_BACK: usize = 256 << 10;

/// Bytes of the line that stand before `end`, of which `tail` is the last piece.
fn column_at(file: &File, end: u64, tail: &[u8]) -> io::Result<u64> {
    let mut piece = tail.to_vec();
    let mut start = end.saturating_sub(piece.len() as u64);
    loop {
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(end - start - at as u64 - 1);
        }
        if start == 0 {
            return Ok(end);
        }
        let before = start.saturating_sub(LOOK_BACK as u64);
        piece.resize((start - before) as usize, 0);
        let read = crate::disk::File::read_at(file, &mut piece, before)?;
        if read < piece.len() {
            return Err(io::Error::other(Shrank { from: end, to: before + read as u64 }));
        }
        start = before;
    }
}

/// The furthest checkpoint that a file of this size matches; `tail_at` reads the bytes before a place.
fn find_plain(
    mut tail_at: impl FnMut(u64) -> io::Result<Vec<u8>>,
    size: u64,
    head: &[u8],
    name: &[u8],
    known: &Known,
) -> io::Result<Option<Match>> {
    let matched = |checkpoint: &Checkpoint, tail| Ok(Some(Match { checkpoint: checkpoint.clone(), tail }));
    if head.len() == WINDOW {
        let candidates = known.long(head);
        let mut at = |end: u64| {
            let tail = tail_at(end)?;
            io::Result::Ok(candidates.at(end, digest(&tail)).map(|checkpoint| (checkpoint, tail)))
        };
        let mut next = candidates.end_up_to(size);
        for _ in 0..TAILS + size / WINDOW as u64 {
            let Some(end) = next else { break };
            if let Some((checkpoint, tail)) = at(end)? {
                return matched(checkpoint, tail);
            }
            next = end.checked_sub(1).and_then(|most| candidates.end_up_to(most));
        }
        if let Some(most) = next {
            for end in known.ends_of(name).rev().filter(|end| *end <= most).take(TAILS as usize) {
                if let Some((checkpoint, tail)) = at(end)? {
                    return matched(checkpoint, tail);
                }
            }
        }
    }
    match known.short(head) {
        Some(checkpoint) => matched(checkpoint, head.get(..checkpoint.end as usize).unwrap_or_default().to_vec()),
        None => Ok(None),
    }
}

/// A compressed input has no places to seek: it is decompressed up to the checkpoints, the nearest first. Usually the
/// furthest is the one, and reading goes on behind it.
pub(super) fn seek_packed(
    reader: &mut Unpacked,
    reopen: impl Fn() -> io::Result<Unpacked>,
    name: &[u8],
    known: &Known,
) -> io::Result<Start> {
    if known.is_empty() {
        return Ok(Start::default());
    }
    let mut passed = Passed::new(reader);
    // An error on the way ends the search, as the end of the input does. Reading on gives it again.
    let _ = passed.to(WINDOW as u64);
    let mut found = known.short(&passed.head);
    if passed.head.len() == WINDOW {
        let candidates = known.long(&passed.head);
        passed.marks = candidates.marks(TAILS as usize);
        let (mut next, mut tries) = (candidates.end_from(0), 0);
        while let Some(end) = next {
            let _ = passed.to(end);
            if passed.offset != end {
                break;
            }
            found = candidates.at(end, digest(&passed.tail)).or(found);
            tries += 1;
            next = match tries < TAILS + end / WINDOW as u64 {
                true => candidates.end_from(end + 1),
                false => known.ends_of(name).find(|other| *other > end),
            };
        }
    }
    let wanted = found.map_or(0, |checkpoint| checkpoint.end);
    let mut fits = |mark: &Mark| passed.found.get(&mark.end).is_none_or(|tail| *tail == mark.tail);
    let is_part = found.is_none() && known.is_part(&passed.head, passed.offset, &mut fits);
    if passed.offset != wanted {
        *passed.reader = reopen()?;
        passed = Passed { found: passed.found, ..Passed::new(passed.reader) };
        passed.to(wanted)?;
    }
    let Passed { head, tail, column, found: tails, .. } = passed;
    let Some(checkpoint) = found else { return Ok(Start { is_part, ..Start::default() }) };
    let is_other = |mark: &&Mark| tails.get(&mark.end).is_some_and(|tail| *tail != mark.tail);
    let changed = checkpoint.marks.iter().find(is_other).map(|mark| window_before(mark.end));
    Ok(Start { found: Some(checkpoint.instance), head, tail, column, changed, is_part: false })
}

/// Reads on and keeps the first and the last bytes.
struct Passed<'a> {
    reader: &'a mut Unpacked,
    offset: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes since the last `\n`.
    column: u64,
    /// Places before which the bytes are to be known, and their digests as far as it was there.
    marks: BTreeSet<u64>,
    found: BTreeMap<u64, Digest>,
}

impl<'a> Passed<'a> {
    fn new(reader: &'a mut Unpacked) -> Passed<'a> {
        let (head, tail, marks, found) = (Vec::new(), Vec::new(), BTreeSet::new(), BTreeMap::new());
        Passed { reader, offset: 0, head, tail, column: 0, marks, found }
    }

    /// Up to `offset`, or the end.
    fn to(&mut self, offset: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.offset < offset {
            let stop = self.marks.range(self.offset + 1..).next().map_or(offset, |mark| offset.min(*mark));
            let want = usize::try_from(stop - self.offset).unwrap_or(usize::MAX).min(buffer.len());
            let read = match self.reader.read(&mut buffer[..want]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.offset += read as u64;
            let piece = &buffer[..read];
            self.head.extend_from_slice(&piece[..piece.len().min(WINDOW - self.head.len())]);
            keep_last(&mut self.tail, piece);
            self.column = match memchr::memrchr(b'\n', piece) {
                Some(at) => (read - at - 1) as u64,
                None => self.column + read as u64,
            };
            if self.marks.contains(&self.offset) {
                self.found.insert(self.offset, digest(&self.tail));
            }
        }
        Ok(())
    }
}

/// Appends to a window of the last 4,096 bytes.
pub(super) fn keep_last(window: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(WINDOW)..];
    let keep = (WINDOW - bytes.len()).min(window.len());
    window.drain(..window.len() - keep);
    window.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::intake::known::tests::checkpoint as read_up_to;
    use crate::intake::source::{Got, Source};
    use proptest::prelude::*;
    use std::io::Write as _;

    /// The checkpoint that a reading of these bytes up to `end` leaves.
    fn checkpoint(number: u32, bytes: &[u8], end: usize) -> Checkpoint {
        let name = number.to_string().into_bytes();
        Checkpoint { name, ..read_up_to(u128::from(number).to_be_bytes(), bytes, end) }
    }

    /// Whether both digests of a checkpoint verify.
    fn matches(checkpoint: &Checkpoint, bytes: &[u8]) -> bool {
        let (windows, end) = (&checkpoint.windows, checkpoint.end as usize);
        let tail = end.checked_sub(usize::from(windows.tail_length)).and_then(|start| bytes.get(start..end));
        bytes.get(..usize::from(windows.head_length)).is_some_and(|head| digest(head) == windows.head)
            && tail.is_some_and(|tail| digest(tail) == windows.tail)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Inputs that have much in common, and what was read of some of them.
        #[test]
        fn the_furthest_match_is_found_as_if_each_were_tried(
            read in prop::collection::vec((0..6usize, 0..4usize, 1..12_000usize), 0..40),
            input in (0..6usize, 0..4usize, 0..12_000usize),
        ) {
            // Bytes that differ from `from` on, and from then on in one of four ways.
            let bytes = |from: usize, way: usize, end: usize| -> Vec<u8> {
                let from = [0, 10, 4000, 4096, 5000, 11_000][from];
                (0..end).map(|at| if at < from { (at % 251) as u8 } else { (at % (241 + way)) as u8 }).collect()
            };
            let mut known = Known::default();
            let mut checkpoints = Vec::new();
            for (number, (from, way, end)) in (0u32..).zip(read) {
                let checkpoint = checkpoint(number, &bytes(from, way, end), end);
                known.advance(checkpoint.clone(), 0, 0);
                checkpoints.push(checkpoint);
            }
            let bytes = bytes(input.0, input.1, input.2);
            let expected = checkpoints.iter().filter(|checkpoint| matches(checkpoint, &bytes)).map(|it| it.end).max();
            let directory = tempfile::tempdir().unwrap();
            for packed in [false, true] {
                let path = directory.path().join("input");
                if packed {
                    let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
                    encoder.write_all(&bytes).unwrap();
                    encoder.finish().unwrap();
                } else {
                    std::fs::write(&path, &bytes).unwrap();
                }
                let mut source = Source::open(&path).unwrap();
                prop_assert_eq!(source.head(5000).unwrap(), &bytes[..bytes.len().min(5000)]);
                let start = source.seek(&known).unwrap();
                prop_assert_eq!(source.head(10).unwrap(), &bytes[..bytes.len().min(10)], "without being moved");
                let end = start.found.and_then(|instance| known.get(&instance)).map(|input| input.checkpoint.end);
                prop_assert_eq!(end, expected, "packed: {}", packed);
                let at = end.unwrap_or(0) as usize;
                if end.is_some() {
                    prop_assert_eq!(&start.head, &bytes[..at.min(WINDOW)]);
                    prop_assert_eq!(&start.tail, &bytes[at - at.min(WINDOW)..at]);
                    let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                    prop_assert_eq!(start.column, (at - line) as u64);
                }
                let (mut rest, mut buffer) = (Vec::new(), [0; 5000]);
                while let Got::Bytes(count @ 1..) = source.read(&mut buffer).unwrap() {
                    rest.extend_from_slice(&buffer[..count]);
                }
                prop_assert_eq!(&rest, &bytes[at..]);
            }
        }
    }

    #[test]
    fn a_place_far_from_its_lines_start_has_its_column() {
        for (before, length) in
            [(0, 5), (0, 5000), (1, 4096), (1, 4097), (300, LOOK_BACK + 4096), (7, 3 * LOOK_BACK + 1)]
        {
            let mut bytes = vec![b'x'; before];
            bytes.extend((before > 0).then_some(b'\n'));
            bytes.extend(vec![b'x'; length]);
            let mut known = Known::default();
            known.advance(checkpoint(1, &bytes, bytes.len()), 0, 0);
            let directory = tempfile::tempdir().unwrap();
            let (plain, packed) = (directory.path().join("plain"), directory.path().join("packed"));
            std::fs::write(&plain, [&bytes, &b"more\n"[..]].concat()).unwrap();
            let mut encoder =
                flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap();
            for path in [plain, packed] {
                let start = Source::open(&path).unwrap().seek(&known).unwrap();
                assert!(start.found.is_some());
                assert_eq!(start.column, length as u64, "{path:?}, after a line of {before}");
            }
        }
    }

    #[test]
    fn of_a_damaged_packed_input_the_head_is_what_comes_before_the_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let mut packed = encoder.finish().unwrap();
        packed.truncate(packed.len() / 2);
        std::fs::write(&path, packed).unwrap();
        let head = Source::open(&path).unwrap().head(bytes.len()).unwrap();
        assert!(head.len() > 1000 && bytes.starts_with(&head), "{}", head.len());
    }

    /// Thousands of inputs that begin alike, as exports do, and are all of another length.
    #[test]
    fn of_many_that_begin_alike_few_tails_are_tried_and_those_of_the_same_name() {
        let bytes: Vec<u8> = (0..20_000u32).map(|number| (number % 251) as u8).collect();
        let mut known = Known::default();
        for number in 0..10_000 {
            let end = 5_000 + number as usize;
            let mut other = bytes[..end].to_vec();
            other[end - 1] ^= 1;
            known.advance(checkpoint(number, &other, end), 0, 0);
        }
        let tries = std::cell::Cell::new(0);
        let find = |name: &str, known: &Known| {
            tries.set(0);
            let tail_at = |end: u64| {
                tries.set(tries.get() + 1);
                Ok(bytes[end as usize - WINDOW..end as usize].to_vec())
            };
            let found = find_plain(tail_at, 20_000, &bytes[..WINDOW], name.as_bytes(), known).unwrap();
            found.map(|found| found.checkpoint.end)
        };
        assert_eq!(find("x", &known), None);
        assert!(tries.get() < 300, "{} tails", tries.get());
        // One that was so far away is found by its name.
        known.advance(checkpoint(77, &bytes, 6_000), 0, 0);
        assert_eq!(find("77", &known), Some(6_000));
        assert!(tries.get() < 300, "{} tails", tries.get());
        // And any that is near.
        known.advance(checkpoint(78, &bytes, 14_900), 0, 0);
        assert_eq!(find("x", &known), Some(14_900));
    }

    #[test]
    fn the_window_holds_the_last_bytes() {
        let mut window = Vec::new();
        let bytes: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        let mut at = 0;
        for length in [1, 100, 4095, 4096, 5000, 3, 0, 4000] {
            keep_last(&mut window, &bytes[at..at + length]);
            at += length;
            assert_eq!(window, &bytes[at.saturating_sub(WINDOW)..at]);
        }
    }
}
