//! Following files: reads what is appended to them, wherever rotation puts it.
//!
//! A file is known by its content, so a follower only has to read the right files at the right time; which part of one is new is found
//! as in any ingest. It looks at each path again and again, and keeps the file open that it found there:
//!
//! * The path leads to the same file, and that changed: it is read on.
//! * The path leads to another file, or to none: the old one is read through the open descriptor until it has not grown for a while, and
//!   the newest of them until the next one comes, as long as it has a name. It does not matter whether it was renamed, packed or deleted.
//! * The file is shorter than what was read of it: it is found again by its content, as a new one if need be.
//! * At the start, after each of these, and when names in its directory change, the files beside it are looked at whose names begin with
//!   its own. What was rotated unseen is read before the new file is. So a log whose prefix is left by a crash never has the newer file
//!   without the older one.
//!
//! An inode number says nothing of a file that is neither open nor has a name, so nothing is remembered by it.
//!
//! What cannot be known: text that was written and cut off between two looks, if no file beside it has it.

mod happened;
mod name;
mod siblings;
mod tracked;
mod walked;

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

pub use happened::{Happened, Lag, Pass};
use name::Name;
use siblings::{Listings, Sibling};
pub use tracked::Took;
use tracked::{Place, Seen, Stamp, Tracked, Turn};
use walked::Walked;

use crate::error::Result;
use crate::intake::ingest::{IngestOptions, Intake};
use crate::intake::source::SourceOptions;
use crate::store::log::Log;

/// A file beside a followed one that is not known has to stay as it is for so long before it is read: it may be a copy in the making.
const SETTLED: Duration = Duration::from_secs(1);

/// How long a packed file may go without a change before its missing end is taken for damage.
const PATIENCE: Duration = Duration::from_secs(60);

/// How to follow.
#[derive(Clone, Debug)]
pub struct FollowOptions {
    /// How to open files.
    pub source: SourceOptions,
    /// How to take them in.
    pub ingest: IngestOptions,
    /// How long a file that lost its name is looked at after it grew last.
    pub grace: Duration,
    /// How long a file is read before it is the next one's turn.
    pub turn: Duration,
    /// How many files are kept open.
    pub open: usize,
    /// Since when nobody may have followed the files, in seconds from 1970 on: what was rotated later is read, though the store does not
    /// know its name. A file may have been followed before it had a line. None if nobody ever did.
    pub unwatched_since: Option<i64>,
}

/// What a follower works with.
pub struct Hands<'a> {
    /// Where everything goes.
    pub log: &'a mut Log,
    /// What the store knows of inputs.
    pub intake: &'a mut Intake,
    /// Once it is set, the chunk at hand is finished and nothing more is read.
    pub stop: &'a AtomicBool,
    /// Hears what happens to which file.
    pub tell: &'a mut (dyn FnMut(&Path, Happened<'_>) + Send),
}

/// Follows files.
pub struct Follower {
    options: FollowOptions,
    names: Vec<Name>,
    /// Their paths.
    paths: BTreeSet<PathBuf>,
    listings: Listings,
    open: usize,
}

impl Follower {
    /// Follows nothing yet.
    pub fn new(options: FollowOptions) -> Follower {
        let (names, paths, listings) = (Vec::new(), BTreeSet::new(), Listings::default());
        Follower { options, names, paths, listings, open: 0 }
    }

    /// Follows a file, which need not be there yet. `is_found`: by a pattern, so that it may come and go.
    pub fn add(&mut self, path: &Path, is_found: bool) {
        if self.paths.insert(path.to_owned()) {
            self.names.push(Name { path: path.to_owned(), is_found, walk: Some(Instant::now()), ..Name::nobody() });
        }
    }

    /// Looks at all files once and reads what is new.
    pub fn pass(&mut self, hands: &mut Hands<'_>, now: Instant) -> Result<Pass> {
        let (mut pass, mut listings) = (Pass::default(), std::mem::take(&mut self.listings));
        listings.look(now);
        self.open = self.names.iter().filter(|name| name.current.as_ref().is_some_and(|it| it.file.is_some())).count();
        for number in 0..self.names.len() {
            if hands.stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(name) = self.names.get_mut(number) else { break };
            let mut name = std::mem::replace(name, Name::nobody());
            let looked = self.look(&mut name, &mut listings, hands, now);
            if let Some(place) = self.names.get_mut(number) {
                *place = name;
            }
            let some = looked?;
            pass.add(&some.took);
            pass.is_behind |= some.is_behind;
        }
        self.listings = listings;
        self.forget_what_went();
        Ok(pass)
    }

