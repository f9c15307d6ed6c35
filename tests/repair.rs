//! `repair`: each kind of damage on purpose; what it saves, what it says to be lost, and that reading the inputs again
//! makes everything whole.

mod support;

use std::sync::atomic::AtomicBool;

use chatwal::disk::scratch::Limits;
use chatwal::error::Error;
use chatwal::format::block::{BLOCK_HEADER, BlockKind};
use chatwal::format::directory::{ENTRY, SectionKind};
use chatwal::format::frame::{FRAME_HEADER, FrameKind, SEGMENT_HEADER};
use chatwal::format::snapshot_header::SNAPSHOT_HEADER;
use chatwal::query::report::{Report, ReportOptions, Totals};
use chatwal::store::log::Log;
use chatwal::store::recover::publish_segment;
use chatwal::store::{ACKNOWLEDGED_NAME, View, segment_name, snapshot_name};
use chatwal::upkeep::repair::{Repair, RepairOptions, repair};
use chatwal::upkeep::verify::verify;
use support::cli::{Sandbox, generated};
use support::faults::at_every_call;
use support::sim::{Choices, SimDisk};
use support::store::{report, sync};
use support::town::{InFile, Town, accounts, answer, spoil, store_files};

fn options(dry_run: bool) -> RepairOptions {
    RepairOptions { threads: 2, memory: 1 << 20, temp: None, dry_run }
}

fn repaired(disk: &SimDisk) -> Result<Option<Repair>, Error> {
    repair(disk, &options(false), &AtomicBool::new(false), &|_| ())
}

#[track_caller]
fn assert_sound(disk: &SimDisk) {
    let verified = verify(disk, &Limits::new(2), &|_| ()).unwrap();
    assert_eq!((verified.findings, verified.torn), (Vec::new(), None));
}

/// Repairs a damaged copy of a store and checks everything that has to hold whatever the damage: nothing changes before it
/// is asked for, the copies are the damaged files, the store is sound again, and once the inputs are read again it is
/// what it was. `kept` says by turn and shard which lines are still there after the repair.
#[track_caller]
fn assert_repairs(town: &Town, damaged: &SimDisk, kept: impl Fn(usize, u8) -> bool) -> Repair {
    let before = damaged.files();
    let findings = verify(damaged, &Limits::new(2), &|_| ()).unwrap().findings;
    assert!(!findings.is_empty(), "verify finds nothing");
    let refused = View::open(damaged).and_then(|view| report(&view)).is_err();
    let dry = repair(damaged, &options(true), &AtomicBool::new(false), &|_| ()).unwrap().unwrap();
    assert_eq!((damaged.mutations(), damaged.files()), (0, before.clone()), "looking changed something");
    let repair = repaired(damaged).unwrap().unwrap();
    assert_eq!(Repair { copies: Vec::new(), ..repair.clone() }, dry, "the dry run said something else");
    assert_eq!(repair.findings, findings);
    let after = damaged.files();
    for (name, copy) in repair.replaced.iter().zip(&repair.copies) {
        assert_eq!(after[copy.trim_start_matches("sim/")], before[name], "the copy of {name}");
    }
    assert_eq!(repair.replaced.len(), repair.copies.len());
    for (name, bytes) in &before {
        assert!(repair.replaced.contains(name) || after[name] == *bytes, "{name} was changed and not replaced");
    }
    assert_sound(damaged);
    assert_eq!(answer(damaged), town.oracle(&kept), "after the repair; the store was refused: {refused}");
    let files = damaged.files();
    assert_eq!(repaired(damaged).unwrap(), None, "nothing is left to repair");
    assert_eq!(damaged.files(), files);
    assert_whole_again(town, damaged);
    repair
}

fn totals(disk: &SimDisk) -> Totals {
    Report::of(&View::open(disk).unwrap(), &ReportOptions::default()).unwrap().totals
}

/// Reads the inputs again; then everything is as if nothing had happened, also once it is compacted.
#[track_caller]
fn assert_whole_again(town: &Town, disk: &SimDisk) {
    let disk = disk.fork();
    town.ingest_all(&disk);
    for compacted in [false, true] {
        if compacted {
            town.compact(&disk, true);
        }
        assert_sound(&disk);
        assert_eq!(answer(&disk), town.oracle(|_, _| true), "read again; compacted: {compacted}");
        assert_eq!(accounts(&disk), accounts(&town.disk), "read again; compacted: {compacted}");
    }
}

/// A store with two snapshots and a few segments.
fn town() -> Town {
    let town = Town::build(7, &[24, 3], 16);
    let (snapshots, segments) = town.names();
    assert!(snapshots.len() == 2 && segments.len() >= 4, "{snapshots:?} {segments:?}");
    town
}

/// The batches of sealed segments, of the last one, or of both.
fn batches(town: &Town) -> Vec<InFile> {
    town.frames().into_iter().filter(|place| place.turn.is_some()).collect()
}

fn damaged(town: &Town, file: &str, edit: impl FnOnce(&mut Vec<u8>)) -> SimDisk {
    let disk = town.disk.fork();
    disk.edit(file, edit);
    disk
}

#[test]
fn a_sound_store_is_left_alone() {
    for town in [town(), Town::build(8, &[], 6)] {
        let disk = town.disk.fork();
        assert_eq!(repaired(&disk).unwrap(), None);
        let changes: Vec<String> = disk.operations().into_iter().filter(|call| is_change(call)).collect();
        assert_eq!((changes, disk.files()), (Vec::new(), town.disk.files()));
        assert_whole_again(&town, &disk);
    }
    // A torn end is no damage: the next writer cuts it.
    let town = town();
    let last = town.names().1.pop().unwrap();
    let disk = damaged(&town, &last, |bytes| bytes.extend(b"half a frame"));
    let before = disk.files();
    assert_eq!(repaired(&disk).unwrap(), None);
    assert_eq!(disk.files(), before);
}

