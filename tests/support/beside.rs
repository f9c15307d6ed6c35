//! Readers beside a writer: what they may answer, and what they must not do.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::cli::{CHATWAL, Running, Sandbox, possible};
use super::naive::Naive;

/// The reports of every prefix of some lines, and how long the prefixes are that have them.
pub struct Prefixes {
    /// The shortest and the longest, in lines.
    by_report: BTreeMap<String, (u64, u64)>,
    /// Behind each line, its end.
    ends: Vec<u64>,
}

impl Prefixes {
    /// Of these lines.
    pub fn of(lines: &[&[u8]]) -> Prefixes {
        let (mut naive, mut end) = (Naive::new(), 0);
        let mut prefixes = Prefixes { by_report: BTreeMap::from([(String::new(), (0, 0))]), ends: vec![0] };
        for (number, line) in (1..).zip(lines) {
            naive.feed_input(line);
            end += line.len() as u64;
            prefixes.ends.push(end);
            let report = String::from_utf8(naive.report()).unwrap();
            prefixes.by_report.entry(report).and_modify(|(_, longest)| *longest = number).or_insert((number, number));
        }
        prefixes
    }

    /// How many lines a report may hold: the fewest and the most.
    #[track_caller]
    pub fn lengths(&self, report: &str) -> (u64, u64) {
        *self.by_report.get(report).unwrap_or_else(|| panic!("the report of no prefix:\n{report}"))
    }

    /// How many lines end before this byte.
    pub fn lines(&self, byte: u64) -> u64 {
        self.ends.partition_point(|&end| end <= byte) as u64 - 1
    }
}

/// Reports in a loop as long as `goes_on`; gives the number of rounds and of different answers.
pub fn report_beside(
    sandbox: &Sandbox,
    prefixes: &Prefixes,
    acknowledged: &AtomicU64,
    goes_on: &AtomicBool,
) -> (u32, u32) {
    let (mut rounds, mut answers) = (0, 0);
    let (mut least, mut previous) = (0, String::new());
    while goes_on.load(Ordering::Relaxed) {
        let before = acknowledged.load(Ordering::Relaxed).max(least);
        let options = ["", "--threads 1", "--memory 1M"][rounds as usize % 3];
        let report = sandbox.run(&format!("report --store s {options}")).expect(0).silently().out;
        let (fewest, most) = prefixes.lengths(&report);
        assert!(most >= before, "{before} lines were acknowledged, at most {most} are reported");
        least = least.max(fewest);
        answers += u32::from(report != previous);
        previous = report;
        rounds += 1;
    }
    (rounds, answers)
}

/// Calls that change something or wait for somebody; a few do so only with certain arguments.
const CALLS: &str = "flock,fcntl,rename,renameat,renameat2,unlink,unlinkat,ftruncate,truncate,fsync,fdatasync,pwrite64,\
                     pwritev,writev,fallocate,mkdir,mkdirat,openat,open,creat,write";

/// Whether [`only_reads`] can be used.
pub fn can_trace() -> bool {
    possible("strace", &["true"], "the system calls of a reader")
}

/// Asserts that a command opens these files, among others, and makes no call that could change anything or wait.
#[track_caller]
pub fn only_reads(sandbox: &Sandbox, command: &str, opened: &[&str]) {
    let traced = sandbox.program("strace", &format!("-f -o trace -e trace={CALLS} {CHATWAL} {command}"));
    Running::start(traced).wait().expect(0);
    let trace = String::from_utf8(sandbox.read("trace")).unwrap();
    for file in opened {
        assert!(trace.contains(file), "{command} did not open {file}: {trace}");
    }
    for line in trace.lines() {
        let call = line.split_whitespace().nth(1).unwrap_or_default();
        let harmless = match call.split('(').next().unwrap_or_default() {
            "openat" | "open" => line.contains("O_RDONLY") && !line.contains("O_CREAT"),
            // To stdout and stderr; and what the runtime asks of its descriptors before `main`.
            "write" => call.starts_with("write(1,") || call.starts_with("write(2,"),
            "fcntl" => !line.contains("LK"),
            name => !CALLS.split(',').any(|forbidden| forbidden == name),
        };
        assert!(harmless, "{command}: {line}");
    }
}
