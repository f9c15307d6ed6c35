//! `chatwal dump` as a program of its own: for a segment that was copied off a machine, with nothing else at hand.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Print a line a frame of segments, with checksums; needs no store and no lock
#[derive(Parser)]
#[command(
    name = "segment-dump",
    version,
    after_help = "Exit status: 0 sound, or torn at its end; 1 failure; 4 corrupt"
)]
struct Args {
    /// Segments
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the events as JSON lines instead (the texts of messages are not kept)
    #[arg(long)]
    events: bool,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let say = |line: &str| eprintln!("segment-dump: {line}");
    ExitCode::from(chatwal::dump::command(&args.files, args.events, &say))
}
