//! A directory of a real file system, held by one descriptor.
//!
//! A path may lead to another directory from one moment to the next; a descriptor does not. So every call is relative to the
//! descriptor, and a writer makes, renames and deletes only in the directory that it locked. A link inside may be an attempt to make a
//! writer write elsewhere, or an accident: none is followed.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags};
use rustix::io::{Errno, retry_on_intr};

use super::file::{ALWAYS, DIRECTORY, irregular, refuse_non_file, whereabouts};
use super::holder::{Modes, locked};
use super::names::{Made, Names, Synced, sync_directory_at, sync_name_of, sync_names};
use super::rename::rename_to_new;
use super::{Access, File, Identity, LOCK, Stamp, Storage, TEMPORARY, Taken, path_of};
use crate::error::{Error, Result, Unfit};
use crate::format::Uid;

/// A file of a store is not a link, and opening it never waits for the other end of a pipe.
const INSIDE: OFlags = ALWAYS.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);

/// Rejects hold what visitors wrote, so files are for their owner alone.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);
/// The same for a directory.
const PRIVATE_DIRECTORY: u32 = 0o700;

/// Two changes that are closer than this may leave the same time. The kernel's clock for them ticks at least every hundredth of a
/// second, and some file systems note only whole seconds, or every other one.
const FINE: Duration = Duration::from_millis(200);
const COARSE: Duration = Duration::from_secs(3);

/// A directory of a real file system.
pub struct Disk {
    path: PathBuf,
    directory: fs::File,
    identity: Identity,
    names: Names,
    unsynced: AtomicBool,
}

impl Disk {
    /// The store at `path`, which has to be there.
    pub fn open(path: &Path) -> Result<Disk> {
        let shown = || path.display().to_string();
        let wrong = |problem: &str| Error::NoStore { store: shown(), problem: problem.into() };
        let directory = match retry_on_intr(|| rustix::fs::openat(CWD, path, DIRECTORY, Mode::empty())) {
            Ok(directory) => fs::File::from(directory),
            Err(Errno::NOENT) => return Err(wrong("no store there")),
            Err(Errno::NOTDIR) if fs::metadata(path).is_ok() => {
                return Err(wrong("a file, where the directory of a store was expected"));
            }
            Err(error) => return Err(Error::io("look at", shown())(error.into())),
        };
        let identity = File::identity(&directory).map_err(Error::io("look at", shown()))?;
        let unsynced = AtomicBool::new(false);
        Ok(Disk { path: path.into(), directory, identity, names: Names::Durable, unsynced })
    }

