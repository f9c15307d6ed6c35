//! The real programs, run in a directory of their own.
//!
//! Arguments are written as one would type them, without quotes: `sandbox.run("ingest --store s in.jsonl")`. Nothing of
//! the environment reaches the programs, and none of them outlives its test.
#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant, SystemTime};

use chatwal::store::ACKNOWLEDGED_NAME;
use serde_json::Value;
use tempfile::TempDir;

#[allow(unused_imports, reason = "included by several tests, not all of which roll dice")]
pub use super::dice::Dice;
use super::naive;

/// Longer than anything here takes: what needs more hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The programs under test.
pub const CHATWAL: &str = env!("CARGO_BIN_EXE_chatwal");
/// `dump` on its own.
pub const SEGMENT_DUMP: &str = env!("CARGO_BIN_EXE_segment-dump");

/// A directory that is gone with the test.
pub struct Sandbox {
    directory: TempDir,
}

impl Sandbox {
    /// An empty one.
    pub fn new() -> Sandbox {
        Sandbox { directory: tempfile::tempdir().unwrap() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        self.directory.path()
    }

    /// The path of something in it.
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root().join(name)
    }

    /// Puts a file there.
    pub fn write(&self, name: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    /// Adds to the end of a file.
    pub fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::OpenOptions::new().append(true).open(self.path(name)).unwrap().write_all(bytes.as_ref()).unwrap();
    }

    /// A file's bytes.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    /// A program that is to run here.
    pub fn program(&self, program: impl AsRef<OsStr>, arguments: &str) -> Command {
        let mut command = Command::new(program);
        command.args(arguments.split_whitespace()).current_dir(self.root());
        command.env_remove("CHATWAL_STORE").env_remove("NO_COLOR").stdin(Stdio::null());
        command
    }

    /// `chatwal` with these arguments.
    pub fn chatwal(&self, arguments: &str) -> Command {
        self.program(CHATWAL, arguments)
    }

    /// Runs `chatwal` to its end.
    pub fn run(&self, arguments: &str) -> Ran {
        run(self.chatwal(arguments))
    }

    /// Runs `chatwal` to its end with these bytes on its standard input.
    pub fn run_with(&self, arguments: &str, input: &[u8]) -> Ran {
        Ran::of(assert_cmd::Command::from_std(self.chatwal(arguments)).write_stdin(input).timeout(PATIENCE))
    }

    /// Runs a shell script; `$chatwal` is the program.
    pub fn shell(&self, script: &str) -> Ran {
        let mut command = self.program("sh", "-c");
        command.arg(script).env("chatwal", CHATWAL);
        run(command)
    }

    /// Starts `chatwal` with a pipe to its standard input that stays open.
    pub fn start(&self, arguments: &str) -> Running {
        let mut command = self.chatwal(arguments);
        command.stdin(Stdio::piped());
        Running::start(command)
    }

    /// The report of the store `s`.
    pub fn report(&self) -> String {
        self.run("report --store s").expect(0).out
    }

    /// Asserts that the store `s` answers what the oracle says of this input.
    #[track_caller]
    pub fn reports(&self, input: impl AsRef<[u8]>) {
        let (found, expected) = (self.report(), String::from_utf8(naive::report(input.as_ref())).unwrap());
        assert!(found == expected, "the report differs:\n{}", difference(&found, &expected));
    }

    /// The files of a directory: bytes and time of the last change.
    pub fn listing(&self, name: &str) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let files = fs::read_dir(self.path(name)).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let changed = entry.metadata().unwrap().modified().unwrap();
            (entry.file_name().into_string().unwrap(), (fs::read(entry.path()).unwrap(), changed))
        });
        files.collect()
    }

    /// The same without `LOCK` and the record of what was acknowledged.
    pub fn segments(&self, name: &str) -> BTreeMap<String, (Vec<u8>, SystemTime)> {
        let mut files = self.listing(name);
        files.retain(|name, _| !["LOCK", ACKNOWLEDGED_NAME].contains(&name.as_str()));
        files
    }

    /// Where the inputs stand, in the order in which `sources` lists them.
    pub fn sources(&self) -> Vec<Value> {
        self.run("sources --store s --format ndjson").expect(0).records()
    }

    /// What `stat` says.
    pub fn stat(&self) -> Value {
        self.run("stat --store s --format ndjson").expect(0).records().remove(0)
    }

    /// Whether something has this name.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }
}

