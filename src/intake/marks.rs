//! Whether an input is still what was read of it.

use std::collections::VecDeque;
use std::ops::Range;

use super::seek::window_before;
use crate::format::checkpoint::Mark;
use crate::format::rejects::Reject;
use crate::format::{Digest, Digester, digest};

/// A stretch of an input, and the digest that it had when it was read.
#[derive(Clone, Debug)]
pub struct Span {
    /// Its bytes.
    pub place: Range<u64>,
    /// Their digest.
    pub digest: Digest,
}

impl Span {
    /// The bytes before a mark.
    pub fn of_mark(mark: &Mark) -> Span {
        Span { place: window_before(mark.end), digest: mark.tail }
    }

    /// What was kept of a reject.
    pub fn of_reject(reject: &Reject<'_>) -> Span {
        Span { place: reject.offset..reject.offset + reject.raw.len() as u64, digest: digest(reject.raw) }
    }
}

/// Compares stretches while the input passes by.
pub(super) struct Spans<'a> {
    /// Those that begin later, in the order of their starts.
    later: VecDeque<&'a Span>,
    open: Vec<(&'a Span, Digester)>,
    /// The first one that was other than expected.
    pub(super) changed: Option<Range<u64>>,
}

impl<'a> Spans<'a> {
    pub(super) fn new(spans: &'a [Span]) -> Spans<'a> {
        let mut later: Vec<&Span> = spans.iter().filter(|span| !span.place.is_empty()).collect();
        later.sort_by_key(|span| span.place.start);
        Spans { later: later.into(), open: Vec::new(), changed: None }
    }

    /// Where the next stretch ends that is not known yet. `None` once a change was found, or all was seen.
    pub(super) fn end(&self) -> Option<u64> {
        if self.changed.is_some() {
            return None;
        }
        let open = self.open.iter().map(|(span, _)| span.place.end).min();
        open.or(self.later.front().map(|span| span.place.end))
    }

    /// The bytes that stand at `offset`.
    pub(super) fn pass(&mut self, offset: u64, bytes: &[u8]) {
        let end = offset + bytes.len() as u64;
        while let Some(span) = self.later.front().copied().filter(|span| span.place.start < end) {
            self.open.push((span, Digester::default()));
            self.later.pop_front();
        }
        let changed = &mut self.changed;
        self.open.retain_mut(|(span, digester)| {
            let (from, to) = (span.place.start.max(offset), span.place.end.min(end));
            digester.update(&bytes[(from - offset) as usize..(to - offset) as usize]);
            let is_whole = span.place.end <= end;
            if is_whole
                && digester.digest() != span.digest
                && changed.as_ref().is_none_or(|it| span.place.start < it.start)
            {
                *changed = Some(span.place.clone());
            }
            !is_whole
        });
    }
}
