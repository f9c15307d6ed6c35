//! Opening a store for writing: the one place that cuts, rewrites or deletes what a crash left behind.

use std::collections::BTreeSet;

use crate::disk::{LOCK, Storage, path_of, publish};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::frame::SegmentHeader;
use crate::segment::Segment;
use crate::store::{Depth, Name, Torn, View, all_gone, parse_name, read_acknowledged, segment_name};

/// What opening for writing did to the store.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The torn end that was cut.
    pub cut: Option<Torn>,
    /// Intact frames that nothing proved durable and that were written again.
    pub rewritten: u64,
    /// Files that an interrupted publish or compaction left and that were removed.
    pub removed: Vec<String>,
}

/// A store that was recovered and can be appended to.
pub struct Recovered {
    /// The log as it is now; every frame of it is durable.
    pub view: View,
    /// What was done.
    pub recovery: Recovery,
    /// A published segment that waits for its predecessor's seal.
    pub successor: Option<Segment>,
    /// Held as long as the store may be written.
    pub lock: Box<dyn Send + Sync>,
}

/// Locks a store and makes it fit for appending; makes it first if there is none.
///
/// The one place that cuts: see "Recovery" in `wal-format.md`. A crash in here leaves a store that recovers to the same.
pub fn recover(storage: &dyn Storage) -> Result<Recovered> {
    let directory = storage.path().display().to_string();
    let names = storage.list().map_err(Error::io("list", &directory))?;
    let ours = |name: &String| name == LOCK || !matches!(parse_name(name), Name::Foreign);
    if !names.is_empty() && !names.iter().any(ours) && names != ["lost+found"] {
        let problem = "a directory with other files and no store in it".into();
        return Err(Error::NoStore { store: directory, problem });
    }
    let lock = storage.lock()?;
    let mut recovery = Recovery::default();
    // Listed again: the former holder of the lock may have changed it.
    let names = storage.list().map_err(Error::io("list", &directory))?;
    if !names.iter().any(|name| matches!(parse_name(name), Name::Segment(_) | Name::Snapshot(_))) {
        // A log that begins anew where one has vanished would hide that.
        if let Some(record) = read_acknowledged(storage)? {
            return Err(all_gone(storage, &record).into());
        }
        let store = storage.random().map_err(Error::io("get random bytes for", &directory))?;
        publish_segment(storage, store, 1, 1)?;
    }
    let (mut view, listing) = View::look(storage, true, Depth::LastSegment)?;
    // From here on things are changed, and not before: a store that is refused stays as it is. The snapshot that replaces
    // a file was opened and has its name for good only after this sync.
    if !listing.replaced.is_empty() {
        storage.sync_directory().map_err(Error::io("sync", &directory))?;
    }
    for name in listing.temporary.iter().chain(&listing.replaced) {
        storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;
        recovery.removed.push(path_of(storage, name));
    }
    // Always: the last writer may have died between a rename and its sync, and what is appended to a file whose name can
    // still vanish must not be acknowledged.
    storage.sync_directory().map_err(Error::io("sync", &directory))?;
    let mut changed = BTreeSet::new();
    if let Some(torn) = view.torn.take() {
        let segment = &mut view.segments[torn.segment];
        let end = segment.length - torn.bytes;
        segment.file.truncate(end).map_err(Error::io("cut", &segment.path))?;
        segment.length = end;
        changed.insert(torn.segment);
        recovery.cut = Some(torn);
    }
    // After a failed fsync the kernel may show pages that the disk doesn't have and that it will never write again. So
    // what nothing proves durable is written anew, from the bytes that were just checked: in the segment that is appended
    // to, and the seal before it, which a kill can leave in the page cache while that segment has no frame yet.
    let mut buffer = Vec::new();
    for place in view.frames.iter().filter(|place| place.frame.header.sequence > view.durable_upto) {
        let (segment, header) = (&view.segments[place.segment], place.frame.header);
        let length = usize::try_from(header.length()).unwrap_or(usize::MAX);
        buffer.resize(length, 0);
        let read = segment.file.read_at(&mut buffer, header.offset).map_err(Error::io("read", &segment.path))?;
        if read < length {
            return Err(segment.corrupt(header.offset, "the frame that was there a moment ago", "less").into());
        }
        segment.file.write_at(&buffer, header.offset).map_err(Error::io("write", &segment.path))?;
        recovery.rewritten += 1;
        changed.insert(place.segment);
    }
    for segment in changed.into_iter().map(|index| &view.segments[index]) {
        segment.file.sync().map_err(Error::io("sync", &segment.path))?;
    }
    let successor = if view.unsealed { view.segments.pop() } else { None };
    view.unsealed = false;
    Ok(Recovered { view, recovery, successor, lock })
}

/// Publishes an empty segment.
pub fn publish_segment(storage: &dyn Storage, store: Uid, number: u64, first_sequence: u64) -> Result<()> {
    let header = segment_header(storage, store, number, first_sequence)?;
    publish(storage, &segment_name(number), &header.encode())
}

/// The header of a new segment, with a salt of its own.
pub(crate) fn segment_header(
    storage: &dyn Storage,
    store: Uid,
    number: u64,
    first_sequence: u64,
) -> Result<SegmentHeader> {
    let directory = storage.path().display().to_string();
    let random = storage.random().map_err(Error::io("get random bytes for", directory))?;
    let salt = (u128::from_le_bytes(random) >> 64) as u64;
    Ok(SegmentHeader { store, number, salt, first_sequence })
}
