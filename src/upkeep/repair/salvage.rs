//! What is intact in the files that are replaced, gathered in the order of the log: here in segments, in `blocks` in
//! snapshots.

use super::RepairOptions;
use super::chain::Chain;
use super::events::{SavedEvents, SavedFile};
use super::inputs::{KeptRejects, SavedInputs};
use crate::disk::{Access, Storage, path_of};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::directory::SectionKind;
use crate::format::frame::{FrameHeader, FrameKind};
use crate::segment::content::Contents;
use crate::segment::{Found, Frame, Link, Segment};
use crate::snapshot::{Snapshot, SnapshotWriter};
use crate::store::{Input, Name, Place, parse_name};
use crate::upkeep::Control;
use crate::upkeep::compact::CompactOptions;
use crate::upkeep::compact::fold::{FoldedEvents, Unfolded};
use crate::upkeep::survey::IntactFrames;
use crate::upkeep::verify::{BadSections, FrameKey};

/// What is saved, and what is lost.
#[derive(Default)]
pub(super) struct Salvage {
    pub(super) events: SavedEvents,
    pub(super) inputs: SavedInputs,
    pub(super) chain: Chain,
}

/// A frame whose header and directory are intact, wherever it stands.
struct FoundFrame {
    frame: Frame,
    /// The places of its bad sections.
    bad: Vec<usize>,
}

impl Salvage {
    /// Takes the frames of a segment, in the order of the log, wherever they stand. `bad` are the bad sections of those in their
    /// place.
    pub(super) fn segment(&mut self, part: usize, mut own: IntactFrames, bad: &BadSections) -> Result<()> {
        let found = every_frame(part, &mut own, bad)?;
        let IntactFrames { segment, lost_end, awaits_seal, .. } = own;
        let covered = self.chain.due;
        self.chain.reach(segment.header.first_sequence);
        let mut before: Option<(FrameHeader, bool)> = None;
        for FoundFrame { frame, bad } in found {
            let (header, whole) = (frame.header, bad.is_empty());
            match before.replace((header, whole)) {
                // The same frame once more: everything of it was taken.
                Some((last, true)) if last == header => before = Some((last, true)),
                Some((last, _)) if last.sequence == header.sequence => self.events.keep_good(&frame, &bad),
                // A snapshot under another name has it already.
                _ if covered.is_some_and(|covered| header.sequence < covered) => self.events.keep_good(&frame, &bad),
                _ => self.frame(&segment, frame, &bad)?,
            }
        }
        self.chain.lost_end = lost_end;
        if awaits_seal {
            // Nothing was lost with a seal that was never written.
            self.chain.due = self.chain.due.map(|due| due.saturating_add(1));
        }
        self.events.take(SavedFile::Segment(segment));
        Ok(())
    }

    fn frame(&mut self, segment: &Segment, frame: Frame, bad: &[usize]) -> Result<()> {
        let sequence = frame.header.sequence;
        self.chain.reach(sequence);
        self.chain.due = self.chain.due.max(Some(sequence.saturating_add(1)));
        self.chain.last_crc = frame.header.crc;
        if self.chain.acknowledged.is_some_and(|record| record.is_of_another_history(&frame.header)) {
            // Nobody knows since when it is another history, nor what was in the first.
            self.chain.lose(sequence, sequence);
            self.chain.loss = true;
        }
        if !bad.is_empty() {
            self.chain.lose(sequence, sequence);
        }
        match frame.header.kind {
            FrameKind::Batch => self.batch(segment, frame, bad)?,
            FrameKind::Forget if bad.is_empty() => {
                let place = Place { segment: 0, frame };
                place.forgotten(segment)?.into_iter().for_each(|instance| self.inputs.forget(instance));
            }
            FrameKind::Forget => self.chain.loss = true,
            // What an earlier hole records was lost before; the checkpoints say so already.
            FrameKind::Hole | FrameKind::Mark | FrameKind::Seal | FrameKind::Unknown(_) => {}
        }
        Ok(())
    }

