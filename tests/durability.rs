//! P1, acknowledged is durable: whatever a loss of power leaves of what was not synced, the store opens, holds a prefix
//! of what was appended and all of what was acknowledged, and reports what the oracle does.
//!
//! `CHATWAL_SEED` and `CHATWAL_IMAGES` repeat a run and make it longer.

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chatwal::error::Error;
use chatwal::log::{Log, LogOptions};
use support::sim::{Choices, SimDisk};
use support::store::{Model, os, sync};

/// Crash images of the random test.
const IMAGES: u64 = 50_000;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Tells how to repeat what failed.
struct Tell<'a>(&'a str, u64, &'a SimDisk);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} {}; the calls before: {:#?}", self.0, self.1, self.2.operations());
        }
    }
}

/// Opens the store and appends a few batches, sometimes waiting for them; ends early when the process is stopped.
fn work(disk: &SimDisk, model: &mut Model, options: LogOptions, choices: &mut Choices) -> Option<Log> {
    let mut log = match Log::open(disk.storage(), options) {
        Ok((log, view, _)) => {
            model.recovered(&log, &view);
            log
        }
        Err(Error::Io { .. }) => return None,
        Err(error) => panic!("recovery: {error}"),
    };
    for _ in 0..choices.of(7) {
        let result = model.append(&mut log, 1 + choices.of(6), choices).and_then(|_| match choices.of(4) {
            0 => log.settle(),
            1 => log.flush(),
            _ => Ok(()),
        });
        model.note(&log);
        if result.is_err() {
            break;
        }
    }
    Some(log)
}

/// Takes a disk as a crash left it through readers, a recovery that may itself be cut short, and one more batch.
fn survive(mut disk: SimDisk, model: &Model, options: LogOptions, choices: &mut Choices, images: &mut u64) {
    let mut model = model.clone();
    while choices.one_in(3) {
        disk.stop_at(choices.of(8) as u64);
        if let Ok((log, view, _)) = Log::open(disk.storage(), options) {
            model.recovered(&log, &view);
        }
        *images += 1;
        disk = if choices.one_in(3) { disk.kill() } else { disk.crash(choices) };
    }
    if disk.is_store() {
        let found = model.look(&disk);
        assert_eq!(disk.mutations(), 0, "a reader changed something");
        let log = model.reopen(disk.storage(), options);
        assert_eq!(model.written(), found, "reader and writer disagree");
        drop(log);
        disk = if choices.one_in(2) { disk.kill() } else { disk.crash(choices) };
    }
    let mut log = model.reopen(disk.storage(), options);
    model.append(&mut log, 2, choices).unwrap();
    model.settle(&mut log).unwrap();
    *images += 1;
    let after = disk.crash(choices);
    assert_eq!(model.look(&after), model.written());
}

/// One store through several lives, each ended by a loss of power or the death of the process; gives the images seen.
fn life(seed: u64) -> u64 {
    let mut choices = Choices::Random(seed);
    let options = sync([250, 600, 1500][choices.of(3)]);
    let mut disk = SimDisk::new(seed);
    let mut model = Model::default();
    let mut images = 0;
    for _ in 0..5 {
        let told = disk.clone();
        let _tell = Tell("repeat with CHATWAL_IMAGES=1 and CHATWAL_SEED =", seed, &told);
        if choices.one_in(2) {
            disk.stop_at(choices.of(40) as u64);
        }
        let log = work(&disk, &mut model, options, &mut choices);
        for _ in 0..4 {
            images += 1;
            survive(disk.crash(&mut choices), &model, options, &mut choices, &mut images);
        }
        // The writer was alive until now: its syncer may have been at work when the power went.
        drop(log);
        if choices.one_in(3) {
            disk = disk.kill();
            let found = if disk.is_store() { model.look(&disk) } else { 0 };
            assert!(found >= model.written(), "the death of a process loses nothing");
        } else {
            images += 1;
            disk = disk.crash(&mut choices);
            model.lose_power(&disk);
        }
    }
    images
}

#[test]
fn acknowledged_batches_survive_any_loss_of_power() {
    let (seed, wanted) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_IMAGES", IMAGES));
    let (next, images) = (AtomicU64::new(seed), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while images.load(Ordering::Relaxed) < wanted {
                    images.fetch_add(life(next.fetch_add(1, Ordering::Relaxed)), Ordering::Relaxed);
                }
            });
        }
    });
    let lives = next.into_inner() - seed;
    println!("{} crash images of {lives} stores from seed {seed} in {:?}", images.into_inner(), started.elapsed());
}

