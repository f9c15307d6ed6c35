//! Stores with a random past: batches of several inputs, copies that agree and that don't, rejects, repeated lines, forgotten inputs,
//! rolls, compactions, reopenings, losses of power, rolls that were interrupted, files that a compaction left over.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::sync::atomic::AtomicBool;

use chatwal::event::table::Table;
use chatwal::event::{Event, Id, Kind, Site};
use chatwal::format::Uid;
use chatwal::format::checkpoint::{Checkpoint, Mark, Windows};
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::directory::{Entry, SectionKind};
use chatwal::format::events::EventsEncoder;
use chatwal::format::rejects::{Reject, RejectsEncoder};
use chatwal::store::View;
use chatwal::store::log::{Batch, Log};
use chatwal::store::recover::publish_segment;
use chatwal::upkeep::compact::{CompactOptions, compact};

use super::sim::{Choices, SimDisk};
use super::store::{os, sync};

const SITES: [&str; 9] =
    ["1", "2", "10", "777", "999999999999999999", "shop", "täglich", "01", "a shop, with \"quotes\""];
const KINDS: [Kind; 3] = [Kind::Offline, Kind::Online, Kind::Message];

/// An input that grows.
#[derive(Clone)]
struct Input {
    instance: Uid,
    end: u64,
    line: u64,
    name: Vec<u8>,
}

/// What has been going on.
struct Past<'a> {
    disk: SimDisk,
    choices: &'a mut Choices,
    inputs: Vec<Input>,
    /// Identities so far, to make copies of.
    ids: Vec<(usize, String)>,
}

/// A store with a random past, as a process finds it.
pub fn history(choices: &mut Choices) -> SimDisk {
    let disk = SimDisk::new(choices.of(usize::MAX) as u64);
    let mut past = Past { disk, choices, inputs: Vec::new(), ids: Vec::new() };
    for _ in 0..1 + past.choices.of(4) {
        past.life();
    }
    past.end()
}

