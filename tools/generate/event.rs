//! The events of a workload: each a pure function of the seed and its index.

use crate::plain::{push_decimal, push_tail, uuid};
use crate::random::{Purpose, Seed, below};
use crate::{Options, Skew};

/// 2026-01-01 in epoch milliseconds, the earliest timestamp.
const FIRST_MOMENT: u64 = 1_767_225_600_000;

/// The time that the events of a workload are spread over: 30 days in milliseconds.
pub const SPAN: u64 = 30 * 24 * 60 * 60 * 1_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Message,
    Online,
    Offline,
}

/// The values of an event, as numbers.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    pub id: (u64, u64),
    pub kind: Kind,
    /// Which visitor or operator of the site.
    pub person: u64,
    pub site: u64,
    pub timestamp: u64,
    /// Decides the words of a message.
    pub text: u64,
    pub lengths: Lengths,
}

/// How long ids and names are made, in bytes; those that are longer stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Lengths {
    ids_and_people: usize,
    sites: usize,
    /// Decides what they end with.
    key: u64,
}

impl Event {
    pub fn type_name(&self) -> &'static str {
        if self.kind == Kind::Message { "message" } else { "status" }
    }

    pub fn role(&self) -> &'static str {
        if self.kind == Kind::Message { "visitor" } else { "operator" }
    }

    pub fn push_id(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&uuid(self.id));
        push_tail(out, 36, self.lengths.ids_and_people, self.lengths.key ^ self.id.0);
    }

    /// The name of the visitor or operator: the same at every site.
    pub fn push_from(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(self.role().as_bytes());
        push_decimal(out, self.person);
        push_tail(out, out.len() - start, self.lengths.ids_and_people, self.lengths.key ^ self.person);
    }

    pub fn push_site(&self, out: &mut Vec<u8>) {
        let start = out.len();
        push_decimal(out, self.site);
        push_tail(out, out.len() - start, self.lengths.sites, self.lengths.key ^ self.site);
    }

    pub fn status(&self) -> &'static str {
        if self.kind == Kind::Online { "online" } else { "offline" }
    }
}

/// What the options decide about events, worked out once.
#[derive(Clone, Debug)]
pub struct Events {
    seed: Seed,
    count: u64,
    span: u64,
    skew: Skew,
    sites: u64,
    visitors: u64,
    operators: u64,
    /// An event is a status if its hash is below this.
    statuses_below: u64,
    lengths: Lengths,
}

impl Events {
    pub fn new(options: &Options, count: u64) -> Events {
        Events {
            seed: Seed(options.seed),
            count,
            // A millisecond an event at least, so that no two are equal.
            span: SPAN.max(count),
            skew: options.skew,
            sites: options.sites.unwrap_or(options.lines / 50).max(1),
            visitors: options.visitors,
            operators: options.operators,
            lengths: Lengths {
                ids_and_people: options.name_bytes.unwrap_or(0),
                sites: options.site_bytes.or(options.name_bytes).unwrap_or(0),
                key: Seed(options.seed).key(Purpose::Tail),
            },
            statuses_below: (options.status_share * u64::MAX as f64) as u64,
        }
    }

    /// The event of this index; indexes ascend with timestamps.
    pub fn event(&self, index: u64) -> Event {
        let hash = |purpose| self.seed.hash(purpose, index);
        let (start, end) = (index * self.span / self.count, (index + 1) * self.span / self.count);
        let person = hash(Purpose::Person);
        let (kind, people) = if hash(Purpose::Kind) >= self.statuses_below {
            (Kind::Message, self.visitors)
        } else if person & 1 == 0 {
            (Kind::Online, self.operators)
        } else {
            (Kind::Offline, self.operators)
        };
        Event {
            id: (hash(Purpose::IdHigh), hash(Purpose::IdLow)),
            kind,
            person: 1 + below(person, people),
            site: 1 + self.site(hash(Purpose::Site)),
            timestamp: FIRST_MOMENT + start + below(hash(Purpose::Moment), end - start),
            text: hash(Purpose::Text),
            lengths: self.lengths,
        }
    }

    fn site(&self, hash: u64) -> u64 {
        // The low bits choose whether a site is hot, the high ones the site among all.
        let quarter = match (self.skew, hash & 15) {
            (Skew::Hot, 0..=3) => 0,
            (Skew::Hot, 4..=5) => 1,
            (Skew::Hot, 6) => 2,
            (Skew::Hot, 7) => 3,
            _ => return below(hash, self.sites),
        };
        quarter * self.sites / 4
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::testing::{bytes, count, values};

    #[test]
    fn hot_sites_have_half_of_the_events() {
        let sites = |skew: &str| -> Vec<usize> {
            let values = values(&format!("-n 20000 --sites 1000 --skew {skew}"));
            let mut counts: Vec<usize> =
                count(values.iter().map(|value| value["site_id"].to_string())).into_values().collect();
            counts.sort_by(|a, b| b.cmp(a));
            counts
        };
        let (uniform, hot) = (sites("uniform"), sites("hot"));
        assert!(uniform[0] < 60 && uniform.len() > 990);
        assert!((4_700..5_300).contains(&hot[0]), "{}", hot[0]);
        assert!((9_600..10_400).contains(&hot[..4].iter().sum::<usize>()));
    }

    #[test]
    fn names_are_as_long_as_asked_and_as_many_as_short_ones() {
        for style in ["compact", "shuffled"] {
            let workload = |more: &str| values(&format!("-n 3000 --sites 9 --copies 0.2 --style {style}{more}"));
            let short = workload("");
            for (more, named, site) in [
                (" --name-bytes 1000", 1_000, 1_000),
                (" --site-bytes 99", 0, 99),
                (" --name-bytes 40 --site-bytes 1024", 40, 1_024),
            ] {
                let long = workload(more);
                let texts = |key: &str| long.iter().map(|value| value[key].as_str().unwrap()).collect::<BTreeSet<_>>();
                for (key, bytes) in [("id", named), ("from", named), ("site_id", site)] {
                    assert!(bytes == 0 || texts(key).iter().all(|text| text.len() == bytes), "{key} {more}");
                    for (long, short) in long.iter().zip(&short) {
                        assert!(long[key].as_str().unwrap().starts_with(short[key].as_str().unwrap()));
                    }
                    assert_eq!(texts(key).len(), count(short.iter().map(|value| value[key].to_string())).len());
                }
            }
        }
    }

    #[test]
    fn kinds_and_people_are_as_asked() {
        let values = values("-n 20000 --sites 10 --status-share 0.3 --visitors 7 --operators 4");
        let from = |kind: &str| {
            let events = values.iter().filter(|value| value["type"] == kind);
            count(events.map(|value| value["from"].as_str().unwrap().to_owned()))
        };
        let (statuses, messages) = (from("status"), from("message"));
        assert_eq!((statuses.len(), messages.len()), (4, 7));
        assert!((5_700..6_300).contains(&statuses.values().sum::<usize>()));
        let online = values.iter().filter(|value| value["data"]["status"] == "online").count();
        assert!((2_700..3_300).contains(&online));
        let all = bytes("-n 1000 --status-share 1");
        assert!(!String::from_utf8(all).unwrap().contains("message"));
    }
}
