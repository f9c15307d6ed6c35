//! Random inputs, most of them broken somewhere: the program and the oracle agree on every reject and on every byte that is left.
//!
//! `CHATWAL_SEED` and `CHATWAL_INPUTS` repeat a run and make it longer.

use std::collections::BTreeMap;

use crate::rows::{e, left_of};
use crate::support::cli::{Dice, Sandbox, gzip, message};
use crate::support::naive::{Naive, NaiveEnd, NaiveForm, NaiveReading, read};
use crate::support::pieces::PIECES;
use crate::support::setting;

/// An input that begins with an event of its own, so that no two are taken for one.
fn input(number: u64, dice: &mut Dice) -> Vec<u8> {
    let own = message(&format!("own {number}"), "own", "v", 5).trim_end().to_owned();
    let begin = match dice.below(9) {
        8 => format!("\0\u{feff}\r\n\u{feff}[{own},"),
        0 => format!("[{own},"),
        1 => format!("[\n{own}\n"),
        2 => format!("\x1e{own}\n"),
        3 => own.replace(',', ",\n"),
        4 => own,
        5 => format!("\u{feff}{own}"),
        _ => format!("{own}\n"),
    };
    let start = begin.len();
    let pieces = (0..dice.below(14)).map(|_| PIECES[dice.below(PIECES.len() as u64) as usize]);
    let mut bytes = pieces.fold(begin, |text, piece| text + piece).into_bytes();
    if bytes.len() > start && dice.below(4) == 0 {
        // Any byte in any place.
        let at = start + dice.below((bytes.len() - start) as u64) as usize;
        bytes[at] = dice.below(256) as u8;
    }
    bytes
}

/// What of an input is no event, as the store tells it: line, byte and length of rejects; bytes taken; bytes left.
type Told = (Vec<(u64, u64, u64)>, u64, u64);

fn of_oracle(input: &[u8], reading: &NaiveReading) -> Told {
    let rejects = reading.rejects.iter().map(|it| (it.line, it.offset, it.length)).collect();
    (rejects, input.len() as u64 - reading.left, reading.left)
}

/// The same of all inputs of the store, by name.
fn of_store(sandbox: &Sandbox) -> BTreeMap<String, Told> {
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    let name = |value: &serde_json::Value| value["source"].as_str().unwrap().to_owned();
    let sources = sandbox.sources();
    let places = sources.iter().map(|it| (name(it), (Vec::new(), number(&it["byte"]), left_of(it))));
    let mut told: BTreeMap<String, Told> = places.collect();
    for it in sandbox.run("rejects --store s --format ndjson").expect(0).records() {
        told.get_mut(&name(&it)).unwrap().0.push((number(&it["line"]), number(&it["byte"]), number(&it["length"])));
    }
    told
}

#[test]
fn on_files() {
    let (seed, wanted) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_INPUTS", 600));
    const TOGETHER: u64 = 100;
    let mut dice = Dice(seed);
    for round in 0..wanted.div_ceil(TOGETHER) {
        let (option, form) = [
            ("", None),
            ("", None),
            ("--input lines", Some(NaiveForm::Lines)),
            ("--input json", Some(NaiveForm::Document)),
        ][(round % 4) as usize];
        let sandbox = Sandbox::new();
        let mut naive = Naive::new();
        let mut inputs = Vec::new();
        for number in 0..TOGETHER {
            let (name, bytes) = (format!("in{number}"), input(number, &mut dice));
            sandbox.write(&name, if dice.below(4) == 0 { gzip(&bytes) } else { bytes.clone() });
            let reading = read(&bytes, form, NaiveEnd::MayGrow);
            let is_empty = reading.events.is_empty();
            inputs.push((name, of_oracle(&bytes, &reading), is_empty, bytes));
            naive.feed(reading);
        }
        let names: Vec<&str> = inputs.iter().map(|(name, ..)| &**name).collect();
        let threads = 1 + round % 2;
        let ingest = format!("ingest --store s --durability os --threads {threads} {option} {}", names.join(" "));
        sandbox.run(&ingest).expect(if naive.is_complete() { 0 } else { 3 });
        let told = of_store(&sandbox);
        // An input of which nothing was taken, but for what stands before the first object, is not in the store.
        let agrees = |name: &str, expected: &Told, is_empty: bool| match told.get(name) {
            Some(told) => told == expected,
            None => expected.0.is_empty() && is_empty,
        };
        let mut differ: Vec<_> =
            inputs.iter().filter(|(name, expected, is_empty, _)| !agrees(name, expected, *is_empty)).collect();
        differ.sort_by_key(|(.., bytes)| bytes.len());
        if let Some((name, expected, _, bytes)) = differ.first() {
            panic!(
                "seed {seed}, round {round}, {option}: {} of {} inputs differ; the shortest is {:?}\nfound {:?}\nexpected {expected:?}",
                differ.len(),
                inputs.len(),
                String::from_utf8_lossy(bytes),
                told.get(name),
            );
        }
        assert_eq!(sandbox.report(), String::from_utf8(naive.report()).unwrap(), "seed {seed}, round {round}");
    }
}

#[test]
fn on_pipes() {
    let (seed, wanted) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_INPUTS", 600) / 10);
    let mut dice = Dice(seed ^ 0x5eed);
    for number in 0..wanted {
        let bytes = input(number, &mut dice);
        let sandbox = Sandbox::new();
        let reading = read(&bytes, None, NaiveEnd::Final);
        let (shown, expected) = (String::from_utf8_lossy(&bytes), of_oracle(&bytes, &reading));
        let mut naive = Naive::new();
        naive.feed(reading);
        let packed = if dice.below(4) == 0 { gzip(&bytes) } else { bytes.clone() };
        let ran = sandbox.run_with("ingest --store s --durability os -", &packed);
        assert_eq!(ran.code, Some(if naive.is_complete() { 0 } else { 3 }), "{shown:?} {ran:#?}");
        assert_eq!(of_store(&sandbox).get("-"), Some(&expected), "{shown:?}");
        assert_eq!(sandbox.report(), String::from_utf8(naive.report()).unwrap(), "{shown:?}");
    }
}

/// Nothing of them is in the store but that they are there; one must not be taken for the other.
#[test]
fn on_files_of_which_nothing_is_complete() {
    let sandbox = Sandbox::new();
    let ingest = "ingest --store s --progress json a b";
    for (a, b) in [("{\"id\":", "oops"), ("{\"id\":7", "oops, "), (&*(e(1) + "\n{"), "oops, again\n"), (&e(1), &e(2))] {
        sandbox.write("a", a);
        sandbox.write("b", b);
        let mut naive = Naive::new();
        naive.feed_input(a.as_bytes());
        let left = naive.left();
        naive.feed_input(b.as_bytes());
        for _ in 0..2 {
            let ran = sandbox.run(ingest);
            let done = ran.done();
            assert_eq!((left_of(&done[0]), left_of(&done[1])), (left, naive.left() - left), "{ran:#?}");
        }
    }
    sandbox.reports(e(1) + &e(2));
}
