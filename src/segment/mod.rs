//! Reading one segment: frames in order, each believed only after its checksums; and, past damage, whatever of it is intact,
//! wherever that stands. What damage means is for [`judge`] to say.

pub(crate) mod content;
pub mod judge;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::memory;
use crate::disk::File;
use crate::disk::search::{Bytes, Search, read_header};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::format::frame::{
    BadDirectory, BadSegment, Entry, FRAME_HEADER, FRAME_MAGIC, FrameHeader, FrameKind, MAX_PAYLOAD, SEGMENT_HEADER,
    SectionKind, SegmentHeader, crc, decode_directory, is_whole,
};

/// Read at once at the start of a frame: its header and, nearly always, its directory.
const FIRST_READ: usize = 8192;

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
    /// Where frames may stand, were they moved: behind the header, or anywhere, if that is bad.
    least: u64,
    read: AtomicU64,
}

/// A frame whose header and directory are intact.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Where it stands: at the offset that its header names, unless bytes before it were inserted or taken out.
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
    /// The CRC of the header before it; `None` where nobody knows, as in the dump of a lone file.
    pub previous: Option<u32>,
}

impl Link {
    /// The link behind a frame.
    pub fn after(header: &FrameHeader) -> Link {
        Link { sequence: header.sequence + 1, previous: Some(header.crc) }
    }
}

/// How much of what a header says of its place has to be so.
#[derive(Clone, Copy)]
enum Expected {
    /// All of it: it is the next one of the chain.
    Next(Link),
    /// Where it stands, but not what comes before it.
    InPlace,
    /// Nothing but that it is of this segment.
    Anywhere,
}

