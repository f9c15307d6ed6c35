//! The header of a segment, the header of a frame, and the directory of a frame's sections.

use super::block::SNAPSHOT_MAGIC;
use super::coding::{Decoded, Malformed, Reader};
use super::{MAX_COUNT, Uid, VERSION};

/// Bytes of a segment's header.
pub const SEGMENT_HEADER: usize = 64;
/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 80;
/// Bytes of an entry of the directory.
pub const ENTRY: usize = 14;
/// The longest directory and sections of one frame, together.
pub const MAX_PAYLOAD: usize = 1 << 26;
/// How a segment begins.
pub const SEGMENT_MAGIC: [u8; 8] = *b"chatwal\0";
/// How a frame begins.
pub const FRAME_MAGIC: [u8; 4] = *b"CWfr";

/// The CRC of the whole format: CRC-32/ISO-HDLC.
pub fn crc(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

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

/// Why bytes are no header of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadSegment {
    /// Not what was written; what was expected.
    Damaged(&'static str),
    /// Sound, but of a format this program does not know.
    Version(u16),
}

/// The shortest header of a file in any version: the twelve bytes that all versions share, and a CRC.
const LEAST_HEADER: usize = 16;

/// Reads what the headers of files have in common, in every version: magic, version, length, and the CRC at the end. So a
/// newer version is told from damage. A header of this version has `own` bytes. Gives a reader behind the length.
pub(super) fn open_file_header(bytes: &[u8], magic: [u8; 8], own: usize) -> Result<Reader<'_>, BadSegment> {
    let damaged = |what| move |_| BadSegment::Damaged(what);
    let mut reader = Reader::new(bytes);
    if reader.array("magic") != Ok(magic) {
        return Err(BadSegment::Damaged(match magic {
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
        (false, _) => Err(BadSegment::Damaged("a header whose CRC is right")),
        (true, VERSION) if length == own => Ok(reader),
        (true, VERSION) => Err(BadSegment::Damaged("a header of the length that this version has")),
        (true, newer) => Err(BadSegment::Version(newer)),
    }
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
    pub fn decode(bytes: &[u8]) -> Result<SegmentHeader, BadSegment> {
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
        rest().map_err(|_| BadSegment::Damaged(fields))
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
    /// Nothing but a header, so that its `durable_upto` proves what came before.
    Mark,
    /// The last frame of a segment that has a successor.
    Seal,
    /// Inputs whose checkpoint and rejects count no longer.
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
/// It identifies itself: store, segment, salt and offset say where it belongs, so a copy of it anywhere else, be it
/// stale bytes of another file or a frame inside a message, is not taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// What for.
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

    /// Whether the header was written to this segment, be it at the place where it is now or not.
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

/// What a section holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SectionKind {
    /// The source of a batch and how far it was read.
    Checkpoint,
    /// The rejected lines of a batch.
    Rejects,
    /// The events of one shard of a batch.
    Events,
    /// The inputs that a forget frame names.
    Forgotten,
    /// What a hole frame says to be lost.
    Hole,
    /// Nothing but how many lines of a batch repeat one whose event is in it or in a batch before it.
    Repeats,
}

impl SectionKind {
    const ALL: [SectionKind; 6] = [
        SectionKind::Checkpoint,
        SectionKind::Rejects,
        SectionKind::Events,
        SectionKind::Forgotten,
        SectionKind::Hole,
        SectionKind::Repeats,
    ];

    fn code(self) -> u8 {
        match self {
            SectionKind::Checkpoint => 1,
            SectionKind::Rejects => 2,
            SectionKind::Events => 3,
            SectionKind::Forgotten => 4,
            SectionKind::Hole => 5,
            SectionKind::Repeats => 6,
        }
    }
}

/// One section, as the directory tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it holds.
    pub kind: SectionKind,
    /// The shard of its events; 0 otherwise.
    pub shard: u8,
    /// How many events, rejects, inputs it holds, or repeats it stands for; 1 for a checkpoint and a hole.
    pub count: u32,
    /// Its bytes.
    pub length: u32,
    /// Their CRC.
    pub crc: u32,
}

impl Entry {
    /// The entry of a section with these bytes.
    pub fn new(kind: SectionKind, shard: u8, count: u32, bytes: &[u8]) -> Entry {
        Entry { kind, shard, count, length: bytes.len() as u32, crc: crc(bytes) }
    }

    /// Appends the entry's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.kind.code());
        out.push(self.shard);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        out.extend_from_slice(&self.crc.to_le_bytes());
    }
}

/// The directory's bytes.
pub fn encode_directory(entries: impl Iterator<Item = Entry>) -> Vec<u8> {
    let mut out = Vec::new();
    entries.for_each(|entry| entry.encode(&mut out));
    out
}

/// Why bytes are no directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadDirectory {
    /// Not what was written.
    Malformed(Malformed),
    /// A section of a kind this program doesn't know.
    UnknownKind(u8),
}

impl From<Malformed> for BadDirectory {
    fn from(malformed: Malformed) -> BadDirectory {
        BadDirectory::Malformed(malformed)
    }
}

/// The entries of a directory whose CRC was right: of known kinds, ascending, and their sections fill the payload.
pub fn decode_directory(bytes: &[u8], payload: u32) -> Result<Vec<Entry>, BadDirectory> {
    let mut entries = Vec::with_capacity(bytes.len() / ENTRY);
    let mut reader = Reader::new(bytes);
    let mut total = bytes.len() as u64;
    while reader.left() > 0 {
        let what = "an entry of the directory";
        let code = reader.u8(what)?;
        let Some(kind) = SectionKind::ALL.into_iter().find(|kind| kind.code() == code) else {
            return Err(BadDirectory::UnknownKind(code));
        };
        let entry = Entry {
            kind,
            shard: reader.u8(what)?,
            count: reader.u32(what)?,
            length: reader.u32(what)?,
            crc: reader.u32(what)?,
        };
        let place = |entry: &Entry| (entry.kind, entry.shard);
        if entries.last().is_some_and(|last| place(last) >= place(&entry)) {
            return Ok(reader.malformed("sections in ascending order")?);
        }
        if entry.shard != 0 && kind != SectionKind::Events {
            return Ok(reader.malformed("a shard with events only")?);
        }
        total += u64::from(entry.length);
        entries.push(entry);
    }
    if total != u64::from(payload) {
        return Ok(reader.malformed("sections that fill the frame")?);
    }
    Ok(entries)
}

/// Whether a frame of this kind may have these sections.
pub fn is_whole(kind: FrameKind, entries: &[Entry]) -> bool {
    match (kind, entries) {
        (FrameKind::Batch, [first, rest @ ..]) => {
            let of_a_batch = |entry: &Entry| match entry.kind {
                SectionKind::Rejects => true,
                SectionKind::Events => entry.count > 0,
                SectionKind::Repeats => entry.count > 0 && entry.length == 0,
                SectionKind::Checkpoint | SectionKind::Forgotten | SectionKind::Hole => false,
            };
            first.kind == SectionKind::Checkpoint && first.count == 1 && rest.iter().all(of_a_batch)
        }
        (FrameKind::Forget, [only]) => {
            only.kind == SectionKind::Forgotten && u64::from(only.count) * 16 == u64::from(only.length)
        }
        (FrameKind::Hole, [only]) => only.kind == SectionKind::Hole && only.count == 1,
        (FrameKind::Mark | FrameKind::Seal, []) => true,
        _ => false,
    }
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
            assert!(matches!(SegmentHeader::decode(&bad), Err(BadSegment::Damaged(_))), "bit {bit}");
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
    fn a_newer_version_is_no_damage() {
        let mut bytes = segment().encode().to_vec();
        bytes[8] = 2;
        let at = bytes.len() - 4;
        let sum = crc(&bytes[..at]).to_le_bytes();
        bytes[at..].copy_from_slice(&sum);
        assert_eq!(SegmentHeader::decode(&bytes), Err(BadSegment::Version(2)));
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
            assert_eq!(SegmentHeader::decode(&newer), Err(BadSegment::Version(2)), "{length} bytes");
            let cut = &newer[..newer.len() - 1];
            assert!(matches!(SegmentHeader::decode(cut), Err(BadSegment::Damaged(_))), "{length} bytes, cut");
            let own = header_of(SEGMENT_MAGIC, VERSION, length);
            assert!(
                matches!(SegmentHeader::decode(&own), Err(BadSegment::Damaged(_))),
                "{length} bytes of this version"
            );
        }
    }

    #[test]
    fn a_header_of_an_unknown_kind_is_no_damage() {
        let header = FrameHeader { kind: FrameKind::Unknown(77), ..frame() };
        let back = FrameHeader::decode(&header.encode()).unwrap();
        assert_eq!(FrameHeader { crc: 0, ..back }, header);
    }

    #[test]
    fn directories_are_checked() {
        let entry = |kind, shard, length| Entry { kind, shard, count: 1, length, crc: 9 };
        let good = [entry(SectionKind::Checkpoint, 0, 5), entry(SectionKind::Events, 3, 6)];
        let bytes = encode_directory(good.into_iter());
        assert_eq!(bytes.len(), 2 * ENTRY);
        assert_eq!(decode_directory(&bytes, 28 + 11), Ok(good.to_vec()));
        assert!(decode_directory(&bytes, 28 + 12).is_err());
        assert!(decode_directory(&bytes[..ENTRY + 1], 28 + 5).is_err());
        for bad in [
            vec![entry(SectionKind::Events, 3, 5), entry(SectionKind::Events, 3, 6)],
            vec![entry(SectionKind::Events, 3, 5), entry(SectionKind::Checkpoint, 0, 6)],
            vec![entry(SectionKind::Checkpoint, 1, 11)],
        ] {
            let bytes = encode_directory(bad.into_iter());
            assert!(decode_directory(&bytes, bytes.len() as u32 + 11).is_err());
        }
        let mut unknown = bytes.clone();
        unknown[0] = 200;
        assert_eq!(decode_directory(&unknown, 28 + 11), Err(BadDirectory::UnknownKind(200)));
    }
}
