//! When a site was online, and what came in meanwhile.

use std::collections::HashSet;

use serde::Serialize;

use crate::disk::scratch::Limits;
use crate::disk::scratch::sorter::{Sorted, Sorter};
use crate::error::Result;
use crate::event::Kind;
use crate::format::coding::{Decoded, Reader, put_varint, unzigzag, zigzag};
use crate::query::one_site::each_of_site;
use crate::store::View;

/// A stretch of time in which an operator was online at the site, or none was.
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

/// The periods of a site from its first event on, in order; none if the site has no event.
pub struct Timeline {
    periods: Sorted,
}

impl Timeline {
    /// Reads only the events of that site, and of a snapshot only the blocks they are in. What does not fit the memory is put aside,
    /// except the names of the operators who are online at one moment.
    pub fn of(view: &View, site: &[u8], limits: &Limits) -> Result<Timeline> {
        let share = limits.bytes() / 16;
        let sorter = Sorter::new(&limits.scratch, share, share);
        let mut collector = sorter.collector(share);
        let (mut count, mut written, mut payload) = (0u64, Ok(()), Vec::new());
        let mut take = |period: &Period| {
            payload.clear();
            period.encode(&mut payload);
            written = collector.put(&count.to_be_bytes(), &payload);
            count += 1;
            written.is_ok()
        };
        let mut periods = Periods::begin(&mut take);
        each_of_site(view, site, limits, &mut |table, rows| {
            rows.iter().for_each(|row| periods.take(row.timestamp, row.kind, table.name_of(row.from)));
            Ok(())
        })?;
        periods.end();
        written?;
        collector.end()?;
        Ok(Timeline { periods: sorter.sorted(16)? })
    }

    /// Visits each period, until `visit` returns false.
    pub fn each(&self, visit: &mut dyn FnMut(&Period) -> bool) -> Result<()> {
        let mut merge = self.periods.merge(None, None)?;
        while let Some((_, payload)) = merge.next()? {
            let period = Period::decode(payload).map_err(|_| self.periods.scratch().changed())?;
            if !visit(&period) {
                break;
            }
        }
        Ok(())
    }

    /// All periods, which take memory.
    pub fn periods(&self) -> Result<Vec<Period>> {
        let mut periods = Vec::new();
        self.each(&mut |period| {
            periods.push(*period);
            true
        })?;
        Ok(periods)
    }
}

impl Period {
    fn encode(&self, out: &mut Vec<u8>) {
        let Period { from, until, online, operators, chats, emails } = *self;
        let flags = u64::from(online) | u64::from(until.is_some()) << 1;
        for number in [flags, zigzag(from), zigzag(until.unwrap_or(0)), operators, chats, emails] {
            put_varint(out, number);
        }
    }

    fn decode(bytes: &[u8]) -> Decoded<Period> {
        let mut reader = Reader::new(bytes);
        let mut next = || reader.varint("a number");
        let (flags, from, until) = (next()?, unzigzag(next()?), unzigzag(next()?));
        let until = (flags & 2 > 0).then_some(until);
        Ok(Period { from, until, online: flags & 1 > 0, operators: next()?, chats: next()?, emails: next()? })
    }
}

/// Makes periods of the events of a site, which come in order.
struct Periods<'v> {
    visit: &'v mut dyn FnMut(&Period) -> bool,
    /// Whether more periods are wanted.
    wanted: bool,
    /// The operators who are online.
    present: HashSet<Box<[u8]>>,
    /// The period at hand, and the one before it, which may go on if this one has no moment.
    period: Option<Period>,
    before: Option<Period>,
}

impl<'v> Periods<'v> {
    fn begin(visit: &'v mut dyn FnMut(&Period) -> bool) -> Periods<'v> {
        Periods { visit, wanted: true, present: HashSet::new(), period: None, before: None }
    }

    fn tell(&mut self, period: Option<Period>) {
        if let Some(period) = period.filter(|_| self.wanted) {
            self.wanted = (self.visit)(&period);
        }
    }

    fn take(&mut self, moment: i64, kind: Kind, name: &[u8]) {
        let begun = |from, online, operators| Period { from, until: None, online, operators, chats: 0, emails: 0 };
        let mut period = self.period.unwrap_or_else(|| begun(moment, false, 0));
        match kind {
            Kind::Message if period.online => period.chats += 1,
            Kind::Message => period.emails += 1,
            Kind::Online if self.present.contains(name) => {}
            Kind::Online => drop(self.present.insert(name.into())),
            Kind::Offline => drop(self.present.remove(name)),
        }
        let operators = self.present.len() as u64;
        if period.online != self.present.is_empty() {
            period.operators = period.operators.max(operators);
            self.period = Some(period);
            return;
        }
        let next = begun(moment, !period.online, operators);
        if period.from < moment {
            period.until = Some(moment);
            let before = self.before.replace(period);
            self.tell(before);
            self.period = Some(next);
        } else {
            // It had no moment: statuses come before the messages of their moment. So the period before it goes on.
            self.period = Some(match self.before.take() {
                Some(before) => Period { until: None, operators: before.operators.max(operators), ..before },
                None => next,
            });
        }
    }

    fn end(mut self) {
        let (before, last) = (self.before.take(), self.period.take());
        self.tell(before);
        self.tell(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::table::Table;
    use crate::event::{Event, Id, Site};
    use crate::query::merge::Merge;

    fn of(events: &[(i64, &str, Kind)]) -> Vec<Period> {
        let mut table = Table::default();
        for (number, (timestamp, from, kind)) in events.iter().enumerate() {
            let id = number.to_string();
            let (site, id) = (Site::Number(1), Id::new(id.as_bytes()));
            table.push(&Event { site, id, from: from.as_bytes(), timestamp: *timestamp, kind: *kind }, 0);
        }
        Merge::default().unique(&mut table);
        let mut found = Vec::new();
        let mut visit = |period: &Period| {
            found.push(*period);
            true
        };
        let mut periods = Periods::begin(&mut visit);
        table.rows.iter().for_each(|row| periods.take(row.timestamp, row.kind, table.name_of(row.from)));
        periods.end();
        found
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
