//! Checking the frames of segments: each section by its CRC and by what it holds. Frames are independent of each other, so all
//! threads take them in turn.

use std::collections::BTreeMap;

use super::Tally;
use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::format::directory::SectionKind;
use crate::query::gather::parallel;
use crate::segment::content::Contents;
use crate::segment::{Frame, Segment};
use crate::upkeep::survey::IntactFrames;

/// Memory for each thread that checks frames: one of them, and what it holds.
const FRAME: usize = 16 << 20;

/// A frame of a survey, by its part and its place among the frames of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FrameKey {
    pub(crate) part: usize,
    pub(crate) frame: usize,
}

/// The sections that are bad, by frame: their places.
pub(crate) type BadSections = BTreeMap<FrameKey, Vec<usize>>;

/// A frame that is to be checked.
pub(super) struct CheckedFrame<'a> {
    key: FrameKey,
    segment: &'a Segment,
    pub(super) frame: &'a Frame,
}

impl<'a> CheckedFrame<'a> {
    /// All frames of a part.
    pub(super) fn all(part: usize, own: &'a IntactFrames) -> impl Iterator<Item = CheckedFrame<'a>> {
        let segment = &own.segment;
        let key = move |frame| FrameKey { part, frame };
        own.frames.iter().enumerate().map(move |(number, frame)| CheckedFrame { key: key(number), segment, frame })
    }
}

/// Checks frames on all threads; `passed` is told the bytes of each. Gives the sections that are bad.
pub(super) fn check_frames(
    frames: &[CheckedFrame<'_>],
    limits: &Limits,
    passed: &(dyn Fn(u64) + Sync),
    tally: &mut Tally,
) -> Result<BadSections> {
    let threads = (limits.bytes() / FRAME).clamp(1, limits.threads.max(1));
    let workers = parallel(threads, frames.len(), FrameChecker::default, |worker, number| {
        let Some(frame) = frames.get(number) else { return Ok(()) };
        worker.check(frame)?;
        passed(frame.frame.header.length());
        Ok(())
    })?;
    let mut bad = BadSections::new();
    for mut worker in workers {
        bad.append(&mut worker.bad);
        tally.add(worker.tally);
    }
    Ok(bad)
}

/// Checks frames, one after the other; one a thread.
#[derive(Default)]
struct FrameChecker {
    contents: Contents,
    tally: Tally,
    bad: BadSections,
}

impl FrameChecker {
    fn check(&mut self, CheckedFrame { key, segment, frame }: &CheckedFrame<'_>) -> Result<()> {
        let mut bad = Vec::new();
        for (place, what) in self.contents.check(segment, frame)? {
            self.tally.findings.push(what);
            bad.push(place);
        }
        let sound = frame.sections.iter().enumerate().filter(|(place, _)| !bad.contains(place));
        let events = sound.filter(|(_, section)| section.entry.kind == SectionKind::Events);
        let checked = &mut self.tally.checked;
        checked.events += events.map(|(_, section)| u64::from(section.entry.count)).sum::<u64>();
        checked.sections += frame.sections.len() as u64;
        checked.frames += 1;
        if !bad.is_empty() {
            self.bad.insert(*key, bad);
        }
        Ok(())
    }
}
