//! Which files count, by their names: they have to tile the segments from 1 on.

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use super::{Content, Part, Survey};
use crate::disk::{Access, Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::frame::FrameKind;
use crate::segment::{Found, Link, Segment};
use crate::store::{Name, Place, all_gone, parse_name, segment_name, snapshot_name};

impl Survey {
    fn missing(&mut self, storage: &dyn Storage, covers: RangeInclusive<u64>, found: &str) {
        let name = segment_name(*covers.start());
        let (file, expected) = (path_of(storage, &name), "a segment of this number".into());
        self.findings.push(Corruption { file, offset: 0, expected, found: format!("{found} next") });
        self.parts.push(Part { covers, name, content: Content::Nothing });
    }

    /// Which files count, by their names.
    pub(super) fn tile(&mut self, storage: &dyn Storage) -> Result<()> {
        let directory = storage.path().display().to_string();
        let names = storage.list().map_err(Error::io("list", &directory))?;
        let mut files: Vec<(RangeInclusive<u64>, String)> = Vec::new();
        for name in names {
            match parse_name(&name) {
                Name::Segment(number) => files.push((number..=number, name)),
                Name::Snapshot(covers) => files.push((covers, name)),
                Name::Temporary | Name::Foreign => {}
            }
        }
        // The widest first; a snapshot beats a segment.
        let kind = |name: &str| matches!(parse_name(name), Name::Segment(_));
        files.sort_unstable_by_key(|(covers, name)| (*covers.start(), Reverse(*covers.end()), kind(name)));
        if let Some((_, name)) = files.last()
            && is_unfinished_repair(storage, name, &files)?
        {
            files.pop();
        }
        let mut next = 1;
        let mut segments = false;
        for (covers, name) in files {
            let (start, end) = (*covers.start(), *covers.end());
            if end < next {
                self.leftovers.push(name);
                continue;
            }
            if start > next {
                self.missing(storage, next..=start - 1, &name);
            } else if start < next {
                let expected = format!("a snapshot that begins with segment {next}");
                let found = "one that overlaps another".into();
                self.findings.push(Corruption { file: path_of(storage, &name), offset: 0, expected, found });
                self.leftovers.push(name);
                continue;
            } else if segments && !kind(&name) {
                let (file, expected) = (path_of(storage, &name), format!("segment {next}"));
                self.findings.push(Corruption { file, offset: 0, expected, found: "a snapshot".into() });
            }
            segments |= kind(&name);
            self.parts.push(Part { covers, name, content: Content::Nothing });
            next = end + 1;
        }
        if let (true, Some(record)) = (self.parts.is_empty(), self.acknowledged) {
            self.findings.push(all_gone(storage, &record));
            self.parts.push(Part { covers: 1..=1, name: segment_name(1), content: Content::Nothing });
        } else if !self.parts.last().is_some_and(|part| kind(&part.name)) {
            self.missing(storage, next..=next, "nothing");
        }
        Ok(())
    }
}

/// Whether the last file is what a repair published before it died: a segment that holds nothing but a hole frame, made
/// to follow a snapshot that is not there.
fn is_unfinished_repair(storage: &dyn Storage, name: &str, files: &[(RangeInclusive<u64>, String)]) -> Result<bool> {
    let hole = || -> Result<Option<(u64, u64)>> {
        let Name::Segment(number) = parse_name(name) else { return Ok(None) };
        let path = path_of(storage, name);
        let segment = Segment::open(path.clone(), storage.open(name, Access::Read).map_err(Error::io("open", path))?)?;
        let (mut covers, mut alone) = (None, true);
        segment.scan(Link { sequence: segment.header.first_sequence, previous: None }, |found| {
            match found {
                Found::Frame(frame) if frame.header.kind == FrameKind::Hole && covers.is_none() => {
                    covers = Some(Place { segment: 0, frame: frame.clone() }.hole(&segment)?.covers);
                }
                Found::Frame(frame) if frame.header.kind == FrameKind::Mark && covers.is_some() => {}
                Found::Frame(_) | Found::Gap(_) | Found::Stray(_) => alone = false,
            }
            Ok(())
        })?;
        Ok(covers.filter(|covers| alone && covers.1.checked_add(1) == Some(number)))
    };
    let (first, last) = match hole() {
        Ok(Some(covers)) => covers,
        // Whatever is wrong with it, it is not such a file, and is judged as any other. What cannot be read is not judged.
        Ok(None) | Err(Error::Corruption(_) | Error::Version { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let snapshot = snapshot_name(&(first..=last));
    Ok(first > 0 && files.iter().all(|(_, name)| *name != snapshot))
}
