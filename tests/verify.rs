//! `verify`: it finds whatever is wrong anywhere in a store, says where, changes nothing, and finds nothing in a store that
//! is being written.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chatwal::disk::scratch::Limits;
use chatwal::disk::{Disk, Storage};
use chatwal::error::{Corruption, Error};
use chatwal::event::table::Table;
use chatwal::event::{Event, Id};
use chatwal::format::block::{BLOCK_HEADER, BlockHeader, BlockKind};
use chatwal::format::coding::crc;
use chatwal::format::directory::{ENTRY, SectionKind};
use chatwal::format::events::{EventsDecoder, EventsEncoder};
use chatwal::format::frame::{FRAME_HEADER, FrameHeader};
use chatwal::format::index::{SiteEntry, each_site, put_site};
use chatwal::format::snapshot_header::{SNAPSHOT_HEADER, SnapshotHeader};
use chatwal::format::tables::{InputEntry, decode_inputs, put_input};
use chatwal::store::{ACKNOWLEDGED_NAME, View};
use chatwal::upkeep::compact::{CompactOptions, compact};
use chatwal::upkeep::repair::{RepairOptions, repair};
use chatwal::upkeep::verify::{Verification, verify};
use support::cli::{Sandbox, generated};
use support::forge::reforged;
use support::sim::{Choices, Count, Fault, SimDisk};
use support::store::{Model, sync};
use support::town::{Town, answer, spoil};

/// What `verify` says, which changes nothing.
#[track_caller]
fn verified(disk: &SimDisk) -> Verification {
    let disk = disk.fork();
    let verified = verify(&disk, &Limits::new(2), &|_| ()).unwrap();
    assert_eq!(disk.mutations(), 0, "{:?}", disk.operations());
    verified
}

/// A store with two snapshots and some segments; small, so that every byte of it can be tried.
fn town() -> Town {
    let town = Town::build(3, &[12, 1], 8);
    let (snapshots, segments) = town.names();
    assert!(snapshots.len() == 2 && segments.len() >= 2, "{snapshots:?} {segments:?}");
    town
}

/// The findings, which have to be in this file.
#[track_caller]
fn findings(disk: &SimDisk, file: &str) -> Vec<Corruption> {
    let verified = verified(disk);
    assert!(!verified.findings.is_empty(), "nothing is found in {file}");
    for finding in &verified.findings {
        assert_eq!(finding.file, format!("sim/{file}"), "{finding}");
        assert!(!finding.expected.is_empty() && finding.expected != finding.found, "{finding}");
    }
    verified.findings
}

#[test]
fn of_a_sound_store_everything_is_checked_and_nothing_found() {
    let town = town();
    let view = View::open(&town.disk).unwrap();
    let Verification { findings, torn, checked, recorded: _ } = verified(&town.disk);
    assert_eq!((findings, torn), (Vec::new(), None));
    let (snapshots, segments) = town.names();
    assert_eq!(checked.files as usize, snapshots.len() + segments.len());
    assert_eq!(checked.frames, view.frames.len() as u64);
    assert_eq!(checked.sections, view.frames.iter().map(|place| place.frame.sections.len() as u64).sum::<u64>());
    assert_eq!(checked.bytes, view.bytes());
    let blocks: Vec<BlockHeader> = town.names().0.iter().flat_map(|snapshot| town.blocks(snapshot)).collect();
    assert_eq!(checked.blocks, blocks.len() as u64);
    let folded = blocks.iter().filter(|block| block.kind == BlockKind::Events).map(|block| u64::from(block.count));
    let appended = view.frames.iter().map(|place| place.frame.count(SectionKind::Events));
    assert_eq!(checked.events, folded.sum::<u64>() + appended.sum::<u64>());
    // An empty store is a store.
    let empty = SimDisk::new(1);
    drop(chatwal::store::log::Log::open(empty.storage(), sync(1 << 20)).unwrap());
    assert_eq!(verified(&empty).findings, []);
    assert!(matches!(verify(&SimDisk::new(1), &Limits::new(1), &|_| ()), Err(Error::NoStore { .. })));
}

