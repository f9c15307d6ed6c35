//! A disk that loses power: [`SimDisk`], the other implementation of [`Storage`].
//!
//! It keeps what POSIX lets a program rely on, and nothing more. Files are inodes, apart from the names that lead to
//! them; each inode has two contents, the one that processes see (the page cache) and the one on the platter.
//!
//! * A write or truncation is pending until its file is synced. At a loss of power each pending write is kept, lost or torn
//!   by itself, sector by sector, whatever became of the others; and the length comes back as any that it had, or
//!   one between, with zeros where the bytes were lost. Writes may come in any order: what is written behind the end leaves a hole of
//!   zeros before it, for processes as well, until that is written.
//! * A creation, renaming or deletion is pending until the directory is synced, and each is kept or lost by itself. Only a
//!   renaming is atomic.
//! * After a failed sync the writes it was to cover count as clean: processes go on reading them, a later sync
//!   succeeds and does not write them, and whatever the disk did not get before the failure, it never gets unless it is
//!   written anew (Rebello et al., ATC'20).
//! * The death of a process ([`SimDisk::kill`]) loses nothing but the lock; only power ([`SimDisk::crash`]) does.
//! * The directory may be moved away under a process ([`SimDisk::displace`]): whatever it does then, it does there.
//!
//! Left out on purpose: sectors that are torn inside (the device writes 512 bytes or none), bytes that rot (tests do that
//! with [`SimDisk::edit`]), and names that a failed directory sync forgets (they stay pending).
//!
//! Whatever can go either way is asked of [`Choices`], which answers at random or walks through every answer.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chatwal::disk::{Access, File, Identity, LOCK, Stamp, Storage, Taken};
use chatwal::error::{Error, Result};
use chatwal::format::Uid;

/// What the device writes whole or not at all.
pub const SECTOR: usize = 512;

/// Answers to "which of `n`?".
#[derive(Clone, Debug)]
pub enum Choices {
    /// At random, from this state (splitmix64).
    Random(u64),
    /// In order: those taken so far in this walk, out of how many, and how many of them are used up.
    Every(Vec<(usize, usize)>, usize),
}

impl Choices {
    /// The first walk through a tree of choices; [`Choices::advance`] goes on to the next.
    pub fn every() -> Choices {
        Choices::Every(Vec::new(), 0)
    }

    /// A number below `n`.
    pub fn of(&mut self, n: usize) -> usize {
        match self {
            Choices::Random(state) => {
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
                ((mixed ^ mixed >> 31) % n.max(1) as u64) as usize
            }
            Choices::Every(taken, used) => {
                if *used == taken.len() {
                    taken.push((0, n));
                }
                *used += 1;
                taken[*used - 1].0
            }
        }
    }

    /// Whether the one in `n` comes up.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.of(n) == 0
    }

    /// Goes on to the next walk; false after the last.
    pub fn advance(&mut self) -> bool {
        let Choices::Every(taken, used) = self else { return true };
        *used = 0;
        while let Some((choice, n)) = taken.pop() {
            if choice + 1 < n {
                taken.push((choice + 1, n));
                return true;
            }
        }
        false
    }
}

/// The system's answer to an operation that is made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// EIO.
    Eio,
    /// ENOSPC; a write has taken part of its bytes before.
    Enospc,
    /// The process is gone: this and every later operation fails and does nothing, but a write may be done in part.
    Gone,
}

/// Which operations a fault counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Those that change the disk or sync it.
    Mutating,
    /// The others: list, open, length, read, and looks at what has a name.
    Reading,
}

struct Plan {
    count: Count,
    /// Operations that pass before the fault; `None` once it came.
    left: Option<u64>,
    fault: Fault,
    for_good: bool,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Truncate(usize),
}

#[derive(Clone, Default)]
struct Inode {
    /// What processes see.
    cache: Vec<u8>,
    /// What the disk has for sure.
    disk: Vec<u8>,
    /// What it may have on top, in any combination, until the next sync.
    pending: Vec<Change>,
}

#[derive(Clone)]
enum NameChange {
    Create(String, usize),
    Rename(String, String, usize),
    Remove(String),
}

