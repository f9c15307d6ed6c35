//! P2, compaction: however a store was cut, folded, interrupted and folded again, it answers as if nothing had happened;
//! and so it does after a loss of power, a failed call, or the death of its process, at any moment of a compaction.
//!
//! `CHATWAL_SEED`, `CHATWAL_WAYS` and `CHATWAL_IMAGES` repeat a run and make it longer.

mod support;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use chatwal::disk::scratch::Limits;
use chatwal::disk::{Disk, Names, Storage};
use chatwal::error::{Error, Result};
use chatwal::event::summary::Window;
use chatwal::format::block::{BLOCK_HEADER, BlockHeader};
use chatwal::format::coding::{crc, shard, site_hash};
use chatwal::format::frame::SEGMENT_HEADER;
use chatwal::format::snapshot_header::SNAPSHOT_HEADER;
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::source::Source;
use chatwal::query::report::{Report, ReportOptions, Totals};
use chatwal::query::timeline::Timeline;
use chatwal::show::dump;
use chatwal::show::render::{self, Format};
use chatwal::store::log::Log;
use chatwal::store::{Input, View};
use chatwal::upkeep::compact::{Background, CompactOptions, Compaction, Folded, LastSegment, compact};
use support::cli::{Dice, Sandbox, message, status, until};
use support::faults::at_every_call;
use support::folds::{ALL, GO_ON, SHAPES, SMALL, TIERED, append, fold, store_of};
use support::lives::{self, survive};
use support::naive::Naive;
use support::sim::{Choices, SimDisk, Tell};
use support::store::{Model, Sample, assert_no_leftovers, report, sync, text};
use support::{EVERY_LINE, setting};

/// Ways to cut and compact a store.
const WAYS: u64 = 200;

/// Crash images of the random test.
const IMAGES: u64 = 20_000;

/// Snapshots of which only the checksums are right.
const FORGERIES: u64 = 5_000;

/// Names of sites: of every sort, and so that one shard has several.
fn sites() -> Vec<String> {
    let in_shard = |name: &String| shard(site_hash(chatwal::event::Site::new(name.as_bytes()))) == 7;
    let crowded = (1..).map(|number: u32| number.to_string()).filter(in_shard).take(6);
    let long = format!("{}/ä", "long".repeat(60));
    ["1", "10", "2", "007", "shop", &long].map(str::to_owned).into_iter().chain(crowded).collect()
}

/// An input that grows, and what is known of it.
struct Part {
    /// Its lines so far.
    lines: Vec<u8>,
    /// Whether the store knows it.
    known: bool,
}

/// One way: a store that is fed, cut and compacted at random, and everything that is known of it from outside.
struct Way {
    dice: Dice,
    sandbox: Sandbox,
    /// The simulated disk, if it is one; the real one is the directory `s`.
    sim: Option<SimDisk>,
    storage: Arc<dyn Storage>,
    parts: Vec<Part>,
    naive: Naive,
    sites: Vec<String>,
    made: u64,
    compactions: u64,
    interrupted: u64,
}

/// A writer of it.
struct Open {
    log: Log,
    known: BTreeMap<[u8; 16], Input>,
}

impl Way {
    fn new(seed: u64) -> Way {
        let (sandbox, mut dice) = (Sandbox::new(), Dice(seed));
        let sim = (dice.below(10) > 0).then(|| SimDisk::new(seed));
        let storage: Arc<dyn Storage> = match &sim {
            Some(sim) => sim.storage(),
            None => Arc::new(Disk::create(&sandbox.path("s"), Names::Durable).unwrap()),
        };
        let parts = (0..1 + dice.below(4)).map(|_| Part { lines: Vec::new(), known: false }).collect();
        let mut sites = sites();
        dice.shuffle(&mut sites);
        sites.truncate(1 + dice.below(12) as usize);
        Way { dice, sandbox, sim, storage, parts, naive: Naive::new(), sites, made: 0, compactions: 0, interrupted: 0 }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.dice.below(n) == 0
    }

    fn open(&mut self) -> Open {
        let options = sync([200, 500, 1200, 5000][self.dice.below(4) as usize]);
        let opened = || match Log::open(Arc::clone(&self.storage), options) {
            // A child that another thread has just started holds whatever was open until it becomes another program.
            Err(Error::Locked { .. }) => None,
            opened => Some(opened.unwrap()),
        };
        let mut last = None;
        until("the lock is free", || {
            last = opened();
            last.is_some()
        });
        let (log, view, _) = last.unwrap();
        assert_no_leftovers(self.storage.list().unwrap());
        Open { log, known: view.inputs }
    }

