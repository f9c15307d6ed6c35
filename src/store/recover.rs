//! Opening a store for writing: the one place that cuts, rewrites or deletes what a crash left behind.

use std::collections::BTreeSet;
use std::io;

use crate::disk::{LOCK, Storage, path_of, publish};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::frame::SegmentHeader;
use crate::segment::Segment;
use crate::store::acknowledged::{all_gone, read_acknowledged};
use crate::store::files::Purpose;
use crate::store::listing::Listing;
use crate::store::names::{BACKUP_NAME, Name, parse_name, segment_name};
use crate::store::{Torn, View};

/// What opening for writing did to the store.
#[derive(Debug, Default)]
pub struct Recovery {
    /// The torn end that was cut.
    pub cut: Option<Torn>,
    /// How many intact frames nothing proved durable, so that they were written again.
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
    refuse_other_files(storage)?;
    let lock = storage.lock()?;
    make_if_none(storage)?;
    recover_locked(storage, lock, Writer::Any)
}

/// Who is going to write to a store.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writer {
    /// Whoever it is, the store is one of its own from here on, if it was a backup.
    Any,
    /// A backup.
    Backup,
}

/// The same for a store that is there and locked.
pub(crate) fn recover_locked(storage: &dyn Storage, lock: Box<dyn Send + Sync>, writer: Writer) -> Result<Recovered> {
    let directory = storage.path().display().to_string();
    let (mut view, listing) = View::look(storage, Purpose::Append)?;
    // Nothing is changed before this point: a store that is refused stays as it is.
    if writer == Writer::Any {
        end_backup(storage)?;
    }
    let removed = remove_leftovers(storage, &listing)?;
    // Always: the last writer may have died between a rename and its sync. What is appended to a file whose name can still
    // vanish must not be acknowledged.
    storage.sync_directory().map_err(Error::io("sync", &directory))?;
    let mut changed = BTreeSet::new();
    let cut = cut(&mut view)?;
    changed.extend(cut.as_ref().map(|torn| torn.segment));
    let rewritten = rewrite(&view, &mut changed)?;
    for segment in changed.into_iter().map(|index| &view.segments[index]) {
        segment.file.sync().map_err(Error::io("sync", &segment.path))?;
    }
    let successor = if view.unsealed { view.segments.pop() } else { None };
    view.unsealed = false;
    Ok(Recovered { view, recovery: Recovery { cut, rewritten, removed }, successor, lock })
}

/// Takes away the mark of a backup, if there is one: a store that somebody else writes to holds what no other store has. The caller
/// syncs the directory before it adds anything.
pub(crate) fn end_backup(storage: &dyn Storage) -> Result<()> {
    match is_backup(storage)? {
        true => storage.remove(BACKUP_NAME).map_err(Error::io("remove", path_of(storage, BACKUP_NAME))),
        false => Ok(()),
    }
}

/// Whether nothing but backups has written to a store.
pub(crate) fn is_backup(storage: &dyn Storage) -> Result<bool> {
    match storage.identity(BACKUP_NAME) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::io("look at", path_of(storage, BACKUP_NAME))(error)),
    }
}

/// Removes what is left over, durably.
pub(crate) fn sweep(storage: &dyn Storage) -> Result<()> {
    remove_leftovers(storage, &Listing::read(storage)?)?;
    storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))
}

/// Refuses a directory that holds other files and no store.
pub(crate) fn refuse_other_files(storage: &dyn Storage) -> Result<()> {
    let directory = storage.path().display().to_string();
    let names = storage.list().map_err(Error::io("list", &directory))?;
    let ours =
        |name: &String| [LOCK, BACKUP_NAME].contains(&name.as_str()) || !matches!(parse_name(name), Name::Foreign);
    if !names.is_empty() && !names.iter().any(ours) && names != ["lost+found"] {
        let problem = "a directory with other files and no store in it".into();
        return Err(Error::NoStore { store: directory, problem });
    }
    Ok(())
}

/// Begins a log if the directory has none. The directory is listed again, under the lock: its former holder may have changed it.
fn make_if_none(storage: &dyn Storage) -> Result<()> {
    let directory = storage.path().display().to_string();
    let names = storage.list().map_err(Error::io("list", &directory))?;
    if names.iter().any(|name| matches!(parse_name(name), Name::Segment(_) | Name::Snapshot(_))) {
        return Ok(());
    }
    // A new log in place of one that vanished would hide the loss.
    if let Some(record) = read_acknowledged(storage)? {
        return Err(all_gone(storage, &record).into());
    }
    let store = storage.random().map_err(Error::io("get random bytes for", &directory))?;
    publish_segment(storage, store, 1, 1)
}

/// Removes what an interrupted publish or compaction left; returns the paths.
fn remove_leftovers(storage: &dyn Storage, listing: &Listing) -> Result<Vec<String>> {
    // A snapshot that replaces files was opened, but only after this sync is its name there for good.
    if !listing.replaced.is_empty() {
        let directory = storage.path().display().to_string();
        storage.sync_directory().map_err(Error::io("sync", &directory))?;
    }
    let mut removed = Vec::new();
    for name in listing.temporary.iter().chain(&listing.replaced) {
        storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;
        removed.push(path_of(storage, name));
    }
    Ok(removed)
}

/// Cuts a torn end.
fn cut(view: &mut View) -> Result<Option<Torn>> {
    let Some(torn) = view.torn.take() else { return Ok(None) };
    let segment = &mut view.segments[torn.segment];
    let end = segment.length - torn.bytes;
    segment.file.truncate(end).map_err(Error::io("cut", &segment.path))?;
    segment.length = end;
    Ok(Some(torn))
}

/// Writes again every frame that nothing proves durable, from the bytes that were just checked; returns how many. Adds the indexes
/// of their segments to `changed`.
///
/// After a failed fsync the kernel may show pages that the disk does not have and that it will never write again. Such frames are in
/// the segment that is appended to. The seal before it can be one too: a kill can leave it in the page cache while that segment has
/// no frame yet.
fn rewrite(view: &View, changed: &mut BTreeSet<usize>) -> Result<u64> {
    let (mut rewritten, mut buffer) = (0, Vec::new());
    for place in view.frames.iter().filter(|place| place.frame.header.sequence > view.durable_upto) {
        let (segment, header) = (&view.segments[place.segment], place.frame.header);
        let length = usize::try_from(header.length()).unwrap_or(usize::MAX);
        buffer.resize(length, 0);
        let read = segment.file.read_at(&mut buffer, header.offset).map_err(Error::io("read", &segment.path))?;
        if read < length {
            return Err(segment.corrupt(header.offset, "the frame that was there a moment ago", "less").into());
        }
        segment.file.write_at(&buffer, header.offset).map_err(Error::io("write", &segment.path))?;
        rewritten += 1;
        changed.insert(place.segment);
    }
    Ok(rewritten)
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
