//! Numbers without a pattern, the same every time: hashes, and dice that start from one.

/// The finaliser of SplitMix64: a bijection of 64 bits that leaves no pattern.
pub fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A keyed hash; with one key a bijection of `x`.
pub fn hash(key: u64, x: u64) -> u64 {
    mix(x.wrapping_mul(GOLDEN) ^ key)
}

/// Scales a hash to a number below `n`, which is not 0.
pub fn below(hash: u64, n: u64) -> u64 {
    ((u128::from(hash) * u128::from(n)) >> 64) as u64
}

/// What a hash of a workload is for; distinct keys make independent values.
#[derive(Clone, Copy)]
pub enum Purpose {
    Order,
    Copies,
    Bad,
    Layout,
    IdHigh,
    IdLow,
    Site,
    Kind,
    Person,
    Moment,
    Text,
    Tail,
}

/// What one workload differs from another by.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub u64);

impl Seed {
    pub fn key(self, purpose: Purpose) -> u64 {
        mix(mix(self.0.wrapping_add(GOLDEN)).wrapping_add(purpose as u64))
    }

    pub fn hash(self, purpose: Purpose, x: u64) -> u64 {
        hash(self.key(purpose), x)
    }
}

/// Random numbers for one line; SplitMix64.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        below(mix(self.0), n)
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_shuffle_keeps_everything_and_a_pick_reaches_everything() {
        let mut dice = Dice(1);
        let mut items: Vec<u64> = (0..100).collect();
        dice.shuffle(&mut items);
        assert!(!items.is_sorted());
        let picked: BTreeSet<u64> = (0..2_000).map(|_| dice.pick(&items)).collect();
        assert!(picked.into_iter().eq(0..100));
    }
}
