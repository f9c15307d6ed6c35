//! What is fuzzed, and what must hold. Each target takes any bytes, and panics if a promise is broken.
//!
//! Included by the fuzzers in this directory, and by `tests/fuzz_corpus.rs`, which replays the corpora on stable Rust.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use chatwal::disk::scratch::Limits;
use chatwal::error::{Error, Result};
use chatwal::format::Uid;
use chatwal::format::block::{BLOCK_HEADER, BLOCK_MAGIC, BlockKind, REGIONS};
use chatwal::format::coding::crc;
use chatwal::format::directory::{ENTRY, SectionKind};
use chatwal::format::frame::{FRAME_HEADER, FRAME_MAGIC, SEGMENT_HEADER, SegmentHeader};
use chatwal::format::rejects::decode_rejects;
use chatwal::format::snapshot_header::{SNAPSHOT_HEADER, SNAPSHOT_MAGIC, SnapshotHeader};
use chatwal::intake::fast;
use chatwal::intake::parse::{Scratch, Text, filler, parse};
use chatwal::query::timeline::Timeline;
use chatwal::show::dump;
use chatwal::store::log::Log;
use chatwal::store::recover::publish_segment;
use chatwal::store::{View, segment_name, snapshot_name};
use chatwal::upkeep::compact::{CompactOptions, compact};

use super::naive::Naive;
use super::sim::{Choices, Count, Fault, SimDisk};
use super::store::{Sample, report, sync, text};

/// Ids of the store that mended files belong to.
const STORE: Uid = *b"fuzzed-store-id.";
const SALT: u64 = 0x5a17;

/// Compacts whatever there is.
const COMPACT: CompactOptions = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: true };

/// A segment. The first byte says whether checksums and places are made right before: without that, nothing gets past
/// them, and what lies behind would never be tried.
pub fn segment(bytes: &[u8]) {
    let Some((&mode, bytes)) = bytes.split_first() else { return };
    let bytes = if mode & 1 == 1 { mended_segment(bytes.to_vec()) } else { bytes.to_vec() };
    show(&bytes, "wal");
    let disk = SimDisk::new(1);
    disk.edit(&segment_name(1), |file| *file = bytes);
    use_store(&disk);
}

/// A snapshot, with a sound and empty segment behind it. The first byte is as for a segment.
pub fn snapshot(bytes: &[u8]) {
    let Some((&mode, bytes)) = bytes.split_first() else { return };
    let bytes = if mode & 1 == 1 { mended_snapshot(bytes.to_vec()) } else { bytes.to_vec() };
    show(&bytes, "snap");
    let disk = SimDisk::new(1);
    let header = SnapshotHeader::decode(&bytes).unwrap_or_default();
    let last = header.last.clamp(1, 1 << 30);
    disk.edit(&snapshot_name(&(1..=last)), |file| *file = bytes);
    publish_segment(&disk, header.store, last + 1, header.next_sequence).expect("nothing fails here");
    // A disk without that past.
    use_store(&disk.kill());
}

/// Lines: what the fast path takes, serde_json takes, with the same values; and the oracle accepts as many events.
pub fn json_line(bytes: &[u8]) {
    let mut scratch = Scratch::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let (content, mut at, mut events) = (line.strip_suffix(b"\n").unwrap_or(line), 0, 0);
        loop {
            at += filler(&content[at..]).0;
            if at == content.len() {
                break;
            }
            let judged = parse(Text::new(&content[at..]), &mut scratch);
            // As ingest uses it, with whatever follows behind: on lines as on items of documents.
            for (taken, whole) in [(fast::parse(&line[at..]), false), (fast::object(&line[at..]), true)] {
                let Some((event, taken)) = taken else { continue };
                let (expected, length) = judged.expect("what the fast path takes");
                assert_eq!(event, expected, "{}", text(content));
                let space = &line[at + length..at + taken];
                assert!(if whole { space.is_empty() } else { space.trim_ascii().is_empty() }, "{}", text(content));
            }
            let Ok((_, length)) = judged else { break };
            (at, events) = (at + length, events + 1);
        }
        let mut naive = Naive::new();
        // Behind a line that is none, so that it is taken for lines.
        naive.feed_input(&[b"x\n", content, b"\n"].concat());
        assert_eq!(events, naive.events(), "{}", text(content));
    }
}

