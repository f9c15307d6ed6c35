//! Renaming a file to a name that has to be new: where it is taken, the file that has it stays.
//!
//! Three ways, the best that there is: one call, a link, a look before the renaming.

use std::fs;

use rustix::fs::AtFlags;
use rustix::io::Errno;

/// Renames a file inside a directory; an error if the name is taken.
pub(super) fn rename_to_new(directory: &fs::File, from: &str, to: &str) -> rustix::io::Result<()> {
    match by_call(directory, from, to) {
        Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => by_link(directory, from, to),
        answer => answer,
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn by_call(directory: &fs::File, from: &str, to: &str) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(directory, from, directory, to, rustix::fs::RenameFlags::NOREPLACE)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn by_call(_: &fs::File, _: &str, _: &str) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

/// The same by a link, for systems without the one call: Linux before 3.15, and some file systems.
pub(super) fn by_link(directory: &fs::File, from: &str, to: &str) -> rustix::io::Result<()> {
    match rustix::fs::linkat(directory, from, directory, to, AtFlags::empty()) {
        Ok(()) => rustix::fs::unlinkat(directory, from, AtFlags::empty()),
        // No links there.
        Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::MLINK) => {
            by_look(directory, from, to)
        }
        Err(error) => Err(error),
    }
}

/// The same where there are no links either. The caller holds the writer's lock, so no other writer makes the name between the
/// look and the renaming.
pub(super) fn by_look(directory: &fs::File, from: &str, to: &str) -> rustix::io::Result<()> {
    match rustix::fs::statat(directory, to, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(_) => Err(Errno::EXIST),
        Err(Errno::NOENT) => rustix::fs::renameat(directory, from, directory, to),
        Err(error) => Err(error),
    }
}
