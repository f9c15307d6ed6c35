//! When chats and emails came: by hour, by hour of the week, and, for the sites with most emails, each for itself.
//!
//! It is found while a report is made, in the same pass. Each thread counts for itself (`Watcher`); what they counted is added up in
//! the end. A site is folded a second time, from the rows at hand, if it is one of those with most emails so far. The unit of
//! timestamps has to be known before anything is counted: where nobody says it, it is that of the first message that a thread meets, and if
//! the latest timestamp of the store tells otherwise in the end, all is counted again.

mod detail;
mod hours;
mod minutes;
mod stream;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::event::SiteName;
use crate::event::summary::{Summary, Window};
use crate::event::table::{Row, Table};
use crate::event::unit::Unit;
use crate::query::fold::{Fold, Seen};
use crate::query::report::{Report, ReportOptions};
use crate::store::View;
use detail::{Collector, Details};
pub use detail::{Detail, Stretch};
pub use hours::{Clock, Hours, WEEK, Week};
pub use minutes::{Minutes, Online};
pub(super) use stream::Stream;

/// How activity is counted.
#[derive(Clone, Copy, Debug)]
pub struct ActivityOptions {
    /// What timestamps count; told by their magnitude if nobody says it.
    pub unit: Option<Unit>,
    /// Minutes by which the clock on the wall is ahead of UTC.
    pub offset: i32,
    /// For how many sites details are kept: those with most emails.
    pub details: usize,
}

/// When chats and emails came.
pub struct Activity {
    /// The clock that it was counted by.
    pub clock: Clock,
    /// Of all sites, by hour.
    pub hours: Hours,
    /// Of all sites, by hour of the week.
    pub week: Week,
    /// The sites with most emails, by name. Those with as many are taken by most chats, then by name.
    pub details: Vec<Detail>,
}

/// About how many bytes the details of a site take.
const DETAIL_BYTES: usize = 4 << 10;

impl Activity {
    /// The report of a view, and when its messages came.
    pub fn of(view: &View, report: &ReportOptions, options: &ActivityOptions) -> Result<(Report, Activity)> {
        let (made, watch, unit) = watched(view, report, options, &|watch| watch)?;
        Ok((made, watch.end(unit)))
    }
}

/// What whoever follows a store wants to know beside its report.
pub(in crate::query) struct Latest {
    pub(in crate::query) unit: Unit,
    /// The newest minutes.
    pub(in crate::query) minutes: Minutes,
    /// Who is online, by site; no site where nobody is. None if that does not fit the memory.
    pub(in crate::query) online: Option<HashMap<SiteName, Online>>,
}

impl Latest {
    /// The report of a view, and what came last.
    pub(in crate::query) fn of(view: &View, report: &ReportOptions, unit: Option<Unit>) -> Result<(Report, Latest)> {
        let options = ActivityOptions { unit, offset: 0, details: 0 };
        let most = report.limits.bytes() / ONLINE_SHARE;
        let present = || Some(Mutex::new(Present { most, ..Present::default() }));
        let (made, watch, unit) = watched(view, report, &options, &|watch| Watch { online: present(), ..watch })?;
        let minutes = watch.counted.into_inner().unwrap_or_else(PoisonError::into_inner).minutes;
        let present = watch.online.map(|online| online.into_inner().unwrap_or_else(PoisonError::into_inner));
        let online = present.filter(|present| !present.is_over).map(|present| present.by_site);
        Ok((made, Latest { unit, minutes, online }))
    }
}

/// Which part of the memory may say who is online.
pub(in crate::query) const ONLINE_SHARE: usize = 8;

/// Who is online, as far as it fits.
#[derive(Default)]
struct Present {
    by_site: HashMap<SiteName, Online>,
    bytes: usize,
    /// Bytes that it may take.
    most: usize,
    /// It does not fit; it is empty then.
    is_over: bool,
}

impl Present {
    fn insert(&mut self, name: &SiteName, online: Online) {
        // A table that grows is there twice for a moment.
        self.bytes += 2 * size_of::<SiteName>() + name.text(&mut [0; 20]).len() + online.bytes();
        self.is_over |= self.bytes > self.most;
        match self.is_over {
            true => self.by_site = HashMap::new(),
            false => drop(self.by_site.insert(name.clone(), online)),
        }
    }
}

/// Makes a report with a watch, which `asked` may add to; again if the first timestamps told the wrong unit.
fn watched(
    view: &View,
    report: &ReportOptions,
    options: &ActivityOptions,
    asked: &dyn Fn(Watch) -> Watch,
) -> Result<(Report, Watch, Unit)> {
    let mut unit = options.unit;
    loop {
        let watch = asked(Watch::new(unit, options, &report.limits, report.window));
        let made = Report::watched(view, report, Some(&watch))?;
        let seen = watch.unit.get().copied();
        let told = if made.totals.earliest <= made.totals.latest { Some(Unit::of(made.totals.latest)) } else { seen };
        match (options.unit, seen, told) {
            (None, Some(seen), Some(told)) if seen != told => unit = Some(told),
            (given, _, told) => return Ok((made, watch, given.or(told).unwrap_or(Unit::Seconds))),
        }
    }
}

