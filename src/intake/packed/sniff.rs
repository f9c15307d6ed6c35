//! What the first bytes of something compressed say: that it is, and how much memory it takes to unpack.

use super::Packing;
use crate::intake::Extent;

/// What bytes turn out to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Sniffed {
    /// A member begins here.
    Packed(Packing),
    /// No member does.
    Plain,
    /// More bytes tell.
    More,
}

/// Magics of a fixed form. A line of JSON begins with none of them.
const MAGICS: [(&[u8], Packing); 4] = [
    (b"\x1f\x8b", Packing::Gzip),
    (b"\x28\xb5\x2f\xfd", Packing::Zstd),
    (b"\xfd7zXZ\0", Packing::Xz),
    (b"\x04\x22\x4d\x18", Packing::Lz4),
];

/// Behind `BZh` and a digit: a block, or the end of a stream without any. The four alone are text as well.
const BZIP2: [[u8; 6]; 2] = [*b"\x31\x41\x59\x26\x53\x59", *b"\x17\x72\x45\x38\x50\x90"];

/// Bytes of the header of a frame to skip.
pub const SKIPPABLE_HEADER: usize = 8;

/// What these bytes are, the first ones of something or all of it.
pub fn sniff(bytes: &[u8], extent: Extent) -> Sniffed {
    let ended = extent == Extent::Whole;
    let mut could_be = false;
    for (magic, packing) in MAGICS {
        if bytes.starts_with(magic) {
            return Sniffed::Packed(packing);
        }
        could_be |= magic.starts_with(bytes);
    }
    if let [first, rest @ ..] = bytes {
        let magic = [0x2a, 0x4d, 0x18];
        if (0x50..=0x5f).contains(first) && rest.starts_with(&magic) {
            return Sniffed::Packed(Packing::Skippable);
        }
        could_be |= (0x50..=0x5f).contains(first) && magic.starts_with(rest);
    }
    match bytes {
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
            let rest = &rest[..rest.len().min(6)];
            if BZIP2.iter().any(|magic| magic.starts_with(rest)) {
                // Cut short, it is an input that ends in its middle.
                if rest.len() == 6 || ended {
                    return Sniffed::Packed(Packing::Bzip2);
                }
                could_be = true;
            }
        }
        bytes => could_be |= b"BZh".starts_with(bytes),
    }
    if could_be && !ended { Sniffed::More } else { Sniffed::Plain }
}

/// What a header says, if enough of it is there.
pub enum Header<T> {
    Says(T),
    More,
}

/// Bytes behind the header that a frame to skip has.
pub fn skippable(bytes: &[u8]) -> Header<u64> {
    match bytes.get(4..SKIPPABLE_HEADER) {
        Some(length) => Header::Says(number(length)),
        None => Header::More,
    }
}

/// The bytes of history that a zstd frame takes to unpack (RFC 8878, 3.1.1.1): its window, or all of its content if that is less.
/// Of a frame that is wrong it says something; the decoder finds out.
pub fn zstd_window(bytes: &[u8]) -> Header<u64> {
    let Some(descriptor) = bytes.get(4) else { return Header::More };
    let single = descriptor & 0x20 != 0;
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match (descriptor >> 6, single) {
        (0, true) => 1,
        (0, false) => 0,
        (1, _) => 2,
        (2, _) => 4,
        _ => 8,
    };
    let at = 5 + usize::from(!single);
    let Some(size) = bytes.get(at + dictionary..at + dictionary + content) else { return Header::More };
    let size = (content > 0).then(|| number(size) + if content == 2 { 256 } else { 0 });
    let window = (!single).then(|| {
        let coded = u64::from(bytes[5]);
        let base = 1 << (10 + (coded >> 3));
        base + base / 8 * (coded & 7)
    });
    Header::Says(window.unwrap_or(u64::MAX).min(size.unwrap_or(u64::MAX)))
}

/// The dictionary of the first block of an xz stream (its format, 3.1 and 5.3.1), or 0 where there is none; later blocks usually
/// have the same one.
#[cfg(feature = "more-compression")]
pub fn xz_dictionary(bytes: &[u8]) -> Header<u64> {
    const STREAM_HEADER: usize = 12;
    let Some(size) = bytes.get(STREAM_HEADER) else { return Header::More };
    if *size == 0 {
        return Header::Says(0);
    }
    let end = STREAM_HEADER + (usize::from(*size) + 1) * 4;
    let Some(header) = bytes.get(STREAM_HEADER + 1..end) else { return Header::More };
    Header::Says(lzma2_dictionary(header).unwrap_or(0))
}

/// Of the header of a block, without its first byte.
#[cfg(feature = "more-compression")]
fn lzma2_dictionary(header: &[u8]) -> Option<u64> {
    const LZMA2: u64 = 0x21;
    let (flags, mut rest) = header.split_first()?;
    for size in [0x40, 0x80] {
        if flags & size != 0 {
            (_, rest) = variable(rest)?;
        }
    }
    for _ in 0..=flags & 3 {
        let (filter, after) = variable(rest)?;
        let (length, after) = variable(after)?;
        let (properties, after) = after.split_at_checked(usize::try_from(length).ok()?)?;
        if let (LZMA2, [size]) = (filter, properties) {
            return Some(match size & 0x3f {
                size @ 0..40 => (2 | u64::from(size & 1)) << (size / 2 + 11),
                _ => u64::from(u32::MAX),
            });
        }
        rest = after;
    }
    None
}

