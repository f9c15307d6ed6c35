//! Cuts the events of a shard, which are in order and each once, into blocks, and notes where each site is.
//! [`Piece`] holds what one task becomes until its place in the snapshot is known; [`BlockStream`] writes at once what comes one
//! event after the other. Both cut alike.

use crate::base::memory;
use crate::error::Result;
use crate::event::SiteName;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::format::block::{BLOCK_HEADER, BlockKind};
use crate::format::events::EventsEncoder;
use crate::format::index::SiteEntry;
use crate::query::fold::Fold;
use crate::query::gather::by_site;
use crate::snapshot::lines::{Finder, Line};
use crate::snapshot::{IndexedSite, PendingBlock, SnapshotWriter};

/// Events of a block, but for a site that begins a block: what is read and decoded to answer for one small site.
const BLOCK_EVENTS: usize = 2048;

/// Bytes up to which a block of one large site may grow if most of them are names. Each block holds the names of its events, so
/// small blocks would write those of thousands of visitors again and again.
const BLOCK_OF_NAMES: usize = 1 << 20;

/// What the index is made of, in messages.
const SITES: &str = "the sites of a snapshot";
/// What the blocks are, in messages.
const BLOCKS: &str = "the blocks of a snapshot";

/// What becomes of a full block whose bytes are mostly names, which the next one would have again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MostlyNames {
    /// It ends as any other.
    Ends,
    /// It is not made yet: more events of the same site go into it.
    Grows,
}

impl MostlyNames {
    /// Whether a block waits for more events, with a section of so many bytes.
    fn waits(self, encoder: &EventsEncoder, bytes: usize) -> bool {
        self == MostlyNames::Grows && encoder.bytes_of_names() > bytes / 2 && bytes < BLOCK_OF_NAMES / 2
    }
}

/// What one task becomes.
#[derive(Default)]
pub(super) struct Piece {
    fold: Fold,
    pub(super) encoder: EventsEncoder,
    /// Events of the block at hand.
    order: Vec<Row>,
    blocks: Vec<PendingBlock>,
    bytes: Vec<u8>,
    /// Bytes before these that are written already.
    pub(super) written: u64,
    /// Its sites, with places that count from its start.
    pub(super) sites: Vec<IndexedSite>,
    /// Bytes that are held until they are written.
    held: usize,
}

impl Piece {
    /// An empty one that holds so many bytes until they are written.
    pub(super) fn new(held: usize) -> Piece {
        Piece { held, ..Piece::default() }
    }

    /// Begins with the next task.
    pub(super) fn begin(&mut self) {
        self.drop_bytes();
        self.written = 0;
    }

    /// Writes what is held.
    pub(super) fn write(&mut self, writer: &mut SnapshotWriter<'_>) -> Result<()> {
        writer.append(&self.blocks, &mut self.bytes)?;
        self.written += self.bytes.len() as u64;
        self.drop_bytes();
        Ok(())
    }

    pub(super) fn drop_bytes(&mut self) {
        self.blocks.clear();
        self.bytes.clear();
    }

    /// Appends sites of a shard, whose rows are in order and each once; `flush` takes what is held once it is much.
    pub(super) fn add(&mut self, shard: u8, table: &Table, flush: &dyn Fn(&mut Piece) -> Result<()>) -> Result<()> {
        let mut groups: Vec<&[Row]> = by_site(table).collect();
        groups.sort_unstable_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        // Sites from this place on have events in the block at hand.
        let mut open = self.sites.len();
        self.order.clear();
        for rows in groups {
            if self.order.len() + rows.len() > BLOCK_EVENTS && !self.order.is_empty() {
                self.block(shard, table, open, MostlyNames::Ends)?;
                open = self.sites.len();
            }
            let summary = self.fold.site(rows, table.names(), Window::ALL, &mut ());
            let entry = SiteEntry { summary, at: u64::MAX, ..Line::of_rows(rows, Window::ALL).entry };
            memory::reserve(&mut self.sites, 1, SITES)?;
            self.sites.push(IndexedSite { name: table.site_of(&rows[0]).into(), entry });
            let (mut rest, mut most) = (rows, BLOCK_EVENTS);
            while !rest.is_empty() {
                let (some, behind) = rest.split_at(rest.len().min(most - self.order.len()));
                memory::reserve(&mut self.order, some.len(), BLOCKS)?;
                self.order.extend_from_slice(some);
                rest = behind;
                if self.order.len() < most {
                    break;
                }
                let mostly_names = if rest.is_empty() { MostlyNames::Ends } else { MostlyNames::Grows };
                if !self.block(shard, table, open, mostly_names)? {
                    most *= 2;
                    continue;
                }
                most = BLOCK_EVENTS;
                // The site at hand may go on.
                open = self.sites.len() - 1;
                if self.bytes.len() >= self.held {
                    flush(self)?;
                }
            }
            if self.order.is_empty() {
                open = self.sites.len();
            }
        }
        if !self.order.is_empty() {
            self.block(shard, table, open, MostlyNames::Ends)?;
        }
        Ok(())
    }