    /// A line: an event, a copy of one that may disagree with it, or a reject.
    fn line(&mut self) -> String {
        self.made += 1;
        if self.one_in(12) {
            return format!("no event {}\n", self.made);
        }
        let site = self.sites[self.dice.below(self.sites.len() as u64) as usize].clone();
        let id = match self.dice.below(3) {
            0 => format!("{:032x}", self.made),
            1 => format!("0b9c6a1e-0000-4000-8000-{:012x}", self.dice.below(20)),
            _ => self.dice.below(30).to_string(),
        };
        let timestamp = match self.dice.below(20) {
            0 => [i64::MIN, i64::MAX, -1][self.dice.below(3) as usize],
            _ => self.dice.below(60) as i64,
        };
        let who = self.dice.below(4);
        match self.dice.below(4) {
            0 => status(&site, &id, &format!("operator{who}"), timestamp, "online"),
            1 => status(&site, &id, &format!("operator{who}"), timestamp, "offline"),
            _ => message(&site, &id, &format!("visitor{who}"), timestamp),
        }
    }

    /// Lets an input grow and ingests it; what the store forgot of it, or is told to, is read again.
    fn feed(&mut self, open: &mut Open, background: Option<u64>) {
        let number = self.dice.below(self.parts.len() as u64) as usize;
        let from_start = self.one_in(8);
        let mut more = Vec::new();
        if self.parts[number].lines.is_empty() {
            // Inputs are known by their heads.
            more = format!("no event, but the head of input {number}\n").into_bytes();
        }
        for _ in 0..self.dice.below(25) {
            let line = self.line().into_bytes();
            (0..1 + self.dice.below(6) / 4).for_each(|_| more.extend_from_slice(&line));
        }
        let part = &mut self.parts[number];
        let read_from = if part.known && !from_start { part.lines.len() } else { 0 };
        part.lines.extend_from_slice(&more);
        part.known = true;
        self.naive.feed_input(&part.lines[read_from..]);
        self.sandbox.write(format!("part-{number}"), &part.lines);
        let options = IngestOptions {
            threads: 1,
            max_rejects: MaxRejects::All,
            from_start,
            seek: EVERY_LINE,
            ..IngestOptions::default()
        };
        let source = Source::open(&self.sandbox.path(format!("part-{number}"))).unwrap();
        let mut compactor = background.map(|bound| {
            let (options, tail) = (self.compaction(), open.log.tail());
            Background::new(Arc::clone(&self.storage), options, tail, bound)
        });
        compactor.as_mut().map(Background::poke);
        let outcome =
            ingest(&mut open.log, &mut open.known, source, options, Caller { stop: &GO_ON, notify: &mut |_| () })
                .unwrap();
        assert_eq!(outcome.bytes as usize, self.parts[number].lines.len() - read_from, "input {number}");
        if let Some(mut compactor) = compactor {
            compactor.poke();
            compactor.finish(self.dice.below(3) == 0).unwrap();
            self.compactions += compactor.outcomes.len() as u64;
        }
    }

    fn forget(&mut self, open: &mut Open) {
        let known: Vec<_> = open.known.values().map(|input| input.checkpoint.clone()).collect();
        if known.is_empty() {
            return;
        }
        let checkpoint = &known[self.dice.below(known.len() as u64) as usize];
        let name = String::from_utf8(checkpoint.name.clone()).unwrap();
        let number: usize = name.rsplit('-').next().unwrap().parse().unwrap();
        open.log.append_forget(&[checkpoint.instance]).unwrap();
        open.known.remove(&checkpoint.instance);
        self.parts[number].known = false;
    }

    /// Some way to compact: so little memory that there are several passes, or enough.
    fn compaction(&mut self) -> CompactOptions {
        let (threads, events) = (1 + self.dice.below(3), [1, 4, 30, 1 << 14][self.dice.below(4) as usize]);
        CompactOptions { threads: threads as usize, memory: 64 * events * threads, temp: None, all: self.one_in(3) }
    }

    /// Compacts, or is interrupted: then nothing has changed.
    fn compact(&mut self, open: &mut Open) {
        if self.one_in(2) {
            open.log.seal().unwrap();
        }
        let options = self.compaction();
        let before = View::open(&*self.storage).unwrap();
        let bytes = before.bytes();
        let names = self.storage.list().unwrap();
        let planned = Compaction::plan(&*self.storage, &before, &options, LastSegment::Stays);
        let measured = planned.as_ref().and_then(|planned| planned.measure(&GO_ON, &|_| ()).expect("a sound store"));
        let plan = planned.map(|planned| planned.folds);
        assert_eq!(self.storage.list().unwrap(), names, "what is only measured leaves nothing");
        let stop = AtomicBool::new(self.one_in(8));
        let until = if self.one_in(4) { self.dice.below(100) as f64 / 100.0 } else { 2.0 };
        let progress = |share| {
            stop.fetch_or(share >= until, Ordering::Relaxed);
        };
        let outcome = compact(&*self.storage, &options, &stop, &progress).unwrap();
        let after = View::open(&*self.storage).unwrap();
        assert_no_leftovers(self.storage.list().unwrap());
        match outcome {
            Some(Folded { covers, freed, written, .. }) => {
                self.compactions += 1;
                let plan = plan.expect("something was folded that was not planned");
                assert_eq!((covers, freed), (plan.covers, plan.bytes));
                assert_eq!(Some(written), measured, "the room that it was said to take");
                assert_eq!(after.bytes(), bytes - freed + written);
            }
            None => {
                self.interrupted += u64::from(plan.is_some());
                assert!(plan.is_none() || stop.into_inner(), "not stopped, and nothing folded");
                assert_eq!(self.storage.list().unwrap(), names);
            }
        }
    }

