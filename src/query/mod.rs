//! Answers: events of a view are gathered shard by shard, put in order, freed of copies, and folded. It reads stores through
//! [`store`](crate::store), puts aside what does not fit the memory, and writes nothing else. How answers look is the business of
//! [`show`](crate::show).

pub mod fold;
pub mod gather;
pub(crate) mod large;
pub mod merge;
pub mod report;
pub mod sections;
pub mod timeline;
