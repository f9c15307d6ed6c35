//! P8: bytes whose checksums are right and that no chatwal writes. A CRC is no signature, so such a store may be believed;
//! but nothing panics, and nothing that was accepted is made unreadable. Most of these were found by the fuzzers.

mod support;

use std::sync::atomic::AtomicBool;

use chatwal::disk::scratch::Limits;
use chatwal::error::Error;
use chatwal::event::Site;
use chatwal::format::MAX_COUNT;
use chatwal::format::block::{BlockHeader, BlockKind};
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::directory::{Entry, SectionKind};
use chatwal::format::frame::FrameKind;
use chatwal::format::rejects::{Reject, RejectsEncoder};
use chatwal::format::snapshot_header::SnapshotHeader;
use chatwal::store::log::Log;
use chatwal::store::{View, segment_name, snapshot_name};
use chatwal::upkeep::compact::{CompactOptions, compact};
use chatwal::upkeep::verify::verify;
use support::forge::{Forged, reforged};
use support::sim::{Choices, SimDisk};
use support::store::{Sample, report, sync, text};

const COMPACT: CompactOptions = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: true };

fn fold(disk: &SimDisk) -> chatwal::error::Result<()> {
    compact(disk, &COMPACT, &AtomicBool::new(false), &|_| ()).map(|_| ())
}

/// A store of one batch, sealed.
fn sealed(forge: impl FnOnce(&mut chatwal::store::log::Batch)) -> SimDisk {
    let (disk, mut choices) = (SimDisk::new(1), Choices::Random(1));
    let (mut log, ..) = Log::open(disk.storage(), sync(1 << 20)).unwrap();
    let sample = Sample::new(1, 20, &mut choices);
    let mut batch = sample.batch();
    forge(&mut batch);
    log.append_batch(&sample.checkpoint, &batch).unwrap();
    log.seal().unwrap();
    disk
}

/// The same, folded, and the header of the snapshot as somebody forged it.
fn folded(forge: impl FnOnce(&mut SnapshotHeader)) -> SimDisk {
    let disk = sealed(|_| ());
    fold(&disk).unwrap();
    disk.edit(&snapshot_name(&(1..=1)), |bytes| {
        let mut header = SnapshotHeader::decode(bytes).unwrap();
        forge(&mut header);
        bytes[..header.encode().len()].copy_from_slice(&header.encode());
    });
    disk
}

#[test]
fn a_site_in_two_shards_is_corruption_to_readers_and_to_the_compactor() {
    let disk = sealed(|batch| {
        // Once more, as a section of another shard.
        let events: Vec<_> = batch.entries.iter().filter(|entry| entry.kind == SectionKind::Events).copied().collect();
        let last = events.last().unwrap();
        assert!(last.shard < u8::MAX);
        let bytes = batch.sections[batch.sections.len() - last.length as usize..].to_vec();
        batch.entries.push(Entry { shard: u8::MAX, ..*last });
        batch.sections.extend_from_slice(&bytes);
    });
    let before = disk.files();
    let view = View::open(&disk).unwrap();
    assert!(matches!(report(&view), Err(Error::Corruption(_))), "a site would stand twice in the report");
    assert!(matches!(fold(&disk), Err(Error::Corruption(_))), "the snapshot could not be read again");
    assert_eq!(disk.files(), before, "the segment is all there is");
}

/// A segment of one batch, whose section of events is these bytes and says to hold so many.
fn of_events(section: &[u8], count: u32) -> SimDisk {
    let mut segment = Forged::first();
    let checkpoint = Sample::new(1, 1, &mut Choices::Random(1)).checkpoint.encode();
    let entries = [
        Entry::new(SectionKind::Checkpoint, 0, 1, &checkpoint),
        Entry::new(SectionKind::Events, shard(site_hash(Site::Number(1))), count, section),
    ];
    segment.push(FrameKind::Batch, 0, &entries, &[checkpoint.as_slice(), section].concat());
    segment.push(FrameKind::Mark, 1, &[], &[]);
    let disk = SimDisk::new(1);
    disk.edit(&segment_name(1), |file| *file = segment.bytes);
    disk
}

/// What all make of a store whose checksums are right and whose content is not: nobody builds on it.
#[track_caller]
fn assert_refused(disk: &SimDisk, expected: &str) {
    let told = |error: Error| error.to_string();
    let readers = View::open(disk).and_then(|view| report(&view)).map(drop).map_err(told).unwrap_err();
    assert!(readers.contains(expected), "readers: {readers}");
    let found = verify(disk, &Limits::new(1), &|_| ()).unwrap().findings;
    assert!(found.iter().any(|found| found.to_string().contains(expected)), "verify: {found:?}");
    let writer = Log::open(disk.storage(), sync(1 << 20)).map(drop).map_err(told).unwrap_err();
    assert!(writer.contains(expected), "the writer: {writer}");
    assert_eq!(disk.mutations(), 0, "{:?}", disk.operations());
}

