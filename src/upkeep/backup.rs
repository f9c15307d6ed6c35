//! A copy of a store that is a store itself, at every moment: killed or not, also when the power goes.
//!
//! Snapshots and sealed segments never change, and the last segment only grows. So a backup takes what is new since the last one. It
//! takes no lock on the source: one [`View`] of it is consistent, and its files are open, so they stay readable when a compaction deletes
//! them. The backup is locked as by a writer, and it has the store's id.
//!
//! **Nothing damaged enters it.** Every frame and block is checked before anything of the backup changes: snapshots while they are written
//! under a temporary name, frames in a pass of their own, and once more when they are copied.
//!
//! **Order.** After each step the backup is a store that holds at least what it held before:
//!
//! 1. New snapshots are written under temporary names, and new frames are checked.
//! 2. Of a first backup: the mark that it is one, and an empty segment 1.
//! 3. For each new snapshot, in order: the segments that it needs behind it (see `tip`), then its name.
//! 4. Segment by segment, the frames behind the snapshots.
//! 5. The record of what was acknowledged. It names a frame that is durable in the backup by now.
//! 6. What the snapshots replace is deleted.
//!
//! **What it may be made into.** An empty directory, or an earlier state of the same store (`agree`). The file `BACKUP` says that
//! nothing but backups has written to it: any other writer takes it away.

mod agree;
mod tip;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::disk::{Publication, Storage, explained, path_of, publish_over};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::frame::FrameKind;
use crate::segment::Link;
use crate::snapshot::Snapshot;
use crate::store::recover::{
    Recovered, Recovery, Writer, is_backup, recover_locked, refuse_other_files, segment_header, sweep,
};
use crate::store::{
    ACKNOWLEDGED_NAME, BACKUP_NAME, Input, Place, View, read_acknowledged, segment_name, snapshot_name,
};
use crate::upkeep::Control;
pub use agree::refuse_inside;
use agree::{Pair, new_snapshots, refuse_strangers};
use tip::{Content, Copied, Tip};

/// What a backup did, and what there is now.
#[derive(Debug, Default)]
pub struct Backup {
    /// Bytes that were copied.
    pub copied: u64,
    /// Files that were written to for that.
    pub files: u64,
    /// Bytes of the files that the backup has now.
    pub bytes: u64,
    /// How many files these are.
    pub all_files: u64,
    /// How far each input was read: where an ingest into the backup would go on.
    pub inputs: BTreeMap<Uid, Input>,
    /// What an interrupted backup had left.
    pub recovery: Recovery,
}

/// Brings a backup up to date, or makes it if `dest` is empty; `progress` is told the share that is done. Gives nothing once `stop` is set:
/// then the backup is a store that holds at least what it held before.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::AtomicBool;
///
/// use chatwal::{Disk, Log, LogOptions, Names, View};
///
/// # fn main() -> chatwal::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let (store, place) = (directory.path().join("store"), directory.path().join("backup"));
/// let disk = Arc::new(Disk::create(&store, Names::Durable)?);
/// let (mut log, ..) = Log::open(disk.clone(), LogOptions::default())?; // A writer, which may go on meanwhile.
/// # log.append_forget(&[[7; 16]])?;
/// # log.settle()?;
///
/// let backup = Disk::create(&place, Names::Durable)?;
/// let stop = AtomicBool::new(false);
/// let first = chatwal::backup(&*disk, &backup, &stop, &|_| ())?.expect("nobody set `stop`");
/// assert!(first.copied > 0);
/// assert_eq!(View::open(&backup)?.store(), View::open(&*disk)?.store());
///
/// // The next one takes what is new.
/// let second = chatwal::backup(&*disk, &backup, &stop, &|_| ())?.expect("nobody set `stop`");
/// assert_eq!((second.copied, second.bytes), (0, first.bytes));
/// # Ok(())
/// # }
/// ```
pub fn backup(
    source: &dyn Storage,
    dest: &dyn Storage,
    stop: &AtomicBool,
    progress: &(dyn Fn(f64) + Sync),
) -> Result<Option<Backup>> {
    let view = View::open(source).map_err(|error| explained(source, error))?;
    back_up(source, &view, dest, Control { stop, progress }).map_err(|error| explained(dest, error))
}

