//! A frame of the log and the segment it is in; reads those of its sections that say something of the log itself. Events and rejects
//! are read by others.

use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::checkpoint::Checkpoint;
use crate::format::coding::Malformed;
use crate::format::directory::SectionKind;
use crate::format::hole::Hole;
use crate::segment::{Frame, Segment};

/// Where a frame is.
pub struct Place {
    /// Index of the segment in [`View::segments`](crate::store::View::segments).
    pub segment: usize,
    /// The frame.
    pub frame: Frame,
}

impl Place {
    /// The checkpoint of a batch.
    pub fn checkpoint(&self, segment: &Segment) -> Result<Checkpoint> {
        let section = self.frame.sections.first().filter(|section| section.entry.kind == SectionKind::Checkpoint);
        let Some(section) = section else {
            let at = self.frame.header.offset;
            return Err(segment.corrupt(at, "a batch that begins with a checkpoint", "none").into());
        };
        let bytes = segment.section(section)?;
        Checkpoint::decode(&bytes).map_err(|malformed| misencoded(segment, section.at, malformed))
    }

    /// The instances that a forget frame names.
    pub fn forgotten(&self, segment: &Segment) -> Result<Vec<Uid>> {
        let mut instances = Vec::new();
        for section in &self.frame.sections {
            let bytes = segment.section(section)?;
            let (whole, rest) = bytes.as_chunks::<16>();
            if section.entry.kind != SectionKind::Forgotten || !rest.is_empty() {
                return Err(segment.corrupt(section.at, "instances of 16 bytes", "something else").into());
            }
            instances.extend_from_slice(whole);
        }
        Ok(instances)
    }

    /// What a hole frame says was lost.
    pub fn hole(&self, segment: &Segment) -> Result<Hole> {
        let Some(section) = self.frame.sections.first().filter(|section| section.entry.kind == SectionKind::Hole)
        else {
            return Err(segment.corrupt(self.frame.header.offset, "a section that tells of a hole", "none").into());
        };
        let bytes = segment.section(section)?;
        Hole::decode(&bytes).map_err(|malformed| misencoded(segment, section.at, malformed))
    }
}

/// The error for bytes whose CRC is right but which are not what the format says.
pub fn misencoded(segment: &Segment, at: u64, malformed: Malformed) -> Error {
    segment.corrupt(at + malformed.at as u64, malformed.expected, "something else").into()
}
