//! The end of the log in a backup, and how the log gets longer.
//!
//! Whatever is added, the backup is a store before and after each step, and after a loss of power in it:
//!
//! * A **new segment** is published empty before the one before it gets its seal, as a writer rolls, and replaced, whole, once that seal is
//!   durable.
//! * The **last segment** grows in place. A header proves frames before it durable, so it is written only once they are durable here as
//!   well. If that takes many fsyncs, the segment is written anew and replaces the old one.
//! * A **snapshot** needs the segment behind it, and that needs all the segments before. The source has folded those, so nobody can copy them.
//!   In their place stand segments without events: seals and, before the last of these, as many marks as it takes for the sequence number with which the
//!   snapshot goes on. They are left over once the snapshot has its name.

use crate::disk::{Access, File, Publication, Storage, leads_to, path_of, publish_over};
use crate::error::{Error, Result};
use crate::format::frame::{FrameKind, SEGMENT_HEADER, SegmentHeader};
use crate::format::snapshot_header::SnapshotHeader;
use crate::segment::{Frame, Link, Segment};
use crate::store::recover::segment_header;
use crate::store::{View, segment_name};
use crate::upkeep::pending::PendingFrames;

/// Fsyncs that an append may take before it pays to write the segment anew.
const MOST_SYNCS: usize = 32;

/// Marks that are written at once.
const MARKS: u64 = 1 << 13;

/// The last segment of a backup. All of it is durable.
pub(super) struct Tip<'a> {
    storage: &'a dyn Storage,
    pub(super) header: SegmentHeader,
    file: Box<dyn File>,
    /// Where the next frame goes.
    end: u64,
    /// What it chains to.
    pub(super) link: Link,
    /// What was copied so far: bytes, and files that were written to.
    pub(super) copied: Copied,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Copied {
    pub(super) bytes: u64,
    pub(super) files: u64,
}

/// The frames of one segment of the source, without its seal.
pub(super) struct Content<'a> {
    pub(super) segment: &'a Segment,
    pub(super) frames: Vec<&'a Frame>,
}

