//! The header of a segment, and the header of a frame. Behind the latter stand the [`directory`](super::directory) of the
//! frame's sections, and the sections.

use super::coding::{Decoded, Reader, crc, fixed};
use super::directory::ENTRY;
use super::file_header::{BadHeader, open_file_header};
use super::{MAX_COUNT, Uid, VERSION};

/// Bytes of a segment's header.
pub const SEGMENT_HEADER: usize = 64;
/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 80;
/// The longest directory and sections of one frame, together.
pub const MAX_PAYLOAD: usize = 1 << 26;
/// How a segment begins.
pub const SEGMENT_MAGIC: [u8; 8] = *b"chatwal\0";
/// How a frame begins.
pub const FRAME_MAGIC: [u8; 4] = *b"CWfr";

/// What a segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The store.
    pub store: Uid,
    /// The segment's number, from 1.
    pub number: u64,
    /// Random; every header of a frame repeats it, so that bytes of another file never pass for a frame of this one.
    pub salt: u64,
    /// The sequence number of the segment's first frame.
    pub first_sequence: u64,
}

impl SegmentHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = Vec::with_capacity(SEGMENT_HEADER);
        out.extend_from_slice(&SEGMENT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(SEGMENT_HEADER as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.first_sequence.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// The header in the first bytes of a segment.
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadHeader> {
        let mut reader = open_file_header(bytes, SEGMENT_MAGIC, SEGMENT_HEADER)?;
        let fields = "the fields of a segment header";
        let mut rest = || -> Decoded<SegmentHeader> {
            let before = reader.u32(fields)?;
            let header = SegmentHeader {
                store: reader.array(fields)?,
                number: reader.u64(fields)?,
                salt: reader.u64(fields)?,
                first_sequence: reader.u64(fields)?,
            };
            let bounded = header.number < MAX_COUNT && header.first_sequence < MAX_COUNT;
            if before | reader.u32(fields)? == 0 && bounded { Ok(header) } else { reader.malformed(fields) }
        };
        rest().map_err(|_| BadHeader::Damaged(fields))
    }

    /// What the first frame of the log chains to: the CRC of the first segment's header.
    pub fn chain(&self) -> u32 {
        crc(&self.encode()[..SEGMENT_HEADER - 4])
    }
}

/// What a frame is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// What one chunk of input became.
    Batch,
    /// Only a header. Its `durable_upto` proves what came before.
    Mark,
    /// The last frame of a segment that has a successor.
    Seal,
    /// Inputs whose checkpoint and rejects no longer count.
    Forget,
    /// What a repair could not save.
    Hole,
    /// A kind that only a newer program knows. Its header proves as much as any other.
    Unknown(u8),
}

impl FrameKind {
    const KNOWN: [FrameKind; 5] =
        [FrameKind::Batch, FrameKind::Mark, FrameKind::Seal, FrameKind::Forget, FrameKind::Hole];

    fn of(code: u8) -> FrameKind {
        FrameKind::KNOWN.into_iter().find(|kind| kind.code() == code).unwrap_or(FrameKind::Unknown(code))
    }

    fn code(self) -> u8 {
        match self {
            FrameKind::Batch => 1,
            FrameKind::Mark => 2,
            FrameKind::Seal => 3,
            FrameKind::Forget => 4,
            FrameKind::Hole => 5,
            FrameKind::Unknown(code) => code,
        }
    }

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            FrameKind::Batch => "batch",
            FrameKind::Mark => "mark",
            FrameKind::Seal => "seal",
            FrameKind::Forget => "forget",
            FrameKind::Hole => "hole",
            FrameKind::Unknown(_) => "?",
        }
    }
}

/// The header of a frame.
///
/// It identifies itself: store, segment, salt and offset say where it belongs. So a copy of it anywhere else is not taken for a
/// frame, such as stale bytes of another file, or a frame inside a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What the frame is for.
    pub kind: FrameKind,
    /// Number of entries in the directory.
    pub entries: u16,
    /// The store.
    pub store: Uid,
    /// Number of the segment.
    pub segment: u64,
    /// Salt of the segment.
    pub salt: u64,
    /// Offset of this header in the segment.
    pub offset: u64,
    /// From 1, without gaps over the whole log.
    pub sequence: u64,
    /// The last frame known to be fsynced when this header was written; 0 if none.
    pub durable_upto: u64,
    /// Bytes of the directory and the sections.
    pub payload: u32,
    /// CRC of the header before this one.
    pub previous: u32,
    /// CRC of the directory.
    pub directory_crc: u32,
    /// CRC of all the fields above.
    pub crc: u32,
}

