//! Inputs as people really have them: a file a number of the list, each readable as one.

#[path = "../support/mod.rs"]
mod support;

mod n06_compression;
mod n07_foreign;