/// The first lines in which two texts differ.
fn difference(found: &str, expected: &str) -> String {
    let (found, expected): (Vec<&str>, Vec<&str>) = (found.lines().collect(), expected.lines().collect());
    let differ = |at: &usize| found.get(*at) != expected.get(*at);
    let lines = (0..found.len().max(expected.len()))
        .filter(differ)
        .take(5)
        .map(|at| format!("line {}: found {:?}, expected {:?}\n", at + 1, found.get(at), expected.get(at)));
    format!("{} lines, {} expected\n{}", found.len(), expected.len(), lines.collect::<String>())
}

/// Runs a command to its end.
pub fn run(command: Command) -> Ran {
    Ran::of(assert_cmd::Command::from_std(command).timeout(PATIENCE))
}

/// What a program did.
#[derive(Debug)]
pub struct Ran {
    /// Its exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it answered.
    pub out: String,
    /// What else it said.
    pub err: String,
}

impl Ran {
    fn of(command: &mut assert_cmd::Command) -> Ran {
        let Output { status, stdout, stderr } = command.output().unwrap();
        Ran::from(status, stdout, stderr)
    }

    fn from(status: ExitStatus, out: Vec<u8>, err: Vec<u8>) -> Ran {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let ran = Ran { code: status.code(), out: text(out), err: text(err) };
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        ran
    }

    /// Asserts the exit code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{self:#?}");
        self
    }

    /// Asserts that it failed with this code, one line of error that holds all of `parts`, and one of hint behind it.
    #[track_caller]
    pub fn fails(self, code: i32, parts: &[&str]) -> Ran {
        let ran = self.expect(code);
        let lines: Vec<&str> = ran.err.lines().collect();
        let errors: Vec<usize> = (0..lines.len()).filter(|&at| lines[at].starts_with("chatwal: error: ")).collect();
        let [at] = errors[..] else { panic!("one error was expected: {ran:#?}") };
        for part in parts {
            assert!(lines[at].contains(part), "{part:?} is missing: {ran:#?}");
        }
        let hint = lines.get(at + 1).and_then(|line| line.strip_prefix("chatwal: hint: "));
        assert!(hint.is_some_and(|hint| hint.len() > 5), "no hint: {ran:#?}");
        ran
    }

    /// Asserts that stderr has a line with all of these.
    #[track_caller]
    pub fn says(self, parts: &[&str]) -> Ran {
        let said = self.err.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(said, "no line says {parts:?}: {self:#?}");
        self
    }

    /// Asserts that the answer has a line with all of these.
    #[track_caller]
    pub fn prints(self, parts: &[&str]) -> Ran {
        let printed = self.out.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        assert!(printed, "no line has {parts:?}: {self:#?}");
        self
    }

    /// Asserts that nothing was said beside the answer.
    #[track_caller]
    pub fn silently(self) -> Ran {
        assert_eq!(self.err, "");
        self
    }

    /// The answer's lines as JSON.
    pub fn records(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The last words of `--progress json` on each input.
    #[track_caller]
    pub fn done(&self) -> Vec<Value> {
        let lines = self.err.lines().filter(|line| line.starts_with('{'));
        lines.map(|line| serde_json::from_str(line).unwrap()).filter(|line: &Value| line["event"] == "done").collect()
    }

    /// Of the only input, the bytes that were read; from where to where.
    #[track_caller]
    pub fn read(&self) -> (u64, u64) {
        let done = self.done();
        let [done] = &done[..] else { panic!("one input was expected: {self:#?}") };
        let (bytes, end) = (done["bytes"].as_u64().unwrap(), done["offset"].as_u64().unwrap());
        assert_eq!(done["durable_offset"], end);
        (end - bytes, end)
    }
}

