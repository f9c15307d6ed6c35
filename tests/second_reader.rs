//! A second reader, in Python, written from wal-format.md alone by somebody who had not read the code (tests/reader). Both read
//! stores with random pasts, damaged, and forged: changed, with the checksums made right again. They have to agree on each: the
//! verdict, the report, the inputs, the rejects and every count; else the page, the program or the reader is wrong.
//!
//! And it counts for repairs, independently, what is intact: nothing of it may be lost.
//!
//! `CHATWAL_STORES` says how many stores are read, `CHATWAL_REPAIRS` how many are repaired, `CHATWAL_SEED` repeats a run,
//! `CHATWAL_READER` is the command of another reader, which understands what tests/reader/serve.py does.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, channel};
use std::time::Instant;

use chatwal::disk::scratch::Limits;
use chatwal::error::Error;
use chatwal::format::hex;
use chatwal::query::report::{Report, ReportOptions};
use chatwal::store::View;
use chatwal::upkeep::repair::{RepairOptions, repair};
use chatwal::upkeep::verify::verify;
use serde_json::{Value, json};
use support::forgeries::{Files, KINDS, spoil};
use support::histories::history;
use support::setting;
use support::sim::{Choices, SimDisk};
use support::store::{report, text};

/// How many are asked at once: while they read, the next stores are made.
const ASKED: usize = 64;

/// The second reader at work.
struct Reader {
    child: Child,
    /// What it says, taken off its hands: it must never wait for somebody who waits for it.
    answers: Receiver<String>,
}

impl Reader {
    /// Nothing where there is no Python.
    fn start() -> Option<Reader> {
        let own = concat!("exec python3 '", env!("CARGO_MANIFEST_DIR"), "/tests/reader/serve.py'");
        let named = std::env::var("CHATWAL_READER");
        if named.is_err() && Command::new("python3").arg("--version").output().is_err() {
            println!("python3 is missing, which the second reader is written in: not run");
            return None;
        }
        let mut shell = Command::new("sh");
        shell.args(["-c", named.as_deref().unwrap_or(own)]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let (said, answers) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| said.send(line)));
        Some(Reader { child, answers })
    }

    fn ask(&mut self, what: u8, files: &Files) {
        let mut bytes = vec![what];
        bytes.extend_from_slice(&(files.len() as u32).to_le_bytes());
        for (name, content) in files {
            for part in [name.as_bytes(), content] {
                bytes.extend_from_slice(&(part.len() as u32).to_le_bytes());
                bytes.extend_from_slice(part);
            }
        }
        self.child.stdin.as_mut().unwrap().write_all(&bytes).unwrap();
    }

    fn answer(&mut self) -> Value {
        let line = self.answers.recv().expect("the second reader ended");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the second reader said {line:?}: {error}"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn on_disk(files: &Files) -> SimDisk {
    let disk = SimDisk::new(1);
    files.iter().for_each(|(name, bytes)| disk.edit(name, |file| file.clone_from(bytes)));
    disk
}

/// What chatwal says of a store, in the words of the second reader: the answer of a program that reads it, and under `verify`
/// the verdict of one that checks everything.
fn chatwal_says(disk: &SimDisk) -> Value {
    let mut read = reader_says(disk);
    let checked = match verify(disk, &Limits::new(1), &|_| ()) {
        Ok(verified) if !verified.findings.is_empty() => json!("corrupt"),
        Ok(_) => read["verdict"].clone(),
        Err(Error::Version { .. }) => json!("newer"),
        Err(Error::NoStore { .. }) => json!("no store"),
        Err(error) => panic!("{error}"),
    };
    read["verify"] = checked;
    read
}

