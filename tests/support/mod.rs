//! What the tests share.
#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

pub mod beside;
pub mod cli;
pub mod collide;
pub mod dice;
pub mod faults;
pub mod folds;
pub mod forge;
pub mod forgeries;
pub mod histories;
pub mod lives;
pub mod naive;
pub mod pieces;
pub mod sim;
pub mod store;
pub mod town;

use chatwal::intake::repeats::Seek;

/// Every line is looked up among those before it, however few there are; of some, the memory of it is soon gone.
pub const EVERY_LINE: Seek = Seek { memory: 1 << 12, always: true };

/// A number that the environment may set, to repeat a run or to make it longer.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}
