//! Room `base`: what every room may use.
//!
//! [`memory`] and [`threads`] that the system may refuse; turns, for work in order; [`shares`], which measures how well threads share
//! the work; the seeded hash for keys that strangers choose; [`text`] for people and paths for a [`shell`]. It uses no other room
//! but [`error`](crate::error), and knows nothing of events or files.

pub mod memory;
pub(crate) mod secret;
pub mod shares;
pub mod shell;
pub mod text;
pub mod threads;
pub(crate) mod turns;
