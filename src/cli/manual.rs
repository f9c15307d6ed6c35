//! Manual pages and completions, made from the definition of the arguments.

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use chatwal::base::text::printable;
use chatwal::error::{Error, Result};
use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use crate::args::{CompletionsArgs, ManArgs};
use crate::{Stop, definition, print_unwatched, shown, status, topics};

/// The day of the version, as CHANGELOG.md has it.
const RELEASED: &str = "2026-11-27";

/// `chatwal completions SHELL`.
pub fn completions(args: &CompletionsArgs) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut definition::whole(), "chatwal", &mut script);
    print_unwatched(|out| out.write_all(&script))?;
    Ok(status::DONE)
}

/// `chatwal man`.
pub fn man(args: &ManArgs) -> std::result::Result<u8, Stop> {
    let mut whole = definition::whole();
    whole.build();
    match &args.into {
        None => {
            let found = args.words.iter().try_fold(&whole, |command, word| command.find_subcommand(word));
            let Some(command) = found else {
                let problem = format!("there is no command {}", printable(&args.words.join(" ")));
                return Err(Stop::Usage(problem, "`chatwal help` lists the commands".into()));
            };
            print_unwatched(|out| page(command, out))?;
        }
        Some(directory) => {
            fs::create_dir_all(directory).map_err(Error::io("create", shown(directory)))?;
            write_pages(&whole, directory)?;
            write_pages(&definition::segment_dump(), directory)?;
        }
    }
    Ok(status::DONE)
}

/// Writes the page of a command and those of the ones below it.
fn write_pages(command: &Command, directory: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    let path = directory.join(format!("{}.1", full_name(command)));
    page(command, &mut bytes).and_then(|()| fs::write(&path, bytes)).map_err(Error::io("write to", shown(&path)))?;
    command.get_subcommands().try_for_each(|below| write_pages(below, directory))
}

/// `chatwal-sources-forget`.
fn full_name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

/// A command's page.
fn page(command: &Command, out: &mut dyn Write) -> io::Result<()> {
    let is_main = full_name(command) == "chatwal";
    let source = concat!("chatwal ", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).manual("chatwal").source(source).date(RELEASED);
    man.render_title(out)?;
    man.render_name_section(out)?;
    literal("SYNOPSIS", &definition::usage(command), out)?;
    man.render_description_section(out)?;
    if is_main {
        man.render_subcommands_section(out)?;
        literal("WHAT IS COUNTED", topics::text("meaning"), out)?;
    }
    man.render_options_section(out)?;
    if command.has_subcommands() && !is_main {
        man.render_subcommands_section(out)?;
    }
    let name =
        full_name(command).strip_prefix("chatwal-").map_or(full_name(command).into(), |name| name.replace('-', " "));
    literal("EXAMPLES", &definition::examples(&name), out)?;
    if is_main {
        literal("EXIT STATUS", topics::text("exit"), out)?;
        literal("ENVIRONMENT", topics::text("environment"), out)?;
    } else {
        literal("EXIT STATUS", "0 if all is well. chatwal(1) lists the others; so does `chatwal help exit`.", out)?;
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]);
    let others = if is_main { "chatwal-store(5), segment-dump(1)" } else { "chatwal(1), chatwal-store(5)" };
    roff.text([roman(others)]);
    roff.to_writer(out)
}

/// A section whose lines stay as they are.
fn literal(heading: &str, text: &str, out: &mut dyn Write) -> io::Result<()> {
    let mut roff = Roff::new();
    roff.control("SH", [heading]);
    roff.control("nf", None);
    for line in text.trim_end().lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", None);
    roff.to_writer(out)
}

#[cfg(test)]
mod tests {
    use super::RELEASED;

    #[test]
    fn the_day_is_that_of_the_changelog() {
        let heading = format!("## [{}] - {RELEASED}", env!("CARGO_PKG_VERSION"));
        assert!(
            include_str!("../../CHANGELOG.md").lines().any(|line| line == heading),
            "CHANGELOG.md has no {heading}"
        );
    }
}
