//! P8, hostile bytes, on the real program: segments and snapshots with flipped bits, runs of other bytes, cuts, inserted
//! bytes, sectors of elsewhere, and lengths and counts forged with checksums that are right. Whatever is in a file: `dump`,
//! `verify` and `report` end by themselves, in less than a second and in less than 64 MiB.
//!
//! `CHATWAL_FILES` makes a run longer, and `CHATWAL_SEED` repeats one.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chatwal::format::block::{BLOCK_HEADER, BlockHeader};
use chatwal::format::coding::crc;
use chatwal::format::directory::ENTRY;
use chatwal::format::frame::{FRAME_HEADER, FrameHeader};
use chatwal::format::snapshot_header::SnapshotHeader;
use nix::sys::resource::{UsageWho, getrusage};
use support::cli::{Dice, Sandbox, generated};
use support::setting;

/// Mutated files in the gate.
const FILES: u64 = 1000;

/// What no run may take.
const MEMORY: i64 = 64 << 20;
const TIME: Duration = Duration::from_secs(1);

/// Where blocks of 512 bytes lie.
const SECTOR: usize = 512;

/// A number that somebody chose who means no good.
fn odd(dice: &mut Dice, was: u64) -> u64 {
    match dice.below(6) {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << dice.below(64),
        3 => was.wrapping_add(1 + dice.below(9)),
        4 => was.wrapping_sub(1 + dice.below(9)),
        _ => dice.below(1 << 28),
    }
}

/// Changes a number of up to 8 bytes, little-endian.
fn forge_number(dice: &mut Dice, bytes: &mut [u8]) {
    let mut whole = [0; 8];
    whole[..bytes.len()].copy_from_slice(bytes);
    let forged = odd(dice, u64::from_le_bytes(whole)).to_le_bytes();
    bytes.copy_from_slice(&forged[..bytes.len()]);
}

/// Changes some bytes, and then lets every checksum over them be right.
fn forge(dice: &mut Dice, bytes: &mut [u8], is_segment: bool) {
    if is_segment {
        let at = |bytes: &[u8], from: usize| (from..bytes.len()).find(|&at| FrameHeader::decode(&bytes[at..]).is_ok());
        let from = dice.below(bytes.len() as u64) as usize;
        let Some(start) = at(bytes, from).or_else(|| at(bytes, 0)) else { return };
        let Ok(mut header) = FrameHeader::decode(&bytes[start..]) else { return };
        let directory = start + FRAME_HEADER..(start + FRAME_HEADER + header.directory()).min(bytes.len());
        match dice.below(4) {
            0 => header.payload = odd(dice, header.payload.into()) as u32,
            1 => header.entries = odd(dice, header.entries.into()) as u16,
            2 if directory.len() >= ENTRY => {
                // The count or the length of a section; its neighbour may make up for that.
                let entry = directory.start + ENTRY * dice.below((directory.len() / ENTRY) as u64) as usize;
                let field = entry + [2, 6][dice.below(2) as usize];
                forge_number(dice, &mut bytes[field..field + 4]);
            }
            _ if directory.len() >= ENTRY => {
                let mut section = directory.end;
                let entries: Vec<usize> = directory.clone().step_by(ENTRY).collect();
                let chosen = dice.below(entries.len() as u64) as usize;
                for (number, entry) in entries.into_iter().enumerate() {
                    let length = u32::from_le_bytes(bytes[entry + 6..entry + 10].try_into().unwrap()) as usize;
                    let Some(content) = bytes.get_mut(section..section + length).filter(|it| !it.is_empty()) else {
                        break;
                    };
                    if number == chosen {
                        for _ in 0..1 + dice.below(3) {
                            // Its counts are in front.
                            let within = [16.min(length), length][dice.below(2) as usize];
                            content[dice.below(within as u64) as usize] = odd(dice, 128) as u8;
                        }
                        let sum = crc(content).to_le_bytes();
                        bytes[entry + 10..entry + 14].copy_from_slice(&sum);
                    }
                    section += length;
                }
            }
            _ => {}
        }
        header.directory_crc = crc(&bytes[directory]);
        bytes[start..start + FRAME_HEADER].copy_from_slice(&header.encode());
    } else if dice.below(4) == 0 {
        let Ok(mut header) = SnapshotHeader::decode(bytes) else { return };
        let end = &mut header.ends[dice.below(7) as usize];
        match dice.below(3) {
            0 => *end = odd(dice, *end),
            1 => header.events = odd(dice, header.events),
            _ => header.sites = odd(dice, header.sites),
        }
        bytes[..header.encode().len()].copy_from_slice(&header.encode());
    } else {
        let at = |bytes: &[u8], from: usize| (from..bytes.len()).find(|&at| BlockHeader::decode(&bytes[at..]).is_ok());
        // The tables at the end are what is read first.
        let from = [dice.below(bytes.len() as u64) as usize, bytes.len() * 3 / 4][dice.below(2) as usize];
        let Some(start) = at(bytes, from).or_else(|| at(bytes, 0)) else { return };
        let Ok(mut header) = BlockHeader::decode(&bytes[start..]) else { return };
        let payload = start + BLOCK_HEADER..(start + BLOCK_HEADER + header.length as usize).min(bytes.len());
        match dice.below(3) {
            0 => header.count = odd(dice, header.count.into()) as u32,
            1 => header.length = odd(dice, header.length.into()) as u32,
            _ => {
                let within = [16.min(payload.len()), payload.len()][dice.below(2) as usize];
                let place = payload.start + dice.below(within as u64) as usize;
                if payload.contains(&place) {
                    bytes[place] = odd(dice, 128) as u8;
                }
            }
        }
        header.payload_crc = crc(&bytes[payload]);
        bytes[start..start + BLOCK_HEADER].copy_from_slice(&header.encode());
    }
}

