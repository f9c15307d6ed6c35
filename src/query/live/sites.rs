//! The table of sites, as far as it fits the memory.

use std::collections::HashMap;

use hashbrown::HashTable;

use super::kept::Pieces;
use crate::base::secret;
use crate::event::summary::Summary;
use crate::event::{Site, SiteName};
use crate::query::activity::{ONLINE_SHARE, Online};

/// What is known of a site.
struct Entry {
    name: SiteName,
    /// All zeros if it has no event any more.
    summary: Summary,
    /// The last comparison that saw it.
    seen: u32,
    pieces: Pieces,
}

/// The sites, in the order in which they came.
#[derive(Default)]
pub(super) struct Sites {
    list: Vec<Entry>,
    numbers: HashTable<u32>,
    online: HashMap<u32, Online>,
    /// About how many bytes these take.
    online_bytes: usize,
    /// Bytes of the names that are not numbers.
    text: usize,
    /// Bytes that it may take.
    most: usize,
    /// There are more sites than fit; it is empty then.
    over: bool,
    round: u32,
}

/// Bytes of an entry, with its place in the table of numbers, and the room that a growing list has.
const ENTRY: usize = size_of::<Entry>() * 9 / 8 + 12;

fn hash(site: Site<'_>) -> u64 {
    secret::hash(site)
}

impl Sites {
    /// None yet; so many bytes of them at most.
    pub(super) fn new(most: usize) -> Sites {
        Sites { most, ..Sites::default() }
    }

    /// Whether all sites are here.
    pub(super) fn is_whole(&self) -> bool {
        !self.over
    }

    fn number(&self, site: Site<'_>) -> Option<u32> {
        let is_it = |number: &u32| self.list.get(*number as usize).is_some_and(|entry| entry.name.site() == site);
        self.numbers.find(hash(site), is_it).copied()
    }

    fn entry(&mut self, site: Site<'_>) -> Option<&mut Entry> {
        let number = self.number(site)?;
        self.list.get_mut(number as usize)
    }

    /// The counts of a site that has an event.
    pub(super) fn summary(&self, name: &SiteName) -> Option<Summary> {
        let entry = self.list.get(self.number(name.site())? as usize)?;
        (entry.summary != Summary::default()).then_some(entry.summary)
    }

    /// What was kept of a site; none if it is new.
    pub(super) fn pieces(&self, site: Site<'_>) -> Option<&Pieces> {
        self.list.get(self.number(site)? as usize).map(|entry| &entry.pieces)
    }

    /// The same, to change it.
    pub(super) fn pieces_mut(&mut self, site: Site<'_>) -> Option<&mut Pieces> {
        self.entry(site).map(|entry| &mut entry.pieces)
    }

    /// Forgets what was kept of all sites.
    pub(super) fn forget_kept(&mut self) {
        self.list.iter_mut().for_each(|entry| entry.pieces = Pieces::default());
    }

    /// Begins a comparison with all sites.
    pub(super) fn begin(&mut self) {
        self.round = self.round.wrapping_add(1);
        // Perhaps there are fewer now.
        self.over = false;
    }

    /// Sets the counts of a site; says whether they are others than before.
    pub(super) fn see(&mut self, name: &[u8], summary: Summary) -> bool {
        if self.over {
            return false;
        }
        let (site, round) = (Site::new(name), self.round);
        if let Some(entry) = self.entry(site) {
            entry.seen = round;
            return std::mem::replace(&mut entry.summary, summary) != summary;
        }
        self.text += if matches!(site, Site::Text(_)) { name.len() + 16 } else { 0 };
        if (self.list.len() + 1) * ENTRY + self.text > self.most {
            *self = Sites { over: true, round, most: self.most, ..Sites::default() };
            return false;
        }
        if self.list.len() == self.list.capacity() {
            self.list.reserve_exact((self.list.len() / 8).max(64));
        }
        let number = self.list.len() as u32;
        self.list.push(Entry { name: site.into(), summary, seen: round, pieces: Pieces::default() });
        let Sites { list, numbers, .. } = self;
        let of = |number: &u32| list.get(*number as usize).map_or(0, |entry| hash(entry.name.site()));
        numbers.insert_unique(hash(site), number, of);
        true
    }

    /// Ends a comparison: the sites that have no event any more.
    pub(super) fn gone(&mut self) -> impl Iterator<Item = SiteName> {
        let round = self.round;
        let unseen = move |entry: &&mut Entry| entry.seen != round && entry.summary != Summary::default();
        self.list.iter_mut().filter(unseen).map(|entry| {
            entry.summary = Summary::default();
            entry.name.clone()
        })
    }

    /// Sets who is online at all sites.
    pub(super) fn set_online(&mut self, online: HashMap<SiteName, Online>) {
        self.online_bytes = online.values().map(Online::bytes).sum();
        let numbered = online.into_iter().filter_map(|(name, online)| Some((self.number(name.site())?, online)));
        self.online = numbered.collect();
    }

    /// Sets who is online at a site; gives the difference in number. None once that does not fit: then nobody is known to be online.
    pub(super) fn set_online_at(&mut self, site: Site<'_>, online: Online) -> Option<i64> {
        let Some(number) = self.number(site) else { return Some(0) };
        let count = online.count as i64;
        self.online_bytes += if count == 0 { 0 } else { online.bytes() };
        let before = match count {
            0 => self.online.remove(&number),
            _ => self.online.insert(number, online),
        };
        self.online_bytes -= before.as_ref().map_or(0, Online::bytes).min(self.online_bytes);
        if self.online_bytes > self.most / ONLINE_SHARE {
            (self.online, self.online_bytes) = (HashMap::new(), 0);
            return None;
        }
        Some(count - before.map_or(0, |before| before.count as i64))
    }

    /// A site by its number.
    pub(super) fn by_number(&self, number: u32) -> Option<(&SiteName, &Summary, Option<&Online>)> {
        let entry = self.list.get(number as usize)?;
        Some((&entry.name, &entry.summary, self.online.get(&number)))
    }

    /// Visits the sites that have an event.
    pub(super) fn each(&self, visit: &mut dyn FnMut(u32, &SiteName, &Summary, u64)) {
        for (number, entry) in (0u32..).zip(&self.list).filter(|(_, entry)| entry.summary != Summary::default()) {
            visit(number, &entry.name, &entry.summary, self.online.get(&number).map_or(0, |online| online.count));
        }
    }

    /// The same by name, until `visit` returns false.
    pub(super) fn each_by_name(&self, visit: &mut dyn FnMut(&[u8], &Summary) -> bool) {
        let mut sorted: Vec<&Entry> = self.list.iter().filter(|entry| entry.summary != Summary::default()).collect();
        sorted.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for entry in sorted {
            if !visit(entry.name.text(&mut [0; 20]), &entry.summary) {
                break;
            }
        }
    }
}
