//! Opening a log: recovers the store, and takes up where the last writer ended.

use std::sync::Arc;

use super::state::{Claim, State, Written};
use super::syncer::{Shared, Until};
use super::tail::{Amount, Tail};
use super::{Durability, Log, LogOptions, Target};
use crate::base::threads::start;
use crate::disk::{Access, File, Storage, explained, leads_to};
use crate::error::{Error, Result};
use crate::segment::Segment;
use crate::store::recover::{Recovery, recover};
use crate::store::whereabouts::Whereabouts;
use crate::store::{View, segment_name};

impl Log {
    /// Opens the store for writing: makes it if need be, takes the lock, recovers.
    pub fn open(storage: Arc<dyn Storage>, options: LogOptions) -> Result<(Log, View, Recovery)> {
        let recovered = recover(&*storage).map_err(|error| explained(&*storage, error))?;
        let view = recovered.view;
        let Some(segment) = view.segments.last() else {
            let directory = storage.path().display().to_string();
            return Err(Error::NoStore { store: directory, problem: "no segment".into() });
        };
        let target = open_target(&*storage, segment)?;
        let newest = recovered.successor.as_ref().unwrap_or(segment).header.number;
        let state = first_state(&view, segment, &target, newest, options.durability);
        let shared = Arc::new(Shared::new(state, Whereabouts::new(Arc::clone(&storage))));
        let syncer = start("syncer", {
            let shared = Arc::clone(&shared);
            move || shared.sync(Until::Stopped)
        });
        if syncer.is_err() {
            shared.without_syncer();
        }
        let mut log = Log {
            options,
            header: segment.header,
            target: Arc::new(target),
            end: segment.length,
            link: view.link,
            last_content: view.last_content(),
            recorded: view.acknowledged.map_or(0, |record| record.sequence),
            tail: Arc::new(Tail::new(Amount::of(&view.segments, view.segments.len().saturating_sub(1)))),
            shared,
            syncer: syncer.ok(),
            _lock: recovered.lock,
            storage,
        };
        if let Some(successor) = recovered.successor {
            log.enter(successor)?;
        }
        Ok((log, view, recovered.recovery))
    }
}

/// Opens the file of the segment that is appended to.
fn open_target(storage: &dyn Storage, segment: &Segment) -> Result<Target> {
    let name = segment_name(segment.header.number);
    let file = storage.open(&name, Access::ReadWrite);
    let file: Arc<dyn File> = file.map_err(Error::io("open", &segment.path))?.into();
    // So that what is appended to is what was recovered.
    leads_to(storage, &name, &*segment.file)?;
    leads_to(storage, &name, &*file)?;
    Ok(Target { file, path: segment.path.clone() })
}

/// What is known right after recovery, which fsynced every frame there is: so the last header's claim is proven as well.
fn first_state(view: &View, segment: &Segment, target: &Target, newest: u64, durability: Durability) -> State {
    let last = view.frames.last().map(|place| place.frame.header);
    // What a snapshot covers is proven by the snapshot.
    let covered = view.snapshots.last().map_or(0, |snapshot| snapshot.header.next_sequence - 1);
    let durable_upto = last.map_or(covered, |header| header.durable_upto);
    let claim = Claim { sequence: view.link.sequence - 1, durable_upto };
    let Target { file, path } = target;
    let number = segment.header.number;
    State {
        written: Some(Written { file: Arc::clone(file), path: path.clone(), number, last: newest }),
        appended: claim,
        durable: claim.sequence,
        reached: segment.length,
        promised: segment.length,
        // Not `view.durable_upto`: a header that recovery cut off may have claimed that. What nothing on the disk proves any more
        // has to be marked again.
        acknowledged: claim.durable_upto,
        wanted: durability == Durability::Sync,
        ..State::default()
    }
}
