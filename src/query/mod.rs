//! Answers: events of a view are gathered shard by shard, put in order, freed of copies, and folded.
//!
//! The room reads stores through [`store`](crate::store), and puts aside what does not fit the memory, through
//! [`disk::scratch`](crate::disk::scratch). It writes nothing else. [`gather`] is where reports and compaction both begin; [`activity`] is when messages came; `large` takes
//! what does not fit; [`live`] follows a store. How answers look is for [`show`](crate::show).

pub mod activity;
pub mod fold;
pub mod gather;
pub(crate) mod large;
pub mod live;
pub mod merge;
mod one_site;
pub mod report;
pub mod sections;
pub mod timeline;
