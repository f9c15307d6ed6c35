//! A path that is followed: the file that it leads to, those that lost their name, and what was said of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;

use super::tracked::{Place, Stamp, Tracked};
use super::{Hands, Happened};

/// A path that is followed.
pub(super) struct Name {
    pub(super) path: PathBuf,
    /// It was found by a pattern: nothing is said if it goes.
    pub(super) is_found: bool,
    pub(super) current: Option<Tracked>,
    /// Files that lost their name, and those found beside this one, the oldest first.
    pub(super) old: Vec<Tracked>,
    /// The files beside it are to be looked at, not before this moment.
    pub(super) walk: Option<Instant>,
    /// The files beside it when they were looked at last.
    pub(super) beside: Vec<(PathBuf, Place)>,
    /// Those that nobody had read then.
    pub(super) strangers: Vec<(Place, Stamp)>,
    /// Files beside it of which it was said that they cannot be read.
    pub(super) unreadable: BTreeSet<PathBuf>,
    /// What was said last of why it is not read.
    pub(super) said: Option<String>,
    pub(super) is_caught_up: bool,
    /// Something was read that is not settled.
    pub(super) is_unsettled: bool,
}

impl Name {
    /// What stands in the place of one that is looked at.
    pub(super) fn nobody() -> Name {
        Name {
            path: PathBuf::new(),
            is_found: false,
            current: None,
            old: Vec::new(),
            walk: None,
            beside: Vec::new(),
            strangers: Vec::new(),
            unreadable: BTreeSet::new(),
            said: None,
            is_caught_up: false,
            is_unsettled: false,
        }
    }

    /// Whether this file is open here, and was read.
    pub(super) fn has_read(&self, place: Place) -> bool {
        let mut files = self.old.iter().chain(&self.current);
        files.any(|file| file.file.is_some() && file.place == place && !file.is_fresh)
    }

    /// The file at hand lost its name. It is read through its descriptor; without one, it is found among the files beside.
    pub(super) fn lose_current(&mut self, now: Instant) -> bool {
        let Some(mut file) = self.current.take() else { return false };
        if file.file.is_some() {
            file.changed = now;
            // What was rotated before it comes first.
            file.waits = file.is_fresh;
            self.walk = self.walk.or(file.is_fresh.then_some(now));
            self.old.push(file);
        }
        true
    }

    /// Says why it is not read, once.
    pub(super) fn say(&mut self, what: &str, hands: &mut Hands<'_>) {
        if self.said.as_deref() != Some(what) {
            (hands.tell)(&self.path, Happened::Unreadable(what));
            self.said = Some(what.to_string());
        }
    }
}
