//! The steps of the flow, each alone and in its order: parse, encode, decode, merge, fold, publish.
//!
//! `cargo bench` measures all of them, `cargo bench -- parse` some, `cargo bench -- --test` runs each once. Lines come from
//! `generate` and are the same each time; nothing but `publish` reaches the disk. For the whole job, and beside others, see
//! `tools/compare.py`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use chatwal::disk::scratch::MEMORY;
use chatwal::disk::{Disk, Names};
use chatwal::event::Event;
use chatwal::event::summary::Window;
use chatwal::event::table::Table;
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::directory::Entry;
use chatwal::format::events::{EventsDecoder, EventsEncoder, PackedEvents};
use chatwal::intake::chunk::CHUNK;
use chatwal::intake::fast;
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::parse::{self, Scratch, Text};
use chatwal::intake::repeats::Seek;
use chatwal::intake::source::Source;
use chatwal::query::fold::Fold;
use chatwal::query::gather::by_site;
use chatwal::query::merge::Merge;
use chatwal::store::log::{Log, LogOptions};
use chatwal::upkeep::compact::{CompactOptions, compact};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use tempfile::TempDir;

/// A few chunks of lines, of which each shard has some.
const LINES: &str = "150k";

/// The shards that decode, merge and fold work on: as many events as a task has on many more lines.
const SHARDS: usize = 32;

/// The lines that `chatwal-generate` makes for these options.
fn generate(options: &str) -> Vec<u8> {
    chatwal_tools::generated(options).expect("options of the generator")
}

/// The lines as the ingest cuts them.
fn chunks(mut lines: &[u8]) -> Vec<&[u8]> {
    let mut chunks = Vec::new();
    while !lines.is_empty() {
        let room = &lines[..lines.len().min(CHUNK)];
        let end = memchr::memrchr(b'\n', room).expect("lines that fit a chunk") + 1;
        let (chunk, rest) = lines.split_at(end);
        chunks.push(chunk);
        lines = rest;
    }
    chunks
}

/// Parses as the ingest does; gives the number of events.
fn each_event(lines: &[u8], scratch: &mut Scratch, mut visit: impl FnMut(&Event<'_>)) -> u64 {
    let (mut events, mut at) = (0, 0);
    while at < lines.len() {
        let rest = &lines[at..];
        at += match fast::parse(rest) {
            Some((event, length)) => {
                visit(&event);
                length
            }
            None => {
                let length = memchr::memchr(b'\n', rest).expect("whole lines");
                visit(&parse::parse(Text::new(&rest[..length]), scratch).expect("an event").0);
                length + 1
            }
        };
        events += 1;
    }
    events
}

/// The events of a chunk.
fn table(lines: &[u8]) -> Table {
    let mut table = Table::default();
    each_event(lines, &mut Scratch::default(), |event| table.push(event, shard(site_hash(event.site))));
    table
}

/// A section of events.
struct Section {
    shard: u8,
    count: u32,
    bytes: Vec<u8>,
}

/// What the chunks become, by shard: the first shards only.
fn sections(lines: &[u8]) -> Vec<Vec<Section>> {
    let mut shards: Vec<Vec<Section>> = Vec::new();
    shards.resize_with(SHARDS, Vec::new);
    let mut encoder = EventsEncoder::default();
    for chunk in chunks(lines) {
        let (mut entries, mut out) = (Vec::<Entry>::new(), Vec::new());
        encoder.encode(&table(chunk), &mut entries, &mut out);
        let mut rest = out.as_slice();
        for entry in entries {
            let (bytes, behind) = rest.split_at(entry.length as usize);
            rest = behind;
            if let Some(sections) = shards.get_mut(usize::from(entry.shard)) {
                sections.push(Section { shard: entry.shard, count: entry.count, bytes: bytes.to_vec() });
            }
        }
    }
    shards
}

/// Decodes the sections of one shard.
fn decode(sections: &[Section], decoder: &mut EventsDecoder, table: &mut Table) {
    table.clear();
    for &Section { shard, count, ref bytes } in sections {
        decoder.decode(PackedEvents { bytes, count, shard }, table, |_| true).expect("a section as it was encoded");
    }
}

/// The shards as a report gathers them: not yet in order, copies included.
fn gathered(lines: &[u8]) -> Vec<Table> {
    let mut decoder = EventsDecoder::default();
    let table = |sections: Vec<Section>| {
        let mut table = Table::default();
        decode(&sections, &mut decoder, &mut table);
        table
    };
    sections(lines).into_iter().map(table).collect()
}

fn events(tables: &[Table]) -> Throughput {
    Throughput::Elements(tables.iter().map(|table| table.rows.len() as u64).sum())
}

fn parse(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse");
    for style in ["compact", "spaced", "shuffled"] {
        let lines = generate(&format!("--lines 20k --style {style}"));
        group.throughput(Throughput::Bytes(lines.len() as u64));
        // Lines that the fast path leaves go to the thorough one, as in an ingest.
        group.bench_function(BenchmarkId::new("fast", style), |b| {
            let mut scratch = Scratch::default();
            b.iter(|| {
                each_event(&lines, &mut scratch, |event| {
                    black_box(event);
                })
            });
        });
        group.bench_function(BenchmarkId::new("thorough", style), |b| {
            let mut scratch = Scratch::default();
            b.iter(|| {
                for line in lines.split_inclusive(|&byte| byte == b'\n') {
                    let event = parse::parse(Text::new(&line[..line.len() - 1]), &mut scratch);
                    black_box(event.expect("an event"));
                }
            });
        });
    }
    group.finish();
}

fn encode(c: &mut Criterion) {
    let lines = generate("--lines 40k --sites 200k --copies 0.1");
    let table = table(chunks(&lines)[0]);
    let mut group = c.benchmark_group("encode");
    group.throughput(Throughput::Elements(table.rows.len() as u64));
    group.bench_function("chunk", |b| {
        let mut encoder = EventsEncoder::default();
        let (mut entries, mut out) = (Vec::new(), Vec::new());
        b.iter(|| {
            entries.clear();
            out.clear();
            encoder.encode(black_box(&table), &mut entries, &mut out);
            out.len()
        });
    });
    group.finish();
}

fn decode_shards(c: &mut Criterion) {
    let shards = sections(&generate(&format!("--lines {LINES} --copies 0.1")));
    let counts = shards.iter().flatten().map(|section| u64::from(section.count));
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Elements(counts.sum()));
    group.bench_function("shards", |b| {
        let (mut decoder, mut table) = (EventsDecoder::default(), Table::default());
        b.iter(|| {
            for sections in &shards {
                decode(black_box(sections), &mut decoder, &mut table);
            }
        });
    });
    group.finish();
}

