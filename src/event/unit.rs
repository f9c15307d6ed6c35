//! What timestamps count. A store does not know it: they are integers, and only the writer of the events knows their unit.

/// The unit of a store's timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// s
    Seconds,
    /// ms
    Milliseconds,
    /// µs
    Microseconds,
    /// ns
    Nanoseconds,
}

impl Unit {
    /// How many of them are a second.
    pub const fn per_second(self) -> i64 {
        match self {
            Unit::Seconds => 1,
            Unit::Milliseconds => 1_000,
            Unit::Microseconds => 1_000_000,
            Unit::Nanoseconds => 1_000_000_000,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "seconds",
            Unit::Milliseconds => "milliseconds",
            Unit::Microseconds => "microseconds",
            Unit::Nanoseconds => "nanoseconds",
        }
    }

    /// What a timestamp is most likely in: each unit but the last reaches to the year 5138 here.
    pub fn of(timestamp: i64) -> Unit {
        match timestamp.unsigned_abs() {
            0..100_000_000_000 => Unit::Seconds,
            100_000_000_000..100_000_000_000_000 => Unit::Milliseconds,
            100_000_000_000_000..100_000_000_000_000_000 => Unit::Microseconds,
            _ => Unit::Nanoseconds,
        }
    }

    /// The units that the earliest and the latest timestamp of a store seem to have, if they differ: units are mixed, or one is
    /// wrong. Timestamps near 0 tell nothing: a counter, a default, 1970 in milliseconds.
    pub fn mixed(earliest: i64, latest: i64) -> Option<(Unit, Unit)> {
        let unit = |timestamp: i64| (timestamp.unsigned_abs() >= TELLING).then(|| Unit::of(timestamp));
        // Without an event they are the ends of all time, in the wrong order.
        match (unit(earliest), unit(latest)) {
            (Some(first), Some(last)) if first != last && earliest <= latest => Some((first, last)),
            _ => None,
        }
    }
}

/// Timestamps nearer to 0 than this tell nothing of their unit.
const TELLING: u64 = 100_000_000;
