//! Saving what is intact of a damaged store: only on request, under the lock, and with a copy of everything it replaces.
//!
//! A repair is a compaction of everything from the first damaged file on, over what is intact in it. The new snapshot covers all
//! those files, and a new last segment behind it begins with a *hole*, a frame that records what is lost. So nothing
//! has to be patched: no frame is rewritten in place, no later header has to chain to a mended one, the index of a damaged
//! snapshot is made anew, and one rename decides.
//!
//! **Inputs.** The checkpoint of an input may not stand behind bytes that are lost. Batches of one instance follow one another
//! without a gap; so a checkpoint is carried on over whole batches, up to the first that is damaged, or that begins behind
//! the one before it where frames are lost. From there on the events of the instance are kept, its checkpoints and
//! rejects are not: when the input is ingested again, it is read from there, copies count once, and so do the rejects. Where
//! events of a snapshot are lost, nobody knows of which input they were, and all its inputs are taken back to where they stood
//! before it.
//!
//! **Crashes.** In this order: the snapshot is written under a temporary name; every file to be replaced is copied under a name
//! that the store ignores, durably; the new last segment is published, and the store, which was refused or whose report
//! was, stays so, since that segment does not follow the damaged one; the snapshot is published, which repairs the store; what
//! it covers is deleted. Run again after a crash, a repair ignores a last segment that waits for a snapshot, takes copies
//! that are there for what they are, and so comes to the same end; after the renaming, the store is sound, and
//! the next writer deletes what is left over.
//!
//! A missing last segment alone replaces nothing: a new one is published in its place.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use crate::disk::scratch::Limits;
use crate::disk::scratch::Scratch;
use crate::disk::{Publication, Storage, TEMPORARY, explained, path_of, publish, publish_over};
use crate::error::{Corruption, Error, Result};
use crate::event::table::Table;
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::batch::{Checkpoint, EventsDecoder, decode_rejects};
use crate::format::block::{
    BLOCK_HEADER, BlockHeader, BlockKind, REGIONS, SNAPSHOT_HEADER, SnapshotHeader, decode_inputs, decode_shards,
    put_checkpoint, split_rejects,
};
use crate::format::frame::{
    Entry, FRAME_HEADER, FrameHeader, FrameKind, SectionKind, SegmentHeader, crc, encode_directory,
};
use crate::format::hole::{Hole, LostInput};
use crate::segment::content::{Contents, decode_events};
use crate::segment::{Found, Frame, Link, Section, Segment};
use crate::snapshot::{Snapshot, SnapshotWriter, Stretch};
use crate::store::recover::segment_header;
use crate::store::{
    COPY, Input, Known, Name, Place, add_input, parse_name, refuse_no_store, segment_name, snapshot_name,
};
use crate::upkeep::compact::{CompactOptions, Inputs};
use crate::upkeep::survey::{Content, Frames, Part};
use crate::upkeep::verify::Examined;

/// Copied at once.
const PIECE: usize = 1 << 20;

/// How to repair.
#[derive(Clone, Debug)]
pub struct RepairOptions {
    /// Threads that work on it.
    pub threads: usize,
    /// Bytes of memory, all threads together. What does not fit is put aside in temporary files.
    pub memory: u64,
    /// Where these are, if not in the store's directory; of a dry run, in `$TMPDIR` or `/tmp`.
    pub temp: Option<PathBuf>,
    /// Only find out what would be done; needs no lock and changes nothing.
    pub dry_run: bool,
}

/// What a repair did, or would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// The damage.
    pub findings: Vec<Corruption>,
    /// The files that were replaced.
    pub replaced: Vec<String>,
    /// Where their copies are.
    pub copies: Vec<String>,
    /// The files that were published in their place.
    pub published: Vec<String>,
    /// What is lost.
    pub hole: Hole,
    /// Events that were saved from the files that were replaced, copies included.
    pub saved: u64,
    /// Rejects that were saved and count no longer, since the lines are going to be read again.
    pub rejects: u64,
    /// Whether something was lost of which nobody knows what it held: bytes at the end of any input, an input as a whole, or
    /// the word that an input was to be forgotten.
    pub unknown: bool,
}

