//! P5, readers never write and never wait: whatever a writer does beside them, each of their answers is the report of
//! some prefix of what it was given, and holds what was acknowledged when they began.

mod support;

use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::beside::{Prefixes, can_trace, only_reads, report_beside};
use support::cli::{Sandbox, generated, possible, until};

#[test]
fn beside_a_writer_that_is_fed_slowly() {
    let sandbox = Sandbox::new();
    let input = generated("-n 1200 --sites 12 --copies 0.1 --order random");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let prefixes = Prefixes::of(&lines);
    let mut writer = sandbox.start("ingest --store s --segment-size 4096 --progress json -");
    until("there is a store", || sandbox.run("report --store s").code == Some(0));
    let (goes_on, acknowledged) = (AtomicBool::new(true), AtomicU64::new(0));
    let (rounds, answers) = scope(|scope| {
        let readers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| report_beside(&sandbox, &prefixes, &acknowledged, &goes_on))).collect();
        let started = Instant::now();
        for (number, lines) in lines.chunks(12).enumerate() {
            writer.send(lines.concat());
            // Now without a pause, now with one that is long enough to be taken for the end of a chunk.
            sleep(Duration::from_millis(if number % 5 == 0 { 250 } else { 30 }));
            let said = writer.said();
            let told = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let durable = told.filter_map(|line| line["durable_offset"].as_u64()).max().unwrap_or(0);
            acknowledged.store(prefixes.lines(durable), Ordering::Relaxed);
        }
        eprintln!("fed for {:?}", started.elapsed());
        goes_on.store(false, Ordering::Relaxed);
        let counts: Vec<(u32, u32)> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        counts.into_iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    });
    writer.end().expect(0);
    sandbox.reports(&input);
    eprintln!("{rounds} rounds, {answers} different answers, {} lines acknowledged", acknowledged.into_inner());
    assert!(rounds >= 200 && answers >= 12, "{rounds} rounds, {answers} answers");
}

#[test]
fn beside_a_writer_that_rolls_with_every_frame() {
    let sandbox = Sandbox::new();
    let input = generated("-n 2000 --sites 12 --copies 0.1 --seed 5");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let prefixes = Prefixes::of(&lines);
    let mut names = Vec::new();
    for (number, lines) in lines.chunks(5).enumerate() {
        names.push(format!("part-{number}"));
        sandbox.write(&names[number], lines.concat());
    }
    sandbox.write("empty", "");
    sandbox.run("ingest --store s empty").expect(0);
    let (goes_on, acknowledged) = (AtomicBool::new(true), AtomicU64::new(0));
    let (rounds, answers) = scope(|scope| {
        let readers: Vec<_> =
            (0..2).map(|_| scope.spawn(|| report_beside(&sandbox, &prefixes, &acknowledged, &goes_on))).collect();
        // Several processes one after the other: each recovers, and each acknowledges all of its inputs at its end.
        for names in names.chunks(20) {
            sandbox.run(&format!("ingest --store s --segment-size 4096 {}", names.join(" "))).expect(0);
            acknowledged.fetch_add(100, Ordering::Relaxed);
        }
        goes_on.store(false, Ordering::Relaxed);
        let counts: Vec<(u32, u32)> = readers.into_iter().map(|reader| reader.join().unwrap()).collect();
        counts.into_iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    });
    sandbox.reports(&input);
    let segments = sandbox.segments("s").len();
    eprintln!("{rounds} rounds, {answers} different answers, {segments} segments");
    assert!(rounds >= 50 && answers >= 10 && segments > 20, "{rounds} rounds, {answers} answers, {segments} segments");
}

#[test]
fn a_reader_changes_nothing() {
    let sandbox = Sandbox::new();
    let input = generated("-n 500 --bad 0.02");
    sandbox.write("in.jsonl", &input);
    sandbox.run("ingest --store s --segment-size 4096 in.jsonl").expect(3);
    sandbox.append("s/0000000001.wal", [7; 100]);
    let before = sandbox.listing("s");
    let changed = fs::metadata(sandbox.path("s")).unwrap().modified().unwrap();
    for command in ["report", "stat", "rejects", "sources"] {
        sandbox.run(&format!("{command} --store s")).expect(0).silently();
    }
    sandbox.run("dump s/0000000001.wal").expect(0).says(&["torn", "100 bytes"]);
    sandbox.run("dump --events s/0000000001.wal").expect(0).says(&["torn", "100 bytes"]);
    assert!(sandbox.listing("s") == before);
    assert_eq!(fs::metadata(sandbox.path("s")).unwrap().modified().unwrap(), changed);
    // A writer does change it: it cuts what was never acknowledged, and says so.
    sandbox.run("ingest --store s in.jsonl").expect(3).says(&["s/0000000001.wal (byte ", "cut 100 bytes"]);
    sandbox.reports(&input);
}

#[test]
fn a_reader_needs_no_permission_to_write() {
    if !possible("unshare", &["-rm", "sh", "-c", "mount --bind /tmp /tmp"], "a read-only file system") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", generated("-n 500"));
    sandbox.run("ingest --store s in.jsonl").expect(0);
    sandbox.write(
        "script",
        "mount --bind s s && mount -o remount,bind,ro s && ! touch s/x && exec $chatwal report --store s",
    );
    let ran = sandbox.shell("unshare -rm sh script 2>errors").expect(0);
    assert!(ran.out.as_bytes() == support::naive::report(&sandbox.read("in.jsonl")));
}

#[test]
fn a_reader_makes_no_call_that_could_change_or_wait() {
    if !can_trace() {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", generated("-n 500"));
    sandbox.run("ingest --store s --segment-size 4096 in.jsonl").expect(0);
    for command in
        ["report --store s", "stat --store s", "sources --store s", "rejects --store s", "dump s/0000000001.wal"]
    {
        only_reads(&sandbox, command, &["0000000001.wal"]);
    }
}
