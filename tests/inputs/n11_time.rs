//! Moments as people write them: dates and durations for `--since`, `--until` and `--as-of`, in the store's own unit.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::support::cli::{Ran, Sandbox, message, status};

/// 2026-11-27T11:00:00Z.
const NOON: i64 = 1_795_777_200;

const UNITS: [(&str, i64, &str); 4] = [
    ("s", 1, "seconds"),
    ("ms", 1_000, "milliseconds"),
    ("us", 1_000_000, "microseconds"),
    ("ns", 1_000_000_000, "nanoseconds"),
];

/// A store with an email at each of these timestamps.
fn store(timestamps: &[i64]) -> Sandbox {
    let sandbox = Sandbox::new();
    let line = |timestamp: &i64| message("1", &format!("id {timestamp}"), "v", *timestamp);
    sandbox.write("in.jsonl", timestamps.iter().map(line).collect::<String>());
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox
}

/// `report` with options that may have spaces in them: they are parted by `|`.
fn report(sandbox: &Sandbox, options: &str) -> Ran {
    let mut command = sandbox.chatwal("report --store s");
    command.args(options.split('|').filter(|option| !option.is_empty()));
    crate::support::cli::run(command)
}

/// How many emails a report counts.
fn emails(ran: &Ran) -> i64 {
    let count = ran.out.split("emails=").nth(1).and_then(|rest| rest.split(',').next());
    count.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn a_date_means_the_same_in_every_unit() {
    for (unit, scale, name) in UNITS {
        // Every minute, from an hour before to an hour after.
        let minutes: Vec<i64> = (-60..=60).map(|minute| (NOON + minute * 60) * scale).collect();
        let sandbox = store(&minutes);
        for (options, count) in [
            ("--since|2026-11-27T11:00:00Z", 61),
            ("--since|2026-11-27 11:00:00Z", 61),
            ("--since|2026-11-27t11:00z", 61),
            ("--since|2026-11-27T13:00:00+02:00", 61),
            ("--since|2026-11-27T05:30:00-05:30", 61),
            ("--since|2026-11-27T11:00:00.000000001Z", 60),
            ("--since|2026-11-27T10:59:59.999999999Z", 61),
            ("--since|2026-11-27", 121),
            ("--since|2026-11-28", 0),
            ("--until|2026-11-27T11:00:00Z", 60),
            ("--until|2026-11-27T11:00:00.000000001Z", 61),
            ("--until|2026-11-27T10:59:59.999999999Z", 60),
            ("--until|2026-11-28", 121),
            ("--as-of|2026-11-27T11:00:00Z", 61),
            ("--as-of|2026-11-27T10:59:59.999999999Z", 60),
            ("--as-of|2026-11-27T11:00:00.000000001Z", 61),
            ("--since|2026-11-27T11:00:00Z|--until|2026-11-27T11:10:00Z", 10),
            ("--since|2026-11-27T11:00:00Z|--as-of|2026-11-27T11:10:00Z", 11),
            ("--since|2026-11-27T11:00:00Z|--as-of|2026-11-27T11:00:00Z", 1),
            ("--since|2026-11-27T11:00:00.1Z|--until|2026-11-27T11:00:00.9Z", 0),
            ("--since|2026-11-27T11:00:00Z|--site|1", 61),
            ("--since|2026-11-27T11:00:00Z|--site|2", 0),
        ] {
            let ran = report(&sandbox, options).expect(0);
            assert_eq!(emails(&ran), count, "{options} in {name}: {ran:#?}");
            let note = format!("timestamps are taken for {name}, by their magnitude; --unit says otherwise");
            let ran = ran.says(&[&note]);
            assert!(!ran.err.contains("warning: timestamps"), "{ran:#?}");
            let with_unit = report(&sandbox, &format!("{options}|--unit|{unit}")).expect(0);
            assert_eq!((&with_unit.out, with_unit.err.contains("magnitude")), (&ran.out, false), "{options} {unit}");
        }
        // A timestamp beside a date is in the store's unit; by itself it asks for no unit, and nothing is said.
        let mixed = format!("--since|{}|--until|2026-11-27T11:10:00Z", (NOON + 60) * scale);
        assert_eq!(emails(&report(&sandbox, &mixed).expect(0)), 9, "{mixed}");
        let plain = format!("--since|{}", NOON * scale);
        assert_eq!(emails(&report(&sandbox, &plain).expect(0).silently()), 61);
        assert_eq!(emails(&report(&sandbox, &format!("{plain}|--unit|{unit}")).expect(0).silently()), 61);
        report(&sandbox, "-q|--since|2026-11-27").expect(0).silently();
    }
}

#[test]
fn what_is_between_two_units_of_the_store_is_rounded_so_that_nothing_else_counts() {
    // Seconds since 1970: small numbers are seconds.
    let sandbox = store(&[-2, -1, 0, 1, 2]);
    let at = |fraction: &str| format!("1970-01-01T00:00:{fraction}Z");
    for (options, count) in [
        (format!("--since|{}", at("00.5")), 2),
        (format!("--since|{}", at("01")), 2),
        (format!("--until|{}", at("00.5")), 3),
        (format!("--until|{}", at("01")), 3),
        (format!("--as-of|{}", at("00.5")), 3),
        (format!("--as-of|{}", at("01")), 4),
        (format!("--since|{}|--until|{}", at("00.5"), at("01.5")), 1),
        ("--since|1969-12-31T23:59:58.5Z".into(), 4),
        ("--until|1969-12-31T23:59:58.5Z".into(), 1),
        ("--as-of|1969-12-31T23:59:58.5Z".into(), 1),
        // The same moments in milliseconds.
        (format!("--unit|ms|--since|{}", at("00.001")), 2),
        (format!("--unit|ms|--since|{}", at("00.0011")), 1),
        ("--since|-2".into(), 5),
        ("--since|-1".into(), 4),
    ] {
        assert_eq!(emails(&report(&sandbox, &options).expect(0)), count, "{options}");
    }
}

#[test]
fn a_duration_counts_back_from_now() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64;
    let (hour, day) = (3600, 86_400);
    for (unit, scale, _) in UNITS {
        let ages = [400 * day, 10 * day, 8 * day, 40 * hour, 30 * hour, 2 * hour, hour, 0];
        let sandbox = store(&ages.map(|age| (now - age) * scale));
        for (options, count) in [
            ("--since|-7d", 5),
            ("--since|-9d", 6),
            ("--since|-1w2d", 6),
            ("--since|-36h", 4),
            ("--since|-90m", 2),
            ("--since|-1h30m", 2),
            ("--since|-1d12h", 4),
            ("--since|-1y", 7),
            ("--until|-36h", 4),
            ("--as-of|-36h", 4),
            ("--since|-9d|--until|-90m", 4),
            ("--since|2000-01-01|--until|-9d", 2),
        ] {
            assert_eq!(emails(&report(&sandbox, options).expect(0)), count, "{options} in {unit}");
        }
    }
}

