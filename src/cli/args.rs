//! The command line's arguments, as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use chatwal::intake::ingest::MaxRejects;
use chatwal::show::render::Format;
use chatwal::store::Position;
use clap::builder::{OsStringValueParser, TypedValueParser as _};
use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

mod values;

use crate::allow::{Allowed, allowed};
use crate::times::{Moment, moment, timezone};
pub use values::{Color, DurabilityArg, FormatArg, ProgressStyle, ReportFormatArg, ShapeArg, UnitArg, WatchFormatArg};
use values::{bytes, duration, kept, max_rejects, memory, position, segment_size};

const ABOUT: &str = "A crash-safe, append-only event store for chat activity, and the report over it";

/// Over the options that nobody needs every day.
const SELDOM: &str = "Advanced options";

/// The whole command line.
#[derive(Parser)]
#[command(name = "chatwal", version = version(), about = ABOUT, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Option<Command>,
}

fn version() -> &'static str {
    concat!(env!("CARGO_PKG_VERSION"), " (format 1)")
}

#[derive(Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The store's directory
    // An empty one is none, as an empty variable is: not clap's to refuse.
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub store: Option<PathBuf>,
    /// Memory that a command may use, such as 128M or 1G; what does not fit goes to temporary files. Half of it is the largest
    /// window of zstd or dictionary of xz that an input may have (8M in any case)
    #[arg(long, global = true, value_name = "BYTES", value_parser = memory, default_value = "128M")]
    pub memory: u64,
    /// Where temporary files are [default: $TMPDIR or /tmp; of what writes to the store, the store]
    #[arg(help_heading = SELDOM)]
    #[arg(long, global = true, value_name = "DIR")]
    #[arg(value_parser = OsStringValueParser::new().map(PathBuf::from))]
    pub temp: Option<PathBuf>,
    /// Threads that work, four at most where there are fewer processors [default: as many as there are processors]
    #[arg(help_heading = SELDOM)]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Say nothing but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: copies, disagreements, every recovery step
    #[arg(short, long, global = true)]
    pub verbose: bool,
    /// When to colour messages
    #[arg(help_heading = SELDOM)]
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: Color,
    /// How to show progress on stderr; auto: a bar where that is a terminal
    #[arg(help_heading = SELDOM)]
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "HOW")]
    pub progress: ProgressStyle,
}

#[derive(Subcommand)]
pub enum Command {
    /// The whole job: ingest FILE into FILE.chatwal, then report
    Run(RunArgs),
    /// Append events of files or standard input; goes on where it was left
    Ingest(IngestArgs),
    /// Print one line a site: chats, emails, operators, visitors
    Report(ReportArgs),
    /// Print when a site was online, and what came in meanwhile
    Timeline(TimelineArgs),
    /// Show the counts as they move: on a screen, or a line a change
    Watch(WatchArgs),
    /// Fold sealed segments into a snapshot, which reports read faster
    Compact(CompactArgs),
    /// Copy the store, or what is new of it, to a directory that is a store
    Backup(BackupArgs),
    /// Check every checksum and every order of the store; changes nothing
    Verify,
    /// Save what is intact of a damaged store, and say what is lost
    Repair(RepairArgs),
    /// Print segments frame by frame and snapshots block by block
    Dump(DumpArgs),
    /// List the lines that were not events, and what to write instead
    Rejects(RejectsArgs),
    /// List the inputs and how far each was read
    Sources(SourcesArgs),
    /// Print files, bytes, events, copies, time range
    Stat(ListArgs),
    /// Explain a command, or a topic: meaning, exit, environment
    Help(HelpArgs),
    /// Print the script that makes a shell complete commands and options
    Completions(CompletionsArgs),
    /// Print the manual page of chatwal or of a command
    Man(ManArgs),
}

#[derive(Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub output: ReportOutputArgs,
}

#[derive(Args)]
pub struct IngestArgs {
    #[command(flatten)]
    pub input: InputArgs,
    #[command(flatten)]
    pub follow: FollowArgs,
}