impl FrameHeader {
    /// The header's bytes; `crc` is computed.
    pub fn encode(&self) -> [u8; FRAME_HEADER] {
        let mut out = Vec::with_capacity(FRAME_HEADER);
        out.extend_from_slice(&FRAME_MAGIC);
        out.push(self.kind.code());
        out.push(0);
        out.extend_from_slice(&self.entries.to_le_bytes());
        out.extend_from_slice(&self.store);
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.extend_from_slice(&self.durable_upto.to_le_bytes());
        out.extend_from_slice(&self.payload.to_le_bytes());
        out.extend_from_slice(&self.previous.to_le_bytes());
        out.extend_from_slice(&self.directory_crc.to_le_bytes());
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// The header in the first bytes, if its CRC says that it is one; else what was expected. No field is believed before
    /// that.
    pub fn decode(bytes: &[u8]) -> Result<FrameHeader, &'static str> {
        let Some(bytes) = bytes.first_chunk::<FRAME_HEADER>() else {
            return Err("the 80 bytes of a frame header");
        };
        if !bytes.starts_with(&FRAME_MAGIC) {
            return Err("a frame header, which begins with \"CWfr\"");
        }
        if crc(&bytes[..FRAME_HEADER - 4]).to_le_bytes() != bytes[FRAME_HEADER - 4..] {
            return Err("a frame header whose CRC is right");
        }
        let mut reader = Reader::new(&bytes[FRAME_MAGIC.len()..]);
        let mut fields = || -> Decoded<FrameHeader> {
            let what = "the fields of a frame header";
            let [code, _zero] = reader.array(what)?;
            Ok(FrameHeader {
                kind: FrameKind::of(code),
                entries: reader.u16(what)?,
                store: reader.array(what)?,
                segment: reader.u64(what)?,
                salt: reader.u64(what)?,
                offset: reader.u64(what)?,
                sequence: reader.u64(what)?,
                durable_upto: reader.u64(what)?,
                payload: reader.u32(what)?,
                previous: reader.u32(what)?,
                directory_crc: reader.u32(what)?,
                crc: reader.u32(what)?,
            })
        };
        match fields() {
            // What it claims to be durable is below its own number: see `Segment::frame`.
            Ok(header) if header.sequence < MAX_COUNT => Ok(header),
            Ok(_) => Err("a sequence number below 2^40"),
            Err(malformed) => Err(malformed.expected),
        }
    }

    /// Whether the header was written to this segment, at whatever place.
    pub fn is_of(&self, segment: &SegmentHeader) -> bool {
        self.store == segment.store && self.segment == segment.number && self.salt == segment.salt
    }

    /// Bytes of the directory.
    pub fn directory(&self) -> usize {
        usize::from(self.entries) * ENTRY
    }

    /// Bytes of the whole frame.
    pub fn length(&self) -> u64 {
        FRAME_HEADER as u64 + u64::from(self.payload)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment() -> SegmentHeader {
        SegmentHeader { store: [7; 16], number: 3, salt: 99, first_sequence: 12 }
    }

    fn frame() -> FrameHeader {
        FrameHeader {
            kind: FrameKind::Batch,
            entries: 2,
            store: [7; 16],
            segment: 3,
            salt: 99,
            offset: 64,
            sequence: 12,
            durable_upto: 11,
            payload: 100,
            previous: 5,
            directory_crc: 6,
            crc: 0,
        }
    }

    #[test]
    fn headers_come_back_and_every_flipped_bit_shows() {
        let bytes = segment().encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(segment()));
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(SegmentHeader::decode(&bad), Err(BadHeader::Damaged(_))), "bit {bit}");
        }
        let bytes = frame().encode();
        let back = FrameHeader::decode(&bytes).unwrap();
        assert_eq!(FrameHeader { crc: 0, ..back }, frame());
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(FrameHeader::decode(&bad).is_err(), "bit {bit}");
        }
        for length in 0..FRAME_HEADER {
            assert!(FrameHeader::decode(&bytes[..length]).is_err());
        }
        for length in 0..SEGMENT_HEADER {
            assert!(SegmentHeader::decode(&segment().encode()[..length]).is_err());
        }
    }

    #[test]
    fn a_header_of_an_unknown_kind_is_no_damage() {
        let header = FrameHeader { kind: FrameKind::Unknown(77), ..frame() };
        let back = FrameHeader::decode(&header.encode()).unwrap();
        assert_eq!(FrameHeader { crc: 0, ..back }, header);
    }
}
