//! What a look at the store says, ready to be shown.

use std::time::Duration;

use chatwal::event::summary::Summary;
use chatwal::query::live::{Live, Sums};
use chatwal::store::{Place, View};
use jiff::Timestamp;

/// Minutes that a screen may show.
pub(super) const MINUTES: usize = 240;

/// Events of the future are shown as new as far as clocks differ: a day.
const FUTURE_MINUTES: i64 = 24 * 60;

/// The sums.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) sums: Sums,
    /// Events that came in a second, once there was an earlier look.
    pub(super) rate: Option<u64>,
    /// Seconds since the newest event.
    pub(super) lag: Option<u64>,
    pub(super) rejects: u64,
    pub(super) inputs: usize,
    /// Bytes at the ends of inputs that are no whole line yet.
    pub(super) left: u64,
    /// The last frame, and the last that is proven durable.
    pub(super) frame: u64,
    pub(super) durable: u64,
    /// Events behind that.
    pub(super) waiting: u64,
    /// Chats and emails of the newest minute.
    pub(super) minute: [u64; 2],
    /// Minutes from 1970 on to the newest.
    pub(super) newest: i64,
    /// Chats and emails by minute; the last is the newest.
    pub(super) minutes: Vec<[u64; 2]>,
    /// Whether all sites are known by themselves.
    pub(super) has_sites: bool,
}

impl Facts {
    /// What is known now. Events came in since the last look, which is so long ago.
    pub(super) fn of(live: &Live, events: u64, took: Option<Duration>) -> Facts {
        let sums = *live.sums();
        let now = Timestamp::now().as_second();
        let (newest, minutes) = live.minutes().newest(MINUTES, now / 60 + FUTURE_MINUTES);
        let view = live.view();
        let inputs = || view.iter().flat_map(|view| view.inputs.values());
        let rate = took.map(|took| (events as f64 / took.as_secs_f64().max(0.001)).round() as u64);
        let second = sums.latest.div_euclid(live.unit().per_second());
        Facts {
            rate,
            lag: (sums.sites > 0).then(|| u64::try_from(now.saturating_sub(second)).unwrap_or(0)),
            rejects: inputs().map(|input| input.rejects).sum(),
            inputs: inputs().count(),
            left: inputs().map(|input| input.checkpoint.left).sum(),
            frame: view.map_or(0, |view| view.position().sequence),
            durable: view.map_or(0, |view| view.durable_upto),
            waiting: view.map_or(0, waiting),
            minute: minutes.last().copied().unwrap_or_default(),
            newest,
            minutes,
            has_sites: live.has_all_sites(),
            sums,
        }
    }
}

/// Events of frames that nothing proves durable yet.
fn waiting(view: &View) -> u64 {
    let behind = |place: &&Place| place.frame.header.sequence > view.durable_upto;
    view.frames.iter().rev().take_while(behind).map(|place| place.frame.accepted()).sum()
}

/// A site in a list.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) counts: Summary,
    pub(super) online: u64,
    /// Some of those who are online.
    pub(super) who: Vec<String>,
}

/// What a list is ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Busiest,
    Missed,
    Chats,
    Online,
    Visitors,
    Name,
}

impl Sort {
    /// All, with the key that asks for each and its name.
    pub(super) const ALL: [(Sort, char, &str); 6] = [
        (Sort::Busiest, 'b', "busiest"),
        (Sort::Missed, 'e', "most emails"),
        (Sort::Chats, 'c', "most chats"),
        (Sort::Online, 'o', "most online"),
        (Sort::Visitors, 'v', "most visitors"),
        (Sort::Name, 'n', "name"),
    ];

    fn key(self, counts: &Summary, online: u64) -> u64 {
        match self {
            Sort::Busiest => counts.messages.saturating_add(counts.emails),
            Sort::Missed => counts.emails,
            Sort::Chats => counts.messages,
            Sort::Online => online,
            Sort::Visitors => counts.visitors,
            Sort::Name => 0,
        }
    }
}

/// A part of a list of sites.
#[derive(Clone, Debug, Default)]
pub(super) struct Listed {
    /// How many sites there are that fit the filter.
    pub(super) count: usize,
    pub(super) rows: Vec<Row>,
}

/// The sites whose names hold `filter`, in this order, from one of them on, so many. Only those are brought into order.
pub(super) fn listed(live: &Live, sort: Sort, filter: &str, from: usize, many: usize) -> Listed {
    let filter = filter.to_lowercase();
    let mut sites = Vec::new();
    live.each_unordered(&mut |number, name, counts, online| {
        let fits =
            filter.is_empty() || String::from_utf8_lossy(name.text(&mut [0; 20])).to_lowercase().contains(&filter);
        let key = sort.key(counts, online);
        if fits && (key > 0 || matches!(sort, Sort::Name | Sort::Busiest)) {
            sites.push((key, number));
        }
    });
    let name = |number: u32| live.site(number).map(|(name, ..)| name);
    let order = |a: &(u64, u32), b: &(u64, u32)| b.0.cmp(&a.0).then_with(|| name(a.1).cmp(&name(b.1)));
    let end = from.saturating_add(many).min(sites.len());
    if end < sites.len() {
        sites.select_nth_unstable_by(end, order);
    }
    let shown = sites.get_mut(..end).unwrap_or_default();
    shown.sort_unstable_by(order);
    let rows = shown.get(from..).unwrap_or_default().iter().filter_map(|(_, number)| row(live, *number)).collect();
    Listed { count: sites.len(), rows }
}

fn row(live: &Live, number: u32) -> Option<Row> {
    let (name, counts, online) = live.site(number)?;
    let name = String::from_utf8_lossy(name.text(&mut [0; 20])).into_owned();
    let (online, who) = online.map_or((0, Vec::new()), |online| (online.count, online.names.clone()));
    Some(Row { name, counts: *counts, online, who })
}
