//! `report --format html`: every figure of the page is that of the oracle, whatever the memory, the threads and the state of the store.
//! What a browser makes of it is for `tests/browser`.

mod support;

use std::collections::BTreeMap;
use std::io::Read as _;

use chatwal::format::coding::{Reader, unzigzag};
use support::cli::Sandbox;
use support::naive::Naive;

const WEEK: usize = 168;

type Counts = Vec<[u64; 2]>;

/// What the page's script reads.
#[derive(Debug, PartialEq)]
struct Data {
    offset: i64,
    width: u64,
    hours: BTreeMap<i64, [u64; 2]>,
    week: Counts,
    shares: Vec<u64>,
    silent: u64,
    sites: Vec<(String, [u64; 4])>,
    details: BTreeMap<String, Detail>,
}

#[derive(Debug, PartialEq)]
struct Detail {
    week: Counts,
    stretches: u64,
    latest: Vec<(i64, Option<i64>)>,
}

/// The bytes of base64.
fn bytes_of(base64: &str) -> Vec<u8> {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => panic!("{byte}"),
    };
    let mut out = Vec::new();
    for chunk in base64.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 6 | u32::from(digit(*byte))) << (6 * (4 - chunk.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..chunk.len()]);
    }
    out
}

impl Data {
    fn of(page: &str) -> Data {
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        let deflated = bytes_of(rest.split_once('<').unwrap().0);
        let mut bytes = Vec::new();
        flate2::read::DeflateDecoder::new(&deflated[..]).read_to_end(&mut bytes).unwrap();
        let mut reader = Reader::new(&bytes);
        let data = Data::read(&mut reader);
        assert_eq!(reader.left(), 0);
        data
    }

    fn read(reader: &mut Reader<'_>) -> Data {
        fn next(reader: &mut Reader<'_>) -> u64 {
            reader.varint("a number").unwrap()
        }
        fn many(reader: &mut Reader<'_>, count: usize) -> Vec<u64> {
            (0..count).map(|_| next(reader)).collect()
        }
        fn counts(reader: &mut Reader<'_>, count: usize) -> Counts {
            let (chats, emails) = (many(reader, count), many(reader, count));
            chats.into_iter().zip(emails).map(|(chats, emails)| [chats, emails]).collect()
        }
        assert_eq!(next(reader), 1);
        let offset = unzigzag(next(reader));
        let (first, width, count) = (unzigzag(next(reader)), next(reader), next(reader) as usize);
        let hours = (first..).zip(counts(reader, count)).filter(|(_, counts)| *counts != [0; 2]).collect();
        let (week, shares, silent) = (counts(reader, WEEK), many(reader, 11), next(reader));
        let (count, length) = (next(reader) as usize, next(reader) as usize);
        let names = String::from_utf8(reader.bytes(length, "names").unwrap().to_vec()).unwrap();
        let names: Vec<String> = names.split('\n').take(count).map(str::to_string).collect();
        let columns: Vec<Vec<u64>> = (0..4).map(|_| many(reader, count)).collect();
        let row = |at: usize| std::array::from_fn(|column| columns[column][at]);
        let sites: Vec<(String, [u64; 4])> = names.into_iter().enumerate().map(|(at, name)| (name, row(at))).collect();
        let (mut details, mut place) = (BTreeMap::new(), 0);
        for _ in 0..next(reader) {
            place += next(reader) as usize;
            let (week, stretches, listed) = (counts(reader, WEEK), next(reader), next(reader));
            let (mut latest, mut end) = (Vec::new(), 0);
            for _ in 0..listed {
                let from = end + unzigzag(next(reader));
                let until = next(reader).checked_sub(1).map(|duration| from + duration as i64);
                latest.push((from, until));
                end = until.unwrap_or(from);
            }
            details.insert(sites[place].0.clone(), Detail { week, stretches, latest });
        }
        Data { offset, width, hours, week, shares, silent, sites, details }
    }

