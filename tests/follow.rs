//! `ingest --follow`: whatever rotation does to a file, all that was written to it counts, and counts once.

mod support;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use chatwal::disk::{Disk, Names, Storage};
use chatwal::query::report::{Report, ReportOptions};
use chatwal::show::render::Format;
use chatwal::store::View;
use chatwal::store::log::{Amount, Durability, Log, LogOptions, SEGMENT_FRAMES};
use chatwal::upkeep::compact::{Background, CompactOptions};
use support::cli::{Running, Sandbox, generated, gzip, message, status, until, zstd};
use support::naive::Naive;
use support::store::Model;

/// Quick looks: the tests wait for them.
const FOLLOW: &str = "ingest --store s --follow --poll 20ms --flush-interval 50ms --progress json";

fn follow(sandbox: &Sandbox, files: &str) -> Running {
    let running = Running::start(sandbox.chatwal(&format!("{FOLLOW} {files}")));
    until("the store is there", || sandbox.has("s/ACKNOWLEDGED") || sandbox.has("s/0000000001.wal"));
    running
}

/// The report of several texts, each an input.
fn expected(texts: &[&[u8]]) -> String {
    let mut naive = Naive::new();
    texts.iter().for_each(|text| naive.feed_input(text));
    String::from_utf8(naive.report()).unwrap()
}

#[track_caller]
fn comes_to(sandbox: &Sandbox, texts: &[&[u8]]) {
    let expected = expected(texts);
    let begun = Instant::now();
    while sandbox.report() != expected {
        assert!(begun.elapsed() < Duration::from_secs(30), "the report does not become that of all lines");
        sleep(Duration::from_millis(20));
    }
}

/// Ends it as a service manager does.
#[track_caller]
fn stop(running: Running) -> String {
    running.signal("TERM");
    running.wait().expect(143).err
}

/// How many rejects the store holds.
fn rejects(sandbox: &Sandbox) -> usize {
    sandbox.run("rejects --store s --format ndjson").expect(0).records().len()
}

/// Events of one operator and many visitors, of which no two texts have one in common.
fn part(number: usize, lines: usize) -> Vec<u8> {
    let line = |at: usize| {
        let (id, time) = (format!("{number}-{at}"), (number * 100_000 + at) as i64);
        match at % 10 {
            0 => status("7", &id, "operator", time, if at.is_multiple_of(20) { "online" } else { "offline" }),
            _ => message("7", &id, &format!("visitor{}", at % 50), time),
        }
    };
    (0..lines).map(line).collect::<String>().into_bytes()
}

#[test]
fn a_file_is_waited_for_and_read_as_it_grows() {
    let sandbox = Sandbox::new();
    let running = follow(&sandbox, "in.jsonl");
    until("it says that it waits", || running.said().contains("in.jsonl: not there yet"));
    let text = part(1, 200);
    let (first, rest) = text.split_at(text.len() / 3);
    sandbox.write("in.jsonl", first);
    let lines = first.iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    comes_to(&sandbox, &[&first[..lines]]);
    for piece in rest.chunks(100) {
        sandbox.append("in.jsonl", piece);
        sleep(Duration::from_millis(5));
    }
    comes_to(&sandbox, &[&text]);
    let said = stop(running);
    assert_eq!(said.matches("not there yet").count(), 1, "{said}");
    assert_eq!(rejects(&sandbox), 0, "a line in pieces is no reject");
    // What a follower leaves is what any ingest goes on with.
    let ran = sandbox.run("ingest --store s --progress json in.jsonl").expect(0);
    assert_eq!(ran.read(), (text.len() as u64, text.len() as u64));
    assert_eq!(sandbox.sources().len(), 1);
}

