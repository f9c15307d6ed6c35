//! P7: memory does not grow with the number of events.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Peak resident memory of a process so far, in KiB.
fn peak(child: &Child) -> u64 {
    try_peak(child).unwrap()
}

fn try_peak(child: &Child) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

fn chatwal(store: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatwal"));
    if !arguments.contains(&"--threads") {
        command.args(["--threads", "2"]);
    }
    command.arg("--store").arg(store).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Pipes a workload into a fresh store and reports on it; gives the peaks of both in KiB.
fn peaks(store: &Path, generate: &[&str]) -> (u64, u64) {
    let workload = chatwal_tools::generated(&generate.join(" ")).unwrap();
    let mut ingest = chatwal(store, &["ingest", "--progress", "json", "-"]).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = ingest.stdin.take().unwrap();
    stdin.write_all(&workload).unwrap();
    // It has taken in all but what is in flight, and holds what it will ever hold.
    let ingest_peak = peak(&ingest);
    drop(stdin);
    assert!(ingest.wait().unwrap().success());

    // Its answer does not fit the pipe, so it waits with all its work done.
    let mut report = chatwal(store, &["report"]).spawn().unwrap();
    let mut first = [0; 1];
    let mut stdout = report.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    let report_peak = peak(&report);
    let mut rest = Vec::new();
    stdout.read_to_end(&mut rest).unwrap();
    assert!(report.wait().unwrap().success());
    (ingest_peak, report_peak)
}

#[test]
fn ten_times_the_events_take_no_more_memory() {
    let directory = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let sites = ["--sites", "5000", "--lines"];
    let small = peaks(&directory.path().join("small"), &[&sites[..], &["120000"]].concat());
    let large = peaks(&directory.path().join("large"), &[&sites[..], &["1200000"]].concat());
    println!("peaks in KiB (ingest, report): {small:?} with 120,000 lines, {large:?} with 1,200,000");
    // The small one fits in few chunks, so the buffers in flight come on top; none of it depends on the number of lines.
    assert!(large.0 < 100 << 10, "ingest: {large:?}");
    assert!(large.1 < small.1 * 2 + (32 << 10), "report: {small:?} {large:?}");
    assert!(started.elapsed() < Duration::from_secs(120));
}

/// Memory that a process may take besides `--memory`, in KiB.
const BESIDES: u64 = 32 << 10;

/// Runs a command to its end; gives its answer and its peak in KiB.
fn answer(store: &Path, arguments: &[&str]) -> (Vec<u8>, u64) {
    let mut child = chatwal(store, arguments).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut answer = Vec::new();
        stdout.read_to_end(&mut answer).unwrap();
        answer
    });
    let mut peak = 0;
    // A process that ended and was not waited for has no memory any more to tell of.
    while child.try_wait().unwrap().is_none() {
        peak = peak.max(try_peak(&child).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(child.wait().unwrap().success(), "{arguments:?}");
    (reader.join().unwrap(), peak)
}

/// One site with nearly all events, of many visitors, some lines twice, and with operators who come and go.
fn one_site(lines: u64, name: impl Fn(u64) -> String) -> Vec<u8> {
    let mut out = Vec::new();
    for event in 0..lines {
        let (id, visitor) = (name(event - event % 10 / 9), name(event * 7919 % (lines / 3)));
        let (kind, data) = match event % 8 {
            0 => ("status", format!("\"status\":\"{}\"", if event % 3 == 0 { "offline" } else { "online" })),
            _ => ("message", "\"message\":\"\"".into()),
        };
        let moment = (event - event % 10 / 9) * 31 % lines;
        let line = format!(
            "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"from\":\"{visitor}\",\"site_id\":\"{}\",\"timestamp\":{moment},\"data\":{{{data}}}}}\n",
            if event % 100 == 0 { event } else { 1 }
        );
        out.extend_from_slice(line.as_bytes());
    }
    out
}

/// Whatever a command holds of one site, it fits `--memory`: the answers are those of a process that has all the memory it wants.
#[track_caller]
fn assert_bounded(lines: &[u8], memory_mib: u64) {
    let directory = tempfile::tempdir().unwrap();
    let (store, memory) = (directory.path().join("store"), format!("{memory_mib}M"));
    let mut ingest = chatwal(&store, &["ingest", "-q", "--no-compact", "-"]).spawn().unwrap();
    ingest.stdin.take().unwrap().write_all(lines).unwrap();
    assert!(ingest.wait().unwrap().success());
    let commands: [&[&str]; 4] =
        [&["report"], &["timeline", "1"], &["report", "--since", "1000", "--until", "90000"], &["verify"]];
    let all: Vec<Vec<u8>> =
        commands.iter().map(|command| answer(&store, &[&["--memory", "4G"], *command].concat()).0).collect();
    for turn in ["from the log", "compacted"] {
        for threads in ["1", "8"] {
            for (command, expected) in commands.iter().zip(&all) {
                let (found, peak) = answer(&store, &[&["--memory", &memory, "--threads", threads], *command].concat());
                assert!(found == *expected || **command == ["verify"], "{command:?} {turn}");
                assert!(peak < (memory_mib << 10) + BESIDES, "{command:?} {turn}, {threads} threads: {peak} KiB");
            }
        }
        let (page, peak) = answer(&store, &["--memory", &memory, "--threads", "8", "report", "--format", "html"]);
        // How much a page lists depends on the memory.
        assert!(page.len() > 10_000 && peak < (memory_mib << 10) + BESIDES, "page {turn}: {peak} KiB");
        let (_, peak) = answer(&store, &["--memory", &memory, "compact", "-q"]);
        assert!(peak < (memory_mib << 10) + BESIDES, "compact {turn}: {peak} KiB");
    }
    // Nothing is left of what did not fit.
    assert!(
        std::fs::read_dir(&store).unwrap().all(|entry| entry
            .unwrap()
            .path()
            .extension()
            .is_none_or(|end| end != "tmp"))
    );
}

#[test]
fn the_largest_site_takes_no_more_memory_than_it_may() {
    assert_bounded(&one_site(600_000, |number| format!("v{number}")), 8);
}

#[test]
fn long_names_take_no_more_memory_than_they_may() {
    assert_bounded(&one_site(30_000, |number| format!("{number:01000}")), 8);
}

/// Temporary files are where one says, and what is wrong with the place is told.
#[test]
fn what_does_not_fit_goes_where_it_is_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    let mut ingest = chatwal(&store, &["ingest", "-q", "-"]).spawn().unwrap();
    ingest.stdin.take().unwrap().write_all(&one_site(100_000, |number| format!("v{number}"))).unwrap();
    assert!(ingest.wait().unwrap().success());
    let run =
        |arguments: &[&str]| chatwal(&store, arguments).stdin(Stdio::null()).stderr(Stdio::piped()).output().unwrap();
    let nowhere = directory.path().join("nowhere");
    let nowhere = nowhere.to_str().unwrap();
    for command in [&["report"][..], &["timeline", "1"], &["compact"]] {
        let failed = run(&[&["--memory", "1M", "--temp", nowhere], command].concat());
        let told = String::from_utf8_lossy(&failed.stderr).into_owned();
        assert_eq!(failed.status.code(), Some(1), "{command:?}: {told}");
        assert!(
            failed.stdout.is_empty() && told.contains(nowhere) && told.contains("--temp DIR"),
            "{command:?}: {told}"
        );
    }
    let done = run(&["--memory", "1M", "--temp", directory.path().to_str().unwrap(), "-v", "report"]);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && told.contains(" bytes in temporary files"), "{told}");
    // What fits needs none, and no place for it.
    assert!(run(&["--memory", "1G", "--temp", nowhere, "report"]).status.success());
}

