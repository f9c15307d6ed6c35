//! P10 on the simulated disk: somebody moves the directory away, deletes or replaces a file, or adds one, before the first call of
//! a writer, before the second, and so on. Nothing that is done after that is acknowledged or said to be done; what was acknowledged
//! before is in the directory, wherever that is.
//!
//! `tests/directory.rs` does the same to the real program.

mod support;

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use chatwal::disk::scratch::Limits;
use chatwal::disk::{Access, File, Identity, Stamp, Storage, Taken, publish};
use chatwal::error::{Error, Result};
use chatwal::format::Uid;
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, Notice, ingest};
use chatwal::intake::source::Source;
use chatwal::store::View;
use chatwal::store::log::{Durability, Log, LogOptions};
use chatwal::upkeep::compact::compact;
use chatwal::upkeep::repair::{RepairOptions, repair};
use chatwal::upkeep::verify::verify;
use support::EVERY_LINE;
use support::cli::{Sandbox, generated, spread};
use support::folds::{GO_ON, SHAPES, SMALL, append, store_of};
use support::sim::{Choices, Count, Fault, SimDisk};
use support::store::{Model, os, sync, text};
use support::town::{Town, answer};

/// Asserts that once somebody had looked after the `n`-th call, nothing of the store was deleted: it is deleted because something
/// else is in its place.
#[track_caller]
fn assert_nothing_deleted(disk: &SimDisk, n: u64) {
    let calls = disk.operations();
    let after = calls.iter().skip(n as usize).skip_while(|call| *call != "in_place");
    let deleted: Vec<&String> = after.filter(|call| call.starts_with("remove") && !call.ends_with(".tmp")).collect();
    assert!(deleted.is_empty(), "call {n}: {deleted:?}");
}

#[track_caller]
fn assert_displaced<T>(result: &Result<T>, case: impl std::fmt::Display) {
    match result {
        Err(Error::Displaced { .. }) => {}
        Err(other) => panic!("{case}: {other}"),
        Ok(_) => panic!("{case}: it went on as if nothing had happened"),
    }
}

/// Opens the store and settles batch after batch, as long as that goes well.
fn write(disk: &SimDisk, model: &mut Model, options: LogOptions, case: u64) -> Result<()> {
    let (mut log, view, _) = Log::open(disk.storage(), options)?;
    model.recovered(&log, &view);
    let mut choices = Choices::Random(5);
    for events in [1, 2, 3, 1, 2] {
        let (before, acknowledged) = (disk.is_displaced(), log.acknowledged());
        let result = model.append(&mut log, events, &mut choices).and_then(|_| model.settle(&mut log));
        model.note(&log);
        assert!(!before || log.acknowledged() == acknowledged, "call {case}: acknowledged where nobody finds it");
        if let Err(error) = result {
            // It lasts, also when the directory is moved back: nobody knows what was said meanwhile.
            let acknowledged = log.acknowledged();
            assert!(log.settle().is_err() && model.clone().append(&mut log, 1, &mut choices).is_err());
            assert_eq!(log.acknowledged(), acknowledged);
            return Err(error);
        }
    }
    // What was settled is settled again, and is looked at again.
    log.settle()
}

#[test]
fn a_writer_whose_directory_is_moved_before_any_of_its_calls() {
    let mut moves = 0;
    for options in [sync(400), os(400)] {
        for n in 0.. {
            let (disk, mut model) = (SimDisk::new(n), Model::default());
            disk.displace_at(n);
            let result = write(&disk, &mut model, options, n);
            if !disk.is_displaced() {
                result.unwrap();
                break;
            }
            // Without syncs for the writer to wait for, the last calls are the syncer's, behind the writer's end.
            let late = options.durability == Durability::Os && disk.operations().len() as u64 <= n + 8;
            if result.is_err() || !late {
                assert_displaced(&result, format_args!("call {n}, {:?}", options.durability));
            }
            // The new place has what was acknowledged, and is a store like any other.
            let moved = disk.kill();
            let acknowledged = model.acknowledged;
            if options.durability == Durability::Os {
                // It is there to be seen, and nothing proves it.
                model.acknowledged = 0;
            }
            let mut log = model.reopen(moved.storage(), sync(400));
            assert!(model.written() >= acknowledged, "call {n}: {} of {acknowledged}", model.written());
            append(&mut model, &mut log, 2, 1);
            assert_eq!(model.look(&moved), model.written());
            moves += 1;
        }
    }
    println!("{moves} moves");
    assert!(moves > 150, "only {moves}");
}

