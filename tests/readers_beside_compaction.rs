//! P5, beside compaction: files are folded and deleted under the readers, and each of their answers is the report of some
//! prefix all the same, and holds what was acknowledged when they began; they take no lock and change nothing.
//!
//! `CHATWAL_READERS` and `CHATWAL_SECONDS` make it more readers, for longer.

mod support;

use std::io;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use chatwal::disk::{Access, File, Identity, Stamp, Storage, Taken};
use chatwal::error::Result;
use chatwal::format::Uid;
use chatwal::store::View;
use support::beside::{Prefixes, can_trace, only_reads, report_beside};
use support::cli::{Dice, Sandbox, generated};
use support::folds::{ALL, SHAPES, SMALL, append, fold, store_of};
use support::setting;
use support::sim::SimDisk;
use support::store::{assert_no_leftovers, report, sync, text};

/// Lines of one input, and so of one frame.
const LINES: usize = 5;

/// What readers and writers of some stores did.
#[derive(Debug, Default)]
struct Seen {
    stores: u32,
    rounds: u32,
    answers: u32,
    ingests: u32,
    compactions: u32,
}

/// Feeds a store in many small runs, most of them with compaction beside the ingest, and folds it now and then in
/// between, while readers report; ends when all is in, or the time is up.
fn beside(readers: u64, until: Instant, seed: u64, seen: &mut Seen) {
    let (sandbox, mut dice) = (Sandbox::new(), Dice(seed));
    let input = generated(&format!("-n 1500 --sites 12 --copies 0.1 --order random --seed {seed}"));
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let prefixes = Prefixes::of(&lines);
    let names: Vec<String> = (0..lines.len().div_ceil(LINES)).map(|number| format!("part-{number}")).collect();
    names.iter().zip(lines.chunks(LINES)).for_each(|(name, lines)| sandbox.write(name, lines.concat()));
    sandbox.write("empty", "");
    sandbox.run("ingest --store s empty").expect(0);
    let (goes_on, acknowledged) = (AtomicBool::new(true), AtomicU64::new(0));
    let mut folded = 0;
    let counts = scope(|scope| {
        let readers: Vec<_> =
            (0..readers).map(|_| scope.spawn(|| report_beside(&sandbox, &prefixes, &acknowledged, &goes_on))).collect();
        // One that fails must not leave the others waiting for the end.
        let over = || readers.iter().any(|reader| reader.is_finished());
        let mut left = &names[..];
        while !left.is_empty() && Instant::now() < until && !over() {
            let (some, rest) = left.split_at(left.len().min(1 + dice.below(12) as usize));
            left = rest;
            let how =
                ["--compact-at 1", "--compact-at 10K", "--compact-at 30K", "--no-compact"][dice.below(4) as usize];
            let ran = sandbox.run(&format!("ingest --store s --segment-size 4096 {how} {}", some.join(" "))).expect(0);
            acknowledged.fetch_add((some.len() * LINES) as u64, Ordering::Relaxed);
            seen.ingests += 1;
            folded += ran.err.matches("folded segments").count();
            for _ in 0..dice.below(3) {
                let ran =
                    sandbox.run(["compact --store s", "compact --store s --all"][dice.below(2) as usize]).expect(0);
                folded += ran.err.matches("folded segments").count();
            }
            assert_no_leftovers(sandbox.listing("s").keys());
        }
        goes_on.store(false, Ordering::Relaxed);
        readers.into_iter().map(|reader| reader.join().unwrap()).collect::<Vec<_>>()
    });
    seen.stores += 1;
    seen.rounds += counts.iter().map(|(rounds, _)| rounds).sum::<u32>();
    seen.answers += counts.iter().map(|(_, answers)| answers).sum::<u32>();
    seen.compactions += folded as u32;
    let fed = acknowledged.into_inner().min(lines.len() as u64) as usize;
    sandbox.reports(lines[..fed].concat());
}

#[test]
fn reporters_beside_ingest_and_compaction() {
    let (readers, seconds) = (setting("CHATWAL_READERS", 2), setting("CHATWAL_SECONDS", 4));
    let (started, mut seen) = (Instant::now(), Seen::default());
    let until = started + Duration::from_secs(seconds);
    while Instant::now() < until {
        beside(readers, until, setting("CHATWAL_SEED", 1) + u64::from(seen.stores), &mut seen);
    }
    let Seen { stores, rounds, answers, ingests, compactions } = seen;
    eprintln!(
        "{readers} reporters for {:?}: {rounds} reports, {answers} times another than the one before; beside them \
         {ingests} ingests and {compactions} compactions of {stores} stores",
        started.elapsed()
    );
    assert!(rounds >= 50 && answers >= 10 && compactions >= 10, "too little to prove anything");
}

/// A disk on which something happens at one of a reader's calls, or at each; while it lists, in the middle of the list, since a
/// directory is not read at once.
struct Racing<'r> {
    disk: SimDisk,
    /// Calls before it happens; none: it happens at each.
    left: Option<AtomicU64>,
    /// Where the list is torn.
    tear: usize,
    race: Mutex<Option<Box<dyn FnMut() + Send + 'r>>>,
}