    /// What the oracle says, of the messages from one moment to another. Timestamps count milliseconds.
    fn expected(naive: &Naive, report: &str, offset: i64, (from, to): (i64, i64), details: usize) -> Data {
        let hour = |moment: i64| (moment.div_euclid(1000) + offset * 60).div_euclid(3600);
        let slot = |moment: i64| (hour(moment) + 72).rem_euclid(WEEK as i64) as usize;
        let mut sites: Vec<(String, [u64; 4])> = Vec::new();
        for line in report.lines() {
            let cells: Vec<&str> = line.rsplitn(5, ',').collect();
            let count = |at: usize| cells[at].split_once('=').unwrap().1.parse().unwrap();
            sites.push((cells[4].into(), [count(3), count(2), count(1), count(0)]));
        }
        let (mut hours, mut week) = (BTreeMap::<i64, [u64; 2]>::new(), vec![[0; 2]; WEEK]);
        let (mut shares, mut silent) = (vec![0; 11], 0);
        for (name, [chats, emails, ..]) in &sites {
            for (moment, chat) in naive.messages(name).into_iter().filter(|(moment, _)| (from..=to).contains(moment)) {
                hours.entry(hour(moment)).or_default()[usize::from(!chat)] += 1;
                week[slot(moment)][usize::from(!chat)] += 1;
            }
            match chats + emails {
                0 => silent += 1,
                all => shares[(emails * 10).div_ceil(all) as usize] += 1,
            }
        }
        let mut ranked: Vec<&(String, [u64; 4])> = sites.iter().filter(|(_, counts)| counts[1] > 0).collect();
        ranked.sort_by(|a, b| (b.1[1], b.1[0]).cmp(&(a.1[1], a.1[0])).then(a.0.cmp(&b.0)));
        let detail = |(name, _): &(String, [u64; 4])| {
            let mut week = vec![[0; 2]; WEEK];
            for (moment, chat) in naive.messages(name).into_iter().filter(|(moment, _)| (from..=to).contains(moment)) {
                week[slot(moment)][usize::from(!chat)] += 1;
            }
            let mut all: Vec<(i64, Option<i64>)> = Vec::new();
            for period in naive.timeline(name).iter().filter(|period| period.online && period.from <= to) {
                let until = period.until.filter(|until| *until <= to);
                if until.is_none_or(|until| until > from) {
                    let second = |moment: i64| moment.max(from).div_euclid(1000);
                    all.push((second(period.from), until.map(second)));
                }
            }
            let latest = all[all.len().saturating_sub(48)..].to_vec();
            (name.clone(), Detail { week, stretches: all.len() as u64, latest })
        };
        let details = ranked.into_iter().take(details).map(detail).collect();
        Data { offset, width: 1, hours, week, shares, silent, sites, details }
    }
}

/// A store `s` of these lines, and the oracle's view of them.
fn store(lines: &[u8]) -> (Sandbox, Naive) {
    let sandbox = Sandbox::new();
    sandbox.write("in", lines);
    sandbox.run("ingest --store s --no-compact --segment-size 64K in").expect(0);
    let mut naive = Naive::new();
    naive.feed_input(lines);
    (sandbox, naive)
}

