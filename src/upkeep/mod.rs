//! Care for a store: segments are folded into snapshots ([`compact`]), everything is checked, past any damage ([`verify`], which
//! walks the files with `survey`), and what is intact of a damaged store is saved ([`repair`]). It may use every room but
//! [`intake`](crate::intake) and those that show things to people.

pub mod compact;
pub mod repair;
mod survey;
pub mod verify;
