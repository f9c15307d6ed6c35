//! What there is of a store, past any damage: what `verify` judges and `repair` saves.
//!
//! [`View::open`] says whether a store is sound, and what it accepts is taken as it says. What it refuses is looked at here, by the
//! same rules and the same judge, but without stopping at the first damage. Nothing is changed.
//!
//! `tile` says which files count, `open` opens them, `chain` follows the frames through them and `judge` judges what it finds.
//! `frames` is what is intact in one segment.

mod chain;
mod frames;
mod judge;
mod open;
mod tile;

use std::io;
use std::ops::RangeInclusive;

use crate::disk::Storage;
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::segment::Link;
use crate::snapshot::Snapshot;
use crate::store::{RETRIES, View, another_history, read_acknowledged, segment_name, snapshot_name};

pub(crate) use frames::IntactFrames;

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
    /// The last segment is sealed, and its successor is missing: a finding of its own, since no file is damaged.
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
    /// A snapshot of which only blocks can be read, one by one. Its header is sound.
    Blocks(Box<Snapshot>),
    /// The same of one whose header is bad.
    HeadlessBlocks(Box<Snapshot>),
    /// A segment.
    Segment(Box<IntactFrames>),
    /// Nothing: it is missing, or nothing in it can be told to be of this store.
    Nothing,
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
            let mut own = IntactFrames::of(segment);
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

    /// Checks, as [`View`] does, that the frame that was acknowledged last is the one that is there.
    fn check_acknowledged(&mut self) {
        let Some(record) = self.acknowledged else { return };
        for part in &self.parts {
            let Content::Segment(own) = &part.content else { continue };
            let other = own.frames.iter().find(|frame| record.is_of_another_history(&frame.header));
            self.findings.extend(other.map(|frame| another_history(&own.segment, frame, &record)));
        }
    }
}
