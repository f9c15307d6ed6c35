//! T14, surroundings that fail: no thread to be had, no memory, standard descriptors that are full, closed or gone, inputs and
//! files that are cut while they are read, terminals that only print, paths that are links to nothing or pipes, signals.
//! Of each, the status and the message that are documented, from the real program.

mod support;

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::channel;
use std::thread::sleep;
use std::time::Duration;

use chatwal::disk::{Access, Disk, Storage as _};
use chatwal::error::Error;
use chatwal::format::block::BlockKind;
use chatwal::snapshot::Snapshot;
use serde_json::Value;
use support::cli::{
    CHATWAL, PATIENCE, Ran, Running, SEGMENT_DUMP, Sandbox, generated, message, possible, run, spread, status, until,
};
use support::naive;

const SEGMENT: &str = "s/0000000001.wal";

/// A store `s` of an input.
fn store_of(input: impl AsRef<[u8]>) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", input);
    sandbox.run("ingest --store s --no-compact in.jsonl");
    sandbox
}

/// Runs `chatwal` under limits, as `prlimit` has them.
fn limited(sandbox: &Sandbox, limits: &str, arguments: &str) -> Ran {
    let mut command = sandbox.program("prlimit", limits);
    command.arg(CHATWAL).args(arguments.split_whitespace());
    run(command)
}

/// A user of whom there is no other process, so that its limits are its own. Whoever runs the tests has to be root for that.
struct Stranger {
    uid: String,
}

impl Stranger {
    /// One who may do as it likes in the sandbox.
    fn of(sandbox: &Sandbox) -> Option<Stranger> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let uid = 200_000 + std::process::id() % 50_000 * 20 + NEXT.fetch_add(1, Ordering::Relaxed);
        let uid = format!("--reuid={uid}");
        if !possible("setpriv", &[&uid, "--clear-groups", "prlimit", "--nproc=1", "true"], "the limits of a user") {
            return None;
        }
        // Where the program lies, a stranger may have no business.
        let here = sandbox.path("chatwal");
        fs::hard_link(CHATWAL, &here).or_else(|_| fs::copy(CHATWAL, &here).map(drop)).unwrap();
        fs::set_permissions(sandbox.root(), fs::Permissions::from_mode(0o777)).unwrap();
        Some(Stranger { uid })
    }

    /// The program as this user, under these limits.
    fn command(&self, sandbox: &Sandbox, limits: &str, arguments: &str) -> Command {
        let mut command = sandbox.program("setpriv", &format!("{} --clear-groups", self.uid));
        command.args(["prlimit"].into_iter().chain(limits.split_whitespace()).chain(["./chatwal"]));
        command.args(arguments.split_whitespace());
        command
    }

    fn run(&self, sandbox: &Sandbox, limits: &str, arguments: &str) -> Ran {
        run(self.command(sandbox, limits, arguments))
    }
}

#[test]
fn where_no_thread_can_be_started_the_others_do_the_work() {
    let sandbox = Sandbox::new();
    let Some(stranger) = Stranger::of(&sandbox) else { return };
    let input = spread(&generated("-n 5000 --sites 300 --copies 0.1"), 13 << 20);
    sandbox.write("in.jsonl", &input);
    let report = String::from_utf8(naive::report(&input)).unwrap();
    for threads in 1..=6 {
        let limits = format!("--nproc={threads}");
        let run = |arguments: &str| stranger.run(&sandbox, &limits, &format!("{arguments} --threads 4"));
        let told = |ran: Ran| if threads == 1 { ran.says(&["warning", "fewer threads"]) } else { ran };
        told(run("ingest --store s --segment-size 64K --no-compact in.jsonl").expect(0));
        assert!(told(run("report --store s").expect(0)).out == report);
        told(run("verify --store s").expect(0).prints(&["sound"]));
        assert!(run("report --store s --site 1 2 3").expect(0).out.lines().count() == 3);
        told(run("compact --store s").expect(0).says(&["folded segments"]));
        // From the index, for which one thread is enough.
        assert!(run("report --store s").expect(0).out == report);
        told(run("verify --store s").expect(0).prints(&["sound"]));
        run("timeline 1 --store s").expect(0);
        run("dump s/0000000001.wal").code.unwrap();
        assert!(told(run("run --store s2 in.jsonl").expect(0)).out == report);
        for store in ["s", "s2"] {
            fs::remove_dir_all(sandbox.path(store)).unwrap();
        }
    }
}

/// Its silence could not be told without a thread that waits for it.
#[test]
fn a_pipe_for_which_there_is_no_thread_is_an_error() {
    let sandbox = Sandbox::new();
    let Some(stranger) = Stranger::of(&sandbox) else { return };
    let line = message("1", "a", "v", 1);
    for threads in 1..=5 {
        let mut command = stranger.command(&sandbox, &format!("--nproc={threads}"), "ingest --store s --threads 4 -");
        sandbox.write("in.jsonl", &line);
        command.stdin(fs::File::open(sandbox.path("in.jsonl")).unwrap());
        let ran = Running::start(command).wait();
        // The program, a syncer, one that reads the pipe, one that works; with two or three, one may have ended before the next begins.
        let has_none = ran.err.contains("none could be started");
        if threads == 1 || (threads < 4 && has_none) {
            ran.fails(1, &["-: a pipe is read by a thread of its own, and none could be started"]).says(&["ulimit -u"]);
        } else {
            ran.expect(0);
        }
    }
    sandbox.reports(line);
}