/// The section of one event of site 1: `fields` are the counts of sites, actors and ids, the earliest timestamp, the widths.
fn one_event(fields: [u8; 8], sites: &[u8]) -> Vec<u8> {
    [&fields[..], sites, &[0, 8], b"v", &[1, 1, 2], b"id"].concat()
}

#[test]
fn events_without_a_site_are_refused_by_all() {
    // Numbered, named, actors, textual ids, zigzag of the earliest, three widths; the number; an actor, a message of `v`.
    let sound = of_events(&one_event([1, 0, 1, 1, 0, 0, 0, 0], &[1]), 1);
    let expected = "1,messages=0,emails=1,operators=0,visitors=1\n";
    assert_eq!(text(&report(&View::open(&sound).unwrap()).unwrap()), expected, "the fixture");
    assert_refused(&of_events(&one_event([0, 0, 1, 1, 0, 0, 0, 0], &[]), 1), "at least one site");
}

#[test]
fn a_width_of_more_bits_than_there_are_is_refused_where_nothing_has_it_too() {
    let shop = [0, 4, b's', b'h', b'o', b'p'];
    for widths in [[65, 0, 0], [0, 65, 0], [0, 0, 65], [255, 0, 0]] {
        let [gaps, times, actors] = widths;
        assert_refused(&of_events(&one_event([0, 1, 1, 1, 0, gaps, times, actors], &shop), 1), "at most 64 bits");
    }
}

#[test]
fn nothing_is_appended_behind_content_that_is_invalid() {
    // An actor that is not in the list, in the middle of a segment whose other frames are sound.
    let mut segment = Forged::first();
    segment.batch(0);
    let checkpoint = Sample::new(2, 1, &mut Choices::Random(1)).checkpoint.encode();
    let events = one_event([1, 0, 1, 1, 0, 0, 0, 1], &[1]);
    let events = [&events[..events.len() - 3], &[1], b"\x02id"].concat();
    let entries = [
        Entry::new(SectionKind::Checkpoint, 0, 1, &checkpoint),
        Entry::new(SectionKind::Events, shard(site_hash(Site::Number(1))), 1, &events),
    ];
    segment.push(FrameKind::Batch, 1, &entries, &[checkpoint, events].concat());
    segment.push(FrameKind::Mark, 2, &[], &[]);
    segment.batch(3);
    segment.push(FrameKind::Mark, 4, &[], &[]);
    let disk = SimDisk::new(1);
    disk.edit(&segment_name(1), |file| *file = segment.bytes);
    assert_refused(&disk, "an actor of the dictionary");
}

/// No writer uses an instance again that was forgotten. Where somebody did, what was before it stays forgotten.
#[test]
fn rejects_from_before_an_input_was_forgotten_never_come_back() {
    let (disk, mut choices) = (SimDisk::new(1), Choices::Random(1));
    let (mut log, ..) = Log::open(disk.storage(), sync(1 << 20)).unwrap();
    let with_reject = |number: u64, choices: &mut Choices| {
        let mut sample = Sample::new(number, 1, choices);
        (sample.checkpoint.start_line, sample.checkpoint.end_line) = (0, 9);
        let (mut batch, mut rejects) = (sample.batch(), RejectsEncoder::default());
        let events = std::mem::take(&mut batch);
        rejects.push(Reject { offset: 0, line: number, column: 0, reason: 3, length: 4, raw: b"oops" });
        rejects.finish(&mut batch.entries, &mut batch.sections);
        batch.entries.extend(events.entries);
        batch.sections.extend(events.sections);
        (sample.checkpoint, batch)
    };
    let (checkpoint, batch) = with_reject(1, &mut choices);
    log.append_batch(&checkpoint, &batch).unwrap();
    log.append_forget(&[checkpoint.instance]).unwrap();
    let (checkpoint, batch) = with_reject(2, &mut choices);
    log.append_batch(&checkpoint, &batch).unwrap();
    log.seal().unwrap();
    for folded in [false, true] {
        if folded {
            fold(&disk).unwrap();
        }
        let view = View::open(&disk).unwrap();
        let mut lines = Vec::new();
        view.rejects(&mut |_, rejects| {
            lines.extend(rejects.map(|reject| reject.line));
            true
        })
        .unwrap();
        assert_eq!((lines, view.inputs[&checkpoint.instance].rejects), (vec![3], 1), "folded: {folded}");
        assert_eq!(verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings, []);
    }
}

