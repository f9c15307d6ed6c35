//! The command line's arguments, as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;

use chatwal::format::MAX_KEPT;
use chatwal::intake::ingest::MaxRejects;
use chatwal::intake::shape::Shape;
use chatwal::show::render::Format;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::allow::{Allowed, allowed};
use crate::times::{Moment, moment};

const ABOUT: &str = "A crash-safe, append-only event store for chat activity, and the report over it";

const AFTER: &str = "\
Exit status:
  0    done
  1    i/o or runtime failure
  2    wrong usage
  3    done, but part of an input was not taken: rejects, an incomplete end, bytes behind
       compressed data
  4    corruption found
  10   no store there
  11   store locked by another writer
  130  interrupted (143: terminated, 129: hung up); what was acknowledged is safe";

/// The whole command line.
#[derive(Parser)]
#[command(name = "chatwal", version = version(), about = ABOUT, after_help = AFTER, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (format 1)")
}

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store's directory
    // An empty one is none, as an empty variable is: not clap's to refuse.
    #[arg(long, global = true, value_name = "DIR", env = "CHATWAL_STORE")]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub store: Option<PathBuf>,
    /// Memory that a command may use, such as 128M or 1G; what does not fit goes to temporary files. Half of it is the largest
    /// window of zstd or dictionary of xz that an input may have (8M in any case)
    #[arg(long, global = true, value_name = "BYTES", value_parser = memory, default_value = "128M")]
    pub memory: u64,
    /// Where temporary files are [default: $TMPDIR or /tmp; of what writes to the store, the store]
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub temp: Option<PathBuf>,
    /// Threads that work, four at most where there are fewer processors [default: as many as there are processors]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: copies, disagreements, every recovery step
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to colour messages
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    /// How to show progress on stderr; auto: a bar where that is a terminal
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "HOW")]
    pub progress: ProgressStyle,
}

#[derive(Subcommand)]
pub enum Command {
    /// The whole job: ingest FILE into FILE.chatwal, then report. Run again after a kill, it goes on
    Run(RunArgs),
    /// Append the events of files or of standard input; goes on where an earlier run left them
    Ingest(IngestArgs),
    /// Print one line a site: chats, emails, operators, visitors
    Report(ReportArgs),
    /// Print when a site was online, and how many chats and emails came in meanwhile
    Timeline(TimelineArgs),
    /// Fold sealed segments into a snapshot, so that reports and reruns need not read them
    Compact(CompactArgs),
    /// Check every checksum and every order of the store; changes nothing, needs no lock
    Verify,
    /// Save what is intact of a damaged store, and say what is lost and which inputs to ingest again
    Repair(RepairArgs),
    /// Print a line a frame of segments, or a block of snapshots, with checksums; needs no store and no lock
    Dump(DumpArgs),
    /// List the lines that were no events: where the fault is, what was expected there, what to write instead
    Rejects(RejectsArgs),
    /// List the inputs and how far each was read
    Sources(SourcesArgs),
    /// Print files, bytes, events, copies, time range
    Stat(ListArgs),
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args)]
pub struct IngestArgs {
    #[command(flatten)]
    pub input: InputArgs,
}

#[derive(Args)]
pub struct InputArgs {
    /// JSON lines, plain or compressed with gzip, zstd, bzip2, xz or lz4; - is standard input
    #[arg(required_unless_present = "files_from", value_name = "FILE")]
    pub files: Vec<OsString>,
    /// Read the files in directories that are named, in the order of their paths, and in those below them; hidden ones, stores
    /// and links to directories are passed over
    #[arg(long)]
    pub recursive: bool,
    /// Read the inputs that are listed in FILE, one path a line, or with NULs between them (find -print0); - is standard input
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<OsString>,
    /// Stop at the first line that is no event, instead of keeping it as a reject: --max-rejects 0
    #[arg(long, conflicts_with = "max_rejects")]
    pub strict: bool,
    /// Keep up to N wrong lines of an input as rejects and stop at the next; or all [default: all, unless the first 1,000
    /// lines of an input are wrong]
    #[arg(long, value_name = "N", value_parser = max_rejects)]
    pub max_rejects: Option<MaxRejects>,
    /// What the inputs are: lines of objects, or a JSON document (an array, or objects spread over lines) [default: as their first
    /// bytes say]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub input: Option<ShapeArg>,
    /// Compare more of the inputs with what was read of them before: all that is kept of rejected lines and of what is around them, and
    /// not only a few places at growing distances
    #[arg(long, conflicts_with = "from_start")]
    pub check: bool,
    /// How many bytes of a reject are kept, up to 1M
    #[arg(long, value_name = "BYTES", value_parser = kept, default_value = "4K")]
    pub keep_rejects: usize,
    /// Exit with 0 although the store holds rejects of the inputs named, if they are at most N, or at most P percent of their
    /// lines
    #[arg(long, value_name = "N|P%", value_parser = allowed)]
    pub allow_rejects: Option<Allowed>,
    /// What an acknowledgement survives: sync, the loss of power; os, the death of the process
    #[arg(long, value_enum, default_value = "sync", value_name = "LEVEL")]
    pub durability: DurabilityArg,
    /// Size at which the next segment begins
    #[arg(long, value_name = "BYTES", value_parser = segment_size, default_value = "128M")]
    pub segment_size: u64,
    /// Read inputs from their start, though the store knows them; their old checkpoints and rejects are forgotten
    #[arg(long)]
    pub from_start: bool,
    /// Bytes of sealed segments at which they are folded into a snapshot, beside the ingest
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1G")]
    pub compact_at: u64,
    /// Leave all segments as they are
    #[arg(long, conflicts_with = "compact_at")]
    pub no_compact: bool,
}