/// Acknowledged is durable, whoever calls fsync.
#[test]
fn without_a_thread_that_syncs_the_others_sync() {
    let sandbox = Sandbox::new();
    let Some(stranger) = Stranger::of(&sandbox) else { return };
    if !possible("strace", &["-f", "-qq", "-o", "/dev/null", "true"], "the syncs of a program without threads") {
        return;
    }
    sandbox.write("in.jsonl", spread(&generated("-n 2000"), 45 << 20));
    let traced = stranger.command(&sandbox, "--nproc=1", "ingest --store s in.jsonl");
    let mut strace = sandbox.program("strace", "-f -o trace -e trace=fdatasync,pwrite64");
    strace.arg(traced.get_program()).args(traced.get_args());
    run(strace).expect(0).says(&["durable up to byte"]);
    let trace = String::from_utf8(sandbox.read("trace")).unwrap();
    let syncs = trace.matches("fdatasync(").count();
    // The header of the segment, what is in flight before all of it was read, the last frames, and the mark behind them.
    assert!(syncs >= 4, "{trace}");
    // Behind the last of them only the record of what was acknowledged is written.
    let trace = &trace[..trace.rfind("\"chatwack").map_or(0, |record| trace[..record].rfind("pwrite64(").unwrap())];
    let last = trace.rfind("fdatasync(").unwrap();
    assert!(last > trace.rfind("pwrite64(").unwrap(), "the mark is not synced: {trace}");
    sandbox.run(&format!("dump {SEGMENT}")).expect(0).prints(&[" mark   ok "]);
}

/// What became of a command whose memory was limited.
#[derive(Default)]
struct Tally {
    done: u32,
    refused: u32,
    aborted: u32,
}

impl Tally {
    #[track_caller]
    fn add(&mut self, ran: Ran) {
        match ran.code {
            Some(0) => self.done += 1,
            Some(1) if ran.err.contains("no memory for") => {
                ran.fails(1, &["no memory for", "the system refused", "bytes"]).says(&["hint", "--memory"]);
                self.refused += 1;
            }
            // The standard library's last words.
            Some(1) if ran.err.contains("memory allocation of") => self.aborted += 1,
            // A call to the system that was refused some; and here and there it is the stack of a thread.
            Some(1) if ran.err.contains("Cannot allocate memory") || ran.err.contains("could be started") => {}
            // The loader's own, before there is a program; or there is no store yet to compact.
            Some(127 | 10) => {}
            _ => panic!("{ran:#?}"),
        }
    }
}

#[test]
fn memory_that_is_refused_is_an_error_and_nothing_is_lost() {
    if !possible("prlimit", &["--as=500000000", "true"], "a limit on memory") {
        return;
    }
    let input = generated("-n 60000 --sites 2000");
    let sandbox = store_of(&input);
    let report = sandbox.report();
    let mut tally = Tally::default();
    // From what the loader needs, in steps.
    for mebibytes in [10, 12, 14, 16, 18, 20, 22, 24, 28, 32, 36, 40, 48, 64, 96, 160, 320] {
        let limits = format!("--as={}", mebibytes << 20);
        for arguments in [
            "ingest --store t --threads 4 --segment-size 64K --compact-at 64K in.jsonl",
            "run --store t --threads 2 in.jsonl",
            "report --store s --threads 4",
            "verify --store s",
            "stat --store s",
            "compact --store t --all",
        ] {
            tally.add(limited(&sandbox, &limits, arguments));
        }
        sandbox.run("ingest --store t in.jsonl").expect(0);
        assert!(sandbox.run("report --store t").expect(0).out == report);
        fs::remove_dir_all(sandbox.path("t")).unwrap();
    }
    let Tally { done, refused, aborted } = tally;
    println!("{done} came to their end, {refused} were refused memory, {aborted} aborted");
    assert!(done > 30 && refused > 10);
}

#[test]
fn an_allocation_that_aborts_is_exit_1() {
    if !possible("prlimit", &["--as=500000000", "true"], "a limit on memory") {
        return;
    }
    let sandbox = store_of(generated("-n 60000 --sites 2000"));
    for backtrace in ["0", "1"] {
        let with = |kibibytes: u32, arguments: &[&str]| {
            let mut command = sandbox.program("prlimit", &format!("--as={}", kibibytes << 10));
            command.arg(CHATWAL).args(arguments).env("RUST_BACKTRACE", backtrace);
            command
        };
        // With less, Rust's runtime may give up before the program begins.
        let runs = |step: u32| with(step, &["--version"]).output().is_ok_and(|output| output.status.success());
        let mut steps = (5_000..100_000).step_by(100).skip_while(|&step| !runs(step));
        let mut tally = Tally::default();
        while tally.done == 0 {
            tally.add(run(with(steps.next().unwrap(), &["dump", "--events", SEGMENT])));
        }
        assert!(tally.aborted > 0, "RUST_BACKTRACE={backtrace}");
    }
}

