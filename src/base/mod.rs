//! What every room may use: memory that may be refused, threads that may be refused, turns, the seeded hash, how much is done
//! alone, and texts for people. It uses nothing of the other rooms but [`error`](crate::error).

pub mod memory;
pub(crate) mod secret;
pub mod shares;
pub mod shell;
pub mod text;
pub mod threads;
pub(crate) mod turns;
