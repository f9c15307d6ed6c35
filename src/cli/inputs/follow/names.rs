//! Which files are followed: those that are named, and those that patterns find.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use chatwal::base::shell::quoted;
use glob::{MatchOptions, Pattern};

use crate::args::InputArgs;
use crate::console::Console;
use crate::files::listed;
use crate::{Stop, shown};

/// What was named.
pub(super) struct Names {
    files: Vec<PathBuf>,
    /// And whether it was said that one finds nothing.
    patterns: Vec<(String, bool)>,
}

/// A star stands for no `/`, and for no dot at the start of a name.
const AS_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

impl Names {
    /// Refuses what cannot be followed.
    pub(super) fn of(args: &InputArgs, console: &Console) -> Result<Names, Stop> {
        let listed = match &args.files_from {
            Some(list) => listed(list, &args.files, console)?,
            None => Vec::new(),
        };
        let mut names = Names { files: Vec::new(), patterns: Vec::new() };
        for name in args.files.iter().chain(&listed) {
            names.add(name)?;
        }
        Ok(names)
    }

    fn add(&mut self, name: &OsString) -> Result<(), Stop> {
        let path = Path::new(name);
        let refused = |problem: &str, hint: String| Err(Stop::Usage(format!("{}: {problem}", shown(path)), hint));
        match path.metadata() {
            _ if name == "-" => {
                refused("standard input cannot be followed", "ingest reads it to its end without --follow".into())
            }
            Ok(meta) if meta.is_dir() => {
                let pattern = quoted(path.join("*.jsonl"));
                let hint = format!("name the files in it, or a pattern of them in quotes, such as {pattern}");
                refused("a directory cannot be followed", hint)
            }
            Ok(meta) if !meta.is_file() => {
                refused("only files can be followed", "ingest reads a pipe to its end without --follow".into())
            }
            Ok(_) => {
                self.files.push(path.to_owned());
                Ok(())
            }
            // A file of exactly this name goes before a pattern.
            Err(_) => match name.to_str().filter(|text| text.contains(['*', '?', '['])) {
                Some(text) => match Pattern::new(text) {
                    Ok(_) => {
                        self.patterns.push((text.to_owned(), false));
                        Ok(())
                    }
                    Err(error) => refused(
                        &format!("no pattern: {error}"),
                        "* and ? stand for any letters, [ab] for one of them".into(),
                    ),
                },
                None => {
                    self.files.push(path.to_owned());
                    Ok(())
                }
            },
        }
    }

    /// Visits each file that there is now, or is named; and whether a pattern found it.
    pub(super) fn each(&mut self, console: &Console, visit: &mut dyn FnMut(&Path, bool)) {
        for path in &self.files {
            visit(path, false);
        }
        for (pattern, was_told) in &mut self.patterns {
            // What cannot be looked through now may be later.
            let found = glob::glob_with(pattern, AS_A_SHELL).into_iter().flatten().flatten();
            let mut is_empty = true;
            for path in found.filter(|path| path.is_file()) {
                is_empty = false;
                visit(&path, true);
            }
            if is_empty && !std::mem::replace(was_told, true) {
                console.note(&format!("{pattern}: no file there yet; waiting for one"));
            }
        }
    }
}
