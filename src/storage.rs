//! The disk behind one small trait, so that tests can put one under the store that loses power.
//!
//! The trait has the few calls whose order durability depends on, and nothing else. Everything above it runs unchanged on
//! the real disk and on the simulated one in `tests/support`.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::format::Uid;

/// Ends the name of a file that is being written and has no place in the store yet.
pub const TEMPORARY: &str = ".tmp";

/// The file whose lock makes a process the one writer.
pub const LOCK: &str = "LOCK";

/// The directory of one store.
pub trait Storage: Send + Sync {
    /// Where it is, for messages.
    fn path(&self) -> &Path;
    /// The names in the directory.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading, and for writing if `writable`.
    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn File>>;
    /// Makes an empty file, in place of what had the name.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and deletions durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Takes the writer's lock, which is held until the value is dropped or the process dies.
    fn lock(&self) -> Result<Box<dyn Send + Sync>>;
    /// Random bytes for ids and salts.
    fn random(&self) -> io::Result<Uid>;
    /// Bytes that files can take before the file system is full, where that can be told.
    fn room(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// An open file; positioned reads and writes only, so that it can be shared.
pub trait File: Send + Sync {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Reads until `buffer` is full or the file ends; gives the number of bytes read.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts the file.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// Makes what was written durable, the length included.
    fn sync(&self) -> io::Result<()>;
}

/// The path of a file of the store, for messages.
pub fn path_of(storage: &dyn Storage, name: &str) -> String {
    storage.path().join(name).display().to_string()
}

/// A file that is being published: written under a temporary name and synced, then renamed, then the directory synced. So
/// a file under a final name is whole, whenever the process or the machine dies. The only way a file enters the store.
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
        let file = storage.create(&temporary).map_err(Error::io("create", path_of(storage, &temporary)))?;
        Ok(Publication { storage, name: name.into(), temporary, file })
    }

    /// Writes all of `bytes`.
    pub fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_at(bytes, offset).map_err(Error::io("write", path_of(self.storage, &self.temporary)))
    }

    /// Gives the file up, for the space it takes. If that fails, the next writer removes it.
    pub fn abandon(self) {
        let _ = self.storage.remove(&self.temporary);
    }

    /// Gives the file its name, durably.
    pub fn commit(self) -> Result<()> {
        let path = || path_of(self.storage, &self.temporary);
        self.file.sync().map_err(Error::io("sync", path()))?;
        self.storage.rename(&self.temporary, &self.name).map_err(Error::io("rename", path()))?;
        self.storage.sync_directory().map_err(Error::io("sync", self.storage.path().display().to_string()))
    }
}

/// Publishes a file with these bytes.
pub fn publish(storage: &dyn Storage, name: &str, bytes: &[u8]) -> Result<()> {
    let publication = Publication::begin(storage, name)?;
    publication.write_at(bytes, 0)?;
    publication.commit()
}

/// A directory of a real file system.
pub struct Disk {
    path: PathBuf,
}

impl Disk {
    /// The store at `path`, which has to be there.
    pub fn open(path: &Path) -> Result<Disk> {
        let wrong = |problem: &str| Error::NoStore { store: path.display().to_string(), problem: problem.into() };
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Disk { path: path.into() }),
            Ok(_) => Err(wrong("a file, where the directory of a store was expected")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(wrong("no store there")),
            Err(error) => Err(Error::io("look at", path.display().to_string())(error)),
        }
    }

    /// The store at `path`; makes the directory if there is none. Its name is durable on return: what is acknowledged
    /// inside could not be found without it.
    pub fn create(path: &Path) -> Result<Disk> {
        let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).count();
        if missing > 0 {
            fs::create_dir_all(path).map_err(Error::io("make the directory", path.display().to_string()))?;
        }
        let disk = Disk::open(path)?;
        // One that was there may have been made by a run that died before this.
        for parent in path.ancestors().skip(1).take(missing.max(1)) {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            match sync_directory(parent) {
                // Whose it is may let nobody look inside, and then nobody but its owner made the store.
                Err(error) if missing == 0 && error.kind() == io::ErrorKind::PermissionDenied => {}
                result => result.map_err(Error::io("sync", parent.display().to_string()))?,
            }
        }
        Ok(disk)
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

/// For calls that the standard library makes only once. It repeats the others by itself, and [`read_full`] repeats reads.
fn again_if_interrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Refuses what is no file: opening a pipe would wait for its other end.
pub(crate) fn refuse_non_file(metadata: &fs::Metadata) -> io::Result<()> {
    match metadata.is_file() {
        true => Ok(()),
        false if metadata.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        false => Err(io::Error::other("not a regular file")),
    }
}

