//! P1, acknowledged is durable: whatever a loss of power leaves of what was not synced, the store opens, holds a prefix
//! of what was appended and all of what was acknowledged, and reports what the oracle does.
//!
//! `CHATWAL_SEED` and `CHATWAL_IMAGES` repeat a run and make it longer.

mod support;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use chatwal::disk::{Access, File, Identity, Stamp, Storage, Taken};
use chatwal::error::Result;
use chatwal::format::Uid;
use chatwal::intake::ingest::{Caller, IN_FLIGHT, IngestOptions, MaxRejects, Notice, Outcome, ingest};
use chatwal::intake::source::Source;
use chatwal::store::View;
use chatwal::store::log::{Log, LogOptions};
use support::cli::{CHATWAL, Running, Sandbox, message, possible, until};
use support::lives;
use support::naive::Naive;
use support::sim::{Choices, Count, Fault, SimDisk, Tell};
use support::store::{Model, os, report, sync, text};

/// Crash images of the random test.
const IMAGES: u64 = 100_000;

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
    at_every_stop(sync(300), |stop, killed, model| {
        // Where a batch fills a segment, publishing the next one syncs the directory; where it doesn't, nothing else may.
        for segment_size in [300, 1 << 20] {
            let mut model = model.clone();
            let disk = killed.kill();
            let mut log = model.reopen(disk.storage(), sync(segment_size));
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

/// A seal waits for its fsync, so most of that is done before; what comes after a seal is left to the system again.
#[test]
fn with_durability_os_only_the_second_half_of_a_segment_is_synced_as_it_grows() {
    const SEGMENT: usize = 1 << 14;
    let (disk, mut model, mut choices) = (SimDisk::new(1), Model::default(), Choices::Random(1));
    let mut log = model.reopen(disk.storage(), os(SEGMENT as u64));
    for segment in 1..3 {
        let name = format!("{segment:010}.wal");
        let length = || disk.bytes(&name).len();
        let syncs = || disk.operations().iter().filter(|call| call.contains("sync") && call.contains(&name)).count();
        let first = syncs();
        while length() <= SEGMENT / 2 {
            assert_eq!(syncs(), first, "with {} bytes in {name}", length());
            model.append(&mut log, 1, &mut choices).unwrap();
        }
        until("it is synced", || syncs() > first);
        let next = format!("{:010}.wal", segment + 1);
        while !disk.files().contains_key(&next) {
            model.append(&mut log, 1, &mut choices).unwrap();
        }
    }
}

/// A disk on which one sync, once it is armed, does its work and then waits to be let go.
struct SlowDisk {
    disk: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<At>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum At {
    #[default]
    Open,
    Armed,
    Waiting,
}

impl Gate {
    fn set(&self, to: At) {
        *self.state.lock().unwrap() = to;
        self.changed.notify_all();
    }

    fn wait_while(&self, at: At) {
        drop(self.changed.wait_while(self.state.lock().unwrap(), |now| *now == at).unwrap());
    }

    fn pass(&self) {
        let armed = *self.state.lock().unwrap() == At::Armed;
        if armed {
            self.set(At::Waiting);
            self.wait_while(At::Waiting);
        }
    }
}

struct SlowFile(Box<dyn File>, Arc<Gate>);

impl Storage for SlowDisk {
    fn path(&self) -> &Path {
        self.disk.path()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        Ok(Box::new(SlowFile(self.disk.open(name, access)?, Arc::clone(&self.gate))))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.disk.create(name)
    }
    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.disk.open_or_create(name)
    }
    fn rename(&self, from: &str, to: &str, taken: Taken) -> io::Result<()> {
        self.disk.rename(from, to, taken)
    }
    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.disk.identity(name)
    }
    fn in_place(&self) -> Result<Option<Stamp>> {
        self.disk.in_place()
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()
    }
    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        self.disk.lock()
    }
    fn random(&self) -> io::Result<Uid> {
        self.disk.random()
    }
}

impl File for SlowFile {
    fn length(&self) -> io::Result<u64> {
        self.0.length()
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_at(bytes, offset)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.0.truncate(length)
    }
    fn sync(&self) -> io::Result<()> {
        let result = self.0.sync();
        self.1.pass();
        result
    }
    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }
}

#[test]
fn an_fsync_covers_only_what_was_appended_before_it() {
    let (disk, gate) = (SimDisk::new(1), Arc::new(Gate::default()));
    let storage = Arc::new(SlowDisk { disk: disk.clone(), gate: Arc::clone(&gate) });
    let (mut model, mut choices) = (Model::default(), Choices::Random(1));
    let mut log = model.reopen(storage, sync(1 << 20));
    model.append(&mut log, 1, &mut choices).unwrap();
    model.settle(&mut log).unwrap();
    gate.set(At::Armed);
    let before = model.append(&mut log, 1, &mut choices).unwrap();
    // It has done its work, and has not returned.
    gate.wait_while(At::Armed);
    model.append(&mut log, 1, &mut choices).unwrap();
    // There will be no other.
    disk.fail_at(Count::Mutating, 0, Fault::Eio, true);
    gate.set(At::Open);
    assert!(log.flush().is_err(), "nothing has synced the second batch");
    assert_eq!(log.safe(), before);
}