#[test]
fn every_figure_is_that_of_the_oracle() {
    let lines = chatwal_tools::generated("--lines 30000 --sites 300 --copies 0.2 --skew hot --seed 7").unwrap();
    let (sandbox, naive) = store(&lines);
    let (first, last) = naive.range().unwrap();
    let middle = (first + (last - first) / 3, first + (last - first) / 2);
    for compacted in [false, true] {
        if compacted {
            sandbox.run("compact --store s --all").expect(0);
        }
        for (window, options) in
            [((i64::MIN, i64::MAX), String::new()), (middle, format!("--since {} --as-of {}", middle.0, middle.1))]
        {
            let report = sandbox.run(&format!("report --store s {options}")).expect(0).out;
            assert_eq!(report.as_bytes(), naive.report_between(window.0, window.1));
            // With the least of memory no shard fits, and fewer sites have details.
            for (memory, threads, offset, details) in
                [("128M", 1, 0, 1000), ("128M", 4, -210, 1000), ("1M", 2, 840, 16)]
            {
                let zone = format!(
                    "{}{:02}:{:02}",
                    if offset < 0 { '-' } else { '+' },
                    i64::abs(offset) / 60,
                    i64::abs(offset) % 60
                );
                let arguments = format!("--memory {memory} --threads {threads} --timezone {zone} {options}");
                let page = sandbox.run(&format!("report --store s --format html {arguments}")).expect(0).silently().out;
                let (found, expected) = (Data::of(&page), Data::expected(&naive, &report, offset, window, details));
                assert!(!found.details.is_empty() && !found.hours.is_empty());
                assert_eq!(found.details, expected.details, "{arguments}, compacted: {compacted}");
                assert!(found == expected, "{arguments}, compacted: {compacted}");
            }
        }
    }
}

#[test]
fn the_same_store_gives_the_same_bytes() {
    let (sandbox, _) = store(&chatwal_tools::generated("--lines 5000 --sites 40 --seed 3").unwrap());
    let page = |arguments: &str| sandbox.run(&format!("report --store s --format html {arguments}")).expect(0).out;
    let first = page("--threads 1");
    assert!(first.to_lowercase().starts_with("<!doctype html>") && first.len() < 200_000, "{}", first.len());
    assert!(page("--threads 2") == first && page("--threads 4") == first);
    let run = sandbox.run("run --store s in --format html").expect(0).out;
    assert!(run == first);
    // A compaction seals the last segment, with one more frame, and changes nothing else.
    sandbox.run("compact --store s --all").expect(0);
    let without_place = |page: &str| {
        let (before, rest) = page.split_once("True up to frame ").unwrap();
        before.to_string() + rest.split_once(' ').unwrap().1
    };
    assert!(without_place(&page("--threads 2")) == without_place(&first));
    assert!(!first.contains("unsafe-inline") && first.contains("default-src 'none'"));
}

fn event(id: &str, site: &str, timestamp: i64, kind: &str) -> String {
    let data = if kind == "message" { "\"message\":\"hi\"".into() } else { format!("\"status\":\"{kind}\"") };
    let kind = if kind == "message" { "message" } else { "status" };
    format!(
        "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"from\":\"x\",\"site_id\":\"{site}\",\"timestamp\":{timestamp},\"data\":{{{data}}}}}\n"
    )
}

/// The unit is that of the latest timestamp, whichever message is met first; the page says so, and warns where units are mixed.
#[test]
fn the_unit_is_said() {
    let lines = event("a", "1", 5, "message") + &event("b", "1", 1_768_000_000_000, "message");
    let (sandbox, _) = store(lines.as_bytes());
    let page =
        |arguments: &str| sandbox.run(&format!("report --store s --format html {arguments}")).expect(0).silently().out;
    let guessed = page("");
    assert!(guessed.contains("taken for milliseconds") && guessed.contains("--unit says otherwise"), "{guessed}");
    let hours = Data::of(&guessed).hours;
    assert_eq!(hours.into_iter().collect::<Vec<_>>(), [(0, [0, 1]), (1_768_000_000 / 3600 / 8, [0, 1])]);
    let said = page("--unit s");
    assert!(said.contains("taken for seconds, as --unit says"));
    assert_eq!(Data::of(&said).hours.values().map(|counts| counts[1]).sum::<u64>(), 2);
    // Further apart than can be told hour by hour.
    assert!(Data::of(&said).width > 1);

    let mixed = event("a", "1", 1_768_000_000, "message") + &event("b", "1", 1_768_000_000_000, "message");
    let (sandbox, _) = store(mixed.as_bytes());
    let ran = sandbox.run("report --store s --format html").expect(0);
    assert!(ran.out.contains("units are mixed"));
    for wrong in ["+15:00", "Berlin", "+1:2:3", "5", "+02:60", "++2"] {
        let ran = sandbox.run(&format!("report --store s --format html --timezone {wrong}")).expect(2);
        assert!(ran.err.contains("offset from UTC"), "{}", ran.err);
    }
}