#[derive(Clone, Default)]
struct Disk {
    inodes: Vec<Inode>,
    /// The directory as processes see it, and as the disk has it for sure.
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    pending_names: Vec<NameChange>,
    lock_file: bool,
}

/// What one life of the machine shares: the disk, and the process that uses it.
struct State {
    disk: Disk,
    choices: Choices,
    plan: Option<Plan>,
    /// The process is: whatever its handles are used for fails.
    gone: bool,
    locked: bool,
    /// The path leads here no longer, or won't after so many operations.
    displaced: bool,
    displaced_after: Option<u64>,
    /// Changes of names so far.
    renamings: i64,
    operations: Vec<String>,
    mutations: u64,
}

/// A directory on a simulated disk. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// An open file of a [`SimDisk`].
struct SimFile {
    state: Arc<Mutex<State>>,
    inode: usize,
    name: String,
}

impl SimDisk {
    /// An empty directory. The seed decides the random bytes and how much of a failing write is done.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk::boot(Disk::default(), seed)
    }

    fn boot(disk: Disk, seed: u64) -> SimDisk {
        let choices = Choices::Random(seed);
        let state = State {
            disk,
            choices,
            plan: None,
            gone: false,
            locked: false,
            displaced: false,
            displaced_after: None,
            renamings: 0,
            operations: Vec::new(),
            mutations: 0,
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    /// The disk as a trait object for the library.
    pub fn storage(&self) -> Arc<dyn Storage> {
        Arc::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// The power goes, and comes back: one of the disks that may be found then. The old disk is dead; more images may be
    /// taken of it.
    pub fn crash(&self, choices: &mut Choices) -> SimDisk {
        let mut state = self.state();
        state.gone = true;
        let seed = state.choices.of(usize::MAX) as u64;
        SimDisk::boot(state.disk.after_power_loss(choices), seed)
    }

    /// The process dies, the machine goes on: nothing is lost but the lock. The old disk is dead.
    pub fn kill(&self) -> SimDisk {
        let mut state = self.state();
        state.gone = true;
        let seed = state.choices.of(usize::MAX) as u64;
        SimDisk::boot(state.disk.clone(), seed)
    }

    /// A copy of everything, this disk lives on; the copy's process is another.
    pub fn fork(&self) -> SimDisk {
        let state = self.state();
        let Choices::Random(seed) = state.choices else { unreachable!("made by boot") };
        SimDisk::boot(state.disk.clone(), seed)
    }

    /// Lets the `n`-th operation from now (the first is 0) fail, and with `for_good` every later one that counts as well.
    pub fn fail_at(&self, count: Count, n: u64, fault: Fault, for_good: bool) {
        self.state().plan = Some(Plan { count, left: Some(n), fault, for_good });
    }

    /// The process is gone from the `n`-th change on: whatever it calls then fails.
    pub fn stop_at(&self, n: u64) {
        self.fail_at(Count::Mutating, n, Fault::Gone, true);
    }

    /// Somebody moves the directory away before the `n`-th operation from now, whatever that is. A disk that is booted from this
    /// one is found at the new place.
    pub fn displace_at(&self, n: u64) {
        self.state().displaced_after = Some(n);
    }

    /// Somebody moves the directory away.
    pub fn displace(&self) {
        self.state().displaced = true;
    }

    /// Whether somebody has moved it away.
    pub fn is_displaced(&self) -> bool {
        self.state().displaced
    }

    /// Nothing fails any more.
    pub fn heal(&self) {
        self.state().plan = None;
    }

    /// Whether the planned fault has not come yet.
    pub fn untouched(&self) -> bool {
        self.state().plan.as_ref().is_none_or(|plan| plan.left.is_some())
    }

    /// Everything that was called, in words.
    pub fn operations(&self) -> Vec<String> {
        self.state().operations.clone()
    }

    /// Calls so far that change the disk or sync it; the lock does not count.
    pub fn mutations(&self) -> u64 {
        self.state().mutations
    }

    /// Whether it has a segment: before, there is nothing to open.
    pub fn is_store(&self) -> bool {
        self.state().disk.names.keys().any(|name| name.ends_with(".wal"))
    }

    /// What processes see in a file.
    pub fn bytes(&self, name: &str) -> Vec<u8> {
        let state = self.state();
        state.disk.inodes[state.disk.names[name]].cache.clone()
    }

    /// Every file but the lock, as processes see it.
    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = &self.state().disk;
        disk.names.iter().map(|(name, &inode)| (name.clone(), disk.inodes[inode].cache.clone())).collect()
    }

    /// Damages a file behind everybody's back, durably; makes it if need be.
    pub fn edit(&self, name: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let mut guard = self.state();
        let state = &mut *guard;
        let disk = &mut state.disk;
        let mut bytes = disk.names.get(name).map(|&inode| disk.inodes[inode].cache.clone()).unwrap_or_default();
        edit(&mut bytes);
        disk.inodes.push(Inode { cache: bytes.clone(), disk: bytes, pending: Vec::new() });
        let inode = disk.inodes.len() - 1;
        disk.names.insert(name.into(), inode);
        disk.durable_names.insert(name.into(), inode);
        state.renamings += 1;
    }

    /// Cuts a file, or makes it longer, behind the back of whoever has it open.
    pub fn resize(&self, name: &str, length: usize) {
        let mut state = self.state();
        let inode = state.disk.names[name];
        state.disk.inodes[inode].cache.resize(length, 0);
    }

    /// Deletes a file behind everybody's back, durably.
    pub fn lose(&self, name: &str) {
        let mut state = self.state();
        state.disk.names.remove(name);
        state.disk.durable_names.remove(name);
        state.renamings += 1;
    }
}

/// Tells how to repeat what failed.
pub struct Tell<'a>(pub &'a str, pub u64, pub &'a SimDisk);

impl Drop for Tell<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{} {}; the calls before: {:#?}", self.0, self.1, self.2.operations());
        }
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Writes into bytes as into a file: what lies between the end and `at` becomes zeros.
fn put(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            Change::Write(at, bytes) => put(file, *at, bytes),
            Change::Truncate(length) => file.resize(*length, 0),
        }
    }

    /// Does what of the change reached the disk.
    fn apply_torn(&self, file: &mut Vec<u8>, choices: &mut Choices) {
        const LOST: usize = 0;
        const KEPT: usize = 1;
        let (at, bytes) = match self {
            // What is written can be torn only where it covers more than one sector.
            Change::Write(at, bytes) if at / SECTOR < (at + bytes.len()).saturating_sub(1) / SECTOR => (*at, bytes),
            whole => {
                return if choices.of(2) == KEPT {
                    whole.apply(file)
                };
            }
        };
        match choices.of(3) {
            LOST => {}
            KEPT => self.apply(file),
            _ => {
                let mut start = at;
                while start < at + bytes.len() {
                    let end = ((start / SECTOR + 1) * SECTOR).min(at + bytes.len());
                    if choices.of(2) == KEPT {
                        put(file, start, &bytes[start - at..end - at]);
                    }
                    start = end;
                }
            }
        }
    }
}

