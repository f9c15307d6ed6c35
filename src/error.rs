//! What went wrong, by blame: the input, the bytes of the store, its version, another writer, or the system.

use std::io;
use std::path::Path;

use crate::base::shell::quoted;

/// The result of everything in this library that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// An error, with the place it happened at. [`Error::hint`] says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An input that cannot be read, or not any further.
    #[error("{input}: {problem}")]
    Input {
        /// The input as it was named.
        input: String,
        /// What is wrong with it.
        problem: String,
        /// What to do next.
        hint: String,
    },
    /// A rejected line, where rejects were asked to be fatal.
    #[error("{input}:{line} (byte {byte}): {reason}")]
    Line {
        /// The input as it was named.
        input: String,
        /// Number of the line, from 1.
        line: u64,
        /// Offset of the line's first byte.
        byte: u64,
        /// Why it is not an event.
        reason: String,
    },
    /// Bytes of the store that were durable and are not what was written.
    #[error(transparent)]
    Corruption(Box<Corruption>),
    /// A store of a format this program does not know.
    #[error("{file}: {found}, and this chatwal reads format 1 only")]
    Version {
        /// The file that says so.
        file: String,
        /// What it says.
        found: String,
    },
    /// Another writer holds the store.
    #[error("{store}: locked by another writer{}", pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The store's directory.
        store: String,
        /// A process that holds the lock now, if the system tells.
        pid: Option<u32>,
        /// What to do next.
        hint: String,
    },
    /// The store's directory, or the file that is written, is no longer where its path says. What was written is elsewhere or gone,
    /// and is not acknowledged.
    #[error("{path}: {problem}")]
    Displaced {
        /// The path.
        path: String,
        /// What became of it, and where what was written is.
        problem: String,
        /// What to do next.
        hint: String,
    },
    /// No store where one was expected.
    #[error("{store}: {problem}")]
    NoStore {
        /// The path.
        store: String,
        /// What is there instead.
        problem: String,
    },
    /// A call to the system that failed.
    #[error("{path}: cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which path.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Memory that the system refused.
    #[error("no memory for {what}: the system refused {bytes} bytes")]
    Memory {
        /// What it was for.
        what: &'static str,
        /// How much was needed in one piece.
        bytes: u64,
    },
}

/// Damage to bytes that were durable: where, what should be there, what is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file} (byte {offset}): corrupt: expected {expected}, found {found}")]
pub struct Corruption {
    /// Path of the file.
    pub file: String,
    /// Offset of the frame, section or field.
    pub offset: u64,
    /// What a sound file has there.
    pub expected: String,
    /// What this one has.
    pub found: String,
}

/// Something about the system that a store cannot work with. It is the source of an [`Error::Io`], and knows its hint.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{problem}")]
pub(crate) struct Unfit {
    problem: String,
    hint: String,
}

impl Unfit {
    /// An error of the system with a hint of its own.
    pub(crate) fn because(problem: impl Into<String>, hint: impl Into<String>) -> io::Error {
        io::Error::other(Unfit { problem: problem.into(), hint: hint.into() })
    }

    /// A file that would be written to has other names.
    pub(crate) fn linked(path: &str, links: u64) -> io::Error {
        let (own, path) = (quoted(format!("{path}.own")), quoted(path));
        Unfit::because(
            format!("it has {links} names (hard links), and what is written would change the file under all of them"),
            format!("give the store a file of its own, `cp -p {path} {own} && mv {own} {path}`, and run again"),
        )
    }

    /// The name for a new file is taken.
    pub(crate) fn taken() -> io::Error {
        Unfit::because(
            "somebody else made a file of this name meanwhile",
            "see whose it is, move it out of the store, and run again: what was acknowledged is safe",
        )
    }

    fn of(error: &io::Error) -> Option<&Unfit> {
        error.get_ref().and_then(|source| source.downcast_ref())
    }
}

impl From<Corruption> for Error {
    fn from(corruption: Corruption) -> Error {
        Error::Corruption(Box::new(corruption))
    }
}

impl Error {
    /// Whether there was no room: on the disk, by a quota, or by a limit on the size of files.
    pub fn is_full(&self) -> bool {
        matches!(self, Error::Io { source, .. } if is_full(source))
    }

    /// An [`Error::Io`]; for `map_err`.
    pub fn io(operation: &'static str, path: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::Io { operation, path, source }
    }

