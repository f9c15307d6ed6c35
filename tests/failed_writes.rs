//! P9, failed writes: whichever call fails, with whatever error, once or for good: the writer says so, acknowledges
//! nothing more, touches the disk no more, and the next opening recovers.
//!
//! Each test lets the first call fail, then the second, and so on until a run meets no failure.

mod support;

use std::io::Write as _;
use std::sync::atomic::AtomicBool;

use chatwal::error::{Error, Result};
use chatwal::intake::ingest::{Caller, IngestOptions, MaxRejects, ingest};
use chatwal::intake::source::Source;
use chatwal::store::log::{Log, LogOptions};
use chatwal::store::{View, segment_name};
use support::EVERY_LINE;
use support::faults::{Case, at_every_call};
use support::naive::Naive;
use support::sim::{Choices, Count, Fault, SimDisk};
use support::store::{Model, report, sync, text};

/// So small that the workloads roll several times.
const OPTIONS: fn() -> LogOptions = || sync(400);

/// That nothing was changed or synced after the call that failed.
#[track_caller]
fn assert_quiet_after_failure(disk: &SimDisk, case: Case) {
    let calls = disk.operations();
    let failed = calls.iter().position(|call| call.ends_with("Eio") || call.ends_with("Enospc"));
    let failed = failed.unwrap_or_else(|| panic!("{case:?}: an error, but no call failed: {calls:#?}"));
    let changes = ["create", "write", "rename", "remove", "truncate", "sync"];
    let later = calls[failed + 1..].iter().find(|call| changes.iter().any(|change| call.starts_with(change)));
    assert_eq!(later, None, "{case:?}: after a failure, in {calls:#?}");
}

/// Opens the store and settles batch after batch.
fn write(disk: &SimDisk, model: &mut Model, case: Case) -> Result<()> {
    let mut choices = Choices::Random(5);
    let (mut log, view, _) = Log::open(disk.storage(), OPTIONS())?;
    model.recovered(&log, &view);
    for events in [1, 2, 3, 1] {
        let result = model.append(&mut log, events, &mut choices).and_then(|_| model.settle(&mut log));
        if let Err(error) = result {
            model.note(&log);
            // The failure lasts: whatever is tried on this log fails and changes nothing.
            let (mutations, acknowledged) = (disk.mutations(), log.acknowledged());
            for _ in 0..2 {
                assert!(model.clone().append(&mut log, 1, &mut choices).is_err(), "{case:?}: append after a failure");
                assert!(log.settle().is_err(), "{case:?}: settle after a failure");
            }
            assert_eq!(log.acknowledged(), acknowledged, "{case:?}: acknowledged after a failure");
            assert_eq!(disk.mutations(), mutations, "{case:?}: changed after a failure: {:#?}", disk.operations());
            return Err(error);
        }
    }
    Ok(())
}

