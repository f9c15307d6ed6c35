//! P4, torn is not corrupt: each kind of damage on purpose, and what readers and the writer say of it.
//!
//! A bad end that nothing proves durable is cut by the writer and left out by readers; damage to anything that was
//! durable is an error with file, offset, expected and found, and neither of the two changes a byte.

mod support;

use chatwal::disk::scratch::Limits;
use chatwal::error::{Corruption, Error, Result};
use chatwal::format::acknowledged::Acknowledged;
use chatwal::format::coding::crc;
use chatwal::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, SEGMENT_HEADER};
use chatwal::store::log::Log;
use chatwal::store::recover::publish_segment;
use chatwal::store::{ACKNOWLEDGED_NAME, View, segment_name, snapshot_name};
use chatwal::upkeep::verify::verify;
use support::forge::Forged;
use support::sim::{Choices, Count, Fault, SimDisk};
use support::store::{Model, os, report, sync};

/// So small that a few batches fill it.
const SEGMENT: u64 = 1100;

/// A sound store to damage.
struct Fixture {
    disk: SimDisk,
    model: Model,
    frames: Vec<Place>,
}

/// Where a frame is.
#[derive(Clone, Copy, Debug)]
struct Place {
    segment: u64,
    header: FrameHeader,
    start: usize,
    end: usize,
}

/// What a store is taken for.
#[derive(Debug, PartialEq)]
enum Verdict {
    /// Sound, with so many batches.
    Holds(usize),
    Corrupt(Corruption),
    Refused(String),
}

/// A copy without the record of what was acknowledged, so that proof is what the segments say.
fn fixture(seed: u64, unproven: usize) -> Fixture {
    let store = recorded(seed, unproven);
    store.disk.lose(ACKNOWLEDGED_NAME);
    Fixture { disk: store.disk.fork(), ..store }
}

