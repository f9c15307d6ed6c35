//! Following the chain of frames through all files: what each file holds in its place, and where the chain goes on behind it.

use super::frames::IntactFrames;
use super::{Content, Part, Survey};
use crate::error::{Corruption, Result};
use crate::format::Uid;
use crate::segment::Link;
use crate::snapshot::Snapshot;
use crate::store::{not_the_successor, snapshot_name};

impl Survey {
    /// Follows the chain of frames through all files, and gathers what there is.
    pub(super) fn follow(&mut self) -> Result<()> {
        let Survey { store, parts, leftovers, findings, durable_upto, .. } = self;
        // What comes next, as long as anybody knows, and whether the file before is a segment.
        let mut due: Option<Link> = None;
        let mut behind_segment = false;
        for (index, part) in parts.iter_mut().enumerate() {
            let is_segment = matches!(part.content, Content::Segment(_));
            if let Some(alien) = Alien::of(part, *store) {
                if let Alien::OtherSegment(_) = alien {
                    // Under another name, but this store's all the same.
                    leftovers.push(part.name.clone());
                }
                let (Alien::OtherStore(what) | Alien::OtherSegment(what)) = alien;
                findings.push(what);
                part.content = Content::Nothing;
            }
            due = match &mut part.content {
                Content::Nothing | Content::HeadlessBlocks(_) => None,
                Content::Blocks(snapshot) => Some(link_behind(snapshot)),
                Content::Snapshot(snapshot) => {
                    let first = match index {
                        0 => Some(Link { sequence: 1, previous: Some(snapshot.header.first_previous) }),
                        _ => due,
                    };
                    findings.extend(check_snapshot(snapshot, &part.name, first));
                    Some(link_behind(snapshot))
                }
                Content::Segment(own) => {
                    let first = match index {
                        0 => Some(Link { sequence: 1, previous: Some(own.segment.header.chain()) }),
                        _ => due,
                    };
                    findings.extend(own.follow(first, behind_segment)?);
                    own.link()
                }
            };
            *durable_upto = (*durable_upto).max(part.content.claimed());
            behind_segment = is_segment;
        }
        Ok(())
    }
}

impl Content {
    /// The greatest sequence number that something in it claims to be durable.
    fn claimed(&self) -> u64 {
        match self {
            Content::Snapshot(snapshot) | Content::Blocks(snapshot) => snapshot.header.next_sequence.saturating_sub(1),
            Content::Segment(own) => own.claimed(),
            Content::HeadlessBlocks(_) | Content::Nothing => 0,
        }
    }
}

impl IntactFrames {
    /// Gathers what there is; `first` is what its first frame has to look like, if that is known. Gives what is wrong with where
    /// it stands.
    fn follow(&mut self, first: Option<Link>, behind_segment: bool) -> Result<Option<Corruption>> {
        let (own, mut finding) = (self, None);
        let header = own.segment.header;
        let follows = first.is_some_and(|first| first.sequence == header.first_sequence);
        // Whether it follows another segment is for the judge to say.
        if let (Some(first), false, false, false) = (first, follows, behind_segment, own.headless) {
            finding = Some(not_the_successor(&own.segment, first.sequence));
        }
        let unknown = Link { sequence: header.first_sequence, previous: None };
        own.scan(first.filter(|_| follows).unwrap_or(unknown))?;
        Ok(finding)
    }
}

/// What is wrong with a file that is not what its name says.
enum Alien {
    /// It is of another store.
    OtherStore(Corruption),
    /// It is another segment of this store.
    OtherSegment(Corruption),
}

impl Alien {
    fn of(part: &Part, store: Option<Uid>) -> Option<Alien> {
        let foreign = |id: Uid| store.is_some_and(|store| store != id);
        match &part.content {
            Content::Snapshot(snapshot) if foreign(snapshot.header.store) => {
                Some(Alien::OtherStore(snapshot.corrupt(0, "a snapshot of this store", "one of another store")))
            }
            Content::Segment(own) => {
                let (header, number) = (own.segment.header, *part.covers.start());
                let expected = format!("the header of segment {number} of this store");
                if foreign(header.store) {
                    return Some(Alien::OtherStore(own.segment.corrupt(0, expected, "one of another store")));
                }
                let found = format!("that of segment {}", header.number);
                (header.number != number).then(|| Alien::OtherSegment(own.segment.corrupt(0, expected, found)))
            }
            Content::Snapshot(_) | Content::Blocks(_) | Content::HeadlessBlocks(_) | Content::Nothing => None,
        }
    }
}

fn link_behind(snapshot: &Snapshot) -> Link {
    Link { sequence: snapshot.header.next_sequence, previous: Some(snapshot.header.next_previous) }
}

/// What is wrong with where a snapshot stands: its name, and whether its first frame is the one that is due, if that is known.
fn check_snapshot(snapshot: &Snapshot, name: &str, due: Option<Link>) -> Vec<Corruption> {
    let header = snapshot.header;
    let mut findings = Vec::new();
    if name != snapshot_name(&(header.first..=header.last)) {
        let found = format!("one of segments {} to {}", header.first, header.last);
        findings.push(snapshot.corrupt(0, "a snapshot of the segments in its name", found));
    }
    let first = Link { sequence: header.first_sequence, previous: Some(header.first_previous) };
    if let Some(due) = due.filter(|due| *due != first) {
        let expected = format!("a snapshot that begins with frame {} of the store", due.sequence);
        findings.push(snapshot.corrupt(0, expected, "another one"));
    }
    findings
}
