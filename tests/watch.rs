//! `watch`: what it tells adds up to the report, at every moment and for a reader who is killed and goes on; and it ends in order.
//!
//! `CHATWAL_RESUMES` makes the reader die more often.

mod support;

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;
use std::time::{Duration, Instant};

use chatwal::disk::Storage;
use chatwal::disk::scratch::{Limits, Scratch};
use chatwal::event::summary::Summary;
use chatwal::event::unit::Unit;
use chatwal::query::live::{Changes, Live, LiveOptions};
use chatwal::store::{Position, Since, View};
use serde_json::Value;
use support::cli::{Dice, PATIENCE, Running, Sandbox, generated, message, possible, status, until};
use support::folds::{ALL, SMALL, TIERED, fold};
use support::setting;
use support::sim::{Choices, SimDisk};
use support::store::{Model, report, text};

/// What a reader knows: the counts by site.
#[derive(Default)]
struct Reader {
    sites: BTreeMap<String, Summary>,
}

impl Reader {
    fn take(&mut self, live: &Live, changes: &Changes) {
        if changes.all {
            self.sites.clear();
            live.each(&mut |name, summary| {
                self.sites.insert(text(name), *summary);
                true
            })
            .unwrap();
        }
        for (name, summary) in &changes.sites {
            self.set(text(name.text(&mut [0; 20])), *summary);
        }
    }

    fn set(&mut self, name: String, summary: Summary) {
        match summary == Summary::default() {
            true => drop(self.sites.remove(&name)),
            false => drop(self.sites.insert(name, summary)),
        }
    }

    /// The report, in lines.
    fn report(&self) -> String {
        let line = |(name, summary): (&String, &Summary)| {
            let Summary { messages, emails, operators, visitors } = summary;
            format!("{name},messages={messages},emails={emails},operators={operators},visitors={visitors}\n")
        };
        self.sites.iter().map(line).collect()
    }
}

fn options(memory: u64, details: bool) -> LiveOptions {
    let limits = Limits { threads: 2, memory, scratch: Scratch::for_readers(None) };
    LiveOptions { limits, details, unit: None }
}

/// What is known beside the counts of sites is what a first look finds.
#[track_caller]
fn assert_as_fresh(live: &Live, disk: &dyn Storage, options: LiveOptions) {
    let (fresh, _) = Live::open(disk, options.clone(), None).unwrap();
    let (mut sums, mut expected) = (*live.sums(), *fresh.sums());
    // With hardly any memory, one may know who is online while the other has no room for that.
    let is_known = sums.online.is_some() && expected.online.is_some();
    if !is_known {
        (sums.online, expected.online) = (None, None);
    }
    assert_eq!(sums, expected);
    assert_eq!(live.minutes().newest(50, i64::MAX), fresh.minutes().newest(50, i64::MAX));
    let online = |live: &Live| {
        let mut online = BTreeMap::new();
        live.each_unordered(&mut |number, name, _, count| {
            let who = live.site(number).and_then(|(.., online)| online.cloned());
            assert_eq!(who.as_ref().map_or(0, |who| who.count), count);
            online.insert(name.clone(), who);
        });
        online
    };
    assert!(!is_known || online(live) == online(&fresh), "who is online");
    assert!(is_known || options.limits.memory < 1 << 20, "there is room for that");
}

