//! The commands that list: `rejects`, `sources`, `stat`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use chatwal::base::text::printable;
use chatwal::format::rejects::{self, Rejects};
use chatwal::format::{Uid, hex};
use chatwal::intake::explain::{Explanation, explain};
use chatwal::intake::parse::Reason;
use chatwal::query::report::Report;
use chatwal::show::render::{Format, Record, Writer};
use chatwal::store::{Input, View};
use serde::Serialize;

use crate::args::Global;
use crate::console::Console;
use crate::times::tell_mixed;
use crate::{Stop, print, report_options, status};

#[derive(Serialize)]
struct Reject<'a> {
    source: &'a str,
    instance: &'a str,
    line: u64,
    byte: u64,
    /// Where the fault is in its line: bytes, counted from 1.
    column: Option<u64>,
    length: u64,
    reason: &'a str,
    raw: Cow<'a, str>,
}

impl Record for Reject<'_> {
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let Reject { source, line, byte, column, reason, raw, .. } = self;
        write!(out, "{}:{line} (byte {byte}): ", printable(source))?;
        if let Some(column) = column {
            write!(out, "column {column}: ")?;
        }
        write!(out, "{reason}: {}", printable(raw))
    }
}

/// Every rejected line of the inputs that were not forgotten.
pub fn rejects(view: &View, format: Format) -> std::result::Result<u8, Stop> {
    let mut failure = Ok(());
    print(|out| {
        let columns = ["source", "instance", "line", "byte", "column", "length", "reason", "raw"];
        let mut writer = Writer::new(format, &columns, out)?;
        // An error of the store must not be taken for one of the output.
        let mut written = Ok(());
        failure = view.rejects(&mut |checkpoint, rejects| {
            let input = view.inputs.get(&checkpoint.instance);
            input.is_none_or(|input| {
                each_of(rejects, input, &mut |reject| {
                    written = writer.record(&reject);
                    written.is_ok()
                })
            })
        });
        written?;
        writer.end()
    })?;
    failure?;
    Ok(status::DONE)
}

/// Visits the rejects of one batch; there may be millions in a few bytes. Says whether to go on.
fn each_of(rejects: Rejects<'_>, input: &Input, visit: &mut impl FnMut(Reject<'_>) -> bool) -> bool {
    // The name it has now: it may have been renamed since.
    let source = String::from_utf8_lossy(&input.checkpoint.name);
    let instance = hex(input.checkpoint.instance);
    let mut before: Option<(rejects::Reject<'_>, Explanation)> = None;
    for reject in rejects {
        let rejects::Reject { offset, line, length, raw, .. } = reject;
        let explanation = match before.take() {
            Some((before, explanation)) if are_alike(&before, &reject) => explanation,
            _ => explained(&reject),
        };
        let place = explanation.place(raw, line, reject.column + 1);
        let reason = match place {
            // A reject of a document may have many lines, and `line` is its first.
            Some((other, _)) if other != line => Cow::Owned(format!("line {other}: {}", explanation.text)),
            _ => Cow::Borrowed(&*explanation.text),
        };
        let told = Reject {
            source: &source,
            instance: &instance,
            line,
            byte: offset,
            column: place.map(|(_, column)| column),
            length,
            reason: &reason,
            raw: String::from_utf8_lossy(raw),
        };
        if !visit(told) {
            return false;
        }
        before = Some((reject, explanation));
    }
    true
}

/// Whether two rejects are of one record, and so have one explanation.
fn are_alike(a: &rejects::Reject<'_>, b: &rejects::Reject<'_>) -> bool {
    (a.reason, a.length, a.column) == (b.reason, b.length, b.column) && std::ptr::eq(a.raw, b.raw)
}

fn explained(reject: &rejects::Reject<'_>) -> Explanation {
    match Reason::from_code(reject.reason) {
        Some(reason) => explain(reason, reject.raw, reject.length),
        None => Explanation { at: None, text: format!("reason {}", reject.reason) },
    }
}

#[derive(Serialize)]
struct Source {
    instance: String,
    source: String,
    byte: u64,
    line: u64,
    events: u64,
    rejects: u64,
    left: u64,
}

impl Record for Source {
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let Source { instance, source, byte, line, events, rejects, left } = self;
        write!(out, "{instance} byte={byte} line={line} events={events} rejects={rejects} left={left} ")?;
        out.write_all(printable(source).as_bytes())
    }
}

