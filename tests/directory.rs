//! P10, the right place, on the real program: what is acknowledged is in the directory that the path names at that moment, and no
//! other file is ever touched.
//!
//! Each round feeds a writer through a pipe, so that acknowledgements come one after the other, and at a random moment something
//! happens to the directory: it is moved, replaced, deleted, covered by a mount, its files are renamed, a second writer starts.
//! `CHATWAL_MOVES=1000 cargo test --test directory -- --nocapture` makes it a thousand rounds; `CHATWAL_SEED` repeats
//! or varies them. `tests/displaced.rs` lets it happen at every single call, on the simulated disk.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{scope, sleep};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use support::cli::{CHATWAL, Dice, Ran, Running, Sandbox, generated, possible, until};
use support::naive;
use support::setting;

/// What happens to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Act {
    Moved,
    MovedAndBack,
    ReplacedByNothing,
    ReplacedByAStore,
    Exchanged,
    LinkTurned,
    Deleted,
    MovedAndASecondWriter,
    SecondWriter,
    SegmentRenamed,
    SegmentDeleted,
    SegmentReplaced,
    SegmentLinked,
    OlderFileDeleted,
    TrapsLaid,
    NameTaken,
    // On a file system of its own.
    MountedOver,
    Unmounted,
    ReadOnlyMountOver,
    ReadOnly,
    DiskFailed,
}

use Act::*;

const ACTS: [Act; 16] = [
    Moved,
    ReplacedByAStore,
    Deleted,
    MovedAndASecondWriter,
    ReplacedByNothing,
    Exchanged,
    SegmentRenamed,
    MovedAndBack,
    LinkTurned,
    SecondWriter,
    SegmentDeleted,
    TrapsLaid,
    OlderFileDeleted,
    NameTaken,
    SegmentReplaced,
    SegmentLinked,
];

/// What becomes of the writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It sees it, acknowledges nothing more, and says so.
    Stops,
    /// It need not mind.
    GoesOn,
    /// It may have seen it or not.
    Either,
}

impl Act {
    fn fate(self) -> Fate {
        match self {
            MovedAndBack | ReadOnly => Fate::Either,
            SecondWriter | TrapsLaid | ReadOnlyMountOver => Fate::GoesOn,
            _ => Fate::Stops,
        }
    }

    /// What was acknowledged goes with it: nobody can ask for it afterwards.
    fn destroys(self) -> bool {
        matches!(self, Deleted | SegmentDeleted | OlderFileDeleted)
    }
}

/// How long an acknowledgement may take from the writer's last look to this program's eyes, on a busy machine.
const GRACE: Duration = Duration::from_millis(300);

/// The lines that are fed, cut into lines.
fn lines() -> &'static [Vec<u8>] {
    static LINES: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    LINES.get_or_init(|| {
        let input = generated("-n 9000 --sites 20 --copies 0.05 --seed 12");
        input.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
    })
}

/// Modes, times and bytes of everything below a path.
type Tree = BTreeMap<PathBuf, (u32, SystemTime, Vec<u8>)>;

/// Everything below a path, as somebody sees it who minds every change.
fn tree(root: &Path) -> Tree {
    let (mut found, mut open) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(path) = open.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let bytes = match metadata.file_type() {
            kind if kind.is_dir() => {
                open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
                Vec::new()
            }
            kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
            _ => fs::read(&path).unwrap(),
        };
        let name = path.strip_prefix(root).unwrap().to_owned();
        found.insert(name, (metadata.mode(), metadata.modified().unwrap(), bytes));
    }
    found
}

/// One writer and what happens to it.
struct Round {
    sandbox: Sandbox,
    act: Act,
    dice: Dice,
    /// Where the store is.
    place: &'static str,
    /// What it held before the writer began.
    before: Vec<u8>,
}

/// What a round came to.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    rounds: u64,
    acknowledged: u64,
    stopped: u64,
}

/// What the writer was given, and whether it is to be given more.
#[derive(Default)]
struct Feed {
    sent: Mutex<Vec<u8>>,
    over: AtomicBool,
}