/// Appends, rolls, folds and reopens at random; after each step, what was told adds up to the report. Gives whether all sites fit the
/// memory in the end.
fn follow(seed: u64, memory: u64, details: bool) -> bool {
    let (disk, mut model, mut dice) = (SimDisk::new(seed), Model::default(), Dice(seed));
    let mut log = model.reopen(disk.storage(), SMALL());
    let (mut live, changes) = Live::open(&disk, options(memory, details), None).unwrap();
    assert!(changes.all);
    let mut reader = Reader::default();
    let mut positions: Vec<(Position, String)> = Vec::new();
    for step in 0..40 {
        match dice.below(10) {
            0..6 => (0..=dice.below(4)).for_each(|_| {
                model.append(&mut log, 1 + dice.below(40) as usize, &mut Choices::Random(dice.below(1 << 40))).unwrap();
            }),
            6 => model.settle(&mut log).unwrap(),
            7 => drop(fold(&disk, &mut log, &TIERED).unwrap()),
            8 => drop(fold(&disk, &mut log, &ALL).unwrap()),
            _ => {
                drop(log);
                log = model.reopen(disk.storage(), SMALL());
            }
        }
        let changes = live.refresh(&disk).unwrap();
        reader.take(&live, &changes);
        let view = View::open(&disk).unwrap();
        assert_eq!(changes.position, view.position());
        assert_eq!(reader.report(), text(&report(&view).unwrap()), "seed {seed}, step {step}");
        if details {
            assert_as_fresh(&live, &disk, options(memory, details));
        }
        // Somebody who had any earlier position gets what is missing.
        positions.push((changes.position, reader.report()));
        let (position, known) = &positions[dice.below(positions.len() as u64) as usize];
        let (resumed, changes) = Live::open(&disk, options(memory, false), Some(position)).unwrap();
        assert!(changes.all || view.since(position) != Since::Unknown, "nobody can tell, and so all are told");
        let mut late = Reader::default();
        for line in known.lines() {
            let (name, counts) = line.split_once(",messages=").unwrap();
            let numbers: Vec<u64> =
                counts.split(|char: char| !char.is_ascii_digit()).filter_map(|it| it.parse().ok()).collect();
            let [messages, emails, operators, visitors] = numbers[..] else { panic!("{line}") };
            late.set(name.into(), Summary { messages, emails, operators, visitors });
        }
        late.take(&resumed, &changes);
        assert_eq!(late.report(), reader.report(), "seed {seed}, step {step}, from {position}");
    }
    live.has_all_sites()
}

#[test]
fn what_is_told_adds_up_to_the_report_whatever_happens_to_the_store() {
    for seed in 1..=setting("CHATWAL_FOLLOWED", 6) {
        assert!(follow(seed, 64 << 20, seed % 2 == 0));
    }
}

/// Neither the table of sites nor a shard may fit.
#[test]
fn the_same_with_hardly_any_memory() {
    for (memory, details, fits) in
        [(470, false, false), (400, true, false), (1 << 10, false, true), (6 << 10, true, true)]
    {
        assert_eq!(follow(100 + memory, memory, details), fits, "{memory}");
    }
}

/// Frames that were seen and never acknowledged go, others take their numbers, and sites are gone with them.
#[test]
fn a_history_that_goes_on_differently_is_noticed() {
    // The second time, nothing but the CRC of one header tells; the first time, sites are gone.
    for (lost, more) in [(18, 1), (1, 40)] {
        let (disk, mut model) = (SimDisk::new(7), Model::default());
        let mut log = model.reopen(disk.storage(), Default::default());
        model.append(&mut log, 2, &mut Choices::Random(1)).unwrap();
        model.settle(&mut log).unwrap();
        let name = chatwal::store::segment_name(1);
        let kept = disk.bytes(&name).len();
        (0..lost).for_each(|seed| assert!(model.append(&mut log, 3, &mut Choices::Random(seed)).unwrap() > 0));
        let (mut live, changes) = Live::open(&disk, options(64 << 20, true), None).unwrap();
        let mut reader = Reader::default();
        reader.take(&live, &changes);
        let (before, known) = (live.view().unwrap().position(), reader.sites.len());
        drop(log);
        disk.resize(&name, kept);
        let mut log = chatwal::Log::open(disk.storage(), Default::default()).unwrap().0;
        Model::default().append(&mut log, more, &mut Choices::Random(99)).unwrap();
        if lost > 1 {
            // Otherwise nothing proves that the other frame is durable, and what does not fit is taken for torn.
            log.settle().unwrap();
        }
        let changes = live.refresh(&disk).unwrap();
        reader.take(&live, &changes);
        let view = View::open(&disk).unwrap();
        assert_eq!(reader.report(), text(&report(&view).unwrap()));
        assert!(lost == 1 || reader.sites.len() < known, "no site is gone");
        assert_as_fresh(&live, &disk, options(64 << 20, true));
        assert_eq!(view.since(&before), Since::Unknown);
        let (_, changes) = Live::open(&disk, options(64 << 20, false), Some(&before)).unwrap();
        assert!(changes.all, "a position of the history that is gone");
    }
}

#[test]
fn what_timestamps_count_is_told_by_what_comes_in() {
    let sandbox = Sandbox::new();
    sandbox.write("empty", "");
    sandbox.run("ingest --store s empty").expect(0);
    let disk = chatwal::Disk::open(&sandbox.path("s")).unwrap();
    let (mut live, _) = Live::open(&disk, options(64 << 20, true), None).unwrap();
    for (second, factor, unit) in [(50_000, 1, Unit::Seconds), (1_768_000_000, 1_000, Unit::Milliseconds)] {
        sandbox.write("in", message("shop", &format!("e{second}"), "visitor", second * factor));
        sandbox.run("ingest --store s in").expect(0);
        assert_eq!(live.refresh(&disk).unwrap().sites.len(), 1);
        assert_eq!((live.unit(), live.minutes().newest(1, i64::MAX).0), (unit, second / 60));
    }
}

