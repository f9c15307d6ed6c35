//! The writer's lock, and who holds it when it cannot be had.
//!
//! What a file says of its lock can be stale; the kernel's list of locks is not. A process is named only if it holds the lock now,
//! as far as this process can see.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{major, minor};
use rustix::io::Errno;

use crate::base::shell::quoted;
use crate::error::{Error, Result, Unfit};

/// Who may open the files of a store, by the modes of its directory.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Modes {
    /// Its owner alone.
    Private,
    /// Others as well, and so they can take the lock.
    Loose,
}

/// Takes the lock of a file of the store at `store`, or of its directory.
pub(super) fn locked(
    file: &fs::File,
    store: &Path,
    modes: Modes,
    failed: impl FnOnce(io::Error) -> Error,
) -> Result<()> {
    let contended = fs2::lock_contended_error().raw_os_error();
    let without_locks = [Errno::NOLCK, Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL].map(|it| Some(it.raw_os_error()));
    loop {
        match fs2::FileExt::try_lock_exclusive(file) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.raw_os_error() == contended => {
                let pid = holder(file);
                let (store, hint) = (store.display().to_string(), hint(pid, store, modes));
                return Err(Error::Locked { store, pid, hint });
            }
            Err(error) if without_locks.contains(&error.raw_os_error()) => {
                return Err(failed(Unfit::because(
                    format!(
                        "this file system has no locks ({error}), and without one, two writers could spoil the store"
                    ),
                    "mount it with locks (NFS: start its lock service, or mount with local_lock=flock if no other machine writes), or \
                     keep the store on another file system",
                )));
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

/// What to do about a lock that somebody holds.
fn hint(pid: Option<u32>, store: &Path, modes: Modes) -> String {
    let name = |process: &str| fs::read_to_string(format!("/proc/{process}/comm")).ok();
    let stranger = pid.and_then(|pid| {
        let name = name(&pid.to_string())?;
        (Some(&name) != own_name().as_ref()).then(|| (pid, name.trim().to_owned()))
    });
    let mut hint = match stranger {
        None => "wait for it to end, or stop it: what it acknowledged is safe".to_owned(),
        Some((pid, name)) => {
            format!("process {pid} is `{name}`: wait for it to end, or `kill {pid}` if it is no writer of this store")
        }
    };
    if modes == Modes::Loose {
        let store = quoted(store);
        hint += &format!("; other users may hold the lock as well: `chmod 700 {store}` prevents it");
    }
    hint
}

fn own_name() -> Option<String> {
    fs::read_to_string("/proc/self/comm").ok()
}

/// A process that holds a lock of this file now, if the system tells.
fn holder(file: &fs::File) -> Option<u32> {
    let own = file.metadata().ok()?;
    let locks = fs::read_to_string("/proc/locks").ok()?;
    locks.lines().filter_map(Lock::parse).find(|lock| lock.is_held_on(&own)).map(|lock| lock.pid)
}

/// A lock as `/proc/locks` lists it: who took it, and of which file.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    pid: u32,
    major: u32,
    minor: u32,
    inode: u64,
}

/// What the open files of a process say of a lock.
#[derive(Debug, PartialEq, Eq)]
enum Evidence {
    /// One of them has it.
    Holds,
    /// The file is open, and this kernel does not say more.
    Open,
    /// It has not got the file, or is gone.
    None,
    /// They cannot be seen.
    Hidden,
}

impl Lock {
    /// Of a line such as `3: FLOCK  ADVISORY  WRITE 1234 fe:00:131073 0 EOF`. Who waits for a lock has `->` behind the number.
    fn parse(line: &str) -> Option<Lock> {
        let mut fields = line.split_whitespace().skip(1);
        if fields.next() != Some("FLOCK") {
            return None;
        }
        let mut fields = fields.skip(2);
        // No process of this namespace has 0 or less.
        let pid = fields.next()?.parse().ok().filter(|&pid| pid > 0)?;
        let mut place = fields.next()?.split(':');
        let mut device = || u32::from_str_radix(place.next()?, 16).ok();
        let (major, minor) = (device()?, device()?);
        Some(Lock { pid, major, minor, inode: place.next()?.parse().ok()? })
    }

    /// Whether its process holds it, on this file. Some file systems (btrfs, overlay) have other numbers in the list than in
    /// their files: there, only the process's open files count.
    fn is_held_on(&self, file: &fs::Metadata) -> bool {
        let listed = (major(file.dev()), minor(file.dev()), file.ino()) == (self.major, self.minor, self.inode);
        match evidence(Path::new(&format!("/proc/{}", self.pid)), file) {
            Evidence::Holds => true,
            Evidence::Open | Evidence::Hidden => listed,
            Evidence::None => false,
        }
    }
}

/// Looks through the open files of a process.
fn evidence(process: &Path, file: &fs::Metadata) -> Evidence {
    let Ok(entries) = fs::read_dir(process.join("fd")) else {
        return if process.exists() { Evidence::Hidden } else { Evidence::None };
    };
    let is_it =
        |path: &PathBuf| fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (file.dev(), file.ino()));
    let mut evidence = Evidence::None;
    for path in entries.flatten().map(|entry| entry.path()).filter(is_it) {
        let info = path.file_name().map(|number| process.join("fdinfo").join(number));
        let info = info.and_then(|info| fs::read_to_string(info).ok()).unwrap_or_default();
        if info.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK")) {
            return Evidence::Holds;
        }
        evidence = Evidence::Open;
    }
    evidence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_list_is_read() {
        let lock = |pid, major, minor, inode| Some(Lock { pid, major, minor, inode });
        for (line, found) in [
            ("3: FLOCK  ADVISORY  WRITE 1234 fe:1f:131073 0 EOF", lock(1234, 0xfe, 0x1f, 131073)),
            ("12: FLOCK  ADVISORY  READ  7 00:2a:9 0 EOF", lock(7, 0, 42, 9)),
            ("3: -> FLOCK  ADVISORY  WRITE 1234 fe:00:131073 0 EOF", None),
            ("4: POSIX  ADVISORY  WRITE 1234 fe:00:131073 0 EOF", None),
            ("5: FLOCK  ADVISORY  WRITE -1 fe:00:131073 0 EOF", None),
            ("6: FLOCK  ADVISORY  WRITE 0 fe:00:131073 0 EOF", None),
            ("7: FLOCK  ADVISORY  WRITE 12 fe:00", None),
            ("", None),
        ] {
            assert_eq!(Lock::parse(line), found, "{line}");
        }
    }

    #[test]
    fn a_process_is_named_for_the_file_that_it_has_locked_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let open = |name| fs::File::create(directory.path().join(name)).unwrap();
        let (held, free) = (open("held"), open("free"));
        fs2::FileExt::lock_exclusive(&held).unwrap();
        let own = std::process::id();
        assert_eq!((holder(&held), holder(&free)), (Some(own), None));
        // Not where the numbers in the list are those of another file, unless the process has the lock as well.
        let (locked, other) = (held.metadata().unwrap(), free.metadata().unwrap());
        let lock = Lock { pid: own, major: 0, minor: 0, inode: 1 };
        assert!(lock.is_held_on(&locked) && !lock.is_held_on(&other));
        // Nor after it has let go, or is gone.
        fs2::FileExt::unlock(&held).unwrap();
        let lock = Lock { pid: own, major: 0, minor: 0, inode: locked.ino() };
        assert!(!lock.is_held_on(&locked));
        let gone = Lock { pid: u32::MAX, major: major(locked.dev()), minor: minor(locked.dev()), inode: locked.ino() };
        assert!(!gone.is_held_on(&locked));
    }
}
