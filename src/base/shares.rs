//! How well the threads share the work, measured by the program itself: for what share of the time a lock is held, and for what
//! share only one thread works. Off, unless [`switch_on`] was called: then a lock costs one look at a flag more.
//!
//! A **phase** is work that several threads do together ("ingest", "report"). It has named locks, and threads that say when they
//! are [`busy`] with it. Who waits for a [`Lock`] of this module, or inside [`idle`], is not busy. What several locks of one name were held
//! for is added up, so locks that can be held at the same time should have different names.

use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

static ON: AtomicBool = AtomicBool::new(false);
static PHASES: Mutex<Vec<Phase>> = Mutex::new(Vec::new());

thread_local! {
    /// What this thread is busy with.
    static BUSY: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Begins to measure.
pub fn switch_on() {
    ON.store(true, Ordering::Relaxed);
}

fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// What is known of a phase.
struct Phase {
    name: &'static str,
    /// Threads that are busy, since when there are so many, and the most there were.
    busy: usize,
    since: Instant,
    most: usize,
    /// How long none was busy since the first one was, and for how long it was only one; and all the time.
    none: Duration,
    alone: Duration,
    all: Duration,
    /// How long each lock was held.
    locks: Vec<(&'static str, Duration)>,
}

impl Phase {
    fn new(name: &'static str) -> Phase {
        let (none, alone, all) = Default::default();
        Phase { name, busy: 0, since: Instant::now(), most: 0, none, alone, all, locks: Vec::new() }
    }

    /// So many threads are busy from now on.
    fn turn(&mut self, busy: usize) {
        let now = Instant::now();
        // Before the first one, nothing had begun.
        if self.most > 0 {
            let passed = now - self.since;
            self.all += passed;
            match self.busy {
                0 => self.none += passed,
                1 => self.alone += passed,
                _ => {}
            }
        }
        (self.since, self.busy, self.most) = (now, busy, self.most.max(busy));
    }

    fn text(&self) -> String {
        let share = |part: Duration| 100.0 * part.as_secs_f64() / self.all.as_secs_f64().max(1e-9);
        let Phase { name, most, all, .. } = self;
        let mut text = format!(
            "{name}: {:.3} s, up to {most} threads; none works {:.1} %, one works {:.1} %",
            all.as_secs_f64(),
            share(self.none),
            share(self.alone)
        );
        for (lock, held) in &self.locks {
            text += &format!("; {lock} is held {:.2} %", share(*held));
        }
        text
    }
}

fn note(name: &'static str, what: impl FnOnce(&mut Phase)) {
    let mut phases = PHASES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(phase) = phases.iter_mut().find(|phase| phase.name == name) {
        return what(phase);
    }
    let mut phase = Phase::new(name);
    what(&mut phase);
    phases.push(phase);
}

/// A line for each phase that there was.
pub fn lines() -> Vec<String> {
    let phases = PHASES.lock().unwrap_or_else(PoisonError::into_inner);
    // Of others there were locks alone.
    phases.iter().filter(|phase| phase.most > 0).map(Phase::text).collect()
}

/// A thread that works on a phase, until it is dropped.
#[must_use]
pub struct Busy {
    before: Option<&'static str>,
    counts: bool,
}

/// This thread is busy with a phase until the answer is dropped.
pub fn busy(phase: &'static str) -> Busy {
    let counts = is_on();
    let before = if counts { turn_to(Some(phase)) } else { None };
    Busy { before, counts }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if self.counts {
            turn_to(self.before);
        }
    }
}

/// What this thread is busy with, for others that share the work.
pub(crate) fn phase() -> Option<&'static str> {
    BUSY.get()
}

/// Does something that is not work: it waits for the disk, or for others.
pub fn idle<T>(wait: impl FnOnce() -> T) -> T {
    let before = if is_on() { turn_to(None) } else { None };
    let result = wait();
    if before.is_some() {
        turn_to(before);
    }
    result
}

/// From now on this thread is busy with something else; gives what it was before.
fn turn_to(now: Option<&'static str>) -> Option<&'static str> {
    let before = BUSY.replace(now);
    if before != now {
        if let Some(phase) = before {
            note(phase, |phase| phase.turn(phase.busy.saturating_sub(1)));
        }
        if let Some(phase) = now {
            note(phase, |phase| phase.turn(phase.busy + 1));
        }
    }
    before
}

/// A lock of a phase. A panic elsewhere does not close it: its users leave a valid state between any two statements.
pub struct Lock<T> {
    phase: &'static str,
    name: &'static str,
    value: Mutex<T>,
}

/// A lock that is held.
pub struct Guard<'a, T> {
    // Dropped first: what it measures ends before the lock is free.
    held: Held,
    value: MutexGuard<'a, T>,
}

