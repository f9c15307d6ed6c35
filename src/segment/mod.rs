//! Room `segment`: reading one segment.
//!
//! [`Segment::frame`] reads frames in order, and believes none before its checksums are right. [`Segment::scan`] goes on past damage:
//! it finds whatever is intact, wherever it stands. [`judge`] says what damage means; `content` checks that sections hold what the
//! format says. This room may use [`disk`](crate::disk) and what is below it. It knows one file at a time and changes nothing: the
//! log's writer and recovery are in [`store`](crate::store).

pub(crate) mod content;
mod copy;
mod frame;
pub mod judge;
mod scan;

pub use frame::{Frame, Link, Section, next_section};
pub(crate) use scan::Claims;
pub use scan::{Found, Gap};

use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::File;
use crate::disk::search::{Bytes, read_header};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::file_header::BadHeader;
use crate::format::frame::{FrameHeader, SEGMENT_HEADER, SegmentHeader};

use scan::headers;

/// A segment that is open, of the length that it had then. A writer may be appending behind `length`; those bytes belong to a later
/// look.
pub struct Segment {
    /// Its path, for messages.
    pub path: String,
    /// Its header.
    pub header: SegmentHeader,
    /// Bytes it had when it was opened.
    pub length: u64,
    /// The file.
    pub file: Box<dyn File>,
    /// Where the first frame may stand if frames were moved: behind the header, or anywhere if the header is bad.
    least: u64,
    read: AtomicU64,
}

impl Segment {
    /// Reads the header of a segment. A segment is published whole, so anything else is corruption.
    pub fn open(path: String, file: Box<dyn File>) -> Result<Segment> {
        let length = file.length().map_err(Error::io("read", &path))?;
        let bytes = read_header(&*file, SEGMENT_HEADER).map_err(Error::io("read", &path))?;
        match SegmentHeader::decode(&bytes) {
            Ok(header) => {
                let (least, read) = (SEGMENT_HEADER as u64, AtomicU64::new(bytes.len() as u64));
                Ok(Segment { path, header, length, file, least, read })
            }
            Err(BadHeader::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadHeader::Damaged(expected)) => {
                let found = match bytes.len() {
                    0..SEGMENT_HEADER => format!("{length} bytes"),
                    _ => format!("{}…", shown(&bytes)),
                };
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    /// Another file, or a segment whose header is bad. For reading frames and sections whose place is known.
    pub(crate) fn bare(path: String, header: SegmentHeader, file: Box<dyn File>) -> Result<Segment> {
        let length = file.length().map_err(Error::io("read", &path))?;
        Ok(Segment { path, header, length, file, least: 0, read: AtomicU64::new(0) })
    }

    /// A segment whose header is bad. What it said is taken from a header of a frame that says it is of this segment, and of this
    /// store if the store is known: from the first one in its place, else from the first one. Nothing if there is none.
    pub(crate) fn headless(
        path: String,
        number: u64,
        store: Option<Uid>,
        file: Box<dyn File>,
    ) -> Result<Option<Segment>> {
        let header = SegmentHeader { store: store.unwrap_or_default(), number, salt: 0, first_sequence: 1 };
        let mut segment = Segment::bare(path, header, file)?;
        let own = |bytes: &[u8], _| {
            let header = FrameHeader::decode(bytes).ok();
            header.filter(|header| header.segment == number && store.is_none_or(|store| store == header.store))
        };
        let (mut search, mut from) = (headers(), 0);
        let (mut moved, mut in_place) = (None, None);
        while in_place.is_none() {
            let Some((at, header)) = search.next(&segment, from, own)? else { break };
            from = at + 1;
            moved = moved.or(Some(header));
            in_place = Some(header).filter(|header| header.offset == at);
        }
        let Some(first) = in_place.or(moved) else { return Ok(None) };
        let FrameHeader { store, salt, sequence, .. } = first;
        segment.header = SegmentHeader { store, number, salt, first_sequence: sequence };
        Ok(Some(segment))
    }

    /// A [`Corruption`] of this segment.
    pub fn corrupt(&self, offset: u64, expected: impl Into<String>, found: impl Into<String>) -> Corruption {
        Corruption { file: self.path.clone(), offset, expected: expected.into(), found: found.into() }
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let room = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read_at(&mut buffer[..room], offset).map_err(Error::io("read", &self.path))?;
        self.read.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }

    /// Bytes read of it so far.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Bytes for Segment {
    fn length(&self) -> u64 {
        self.length
    }

    fn read(&self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        Segment::read(self, buffer, offset)
    }
}

/// The first bytes of something unexpected, in hex.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
