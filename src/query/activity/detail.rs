//! What is kept of the sites with most emails.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use super::hours::{Clock, Week};
use crate::event::summary::{Summary, Window};
use crate::event::{Site, SiteName};
use crate::query::fold::Seen;

/// The most stretches that are kept of a site: the latest.
const MOST_STRETCHES: usize = 48;

/// A stretch of time in which a site was online, in seconds from 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub from: i64,
    /// Where it ends; the last one may have no end yet.
    pub until: Option<i64>,
}

/// One of the sites with most emails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detail {
    /// Its name.
    pub name: SiteName,
    /// Its messages by hour of the week.
    pub week: Week,
    /// How many stretches it was online for.
    pub stretches: u64,
    /// The latest of them, in order.
    pub latest: Vec<Stretch>,
    rank: (u64, u64),
}

/// What decides which sites are kept: most emails, most chats, the first name.
type Rank = (u64, u64, Reverse<Vec<u8>>);

/// The sites that are kept.
pub(super) struct Details {
    most: usize,
    kept: BTreeMap<Rank, Detail>,
}

impl Details {
    pub(super) fn new(most: usize) -> Details {
        Details { most, kept: BTreeMap::new() }
    }

    /// Takes one more, and drops the last if there are too many. Gives the number of emails that are needed from now on.
    pub(super) fn take(&mut self, detail: Detail) -> u64 {
        let (emails, chats) = detail.rank;
        self.kept.insert((emails, chats, Reverse(detail.name.text(&mut [0; 20]).to_vec())), detail);
        if self.kept.len() > self.most {
            self.kept.pop_first();
        }
        match self.kept.first_key_value() {
            Some(((least, ..), _)) if self.kept.len() >= self.most => *least,
            Some(_) => 1,
            None => u64::MAX,
        }
    }

    /// By name.
    pub(super) fn sorted(self) -> Vec<Detail> {
        let mut named: Vec<_> = self.kept.into_iter().map(|((_, _, Reverse(name)), detail)| (name, detail)).collect();
        named.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        named.into_iter().map(|(_, detail)| detail).collect()
    }
}

/// Collects the details of one site.
pub(super) struct Collector {
    clock: Clock,
    window: Window,
    week: Week,
    stretches: u64,
    latest: VecDeque<Stretch>,
    /// When the site came online, if it is.
    since: Option<i64>,
}

impl Collector {
    pub(super) fn new(clock: Clock, window: Window) -> Collector {
        Collector { clock, window, week: Week::default(), stretches: 0, latest: VecDeque::new(), since: None }
    }

    /// The details, of a site with these counts.
    pub(super) fn end(mut self, name: Site<'_>, summary: &Summary) -> Detail {
        if let Some(from) = self.since.take() {
            self.add(Stretch { from: self.clock.second(from), until: None });
        }
        Detail {
            name: name.into(),
            week: self.week,
            stretches: self.stretches,
            latest: self.latest.into(),
            rank: (summary.emails, summary.messages),
        }
    }

    fn add(&mut self, stretch: Stretch) {
        self.stretches += 1;
        if self.latest.len() >= MOST_STRETCHES {
            self.latest.pop_front();
        }
        self.latest.push_back(stretch);
    }
}

impl Seen for Collector {
    fn message(&mut self, moment: i64, online: bool) {
        self.week.count(self.clock.hour(moment), online);
    }

    fn turned(&mut self, moment: i64, online: bool) {
        if online {
            self.since = Some(moment.max(self.window.from));
            return;
        }
        let Some(from) = self.since.take() else { return };
        // One that was over before the window is none of it, and one without a moment is none at all.
        if moment > from {
            let (from, until) = (self.clock.second(from), self.clock.second(moment));
            self.add(Stretch { from, until: Some(until) });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::unit::Unit;

    fn detail(name: &str, emails: u64, messages: u64) -> Detail {
        let collector = Collector::new(Clock::new(Unit::Seconds, 0), Window::ALL);
        collector.end(Site::new(name.as_bytes()), &Summary { messages, emails, operators: 0, visitors: 0 })
    }

    #[test]
    fn the_sites_with_most_emails_stay_whatever_the_order() {
        let mut some = [detail("b", 5, 1), detail("a", 5, 1), detail("10", 5, 2), detail("9", 1, 9), detail("c", 7, 0)];
        for turn in 0..5 {
            some.rotate_left(turn);
            let mut details = Details::new(3);
            let least: Vec<u64> = some.iter().cloned().map(|detail| details.take(detail)).collect();
            assert_eq!(least[..2], [1, 1]);
            assert_eq!(least[4], 5);
            let names: Vec<String> = details
                .sorted()
                .iter()
                .map(|detail| String::from_utf8(detail.name.text(&mut [0; 20]).to_vec()).unwrap())
                .collect();
            assert_eq!(names, ["10", "a", "c"]);
        }
        assert_eq!(Details::new(0).take(detail("a", 5, 1)), u64::MAX);
    }

    #[test]
    fn stretches_are_cut_by_the_window_and_the_latest_stay() {
        let mut collector = Collector::new(Clock::new(Unit::Milliseconds, 0), Window { from: 5_000, to: i64::MAX });
        for (moment, online) in
            [(1_000, true), (2_000, false), (3_000, true), (7_000, false), (8_000, true), (8_000, false)]
        {
            collector.turned(moment, online);
        }
        for second in 10..100 {
            collector.turned(second * 1_000, second % 2 == 0);
        }
        collector.turned(200_000, true);
        let detail = collector.end(Site::new(b"a"), &Summary::default());
        assert_eq!((detail.stretches, detail.latest.len()), (1 + 45 + 1, 47));
        assert_eq!(detail.latest[0], Stretch { from: 5, until: Some(7) });
        assert_eq!(detail.latest[46], Stretch { from: 200, until: None });
    }
}