impl Past<'_> {
    fn of(&mut self, n: usize) -> usize {
        self.choices.of(n)
    }

    fn uid(&mut self) -> Uid {
        std::array::from_fn(|_| self.choices.of(256) as u8)
    }

    /// A writer opens the store, does some things, and is gone.
    fn life(&mut self) {
        let segment_size = [700, 2000, 20_000][self.of(3)];
        let options = if self.choices.one_in(4) { os(segment_size) } else { sync(segment_size) };
        let (mut log, ..) = Log::open(self.disk.storage(), options).unwrap();
        for _ in 0..1 + self.of(8) {
            match self.of(12) {
                0..=7 => self.batch(&mut log),
                8 => log.settle().unwrap(),
                9 => self.forget(&mut log),
                10 => log.seal().unwrap(),
                _ => {
                    log.seal().unwrap();
                    let options =
                        CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: self.choices.one_in(2) };
                    let before = self.disk.files();
                    compact(&self.disk, &options, &AtomicBool::new(false), &|_| ()).unwrap();
                    if self.choices.one_in(4) {
                        // As if it had died before it deleted anything.
                        let after = self.disk.files();
                        let gone = before.iter().filter(|(name, _)| !after.contains_key(*name));
                        gone.for_each(|(name, bytes)| self.disk.edit(name, |file| file.clone_from(bytes)));
                    }
                }
            }
        }
        if !self.choices.one_in(3) {
            log.settle().unwrap();
        }
        if self.choices.one_in(6) && self.disk.files().len() > 1 {
            // A roll that stops before the seal.
            drop(log);
            let view = View::open(&self.disk).unwrap();
            let last = view.segments.last().unwrap().header.number;
            publish_segment(&self.disk, view.store(), last + 1, view.link.sequence + 1).unwrap();
        }
    }

    fn batch(&mut self, log: &mut Log) {
        let which = self.of(3);
        while self.inputs.len() <= which {
            let name = [&b"-"[..], b"chat.jsonl", b"a name\n that is \xff odd"][self.inputs.len()].to_vec();
            let instance = self.uid();
            self.inputs.push(Input { instance, end: 0, line: 0, name });
        }
        let length = [0, 1, 100, 5000][self.of(4)] as u64 + 40;
        let lines = 1 + self.of(20) as u64;
        let (batch, _) = self.sections(length, lines);
        let digest = self.uid();
        let input = &mut self.inputs[which];
        let (start, start_line) = (input.end, input.line);
        (input.end, input.line) = (start + length, start_line + lines);
        let window = input.end.min(4096) as u16;
        let windows = Windows { head_length: window, head: digest, tail_length: window, tail: digest };
        let Input { instance, end, line: end_line, name } = input.clone();
        let left = if self.choices.one_in(4) { self.of(100_000) as u64 } else { 0 };
        let mark = |end| Mark { end, tail: digest };
        let marks = if start > 1 && self.choices.one_in(3) { vec![mark(1), mark(start)] } else { Vec::new() };
        let checkpoint = Checkpoint { instance, start, end, start_line, end_line, windows, name, left, marks };
        log.append_batch(&checkpoint, &batch).unwrap();
    }

    /// Rejects, events and repeated lines.
    fn sections(&mut self, length: u64, lines: u64) -> (Batch, usize) {
        let mut batch = Batch::default();
        let mut rejects = RejectsEncoder::default();
        let alike = self.choices.one_in(3);
        for line in 0..[0, 0, 1, 3, lines as usize][self.of(5)].min(lines as usize) as u64 {
            let raw = if alike { b"oops".to_vec() } else { vec![b'x'; self.of(30)] };
            let reason = if alike { 3 } else { 1 + self.of(25) as u8 };
            let whole = raw.len() as u64 + if self.choices.one_in(5) { 5000 } else { 0 };
            let column = if !alike && self.choices.one_in(4) { self.of(5000) as u64 } else { 0 };
            rejects.push(Reject { offset: (line * 2).min(length - 1), line, column, reason, length: whole, raw: &raw });
        }
        rejects.finish(&mut batch.entries, &mut batch.sections);
        let mut table = Table::default();
        let count = [0, 1, 3, 12][self.of(4)];
        for _ in 0..count {
            self.event(&mut table);
        }
        EventsEncoder::default().encode(&table, &mut batch.entries, &mut batch.sections);
        if self.choices.one_in(5) {
            batch.entries.push(Entry::new(SectionKind::Repeats, 0, 1 + self.of(3) as u32, &[]));
        }
        (batch, count)
    }

    fn event(&mut self, table: &mut Table) {
        let (site, id) = match self.ids.len() {
            known if known > 0 && self.choices.one_in(4) => self.ids[self.choices.of(known)].clone(),
            _ => {
                let id = match self.of(3) {
                    0 => format!("{:08x}-0000-4000-8000-{:012x}", self.of(1 << 30), self.of(1 << 30)),
                    1 => format!("e{}", self.of(40)),
                    _ => format!("{}-{}", self.of(1000), "long".repeat(self.of(30))),
                };
                (self.of(SITES.len()), id)
            }
        };
        self.ids.push((site, id.clone()));
        let kind = KINDS[self.of(3)];
        let from = format!("{}{}", if kind == Kind::Message { "visitor" } else { "operator" }, self.of(4));
        let timestamp = match self.of(8) {
            0 => [i64::MIN, i64::MAX, -1, 0][self.of(4)],
            _ => 1_429_026_445 + self.of(50) as i64,
        };
        let site = Site::new(SITES[site].as_bytes());
        let event = Event { site, id: Id::new(id.as_bytes()), from: from.as_bytes(), timestamp, kind };
        table.push(&event, shard(site_hash(site)));
    }

    fn forget(&mut self, log: &mut Log) {
        let Some(which) = self.inputs.len().checked_sub(1).map(|last| self.choices.of(last + 1)) else { return };
        let next = self.uid();
        let old = std::mem::replace(&mut self.inputs[which].instance, next);
        (self.inputs[which].end, self.inputs[which].line) = (0, 0);
        log.append_forget(&[old]).unwrap();
    }

    /// What a later process finds: the power may have gone.
    fn end(self) -> SimDisk {
        match self.choices.of(4) {
            0 if View::open(&self.disk).is_ok() => {
                let found = self.disk.crash(self.choices);
                if found.is_store() { found } else { self.disk.kill() }
            }
            _ => self.disk.kill(),
        }
    }
}
