//! Pieces of work on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::shares;
use crate::base::threads::together;
use crate::error::Result;

/// Runs `count` pieces of work on up to `threads` threads. `start` makes the state of each thread; the states are returned. The first
/// error ends it.
pub fn parallel<S: Send>(
    threads: usize,
    count: usize,
    start: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, usize) -> Result<()> + Sync,
) -> Result<Vec<S>> {
    let (next, phase) = (AtomicUsize::new(0), shares::phase());
    let run = || -> Result<S> {
        let _busy = phase.map(shares::busy);
        let mut state = start();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                return Ok(state);
            }
            if let Err(error) = work(&mut state, index) {
                next.fetch_max(count, Ordering::Relaxed);
                return Err(error);
            }
        }
    };
    together(threads.min(count), run).into_iter().collect()
}
