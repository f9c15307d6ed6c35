//! A small harness over the log: batches that are told apart, a writer in a line or two, and what must hold of a store.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::sync::Arc;

use chatwal::disk::Storage;
use chatwal::error::Result;
use chatwal::event::table::Table;
use chatwal::event::{Event, Id, Kind, Site};
use chatwal::format::checkpoint::{Checkpoint, Windows};
use chatwal::format::coding::{shard, site_hash};
use chatwal::format::events::EventsEncoder;
use chatwal::format::frame::FrameKind;
use chatwal::query::report::{Report, ReportOptions};
use chatwal::show::render::{self, Format};
use chatwal::store::log::{Batch, Durability, Log, LogOptions, Placed};
use chatwal::store::{ACKNOWLEDGED_NAME, Place, View};

use super::naive::{Naive, NaiveKind};
use super::sim::{Choices, SimDisk};

/// Appends with every acknowledgement durable, into segments of `segment_size` bytes.
pub fn sync(segment_size: u64) -> LogOptions {
    LogOptions { durability: Durability::Sync, segment_size }
}

/// Appends with `--durability os`.
pub fn os(segment_size: u64) -> LogOptions {
    LogOptions { durability: Durability::Os, segment_size }
}

/// A batch of a few events. Its number is part of each id and of the checkpoint, so that no two batches are alike and a
/// store shows which it holds.
#[derive(Clone)]
pub struct Sample {
    /// What `append_batch` takes first.
    pub checkpoint: Checkpoint,
    events: Vec<(String, String, String, i64, NaiveKind)>,
}

impl Sample {
    /// Batch `number` with `events` events.
    pub fn new(number: u64, events: usize, choices: &mut Choices) -> Sample {
        let event = |index| {
            let site = ["1", "2", "10", "shop"][choices.of(4)].to_owned();
            let (kind, who) = match choices.of(3) {
                0 => (NaiveKind::Online, "operator"),
                1 => (NaiveKind::Offline, "operator"),
                _ => (NaiveKind::Message, "visitor"),
            };
            (site, format!("{number}.{index}"), format!("{who}{}", choices.of(3)), choices.of(50) as i64, kind)
        };
        let length = (number % 4096) as u16;
        let windows = Windows { head_length: length, tail_length: length, ..Windows::default() };
        let checkpoint = Checkpoint {
            instance: [9; 16],
            start: 0,
            end: number % 4096,
            start_line: number,
            end_line: number,
            windows,
            name: b"sample".to_vec(),
            left: 0,
            marks: Vec::new(),
        };
        Sample { checkpoint, events: (0..events).map(event).collect() }
    }

    /// The batch as a worker would have made it.
    pub fn batch(&self) -> Batch {
        let (mut table, mut batch) = (Table::default(), Batch::default());
        for (site, id, from, timestamp, kind) in &self.events {
            let kind = match kind {
                NaiveKind::Online => Kind::Online,
                NaiveKind::Offline => Kind::Offline,
                NaiveKind::Message => Kind::Message,
            };
            let site = Site::new(site.as_bytes());
            let event = Event { site, id: Id::new(id.as_bytes()), from: from.as_bytes(), timestamp: *timestamp, kind };
            table.push(&event, shard(site_hash(site)));
        }
        EventsEncoder::default().encode(&table, &mut batch.entries, &mut batch.sections);
        batch
    }

    /// Tells the oracle of it.
    pub fn feed(&self, naive: &mut Naive) {
        for (site, id, from, timestamp, kind) in &self.events {
            naive.feed_event(site, id, from, *timestamp, *kind);
        }
    }
}

/// What a store was told and what it answered: the model it is compared with.
#[derive(Clone, Default)]
pub struct Model {
    /// The batches appended, in order; those that a crash cut off are left out.
    appended: Vec<Appended>,
    /// How many of them were acknowledged.
    pub acknowledged: usize,
    made: u64,
}

/// A batch that has its place in the log, and is not written.
pub struct Hand {
    number: u64,
    /// The frame's.
    pub sequence: u64,
    placed: Placed,
    batch: Batch,
}