    /// Lets the process die, or end.
    fn reopen(&mut self, open: Open) -> Open {
        drop(open.log);
        if let Some(sim) = &mut self.sim {
            *sim = if self.dice.below(2) == 0 { sim.kill() } else { sim.crash(&mut Choices::Random(self.made)) };
            self.storage = sim.storage();
        }
        self.open()
    }

    fn go(&mut self) {
        let mut open = self.open();
        for _ in 0..6 + self.dice.below(15) {
            match self.dice.below(10) {
                0..4 => self.feed(&mut open, None),
                4 => {
                    let bound = self.dice.below(2000);
                    self.feed(&mut open, Some(bound));
                }
                5 => self.forget(&mut open),
                6..9 => self.compact(&mut open),
                _ => {
                    open.log.settle().unwrap();
                    open = self.reopen(open);
                }
            }
            if self.one_in(4) {
                let view = View::open(&*self.storage).unwrap();
                assert_eq!(text(&report(&view).unwrap()), text(&self.naive.report()));
            }
        }
        open.log.settle().unwrap();
        if self.one_in(2) {
            open = self.reopen(open);
            self.compact(&mut open);
        }
        drop(open);
        self.check();
        self.check_lists();
    }

    /// Report, windows and timelines, whoever works on them in however little memory.
    fn check(&mut self) {
        let view = View::open(&*self.storage).unwrap();
        let naive = &self.naive;
        for (threads, events) in [(1, 1), (2, 7), (3, 1 << 14)] {
            let memory = 64 * events * threads as u64;
            let lines = |from, to, sites: Option<HashSet<Vec<u8>>>| {
                let window = Window { from, to };
                let found = Report::of(
                    &view,
                    &ReportOptions { limits: Limits { memory, ..Limits::new(threads) }, sites, window },
                )
                .unwrap();
                let mut out = Vec::new();
                render::report(&found, Format::Line, &mut out).unwrap().unwrap();
                (text(&out), found.totals)
            };
            let (found, totals) = lines(i64::MIN, i64::MAX, None);
            assert_eq!(found, text(&naive.report()));
            let counts = (totals.events, totals.disputed, totals.copies);
            let unique = naive.unique() as u64;
            assert_eq!(counts, (unique, naive.disagreeing() as u64, naive.events() - unique));
            assert_eq!((unique > 0).then_some((totals.earliest, totals.latest)), naive.range());
            for _ in 0..4 {
                let mut moment = || self.dice.below(70) as i64 - 5;
                let (from, to) = match moment() % 4 {
                    0 => (i64::MIN, moment()),
                    1 => (moment(), i64::MAX),
                    _ => (moment(), moment()),
                };
                let expected = text(&naive.report_between(from, to));
                assert_eq!(lines(from, to, None).0, expected, "from {from} to {to}");
                let site = &self.sites[self.dice.below(self.sites.len() as u64) as usize];
                let only: String =
                    expected.split_inclusive('\n').filter(|line| line.starts_with(&format!("{site},"))).collect();
                let sites = HashSet::from([site.clone().into_bytes(), b"nobody's".to_vec()]);
                assert_eq!(lines(from, to, Some(sites)).0, only, "{site} from {from} to {to}");
            }
        }
        for site in self.sites.iter().map(String::as_str).chain(["nobody's"]) {
            let memory = [1 << 7, 1 << 14, 1 << 27][self.dice.below(3) as usize];
            let found = Timeline::of(&view, site.as_bytes(), &Limits { memory, ..Limits::new(2) }).unwrap();
            let (found, expected) = (found.periods().unwrap(), naive.timeline(site));
            assert_eq!(found.len(), expected.len(), "{site}: {found:#?}, expected {expected:#?}");
            for (found, expected) in found.iter().zip(expected) {
                let (least, most) = expected.operators;
                assert!((least..=most).contains(&found.operators), "{site}: {found:?}, expected {expected:?}");
                let told = (found.from, found.until, found.online, found.chats, found.emails);
                let known = (expected.from, expected.until, expected.online, expected.chats, expected.emails);
                assert_eq!(told, known, "{site}");
            }
        }
    }