/// What all threads that count share.
pub(super) struct Watch {
    unit: OnceLock<Unit>,
    offset: i32,
    window: Window,
    counted: Mutex<Counted>,
    details: Mutex<Details>,
    /// Who is online in the end, if somebody asks.
    online: Option<Mutex<Present>>,
    /// Fewer emails than this are not enough for details.
    least: AtomicU64,
}

/// What one thread counted, or all that ended.
#[derive(Clone, Default)]
struct Counted {
    hours: Hours,
    week: Week,
    minutes: Minutes,
}

impl Watch {
    fn new(unit: Option<Unit>, options: &ActivityOptions, limits: &Limits, window: Window) -> Watch {
        let most = options.details.min(limits.bytes() / 16 / DETAIL_BYTES);
        Watch {
            unit: unit.map_or_else(OnceLock::new, OnceLock::from),
            offset: options.offset,
            window,
            counted: Mutex::default(),
            details: Mutex::new(Details::new(most)),
            online: None,
            least: AtomicU64::new(1),
        }
    }

    /// One that counts for a thread.
    pub(super) fn watcher(&self) -> Watcher<'_> {
        let clock = self.unit.get().map(|unit| Clock::new(*unit, self.offset));
        Watcher { watch: self, clock, own: Counted::default() }
    }

    fn end(self, unit: Unit) -> Activity {
        let Counted { hours, week, .. } = self.counted.into_inner().unwrap_or_else(PoisonError::into_inner);
        let details = self.details.into_inner().unwrap_or_else(PoisonError::into_inner).sorted();
        Activity { clock: Clock::new(unit, self.offset), hours, week, details }
    }
}

/// Counts for one thread.
pub(super) struct Watcher<'w> {
    watch: &'w Watch,
    /// None before the first message, where nobody said the unit.
    clock: Option<Clock>,
    own: Counted,
}

impl Watcher<'_> {
    /// Folds a site, and counts its messages.
    pub(super) fn site(&mut self, fold: &mut Fold, table: &Table, rows: &[Row]) -> Summary {
        let (window, names) = (self.watch.window, table.names());
        let summary = fold.site(rows, names, window, self);
        let Some(name) = rows.first().map(|row| table.site_of(row)) else { return summary };
        self.watch.note_online(&name.into(), || Online::at_the_end(fold.online(), rows, table));
        if self.wants(&summary) {
            let mut collector = Collector::new(self.clock(0), window);
            fold.site(rows, names, window, &mut collector);
            self.keep(collector.end(name, &summary));
        }
        summary
    }

    /// One that counts events which come in order, some at a time.
    pub(super) fn stream(&mut self) -> Stream<'_> {
        Stream::new(self.watch, &mut self.own)
    }

    /// Ends: what was counted is added to what others did.
    pub(super) fn end(self) {
        self.watch.add(&self.own);
    }

    fn wants(&self, summary: &Summary) -> bool {
        self.watch.wants(summary)
    }

    fn keep(&self, detail: Detail) {
        self.watch.keep(detail);
    }

    fn clock(&mut self, moment: i64) -> Clock {
        *self.clock.get_or_insert_with(|| self.watch.clock(moment))
    }
}

impl Watch {
    /// The clock; `moment` tells its unit where nothing else did.
    fn clock(&self, moment: i64) -> Clock {
        Clock::new(*self.unit.get_or_init(|| Unit::of(moment)), self.offset)
    }

    /// Whether a site may be among those with details.
    fn wants(&self, summary: &Summary) -> bool {
        summary.emails >= self.least.load(Ordering::Relaxed)
    }

    /// Whether sites without a message are asked for as well.
    pub(super) fn asks_who_is_online(&self) -> bool {
        self.online.is_some()
    }

    fn note_online(&self, name: &SiteName, found: impl FnOnce() -> Online) {
        let Some(online) = &self.online else { return };
        let found = found();
        if found.count > 0 {
            online.lock().unwrap_or_else(PoisonError::into_inner).insert(name, found);
        }
    }

    fn keep(&self, detail: Detail) {
        let mut details = self.details.lock().unwrap_or_else(PoisonError::into_inner);
        self.least.store(details.take(detail).max(1), Ordering::Relaxed);
    }

    fn add(&self, own: &Counted) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.hours.add(&own.hours);
        counted.week.add(&own.week);
        counted.minutes.add(&own.minutes, 1);
    }
}

impl Counted {
    fn message(&mut self, clock: &Clock, moment: i64, online: bool) {
        let hour = clock.hour(moment);
        self.hours.count(hour, online);
        self.week.count(hour, online);
        self.minutes.count(clock.minute(moment), online, 1);
    }
}

impl Seen for Watcher<'_> {
    fn message(&mut self, moment: i64, online: bool) {
        let clock = self.clock(moment);
        self.own.message(&clock, moment, online);
    }

    fn turned(&mut self, _: i64, _: bool) {}
}
