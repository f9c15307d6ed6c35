//! A shard that does not fit the memory, such as that of one huge site: its events are dealt to parts and put aside, and what the
//! report says of its sites is found part by part.
//!
//! 1. Events are dealt by a hash of their site and id, so that all copies of one are in one part. Copies are dropped part by
//!    part ([`Large::finish`]).
//! 2. Each part gives four things. Its events, in order, for whoever wants them. Its messages: site and moment, in order. Its
//!    visitors, dealt by a hash of site and name, so that all mentions of one are in one part of those. And its statuses, which
//!    all together are brought into the order of operators and moments.
//! 3. Visitors are counted part by part. Statuses are read once: operators are counted, and where one came or went, a step of one
//!    up or down is noted, by site and moment. Steps in order give the moments at which a site goes online or offline: statuses
//!    count before the messages of their moment, so nothing else of them matters.
//! 4. Messages are counted against those moments, some of them at a time, all parts side by side.
//!
//! All of it runs on all threads but the two readings in order, of statuses and of steps. Nothing is held for the whole of a
//! site but what fits the share of memory.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use crate::base::memory;
use crate::base::secret;
use crate::disk::scratch::Limits;
use crate::disk::scratch::deal::{Deal, Dealer, Parted, part_of};
use crate::disk::scratch::sorter::{Collector, Sorted, Sorter};
use crate::disk::scratch::{Extent, Scratch, Spill};
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::table::{Row, Table, Texts};
use crate::event::{Id, Kind, Site, SiteName};
use crate::format::block::BlockKind;
use crate::format::coding::{Reader, put_varint, unzigzag, zigzag};
use crate::query::gather::{Gather, Task, by_site, parallel};
use crate::query::merge::Merge;
use crate::query::sections::SectionRun;
use crate::segment::Segment;
use crate::snapshot::Snapshot;
use crate::snapshot::lines::{Finder, Line, Lines};
use crate::store::Place;

/// Bytes of memory that a part takes as a table at most, whatever there is: as much as the caches hold.
const PART: usize = 4 << 20;

/// The most parts. Where they do not fit the memory, each is dealt again.
const MOST_PARTS: u64 = 1 << 10;

/// Bytes of a part that are put aside at a time, more or less, at least.
const LEAST_DEALT: usize = 8 << 10;

/// Records that are taken in between two looks at the memory.
const STEP: usize = 1 << 9;

/// Moments of one record of messages.
const MOMENTS: usize = 1 << 9;

/// Bytes that are put aside at a time, where there is memory for them.
const PIECE: usize = 64 << 10;

/// The least of them.
const LEAST_PIECE: usize = 1 << 9;

/// What is held, in messages.
const EVENTS: &str = "the events of a part";
/// The same.
const MESSAGES: &str = "the messages of a site";

/// Takes events, until it says that it is enough.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&Table) -> Result<bool>;

/// The events of one shard.
pub(crate) struct Large {
    scratch: Scratch,
    shard: u8,
    threads: usize,
    /// Bytes of memory for one thread.
    share: usize,
    deal: Deal,
}

impl Large {
    /// Nothing yet of a shard that would take about so many `bytes` in memory.
    pub(crate) fn new(limits: &Limits, shard: u8, bytes: u64) -> Large {
        let Limits { threads, scratch, .. } = limits.clone();
        let threads = threads.max(1);
        let share = limits.bytes() / threads;
        let part = (share / 4).clamp(1 << 10, PART) as u64;
        // More parts would be put aside, and read back, in pieces that are too small.
        let most = ((share / 4 / LEAST_DEALT) as u64).clamp(16, MOST_PARTS);
        let parts = bytes.div_ceil(part).min(most).next_power_of_two().clamp(2, MOST_PARTS);
        Large { shard, threads, share, deal: Deal::new(&scratch, parts as usize), scratch }
    }

