//! Reading a snapshot past damage: its blocks, whatever regions the header names, and wherever they stand.

use super::Snapshot;
use crate::disk::search::Search;
use crate::error::{Corruption, Result};
use crate::format::block::{BLOCK_HEADER, BLOCK_MAGIC, BlockHeader, MAX_BLOCK};
use crate::format::snapshot_header::SNAPSHOT_HEADER;

/// A stretch of a snapshot, as [`Snapshot::scan`] finds it.
pub enum Stretch<'a> {
    /// A block whose header is intact and in its place; its payload; whether the payload is intact too.
    Block(&'a BlockHeader, &'a [u8], std::result::Result<(), Corruption>),
    /// What is wrong where a block was due, and the bytes up to the next one or the end.
    Gap(&'a Corruption, u64),
    /// An intact block inside the last gap, or inside the last block that is not intact. It stands elsewhere than it says: at this
    /// offset. Its header and its payload.
    Stray(u64, &'a BlockHeader, &'a [u8]),
}

/// What there is besides blocks in their place.
struct Strays {
    /// Headers of blocks that stand elsewhere than they say, with the offsets where they stand.
    headers: Vec<(u64, BlockHeader)>,
    /// Where the next block in its place begins, or where the search was to end.
    end: u64,
}

impl Snapshot {
    /// Goes through the blocks from the first on, past any damage, whatever regions the header names. A snapshot is published whole, so
    /// whatever is wrong is corruption. Each byte is read about once, however many gaps there are.
    pub fn scan(&self, mut visit: impl FnMut(Stretch<'_>) -> Result<()>) -> Result<()> {
        let mut at = SNAPSHOT_HEADER as u64;
        let (mut buffer, mut search) = (Vec::new(), headers());
        while at < self.size {
            self.read(at, BLOCK_HEADER, &mut buffer)?;
            let (strays, end) = match self.block_at(at, &buffer) {
                Ok(header) => {
                    self.read(at + BLOCK_HEADER as u64, header.length as usize, &mut buffer)?;
                    let checked = self.check_payload(&header, &buffer);
                    let end = at + header.whole();
                    // If bytes of it were taken out, the blocks behind it moved up into it.
                    let inside = match checked {
                        Ok(()) => Vec::new(),
                        Err(_) => self.strays(at + 1, end, &mut search)?.headers,
                    };
                    visit(Stretch::Block(&header, &buffer, checked))?;
                    (inside, end)
                }
                Err(what) => {
                    let start = if at == SNAPSHOT_HEADER as u64 { self.least } else { at };
                    let Strays { headers, end } = self.strays(start, self.size, &mut search)?;
                    visit(Stretch::Gap(&what, end - at))?;
                    (headers, end)
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

    /// What there is from `start` up to the next block in its place, or to `end`.
    fn strays(&self, start: u64, end: u64, search: &mut Search) -> Result<Strays> {
        let (mut headers, mut from) = (Vec::new(), start);
        let own = |bytes: &[u8], at| BlockHeader::decode(bytes).ok().filter(|header| self.holds(header, at));
        while let Some((at, header)) = search.next(self, from, own)?.filter(|(at, _)| *at < end) {
            if header.offset == at {
                return Ok(Strays { headers, end: at });
            }
            headers.push((at, header));
            from = at + 1;
        }
        Ok(Strays { headers, end })
    }

    /// The header at `at`, if a block of this snapshot begins there and lies inside the file.
    fn block_at(&self, at: u64, bytes: &[u8]) -> std::result::Result<BlockHeader, Corruption> {
        let header = self.own_header(at, bytes)?;
        if !self.holds(&header, at) {
            let found = format!("{} bytes before the end", self.size.saturating_sub(at));
            return Err(self.corrupt(at, format!("a block of {} bytes", header.whole()), found));
        }
        Ok(header)
    }

    /// Whether a block of this snapshot with this header lies inside the file at `at`, whether this is its place or not.
    fn holds(&self, header: &BlockHeader, at: u64) -> bool {
        let fits = header.whole() <= self.size.saturating_sub(at) && header.length as usize <= MAX_BLOCK;
        fits && header.salt == self.header.salt
    }

    /// The salt of the first block in its place; of the first one at all, if none is.
    pub(super) fn salt_of_blocks(&self) -> Result<Option<u64>> {
        let (mut search, mut from, mut moved) = (headers(), 0, None);
        while let Some((at, header)) = search.next(self, from, |bytes, _| BlockHeader::decode(bytes).ok())? {
            from = at + 1;
            moved = moved.or(Some(header.salt));
            if header.offset == at {
                return Ok(Some(header.salt));
            }
        }
        Ok(moved)
    }
}

/// A search for headers of blocks.
fn headers() -> Search {
    Search::new(&BLOCK_MAGIC, BLOCK_HEADER)
}