#[test]
fn a_flipped_bit_is_found_wherever_it_is() {
    let town = town();
    let last = town.names().1.pop().unwrap();
    let (mut flips, mut torn) = (0, 0);
    for (file, bytes) in town.disk.files() {
        for at in 0..bytes.len() {
            let disk = town.disk.fork();
            disk.edit(&file, |bytes| bytes[at] ^= 1 << (at % 8));
            if file == ACKNOWLEDGED_NAME {
                // A record that is damaged says nothing, which is told, and nothing else is wrong.
                assert_eq!(verified(&disk), Verification { recorded: false, ..verified(&town.disk) });
                continue;
            }
            flips += 1;
            match verify(&disk, &Limits::new(1), &|_| ()) {
                Ok(Verification { findings, torn: None, .. }) => {
                    let path = format!("sim/{file}");
                    assert!(findings.iter().any(|found| found.file == path), "byte {at} of {file}: {findings:?}");
                    assert!(findings.iter().all(|found| found.file == path), "byte {at} of {file}: {findings:?}");
                }
                // The mark at the very end, which nothing proves.
                Ok(Verification { findings, torn: Some((what, bytes)), .. }) => {
                    assert_eq!((findings, &file, bytes as usize), (Vec::new(), &last, FRAME_HEADER));
                    assert!(what.offset as usize <= at);
                    torn += 1;
                }
                Err(error) => panic!("byte {at} of {file}: {error}"),
            }
        }
    }
    println!("{flips} flips, {torn} of them in a torn end");
    assert_eq!(torn, FRAME_HEADER);
}