    /// Adds what frames of these segments hold of the shard and of the sites that are `wanted`; of which sites, `sites` is told.
    pub(crate) fn tail(
        &self,
        segments: &[Segment],
        frames: &[Place],
        wanted: impl Fn(Site<'_>) -> bool + Sync,
        sites: Option<&Mutex<HashSet<SiteName>>>,
    ) -> Result<()> {
        self.deal(frames.len(), |gather, task, number| {
            gather.tail(segments, frames.get(number..number + 1).unwrap_or_default(), task, &wanted)?;
            if let Some(sites) = sites {
                let mut sites = sites.lock().unwrap_or_else(PoisonError::into_inner);
                gather.each_site(|site| {
                    sites.insert(site.into());
                });
            }
            Ok(())
        })
    }

    /// Adds what runs hold of the shard.
    pub(crate) fn sections(&self, runs: &[SectionRun<'_>]) -> Result<()> {
        self.deal(runs.len(), |gather, task, number| match runs.get(number) {
            Some(run) => gather.sections(run, task, &|_| true),
            None => Ok(()),
        })
    }

    /// Adds what stretches of a snapshot hold of the sites that are `wanted`.
    pub(crate) fn snapshot(
        &self,
        snapshot: &Snapshot,
        stretches: impl IntoIterator<Item = Range<u64>>,
        wanted: impl Fn(Site<'_>) -> bool + Sync,
    ) -> Result<()> {
        let mut pieces = Vec::new();
        for stretch in stretches {
            snapshot.split(BlockKind::Events, stretch, &mut pieces)?;
        }
        self.deal(pieces.len(), |gather, _, number| match pieces.get(number) {
            Some(piece) => gather.snapshot(snapshot, piece.clone(), &wanted),
            None => Ok(()),
        })
    }

    /// Somebody who deals events that were read elsewhere, for one thread.
    pub(crate) fn dealer(&self) -> Rows<'_> {
        Rows(self.deal.dealer(self.share / 4))
    }

    /// Deals what `read` gathers, piece by piece.
    fn deal(&self, pieces: usize, read: impl Fn(&mut Gather, &Task, usize) -> Result<()> + Sync) -> Result<()> {
        let task = Task { shards: self.shard..=self.shard, events: 0, share: u64::MAX };
        let begin = || {
            let mut gather = Gather::default();
            gather.begin(&task);
            gather.only().map(Table::without_lookup);
            (gather, self.dealer())
        };
        let workers = parallel(self.threads, pieces, begin, |(gather, rows), number| {
            read(gather, &task, number)?;
            let Some(table) = gather.only() else { return Ok(()) };
            rows.put(table)?;
            table.clear();
            Ok(())
        })?;
        workers.into_iter().for_each(|(_, rows)| rows.end());
        Ok(())
    }

    /// Drops copies, and finds out what the report says of each site, if there are `lines` for it; `visit` gets all events, in order
    /// and each once, some at a time, until it says that it is enough. Gives the number of copies, or nothing if it was.
    pub(crate) fn finish(self, window: Window, lines: Option<&Lines>, visit: Option<Visit<'_>>) -> Result<Option<u64>> {
        let sorter = || Sorter::new(&self.scratch, self.share / 16, self.held());
        let (names, order, messages) = (sorter(), sorter(), self.scratch.file());
        let visitors = Deal::new(&self.scratch, self.deal.parts());
        let report = lines.map(|lines| Found { lines, names: &names, visitors: &visitors, threads: self.threads });
        let (streams, copies) = self.stage(window, report, visit.is_some().then_some(&order), &messages)?;
        let Large { scratch, share, threads, .. } = &self;
        if let Some(lines) = lines {
            self.count_visitors(&visitors, lines)?;
            let steps = steps((scratch, *share), self.held(), &names.sorted(self.runs())?, window, lines)?;
            count_messages(*threads, *share, &messages, streams, &steps.sorted(self.runs())?, lines)?;
        }
        let is_done = visit.map_or(Ok(true), |visit| self.visit(order, visit))?;
        Ok(Some(copies).filter(|_| is_done))
    }

    /// Counts the visitors of all sites.
    fn count_visitors(&self, visitors: &Deal, lines: &Lines) -> Result<()> {
        let Large { scratch, share, threads, .. } = self;
        let begin = || Visitors {
            scratch,
            most: share / 4,
            names: Texts::default(),
            sites: Texts::default(),
            counts: Vec::new(),
            site: 0,
            name: Vec::new(),
            finder: lines.finder(*threads),
        };
        let work = |counting: &mut Visitors<'_>, part| visitors.work(part, scratch, share / 16, counting);
        let countings = parallel(*threads, visitors.parts(), begin, work)?;
        countings.into_iter().try_for_each(|counting| counting.finder.end())
    }

    /// Visits all events, until it is enough; says whether it is not.
    fn visit(&self, order: Sorter, visit: Visit<'_>) -> Result<bool> {
        let (sorted, mut table) = (order.sorted(self.runs())?, Table::default());
        let mut merge = sorted.merge(None, None)?;
        while let Some((key, disputed)) = merge.next()? {
            let disputed = disputed.first() == Some(&1);
            push_key(key, disputed, self.shard, &mut table).ok_or_else(|| self.scratch.changed())?;
            if table.rows.len() >= STEP {
                if !visit(&table)? {
                    return Ok(false);
                }
                table.clear();
            }
        }
        if table.rows.is_empty() { Ok(true) } else { visit(&table) }
    }

    /// Bytes of runs that may stay in memory.
    fn held(&self) -> usize {
        self.share * self.threads / 8
    }

    /// Runs that are merged at a time, each with a block.
    fn runs(&self) -> usize {
        (self.share * self.threads / 4 / (self.share / 16).clamp(1 << 8, PIECE)).clamp(4, 256)
    }

    /// Works on all parts.
    fn stage(
        &self,
        window: Window,
        report: Option<Found<'_>>,
        order: Option<&Sorter>,
        messages: &Spill,
    ) -> Result<(Vec<Stream>, u64)> {
        let Large { scratch, shard, threads, share, deal } = self;
        let streams = Mutex::new(Vec::new());
        let piece = (share * threads / 8 / deal.parts()).clamp(LEAST_PIECE, PIECE);
        let held = AtomicUsize::new(self.held());
        let stage = Stage {
            scratch,
            shard: *shard,
            share: *share,
            window,
            report,
            order,
            messages,
            streams: &streams,
            piece,
            held,
        };
        let workers = parallel(
            *threads,
            deal.parts(),
            || stage.worker(),
            |worker, part| deal.work(part, scratch, share / 16, worker),
        )?;
        let copies = workers.into_iter().map(PartWorker::end).sum::<Result<u64>>()?;
        Ok((streams.into_inner().unwrap_or_else(PoisonError::into_inner), copies))
    }
}

/// Deals events.
pub(crate) struct Rows<'d>(Dealer<'d>);

impl Rows<'_> {
    /// Deals all rows of a table.
    pub(crate) fn put(&mut self, table: &Table) -> Result<()> {
        deal_rows(table, &mut self.0, 0)
    }

