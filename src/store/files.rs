//! Opening the files of a listing: each has to be what its name says, and of the same store as the others.

use super::listing::Listing;
use super::names::{segment_name, snapshot_name};
use crate::disk::{Access, Storage, path_of};
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::snapshot::Snapshot;

/// What files are opened for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To read. Nothing is changed.
    Read,
    /// To append to the log, once it is recovered.
    Append,
}

/// The files of a listing, in its order.
pub(super) struct Files {
    /// The snapshots.
    pub(super) snapshots: Vec<Snapshot>,
    /// The segments behind them.
    pub(super) segments: Vec<Segment>,
}

impl Files {
    /// Opens the files of a listing.
    pub(super) fn open(storage: &dyn Storage, listing: &Listing, purpose: Purpose) -> Result<Files> {
        let snapshots = open_snapshots(storage, listing)?;
        let segments = open_segments(storage, listing, purpose, &snapshots, Vec::new())?;
        Ok(Files { snapshots, segments })
    }
}

/// Opens the snapshots. Each continues the frames of the one before it.
fn open_snapshots(storage: &dyn Storage, listing: &Listing) -> Result<Vec<Snapshot>> {
    let mut snapshots: Vec<Snapshot> = Vec::new();
    for covers in &listing.snapshots {
        let name = snapshot_name(covers);
        let path = path_of(storage, &name);
        let file = storage.open(&name, Access::Read).map_err(Error::io("open", &path))?;
        let snapshot = Snapshot::open(path, file)?;
        let header = &snapshot.header;
        if (header.first, header.last) != (*covers.start(), *covers.end()) {
            let found = format!("one of segments {} to {}", header.first, header.last);
            return Err(snapshot.corrupt(0, "a snapshot of the segments in its name", found).into());
        }
        let store = snapshots.first().map_or(header.store, |first| first.header.store);
        let (sequence, previous) = match snapshots.last().map(|before| &before.header) {
            Some(before) => (before.next_sequence, before.next_previous),
            None => (1, header.first_previous),
        };
        if (header.store, header.first_sequence, header.first_previous) != (store, sequence, previous) {
            let (expected, found) =
                (format!("a snapshot that begins with frame {sequence} of the store"), "another one");
            return Err(snapshot.corrupt(0, expected, found).into());
        }
        snapshots.push(snapshot);
    }
    Ok(snapshots)
}

/// Opens the segments behind these snapshots, after the first ones of them, which are open already. All files are of one store.
pub(super) fn open_segments(
    storage: &dyn Storage,
    listing: &Listing,
    purpose: Purpose,
    snapshots: &[Snapshot],
    mut segments: Vec<Segment>,
) -> Result<Vec<Segment>> {
    let mut store = snapshots.first().map(|first| (first.header.store, first.path.clone()));
    store = store.or_else(|| segments.first().map(|first| (first.header.store, first.path.clone())));
    for number in listing.segments.clone().skip(segments.len()) {
        let name = segment_name(number);
        let path = path_of(storage, &name);
        // The last one may get a new end, the one before it its seal. No byte of the others is ever written again: a hard link may
        // make them somebody else's as well.
        let access = match purpose {
            Purpose::Append if number.saturating_add(1) >= *listing.segments.end() => Access::ReadWrite,
            Purpose::Append | Purpose::Read => Access::Read,
        };
        let file = storage.open(&name, access).map_err(Error::io("open", &path))?;
        let segment = Segment::open(path, file)?;
        if segment.header.number != number {
            let found = format!("that of segment {}", segment.header.number);
            return Err(segment.corrupt(0, "the header of the segment in its name", found).into());
        }
        let (id, first) = store.get_or_insert_with(|| (segment.header.store, segment.path.clone()));
        if *id != segment.header.store {
            return Err(segment
                .corrupt(0, format!("a segment of the same store as {first}"), "one of another store")
                .into());
        }
        segments.push(segment);
    }
    Ok(segments)
}