#[test]
fn half_a_line_says_nothing_until_its_file_is_done() {
    let sandbox = Sandbox::new();
    let text = part(1, 5);
    let cut = text.len() - 20;
    sandbox.write("in.jsonl", &text[..cut]);
    let running = follow(&sandbox, "in.jsonl");
    let whole = text[..cut].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    comes_to(&sandbox, &[&text[..whole]]);
    sleep(Duration::from_millis(200));
    assert!(!running.said().contains("incomplete"), "{}", running.said());
    let frames = |sandbox: &Sandbox| sandbox.read("s/0000000001.wal").len();
    let before = frames(&sandbox);
    sandbox.append("in.jsonl", &text[cut..cut + 5]);
    sleep(Duration::from_millis(200));
    assert_eq!(frames(&sandbox), before, "nothing is appended for what is not whole");
    sandbox.append("in.jsonl", &text[cut + 5..]);
    comes_to(&sandbox, &[&text]);
    // And where the file loses its name, it stays incomplete.
    sandbox.append("in.jsonl", "{\"id\":");
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("elsewhere")).unwrap();
    until("the end is told", || running.said().contains("in.jsonl:6 (byte"));
    let said = stop(running);
    assert!(said.contains("the end is incomplete") && said.contains("6 bytes not taken"), "{said}");
    assert_eq!(sandbox.sources()[0]["left"], 6);
}

#[test]
fn a_file_that_is_renamed_is_read_to_its_end_and_its_successor_too() {
    let sandbox = Sandbox::new();
    let (one, two, three) = (part(1, 300), part(2, 300), part(3, 300));
    let (begun, late) = one.split_at(one.len() / 2);
    sandbox.write("in.jsonl", begun);
    let running = follow(&sandbox, "in.jsonl");
    until("it was opened", || running.said().contains("\"opened\""));
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("in.jsonl.1")).unwrap();
    sandbox.write("in.jsonl", &two);
    // Whoever wrote the old file goes on for a moment.
    until("the rotation was seen", || running.said().contains("\"rotated\""));
    sandbox.append("in.jsonl.1", late);
    comes_to(&sandbox, &[&one, &two]);
    // Deleted at once, as soon as it was rotated.
    fs::remove_file(sandbox.path("in.jsonl.1")).unwrap();
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("in.jsonl.1")).unwrap();
    fs::remove_file(sandbox.path("in.jsonl.1")).unwrap();
    sandbox.write("in.jsonl", &three);
    comes_to(&sandbox, &[&one, &two, &three]);
    let said = stop(running);
    assert!(!said.contains("error"), "{said}");
    assert_eq!((rejects(&sandbox), sandbox.sources().len()), (0, 3));
}

#[test]
fn a_file_that_is_copied_and_cut_goes_on_as_a_new_one() {
    let sandbox = Sandbox::new();
    let (one, two, three) = (part(1, 300), part(2, 100), part(3, 900));
    sandbox.write("in.jsonl", &one);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&one]);
    let cut = |name: &str, text: &[u8]| {
        fs::copy(sandbox.path("in.jsonl"), sandbox.path(name)).unwrap();
        let mut file = File::options().write(true).truncate(true).open(sandbox.path("in.jsonl")).unwrap();
        file.write_all(text).unwrap();
    };
    cut("in.jsonl-20261101", &two);
    comes_to(&sandbox, &[&one, &two]);
    // Longer than before already when it is looked at again.
    cut("in.jsonl-20261102", &three);
    comes_to(&sandbox, &[&one, &two, &three]);
    let said = stop(running);
    assert!(said.contains("\"truncated\""), "{said}");
    assert_eq!(rejects(&sandbox), 0);
}

/// A whole file between two looks, of which only a copy is left.
#[test]
fn a_file_that_came_and_went_between_two_looks_is_read() {
    let sandbox = Sandbox::new();
    let (one, two, three) = (part(1, 100), part(2, 300), part(3, 200));
    sandbox.write("in.jsonl", &one);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&one]);
    sandbox.write("in.jsonl.1", &one);
    File::options().write(true).truncate(true).open(sandbox.path("in.jsonl")).unwrap();
    until("it is seen", || running.said().contains("\"truncated\""));
    sleep(Duration::from_millis(200));
    // Nothing was read of the new file yet.
    running.signal("STOP");
    fs::rename(sandbox.path("in.jsonl.1"), sandbox.path("in.jsonl.2")).unwrap();
    sandbox.write("in.jsonl.1", &two);
    sandbox.append("in.jsonl", &three);
    running.signal("CONT");
    comes_to(&sandbox, &[&one, &two, &three]);
    stop(running);
}