    /// A copy, for everybody who asks what failed.
    pub(crate) fn again(&self) -> Error {
        match self {
            Error::Io { operation, path, source } => {
                let source = match (Unfit::of(source), source.raw_os_error()) {
                    (Some(unfit), _) => io::Error::other(unfit.clone()),
                    (None, Some(code)) => io::Error::from_raw_os_error(code),
                    (None, None) => io::Error::new(source.kind(), source.to_string()),
                };
                Error::Io { operation, path: path.clone(), source }
            }
            Error::Displaced { path, problem, hint } => {
                Error::Displaced { path: path.clone(), problem: problem.clone(), hint: hint.clone() }
            }
            Error::Corruption(corruption) => Error::Corruption(corruption.clone()),
            Error::Input { input, problem, hint } => {
                Error::Input { input: input.clone(), problem: problem.clone(), hint: hint.clone() }
            }
            Error::Line { input, line, byte, reason } => {
                Error::Line { input: input.clone(), line: *line, byte: *byte, reason: reason.clone() }
            }
            Error::Version { file, found } => Error::Version { file: file.clone(), found: found.clone() },
            Error::Locked { store, pid, hint } => Error::Locked { store: store.clone(), pid: *pid, hint: hint.clone() },
            Error::NoStore { store, problem } => Error::NoStore { store: store.clone(), problem: problem.clone() },
            Error::Memory { what, bytes } => Error::Memory { what, bytes: *bytes },
        }
    }

    /// What to do next, in one line.
    pub fn hint(&self) -> String {
        match self {
            Error::Input { hint, .. } => hint.clone(),
            Error::Line { .. } => {
                "mend the line and run again; or keep it as a reject, without --strict or with a larger --max-rejects"
                    .into()
            }
            Error::Corruption(_) => {
                "no stored byte was changed; `chatwal verify` lists all that is damaged, `chatwal repair` saves \
                                     what is intact and says what to ingest again; or restore the store from a backup"
                    .into()
            }
            Error::Version { .. } => "use the chatwal that wrote this store, or a newer one".into(),
            Error::Locked { hint, .. } | Error::Displaced { hint, .. } => hint.clone(),
            Error::NoStore { .. } => {
                "name another with --store DIR; `chatwal ingest --store DIR FILE` makes one in an empty directory, or in a new one".into()
            }
            Error::Memory { .. } => {
                "give it more (ulimit -v, the limit of the container), or run with a smaller --memory or fewer --threads; \
                 what was acknowledged is safe"
                    .into()
            }
            Error::Io { path, .. } if path == "standard output" => {
                "see to what takes the output, and run again; nothing in the store is lost".into()
            }
            Error::Io { source, .. } if Unfit::of(source).is_some() => {
                Unfit::of(source).map(|unfit| unfit.hint.clone()).unwrap_or_default()
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                "files may not be as large here: raise the limit (ulimit -f), or use a file system that takes larger ones; what is \
                 stored stays as it is"
                    .into()
            }
            Error::Io { source, .. } if [Some(EMFILE), Some(ENFILE)].contains(&source.raw_os_error()) => {
                "raise the limit on open files (ulimit -n), and run again; what was acknowledged is safe".into()
            }
            Error::Io { source, .. } if is_full(source) => {
                "make room and run again; what is stored stays as it is".into()
            }
            Error::Io { source, path, .. } if source.kind() == io::ErrorKind::PermissionDenied => format!(
                "`ls -ld {}` shows who may use it: run as that user, get the permission, or name a store elsewhere with \
                 --store DIR",
                quoted(nearest(path))
            ),
            Error::Io { source, .. } if source.kind() == io::ErrorKind::ReadOnlyFilesystem => {
                "the file system is mounted read-only: mount it for writing, or name a store elsewhere with --store DIR; \
                 what reads works as it is"
                    .into()
            }
            Error::Io { .. } => "see to the cause and run again: what was acknowledged is safe".into(),
        }
    }
}

/// The path itself, or the longest part of it that exists.
fn nearest(path: &str) -> &Path {
    let there = |path: &&Path| path.as_os_str().is_empty() || path.symlink_metadata().is_ok();
    match Path::new(path).ancestors().find(there) {
        Some(found) if !found.as_os_str().is_empty() => found,
        _ => Path::new("."),
    }
}

/// Too many open files, of the process and of the system.
const EMFILE: i32 = rustix::io::Errno::MFILE.raw_os_error();
const ENFILE: i32 = rustix::io::Errno::NFILE.raw_os_error();

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