    /// Ends.
    pub(crate) fn end(self) {
        self.0.end();
    }
}

/// Deals all rows of a table by their events.
fn deal_rows(table: &Table, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
    let parts = dealer.parts();
    table
        .rows
        .iter()
        .try_for_each(|row| dealer.put(part_of(table.hash_event(row), level, parts), |out| table.put_record(row, out)))
}

/// What all threads have that work on parts.
struct Stage<'a> {
    scratch: &'a Scratch,
    shard: u8,
    share: usize,
    window: Window,
    /// Where what the report says of sites goes, and names.
    report: Option<Found<'a>>,
    order: Option<&'a Sorter>,
    messages: &'a Spill,
    streams: &'a Mutex<Vec<Stream>>,
    /// Bytes of the messages of a part that are held until they are put aside.
    piece: usize,
    /// Bytes of those of all parts that may be held for good.
    held: AtomicUsize,
}

impl<'a> Stage<'a> {
    fn worker<'w>(&'w self) -> PartWorker<'w, 'a> {
        PartWorker {
            stage: self,
            table: Table::default(),
            merge: Merge::default(),
            report: self.report.map(|found| Report {
                finder: found.lines.finder(found.threads),
                names: found.names.collector(self.share / 16),
                visitors: found.visitors.dealer(self.share / 16),
            }),
            seen: Vec::new(),
            site: 0,
            key: Vec::new(),
            copies: 0,
        }
    }
}

/// Where what the report says of sites goes, the statuses by the names of operators, and visitors by a hash of site and name.
#[derive(Clone, Copy)]
struct Found<'a> {
    lines: &'a Lines,
    names: &'a Sorter,
    visitors: &'a Deal,
    threads: usize,
}

/// The same, for one thread.
struct Report<'a> {
    finder: Finder<'a>,
    names: Collector<'a>,
    visitors: Dealer<'a>,
}

/// Works on one part after the other.
struct PartWorker<'w, 'a> {
    stage: &'w Stage<'a>,
    table: Table,
    merge: Merge,
    report: Option<Report<'a>>,
    /// By the number of a `from`: the last site it was a visitor of.
    seen: Vec<u32>,
    site: u32,
    key: Vec<u8>,
    copies: u64,
}

impl PartWorker<'_, '_> {
    fn end(self) -> Result<u64> {
        if let Some(Report { finder, names, visitors }) = self.report {
            finder.end()?;
            names.end()?;
            visitors.end();
        }
        Ok(self.copies)
    }
}

impl Parted for PartWorker<'_, '_> {
    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]> {
        memory::reserve(&mut self.table.rows, STEP, EVENTS)?;
        let Stage { shard, scratch, .. } = self.stage;
        self.table.take_records(bytes, *shard, STEP).ok_or_else(|| scratch.changed())
    }

    fn is_full(&self) -> bool {
        self.table.rows.len() > 2 * STEP && self.table.bytes() > self.stage.share / 2
    }

    /// Drops copies.
    fn thin(&mut self) -> Result<bool> {
        let before = self.table.rows.len();
        self.merge.make_room(&self.table)?;
        self.copies += self.merge.unique(&mut self.table).copies;
        if self.table.rows.len() > before / 2 {
            return Ok(false);
        }
        // In a table of its own, without the texts of the copies.
        let mut rest = Table::default();
        self.table.rows.iter().for_each(|row| rest.push_copy(&self.table, row));
        self.table = rest;
        Ok(true)
    }

    fn deal(&mut self, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
        deal_rows(&self.table, dealer, level)?;
        self.table.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        if self.table.rows.is_empty() {
            return Ok(());
        }
        self.merge.make_room(&self.table)?;
        self.copies += self.merge.unique(&mut self.table).copies;
        let mut table = std::mem::take(&mut self.table);
        let mut groups: Vec<&[Row]> = by_site(&table).collect();
        groups.sort_unstable_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        let mut stream = Stream::default();
        let mut run = self.stage.order.map(Sorter::run);
        for rows in groups {
            self.site(&table, rows, &mut stream)?;
            let Some(run) = &mut run else { continue };
            for row in rows {
                key_of(&table, row, &mut self.key);
                run.put(&self.key, &[u8::from(row.disputed)])?;
            }
        }
        if let (Some(order), Some(run)) = (self.stage.order, run) {
            order.add(run)?;
        }
        self.end_stream(stream)?;
        table.clear();
        self.table = table;
        Ok(())
    }
}