/// A number of seven bits a byte, the lowest first, and what comes behind it.
#[cfg(feature = "more-compression")]
fn variable(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let (coded, rest) = bytes.split_at_checked(length)?;
    Some((coded.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)), rest))
}

/// Eight bytes or fewer, the lowest first.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics_are_told_as_soon_as_they_are_whole() {
        let members: [(&[u8], usize, Packing); 8] = [
            (b"\x1f\x8b\x08\0\0", 2, Packing::Gzip),
            (b"\x28\xb5\x2f\xfd\0", 4, Packing::Zstd),
            (b"\x50\x2a\x4d\x18\0", 4, Packing::Skippable),
            (b"\x5f\x2a\x4d\x18\0", 4, Packing::Skippable),
            (b"\xfd7zXZ\0\0", 6, Packing::Xz),
            (b"\x04\x22\x4d\x18\0", 4, Packing::Lz4),
            (b"BZh9\x31\x41\x59\x26\x53\x59", 10, Packing::Bzip2),
            (b"BZh1\x17\x72\x45\x38\x50\x90", 10, Packing::Bzip2),
        ];
        for (bytes, length, packing) in members {
            for end in 0..bytes.len() {
                let expected = if end < length { Sniffed::More } else { Sniffed::Packed(packing) };
                assert_eq!(sniff(&bytes[..end], Extent::Part), expected, "{packing:?}, {end} bytes");
                let cut = end >= length || packing == Packing::Bzip2 && end >= 4;
                let expected = if cut { Sniffed::Packed(packing) } else { Sniffed::Plain };
                assert_eq!(sniff(&bytes[..end], Extent::Whole), expected, "{packing:?}, {end} bytes and no more");
            }
        }
    }

    #[test]
    fn text_is_told_at_its_first_byte_that_no_magic_has() {
        let texts: [(&[u8], usize); 8] = [
            (b"{", 1),
            (b"\n", 1),
            (b"\xef\xbb", 1),
            (b"Px", 2),
            (b"BZip", 3),
            (b"BZh0", 4),
            (b"BZh9x", 5),
            (b"\x1fx", 2),
        ];
        for (bytes, length) in texts {
            assert_eq!(sniff(&bytes[..length - 1], Extent::Part), Sniffed::More, "{bytes:?}");
            assert_eq!(sniff(&bytes[..length], Extent::Part), Sniffed::Plain, "{bytes:?}");
        }
        assert_eq!(sniff(b"", Extent::Whole), Sniffed::Plain);
    }

    #[test]
    fn a_zstd_frame_says_what_it_takes() {
        let says = |bytes: &[u8]| match zstd_window(&[b"\x28\xb5\x2f\xfd", bytes].concat()) {
            Header::Says(window) => Some(window),
            Header::More => None,
        };
        // A window alone: 1 KiB to 3.75 TiB.
        assert_eq!(says(&[0x00, 0x00]), Some(1 << 10));
        assert_eq!(says(&[0x04, 0x88]), Some(128 << 20));
        assert_eq!(says(&[0x04, 0x8f]), Some((128 << 20) / 8 * 15));
        assert_eq!(says(&[0x00, 0xff]), Some((1 << 41) / 8 * 15));
        // All in one segment: its size. And a window that the content does not fill.
        assert_eq!(says(&[0x20, 7]), Some(7));
        assert_eq!(says(&[0x60, 1, 1]), Some(256 + 257));
        assert_eq!(says(&[0x80, 0x88, 5, 0, 0, 1]), Some((1 << 24) + 5));
        assert_eq!(says(&[0xc3, 0x50, 1, 2, 3, 4, 9, 0, 0, 0, 0, 0, 0, 0]), Some(9), "behind the id of a dictionary");
        for bytes in [&[][..], &[0x00], &[0x20], &[0x60, 1], &[0xc3, 0x50, 1, 2, 3, 4, 9, 0, 0, 0, 0, 0, 0]] {
            assert_eq!(says(bytes), None, "{bytes:?}");
        }
    }

    #[cfg(feature = "more-compression")]
    #[test]
    fn an_xz_block_says_what_it_takes() {
        let says = |bytes: &[u8]| match xz_dictionary(&[&[0; 12], bytes].concat()) {
            Header::Says(dictionary) => Some(dictionary),
            Header::More => None,
        };
        let block = |header: &[u8]| {
            let mut bytes = header.to_vec();
            bytes.resize(15, 0);
            says(&[&[3], &bytes[..]].concat())
        };
        assert_eq!(says(&[0]), Some(0), "no block");
        assert_eq!(block(&[0, 0x21, 1, 0]), Some(4096));
        assert_eq!(block(&[0, 0x21, 1, 22]), Some(8 << 20));
        assert_eq!(block(&[0, 0x21, 1, 23]), Some(12 << 20));
        assert_eq!(block(&[0, 0x21, 1, 40]), Some((4 << 30) - 1));
        assert_eq!(block(&[0xc0, 0x80, 1, 0xff, 0x7f, 0x21, 1, 22]), Some(8 << 20), "behind the sizes");
        assert_eq!(block(&[1, 3, 1, 0, 0x21, 1, 22]), Some(8 << 20), "behind another filter");
        assert_eq!(block(&[0, 0x80, 0x80]), Some(0), "nothing");
        for bytes in [&[][..], &[3], &[3, 0, 0x21, 1, 22]] {
            assert_eq!(says(bytes), None, "{bytes:?}");
        }
    }
}