/// What `dump` makes of a file; only that it comes to an end.
fn show(bytes: &[u8], kind: &str) {
    let directory = if cfg!(target_os = "linux") { PathBuf::from("/dev/shm") } else { std::env::temp_dir() };
    let directory = if directory.is_dir() { directory } else { std::env::temp_dir() };
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let path = directory.join(format!("chatwal-fuzz-{}-{number}.{kind}", std::process::id()));
    std::fs::write(&path, bytes).expect("a place for files");
    // Either may refuse it.
    let _ = dump::frames(&path, &mut std::io::sink());
    let _ = dump::events(&path, &mut std::io::sink());
    let _ = std::fs::remove_file(&path);
}

/// Uses a store of which nobody knows whether it is sound: readers, the writer, compaction. They may refuse it, but they
/// agree, and what is refused is not changed.
fn use_store(disk: &SimDisk) {
    let view = View::open(disk);
    let read = view.and_then(|view| {
        let answer = report(&view)?;
        each_reject(&view);
        for site in [&b"1"[..], b"shop", b"no such site"] {
            // It reads what the report may have taken from the index.
            let _ = Timeline::of(&view, site, &Limits::new(1));
        }
        Ok(answer)
    });
    assert_eq!(disk.mutations(), 0, "a reader changed something");
    let (mut log, view) = match Log::open(disk.storage(), sync(1 << 20)) {
        Ok((log, view, _)) => (log, view),
        Err(error) => {
            assert_eq!(disk.mutations(), 0, "refused and changed: {error}");
            return;
        }
    };
    let written = report(&view);
    match (&read, &written) {
        (Ok(read), Ok(written)) => assert_eq!(text(read), text(written)),
        (Err(_), Err(_)) => {}
        (read, written) => panic!("readers: {read:?}, the writer: {written:?}"),
    }
    let Ok(before) = written else { return };
    drop(view);
    log.seal().expect("what was opened for writing can be appended to");
    if compact(disk, &COMPACT, &AtomicBool::new(false), &|_| ()).is_ok() {
        let view = View::open(disk).expect("a compacted store is sound");
        // Behind right checksums, a summary may be wrong from the start; then the events are believed.
        let after = report(&view).expect("a compacted store is sound");
        if before != after {
            drop(view);
            drop(log);
            assert!(has_snapshot_before(disk), "compaction changed the report");
        }
    }
}

/// Whether the store began with a snapshot that somebody else made.
fn has_snapshot_before(disk: &SimDisk) -> bool {
    !disk.operations().iter().any(|call| call.starts_with("remove 0000000001.wal"))
}

/// Decodes the rejected lines, as the program's `rejects` does.
fn each_reject(view: &View) {
    for place in &view.frames {
        let segment = &view.segments[place.segment];
        for section in place.frame.sections.iter().filter(|section| section.entry.kind == SectionKind::Rejects) {
            if let (Ok(checkpoint), Ok(bytes)) = (place.checkpoint(segment), segment.section(section)) {
                let _ = decode_rejects(&bytes, section.entry.count, &checkpoint);
            }
        }
    }
    for snapshot in &view.snapshots {
        let region = snapshot.header.region(BlockKind::Rejects);
        let _ = snapshot.blocks(BlockKind::Rejects, region, &mut Vec::new(), |header, bytes| {
            if let Ok((checkpoint, bytes)) = chatwal::format::tables::split_rejects(bytes) {
                let _ = decode_rejects(bytes, header.count, &checkpoint);
            }
            Ok(())
        });
    }
}

