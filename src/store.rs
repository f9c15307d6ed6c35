//! The directory of a store: which files count, what the log in them says, and recovery.
//!
//! The listing is the manifest: there is no second file that could disagree with it. [`View::open`] reads and never
//! changes anything; [`crate::recover`] is the only place that cuts or rewrites.

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::batch::Checkpoint;
pub use crate::format::block::InputEntry as Input;
use crate::format::coding::Malformed;
use crate::format::frame::{FrameKind, SEGMENT_HEADER, SectionKind};
use crate::format::hole::Hole;
use crate::segment::{Frame, Link, Segment};
use crate::snapshot::Snapshot;
use crate::storage::{Storage, TEMPORARY, path_of};

const SEGMENT: &str = ".wal";
const SNAPSHOT: &str = ".snap";
const DIGITS: usize = 10;

/// Between the name of a file and the number of the copy that a repair keeps of it.
pub(crate) const COPY: &str = ".repair-";

/// The name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("{number:0DIGITS$}{SEGMENT}")
}

/// The name of the snapshot that covers these segments.
pub fn snapshot_name(covers: &RangeInclusive<u64>) -> String {
    format!("{:0DIGITS$}-{:0DIGITS$}{SNAPSHOT}", covers.start(), covers.end())
}

/// What a file of the directory is by its name.
pub(crate) enum Name {
    Segment(u64),
    Snapshot(RangeInclusive<u64>),
    Temporary,
    Foreign,
}

pub(crate) fn parse_name(name: &str) -> Name {
    let number = |text: &str| match text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok().filter(|&number| number > 0),
        false => None,
    };
    if let Some(final_name) = name.strip_suffix(TEMPORARY) {
        // What a publish of ours may have left, and nothing else: who knows whose it is.
        let copied = final_name.split_once(COPY).map_or(final_name, |(copied, _)| copied);
        return match parse_name(copied) {
            Name::Segment(_) | Name::Snapshot(_) => Name::Temporary,
            Name::Temporary | Name::Foreign => Name::Foreign,
        };
    }
    if let Some(number) = name.strip_suffix(SEGMENT).and_then(number) {
        return Name::Segment(number);
    }
    let interval = name.strip_suffix(SNAPSHOT).and_then(|interval| interval.split_once('-'));
    match interval.map(|(from, to)| (number(from), number(to))) {
        Some((Some(from), Some(to))) if from <= to => Name::Snapshot(from..=to),
        _ => Name::Foreign,
    }
}

/// What the directory's names say: which files count, and which are left over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The segments that each snapshot covers, in order and without a gap, from 1.
    pub(crate) snapshots: Vec<RangeInclusive<u64>>,
    /// The segments behind them, without a gap.
    pub(crate) segments: RangeInclusive<u64>,
    /// Files that a snapshot among `snapshots` replaces: a crash came between publishing it and deleting them.
    pub(crate) replaced: Vec<String>,
    /// What an interrupted publish left.
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    /// Reads the directory. The intervals of the files that count tile the segments from 1 to the last.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Listing> {
        let directory = storage.path().display().to_string();
        let names = storage.list().map_err(Error::io("list", &directory))?;
        let mut listing = Listing {
            snapshots: Vec::new(),
            segments: RangeInclusive::new(1, 0),
            replaced: Vec::new(),
            temporary: Vec::new(),
        };
        let (mut snapshots, mut segments) = (Vec::new(), Vec::new());
        for name in names {
            match parse_name(&name) {
                Name::Segment(number) => segments.push(number),
                Name::Snapshot(covers) => snapshots.push(covers),
                Name::Temporary => listing.temporary.push(name),
                Name::Foreign => {}
            }
        }
        if snapshots.is_empty() && segments.is_empty() {
            return Err(Error::NoStore { store: directory, problem: "no store there: it holds no segment".into() });
        }
        let missing = |number, found: String| {
            let (file, expected) = (path_of(storage, &segment_name(number)), "a segment of this number".into());
            Err(Corruption { file, offset: 0, expected, found: format!("{found} next") }.into())
        };
        // The widest of those that begin at one segment comes first.
        snapshots.sort_unstable_by_key(|covers| (*covers.start(), std::cmp::Reverse(*covers.end())));
        let mut next = 1;
        for covers in snapshots {
            if *covers.end() < next {
                listing.replaced.push(snapshot_name(&covers));
            } else if *covers.start() == next {
                next = covers.end() + 1;
                listing.snapshots.push(covers);
            } else if *covers.start() > next {
                return missing(next, snapshot_name(&covers));
            } else {
                let file = path_of(storage, &snapshot_name(&covers));
                let expected = format!("a snapshot that begins with segment {next}");
                return Err(Corruption { file, offset: 0, expected, found: "one that overlaps another".into() }.into());
            }
        }
        segments.sort_unstable();
        let first = next;
        for number in segments {
            match number {
                number if number < first => listing.replaced.push(segment_name(number)),
                number if number == next => next += 1,
                number => return missing(next, segment_name(number)),
            }
        }
        if next == first {
            return missing(next, "nothing".into());
        }
        listing.segments = first..=next - 1;
        Ok(listing)
    }
}

