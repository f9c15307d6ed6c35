//! Temporary files that nobody else sees, for what does not fit the memory.
//!
//! A [`Scratch`] is the place for the files of one piece of work, such as a report. [`deal`] parts records by a number, so that each
//! part can be worked on alone; [`sorter`] sorts records. Both keep records in memory as long as they fit their share, and need no
//! file then.
//!
//! A temporary file never has a name, so it goes when the process ends, however that happens. Each piece has a CRC, so what is read
//! back is what was written.

pub mod deal;
pub mod sorter;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::base::memory;
use crate::base::secret;
use crate::base::shell::quoted;
use crate::disk::TEMPORARY;
use crate::error::{Error, Result, Unfit};
use crate::format::coding::crc;

/// Names that are tried before a directory is taken for one that refuses them.
const ATTEMPTS: u32 = 64;

/// Bytes of memory that a command takes by default, all threads together.
pub const MEMORY: u64 = 128 << 20;

/// What a piece of work may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Threads.
    pub threads: usize,
    /// Bytes of memory, all threads together.
    pub memory: u64,
    /// Where what does not fit is put aside.
    pub scratch: Scratch,
}

impl Limits {
    /// So many threads, the default memory of a command, and the temporary files of a reader.
    pub fn new(threads: usize) -> Limits {
        Limits { threads, memory: MEMORY, scratch: Scratch::for_readers(None) }
    }

    /// Bytes of memory, as large as they can be here.
    pub(crate) fn bytes(&self) -> usize {
        usize::try_from(self.memory).unwrap_or(usize::MAX / 2)
    }
}

/// Where the temporary files of one piece of work are, and how much was written to them.
#[derive(Clone, Debug)]
pub struct Scratch {
    directory: Arc<Path>,
    written: Arc<AtomicU64>,
}

impl Scratch {
    /// Temporary files in this directory; none is made before it is needed.
    pub fn new(directory: &Path) -> Scratch {
        Scratch { directory: directory.into(), written: Arc::default() }
    }

    /// Where a process that only reads has its temporary files: this directory, by default `$TMPDIR` or `/tmp`.
    pub fn for_readers(directory: Option<&Path>) -> Scratch {
        directory.map_or_else(|| Scratch::new(&std::env::temp_dir()), Scratch::new)
    }

    /// Bytes that were written to temporary files.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// A temporary file, which is made at the first write.
    pub fn file(&self) -> Spill {
        Spill { scratch: self.clone(), file: Mutex::new(None), end: AtomicU64::new(0) }
    }

    fn failed(&self, operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.directory.display().to_string();
        let quoted = quoted(&self.directory);
        move |error| {
            let hint = format!(
                "see to {quoted}; or name another place with --temp DIR, or give a larger --memory, so that less is needed: \
                 nothing in the store is lost"
            );
            let source = match error.kind() {
                // Known by its kind: it has a hint of its own, and a compaction beside an ingest leaves off.
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => error,
                _ => Unfit::because(error.to_string(), hint),
            };
            Error::Io { operation, path, source }
        }
    }

    /// Makes a file without a name. If the system or the file system has no such files, makes one and removes its name at once.
    fn create(&self) -> Result<File> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        #[cfg(target_os = "linux")]
        if let Ok(file) = rustix::fs::open(&*self.directory, flags | OFlags::TMPFILE, mode) {
            return Ok(file.into());
        }
        let failed = || self.failed("make a temporary file in");
        let mut last = io::Error::from(io::ErrorKind::AlreadyExists);
        for _ in 0..ATTEMPTS {
            let random = secret::hash((std::process::id(), SystemTime::now()));
            let path = self.directory.join(format!("chatwal-{random:016x}{TEMPORARY}"));
            match rustix::fs::open(&path, flags | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW, mode) {
                Ok(file) => {
                    std::fs::remove_file(&path).map_err(self.failed("remove a temporary file in"))?;
                    return Ok(file.into());
                }
                Err(error) if error == Errno::EXIST => last = error.into(),
                Err(error) => return Err(failed()(error.into())),
            }
        }
        Err(failed()(last))
    }

    /// What was read back is not what was written.
    pub(crate) fn changed(&self) -> Error {
        self.failed("read back a temporary file in")(io::Error::other("it is not what was written"))
    }
}

