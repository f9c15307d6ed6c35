//! Where the log ends: follows the chain of frames through the segments, checks what nothing proves durable, and takes the verdict of
//! the [`judge`](crate::segment::judge) on the place where the chain stops.

use std::collections::BTreeMap;

use super::{Torn, View};
use crate::error::{Corruption, Result};
use crate::format::acknowledged::Acknowledged;
use crate::format::frame::{FrameKind, SEGMENT_HEADER};
use crate::segment::content::Contents;
use crate::segment::judge::{Here, Next, Stop, Verdict, Why, judge};
use crate::segment::{Link, Segment};
use crate::snapshot::Snapshot;
use crate::store::acknowledged::another_history;
use crate::store::blame::{blame, not_the_successor};
use crate::store::files::{Files, Purpose};
use crate::store::inputs::Known;
use crate::store::place::Place;

/// Where a chain of frames stops.
struct ChainEnd {
    /// Index of the segment.
    segment: usize,
    /// Offset in it.
    at: u64,
    /// What stands there.
    here: Here,
    /// What is wrong with it, if it is not the frame that is due.
    what: Option<Corruption>,
}

impl View {
    /// Walks the whole log, frame by frame. How much of it is checked beyond headers and directories depends on the purpose.
    pub(super) fn walk(files: Files, acknowledged: Option<Acknowledged>, purpose: Purpose) -> Result<View> {
        let Files { snapshots, segments } = files;
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
        view.go_on(0, SEGMENT_HEADER as u64, purpose)?;
        let known = Known::of(&view.snapshots, &view.segments, &view.frames)?;
        (view.inputs, view.since) = (known.inputs, known.since);
        Ok(view)
    }

    /// Walks the rest of the log, from an offset in a segment on. The frames before it were walked; they are not looked at again.
    pub(super) fn go_on(&mut self, mut index: usize, offset: u64, purpose: Purpose) -> Result<()> {
        let walked = self.frames.len();
        let mut end = self.walk_segment(index, offset)?;
        while end.here == Here::Seal && judge(self.stop(&end)?) == Verdict::GoesOn {
            index += 1;
            end = self.walk_segment(index, SEGMENT_HEADER as u64)?;
        }
        let end = self.check_sections(purpose, walked, end)?;
        self.end(end)?;
        self.check_acknowledged()
    }

    /// Walks one segment, from an offset on; says where its chain stops.
    fn walk_segment(&mut self, index: usize, mut offset: u64) -> Result<ChainEnd> {
        let segment = &self.segments[index];
        let expected = self.link.sequence;
        if offset == SEGMENT_HEADER as u64 && segment.header.first_sequence != expected {
            return Err(not_the_successor(segment, expected).into());
        }
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

    /// Checks the sections of the frames at the end of the log. The first one that is not intact ends it, as a torn header would.
    ///
    /// Always those of frames that nothing proves durable: they decide where the log ends. To append, those of the whole last
    /// segment too, and what is in them: nothing is built on what readers refuse. Those of frames before index `walked` were
    /// checked by an earlier look.
    fn check_sections(&mut self, purpose: Purpose, walked: usize, end: ChainEnd) -> Result<ChainEnd> {
        let durable_upto = self.durable_upto;
        let first = self.frames.partition_point(|place| match purpose {
            Purpose::Read => place.frame.header.sequence <= durable_upto,
            Purpose::Append => place.segment < end.segment && place.frame.header.sequence <= durable_upto,
        });
        let mut buffer = Vec::new();
        for index in first.max(walked)..self.frames.len() {
            let Place { segment, frame } = &self.frames[index];
            let (segment, header) = (*segment, frame.header);
            if let Err(what) = self.segments[segment].check_frame(frame, &mut buffer)? {
                self.link = Link { sequence: header.sequence, previous: Some(header.previous) };
                self.frames.truncate(index);
                return Ok(ChainEnd { segment, at: header.offset, here: Here::Bad, what: Some(what) });
            }
        }
        if purpose == Purpose::Append {
            self.check_contents(end.segment)?;
        }
        Ok(end)
    }

    /// Checks what is in the sections of a segment whose checksums are right. What was acknowledged needs no check, if the header of
    /// its last frame is the one that the record names: the chatwal that wrote it checked it before.
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

    /// Checks that the frame that was acknowledged last is still there. A log that was rolled back and then went on differently has
    /// another one in its place.
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
}

/// What the first frame behind these snapshots chains to.
pub(super) fn first_link(snapshots: &[Snapshot], segments: &[Segment]) -> Link {
    match snapshots.last().map(|snapshot| &snapshot.header) {
        Some(header) => Link { sequence: header.next_sequence, previous: Some(header.next_previous) },
        None => Link { sequence: 1, previous: segments.first().map(|first| first.header.chain()) },
    }
}

/// What a segment is to the one before it. `is_last` says whether it is the last of its store.
pub(crate) fn next_of(segment: &Segment, is_last: bool) -> Next {
    let first = segment.header.first_sequence;
    match is_last && segment.length == SEGMENT_HEADER as u64 {
        true => Next::Empty(first),
        false => Next::Frames(first),
    }
}
