//! Kills at random moments.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write as _, stderr};
use std::path::Path;
use std::process::{Child, Command};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::dice::Dice;
use crate::inputs::Inputs;
use crate::work::{Acknowledged, Failure, Harness, IN_FLIGHT, Job, Tally, acknowledged, setup};
use crate::workload::Workload;

/// Inputs of a round; each is a few chunks long.
const INPUTS: u64 = 2;

/// The most bytes of text in a message.
const PADDING: u64 = 2000;

/// Kills in a row before a command may come to its end.
const MOST_KILLS: u64 = 6;

/// Rounds until there are `rounds` of them, or time is up.
pub fn run(
    harness: &Harness,
    workloads: &[&Workload],
    lines: u64,
    rounds: u64,
    deadline: Option<Instant>,
) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    // How long each command takes undisturbed.
    let mut takes: BTreeMap<&str, Duration> = BTreeMap::new();
    for round in 0..rounds {
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            break;
        }
        // A round depends on its seed alone, so that it can be repeated alone.
        let seed = harness.seed + round;
        let mut dice = Dice(seed);
        let workload = workloads[dice.below(workloads.len() as u64) as usize];
        let inputs = Inputs::write(harness, seed, INPUTS, lines, PADDING)?;
        let job = Job::new(harness, workload, &inputs);
        let store = harness.fresh("store");
        job.prepare(&store)?;
        let case = format!("round {round}: {}, seed {seed}", workload.name);
        let only = workloads.iter().map(|it| it.name).collect::<Vec<_>>().join(" ");
        let again = format!("crash-harness random --rounds 1 --seed {seed} --lines {lines} --workload {only}");
        let failed = |problem, store: &Path| Failure::of(case.clone(), problem, store, again.clone());
        let known = match takes.get(workload.name) {
            Some(known) => *known,
            None => {
                let undisturbed = harness.fresh("undisturbed");
                job.prepare(&undisturbed)?;
                let took = to_its_end(&job, &undisturbed, &BTreeMap::new())
                    .map_err(|problem| failed(problem, &undisturbed))?;
                fs::remove_dir_all(&undisturbed).map_err(setup("remove", &undisturbed))?;
                *takes.entry(workload.name).or_insert(took)
            }
        };
        let one = one_round(&job, &store, &mut dice, known).map_err(|problem| failed(problem, &store))?;
        tally.add(&one);
        fs::remove_dir_all(&store).map_err(setup("remove", &store))?;
        inputs.remove();
        if deadline.is_none_or(|_| round % 10 == 9) {
            let _ = writeln!(stderr(), "round {}: {}: {one}", round + 1, workload.name);
        }
    }
    Ok(tally)
}

/// Lets the command come to its end and compares everything with the oracle; gives how long it took.
fn to_its_end(job: &Job<'_>, store: &Path, offsets: &BTreeMap<String, u64>) -> Result<Duration, String> {
    let started = Instant::now();
    let output = job.command(store).output().map_err(|error| format!("chatwal does not start: {error}"))?;
    let took = started.elapsed();
    if !matches!(output.status.code(), Some(0 | 3)) {
        return Err(format!("it ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    job.check_end(store, &output, offsets)?;
    Ok(took)
}

/// Kills a command, which takes about so long, a few times, and lets it come to its end.
fn one_round(job: &Job<'_>, store: &Path, dice: &mut Dice, takes: Duration) -> Result<Tally, String> {
    let mut tally = Tally { rounds: 1, ..Tally::default() };
    let mut acked = Acknowledged::new();
    let mut offsets = job.look(store, &acked)?;
    let mut killed = false;
    for _ in 0..=dice.below(MOST_KILLS) {
        let mut child = job.command(store).spawn().map_err(|error| format!("chatwal does not start: {error}"))?;
        // As often at the start, where recovery is, as anywhere else.
        let span = if dice.below(2) == 0 { takes } else { takes / 6 };
        sleep(Duration::from_micros(dice.below(span.as_micros() as u64 + 1)));
        let taken = stop(&child);
        if child.try_wait().ok().flatten().is_some() {
            break;
        }
        child.kill().map_err(|error| format!("cannot be killed: {error}"))?;
        let output = child.wait_with_output().map_err(|error| error.to_string())?;
        tally.kills += 1;
        tally.recoveries_killed += u64::from(killed);
        killed = true;
        acknowledged(&output.stderr, &mut acked);
        offsets = job.look(store, &acked)?;
        if job.workload.resumes {
            for (name, taken) in taken {
                let again = taken.saturating_sub(offsets.get(&name).copied().unwrap_or(0));
                if again > IN_FLIGHT {
                    return Err(format!("{name}: {taken} bytes were read, and {again} of them have to be read again"));
                }
                tally.reread += again;
                tally.most_reread = tally.most_reread.max(again);
            }
        }
    }
    to_its_end(job, store, &offsets)?;
    tally.recoveries += 1;
    Ok(tally)
}

/// Stops a process where it is, and looks how far it has read each input: `/proc` tells, where there is one.
fn stop(child: &Child) -> Vec<(String, u64)> {
    // It may have ended.
    let _ = Command::new("kill").args(["-STOP", &child.id().to_string()]).stderr(std::process::Stdio::null()).status();
    let process = Path::new("/proc").join(child.id().to_string());
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let place = |entry: fs::DirEntry| {
        let target = fs::read_link(entry.path()).ok()?;
        let name = target.file_name()?.to_str()?.to_owned();
        let info = fs::read_to_string(process.join("fdinfo").join(entry.file_name())).ok()?;
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"))?.trim().parse().ok()?;
        name.ends_with(".jsonl").then_some((name, position))
    };
    entries.flatten().filter_map(place).collect()
}
