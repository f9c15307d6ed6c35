//! The command line as people meet it: the arguments, with commands in groups, examples, and variables of the environment.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use crate::args::Cli;
use crate::environment;

/// Every command, by what it is for.
const GROUPS: [(&str, &[&str]); 4] = [
    ("Everyday", &["run", "ingest", "report", "timeline", "watch", "rejects", "sources", "stat"]),
    ("Care of a store", &["compact", "backup", "verify", "repair"]),
    ("Debugging", &["dump"]),
    ("About chatwal", &["help", "man", "completions"]),
];

/// Examples of a command: what to type, and why where that does not tell itself.
type Examples = &'static [(&'static str, &'static str)];

/// By the command. A test runs them all, where there is a `chat.jsonl`, its store `chats`, and rejects in it.
const EXAMPLES: [(&str, Examples); 19] = [
    (
        "chatwal",
        &[
            ("The whole job: into chat.jsonl.chatwal, then the report", "chatwal run chat.jsonl"),
            ("The same in two steps, with a store that you name", "chatwal ingest --store chats chat.jsonl"),
            ("", "chatwal report --store chats"),
        ],
    ),
    ("segment-dump", &[("", "segment-dump chats/0000000001.wal")]),
    (
        "run",
        &[
            ("", "chatwal run chat.jsonl"),
            (
                "Many files, into a store that you name",
                "chatwal run --store chats chat.jsonl old.jsonl.gz > report.txt",
            ),
        ],
    ),
    (
        "ingest",
        &[
            ("", "chatwal ingest --store chats chat.jsonl old.jsonl.gz"),
            ("What comes through a pipe", "zcat old.jsonl.gz | chatwal ingest --store chats -"),
            ("All files of a directory", "chatwal ingest --store chats --recursive days"),
        ],
    ),
    (
        "report",
        &[
            ("", "chatwal report --store chats"),
            ("For eyes, and of two sites only", "chatwal report --store chats --format table --site 123 124"),
            ("The last seven days", "chatwal report --store chats --since -7d"),
        ],
    ),
    ("timeline", &[("", "chatwal timeline 123 --store chats")]),
    (
        "watch",
        &[
            ("The sums, once", "chatwal watch --store chats --count 1"),
            ("All sites, as a program reads them", "chatwal watch --store chats --format ndjson --count 1"),
        ],
    ),
    (
        "rejects",
        &[
            ("", "chatwal rejects --store chats --format table"),
            (
                "Mend what can be mended",
                "chatwal rejects --store chats --raw | sed 's/siteId/site_id/' | chatwal ingest --store chats -",
            ),
        ],
    ),
    ("sources", &[("", "chatwal sources --store chats --format table")]),
    ("sources forget", &[("", "chatwal sources forget --store chats 'old*.gz'")]),
    ("stat", &[("", "chatwal stat --store chats")]),
    (
        "compact",
        &[
            ("", "chatwal compact --store chats"),
            ("How much would be read, written and freed", "chatwal compact --store chats --all --dry-run"),
        ],
    ),
    (
        "backup",
        &[
            ("", "chatwal backup --store chats copy"),
            ("And check the whole copy", "chatwal backup --store chats --verify copy"),
        ],
    ),
    ("verify", &[("", "chatwal verify --store chats")]),
    (
        "repair",
        &[
            ("What would be saved, and what is lost", "chatwal repair --store chats --dry-run"),
            ("", "chatwal repair --store chats"),
        ],
    ),
    (
        "dump",
        &[
            ("", "chatwal dump chats/0000000001.wal"),
            ("The events, as JSON lines", "chatwal dump --events chats/0000000001.wal"),
        ],
    ),
    ("help", &[("", "chatwal help report"), ("What is counted", "chatwal help meaning")]),
    (
        "man",
        &[
            ("", "chatwal man > chatwal.1"),
            ("", "chatwal man sources forget > chatwal-sources-forget.1"),
            ("The pages of all commands", "chatwal man --into pages"),
        ],
    ),
    ("completions", &[("", "chatwal completions bash > chatwal.bash")]),
];

/// What is said where nothing is asked: the commands that one most likely wants.
pub const SHORT: &str = "\
chatwal run FILE                      the whole job: FILE into FILE.chatwal, then the report
chatwal ingest --store DIR FILE...    take events in; goes on where it was left
chatwal report --store DIR            a line a site";

/// Where to go from there.
pub const SHORT_HINT: &str = "`chatwal --help` lists all commands, `chatwal help meaning` says what is counted";

const USAGE: &str = "chatwal <COMMAND> [OPTIONS] [FILE]...";

const TEMPLATE: &str = "{about-with-newline}\n{usage-heading} {usage}\n";

const AFTER: &str = "\
`chatwal help COMMAND` says more of a command, with examples. `chatwal help TOPIC` explains:
  meaning      what an event, a chat, an email and a copy are
  exit         the exit statuses
  environment  the variables that chatwal heeds";

