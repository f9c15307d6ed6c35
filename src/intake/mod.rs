//! Bytes in: an input becomes chunks, a chunk becomes events and rejects, and those become batches of the log.
//!
//! | step | modules |
//! |---|---|
//! | open an input, and find where to go on in it | `source`, `pipe`, `packed`, `foreign`, `known`, `seek`, `marks` |
//! | cut it where a line or an item ends | `chunk`, `shape`, `framer` |
//! | read events | `fast`; `parse` is the judge, and `explain` says why a text is not an event; `repeats` leaves copies out |
//! | bring them into the log, with all cores | [`ingest`] |
//! | read what is appended to files, through rotation | [`follow`] |
//!
//! This room may use every room below it: `event`, `format`, `disk` and `store`. It writes nothing itself, it only asks
//! [`store::log`](crate::store::log) to. It leaves queries, compaction, arguments and messages about progress to others.

pub mod chunk;
pub mod explain;
pub mod fast;
pub mod follow;
pub mod foreign;
pub mod framer;
pub mod ingest;
pub mod known;
mod marks;
pub mod packed;
pub mod parse;
pub(crate) mod pipe;
pub mod repeats;
mod seek;
pub mod shape;
pub mod source;

/// Whether the bytes at hand are all there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// More may come.
    Part,
    /// They are all.
    Whole,
}

impl Extent {
    /// Of the bytes of an input that has `ended`, or not.
    fn of(ended: bool) -> Extent {
        if ended { Extent::Whole } else { Extent::Part }
    }
}
