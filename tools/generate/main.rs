//! `chatwal-generate`, the program.

#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

use std::io::{self, Write as _};
use std::process::ExitCode;

use chatwal::base::text::printable;
use chatwal_tools::{Options, generate};
use clap::Parser;

fn main() -> ExitCode {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if !help.use_stderr() => {
            // A closed pipe is no reason to complain about help.
            return match help.print() {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
                _ => ExitCode::SUCCESS,
            };
        }
        Err(usage) => {
            let text = usage.to_string();
            let paragraph = text.split("\n\n").next().unwrap_or_default();
            let words: Vec<&str> = paragraph.trim_start_matches("error:").split_whitespace().collect();
            say(&words.join(" "));
            return ExitCode::from(2);
        }
    };
    match generate(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            match &options.output {
                Some(path) => say(&format!("{}: {error}", path.display())),
                None => say(&format!("standard output: {error}")),
            }
            ExitCode::FAILURE
        }
    }
}

fn say(error: &str) {
    // Where stderr is full or gone, the exit status says it all the same.
    let _ = writeln!(io::stderr(), "chatwal-generate: error: {}", printable(error));
}
