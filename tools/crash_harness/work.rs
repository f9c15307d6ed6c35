//! What is killed, and what must hold afterwards.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use chatwal::store::ACKNOWLEDGED_NAME;
use serde_json::Value;

use crate::inputs::Inputs;
pub use crate::outcome::{Failure, Tally, setup};
use crate::workload::Workload;

/// The most input that a rerun may read again: what chatwal promises to have in flight.
pub const IN_FLIGHT: u64 = 32 << 20;

/// The directory that is worked in, and the program.
pub struct Harness {
    /// The directory.
    pub directory: PathBuf,
    /// The program under test.
    pub chatwal: PathBuf,
    /// The seed.
    pub seed: u64,
    made: AtomicU64,
}

impl Harness {
    /// Makes the directory.
    pub fn new(directory: &Path, chatwal: Option<&Path>, seed: u64) -> Result<Harness, Failure> {
        fs::create_dir_all(directory).map_err(setup("make", directory))?;
        let directory = directory.canonicalize().map_err(setup("find", directory))?;
        if fs::read_dir(&directory).map_err(setup("list", &directory))?.next().is_some() {
            return Err(Failure::setup(format!("{}: not empty; name another --directory", directory.display())));
        }
        let beside = std::env::current_exe().map(|exe| exe.with_file_name("chatwal"));
        let chatwal = chatwal.map_or_else(|| beside.unwrap_or_default(), Path::to_owned);
        let chatwal = chatwal.canonicalize().map_err(setup("find (name it with --chatwal)", &chatwal))?;
        Ok(Harness { directory, chatwal, seed, made: AtomicU64::new(0) })
    }

    /// A path in it that nobody uses.
    pub fn fresh(&self, what: &str) -> PathBuf {
        self.directory.join(format!("{what}-{}", self.made.fetch_add(1, Ordering::Relaxed)))
    }