/// Repairs a store; gives nothing if there is nothing to repair, or once `stop` is set: then nothing was changed but for copies.
pub fn repair(
    storage: &dyn Storage,
    options: &RepairOptions,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Repair>> {
    refuse_no_store(storage)?;
    let _lock = if options.dry_run { None } else { Some(storage.lock()?) };
    let scratch = match (&options.temp, options.dry_run) {
        (Some(temp), _) => Scratch::new(temp),
        (None, true) => Scratch::for_readers(None),
        (None, false) => Scratch::new(&storage.scratch()),
    };
    let limits = Limits { threads: options.threads, memory: options.memory, scratch };
    let examined = Examined::of(storage, &limits, &|share| progress(share / 2.0))?;
    if examined.verification.findings.is_empty() {
        if !options.dry_run {
            // An earlier repair may have died, or failed, between its last renaming and this.
            storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
            storage.in_place()?;
        }
        return Ok(None);
    }
    let mut plan = Plan::of(storage, examined)?;
    if options.dry_run {
        return Ok(Some(plan.repair));
    }
    let done = plan.carry_out(storage, options, stop, &|share| progress(0.5 + share / 2.0));
    let done = done.map_err(|error| explained(storage, error))?;
    Ok(done.then_some(plan.repair))
}

/// What is to be done.
struct Plan {
    store: Uid,
    salvage: Salvage,
    /// The segments that the new snapshot covers; none if only the last segment is missing.
    covers: Option<RangeInclusive<u64>>,
    /// What the first frame covered chains to, and what the first frame behind.
    first: Link,
    next: Link,
    /// Number of the new last segment.
    number: u64,
    repair: Repair,
}

impl Plan {
    fn of(storage: &dyn Storage, examined: Examined) -> Result<Plan> {
        let count = examined.survey.parts.len();
        let damaged = examined.first_damaged(storage);
        let Examined { survey, bad, verification } = examined;
        let store = match survey.store {
            Some(store) => store,
            None => {
                storage.random().map_err(Error::io("get random bytes for", storage.path().display().to_string()))?
            }
        };
        // A snapshot cannot stand behind a segment, so all of the tail is taken if any of it is.
        let is_snapshot = |part: &Part| matches!(part.content, Content::Snapshot(_) | Content::Blocks(..));
        let tail = survey.parts.iter().position(|part| !is_snapshot(part)).unwrap_or(count);
        let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
        let only_last_missing = damaged + 1 == count
            && survey.parts.last().is_some_and(|last| is_missing(last, &names))
            && verification.findings.len() == 1;
        let start = damaged.min(tail);
        let (durable_upto, acknowledged) = (survey.durable_upto, survey.acknowledged);
        let mut salvage = Salvage { durable_upto, acknowledged, ..Salvage::default() };
        let mut greatest = survey.durable_upto;
        let mut covers: Option<RangeInclusive<u64>> = None;
        let mut number = 1;
        // What the chain is due to go on with, as far as it is known.
        let mut due: Option<Link> = None;
        let mut first = Link { sequence: 1, previous: None };
        let mut before = Vec::new();
        for (index, Part { covers: own, content, .. }) in survey.parts.into_iter().enumerate() {
            greatest = greatest.max(content.greatest());
            number = own.end().saturating_add(1);
            let link = due;
            due = content.next();
            if index < start {
                if let Content::Snapshot(snapshot) = content {
                    before.push(*snapshot);
                }
                continue;
            }
            if index == start {
                // All logs begin with frame 1, whatever a file says that got this place by a wrong name.
                let unknown = content.first().filter(|first| index == 0 && first.sequence == 1);
                first = link.or(unknown).unwrap_or(first);
                let known = Known::of(&before, &[], &[])?.inputs;
                salvage.before = known.into_iter().map(|(instance, input)| (instance, input.checkpoint.end)).collect();
                salvage.due = Some(first.sequence);
            }
            // If nothing of it was acknowledged, nothing has to be changed of all that is before it.
            if let (true, Some(next)) = (only_last_missing && index + 1 == count, link)
                && survey.durable_upto < next.sequence
            {
                let hole = Hole::default();
                let published = vec![path_of(storage, &segment_name(*own.start()))];
                let repair =
                    Repair { findings: verification.findings, published, hole, unknown: true, ..Repair::default() };
                let number = *own.start();
                return Ok(Plan { store, salvage, covers: None, first, next, number, repair });
            }
            covers = Some(*covers.as_ref().unwrap_or(&own).start()..=*own.end());
            match content {
                Content::Nothing => salvage.loss = true,
                Content::Snapshot(snapshot) => salvage.snapshot(*snapshot, true)?,
                Content::Blocks(snapshot, sound) => salvage.snapshot(*snapshot, sound)?,
                Content::Segment(own) => salvage.segment(index, *own, &bad)?,
            }
        }
        salvage.end();
        if salvage.loss {
            let inside = |name: &&String| match parse_name(name) {
                Name::Segment(number) => covers.as_ref().is_some_and(|covers| covers.contains(&number)),
                Name::Snapshot(own) => covers.as_ref().is_some_and(|covers| covers.contains(own.end())),
                Name::Temporary | Name::Foreign => false,
            };
            survey.leftovers.iter().filter(inside).try_for_each(|name| salvage.leftover(storage, name, store))?;
        }
        // One more than would do: so the new segment follows no damaged one, not even one whose successor is missing.
        let next = Link { sequence: greatest.saturating_add(2), previous: Some(salvage.last_crc) };
        let covers = covers.unwrap_or(1..=1);
        let snapshot = snapshot_name(&covers);
        let replaced = inside(storage, &covers)?;
        let hole = Hole {
            covers: (*covers.start(), *covers.end()),
            frames: std::mem::take(&mut salvage.frames),
            inputs: std::mem::take(&mut salvage.touched).into_values().collect(),
        };
        let published = [&snapshot, &segment_name(number)].map(|name| path_of(storage, name)).into();
        let (saved, rejects, unknown) = (salvage.events, salvage.rejects_dropped, salvage.loss);
        let findings = verification.findings;
        let repair = Repair { findings, replaced, copies: Vec::new(), published, hole, saved, rejects, unknown };
        Ok(Plan { store, salvage, covers: Some(covers), first, next, number, repair })
    }

    /// Does it; gives whether it was done, or given up.
    fn carry_out(
        &mut self,
        storage: &dyn Storage,
        options: &RepairOptions,
        stop: &AtomicBool,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<bool> {
        let Some(covers) = self.covers.clone() else {
            self.publish_segment(storage)?;
            return Ok(true);
        };
        // No file has this name: it covers the last segment, which no snapshot covers.
        let name = snapshot_name(&covers);
        let header = SnapshotHeader {
            store: self.store,
            first: *covers.start(),
            last: *covers.end(),
            first_sequence: self.first.sequence,
            first_previous: self.first.previous.unwrap_or_default(),
            next_sequence: self.next.sequence,
            next_previous: self.next.previous.unwrap_or_default(),
            ..SnapshotHeader::default()
        };
        let mut writer = SnapshotWriter::create(storage, &name, header)?;
        let written = self.salvage.write(&mut writer, self.store, *covers.start() == 1, options, stop, progress);
        let copies = match written {
            Ok(Some(copies)) => copies,
            unfinished => {
                writer.abandon();
                return unfinished.map(|_| false);
            }
        };
        let kept = self.repair.replaced.iter().map(|name| copy_aside(storage, name)).collect();
        match kept {
            Ok(kept) => self.repair.copies = kept,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        }
        self.publish_segment(storage)?;
        writer.publish(copies)?;
        // Durable under its name: only now may what it replaces go.
        for name in &self.repair.replaced {
            storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;
        }
        storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
        storage.in_place()?;
        Ok(true)
    }

    /// Publishes the new last segment: it holds the hole, and a mark that proves it. Both are fsynced before anybody sees
    /// them.
    fn publish_segment(&self, storage: &dyn Storage) -> Result<()> {
        let header = segment_header(storage, self.store, self.number, self.next.sequence)?;
        let mut bytes = header.encode().to_vec();
        let hole = self.repair.hole.encode();
        let entry = Entry::new(SectionKind::Hole, 0, 1, &hole);
        let link = put_frame(&mut bytes, &header, FrameKind::Hole, self.next, &[entry], &hole);
        put_frame(&mut bytes, &header, FrameKind::Mark, link, &[], &[]);
        let name = segment_name(self.number);
        // One that is there an earlier repair left, which did not come to its end.
        match has(storage, &name)? {
            true => publish_over(storage, &name, &bytes),
            false => publish(storage, &name, &bytes),
        }
    }
}

/// Whether a part is no file at all.
fn is_missing(part: &Part, names: &[String]) -> bool {
    matches!(part.content, Content::Nothing) && !names.contains(&part.name)
}

/// Whether a file has this name.
fn has(storage: &dyn Storage, name: &str) -> Result<bool> {
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    Ok(names.iter().any(|it| it == name))
}

/// The files that a snapshot of these segments replaces: those that were gone through, what nothing could be told of, and
/// what an earlier snapshot left over. The next writer would delete them all.
fn inside(storage: &dyn Storage, covers: &RangeInclusive<u64>) -> Result<Vec<String>> {
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    let replaced = |name: &String| match parse_name(name) {
        Name::Segment(number) => covers.contains(&number),
        Name::Snapshot(own) => covers.contains(own.start()) && covers.contains(own.end()),
        Name::Temporary | Name::Foreign => false,
    };
    let mut names: Vec<String> = names.into_iter().filter(replaced).collect();
    names.sort_unstable();
    Ok(names)
}

/// Appends a frame to the bytes of a segment that is not published yet; everything before it counts as durable. Gives what
/// the next one chains to.
fn put_frame(
    out: &mut Vec<u8>,
    segment: &SegmentHeader,
    kind: FrameKind,
    link: Link,
    entries: &[Entry],
    sections: &[u8],
) -> Link {
    let directory = encode_directory(entries.iter().copied());
    let mut header = FrameHeader {
        kind,
        entries: entries.len() as u16,
        store: segment.store,
        segment: segment.number,
        salt: segment.salt,
        offset: out.len() as u64,
        sequence: link.sequence,
        durable_upto: link.sequence - 1,
        payload: (directory.len() + sections.len()) as u32,
        previous: link.previous.unwrap_or_default(),
        directory_crc: crc(&directory),
        crc: 0,
    };
    let encoded = header.encode();
    header.crc = crc(&encoded[..FRAME_HEADER - 4]);
    out.extend_from_slice(&encoded);
    out.extend_from_slice(&directory);
    out.extend_from_slice(sections);
    Link::after(&header)
}

/// Copies a file under a name that the store ignores; a copy that an earlier attempt made serves as well. Gives its path.
fn copy_aside(storage: &dyn Storage, name: &str) -> Result<String> {
    let path = path_of(storage, name);
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    let from = storage.open(name, false).map_err(Error::io("open", &path))?;
    let (mut piece, mut other) = (vec![0; PIECE], vec![0; PIECE]);
    let prefix = format!("{name}{COPY}");
    for copy in names.iter().filter(|copy| copy.starts_with(&prefix) && !copy.ends_with(TEMPORARY)) {
        let to = path_of(storage, copy);
        let file = storage.open(copy, false).map_err(Error::io("open", &to))?;
        let mut at = 0;
        loop {
            let read = from.read_at(&mut piece, at).map_err(Error::io("read", &path))?;
            let same = file.read_at(&mut other, at).map_err(Error::io("read", &to))? == read;
            if !same || piece.get(..read) != other.get(..read) {
                break;
            }
            if read == 0 {
                return Ok(to);
            }
            at += read as u64;
        }
    }
    let free = (1u64..).map(|number| format!("{prefix}{number}")).find(|copy| !names.contains(copy));
    let copy = free.unwrap_or(prefix);
    let publication = Publication::begin(storage, &copy)?;
    let mut at = 0;
    loop {
        let read = from.read_at(&mut piece, at).map_err(Error::io("read", &path))?;
        if read == 0 {
            break;
        }
        publication.write_at(piece.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
    publication.commit()?;
    Ok(path_of(storage, &copy))
}

impl Content {
    /// What its first frame chains to, as it says itself.
    fn first(&self) -> Option<Link> {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot, true) => {
                let header = &snapshot.header;
                Some(Link { sequence: header.first_sequence, previous: Some(header.first_previous) })
            }
            Content::Segment(own) => Some(Link { sequence: 1, previous: Some(own.segment.header.chain()) }),
            Content::Blocks(_, false) | Content::Nothing => None,
        }
    }

    /// What the first frame behind it chains to, as far as it says.
    fn next(&self) -> Option<Link> {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot, true) => {
                let header = &snapshot.header;
                Some(Link { sequence: header.next_sequence, previous: Some(header.next_previous) })
            }
            Content::Segment(own) if !own.cut => own.frames.last().map(|frame| Link::after(&frame.header)),
            Content::Segment(_) | Content::Blocks(_, false) | Content::Nothing => None,
        }
    }

    /// The greatest sequence number that it knows of.
    fn greatest(&self) -> u64 {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot, true) => snapshot.header.next_sequence,
            Content::Segment(own) => {
                let all = own.frames.iter().chain(&own.strays);
                let last = all.map(|frame| frame.header.sequence).max().unwrap_or(0);
                own.segment.header.first_sequence.max(last)
            }
            Content::Blocks(_, false) | Content::Nothing => 0,
        }
    }
}

