//! A file of a store for human eyes: every frame or block of it and its verdict, past any damage. Snapshots are in `snapshot`.

mod snapshot;

use std::io::Write;
use std::path::Path;

use serde::Serialize;

use crate::base::text::{is_plain, json, printable};
use crate::disk::{File, open_regular};
use crate::error::{Corruption, Error, Result};
use crate::event::table::Table;
use crate::event::{Event, Kind, UUID_TEXT};
use crate::format::acknowledged::{ACKNOWLEDGED, ACKNOWLEDGED_MAGIC, Acknowledged};
use crate::format::directory::SectionKind;
use crate::format::events::EventsDecoder;
use crate::format::frame::FrameKind;
use crate::format::hex;
use crate::format::snapshot_header::SNAPSHOT_MAGIC;
use crate::segment::judge::{Here, Next, Stop, Verdict as Judgement, judge};
use crate::segment::{Found, Frame, Gap, Link, Segment};
use crate::store::{ACKNOWLEDGED_NAME, Place, blame, misencoded};

/// What a dump says of a file. A segment is judged as if it were the last of its store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Damage to what was durable.
    pub corrupt: Vec<Corruption>,
    /// An end that was never acknowledged: what is wrong with its first frame, and how many bytes it has.
    pub torn: Option<(Corruption, u64)>,
}

