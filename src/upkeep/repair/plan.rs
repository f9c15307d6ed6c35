//! What a repair is going to do: which files it replaces, what is saved of them, and where the log goes on behind.

use std::ops::RangeInclusive;

use super::Repair;
use super::salvage::Salvage;
use crate::disk::{Storage, path_of};
use crate::error::{Error, Result};
use crate::format::Uid;
use crate::format::hole::Hole;
use crate::segment::Link;
use crate::store::{Known, Name, parse_name, segment_name, snapshot_name};
use crate::upkeep::survey::{Content, Part, Survey};
use crate::upkeep::verify::{BadSections, Examined};

/// What is to be done.
pub(super) struct RepairPlan {
    pub(super) store: Uid,
    /// The snapshot that replaces the damaged files; none if only the last segment is missing.
    pub(super) replacement: Option<Replacement>,
    /// Number of the new last segment, and what its first frame chains to.
    pub(super) number: u64,
    pub(super) next: Link,
    pub(super) repair: Repair,
}

/// The snapshot that replaces the damaged files.
pub(super) struct Replacement {
    pub(super) salvage: Salvage,
    /// The segments that it covers.
    pub(super) covers: RangeInclusive<u64>,
    /// What the first frame covered chains to.
    pub(super) first: Link,
}

impl RepairPlan {
    pub(super) fn of(storage: &dyn Storage, examined: Examined) -> Result<RepairPlan> {
        let damaged = examined.first_damaged(storage);
        let Examined { survey, bad, verification } = examined;
        let findings = verification.findings;
        let store = match survey.store {
            Some(store) => store,
            None => {
                storage.random().map_err(Error::io("get random bytes for", storage.path().display().to_string()))?
            }
        };
        let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
        let only_last_missing = damaged + 1 == survey.parts.len()
            && survey.parts.last().is_some_and(|last| is_missing(last, &names))
            && findings.len() == 1;
        if only_last_missing && let Some((number, next)) = last_segment_alone(&survey) {
            let published = vec![path_of(storage, &segment_name(number))];
            let repair = Repair { findings, published, unknown: true, ..Repair::default() };
            return Ok(RepairPlan { store, replacement: None, number, next, repair });
        }
        let leftovers = survey.leftovers.clone();
        let Saved { mut salvage, covers, first, number, greatest } = Saved::of(survey, damaged, &bad)?;
        if salvage.chain.loss {
            let inside = |name: &&String| match parse_name(name) {
                Name::Segment(number) => covers.contains(&number),
                Name::Snapshot(own) => covers.contains(own.end()),
                Name::Temporary | Name::Foreign => false,
            };
            leftovers.iter().filter(inside).try_for_each(|name| salvage.leftover(storage, name, store))?;
        }
        // One more than would do: so the new segment follows no damaged one, not even one whose successor is missing.
        let next = Link { sequence: greatest.saturating_add(2), previous: Some(salvage.chain.last_crc) };
        let hole = Hole {
            covers: (*covers.start(), *covers.end()),
            frames: std::mem::take(&mut salvage.chain.lost),
            inputs: salvage.inputs.take_touched(),
        };
        let repair = Repair {
            findings,
            replaced: inside(storage, &covers)?,
            copies: Vec::new(),
            published: [&snapshot_name(&covers), &segment_name(number)].map(|name| path_of(storage, name)).into(),
            hole,
            saved: salvage.events.count,
            rejects: salvage.inputs.rejects_dropped,
            unknown: salvage.chain.loss,
        };
        Ok(RepairPlan { store, replacement: Some(Replacement { salvage, covers, first }), number, next, repair })
    }
}

/// The number of a missing last segment, and what its first frame chains to, if nothing of it was acknowledged. Then nothing before
/// it has to change.
fn last_segment_alone(survey: &Survey) -> Option<(u64, Link)> {
    let [.., before, last] = survey.parts.as_slice() else { return None };
    let next = before.content.next().filter(|next| survey.durable_upto < next.sequence)?;
    Some((*last.covers.start(), next))
}

/// What is saved of the parts from the first that is replaced on.
struct Saved {
    salvage: Salvage,
    /// The segments that these parts cover.
    covers: RangeInclusive<u64>,
    /// What the first frame of them chains to.
    first: Link,
    /// Number of the segment behind all parts.
    number: u64,
    /// The greatest sequence number that any part knows of.
    greatest: u64,
}