impl Inode {
    fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.disk);
        }
    }

    /// The pages count as clean; the disk has what it got until then.
    fn sync_in_vain(&mut self, choices: &mut Choices) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Change::Write(..) => change.apply_torn(&mut self.disk, choices),
                // A length is no page: it stays to be written.
                Change::Truncate(_) => self.pending.push(change),
            }
        }
        self.pending.push(Change::Truncate(self.cache.len()));
    }

    fn after_power_loss(&self, choices: &mut Choices) -> Inode {
        let mut found = self.disk.clone();
        let (mut shortest, mut longest) = (found.len(), found.len());
        let mut length = found.len();
        for change in &self.pending {
            change.apply_torn(&mut found, choices);
            length = match change {
                Change::Write(at, bytes) => length.max(at + bytes.len()),
                Change::Truncate(length) => *length,
            };
            shortest = shortest.min(length);
            longest = longest.max(length);
        }
        if shortest < longest {
            let length = match choices.of(4) {
                0 => found.len(),
                1 => longest,
                2 => shortest,
                _ if matches!(choices, Choices::Random(_)) => shortest + choices.of(longest - shortest + 1),
                _ => (shortest + longest) / 2,
            };
            found.resize(length, 0);
        }
        Inode { cache: found.clone(), disk: found, pending: Vec::new() }
    }
}