#[test]
fn a_compaction_whose_directory_is_moved_before_any_of_its_calls() {
    let mut moves = 0;
    for (snapshots, options) in SHAPES {
        let (store, model) = store_of(snapshots);
        for n in 0.. {
            let (disk, mut model) = (store.fork(), model.clone());
            let mut log = model.reopen(disk.storage(), SMALL());
            log.seal().unwrap();
            let before = disk.operations().len() as u64;
            disk.displace_at(n);
            let result = compact(&disk, &options, &GO_ON, &|_| ());
            if !disk.is_displaced() {
                assert!(matches!(result, Ok(Some(_))), "{result:?}");
                break;
            }
            assert_displaced(&result, format_args!("call {n}"));
            assert_nothing_deleted(&disk, before + n);
            let moved = disk.kill();
            let mut log = model.reopen(moved.storage(), SMALL());
            append(&mut model, &mut log, 2, 1);
            assert_eq!(model.look(&moved), model.written());
            moves += 1;
        }
    }
    println!("{moves} moves");
    assert!(moves > 150, "only {moves}");
}

#[test]
fn a_repair_whose_directory_is_moved_before_any_of_its_calls() {
    let options = RepairOptions { threads: 1, memory: 1 << 20, temp: None, dry_run: false };
    let repaired = |disk: &SimDisk| repair(disk, &options, &AtomicBool::new(false), &|_| ());
    let town = Town::build(7, &[24], 8);
    let (_, segments) = town.names();
    let mut moves = 0;
    // The first frame of a segment; a last segment that is missing; and nothing at all.
    for damage in 0..3 {
        let damaged = town.disk.fork();
        match damage {
            0 => damaged.edit(&segments[0], |bytes| bytes[70] ^= 1),
            1 => damaged.lose(segments.last().unwrap()),
            _ => {}
        }
        let whole = damaged.fork();
        repaired(&whole).unwrap();
        for n in 0.. {
            let disk = damaged.fork();
            disk.displace_at(n);
            let result = repaired(&disk);
            if !disk.is_displaced() {
                result.unwrap();
                break;
            }
            assert_displaced(&result, format_args!("damage {damage}, call {n}"));
            assert_nothing_deleted(&disk, n);
            // Gone on with at the new place, it comes to the same end.
            let moved = disk.kill();
            repaired(&moved).unwrap();
            assert!(verify(&moved, &Limits::new(1), &|_| ()).unwrap().findings.is_empty());
            assert_eq!(answer(&moved), answer(&whole), "damage {damage}, call {n}");
            moves += 1;
        }
    }
    println!("{moves} moves");
    assert!(moves > 200, "only {moves}");
}

/// A store of several segments and an open log.
fn open() -> (SimDisk, Model, Log) {
    let (disk, mut model) = store_of(1);
    let mut log = model.reopen(disk.storage(), SMALL());
    append(&mut model, &mut log, 2, 1);
    (disk, model, log)
}

/// The last name with this end.
fn last(disk: &SimDisk, end: &str) -> String {
    disk.files().into_keys().rfind(|name| name.ends_with(end)).unwrap()
}