#[test]
fn a_cut_is_found_wherever_it_is_proven() {
    let town = town();
    let last = town.names().1.pop().unwrap();
    for (file, bytes) in town.disk.files().into_iter().filter(|(file, _)| file != ACKNOWLEDGED_NAME) {
        for length in (0..bytes.len()).step_by(3) {
            let disk = town.disk.fork();
            disk.edit(&file, |bytes| bytes.truncate(length));
            let sound = View::open(&disk).is_ok();
            let found = !verified(&disk).findings.is_empty();
            assert_eq!(found, !sound, "{file} cut to {length}");
            assert!(found || file == last, "{file} cut to {length}");
        }
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let town = town();
    let (snapshots, segments) = town.names();
    let disk = town.disk.fork();
    let mut wrong = Vec::new();
    let mut spoil_block = |file: &str, block: &BlockHeader| {
        spoil(&disk, file, block);
        wrong.push((file.to_owned(), block.offset + BLOCK_HEADER as u64));
    };
    for kind in [BlockKind::Events, BlockKind::Index] {
        spoil_block(&snapshots[0], &town.block(&snapshots[0], kind));
    }
    // Several that are read in one go.
    let rejects = town.blocks(&snapshots[0]).into_iter().filter(|block| block.kind == BlockKind::Rejects);
    rejects.for_each(|block| spoil_block(&snapshots[0], &block));
    spoil_block(&snapshots[1], &town.block(&snapshots[1], BlockKind::Shards));
    let frames = town.frames();
    let batches: Vec<_> = frames.iter().filter(|place| place.turn.is_some()).collect();
    for place in [batches[0], batches[2], batches[batches.len() - 1]] {
        for section in [&place.frame.sections[0], place.sections().next_back().unwrap()] {
            disk.edit(&place.file, |bytes| bytes[section.at as usize] ^= 1);
            wrong.push((place.file.clone(), section.at));
        }
    }
    let header = frames.iter().find(|place| place.file == segments[1] && place.turn != batches[2].turn).unwrap();
    disk.edit(&header.file, |bytes| bytes[header.frame.header.offset as usize + 7] ^= 1);
    wrong.push((header.file.clone(), header.frame.header.offset));
    wrong.sort();
    wrong.dedup();
    let found: Vec<_> = verified(&disk)
        .findings
        .into_iter()
        .map(|found| (found.file.trim_start_matches("sim/").to_owned(), found.offset))
        .collect();
    assert_eq!(found, wrong);
}

#[test]
fn names_and_intervals_are_checked() {
    let town = town();
    let (snapshots, segments) = town.names();
    for file in snapshots.iter().chain(&segments) {
        let disk = town.disk.fork();
        disk.lose(file);
        assert!(!verified(&disk).findings.is_empty(), "{file} is missing");
    }
    let swapped = town.disk.fork();
    swapped.edit(&segments[0], |bytes| *bytes = town.disk.bytes(&segments[1]));
    assert!(findings(&swapped, &segments[0])[0].found.contains("that of segment"));
    let other = Town::build(4, &[12, 1], 8);
    let alien = town.disk.fork();
    alien.edit(&segments[0], |bytes| *bytes = other.disk.bytes(&segments[0]));
    assert!(findings(&alien, &segments[0])[0].found.contains("another store"));
    let disk = town.disk.fork();
    disk.edit("0000000001-0000000099.snap.tmp", |bytes| bytes.push(1));
    disk.edit("0000000001.wal.repair-1", |bytes| bytes.push(1));
    assert_eq!(verified(&disk).findings, [], "what is no file of the store is ignored");
}

/// Rewrites a block's payload and makes its checksums right again.
fn forge(disk: &SimDisk, file: &str, block: &BlockHeader, edit: impl FnOnce(&mut Vec<u8>)) {
    disk.edit(file, |bytes| {
        let start = block.offset as usize + BLOCK_HEADER;
        let mut payload = bytes[start..start + block.length as usize].to_vec();
        edit(&mut payload);
        assert_eq!(payload.len(), block.length as usize, "nothing behind it moves");
        let header = BlockHeader { payload_crc: crc(&payload), ..*block };
        bytes[block.offset as usize..start].copy_from_slice(&header.encode());
        bytes[start..start + payload.len()].copy_from_slice(&payload);
    });
}

/// The store is accepted by readers, and yet something in it is not what was written. The findings are in this file, one of
/// them expects this; a repair makes it right.
#[track_caller]
fn assert_found(town: &Town, disk: &SimDisk, file: &str, expected: &str) {
    assert!(View::open(disk).is_ok(), "readers accept it");
    let found = findings(disk, file);
    assert!(found.iter().any(|found| found.to_string().contains(expected)), "{expected:?}: {found:#?}");
    let options = RepairOptions { threads: 1, memory: 1 << 20, temp: None, dry_run: false };
    repair(disk, &options, &AtomicBool::new(false), &|_| ()).unwrap().unwrap();
    assert_eq!(verified(disk).findings, []);
    town.ingest_all(disk);
    assert_eq!(answer(disk), town.oracle(|_, _| true));
}

#[test]
fn an_index_that_does_not_say_what_the_events_say_is_found() {
    let town = town();
    let file = &town.names().0[0];
    let index = town.block(file, BlockKind::Index);
    type Edit = fn(&mut SiteEntry);
    let edits: [(Edit, &str); 7] = [
        (|entry| entry.summary.messages += 1, "messages="),
        (|entry| entry.summary.emails += 1, "emails="),
        (|entry| entry.summary.operators += 1, "operators="),
        (|entry| entry.summary.visitors += 1, "visitors="),
        (|entry| entry.events += 1, "a header that tells of"),
        (|entry| entry.earliest -= 1, "a header that tells of"),
        (|entry| entry.length += 1, "bytes at"),
    ];
    for (edit, expected) in edits {
        let disk = town.disk.fork();
        forge(&disk, file, &index, |payload| {
            let mut sites = Vec::new();
            each_site(payload, index.count, |name, entry| sites.push((name.to_vec(), entry))).unwrap();
            // The one with the earliest event of all, so that the header tells of it.
            let first = sites.iter_mut().min_by_key(|(_, entry)| entry.earliest).unwrap();
            edit(&mut first.1);
            payload.clear();
            let mut before = Vec::new();
            for (name, entry) in sites {
                put_site(payload, &before, &name, &entry);
                before = name;
            }
        });
        assert_found(&town, &disk, file, expected);
    }
    // A site by another name: one is missing, the other has no events.
    let disk = town.disk.fork();
    forge(&disk, file, &index, |payload| {
        let at = payload.windows(3).position(|bytes| bytes == b"777").unwrap();
        payload[at + 2] = b'8';
    });
    assert_found(&town, &disk, file, "found nothing of it");
}

#[test]
fn a_header_of_a_snapshot_that_does_not_say_what_the_index_says_is_found() {
    let town = town();
    let file = &town.names().0[1];
    type Edit = fn(&mut SnapshotHeader);
    let edits: [Edit; 5] = [
        |header| header.events += 1,
        |header| header.sites -= 1,
        |header| header.disputed += 1,
        |header| header.earliest -= 1,
        |header| header.latest += 1,
    ];
    for edit in edits {
        let disk = town.disk.fork();
        disk.edit(file, |bytes| {
            let mut header = SnapshotHeader::decode(&bytes[..SNAPSHOT_HEADER]).unwrap();
            edit(&mut header);
            bytes[..SNAPSHOT_HEADER].copy_from_slice(&header.encode());
        });
        assert_found(&town, &disk, file, "a header that tells of");
    }
}

#[test]
fn inputs_that_do_not_have_the_rejects_they_say_are_found() {
    let town = town();
    let file = &town.names().0[0];
    let block = town.block(file, BlockKind::Inputs);
    let disk = town.disk.fork();
    forge(&disk, file, &block, |payload| {
        let mut inputs = decode_inputs(payload, block.count).unwrap();
        inputs[0].rejects += 1;
        payload.clear();
        inputs.iter().for_each(|input| put_input(payload, input));
    });
    assert_found(&town, &disk, file, "rejects of input");
}

/// A compaction would leave them out, and so say less than the snapshot does.
#[test]
fn rejects_of_an_input_that_a_snapshot_does_not_know_are_found() {
    let town = town();
    let file = &town.names().0[0];
    let disk = town.disk.fork();
    disk.edit(file, |bytes| {
        *bytes = reforged(bytes, |blocks| {
            let rejects = blocks.iter_mut().find(|(block, _)| block.kind == BlockKind::Rejects).unwrap();
            // The instance in the checkpoint, behind the byte that says how long that is.
            rejects.1[1] ^= 1;
        });
    });
    assert_found(&town, &disk, file, "which is not among them");
}

#[test]
fn an_input_that_stands_twice_is_found() {
    let town = town();
    let file = &town.names().0[0];
    let disk = town.disk.fork();
    disk.edit(file, |bytes| {
        *bytes = reforged(bytes, |blocks| {
            let (block, payload) = blocks.iter_mut().find(|(block, _)| block.kind == BlockKind::Inputs).unwrap();
            let inputs = decode_inputs(payload, block.count).unwrap();
            // Once more, with nothing of its own.
            put_input(payload, &InputEntry { events: 0, rejects: 0, ..inputs[0].clone() });
            block.count += 1;
        });
    });
    assert_found(&town, &disk, file, "expected each input once");
}

#[test]
fn events_of_a_snapshot_that_are_out_of_order_or_twice_there_are_found() {
    let town = town();
    let file = &town.names().0[0];
    let mut tried = 0;
    for block in town.blocks(file).into_iter().filter(|block| block.kind == BlockKind::Events && block.count > 3) {
        for twice in [false, true] {
            let disk = town.disk.fork();
            let mut forged = false;
            disk.edit(file, |bytes| {
                let start = block.offset as usize + BLOCK_HEADER;
                let payload = bytes[start..start + block.length as usize].to_vec();
                let mut table = Table::default();
                EventsDecoder::default().decode(block.packed_events(&payload), &mut table, |_| true).unwrap();
                let mut events: Vec<Event<'_>> = table.rows.iter().map(|row| table.event(row)).collect();
                let place = events.windows(2).position(|pair| {
                    let ids =
                        matches!(pair[0].id, Id::Text(a) if matches!(pair[1].id, Id::Text(b) if a.len() == b.len()));
                    pair[0].site == pair[1].site && pair[0].timestamp < pair[1].timestamp && ids
                });
                let Some(place) = place else { return };
                match twice {
                    true => events[place + 1].id = events[place].id,
                    false => events.swap(place, place + 1),
                }
                let mut other = Table::default();
                events.iter().for_each(|event| other.push(event, block.shard));
                let (mut entries, mut encoded) = (Vec::new(), Vec::new());
                EventsEncoder::default().encode(&other, &mut entries, &mut encoded);
                assert_eq!(encoded.len(), payload.len(), "nothing behind it moves");
                let header = BlockHeader { payload_crc: crc(&encoded), ..block };
                bytes[block.offset as usize..start].copy_from_slice(&header.encode());
                bytes[start..start + encoded.len()].copy_from_slice(&encoded);
                forged = true;
            });
            if !forged {
                continue;
            }
            tried += 1;
            assert!(View::open(&disk).is_ok());
            let found = findings(&disk, file);
            assert!(found.iter().any(|found| found.expected.contains("in order and each once")), "{found:#?}");
        }
    }
    assert!(tried >= 4, "{tried}");
}

/// A section whose checksums are right and that is none all the same.
#[test]
fn a_section_that_cannot_be_decoded_is_found_though_its_checksums_are_right() {
    let town = town();
    let frames = town.frames();
    let (at, place) = frames.iter().enumerate().rev().find(|(_, place)| place.turn.is_some()).unwrap();
    let mark = &frames[at + 1].frame.header;
    for number in 0..place.sections().count() {
        let disk = town.disk.fork();
        // Which has the header that the last of them had.
        disk.lose(ACKNOWLEDGED_NAME);
        let section = place.frame.sections[number];
        disk.edit(&place.file, |bytes| {
            let start = section.at as usize;
            let end = start + section.entry.length as usize;
            // The first field of events and of rejects says more than there is; the name of a checkpoint is too short.
            match section.entry.kind {
                SectionKind::Checkpoint => bytes[end - place.frame.sections[0].entry.length as usize + 84] ^= 1,
                _ => bytes[start..start + 2].fill(0x7f),
            }
            let head = place.frame.header.offset as usize;
            let entry = head + FRAME_HEADER + number * ENTRY;
            let sum = crc(&bytes[start..end]).to_le_bytes();
            bytes[entry + 10..entry + 14].copy_from_slice(&sum);
            let directory = head + FRAME_HEADER..head + FRAME_HEADER + place.frame.header.directory();
            let header = FrameHeader { directory_crc: crc(&bytes[directory]), ..place.frame.header }.encode();
            bytes[head..head + FRAME_HEADER].copy_from_slice(&header);
            let previous = crc(&header[..FRAME_HEADER - 4]);
            let start = mark.offset as usize;
            bytes[start..start + FRAME_HEADER].copy_from_slice(&FrameHeader { previous, ..*mark }.encode());
        });
        let found = findings(&disk, &place.file);
        assert!((section.at..section.at + u64::from(section.entry.length)).contains(&found[0].offset), "{found:?}");
    }
}

#[test]
fn a_disk_that_cannot_be_read_is_no_damage() {
    let town = town();
    let reads = {
        let disk = town.disk.fork();
        verify(&disk, &Limits::new(1), &|_| ()).unwrap();
        disk.operations().len() as u64
    };
    for n in 0..reads {
        let disk = town.disk.fork();
        disk.fail_at(Count::Reading, n, Fault::Eio, false);
        match verify(&disk, &Limits::new(1), &|_| ()) {
            Err(Error::Io { .. }) => {}
            other => panic!("read {n}: {other:?}"),
        }
    }
}

#[test]
fn nothing_is_found_beside_a_writer_and_a_compactor() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::open(directory.path()).unwrap());
    let over = AtomicBool::new(false);
    let mut model = Model::default();
    drop(model.reopen(Arc::clone(&disk) as Arc<dyn Storage>, sync(20_000)));
    let (rounds, most) = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut choices = Choices::Random(5);
            let mut model = model;
            let mut log = model.reopen(Arc::clone(&disk) as Arc<dyn Storage>, sync(20_000));
            for round in 1..=60 {
                for _ in 0..10 {
                    model.append(&mut log, 20, &mut choices).unwrap();
                }
                if round % 6 == 0 {
                    log.seal().unwrap();
                    let options = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: false };
                    compact(&*disk, &options, &AtomicBool::new(false), &|_| ()).unwrap();
                }
            }
            over.store(true, Ordering::Relaxed);
        });
        let (mut rounds, mut most) = (0, 0);
        while !over.load(Ordering::Relaxed) {
            let verified = verify(&*disk, &Limits::new(1), &|_| ()).unwrap();
            assert_eq!(verified.findings, []);
            rounds += 1;
            most = most.max(verified.checked.files);
        }
        writer.join().unwrap();
        (rounds, most)
    });
    println!("{rounds} rounds, up to {most} files");
    assert!(rounds >= 10 && most >= 2, "{rounds} rounds, {most} files");
    assert_eq!(verify(&*disk, &Limits::new(2), &|_| ()).unwrap().findings, []);
}

