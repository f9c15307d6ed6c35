//! What programs read: a line for each site that changed, and one that says up to where all changes are told.

use std::time::Instant;

use chatwal::base::text::json;
use chatwal::disk::Storage;
use chatwal::event::summary::Summary;
use chatwal::query::live::{Changes, Live, LiveOptions};
use chatwal::store::Position;
use serde::Serialize;

use super::Pace;
use crate::{Stop, print_unwatched};

/// The new counts of a site.
#[derive(Serialize)]
struct SiteLine<'a> {
    site_id: &'a str,
    messages: u64,
    emails: u64,
    operators: u64,
    visitors: u64,
    position: &'a str,
}

/// All sites follow; what was told before does not count any more.
#[derive(Serialize)]
struct AllLine<'a> {
    all: bool,
    position: &'a str,
}

/// All changes up to the position are told.
#[derive(Serialize)]
struct EndLine<'a> {
    complete: bool,
    sites: u64,
    position: &'a str,
}

pub(super) fn watch(
    disk: &dyn Storage,
    options: LiveOptions,
    from: Option<&Position>,
    pace: &mut Pace<'_>,
) -> std::result::Result<u8, Stop> {
    let (mut live, mut changes) = Live::open(disk, options, from)?;
    let mut began = Instant::now();
    let mut told = from.copied();
    loop {
        // A position that moved without a change, by a mark, is told as well: the nearer it is, the less has to be compared later.
        if changes.all || !changes.sites.is_empty() || told != Some(changes.position) {
            print_changes(&live, &changes)?;
            told = Some(changes.position);
        }
        if let Some(status) = pace.pause(began)? {
            return Ok(status);
        }
        began = Instant::now();
        changes = live.refresh(disk)?;
    }
}

/// Prints one batch of changes.
fn print_changes(live: &Live, changes: &Changes) -> std::result::Result<(), Stop> {
    let position = &*changes.position.to_string();
    let mut read = Ok(());
    print_unwatched(|out| {
        let mut line = |value: &dyn Fn() -> serde_json::Result<String>| {
            out.write_all(value()?.as_bytes())?;
            out.write_all(b"\n")
        };
        if changes.all {
            line(&|| json(&AllLine { all: true, position }))?;
        }
        let mut sites = 0;
        let mut site = |name: &[u8], summary: &Summary| {
            sites += 1;
            let Summary { messages, emails, operators, visitors } = *summary;
            let site_id = &*String::from_utf8_lossy(name);
            line(&|| json(&SiteLine { site_id, messages, emails, operators, visitors, position }))
        };
        let mut written = Ok(());
        if changes.all {
            read = live.each(&mut |name, summary| {
                written = site(name, summary);
                written.is_ok()
            });
        }
        for (name, summary) in &changes.sites {
            site(name.text(&mut [0; 20]), summary)?;
        }
        written?;
        // What could not be read is not complete.
        if read.is_ok() {
            line(&|| json(&EndLine { complete: true, sites, position }))?;
        }
        Ok(())
    })?;
    Ok(read?)
}