/// Rejects that are kept, and where they are.
struct KeptRejects {
    instance: Uid,
    count: u32,
    segment: usize,
    section: Section,
    /// The checkpoint of the batch; where the section is a block of a snapshot, it begins with it.
    checkpoint: Option<Checkpoint>,
}

/// What is intact in the files that are replaced, gathered in the order of the log.
#[derive(Default)]
struct Salvage {
    /// Whatever has sections of events: segments, and snapshots, whose blocks are taken for frames with one section.
    segments: Vec<Segment>,
    /// Runs of neighbouring intact sections of events.
    places: Vec<Place>,
    events: u64,
    /// Copies that are in no section: lines that repeat others, and what was dropped before.
    copies: u64,
    /// Where each input stands before these files.
    before: BTreeMap<Uid, u64>,
    /// What these files say of the inputs, up to the first hole in each.
    inputs: BTreeMap<Uid, Input>,
    /// By instance: from which of the rejects on they count. Those before were forgotten.
    since: BTreeMap<Uid, usize>,
    forgotten: Vec<Uid>,
    rejects: Vec<KeptRejects>,
    rejects_dropped: u64,
    /// Inputs with a hole.
    touched: BTreeMap<Uid, LostInput>,
    /// Frames that are lost as a whole or in part.
    frames: Vec<(u64, u64)>,
    /// Something is lost of which nobody knows what it held.
    loss: bool,
    /// The sequence number that comes next, where it is known.
    due: Option<u64>,
    durable_upto: u64,
    acknowledged: Option<Acknowledged>,
    /// The last segment ends with bytes of which nothing is intact.
    lost_end: bool,
    last_crc: u32,
}

