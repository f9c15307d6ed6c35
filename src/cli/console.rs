//! What goes to stderr: errors with hints, warnings, notes, progress.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chatwal::base::text::json;
use chatwal::base::text::printable;
use chatwal::error::Error;
use chatwal::intake::ingest::Outcome;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle as BarStyle};

use crate::args::{Color, Global, ProgressStyle};

/// How often progress is printed as lines.
const EVERY: Duration = Duration::from_secs(1);

/// Speaks on stderr.
pub struct Console {
    pub quiet: bool,
    pub verbose: bool,
    colored: bool,
    dumb: bool,
    progress: ProgressStyle,
}

impl Console {
    pub fn new(global: &Global) -> Console {
        let terminal = stderr().is_terminal();
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        // One that only prints, or one of unknown kind.
        let dumb = set("TERM").is_none_or(|term| term == "dumb");
        let colored = match global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => terminal && !dumb && set("NO_COLOR").is_none(),
        };
        let progress = match global.progress {
            ProgressStyle::Auto if terminal && !dumb => ProgressStyle::Bar,
            ProgressStyle::Auto => ProgressStyle::Never,
            ProgressStyle::Bar if terminal && dumb => ProgressStyle::Plain,
            style => style,
        };
        let progress = if global.quiet { ProgressStyle::Never } else { progress };
        Console { quiet: global.quiet, verbose: global.verbose, colored, dumb, progress }
    }

    fn say(&self, color: &str, kind: &str, text: &str) {
        let kind = match (kind, self.colored) {
            ("", _) => String::new(),
            (kind, true) => format!("\x1b[{color}m{kind}:\x1b[0m "),
            (kind, false) => format!("{kind}: "),
        };
        // If stderr is gone, nobody can be told.
        let _ = writeln!(stderr(), "chatwal: {kind}{}", printable(text));
    }

    pub fn error(&self, error: &Error) {
        self.say("31;1", "error", &error.to_string());
        self.hint(&error.hint());
    }

    pub fn failure(&self, text: &str, hint: &str) {
        self.say("31;1", "error", text);
        self.hint(hint);
    }

    pub fn hint(&self, text: &str) {
        self.say("36", "hint", text);
    }

    pub fn warning(&self, text: &str) {
        if !self.quiet {
            self.insist(text);
        }
    }

    /// A warning that is told in any case.
    pub fn insist(&self, text: &str) {
        self.say("33;1", "warning", text);
    }

    pub fn note(&self, text: &str) {
        if !self.quiet {
            self.say("", "", text);
        }
    }

    /// Whether a terminal only prints, or is of unknown kind.
    pub fn is_dumb(&self) -> bool {
        self.dumb
    }

    /// Whether progress is told to a program, in records that have a meaning each.
    pub fn is_read_by_programs(&self) -> bool {
        self.progress == ProgressStyle::Json
    }

    /// Tells a program of something that happened.
    pub fn event(&self, event: &serde_json::Value) {
        if let (ProgressStyle::Json, Ok(line)) = (self.progress, json(event)) {
            let _ = writeln!(stderr(), "{line}");
        }
    }

    /// Starts to show the share of some work that is done.
    pub fn share(&self, what: &'static str) -> Share {
        let bar = (self.progress == ProgressStyle::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr_with_hz(10));
            // The template is a constant; if it were wrong, the default serves.
            if let Ok(style) = BarStyle::with_template("{msg} {wide_bar} {percent} % {eta}") {
                bar.set_style(style);
            }
            bar.set_message(what);
            bar
        });
        Share { style: self.progress, bar, what, told: Mutex::new(Instant::now()) }
    }

    /// Says what was read.
    pub fn summary(&self, what: &str, outcome: &Outcome, took: Duration, acknowledged: &str) {
        let seconds = took.as_secs_f64();
        self.note(&format!(
            "{what}: {}, {}, {}, {} in {seconds:.2} s ({} lines/s); {acknowledged}",
            count(outcome.lines, "line"),
            count(outcome.events, "event"),
            count(outcome.rejects, "reject"),
            HumanBytes(outcome.bytes),
            rate(outcome.lines, seconds),
        ));
    }

    /// Starts to show how an input is read; `size` in the bytes that `taken` counts. Where it is a part of what is shown
    /// `around` it, there is no bar of its own.
    pub fn progress(&self, input: &str, size: Option<u64>, taken: Arc<AtomicU64>, around: Option<&Share>) -> Progress {
        let bar = (self.progress == ProgressStyle::Bar && around.is_none()).then(|| {
            let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr_with_hz(10));
            let template = match size {
                Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
                None => "{msg} {spinner} {bytes} {bytes_per_sec} {elapsed}",
            };
            // The templates are constants; if one were wrong, the default serves.
            if let Ok(style) = BarStyle::with_template(template) {
                bar.set_style(style);
            }
            bar.set_message(printable(input));
            bar
        });
        Progress {
            style: self.progress,
            around: around.and_then(|around| around.bar.clone()),
            bar,
            input: input.into(),
            size,
            taken,
            started: Instant::now(),
            told: Instant::now(),
            behind: false,
        }
    }
}

