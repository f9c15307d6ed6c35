//! What there is to fold: which files of a store a compaction takes, by their sizes.

use std::ops::RangeInclusive;

use crate::format::frame::SEGMENT_HEADER;
use crate::store::View;

/// The files that a compaction takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    /// The segments that the new snapshot covers.
    pub covers: RangeInclusive<u64>,
    /// Snapshots among them, the last ones of the store.
    pub snapshots: usize,
    /// Segments among them, the first ones of the tail.
    pub segments: usize,
    /// Bytes of these files: what is read, freed in the end, and written at most, give or take an index.
    pub bytes: u64,
}

/// What becomes of the last segment, which a log appends to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastSegment {
    /// It stays.
    Stays,
    /// It is sealed first, if it holds frames, and folded with the others.
    SealedFirst,
}

impl Folds {
    /// What there is to fold in a store: nothing, unless it has sealed segments, or several snapshots and `all` are to become
    /// one.
    pub(super) fn of(view: &View, all: bool, last: LastSegment) -> Option<Folds> {
        let sealed = view.sealed();
        let is_sealed_first = last == LastSegment::SealedFirst;
        let last = view.segments.get(sealed).filter(|last| is_sealed_first && last.length > SEGMENT_HEADER as u64);
        let segments = sealed + usize::from(last.is_some());
        let mut bytes: u64 = view.segments.iter().take(segments).map(|segment| segment.length).sum();
        let mut snapshots = 0;
        for snapshot in view.snapshots.iter().rev() {
            if !all && snapshot.length() / 2 > bytes {
                break;
            }
            bytes += snapshot.length();
            snapshots += 1;
        }
        if segments == 0 && snapshots < 2 {
            return None;
        }
        let first = match view.snapshots.len().checked_sub(snapshots).and_then(|kept| view.snapshots.get(kept)) {
            Some(snapshot) => snapshot.header.first,
            None => view.segments.first()?.header.number,
        };
        let last = match segments.checked_sub(1).and_then(|last| view.segments.get(last)) {
            Some(segment) => segment.header.number,
            None => view.snapshots.last()?.header.last,
        };
        Some(Folds { covers: first..=last, snapshots, segments, bytes })
    }
}