impl NameChange {
    fn apply(&self, names: &mut BTreeMap<String, usize>) {
        match self {
            NameChange::Create(name, inode) => {
                names.insert(name.clone(), *inode);
            }
            NameChange::Rename(from, to, inode) => {
                names.remove(from);
                names.insert(to.clone(), *inode);
            }
            NameChange::Remove(name) => {
                names.remove(name);
            }
        }
    }
}

impl Disk {
    fn after_power_loss(&self, choices: &mut Choices) -> Disk {
        let mut found = self.durable_names.clone();
        for change in &self.pending_names {
            if choices.of(2) == 1 {
                change.apply(&mut found);
            }
        }
        let mut disk = Disk::default();
        for (name, inode) in found {
            // Every inode has one name at most: nothing here makes links.
            disk.names.insert(name, disk.inodes.len());
            disk.inodes.push(self.inodes[inode].after_power_loss(choices));
        }
        disk.durable_names = disk.names.clone();
        disk
    }

    fn inode(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.pending_names.push(change);
    }

    fn identity(&self, inode: usize) -> Identity {
        let links = self.names.values().filter(|&&it| it == inode).count() as u64;
        Identity { device: 0, inode: inode as u64, links }
    }
}

impl State {
    fn name(&mut self, change: NameChange) {
        self.disk.name(change);
        self.renamings += 1;
    }

    /// Notes an operation; the error if it is one that has to fail.
    fn operation(&mut self, count: Count, what: String) -> io::Result<()> {
        if self.gone {
            return Err(io::Error::other("the process is gone"));
        }
        self.mutations += u64::from(count == Count::Mutating);
        self.displaced |= self.displaced_after == Some(0);
        self.displaced_after = self.displaced_after.and_then(|left| left.checked_sub(1));
        let fault = match &mut self.plan {
            Some(plan) if plan.count == count => match plan.left {
                Some(0) => {
                    plan.left = None;
                    Some(plan.fault)
                }
                Some(left) => {
                    plan.left = Some(left - 1);
                    None
                }
                None => Some(plan.fault).filter(|_| plan.for_good),
            },
            _ => None,
        };
        self.operations.push(match fault {
            None => what,
            Some(fault) => format!("{what}: {fault:?}"),
        });
        self.gone = fault == Some(Fault::Gone);
        match fault {
            None => Ok(()),
            Some(Fault::Eio) => Err(io::Error::from_raw_os_error(5)),
            Some(Fault::Enospc) => Err(io::Error::from_raw_os_error(28)),
            Some(Fault::Gone) => Err(io::Error::other("the process is gone")),
        }
    }
}

impl Storage for SimDisk {
    fn path(&self) -> &Path {
        Path::new("sim")
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.operation(Count::Reading, "list".into())?;
        let lock = state.disk.lock_file.then(|| LOCK.to_owned());
        Ok(state.disk.names.keys().cloned().chain(lock).collect())
    }

