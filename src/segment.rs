//! Reading one segment: frames in order, each believed only after its checksums, and the search that tells torn from
//! corrupt.

use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memmem;

use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::coding::Malformed;
use crate::format::frame::{
    BadDirectory, BadHeader, BadSegment, Entry, FRAME_HEADER, FRAME_MAGIC, FrameHeader, MAX_PAYLOAD, SEGMENT_HEADER,
    SectionKind, SegmentHeader, crc, decode_directory, is_whole,
};
use crate::memory;
use crate::storage::File;

/// Read at once at the start of a frame: its header and, nearly always, its directory.
const FIRST_READ: usize = 8192;

/// Read at once in the search for a later header.
const SEARCH_READ: usize = 1 << 20;

/// A segment that is open, as long as it was then. A writer may be appending behind `length`; what is there belongs to a
/// later look.
pub struct Segment {
    /// Its path, for messages.
    pub path: String,
    /// Its header.
    pub header: SegmentHeader,
    /// Bytes it had when it was opened.
    pub length: u64,
    /// The file.
    pub file: Box<dyn File>,
    read: AtomicU64,
}

/// A frame whose header and directory are intact.
#[derive(Clone, Debug)]
pub struct Frame {
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
    /// The CRC of the header before it; `None` where nobody knows, as in the dump of a lone file.
    pub previous: Option<u32>,
}

impl Link {
    /// The link behind a frame.
    pub fn after(header: &FrameHeader) -> Link {
        Link { sequence: header.sequence + 1, previous: Some(header.crc) }
    }
}