#[derive(Args)]
pub struct OutputArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "line", value_name = "FORMAT")]
    pub format: FormatArg,
}

#[derive(Args)]
pub struct ReportArgs {
    /// Only these sites
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub site: Vec<String>,
    /// Only events from this moment on; who was online then is known from before it. A timestamp in the events' own unit, a
    /// date (2026-11-27, 2026-11-27T11:00:00Z), or a duration before now (-7d, -1h30m)
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = moment)]
    pub since: Option<Moment>,
    /// Only events before this moment
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = moment)]
    pub until: Option<Moment>,
    /// Only events up to this moment and at it
    #[arg(long, value_name = "T", allow_hyphen_values = true, value_parser = moment, conflicts_with = "until")]
    pub as_of: Option<Moment>,
    /// What the events' timestamps count, for dates and durations [default: told by the magnitude of the latest]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<UnitArg>,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args)]
pub struct TimelineArgs {
    /// The site
    #[arg(value_name = "SITE")]
    pub site: String,
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args)]
pub struct CompactArgs {
    /// Say what would be read, written and freed, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Fold everything into one snapshot, instead of only what pays
    #[arg(long)]
    pub all: bool,
}

#[derive(Args)]
pub struct RepairArgs {
    /// Say what would be saved and what is lost, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Args)]
pub struct DumpArgs {
    /// Segments and snapshots
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print the events as JSON lines instead (the texts of messages are not kept)
    #[arg(long)]
    pub events: bool,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub output: OutputArgs,
}

#[derive(Args)]
pub struct RejectsArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    /// Print the lines themselves, byte for byte, to mend them: `chatwal rejects --raw | fix | chatwal ingest -`
    #[arg(long, conflicts_with = "format")]
    pub raw: bool,
}

#[derive(Args)]
pub struct SourcesArgs {
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub action: Option<SourcesAction>,
}

#[derive(Subcommand)]
pub enum SourcesAction {
    /// Drop the checkpoints and the rejects of inputs; their events stay. The next ingest reads them from their start
    Forget {
        /// Inputs, by what `chatwal sources` prints: the instance or its first digits (4 or more), the name, or a pattern of
        /// names such as '*.gz' (in quotes; * stands for / too)
        #[arg(required = true, value_name = "INPUT")]
        names: Vec<OsString>,
    },
}

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

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Format {
        match format {
            FormatArg::Line => Format::Line,
            FormatArg::Csv => Format::Csv,
            FormatArg::Json => Format::Json,
            FormatArg::Ndjson => Format::Ndjson,
            FormatArg::Table => Format::Table,
        }
    }
}

/// A number of bytes, with or without a unit: 65536, 64K, 64KiB, 64M, 1G; all of them powers of 1,024.
fn bytes(text: &str) -> Result<u64, String> {
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

fn max_rejects(text: &str) -> Result<MaxRejects, String> {
    match text {
        "all" => Ok(MaxRejects::All),
        number => number.parse().map(MaxRejects::Number).map_err(|_| "a number of lines, or `all`".into()),
    }
}

fn memory(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size < 1 << 20 => Err("1M is the least that a report or a compaction gets by with".into()),
        size => Ok(size),
    }
}

fn kept(text: &str) -> Result<usize, String> {
    match bytes(text)? {
        size if size > MAX_KEPT as u64 => Err("1M is the most that is kept of a reject".into()),
        size => Ok(size as usize),
    }
}

fn segment_size(text: &str) -> Result<u64, String> {
    match bytes(text)? {
        size if size < 4096 => Err("a segment has at least 4096 bytes".into()),
        size => Ok(size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        <Cli as clap::CommandFactory>::command().debug_assert();
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
