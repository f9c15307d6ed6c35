//! A variable of the environment for each option: `CHATWAL_` and the option's name. The command line goes before it.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;

use clap::builder::BoolishValueParser;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

const PREFIX: &str = "CHATWAL_";

/// What a flag's variable may say so that it is as if it was not set. An empty variable is that for every option.
const OFF: [&str; 6] = ["0", "n", "no", "f", "false", "off"];

/// Options that stand in for arguments: a variable for the one does not count where the other is typed.
const STANDS_IN: [(&str, &str); 1] = [("files_from", "files")];

/// Options that say something only beside another one: their variables do not count without it.
const BESIDE: [(&str, &str); 2] = [("flush_interval", "follow"), ("poll", "follow")];

/// Whether a variable for any option may be set.
pub fn is_used() -> bool {
    env::vars_os().any(|(name, _)| name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Gives each option its variable, except those whose id is in `overruled`.
pub fn named(command: Command, overruled: &BTreeSet<String>) -> Command {
    let command = command.mut_args(|arg| match variable(&arg) {
        Some(_) if overruled.contains(arg.get_id().as_str()) => arg,
        Some(name) => with(arg, &name),
        None => arg,
    });
    command.mut_subcommands(|below| named(below, overruled))
}

/// The variable for an option; positional arguments have none.
fn variable(arg: &Arg) -> Option<String> {
    arg.get_long().map(variable_of)
}

/// The variable for an option of this name.
pub fn variable_of(option: &str) -> String {
    format!("{PREFIX}{}", option.to_uppercase().replace('-', "_"))
}

fn with(arg: Arg, name: &str) -> Arg {
    let is_flag = matches!(arg.get_action(), ArgAction::SetTrue);
    if env::var_os(name).is_some_and(|value| value.is_empty() || is_flag && is_off(&value)) {
        // clap would take it for a value.
        return arg;
    }
    let arg = if is_flag { arg.value_parser(BoolishValueParser::new()) } else { arg };
    arg.env(name.to_string()).hide_env_values(true)
}

/// Whether a flag's variable says that it is not set.
fn is_off(value: &OsStr) -> bool {
    value.to_str().is_some_and(|text| OFF.contains(&text.to_lowercase().as_str()))
}

/// The options whose variables do not count, since the command line says something that they do not go together with, or nothing that
/// they concern.
pub fn overruled(command: &Command, matches: &ArgMatches) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let (mut command, mut matches) = (command, matches);
    loop {
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let (typed, others): (Vec<&Arg>, Vec<&Arg>) = command
            .get_arguments()
            .partition(|arg| has(matches, arg.get_id().as_str()) && is_typed(arg.get_id().as_str()));
        let below = matches.subcommand().and_then(|(name, below)| Some((command.find_subcommand(name)?, below)));
        for arg in others {
            let id = arg.get_id().as_str();
            let excludes = |one: &Arg, other: &Arg| {
                command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id())
            };
            let excluded = typed.iter().any(|typed| excludes(arg, typed) || excludes(typed, arg));
            let stands_in = STANDS_IN
                .iter()
                .any(|(option, argument)| *option == id && typed.iter().any(|typed| typed.get_id() == argument));
            let is_set = |option: &str| {
                let name = command.get_arguments().find(|arg| arg.get_id() == option).and_then(variable);
                let value = name.and_then(env::var_os);
                is_typed(option) || value.is_some_and(|value| !value.is_empty() && !is_off(&value))
            };
            let is_alone = BESIDE.iter().any(|(option, other)| *option == id && !is_set(other));
            if excluded || stands_in || is_alone || (below.is_some() && !arg.is_global_set()) {
                found.insert(id.to_string());
            }
        }
        match below {
            Some(next) => (command, matches) = next,
            None => return found,
        }
    }
}

/// Whether clap knows the argument here: asking for others is an error of the program.
fn has(matches: &ArgMatches, id: &str) -> bool {
    matches.try_contains_id(id).is_ok()
}