/// A program that runs.
pub struct Running {
    child: Child,
    input: Option<ChildStdin>,
    out: Option<JoinHandle<Vec<u8>>>,
    err: Arc<Mutex<Vec<u8>>>,
    err_reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts it.
    pub fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let err = Arc::new(Mutex::new(Vec::new()));
        let out = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stdout.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let err_reader = std::thread::spawn({
            let err = Arc::clone(&err);
            move || {
                let mut piece = [0; 4096];
                while let Ok(count @ 1..) = stderr.read(&mut piece) {
                    err.lock().unwrap().extend_from_slice(&piece[..count]);
                }
            }
        });
        Running { input: child.stdin.take(), child, out: Some(out), err, err_reader: Some(err_reader) }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it holds the lock of a file, as the kernel sees it.
    pub fn holds_a_lock(&self) -> bool {
        let pid = self.pid().to_string();
        let locks = fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("FLOCK") && line.split_whitespace().any(|field| field == pid))
    }

    /// Its standard input, for somebody else to feed.
    pub fn input(&mut self) -> ChildStdin {
        self.input.take().unwrap()
    }

    /// Sends bytes to its standard input.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.input.as_mut().unwrap().write_all(bytes.as_ref()).unwrap();
    }

    /// Sends a signal, such as `INT`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").arg(format!("-{name}")).arg(self.pid().to_string()).status();
        assert!(sent.unwrap().success());
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        String::from_utf8_lossy(&self.err.lock().unwrap()).into_owned()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The most memory it ever held, in KiB.
    pub fn peak_memory(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.split_whitespace().next()?.parse().ok()
    }

    /// Closes its standard input and waits for its end.
    #[track_caller]
    pub fn end(mut self) -> Ran {
        self.input = None;
        self.wait()
    }

    /// Kills it, as a crash does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end, with the pipe left open.
    #[track_caller]
    pub fn wait(mut self) -> Ran {
        until("the program ends", || self.has_ended());
        let status = self.child.wait().unwrap();
        self.err_reader.take().unwrap().join().unwrap();
        let out = self.out.take().unwrap().join().unwrap();
        Ran::from(status, out, self.err.lock().unwrap().clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < PATIENCE, "waited in vain until {what}");
        sleep(Duration::from_millis(5));
    }
}

/// Whether a command is there and succeeds; what it is needed for is told to be skipped otherwise.
pub fn possible(program: &str, arguments: &[&str], what: &str) -> bool {
    let silent = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let possible = silent.is_ok_and(|status| status.success());
    if !possible {
        eprintln!("SKIPPED, for want of `{program} {}`: {what}", arguments.join(" "));
    }
    possible
}

/// What `chatwal-generate` writes with these options.
pub fn generated(options: &str) -> Vec<u8> {
    chatwal_tools::generated(options).unwrap()
}

/// The same lines with long blank ones between them, so that they are so many bytes, and cut into several frames, and yet
/// are read in a moment.
pub fn spread(input: &[u8], bytes: usize) -> Vec<u8> {
    const BLANK: usize = 100_000;
    let lines: Vec<&[u8]> = input.split_inclusive(|&byte| byte == b'\n').collect();
    let blanks = bytes.saturating_sub(input.len()) / BLANK;
    let every = lines.len() / blanks.max(1);
    let mut blank = vec![b' '; BLANK];
    blank[BLANK - 1] = b'\n';
    lines.chunks(every.max(1)).flat_map(|lines| [lines.concat(), blank.clone()].concat()).collect()
}

/// The line of a message.
pub fn message(site: &str, id: &str, from: &str, timestamp: i64) -> String {
    event(site, id, from, timestamp, "message", "message", "Hi")
}

/// The line of a status.
pub fn status(site: &str, id: &str, from: &str, timestamp: i64, status: &str) -> String {
    event(site, id, from, timestamp, "status", "status", status)
}

#[allow(clippy::too_many_arguments, reason = "the members of a line")]
fn event(site: &str, id: &str, from: &str, timestamp: i64, kind: &str, key: &str, value: &str) -> String {
    let data = serde_json::json!({ key: value });
    let event = serde_json::json!({
        "id": id, "type": kind, "from": from, "site_id": site, "timestamp": timestamp, "data": data
    });
    format!("{event}\n")
}

/// Compressed as `gzip` does, one member.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Compressed as `zstd` does, one frame.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
