//! One frame of a segment: its header, its directory and its sections, none of them believed before its checksum.
//!
//! `wal-format.md` numbers the conditions of an intact frame. The checks here bear those numbers.

use super::{Segment, shown};
use crate::base::memory;
use crate::error::{Corruption, Error, Result};
use crate::format::coding::crc;
use crate::format::directory::{BadDirectory, Entry, SectionKind, decode_directory, is_whole};
use crate::format::frame::{FRAME_HEADER, FrameHeader, FrameKind, MAX_PAYLOAD};

/// Read at once at the start of a frame: its header and, nearly always, its directory.
const FIRST_READ: usize = 8192;

/// A frame whose header and directory are intact.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it stands. This is the offset that its header names, unless bytes before it were inserted or taken out.
    pub at: u64,
    /// Its header.
    pub header: FrameHeader,
    /// Its sections.
    pub sections: Vec<Section>,
}

/// A section of a frame.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// What the directory says of it.
    pub entry: Entry,
    /// Its offset in the segment.
    pub at: u64,
}

/// What the next frame has to look like: the log is one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its sequence number.
    pub sequence: u64,
    /// The CRC of the header before it. `None` if it is not known, as in the dump of a lone file.
    pub previous: Option<u32>,
}

impl Link {
    /// The link behind a frame.
    pub fn after(header: &FrameHeader) -> Link {
        Link { sequence: header.sequence + 1, previous: Some(header.crc) }
    }
}

/// How much of what a header says of its place has to be true.
#[derive(Clone, Copy)]
pub(super) enum Expected {
    /// All of it: it is the next one of the chain.
    Next(Link),
    /// Where it stands, but not what comes before it.
    InPlace,
    /// Only that it is of this segment.
    Anywhere,
}

impl Frame {
    /// Offset behind the frame.
    pub fn end(&self) -> u64 {
        self.at + self.header.length()
    }

    /// Whether it stands where its header says.
    pub fn in_place(&self) -> bool {
        self.at == self.header.offset
    }

    /// How many things its sections of a kind hold.
    pub fn count(&self, kind: SectionKind) -> u64 {
        let sections = self.sections.iter().filter(|section| section.entry.kind == kind);
        sections.map(|section| u64::from(section.entry.count)).sum()
    }

    /// How many lines of its batch are events: each that it holds, and each that repeats an earlier line.
    pub fn accepted(&self) -> u64 {
        self.count(SectionKind::Events) + self.count(SectionKind::Repeats)
    }
}

/// What was expected of a header, and what was found.
struct Mismatch {
    expected: String,
    found: String,
}

impl Mismatch {
    fn new(expected: impl Into<String>, found: impl Into<String>) -> Mismatch {
        Mismatch { expected: expected.into(), found: found.into() }
    }
}

impl Segment {
    /// The frame at `offset`: its header and its directory, both intact and in their place, or what is wrong with them.
    /// The sections are not looked at.
    pub fn frame(&self, offset: u64, link: Link) -> Result<std::result::Result<Frame, Corruption>> {
        self.read_frame(offset, Expected::Next(link))
    }

    /// The frame that stands at `at`.
    pub(super) fn read_frame(&self, at: u64, expected: Expected) -> Result<std::result::Result<Frame, Corruption>> {
        let mut buffer = vec![0; FIRST_READ];
        let read = self.read(&mut buffer, at)?;
        buffer.truncate(read);
        let header = match self.check_header(&buffer, at, expected) {
            Ok(header) => header,
            Err(Mismatch { expected, found }) => return Ok(Err(self.corrupt(at, expected, found))),
        };
        if let FrameKind::Unknown(kind) = header.kind {
            return Err(self.newer(format!("a frame of unknown kind {kind}")));
        }
        if let Err(Mismatch { expected, found }) = self.check_fields(&header, at, expected) {
            return Ok(Err(self.corrupt(at, expected, found)));
        }
        let end = FRAME_HEADER + header.directory();
        if end > buffer.len() {
            buffer.resize(end, 0);
            let read = self.read(&mut buffer, at)?;
            buffer.truncate(read);
        }
        self.read_directory(at, header, buffer.get(FRAME_HEADER..end).unwrap_or_default())
    }

    /// Conditions 1 and 2 of an intact frame: the bytes at `at` are a header, and one of this segment at this place. No field is believed
    /// before.
    fn check_header(&self, bytes: &[u8], at: u64, expected: Expected) -> std::result::Result<FrameHeader, Mismatch> {
        let header = FrameHeader::decode(bytes).map_err(|expected| {
            let found = match bytes.len() {
                read @ 0..FRAME_HEADER => format!("the end of the file after {read} bytes"),
                _ => shown(bytes),
            };
            Mismatch::new(expected, found)
        })?;
        let here = matches!(expected, Expected::Anywhere) || header.offset == at;
        match header.is_of(&self.header) && here {
            true => Ok(header),
            false => Err(Mismatch::new(
                format!("a frame of this segment ({}) at this offset", self.header.number),
                format!("one of segment {} at {}", header.segment, header.offset),
            )),
        }
    }

