//! The header of a snapshot. Behind it stand [blocks](super::block), and nothing else.

use super::block::{BlockKind, REGIONS};
use super::coding::{Decoded, crc, fixed};
use super::file_header::{BadHeader, open_file_header};
use super::{MAX_COUNT, Uid, VERSION};

/// Bytes of a snapshot's header.
pub const SNAPSHOT_HEADER: usize = 192;
/// How a snapshot begins.
pub const SNAPSHOT_MAGIC: [u8; 8] = *b"chatsnap";

/// What a snapshot says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The store.
    pub store: Uid,
    /// The first segment it covers.
    pub first: u64,
    /// The last segment it covers.
    pub last: u64,
    /// Random; every block repeats it.
    pub salt: u64,
    /// Sequence number of the first frame it covers.
    pub first_sequence: u64,
    /// Sequence number of the first frame behind it.
    pub next_sequence: u64,
    /// What its first frame chained to.
    pub first_previous: u32,
    /// What the first frame behind it chains to: the CRC of the last header it covers.
    pub next_previous: u32,
    /// Where each region ends; the last one with the file.
    pub ends: [u64; REGIONS],
    /// Events, each once.
    pub events: u64,
    /// Copies of them that were dropped.
    pub copies: u64,
    /// Events whose copies disagree.
    pub disputed: u64,
    /// Sites.
    pub sites: u64,
    /// The earliest timestamp; more than `latest` if there is no event.
    pub earliest: i64,
    /// The latest timestamp.
    pub latest: i64,
}

impl SnapshotHeader {
    /// The header's bytes.
    pub fn encode(&self) -> [u8; SNAPSHOT_HEADER] {
        let mut out = Vec::with_capacity(SNAPSHOT_HEADER);
        out.extend_from_slice(&SNAPSHOT_MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&(SNAPSHOT_HEADER as u16).to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.store);
        for number in [self.first, self.last, self.salt, self.first_sequence, self.next_sequence] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.first_previous.to_le_bytes());
        out.extend_from_slice(&self.next_previous.to_le_bytes());
        for number in self.ends.into_iter().chain([self.events, self.copies, self.disputed, self.sites]) {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.earliest.to_le_bytes());
        out.extend_from_slice(&self.latest.to_le_bytes());
        out.extend_from_slice(&[0; 4]);
        let sum = crc(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        fixed(&out)
    }

    /// The header in the first bytes of a snapshot.
    pub fn decode(bytes: &[u8]) -> Result<SnapshotHeader, BadHeader> {
        let mut reader = open_file_header(bytes, SNAPSHOT_MAGIC, SNAPSHOT_HEADER)?;
        let what = "the fields of a snapshot header";
        let mut fields = || -> Decoded<SnapshotHeader> {
            reader.array::<4>(what)?;
            let mut header = SnapshotHeader {
                store: reader.array(what)?,
                first: reader.u64(what)?,
                last: reader.u64(what)?,
                salt: reader.u64(what)?,
                first_sequence: reader.u64(what)?,
                next_sequence: reader.u64(what)?,
                first_previous: reader.u32(what)?,
                next_previous: reader.u32(what)?,
                ..SnapshotHeader::default()
            };
            for end in &mut header.ends {
                *end = reader.u64(what)?;
            }
            header.events = reader.u64(what)?;
            header.copies = reader.u64(what)?;
            header.disputed = reader.u64(what)?;
            header.sites = reader.u64(what)?;
            header.earliest = reader.u64(what)?.cast_signed();
            header.latest = reader.u64(what)?.cast_signed();
            Ok(header)
        };
        let header = fields().map_err(|_| BadHeader::Damaged(what))?;
        let mut before = SNAPSHOT_HEADER as u64;
        let ascending = header.ends.iter().all(|&end| std::mem::replace(&mut before, end) <= end);
        let SnapshotHeader { events, copies, disputed, sites, last, next_sequence, .. } = header;
        let bounded = [events, copies, disputed, sites, last, next_sequence].iter().all(|&number| number < MAX_COUNT);
        let chained = (1..=next_sequence).contains(&header.first_sequence);
        if !ascending || header.first == 0 || header.first > last || !chained || !bounded {
            return Err(BadHeader::Damaged("a snapshot header whose fields agree"));
        }
        Ok(header)
    }

    /// Where a region lies.
    pub fn region(&self, kind: BlockKind) -> std::ops::Range<u64> {
        let start = match kind.place().checked_sub(1).and_then(|before| self.ends.get(before)) {
            Some(end) => *end,
            None => SNAPSHOT_HEADER as u64,
        };
        start..self.ends.get(kind.place()).copied().unwrap_or(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back_and_every_flipped_bit_is_seen() {
        let header = SnapshotHeader {
            store: [7; 16],
            first: 1,
            last: 16,
            salt: 5,
            first_sequence: 1,
            next_sequence: 99,
            first_previous: 1,
            next_previous: 2,
            ends: [200, 300, 300, 400, 500, 500, 600],
            events: 1,
            copies: 2,
            disputed: 3,
            sites: 4,
            earliest: -5,
            latest: 6,
        };
        let bytes = header.encode();
        assert_eq!(SnapshotHeader::decode(&bytes), Ok(header));
        assert_eq!(header.region(BlockKind::Events), 192..200);
        assert_eq!(header.region(BlockKind::Rejects), 500..600);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(SnapshotHeader::decode(&bad).is_err(), "bit {bit}");
        }
    }
}
