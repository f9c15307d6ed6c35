//! A backup is a store at every moment, holds at least what the last finished one held, takes what is new, and takes nothing that is
//! damaged.
//!
//! `CHATWAL_KILLS` and `CHATWAL_SEED` make the test with kills longer, and repeat it as far as time repeats.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::AtomicBool;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chatwal::disk::Storage;
use chatwal::disk::scratch::Limits;
use chatwal::error::{Error, Result};
use chatwal::store::View;
use chatwal::store::log::{Log, LogOptions};
use chatwal::upkeep::backup::{Backup, backup};
use chatwal::upkeep::verify::verify;
use support::cli::{Dice, Running, Sandbox, generated};
use support::faults::at_every_call;
use support::folds::{ALL, GO_ON, SMALL, TIERED, append, fold, store_of};
use support::setting;
use support::sim::{Choices, SimDisk, Tell};
use support::store::{Model, Sample, assert_no_leftovers, os, sync};

/// Kills of the real program.
const KILLS: u64 = 30;

fn back_up(source: &SimDisk, dest: &SimDisk) -> Result<Backup> {
    backup(source, dest, &GO_ON, &|_| ()).map(|backup| backup.expect("nobody asked to stop"))
}

/// A source, a backup of it, and what has come in since.
struct Before {
    source: SimDisk,
    model: Model,
    dest: SimDisk,
    /// Batches that the last finished backup holds; none if there was none.
    held: usize,
}

impl Before {
    /// No backup yet.
    fn first((source, model): (SimDisk, Model)) -> Before {
        Before { source, model, dest: SimDisk::new(77), held: 0 }
    }

    /// One that is finished, and then this happens to the source.
    fn second(
        (source, mut model): (SimDisk, Model),
        options: LogOptions,
        then: impl FnOnce(&SimDisk, &mut Model, &mut Log),
    ) -> Before {
        let dest = SimDisk::new(77);
        back_up(&source, &dest).unwrap();
        let held = model.look(&dest);
        assert_eq!(held, model.written());
        let mut log = model.reopen(source.storage(), options);
        then(&source, &mut model, &mut log);
        Before { source, model, dest, held }
    }

    /// Checks what a crash left of the backup: it is a store, or nothing yet; it verifies; it holds what the last finished backup
    /// held; and the next one makes it whole.
    fn check(&self, dest: &SimDisk, changes: &mut BTreeSet<Vec<String>>) {
        let mut model = self.model.clone();
        let whole = model.written();
        model.acknowledged = self.held;
        let names = dest.list().unwrap();
        if dest.is_store() || self.held > 0 {
            let held = model.look(dest);
            assert!(held >= self.held);
            let verified = verify(dest, &Limits::new(1), &|_| ()).unwrap();
            assert_eq!(verified.findings, [], "{names:?}");
            changes.insert(names.clone());
            // And a writer accepts it.
            let fork = dest.fork();
            drop(Log::open(fork.storage(), SMALL()).unwrap_or_else(|error| panic!("recovery: {error}")));
        } else {
            assert!(names.iter().all(|name| !name.ends_with(".snap")), "{names:?}");
        }
        back_up(&self.source, dest).unwrap_or_else(|error| panic!("the next backup: {error}: {names:?}"));
        model.acknowledged = whole;
        assert_eq!(model.look(dest), whole);
        assert_no_leftovers(dest.list().unwrap().into_iter().filter(|name| name != "BACKUP"));
        let Backup { copied, .. } = back_up(&self.source, dest).unwrap();
        assert_eq!(copied, 0, "nothing is new");
        // What it says is durable is.
        let mut choices = Choices::Random(copied);
        assert_eq!(model.look(&dest.crash(&mut choices)), whole);
    }

