//! P4: the judge of where a log ends, exhaustively. Every log of up to two segments with up to four frames each, every damage to
//! each frame, every claim that its header can make, every step of a roll. Readers, the writer, `verify`, `repair` and `dump`
//! have to say of each what a model here says, which shares no code with them.
//!
//! A damaged first segment is judged alike whatever frames are in the second, and a sound one leaves the second to be judged
//! like a first. So logs with frames in both are tried exhaustively only while they are short; of the long ones some are picked
//! at random. `CHATWAL_LOGS` says how many, `CHATWAL_SEED` repeats a pick.

mod support;

use std::time::Instant;

use chatwal::disk::scratch::Limits;
use chatwal::error::Error;
use chatwal::show::dump;
use chatwal::store::recover::recover;
use chatwal::store::{View, segment_name};
use chatwal::upkeep::repair::{RepairOptions, repair};
use chatwal::upkeep::verify::verify;
use support::forge::Forged;
use support::setting;
use support::sim::{Choices, SimDisk};
use support::store::report;

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Intact,
    BadHeader,
    BadSection,
    /// Its bytes are gone, and those behind it moved up.
    Missing,
}

const STATES: [State; 4] = [State::Intact, State::BadHeader, State::BadSection, State::Missing];

/// How far a roll went: what there is behind the frames of the first segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Roll {
    None,
    /// The successor is published, and nothing is written to it.
    Published,
    /// And the seal is written, and is now like this.
    Sealed(State),
}

/// A log: for each frame its state and what its header claims to be durable.
#[derive(Clone, Debug)]
struct Log {
    first: Vec<(State, u64)>,
    roll: Roll,
    second: Vec<(State, u64)>,
}

/// What a log is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    /// Sound, with so many frames; whether bytes behind them are torn.
    Ends(usize, bool),
    /// Frame so and so was durable, and is not there.
    Corrupt(u64),
}

/// A frame as the model sees it: where it comes in the log, what it claims, and what became of it.
#[derive(Clone, Copy)]
struct Seen {
    segment: usize,
    sequence: u64,
    state: State,
    durable_upto: u64,
}

impl Log {
    /// The frames, the seal among them, in order.
    fn seen(&self) -> Vec<Seen> {
        let (mut seen, mut sequence) = (Vec::new(), 0);
        let mut push = |segment, state, durable_upto| {
            sequence += 1;
            seen.push(Seen { segment, sequence, state, durable_upto });
        };
        self.first.iter().for_each(|&(state, claim)| push(1, state, claim));
        if let Roll::Sealed(state) = self.roll {
            push(1, state, self.first.len() as u64);
        }
        self.second.iter().for_each(|&(state, claim)| push(2, state, claim));
        seen
    }

    /// The model. A log goes up to its first frame that is not intact. If any header that is left says that this one was durable,
    /// it was; and if the successor was published, everything was that comes before the seal, and the seal too if the successor
    /// has anything in it. Otherwise what is left behind it was never acknowledged.
    fn verdict(&self) -> Verdict {
        let seen = self.seen();
        let seal = self.first.len() as u64 + 1;
        let rolled = self.roll != Roll::None;
        let broken = seen.iter().position(|frame| frame.state != State::Intact);
        let lost = broken.map_or(seen.len() as u64 + 1, |at| seen[at].sequence);
        let headers = seen.iter().filter(|frame| matches!(frame.state, State::Intact | State::BadSection));
        let claimed = headers.map(|frame| frame.durable_upto).max().unwrap_or(0);
        let second_has_bytes = self.second.iter().any(|(state, _)| *state != State::Missing);
        let durable = match rolled {
            true if second_has_bytes => claimed.max(seal),
            true => claimed.max(seal - 1),
            false => claimed,
        };
        // The frames of one segment that are left behind the first that is not.
        let torn = broken.is_some_and(|at| {
            let behind = seen[at..].iter().filter(|frame| frame.segment == seen[at].segment);
            behind.clone().any(|frame| frame.state != State::Missing)
        });
        match lost <= durable {
            true => Verdict::Corrupt(lost),
            false => Verdict::Ends(lost as usize - 1, torn),
        }
    }