#[derive(Clone)]
struct Appended {
    number: u64,
    /// The frame's, if the writer said so before it died.
    sequence: Option<u64>,
    /// The oracle, fed up to here, and its report.
    naive: Arc<Naive>,
    report: Arc<[u8]>,
}

impl Model {
    /// Appends a batch that never was, with this many events. A batch whose write failed may be found as well.
    pub fn append(&mut self, log: &mut Log, events: usize, choices: &mut Choices) -> Result<u64> {
        let sample = self.make(events, choices);
        let result = log.append_batch(&sample.checkpoint, &sample.batch());
        if let (Ok(sequence), Some(last)) = (&result, self.appended.last_mut()) {
            last.sequence = Some(*sequence);
        }
        result
    }

    /// Gives such a batch its place in the log; it is still to be [written](Model::write).
    pub fn place(&mut self, log: &mut Log, events: usize, choices: &mut Choices) -> Result<Hand> {
        let sample = self.make(events, choices);
        let batch = sample.batch();
        let placed = log.place_batch(&sample.checkpoint, batch.prepare())?;
        Ok(Hand { number: self.made, sequence: placed.sequence(), placed, batch })
    }

    /// Writes a batch that has its place.
    pub fn write(&mut self, hand: Hand) -> Result<()> {
        hand.placed.write(&hand.batch)?;
        let batch = self.appended.iter_mut().find(|batch| batch.number == hand.number);
        batch.expect("it was made").sequence = Some(hand.sequence);
        Ok(())
    }

    fn make(&mut self, events: usize, choices: &mut Choices) -> Sample {
        self.made += 1;
        let sample = Sample::new(self.made, events, choices);
        let mut naive = self.appended.last().map(|last| last.naive.clone()).unwrap_or_default();
        sample.feed(Arc::make_mut(&mut naive));
        let report = naive.report().into();
        self.appended.push(Appended { number: self.made, sequence: None, naive, report });
        sample
    }

    /// Notes what the log has acknowledged.
    pub fn note(&mut self, log: &Log) {
        let upto = log.acknowledged();
        let acknowledged = self.appended.iter().take_while(|batch| batch.sequence.is_some_and(|it| it <= upto));
        self.acknowledged = self.acknowledged.max(acknowledged.count());
    }

    /// Settles, which acknowledges everything, and notes that.
    pub fn settle(&mut self, log: &mut Log) -> Result<()> {
        log.settle()?;
        self.note(log);
        assert_eq!(self.acknowledged, self.written(), "settled, and still not acknowledged");
        Ok(())
    }

    /// How many batches were appended without an error.
    pub fn written(&self) -> usize {
        self.appended.iter().take_while(|batch| batch.sequence.is_some()).count()
    }

    /// The report of the first `count` batches.
    pub fn report(&self, count: usize) -> &[u8] {
        count.checked_sub(1).map_or(&[], |last| &self.appended[last].report)
    }

    /// Checks that a view holds a prefix of what was appended, and at least what was acknowledged, provably; and that its
    /// report is the oracle's. Gives the number of batches.
    #[track_caller]
    pub fn check(&self, view: &View) -> usize {
        let (covered, found) = (self.covered(view), batches(view));
        let found: Vec<u64> = found.into_iter().map(|(_, number)| number).collect();
        let appended: Vec<u64> = self.appended.iter().map(|batch| batch.number).collect();
        let prefix = appended[covered..].starts_with(&found);
        assert!(prefix, "no prefix of what was appended: {covered} in snapshots, then {found:?} of {appended:?}");
        let count = covered + found.len();
        assert!(count >= self.acknowledged, "{count} batches are left of {} acknowledged", self.acknowledged);
        let last = self.acknowledged.checked_sub(1).and_then(|last| self.appended[last].sequence);
        assert!(view.durable_upto >= last.unwrap_or(0), "acknowledged, and nothing proves it: {last:?}");
        assert_eq!(text(&report(view).unwrap()), text(self.report(count)));
        let events = count.checked_sub(1).map_or(0, |last| self.appended[last].naive.events());
        assert_eq!(view.inputs.values().map(|input| input.events).sum::<u64>(), events, "events of the only input");
        count
    }

