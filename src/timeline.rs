//! When a site was online, and what came in meanwhile.

use std::collections::HashSet;

use serde::Serialize;

use crate::error::Result;
use crate::event::Kind;
use crate::gather::one_site;
use crate::store::View;
use crate::table::Row;

/// A stretch of time in which somebody was online at the site, or nobody was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Period {
    /// Its first moment, in the events' own unit.
    pub from: i64,
    /// The first moment behind it; the last period has none.
    pub until: Option<i64>,
    /// Whether an operator was online.
    pub online: bool,
    /// The most operators that were online at once.
    pub operators: u64,
    /// Messages while one was.
    pub chats: u64,
    /// Messages while none was.
    pub emails: u64,
}

/// The periods of a site from its first event on, in order; none if it has no event. Reads that site's events alone, and
/// of a snapshot only the blocks they are in.
pub fn timeline(view: &View, site: &[u8]) -> Result<Vec<Period>> {
    one_site(view, site, |table| periods(&table.rows))
}

fn periods(rows: &[Row]) -> Vec<Period> {
    let Some(first) = rows.first() else { return Vec::new() };
    let begun = |from, online, operators| Period { from, until: None, online, operators, chats: 0, emails: 0 };
    let mut periods = Vec::new();
    let mut period = begun(first.timestamp, false, 0);
    let mut present = HashSet::new();
    for row in rows {
        match row.kind {
            Kind::Message if period.online => period.chats += 1,
            Kind::Message => period.emails += 1,
            Kind::Online => drop(present.insert(row.from)),
            Kind::Offline => drop(present.remove(&row.from)),
        }
        let operators = present.len() as u64;
        if period.online != present.is_empty() {
            period.operators = period.operators.max(operators);
            continue;
        }
        let next = begun(row.timestamp, !period.online, operators);
        if period.from < row.timestamp {
            period.until = Some(row.timestamp);
            periods.push(std::mem::replace(&mut period, next));
        } else {
            // It had no moment: statuses come before the messages of theirs. So the period before it goes on.
            period = match periods.pop() {
                Some(before) => Period { until: None, operators: before.operators.max(operators), ..before },
                None => next,
            };
        }
    }
    periods.push(period);
    periods
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Id, Site};
    use crate::merge::Merge;
    use crate::table::Table;

    fn of(events: &[(i64, &str, Kind)]) -> Vec<Period> {
        let mut table = Table::default();
        for (number, (timestamp, from, kind)) in events.iter().enumerate() {
            let id = number.to_string();
            let (site, id) = (Site::Number(1), Id::new(id.as_bytes()));
            table.push(&Event { site, id, from: from.as_bytes(), timestamp: *timestamp, kind: *kind }, 0);
        }
        Merge::default().unique(&mut table);
        periods(&table.rows)
    }

    #[test]
    fn a_period_ends_when_the_first_comes_or_the_last_goes() {
        use Kind::{Message, Offline, Online};
        let events = [
            (5, "v", Message),
            (7, "a", Online),
            (8, "b", Online),
            (9, "v", Message),
            (9, "w", Message),
            (10, "a", Offline),
            (12, "b", Offline),
            (12, "v", Message),
        ];
        let period =
            |from, until, online, operators, chats, emails| Period { from, until, online, operators, chats, emails };
        let expected =
            [period(5, Some(7), false, 0, 0, 1), period(7, Some(12), true, 2, 2, 0), period(12, None, false, 0, 0, 1)];
        assert_eq!(of(&events), expected);
        assert_eq!(of(&[]), []);
        // One who comes with the first event, and one who comes and goes within a moment.
        assert_eq!(of(&[(1, "a", Online)]), [period(1, None, true, 1, 0, 0)]);
        let flicker = [(1, "a", Online), (5, "a", Offline), (5, "b", Online), (6, "v", Message)];
        assert_eq!(of(&flicker), [period(1, None, true, 1, 1, 0)]);
    }
}
