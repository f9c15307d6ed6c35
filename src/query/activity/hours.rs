//! Hours, on the clock on the wall: of all time, and of the week.

use crate::event::unit::Unit;

/// The hours of a week, from Monday at midnight on.
pub const WEEK: usize = 7 * 24;

/// Chats and emails.
type Counts = [u64; 2];

/// The most stretches of time that are counted apart: seven years of hours.
const MOST: usize = 1 << 16;

/// Tells the hour of a timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What timestamps count.
    pub unit: Unit,
    /// Minutes by which it is ahead of UTC.
    pub offset: i32,
}

impl Clock {
    /// A clock for timestamps of this unit, so many minutes ahead of UTC.
    pub fn new(unit: Unit, offset: i32) -> Clock {
        Clock { unit, offset }
    }

    /// Hours from the beginning of 1970 on.
    pub fn hour(&self, timestamp: i64) -> i64 {
        let seconds = self.second(timestamp).saturating_add(i64::from(self.offset) * 60);
        seconds.div_euclid(3600)
    }

    /// Minutes from the beginning of 1970 in UTC on.
    pub fn minute(&self, timestamp: i64) -> i64 {
        timestamp.div_euclid(60 * self.unit.per_second())
    }

    /// Seconds from the beginning of 1970 in UTC on.
    pub fn second(&self, timestamp: i64) -> i64 {
        timestamp.div_euclid(self.unit.per_second())
    }
}

/// Chats and emails by hour. Where the first and the last are too far apart, by two hours, four hours and so on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hours {
    /// A stretch of time has two to the power of this hours.
    shift: u32,
    /// Where the first stretch begins, in stretches from 1970 on.
    first: i64,
    counts: Vec<Counts>,
}

impl Hours {
    /// How many hours a stretch has.
    pub fn width(&self) -> u64 {
        1 << self.shift
    }

    /// Where the first stretch begins, in stretches from 1970 on.
    pub fn first(&self) -> i64 {
        self.first
    }

    /// The chats of each stretch, from the first to the last that has a message; and the emails.
    pub fn counts(&self) -> &[[u64; 2]] {
        &self.counts
    }

    pub(super) fn count(&mut self, hour: i64, online: bool) {
        let at = match self.place(hour) {
            Some(at) => at,
            None => self.make_place(hour),
        };
        if let Some(counts) = self.counts.get_mut(at) {
            counts[usize::from(!online)] += 1;
        }
    }

    fn place(&self, hour: i64) -> Option<usize> {
        let at = usize::try_from((hour >> self.shift).wrapping_sub(self.first)).ok()?;
        (at < self.counts.len()).then_some(at)
    }

    /// Makes a place for an hour outside of what was counted.
    fn make_place(&mut self, hour: i64) -> usize {
        if self.counts.is_empty() {
            (self.first, self.counts) = (hour >> self.shift, vec![[0; 2]]);
            return 0;
        }
        let span = |own: &Hours| {
            let (stretch, last) = (hour >> own.shift, own.first + own.counts.len() as i64 - 1);
            (own.first.min(stretch), own.first.max(last).max(stretch))
        };
        // Hours have fewer than 64 bits, so their differences do not overflow.
        let (mut first, mut last) = span(self);
        while last - first >= MOST as i64 {
            self.widen();
            (first, last) = span(self);
        }
        let before = usize::try_from(self.first - first).unwrap_or(0);
        self.counts.splice(0..0, std::iter::repeat_n([0; 2], before));
        self.first = first;
        let length = usize::try_from(last - first + 1).unwrap_or(MOST);
        self.counts.resize(length.max(self.counts.len()), [0; 2]);
        self.place(hour).unwrap_or(0)
    }

    /// Makes stretches twice as wide.
    fn widen(&mut self) {
        let first = self.first >> 1;
        let last = (self.first + self.counts.len() as i64 - 1) >> 1;
        let mut wider = vec![[0; 2]; usize::try_from(last - first + 1).unwrap_or(1)];
        for (stretch, [chats, emails]) in (self.first..).zip(&self.counts) {
            if let Some(sum) = usize::try_from((stretch >> 1) - first).ok().and_then(|at| wider.get_mut(at)) {
                sum[0] += chats;
                sum[1] += emails;
            }
        }
        (self.shift, self.first, self.counts) = (self.shift + 1, first, wider);
    }

