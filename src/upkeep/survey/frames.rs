//! What is intact in one segment, and what the judge says of each place where its chain stops.

use crate::error::{Corruption, Error, Result};
use crate::format::frame::FrameKind;
use crate::segment::judge::{Here, Next, Stop, Verdict, judge};
use crate::segment::{Claims, Found, Frame, Gap, Link, Segment};

/// What is intact in a segment.
pub(crate) struct IntactFrames {
    /// The segment; if its header is bad, as its frames tell of it.
    pub(crate) segment: Segment,
    /// Its header is bad.
    pub(super) headless: bool,
    /// Frames in their place that count, in order. Their sections were not looked at.
    pub(crate) frames: Vec<Frame>,
    /// Frames that don't: they stand elsewhere than they say, come again, or lie in a torn end. What is in them may still be
    /// all there is of it.
    pub(crate) strays: Vec<Frame>,
    /// There is damage behind the last of the frames.
    pub(crate) cut: bool,
    /// And the damage ends with bytes of which nothing is intact.
    pub(crate) lost_end: bool,
    /// The next segment was published to follow a seal that was never written.
    pub(crate) awaits_seal: bool,
    /// Where no frame follows the one before.
    gaps: Vec<Gap>,
    /// What the last frame is, and what is due behind it.
    sealed: bool,
    next: Link,
    /// Where something stands behind the seal.
    behind_seal: Option<u64>,
}

impl IntactFrames {
    /// Nothing yet of a segment.
    pub(super) fn of(segment: Segment) -> IntactFrames {
        let next = Link { sequence: segment.header.first_sequence, previous: None };
        IntactFrames {
            segment,
            headless: false,
            frames: Vec::new(),
            strays: Vec::new(),
            cut: false,
            lost_end: false,
            awaits_seal: false,
            gaps: Vec::new(),
            sealed: false,
            next,
            behind_seal: None,
        }
    }

    /// The same of one whose header is bad.
    pub(super) fn headless(segment: Segment) -> IntactFrames {
        IntactFrames { headless: true, ..IntactFrames::of(segment) }
    }

    /// Gathers what there is; `link` is what the first frame has to look like.
    pub(super) fn scan(&mut self, link: Link) -> Result<()> {
        let IntactFrames { segment, frames, strays, cut, lost_end, gaps, sealed, next, behind_seal, .. } = self;
        *next = link;
        segment.scan(link, |found| {
            let at = match &found {
                Found::Frame(frame) | Found::Stray(frame) => frame.at,
                Found::Gap(gap) => gap.at,
            };
            if *sealed {
                behind_seal.get_or_insert(at);
            }
            match found {
                Found::Frame(frame) => {
                    *sealed |= frame.header.kind == FrameKind::Seal;
                    *next = Link::after(&frame.header);
                    (*cut, *lost_end) = (false, false);
                    frames.push(frame.clone());
                }
                Found::Gap(gap) => {
                    next.previous = None;
                    (*cut, *lost_end) = (true, true);
                    gaps.push(gap.clone());
                }
                Found::Stray(frame) => {
                    *lost_end = frame.end() < segment.length;
                    strays.push(frame.clone());
                }
            }
            Ok(())
        })
    }

    /// Gathers what is behind a torn place of a segment of which everything before is known.
    pub(super) fn scan_torn(&mut self, link: Link, at: u64) -> Result<()> {
        let known = std::mem::take(&mut self.frames);
        match self.scan(link) {
            Ok(()) => self.tear(at),
            // A frame of a newer format that was never acknowledged does not make the store a newer one.
            Err(Error::Version { .. }) => {
                self.frames = known;
                self.strays.clear();
                (self.cut, self.lost_end) = (false, false);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The greatest sequence number that a header of it claims to be durable.
    pub(super) fn claimed(&self) -> u64 {
        self.frames.iter().chain(&self.strays).map(|frame| frame.header.durable_upto).max().unwrap_or(0)
    }

    /// Where the chain goes on behind it, if that is known.
    pub(super) fn link(&self) -> Option<Link> {
        (!self.cut || self.sealed).then_some(self.next)
    }
}

/// A place that the judge is asked about: a gap, or a frame that nothing proves durable and that is not whole.
struct Doubt {
    at: u64,
    /// The sequence number that was due there.
    due: u64,
    what: Corruption,
}

/// Where a segment ends.
#[derive(Clone, Copy)]
pub(super) struct End {
    pub(super) at: u64,
    /// What the judge was asked, and what it said.
    pub(super) stop: Stop,
    pub(super) verdict: Verdict,
}

/// What the judge says of a segment.
#[derive(Default)]
pub(super) struct Judged {
    /// Gaps that are corruption.
    pub(super) findings: Vec<Corruption>,
    /// The first place that is torn: what is wrong, and the offset.
    pub(super) torn: Option<(Corruption, u64)>,
    /// Where the segment ends, unless that is in a gap.
    pub(super) end: Option<End>,
}

impl IntactFrames {
    /// Judges every gap, every frame that nothing proves durable, and the end.
    pub(super) fn judge(&self, next: Next, durable_upto: u64) -> Result<Judged> {
        let mut judged = Judged::default();
        let mut claims: Option<Claims> = None;
        let mut stop = |at: u64, due: u64| -> Result<Stop> {
            let claims = match &mut claims {
                Some(claims) => claims,
                none => none.insert(self.segment.claims()?),
            };
            Ok(Stop { here: Here::Bad, due, proven: durable_upto.max(claims.from(at)), next })
        };
        for Doubt { at, due, what } in self.doubts(durable_upto)? {
            // Behind a seal everything is one finding.
            if self.behind_seal.is_some_and(|behind| at >= behind) || judged.torn.is_some() {
                continue;
            }
            match judge(stop(at, due)?) {
                Verdict::Corrupt(_) => judged.findings.push(what),
                _ => judged.torn = Some((what, at)),
            }
        }
        let here = match (self.behind_seal, self.sealed) {
            (Some(_), _) => Here::BehindSeal,
            (None, true) => Here::Seal,
            (None, false) => Here::End,
        };
        if judged.torn.is_none() && (here != Here::End || !self.cut) {
            let stop = Stop { here, due: self.next.sequence, proven: durable_upto, next };
            let at = self.behind_seal.unwrap_or(self.segment.length);
            judged.end = Some(End { at, stop, verdict: judge(stop) });
        }
        Ok(judged)
    }

    /// The places that the judge is asked about, in order.
    fn doubts(&self, durable_upto: u64) -> Result<Vec<Doubt>> {
        let mut doubts = Vec::new();
        let mut buffer = Vec::new();
        for frame in self.frames.iter().filter(|frame| frame.header.sequence > durable_upto) {
            if let Err(what) = self.segment.check_frame(frame, &mut buffer)? {
                doubts.push(Doubt { at: frame.at, due: frame.header.sequence, what });
            }
        }
        doubts.extend(self.gaps.iter().map(|gap| Doubt { at: gap.at, due: gap.due, what: gap.what.clone() }));
        doubts.sort_by_key(|doubt| doubt.at);
        Ok(doubts)
    }

    /// What stands at `at` and behind does not count.
    pub(super) fn tear(&mut self, at: u64) {
        self.strays.extend(self.frames.extract_if(.., |frame| frame.at >= at));
        (self.cut, self.lost_end) = (false, false);
    }
}
