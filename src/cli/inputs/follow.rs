//! `ingest --follow`: the life of a service, and what it says of it.

mod names;
mod tell;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use chatwal::error::{Error, Result};
use chatwal::intake::follow::{FollowOptions, Follower, Hands, Pass};
use chatwal::intake::ingest::Intake;

use super::taken::{Taken, begin, options};
use super::{ended, open};
use crate::Stop;
use crate::args::{FollowArgs, Global, IngestArgs};
use crate::console::Console;
use crate::signals::Signals;
use names::Names;
use tell::Herald;

/// How long a file that lost its name is read after it grew last.
const GRACE: Duration = Duration::from_secs(5);

/// How often patterns are looked up, at most.
const RESCAN: Duration = Duration::from_secs(1);

/// The longest sleep: signals are heeded after it.
const NAP: Duration = Duration::from_millis(100);

/// How long one file is read while others wait.
const TURN: Duration = Duration::from_millis(250);

/// How often a service manager is told that all is well, at most.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// Descriptors that are left to the store and to everything else.
const SPARE_DESCRIPTORS: usize = 64;

/// So many seconds before the store was written last, what was written to a file may not have been read.
const MARGIN: i64 = 60;

/// Reads files as they grow, until a signal asks to end.
pub(super) fn follow(
    args: &IngestArgs,
    store: &Path,
    global: &Global,
    console: &Console,
) -> std::result::Result<u8, Stop> {
    let mut names = Names::of(&args.input, console)?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let unwatched_since = last_written(store);
    let (mut taken, mut view) = begin(&args.input, store, global, console)?;
    let mut intake = Intake::new(std::mem::take(&mut view.inputs));
    drop(view);
    let mut follower = Follower::new(FollowOptions {
        source: open::options(&args.input, global),
        ingest: options(&args.input, global),
        grace: GRACE,
        turn: TURN.min(args.follow.flush_interval),
        open: open::raise_open_files().saturating_sub(SPARE_DESCRIPTORS).max(1),
        unwatched_since,
    });
    let mut service = Service::new(&args.follow, &signals, console);
    let served = service.serve(&mut names, &mut follower, &mut intake, &mut taken);
    let settled = served.and_then(|()| service.settle(&mut follower, &mut taken));
    if let Err(error) = settled {
        // What was appended before the error is safe all the same, if the log itself is sound.
        let _ = taken.log.settle();
        return Err(error.into());
    }
    service.herald.finish();
    taken.interrupted = Some(super::taken::Interrupted { status: signals.status(), piped: false });
    ended(taken, store, console)
}

/// About when the store was written last, if there is one: as long as somebody followed files, they wrote.
fn last_written(store: &Path) -> Option<i64> {
    let files = store.read_dir().ok()?.flatten().filter_map(|entry| entry.metadata().ok());
    let newest = files.filter(std::fs::Metadata::is_file).map(|meta| meta.mtime()).max()?;
    Some(newest.saturating_sub(MARGIN))
}

/// What follows, between one look and the next.
struct Service<'a> {
    args: &'a FollowArgs,
    signals: &'a Signals,
    herald: Herald<'a>,
    /// Since when something is appended and not settled.
    unsettled: Option<Instant>,
    scanned: Option<Instant>,
    beaten: Option<Instant>,
}

impl<'a> Service<'a> {
    fn new(args: &'a FollowArgs, signals: &'a Signals, console: &'a Console) -> Service<'a> {
        Service { args, signals, herald: Herald::new(console), unsettled: None, scanned: None, beaten: None }
    }

    fn has_to_end(&self) -> bool {
        self.signals.stop.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Looks at the files again and again.
    fn serve(
        &mut self,
        names: &mut Names,
        follower: &mut Follower,
        intake: &mut Intake,
        taken: &mut Taken<'_>,
    ) -> Result<()> {
        let mut is_ready = false;
        while !self.has_to_end() {
            let begun = Instant::now();
            if self.scanned.is_none_or(|scanned| scanned.elapsed() >= RESCAN) {
                self.scanned = Some(begun);
                names.each(self.herald.console(), &mut |path, is_found| follower.add(path, is_found));
            }
            let pass = self.pass(begun, follower, intake, taken)?;
            self.herald.tell_status(follower.lag(), &pass.took);
            self.beat(std::mem::replace(&mut is_ready, true));
            if !pass.is_behind {
                self.sleep(begun + self.args.poll, follower, taken)?;
            }
        }
        Ok(())
    }

    fn pass(
        &mut self,
        now: Instant,
        follower: &mut Follower,
        intake: &mut Intake,
        taken: &mut Taken<'_>,
    ) -> Result<Pass> {
        let herald = &mut self.herald;
        let mut tell = |path: &Path, what: chatwal::intake::follow::Happened<'_>| herald.tell(path, &what);
        let hands = &mut Hands { log: &mut taken.log, intake, stop: &self.signals.stop, tell: &mut tell };
        let pass = follower.pass(hands, now)?;
        if pass.took.appended {
            self.unsettled.get_or_insert(now);
        }
        if self.is_due() {
            self.settle(follower, taken)?;
        }
        Ok(pass)
    }

    fn is_due(&self) -> bool {
        self.unsettled.is_some_and(|since| since.elapsed() >= self.args.flush_interval)
    }

    /// Makes what was read durable, and tells of it.
    fn settle(&mut self, follower: &mut Follower, taken: &mut Taken<'_>) -> Result<()> {
        if self.unsettled.take().is_some() {
            taken.log.settle()?;
            follower.settled(&mut |path, what| self.herald.tell(path, &what));
            if let Some(compactor) = &mut taken.compactor {
                compactor.poke();
            }
        }
        Ok(())
    }

    /// Until it is time for the next look. What was read becomes durable meanwhile, if that is due.
    fn sleep(&mut self, until: Instant, follower: &mut Follower, taken: &mut Taken<'_>) -> Result<()> {
        loop {
            if self.is_due() {
                self.settle(follower, taken)?;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || self.has_to_end() {
                return Ok(());
            }
            let due = self.unsettled.map(|since| self.args.flush_interval.saturating_sub(since.elapsed()));
            std::thread::sleep(left.min(NAP).min(due.unwrap_or(NAP)));
        }
    }

    /// Tells a service manager, if there is one, that all is well.
    fn beat(&mut self, is_ready: bool) {
        use sd_notify::NotifyState::{Ready, Watchdog};
        if self.beaten.is_some_and(|beaten| beaten.elapsed() < HEARTBEAT) {
            return;
        }
        self.beaten = Some(Instant::now());
        // Without a manager this does nothing; one that does not listen cannot be told.
        let _ = if is_ready { sd_notify::notify(&[Watchdog]) } else { sd_notify::notify(&[Ready]) };
    }
}