/// At least three segments, everything acknowledged, and behind it `unproven` batches that nothing proves durable.
fn recorded(seed: u64, unproven: usize) -> Fixture {
    let (disk, mut choices, mut model) = (SimDisk::new(seed), Choices::Random(seed), Model::default());
    let mut log = model.reopen(disk.storage(), sync(SEGMENT));
    while !disk.files().contains_key(&segment_name(3)) || disk.bytes(&segment_name(3)).len() < 700 {
        model.append(&mut log, 3, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
    }
    drop(log);
    // With `Os`, nothing is fsynced and no later header claims that it was.
    let mut log = model.reopen(disk.storage(), os(1 << 20));
    let acknowledged = model.acknowledged;
    for _ in 0..unproven {
        model.append(&mut log, 3, &mut choices).unwrap();
    }
    drop(log);
    model.acknowledged = acknowledged;
    let view = View::open(&disk).unwrap();
    let place = |place: &chatwal::store::Place| {
        let (header, segment) = (place.frame.header, view.segments[place.segment].header.number);
        Place { segment, header, start: header.offset as usize, end: place.frame.end() as usize }
    };
    let frames = view.frames.iter().map(place).collect();
    Fixture { disk, model, frames }
}

impl Fixture {
    /// A copy of the store with a file damaged.
    fn damaged(&self, segment: u64, edit: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
        let disk = self.disk.fork();
        disk.edit(&segment_name(segment), edit);
        disk
    }

    fn last(&self) -> u64 {
        self.frames.last().unwrap().segment
    }

    fn of_segment(&self, segment: u64) -> Vec<Place> {
        self.frames.iter().copied().filter(|place| place.segment == segment).collect()
    }

    /// Batches before a place.
    fn batches_before(&self, segment: u64, offset: usize) -> usize {
        let before = |place: &&Place| (place.segment, place.end) <= (segment, offset);
        self.frames.iter().filter(before).filter(|place| place.header.kind == FrameKind::Batch).count()
    }

    /// Whether a header other than the frame's own proves that it was durable.
    fn proven(&self, frame: &Place) -> bool {
        self.frames.iter().any(|other| other.header.durable_upto >= frame.header.sequence)
    }

    /// What a reader and a writer take the store for. They have to agree, readers and a refused writer must change
    /// nothing, and whatever is reported is the report of a prefix.
    #[track_caller]
    fn verdict(&self, disk: &SimDisk) -> Verdict {
        let mut model = self.model.clone();
        model.acknowledged = 0;
        let reader = disk.fork();
        let view = View::open(&reader);
        let read =
            view.as_ref().map_err(shown).and_then(|view| report(view).map(|_| ()).map_err(|error| shown(&error)));
        let read = match read {
            Ok(()) => Verdict::Holds(model.check(view.as_ref().unwrap())),
            Err(verdict) => verdict,
        };
        assert_eq!(reader.mutations(), 0, "a reader changed something: {:?}", reader.operations());
        let writer = disk.fork();
        match (Log::open(writer.storage(), sync(SEGMENT)), &view) {
            (Ok((log, view, _)), Ok(_)) => match &read {
                Verdict::Holds(count) => assert_eq!(model.check(&view), *count, "reader and writer disagree"),
                // Sections of sealed segments are checked when they are read, and never appended to.
                Verdict::Corrupt(what) => {
                    drop(log);
                    assert!(!what.file.contains(&segment_name(self.last())), "appends behind damage: {what}");
                    assert_eq!(shown(&report(&view).unwrap_err()), read);
                }
                Verdict::Refused(_) => unreachable!("a report refuses no version"),
            },
            (Err(error), _) => {
                assert_eq!(shown(&error), read, "reader and writer disagree");
                assert_eq!(writer.files(), disk.files(), "a refused writer changed something");
            }
            (Ok(_), Err(error)) => panic!("the writer opens what the reader refuses: {error}"),
        }
        read
    }

    #[track_caller]
    fn assert_corrupt(&self, disk: &SimDisk, segment: u64, offsets: std::ops::Range<usize>) -> Corruption {
        let Verdict::Corrupt(what) = self.verdict(disk) else {
            panic!("no corruption of segment {segment}: {:?}", self.verdict(disk));
        };
        assert_eq!(what.file, format!("sim/{}", segment_name(segment)), "{what}");
        assert!(offsets.contains(&(what.offset as usize)), "{what}: not in {offsets:?}");
        assert!(!what.expected.is_empty() && !what.found.is_empty() && what.expected != what.found, "{what}");
        what
    }
}

fn shown(error: &Error) -> Verdict {
    match error {
        Error::Corruption(what) => Verdict::Corrupt((**what).clone()),
        other => Verdict::Refused(other.to_string()),
    }
}

#[test]
fn the_fixture_is_sound() {
    let store = fixture(1, 2);
    assert!(store.last() >= 3 && store.of_segment(store.last()).len() >= 5);
    assert_eq!(store.verdict(&store.disk), Verdict::Holds(store.model.written()));
    let unproven = store.frames.iter().filter(|frame| !store.proven(frame)).count();
    assert_eq!(unproven, 2);
}

#[test]
fn the_last_segment_cut_at_any_byte_holds_what_is_before_the_cut() {
    let store = fixture(1, 2);
    let last = store.last();
    for length in 0..store.disk.bytes(&segment_name(last)).len() {
        let disk = store.damaged(last, |bytes| bytes.truncate(length));
        if length < SEGMENT_HEADER {
            store.assert_corrupt(&disk, last, 0..1);
            continue;
        }
        assert_eq!(store.verdict(&disk), Verdict::Holds(store.batches_before(last, length)), "cut at {length}");
        let (_log, _, recovery) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
        let whole = store.of_segment(last).iter().any(|frame| frame.end == length) || length == SEGMENT_HEADER;
        match recovery.cut {
            None => assert!(whole, "cut at {length}"),
            Some(torn) => {
                let start = torn.what.offset as usize;
                assert!(store.of_segment(last).iter().any(|frame| frame.start == start) && start < length);
                assert_eq!(torn.bytes as usize, length - start);
                assert_eq!(disk.bytes(&segment_name(last)).len(), start, "what is torn is cut");
            }
        }
    }
}

#[test]
fn what_was_acknowledged_cannot_be_cut_off_or_rolled_back() {
    let store = recorded(1, 2);
    let last = store.last();
    let record = Acknowledged::decode(&store.disk.bytes(ACKNOWLEDGED_NAME)).unwrap();
    let frames = store.of_segment(last);
    let acknowledged = frames.iter().find(|frame| frame.header.sequence == record.sequence).unwrap();
    assert_eq!((record.segment, record.end), (last, acknowledged.end as u64));
    assert_eq!(acknowledged.header.kind, FrameKind::Batch, "of a mark nothing is promised");
    assert_eq!(store.batches_before(last, acknowledged.end), store.model.acknowledged);
    for length in SEGMENT_HEADER..store.disk.bytes(&segment_name(last)).len() {
        let disk = store.damaged(last, |bytes| bytes.truncate(length));
        if length >= acknowledged.end {
            assert_eq!(store.verdict(&disk), Verdict::Holds(store.batches_before(last, length)), "cut at {length}");
            continue;
        }
        let due = frames.iter().map(|frame| frame.end).filter(|&end| end <= length).max().unwrap_or(SEGMENT_HEADER);
        let what = store.assert_corrupt(&disk, last, due..due + 1);
        let (sequence, end) = (record.sequence, record.end);
        let expected = format!(
            "frames up to {sequence}, which were acknowledged (byte {end} of segment {last}, says ACKNOWLEDGED)"
        );
        // Of a frame of which a part is left, that is told which is wrong with it.
        assert!(what.expected == expected || length > due, "cut at {length}: {what}");
        let found = verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings;
        assert_eq!(found.first().map(|found| (found.offset, &found.expected)), Some((what.offset, &what.expected)));
    }
}

/// The last segment is an older copy of itself, and a writer that knew no better went on from there.
#[test]
fn a_log_that_went_on_differently_is_corrupt() {
    let store = recorded(1, 0);
    let last = store.last();
    let (disk, first) = (store.disk.fork(), store.of_segment(last)[0]);
    let record = disk.bytes(ACKNOWLEDGED_NAME);
    disk.lose(ACKNOWLEDGED_NAME);
    disk.edit(&segment_name(last), |bytes| bytes.truncate(first.start));
    let (mut choices, mut model) = (Choices::Random(9), store.model.clone());
    model.acknowledged = 0;
    let mut log = model.reopen(disk.storage(), sync(1 << 20));
    for _ in 0..10 {
        model.append(&mut log, 3, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
    }
    drop(log);
    let own = Acknowledged::decode(&disk.bytes(ACKNOWLEDGED_NAME)).unwrap();
    let was = Acknowledged::decode(&record).unwrap();
    assert!(own.sequence > was.sequence, "it has all the frames that were acknowledged, by number");
    let view = View::open(&disk).unwrap();
    let other =
        view.frames.iter().map(|place| place.frame.header).find(|header| header.sequence == was.sequence).unwrap();
    disk.edit(ACKNOWLEDGED_NAME, |bytes| *bytes = record);
    let what = store.assert_corrupt(&disk, last, other.offset as usize..other.offset as usize + 1);
    assert!(what.expected.contains(&format!("{:08x}", was.header_crc)) && what.found == format!("{:08x}", other.crc));
    let found = verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings;
    assert!(found.contains(&what), "{found:?}");
}

#[test]
fn of_a_store_of_which_only_the_record_is_left_all_is_missing() {
    let store = recorded(1, 0);
    let disk = store.disk.fork();
    (1..=store.last()).for_each(|number| disk.lose(&segment_name(number)));
    let what = store.assert_corrupt(&disk, 1, 0..1);
    assert!(what.expected.contains("were acknowledged, says ACKNOWLEDGED"), "{what}");
    // One that says nothing is no store, and a new one begins.
    disk.edit(ACKNOWLEDGED_NAME, |bytes| bytes[20] ^= 1);
    assert!(matches!(View::open(&disk), Err(Error::NoStore { .. })));
    Model::default().reopen(disk.storage(), sync(SEGMENT));
}

/// Overwritten without an fsync, it may be older than the log, torn, missing: never ahead.
#[test]
fn an_older_record_or_none_changes_nothing() {
    let (disk, mut choices, mut model) = (SimDisk::new(1), Choices::Random(1), Model::default());
    let mut log = model.reopen(disk.storage(), sync(SEGMENT));
    let mut records = Vec::new();
    for _ in 0..12 {
        model.append(&mut log, 3, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
        records.push(disk.bytes(ACKNOWLEDGED_NAME));
    }
    drop(log);
    records.dedup();
    assert_eq!(records.len(), 12, "each settled batch has one");
    for record in records {
        let disk = disk.fork();
        disk.edit(ACKNOWLEDGED_NAME, |bytes| *bytes = record.clone());
        assert_eq!(model.look(&disk), 12);
        // A writer that has nothing to add leaves it as it is, up to what it can prove itself.
        drop(model.clone().reopen(disk.storage(), sync(SEGMENT)));
        assert_eq!(disk.bytes(ACKNOWLEDGED_NAME), record);
    }
}

#[test]
fn a_sealed_segment_cut_at_any_byte_is_corrupt() {
    let store = fixture(1, 0);
    for segment in 1..store.last() {
        let whole = store.disk.bytes(&segment_name(segment)).len();
        for length in 0..whole {
            let disk = store.damaged(segment, |bytes| bytes.truncate(length));
            store.assert_corrupt(&disk, segment, 0..whole);
        }
    }
}

#[test]
fn a_flipped_bit_is_corruption_wherever_a_later_header_proves_that_the_byte_was_durable() {
    let store = fixture(1, 2);
    let (last, mut torn) = (store.last(), 0);
    for frame in store.of_segment(last) {
        for at in frame.start..frame.end {
            let disk = store.damaged(last, |bytes| bytes[at] ^= 1 << (at % 8));
            if store.proven(&frame) {
                let what = store.assert_corrupt(&disk, last, frame.start..at + 1);
                assert!(at >= frame.start + FRAME_HEADER || what.offset as usize == frame.start);
            } else {
                // Whole frames follow, and prove nothing: writes that were not fsynced land in any order.
                let before = store.batches_before(last, frame.start);
                assert_eq!(store.verdict(&disk), Verdict::Holds(before), "byte {at}");
                torn += 1;
            }
        }
    }
    assert!(torn > 3 * FRAME_HEADER);
}

#[test]
fn a_flipped_bit_anywhere_in_a_header_of_a_segment_or_in_a_sealed_segment_is_corruption() {
    let store = fixture(1, 0);
    for segment in 1..=store.last() {
        let whole = store.disk.bytes(&segment_name(segment)).len();
        for at in 0..if segment == store.last() { SEGMENT_HEADER } else { whole } {
            let disk = store.damaged(segment, |bytes| bytes[at] ^= 1 << (at % 8));
            store.assert_corrupt(&disk, segment, 0..at + 1);
        }
    }
}

#[test]
fn a_corruption_names_file_offset_expected_and_found() {
    let store = fixture(1, 0);
    let frame = store.of_segment(3)[0];
    let disk = store.damaged(3, |bytes| bytes[frame.start + 20] ^= 1);
    let Err(error) = View::open(&disk) else { panic!("opened") };
    let head: String = disk.bytes(&segment_name(3))[64..80].iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = "corrupt: expected a frame header whose CRC is right";
    assert_eq!(error.to_string(), format!("sim/0000000003.wal (byte 64): {expected}, found {head}"));
    assert!(error.hint().starts_with("no stored byte was changed"), "{}", error.hint());
}

#[test]
fn zeros_behind_the_end_are_torn_and_zeros_over_durable_frames_are_corrupt() {
    let store = fixture(1, 2);
    let (last, count) = (store.last(), store.model.written());
    let length = store.disk.bytes(&segment_name(last)).len();
    for zeros in [1, 79, 80, 512, 4096, 3 << 20] {
        let disk = store.damaged(last, |bytes| bytes.resize(length + zeros, 0));
        assert_eq!(store.verdict(&disk), Verdict::Holds(count));
        let (_log, _, recovery) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
        assert_eq!(recovery.cut.map(|torn| torn.bytes), Some(zeros as u64));
    }
    for frame in store.of_segment(last) {
        let disk = store.damaged(last, |bytes| bytes[frame.start..frame.end].fill(0));
        if store.proven(&frame) {
            store.assert_corrupt(&disk, last, frame.start..frame.start + 1);
        } else {
            let before = store.batches_before(last, frame.start);
            assert_eq!(store.verdict(&disk), Verdict::Holds(before));
        }
    }
}

#[test]
fn frames_in_another_order_or_of_another_file_are_none() {
    let (store, other) = (fixture(1, 2), fixture(2, 2));
    let last = store.last();
    let frames = store.of_segment(last);
    for pair in frames.windows(2) {
        let disk = store.damaged(last, |bytes| {
            let middle = pair[0].end - pair[0].start;
            bytes[pair[0].start..pair[1].end].rotate_left(middle);
        });
        match store.proven(&pair[0]) {
            true => drop(store.assert_corrupt(&disk, last, pair[0].start..pair[0].start + 1)),
            false => assert_eq!(store.verdict(&disk), Verdict::Holds(store.batches_before(last, pair[0].start))),
        }
    }
    // Frames that are sound where they were written: of an earlier segment, and of another store.
    let stale = [(&store, 1), (&store, 2), (&other, 1), (&other, other.last())];
    for (from, segment) in stale {
        let bytes = from.disk.bytes(&segment_name(segment));
        for alien in from.of_segment(segment) {
            for frame in &frames {
                let disk = store.damaged(last, |own| {
                    let end = own.len().min(frame.start + alien.end - alien.start);
                    own[frame.start..end].copy_from_slice(&bytes[alien.start..alien.start + end - frame.start]);
                });
                match store.verdict(&disk) {
                    Verdict::Holds(count) => assert_eq!(count, store.batches_before(last, frame.start)),
                    Verdict::Corrupt(what) => assert!(store.proven(frame) && what.offset == frame.start as u64),
                    other => panic!("{other:?}"),
                }
            }
        }
        let disk = store.damaged(last, |own| own.extend(&bytes[SEGMENT_HEADER..]));
        assert_eq!(store.verdict(&disk), Verdict::Holds(store.model.written()), "stale frames behind the end");
    }
}

#[test]
fn a_missing_or_foreign_segment_is_corruption() {
    let (store, other) = (fixture(1, 0), fixture(2, 0));
    let last = store.last();
    for missing in 1..=last {
        let disk = store.disk.fork();
        disk.lose(&segment_name(missing));
        // Only the seal before it tells of the last one.
        let blamed = if missing == last { last - 1 } else { missing };
        let what = store.assert_corrupt(&disk, blamed, 0..usize::MAX);
        let told = format!("{what}");
        assert!(told.contains(&segment_name(missing)), "{told}");
    }
    for number in 1..=last {
        let disk = store.damaged(number, |bytes| *bytes = other.disk.bytes(&segment_name(number)));
        assert!(matches!(store.verdict(&disk), Verdict::Corrupt(_)), "segment {number} of another store");
        let next = number % last + 1;
        let disk = store.damaged(number, |bytes| *bytes = store.disk.bytes(&segment_name(next)));
        store.assert_corrupt(&disk, number, 0..1);
    }
}

/// The header of a file of another version, with as many bytes as it says.
fn newer_header(magic: &[u8; 8], length: u16) -> Vec<u8> {
    let mut bytes = [&magic[..], &2u16.to_le_bytes(), &length.to_le_bytes()].concat();
    bytes.resize(usize::from(length) - 4, 9);
    bytes.extend_from_slice(&crc(&bytes).to_le_bytes());
    bytes
}

#[test]
fn a_newer_format_is_refused_and_is_no_damage() {
    let store = fixture(1, 0);
    let newer = |name: &str| format!("sim/{name}: written in format 2, and this chatwal reads format 1 only");
    for number in 1..=store.last() {
        for length in [16, 60, 64, 68, 1000, u16::MAX] {
            let disk = store.damaged(number, |bytes| {
                let header = newer_header(b"chatwal\0", length);
                bytes.resize(bytes.len().max(header.len()), 0);
                bytes[..header.len()].copy_from_slice(&header);
            });
            assert_eq!(store.verdict(&disk), Verdict::Refused(newer(&segment_name(number))), "{length} bytes");
            let verified = verify(&disk, &Limits::new(1), &|_| ()).map(|_| ()).map_err(|error| error.to_string());
            assert_eq!(verified, Err(newer(&segment_name(number))));
        }
    }
    for length in [16, 100, 192, 200, 5000] {
        let disk = store.disk.fork();
        let name = snapshot_name(&(1..=1));
        disk.edit(&name, |bytes| *bytes = newer_header(b"chatsnap", length));
        assert_eq!(store.verdict(&disk), Verdict::Refused(newer(&name)), "{length} bytes");
    }
    // Of this version it has one length, whatever the checksum says.
    let disk = store.damaged(1, |bytes| {
        bytes[10] = 68;
        let sum = crc(&bytes[..64]).to_le_bytes();
        bytes[64..68].copy_from_slice(&sum);
    });
    store.assert_corrupt(&disk, 1, 0..1);
}

/// Batch, mark, batch, and a frame of a kind that only a newer program knows, which says that the batch was durable.
#[test]
fn a_header_of_an_unknown_kind_proves_what_it_says() {
    let mut segment = Forged::first();
    segment.batch(0);
    segment.push(FrameKind::Mark, 1, &[], &[]);
    segment.batch(1);
    let before = segment.clone();
    segment.push(FrameKind::Unknown(6), 3, &[], &[]);
    let on_disk = |bytes: Vec<u8>| {
        let disk = SimDisk::new(1);
        disk.edit(&segment_name(1), |file| *file = bytes);
        disk
    };
    let refused = |disk: &SimDisk| View::open(disk).map(|view| view.frames.len()).map_err(|error| error.to_string());
    assert!(refused(&on_disk(segment.bytes.clone())).unwrap_err().contains("a frame of unknown kind 6"), "it is newer");
    let mut bytes = segment.bytes.clone();
    bytes[segment.frames[2].start + 9] ^= 1;
    let disk = on_disk(bytes);
    let what = refused(&disk).unwrap_err();
    assert!(what.contains("corrupt") && what.contains(&format!("byte {}", segment.frames[2].start)), "{what}");
    assert!(matches!(Log::open(disk.storage(), sync(SEGMENT)), Err(Error::Corruption(_))));
    assert_eq!(disk.mutations(), 0);
    // One of another segment says nothing, be it newer or not.
    let mut stranger = before.clone();
    stranger.header.salt ^= 1;
    stranger.push(FrameKind::Unknown(6), 3, &[], &[]);
    assert_eq!(refused(&on_disk(stranger.bytes)), Ok(3), "torn");
}

/// Its mark stands then where it stood, and is the proof.
#[test]
fn the_frame_that_was_acknowledged_last_cannot_be_taken_out_unseen() {
    let store = fixture(1, 0);
    let last = store.last();
    let frames = store.of_segment(last);
    let [.., batch, mark] = frames.as_slice() else { panic!("{frames:?}") };
    assert_eq!((batch.header.kind, mark.header.kind), (FrameKind::Batch, FrameKind::Mark));
    let disk = store.damaged(last, |bytes| drop(bytes.drain(batch.start..batch.end)));
    store.assert_corrupt(&disk, last, batch.start..batch.start + 1);
}

/// The store with the successor of its last segment published, as a roll leaves it before it seals.
fn half_rolled(store: &Fixture) -> Result<SimDisk> {
    let disk = store.disk.fork();
    let view = View::open(&disk)?;
    publish_segment(&disk, view.store(), store.last() + 1, view.link.sequence + 1)?;
    Ok(disk)
}

#[test]
fn an_interrupted_roll_is_finished_by_the_writer() {
    let store = fixture(1, 0);
    let (last, count) = (store.last(), store.model.written());
    let whole = half_rolled(&store).unwrap();
    let sealed = whole.fork();
    drop(Log::open(sealed.storage(), sync(SEGMENT)).unwrap());
    let (before, after) = (whole.bytes(&segment_name(last)).len(), sealed.bytes(&segment_name(last)));
    assert_eq!(after.len(), before + FRAME_HEADER, "the seal");
    for length in before..=after.len() {
        let disk = whole.fork();
        disk.edit(&segment_name(last), |bytes| *bytes = after[..length].to_vec());
        assert_eq!(store.verdict(&disk), Verdict::Holds(count), "{} bytes of the seal", length - before);
        let mut model = store.model.clone();
        let mut log = model.reopen(disk.storage(), sync(SEGMENT));
        assert_eq!(disk.bytes(&segment_name(last)), after);
        model.append(&mut log, 2, &mut Choices::Random(1)).unwrap();
        model.settle(&mut log).unwrap();
        assert_eq!(model.look(&disk.crash(&mut Choices::Random(1))), count + 1);
    }
    // The frames before a seal are fsynced before the successor is published: none of them can be torn.
    for frame in store.of_segment(last) {
        let disk = whole.fork();
        disk.edit(&segment_name(last), |bytes| bytes[frame.start] ^= 1);
        store.assert_corrupt(&disk, last, frame.start..frame.end);
        let disk = whole.fork();
        disk.edit(&segment_name(last), |bytes| bytes.truncate(frame.end - 1));
        store.assert_corrupt(&disk, last, frame.start..frame.end);
    }
    // And the seal before the successor gets a frame.
    let disk = sealed.fork();
    let (mut log, ..) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
    store.model.clone().append(&mut log, 1, &mut Choices::Random(1)).unwrap();
    drop(log);
    disk.edit(&segment_name(last), |bytes| bytes.truncate(before));
    store.assert_corrupt(&disk, last, before..before + 1);
}

#[test]
fn leftovers_are_ignored_by_readers_and_removed_by_the_writer() {
    let store = fixture(1, 0);
    let disk = store.disk.fork();
    let leftover = format!("{}.tmp", segment_name(store.last() + 1));
    disk.edit(&leftover, |bytes| bytes.extend(b"half a hea"));
    assert_eq!(store.verdict(&disk), Verdict::Holds(store.model.written()));
    let (_log, _, recovery) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
    assert_eq!(recovery.removed, [format!("sim/{leftover}")]);
    assert!(!disk.files().contains_key(&leftover));
    // On a store that it refuses, the writer touches not even those.
    let disk = store.damaged(1, |bytes| bytes[0] ^= 1);
    disk.edit(&leftover, |bytes| bytes.extend(b"half a hea"));
    store.assert_corrupt(&disk, 1, 0..1);
}

#[test]
fn frames_that_only_the_page_cache_has_are_written_again() {
    let mut kept = 0;
    for seed in 0..100 {
        let (disk, mut choices, mut model) = (SimDisk::new(seed), Choices::Random(seed), Model::default());
        let mut log = model.reopen(disk.storage(), sync(1 << 20));
        model.append(&mut log, 3, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
        let syncs = |disk: &SimDisk| disk.operations().iter().filter(|call| call.starts_with("sync 0")).count();
        drop(log);
        let mut log = model.reopen(disk.storage(), sync(1 << 20));
        let before = syncs(&disk);
        // The second change from here is the first sync behind the two pieces of a frame, or the one after.
        disk.fail_at(Count::Mutating, 2, Fault::Eio, false);
        model.append(&mut log, 30, &mut choices).unwrap();
        assert!(log.settle().is_err());
        assert_eq!(syncs(&disk), before + 1, "a failed sync is not tried again");
        drop(log);
        let disk = disk.kill();
        let mut log = model.reopen(disk.storage(), sync(1 << 20));
        kept += usize::from(model.written() == 2);
        model.append(&mut log, 1, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
        drop(log);
        let after = disk.crash(&mut choices);
        assert_eq!(model.look(&after), model.written(), "seed {seed}");
    }
    assert_eq!(kept, 100, "the page cache had the frame");
}

/// The header of a torn frame tells the truth about those before it; but once it is cut off, a mark has to say it again.
#[test]
fn a_proof_that_recovery_cuts_off_is_written_again() {
    let (disk, mut choices, mut model) = (SimDisk::new(1), Choices::Random(1), Model::default());
    let mut log = model.reopen(disk.storage(), sync(1 << 20));
    for _ in 0..2 {
        model.append(&mut log, 2, &mut choices).unwrap();
        log.flush().unwrap();
    }
    drop(log);
    disk.edit(&segment_name(1), |bytes| *bytes.last_mut().unwrap() ^= 1);
    model.acknowledged = 0;
    let mut log = model.reopen(disk.storage(), sync(1 << 20));
    assert_eq!((model.written(), model.acknowledged), (1, 0), "the first batch is left, unproven");
    model.settle(&mut log).unwrap();
    drop(log);
    disk.edit(&segment_name(1), |bytes| bytes[SEGMENT_HEADER] ^= 1);
    assert!(matches!(View::open(&disk), Err(Error::Corruption(_))), "an acknowledged batch is gone in silence");
}

#[test]
fn bytes_that_were_inserted_or_taken_out_are_corruption_though_they_move_every_proof() {
    let fixture = fixture(41, 0);
    let last = fixture.last();
    let frames = fixture.of_segment(last);
    // Before the header that proves the last batch: it moves with what is behind the damage.
    let proof = frames.last().unwrap().start;
    for at in (SEGMENT_HEADER..proof).step_by(7) {
        for insert in [true, false] {
            let disk = fixture.damaged(last, |bytes| {
                if insert {
                    bytes.insert(at, b'\r');
                } else {
                    bytes.remove(at);
                }
            });
            let verdict = fixture.verdict(&disk);
            assert!(matches!(verdict, Verdict::Corrupt(_)), "byte {at}, inserted: {insert}: {verdict:?}");
        }
    }
}
