//! Folds the sites that new frames touch, shard by shard.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use super::kept::{Packer, Pieces, State};
use super::{Changes, Live, add};
use crate::disk::scratch::Extent;
use crate::error::Result;
use crate::event::summary::{Summary, Window};
use crate::event::{Site, SiteName};
use crate::query::activity::{Clock, Latest, Minutes, Online};
use crate::query::fold::{Fold, Seen};
use crate::query::gather::{Gather, Load, Task, by_site, loads_of, parallel};
use crate::snapshot::IndexedSite;
use crate::store::View;

/// A site that was folded again.
struct Folded {
    name: SiteName,
    summary: Summary,
    online: Online,
    latest: i64,
    pieces: Change,
}

/// What becomes of what is kept of a site.
enum Change {
    More(Extent),
    Anew(Extent),
}

/// What a thread found.
#[derive(Default)]
struct Found {
    /// Pieces of shards that were not kept before.
    begun: Vec<(SiteName, Extent)>,
    states: Vec<(u8, State)>,
    folded: Vec<Folded>,
    minutes: Minutes,
    /// Sites that do not fit.
    large: Vec<SiteName>,
    /// Also the new events of a shard do not fit.
    too_much: bool,
}

/// Counts messages by minute, or takes them back.
struct Counter<'m> {
    minutes: &'m mut Minutes,
    clock: Clock,
    times: i64,
}

impl Seen for Counter<'_> {
    fn message(&mut self, moment: i64, online: bool) {
        self.minutes.count(self.clock.minute(moment), online, self.times);
    }

    fn turned(&mut self, _: i64, _: bool) {}
}

/// Folds shards, for one thread.
pub(super) struct Folder<'a> {
    live: &'a Live,
    view: &'a View,
    /// Index of the first new frame.
    first: usize,
    share: u64,
    fresh: Gather,
    whole: Gather,
    packer: Packer,
    fold: Fold,
    buffer: Vec<u8>,
    found: Found,
}

impl Live {
    /// Folds the sites that frames from `first` on touch; none if that is not the way, and the whole report is to be made.
    pub(super) fn fold(&mut self, view: &mut View, first: usize) -> Result<Option<Changes>> {
        let loads = loads_of(view.frames.get(first..).unwrap_or_default());
        let shards: Vec<u8> =
            (0u8..=255).zip(&loads).filter(|(_, load)| load.events > 0).map(|(shard, _)| shard).collect();
        let unchanged = || Changes { all: false, sites: Vec::new(), position: self.position, events: 0 };
        if shards.is_empty() {
            return Ok(Some(unchanged()));
        }
        if !self.sites.is_whole() {
            return self.fold_unknown(view, first);
        }
        if self.kept.is_worn(view.bytes()) {
            self.kept = super::Kept::new(&self.limits.scratch);
            self.sites.forget_kept();
        }
        let is_over = AtomicBool::new(false);
        let begin = || Folder::new(self, view, first);
        let folders = parallel(self.limits.threads.max(1), shards.len(), begin, |folder, number| {
            if let Some(shard) = shards.get(number).filter(|_| !is_over.load(Ordering::Relaxed)) {
                folder.shard(*shard)?;
            }
            is_over.fetch_or(folder.found.too_much, Ordering::Relaxed);
            Ok(())
        })?;
        let found: Vec<Found> = folders.into_iter().map(|folder| folder.found).collect();
        if is_over.into_inner() {
            return Ok(None);
        }
        let (mut sites, mut large) = (Vec::new(), HashSet::new());
        for some in found {
            large.extend(some.large.iter().map(|name| name.text(&mut [0; 20]).to_vec()));
            self.take(some, &mut sites);
        }
        if !large.is_empty() {
            self.take_large(view, first, &large, &mut sites)?;
        }
        if !self.sites.is_whole() {
            return Ok(None);
        }
        sites.sort_unstable_by(|a: &(SiteName, Summary), b| a.0.cmp(&b.0));
        Ok(Some(Changes { all: false, sites, position: self.position, events: 0 }))
    }

    /// Takes over what a thread found.
    fn take(&mut self, found: Found, changed: &mut Vec<(SiteName, Summary)>) {
        for (name, piece) in found.begun {
            self.sites.pieces_mut(name.site()).into_iter().for_each(|pieces| pieces.push(piece));
        }
        for (shard, state) in found.states {
            self.kept.states[usize::from(shard)] = state;
        }
        self.minutes.add(&found.minutes, 1);
        for Folded { name, summary, online, latest, pieces } in found.folded {
            self.take_site(&name, summary, online, changed);
            self.sums.latest = self.sums.latest.max(latest);
            match (self.sites.pieces_mut(name.site()), pieces) {
                (Some(own), Change::Anew(piece)) => *own = Pieces::only(piece),
                (Some(own), Change::More(piece)) => own.push(piece),
                (None, _) => {}
            }
        }
    }

