//! The section of a checkpoint: which input a batch is of, how far it was read, and what the input looks like there.

use super::coding::{Decoded, Reader, put_varint};
use super::{Digest, MAX_MARKS, MAX_OFFSET, MAX_SOURCE_NAME, Uid, WINDOW};

/// What identifies an input at a place: its first bytes and those before the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Bytes of the head: the place or 4,096, whichever is less.
    pub head_length: u16,
    /// Digest of the head.
    pub head: Digest,
    /// Bytes before the place: the place or 4,096, whichever is less.
    pub tail_length: u16,
    /// Digest of the bytes before the place.
    pub tail: Digest,
}

/// How far an input was read when a batch was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The instance of the input.
    pub instance: Uid,
    /// Offset, in the decompressed input, of the batch's first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// Line ends before `start`.
    pub start_line: u64,
    /// Line ends before `end`.
    pub end_line: u64,
    /// What the input looks like at `end`.
    pub windows: Windows,
    /// What the input was called: the bytes of a path, or `-`.
    pub name: Vec<u8>,
    /// Bytes behind `end` that were left for the next run, when the input had ended there.
    pub left: u64,
    /// Places before `end` at which the input can be checked, in ascending order: fewer the further they are behind.
    pub marks: Vec<Mark>,
}

/// What an input looks like before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place.
    pub end: u64,
    /// Digest of the 4,096 bytes before it, or of all there are.
    pub tail: Digest,
}

impl Checkpoint {
    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let name = &self.name[..self.name.len().min(MAX_SOURCE_NAME)];
        let mut out = Vec::with_capacity(86 + name.len());
        out.extend_from_slice(&self.instance);
        for number in [self.start, self.end, self.start_line, self.end_line] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.windows.head_length.to_le_bytes());
        out.extend_from_slice(&self.windows.tail_length.to_le_bytes());
        out.extend_from_slice(&self.windows.head);
        out.extend_from_slice(&self.windows.tail);
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name);
        if self.left > 0 || !self.marks.is_empty() {
            put_varint(&mut out, self.left);
            put_varint(&mut out, self.marks.len() as u64);
            for Mark { end, tail } in &self.marks {
                put_varint(&mut out, *end);
                out.extend_from_slice(tail);
            }
        }
        out
    }

    /// The checkpoint in a section.
    pub fn decode(bytes: &[u8]) -> Decoded<Checkpoint> {
        let what = "the fields of a checkpoint";
        let mut reader = Reader::new(bytes);
        let instance = reader.array(what)?;
        let (start, end) = (reader.u64(what)?, reader.u64(what)?);
        let (start_line, end_line) = (reader.u64(what)?, reader.u64(what)?);
        let (head_length, tail_length) = (reader.u16(what)?, reader.u16(what)?);
        let windows = Windows { head_length, tail_length, head: reader.array(what)?, tail: reader.array(what)? };
        let length = usize::from(reader.u16(what)?);
        if length > MAX_SOURCE_NAME {
            return reader.malformed("a name of at most 4,096 bytes");
        }
        let name = reader.bytes(length, what)?.to_vec();
        let (left, marks) = if reader.left() > 0 { left_and_marks(&mut reader, end)? } else { (0, Vec::new()) };
        reader.end("the end of the checkpoint")?;
        if end >= MAX_OFFSET || end_line >= MAX_OFFSET {
            return reader.malformed("an offset and a line below 2^56");
        }
        if start > end || start_line > end_line {
            return reader.malformed("a batch that ends behind its start");
        }
        let window = end.min(WINDOW as u64);
        if u64::from(head_length) != window || u64::from(tail_length) != window {
            return reader.malformed("windows of 4,096 bytes, or all there are");
        }
        Ok(Checkpoint { instance, start, end, start_line, end_line, windows, name, left, marks })
    }

    /// The marks of a checkpoint that follows this one and ends at `end`: those of this one, and this one itself, as far as they
    /// are at growing distances from there.
    pub fn marks_before(&self, end: u64) -> Vec<Mark> {
        let itself = Mark { end: self.end, tail: self.windows.tail };
        let mut older = std::iter::once(itself).chain(self.marks.iter().rev().copied()).peekable();
        let (mut marks, mut newer) = (Vec::new(), end);
        while let Some(mark) = older.next() {
            // Without this mark, its neighbours would still be no further apart than they are from the end.
            let is_spare = older.peek().is_some_and(|next| newer - next.end <= MARK_GAP.max(end - newer));
            let is_near = end - mark.end < MARK_GAP && older.peek().is_none();
            if mark.end > 0 && !is_spare && !is_near && marks.len() < MAX_MARKS {
                newer = mark.end;
                marks.push(mark);
            }
        }
        marks.reverse();
        marks
    }
}

