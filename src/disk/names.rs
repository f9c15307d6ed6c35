//! Making names durable: the fsync of directories.
//!
//! A new file or directory can be found after a loss of power only once the directory around it is synced. Some file systems cannot
//! do that; [`Names`] says what then.

use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode};
use rustix::io::{Errno, retry_on_intr};

use super::file::DIRECTORY;
use crate::error::{Error, Result, Unfit};

/// Whether names have to be durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Names {
    /// A file system that cannot fsync a directory is an error.
    Durable,
    /// There it is left to the file system, and [`Disk::names_are_unsynced`](super::Disk::names_are_unsynced) says so.
    DurableIfPossible,
}

/// What became of the names in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// They are durable.
    Durable,
    /// They are left to the file system, which cannot fsync a directory.
    LeftToTheSystem,
}

/// When a name was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    /// By this process.
    Now,
    /// It was there when this process began.
    Before,
}

impl Made {
    /// Of a name that this process made if it `is_new`.
    pub(super) fn of(is_new: bool) -> Made {
        if is_new { Made::Now } else { Made::Before }
    }
}

/// Makes the name of a directory on the way to a store durable.
pub(super) fn sync_name_of(directory: &Path, names: Names, made: Made) -> Result<()> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let synced = sync_directory_at(CWD, parent, names, made);
    // Where that is not possible, it is not possible for the store's own name either, and that is said.
    synced.map(drop).map_err(Error::io("sync", parent.display().to_string()))
}

/// Opens a directory and makes the names in it durable. `made` says who made the name that matters.
pub(super) fn sync_directory_at(from: impl AsFd, path: &Path, names: Names, made: Made) -> io::Result<Synced> {
    match retry_on_intr(|| rustix::fs::openat(&from, path, DIRECTORY, Mode::empty())) {
        // Its owner may let nobody look inside. Then nobody but the owner made what is there.
        Err(Errno::ACCESS) if made == Made::Before => Ok(Synced::Durable),
        directory if made == Made::Now => sync_names(directory?, names),
        // It may be of another file system, for example one that is only read, on which nobody made anything.
        directory => sync_names(directory?, Names::DurableIfPossible).map(|_| Synced::Durable),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_names(directory: impl AsFd, names: Names) -> io::Result<Synced> {
    match retry_on_intr(|| rustix::fs::fsync(&directory)) {
        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) if names == Names::DurableIfPossible => {
            Ok(Synced::LeftToTheSystem)
        }
        Err(error @ (Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS)) => Err(Unfit::because(
            format!(
                "this file system cannot fsync a directory ({error}): the names of files may not survive a loss of power"
            ),
            "keep the store on a file system that can, such as ext4, xfs or btrfs; or ingest with `--durability os`: what that \
             acknowledges survives the death of the process only",
        )),
        answer => Ok(answer.map(|()| Synced::Durable)?),
    }
}
