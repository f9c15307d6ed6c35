//! Room `disk`: the disk behind two small traits, [`Storage`] and [`File`].
//!
//! They have the few calls whose order durability depends on. Everything above this room runs unchanged on the [real disk](Disk)
//! and on the simulated one in `tests/support`, which loses power. [`publish()`] brings files into a store; [`scratch`] has temporary
//! files. This room may use [`format`](crate::format) and what is below it. What is in a file, and which files a store has, is
//! for the rooms above.

mod file;
mod holder;
mod names;
mod nesting;
mod publish;
mod real;
mod rename;
pub mod scratch;
pub(crate) mod search;

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result, Unfit};
use crate::format::Uid;

pub(crate) use file::open_regular;
pub use names::Names;
pub use nesting::lies_in;
pub use publish::{Publication, publish, publish_over};
pub use real::Disk;

/// Ends the name of a file that is being written and has no place in the store yet.
pub const TEMPORARY: &str = ".tmp";

/// The file whose lock makes a process the one writer.
pub const LOCK: &str = "LOCK";

/// The directory of one store: the one that was opened, wherever it is moved to.
///
/// No call follows a link inside it, waits for the other end of a pipe, or writes to a file that has another name as well.
pub trait Storage: Send + Sync {
    /// Where it was when it was opened, for messages.
    fn path(&self) -> &Path;
    /// The names in the directory.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file that is there.
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn File>>;
    /// Makes an empty file. What an interrupted publish left under the name goes first: nothing is written through it.
    fn create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Opens a file for reading and writing, as it is; makes an empty one if there is none.
    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>>;
    /// Gives a file another name.
    fn rename(&self, from: &str, to: &str, taken: Taken) -> io::Result<()>;
    /// Deletes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes creations, renames and deletions durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Which file has a name now.
    fn identity(&self, name: &str) -> io::Result<Identity>;
    /// Whether the path still leads to this directory; if not, [`Error::Displaced`] says what became of it. The stamp is another
    /// one after any change of names. There is none right after a change, where the next one might leave it as it is.
    fn in_place(&self) -> Result<Option<Stamp>>;
    /// Takes the writer's lock, which is held until the value is dropped or the process dies.
    fn lock(&self) -> Result<Box<dyn Send + Sync>>;
    /// Random bytes for ids and salts.
    fn random(&self) -> io::Result<Uid>;
    /// Where temporary files of a writer are, which have no names: in the directory, if it is one.
    fn scratch(&self) -> PathBuf {
        std::env::temp_dir()
    }
    /// Bytes that files can take before the file system is full, if that is known.
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
    /// Which file it is.
    fn identity(&self) -> io::Result<Identity>;
    /// Where it is now, if the system tells.
    fn whereabouts(&self) -> Option<PathBuf> {
        None
    }
}

/// What a file is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To read it. Nothing is written to it.
    Read,
    /// To read it and to write to it. A file that has another name as well is refused.
    ReadWrite,
}

/// What a renaming does where the new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It fails, and the file that has the name stays.
    Refuse,
    /// The file that has the name goes.
    Replace,
}

/// A file, whatever names lead to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The file system.
    pub device: u64,
    /// The file in it.
    pub inode: u64,
    /// How many names it has.
    pub links: u64,
}

impl Identity {
    /// Whether both are one file.
    pub fn is(&self, other: &Identity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// When the names in a directory changed last; says nothing but whether it is the same as another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp(pub [i64; 4]);

/// The path of a file of the store, for messages.
pub fn path_of(storage: &dyn Storage, name: &str) -> String {
    storage.path().join(name).display().to_string()
}

/// Checks that a name leads to the file that is open, and that the file has no other name. So what is written to it is where the name
/// says, and nowhere else.
pub fn leads_to(storage: &dyn Storage, name: &str, file: &dyn File) -> Result<()> {
    let path = path_of(storage, name);
    let own = file.identity().map_err(Error::io("look at", &path))?;
    let what = match storage.identity(name) {
        Ok(found) if found.is(&own) && found.links <= 1 => return Ok(()),
        Ok(found) if found.is(&own) => return Err(Error::io("write to", &path)(Unfit::linked(&path, found.links))),
        Ok(_) => "another file has taken its place",
        Err(error) if error.kind() == io::ErrorKind::NotFound => "it has gone",
        Err(error) => return Err(Error::io("look at", path)(error)),
    };
    let (place, hint) = match file.whereabouts().filter(|_| own.links > 0) {
        Some(place) => {
            let place = place.display();
            (format!("what was written to it is in {place}"), format!("move {place} back to {path}, and run again"))
        }
        None if own.links > 0 => {
            ("what was written to it has another name now".into(), format!("move it back to {path}, and run again"))
        }
        None => (
            "it was deleted, with what was acknowledged in it".into(),
            "restore the store from a backup, or ingest its inputs into a new one".into(),
        ),
    };
    let problem = format!("{what} while it was written: {place}");
    Err(Error::Displaced { path, problem, hint })
}

/// If the directory is not where it was, an error that says so; otherwise the error as it is.
pub(crate) fn explained(storage: &dyn Storage, error: Error) -> Error {
    match storage.in_place() {
        Err(displaced @ Error::Displaced { .. }) => displaced,
        _ => error,
    }
}
