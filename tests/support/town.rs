//! A store with a bit of everything on a simulated disk, made of inputs on a real one: several inputs that grew by turns,
//! rejects, copies, snapshots, segments. It knows which lines each frame was made of, so that the report of what is left
//! after any damage can be asked of the oracle.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use chatwal::event::Site;
use chatwal::format::block::{BLOCK_HEADER, BlockHeader, BlockKind};
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::directory::SectionKind;
use chatwal::format::frame::FrameKind;
use chatwal::format::rejects::decode_rejects;
use chatwal::format::tables::split_rejects;
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::source::Source;
use chatwal::segment::{Frame, Section};
use chatwal::snapshot::Stretch;
use chatwal::store::log::Log;
use chatwal::store::{ACKNOWLEDGED_NAME, View};
use chatwal::upkeep::compact::{CompactOptions, compact};
use tempfile::TempDir;

use super::EVERY_LINE;
use super::cli::Dice;
use super::naive::Naive;
use super::sim::SimDisk;
use super::store::{report, sync, text};

/// So small that some batches fill it.
const SEGMENT: u64 = 2500;

/// Sites of the events; of many shards.
const SITES: [&str; 6] = ["1", "2", "10", "shop", "täglich", "777"];

/// Lines that one batch was made of.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Whose.
    pub input: usize,
    /// From where to where in it.
    pub bytes: std::ops::Range<usize>,
}

/// The store and what it was made of.
pub struct Town {
    /// The store.
    pub disk: SimDisk,
    directory: TempDir,
    /// The whole inputs.
    pub inputs: Vec<Vec<u8>>,
    /// What each batch was made of, in the order of the log.
    pub turns: Vec<Turn>,
    /// How many of these are in each snapshot, in order.
    pub folded: Vec<usize>,
}

/// A frame and where it is.
#[derive(Clone, Debug)]
pub struct InFile {
    /// The name of its file.
    pub file: String,
    /// The frame.
    pub frame: Frame,
    /// Its place among the batches, if it is one.
    pub turn: Option<usize>,
}

impl InFile {
    /// The sections that have bytes.
    pub fn sections(&self) -> impl DoubleEndedIterator<Item = &Section> {
        self.frame.sections.iter().filter(|section| section.entry.length > 0)
    }
}

impl Town {
    /// Three inputs that take turns; the first turns are folded into snapshots of so many turns each.
    pub fn build(seed: u64, folded: &[usize], turns: usize) -> Town {
        let disk = SimDisk::new(seed);
        let mut town = Town {
            disk,
            directory: tempfile::tempdir().unwrap(),
            inputs: vec![Vec::new(); 3],
            turns: Vec::new(),
            folded: folded.to_vec(),
        };
        let mut dice = Dice(seed);
        for &count in folded {
            town.grow(count, &mut dice);
            town.compact(&town.disk.clone(), false);
        }
        town.grow(turns, &mut dice);
        // Written long ago: nobody syncs the record, and by now it is on the disk all the same.
        town.disk.edit(ACKNOWLEDGED_NAME, |_| ());
        town
    }

    fn grow(&mut self, turns: usize, dice: &mut Dice) {
        for _ in 0..turns {
            // The third input comes late.
            let input = self.turns.len() % if self.turns.len() < 4 { 2 } else { 3 };
            let start = self.inputs[input].len();
            let lines = self.lines(dice);
            self.inputs[input].extend_from_slice(&lines);
            let mut file = std::fs::OpenOptions::new().create(true).append(true).open(self.path(input)).unwrap();
            file.write_all(&lines).unwrap();
            self.turns.push(Turn { input, bytes: start..self.inputs[input].len() });
            self.ingest(&self.disk.clone(), &[input]);
        }
    }