impl PartWorker<'_, '_> {
    /// What a part has of one site.
    fn site(&mut self, table: &Table, rows: &[Row], stream: &mut Stream) -> Result<()> {
        let Stage { window, piece, messages, .. } = *self.stage;
        let Some(first) = rows.first() else { return Ok(()) };
        let Some(Report { finder, names, visitors }) = &mut self.report else { return Ok(()) };
        let site = table.site_of(first);
        finder.put(site, &Line::of_rows(rows, window))?;
        self.seen.resize(self.seen.len().max(table.names()), 0);
        self.site = self.site.checked_add(1).unwrap_or_else(|| {
            self.seen.fill(0);
            1
        });
        let key = &mut self.key;
        key.clear();
        put_site(site, key);
        let own = key.len();
        stream.begin(key);
        for row in window.of(rows) {
            key.truncate(own);
            if row.kind == Kind::Message {
                if row.timestamp < window.from {
                    continue;
                }
                stream.put(row.timestamp);
                stream.put_aside(messages, piece)?;
                if std::mem::replace(&mut self.seen[row.from as usize], self.site) != self.site {
                    key.extend_from_slice(table.name_of(row.from));
                    let part = part_of(secret::hash(&**key), 0, visitors.parts());
                    visitors.put(part, |out| put_text(key, out))?;
                }
            } else {
                put_name(table.name_of(row.from), key);
                put_moment(row.timestamp, key);
                put_name(table.id_of(row).text(&mut [0; 36]), key);
                key.push(row.kind.code());
                names.put(key, &[])?;
            }
        }
        stream.end_record();
        stream.put_aside(messages, piece)
    }

    /// Ends the messages of a part: they stay in memory, if there is room.
    fn end_stream(&self, mut stream: Stream) -> Result<()> {
        let Stage { streams, messages, held, .. } = self.stage;
        let takes = stream.held.len();
        if held.fetch_update(Relaxed, Relaxed, |room| room.checked_sub(takes)).is_err() {
            stream.put_aside(messages, 0)?;
        }
        // There may be thousands.
        (stream.site, stream.moments) = (Vec::new(), Vec::new());
        stream.held.shrink_to_fit();
        streams.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        Ok(())
    }
}

/// A text behind its length, for [`Visitors`].
fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
}

/// Counts the visitors of each site, part by part: different keys of a site and a name.
struct Visitors<'a> {
    scratch: &'a Scratch,
    /// Bytes of memory for a part.
    most: usize,
    /// Names, of all sites but the first with the number of the site behind them.
    names: Texts,
    sites: Texts,
    /// By the number of a site: its visitors.
    counts: Vec<u64>,
    /// The site at hand.
    site: u32,
    name: Vec<u8>,
    finder: Finder<'a>,
}

impl Parted for Visitors<'_> {
    fn take<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8]> {
        for _ in 0..STEP {
            let Some((length, rest)) = bytes.split_first_chunk() else { break };
            let text = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)));
            let (key, rest) = text.ok_or_else(|| self.scratch.changed())?;
            bytes = rest;
            let mut parsed = Key(key);
            let site = parsed.site_bytes().ok_or_else(|| self.scratch.changed())?;
            if self.counts.is_empty() || self.sites.get(self.site) != site {
                self.site = self.sites.intern(site);
                self.counts.resize(self.sites.len(), 0);
            }
            // Mostly there is one site, and its names are short. No name has a zero in it.
            let mut name = parsed.0;
            if self.site > 0 {
                self.name.clear();
                self.name.extend_from_slice(name);
                self.name.push(0);
                self.name.extend_from_slice(&self.site.to_le_bytes());
                name = &self.name;
            }
            let before = self.names.len();
            if self.names.intern(name) as usize == before {
                self.counts[self.site as usize] += 1;
            }
        }
        Ok(bytes)
    }

    fn is_full(&self) -> bool {
        2 * (self.names.size() + self.sites.size()) > self.most && self.names.len() > STEP
    }

    fn thin(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn deal(&mut self, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
        let parts = dealer.parts();
        let mut key = Vec::new();
        for number in 0..self.names.len() as u32 {
            let mut name = Key(self.names.get(number));
            let (text, site) = match name.name() {
                Some(text) => (text, name.0.first_chunk().map_or(0, |number| u32::from_le_bytes(*number))),
                None => (name.0, 0),
            };
            key.clear();
            key.extend_from_slice(self.sites.get(site));
            key.extend_from_slice(text);
            dealer.put(part_of(secret::hash(&*key), level, parts), |out| put_text(&key, out))?;
        }
        self.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for (number, visitors) in (0u32..).zip(&self.counts) {
            let site = Key(self.sites.get(number)).site().ok_or_else(|| self.scratch.changed())?;
            self.finder.put(site, &Line::of(Summary { visitors: *visitors, ..Summary::default() }))?;
        }
        self.clear();
        Ok(())
    }
}