impl Salvage {
    /// The frames from the one that is due to before this one are lost.
    fn reach(&mut self, sequence: u64) {
        if let Some(due) = self.due.filter(|due| *due < sequence) {
            self.lost(due, sequence - 1);
            self.loss = true;
        }
        self.due = self.due.max(Some(sequence));
    }

    fn lost(&mut self, first: u64, last: u64) {
        match self.frames.last_mut() {
            Some(before) if before.1.saturating_add(1) >= first => before.1 = before.1.max(last),
            _ => self.frames.push((first, last)),
        }
    }

    /// Where an input stands.
    fn end_of(&self, instance: &Uid) -> u64 {
        let here = self.inputs.get(instance).map(|input| input.checkpoint.end);
        here.or_else(|| self.before.get(instance).copied()).unwrap_or(0)
    }

    /// Bytes of an input up to `to` are lost, from where it stands.
    fn touch(&mut self, checkpoint: &Checkpoint, to: u64) {
        let from = self.end_of(&checkpoint.instance);
        let lost = LostInput { instance: checkpoint.instance, from, to: from, name: checkpoint.name.clone() };
        let known = self.touched.entry(checkpoint.instance).or_insert(lost);
        known.to = known.to.max(to);
    }

    /// Adds what is whole of an input. Its rejects that follow count, and those that were kept since it is known.
    fn add(&mut self, input: Input) {
        self.since.entry(input.checkpoint.instance).or_insert(self.rejects.len());
        add_input(&mut self.inputs, input);
    }

