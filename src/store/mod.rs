//! The directory of a store: which files count, what the log in them says, and recovery.
//!
//! The listing is the manifest: there is no second file that could disagree with it. [`View::open`] reads and never
//! changes anything; [`crate::store::recover`] is the only place that cuts or rewrites.

mod inputs;
pub mod log;
mod place;
pub mod recover;

use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use crate::disk::{Storage, TEMPORARY, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::{ACKNOWLEDGED, Acknowledged};
use crate::format::batch::Checkpoint;
pub use crate::format::block::InputEntry as Input;
use crate::format::coding::Malformed;
use crate::format::frame::{FrameKind, SEGMENT_HEADER, SectionKind};
use crate::format::hole::Hole;
use crate::format::rejects::Rejects;
use crate::segment::content::Contents;
use crate::segment::judge::{Here, Next, Stop, Verdict, Why, judge};
use crate::segment::{Frame, Link, Segment};
use crate::snapshot::Snapshot;
pub(crate) use inputs::{Known, add_input, each_section_of_rejects};

const SEGMENT: &str = ".wal";
const SNAPSHOT: &str = ".snap";
const DIGITS: usize = 10;

/// The file with the record of what was acknowledged.
pub const ACKNOWLEDGED_NAME: &str = "ACKNOWLEDGED";

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
        Err(Error::NoStore { .. }) if read_acknowledged(storage)?.is_some() => Ok(()),
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
    /// The record of what was acknowledged, where there is one of this store.
    pub acknowledged: Option<Acknowledged>,
    /// The inputs that were not forgotten, by instance.
    pub inputs: BTreeMap<Uid, Input>,
    /// Since which place their rejects count, as [`Known`] has it.
    since: BTreeMap<Uid, usize>,
    /// The last segment is an empty one, published to follow one whose seal is missing.
    pub(crate) unsealed: bool,
    /// Files that a snapshot replaces, and that don't count.
    pub(crate) leftovers: Vec<String>,
}

/// How much is checked beyond headers and directories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The sections of frames that nothing proves durable: they decide where the log ends.
    Unproven,
    /// Those of the whole segment that will be appended to, and what is in them: nothing is built on what readers refuse.
    LastSegment,
}