/// One temporary file: pieces behind one another, each written and read as a whole.
pub struct Spill {
    scratch: Scratch,
    file: Mutex<Option<Arc<File>>>,
    end: AtomicU64,
}

/// A piece of a [`Spill`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Extent {
    at: u64,
    length: u32,
    crc: u32,
}

impl Extent {
    /// Bytes of it.
    pub fn length(&self) -> u64 {
        u64::from(self.length)
    }
}

impl Spill {
    /// Where it belongs.
    pub fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    /// Bytes that were appended.
    pub fn length(&self) -> u64 {
        self.end.load(Ordering::Relaxed)
    }

    /// Appends a piece, of less than 4 GiB. Several threads may, at a time.
    pub fn append(&self, bytes: &[u8]) -> Result<Extent> {
        let file = self.file()?;
        let length = bytes.len() as u64;
        let at = self.end.fetch_add(length, Ordering::Relaxed);
        file.write_all_at(bytes, at).map_err(self.scratch.failed("write to a temporary file in"))?;
        self.scratch.written.fetch_add(length, Ordering::Relaxed);
        Ok(Extent { at, length: bytes.len() as u32, crc: crc(bytes) })
    }

    /// Reads a piece back into a buffer, which is as long as it then.
    pub fn read(&self, extent: &Extent, buffer: &mut Vec<u8>) -> Result<()> {
        memory::resize(buffer, extent.length as usize, 0, "what was put aside")?;
        let failed = self.scratch.failed("read back a temporary file in");
        self.file()?.read_exact_at(buffer, extent.at).map_err(failed)?;
        if crc(buffer) == extent.crc { Ok(()) } else { Err(self.scratch.changed()) }
    }

    fn file(&self) -> Result<Arc<File>> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        match &*file {
            Some(file) => Ok(Arc::clone(file)),
            None => Ok(Arc::clone(file.insert(Arc::new(self.scratch.create()?)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn a_temporary_file_has_no_name_and_gives_back_what_it_got() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(directory.path());
        let spill = scratch.file();
        let pieces: Vec<Vec<u8>> = (0..20u8).map(|number| vec![number; usize::from(number) * 999]).collect();
        let extents: Vec<Extent> = pieces.iter().map(|piece| spill.append(piece).unwrap()).collect();
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
        let mut buffer = Vec::new();
        for (piece, extent) in pieces.iter().zip(&extents).rev() {
            spill.read(extent, &mut buffer).unwrap();
            assert_eq!(buffer, *piece);
        }
        assert_eq!(scratch.written(), pieces.iter().map(|piece| piece.len() as u64).sum::<u64>());
        let metadata = spill.file().unwrap().metadata().unwrap();
        assert_eq!((metadata.mode() & 0o7777, metadata.nlink()), (0o600, 0));
    }

    #[test]
    fn what_somebody_changed_is_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(directory.path());
        let spill = scratch.file();
        let extent = spill.append(b"what was put aside").unwrap();
        spill.file().unwrap().write_all_at(b"W", 0).unwrap();
        let error = spill.read(&extent, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("not what was written"), "{error}");
        spill.file().unwrap().set_len(3).unwrap();
        spill.read(&extent, &mut Vec::new()).unwrap_err();
    }

    #[test]
    fn a_directory_that_is_not_there_is_named_with_what_to_do() {
        let scratch = Scratch::new(Path::new("/nowhere/at all"));
        let error = scratch.file().append(b"x").unwrap_err();
        assert!(error.to_string().starts_with("/nowhere/at all: cannot make a temporary file in"), "{error}");
        assert!(error.hint().contains("--temp"), "{}", error.hint());
    }
}
