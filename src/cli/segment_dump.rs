//! `chatwal dump` as a program of its own: for a segment that was copied off a machine, with nothing else at hand.

#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

#[allow(dead_code, reason = "it reads no standard input")]
mod descriptors;
mod process;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use chatwal::base::text::printable;
use clap::Parser;

/// Print segments frame by frame and snapshots block by block; needs no store and no lock
#[derive(Parser)]
#[command(
    name = "segment-dump",
    version,
    after_help = "Exit status: 0 sound, or torn at its end; 1 failure; 4 corrupt"
)]
struct Args {
    /// Segments and snapshots
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Print the events as JSON lines instead (the texts of messages are not kept)
    #[arg(long)]
    events: bool,
}

fn main() -> ExitCode {
    process::fail_in_order();
    let say = |line: &str| process::say(&format!("segment-dump: {line}"));
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(answer) if answer.use_stderr() => {
            say(&answer.to_string().trim_end().lines().map(printable).collect::<Vec<_>>().join("\n"));
            return ExitCode::from(2);
        }
        Err(help) => return ended(descriptors::stdout().and_then(|()| help.print()), say),
    };
    match descriptors::stdout() {
        Ok(()) => ExitCode::from(chatwal::show::dump::command(&args.files, args.events, &say)),
        closed => ended(closed, say),
    }
}

/// What came of writing to standard output; a closed pipe is nobody's fault.
fn ended(written: io::Result<()>, say: impl Fn(&str)) -> ExitCode {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            say(&format!("error: standard output: cannot write to: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}