impl<T> Lock<T> {
    /// Of a phase, with this name.
    pub const fn new(phase: &'static str, name: &'static str, value: T) -> Lock<T> {
        Lock { phase, name, value: Mutex::new(value) }
    }

    /// Takes the lock.
    pub fn lock(&self) -> Guard<'_, T> {
        if !is_on() {
            let value = self.value.lock().unwrap_or_else(PoisonError::into_inner);
            return Guard { held: Held { phase: self.phase, name: self.name, since: None }, value };
        }
        let value = match self.value.try_lock() {
            Ok(value) => value,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => idle(|| self.value.lock().unwrap_or_else(PoisonError::into_inner)),
        };
        Guard { held: Held { phase: self.phase, name: self.name, since: Some(Instant::now()) }, value }
    }

    /// What it guards, at the end.
    pub fn into_inner(self) -> T {
        self.value.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a, T> Guard<'a, T> {
    /// Waits for something with the lock held, where nobody else could use the lock. That time does not count.
    pub fn waiting<R>(&mut self, wait: impl FnOnce() -> R) -> R {
        let before = self.held.since.take();
        self.held.tell(before);
        let result = wait();
        self.held.since = before.map(|_| Instant::now());
        result
    }

    /// Gives the lock back, waits until somebody tells of a change, and takes it again.
    pub fn wait(self, changed: &Condvar) -> Guard<'a, T> {
        let Guard { held, value } = self;
        let (phase, name, timed) = (held.phase, held.name, held.since.is_some());
        drop(held);
        let value = idle(|| changed.wait(value).unwrap_or_else(PoisonError::into_inner));
        Guard { held: Held { phase, name, since: timed.then(Instant::now) }, value }
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for Guard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

/// Measures how long a lock is held.
struct Held {
    phase: &'static str,
    name: &'static str,
    since: Option<Instant>,
}

impl Held {
    fn tell(&self, since: Option<Instant>) {
        let Some(since) = since else { return };
        let held = since.elapsed();
        note(self.phase, |phase| match phase.locks.iter_mut().find(|(name, _)| *name == self.name) {
            Some((_, all)) => *all += held,
            None => phase.locks.push((self.name, held)),
        });
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tell(self.since);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn of(name: &str) -> (Duration, Duration, Duration, usize, Vec<(&'static str, Duration)>) {
        let phases = PHASES.lock().unwrap();
        let phase = phases.iter().find(|phase| phase.name == name).unwrap();
        (phase.none, phase.alone, phase.all, phase.most, phase.locks.clone())
    }

    #[test]
    fn the_shares_are_those_of_the_threads_at_work() {
        const SLEEP: Duration = Duration::from_millis(40);
        let sleep = || std::thread::sleep(SLEEP);
        switch_on();
        let lock = Lock::new("a test", "its lock", 0);
        let meet = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _busy = busy("a test");
                sleep(); // Alone.
                idle(|| meet.wait());
                sleep(); // Both.
                let held = lock.lock();
                idle(|| meet.wait());
                sleep(); // Alone: the other one waits for the lock.
                drop(held);
            });
            idle(|| meet.wait());
            let working = busy("a test");
            sleep();
            idle(|| meet.wait());
            *lock.lock() += 1;
            idle(sleep); // Nobody, once the other one has ended.
            drop(working);
        });
        let (none, alone, all, most, locks) = of("a test");
        assert_eq!((most, locks.len(), lock.into_inner()), (2, 1, 1));
        assert!(alone >= SLEEP * 2 && none >= SLEEP / 2 && all >= SLEEP * 4, "{none:?} {alone:?} {all:?}");
        assert!(alone + none <= all - SLEEP / 2, "there was a time when both worked: {none:?} {alone:?} {all:?}");
        assert!(locks[0].1 >= SLEEP && locks[0].1 <= all - SLEEP, "{locks:?} {all:?}");
        assert!(lines().iter().any(|line| line.starts_with("a test: ") && line.contains("its lock is held")));
    }
}