/// Inputs of about 24 MB that take much memory for their bytes.
fn greedy() -> [(&'static str, Vec<u8>); 5] {
    const BYTES: usize = 24 << 20;
    let event = |number: usize, id: &str, from: &str| {
        format!(
            "{{\"id\":\"{id}{number}\",\"type\":\"message\",\"from\":\"{from}{number}\",\"site_id\":\"1\",\"timestamp\":{},\"data\":{{\"message\":\"\"}}}}",
            number % 10
        )
    };
    let many = |id: &str, from: &str, end: &str| -> Vec<u8> {
        let count = BYTES / event(1 << 18, id, from).len();
        (0..count).flat_map(|number| [event(number, id, from).as_str(), end].concat().into_bytes()).collect()
    };
    let long = "n".repeat(1000);
    let wrong: Vec<u8> =
        (0..24u8).flat_map(|number| [vec![b'a' + number; (1 << 20) - 1], b"\n".to_vec()].concat()).collect();
    [
        ("short lines, each with a name of its own", many("", "", "\n")),
        ("long ids and names", many(&long, &long, "\n")),
        ("one line of many objects", many("", "", "")),
        ("one array of many objects", [b"[".to_vec(), many("", "", ",")].concat()),
        ("rejects of 1 MiB", wrong),
    ]
}

/// The peak of an ingest in KiB; it ends with `status`.
fn peak_of_ingest(store: &Path, input: &Path, memory: &str, threads: &str, status: &[i32]) -> u64 {
    let arguments = ["--memory", memory, "ingest", "-q", "--keep-rejects", "1M", "--max-rejects", "all"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_chatwal"));
    command.args(["--threads", threads, "--store"]).arg(store).args(arguments).arg(input).stderr(Stdio::null());
    let mut ingest = command.spawn().unwrap();
    let mut most = 0;
    let ended = loop {
        match ingest.try_wait().unwrap() {
            Some(ended) => break ended,
            None => most = most.max(try_peak(&ingest).unwrap_or(0)),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(status.contains(&ended.code().unwrap()), "{ended}");
    most
}

#[test]
fn an_ingest_stays_within_its_memory_whatever_the_lines_are() {
    let directory = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (number, (name, bytes)) in greedy().into_iter().enumerate() {
        let input = directory.path().join(number.to_string());
        std::fs::write(&input, bytes).unwrap();
        for (memory, threads) in [(16, "1"), (16, "8"), (64, "2"), (64, "8")] {
            let store = directory.path().join("store");
            let peak = peak_of_ingest(&store, &input, &format!("{memory}M"), threads, &[0, 3]);
            println!("{name}: {peak} KiB with --memory {memory}M and {threads} threads");
            if peak > (memory + 32) << 10 || peak < 4 << 10 {
                wrong.push(format!("{name}: {peak} KiB with --memory {memory}M and {threads} threads"));
            }
            std::fs::remove_dir_all(&store).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
