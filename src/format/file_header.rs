//! What the headers of all files of the store have in common, in this version of the format and in later ones.

use super::VERSION;
use super::coding::{Reader, crc};
use super::frame::SEGMENT_MAGIC;
use super::snapshot_header::SNAPSHOT_MAGIC;

/// Why bytes are not the header of a file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadHeader {
    /// Not what was written; says what was expected.
    Damaged(&'static str),
    /// Sound, but of a format that this program does not know.
    Version(u16),
}

/// The shortest header of a file in any version: the twelve bytes that all versions share, and a CRC.
const LEAST_HEADER: usize = 16;

/// Reads what the headers of files have in common in every version: magic, version, length, and the CRC at the end. So a newer
/// version is told from damage. A header of this version has `own` bytes. Gives a reader behind the length.
pub(super) fn open_file_header(bytes: &[u8], magic: [u8; 8], own: usize) -> Result<Reader<'_>, BadHeader> {
    let damaged = |what| move |_| BadHeader::Damaged(what);
    let mut reader = Reader::new(bytes);
    if reader.array("magic") != Ok(magic) {
        return Err(BadHeader::Damaged(match magic {
            SEGMENT_MAGIC => "a segment header, which begins with \"chatwal\" and a zero byte",
            SNAPSHOT_MAGIC => "a snapshot header, which begins with \"chatsnap\"",
            _ => "the magic of the file",
        }));
    }
    let version = reader.u16("version").map_err(damaged("the format's version"))?;
    let length = usize::from(reader.u16("length").map_err(damaged("the header's length"))?);
    let sum_at = length.saturating_sub(4);
    let sound = match (bytes.get(..sum_at), bytes.get(sum_at..length)) {
        (Some(covered), Some(sum)) if length >= LEAST_HEADER => crc(covered).to_le_bytes() == *sum,
        _ => false,
    };
    match (sound, version) {
        (false, _) => Err(BadHeader::Damaged("a header whose CRC is right")),
        (true, VERSION) if length == own => Ok(reader),
        (true, VERSION) => Err(BadHeader::Damaged("a header of the length that this version has")),
        (true, newer) => Err(BadHeader::Version(newer)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::frame::SegmentHeader;
    use super::*;

    #[test]
    fn a_newer_version_is_no_damage() {
        let mut bytes = SegmentHeader { store: [7; 16], number: 3, salt: 99, first_sequence: 12 }.encode().to_vec();
        bytes[8] = 2;
        let at = bytes.len() - 4;
        let sum = crc(&bytes[..at]).to_le_bytes();
        bytes[at..].copy_from_slice(&sum);
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadHeader::Version(2)));
    }

    /// A header of these many bytes, of this version, that begins with `magic` and has the right CRC.
    fn header_of(magic: [u8; 8], version: u16, length: u16) -> Vec<u8> {
        let mut bytes = magic.to_vec();
        bytes.extend_from_slice(&version.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.resize(usize::from(length) - 4, 7);
        bytes.extend_from_slice(&crc(&bytes).to_le_bytes());
        bytes
    }

    #[test]
    fn a_newer_version_has_whatever_length_it_says_and_this_one_its_own() {
        for length in [16, 60, 64, 68, 192, 200, 4096, u16::MAX] {
            let newer = header_of(SEGMENT_MAGIC, 2, length);
            assert_eq!(SegmentHeader::decode(&newer), Err(BadHeader::Version(2)), "{length} bytes");
            let cut = &newer[..newer.len() - 1];
            assert!(matches!(SegmentHeader::decode(cut), Err(BadHeader::Damaged(_))), "{length} bytes, cut");
            let own = header_of(SEGMENT_MAGIC, VERSION, length);
            assert!(
                matches!(SegmentHeader::decode(&own), Err(BadHeader::Damaged(_))),
                "{length} bytes of this version"
            );
        }
    }
}