    /// Takes the new counts of a site.
    fn take_site(&mut self, name: &SiteName, summary: Summary, online: Online, changed: &mut Vec<(SiteName, Summary)>) {
        let before = self.sites.summary(name);
        if self.sites.see(name.text(&mut [0; 20]), summary) {
            self.sums.sites += u64::from(before.is_none());
            let Summary { messages, emails, operators, visitors } = before.unwrap_or_default();
            let counts = &mut self.sums.counts;
            counts.messages = counts.messages.saturating_sub(messages);
            counts.emails = counts.emails.saturating_sub(emails);
            counts.operators = counts.operators.saturating_sub(operators);
            counts.visitors = counts.visitors.saturating_sub(visitors);
            add(counts, &summary);
            changed.push((name.clone(), summary));
        }
        if let (true, Some(before)) = (self.details, self.sums.online) {
            let more = self.sites.set_online_at(name.site(), online);
            self.sums.online = more.map(|more| before.saturating_add_signed(more));
        }
    }

    /// Sites that do not fit, by a report of them alone. What they had by minute is taken back first.
    fn take_large(
        &mut self,
        view: &mut View,
        first: usize,
        names: &HashSet<Vec<u8>>,
        changed: &mut Vec<(SiteName, Summary)>,
    ) -> Result<()> {
        if self.details {
            let fresh = view.frames.split_off(first);
            let before = self.reported(view, names);
            view.frames.extend(fresh);
            if let (_, Some(Latest { minutes, .. })) = before? {
                self.minutes.add(&minutes, -1);
            }
        }
        let (report, latest) = self.reported(view, names)?;
        let mut online = HashMap::new();
        if let Some(latest) = latest {
            self.minutes.add(&latest.minutes, 1);
            online = latest.online.unwrap_or_default();
        }
        self.sums.latest = self.sums.latest.max(report.totals.latest);
        for site in report.sites()? {
            let name: SiteName = Site::new(site.site(&mut [0; 20])).into();
            let online = online.remove(&name).unwrap_or_default();
            self.take_site(&name, site.summary, online, changed);
        }
        Ok(())
    }

    /// The sites that may have changed, where the table of sites does not fit the memory.
    fn fold_unknown(&mut self, view: &View, first: usize) -> Result<Option<Changes>> {
        // Without their old counts the sums are not known either, nor the minutes.
        let names = if self.details { None } else { self.touched(view, first)? };
        let Some(names) = names else { return Ok(None) };
        let names = names.iter().map(|name| name.text(&mut [0; 20]).to_vec()).collect();
        let (report, _) = self.reported(view, &names)?;
        let mut sites = Vec::new();
        report.each(&mut |name, summary| {
            sites.push((Site::new(name).into(), *summary));
            true
        })?;
        Ok(Some(Changes { all: false, sites, position: self.position, events: 0 }))
    }
}