/// A stretch of a segment, as [`Segment::scan`] finds it.
pub enum Found<'a> {
    /// A frame whose header and directory are intact; its sections were not looked at.
    Frame(&'a Frame),
    /// What is wrong where a frame was due, and the bytes up to the next intact one or the end: none, if a frame is there
    /// that does not follow the one before it.
    Gap(&'a Corruption, u64),
}

impl Frame {
    /// Offset behind the frame.
    pub fn end(&self) -> u64 {
        self.header.offset + self.header.length()
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

impl Segment {
    /// Reads the header of a segment. A segment is published whole, so anything else is corruption.
    pub fn open(path: String, file: Box<dyn File>) -> Result<Segment> {
        let length = file.length().map_err(Error::io("read", &path))?;
        let mut bytes = [0; FRAME_HEADER];
        let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", &path))?;
        match SegmentHeader::decode(&bytes[..read]) {
            Ok(header) => Ok(Segment { path, header, length, file, read: AtomicU64::new(read as u64) }),
            Err(BadSegment::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadSegment::Damaged(expected)) => {
                let found = match bytes.get(..SEGMENT_HEADER.min(read)) {
                    Some(bytes) if read >= SEGMENT_HEADER => format!("{}…", shown(bytes)),
                    _ => format!("{length} bytes"),
                };
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    /// Another file, or a segment whose header is bad, to read frames and sections from where somebody knows them to be.
    pub(crate) fn bare(path: String, header: SegmentHeader, file: Box<dyn File>) -> Result<Segment> {
        let length = file.length().map_err(Error::io("read", &path))?;
        Ok(Segment { path, header, length, file, read: AtomicU64::new(0) })
    }

    /// A segment whose header is bad: what it said is taken from the first frame that says to be of this segment, in its
    /// place, and of this store, where it is known. Nothing if there is none.
    pub(crate) fn headless(
        path: String,
        number: u64,
        store: Option<Uid>,
        file: Box<dyn File>,
    ) -> Result<Option<Segment>> {
        let header = SegmentHeader { store: store.unwrap_or_default(), number, salt: 0, first_sequence: 1 };
        let mut segment = Segment::bare(path, header, file)?;
        let own = |header: &FrameHeader, offset| {
            header.offset == offset && header.segment == number && store.is_none_or(|store| store == header.store)
        };
        let Some(first) = segment.find(SEGMENT_HEADER as u64 - 1, own)? else { return Ok(None) };
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

    /// The frame at `offset`: its header and its directory, both intact and in their place, or what is wrong with them.
    /// The sections are not looked at.
    pub fn frame(&self, offset: u64, link: Link) -> Result<std::result::Result<Frame, Corruption>> {
        let mut buffer = vec![0; FIRST_READ];
        let read = self.read(&mut buffer, offset)?;
        buffer.truncate(read);
        let bad = |expected: String, found: String| Ok(Err(self.corrupt(offset, expected, found)));
        let header = match FrameHeader::decode(&buffer) {
            Ok(header) => header,
            Err(BadHeader::UnknownKind(kind)) => {
                return Err(Error::Version {
                    file: self.path.clone(),
                    found: format!("a frame of unknown kind {kind}"),
                });
            }
            Err(BadHeader::NotIntact(expected)) if read < FRAME_HEADER => {
                return bad(expected.into(), format!("the end of the file after {read} bytes"));
            }
            Err(BadHeader::NotIntact(expected)) => return bad(expected.into(), shown(&buffer)),
        };
        if !header.is_at(&self.header, offset) {
            let expected = format!("a frame of this segment ({}) at this offset", self.header.number);
            return bad(expected, format!("one of segment {} at {}", header.segment, header.offset));
        }
        if header.sequence != link.sequence {
            return bad(format!("frame {}", link.sequence), format!("frame {}", header.sequence));
        }
        if let Some(previous) = link.previous.filter(|&previous| previous != header.previous) {
            return bad(
                format!("a frame that follows the header with CRC {previous:08x}"),
                format!("one that follows {:08x}", header.previous),
            );
        }
        let payload = header.payload as usize;
        if header.durable_upto >= header.sequence || payload > MAX_PAYLOAD || header.directory() > payload {
            return bad("a header whose fields agree".into(), format!("{header:?}"));
        }
        let left = self.length.saturating_sub(offset);
        if header.length() > left {
            return bad(format!("a frame of {} bytes", header.length()), format!("{left} bytes before the end"));
        }
        let end = FRAME_HEADER + header.directory();
        if end > buffer.len() {
            buffer.resize(end, 0);
            let read = self.read(&mut buffer, offset)?;
            buffer.truncate(read);
        }
        let directory = buffer.get(FRAME_HEADER..end).unwrap_or_default();
        if crc(directory) != header.directory_crc {
            return bad(
                format!("a directory with CRC {:08x}", header.directory_crc),
                format!("{:08x}", crc(directory)),
            );
        }
        let entries = match decode_directory(directory, header.payload) {
            Ok(entries) => entries,
            Err(BadDirectory::UnknownKind(kind)) => {
                let found = format!("a section of unknown kind {kind}");
                return Err(Error::Version { file: self.path.clone(), found });
            }
            Err(BadDirectory::Malformed(Malformed { at, expected })) => {
                let at = offset + (FRAME_HEADER + at) as u64;
                return Ok(Err(self.corrupt(at, expected, "something else")));
            }
        };
        if !is_whole(header.kind, &entries) {
            return bad(format!("the sections of a {}", header.kind.name()), "others".into());
        }
        let mut at = offset + end as u64;
        let section = |entry: Entry| {
            let section = Section { entry, at };
            at += u64::from(entry.length);
            section
        };
        Ok(Ok(Frame { header, sections: entries.into_iter().map(section).collect() }))
    }

    /// Goes through the frames, past any damage; `link` is what the first one has to look like.
    pub fn scan(&self, mut link: Link, mut visit: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
        let mut offset = SEGMENT_HEADER as u64;
        while offset < self.length {
            match self.frame(offset, link)? {
                Ok(frame) => {
                    (offset, link) = (frame.end(), Link::after(&frame.header));
                    visit(Found::Frame(&frame))?;
                }
                Err(what) => {
                    let next = self.frame_from(offset, link.sequence)?;
                    let end = next.map_or(self.length, |next| next.offset);
                    visit(Found::Gap(&what, end - offset))?;
                    offset = end;
                    link = next.map_or(link, |next| Link { sequence: next.sequence, previous: None });
                }
            }
        }
        Ok(())
    }

    /// The first frame in its place at `offset` or behind it, with an intact header and directory and at least this
    /// sequence number. What comes before it is missing, whatever the chain says.
    fn frame_from(&self, offset: u64, sequence: u64) -> Result<Option<FrameHeader>> {
        let mut after = offset - 1;
        while let Some(next) = self.next_frame(after)? {
            let link = Link { sequence: next.sequence, previous: None };
            if next.sequence >= sequence && self.frame(next.offset, link)?.is_ok() {
                return Ok(Some(next));
            }
            after = next.offset;
        }
        Ok(None)
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

    /// The next frame in its place behind `after`.
    pub fn next_frame(&self, after: u64) -> Result<Option<FrameHeader>> {
        self.search(after, |header, offset| header.offset == offset)
    }

    /// A header behind `after` that proves frame `lost` to have been durable. It may stand anywhere: what it claims is true
    /// wherever its bytes are now, and bytes that were inserted or taken out move all that follow.
    pub fn proof_of(&self, lost: u64, after: u64) -> Result<Option<FrameHeader>> {
        self.search(after, |header, _| header.durable_upto >= lost)
    }

    /// The first intact header of a frame of this segment behind `after`, found by trying every offset, for which
    /// `wanted` holds; it is told the offset.
    fn search(&self, after: u64, wanted: impl Fn(&FrameHeader, u64) -> bool) -> Result<Option<FrameHeader>> {
        self.find(after, |header, offset| header.is_of(&self.header) && wanted(header, offset))
    }

    /// The same, of whatever segment.
    fn find(&self, after: u64, wanted: impl Fn(&FrameHeader, u64) -> bool) -> Result<Option<FrameHeader>> {
        let finder = memmem::Finder::new(&FRAME_MAGIC);
        let mut buffer = vec![0; SEARCH_READ];
        let mut start = after + 1;
        while start < self.length {
            let read = self.read(&mut buffer, start)?;
            let found = &buffer[..read];
            for at in finder.find_iter(found) {
                let offset = start + at as u64;
                match FrameHeader::decode(&found[at..]) {
                    Ok(header) if wanted(&header, offset) => return Ok(Some(header)),
                    _ => {}
                }
            }
            if read < buffer.len() {
                break;
            }
            // A header that reaches over the end of this piece begins the next one.
            start += (read - FRAME_HEADER + 1) as u64;
        }
        Ok(None)
    }
}

/// Takes the bytes of a section off the front of those of a run.
pub fn next_section<'b>(run: &mut &'b [u8], section: &Section) -> &'b [u8] {
    let (bytes, rest) = run.split_at(run.len().min(section.entry.length as usize));
    *run = rest;
    bytes
}

/// The first bytes of something unexpected, in hex.
fn shown(bytes: &[u8]) -> String {
    bytes.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}