impl Feed {
    /// Sends lines now and then, until it is over or nobody reads them.
    fn run(&self, mut input: std::process::ChildStdin, mut dice: Dice) {
        let mut rest = lines();
        while !self.over.load(Ordering::Relaxed) && !rest.is_empty() {
            let (now, later) = rest.split_at((3 + dice.below(40) as usize).min(rest.len()));
            rest = later;
            // Before it is written: what is acknowledged was sent.
            self.sent.lock().unwrap().extend(now.concat());
            if input.write_all(&now.concat()).is_err() {
                return;
            }
            sleep(Duration::from_millis([0, 5, 20, 60, 140][dice.below(5) as usize]));
        }
    }

    fn bytes(&self) -> usize {
        self.sent.lock().unwrap().len()
    }
}

/// The greatest offset that was said to be durable.
fn acknowledged(said: &str) -> usize {
    let told = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let offsets = told.filter_map(|line| line["durable_offset"].as_u64());
    offsets.max().unwrap_or(0) as usize
}

impl Round {
    fn new(act: Act, number: u64, seed: u64) -> Round {
        let mut dice = Dice(seed.wrapping_mul(1_000_003).wrapping_add(number));
        let sandbox = Sandbox::new();
        let before = generated(&format!("-n {} --sites 9 --seed {}", 20 + dice.below(200), dice.below(1000)));
        Round { sandbox, act, dice, place: "s", before }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.sandbox.path(name)
    }

    /// A store, other stores and files beside it, and somebody's notes inside.
    fn prepare(&self) {
        self.sandbox.write("before", &self.before);
        for name in ["aside", "spare"] {
            fs::create_dir(self.path(name)).unwrap();
        }
        self.sandbox.write("second", generated("-n 40 --seed 77"));
        self.sandbox.write("aside/precious", "not to be written to");
        symlink(self.path("aside/precious"), self.path("aside/link")).unwrap();
        self.sandbox.run("ingest --store aside/other --segment-size 4096 second").expect(0);
        self.sandbox.run("ingest --store spare/s second").expect(0);
        let ingest = format!("ingest --no-compact --segment-size 4096 --store {} before", self.place);
        self.sandbox.run(&ingest).expect(0);
        let mut notes = fs::File::create_new(self.path(self.place).join("notes.txt")).unwrap();
        notes.write_all(b"somebody's").unwrap();
        // A disk that fails has what was synced.
        notes.sync_all().unwrap();
        fs::File::open(self.path(self.place)).unwrap().sync_all().unwrap();
    }

    /// Starts the writer, in one of the ways to name its store.
    fn start(&mut self) -> Running {
        let place = self.place;
        symlink(place, self.path("link")).unwrap();
        let store = match self.dice.below(4) {
            _ if self.act == LinkTurned => "link".into(),
            0 => self.path(place).display().to_string(),
            1 => "link".into(),
            2 => format!("aside/../{place}"),
            _ => place.into(),
        };
        let lasting = if self.act == DiskFailed { 1 } else { 2 };
        let durability = ["sync", "os"][self.dice.below(lasting) as usize];
        // A frame or two a segment, and a compaction every few segments, or never.
        let compaction = ["--compact-at 1", "--compact-at 9000", "--no-compact"][self.dice.below(3) as usize];
        let options = format!("--durability {durability} {compaction} --threads {}", 1 + self.dice.below(2));
        self.sandbox.start(&format!("ingest --store {store} --segment-size 4096 {options} --progress json -"))
    }

    /// Feeds the writer, lets it happen, and checks everything.
    fn run(mut self) -> Tally {
        let bystanders = tree(&self.path("aside"));
        let mut writer = self.start();
        let (feed, input) = (Feed::default(), writer.input());
        let (dice, interrupted) = (Dice(self.dice.below(u64::MAX)), self.dice.below(4) == 0);
        let (after, seen, complete, ran) = scope(|scope| {
            let feeding = scope.spawn(|| feed.run(input, dice));
            if self.act != ReadOnly {
                until("the first acknowledgement", || acknowledged(&writer.said()) > 0);
                sleep(Duration::from_millis(self.dice.below(600)));
            }
            let after = self.happen(&writer);
            let complete = feed.bytes();
            sleep(GRACE);
            let seen = acknowledged(&writer.said());
            sleep(Duration::from_millis(100 + self.dice.below(400)));
            if interrupted && !writer.has_ended() {
                writer.signal("INT");
            }
            feed.over.store(true, Ordering::Relaxed);
            feeding.join().unwrap();
            (after, seen, complete, writer.wait())
        });
        let sent = feed.sent.into_inner().unwrap();
        let acknowledged = acknowledged(&ran.err);
        let _tell = Tell(self.act, &ran);
        let stopped = self.judge(&ran, acknowledged, (seen, complete));
        self.undo(&after);
        assert!(tree(&self.path("aside")) == bystanders, "a file beside the store was changed");
        if let Some(left) = &after.left {
            assert!(tree(&self.path(&after.now)) == *left, "what took the store's place was changed");
        }
        if !self.act.destroys() {
            // After a signal, what was not read yet is left for the next run.
            let whole = (ran.code == Some(0)).then_some(sent.len());
            self.check(&after.place, &sent, acknowledged, whole);
            assert_eq!(self.sandbox.read(&format!("{}/notes.txt", after.place)), b"somebody's");
        }
        Tally { rounds: 1, acknowledged: acknowledged as u64, stopped: u64::from(stopped) }
    }

