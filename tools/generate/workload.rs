//! A workload: what stands on each of its lines.

use crate::event::Events;
use crate::order::{Order, Permutation, Slots};
use crate::plain::{COMPACT, SPACED, plain_line};
use crate::random::{Dice, Purpose, Seed};
use crate::shuffled::shuffled_line;
use crate::wrong::bad_line;
use crate::{Options, Style};

/// Everything the options decide, worked out once.
#[derive(Clone, Debug)]
pub struct Workload {
    pub lines: u64,
    pub events: Events,
    order: Order,
    slots: Slots,
    /// A line is bad if this sends its position below `bad_lines`.
    bad: Permutation,
    bad_lines: u64,
    style: Style,
    seed: Seed,
}

impl Workload {
    pub fn new(options: &Options) -> Workload {
        let lines = options.lines;
        let seed = Seed(options.seed);
        let share = |share: f64| (share * lines as f64).round() as u64;
        let slots = Slots::new(lines, share(1.0 - options.copies), seed.key(Purpose::Copies));
        Workload {
            lines,
            events: Events::new(options, slots.events),
            order: Order::new(options.order, lines, seed.key(Purpose::Order)),
            slots,
            bad: Permutation::new(lines, seed.key(Purpose::Bad)),
            bad_lines: share(options.bad),
            style: options.style,
            seed,
        }
    }

    /// Appends the line at this position, with its line end.
    pub fn line(&self, position: u64, out: &mut Vec<u8>) {
        let event = &self.events.event(self.slots.event(self.order.slot(position)));
        let dice = &mut Dice(self.seed.hash(Purpose::Layout, position));
        let bad = self.bad_lines > 0 && self.bad.apply(position) < self.bad_lines;
        match self.style {
            _ if bad => bad_line(event, dice, out),
            Style::Compact => plain_line(&COMPACT, event, out),
            Style::Spaced => plain_line(&SPACED, event, out),
            Style::Shuffled => shuffled_line(event, dice, out),
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use crate::MAX_LINES;
    use crate::event::SPAN;
    use crate::testing::{bytes, count, lines, naive, values, workload};

    #[test]
    fn the_largest_workloads_do_not_overflow() {
        for arguments in
            ["-n 4G", "-n 4G --copies 0.1 --order nearly-sorted", "-n 4G --copies 0.49", "-n 4G --copies 15x"]
        {
            let workload = workload(arguments);
            let mut out = Vec::new();
            for position in [0, 1, 2_000_000_000, MAX_LINES - 1] {
                workload.line(position, &mut out);
            }
            assert_eq!(naive(&out).events(), 4);
        }
    }

    #[test]
    fn ids_and_timestamps_are_distinct_and_copies_are_equal() {
        for order in ["random", "sorted", "nearly-sorted"] {
            let all = lines(&format!("-n 30000 --copies 0.4 --order {order}"));
            assert_eq!(all.len(), 30_000);
            let events: BTreeMap<&String, usize> = count(&all);
            assert_eq!(events.len(), 18_000, "copies are byte for byte the same");
            let values: Vec<Value> = events.keys().map(|line| serde_json::from_str(line).unwrap()).collect();
            let ids: BTreeSet<&str> = values.iter().map(|value| value["id"].as_str().unwrap()).collect();
            let timestamps: BTreeSet<i64> = values.iter().map(|value| value["timestamp"].as_i64().unwrap()).collect();
            assert_eq!((ids.len(), timestamps.len()), (18_000, 18_000));
            let span = timestamps.last().unwrap() - timestamps.first().unwrap();
            assert!(span as u64 <= SPAN && span as u64 > SPAN / 10 * 9);
            for id in ids {
                let version = id.as_bytes()[14];
                let variant = id.as_bytes()[19];
                assert!(id.len() == 36 && version == b'4' && b"89ab".contains(&variant), "{id}");
            }
        }
    }

    #[test]
    fn fifteen_copies_of_everything() {
        let counts = count(lines("-n 15000 --copies 15x"));
        assert_eq!(counts.len(), 1_000);
        assert!(counts.values().all(|&copies| copies == 15));
    }

    #[test]
    fn orders_keep_their_word() {
        let timestamps = |order: &str| -> Vec<i64> {
            let values = values(&format!("-n 20000 --copies 0.1 --order {order}"));
            values.iter().map(|value| value["timestamp"].as_i64().unwrap()).collect()
        };
        let (sorted, nearly, random) = (timestamps("sorted"), timestamps("nearly-sorted"), timestamps("random"));
        assert!(sorted.is_sorted() && !nearly.is_sorted());
        let place = |timestamp| sorted.partition_point(|&other| other < timestamp) as i64;
        let distance = |order: &[i64]| {
            order.iter().enumerate().map(|(position, &timestamp)| (place(timestamp) - position as i64).abs()).max()
        };
        assert!(distance(&nearly) < Some(1_000) && distance(&random) > Some(10_000));
        let same = |mut order: Vec<i64>| {
            order.sort();
            order == sorted
        };
        assert!(same(nearly) && same(random));
    }

    #[test]
    fn every_style_has_the_same_events() {
        let [compact, spaced, shuffled] = ["compact", "spaced", "shuffled"].map(|style| {
            let arguments = format!("-n 20000 --copies 0.3 --skew hot --style {style}");
            (bytes(&arguments), values(&arguments))
        });
        assert_eq!(compact.1, spaced.1);
        for (plain, shuffled) in compact.1.iter().zip(&shuffled.1) {
            for key in ["id", "type", "from", "site_id", "timestamp"] {
                assert_eq!(plain[key], shuffled[key]);
            }
            assert_eq!(plain["data"]["status"], shuffled["data"]["status"]);
        }
        let report = naive(&compact.0).report();
        assert_eq!(report, naive(&spaced.0).report());
        assert_eq!(report, naive(&shuffled.0).report());
        assert_eq!((naive(&shuffled.0).events(), naive(&shuffled.0).disagreeing()), (20_000, 0));
    }

    #[test]
    fn bad_lines_are_as_many_as_asked_and_all_wrong() {
        for style in ["compact", "shuffled"] {
            let naive = naive(&bytes(&format!("-n 20000 --bad 0.05 --style {style}")));
            assert_eq!((naive.events(), naive.rejects()), (19_000, 1_000));
        }
        let good: BTreeSet<String> = lines("-n 20000").into_iter().collect();
        let mixed = bytes("-n 20000 --bad 0.05");
        let kept = mixed.split(|&byte| byte == b'\n').filter(|line| good.contains(&*String::from_utf8_lossy(line)));
        assert_eq!(kept.count(), 19_000, "the good lines are those of the workload without bad ones");
    }
}
