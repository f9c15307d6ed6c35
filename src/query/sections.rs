//! Sections of events that lie one behind the other in a file: those of a frame, some of them, or the one of a block in a damaged
//! snapshot. Gathering takes them alike. A sound snapshot is not read in this way: its tables say where each shard is.

use std::ops::RangeInclusive;

use crate::base::memory;
use crate::disk::search::Bytes as _;
use crate::error::{Corruption, Error, Result};
use crate::format::SHARDS;
use crate::format::block::MAX_BLOCK;
use crate::format::coding::{Malformed, crc};
use crate::format::directory::SectionKind;
use crate::query::gather::Load;
use crate::segment::{Section, Segment};
use crate::snapshot::Snapshot;

/// The file that a run is in.
#[derive(Clone, Copy)]
pub enum SectionFile<'a> {
    /// A segment.
    Segment(&'a Segment),
    /// A snapshot of which somebody knows where blocks are. Its tables are not asked, so they may be damaged.
    Snapshot(&'a Snapshot),
}

/// Neighbouring sections of a file. Those of events ascend by shard; others don't count.
#[derive(Clone, Copy)]
pub struct SectionRun<'a> {
    /// Where they are.
    pub file: SectionFile<'a>,
    /// The sections.
    pub sections: &'a [Section],
}

impl SectionRun<'_> {
    /// Adds what it holds to the loads of the shards.
    pub fn add_to(&self, loads: &mut [Load; SHARDS]) {
        for section in self.sections.iter().filter(|section| section.entry.kind == SectionKind::Events) {
            loads[usize::from(section.entry.shard)].add(section.entry.count.into(), section.entry.length.into());
        }
    }
}

/// The sections of events of some shards among those of a run.
pub fn events_of<'s>(sections: &'s [Section], shards: &RangeInclusive<u8>) -> &'s [Section] {
    let place = |section: &Section| (section.entry.kind, section.entry.shard);
    let (first, last) = ((SectionKind::Events, *shards.start()), (SectionKind::Events, *shards.end()));
    // Where it is if all shards have events: a search would touch the whole directory, which is in no cache by now.
    let guess = (sections.len() + usize::from(*shards.start())).saturating_sub(SHARDS);
    let from = match sections.get(guess) {
        Some(section) if place(section) == first => guess,
        _ => sections.partition_point(|section| place(section) < first),
    };
    let count = sections[from..].iter().take_while(|section| place(section) <= last).count();
    &sections[from..from + count]
}

impl<'a> SectionFile<'a> {
    /// Its path, for messages.
    pub fn path(self) -> &'a str {
        match self {
            SectionFile::Segment(segment) => &segment.path,
            SectionFile::Snapshot(snapshot) => &snapshot.path,
        }
    }

    fn corrupt(self, at: u64, expected: impl Into<String>, found: impl Into<String>) -> Corruption {
        match self {
            SectionFile::Segment(segment) => segment.corrupt(at, expected, found),
            SectionFile::Snapshot(snapshot) => snapshot.corrupt(at, expected, found),
        }
    }

    /// Reads neighbouring sections; they are not checked. `buffer` only grows, so that it is zeroed once.
    #[inline]
    pub fn read_sections<'b>(self, sections: &[Section], buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let snapshot = match self {
            SectionFile::Segment(segment) => return segment.read_sections(sections, buffer),
            SectionFile::Snapshot(snapshot) => snapshot,
        };
        let (Some(first), Some(last)) = (sections.first(), sections.last()) else { return Ok(&[]) };
        // A block fits its file and MAX_BLOCK, so the length is one that was checked.
        let length = last.at + u64::from(last.entry.length) - first.at;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_BLOCK);
        if buffer.len() < length {
            memory::resize(buffer, length, 0, "a block of a snapshot")?;
        }
        let read = snapshot.read(&mut buffer[..length], first.at)?;
        Ok(&buffer[..read])
    }

    /// Sees to it that `bytes` are those of the section.
    #[inline]
    pub fn check(self, section: &Section, bytes: &[u8]) -> std::result::Result<(), Corruption> {
        if let SectionFile::Segment(segment) = self {
            return segment.check(section, bytes);
        }
        let found = crc(bytes);
        if bytes.len() != section.entry.length as usize || found != section.entry.crc {
            let expected = format!("a section with CRC {:08x}", section.entry.crc);
            return Err(self.corrupt(section.at, expected, format!("{found:08x}")));
        }
        Ok(())
    }

    /// One section, read and checked.
    pub fn section(self, section: &Section) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        let read = self.read_sections(std::slice::from_ref(section), &mut buffer)?.len();
        buffer.truncate(read);
        self.check(section, &buffer)?;
        Ok(buffer)
    }

    /// Bytes of a section whose CRC is right and that still are not what the format says.
    pub fn misencoded(self, section: &Section, malformed: Malformed) -> Error {
        self.corrupt(section.at + malformed.at as u64, malformed.expected, "something else").into()
    }
}