    /// Stops the backup before each change, and looks at what may be found then.
    fn at_every_stop(&self, name: &str) {
        let (mut images, mut listings, started) = (0, BTreeSet::new(), Instant::now());
        for stop in 0.. {
            let dest = self.dest.fork();
            dest.stop_at(stop);
            let result = backup(&self.source, &dest, &GO_ON, &|_| ());
            let _tell = Tell("stopped before change", stop, &dest);
            let mut choices = Choices::Random(stop);
            self.check(&dest.kill(), &mut listings);
            let mut every = Choices::every();
            for _ in 0..20 {
                images += 1;
                self.check(&dest.crash(&mut every), &mut listings);
                if !every.advance() {
                    break;
                }
            }
            for _ in 0..5 {
                images += 1;
                self.check(&dest.crash(&mut choices), &mut listings);
            }
            match result {
                Ok(backup) => {
                    assert!(backup.is_some() && stop > 4, "{stop} stops");
                    println!(
                        "{name}: {images} images at {stop} stops, {} listings, {:?}",
                        listings.len(),
                        started.elapsed()
                    );
                    return;
                }
                Err(error) => assert!(matches!(error, Error::Io { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn every_stop_of_a_first_backup() {
    Before::first(store_of(0)).at_every_stop("no snapshot");
    Before::first(store_of(1)).at_every_stop("one snapshot");
    Before::first(store_of(2)).at_every_stop("two snapshots");
}

#[test]
fn every_stop_of_a_second_backup_after_more_was_ingested() {
    // In the last segment; over several segments.
    for options in [sync(1 << 20), SMALL()] {
        for snapshots in [0, 1] {
            let more = Before::second(store_of(snapshots), options, |_, model, log| append(model, log, 5, 2));
            more.at_every_stop("more frames");
        }
    }
    // So many claims of the source that the segment is written anew.
    let more = Before::second(store_of(0), sync(1 << 20), |_, model, log| {
        for _ in 0..40 {
            append(model, log, 1, 1);
        }
    });
    more.at_every_stop("many marks");
}

#[test]
fn every_stop_of_a_second_backup_after_a_compaction_of_the_source() {
    for (snapshots, options) in [(0, TIERED), (1, TIERED), (1, ALL), (2, ALL)] {
        let folded = Before::second(store_of(snapshots), SMALL(), |source, model, log| {
            append(model, log, 3, 2);
            fold(source, log, &options).unwrap().unwrap();
        });
        folded.at_every_stop("folded");
    }
    // Twice, so that there are two snapshots of which the backup has nothing; and more behind them.
    let folded = Before::second(store_of(1), SMALL(), |source, model, log| {
        append(model, log, 6, 40);
        fold(source, log, &TIERED).unwrap().unwrap();
        append(model, log, 3, 2);
        fold(source, log, &TIERED).unwrap().unwrap();
        append(model, log, 4, 2);
    });
    assert!(View::open(&folded.source).unwrap().snapshots.len() >= 2);
    folded.at_every_stop("folded twice");
}

/// Between two attempts the source goes on.
#[test]
fn a_backup_that_was_interrupted_is_taken_up_after_the_source_was_compacted_again() {
    let mut interrupted = 0;
    for stop in 0.. {
        let (source, mut model) = store_of(1);
        let dest = SimDisk::new(5);
        back_up(&source, &dest).unwrap();
        let mut ended = 0;
        for round in 0..4 {
            let mut log = model.reopen(source.storage(), SMALL());
            append(&mut model, &mut log, 3 + round, 2);
            if round != 2 {
                fold(&source, &mut log, if round == 1 { &ALL } else { &TIERED }).unwrap();
            }
            append(&mut model, &mut log, 1, 2);
            drop(log);
            let before = dest.fork();
            before.stop_at(stop);
            let result = backup(&source, &before, &GO_ON, &|_| ());
            ended += u64::from(result.is_ok());
            let after = before.crash(&mut Choices::Random(stop + round as u64));
            let mut held = model.clone();
            held.acknowledged = 0;
            held.look(&after);
            assert_eq!(verify(&after, &Limits::new(1), &|_| ()).unwrap().findings, []);
            // Twice interrupted, with more in the source, and then made whole.
            let mut log = model.reopen(source.storage(), SMALL());
            append(&mut model, &mut log, 2, 2);
            fold(&source, &mut log, &TIERED).unwrap();
            drop(log);
            after.stop_at(stop / 2);
            let _ = backup(&source, &after, &GO_ON, &|_| ());
            let after = after.kill();
            back_up(&source, &after).unwrap_or_else(|error| panic!("stop {stop}, round {round}: {error}"));
            assert_eq!(model.look(&after), model.written());
        }
        if ended == 4 {
            break;
        }
        interrupted += 1;
    }
    assert!(interrupted > 30, "{interrupted}");
}

#[test]
fn a_call_that_fails_loses_nothing_and_the_next_backup_makes_it_whole() {
    let folded = Before::second(store_of(1), SMALL(), |source, model, log| {
        append(model, log, 3, 2);
        fold(source, log, &ALL).unwrap().unwrap();
        append(model, log, 4, 2);
    });
    let more = Before::second(store_of(0), sync(1 << 20), |_, model, log| append(model, log, 5, 2));
    for before in [folded, more] {
        at_every_call(|case| {
            let dest = before.dest.fork();
            case.plan(&dest);
            let result = backup(&before.source, &dest, &GO_ON, &|_| ());
            if dest.untouched() {
                assert!(result.is_ok(), "{result:?}");
                return false;
            }
            assert!(matches!(result, Err(Error::Io { .. })), "{case:?}: {result:?}");
            let _tell = Tell("failed at call", case.n, &dest);
            dest.heal();
            let mut listings = BTreeSet::new();
            before.check(&dest.fork(), &mut listings);
            before.check(&dest.kill(), &mut listings);
            before.check(&dest.crash(&mut Choices::Random(case.n)), &mut listings);
            true
        });
    }
}

/// The files but the lock.
fn files(dest: &SimDisk) -> BTreeMap<String, Vec<u8>> {
    dest.files()
}

#[test]
fn a_damaged_source_changes_nothing_of_a_backup() {
    let before = Before::second(store_of(1), SMALL(), |source, model, log| {
        append(model, log, 3, 2);
        fold(source, log, &ALL).unwrap().unwrap();
        append(model, log, 4, 2);
    });
    let there = files(&before.dest);
    let (mut refused, mut unharmed) = (0, 0);
    for (name, bytes) in before.source.files() {
        if name == "ACKNOWLEDGED" {
            continue;
        }
        for at in (0..bytes.len()).step_by(7) {
            let (source, dest) = (before.source.fork(), before.dest.fork());
            source.edit(&name, |bytes| bytes[at] ^= 1 << (at % 8));
            match backup(&source, &dest, &GO_ON, &|_| ()) {
                Err(Error::Corruption(_) | Error::Version { .. }) => refused += 1,
                Ok(_) => {
                    // Torn off, where nothing proves what is behind.
                    assert_eq!(verify(&dest, &Limits::new(1), &|_| ()).unwrap().findings, [], "{name} {at}");
                    unharmed += 1;
                    continue;
                }
                Err(error) => panic!("{name} {at}: {error}"),
            }
            assert!(files(&dest) == there, "{name} {at}: changed");
        }
    }
    println!("{refused} damaged sources refused, {unharmed} of no harm");
    assert!(refused > 400 && unharmed < refused / 20, "{refused} {unharmed}");
}

/// What is refused, with a part of the message; nothing is changed then.
#[track_caller]
fn refused(source: &SimDisk, dest: &SimDisk, part: &str) {
    let there = files(dest);
    let error = backup(source, dest, &GO_ON, &|_| ()).expect_err(part);
    assert!(error.to_string().contains(part), "{error}");
    assert!(error.hint().contains("director"), "{}", error.hint());
    assert!(files(dest) == there, "{part}: changed");
}

#[test]
fn what_is_no_earlier_state_of_the_store_is_refused() {
    let (source, mut model) = store_of(1);
    let dest = SimDisk::new(9);
    back_up(&source, &dest).unwrap();
    let old = source.fork();
    let mut log = model.reopen(source.storage(), SMALL());
    append(&mut model, &mut log, 4, 2);
    drop(log);

    // Another store.
    let (other, _) = store_of(2);
    refused(&other, &dest, "another store");
    // The source was rolled back.
    let ahead = dest.fork();
    back_up(&source, &ahead).unwrap();
    refused(&old, &ahead, "ahead of the store");
    // And went another way: in frames that it still has, and in frames that it folded.
    let mut others = model.clone();
    others.acknowledged = 0;
    let mut log = others.reopen(old.storage(), SMALL());
    append(&mut others, &mut log, 6, 3);
    refused(&old, &ahead, "different ways");
    // Somebody ingested into it: with the frames in the source, and folded there.
    for folded in [false, true] {
        let own = dest.fork();
        let mut log = Log::open(own.storage(), SMALL()).unwrap().0;
        assert!(!own.list().unwrap().contains(&"BACKUP".to_string()), "it is a store of its own now");
        let sample = Sample::new(99, 2, &mut Choices::Random(1));
        log.append_batch(&sample.checkpoint, &sample.batch()).unwrap();
        log.settle().unwrap();
        drop(log);
        let source = source.fork();
        if folded {
            let mut log = Log::open(source.storage(), SMALL()).unwrap().0;
            fold(&source, &mut log, &ALL).unwrap().unwrap();
        }
        refused(&source, &own, "different ways");
    }
    // Somebody compacted it.
    let own = dest.fork();
    let mut log = Log::open(own.storage(), SMALL()).unwrap().0;
    fold(&own, &mut log, &ALL).unwrap().unwrap();
    drop(log);
    refused(&source, &own, "different ways");
    // Two at once, and an ingest.
    let held = dest.lock().unwrap();
    assert!(matches!(backup(&source, &dest, &GO_ON, &|_| ()), Err(Error::Locked { .. })));
    drop(held);
    // A copy by other means that nobody wrote to goes on, where the frames tell.
    let copied = dest.fork();
    copied.lose("BACKUP");
    back_up(&source, &copied).unwrap();
    assert_eq!(model.look(&copied), model.written());
    // A damaged backup.
    let bad = dest.fork();
    let name = bad.files().into_keys().find(|name| name.ends_with(".snap")).unwrap();
    bad.edit(&name, |bytes| bytes[20] ^= 1);
    let there = files(&bad);
    assert!(matches!(backup(&source, &bad, &GO_ON, &|_| ()), Err(Error::Corruption(_))));
    assert!(files(&bad) == there);
}

#[test]
fn what_was_not_fsynced_in_the_source_is_before_it_is_in_the_backup() {
    let (source, mut model) = (SimDisk::new(3), Model::default());
    let mut log = model.reopen(source.storage(), os(1 << 20));
    for number in 0..4 {
        model.append(&mut log, 2, &mut Choices::Random(number)).unwrap();
    }
    let dest = SimDisk::new(4);
    back_up(&source, &dest).unwrap();
    assert_eq!(model.look(&dest), 4);
    let mut choices = Choices::every();
    loop {
        let source = source.fork().crash(&mut choices);
        model.clone().look(&source);
        back_up(&source, &dest.fork()).unwrap();
        if !choices.advance() {
            break;
        }
    }
}

#[test]
fn a_backup_that_is_asked_to_end_is_a_store() {
    let before = Before::second(store_of(1), SMALL(), |source, model, log| {
        append(model, log, 3, 2);
        fold(source, log, &ALL).unwrap().unwrap();
        append(model, log, 4, 2);
    });
    let mut early = 0;
    for asked in 0..40 {
        let (dest, stop, told) =
            (before.dest.fork(), AtomicBool::new(asked == 0), std::sync::atomic::AtomicU64::new(0));
        let progress = |share: f64| {
            assert!((0.0..=1.0).contains(&share));
            let told = told.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            stop.fetch_or(told >= asked, std::sync::atomic::Ordering::Relaxed);
        };
        early += u64::from(backup(&before.source, &dest, &stop, &progress).unwrap().is_none());
        before.check(&dest, &mut BTreeSet::new());
    }
    assert!(early > 5, "{early}");
}

/// The real program, killed at random moments beside a writer that compacts.
#[test]
fn a_backup_killed_beside_ingest_and_compaction_is_a_store_each_time() {
    let (wanted, seed) = (setting("CHATWAL_KILLS", KILLS), setting("CHATWAL_SEED", 1));
    let (mut dice, started) = (Dice(seed), Instant::now());
    let sandbox = Sandbox::new();
    let input = generated("-n 60000 --sites 300 --copies 0.1 --order random");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let mut writer = Some(sandbox.start("ingest --store s --segment-size 64K --compact-at 256K -"));
    let (mut sent, mut kills, mut finished, mut early, mut held) = (0, 0, 0, 0, 0);
    let mut usual = Duration::from_millis(100);
    let accepted = |store: &str| {
        let stat = sandbox.run(&format!("stat --store {store} --format ndjson")).expect(0).records().remove(0);
        stat["lines_accepted"].as_u64().unwrap()
    };
    while kills < wanted {
        if let Some(writer) = &mut writer {
            let more = lines.iter().cycle().skip(sent).take(1500).copied().collect::<Vec<_>>().concat();
            writer.send(more);
            sent += 1500;
        }
        let acknowledged = if sandbox.has("s/0000000001.wal") || kills > 0 { accepted("s") } else { continue };
        let mut running = Running::start(sandbox.chatwal("backup --store s copy"));
        sleep(Duration::from_micros(dice.below(usual.as_micros() as u64)));
        if running.has_ended() {
            running.wait().expect(0);
            finished += 1;
            held = acknowledged;
            assert!(accepted("copy") >= held, "what was acknowledged when it began");
        } else {
            running.kill();
            kills += 1;
            if held == 0 && sandbox.run("stat --store copy").code == Some(10) {
                early += 1;
                continue;
            }
            assert!(accepted("copy") >= held, "kill {kills}");
        }
        sandbox.run("verify --store copy").expect(0);
        if dice.below(4) == 0 {
            let before = Instant::now();
            let acknowledged = accepted("s");
            sandbox.run("backup --store s --verify copy").expect(0).says(&["copy: sound: "]);
            (usual, held, finished) = (before.elapsed().min(Duration::from_millis(400)), acknowledged, finished + 1);
        }
    }
    drop(writer.take().map(|writer| writer.end().expect(0)));
    sandbox.run("backup --store s --verify copy").expect(0);
    let report = |store: &str| sandbox.run(&format!("report --store {store}")).expect(0).out;
    assert!(report("copy") == report("s"));
    let whole: Vec<u8> = lines.iter().cycle().take(sent).copied().collect::<Vec<_>>().concat();
    sandbox.reports(&whole);
    sandbox.run("backup --store s copy").expect(0).says(&["nothing new to copy"]);
    assert_no_leftovers(names(&sandbox, "copy").into_iter().filter(|name| name != "BACKUP"));
    eprintln!(
        "{kills} kills, {early} of them before there was a store, {finished} backups, {sent} lines; {:?}",
        started.elapsed()
    );
}

fn names(sandbox: &Sandbox, store: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(sandbox.path(store)).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn the_command_says_what_it_did_and_refuses_what_is_no_place_for_it() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", generated("-n 500"));
    sandbox.write("more.jsonl", generated("-n 100 --seed 2"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    // The parent is made, as an ingest does.
    let ran =
        sandbox.run("backup --store s deep/copy --format ndjson").expect(0).says(&["copied ", " bytes", "1 file"]);
    assert_eq!(ran.records(), sandbox.sources(), "where an ingest into it would go on");
    sandbox.run("ingest --store s more.jsonl").expect(0);
    let whole = fs::metadata(sandbox.path("s/0000000001.wal")).unwrap().len();
    let before = fs::metadata(sandbox.path("deep/copy/0000000001.wal")).unwrap().len();
    sandbox.run("backup --store s --verify deep/copy").expect(0).says(&[&format!("copied {} bytes", whole - before)]);
    assert_eq!(sandbox.read("s/0000000001.wal"), sandbox.read("deep/copy/0000000001.wal"));
    sandbox.run("backup --store s deep/copy").expect(0).says(&["nothing new to copy"]);

    // Places that are none.
    let listing = sandbox.listing("s");
    std::os::unix::fs::symlink("s", sandbox.path("link")).unwrap();
    for place in ["s", "link", "s/new", "link/new", "s/../s", "./s/a/b"] {
        sandbox.run(&format!("backup --store s {place}")).fails(1, &["the store itself, or inside it"]);
    }
    assert!(sandbox.listing("s") == listing, "nothing was made there");
    fs::create_dir(sandbox.path("strangers")).unwrap();
    sandbox.write("strangers/letter", "precious");
    sandbox.run("backup --store s strangers").fails(1, &["other files and no store"]);
    assert_eq!(names(&sandbox, "strangers"), BTreeSet::from(["letter".to_string()]));
    sandbox.run("ingest --store t more.jsonl").expect(0);
    sandbox.run("backup --store t deep/copy").fails(1, &["another store"]);
    sandbox.run("backup --store nothing copy").fails(10, &["no store there"]);
    assert!(!sandbox.has("copy"));
    sandbox.run("backup --store s in.jsonl").fails(10, &["a file"]);

    // An ingest into it excludes a backup, and makes it a store of its own.
    let mut writer = sandbox.start("ingest --store deep/copy -");
    support::cli::until("it holds the lock", || writer.holds_a_lock());
    sandbox.run("backup --store s deep/copy").fails(11, &["deep/copy", "locked"]);
    writer.send(generated("-n 10 --seed 9"));
    writer.end().expect(0);
    assert!(!sandbox.has("deep/copy/BACKUP"));
    sandbox.run("backup --store s deep/copy").fails(1, &["deep/copy", "ahead of the store"]);

    // Damage: of the store, and of the backup.
    sandbox.run("backup --store s other").expect(0);
    let there = sandbox.listing("other");
    sandbox.run("ingest --store s deep/copy/BACKUP in.jsonl more.jsonl --from-start").fails(1, &["deep/copy/BACKUP"]);
    sandbox.run("ingest --store s --from-start more.jsonl").expect(0);
    let good = sandbox.read("s/0000000001.wal");
    let mut bad = good.clone();
    let at = whole as usize + 400;
    bad[at] ^= 1;
    sandbox.write("s/0000000001.wal", bad);
    sandbox.run("backup --store s other").fails(4, &["s/0000000001.wal", "corrupt"]);
    assert!(
        sandbox
            .segments("other")
            .keys()
            .eq(there.keys().filter(|name| !["LOCK", "ACKNOWLEDGED"].contains(&name.as_str())))
    );
    assert_eq!(sandbox.read("other/0000000001.wal"), there["0000000001.wal"].0);
    sandbox.write("s/0000000001.wal", good);
    let mut bad = sandbox.read("other/0000000001.wal");
    bad[500] ^= 1;
    sandbox.write("other/0000000001.wal", bad);
    sandbox.run("backup --store s --verify other").fails(4, &["the backup is damaged", "other/0000000001.wal"]);
}