impl Visitors<'_> {
    fn clear(&mut self) {
        self.names.clear();
        self.sites.clear();
        self.counts.clear();
        self.site = 0;
    }
}

/// A site, so that keys order as [`Table::compare_sites`] does, and none begins another.
fn put_site(site: Site<'_>, key: &mut Vec<u8>) {
    match site {
        Site::Number(number) => {
            key.push(0);
            key.extend_from_slice(&number.to_be_bytes());
        }
        Site::Text(name) => {
            key.push(1);
            put_name(name, key);
        }
    }
}

/// A name: it has no control characters.
fn put_name(name: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(name);
    key.push(0);
}

/// A moment, so that keys order as moments do.
fn put_moment(moment: i64, key: &mut Vec<u8>) {
    key.extend_from_slice(&(moment.cast_unsigned() ^ 1 << 63).to_be_bytes());
}

/// An event, so that keys order as [`Table::compare_sites`] and [`Table::compare`] do.
pub(crate) fn key_of(table: &Table, row: &Row, key: &mut Vec<u8>) {
    key.clear();
    put_site(table.site_of(row), key);
    put_moment(row.timestamp, key);
    key.push(u8::from(row.kind.is_message()));
    put_name(table.id_of(row).text(&mut [0; 36]), key);
    put_name(table.name_of(row.from), key);
    key.push(row.kind.code());
}

/// Reads the parts of a key, one after the other.
struct Key<'k>(&'k [u8]);

impl<'k> Key<'k> {
    fn take(&mut self, length: usize) -> Option<&'k [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn name(&mut self) -> Option<&'k [u8]> {
        let name = self.take(memchr::memchr(0, self.0)?)?;
        self.take(1)?;
        Some(name)
    }

    fn moment(&mut self) -> Option<i64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some((u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed())
    }

    fn site(&mut self) -> Option<Site<'k>> {
        match self.byte()? {
            0 => Some(Site::Number(u64::from_be_bytes(self.take(8)?.try_into().ok()?))),
            _ => self.name().map(Site::Text),
        }
    }

    /// The bytes of the site, as they are.
    fn site_bytes(&mut self) -> Option<&'k [u8]> {
        let whole = self.0;
        self.site()?;
        whole.get(..whole.len() - self.0.len())
    }
}

/// Adds an event to a table, from the key that [`key_of`] made of it.
pub(crate) fn push_key(key: &[u8], disputed: bool, shard: u8, table: &mut Table) -> Option<()> {
    let mut key = Key(key);
    let site = table.site(key.site()?);
    let moment = key.moment()?;
    key.byte()?;
    let id = Id::new(key.name()?);
    let from = table.from(key.name()?);
    let kind = Kind::from_code(key.byte()?)?;
    table.push_row(site, moment, id, from, kind, shard, disputed);
    Some(())
}

/// Counts names, for `lines`; gives the steps by which each site's operators become more or fewer: by site and moment, with their
/// sum for a payload.
fn steps(
    (scratch, share): (&Scratch, usize),
    held: usize,
    names: &Sorted,
    window: Window,
    lines: &Lines,
) -> Result<Sorter> {
    let steps = Sorter::new(scratch, share / 16, held);
    let (mut finder, mut collector) = (lines.finder(1), steps.collector(share / 4));
    let mut merge = names.merge(None, None)?;
    let (mut site, mut name, mut step) = (Vec::new(), Vec::new(), Vec::new());
    let mut actor = Actor::default();
    let mut found = Summary::default();
    while let Some((bytes, _)) = merge.next()? {
        let mut parsed = Key(bytes);
        let mut parts = || Some((parsed.site_bytes()?, parsed.name()?));
        let (own, from) = parts().ok_or_else(|| scratch.changed())?;
        if own != site {
            put_found(&mut finder, &site, &mut found)?;
            site.clear();
            site.extend_from_slice(own);
            name.clear();
        }
        // No name is empty.
        if from != name {
            name.clear();
            name.extend_from_slice(from);
            actor = Actor::default();
        }
        let mut rest = || {
            let (moment, _) = (parsed.moment()?, parsed.name()?);
            Some((moment, parsed.byte()?))
        };
        let (moment, kind) = rest().ok_or_else(|| scratch.changed())?;
        if moment >= window.from {
            found.operators += u64::from(!std::mem::replace(&mut actor.operator, true));
        }
        let is = kind == Kind::Online.code();
        if std::mem::replace(&mut actor.online, is) != is {
            step.clear();
            step.extend_from_slice(&site);
            put_moment(moment, &mut step);
            collector.put(&step, &[u8::from(is)])?;
        }
    }
    put_found(&mut finder, &site, &mut found)?;
    finder.end()?;
    collector.end()?;
    Ok(steps)
}