fn merge(c: &mut Criterion) {
    let mut group = c.benchmark_group("merge");
    for (name, options) in [
        ("wide", "--copies 0.1"),
        ("nearly-sorted", "--copies 0.1 --order nearly-sorted"),
        ("15-copies", "--copies 15x"),
    ] {
        let mut tables = gathered(&generate(&format!("--lines {LINES} {options}")));
        group.throughput(events(&tables));
        let arrived: Vec<_> = tables.iter().map(|table| table.rows.clone()).collect();
        group.bench_function(name, |b| {
            let mut merge = Merge::default();
            let again = |rows: Vec<_>| {
                let ordered = tables.iter_mut().zip(rows).map(|(table, rows)| {
                    table.rows = rows;
                    merge.unique(table);
                    std::mem::take(&mut table.rows)
                });
                ordered.collect::<Vec<_>>()
            };
            b.iter_batched(|| arrived.clone(), again, BatchSize::LargeInput);
        });
    }
    group.finish();
}

fn fold(c: &mut Criterion) {
    let mut group = c.benchmark_group("fold");
    for (name, options) in [("wide", "--sites 3k"), ("narrow", "--sites 300")] {
        let mut tables = gathered(&generate(&format!("--lines {LINES} {options}")));
        let mut merge = Merge::default();
        for table in &mut tables {
            merge.unique(table);
        }
        group.throughput(events(&tables));
        group.bench_function(name, |b| {
            let mut fold = Fold::default();
            b.iter(|| {
                for table in &tables {
                    for rows in by_site(table) {
                        black_box(fold.site(rows, table.names(), Window::ALL, &mut ()));
                    }
                }
            });
        });
    }
    group.finish();
}

/// A store whose segments are sealed, and the number of its events.
fn sealed_store(directory: &Path) -> (PathBuf, u64) {
    let (input, store) = (directory.join("lines.jsonl"), directory.join("store"));
    std::fs::write(&input, generate("--lines 50k --copies 0.1")).expect("a place for temporary files");
    let disk = Disk::create(&store, Names::Durable).expect("a new store");
    let (mut log, view, _) = Log::open(Arc::new(disk), LogOptions::default()).expect("a new store");
    let mut inputs = view.inputs;
    let source = Source::open(&input).expect("the input");
    let options = IngestOptions {
        threads: 1,
        max_rejects: MaxRejects::Number(0),
        from_start: false,
        seek: Seek::default(),
        ..IngestOptions::default()
    };
    let outcome =
        ingest(&mut log, &mut inputs, source, options, Caller { stop: &AtomicBool::new(false), notify: &mut |_| () });
    log.seal().and_then(|()| log.settle()).expect("a log that is sealed");
    (store, outcome.expect("an input without rejects").events)
}

fn copy_of(store: &Path) -> TempDir {
    let copy = tempfile::tempdir().expect("a place for temporary files");
    for file in std::fs::read_dir(store).expect("a store") {
        let file = file.expect("its files");
        std::fs::copy(file.path(), copy.path().join(file.file_name())).expect("a copy of its files");
    }
    copy
}

fn publish(c: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a place for temporary files");
    let (store, events) = sealed_store(directory.path());
    let options = CompactOptions { threads: 1, memory: MEMORY, temp: None, all: false };
    let mut group = c.benchmark_group("publish");
    // Each ends with fsyncs, and begins with a copy of the store.
    group.sample_size(20).measurement_time(Duration::from_secs(4));
    group.throughput(Throughput::Elements(events));
    group.bench_function("compact", |b| {
        let compacted = |copy: TempDir| {
            let disk = Disk::open(copy.path()).expect("the copy");
            let outcome = compact(&disk, &options, &AtomicBool::new(false), &|_| ());
            assert!(outcome.expect("a sound store").is_some(), "there is something to fold");
            copy
        };
        b.iter_batched(|| copy_of(&store), compacted, BatchSize::PerIteration);
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for step in [parse, encode, decode_shards, merge, fold, publish] {
        step(&mut criterion);
    }
    criterion.final_summary();
}
