//! The directory of a frame: which sections it has. The content of a section is for a module of its own, such as
//! [`events`](super::events) or [`rejects`](super::rejects).

use super::coding::{Malformed, Reader, crc};
use super::events::PackedEvents;
use super::frame::FrameKind;

/// Bytes of an entry of the directory.
pub const ENTRY: usize = 14;

/// What a section of a frame holds.
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
    /// How many lines of a batch repeat one whose event is in it or in a batch before it. The section has no bytes.
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

/// What the directory says of one section.
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

    /// The events in a section with these bytes.
    pub fn packed_events<'a>(&self, bytes: &'a [u8]) -> PackedEvents<'a> {
        PackedEvents { bytes, count: self.count, shard: self.shard }
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

/// Why bytes are not a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadDirectory {
    /// Not what was written.
    Malformed(Malformed),
    /// A section of a kind that this program does not know.
    UnknownKind(u8),
}

impl From<Malformed> for BadDirectory {
    fn from(malformed: Malformed) -> BadDirectory {
        BadDirectory::Malformed(malformed)
    }
}

/// The entries of a directory whose CRC was right. They are of known kinds and ascend, and their sections fill the payload.
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

#[cfg(test)]
mod tests {
    use super::*;

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