    /// Of one file by itself, as if it were the last of its store: whether it is corrupt, and whether it has a torn end.
    fn alone(&self, segment: usize) -> (bool, bool) {
        let seen: Vec<Seen> = self.seen().into_iter().filter(|frame| frame.segment == segment).collect();
        let proof = |from: usize| {
            let headers = seen[from..].iter().filter(|frame| matches!(frame.state, State::Intact | State::BadSection));
            headers.map(|frame| frame.durable_upto).max().unwrap_or(0)
        };
        let is_there = |frame: &Seen| frame.state != State::Missing;
        let (mut in_gap, mut corrupt, mut torn) = (false, false, false);
        for (at, frame) in seen.iter().enumerate() {
            let bad = match frame.state {
                State::Intact => false,
                // The next header in its place ends a gap.
                State::BadSection => true,
                State::BadHeader => !in_gap,
                // At the end, nobody sees it.
                State::Missing => !in_gap && seen[at..].iter().any(is_there),
            };
            if bad {
                corrupt |= proof(at) >= frame.sequence;
                torn |= proof(at) < frame.sequence;
            }
            in_gap = !matches!(frame.state, State::Intact | State::BadSection);
            if frame.state == State::Missing {
                // Whatever is behind stands elsewhere than it says.
                break;
            }
        }
        (corrupt, torn)
    }

    /// The log as the writer looks at it: of a segment that is sealed it checks no sections.
    fn as_written(&self) -> Log {
        let mut log = self.clone();
        if log.roll == Roll::Sealed(State::Intact) {
            let sections = log.first.iter_mut().filter(|(state, _)| *state == State::BadSection);
            sections.for_each(|(state, _)| *state = State::Intact);
        }
        log
    }

    /// Events in frames of which everything is intact, wherever they stand.
    fn intact(&self) -> u64 {
        self.first.iter().chain(&self.second).filter(|(state, _)| *state == State::Intact).count() as u64
    }

    /// The bytes of its segments.
    fn files(&self) -> Vec<Vec<u8>> {
        let mut first = Forged::first();
        for (_, claim) in &self.first {
            first.batch(*claim);
        }
        let mut states: Vec<State> = self.first.iter().map(|(state, _)| *state).collect();
        if let Roll::Sealed(state) = self.roll {
            first.seal();
            states.push(state);
        }
        let mut files = vec![damaged(&first, &states)];
        if self.roll != Roll::None {
            let mut second = first.successor(matches!(self.roll, Roll::Sealed(_)));
            for (_, claim) in &self.second {
                second.batch(*claim);
            }
            let states: Vec<State> = self.second.iter().map(|(state, _)| *state).collect();
            files.push(damaged(&second, &states));
        }
        files
    }

    fn disk(&self) -> SimDisk {
        let disk = SimDisk::new(1);
        for (number, bytes) in (1..).zip(self.files()) {
            disk.edit(&segment_name(number), |file| *file = bytes);
        }
        disk
    }
}

/// The bytes of a segment with its frames in these states.
fn damaged(segment: &Forged, states: &[State]) -> Vec<u8> {
    let mut bytes = segment.bytes.clone();
    for (frame, state) in segment.frames.iter().zip(states).rev() {
        match state {
            State::Intact => {}
            State::BadHeader => bytes[frame.start + 9] ^= 4,
            State::BadSection => bytes[frame.end - 1] ^= 4,
            State::Missing => drop(bytes.drain(frame.clone())),
        }
    }
    bytes
}

/// Every way in which `count` frames behind frame `before` can claim: none claims itself, and none less than the one before
/// it, which claims at least `least`.
fn claims(count: usize, before: u64, least: u64) -> Vec<Vec<u64>> {
    let Some(shorter) = count.checked_sub(1) else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for claims in claims(shorter, before, least) {
        let from = claims.last().copied().unwrap_or(least);
        for claim in from..before + count as u64 {
            all.push([claims.as_slice(), &[claim]].concat());
        }
    }
    all
}

/// Every list of `count` states.
fn states(count: usize) -> Vec<Vec<State>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        all = all.iter().flat_map(|list| STATES.map(|state| [list.as_slice(), &[state]].concat())).collect();
    }
    all
}

/// Every list of `count` frames behind frame `before`, with every claim and in every state.
fn frames(count: usize, before: u64, least: u64) -> Vec<Vec<(State, u64)>> {
    let states = states(count);
    let with = |claims: Vec<u64>| states.iter().map(move |states| states.iter().copied().zip(claims.clone()).collect());
    claims(count, before, least).into_iter().flat_map(with).collect()
}

/// The states that a seal can be in: it has no sections.
const SEALS: [State; 3] = [State::Intact, State::BadHeader, State::Missing];