    /// Conditions 3 and 4: its place in the chain, and that what it says of itself can be.
    fn check_fields(&self, header: &FrameHeader, at: u64, expected: Expected) -> std::result::Result<(), Mismatch> {
        if let Expected::Next(link) = expected {
            if header.sequence != link.sequence {
                return Err(Mismatch::new(format!("frame {}", link.sequence), format!("frame {}", header.sequence)));
            }
            if let Some(previous) = link.previous.filter(|&previous| previous != header.previous) {
                let expected = format!("a frame that follows the header with CRC {previous:08x}");
                return Err(Mismatch::new(expected, format!("one that follows {:08x}", header.previous)));
            }
        }
        let payload = header.payload as usize;
        if header.durable_upto >= header.sequence || payload > MAX_PAYLOAD || header.directory() > payload {
            return Err(Mismatch::new("a header whose fields agree", format!("{header:?}")));
        }
        match self.length.saturating_sub(at) {
            // Where the end of the file cuts off a frame, its first sections may be whole.
            _ if matches!(expected, Expected::Anywhere) => Ok(()),
            left if header.length() > left => {
                let expected = format!("a frame of {} bytes", header.length());
                Err(Mismatch::new(expected, format!("{left} bytes before the end")))
            }
            _ => Ok(()),
        }
    }

    /// Condition 5, the directory. Gives the frame.
    fn read_directory(
        &self,
        at: u64,
        header: FrameHeader,
        bytes: &[u8],
    ) -> Result<std::result::Result<Frame, Corruption>> {
        if crc(bytes) != header.directory_crc {
            let expected = format!("a directory with CRC {:08x}", header.directory_crc);
            return Ok(Err(self.corrupt(at, expected, format!("{:08x}", crc(bytes)))));
        }
        let entries = match decode_directory(bytes, header.payload) {
            Ok(entries) => entries,
            Err(BadDirectory::UnknownKind(kind)) => {
                return Err(self.newer(format!("a section of unknown kind {kind}")));
            }
            Err(BadDirectory::Malformed(malformed)) => {
                let place = at + (FRAME_HEADER + malformed.at) as u64;
                return Ok(Err(self.corrupt(place, malformed.expected, "something else")));
            }
        };
        if !is_whole(header.kind, &entries) {
            return Ok(Err(self.corrupt(at, format!("the sections of a {}", header.kind.name()), "others")));
        }
        let mut place = at + (FRAME_HEADER + bytes.len()) as u64;
        let section = |entry: Entry| {
            let section = Section { entry, at: place };
            place += u64::from(entry.length);
            section
        };
        Ok(Ok(Frame { at, header, sections: entries.into_iter().map(section).collect() }))
    }

    fn newer(&self, found: String) -> Error {
        Error::Version { file: self.path.clone(), found }
    }

    /// Reads a run of neighbouring sections; they are not checked. `buffer` only grows, so that it is zeroed once.
    pub fn read_sections<'b>(&self, sections: &[Section], buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let (Some(first), Some(last)) = (sections.first(), sections.last()) else {
            return Ok(&[]);
        };
        // A frame fits its file and MAX_PAYLOAD, so the length is one that was checked.
        let length = last.at + u64::from(last.entry.length) - first.at;
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(MAX_PAYLOAD);
        if buffer.len() < length {
            memory::resize(buffer, length, 0, "the sections of a frame")?;
        }
        let read = self.read(&mut buffer[..length], first.at)?;
        Ok(&buffer[..read])
    }

    /// That `bytes` are those of the section.
    pub fn check(&self, section: &Section, bytes: &[u8]) -> std::result::Result<(), Corruption> {
        if bytes.len() != section.entry.length as usize {
            let expected = format!("a section of {} bytes", section.entry.length);
            return Err(self.corrupt(section.at, expected, format!("{} bytes", bytes.len())));
        }
        let found = crc(bytes);
        if found != section.entry.crc {
            let expected = format!("a section with CRC {:08x}", section.entry.crc);
            return Err(self.corrupt(section.at, expected, format!("{found:08x}")));
        }
        Ok(())
    }

    /// One section, read and checked.
    pub fn section(&self, section: &Section) -> Result<Vec<u8>> {
        let mut buffer = Vec::new();
        self.read_sections(std::slice::from_ref(section), &mut buffer)?;
        self.check(section, &buffer)?;
        Ok(buffer)
    }

    /// Whether every section of a frame is intact; reads it all.
    pub fn check_frame(&self, frame: &Frame, buffer: &mut Vec<u8>) -> Result<std::result::Result<(), Corruption>> {
        let mut rest = self.read_sections(&frame.sections, buffer)?;
        for section in &frame.sections {
            if let Err(corruption) = self.check(section, next_section(&mut rest, section)) {
                return Ok(Err(corruption));
            }
        }
        Ok(Ok(()))
    }
}

/// Takes the bytes of a section off the front of those of a run.
pub fn next_section<'b>(run: &mut &'b [u8], section: &Section) -> &'b [u8] {
    let (bytes, rest) = run.split_at(run.len().min(section.entry.length as usize));
    *run = rest;
    bytes
}