    /// How it ended, and that nothing was acknowledged that could not be; whether it stopped.
    fn judge(&self, ran: &Ran, acknowledged: usize, (seen, complete): (usize, usize)) -> bool {
        let stopped = match (self.act.fate(), ran.code) {
            (Fate::Stops | Fate::Either, Some(1)) => true,
            (Fate::GoesOn | Fate::Either, Some(0 | 130)) => false,
            (fate, code) => panic!("{fate:?}, and it ended with {code:?}"),
        };
        if stopped {
            let errors = ran.err.lines().filter(|line| line.starts_with("chatwal: error: ")).count();
            let hints = ran.err.lines().filter(|line| line.starts_with("chatwal: hint: ")).count();
            assert_eq!((errors, hints), (1, 1));
            // What the compactor saw alone, or nobody was told before, says nothing of the input.
            let done = acknowledged == 0 || ran.err.contains(r#""event":"done""#);
            assert!(done || ran.err.contains("-: acknowledged up to byte"), "not how far");
        }
        if self.act.fate() == Fate::Stops && self.act != DiskFailed {
            assert!(
                acknowledged <= complete,
                "{acknowledged} bytes acknowledged, {complete} were sent when it happened"
            );
            assert!(acknowledged <= seen, "{acknowledged} bytes acknowledged, {seen} when it had happened");
        }
        stopped
    }

    /// That a store holds a prefix of what was sent, at least what was acknowledged, and all if the writer went on.
    fn check(&self, place: &str, sent: &[u8], acknowledged: usize, whole: Option<usize>) {
        let sources = self.sandbox.run(&format!("sources --store {place} --format ndjson")).expect(0).records();
        let piped = sources.iter().find(|source| source["source"] == "-");
        let held = piped.map_or(0, |source| source["byte"].as_u64().unwrap() as usize);
        assert!(held >= acknowledged, "{place} holds {held} bytes of {acknowledged} acknowledged");
        assert!(whole.is_none_or(|whole| held == whole), "{place} holds {held} bytes of {whole:?}");
        let report = self.sandbox.run(&format!("report --store {place}")).expect(0).out;
        let expected = naive::report(&[&self.before, &sent[..held]].concat());
        assert!(report.as_bytes() == expected, "{place}: not the report of the first {held} bytes");
        self.sandbox.run(&format!("verify --store {place}")).expect(0);
        // And it goes on.
        self.sandbox.run(&format!("ingest --store {place} second")).expect(0);
        let names = fs::read_dir(self.path(place)).unwrap().map(|entry| entry.unwrap().file_name());
        assert!(!names.into_iter().any(|name| name.to_string_lossy().ends_with(".tmp")), "leftovers");
    }
}

/// Where things are once it has happened.
struct After {
    /// The store.
    place: String,
    /// What took its place, and how it looked.
    now: String,
    left: Option<Tree>,
    /// What was put or taken away, to be undone.
    undo: Undo,
}

enum Undo {
    Nothing,
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    Unmount(PathBuf),
    Writable(PathBuf),
    Repair(PathBuf),
}

fn mount(arguments: &str, path: &Path) -> bool {
    let ran = Command::new("mount").args(arguments.split_whitespace()).arg(path).output().unwrap();
    ran.status.success()
}

impl Round {
    /// Segments and snapshots that are there, in order.
    fn names(&self, end: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(self.place)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name.ends_with(end)).collect();
        names.sort();
        names
    }

