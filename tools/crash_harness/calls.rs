//! Kills before every system call that changes the disk, one after the other, and before every one of the rerun.
//!
//! strace sends SIGKILL as a thread enters its N-th call of a kind; the kernel then does not carry the call out. strace
//! counts for each thread by itself, so N goes up until no thread gets there and the run ends undisturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use crate::inputs::Inputs;
use crate::work::{Acknowledged, Failure, Harness, Job, Tally, acknowledged, copy, setup};
use crate::workload::Workload;

/// Calls that change what is on the disk, or make it durable. `?`: some architectures lack some.
const CALLS: &str = "?open,?openat,?openat2,?creat,?write,?writev,?pwrite64,?pwritev,?pwritev2,?truncate,?ftruncate,\
                     ?fallocate,?copy_file_range,?sendfile,?fsync,?fdatasync,?sync_file_range,?msync,?rename,?renameat,\
                     ?renameat2,?link,?linkat,?symlink,?symlinkat,?unlink,?unlinkat,?mkdir,?mkdirat,?rmdir,?chmod,\
                     ?fchmod,?fchmodat,?utimensat";

/// Inputs; each becomes a frame, and two or three fill a segment.
const INPUTS: u64 = 6;

const SIGKILL: i32 = 9;

/// What to go through.
pub struct Plan<'a> {
    /// Lines of the inputs together.
    pub lines: u64,
    /// Reruns are killed after one in so many kills.
    pub follow: u64,
    /// The one case to try.
    pub only: Option<&'a str>,
    /// Runs side by side.
    pub jobs: usize,
    /// When to stop.
    pub deadline: Option<Instant>,
}

/// A call of some kind, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    kind: String,
    n: u64,
}

impl std::fmt::Display for Call {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}:{}", self.kind, self.n)
    }
}

/// A store as a kill left it.
struct Crash {
    call: Call,
    store: PathBuf,
    acknowledged: Acknowledged,
}

/// Goes through all of it.
pub fn run(harness: &Harness, workloads: &[&Workload], plan: &Plan<'_>) -> Result<Tally, Failure> {
    if !Command::new("strace").arg("-V").output().is_ok_and(|output| output.status.success()) {
        return Err(Failure::setup("mode calls needs strace, and there is none; mode random does without"));
    }
    let mut tally = Tally::default();
    let inputs = Inputs::write(harness, harness.seed, INPUTS, plan.lines, 40)?;
    for &workload in workloads {
        let job = Job::new(harness, workload, &inputs);
        let one = Walk { job, plan }.workload()?;
        super::tell(&format!("{}: {one}", workload.name));
        tally.add(&one);
    }
    inputs.remove();
    Ok(tally)
}

struct Walk<'a> {
    job: Job<'a>,
    plan: &'a Plan<'a>,
}

/// What a trace shows.
#[derive(Default)]
struct Traced {
    /// The kinds of calls.
    kinds: BTreeSet<String>,
    /// Of the opens, by kind, the numbers of those that may make a file.
    creating: BTreeMap<String, BTreeSet<u64>>,
}

/// How a traced run ended.
enum Ended {
    /// At the call, with what it had acknowledged.
    Killed(Acknowledged),
    /// By itself, without having met the call.
    Untouched,
}