    fn forget(&mut self, instance: Uid) {
        self.before.remove(&instance);
        self.inputs.remove(&instance);
        self.since.remove(&instance);
        self.touched.remove(&instance);
        self.forgotten.push(instance);
    }

    fn keep_events(&mut self, header: FrameHeader, sections: Vec<Section>) {
        if !sections.is_empty() {
            self.events += sections.iter().map(|section| u64::from(section.entry.count)).sum::<u64>();
            self.places
                .push(Place { segment: self.segments.len(), frame: Frame { at: header.offset, header, sections } });
        }
    }

    /// Takes the frames of a segment, in the order of the log, wherever they stand. `bad` are the bad sections of those in their
    /// place, by part and frame.
    fn segment(&mut self, part: usize, own: Frames, bad: &BTreeMap<(usize, usize), Vec<usize>>) -> Result<()> {
        let Frames { segment, frames, strays, lost_end, awaits_seal, .. } = own;
        let mut contents = Contents::default();
        let mut check = |frame: &Frame| -> Result<Vec<usize>> {
            Ok(contents.check(&segment, frame)?.into_iter().map(|(place, _)| place).collect())
        };
        let mut found: Vec<(Frame, Vec<usize>)> = Vec::new();
        for (at, frame) in frames.into_iter().enumerate() {
            found.push((frame, bad.get(&(part, at)).cloned().unwrap_or_default()));
        }
        for stray in strays {
            let bad = check(&stray)?;
            found.push((stray, bad));
        }
        // Where bytes of a frame were taken out, what is behind moved up into it.
        found.sort_by_key(|(frame, _)| frame.at);
        let (mut moved, mut searched) = (Vec::new(), 0);
        for (frame, _) in found.iter().filter(|(_, bad)| !bad.is_empty()) {
            let start = searched.max(frame.at + 1);
            for inside in segment.frames_between(start, frame.end())? {
                if found.binary_search_by_key(&inside.at, |(frame, _)| frame.at).is_err() {
                    let bad = check(&inside)?;
                    moved.push((inside, bad));
                }
            }
            searched = searched.max(frame.end());
        }
        found.append(&mut moved);
        // Of a frame that is there more than once the best comes first.
        found.sort_by_key(|(frame, bad)| (frame.header.sequence, bad.len(), !frame.in_place()));
        let covered = self.due;
        self.reach(segment.header.first_sequence);
        let mut before: Option<(FrameHeader, bool)> = None;
        for (frame, bad) in found {
            let (header, whole) = (frame.header, bad.is_empty());
            match before.replace((header, whole)) {
                // One of which everything was taken, in other bytes.
                Some((last, true)) if last == header => before = Some((last, true)),
                Some((last, _)) if last.sequence == header.sequence => self.events_of(&frame, &bad),
                // A snapshot has it already, one that has the name of another.
                _ if covered.is_some_and(|covered| header.sequence < covered) => self.events_of(&frame, &bad),
                _ => self.frame(&segment, frame, &bad)?,
            }
        }
        self.lost_end = lost_end;
        if awaits_seal {
            // Nothing was lost with a seal that was never written.
            self.due = self.due.map(|due| due.saturating_add(1));
        }
        self.segments.push(segment);
        Ok(())
    }

