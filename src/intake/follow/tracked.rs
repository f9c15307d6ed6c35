//! One open file: what was read of it, and what it looked like then.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::{FollowOptions, Hands, Happened};
use crate::error::{Error, Result};
use crate::intake::ingest::{Caller, IngestOptions, Notice, Outcome};
use crate::intake::source::{Got, Source};

/// So many bytes tell whether a file was cut and written anew. What is read is found by more.
const MARK: usize = 64;

/// Which file it is, as long as it is open or has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    pub(super) fn of(meta: &Metadata) -> Place {
        Place { device: meta.dev(), inode: meta.ino() }
    }
}

/// What of a file changes with every write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) size: u64,
    /// Seconds and nanoseconds.
    pub(super) modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Stamp {
        Stamp { size: meta.len(), modified: (meta.mtime(), meta.mtime_nsec()) }
    }
}

/// What one reading came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Took {
    /// Something was appended to the log.
    pub appended: bool,
    /// It was asked to end.
    pub stopped: bool,
    /// Lines read.
    pub lines: u64,
    /// Events among them, copies included.
    pub events: u64,
    /// Rejects among them.
    pub rejects: u64,
}

/// What an unread file is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was read, up to a place behind which there may be more.
    Known { rest: bool },
    /// All of it is the beginning of something that was read.
    Part,
    /// Nothing is known of it.
    Never,
}

/// Whether a reading is the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is read on soon.
    Next,
    /// An incomplete end stays incomplete.
    Last,
}

/// A file that is read as it grows.
pub(super) struct Tracked {
    /// What it is called in messages and checkpoints.
    pub(super) path: PathBuf,
    /// None where there are too many open files: it is opened again to be read.
    pub(super) file: Option<Arc<File>>,
    pub(super) place: Place,
    /// What it looked like when it was read last.
    pub(super) seen: Stamp,
    /// What it looks like by its path now.
    pub(super) latest: Stamp,
    /// When it was seen to change last.
    pub(super) changed: Instant,
    /// When it was looked at last.
    pub(super) looked: Instant,
    /// It lost its name, and was read to its end.
    pub(super) is_done: bool,
    /// Up to where it was read, unpacked.
    pub(super) offset: u64,
    pub(super) is_packed: bool,
    /// Nothing was read of it yet.
    pub(super) is_fresh: bool,
    /// Its turn ended before it did.
    pub(super) is_behind: bool,
    /// The last reading failed; what was said of that.
    pub(super) failure: Option<String>,
    /// It was said that it changed where it had been read.
    told_changed: bool,
    /// It was said that there is something behind its packed data.
    told_trailing: bool,
    /// It was found beside a file, by its name.
    pub(super) is_found: bool,
    /// So it was, and nobody had read it: it may have been a copy in the making.
    pub(super) is_stranger: bool,
    /// Nobody has looked yet whether others come before it.
    pub(super) waits: bool,
    /// The last bytes before `offset`.
    mark: Vec<u8>,
}

