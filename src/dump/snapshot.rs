//! A snapshot for human eyes: every block and its verdict, past any damage.

use std::io::Write;

use memchr::memmem;

use super::{Verdict, line, written};
use crate::error::{Corruption, Error, Result};
use crate::format::batch::EventsDecoder;
use crate::format::block::{
    BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, BlockKind, MAX_BLOCK, SNAPSHOT_HEADER, SnapshotHeader,
};
use crate::format::frame::{BadSegment, crc};
use crate::format::hex;
use crate::mmap::Mapped;
use crate::render::printable;
use crate::storage::File as _;
use crate::table::Table;

/// Read at once in the search for the next block.
const SEARCH_READ: usize = 1 << 20;

/// A snapshot of which nothing but the header was looked at.
struct Lone {
    path: String,
    file: Mapped,
    length: u64,
    header: SnapshotHeader,
}

/// A stretch of a snapshot.
enum Found<'a> {
    /// A block whose header is intact and in its place, its payload, and whether that is intact too.
    Block(&'a BlockHeader, &'a [u8], std::result::Result<(), Corruption>),
    /// Bytes that are no block, up to the next one or the end.
    Gap(&'a Corruption, u64),
}

impl Lone {
    fn open(path: String, file: Mapped) -> Result<Lone> {
        let mut bytes = [0; SNAPSHOT_HEADER];
        let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        let length = file.length().map_err(Error::io("read", &path))?;
        match SnapshotHeader::decode(&bytes[..read]) {
            Ok(header) => Ok(Lone { path, file, length, header }),
            Err(BadSegment::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadSegment::Damaged(expected)) => {
                let found = "something else".into();
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    fn corrupt(&self, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Corruption {
        Corruption { file: self.path.clone(), offset, expected: expected.into(), found: found.into() }
    }

    fn read(&self, offset: u64, length: usize, buffer: &mut Vec<u8>) -> Result<()> {
        buffer.resize(length, 0);
        let read = self.file.read_at(buffer, offset).map_err(Error::io("read", &self.path))?;
        buffer.truncate(read);
        Ok(())
    }

    /// The header at `at`, if a block begins there that lies in its region.
    fn block(&self, at: u64, bytes: &[u8]) -> std::result::Result<BlockHeader, Corruption> {
        let header = BlockHeader::decode(bytes).map_err(|expected| self.corrupt(at, expected, "something else"))?;
        let region = self.header.region(header.kind);
        if header.salt != self.header.salt || header.offset != at || !region.contains(&at) {
            return Err(self.corrupt(at, "a block of this snapshot at this offset", "one of another place"));
        }
        let end = self.length.min(region.end);
        if header.whole() > end.saturating_sub(at) || header.length as usize > MAX_BLOCK {
            let found = format!("{} bytes before the end", end.saturating_sub(at));
            return Err(self.corrupt(at, format!("a block of {} bytes", header.whole()), found));
        }
        Ok(header)
    }

    /// Goes through the blocks, past any damage. A snapshot is published whole: whatever is wrong is corruption.
    fn walk(&self, mut visit: impl FnMut(Found<'_>) -> Result<()>) -> Result<Verdict> {
        let mut verdict = Verdict::default();
        let mut at = SNAPSHOT_HEADER as u64;
        let mut buffer = Vec::new();
        while at < self.length {
            self.read(at, BLOCK_HEADER, &mut buffer)?;
            match self.block(at, &buffer) {
                Ok(header) => {
                    self.read(at + BLOCK_HEADER as u64, header.length as usize, &mut buffer)?;
                    let checked = match crc(&buffer) {
                        found if found == header.payload_crc => Ok(()),
                        found => {
                            let expected = format!("a block with CRC {:08x}", header.payload_crc);
                            Err(self.corrupt(at + BLOCK_HEADER as u64, expected, format!("{found:08x}")))
                        }
                    };
                    verdict.corrupt.extend(checked.as_ref().err().cloned());
                    visit(Found::Block(&header, &buffer, checked))?;
                    at += header.whole();
                }
                Err(corruption) => {
                    let next = self.next_block(at + 1)?;
                    visit(Found::Gap(&corruption, next - at))?;
                    verdict.corrupt.push(corruption);
                    at = next;
                }
            }
        }
        let end = self.header.region(BlockKind::Rejects).end;
        if self.length != end {
            let found = format!("{} bytes", self.length);
            verdict.corrupt.push(self.corrupt(self.length.min(end), format!("a file of {end} bytes"), found));
        }
        Ok(verdict)
    }

    /// Where the next block begins, or the end of the file.
    fn next_block(&self, from: u64) -> Result<u64> {
        let finder = memmem::Finder::new(&BLOCK_MAGIC);
        let mut buffer = Vec::new();
        let mut start = from;
        while start < self.length {
            self.read(start, SEARCH_READ, &mut buffer)?;
            for found in finder.find_iter(&buffer) {
                let at = start + found as u64;
                if self.block(at, &buffer[found..]).is_ok() {
                    return Ok(at);
                }
            }
            if buffer.len() < SEARCH_READ {
                break;
            }
            // A header that reaches over the end of this piece begins the next one.
            start += (SEARCH_READ - BLOCK_HEADER + 1) as u64;
        }
        Ok(self.length)
    }
}

/// Writes a line on the snapshot and one a block: offset, length, count, kind, `ok` or `BAD`.
pub(super) fn blocks(path: String, file: Mapped, out: &mut dyn Write) -> Result<Verdict> {
    let snapshot = Lone::open(path, file)?;
    let header = &snapshot.header;
    written(writeln!(
        out,
        "snapshot of segments {} to {} of store {}: {} bytes, frames {} to {}, {} events of {} sites, {}",
        header.first,
        header.last,
        hex(header.store),
        snapshot.length,
        header.first_sequence,
        header.next_sequence.saturating_sub(1),
        header.events,
        header.sites,
        printable(&snapshot.path)
    ))?;
    written(writeln!(out, "{:>12} {:>10} {:>10} {:<7} check", "offset", "length", "count", "kind"))?;
    snapshot.walk(|found| match found {
        Found::Block(header, _, checked) => {
            let (offset, length, count, kind) = (header.offset, header.whole(), header.count, header.kind.name());
            let told = match (checked, header.kind) {
                (Ok(()), BlockKind::Events) => format!("ok  shard={}", header.shard),
                (Ok(()), _) => "ok".to_string(),
                (Err(corruption), _) => format!("BAD expected {}, found {}", corruption.expected, corruption.found),
            };
            written(writeln!(out, "{offset:>12} {length:>10} {count:>10} {kind:<7} {told}"))
        }
        Found::Gap(corruption, bytes) => written(writeln!(
            out,
            "{:>12} {bytes:>10} {:>10} {:<7} BAD expected {}, found {}",
            corruption.offset, "?", "?", corruption.expected, corruption.found
        )),
    })
}

/// Writes the events of every intact block.
pub(super) fn events(path: String, file: Mapped, out: &mut dyn Write) -> Result<Verdict> {
    let snapshot = Lone::open(path, file)?;
    let mut decoder = EventsDecoder::default();
    let mut table = Table::default();
    snapshot.walk(|found| {
        let Found::Block(header, bytes, Ok(())) = found else { return Ok(()) };
        if header.kind != BlockKind::Events {
            return Ok(());
        }
        table.clear();
        let decoded = decoder.decode(bytes, header.count, header.shard, &mut table, |_| true);
        decoded.map_err(|malformed| {
            let at = header.offset + (BLOCK_HEADER + malformed.at) as u64;
            snapshot.corrupt(at, malformed.expected, "something else")
        })?;
        table.rows.iter().try_for_each(|row| written(line(out, &table.event(row))))
    })
}