/// Text that was not read when its file was cut, and that only the copy has. The new text is shorter than the old one, or longer.
#[test]
fn what_only_the_copy_of_a_cut_file_has_is_read_there() {
    for (packed, length) in [(false, 100), (true, 100), (false, 900)] {
        let sandbox = Sandbox::new();
        let (one, two) = ([&part(1, 300)[..], b"not an event\n", &part(9, 300)].concat(), part(2, length));
        sandbox.write("in.jsonl", &one[..one.len() / 2]);
        let running = follow(&sandbox, "in.jsonl");
        let lines = one[..one.len() / 2].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
        comes_to(&sandbox, &[&one[..lines]]);
        // As long as nobody runs, nobody reads what comes.
        running.signal("STOP");
        let copy = if packed { ("in.jsonl.1.gz", gzip(&one)) } else { ("in.jsonl.1", one.clone()) };
        sandbox.write(copy.0, copy.1);
        sandbox.write("in.jsonl", &two);
        running.signal("CONT");
        comes_to(&sandbox, &[&one, &two]);
        let said = stop(running);
        assert!(said.contains("\"found\""), "{said}");
        assert_eq!(rejects(&sandbox), 1, "packed: {packed}");
    }
}

/// Moves each file to the next number, packs those from `packed` on, and begins a new one.
fn rotate(sandbox: &Sandbox, by_copy: bool, packed: usize) {
    let name = |number: usize, end: &str| sandbox.path(format!("in.jsonl.{number}{end}"));
    for number in (1..30).rev() {
        for end in ["", ".gz"] {
            if name(number, end).exists() {
                fs::rename(name(number, end), name(number + 1, end)).unwrap();
            }
        }
    }
    let current = sandbox.path("in.jsonl");
    if by_copy {
        fs::copy(&current, name(1, "")).unwrap();
        File::options().write(true).truncate(true).open(&current).unwrap();
    } else {
        fs::rename(&current, name(1, "")).unwrap();
        File::create(&current).unwrap();
    }
    for number in packed..30 {
        if name(number, "").exists() {
            let bytes = fs::read(name(number, "")).unwrap();
            fs::write(name(number, ".gz"), gzip(&bytes)).unwrap();
            fs::remove_file(name(number, "")).unwrap();
        }
    }
}

#[test]
fn rotations_that_nobody_saw_are_made_up_for() {
    for (by_copy, packed) in [(false, 99), (true, 99), (false, 2), (true, 1)] {
        let sandbox = Sandbox::new();
        let parts: Vec<Vec<u8>> = (0..5).map(|number| [&part(number, 200)[..], b"{}\n"].concat()).collect();
        sandbox.write("in.jsonl", &parts[0][..3000]);
        let running = follow(&sandbox, "in.jsonl");
        until("it was read", || running.said().contains("\"durable\""));
        stop(running);
        sandbox.append("in.jsonl", &parts[0][3000..]);
        for part in &parts[1..4] {
            rotate(&sandbox, by_copy, packed);
            sandbox.append("in.jsonl", part);
        }
        let texts: Vec<&[u8]> = parts[..4].iter().map(|part| &part[..]).collect();
        let running = follow(&sandbox, "in.jsonl");
        comes_to(&sandbox, &texts);
        // And while it runs, twice between two looks.
        running.signal("STOP");
        rotate(&sandbox, by_copy, packed);
        sandbox.append("in.jsonl", &parts[4]);
        rotate(&sandbox, by_copy, packed);
        running.signal("CONT");
        let texts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
        comes_to(&sandbox, &texts);
        stop(running);
        assert_eq!(rejects(&sandbox), 5, "each once; by copy: {by_copy}, packed from {packed}");
    }
}

