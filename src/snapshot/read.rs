//! Reading a sound snapshot: its tables, blocks of one kind, and sites of its index.

use std::ops::Range;
use std::sync::atomic::Ordering;

use super::{IndexedSite, Snapshot};
use crate::base::memory;
use crate::error::{Error, Result};
use crate::event::{Site, SiteName};
use crate::format::block::{BLOCK_HEADER, BlockHeader, BlockKind, MAX_BLOCK};
use crate::format::index::{Fence, decode_fences, each_site};
use crate::format::tables::{decode_inputs, decode_shards};

/// Bytes that are read at once, unless a block is longer.
const READ_AT_ONCE: u64 = 1 << 20;

impl Snapshot {
    /// Reads the tables. The index is not among them: it is read a block at a time, when a site is asked for.
    pub(super) fn read_tables(&mut self) -> Result<()> {
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

    /// Visits the blocks that fill `stretch`. Each is checked, and is of this kind. The bytes are read once, in large pieces.
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
        let mut wanted = READ_AT_ONCE;
        while at < stretch.end {
            // Bounded by the file's own length, which the header was checked against, and by MAX_BLOCK.
            let length = wanted.min(stretch.end - at) as usize;
            if buffer.len() < length {
                memory::resize(buffer, length, 0, "a block of a snapshot")?;
            }
            let read = self.file.read_at(&mut buffer[..length], at).map_err(Error::io("read", &self.path))?;
            self.read.fetch_add(read as u64, Ordering::Relaxed);
            let mut rest = &buffer[..read];
            wanted = READ_AT_ONCE;
            loop {
                let is_cut = rest.len() < BLOCK_HEADER && at + (rest.len() as u64) < stretch.end;
                if is_cut || rest.is_empty() {
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
                // It was as long as its header says when it was opened, and somebody cut it since. To read on would give the same again.
                return Err(self.corrupt(at, "a whole block", "the end of the file").into());
            }
        }
        Ok(())
    }

    /// Cuts a stretch of blocks of this kind into pieces of about a mebibyte, appended to `pieces`. Reads only headers.
    pub fn split(&self, kind: BlockKind, stretch: Range<u64>, pieces: &mut Vec<Range<u64>>) -> Result<()> {
        let (mut at, mut start, mut buffer) = (stretch.start, stretch.start, Vec::new());
        // A short stretch costs more to cut than it is worth.
        while stretch.end.saturating_sub(start) > 2 * READ_AT_ONCE && at < stretch.end {
            self.read(at, BLOCK_HEADER, &mut buffer)?;
            at = at.saturating_add(self.block_header(kind, &buffer, at)?.whole());
            if at - start >= READ_AT_ONCE {
                pieces.push(start..at);
                start = at;
            }
        }
        if start < stretch.end {
            pieces.push(start..stretch.end);
        }
        Ok(())
    }

    /// The header of a block at `at`, of this kind, and of a length that a block may have.
    fn block_header(&self, kind: BlockKind, bytes: &[u8], at: u64) -> Result<BlockHeader> {
        let header = self.own_header(at, bytes)?;
        if header.kind != kind || header.length as usize > MAX_BLOCK {
            let found = format!("{} bytes of {}", header.length, header.kind.name());
            return Err(self.corrupt(at, format!("a block of {}", kind.name()), found).into());
        }
        Ok(header)
    }

    /// The number of blocks in the index. [`Snapshot::sites`] reads them by number.
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
            // A search goes by the fences, so they have to agree with the blocks.
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

    /// Where the block of the index is that holds a site, or would hold it.
    pub fn index_block(&self, name: &SiteName) -> u64 {
        let mut buffer = [0; 20];
        let name = name.text(&mut buffer);
        let before = self.fences.partition_point(|fence| *fence.site <= *name).saturating_sub(1);
        self.fences.get(before).map_or(self.header.region(BlockKind::Index).start, |fence| fence.at)
    }

    /// What the index says of one site. Reads one block of it.
    pub fn site(&self, name: &SiteName, buffer: &mut Vec<u8>) -> Result<Option<IndexedSite>> {
        let mut found = Vec::new();
        self.sites_of(std::slice::from_ref(name), buffer, &mut found)?;
        Ok(found.pop())
    }

    /// What the index says of some sites, which ascend, appended to `found`. Reads each block that may hold one of them, once.
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
