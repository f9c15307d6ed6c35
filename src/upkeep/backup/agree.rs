//! Whether a directory may be the backup of a store: what it holds has to be of this store, and of what the store held at some time.
//! Anything else is refused, before anything is changed.
//!
//! One chain of CRCs links all frames. So where both have the last frame of the backup, one look says that all before are the same. Where the
//! source has folded that frame, nothing in its snapshots names it. Then the mark of the backup has to say that nothing else wrote to it, and
//! what both say of the inputs must not contradict that.

use std::path::Path;

use crate::disk::{Storage, lies_in};
use crate::error::{Error, Result, Unfit};
use crate::format::frame::{FrameHeader, SEGMENT_HEADER};
use crate::snapshot::Snapshot;
use crate::store::{Input, View};

const ELSEWHERE: &str = "name a new directory, an empty one, or an earlier backup of this store";
const ANOTHER: &str =
    "see which of the two is right: back up to a new or an empty directory, or restore the store from the backup";

/// The error of a backup that is refused.
fn refusal(dest: &Path, problem: impl Into<String>, hint: &str) -> Error {
    Error::io("back up to", dest.display().to_string())(Unfit::because(problem, hint))
}

/// Refuses a path into the directory of the source. To be called before a directory is made there.
pub fn refuse_inside(source: &dyn Storage, dest: &Path) -> Result<()> {
    match lies_in(dest, source) {
        true => Err(refusal(dest, "it is the directory of the store itself, or inside it", ELSEWHERE)),
        false => Ok(()),
    }
}

/// The error for a directory of strangers.
pub(super) fn refuse_strangers(dest: &dyn Storage, found: Error) -> Error {
    match found {
        Error::NoStore { problem, .. } => refusal(dest.path(), problem, ELSEWHERE),
        other => other,
    }
}

/// A source, and a store that is to become its backup.
pub(super) struct Pair<'a> {
    pub(super) source: &'a View,
    pub(super) dest: &'a dyn Storage,
    pub(super) there: &'a View,
    /// Nothing but backups has written to it.
    pub(super) is_backup: bool,
}

impl Pair<'_> {
    /// Refuses what is no earlier state of the source.
    pub(super) fn check(&self) -> Result<()> {
        if self.source.store() != self.there.store() {
            return Err(refusal(self.dest.path(), "it holds another store", ELSEWHERE));
        }
        self.check_snapshots()?;
        self.check_end()?;
        self.check_way()
    }

    fn diverged(&self, what: &str) -> Error {
        refusal(self.dest.path(), format!("it and the store went different ways: {what}"), ANOTHER)
    }

    /// Each snapshot of the backup is one of the source, or what a snapshot of the source replaces.
    fn check_snapshots(&self) -> Result<()> {
        for own in &self.there.snapshots {
            let covers = |it: &&Snapshot| it.header.first <= own.header.first && own.header.last <= it.header.last;
            let theirs = self.source.snapshots.iter().find(covers);
            let agrees = theirs.is_some_and(|it| {
                let is_same = (it.header.first, it.header.last) == (own.header.first, own.header.last);
                it.header == own.header || (!is_same && it.header.next_sequence >= own.header.next_sequence)
            });
            if !agrees {
                return Err(self.diverged("the backup has a snapshot that the store has not"));
            }
        }
        Ok(())
    }

    /// The end of the backup is in the source.
    fn check_end(&self) -> Result<()> {
        let Pair { source, there, .. } = self;
        let (first, next) = (source.first().sequence, source.link.sequence);
        let covered = there.snapshots.last().map_or(0, |it| it.header.next_sequence - 1);
        let content = there.last_content();
        let last = content.map_or(covered, |content| content.sequence);
        if last >= next {
            let problem =
                format!("it is ahead of the store: it goes up to frame {last}, and the store up to {}", next - 1);
            return Err(refusal(self.dest.path(), problem, ANOTHER));
        }
        let tip = there.segments.iter().rev().find(|it| it.length > SEGMENT_HEADER as u64 || it.header.number == 1);
        let folded = tip.is_none_or(|tip| tip.header.number < source.segments.first().map_or(0, |it| it.header.number));
        if let (Some(tip), false) = (tip, folded) {
            // Nothing of that segment is folded: the source has every frame of it.
            let theirs = source.segments.iter().find(|it| it.header.number == tip.header.number);
            let end = there.frames.last().map(|place| place.frame.header);
            let is_there = |header: FrameHeader| {
                let at = source.frames.partition_point(|place| place.frame.header.sequence < header.sequence);
                source.frames.get(at).is_some_and(|place| place.frame.header.crc == header.crc)
            };
            let agrees = theirs.is_some_and(|it| it.header == tip.header) && end.is_none_or(is_there);
            // A segment 1 without a frame may be what a first backup began with.
            let is_begun = end.is_none() && there.snapshots.is_empty();
            return if agrees || is_begun { Ok(()) } else { Err(self.diverged("they do not have the same frames")) };
        }
        if last > 0 && last + 1 < first && !self.is_backup {
            return Err(self.diverged("something else than a backup wrote to it, or nothing tells"));
        }
        let behind = |(instance, own): (&_, &Input)| {
            source.inputs.get(instance).is_some_and(|theirs| theirs.checkpoint.end < own.checkpoint.end)
        };
        match there.inputs.iter().any(behind) {
            true => Err(self.diverged("the backup has read an input further than the store has")),
            false => Ok(()),
        }
    }

    /// Each snapshot that is new fits where it is going to stand.
    fn check_way(&self) -> Result<()> {
        let there = self.there;
        let unsealed = usize::from(there.unsealed);
        let Some(tip) = there.segments.len().checked_sub(1 + unsealed).and_then(|last| there.segments.get(last)) else {
            return Err(self.diverged("it has no segment"));
        };
        let (mut number, mut sequence) = (tip.header.number, there.link.sequence);
        for snapshot in new_snapshots(self.source, Some(there)) {
            let header = &snapshot.header;
            let fits = if number <= header.last {
                // A seal for each segment up to the last that the snapshot covers. One that is about to be sealed gets nothing else.
                let due = sequence + (header.last - number) + 1;
                let exactly = there.unsealed && number == header.last && number == tip.header.number;
                (number, sequence) = (header.last + 1, header.next_sequence);
                if exactly { due == sequence } else { due <= sequence }
            } else {
                let index = there.segments.iter().position(|it| it.header.number == header.last + 1);
                let first = index.and_then(|index| there.segments.get(index)).map(|it| it.header.first_sequence);
                let frame = there.frames.iter().find(|place| Some(place.segment) == index);
                first == Some(header.next_sequence)
                    && frame.is_none_or(|place| place.frame.header.previous == header.next_previous)
            };
            if !fits {
                return Err(self.diverged("the backup has frames that the store has not"));
            }
        }
        Ok(())
    }
}

/// The snapshots of the source that the backup does not have.
pub(super) fn new_snapshots<'v>(source: &'v View, there: Option<&View>) -> Vec<&'v Snapshot> {
    let is_there = |it: &Snapshot| there.is_some_and(|there| there.snapshots.iter().any(|own| own.header == it.header));
    source.snapshots.iter().filter(|it| !is_there(it)).collect()
}