/// A later look reads what is new, and not all of it again.
#[test]
fn a_later_look_reads_what_is_new() {
    let (disk, mut model) = (SimDisk::new(3), Model::default());
    let mut log = model.reopen(disk.storage(), SMALL());
    (0..200).for_each(|seed| assert!(model.append(&mut log, 5, &mut Choices::Random(seed)).unwrap() > 0));
    model.settle(&mut log).unwrap();
    let view = View::open(&disk).unwrap();
    let whole = view.bytes_read();
    model.append(&mut log, 5, &mut Choices::Random(1000)).unwrap();
    let later = view.later(&disk).unwrap();
    let fresh = View::open(&disk).unwrap();
    assert_eq!(
        (later.position(), later.durable_upto, later.frames.len()),
        (fresh.position(), fresh.durable_upto, fresh.frames.len())
    );
    assert_eq!(later.inputs, fresh.inputs);
    let more = later.bytes_read() - whole;
    assert!(more * 10 < whole, "{more} bytes more than {whole}");
}

/// A reader of `watch --format ndjson` that may be killed at any moment: it applies a batch once it is complete.
struct Stream {
    reader: Reader,
    position: Option<String>,
    batch: Vec<Value>,
}

impl Stream {
    fn line(&mut self, line: &str) {
        let record: Value = serde_json::from_str(line).unwrap();
        let is_end = record["complete"] == true;
        self.batch.push(record);
        if !is_end {
            return;
        }
        let batch = std::mem::take(&mut self.batch);
        let sites = batch.iter().filter(|record| record["site_id"].is_string()).count();
        let end = batch.last().unwrap();
        assert_eq!(end["sites"], sites);
        for record in &batch {
            assert_eq!(record["position"], end["position"], "all of a batch is true at one position");
            if record["all"] == true {
                self.reader.sites.clear();
            } else if let Some(name) = record["site_id"].as_str() {
                let count = |key: &str| record[key].as_u64().unwrap();
                let [messages, emails, operators, visitors] =
                    ["messages", "emails", "operators", "visitors"].map(count);
                self.reader.set(name.into(), Summary { messages, emails, operators, visitors });
            }
        }
        self.position = Some(end["position"].as_str().unwrap().into());
    }
}

