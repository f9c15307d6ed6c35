//! What a service says: to people, and to programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chatwal::intake::follow::{Happened, Lag, Took};
use chatwal::intake::ingest::Notice;
use serde_json::{Value, json};

use super::super::teller::{behind, changed, incomplete, rejected};
use crate::console::{Console, count};
use crate::shown;

/// Rejects of one file that are told one by one; the rest is counted.
const TOLD: u64 = 5;

/// How often it is said how many more rejects there were.
const REJECTS: Duration = Duration::from_secs(60);

/// How often programs hear of the whole.
const STATUS: Duration = Duration::from_secs(1);

/// Tells of files.
pub(super) struct Herald<'a> {
    console: &'a Console,
    /// Rejects that were told, by file.
    told: HashMap<PathBuf, u64>,
    /// Rejects that were not told, and since when they are counted.
    more: u64,
    counted: Instant,
    total: Took,
    /// When the last line came.
    line: Instant,
    status: Instant,
    /// Nothing has changed since the status was told.
    is_told: bool,
}

impl<'a> Herald<'a> {
    pub(super) fn new(console: &'a Console) -> Herald<'a> {
        let now = Instant::now();
        let (told, total) = (HashMap::new(), Took::default());
        Herald { console, told, more: 0, counted: now, total, line: now, status: now, is_told: false }
    }

    pub(super) fn console(&self) -> &'a Console {
        self.console
    }

    pub(super) fn tell(&mut self, path: &Path, what: &Happened<'_>) {
        let input = shown(path);
        let console = self.console;
        match what {
            Happened::Awaited => {
                self.event("awaited", &input, json!({}));
                console.note(&format!("{input}: not there yet; waiting for it"));
            }
            Happened::Unreadable(problem) => {
                self.event("unreadable", &input, json!({ "problem": problem }));
                console.insist(&format!("{input}: cannot read it: {problem}; trying again"));
            }
            Happened::Opened => {
                self.event("opened", &input, json!({}));
                self.verbose(&format!("{input}: opened"));
            }
            Happened::Found(found) => {
                let found = shown(found);
                self.event("found", &input, json!({ "found": found }));
                console.note(&format!("{input}: {found} was rotated and not read to its end; reading it first"));
            }
            Happened::Rotated => {
                self.event("rotated", &input, json!({}));
                console.note(&format!("{input}: another file has taken its place; reading the old one to its end"));
            }
            Happened::Vanished => {
                self.event("vanished", &input, json!({}));
                console.note(&format!("{input}: gone; reading what is left of it, and waiting for it to come back"));
            }
            Happened::Truncated { unread } => {
                self.event("truncated", &input, json!({ "unread": unread }));
                let lost = match unread {
                    0 => {
                        "what was written right before that and not read is lost, unless a file beside it has it".into()
                    }
                    bytes => format!(
                        "{} of it were not read, and are lost unless a file beside it has them",
                        count(*bytes, "byte")
                    ),
                };
                console.insist(&format!("{input}: cut off; {lost}"));
            }
            Happened::CaughtUp { offset } => {
                self.event("caught_up", &input, json!({ "offset": offset }));
                self.verbose(&format!("{input}: read to its end, byte {offset}"));
            }
            Happened::Durable { offset } => self.event("durable", &input, json!({ "durable_offset": offset })),
            Happened::Behind(trailing) => {
                self.event("behind", &input, json!({ "bytes": trailing.bytes, "offset": trailing.offset }));
                console.insist(&behind(&input, trailing));
            }
            Happened::Read(notice) => self.tell_notice(path, &input, notice),
        }
    }

    fn tell_notice(&mut self, path: &Path, input: &str, notice: &Notice<'_>) {
        match notice {
            Notice::Begin { .. } | Notice::Progress(_) | Notice::Failed(_) => {}
            Notice::Reject(reject) if self.counts(path) => self.console.warning(&rejected(input, reject)),
            Notice::Reject(_) => self.more += 1,
            Notice::Changed(place) => {
                self.event("changed", input, json!({ "start": place.start, "end": place.end }));
                self.console.insist(&changed(input, place));
            }
            Notice::Left(left) => {
                self.event("left", input, json!({ "bytes": left.bytes }));
                self.console.insist(&incomplete(input, left, "not taken"));
            }
        }
    }

    /// Whether one more reject of this file is told.
    fn counts(&mut self, path: &Path) -> bool {
        let told = self.told.entry(path.to_owned()).or_default();
        *told += 1;
        *told <= TOLD
    }

    /// Says how it goes: what was read in all, and how far behind it is.
    pub(super) fn tell_status(&mut self, lag: Lag, took: &Took) {
        let now = Instant::now();
        self.total.lines += took.lines;
        self.total.events += took.events;
        self.total.rejects += took.rejects;
        if took.appended {
            (self.line, self.is_told) = (now, false);
        }
        if now.saturating_duration_since(self.counted) >= REJECTS {
            self.counted = now;
            self.tell_more();
        }
        let is_due = !self.is_told || now.saturating_duration_since(self.status) >= REJECTS;
        if is_due && now.saturating_duration_since(self.status) >= STATUS {
            (self.status, self.is_told) = (now, true);
            self.console.event(&json!({
                "event": "status",
                "files": lag.files,
                "lag_bytes": lag.bytes,
                "seconds_since_last_line": now.saturating_duration_since(self.line).as_secs_f64(),
                "lines": self.total.lines,
                "events": self.total.events,
                "rejects": self.total.rejects,
            }));
        }
    }

    fn tell_more(&mut self) {
        if self.more > 0 {
            self.console
                .warning(&format!("{} since the last of these messages", count(self.more, "more rejected line")));
        }
        self.more = 0;
        // A file whose rejects were told long ago may tell some again.
        self.told.clear();
    }

    /// The end.
    pub(super) fn finish(&mut self) {
        self.tell_more();
        let Took { lines, events, rejects, .. } = self.total;
        self.console.note(&format!(
            "followed: {}, {}, {}; durable",
            count(lines, "line"),
            count(events, "event"),
            count(rejects, "reject")
        ));
        self.console.event(&json!({ "event": "done", "lines": lines, "events": events, "rejects": rejects }));
    }

    fn verbose(&self, text: &str) {
        if self.console.verbose {
            self.console.note(text);
        }
    }

    fn event(&self, event: &str, input: &str, more: Value) {
        if self.console.is_read_by_programs() {
            let mut line = json!({ "event": event, "input": input });
            if let (Some(line), Value::Object(more)) = (line.as_object_mut(), more) {
                line.extend(more);
            }
            self.console.event(&line);
        }
    }
}
