//! A failure at every call, one after the other.

use super::sim::{Count, Fault, SimDisk};

/// What fails, and what with.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Which calls count.
    pub count: Count,
    /// Which of them is the first to fail, from 0.
    pub n: u64,
    /// The system's answer.
    pub fault: Fault,
    /// Whether all later ones fail as well.
    pub for_good: bool,
}

impl Case {
    /// Lets it fail from now on.
    pub fn plan(self, disk: &SimDisk) {
        disk.fail_at(self.count, self.n, self.fault, self.for_good);
    }
}

/// Runs `check` for every kind of failure at every call, until it says that none was met.
pub fn at_every_call(mut check: impl FnMut(Case) -> bool) {
    let mut met = 0;
    for count in [Count::Mutating, Count::Reading] {
        for (fault, for_good) in
            [(Fault::Eio, false), (Fault::Eio, true), (Fault::Enospc, false), (Fault::Enospc, true)]
        {
            let mut n = 0;
            while check(Case { count, n, fault, for_good }) {
                n += 1;
            }
            assert!(n > 0, "{count:?}: no call was made to fail");
            met += n;
        }
    }
    println!("{met} failures met");
}