/// While what nobody has read is waited for, its successor loses its name too.
#[test]
fn a_rotation_while_older_ones_are_made_up_for_loses_nothing() {
    let sandbox = Sandbox::new();
    let parts: Vec<Vec<u8>> = (0..5).map(|number| part(number, 200)).collect();
    sandbox.write("in.jsonl", &parts[0]);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&parts[0]]);
    stop(running);
    for part in &parts[1..4] {
        rotate(&sandbox, false, 99);
        sandbox.append("in.jsonl", part);
    }
    let running = follow(&sandbox, "in.jsonl");
    until("it was opened", || running.said().contains("\"opened\""));
    assert!(!running.said().contains("\"found\""), "{}", running.said());
    rotate(&sandbox, false, 99);
    sandbox.append("in.jsonl", &parts[4]);
    let texts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    comes_to(&sandbox, &texts);
    stop(running);
}

#[test]
fn a_copy_in_the_making_is_waited_for() {
    let sandbox = Sandbox::new();
    let one = [b"not an event\n", &part(1, 200)[..]].concat();
    sandbox.write("in.jsonl", &one);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&one]);
    stop(running);
    // Too short to be known by its first bytes.
    sandbox.write("in.jsonl.1", &one[..1000]);
    sandbox.write("in.jsonl", part(2, 200));
    let running = follow(&sandbox, "in.jsonl");
    until("it was opened", || running.said().contains("\"opened\""));
    sleep(Duration::from_millis(300));
    sandbox.append("in.jsonl.1", &one[1000..]);
    comes_to(&sandbox, &[&one, &part(2, 200)]);
    stop(running);
    assert_eq!((rejects(&sandbox), sandbox.sources().len()), (1, 2));
}

/// The newer file is not read before the older one, so that a kill between them cannot hide the older one for good.
#[test]
fn what_is_older_comes_first_in_the_log() {
    let sandbox = Sandbox::new();
    let parts: Vec<Vec<u8>> = (0..4).map(|number| part(number, 200)).collect();
    sandbox.write("in.jsonl", &parts[0]);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&parts[0]]);
    stop(running);
    for part in &parts[1..] {
        rotate(&sandbox, false, 99);
        sandbox.append("in.jsonl", part);
    }
    let running = follow(&sandbox, "in.jsonl");
    let texts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
    comes_to(&sandbox, &texts);
    stop(running);
    let events = sandbox.run("dump --events s/0000000001.wal").expect(0).records();
    let numbers: Vec<u64> = events.iter().map(|event| event["timestamp"].as_u64().unwrap() / 100_000).collect();
    assert!(
        numbers.is_sorted(),
        "{:?}",
        numbers.chunk_by(|one, other| one == other).map(|it| it[0]).collect::<Vec<_>>()
    );
}

#[test]
fn tiny_frames_are_sealed_and_folded_by_their_number() {
    let directory = tempfile::tempdir().unwrap();
    let disk = Arc::new(Disk::create(directory.path(), Names::DurableIfPossible).unwrap());
    let storage = Arc::clone(&disk) as Arc<dyn Storage>;
    let options = LogOptions { durability: Durability::Os, segment_size: 128 << 20 };
    let (mut log, _, _) = Log::open(Arc::clone(&storage), options).unwrap();
    let fold = CompactOptions { threads: 1, memory: 32 << 20, temp: None, all: false };
    let mut background = Background::new(Arc::clone(&storage), fold, log.tail(), u64::MAX);
    let mut model = Model::default();
    support::folds::append(&mut model, &mut log, 10, 3);
    for round in 1..4u64 {
        // The least frame that is not just a mark.
        for _ in 0..SEGMENT_FRAMES {
            log.append_forget(&[[7; 16]]).unwrap();
        }
        background.poke();
        assert_eq!(log.tail().amount().frames / SEGMENT_FRAMES, if round == 3 { 1 } else { round }, "round {round}");
        if round == 2 {
            until("what was folded is no longer counted", || {
                background.poke();
                log.tail().amount() == Amount::default()
            });
            assert_eq!(View::open(&*disk).unwrap().snapshots.len(), 1);
        }
    }
    background.finish(false).unwrap();
    assert_eq!(background.outcomes.len(), 1, "two sealed segments are enough, and one is not");
    log.settle().unwrap();
    let view = View::open(&*disk).unwrap();
    assert_eq!((view.snapshots.len(), view.segments.len()), (1, 2), "one to be folded, and the last");
    let report = Report::of(&view, &ReportOptions::default()).unwrap();
    let mut found = Vec::new();
    chatwal::render(&report, Format::Line, &mut found).unwrap().unwrap();
    assert!(found == model.report(10));
}