#[test]
fn the_latest_timestamp_tells_the_unit() {
    for (timestamps, name, count) in [
        (vec![1, NOON * 1_000], "milliseconds", 1),
        (vec![-NOON * 1_000_000, 0, NOON], "seconds", 1),
        (vec![1, 2, 3], "seconds", 0),
        (vec![-NOON * 1_000], "milliseconds", 0),
        (vec![99_999_999_999], "seconds", 1),
        (vec![100_000_000_000_000], "microseconds", 0),
    ] {
        let sandbox = store(&timestamps);
        let ran = report(&sandbox, "--since|2026-11-27|--site|1").expect(0);
        assert_eq!(emails(&ran), count, "{timestamps:?}");
        ran.says(&[&format!("timestamps are taken for {name}, ")]);
    }
}

#[test]
fn a_number_alone_stays_a_timestamp() {
    let sandbox = store(&[-8, -7, 7, 20_261_127]);
    for (options, count) in [("--since|-7", 3), ("--until|-7", 1), ("--as-of|-7", 2), ("--since|20261127", 1)] {
        assert_eq!(emails(&report(&sandbox, options).expect(0).silently()), count, "{options}");
    }
    let mut command = sandbox.chatwal("report --store s --since=-7");
    command.arg("-q");
    assert_eq!(emails(&crate::support::cli::run(command).expect(0)), 3);
}

