//! What there is of a store, past any damage: what `verify` judges and `repair` saves.
//!
//! [`View::open`] says whether a store is sound: what it accepts is taken as it says. What it refuses is looked at here, by the same
//! rules and the same judge, but without an end at the first damage. Nothing is changed.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::ops::RangeInclusive;

use crate::disk::{Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::frame::FrameKind;
use crate::segment::judge::{Here, Next, Stop, Verdict, Why, judge};
use crate::segment::{Claims, Found, Frame, Gap, Link, Segment};
use crate::snapshot::{Snapshot, Stretch};
use crate::store::{
    Name, Place, RETRIES, View, all_gone, another_history, blame, next_of, not_the_successor, parse_name,
    read_acknowledged, segment_name, snapshot_name,
};

/// The files of a store that count, in the order of the segments they cover, and what is wrong with them.
#[derive(Default)]
pub(crate) struct Survey {
    /// The store's id; of most of the files, if they disagree.
    pub(crate) store: Option<Uid>,
    /// The files; those that are missing have a place as well.
    pub(crate) parts: Vec<Part>,
    /// Files that don't count and may still have what is lost: those that a snapshot replaces, and those of this store under
    /// another's name.
    pub(crate) leftovers: Vec<String>,
    /// What is wrong with names, headers, directories and the chain; of snapshots that cannot be opened, with every block.
    pub(crate) findings: Vec<Corruption>,
    /// The last segment is sealed, and its successor is missing: a finding of its own, since it is no damage to any file.
    pub(crate) missing_successor: Option<Corruption>,
    /// An end that was never acknowledged: what is wrong with its first frame, and its bytes.
    pub(crate) torn: Option<(Corruption, u64)>,
    /// The last frame that something proves durable.
    pub(crate) durable_upto: u64,
    /// The record of what was acknowledged, where there is one of this store.
    pub(crate) acknowledged: Option<Acknowledged>,
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
    /// A segment.
    Segment(Box<Frames>),
    /// Nothing: it is missing, or nothing in it can be told to be of this store.
    Nothing,
}

/// What is intact in a segment.
pub(crate) struct Frames {
    /// The segment; if its header is bad, as its frames tell of it.
    pub(crate) segment: Segment,
    /// Its header is bad.
    headless: bool,
    /// Frames in their place that count, in order. Their sections were not looked at.
    pub(crate) frames: Vec<Frame>,
    /// Frames that don't: they stand elsewhere than they say, come again, or lie in a torn end. What is in them may still be
    /// all there is of it.
    pub(crate) strays: Vec<Frame>,
    /// There is damage behind the last of the frames.
    pub(crate) cut: bool,
    /// And bytes in it that are nothing that is intact.
    pub(crate) lost_end: bool,
    /// The next segment was published to follow a seal that was never written.
    pub(crate) awaits_seal: bool,
    /// Where no frame follows the one before.
    gaps: Vec<Gap>,
    /// What the last frame is, and what is due behind it.
    sealed: bool,
    next: Link,
    /// Where something stands behind the seal.
    behind_seal: Option<u64>,
}

impl Frames {
    fn of(segment: Segment, headless: bool) -> Frames {
        let next = Link { sequence: segment.header.first_sequence, previous: None };
        Frames {
            segment,
            headless,
            frames: Vec::new(),
            strays: Vec::new(),
            cut: false,
            lost_end: false,
            awaits_seal: false,
            gaps: Vec::new(),
            sealed: false,
            next,
            behind_seal: None,
        }
    }

    /// Gathers what there is; `link` is what the first frame has to look like.
    fn scan(&mut self, link: Link) -> Result<()> {
        let Frames { segment, frames, strays, cut, lost_end, gaps, sealed, next, behind_seal, .. } = self;
        *next = link;
        segment.scan(link, |found| {
            let at = match &found {
                Found::Frame(frame) | Found::Stray(frame) => frame.at,
                Found::Gap(gap) => gap.at,
            };
            if *sealed {
                behind_seal.get_or_insert(at);
            }
            match found {
                Found::Frame(frame) => {
                    *sealed |= frame.header.kind == FrameKind::Seal;
                    *next = Link::after(&frame.header);
                    (*cut, *lost_end) = (false, false);
                    frames.push(frame.clone());
                }
                Found::Gap(gap) => {
                    next.previous = None;
                    (*cut, *lost_end) = (true, true);
                    gaps.push(gap.clone());
                }
                Found::Stray(frame) => {
                    *lost_end = frame.end() < segment.length;
                    strays.push(frame.clone());
                }
            }
            Ok(())
        })
    }

    /// Gathers what is behind a torn place of a segment of which everything before is known.
    fn scan_torn(&mut self, link: Link, at: u64) -> Result<()> {
        let known = std::mem::take(&mut self.frames);
        match self.scan(link) {
            Ok(()) => self.tear(at),
            // What was never acknowledged makes no store a newer one.
            Err(Error::Version { .. }) => {
                self.frames = known;
                self.strays.clear();
                (self.cut, self.lost_end) = (false, false);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The greatest sequence number that a header of it claims to be durable.
    fn claimed(&self) -> u64 {
        self.frames.iter().chain(&self.strays).map(|frame| frame.header.durable_upto).max().unwrap_or(0)
    }

    /// Where the chain goes on behind it, if that is known.
    fn link(&self) -> Option<Link> {
        (!self.cut || self.sealed).then_some(self.next)
    }
}

impl Survey {
    /// Looks at a store. Needs no lock: what looks like damage because a writer was at work does not look the same twice.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Survey> {
        let refused = match View::open(storage) {
            Ok(view) => return Survey::of(view),
            Err(Error::Corruption(refused)) => *refused,
            Err(error) => return Err(error),
        };
        let mut before = None;
        for _ in 0..RETRIES {
            match Survey::look(storage) {
                Ok(survey) if before.as_ref() == Some(&survey.told()) => {
                    return Ok(Survey { refused: Some(refused), ..survey });
                }
                Ok(survey) => before = Some(survey.told()),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                Err(error) => return Err(error),
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// All that is wrong.
    fn told(&self) -> Vec<Corruption> {
        self.findings.iter().chain(&self.missing_successor).cloned().collect()
    }

    /// The survey of a store that is sound as far as readers look.
    fn of(view: View) -> Result<Survey> {
        let (store, mut first) = (Some(view.store()), view.first());
        let mut parts: Vec<Part> = Vec::new();
        for snapshot in view.snapshots {
            let covers = snapshot.header.first..=snapshot.header.last;
            parts.push(Part { name: snapshot_name(&covers), covers, content: Content::Snapshot(Box::new(snapshot)) });
        }
        let active = view.segments.len() - 1 - usize::from(view.unsealed);
        let mut frames = view.frames.into_iter().peekable();
        for (index, segment) in view.segments.into_iter().enumerate() {
            let mut own = Frames::of(segment, false);
            while let Some(place) = frames.next_if(|place| place.segment == index) {
                own.frames.push(place.frame);
            }
            if let Some(torn) = view.torn.as_ref().filter(|torn| torn.segment == index) {
                own.scan_torn(first, own.segment.length - torn.bytes)?;
            }
            if let Some(last) = own.frames.last() {
                first = Link::after(&last.header);
            }
            own.awaits_seal = view.unsealed && index == active;
            let number = own.segment.header.number;
            let content = Content::Segment(Box::new(own));
            parts.push(Part { covers: number..=number, name: segment_name(number), content });
        }
        let torn = view.torn.map(|torn| (torn.what, torn.bytes));
        let (durable_upto, acknowledged) = (view.durable_upto, view.acknowledged);
        Ok(Survey { store, parts, leftovers: view.leftovers, torn, durable_upto, acknowledged, ..Survey::default() })
    }

    /// One look at a store that readers refuse.
    fn look(storage: &dyn Storage) -> Result<Survey> {
        let acknowledged = read_acknowledged(storage)?;
        let mut survey = Survey { acknowledged, ..Survey::default() };
        survey.tile(storage)?;
        survey.open(storage)?;
        if let (None, Some(record)) = (survey.store, acknowledged) {
            survey.store = Some(record.store);
        }
        survey.acknowledged = acknowledged.filter(|record| survey.store == Some(record.store));
        survey.durable_upto = survey.acknowledged.map_or(0, |record| record.sequence);
        survey.follow()?;
        survey.judge()?;
        survey.check_acknowledged();
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
                self.leftovers.push(name);
                continue;
            }
            if start > next {
                self.missing(storage, next..=start - 1, &name);
            } else if start < next {
                let expected = format!("a snapshot that begins with segment {next}");
                let found = "one that overlaps another".into();
                self.findings.push(Corruption { file: path_of(storage, &name), offset: 0, expected, found });
                self.leftovers.push(name);
                continue;
            } else if segments && !kind(&name) {
                let (file, expected) = (path_of(storage, &name), format!("segment {next}"));
                self.findings.push(Corruption { file, offset: 0, expected, found: "a snapshot".into() });
            }
            segments |= kind(&name);
            self.parts.push(Part { covers, name, content: Content::Nothing });
            next = end + 1;
        }
        if let (true, Some(record)) = (self.parts.is_empty(), self.acknowledged) {
            self.findings.push(all_gone(storage, &record));
            self.parts.push(Part { covers: 1..=1, name: segment_name(1), content: Content::Nothing });
        } else if !self.parts.last().is_some_and(|part| kind(&part.name)) {
            self.missing(storage, next..=next, "nothing");
        }
        Ok(())
    }

    /// Opens the files; those that cannot be are gone through for what is intact in them.
    fn open(&mut self, storage: &dyn Storage) -> Result<()> {
        let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
        // By id: how many files have it, and which comes first of all.
        let mut stores: BTreeMap<Uid, (usize, Reverse<usize>)> = BTreeMap::new();
        let mut vote = |store: Uid| {
            let first = Reverse(stores.len());
            stores.entry(store).or_insert((0, first)).0 += 1;
        };
        let Survey { parts, findings, .. } = self;
        let there = |part: &Part| names.contains(&part.name);
        for part in parts.iter_mut().filter(|part| there(part)) {
            let path = path_of(storage, &part.name);
            let open = || storage.open(&part.name, false).map_err(Error::io("open", &path));
            let is_segment = matches!(parse_name(&part.name), Name::Segment(_));
            let opened = match is_segment {
                true => Segment::open(path.clone(), open()?)
                    .map(|segment| (segment.header.store, Content::Segment(Box::new(Frames::of(segment, false))))),
                false => Snapshot::open(path.clone(), open()?)
                    .map(|snapshot| (snapshot.header.store, Content::Snapshot(Box::new(snapshot)))),
            };
            match opened {
                Ok((store, content)) => {
                    vote(store);
                    part.content = content;
                }
                Err(Error::Corruption(what)) => {
                    findings.push(*what);
                    if !is_segment {
                        part.content = blocks(&path, &open, findings)?;
                    }
                    if let Content::Blocks(snapshot, true) = &part.content {
                        vote(snapshot.header.store);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let most = stores.into_iter().max_by_key(|(_, votes)| *votes);
        self.store = most.map(|(store, _)| store);
        for part in self.parts.iter_mut().filter(|part| there(part)) {
            if let (Content::Nothing, Name::Segment(number)) = (&part.content, parse_name(&part.name)) {
                let path = path_of(storage, &part.name);
                let file = storage.open(&part.name, false).map_err(Error::io("open", &path))?;
                if let Some(segment) = Segment::headless(path, number, self.store, file)? {
                    self.store = self.store.or(Some(segment.header.store));
                    part.content = Content::Segment(Box::new(Frames::of(segment, true)));
                }
            }
        }
        Ok(())
    }

    /// Follows the chain of frames through all files, and gathers what there is.
    fn follow(&mut self) -> Result<()> {
        let Survey { store, parts, leftovers, findings, durable_upto, .. } = self;
        // What comes next, as long as anybody knows, and whether the file before is a segment.
        let mut due: Option<Link> = None;
        let mut behind_segment = false;
        for (index, part) in parts.iter_mut().enumerate() {
            let foreign = |id: Uid| store.is_some_and(|store| store != id);
            let number = *part.covers.start();
            let mut alien = None;
            match &mut part.content {
                Content::Nothing => due = None,
                Content::Snapshot(snapshot) if foreign(snapshot.header.store) => {
                    alien = Some(snapshot.corrupt(0, "a snapshot of this store", "one of another store"));
                }
                Content::Snapshot(snapshot) => {
                    findings.extend(check_snapshot(snapshot, &part.name, due.filter(|_| index > 0), index == 0));
                    *durable_upto = (*durable_upto).max(snapshot.header.next_sequence.saturating_sub(1));
                    due = Some(link_behind(snapshot));
                }
                Content::Blocks(snapshot, sound) => {
                    due = sound.then_some(link_behind(snapshot));
                    *durable_upto = (*durable_upto).max(snapshot.header.next_sequence.saturating_sub(1));
                }
                Content::Segment(own) if foreign(own.segment.header.store) || own.segment.header.number != number => {
                    let expected = format!("the header of segment {number} of this store");
                    let found = match foreign(own.segment.header.store) {
                        true => "one of another store".into(),
                        false => {
                            // Under another name, but this store's all the same.
                            leftovers.push(part.name.clone());
                            format!("that of segment {}", own.segment.header.number)
                        }
                    };
                    alien = Some(own.segment.corrupt(0, expected, found));
                }
                Content::Segment(own) => {
                    let header = own.segment.header;
                    let first = match index {
                        0 => Some(Link { sequence: 1, previous: Some(header.chain()) }),
                        _ => due,
                    };
                    let follows = first.is_some_and(|first| first.sequence == header.first_sequence);
                    // Whether it follows another segment is for the judge to say.
                    if let (Some(first), false, false, false) = (first, follows, behind_segment, own.headless) {
                        findings.push(not_the_successor(&own.segment, first.sequence));
                    }
                    let unknown = Link { sequence: header.first_sequence, previous: None };
                    own.scan(first.filter(|_| follows).unwrap_or(unknown))?;
                    *durable_upto = (*durable_upto).max(own.claimed());
                    due = own.link();
                }
            }
            behind_segment = matches!(part.content, Content::Segment(_));
            if let Some(what) = alien {
                findings.push(what);
                part.content = Content::Nothing;
                due = None;
            }
        }
        Ok(())
    }

    /// Judges every place at which the chain of a segment stops.
    fn judge(&mut self) -> Result<()> {
        let (mut findings, mut torn, mut missing) = (Vec::new(), None, None);
        for index in 0..self.parts.len() {
            let next = self.next(index);
            let successor = self.parts.get(index + 1).and_then(|part| match &part.content {
                Content::Segment(own) => Some(&own.segment),
                _ => None,
            });
            let Some(Part { content: Content::Segment(own), .. }) = self.parts.get(index) else { continue };
            let judged = own.judge(next, self.durable_upto)?;
            findings.extend(judged.findings);
            let end = judged.end;
            if let Some((at, stop, Verdict::Corrupt(why))) = end {
                let what = match (why, successor) {
                    (Why::SuccessorElsewhere, Some(successor)) => not_the_successor(successor, stop.due),
                    _ => blame(&own.segment, at, &stop, why, self.acknowledged),
                };
                match why {
                    Why::SuccessorMissing => missing = Some((own.segment.header.number + 1, what)),
                    _ => findings.push(what),
                }
            }
            let awaits_seal = matches!(end, Some((_, _, Verdict::AwaitsSeal)));
            if let Some(Part { content: Content::Segment(own), .. }) = self.parts.get_mut(index) {
                own.awaits_seal = awaits_seal;
                if let Some((what, at)) = judged.torn {
                    own.awaits_seal |= matches!(next, Next::Empty(_));
                    torn = Some((what, own.segment.length - at));
                    own.tear(at);
                }
            }
        }
        self.findings.append(&mut findings);
        self.torn = torn;
        if let Some((number, what)) = missing {
            self.missing_successor = Some(what);
            let (covers, name) = (number..=number, segment_name(number));
            self.parts.push(Part { covers, name, content: Content::Nothing });
        }
        Ok(())
    }

    /// What comes behind a part, as the judge asks.
    fn next(&self, index: usize) -> Next {
        match self.parts.get(index + 1).map(|part| &part.content) {
            None => Next::Nothing,
            Some(Content::Segment(own)) if own.headless => Next::Unknown,
            Some(Content::Segment(own)) => next_of(&own.segment, index + 2 == self.parts.len()),
            Some(Content::Snapshot(_) | Content::Blocks(..) | Content::Nothing) => Next::Unknown,
        }
    }

    /// As [`View`] does: that the frame that was acknowledged last is the one that is there.
    fn check_acknowledged(&mut self) {
        let Some(record) = self.acknowledged else { return };
        for part in &self.parts {
            let Content::Segment(own) = &part.content else { continue };
            let other = own.frames.iter().find(|frame| record.is_of_another_history(&frame.header));
            self.findings.extend(other.map(|frame| another_history(&own.segment, frame, &record)));
        }
    }
}

/// What the judge says of a segment.
#[derive(Default)]
struct Judged {
    /// Gaps that are corruption.
    findings: Vec<Corruption>,
    /// The first place that is torn: what is wrong, and the offset.
    torn: Option<(Corruption, u64)>,
    /// Where the segment ends, unless that is in a gap.
    end: Option<(u64, Stop, Verdict)>,
}

impl Frames {
    fn judge(&self, next: Next, durable_upto: u64) -> Result<Judged> {
        let mut judged = Judged::default();
        let mut claims: Option<Claims> = None;
        let mut stop = |at: u64, due: u64| -> Result<Stop> {
            let claims = match &mut claims {
                Some(claims) => claims,
                none => none.insert(self.segment.claims()?),
            };
            Ok(Stop { here: Here::Bad, due, proven: durable_upto.max(claims.from(at)), next })
        };
        let mut places: Vec<(u64, u64, Corruption)> = Vec::new();
        let mut buffer = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.header.sequence > durable_upto) {
            if let Err(what) = self.segment.check_frame(frame, &mut buffer)? {
                places.push((frame.at, frame.header.sequence, what));
            }
        }
        places.extend(self.gaps.iter().map(|gap| (gap.at, gap.due, gap.what.clone())));
        places.sort_by_key(|(at, ..)| *at);
        for (at, due, what) in places {
            // Behind a seal everything is one finding.
            if self.behind_seal.is_some_and(|behind| at >= behind) || judged.torn.is_some() {
                continue;
            }
            match judge(stop(at, due)?) {
                Verdict::Corrupt(_) => judged.findings.push(what),
                _ => judged.torn = Some((what, at)),
            }
        }
        let here = match (self.behind_seal, self.sealed) {
            (Some(_), _) => Here::BehindSeal,
            (None, true) => Here::Seal,
            (None, false) => Here::End,
        };
        if judged.torn.is_none() && (here != Here::End || !self.cut) {
            let stop = Stop { here, due: self.next.sequence, proven: durable_upto, next };
            let at = self.behind_seal.unwrap_or(self.segment.length);
            judged.end = Some((at, stop, judge(stop)));
        }
        Ok(judged)
    }

    /// What stands at `at` and behind does not count.
    fn tear(&mut self, at: u64) {
        self.strays.extend(self.frames.extract_if(.., |frame| frame.at >= at));
        (self.cut, self.lost_end) = (false, false);
    }
}

fn link_behind(snapshot: &Snapshot) -> Link {
    Link { sequence: snapshot.header.next_sequence, previous: Some(snapshot.header.next_previous) }
}

/// What is wrong with where a snapshot stands: its name, and what comes before it.
fn check_snapshot(snapshot: &Snapshot, name: &str, due: Option<Link>, is_first: bool) -> Vec<Corruption> {
    let header = snapshot.header;
    let mut findings = Vec::new();
    if name != snapshot_name(&(header.first..=header.last)) {
        let found = format!("one of segments {} to {}", header.first, header.last);
        findings.push(snapshot.corrupt(0, "a snapshot of the segments in its name", found));
    }
    let first = Link { sequence: header.first_sequence, previous: Some(header.first_previous) };
    if due.is_some_and(|due| due != first) || is_first && first.sequence != 1 {
        let sequence = due.map_or(1, |due| due.sequence);
        findings.push(snapshot.corrupt(
            0,
            format!("a snapshot that begins with frame {sequence} of the store"),
            "another one",
        ));
    }
    findings
}

/// A snapshot that cannot be opened, and what is wrong with each block of it.
fn blocks(
    path: &str,
    open: &dyn Fn() -> Result<Box<dyn crate::disk::File>>,
    findings: &mut Vec<Corruption>,
) -> Result<Content> {
    let (snapshot, sound) = match Snapshot::bare(path.into(), open()?) {
        Ok(snapshot) => (snapshot, true),
        Err(Error::Corruption(_)) => (Snapshot::headless(path.into(), open()?)?, false),
        Err(error) => return Err(error),
    };
    snapshot.scan(|found| {
        findings.extend(match found {
            Stretch::Block(_, _, checked) => checked.err(),
            Stretch::Gap(what, _) => Some(what.clone()),
            Stretch::Stray(..) => None,
        });
        Ok(())
    })?;
    if sound {
        findings.extend(snapshot.check_size().err());
    }
    Ok(Content::Blocks(Box::new(snapshot), sound))
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
                Found::Frame(_) | Found::Gap(_) | Found::Stray(_) => alone = false,
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
