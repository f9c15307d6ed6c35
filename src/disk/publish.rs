//! The one way for a file to enter the store, so that a file under a final name is whole.

use std::io;
use std::path::PathBuf;

use super::{File, Storage, TEMPORARY, Taken, explained, leads_to, path_of};
use crate::error::{Error, Result, Unfit};

/// A file that is being published: it is written under a temporary name and synced, then renamed, then the directory is synced. So
/// a file under a final name is whole, whenever the process or the machine dies.
pub struct Publication<'a> {
    storage: &'a dyn Storage,
    name: String,
    temporary: String,
    file: Box<dyn File>,
}

impl<'a> Publication<'a> {
    /// Begins with an empty file.
    pub fn begin(storage: &'a dyn Storage, name: &str) -> Result<Publication<'a>> {
        let temporary = format!("{name}{TEMPORARY}");
        let failed = |error| explained(storage, Error::io("create", path_of(storage, &temporary))(error));
        let file = storage.create(&temporary).map_err(failed)?;
        Ok(Publication { storage, name: name.into(), temporary, file })
    }

    /// Writes all of `bytes`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset).map_err(Error::io("write", path_of(self.storage, &self.temporary)))
    }

    /// Where temporary files are that serve to make it.
    pub fn scratch(&self) -> PathBuf {
        self.storage.scratch()
    }

    /// Gives the file up, for the space it takes. If that fails, the next writer removes it.
    pub fn abandon(self) {
        let _ = self.storage.remove(&self.temporary);
    }

    /// Gives the file its name, durably; the name has to be new.
    pub fn commit(self) -> Result<()> {
        self.publish(Taken::Refuse)
    }

    /// Gives the file its name, durably, in place of a file that has it.
    pub fn commit_over(self) -> Result<()> {
        self.publish(Taken::Replace)
    }

    fn publish(self, taken: Taken) -> Result<()> {
        let Publication { storage, name, temporary, file } = self;
        let path = path_of(storage, &temporary);
        file.sync().map_err(Error::io("sync", &path))?;
        storage.rename(&temporary, &name, taken).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => Error::io("publish", path_of(storage, &name))(Unfit::taken()),
            _ => explained(storage, Error::io("rename", path)(error)),
        })?;
        sync_directory(storage)?;
        // The caller will rely on it: acknowledge frames in it, or delete what it replaces.
        leads_to(storage, &name, &*file)?;
        storage.in_place().map(drop)
    }
}

/// Publishes a file with these bytes under a name that is new.
pub fn publish(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let publication = Publication::begin(storage, name)?;
    publication.write_at(bytes, 0)?;
    publication.commit()
}

/// Publishes a file with these bytes in place of one that has the name, if there is one.
pub fn publish_over(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let publication = Publication::begin(storage, name)?;
    publication.write_at(bytes, 0)?;
    publication.commit_over()
}

/// Makes creations, renames and deletions durable.
fn sync_directory(storage: &dyn Storage) -> Result<()> {
    storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))
}
