//! What the files of a store say of its inputs and of their rejects, in the order of the log.

use std::collections::{BTreeMap, BTreeSet};

use super::Input;
use super::place::{Place, misencoded};
use crate::error::Result;
use crate::format::block::BlockKind;
use crate::format::checkpoint::{Checkpoint, Windows};
use crate::format::directory::SectionKind;
use crate::format::frame::FrameKind;
use crate::format::rejects::{Rejects, decode_rejects};
use crate::format::tables::split_rejects;
use crate::format::{Digest, MAX_COUNT, MAX_OFFSET, STDIN, Uid, WINDOW};
use crate::segment::Segment;
use crate::snapshot::Snapshot;

/// What snapshots and the frames behind them say of the inputs. A **position** counts these snapshots first, then these frames.
#[derive(Default)]
pub(crate) struct Known {
    /// Those that were not forgotten.
    pub(crate) inputs: BTreeMap<Uid, Input>,
    /// By instance: from which position on its rejects count. Those before it were forgotten.
    pub(crate) since: BTreeMap<Uid, usize>,
    /// The instances that something names as forgotten.
    pub(crate) forgotten: Vec<Uid>,
}

impl Known {
    pub(crate) fn of(snapshots: &[Snapshot], segments: &[Segment], frames: &[Place]) -> Result<Known> {
        let mut known = Known::default();
        for (position, snapshot) in snapshots.iter().enumerate() {
            snapshot.forgotten.iter().for_each(|instance| known.forget(*instance));
            snapshot.inputs.iter().for_each(|input| known.add(input.clone(), position));
        }
        known.frames(segments, frames, snapshots.len())?;
        Ok(known)
    }

    /// Adds what the next frames say, the first of which has this position.
    pub(crate) fn frames(&mut self, segments: &[Segment], frames: &[Place], first: usize) -> Result<()> {
        for (position, place) in (first..).zip(frames) {
            let (frame, segment) = (&place.frame, &segments[place.segment]);
            match frame.header.kind {
                FrameKind::Batch => {
                    let checkpoint = place.checkpoint(segment)?;
                    let (events, rejects) = (frame.accepted(), frame.count(SectionKind::Rejects));
                    self.add(Input { checkpoint, events, rejects }, position);
                }
                FrameKind::Forget => place.forgotten(segment)?.into_iter().for_each(|instance| self.forget(instance)),
                // A repair took the checkpoints back itself.
                FrameKind::Hole | FrameKind::Mark | FrameKind::Seal | FrameKind::Unknown(_) => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, newer: Input, position: usize) {
        self.since.entry(newer.checkpoint.instance).or_insert(position);
        add_input(&mut self.inputs, newer);
    }

    fn forget(&mut self, instance: Uid) {
        self.remove(&instance);
        self.forgotten.push(instance);
    }

    fn remove(&mut self, instance: &Uid) {
        self.inputs.remove(instance);
        self.since.remove(instance);
    }

    /// Makes one input of all standard inputs that have ended and are not among those `elsewhere`; returns the ones that are gone.
    /// Without this, a pipe that is read every minute would leave an input each minute for ever, and nothing ever continues one. What
    /// is known of them is added up. An input with rejects stays: a reject is named by its input.
    pub(crate) fn add_up_pipes(&mut self, elsewhere: &BTreeSet<Uid>) -> Vec<Uid> {
        let ended = |input: &&Input| {
            let Checkpoint { instance, name, .. } = &input.checkpoint;
            name == STDIN && input.rejects == 0 && !elsewhere.contains(instance)
        };
        let mut gone = Vec::new();
        let (mut bytes, mut lines, mut events, mut sum) = (0u64, 0u64, 0u64, None);
        for input in self.inputs.values().filter(ended) {
            let Checkpoint { instance, end, end_line, windows, .. } = &input.checkpoint;
            bytes = bytes.saturating_add(*end).min(MAX_OFFSET - 1);
            lines = lines.saturating_add(*end_line).min(MAX_OFFSET - 1);
            events = events.saturating_add(input.events).min(MAX_COUNT - 1);
            // An earlier sum keeps its instance.
            sum = sum.or(Some(*instance).filter(|_| windows.head == Digest::default()));
            gone.push(*instance);
        }
        let (2.., Some(instance)) = (gone.len(), sum.or(gone.first().copied())) else { return Vec::new() };
        gone.iter().for_each(|instance| self.remove(instance));
        // No bytes have such digests, so no input ever continues this one.
        let window = bytes.min(WINDOW as u64) as u16;
        let windows = Windows { head_length: window, tail_length: window, ..Windows::default() };
        let name = STDIN.to_vec();
        let (left, marks) = (0, Vec::new());
        let (end, end_line) = (bytes, lines);
        let checkpoint = Checkpoint { instance, start: 0, end, start_line: 0, end_line, windows, name, left, marks };
        self.inputs.insert(instance, Input { checkpoint, events, rejects: 0 });
        gone
    }
}

/// Adds what came in later of an input to what is known of it.
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

/// The rejects of one batch.
pub(crate) struct SectionOfRejects<'a> {
    /// The checkpoint of the batch.
    pub(crate) checkpoint: &'a Checkpoint,
    /// How many there are.
    pub(crate) count: u32,
    /// The section's bytes, which were checked.
    pub(crate) bytes: &'a [u8],
    /// The rejects.
    pub(crate) rejects: Rejects<'a>,
}

/// Visits the sections of rejects that count, in the order of the log. Ends early once `visit` returns false.
pub(crate) fn each_section_of_rejects(
    snapshots: &[Snapshot],
    segments: &[Segment],
    frames: &[Place],
    since: &BTreeMap<Uid, usize>,
    visit: &mut dyn FnMut(SectionOfRejects<'_>) -> Result<bool>,
) -> Result<()> {
    let counts = |checkpoint: &Checkpoint, position: usize| {
        since.get(&checkpoint.instance).is_some_and(|since| *since <= position)
    };
    let (mut go_on, mut buffer) = (true, Vec::new());
    for (position, snapshot) in snapshots.iter().enumerate() {
        let region = snapshot.header.region(BlockKind::Rejects);
        snapshot.blocks(BlockKind::Rejects, region, &mut buffer, |header, bytes| {
            let misencoded = |malformed| snapshot.misencoded(header, malformed);
            let (checkpoint, bytes) = split_rejects(bytes).map_err(misencoded)?;
            if go_on && counts(&checkpoint, position) {
                let rejects = decode_rejects(bytes, header.count, &checkpoint).map_err(misencoded)?;
                go_on = visit(SectionOfRejects { checkpoint: &checkpoint, count: header.count, bytes, rejects })?;
            }
            Ok(())
        })?;
        if !go_on {
            return Ok(());
        }
    }
    for (position, place) in (snapshots.len()..).zip(frames) {
        let rejects = place.frame.sections.iter().find(|section| section.entry.kind == SectionKind::Rejects);
        let (Some(section), segment) = (rejects, &segments[place.segment]) else { continue };
        let checkpoint = place.checkpoint(segment)?;
        if counts(&checkpoint, position) {
            let bytes = segment.section(section)?;
            let decoded = decode_rejects(&bytes, section.entry.count, &checkpoint);
            let rejects = decoded.map_err(|malformed| misencoded(segment, section.at, malformed))?;
            let count = section.entry.count;
            if !visit(SectionOfRejects { checkpoint: &checkpoint, count, bytes: &bytes, rejects })? {
                return Ok(());
            }
        }
    }
    Ok(())
}