#[test]
fn a_stream_that_is_killed_and_goes_on_adds_up_to_the_report() {
    let sandbox = Sandbox::new();
    let resumes = setting("CHATWAL_RESUMES", 30);
    let input = generated("-n 40000 --sites 300 --copies 0.1 --order random --seed 5");
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    sandbox.write("empty", "");
    sandbox.run("ingest --store s empty").expect(0);
    let (is_over, mut resumed, mut whole, mut cut) = (AtomicBool::new(false), 0, 0, 0);
    let mut stream = Stream { reader: Reader::default(), position: None, batch: Vec::new() };
    scope(|scope| {
        let (sandbox, is_over, lines) = (&sandbox, &is_over, &lines);
        scope.spawn(move || {
            let mut dice = Dice(11);
            // As long as the reader is killed, there is something to read: the last lines come again and again.
            for (number, some) in lines.chunks(lines.len() / 40).enumerate().cycle() {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let name = format!("part-{number}");
                sandbox.write(&name, some.concat());
                let how = ["--no-compact", "--compact-at 30K", "--from-start --no-compact"][dice.below(3) as usize];
                sandbox.run(&format!("ingest --store s --segment-size 40K {how} {name}")).expect(0);
                match dice.below(6) {
                    0 => drop(sandbox.run("compact --store s --all").expect(0)),
                    1 => drop(sandbox.run(&format!("sources forget --store s {name}")).expect(0)),
                    _ => {}
                }
            }
        });
        let mut dice = Dice(3);
        while resumed < resumes {
            let from = stream.position.iter().map(|position| format!("--from {position}")).collect::<String>();
            let mut command = sandbox.chatwal(&format!("watch --store s --format ndjson --interval 20ms {from}"));
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let mut out = BufReader::new(child.stdout.take().unwrap());
            let (mut line, mut left) = (Vec::new(), 1 + dice.below(700));
            let died = Instant::now() + Duration::from_millis(20 + dice.below(1500));
            while left > 0 && Instant::now() < died && out.read_until(b'\n', &mut line).unwrap() > 0 {
                if line.ends_with(b"\n") {
                    let text = std::str::from_utf8(&line).unwrap();
                    whole += u64::from(text.contains("\"all\":true"));
                    stream.line(text);
                }
                (left, line) = (left - 1, Vec::new());
            }
            // In the middle of a batch, more often than not.
            cut += u64::from(!stream.batch.is_empty());
            stream.batch.clear();
            child.kill().unwrap();
            child.wait().unwrap();
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            assert_eq!(said, "");
            resumed += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let from = stream.position.iter().map(|position| format!("--from {position}")).collect::<String>();
    let last = sandbox.run(&format!("watch --store s --format ndjson --count 1 {from}")).expect(0);
    last.out.lines().for_each(|line| stream.line(line));
    assert_eq!(stream.reader.report(), sandbox.report());
    eprintln!("{resumed} times killed, {cut} times in the middle of a batch; {whole} times all sites were told");
    assert!(cut > 0 && whole < resumed, "too little to prove anything");
}

fn small_store() -> Sandbox {
    let sandbox = Sandbox::new();
    let lines = [
        status("shop", "a", "operator1", 60, "online"),
        message("shop", "b", "visitor1", 61),
        message("quiet", "c", "visitor2", 120),
    ];
    sandbox.write("in", lines.concat());
    sandbox.run("ingest --store s in").expect(0);
    sandbox
}

#[test]
fn the_stream_says_all_first_and_then_what_changes() {
    let sandbox = small_store();
    let first = sandbox.run("watch --store s --format ndjson --count 1").expect(0).silently().records();
    assert_eq!(first.len(), 4);
    assert_eq!(first[0]["all"], true);
    assert_eq!((&first[1]["site_id"], &first[1]["emails"]), (&"quiet".into(), &1.into()));
    assert_eq!((&first[2]["site_id"], &first[2]["messages"]), (&"shop".into(), &1.into()));
    assert_eq!((&first[3]["complete"], &first[3]["sites"]), (&true.into(), &2.into()));
    let from = first[3]["position"].as_str().unwrap();
    let nothing =
        sandbox.run(&format!("watch --store s --format ndjson --count 2 --interval 10ms --from {from}")).expect(0);
    assert_eq!(nothing.out, "", "nothing has changed");
    sandbox.append("in", message("quiet", "d", "visitor2", 130));
    sandbox.run("ingest --store s in").expect(0);
    let more = sandbox.run(&format!("watch --store s --format ndjson --count 1 --from {from}")).expect(0).records();
    assert_eq!(more.len(), 2, "{more:?}");
    assert_eq!((&more[0]["site_id"], &more[0]["emails"]), (&"quiet".into(), &2.into()));
    // A position that a snapshot has swallowed.
    sandbox.run("compact --store s --all").expect(0);
    let all = sandbox.run(&format!("watch --store s --format ndjson --count 1 --from {from}")).expect(0).records();
    assert_eq!((all.len(), &all[0]["all"]), (4, &true.into()));
}

#[test]
fn what_cannot_be_watched_is_said() {
    let sandbox = small_store();
    sandbox.run("watch --store nowhere").fails(10, &["nowhere"]);
    sandbox.run("watch --store s --format ndjson --from 12-3").expect(2).says(&["position"]);
    sandbox.run("watch --store s --interval 1ms").expect(2).says(&["10ms"]);
    let position = sandbox.run("watch --store s --format ndjson --count 1").records()[0]["position"].clone();
    let position = position.as_str().unwrap().to_string();
    sandbox.run(&format!("watch --store s --from {position}")).fails(2, &["--from"]);
    sandbox.run("ingest --store other in").expect(0);
    let ran = sandbox.run(&format!("watch --store other --format ndjson --count 1 --from {position}"));
    ran.fails(1, &["another store", &position[..32]]);
}

/// Waits until a program has a segment open.
fn until_it_reads(running: &Running) {
    let path = format!("/proc/{}/fd", running.pid());
    let is_segment = |entry: std::fs::DirEntry| {
        entry.path().read_link().is_ok_and(|to| to.extension().is_some_and(|it| it == "wal"))
    };
    until("it reads", || std::fs::read_dir(&path).is_ok_and(|mut files| files.any(|file| file.is_ok_and(is_segment))));
}

#[test]
fn a_store_that_is_replaced_ends_it() {
    let sandbox = small_store();
    for format in ["ndjson", "line"] {
        let watch = sandbox.start(&format!("watch --store s --format {format} --interval 20ms"));
        until_it_reads(&watch);
        std::fs::rename(sandbox.path("s"), sandbox.path("moved")).unwrap();
        sandbox.run("ingest --store s in").expect(0);
        watch.wait().fails(1, &["s: "]);
        std::fs::remove_dir_all(sandbox.path("moved")).unwrap();
    }
}

#[test]
fn it_ends_in_order() {
    let sandbox = small_store();
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        for format in ["ndjson", "line"] {
            let watch = sandbox.start(&format!("watch --store s --format {format}"));
            until_it_reads(&watch);
            watch.signal(signal);
            watch.wait().expect(code).silently();
        }
    }
    // Whoever read is gone, and nothing changes.
    let mut child = sandbox.chatwal("watch --store s --format ndjson").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    let mut code = None;
    let mut has_ended = || {
        code = child.try_wait().unwrap().and_then(|status| status.code());
        code.is_some()
    };
    let since = Instant::now();
    while !has_ended() && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(10));
    }
    let _ = child.kill();
    assert_eq!(code, Some(0));
}