    /// The store at `path`; makes the directory if there is none. Its name is durable on return: what is acknowledged
    /// inside could not be found without it.
    pub fn create(path: &Path, names: Names) -> Result<Disk> {
        let missing = path.ancestors().take_while(|path| !path.as_os_str().is_empty() && !path.exists()).count();
        let ancestors: Vec<&Path> = path.ancestors().take(missing + 1).collect();
        // The outermost first. Each has its name for good before there is another one inside. So of those that are there, only the
        // innermost may have been made by a run that died before its fsync.
        for (made, pair) in ancestors.windows(2).rev().enumerate() {
            let [directory, parent] = pair else { continue };
            sync_name_of(parent, names, Made::of(made > 0))?;
            match fs::DirBuilder::new().mode(PRIVATE_DIRECTORY).create(directory) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
                result => result.map_err(Error::io("make the directory", directory.display().to_string()))?,
            }
        }
        let disk = Disk { names, ..Disk::open(path)? };
        // The parent is not always the one in the path, which may be a link.
        let synced = sync_directory_at(&disk.directory, Path::new(".."), names, Made::of(missing > 0));
        disk.note(synced.map_err(Error::io("sync", path.join("..").display().to_string()))?);
        Ok(disk)
    }

    /// Whether names were left to the file system, since it cannot fsync a directory.
    pub fn names_are_unsynced(&self) -> bool {
        self.unsynced.load(Ordering::Relaxed)
    }

    /// Remembers what became of names.
    fn note(&self, synced: Synced) {
        self.unsynced.fetch_or(synced == Synced::LeftToTheSystem, Ordering::Relaxed);
    }

    /// Opens a file of the directory; gives it only if it is one.
    fn open_file(&self, name: &str, flags: OFlags) -> io::Result<fs::File> {
        let open = || rustix::fs::openat(&self.directory, name, INSIDE | flags, PRIVATE);
        let file = match retry_on_intr(open) {
            Err(Errno::LOOP) => return Err(irregular("a symbolic link")),
            // The answer of a socket, and of a pipe that nobody reads.
            Err(Errno::NXIO) => return Err(irregular("a pipe, a socket or a device")),
            Err(Errno::ISDIR) => return Err(irregular("a directory")),
            answer => fs::File::from(answer?),
        };
        refuse_non_file(&file.metadata()?)?;
        Ok(file)
    }

    /// Refuses a file that has another name as well: somebody else may use it.
    fn refuse_linked(&self, name: &str, file: &fs::File) -> io::Result<()> {
        let own = File::identity(file)?;
        if own.links <= 1 {
            return Ok(());
        }
        // A publish that made a link, for want of a better way, and died before it removed the first name.
        let ours = self.identity(&format!("{name}{TEMPORARY}")).is_ok_and(|other| other.is(&own));
        if ours && own.links == 2 { Ok(()) } else { Err(Unfit::linked(&path_of(self, name), own.links)) }
    }

    /// The error of a directory that its path does not lead to any more: where it is, and what to do.
    fn displaced(&self, instead: Instead) -> Error {
        let path = self.path.display().to_string();
        let gone = self.directory.metadata().is_ok_and(|metadata| metadata.nlink() == 0);
        let place = whereabouts(&self.directory);
        let other = if instead == Instead::Another { ", and the path leads to another directory now" } else { "" };
        let (problem, hint) = match place {
            Some(place) => {
                let place = place.display();
                (
                    format!(
                        "the store was moved to {place} while it was written{other}: what was acknowledged is there"
                    ),
                    format!("go on with `--store {place}`, or move it back, and run again"),
                )
            }
            None if gone => (
                format!("the store was deleted while it was written, with what was acknowledged in it{other}"),
                "restore the store from a backup, or ingest its inputs into a new one".into(),
            ),
            None => (
                format!(
                    "no path leads to the store any more{other}: it was deleted, moved to where this process cannot see it, its file \
                     system was unmounted, or another one mounted over it"
                ),
                format!(
                    "find directory {} of device {}, where what was acknowledged is",
                    self.identity.inode, self.identity.device
                ),
            ),
        };
        Error::Displaced { path, problem, hint }
    }
}

/// What the path of a store leads to, where it does not lead to the store any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Instead {
    Another,
    Nothing,
}

/// Whether a directory changed so lately that another change may leave the same time.
fn changed_lately(metadata: &fs::Metadata) -> bool {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, nanoseconds) =
        (metadata.mtime(), metadata.mtime_nsec()).max((metadata.ctime(), metadata.ctime_nsec()));
    let latest = Duration::from_secs(seconds.try_into().unwrap_or_default())
        + Duration::from_nanos(nanoseconds.try_into().unwrap_or_default());
    now.saturating_sub(if nanoseconds == 0 { COARSE } else { FINE }) <= latest
}

impl Storage for Disk {
    fn path(&self) -> &Path {
        &self.path
    }

