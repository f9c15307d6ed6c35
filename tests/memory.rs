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
    command.args(["--threads", "2", "--store"]).arg(store).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Pipes a workload into a fresh store and reports on it; gives the peaks of both in KiB.
fn peaks(store: &Path, generate: &[&str]) -> (u64, u64) {
    let workload = Command::new(env!("CARGO_BIN_EXE_generate")).args(generate).output().unwrap().stdout;
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

#[test]
fn the_largest_site_takes_at_most_64_bytes_an_event() {
    let directory = tempfile::tempdir().unwrap();
    let store = directory.path().join("store");
    const EVENTS: u64 = 1_000_000;
    // Besides the one site there are enough small ones for a report that does not fit the pipe.
    let mut workload = Vec::new();
    for event in 0..EVENTS {
        let line = format!(
            "{{\"id\":\"{event:08x}-0000-4000-8000-{event:012x}\",\"type\":\"message\",\"from\":\"v{}\",\"site_id\":\"1\",\"timestamp\":{event},\"data\":{{\"message\":\"\"}}}}\n",
            event % 1000
        );
        workload.extend_from_slice(line.as_bytes());
    }
    let small = ["--sites", "5000", "--lines", "20000"];
    workload.extend(Command::new(env!("CARGO_BIN_EXE_generate")).args(small).output().unwrap().stdout);
    let mut ingest = chatwal(&store, &["ingest", "-q", "-"]).spawn().unwrap();
    ingest.stdin.take().unwrap().write_all(&workload).unwrap();
    assert!(ingest.wait().unwrap().success());
    let mut report = chatwal(&store, &["--memory", "1M", "report"]).spawn().unwrap();
    let mut stdout = report.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 1]).unwrap();
    let peak = peak(&report);
    stdout.read_to_end(&mut Vec::new()).unwrap();
    assert!(report.wait().unwrap().success());
    let mut compact = chatwal(&store, &["--memory", "1M", "compact", "-q"]).spawn().unwrap();
    let mut folding = 0;
    // A process that ended and was not waited for has no memory any more to tell of.
    while compact.try_wait().unwrap().is_none() {
        folding = folding.max(try_peak(&compact).unwrap_or(0));
        std::thread::sleep(Duration::from_millis(1));
    }
    println!("peak of the report: {peak} KiB, of compaction: {folding} KiB, for a site of {EVENTS} events");
    assert!(peak << 10 < EVENTS * 64 + (24 << 20), "{peak} KiB");
    assert!(folding > 10 << 10 && folding << 10 < EVENTS * 64 + (10 << 20), "{folding} KiB");
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
