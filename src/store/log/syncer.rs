//! The syncer: calls fsync while there is something to sync, and says what that made durable. Where there is no thread for it, whoever
//! waits for a sync makes it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::state::{State, Written};
use crate::base::shares::{Guard, Lock, idle};
use crate::error::{Error, Result};
use crate::store::whereabouts::Whereabouts;

/// What the log, its syncer and those who write frames have in common.
pub(super) struct Shared {
    pub(super) state: Lock<State>,
    /// Told whenever the state has changed.
    pub(super) changed: Condvar,
    /// Held by whoever syncs, so that only one does at a time.
    syncing: Mutex<()>,
    /// No thread syncs.
    alone: AtomicBool,
    whereabouts: Whereabouts,
}

/// How long to sync.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Until the log ends.
    Stopped,
    /// Until nothing is left to sync.
    Synced,
}

impl Shared {
    pub(super) fn new(state: State, whereabouts: Whereabouts) -> Shared {
        let state = Lock::new("ingest", "the log", state);
        let (changed, syncing, alone) = (Condvar::new(), Mutex::new(()), AtomicBool::new(false));
        Shared { state, changed, syncing, alone, whereabouts }
    }

    /// Takes note that no thread syncs: whoever has to wait for a sync makes it.
    pub(super) fn without_syncer(&self) {
        self.alone.store(true, Ordering::Relaxed);
    }

    pub(super) fn lock(&self) -> Guard<'_, State> {
        // A panic elsewhere must not hide what is durable. The state is valid between any two statements.
        self.state.lock()
    }

    /// Waits until the state has changed.
    pub(super) fn wait<'a>(&self, state: Guard<'a, State>) -> Guard<'a, State> {
        state.wait(&self.changed)
    }

    /// The same, for whoever waits for a sync.
    pub(super) fn wait_for_sync<'a>(&'a self, state: Guard<'a, State>) -> Guard<'a, State> {
        // Others have to write what they have in hand: only then is there something to sync.
        if !self.alone.load(Ordering::Relaxed) || state.durable == state.appended.sequence {
            return self.wait(state);
        }
        drop(state);
        idle(|| self.sync(Until::Synced));
        self.lock()
    }

    /// Fsyncs what is appended.
    pub(super) fn sync(&self, until: Until) {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.lock();
        loop {
            let due = state.wanted && state.failure.is_none() && state.durable < state.appended.sequence;
            match state.written.clone().filter(|_| due) {
                Some(written) => {
                    // This fsync covers what was written before it began, with no frame missing; not what is written when it ends.
                    let claim = state.appended;
                    drop(state);
                    let result = written.file.sync();
                    // It counts only if the path still leads there: the disk also keeps what is in a directory that nobody finds.
                    let result = result.map_err(Error::io("sync", &written.path)).and_then(|()| self.look(&written));
                    state = self.lock();
                    match result {
                        Ok(()) => {
                            state.durable = claim.sequence;
                            state.acknowledged = state.acknowledged.max(claim.durable_upto);
                        }
                        Err(error) => state.fail(error),
                    }
                    self.changed.notify_all();
                }
                None if state.stopping || until == Until::Synced => return,
                None => state = self.wait(state),
            }
        }
    }

    /// Checks that what is written is where the store's path says.
    fn look(&self, written: &Written) -> Result<()> {
        self.whereabouts.check(written.number, &*written.file, written.last)
    }

    /// Checks the same before something is acknowledged. What is found wrong once stays wrong.
    pub(super) fn check_place(&self) -> Result<()> {
        let state = self.lock();
        state.check()?;
        let written = state.written.clone();
        drop(state);
        match written.map_or(Ok(()), |written| self.look(&written)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let mut state = self.lock();
                state.fail(error);
                self.changed.notify_all();
                state.check()
            }
        }
    }
}