#[test]
fn what_was_rotated_before_it_was_first_followed_is_not_read() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl.1", part(1, 10));
    sandbox.write("in.jsonl.2.gz", gzip(&part(2, 10)));
    sandbox.write("in.jsonl", part(3, 10));
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&part(3, 10)]);
    stop(running);
    // Nor later, when the store knows the file.
    let running = follow(&sandbox, "in.jsonl");
    sandbox.append("in.jsonl", part(4, 10));
    comes_to(&sandbox, &[&part(3, 10), &part(4, 10)]);
    stop(running);
}

/// A file that was followed before it had a line has no place in the store.
#[test]
fn what_was_followed_while_it_was_empty_is_made_up_for_too() {
    for begin in ["", "{\"id\":\"9\",\"ty"] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", begin);
        let running = follow(&sandbox, "in.jsonl");
        until("it was read", || running.said().contains("\"caught_up\""));
        running.kill();
        let rest = if begin.is_empty() { "" } else { "\n" };
        let one = [begin.as_bytes(), rest.as_bytes(), &part(1, 50)].concat();
        sandbox.append("in.jsonl", &one[begin.len()..]);
        fs::rename(sandbox.path("in.jsonl"), sandbox.path("in.jsonl.1")).unwrap();
        sandbox.write("in.jsonl", part(2, 50));
        let running = follow(&sandbox, "in.jsonl");
        comes_to(&sandbox, &[&one, &part(2, 50)]);
        stop(running);
        assert_eq!(rejects(&sandbox), usize::from(!begin.is_empty()));
    }
}

/// Whoever writes it may not have been told that it was renamed.
#[test]
fn the_newest_file_that_was_renamed_is_read_for_good() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", part(1, 50));
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&part(1, 50)]);
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("in.jsonl.1")).unwrap();
    sandbox.append("in.jsonl.1", "{\"half");
    sandbox.write("in.jsonl", part(2, 50));
    until("its end is told", || running.said().contains("the end is incomplete"));
    sandbox.append("in.jsonl.1", "\n");
    sandbox.append("in.jsonl.1", part(3, 50));
    comes_to(&sandbox, &[&part(1, 50), &part(2, 50), &part(3, 50)]);
    stop(running);
    assert_eq!((rejects(&sandbox), sandbox.sources().len()), (1, 2));
}

#[test]
fn a_deleted_file_is_read_on_through_its_descriptor() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", part(1, 50));
    let mut writer = File::options().append(true).open(sandbox.path("in.jsonl")).unwrap();
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&part(1, 50)]);
    fs::remove_file(sandbox.path("in.jsonl")).unwrap();
    until("it is seen", || running.said().contains("\"vanished\""));
    sleep(Duration::from_millis(200));
    writer.write_all(&part(2, 50)).unwrap();
    comes_to(&sandbox, &[&part(1, 50), &part(2, 50)]);
    stop(running);
}

/// One descriptor for each file that ever was would be too many after a year.
#[test]
fn a_file_of_a_pattern_that_is_moved_away_is_let_go() {
    let sandbox = Sandbox::new();
    sandbox.write("one.jsonl", part(1, 50));
    let running = follow(&sandbox, "*.jsonl");
    comes_to(&sandbox, &[&part(1, 50)]);
    let descriptors = format!("/proc/{}/fd", running.pid());
    let leads_to = |name: &str| {
        let mut links = fs::read_dir(&descriptors).unwrap().filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
        links.any(|link| link.ends_with(name))
    };
    assert!(leads_to("one.jsonl"));
    fs::rename(sandbox.path("one.jsonl"), sandbox.path("archived")).unwrap();
    until("it is seen", || running.said().contains("\"vanished\""));
    assert!(leads_to("archived"), "it is read on for a while");
    until("it is let go", || !leads_to("archived"));
    stop(running);
}

