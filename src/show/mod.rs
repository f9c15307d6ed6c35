//! What people and programs see of answers and files: rows in five formats ([`render`]), a page to look at ([`page`]), and a file of a store, byte for byte and past
//! any damage ([`dump`]).
//!
//! The room may use all others; none uses it. It knows nothing of arguments or terminals: those belong to the program, in `src/cli`. What
//! an answer says is for [`query`](crate::query), and what damage means is for [`judge`](crate::segment::judge).

pub mod dump;
pub mod page;
pub mod render;