#[test]
fn nothing_and_almost_nothing_make_a_page() {
    let texts =
        ["", &event("a", "1", 10, "online"), &event("a", "1", 10, "message"), &event("a", "1", i64::MAX, "message")];
    for text in texts {
        let (sandbox, naive) = store(text.as_bytes());
        let page = sandbox.run("report --store s --format html").expect(0).silently().out;
        let data = Data::of(&page);
        assert_eq!(data.sites.iter().filter(|(name, _)| !name.is_empty()).count(), naive.sites().count(), "{text}");
        assert!(!page.contains("{{"), "{text}");
    }
}

/// No name is markup, and text says what it was.
#[test]
fn names_are_text() {
    let names =
        ["</script><script>x()", "<img src=x onerror=x()>", "a&b", "\\\"q\\\"", "{{data}}", "'", "\u{202e}evil"];
    let lines: String =
        names.iter().enumerate().map(|(n, name)| event(&n.to_string(), name, 1_768_000_000, "message")).collect();
    let (sandbox, _) = store(lines.as_bytes());
    let page = sandbox.run("report --store s --format html --site </script><script>x() <img").expect(0).out;
    for name in names.iter().filter(|name| name.contains('<')) {
        assert!(!page.contains(name), "{name}");
    }
    assert!(page.contains("&lt;/script&gt;&lt;script&gt;x()"));
    assert_eq!(page.matches("<script").count(), 2);
}

/// A spreadsheet runs what begins like a formula.
#[test]
fn csv_for_spreadsheets() {
    let names = ["=1+1", "+1", "-1", "@a", "plain", "=a,b"];
    let lines: String = names.iter().enumerate().map(|(n, name)| event(&n.to_string(), name, 1, "message")).collect();
    let (sandbox, _) = store(lines.as_bytes());
    let plain = sandbox.run("report --store s --format csv").expect(0);
    assert!(plain.out.contains("\n=1+1,0,1,") && plain.out.contains("\n\"=a,b\",0,1,"), "{}", plain.out);
    assert!(plain.err.contains("--csv-safe"), "{}", plain.err);
    let safe = sandbox.run("report --store s --format csv --csv-safe").expect(0).silently();
    for name in ["'=1+1", "'+1", "'-1", "'@a", "plain", "\"'=a,b\""] {
        assert!(safe.out.contains(&format!("\n{name},0,1,0,1")), "{name}: {}", safe.out);
    }
    for format in ["line", "json", "ndjson"] {
        sandbox.run(&format!("report --store s --csv-safe --format {format}")).expect(0).silently();
    }
    let sources = sandbox.run("sources --store s --format csv").expect(0).silently();
    assert!(!sources.out.contains('\''), "{}", sources.out);
}

/// Sites share the blocks of a snapshot: what is read of them fits the memory if the events do, and nothing is put aside.
#[test]
fn a_compacted_store_with_many_small_sites_fits_the_memory() {
    let (sandbox, naive) = store(&chatwal_tools::generated("--lines 30000 --sites 10000 --seed 5").unwrap());
    sandbox.run("compact --store s --all").expect(0);
    let (first, last) = naive.range().unwrap();
    let middle = first + (last - first) / 2;
    for arguments in [format!("--since {middle}"), "--format html".into()] {
        let ran = sandbox.run(&format!("report -v --store s --memory 8M --threads 1 {arguments}")).expect(0);
        assert!(ran.err.contains("read ") && !ran.err.contains("temporary files"), "{arguments}: {}", ran.err);
    }
    let since = sandbox.run(&format!("report --store s --memory 8M --since {middle}")).expect(0).out;
    assert!(since.as_bytes() == naive.report_between(middle, i64::MAX));
}