fn u32_at(bytes: &[u8], at: usize) -> usize {
    bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

/// The bytes with every checksum and every place made right, and lengths that reach too far cut. What else there is stays
/// as it is: kinds, counts, claims, contents.
pub fn mended_segment(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().max(SEGMENT_HEADER), 0);
    let header = SegmentHeader { store: STORE, number: 1, salt: SALT, first_sequence: 1 };
    put(&mut bytes, 0, &header.encode());
    let (mut at, mut sequence, mut previous) = (SEGMENT_HEADER, 1u64, header.chain());
    while at + FRAME_HEADER <= bytes.len() {
        let frame = &mut bytes[at..];
        let payload = u32_at(frame, 64).min(frame.len() - FRAME_HEADER);
        let entries = usize::from(u16::from_le_bytes([frame[6], frame[7]])).min(payload / ENTRY);
        let directory = FRAME_HEADER..FRAME_HEADER + entries * ENTRY;
        let (mut section, end) = (directory.end, FRAME_HEADER + payload);
        for entry in directory.clone().step_by(ENTRY) {
            let last = entry + ENTRY == directory.end;
            let length = if last { end - section } else { u32_at(frame, entry + 6).min(end - section) };
            put(frame, entry + 6, &(length as u32).to_le_bytes());
            let sum = crc(&frame[section..section + length]);
            put(frame, entry + 10, &sum.to_le_bytes());
            section += length;
        }
        put(frame, 0, &FRAME_MAGIC);
        put(frame, 6, &(entries as u16).to_le_bytes());
        put(frame, 8, &STORE);
        put(frame, 24, &1u64.to_le_bytes());
        put(frame, 32, &SALT.to_le_bytes());
        put(frame, 40, &(at as u64).to_le_bytes());
        put(frame, 48, &sequence.to_le_bytes());
        put(frame, 64, &(payload as u32).to_le_bytes());
        put(frame, 68, &previous.to_le_bytes());
        let sum = crc(&frame[directory]);
        put(frame, 72, &sum.to_le_bytes());
        previous = crc(&frame[..FRAME_HEADER - 4]);
        put(frame, FRAME_HEADER - 4, &previous.to_le_bytes());
        sequence += 1;
        at += FRAME_HEADER + payload;
    }
    bytes
}

/// The same for a snapshot.
pub fn mended_snapshot(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.resize(bytes.len().max(SNAPSHOT_HEADER), 0);
    let length = bytes.len() as u64;
    put(&mut bytes, 0, &SNAPSHOT_MAGIC);
    put(&mut bytes, 8, &[1, 0, SNAPSHOT_HEADER as u8, 0]);
    put(&mut bytes, 16, &STORE);
    for (at, number) in [(32, 1), (40, 1), (48, SALT), (56, 1)] {
        put(&mut bytes, at, &number.to_le_bytes());
    }
    put(&mut bytes, 80 + 8 * (REGIONS - 1), &length.to_le_bytes());
    let sum = crc(&bytes[..SNAPSHOT_HEADER - 4]);
    put(&mut bytes, SNAPSHOT_HEADER - 4, &sum.to_le_bytes());
    let mut at = SNAPSHOT_HEADER;
    while at + BLOCK_HEADER <= bytes.len() {
        let block = &mut bytes[at..];
        let payload = u32_at(block, 12).min(block.len() - BLOCK_HEADER);
        put(block, 0, &BLOCK_MAGIC);
        put(block, 12, &(payload as u32).to_le_bytes());
        put(block, 16, &(at as u64).to_le_bytes());
        put(block, 24, &SALT.to_le_bytes());
        let sum = crc(&block[BLOCK_HEADER..BLOCK_HEADER + payload]);
        put(block, 32, &sum.to_le_bytes());
        let sum = crc(&block[..BLOCK_HEADER - 4]);
        put(block, BLOCK_HEADER - 4, &sum.to_le_bytes());
        at += BLOCK_HEADER + payload;
    }
    bytes
}

/// The most operations of one sequence.
const OPERATIONS: usize = 64;

/// A sequence of operations on a simulated disk: appends, settling, rolling, compaction, kills, losses of power, faults.
/// Whatever happens, readers and the writer find a prefix of what was appended that holds all that was acknowledged.
pub fn operations(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let seed = u64::from(bytes.next().unwrap_or(0));
    let mut life = Life {
        disk: SimDisk::new(seed),
        log: None,
        told: Told::default(),
        choices: Choices::Random(seed),
        segment_size: [250, 600, 1500, 1 << 20][(seed % 4) as usize],
    };
    life.open();
    for _ in 0..OPERATIONS {
        let Some(operation) = bytes.next() else { break };
        life.step(operation, &mut || bytes.next().unwrap_or(0));
    }
    // In the end all is well, and everything can be read.
    life.restart(None);
    life.append(2);
    if let Some(log) = &mut life.log {
        log.settle().expect("nothing fails any more");
        life.told.note(log);
    }
    assert_eq!(life.told.acknowledged, life.told.batches.len());
    let count = life.told.batches.len();
    life.restart(Some(seed));
    assert_eq!(life.told.batches.len(), count, "acknowledged, and gone");
}

