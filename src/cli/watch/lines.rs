//! A line of sums for each look at the store: for a terminal that only prints, for a file, and for a pipe.

use std::fmt::Write as _;
use std::time::Instant;

use chatwal::disk::Storage;
use chatwal::event::summary::Summary;
use chatwal::query::live::{Live, LiveOptions};
use jiff::Timestamp;

use super::Pace;
use super::picture::Facts;
use crate::{Stop, print};

pub(super) fn watch(disk: &dyn Storage, options: LiveOptions, pace: &mut Pace<'_>) -> std::result::Result<u8, Stop> {
    let mut before = None;
    let (mut live, mut changes) = Live::open(disk, options, None)?;
    let mut began = Instant::now();
    loop {
        let took = before.replace(began).map(|before| began.duration_since(before));
        let line = line(&Facts::of(&live, changes.events, took), Timestamp::now());
        print(|out| writeln!(out, "{line}"))?;
        if let Some(status) = pace.pause(began)? {
            return Ok(status);
        }
        began = Instant::now();
        changes = live.refresh(disk)?;
    }
}

fn line(facts: &Facts, now: Timestamp) -> String {
    let Facts { sums, rate, lag, rejects, left, frame, durable, waiting, minute, .. } = facts;
    let Summary { messages, emails, .. } = sums.counts;
    let [chats_a_minute, emails_a_minute] = minute;
    let known = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let (sites, online) = (sums.sites, known(sums.online));
    let mut line = format!("{now:.0} sites={sites} messages={messages} emails={emails} online={online} ");
    let _ = write!(line, "messages_last_minute={chats_a_minute} emails_last_minute={emails_a_minute} ");
    let _ = write!(line, "events_per_second={} lag_seconds={} left_bytes={left} ", known(*rate), known(*lag));
    let _ = write!(line, "rejects={rejects} frame={frame} durable={durable} waiting={waiting}");
    line
}
