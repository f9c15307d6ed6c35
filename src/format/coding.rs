//! The small encodings that everything on disk is made of: little-endian integers, varints, zigzag, packed bits, front-coded texts,
//! the CRC, and the hash that spreads sites over shards. `wal-format.md` describes each; this is their only implementation.

use super::MAX_COUNT;
use crate::event::order::shared_length;
use crate::event::{Site, is_name};

/// The CRC of the whole format: CRC-32/ISO-HDLC.
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// Bytes that are not what the format says, at an offset from the start of what was being decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset of the field.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

/// The result of decoding.
pub type Decoded<T> = Result<T, Malformed>;

/// Reads fields one after the other; never past the end, never panics.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, at: 0 }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// An error at the current place.
    pub fn malformed<T>(&self, expected: &'static str) -> Decoded<T> {
        Err(Malformed { at: self.at, expected })
    }

    /// The next `length` bytes.
    pub fn bytes(&mut self, length: usize, expected: &'static str) -> Decoded<&'a [u8]> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        match rest.get(..length) {
            Some(found) => {
                self.at += length;
                Ok(found)
            }
            None => self.malformed(expected),
        }
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self, expected: &'static str) -> Decoded<[u8; N]> {
        let bytes = self.bytes(N, expected)?;
        bytes.try_into().or_else(|_| self.malformed(expected))
    }

    /// One byte.
    pub fn u8(&mut self, expected: &'static str) -> Decoded<u8> {
        match self.bytes.get(self.at) {
            Some(byte) => {
                self.at += 1;
                Ok(*byte)
            }
            None => self.malformed(expected),
        }
    }

    /// Two bytes, little-endian.
    pub fn u16(&mut self, expected: &'static str) -> Decoded<u16> {
        self.array(expected).map(u16::from_le_bytes)
    }

    /// Four bytes, little-endian.
    pub fn u32(&mut self, expected: &'static str) -> Decoded<u32> {
        self.array(expected).map(u32::from_le_bytes)
    }

    /// Eight bytes, little-endian.
    pub fn u64(&mut self, expected: &'static str) -> Decoded<u64> {
        self.array(expected).map(u64::from_le_bytes)
    }

    /// A varint: seven bits a byte, the lowest first, the top bit set on all bytes but the last; at most ten bytes.
    pub fn varint(&mut self, expected: &'static str) -> Decoded<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8(expected)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return self.malformed(expected);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        self.malformed(expected)
    }

    /// A varint that counts what was there once, and allocates nothing: below [`MAX_COUNT`].
    pub fn tally(&mut self, expected: &'static str) -> Decoded<u64> {
        match self.varint(expected)? {
            count if count < MAX_COUNT => Ok(count),
            _ => self.malformed(expected),
        }
    }

    /// A varint that says how many there are of something that takes at least one byte of `room` each, so that no
    /// allocation follows an unchecked number.
    pub fn count(&mut self, room: usize, expected: &'static str) -> Decoded<usize> {
        match usize::try_from(self.varint(expected)?) {
            Ok(count) if count <= room => Ok(count),
            _ => self.malformed(expected),
        }
    }

    /// `count` values of `width` bits, from the next whole bytes.
    pub fn packed(&mut self, count: usize, width: u8, expected: &'static str) -> Decoded<Packed<'a>> {
        let bits = count.checked_mul(usize::from(width));
        match bits {
            Some(bits) if width <= 64 => {
                let onward = self.bytes.get(self.at..).unwrap_or_default();
                self.bytes(bits.div_ceil(8), expected)?;
                let mask = u64::MAX.checked_shr(u64::BITS - u32::from(width)).unwrap_or(0);
                Ok(Packed { onward, width: usize::from(width), mask, count })
            }
            _ => self.malformed(expected),
        }
    }

    /// What is left of the room for names, once a name of this length is written out.
    pub fn within(&self, room: usize, length: usize) -> Decoded<usize> {
        match room.checked_sub(length) {
            Some(left) => Ok(left),
            None => self.malformed("names of at most 67,108,864 bytes together"),
        }
    }

    /// That nothing is left.
    pub fn end(&self, expected: &'static str) -> Decoded<()> {
        if self.left() == 0 { Ok(()) } else { self.malformed(expected) }
    }
}

/// Appends a varint.
pub fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Small numbers of either sign as small numbers without one: 0, −1, 1, −2 … as 0, 1, 2, 3 …
pub fn zigzag(value: i64) -> u64 {
    (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned()
}

/// The inverse of [`zigzag`].
pub fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// Bits that hold every value up to `largest`.
pub fn width_of(largest: u64) -> u8 {
    (u64::BITS - largest.leading_zeros()) as u8
}

/// Values of one width in bits, the first in the lowest bits of the first byte; the last byte is filled up with zeros.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// From their first byte on, to the end of all that is being decoded: so the last of them, too, can be read as a word.
    onward: &'a [u8],
    width: usize,
    mask: u64,
    count: usize,
}

impl<'a> Packed<'a> {
    /// The values in order.
    pub fn iter(self) -> impl Iterator<Item = u64> + 'a {
        (0..self.count).map(move |index| self.get(index))
    }

    /// Appends all of them.
    pub fn unpack(self, values: &mut Vec<u64>) {
        let Packed { onward, width, mask, count } = self;
        // Those that lie in one word and have eight bytes left from their first take three steps.
        let quick = match width {
            1..=57 => (onward.len().saturating_sub(8) * 8 / width).min(count),
            _ => 0,
        };
        values.extend((0..quick).map(|index| {
            let bit = index * width;
            let word = onward.get(bit / 8..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
            u64::from_le_bytes(word) >> (bit % 8) & mask
        }));
        values.extend((quick..count).map(|index| self.get(index)));
    }

    /// The one at `index`, which is below their number.
    #[inline]
    pub fn get(&self, index: usize) -> u64 {
        debug_assert!(index < self.count, "{index} of {}", self.count);
        let bit = index * self.width;
        let (byte, shift) = (bit / 8, bit % 8);
        let rest = self.onward.get(byte..).unwrap_or_default();
        let low = match rest.first_chunk() {
            Some(word) => u64::from_le_bytes(*word),
            None => last_word(rest),
        };
        // A value of up to 57 bits lies in the eight bytes from its first; a wider one can reach a ninth.
        if self.width + shift <= 64 {
            return low >> shift & self.mask;
        }
        let high = rest.get(8).map_or(0, |byte| u64::from(*byte) << (64 - shift));
        (low >> shift | high) & self.mask
    }
}

