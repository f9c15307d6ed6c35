//! Activity of sites that do not fit the memory: their events come in order, some at a time.

use std::collections::HashSet;

use super::detail::Collector;
use super::minutes::Online;
use super::{Counted, Watch};
use crate::event::summary::Summary;
use crate::event::table::Table;
use crate::event::{Kind, SiteName};
use crate::query::fold::Seen as _;

/// Counts events that come in order. What it holds of a site are the names of the operators who are online at one moment.
pub(crate) struct Stream<'w> {
    watch: &'w Watch,
    own: &'w mut Counted,
    site: Option<SiteAtHand>,
}

/// The site whose events come.
struct SiteAtHand {
    name: SiteName,
    online: HashSet<Box<[u8]>>,
    summary: Summary,
    collector: Collector,
}

impl<'w> Stream<'w> {
    pub(super) fn new(watch: &'w Watch, own: &'w mut Counted) -> Stream<'w> {
        Stream { watch, own, site: None }
    }

    /// Takes the next events.
    pub(crate) fn take(&mut self, table: &Table) {
        for row in table.rows.iter().filter(|row| row.timestamp <= self.watch.window.to) {
            let name = table.site_of(row);
            if self.site.as_ref().is_none_or(|site| site.name.site() != name) {
                self.end_site();
                let collector = Collector::new(self.watch.clock(row.timestamp), self.watch.window);
                let (online, summary) = (HashSet::new(), Summary::default());
                self.site = Some(SiteAtHand { name: name.into(), online, summary, collector });
            }
            let Some(site) = &mut self.site else { continue };
            let was_online = !site.online.is_empty();
            match row.kind {
                Kind::Message if row.timestamp < self.watch.window.from => {}
                Kind::Message => {
                    site.summary.messages += u64::from(was_online);
                    site.summary.emails += u64::from(!was_online);
                    site.collector.message(row.timestamp, was_online);
                    self.own.message(&self.watch.clock(row.timestamp), row.timestamp, was_online);
                }
                Kind::Online => drop(site.online.insert(table.name_of(row.from).into())),
                Kind::Offline => drop(site.online.remove(table.name_of(row.from))),
            }
            if was_online == site.online.is_empty() {
                site.collector.turned(row.timestamp, !was_online);
            }
        }
    }

    /// Ends the last site.
    pub(crate) fn end(mut self) {
        self.end_site();
    }

    fn end_site(&mut self) {
        let Some(SiteAtHand { name, summary, collector, online }) = self.site.take() else { return };
        self.watch.note_online(&name, || Online::of(online.len() as u64, online.iter().map(|name| &**name)));
        if self.watch.wants(&summary) {
            self.watch.keep(collector.end(name.site(), &summary));
        }
    }
}
