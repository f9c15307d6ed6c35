//! The record of what was acknowledged: a lower bound, in a file of its own beside the log.
//!
//! A log that lost its end, with the headers that prove what was before it, looks like a valid older log. So does a log that was
//! rolled back to an older copy of itself. This record shows the loss. It is written after the fsync that makes it true, so it may be
//! older than the log, and is never ahead of it. It is overwritten in place and not fsynced; a torn one says nothing.

use super::coding::{crc, fixed};
use super::file_header::open_file_header;
use super::frame::{FrameHeader, SEGMENT_HEADER};
use super::{MAX_COUNT, Uid, VERSION};

/// Bytes of the record.
pub const ACKNOWLEDGED: usize = SEGMENT_HEADER;
/// How it begins.
pub const ACKNOWLEDGED_MAGIC: [u8; 8] = *b"chatwack";

/// The last frame that was acknowledged when it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acknowledged {
    /// The store.
    pub store: Uid,
    /// The segment that the frame was in.
    pub segment: u64,
    /// Where it ended in that segment.
    pub end: u64,
    /// Its sequence number.
    pub sequence: u64,
    /// The CRC of its header, and so of all the log up to it.
    pub header_crc: u32,
}

impl Acknowledged {
    /// The record which says that a frame was acknowledged.
    pub fn of(header: &FrameHeader) -> Acknowledged {
        let FrameHeader { store, segment, offset, sequence, crc, .. } = *header;
        Acknowledged { store, segment, end: offset + header.length(), sequence, header_crc: crc }
    }

    /// The record's bytes.
    pub fn encode(&self) -> [u8; ACKNOWLEDGED] {
        let mut out = Vec::with_capacity(ACKNOWLEDGED);
        out.extend_from_slice(&ACKNOWLEDGED_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(ACKNOWLEDGED as u16).to_le_bytes());
        out.extend_from_slice(&self.header_crc.to_le_bytes());
        out.extend_from_slice(&self.store);
        for number in [self.segment, self.end, self.sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&[0; 4]);
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// Whether a frame stands where the one that was acknowledged did, and is another one.
    pub fn is_of_another_history(&self, frame: &FrameHeader) -> bool {
        frame.sequence == self.sequence && frame.crc != self.header_crc
    }

    /// The record in a file; nothing if it is torn, damaged, or of another version: then it says nothing.
    pub fn decode(bytes: &[u8]) -> Option<Acknowledged> {
        let mut reader = open_file_header(bytes, ACKNOWLEDGED_MAGIC, ACKNOWLEDGED).ok()?;
        let what = "the fields of the record";
        let header_crc = reader.u32(what).ok()?;
        let store = reader.array(what).ok()?;
        let mut number = || reader.u64(what).ok();
        let record = Acknowledged { store, segment: number()?, end: number()?, sequence: number()?, header_crc };
        (record.segment < MAX_COUNT && record.sequence < MAX_COUNT).then_some(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_says_nothing_once_a_bit_is_flipped() {
        let record = Acknowledged { store: [7; 16], segment: 3, end: 4711, sequence: 99, header_crc: 0xdead_beef };
        let bytes = record.encode();
        assert_eq!(Acknowledged::decode(&bytes), Some(record));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Acknowledged::decode(&bad), None, "bit {bit}");
        }
        (0..bytes.len()).for_each(|length| assert_eq!(Acknowledged::decode(&bytes[..length]), None));
        assert_eq!(Acknowledged::decode(&Acknowledged { sequence: MAX_COUNT, ..record }.encode()), None);
    }
}