/// A store of the real program, with a snapshot and segments.
fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    let input = generated("--lines 3000 --sites 40 --seed 5");
    let middle = input.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(1500).unwrap().0 + 1;
    sandbox.write("a.jsonl", &input[..middle]);
    sandbox.write("b.jsonl", &input[middle..]);
    sandbox.run("ingest --store s a.jsonl").expect(0);
    sandbox.run("compact --store s").expect(0);
    sandbox.run("ingest --store s b.jsonl").expect(0);
    sandbox
}

#[test]
fn the_program_lists_what_is_wrong_and_exits_with_4() {
    let sandbox = store();
    let segment = "s/0000000002.wal";
    let before = sandbox.listing("s");
    let sound = sandbox.run("verify --store s").expect(0).silently();
    assert!(sound.out.starts_with("sound: 2 files, 2 frames, ") && sound.out.ends_with(" bytes\n"), "{}", sound.out);
    assert!(sound.out.contains("3000 events"), "{}", sound.out);
    assert_eq!(sandbox.run("verify --store s --threads 1").expect(0).out, sound.out);
    assert_eq!(sandbox.listing("s"), before, "verify changed something");
    // A torn end is told, and no damage.
    sandbox.append(segment, b"CWfr and no more");
    sandbox.run("verify --store s").expect(0).says(&[segment, "torn: 16 bytes", "never acknowledged"]);
    let mut bytes = before["0000000002.wal"].0.clone();
    bytes[200] ^= 1;
    sandbox.write(segment, &bytes);
    let snapshot = "s/0000000001-0000000001.snap";
    let mut bytes = before["0000000001-0000000001.snap"].0.clone();
    let at = bytes.len() - 1;
    bytes[at] ^= 1;
    sandbox.write(snapshot, &bytes);
    let before = sandbox.listing("s");
    let found = sandbox.run("verify --store s").fails(4, &["s: damaged: 2 findings"]).says(&["hint", "chatwal repair"]);
    let lines: Vec<&str> = found.out.lines().collect();
    assert_eq!(lines.len(), 3, "{}", found.out);
    for (line, file) in lines.iter().zip([snapshot, segment]) {
        assert!(line.starts_with(&format!("{file} (byte ")) && line.contains("): corrupt: expected "), "{line}");
        assert!(line.contains(", found "), "{line}");
    }
    assert!(lines[2].starts_with("2 findings: 2 files, "), "{}", lines[2]);
    assert_eq!(sandbox.listing("s"), before, "verify changed something");
    // What others say of the damage leads here.
    sandbox.run("report --store s").fails(4, &["corrupt"]).says(&["hint", "chatwal verify", "chatwal repair"]);
    sandbox.run("dump s/0000000002.wal").expect(4).says(&["hint", "chatwal verify", "chatwal repair"]);
}

#[test]
fn the_program_needs_a_store_and_no_lock() {
    let sandbox = store();
    sandbox.run("verify").fails(2, &["no store named"]);
    sandbox.run("verify --store nowhere").fails(10, &["nowhere"]);
    sandbox.write("file", "x");
    sandbox.run("verify --store file").fails(10, &["file"]);
    let mut writer = sandbox.start("ingest --store s -");
    writer.send(support::cli::message("1", "late", "visitor", 1));
    support::cli::until("the writer has the lock", || writer.holds_a_lock());
    sandbox.run("verify --store s").expect(0).silently();
    writer.end().expect(0);
}