fn back_up(source: &dyn Storage, view: &View, dest: &dyn Storage, control: Control<'_>) -> Result<Option<Backup>> {
    refuse_inside(source, dest.path())?;
    // Before the lock, which would make a file.
    refuse_other_files(dest).map_err(|error| refuse_strangers(dest, error))?;
    let lock = dest.lock()?;
    sync_unproven(view)?;
    match View::open(dest) {
        Ok(there) => {
            Pair { source: view, dest, there: &there, is_backup: is_backup(dest)? }.check()?;
            drop(there);
            let recovered = recover_locked(dest, lock, Writer::Backup)?;
            let copy = Copy::of(view, dest, Some(&recovered.view), control);
            let Some(staged) = copy.stage()? else { return Ok(None) };
            copy.carry_out(staged, recovered)
        }
        Err(Error::NoStore { .. }) => {
            let copy = Copy::of(view, dest, None, control);
            let Some(staged) = copy.stage()? else { return Ok(None) };
            begin(view, dest)?;
            // Not to be recovered: that would delete what has a temporary name.
            let there = View::open(dest)?;
            copy.carry_out(staged, Recovered { view: there, recovery: Recovery::default(), successor: None, lock })
        }
        Err(error) => Err(error),
    }
}

/// Makes durable in the source what nothing proves durable there. Otherwise a loss of power could take from the source what the backup has.
fn sync_unproven(view: &View) -> Result<()> {
    let unproven = view.frames.iter().filter(|place| place.frame.header.sequence > view.durable_upto);
    let segments: BTreeSet<usize> = unproven.map(|place| place.segment).collect();
    for segment in segments.into_iter().filter_map(|index| view.segments.get(index)) {
        segment.file.sync().map_err(Error::io("sync", &segment.path))?;
    }
    Ok(())
}

/// Begins a backup: the mark that it is one, and an empty segment 1 of the store.
fn begin(view: &View, dest: &dyn Storage) -> Result<()> {
    dest.open_or_create(BACKUP_NAME).map_err(Error::io("create", path_of(dest, BACKUP_NAME)))?;
    dest.sync_directory().map_err(Error::io("sync", dest.path().display().to_string()))?;
    let header = match view.segments.first() {
        Some(first) if first.header.number == 1 => first.header,
        _ => segment_header(dest, view.store(), 1, 1)?,
    };
    publish_over(dest, &segment_name(1), &header.encode())
}

/// A backup at work.
struct Copy<'a> {
    source: &'a View,
    dest: &'a dyn Storage,
    /// The snapshots that are new.
    snapshots: Vec<&'a Snapshot>,
    /// The number of the first frame that is new.
    first: u64,
    control: Control<'a>,
    /// Bytes that are going to be read, and those that were.
    whole: u64,
    done: AtomicU64,
}

impl<'a> Copy<'a> {
    /// What there is to copy into a backup in which there is this.
    fn of(source: &'a View, dest: &'a dyn Storage, there: Option<&View>, control: Control<'a>) -> Copy<'a> {
        let snapshots = new_snapshots(source, there);
        let first = there.map_or(1, |there| there.link.sequence);
        let mut copy = Copy { source, dest, snapshots, first, control, whole: 0, done: AtomicU64::new(0) };
        let frames: u64 = copy.new_frames().map(|place| place.frame.header.length()).sum();
        copy.whole = copy.snapshots.iter().map(|snapshot| snapshot.length()).sum::<u64>() + 2 * frames;
        copy
    }

    fn new_frames(&self) -> impl Iterator<Item = &'a Place> {
        let first = self.first;
        self.source.frames.iter().filter(move |place| place.frame.header.sequence >= first)
    }

    fn passed(&self, bytes: u64) {
        let done = self.done.fetch_add(bytes, Ordering::Relaxed) + bytes;
        (self.control.progress)(done.min(self.whole) as f64 / self.whole.max(1) as f64);
    }

