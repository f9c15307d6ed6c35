//! What rotation made of a file: other files beside it, whose names begin with its own.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::tracked::{Place, Stamp};

/// What stands between a name and what rotation adds to it.
const BETWEEN: &[u8] = b".-_~";

/// What compression adds to a name.
const PACKED: [&[u8]; 6] = [b".gz", b".zst", b".bz2", b".xz", b".lz4", b".z"];

/// The most digits of the number of a rotation: what has more is a date.
const NUMBER_DIGITS: usize = 4;

/// How long after a change a directory is looked at once more.
const AGAIN: Duration = Duration::from_secs(1);

/// A file that rotation may have made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sibling {
    pub(super) path: PathBuf,
    pub(super) place: Place,
    pub(super) stamp: Stamp,
}

/// How a name says when it was rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
enum When {
    /// `.1` is newer than `.2`.
    Number(u32),
    /// `-20261128`, `.2026-11-28T10`: the later, the newer.
    Date(Vec<u8>),
    /// Only the file itself can tell.
    Unsaid,
}

impl Sibling {
    pub(super) fn identity(&self) -> (PathBuf, Place) {
        (self.path.clone(), self.place)
    }
}

/// A directory with followed files.
#[derive(Default)]
struct Listing {
    /// When its names changed last.
    modified: Option<(i64, i64)>,
    /// A change within the same moment as the last look at it would not be seen: so it is looked at once more.
    again: Option<Instant>,
    may_have_changed: bool,
    /// The names, once they were read in this look.
    names: Option<Rc<Vec<OsString>>>,
}

/// The names in directories, each read once in one look at all files.
#[derive(Default)]
pub(super) struct Listings {
    directories: HashMap<PathBuf, Listing>,
}

impl Listings {
    /// Begins a look at all files.
    pub(super) fn look(&mut self, now: Instant) {
        for (path, listing) in &mut self.directories {
            listing.names = None;
            let modified = path.metadata().ok().map(|meta| (meta.mtime(), meta.mtime_nsec()));
            let is_due = listing.again.take_if(|again| *again <= now).is_some();
            listing.may_have_changed = is_due || modified != listing.modified;
            if modified != listing.modified {
                (listing.modified, listing.again) = (modified, Some(now + AGAIN));
            }
        }
    }

    /// Whether names beside a file may have changed since the look before.
    pub(super) fn may_have_changed(&mut self, path: &Path) -> bool {
        self.directories.get(directory_of(path)).is_some_and(|listing| listing.may_have_changed)
    }

    fn of(&mut self, directory: &Path) -> Rc<Vec<OsString>> {
        let listing = self.directories.entry(directory.to_owned()).or_default();
        let names = listing.names.get_or_insert_with(|| {
            let entries = directory.read_dir().into_iter().flatten().flatten();
            Rc::new(entries.map(|entry| entry.file_name()).collect())
        });
        Rc::clone(names)
    }

