//! `wal-format.md` tells the truth: the bytes of its worked example are what the store writes.

use std::path::Path;
use std::sync::Arc;

use std::sync::atomic::AtomicBool;

use chatwal::disk::{Access, Disk, File, Identity, Stamp, Storage, Taken};
use chatwal::error::Result;
use chatwal::event::table::Table;
use chatwal::event::{Event, Id, Kind, Site};
use chatwal::format::checkpoint::{Checkpoint, Windows};
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::events::EventsEncoder;
use chatwal::format::rejects::{Reject, RejectsEncoder};
use chatwal::format::{Uid, digest};
use chatwal::store::log::{Batch, Log, LogOptions};
use chatwal::upkeep::compact::{CompactOptions, compact};

/// A disk whose random bytes are those of the page.
struct Fixed(Disk);

impl Storage for Fixed {
    fn path(&self) -> &Path {
        self.0.path()
    }
    fn list(&self) -> std::io::Result<Vec<String>> {
        self.0.list()
    }
    fn open(&self, name: &str, access: Access) -> std::io::Result<Box<dyn File>> {
        self.0.open(name, access)
    }
    fn create(&self, name: &str) -> std::io::Result<Box<dyn File>> {
        self.0.create(name)
    }
    fn open_or_create(&self, name: &str) -> std::io::Result<Box<dyn File>> {
        self.0.open_or_create(name)
    }
    fn rename(&self, from: &str, to: &str, taken: Taken) -> std::io::Result<()> {
        self.0.rename(from, to, taken)
    }
    fn identity(&self, name: &str) -> std::io::Result<Identity> {
        self.0.identity(name)
    }
    fn in_place(&self) -> Result<Option<Stamp>> {
        self.0.in_place()
    }
    fn remove(&self, name: &str) -> std::io::Result<()> {
        self.0.remove(name)
    }
    fn sync_directory(&self) -> std::io::Result<()> {
        self.0.sync_directory()
    }
    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        self.0.lock()
    }
    fn random(&self) -> std::io::Result<Uid> {
        Ok(*b"0123456789abcdef")
    }
}

/// The input of the page: three events and a line that is none.
const INPUT: &str = r#"{"id":"7b4a5786-3574-4806-9988-25d109c284b8","type":"message","from":"visitor1","site_id":"1","timestamp":7391,"data":{"message":"hello"}}
{"id":"f0d6ebe9-4830-415b-a826-a6ef47ebb649","type":"status","from":"operator1","site_id":"1","timestamp":5630,"data":{"status":"online"}}
oops
{"id":"m-1","type":"message","from":"visitor1","site_id":"shop","timestamp":-1,"data":{"message":"?"}}
"#;

/// The segment that the page describes, byte by byte, and the snapshot that it becomes.
fn files() -> (Vec<u8>, Vec<u8>) {
    let directory = tempfile::tempdir().unwrap();
    let storage = Arc::new(Fixed(Disk::open(directory.path()).unwrap()));
    let mut table = Table::default();
    let event = |site: &'static str, id: &'static str, from: &'static str, timestamp, kind| {
        let (site, id) = (Site::new(site.as_bytes()), Id::new(id.as_bytes()));
        (Event { site, id, from: from.as_bytes(), timestamp, kind }, shard(site_hash(site)))
    };
    for (event, shard) in [
        event("1", "7b4a5786-3574-4806-9988-25d109c284b8", "visitor1", 7391, Kind::Message),
        event("1", "f0d6ebe9-4830-415b-a826-a6ef47ebb649", "operator1", 5630, Kind::Online),
        event("shop", "m-1", "visitor1", -1, Kind::Message),
    ] {
        table.push(&event, shard);
    }
    let mut batch = Batch::default();
    let mut rejects = RejectsEncoder::default();
    let at = INPUT.find("oops").unwrap() as u64;
    rejects.push(Reject { offset: at, line: 2, column: 0, reason: 3, length: 4, raw: b"oops" });
    rejects.finish(&mut batch.entries, &mut batch.sections);
    EventsEncoder::default().encode(&table, &mut batch.entries, &mut batch.sections);
    let length = INPUT.len();
    let windows = Windows {
        head_length: length as u16,
        head: digest(INPUT.as_bytes()),
        tail_length: length as u16,
        tail: digest(INPUT.as_bytes()),
    };
    let checkpoint = Checkpoint {
        instance: *b"fedcba9876543210",
        start: 0,
        end: length as u64,
        start_line: 0,
        end_line: 4,
        windows,
        name: b"chat".to_vec(),
        left: 0,
        marks: Vec::new(),
    };
    let (mut log, _, _) = Log::open(Arc::clone(&storage) as Arc<dyn Storage>, LogOptions::default()).unwrap();
    log.append_batch(&checkpoint, &batch).unwrap();
    log.settle().unwrap();
    let segment = std::fs::read(directory.path().join("0000000001.wal")).unwrap();
    log.seal().unwrap();
    let options = CompactOptions { threads: 1, memory: 1 << 20, temp: None, all: false };
    compact(&*storage, &options, &AtomicBool::new(false), &|_| ()).unwrap().unwrap();
    (segment, std::fs::read(directory.path().join("0000000001-0000000001.snap")).unwrap())
}

/// The bytes in the page's ```hex blocks; what stands behind `|` explains them.
fn hex_of(page: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim() {
            "```hex" => inside = true,
            "```" => inside = false,
            line if inside => {
                let digits = line.split('|').next().unwrap_or_default();
                bytes.extend(digits.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).unwrap()));
            }
            _ => {}
        }
    }
    bytes
}

#[test]
fn the_worked_example_is_what_the_store_writes() {
    let page = include_str!("../wal-format.md");
    let (of_segment, of_snapshot) = page.split_once("### The snapshot").unwrap();
    let (segment, snapshot) = files();
    for (told, written) in [(hex_of(of_segment), segment), (hex_of(of_snapshot), snapshot)] {
        let first = told.iter().zip(&written).position(|(a, b)| a != b).unwrap_or(told.len().min(written.len()));
        let shown: Vec<String> = written.iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(told == written, "differs at byte {first}; the store writes:\n{}", shown.join(" "));
    }
    assert!(page.contains(INPUT), "the page shows the input");
}
