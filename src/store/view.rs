//! One view of a store: the files that count, open, and one prefix of the log in them. A view reads and never changes anything. Where
//! the log ends is found in [`walk`].

mod later;
mod walk;

use std::collections::BTreeMap;
use std::io;

use super::Input;
use super::acknowledged::{all_gone, read_acknowledged};
use super::files::{Files, Purpose};
use super::inputs::each_section_of_rejects;
use super::listing::{Listing, RETRIES};
use super::place::Place;
use crate::disk::Storage;
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::acknowledged::Acknowledged;
use crate::format::checkpoint::Checkpoint;
use crate::format::directory::SectionKind;
use crate::format::frame::FrameKind;
use crate::format::rejects::Rejects;
use crate::segment::{Link, Segment};
use crate::snapshot::Snapshot;
pub use later::{Position, Since};
pub(crate) use walk::next_of;

/// The end of a log that was never acknowledged and does not count.
#[derive(Clone, Debug)]
pub struct Torn {
    /// Index of its segment.
    pub(crate) segment: usize,
    /// What is wrong with the first frame that does not count, and where.
    pub what: Corruption,
    /// Bytes from there to the end of the file.
    pub bytes: u64,
}

/// One consistent prefix of the log: the files are open, every header and directory was checked.
pub struct View {
    /// The snapshots, in order: what they cover comes before the segments.
    pub snapshots: Vec<Snapshot>,
    /// The segments behind the snapshots, in order.
    pub segments: Vec<Segment>,
    /// The frames that count, in order.
    pub frames: Vec<Place>,
    /// The end that does not count.
    pub torn: Option<Torn>,
    /// What the next frame chains to.
    pub link: Link,
    /// The last frame that is proven durable.
    pub durable_upto: u64,
    /// The record of what was acknowledged, if there is one of this store.
    pub acknowledged: Option<Acknowledged>,
    /// The inputs that were not forgotten, by instance.
    pub inputs: BTreeMap<Uid, Input>,
    /// From which place on their rejects count, as [`Known`](super::inputs::Known) has it.
    since: BTreeMap<Uid, usize>,
    /// The last segment is an empty one, published to follow one whose seal is missing.
    pub(crate) unsealed: bool,
    /// Files that a snapshot replaces. They do not count.
    pub(crate) leftovers: Vec<String>,
}

impl View {
    /// Looks at a store and changes nothing. Needs no lock: a writer only appends, and what only looks like damage because it was
    /// writing just then does not look the same twice.
    pub fn open(storage: &dyn Storage) -> Result<View> {
        let mut before = None;
        for _ in 0..RETRIES {
            match View::look(storage, Purpose::Read) {
                Err(Error::Corruption(found)) if before.as_ref() != Some(&found) => before = Some(found),
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => before = None,
                answer => return answer.map(|(view, _)| view),
            }
        }
        let busy = io::Error::other("it changed at every look");
        Err(Error::io("read", storage.path().display().to_string())(busy))
    }

    /// One look at a store. The record comes first: what was acknowledged then is in the files that are opened later.
    pub(super) fn look(storage: &dyn Storage, purpose: Purpose) -> Result<(View, Listing)> {
        let acknowledged = read_acknowledged(storage)?;
        let listing = match (Listing::read(storage), &acknowledged) {
            (Err(Error::NoStore { .. }), Some(record)) => return Err(all_gone(storage, record).into()),
            (listing, _) => listing?,
        };
        let files = Files::open(storage, &listing, purpose)?;
        let mut view = View::walk(files, acknowledged, purpose)?;
        view.leftovers.clone_from(&listing.replaced);
        Ok((view, listing))
    }

    /// The store's id.
    pub fn store(&self) -> Uid {
        self.segments.first().map(|segment| segment.header.store).unwrap_or_default()
    }

    /// The record that names the last frame which is not just a mark or a seal, as far as there is one behind the snapshots.
    pub(crate) fn last_content(&self) -> Option<Acknowledged> {
        let is_content = |kind| matches!(kind, FrameKind::Batch | FrameKind::Forget | FrameKind::Hole);
        let mut headers = self.frames.iter().rev().map(|place| &place.frame.header);
        headers.find(|header| is_content(header.kind)).map(Acknowledged::of)
    }

    /// Bytes of the store's files.
    pub fn bytes(&self) -> u64 {
        let snapshots: u64 = self.snapshots.iter().map(Snapshot::length).sum();
        snapshots + self.segments.iter().map(|segment| segment.length).sum::<u64>()
    }

    /// Bytes read of its files so far.
    pub fn bytes_read(&self) -> u64 {
        let snapshots: u64 = self.snapshots.iter().map(Snapshot::bytes_read).sum();
        snapshots + self.segments.iter().map(Segment::bytes_read).sum::<u64>()
    }

    /// What the first frame behind the snapshots chains to.
    pub(crate) fn first(&self) -> Link {
        walk::first_link(&self.snapshots, &self.segments)
    }

    /// Visits the rejected lines that count, batch by batch in the order of the log: the batch's checkpoint and its rejects, of which
    /// a few bytes may stand for millions. Ends early once `visit` returns false.
    pub fn rejects(&self, visit: &mut dyn FnMut(&Checkpoint, Rejects<'_>) -> bool) -> Result<()> {
        let View { snapshots, segments, frames, since, .. } = self;
        each_section_of_rejects(snapshots, segments, frames, since, &mut |section| {
            Ok(visit(section.checkpoint, section.rejects))
        })
    }

    /// How many of the segments are sealed, durably.
    pub fn sealed(&self) -> usize {
        self.segments.len() - 1 - usize::from(self.unsealed)
    }
}

/// How many copies of events are only counted: those that compactions dropped, and lines that repeat earlier ones.
pub(crate) fn copies_of(snapshots: &[Snapshot], frames: &[Place]) -> u64 {
    let dropped: u64 = snapshots.iter().map(|snapshot| snapshot.header.copies).sum();
    dropped + frames.iter().map(|place| place.frame.count(SectionKind::Repeats)).sum::<u64>()
}
