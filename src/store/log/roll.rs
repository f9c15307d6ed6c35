//! Going on in the next segment. It is published before this one is sealed, and gets frames only once the seal is durable: so a sealed
//! segment without a successor is a missing file, and damage in a sealed one was not a torn write.

use std::sync::Arc;

use super::state::Written;
use super::{Amount, Durability, Log, Target};
use crate::disk::{Access, File, explained, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::frame::{FrameKind, SEGMENT_HEADER};
use crate::segment::Segment;
use crate::store::recover::publish_segment;
use crate::store::segment_name;

impl Log {
    /// Seals the last segment if it has frames, so that all of them can be folded.
    pub fn seal(&mut self) -> Result<()> {
        if self.end > SEGMENT_HEADER as u64 { self.roll() } else { Ok(()) }
    }

    /// Begins the next segment.
    pub(super) fn roll(&mut self) -> Result<()> {
        let rolled = self.publish_successor().and_then(|successor| self.enter(successor));
        let rolled = rolled.map_err(|error| explained(&*self.storage, error));
        // Wherever it stopped, it must not be tried again: that would publish over the first attempt or seal twice.
        if let Err(error) = &rolled {
            self.shared.lock().fail(error.again());
        }
        rolled
    }

    /// Publishes the next segment; all that was placed is durable then.
    fn publish_successor(&mut self) -> Result<Segment> {
        self.flush()?;
        let number = self.header.number + 1;
        let first_sequence = self.link.sequence + 1;
        publish_segment(&*self.storage, self.header.store, number, first_sequence)?;
        if let Some(written) = &mut self.shared.lock().written {
            written.last = number;
        }
        let name = segment_name(number);
        let path = path_of(&*self.storage, &name);
        let file = self.storage.open(&name, Access::ReadWrite).map_err(Error::io("open", &path))?;
        Segment::open(path, file)
    }

    /// Seals this segment and goes on in its successor.
    pub(super) fn enter(&mut self, successor: Segment) -> Result<()> {
        let Segment { header, path, file, .. } = successor;
        if (header.store, header.first_sequence) != (self.header.store, self.link.sequence + 1) {
            let expected = format!("a segment of this store that begins with frame {}", self.link.sequence + 1);
            let found = format!("one that begins with frame {}", header.first_sequence);
            return Err(Corruption { file: path, offset: 0, expected, found }.into());
        }
        self.append(FrameKind::Seal)?;
        self.flush()?;
        self.record()?;
        let frames = header.first_sequence.saturating_sub(self.header.first_sequence);
        self.tail.sealed(Amount { bytes: self.end, frames });
        let file: Arc<dyn File> = file.into();
        self.target = Arc::new(Target { file: Arc::clone(&file), path: path.clone() });
        self.header = header;
        self.end = SEGMENT_HEADER as u64;
        let mut state = self.shared.lock();
        let number = header.number;
        state.written = Some(Written { file, path, number, last: number });
        (state.reached, state.promised) = (self.end, self.end);
        state.wanted = self.options.durability == Durability::Sync;
        Ok(())
    }
}
