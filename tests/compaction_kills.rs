//! P2, kills: `compact`, and `ingest` with compaction beside it, killed at random moments: what is there answers as before,
//! and the next writer goes on and leaves no file that does not count.
//!
//! `CHATWAL_KILLS` and `CHATWAL_SEED` make a run longer and repeat it, as far as time repeats.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use support::cli::{Dice, Running, Sandbox, generated};
use support::naive::Naive;
use support::setting;
use support::store::{all_count, assert_no_leftovers};

/// Kills of each of the two tests.
const KILLS: u64 = 12;

/// What kills did.
#[derive(Default)]
struct Toll {
    kills: u64,
    /// Those that left a snapshot half written.
    writing: u64,
    /// Those that left files which a snapshot had replaced.
    deleting: u64,
    /// Those that came when all was done, or nothing begun.
    beside: u64,
}

impl Toll {
    fn middle(&self) -> u64 {
        self.writing + self.deleting
    }

    /// Whether these were enough: so many in all, and a fourth of them in the middle of a compaction, which is left to
    /// chance, but not for ever.
    fn suffices(&self, wanted: u64) -> bool {
        self.kills >= wanted && (self.middle() >= wanted / 4 || self.kills >= wanted * 10)
    }

    fn tell(&self, of: &str, started: Instant) {
        let Toll { kills, writing, deleting, beside } = self;
        let took = started.elapsed();
        eprintln!(
            "{kills} kills of {of}: {writing} left a snapshot half written, {deleting} files that one replaces, \
             {beside} came beside a compaction; {took:?}"
        );
    }

    /// Notes what a kill left.
    fn note(&mut self, names: &BTreeSet<String>) {
        self.kills += 1;
        let half = names.iter().any(|name| name.ends_with(".snap.tmp"));
        match (half, all_count(names) || names.iter().any(|name| name.ends_with(".wal.tmp"))) {
            (true, _) => self.writing += 1,
            (false, false) => self.deleting += 1,
            (false, true) => self.beside += 1,
        }
    }
}

/// The names in the store.
fn names(sandbox: &Sandbox) -> BTreeSet<String> {
    let entries = fs::read_dir(sandbox.path("s")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Whether a snapshot is being written.
fn is_folding(sandbox: &Sandbox) -> bool {
    sandbox.has("s") && names(sandbox).iter().any(|name| name.ends_with(".snap.tmp"))
}

/// Starts a command and kills it: at a random moment of its `usual` time, or within `folding` of the moment in which a
/// compaction was seen to begin. Says whether the kill came before its end.
fn kill(sandbox: &Sandbox, command: &str, usual: Duration, folding: Duration, dice: &mut Dice) -> bool {
    let mut running = Running::start(sandbox.chatwal(command));
    let mut moment = |within: Duration| Duration::from_micros(dice.below(within.as_micros() as u64 + 1));
    let wait = moment(Duration::from_micros(2));
    if wait.is_zero() {
        sleep(moment(usual));
    } else {
        while !is_folding(sandbox) && !running.has_ended() {}
        sleep(moment(folding));
    }
    let before = !running.has_ended();
    running.kill();
    before
}

/// The lines of a part of an input, with copies of earlier ones among them.
fn part<'l>(lines: &[&'l [u8]], number: usize, length: usize) -> Vec<&'l [u8]> {
    (0..length).map(|at| lines[(number * length * 4 / 5 + at) % lines.len()]).collect()
}

#[test]
fn compact_killed_at_random_moments() {
    let (wanted, seed) = (setting("CHATWAL_KILLS", KILLS), setting("CHATWAL_SEED", 1));
    let (mut dice, started, mut toll) = (Dice(seed), Instant::now(), Toll::default());
    let input = generated("-n 40000 --sites 300 --copies 0.1 --bad 0.002 --order random");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let mut naive = Naive::new();
    let sandbox = Sandbox::new();
    let bulk = lines[..8000].concat();
    naive.feed_input(&bulk);
    sandbox.write("bulk", bulk);
    sandbox.run("ingest --store s --segment-size 64K bulk").expect(3);
    let (mut number, mut usual) = (0, Duration::from_millis(30));
    while !toll.suffices(wanted) {
        number += 1;
        let bytes = part(&lines, number, 40).concat();
        naive.feed_input(&bytes);
        // One file again and again: it is another input each time, and the store would know it by its head otherwise.
        let bytes = [format!("no event, but the head of part {number}\n").into_bytes(), bytes].concat();
        sandbox.write("part", &bytes);
        sandbox.run("ingest --store s --segment-size 4096 part").expect(3);
        let expected = String::from_utf8(naive.report()).unwrap();
        let commands = ["compact --store s --all", "compact --store s --all --threads 1", "compact --store s"];
        let command = commands[dice.below(3) as usize];
        loop {
            kill(&sandbox, command, usual, usual / 10, &mut dice);
            toll.note(&names(&sandbox));
            assert!(sandbox.report() == expected, "after kill {} of {command}, {number} parts", toll.kills);
            if dice.below(3) > 0 {
                break;
            }
        }
        let (before, rerun) = (Instant::now(), ["compact --store s --all", command][dice.below(2) as usize]);
        match dice.below(4) {
            // Any writer cleans up.
            0 => drop(sandbox.run("ingest --store s --segment-size 4096 part").expect(3)),
            _ => {
                sandbox.run(rerun).expect(0);
                usual = before.elapsed();
            }
        }
        assert_no_leftovers(names(&sandbox));
        assert!(sandbox.report() == expected, "after kill {} of {command} and a rerun, {number} parts", toll.kills);
    }
    let stat = sandbox.stat();
    assert_eq!((&stat["events"], &stat["disagreeing"]), (&naive.unique().into(), &naive.disagreeing().into()));
    assert_eq!(sandbox.sources().len(), number + 1, "every part is an input");
    toll.tell("compact", started);
    assert!(toll.middle() >= wanted / 4, "the kills came too early or too late to prove anything");
}

