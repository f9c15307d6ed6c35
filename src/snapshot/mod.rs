//! One snapshot: unique events of many segments, site by site, with an index that holds the finished summary of each site.
//!
//! It is written once, from front to back, and never changed. Everything in it but its header is a block, and everything
//! but the events is there so that nobody needs to read them: `wal-format.md`, section 7, has the layout.

pub(crate) mod lines;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::memory;
use crate::disk::search::{Bytes, Search, read_header};
use crate::disk::{File, Publication, Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::event::{Site, SiteName};
use crate::format::block::{
    BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, BlockKind, Fence, InputEntry, MAX_BLOCK, SNAPSHOT_HEADER, ShardEntry,
    SiteEntry, SnapshotHeader, decode_fences, decode_inputs, decode_shards, each_site, encode_fences, encode_shards,
    put_input, put_site,
};
use crate::format::coding::Malformed;
use crate::format::frame::{BadSegment, crc};
use crate::format::{MAX_COUNT, SHARDS, Uid};
use crate::snapshot::lines::SortedLines;

/// Read at once, unless a block is longer.
const PIECE: usize = 1 << 20;

/// Bytes at which a block of the index ends: what is read and decoded to find one site.
const INDEX_BLOCK: usize = 8 << 10;

/// Sites that it has at least, unless their names are very long: the first of each is written once more, as a fence.
const INDEX_SITES: u32 = 64;

/// Bytes at which a block of inputs or fences ends.
const TABLE_BLOCK: usize = 1 << 20;

/// A snapshot that is open.
pub struct Snapshot {
    /// Its path, for messages.
    pub path: String,
    /// Its header.
    pub header: SnapshotHeader,
    /// The inputs it inherits.
    pub inputs: Vec<InputEntry>,
    /// Inputs that count no longer, wherever they are.
    pub forgotten: Vec<Uid>,
    /// Bytes of the file; in a sound one, up to where the header says that its last region ends.
    size: u64,
    /// Where blocks may stand, were they moved: behind the header, or anywhere, if that is bad.
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

/// A stretch of a snapshot, as [`Snapshot::scan`] finds it.
pub enum Stretch<'a> {
    /// A block whose header is intact and in its place, its payload, and whether that is intact too.
    Block(&'a BlockHeader, &'a [u8], std::result::Result<(), Corruption>),
    /// What is wrong where a block was due, and the bytes up to the next one or the end.
    Gap(&'a Corruption, u64),
    /// A block inside the gap told of last that is intact, but stands elsewhere than it says: at this offset. Its payload.
    Stray(u64, &'a BlockHeader, &'a [u8]),
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

    /// Opens a snapshot and reads nothing but its header; for [`Snapshot::scan`].
    pub fn bare(path: String, file: Box<dyn File>) -> Result<Snapshot> {
        let length = file.length().map_err(Error::io("read", &path))?;
        let bytes = read_header(&*file, SNAPSHOT_HEADER).map_err(Error::io("read", &path))?;
        match SnapshotHeader::decode(&bytes) {
            Ok(header) => Ok(Snapshot::of(path, file, header, length)),
            Err(BadSegment::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadSegment::Damaged(expected)) => {
                let found = format!("something else in {length} bytes");
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    /// A file whose header is bad, for [`Snapshot::scan`]: its salt is that of its blocks.
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

    /// Goes through the blocks from the first on, past any damage, whatever regions the header names. A snapshot is
    /// published whole: whatever is wrong is corruption. Each byte is read about once, however many gaps there are.
    pub fn scan(&self, mut visit: impl FnMut(Stretch<'_>) -> Result<()>) -> Result<()> {
        let mut at = SNAPSHOT_HEADER as u64;
        let (mut buffer, mut search) = (Vec::new(), blocks());
        while at < self.size {
            self.read(at, BLOCK_HEADER, &mut buffer)?;
            let (strays, end) = match self.block_at(at, &buffer) {
                Ok(header) => {
                    self.read(at + BLOCK_HEADER as u64, header.length as usize, &mut buffer)?;
                    let checked = self.check_payload(&header, &buffer);
                    let end = at + header.whole();
                    // If bytes of it were taken out, what is behind moved up into it.
                    let inside = if checked.is_err() { self.strays(at + 1, end, &mut search)?.0 } else { Vec::new() };
                    visit(Stretch::Block(&header, &buffer, checked))?;
                    (inside, end)
                }
                Err(what) => {
                    let start = if at == SNAPSHOT_HEADER as u64 { self.least } else { at };
                    let (strays, end) = self.strays(start, self.size, &mut search)?;
                    visit(Stretch::Gap(&what, end - at))?;
                    (strays, end)
                }
            };
            for (at, header) in strays {
                self.read(at + BLOCK_HEADER as u64, header.length as usize, &mut buffer)?;
                if self.check_payload(&header, &buffer).is_ok() {
                    visit(Stretch::Stray(at, &header, &buffer))?;
                }
            }
            at = end;
        }
        Ok(())
    }

    /// What there is from `start` on that is not a block in its place: headers of those that stand elsewhere than they say, with
    /// their offsets; and where the next one in its place begins, or `end`.
    fn strays(&self, start: u64, end: u64, search: &mut Search) -> Result<(Vec<(u64, BlockHeader)>, u64)> {
        let (mut strays, mut from) = (Vec::new(), start);
        let own = |bytes: &[u8], at| BlockHeader::decode(bytes).ok().filter(|header| self.holds(header, at));
        while let Some((at, header)) = search.next(self, from, own)?.filter(|(at, _)| *at < end) {
            if header.offset == at {
                return Ok((strays, at));
            }
            strays.push((at, header));
            from = at + 1;
        }
        Ok((strays, end))
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

    /// The same, and it lies inside the file.
    fn block_at(&self, at: u64, bytes: &[u8]) -> std::result::Result<BlockHeader, Corruption> {
        let header = self.own_header(at, bytes)?;
        if !self.holds(&header, at) {
            let found = format!("{} bytes before the end", self.size.saturating_sub(at));
            return Err(self.corrupt(at, format!("a block of {} bytes", header.whole()), found));
        }
        Ok(header)
    }

    /// Whether a block of this snapshot with this header lies inside the file at `at`, be it in its place or not.
    fn holds(&self, header: &BlockHeader, at: u64) -> bool {
        let fits = header.whole() <= self.size.saturating_sub(at) && header.length as usize <= MAX_BLOCK;
        fits && header.salt == self.header.salt
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

    /// The salt of the first block in its place; of the first one at all, if none is.
    fn salt_of_blocks(&self) -> Result<Option<u64>> {
        let (mut search, mut from, mut moved) = (blocks(), 0, None);
        while let Some((at, header)) = search.next(self, from, |bytes, _| BlockHeader::decode(bytes).ok())? {
            from = at + 1;
            moved = moved.or(Some(header.salt));
            if header.offset == at {
                return Ok(Some(header.salt));
            }
        }
        Ok(moved)
    }

    fn read_tables(&mut self) -> Result<()> {
        let mut buffer = Vec::new();
        let (mut fences, mut inputs, mut forgotten) = (Vec::new(), Vec::new(), Vec::new());
        let (mut shards, mut tables) = (None, 0);
        let mut each = |kind: BlockKind, visit: &mut dyn FnMut(&BlockHeader, &[u8]) -> Result<()>| {
            self.blocks(kind, self.header.region(kind), &mut buffer, |header, bytes| {
                tables += 1;
                visit(header, bytes)
            })
        };
        each(BlockKind::Fences, &mut |header, bytes| {
            decode_fences(bytes, header.count, &mut fences).map_err(|malformed| self.misencoded(header, malformed))
        })?;
        each(BlockKind::Shards, &mut |header, bytes| {
            let table = decode_shards(bytes, header.count, &self.header.region(BlockKind::Events));
            let table = table.map_err(|malformed| self.misencoded(header, malformed))?;
            match shards.replace(table) {
                None => Ok(()),
                Some(_) => Err(self.corrupt(header.offset, "one table of shards", "a second one").into()),
            }
        })?;
        each(BlockKind::Inputs, &mut |header, bytes| {
            let some = decode_inputs(bytes, header.count);
            inputs.extend(some.map_err(|malformed| self.misencoded(header, malformed))?);
            Ok(())
        })?;
        each(BlockKind::Forgotten, &mut |header, bytes| {
            let (whole, rest) = bytes.as_chunks::<16>();
            forgotten.extend_from_slice(whole);
            match (rest, whole.len() == header.count as usize) {
                ([], true) => Ok(()),
                _ => {
                    let found = format!("{} bytes", bytes.len());
                    Err(self.corrupt(header.offset, format!("{} instances of 16 bytes", header.count), found).into())
                }
            }
        })?;
        let Some(shards) = shards else {
            let at = self.header.region(BlockKind::Shards).start;
            return Err(self.corrupt(at, "a table of shards", "none").into());
        };
        let index = self.header.region(BlockKind::Index);
        let outside = |fence: &Fence| !index.contains(&fence.at);
        if fences.first().map_or(!index.is_empty(), |first| first.at != index.start) || fences.iter().any(outside) {
            let at = self.header.region(BlockKind::Fences).start;
            return Err(self.corrupt(at, "a fence for each block of the index", "others").into());
        }
        (self.fences, self.shards, self.inputs, self.forgotten) = (fences, shards, inputs, forgotten);
        self.tables = tables;
        Ok(())
    }

    /// Bytes of the file.
    pub fn length(&self) -> u64 {
        self.header.region(BlockKind::Rejects).end
    }

    /// Bytes that the file has.
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

    /// Bytes of a block whose CRC is right and that still are not what the format says.
    pub fn misencoded(&self, header: &BlockHeader, malformed: Malformed) -> Error {
        let at = header.offset + (BLOCK_HEADER + malformed.at) as u64;
        self.corrupt(at, malformed.expected, "something else").into()
    }

    /// Visits the blocks that fill `stretch`, each of this kind, checked. What lies there is read once, in large pieces.
    pub fn blocks(
        &self,
        kind: BlockKind,
        stretch: Range<u64>,
        buffer: &mut Vec<u8>,
        mut visit: impl FnMut(&BlockHeader, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let region = self.header.region(kind);
        if stretch.start > stretch.end || stretch.start < region.start || stretch.end > region.end {
            let found = format!("the bytes {} to {}", stretch.start, stretch.end);
            return Err(self.corrupt(stretch.start, format!("a place among the {}", kind.name()), found).into());
        }
        let mut at = stretch.start;
        let mut wanted = PIECE as u64;
        while at < stretch.end {
            // Bounded by the file's own length, which the header was checked against, and by MAX_BLOCK.
            let length = wanted.min(stretch.end - at) as usize;
            if buffer.len() < length {
                memory::resize(buffer, length, 0, "a block of a snapshot")?;
            }
            let read = self.file.read_at(&mut buffer[..length], at).map_err(Error::io("read", &self.path))?;
            self.read.fetch_add(read as u64, Ordering::Relaxed);
            let mut rest = &buffer[..read];
            wanted = PIECE as u64;
            loop {
                if rest.len() < BLOCK_HEADER && at + (rest.len() as u64) < stretch.end {
                    break;
                }
                if rest.is_empty() {
                    break;
                }
                let header = self.block_header(kind, rest, at)?;
                if header.whole() > stretch.end - at {
                    let expected = format!("a block that ends before byte {}", stretch.end);
                    return Err(self.corrupt(at, expected, format!("one of {} bytes", header.whole())).into());
                }
                let whole = header.whole() as usize;
                let Some(payload) = rest.get(BLOCK_HEADER..whole) else {
                    wanted = wanted.max(header.whole());
                    break;
                };
                self.check_payload(&header, payload)?;
                visit(&header, payload)?;
                rest = &rest[whole..];
                at += header.whole();
            }
            if read < length {
                // As long as its header says when it was opened, and cut since then: to read on would give the same again.
                return Err(self.corrupt(at, "a whole block", "the end of the file").into());
            }
        }
        Ok(())
    }

    /// Cuts a stretch of blocks of this kind into pieces of about a mebibyte, appended to `pieces`; reads the headers alone.
    pub fn split(&self, kind: BlockKind, stretch: Range<u64>, pieces: &mut Vec<Range<u64>>) -> Result<()> {
        let (mut at, mut start, mut buffer) = (stretch.start, stretch.start, Vec::new());
        // A short one costs more to cut than it is worth.
        while stretch.end.saturating_sub(start) > 2 * PIECE as u64 && at < stretch.end {
            self.read(at, BLOCK_HEADER, &mut buffer)?;
            at = at.saturating_add(self.block_header(kind, &buffer, at)?.whole());
            if at - start >= PIECE as u64 {
                pieces.push(start..at);
                start = at;
            }
        }
        if start < stretch.end {
            pieces.push(start..stretch.end);
        }
        Ok(())
    }

    fn block_header(&self, kind: BlockKind, bytes: &[u8], at: u64) -> Result<BlockHeader> {
        let header = self.own_header(at, bytes)?;
        if header.kind != kind || header.length as usize > MAX_BLOCK {
            let found = format!("{} bytes of {}", header.length, header.kind.name());
            return Err(self.corrupt(at, format!("a block of {}", kind.name()), found).into());
        }
        Ok(header)
    }

    /// How many blocks the index has; [`Snapshot::sites`] reads them by their number.
    pub fn index_blocks(&self) -> usize {
        self.fences.len()
    }

    /// The sites of some neighbouring blocks of the index, in the order of the report, appended to `sites`.
    pub fn sites(&self, blocks: Range<usize>, buffer: &mut Vec<u8>, sites: &mut Vec<IndexedSite>) -> Result<()> {
        let region = self.header.region(BlockKind::Index);
        let place = |block: usize| self.fences.get(block).map_or(region.end, |fence| fence.at);
        let mut number = blocks.start;
        self.blocks(BlockKind::Index, place(blocks.start)..place(blocks.end), buffer, |header, bytes| {
            let first = sites.len();
            let decoded = each_site(bytes, header.count, |name, entry| {
                sites.push(IndexedSite { name: Site::new(name).into(), entry });
            });
            decoded.map_err(|malformed| self.misencoded(header, malformed))?;
            // The fences are what a search goes by, so they have to agree with the blocks.
            let fence = self.fences.get(number).filter(|fence| fence.at == header.offset);
            let agrees = match (fence, sites.get(first)) {
                (Some(fence), Some(site)) => *site.name.text(&mut [0; 20]) == *fence.site,
                _ => false,
            };
            number += 1;
            match agrees {
                true => Ok(()),
                false => Err(self.corrupt(header.offset, "the first site that its fence names", "another").into()),
            }
        })?;
        match number == blocks.end {
            true => Ok(()),
            false => {
                let (at, expected) = (place(number), format!("a block for each of {} fences", blocks.len()));
                Err(self.corrupt(at, expected, format!("{} blocks", number - blocks.start)).into())
            }
        }
    }

    /// Where the block of the index lies that a site is in, or would be.
    pub fn index_block(&self, name: &SiteName) -> u64 {
        let mut buffer = [0; 20];
        let name = name.text(&mut buffer);
        let before = self.fences.partition_point(|fence| *fence.site <= *name).saturating_sub(1);
        self.fences.get(before).map_or(self.header.region(BlockKind::Index).start, |fence| fence.at)
    }

    /// How many blocks the tables have that were read when it was opened.
    pub fn table_blocks(&self) -> u64 {
        self.tables
    }

    /// What the index says of one site; reads one block of it.
    pub fn site(&self, name: &SiteName, buffer: &mut Vec<u8>) -> Result<Option<IndexedSite>> {
        let mut found = Vec::new();
        self.sites_of(std::slice::from_ref(name), buffer, &mut found)?;
        Ok(found.pop())
    }

    /// What the index says of some sites, which ascend, appended to `found`; reads each block once that may hold one.
    pub fn sites_of(&self, names: &[SiteName], buffer: &mut Vec<u8>, found: &mut Vec<IndexedSite>) -> Result<()> {
        let place = |name: &SiteName| {
            let mut text = [0; 20];
            let text = name.text(&mut text);
            self.fences.partition_point(|fence| *fence.site <= *text).checked_sub(1)
        };
        let mut sites = Vec::new();
        for names in names.chunk_by(|a, b| place(a) == place(b)) {
            let Some(block) = names.first().and_then(place) else { continue };
            sites.clear();
            self.sites(block..block + 1, buffer, &mut sites)?;
            let known = |name: &SiteName| sites.binary_search_by(|site| site.name.cmp(name)).ok();
            found.extend(names.iter().filter_map(|name| sites.get(known(name)?).cloned()));
        }
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

/// A search for headers of blocks.
fn blocks() -> Search {
    Search::new(&BLOCK_MAGIC, BLOCK_HEADER)
}

/// A block whose place is not known yet.
pub struct PendingBlock {
    /// What it holds.
    pub kind: BlockKind,
    /// The shard of its events.
    pub shard: u8,
    /// How many things it holds.
    pub count: u32,
    /// Bytes of its payload.
    pub length: u32,
    /// CRC of its payload.
    pub crc: u32,
}

impl PendingBlock {
    /// The block of this payload.
    pub fn new(kind: BlockKind, shard: u8, count: u32, payload: &[u8]) -> PendingBlock {
        PendingBlock { kind, shard, count, length: payload.len() as u32, crc: crc(payload) }
    }
}

/// Writes a snapshot from front to back; nobody sees it before [`SnapshotWriter::publish`].
pub struct SnapshotWriter<'a> {
    publication: Publication<'a>,
    header: SnapshotHeader,
    end: u64,
    shards: [ShardEntry; SHARDS],
}

impl<'a> SnapshotWriter<'a> {
    /// Begins one; `header` says what it covers, the rest of it is filled in.
    pub fn create(storage: &'a dyn Storage, name: &str, mut header: SnapshotHeader) -> Result<SnapshotWriter<'a>> {
        let random = storage.random().map_err(Error::io("get random bytes for", path_of(storage, name)))?;
        header.salt = (u128::from_le_bytes(random) >> 64) as u64;
        let publication = Publication::begin(storage, name)?;
        Ok(SnapshotWriter { publication, header, end: SNAPSHOT_HEADER as u64, shards: [ShardEntry::default(); SHARDS] })
    }

    /// Where its temporary files are, unless it is told of another place.
    pub fn scratch(&self) -> PathBuf {
        self.publication.scratch()
    }

    /// Where the next block will be.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Appends blocks. `bytes` holds, for each, room for its header and its payload behind it.
    pub fn append(&mut self, blocks: &[PendingBlock], bytes: &mut [u8]) -> Result<()> {
        let mut rest = &mut *bytes;
        let mut offset = self.end;
        for block in blocks {
            let header = BlockHeader {
                kind: block.kind,
                shard: block.shard,
                count: block.count,
                length: block.length,
                offset,
                salt: self.header.salt,
                payload_crc: block.crc,
            };
            if let Some((room, behind)) = std::mem::take(&mut rest).split_at_mut_checked(BLOCK_HEADER) {
                room.copy_from_slice(&header.encode());
                rest = behind.split_at_mut_checked(block.length as usize).map(|(_, rest)| rest).unwrap_or_default();
            }
            if let (BlockKind::Events, Some(shard)) = (block.kind, self.shards.get_mut(usize::from(block.shard))) {
                shard.length += header.whole();
                shard.events += u64::from(block.count);
            }
            offset += header.whole();
        }
        self.publication.write_at(bytes, self.end)?;
        self.end = offset;
        Ok(())
    }

    fn block(&mut self, kind: BlockKind, count: u32, payload: &[u8]) -> Result<()> {
        let block = PendingBlock::new(kind, 0, count, payload);
        let mut bytes = vec![0; BLOCK_HEADER];
        bytes.extend_from_slice(payload);
        self.append(&[block], &mut bytes)
    }

    fn end_region(&mut self, kind: BlockKind) {
        if let Some(end) = self.header.ends.get_mut(kind.place()) {
            *end = self.end;
        }
    }

    /// Writes the index behind the events; gives the sites and their events.
    pub fn index(&mut self, lines: &SortedLines) -> Result<(u64, u64)> {
        self.end_region(BlockKind::Events);
        (self.header.earliest, self.header.latest) = (i64::MAX, i64::MIN);
        let mut fences: Vec<Fence> = Vec::new();
        // Gathered over many blocks: a call a block would cost more than the blocks.
        let (mut blocks, mut bytes) = (Vec::new(), Vec::new());
        let (mut payload, mut before, mut count) = (Vec::new(), Vec::new(), 0u32);
        let mut lines = lines.stretch(None, None)?;
        while let Some((name, line)) = lines.next()? {
            let (header, entry) = (&mut self.header, line.entry);
            header.sites += 1;
            header.events += entry.events;
            header.disputed += entry.disputed;
            header.earliest = header.earliest.min(entry.earliest);
            header.latest = header.latest.max(entry.latest);
            if payload.len() >= INDEX_BLOCK && (count >= INDEX_SITES || payload.len() >= 8 * INDEX_BLOCK) {
                blocks.push(PendingBlock::new(BlockKind::Index, 0, count, &payload));
                bytes.resize(bytes.len() + BLOCK_HEADER, 0);
                bytes.append(&mut payload);
                (count, before) = (0, Vec::new());
                if bytes.len() >= TABLE_BLOCK {
                    self.append(&blocks, &mut bytes)?;
                    blocks.clear();
                    bytes.clear();
                }
            }
            if count == 0 {
                fences.push(Fence { site: name.into(), at: self.end + bytes.len() as u64 });
            }
            put_site(&mut payload, &before, name, &entry);
            before.clear();
            before.extend_from_slice(name);
            count += 1;
        }
        if count > 0 {
            blocks.push(PendingBlock::new(BlockKind::Index, 0, count, &payload));
            bytes.resize(bytes.len() + BLOCK_HEADER, 0);
            bytes.append(&mut payload);
        }
        self.append(&blocks, &mut bytes)?;
        self.end_region(BlockKind::Index);
        // A block a few thousand fences: their names are short, but may not be.
        for some in fences.chunks(1 << 12) {
            self.block(BlockKind::Fences, some.len() as u32, &encode_fences(some))?;
        }
        self.end_region(BlockKind::Fences);
        let (shards, count) = encode_shards(&self.shards);
        self.block(BlockKind::Shards, count, &shards)?;
        self.end_region(BlockKind::Shards);
        Ok((self.header.sites, self.header.events))
    }

    /// Writes the inputs, and those that count no longer, behind the index.
    pub fn inputs<'i>(&mut self, inputs: impl Iterator<Item = &'i InputEntry>, forgotten: &[Uid]) -> Result<()> {
        let (mut payload, mut count) = (Vec::new(), 0);
        for input in inputs {
            put_input(&mut payload, input);
            count += 1;
            if payload.len() >= TABLE_BLOCK {
                self.block(BlockKind::Inputs, count, &payload)?;
                payload.clear();
                count = 0;
            }
        }
        if count > 0 {
            self.block(BlockKind::Inputs, count, &payload)?;
        }
        self.end_region(BlockKind::Inputs);
        for some in forgotten.chunks(TABLE_BLOCK / 16) {
            self.block(BlockKind::Forgotten, some.len() as u32, some.as_flattened())?;
        }
        self.end_region(BlockKind::Forgotten);
        Ok(())
    }

    /// Writes the rejects of one batch behind the inputs: its checkpoint and its section of rejects.
    pub fn rejects(&mut self, count: u32, payload: &[u8]) -> Result<()> {
        self.block(BlockKind::Rejects, count, payload)
    }

    /// Gives it up.
    pub fn abandon(self) {
        self.publication.abandon();
    }

    /// Makes it durable and part of the store, under a name that is new; gives its bytes. `copies` is how many were dropped on
    /// the way.
    pub fn publish(mut self, copies: u64) -> Result<u64> {
        self.finish(copies)?;
        self.publication.commit()?;
        Ok(self.end)
    }

    fn finish(&mut self, copies: u64) -> Result<()> {
        self.end_region(BlockKind::Rejects);
        // Repeated lines take no bytes, so nothing but this bounds what damaged counts of them say.
        self.header.copies = copies.min(MAX_COUNT - 1);
        self.publication.write_at(&self.header.encode(), 0)
    }
}
