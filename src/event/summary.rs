//! What the report says of a site, and of which moments.

use super::table::Row;

/// What the report says of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages that came while an operator was online: chats.
    pub messages: u64,
    /// Messages that came while none was.
    pub emails: u64,
    /// Different `from` of statuses.
    pub operators: u64,
    /// Different `from` of messages.
    pub visitors: u64,
}

/// The moments that count: from the first to the last of them, in the events' own unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub from: i64,
    /// The last; before the first if there is none.
    pub to: i64,
}

impl Window {
    /// Every moment.
    pub const ALL: Window = Window { from: i64::MIN, to: i64::MAX };

    /// No moment.
    pub const NONE: Window = Window { from: i64::MAX, to: i64::MIN };

    /// Whether a moment counts.
    pub fn contains(&self, moment: i64) -> bool {
        (self.from..=self.to).contains(&moment)
    }

    /// Whether of events from `earliest` to `latest` some may count and some not.
    pub fn cuts(&self, earliest: i64, latest: i64) -> bool {
        let covers = self.from <= earliest && latest <= self.to;
        let misses = self.to < self.from || latest < self.from || self.to < earliest;
        !covers && !misses
    }

    /// The rows of one site, which are in order, up to the end of the window: those before it say who was online.
    pub fn of<'r>(&self, rows: &'r [Row]) -> &'r [Row] {
        let end = rows.partition_point(|row| row.timestamp <= self.to);
        &rows[..end]
    }
}
