//! What the tests share.

pub mod cli;
pub mod naive;
pub mod sim;
pub mod store;