    /// The path of a file of the store that is there at this moment.
    fn file(&self, pick: impl Fn(&mut Vec<String>) -> Option<String>) -> Option<PathBuf> {
        pick(&mut self.names(".wal")).map(|name| self.path(self.place).join(name))
    }

    fn last_segment(&self) -> PathBuf {
        self.file(Vec::pop).unwrap()
    }

    /// Lets it happen.
    fn happen(&mut self, writer: &Running) -> After {
        let after = |place: &str| After { place: place.into(), now: "s".into(), left: None, undo: Undo::Nothing };
        let (store, moved) = (self.path(self.place), self.path("moved"));
        let rename = |from: &Path, to: &Path| fs::rename(from, to).unwrap();
        match self.act {
            Moved => {
                rename(&store, &moved);
                After { now: "moved".into(), ..after("moved") }
            }
            MovedAndBack => {
                rename(&store, &moved);
                sleep(Duration::from_millis(self.dice.below(300)));
                rename(&moved, &store);
                after("s")
            }
            ReplacedByNothing => {
                rename(&store, &moved);
                fs::create_dir(&store).unwrap();
                After { left: Some(tree(&store)), ..after("moved") }
            }
            ReplacedByAStore => {
                let left = tree(&self.path("spare/s"));
                rename(&store, &moved);
                rename(&self.path("spare/s"), &store);
                After { left: Some(left), ..after("moved") }
            }
            Exchanged => {
                use rustix::fs::{CWD, RenameFlags, renameat_with};
                let (other, left) = (self.path("spare/s"), tree(&self.path("spare/s")));
                renameat_with(CWD, &store, CWD, &other, RenameFlags::EXCHANGE).unwrap();
                After { left: Some(left), ..after("spare/s") }
            }
            LinkTurned => {
                let left = tree(&self.path("spare/s"));
                symlink("spare/s", self.path("link2")).unwrap();
                rename(&self.path("link2"), &self.path("link"));
                After { now: "spare/s".into(), left: Some(left), ..after("s") }
            }
            Deleted => {
                let deadline = Instant::now() + Duration::from_secs(20);
                // The writer may be making files meanwhile.
                while fs::remove_dir_all(&store).is_err() || store.exists() {
                    assert!(Instant::now() < deadline, "it cannot be deleted");
                }
                after("s")
            }
            MovedAndASecondWriter => {
                rename(&store, &moved);
                self.sandbox.run("ingest --store s second").expect(0);
                After { left: Some(tree(&store)), ..after("moved") }
            }
            SecondWriter => {
                let holder = format!("(process {})", writer.pid());
                for command in ["ingest --store s second", "compact --store s", "repair --store s"] {
                    self.sandbox.run(command).fails(11, &["s: locked by another writer", &holder]);
                }
                after("s")
            }
            _ => self.happen_to_files(),
        }
    }

    fn happen_to_files(&mut self) -> After {
        let after = |undo| After { place: "s".into(), now: "s".into(), left: None, undo };
        let aside = self.path("taken");
        match self.act {
            SegmentRenamed => {
                let segment = self.last_segment();
                fs::rename(&segment, &aside).unwrap();
                after(Undo::Rename(aside, segment))
            }
            SegmentReplaced => {
                let segment = self.last_segment();
                fs::rename(&segment, &aside).unwrap();
                fs::copy(&aside, &segment).unwrap();
                after(Undo::Rename(aside, segment))
            }
            SegmentDeleted => {
                fs::remove_file(self.last_segment()).unwrap();
                after(Undo::Nothing)
            }
            SegmentLinked => {
                fs::hard_link(self.last_segment(), &aside).unwrap();
                after(Undo::Remove(aside))
            }
            OlderFileDeleted => {
                // A snapshot if there is one, for a segment may be about to be folded.
                let mut older = self.names(".snap");
                if older.is_empty() {
                    older = self.names(".wal");
                    older.pop();
                }
                // The writer may be faster.
                let _ = fs::remove_file(self.path(self.place).join(&older[0]));
                after(Undo::Nothing)
            }
            TrapsLaid => {
                self.lay_traps();
                after(Undo::Nothing)
            }
            NameTaken => {
                let last = self.last_segment();
                let number: u64 = last.file_stem().unwrap().to_str().unwrap().parse().unwrap();
                let next = last.with_file_name(format!("{:010}.wal", number + 1 + self.dice.below(2)));
                // If the writer comes first, it is nobody's.
                match self.dice.below(3) {
                    0 => symlink(self.path("aside/precious"), &next).is_ok(),
                    1 => fs::hard_link(self.path("aside/precious"), &next).is_ok(),
                    _ => fs::File::create_new(&next).is_ok(),
                };
                after(Undo::Remove(next))
            }
            _ => self.happen_to_mounts(),
        }
    }

