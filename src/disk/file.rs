//! Files of a real file system.

use std::fs;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::retry_on_intr;

use super::{File, Identity};
use crate::error::Unfit;

/// A file that is opened is closed if the process becomes another program. A terminal does not become the process's own.
pub(super) const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOCTTY);
/// The same for a directory.
pub(super) const DIRECTORY: OFlags = ALWAYS.union(OFlags::DIRECTORY);

/// Opens a file that a user named, for reading. Follows a link, since the user asked for it. Does not wait for a pipe.
pub(crate) fn open_regular(path: &Path) -> io::Result<fs::File> {
    let open = || rustix::fs::openat(CWD, path, ALWAYS | OFlags::NONBLOCK, Mode::empty());
    let file = fs::File::from(retry_on_intr(open)?);
    refuse_named(&file.metadata()?)?;
    Ok(file)
}

/// The error for what stands in the place of a file.
pub(super) fn irregular(what: &str) -> io::Error {
    Unfit::because(
        format!("not a regular file but {what}"),
        "no writer made it: move it away; if a file is missing then, restore it from a backup",
    )
}

/// Refuses what is not a file, where a user named it.
fn refuse_named(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_dir() {
        return Err(Unfit::because("not a regular file but a directory", "name a file in it"));
    }
    refuse_non_file(metadata)
}

/// Refuses what is not a file: reading a pipe would wait for its other end.
pub(super) fn refuse_non_file(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.file_type() {
        kind if kind.is_file() => Ok(()),
        kind if kind.is_dir() => Err(irregular("a directory")),
        _ => Err(irregular("a pipe, a socket or a device")),
    }
}

/// The path of an open file or directory, if it has one and the system tells.
pub(super) fn whereabouts(file: &fs::File) -> Option<PathBuf> {
    let place = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    // For a deleted file it gives the old path with a remark behind; for one that a mount hides, a path that leads elsewhere.
    let found = fs::symlink_metadata(&place).ok()?;
    let own = file.metadata().ok()?;
    ((found.dev(), found.ino()) == (own.dev(), own.ino())).then_some(place)
}

impl File for fs::File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        read_full(buffer, offset, |piece, at| std::os::unix::fs::FileExt::read_at(self, piece, at))
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn identity(&self) -> io::Result<Identity> {
        let metadata = self.metadata()?;
        Ok(Identity { device: metadata.dev(), inode: metadata.ino(), links: metadata.nlink() })
    }

    fn whereabouts(&self) -> Option<PathBuf> {
        whereabouts(self)
    }
}

fn read_full(
    buffer: &mut [u8],
    offset: u64,
    mut read: impl FnMut(&mut [u8], u64) -> io::Result<usize>,
) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&mut buffer[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