/// Segments that are folded while an input is read.
const FOLDING: &str = "ingest --store s --segment-size 4096 --compact-at 1 --threads 2 in.jsonl";

fn folding() -> (Sandbox, Vec<u8>) {
    let sandbox = Sandbox::new();
    let input = spread(&generated("-n 3000 --sites 50"), 60 << 20);
    sandbox.write("in.jsonl", &input);
    (sandbox, input)
}

#[test]
fn a_compaction_that_fails_is_a_warning_of_the_ingest() {
    let (sandbox, input) = folding();
    fs::create_dir(sandbox.path("s")).unwrap();
    sandbox.run(FOLDING).expect(0).says(&["folded segments"]);
    fs::remove_dir_all(sandbox.path("s")).unwrap();
    // Something that nobody made is in the way of every file it could write.
    sandbox.run_with("ingest --store s -", b"").expect(0);
    let mut running = sandbox.start(&FOLDING.replace("in.jsonl", "-"));
    until("it holds the store", || running.has_ended() || running.holds_a_lock());
    running.send(message("1", "first", "v", 1));
    until("the line is visible", || !sandbox.report().is_empty());
    for last in 1..99 {
        fs::create_dir(sandbox.path(format!("s/0000000001-{last:010}.snap.tmp"))).unwrap();
    }
    running.send(&input);
    let ran = running.end().expect(0);
    let warnings = ran.err.lines().filter(|line| line.contains("warning: ")).count();
    assert_eq!(warnings, 1, "{ran:#?}");
    ran.says(&["what was ingested is stored, but was not compacted", "cannot create", "`chatwal compact --store s`"]);
    sandbox.reports([message("1", "first", "v", 1).as_bytes(), &input].concat());
}

#[test]
fn a_compaction_without_memory_or_thread_is_a_warning_of_the_ingest() {
    let (sandbox, input) = folding();
    if possible("prlimit", &["--as=2000000000", "true"], "a limit on memory") {
        let ran = limited(&sandbox, "--as=2000000000", &format!("{FOLDING} --memory 16G")).expect(0);
        ran.says(&["warning: what was ingested is stored, but was not compacted: no memory for a compaction"]);
        sandbox.reports(&input);
        fs::remove_dir_all(sandbox.path("s")).unwrap();
    }
    let Some(stranger) = Stranger::of(&sandbox) else { return };
    // The program, the syncer and two that work.
    let ran = stranger.run(&sandbox, "--nproc=4", FOLDING).expect(0);
    ran.says(&["was not compacted", "cannot start a thread to compact"]).says(&["warning", "fewer threads"]);
    sandbox.reports(&input);
}

#[test]
fn damage_that_a_compaction_meets_is_told_once_everything_is_stored() {
    let (sandbox, input) = folding();
    sandbox.run("ingest --store s --segment-size 4096 --no-compact in.jsonl").expect(0);
    let segments: Vec<String> = sandbox.segments("s").into_keys().collect();
    let mut bytes = sandbox.read(SEGMENT);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    sandbox.write(SEGMENT, bytes);
    assert!(segments.len() > 3);
    sandbox.write("more.jsonl", spread(&generated("-n 500 --seed 2"), 20 << 20));
    let more = FOLDING.replace("in.jsonl", "more.jsonl");
    sandbox.run(&more).fails(4, &[SEGMENT, "corrupt: expected"]).says(&["more.jsonl: ", "durable up to byte"]);
    let sources = sandbox.sources();
    let end = |name: &str| sources.iter().find(|source| source["source"] == name).unwrap()["byte"].as_u64().unwrap();
    assert_eq!(end("in.jsonl"), input.len() as u64);
    assert_eq!(end("more.jsonl"), fs::metadata(sandbox.path("more.jsonl")).unwrap().len());
}

/// Stderr as a shell redirects it.
const LOST_STDERR: [&str; 3] = ["2>/dev/full", "2>&-", "2</dev/null"];

