//! A crash-safe, append-only event store for chat activity, and the report over it.
//!
//! The flow:
//!
//! ```text
//! input ─ chunks ─ parse (all cores) ─ encode frame ─ append in input order ─ fsync (overlapped) ─ mark ─ acknowledge
//! segments ─ per shard: gather, check, order, drop copies ─ fold ─ sites in order ─ render
//! ```
//!
//! The rooms, from the ground up. Each imports only from those above it in this list; a test holds them to it.
//!
//! | room | what it is for |
//! |---|---|
//! | `error`, `base` | what went wrong; memory and threads that may be refused, texts for people |
//! | `event` | an event, its order, tables of events in memory, what the report says of a site; no i/o |
//! | `format` | the one home of the bytes on disk; knows nothing of files. `wal-format.md` describes every byte |
//! | `disk` | the traits through which everything reaches the disk, which a test replaces by one that loses power; temporary files |
//! | `segment`, `snapshot` | reading a segment, and where a log ends; reading and writing a snapshot |
//! | `store` | which files count, one view of them, recovery after a crash, and the log's writer |
//! | `intake`, `query` | inputs, lines, the parser, ingest; gather, merge, fold, report, timeline. They know nothing of each other |
//! | `upkeep` | compact, verify, repair |
//! | `show` | answers and files as people see them |
//!
//! The program, `src/cli`, is a crate of its own: nothing here knows of arguments, terminals or exit statuses.

#![forbid(unsafe_code)] // The one module that needs it is the program's: src/cli/descriptors.rs.
#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

pub mod base;
pub mod error;

pub mod event;

pub mod format;

pub mod disk;

pub mod segment;
pub mod snapshot;

pub mod store;

pub mod intake;
pub mod query;

pub mod upkeep;

pub mod show;
