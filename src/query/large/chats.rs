//! Chats and emails: counts all messages against the moments at which their sites go online and offline. Some of those moments are held
//! at a time; all parts are counted side by side.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::keys::Key;
use super::messages::{MessageReader, Messages};
use super::{Large, put_found};
use crate::disk::scratch::Scratch;
use crate::disk::scratch::sorter::{Merge, Sorted};
use crate::error::Result;
use crate::event::summary::Summary;
use crate::query::gather::parallel;
use crate::snapshot::lines::{Finder, Lines};

/// The steps of one site and moment, added up: by how many its operators become more.
struct Step {
    /// The bytes of the site in a key.
    site: Box<[u8]>,
    moment: i64,
    sum: i64,
}

/// Reads steps in order.
struct Steps<'s> {
    scratch: &'s Scratch,
    merge: Merge<'s>,
    /// The last one that was read. More of its moment may follow.
    pending: Option<Step>,
}

impl<'s> Steps<'s> {
    fn of(steps: &'s Sorted) -> Result<Steps<'s>> {
        Ok(Steps { scratch: steps.scratch(), merge: steps.merge(None, None)?, pending: None })
    }

    /// The next one, if there is one.
    fn next(&mut self) -> Result<Option<Step>> {
        while let Some((key, came)) = self.merge.next()? {
            let mut parsed = Key(key);
            let mut parts = || Some((parsed.site_bytes()?, parsed.moment()?));
            let (site, moment) = parts().ok_or_else(|| self.scratch.changed())?;
            let sum = if came.first() == Some(&1) { 1 } else { -1 };
            match &mut self.pending {
                Some(last) if *last.site == *site && last.moment == moment => last.sum += sum,
                pending => {
                    if let Some(whole) = pending.replace(Step { site: site.into(), moment, sum }) {
                        return Ok(Some(whole));
                    }
                }
            }
        }
        Ok(self.pending.take())
    }
}

/// Moments at which sites go online, offline and so on, some of them at a time.
#[derive(Default)]
struct Switches {
    /// The sites, in order.
    sites: Vec<SiteSwitches>,
    moments: Vec<i64>,
    /// The first of the sites is online before the first of its moments.
    online: bool,
    /// Where they end.
    end: Option<End>,
    /// Bytes of the names of the sites.
    names: usize,
}

/// The switches of one site.
struct SiteSwitches {
    /// The bytes of the site in a key.
    site: Box<[u8]>,
    /// Which of the moments are its.
    moments: Range<usize>,
}

/// Where some switches end: at the next one.
struct End {
    /// The bytes of its site in a key.
    site: Box<[u8]>,
    moment: i64,
}

impl Switches {
    /// Bytes of memory.
    fn bytes(&self) -> usize {
        size_of_val(&*self.moments) + size_of_val(&*self.sites) + self.names
    }

    /// Adds the next switch.
    fn push(&mut self, site: &[u8], moment: i64) {
        let at = self.moments.len();
        self.moments.push(moment);
        match self.sites.last_mut() {
            Some(last) if *last.site == *site => last.moments.end = at + 1,
            _ => {
                self.names += site.len();
                self.sites.push(SiteSwitches { site: site.into(), moments: at..at + 1 });
            }
        }
    }
}

impl Large {
    /// Counts all messages against the switches of their sites.
    pub(super) fn count_messages(&self, messages: Messages, steps: &Sorted, lines: &Lines) -> Result<()> {
        let Large { threads, share, .. } = *self;
        let most = (share * threads / 8).max(256);
        let (spill, streams) = messages.into_streams();
        let readers = streams.iter().map(|stream| Mutex::new(stream.reader(&spill))).collect();
        let counting = Counting { threads, readers, lines, spare: Mutex::default() };
        let mut steps = Steps::of(steps)?;
        let mut switches = Switches::default();
        // The site at hand, and how many of its operators are online.
        let (mut site, mut present): (Box<[u8]>, i64) = (Box::default(), 0);
        while let Some(step) = steps.next()? {
            if step.site != site {
                (site, present) = (step.site, 0);
            }
            let was = present > 0;
            present += step.sum;
            if was == (present > 0) {
                continue;
            }
            if switches.bytes() >= most {
                switches.end = Some(End { site: site.clone(), moment: step.moment });
                counting.count(&switches)?;
                switches = Switches { online: was, ..Switches::default() };
            }
            switches.push(&site, step.moment);
        }
        counting.count(&switches)?;
        counting.end()
    }
}

/// Those who count messages: the readers of all parts, and finders that are not ended yet.
struct Counting<'r, 'l> {
    threads: usize,
    readers: Vec<Mutex<MessageReader<'r>>>,
    lines: &'l Lines,
    spare: Mutex<Vec<Finder<'l>>>,
}

impl Counting<'_, '_> {
    /// Counts the messages before the end of some switches.
    fn count(&self, switches: &Switches) -> Result<()> {
        let spare = || self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        let finder = || spare().pop().unwrap_or_else(|| self.lines.finder(self.threads));
        let finders = parallel(self.threads, self.readers.len(), finder, |finder, number| {
            let Some(reader) = self.readers.get(number) else { return Ok(()) };
            reader.lock().unwrap_or_else(PoisonError::into_inner).count(switches, finder)
        })?;
        spare().extend(finders);
        Ok(())
    }

    /// Ends.
    fn end(self) -> Result<()> {
        self.spare.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().try_for_each(Finder::end)
    }
}

impl MessageReader<'_> {
    /// Counts the messages before the end of some switches.
    fn count(&mut self, switches: &Switches, finder: &mut Finder<'_>) -> Result<()> {
        let mut number = 0;
        let mut line = Summary::default();
        let mut counted: Vec<u8> = Vec::new();
        loop {
            if self.at >= self.moments.len() && !self.advance()? {
                break;
            }
            let end = match &switches.end {
                Some(end) if *self.site > *end.site => break,
                Some(end) if *self.site == *end.site => self.moments.partition_point(|at| *at < end.moment),
                _ => self.moments.len(),
            };
            if end <= self.at {
                break;
            }
            if counted != self.site {
                put_found(finder, &counted, &mut line)?;
                counted.clone_from(&self.site);
            }
            while switches.sites.get(number).is_some_and(|own| *own.site < *self.site) {
                number += 1;
            }
            let (is_first, own) = match switches.sites.get(number) {
                Some(own) if *own.site == *self.site => (number == 0, &switches.moments[own.moments.clone()]),
                _ => (false, &[][..]),
            };
            let some = &self.moments[self.at..end];
            let before = own.partition_point(|switch| some.first().is_some_and(|first| switch <= first));
            let mut online = (is_first && switches.online) ^ (before % 2 == 1);
            let mut rest = own[before..].iter().peekable();
            for moment in some {
                while rest.next_if(|switch| *switch <= moment).is_some() {
                    online = !online;
                }
                line.messages += u64::from(online);
                line.emails += u64::from(!online);
            }
            self.at = end;
        }
        put_found(finder, &counted, &mut line)
    }
}