/// Whether a call changes the disk; to sync what is there does not.
fn is_change(call: &str) -> bool {
    ["write", "create", "rename", "remove", "truncate"].iter().any(|change| call.starts_with(change))
}

#[test]
fn a_frame_whose_header_or_directory_is_bad_is_lost_and_all_others_are_kept() {
    let town = town();
    for place in batches(&town) {
        let (turn, start) = (place.turn.unwrap(), place.frame.header.offset as usize);
        let sequence = place.frame.header.sequence;
        for at in [0, 30, FRAME_HEADER - 1, FRAME_HEADER, FRAME_HEADER + ENTRY] {
            let disk = damaged(&town, &place.file, |bytes| bytes[start + at] ^= 4);
            let repair = assert_repairs(&town, &disk, |lost, _| lost != turn);
            assert_eq!(repair.hole.frames, [(sequence, sequence)], "{place:?}");
            assert!(repair.unknown, "nobody knows whose frame it was");
            let later = town.turns.iter().enumerate().skip(turn + 1);
            let of_input = |(_, later): &(usize, &support::town::Turn)| later.input == town.turns[turn].input;
            let told: Vec<_> = repair.hole.inputs.iter().map(|input| (input.from, input.to)).collect();
            match later.clone().any(|later| of_input(&later)) {
                // The next batch of the input begins behind a gap.
                true => {
                    let lost = &town.turns[turn].bytes;
                    assert_eq!(told, [(lost.start as u64, lost.end as u64)]);
                    assert_eq!(repair.rejects as usize, later.filter(of_input).count());
                }
                false => assert_eq!((told, repair.rejects), (Vec::new(), 0)),
            }
        }
    }
}

#[test]
fn a_bad_section_costs_no_more_than_itself() {
    let town = town();
    for place in batches(&town) {
        let turn = place.turn.unwrap();
        let lost = town.turns[turn].bytes.clone();
        for section in place.sections() {
            let disk = damaged(&town, &place.file, |bytes| bytes[section.at as usize] ^= 4);
            let (kind, shard) = (section.entry.kind, section.entry.shard);
            let repair =
                assert_repairs(&town, &disk, |other, of| other != turn || kind != SectionKind::Events || of != shard);
            let sequence = place.frame.header.sequence;
            assert_eq!(repair.hole.frames, [(sequence, sequence)]);
            assert_eq!(repair.unknown, kind == SectionKind::Checkpoint, "{kind:?}");
            if kind != SectionKind::Checkpoint {
                let told: Vec<_> = repair.hole.inputs.iter().map(|input| (input.from, input.to)).collect();
                assert_eq!(told, [(lost.start as u64, lost.end as u64)]);
            }
        }
    }
}

#[test]
fn marks_seals_and_segment_headers_hold_no_events() {
    let town = town();
    let (_, segments) = town.names();
    for place in town.frames().into_iter().filter(|place| place.turn.is_none()) {
        let last = segments.last() == Some(&place.file);
        let offset = place.frame.header.offset as usize;
        let disk = damaged(&town, &place.file, |bytes| bytes[offset + 5] ^= 4);
        if last && verify(&disk, &Limits::new(1), &|_| ()).unwrap().torn.is_some() {
            continue;
        }
        let repair = assert_repairs(&town, &disk, |_, _| true);
        assert_eq!(repair.hole.inputs, [], "every batch goes on where the one before it ends");
        assert_eq!(totals(&disk), totals(&town.disk), "copies that were stored, and lines that only were counted");
    }
    for segment in &segments {
        for at in [0, 9, 20, 33, 45, SEGMENT_HEADER - 1] {
            let disk = damaged(&town, segment, |bytes| bytes[at] ^= 0x40);
            if matches!(View::open(&disk), Err(Error::Version { .. })) {
                continue;
            }
            let repair = assert_repairs(&town, &disk, |_, _| true);
            assert_eq!(repair.hole.frames, []);
        }
    }
}

#[test]
fn a_segment_that_is_cut_or_missing_loses_its_batches_only() {
    let town = town();
    let (_, segments) = town.names();
    for (at, segment) in segments.iter().enumerate() {
        let of_segment =
            |turn: usize| batches(&town).iter().any(|place| place.turn == Some(turn) && place.file == *segment);
        let disk = town.disk.fork();
        disk.lose(segment);
        let recorded = disk.fork();
        disk.lose(ACKNOWLEDGED_NAME);
        for (disk, kept) in [(&disk, at + 1 == segments.len()), (&recorded, false)] {
            let repair = assert_repairs(&town, disk, |turn, _| !of_segment(turn));
            assert!(repair.unknown);
            // Of a missing last segment alone of which nothing is known to be acknowledged, everything before stays as it is.
            assert_eq!(repair.replaced.is_empty(), kept, "{repair:?}");
        }
        if at + 1 < segments.len() {
            let middle = town.disk.bytes(segment).len() / 2;
            let disk = damaged(&town, segment, |bytes| bytes.truncate(middle));
            let before = |turn: usize| {
                batches(&town).iter().any(|place| {
                    place.turn == Some(turn) && place.file == *segment && place.frame.end() > middle as u64
                })
            };
            assert_repairs(&town, &disk, |turn, _| !before(turn));
        }
    }
    // The last one is there, and nothing can be told of it: it is no missing one.
    let last = segments.last().unwrap();
    for recorded in [true, false] {
        let disk = damaged(&town, last, |bytes| bytes.fill(0));
        if !recorded {
            disk.lose(ACKNOWLEDGED_NAME);
        }
        let of_last = |turn: usize| batches(&town).iter().any(|place| place.turn == Some(turn) && place.file == *last);
        let repair = assert_repairs(&town, &disk, |turn, _| !of_last(turn));
        assert!(repair.unknown && repair.replaced.contains(last), "{repair:?}");
    }
    // All that is left is a snapshot.
    let disk = town.disk.fork();
    segments.iter().for_each(|segment| disk.lose(segment));
    assert_repairs(&town, &disk, |turn, _| turn < town.folded.iter().sum());
}