impl<'a> Folder<'a> {
    pub(super) fn new(live: &'a Live, view: &'a View, first: usize) -> Folder<'a> {
        let threads = live.limits.threads.max(1) as u64;
        Folder {
            live,
            view,
            first,
            share: live.limits.memory / 4 / threads,
            fresh: Gather::default(),
            whole: Gather::default(),
            packer: Packer::default(),
            fold: Fold::default(),
            buffer: Vec::new(),
            found: Found::default(),
        }
    }

    fn task(&self, shard: u8) -> Task {
        Task { shards: shard..=shard, events: 0, share: self.share }
    }

    /// Reads what the new frames have of a shard; gives its sites by name. None if it does not fit.
    pub(super) fn read_fresh(&mut self, shard: u8) -> Result<Option<Vec<SiteName>>> {
        let (view, task) = (self.view, self.task(shard));
        self.fresh.begin(&task);
        self.fresh.tail(&view.segments, view.frames.get(self.first..).unwrap_or_default(), &task, |_| true)?;
        if self.fresh.is_full() {
            return Ok(None);
        }
        let mut names = Vec::new();
        self.fresh.each_site(|site| names.push(SiteName::from(site)));
        names.sort_unstable();
        Ok(Some(names))
    }

    /// Folds the sites of a shard that the new frames touch.
    fn shard(&mut self, shard: u8) -> Result<()> {
        let Some(names) = self.read_fresh(shard)? else {
            self.found.too_much = true;
            return Ok(());
        };
        let mut state = self.live.kept.states[usize::from(shard)];
        let begun = self.found.begun.len();
        if state == State::Not {
            state = self.keep(shard)?;
            self.found.states.push((shard, state));
        }
        if state == State::Large || !self.gather(shard, &names, begun)? {
            self.found.large.extend(names);
            if state == State::Kept {
                // What comes in now is not put aside.
                self.found.states.push((shard, State::Large));
            }
            return Ok(());
        }
        self.fold_sites(shard, &names)
    }

    /// Puts aside what the earlier frames have of a shard.
    fn keep(&mut self, shard: u8) -> Result<State> {
        let (view, task, live) = (self.view, self.task(shard), self.live);
        let Folder { whole, packer, found, .. } = self;
        whole.begin(&task);
        whole.tail(&view.segments, view.frames.get(..self.first).unwrap_or_default(), &task, |_| true)?;
        if whole.is_full() {
            return Ok(State::Large);
        }
        whole.finish(|gathered| {
            for rows in by_site(gathered.table) {
                let Some(first) = rows.first() else { continue };
                let piece = packer.put(&live.kept.spill, gathered.table, rows)?;
                found.begun.push((gathered.table.site_of(first).into(), piece));
            }
            Ok(())
        })?;
        Ok(State::Kept)
    }

    /// Gathers what there was of some sites before the new frames; says whether it fits. Those of shards that were kept just now are
    /// among what was begun, from index `begun` on.
    fn gather(&mut self, shard: u8, names: &[SiteName], begun: usize) -> Result<bool> {
        let (view, live, task) = (self.view, self.live, self.task(shard));
        let wanted: HashSet<Site<'_>> = names.iter().map(SiteName::site).collect();
        self.whole.begin(&task);
        for (name, piece) in self.found.begun.get(begun..).unwrap_or_default() {
            if wanted.contains(&name.site()) {
                let mut pieces = Pieces::default();
                pieces.push(*piece);
                self.packer.get(&live.kept.spill, &pieces, shard, &mut self.whole)?;
            }
        }
        let mut elsewhere = Vec::new();
        for name in names {
            // A new site is nowhere else.
            let Some(pieces) = live.sites.pieces(name.site()) else { continue };
            self.packer.get(&live.kept.spill, pieces, shard, &mut self.whole)?;
            if !pieces.with_snapshots {
                elsewhere.push(name.clone());
            }
        }
        for snapshot in view.snapshots.iter().filter(|_| !elsewhere.is_empty()) {
            let mut found = Vec::new();
            snapshot.sites_of(&elsewhere, &mut self.buffer, &mut found)?;
            for IndexedSite { name, entry } in found {
                let mut load = Load::default();
                load.add(entry.events, entry.length);
                if self.whole.is_full() || load.memory() > task.share {
                    return Ok(false);
                }
                let stretch = entry.at..entry.at.saturating_add(entry.length);
                self.whole.snapshot(snapshot, stretch, |site| site == name.site())?;
            }
        }
        Ok(!self.whole.is_full())
    }

    /// Folds what was gathered, without and with what is new.
    fn fold_sites(&mut self, shard: u8, names: &[SiteName]) -> Result<()> {
        let (view, live, task) = (self.view, self.live, self.task(shard));
        let clock = Clock::new(live.unit, 0);
        let mut minutes = Minutes::default();
        let Folder { fresh, whole, packer, fold, found, .. } = self;
        if live.details {
            let mut back = Counter { minutes: &mut minutes, clock, times: -1 };
            whole.finish(|gathered| {
                by_site(gathered.table).try_for_each(|rows| {
                    fold.site(rows, gathered.table.names(), Window::ALL, &mut back);
                    Ok(())
                })
            })?;
        }
        whole.tail(&view.segments, view.frames.get(self.first..).unwrap_or_default(), &task, |_| true)?;
        if whole.is_full() {
            found.large.extend_from_slice(names);
            found.states.push((shard, State::Large));
            return Ok(());
        }
        let anew = |site: Site<'_>| match live.sites.pieces(site) {
            Some(pieces) => pieces.are_many() || !(pieces.with_snapshots || view.snapshots.is_empty()),
            None => !view.snapshots.is_empty(),
        };
        let mut counter = Counter { minutes: &mut minutes, clock, times: 1 };
        whole.finish(|gathered| {
            let table = gathered.table;
            by_site(table).try_for_each(|rows| {
                let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
                let site = table.site_of(first);
                let summary = match live.details {
                    true => fold.site(rows, table.names(), Window::ALL, &mut counter),
                    false => fold.site(rows, table.names(), Window::ALL, &mut ()),
                };
                let pieces = match anew(site) {
                    true => Change::Anew(packer.put(&live.kept.spill, table, rows)?),
                    // Once it is known which of them are new: below.
                    false => Change::More(Extent::default()),
                };
                let count = if live.details { fold.online() } else { 0 };
                let online = Online::at_the_end(count, rows, table);
                found.folded.push(Folded { name: site.into(), summary, online, latest: last.timestamp, pieces });
                Ok(())
            })
        })?;
        found.minutes.add(&minutes, 1);
        // What is new of each site is put behind what is kept of it.
        let start = found.folded.len().saturating_sub(names.len());
        let own = found.folded.get_mut(start..).unwrap_or_default();
        let mut places: HashMap<SiteName, &mut Change> =
            own.iter_mut().map(|folded| (folded.name.clone(), &mut folded.pieces)).collect();
        fresh.finish(|gathered| {
            by_site(gathered.table).try_for_each(|rows| {
                let site = rows.first().map(|row| SiteName::from(gathered.table.site_of(row)));
                if let Some(Change::More(piece)) = site.and_then(|site| places.get_mut(&site)) {
                    *piece = packer.put(&live.kept.spill, gathered.table, rows)?;
                }
                Ok(())
            })
        })
    }
}
