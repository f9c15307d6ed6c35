//! P1, acknowledged is durable: whatever a loss of power leaves of what was not synced, the store opens, holds a prefix
//! of what was appended and all of what was acknowledged, and reports what the oracle does.
//!
//! `CHATWAL_SEED` and `CHATWAL_IMAGES` repeat a run and make it longer.

mod support;

use chatwal::log::{Log, LogOptions};
use support::lives;
use support::sim::{Choices, SimDisk, Tell};
use support::store::{Model, os, sync};

/// Crash images of the random test.
const IMAGES: u64 = 50_000;

#[test]
fn acknowledged_batches_survive_any_loss_of_power() {
    lives::many(IMAGES, false);
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