    /// Events of a few sites, a line that is none, the first line again, and the first event of an earlier turn again.
    fn lines(&self, dice: &mut Dice) -> Vec<u8> {
        let turn = self.turns.len();
        let mut lines = Vec::new();
        for number in 0..8 {
            let site = SITES[dice.below(SITES.len() as u64) as usize];
            let (who, at) = (dice.below(4), dice.below(100));
            let (kind, from, data) = match dice.below(3) {
                0 => ("message", "visitor", r#"{"message":"Hi"}"#),
                1 => ("status", "operator", r#"{"status":"online"}"#),
                _ => ("status", "operator", r#"{"status":"offline"}"#),
            };
            writeln!(
                lines,
                r#"{{"id":"{turn}.{number}","type":"{kind}","from":"{from}{who}","site_id":"{site}","timestamp":{at},"data":{data}}}"#
            )
            .unwrap();
        }
        writeln!(lines, "no event in turn {turn}").unwrap();
        if turn % 3 == 1 {
            // Counted, and in no section of events.
            let first = lines.iter().position(|&byte| byte == b'\n').unwrap();
            lines.extend_from_within(..=first);
        }
        if turn > 2 {
            let Turn { input, bytes } = &self.turns[turn - 2];
            let earlier = &self.inputs[*input][bytes.clone()];
            lines.extend(earlier.split_inclusive(|&byte| byte == b'\n').next().unwrap());
        }
        lines
    }

    fn path(&self, input: usize) -> PathBuf {
        self.directory.path().join(format!("input{input}.jsonl"))
    }

    /// Ingests these inputs, as far as they are, and makes everything durable.
    pub fn ingest(&self, disk: &SimDisk, inputs: &[usize]) {
        let (mut log, view, _) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
        let mut known = view.inputs;
        for &input in inputs {
            let options = IngestOptions {
                threads: 1,
                max_rejects: MaxRejects::All,
                from_start: false,
                seek: EVERY_LINE,
                ..IngestOptions::default()
            };
            let source = Source::open(&self.path(input)).unwrap();
            ingest(
                &mut log,
                &mut known,
                source,
                options,
                Caller { stop: &AtomicBool::new(false), notify: &mut |_| () },
            )
            .unwrap();
        }
        log.settle().unwrap();
    }

    /// Ingests all inputs again that there are.
    pub fn ingest_all(&self, disk: &SimDisk) {
        let inputs: Vec<usize> = (0..self.inputs.len()).filter(|&input| !self.inputs[input].is_empty()).collect();
        self.ingest(disk, &inputs);
    }

    /// Seals the log and folds it.
    pub fn compact(&self, disk: &SimDisk, all: bool) {
        let (mut log, ..) = Log::open(disk.storage(), sync(SEGMENT)).unwrap();
        log.seal().unwrap();
        let options = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all };
        compact(disk, &options, &AtomicBool::new(false), &|_| ()).unwrap().unwrap();
    }

    /// The lines of a turn.
    pub fn lines_of(&self, turn: usize) -> &[u8] {
        let Turn { input, bytes } = &self.turns[turn];
        &self.inputs[*input][bytes.clone()]
    }

    /// What the oracle makes of the lines for which `kept` holds; it is told the turn and the shard of the site.
    pub fn oracle(&self, kept: impl Fn(usize, u8) -> bool) -> String {
        let mut naive = Naive::new();
        for turn in 0..self.turns.len() {
            for line in self.lines_of(turn).split_inclusive(|&byte| byte == b'\n') {
                let site = serde_json::from_slice::<serde_json::Value>(line).ok();
                let site = site.and_then(|event| Some(event["site_id"].as_str()?.to_owned()));
                let of = site.map_or(0, |site| shard(site_hash(Site::new(site.as_bytes()))));
                if kept(turn, of) {
                    naive.feed_input(line);
                }
            }
        }
        text(&naive.report())
    }

    /// The frames of all segments, in order.
    pub fn frames(&self) -> Vec<InFile> {
        let view = View::open(&self.disk).unwrap();
        let mut turn = self.folded.iter().sum::<usize>();
        let frames = view.frames.iter().map(|place| {
            let batch = place.frame.header.kind == FrameKind::Batch;
            let own = batch.then_some(turn);
            turn += usize::from(batch);
            let file = view.segments[place.segment].path.trim_start_matches("sim/").to_owned();
            InFile { file, frame: place.frame.clone(), turn: own }
        });
        frames.collect()
    }

    /// Names of the snapshots and of the segments.
    pub fn names(&self) -> (Vec<String>, Vec<String>) {
        let logs = self.disk.files().into_keys().filter(|name| name != ACKNOWLEDGED_NAME);
        logs.partition(|name| name.ends_with(".snap"))
    }

    /// The blocks of a snapshot.
    pub fn blocks(&self, snapshot: &str) -> Vec<BlockHeader> {
        let file = chatwal::disk::Storage::open(&self.disk, snapshot, chatwal::disk::Access::Read).unwrap();
        let snapshot = chatwal::snapshot::Snapshot::open(snapshot.into(), file).unwrap();
        let mut blocks = Vec::new();
        snapshot
            .scan(|stretch| {
                if let Stretch::Block(header, _, Ok(())) = stretch {
                    blocks.push(*header);
                }
                Ok(())
            })
            .unwrap();
        blocks
    }

    /// The first block of a kind.
    pub fn block(&self, snapshot: &str, kind: BlockKind) -> BlockHeader {
        self.blocks(snapshot).into_iter().find(|block| block.kind == kind).unwrap()
    }
}

/// Changes a byte of a block's payload.
pub fn spoil(disk: &SimDisk, file: &str, block: &BlockHeader) {
    disk.edit(file, |bytes| bytes[block.offset as usize + BLOCK_HEADER] ^= 1);
}

/// The report of a store, as text.
pub fn answer(disk: &SimDisk) -> String {
    text(&report(&View::open(disk).unwrap()).unwrap())
}

/// What a store says of its inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accounts {
    /// By name: how far it was read, its events and its rejects.
    pub inputs: Vec<(String, u64, u64, u64)>,
    /// Every reject, by the name of its input and its offset.
    pub rejects: Vec<(String, u64)>,
}

/// What a store says of its inputs.
pub fn accounts(disk: &SimDisk) -> Accounts {
    let view = View::open(disk).unwrap();
    let name = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
    let mut inputs: Vec<_> = view
        .inputs
        .values()
        .map(|input| (name(&input.checkpoint.name), input.checkpoint.end, input.events, input.rejects))
        .collect();
    inputs.sort();
    let mut rejects = Vec::new();
    for snapshot in &view.snapshots {
        let region = snapshot.header.region(BlockKind::Rejects);
        snapshot
            .blocks(BlockKind::Rejects, region, &mut Vec::new(), |header, bytes| {
                let (checkpoint, bytes) = split_rejects(bytes).unwrap();
                if view.inputs.contains_key(&checkpoint.instance) {
                    let decoded = decode_rejects(bytes, header.count, &checkpoint).unwrap();
                    rejects.extend(decoded.map(|reject| (name(&checkpoint.name), reject.offset)));
                }
                Ok(())
            })
            .unwrap();
    }
    for place in view.frames.iter().filter(|place| place.frame.header.kind == FrameKind::Batch) {
        let segment = &view.segments[place.segment];
        let checkpoint = place.checkpoint(segment).unwrap();
        let sections = place.frame.sections.iter().filter(|section| section.entry.kind == SectionKind::Rejects);
        for section in sections.filter(|_| view.inputs.contains_key(&checkpoint.instance)) {
            let bytes = segment.section(section).unwrap();
            let decoded = decode_rejects(&bytes, section.entry.count, &checkpoint).unwrap();
            rejects.extend(decoded.map(|reject| (name(&checkpoint.name), reject.offset)));
        }
    }
    rejects.sort();
    let unique: BTreeSet<_> = rejects.iter().collect();
    assert_eq!(unique.len(), rejects.len(), "a reject counts twice");
    Accounts { inputs, rejects }
}

/// What is in the directory but copies of repairs.
pub fn store_files(disk: &SimDisk) -> Vec<String> {
    disk.files().into_keys().filter(|name| name.ends_with(".wal") || name.ends_with(".snap")).collect()
}