    fn frame(&mut self, segment: &Segment, frame: Frame, bad: &[usize]) -> Result<()> {
        let sequence = frame.header.sequence;
        self.reach(sequence);
        self.due = self.due.max(Some(sequence.saturating_add(1)));
        self.last_crc = frame.header.crc;
        if self.acknowledged.is_some_and(|record| record.is_of_another_history(&frame.header)) {
            // Nobody knows since when it is another one, nor what was in the first.
            self.lost(sequence, sequence);
            self.loss = true;
        }
        if !bad.is_empty() {
            self.lost(sequence, sequence);
        }
        match frame.header.kind {
            FrameKind::Batch => self.batch(segment, frame, bad)?,
            FrameKind::Forget if bad.is_empty() => {
                let place = Place { segment: 0, frame };
                place.forgotten(segment)?.into_iter().for_each(|instance| self.forget(instance));
            }
            FrameKind::Forget => self.loss = true,
            // What an earlier hole records was lost before; the checkpoints say so already.
            FrameKind::Hole | FrameKind::Mark | FrameKind::Seal | FrameKind::Unknown(_) => {}
        }
        Ok(())
    }

    /// Keeps the events of a frame's good sections, and nothing else of it.
    fn events_of(&mut self, frame: &Frame, bad: &[usize]) {
        let mut run = Vec::new();
        for (place, section) in frame.sections.iter().enumerate() {
            match section.entry.kind == SectionKind::Events && !bad.contains(&place) {
                true => run.push(*section),
                // Sections are read in one go where they are neighbours.
                false => self.keep_events(frame.header, std::mem::take(&mut run)),
            }
        }
        self.keep_events(frame.header, run);
    }

    /// Takes the events of a file that a snapshot replaced: what that lost may still be there.
    fn leftover(&mut self, storage: &dyn Storage, name: &str, store: Uid) -> Result<()> {
        let path = path_of(storage, name);
        let open = || storage.open(name, false).map_err(Error::io("open", &path));
        let Name::Segment(number) = parse_name(name) else {
            let snapshot = match Snapshot::bare(path.clone(), open()?) {
                Err(Error::Corruption(_)) => Snapshot::headless(path.clone(), open()?)?,
                Ok(snapshot) if snapshot.header.store != store => return Ok(()),
                snapshot => snapshot?,
            };
            return self.events_of_blocks(snapshot);
        };
        let segment = match Segment::open(path.clone(), open()?) {
            Err(Error::Corruption(_)) => Segment::headless(path.clone(), number, Some(store), open()?)?,
            segment => Some(segment?),
        };
        let Some(segment) = segment.filter(|segment| segment.header.store == store) else { return Ok(()) };
        let (mut contents, link) =
            (Contents::default(), Link { sequence: segment.header.first_sequence, previous: None });
        segment.scan(link, |found| {
            if let Found::Frame(frame) | Found::Stray(frame) = found {
                let bad: Vec<usize> = contents.check(&segment, frame)?.into_iter().map(|(place, _)| place).collect();
                self.events_of(frame, &bad);
            }
            Ok(())
        })?;
        self.segments.push(segment);
        Ok(())
    }