/// What is known of one name of a site.
#[derive(Default)]
struct Actor {
    operator: bool,
    online: bool,
}

fn put_found(finder: &mut Finder<'_>, site: &[u8], found: &mut Summary) -> Result<()> {
    let found = std::mem::take(found);
    match Key(site).site() {
        Some(site) if found != Summary::default() => finder.put(site, &Line::of(found)),
        _ => Ok(()),
    }
}

/// Moments at which sites go online, offline and so on, some of them at a time.
#[derive(Default)]
struct Turns {
    /// The sites, each with its moments.
    sites: Vec<(Box<[u8]>, Range<usize>)>,
    moments: Vec<i64>,
    /// The first of the sites is online before the first of its moments.
    online: bool,
    /// Where they end: the site and the moment of the next one.
    end: Option<(Box<[u8]>, i64)>,
    /// Bytes of the names of the sites.
    names: usize,
}

impl Turns {
    /// Bytes of memory.
    fn bytes(&self) -> usize {
        size_of_val(&*self.moments) + size_of_val(&*self.sites) + self.names
    }
}

/// Counts all messages against the turns of their sites.
fn count_messages(
    threads: usize,
    share: usize,
    spill: &Spill,
    streams: Vec<Stream>,
    steps: &Sorted,
    lines: &Lines,
) -> Result<()> {
    let scratch = steps.scratch();
    let mut merge = steps.merge(None, None)?;
    let most = share * threads / 8;
    let readers = streams.iter().map(|stream| Mutex::new(stream.reader(spill))).collect();
    let counting = Counting { threads, readers, lines, spare: Mutex::default() };
    let mut turns = Turns::default();
    // The site at hand, its operators who are online, and a step that was read and belongs to the next moment.
    let (mut site, mut present): (Box<[u8]>, i64) = (Box::default(), 0);
    let mut pending: Option<(Box<[u8]>, i64, i64)> = None;
    loop {
        let step = match merge.next()? {
            Some((key, up)) => {
                let mut parsed = Key(key);
                let mut parts = || Some((parsed.site_bytes()?, parsed.moment()?));
                let (own, moment) = parts().ok_or_else(|| scratch.changed())?;
                let step = if up.first() == Some(&1) { 1 } else { -1 };
                match &mut pending {
                    Some((site, at, sum)) if **site == *own && *at == moment => {
                        *sum += step;
                        continue;
                    }
                    _ => pending.replace((own.into(), moment, step)),
                }
            }
            None => match pending.take() {
                Some(last) => Some(last),
                None => break,
            },
        };
        let Some((own, moment, sum)) = step else { continue };
        if own != site {
            (site, present) = (own, 0);
        }
        let was = present > 0;
        present += sum;
        if was == (present > 0) {
            continue;
        }
        if turns.bytes() >= most.max(256) {
            turns.end = Some((site.clone(), moment));
            counting.count(&turns)?;
            turns = Turns { online: was, ..Turns::default() };
        }
        let at = turns.moments.len();
        turns.moments.push(moment);
        match turns.sites.last_mut() {
            Some((last, moments)) if *last == site => moments.end = at + 1,
            _ => {
                turns.names += site.len();
                turns.sites.push((site.clone(), at..at + 1));
            }
        }
    }
    counting.count(&turns)?;
    counting.end()
}

/// Those who count messages: the streams, and finders that were not ended yet.
struct Counting<'r, 'l> {
    threads: usize,
    readers: Vec<Mutex<StreamReader<'r>>>,
    lines: &'l Lines,
    spare: Mutex<Vec<Finder<'l>>>,
}

impl Counting<'_, '_> {
    /// Counts the messages before the end of some turns.
    fn count(&self, turns: &Turns) -> Result<()> {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let finder = || spare().pop().unwrap_or_else(|| self.lines.finder(self.threads));
        let finders = parallel(self.threads, self.readers.len(), finder, |finder, number| {
            let Some(reader) = self.readers.get(number) else { return Ok(()) };
            reader.lock().unwrap_or_else(PoisonError::into_inner).count(turns, finder)
        })?;
        spare().extend(finders);
        Ok(())
    }

    /// Ends.
    fn end(self) -> Result<()> {
        self.spare.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().try_for_each(Finder::end)
    }
}

/// The messages of one part: records of a site, a number of moments, and these, in order.
#[derive(Default)]
struct Stream {
    extents: Vec<Extent>,
    held: Vec<u8>,
    site: Vec<u8>,
    moments: Vec<i64>,
}

impl Stream {
    fn begin(&mut self, site: &[u8]) {
        self.site.clear();
        self.site.extend_from_slice(site);
    }

    fn put(&mut self, moment: i64) {
        self.moments.push(moment);
        if self.moments.len() >= MOMENTS {
            self.end_record();
        }
    }