#[test]
fn without_a_terminal_it_prints_a_line_each_time() {
    let sandbox = small_store();
    let ran = sandbox.run("watch --store s --count 2 --interval 10ms").expect(0).silently();
    assert_eq!(ran.out.lines().count(), 2);
    for part in
        ["sites=2 messages=1 emails=1 online=1", "rejects=0", "emails_last_minute=1", "durable=", "lag_seconds="]
    {
        assert!(ran.out.lines().all(|line| line.contains(part)), "{part}: {}", ran.out);
    }
    assert!(!ran.out.contains('\x1b'));
    assert!(ran.out.lines().nth(1).unwrap().contains("events_per_second=0 "), "{}", ran.out);
}

/// Runs `watch` on a terminal of its own; prints the exit status and what came to the terminal.
const ON_A_TERMINAL: &str = r#"
import fcntl, os, pty, select, struct, sys, termios, time
program, act, term = sys.argv[1:4]
pid, master = pty.fork()
if pid == 0:
    os.environ["TERM"] = term
    os.execv(program, [program, "watch", "--store", "s", "--interval", "50ms"] + sys.argv[4:])
fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
seen, acted, end = b"", False, time.time() + 50
while time.time() < end:
    if select.select([master], [], [], 0.1)[0]:
        try:
            piece = os.read(master, 65536)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    if not acted and (b"visitor" in seen.lower() or b"sites=2" in seen):
        acted = True
        if act == "resize":
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 5, 20, 0, 0))
            time.sleep(0.5)
            fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
            time.sleep(0.5)
            os.write(master, b"?x/shop\rsq")
        elif act == "term":
            os.kill(pid, 15)
        else:
            os.write(master, act.encode())
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(b"%d\n" % status + seen)
"#;

#[test]
fn the_terminal_is_given_back_however_it_ends() {
    if !possible("python3", &["-c", "import pty"], "watch on a terminal") {
        return;
    }
    let sandbox = small_store();
    sandbox.write("on_a_terminal.py", ON_A_TERMINAL);
    let on_terminal = |act: &str, term: &str, more: &[&str]| {
        let mut command = Command::new("python3");
        command.arg("on_a_terminal.py").args([support::cli::CHATWAL, act, term]).args(more).current_dir(sandbox.root());
        let output = command.env_remove("NO_COLOR").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    for (act, code) in [("q", 0), ("term", 143), ("\x03", 130), ("resize", 0)] {
        let seen = on_terminal(act, "xterm-256color", &[]);
        assert!(seen.starts_with(&format!("{code}\n")), "{act:?}: {seen}");
        let (enter, leave) = (seen.find("\x1b[?1049h"), seen.rfind("\x1b[?1049l"));
        assert!(enter.is_some() && leave > enter, "{act:?}: {seen:?}");
        assert!(seen.rfind("\x1b[?25h") > seen.find("\x1b[?25l"), "the cursor is shown again: {seen:?}");
        assert!(seen.contains("\x1b[38;5;"), "colours: {seen:?}");
    }
    let plain = on_terminal("q", "xterm-256color", &["--color", "never"]);
    assert!(plain.contains("\x1b[?1049h") && !plain.contains("\x1b[38;5;"), "{plain:?}");
    let dumb = on_terminal("\x03", "dumb", &[]);
    assert!(dumb.starts_with("130\n") && dumb.contains("sites=2") && !dumb.contains('\x1b'), "{dumb:?}");
}