/// The end of the log is gone, and only the record beside it knows that there was more.
#[test]
fn what_was_acknowledged_and_is_gone_is_said_to_be_lost() {
    let town = town();
    let last = town.names().1.pop().unwrap();
    let of_last: Vec<InFile> = batches(&town).into_iter().filter(|place| place.file == last).collect();
    let acknowledged = of_last.last().unwrap().frame.header.sequence;
    assert!(of_last.len() > 1);
    for place in &of_last {
        let header = place.frame.header;
        let (start, end) = (header.offset as usize, place.frame.end() as usize);
        // At the boundary of two frames, in a header, in a section.
        for length in [start, start + 20, end - 1] {
            let disk = damaged(&town, &last, |bytes| bytes.truncate(length));
            let before =
                |turn: usize| of_last.iter().all(|it| it.turn != Some(turn) || it.frame.end() <= length as u64);
            // Of the frame that is cut off, sections may be whole.
            let cut_off = |turn: usize, shard: u8| {
                place.turn == Some(turn)
                    && place
                        .sections()
                        .any(|it| it.entry.shard == shard && it.at + u64::from(it.entry.length) <= length as u64)
            };
            let repair =
                assert_repairs(&town, &disk, |turn, shard| before(turn) || length > start + 20 && cut_off(turn, shard));
            // Of the last one alone, whose checkpoint is there, all is known.
            let unknown = header.sequence < acknowledged || length <= start + 20;
            assert_eq!(
                (repair.hole.frames, repair.unknown),
                (vec![(header.sequence, acknowledged)], unknown),
                "{length}"
            );
        }
    }
    // Everything is gone but the record.
    let disk = town.disk.fork();
    let (snapshots, segments) = town.names();
    snapshots.iter().chain(&segments).for_each(|name| disk.lose(name));
    let repair = assert_repairs(&town, &disk, |_, _| false);
    assert!(repair.unknown, "{repair:?}");
    assert!(repair.findings[0].expected.contains("the files of a store"), "{:?}", repair.findings);
}

/// The last segment is an older copy of itself, and somebody who knew no better went on from there.
#[test]
fn of_a_log_that_went_on_differently_nobody_knows_what_is_lost() {
    let town = town();
    let last = town.names().1.pop().unwrap();
    let record = town.disk.bytes(ACKNOWLEDGED_NAME);
    let disk = town.disk.fork();
    disk.lose(ACKNOWLEDGED_NAME);
    let of_last: Vec<InFile> = batches(&town).into_iter().filter(|place| place.file == last).collect();
    let [.., one, two] = &of_last[..] else { panic!("{of_last:?}") };
    disk.edit(&last, |bytes| bytes.truncate(one.frame.header.offset as usize));
    // The other way round.
    for place in [two, one] {
        town.ingest(&disk, &[town.turns[place.turn.unwrap()].input]);
    }
    disk.edit(ACKNOWLEDGED_NAME, |bytes| bytes.clone_from(&record));
    let acknowledged = chatwal::format::acknowledged::Acknowledged::decode(&record).unwrap().sequence;
    let disk = disk.kill();
    // Beside other damage it is told as well.
    let both = disk.fork();
    let place = &batches(&town)[0];
    both.edit(&place.file, |bytes| bytes[place.frame.header.offset as usize] ^= 4);
    let repair = assert_repairs(&town, &both, |turn, _| place.turn != Some(turn));
    let told = |what: &str| repair.findings.iter().filter(|found| found.expected.contains(what)).count();
    assert_eq!((repair.findings.len(), told("which was acknowledged")), (2, 1), "{:?}", repair.findings);
    let repair = assert_repairs(&town, &disk, |_, _| true);
    assert!(repair.unknown && repair.findings[0].expected.contains("which was acknowledged"), "{repair:?}");
    let is_lost = |frames: &(u64, u64)| (frames.0..=frames.1).contains(&acknowledged);
    assert!(repair.hole.frames.iter().any(is_lost), "{:?}", repair.hole.frames);
}

#[test]
fn snapshots_under_names_of_others_are_taken_for_what_they_are() {
    let town = town();
    let snapshots = town.names().0;
    let [first, second] = [0, 1].map(|at| (snapshots[at].clone(), town.disk.bytes(&snapshots[at])));
    // They have changed places.
    let disk = town.disk.fork();
    disk.edit(&first.0, |bytes| bytes.clone_from(&second.1));
    disk.edit(&second.0, |bytes| bytes.clone_from(&first.1));
    assert_repairs(&town, &disk, |_, _| true);
    // One is there twice, and the other not at all: its inputs and rejects count once.
    for (name, other) in [(&first.0, &second.1), (&second.0, &first.1)] {
        let disk = damaged(&town, name, |bytes| bytes.clone_from(other));
        let gone = if *name == first.0 { 0..town.folded[0] } else { town.folded[0]..town.folded[0] + town.folded[1] };
        let repair = assert_repairs(&town, &disk, |turn, _| !gone.contains(&turn));
        assert!(repair.unknown);
    }
    // A name that says more than there is, and one that says less.
    let disk = town.disk.fork();
    disk.lose(&second.0);
    disk.edit(&snapshot_name(&(1..=99)), |bytes| bytes.clone_from(&second.1));
    assert_repairs(&town, &disk, |_, _| true);
    let all = town.disk.fork();
    town.compact(&all, true);
    let whole = all.files().into_iter().find(|(name, _)| name.ends_with(".snap")).unwrap();
    let disk = town.disk.fork();
    disk.edit(&first.0, |bytes| bytes.clone_from(&whole.1));
    assert_repairs(&town, &disk, |_, _| true);
}