    fn end_record(&mut self) {
        let Some(first) = self.moments.first().copied() else { return };
        put_varint(&mut self.held, self.site.len() as u64);
        self.held.extend_from_slice(&self.site);
        put_varint(&mut self.held, self.moments.len() as u64);
        put_varint(&mut self.held, zigzag(first));
        let mut before = first;
        for moment in self.moments.drain(..) {
            put_varint(&mut self.held, moment.wrapping_sub(before).cast_unsigned());
            before = moment;
        }
    }

    /// Puts aside what is held, if it is more than `most` bytes.
    fn put_aside(&mut self, spill: &Spill, most: usize) -> Result<()> {
        if self.held.len() > most {
            self.extents.push(spill.append(&self.held)?);
            self.held.clear();
        }
        Ok(())
    }

    fn reader<'r>(&'r self, spill: &'r Spill) -> StreamReader<'r> {
        StreamReader {
            spill,
            extents: self.extents.iter(),
            held: Some(&self.held),
            buffer: Vec::new(),
            next: 0,
            site: Vec::new(),
            moments: Vec::new(),
            at: 0,
        }
    }
}

/// Reads a [`Stream`], record by record.
struct StreamReader<'r> {
    spill: &'r Spill,
    extents: std::slice::Iter<'r, Extent>,
    held: Option<&'r [u8]>,
    buffer: Vec<u8>,
    /// Where the next record is in the buffer.
    next: usize,
    site: Vec<u8>,
    moments: Vec<i64>,
    /// The first of the moments that is not counted yet.
    at: usize,
}