impl Walk<'_> {
    fn late(&self) -> bool {
        self.plan.deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    fn failure(&self, calls: &[&Call], problem: String, store: &Path) -> Failure {
        let calls: Vec<String> = calls.iter().map(ToString::to_string).collect();
        let case = format!("{}/{}", self.job.workload.name, calls.join("/"));
        let (seed, lines) = (self.job.harness.seed, self.plan.lines);
        let again = format!("crash-harness calls --only {case} --seed {seed} --lines {lines}");
        Failure::of(case, problem, store, again)
    }

    /// Whether the case that is asked for, if one is, is this one or leads through it.
    fn wanted(&self, calls: &[&Call]) -> bool {
        let Some(only) = self.plan.only else { return true };
        let mut parts = only.split('/').skip(1);
        calls.iter().all(|call| parts.next().is_none_or(|part| part == call.to_string()))
    }

    fn workload(&self) -> Result<Tally, Failure> {
        let harness = self.job.harness;
        let base = harness.fresh("base");
        self.job.prepare(&base)?;
        let mut tally = Tally::default();
        let mut crashes = Vec::new();
        let store = harness.fresh("store");
        copy(&base, &store)?;
        self.each_call(&[], &store, |call| {
            if !self.wanted(&[call]) {
                return Ok(true);
            }
            copy(&base, &store)?;
            match self.kill(call, &store)? {
                Ended::Untouched => Ok(false),
                Ended::Killed(acknowledged) => {
                    tally.kills += 1;
                    let kept = harness.fresh("crash");
                    copy(&store, &kept)?;
                    crashes.push(Crash { call: call.clone(), store: kept, acknowledged });
                    Ok(true)
                }
            }
        })?;
        let next = AtomicUsize::new(0);
        let results = Mutex::new(Vec::new());
        let work = || {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                let Some(crash) = crashes.get(number).filter(|_| !self.late()) else { return };
                let followed = self.plan.follow > 0 && (number as u64).is_multiple_of(self.plan.follow);
                let result = self.after(crash, followed || self.plan.only.is_some());
                let failed = result.is_err();
                // A panic elsewhere ends the program anyway.
                if let Ok(mut results) = results.lock() {
                    results.push(result);
                }
                if failed {
                    next.store(usize::MAX / 2, Ordering::Relaxed);
                    return;
                }
            }
        };
        std::thread::scope(|scope| {
            // Fewer than asked for, where the system gives no more.
            for _ in 1..self.plan.jobs {
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        for result in results.into_inner().unwrap_or_default() {
            tally.add(&result?);
        }
        for path in crashes.iter().map(|crash| &crash.store).chain([&base, &store]) {
            if path.exists() {
                fs::remove_dir_all(path).map_err(setup("remove", path))?;
            }
        }
        Ok(tally)
    }

    /// What follows a kill: a rerun that comes to its end, and one for each of its calls that is killed there.
    fn after(&self, crash: &Crash, followed: bool) -> Result<Tally, Failure> {
        let mut tally = Tally { rounds: 1, recoveries: 1, ..Tally::default() };
        let store = self.job.harness.fresh("store");
        copy(&crash.store, &store)?;
        let recovered = self.job.recover(&store, &crash.acknowledged);
        recovered.map_err(|problem| self.failure(&[&crash.call], problem, &crash.store))?;
        if followed {
            copy(&crash.store, &store)?;
            self.each_call(&[&crash.call], &store, |call| {
                if !self.wanted(&[&crash.call, call]) || self.late() {
                    return Ok(!self.late());
                }
                copy(&crash.store, &store)?;
                let Ended::Killed(mut acknowledged) = self.kill(call, &store)? else { return Ok(false) };
                for (name, offset) in &crash.acknowledged {
                    let furthest = acknowledged.entry(name.clone()).or_insert(0);
                    *furthest = (*furthest).max(*offset);
                }
                // As it was found: the check goes on with it.
                let found = self.job.harness.fresh("crash");
                copy(&store, &found)?;
                let recovered = self.job.recover(&store, &acknowledged);
                recovered.map_err(|problem| self.failure(&[&crash.call, call], problem, &found))?;
                if found.exists() {
                    fs::remove_dir_all(&found).map_err(setup("remove", &found))?;
                }
                tally.rounds += 1;
                tally.kills += 1;
                tally.recoveries_killed += 1;
                tally.recoveries += 1;
                Ok(true)
            })?;
        }
        if store.exists() {
            fs::remove_dir_all(&store).map_err(setup("remove", &store))?;
        }
        Ok(tally)
    }

    /// Calls `kill` for each call that the command makes, by kind and number, until it says that none was met. The command
    /// is run once for that, traced and undisturbed, on `store`.
    fn each_call(
        &self,
        before: &[&Call],
        store: &Path,
        mut kill: impl FnMut(&Call) -> Result<bool, Failure>,
    ) -> Result<(), Failure> {
        let trace = self.job.harness.fresh("trace");
        let output = self.strace(&trace, &["-e".into(), format!("trace={CALLS}")], store)?;
        if !matches!(output.status.code(), Some(0 | 3)) {
            let problem =
                format!("undisturbed, it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
            return Err(self.failure(before, problem, store));
        }
        let Traced { kinds, creating } = self.traced(&trace)?;
        for kind in kinds {
            if kind.starts_with("open") {
                // Most opens change nothing; those that may make a file are known by number.
                for &n in creating.get(&kind).into_iter().flatten() {
                    kill(&Call { kind: kind.clone(), n })?;
                }
                continue;
            }
            let mut n = 1;
            while kill(&Call { kind: kind.clone(), n })? {
                n += 1;
                // Nothing here makes so many calls; a case that is asked for may be passed over for ever.
                if n > 100_000 || self.plan.only.is_some() && n > 1000 {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Reads a trace, and removes it.
    fn traced(&self, trace: &Path) -> Result<Traced, Failure> {
        let text = fs::read_to_string(trace).map_err(setup("read", trace))?;
        fs::remove_file(trace).map_err(setup("remove", trace))?;
        let mut traced = Traced::default();
        let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for line in text.lines() {
            let Some((thread, rest)) = line.split_once(' ') else { continue };
            let Some((kind, arguments)) = rest.trim_start().split_once('(') else { continue };
            if !kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                continue;
            }
            traced.kinds.insert(kind.to_owned());
            let count = counts.entry((thread, kind)).or_insert(0);
            *count += 1;
            if arguments.contains("O_CREAT") {
                traced.creating.entry(kind.to_owned()).or_default().insert(*count);
            }
        }
        Ok(traced)
    }

    /// Runs the command until it enters the call.
    fn kill(&self, call: &Call, store: &Path) -> Result<Ended, Failure> {
        let Call { kind, n } = call;
        let trace = self.job.harness.fresh("trace");
        let inject = format!("inject={kind}:signal=SIGKILL:when={n}");
        let output = self.strace(&trace, &["-e".into(), format!("trace={kind}"), "-e".into(), inject], store)?;
        // It is there if strace got so far.
        let _ = fs::remove_file(&trace);
        match (output.status.code(), output.status.signal()) {
            (None, Some(SIGKILL)) => {
                let mut acked = Acknowledged::new();
                acknowledged(&output.stderr, &mut acked);
                Ok(Ended::Killed(acked))
            }
            (Some(0 | 3), _) => Ok(Ended::Untouched),
            _ => {
                let problem = format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr));
                Err(self.failure(&[call], problem, store))
            }
        }
    }

    fn strace(&self, trace: &Path, options: &[String], store: &Path) -> Result<std::process::Output, Failure> {
        let mut command = self.job.program(Path::new("strace"));
        command.args(["-f", "-qq", "-o"]).arg(trace).args(options).arg(&self.job.harness.chatwal);
        command.args(self.job.arguments(self.job.workload.command, store));
        command.output().map_err(|error| Failure::setup(format!("strace does not start: {error}")))
    }
}
