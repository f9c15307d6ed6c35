//! Room `snapshot`: the unique events of many segments, site by site, with an index that holds the finished summary of each site.
//!
//! A snapshot is written once ([`SnapshotWriter`]) and never changed. Behind its header it is made of blocks. Those that do not hold
//! events are there so that nobody has to read the events. [`Snapshot`] opens and reads one, [`Snapshot::scan`] reads past damage,
//! `lines` collects what an index will say. This room may use [`disk`](crate::disk) and what is below it. [`store`](crate::store)
//! judges which segments a snapshot covers, [`upkeep`](crate::upkeep) merges events. `wal-format.md`, section 7, has the layout.

mod copy;
pub(crate) mod lines;
mod read;
mod scan;
mod write;

pub use scan::Stretch;
pub use write::{PendingBlock, SnapshotWriter};

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::memory;
use crate::disk::File;
use crate::disk::search::{Bytes, read_header};
use crate::error::{Corruption, Error, Result};
use crate::event::SiteName;
use crate::format::block::{BLOCK_HEADER, BlockHeader, BlockKind};
use crate::format::coding::{Malformed, crc};
use crate::format::file_header::BadHeader;
use crate::format::index::{Fence, SiteEntry};
use crate::format::snapshot_header::{SNAPSHOT_HEADER, SnapshotHeader};
use crate::format::tables::{InputEntry, ShardEntry};
use crate::format::{SHARDS, Uid};

/// A snapshot that is open.
pub struct Snapshot {
    /// Its path, for messages.
    pub path: String,
    /// Its header.
    pub header: SnapshotHeader,
    /// The inputs it inherits.
    pub inputs: Vec<InputEntry>,
    /// Inputs that no longer count, wherever they are.
    pub forgotten: Vec<Uid>,
    /// Bytes of the file. In a sound one, this is where the header says that the last region ends.
    size: u64,
    /// Where the first block may stand if blocks were moved: behind the header, or anywhere if the header is bad.
    least: u64,
    file: Box<dyn File>,
    fences: Vec<Fence>,
    shards: [ShardEntry; SHARDS],
    /// Blocks of the tables.
    tables: u64,
    read: AtomicU64,
}

/// A site of the index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexedSite {
    /// Its name.
    pub name: SiteName,
    /// What the index says of it.
    pub entry: SiteEntry,
}

impl Snapshot {
    /// Opens a snapshot: reads its header and its tables, but neither events nor index. A snapshot is published whole, so
    /// anything unexpected is corruption.
    pub fn open(path: String, file: Box<dyn File>) -> Result<Snapshot> {
        let mut snapshot = Snapshot::bare(path, file)?;
        snapshot.check_size()?;
        snapshot.read_tables()?;
        Ok(snapshot)
    }

    /// Opens a snapshot and reads only its header. For [`Snapshot::scan`].
    pub fn bare(path: String, file: Box<dyn File>) -> Result<Snapshot> {
        let length = file.length().map_err(Error::io("read", &path))?;
        let bytes = read_header(&*file, SNAPSHOT_HEADER).map_err(Error::io("read", &path))?;
        match SnapshotHeader::decode(&bytes) {
            Ok(header) => Ok(Snapshot::of(path, file, header, length)),
            Err(BadHeader::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadHeader::Damaged(expected)) => {
                let found = format!("something else in {length} bytes");
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    /// Opens a file whose header is bad. The salt of its blocks is taken for its own. For [`Snapshot::scan`].
    pub(crate) fn headless(path: String, file: Box<dyn File>) -> Result<Snapshot> {
        let length = file.length().map_err(Error::io("read", &path))?;
        let mut snapshot = Snapshot::of(path, file, SnapshotHeader::default(), length);
        snapshot.header.salt = snapshot.salt_of_blocks()?.unwrap_or_default();
        snapshot.least = 0;
        Ok(snapshot)
    }

    fn of(path: String, file: Box<dyn File>, header: SnapshotHeader, size: u64) -> Snapshot {
        Snapshot {
            path,
            header,
            inputs: Vec::new(),
            forgotten: Vec::new(),
            size,
            least: SNAPSHOT_HEADER as u64,
            file,
            fences: Vec::new(),
            shards: [ShardEntry::default(); SHARDS],
            tables: 0,
            read: AtomicU64::new(SNAPSHOT_HEADER as u64),
        }
    }

    /// That the file is as long as its header says.
    pub fn check_size(&self) -> std::result::Result<(), Corruption> {
        let (end, length) = (self.length(), self.size);
        match length == end {
            true => Ok(()),
            false => Err(self.corrupt(length.min(end), format!("a file of {end} bytes"), format!("{length} bytes"))),
        }
    }

    /// Bytes of the file, as its header says.
    pub fn length(&self) -> u64 {
        self.header.region(BlockKind::Rejects).end
    }

    /// The file.
    pub(crate) fn file(&self) -> &dyn File {
        &*self.file
    }

    /// Bytes of the file, as it is.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Bytes read of it so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Where the events of each shard are.
    pub fn shards(&self) -> &[ShardEntry; SHARDS] {
        &self.shards
    }

    /// A [`Corruption`] of this snapshot.
    pub fn corrupt(&self, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Corruption {
        Corruption { file: self.path.clone(), offset, expected: expected.into(), found: found.into() }
    }

    /// The error of a block whose CRC is right, but whose bytes are not what the format says.
    pub fn misencoded(&self, header: &BlockHeader, malformed: Malformed) -> Error {
        let at = header.offset + (BLOCK_HEADER + malformed.at) as u64;
        self.corrupt(at, malformed.expected, "something else").into()
    }

    /// How many blocks the tables have that were read when it was opened.
    pub fn table_blocks(&self) -> u64 {
        self.tables
    }

    /// The header at `at`, if a block of this snapshot begins there.
    fn own_header(&self, at: u64, bytes: &[u8]) -> std::result::Result<BlockHeader, Corruption> {
        let header = BlockHeader::decode(bytes).map_err(|expected| self.corrupt(at, expected, "something else"))?;
        if header.salt != self.header.salt || header.offset != at {
            let found = format!("one of another place ({})", header.offset);
            return Err(self.corrupt(at, "a block of this snapshot at this offset", found));
        }
        Ok(header)
    }

    fn check_payload(&self, header: &BlockHeader, payload: &[u8]) -> std::result::Result<(), Corruption> {
        match crc(payload) {
            found if found == header.payload_crc => Ok(()),
            found => {
                let expected = format!("a block with CRC {:08x}", header.payload_crc);
                Err(self.corrupt(header.offset + BLOCK_HEADER as u64, expected, format!("{found:08x}")))
            }
        }
    }

    fn read(&self, offset: u64, length: usize, buffer: &mut Vec<u8>) -> Result<()> {
        memory::resize(buffer, length, 0, "a block of a snapshot")?;
        let read = self.file.read_at(buffer, offset).map_err(Error::io("read", &self.path))?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        buffer.truncate(read);
        Ok(())
    }
}

impl Bytes for Snapshot {
    fn length(&self) -> u64 {
        self.size
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let read = self.file.read_at(buffer, offset).map_err(Error::io("read", &self.path))?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
