//! Opening the files that count. Those that cannot be opened are gone through for what is intact in them.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::frames::IntactFrames;
use super::{Content, Part, Survey};
use crate::disk::{Access, File, Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::Uid;
use crate::segment::Segment;
use crate::snapshot::{Snapshot, Stretch};
use crate::store::{Name, parse_name};

impl Survey {
    /// Opens the files; those that cannot be are gone through for what is intact in them.
    pub(super) fn open(&mut self, storage: &dyn Storage) -> Result<()> {
        let names = storage.list().map_err(Error::io("list", storage.path().display().to_string()))?;
        // By id: how many files have it, and which comes first of all.
        let mut stores: BTreeMap<Uid, (usize, Reverse<usize>)> = BTreeMap::new();
        let mut vote = |store: Uid| {
            let first = Reverse(stores.len());
            stores.entry(store).or_insert((0, first)).0 += 1;
        };
        let Survey { parts, findings, .. } = self;
        let there = |part: &Part| names.contains(&part.name);
        for part in parts.iter_mut().filter(|part| there(part)) {
            let path = path_of(storage, &part.name);
            let open = || storage.open(&part.name, Access::Read).map_err(Error::io("open", &path));
            let is_segment = matches!(parse_name(&part.name), Name::Segment(_));
            let opened = match is_segment {
                true => Segment::open(path.clone(), open()?)
                    .map(|segment| (segment.header.store, Content::Segment(Box::new(IntactFrames::of(segment))))),
                false => Snapshot::open(path.clone(), open()?)
                    .map(|snapshot| (snapshot.header.store, Content::Snapshot(Box::new(snapshot)))),
            };
            match opened {
                Ok((store, content)) => {
                    vote(store);
                    part.content = content;
                }
                Err(Error::Corruption(what)) => {
                    findings.push(*what);
                    if !is_segment {
                        part.content = blocks(&path, &open, findings)?;
                    }
                    if let Content::Blocks(snapshot) = &part.content {
                        vote(snapshot.header.store);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        let most = stores.into_iter().max_by_key(|(_, votes)| *votes);
        self.store = most.map(|(store, _)| store);
        for part in self.parts.iter_mut().filter(|part| there(part)) {
            if let (Content::Nothing, Name::Segment(number)) = (&part.content, parse_name(&part.name)) {
                let path = path_of(storage, &part.name);
                let file = storage.open(&part.name, Access::Read).map_err(Error::io("open", &path))?;
                if let Some(segment) = Segment::headless(path, number, self.store, file)? {
                    self.store = self.store.or(Some(segment.header.store));
                    part.content = Content::Segment(Box::new(IntactFrames::headless(segment)));
                }
            }
        }
        Ok(())
    }
}

/// A snapshot that cannot be opened, and what is wrong with each block of it.
fn blocks(path: &str, open: &dyn Fn() -> Result<Box<dyn File>>, findings: &mut Vec<Corruption>) -> Result<Content> {
    let (snapshot, is_sound) = match Snapshot::bare(path.into(), open()?) {
        Ok(snapshot) => (Box::new(snapshot), true),
        Err(Error::Corruption(_)) => (Box::new(Snapshot::headless(path.into(), open()?)?), false),
        Err(error) => return Err(error),
    };
    snapshot.scan(|found| {
        findings.extend(match found {
            Stretch::Block(_, _, checked) => checked.err(),
            Stretch::Gap(what, _) => Some(what.clone()),
            Stretch::Stray(..) => None,
        });
        Ok(())
    })?;
    if !is_sound {
        return Ok(Content::HeadlessBlocks(snapshot));
    }
    findings.extend(snapshot.check_size().err());
    Ok(Content::Blocks(snapshot))
}