/// Four batches, two of them settled, over several segments.
fn small(disk: &SimDisk, model: &mut Model, options: LogOptions) -> Option<()> {
    let mut choices = Choices::Random(7);
    let (mut log, view, _) = Log::open(disk.storage(), options).ok()?;
    model.recovered(&log, &view);
    for (events, settle) in [(1, true), (2, false), (3, false), (4, true)] {
        let result = model.append(&mut log, events, &mut choices);
        let result = result.and_then(|_| if settle { log.settle() } else { Ok(()) });
        model.note(&log);
        result.ok()?;
    }
    Some(())
}

/// Calls `check` with the small workload stopped before its first change, its second, …, and once undisturbed.
fn at_every_stop(options: LogOptions, mut check: impl FnMut(u64, &SimDisk, &Model)) {
    for stop in 0.. {
        let disk = SimDisk::new(1);
        let mut model = Model::default();
        disk.stop_at(stop);
        let done = small(&disk, &mut model, options);
        let _tell = Tell("stopped before change", stop, &disk);
        check(stop, &disk, &model);
        if done.is_some() {
            assert!(stop > 20, "the workload has more changes than {stop}");
            return;
        }
    }
}

#[test]
fn every_image_at_every_stop_of_a_small_workload() {
    let mut images = 0u64;
    at_every_stop(sync(300), |_, disk, model| {
        let mut choices = Choices::every();
        loop {
            images += 1;
            let image = disk.crash(&mut choices);
            let mut model = model.clone();
            model.reopen(image.storage(), sync(300));
            let image = image.crash(&mut Choices::Random(images));
            model.look(&image);
            if !choices.advance() {
                break;
            }
        }
    });
    println!("{images} crash images, every one there is");
    assert!(images > 300, "only {images}");
}

/// After a kill the page cache shows what the disk may not have: names without the directory's sync, a seal without its
/// own. Whoever goes on from there has to make it durable first.
#[test]
fn what_a_killed_process_left_in_the_page_cache_is_made_durable_before_anything_rests_on_it() {
    at_every_stop(sync(300), |stop, disk, model| {
        let mut model = model.clone();
        let disk = disk.kill();
        let mut log = model.reopen(disk.storage(), sync(300));
        for _ in 0..2 {
            model.append(&mut log, 1, &mut Choices::Random(stop)).unwrap();
            model.settle(&mut log).unwrap();
        }
        drop(log);
        let _tell = Tell("killed before change", stop, &disk);
        let mut choices = Choices::every();
        loop {
            assert_eq!(model.look(&disk.crash(&mut choices)), model.written());
            if !choices.advance() {
                break;
            }
        }
    });
}

#[test]
fn every_image_of_frames_that_were_never_synced() {
    let disk = SimDisk::new(1);
    let mut model = Model::default();
    let mut log = model.reopen(disk.storage(), os(1 << 20));
    for events in [1, 2, 3] {
        model.append(&mut log, events, &mut Choices::Random(3)).unwrap();
    }
    let mut choices = Choices::every();
    let (mut images, mut found) = (0, [0; 4]);
    loop {
        images += 1;
        let image = disk.crash(&mut choices);
        let count = model.look(&image);
        found[count] += 1;
        let mut model = model.clone();
        model.reopen(image.storage(), os(1 << 20));
        assert_eq!(model.written(), count);
        if !choices.advance() {
            break;
        }
    }
    println!("{images} crash images; of three batches {found:?} kept none, one, two, three");
    assert!(found.iter().all(|&images| images > 0));
}

#[test]
fn with_durability_os_a_kill_loses_nothing_and_power_no_sealed_segment() {
    for seed in 0..200 {
        let mut choices = Choices::Random(seed);
        let disk = SimDisk::new(seed);
        let mut model = Model::default();
        let mut log = model.reopen(disk.storage(), os(500));
        let (mut segments, mut sealed) = (1, 0);
        for _ in 0..8 {
            let before = model.written();
            model.append(&mut log, 1 + choices.of(4), &mut choices).unwrap();
            log.settle().unwrap();
            let now = disk.files().len();
            (segments, sealed) = if now > segments { (now, before) } else { (segments, sealed) };
        }
        assert!(segments > 2);
        let _tell = Tell("seed", seed, &disk);
        let killed = disk.kill();
        assert_eq!(model.look(&killed), 8, "the death of a process loses nothing");
        model.acknowledged = sealed;
        for _ in 0..5 {
            let image = disk.crash(&mut choices);
            model.look(&image);
            model.clone().reopen(image.storage(), os(500));
        }
        // Whoever opens it after the kill makes all of it durable.
        model.reopen(killed.storage(), sync(500));
        assert_eq!(model.look(&killed.crash(&mut choices)), 8);
    }
}
