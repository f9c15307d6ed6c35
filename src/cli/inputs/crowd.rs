//! What is said of many inputs together, of which most have nothing to say by themselves.

use std::time::Instant;

use chatwal::intake::ingest::Outcome;
use chatwal::store::log::Durability;

use super::teller::{Teller, durability_of};
use crate::console::{Console, Share, count};

/// Many inputs, of which most have nothing to say.
pub(super) struct Crowd {
    pub(super) share: Share,
    started: Instant,
    /// All that was read, added up.
    sum: Outcome,
    inputs: u64,
    /// Those of which nothing was new.
    unchanged: u64,
    empty: u64,
    /// Those whose rejects were told one by one.
    pub(super) told: u64,
}

impl Crowd {
    pub(super) fn new(console: &Console) -> Crowd {
        let (share, started) = (console.share("inputs"), Instant::now());
        Crowd { share, started, sum: Outcome::default(), inputs: 0, unchanged: 0, empty: 0, told: 0 }
    }

    pub(super) fn add(&mut self, teller: &Teller<'_>, outcome: &Outcome) {
        self.inputs += 1;
        self.empty += u64::from(teller.size == Some(0));
        self.unchanged += u64::from(outcome.bytes == 0 && outcome.left.is_none() && teller.size != Some(0));
        self.told += u64::from(teller.rejects > 0);
        self.sum.lines += outcome.lines;
        self.sum.events += outcome.events;
        self.sum.rejects += outcome.rejects;
        self.sum.bytes += outcome.bytes;
    }

    pub(super) fn finish(self, console: &Console, durability: Durability) {
        self.share.finish();
        let some = |number: u64, what: &str| if number > 0 { format!(", {number} {what}") } else { String::new() };
        let inputs = format!(
            "{}{}{}",
            count(self.inputs, "input"),
            some(self.unchanged, "with nothing new"),
            some(self.empty, "empty")
        );
        console.summary(&inputs, &self.sum, self.started.elapsed(), durability_of(durability));
    }
}
