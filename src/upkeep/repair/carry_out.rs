//! Carrying out a plan, in the order that makes a crash at any moment harmless: see [`super`].

use super::RepairOptions;
use super::plan::{RepairPlan, Replacement};
use crate::disk::{Access, File, Publication, Storage, TEMPORARY, path_of, publish, publish_over};
use crate::error::{Error, Result};
use crate::format::directory::{Entry, SectionKind};
use crate::format::frame::{FrameKind, SEGMENT_HEADER};
use crate::format::snapshot_header::SnapshotHeader;
use crate::snapshot::SnapshotWriter;
use crate::store::recover::{end_backup, segment_header};
use crate::store::{COPY, segment_name, snapshot_name};
use crate::upkeep::Control;
use crate::upkeep::pending::PendingFrames;

/// Bytes that are copied or compared at once.
const COPIED: usize = 1 << 20;

impl RepairPlan {
    /// Does it; gives whether it was done, or given up.
    pub(super) fn carry_out(
        &mut self,
        storage: &dyn Storage,
        options: &RepairOptions,
        control: Control<'_>,
    ) -> Result<bool> {
        // Before anything else: the directory is synced before what is published counts.
        end_backup(storage)?;
        let Some(Replacement { salvage, covers, first }) = &self.replacement else {
            self.publish_segment(storage)?;
            return Ok(true);
        };
        // No file has this name: it covers the last segment, which no snapshot covers.
        let name = snapshot_name(covers);
        let header = SnapshotHeader {
            store: self.store,
            first: *covers.start(),
            last: *covers.end(),
            first_sequence: first.sequence,
            first_previous: first.previous.unwrap_or_default(),
            next_sequence: self.next.sequence,
            next_previous: self.next.previous.unwrap_or_default(),
            ..SnapshotHeader::default()
        };
        let mut writer = SnapshotWriter::create(storage, &name, header)?;
        let copies = match salvage.write(&mut writer, *covers.start() == 1, options, control) {
            Ok(Some(copies)) => copies,
            unfinished => {
                writer.abandon();
                return unfinished.map(|_| false);
            }
        };
        let kept = self.repair.replaced.iter().map(|name| copy_aside(storage, name)).collect();
        match kept {
            Ok(kept) => self.repair.copies = kept,
            Err(error) => {
                writer.abandon();
                return Err(error);
            }
        }
        self.publish_segment(storage)?;
        writer.publish(copies)?;
        // Durable under its name: only now may what it replaces go.
        for name in &self.repair.replaced {
            storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;
        }
        storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;
        storage.in_place()?;
        Ok(true)
    }

    /// Publishes the new last segment: it holds the hole, and a mark that proves it. Both are fsynced before anybody sees
    /// them.
    fn publish_segment(&self, storage: &dyn Storage) -> Result<()> {
        let header = segment_header(storage, self.store, self.number, self.next.sequence)?;
        // Everything in it counts as durable.
        let mut frames = PendingFrames::new(header, SEGMENT_HEADER as u64, self.next);
        let hole = self.repair.hole.encode();
        let entry = Entry::new(SectionKind::Hole, 0, 1, &hole);
        frames.put(FrameKind::Hole, &[entry], &hole, self.next.sequence - 1);
        frames.put(FrameKind::Mark, &[], &[], self.next.sequence);
        let bytes = [&header.encode(), frames.bytes()].concat();
        let name = segment_name(self.number);
        // One that is there an earlier repair left, which did not come to its end.
        match has(storage, &name)? {
            true => publish_over(storage, &name, &bytes),
            false => publish(storage, &name, &bytes),
        }
    }
}

/// Whether a file has this name.
fn has(storage: &dyn Storage, name: &str) -> Result<bool> {
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    Ok(names.iter().any(|it| it == name))
}

/// Copies a file under a name that the store ignores; a copy that an earlier attempt made serves as well. Gives its path.
fn copy_aside(storage: &dyn Storage, name: &str) -> Result<String> {
    let path = path_of(storage, name);
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    let from = storage.open(name, Access::Read).map_err(Error::io("open", &path))?;
    let prefix = format!("{name}{COPY}");
    for copy in names.iter().filter(|copy| copy.starts_with(&prefix) && !copy.ends_with(TEMPORARY)) {
        let to = path_of(storage, copy);
        let file = storage.open(copy, Access::Read).map_err(Error::io("open", &to))?;
        if is_copy((&*from, &path), (&*file, &to))? {
            return Ok(to);
        }
    }
    let free = (1u64..).map(|number| format!("{prefix}{number}")).find(|copy| !names.contains(copy));
    let copy = free.unwrap_or(prefix);
    let publication = Publication::begin(storage, &copy)?;
    let (mut piece, mut at) = (vec![0; COPIED], 0);
    loop {
        let read = from.read_at(&mut piece, at).map_err(Error::io("read", &path))?;
        if read == 0 {
            break;
        }
        publication.write_at(piece.get(..read).unwrap_or_default(), at)?;
        at += read as u64;
    }
    publication.commit()?;
    Ok(path_of(storage, &copy))
}

/// Whether two files, each with its path for messages, have the same bytes.
fn is_copy((from, path): (&dyn File, &str), (copy, to): (&dyn File, &str)) -> Result<bool> {
    let (mut piece, mut other, mut at) = (vec![0; COPIED], vec![0; COPIED], 0);
    loop {
        let read = from.read_at(&mut piece, at).map_err(Error::io("read", path))?;
        let same = copy.read_at(&mut other, at).map_err(Error::io("read", to))? == read;
        if !same || piece.get(..read) != other.get(..read) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
        at += read as u64;
    }
}