impl Tracked {
    pub(super) fn open(path: &Path, now: Instant) -> io::Result<Tracked> {
        let file = File::open(path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::other("not a file"));
        }
        Ok(Tracked {
            path: path.to_owned(),
            file: Some(Arc::new(file)),
            place: Place::of(&meta),
            seen: Stamp::default(),
            latest: Stamp::of(&meta),
            changed: now,
            looked: now,
            is_done: false,
            offset: 0,
            is_packed: false,
            is_fresh: true,
            is_behind: false,
            failure: None,
            told_changed: false,
            told_trailing: false,
            is_found: false,
            is_stranger: false,
            waits: true,
            mark: Vec::new(),
        })
    }

    /// Whether what is newer has to wait for it.
    pub(super) fn comes_first(&self) -> bool {
        // What was read before is found again by its content, though it cannot be read on just now.
        (self.is_fresh || self.is_behind) && (self.is_stranger || self.failure.is_none())
    }

    /// Whether the file, which looks like this now, still has what was read of it.
    pub(super) fn is_what_was_read(&self, stamp: Stamp) -> bool {
        let Some(file) = self.file.as_ref().filter(|_| !self.is_packed && self.offset > 0) else { return true };
        let mut found = vec![0; self.mark.len()];
        let from = self.offset.saturating_sub(self.mark.len() as u64);
        let is_same = file.read_exact_at(&mut found, from).is_ok() && found == self.mark;
        stamp.size >= self.offset && is_same
    }

    /// Whether a name leads to it. What was deleted takes room on the disk as long as it is open.
    pub(super) fn has_name(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.metadata().is_ok_and(|meta| meta.nlink() > 0))
    }

    /// What it looks like now, if it is open.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        self.file.as_ref()?.metadata().ok().map(|meta| Stamp::of(&meta))
    }

    /// The same file, open, where it was closed meanwhile; `None` if its path leads to another one.
    fn opened(&mut self) -> io::Result<Option<Arc<File>>> {
        if let Some(file) = &self.file {
            return Ok(Some(Arc::clone(file)));
        }
        let file = File::open(&self.path)?;
        let is_it = Place::of(&file.metadata()?) == self.place;
        self.file = is_it.then(|| Arc::new(file));
        Ok(self.file.clone())
    }

    /// What the store knows of it; nothing if it cannot be read.
    pub(super) fn look_up(&mut self, options: &FollowOptions, hands: &Hands<'_>) -> Result<Seen> {
        let Some(file) = self.file.clone() else { return Ok(Seen::Never) };
        let mut source = Source::of_open(&self.path, &file, options.source)?;
        let start = source.seek(hands.intake.known())?;
        Ok(match start.found {
            Some(_) => Seen::Known { rest: !matches!(source.read(&mut [0]), Ok(Got::Bytes(0))) },
            None if start.is_part => Seen::Part,
            None => Seen::Never,
        })
    }

    /// Reads on. An input that cannot be read is not an error of the whole: what is wrong stays with it.
    pub(super) fn read(&mut self, turn: Turn, options: &FollowOptions, hands: &mut Hands<'_>) -> Result<Took> {
        let file = match self.opened() {
            Ok(Some(file)) => file,
            // The next look at its path finds out.
            Ok(None) => return Ok(Took::default()),
            Err(error) => {
                self.fail(error.to_string());
                return Ok(Took::default());
            }
        };
        self.seen = file.metadata().map(|meta| Stamp::of(&meta)).unwrap_or_default();
        match self.ingest(&file, turn, options, hands) {
            Ok(took) => {
                self.failure = None;
                self.is_fresh = false;
                Ok(took)
            }
            Err(Error::Input { problem, .. }) => {
                self.fail(problem);
                // What came before the fault may have been appended.
                Ok(Took { appended: true, ..Took::default() })
            }
            Err(error) => Err(error),
        }
    }

    fn fail(&mut self, problem: String) {
        self.is_behind = false;
        self.failure = Some(problem);
    }

    fn ingest(&mut self, file: &Arc<File>, turn: Turn, options: &FollowOptions, hands: &mut Hands<'_>) -> Result<Took> {
        let source = Source::of_open(&self.path, file, options.source)?;
        self.is_packed = source.is_packed();
        // What is packed is unpacked from its start, so turns would do that again and again.
        let turn = (turn == Turn::Next && !self.is_packed).then_some(options.turn);
        let (path, told_changed, findings) = (&self.path, &mut self.told_changed, source.findings.clone());
        let Hands { log, intake, stop, tell } = hands;
        let mut notify = |notice: Notice<'_>| {
            if matches!(notice, Notice::Changed(_)) && std::mem::replace(told_changed, true) {
                return;
            }
            tell(path, Happened::Read(&notice));
        };
        let ingest = IngestOptions { turn, ..options.ingest };
        let outcome = intake.ingest(log, source, ingest, Caller { stop, notify: &mut notify })?;
        let trailing = findings.trailing();
        if !trailing.is_empty() && !std::mem::replace(&mut self.told_trailing, true) {
            trailing.iter().for_each(|trailing| tell(path, Happened::Behind(trailing)));
        }
        self.offset = outcome.offset;
        self.mark = vec![0; MARK.min(usize::try_from(self.offset).unwrap_or(MARK))];
        let from = self.offset.saturating_sub(self.mark.len() as u64);
        if self.is_packed || file.read_exact_at(&mut self.mark, from).is_err() {
            self.mark.clear();
        }
        self.is_behind = outcome.is_over;
        let Outcome { lines, events, rejects, stopped, .. } = outcome;
        Ok(Took { appended: outcome.bytes > 0, stopped, lines, events, rejects })
    }
}