#[test]
fn without_stderr_the_exit_status_is_right() {
    let sandbox = store_of(message("1", "a", "v", 1) + "oops\n");
    sandbox.write("good.jsonl", message("1", "b", "v", 1));
    let damaged: Vec<u8> =
        sandbox.read(SEGMENT).iter().enumerate().map(|(at, byte)| byte ^ u8::from(at == 90)).collect();
    sandbox.write("damaged.wal", damaged);
    fs::create_dir(sandbox.path("d")).unwrap();
    fs::copy(sandbox.path("damaged.wal"), sandbox.path("d/0000000001.wal")).unwrap();
    for lost in LOST_STDERR {
        for (command, code) in [
            ("$chatwal", 2),
            ("$chatwal --frobnicate", 2),
            ("$chatwal report", 2),
            ("$chatwal run -", 2),
            ("$chatwal --help", 0),
            ("$chatwal report --store s -v", 0),
            ("$chatwal report --store none", 10),
            ("$chatwal stat --store d", 4),
            ("$chatwal verify --store d", 4),
            ("$chatwal ingest --store s good.jsonl --progress json", 0),
            ("$chatwal ingest --store s good.jsonl --progress bar --color always", 0),
            ("$chatwal ingest --store s in.jsonl --progress plain", 3),
            ("$chatwal ingest --store s none.jsonl good.jsonl", 1),
            ("$chatwal ingest --store s --strict in.jsonl --from-start", 1),
            ("$chatwal run --store s in.jsonl", 3),
            ("$chatwal compact --store s", 0),
            ("$chatwal dump damaged.wal", 4),
            ("$chatwal dump none", 1),
            ("$dump --frobnicate", 2),
            ("$dump damaged.wal", 4),
            ("$dump none", 1),
        ] {
            let script = format!("dump={SEGMENT_DUMP}; {command} {lost} > out");
            let ran = sandbox.shell(&script);
            assert_eq!((ran.code, ran.err.as_str()), (Some(code), ""), "{command} {lost}");
            if !sandbox.has("s/0000000001.wal") {
                fs::remove_dir_all(sandbox.path("s")).unwrap();
                sandbox.run("ingest --store s --no-compact in.jsonl").expect(3);
            }
        }
    }
}

#[test]
fn an_answer_that_nobody_can_take_is_an_error() {
    let sandbox = store_of(message("1", "a", "v", 1));
    let answers = [
        "report --store s",
        // Of no bytes.
        "report --store s --site none -q",
        "stat --store s",
        "sources --store s",
        "rejects --store s",
        "timeline 1 --store s",
        "verify --store s",
        "dump s/0000000001.wal",
        "run --store s in.jsonl -q",
        "--help",
        "--version",
    ];
    let (closed, full) = ("it is not open", "No space left on device");
    for (lost, why) in [(">&-", closed), ("1</dev/null", closed), (">/dev/full", full)] {
        for answer in answers {
            // Nothing is no answer for a full device to refuse.
            if lost == ">/dev/full" && ["rejects", "--site"].iter().any(|empty| answer.contains(empty)) {
                continue;
            }
            let ran = sandbox.shell(&format!("$chatwal {answer} {lost}")).expect(1);
            ran.says(&["chatwal: error: standard output: cannot write to: ", why]);
        }
        for answer in ["--help", "s/0000000001.wal"] {
            let ran = sandbox.shell(&format!("{SEGMENT_DUMP} {answer} {lost}")).expect(1);
            ran.says(&["segment-dump: error: standard output: cannot write to: ", why]);
        }
        // It has nothing to say there.
        sandbox.shell(&format!("$chatwal ingest --store s in.jsonl {lost}")).expect(0);
    }
    // What stands in for a descriptor that nobody wants is one all the same: so Python, Node and Rust pass it.
    let both = fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    for answer in answers {
        let mut command = sandbox.chatwal(answer);
        let status = command.stdout(both.try_clone().unwrap()).stdin(both.try_clone().unwrap()).status().unwrap();
        assert_eq!(status.code(), Some(0), "{answer}");
    }
}

#[test]
fn a_closed_standard_input_is_an_error_and_an_empty_one_is_not() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "a", "v", 1));
    for command in ["ingest --store s -", "run --store s -"] {
        for closed in ["<&-", "0>/dev/null"] {
            let ran = sandbox.shell(&format!("$chatwal {command} {closed}"));
            ran.fails(1, &["-: cannot read standard input: it is not open"]);
            assert!(!sandbox.has("s"), "an input that was not there makes no store");
        }
    }
    // Beside others it is one input that cannot be read.
    sandbox.shell("$chatwal ingest --store s - in.jsonl <&-").fails(1, &["-: cannot read standard input"]);
    sandbox.reports(message("1", "a", "v", 1));
    for empty in ["</dev/null", "<>/dev/null", "< /dev/zero"] {
        if empty.ends_with("null") {
            sandbox.shell(&format!("$chatwal ingest --store s - {empty}")).expect(0).says(&["-: 0 lines"]);
        }
    }
    // A file without a length, which is made as it is read, is none that shrank.
    sandbox.shell("$chatwal ingest --store s /proc/self/status - < /proc/self/status").expect(3);
    // Whoever reads nothing from there needs none.
    sandbox.shell("$chatwal ingest --store s in.jsonl <&-").expect(0);
}

/// Stops the program, once it has appended, and goes on when `meanwhile` is done; gives none if it had ended before.
fn in_the_middle(sandbox: &Sandbox, command: Command, meanwhile: impl FnOnce()) -> Option<Ran> {
    let size = || fs::metadata(sandbox.path(SEGMENT)).map_or(64, |segment| segment.len());
    let before = size();
    let mut running = Running::start(command);
    until("a frame is appended", || size() > before || running.has_ended());
    running.signal("STOP");
    if running.has_ended() {
        return None;
    }
    meanwhile();
    running.signal("CONT");
    Some(running.wait())
}