#[test]
fn what_is_no_moment_and_what_is_out_of_order_is_wrong_usage() {
    let sandbox = store(&[NOON]);
    for (options, why) in [
        ("--since|yesterday", "a date such as 2026-11-27"),
        ("--since|7d", "write -7d"),
        ("--since|2026-11-27T11:00:00", "write 2026-11-27T11:00:00Z for UTC"),
        ("--since|2026-02-30", "found day 30, which must be from 1 to 28"),
        ("--since|99999999999999999999", "64 bits"),
        ("--since|1.5", "a timestamp in the events' own unit"),
        ("--unit|min|--since|-7d", "possible values: s, ms, us, ns"),
        ("--since|10|--until|10", "--since 10 is not before --until 10"),
        ("--since|11|--until|10", "--since 11 is not before --until 10"),
        ("--since|11|--as-of|10", "--since 11 is after --as-of 10"),
        ("--since|-7d|--until|-8d", "--since -7d is not before --until -8d"),
        ("--since|-7d|--until|-7d", "--since -7d is not before --until -7d"),
        ("--since|2026-11-28|--until|2026-11-27", "--since 2026-11-28 is not before --until 2026-11-27"),
        ("--since|2026-11-28|--as-of|2026-11-27", "--since 2026-11-28 is after --as-of 2026-11-27"),
        ("--since|2026-11-27|--until|1795737600", "--since 2026-11-27 is not before --until 1795737600"),
        ("--unit|ns|--since|2300-01-01", "--since 2300-01-01: a timestamp of 64 bits in nanoseconds"),
        ("--unit|ns|--until|1600-01-01", "--until 1600-01-01: a timestamp of 64 bits in nanoseconds"),
        ("--unit|ns|--as-of|1600-01-01", "--as-of 1600-01-01: a timestamp of 64 bits in nanoseconds"),
        ("--since|-19000y", "--since -19000y: further back than the calendar goes"),
    ] {
        let ran = report(&sandbox, options).expect(2);
        assert!(ran.err.contains(why) && ran.out.is_empty(), "{options}: {ran:#?}");
        let own = why.starts_with("--since") || why.starts_with("--until") || why.starts_with("--as-of");
        assert!(!own || ran.err.contains("chatwal: hint: "), "{options}: {ran:#?}");
    }
}

#[test]
fn a_store_without_events_has_no_unit_and_needs_none() {
    let sandbox = store(&[]);
    for options in ["--since|2026-11-27", "--as-of|-7d", "--since|-7d|--until|-1d|--format|line"] {
        let ran = report(&sandbox, options).expect(0).silently();
        assert_eq!(ran.out, "");
    }
    report(&sandbox, "--since|-1d|--until|-7d").expect(2);
}

#[test]
fn who_was_online_is_known_from_before_a_date() {
    let sandbox = Sandbox::new();
    let input =
        status("1", "a", "o", NOON, "online") + &message("1", "b", "v", NOON + 60) + &message("1", "c", "v", NOON - 1);
    sandbox.write("in.jsonl", input);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    let ran = report(&sandbox, "--since|2026-11-27T11:00:30Z").expect(0);
    assert_eq!(ran.out, "1,messages=1,emails=0,operators=0,visitors=1\n");
}

#[test]
fn one_store_with_several_units_is_warned_of() {
    let (s, ms, us, ns) = (NOON, NOON * 1_000, NOON * 1_000_000, NOON * 1_000_000_000);
    for (timestamps, names) in [
        (vec![s, s + 1], None),
        (vec![s, ms], Some("seconds and milliseconds")),
        (vec![s, us], Some("seconds and microseconds")),
        (vec![ms, ns], Some("milliseconds and nanoseconds")),
        (vec![us, s, ns], Some("seconds and nanoseconds")),
        (vec![-s, -ms], Some("milliseconds and seconds")),
        // A default, a counter, 1970: they are of no unit.
        (vec![0, ms], None),
        (vec![-1, ns], None),
        (vec![99_999_999, ms], None),
        (vec![100_000_000, ms], Some("seconds and milliseconds")),
        (vec![1, 2, 3], None),
        (vec![-s, s], None),
        (vec![], None),
    ] {
        let sandbox = store(&timestamps);
        for (command, warns) in [
            ("stat --store s", true),
            ("report -v --store s", true),
            ("report --store s", false),
            ("report --store s --since 2026-01-01", true),
            ("report -v --store s --since 2026-01-01", true),
            ("report --store s --since 7", false),
        ] {
            let ran = sandbox.run(command).expect(0);
            let warnings: Vec<&str> =
                ran.err.lines().filter(|line| line.starts_with("chatwal: warning: timestamps go from ")).collect();
            match names.filter(|_| warns) {
                Some(names) => {
                    assert!(warnings.len() == 1 && warnings[0].contains(names), "{timestamps:?} {command}: {ran:#?}")
                }
                None => assert!(warnings.is_empty(), "{timestamps:?} {command}: {ran:#?}"),
            }
        }
    }
}
