//! What a follower tells of, and what a look at all files came to.

use std::path::Path;

use super::tracked::Took;
use crate::intake::ingest::Notice;
use crate::intake::packed::Trailing;

/// What happens to a file.
#[derive(Debug)]
pub enum Happened<'a> {
    /// There is no such file yet.
    Awaited,
    /// It cannot be read, and why; it is tried again.
    Unreadable(&'a str),
    /// It is read from now on.
    Opened,
    /// It was found beside one that is followed, and is read first.
    Found(&'a Path),
    /// The path leads to another file now; the old one is read to its end.
    Rotated,
    /// The path leads nowhere now; the file is read to its end.
    Vanished,
    /// It is shorter than what was read of it; so many bytes of what it had were not read.
    Truncated {
        /// As far as that is known: what was written and cut off between two looks is not.
        unread: u64,
    },
    /// All of it was read, for the first time since it was opened or fell behind.
    CaughtUp {
        /// Bytes that were read of it, unpacked.
        offset: u64,
    },
    /// What was read of it is durable.
    Durable {
        /// Up to here, unpacked.
        offset: u64,
    },
    /// Behind its packed data is something that was not taken.
    Behind(&'a Trailing),
    /// What its ingest says.
    Read(&'a Notice<'a>),
}

/// What one look at all files came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pass {
    /// What was read.
    pub took: Took,
    /// There is more to read at once.
    pub is_behind: bool,
}

impl Pass {
    pub(super) fn add(&mut self, took: &Took) {
        self.took.appended |= took.appended;
        self.took.stopped |= took.stopped;
        self.took.lines += took.lines;
        self.took.events += took.events;
        self.took.rejects += took.rejects;
    }
}

/// How far behind its files a follower is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lag {
    /// Files that are open.
    pub files: u64,
    /// Bytes of them that are not read.
    pub bytes: u64,
}