    /// Dumps, sources and rejects, of the files that the real program finds.
    fn check_lists(&mut self) {
        let view = View::open(&*self.storage).unwrap();
        if let Some(sim) = &self.sim {
            fs::create_dir(self.sandbox.path("s")).unwrap();
            sim.files().iter().for_each(|(name, bytes)| self.sandbox.write(format!("s/{name}"), bytes));
        }
        let mut dumped = Vec::new();
        for name in self.storage.list().unwrap().iter().filter(|name| *name != "LOCK") {
            let verdict = dump::events(&self.sandbox.path(format!("s/{name}")), &mut dumped).unwrap();
            assert_eq!((verdict.corrupt, verdict.torn.is_none()), (Vec::new(), true), "{name}");
        }
        let mut again = Naive::new();
        again.feed_input(&dumped);
        assert_eq!(again.unique_events(), self.naive.unique_events());
        if view.snapshots.len() == 1 && view.bytes() == view.snapshots[0].length() + SEGMENT_HEADER as u64 {
            assert_eq!(again.events(), self.naive.unique() as u64, "one snapshot holds each event once");
        }

        let (mut sources, mut rejects) = (Vec::new(), Vec::new());
        for (number, part) in self.parts.iter().enumerate().filter(|(_, part)| part.known) {
            let mut naive = Naive::new();
            naive.feed_input(&part.lines);
            let path = self.sandbox.path(format!("part-{number}")).display().to_string();
            let mut at = 0;
            for (line, raw) in (1..).zip(part.lines.split_inclusive(|byte| *byte == b'\n')) {
                if raw.starts_with(b"no event") {
                    rejects.push((path.clone(), line, at, text(raw).trim_end().to_owned()));
                }
                at += raw.len() as u64;
            }
            let lines = part.lines.iter().filter(|byte| **byte == b'\n').count() as u64;
            sources.push((path, at, lines, naive.events(), naive.rejects() as u64));
        }
        let listed =
            |command: &str| self.sandbox.run(&format!("{command} --store s --format ndjson")).expect(0).records();
        let string = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let of_source = |record: serde_json::Value| {
            let [byte, line, events, rejects] = ["byte", "line", "events", "rejects"].map(|key| number(&record[key]));
            (string(&record["source"]), byte, line, events, rejects)
        };
        let of_reject = |record: serde_json::Value| {
            (string(&record["source"]), number(&record["line"]), number(&record["byte"]), string(&record["raw"]))
        };
        let mut found: Vec<_> = listed("sources").into_iter().map(of_source).collect();
        found.sort();
        assert_eq!(found, sources);
        let mut found: Vec<_> = listed("rejects").into_iter().map(of_reject).collect();
        found.sort();
        assert_eq!(found, rejects);
    }
}

#[test]
fn a_store_cut_and_compacted_in_any_way_gives_the_same_answers() {
    let (seed, ways) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_WAYS", WAYS));
    let (next, compactions, interrupted) = (AtomicU64::new(seed), AtomicU64::new(0), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= setting("CHATWAL_SEED", 1) + ways {
                        return;
                    }
                    let mut way = Way::new(seed);
                    let told = way.sim.clone().unwrap_or_else(|| SimDisk::new(0));
                    let _tell = Tell("repeat with CHATWAL_WAYS=1 and CHATWAL_SEED =", seed, &told);
                    way.go();
                    compactions.fetch_add(way.compactions, Ordering::Relaxed);
                    interrupted.fetch_add(way.interrupted, Ordering::Relaxed);
                }
            });
        }
    });
    let (compactions, interrupted) = (compactions.into_inner(), interrupted.into_inner());
    println!(
        "{ways} ways from seed {seed}: {compactions} compactions and {interrupted} that were interrupted, in {:?}",
        started.elapsed()
    );
    assert!(ways < WAYS || (compactions > ways && interrupted > ways / 10));
}

#[test]
fn every_stop_of_a_compaction_and_what_a_crash_may_leave_then() {
    let (mut images, mut stops) = (0, 0);
    for (snapshots, options) in SHAPES {
        let (store, model) = store_of(snapshots);
        for stop in 0.. {
            let (disk, mut model) = (store.fork(), model.clone());
            let mut log = model.reopen(disk.storage(), SMALL());
            disk.stop_at(stop);
            let folded = fold(&disk, &mut log, &options);
            let _tell = Tell("stopped before change", stop, &disk);
            let mut choices = Choices::Random(stop);
            survive(disk.kill(), &model, SMALL(), true, &mut choices, &mut images);
            // Every image there is, as far as the walk gets, and then some at random.
            let mut every = Choices::every();
            for _ in 0..20 {
                survive(disk.crash(&mut every), &model, SMALL(), true, &mut choices, &mut images);
                if !every.advance() {
                    break;
                }
            }
            for _ in 0..10 {
                survive(disk.crash(&mut choices.clone()), &model, SMALL(), true, &mut choices, &mut images);
            }
            match folded {
                Ok(outcome) => {
                    assert!(outcome.is_some() && stop > 12, "{stop} stops, {outcome:?}");
                    stops += stop;
                    break;
                }
                Err(error) => assert!(matches!(error, Error::Io { .. }), "{error}"),
            }
        }
    }
    println!("{images} crash images at {stops} stops");
}