#[test]
fn an_input_that_shrinks_while_it_is_read_is_an_error_and_what_came_before_is_stored() {
    let whole = spread(&generated("-n 20000 --sites 50"), 120 << 20);
    let mut seen = 0;
    for from_stdin in [false, true, false, true] {
        let sandbox = Sandbox::new();
        sandbox.write("in.jsonl", &whole);
        let input = fs::OpenOptions::new().read(true).write(true).open(sandbox.path("in.jsonl")).unwrap();
        let name = if from_stdin { "-" } else { "in.jsonl" };
        let mut command = sandbox.chatwal(&format!("ingest --store s --threads 1 {name}"));
        if from_stdin {
            command.stdin(fs::File::open(sandbox.path("in.jsonl")).unwrap());
        }
        let left = 100_000 + seen * 50_000_000;
        let Some(ran) = in_the_middle(&sandbox, command, || input.set_len(left).unwrap()) else { continue };
        if ran.code == Some(0) {
            println!("all of it was read before it was cut");
            continue;
        }
        let (size, cut) = (whole.len(), format!("to {left} bytes while it was read"));
        let ran = ran.fails(1, &[&format!("{name}: shrank from {size} "), &cut]);
        ran.says(&["hint: the whole lines before that are stored"]);
        let sources = sandbox.sources();
        let taken = sources[0]["byte"].as_u64().unwrap() as usize;
        assert!(taken > 0 && taken < size && whole[taken - 1] == b'\n');
        sandbox.reports(&whole[..taken]);
        seen += 1;
    }
    assert!(seen > 0, "it never was in the middle");
}

#[test]
fn a_dump_of_a_file_that_is_cut_is_a_verdict() {
    let sandbox = store_of(generated("-n 60000 --sites 300"));
    sandbox.run("ingest --store c in.jsonl").expect(0);
    sandbox.run("compact --store c").expect(0);
    for (name, least) in [(SEGMENT, 0), ("c/0000000001-0000000001.snap", 4)] {
        for program in [&[CHATWAL, "dump", "--events"][..], &[SEGMENT_DUMP, "--events"]] {
            let sound = sandbox.read(name);
            for left in [70, 4096, sound.len() as u64 / 2 + 7] {
                sandbox.write("cut", &sound);
                // It waits with most of its answer, which does not fit a pipe.
                let mut child = sandbox.program(program[0], &program[1..].join(" "));
                let mut child = child.arg("cut").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                let mut first = [0; 1];
                child.stdout.as_mut().unwrap().read_exact(&mut first).unwrap();
                fs::OpenOptions::new().write(true).open(sandbox.path("cut")).unwrap().set_len(left).unwrap();
                let ended = child.wait_with_output().unwrap();
                let err = String::from_utf8(ended.stderr).unwrap();
                let code = ended.status.code();
                assert!(
                    code.is_some_and(|code| [least, 4].contains(&code)),
                    "{program:?} {name} {left}: {code:?} {err}"
                );
                assert!(!err.is_empty() && !err.contains("panicked"), "{err}");
            }
        }
    }
}

/// It was as long as its header says when it was opened.
#[test]
fn a_snapshot_that_is_cut_under_its_reader_is_corrupt_and_no_endless_loop() {
    let sandbox = store_of(generated("-n 300 --sites 20"));
    sandbox.run("compact --store s").expect(0);
    let name = "0000000001-0000000001.snap";
    let disk = Disk::open(&sandbox.path("s")).unwrap();
    let sound = sandbox.read(&format!("s/{name}"));
    let file = fs::OpenOptions::new().write(true).open(sandbox.path("s").join(name)).unwrap();
    let (send, results) = channel();
    std::thread::spawn(move || {
        for left in 0..sound.len() as u64 {
            std::os::unix::fs::FileExt::write_all_at(&file, &sound, 0).unwrap();
            let snapshot = Snapshot::open(name.into(), disk.open(name, Access::Read).unwrap()).unwrap();
            let region = snapshot.header.region(BlockKind::Events);
            if left >= region.end {
                break;
            }
            file.set_len(left).unwrap();
            let mut events = 0;
            let read = snapshot.blocks(BlockKind::Events, region, &mut Vec::new(), |header, _| {
                events += header.count;
                Ok(())
            });
            send.send((left, events, read)).unwrap();
        }
    });
    let mut cuts = 0;
    while let Ok((left, events, read)) = results.recv_timeout(PATIENCE) {
        assert!(matches!(read, Err(Error::Corruption(_))), "cut at {left}: {read:?}");
        assert!(events < 300);
        cuts += 1;
    }
    assert!(cuts > 1000, "{cuts}");
}

