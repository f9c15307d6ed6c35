//! P4 and P8 over a whole store, exhaustively: every file cut at every byte, every bit flipped, every sector zeroed,
//! swapped and repeated, older and foreign files spliced in. Whatever it is, the store is refused or the report is the same.
//!
//! With the record of what was acknowledged (`ACKNOWLEDGED`) there is no exception. Without it, as in a copy of the other files, one thing
//! cannot be told: a last segment that became an older copy of itself. So what may come out of a damaged last segment is computed
//! here from the bytes that are left: a frame that an intact header proves to have been durable may not be lost in silence;
//! one that nothing proves any more may, with all behind it.
//!
//! The gate flips every so-manieth bit, another set for every seed; `CHATWAL_FLIPS=all` flips each of them, and
//! `CHATWAL_SEED` repeats a set.

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use chatwal::error::{Error, Result};
use chatwal::format::Uid;
use chatwal::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, SEGMENT_HEADER};
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::source::Source;
use chatwal::store::log::Log;
use chatwal::store::recover::recover;
use chatwal::store::{ACKNOWLEDGED_NAME, Input, View, segment_name, snapshot_name};
use chatwal::upkeep::compact::{CompactOptions, compact};
use support::EVERY_LINE;
use support::naive::Naive;
use support::sim::{Choices, SECTOR, SimDisk};
use support::store::{report, sync};

/// So small that three of them and a snapshot are what is to be gone through.
const SEGMENT: u64 = 15_000;

/// Of how many bits the gate flips one.
const GATE: usize = 61;

/// What a store answers: the report, and how far each input was read.
type Answer = (Vec<u8>, BTreeMap<Uid, Input>);

struct Fixture {
    disk: SimDisk,
    /// Its segments and snapshots.
    files: BTreeMap<String, Vec<u8>>,
    /// Its record of what was acknowledged; none in a copy.
    record: Option<Vec<u8>>,
    whole: Answer,
    /// The last segment, and its frames: where each begins and ends.
    last: String,
    frames: Vec<(FrameHeader, usize, usize)>,
    /// The oracle's report of the first batches, none included.
    reports: Vec<Vec<u8>>,
    /// Files that a compaction replaced.
    replaced: BTreeMap<String, Vec<u8>>,
}

/// What came of a damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    Refused,
    Same,
    /// The last segment is what it was before so many of its frames.
    Older,
}

/// How often what came out.
#[derive(Clone, Copy, Debug, Default)]
struct Count {
    refused: usize,
    same: usize,
    older: usize,
}

impl Count {
    fn add(&mut self, found: Found) {
        match found {
            Found::Refused => self.refused += 1,
            Found::Same => self.same += 1,
            Found::Older => self.older += 1,
        }
    }

    fn tell(self, what: &str, started: Instant) {
        let Count { refused, same, older } = self;
        println!(
            "{what}: {} damages: {refused} refused, {same} without effect on the report, {older} an older copy of the last \
             segment; 0 silent differences; {:.1?}",
            refused + same + older,
            started.elapsed()
        );
    }
}