#[test]
fn nothing_is_taken_of_another_store_that_left_a_snapshot_here() {
    let (town, other) = (town(), Town::build(8, &[4], 2));
    let disk = town.disk.fork();
    town.compact(&disk, true);
    let snapshot = disk.files().into_keys().find(|name| name.ends_with(".snap")).unwrap();
    let alien = other.names().0[0].clone();
    assert_ne!(alien, snapshot);
    let sound = disk.kill();
    for of_the_store in [false, true] {
        let disk = sound.fork();
        // Left over by its name; of the store itself it would be taken.
        let bytes = if of_the_store { town.disk.bytes(&town.names().0[0]) } else { other.disk.bytes(&alien) };
        disk.edit(&snapshot_name(&(1..=1)), |file| file.clone_from(&bytes));
        disk.edit(&snapshot, |file| file[SNAPSHOT_HEADER..].fill(0));
        let saved = |turn: usize| {
            of_the_store && turn < town.folded[0]
                || batches(&town).iter().any(|place| place.turn == Some(turn) && disk.files().contains_key(&place.file))
        };
        assert_repairs(&town, &disk, |turn, _| saved(turn));
    }
}

/// A roll that stopped before it wrote the seal, in a store that is damaged elsewhere: nothing of the roll is a loss.
#[test]
fn a_roll_that_was_interrupted_is_no_damage_behind_any() {
    let town = town();
    let (_, segments) = town.names();
    let rolled = town.disk.fork();
    let view = View::open(&rolled).unwrap();
    let last = view.segments.last().unwrap().header.number;
    publish_segment(&rolled, view.store(), last + 1, view.link.sequence + 1).unwrap();
    let rolled = rolled.kill();
    assert_sound(&rolled);
    for place in batches(&town).into_iter().filter(|place| place.file != *segments.last().unwrap()) {
        let disk = rolled.fork();
        let start = place.frame.header.offset as usize;
        disk.edit(&place.file, |bytes| bytes[start] ^= 1);
        let found = verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings;
        assert_eq!(found.len(), 1, "{found:#?}");
        let repair = assert_repairs(&town, &disk, |turn, _| place.turn != Some(turn));
        let sequence = place.frame.header.sequence;
        assert_eq!(repair.hole.frames, [(sequence, sequence)]);
    }
}

/// A byte goes, and all behind it moves.
fn take_out(bytes: &mut Vec<u8>, at: usize) {
    bytes.remove(at);
}

/// Headers say where they belong, so what is intact is found wherever it stands.
#[test]
fn bytes_that_are_missing_or_were_inserted_cost_what_they_were_in_and_nothing_behind() {
    let town = town();
    let (_, segments) = town.names();
    for place in batches(&town).iter().filter(|place| place.file != *segments.last().unwrap()) {
        let start = place.frame.header.offset as usize;
        for insert in [false, true] {
            let disk = damaged(&town, &place.file, |bytes| match insert {
                true => bytes.insert(start + 40, b'x'),
                false => take_out(bytes, start + 40),
            });
            let repair = assert_repairs(&town, &disk, |turn, _| place.turn != Some(turn));
            let sequence = place.frame.header.sequence;
            assert_eq!(repair.hole.frames, [(sequence, sequence)], "{place:?}, inserted: {insert}");
        }
    }
}

/// The header of the segment is gone, and every frame stands elsewhere than it says.
#[test]
fn a_segment_that_lost_its_header_and_a_byte_is_saved_whole() {
    let town = town();
    for segment in town.names().1 {
        for at in [0, 38] {
            let disk = damaged(&town, &segment, |bytes| take_out(bytes, at));
            let repair = assert_repairs(&town, &disk, |_, _| true);
            assert_eq!((repair.hole.frames, repair.hole.inputs), (vec![], vec![]), "{segment}");
        }
    }
}

/// A store of one event in one segment: there is nothing before it and nothing behind it to go by.
#[test]
fn the_only_segment_is_repaired_and_copied_whatever_is_left_of_it() {
    let town = Town::build(7, &[], 2);
    let segment = segment_name(1);
    assert_eq!(town.names().1, [segment.as_str()]);
    let whole = town.disk.bytes(&segment).len();
    type Edit = Box<dyn Fn(&mut Vec<u8>)>;
    let edits: [(&str, Edit, bool); 5] = [
        ("a byte of the header is gone", Box::new(|bytes| take_out(bytes, 38)), true),
        ("the header is zeros", Box::new(|bytes| bytes[..SEGMENT_HEADER].fill(0)), true),
        ("it is cut inside its header", Box::new(|bytes| bytes.truncate(20)), false),
        ("it is empty", Box::new(Vec::clear), false),
        ("it is zeros", Box::new(move |bytes| *bytes = vec![0; whole]), false),
    ];
    for (what, edit, kept) in edits {
        for recorded in [true, false] {
            println!("{what}; with the record of what was acknowledged: {recorded}");
            let disk = damaged(&town, &segment, |bytes| edit(bytes));
            if !recorded {
                disk.lose(ACKNOWLEDGED_NAME);
            }
            let repair = assert_repairs(&town, &disk, |_, _| kept);
            assert_eq!((repair.replaced, repair.copies.len()), (vec![segment.clone()], 1), "{what}");
            assert_eq!(repair.unknown, !kept, "{what}");
        }
    }
}

