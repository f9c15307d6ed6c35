//! Files mapped into memory: the one module with `unsafe`. And memory without a file, which needs none.
//!
//! Contract: whoever maps a file promises that nobody truncates it while the map lives; a read of a page that was cut
//! off would end the process by SIGBUS. The bytes may change under the map, so nothing here hands out a reference to
//! them: [`File::read_at`] copies, and what was copied is checked before it is believed.
//!
//! It serves `dump`, which jumps around in a file that is at rest. The one case in which the promise can be broken is a
//! writer that recovers, at that very moment, the segment being dumped, and cuts a torn end; run the dump again then.

use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use memmap2::{Mmap, MmapMut};

use crate::storage::{File, Identity, open_regular};

/// A mapped file, read-only.
pub struct Mapped {
    map: Mmap,
}

impl Mapped {
    /// Maps a file as long as it is now.
    pub fn open(path: &Path) -> io::Result<Mapped> {
        let file = open_regular(path)?;
        // SAFETY: the map is private to this struct, which only copies out of it, so no reference can see bytes
        // change; that nobody truncates the file is the contract above.
        #[allow(unsafe_code)]
        let map = unsafe { Mmap::map(&file)? };
        Ok(Mapped { map })
    }
}

impl File for Mapped {
    fn length(&self) -> io::Result<u64> {
        Ok(self.map.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.map.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, _: &[u8], _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn truncate(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn identity(&self) -> io::Result<Identity> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Memory that begins as zeros.
pub struct Zeros(MmapMut);

impl Zeros {
    /// Takes so many bytes; what is not touched is not there. Where the system has large pages it is asked for them: what is
    /// looked up here and there waits for its page's address longer than for its bytes.
    pub fn new(bytes: usize) -> io::Result<Zeros> {
        let map = MmapMut::map_anon(bytes)?;
        // Small ones do as well.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        Ok(Zeros(map))
    }
}

impl Deref for Zeros {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Zeros {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn it_reads_what_there_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        fs::write(&path, b"hello").unwrap();
        let mapped = Mapped::open(&path).unwrap();
        let mut buffer = [0; 4];
        assert_eq!(mapped.length().unwrap(), 5);
        assert_eq!(mapped.read_at(&mut buffer, 3).unwrap(), 2);
        assert_eq!(&buffer[..2], b"lo");
        assert_eq!(mapped.read_at(&mut buffer, 9).unwrap(), 0);
        assert!(Mapped::open(directory.path()).is_err());
        fs::write(&path, b"").unwrap();
        assert_eq!(Mapped::open(&path).unwrap().length().unwrap(), 0);
    }
}
