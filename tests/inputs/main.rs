//! Inputs as people really have them: a file a number of what is promised of them, each to be read as a list.

#[path = "../support/mod.rs"]
mod support;

mod n09_rejects;
mod n11_time;
mod n12_many;