/// The snapshot is damaged, and the segments that it replaced are still there: a crash came before they were deleted.
#[test]
fn what_a_damaged_snapshot_lost_is_taken_from_the_files_that_it_replaced() {
    let town = Town::build(7, &[], 24);
    let disk = town.disk.fork();
    town.compact(&disk, true);
    let snapshot = disk.files().into_keys().find(|name| name.ends_with(".snap")).unwrap();
    for (name, bytes) in town.disk.files() {
        disk.edit(&name, |file| *file = bytes);
    }
    let disk = disk.kill();
    assert_eq!(answer(&disk), town.oracle(|_, _| true));
    // Not even a block of it is left.
    disk.edit(&snapshot, |bytes| bytes[chatwal::format::snapshot_header::SNAPSHOT_HEADER..].fill(0));
    let repair = assert_repairs(&town, &disk, |_, _| true);
    assert!(repair.replaced.contains(&snapshot) && repair.unknown);
}

#[test]
fn a_segment_of_another_store_is_not_taken_for_ones_own() {
    let (town, other) = (town(), Town::build(8, &[24, 3], 16));
    let segment = town.names().1[1].clone();
    let disk = damaged(&town, &segment, |bytes| *bytes = other.disk.bytes(&segment));
    let of_segment = |turn: usize| batches(&town).iter().any(|place| place.turn == Some(turn) && place.file == segment);
    let repair = assert_repairs(&town, &disk, |turn, _| !of_segment(turn));
    assert!(repair.replaced.contains(&segment), "it is copied aside like the others");
}

#[test]
fn what_can_be_made_anew_from_the_events_of_a_snapshot_costs_nothing() {
    let town = town();
    for snapshot in town.names().0 {
        for kind in [BlockKind::Index, BlockKind::Fences, BlockKind::Shards] {
            let disk = town.disk.fork();
            spoil(&disk, &snapshot, &town.block(&snapshot, kind));
            let repair = assert_repairs(&town, &disk, |_, _| true);
            assert_eq!((repair.hole.frames, repair.hole.inputs, repair.unknown), (vec![], vec![], false), "{kind:?}");
            assert_eq!(accounts(&disk), accounts(&town.disk));
            assert_eq!(totals(&disk), totals(&town.disk), "copies that were dropped before");
        }
        for at in [0, 20, 35, 60, SNAPSHOT_HEADER - 1] {
            let disk = damaged(&town, &snapshot, |bytes| bytes[at] ^= 0x40);
            let repair = assert_repairs(&town, &disk, |_, _| true);
            assert_eq!((repair.hole.inputs, repair.unknown), (vec![], false), "header, byte {at}");
        }
    }
}

/// The turns of a snapshot, by its place.
fn turns_of(town: &Town, snapshot: usize) -> std::ops::Range<usize> {
    let start = town.folded[..snapshot].iter().sum();
    start..start + town.folded[snapshot]
}

#[test]
fn lost_events_of_a_snapshot_take_its_inputs_back_to_before_it() {
    let town = town();
    for (at, snapshot) in town.names().0.into_iter().enumerate() {
        let turns = turns_of(&town, at);
        let blocks: Vec<_> =
            town.blocks(&snapshot).into_iter().filter(|block| block.kind == BlockKind::Events).collect();
        for block in &blocks {
            for offset in [0, BLOCK_HEADER] {
                let disk = damaged(&town, &snapshot, |bytes| bytes[block.offset as usize + offset] ^= 2);
                let repair = assert_repairs(&town, &disk, |turn, shard| !turns.contains(&turn) || shard != block.shard);
                let stood = |input: usize| {
                    let before = town.turns[..turns.start].iter().filter(|turn| turn.input == input);
                    before.map(|turn| turn.bytes.end as u64).max().unwrap_or(0)
                };
                let mut told: Vec<_> =
                    repair.hole.inputs.iter().map(|input| (input.name.clone(), input.from)).collect();
                told.sort();
                assert_eq!(told.len(), 3, "every input of it: {told:?}");
                for (input, (_, from)) in told.iter().enumerate() {
                    assert_eq!(*from, stood(input), "where it stood before the snapshot");
                }
            }
        }
    }
}

#[test]
fn a_bad_list_of_inputs_or_of_rejects_makes_them_be_read_again() {
    let town = town();
    for (at, snapshot) in town.names().0.into_iter().enumerate() {
        for kind in [BlockKind::Inputs, BlockKind::Rejects] {
            let disk = town.disk.fork();
            spoil(&disk, &snapshot, &town.block(&snapshot, kind));
            let repair = assert_repairs(&town, &disk, |_, _| true);
            assert!(repair.unknown && !repair.hole.inputs.is_empty(), "{kind:?} of {at}: {repair:?}");
        }
    }
}

