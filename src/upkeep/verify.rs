//! Checking a whole store: every checksum, order, sequence number, link of the chain and interval.
//!
//! An open file stays readable whatever a writer or a compactor does meanwhile. So only names and the end of the log can look wrong
//! for a moment; they are looked at until two looks agree. Everything else is read once, on all threads: frames one by one,
//! snapshots shard by shard. Memory holds a section a thread, and the largest site that fits it. The events of a shard that does not
//! fit are put aside (`query::large`). What the events say of each site is brought into order, and compared with the index
//! site by site.
//!
//! Beyond what readers check, every section and block is decoded. The events of a snapshot have to be in order and unique, and the
//! index has to say of each site what the fold of its events says.
//!
//! The survey says what there is to check. `frames` checks segments, and `snapshot` checks snapshots, with `events` and `index`.

mod events;
mod frames;
mod index;
mod snapshot;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::scratch::Limits;
use crate::disk::{Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::upkeep::survey::{Content, Survey};
use frames::{CheckedFrame, check_frames};
use snapshot::check_snapshot;

pub(crate) use frames::{BadSections, FrameKey};

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
    /// There is a record of what was acknowledged. Without one, a log that was cut cannot be told from one that ended there.
    pub recorded: bool,
    /// What was checked.
    pub checked: Checked,
}

/// Checks a whole store and changes nothing; `progress` is told the share that is done. Damage is a finding, not an error.
pub fn verify(storage: &dyn Storage, limits: &Limits, progress: &(dyn Fn(f64) + Sync)) -> Result<Verification> {
    Examined::of(storage, limits, progress).map(|examined| examined.verification)
}

/// What was checked so far, and what is wrong.
#[derive(Default)]
struct Tally {
    findings: Vec<Corruption>,
    checked: Checked,
}

impl Tally {
    /// Adds what another thread found.
    fn add(&mut self, mut other: Tally) {
        let Checked { files, frames, sections, blocks, events, bytes } = other.checked;
        self.checked.files += files;
        self.checked.frames += frames;
        self.checked.sections += sections;
        self.checked.blocks += blocks;
        self.checked.events += events;
        self.checked.bytes += bytes;
        self.findings.append(&mut other.findings);
    }
}

/// A store that was checked, with what repair has to know beyond the findings.
pub(crate) struct Examined {
    pub(crate) survey: Survey,
    pub(crate) bad: BadSections,
    pub(crate) verification: Verification,
}

impl Examined {
    pub(crate) fn of(storage: &dyn Storage, limits: &Limits, progress: &(dyn Fn(f64) + Sync)) -> Result<Examined> {
        let mut survey = Survey::read(storage)?;
        let findings = std::mem::take(&mut survey.findings).into_iter().chain(survey.missing_successor.clone());
        let mut tally = Tally { findings: findings.collect(), checked: Checked::default() };
        let (mut snapshots, mut frames) = (Vec::new(), Vec::new());
        for (number, part) in survey.parts.iter().enumerate() {
            tally.checked.files += u64::from(!matches!(part.content, Content::Nothing));
            match &part.content {
                Content::Snapshot(snapshot) => {
                    tally.checked.bytes += snapshot.size();
                    snapshots.push(&**snapshot);
                }
                // The survey checked every block of it.
                Content::Blocks(snapshot) | Content::HeadlessBlocks(snapshot) => tally.checked.bytes += snapshot.size(),
                Content::Segment(own) => {
                    tally.checked.bytes += own.segment.length;
                    frames.extend(CheckedFrame::all(number, own));
                }
                Content::Nothing => {}
            }
        }
        let whole: u64 = snapshots.iter().map(|snapshot| snapshot.size()).sum::<u64>()
            + frames.iter().map(|checked| checked.frame.header.length()).sum::<u64>();
        let done = AtomicU64::new(0);
        let passed = |bytes: u64| {
            let before = done.fetch_add(bytes, Ordering::Relaxed);
            progress((before + bytes).min(whole) as f64 / whole.max(1) as f64);
        };
        for snapshot in snapshots {
            check_snapshot(snapshot, limits, &passed, &mut tally)?;
        }
        let bad = check_frames(&frames, limits, &passed, &mut tally)?;
        drop(frames);
        let Tally { mut findings, checked } = tally;
        if let (true, Some(refused)) = (findings.is_empty(), survey.refused.take()) {
            findings.push(refused);
        }
        findings.sort_by(|a, b| {
            (&a.file, a.offset, &a.expected, &a.found).cmp(&(&b.file, b.offset, &b.expected, &b.found))
        });
        findings.dedup();
        let torn = survey.torn.clone();
        let recorded = survey.acknowledged.is_some();
        let verification = Verification { findings, torn, recorded, checked };
        Ok(Examined { survey, bad, verification })
    }

    /// The first part that something is wrong with. A finding in a file that is not one of the parts concerns them all.
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
fn found<T>(result: Result<T>, findings: &mut Vec<Corruption>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(Error::Corruption(what)) => {
            findings.push(*what);
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