impl StreamReader<'_> {
    /// Reads the next record, if there is one.
    fn advance(&mut self) -> Result<bool> {
        if self.next >= self.buffer.len() {
            match (self.extents.next(), self.held.take()) {
                (Some(extent), held) => {
                    self.held = held;
                    self.spill.read(extent, &mut self.buffer)?;
                }
                (None, Some(held)) => {
                    self.buffer.clear();
                    self.buffer.extend_from_slice(held);
                }
                (None, None) => (self.buffer, self.moments) = (Vec::new(), Vec::new()),
            }
            self.next = 0;
            if self.buffer.is_empty() {
                // There are many of them.
                (self.buffer, self.moments) = (Vec::new(), Vec::new());
                return Ok(false);
            }
        }
        let mut reader = Reader::new(self.buffer.get(self.next..).unwrap_or_default());
        let (site, moments) = (&mut self.site, &mut self.moments);
        let mut read = || {
            let length = reader.count(usize::MAX, MESSAGES)?;
            site.clear();
            site.extend_from_slice(reader.bytes(length, MESSAGES)?);
            let count = reader.count(MOMENTS, MESSAGES)?;
            let mut moment = unzigzag(reader.varint(MESSAGES)?);
            moments.clear();
            for _ in 0..count {
                moment = moment.wrapping_add_unsigned(reader.varint(MESSAGES)?);
                moments.push(moment);
            }
            Ok::<usize, crate::format::coding::Malformed>(reader.left())
        };
        let left = read().map_err(|_| self.spill.scratch().changed())?;
        (self.next, self.at) = (self.buffer.len() - left, 0);
        Ok(true)
    }

    /// Counts the messages before the end of some turns.
    fn count(&mut self, turns: &Turns, finder: &mut Finder<'_>) -> Result<()> {
        let mut number = 0;
        let mut line = Summary::default();
        let mut counted: Vec<u8> = Vec::new();
        loop {
            if self.at >= self.moments.len() && !self.advance()? {
                break;
            }
            let end = match &turns.end {
                Some((site, _)) if *self.site > **site => break,
                Some((site, moment)) if *self.site == **site => self.moments.partition_point(|at| at < moment),
                _ => self.moments.len(),
            };
            if end <= self.at {
                break;
            }
            if counted != self.site {
                put_found(finder, &counted, &mut line)?;
                counted.clone_from(&self.site);
            }
            while turns.sites.get(number).is_some_and(|(site, _)| **site < *self.site) {
                number += 1;
            }
            let (is_first, own) = match turns.sites.get(number) {
                Some((site, moments)) if **site == *self.site => (number == 0, &turns.moments[moments.clone()]),
                _ => (false, &[][..]),
            };
            let some = &self.moments[self.at..end];
            let before = own.partition_point(|turn| some.first().is_some_and(|first| turn <= first));
            let mut online = (is_first && turns.online) ^ (before % 2 == 1);
            let mut rest = own[before..].iter().peekable();
            for moment in some {
                while rest.next_if(|turn| *turn <= moment).is_some() {
                    online = !online;
                }
                line.messages += u64::from(online);
                line.emails += u64::from(!online);
            }
            self.at = end;
        }
        put_found(finder, &counted, &mut line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::query::fold::Fold;
    use proptest::prelude::*;

    /// An event: site, id, from, moment, kind.
    type Parts = (u8, u16, u16, i64, u8);

    fn table_of(events: &[Parts], long: bool) -> Table {
        let mut table = Table::default();
        let name = |kind: &str, number: u16| match long || number.is_multiple_of(3) {
            true => format!("{kind} of a name that is long enough to be no short one, {number}"),
            false => format!("{kind}{number}"),
        };
        for (site, id, from, timestamp, kind) in events {
            let site = if *site < 3 { site.to_string() } else { name("site", u16::from(*site)) };
            let id = match id % 2 {
                0 => name("id", *id),
                _ => format!("{id:08x}-0000-4000-8000-000000000000"),
            };
            let (site, id, from) = (Site::new(site.as_bytes()), Id::new(id.as_bytes()), name("v", *from));
            let kind = Kind::from_code(*kind).unwrap();
            table.push(&Event { site, id, from: from.as_bytes(), timestamp: *timestamp, kind }, 7);
        }
        table
    }

    /// What memory that holds everything says: the lines, the events in order, and the copies.
    fn expected(mut table: Table, window: Window) -> (Vec<(String, Line)>, Vec<String>, u64) {
        let copies = Merge::default().unique(&mut table).copies;
        let (mut lines, mut events, mut fold) = (Vec::new(), Vec::new(), Fold::default());
        let mut groups: Vec<&[Row]> = by_site(&table).collect();
        groups.sort_by(|a, b| table.compare_sites(a[0].site, b[0].site));
        for rows in groups {
            let mut line = Line::of(fold.site(rows, table.names(), window));
            line.entry.events = rows.iter().filter(|row| window.contains(row.timestamp)).count() as u64;
            line.entry.disputed = rows.iter().filter(|row| row.disputed).count() as u64;
            (line.entry.earliest, line.entry.latest) = (rows[0].timestamp, rows[rows.len() - 1].timestamp);
            let name = table.site_of(&rows[0]).name(&mut [0; 20]).to_vec();
            lines.push((String::from_utf8(name).unwrap(), line));
            events.extend(rows.iter().map(|row| format!("{:?} {}", table.event(row), row.disputed)));
        }
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        (lines, events, copies)
    }

    fn check(events: &[Parts], long: bool, threads: usize, memory: u64, bytes: u64, window: Window) {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { threads, memory, scratch: Scratch::new(directory.path()) };
        let (lines, large) = (Lines::new(&limits), Large::new(&limits, 7, bytes));
        let mut dealers: Vec<Rows<'_>> = (0..threads).map(|_| large.dealer()).collect();
        for (number, some) in events.chunks(97).enumerate() {
            dealers[number % threads].put(&table_of(some, long)).unwrap();
        }
        dealers.into_iter().for_each(Rows::end);
        let mut found = Vec::new();
        let mut visit = |table: &Table| {
            found.extend(table.rows.iter().map(|row| format!("{:?} {}", table.event(row), row.disputed)));
            Ok(true)
        };
        let copies = large.finish(window, Some(&lines), Some(&mut visit)).unwrap();
        let (expected_lines, expected_events, expected_copies) = expected(table_of(events, long), window);
        assert_eq!(copies, Some(expected_copies));
        assert_eq!(found, expected_events);
        let sorted = lines.sorted().unwrap();
        let mut stretch = sorted.stretch(None, None).unwrap();
        let mut found = Vec::new();
        while let Some((name, line)) = stretch.next().unwrap() {
            found.push((String::from_utf8(name.to_vec()).unwrap(), line));
        }
        assert_eq!(found, expected_lines);
    }

    proptest! {
        #[test]
        fn what_does_not_fit_is_found_as_what_does(
            events in prop::collection::vec((0u8..6, 0u16..300, 0u16..9, -40i64..40, 0u8..3), 0..900),
            threads in 1usize..4,
            memory in prop_oneof![Just(0u64), Just(1 << 12), Just(1 << 16), Just(1 << 30)],
            bytes in prop_oneof![Just(0u64), Just(1 << 16)],
            window in (-50i64..50, -50i64..50),
            whole: bool,
        ) {
            let window = if whole { Window::ALL } else { Window { from: window.0.min(window.1), to: window.0.max(window.1) } };
            check(&events, false, threads, memory, bytes, window);
        }
    }

    /// Parts that are dealt again, since there are more events than was thought, or more names; and copies that go at once.
    #[test]
    fn parts_that_do_not_fit_are_dealt_again() {
        let number = |at: u32, factor: u32| (at.wrapping_mul(factor) >> 7) as u16;
        let kind = |at: u32| if at.is_multiple_of(7) { (at / 7 % 2) as u8 } else { 2 };
        for (ids, froms) in [(60_000, 50_000), (60_000, 4), (40, 50_000), (1, 1)] {
            let event = |at: u32| {
                (0, number(at, 2_654_435_761) % ids, number(at, 40_503) % froms, i64::from(at % 997), kind(at))
            };
            let events: Vec<Parts> = (0..20_000).map(event).collect();
            for threads in [1, 2] {
                check(&events, true, threads, 1 << 17, 0, Window::ALL);
            }
        }
    }
}