#[test]
fn a_snapshot_that_is_cut_or_missing_loses_what_it_covered_and_no_more() {
    let town = town();
    for (at, snapshot) in town.names().0.into_iter().enumerate() {
        let turns = turns_of(&town, at);
        let disk = town.disk.fork();
        disk.lose(&snapshot);
        let repair = assert_repairs(&town, &disk, |turn, _| !turns.contains(&turn));
        assert!(repair.unknown);
        let events = town.blocks(&snapshot).into_iter().filter(|block| block.kind == BlockKind::Events);
        let shards: Vec<_> = events.map(|block| (block.shard, block.offset)).collect();
        let cut = shards[shards.len() / 2].1 + 1;
        let disk = damaged(&town, &snapshot, |bytes| bytes.truncate(cut as usize));
        let left = |shard| shards.iter().any(|(of, offset)| *of == shard && *offset + 1 < cut);
        assert_repairs(&town, &disk, |turn, shard| !turns.contains(&turn) || left(shard));
    }
}

#[test]
fn damage_in_several_places_is_repaired_at_once() {
    let town = town();
    let (snapshots, segments) = town.names();
    let disk = town.disk.fork();
    let block = town.block(&snapshots[1], BlockKind::Events);
    spoil(&disk, &snapshots[1], &block);
    let places = batches(&town);
    let (first, last) = (&places[1], places.last().unwrap());
    for place in [first, last] {
        let start = place.frame.header.offset as usize;
        disk.edit(&place.file, |bytes| bytes[start] ^= 1);
    }
    disk.lose(&segments[1]);
    let lost = |turn| {
        [first.turn, last.turn].contains(&Some(turn))
            || places.iter().any(|place| place.turn == Some(turn) && place.file == segments[1])
    };
    let turns = turns_of(&town, 1);
    assert_repairs(&town, &disk, |turn, shard| !lost(turn) && (!turns.contains(&turn) || shard != block.shard));
    // And a repaired store can be repaired again.
    town.ingest_all(&disk);
    let snapshot = store_files(&disk).into_iter().find(|name| name.ends_with(".snap")).unwrap();
    disk.edit(&snapshot, |bytes| bytes[SNAPSHOT_HEADER] ^= 1);
    let again = repaired(&disk).unwrap().unwrap();
    assert!(!again.copies.is_empty());
    assert_sound(&disk);
    assert_whole_again(&town, &disk);
}

#[test]
fn the_hole_is_on_record() {
    let town = town();
    let place = &batches(&town)[1];
    let start = place.frame.header.offset as usize;
    let disk = damaged(&town, &place.file, |bytes| bytes[start] ^= 1);
    let repair = repaired(&disk).unwrap().unwrap();
    let view = View::open(&disk).unwrap();
    let [hole, mark] = &view.frames[..] else { panic!("{}", view.frames.len()) };
    assert_eq!((hole.frame.header.kind, mark.frame.header.kind), (FrameKind::Hole, FrameKind::Mark));
    assert_eq!(hole.hole(&view.segments[0]).unwrap(), repair.hole);
    assert_eq!(view.durable_upto, hole.frame.header.sequence, "the mark proves it");
    // Damage to the record is damage like any other.
    let segment = segment_name(view.segments[0].header.number);
    disk.edit(&segment, |bytes| bytes[SEGMENT_HEADER + FRAME_HEADER + ENTRY] ^= 1);
    assert!(matches!(Log::open(disk.storage(), sync(1 << 20)), Err(Error::Corruption(_))));
    assert!(repaired(&disk).unwrap().is_some());
    assert_sound(&disk);
}

#[test]
fn inputs_that_were_forgotten_stay_so() {
    let town = town();
    let forget = |disk: &SimDisk| {
        let instance = *View::open(disk).unwrap().inputs.keys().next().unwrap();
        let (mut log, ..) = Log::open(disk.storage(), sync(2500)).unwrap();
        log.append_forget(&[instance]).unwrap();
        log.settle().unwrap();
        instance
    };
    for folded in [false, true] {
        let disk = town.disk.fork();
        let instance = forget(&disk);
        town.ingest_all(&disk);
        if folded {
            town.compact(&disk, false);
        }
        let told = accounts(&disk);
        // In front of the frame or the snapshot that says so, and behind it.
        for file in store_files(&disk) {
            let disk = disk.fork();
            let length = disk.bytes(&file).len();
            disk.edit(&file, |bytes| bytes[length / 2] ^= 1);
            if verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings.is_empty() {
                continue;
            }
            repaired(&disk).unwrap().unwrap();
            assert!(!View::open(&disk).unwrap().inputs.contains_key(&instance), "{file}, folded: {folded}");
            town.ingest_all(&disk);
            assert_eq!((answer(&disk), accounts(&disk)), (town.oracle(|_, _| true), told.clone()), "{file}");
            assert_sound(&disk);
        }
    }
    // The frame that says so is lost itself: then nobody knows, and it has to be said again.
    let disk = town.disk.fork();
    let instance = forget(&disk);
    let view = View::open(&disk).unwrap();
    let frame = view.frames.iter().find(|place| place.frame.header.kind == FrameKind::Forget).unwrap();
    let (file, at) = (view.segments[frame.segment].path.clone(), frame.frame.sections[0].at as usize);
    disk.edit(file.trim_start_matches("sim/"), |bytes| bytes[at] ^= 1);
    assert!(repaired(&disk).unwrap().unwrap().unknown);
    assert!(View::open(&disk).unwrap().inputs.contains_key(&instance));
}

#[test]
fn an_end_that_was_never_acknowledged_is_no_loss() {
    let town = town();
    let last = town.names().1.pop().unwrap();
    let place = &batches(&town)[0];
    let start = place.frame.header.offset as usize;
    let disk = damaged(&town, &place.file, |bytes| bytes[start] ^= 1);
    disk.edit(&last, |bytes| bytes.extend(b"half a frame"));
    let repair = repaired(&disk).unwrap().unwrap();
    let sequence = place.frame.header.sequence;
    assert_eq!(repair.hole.frames, [(sequence, sequence)]);
    assert_sound(&disk);
    assert_whole_again(&town, &disk);
}