#[test]
fn a_compaction_drops_the_rejects_of_inputs_that_were_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.write("in", message("1", "a", "visitor", 1) + "{\"no event\": \"and perhaps a secret\"}\n");
    let kept = || sandbox.listing("s").values().any(|(bytes, _)| memchr::memmem::find(bytes, b"a secret").is_some());
    // Out of a segment; then out of a snapshot.
    for folded in [false, true] {
        sandbox.run("ingest --store s in").expect(3);
        if folded {
            sandbox.run("compact --store s").expect(0);
        }
        assert!(kept(), "an input that counts");
        let instance = sandbox.sources()[0]["instance"].as_str().unwrap().to_owned();
        sandbox.run(&format!("sources forget {instance} --store s")).expect(0);
        sandbox.run("compact --store s --all").expect(0);
        assert!(!kept(), "folded before: {folded}");
    }
}

/// A leftover does no harm, and the next writer removes it. But whoever compacts for the room has it.
#[test]
fn what_a_compaction_has_freed_stays_free_whatever_a_loss_of_power_leaves() {
    for (snapshots, options) in SHAPES {
        let (disk, mut model) = store_of(snapshots);
        let mut log = model.reopen(disk.storage(), SMALL());
        fold(&disk, &mut log, &options).unwrap().unwrap();
        let mut choices = Choices::every();
        loop {
            assert_no_leftovers(disk.crash(&mut choices).list().unwrap());
            if !choices.advance() {
                break;
            }
        }
    }
}

#[test]
fn compacted_stores_survive_any_loss_of_power() {
    lives::many(IMAGES, true);
}

#[test]
fn a_compaction_that_fails_at_any_call_says_so_and_loses_nothing() {
    for (snapshots, options) in SHAPES {
        let (store, model) = store_of(snapshots);
        at_every_call(|case| {
            let (disk, mut model) = (store.fork(), model.clone());
            let mut log = model.reopen(disk.storage(), SMALL());
            log.seal().unwrap();
            case.plan(&disk);
            let result = compact(&disk, &options, &GO_ON, &|_| ());
            if disk.untouched() {
                assert!(matches!(result, Ok(Some(_))), "{result:?}");
                return false;
            }
            assert!(matches!(result, Err(Error::Io { .. })), "{case:?}: {result:?}");
            let _tell = Tell("failed at call", case.n, &disk);
            // The machine goes on, and so does the writer; the next compaction is none the worse.
            disk.heal();
            let (beside, other) = (disk.fork(), model.clone());
            assert_eq!(model.look(&disk), model.written());
            append(&mut model, &mut log, 2, 1);
            fold(&disk, &mut log, &options).unwrap();
            assert_eq!(model.look(&disk), model.written());
            // Or the power goes, at once or after that; or the process dies.
            let (mut choices, mut images) = (Choices::Random(case.n), 0);
            survive(beside.kill(), &other, SMALL(), true, &mut choices, &mut images);
            survive(beside.crash(&mut choices.clone()), &other, SMALL(), true, &mut choices, &mut images);
            survive(disk.crash(&mut choices.clone()), &model, SMALL(), true, &mut choices, &mut images);
            true
        });
    }
}

/// A writer and the compactor beside it: whose call fails is up to the threads.
#[test]
fn a_compactor_that_fails_beside_a_writer_says_so_and_loses_nothing() {
    let (store, model) = store_of(1);
    at_every_call(|case| {
        let (disk, mut model, mut choices) = (store.fork(), model.clone(), Choices::Random(case.n));
        let mut log = model.reopen(disk.storage(), SMALL());
        case.plan(&disk);
        let mut compactor = Background::new(disk.storage(), TIERED, log.tail(), 1);
        let mut written = Ok(());
        for _ in 0..4 {
            compactor.poke();
            written = written.and_then(|()| model.append(&mut log, 3, &mut choices)).and_then(|_| log.settle());
            model.note(&log);
        }
        let compacted = compactor.finish(false);
        if disk.untouched() {
            assert!(written.is_ok() && compacted.is_ok(), "{written:?} {compacted:?}");
            return false;
        }
        let mut errors = [written.err(), compacted.err()].into_iter().flatten().peekable();
        // What has no room is skipped, and is no failure of the writer.
        let told = errors.peek().is_some() || compactor.skipped.as_ref().is_some_and(Error::is_full);
        assert!(told, "{case:?}: a call failed, and nobody said so");
        errors.for_each(|error| assert!(matches!(error, Error::Io { .. }), "{case:?}: {error}"));
        drop(log);
        let _tell = Tell("failed at call", case.n, &disk);
        let mut images = 0;
        survive(disk.kill(), &model, SMALL(), true, &mut choices, &mut images);
        survive(disk.crash(&mut choices), &model, SMALL(), true, &mut choices, &mut images);
        true
    });
}