#[test]
fn a_terminal_that_only_prints_gets_no_colour_and_no_bar() {
    if !possible("script", &["-qec", "true", "/dev/null"], "what a terminal is sent") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", spread(&generated("-n 2000"), 40 << 20));
    let sent = |environment: &str, command: &str| {
        let inner = format!("{environment} {CHATWAL} {command}");
        let mut script = sandbox.program("script", "-qec");
        script.args([inner.as_str(), "/dev/null"]);
        // The terminal itself makes `\r\n` of a line end.
        run(script).out.replace("\r\n", "\n")
    };
    let ingest = "ingest --from-start --store s in.jsonl";
    let moves = |sent: &str| sent.contains(['\u{1b}', '\r']);
    assert!(moves(&sent("TERM=xterm", ingest)), "a bar");
    assert!(moves(&sent("TERM=xterm", "report --store none")), "colours");
    for dumb in ["TERM=dumb", "TERM=", "env -u TERM"] {
        for command in [ingest, &format!("{ingest} --progress bar"), "report --store none"] {
            let sent = sent(dumb, command);
            assert!(!sent.is_empty() && !moves(&sent), "{dumb} {command}: {sent:?}");
        }
    }
    assert!(sent("TERM=dumb", "report --store none --color always").contains('\u{1b}'), "as it was asked for");
}

#[test]
fn a_link_to_nothing_is_no_store_and_stays_what_it_is() {
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", message("1", "a", "v", 1));
    sandbox.shell("ln -s 'not here/x' s && ln -s nowhere in.jsonl.chatwal").expect(0);
    for command in
        ["ingest --store s in.jsonl", "report --store s", "compact --store s", "ingest --store s/a/b in.jsonl"]
    {
        let ran = sandbox.run(command).fails(10, &["s: a symbolic link to not here/x, where nothing is"]);
        ran.says(&["hint", "`mkdir -p 'not here/x'`", "remove the link"]);
    }
    sandbox.run("run in.jsonl").fails(10, &["in.jsonl.chatwal: a symbolic link to nowhere"]);
    assert!(!sandbox.has("nowhere") && !sandbox.has("not here"));
    sandbox.shell("mkdir -p 'not here/x'").expect(0);
    sandbox.run("ingest --store s in.jsonl").expect(0);
    assert!(sandbox.has("not here/x/0000000001.wal"));
}

#[test]
fn a_place_that_cannot_be_written_is_said_to_be_one() {
    let sandbox = store_of(message("1", "a", "v", 1));
    let report = sandbox.report();
    if let Some(stranger) = Stranger::of(&sandbox) {
        fs::create_dir(sandbox.path("closed")).unwrap();
        // The listing of the store is free to read, whatever the umask was.
        sandbox.shell("chmod 755 s && chmod 644 s/* && chmod 755 closed").expect(0);
        let ran = stranger.run(&sandbox, "", "ingest --store closed/s in.jsonl");
        ran.fails(1, &["closed/s", "Permission denied"]).says(&["hint", "`ls -ld closed`", "--store DIR"]);
        stranger
            .run(&sandbox, "", "ingest --store s in.jsonl")
            .fails(1, &["s", "Permission denied"])
            .says(&["ls -ld s"]);
        assert_eq!(stranger.run(&sandbox, "", "report --store s").expect(0).out, report);
    }
    if possible("unshare", &["-rm", "sh", "-c", "mount -t tmpfs none /mnt"], "a file system that is read-only") {
        fs::create_dir(sandbox.path("disk")).unwrap();
        let script =
            "mount -t tmpfs none disk && $chatwal ingest -q --store disk/s in.jsonl && mount -o remount,ro disk
            $chatwal report --store disk/s > out; test $? = 0 || exit 101
            $chatwal ingest --store disk/new in.jsonl; test $? = 1 || exit 102
            $chatwal ingest --store disk/s in.jsonl";
        fs::write(sandbox.path("script"), script).unwrap();
        let ran = sandbox.shell("unshare -rm sh script").expect(1);
        assert_eq!(ran.err.matches("Read-only file system").count(), 2, "{ran:#?}");
        ran.says(&["error: disk/new"]).says(&["error: disk/s"]).says(&["hint", "mounted read-only", "--store DIR"]);
        assert_eq!(sandbox.read("out"), report.as_bytes());
    }
}

#[test]
fn a_pipe_has_no_place_beside_it_for_a_store() {
    let sandbox = Sandbox::new();
    let line = message("1", "a", "v", 1);
    sandbox.write("in.jsonl", &line);
    sandbox.shell("mkfifo pipe").expect(0);
    let report = String::from_utf8(naive::report(line.as_bytes())).unwrap();
    for run in [
        "run /dev/stdin < in.jsonl",
        "run /dev/fd/3 3< in.jsonl",
        "run /proc/self/fd/3 3< in.jsonl",
        "run /dev/null",
        // Last: who opens it waits for ever.
        "run pipe",
    ] {
        let ran = sandbox.shell(&format!("exec $chatwal {run}"));
        ran.fails(2, &["not a file, so there is no place beside it"]).says(&["hint", "--store DIR"]);
    }
    for run in ["run --store a /dev/fd/3 3< in.jsonl", "run --store b /proc/self/fd/3 3< in.jsonl"] {
        assert_eq!(sandbox.shell(&format!("$chatwal {run}")).expect(0).out, report);
    }
    if possible("bash", &["-c", "cat <(true)"], "a process substitution") {
        let bash = |script: &str| {
            let mut command = sandbox.program("bash", "-c");
            command.arg(script).env("chatwal", CHATWAL);
            run(command)
        };
        bash("$chatwal run <(cat in.jsonl)").fails(2, &["/dev/fd/"]).says(&["hint", "--store DIR"]);
        assert_eq!(bash("$chatwal run --store c <(cat in.jsonl)").expect(0).out, report);
    }
}