/// A rejected line and some events with ids so long that a frame is long, too.
fn input(number: usize, choices: &mut Choices) -> String {
    let mut lines = format!("no event {number}\n");
    for index in 0..5 {
        let site = ["1", "2", "10", "shop", "a shop with a longer name"][choices.of(5)];
        let (kind, from, data) = match choices.of(3) {
            0 => ("status", "operator", r#"{"status":"online"}"#),
            1 => ("status", "operator", r#"{"status":"offline"}"#),
            _ => ("message", "visitor", r#"{"message":"hello"}"#),
        };
        // Some are copies of events of the input before, and disagree with them.
        let id = format!("{}-{}", (number * 4 + index) % 200, "x".repeat(120 + index * 40));
        lines += &format!(
            "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"from\":\"{from}{}\",\"site_id\":\"{site}\",\"timestamp\":{},\"data\":{data}}}\n",
            choices.of(4),
            choices.of(50)
        );
    }
    if choices.of(2) == 0 {
        // The first event again, which is counted and not stored.
        let first = lines.find('{').unwrap();
        let end = first + lines[first..].find('\n').unwrap();
        lines.extend_from_within(first..=end);
    }
    lines
}

/// A snapshot, and behind it two sealed segments and half of a third; all of it acknowledged. Other seeds make other stores.
fn fixture(seed: u64) -> Fixture {
    let (disk, mut choices, mut naive) = (SimDisk::new(seed), Choices::Random(seed), Naive::new());
    let (mut log, view, _) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
    let mut known = view.inputs;
    let mut reports = vec![naive.report()];
    let mut replaced = BTreeMap::new();
    let mut folded = 0;
    let segments = |disk: &SimDisk| disk.files().keys().filter(|name| name.ends_with(".wal")).count();
    let last = |disk: &SimDisk| disk.files().iter().rfind(|(name, _)| name.ends_with(".wal")).unwrap().1.len();
    while segments(&disk) < 3 || folded < 2 || last(&disk) < SEGMENT as usize / 2 {
        let number = reports.len();
        let lines = input(number, &mut choices);
        naive.feed_input(lines.as_bytes());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        // One that is read a second time leaves a frame that forgets it.
        for from_start in [false, number == 3] {
            if from_start || !known.values().any(|input| input.checkpoint.start_line == number as u64) {
                let options = IngestOptions {
                    threads: 1,
                    max_rejects: MaxRejects::All,
                    from_start,
                    seek: EVERY_LINE,
                    ..IngestOptions::default()
                };
                let source = Source::open(file.path()).unwrap();
                ingest(
                    &mut log,
                    &mut known,
                    source,
                    options,
                    Caller { stop: &AtomicBool::new(false), notify: &mut |_| () },
                )
                .unwrap();
            }
        }
        log.settle().unwrap();
        reports.push(naive.report());
        if segments(&disk) == 2 && folded < 2 {
            replaced.extend(disk.files());
            log.seal().unwrap();
            let options = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: true };
            compact(&disk, &options, &AtomicBool::new(false), &|_| ()).unwrap().unwrap();
            folded += 1;
        }
    }
    drop(log);
    // A disk that has these files and no past.
    let mut files = disk.files();
    replaced.retain(|name, _| !files.contains_key(name));
    let disk = SimDisk::new(seed);
    files.iter().for_each(|(name, bytes)| disk.edit(name, |file| *file = bytes.clone()));
    let record = files.remove(ACKNOWLEDGED_NAME);
    let view = View::open(&disk).unwrap();
    let last = files.keys().next_back().unwrap().clone();
    let of_last = |place: &&chatwal::store::Place| place.segment + 1 == view.segments.len();
    let place = |place: &chatwal::store::Place| {
        (place.frame.header, place.frame.header.offset as usize, place.frame.end() as usize)
    };
    let frames = view.frames.iter().filter(of_last).map(place).collect();
    let whole = (report(&view).unwrap(), view.inputs);
    assert_eq!(whole.0, reports[reports.len() - 1], "sound, and not what the oracle says");
    Fixture { disk, files, record, whole, last, frames, reports, replaced }
}

/// The same, and a copy of its segments and snapshots alone.
fn with_and_without_record(seed: u64) -> [Fixture; 2] {
    let mut copy = fixture(seed);
    copy.disk.lose(ACKNOWLEDGED_NAME);
    copy.disk = copy.disk.fork();
    copy.record = None;
    [fixture(seed), copy]
}

impl Fixture {
    /// The number of frames with events in the last segment before an offset, taken off the report of all.
    fn report_before(&self, offset: usize) -> &[u8] {
        let behind = |frame: &&(FrameHeader, usize, usize)| frame.0.kind == FrameKind::Batch && frame.2 > offset;
        &self.reports[self.reports.len() - 1 - self.frames.iter().filter(behind).count()]
    }

    /// A copy of the store with a file damaged.
    fn damaged(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
        let disk = self.disk.fork();
        disk.edit(name, edit);
        disk
    }

    /// What readers and a writer make of a disk. They have to agree on whatever they both look at, and neither changes
    /// anything that it refuses. Uses the disk up.
    fn judge(&self, disk: &SimDisk) -> std::result::Result<Found, String> {
        let view = View::open(disk);
        let opened = view.is_ok();
        let read: Result<Answer> = view.and_then(|view| Ok((report(&view)?, view.inputs)));
        if disk.mutations() != 0 {
            return Err(format!("a reader changed something: {:?}", disk.operations()));
        }
        let recovered = recover(disk);
        match (&read, recovered) {
            (_, Err(error)) => {
                if disk.mutations() != 0 {
                    return Err(format!("a writer refused ({error}) and changed something: {:?}", disk.operations()));
                }
                // The writer checks sections of the last segment that no report needs.
                if read.as_ref().is_ok_and(|answer| *answer != self.whole) {
                    return Err(format!("a reader answers something else where the writer refuses: {error}"));
                }
            }
            (_, Ok(_)) if !opened => return Err("the writer opens what readers refuse".into()),
            (read, Ok(recovered)) => match (read, report(&recovered.view)) {
                (Ok(read), Ok(written)) if read.0 == written => {}
                (Err(read), Err(written)) if read.to_string() == written.to_string() => {}
                (read, written) => return Err(format!("readers {read:?}, writer {written:?}")),
            },
        }
        match read {
            Err(Error::Corruption(_) | Error::Version { .. } | Error::NoStore { .. }) => Ok(Found::Refused),
            Err(error) => Err(format!("no such error was expected: {error}")),
            Ok(answer) if answer == self.whole => Ok(Found::Same),
            Ok((report, _)) if self.reports.contains(&report) => Ok(Found::Older),
            Ok(_) => Err("a different report, of nothing that ever was".into()),
        }
    }

    /// That what came of a file with these bytes is right.
    fn check(&self, name: &str, bytes: &[u8]) -> std::result::Result<Found, String> {
        let disk = self.damaged(name, |file| bytes.clone_into(file));
        let found = self.judge(&disk)?;
        if name != self.last {
            return match found {
                Found::Older => Err("a different report without an error".into()),
                found => Ok(found),
            };
        }
        let original = &self.files[name];
        let intact = |range: std::ops::Range<usize>| bytes.get(range.clone()) == original.get(range);
        if !intact(0..SEGMENT_HEADER) {
            return if found == Found::Refused { Ok(found) } else { Err("a segment without its header".into()) };
        }
        let Some((lost, start, _)) = self.frames.iter().find(|(_, start, end)| !intact(*start..*end)) else {
            return if found == Found::Same { Ok(found) } else { Err(format!("no frame is damaged: {found:?}")) };
        };
        let headers = self.frames.iter().filter(|(_, start, _)| intact(*start..start + FRAME_HEADER));
        let proven = headers.map(|(header, ..)| header.durable_upto).max().unwrap_or(0);
        let expected = self.report_before(*start);
        match found {
            // What no report needs, such as a rejected line, is looked at by the writer and by those who ask for it.
            Found::Refused | Found::Same => Ok(found),
            Found::Older if self.record.is_some() => Err("acknowledged, and gone in silence".into()),
            Found::Older if proven >= lost.sequence => {
                Err(format!("frame {} was durable, provably, and is gone in silence", lost.sequence))
            }
            Found::Older => {
                let again = self.damaged(name, |file| bytes.clone_into(file));
                let found_report = View::open(&again).and_then(|view| report(&view)).unwrap();
                if found_report == expected { Ok(found) } else { Err("not the frames before the damage".into()) }
            }
        }
    }

    /// Checks `count` damages, side by side: what `damage` makes of the file of which it gives the name.
    fn check_all(&self, count: usize, damage: impl Fn(usize) -> (String, Vec<u8>) + Sync) -> Count {
        const AT_ONCE: usize = 64;
        let (next, total) = (AtomicUsize::new(0), Mutex::new(Count::default()));
        let work = || {
            loop {
                let first = next.fetch_add(AT_ONCE, Ordering::Relaxed);
                for number in first..count.min(first + AT_ONCE) {
                    let (name, bytes) = damage(number);
                    match self.check(&name, &bytes) {
                        Ok(found) => total.lock().unwrap().add(found),
                        Err(problem) => {
                            let original = &self.files[&name];
                            let at = original.iter().zip(&bytes).position(|(a, b)| a != b);
                            panic!(
                                "damage {number}, {name}, {} bytes, first other byte {at:?}: {problem}",
                                bytes.len()
                            );
                        }
                    }
                }
                if first >= count {
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(work);
            }
        });
        total.into_inner().unwrap()
    }

    /// Every byte of the store, as file and offset.
    fn bytes(&self) -> Vec<(&String, usize)> {
        self.files.iter().flat_map(|(name, bytes)| (0..bytes.len()).map(move |at| (name, at))).collect()
    }

    /// Every sector of the store.
    fn sectors(&self) -> Vec<(&String, std::ops::Range<usize>)> {
        let of_file = |(name, bytes)| {
            let bytes: &Vec<u8> = bytes;
            (0..bytes.len()).step_by(SECTOR).map(move |at| (name, at..bytes.len().min(at + SECTOR)))
        };
        self.files.iter().flat_map(of_file).collect()
    }

    fn changed(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> (String, Vec<u8>) {
        let mut bytes = self.files[name].clone();
        change(&mut bytes);
        (name.to_owned(), bytes)
    }
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[test]
fn the_fixture_is_what_the_programme_asks_for() {
    let store = fixture(1);
    let sizes: Vec<(&String, usize)> = store.files.iter().map(|(name, bytes)| (name, bytes.len())).collect();
    println!("{sizes:?}; {} batches, {} frames in the last segment", store.reports.len() - 1, store.frames.len());
    assert!(store.files.values().map(Vec::len).sum::<usize>() >= 64 << 10);
    assert_eq!(store.files.keys().filter(|name| name.ends_with(".wal")).count(), 3);
    assert_eq!(store.files.keys().filter(|name| name.ends_with(".snap")).count(), 1);
    assert!(store.frames.len() >= 6 && store.whole.1.values().any(|input| input.rejects > 0));
    assert_eq!(store.judge(&store.disk.fork()), Ok(Found::Same));
}

#[test]
fn a_file_cut_at_any_byte_is_corrupt_and_the_last_segment_is_what_it_was_before_the_cut() {
    for store in with_and_without_record(1) {
        let started = Instant::now();
        let bytes = store.bytes();
        let count = store.check_all(bytes.len(), |number| {
            let (name, length) = bytes[number];
            store.changed(name, |bytes| bytes.truncate(length))
        });
        count.tell("cut at every byte", started);
        let last = store.files[&store.last].len();
        if store.record.is_some() {
            // Of the mark at the end nothing was promised.
            assert_eq!((count.same, count.older), (FRAME_HEADER, 0));
        } else {
            assert_eq!(count.refused, bytes.len() - last + SEGMENT_HEADER);
            assert!(count.same > 0 && count.older > last / 2);
        }
    }
}

#[test]
fn no_flipped_bit_changes_the_report_in_silence() {
    let (every, first) = match setting("CHATWAL_FLIPS").as_deref() {
        Some("all") => (1, 0),
        _ => {
            let seed: usize = setting("CHATWAL_SEED").and_then(|seed| seed.parse().ok()).unwrap_or(1);
            println!("one bit of {GATE}, CHATWAL_SEED={seed}");
            (GATE, seed % GATE)
        }
    };
    for store in with_and_without_record(1) {
        let started = Instant::now();
        let bytes = store.bytes();
        let bits = bytes.len() * 8;
        let count = store.check_all((bits - first).div_ceil(every), |number| {
            let bit = first + number * every;
            let (name, at) = bytes[bit / 8];
            store.changed(name, |bytes| bytes[at] ^= 1 << (bit % 8))
        });
        count.tell(&format!("flipped bits, of {bits}"), started);
        assert!(count.refused > 0);
        assert_eq!(count.older, 0, "one bit takes no batch and its proof");
    }
}

#[test]
fn sectors_that_are_zeroed_swapped_or_repeated_change_no_report_in_silence() {
    for store in with_and_without_record(1) {
        sectors_of(&store);
    }
}

fn sectors_of(store: &Fixture) {
    let started = Instant::now();
    let sectors = store.sectors();
    let mut damages: Vec<(String, Vec<u8>)> = Vec::new();
    let mut add = |name: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let damage = store.changed(name, |bytes| change(bytes));
        // A sector that equals what it is to become is no damage.
        if damage.1 != store.files[name] {
            damages.push(damage);
        }
    };
    for (name, sector) in &sectors {
        add(name, &|bytes| bytes[sector.clone()].fill(0));
        add(name, &|bytes| bytes[sector.clone()].fill(0xff));
        add(name, &|bytes| bytes[sector.start..].fill(0));
        let whole = store.files[*name].len();
        for other in (0..whole).step_by(SECTOR).filter(|&other| other != sector.start) {
            let end = whole.min(other + SECTOR);
            let common = (end - other).min(sector.len());
            // What was to be written there landed here as well, or instead; or something was left out, or came twice.
            add(name, &|bytes| bytes.copy_within(other..other + common, sector.start));
            if other > sector.start {
                add(name, &|bytes| (0..common).for_each(|at| bytes.swap(sector.start + at, other + at)));
            }
        }
        add(name, &|bytes| drop(bytes.drain(sector.clone())));
        add(name, &|bytes| {
            let again = bytes[sector.clone()].to_vec();
            drop(bytes.splice(sector.start..sector.start, again));
        });
    }
    let count = store.check_all(damages.len(), |number| damages[number].clone());
    count.tell("sectors", started);
    assert!(count.refused > damages.len() / 2);
    assert_eq!(count.older > 0, store.record.is_none());
}

#[test]
fn sectors_of_other_files_change_no_report_in_silence() {
    let (store, other, started) = (fixture(1), fixture(2), Instant::now());
    let sources = store.files.values().chain(store.replaced.values()).chain(other.files.values());
    let sources: Vec<&Vec<u8>> = sources.collect();
    let sectors = store.sectors();
    let damage = |number: usize| {
        let (name, sector) = &sectors[number / sources.len()];
        let source = sources[number % sources.len()].get(sector.clone()).unwrap_or_default();
        store.changed(name, |bytes| bytes[sector.start..sector.start + source.len()].copy_from_slice(source))
    };
    let damaged = |number: &usize| {
        let (name, bytes) = damage(*number);
        bytes != store.files[&name]
    };
    let numbers: Vec<usize> = (0..sectors.len() * sources.len()).filter(damaged).collect();
    let count = store.check_all(numbers.len(), |number| damage(numbers[number]));
    count.tell("sectors of other files", started);
    assert!(count.refused > numbers.len() / 2);
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story")]
fn whole_files_that_are_older_foreign_or_missing_change_no_report_in_silence() {
    let (store, other, started) = (fixture(1), fixture(2), Instant::now());
    assert_eq!(store.files.keys().collect::<Vec<_>>(), other.files.keys().collect::<Vec<_>>());
    let mut count = Count::default();
    let mut judge = |what: String, disk: &SimDisk, expected: Found| {
        let found = store.judge(disk);
        assert_eq!(found, Ok(expected), "{what}");
        count.add(expected);
    };
    // An older copy of a segment: as it was behind each of its frames.
    let view = View::open(&store.disk).unwrap();
    for (index, place) in view.frames.iter().enumerate() {
        let name = segment_name(view.segments[place.segment].header.number);
        let older = store.files[&name].get(..place.frame.end() as usize).unwrap();
        let lost = &view.frames[index + 1..];
        let is_cut = older.len() < store.files[&name].len();
        if is_cut && (name != store.last || lost.iter().any(|place| place.frame.header.kind != FrameKind::Mark)) {
            judge(
                format!("{name} of {} bytes", older.len()),
                &store.damaged(&name, |bytes| older.clone_into(bytes)),
                Found::Refused,
            );
        }
    }
    // The record says nothing that is wrong, whatever becomes of it.
    let record = store.record.as_ref().unwrap();
    for at in 0..record.len() {
        let what = |what: &str| format!("the record {what} at byte {at}");
        judge(what("cut"), &store.damaged(ACKNOWLEDGED_NAME, |bytes| bytes.truncate(at)), Found::Same);
        judge(what("zeroed"), &store.damaged(ACKNOWLEDGED_NAME, |bytes| bytes[at..].fill(0)), Found::Same);
        for bit in 0..8 {
            judge(what("flipped"), &store.damaged(ACKNOWLEDGED_NAME, |bytes| bytes[at] ^= 1 << bit), Found::Same);
        }
    }
    for (from, alien) in store.files.iter().chain([(&"another store's".into(), other.record.as_ref().unwrap())]) {
        let disk = store.damaged(ACKNOWLEDGED_NAME, |bytes| alien.clone_into(bytes));
        judge(format!("{from} as the record"), &disk, Found::Same);
    }
    // Any file in the place of any, of this store, of its past and of another store.
    let all = store.files.iter().chain(&store.replaced).chain(&other.files);
    for (from, alien) in all {
        for (name, bytes) in &store.files {
            if alien != bytes {
                judge(
                    format!("{from} as {name}"),
                    &store.damaged(name, |bytes| alien.clone_into(bytes)),
                    Found::Refused,
                );
            }
        }
        // What a compaction replaced and did not come to delete, whatever is in it.
        for name in store.replaced.keys() {
            judge(
                format!("{from} as {name}, replaced"),
                &store.damaged(name, |bytes| alien.clone_into(bytes)),
                Found::Same,
            );
        }
        // One more segment than there are, or a gap before it.
        let last: u64 = store.last.trim_end_matches(".wal").parse().unwrap();
        for number in [last + 1, last + 2] {
            let name = segment_name(number);
            judge(format!("{from} as {name}"), &store.damaged(&name, |bytes| alien.clone_into(bytes)), Found::Refused);
        }
        // A snapshot over what there are segments of, over what overlaps, and beyond the end.
        for covers in [last - 1..=last - 1, 2..=last - 1, last + 1..=last + 1, 1..=last - 1, 1..=last] {
            let name = snapshot_name(&covers);
            if !store.files.contains_key(&name) {
                judge(
                    format!("{from} as {name}"),
                    &store.damaged(&name, |bytes| alien.clone_into(bytes)),
                    Found::Refused,
                );
            }
        }
    }
    for name in store.files.keys() {
        let disk = store.disk.fork();
        disk.lose(name);
        judge(format!("{name} is missing"), &disk, Found::Refused);
    }
    // The whole store as it was before.
    let disk = store.disk.fork();
    store.files.keys().filter(|name| name.ends_with(".snap")).for_each(|name| disk.lose(name));
    let before: Vec<_> = store.replaced.iter().filter(|(name, _)| name.ends_with(".snap")).collect();
    assert!(!before.is_empty(), "{:?}", store.replaced.keys());
    before.iter().for_each(|(name, bytes)| disk.edit(name, |file| bytes.as_slice().clone_into(file)));
    judge("an older snapshot, and the segments that the next one folded are gone".into(), &disk, Found::Refused);
    count.tell("whole files", started);
}