    fn list(&self) -> io::Result<Vec<String>> {
        Ok(retry_on_intr(|| {
            let mut names = Vec::new();
            // Opened anew each time: two lists at once must not share a place in the directory.
            for entry in Dir::read_from(&self.directory)? {
                // A name that is not UTF-8 is not one of the store's.
                let entry = entry?;
                let name = entry.file_name().to_str().ok().filter(|name| ![".", ".."].contains(name));
                names.extend(name.map(str::to_owned));
            }
            Ok(names)
        })?)
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        let file = match access {
            Access::Read => self.open_file(name, OFlags::RDONLY)?,
            Access::ReadWrite => {
                let file = self.open_file(name, OFlags::RDWR)?;
                self.refuse_linked(name, &file)?;
                file
            }
        };
        Ok(Box::new(file))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let open = || retry_on_intr(|| rustix::fs::openat(&self.directory, name, INSIDE | new, PRIVATE));
        let file = match open() {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                open()?
            }
            answer => answer?,
        };
        Ok(Box::new(fs::File::from(file)))
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let file = self.open_file(name, OFlags::RDWR | OFlags::CREATE)?;
        self.refuse_linked(name, &file)?;
        Ok(Box::new(file))
    }

    fn rename(&self, from: &str, to: &str, taken: Taken) -> io::Result<()> {
        let directory = &self.directory;
        let renamed = match taken {
            Taken::Replace => rustix::fs::renameat(directory, from, directory, to),
            Taken::Refuse => rename_to_new(directory, from, to),
        };
        Ok(renamed?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.directory, name, AtFlags::empty()) {
            Err(Errno::ISDIR) => Err(irregular("a directory")),
            answer => Ok(answer?),
        }
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.note(sync_names(&self.directory, self.names)?);
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        let found = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Identity { device: wide(found.st_dev), inode: wide(found.st_ino), links: wide(found.st_nlink) })
    }

    fn in_place(&self) -> Result<Option<Stamp>> {
        match fs::metadata(&self.path) {
            Ok(found) if (found.dev(), found.ino()) == (self.identity.device, self.identity.inode) => {
                let stamp = Stamp([found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]);
                Ok((!changed_lately(&found)).then_some(stamp))
            }
            Ok(_) => Err(self.displaced(Instead::Another)),
            Err(error) if is_nothing(&error) => Err(self.displaced(Instead::Nothing)),
            Err(error) => Err(Error::io("look at", self.path.display().to_string())(error)),
        }
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let path = path_of(self, LOCK);
        // Nothing is ever written to it: what it holds, an earlier program wrote.
        let file = self.open_file(LOCK, OFlags::RDWR | OFlags::CREATE).map_err(Error::io("open", &path))?;
        self.refuse_linked(LOCK, &file).map_err(Error::io("lock", &path))?;
        let modes = match self.directory.metadata() {
            Ok(metadata) if metadata.mode() & 0o077 != 0 => Modes::Loose,
            _ => Modes::Private,
        };
        locked(&file, self.path(), modes, Error::io("lock", &path))?;
        // The directory as well, if the file system allows it. So whoever deletes LOCK, taking it for stale, lets no second writer in.
        let shown = || self.path.display().to_string();
        let again = retry_on_intr(|| rustix::fs::openat(&self.directory, ".", DIRECTORY, Mode::empty()));
        let directory = fs::File::from(again.map_err(|error| Error::io("open", shown())(error.into()))?);
        let held = locked(&directory, self.path(), modes, Error::io("lock", shown()));
        // Where it cannot be locked, LOCK has to do.
        if let Err(error @ Error::Locked { .. }) = held {
            return Err(error);
        }
        // The lock is the kernel's and dies with the process; the file stays, since deleting it would let two processes
        // lock two files of one name.
        Ok(Box::new((file, directory)))
    }

    fn random(&self) -> io::Result<Uid> {
        let mut bytes = Uid::default();
        fill_random(&mut bytes)?;
        Ok(bytes)
    }

    fn scratch(&self) -> PathBuf {
        self.path.clone()
    }

    fn room(&self) -> io::Result<Option<u64>> {
        if may_compress(&self.directory)? {
            return Ok(None);
        }
        let system = retry_on_intr(|| rustix::fs::fstatvfs(&self.directory))?;
        // Blocks that are set aside for root are room for root.
        let blocks = if rustix::process::geteuid().is_root() { system.f_bfree } else { system.f_bavail };
        Ok(Some(blocks.saturating_mul(system.f_frsize)))
    }
}