#[test]
fn tables_of_a_snapshot_say_each_thing_once_and_nothing_of_nothing() {
    let sound = folded(|_| ());
    let name = snapshot_name(&(1..=1));
    type Blocks = Vec<(BlockHeader, Vec<u8>)>;
    type Edit = fn(&mut Blocks);
    let shards = |blocks: &Blocks| blocks.iter().position(|(block, _)| block.kind == BlockKind::Shards).unwrap();
    let edits: [(&str, Edit); 4] = [
        ("one table of shards", |blocks| {
            let at = blocks.iter().position(|(block, _)| block.kind == BlockKind::Shards).unwrap();
            blocks.insert(at, blocks[at].clone());
        }),
        ("a shard that has events", |blocks| {
            let at = blocks.iter().position(|(block, _)| block.kind == BlockKind::Shards).unwrap();
            blocks[at].0.count += 1;
            blocks[at].1.extend_from_slice(&[255, 0, 0]);
        }),
        ("2 instances of 16 bytes", |blocks| {
            let block = BlockHeader { kind: BlockKind::Forgotten, count: 2, ..blocks[0].0 };
            blocks.push((BlockHeader { shard: 0, ..block }, vec![7; 16]));
        }),
        ("1 instances of 16 bytes", |blocks| {
            let block = BlockHeader { kind: BlockKind::Forgotten, count: 1, ..blocks[0].0 };
            blocks.push((BlockHeader { shard: 0, ..block }, vec![7; 17]));
        }),
    ];
    for (expected, edit) in edits {
        let disk = sound.fork();
        disk.edit(&name, |bytes| {
            *bytes = reforged(bytes, |blocks| {
                assert_ne!(blocks[shards(blocks)].1.last(), Some(&255));
                edit(blocks);
            });
        });
        let Err(Error::Corruption(what)) = View::open(&disk) else { panic!("accepted: {expected}") };
        assert!(what.to_string().contains(expected), "{expected}: {what}");
    }
}

/// Repeated lines are nothing but a count, so no byte that is there bounds it.
#[test]
fn counts_of_repeated_lines_make_no_snapshot_that_cannot_be_read() {
    let repeats = |count, bytes: &[u8]| Entry::new(SectionKind::Repeats, 0, count, bytes);
    for (count, bytes) in [(0, [].as_slice()), (1, b"x")] {
        let disk = sealed(|batch| {
            batch.entries.push(repeats(count, bytes));
            batch.sections.extend_from_slice(bytes);
        });
        assert!(matches!(View::open(&disk), Err(Error::Corruption(_))), "{count} repeats in {} bytes", bytes.len());
    }
    let (disk, mut choices) = (SimDisk::new(1), Choices::Random(1));
    let (mut log, ..) = Log::open(disk.storage(), sync(1 << 20)).unwrap();
    let sample = Sample::new(1, 20, &mut choices);
    let mut batch = sample.batch();
    batch.entries.push(repeats(u32::MAX, &[]));
    // More than a snapshot can count.
    for _ in 0..=(MAX_COUNT >> 32) {
        log.append_batch(&sample.checkpoint, &batch).unwrap();
    }
    log.seal().unwrap();
    let expected = report(&View::open(&disk).unwrap()).unwrap();
    fold(&disk).unwrap();
    let view = View::open(&disk).unwrap();
    assert_eq!(report(&view).unwrap(), expected);
    assert_eq!(view.snapshots[0].header.copies, MAX_COUNT - 1);
    assert_eq!(view.inputs.values().next().unwrap().events, MAX_COUNT - 1);
}

#[test]
fn counts_in_the_header_of_a_snapshot_are_bounded_and_move_no_arithmetic() {
    let sound = folded(|_| ());
    let expected = report(&View::open(&sound).unwrap()).unwrap();
    for count in [0, 1, (1 << 40) - 1, 1 << 40, u64::MAX] {
        let disk = folded(|header| (header.sites, header.events, header.disputed) = (count, count, count));
        match View::open(&disk) {
            Ok(view) => assert_eq!((report(&view).unwrap(), count < 1 << 40), (expected.clone(), true)),
            Err(error) => assert!(matches!(error, Error::Corruption(_)) && count >= 1 << 40, "{count}: {error}"),
        }
    }
}

/// Who appends from memory makes the checkpoint: one that no reader accepts is refused before anything is written, and the log
/// goes on.
#[test]
fn a_checkpoint_that_no_reader_accepts_is_not_appended() {
    let (disk, mut choices) = (SimDisk::new(1), Choices::Random(1));
    let (mut log, ..) = Log::open(disk.storage(), sync(1 << 20)).unwrap();
    let sample = Sample::new(1, 20, &mut choices);
    let wrong: [fn(&mut chatwal::format::checkpoint::Checkpoint); 4] = [
        |checkpoint| checkpoint.start = checkpoint.end + 1,
        |checkpoint| checkpoint.end = u64::MAX,
        |checkpoint| checkpoint.windows.tail_length += 1,
        |checkpoint| checkpoint.marks.push(chatwal::format::checkpoint::Mark { end: checkpoint.end, tail: [0; 16] }),
    ];
    for spoil in wrong {
        let mut checkpoint = sample.checkpoint.clone();
        spoil(&mut checkpoint);
        let error = log.append_batch(&checkpoint, &sample.batch()).unwrap_err().to_string();
        assert!(error.contains("a checkpoint that no reader accepts: expected "), "{error}");
    }
    log.append_batch(&sample.checkpoint, &sample.batch()).unwrap();
    log.settle().unwrap();
    assert_eq!(View::open(&disk).unwrap().frames.len(), 2, "the batch, and the mark behind it");
}
