//! A crash-safe, append-only event store for chat activity, and the report over it.
//!
//! # Embed it
//!
//! A service ingests files and asks the store. Everything below runs as it stands.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::AtomicBool;
//!
//! use chatwal::{Caller, Disk, IngestOptions, Intake, Log, LogOptions, Names, Report, ReportOptions, Source, View};
//!
//! # fn main() -> chatwal::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let (input, store) = (directory.path().join("chat.jsonl"), directory.path().join("store"));
//! # std::fs::write(&input, r#"
//! # {"id":"a","type":"status","from":"operator1","site_id":"123","timestamp":1,"data":{"status":"online"}}
//! # {"id":"b","type":"message","from":"visitor1","site_id":"123","timestamp":2,"data":{"message":"hi"}}
//! # "#.trim_start()).unwrap();
//! // The one writer: opening recovers from a crash, and says what it had to cut.
//! let disk = Arc::new(Disk::create(&store, Names::Durable)?);
//! let (mut log, view, recovery) = Log::open(disk.clone(), LogOptions::default())?;
//! assert!(recovery.cut.is_none());
//!
//! // An input is known by its content: the next ingest goes on where this one ended.
//! let mut intake = Intake::new(view.inputs);
//! let stop = AtomicBool::new(false);
//! let source = Source::open(&input)?;
//! let caller = Caller { stop: &stop, notify: &mut |_| () };
//! let outcome = intake.ingest(&mut log, source, IngestOptions::default(), caller)?;
//! log.settle()?; // From here on it survives a loss of power.
//! assert_eq!((outcome.events, outcome.rejects), (2, 0));
//!
//! // Readers take no lock. A view is one consistent prefix of the log.
//! let view = View::open(&*disk)?;
//! let report = Report::of(&view, &ReportOptions::default())?;
//! report.each(&mut |site, summary| {
//!     assert_eq!((site, summary.messages, summary.visitors), (&b"123"[..], 1, 1));
//!     true
//! })?;
//! # Ok(())
//! # }
//! ```
//!
//! A timeline says when a site was online; rejects and inputs are part of the view; [`compact`] folds the log, [`backup()`]
//! copies what is new to another directory, [`verify`] checks the whole store, [`repair`] saves what is intact of a damaged one.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use chatwal::{CompactOptions, Disk, Limits, RepairOptions, Timeline, View};
//!
//! # fn main() -> chatwal::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let disk = std::sync::Arc::new(Disk::create(directory.path(), chatwal::Names::Durable)?);
//! # drop(chatwal::Log::open(disk.clone(), chatwal::LogOptions::default())?);
//! let view = View::open(&*disk)?;
//! let limits = Limits::new(2); // Two threads, 128 MiB; what does not fit goes to temporary files.
//! assert_eq!(Timeline::of(&view, b"123", &limits)?.periods()?, []);
//! assert!(view.inputs.is_empty());
//! view.rejects(&mut |input, rejects| {
//!     println!("{} of input {:?}", rejects.count(), input.name);
//!     true
//! })?;
//!
//! let stop = AtomicBool::new(false);
//! let options = CompactOptions { threads: 2, memory: limits.memory, temp: None, all: true };
//! assert_eq!(chatwal::compact(&*disk, &options, &stop, &|_| ())?, None, "nothing to fold");
//! let found = chatwal::verify(&*disk, &limits, &|_| ())?;
//! assert_eq!(found.findings, []);
//! let options = RepairOptions { threads: 2, memory: limits.memory, temp: None, dry_run: true };
//! assert_eq!(chatwal::repair(&*disk, &options, &stop, &|_| ())?, None, "nothing to repair");
//! # Ok(())
//! # }
//! ```
//!
//! [`render`] writes a report as lines, CSV or JSON. [`Window`] and [`ReportOptions::sites`] narrow it. An [`Error`] says where
//! something is wrong, what was expected and found, and [`Error::hint`] what to do next. Appending events from memory, without a
//! file, is not here yet.
//!
//! # How it works
//!
//! ```text
//! input ─ chunks ─ parse (all cores) ─ encode frame ─ append in input order ─ fsync (overlapped) ─ mark ─ acknowledge
//! segments ─ per shard: gather, check, order, drop copies ─ fold ─ sites in order ─ render
//! ```
//!
//! The rooms, from the ground up. Each imports only from those above it in this list; a test holds them to it. They are public for
//! this project's own programs, tests and fuzzers, hidden from this documentation, and change without notice.
//!
//! | room | what it is for |
//! |---|---|
//! | `error`, `base` | what went wrong; memory and threads that may be refused, texts for people |
//! | `event` | an event, its order, tables of events in memory, what the report says of a site; no i/o |
//! | `format` | the one home of the bytes on disk; knows nothing of files. `wal-format.md` describes every byte |
//! | `disk` | the traits through which everything reaches the disk, which a test replaces by one that loses power; temporary files |
//! | `segment`, `snapshot` | reading a segment, and where a log ends; reading and writing a snapshot |
//! | `store` | which files count, one view of them, recovery after a crash, and the log's writer |
//! | `intake`, `query` | inputs, lines, the parser, ingest; gather, merge, fold, report, timeline, live. They know nothing of each other |
//! | `upkeep` | compact, backup, verify, repair |
//! | `show` | answers and files as people see them |
//!
//! The program, `src/cli`, is a crate of its own: nothing here knows of arguments, terminals or exit statuses.

#![forbid(unsafe_code)] // The one module that needs it is the program's: src/cli/descriptors.rs.
#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

#[doc(hidden)]
pub mod base;
#[doc(hidden)]
pub mod error;

#[doc(hidden)]
pub mod event;

#[doc(hidden)]
pub mod format;

#[doc(hidden)]
pub mod disk;

#[doc(hidden)]
pub mod segment;
#[doc(hidden)]
pub mod snapshot;

#[doc(hidden)]
pub mod store;

#[doc(hidden)]
pub mod intake;
#[doc(hidden)]
pub mod query;

#[doc(hidden)]
pub mod upkeep;

#[doc(hidden)]
pub mod show;

#[doc(inline)]
pub use disk::scratch::{Limits, Scratch};
#[doc(inline)]
pub use disk::{Disk, Names};
#[doc(inline)]
pub use error::{Corruption, Error, Result};
#[doc(inline)]
pub use event::summary::{Summary, Window};
#[doc(inline)]
pub use intake::ingest::{Caller, IngestOptions, Intake, MaxRejects, Notice, Outcome};
#[doc(inline)]
pub use intake::source::{Source, SourceOptions};
#[doc(inline)]
pub use query::live::{Changes, Live, LiveOptions};
#[doc(inline)]
pub use query::report::{Report, ReportOptions, Totals};
#[doc(inline)]
pub use query::timeline::{Period, Timeline};
#[doc(inline)]
pub use show::render::{Format, report as render};
#[doc(inline)]
pub use store::log::{Durability, Log, LogOptions};
#[doc(inline)]
pub use store::recover::Recovery;
#[doc(inline)]
pub use store::{Input, Position, View};
#[doc(inline)]
pub use upkeep::backup::{Backup, backup};
#[doc(inline)]
pub use upkeep::compact::{CompactOptions, compact};
#[doc(inline)]
pub use upkeep::repair::{Repair, RepairOptions, repair};
#[doc(inline)]
pub use upkeep::verify::{Verification, verify};
