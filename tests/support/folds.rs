//! Stores of a few snapshots, and what folds them.

use std::sync::atomic::AtomicBool;

use chatwal::error::Result;
use chatwal::store::View;
use chatwal::store::log::{Log, LogOptions};
use chatwal::upkeep::compact::{CompactOptions, Folded, compact};

use super::sim::{Choices, SimDisk};
use super::store::{Model, sync};

/// Nobody asks to stop.
pub static GO_ON: AtomicBool = AtomicBool::new(false);

/// By tiers, one thread, memory for everything.
pub const TIERED: CompactOptions = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: false };

/// The same, into one snapshot.
pub const ALL: CompactOptions = CompactOptions { all: true, ..TIERED };

/// Appends some batches of so many events, and a few more, and makes them durable.
pub fn append(model: &mut Model, log: &mut Log, batches: usize, events: usize) {
    for number in 0..batches {
        model.append(log, events + number % 4, &mut Choices::Random(number as u64)).unwrap();
    }
    model.settle(log).unwrap();
}

/// Folds what there is.
pub fn fold(disk: &SimDisk, log: &mut Log, options: &CompactOptions) -> Result<Option<Folded>> {
    log.seal()?;
    compact(disk, options, &GO_ON, &|_| ())
}

/// A store with so many snapshots, and a tail of a few segments.
pub fn store_of(snapshots: usize) -> (SimDisk, Model) {
    let (disk, mut model) = (SimDisk::new(snapshots as u64), Model::default());
    let mut log = model.reopen(disk.storage(), SMALL());
    for number in 0..snapshots {
        // Each far smaller than the one before it: so none is folded with the next.
        append(&mut model, &mut log, 3, 5 << (3 * (snapshots - number)));
        fold(&disk, &mut log, &TIERED).unwrap();
    }
    append(&mut model, &mut log, 4, 1);
    drop(log);
    assert_eq!(View::open(&disk).unwrap().snapshots.len(), snapshots);
    (disk.kill(), model)
}

/// So small that a few batches are several segments.
pub const SMALL: fn() -> LogOptions = || sync(700);

/// Stores and compactions of them: the first one, one that leaves an older snapshot, one that folds all.
pub const SHAPES: [(usize, CompactOptions); 4] = [(0, TIERED), (1, TIERED), (1, ALL), (2, ALL)];