    fn open(&self, name: &str, _access: Access) -> io::Result<Box<dyn File>> {
        let mut state = self.state();
        state.operation(Count::Reading, format!("open {name}"))?;
        let inode = state.disk.inode(name)?;
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode, name: name.into() }))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let there = self.state().disk.inode(name).is_ok();
        if there {
            self.remove(name)?;
        }
        let mut state = self.state();
        state.operation(Count::Mutating, format!("create {name}"))?;
        state.disk.inodes.push(Inode::default());
        let inode = state.disk.inodes.len() - 1;
        state.name(NameChange::Create(name.into(), inode));
        Ok(Box::new(SimFile { state: Arc::clone(&self.state), inode, name: name.into() }))
    }

    fn open_or_create(&self, name: &str) -> io::Result<Box<dyn File>> {
        let there = self.state().disk.inode(name).is_ok();
        if there { self.open(name, Access::ReadWrite) } else { self.create(name) }
    }

    fn rename(&self, from: &str, to: &str, taken: Taken) -> io::Result<()> {
        let mut state = self.state();
        let verb = if taken == Taken::Replace { "rename over" } else { "rename" };
        state.operation(Count::Mutating, format!("{verb} {from} {to}"))?;
        let inode = state.disk.inode(from)?;
        if taken == Taken::Refuse && state.disk.inode(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.name(NameChange::Rename(from.into(), to.into(), inode));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operation(Count::Mutating, format!("remove {name}"))?;
        state.disk.inode(name)?;
        state.name(NameChange::Remove(name.into()));
        Ok(())
    }

    fn identity(&self, name: &str) -> io::Result<Identity> {
        let mut state = self.state();
        state.operation(Count::Reading, format!("identity of {name}"))?;
        Ok(state.disk.identity(state.disk.inode(name)?))
    }

    fn in_place(&self) -> Result<Option<Stamp>> {
        let mut state = self.state();
        state.operation(Count::Reading, "in_place".into()).map_err(Error::io("look at", "sim"))?;
        if state.displaced {
            let (path, problem) = ("sim".into(), "moved away".into());
            return Err(Error::Displaced { path, problem, hint: String::new() });
        }
        Ok(Some(Stamp([state.renamings, 0, 0, 0])))
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operation(Count::Mutating, "sync_directory".into())?;
        state.disk.durable_names = state.disk.names.clone();
        state.disk.pending_names.clear();
        Ok(())
    }

    fn lock(&self) -> Result<Box<dyn Send + Sync>> {
        let mut state = self.state();
        if state.gone {
            return Err(Error::io("lock", "sim")(io::Error::other("the process is gone")));
        }
        if std::mem::replace(&mut state.locked, true) {
            return Err(Error::Locked { store: "sim".into(), pid: None, hint: String::new() });
        }
        state.disk.lock_file = true;
        Ok(Box::new(Held(Arc::clone(&self.state))))
    }

    fn random(&self) -> io::Result<Uid> {
        let mut state = self.state();
        let mut uid = Uid::default();
        uid.fill_with(|| state.choices.of(256) as u8);
        Ok(uid)
    }
}

/// The writer's lock.
struct Held(Arc<Mutex<State>>);

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.0).locked = false;
    }
}

impl SimFile {
    fn begin(&self, count: Count, what: impl std::fmt::Display) -> (MutexGuard<'_, State>, io::Result<()>) {
        let mut state = lock(&self.state);
        let answer = state.operation(count, format!("{what} {}", self.name));
        (state, answer)
    }
}

impl File for SimFile {
    fn length(&self) -> io::Result<u64> {
        let (state, answer) = self.begin(Count::Reading, "length");
        answer.map(|()| state.disk.inodes[self.inode].cache.len() as u64)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let (state, answer) = self.begin(Count::Reading, "read");
        answer?;
        let bytes = state.disk.inodes[self.inode].cache.get(offset as usize..).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let gone = lock(&self.state).gone;
        let what = format_args!("write {offset}..{}", offset + bytes.len() as u64);
        let (mut state, answer) = self.begin(Count::Mutating, what);
        let taken = match &answer {
            Ok(()) => bytes.len(),
            Err(_) if gone => 0,
            Err(_) => state.choices.of(bytes.len()),
        };
        if taken > 0 {
            let inode = &mut state.disk.inodes[self.inode];
            put(&mut inode.cache, offset as usize, &bytes[..taken]);
            inode.pending.push(Change::Write(offset as usize, bytes[..taken].to_vec()));
        }
        answer
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let (mut state, answer) = self.begin(Count::Mutating, format_args!("truncate to {length}"));
        answer?;
        let inode = &mut state.disk.inodes[self.inode];
        inode.cache.resize(length as usize, 0);
        inode.pending.push(Change::Truncate(length as usize));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let (mut guard, answer) = self.begin(Count::Mutating, "sync");
        let state = &mut *guard;
        let inode = &mut state.disk.inodes[self.inode];
        match &answer {
            Ok(()) => inode.sync(),
            Err(_) if state.gone => {}
            Err(_) => inode.sync_in_vain(&mut state.choices),
        }
        answer
    }