/// What was typed, with what the environment adds.
pub fn parse() -> clap::error::Result<Cli> {
    let mut overruled = BTreeSet::new();
    if environment::is_used() {
        let mut typed = Cli::command();
        // What is wrong is said below, with the environment.
        if let Ok(matches) = typed.try_get_matches_from_mut(std::env::args_os()) {
            overruled = environment::overruled(&typed, &matches);
        }
    }
    let matches = explained(environment::named(Cli::command(), &overruled)).try_get_matches()?;
    Cli::from_arg_matches(&matches)
}

/// What to type instead, where the parser does not know it.
pub fn hint(wrong: &clap::Error) -> Option<String> {
    let name = |kind| match wrong.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        Some(ContextValue::Strings(texts)) => texts.first().map(String::as_str),
        _ => None,
    };
    let named = name(ContextKind::InvalidArg).unwrap_or_default();
    match wrong.kind() {
        ErrorKind::UnknownArgument if !named.starts_with('-') => {
            Some("a store is named with --store DIR, or in the environment as CHATWAL_STORE".into())
        }
        ErrorKind::MissingRequiredArgument if named.contains("<FILE>") => {
            Some("name the inputs; `-` is standard input".into())
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            let option = named.split_whitespace().next()?.strip_prefix("--")?;
            let variable = environment::variable_of(option);
            std::env::var_os(&variable).map(|_| format!("{variable} is set in the environment"))
        }
        _ => None,
    }
}

/// For manual pages and completions.
pub fn whole() -> Command {
    environment::named(Cli::command(), &BTreeSet::new())
}

/// The program segment-dump, for its manual page: `chatwal dump` and nothing else.
pub fn segment_dump() -> Command {
    let mut whole = Cli::command();
    let dump = whole.find_subcommand_mut("dump").map_or_else(Command::default, std::mem::take);
    dump.name("segment-dump").display_name("segment-dump").bin_name("segment-dump").version(env!("CARGO_PKG_VERSION"))
}

/// The help of a command, by its words: of `chatwal` itself if there are none.
pub fn help(words: &[String]) -> Option<clap::builder::StyledStr> {
    let mut whole = explained(whole());
    whole.build();
    let mut command = &mut whole;
    for word in words {
        command = command.find_subcommand_mut(word)?;
    }
    Some(command.render_help())
}

/// What to type for a command, in one line.
pub fn usage(command: &Command) -> String {
    if command.get_name() == "chatwal" {
        return USAGE.into();
    }
    let usage = command.clone().render_usage().to_string();
    usage.trim_start_matches("Usage: ").trim_end().into()
}

/// The examples of a command, a line for each, and one before it where it says why.
pub fn examples(name: &str) -> String {
    let mut text = String::new();
    let of = EXAMPLES.iter().filter(|(command, _)| *command == name).flat_map(|(_, examples)| *examples);
    for (why, example) in of {
        if !why.is_empty() {
            let _ = writeln!(text, "  # {why}");
        }
        let _ = writeln!(text, "  $ {example}");
    }
    text
}

/// Adds what helps say beside the arguments.
fn explained(command: Command) -> Command {
    let mut groups = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(groups, "\n{group}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let _ = writeln!(groups, "  {name:<13}{}", about.cloned().unwrap_or_default());
        }
    }
    let command = command.mut_subcommands(|below| with_examples(below, ""));
    // The template has the commands, in their groups.
    let command = command.mut_subcommands(|below| below.hide(true));
    command
        .override_usage(USAGE)
        .help_template(format!("{TEMPLATE}{groups}\n{{all-args}}{{after-help}}"))
        .after_help(AFTER)
}

fn with_examples(command: Command, above: &str) -> Command {
    let name = format!("{above}{}", command.get_name());
    let text = examples(&name);
    let command = command.mut_subcommands(|below| with_examples(below, &format!("{name} ")));
    if text.is_empty() { command } else { command.after_help(format!("Examples:\n{}", text.trim_end())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        explained(whole()).debug_assert();
    }

    #[test]
    fn each_command_is_in_a_group_and_has_an_example() {
        let command = Cli::command();
        for below in command.get_subcommands() {
            let name = below.get_name();
            let groups = GROUPS.iter().filter(|(_, names)| names.contains(&name)).count();
            assert_eq!(groups, 1, "{name} is in {groups} groups");
            assert!(!examples(name).is_empty(), "{name} has no example");
            let about = below.get_about().unwrap().to_string();
            assert!(about.len() <= 70, "{name}: what it does is longer than a line: {about}");
        }
        let listed: usize = GROUPS.iter().map(|(_, names)| names.len()).sum();
        assert_eq!(listed, command.get_subcommands().count());
        for (name, _) in EXAMPLES.iter().filter(|(name, _)| !["chatwal", "segment-dump"].contains(name)) {
            let mut words = name.split(' ');
            assert!(words.try_fold(&command, |command, word| command.find_subcommand(word)).is_some(), "{name}");
        }
    }
}