/// Fewer than eight bytes as a word.
#[cold]
fn last_word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Packs values of one width behind `out`; the counterpart of [`Reader::packed`].
pub fn put_packed(out: &mut Vec<u8>, width: u8, values: impl Iterator<Item = u64>) {
    let width = u32::from(width);
    let mut word = 0u64;
    let mut filled = 0u32;
    values.for_each(|value| {
        debug_assert!(width == 64 || value >> width == 0, "{value} in {width} bits");
        word |= value << filled;
        filled += width;
        if filled >= 64 {
            out.extend_from_slice(&word.to_le_bytes());
            filled -= 64;
            word = value.checked_shr(width - filled).unwrap_or(0);
        }
    });
    out.extend_from_slice(&word.to_le_bytes()[..filled.div_ceil(8) as usize]);
}

/// Appends a text by the number of bytes that it shares with the one before it, the number of those that follow, and these. The
/// second number has a code mixed in: one of `codes`.
pub(super) fn put_front_coded(out: &mut Vec<u8>, before: &[u8], text: &[u8], codes: u64, code: u64) {
    let shared = shared_length(before, text);
    let rest = &text[shared..];
    put_varint(out, shared as u64);
    put_varint(out, rest.len() as u64 * codes + code);
    out.extend_from_slice(rest);
}

/// Reads the next front-coded text into `text`, which holds the one before it; gives its code.
pub(super) fn front_coded(reader: &mut Reader<'_>, text: &mut Vec<u8>, codes: u64) -> Decoded<u64> {
    let what = "a front-coded name";
    let shared = reader.count(text.len(), what)?;
    let length = reader.varint(what)?;
    let rest = reader.bytes(usize::try_from(length / codes).unwrap_or(usize::MAX), what)?;
    text.truncate(shared);
    text.extend_from_slice(rest);
    if !is_name(text) {
        return reader.malformed("a name of 1 to 1,024 bytes without control characters");
    }
    Ok(length % codes)
}

/// The hash that spreads sites over shards; fixed by the format. A numbered site is hashed as its number, a named one as
/// its length and its bytes, eight at a time.
#[inline]
pub fn site_hash(site: Site<'_>) -> u64 {
    let mix = |hash: u64, word: u64| {
        let hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^ hash >> 32
    };
    let hash = match site {
        Site::Number(number) => mix(HASH_SEED, number),
        Site::Text(name) => name.chunks(8).fold(mix(HASH_SEED, name.len() as u64), |hash, piece| {
            mix(hash, piece.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        }),
    };
    hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}

const HASH_SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The shard of a hash: its top eight bits.
pub fn shard(hash: u64) -> u8 {
    (hash >> 56) as u8
}

/// `bytes`, which are `N`.
pub(super) fn fixed<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(bytes);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn varints_end_where_they_say() {
        for (value, bytes) in [(0, vec![0]), (127, vec![0x7f]), (128, vec![0x80, 1]), (300, vec![0xac, 2])] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(out, bytes);
            assert_eq!(Reader::new(&out).varint("n"), Ok(value));
        }
        assert!(Reader::new(&[0x80]).varint("n").is_err());
        assert!(Reader::new(&[0xff; 10]).varint("n").is_err());
        let mut out = Vec::new();
        put_varint(&mut out, u64::MAX);
        assert_eq!(Reader::new(&out).varint("n"), Ok(u64::MAX));
    }

    #[test]
    fn counts_are_bounded_by_the_room() {
        assert_eq!(Reader::new(&[5]).count(5, "n"), Ok(5));
        assert_eq!(Reader::new(&[6]).count(5, "n"), Err(Malformed { at: 1, expected: "n" }));
        assert!(Reader::new(&[0]).packed(usize::MAX, 64, "n").is_err());
        assert!(Reader::new(&[0; 99]).packed(1, 65, "n").is_err());
    }

    proptest! {
        #[test]
        fn packed_values_come_back(width in 0u8..=64, raw in prop::collection::vec(any::<u64>(), 0..70)) {
            let mask = u64::MAX.checked_shr(64 - u32::from(width)).unwrap_or(0);
            let values: Vec<u64> = raw.into_iter().map(|value| value & mask).collect();
            let mut out = vec![0xaa];
            put_packed(&mut out, width, values.iter().copied());
            let mut reader = Reader::new(&out[1..]);
            let packed = reader.packed(values.len(), width, "values").unwrap();
            prop_assert_eq!(packed.iter().collect::<Vec<_>>(), &values[..]);
            let mut unpacked = vec![1];
            packed.unpack(&mut unpacked);
            prop_assert_eq!(&unpacked[1..], values);
            prop_assert_eq!(reader.left(), 0);
        }

        #[test]
        fn varints_and_zigzag_come_back(value: u64) {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            prop_assert_eq!(Reader::new(&out).varint("n"), Ok(value));
            prop_assert_eq!(zigzag(unzigzag(value)), value);
            prop_assert!(width_of(value) == 64 || value >> width_of(value) == 0);
        }
    }
}
