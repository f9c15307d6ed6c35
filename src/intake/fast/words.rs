//! The word tricks: what is done to 8, 16 or 32 bytes at once.
//!
//! Words are read little-endian, so the first byte of the text is the lowest. The diagrams show bytes in the order of the text,
//! in hexadecimal where they are not characters; `·` is a zero. Each trick names its source and is tested against a loop over
//! bytes, for all inputs where those are few.

use wide::u8x16;

/// Marks `"`, `\` and control characters below space: a bit a byte, the lowest for the first.
///
/// ```text
/// block      H   i   ␊   "   :   \   n   x
/// ≤ 1f       ·   ·   ff  ·   ·   ·   ·   ·
/// = "        ·   ·   ·   ff  ·   ·   ·   ·
/// = \        ·   ·   ·   ·   ·   ff  ·   ·
/// mask       0   0   1   1   0   1   0   0      one bit a byte; trailing_zeros is 2
/// ```
///
/// A byte is at most `1f` if the lesser of it and `1f` is the byte itself: SSE2 compares signed bytes only, but has the minimum
/// of unsigned ones. Source: simdjson, `operator<=` of `simd8<uint8_t>`; the mask is as in Langdale and Lemire, "Parsing
/// Gigabytes of JSON per Second" (2019).
#[inline(always)]
pub(in crate::intake) fn string_marks(block: [u8; 16]) -> u16 {
    let block = u8x16::new(block);
    let control = block.min(u8x16::splat(0x1f)).simd_eq(block);
    (control | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'))).to_bitmask() as u16
}

/// Marks the same, and everything else that is not printable ASCII: `7f` and above, by the maximum.
#[inline(always)]
pub(super) fn name_marks(block: [u8; 16]) -> u16 {
    let block = u8x16::new(block);
    let other = block.min(u8x16::splat(0x1f)).simd_eq(block) | block.max(u8x16::splat(0x7f)).simd_eq(block);
    (other | block.simd_eq(u8x16::splat(b'"')) | block.simd_eq(u8x16::splat(b'\\'))).to_bitmask() as u16
}

/// What 32 bytes of a text hold.
pub(super) struct TextMarks {
    /// Their [`string_marks`].
    pub(super) marks: u32,
    /// Whether one of them is above ASCII.
    pub(super) is_wide: bool,
}

/// The marks of 32 bytes, more than most messages have.
///
/// ```text
/// bytes      0 … 15            16 … 31
/// marks      bits 0 … 15       bits 16 … 31
/// is_wide    the highest bits of (first block | second block): any of them
/// ```
///
/// Source: the mask is that of [`string_marks`]; one bit of an OR for "all ASCII" is as in simdjson's UTF-8 check, `is_ascii`.
#[inline(always)]
pub(super) fn text_marks(text: &[u8; 32]) -> TextMarks {
    let (blocks, _) = text.as_chunks::<16>();
    let marks = blocks.iter().rev().fold(0, |marks, block| marks << 16 | u32::from(string_marks(*block)));
    let all = blocks.iter().fold(u8x16::ZERO, |all, block| all | u8x16::new(*block));
    TextMarks { marks, is_wide: all.to_bitmask() != 0 }
}

/// How sixteen bytes differ from a key with a colon behind it. `None` if the key is longer.
///
/// ```text
/// ahead      "   i   d   "   :   "   7   f …
/// key, :     "   i   d   "   :   :   :   : …
/// ^          ·   ·   ·   ·   ·   18  0d  5c …
/// ```
///
/// Source: the masked compare that a `memcmp` of short strings is made of; the mask is a shift, see [`is_in_first`].
#[inline(always)]
pub(super) fn key_difference<const N: usize>(ahead: u128, key: &[u8; N]) -> Option<u128> {
    let mut text = [b':'; 16];
    text.first_chunk_mut().map(|start| *start = *key)?;
    Some(ahead ^ u128::from_le_bytes(text))
}

/// Whether a difference is in the first `count` bytes, 1 to 16: the others are shifted out at the upper end.
///
/// ```text
/// difference           ·   ·   ·   ·   ·   18  0d …
/// << 8 · (16 - 5)      · … ·   ·   ·   ·   ·          no: key and colon are there
/// << 8 · (16 - 6)      · … ·   ·   ·   ·   ·   18     yes
/// ```
#[inline(always)]
pub(super) fn is_in_first(difference: u128, count: usize) -> bool {
    difference << (128 - 8 * count) != 0
}

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// How many of the eight bytes are digits before the first that is not.
///
/// ```text
/// word       1   4   2   ,   9   }   …
/// ^ 30       01  04  02  1c  09  4d  …        a digit is 00 to 09
/// + 76       77  7a  78  92  7f  c3  …        its highest bit is set from 0a on
/// & 80       ·   ·   ·   80  ·   80  …        trailing_zeros is 31: the byte 31 / 8 = 3
/// ```
///
/// The OR keeps the highest bit of a byte from 80 on, where the sum may carry it away. Such a carry, into the next byte, comes only
/// from a byte that is not a digit: so the first mark is right, whatever those after it are, and only the first is used.
///
/// Source: "Determine if a word has a byte greater than n" (`hasmore`, by Juha Järvi) in Sean Eron Anderson's Bit Twiddling Hacks, with
/// n = 9; a descendant of Mycroft's test for a zero byte (1987).
#[inline(always)]
pub(super) fn digit_count(word: u64) -> usize {
    let digits = word ^ repeat(b'0');
    let others = (digits | digits.wrapping_add(repeat(0x80 - 10))) & repeat(0x80);
    (others.trailing_zeros() / 8) as usize
}

pub(super) const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the first `count` bytes are the digits of, 0 to 8.
///
/// ```text
/// word, count 3        1   4   2   ,   …
/// ^ 30, << 8 · 5       00  00  00  00  00  01  04  02      shifted up: zeros stand before the digits
/// x · 10 + (x >> 8)    00      00      01      42          each sum joins two neighbours: pairs of digits,
/// x · 100 + (x >> 16)  0000            0142                fours,
/// x · 10⁴ + (x >> 32)  00000142                            the whole
/// ```
///
/// The last three rows show the decimal value of each lane. The masks drop what the sums leave in the lanes between.
///
/// Source: Daniel Lemire, "Quickly parsing eight digits" (2018) and "SWAR explained: parsing eight digits" (2022), which
/// multiply by 10 · 2⁸ + 1 where this adds; the shift for fewer digits is our own.
#[inline(always)]
pub(super) fn digit_value(word: u64, count: usize) -> u64 {
    let digits = (word ^ repeat(b'0')).checked_shl(64 - 8 * count as u32).unwrap_or(0);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that carries, masks and comparisons may take for others.
    const NEIGHBOURS: [u8; 8] = [0x00, 0x2f, b'0', b'9', 0x3a, 0x7f, 0x80, 0xff];

    fn is_string_mark(byte: u8) -> bool {
        byte < 0x20 || byte == b'"' || byte == b'\\'
    }

    #[test]
    fn every_byte_is_marked_in_every_place_and_no_other() {
        for byte in 0..=u8::MAX {
            for place in 0..16 {
                // Those around it are marked all, or none.
                for around in [b'x', b'"'] {
                    let mut block = [around; 16];
                    block[place] = byte;
                    let marks = |is_mark: fn(u8) -> bool| {
                        (0..16).fold(0, |marks, at| marks | u16::from(is_mark(block[at])) << at)
                    };
                    assert_eq!(string_marks(block), marks(is_string_mark), "{byte:#x} at {place}");
                    let in_names = |byte| is_string_mark(byte) || byte >= 0x7f;
                    assert_eq!(name_marks(block), marks(in_names), "{byte:#x} at {place}");
                }
            }
        }
    }

    #[test]
    fn every_byte_of_a_text_is_marked_and_its_width_seen() {
        for byte in 0..=u8::MAX {
            for place in 0..32 {
                let mut text = [b'x'; 32];
                text[place] = byte;
                let TextMarks { marks, is_wide } = text_marks(&text);
                assert_eq!(marks, u32::from(is_string_mark(byte)) << place, "{byte:#x} at {place}");
                assert_eq!(is_wide, byte >= 0x80, "{byte:#x} at {place}");
            }
        }
    }

    fn differs_where_it_does<const N: usize>(key: &[u8; N]) {
        let right = [&key[..], &[b':'; 16][N..]].concat();
        for place in 0..16 {
            for byte in 0..=u8::MAX {
                let mut text = [0; 16];
                text.copy_from_slice(&right);
                text[place] = byte;
                let difference = key_difference(u128::from_le_bytes(text), key).unwrap();
                for count in 1..=16 {
                    let differs = text[..count] != right[..count];
                    assert_eq!(is_in_first(difference, count), differs, "{byte:#x} at {place} of {count}");
                }
            }
        }
    }

    #[test]
    fn a_key_is_told_from_all_that_differ_in_one_byte() {
        differs_where_it_does(b"\"id\"");
        differs_where_it_does(b"\"type\"");
        differs_where_it_does(b"\"from\"");
        differs_where_it_does(b"\"site_id\"");
        differs_where_it_does(b"\"timestamp\"");
        differs_where_it_does(b"\"data\"");
        differs_where_it_does(b"\"message\"");
        differs_where_it_does(b"\"status\"");
        assert_eq!(key_difference(0, b"seventeen letters"), None);
    }

    /// By a loop over the bytes.
    fn counted(word: u64) -> usize {
        word.to_le_bytes().iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    #[test]
    fn digits_end_at_every_byte_that_is_none_in_every_place() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                for next in 0..=u8::MAX {
                    for (digit, rest) in [(b'0', 0x00), (b'9', b'9'), (b'5', 0xff)] {
                        let mut bytes = [rest; 8];
                        bytes[..place].fill(digit);
                        bytes[place] = byte;
                        if let Some(behind) = bytes.get_mut(place + 1) {
                            *behind = next;
                        }
                        let word = u64::from_le_bytes(bytes);
                        assert_eq!(digit_count(word), counted(word), "{bytes:x?}");
                    }
                }
            }
        }
    }

    #[test]
    fn digits_have_their_value_whatever_stands_behind_them() {
        for count in 0..=8 {
            // All numbers of up to four digits, and those that have four digits at the upper end or all of them alike.
            let least = 10u64.pow(count);
            let upper = (0..10_000).map(|number| number * (least / 10_000));
            let alike = (0..10).map(|digit| least / 9 * digit);
            for number in (0..10_000).chain(upper).chain(alike).filter(|number| *number < least) {
                let count = count as usize;
                let digits = if count == 0 { String::new() } else { format!("{number:0count$}") };
                for behind in NEIGHBOURS {
                    let mut bytes = [behind; 8];
                    bytes[..count].copy_from_slice(digits.as_bytes());
                    assert_eq!(digit_value(u64::from_le_bytes(bytes), count), number, "{digits}");
                }
            }
        }
    }

    #[test]
    fn powers_of_ten_are_such() {
        for (exponent, power) in (0..).zip(POWERS_OF_TEN) {
            assert_eq!(power, 10u64.pow(exponent));
        }
    }
}