/// What stands between backticks in what was said, as commands.
fn hinted(ran: &Ran) -> Vec<String> {
    let commands = ran.err.split('`').skip(1).step_by(2);
    commands.filter(|command| command.starts_with("chatwal ")).map(str::to_owned).collect()
}

#[test]
fn a_command_of_a_hint_can_be_pasted_whatever_the_store_is_called() {
    if !possible("bash", &["-c", "true"], "commands as they are pasted") {
        return;
    }
    for name in ["two words", "it's", "-rf", "$HOME \"x\" (y)", "a\nb", "*", "nu\\377"] {
        let sandbox = Sandbox::new();
        let name = name.replace("\\377", "\u{fffd}");
        sandbox.write("in.jsonl", message("1", "a", "v", 1) + "oops\n");
        // One name is no UTF-8.
        let bytes: Vec<u8> =
            name.replace('\u{fffd}', "\x01").bytes().map(|byte| if byte == 1 { 0xff } else { byte }).collect();
        let store: std::ffi::OsString = std::os::unix::ffi::OsStringExt::from_vec(bytes);
        let with = |arguments: &str| {
            let mut command = sandbox.chatwal(arguments);
            command.env("CHATWAL_STORE", &store);
            run(command)
        };
        let paste = |command: &str, code: i32| {
            let mut bash = sandbox.program("bash", "-c");
            bash.arg(format!("chatwal() {{ {CHATWAL} \"$@\"; }}; {command}"));
            run(bash).expect(code)
        };
        let ran = with("ingest in.jsonl").expect(3);
        let [rejects] = &hinted(&ran)[..] else { panic!("{ran:#?}") };
        assert!(paste(rejects, 0).out.contains("oops"), "{rejects}");
        let segment = sandbox.path(&store).join("0000000001.wal");
        let mut bytes = fs::read(&segment).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        fs::write(segment, bytes).unwrap();
        let ran = with("verify").expect(4);
        let [repair] = &hinted(&ran)[..] else { panic!("{ran:#?}") };
        let ran = paste(repair, 4);
        let [repair] = &hinted(&ran)[..] else { panic!("{ran:#?}") };
        paste(repair, 0);
        assert!(with("verify").expect(0).out.contains("sound"));
    }
    // And where it is files that are to be named.
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("my $dir")).unwrap();
    sandbox.write("my $dir/in.jsonl", message("1", "a", "v", 1));
    let mut command = sandbox.chatwal("ingest --store s");
    command.arg("my $dir");
    run(command).fails(1, &["my $dir: a directory"]).says(&["name the files in it: 'my $dir'/*"]);
    sandbox.shell("$chatwal ingest --store s 'my $dir'/*").expect(0);
}

#[test]
fn a_hangup_ends_in_order_unless_it_is_to_be_ignored() {
    // Children ignore what this process was told to ignore.
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:\t")).unwrap();
    if u64::from_str_radix(ignored, 16).unwrap() & 1 == 1 {
        eprintln!("SKIPPED: the tests run under nohup");
        return;
    }
    let sandbox = Sandbox::new();
    let line = message("1", "a", "v", 1);
    let mut running = sandbox.start("ingest --store s -");
    running.send(&line);
    until("it is read", || sandbox.run("report --store s").out.contains("emails=1"));
    running.signal("STOP");
    // A terminal that goes away says so more than once.
    running.signal("HUP");
    running.signal("CONT");
    sleep(Duration::from_millis(3));
    running.signal("HUP");
    let ran = running.wait().expect(129);
    sandbox.run("help exit").expect(0).prints(&["129  hung up"]);
    ran.says(&["-: 1 line", &format!("durable up to byte {}", line.len())]).says(&["interrupted"]);
    sandbox.reports(&line);

    let mut ignoring = sandbox.program("sh", "-c");
    ignoring.args(["trap '' HUP; exec \"$0\" ingest --store s -", CHATWAL]).stdin(Stdio::piped());
    let mut running = Running::start(ignoring);
    running.send(message("1", "b", "v", 2));
    until("it is read", || sandbox.report().contains("emails=2"));
    running.signal("HUP");
    sleep(Duration::from_millis(300));
    running.send(message("1", "c", "v", 3));
    until("it goes on", || sandbox.report().contains("emails=3"));
    running.end().expect(0);
}