/// The least distance of a mark from what comes behind it: nearer, it would say little.
const MARK_GAP: u64 = 4 * WINDOW as u64;

/// What may stand behind the name of a checkpoint: the bytes that were left, and the marks.
fn left_and_marks(reader: &mut Reader<'_>, end: u64) -> Decoded<(u64, Vec<Mark>)> {
    let what = "what was left, and marks of the input";
    let (left, count) = (reader.varint(what)?, reader.count(MAX_MARKS, "at most 64 marks")?);
    let mut marks = Vec::with_capacity(count);
    let mut least = 1;
    for _ in 0..count {
        let mark = Mark { end: reader.varint(what)?, tail: reader.array(what)? };
        if !(least..end).contains(&mark.end) {
            return reader.malformed("marks that ascend and lie before the end");
        }
        least = mark.end + 1;
        marks.push(mark);
    }
    match left < MAX_OFFSET {
        true => Ok((left, marks)),
        false => reader.malformed("a length below 2^56"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::format) fn checkpoint() -> Checkpoint {
        Checkpoint {
            instance: [1; 16],
            start: 100,
            end: 5100,
            start_line: 3,
            end_line: 50,
            windows: Windows { head_length: 4096, head: [2; 16], tail_length: 4096, tail: [3; 16] },
            name: b"chat.json".to_vec(),
            left: 0,
            marks: Vec::new(),
        }
    }

    #[test]
    fn checkpoints_come_back() {
        let bytes = checkpoint().encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint()));
        for length in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..length]).is_err());
        }
        let name_end = bytes.len();
        let marks = vec![Mark { end: 17, tail: [7; 16] }, Mark { end: 3000, tail: [8; 16] }];
        let more = Checkpoint { left: 300, marks: marks.clone(), ..checkpoint() };
        let bytes = more.encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(more));
        for length in (0..bytes.len()).filter(|length| *length != name_end) {
            assert!(Checkpoint::decode(&bytes[..length]).is_err(), "{length}");
        }
        for wrong in [vec![marks[1], marks[0]], vec![Mark { end: 5100, ..marks[0] }], vec![Mark { end: 0, ..marks[0] }]]
        {
            assert!(Checkpoint::decode(&Checkpoint { marks: wrong, ..checkpoint() }.encode()).is_err());
        }
        let too_far = Checkpoint { left: MAX_OFFSET, ..checkpoint() };
        assert!(Checkpoint::decode(&too_far.encode()).is_err());
        let backwards = Checkpoint { start: 9000, ..checkpoint() };
        assert!(Checkpoint::decode(&backwards.encode()).is_err());
    }

    /// However long an input gets, it has few marks, and one at about every distance.
    #[test]
    fn marks_are_at_growing_distances() {
        let mut checkpoint = Checkpoint { start: 0, end: 0, ..checkpoint() };
        for step in 0..20_000u64 {
            let end = checkpoint.end + 1 + step * 7919 % 200_000;
            let marks = checkpoint.marks_before(end);
            assert!(marks.len() <= 2 * end.max(MARK_GAP).ilog2() as usize - 20, "{} at {end}", marks.len());
            let ends: Vec<u64> = marks.iter().map(|mark| mark.end).chain([end]).collect();
            for pair in ends.windows(2) {
                let (gap, distance) = (pair[1] - pair[0], end - pair[1]);
                assert!(gap <= distance.max(200_000), "a hole of {gap} at a distance of {distance}: {ends:?}");
            }
            checkpoint = Checkpoint { end, marks, ..checkpoint };
        }
        assert!(checkpoint.marks.len() > 8 && checkpoint.marks[0].end < checkpoint.end / 2);
    }

    proptest! {
        #[test]
        fn damaged_checkpoints_are_refused_or_decoded_but_never_panic(
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index,
        ) {
            let marks = vec![Mark { end: 17, tail: [7; 16] }, Mark { end: 3000, tail: [8; 16] }];
            let mut bytes = Checkpoint { left: 300, marks, ..checkpoint() }.encode();
            for (index, byte) in flips {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = Checkpoint::decode(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            let _ = Checkpoint::decode(&bytes);
        }
    }
}
