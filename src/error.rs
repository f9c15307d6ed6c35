//! What went wrong, by blame: the input, the bytes of the store, its version, another writer, or the system.

use std::io;

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
        /// Why it is no event.
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
        /// The holder, where it could be read.
        pid: Option<u32>,
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

    /// What to do next, in one line.
    pub fn hint(&self) -> String {
        match self {
            Error::Input { hint, .. } => hint.clone(),
            Error::Line { .. } => {
                "mend the line and run again; or keep it as a reject, without --strict or with a larger --max-rejects"
                    .into()
            }
            Error::Corruption(_) => {
                "nothing was changed; `chatwal verify` lists all that is damaged, `chatwal repair` saves \
                                     what is intact and says what to ingest again; or restore the store from a backup"
                    .into()
            }
            Error::Version { .. } => "use the chatwal that wrote this store, or a newer one".into(),
            Error::Locked { .. } => "wait for it to end, or stop it: what it acknowledged is safe".into(),
            Error::NoStore { .. } => {
                "name a store with --store DIR; `chatwal ingest --store DIR FILE` makes one".into()
            }
            Error::Io { path, .. } if path == "standard output" => {
                "see to what takes the output, and run again; the store is as it was".into()
            }
            Error::Io { source, .. } if is_full(source) => {
                "make room and run again: what was acknowledged is safe, and the rerun continues after it".into()
            }
            Error::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "check the owner and the permissions, and run again".into()
            }
            Error::Io { .. } => "see to the cause and run again: what was acknowledged is safe".into(),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}
