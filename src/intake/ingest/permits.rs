//! How much input may be read and not yet safe: permits for bytes, which give themselves back.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The bytes that nobody holds a permit for, and a bell for whoever waits for one.
///
/// * The free bytes and those of all permits add up to what there was at the start.
/// * A change between a look and the wait for the next change is not missed: changes are counted, and
///   [`wait_past`](Permits::wait_past) takes the count that the look began with.
/// * Its lock is taken last: nothing is waited for while it is held. So a permit can be dropped anywhere.
pub(super) struct Permits {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    free: usize,
    /// How often something changed that somebody may wait for.
    changes: u64,
}

/// Bytes of input that may be read and not yet safe. Dropping it gives them back.
#[must_use]
pub(super) struct Permit<'p> {
    permits: &'p Permits,
    bytes: usize,
}

impl Permits {
    /// For so many bytes in all.
    pub(super) fn new(bytes: usize) -> Permits {
        Permits { state: Mutex::new(State { free: bytes, changes: 0 }), changed: Condvar::new() }
    }

    /// A permit for so many bytes, if they are free.
    pub(super) fn take(&self, bytes: usize) -> Option<Permit<'_>> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(bytes)?;
        Some(Permit { permits: self, bytes })
    }

    /// How often something has changed so far.
    pub(super) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Waits until something has changed since there were so many changes.
    pub(super) fn wait_past(&self, changes: u64) {
        let waited = self.changed.wait_while(self.lock(), |state| state.changes == changes);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    /// Tells of something else than a permit that somebody may wait for.
    pub(super) fn tell(&self) {
        self.give_back(0);
    }

    fn give_back(&self, bytes: usize) {
        let mut state = self.lock();
        state.free += bytes;
        state.changes += 1;
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.permits.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, mpsc};
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_permit_gives_itself_back() {
        let permits = Permits::new(10);
        let (six, four) = (permits.take(6).unwrap(), permits.take(4).unwrap());
        assert!(permits.take(1).is_none());
        drop(six);
        assert!(permits.take(7).is_none());
        let six = permits.take(6);
        assert!(six.is_some() && permits.take(1).is_none());
        drop((four, six));
        assert!(permits.take(11).is_none() && permits.take(10).is_some());
    }

    #[test]
    fn whoever_waits_hears_of_what_changed_since_the_look() {
        let permits = Permits::new(1);
        let look = permits.changes();
        drop(permits.take(1));
        permits.wait_past(look);
        let look = permits.changes();
        permits.tell();
        permits.wait_past(look);
        let held = permits.take(1);
        let look = permits.changes();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| {
                permits.wait_past(look);
                permits.take(1).is_some()
            });
            drop(held);
            assert!(waits.join().unwrap());
        });
    }

    #[test]
    fn all_who_wait_hear_of_a_change_and_not_before() {
        let permits = Arc::new(Permits::new(1));
        let look = permits.changes();
        let (hears, heard) = mpsc::channel();
        for _ in 0..3 {
            let (permits, hears) = (Arc::clone(&permits), hears.clone());
            // Not joined: one that hears nothing would wait for ever.
            std::thread::spawn(move || {
                permits.wait_past(look);
                hears.send(())
            });
        }
        assert!(heard.recv_timeout(Duration::from_millis(100)).is_err(), "nothing has changed");
        permits.tell();
        for waits in 0..3 {
            assert!(heard.recv_timeout(Duration::from_secs(20)).is_ok(), "{waits} of 3 have heard");
        }
    }
}
