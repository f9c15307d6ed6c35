//! Judging every place at which the chain of a segment stops, by the one judge of [`crate::segment::judge`].

use super::frames::End;
use super::{Content, Part, Survey};
use crate::error::Result;
use crate::segment::judge::{Next, Verdict, Why};
use crate::store::{blame, next_of, not_the_successor, segment_name};

impl Survey {
    /// Judges every place at which the chain of a segment stops.
    pub(super) fn judge(&mut self) -> Result<()> {
        let (mut findings, mut torn, mut missing) = (Vec::new(), None, None);
        for index in 0..self.parts.len() {
            let next = self.next(index);
            let successor = self.parts.get(index + 1).and_then(|part| match &part.content {
                Content::Segment(own) => Some(&own.segment),
                _ => None,
            });
            let Some(Part { content: Content::Segment(own), .. }) = self.parts.get(index) else { continue };
            let judged = own.judge(next, self.durable_upto)?;
            findings.extend(judged.findings);
            let end = judged.end;
            if let Some(End { at, stop, verdict: Verdict::Corrupt(why) }) = end {
                let what = match (why, successor) {
                    (Why::SuccessorElsewhere, Some(successor)) => not_the_successor(successor, stop.due),
                    _ => blame(&own.segment, at, &stop, why, self.acknowledged),
                };
                match why {
                    Why::SuccessorMissing => missing = Some((own.segment.header.number + 1, what)),
                    _ => findings.push(what),
                }
            }
            let awaits_seal = matches!(end, Some(End { verdict: Verdict::AwaitsSeal, .. }));
            if let Some(Part { content: Content::Segment(own), .. }) = self.parts.get_mut(index) {
                own.awaits_seal = awaits_seal;
                if let Some((what, at)) = judged.torn {
                    own.awaits_seal |= matches!(next, Next::Empty(_));
                    torn = Some((what, own.segment.length - at));
                    own.tear(at);
                }
            }
        }
        self.findings.append(&mut findings);
        self.torn = torn;
        if let Some((number, what)) = missing {
            self.missing_successor = Some(what);
            let (covers, name) = (number..=number, segment_name(number));
            self.parts.push(Part { covers, name, content: Content::Nothing });
        }
        Ok(())
    }

    /// What comes behind a part, as the judge asks.
    fn next(&self, index: usize) -> Next {
        match self.parts.get(index + 1).map(|part| &part.content) {
            None => Next::Nothing,
            Some(Content::Segment(own)) if own.headless => Next::Unknown,
            Some(Content::Segment(own)) => next_of(&own.segment, index + 2 == self.parts.len()),
            Some(_) => Next::Unknown,
        }
    }
}