    /// Links and pipes in the place of every file that the writer is going to make.
    fn lay_traps(&mut self) {
        let number: u64 = self.names(".wal").pop().unwrap()[..10].parse().unwrap();
        let segments = (number + 1..number + 9).map(|number| format!("{number:010}.wal.tmp"));
        let snapshots = (1..number + 9).map(|number| format!("0000000001-{number:010}.snap.tmp"));
        for name in segments.chain(snapshots) {
            let trap = self.path(self.place).join(name);
            // Where the writer is making the file just now, that is no trap.
            let _ = match self.dice.below(4) {
                0 => symlink(self.path("aside/precious"), &trap).is_ok(),
                1 => symlink(self.path("aside/nothing"), &trap).is_ok(),
                2 => fs::hard_link(self.path("aside/precious"), &trap).is_ok(),
                _ => Command::new("mkfifo").arg(&trap).stderr(std::process::Stdio::null()).status().is_ok(),
            };
        }
    }

    fn happen_to_mounts(&mut self) -> After {
        let after = |undo| After { place: self.place.into(), now: self.place.into(), left: None, undo };
        let (disk, store) = (self.path("disk"), self.path(self.place));
        match self.act {
            MountedOver => {
                let over = if self.dice.below(2) == 0 { disk } else { store };
                assert!(mount("-t tmpfs none", &over));
                after(Undo::Unmount(over))
            }
            Unmounted => {
                let ran = Command::new("umount").arg("-l").arg(&disk).status().unwrap();
                assert!(ran.success());
                After { place: "keep/s".into(), ..after(Undo::Nothing) }
            }
            ReadOnlyMountOver => {
                assert!(mount(&format!("--bind {}", store.display()), &store));
                assert!(mount("-o remount,bind,ro", &store));
                after(Undo::Unmount(store))
            }
            ReadOnly => {
                // The kernel refuses it while a file is open for writing: so now and then it comes before the writer.
                let until = Instant::now() + Duration::from_millis(self.dice.below(30));
                while !mount("-o remount,ro", &disk) && Instant::now() < until {}
                after(Undo::Writable(disk))
            }
            DiskFailed => {
                let device = fs::read_to_string("/proc/self/mounts").unwrap();
                let device = device.lines().find(|line| line.contains(disk.to_str().unwrap())).unwrap();
                let device = device.split(' ').next().unwrap().trim_start_matches("/dev/").to_owned();
                fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "chatwal's test").unwrap();
                after(Undo::Repair(disk))
            }
            act => unreachable!("{act:?}"),
        }
    }

    /// Takes back what would keep anybody from looking.
    fn undo(&self, after: &After) {
        match &after.undo {
            Undo::Nothing => {}
            Undo::Remove(path) => drop(fs::remove_file(path)),
            Undo::Rename(from, to) => fs::rename(from, to).unwrap(),
            Undo::Unmount(path) => assert!(Command::new("umount").arg(path).status().unwrap().success()),
            Undo::Writable(path) => assert!(mount("-o remount,rw", path)),
            Undo::Repair(path) => {
                assert!(Command::new("umount").arg(path).status().unwrap().success());
                let image = self.path("image");
                let mended = Command::new("fsck.ext4").arg("-fy").arg(&image).output().unwrap();
                assert!(mended.status.code().is_some_and(|code| code < 4), "{mended:?}");
                assert!(mount(&format!("-o loop {}", image.display()), path));
            }
        }
    }
}

/// Tells what the writer said, if something is wrong with the round.
struct Tell<'a>(Act, &'a Ran);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}: the writer ended with {:?} and said:\n{}", self.0, self.1.code, self.1.err);
        }
    }
}