impl Saved {
    fn of(survey: Survey, damaged: usize, bad: &BadSections) -> Result<Saved> {
        // A snapshot cannot stand behind a segment, so all of the tail is taken if any of it is.
        let tail = survey.parts.iter().position(|part| !part.content.is_snapshot()).unwrap_or(survey.parts.len());
        let start = damaged.min(tail);
        let mut salvage = Salvage::default();
        salvage.chain.durable_upto = survey.durable_upto;
        salvage.chain.acknowledged = survey.acknowledged;
        let mut greatest = survey.durable_upto;
        let mut covers: Option<RangeInclusive<u64>> = None;
        let mut number = 1;
        // What the chain is due to go on with, as far as it is known.
        let mut due: Option<Link> = None;
        let mut first = Link { sequence: 1, previous: None };
        let mut before = Vec::new();
        for (index, Part { covers: own, content, .. }) in survey.parts.into_iter().enumerate() {
            greatest = greatest.max(content.greatest());
            number = own.end().saturating_add(1);
            let link = due;
            due = content.next();
            if index < start {
                if let Content::Snapshot(snapshot) = content {
                    before.push(*snapshot);
                }
                continue;
            }
            if index == start {
                // All logs begin with frame 1, whatever a file says that got this place by a wrong name.
                let unknown = content.first().filter(|first| index == 0 && first.sequence == 1);
                first = link.or(unknown).unwrap_or(first);
                salvage.inputs.begin(Known::of(&before, &[], &[])?.inputs);
                salvage.chain.due = Some(first.sequence);
            }
            covers = Some(*covers.as_ref().unwrap_or(&own).start()..=*own.end());
            match content {
                Content::Nothing => salvage.chain.loss = true,
                Content::Snapshot(snapshot) | Content::Blocks(snapshot) => salvage.snapshot(*snapshot)?,
                Content::HeadlessBlocks(snapshot) => salvage.headless_snapshot(*snapshot)?,
                Content::Segment(own) => salvage.segment(index, *own, bad)?,
            }
        }
        salvage.chain.end();
        Ok(Saved { salvage, covers: covers.unwrap_or(1..=1), first, number, greatest })
    }
}

impl Content {
    fn is_snapshot(&self) -> bool {
        matches!(self, Content::Snapshot(_) | Content::Blocks(_) | Content::HeadlessBlocks(_))
    }

    /// What its first frame chains to, as it says itself.
    fn first(&self) -> Option<Link> {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot) => {
                let header = &snapshot.header;
                Some(Link { sequence: header.first_sequence, previous: Some(header.first_previous) })
            }
            Content::Segment(own) => Some(Link { sequence: 1, previous: Some(own.segment.header.chain()) }),
            Content::HeadlessBlocks(_) | Content::Nothing => None,
        }
    }

    /// What the first frame behind it chains to, as far as it says.
    fn next(&self) -> Option<Link> {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot) => {
                let header = &snapshot.header;
                Some(Link { sequence: header.next_sequence, previous: Some(header.next_previous) })
            }
            Content::Segment(own) if !own.cut => own.frames.last().map(|frame| Link::after(&frame.header)),
            Content::Segment(_) | Content::HeadlessBlocks(_) | Content::Nothing => None,
        }
    }

    /// The greatest sequence number that it knows of.
    fn greatest(&self) -> u64 {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot) => snapshot.header.next_sequence,
            Content::Segment(own) => {
                let all = own.frames.iter().chain(&own.strays);
                let last = all.map(|frame| frame.header.sequence).max().unwrap_or(0);
                own.segment.header.first_sequence.max(last)
            }
            Content::HeadlessBlocks(_) | Content::Nothing => 0,
        }
    }
}

/// Whether there is no file for a part.
fn is_missing(part: &Part, names: &[String]) -> bool {
    matches!(part.content, Content::Nothing) && !names.contains(&part.name)
}

/// The files that a snapshot of these segments replaces: those that were gone through, what nothing could be told of, and
/// what an earlier snapshot left over. The next writer would delete them all.
fn inside(storage: &dyn Storage, covers: &RangeInclusive<u64>) -> Result<Vec<String>> {
    let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
    let replaced = |name: &String| match parse_name(name) {
        Name::Segment(number) => covers.contains(&number),
        Name::Snapshot(own) => covers.contains(own.start()) && covers.contains(own.end()),
        Name::Temporary | Name::Foreign => false,
    };
    let mut names: Vec<String> = names.into_iter().filter(replaced).collect();
    names.sort_unstable();
    Ok(names)
}
