//! The command `watch`: the counts as they move, while another process writes. It takes no lock and changes nothing.

mod lines;
mod ndjson;
mod picture;
mod screen;
mod terminal;

use std::io::{IsTerminal as _, stdout};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chatwal::disk::Disk;
use chatwal::error::Error;
use chatwal::event::unit::Unit;
use chatwal::query::live::LiveOptions;

use crate::args::{Global, WatchArgs, WatchFormatArg};
use crate::console::Console;
use crate::signals::Signals;
use crate::{STDOUT, Stop, descriptors, limits, status, store};

/// The longest pause after a look, in intervals.
const MOST_PAUSE: u32 = 4;

/// How often to see whether it is to end, while it waits.
const SLICE: Duration = Duration::from_millis(50);

pub fn watch(args: &WatchArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let format = args.format.unwrap_or(WatchFormatArg::Screen);
    if args.from.is_some() && format != WatchFormatArg::Ndjson {
        let hint = "add `--format ndjson`, or leave `--from` out".to_string();
        return Err(Stop::Usage("`--from` is for a program that reads the changes".into(), hint));
    }
    let disk = Disk::open(&store(global)?)?;
    descriptors::stdout().map_err(Error::io("write to", STDOUT))?;
    let signals = Signals::watch().map_err(Error::io("watch for signals as", "this process"))?;
    let details = format != WatchFormatArg::Ndjson;
    let options = LiveOptions { limits: limits(global), details, unit: args.unit.map(Unit::from) };
    let mut pace = Pace { interval: args.interval, left: args.count, signals: &signals };
    match format {
        WatchFormatArg::Ndjson => ndjson::watch(&disk, options, args.from.as_ref(), &mut pace),
        WatchFormatArg::Screen if stdout().is_terminal() && !console.is_dumb() => {
            terminal::watch(&disk, options, global.color, &mut pace)
        }
        WatchFormatArg::Screen | WatchFormatArg::Line => lines::watch(&disk, options, &mut pace),
    }
}

/// When to look again, and when to end.
struct Pace<'s> {
    interval: Duration,
    /// Looks that are left, if somebody counts.
    left: Option<u64>,
    signals: &'s Signals,
}

impl Pace<'_> {
    /// Counts a look; the status to end with, if it was the last.
    fn counted(&mut self) -> Option<u8> {
        self.left = self.left.map(|left| left.saturating_sub(1));
        if self.left == Some(0) { Some(status::DONE) } else { self.stopped() }
    }

    /// The status to end with, if a signal asks for it.
    fn stopped(&self) -> Option<u8> {
        self.signals.stop.load(Ordering::Relaxed).then(|| self.signals.status())
    }

    /// When the next look is due, if one began then and has ended now. Looks take at most about half of the time, unless they are far
    /// slower than the interval.
    fn next(&self, began: Instant) -> Instant {
        let now = Instant::now();
        (began + self.interval).max(now + now.duration_since(began).min(self.interval * MOST_PAUSE))
    }

    /// Counts a look that began then, and waits until the next one is due; the status to end with, if this was the last or a signal comes.
    fn pause(&mut self, began: Instant) -> std::result::Result<Option<u8>, Stop> {
        match self.counted() {
            Some(status) => Ok(Some(status)),
            None => self.wait(self.next(began)),
        }
    }

    /// Waits until then; the status to end with, if a signal comes meanwhile. Nothing is wrong once standard output is closed.
    fn wait(&self, until: Instant) -> std::result::Result<Option<u8>, Stop> {
        loop {
            if let Some(status) = self.stopped() {
                return Ok(Some(status));
            }
            if is_closed() {
                return Err(Stop::Closed);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            std::thread::sleep(left.min(SLICE));
        }
    }
}

/// Whether whoever read standard output is gone. Nothing may be written for hours, so no write would tell.
fn is_closed() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let out = rustix::stdio::stdout();
    let mut asked = [PollFd::new(&out, PollFlags::empty())];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut asked, Some(&at_once)).is_ok_and(|_| asked[0].revents().contains(PollFlags::ERR))
}
