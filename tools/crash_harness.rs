//! `crash-harness`: kills the real program on a real disk, again and again, and says whether anything was lost.
//!
//! It shares no code with the store. What has to come out is told by the naive oracle of the tests, which reads the input
//! with serde_json and folds it in ordered maps; what was acknowledged is taken from what the program printed before it died.

#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

#[path = "crash_harness/calls.rs"]
mod calls;
#[path = "../tests/support/dice.rs"]
mod dice;
#[path = "crash_harness/inputs.rs"]
mod inputs;
#[path = "../tests/support/naive.rs"]
mod naive;
#[path = "crash_harness/outcome.rs"]
mod outcome;
#[path = "crash_harness/random.rs"]
mod random;
#[path = "crash_harness/work.rs"]
mod work;
#[path = "crash_harness/workload.rs"]
mod workload;

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use work::{Failure, Harness, Tally};
use workload::{WORKLOADS, Workload};

const AFTER: &str = "\
After each kill: readers answer at once, and their report is the oracle's of exactly the bytes that `sources` names; what was
acknowledged is there. After the rerun: the oracle's report, each rejected line once, no input read again from before what
was acknowledged, at most 32 MiB read again, and no temporary files.

A case that fails stays in the directory, and the command that repeats it is printed.

Exit status: 0 no difference, 1 a difference or nothing could be tried, 2 wrong usage

Examples:
  crash-harness random --seconds 60               kills at random moments, for a minute, on the disk of this directory
  crash-harness random --seconds 604800           the same for a week
  crash-harness calls                             every system call that changes the disk, and every one of the rerun (strace)";

/// Kill chatwal, run it again, and compare what comes out with an oracle
#[derive(Debug, Parser)]
#[command(name = "crash-harness", version, after_help = AFTER, max_term_width = 100)]
struct Options {
    /// Where the kills fall
    #[arg(value_enum, value_name = "MODE")]
    mode: Mode,

    /// Where to work: on the disk to be tested. It is made, and removed again unless something fails
    #[arg(long, value_name = "DIR", default_value = "crash-harness.work")]
    directory: PathBuf,

    /// Stop after so many seconds
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,

    /// Stop after so many rounds of mode random [default: 20, unless --seconds is given]
    #[arg(long, value_name = "N")]
    rounds: Option<u64>,

    /// Another seed makes other inputs and other moments
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Lines of the inputs together [default: 40000 of mode random, 240 of mode calls]
    #[arg(long, value_name = "N")]
    lines: Option<u64>,

    /// Only these workloads
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = clap::builder::PossibleValuesParser::new(names()))]
    workload: Vec<String>,

    /// In mode calls, kill the rerun only after one in so many kills; 0 leaves it alone
    #[arg(long, value_name = "K", default_value_t = 1)]
    follow: u64,

    /// In mode calls, only this case, as a failure named it: WORKLOAD/CALL:N or WORKLOAD/CALL:N/CALL:N
    #[arg(long, value_name = "CASE")]
    only: Option<String>,

    /// Runs side by side
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: u16,

    /// The program under test [default: chatwal beside this program]
    #[arg(long, value_name = "FILE")]
    chatwal: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// At random moments of a command, and of its reruns
    Random,
    /// Before the N-th system call that changes the disk, for every call and every N, and at each one of the rerun
    Calls,
}

fn names() -> Vec<&'static str> {
    WORKLOADS.iter().map(|workload| workload.name).collect()
}

fn main() -> ExitCode {
    match run(Options::parse()) {
        Ok(tally) if tally.kills > 0 => {
            tell("verdict: no difference");
            ExitCode::SUCCESS
        }
        Ok(_) => {
            tell("verdict: none, nothing was killed");
            ExitCode::FAILURE
        }
        Err(Failure { case, problem, kept, again }) => {
            tell(&format!("verdict: DIFFERENCE in {case}\n{problem}"));
            if let Some(kept) = kept {
                tell(&format!("kept: {}", kept.display()));
            }
            if let Some(again) = again {
                tell(&format!("again: {again}"));
            }
            ExitCode::FAILURE
        }
    }
}

/// Writes a line to standard output; where it is full or gone, the exit status has the verdict all the same.
fn tell(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

fn run(options: Options) -> Result<Tally, Failure> {
    let started = Instant::now();
    let deadline = options.seconds.map(|seconds| started + Duration::from_secs(seconds));
    let wanted =
        |workload: &&Workload| options.workload.is_empty() || options.workload.iter().any(|it| it == workload.name);
    let mut workloads: Vec<&Workload> = WORKLOADS.iter().filter(wanted).collect();
    if let Some(only) = &options.only {
        workloads.retain(|workload| only.split('/').next() == Some(workload.name));
    }
    let harness = Harness::new(&options.directory, options.chatwal.as_deref(), options.seed)?;
    let tally = match options.mode {
        Mode::Random => {
            let rounds = options.rounds.unwrap_or(if deadline.is_some() { u64::MAX } else { 20 });
            random::run(&harness, &workloads, options.lines.unwrap_or(40_000), rounds, deadline)?
        }
        Mode::Calls => {
            let plan = calls::Plan {
                lines: options.lines.unwrap_or(240),
                follow: options.follow,
                only: options.only.as_deref(),
                jobs: usize::from(options.jobs),
                deadline,
            };
            calls::run(&harness, &workloads, &plan)?
        }
    };
    tell(&format!("{tally} in {:.1} s", started.elapsed().as_secs_f64()));
    harness.remove();
    Ok(tally)
}
