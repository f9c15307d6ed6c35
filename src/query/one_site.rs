//! The events of one site, wherever they are.

use std::iter::once;

use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::event::Site;
use crate::event::summary::Window;
use crate::event::table::{Row, Table};
use crate::format::coding::{shard, site_hash};
use crate::query::gather::{Gather, Load, Task, loads_of};
use crate::query::large::Large;
use crate::snapshot::IndexedSite;
use crate::store::View;

/// Visits the events of one site, in order and each once, some at a time. Reads nothing that cannot hold some.
pub(super) fn each_of_site(
    view: &View,
    name: &[u8],
    limits: &Limits,
    visit: &mut dyn FnMut(&Table, &[Row]) -> Result<()>,
) -> Result<()> {
    let site = Site::new(name);
    let shard = shard(site_hash(site));
    let mut stretches = Vec::new();
    let mut load = Load::default();
    for snapshot in &view.snapshots {
        if let Some(IndexedSite { entry, .. }) = snapshot.site(&site.into(), &mut Vec::new())? {
            load.add(entry.events, entry.length);
            stretches.push((snapshot, entry.at..entry.at.saturating_add(entry.length)));
        }
    }
    let share = limits.memory / 4;
    if load.memory() <= share {
        let task = Task { shards: shard..=shard, events: 0, share };
        let mut gather = Gather::default();
        gather.begin(&task);
        for (snapshot, stretch) in &stretches {
            gather.snapshot(snapshot, stretch.clone(), |other| other == site)?;
        }
        gather.tail(&view.segments, &view.frames, &task, |other| other == site)?;
        if !gather.is_full() {
            return gather.finish(|gathered| visit(gathered.table, &gathered.table.rows));
        }
    }
    let tail = loads_of(&view.frames)[usize::from(shard)];
    load.add(tail.events, tail.bytes);
    let large = Large::new(&limits.for_large(), shard, load.memory());
    large.tail(&view.segments, &view.frames, |other| other == site, None)?;
    for (snapshot, stretch) in stretches {
        large.snapshot(snapshot, once(stretch), |other| other == site)?;
    }
    let mut visit = |table: &Table| visit(table, &table.rows).map(|()| true);
    large.finish(Window::ALL, None, Some(&mut visit)).map(drop)
}