#[test]
fn what_stands_behind_packed_data_is_said() {
    let sandbox = Sandbox::new();
    sandbox.write("in.gz", [&gzip(&part(1, 50))[..], b"something else"].concat());
    let running = follow(&sandbox, "in.gz");
    comes_to(&sandbox, &[&part(1, 50)]);
    until("it is said", || running.said().contains("14 bytes behind it not taken"));
    stop(running);
}

#[test]
fn a_pattern_that_finds_nothing_says_so_and_hidden_files_are_passed_over() {
    let sandbox = Sandbox::new();
    sandbox.write(".hidden.jsonl", part(1, 10));
    let running = follow(&sandbox, "*.jsonl");
    until("it says so", || running.said().contains("*.jsonl: no file there yet"));
    sandbox.write("in.jsonl", part(2, 10));
    comes_to(&sandbox, &[&part(2, 10)]);
    stop(running);
}

#[test]
fn a_pattern_finds_files_that_come_later() {
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("logs")).unwrap();
    sandbox.write("logs/a.jsonl", part(1, 50));
    sandbox.write("logs/a.txt", "not this one\n");
    fs::create_dir(sandbox.path("logs/d.jsonl")).unwrap();
    let running = follow(&sandbox, "logs/*.jsonl");
    comes_to(&sandbox, &[&part(1, 50)]);
    sandbox.write("logs/b.jsonl", part(2, 50));
    sandbox.write("logs/c.jsonl.tmp", part(3, 50));
    comes_to(&sandbox, &[&part(1, 50), &part(2, 50)]);
    fs::rename(sandbox.path("logs/c.jsonl.tmp"), sandbox.path("logs/c.jsonl")).unwrap();
    fs::remove_file(sandbox.path("logs/a.jsonl")).unwrap();
    comes_to(&sandbox, &[&part(1, 50), &part(2, 50), &part(3, 50)]);
    let said = stop(running);
    assert!(!said.contains("waiting for it\"") && !said.contains("a.txt"), "{said}");
    assert_eq!(rejects(&sandbox), 0);
}

#[test]
fn a_packed_file_without_its_end_is_not_yet_there() {
    for (packed, name) in [(gzip(&part(1, 3000)), "in.gz"), (zstd(&part(1, 3000)), "in.zst")] {
        let sandbox = Sandbox::new();
        sandbox.write(name, &packed[..packed.len() / 2]);
        let running = follow(&sandbox, name);
        sleep(Duration::from_millis(300));
        sandbox.append(name, &packed[packed.len() / 2..]);
        comes_to(&sandbox, &[&part(1, 3000)]);
        let said = stop(running);
        assert!(!said.contains("cannot read"), "{said}");
    }
}

#[test]
fn what_cannot_be_followed_is_refused_or_waited_for() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", part(1, 10));
    fs::create_dir(sandbox.path("directory")).unwrap();
    nix_fifo(&sandbox.path("fifo"));
    sandbox.run("ingest --store s --follow directory").fails(2, &["directory", "a directory cannot be followed"]);
    sandbox.run("ingest --store s --follow fifo").fails(2, &["fifo", "only files can be followed"]);
    sandbox.run("ingest --store s --follow -").fails(2, &["standard input cannot be followed"]);
    sandbox.run("ingest --store s --follow in[.jsonl").fails(2, &["no pattern"]);
    for alone in ["--poll 1s", "--flush-interval 1s"] {
        sandbox.run(&format!("ingest --store s {alone} in.jsonl")).expect(2);
    }
    for other in ["--recursive", "--from-start", "--check", "--poll 1", "--flush-interval 9ms"] {
        sandbox.run(&format!("ingest --store s --follow {other} in.jsonl")).expect(2);
    }
    assert!(!sandbox.has("s"), "nothing was made");
    // A variable of the environment does not stand in the way of a plain ingest.
    let mut plain = sandbox.chatwal("ingest --store t in.jsonl");
    plain.env("CHATWAL_POLL", "1s");
    support::cli::run(plain).expect(0);

    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&part(1, 10)]);
    sandbox.run(&format!("{FOLLOW} in.jsonl")).expect(11);
    // A directory takes its place for a while.
    fs::rename(sandbox.path("in.jsonl"), sandbox.path("old")).unwrap();
    fs::create_dir(sandbox.path("in.jsonl")).unwrap();
    until("it says so", || running.said().contains("not a file"));
    sleep(Duration::from_millis(200));
    fs::remove_dir(sandbox.path("in.jsonl")).unwrap();
    sandbox.write("in.jsonl", part(2, 10));
    comes_to(&sandbox, &[&part(1, 10), &part(2, 10)]);
    let said = stop(running);
    assert_eq!(said.matches("chatwal: warning: in.jsonl: cannot read it: it is not a file").count(), 1, "{said}");
}