/// Whether the file system may store bytes in less room than they take. Then nothing tells what fits.
#[cfg(target_os = "linux")]
fn may_compress(directory: &fs::File) -> io::Result<bool> {
    const BTRFS: u32 = 0x9123_683e;
    const ZFS: u32 = 0x2fc1_2fc1;
    const BCACHEFS: u32 = 0xca45_1a4e;
    const F2FS: u32 = 0xf2f5_2010;
    // Of whatever width: the numbers have 32 bits.
    let kind = retry_on_intr(|| rustix::fs::fstatfs(directory))?.f_type as u32;
    Ok([BTRFS, ZFS, BCACHEFS, F2FS].contains(&kind))
}

#[cfg(not(target_os = "linux"))]
fn may_compress(_: &fs::File) -> io::Result<bool> {
    Ok(false)
}

/// A number from the system. Its width differs between machines.
fn wide(number: impl TryInto<u64>) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}

/// Whether nothing has the path.
fn is_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, NotFound};
    // A loop of links leads nowhere either. Its kind has no stable name.
    matches!(error.kind(), NotFound | NotADirectory) || error.raw_os_error() == Some(Errno::LOOP.raw_os_error())
}

/// Fills a few bytes, at most 256, with random ones: by the system call, which needs no file; from the file where the kernel is older than
/// the call (Linux 3.17).
fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    match retry_on_intr(|| rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty())) {
        Ok(filled) if filled == bytes.len() => return Ok(()),
        // Some containers refuse what they do not know.
        Err(error) if ![Errno::NOSYS, Errno::PERM].contains(&error) => return Err(error.into()),
        Ok(_) | Err(_) => {}
    }
    fs::File::open("/dev/urandom")?.read_exact(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;

    use super::super::publish;
    use super::super::rename::{by_link, by_look};
    use super::*;

    /// A directory with a store in it and a file beside that nobody is to touch.
    struct Around {
        directory: tempfile::TempDir,
        disk: Disk,
    }

    const PRECIOUS: &[u8] = b"not to be written to";

    impl Around {
        fn new() -> Around {
            let directory = tempfile::tempdir().unwrap();
            let disk = Disk::create(&directory.path().join("s"), Names::Durable).unwrap();
            fs::write(directory.path().join("precious"), PRECIOUS).unwrap();
            Around { directory, disk }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.directory.path().join(name)
        }

        /// Puts something that is no file of the store in the place of one; gives its kind.
        fn put(&self, kind: &'static str, name: &str) {
            let (precious, place) = (self.path("precious"), self.path("s").join(name));
            match kind {
                "symlink" => symlink(precious, place).unwrap(),
                "dangling symlink" => symlink(self.path("nothing"), place).unwrap(),
                "hard link" => fs::hard_link(precious, place).unwrap(),
                "socket" => drop(UnixListener::bind(place).unwrap()),
                "directory" => fs::create_dir(place).unwrap(),
                _ => {
                    let made = std::process::Command::new("mkfifo").arg(place).status();
                    assert!(made.unwrap().success());
                }
            }
        }

        #[track_caller]
        fn untouched(&self) {
            assert_eq!(fs::read(self.path("precious")).unwrap(), PRECIOUS);
            assert!(!self.path("nothing").exists());
        }
    }

    const KINDS: [&str; 6] = ["symlink", "dangling symlink", "hard link", "socket", "directory", "pipe"];

    #[test]
    fn a_published_file_has_its_bytes_and_no_temporary_is_left() {
        let around = Around::new();
        publish(&around.disk, "a", b"hello").unwrap();
        assert_eq!(around.disk.list().unwrap(), ["a"]);
        let mut buffer = [0; 9];
        assert_eq!(around.disk.open("a", Access::Read).unwrap().read_at(&mut buffer, 1).unwrap(), 4);
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
        assert!(matches!(Disk::create(&file, Names::Durable), Err(Error::NoStore { .. })));
        assert!(matches!(Disk::open(&directory.path().join("none")), Err(Error::NoStore { .. })));
    }

    #[test]
    fn what_is_no_file_is_not_opened_and_nobody_waits_for_it() {
        for kind in KINDS.into_iter().filter(|kind| *kind != "hard link") {
            let around = Around::new();
            around.put(kind, "a");
            for answer in [
                around.disk.open("a", Access::Read),
                around.disk.open("a", Access::ReadWrite),
                around.disk.open_or_create("a"),
            ] {
                let error = Error::io("open", "a")(answer.map(drop).unwrap_err());
                assert!(error.to_string().contains("not a regular file but a "), "{kind}: {error}");
                assert!(error.hint().contains("move it away"), "{kind}: {}", error.hint());
            }
            around.untouched();
        }
    }

    #[test]
    fn a_file_with_another_name_is_read_and_not_written() {
        let around = Around::new();
        around.put("hard link", "a");
        around.disk.open("a", Access::Read).unwrap();
        for answer in [around.disk.open("a", Access::ReadWrite), around.disk.open_or_create("a")] {
            let error = Error::io("open", "a")(answer.map(drop).unwrap_err());
            assert!(
                error.to_string().contains("2 names") && error.hint().contains("cp -p"),
                "{error}: {}",
                error.hint()
            );
        }
        // What a publish by link left that died in the middle is its own.
        fs::write(around.path("s/b.tmp"), "x").unwrap();
        fs::hard_link(around.path("s/b.tmp"), around.path("s/b")).unwrap();
        around.disk.open("b", Access::ReadWrite).unwrap();
        fs::hard_link(around.path("s/b"), around.path("third")).unwrap();
        assert!(around.disk.open("b", Access::ReadWrite).is_err());
    }

    #[test]
    fn what_is_in_the_way_of_a_new_file_goes_and_is_not_written_through() {
        for kind in KINDS {
            let around = Around::new();
            around.put(kind, "a");
            let made = around.disk.create("a");
            if kind == "directory" {
                assert!(made.is_err());
                continue;
            }
            made.unwrap().write_at(b"new", 0).unwrap();
            let metadata = fs::symlink_metadata(around.path("s/a")).unwrap();
            assert!(metadata.is_file() && metadata.nlink() == 1, "{kind}");
            assert_eq!(fs::read(around.path("s/a")).unwrap(), b"new");
            around.untouched();
        }
    }

    #[test]
    fn a_file_that_is_opened_or_made_keeps_what_it_holds() {
        let around = Around::new();
        around.disk.open_or_create("a").unwrap().write_at(b"hello", 0).unwrap();
        around.disk.open_or_create("a").unwrap().write_at(b"J", 0).unwrap();
        assert_eq!(fs::read(around.path("s/a")).unwrap(), b"Jello");
        assert_eq!(fs::metadata(around.path("s/a")).unwrap().permissions().mode() & 0o177, 0);
    }

    /// With each of the three ways: the one call, a link, a look.
    #[test]
    fn a_name_that_is_taken_is_not_taken_over() {
        type Way = fn(&Disk, &str, &str) -> io::Result<()>;
        let ways: [Way; 3] = [
            |disk, from, to| disk.rename(from, to, Taken::Refuse),
            |disk, from, to| Ok(by_link(&disk.directory, from, to)?),
            |disk, from, to| Ok(by_look(&disk.directory, from, to)?),
        ];
        for (number, way) in ways.into_iter().enumerate() {
            for kind in KINDS {
                let around = Around::new();
                around.put(kind, "a");
                around.disk.create("a.tmp").unwrap().write_at(b"new", 0).unwrap();
                let before = fs::symlink_metadata(around.path("s/a")).unwrap();
                let error = way(&around.disk, "a.tmp", "a").unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::AlreadyExists, "way {number}, {kind}");
                let after = fs::symlink_metadata(around.path("s/a")).unwrap();
                assert_eq!((before.ino(), before.file_type().is_fifo()), (after.ino(), after.file_type().is_fifo()));
                around.untouched();
                way(&around.disk, "a.tmp", "b").unwrap();
                let mut names = around.disk.list().unwrap();
                names.sort();
                assert_eq!(names, ["a", "b"], "way {number}, {kind}");
                assert_eq!(fs::read(around.path("s/b")).unwrap(), b"new");
            }
        }
        let around = Around::new();
        around.put("symlink", "a");
        around.disk.create("a.tmp").unwrap();
        around.disk.rename("a.tmp", "a", Taken::Replace).unwrap();
        assert!(fs::symlink_metadata(around.path("s/a")).unwrap().is_file());
        around.untouched();
    }

    /// Whatever the path leads to, every call is to the directory that was opened.
    #[test]
    fn a_directory_that_is_moved_and_replaced_is_the_one_that_is_used() {
        let around = Around::new();
        publish(&around.disk, "a", b"a").unwrap();
        let a = around.disk.open("a", Access::ReadWrite).unwrap();
        fs::rename(around.path("s"), around.path("moved")).unwrap();
        fs::create_dir(around.path("s")).unwrap();
        fs::write(around.path("s/a"), PRECIOUS).unwrap();
        let disk = &around.disk;
        disk.create("b").unwrap();
        disk.rename("b", "c", Taken::Refuse).unwrap();
        disk.open_or_create("d").unwrap();
        disk.remove("d").unwrap();
        disk.sync_directory().unwrap();
        let _lock = disk.lock().unwrap();
        assert!(disk.identity("a").unwrap().is(&a.identity().unwrap()));
        let mut names = disk.list().unwrap();
        names.sort();
        assert_eq!(names, [LOCK, "a", "c"]);
        let left: Vec<_> = fs::read_dir(around.path("s")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["a"]);
        assert_eq!(fs::read(around.path("s/a")).unwrap(), PRECIOUS);
    }

    #[track_caller]
    fn displaced(disk: &Disk, parts: &[&str]) {
        let error = disk.in_place().unwrap_err();
        let said = format!("{error}; {}", error.hint());
        assert!(matches!(error, Error::Displaced { .. }) && parts.iter().all(|part| said.contains(part)), "{said}");
    }

    #[test]
    fn what_became_of_the_directory_is_said() {
        let around = Around::new();
        let moved = around.path("moved");
        assert!(around.disk.in_place().unwrap().is_none(), "it was made a moment ago, and may change in the same");
        fs::rename(around.path("s"), &moved).unwrap();
        let place = moved.display().to_string();
        displaced(&around.disk, &["moved to", &place, "is there", &format!("`--store {place}`")]);
        fs::create_dir(around.path("s")).unwrap();
        displaced(&around.disk, &["moved to", &place, "leads to another directory now"]);
        fs::remove_dir(&moved).unwrap();
        displaced(&around.disk, &["deleted", "leads to another directory now", "backup"]);
        fs::remove_dir(around.path("s")).unwrap();
        displaced(&around.disk, &["deleted", "backup"]);
        fs::write(around.path("s"), PRECIOUS).unwrap();
        displaced(&around.disk, &["deleted"]);
    }

    #[test]
    fn a_link_to_a_store_leads_to_it_and_may_be_turned() {
        let around = Around::new();
        symlink(around.path("s"), around.path("link")).unwrap();
        let disk = Disk::create(&around.path("link"), Names::Durable).unwrap();
        disk.in_place().unwrap();
        fs::create_dir(around.path("other")).unwrap();
        fs::remove_file(around.path("link")).unwrap();
        symlink(around.path("other"), around.path("link")).unwrap();
        displaced(&disk, &[&around.path("s").display().to_string(), "leads to another directory now"]);
    }

    #[test]
    fn the_stamp_is_another_one_after_a_change_and_there_is_none_right_after() {
        let around = Around::new();
        fs::write(around.path("s/a"), "").unwrap();
        assert_eq!(around.disk.in_place().unwrap(), None);
        let (changed, mut stamp) = (std::time::Instant::now(), None);
        while stamp.is_none() {
            assert!(changed.elapsed() < 3 * COARSE, "it is never sure");
            stamp = around.disk.in_place().unwrap();
        }
        assert!(changed.elapsed() > FINE / 2 && stamp == around.disk.in_place().unwrap());
        fs::remove_file(around.path("s/a")).unwrap();
        assert_eq!(around.disk.in_place().unwrap(), None);
    }
}