#[test]
fn a_repair_that_is_stopped_changes_nothing() {
    let town = town();
    let place = &batches(&town)[0];
    let start = place.frame.header.offset as usize;
    let disk = damaged(&town, &place.file, |bytes| bytes[start] ^= 1);
    let before = disk.files();
    assert_eq!(repair(&disk, &options(false), &AtomicBool::new(true), &|_| ()).unwrap(), None);
    assert_eq!(disk.files(), before);
}

/// A store of the real program: three inputs in one segment each, with so many sites that all shards have some: their
/// sections are read in one go, and one that is bad stands between others.
fn sandbox() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let input = generated("--lines 3000 --sites 2000 --seed 5");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    for (name, lines) in ["a", "b", "c"].iter().zip(lines.chunks(1000)) {
        let lines = [&b"no event\n"[..], &lines.concat()].concat();
        sandbox.write(format!("{name}.jsonl"), lines);
        sandbox.run(&format!("ingest --store s --segment-size 4096 {name}.jsonl")).expect(3);
    }
    assert!(sandbox.has("s/0000000003.wal"));
    (sandbox, input)
}

#[test]
fn the_program_says_what_is_lost_and_ingesting_again_makes_it_whole() {
    let (sandbox, input) = sandbox();
    let whole = sandbox.listing("s");
    sandbox.run("repair --store s").expect(0).says(&["sound: nothing to repair"]);
    sandbox.run("repair --store s --dry-run").expect(0).says(&["sound: nothing to repair"]);
    assert_eq!(sandbox.segments("s"), {
        let mut whole = whole.clone();
        ["LOCK", ACKNOWLEDGED_NAME].iter().for_each(|name| drop(whole.remove(*name)));
        whole
    });
    let rejects = sandbox.run("rejects --store s").expect(0).out;
    let mut bytes = whole["0000000002.wal"].0.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    sandbox.write("s/0000000002.wal", &bytes);
    sandbox.run("report --store s").fails(4, &["0000000002.wal", "corrupt"]);
    let before = sandbox.listing("s");
    let end = std::fs::metadata(sandbox.path("b.jsonl")).unwrap().len();
    let lost = format!("bytes 0 to {end} are lost");
    sandbox
        .run("repair --store s --dry-run")
        .expect(4)
        .says(&["warning", "0000000002.wal", "corrupt"])
        .says(&["would replace 0000000001.wal 0000000002.wal 0000000003.wal"])
        .says(&["warning", "b.jsonl", &lost, "read from its start"])
        .says(&["hint", "chatwal repair --store s"]);
    assert_eq!(sandbox.listing("s"), before, "a dry run changed something");
    // The writer is not let in while another is.
    let writer = sandbox.start("ingest --store t -");
    support::cli::until("there is a store", || sandbox.has("t/0000000001.wal"));
    sandbox.run("repair --store t").fails(11, &["locked by another writer"]);
    drop(writer);
    sandbox
        .run("repair --store s")
        .expect(0)
        .says(&["s/0000000002.wal.repair-1: a copy of what was there"])
        .says(&["replaced", "wrote s/0000000001-0000000003.snap s/0000000004.wal", "events saved"])
        .says(&["warning", "lost, as a whole or in part: frames"])
        .says(&["warning", "b.jsonl", &lost, "read from its start"])
        .says(&["hint", "chatwal ingest --store s"]);
    assert_eq!(sandbox.read("s/0000000002.wal.repair-1"), bytes);
    let names: Vec<String> = sandbox.listing("s").into_keys().filter(|name| !name.contains(".repair-")).collect();
    assert_eq!(names, ["0000000001-0000000003.snap", "0000000004.wal", "ACKNOWLEDGED", "LOCK"]);
    sandbox.run("verify --store s").expect(0).silently();
    sandbox.run("dump s/0000000004.wal").expect(0).prints(&["hole", "segments=1..=3", &format!(":0..{end}")]);
    sandbox.run("ingest --store s a.jsonl b.jsonl c.jsonl").expect(3);
    sandbox.reports(&input);
    assert_eq!(sorted(&sandbox.run("rejects --store s").expect(0).out), sorted(&rejects));
    sandbox.run("compact --store s").expect(0);
    sandbox.reports(&input);
    sandbox.run("verify --store s").expect(0).silently();
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn the_program_repairs_stores_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.run("repair").fails(2, &["no store named"]);
    sandbox.run("repair --store nowhere").fails(10, &["nowhere"]);
    std::fs::create_dir(sandbox.path("other")).unwrap();
    sandbox.write("other/file", "x");
    sandbox.run("repair --store other").fails(10, &["other"]);
    assert_eq!(sandbox.listing("other").into_keys().collect::<Vec<_>>(), ["file"], "not even a lock is left there");
}

#[test]
fn files_that_overlap_are_told_apart() {
    let town = town();
    let (snapshots, _) = town.names();
    let disk = town.disk.fork();
    // As if somebody had put a file of an old backup there: it begins in one snapshot and ends in the next.
    let end: u64 = snapshots[0]["0000000001-".len()..].trim_end_matches(".snap").parse().unwrap();
    let overlapping = snapshot_name(&(end..=end + 1));
    disk.edit(&overlapping, |bytes| *bytes = town.disk.bytes(&snapshots[0]));
    assert_repairs(&town, &disk, |_, _| true);
    assert!(!disk.files().contains_key(&overlapping));
}

