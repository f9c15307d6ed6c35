//! Reading a segment past damage: whatever is intact, wherever it stands, and what the headers prove to have been durable.

use super::Segment;
use super::frame::{Expected, Frame, Link};
use crate::disk::search::Search;
use crate::error::{Corruption, Result};
use crate::format::frame::{FRAME_HEADER, FRAME_MAGIC, FrameHeader, SEGMENT_HEADER};

/// A stretch of a segment, as [`Segment::scan`] finds it.
pub enum Found<'a> {
    /// A frame with an intact header and directory, in its place behind the one before it or behind a gap. Nobody looked at its
    /// sections.
    Frame(&'a Frame),
    /// Where no frame follows the one before.
    Gap(&'a Gap),
    /// A frame with an intact header and directory inside the last gap. It stands elsewhere than it says, or comes again.
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
    /// Its bytes, up to the next frame in its place or to the end. None if a frame is there that does not follow the one before it.
    pub bytes: u64,
}

/// What is intact behind the place where a frame was due.
struct Behind {
    /// The frames up to `next` that stand elsewhere than they say, or that come again.
    strays: Vec<Frame>,
    /// The first frame that stands in its place, with a sequence number not below the one due. What comes before it is missing,
    /// whatever the chain says.
    next: Option<FrameHeader>,
}

impl Segment {
    /// Goes through the frames, past any damage. `link` says what the first one has to look like. Each byte is read about once, however
    /// many gaps there are.
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
                    let Behind { strays, next } = self.behind(offset, link.sequence, &mut search)?;
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

    /// What is intact from `offset` on, where frame `due` is not.
    fn behind(&self, offset: u64, due: u64, search: &mut Search) -> Result<Behind> {
        let mut strays = Vec::new();
        let mut from = if offset == SEGMENT_HEADER as u64 { self.least } else { offset };
        while let Some((at, header)) = self.next_header(search, from)? {
            from = at + 1;
            let in_place = header.offset == at && at >= SEGMENT_HEADER as u64 && header.sequence >= due;
            if in_place && self.read_frame(at, Expected::InPlace)?.is_ok() {
                return Ok(Behind { strays, next: Some(header) });
            }
            strays.extend(self.read_frame(at, Expected::Anywhere)?.ok());
        }
        Ok(Behind { strays, next: None })
    }

    /// The frames whose headers stand between two offsets, whether in their place or not.
    pub(crate) fn frames_between(&self, start: u64, end: u64) -> Result<Vec<Frame>> {
        let (mut search, mut frames, mut from) = (headers(), Vec::new(), start);
        while let Some((at, _)) = self.next_header(&mut search, from)?.filter(|(at, _)| *at < end) {
            from = at + 1;
            frames.extend(self.read_frame(at, Expected::Anywhere)?.ok());
        }
        Ok(frames)
    }

    /// The first intact header of a frame of this segment at `from` or behind it, and where it stands.
    fn next_header(&self, search: &mut Search, from: u64) -> Result<Option<(u64, FrameHeader)>> {
        let own = |bytes: &[u8], _| FrameHeader::decode(bytes).ok().filter(|header| header.is_of(&self.header));
        search.next(self, from, own)
    }

    /// What the headers of this segment prove that stand at `offset` or behind it, wherever they say they stand. What a header claims
    /// is true wherever its bytes are now, and bytes that were inserted or taken out move all that follow. Stops once `wanted` is
    /// proven.
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

/// What the headers at some offset or behind it prove to be durable.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    /// The offsets ascend. Each header claims less than the one before it.
    greatest: Vec<Claim>,
}

/// What one header claims.
#[derive(Debug)]
struct Claim {
    /// Where the header stands.
    at: u64,
    /// The last frame that it says to be durable.
    durable_upto: u64,
}

impl Claims {
    /// Adds a header. Offsets ascend.
    fn add(&mut self, at: u64, durable_upto: u64) {
        while self.greatest.pop_if(|before| before.durable_upto <= durable_upto).is_some() {}
        self.greatest.push(Claim { at, durable_upto });
    }

    /// What the headers at `offset` and behind it prove.
    pub(crate) fn from(&self, offset: u64) -> u64 {
        let behind = self.greatest.partition_point(|claim| claim.at < offset);
        self.greatest.get(behind).map_or(0, |claim| claim.durable_upto)
    }
}

/// A search for headers of frames.
pub(super) fn headers() -> Search {
    Search::new(&FRAME_MAGIC, FRAME_HEADER)
}
