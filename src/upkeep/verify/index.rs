//! Compares the index of a snapshot, and the totals of its header, with what the events say of each site.

use crate::base::text::printable;
use crate::error::{Corruption, Result};
use crate::event::summary::Summary;
use crate::event::{Site, SiteName};
use crate::format::index::SiteEntry;
use crate::snapshot::lines::{Line, LineStretch};
use crate::snapshot::{IndexedSite, Snapshot};

/// Blocks of an index that are read at once.
const BLOCKS: usize = 64;

/// Sites without events that are told of at most.
const MOST_UNSEEN: usize = 1000;

/// Compares an index with what the events say.
pub(super) struct IndexCheck<'a> {
    snapshot: &'a Snapshot,
    /// Nothing is wrong so far, so a site without events is a finding.
    sound: bool,
    /// The site before, to see that they ascend.
    before: Option<SiteName>,
    sites: u64,
    total: Line,
}

impl<'a> IndexCheck<'a> {
    pub(super) fn new(snapshot: &'a Snapshot, sound: bool) -> IndexCheck<'a> {
        IndexCheck { snapshot, sound, before: None, sites: 0, total: Line::EMPTY }
    }

    /// Reads the index once, beside the lines.
    pub(super) fn check(mut self, mut lines: LineStretch<'_>, findings: &mut Vec<Corruption>) -> Result<()> {
        let (snapshot, blocks) = (self.snapshot, self.snapshot.index_blocks());
        let (mut buffer, mut sites, mut own) = (Vec::new(), Vec::new(), Vec::new());
        let mut ahead = next_line(&mut lines)?;
        let (mut unseen, mut wrong) = (Vec::new(), Vec::new());
        for first in (0..blocks).step_by(BLOCKS) {
            sites.clear();
            snapshot.sites(first..blocks.min(first + BLOCKS), &mut buffer, &mut sites)?;
            for IndexedSite { name, entry } in &sites {
                self.take(name, entry, &mut own);
                while let Some((line_name, line)) = ahead.take_if(|(line_name, _)| *line_name < *name) {
                    wrong.push(self.differs(&line_name, &line, None));
                    ahead = next_line(&mut lines)?;
                }
                match ahead.take_if(|(line_name, _)| line_name == name) {
                    Some((_, line)) => {
                        if line.stretches != 1 || line.entry != *entry {
                            wrong.push(self.differs(name, &line, Some(entry)));
                        }
                        ahead = next_line(&mut lines)?;
                    }
                    None => unseen.push(name.clone()),
                }
            }
            // A sound index has none, and a few of a bad one say it all.
            unseen.truncate(MOST_UNSEEN);
        }
        while let Some((name, line)) = ahead {
            wrong.push(self.differs(&name, &line, None));
            ahead = next_line(&mut lines)?;
        }
        wrong.append(&mut own);
        wrong.extend(self.totals());
        let is_sound = self.sound && wrong.is_empty();
        findings.append(&mut wrong);
        if is_sound {
            findings.extend(unseen.into_iter().map(|name| {
                let found = format!("site {} without one", shown(&name));
                snapshot.corrupt(snapshot.index_block(&name), "a site that has events", found)
            }));
        }
        Ok(())
    }

    /// Takes a site of the index. Sites ascend over all blocks; within each, the decoder has checked it.
    fn take(&mut self, name: &SiteName, entry: &SiteEntry, findings: &mut Vec<Corruption>) {
        if self.before.replace(name.clone()).is_some_and(|before| before >= *name) {
            let (at, expected) = (self.snapshot.index_block(name), "a site behind the one before it");
            findings.push(self.snapshot.corrupt(at, expected, format!("site {}", shown(name))));
        }
        self.sites += 1;
        let total = &mut self.total.entry;
        total.events = total.events.saturating_add(entry.events);
        total.disputed = total.disputed.saturating_add(entry.disputed);
        (total.earliest, total.latest) = (total.earliest.min(entry.earliest), total.latest.max(entry.latest));
    }

    /// What is wrong with what the index says of a site that has events.
    fn differs(&self, name: &SiteName, line: &Line, entry: Option<&SiteEntry>) -> Corruption {
        let expected = format!("site {}: {}", shown(name), shown_entry(&line.entry));
        let found = match entry {
            Some(_) if line.stretches > 1 => "a second stretch of its events".into(),
            Some(entry) => shown_entry(entry),
            None => "nothing of it".into(),
        };
        self.snapshot.corrupt(self.snapshot.index_block(name), expected, found)
    }

    /// Checks that the header says what the index does.
    fn totals(&self) -> Option<Corruption> {
        let (header, total) = (&self.snapshot.header, &self.total.entry);
        let told = [header.sites, header.events, header.disputed];
        let counted = [self.sites, total.events, total.disputed];
        let text = |[sites, events, disputed]: [u64; 3], earliest: i64, latest: i64| {
            format!("{sites} sites, {events} events, {disputed} of them disputed, from {earliest} to {latest}")
        };
        let expected = text(counted, total.earliest, total.latest);
        let found = text(told, header.earliest, header.latest);
        (expected != found).then(|| self.snapshot.corrupt(0, format!("a header that tells of {expected}"), found))
    }
}

fn next_line(lines: &mut LineStretch<'_>) -> Result<Option<(SiteName, Line)>> {
    Ok(lines.next()?.map(|(name, line)| (Site::new(name).into(), line)))
}

pub(super) fn shown(name: &SiteName) -> String {
    printable(&String::from_utf8_lossy(name.text(&mut [0; 20])))
}

fn shown_entry(entry: &SiteEntry) -> String {
    let Summary { messages, emails, operators, visitors } = entry.summary;
    let SiteEntry { events, disputed, earliest, latest, at, length, .. } = entry;
    format!(
        "messages={messages},emails={emails},operators={operators},visitors={visitors}, events={events} disputed={disputed} \
         from {earliest} to {latest} in {length} bytes at {at}"
    )
}