#[test]
fn what_cannot_be_gone_on_with_is_not_said_to_be() {
    let sandbox = Sandbox::new();
    sandbox.shell("mkfifo pipe").expect(0);
    let goes_on = "the next run goes on after it";
    for input in ["-", "pipe"] {
        let mut running = sandbox.start(&format!("ingest --store s {input}"));
        until("it has a store", || running.holds_a_lock() && sandbox.has(SEGMENT));
        if input == "-" {
            running.send(message("1", "a", "v", 1));
            until("it is read", || sandbox.report().contains("emails=1"));
        } else {
            sleep(Duration::from_millis(50));
        }
        running.signal("INT");
        let ran = running.wait().expect(130);
        assert!(!ran.err.contains(goes_on), "{ran:#?}");
        ran.says(&["interrupted", "a pipe cannot be gone on with", "counts once"]);
    }
    let ran =
        sandbox.run_with("ingest --store s -", b"{\"half").says(&["-:1 (byte 0): rejected", "a string has no end"]);
    assert!(!ran.err.contains("next run"), "{ran:#?}");
    sandbox.write("in.jsonl", spread(&generated("-n 2000"), 120 << 20));
    let interrupt = |_: &()| {
        let size = || fs::metadata(sandbox.path(SEGMENT)).map_or(64, |segment| segment.len());
        let before = size();
        let mut running = Running::start(sandbox.chatwal("ingest --store s --threads 1 --from-start in.jsonl"));
        until("a frame is appended", || size() > before || running.has_ended());
        running.signal("INT");
        let ran = running.wait();
        ran.code == Some(130) && {
            ran.says(&[goes_on]);
            true
        }
    };
    assert!([(); 10].iter().any(interrupt), "it always came to its end before the signal came");
}

/// Names that are not what they look like.
const DECEPTIVE: [&str; 15] = [
    "a\u{202e}b",
    "a\u{2028}b",
    "a\u{2029}b",
    "a\u{61c}b",
    "a\u{200e}b",
    "a\u{200f}b",
    "a\u{feff}b",
    "a\u{2066}b",
    "a\u{200b}b",
    "a\u{200d}b",
    "a\u{e0041}b",
    "a\u{a0}b",
    "a\u{3000}b",
    "a\u{fe0f}b",
    "a\u{e000}b",
];

#[test]
fn names_that_deceive_are_shown_escaped_and_stay_data_for_programs() {
    for name in DECEPTIVE {
        let input = status(name, "o", name, 1, "online") + &message(name, "m", name, 2) + "oops " + name + "\n";
        let sandbox = Sandbox::new();
        let file = format!("in{name}.jsonl");
        sandbox.write(&file, &input);
        let with = |arguments: &str, last: &str| {
            let mut command = sandbox.chatwal(arguments);
            command.args((!last.is_empty()).then_some(last));
            run(command)
        };
        let raw = |text: &str| text.contains(name);
        let ran = with("ingest --store s", &file).expect(3);
        assert!(!raw(&ran.err) && ran.err.contains(r"ina\u{"), "{ran:#?}");
        let ran = with("ingest --store s --progress plain", &file).expect(3);
        assert!(!raw(&ran.err), "{ran:#?}");
        // For people.
        for command in [
            "report --store s --format table",
            "rejects --store s",
            "rejects --store s --format table",
            "sources --store s",
            "sources --store s --format table",
            "dump s/0000000001.wal",
            "verify --store s",
        ] {
            let ran = with(command, "").expect(0).silently();
            assert!(!raw(&ran.out) && !ran.out.is_empty(), "{command}: {ran:#?}");
        }
        let ran = with("report --store s --site", &format!("no{name}")).expect(0);
        assert!(ran.err.contains(r"noa\u{") && !raw(&ran.err), "{ran:#?}");
        with("timeline --store s", name).expect(0).silently().prints(&["chats=1"]);
        // For programs: the same data, and who looks at it is warned.
        let line = format!("{name},messages=1,emails=0,operators=1,visitors=1\n");
        for (command, out) in [
            ("report --store s", line.as_str()),
            ("report --store s --format csv", &format!("site_id,messages,emails,operators,visitors\n{name},1,0,1,1\n")),
        ] {
            let ran = with(command, "").expect(0);
            assert_eq!(ran.out, *out);
            assert_eq!(ran.err.lines().count(), 1, "once: {ran:#?}");
            assert!(ran.says(&["chatwal: warning: ", "not seen", "--format table"]).err.is_ascii());
            assert_eq!(with(&format!("{command} -q"), "").expect(0).silently().out, *out);
        }
        assert!(raw(&with("rejects --store s --format csv", "").expect(0).says(&["warning"]).out));
        for command in ["report --store s --format ndjson", "dump --events s/0000000001.wal"] {
            let ran = with(command, "").expect(0).silently();
            assert!(!raw(&ran.out), "{command}");
            assert_eq!(ran.records()[0]["site_id"], name);
        }
        let rejects = with("rejects --store s --format json", "").expect(0).silently().out;
        let rejects: Value = serde_json::from_str(&rejects).unwrap();
        assert_eq!(rejects[0]["raw"], format!("oops {name}"));
        assert!(!raw(&with("report --store s --format json", "").expect(0).silently().out));
    }
    // What is seen is no reason for a word.
    let sandbox = store_of(message("büro 日本 x", "a", "v", 1));
    sandbox.run("report --store s").expect(0).silently();
}