#[derive(Args)]
pub struct FollowArgs {
    /// Go on reading what is appended to the files, through rotation, until SIGTERM or Ctrl-C. A file need not be there yet; a
    /// pattern in quotes, such as '/var/log/chat/*.jsonl', also finds new ones
    #[arg(long, conflicts_with_all = ["recursive", "from_start", "check"])]
    pub follow: bool,
    /// With --follow: how soon what was read is durable, such as 500ms or 2s
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "500ms", requires = "follow")]
    pub flush_interval: Duration,
    /// With --follow: how often to look at the files
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "250ms", requires = "follow")]
    pub poll: Duration,
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
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub input: Option<ShapeArg>,
    /// Compare more of the inputs with what was read of them before: all that is kept of rejected lines and of what is around them, and
    /// not only a few places at growing distances
    #[arg(help_heading = SELDOM)]
    #[arg(long, conflicts_with = "from_start")]
    pub check: bool,
    /// How many bytes of a reject are kept, up to 1M
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_name = "BYTES", value_parser = kept, default_value = "4K")]
    pub keep_rejects: usize,
    /// Exit with 0 although the store holds rejects of the inputs named, if they are at most N, or at most P percent of their
    /// lines
    #[arg(long, value_name = "N|P%", value_parser = allowed)]
    pub allow_rejects: Option<Allowed>,
    /// What an acknowledgement survives: sync, the loss of power; os, the death of the process
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_enum, default_value = "sync", value_name = "LEVEL")]
    pub durability: DurabilityArg,
    /// Size at which the next segment begins
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_name = "BYTES", value_parser = segment_size, default_value = "128M")]
    pub segment_size: u64,
    /// Read inputs from their start, though the store knows them; their old checkpoints and rejects are forgotten
    #[arg(long)]
    pub from_start: bool,
    /// Bytes of sealed segments at which they are folded into a snapshot, beside the ingest
    #[arg(help_heading = SELDOM)]
    #[arg(long, value_name = "BYTES", value_parser = bytes, default_value = "1G")]
    pub compact_at: u64,
    /// Leave all segments as they are
    #[arg(help_heading = SELDOM)]
    #[arg(long, conflicts_with = "compact_at")]
    pub no_compact: bool,
}

#[derive(Args)]
pub struct OutputArgs {
    /// How to print
    #[arg(long, value_enum, default_value = "line", value_name = "FORMAT")]
    pub format: FormatArg,
    #[command(flatten)]
    csv: CsvArgs,
}

impl OutputArgs {
    /// How to print.
    pub fn format(&self) -> Format {
        self.format.format(self.csv.csv_safe)
    }
}

#[derive(Args)]
struct CsvArgs {
    /// With --format csv: put an apostrophe before text that a spreadsheet would take for a formula
    #[arg(help_heading = SELDOM)]
    #[arg(long)]
    csv_safe: bool,
}

#[derive(Args)]
pub struct ReportOutputArgs {
    /// How to print; html is a page to look at
    #[arg(long, value_enum, default_value = "line", value_name = "FORMAT")]
    format: ReportFormatArg,
    /// What the events' timestamps count, for a page, dates and durations [default: told by the magnitude of the latest]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<UnitArg>,
    /// Whose days and hours a page shows: UTC, or an offset such as +02:00
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true, value_parser = timezone, default_value = "UTC")]
    pub timezone: i32,
    #[command(flatten)]
    csv: CsvArgs,
}

impl ReportOutputArgs {
    /// How to print; none if it is a page.
    pub fn format(&self) -> Option<Format> {
        self.format.listed().map(|format| format.format(self.csv.csv_safe))
    }
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
    #[command(flatten)]
    pub output: ReportOutputArgs,
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
pub struct WatchArgs {
    /// How to show it: a screen; a line of sums each time; NDJSON of the sites that changed [default: screen on a terminal, else
    /// line]
    #[arg(long, value_enum, value_name = "FORMAT")]
    pub format: Option<WatchFormatArg>,
    /// With --format ndjson: begin with the sites that may have changed since this position, as an earlier watch printed it
    #[arg(long, value_name = "POSITION", value_parser = position)]
    pub from: Option<Position>,
    /// How long to wait between two looks at the store, such as 1s or 250ms
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "1s")]
    pub interval: Duration,
    /// End after N looks at the store
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// What the events' timestamps count [default: told by the magnitude of the latest]
    #[arg(long, value_enum, value_name = "UNIT")]
    pub unit: Option<UnitArg>,
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
pub struct BackupArgs {
    /// Where the backup is: an earlier backup of this store, an empty directory, or a new one
    #[arg(value_name = "DEST")]
    pub dest: PathBuf,
    /// Check the whole backup afterwards, as `verify` does
    #[arg(long)]
    pub verify: bool,
    #[command(flatten)]
    pub output: OutputArgs,
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

#[derive(Args)]
pub struct HelpArgs {
    /// A command such as `sources forget`, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    pub words: Vec<String>,
}

#[derive(Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

#[derive(Args)]
pub struct ManArgs {
    /// A command such as `sources forget`; none for the page of chatwal itself
    #[arg(value_name = "COMMAND")]
    pub words: Vec<String>,
    /// Write the pages of all commands into DIR, a file each; it is made if it is not there
    #[arg(long, value_name = "DIR", conflicts_with = "words")]
    pub into: Option<PathBuf>,
}