/// Checks the store after a failure, goes on with it, and lets the power go.
fn go_on(disk: &SimDisk, model: &mut Model, case: Case) {
    let mut choices = Choices::Random(case.n);
    let mut log = model.reopen(disk.storage(), OPTIONS());
    for _ in 0..2 {
        model.append(&mut log, 2, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
    }
    drop(log);
    let after = disk.crash(&mut choices);
    assert_eq!(model.look(&after), model.written(), "{case:?}");
    model.reopen(after.storage(), OPTIONS());
}

#[test]
fn a_writer_stops_at_the_first_failure_and_the_next_one_recovers() {
    at_every_call(|case| {
        let disk = SimDisk::new(case.n);
        let mut model = Model::default();
        case.plan(&disk);
        let result = write(&disk, &mut model, case);
        if disk.untouched() {
            assert!(result.is_ok());
            return false;
        }
        assert!(matches!(result, Err(Error::Io { .. })), "{case:?}: {result:?}");
        assert_quiet_after_failure(&disk, case);
        // The machine goes on, and the page cache with it; or it doesn't.
        go_on(&disk.kill(), &mut model.clone(), case);
        for seed in 0..3 {
            go_on(&disk.crash(&mut Choices::Random(seed)), &mut model.clone(), case);
        }
        true
    });
}

/// A store that gives recovery everything to do: a leftover, a torn end, a frame to write again.
fn torn() -> (SimDisk, Model) {
    let (disk, mut model) = (SimDisk::new(3), Model::default());
    let mut log = model.reopen(disk.storage(), OPTIONS());
    let mut choices = Choices::Random(5);
    for _ in 0..3 {
        model.append(&mut log, 2, &mut choices).unwrap();
        model.settle(&mut log).unwrap();
    }
    drop(log);
    let last = disk.files().into_keys().next_back().unwrap();
    disk.edit(&last, |bytes| bytes.extend([1; 300]));
    disk.edit(&format!("{}.tmp", segment_name(9)), |bytes| bytes.push(1));
    (disk, model)
}

#[test]
fn a_recovery_that_fails_changes_nothing_for_the_next() {
    let (disk, model) = torn();
    at_every_call(|case| {
        let (disk, mut model) = (disk.fork(), model.clone());
        case.plan(&disk);
        let result = Log::open(disk.storage(), OPTIONS());
        if disk.untouched() {
            assert!(result.is_ok());
            return false;
        }
        assert!(matches!(result, Err(Error::Io { .. })), "{case:?}");
        assert_quiet_after_failure(&disk, case);
        go_on(&disk.kill(), &mut model.clone(), case);
        go_on(&disk.crash(&mut Choices::Random(case.n)), &mut model, case);
        true
    });
}

#[test]
fn a_reader_that_cannot_read_says_so() {
    let (disk, model) = torn();
    for (fault, for_good) in [(Fault::Eio, false), (Fault::Eio, true)] {
        for n in 0.. {
            let disk = disk.fork();
            disk.fail_at(Count::Reading, n, fault, for_good);
            let answer = View::open(&disk).and_then(|view| report(&view));
            if disk.untouched() {
                assert_eq!(text(&answer.unwrap()), text(model.report(model.written())));
                break;
            }
            assert!(matches!(answer, Err(Error::Io { .. })), "call {n}: {answer:?}");
        }
    }
}

/// Inputs with copies of each other's events and a rejected line each, as files.
fn inputs() -> (Vec<tempfile::NamedTempFile>, Naive) {
    let mut naive = Naive::new();
    let input = |number: i32| {
        let mut lines = format!("no event {number}\n");
        for index in 0..4 {
            let (id, site) = ((number + index) % 7, index % 2 + 1);
            let (kind, from, data) = match index {
                0 => ("status", "operator", r#"{"status":"online"}"#),
                _ => ("message", "visitor", r#"{"message":"hello"}"#),
            };
            lines += &format!(
                "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"from\":\"{from}{number}\",\"site_id\":\"{site}\",\
                 \"timestamp\":{},\"data\":{data}}}\n",
                number * 3 % 5 + index
            );
        }
        lines.extend_from_within(lines.find('{').unwrap()..);
        naive.feed_input(lines.as_bytes());
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        file
    };
    ((0..4).map(input).collect(), naive)
}

/// One run of `ingest` over all the inputs.
fn run(disk: &SimDisk, inputs: &[tempfile::NamedTempFile]) -> Result<()> {
    let (mut log, view, _) = Log::open(disk.storage(), OPTIONS())?;
    let mut known = view.inputs;
    for input in inputs {
        let options = IngestOptions {
            threads: 1,
            max_rejects: MaxRejects::All,
            from_start: false,
            seek: EVERY_LINE,
            ..IngestOptions::default()
        };
        let source = Source::open(input.path())?;
        ingest(&mut log, &mut known, source, options, Caller { stop: &AtomicBool::new(false), notify: &mut |_| () })?;
    }
    log.settle()
}

#[test]
fn a_rerun_of_ingest_after_any_failure_gives_the_right_report() {
    let (inputs, naive) = inputs();
    at_every_call(|case| {
        let disk = SimDisk::new(case.n);
        case.plan(&disk);
        let result = run(&disk, &inputs);
        let untouched = disk.untouched();
        assert_eq!(result.is_ok(), untouched, "{case:?}: {result:?}");
        for after in [disk.kill(), disk.crash(&mut Choices::Random(case.n))] {
            if !untouched {
                run(&after, &inputs).unwrap_or_else(|error| panic!("{case:?}: {error}"));
            }
            let view = View::open(&after.crash(&mut Choices::Random(case.n))).unwrap();
            assert_eq!(text(&report(&view).unwrap()), text(&naive.report()), "{case:?}");
            let (events, rejects) =
                view.inputs.values().fold((0, 0), |sum, it| (sum.0 + it.events, sum.1 + it.rejects));
            assert_eq!((events, rejects as usize), (naive.events(), naive.rejects()), "{case:?}: read twice");
        }
        !untouched
    });
}