/// One of the ways in which a file goes wrong; says which.
fn mutate(dice: &mut Dice, bytes: &mut Vec<u8>, others: &[&Vec<u8>], is_segment: bool) -> &'static str {
    let length = bytes.len() as u64;
    let at = dice.below(length) as usize;
    match dice.below(9) {
        0 => {
            for _ in 0..1 + dice.below(8) {
                bytes[dice.below(length) as usize] ^= 1 << dice.below(8);
            }
            "flipped bits"
        }
        1 => {
            let end = (at + 1 + dice.below(2000) as usize).min(bytes.len());
            let byte = [0, 0xff, dice.below(256) as u8][dice.below(3) as usize];
            bytes[at..end].fill(byte);
            "a run of one byte"
        }
        2 => {
            let end = (at + 1 + dice.below(2000) as usize).min(bytes.len());
            let random = dice.bytes(end - at);
            bytes[at..end].copy_from_slice(&random);
            "a run of random bytes"
        }
        3 => {
            bytes.truncate(at);
            "cut"
        }
        4 => {
            let count = 1 + dice.below(600) as usize;
            let more = dice.bytes(count);
            bytes.splice(at..at, more);
            "inserted bytes"
        }
        5 => {
            let other = others[dice.below(others.len() as u64) as usize];
            let (to, from) = (at / SECTOR * SECTOR, dice.below(other.len() as u64) as usize / SECTOR * SECTOR);
            let count = SECTOR.min(bytes.len() - to).min(other.len() - from);
            bytes[to..to + count].copy_from_slice(&other[from..from + count]);
            "a sector of another place"
        }
        _ => {
            for _ in 0..1 + dice.below(3) {
                forge(dice, bytes, is_segment);
            }
            "forged"
        }
    }
}

/// The most that any process has taken that was started here and has ended, in bytes. It counts from before it became
/// another program, so what this one takes is the least.
fn peak() -> i64 {
    getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss() << 10
}

#[test]
#[allow(clippy::too_many_lines, reason = "one story")]
fn whatever_is_in_a_file_it_is_dumped_verified_and_reported_in_bounded_time_and_memory() {
    let (seed, files) = (setting("CHATWAL_SEED", 1), setting("CHATWAL_FILES", FILES));
    let sandbox = Sandbox::new();
    for part in 0..8 {
        let lines = if part < 2 { 900 } else { 200 };
        sandbox.write("in.jsonl", generated(&format!("-n {lines} --sites 60 --bad 0.02 --copies 0.1 --seed {part}")));
        sandbox.run("ingest --store s --no-compact --segment-size 24000 in.jsonl").expect(3);
        if part < 2 {
            sandbox.run("compact --store s").expect(0);
        }
    }
    let store: BTreeMap<String, Vec<u8>> =
        sandbox.segments("s").into_iter().map(|(name, (bytes, _))| (name, bytes)).collect();
    let (names, contents): (Vec<&String>, Vec<&Vec<u8>>) = store.iter().unzip();
    let snapshots = names.iter().filter(|name| name.ends_with(".snap")).count();
    assert!(snapshots >= 1 && names.len() - snapshots >= 2, "{names:?}");

    let started = Instant::now();
    let (next, refused, runs) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let longest = Mutex::new((Duration::ZERO, String::new()));
    let work = |directory: PathBuf| {
        fs::create_dir(&directory).unwrap();
        for (name, bytes) in &store {
            fs::write(directory.join(name), bytes).unwrap();
        }
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= files {
                return;
            }
            let mut dice = Dice(seed << 32 | number);
            let chosen = dice.below(names.len() as u64) as usize;
            let mut bytes = contents[chosen].clone();
            let how = mutate(&mut dice, &mut bytes, &contents, names[chosen].ends_with(".wal"));
            let path = directory.join(names[chosen]);
            fs::write(&path, &bytes).unwrap();
            let (file, place) = (path.display(), directory.display());
            for arguments in [
                format!("dump {file}"),
                format!("dump --events {file}"),
                format!("verify --store {place}"),
                format!("report --store {place}"),
            ] {
                let case = || format!("{arguments}: {how}; repeat with CHATWAL_SEED={seed}, file {number}");
                let began = Instant::now();
                let output = sandbox.chatwal(&arguments).output().unwrap();
                let took = began.elapsed();
                let said = String::from_utf8_lossy(&output.stderr);
                // 1 is a version that nobody knows; a signal or a panic is none of these.
                let code = output.status.code();
                assert!(matches!(code, Some(0 | 1 | 4)) && !said.contains("panicked"), "{}: {code:?} {said}", case());
                assert!(took < TIME, "{}: {took:?}", case());
                let peak = peak();
                assert!(peak < MEMORY, "{}, or the one beside it: {peak} bytes", case());
                refused.fetch_add(u64::from(code != Some(0)), Ordering::Relaxed);
                runs.fetch_add(1, Ordering::Relaxed);
                let mut longest = longest.lock().unwrap();
                if took > longest.0 {
                    *longest = (took, case());
                }
            }
            assert!(fs::read(&path).unwrap() == bytes, "{file}: changed by a reader");
            fs::write(&path, contents[chosen]).unwrap();
        }
    };
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let directory = sandbox.path(format!("worker-{worker}"));
            scope.spawn(|| work(directory));
        }
    });
    let (took, case) = longest.into_inner().unwrap();
    println!(
        "{files} files from seed {seed}: {} runs, {} refused, at most {} KiB and {took:?} ({case}), in {:?}",
        runs.into_inner(),
        refused.load(Ordering::Relaxed),
        peak() >> 10,
        started.elapsed()
    );
    assert!(refused.into_inner() > files, "hardly anything was damaged");
}