#[test]
fn ingest_killed_while_it_compacts() {
    const PARTS: usize = 30;
    let (wanted, seed) = (setting("CHATWAL_KILLS", KILLS), setting("CHATWAL_SEED", 1));
    let (mut dice, started, mut toll) = (Dice(seed), Instant::now(), Toll::default());
    let input = generated("-n 6000 --sites 50 --copies 0.1 --order random");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let parts: Vec<Vec<u8>> = (0..PARTS).map(|number| part(&lines, number, 60).concat()).collect();
    let mut naive = Naive::new();
    let reports: Vec<String> = std::iter::once(String::new())
        .chain(parts.iter().map(|part| {
            naive.feed_input(part);
            String::from_utf8(naive.report()).unwrap()
        }))
        .collect();
    let mut usual = Duration::from_millis(300);
    let mut stores = 0;
    while !toll.suffices(wanted) {
        let sandbox = Sandbox::new();
        stores += 1;
        let files: Vec<String> = (0..PARTS).map(|number| format!("part-{number}")).collect();
        files.iter().zip(&parts).for_each(|(file, part)| sandbox.write(file, part));
        let bound = [1, 8 << 10, 20 << 10][dice.below(3) as usize];
        let command = format!("ingest --store s --segment-size 4096 --compact-at {bound} {}", files.join(" "));
        let mut least = 0;
        while !toll.suffices(wanted) && kill(&sandbox, &command, usual, Duration::from_micros(1500), &mut dice) {
            let is_store = sandbox.has("s/0000000001.wal") || (sandbox.has("s") && names(&sandbox).len() > 2);
            if !is_store {
                continue;
            }
            toll.note(&names(&sandbox));
            let report = sandbox.report();
            let found =
                reports.iter().rposition(|of| *of == report).unwrap_or_else(|| panic!("of no prefix: {report}"));
            assert!(found >= least, "went back from {least} parts to {found}");
            least = found;
            if dice.below(3) == 0 {
                sandbox.run("compact --store s").expect(0);
                assert_no_leftovers(names(&sandbox));
                assert!(sandbox.report() == report);
            }
        }
        let before = Instant::now();
        sandbox.run(&command).expect(0);
        usual = if least == 0 { before.elapsed() } else { usual };
        assert_no_leftovers(names(&sandbox));
        assert!(sandbox.report() == reports[PARTS]);
        assert_eq!(sandbox.sources().len(), PARTS);
        assert_eq!(sandbox.stat()["lines_accepted"], naive.events(), "no line was kept twice");
    }
    toll.tell(&format!("ingest, on {stores} stores"), started);
    assert!(toll.middle() >= wanted / 4, "the kills came too early or too late to prove anything");
}

#[test]
fn compact_asked_to_end_leaves_the_store_as_it_was() {
    let input = generated("-n 60000 --sites 600");
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s --segment-size 64K in.jsonl").expect(0);
    let mut ended = 0;
    for number in 0.. {
        // A roll at the start is all that a compaction leaves that ended early.
        sandbox.write("part", format!("no event {number}\n"));
        sandbox.run("ingest --store s part").expect(3);
        let mut running = Running::start(sandbox.chatwal("compact --store s --all --threads 1"));
        while !is_folding(&sandbox) && !running.has_ended() {}
        let before = names(&sandbox);
        if !running.has_ended() {
            running.signal("TERM");
        }
        let ran = running.wait();
        assert_no_leftovers(names(&sandbox));
        if ran.code == Some(143) {
            let ran = ran.says(&["interrupted"]);
            assert_eq!(ran.out, "");
            assert!(before.iter().filter(|name| !name.ends_with(".tmp")).eq(&names(&sandbox)), "{before:?}");
            sandbox.reports(&input);
            ended += 1;
        } else {
            ran.expect(0);
        }
        if ended == 2 {
            return;
        }
        assert!(number < 50, "the signal never came in the middle of a compaction");
    }
}