/// What all of them say of a log; `Err` tells which says something else.
#[allow(clippy::too_many_lines, reason = "a table of cases")]
fn check(log: &Log, directory: &std::path::Path) -> Result<(), String> {
    let (disk, expected) = (log.disk(), log.verdict());
    let before = disk.files();
    let say = |who: &str, found: String| Err(format!("{who}: {found}\nexpected {expected:?} of {log:?}"));
    // Where what is lost would begin, in which file.
    let place = |lost: u64| {
        let first = log.first.len() as u64 + u64::from(matches!(log.roll, Roll::Sealed(_)));
        let is_first = lost <= first || log.roll == Roll::None || log.roll == Roll::Published;
        segment_name(if is_first { 1 } else { 2 })
    };
    let seen = log.seen();

    // Readers, who look at the sections of what is durable when they use them.
    match (View::open(&disk).and_then(|view| report(&view).map(|_| view)), &expected) {
        (Ok(view), Verdict::Ends(frames, torn)) if view.frames.len() == *frames && view.torn.is_some() == *torn => {}
        (Err(Error::Corruption(what)), Verdict::Corrupt(lost)) => {
            // What is wrong with headers, and with sections that decide where the log ends, they meet first.
            let first = if let Verdict::Corrupt(first) = log.as_written().verdict() { first } else { *lost };
            if [place(first), place(*lost)].iter().all(|file| what.file != format!("sim/{file}")) {
                return say("readers blame", what.to_string());
            }
        }
        (Ok(view), _) => return say("readers", format!("{} frames, torn {:?}", view.frames.len(), view.torn)),
        (Err(error), _) => return say("readers", error.to_string()),
    }

    // The writer, which changes nothing that it refuses.
    let written = disk.fork();
    match (recover(&written), &log.as_written().verdict()) {
        (Ok(recovered), Verdict::Ends(frames, torn)) => {
            if recovered.view.frames.len() != *frames || recovered.recovery.cut.is_some() != *torn {
                return say("recovery", format!("{} frames", recovered.view.frames.len()));
            }
        }
        (Err(Error::Corruption(_)), Verdict::Corrupt(_)) if written.mutations() == 0 => {}
        (Ok(recovered), _) => return say("recovery", format!("{} frames", recovered.view.frames.len())),
        (Err(error), _) => return say("recovery", format!("{error}, {} changes", written.mutations())),
    }

    // `verify`: the first thing that it finds is what readers blame, and each broken frame that was durable is found.
    let verified = verify(&disk, &Limits::new(1), &|_| ()).map_err(|error| error.to_string())?;
    match &expected {
        Verdict::Ends(_, torn) if verified.findings.is_empty() && verified.torn.is_some() == *torn => {}
        Verdict::Corrupt(lost)
            if verified.findings.first().is_some_and(|found| found.file == format!("sim/{}", place(*lost))) => {}
        _ => return say("verify", format!("{:?}, torn {:?}", verified.findings, verified.torn)),
    }

    // `repair`: saves every event that is intact, and says nothing to be lost that is not.
    let options = |dry_run| RepairOptions { threads: 1, memory: 1 << 20, temp: None, dry_run };
    let go_on = std::sync::atomic::AtomicBool::new(false);
    let planned = repair(&disk, &options(true), &go_on, &|_| ()).map_err(|error| error.to_string())?;
    match (&planned, &expected) {
        (None, Verdict::Ends(..)) => {}
        (Some(plan), Verdict::Corrupt(_)) => {
            if plan.saved != log.intact() {
                return say("repair", format!("saves {} of {}", plan.saved, log.intact()));
            }
            let lost = |sequence: &u64| plan.hole.frames.iter().any(|(from, to)| (from..=to).contains(&sequence));
            let whole = seen.iter().filter(|frame| frame.state == State::Intact);
            if let Some(frame) = whole.map(|frame| frame.sequence).find(lost) {
                return say("repair", format!("frame {frame} is intact, and said to be lost: {:?}", plan.hole.frames));
            }
        }
        (plan, _) => return say("repair", format!("{plan:?}")),
    }
    if disk.files() != before || disk.mutations() != 0 {
        return say("looking", "changed something".into());
    }

    // `dump`, of each file by itself.
    for (number, bytes) in (1..).zip(log.files()) {
        let path = directory.join(segment_name(number));
        std::fs::write(&path, bytes).map_err(|error| error.to_string())?;
        let dumped = dump::frames(&path, &mut std::io::sink()).map_err(|error| error.to_string())?;
        let found = (!dumped.corrupt.is_empty(), dumped.torn.is_some());
        if found != log.alone(number as usize) {
            return Err(format!(
                "dump of {}: {dumped:?}, expected {:?} of {log:?}",
                segment_name(number),
                log.alone(number as usize)
            ));
        }
    }
    Ok(())
}