/// Runs rounds side by side and tells what they came to.
fn rounds(count: u64, make: impl Fn(u64, u64) -> Round + Sync) {
    let seed = setting("CHATWAL_SEED", 1);
    let (next, tallies) = (AtomicU64::new(0), Mutex::new(BTreeMap::<Act, Tally>::new()));
    let started = Instant::now();
    scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let round = make(number, seed);
                    let act = round.act;
                    let told = scopeguard(move || eprintln!("round {number} of seed {seed}: {act:?}"));
                    let tally = round.run();
                    drop(told);
                    let mut tallies = tallies.lock().unwrap();
                    let sum = tallies.entry(act).or_default();
                    sum.rounds += 1;
                    sum.acknowledged += tally.acknowledged;
                    sum.stopped += tally.stopped;
                }
            });
        }
    });
    let tallies = tallies.into_inner().unwrap();
    for (act, Tally { rounds, acknowledged, stopped }) in &tallies {
        println!("{act:?}: {rounds} rounds, {acknowledged} bytes acknowledged, {stopped} writers stopped");
    }
    let sum = tallies.values().fold(Tally::default(), |sum, tally| Tally {
        rounds: sum.rounds + tally.rounds,
        acknowledged: sum.acknowledged + tally.acknowledged,
        stopped: sum.stopped + tally.stopped,
    });
    println!("{sum:?} from seed {seed} in {:?}", started.elapsed());
}

/// Says which case it was, if it panics.
fn scopeguard(say: impl Fn()) -> impl Drop {
    struct Guard<F: Fn()>(F);
    impl<F: Fn()> Drop for Guard<F> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                (self.0)();
            }
        }
    }
    Guard(say)
}

/// Rounds in all; of five, four need no file system of their own.
fn moves() -> u64 {
    setting("CHATWAL_MOVES", 60)
}

#[test]
fn whatever_happens_to_the_directory_of_a_writer() {
    rounds(moves() - moves() / 5, |number, seed| {
        let round = Round::new(ACTS[number as usize % ACTS.len()], number, seed);
        round.prepare();
        round
    });
}

/// Set in the process that may mount.
const INSIDE: &str = "CHATWAL_MAY_MOUNT";

#[test]
fn whatever_happens_to_the_file_system_of_a_writer() {
    let name = "whatever_happens_to_the_file_system_of_a_writer";
    if std::env::var_os(INSIDE).is_some() {
        return rounds_with_mounts();
    }
    // Root's mounts may be of disks; anybody's are of memory.
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let flag = if root { "-m" } else { "-rm" };
    if !possible("unshare", &[flag, "sh", "-c", "mount -t tmpfs none /mnt"], "rounds on a file system of their own") {
        return;
    }
    let mut command = Command::new("unshare");
    command.arg(flag).arg(std::env::current_exe().unwrap()).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let output = command.output().unwrap();
    print!("{}", String::from_utf8_lossy(&output.stdout));
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
}

fn rounds_with_mounts() {
    let scratch = Sandbox::new();
    fs::create_dir(scratch.path("disk")).unwrap();
    let script = "truncate -s 8M image && mkfs.ext4 -q image && mount -o loop image disk && d=$(findmnt -n -o SOURCE disk) && \
                  test -w /sys/fs/ext4/${d#/dev/}/trigger_fs_error; e=$?; umount disk; exit $e";
    let disks = scratch.shell(script).code == Some(0);
    if !disks {
        eprintln!("SKIPPED, for want of a disk that can be made to fail: its file system becomes read-only");
    }
    let acts = [MountedOver, Unmounted, ReadOnlyMountOver, ReadOnly, DiskFailed];
    let acts = &acts[..if disks { 5 } else { 4 }];
    rounds(moves() / 5, |number, seed| {
        let mut round = Round::new(acts[number as usize % acts.len()], number, seed);
        round.place = "disk/s";
        let disk = round.path("disk");
        fs::create_dir(&disk).unwrap();
        if round.act == DiskFailed {
            let script = "truncate -s 8M image && mkfs.ext4 -q image && mount -o loop,errors=remount-ro image disk";
            round.sandbox.shell(script).expect(0);
        } else {
            assert!(mount("-t tmpfs none", &disk));
        }
        if round.act == Unmounted {
            fs::create_dir(round.path("keep")).unwrap();
            assert!(mount(&format!("--bind {}", disk.display()), &round.path("keep")));
        }
        round.prepare();
        round
    });
}

