//! The files that are folded, and what the new snapshot says besides their events: where the chain of frames goes on, the inputs,
//! and their rejects.

use std::collections::BTreeSet;

use super::fold::{FoldedEvents, Unfolded};
use super::{CompactOptions, Folds, PHASE};
use crate::base::shares::busy;
use crate::error::Result;
use crate::format::frame::FrameKind;
use crate::format::snapshot_header::SnapshotHeader;
use crate::format::tables::put_checkpoint;
use crate::query::sections::{SectionFile, SectionRun};
use crate::segment::Segment;
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::store::log::Tail;
use crate::store::{Known, Place, View, copies_of, each_section_of_rejects};
use crate::upkeep::Control;

/// The files that are folded.
pub(super) struct FoldedFiles<'a> {
    view: &'a View,
    folds: &'a Folds,
    pub(super) snapshots: &'a [Snapshot],
    pub(super) segments: &'a [Segment],
    frames: &'a [Place],
}

/// What was written of a snapshot.
pub(super) struct Written {
    /// Copies that were dropped on the way.
    pub(super) copies: u64,
    pub(super) events: u64,
    pub(super) sites: u64,
}

impl<'a> FoldedFiles<'a> {
    pub(super) fn of(view: &'a View, folds: &'a Folds) -> FoldedFiles<'a> {
        FoldedFiles {
            view,
            folds,
            snapshots: &view.snapshots[view.snapshots.len() - folds.snapshots..],
            segments: &view.segments[..folds.segments],
            frames: &view.frames[..view.frames.partition_point(|place| place.segment < folds.segments)],
        }
    }

    /// Where the chain of frames comes in and where it goes on.
    pub(super) fn header(&self) -> SnapshotHeader {
        let (first, last) = (self.frames.first().map(|place| place.frame.header), self.frames.last());
        let old = |snapshot: Option<&Snapshot>| snapshot.map(|snapshot| snapshot.header).unwrap_or_default();
        let (before, behind) = (old(self.snapshots.first()), old(self.snapshots.last()));
        let (first_sequence, first_previous) = match (self.snapshots.is_empty(), first) {
            (true, Some(first)) => (first.sequence, first.previous),
            _ => (before.first_sequence, before.first_previous),
        };
        let (next_sequence, next_previous) = match last.map(|place| place.frame.header) {
            Some(seal) => (seal.sequence + 1, seal.crc),
            None => (behind.next_sequence, behind.next_previous),
        };
        SnapshotHeader {
            store: self.view.store(),
            first: *self.folds.covers.start(),
            last: *self.folds.covers.end(),
            first_sequence,
            first_previous,
            next_sequence,
            next_previous,
            ..SnapshotHeader::default()
        }
    }

    /// What the snapshot says of the inputs.
    pub(super) fn inherited(&self, tail: &Tail) -> Result<Known> {
        let FoldedFiles { view, folds, .. } = self;
        let mut known = Known::of(self.snapshots, self.segments, self.frames)?;
        let mut elsewhere = BTreeSet::new();
        for snapshot in &view.snapshots[..view.snapshots.len() - folds.snapshots] {
            elsewhere.extend(snapshot.inputs.iter().map(|input| input.checkpoint.instance));
        }
        for place in view.frames.iter().filter(|place| place.segment >= folds.segments) {
            let segment = &view.segments[place.segment];
            match place.frame.header.kind {
                FrameKind::Batch => drop(elsewhere.insert(place.checkpoint(segment)?.instance)),
                // In a sum it would be forgotten no longer, or all of the sum with it.
                FrameKind::Forget => elsewhere.extend(place.forgotten(segment)?),
                _ => {}
            }
        }
        tail.take_away(|read| {
            elsewhere.extend(read);
            known.add_up_pipes(&elsewhere)
        });
        if *folds.covers.start() == 1 {
            // Before the first segment there is nothing to be forgotten.
            known.forgotten.clear();
        }
        Ok(known)
    }

    /// Writes all regions of the snapshot; gives nothing once it is stopped.
    pub(super) fn write(
        &self,
        writer: &mut SnapshotWriter<'_>,
        inherited: &Known,
        options: &CompactOptions,
        control: Control<'_>,
    ) -> Result<Option<Written>> {
        let _busy = busy(PHASE);
        let run = |place: &'a Place| SectionRun {
            file: SectionFile::Segment(&self.segments[place.segment]),
            sections: &place.frame.sections,
        };
        let unfolded = Unfolded { snapshots: self.snapshots, runs: self.frames.iter().map(run).collect() };
        let Some(FoldedEvents { lines, copies }) = unfolded.fold(writer, options, control)? else { return Ok(None) };
        let (sites, events) = writer.index(&lines)?;
        writer.inputs(inherited.inputs.values(), &inherited.forgotten)?;
        self.rejects(inherited, writer)?;
        let copies = copies_of(self.snapshots, self.frames) + copies;
        Ok(Some(Written { copies, events, sites }))
    }

    /// Copies the rejects that count.
    fn rejects(&self, known: &Known, writer: &mut SnapshotWriter<'_>) -> Result<()> {
        let mut payload = Vec::new();
        let FoldedFiles { snapshots, segments, frames, .. } = self;
        each_section_of_rejects(snapshots, segments, frames, &known.since, &mut |section| {
            payload.clear();
            put_checkpoint(&mut payload, section.checkpoint);
            payload.extend_from_slice(section.bytes);
            writer.rejects(section.count, &payload).map(|()| true)
        })
    }
}
