//! A frame that has its place in the log, and writing it there.

use std::sync::Arc;

use super::batch::Batch;
use super::syncer::Shared;
use super::{Durability, Target};
use crate::error::{Error, Result};

/// A frame that has its place in the log and is not written yet. If it is dropped, the log fails: nothing can come behind what is
/// missing.
#[must_use = "what has a place has to be written"]
pub struct Placed {
    pub(super) shared: Arc<Shared>,
    pub(super) target: Arc<Target>,
    pub(super) durability: Durability,
    pub(super) offset: u64,
    pub(super) end: u64,
    pub(super) sequence: u64,
    /// Its header, its directory and its first section.
    pub(super) head: Vec<u8>,
    pub(super) is_written: bool,
}

impl Placed {
    /// Its sequence number.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Writes it, with the sections of the batch for which it was placed. After an error nothing that stands behind it counts.
    pub fn write(self, batch: &Batch) -> Result<()> {
        self.write_all(&batch.sections)
    }

    /// Writes it, with these bytes behind its head.
    pub(super) fn write_all(mut self, rest: &[u8]) -> Result<()> {
        let head = self.head.as_slice();
        let length = (head.len() + rest.len()) as u64;
        let write = || {
            if length != self.end - self.offset {
                return Err(std::io::Error::other("a batch was changed after it had its place"));
            }
            self.target.file.write_at(head, self.offset)?;
            if rest.is_empty() { Ok(()) } else { self.target.file.write_at(rest, self.offset + head.len() as u64) }
        };
        let mut written =
            self.is_as_long_as_written().and_then(|()| write().map_err(Error::io("write to", &self.target.path)));
        if self.durability == Durability::Os && written.is_ok() {
            // It counts as acknowledged from here on.
            written = self.shared.check_place();
        }
        self.is_written = true;
        let mut state = self.shared.lock();
        match &written {
            Ok(()) => state.wrote(self.sequence, self.end),
            Err(error) => state.fail(error.again()),
        }
        // Whoever is woken wants the lock immediately.
        drop(state);
        self.shared.changed.notify_all();
        written
    }

    /// Refuses to write to a file that somebody else cut or wrote to. While other frames are being written, the file may end anywhere
    /// between the furthest frame that is written and the last one that has a place; otherwise, only at one byte.
    fn is_as_long_as_written(&self) -> Result<()> {
        let least = {
            let state = self.shared.lock();
            // Nothing is written any more after a failure.
            state.check()?;
            state.reached
        };
        let found = self.target.file.length().map_err(Error::io("look at", &self.target.path))?;
        let most = match self.shared.lock().promised {
            promised if promised > self.end => promised,
            _ => self.offset,
        };
        // Since the first look it may have been written, and more than that.
        if (least..=most.max(least)).contains(&found) {
            return Ok(());
        }
        let expected = if least == most { format!("{most}") } else { format!("{least} to {most}") };
        let problem =
            format!("somebody else changed it while it was written: it has {found} bytes, and {expected} were written");
        let hint =
            "restore the store from a backup; or `chatwal repair` saves what is intact, and says what to ingest again"
                .into();
        Err(Error::Displaced { path: self.target.path.clone(), problem, hint })
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        if !self.is_written {
            let source = std::io::Error::other("a frame that had its place was given up");
            self.shared.lock().fail(Error::Io { operation: "append to", path: self.target.path.clone(), source });
            self.shared.changed.notify_all();
        }
    }
}