/// What somebody may do to the files of a store.
type Meddling = (&'static str, fn(&SimDisk));

const MEDDLING: [Meddling; 8] = [
    ("the last segment is deleted", |disk| disk.lose(&last(disk, ".wal"))),
    ("the last segment is replaced by its copy", |disk| disk.edit(&last(disk, ".wal"), |_| ())),
    ("the last segment is renamed", |disk| {
        disk.rename(&last(disk, ".wal"), "0000000009.aside", Taken::Refuse).unwrap();
    }),
    ("an older segment is deleted", |disk| {
        let segments = disk.files().into_keys().filter(|name| name.ends_with(".wal"));
        disk.lose(&segments.rev().nth(1).unwrap());
    }),
    ("a snapshot is deleted", |disk| disk.lose(&last(disk, ".snap"))),
    ("a segment is added", |disk| disk.edit("0000000099.wal", |_| ())),
    ("the next segment is added", |disk| {
        let number: u64 = last(disk, ".wal").trim_end_matches(".wal").parse().unwrap();
        disk.edit(&format!("{:010}.wal", number + 1), |bytes| bytes.extend(b"not a segment"));
    }),
    ("everything is deleted", |disk| disk.files().into_keys().for_each(|name| disk.lose(&name))),
];

#[test]
fn a_writer_whose_files_are_meddled_with_acknowledges_nothing_more() {
    for (what, meddle) in MEDDLING {
        for settled in [false, true] {
            let (disk, mut model, mut log) = open();
            if !settled {
                model.append(&mut log, 1, &mut Choices::Random(1)).unwrap();
                // With nothing to sync the syncer rests; and then nothing is looked at.
                log.flush().unwrap();
            }
            // Nothing may be left to be written and to be synced: the end of a run is an acknowledgement all the same.
            let acknowledged = log.acknowledged();
            meddle(&disk);
            assert_displaced(&log.settle(), what);
            assert_eq!(log.acknowledged(), acknowledged, "{what}");
        }
    }
}

/// With `--durability os`, what is written is acknowledged: so it is looked at with every frame.
#[test]
fn a_writer_that_does_not_sync_looks_as_well() {
    for (what, meddle) in MEDDLING {
        let (disk, mut model) = store_of(1);
        let mut log = model.reopen(disk.storage(), os(1 << 20));
        meddle(&disk);
        let acknowledged = log.acknowledged();
        assert_displaced(&model.append(&mut log, 1, &mut Choices::Random(1)), what);
        assert_eq!(log.acknowledged(), acknowledged, "{what}");
    }
}

/// A disk that is slow, and has a thief: he puts something else in the place of what has just been published, before anybody
/// counts on it.
struct Odd {
    disk: SimDisk,
    /// The last name that was published, if there is a thief.
    published: Option<Mutex<Option<String>>>,
}

/// A file that is not synced at once.
struct Slow(Box<dyn File>);

impl File for Slow {
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
        sleep(Duration::from_millis(100));
        self.0.sync()
    }
    fn identity(&self) -> io::Result<Identity> {
        self.0.identity()
    }
}

impl Storage for Odd {
    fn path(&self) -> &Path {
        self.disk.path()
    }
    fn list(&self) -> io::Result<Vec<String>> {
        self.disk.list()
    }
    fn open(&self, name: &str, access: Access) -> io::Result<Box<dyn File>> {
        Ok(Box::new(Slow(self.disk.open(name, access)?)))
    }
    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.disk.create(name)
    }
    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        self.disk.open_or_create(name)
    }
    fn rename(&self, from: &str, to: &str, taken: Taken) -> io::Result<()> {
        if let Some(published) = &self.published {
            *published.lock().unwrap() = Some(to.into());
        }
        self.disk.rename(from, to, taken)
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }
    fn sync_directory(&self) -> io::Result<()> {
        self.disk.sync_directory()?;
        if let Some(name) = self.published.as_ref().and_then(|published| published.lock().unwrap().take()) {
            self.disk.edit(&name, |bytes| bytes.truncate(1));
        }
        Ok(())
    }
    fn identity(&self, name: &str) -> io::Result<Identity> {
        self.disk.identity(name)
    }
    fn in_place(&self) -> Result<Option<Stamp>> {
        self.disk.in_place()
    }
    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        self.disk.lock()
    }
    fn random(&self) -> io::Result<Uid> {
        self.disk.random()
    }
}

#[test]
fn a_compaction_deletes_nothing_for_a_snapshot_that_was_replaced() {
    let (disk, _) = store_of(1);
    let before = disk.files();
    let thief = Odd { disk: disk.clone(), published: Some(Mutex::default()) };
    assert_displaced(&compact(&thief, &SHAPES[2].1, &GO_ON, &|_| ()), "the snapshot is not the one that was written");
    let after = disk.files();
    assert!(before.iter().all(|(name, bytes)| after.get(name) == Some(bytes)), "{:?}", after.keys());
}

