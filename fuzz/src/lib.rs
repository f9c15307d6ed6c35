//! The targets, with what they share with the tests.
#![allow(dead_code)]

#[path = "../../tests/support/naive.rs"]
mod naive;
#[path = "../../tests/support/sim.rs"]
mod sim;
#[path = "../../tests/support/store.rs"]
mod store;
#[path = "../targets.rs"]
pub mod targets;