    fn identity(&self) -> io::Result<Identity> {
        let (state, answer) = self.begin(Count::Reading, "identity of open");
        answer.map(|()| state.disk.identity(self.inode))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every disk that may be found after a loss of power.
    fn images(disk: &SimDisk) -> Vec<BTreeMap<String, Vec<u8>>> {
        let mut choices = Choices::every();
        let mut found = Vec::new();
        loop {
            found.push(disk.crash(&mut choices).files());
            if !choices.advance() {
                found.sort();
                found.dedup();
                return found;
            }
        }
    }

    fn file(disk: &SimDisk, bytes: &[u8]) -> Box<dyn File> {
        let file = disk.create("a").unwrap();
        file.write_at(bytes, 0).unwrap();
        file
    }

    #[test]
    fn what_is_synced_stays_and_what_is_not_may_go() {
        let disk = SimDisk::new(1);
        let a = file(&disk, b"old");
        a.sync().unwrap();
        assert_eq!(images(&disk.fork()).len(), 2, "a name that was never synced");
        disk.sync_directory().unwrap();
        a.write_at(b"new", 0).unwrap();
        let disk = disk.fork();
        let found: Vec<_> = images(&disk).into_iter().map(|files| files["a"].clone()).collect();
        assert_eq!(found, [b"new", b"old"]);
        assert!(a.sync().is_ok(), "a fork leaves the original alone");
        assert!(disk.open("a", Access::Read).is_err(), "handles to a dead disk fail");
    }

    #[test]
    fn sectors_are_kept_and_lost_apart_and_lengths_too() {
        let disk = SimDisk::new(1);
        let a = file(&disk, b"");
        disk.sync_directory().unwrap();
        a.write_at(&[7; 2 * SECTOR], 0).unwrap();
        let found: Vec<_> = images(&disk).into_iter().map(|files| files["a"].clone()).collect();
        let zeros = |n| vec![0u8; n];
        for image in [zeros(0), zeros(2 * SECTOR), [zeros(SECTOR), vec![7; SECTOR]].concat(), vec![7; SECTOR]] {
            assert!(found.contains(&image));
        }
    }

    #[test]
    fn names_are_durable_with_the_directory_only_and_a_renaming_is_atomic() {
        let disk = SimDisk::new(1);
        file(&disk, b"x").sync().unwrap();
        disk.sync_directory().unwrap();
        disk.rename("a", "b", Taken::Refuse).unwrap();
        let found: Vec<_> =
            images(&disk.fork()).into_iter().map(|files| files.into_keys().collect::<String>()).collect();
        assert_eq!(found, ["a", "b"]);
        disk.sync_directory().unwrap();
        disk.remove("b").unwrap();
        assert_eq!(images(&disk).len(), 2);
    }

    #[test]
    fn a_failed_sync_is_not_made_good_by_the_next() {
        let disk = SimDisk::new(1);
        let a = file(&disk, b"");
        disk.sync_directory().unwrap();
        a.write_at(&[7; 20 * SECTOR], 0).unwrap();
        disk.fail_at(Count::Mutating, 0, Fault::Eio, false);
        assert!(a.sync().is_err());
        assert_eq!(disk.bytes("a"), [7; 20 * SECTOR], "the cache still has it");
        a.sync().unwrap();
        let disk = disk.kill();
        let a = disk.open("a", Access::ReadWrite).unwrap();
        a.sync().unwrap();
        let found = images(&disk.fork());
        assert_eq!((found.len(), found[0]["a"].len()), (1, 20 * SECTOR), "the length is synced");
        assert_ne!(found[0]["a"], [7; 20 * SECTOR]);
        a.write_at(&[7; 20 * SECTOR], 0).unwrap();
        a.sync().unwrap();
        assert_eq!(images(&disk)[0]["a"], [7; 20 * SECTOR]);
    }

    #[test]
    fn faults_come_once_or_for_good_and_a_process_that_is_gone_does_nothing() {
        let disk = SimDisk::new(1);
        disk.fail_at(Count::Mutating, 1, Fault::Enospc, false);
        let a = disk.create("a").unwrap();
        assert_eq!(a.write_at(b"x", 0).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(a.write_at(b"x", 0).is_ok());
        disk.fail_at(Count::Mutating, 0, Fault::Eio, true);
        assert!(a.sync().is_err() && a.sync().is_err() && disk.list().is_ok());
        disk.stop_at(0);
        assert!(disk.remove("a").is_err() && disk.list().is_err() && a.length().is_err());
        let held = disk.kill();
        assert!(held.lock().is_ok(), "the lock died with its process");
        assert_eq!(held.bytes("a"), b"x");
    }
}
