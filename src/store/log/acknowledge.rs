//! Acknowledging: waits until frames are durable and proven so, and records the last one that is acknowledged.

use std::sync::Arc;

use super::syncer::Shared;
use super::{Durability, Log};
use crate::disk::path_of;
use crate::error::{Error, Result};
use crate::format::acknowledged::Acknowledged;
use crate::format::frame::FrameKind;
use crate::store::ACKNOWLEDGED_NAME;

impl Log {
    /// Waits until everything that was placed is written and fsynced.
    pub fn flush(&mut self) -> Result<()> {
        let mut state = self.shared.lock();
        let wanted = state.wanted;
        state.wanted = true;
        self.shared.changed.notify_all();
        let upto = self.link.sequence - 1;
        // What failed may not be among the frames up to `link`: without this check, nobody would hear of its loss.
        state.check()?;
        while state.durable < upto {
            state = self.shared.wait_for_sync(state);
            state.check()?;
        }
        state.wanted = wanted;
        Ok(())
    }

    /// Waits until everything that was appended is durable and proven so: it is acknowledged then. With [`Durability::Os`] it only
    /// checks that no write failed and that all of it is in its place.
    pub fn settle(&mut self) -> Result<()> {
        if self.options.durability == Durability::Sync {
            self.flush()?;
            if self.acknowledged() < self.last_content.map_or(0, |content| content.sequence) {
                self.append(FrameKind::Mark)?;
                self.flush()?;
            }
        }
        // If nothing was to be synced, nobody has looked yet; and what was acknowledged long ago is acknowledged again.
        self.check_place()?;
        self.record()
    }

    /// Records what was acknowledged last, unless something later was recorded or nothing fsynced proves it. The record itself is not
    /// fsynced: after a loss of power it may be gone, or an older one, which is true as well.
    pub(super) fn record(&mut self) -> Result<()> {
        let proven = self.shared.lock().acknowledged;
        let due = |content: &Acknowledged| content.sequence <= proven && content.sequence > self.recorded;
        let Some(content) = self.last_content.filter(due) else { return Ok(()) };
        let path = || path_of(&*self.storage, ACKNOWLEDGED_NAME);
        let file = self.storage.open_or_create(ACKNOWLEDGED_NAME).map_err(Error::io("open", path()));
        let written = file.and_then(|file| file.write_at(&content.encode(), 0).map_err(Error::io("write to", path())));
        if let Err(error) = written {
            self.shared.lock().fail(error.again());
            return Err(error);
        }
        self.recorded = content.sequence;
        Ok(())
    }

    /// Checks that all that was written is where the store's path says. To be called before telling anybody of an acknowledgement that
    /// is not of this moment.
    pub fn check_place(&self) -> Result<()> {
        self.shared.check_place()
    }

    /// The last frame that is acknowledged: with [`Durability::Os`], as soon as it is written.
    pub fn acknowledged(&self) -> u64 {
        let state = self.shared.lock();
        match self.options.durability {
            Durability::Sync => state.acknowledged,
            Durability::Os => state.appended.sequence,
        }
    }

    /// The last frame that an fsync covers; with [`Durability::Os`], the last one that was written. Nothing up to it has to be read
    /// again.
    pub fn safe(&self) -> u64 {
        let state = self.shared.lock();
        match self.options.durability {
            Durability::Sync => state.durable,
            Durability::Os => state.appended.sequence,
        }
    }

    /// For threads that wait while another one appends.
    pub fn watch(&self) -> Watch {
        Watch { shared: Arc::clone(&self.shared), durability: self.options.durability }
    }
}

/// What becomes of the frames of a log, for threads that do not hold it.
pub struct Watch {
    shared: Arc<Shared>,
    durability: Durability,
}

impl Watch {
    /// Waits until [`Log::safe`] has reached `sequence`, or a write or sync failed.
    pub fn wait_past(&self, sequence: u64) -> Result<()> {
        let mut state = self.shared.lock();
        loop {
            let (safe, is_synced) = match self.durability {
                Durability::Sync => (state.durable, true),
                Durability::Os => (state.appended.sequence, false),
            };
            if safe >= sequence {
                return Ok(());
            }
            state.check()?;
            state = if is_synced { self.shared.wait_for_sync(state) } else { self.shared.wait(state) };
        }
    }
}