fn reader_says(disk: &SimDisk) -> Value {
    let refused = |error: Error| match error {
        Error::Corruption(what) => json!({"verdict": "corrupt", "why": what.to_string()}),
        Error::Version { .. } => json!({"verdict": "newer", "why": error.to_string()}),
        Error::NoStore { .. } => json!({"verdict": "no store", "why": error.to_string()}),
        other => panic!("{other}"),
    };
    let view = match View::open(disk) {
        Ok(view) => view,
        Err(error) => return refused(error),
    };
    let verified =
        verify(disk, &Limits::new(1), &|_| ()).unwrap_or_else(|error| panic!("verify of what readers accept: {error}"));
    if let Some(found) = verified.findings.first() {
        return json!({"verdict": "corrupt", "why": found.to_string()});
    }
    // What is sound by every check, everybody can read.
    let summary = Report::of(&view, &ReportOptions::default()).unwrap();
    let mut rejects = Vec::new();
    view.rejects(&mut |checkpoint, batch| {
        let of_batch = batch.map(|reject| {
            let raw: String = reject.raw.iter().map(|byte| format!("{byte:02x}")).collect();
            json!([
                hex(checkpoint.instance),
                reject.offset,
                reject.line,
                reject.column,
                reject.reason,
                reject.length,
                raw
            ])
        });
        rejects.extend(of_batch);
        true
    })
    .unwrap();
    rejects.sort_by_key(Value::to_string);
    let inputs = view.inputs.iter().map(|(instance, input)| {
        let name: String = input.checkpoint.name.iter().map(|byte| format!("{byte:02x}")).collect();
        let (end, line) = (input.checkpoint.end, input.checkpoint.end_line);
        json!([hex(*instance), end, line, input.events, input.rejects, name, input.checkpoint.left])
    });
    let lines = report(&view).unwrap();
    let some = |moment: i64| (summary.totals.events > 0).then_some(moment);
    json!({
        "verdict": if view.torn.is_some() { "torn" } else { "sound" },
        "report": text(&lines).lines().collect::<Vec<_>>(),
        "inputs": inputs.collect::<Vec<_>>(),
        "rejects": rejects,
        "events": summary.totals.events,
        "copies": summary.totals.copies,
        "disputed": summary.totals.disputed,
        "sites": summary.each(&mut |_, _| true).unwrap().sites,
        "earliest": some(summary.totals.earliest),
        "latest": some(summary.totals.latest),
    })
}

/// Brings an answer into one form: the order of rejects is nobody's, and why a store is refused each says in its own words.
fn comparable(mut answer: Value) -> Value {
    if let Some(map) = answer.as_object_mut() {
        map.remove("why");
        if let Some(rejects) = map.get_mut("rejects").and_then(Value::as_array_mut) {
            rejects.sort_by_key(Value::to_string);
        }
    }
    answer
}

/// Whether two say something else of a store. A reader that knows one verdict only tells that of a program that checks
/// everything.
fn disagree(own: &Value, theirs: &Value) -> bool {
    let (mut own, theirs) = (comparable(own.clone()), comparable(theirs.clone()));
    if theirs.get("verify").is_none()
        && let Some(checked) = own.as_object_mut().and_then(|own| own.remove("verify"))
    {
        own["verdict"] = checked;
    }
    own != theirs
}

/// Keeps a store that two disagree about, to be looked at.
fn keep(files: &Files, name: &str) -> String {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    files.iter().for_each(|(name, bytes)| std::fs::write(directory.join(name), bytes).unwrap());
    directory.display().to_string()
}