/// Every input and how far it was read.
pub fn sources(inputs: &BTreeMap<Uid, Input>, format: Format) -> std::result::Result<u8, Stop> {
    print(|out| {
        let columns = ["instance", "source", "byte", "line", "events", "rejects", "left"];
        let mut writer = Writer::new(format, &columns, out)?;
        for (instance, input) in inputs {
            writer.record(&Source {
                instance: hex(*instance),
                source: String::from_utf8_lossy(&input.checkpoint.name).into_owned(),
                byte: input.checkpoint.end,
                line: input.checkpoint.end_line,
                events: input.events,
                rejects: input.rejects,
                left: input.checkpoint.left,
            })?;
        }
        writer.end()
    })?;
    Ok(status::DONE)
}

#[derive(Serialize)]
struct Stat {
    store: String,
    snapshots: usize,
    segments: usize,
    frames: usize,
    bytes: u64,
    torn_bytes: u64,
    sources: usize,
    rejects: u64,
    lines_accepted: u64,
    events: u64,
    copies: u64,
    disagreeing: u64,
    sites: u64,
    earliest: Option<i64>,
    latest: Option<i64>,
    bytes_per_event: Option<f64>,
}

const STAT: [&str; 16] = [
    "store",
    "snapshots",
    "segments",
    "frames",
    "bytes",
    "torn_bytes",
    "sources",
    "rejects",
    "lines_accepted",
    "events",
    "copies",
    "disagreeing",
    "sites",
    "earliest",
    "latest",
    "bytes_per_event",
];

impl Record for Stat {
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let value = serde_json::to_value(self)?;
        for (at, column) in STAT.iter().enumerate() {
            let end = if at + 1 < STAT.len() { "\n" } else { "" };
            match &value[column] {
                serde_json::Value::String(text) => write!(out, "{column}={text}{end}")?,
                serde_json::Value::Null => write!(out, "{column}={end}")?,
                other => write!(out, "{column}={other}{end}")?,
            }
        }
        Ok(())
    }
}

/// What the store holds; reads it all.
pub fn stat(view: &View, global: &Global, format: Format, console: &Console) -> std::result::Result<u8, Stop> {
    let report = Report::of(view, &report_options(global))?;
    let totals = report.totals;
    let accepted = totals.events + totals.copies;
    let stat = Stat {
        store: hex(view.store()),
        snapshots: view.snapshots.len(),
        segments: view.segments.len(),
        frames: view.frames.len(),
        bytes: view.bytes(),
        torn_bytes: view.torn.as_ref().map_or(0, |torn| torn.bytes),
        sources: view.inputs.len(),
        rejects: view.inputs.values().map(|input| input.rejects).sum(),
        lines_accepted: accepted,
        events: totals.events,
        copies: totals.copies,
        disagreeing: totals.disputed,
        sites: report.each(&mut |_, _| true)?.sites,
        earliest: (totals.events > 0).then_some(totals.earliest),
        latest: (totals.events > 0).then_some(totals.latest),
        // Two digits behind the point are enough.
        bytes_per_event: (accepted > 0).then(|| (view.bytes() as f64 * 100.0 / accepted as f64).round() / 100.0),
    };
    print(|out| {
        let mut writer = Writer::new(format, &STAT, out)?;
        writer.record(&stat)?;
        writer.end()
    })?;
    tell_mixed(&totals, console);
    Ok(status::DONE)
}
