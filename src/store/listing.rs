//! The listing of a store's directory: which files count, and which are left over. It goes by names alone and opens nothing but
//! the record of what was acknowledged.

use std::ops::RangeInclusive;

use super::acknowledged::read_acknowledged;
use super::names::{Name, parse_name, segment_name, snapshot_name};
use crate::disk::{Storage, path_of};
use crate::error::{Corruption, Error, Result};

/// How often to look again after a look found something wrong. A second look that finds the same settles it.
pub(crate) const RETRIES: usize = 100;

/// What the directory's names say: which files count, and which are left over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Listing {
    /// The segments that each snapshot covers, in order and without a gap, from 1.
    pub(crate) snapshots: Vec<RangeInclusive<u64>>,
    /// The segments behind them, without a gap.
    pub(crate) segments: RangeInclusive<u64>,
    /// Files that a snapshot among `snapshots` replaces: a crash came after it was published and before they were deleted.
    pub(crate) replaced: Vec<String>,
    /// What an interrupted publish left.
    pub(crate) temporary: Vec<String>,
}

impl Listing {
    /// Reads the directory. The intervals of the files that count tile the segments from 1 to the last.
    pub(crate) fn read(storage: &dyn Storage) -> Result<Listing> {
        let directory = storage.path().display().to_string();
        let names = storage.list().map_err(Error::io("list", &directory))?;
        let mut listing = Listing {
            snapshots: Vec::new(),
            segments: RangeInclusive::new(1, 0),
            replaced: Vec::new(),
            temporary: Vec::new(),
        };
        let (mut snapshots, mut segments) = (Vec::new(), Vec::new());
        for name in names {
            match parse_name(&name) {
                Name::Segment(number) => segments.push(number),
                Name::Snapshot(covers) => snapshots.push(covers),
                Name::Temporary => listing.temporary.push(name),
                Name::Foreign => {}
            }
        }
        if snapshots.is_empty() && segments.is_empty() {
            return Err(Error::NoStore { store: directory, problem: "no store there: it holds no segment".into() });
        }
        let missing = |number, found: String| {
            let (file, expected) = (path_of(storage, &segment_name(number)), "a segment of this number".into());
            Err(Corruption { file, offset: 0, expected, found: format!("{found} next") }.into())
        };
        // The widest of those that begin at one segment comes first.
        snapshots.sort_unstable_by_key(|covers| (*covers.start(), std::cmp::Reverse(*covers.end())));
        let mut next = 1;
        for covers in snapshots {
            if *covers.end() < next {
                listing.replaced.push(snapshot_name(&covers));
            } else if *covers.start() == next {
                next = covers.end() + 1;
                listing.snapshots.push(covers);
            } else if *covers.start() > next {
                return missing(next, snapshot_name(&covers));
            } else {
                let file = path_of(storage, &snapshot_name(&covers));
                let expected = format!("a snapshot that begins with segment {next}");
                return Err(Corruption { file, offset: 0, expected, found: "one that overlaps another".into() }.into());
            }
        }
        segments.sort_unstable();
        let first = next;
        for number in segments {
            match number {
                number if number < first => listing.replaced.push(segment_name(number)),
                number if number == next => next += 1,
                number => return missing(next, segment_name(number)),
            }
        }
        if next == first {
            return missing(next, "nothing".into());
        }
        listing.segments = first..=next - 1;
        Ok(listing)
    }
}

/// For commands that must not create a store, as taking the lock and opening for writing both would: returns `NoStore` unless one
/// exists. A damaged store exists.
pub fn refuse_no_store(storage: &dyn Storage) -> Result<()> {
    match Listing::read(storage) {
        Err(Error::Corruption(_)) | Ok(_) => Ok(()),
        Err(Error::NoStore { .. }) if read_acknowledged(storage)?.is_some() => Ok(()),
        Err(error) => Err(error),
    }
}
