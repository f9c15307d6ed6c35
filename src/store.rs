//! The directory of a store: which files count, what the log in them says, and recovery.
//!
//! The listing is the manifest: there is no second file that could disagree with it. [`View::open`] reads and never
//! changes anything; [`recover`] is the only place that cuts or rewrites.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::batch::Checkpoint;
use crate::format::coding::Malformed;
use crate::format::frame::{FrameKind, SEGMENT_HEADER, SectionKind, SegmentHeader};
use crate::segment::{Frame, Link, Segment};
use crate::storage::{LOCK, Storage, TEMPORARY, path_of, publish};

const SEGMENT: &str = ".wal";
const SNAPSHOT: &str = ".snap";
const DIGITS: usize = 10;

/// The name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("{number:0DIGITS$}{SEGMENT}")
}

/// What a file of the directory is by its name.
enum Name {
    Segment(u64),
    Snapshot,
    Temporary,
    Foreign,
}

fn parse_name(name: &str) -> Name {
    let number = |text: &str| match text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok().filter(|&number| number > 0),
        false => None,
    };
    if name.ends_with(TEMPORARY) {
        return Name::Temporary;
    }
    if let Some(number) = name.strip_suffix(SEGMENT).and_then(number) {
        return Name::Segment(number);
    }
    let interval = name.strip_suffix(SNAPSHOT).and_then(|interval| interval.split_once('-'));
    match interval {
        Some((from, to)) if number(from).is_some() && number(to).is_some() => Name::Snapshot,
        _ => Name::Foreign,
    }
}

/// The end of a log that was never acknowledged and does not count.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Index of its segment.
    segment: usize,
    /// What is wrong with the first frame that does not count, and where.
    pub what: Corruption,
    /// Bytes from there to the end of the file.
    pub bytes: u64,
}

/// What is known of an input.
#[derive(Clone, Debug)]
pub struct Input {
    /// Its last checkpoint.
    pub checkpoint: Checkpoint,
    /// Events of it in the log, copies included.
    pub events: u64,
    /// Rejected lines of it.
    pub rejects: u64,
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
    /// The segments, in order.
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
    unsealed: bool,
}

/// How much is checked beyond headers and directories.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
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
            match open_segments(storage, false).and_then(|segments| View::walk(segments, Depth::Unproven)) {
                Err(Error::Corruption(found)) if before.as_ref() != Some(&found) => before = Some(found),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                answer => return answer,
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// The store's id.
    pub fn store(&self) -> Uid {
        self.segments.first().map(|segment| segment.header.store).unwrap_or_default()
    }

    /// Bytes of the store's files.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.length).sum()
    }

    /// Walks the whole log, frame by frame.
    fn walk(segments: Vec<Segment>, depth: Depth) -> Result<View> {
        let last = segments.len() - 1;
        // Frames go to a segment only after its predecessor's seal was fsynced. So while a segment has none, its
        // predecessor may still be the one whose end was torn.
        let interrupted_roll = last > 0 && segments[last].length == SEGMENT_HEADER as u64;
        let mut view = View {
            link: Link { sequence: 1, previous: segments.first().map(|first| first.header.chain()) },
            segments,
            frames: Vec::new(),
            torn: None,
            durable_upto: 0,
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
        view.read_inputs()?;
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
        match segment.search(offset, |header| header.durable_upto >= lost)? {
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

    fn read_inputs(&mut self) -> Result<()> {
        let mut inputs = BTreeMap::new();
        for place in &self.frames {
            let segment = &self.segments[place.segment];
            match place.frame.header.kind {
                FrameKind::Batch => {
                    let checkpoint = place.checkpoint(segment)?;
                    let count = |kind| {
                        let sections = place.frame.sections.iter().filter(move |section| section.entry.kind == kind);
                        sections.map(|section| u64::from(section.entry.count)).sum::<u64>()
                    };
                    let instance = checkpoint.instance;
                    let empty = Input { checkpoint: checkpoint.clone(), events: 0, rejects: 0 };
                    let input = inputs.entry(instance).or_insert(empty);
                    input.checkpoint = checkpoint;
                    input.events += count(SectionKind::Events);
                    input.rejects += count(SectionKind::Rejects);
                }
                FrameKind::Forget => {
                    for instance in place.forgotten(segment)? {
                        inputs.remove(&instance);
                    }
                }
                FrameKind::Mark | FrameKind::Seal => {}
            }
        }
        self.inputs = inputs;
        Ok(())
    }
}

/// How often a look is repeated that found something wrong, unless it finds the same again.
const RETRIES: usize = 100;

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
}

/// Bytes whose CRC is right and that still are not what the format says.
pub fn misencoded(segment: &Segment, at: u64, malformed: Malformed) -> Error {
    segment.corrupt(at + malformed.at as u64, malformed.expected, "something else").into()
}

/// Opens the segments that the listing names: 1 to the last, without a gap.
fn open_segments(storage: &dyn Storage, writable: bool) -> Result<Vec<Segment>> {
    let directory = storage.path().display().to_string();
    let names = storage.list().map_err(Error::io("list", &directory))?;
    let mut numbers = Vec::new();
    for name in &names {
        match parse_name(name) {
            Name::Segment(number) => numbers.push(number),
            Name::Snapshot => {
                return Err(Error::Version { file: path_of(storage, name), found: "a snapshot".into() });
            }
            Name::Temporary | Name::Foreign => {}
        }
    }
    numbers.sort_unstable();
    if numbers.is_empty() {
        return Err(Error::NoStore { store: directory, problem: "no store there: it holds no segment".into() });
    }
    let mut segments: Vec<Segment> = Vec::new();
    for (expected, number) in (1u64..).zip(numbers) {
        let path = |number| path_of(storage, &segment_name(number));
        if number != expected {
            let (expected, found) = ("a segment of this number".into(), format!("{} next", segment_name(number)));
            return Err(Corruption { file: path(number - 1), offset: 0, expected, found }.into());
        }
        let file = storage.open(&segment_name(number), writable).map_err(Error::io("open", path(number)))?;
        let segment = Segment::open(path(number), file)?;
        if segment.header.number != number {
            let found = format!("that of segment {}", segment.header.number);
            return Err(segment.corrupt(0, "the header of the segment in its name", found).into());
        }
        if let Some(first) = segments.first().filter(|first| first.header.store != segment.header.store) {
            let expected = format!("a segment of the same store as {}", first.path);
            return Err(segment.corrupt(0, expected, "one of another store").into());
        }
        segments.push(segment);
    }
    Ok(segments)
}

/// What opening for writing did to the store.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The torn end that was cut.
    pub cut: Option<Torn>,
    /// Intact frames that nothing proved durable and that were written again.
    pub rewritten: u64,
    /// Leftovers of an interrupted publish that were removed.
    pub removed: Vec<String>,
}

