//! What came of a case, and of all of them.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Something is not as it must be.
#[derive(Debug)]
pub struct Failure {
    /// What was tried.
    pub case: String,
    /// What is wrong.
    pub problem: String,
    /// Where the store is, as it was found.
    pub kept: Option<PathBuf>,
    /// The command that tries it again.
    pub again: Option<String>,
}

impl Failure {
    /// A difference; the store stays as it is.
    pub fn of(case: String, problem: String, store: &Path, again: String) -> Failure {
        Failure { case, problem, kept: Some(store.to_owned()), again: Some(again) }
    }

    /// Something that is no difference, but keeps the harness from working.
    pub fn setup(problem: impl Into<String>) -> Failure {
        Failure { case: "the harness itself".into(), problem: problem.into(), kept: None, again: None }
    }
}

/// `map_err` for calls to the system that have nothing to do with what is tested.
pub fn setup<'a>(what: &'a str, path: &'a Path) -> impl FnOnce(io::Error) -> Failure + 'a {
    move |error| Failure::setup(format!("cannot {what} {}: {error}", path.display()))
}

/// What was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    /// Runs of a workload that was brought to its end and compared with the oracle.
    pub rounds: u64,
    /// Processes killed.
    pub kills: u64,
    /// Of these, reruns after a kill.
    pub recoveries_killed: u64,
    /// Reruns that came to their end.
    pub recoveries: u64,
    /// Bytes of inputs read again, all reruns together, and the most by one.
    pub reread: u64,
    /// The most that one rerun read again.
    pub most_reread: u64,
}

impl Tally {
    /// Adds another.
    pub fn add(&mut self, other: &Tally) {
        self.rounds += other.rounds;
        self.kills += other.kills;
        self.recoveries_killed += other.recoveries_killed;
        self.recoveries += other.recoveries;
        self.reread += other.reread;
        self.most_reread = self.most_reread.max(other.most_reread);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { rounds, kills, recoveries_killed, recoveries, reread, most_reread } = self;
        write!(
            out,
            "{rounds} rounds, {kills} kills ({recoveries_killed} of them of a rerun), {recoveries} recoveries, {reread} \
             bytes read again (at most {most_reread} at once)"
        )
    }
}