/// A stretch of a segment.
enum Shown<'a> {
    /// A frame whose header and directory are intact, and whether its sections are.
    Frame(&'a Frame, std::result::Result<(), Corruption>),
    /// Bytes that are not a frame, up to the next one or the end.
    Gap(&'a Gap),
    /// A frame inside the gap before it, which stands elsewhere than it says.
    Stray(&'a Frame, std::result::Result<(), Corruption>),
}

/// What is not as it should be, until it is judged.
struct Bad {
    /// The sequence number that is due there.
    due: u64,
    /// Where it is.
    at: u64,
    what: Corruption,
}

/// Goes through a segment, past any damage, and judges it.
fn walk(segment: &Segment, mut visit: impl FnMut(Shown<'_>) -> Result<()>) -> Result<Verdict> {
    let previous = (segment.header.number == 1).then(|| segment.header.chain());
    let link = Link { sequence: segment.header.first_sequence, previous };
    let mut buffer = Vec::new();
    let (mut durable_upto, mut seal_end) = (0, None);
    let mut bad = Vec::new();
    segment.scan(link, |found| match found {
        Found::Frame(frame) => {
            let header = &frame.header;
            let checked = segment.check_frame(frame, &mut buffer)?;
            if let Err(corruption) = &checked {
                bad.push(Bad { due: header.sequence, at: frame.at, what: corruption.clone() });
            }
            durable_upto = durable_upto.max(header.durable_upto);
            if header.kind == FrameKind::Seal {
                seal_end.get_or_insert((header.sequence + 1, frame.end()));
            }
            visit(Shown::Frame(frame, checked))
        }
        Found::Gap(gap) => {
            bad.push(Bad { due: gap.due, at: gap.at, what: gap.what.clone() });
            visit(Shown::Gap(gap))
        }
        Found::Stray(frame) => visit(Shown::Stray(frame, segment.check_frame(frame, &mut buffer)?)),
    })?;
    let mut verdict = Verdict::default();
    let claims = if bad.is_empty() { None } else { Some(segment.claims()?) };
    for Bad { due, at, what } in bad {
        let claimed = claims.as_ref().map_or(0, |claims| claims.from(at));
        let proven = durable_upto.max(claimed);
        // It is judged as if it were the last segment of its store.
        match judge(Stop { here: Here::Bad, due, proven, next: Next::Unseen }) {
            Judgement::Corrupt(_) => verdict.corrupt.push(what),
            _ if verdict.torn.is_none() => verdict.torn = Some((what, segment.length - at)),
            _ => {}
        }
    }
    if let Some((due, end)) = seal_end.filter(|(_, end)| *end < segment.length) {
        let stop = Stop { here: Here::BehindSeal, due, proven: durable_upto, next: Next::Unseen };
        if let Judgement::Corrupt(why) = judge(stop) {
            verdict.corrupt.push(blame(segment, end, &stop, why, None));
            // Whatever it is, it was never part of a log.
            verdict.torn = None;
        }
    }
    Ok(verdict)
}

/// What a file is by its first bytes.
enum Opened {
    Segment(Segment),
    Snapshot(String, Box<dyn File>),
    Record(String, Vec<u8>),
}

fn open(path: &Path) -> Result<Opened> {
    let shown = path.display().to_string();
    // Read piece by piece, not mapped: a writer may cut the file at this very moment. What is missing then has to be a verdict, not a
    // signal.
    let file: Box<dyn File> = Box::new(open_regular(path).map_err(Error::io("open", &shown))?);
    let mut magic = [0; SNAPSHOT_MAGIC.len()];
    let read = file.read_at(&mut magic, 0).map_err(Error::io("read", &shown))?;
    if magic[..read] == SNAPSHOT_MAGIC {
        return Ok(Opened::Snapshot(shown, file));
    }
    // A record that is torn may begin with anything.
    if magic[..read] == ACKNOWLEDGED_MAGIC || path.file_name().is_some_and(|name| name == ACKNOWLEDGED_NAME) {
        let mut bytes = vec![0; ACKNOWLEDGED];
        let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", &shown))?;
        bytes.truncate(read);
        return Ok(Opened::Record(shown, bytes));
    }
    Ok(Opened::Segment(Segment::open(shown, file)?))
}

/// Writes what the record of what was acknowledged says.
fn record(path: &str, bytes: &[u8], out: &mut dyn Write) -> Result<()> {
    let path = printable(path);
    written(match Acknowledged::decode(bytes) {
        Some(Acknowledged { store, segment, end, sequence, .. }) => writeln!(
            out,
            "record of store {}: acknowledged up to frame {sequence}, which ends at byte {end} of segment {segment}, {path}",
            hex(store)
        ),
        None => writeln!(out, "record that is torn and says nothing, {path}"),
    })
}

fn written(result: std::io::Result<()>) -> Result<()> {
    result.map_err(Error::io("write to", "standard output"))
}

/// Writes a line on the file, then a line for each frame: offset, length, sequence number, kind, `ok` or `BAD`, and what it holds. For a
/// snapshot, a line for each block.
pub fn frames(path: &Path, out: &mut dyn Write) -> Result<Verdict> {
    let segment = match open(path)? {
        Opened::Segment(segment) => segment,
        Opened::Snapshot(path, file) => return snapshot::blocks(path, file, out),
        Opened::Record(path, bytes) => return record(&path, &bytes, out).map(|()| Verdict::default()),
    };
    let header = &segment.header;
    written(writeln!(
        out,
        "segment {} of store {}: {} bytes, first frame {}, {}",
        header.number,
        hex(header.store),
        segment.length,
        header.first_sequence,
        printable(&segment.path)
    ))?;
    written(writeln!(out, "{:>12} {:>10} {:>10} {:<6} check", "offset", "length", "sequence", "kind"))?;
    walk(&segment, |found| match found {
        Shown::Frame(frame, checked) | Shown::Stray(frame, checked) => {
            let header = &frame.header;
            let (offset, length, sequence, kind) = (frame.at, header.length(), header.sequence, header.kind.name());
            let check = match &checked {
                Ok(()) if frame.in_place() => "ok",
                Ok(()) => "MOVED",
                Err(_) => "BAD",
            };
            let holds = match checked {
                Ok(()) => describe(&segment, frame)?,
                Err(corruption) => {
                    format!("byte {}: expected {}, found {}", corruption.offset, corruption.expected, corruption.found)
                }
            };
            let upto = header.durable_upto;
            let line = format!("{offset:>12} {length:>10} {sequence:>10} {kind:<6} {check:<3} durable_upto={upto}");
            let from = if frame.in_place() { String::new() } else { format!(" (written to byte {})", header.offset) };
            written(writeln!(out, "{line}{from} {holds}"))
        }
        Shown::Gap(Gap { what, bytes, .. }) => written(writeln!(
            out,
            "{:>12} {bytes:>10} {:>10} {:<6} BAD expected {}, found {}",
            what.offset, "?", "?", what.expected, what.found
        )),
    })
}

/// What an intact frame holds.
fn describe(segment: &Segment, frame: &Frame) -> Result<String> {
    let place = Place { segment: 0, frame: frame.clone() };
    Ok(match frame.header.kind {
        FrameKind::Batch => {
            let checkpoint = place.checkpoint(segment)?;
            format!(
                "events={} rejects={} repeats={} input={} bytes={}..{} lines={}..{} name={}",
                frame.count(SectionKind::Events),
                frame.count(SectionKind::Rejects),
                frame.count(SectionKind::Repeats),
                hex(checkpoint.instance),
                checkpoint.start,
                checkpoint.end,
                checkpoint.start_line,
                checkpoint.end_line,
                printable(&String::from_utf8_lossy(&checkpoint.name)),
            )
        }
        FrameKind::Forget => {
            let inputs: Vec<String> = place.forgotten(segment)?.into_iter().map(hex).collect();
            format!("inputs={}", inputs.join(","))
        }
        FrameKind::Hole => {
            let hole = place.hole(segment)?;
            let frames = hole.frames.iter().map(|(first, last)| format!("{first}..={last}"));
            let inputs =
                hole.inputs.iter().map(|input| format!("{}:{}..{}", hex(input.instance), input.from, input.to));
            format!(
                "segments={}..={} lost_frames={} lost_bytes={}",
                hole.covers.0,
                hole.covers.1,
                frames.collect::<Vec<_>>().join(","),
                inputs.collect::<Vec<_>>().join(",")
            )
        }
        FrameKind::Mark | FrameKind::Seal | FrameKind::Unknown(_) => String::new(),
    })
}

/// An event with the keys of the input.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    r#type: &'a str,
    from: &'a str,
    site_id: &'a str,
    timestamp: i64,
    data: Data<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Data<'a> {
    Message(&'a str),
    Status(&'a str),
}

/// Writes the events of every intact frame before a torn end, or of every intact block of a snapshot, as lines that can be ingested
/// again. The texts of messages are not kept, so they are empty.
pub fn events(path: &Path, out: &mut dyn Write) -> Result<Verdict> {
    let segment = match open(path)? {
        Opened::Segment(segment) => segment,
        Opened::Snapshot(path, file) => return snapshot::events(path, file, out),
        // It has none.
        Opened::Record(..) => return Ok(Verdict::default()),
    };
    let mut decoder = EventsDecoder::default();
    let mut table = Table::default();
    let mut torn = false;
    let judged = walk(&segment, |_| Ok(()))?;
    let torn_at = judged.torn.as_ref().map_or(u64::MAX, |(_, bytes)| segment.length - bytes);
    walk(&segment, |found| {
        let (Shown::Frame(frame, Ok(())) | Shown::Stray(frame, Ok(()))) = found else { return Ok(()) };
        torn |= frame.at >= torn_at;
        if torn {
            return Ok(());
        }
        table.clear();
        for section in frame.sections.iter().filter(|section| section.entry.kind == SectionKind::Events) {
            let bytes = segment.section(section)?;
            let decoded = decoder.decode(section.entry.packed_events(&bytes), &mut table, |_| true);
            decoded.map_err(|malformed| misencoded(&segment, section.at, malformed))?;
        }
        table.rows.iter().try_for_each(|row| written(line(out, &table.event(row))))
    })
}

fn line(out: &mut dyn Write, event: &Event<'_>) -> std::io::Result<()> {
    let (mut number, mut uuid) = ([0; 20], [0; UUID_TEXT]);
    let line = Line {
        id: &String::from_utf8_lossy(event.id.text(&mut uuid)),
        r#type: if event.kind.is_message() { "message" } else { "status" },
        from: &String::from_utf8_lossy(event.from),
        site_id: &String::from_utf8_lossy(event.site.name(&mut number)),
        timestamp: event.timestamp,
        data: match event.kind {
            Kind::Message => Data::Message(""),
            Kind::Online => Data::Status("online"),
            Kind::Offline => Data::Status("offline"),
        },
    };
    // Nearly all of them need no escapes beyond those of JSON.
    match [line.id, line.from, line.site_id].into_iter().all(is_plain) {
        true => serde_json::to_writer(&mut *out, &line)?,
        false => out.write_all(json(&line)?.as_bytes())?,
    }
    out.write_all(b"\n")
}

/// The whole command, which two programs offer: dumps `files` to standard output, goes on past damage, tells of it through `say`, and
/// returns the exit status.
pub fn command(files: &[std::path::PathBuf], as_events: bool, say: &dyn Fn(&str)) -> u8 {
    let mut out = std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut status = 0;
    for path in files {
        let result = if as_events { events(path, &mut out) } else { frames(path, &mut out) };
        // What was found so far is written before anything is said of it.
        let result = result.and_then(|verdict| written(out.flush()).map(|()| verdict));
        match result {
            Ok(verdict) => {
                if let Some((what, bytes)) = &verdict.torn {
                    say(&format!(
                        "note: {} (byte {}): torn: {bytes} bytes that were never acknowledged; the next writer cuts them",
                        printable(&what.file),
                        what.offset
                    ));
                }
                for corruption in &verdict.corrupt {
                    say(&format!("error: {}", printable(&corruption.to_string())));
                }
                if !verdict.corrupt.is_empty() {
                    say(
                        "hint: `chatwal verify` checks a whole store, `chatwal repair` saves what is intact; or restore a backup",
                    );
                    status = CORRUPT;
                }
            }
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::BrokenPipe => return status,
            Err(error) => {
                say(&format!("error: {}", printable(&error.to_string())));
                say(&format!("hint: {}", printable(&error.hint())));
                status = status.max(if matches!(error, Error::Corruption(_)) { CORRUPT } else { 1 });
            }
        }
    }
    status
}

/// The exit status where corruption was found.
pub const CORRUPT: u8 = 4;