impl View {
    /// Looks at a store and changes nothing. Needs no lock: a writer only appends, and what looks like damage because it
    /// was writing just then does not look the same twice.
    pub fn open(storage: &dyn Storage) -> Result<View> {
        let mut before = None;
        for _ in 0..RETRIES {
            match View::look(storage, false, Depth::Unproven) {
                Err(Error::Corruption(found)) if before.as_ref() != Some(&found) => before = Some(found),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                answer => return answer.map(|(view, _)| view),
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// One look at a store. The record comes first: what was acknowledged then is in the files that are opened later.
    pub(crate) fn look(storage: &dyn Storage, writable: bool, depth: Depth) -> Result<(View, Listing)> {
        let acknowledged = read_acknowledged(storage)?;
        let listing = match (Listing::read(storage), &acknowledged) {
            (Err(Error::NoStore { .. }), Some(record)) => return Err(all_gone(storage, record).into()),
            (listing, _) => listing?,
        };
        let (snapshots, segments) = open_files(storage, &listing, writable)?;
        let mut view = View::walk(snapshots, segments, acknowledged, depth)?;
        view.leftovers.clone_from(&listing.replaced);
        Ok((view, listing))
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
    fn walk(
        snapshots: Vec<Snapshot>,
        segments: Vec<Segment>,
        acknowledged: Option<Acknowledged>,
        depth: Depth,
    ) -> Result<View> {
        let link = first_link(&snapshots, &segments);
        // One of another store says nothing of this one.
        let own = |record: &Acknowledged| segments.iter().all(|segment| segment.header.store == record.store);
        let acknowledged = acknowledged.filter(own);
        // Only what is sealed, and so durable, gets into a snapshot.
        let durable_upto = acknowledged.map_or(0, |record| record.sequence).max(link.sequence - 1);
        let mut view = View {
            link,
            snapshots,
            segments,
            frames: Vec::new(),
            torn: None,
            durable_upto,
            acknowledged,
            inputs: BTreeMap::new(),
            since: BTreeMap::new(),
            unsealed: false,
            leftovers: Vec::new(),
        };
        let mut index = 0;
        let mut end = view.walk_segment(index)?;
        while end.here == Here::Seal && judge(view.stop(&end)?) == Verdict::GoesOn {
            index += 1;
            end = view.walk_segment(index)?;
        }
        let end = view.check_sections(depth, end)?;
        view.end(end)?;
        view.check_acknowledged()?;
        let known = Known::of(&view.snapshots, &view.segments, &view.frames)?;
        (view.inputs, view.since) = (known.inputs, known.since);
        Ok(view)
    }

    /// What the first frame behind the snapshots chains to.
    pub(crate) fn first(&self) -> Link {
        first_link(&self.snapshots, &self.segments)
    }

    /// Walks one segment; says where its chain stops.
    fn walk_segment(&mut self, index: usize) -> Result<ChainEnd> {
        let segment = &self.segments[index];
        let expected = self.link.sequence;
        if segment.header.first_sequence != expected {
            return Err(not_the_successor(segment, expected).into());
        }
        let mut offset = SEGMENT_HEADER as u64;
        let mut here = Here::End;
        while offset < segment.length {
            if here == Here::Seal {
                here = Here::BehindSeal;
                break;
            }
            match segment.frame(offset, self.link)? {
                Ok(frame) => {
                    offset = frame.end();
                    self.link = Link::after(&frame.header);
                    self.durable_upto = self.durable_upto.max(frame.header.durable_upto);
                    if frame.header.kind == FrameKind::Seal {
                        here = Here::Seal;
                    }
                    self.frames.push(Place { segment: index, frame });
                }
                Err(what) => return Ok(ChainEnd { segment: index, at: offset, here: Here::Bad, what: Some(what) }),
            }
        }
        Ok(ChainEnd { segment: index, at: offset, here, what: None })
    }

    /// What is known of a place where the chain stops.
    fn stop(&self, end: &ChainEnd) -> Result<Stop> {
        let due = self.link.sequence;
        let mut proven = self.durable_upto;
        if end.here == Here::Bad && proven < due {
            proven = proven.max(self.segments[end.segment].proven_from(end.at, due)?);
        }
        let is_last = end.segment + 2 == self.segments.len();
        let next = self.segments.get(end.segment + 1).map_or(Next::Nothing, |next| next_of(next, is_last));
        Ok(Stop { here: end.here, due, proven, next })
    }

    /// Checks the sections of the frames at the end of the log. The first one that is not intact ends it, as a torn
    /// header would.
    fn check_sections(&mut self, depth: Depth, end: ChainEnd) -> Result<ChainEnd> {
        let durable_upto = self.durable_upto;
        let first = self.frames.partition_point(|place| match depth {
            Depth::Unproven => place.frame.header.sequence <= durable_upto,
            Depth::LastSegment => place.segment < end.segment && place.frame.header.sequence <= durable_upto,
        });
        let mut buffer = Vec::new();
        for index in first..self.frames.len() {
            let Place { segment, frame } = &self.frames[index];
            let (segment, header) = (*segment, frame.header);
            if let Err(what) = self.segments[segment].check_frame(frame, &mut buffer)? {
                self.link = Link { sequence: header.sequence, previous: Some(header.previous) };
                self.frames.truncate(index);
                return Ok(ChainEnd { segment, at: header.offset, here: Here::Bad, what: Some(what) });
            }
        }
        if depth == Depth::LastSegment {
            self.check_contents(end.segment)?;
        }
        Ok(end)
    }

    /// Checks what is in the sections of a segment whose checksums are right. What was acknowledged was written by a chatwal that
    /// checked it before, if the header of its last frame is the one that the record names.
    fn check_contents(&self, segment: usize) -> Result<()> {
        let known = self.acknowledged.filter(|record| {
            let frame = self.frames.iter().find(|place| place.frame.header.sequence == record.sequence);
            frame.is_some_and(|place| place.frame.header.crc == record.header_crc)
        });
        let known = known.map_or(0, |record| record.sequence);
        let mut contents = Contents::default();
        let unknown = |place: &&Place| place.segment == segment && place.frame.header.sequence > known;
        for Place { frame, .. } in self.frames.iter().filter(unknown) {
            if let Some((_, what)) = contents.check(&self.segments[segment], frame)?.into_iter().next() {
                return Err(what.into());
            }
        }
        Ok(())
    }

    /// Takes the verdict on the end of the log.
    fn end(&mut self, end: ChainEnd) -> Result<()> {
        let stop = self.stop(&end)?;
        let segment = &self.segments[end.segment];
        match judge(stop) {
            Verdict::Corrupt(why) => {
                let successor = self.segments.get(end.segment + 1);
                return Err(match (end.what, why, successor) {
                    (Some(what), ..) => what,
                    (None, Why::SuccessorElsewhere, Some(successor)) => not_the_successor(successor, stop.due),
                    _ => blame(segment, end.at, &stop, why, self.acknowledged),
                }
                .into());
            }
            Verdict::AwaitsSeal => self.unsealed = true,
            Verdict::GoesOn | Verdict::Ends | Verdict::Torn => {}
        }
        if let Some(what) = end.what {
            self.torn = Some(Torn { segment: end.segment, what, bytes: segment.length - end.at });
        }
        Ok(())
    }

    /// That the frame that was acknowledged last is the one that is there: a log that was rolled back and went on otherwise has
    /// another one.
    fn check_acknowledged(&self) -> Result<()> {
        let Some(record) = self.acknowledged else { return Ok(()) };
        // It may be in a snapshot by now.
        let at = self.frames.partition_point(|place| place.frame.header.sequence < record.sequence);
        match self.frames.get(at).filter(|place| place.frame.header.sequence == record.sequence) {
            Some(place) if record.is_of_another_history(&place.frame.header) => {
                let segment = &self.segments[place.segment];
                Err(another_history(segment, &place.frame, &record).into())
            }
            _ => Ok(()),
        }
    }

    /// Visits the rejected lines that count, batch by batch in the order of the log: the batch's checkpoint and its rejects,
    /// of which a few bytes may stand for millions. Ends early once `visit` says no.
    pub fn rejects(&self, visit: &mut dyn FnMut(&Checkpoint, Rejects<'_>) -> bool) -> Result<()> {
        let View { snapshots, segments, frames, since, .. } = self;
        each_section_of_rejects(snapshots, segments, frames, since, &mut |section| {
            Ok(visit(section.checkpoint, section.rejects))
        })
    }

    /// How many of the segments are sealed, durably.
    pub fn sealed(&self) -> usize {
        self.segments.len() - 1 - usize::from(self.unsealed)
    }
}

fn first_link(snapshots: &[Snapshot], segments: &[Segment]) -> Link {
    match snapshots.last().map(|snapshot| &snapshot.header) {
        Some(header) => Link { sequence: header.next_sequence, previous: Some(header.next_previous) },
        None => Link { sequence: 1, previous: segments.first().map(|first| first.header.chain()) },
    }
}

/// What a segment is to the one before it; whether it is the last of its store.
pub(crate) fn next_of(segment: &Segment, is_last: bool) -> Next {
    let first = segment.header.first_sequence;
    match is_last && segment.length == SEGMENT_HEADER as u64 {
        true => Next::Empty(first),
        false => Next::Frames(first),
    }
}

/// Where a chain of frames stops.
pub(crate) struct ChainEnd {
    /// Index of the segment.
    pub(crate) segment: usize,
    /// Offset in it.
    pub(crate) at: u64,
    /// What stands there.
    pub(crate) here: Here,
    /// What is wrong with it, if that is not the frame that is due.
    pub(crate) what: Option<Corruption>,
}

/// The corruption where a segment ends, or its chain does, and should not.
pub(crate) fn blame(
    segment: &Segment,
    at: u64,
    stop: &Stop,
    why: Why,
    acknowledged: Option<Acknowledged>,
) -> Corruption {
    let before = || format!("the end of the file before frame {}", stop.due);
    let (expected, found) = match (why, stop.next, acknowledged) {
        (Why::BehindSeal, ..) => {
            ("the end of the file behind the seal".into(), format!("{} more bytes", segment.length.saturating_sub(at)))
        }
        (Why::SuccessorMissing, ..) => {
            let next = segment_name(segment.header.number.saturating_add(1));
            (format!("{next} behind the seal of this segment"), "no such file".into())
        }
        (Why::FramesMissing, Next::Empty(first), _) => (format!("frames up to {}", first.saturating_sub(2)), before()),
        (Why::Proven, _, Some(Acknowledged { segment, end, sequence, .. })) if stop.proven == sequence => {
            let expected = format!(
                "frames up to {sequence}, which were acknowledged (byte {end} of segment {segment}, says {ACKNOWLEDGED_NAME})"
            );
            let copy = format!(" (of a copy that was made beside a writer, delete {ACKNOWLEDGED_NAME})");
            (expected, before() + &copy)
        }
        (Why::Proven, ..) => (format!("frames up to {}, which were durable", stop.proven), before()),
        _ => ("a seal, since another segment follows".into(), "the end".into()),
    };
    segment.corrupt(at, expected, found)
}

/// The corruption of a segment that does not go on where the one before it ends.
pub(crate) fn not_the_successor(segment: &Segment, expected: u64) -> Corruption {
    let found = segment.header.first_sequence.to_string();
    segment.corrupt(0, format!("a segment that begins with frame {expected}"), found)
}

/// The corruption of a log in which another frame stands where one was acknowledged.
pub(crate) fn another_history(segment: &Segment, frame: &Frame, record: &Acknowledged) -> Corruption {
    let Acknowledged { sequence, header_crc, .. } = record;
    let expected = format!(
        "frame {sequence} with the header CRC {header_crc:08x}, which was acknowledged, says {ACKNOWLEDGED_NAME}"
    );
    segment.corrupt(frame.at, expected, format!("{:08x}", frame.header.crc))
}

/// The corruption of a store of which nothing is left but the record of what was acknowledged.
pub(crate) fn all_gone(storage: &dyn Storage, record: &Acknowledged) -> Corruption {
    let expected = format!(
        "the files of a store of which frames up to {} were acknowledged, says {ACKNOWLEDGED_NAME}",
        record.sequence
    );
    let found = format!("no segment and no snapshot (to begin anew on purpose, delete {ACKNOWLEDGED_NAME} too)");
    Corruption { file: path_of(storage, &segment_name(1)), offset: 0, expected, found }
}

/// The record of what was acknowledged; none where there is no such file, or one that says nothing.
pub(crate) fn read_acknowledged(storage: &dyn Storage) -> Result<Option<Acknowledged>> {
    let path = || path_of(storage, ACKNOWLEDGED_NAME);
    let file = match storage.open(ACKNOWLEDGED_NAME, false) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path())(error)),
    };
    let mut bytes = [0; ACKNOWLEDGED];
    let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", path()))?;
    Ok(bytes.get(..read).and_then(Acknowledged::decode))
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
