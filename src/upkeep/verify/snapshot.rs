//! Checking a snapshot whose header and tables are sound: its events on all threads, then its index and its rejects.

use std::collections::{BTreeMap, BTreeSet};

use super::events::ShardChecker;
use super::index::IndexCheck;
use super::{Tally, found};
use crate::disk::scratch::Limits;
use crate::error::Result;
use crate::format::block::BlockKind;
use crate::format::rejects::decode_rejects;
use crate::format::tables::split_rejects;
use crate::format::{SHARDS, Uid, hex};
use crate::query::gather::{Load, ReadPlan, Work, parallel};
use crate::query::large::Large;
use crate::snapshot::lines::Lines;
use crate::snapshot::{Snapshot, Stretch};

/// Checks a snapshot; `passed` is told the bytes that are done.
pub(super) fn check_snapshot(
    snapshot: &Snapshot,
    limits: &Limits,
    passed: &(dyn Fn(u64) + Sync),
    tally: &mut Tally,
) -> Result<()> {
    let before = tally.findings.len();
    let header = &snapshot.header;
    let length = |kind: BlockKind| {
        let region = header.region(kind);
        region.end - region.start
    };
    tally.checked.blocks += snapshot.table_blocks() + snapshot.index_blocks() as u64;
    let lines = Lines::new(limits);
    check_events(snapshot, &lines, (limits, passed), tally)?;
    let sorted = lines.sorted()?;
    let index = IndexCheck::new(snapshot, tally.findings.len() == before);
    let read = index.check(sorted.stretch(None, None)?, &mut tally.findings);
    found(read, &mut tally.findings)?;
    passed(snapshot.size() - length(BlockKind::Events) - length(BlockKind::Rejects));
    check_rejects(snapshot, tally)?;
    passed(length(BlockKind::Rejects));
    if tally.findings.len() == before {
        return Ok(());
    }
    // Reading in one go stopped at the first damage, so each block is looked at by itself.
    snapshot.scan(|stretch| {
        tally.findings.extend(match stretch {
            Stretch::Block(_, _, checked) => checked.err(),
            Stretch::Gap(what, _) => Some(what.clone()),
            Stretch::Stray(..) => None,
        });
        Ok(())
    })
}

/// Checks the events, shard by shard; what they say of each site becomes `lines`.
fn check_events(
    snapshot: &Snapshot,
    lines: &Lines,
    (limits, passed): (&Limits, &(dyn Fn(u64) + Sync)),
    tally: &mut Tally,
) -> Result<()> {
    let threads = limits.threads.max(1);
    let mut loads = [Load::default(); SHARDS];
    for (load, entry) in loads.iter_mut().zip(snapshot.shards()) {
        // One that claims to have no events is looked at as well.
        load.add(entry.events.max(u64::from(entry.length > 0)), entry.length);
    }
    let plan = ReadPlan::of(&loads, threads, limits.memory);
    let begin = || ShardChecker::new(snapshot, lines, threads);
    let workers = parallel(plan.workers, plan.work.len(), begin, |worker, number| match plan.work.get(number) {
        Some(Work::Task(task)) => task.shards.clone().try_for_each(|shard| worker.check(shard).map(passed)),
        _ => Ok(()),
    })?;
    workers.into_iter().try_for_each(|worker| worker.end().map(|own| tally.add(own)))?;
    for work in &plan.work {
        let Work::Large(shard, bytes) = work else { continue };
        let mut worker = begin();
        passed(worker.check_large(*shard, Large::new(&limits.for_large(), *shard, *bytes))?);
        tally.add(worker.end()?);
    }
    Ok(())
}

/// Checks that every block of rejects is one, and that the inputs have as many as they say.
fn check_rejects(snapshot: &Snapshot, tally: &mut Tally) -> Result<()> {
    let Tally { findings, checked } = tally;
    let mut counts: BTreeMap<Uid, u64> = BTreeMap::new();
    let region = snapshot.header.region(BlockKind::Rejects);
    let start = region.start;
    let read = snapshot.blocks(BlockKind::Rejects, region, &mut Vec::new(), |header, bytes| {
        checked.blocks += 1;
        let decoded = split_rejects(bytes).and_then(|(checkpoint, rest)| {
            decode_rejects(rest, header.count, &checkpoint)?;
            *counts.entry(checkpoint.instance).or_default() += u64::from(header.count);
            Ok(())
        });
        decoded.map_err(|malformed| snapshot.misencoded(header, malformed))
    });
    if found(read, findings)?.is_none() {
        return Ok(());
    }
    let at = snapshot.header.region(BlockKind::Inputs).start;
    let mut known = BTreeSet::new();
    for input in &snapshot.inputs {
        if !known.insert(input.checkpoint.instance) {
            let found = format!("{} twice", hex(input.checkpoint.instance));
            findings.push(snapshot.corrupt(at, "each input once", found));
            continue;
        }
        let counted = counts.remove(&input.checkpoint.instance).unwrap_or(0);
        if counted != input.rejects {
            let expected = format!("{} rejects of input {}", input.rejects, hex(input.checkpoint.instance));
            findings.push(snapshot.corrupt(start, expected, counted.to_string()));
        }
    }
    // A compaction would leave them out, and say less than this snapshot does.
    findings.extend(counts.into_iter().map(|(instance, count)| {
        let found = format!("{count} of input {}, which is not among them", hex(instance));
        snapshot.corrupt(start, "rejects of the inputs of this snapshot", found)
    }));
    Ok(())
}
