//! Checking a whole store: every checksum, order, sequence number, link of the chain and interval.
//!
//! What is open stays readable whatever a writer or a compactor does meanwhile, so only names and the end of the log can
//! look wrong for a moment; those are looked at until two looks agree. Everything else is read once: frames one by one, snapshots
//! shard by shard, on all threads. Memory holds a section and the largest site a thread, and the index of one snapshot.
//!
//! Beyond what readers check, every section and block is decoded; the events of a snapshot have to be in order and unique,
//! and the index has to say of each site what the fold of its events says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::error::{Corruption, Error, Result};
use crate::event::SiteName;
use crate::format::batch::{EventsDecoder, decode_rejects};
use crate::format::block::{BlockHeader, BlockKind, ShardEntry, SiteEntry, split_rejects};
use crate::format::frame::SectionKind;
use crate::format::{Uid, hex};
use crate::gather::{by_site, parallel};
use crate::merge::Merge;
use crate::render::printable;
use crate::segment::content::{Contents, decode_events};
use crate::segment::{Frame, Segment};
use crate::snapshot::{IndexedSite, Snapshot, Stretch};
use crate::storage::{Storage, path_of};
use crate::summary::{Fold, Summary, Window};
use crate::survey::{Content, Survey};
use crate::table::{Row, Table};

/// What was checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files.
    pub files: u64,
    /// Frames of segments.
    pub frames: u64,
    /// Sections of frames.
    pub sections: u64,
    /// Blocks of snapshots.
    pub blocks: u64,
    /// Events in sections and blocks, copies included.
    pub events: u64,
    /// Bytes of the files.
    pub bytes: u64,
}

/// What a store was found to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Damage, by file and offset; none in a sound store.
    pub findings: Vec<Corruption>,
    /// An end that was never acknowledged and that the next writer cuts: what is wrong with its first frame, and its bytes.
    pub torn: Option<(Corruption, u64)>,
    /// What was checked.
    pub checked: Checked,
}

/// Checks a whole store and changes nothing; `progress` is told the share that is done. Damage is a finding and no error.
pub fn verify(storage: &dyn Storage, threads: usize, progress: &(dyn Fn(f64) + Sync)) -> Result<Verification> {
    Examined::of(storage, threads, progress).map(|examined| examined.verification)
}

/// A store that was checked, with what repair has to know beyond the findings.
pub(crate) struct Examined {
    pub(crate) survey: Survey,
    /// By part and frame: the sections that are bad, by their places.
    pub(crate) bad: BTreeMap<(usize, usize), Vec<usize>>,
    pub(crate) verification: Verification,
}

impl Examined {
    pub(crate) fn of(storage: &dyn Storage, threads: usize, progress: &(dyn Fn(f64) + Sync)) -> Result<Examined> {
        let mut survey = Survey::read(storage)?;
        let mut findings = std::mem::take(&mut survey.findings);
        findings.extend(survey.missing_successor.clone());
        let mut checked = Checked::default();
        let (mut snapshots, mut frames) = (Vec::new(), Vec::new());
        for (number, part) in survey.parts.iter().enumerate() {
            checked.files += u64::from(!matches!(part.content, Content::Nothing));
            match &part.content {
                Content::Snapshot(snapshot) => {
                    checked.bytes += snapshot.size();
                    snapshots.push(&**snapshot);
                }
                // Every block of it was told of.
                Content::Blocks(snapshot, _) => checked.bytes += snapshot.size(),
                Content::Segment(own) => {
                    checked.bytes += own.segment.length;
                    let own = own.frames.iter().enumerate().map(|(at, frame)| ((number, at), &own.segment, frame));
                    frames.extend(own);
                }
                Content::Nothing => {}
            }
        }
        let whole: u64 = snapshots.iter().map(|snapshot| snapshot.size()).sum::<u64>()
            + frames.iter().map(|(.., frame)| frame.header.length()).sum::<u64>();
        let done = AtomicU64::new(0);
        let passed = |bytes: u64| {
            let before = done.fetch_add(bytes, Ordering::Relaxed);
            progress((before + bytes).min(whole) as f64 / whole.max(1) as f64);
        };
        for snapshot in snapshots {
            check_snapshot(snapshot, threads.max(1), &passed, &mut findings, &mut checked)?;
        }
        let workers = parallel(threads.max(1), frames.len(), Frames::default, |worker, number| {
            let Some((key, segment, frame)) = frames.get(number) else { return Ok(()) };
            worker.check(*key, segment, frame)?;
            passed(frame.header.length());
            Ok(())
        })?;
        let mut bad = BTreeMap::new();
        for mut worker in workers {
            checked.frames += worker.checked.frames;
            checked.sections += worker.checked.sections;
            checked.events += worker.checked.events;
            findings.append(&mut worker.findings);
            bad.append(&mut worker.bad);
        }
        drop(frames);
        if let (true, Some(refused)) = (findings.is_empty(), survey.refused.take()) {
            findings.push(refused);
        }
        findings.sort_by(|a, b| {
            (&a.file, a.offset, &a.expected, &a.found).cmp(&(&b.file, b.offset, &b.expected, &b.found))
        });
        findings.dedup();
        let torn = survey.torn.clone();
        let verification = Verification { findings, torn, checked };
        Ok(Examined { survey, bad, verification })
    }

