//! `chatwal-generate`: writes a workload of chat events as JSON lines, to measure with and to test with.
//!
//! Line `p` of the output is a pure function of the options and `p`, and keeps nothing from one line to the next, so a
//! workload of any size takes constant memory and as many threads as there are. Three mappings make a line:
//!
//! ```text
//! position in the output ── Order ──▶ slot in order of time ── Slots ──▶ event ── Events ──▶ its values
//! ```
//!
//! `Order` is a permutation, `Slots` gives each event a slot and its copies the slots beside it, and the values of an
//! event are hashes of (seed, event). Only how a line is laid out depends on its position.
//!
//! No two events of a workload share a timestamp and copies are equal, since the peers chatwal is compared with are
//! right only for such input.

#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

mod event;
mod order;
mod output;
mod plain;
mod random;
mod shuffled;
#[cfg(test)]
mod testing;
mod workload;
mod wrong;

#[cfg(test)]
#[path = "../../tests/support/naive.rs"]
mod naive;

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;

use clap::{Parser, ValueEnum};

use output::write_lines;
use workload::Workload;

/// The most lines of a workload; so that a product of two counts fits in 64 bits.
const MAX_LINES: u64 = 4_000_000_000;

/// Write a workload of chat events as JSON lines
///
/// The output is a pure function of the options, except --threads and --output: the same options and seed give the same
/// bytes. No two events share a timestamp; ids are unique; copies of an event are equal.
#[derive(Clone, Debug, Parser)]
#[command(name = "chatwal-generate", version)]
pub struct Options {
    /// Lines in all, copies and bad lines included (10000000, 10_000_000 or 10M)
    #[arg(short = 'n', long, value_name = "N", value_parser = parse_count)]
    lines: u64,

    /// Sites that the events are dealt to at random; one for every 50 lines unless given
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    sites: Option<u64>,

    /// Share of the lines that repeat an event, 0 to 0.99; or 15x: each event is written 15 times
    ///
    /// Repeats are spread evenly: how often two events are written differs by 1 at most.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_copies)]
    copies: f64,

    /// Order of the lines in time; nearly-sorted moves each by less than 1,000 lines
    #[arg(long, value_enum, default_value_t = Ordering::Random)]
    order: Ordering,

    /// Which sites are busy; hot: four sites have half of the events, the hottest of them a quarter of all
    #[arg(long, value_enum, default_value_t = Skew::Uniform)]
    skew: Skew,

    /// Another seed gives another workload
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,

    /// Layout of the JSON
    #[arg(long, value_enum, default_value_t = Style::Compact)]
    style: Style,

    /// Share of the lines that are wrong, each in one of many ways, 0 to 1; they take the place of good ones
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = parse_share)]
    bad: f64,

    /// Visitors of each site
    #[arg(long, value_name = "N", default_value = "5", value_parser = parse_positive)]
    visitors: u64,

    /// Operators of each site
    #[arg(long, value_name = "N", default_value = "2", value_parser = parse_positive)]
    operators: u64,

    /// Make ids and the names of sites, visitors and operators N bytes long, up to 1,024; those that are longer stay as they are
    #[arg(long, value_name = "N", value_parser = parse_name_bytes)]
    name_bytes: Option<usize>,

    /// Make the names of sites N bytes long, whatever --name-bytes says
    #[arg(long, value_name = "N", value_parser = parse_name_bytes)]
    site_bytes: Option<usize>,

    /// Share of the events that are statuses, 0 to 1; the rest are messages
    #[arg(long, value_name = "SHARE", default_value = "0.1", value_parser = parse_share)]
    status_share: f64,

    /// Write to FILE instead of the standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Threads that make lines; one for each core unless given
    #[arg(long, value_name = "N", value_parser = parse_positive)]
    threads: Option<u64>,
}

impl Options {
    fn threads(&self) -> u64 {
        let cores = || thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        self.threads.unwrap_or_else(cores)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Ordering {
    Random,
    Sorted,
    NearlySorted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Skew {
    Uniform,
    Hot,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Style {
    /// No white space
    Compact,
    /// White space as Python's json.dumps writes it
    Spaced,
    /// Any order of keys, unknown keys, white space, escapes, non-ASCII text; a copy may look different
    Shuffled,
}

/// What the program prints for these words, which stand between spaces.
pub fn generated(words: &str) -> Result<Vec<u8>, String> {
    let words = ["chatwal-generate"].into_iter().chain(words.split_whitespace());
    let options = Options::try_parse_from(words).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    write_lines(&Workload::new(&options), options.threads(), &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Writes the workload where the options say.
pub fn generate(options: &Options) -> io::Result<()> {
    let workload = Workload::new(options);
    let threads = options.threads();
    match &options.output {
        Some(path) => write_lines(&workload, threads, &mut File::create(path)?),
        None => write_lines(&workload, threads, &mut io::stdout().lock()),
    }
}

/// A count: `1000000`, `1_000_000`, `1000k` or `1M`.
fn parse_count(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.as_bytes().last() {
        Some(b'k' | b'K') => (&text[..text.len() - 1], 1_000),
        Some(b'm' | b'M') => (&text[..text.len() - 1], 1_000_000),
        Some(b'g' | b'G') => (&text[..text.len() - 1], 1_000_000_000),
        _ => (text, 1),
    };
    let count = digits.replace('_', "").parse::<u64>().map_err(|error| error.to_string())?;
    match count.checked_mul(unit) {
        Some(count) if count <= MAX_LINES => Ok(count),
        _ => Err(format!("more than {MAX_LINES}")),
    }
}

fn parse_positive(text: &str) -> Result<u64, String> {
    match parse_count(text)? {
        0 => Err("must be at least 1".to_owned()),
        count => Ok(count),
    }
}

/// How long names are made: a reader rejects longer ones.
fn parse_name_bytes(text: &str) -> Result<usize, String> {
    match parse_positive(text)? {
        bytes if bytes <= 1_024 => Ok(bytes as usize),
        _ => Err("must be at most 1024".to_owned()),
    }
}

fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        Ok(_) => Err("must be between 0 and 1".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The share of copies, or how many times each event is written.
fn parse_copies(text: &str) -> Result<f64, String> {
    if let Some(times) = text.strip_suffix('x') {
        return Ok(1.0 - 1.0 / parse_positive(times)? as f64);
    }
    match parse_share(text)? {
        share if share <= 0.99 => Ok(share),
        _ => Err("must be at most 0.99".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_options_are_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn counts_and_shares_are_read() {
        assert_eq!(parse_count("10_000_000"), Ok(10_000_000));
        assert_eq!(parse_count("10M"), Ok(10_000_000));
        assert_eq!(parse_count("1k"), Ok(1_000));
        assert_eq!(parse_copies("0.5"), Ok(0.5));
        assert_eq!(parse_copies("4x"), Ok(0.75));
        for wrong in ["", "k", "-1", "1.5", "4000000001", "99999999999999999999G", "é"] {
            assert!(parse_count(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_name_bytes("1024"), Ok(1_024));
        for wrong in ["0", "1025", "-1", ""] {
            assert!(parse_name_bytes(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "1", "-0.1", "NaN", "0x", "x"] {
            assert!(parse_copies(wrong).is_err(), "{wrong}");
        }
    }
}