    /// Writes the new snapshots under temporary names, and checks the new frames. Nothing that counts is changed. Gives nothing once it is
    /// stopped.
    fn stage(&self) -> Result<Option<Vec<Publication<'a>>>> {
        let mut staged = Vec::new();
        let done = self.stage_snapshots(&mut staged).and_then(|goes_on| Ok(goes_on && self.check_frames()?));
        match done {
            Ok(true) => Ok(Some(staged)),
            unfinished => {
                staged.into_iter().for_each(Publication::abandon);
                unfinished.map(|_| None)
            }
        }
    }

    fn stage_snapshots(&self, staged: &mut Vec<Publication<'a>>) -> Result<bool> {
        for snapshot in &self.snapshots {
            let name = snapshot_name(&(snapshot.header.first..=snapshot.header.last));
            let publication = Publication::begin(self.dest, &name)?;
            let mut end = 0;
            let copied = snapshot.copy(|bytes| {
                publication.write_at(bytes, end)?;
                end += bytes.len() as u64;
                self.passed(bytes.len() as u64);
                Ok(!self.control.is_stopped())
            });
            staged.push(publication);
            if !copied? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn check_frames(&self) -> Result<bool> {
        let mut buffer = Vec::new();
        for place in self.new_frames() {
            if self.control.is_stopped() {
                return Ok(false);
            }
            let Some(segment) = self.source.segments.get(place.segment) else { continue };
            self.passed(segment.frame_bytes(&place.frame, &mut buffer)?.len() as u64);
        }
        Ok(true)
    }

    /// Publishes what is new, in the order that [`super::backup`] argues for.
    fn carry_out(&self, staged: Vec<Publication<'a>>, recovered: Recovered) -> Result<Option<Backup>> {
        let Recovered { view: there, recovery, lock, .. } = recovered;
        let mut tip = Tip::of(self.dest, &there)?;
        drop(there);
        for (snapshot, publication) in self.snapshots.iter().zip(staged) {
            tip.bridge(&snapshot.header)?;
            publication.commit_over()?;
            tip.follow(&snapshot.header);
            tip.copied.bytes += snapshot.length();
            tip.copied.files += 1;
        }
        if !self.segments(&mut tip)? {
            return Ok(None);
        }
        tip.check_place()?;
        self.record()?;
        sweep(self.dest)?;
        self.dest.in_place()?;
        let now = View::open(self.dest)?;
        drop(lock);
        let all_files = (now.snapshots.len() + now.segments.len()) as u64;
        let Copied { bytes: copied, files } = tip.copied;
        Ok(Some(Backup { copied, files, bytes: now.bytes(), all_files, inputs: now.inputs, recovery }))
    }

    /// Copies the segments behind the snapshots, from the one that the backup ends with.
    fn segments(&self, tip: &mut Tip<'_>) -> Result<bool> {
        // One that only waits for the seal of the one before it has nothing to be copied.
        let count = self.source.segments.len() - usize::from(self.source.unsealed);
        let mut frames = self.source.frames.iter().peekable();
        for (index, segment) in self.source.segments.iter().take(count).enumerate() {
            let (mut content, mut seal) = (Content { segment, frames: Vec::new() }, None);
            while let Some(place) = frames.next_if(|place| place.segment == index) {
                match place.frame.header.kind {
                    FrameKind::Seal => seal = Some(&place.frame),
                    _ => content.frames.push(&place.frame),
                }
            }
            if segment.header.number < tip.header.number {
                continue;
            }
            if self.control.is_stopped() {
                return Ok(false);
            }
            tip.fill(&content, &|bytes| self.passed(bytes))?;
            let next = self.source.segments.get(index + 1).filter(|_| index + 1 < count);
            if let (Some(seal), Some(next)) = (seal, next) {
                let mut buffer = Vec::new();
                let bytes = segment.frame_bytes(seal, &mut buffer)?;
                tip.roll(next.header, bytes, Link::after(&seal.header))?;
            }
        }
        Ok(true)
    }

    /// Records what was acknowledged, where all of it is durable: the last frame that was copied.
    fn record(&self) -> Result<()> {
        let content = self.source.last_content().or(self.source.acknowledged);
        let Some(content) = content.filter(|content| content.sequence < self.source.link.sequence) else {
            return Ok(());
        };
        let known = read_acknowledged(self.dest)?.filter(|record| record.store == content.store);
        if known.is_some_and(|known| known.sequence >= content.sequence) {
            return Ok(());
        }
        let path = || path_of(self.dest, ACKNOWLEDGED_NAME);
        let file = self.dest.open_or_create(ACKNOWLEDGED_NAME).map_err(Error::io("open", path()))?;
        file.write_at(&content.encode(), 0).map_err(Error::io("write to", path()))?;
        file.sync().map_err(Error::io("sync", path()))
    }
}