/// A store that was recovered and can be appended to.
pub struct Recovered {
    /// The log as it is now; every frame of it is durable.
    pub view: View,
    /// What was done.
    pub recovery: Recovery,
    /// A published segment that waits for its predecessor's seal.
    pub successor: Option<Segment>,
    /// Held as long as the store may be written.
    pub lock: Box<dyn Send + Sync>,
}

/// Locks a store and makes it fit for appending; makes it first if there is none.
///
/// The one place that cuts: see "Recovery" in `wal-format.md`. A crash in here leaves a store that recovers to the same.
pub fn recover(storage: &dyn Storage) -> Result<Recovered> {
    let directory = storage.path().display().to_string();
    let names = storage.list().map_err(Error::io("list", &directory))?;
    let ours = |name: &String| name == LOCK || !matches!(parse_name(name), Name::Foreign);
    if !names.is_empty() && !names.iter().any(ours) && names != ["lost+found"] {
        let problem = "a directory with other files and no store in it".into();
        return Err(Error::NoStore { store: directory, problem });
    }
    let lock = storage.lock()?;
    let mut recovery = Recovery::default();
    // Listed again: the former holder of the lock may have changed it.
    let names = storage.list().map_err(Error::io("list", &directory))?;
    if !names.iter().any(|name| matches!(parse_name(name), Name::Segment(_) | Name::Snapshot)) {
        let store = storage.random().map_err(Error::io("get random bytes for", &directory))?;
        publish_segment(storage, store, 1, 1)?;
    }
    let mut view = View::walk(open_segments(storage, true)?, Depth::LastSegment)?;
    // From here on things are changed, and not before: a store that is refused stays as it is.
    let names = storage.list().map_err(Error::io("list", &directory))?;
    for name in names.iter().filter(|name| matches!(parse_name(name), Name::Temporary)) {
        storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;
        recovery.removed.push(path_of(storage, name));
    }
    // Always: the last writer may have died between a rename and its sync, and what is appended to a file whose name can
    // still vanish must not be acknowledged.
    storage.sync_directory().map_err(Error::io("sync", &directory))?;
    let mut changed = BTreeSet::new();
    if let Some(torn) = view.torn.take() {
        let segment = &mut view.segments[torn.segment];
        let end = segment.length - torn.bytes;
        segment.file.truncate(end).map_err(Error::io("cut", &segment.path))?;
        segment.length = end;
        changed.insert(torn.segment);
        recovery.cut = Some(torn);
    }
    // After a failed fsync the kernel may show pages that the disk doesn't have and that it will never write again. So
    // what nothing proves durable is written anew, from the bytes that were just checked: in the segment that is appended
    // to, and the seal before it, which a kill can leave in the page cache while that segment has no frame yet.
    let mut buffer = Vec::new();
    for place in view.frames.iter().filter(|place| place.frame.header.sequence > view.durable_upto) {
        let (segment, header) = (&view.segments[place.segment], place.frame.header);
        let length = usize::try_from(header.length()).unwrap_or(usize::MAX);
        buffer.resize(length, 0);
        let read = segment.file.read_at(&mut buffer, header.offset).map_err(Error::io("read", &segment.path))?;
        if read < length {
            return Err(segment.corrupt(header.offset, "the frame that was there a moment ago", "less").into());
        }
        segment.file.write_at(&buffer, header.offset).map_err(Error::io("write", &segment.path))?;
        recovery.rewritten += 1;
        changed.insert(place.segment);
    }
    for segment in changed.into_iter().map(|index| &view.segments[index]) {
        segment.file.sync().map_err(Error::io("sync", &segment.path))?;
    }
    let successor = if view.unsealed { view.segments.pop() } else { None };
    view.unsealed = false;
    Ok(Recovered { view, recovery, successor, lock })
}

/// Publishes an empty segment.
pub fn publish_segment(storage: &dyn Storage, store: Uid, number: u64, first_sequence: u64) -> Result<()> {
    let directory = storage.path().display().to_string();
    let random = storage.random().map_err(Error::io("get random bytes for", directory))?;
    let salt = (u128::from_le_bytes(random) >> 64) as u64;
    let header = SegmentHeader { store, number, salt, first_sequence };
    publish(storage, &segment_name(number), &header.encode())
}