#[test]
fn both_say_the_same_of_every_store() {
    let seed = setting("CHATWAL_SEED", u64::from(std::process::id()));
    println!("CHATWAL_SEED={seed}");
    let count = setting("CHATWAL_STORES", 10_000);
    let Some(mut reader) = Reader::start() else { return };
    let started = Instant::now();
    let mut told: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut asked = std::collections::VecDeque::new();
    let mut other = history(&mut Choices::Random(seed ^ 1)).files();
    let mut settle = |asked: &mut std::collections::VecDeque<(u64, &'static str, Files, Value)>,
                      reader: &mut Reader| {
        let Some((number, kind, files, own)) = asked.pop_front() else { return };
        let theirs = reader.answer();
        if disagree(&own, &theirs) {
            let place = keep(&files, "disagreement");
            panic!(
                "store {number} of CHATWAL_SEED={seed} ({kind}), kept in {place}\nchatwal: {own:#}\nthe second reader: {theirs:#}"
            );
        }
        *told.entry((kind, own["verdict"].as_str().unwrap().to_owned())).or_default() += 1;
    };
    let (mut number, mut made) = (0, 0);
    while made < count {
        number += 1;
        let mut choices = Choices::Random(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let mut sound = history(&mut choices).files();
        if choices.one_in(6) {
            sound = scarred(sound, &mut choices);
        }
        for _ in 0..8 {
            let kind = KINDS[choices.of(KINDS.len())];
            let mut files = sound.clone();
            if !spoil(&mut files, &other, kind, &mut choices) {
                continue;
            }
            // Some things only show together.
            if choices.one_in(8) {
                let more = KINDS[choices.of(KINDS.len())];
                spoil(&mut files, &other, more, &mut choices);
            }
            let own = chatwal_says(&on_disk(&files));
            reader.ask(b'r', &files);
            asked.push_back((number, kind, files, own));
            made += 1;
            if asked.len() > ASKED {
                settle(&mut asked, &mut reader);
            }
        }
        other = sound;
    }
    while !asked.is_empty() {
        settle(&mut asked, &mut reader);
    }
    println!("{made} stores, no disagreement; {:.1?}", started.elapsed());
    for kind in KINDS {
        let of_kind: Vec<String> = told
            .iter()
            .filter(|((it, _), _)| *it == kind)
            .map(|((_, verdict), count)| format!("{count} {verdict}"))
            .collect();
        println!("  {kind}: {}", of_kind.join(", "));
        assert!(!of_kind.is_empty(), "{kind} was never tried");
    }
}

/// The kinds of damage after which a file still is what its name says.
const ACCIDENTS: [&str; 11] = [
    "a bit",
    "a few bytes",
    "zeros",
    "cut",
    "bytes inserted",
    "bytes taken out",
    "bytes repeated",
    "a file gone",
    "bytes behind the end",
    "a bit",
    "forged record",
];

/// The events that are intact, by an independent count.
fn intact(reader: &mut Reader, files: &Files) -> BTreeSet<String> {
    reader.ask(b'i', files);
    reader.answer().as_array().unwrap().iter().map(Value::to_string).collect()
}

fn repaired(disk: &SimDisk) -> Result<Option<chatwal::upkeep::repair::Repair>, Error> {
    let options = RepairOptions { threads: 1, memory: 1 << 20, temp: None, dry_run: false };
    repair(disk, &options, &AtomicBool::new(false), &|_| ())
}

/// The store after it was damaged and repaired; now and then only half, as somebody finds it who turns the machine on again.
fn scarred(files: Files, choices: &mut Choices) -> Files {
    let mut damaged = files.clone();
    let kind = ACCIDENTS[choices.of(ACCIDENTS.len())];
    spoil(&mut damaged, &Files::new(), kind, choices);
    let disk = on_disk(&damaged);
    if choices.one_in(4) {
        disk.stop_at(choices.of(12) as u64);
    }
    let _ = repaired(&disk);
    // What cannot be repaired, or was not damaged by it, is no base for more damage of other kinds.
    match chatwal_says(&disk.kill())["verify"].as_str() {
        Some("sound" | "torn" | "corrupt") => disk.kill().files(),
        _ => files,
    }
}

#[test]
fn a_repair_keeps_whatever_is_intact_and_a_copy_of_what_it_replaces() {
    let seed = setting("CHATWAL_SEED", u64::from(std::process::id()));
    println!("CHATWAL_SEED={seed}");
    let count = setting("CHATWAL_REPAIRS", 250);
    let Some(mut reader) = Reader::start() else { return };
    let started = Instant::now();
    let (mut number, mut repairs, mut killed, mut events) = (0, 0, 0, 0);
    while repairs < count {
        number += 1;
        let mut choices = Choices::Random(seed.wrapping_mul(1_000_033).wrapping_add(number));
        let mut files = history(&mut choices).files();
        for _ in 0..1 + choices.of(3) {
            let kind = ACCIDENTS[choices.of(ACCIDENTS.len())];
            spoil(&mut files, &Files::new(), kind, &mut choices);
        }
        let mut disk = on_disk(&files);
        if chatwal_says(&disk)["verdict"] != "corrupt" {
            continue;
        }
        let place = || keep(&files, "repair");
        // A fourth of them die on the way, some more than once, and some lose power.
        if number % 4 == 0 {
            for _ in 0..1 + choices.of(2) {
                disk.stop_at(choices.of(12) as u64);
                if repaired(&disk).is_ok() {
                    break;
                }
                killed += 1;
                disk = if choices.one_in(2) { disk.kill() } else { disk.crash(&mut choices) };
            }
            disk = disk.kill();
        }
        let before = intact(&mut reader, &files);
        repaired(&disk).unwrap_or_else(|error| panic!("{error}: store {number} of CHATWAL_SEED={seed}, {}", place()));
        repairs += 1;
        let after = disk.files();
        let verified = verify(&disk, &Limits::new(1), &|_| ()).unwrap();
        assert_eq!(
            (verified.findings, verified.torn),
            (vec![], None),
            "store {number} of CHATWAL_SEED={seed}, {}",
            place()
        );
        for (name, bytes) in &files {
            let copied =
                |(copy, content): (&String, &Vec<u8>)| copy.starts_with(&format!("{name}.repair-")) && content == bytes;
            let is_there = after.get(name) == Some(bytes) || after.iter().any(copied);
            let ours = name.ends_with(".wal") || name.ends_with(".snap");
            assert!(
                is_there || !ours,
                "{name} is gone without a copy: store {number} of CHATWAL_SEED={seed}, {}",
                place()
            );
        }
        let now = intact(&mut reader, &after);
        let lost: Vec<&String> = before.difference(&now).collect();
        assert!(lost.is_empty(), "intact, and lost: {lost:?}: store {number} of CHATWAL_SEED={seed}, {}", place());
        reader.ask(b'r', &after);
        let theirs = reader.answer();
        assert_eq!(
            comparable(theirs),
            comparable(chatwal_says(&disk)),
            "store {number} of CHATWAL_SEED={seed}, {}",
            place()
        );
        events += before.len();
    }
    println!(
        "{repairs} repairs, {killed} of them killed on the way; {events} events were intact, none is lost; {:.1?}",
        started.elapsed()
    );
}
