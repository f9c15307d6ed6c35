//! A view that can be refreshed: the counts of all sites, kept right while a writer appends.
//!
//! [`Live::open`] makes a report once. [`Live::refresh`] looks at the store again and reads the frames that are new: they tell which sites
//! have changed. Only those are folded again, from all of their events. These are found quickly the second time: the tail of a shard is
//! put aside site by site, in a temporary file, when it is first needed (`kept`). Where a large part of the events is new, or nobody can
//! tell what is, the whole report is made again and compared.
//!
//! The table of sites is held in memory, up to half of it. With more sites than that, all that is known is which sites may have changed,
//! and each answer comes from a report of them.

mod folding;
mod kept;
mod sites;

use std::collections::HashSet;

use crate::disk::Storage;
use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::event::SiteName;
use crate::event::summary::Summary;
use crate::event::unit::Unit;
use crate::query::activity::{Latest, Minutes, Online};
use crate::query::report::{Report, ReportOptions};
use crate::store::{Place, Position, Since, View};
use kept::Kept;
use sites::Sites;

/// With fewer new events than this, or with fewer than one in so many of all, only sites that they touch are folded.
const FEW: u64 = 10_000;
const SHARE: u64 = 8;

/// How a store is followed.
#[derive(Clone, Debug)]
pub struct LiveOptions {
    /// What it may take.
    pub limits: Limits,
    /// Whether minutes are counted, and who is online: then all events are read in the beginning.
    pub details: bool,
    /// What timestamps count; told by the magnitude of the latest if nobody says it.
    pub unit: Option<Unit>,
}

/// What a look at the store found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// All sites are to be taken anew, from [`Live::each`], and none that was known before counts any more.
    pub all: bool,
    /// Otherwise: the sites that changed, by name, with their new counts. Where all counts are 0, the site has no event any more.
    pub sites: Vec<(SiteName, Summary)>,
    /// What the counts are true at.
    pub position: Position,
    /// How many events came in, copies counted, as far as that is known.
    pub events: u64,
}

/// The counts of all sites.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Sites that have an event.
    pub sites: u64,
    /// Their counts, added up.
    pub counts: Summary,
    /// Operators who are online, if details are kept and the memory has room for that.
    pub online: Option<u64>,
    /// The latest timestamp; the least one there is if there is no event.
    pub latest: i64,
}

/// Follows a store. After an error it begins anew at the next refresh.
pub struct Live {
    view: Option<View>,
    position: Position,
    limits: Limits,
    details: bool,
    asked_unit: Option<Unit>,
    unit: Unit,
    sites: Sites,
    kept: Kept,
    minutes: Minutes,
    sums: Sums,
    /// About how many events there are.
    events: u64,
}

impl Live {
    /// The counts of a view. The changes are all sites; or, with a position, those that may have changed since.
    pub fn open(storage: &dyn Storage, options: LiveOptions, from: Option<&Position>) -> Result<(Live, Changes)> {
        let view = View::open(storage)?;
        if let Some(from) = from {
            view.is_store(storage, from.store)?;
        }
        let LiveOptions { limits, details, unit } = options;
        let half = Limits { memory: limits.memory / 2, ..limits };
        let mut live = Live {
            position: view.position(),
            sites: Sites::new(half.bytes()),
            kept: Kept::new(&half.scratch),
            view: None,
            limits: half,
            details,
            asked_unit: unit,
            unit: unit.unwrap_or(Unit::Seconds),
            minutes: Minutes::default(),
            sums: Sums::default(),
            events: 0,
        };
        live.whole(&view)?;
        let mut changes = Changes { all: true, sites: Vec::new(), position: live.position, events: 0 };
        if let Some(Since::Frames(first)) = from.map(|from| view.since(from))
            && live.sites.is_whole()
            && let Some(names) = live.touched(&view, first)?
        {
            changes.all = false;
            changes.sites =
                names.into_iter().filter_map(|name| live.sites.summary(&name).map(|sum| (name, sum))).collect();
        }
        live.view = Some(view);
        Ok((live, changes))
    }

    /// Looks again.
    pub fn refresh(&mut self, storage: &dyn Storage) -> Result<Changes> {
        let mut view = match self.view.take() {
            Some(view) => view.later(storage)?,
            None => View::open(storage)?,
        };
        view.is_store(storage, self.position.store)?;
        let since = view.since(&self.position);
        let accepted = |frames: &[Place]| frames.iter().map(|place| place.frame.accepted()).sum();
        let fresh: Option<u64> = match since {
            Since::Frames(first) => view.frames.get(first..).map(accepted),
            Since::Unknown | Since::AnotherStore => None,
        };
        let is_small = fresh.is_some_and(|fresh| fresh < FEW || fresh < self.events / SHARE);
        let before = self.events;
        let mut changes = match since {
            Since::Frames(first) if is_small => match self.fold(&mut view, first)? {
                Some(changes) => changes,
                None => self.whole(&view)?,
            },
            _ => self.whole(&view)?,
        };
        if self.is_another_unit() {
            let Changes { all, sites, .. } = self.whole(&view)?;
            changes.all |= all;
            changes.sites.extend(sites);
        }
        self.position = view.position();
        changes.position = self.position;
        changes.events = fresh.unwrap_or_else(|| self.events.saturating_sub(before));
        if is_small {
            self.events = before + fresh.unwrap_or(0);
        }
        self.view = Some(view);
        Ok(changes)
    }

