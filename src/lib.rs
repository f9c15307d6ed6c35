//! A crash-safe, append-only event store for chat activity, and the report over it.
//!
//! The flow, which is also the order of the modules:
//!
//! ```text
//! input ─ chunks ─ parse (all cores) ─ encode frame ─ append in input order ─ fsync (overlapped) ─ mark ─ acknowledge
//! segments ─ per shard: gather, check, order, drop copies ─ fold ─ sites in order ─ render
//! ```
//!
//! [`input`] cuts an input into chunks of whole lines and lines into [`event`]s. A worker collects those of a chunk in a
//! [`table`] and packs them, grouped by shard, into the sections of a batch ([`format`](mod@format)). [`ingest`] hands the batches
//! to the [`log`], which appends them to a [`segment`] and acknowledges what is proven durable. The [`store`] knows which
//! files count and recovers them after a crash. [`report`] reads one shard after the other back into tables (what does not fit the memory is put aside, in [`scratch`]), [`merge`]
//! orders them and drops copies, [`summary`] folds each site, [`render`] prints. [`verify`] checks a whole store, past any damage,
//! [`repair`] saves what is intact of a damaged one, [`dump`] shows a file to people.
//!
//! Imports point one way: `event`, `table` and `format` know nothing of files, `merge` and `summary` nothing of disk or
//! JSON, and nothing here knows of arguments, terminals or exit statuses. Everything reaches the disk through
//! [`storage`], which a test replaces by one that loses power. `wal-format.md` describes every byte.

#![forbid(unsafe_code)] // The one module that needs it is the program's: src/cli/descriptors.rs.
#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

pub mod error;
pub mod event;

pub mod input;

pub mod format;
mod order;
mod secret;
pub mod table;

pub mod ingest;
pub mod log;
mod place;
pub mod recover;
mod search;
pub mod segment;
pub mod snapshot;
pub mod storage;
pub mod store;

pub mod compact;
pub mod gather;
mod large;
mod lines;
pub mod merge;
pub mod report;
pub mod scratch;
pub mod summary;
pub mod timeline;

pub mod repair;
mod survey;
pub mod verify;

pub mod dump;
pub mod memory;
pub mod render;
pub mod shares;
pub mod shell;
pub mod threads;
mod turns;
