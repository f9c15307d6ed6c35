//! What there is of a store, past any damage: what `verify` judges and `repair` saves.
//!
//! [`View::open`] stays the one judge of whether a store is sound: what it accepts is taken as it says. Only what it refuses
//! is looked at here, with the same rules, but without an end at the first damage. Nothing is changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::frame::{FrameHeader, FrameKind, SEGMENT_HEADER};
use crate::segment::{Found, Frame, Link, Segment};
use crate::snapshot::{Snapshot, Stretch};
use crate::storage::{Storage, path_of};
use crate::store::{Name, Place, RETRIES, View, parse_name, segment_name, snapshot_name};

/// The files of a store that count, in the order of the segments they cover, and what is wrong with them.
pub(crate) struct Survey {
    /// The store's id; of most of the files, if they disagree.
    pub(crate) store: Option<Uid>,
    /// The files; those that are missing have a place as well.
    pub(crate) parts: Vec<Part>,
    /// What is wrong with names, headers, directories and the chain; of snapshots that cannot be opened, with every block.
    pub(crate) findings: Vec<Corruption>,
    /// An end that was never acknowledged: what is wrong with its first frame, and its bytes.
    pub(crate) torn: Option<(Corruption, u64)>,
    /// The last frame that something proves durable.
    pub(crate) durable_upto: u64,
    /// Why the store is refused, if it is.
    pub(crate) refused: Option<Corruption>,
}

/// One file, or the place where it should be.
pub(crate) struct Part {
    /// The segments that it covers.
    pub(crate) covers: RangeInclusive<u64>,
    /// Its name.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) content: Content,
}

/// What a file is good for.
pub(crate) enum Content {
    /// A snapshot whose header and tables are sound.
    Snapshot(Box<Snapshot>),
    /// A snapshot of which only blocks can be read, one by one; whether its header is sound.
    Blocks(Box<Snapshot>, bool),
    /// A segment and its intact frames, without those of a torn end; whether there is damage behind the last of them.
    Segment(Segment, Vec<Frame>, bool),
    /// Nothing: it is missing, or nothing in it can be told to be of this store.
    Nothing,
}

