//! Inputs as people have them: a file for each thing that may be wrong with them, readable as a list.

#[path = "../support/mod.rs"]
mod support;

mod n08_where;
