//! The store: one directory, the log in it, and its one writer. The listing is the manifest: no second file could disagree with it.
//!
//! [`View`] finds which files count and where the log ends, and never changes anything. [`recover`] is the only place that cuts,
//! rewrites or deletes what a crash left. [`log`] appends. The room reaches files through [`disk`](crate::disk) and reads them through
//! [`segment`](crate::segment) and [`snapshot`](crate::snapshot). What events say is for `query`, and folding them for `upkeep`.

mod acknowledged;
mod blame;
mod files;
mod inputs;
mod listing;
pub mod log;
mod names;
mod place;
pub mod recover;
mod view;
mod whereabouts;

pub use crate::format::tables::InputEntry as Input;
pub(crate) use acknowledged::{all_gone, another_history, read_acknowledged};
pub(crate) use blame::{blame, not_the_successor};
pub(crate) use inputs::{Known, add_input, each_section_of_rejects};
pub(crate) use listing::RETRIES;
pub use listing::refuse_no_store;
pub use names::{ACKNOWLEDGED_NAME, BACKUP_NAME, segment_name, snapshot_name};
pub(crate) use names::{COPY, Name, parse_name};
pub use place::{Place, misencoded};
pub use view::{Position, Since, Torn, View};
pub(crate) use view::{copies_of, next_of};