    /// The files beside this one that rotation may have made of it, the newest first.
    pub(super) fn siblings(&mut self, path: &Path) -> Vec<Sibling> {
        let Some(name) = path.file_name() else { return Vec::new() };
        let mut found = Vec::new();
        for other in self.of(directory_of(path)).iter() {
            let Some(when) = rotated(name, other) else { continue };
            // By the same way as the file itself, so that it is called as people call it.
            let path = path.with_file_name(other);
            let Ok(meta) = path.metadata() else { continue };
            if meta.is_file() {
                found.push((when, Sibling { path, place: Place::of(&meta), stamp: Stamp::of(&meta) }));
            }
        }
        // Dates and numbers do not compare with each other: then the time of the last write says.
        let mixed = found.iter().any(|(when, _)| kind(when) != kind(&found[0].0));
        found.sort_by(|(a, one), (b, other)| {
            let by_name = if mixed { Ordering::Equal } else { newest_first(a, b) };
            by_name.then_with(|| other.stamp.modified.cmp(&one.stamp.modified)).then_with(|| one.path.cmp(&other.path))
        });
        found.into_iter().map(|(_, sibling)| sibling).collect()
    }
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn kind(when: &When) -> u8 {
    match when {
        When::Number(_) => 0,
        When::Date(_) => 1,
        When::Unsaid => 2,
    }
}

fn newest_first(one: &When, other: &When) -> Ordering {
    match (one, other) {
        (When::Number(one), When::Number(other)) => one.cmp(other),
        (When::Date(one), When::Date(other)) => Reverse(one).cmp(&Reverse(other)),
        _ => Ordering::Equal,
    }
}

/// Whether a name is what rotation makes of another one, and when it says that it was rotated.
fn rotated(name: &OsStr, other: &OsStr) -> Option<When> {
    let (name, other) = (name.as_bytes(), other.as_bytes());
    let plain = PACKED.iter().find_map(|end| other.strip_suffix(*end)).unwrap_or(other);
    if let Some(rest) = other.strip_prefix(name) {
        // `app.log.gz` says nothing of when.
        let rest = plain.strip_prefix(name).unwrap_or(rest);
        return match rest {
            [] if plain.len() < other.len() => Some(When::Unsaid),
            [between, rest @ ..] if BETWEEN.contains(between) => Some(when(rest)),
            _ => None,
        };
    }
    // `app-20261128.log` of `app.log`.
    let at = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0)?;
    let (stem, end) = name.split_at(at);
    let middle = plain.strip_prefix(stem)?.strip_suffix(end)?;
    let (between, rest) = middle.split_first()?;
    let is_date = |rest: &[u8]| rest.iter().all(|byte| byte.is_ascii_digit() || b"-_.:T".contains(byte));
    (BETWEEN.contains(between) && !rest.is_empty() && is_date(rest)).then(|| when(rest))
}

fn when(text: &[u8]) -> When {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let number =
        str::from_utf8(text).ok().filter(|text| text.len() <= NUMBER_DIGITS).and_then(|text| text.parse().ok());
    match number {
        Some(number) => When::Number(number),
        None if digits > NUMBER_DIGITS => When::Date(text.to_vec()),
        None => When::Unsaid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_whether_and_when_it_was_rotated() {
        let date = |text: &str| Some(When::Date(text.into()));
        for (other, expected) in [
            ("app.log", None),
            ("app.log.1", Some(When::Number(1))),
            ("app.log.12.gz", Some(When::Number(12))),
            ("app.log-20261128", date("20261128")),
            ("app.log-20261128.zst", date("20261128")),
            ("app.log.2026-11-28T10", date("2026-11-28T10")),
            ("app-20261128.log", date("20261128")),
            ("app-20261128.log.gz", date("20261128")),
            ("app.1.log", Some(When::Number(1))),
            ("app.log.gz", Some(When::Unsaid)),
            ("app.log~", Some(When::Unsaid)),
            ("app.log.old", Some(When::Unsaid)),
            ("app.logs", None),
            ("app-errors.log", None),
            ("application.log", None),
            ("other.log.1", None),
            (".log", None),
        ] {
            assert_eq!(rotated(OsStr::new("app.log"), OsStr::new(other)), expected, "{other}");
        }
        assert_eq!(rotated(OsStr::new("app"), OsStr::new("app.1")), Some(When::Number(1)));
        assert_eq!(rotated(OsStr::new(".log"), OsStr::new("-1.log")), None, "a hidden file has no stem");
    }

    #[test]
    fn the_newest_stands_first_by_number_by_date_or_else_by_the_last_write() {
        let directory = tempfile::tempdir().unwrap();
        let names = |path: &Path| -> Vec<String> {
            let found = Listings::default().siblings(path);
            found.iter().map(|it| it.path.file_name().unwrap().to_str().unwrap().to_string()).collect()
        };
        let at = |name: &str| directory.path().join(name);
        for name in
            ["a.log.10", "a.log.2.gz", "a.log.1", "b.log-20261101", "b.log-20261128", "c.log.1", "c.log-20261128"]
        {
            std::fs::write(at(name), name).unwrap();
        }
        std::fs::create_dir(at("a.log.3")).unwrap();
        assert_eq!(names(&at("a.log")), ["a.log.1", "a.log.2.gz", "a.log.10"]);
        assert_eq!(names(&at("b.log")), ["b.log-20261128", "b.log-20261101"]);
        let old = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
        std::fs::File::options().write(true).open(at("c.log-20261128")).unwrap().set_modified(old).unwrap();
        assert_eq!(names(&at("c.log")), ["c.log.1", "c.log-20261128"]);
        assert!(names(&at("d.log")).is_empty() && names(Path::new("/")).is_empty());
    }
}
