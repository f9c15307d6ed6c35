//! What a repair could not save: the section of a hole frame.

use super::coding::{Decoded, Reader, put_varint};
use super::{MAX_SOURCE_NAME, Uid};

/// Bytes that the list of frames and that of inputs may each take. If more was lost, the rest is not listed; no answer depends on
/// it.
const MOST: usize = 8 << 20;

/// What was lost, and what a repair did about it. It is a record for people. No reader's answer depends on it, since the repair itself
/// took the checkpoints back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hole {
    /// The segments that the snapshot published with this frame covers, first and last; zeros if there was nothing to
    /// replace.
    pub covers: (u64, u64),
    /// Frames lost as a whole or in part: the first and the last sequence number of each range, ascending.
    pub frames: Vec<(u64, u64)>,
    /// The inputs that are known to have lost bytes.
    pub inputs: Vec<LostInput>,
}

/// The bytes of an input that were lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LostInput {
    /// The instance.
    pub instance: Uid,
    /// Offset of the first byte lost: where its checkpoint stands now.
    pub from: u64,
    /// Offset behind the last byte lost, as far as is known.
    pub to: u64,
    /// What the input was called.
    pub name: Vec<u8>,
}

impl Hole {
    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend_from_slice(&self.covers.0.to_le_bytes());
        out.extend_from_slice(&self.covers.1.to_le_bytes());
        put_list(&mut out, &self.frames, |out, &(first, last)| {
            put_varint(out, first);
            put_varint(out, last);
        });
        put_list(&mut out, &self.inputs, |out, input| {
            let name = &input.name[..input.name.len().min(MAX_SOURCE_NAME)];
            out.extend_from_slice(&input.instance);
            for number in [input.from, input.to, name.len() as u64] {
                put_varint(out, number);
            }
            out.extend_from_slice(name);
        });
        out
    }

    /// The hole in a section.
    pub fn decode(bytes: &[u8]) -> Decoded<Hole> {
        let what = "the fields of a hole";
        let mut reader = Reader::new(bytes);
        let covers = (reader.u64(what)?, reader.u64(what)?);
        let mut hole = Hole { covers, ..Hole::default() };
        // Every item takes at least two bytes, so the lists are no longer than what is there.
        for _ in 0..reader.count(reader.left(), "the number of lost ranges")? {
            let (first, last) = (reader.varint(what)?, reader.varint(what)?);
            if first > last || hole.frames.last().is_some_and(|before| before.1 >= first) {
                return reader.malformed("ranges of frames that ascend");
            }
            hole.frames.push((first, last));
        }
        for _ in 0..reader.count(reader.left(), "the number of inputs")? {
            let instance = reader.array(what)?;
            let (from, to) = (reader.varint(what)?, reader.varint(what)?);
            let length = reader.count(MAX_SOURCE_NAME, "a name of at most 4,096 bytes")?;
            let name = reader.bytes(length, what)?.to_vec();
            if from > to {
                return reader.malformed("bytes that end behind their start");
            }
            hole.inputs.push(LostInput { instance, from, to, name });
        }
        reader.end("the end of the hole")?;
        Ok(hole)
    }
}

/// Appends as many items as there is room for, behind their number.
fn put_list<T>(out: &mut Vec<u8>, items: &[T], put: impl Fn(&mut Vec<u8>, &T)) {
    let (mut bytes, mut count) = (Vec::new(), 0);
    for item in items {
        if bytes.len() > MOST {
            break;
        }
        put(&mut bytes, item);
        count += 1;
    }
    put_varint(out, count);
    out.append(&mut bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hole() -> Hole {
        let input = |instance, from, to, name: &[u8]| LostInput { instance, from, to, name: name.into() };
        Hole {
            covers: (3, 300),
            frames: vec![(5, 5), (7, 900)],
            inputs: vec![input([1; 16], 0, u64::MAX, b"chat.jsonl"), input([2; 16], 128, 128, b"")],
        }
    }

    #[test]
    fn a_hole_comes_back_and_every_cut_is_seen() {
        let bytes = hole().encode();
        assert_eq!(Hole::decode(&bytes), Ok(hole()));
        for end in 0..bytes.len() {
            assert!(Hole::decode(&bytes[..end]).is_err(), "{end}");
        }
        let mut longer = bytes;
        longer.push(0);
        assert!(Hole::decode(&longer).is_err());
        for frames in [vec![(5, 4)], vec![(5, 5), (5, 6)]] {
            assert!(Hole::decode(&Hole { frames, ..hole() }.encode()).is_err());
        }
    }

    #[test]
    fn lists_that_are_too_long_are_cut_and_the_rest_comes_back() {
        let frames: Vec<_> = (0..3_000_000u64).map(|at| (2 * at, 2 * at)).collect();
        let bytes = Hole { frames: frames.clone(), ..hole() }.encode();
        let back = Hole::decode(&bytes).unwrap();
        assert!(bytes.len() < MOST + 1024 && back.frames.len() > 1_000_000);
        assert!(frames.starts_with(&back.frames));
        assert_eq!(back.inputs, hole().inputs);
    }
}