/// The modes of everything that is made, with this mask of the shell's.
fn modes(sandbox: &Sandbox, umask: &str, store: &str) -> BTreeMap<String, u32> {
    let script = format!(
        "umask {umask}; $chatwal ingest --store {store} --segment-size 4096 --no-compact a b c && $chatwal compact --store {store} && \
         $chatwal ingest --store {store} --no-compact d && $chatwal backup --store {store} {store}-copy"
    );
    sandbox.shell(&script).expect(0);
    let root = store.split('/').next().unwrap();
    let names = tree(&sandbox.path(root)).into_iter();
    names.map(|(name, (mode, ..))| (name.display().to_string(), mode & 0o7777)).collect()
}

#[test]
fn what_is_made_is_its_owners_alone_and_no_more_than_the_umask_lets() {
    let sandbox = Sandbox::new();
    for name in ["a", "b", "c", "d"] {
        sandbox.write(name, generated(&format!("-n 200 --seed {}", name.as_bytes()[0])));
    }
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    for (umask, file, directory) in [("000", 0o600, 0o700), ("022", 0o600, 0o700), ("277", 0o400, 0o500)] {
        if umask == "277" && !root {
            // Where nobody may write, only root goes on.
            continue;
        }
        let made = modes(&sandbox, umask, &format!("at-{umask}/deep/s"));
        assert!(made.len() >= 12 && made.keys().any(|name| name.ends_with("s-copy/BACKUP")), "{made:?}");
        for (name, mode) in made {
            let is_file =
                name.contains('.') || ["LOCK", "ACKNOWLEDGED", "BACKUP"].iter().any(|end| name.ends_with(end));
            let expected = if is_file { file } else { directory };
            assert_eq!(mode, expected, "umask {umask}: {name}: {mode:o}");
        }
    }
}

#[test]
fn the_report_of_run_is_that_of_the_directory_it_wrote_to() {
    // The store is moved while the last fsync is in flight, and the report is made; strace holds both up.
    if !possible("strace", &["-f", "-qq", "-o", "/dev/null", "true"], "a move in the middle of `run`") {
        return;
    }
    let sandbox = Sandbox::new();
    sandbox.write("in.jsonl", generated("-n 300"));
    sandbox.write("other", generated("-n 20 --seed 4"));
    sandbox.run("ingest --store spare other").expect(0);
    let left = tree(&sandbox.path("spare"));
    let slow = format!("-f -qq -o trace -e inject=fdatasync:delay_enter=400000 {CHATWAL} run --no-compact in.jsonl");
    let mut writer = Running::start(sandbox.program("strace", &slow));
    until("the store is there", || sandbox.has("in.jsonl.chatwal/0000000001.wal"));
    sleep(Duration::from_millis(300));
    fs::rename(sandbox.path("in.jsonl.chatwal"), sandbox.path("moved")).unwrap();
    fs::rename(sandbox.path("spare"), sandbox.path("in.jsonl.chatwal")).unwrap();
    assert!(!writer.has_ended());
    let ran = writer.wait().fails(1, &["in.jsonl.chatwal: the store was moved to", "/moved", "another directory"]);
    assert_eq!(ran.out, "", "what is not acknowledged is not reported");
    assert!(ran.err.contains("in.jsonl: acknowledged up to byte 0"), "{ran:?}");
    assert!(tree(&sandbox.path("in.jsonl.chatwal")) == left);
    let hint = ran.err.split('`').nth(1).unwrap().to_owned();
    sandbox.run(&format!("run {hint} in.jsonl")).expect(0);
}

/// Behind a hole, or behind bytes of somebody else, nothing that is written is of any use.
#[test]
fn a_segment_that_somebody_cuts_or_writes_to_stops_its_writer() {
    for longer in [false, true] {
        let sandbox = Sandbox::new();
        let mut writer = sandbox.start("ingest --store s -");
        writer.send(generated("-n 300"));
        until("it is read", || sandbox.has("s/0000000001.wal") && !sandbox.report().is_empty());
        let path = sandbox.path("s/0000000001.wal");
        let length = fs::metadata(&path).unwrap().len();
        let other = if longer { length + 10 } else { 1000 };
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(other).unwrap();
        writer.send(generated("-n 300 --seed 2"));
        let problem = format!("somebody else changed it while it was written: it has {other} bytes, and ");
        let ran = writer.end().fails(1, &["s/0000000001.wal: ", &problem]).says(&["chatwal repair"]);
        assert!(!ran.err.contains("durable up to"), "{ran:?}");
        assert_eq!(fs::metadata(&path).unwrap().len(), other, "nothing is written behind it");
    }
}
