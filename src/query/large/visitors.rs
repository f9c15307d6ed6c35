//! Visitors: counts the different names of each site, part by part.

use super::keys::Key;
use super::{Large, RECORDS_AT_ONCE};
use crate::base::secret;
use crate::disk::scratch::Scratch;
use crate::disk::scratch::deal::{Deal, Dealer, Parted, part_of};
use crate::error::Result;
use crate::event::summary::Summary;
use crate::event::table::Texts;
use crate::query::gather::parallel;
use crate::snapshot::lines::{Finder, Line, Lines};

impl Large {
    /// Counts the visitors of all sites.
    pub(super) fn count_visitors(&self, visitors: &Deal, lines: &Lines) -> Result<()> {
        let Large { scratch, share, threads, .. } = self;
        let begin = || Visitors::new(scratch, share / 4, lines.finder(*threads));
        let work = |counting: &mut Visitors<'_>, part| visitors.work(part, scratch, share / 16, counting);
        let countings = parallel(*threads, visitors.parts(), begin, work)?;
        countings.into_iter().try_for_each(|counting| counting.finder.end())
    }
}

/// Appends a text behind its length: a record of [`Visitors`], for the key of a site and a name.
pub(super) fn put_text(text: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_le_bytes());
    out.extend_from_slice(text);
}

/// Counts the different keys of a site and a name.
struct Visitors<'a> {
    scratch: &'a Scratch,
    /// Bytes of memory for a part.
    most: usize,
    /// The names; behind each name of a site other than the first stands the number of its site.
    names: Texts,
    sites: Texts,
    /// The visitors of each site, by its number.
    counts: Vec<u64>,
    /// The site at hand.
    site: u32,
    name: Vec<u8>,
    finder: Finder<'a>,
}

impl Parted for Visitors<'_> {
    fn take<'b>(&mut self, mut bytes: &'b [u8]) -> Result<&'b [u8]> {
        for _ in 0..RECORDS_AT_ONCE {
            let Some((length, rest)) = bytes.split_first_chunk() else { break };
            let text = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)));
            let (key, rest) = text.ok_or_else(|| self.scratch.changed())?;
            bytes = rest;
            let mut parsed = Key(key);
            let site = parsed.site_bytes().ok_or_else(|| self.scratch.changed())?;
            if self.counts.is_empty() || self.sites.get(self.site) != site {
                self.site = self.sites.intern(site);
                self.counts.resize(self.sites.len(), 0);
            }
            // Mostly there is only one site, and its names are short. No name has a zero in it.
            let mut name = parsed.0;
            if self.site > 0 {
                self.name.clear();
                self.name.extend_from_slice(name);
                self.name.push(0);
                self.name.extend_from_slice(&self.site.to_le_bytes());
                name = &self.name;
            }
            let before = self.names.len();
            if self.names.intern(name) as usize == before {
                self.counts[self.site as usize] += 1;
            }
        }
        Ok(bytes)
    }

    fn is_full(&self) -> bool {
        2 * (self.names.size() + self.sites.size()) > self.most && self.names.len() > RECORDS_AT_ONCE
    }

    fn thin(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn deal(&mut self, dealer: &mut Dealer<'_>, level: u32) -> Result<()> {
        let parts = dealer.parts();
        let mut key = Vec::new();
        for number in 0..self.names.len() as u32 {
            let mut name = Key(self.names.get(number));
            let (text, site) = match name.name() {
                Some(text) => (text, name.0.first_chunk().map_or(0, |number| u32::from_le_bytes(*number))),
                None => (name.0, 0),
            };
            key.clear();
            key.extend_from_slice(self.sites.get(site));
            key.extend_from_slice(text);
            dealer.put(part_of(secret::hash(&*key), level, parts), |out| put_text(&key, out))?;
        }
        self.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        for (number, visitors) in (0u32..).zip(&self.counts) {
            let site = Key(self.sites.get(number)).site().ok_or_else(|| self.scratch.changed())?;
            self.finder.put(site, &Line::of(Summary { visitors: *visitors, ..Summary::default() }))?;
        }
        self.clear();
        Ok(())
    }
}

impl<'a> Visitors<'a> {
    fn new(scratch: &'a Scratch, most: usize, finder: Finder<'a>) -> Visitors<'a> {
        let (names, sites) = (Texts::default(), Texts::default());
        Visitors { scratch, most, names, sites, counts: Vec::new(), site: 0, name: Vec::new(), finder }
    }

    fn clear(&mut self) {
        self.names.clear();
        self.sites.clear();
        self.counts.clear();
        self.site = 0;
    }
}
