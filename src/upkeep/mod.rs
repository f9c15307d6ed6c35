//! Care for a store. [`compact`] folds segments into snapshots. [`verify`] checks everything, past any damage, and walks the files
//! with `survey`. [`repair`] saves what is intact of a damaged store, by compacting it. [`backup`] makes a copy of a store, and keeps it up to date.
//!
//! It may use every room but [`intake`](crate::intake) and `show`. It leaves two things to others: the judge in
//! [`segment`](crate::segment) says what damage means, and [`store`](crate::store) cuts torn ends.

pub mod backup;
pub mod compact;
mod pending;
pub mod repair;
mod survey;
pub mod verify;

use std::sync::atomic::{AtomicBool, Ordering};

/// How long work is stopped early, and who is told how far it is.
#[derive(Clone, Copy)]
pub(crate) struct Control<'a> {
    /// Once this is set, the work is given up.
    pub(crate) stop: &'a AtomicBool,
    /// Is told the share that is done, 0 to 1.
    pub(crate) progress: &'a (dyn Fn(f64) + Sync),
}

impl Control<'_> {
    /// Whether the work is to be given up.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}