/// Ingests an input whose first fsync does not return before nothing more can be read, and `then` has seen how far that went.
fn beside_a_slow_sync(input: &[u8], then: impl FnOnce(&Path, u64)) -> (SimDisk, Result<Outcome>) {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", input);
    let (disk, gate) = (SimDisk::new(1), Arc::new(Gate::default()));
    let storage = Arc::new(SlowDisk { disk: disk.clone(), gate: Arc::clone(&gate) });
    let (mut log, view, _) = Log::open(storage, sync(64 << 20)).unwrap();
    let mut inputs = view.inputs;
    gate.set(At::Armed);
    let (appended, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let outcome = std::thread::scope(|scope| {
        let ingesting = scope.spawn(|| {
            let options = IngestOptions { threads: 12, max_rejects: MaxRejects::All, ..IngestOptions::default() };
            let source = Source::open(&sandbox.path("in.jsonl")).unwrap();
            ingest(
                &mut log,
                &mut inputs,
                source,
                options,
                Caller {
                    stop: &stop,
                    notify: &mut |notice| {
                        if let Notice::Progress(outcome) = notice {
                            appended.store(outcome.offset, Ordering::Relaxed);
                        }
                    },
                },
            )
        });
        gate.wait_while(At::Armed);
        let mut seen = u64::MAX;
        while seen != appended.load(Ordering::Relaxed) || seen == 0 {
            seen = appended.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(300));
        }
        then(&sandbox.path("in.jsonl"), seen);
        gate.set(At::Open);
        ingesting.join().unwrap()
    });
    log.settle().unwrap();
    (disk, outcome)
}

/// What a crash makes a rerun read again has a bound, however many threads there are and however slow the disk is.
#[test]
fn no_more_is_read_ahead_of_the_disk_than_promised() {
    let mut lines = vec![b' '; 3 * IN_FLIGHT];
    lines.iter_mut().step_by(1 << 16).for_each(|byte| *byte = b'\n');
    let (_, outcome) = beside_a_slow_sync(&lines, |_, seen| {
        assert!(seen <= IN_FLIGHT as u64, "{seen} bytes were read and appended, none of them safe");
    });
    assert_eq!(outcome.unwrap().offset, lines.len() as u64);
}

/// A reader has claimed a piece and waits until it may read it. Meanwhile the file ends in that piece: it is given back, and what is
/// left of it is read as ever.
#[test]
fn a_piece_that_is_cut_before_it_is_read_counts_up_to_the_cut() {
    const LINE: usize = 1 << 16;
    let line = |number: usize| {
        let event = message("1", &format!("e{number}"), "v", number as i64);
        format!("{}{:>2$}", event.trim_end(), "\n", LINE - event.trim_end().len())
    };
    let input: String = (0..3 * IN_FLIGHT / LINE).map(line).collect();
    // In the piece that comes next, and at a line end of it or not.
    for beyond in [5 * LINE, 5 * LINE + 7, 0] {
        let mut cut = 0;
        let (disk, outcome) = beside_a_slow_sync(input.as_bytes(), |path, seen| {
            cut = seen as usize + beyond;
            std::fs::File::options().write(true).open(path).unwrap().set_len(cut as u64).unwrap();
        });
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("shrank"), "{error}");
        let view = View::open(&disk).unwrap();
        let ends: Vec<u64> = view.inputs.values().map(|input| input.checkpoint.end).collect();
        assert_eq!(ends, [(cut / LINE * LINE) as u64], "cut at {cut}");
        let mut naive = Naive::new();
        naive.feed_input(&input.as_bytes()[..cut / LINE * LINE]);
        assert_eq!(text(&report(&view).unwrap()), text(&naive.report()), "cut at {cut}");
    }
}

/// The directory of a store is a name in another directory. What is acknowledged inside is lost with it.
#[test]
fn the_name_of_a_new_store_is_durable_before_anything_in_it() {
    if !possible("strace", &["-f", "-y", "-o", "/dev/null", "true"], "the fsync of a store's name") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "a", "v", 1));
    let ingest = || {
        let traced = format!("-f -y -o trace -e trace=/^mkdir,fsync,fdatasync {CHATWAL} ingest --store a/b/s in.jsonl");
        Running::start(sandbox.program("strace", &traced)).wait().expect(0);
        let trace = String::from_utf8(sandbox.read("trace")).unwrap();
        let trace: Vec<String> = trace.lines().map(str::to_owned).collect();
        let parent = |name: &str| {
            let path = sandbox.path(name).canonicalize().unwrap();
            let end = format!("{}>)", path.display());
            trace.iter().rposition(|call| call.contains("sync(") && call.contains(&end))
        };
        let inside = trace.iter().position(|call| call.contains("sync(") && call.contains("/a/b/s"));
        let made = |name: &str| {
            let end = format!("\"{name}\", 0700) = 0");
            trace.iter().position(|call| {
                call.contains("mkdir") && call.split_whitespace().collect::<Vec<_>>().join(" ").ends_with(&end)
            })
        };
        let made = ["a", "a/b", "a/b/s"].map(made);
        ([parent(""), parent("a"), parent("a/b")], inside.expect("a sync in the store"), made, trace)
    };
    let (parents, inside, made, trace) = ingest();
    // Each is made once the name of the one around it is durable.
    let order: Vec<Option<usize>> = made.into_iter().zip(parents).flat_map(|(made, synced)| [made, synced]).collect();
    assert!(order.is_sorted() && order[0].is_some() && order[5] < Some(inside), "{order:?} {trace:#?}");
    // Who finds the directory may find what a run made that died before its sync.
    let store = sandbox.path("a/b/s");
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::create_dir(&store).unwrap();
    let (parents, inside, _, trace) = ingest();
    assert!(parents[2].is_some_and(|place| place < inside), "{parents:?} {trace:#?}");
    std::fs::remove_dir_all(&store).unwrap();
    let (parents, inside, made, trace) = ingest();
    assert!(parents[1].is_some() && parents[1] < made[2], "{parents:?} {trace:#?}");
    assert!(made[2] < parents[2] && parents[2] < Some(inside), "{parents:?} {trace:#?}");
}