/// A store through its lives.
struct Life {
    disk: SimDisk,
    /// None while there is no process that could open it.
    log: Option<Log>,
    told: Told,
    choices: Choices,
    segment_size: u64,
}

impl Life {
    fn step(&mut self, operation: u8, more: &mut dyn FnMut() -> u8) {
        let high = operation >> 4;
        match operation & 15 {
            0..=4 => self.append(usize::from(high % 5) + 1),
            5 => self.with_log(|log, told| {
                log.settle()?;
                told.note(log);
                assert_eq!(told.acknowledged, told.written(), "settled, and not acknowledged");
                Ok(())
            }),
            6 => self.with_log(|log, _| log.flush()),
            7 => self.with_log(|log, _| log.seal()),
            8 => {
                let options = CompactOptions { all: high & 1 == 1, ..COMPACT };
                if self.log.is_some() {
                    // The log goes on after a compaction that failed.
                    let _ = compact(&self.disk, &options, &AtomicBool::new(false), &|_| ());
                }
            }
            9 => self.look(),
            10 if high & 1 == 0 => self.restart(None),
            10 => {
                self.log = None;
                self.open();
            }
            11 => self.restart(Some(u64::from(more()) << 8 | u64::from(high))),
            12 => self.disk.stop_at(u64::from(more() % 48)),
            13 | 14 => {
                let count = if operation & 15 == 13 { Count::Mutating } else { Count::Reading };
                let fault = if high & 1 == 1 { Fault::Eio } else { Fault::Enospc };
                self.disk.fail_at(count, u64::from(more() % 64), fault, high & 2 == 2);
            }
            _ => {
                // Images of what may be found, if the power went now; the process goes on.
                let disk = self.disk.fork();
                for _ in 0..=high % 4 {
                    let image = disk.crash(&mut self.choices);
                    if image.is_store() {
                        self.told.clone().found(&image, false);
                    }
                }
            }
        }
    }

    /// Does something with the log; one that failed is given up.
    fn with_log(&mut self, act: impl FnOnce(&mut Log, &mut Told) -> Result<()>) {
        let Some(log) = &mut self.log else { return };
        let result = act(log, &mut self.told);
        self.told.note(log);
        match result {
            Ok(()) => {}
            Err(Error::Io { .. }) => self.log = None,
            Err(error) => panic!("a sound store: {error}"),
        }
    }

    fn append(&mut self, events: usize) {
        let sample = Sample::new(self.told.made + 1, events, &mut self.choices);
        self.with_log(|log, told| told.append(log, &sample));
    }

    /// Opens the store as a new process; where a fault keeps it from that, it stays closed.
    fn open(&mut self) {
        match Log::open(self.disk.storage(), sync(self.segment_size)) {
            Ok((log, view, _)) => {
                let count = self.told.check(&view);
                self.told.batches.truncate(count);
                self.told.note(&log);
                self.log = Some(log);
            }
            Err(Error::Io { .. }) => {}
            Err(error) => panic!("recovery of a sound store: {error}"),
        }
    }

    /// A reader; it may meet a fault, and nothing else.
    fn look(&self) {
        let before = self.disk.mutations();
        match View::open(&self.disk) {
            Ok(view) => match report(&view) {
                Ok(_) => drop(self.told.clone().check_faulty(&view)),
                Err(Error::Io { .. }) => {}
                Err(error) => panic!("a reader of a sound store: {error}"),
            },
            Err(Error::Io { .. } | Error::NoStore { .. }) => {}
            Err(error) => panic!("a reader of a sound store: {error}"),
        }
        // The syncer may be at work; nobody else is.
        if self.log.is_none() {
            assert_eq!(self.disk.mutations(), before, "a reader changed something");
        }
    }

