//! Checking a whole store: every checksum, order, sequence number, link of the chain and interval.
//!
//! What is open stays readable whatever a writer or a compactor does meanwhile, so only names and the end of the log can
//! look wrong for a moment; those are looked at until two looks agree. Everything else is read once: frames one by one, snapshots
//! shard by shard, on all threads. Memory holds a section a thread, and the largest site that fits it; of a shard that does not
//! fit, the events are put aside, see `src/large.rs`. What the events say of each site is brought into order, to be
//! held against the index site by site.
//!
//! Beyond what readers check, every section and block is decoded; the events of a snapshot have to be in order and unique,
//! and the index has to say of each site what the fold of its events says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::base::text::printable;
use crate::disk::scratch::Limits;
use crate::disk::{Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::event::summary::{Summary, Window};
use crate::event::table::{Row, Table};
use crate::event::{Site, SiteName};
use crate::format::batch::{EventsDecoder, decode_rejects};
use crate::format::block::{BlockHeader, BlockKind, ShardEntry, SiteEntry, split_rejects};
use crate::format::frame::SectionKind;
use crate::format::{SHARDS, Uid, hex};
use crate::query::fold::Fold;
use crate::query::gather::{Load, Plan, Work, by_site, parallel};
use crate::query::large::Large;
use crate::query::merge::Merge;
use crate::segment::content::{Contents, decode_events};
use crate::segment::{Frame, Segment};
use crate::snapshot::lines::{Finder, Line, LineStretch, Lines};
use crate::snapshot::{IndexedSite, Snapshot, Stretch};
use crate::upkeep::survey::{Content, Survey};

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
pub fn verify(storage: &dyn Storage, limits: &Limits, progress: &(dyn Fn(f64) + Sync)) -> Result<Verification> {
    Examined::of(storage, limits, progress).map(|examined| examined.verification)
}

/// A store that was checked, with what repair has to know beyond the findings.
pub(crate) struct Examined {
    pub(crate) survey: Survey,
    /// By part and frame: the sections that are bad, by their places.
    pub(crate) bad: BTreeMap<(usize, usize), Vec<usize>>,
    pub(crate) verification: Verification,
}

impl Examined {
    pub(crate) fn of(storage: &dyn Storage, limits: &Limits, progress: &(dyn Fn(f64) + Sync)) -> Result<Examined> {
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
            check_snapshot(snapshot, limits, &passed, &mut findings, &mut checked)?;
        }
        let threads = (limits.bytes() / FRAME).clamp(1, limits.threads.max(1));
        let workers = parallel(threads, frames.len(), Frames::default, |worker, number| {
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

/// Memory for each thread that checks frames: one of them, and what it holds.
const FRAME: usize = 16 << 20;

/// Blocks of an index that are read at once.
const BLOCKS: usize = 64;

/// Checks a snapshot whose header and tables are sound.
fn check_snapshot(
    snapshot: &Snapshot,
    limits: &Limits,
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
    let threads = limits.threads.max(1);
    let lines = Lines::new(limits);
    let mut loads = [Load::default(); SHARDS];
    for (load, entry) in loads.iter_mut().zip(snapshot.shards()) {
        // One that claims to have none is looked at as well.
        load.add(entry.events.max(u64::from(entry.length > 0)), entry.length);
    }
    let plan = Plan::of(&loads, threads, limits.memory);
    let events = EventChecks { snapshot, lines: &lines, findings: Mutex::default(), passed };
    let begin = || Shards::new(lines.finder(threads));
    let workers = parallel(plan.workers, plan.work.len(), begin, |worker, number| match plan.work.get(number) {
        Some(Work::Task(task)) => task.shards.clone().try_for_each(|shard| events.shard(worker, shard, None)),
        _ => Ok(()),
    })?;
    for worker in workers {
        worker.end(checked)?;
    }
    for work in &plan.work {
        let Work::Large(shard, bytes) = work else { continue };
        let mut worker = begin();
        events.shard(&mut worker, *shard, Some(Large::new(&limits.for_large(), *shard, *bytes)))?;
        worker.end(checked)?;
    }
    findings.append(&mut events.findings.into_inner().unwrap_or_else(PoisonError::into_inner));
    let sorted = lines.sorted()?;
    let index = IndexCheck::new(snapshot, findings.len() == before);
    let read = index.check(sorted.stretch(None, None)?, findings);
    found(read, findings)?;
    passed(snapshot.size() - length(BlockKind::Events) - length(BlockKind::Rejects));
    check_rejects(snapshot, findings, checked)?;
    passed(length(BlockKind::Rejects));
    if findings.len() == before {
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

/// Holds an index against what the events say.
struct IndexCheck<'a> {
    snapshot: &'a Snapshot,
    /// Nothing is wrong so far: what has no events may be said to have none.
    sound: bool,
    /// The site before, to see that they ascend.
    before: Option<SiteName>,
    sites: u64,
    total: Line,
}

impl<'a> IndexCheck<'a> {
    fn new(snapshot: &'a Snapshot, sound: bool) -> IndexCheck<'a> {
        IndexCheck { snapshot, sound, before: None, sites: 0, total: Line::EMPTY }
    }

    /// Reads the index once, beside the lines.
    fn check(mut self, mut lines: LineStretch<'_>, findings: &mut Vec<Corruption>) -> Result<()> {
        let (snapshot, blocks) = (self.snapshot, self.snapshot.index_blocks());
        let (mut buffer, mut sites, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let mut ahead = next_line(&mut lines)?;
        let (mut unseen, mut wrong) = (Vec::new(), Vec::new());
        for first in (0..blocks).step_by(BLOCKS) {
            sites.clear();
            snapshot.sites(first..blocks.min(first + BLOCKS), &mut buffer, &mut sites)?;
            for IndexedSite { name, entry } in &sites {
                self.take(name, entry, &mut own);
                while let Some((line_name, line)) = ahead.take_if(|(line_name, _)| *line_name < *name) {
                    wrong.push(self.differs(&line_name, &line, None));
                    ahead = next_line(&mut lines)?;
                }
                match ahead.take_if(|(line_name, _)| line_name == name) {
                    Some((_, line)) => {
                        if line.stretches != 1 || line.entry != *entry {
                            wrong.push(self.differs(name, &line, Some(entry)));
                        }
                        ahead = next_line(&mut lines)?;
                    }
                    None => unseen.push(name.clone()),
                }
            }
            // In a sound index there is none, and of a bad one a few say it all.
            unseen.truncate(MOST_UNSEEN);
        }
        while let Some((name, line)) = ahead {
            wrong.push(self.differs(&name, &line, None));
            ahead = next_line(&mut lines)?;
        }
        wrong.append(&mut own);
        wrong.extend(self.totals());
        let is_sound = self.sound && wrong.is_empty();
        findings.append(&mut wrong);
        if is_sound {
            findings.extend(unseen.into_iter().map(|name| {
                let found = format!("site {} without one", shown(&name));
                snapshot.corrupt(snapshot.index_block(&name), "a site that has events", found)
            }));
        }
        Ok(())
    }

    /// Takes a site of the index: they ascend over all blocks; within each, they were seen to.
    fn take(&mut self, name: &SiteName, entry: &SiteEntry, findings: &mut Vec<Corruption>) {
        if self.before.replace(name.clone()).is_some_and(|before| before >= *name) {
            let (at, expected) = (self.snapshot.index_block(name), "a site behind the one before it");
            findings.push(self.snapshot.corrupt(at, expected, format!("site {}", shown(name))));
        }
        self.sites += 1;
        let total = &mut self.total.entry;
        total.events = total.events.saturating_add(entry.events);
        total.disputed = total.disputed.saturating_add(entry.disputed);
        (total.earliest, total.latest) = (total.earliest.min(entry.earliest), total.latest.max(entry.latest));
    }

    /// What is wrong with what the index says of a site that has events.
    fn differs(&self, name: &SiteName, line: &Line, entry: Option<&SiteEntry>) -> Corruption {
        let expected = format!("site {}: {}", shown(name), shown_entry(&line.entry));
        let found = match entry {
            Some(_) if line.stretches > 1 => "a second stretch of its events".into(),
            Some(entry) => shown_entry(entry),
            None => "nothing of it".into(),
        };
        self.snapshot.corrupt(self.snapshot.index_block(name), expected, found)
    }

    /// That the header says what the index does.
    fn totals(&self) -> Option<Corruption> {
        let (header, total) = (&self.snapshot.header, &self.total.entry);
        let told = [header.sites, header.events, header.disputed];
        let counted = [self.sites, total.events, total.disputed];
        let text = |[sites, events, disputed]: [u64; 3], earliest: i64, latest: i64| {
            format!("{sites} sites, {events} events, {disputed} of them disputed, from {earliest} to {latest}")
        };
        let expected = text(counted, total.earliest, total.latest);
        let found = text(told, header.earliest, header.latest);
        (expected != found).then(|| self.snapshot.corrupt(0, format!("a header that tells of {expected}"), found))
    }
}

/// Sites without events that are told of at most.
const MOST_UNSEEN: usize = 1000;

fn next_line(lines: &mut LineStretch<'_>) -> Result<Option<(SiteName, Line)>> {
    Ok(lines.next()?.map(|(name, line)| (Site::new(name).into(), line)))
}

fn shown(name: &SiteName) -> String {
    printable(&String::from_utf8_lossy(name.text(&mut [0; 20])))
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

/// What all who check events of a snapshot have.
struct EventChecks<'a> {
    snapshot: &'a Snapshot,
    lines: &'a Lines,
    findings: Mutex<Vec<Corruption>>,
    passed: &'a (dyn Fn(u64) + Sync),
}

impl EventChecks<'_> {
    /// Checks a shard, in memory or with what does not need it to fit.
    fn shard(&self, worker: &mut Shards<'_>, shard: u8, large: Option<Large>) -> Result<()> {
        let entry = &self.snapshot.shards()[usize::from(shard)];
        if entry.length == 0 && entry.events == 0 {
            return Ok(());
        }
        let mut own = Vec::new();
        let checked = match large {
            None => worker.check(self.snapshot, shard, entry, &mut own),
            Some(large) => worker.check_large(self, shard, entry, large, &mut own),
        };
        found(checked, &mut own)?;
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).append(&mut own);
        (self.passed)(entry.length);
        Ok(())
    }
}

/// Checks the events of shards; one a thread.
struct Shards<'a> {
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    table: Table,
    open: OpenSite,
    checked: Checked,
    finder: Finder<'a>,
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

impl<'a> Shards<'a> {
    fn new(finder: Finder<'a>) -> Shards<'a> {
        let (buffer, decoder, table) = (Vec::new(), EventsDecoder::default(), Table::default());
        Shards { buffer, decoder, table, open: OpenSite::default(), checked: Checked::default(), finder }
    }

    fn end(self, checked: &mut Checked) -> Result<()> {
        checked.events += self.checked.events;
        checked.blocks += self.checked.blocks;
        self.finder.end()
    }

    /// Visits the events of a shard block by block; gives their number.
    fn blocks(
        &mut self,
        snapshot: &Snapshot,
        (number, entry): (u8, &ShardEntry),
        mut visit: impl FnMut(&mut OpenSite, &mut Finder<'a>, &Table, &BlockHeader) -> Result<()>,
    ) -> Result<u64> {
        let Shards { buffer, decoder, table, open, checked, finder } = self;
        let mut events = 0;
        let stretch = entry.at..entry.at.saturating_add(entry.length);
        snapshot.blocks(BlockKind::Events, stretch, buffer, |header, bytes| {
            if header.shard != number {
                let (expected, found) = (format!("a block of shard {number}"), format!("shard {}", header.shard));
                return Err(snapshot.corrupt(header.offset, expected, found).into());
            }
            decode_events(decoder, header.packed_events(bytes), table)
                .map_err(|malformed| snapshot.misencoded(header, malformed))?;
            checked.blocks += 1;
            checked.events += u64::from(header.count);
            events += u64::from(header.count);
            visit(open, finder, table, header)
        })?;
        Ok(events)
    }

    fn check(
        &mut self,
        snapshot: &Snapshot,
        number: u8,
        entry: &ShardEntry,
        findings: &mut Vec<Corruption>,
    ) -> Result<()> {
        self.open.table.clear();
        let events = self.blocks(snapshot, (number, entry), |open, finder, table, header| {
            for rows in by_site(table) {
                if !open.goes_on(table, rows) {
                    open.close(snapshot, finder, findings)?;
                    open.at = header.offset;
                }
                open.take(table, rows, header);
            }
            Ok(())
        })?;
        self.open.close(snapshot, &mut self.finder, findings)?;
        findings.extend(miscounted(snapshot, number, entry, events));
        Ok(())
    }

    /// The same for a shard that does not fit: of its events the last one is held.
    fn check_large(
        &mut self,
        checks: &EventChecks<'_>,
        number: u8,
        entry: &ShardEntry,
        large: Large,
        findings: &mut Vec<Corruption>,
    ) -> Result<()> {
        let EventChecks { snapshot, lines, .. } = checks;
        let (mut rows, mut last, mut ordered) = (large.dealer(), Table::default(), true);
        self.open.table.clear();
        let events = self.blocks(snapshot, (number, entry), |open, finder, table, header| {
            for own in by_site(table) {
                if open.goes_on(table, own) {
                    last.clear();
                    last.push_copy(&open.table, &open.table.rows[0]);
                    own.first().into_iter().for_each(|row| last.push_copy(table, row));
                    ordered &= last.rows.is_sorted_by(|a, b| last.compare(a, b).is_lt());
                } else {
                    open.leave(snapshot, std::mem::replace(&mut ordered, true), finder, findings)?;
                    open.at = header.offset;
                }
                ordered &= own.is_sorted_by(|a, b| table.compare(a, b).is_lt());
                open.table.clear();
                open.take(table, &own[own.len() - 1..], header);
            }
            rows.put(table)
        })?;
        self.open.leave(snapshot, ordered, &mut self.finder, findings)?;
        self.open.table.clear();
        rows.end();
        let copies = large.finish(Window::ALL, Some(lines), None)?.unwrap_or_default();
        if copies > 0 {
            let expected = format!("the events of shard {number} in order and each once");
            findings.push(snapshot.corrupt(entry.at, expected, "others"));
        }
        findings.extend(miscounted(snapshot, number, entry, events));
        Ok(())
    }
}

/// That a shard has as many events as the table of shards says.
fn miscounted(snapshot: &Snapshot, number: u8, entry: &ShardEntry, events: u64) -> Option<Corruption> {
    let at = snapshot.header.region(BlockKind::Shards).start;
    let expected = format!("{events} events of shard {number}");
    (events != entry.events).then(|| snapshot.corrupt(at, expected, entry.events.to_string()))
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
        rows.iter().for_each(|row| self.table.push_copy(table, row));
        self.end = header.offset + header.whole();
    }

    /// Judges the site that is open, if there is one, and makes room for the next.
    fn close(&mut self, snapshot: &Snapshot, finder: &mut Finder<'_>, findings: &mut Vec<Corruption>) -> Result<()> {
        let OpenSite { table, at, end, merge, fold } = self;
        let Some(first) = table.rows.first() else { return Ok(()) };
        let name = SiteName::from(table.site_of(first));
        let mut line = Line { stretches: 1, ..Line::of_rows(&table.rows, Window::ALL) };
        line.entry.summary = fold.site(&table.rows, table.names(), Window::ALL);
        (line.entry.at, line.entry.length) = (*at, *end - *at);
        if !table.rows.is_sorted_by(|a, b| table.compare(a, b).is_lt()) || merge.unique(table).copies > 0 {
            findings.push(disordered(snapshot, *at, &name));
        }
        table.clear();
        finder.put(name.site(), &line)
    }

    /// The same of a site of which only the last event is there: whether it is in order is known.
    fn leave(
        &mut self,
        snapshot: &Snapshot,
        ordered: bool,
        finder: &mut Finder<'_>,
        findings: &mut Vec<Corruption>,
    ) -> Result<()> {
        let Some(row) = self.table.rows.first() else { return Ok(()) };
        let site = self.table.site_of(row);
        if !ordered {
            findings.push(disordered(snapshot, self.at, &site.into()));
        }
        let mut line = Line { stretches: 1, ..Line::EMPTY };
        (line.entry.at, line.entry.length) = (self.at, self.end - self.at);
        finder.put(site, &line)
    }
}

fn disordered(snapshot: &Snapshot, at: u64, name: &SiteName) -> Corruption {
    let expected = format!("the events of site {} in order and each once", shown(name));
    snapshot.corrupt(at, expected, "others")
}

fn shown_entry(entry: &SiteEntry) -> String {
    let Summary { messages, emails, operators, visitors } = entry.summary;
    let SiteEntry { events, disputed, earliest, latest, at, length, .. } = entry;
    format!(
        "messages={messages},emails={emails},operators={operators},visitors={visitors}, events={events} disputed={disputed} \
         from {earliest} to {latest} in {length} bytes at {at}"
    )
}