    /// Tells of each file whose text is durable since the log was settled.
    pub fn settled(&mut self, tell: &mut dyn FnMut(&Path, Happened<'_>)) {
        for name in self.names.iter_mut().filter(|name| name.is_unsettled) {
            name.is_unsettled = false;
            for file in name.old.iter().chain(&name.current) {
                tell(&file.path, Happened::Durable { offset: file.offset });
            }
        }
    }

    /// How far behind it is.
    pub fn lag(&self) -> Lag {
        let files = self.names.iter().flat_map(|name| name.old.iter().chain(&name.current));
        files.fold(Lag::default(), |lag, file| {
            let bytes = if file.is_packed { 0 } else { file.seen.size.saturating_sub(file.offset) };
            Lag { files: lag.files + 1, bytes: lag.bytes + bytes }
        })
    }

    /// Files that a pattern found and that are gone are followed no longer.
    fn forget_what_went(&mut self) {
        let is_gone =
            |name: &Name| name.is_found && name.current.is_none() && name.old.is_empty() && name.said.is_some();
        if self.names.iter().any(is_gone) {
            self.names.retain(|name| !is_gone(name));
            self.paths = self.names.iter().map(|name| name.path.clone()).collect();
        }
    }

    fn look(&mut self, name: &mut Name, listings: &mut Listings, hands: &mut Hands<'_>, now: Instant) -> Result<Pass> {
        let mut pass = Pass::default();
        self.see_path(name, hands, now);
        if name.walk.is_none() && listings.may_have_changed(&name.path) {
            let beside = listings.siblings(&name.path);
            let is_same = beside.iter().map(Sibling::identity).eq(name.beside.iter().cloned());
            name.walk = (!is_same).then_some(now);
        }
        if name.walk.is_some_and(|due| due <= now) {
            self.walk(name, listings, hands, now)?;
        }
        self.read_old(name, hands, now, &mut pass)?;
        let waits = name.walk.is_some() || name.old.iter().any(Tracked::comes_first);
        if let Some(mut current) = name.current.take_if(|_| !waits) {
            let read = self.read_current(name, &mut current, hands, &mut pass);
            name.current = Some(current);
            read?;
        }
        name.is_unsettled |= pass.took.appended;
        Ok(pass)
    }

    /// Looks where the path leads now.
    fn see_path(&mut self, name: &mut Name, hands: &mut Hands<'_>, now: Instant) {
        let meta = match name.path.metadata() {
            Ok(meta) if meta.is_file() => meta,
            other => {
                let gone = matches!(&other, Err(error) if error.kind() == io::ErrorKind::NotFound);
                if name.lose_current(now) {
                    (hands.tell)(&name.path, Happened::Vanished);
                    name.said = Some(String::new());
                } else if gone && name.said.is_none() {
                    (hands.tell)(&name.path, Happened::Awaited);
                    name.said = Some(String::new());
                } else if !gone {
                    let what = other.map_or_else(|error| error.to_string(), |_| "it is not a file".into());
                    name.say(&what, hands);
                }
                return;
            }
        };
        let (place, stamp) = (Place::of(&meta), Stamp::of(&meta));
        if let Some(current) = name.current.as_mut().filter(|current| current.place == place) {
            current.latest = stamp;
            if stamp == current.seen {
                return;
            }
            current.changed = now;
            if !current.is_what_was_read(stamp) {
                let unread = current.seen.size.saturating_sub(current.offset);
                (hands.tell)(&name.path, Happened::Truncated { unread });
                (current.offset, current.is_fresh) = (0, true);
                (name.walk, name.is_caught_up) = (Some(now), false);
            }
            return;
        }
        if name.lose_current(now) {
            (hands.tell)(&name.path, Happened::Rotated);
        }
        match Tracked::open(&name.path, now) {
            Ok(file) => {
                self.open += 1;
                (hands.tell)(&name.path, Happened::Opened);
                (name.current, name.walk, name.said, name.is_caught_up) = (Some(file), Some(now), None, false);
            }
            Err(error) => name.say(&error.to_string(), hands),
        }
    }

    /// Looks at the files beside it, and takes those that were rotated unseen. What nobody has read goes before whatever is newer.
    fn walk(&self, name: &mut Name, listings: &mut Listings, hands: &mut Hands<'_>, now: Instant) -> Result<()> {
        let mut found = Walked::new(name.old.extract_if(.., |old| old.is_fresh).collect());
        if let Some(current) = &mut name.current {
            // What is wrong with it is said when it is read.
            found.matched = matches!(current.look_up(&self.options, hands), Ok(Seen::Known { .. } | Seen::Part));
        }
        let siblings = listings.siblings(&name.path);
        name.beside = siblings.iter().map(Sibling::identity).collect();
        for sibling in siblings {
            let is_read = name.has_read(sibling.place) || self.names.iter().any(|other| other.has_read(sibling.place));
            found.matched |= is_read;
            if !is_read && !self.paths.contains(&sibling.path) && !found.add(&sibling, &self.options, hands, now) {
                break;
            }
        }
        for (path, problem) in std::mem::take(&mut found.failed) {
            if name.unreadable.insert(path.clone()) {
                (hands.tell)(&path, Happened::Unreadable(&problem));
            }
        }
        if !found.matched && !hands.intake.known().has_name(name.path.as_os_str().as_encoded_bytes()) {
            // What was there before it was ever followed is not asked for.
            let is_new =
                |file: &Tracked| self.options.unwatched_since.is_some_and(|since| file.latest.modified.0 >= since);
            found.taken.retain(|file| !file.is_stranger || is_new(file));
        }
        // Of those that lost their name before they were read, some may have no name left.
        let gone = found.unread.into_iter();
        let mut oldest_first: Vec<Tracked> = gone.chain(found.taken.into_iter().rev()).collect();
        let before = std::mem::take(&mut name.strangers);
        let strangers = oldest_first.iter().filter(|file| file.is_stranger);
        name.strangers = strangers.map(|file| (file.place, file.latest)).collect();
        let is_settled = |file: &Tracked| !file.is_stranger || before.contains(&(file.place, file.latest));
        let settled = oldest_first.iter().position(|file| !is_settled(file)).unwrap_or(oldest_first.len());
        let waiting = oldest_first.split_off(settled);
        name.walk = (found.moved || !waiting.is_empty()).then(|| now + SETTLED);
        for mut file in oldest_first {
            if file.is_found && file.waits {
                (hands.tell)(&name.path, Happened::Found(&file.path));
            }
            file.waits = false;
            name.old.push(file);
        }
        // The others are found again; but a file without a name is only here.
        name.old.extend(waiting.into_iter().filter(|file| !file.is_found));
        Ok(())
    }

    /// Reads the files that lost their name, and lets go of those that have not grown for long.
    fn read_old(&self, name: &mut Name, hands: &mut Hands<'_>, now: Instant, pass: &mut Pass) -> Result<()> {
        let mut waits = false;
        for old in &mut name.old {
            if old.is_done && now.saturating_duration_since(old.looked) < SETTLED {
                continue;
            }
            old.looked = now;
            let stamp = old.stamp().unwrap_or(old.seen);
            let has_changed = stamp != old.seen;
            if has_changed {
                (old.changed, old.is_done) = (now, false);
            }
            if waits || old.waits {
                waits = true;
                continue;
            }
            // What failed is tried again once it has changed.
            if has_changed || old.is_behind || old.is_fresh && old.failure.is_none() {
                let took = old.read(Turn::Next, &self.options, hands)?;
                pass.add(&took);
                pass.is_behind |= old.is_behind;
            }
            // Whoever is newer waits: a crash must not leave the newer without the older.
            waits |= old.comes_first();
        }
        self.end_old(name, hands, now, pass)
    }

    /// Lets go of the files that have not grown for long, but for the newest that has a successor: whoever wrote it may never have been
    /// told of its new name.
    fn end_old(&self, name: &mut Name, hands: &mut Hands<'_>, now: Instant, pass: &mut Pass) -> Result<()> {
        let mut number = 0;
        while let Some(old) = name.old.get_mut(number) {
            let patience = if old.failure.is_some() { PATIENCE.max(self.options.grace) } else { self.options.grace };
            if old.is_behind || old.waits || now.saturating_duration_since(old.changed) < patience {
                number += 1;
                continue;
            }
            if !old.is_done {
                // What is incomplete stays so: now it is said, and kept in the store.
                let took = old.read(Turn::Last, &self.options, hands)?;
                pass.add(&took);
                if took.stopped {
                    return Ok(());
                }
                if let Some(problem) = &old.failure {
                    (hands.tell)(&old.path, Happened::Unreadable(problem));
                }
                old.is_done = true;
            }
            let has_room = name.current.is_some() && self.open * 2 < self.options.open;
            let may_grow = has_room && old.failure.is_none() && !old.is_packed && old.has_name();
            if may_grow && number + 1 == name.old.len() {
                return Ok(());
            }
            name.old.remove(number);
        }
        Ok(())
    }

    fn read_current(
        &mut self,
        name: &mut Name,
        current: &mut Tracked,
        hands: &mut Hands<'_>,
        pass: &mut Pass,
    ) -> Result<()> {
        let stamp = current.latest;
        if stamp == current.seen && !current.is_fresh && !current.is_behind {
            return Ok(());
        }
        if stamp == current.seen && current.failure.is_some() {
            // Nothing has changed since it failed. A packed file whose end is missing may still be written.
            if !current.is_packed || current.changed.elapsed() >= PATIENCE {
                let problem = current.failure.clone().unwrap_or_default();
                name.say(&problem, hands);
            }
            return Ok(());
        }
        let was_open = current.file.is_some();
        let took = current.read(Turn::Next, &self.options, hands)?;
        self.open += usize::from(!was_open && current.file.is_some());
        pass.add(&took);
        pass.is_behind |= current.is_behind;
        if current.failure.is_none() && !current.is_behind && !took.stopped && !name.is_caught_up {
            name.is_caught_up = true;
            (hands.tell)(&name.path, Happened::CaughtUp { offset: current.offset });
        }
        name.is_caught_up &= !current.is_behind;
        if self.open > self.options.open && !current.is_behind && current.file.take().is_some() {
            self.open -= 1;
        }
        Ok(())
    }
}