    /// Removes it all: nothing failed.
    pub fn remove(&self) {
        // Whoever finds it non-empty is told so by the next run.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

/// A workload over inputs.
pub struct Job<'a> {
    /// The harness.
    pub harness: &'a Harness,
    /// The workload.
    pub workload: &'a Workload,
    /// The inputs.
    pub inputs: &'a Inputs,
    /// The report after an undisturbed run, if the store is damaged before.
    repaired: OnceLock<Vec<u8>>,
}

/// How far each input was acknowledged.
pub type Acknowledged = BTreeMap<String, u64>;

impl<'a> Job<'a> {
    /// A workload over these inputs.
    pub fn new(harness: &'a Harness, workload: &'a Workload, inputs: &'a Inputs) -> Job<'a> {
        Job { harness, workload, inputs, repaired: OnceLock::new() }
    }

    /// The arguments of a step on a store.
    pub fn arguments(&self, step: &str, store: &Path) -> Vec<String> {
        let mut arguments =
            vec!["--store".into(), store.display().to_string(), "--threads".into(), "2".into(), "--progress".into()];
        arguments.push("json".into());
        let names = |count: usize| self.inputs.files.iter().take(count).map(|(name, _)| name.clone());
        for word in step.split_whitespace() {
            match word {
                "INPUTS" => arguments.extend(names(usize::MAX)),
                "FIRST" => arguments.extend(names(self.inputs.files.len().div_ceil(2))),
                word => arguments.push(word.into()),
            }
        }
        arguments
    }

    /// A program that runs where the inputs are.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.inputs.directory).env_remove("CHATWAL_STORE");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// The command under test.
    pub fn command(&self, store: &Path) -> Command {
        let mut command = self.program(&self.harness.chatwal);
        command.args(self.arguments(self.workload.command, store));
        command
    }

    /// Runs a step to its end; it has to succeed.
    fn step(&self, step: &str, store: &Path) -> Result<Output, String> {
        if let ["flip", file, at] = step.split_whitespace().collect::<Vec<_>>()[..] {
            let first = |suffix| listing(store).map(|names| names.into_iter().find(|name| name.ends_with(suffix)));
            let file = match file.strip_prefix('*') {
                Some(suffix) => first(suffix)?.ok_or_else(|| format!("{step}: no such file"))?,
                None => file.into(),
            };
            let path = store.join(file);
            let mut bytes = fs::read(&path).map_err(|error| format!("{step}: {error}"))?;
            let at: usize = at.parse().map_err(|error| format!("{step}: {error}"))?;
            let byte = bytes.get_mut(at).ok_or_else(|| format!("{step}: no such byte"))?;
            *byte ^= 1;
            fs::write(&path, bytes).map_err(|error| format!("{step}: {error}"))?;
            return Ok(Output { status: ExitStatusExt::from_raw(0), stdout: Vec::new(), stderr: Vec::new() });
        }
        let output = self.program(&self.harness.chatwal).args(self.arguments(step, store)).output();
        let output = output.map_err(|error| format!("{step}: {error}"))?;
        match output.status.code() {
            // 3: done, and the store holds rejected lines.
            Some(0 | 3) => Ok(output),
            _ => Err(format!("`{step}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr))),
        }
    }

    /// Makes the store that the command begins with.
    pub fn prepare(&self, store: &Path) -> Result<(), Failure> {
        for step in self.workload.before {
            self.step(step, store).map_err(Failure::setup)?;
        }
        if self.workload.damaged {
            let undisturbed = self.harness.fresh("undisturbed");
            copy(store, &undisturbed)?;
            if !self.refused(&undisturbed).map_err(Failure::setup)? {
                return Err(Failure::setup(format!("{}: the damage is none", self.workload.name)));
            }
            let report = self.step(self.workload.command, &undisturbed).and_then(|_| self.step("report", &undisturbed));
            // Of the same inputs it is the same every time.
            self.repaired.get_or_init(|| report.as_ref().map(|report| report.stdout.clone()).unwrap_or_default());
            report.map_err(Failure::setup)?;
            fs::remove_dir_all(&undisturbed).map_err(setup("remove", &undisturbed))?;
        }
        Ok(())
    }

    /// Whether readers call the store corrupt.
    fn refused(&self, store: &Path) -> Result<bool, String> {
        let output = self.program(&self.harness.chatwal).args(self.arguments("report", store)).output();
        Ok(output.map_err(|error| format!("report: {error}"))?.status.code() == Some(4))
    }

    /// What readers make of a store as a kill left it: how far each input is in it.
    pub fn look(&self, store: &Path, acknowledged: &Acknowledged) -> Result<BTreeMap<String, u64>, String> {
        let is_segment = |name: &str| name.ends_with(".wal");
        let names = if store.exists() { listing(store)? } else { Vec::new() };
        if !names.iter().any(|name| is_segment(name)) {
            // There was none yet: nothing can be acknowledged.
            return match acknowledged.values().all(|&offset| offset == 0) {
                true => Ok(BTreeMap::new()),
                false => Err(format!("no store is left, and {acknowledged:?} was acknowledged")),
            };
        }
        if self.workload.damaged && self.refused(store)? {
            return match listing(store)? == names {
                true => Ok(BTreeMap::new()),
                false => Err("a reader changed the directory".into()),
            };
        }
        let offsets = self.offsets(store)?;
        let report = self.step("report", store)?.stdout;
        if let Some(repaired) = self.repaired.get() {
            compare("a reader's report after the kill", &report, repaired)?;
        } else if self.workload.resumes {
            let oracle = self.inputs.oracle(|name| offsets.get(name).copied().unwrap_or(0));
            compare("a reader's report after the kill", &report, &oracle.report())?;
            for (name, acknowledged) in acknowledged {
                let found = offsets.get(name).copied().unwrap_or(0);
                if found < *acknowledged {
                    return Err(format!("{name}: acknowledged up to byte {acknowledged}, and {found} are left"));
                }
            }
        } else {
            // Events were all there before, and stay.
            compare("a reader's report after the kill", &report, &self.inputs.report)?;
        }
        match listing(store)? == names {
            true => Ok(offsets),
            false => Err("a reader changed the directory".into()),
        }
    }

    /// That any other writer that comes next, and does nothing else, removes what the kill left over. (The same command
    /// may write the same names again, and so hide that it doesn't.)
    fn clears_up(&self, store: &Path) -> Result<(), String> {
        let is_temporary = |names: &[String]| names.iter().any(|name| name.ends_with(".tmp"));
        if !store.exists() || !is_temporary(&listing(store)?) {
            return Ok(());
        }
        if self.workload.damaged && self.refused(store)? {
            // There is no other writer of a corrupt store.
            return Ok(());
        }
        let scratch = self.harness.fresh("next-writer");
        copy(store, &scratch).map_err(|failure| failure.problem)?;
        self.step("ingest --no-compact FIRST", &scratch)?;
        let names = listing(&scratch)?;
        fs::remove_dir_all(&scratch).map_err(|error| error.to_string())?;
        if is_temporary(&names) { Err(format!("the next writer left {names:?}")) } else { Ok(()) }
    }

    /// How far the store says that each input was read.
    fn offsets(&self, store: &Path) -> Result<BTreeMap<String, u64>, String> {
        let output = self.step("sources --format ndjson", store)?;
        let mut offsets = BTreeMap::new();
        for source in records(&output.stdout) {
            let (Some(name), Some(offset)) = (source["source"].as_str(), source["byte"].as_u64()) else {
                return Err(format!("`sources` says {source}"));
            };
            let furthest = offsets.entry(name.to_owned()).or_insert(0);
            *furthest = offset.max(*furthest);
        }
        Ok(offsets)
    }

    /// Runs the command again, to its end, on a store as a kill left it, and compares everything with the oracle.
    pub fn recover(&self, store: &Path, acknowledged: &Acknowledged) -> Result<(), String> {
        let offsets = self.look(store, acknowledged)?;
        self.clears_up(store)?;
        let output = self.step(self.workload.command, store)?;
        self.check_end(store, &output, &offsets)
    }

    /// What must hold after a run of the command that came to its end, and began with the inputs at `offsets`.
    pub fn check_end(&self, store: &Path, output: &Output, offsets: &BTreeMap<String, u64>) -> Result<(), String> {
        for (name, (start, _)) in done(&output.stderr).iter().filter(|_| self.workload.resumes) {
            let there = offsets.get(name).copied().unwrap_or(0);
            if *start < there {
                return Err(format!("{name}: the store held it up to byte {there}, and the rerun began at {start}"));
            }
        }
        for step in self.workload.after {
            self.step(step, store)?;
        }
        compare("the report in the end", &self.step("report", store)?.stdout, &self.inputs.report)?;
        let rejects = records(&self.step("rejects --format ndjson", store)?.stdout);
        let places: BTreeSet<String> =
            rejects.iter().map(|reject| format!("{} {}", reject["source"], reject["byte"])).collect();
        if (rejects.len(), places.len()) != (self.inputs.rejects, self.inputs.rejects) {
            let (found, places, expected) = (rejects.len(), places.len(), self.inputs.rejects);
            return Err(format!("{found} rejects at {places} places; {expected} lines are no events"));
        }
        let is_copy = |name: &str| self.workload.damaged && name.contains(".repair-") && !name.ends_with(".tmp");
        let known = |name: &&String| {
            let others = ["LOCK", ACKNOWLEDGED_NAME].contains(&name.as_str());
            others || name.ends_with(".wal") || name.ends_with(".snap") || is_copy(name)
        };
        match listing(store)?.iter().find(|name| !known(name)) {
            Some(name) => Err(format!("left over: {name}")),
            None => Ok(()),
        }
    }
}

/// What a run acknowledged before it ended: of each input, up to where.
pub fn acknowledged(stderr: &[u8], into: &mut Acknowledged) {
    for line in records(stderr) {
        if let (Some(name), Some(offset)) = (line["input"].as_str(), line["durable_offset"].as_u64()) {
            let furthest = into.entry(name.to_owned()).or_insert(0);
            *furthest = offset.max(*furthest);
        }
    }
}

/// Where a run began and ended each input that it read to its end.
fn done(stderr: &[u8]) -> BTreeMap<String, (u64, u64)> {
    let lines = records(stderr).into_iter().filter(|line| line["event"] == "done");
    let place = |line: Value| {
        let (name, bytes, end) = (line["input"].as_str()?, line["bytes"].as_u64()?, line["offset"].as_u64()?);
        Some((name.to_owned(), (end - bytes, end)))
    };
    lines.filter_map(place).collect()
}

/// The lines that are JSON.
fn records(bytes: &[u8]) -> Vec<Value> {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

fn compare(what: &str, found: &[u8], expected: &[u8]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (String::from_utf8_lossy(found), String::from_utf8_lossy(expected));
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    let at = (0..).find(|&at| found.get(at) != expected.get(at)).unwrap_or(0);
    let (lines, wanted) = (found.len(), expected.len());
    Err(format!(
        "{what}: line {}: {:?}, expected {:?} ({lines} lines, {wanted})",
        at + 1,
        found.get(at),
        expected.get(at)
    ))
}

/// The names in a directory, in order.
fn listing(store: &Path) -> Result<Vec<String>, String> {
    let names = fs::read_dir(store).and_then(|entries| {
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<io::Result<Vec<String>>>()
    });
    let mut names = names.map_err(|error| format!("{}: {error}", store.display()))?;
    names.sort();
    Ok(names)
}

/// Copies a store, which has no directories.
pub fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    let copied = match fs::remove_dir_all(to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ if !from.exists() => Ok(()),
        _ => fs::create_dir(to).and_then(|()| {
            for entry in fs::read_dir(from)? {
                let entry = entry?;
                fs::copy(entry.path(), to.join(entry.file_name()))?;
            }
            Ok(())
        }),
    };
    copied.map_err(setup("copy a store to", to))
}