    /// Makes the block at hand, in which the sites from `open` on have events, unless it waits for more. Says whether it did.
    fn block(&mut self, shard: u8, table: &Table, open: usize, mostly_names: MostlyNames) -> Result<bool> {
        let (before, start) = (self.bytes.len(), self.written + self.bytes.len() as u64);
        // It takes more only where ids are not UUIDs.
        memory::reserve(&mut self.bytes, BLOCK_HEADER + self.order.len() * size_of::<Row>(), BLOCKS)?;
        self.bytes.resize(before + BLOCK_HEADER, 0);
        self.encoder.section(table, &self.order, &mut self.bytes);
        let section = self.bytes.len() - before - BLOCK_HEADER;
        if mostly_names.waits(&self.encoder, section) {
            self.bytes.truncate(before);
            return Ok(false);
        }
        let payload = &self.bytes[before + BLOCK_HEADER..];
        self.blocks.push(PendingBlock::new(BlockKind::Events, shard, self.order.len() as u32, payload));
        let end = self.written + self.bytes.len() as u64;
        for site in &mut self.sites[open..] {
            site.entry.at = site.entry.at.min(start);
            site.entry.length = end - site.entry.at;
        }
        self.order.clear();
        Ok(true)
    }
}

/// Makes blocks of events that come one after the other, in order.
pub(super) struct BlockStream<'b, 'w, 'f> {
    shard: u8,
    writer: &'b mut SnapshotWriter<'w>,
    finder: &'b mut Finder<'f>,
    encoder: EventsEncoder,
    /// Events that are in no block yet: of sites that are complete, `held` of them, and of the site at hand.
    table: Table,
    held: usize,
    /// Events of which a block is made that is full of the site at hand.
    most: usize,
    bytes: Vec<u8>,
    /// The last site that has events in a block, and where they are.
    last: Option<(SiteName, Line)>,
}

impl<'b, 'w, 'f> BlockStream<'b, 'w, 'f> {
    pub(super) fn new(shard: u8, writer: &'b mut SnapshotWriter<'w>, finder: &'b mut Finder<'f>) -> Self {
        let (encoder, table) = (EventsEncoder::default(), Table::default());
        BlockStream {
            shard,
            writer,
            finder,
            encoder,
            table,
            held: 0,
            most: BLOCK_EVENTS,
            bytes: Vec::new(),
            last: None,
        }
    }

    /// Takes the next event.
    pub(super) fn put(&mut self, table: &Table, row: &Row) -> Result<()> {
        let is_next = self.table.rows.last().is_some_and(|last| self.table.site_of(last) != table.site_of(row));
        if is_next {
            self.end_site()?;
        }
        self.table.push_copy(table, row);
        let own = self.table.rows.len() - self.held;
        if self.held > 0 && self.table.rows.len() > BLOCK_EVENTS {
            self.block(self.held, MostlyNames::Ends)?;
            self.held = 0;
        }
        if self.held == 0 && own > self.most {
            match self.block(self.most, MostlyNames::Grows)? {
                true => self.most = BLOCK_EVENTS,
                false => self.most *= 2,
            }
        }
        Ok(())
    }

    /// The site at hand is complete.
    fn end_site(&mut self) -> Result<()> {
        self.held = self.table.rows.len();
        if self.held == self.most {
            self.block(self.held, MostlyNames::Ends)?;
            self.held = 0;
        }
        self.most = BLOCK_EVENTS;
        Ok(())
    }

    /// Makes the last block.
    pub(super) fn end(mut self) -> Result<()> {
        self.end_site()?;
        if self.held > 0 {
            self.block(self.held, MostlyNames::Ends)?;
        }
        match self.last.take() {
            Some((name, line)) => self.finder.put(name.site(), &line),
            None => Ok(()),
        }
    }

    /// Makes a block of the first events, unless it waits for more. Says whether it did.
    fn block(&mut self, count: usize, mostly_names: MostlyNames) -> Result<bool> {
        let BlockStream { shard, writer, finder, encoder, table, bytes, last, .. } = self;
        encoder.begin(table);
        bytes.clear();
        bytes.resize(BLOCK_HEADER, 0);
        let rows = &table.rows[..count];
        encoder.section(table, rows, bytes);
        let section = bytes.len() - BLOCK_HEADER;
        if mostly_names.waits(encoder, section) {
            return Ok(false);
        }
        let start = writer.end();
        writer.append(&[PendingBlock::new(BlockKind::Events, *shard, count as u32, &bytes[BLOCK_HEADER..])], bytes)?;
        let end = writer.end();
        for row in rows.chunk_by(|a, b| a.site == b.site).filter_map(|rows| rows.first()) {
            let site = table.site_of(row);
            match last {
                Some((name, line)) if name.site() == site => line.entry.length = end - line.entry.at,
                _ => {
                    let mut line = Line::EMPTY;
                    (line.entry.at, line.entry.length) = (start, end - start);
                    if let Some((name, line)) = last.replace((site.into(), line)) {
                        finder.put(name.site(), &line)?;
                    }
                }
            }
        }
        // What is left goes on in a table of its own, without the texts of the others.
        let mut rest = Table::default();
        table.rows[count..].iter().for_each(|row| rest.push_copy(table, row));
        *table = rest;
        Ok(true)
    }
}