/// How much of some work is done.
pub struct Share {
    style: ProgressStyle,
    bar: Option<ProgressBar>,
    what: &'static str,
    told: Mutex<Instant>,
}

impl Share {
    /// Takes note of the share that is done, 0 to 1; from any thread.
    pub fn update(&self, share: f64) {
        if let Some(bar) = &self.bar {
            return bar.set_position((share * 1000.0) as u64);
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.elapsed() < EVERY {
            return;
        }
        *told = Instant::now();
        let _ = match self.style {
            ProgressStyle::Plain => writeln!(stderr(), "chatwal: {}: {:.1} %", self.what, share * 100.0),
            ProgressStyle::Json => {
                writeln!(stderr(), "{}", serde_json::json!({"event": "progress", "work": self.what, "share": share}))
            }
            _ => Ok(()),
        };
    }

    /// Something is about to be said on stderr.
    pub fn aside(&self, say: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// The end.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// How an input is being read.
pub struct Progress {
    style: ProgressStyle,
    bar: Option<ProgressBar>,
    /// That of which this is a part.
    around: Option<ProgressBar>,
    input: String,
    size: Option<u64>,
    taken: Arc<AtomicU64>,
    started: Instant,
    told: Instant,
    /// Something was appended and not yet acknowledged.
    behind: bool,
}

impl Progress {
    /// Takes note of where it stands. Once all of it is acknowledged it says so at once: a silent pipe may send nothing else.
    pub fn update(&mut self, outcome: &Outcome) {
        let was_behind = std::mem::replace(&mut self.behind, outcome.durable_offset < outcome.offset);
        if let Some(bar) = &self.bar {
            bar.set_position(self.taken.load(Ordering::Relaxed));
        } else if was_behind && !self.behind || self.told.elapsed() >= EVERY {
            self.told = Instant::now();
            match self.style {
                ProgressStyle::Plain => self.plain(outcome),
                ProgressStyle::Json => self.json("progress", outcome),
                _ => {}
            }
        }
    }

    /// Something is about to be said on stderr.
    pub fn aside(&self, say: impl FnOnce()) {
        match self.bar.as_ref().or(self.around.as_ref()) {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// The end; says what was done.
    pub fn finish(self, console: &Console, outcome: &Outcome, acknowledged: &str) {
        if self.style == ProgressStyle::Json {
            return self.finish_silently(outcome);
        }
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let acknowledged = format!("{acknowledged} up to byte {}", outcome.durable_offset);
        console.summary(&self.input, outcome, self.started.elapsed(), &acknowledged);
    }

    /// The end; says what was done only to programs.
    pub fn finish_silently(self, outcome: &Outcome) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.style == ProgressStyle::Json {
            self.json("done", outcome);
        }
    }

    fn plain(&self, outcome: &Outcome) {
        let taken = self.taken.load(Ordering::Relaxed);
        let share = match self.size {
            Some(size) if size > 0 => format!("{:.1} %, ", taken as f64 * 100.0 / size as f64),
            _ => String::new(),
        };
        let seconds = self.started.elapsed().as_secs_f64();
        let _ = writeln!(
            stderr(),
            "chatwal: {}: {share}{} lines, {} rejects, {} lines/s, durable up to byte {}",
            printable(&self.input),
            outcome.lines,
            outcome.rejects,
            rate(outcome.lines, seconds),
            outcome.durable_offset,
        );
    }

    fn json(&self, event: &str, outcome: &Outcome) {
        let seconds = self.started.elapsed().as_secs_f64();
        let line = serde_json::json!({
            "event": event,
            "input": self.input,
            "taken": self.taken.load(Ordering::Relaxed),
            "size": self.size,
            "lines": outcome.lines,
            "events": outcome.events,
            "rejects": outcome.rejects,
            "bytes": outcome.bytes,
            "nuls": outcome.nuls,
            "left": outcome.left,
            "offset": outcome.offset,
            "durable_offset": outcome.durable_offset,
            "seconds": seconds,
            "lines_per_second": rate(outcome.lines, seconds),
        });
        if let Ok(line) = json(&line) {
            let _ = writeln!(stderr(), "{line}");
        }
    }
}

/// A number of things in words: `1 line`, `2 lines`.
pub fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn rate(lines: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (lines as f64 / seconds) as u64 } else { 0 }
}
