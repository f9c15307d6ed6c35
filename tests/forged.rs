//! P8: bytes whose checksums are right and that no chatwal writes. A CRC is no signature, so such a store may be believed;
//! but nothing panics, and nothing that was accepted is made unreadable. Most of these were found by the fuzzers.

mod support;

use std::sync::atomic::AtomicBool;

use chatwal::compact::{CompactOptions, compact};
use chatwal::error::Error;
use chatwal::format::MAX_COUNT;
use chatwal::format::block::SnapshotHeader;
use chatwal::format::frame::{Entry, SectionKind};
use chatwal::log::Log;
use chatwal::store::{View, snapshot_name};
use support::sim::{Choices, SimDisk};
use support::store::{Sample, report, sync};

const COMPACT: CompactOptions = CompactOptions { threads: 1, memory: 1 << 20, all: true };

fn fold(disk: &SimDisk) -> chatwal::error::Result<()> {
    compact(disk, &COMPACT, &AtomicBool::new(false), &|_| ()).map(|_| ())
}

/// A store of one batch, sealed.
fn sealed(forge: impl FnOnce(&mut chatwal::log::Batch)) -> SimDisk {
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