impl<'a> Tip<'a> {
    /// The end of a store that was recovered for a backup.
    pub(super) fn of(storage: &'a dyn Storage, view: &View) -> Result<Tip<'a>> {
        let Some(last) = view.segments.last() else {
            let store = storage.path().display().to_string();
            return Err(Error::NoStore { store, problem: "no segment".into() });
        };
        let file = open(storage, last.header.number)?;
        Ok(Tip { storage, header: last.header, file, end: last.length, link: view.link, copied: Copied::default() })
    }

    /// Whether its segment has no frame.
    pub(super) fn is_empty(&self) -> bool {
        self.end == SEGMENT_HEADER as u64
    }

    /// Appends what is durable when this returns.
    fn append(&mut self, bytes: &[u8], link: Link) -> Result<()> {
        self.write(bytes)?;
        self.sync()?;
        self.link = link;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_at(bytes, self.end).map_err(Error::io("write to", self.path()))?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.file.sync().map_err(Error::io("sync", self.path()))
    }

    fn path(&self) -> String {
        path_of(self.storage, &segment_name(self.header.number))
    }

    /// Goes on in the next segment: publishes it, and seals this one.
    pub(super) fn roll(&mut self, next: SegmentHeader, seal: &[u8], link: Link) -> Result<()> {
        // One may be there already: an interrupted roll left it, and it is empty.
        publish_over(self.storage, &segment_name(next.number), &next.encode())?;
        self.append(seal, link)?;
        self.file = open(self.storage, next.number)?;
        (self.header, self.end) = (next, SEGMENT_HEADER as u64);
        Ok(())
    }

    /// Goes on without events up to the segment behind a snapshot, and to the frame with which the snapshot goes on.
    pub(super) fn bridge(&mut self, snapshot: &SnapshotHeader) -> Result<()> {
        while self.header.number <= snapshot.last {
            if self.header.number == snapshot.last {
                self.mark_until(snapshot.next_sequence.saturating_sub(1))?;
            }
            let (storage, sequence) = (self.storage, self.link.sequence);
            let next = segment_header(storage, self.header.store, self.header.number + 1, sequence + 1)?;
            let mut seal = PendingFrames::new(self.header, self.end, self.link);
            seal.put(FrameKind::Seal, &[], &[], sequence - 1);
            self.roll(next, seal.bytes(), seal.next())?;
        }
        Ok(())
    }

    /// Appends marks up to this sequence number.
    fn mark_until(&mut self, sequence: u64) -> Result<()> {
        while self.link.sequence < sequence {
            let durable_upto = self.link.sequence - 1;
            let mut marks = PendingFrames::new(self.header, self.end, self.link);
            for _ in 0..MARKS.min(sequence - self.link.sequence) {
                marks.put(FrameKind::Mark, &[], &[], durable_upto);
            }
            self.append(marks.bytes(), marks.next())?;
        }
        Ok(())
    }

    /// A snapshot got its name: where the log goes on behind it.
    pub(super) fn follow(&mut self, snapshot: &SnapshotHeader) {
        if self.header.number == snapshot.last + 1 && self.is_empty() {
            self.link = Link { sequence: snapshot.next_sequence, previous: Some(snapshot.next_previous) };
        }
    }

    /// Brings its segment up to what the source has of it.
    pub(super) fn fill(&mut self, content: &Content<'_>, passed: &dyn Fn(u64)) -> Result<()> {
        let Content { segment, frames } = content;
        let known = if self.is_empty() { 0 } else { self.link.sequence };
        let first = frames.partition_point(|frame| frame.header.sequence < known);
        let rest = frames.get(first..).unwrap_or_default();
        let is_there = self.header == segment.header;
        if is_there && rest.is_empty() {
            return Ok(());
        }
        self.copied.files += 1;
        if is_there && !self.is_empty() && syncs(rest, known) <= MOST_SYNCS {
            self.grow(segment, rest, passed)
        } else {
            self.replace(content, passed)
        }
    }

    /// Appends frames in place.
    fn grow(&mut self, segment: &Segment, frames: &[&Frame], passed: &dyn Fn(u64)) -> Result<()> {
        let (mut durable, mut buffer) = (self.link.sequence.saturating_sub(1), Vec::new());
        for frame in frames {
            let bytes = segment.frame_bytes(frame, &mut buffer)?;
            if frame.header.durable_upto > durable {
                self.sync()?;
                durable = frame.header.sequence - 1;
            }
            self.write(bytes)?;
            self.link = Link::after(&frame.header);
            self.copied.bytes += bytes.len() as u64;
            passed(bytes.len() as u64);
        }
        self.sync()
    }

    /// Writes the segment anew.
    fn replace(&mut self, content: &Content<'_>, passed: &dyn Fn(u64)) -> Result<()> {
        let Content { segment, frames } = content;
        let publication = Publication::begin(self.storage, &segment_name(segment.header.number))?;
        let mut buffer = Vec::new();
        let mut end = SEGMENT_HEADER as u64;
        let mut write = || {
            publication.write_at(&segment.header.encode(), 0)?;
            for frame in frames {
                let bytes = segment.frame_bytes(frame, &mut buffer)?;
                publication.write_at(bytes, end)?;
                end += bytes.len() as u64;
                passed(bytes.len() as u64);
            }
            Ok(())
        };
        if let Err(error) = write() {
            publication.abandon();
            return Err(error);
        }
        publication.commit_over()?;
        self.file = open(self.storage, segment.header.number)?;
        (self.header, self.end) = (segment.header, end);
        self.copied.bytes += end;
        if let Some(last) = frames.last() {
            self.link = Link::after(&last.header);
        } else if segment.header.number == 1 {
            self.link = Link { sequence: 1, previous: Some(segment.header.chain()) };
        }
        Ok(())
    }

    /// That what was written is where its name says.
    pub(super) fn check_place(&self) -> Result<()> {
        leads_to(self.storage, &segment_name(self.header.number), &*self.file)
    }
}

/// How many fsyncs it takes to append these frames in place, if all before `first` is durable.
fn syncs(frames: &[&Frame], first: u64) -> usize {
    let (mut durable, mut count) = (first.saturating_sub(1), 1);
    for frame in frames {
        if frame.header.durable_upto > durable {
            durable = frame.header.sequence - 1;
            count += 1;
        }
    }
    count
}

fn open(storage: &dyn Storage, number: u64) -> Result<Box<dyn File>> {
    let name = segment_name(number);
    let file = storage.open(&name, Access::ReadWrite).map_err(Error::io("open", path_of(storage, &name)))?;
    leads_to(storage, &name, &*file)?;
    Ok(file)
}
