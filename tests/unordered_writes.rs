//! Frames that are written by several threads end in any order. An fsync claims none that stands behind one that is not written, a
//! roll waits for all, and what fails takes all behind it along. The images of `tests/durability.rs` have such writes, too.

mod support;

use std::time::Duration;

use chatwal::store::log::Log;
use support::cli::until;
use support::sim::{Choices, Count, Fault, SimDisk, Tell};
use support::store::{Hand, Model, os, sync};

const ROOMY: u64 = 1 << 16;

/// A store with one settled batch, and so many that have a place.
fn with_hands(disk: &SimDisk, count: usize) -> (Model, Log, Vec<Hand>) {
    let (mut model, mut choices) = (Model::default(), Choices::Random(1));
    let mut log = model.reopen(disk.storage(), sync(ROOMY));
    model.append(&mut log, 1, &mut choices).unwrap();
    model.settle(&mut log).unwrap();
    let hands = (0..count).map(|_| model.place(&mut log, 1, &mut choices).unwrap()).collect();
    (model, log, hands)
}

#[test]
fn an_fsync_claims_nothing_behind_what_is_not_written() {
    let disk = SimDisk::new(1);
    let (mut model, mut log, mut hands) = with_hands(&disk, 3);
    let first = hands[0].sequence;
    let third = hands.pop().unwrap();
    let last = third.sequence;
    model.write(third).unwrap();
    // There is nothing to wait for: the fsync that must not be claimed is one that nobody makes, or one that covers less.
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(5));
        assert!(log.safe() < first, "frame {} is called safe, and {first} is not written", log.safe());
    }
    let first = hands.remove(0);
    let sequence = first.sequence;
    model.write(first).unwrap();
    until("the first is safe", || log.safe() >= sequence);
    assert_eq!(log.safe(), sequence, "the second one is not written");
    model.write(hands.remove(0)).unwrap();
    model.settle(&mut log).unwrap();
    assert!(log.acknowledged() >= last);
    assert_eq!(model.look(&disk.crash(&mut Choices::Random(2))), 4);
}

#[test]
fn with_durability_os_a_frame_counts_once_all_before_it_are_written() {
    let disk = SimDisk::new(1);
    let (mut model, mut choices) = (Model::default(), Choices::Random(1));
    let mut log = model.reopen(disk.storage(), os(ROOMY));
    let [first, second] = [1, 1].map(|events| model.place(&mut log, events, &mut choices).unwrap());
    let (before, last) = (log.acknowledged(), second.sequence);
    model.write(second).unwrap();
    assert_eq!((log.acknowledged(), log.safe()), (before, before));
    model.write(first).unwrap();
    assert_eq!((log.acknowledged(), log.safe()), (last, last));
    assert_eq!(model.look(&disk.kill()), 2);
}

#[test]
fn a_roll_waits_for_what_is_not_written() {
    let disk = SimDisk::new(1);
    let (mut model, mut choices) = (Model::default(), Choices::Random(1));
    let mut log = model.reopen(disk.storage(), sync(600));
    let hand = model.place(&mut log, 2, &mut choices).unwrap();
    let segments = || disk.files().keys().filter(|name| name.ends_with(".wal")).count();
    let mut rolling = model.clone();
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            let mut choices = Choices::Random(2);
            let hand = rolling.place(&mut log, 6, &mut choices).unwrap();
            rolling.write(hand).unwrap();
            log.settle().unwrap();
            log.acknowledged()
        });
        for _ in 0..20 {
            std::thread::sleep(Duration::from_millis(5));
            assert_eq!(segments(), 1, "a successor is there, and a frame before the seal is not written");
        }
        let first = hand.sequence;
        model.write(hand).unwrap();
        assert!(next.join().unwrap() > first);
    });
    assert_eq!(segments(), 2);
    assert_eq!(rolling.look(&disk.crash(&mut Choices::Random(3))), 2);
}

/// Whichever of three writes fails, and in whatever order they are made.
#[test]
fn what_fails_takes_all_behind_it_along() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        for failing in 0..3 {
            let disk = SimDisk::new(failing);
            let (mut model, mut log, hands) = with_hands(&disk, 3);
            let _tell = Tell("the failing write was", failing, &disk);
            let before = log.acknowledged();
            let mut hands = hands.into_iter().map(Some).collect::<Vec<_>>();
            let mut sequences = Vec::new();
            for (number, place) in (0..).zip(order) {
                if number == failing {
                    disk.fail_at(Count::Mutating, 0, Fault::Enospc, true);
                }
                let hand = hands[place].take().unwrap();
                sequences.push(hand.sequence);
                let written = model.write(hand);
                assert!(number < failing || written.is_err(), "{order:?}: write {number} after a failure");
            }
            let lost = sequences[failing as usize];
            assert!(log.settle().is_err() && log.flush().is_err(), "{order:?}");
            assert!(log.safe() < lost && log.acknowledged() >= before && log.acknowledged() < lost, "{order:?}");
            assert!(model.place(&mut log, 1, &mut Choices::Random(1)).is_err(), "{order:?}: a place after a failure");
            model.note(&log);
            for after in [disk.kill(), disk.crash(&mut Choices::Random(4))] {
                let mut model = model.clone();
                let mut log = model.reopen(after.storage(), sync(ROOMY));
                model.append(&mut log, 1, &mut Choices::Random(5)).unwrap();
                model.settle(&mut log).unwrap();
            }
        }
    }
}

#[test]
fn a_place_that_is_given_up_fails_the_log() {
    let disk = SimDisk::new(1);
    let (mut model, mut log, mut hands) = with_hands(&disk, 2);
    drop(hands.remove(0));
    assert!(model.write(hands.remove(0)).is_err());
    assert!(log.settle().is_err());
}

/// Every image of three frames that were written in another order, the second of them not at all.
#[test]
fn every_image_of_frames_with_a_hole_between_them() {
    let disk = SimDisk::new(1);
    let (mut model, log, mut hands) = with_hands(&disk, 3);
    let _second = hands.remove(1);
    model.write(hands.remove(1)).unwrap();
    model.write(hands.remove(0)).unwrap();
    drop(log);
    let (mut choices, mut found) = (Choices::every(), [0; 3]);
    loop {
        let image = disk.crash(&mut choices);
        let count = model.look(&image);
        found[count] += 1;
        let mut model = model.clone();
        model.reopen(image.storage(), sync(ROOMY));
        assert_eq!(model.written(), count, "the hole, and the frame behind it, are cut off");
        if !choices.advance() {
            break;
        }
    }
    println!("images with {found:?} of the frames");
    assert!(found[2] > 0);
    assert_eq!(model.look(&disk.kill()), 2, "so it is where only the process dies");
}

/// Somebody else's bytes are seen while frames are in hand, too.
#[test]
fn a_file_that_somebody_changed_is_told_while_others_write() {
    for (reach, expected) in [(-1_i64, "is cut"), (0, ""), (1 << 20, "has grown")] {
        let disk = SimDisk::new(1);
        let (mut model, _log, mut hands) = with_hands(&disk, 3);
        model.write(hands.remove(1)).unwrap();
        let name = "0000000001.wal";
        let length = disk.bytes(name).len() as i64;
        disk.resize(name, (length + reach) as usize);
        let written = model.write(hands.remove(0));
        assert_eq!(written.is_ok(), expected.is_empty(), "{expected}: {written:?}");
        if let Err(error) = written {
            assert!(error.to_string().contains("somebody else changed it while it was written"), "{error}");
        }
    }
}