impl Survey {
    /// Looks at a store. Needs no lock: what looks like damage because a writer was at work does not look the same twice.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Survey> {
        let refused = match View::open(storage) {
            Ok(view) => return Ok(Survey::of(view)),
            Err(Error::Corruption(refused)) => *refused,
            Err(error) => return Err(error),
        };
        let mut before = None;
        for _ in 0..RETRIES {
            match Survey::look(storage) {
                Ok(survey) if before.as_ref() == Some(&survey.findings) => {
                    return Ok(Survey { refused: Some(refused), ..survey });
                }
                Ok(survey) => before = Some(survey.findings),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                Err(error) => return Err(error),
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// The survey of a store that is sound as far as readers look.
    fn of(view: View) -> Survey {
        let store = Some(view.store());
        let mut parts: Vec<Part> = Vec::new();
        for snapshot in view.snapshots {
            let covers = snapshot.header.first..=snapshot.header.last;
            parts.push(Part { name: snapshot_name(&covers), covers, content: Content::Snapshot(Box::new(snapshot)) });
        }
        let mut frames = view.frames.into_iter().peekable();
        for (index, segment) in view.segments.into_iter().enumerate() {
            let mut own = Vec::new();
            while let Some(place) = frames.next_if(|place| place.segment == index) {
                own.push(place.frame);
            }
            let number = segment.header.number;
            let content = Content::Segment(segment, own, false);
            parts.push(Part { covers: number..=number, name: segment_name(number), content });
        }
        Survey {
            store,
            parts,
            findings: Vec::new(),
            torn: view.torn.map(|torn| (torn.what, torn.bytes)),
            durable_upto: view.durable_upto,
            refused: None,
        }
    }

    /// One look at a store that readers refuse.
    fn look(storage: &dyn Storage) -> Result<Survey> {
        let mut survey =
            Survey { store: None, parts: Vec::new(), findings: Vec::new(), torn: None, durable_upto: 0, refused: None };
        survey.tile(storage)?;
        survey.open(storage)?;
        survey.follow(storage)?;
        Ok(survey)
    }

    fn missing(&mut self, storage: &dyn Storage, covers: RangeInclusive<u64>, found: &str) {
        let name = segment_name(*covers.start());
        let (file, expected) = (path_of(storage, &name), "a segment of this number".into());
        self.findings.push(Corruption { file, offset: 0, expected, found: format!("{found} next") });
        self.parts.push(Part { covers, name, content: Content::Nothing });
    }

    /// Which files count, by their names.
    fn tile(&mut self, storage: &dyn Storage) -> Result<()> {
        let directory = storage.path().display().to_string();
        let names = storage.list().map_err(Error::io("list", &directory))?;
        let mut files: Vec<(RangeInclusive<u64>, String)> = Vec::new();
        for name in names {
            match parse_name(&name) {
                Name::Segment(number) => files.push((number..=number, name)),
                Name::Snapshot(covers) => files.push((covers, name)),
                Name::Temporary | Name::Foreign => {}
            }
        }
        // The widest first; a snapshot beats a segment.
        let kind = |name: &str| matches!(parse_name(name), Name::Segment(_));
        files.sort_unstable_by_key(|(covers, name)| (*covers.start(), Reverse(*covers.end()), kind(name)));
        if let Some((_, name)) = files.last()
            && is_unfinished_repair(storage, name, &files)?
        {
            files.pop();
        }
        let mut next = 1;
        let mut segments = false;
        for (covers, name) in files {
            let (start, end) = (*covers.start(), *covers.end());
            if end < next {
                continue;
            }
            if start > next {
                self.missing(storage, next..=start - 1, &name);
            } else if start < next {
                let expected = format!("a snapshot that begins with segment {next}");
                let found = "one that overlaps another".into();
                self.findings.push(Corruption { file: path_of(storage, &name), offset: 0, expected, found });
                continue;
            } else if segments && !kind(&name) {
                let (file, expected) = (path_of(storage, &name), format!("segment {next}"));
                self.findings.push(Corruption { file, offset: 0, expected, found: "a snapshot".into() });
            }
            segments |= kind(&name);
            self.parts.push(Part { covers, name, content: Content::Nothing });
            next = end + 1;
        }
        if !self.parts.last().is_some_and(|part| kind(&part.name)) {
            self.missing(storage, next..=next, "nothing");
        }
        Ok(())
    }

    /// Opens the files; those that cannot be are gone through for what is intact in them.
    fn open(&mut self, storage: &dyn Storage) -> Result<()> {
        let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
        let mut stores: BTreeMap<Uid, usize> = BTreeMap::new();
        let Survey { parts, findings, .. } = self;
        let there = |part: &Part| names.contains(&part.name);
        for part in parts.iter_mut().filter(|part| there(part)) {
            let path = path_of(storage, &part.name);
            let open = || storage.open(&part.name, false).map_err(Error::io("open", &path));
            let is_segment = matches!(parse_name(&part.name), Name::Segment(_));
            let opened = match is_segment {
                true => Segment::open(path.clone(), open()?)
                    .map(|segment| (segment.header.store, Content::Segment(segment, Vec::new(), false))),
                false => Snapshot::open(path.clone(), open()?)
                    .map(|snapshot| (snapshot.header.store, Content::Snapshot(Box::new(snapshot)))),
            };
            match opened {
                Ok((store, content)) => {
                    *stores.entry(store).or_default() += 1;
                    part.content = content;
                }
                Err(Error::Corruption(what)) => {
                    findings.push(*what);
                    if !is_segment {
                        let (snapshot, sound) = match Snapshot::bare(path.clone(), open()?) {
                            Ok(snapshot) => (snapshot, true),
                            Err(Error::Corruption(_)) => (Snapshot::headless(path.clone(), open()?)?, false),
                            Err(error) => return Err(error),
                        };
                        snapshot.scan(|found| {
                            findings.extend(match found {
                                Stretch::Block(_, _, checked) => checked.err(),
                                Stretch::Gap(what, _) => Some(what.clone()),
                            });
                            Ok(())
                        })?;
                        if sound {
                            findings.extend(snapshot.check_size().err());
                        }
                        part.content = Content::Blocks(Box::new(snapshot), sound);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let most = stores.into_iter().max_by_key(|(_, files)| *files);
        self.store = most.map(|(store, _)| store);
        for part in self.parts.iter_mut().filter(|part| there(part)) {
            if let (Content::Nothing, Name::Segment(number)) = (&part.content, parse_name(&part.name)) {
                let path = path_of(storage, &part.name);
                let file = storage.open(&part.name, false).map_err(Error::io("open", &path))?;
                if let Some(segment) = Segment::headless(path, number, self.store, file)? {
                    self.store = self.store.or(Some(segment.header.store));
                    part.content = Content::Segment(segment, Vec::new(), false);
                }
            }
        }
        Ok(())
    }

    /// Follows the chain of frames through all files.
    fn follow(&mut self, storage: &dyn Storage) -> Result<()> {
        let Survey { store, parts, findings, durable_upto, .. } = self;
        // What comes next, as long as anybody knows.
        let mut due: Option<Link> = None;
        // What is wrong with the frames of each part: the sequence number that was due, and what is there.
        let mut gaps: Vec<Vec<(u64, Corruption)>> = Vec::new();
        let mut ends: Vec<End> = Vec::new();
        for (index, part) in parts.iter_mut().enumerate() {
            let (mut own, mut end) = (Vec::new(), End::default());
            let foreign = |id: Uid| store.is_some_and(|store| store != id);
            let mut alien = false;
            match &mut part.content {
                Content::Nothing => due = None,
                Content::Snapshot(snapshot) => {
                    let header = snapshot.header;
                    if foreign(header.store) {
                        findings.push(snapshot.corrupt(0, "a snapshot of this store", "one of another store"));
                        alien = true;
                        due = None;
                    } else {
                        if part.name != snapshot_name(&(header.first..=header.last)) {
                            let found = format!("one of segments {} to {}", header.first, header.last);
                            findings.push(snapshot.corrupt(0, "a snapshot of the segments in its name", found));
                        }
                        let first = Link { sequence: header.first_sequence, previous: Some(header.first_previous) };
                        let fits = due.is_none_or(|due| due == first) && (index > 0 || first.sequence == 1);
                        if !fits {
                            let sequence = due.map_or(1, |due| due.sequence);
                            let expected = format!("a snapshot that begins with frame {sequence} of the store");
                            findings.push(snapshot.corrupt(0, expected, "another one"));
                        }
                        *durable_upto = (*durable_upto).max(header.next_sequence.saturating_sub(1));
                        due = Some(Link { sequence: header.next_sequence, previous: Some(header.next_previous) });
                    }
                }
                Content::Blocks(snapshot, sound) => {
                    let header = snapshot.header;
                    due =
                        sound.then_some(Link { sequence: header.next_sequence, previous: Some(header.next_previous) });
                    *durable_upto = (*durable_upto).max(header.next_sequence.saturating_sub(1));
                }
                Content::Segment(segment, frames, cut) => {
                    let header = segment.header;
                    if foreign(header.store) || header.number != *part.covers.start() {
                        let expected = format!("the header of segment {} of this store", part.covers.start());
                        let found = match foreign(header.store) {
                            true => "one of another store".into(),
                            false => format!("that of segment {}", header.number),
                        };
                        findings.push(segment.corrupt(0, expected, found));
                        alien = true;
                        due = None;
                    } else {
                        let first = match index {
                            0 => Some(Link { sequence: 1, previous: Some(header.chain()) }),
                            _ => due,
                        };
                        let unknown = Link { sequence: header.first_sequence, previous: None };
                        let link = match first {
                            Some(first) if first.sequence == header.first_sequence => first,
                            Some(first) => {
                                let expected = format!("a segment that begins with frame {}", first.sequence);
                                findings.push(segment.corrupt(0, expected, header.first_sequence.to_string()));
                                unknown
                            }
                            None => unknown,
                        };
                        let mut next = link;
                        let mut behind = None;
                        segment.scan(link, |found| {
                            match found {
                                Found::Frame(frame) => {
                                    if let (true, None) = (end.sealed, &behind) {
                                        behind = Some(frame.header.offset);
                                    }
                                    end.sealed |= frame.header.kind == FrameKind::Seal;
                                    *durable_upto = (*durable_upto).max(frame.header.durable_upto);
                                    next = Link::after(&frame.header);
                                    frames.push(frame.clone());
                                    *cut = false;
                                }
                                Found::Gap(what, _) => {
                                    match end.sealed {
                                        true => behind = behind.or(Some(what.offset)),
                                        false => own.push((next.sequence, what.clone())),
                                    }
                                    next.previous = None;
                                    *cut = true;
                                }
                            }
                            Ok(())
                        })?;
                        if let Some(at) = behind {
                            let found = format!("{} more bytes", segment.length - at);
                            findings.push(segment.corrupt(at, "the end of the file behind the seal", found));
                        }
                        due = (!*cut || end.sealed).then_some(next);
                        end.next = next.sequence;
                        end.empty = segment.length == SEGMENT_HEADER as u64;
                    }
                }
            }
            if alien {
                part.content = Content::Nothing;
            }
            gaps.push(own);
            ends.push(end);
        }
        self.end(storage, gaps, &ends)
    }

    /// Judges how the segments end.
    fn end(&mut self, storage: &dyn Storage, mut gaps: Vec<Vec<(u64, Corruption)>>, ends: &[End]) -> Result<()> {
        let last = self.parts.len().saturating_sub(1);
        // As in `View`: while the last segment has no frame, the one before it may be that whose end was torn.
        let unsealed = |index: usize| {
            matches!(self.parts.get(index), Some(Part { content: Content::Segment(..), .. }))
                && ends.get(index).is_some_and(|end| !end.sealed)
        };
        let interrupted_roll = last > 0 && ends.get(last).is_some_and(|end| end.empty) && unsealed(last - 1);
        let active = last - usize::from(interrupted_roll);
        let mut successor = None;
        for index in 0..=last {
            let own = gaps.get_mut(index).map(std::mem::take).unwrap_or_default();
            let follows = self.parts.get(index + 1).and_then(|next| match &next.content {
                Content::Segment(segment, ..) => Some(segment.header.first_sequence),
                _ => None,
            });
            let (Some(part), Some(end)) = (self.parts.get_mut(index), ends.get(index)) else { continue };
            let Content::Segment(segment, frames, cut) = &mut part.content else { continue };
            let short = |what: &str| segment.corrupt(segment.length, what, "the end of the file");
            if index < active {
                if !end.sealed && own.is_empty() {
                    self.findings.push(short("a seal, since another segment follows"));
                }
                self.findings.extend(own.into_iter().map(|(_, what)| what));
                continue;
            }
            if index > active {
                continue;
            }
            if end.sealed {
                self.findings.extend(own.into_iter().map(|(_, what)| what));
                if index == last {
                    let name = segment_name(segment.header.number + 1);
                    let expected = format!("a segment behind the seal of {}", segment.path);
                    let found = "no such file".into();
                    self.findings.push(Corruption { file: path_of(storage, &name), offset: 0, expected, found });
                    successor = Some(segment.header.number + 1);
                }
                continue;
            }
            // The first frame that is not intact, its sections included where nothing proves that it was durable.
            let mut bad = own.first().map(|(sequence, what)| (*sequence, what.offset, what.clone()));
            let mut buffer = Vec::new();
            for frame in frames.iter().filter(|frame| frame.header.sequence > self.durable_upto) {
                let FrameHeader { sequence, offset, .. } = frame.header;
                if bad.as_ref().is_some_and(|(_, at, _)| *at < offset) {
                    break;
                }
                if let Err(what) = segment.check_frame(frame, &mut buffer)? {
                    bad = Some((sequence, offset, what));
                    break;
                }
            }
            let missing = follows.is_some_and(|first| first.saturating_sub(1) != end.next);
            match bad {
                None if missing => self.findings.push(short("frames up to the seal that the next segment names")),
                None => {}
                Some((sequence, offset, what)) => {
                    if missing || self.durable_upto >= sequence || segment.proof_of(sequence, offset)?.is_some() {
                        self.findings.extend(own.into_iter().map(|(_, what)| what));
                        if !self.findings.contains(&what) {
                            self.findings.push(what);
                        }
                    } else {
                        frames.retain(|frame| frame.header.offset < offset);
                        *cut = false;
                        self.torn = Some((what, segment.length - offset));
                    }
                }
            }
        }
        if let Some(number) = successor {
            let name = segment_name(number);
            self.parts.push(Part { covers: number..=number, name, content: Content::Nothing });
        }
        Ok(())
    }
}

/// How a segment ends.
#[derive(Default)]
struct End {
    sealed: bool,
    /// It has a header and nothing else.
    empty: bool,
    /// The sequence number behind its last frame.
    next: u64,
}

/// Whether the last file is what a repair published before it died: a segment that holds nothing but a hole frame, made
/// to follow a snapshot that is not there.
fn is_unfinished_repair(storage: &dyn Storage, name: &str, files: &[(RangeInclusive<u64>, String)]) -> Result<bool> {
    let hole = || -> Result<Option<(u64, u64)>> {
        let Name::Segment(number) = parse_name(name) else { return Ok(None) };
        let path = path_of(storage, name);
        let segment = Segment::open(path.clone(), storage.open(name, false).map_err(Error::io("open", path))?)?;
        let (mut covers, mut alone) = (None, true);
        segment.scan(Link { sequence: segment.header.first_sequence, previous: None }, |found| {
            match found {
                Found::Frame(frame) if frame.header.kind == FrameKind::Hole && covers.is_none() => {
                    covers = Some(Place { segment: 0, frame: frame.clone() }.hole(&segment)?.covers);
                }
                Found::Frame(frame) if frame.header.kind == FrameKind::Mark && covers.is_some() => {}
                _ => alone = false,
            }
            Ok(())
        })?;
        Ok(covers.filter(|covers| alone && covers.1.checked_add(1) == Some(number)))
    };
    let (first, last) = match hole() {
        Ok(Some(covers)) => covers,
        // Whatever is wrong with it, it is no such file, and is judged as any other. What cannot be read is not judged.
        Ok(None) | Err(Error::Corruption(_) | Error::Version { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let snapshot = snapshot_name(&(first..=last));
    Ok(first > 0 && files.iter().all(|(_, name)| *name != snapshot))
}