impl Storage for Disk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in again_if_interrupted(|| fs::read_dir(&self.path))? {
            // A name that is no UTF-8 is none of the store's.
            names.extend(entry?.file_name().into_string().ok());
        }
        Ok(names)
    }

    fn open(&self, name: &str, writable: bool) -> io::Result<Box<dyn File>> {
        let path = self.path.join(name);
        refuse_non_file(&fs::metadata(&path)?)?;
        Ok(Box::new(fs::OpenOptions::new().read(true).write(writable).open(path)?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(self.path.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_directory(&self) -> io::Result<()> {
        sync_directory(&self.path)
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let path = path_of(self, LOCK);
        // It will be written to: what a link there leads to is somebody else's.
        match fs::symlink_metadata(self.path.join(LOCK)).and_then(|metadata| refuse_non_file(&metadata)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            result => result.map_err(Error::io("lock", &path))?,
        }
        let mut options = fs::OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(self.path.join(LOCK)).map_err(Error::io("open", &path))?;
        match again_if_interrupted(|| fs2::FileExt::try_lock_exclusive(&file)) {
            Ok(()) => {}
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                let pid = fs::read_to_string(self.path.join(LOCK)).ok().and_then(|text| text.trim().parse().ok());
                return Err(Error::Locked { store: self.path.display().to_string(), pid });
            }
            Err(error) => return Err(Error::io("lock", path)(error)),
        }
        // The directory as well, where the file system lets one: who deletes LOCK, taking it for stale, lets nobody in.
        let directory = fs::File::open(&self.path).map_err(Error::io("open", self.path.display().to_string()))?;
        match again_if_interrupted(|| fs2::FileExt::try_lock_exclusive(&directory)) {
            Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
                return Err(Error::Locked { store: self.path.display().to_string(), pid: None });
            }
            _ => {}
        }
        // Who holds it, for the message of the next one. The lock is the kernel's and dies with the process; the file
        // stays, since deleting it would let two processes lock two files of one name.
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(Error::io("write", path))?;
        Ok(Box::new((file, directory)))
    }

    fn random(&self) -> io::Result<Uid> {
        let mut bytes = Uid::default();
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        Ok(bytes)
    }

    fn room(&self) -> io::Result<Option<u64>> {
        if may_compress(&self.path)? {
            return Ok(None);
        }
        let system = rustix::fs::statvfs(&self.path)?;
        // What is set aside for root is room for root.
        let blocks = if rustix::process::geteuid().is_root() { system.f_bfree } else { system.f_bavail };
        Ok(Some(blocks.saturating_mul(system.f_frsize)))
    }
}

/// Whether the file system may store bytes in less room than they have: then nothing tells what fits.
#[cfg(target_os = "linux")]
fn may_compress(path: &Path) -> io::Result<bool> {
    const BTRFS: u32 = 0x9123_683e;
    const ZFS: u32 = 0x2fc1_2fc1;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const F2FS: u32 = 0xf2f5_2010;
    // Of whatever width: the numbers have 32 bits.
    let kind = rustix::fs::statfs(path)?.f_type as u32;
    Ok([BTRFS, ZFS, BCACHEFS, F2FS].contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn may_compress(_: &Path) -> io::Result<bool> {
    Ok(false)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_published_file_has_its_bytes_and_no_temporary_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::create(&directory.path().join("store")).unwrap();
        publish(&disk, "a", b"hello").unwrap();
        assert_eq!(disk.list().unwrap(), ["a"]);
        let mut buffer = [0; 9];
        assert_eq!(disk.open("a", false).unwrap().read_at(&mut buffer, 1).unwrap(), 4);
        assert_eq!(&buffer[..4], b"ello");
    }

    #[test]
    fn the_second_lock_is_refused_with_the_holder_and_the_third_gets_it() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let held = disk.lock().unwrap();
        match disk.lock() {
            Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
            other => panic!("{:?}", other.map(|_| ())),
        }
        drop(held);
        assert!(disk.lock().is_ok());
        assert_eq!(disk.list().unwrap(), [LOCK]);
    }

    #[test]
    fn a_store_is_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        assert!(matches!(Disk::open(&file), Err(Error::NoStore { .. })));
        assert!(matches!(Disk::create(&file), Err(Error::NoStore { .. })));
        assert!(matches!(Disk::open(&directory.path().join("none")), Err(Error::NoStore { .. })));
    }
}
