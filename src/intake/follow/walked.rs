//! A look at the files beside one, the newest first: which of them are to be read.

use std::io;
use std::path::PathBuf;
use std::time::Instant;

use super::siblings::Sibling;
use super::tracked::{Seen, Tracked};
use super::{FollowOptions, Hands};

/// After so many files that have nothing new, those which were rotated before are not looked at.
const COMPLETE: usize = 2;

/// What a look at the files beside one found.
#[derive(Default)]
pub(super) struct Walked {
    /// Those to be read, the newest first.
    pub(super) taken: Vec<Tracked>,
    /// Files that lost their name before they were read, and were not met yet.
    pub(super) unread: Vec<Tracked>,
    /// One was read before.
    pub(super) matched: bool,
    /// How many of those have nothing new.
    complete: usize,
    /// Names changed meanwhile.
    pub(super) moved: bool,
    /// Those that cannot be read, and why.
    pub(super) failed: Vec<(PathBuf, String)>,
}

impl Walked {
    /// Nothing yet, beside the files that lost their name before they were read.
    pub(super) fn new(unread: Vec<Tracked>) -> Walked {
        Walked { unread, ..Walked::default() }
    }

    /// Adds the next one; false once those that were rotated before need not be looked at.
    pub(super) fn add(
        &mut self,
        sibling: &Sibling,
        options: &FollowOptions,
        hands: &mut Hands<'_>,
        now: Instant,
    ) -> bool {
        if let Some(at) = self.unread.iter().position(|file| file.place == sibling.place) {
            self.taken.push(self.unread.remove(at));
            return true;
        }
        let mut file = match Tracked::open(&sibling.path, now) {
            Ok(file) if file.place == sibling.place => file,
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.failed.push((sibling.path.clone(), error.to_string()));
                return true;
            }
            _ => {
                self.moved = true;
                return true;
            }
        };
        file.is_found = true;
        match file.look_up(options, hands) {
            Ok(Seen::Known { rest: false } | Seen::Part) => {
                self.matched = true;
                self.complete += 1;
                self.complete < COMPLETE
            }
            Ok(Seen::Known { rest: true }) => {
                self.matched = true;
                self.taken.push(file);
                true
            }
            Ok(Seen::Never) if self.matched => false,
            Ok(Seen::Never) => {
                file.is_stranger = true;
                self.taken.push(file);
                true
            }
            Err(error) => {
                self.failed.push((sibling.path.clone(), error.to_string()));
                true
            }
        }
    }
}