    /// Whether minutes were counted in a unit that the latest timestamp does not have: there was no event before, or a wrong one.
    fn is_another_unit(&self) -> bool {
        let is_told = self.details && self.asked_unit.is_none() && self.sums.sites > 0;
        is_told && self.unit != Unit::of(self.sums.latest)
    }

    /// Makes the whole report, and compares it with what is known. Nothing that was kept counts any more.
    fn whole(&mut self, view: &View) -> Result<Changes> {
        self.kept = Kept::new(&self.limits.scratch);
        self.sites.forget_kept();
        let options = ReportOptions { limits: self.limits.clone(), ..ReportOptions::default() };
        let (report, latest) = match self.details {
            true => Latest::of(view, &options, self.asked_unit).map(|(report, latest)| (report, Some(latest)))?,
            false => (Report::of(view, &options)?, None),
        };
        let mut changed = Vec::new();
        let mut sums = Sums { latest: report.totals.latest, ..Sums::default() };
        self.sites.begin();
        report.each(&mut |name, summary| {
            sums.sites += 1;
            add(&mut sums.counts, summary);
            if self.sites.see(name, *summary) {
                changed.push((crate::event::Site::new(name).into(), *summary));
            }
            true
        })?;
        changed.extend(self.sites.gone().map(|name| (name, Summary::default())));
        changed.sort_unstable_by(|a: &(SiteName, Summary), b| a.0.cmp(&b.0));
        if let Some(Latest { unit, minutes, online }) = latest {
            sums.online = online.as_ref().map(|online| online.values().map(|online| online.count).sum());
            (self.unit, self.minutes) = (unit, minutes);
            self.sites.set_online(online.unwrap_or_default());
        }
        (self.sums, self.events) = (sums, report.totals.events.saturating_add(report.totals.copies));
        let all = !self.sites.is_whole();
        if all {
            changed = Vec::new();
        }
        Ok(Changes { all, sites: changed, position: self.position, events: 0 })
    }

    /// The sites that frames from `first` on touch, by name; none if they are too many to name.
    fn touched(&self, view: &View, first: usize) -> Result<Option<Vec<SiteName>>> {
        let frames = view.frames.get(first..).unwrap_or_default();
        let mut folder = folding::Folder::new(self, view, first);
        let mut names = Vec::new();
        for (shard, load) in (0u8..=255).zip(crate::query::gather::loads_of(frames)) {
            if load.events > 0 {
                match folder.read_fresh(shard)? {
                    Some(mut some) => names.append(&mut some),
                    None => return Ok(None),
                }
            }
            if names.len() * size_of::<(SiteName, Summary)>() > self.limits.bytes() / 4 {
                return Ok(None);
            }
        }
        names.sort_unstable();
        Ok(Some(names))
    }

    /// Visits every site that has an event, by name, until `visit` returns false.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &Summary) -> bool) -> Result<()> {
        if self.sites.is_whole() {
            self.sites.each_by_name(visit);
            return Ok(());
        }
        let Some(view) = &self.view else { return Ok(()) };
        let options = ReportOptions { limits: self.limits.clone(), ..ReportOptions::default() };
        Report::of(view, &options)?.each(visit).map(drop)
    }

    /// Visits every site that is held in memory, in any order: its name, its counts and who is online. The number stands for the site in
    /// [`Live::site`], as long as nothing is refreshed.
    pub fn each_unordered(&self, visit: &mut dyn FnMut(u32, &SiteName, &Summary, u64)) {
        self.sites.each(visit);
    }

    /// A site by its number: its name, its counts, and who is online.
    pub fn site(&self, number: u32) -> Option<(&SiteName, &Summary, Option<&Online>)> {
        self.sites.by_number(number)
    }

    /// Whether all sites fit the memory. Otherwise only the sums are known of them.
    pub fn has_all_sites(&self) -> bool {
        self.sites.is_whole()
    }

    /// All sites, added up.
    pub fn sums(&self) -> &Sums {
        &self.sums
    }

    /// The newest minutes.
    pub fn minutes(&self) -> &Minutes {
        &self.minutes
    }

    /// What timestamps count.
    pub fn unit(&self) -> Unit {
        self.unit
    }

    /// The view that the counts are of.
    pub fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// Some sites by a report of them alone; where they are too large to be kept, or nothing is.
    fn reported(&self, view: &View, names: &HashSet<Vec<u8>>) -> Result<(Report, Option<Latest>)> {
        let options =
            ReportOptions { limits: self.limits.clone(), sites: Some(names.clone()), ..ReportOptions::default() };
        match self.details {
            true => Latest::of(view, &options, Some(self.unit)).map(|(report, latest)| (report, Some(latest))),
            false => Ok((Report::of(view, &options)?, None)),
        }
    }
}

/// Adds counts to others.
fn add(sum: &mut Summary, other: &Summary) {
    sum.messages += other.messages;
    sum.emails += other.emails;
    sum.operators += other.operators;
    sum.visitors += other.visitors;
}
