//! A snapshot for human eyes: every block and its verdict, past any damage.

use std::io::Write;

use super::{Verdict, line, written};
use crate::base::text::printable;
use crate::disk::File;
use crate::error::Result;
use crate::event::table::Table;
use crate::format::block::BlockKind;
use crate::format::events::EventsDecoder;
use crate::format::hex;
use crate::snapshot::{Snapshot, Stretch};

/// Goes through the blocks, past any damage, and judges the file.
fn walk(snapshot: &Snapshot, mut visit: impl FnMut(Stretch<'_>) -> Result<()>) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    snapshot.scan(|found| {
        match &found {
            Stretch::Block(_, _, checked) => verdict.corrupt.extend(checked.as_ref().err().cloned()),
            Stretch::Gap(corruption, _) => verdict.corrupt.push((*corruption).clone()),
            Stretch::Stray(..) => {}
        }
        visit(found)
    })?;
    verdict.corrupt.extend(snapshot.check_size().err());
    Ok(verdict)
}

/// Writes a line on the snapshot and one a block: offset, length, count, kind, `ok` or `BAD`.
pub(super) fn blocks(path: String, file: Box<dyn File>, out: &mut dyn Write) -> Result<Verdict> {
    let snapshot = Snapshot::bare(path, file)?;
    let header = &snapshot.header;
    written(writeln!(
        out,
        "snapshot of segments {} to {} of store {}: {} bytes, frames {} to {}, {} events of {} sites, {}",
        header.first,
        header.last,
        hex(header.store),
        snapshot.size(),
        header.first_sequence,
        header.next_sequence.saturating_sub(1),
        header.events,
        header.sites,
        printable(&snapshot.path)
    ))?;
    written(writeln!(out, "{:>12} {:>10} {:>10} {:<7} check", "offset", "length", "count", "kind"))?;
    walk(&snapshot, |found| match found {
        Stretch::Block(header, _, checked) => {
            let (offset, length, count, kind) = (header.offset, header.whole(), header.count, header.kind.name());
            let told = match (checked, header.kind) {
                (Ok(()), BlockKind::Events) => format!("ok  shard={}", header.shard),
                (Ok(()), _) => "ok".to_string(),
                (Err(corruption), _) => format!("BAD expected {}, found {}", corruption.expected, corruption.found),
            };
            written(writeln!(out, "{offset:>12} {length:>10} {count:>10} {kind:<7} {told}"))
        }
        Stretch::Gap(corruption, bytes) => written(writeln!(
            out,
            "{:>12} {bytes:>10} {:>10} {:<7} BAD expected {}, found {}",
            corruption.offset, "?", "?", corruption.expected, corruption.found
        )),
        Stretch::Stray(at, header, _) => {
            let (length, count, kind, from) = (header.whole(), header.count, header.kind.name(), header.offset);
            written(writeln!(out, "{at:>12} {length:>10} {count:>10} {kind:<7} MOVED (written to byte {from})"))
        }
    })
}

/// Writes the events of every intact block.
pub(super) fn events(path: String, file: Box<dyn File>, out: &mut dyn Write) -> Result<Verdict> {
    let snapshot = Snapshot::bare(path, file)?;
    let mut decoder = EventsDecoder::default();
    let mut table = Table::default();
    walk(&snapshot, |found| {
        let (Stretch::Block(header, bytes, Ok(())) | Stretch::Stray(_, header, bytes)) = found else { return Ok(()) };
        if header.kind != BlockKind::Events {
            return Ok(());
        }
        table.clear();
        let decoded = decoder.decode(header.packed_events(bytes), &mut table, |_| true);
        decoded.map_err(|malformed| snapshot.misencoded(header, malformed))?;
        table.rows.iter().try_for_each(|row| written(line(out, &table.event(row))))
    })
}