/// What is read of a store, and what a damaged one must not make different.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answers {
    report: String,
    window: String,
    only: String,
    timeline: String,
    inputs: Vec<Input>,
}

/// Asks for the report, which comes from the index, for what is read from the events, and for the inputs.
fn answers(disk: &SimDisk) -> Result<Answers> {
    let view = View::open(disk)?;
    let lines = |window, sites: Option<HashSet<Vec<u8>>>| -> Result<String> {
        let found = Report::of(&view, &ReportOptions { window, sites, ..ReportOptions::default() })?;
        let mut out = Vec::new();
        render::report(&found, Format::Line, &mut out).unwrap()?;
        let Totals { events, copies, disputed, earliest, latest } = found.totals;
        Ok(text(&out) + &format!("{:?}", (events, copies, disputed, earliest, latest)))
    };
    let shop = || Some(HashSet::from([b"shop".to_vec()]));
    Ok(Answers {
        report: lines(Window::ALL, None)?,
        window: lines(Window { from: 10, to: 30 }, None)?,
        only: lines(Window::ALL, shop())?,
        timeline: format!("{:?}", Timeline::of(&view, b"shop", &Limits::new(1))?.periods()?),
        inputs: view.inputs.values().cloned().collect(),
    })
}

/// Damages the only snapshot of a store in some way and asserts that an answer is right or an error, and so is what is
/// left of the store by a compaction. Says whether the damage was seen: what is not read is not checked.
fn judge(store: &SimDisk, expected: &Answers, what: &str, damage: impl FnOnce(&mut Vec<u8>)) -> bool {
    let disk = store.fork();
    let name = disk.files().into_keys().find(|name| name.ends_with(".snap")).unwrap();
    disk.edit(&name, damage);
    let read = answers(&disk);
    match &read {
        Ok(found) => assert_eq!(found, expected, "{what}"),
        Err(error) => assert!(matches!(error, Error::Corruption(_) | Error::Version { .. }), "{what}: {error}"),
    }
    let before = disk.files();
    let folded = compact(&disk, &ALL, &GO_ON, &|_| ());
    match folded {
        Ok(_) => assert_eq!(answers(&disk).as_ref().ok(), Some(expected), "{what}: compacted"),
        Err(_) => assert_eq!(disk.files(), before, "{what}: a compaction changed a damaged store"),
    }
    read.is_err() || folded.is_err()
}

#[test]
fn a_snapshot_with_any_bit_flipped_or_cut_anywhere_gives_an_error_or_the_same_answers() {
    // A snapshot with events, an index, an input and one that was forgotten; and behind it a tail.
    let (disk, mut model) = (SimDisk::new(1), Model::default());
    let mut log = model.reopen(disk.storage(), sync(1 << 20));
    append(&mut model, &mut log, 4, 1);
    fold(&disk, &mut log, &TIERED).unwrap();
    append(&mut model, &mut log, 1, 1);
    log.seal().unwrap();
    drop(log);
    let store = disk.kill();
    let expected = answers(&store).unwrap();
    let (name, bytes) = store.files().into_iter().find(|(name, _)| name.ends_with(".snap")).unwrap();
    assert!(bytes.len() < 3000, "{name} has {} bytes: too many to try them all", bytes.len());

    let mut unseen = Vec::new();
    for bit in 0..bytes.len() * 8 {
        if !judge(&store, &expected, &format!("bit {bit}"), |bytes| bytes[bit / 8] ^= 1 << (bit % 8)) {
            unseen.push(bit);
        }
    }
    assert_eq!(unseen, [0; 0], "flipped, and folded into another snapshot without a word");
    for length in 0..bytes.len() {
        assert!(judge(&store, &expected, &format!("cut at {length}"), |bytes| bytes.truncate(length)));
    }
    assert!(judge(&store, &expected, "a byte more", |bytes| bytes.push(0)));
    for start in (0..bytes.len()).step_by(64) {
        judge(&store, &expected, &format!("zeros at {start}"), |bytes| {
            bytes.iter_mut().skip(start).take(64).for_each(|byte| *byte = 0);
        });
    }
    println!("{} bits flipped, {} cuts of {name}", bytes.len() * 8, bytes.len());
}

