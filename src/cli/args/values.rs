//! What an option may be, as it is typed.

use std::time::Duration;

use chatwal::format::MAX_KEPT;
use chatwal::intake::ingest::MaxRejects;
use chatwal::intake::shape::Shape;
use chatwal::show::render::Format;
use chatwal::store::Position;
use clap::ValueEnum;
use jiff::SignedDuration;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressStyle {
    Auto,
    Bar,
    Plain,
    Json,
    Never,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum ShapeArg {
    Lines,
    Json,
}

impl From<ShapeArg> for Shape {
    fn from(shape: ShapeArg) -> Shape {
        match shape {
            ShapeArg::Lines => Shape::Lines,
            ShapeArg::Json => Shape::Document,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub enum DurabilityArg {
    Sync,
    Os,
}

#[derive(Clone, Copy, ValueEnum)]
pub enum UnitArg {
    S,
    Ms,
    Us,
    Ns,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Line,
    Csv,
    Json,
    Ndjson,
    Table,
}

impl FormatArg {
    /// The format; CSV with text that spreadsheets do not take for formulas, if that is asked for.
    pub fn format(self, csv_safe: bool) -> Format {
        match self {
            FormatArg::Line => Format::Line,
            FormatArg::Csv if csv_safe => Format::CsvSafe,
            FormatArg::Csv => Format::Csv,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Table => Format::Table,
        }
    }
}

/// How a report is printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormatArg {
    Line,
    Csv,
    Json,
    Ndjson,
    Table,
    Html,
}

impl ReportFormatArg {
    /// The format, unless it is a page.
    pub fn listed(self) -> Option<FormatArg> {
        match self {
            ReportFormatArg::Line => Some(FormatArg::Line),
            ReportFormatArg::Csv => Some(FormatArg::Csv),
            ReportFormatArg::Json => Some(FormatArg::Json),
            ReportFormatArg::Ndjson => Some(FormatArg::Ndjson),
            ReportFormatArg::Table => Some(FormatArg::Table),
            ReportFormatArg::Html => None,
        }
    }
}

/// How `watch` shows what it sees.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WatchFormatArg {
    Screen,
    Line,
    Ndjson,
}

/// A position in the log of a store, as `watch --format ndjson` prints it.
pub fn position(text: &str) -> Result<Position, String> {
    text.parse().map_err(|()| "copy a whole `position` from a line of `chatwal watch --format ndjson`".into())
}

/// A number of bytes, with or without a unit: 65536, 64K, 64KiB, 64M, 1G; all of them powers of 1,024.
pub fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text:?} is no number of bytes such as 65536, 64K, 128M or 1G");
    let digits = text.len() - text.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A length of time: 250ms, 2s, 1m30s.
pub fn duration(text: &str) -> Result<Duration, String> {
    match text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok()) {
        Some(time) if time > LONGEST => Err("24h is the longest time".into()),
        Some(time) if time >= SHORTEST => Ok(time),
        Some(_) => Err("10ms is the shortest time".into()),
        None => Err("write a time such as 250ms, 2s or 1m".into()),
    }
}

const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

pub fn max_rejects(text: &str) -> Result<MaxRejects, String> {
    match text {
        "all" => Ok(MaxRejects::All),
        number => number.parse().map(MaxRejects::Number).map_err(|_| "a number of lines, or `all`".into()),
    }
}

pub fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size < 1 << 20 => Err("1M is the least that a report or a compaction gets by with".into()),
        size => Ok(size),
    }
}

pub fn kept(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        size if size > MAX_KEPT as u64 => Err("1M is the most that is kept of a reject".into()),
        size => Ok(size as usize),
    }
}

pub fn segment_size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size < 4096 => Err("a segment has at least 4096 bytes".into()),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_bounds() {
        for (text, value) in [("10ms", 10), ("250ms", 250), ("2s", 2000), ("1m", 60_000), ("24h", 86_400_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(value)));
        }
        for text in ["", "s", "5", "-1s", "9ms", "0s", "25h", "99999999999999999h", "soon"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn bytes_have_units() {
        for (text, value) in [("0", 0), ("65536", 65536), ("64k", 65536), ("64KiB", 65536), ("1G", 1 << 30)] {
            assert_eq!(bytes(text), Ok(value));
        }
        for text in ["", "k", "1.5M", "-1", "1X", "99999999999G", "1 M"] {
            assert!(bytes(text).is_err(), "{text:?}");
        }
    }
}