    pub(super) fn add(&mut self, other: &Hours) {
        while self.shift < other.shift && !self.counts.is_empty() {
            self.widen();
        }
        self.shift = self.shift.max(other.shift);
        for (stretch, [chats, emails]) in (other.first..).zip(&other.counts) {
            if *chats + *emails == 0 {
                continue;
            }
            let hour = stretch << other.shift;
            let at = match self.place(hour) {
                Some(at) => at,
                None => self.make_place(hour),
            };
            if let Some(sum) = self.counts.get_mut(at) {
                sum[0] += chats;
                sum[1] += emails;
            }
        }
    }
}

/// Chats and emails by hour of the week, from Monday at midnight on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Week(pub [Counts; WEEK]);

impl Default for Week {
    fn default() -> Week {
        Week([[0; 2]; WEEK])
    }
}

impl Week {
    pub(super) fn count(&mut self, hour: i64, online: bool) {
        // 1970 began on a Thursday.
        let slot = (hour + 3 * 24).rem_euclid(WEEK as i64) as usize;
        self.0[slot][usize::from(!online)] += 1;
    }

    pub(super) fn add(&mut self, other: &Week) {
        for (sum, counts) in self.0.iter_mut().zip(&other.0) {
            sum[0] += counts[0];
            sum[1] += counts[1];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hour_is_that_on_the_wall() {
        // Friday, 2026-11-27 at 23:30 UTC.
        let second = 1_795_822_200;
        for (unit, offset, slot) in [
            (Unit::Seconds, 0, 4 * 24 + 23),
            (Unit::Milliseconds, 29, 4 * 24 + 23),
            (Unit::Microseconds, 30, 5 * 24),
            (Unit::Nanoseconds, -60, 4 * 24 + 22),
        ] {
            let mut week = Week::default();
            week.count(Clock::new(unit, offset).hour(second * unit.per_second()), true);
            assert_eq!(week.0.iter().position(|counts| counts[0] == 1), Some(slot), "{unit:?} {offset}");
        }
        assert_eq!(Clock::new(Unit::Seconds, 0).hour(-1), -1);
        for timestamp in [i64::MIN, i64::MAX] {
            let mut hours = Hours::default();
            let hour = Clock::new(Unit::Seconds, -14 * 60).hour(timestamp);
            hours.count(hour, false);
            Week::default().count(hour, false);
            assert_eq!(hours.counts(), [[0, 1]]);
        }
    }

    /// Whatever the order and however it is shared out, the counts are those of the hours.
    #[test]
    fn counts_depend_on_the_messages_alone() {
        let near: Vec<i64> = (0..500).map(|n| 495_000 + n * n % 977).collect();
        let far = near.iter().copied().chain([-7, 1 << 40, 0, (1 << 40) + 1]).collect::<Vec<_>>();
        for hours in [near, far] {
            let mut expected = None;
            for step in [1, 11, 13] {
                let mut parts = [Hours::default(), Hours::default(), Hours::default()];
                let length = hours.len();
                for n in 0..length {
                    let hour = hours[n * step % length];
                    parts[n % 3].count(hour, hour % 2 == 0);
                }
                let mut sum = Hours::default();
                parts.iter().for_each(|part| sum.add(part));
                let total: u64 = sum.counts().iter().flatten().sum();
                assert_eq!(total, length as u64);
                for hour in &hours {
                    let at = ((hour >> sum.width().ilog2()) - sum.first()) as usize;
                    assert!(sum.counts()[at][usize::from(hour % 2 != 0)] > 0, "{hour}");
                }
                assert!(sum.counts().len() <= MOST);
                assert_eq!(*expected.get_or_insert(sum.clone()), sum, "{step}");
            }
        }
    }
}