#[test]
fn a_repair_that_fails_can_be_run_again() {
    let town = Town::build(7, &[18, 2], 6);
    let place = &batches(&town)[0];
    let start = place.frame.header.offset as usize;
    let disk = damaged(&town, &place.file, |bytes| bytes[start] ^= 1);
    let done = disk.fork();
    let whole = repaired(&done).unwrap().unwrap();
    at_every_call(|case| {
        let disk = disk.fork();
        case.plan(&disk);
        let result = repaired(&disk);
        if disk.untouched() {
            assert!(result.is_ok());
            return false;
        }
        // A disk that cannot be read now is no damage: what it holds must not be given up.
        assert!(matches!(result, Err(Error::Io { .. })), "{case:?}: {result:?}");
        disk.heal();
        if let Some(again) = repaired(&disk).unwrap() {
            assert_eq!(again.hole, whole.hole, "{case:?}");
        }
        assert_sound(&disk);
        assert_eq!((answer(&disk), accounts(&disk)), (answer(&done), accounts(&done)), "{case:?}");
        // What a failed sync left in the page cache alone must not be built on.
        let crashed = disk.crash(&mut Choices::Random(case.n));
        assert_sound(&crashed);
        assert_eq!((answer(&crashed), accounts(&crashed)), (answer(&done), accounts(&done)), "{case:?}");
        true
    });
}

/// Every way to die: before each call that changes the disk, with the power and without.
#[test]
#[allow(clippy::too_many_lines, reason = "one story")]
fn a_repair_that_is_interrupted_anywhere_is_finished_by_the_next() {
    let town = Town::build(7, &[18, 2], 6);
    let (snapshots, segments) = town.names();
    let places = batches(&town);
    let header = |place: &InFile, bytes: &mut Vec<u8>| bytes[place.frame.header.offset as usize] ^= 1;
    let mut cases = Vec::new();
    cases.push(damaged(&town, &places[0].file, |bytes| header(&places[0], bytes)));
    let last = places.last().unwrap();
    cases.push(damaged(&town, &last.file, |bytes| header(last, bytes)));
    // Damage that only a report meets.
    let section = places[0].sections().next_back().unwrap();
    cases.push(damaged(&town, &places[0].file, |bytes| bytes[section.at as usize] ^= 1));
    for snapshot in &snapshots {
        let disk = town.disk.fork();
        spoil(&disk, snapshot, &town.block(snapshot, BlockKind::Events));
        cases.push(disk);
        let disk = town.disk.fork();
        disk.lose(snapshot);
        cases.push(disk);
    }
    for segment in [&segments[0], segments.last().unwrap()] {
        let disk = town.disk.fork();
        disk.lose(segment);
        cases.push(disk);
    }
    // The last segment is missing, and there is damage before it that only a report meets: what is published first must not
    // pass for the missing segment.
    let sealed = &segments[segments.len() - 2];
    let section = places.iter().rfind(|place| place.file == *sealed).unwrap().sections().next_back().unwrap();
    let disk = damaged(&town, sealed, |bytes| bytes[section.at as usize] ^= 1);
    disk.lose(segments.last().unwrap());
    cases.push(disk);
    // The last segment is missing, and nothing says that any of it was acknowledged.
    for case in cases.len() - 2..cases.len() {
        let disk = cases[case].fork();
        disk.lose(ACKNOWLEDGED_NAME);
        cases.push(disk);
    }
    let (mut images, mut finished, mut refused) = (0, 0, 0);
    for (case, disk) in cases.iter().enumerate() {
        let refuses_writers = Log::open(disk.fork().storage(), sync(1 << 20)).is_err();
        let done = disk.fork();
        let whole = repaired(&done).unwrap().unwrap();
        let (answered, told) = (answer(&done), accounts(&done));
        for call in 0..done.mutations() {
            for seed in 0..6 {
                let dying = disk.fork();
                dying.stop_at(call);
                assert!(repaired(&dying).is_err());
                // The first life of the machine goes on, the others lose power.
                let found = if seed == 0 { dying.kill() } else { dying.crash(&mut Choices::Random(seed)) };
                images += 1;
                let files = found.files();
                match View::open(&found).and_then(|view| report(&view)) {
                    Ok(report) => {
                        assert_eq!(report, answered.as_bytes(), "case {case}, call {call}, seed {seed}");
                        finished += 1;
                    }
                    Err(Error::Corruption(_)) => {
                        refused += 1;
                        // Whoever writes is refused and changes nothing, but for damage that writers never met.
                        let writer = found.fork();
                        match Log::open(writer.storage(), sync(1 << 20)) {
                            Ok(_) => assert!(!refuses_writers, "case {case}, call {call}, seed {seed}: half repaired"),
                            Err(_) => assert_eq!(writer.files(), files),
                        }
                    }
                    Err(error) => panic!("case {case}, call {call}, seed {seed}: {error}"),
                }
                let again = repaired(&found).unwrap();
                if let Some(again) = again {
                    assert_eq!(again.hole, whole.hole, "case {case}, call {call}, seed {seed}");
                    assert_eq!(again.findings, whole.findings);
                    assert_eq!(store_files(&found), store_files(&done));
                }
                assert_sound(&found);
                assert_eq!((answer(&found), accounts(&found)), (answered.clone(), told.clone()));
                let copies = found.files().into_keys().filter(|name| name.contains(".repair-")).count();
                assert_eq!(copies, whole.copies.len(), "one copy of each, however often it was begun");
            }
        }
        assert_whole_again(&town, &done);
    }
    println!("{images} images: {refused} refused until repaired, {finished} repaired");
    assert!(finished > 20 && refused > 100);
}
