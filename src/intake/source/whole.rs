//! A file that must not get shorter while it is read, and a reader that counts.

use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file whose end must be at least as far as it was when the file was opened, and as far as it was read. Of a file that had
/// no length when it was opened it says nothing: some that are made as they are read, such as those in `/proc`, never have one.
pub(in crate::intake) struct Whole {
    pub(in crate::intake) file: Arc<File>,
    /// Bytes that it had when it was opened.
    pub(super) length: u64,
    /// Where the next read begins. Others read the same open file, each at a place of its own.
    pub(super) at: u64,
}

impl Whole {
    pub(super) fn open(path: &Path) -> io::Result<Whole> {
        Whole::shared(Arc::new(File::open(path)?))
    }

    /// A file that is open already, from its start.
    pub(super) fn shared(file: Arc<File>) -> io::Result<Whole> {
        let length = file.metadata()?.len();
        Ok(Whole { file, length, at: 0 })
    }

    /// A standard input that is a file, from where it stands.
    pub(in crate::intake) fn of(file: File) -> io::Result<Whole> {
        let at = (&file).stream_position()?;
        Ok(Whole { at, ..Whole::shared(Arc::new(file))? })
    }

    /// Where a read found nothing more: checks that this is the end and not a cut. Otherwise what was read of a file that was
    /// cut and written anew would be taken for all there is.
    pub(super) fn check_end(&mut self) -> io::Result<()> {
        let from = self.length.max(self.at);
        let to = self.file.metadata()?.len();
        if to < from && self.length > 0 { Err(io::Error::other(Shrank { from, to })) } else { Ok(()) }
    }
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = std::os::unix::fs::FileExt::read_at(&*self.file, buffer, self.at)?;
        self.at += count as u64;
        if count == 0 && !buffer.is_empty() {
            // Whoever gave the file as a standard input may go on with it behind what was read.
            (&*self.file).seek(SeekFrom::Start(self.at))?;
            self.check_end()?;
        }
        Ok(count)
    }
}

/// An input got shorter while it was read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("shrank from {from} to {to} bytes while it was read")]
pub(in crate::intake) struct Shrank {
    pub(in crate::intake) from: u64,
    pub(in crate::intake) to: u64,
}

/// The same error once more, if it is a [`Shrank`].
pub(in crate::intake) fn shrank_again(error: &io::Error) -> Option<io::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref::<Shrank>()).map(|shrank| io::Error::other(shrank.clone()))
}

/// Counts what is read.
pub(in crate::intake) struct Counted<R>(pub(in crate::intake) R, pub(in crate::intake) Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