/// What was acknowledged in the log is told to people with the next frame, which may be long after: there is a look before.
#[test]
fn an_offset_is_told_only_where_it_can_be_found() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", spread(&generated("-n 200"), 5 << 22));
    let disk = SimDisk::new(1);
    let storage = Arc::new(Odd { disk: disk.clone(), published: None });
    let (mut log, view, _) = Log::open(storage, LogOptions::default()).unwrap();
    let mut inputs = view.inputs;
    let options = IngestOptions {
        threads: 1,
        max_rejects: MaxRejects::All,
        from_start: false,
        seek: EVERY_LINE,
        ..IngestOptions::default()
    };
    let source = Source::open(&sandbox.path("in.jsonl")).unwrap();
    let (mut told, mut frames, mut failed) = (Vec::new(), 0, None);
    let result = ingest(
        &mut log,
        &mut inputs,
        source,
        options,
        Caller {
            stop: &GO_ON,
            notify: &mut |notice| match notice {
                Notice::Progress(outcome) => {
                    told.push(outcome.durable_offset);
                    frames += 1;
                    // Until the syncer has done all there is to do: it acknowledges the first frame, and nobody tells so yet.
                    sleep(Duration::from_millis(300));
                    if frames == 2 {
                        disk.displace();
                    }
                }
                Notice::Failed(outcome) => failed = Some(outcome.durable_offset),
                _ => {}
            },
        },
    );
    assert_displaced(&result, "moved after the second frame");
    assert!(log.acknowledged() >= 1, "the first frame was acknowledged in its place");
    assert_eq!((told, failed), (vec![0, 0], Some(0)));
}

/// Names that are nobody's business, and a compaction beside it, stop no writer.
#[test]
fn a_writer_goes_on_beside_what_is_no_harm() {
    let (disk, mut model, mut log) = open();
    for (number, options) in [&SHAPES[1].1, &SHAPES[2].1].into_iter().enumerate() {
        disk.edit("notes.txt", |bytes| bytes.push(1));
        append(&mut model, &mut log, 3, 1);
        log.seal().unwrap();
        assert!(compact(&disk, options, &GO_ON, &|_| ()).unwrap().is_some(), "{number}");
        disk.lose("notes.txt");
        append(&mut model, &mut log, 3, 1);
    }
    drop(log);
    assert_eq!(model.look(&disk.kill()), model.written());
}

/// A roll that meets a file of its next name leaves it alone.
#[test]
fn a_file_in_the_place_of_a_new_one_stays() {
    let disk = SimDisk::new(1);
    disk.edit("a", |bytes| bytes.extend(b"mine"));
    let error = publish(&disk, "a", b"new").unwrap_err();
    assert!(error.to_string().contains("somebody else made a file of this name"), "{error}");
    assert_eq!(disk.bytes("a"), b"mine");
}

/// The small file that a log may overwrite in place: it is made once, and from then on it is the same file.
#[test]
fn a_file_that_is_opened_or_made_is_durable_with_its_name() {
    let disk = SimDisk::new(1);
    let file = disk.open_or_create("ACKNOWLEDGED").unwrap();
    file.write_at(b"1", 0).unwrap();
    file.sync().unwrap();
    disk.sync_directory().unwrap();
    let again = disk.open_or_create("ACKNOWLEDGED").unwrap();
    assert!(again.identity().unwrap().is(&file.identity().unwrap()));
    again.write_at(b"2", 0).unwrap();
    let mut found = Vec::new();
    let mut choices = Choices::every();
    loop {
        found.push(text(&disk.fork().crash(&mut choices).bytes("ACKNOWLEDGED")));
        if !choices.advance() {
            break;
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found, ["1", "2"], "in place: the old bytes or the new ones, and never no file");
    // Each of its calls can be made to fail.
    let disk = SimDisk::new(2);
    disk.fail_at(Count::Mutating, 0, Fault::Eio, false);
    assert!(disk.open_or_create("ACKNOWLEDGED").is_err());
    disk.open_or_create("ACKNOWLEDGED").unwrap();
    disk.fail_at(Count::Reading, 0, Fault::Eio, false);
    assert!(disk.open_or_create("ACKNOWLEDGED").is_err());
    assert!(View::open(&disk).is_err(), "a file that is no store's");
}