    /// How many batches the snapshots of a view cover: the checkpoint they inherit names the last one.
    fn covered(&self, view: &View) -> usize {
        let inherited = view.snapshots.iter().flat_map(|snapshot| &snapshot.inputs);
        let Some(last) = inherited.map(|input| input.checkpoint.start_line).max() else { return 0 };
        let place = self.appended.iter().position(|batch| batch.number == last);
        place.unwrap_or_else(|| panic!("a snapshot goes up to batch {last}, which was never appended or was lost")) + 1
    }

    /// Looks at the store as a reader, which has to succeed, and checks it.
    #[track_caller]
    pub fn look(&self, storage: &dyn Storage) -> usize {
        self.check(&View::open(storage).unwrap_or_else(|error| panic!("reader: {error}")))
    }

    /// Looks at what a loss of power left, and forgets what it cut off.
    #[track_caller]
    pub fn lose_power(&mut self, disk: &SimDisk) {
        let count = if disk.is_store() { self.look(disk) } else { 0 };
        assert!(count >= self.acknowledged, "no store is left");
        self.appended.truncate(count);
    }

    /// What recovery left: checks it, and forgets what the crash cut off.
    #[track_caller]
    pub fn recovered(&mut self, log: &Log, view: &View) {
        let count = self.check(view);
        self.appended.truncate(count);
        let covered = self.covered(view);
        let (inside, behind) = self.appended.split_at_mut(covered);
        for batch in inside {
            batch.sequence.get_or_insert(view.durable_upto);
        }
        for (batch, (sequence, _)) in behind.iter_mut().zip(batches(view)) {
            batch.sequence = Some(sequence);
        }
        self.note(log);
    }

    /// Opens the store for writing, which has to succeed and to leave no file that does not count, and checks it.
    #[track_caller]
    pub fn reopen(&mut self, storage: Arc<dyn Storage>, options: LogOptions) -> Log {
        let opened = Log::open(Arc::clone(&storage), options);
        let (log, view, _) = opened.unwrap_or_else(|error| panic!("recovery: {error}"));
        assert_no_leftovers(storage.list().unwrap());
        self.recovered(&log, &view);
        log
    }
}

/// Asserts that of the names in a store's directory all count: none of a file that was being written, none of one that a
/// snapshot replaces.
#[track_caller]
pub fn assert_no_leftovers(names: impl IntoIterator<Item = impl AsRef<str>>) {
    let names: Vec<String> = names.into_iter().map(|name| name.as_ref().to_owned()).collect();
    assert!(all_count(&names), "a leftover, or a gap: {names:?}");
}

/// Whether the segments that the names stand for tile the log: nothing twice, nothing missing, and no other file.
pub fn all_count<'n>(names: impl IntoIterator<Item = &'n String>) -> bool {
    let interval = |name: &String| match (name.strip_suffix(".wal"), name.strip_suffix(".snap")) {
        (Some(segment), _) => Some((segment.parse::<u64>().ok()?, segment.parse::<u64>().ok()?)),
        (None, Some(snapshot)) => {
            let (from, to) = snapshot.split_once('-')?;
            Some((from.parse().ok()?, to.parse().ok()?))
        }
        (None, None) => None,
    };
    let intervals =
        names.into_iter().filter(|name| !["LOCK", ACKNOWLEDGED_NAME].contains(&name.as_str())).map(interval);
    let Some(mut intervals) = intervals.collect::<Option<Vec<(u64, u64)>>>() else { return false };
    intervals.sort_unstable();
    intervals.into_iter().try_fold(1, |next, (from, to)| (from == next).then_some(to + 1)).is_some()
}

/// Sequence and number of every batch in a view, in order.
fn batches(view: &View) -> Vec<(u64, u64)> {
    let batches = view.frames.iter().filter(|place| place.frame.header.kind == FrameKind::Batch);
    let number = |place: &Place| place.checkpoint(&view.segments[place.segment]).unwrap().start_line;
    batches.map(|place| (place.frame.header.sequence, number(place))).collect()
}

/// The report of a view, as text.
pub fn report(view: &View) -> Result<Vec<u8>> {
    let report = Report::of(view, &ReportOptions::default())?;
    let mut out = Vec::new();
    render::report(&report, Format::Line, &mut out).expect("a vector takes everything")?;
    Ok(out)
}

/// Bytes to be shown.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