fn nix_fifo(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().unwrap();
    assert!(made.success());
}

#[test]
fn a_single_line_is_durable_within_the_flush_interval_and_a_look() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", part(1, 10));
    let command = "ingest --store s --follow --progress json in.jsonl";
    let running = Running::start(sandbox.chatwal(command));
    until("it is durable", || running.said().contains("\"durable\""));
    let mut worst = Duration::ZERO;
    for number in 2..6 {
        let offset = sandbox.read("in.jsonl").len() + part(number, 1).len();
        sandbox.append("in.jsonl", part(number, 1));
        let (begun, wanted) = (Instant::now(), format!("\"durable_offset\":{offset}"));
        until("the line is durable", || running.said().contains(&wanted));
        worst = worst.max(begun.elapsed());
    }
    stop(running);
    // 500 ms and 250 ms; the rest is for a busy machine.
    assert!(worst < Duration::from_millis(2500), "{worst:?}");
}

#[test]
fn a_service_manager_hears_that_it_is_ready_and_alive() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", part(1, 10));
    let socket = UnixDatagram::bind(sandbox.path("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut command = sandbox.chatwal(&format!("{FOLLOW} in.jsonl"));
    command.env("NOTIFY_SOCKET", sandbox.path("notify"));
    let running = Running::start(command);
    let mut heard = Vec::new();
    while heard.len() < 3 {
        let mut buffer = [0; 100];
        let length = socket.recv(&mut buffer).unwrap();
        heard.push(String::from_utf8(buffer[..length].to_vec()).unwrap().trim().to_string());
    }
    assert_eq!(heard, ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]);
    stop(running);
}

/// What it ingests while a file is cut again and again is what an ingest would: no less than what stays, and nothing twice.
#[test]
fn rejects_count_once_though_a_copy_is_shorter_than_what_was_read() {
    let sandbox = Sandbox::new();
    let one = [b"no event\n", &part(1, 300)[..]].concat();
    let (copied, rest) = one.split_at(one.len() * 2 / 3);
    sandbox.write("in.jsonl", copied);
    let running = follow(&sandbox, "in.jsonl");
    sandbox.write("in.jsonl.1", copied);
    sandbox.append("in.jsonl", rest);
    comes_to(&sandbox, &[&one]);
    File::options().write(true).truncate(true).open(sandbox.path("in.jsonl")).unwrap();
    sandbox.append("in.jsonl", part(2, 100));
    comes_to(&sandbox, &[&one, &part(2, 100)]);
    stop(running);
    assert_eq!((rejects(&sandbox), sandbox.sources().len()), (1, 2));
}

#[test]
fn a_full_disk_ends_it_and_the_next_start_goes_on() {
    let sandbox = Sandbox::new();
    let text = generated("-n 20000 --sites 20");
    sandbox.write("in.jsonl", &text);
    let mut command = sandbox.program("sh", "-c");
    command.arg(format!("ulimit -f 800; exec \"$chatwal\" {FOLLOW} in.jsonl")).env("chatwal", support::cli::CHATWAL);
    let ran = support::cli::run(command).expect(1);
    assert!(ran.err.contains("File too large") || ran.err.contains("cannot write"), "{}", ran.err);
    let running = follow(&sandbox, "in.jsonl");
    comes_to(&sandbox, &[&text]);
    stop(running);
}