    /// The process dies, and with a seed the power goes, too; then the next one opens the store.
    fn restart(&mut self, power: Option<u64>) {
        self.disk = match power {
            Some(seed) => self.disk.crash(&mut Choices::Random(seed)),
            None => self.disk.kill(),
        };
        self.log = None;
        if self.disk.is_store() || self.told.acknowledged > 0 {
            self.told.found(&self.disk, power.is_none());
        } else {
            self.told.batches.clear();
        }
        self.open();
        assert!(self.log.is_some(), "nothing fails, and it does not open");
    }
}

/// What the store was told, and what it answered: the model.
#[derive(Clone, Default)]
struct Told {
    batches: Vec<Batch>,
    /// How many of them were acknowledged.
    acknowledged: usize,
    made: u64,
}

#[derive(Clone)]
struct Batch {
    number: u64,
    /// The frame's, if the writer said so.
    sequence: Option<u64>,
    /// The oracle, fed up to here. Shared: models are copied for every image of a crash.
    naive: Arc<Naive>,
}

impl Told {
    /// Appends a batch. One whose write failed may be found as well.
    fn append(&mut self, log: &mut Log, sample: &Sample) -> Result<()> {
        self.made += 1;
        let mut naive = self.batches.last().map(|last| Naive::clone(&last.naive)).unwrap_or_default();
        sample.feed(&mut naive);
        let result = log.append_batch(&sample.checkpoint, &sample.batch());
        self.batches.push(Batch { number: self.made, sequence: result.as_ref().ok().copied(), naive: Arc::new(naive) });
        result.map(|_| ())
    }

    /// The oracle, fed the first batches.
    fn naive(&self, count: usize) -> Arc<Naive> {
        count.checked_sub(1).map(|last| Arc::clone(&self.batches[last].naive)).unwrap_or_default()
    }

    fn written(&self) -> usize {
        self.batches.iter().take_while(|batch| batch.sequence.is_some()).count()
    }

    /// Takes note of what the log has acknowledged.
    fn note(&mut self, log: &Log) {
        let upto = log.acknowledged();
        let acknowledged = self.batches.iter().take_while(|batch| batch.sequence.is_some_and(|it| it <= upto));
        self.acknowledged = self.acknowledged.max(acknowledged.count());
    }

    /// That a view holds a prefix, with all that was acknowledged and each event once; gives the number of batches.
    fn check(&self, view: &View) -> usize {
        let last = view.inputs.values().map(|input| input.checkpoint.end_line).max().unwrap_or(0);
        let count = match last {
            0 => 0,
            last => 1 + self.batches.iter().position(|batch| batch.number == last).expect("a batch that was appended"),
        };
        assert!(count >= self.acknowledged, "{count} batches are left of {} acknowledged", self.acknowledged);
        let last = self.acknowledged.checked_sub(1).and_then(|last| self.batches[last].sequence);
        assert!(view.durable_upto >= last.unwrap_or(0), "acknowledged, and nothing proves it: {last:?}");
        let naive = self.naive(count);
        assert_eq!(view.inputs.values().map(|input| input.events).sum::<u64>(), naive.events(), "a batch is missing");
        count
    }

    /// [`Told::check`] and the report.
    fn check_faulty(&self, view: &View) -> usize {
        let count = self.check(view);
        // A fault may come on a second reading.
        if let Ok(found) = report(view) {
            let naive = self.naive(count);
            assert_eq!(text(&found), text(&naive.report()));
        }
        count
    }

    /// What a reader finds on a disk without faults; what a crash cut off is forgotten.
    fn found(&mut self, disk: &SimDisk, all: bool) {
        let view = View::open(disk).unwrap_or_else(|error| panic!("a reader after a crash: {error}"));
        report(&view).unwrap_or_else(|error| panic!("a report after a crash: {error}"));
        let count = self.check_faulty(&view);
        assert_eq!(disk.mutations(), 0, "a reader changed something");
        if all {
            assert!(count >= self.written(), "the death of a process loses nothing");
        }
        self.batches.truncate(count);
    }
}