    /// The first part that something is wrong with. What is wrong with a file that is none of the parts concerns them all.
    pub(crate) fn first_damaged(&self, storage: &dyn Storage) -> usize {
        let Survey { parts, missing_successor, .. } = &self.survey;
        let place = |finding: &Corruption| parts.iter().position(|part| path_of(storage, &part.name) == finding.file);
        let damage = self.verification.findings.iter().filter(|finding| missing_successor.as_ref() != Some(finding));
        let told = damage.map(|finding| place(finding).unwrap_or(0));
        let missing = parts.iter().position(|part| matches!(part.content, Content::Nothing));
        told.chain(missing).min().unwrap_or(0)
    }
}

/// A corruption is a finding; everything else ends the work.
pub(crate) fn found<T>(result: Result<T>, findings: &mut Vec<Corruption>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Corruption(what)) => {
            findings.push(*what);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Checks frames, one after the other; one a thread.
#[derive(Default)]
struct Frames {
    contents: Contents,
    checked: Checked,
    findings: Vec<Corruption>,
    bad: BTreeMap<(usize, usize), Vec<usize>>,
}

impl Frames {
    fn check(&mut self, key: (usize, usize), segment: &Segment, frame: &Frame) -> Result<()> {
        let mut bad = Vec::new();
        for (place, what) in self.contents.check(segment, frame)? {
            self.findings.push(what);
            bad.push(place);
        }
        let sound = frame.sections.iter().enumerate().filter(|(place, _)| !bad.contains(place));
        let events = sound.filter(|(_, section)| section.entry.kind == SectionKind::Events);
        self.checked.events += events.map(|(_, section)| u64::from(section.entry.count)).sum::<u64>();
        self.checked.sections += frame.sections.len() as u64;
        self.checked.frames += 1;
        if !bad.is_empty() {
            self.bad.insert(key, bad);
        }
        Ok(())
    }
}

/// The index of a snapshot in memory, and which of its sites have events.
struct Index {
    sites: Vec<IndexedSite>,
    seen: Vec<AtomicBool>,
}

/// Checks a snapshot whose header and tables are sound.
fn check_snapshot(
    snapshot: &Snapshot,
    threads: usize,
    passed: &(dyn Fn(u64) + Sync),
    findings: &mut Vec<Corruption>,
    checked: &mut Checked,
) -> Result<()> {
    let before = findings.len();
    let header = &snapshot.header;
    let length = |kind: BlockKind| {
        let region = header.region(kind);
        region.end - region.start
    };
    checked.blocks += snapshot.table_blocks() + snapshot.index_blocks() as u64;
    let mut sites = Vec::new();
    let read = snapshot.sites(0..snapshot.index_blocks(), &mut Vec::new(), &mut sites);
    let index = found(read, findings)?.is_some().then(|| {
        findings.extend(check_order(snapshot, &sites));
        findings.extend(check_totals(snapshot, &sites));
        Index { seen: sites.iter().map(|_| AtomicBool::new(false)).collect(), sites }
    });
    passed(snapshot.size() - length(BlockKind::Events) - length(BlockKind::Rejects));
    let shards: Vec<(u8, ShardEntry)> =
        (0u8..=255).zip(*snapshot.shards()).filter(|(_, shard)| shard.length > 0 || shard.events > 0).collect();
    let failures = Mutex::new(Vec::new());
    let workers = parallel(threads, shards.len(), Shards::default, |worker, number| {
        let Some((shard, entry)) = shards.get(number) else { return Ok(()) };
        let mut own = Vec::new();
        found(worker.check(snapshot, *shard, entry, index.as_ref(), &mut own), &mut own)?;
        failures.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        passed(entry.length);
        Ok(())
    })?;
    findings.append(&mut failures.into_inner().unwrap_or_else(PoisonError::into_inner));
    for worker in workers {
        checked.events += worker.checked.events;
        checked.blocks += worker.checked.blocks;
    }
    check_rejects(snapshot, findings, checked)?;
    passed(length(BlockKind::Rejects));
    if findings.len() == before {
        let unseen = index.iter().flat_map(|index| index.sites.iter().zip(&index.seen));
        findings.extend(unseen.filter(|(_, seen)| !seen.load(Ordering::Relaxed)).map(|(site, _)| {
            let found = format!("site {} without one", shown(&site.name));
            snapshot.corrupt(snapshot.index_block(&site.name), "a site that has events", found)
        }));
        return Ok(());
    }
    // What was read in one go stopped at the first damage; so each block is looked at by itself.
    snapshot.scan(|stretch| {
        findings.extend(match stretch {
            Stretch::Block(_, _, checked) => checked.err(),
            Stretch::Gap(what, _) => Some(what.clone()),
            Stretch::Stray(..) => None,
        });
        Ok(())
    })
}

fn shown(name: &SiteName) -> String {
    printable(&String::from_utf8_lossy(name.text(&mut [0; 20])))
}

/// That the sites ascend over all blocks of the index; within each, they were seen to.
fn check_order(snapshot: &Snapshot, sites: &[IndexedSite]) -> Vec<Corruption> {
    let wrong = sites.windows(2).filter(|pair| matches!(pair, [a, b] if a.name >= b.name));
    let told = wrong.filter_map(|pair| pair.last()).map(|site| {
        let expected = "a site behind the one before it";
        snapshot.corrupt(snapshot.index_block(&site.name), expected, format!("site {}", shown(&site.name)))
    });
    told.collect()
}

/// That the header says what the index does.
fn check_totals(snapshot: &Snapshot, sites: &[IndexedSite]) -> Option<Corruption> {
    let header = &snapshot.header;
    let sum = |of: fn(&SiteEntry) -> u64| sites.iter().fold(0u64, |sum, site| sum.saturating_add(of(&site.entry)));
    let told = [header.sites, header.events, header.disputed];
    let counted = [sites.len() as u64, sum(|entry| entry.events), sum(|entry| entry.disputed)];
    let earliest = sites.iter().map(|site| site.entry.earliest).min().unwrap_or(i64::MAX);
    let latest = sites.iter().map(|site| site.entry.latest).max().unwrap_or(i64::MIN);
    let text = |[sites, events, disputed]: [u64; 3], earliest: i64, latest: i64| {
        format!("{sites} sites, {events} events, {disputed} of them disputed, from {earliest} to {latest}")
    };
    let (expected, found) = (text(counted, earliest, latest), text(told, header.earliest, header.latest));
    (expected != found).then(|| snapshot.corrupt(0, format!("a header that tells of {expected}"), found))
}

/// That every block of rejects is one, and that the inputs have as many as they say.
fn check_rejects(snapshot: &Snapshot, findings: &mut Vec<Corruption>, checked: &mut Checked) -> Result<()> {
    let mut counts: BTreeMap<Uid, u64> = BTreeMap::new();
    let region = snapshot.header.region(BlockKind::Rejects);
    let start = region.start;
    let read = snapshot.blocks(BlockKind::Rejects, region, &mut Vec::new(), |header, bytes| {
        checked.blocks += 1;
        let decoded = split_rejects(bytes).and_then(|(checkpoint, rest)| {
            decode_rejects(rest, header.count, &checkpoint)?;
            *counts.entry(checkpoint.instance).or_default() += u64::from(header.count);
            Ok(())
        });
        decoded.map_err(|malformed| snapshot.misencoded(header, malformed))
    });
    if found(read, findings)?.is_none() {
        return Ok(());
    }
    let at = snapshot.header.region(BlockKind::Inputs).start;
    let mut known = BTreeSet::new();
    for input in &snapshot.inputs {
        if !known.insert(input.checkpoint.instance) {
            let found = format!("{} twice", hex(input.checkpoint.instance));
            findings.push(snapshot.corrupt(at, "each input once", found));
            continue;
        }
        let counted = counts.remove(&input.checkpoint.instance).unwrap_or(0);
        if counted != input.rejects {
            let expected = format!("{} rejects of input {}", input.rejects, hex(input.checkpoint.instance));
            findings.push(snapshot.corrupt(start, expected, counted.to_string()));
        }
    }
    // A compaction would leave them out, and say less than this snapshot does.
    findings.extend(counts.into_iter().map(|(instance, count)| {
        let found = format!("{count} of input {}, which is not among them", hex(instance));
        snapshot.corrupt(start, "rejects of the inputs of this snapshot", found)
    }));
    Ok(())
}

/// Checks the events of shards; one a thread.
#[derive(Default)]
struct Shards {
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    table: Table,
    open: OpenSite,
    checked: Checked,
}

/// The events of one site, which may lie in several blocks.
#[derive(Default)]
struct OpenSite {
    table: Table,
    /// Where its first block begins, and its last one ends.
    at: u64,
    end: u64,
    merge: Merge,
    fold: Fold,
}

impl Shards {
    fn check(
        &mut self,
        snapshot: &Snapshot,
        number: u8,
        entry: &ShardEntry,
        index: Option<&Index>,
        findings: &mut Vec<Corruption>,
    ) -> Result<()> {
        let Shards { buffer, decoder, table, open, checked } = self;
        open.table.clear();
        let mut events = 0;
        let stretch = entry.at..entry.at.saturating_add(entry.length);
        snapshot.blocks(BlockKind::Events, stretch, buffer, |header, bytes| {
            if header.shard != number {
                let (expected, found) = (format!("a block of shard {number}"), format!("shard {}", header.shard));
                return Err(snapshot.corrupt(header.offset, expected, found).into());
            }
            decode_events(decoder, bytes, header.count, number, table)
                .map_err(|malformed| snapshot.misencoded(header, malformed))?;
            checked.blocks += 1;
            checked.events += u64::from(header.count);
            events += u64::from(header.count);
            for rows in by_site(table) {
                if !open.goes_on(table, rows) {
                    open.close(snapshot, index, findings);
                    open.at = header.offset;
                }
                open.take(table, rows, header);
            }
            Ok(())
        })?;
        open.close(snapshot, index, findings);
        if events != entry.events {
            let at = snapshot.header.region(BlockKind::Shards).start;
            let expected = format!("{events} events of shard {number}");
            findings.push(snapshot.corrupt(at, expected, entry.events.to_string()));
        }
        Ok(())
    }
}

impl OpenSite {
    /// Whether these rows are of the site that is open.
    fn goes_on(&self, table: &Table, rows: &[Row]) -> bool {
        match (self.table.rows.first(), rows.first()) {
            (Some(own), Some(first)) => self.table.site_of(own) == table.site_of(first),
            _ => false,
        }
    }

    fn take(&mut self, table: &Table, rows: &[Row], header: &BlockHeader) {
        for row in rows {
            let event = table.event(row);
            let (site, from) = (self.table.site(event.site), self.table.from(event.from));
            self.table.push_row(site, event.timestamp, event.id, from, event.kind, row.shard, row.disputed);
        }
        self.end = header.offset + header.whole();
    }

    /// Judges the site that is open, if there is one, and makes room for the next.
    fn close(&mut self, snapshot: &Snapshot, index: Option<&Index>, findings: &mut Vec<Corruption>) {
        let OpenSite { table, at, end, merge, fold } = self;
        let (Some(first), Some(last)) = (table.rows.first(), table.rows.last()) else { return };
        let name = SiteName::from(table.site_of(first));
        let entry = SiteEntry {
            summary: fold.site(&table.rows, table.names(), Window::ALL),
            events: table.rows.len() as u64,
            disputed: table.rows.iter().filter(|row| row.disputed).count() as u64,
            earliest: first.timestamp,
            latest: last.timestamp,
            at: *at,
            length: *end - *at,
        };
        let ascend = |pair: &[Row]| matches!(pair, [a, b] if table.compare(a, b).is_lt());
        let ordered = table.rows.windows(2).all(ascend);
        if !ordered || merge.unique(table).copies > 0 {
            let expected = format!("the events of site {} in order and each once", shown(&name));
            findings.push(snapshot.corrupt(*at, expected, "others"));
        }
        table.clear();
        let Some(index) = index else { return };
        let place = index.sites.binary_search_by(|site| site.name.cmp(&name)).ok();
        let told = place.and_then(|place| Some((index.sites.get(place)?, index.seen.get(place)?)));
        let expected = format!("site {}: {}", shown(&name), shown_entry(&entry));
        let found = match told {
            Some((_, seen)) if seen.swap(true, Ordering::Relaxed) => "a second stretch of its events".into(),
            Some((site, _)) if site.entry == entry => return,
            Some((site, _)) => shown_entry(&site.entry),
            None => "nothing of it".into(),
        };
        findings.push(snapshot.corrupt(snapshot.index_block(&name), expected, found));
    }
}

fn shown_entry(entry: &SiteEntry) -> String {
    let Summary { messages, emails, operators, visitors } = entry.summary;
    let SiteEntry { events, disputed, earliest, latest, at, length, .. } = entry;
    format!(
        "messages={messages},emails={emails},operators={operators},visitors={visitors}, events={events} disputed={disputed} \
         from {earliest} to {latest} in {length} bytes at {at}"
    )
}