/// A stretch of a segment, as [`Segment::scan`] finds it.
pub enum Found<'a> {
    /// A frame whose header and directory are intact and which stands in its place, behind the one before it or behind a gap;
    /// its sections were not looked at.
    Frame(&'a Frame),
    /// Where no frame follows the one before.
    Gap(&'a Gap),
    /// A frame whose header and directory are intact, inside the gap told of last: it stands elsewhere than it says, or comes
    /// again.
    Stray(&'a Frame),
}

/// Bytes that are not the frame that was due there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where it begins.
    pub at: u64,
    /// The sequence number that was due.
    pub due: u64,
    /// What is wrong.
    pub what: Corruption,
    /// Its bytes, up to the next frame in its place or to the end; none, if a frame is there that does not follow the one
    /// before it.
    pub bytes: u64,
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
            Err(BadSegment::Version(version)) => {
                Err(Error::Version { file: path, found: format!("written in format {version}") })
            }
            Err(BadSegment::Damaged(expected)) => {
                let found = match bytes.len() {
                    0..SEGMENT_HEADER => format!("{length} bytes"),
                    _ => format!("{}…", shown(&bytes)),
                };
                Err(Corruption { file: path, offset: 0, expected: expected.into(), found }.into())
            }
        }
    }

    /// Another file, or a segment whose header is bad, to read frames and sections from where somebody knows them to be.
    pub(crate) fn bare(path: String, header: SegmentHeader, file: Box<dyn File>) -> Result<Segment> {
        let length = file.length().map_err(Error::io("read", &path))?;
        Ok(Segment { path, header, length, file, least: 0, read: AtomicU64::new(0) })
    }

    /// A segment whose header is bad: what it said is taken from the first frame header that says to be of this segment, and
    /// of this store, where it is known; those that stand in their place are asked first. Nothing if there is none.
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

    /// The frame at `offset`: its header and its directory, both intact and in their place, or what is wrong with them.
    /// The sections are not looked at.
    pub fn frame(&self, offset: u64, link: Link) -> Result<std::result::Result<Frame, Corruption>> {
        self.read_frame(offset, Expected::Next(link))
    }

    /// The frame that stands at `at`.
    fn read_frame(&self, at: u64, expected: Expected) -> Result<std::result::Result<Frame, Corruption>> {
        let mut buffer = vec![0; FIRST_READ];
        let read = self.read(&mut buffer, at)?;
        buffer.truncate(read);
        let header = match self.check_header(&buffer, at, expected) {
            Ok(header) => header,
            Err((expected, found)) => return Ok(Err(self.corrupt(at, expected, found))),
        };
        if let FrameKind::Unknown(kind) = header.kind {
            return Err(self.newer(format!("a frame of unknown kind {kind}")));
        }
        if let Err((expected, found)) = self.check_fields(&header, at, expected) {
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

    /// Conditions 1 and 2 of an intact frame: what the bytes at `at` have to be before any field is believed, and whose.
    fn check_header(&self, bytes: &[u8], at: u64, expected: Expected) -> std::result::Result<FrameHeader, Mismatch> {
        let header = FrameHeader::decode(bytes).map_err(|expected| {
            let found = match bytes.len() {
                read @ 0..FRAME_HEADER => format!("the end of the file after {read} bytes"),
                _ => shown(bytes),
            };
            (expected.to_string(), found)
        })?;
        let here = matches!(expected, Expected::Anywhere) || header.offset == at;
        match header.is_of(&self.header) && here {
            true => Ok(header),
            false => Err((
                format!("a frame of this segment ({}) at this offset", self.header.number),
                format!("one of segment {} at {}", header.segment, header.offset),
            )),
        }
    }

    /// Conditions 3 and 4: its place in the chain, and that what it says of itself can be.
    fn check_fields(&self, header: &FrameHeader, at: u64, expected: Expected) -> std::result::Result<(), Mismatch> {
        if let Expected::Next(link) = expected {
            if header.sequence != link.sequence {
                return Err((format!("frame {}", link.sequence), format!("frame {}", header.sequence)));
            }
            if let Some(previous) = link.previous.filter(|&previous| previous != header.previous) {
                let expected = format!("a frame that follows the header with CRC {previous:08x}");
                return Err((expected, format!("one that follows {:08x}", header.previous)));
            }
        }
        let payload = header.payload as usize;
        if header.durable_upto >= header.sequence || payload > MAX_PAYLOAD || header.directory() > payload {
            return Err(("a header whose fields agree".into(), format!("{header:?}")));
        }
        match self.length.saturating_sub(at) {
            // Of one that the end of the file cuts off, the first sections may be whole.
            _ if matches!(expected, Expected::Anywhere) => Ok(()),
            left if header.length() > left => {
                Err((format!("a frame of {} bytes", header.length()), format!("{left} bytes before the end")))
            }
            _ => Ok(()),
        }
    }

    /// Condition 5: the directory. Gives the frame.
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

    /// Goes through the frames, past any damage; `link` is what the first one has to look like. Each byte is read about once,
    /// however many gaps there are.
    pub fn scan(&self, mut link: Link, mut visit: impl FnMut(Found<'_>) -> Result<()>) -> Result<()> {
        let mut offset = SEGMENT_HEADER as u64;
        let mut search = headers();
        while offset < self.length {
            match self.frame(offset, link)? {
                Ok(frame) => {
                    (offset, link) = (frame.end(), Link::after(&frame.header));
                    visit(Found::Frame(&frame))?;
                }
                Err(what) => {
                    let (strays, next) = self.behind(offset, link.sequence, &mut search)?;
                    let end = next.map_or(self.length, |next| next.offset);
                    visit(Found::Gap(&Gap { at: offset, due: link.sequence, what, bytes: end - offset }))?;
                    strays.iter().try_for_each(|stray| visit(Found::Stray(stray)))?;
                    offset = end;
                    link = next.map_or(link, |next| Link { sequence: next.sequence, previous: None });
                }
            }
        }
        Ok(())
    }

    /// What is intact from `offset` on, where frame `due` is not: the frames that stand elsewhere than they say or that come
    /// again; and the first one in its place and of a sequence number not below `due`, where they end. What comes before that
    /// one is missing, whatever the chain says.
    fn behind(&self, offset: u64, due: u64, search: &mut Search) -> Result<(Vec<Frame>, Option<FrameHeader>)> {
        let mut strays = Vec::new();
        let mut from = if offset == SEGMENT_HEADER as u64 { self.least } else { offset };
        while let Some((at, header)) = self.next_header(search, from)? {
            from = at + 1;
            let in_place = header.offset == at && at >= SEGMENT_HEADER as u64 && header.sequence >= due;
            if in_place && self.read_frame(at, Expected::InPlace)?.is_ok() {
                return Ok((strays, Some(header)));
            }
            strays.extend(self.read_frame(at, Expected::Anywhere)?.ok());
        }
        Ok((strays, None))
    }

    /// Frames whose headers stand between two offsets, be they in their place or not.
    pub(crate) fn frames_between(&self, start: u64, end: u64) -> Result<Vec<Frame>> {
        let (mut search, mut frames, mut from) = (headers(), Vec::new(), start);
        while let Some((at, _)) = self.next_header(&mut search, from)?.filter(|(at, _)| *at < end) {
            from = at + 1;
            frames.extend(self.read_frame(at, Expected::Anywhere)?.ok());
        }
        Ok(frames)
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

    /// The first intact header of a frame of this segment at `from` or behind it, and where it stands.
    fn next_header(&self, search: &mut Search, from: u64) -> Result<Option<(u64, FrameHeader)>> {
        let own = |bytes: &[u8], _| FrameHeader::decode(bytes).ok().filter(|header| header.is_of(&self.header));
        search.next(self, from, own)
    }

    /// What the headers of this segment prove that stand at `offset` or behind it, wherever they say to stand: what a header
    /// claims is true wherever its bytes are now, and bytes that were inserted or taken out move all that follow. It is enough
    /// to know of `wanted`.
    pub fn proven_from(&self, offset: u64, wanted: u64) -> Result<u64> {
        let (mut search, mut from, mut proven) = (headers(), offset, 0);
        while let Some((at, header)) = self.next_header(&mut search, from)? {
            (from, proven) = (at + 1, header.durable_upto.max(proven));
            if proven >= wanted {
                break;
            }
        }
        Ok(proven)
    }

    /// The same for every offset, in one pass.
    pub(crate) fn claims(&self) -> Result<Claims> {
        let (mut search, mut from, mut claims) = (headers(), 0, Claims::default());
        while let Some((at, header)) = self.next_header(&mut search, from)? {
            from = at + 1;
            claims.add(at, header.durable_upto);
        }
        Ok(claims)
    }
}

/// What is proven to be durable by the headers at some offset or behind it.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// Offsets of headers, ascending, and what each proves: less than the one before it.
    greatest: Vec<(u64, u64)>,
}

impl Claims {
    /// Takes note of a header; offsets ascend.
    fn add(&mut self, at: u64, durable_upto: u64) {
        while self.greatest.pop_if(|(_, before)| *before <= durable_upto).is_some() {}
        self.greatest.push((at, durable_upto));
    }

    /// What the headers at `offset` and behind it prove.
    pub(crate) fn from(&self, offset: u64) -> u64 {
        let behind = self.greatest.partition_point(|(at, _)| *at < offset);
        self.greatest.get(behind).map_or(0, |(_, durable_upto)| *durable_upto)
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

/// A search for headers of frames.
fn headers() -> Search {
    Search::new(&FRAME_MAGIC, FRAME_HEADER)
}

/// What was expected, and what was found.
type Mismatch = (String, String);

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
