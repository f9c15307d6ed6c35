//! Stores that live through several deaths of their process and losses of power, at random.
//!
//! `CHATWAL_SEED` and `CHATWAL_IMAGES` repeat a run and make it longer.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use chatwal::error::{Error, Result};
use chatwal::store::log::{Log, LogOptions};
use chatwal::upkeep::compact::{Background, CompactOptions, compact};

use super::setting;
use super::sim::{Choices, SimDisk, Tell};
use super::store::{Hand, Model, sync};

/// Some way to compact.
pub fn any_compaction(choices: &mut Choices) -> CompactOptions {
    let threads = 1 + choices.of(2);
    let events = [1, 3, 1000][choices.of(3)] * threads as u64;
    CompactOptions { threads, memory: 64 * events, temp: None, all: choices.one_in(3) }
}

/// Folds what there is, often all of it.
fn fold(disk: &SimDisk, log: &mut Log, choices: &mut Choices) -> Result<()> {
    if choices.one_in(2) {
        log.seal()?;
    }
    compact(disk, &any_compaction(choices), &AtomicBool::new(false), &|_| ()).map(|_| ())
}

/// A writer at work, and its compactor.
struct Writer {
    /// Ends before the log.
    compactor: Option<Background>,
    log: Log,
    /// What has its place and is not written: as if other threads were about to.
    hands: Vec<Hand>,
}

/// Segments of this size take all that a life appends: so no roll waits for what is in hand.
const ROOMY: u64 = 1 << 16;

impl Writer {
    /// Writes all that is in hand, in some order.
    fn write_all(&mut self, model: &mut Model, choices: &mut Choices) -> Result<()> {
        while !self.hands.is_empty() {
            model.write(self.hands.swap_remove(choices.of(self.hands.len())))?;
        }
        Ok(())
    }

    /// Appends a batch; or places some, and writes one or the other of them.
    fn append(&mut self, roomy: bool, model: &mut Model, choices: &mut Choices) -> Result<()> {
        if !roomy {
            return model.append(&mut self.log, 1 + choices.of(6), choices).map(drop);
        }
        for _ in 0..choices.of(4) {
            let hand = model.place(&mut self.log, 1 + choices.of(6), choices)?;
            self.hands.push(hand);
        }
        for _ in 0..choices.of(self.hands.len() + 1) {
            model.write(self.hands.swap_remove(choices.of(self.hands.len())))?;
        }
        Ok(())
    }
}

/// Opens the store and appends a few batches, sometimes waiting for them; ends early when the process is stopped. Beside
/// or between the batches it compacts, if that is asked for.
fn work(
    disk: &SimDisk,
    model: &mut Model,
    options: LogOptions,
    compacting: bool,
    choices: &mut Choices,
) -> Option<Writer> {
    let log = match Log::open(disk.storage(), options) {
        Ok((log, view, _)) => {
            model.recovered(&log, &view);
            log
        }
        Err(Error::Io { .. }) => return None,
        Err(error) => panic!("recovery: {error}"),
    };
    let mut writer = Writer { compactor: None, log, hands: Vec::new() };
    if compacting && choices.one_in(3) {
        let (how, bound) = (any_compaction(choices), choices.of(3) as u64 * 500);
        writer.compactor = Some(Background::new(disk.storage(), how, writer.log.tail(), bound));
    }
    for _ in 0..choices.of(7) {
        let result = if compacting && writer.compactor.is_none() && choices.one_in(3) {
            writer.write_all(model, choices).and_then(|()| fold(disk, &mut writer.log, choices))
        } else {
            writer.compactor.as_mut().map(Background::poke);
            writer.append(options.segment_size == ROOMY, model, choices).and_then(|()| match choices.of(4) {
                0 => writer.write_all(model, choices).and_then(|()| writer.log.settle()),
                1 => writer.write_all(model, choices).and_then(|()| writer.log.flush()),
                _ => Ok(()),
            })
        };
        model.note(&writer.log);
        match result {
            Ok(()) => {}
            Err(Error::Io { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    Some(writer)
}

/// Takes a disk as a crash left it through readers, a recovery that may itself be cut short, and one more batch.
#[allow(clippy::too_many_arguments, reason = "what a life is made of")]
pub fn survive(
    mut disk: SimDisk,
    model: &Model,
    options: LogOptions,
    compacting: bool,
    choices: &mut Choices,
    images: &mut u64,
) {
    let mut model = model.clone();
    while choices.one_in(3) {
        disk.stop_at(choices.of(8) as u64);
        if let Ok((mut log, view, _)) = Log::open(disk.storage(), options) {
            model.recovered(&log, &view);
            if compacting {
                // It may be stopped, or come to its end.
                let _ = fold(&disk, &mut log, choices);
            }
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
    if compacting {
        fold(&disk, &mut log, choices).unwrap();
    }
    *images += 1;
    let after = disk.crash(choices);
    assert_eq!(model.look(&after), model.written());
}

/// One store through several lives, each ended by a loss of power or the death of the process; gives the images seen.
fn life(seed: u64, compacting: bool) -> u64 {
    let mut choices = Choices::Random(seed);
    let options = sync([250, 600, 1500, ROOMY][choices.of(4)]);
    let mut disk = SimDisk::new(seed);
    let mut model = Model::default();
    let mut images = 0;
    for _ in 0..5 {
        let told = disk.clone();
        let _tell = Tell("repeat with CHATWAL_IMAGES=1 and CHATWAL_SEED =", seed, &told);
        if choices.one_in(2) {
            disk.stop_at(choices.of(40) as u64);
        }
        let writer = work(&disk, &mut model, options, compacting, &mut choices);
        for _ in 0..4 {
            images += 1;
            survive(disk.crash(&mut choices), &model, options, compacting, &mut choices, &mut images);
        }
        // The writer was alive until now: its syncer may have been at work when the power went, and its compactor.
        drop(writer);
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

/// Store after store, until so many crash images were seen.
pub fn many(images: u64, compacting: bool) {
    let (seed, wanted) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_IMAGES", images));
    let (next, images) = (AtomicU64::new(seed), AtomicU64::new(0));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while images.load(Ordering::Relaxed) < wanted {
                    images.fetch_add(life(next.fetch_add(1, Ordering::Relaxed), compacting), Ordering::Relaxed);
                }
            });
        }
    });
    let lives = next.into_inner() - seed;
    println!("{} crash images of {lives} stores from seed {seed} in {:?}", images.into_inner(), started.elapsed());
}
