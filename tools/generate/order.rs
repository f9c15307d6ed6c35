//! Which event stands on which line: from a position in the output to a slot in order of time, and on to an event.

use crate::Ordering;
use crate::random::{below, hash};

/// How far a line may be from its place in a nearly sorted workload.
const WINDOW: u64 = 1_000;

/// A keyed bijection of `0..n`.
///
/// A Feistel network over pairs of digits (l, r) of the least `a * b ≥ n` with a and b near √n, walked until it lands
/// below n: Black and Rogaway, "Ciphers with Arbitrary Finite Domains" (2002). Since `a * b - n < a`, it hardly ever
/// walks twice.
#[derive(Clone, Debug)]
pub struct Permutation {
    n: u64,
    a: u64,
    b: u64,
    key: u64,
}

impl Permutation {
    pub fn new(n: u64, key: u64) -> Permutation {
        let a = n.isqrt().max(1);
        Permutation { n, a, b: n.div_ceil(a).max(1), key }
    }

    /// Where `x`, which is below n, goes.
    pub fn apply(&self, mut x: u64) -> u64 {
        loop {
            let (mut l, mut r) = (x / self.b, x % self.b);
            for round in 0..2 {
                l += below(hash(self.key ^ (2 * round), r), self.a);
                l -= if l >= self.a { self.a } else { 0 };
                r += below(hash(self.key ^ (2 * round + 1), l), self.b);
                r -= if r >= self.b { self.b } else { 0 };
            }
            x = l * self.b + r;
            if x < self.n {
                return x;
            }
        }
    }
}

/// From a line's position to its slot in order of time: a bijection of `0..lines`.
#[derive(Clone, Debug)]
pub enum Order {
    Sorted,
    Random(Permutation),
    Nearly { lines: u64, key: u64 },
}

impl Order {
    pub fn new(ordering: Ordering, lines: u64, key: u64) -> Order {
        match ordering {
            Ordering::Sorted => Order::Sorted,
            Ordering::Random => Order::Random(Permutation::new(lines, key)),
            Ordering::NearlySorted => Order::Nearly { lines, key },
        }
    }

    pub fn slot(&self, position: u64) -> u64 {
        match self {
            Order::Sorted => position,
            Order::Random(permutation) => permutation.apply(position),
            // Shuffled in windows of half the size, and again in windows that lie across their borders.
            Order::Nearly { lines, key } => {
                let slot = shuffled_within(position, 0, *lines, *key);
                shuffled_within(slot, WINDOW / 4, *lines, !*key)
            }
        }
    }
}

/// Where a position goes in its window, if the windows begin `shift` early.
fn shuffled_within(position: u64, shift: u64, lines: u64, key: u64) -> u64 {
    const SIZE: u64 = WINDOW / 2;
    let window = (position + shift) / SIZE;
    let start = (window * SIZE).saturating_sub(shift);
    let end = ((window + 1) * SIZE - shift).min(lines);
    start + Permutation::new(end - start, hash(key, window)).apply(position - start)
}

/// From a slot in order of time to the event it shows: each event has one slot or more, side by side.
///
/// Every event has `each` slots, and `extra` of them one more: of the k-th of `extra` equal ranges of events, one event
/// chosen by hash.
#[derive(Clone, Debug)]
pub struct Slots {
    slots: u64,
    pub events: u64,
    each: u64,
    extra: u64,
    key: u64,
}

impl Slots {
    pub fn new(slots: u64, events: u64, key: u64) -> Slots {
        let events = events.max(1);
        Slots { slots, events, each: slots / events, extra: slots % events, key }
    }

    pub fn event(&self, slot: u64) -> u64 {
        if self.extra == 0 {
            return slot / self.each;
        }
        // The slots of range k start at about k * slots / extra.
        let first = |k: u64| k * self.events / self.extra;
        let start = |k: u64| self.each * first(k) + k;
        let mut range = slot * self.extra / self.slots;
        while start(range) > slot {
            range -= 1;
        }
        while start(range + 1) <= slot {
            range += 1;
        }
        let (events, slot) = (first(range), slot - start(range));
        let chosen = below(hash(self.key, range), first(range + 1) - events);
        let after_extra = slot >= (chosen + 1) * self.each;
        events + (slot - u64::from(after_extra)) / self.each
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::testing::count;

    #[test]
    fn a_permutation_is_a_bijection() {
        for n in (1..300).chain([4_096, 65_537, 99_999]) {
            let permutation = Permutation::new(n, n);
            let images: BTreeSet<u64> = (0..n).map(|x| permutation.apply(x)).collect();
            assert!(images.into_iter().eq(0..n), "{n}");
        }
        let permutation = Permutation::new(100_000, 5);
        let moved: u64 = (0..100_000).map(|x| permutation.apply(x).abs_diff(x)).sum();
        assert!((30_000..37_000).contains(&(moved / 100_000)), "a third of n on average, not {moved}");
    }

    #[test]
    fn an_order_is_a_bijection() {
        for lines in [1, 2, 249, 250, 251, 499, 750, 751, 12_345] {
            let nearly = Order::new(Ordering::NearlySorted, lines, 3);
            let slots: BTreeSet<u64> = (0..lines).map(|position| nearly.slot(position)).collect();
            assert!(slots.into_iter().eq(0..lines), "{lines}");
            assert!((0..lines).all(|position| nearly.slot(position).abs_diff(position) < WINDOW));
        }
    }

    #[test]
    fn slots_ascend_and_give_each_event_its_share() {
        for (slots, events) in [(1, 1), (100, 1), (100, 90), (100, 99), (1_000, 501), (1_000, 67), (999, 333), (30, 30)]
        {
            let mapping = Slots::new(slots, events, 9);
            let shown: Vec<u64> = (0..slots).map(|slot| mapping.event(slot)).collect();
            assert!(shown.is_sorted());
            let counts = count(shown);
            assert!(counts.keys().copied().eq(0..events), "{slots} {events}");
            let (each, most) = ((slots / events) as usize, slots.div_ceil(events) as usize);
            assert!(counts.values().all(|&count| count == each || count == most), "{slots} {events}");
        }
    }
}