/// Where files are quick.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn check_all(logs: impl Iterator<Item = Log>, what: &str) {
    let (directory, started) = (scratch(), Instant::now());
    let (mut count, mut corrupt, mut torn) = (0, 0, 0);
    for log in logs {
        match log.verdict() {
            Verdict::Corrupt(_) => corrupt += 1,
            Verdict::Ends(_, true) => torn += 1,
            Verdict::Ends(_, false) => {}
        }
        count += 1;
        check(&log, directory.path()).unwrap_or_else(|told| panic!("{told}"));
    }
    println!("{what}: {count} logs, {corrupt} corrupt, {torn} with a torn end; {:.1?}", started.elapsed());
    assert!(corrupt > 0 && torn > 0);
}

#[test]
fn every_log_of_one_segment() {
    let logs = (0..=4).flat_map(|count| frames(count, 0, 0));
    check_all(logs.map(|first| Log { first, roll: Roll::None, second: Vec::new() }), "one segment");
}

#[test]
fn every_log_at_every_step_of_a_roll() {
    let rolls = || std::iter::once(Roll::Published).chain(SEALS.map(Roll::Sealed));
    let logs = (0..=4).flat_map(|count| frames(count, 0, 0));
    let logs = logs.flat_map(|first| rolls().map(move |roll| (first.clone(), roll)));
    check_all(logs.map(|(first, roll)| Log { first, roll, second: Vec::new() }), "a roll");
}

/// A segment got frames before it got a successor, so its predecessor's seal was durable, whatever became of them all.
#[test]
fn an_empty_segment_with_a_successor_had_frames() {
    let mut first = Forged::first();
    first.batch(0);
    let second = first.successor(false);
    let third = second.successor(false);
    let disk = SimDisk::new(1);
    for (number, segment) in (1..).zip([&first, &second, &third]) {
        disk.edit(&segment_name(number), |file| file.clone_from(&segment.bytes));
    }
    let Err(Error::Corruption(what)) = View::open(&disk) else { panic!("accepted") };
    assert!(what.file == format!("sim/{}", segment_name(1)) && what.expected.contains("a seal"), "{what}");
    assert_eq!(verify(&disk, &Limits::new(1), &|_| ()).unwrap().findings, [*what]);
}

/// Logs with up to so many frames in the first segment and in the second.
fn of_two(first: usize, second: usize) -> impl Iterator<Item = Log> {
    let firsts = (0..=first).flat_map(|count| frames(count, 0, 0));
    firsts.flat_map(move |first| {
        let seal = first.len() as u64 + 1;
        let seconds = (1..=second).flat_map(move |count| frames(count, seal, seal));
        seconds.flat_map(move |second| {
            let first = first.clone();
            SEALS.map(|seal| Log { first: first.clone(), roll: Roll::Sealed(seal), second: second.clone() })
        })
    })
}

#[test]
fn every_short_log_of_two_segments() {
    check_all(of_two(2, 2).chain(of_two(0, 3)), "two segments");
}

#[test]
fn long_logs_of_two_segments() {
    let seed = setting("CHATWAL_SEED", u64::from(std::process::id()));
    println!("CHATWAL_SEED={seed}");
    let mut choices = Choices::Random(seed);
    let lists: Vec<_> = (0..=4).map(|count| frames(count, 0, 0)).collect();
    let count = setting("CHATWAL_LOGS", 6000);
    let logs = (0..count).map(|_| {
        let pick = |list: &[Vec<(State, u64)>], choices: &mut Choices| list[choices.of(list.len())].clone();
        let mut first = pick(&lists[choices.of(5)], &mut choices);
        // Half of them are sound in the first segment, so that the second is looked at.
        let whole = choices.one_in(2);
        if whole {
            first.iter_mut().for_each(|(state, _)| *state = State::Intact);
        }
        let seal = first.len() as u64 + 1;
        let second = pick(&frames(choices.of(5), seal, seal), &mut choices);
        let sealed = if whole { State::Intact } else { SEALS[choices.of(3)] };
        Log { first, roll: Roll::Sealed(sealed), second }
    });
    check_all(logs, "long logs of two segments");
}
