//! Whether the disk has the room that a compaction needs: that of the new snapshot, beside the files that it replaces.
//!
//! Only making the snapshot tells how large it is going to be: copies may go, and names are written again in the index. So it
//! is made twice if the disk has not got plenty of room: the first time it is only measured. Nothing is refused
//! that would fit.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::Compaction;
use crate::disk::{Access, File, Identity, Stamp, Storage, Taken, path_of};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::snapshot::SnapshotWriter;
use crate::store::log::Tail;
use crate::store::snapshot_name;
use crate::upkeep::Control;

/// So many times the bytes of what is folded are plenty: names in the index and in the blocks of events make it twice as much.
const PLENTY: u64 = 3;

/// Besides the snapshot: the segment that begins behind it, and the names of both in the directory, in blocks of the disk.
const NAMES: u64 = 16 << 10;

/// Bytes that have to be free for a snapshot of so many, and what comes with it.
pub fn needed_for(snapshot: u64) -> u64 {
    snapshot.saturating_add(NAMES)
}

/// Bytes that the disk has free, where that can be told.
pub fn room_of(storage: &dyn Storage) -> Result<Option<u64>> {
    storage.room().map_err(Error::io("look at the room of", storage.path().display().to_string()))
}

impl Compaction<'_> {
    /// The bytes of the snapshot that it makes; nothing once `stop` is set. Reads and folds everything, and changes nothing.
    pub fn measure(&self, stop: &AtomicBool, progress: &(dyn Fn(f64) + Sync)) -> Result<Option<u64>> {
        let files = self.files();
        // Of the tail of nobody, nothing is taken away.
        let inherited = files.inherited(&Tail::default())?;
        let scale = Scale(self.storage);
        let mut writer = SnapshotWriter::create(&scale, &snapshot_name(&self.folds.covers), files.header())?;
        let written = files.write(&mut writer, &inherited, self.options, Control { stop, progress })?;
        Ok(written.map(|_| writer.end()))
    }

    /// Refuses it if the disk has no room for it, with `spare` bytes to be left; gives false once `stop` is set.
    pub fn refuse_no_room(&self, stop: &AtomicBool, spare: u64) -> Result<bool> {
        let Some(room) = room_of(self.storage)? else { return Ok(true) };
        if room >= self.folds.bytes.saturating_mul(PLENTY).saturating_add(spare) {
            return Ok(true);
        }
        let Some(snapshot) = self.measure(stop, &|_| ())? else { return Ok(false) };
        let needed = needed_for(snapshot);
        if needed.saturating_add(spare) <= room {
            return Ok(true);
        }
        let path = path_of(self.storage, &snapshot_name(&self.folds.covers));
        let beside = if spare > 0 { format!(" and leaves {spare} to the ingest") } else { String::new() };
        let problem = format!("it takes {needed} bytes{beside}, and the disk has {room} free");
        Err(Error::io("write", path)(io::Error::new(io::ErrorKind::StorageFull, problem)))
    }
}

/// A disk that takes everything and keeps nothing.
struct Scale<'a>(&'a dyn Storage);

struct Weighed;

impl Storage for Scale<'_> {
    fn path(&self) -> &Path {
        self.0.path()
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Weighed))
    }

    fn random(&self) -> io::Result<Uid> {
        // Nobody reads it.
        Ok(Uid::default())
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }

    fn open(&self, _: &str, _: Access) -> io::Result<Box<dyn File>> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn open_or_create(&self, _: &str) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Weighed))
    }

    fn rename(&self, _: &str, _: &str, _: Taken) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self, _: &str) -> io::Result<Identity> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn scratch(&self) -> PathBuf {
        self.0.scratch()
    }

    fn in_place(&self) -> Result<Option<Stamp>> {
        self.0.in_place()
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        Ok(Box::new(()))
    }
}

impl File for Weighed {
    fn length(&self) -> io::Result<u64> {
        Ok(0)
    }

    fn read_at(&self, _: &mut [u8], _: u64) -> io::Result<usize> {
        Ok(0)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Ok(())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Err(io::ErrorKind::NotFound.into())
    }
}