    fn batch(&mut self, segment: &Segment, frame: Frame, bad: &[usize]) -> Result<()> {
        self.copies += frame.count(SectionKind::Repeats);
        self.events_of(&frame, bad);
        if bad.contains(&0) {
            self.loss = true;
            return Ok(());
        }
        let place = Place { segment: 0, frame };
        let checkpoint = place.checkpoint(segment)?;
        let (events, rejects) = (place.frame.accepted(), place.frame.count(SectionKind::Rejects));
        let is_touched = self.touched.contains_key(&checkpoint.instance);
        let behind_a_hole = self.loss && checkpoint.start > self.end_of(&checkpoint.instance);
        if !bad.is_empty() {
            self.touch(&checkpoint, checkpoint.end);
        } else if behind_a_hole && !is_touched {
            self.touch(&checkpoint, checkpoint.start);
        }
        if self.touched.contains_key(&checkpoint.instance) {
            self.rejects_dropped += rejects;
            return Ok(());
        }
        self.add(Input { checkpoint: checkpoint.clone(), events, rejects });
        for section in place.frame.sections.iter().filter(|section| section.entry.kind == SectionKind::Rejects) {
            self.rejects.push(KeptRejects {
                instance: checkpoint.instance,
                count: section.entry.count,
                segment: self.segments.len(),
                section: *section,
                checkpoint: Some(checkpoint.clone()),
            });
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: Snapshot, sound: bool) -> Result<()> {
        let header = snapshot.header;
        if sound && self.due.is_some_and(|due| header.first_sequence < due) {
            // Of frames that were there before, under another name: to count their inputs again would be wrong. Whose the
            // others are that it has, nobody asks it.
            self.loss |= self.due.is_some_and(|due| header.next_sequence > due);
            return self.events_of_blocks(snapshot);
        }
        let found = Blocks::of(&snapshot)?;
        let complete = |kind: BlockKind| {
            let region = header.region(kind);
            match sound {
                true => found.bytes.get(kind.place()) == Some(&(region.end - region.start)),
                false => found.whole,
            }
        };
        let counted: u64 = found.events.iter().map(|(count, _)| u64::from(*count)).sum();
        let expected = if sound { Some(header.events) } else { found.expected };
        let has_all_events = expected == Some(counted);
        let has_all_inputs = [BlockKind::Inputs, BlockKind::Forgotten, BlockKind::Rejects].into_iter().all(complete);
        if sound {
            self.copies += header.copies;
            self.reach(header.first_sequence);
        }
        let lost_before = self.loss;
        if has_all_events {
            // A sound header says where the chain goes on; the files behind show whether it does.
            self.due = sound.then_some(header.next_sequence);
        } else {
            self.loss = true;
            if sound {
                self.lost(header.first_sequence, header.next_sequence.saturating_sub(1).max(header.first_sequence));
                self.due = Some(header.next_sequence);
            }
        }
        found.forgotten.iter().for_each(|instance| self.forget(*instance));
        let mut kept = BTreeSet::new();
        for input in found.inputs {
            let instance = input.checkpoint.instance;
            let has_rejects = found.rejected.get(&instance).copied().unwrap_or(0) == input.rejects;
            // Where frames are lost before this snapshot, nobody knows whether the input goes on without a gap.
            if has_all_events && !lost_before && has_rejects && !self.touched.contains_key(&instance) {
                kept.insert(instance);
                self.add(input);
            } else {
                self.touch(&input.checkpoint, input.checkpoint.end);
            }
        }
        self.loss |= !has_all_inputs;
        for (instance, count, section) in found.rejects {
            match kept.contains(&instance) {
                true => self.rejects.push(KeptRejects {
                    instance,
                    count,
                    segment: self.segments.len(),
                    section,
                    checkpoint: None,
                }),
                false => self.rejects_dropped += u64::from(count),
            }
        }
        self.keep_blocks(snapshot, found.events)
    }

    /// Takes the events of whatever blocks are intact.
    fn events_of_blocks(&mut self, snapshot: Snapshot) -> Result<()> {
        let found = Blocks::of(&snapshot)?;
        self.keep_blocks(snapshot, found.events)
    }

    fn keep_blocks(&mut self, snapshot: Snapshot, events: Vec<(u32, Section)>) -> Result<()> {
        let header = snapshot.header;
        let segment = SegmentHeader { store: header.store, number: 0, salt: header.salt, first_sequence: 0 };
        for (_, section) in events {
            self.keep_events(as_frame(&segment, &section), vec![section]);
        }
        let (path, file) = snapshot.into_file();
        self.segments.push(Segment::bare(path, segment, file)?);
        Ok(())
    }

    /// Nothing comes behind: what is known to have been durable, and was not found, is lost.
    fn end(&mut self) {
        if let Some(due) = self.due.filter(|due| self.lost_end || *due <= self.durable_upto) {
            self.lost(due, due.max(self.durable_upto));
            self.loss = true;
        }
    }

    /// Writes all regions of the new snapshot; gives the number of dropped copies, or nothing once `stop` is set.
    fn write(
        &self,
        writer: &mut SnapshotWriter<'_>,
        store: Uid,
        first: bool,
        options: &RepairOptions,
        stop: &AtomicBool,
        progress: &(dyn Fn(f64) + Sync),
    ) -> Result<Option<u64>> {
        let inputs = Inputs { store, snapshots: &[], segments: &self.segments, frames: &self.places };
        let RepairOptions { threads, memory, temp, .. } = options.clone();
        let compaction = CompactOptions { threads, memory, temp, all: true };
        let Some((lines, copies)) = inputs.fold(writer, &compaction, stop, progress)? else { return Ok(None) };
        writer.index(&lines)?;
        // Before the first segment there is nothing to be forgotten.
        writer.inputs(self.inputs.values(), if first { &[] } else { &self.forgotten })?;
        let counts = |place: usize, instance: &Uid| self.since.get(instance).is_some_and(|since| *since <= place);
        for (place, rejects) in self.rejects.iter().enumerate() {
            if !counts(place, &rejects.instance) {
                continue;
            }
            let Some(segment) = self.segments.get(rejects.segment) else { continue };
            let mut payload = Vec::new();
            if let Some(checkpoint) = &rejects.checkpoint {
                put_checkpoint(&mut payload, checkpoint);
            }
            payload.extend_from_slice(&segment.section(&rejects.section)?);
            writer.rejects(rejects.count, &payload)?;
        }
        Ok(Some(copies + self.copies))
    }
}

/// The header of a frame that a block is taken for; nothing of it counts but the section behind it.
fn as_frame(segment: &SegmentHeader, section: &Section) -> FrameHeader {
    FrameHeader {
        kind: FrameKind::Batch,
        entries: 1,
        store: segment.store,
        segment: segment.number,
        salt: segment.salt,
        offset: section.at,
        sequence: 0,
        durable_upto: 0,
        payload: section.entry.length,
        previous: 0,
        directory_crc: 0,
        crc: 0,
    }
}

/// What the intact blocks of a snapshot hold.
#[derive(Default)]
struct Blocks {
    /// Nothing but blocks was found.
    whole: bool,
    /// Bytes of the intact blocks, by kind.
    bytes: [u64; REGIONS],
    events: Vec<(u32, Section)>,
    /// Events that there should be, as the table of shards says.
    expected: Option<u64>,
    /// Where the events end.
    events_end: Option<u64>,
    inputs: Vec<Input>,
    forgotten: Vec<Uid>,
    rejects: Vec<(Uid, u32, Section)>,
    rejected: BTreeMap<Uid, u64>,
}

impl Blocks {
    /// What is intact, wherever it stands.
    fn of(snapshot: &Snapshot) -> Result<Blocks> {
        let mut found = Blocks { whole: true, ..Blocks::default() };
        let (mut decoder, mut table) = (EventsDecoder::default(), Table::default());
        snapshot.scan(|stretch| {
            match stretch {
                Stretch::Block(header, bytes, Ok(())) => {
                    found.take(header.offset, header, bytes, &mut decoder, &mut table);
                }
                Stretch::Stray(at, header, bytes) => found.take(at, header, bytes, &mut decoder, &mut table),
                Stretch::Block(_, _, Err(_)) | Stretch::Gap(..) => found.whole = false,
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Takes a block that stands at `at` and whose CRCs are right; what is wrong with it all the same makes it one that is lost.
    fn take(&mut self, at: u64, header: &BlockHeader, bytes: &[u8], decoder: &mut EventsDecoder, table: &mut Table) {
        let entry = Entry {
            kind: SectionKind::Events,
            shard: header.shard,
            count: header.count,
            length: header.length,
            crc: header.payload_crc,
        };
        let section = Section { entry, at: at + BLOCK_HEADER as u64 };
        if header.kind != BlockKind::Events {
            self.events_end = self.events_end.or(Some(header.offset));
        }
        let decoded = match header.kind {
            BlockKind::Events => decode_events(decoder, header.packed_events(bytes), table)
                .map(|()| self.events.push((header.count, section))),
            // Made anew from the events.
            BlockKind::Index | BlockKind::Fences => Ok(()),
            BlockKind::Shards => {
                let region = SNAPSHOT_HEADER as u64..self.events_end.unwrap_or(SNAPSHOT_HEADER as u64);
                // Missing events make it one that does not fit, and then they are known to be missing.
                let shards = decode_shards(bytes, header.count, &region).ok();
                self.expected = shards.map(|shards| shards.iter().map(|shard| shard.events).sum());
                Ok(())
            }
            BlockKind::Inputs => decode_inputs(bytes, header.count).map(|inputs| self.inputs.extend(inputs)),
            BlockKind::Forgotten => {
                self.forgotten.extend_from_slice(bytes.as_chunks::<16>().0);
                Ok(())
            }
            BlockKind::Rejects => split_rejects(bytes).and_then(|(checkpoint, rest)| {
                decode_rejects(rest, header.count, &checkpoint)?;
                *self.rejected.entry(checkpoint.instance).or_default() += u64::from(header.count);
                self.rejects.push((checkpoint.instance, header.count, section));
                Ok(())
            }),
        };
        match (decoded, self.bytes.get_mut(header.kind.place())) {
            (Ok(()), Some(sum)) => *sum += header.whole(),
            _ => self.whole = false,
        }
    }
}