/// Refuses a directory without a store, for those who change one and make none: the lock makes a file, and a writer a
/// store. What is damaged is a store.
pub fn refuse_no_store(storage: &dyn Storage) -> Result<()> {
    match Listing::read(storage) {
        Err(Error::Corruption(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// The end of a log that was never acknowledged and does not count.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Index of its segment.
    pub(crate) segment: usize,
    /// What is wrong with the first frame that does not count, and where.
    pub what: Corruption,
    /// Bytes from there to the end of the file.
    pub bytes: u64,
}

/// Where a frame is.
pub struct Place {
    /// Index of its segment in [`View::segments`].
    pub segment: usize,
    /// The frame.
    pub frame: Frame,
}

/// One consistent prefix of the log: the files are open, every header and directory was checked.
pub struct View {
    /// The snapshots, in order: what they cover comes before the segments.
    pub snapshots: Vec<Snapshot>,
    /// The segments behind the snapshots, in order.
    pub segments: Vec<Segment>,
    /// The frames that count, in order.
    pub frames: Vec<Place>,
    /// The end that doesn't.
    pub torn: Option<Torn>,
    /// What the next frame chains to.
    pub link: Link,
    /// The last frame that is proven durable.
    pub durable_upto: u64,
    /// The inputs that were not forgotten, by instance.
    pub inputs: BTreeMap<Uid, Input>,
    /// The last segment is an empty one, published to follow one whose seal is missing.
    pub(crate) unsealed: bool,
}

/// How much is checked beyond headers and directories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The sections of frames that nothing proves durable: they decide where the log ends.
    Unproven,
    /// Those of the whole segment that will be appended to.
    LastSegment,
}

impl View {
    /// Looks at a store and changes nothing. Needs no lock: a writer only appends, and what looks like damage because it
    /// was writing just then does not look the same twice.
    pub fn open(storage: &dyn Storage) -> Result<View> {
        let mut before = None;
        for _ in 0..RETRIES {
            let look = |listing| View::look(storage, &listing, false, Depth::Unproven);
            match Listing::read(storage).and_then(look) {
                Err(Error::Corruption(found)) if before.as_ref() != Some(&found) => before = Some(found),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                answer => return answer,
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// One look at the files that a listing names.
    pub(crate) fn look(storage: &dyn Storage, listing: &Listing, writable: bool, depth: Depth) -> Result<View> {
        let (snapshots, segments) = open_files(storage, listing, writable)?;
        View::walk(snapshots, segments, depth)
    }

    /// The store's id.
    pub fn store(&self) -> Uid {
        self.segments.first().map(|segment| segment.header.store).unwrap_or_default()
    }

    /// Bytes of the store's files.
    pub fn bytes(&self) -> u64 {
        let snapshots: u64 = self.snapshots.iter().map(Snapshot::length).sum();
        snapshots + self.segments.iter().map(|segment| segment.length).sum::<u64>()
    }

    /// Bytes read of its files so far.
    pub fn bytes_read(&self) -> u64 {
        let snapshots: u64 = self.snapshots.iter().map(Snapshot::bytes_read).sum();
        snapshots + self.segments.iter().map(Segment::bytes_read).sum::<u64>()
    }

    /// Walks the whole log, frame by frame.
    fn walk(snapshots: Vec<Snapshot>, segments: Vec<Segment>, depth: Depth) -> Result<View> {
        let last = segments.len() - 1;
        // Frames go to a segment only after its predecessor's seal was fsynced. So while a segment has none, its
        // predecessor may still be the one whose end was torn.
        let interrupted_roll = last > 0 && segments[last].length == SEGMENT_HEADER as u64;
        let link = match snapshots.last().map(|snapshot| &snapshot.header) {
            Some(header) => Link { sequence: header.next_sequence, previous: Some(header.next_previous) },
            None => Link { sequence: 1, previous: segments.first().map(|first| first.header.chain()) },
        };
        let mut view = View {
            link,
            snapshots,
            segments,
            frames: Vec::new(),
            torn: None,
            // Only what is sealed, and so durable, gets into a snapshot.
            durable_upto: link.sequence - 1,
            inputs: BTreeMap::new(),
            unsealed: false,
        };
        for index in 0..=last {
            let sealed = view.walk_segment(index)?;
            match sealed {
                true if index == last => return Err(view.missing_successor(index).into()),
                true => {}
                false if index == last => {}
                false if index + 1 == last && interrupted_roll => {
                    view.unsealed = true;
                    break;
                }
                false => {
                    let segment = &view.segments[index];
                    let corruption = match &view.torn {
                        Some(torn) => torn.what.clone(),
                        None => segment.corrupt(segment.length, "a seal, since another segment follows", "the end"),
                    };
                    return Err(corruption.into());
                }
            }
        }
        view.check_sections(depth)?;
        view.refuse_damage()?;
        view.check_successor()?;
        (view.inputs, _) = inputs_of(&view.snapshots, &view.segments, &view.frames)?;
        Ok(view)
    }

    /// Walks one segment; says whether it ends with a seal. Where it ends with anything but a frame, `torn` says so.
    fn walk_segment(&mut self, index: usize) -> Result<bool> {
        let segment = &self.segments[index];
        let expected = self.link.sequence;
        if segment.header.first_sequence != expected {
            let found = format!("{}", segment.header.first_sequence);
            return Err(segment.corrupt(0, format!("a segment that begins with frame {expected}"), found).into());
        }
        let mut offset = SEGMENT_HEADER as u64;
        while offset < segment.length {
            match segment.frame(offset, self.link)? {
                Ok(frame) => {
                    offset = frame.end();
                    self.link = Link::after(&frame.header);
                    self.durable_upto = self.durable_upto.max(frame.header.durable_upto);
                    let seal = frame.header.kind == FrameKind::Seal;
                    self.frames.push(Place { segment: index, frame });
                    if seal {
                        if offset < segment.length {
                            let found = format!("{} more bytes", segment.length - offset);
                            return Err(segment.corrupt(offset, "the end of the file behind the seal", found).into());
                        }
                        return Ok(true);
                    }
                }
                Err(what) => {
                    self.torn = Some(Torn { segment: index, what, bytes: segment.length - offset });
                    return Ok(false);
                }
            }
        }
        Ok(false)
    }

    fn missing_successor(&self, index: usize) -> Corruption {
        let segment = &self.segments[index];
        let next = segment_name(segment.header.number + 1);
        segment.corrupt(segment.length, format!("{next} behind the seal of this segment"), "no such file")
    }

    /// The index of the segment that is appended to, or was last.
    fn active(&self) -> usize {
        self.segments.len() - 1 - usize::from(self.unsealed)
    }

    /// Checks the sections of the frames at the end of the log. The first one that is not intact ends it, as a torn
    /// header would.
    fn check_sections(&mut self, depth: Depth) -> Result<()> {
        let active = self.active();
        let durable_upto = self.durable_upto;
        let first = self.frames.partition_point(|place| match depth {
            Depth::Unproven => place.frame.header.sequence <= durable_upto,
            Depth::LastSegment => place.segment < active && place.frame.header.sequence <= durable_upto,
        });
        let mut buffer = Vec::new();
        for index in first..self.frames.len() {
            let Place { segment, frame } = &self.frames[index];
            let (segment, header) = (*segment, frame.header);
            if let Err(what) = self.segments[segment].check_frame(frame, &mut buffer)? {
                if segment != active {
                    // A segment that was sealed: its successor got frames only after it was fsynced.
                    return Err(what.into());
                }
                let bytes = self.segments[segment].length - header.offset;
                self.torn = Some(Torn { segment, what, bytes });
                self.link = Link { sequence: header.sequence, previous: Some(header.previous) };
                self.frames.truncate(index);
                break;
            }
        }
        Ok(())
    }

    /// Tells torn from corrupt. A bad frame is corruption if an intact later header proves that it was durable: nothing
    /// less does, since writes that were not fsynced reach the disk in any order, and nothing more is needed, since
    /// nothing is acknowledged before such a header is fsynced.
    fn refuse_damage(&self) -> Result<()> {
        let Some(torn) = &self.torn else { return Ok(()) };
        let segment = &self.segments[torn.segment];
        let lost = self.link.sequence;
        let offset = segment.length - torn.bytes;
        if self.durable_upto >= lost {
            return Err(torn.what.clone().into());
        }
        match segment.proof_of(lost, offset)? {
            Some(_) => Err(torn.what.clone().into()),
            None => Ok(()),
        }
    }

    /// A successor is published once every frame before the seal is durable, and names the frame behind the seal.
    fn check_successor(&self) -> Result<()> {
        let (segment, Some(successor)) = (&self.segments[self.active()], self.segments.get(self.active() + 1)) else {
            return Ok(());
        };
        let seal = successor.header.first_sequence.saturating_sub(1);
        if self.link.sequence == seal {
            return Ok(());
        }
        let corruption = match &self.torn {
            Some(torn) => torn.what.clone(),
            None => {
                let found = format!("the end of the file before frame {}", self.link.sequence);
                segment.corrupt(segment.length, format!("frames up to {}", seal.saturating_sub(1)), found)
            }
        };
        Err(corruption.into())
    }

    /// How many of the segments are sealed, durably.
    pub fn sealed(&self) -> usize {
        self.active()
    }
}

/// What snapshots and the frames behind them say of the inputs: those that were not forgotten, and those that were.
pub(crate) fn inputs_of(
    snapshots: &[Snapshot],
    segments: &[Segment],
    frames: &[Place],
) -> Result<(BTreeMap<Uid, Input>, Vec<Uid>)> {
    let mut inputs: BTreeMap<Uid, Input> = BTreeMap::new();
    let mut forgotten = Vec::new();
    for snapshot in snapshots {
        snapshot.forgotten.iter().for_each(|instance| drop(inputs.remove(instance)));
        forgotten.extend_from_slice(&snapshot.forgotten);
        snapshot.inputs.iter().for_each(|input| add_input(&mut inputs, input.clone()));
    }
    for place in frames {
        let segment = &segments[place.segment];
        match place.frame.header.kind {
            FrameKind::Batch => {
                let checkpoint = place.checkpoint(segment)?;
                let (events, rejects) = (place.frame.accepted(), place.frame.count(SectionKind::Rejects));
                add_input(&mut inputs, Input { checkpoint, events, rejects });
            }
            FrameKind::Forget => {
                for instance in place.forgotten(segment)? {
                    inputs.remove(&instance);
                    forgotten.push(instance);
                }
            }
            // A repair took the checkpoints back itself.
            FrameKind::Hole | FrameKind::Mark | FrameKind::Seal => {}
        }
    }
    Ok((inputs, forgotten))
}

/// Adds what comes later of an input to what is known of it.
pub(crate) fn add_input(inputs: &mut BTreeMap<Uid, Input>, newer: Input) {
    match inputs.get_mut(&newer.checkpoint.instance) {
        Some(input) => {
            input.checkpoint = newer.checkpoint;
            input.events += newer.events;
            input.rejects += newer.rejects;
        }
        None => drop(inputs.insert(newer.checkpoint.instance, newer)),
    }
}

/// Copies of events that are only counted: those that compactions dropped, and lines that repeat earlier ones.
pub(crate) fn copies_of(snapshots: &[Snapshot], frames: &[Place]) -> u64 {
    let dropped: u64 = snapshots.iter().map(|snapshot| snapshot.header.copies).sum();
    dropped + frames.iter().map(|place| place.frame.count(SectionKind::Repeats)).sum::<u64>()
}

/// How often a look is repeated that found something wrong, unless it finds the same again.
pub(crate) const RETRIES: usize = 100;

impl Place {
    /// The checkpoint of a batch.
    pub fn checkpoint(&self, segment: &Segment) -> Result<Checkpoint> {
        let section = self.frame.sections.first().filter(|section| section.entry.kind == SectionKind::Checkpoint);
        let Some(section) = section else {
            let at = self.frame.header.offset;
            return Err(segment.corrupt(at, "a batch that begins with a checkpoint", "none").into());
        };
        let bytes = segment.section(section)?;
        Checkpoint::decode(&bytes).map_err(|malformed| misencoded(segment, section.at, malformed))
    }

    /// The instances that a forget frame names.
    pub fn forgotten(&self, segment: &Segment) -> Result<Vec<Uid>> {
        let mut instances = Vec::new();
        for section in &self.frame.sections {
            let bytes = segment.section(section)?;
            let (whole, rest) = bytes.as_chunks::<16>();
            if section.entry.kind != SectionKind::Forgotten || !rest.is_empty() {
                return Err(segment.corrupt(section.at, "instances of 16 bytes", "something else").into());
            }
            instances.extend_from_slice(whole);
        }
        Ok(instances)
    }

    /// What a hole frame says to be lost.
    pub fn hole(&self, segment: &Segment) -> Result<Hole> {
        let Some(section) = self.frame.sections.first().filter(|section| section.entry.kind == SectionKind::Hole)
        else {
            return Err(segment.corrupt(self.frame.header.offset, "a section that tells of a hole", "none").into());
        };
        let bytes = segment.section(section)?;
        Hole::decode(&bytes).map_err(|malformed| misencoded(segment, section.at, malformed))
    }
}

/// Bytes whose CRC is right and that still are not what the format says.
pub fn misencoded(segment: &Segment, at: u64, malformed: Malformed) -> Error {
    segment.corrupt(at + malformed.at as u64, malformed.expected, "something else").into()
}

/// Opens the files of a listing, each of which has to be what its name says.
fn open_files(storage: &dyn Storage, listing: &Listing, writable: bool) -> Result<(Vec<Snapshot>, Vec<Segment>)> {
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for covers in &listing.snapshots {
        let name = snapshot_name(covers);
        let path = path_of(storage, &name);
        let file = storage.open(&name, false).map_err(Error::io("open", &path))?;
        let snapshot = Snapshot::open(path, file)?;
        let header = &snapshot.header;
        if (header.first, header.last) != (*covers.start(), *covers.end()) {
            let found = format!("one of segments {} to {}", header.first, header.last);
            return Err(snapshot.corrupt(0, "a snapshot of the segments in its name", found).into());
        }
        let store = snapshots.first().map_or(header.store, |first| first.header.store);
        let (sequence, previous) = match snapshots.last().map(|before| &before.header) {
            Some(before) => (before.next_sequence, before.next_previous),
            None => (1, header.first_previous),
        };
        if (header.store, header.first_sequence, header.first_previous) != (store, sequence, previous) {
            let (expected, found) =
                (format!("a snapshot that begins with frame {sequence} of the store"), "another one");
            return Err(snapshot.corrupt(0, expected, found).into());
        }
        snapshots.push(snapshot);
    }
    let mut store = snapshots.first().map(|first| (first.header.store, first.path.clone()));
    let mut segments: Vec<Segment> = Vec::new();
    for number in listing.segments.clone() {
        let name = segment_name(number);
        let path = path_of(storage, &name);
        // Of the others, not a byte is ever written again: they may be somebody else's as well, by hard links. The last one may
        // want a new end, the one before it its seal.
        let writable = writable && number.saturating_add(1) >= *listing.segments.end();
        let file = storage.open(&name, writable).map_err(Error::io("open", &path))?;
        let segment = Segment::open(path, file)?;
        if segment.header.number != number {
            let found = format!("that of segment {}", segment.header.number);
            return Err(segment.corrupt(0, "the header of the segment in its name", found).into());
        }
        let (id, first) = store.get_or_insert_with(|| (segment.header.store, segment.path.clone()));
        if *id != segment.header.store {
            return Err(segment
                .corrupt(0, format!("a segment of the same store as {first}"), "one of another store")
                .into());
        }
        segments.push(segment);
    }
    Ok((snapshots, segments))
}
