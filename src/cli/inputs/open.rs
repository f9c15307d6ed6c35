//! Opening inputs: files, pipes, standard input.

use std::ffi::OsString;
use std::path::Path;

use chatwal::error::{Error, Result};
use chatwal::intake::packed::PARTS;
use chatwal::intake::source::{Source, SourceOptions};

use crate::args::{Global, InputArgs};
use crate::descriptors;

/// How to open an input.
pub(super) fn options(args: &InputArgs, global: &Global) -> SourceOptions {
    SourceOptions { memory: global.memory / PARTS, foreign: args.input.is_none() }
}

/// Opens an input.
pub(super) fn open(file: &OsString, args: &InputArgs, global: &Global) -> Result<Source> {
    let options = options(args, global);
    if file == "-" {
        check_stdin()?;
        return Source::stdin(options);
    }
    Source::open_with(Path::new(file), options)
}

fn check_stdin() -> Result<()> {
    descriptors::stdin().map_err(|error| Error::Input {
        input: "-".into(),
        problem: format!("cannot read standard input: {error}"),
        hint: "pass the input on it, or name a file".into(),
    })
}

/// Whether there is something to read. What is neither a file nor a directory is not opened: a pipe can be opened only once.
pub(super) fn check(file: &OsString, args: &InputArgs, global: &Global) -> Result<()> {
    if file == "-" {
        return check_stdin();
    }
    match std::fs::metadata(file) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => Ok(()),
        // Opening says what is wrong with it.
        _ => open(file, args, global).map(|_| ()),
    }
}

/// Whether an input is there for this process alone, or for one reading: a pipe, and what a shell makes of `<(...)`.
pub(super) fn is_passing(file: &Path) -> bool {
    let of_a_process = file.starts_with("/dev/fd")
        || file == Path::new("/dev/stdin")
        || file.starts_with("/proc") && file.components().any(|part| part.as_os_str() == "fd");
    of_a_process || std::fs::metadata(file).is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// Whether there may be several inputs, though no more than one is named.
pub(super) fn is_many(args: &InputArgs) -> bool {
    args.files_from.is_some() || args.recursive && args.files.iter().any(|file| Path::new(file).is_dir())
}

/// Raises the number of files that this process may have open to what it may be raised to; gives that.
pub(super) fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: maximum, maximum };
    let limit = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => maximum,
        Err(_) => current,
    };
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}