/// A block of a snapshot: where its header begins, and its payload's length.
fn blocks_of(bytes: &[u8]) -> Vec<(usize, usize)> {
    let mut blocks = Vec::new();
    let mut at = SNAPSHOT_HEADER;
    while at < bytes.len() {
        let header = BlockHeader::decode(&bytes[at..]).unwrap();
        blocks.push((at, header.length as usize));
        at += header.whole() as usize;
    }
    blocks
}

/// Changes a few bytes of a snapshot, and makes every checksum right again.
fn forge(bytes: &mut [u8], dice: &mut Dice) {
    let blocks = blocks_of(bytes);
    let (start, length) = blocks[dice.below(blocks.len() as u64) as usize];
    let (from, to) = match dice.below(8) {
        0 => (8, SNAPSHOT_HEADER - 4),
        1 => (start, start + BLOCK_HEADER - 4),
        _ => (start + BLOCK_HEADER, start + BLOCK_HEADER + length),
    };
    for _ in 0..1 + dice.below(2) {
        let at = from + dice.below((to - from) as u64) as usize;
        match dice.below(5) {
            0 => bytes[at] ^= 1 << dice.below(8),
            1 => bytes[at] = dice.below(256) as u8,
            2 => bytes[at..to.min(at + 8)].fill(0xff),
            // The largest number that takes as many bytes as it gets.
            3 if at + 10 <= to => bytes[at..at + 10].copy_from_slice(&[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
            _ => bytes[at..to.min(at + 8)].fill(0),
        }
    }
    let seal = |bytes: &mut [u8], at: usize, length: usize| {
        let sum = crc(&bytes[at..at + length]);
        bytes[at + length..at + length + 4].copy_from_slice(&sum.to_le_bytes());
    };
    let sum = crc(&bytes[start + BLOCK_HEADER..start + BLOCK_HEADER + length]);
    bytes[start + BLOCK_HEADER - 8..start + BLOCK_HEADER - 4].copy_from_slice(&sum.to_le_bytes());
    seal(bytes, start, BLOCK_HEADER - 4);
    seal(bytes, 0, SNAPSHOT_HEADER - 4);
}

#[test]
fn a_snapshot_in_which_nothing_is_right_but_the_checksums_makes_nobody_panic() {
    let (seed, forgeries) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_IMAGES", FORGERIES));
    let (store, _) = store_of(1);
    let name = store.files().into_keys().find(|name| name.ends_with(".snap")).unwrap();
    let sandbox = Sandbox::new();
    let mut refused = 0;
    for seed in seed..seed + forgeries {
        let (disk, mut dice) = (store.fork(), Dice(seed));
        let _tell = Tell("repeat with CHATWAL_IMAGES=1 and CHATWAL_SEED =", seed, &disk);
        disk.edit(&name, |bytes| forge(bytes, &mut dice));
        refused += u64::from(answers(&disk).is_err());
        if seed % 20 == 0 {
            sandbox.write("forged", disk.bytes(&name));
            for dump in [dump::frames, dump::events] {
                let _ = dump(&sandbox.path("forged"), &mut Vec::new());
            }
        }
        let _ = compact(&disk, &lives::any_compaction(&mut Choices::Random(seed)), &GO_ON, &|_| ());
    }
    println!("{forgeries} forgeries from seed {seed}, {refused} of them refused");
}

#[test]
fn sites_inputs_and_names_that_fill_more_than_a_block() {
    // Sites of about as many events as a block has, next to each other in one shard; and many with long names.
    let (mut lines, mut dice) = (Vec::new(), Dice(1));
    let crowded = sites().split_off(6);
    for (site, events) in crowded.iter().zip([2047, 2048, 2049, 1, 4096, 5000]) {
        for number in 0..events {
            let (id, at) = (number.to_string(), dice.below(3000) as i64);
            lines.push(match dice.below(9) {
                0 => status(site, &id, &format!("operator{}", dice.below(3)), at, "online"),
                1 => status(site, &id, &format!("operator{}", dice.below(3)), at, "offline"),
                _ => message(site, &id, &format!("visitor{}", dice.below(99)), at),
            });
        }
    }
    let long = |number: u64| format!("{number}{}", "n".repeat(900 + number as usize % 100));
    for number in 0..2500 {
        lines.push(message(&long(number), &long(number), &long(number), 7));
    }
    dice.shuffle(&mut lines);
    let input = lines.concat().into_bytes();
    let mut naive = Naive::new();
    naive.feed_input(&input);

    let disk = SimDisk::new(1);
    let (mut log, view, _) = Log::open(disk.storage(), sync(1 << 18)).unwrap();
    let (sandbox, mut known) = (Sandbox::new(), view.inputs);
    for (number, lines) in lines.chunks(lines.len() / 5).enumerate() {
        sandbox.write("part", lines.concat());
        let source = Source::open(&sandbox.path("part")).unwrap();
        let options = IngestOptions {
            threads: 1,
            max_rejects: MaxRejects::All,
            from_start: true,
            seek: EVERY_LINE,
            ..IngestOptions::default()
        };
        ingest(&mut log, &mut known, source, options, Caller { stop: &GO_ON, notify: &mut |_| () }).unwrap();
        if number == 2 {
            fold(&disk, &mut log, &TIERED).unwrap();
        }
    }
    // Inputs with the longest of names, and as many that were forgotten as no block holds.
    let mut sample = Sample::new(1, 0, &mut Choices::Random(1));
    for number in 0..600u16 {
        sample.checkpoint.instance[..2].copy_from_slice(&number.to_le_bytes());
        sample.checkpoint.name = vec![b'n'; 4096];
        log.append_batch(&sample.checkpoint, &sample.batch()).unwrap();
    }
    let instances: Vec<[u8; 16]> = (0..70_000u128).map(|number| number.to_le_bytes()).collect();
    log.append_forget(&instances).unwrap();

    for (memory, all) in [(1 << 26, false), (64 * 100, true), (1 << 26, true)] {
        let inputs = View::open(&disk).unwrap().inputs;
        assert!(inputs.len() > 600);
        fold(&disk, &mut log, &CompactOptions { threads: 2, memory, temp: None, all }).unwrap();
        let view = View::open(&disk).unwrap();
        assert!(view.inputs == inputs);
        assert!(report(&view).unwrap() == naive.report(), "{memory} bytes");
        for (from, to) in [(0, 1500), (7, 7), (1000, 1000), (2999, 5000)] {
            let options = ReportOptions { window: Window { from, to }, ..ReportOptions::default() };
            let mut out = Vec::new();
            render::report(&Report::of(&view, &options).unwrap(), Format::Line, &mut out).unwrap().unwrap();
            assert!(out == naive.report_between(from, to), "{from} to {to}, {memory} bytes");
        }
        for site in crowded.iter().cloned().chain((0..2500).step_by(100).map(long)) {
            let sites = Some(HashSet::from([site.clone().into_bytes()]));
            let found = Report::of(&view, &ReportOptions { sites, ..ReportOptions::default() }).unwrap();
            let told = found.each(&mut |_, _| true).unwrap();
            assert_eq!((told.sites, told.folded > 0), (1, view.snapshots.len() > 1), "{site}");
            let periods = Timeline::of(&view, site.as_bytes(), &Limits::new(1)).unwrap().periods().unwrap();
            assert_eq!(periods.len(), naive.timeline(&site).len(), "{site}");
        }
        append(&mut Model::default(), &mut log, 1, 0);
    }
}

#[test]
fn windows_of_the_command_line() {
    let sandbox = Sandbox::new();
    // The example of the README, one site before it and one behind; and the ends of time.
    let moments = [("1", -7), ("2", i64::MAX), ("3", i64::MIN), ("shop", 9), ("shop", 12), ("shop", 15)];
    let messages = moments.iter().map(|(site, at)| message(site, &at.to_string(), "visitor", *at));
    let lines: Vec<String> = messages.chain([status("shop", "o", "operator", 10, "online")]).collect();
    let mut naive = Naive::new();
    naive.feed_input(lines.concat().as_bytes());
    let (folded, tail) = lines.split_at(4);
    sandbox.write("folded", folded.concat());
    sandbox.write("tail", tail.concat());
    sandbox.run("ingest --store s folded").expect(0);
    sandbox.run("compact --store s").expect(0);
    sandbox.run("ingest --store s tail").expect(0);
    for round in 0..2 {
        for (options, from, to) in [
            ("--since 11 --until 15", 11, 14),
            ("--since 11 --as-of 15", 11, 15),
            ("--since -7", -7, i64::MAX),
            ("--until -7", i64::MIN, -8),
            ("--as-of -7", i64::MIN, -7),
            ("--until 9223372036854775807", i64::MIN, i64::MAX - 1),
            ("--as-of 9223372036854775807", i64::MIN, i64::MAX),
            ("--as-of -9223372036854775808", i64::MIN, i64::MIN),
            ("--since 9223372036854775807", i64::MAX, i64::MAX),
            ("--since 14 --until 15", 14, 14),
        ] {
            let ran = sandbox.run(&format!("report --store s {options}")).expect(0).silently();
            assert_eq!(ran.out, text(&naive.report_between(from, to)), "{options}, round {round}");
        }
        assert_eq!(sandbox.run("report --store s --until -9223372036854775808").expect(0).out, "", "before all time");
        let example = sandbox.run("report --store s --since 11 --until 15 --site shop").expect(0).out;
        assert_eq!(example, "shop,messages=1,emails=0,operators=0,visitors=1\n");
        sandbox.run("compact --store s --all").expect(0);
    }
    sandbox.run("report --store s --until 1 --as-of 1").expect(2);
}