    fn batch(&mut self, segment: &Segment, frame: Frame, bad: &[usize]) -> Result<()> {
        self.events.copies += frame.count(SectionKind::Repeats);
        self.events.keep_good(&frame, bad);
        if bad.contains(&0) {
            self.chain.loss = true;
            return Ok(());
        }
        let place = Place { segment: 0, frame };
        let checkpoint = place.checkpoint(segment)?;
        let (events, rejects) = (place.frame.accepted(), place.frame.count(SectionKind::Rejects));
        let is_touched = self.inputs.is_touched(&checkpoint.instance);
        let behind_a_hole = self.chain.loss && checkpoint.start > self.inputs.end_of(&checkpoint.instance);
        if !bad.is_empty() {
            self.inputs.touch(&checkpoint, checkpoint.end);
        } else if behind_a_hole && !is_touched {
            self.inputs.touch(&checkpoint, checkpoint.start);
        }
        if self.inputs.is_touched(&checkpoint.instance) {
            self.inputs.rejects_dropped += rejects;
            return Ok(());
        }
        self.inputs.add(Input { checkpoint: checkpoint.clone(), events, rejects });
        for section in place.frame.sections.iter().filter(|section| section.entry.kind == SectionKind::Rejects) {
            self.inputs.keep_rejects(KeptRejects {
                instance: checkpoint.instance,
                file: self.events.file_at_hand(),
                section: *section,
                checkpoint: Some(checkpoint.clone()),
            });
        }
        Ok(())
    }

    /// Takes the events of a file that a snapshot replaced: what the snapshot lost may still be in it.
    pub(super) fn leftover(&mut self, storage: &dyn Storage, name: &str, store: Uid) -> Result<()> {
        let path = path_of(storage, name);
        let open = || storage.open(name, Access::Read).map_err(Error::io("open", &path));
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
                self.events.keep_good(frame, &bad_places(&mut contents, &segment, frame)?);
            }
            Ok(())
        })?;
        self.events.take(SavedFile::Segment(segment));
        Ok(())
    }

    /// Writes all regions of the new snapshot; `is_first` if it is the first file of the store. Gives the number of dropped copies, or
    /// nothing once it is stopped.
    pub(super) fn write(
        &self,
        writer: &mut SnapshotWriter<'_>,
        is_first: bool,
        options: &RepairOptions,
        control: Control<'_>,
    ) -> Result<Option<u64>> {
        let unfolded = Unfolded { snapshots: &[], runs: self.events.runs() };
        let RepairOptions { threads, memory, temp, .. } = options.clone();
        let compaction = CompactOptions { threads, memory, temp, all: true };
        let Some(FoldedEvents { lines, copies }) = unfolded.fold(writer, &compaction, control)? else {
            return Ok(None);
        };
        writer.index(&lines)?;
        self.inputs.write(writer, &self.events, is_first)?;
        Ok(Some(copies + self.events.copies))
    }
}

/// All frames of a segment, in the order of the log: those in their place, those that stand elsewhere, and those that moved into a
/// damaged one. Of a frame that is there more than once the best comes first.
fn every_frame(part: usize, own: &mut IntactFrames, bad: &BadSections) -> Result<Vec<FoundFrame>> {
    let (frames, strays) = (std::mem::take(&mut own.frames), std::mem::take(&mut own.strays));
    let segment = &own.segment;
    let mut contents = Contents::default();
    let mut found: Vec<FoundFrame> = Vec::new();
    for (number, frame) in frames.into_iter().enumerate() {
        let bad = bad.get(&FrameKey { part, frame: number }).cloned().unwrap_or_default();
        found.push(FoundFrame { frame, bad });
    }
    for frame in strays {
        let bad = bad_places(&mut contents, segment, &frame)?;
        found.push(FoundFrame { frame, bad });
    }
    // Where bytes of a frame were taken out, what is behind moved up into it.
    found.sort_by_key(|found| found.frame.at);
    let (mut moved, mut searched) = (Vec::new(), 0);
    for FoundFrame { frame, .. } in found.iter().filter(|found| !found.bad.is_empty()) {
        let start = searched.max(frame.at + 1);
        for frame in segment.frames_between(start, frame.end())? {
            if found.binary_search_by_key(&frame.at, |found| found.frame.at).is_err() {
                let bad = bad_places(&mut contents, segment, &frame)?;
                moved.push(FoundFrame { frame, bad });
            }
        }
        searched = searched.max(frame.end());
    }
    found.append(&mut moved);
    found.sort_by_key(|FoundFrame { frame, bad }| (frame.header.sequence, bad.len(), !frame.in_place()));
    Ok(found)
}

/// The places of the bad sections of a frame.
fn bad_places(contents: &mut Contents, segment: &Segment, frame: &Frame) -> Result<Vec<usize>> {
    Ok(contents.check(segment, frame)?.into_iter().map(|(place, _)| place).collect())
}