impl Racing<'_> {
    fn call(&self) {
        let mut race = self.race.lock().unwrap();
        match &self.left {
            None => race.iter_mut().for_each(|race| race()),
            Some(left) if left.fetch_sub(1, Ordering::Relaxed) == 0 => {
                race.take().into_iter().for_each(|mut race| race())
            }
            Some(_) => (),
        }
    }
}

impl Storage for Racing<'_> {
    fn path(&self) -> &Path {
        self.disk.path()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let before = self.disk.list()?;
        self.call();
        let after = self.disk.list()?;
        let Some(pivot) = before.get(self.tear) else { return Ok(before) };
        let (early, late) = (before.iter().filter(|name| *name < pivot), after.iter().filter(|name| *name >= pivot));
        Ok(early.chain(late).cloned().collect())
    }

    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        assert_eq!(access, Access::Read);
        self.call();
        self.disk.open(name, Access::Read)
    }

    fn create(&self, _: &str) -> io::Result<Box<dyn File>> {
        unreachable!("a reader")
    }

    fn open_or_create(&self, _: &str) -> io::Result<Box<dyn File>> {
        unreachable!("a reader")
    }

    fn rename(&self, _: &str, _: &str, _: Taken) -> io::Result<()> {
        unreachable!("a reader")
    }

    fn identity(&self, _: &str) -> io::Result<Identity> {
        unreachable!("a reader")
    }

    fn in_place(&self) -> Result<Option<Stamp>> {
        unreachable!("a reader")
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        unreachable!("a reader")
    }

    fn sync_directory(&self) -> io::Result<()> {
        unreachable!("a reader")
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        unreachable!("a reader")
    }

    fn random(&self) -> io::Result<Uid> {
        unreachable!("a reader")
    }
}

#[test]
fn a_compaction_at_any_call_of_a_reader() {
    let mut races = 0;
    for (snapshots, options) in SHAPES {
        let (store, model) = store_of(snapshots);
        for tear in 0..=store.files().len() {
            for left in 0.. {
                let (disk, mut after) = (store.fork(), model.clone());
                let mut log = after.reopen(disk.storage(), SMALL());
                let race = || {
                    fold(&disk, &mut log, &options).unwrap();
                    append(&mut after, &mut log, 1, 1);
                    fold(&disk, &mut log, &options).unwrap();
                    append(&mut after, &mut log, 1, 1);
                };
                let race: Option<Box<dyn FnMut() + Send>> = Some(Box::new(race));
                let racing = Racing { disk: disk.clone(), left: Some(left.into()), tear, race: race.into() };
                let view = View::open(&racing).unwrap_or_else(|error| panic!("call {left}, torn at {tear}: {error}"));
                let met = racing.race.lock().unwrap().is_none();
                drop(racing);
                // Once the files are open, nothing that happens to the directory matters.
                fold(&disk, &mut log, &ALL).unwrap();
                let found = report(&view).unwrap();
                let written = model.written();
                let prefix = (written..=after.written()).any(|count| found == after.report(count));
                assert!(prefix, "call {left}, torn at {tear}: the report of no prefix: {}", text(&found));
                races += 1;
                if !met {
                    break;
                }
            }
        }
    }
    println!("{races} compactions under a reader's eyes");
}

/// What is acknowledged while a reader looks is no evidence against what it has seen before.
#[test]
fn a_writer_that_acknowledges_at_every_call_of_a_reader() {
    for (snapshots, _) in SHAPES {
        let (disk, mut model) = store_of(snapshots);
        let mut log = model.reopen(disk.storage(), sync(1 << 20));
        let before = model.written();
        let race = || append(&mut model, &mut log, 1, 1);
        let race: Option<Box<dyn FnMut() + Send>> = Some(Box::new(race));
        let racing = Racing { disk: disk.clone(), left: None, tear: usize::MAX, race: race.into() };
        let view = View::open(&racing).unwrap_or_else(|error| panic!("{error}"));
        drop(racing);
        let found = report(&view).unwrap();
        let written = model.written();
        assert!(written > before + 3, "the record, the list and a file");
        assert!((before..=written).any(|count| found == model.report(count)), "the report of no prefix");
    }
}

#[test]
fn a_reader_of_snapshots_makes_no_call_that_could_change_or_wait() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new();
    let input = generated("-n 900 --sites 12 --bad 0.02");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    // Two snapshots and a tail, as tiers leave them.
    for (number, lines) in [&lines[..800], &lines[800..850], &lines[850..]].into_iter().enumerate() {
        sandbox.write("part", lines.concat());
        sandbox.run("ingest --store s part").expect(3);
        if number < 2 {
            sandbox.run("compact --store s").expect(0);
        }
    }
    let names: Vec<String> = sandbox.segments("s").into_keys().collect();
    let files: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(files, ["0000000001-0000000001.snap", "0000000002-0000000002.snap", "0000000003.wal"]);
    sandbox.reports(&input);
    let before = sandbox.listing("s");
    for command in [
        "report --store s",
        "report --store s --site 1 7",
        "report --store s --since 1768000000000 --until 1769000000000",
        "timeline --store s 1",
        "stat --store s",
        "sources --store s",
        "rejects --store s",
        "compact --store s --all --dry-run",
    ] {
        only_reads(&sandbox, command, &files);
    }
    for command in ["dump", "dump --events"] {
        only_reads(&sandbox, &format!("{command} s/{}", files[0]), &files[..1]);
    }
    assert!(sandbox.listing("s") == before);
}
