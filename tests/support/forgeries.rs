//! Damage to the files of a store, and forgery: changes after which the checksums are right again.

#![allow(dead_code, reason = "included by several tests, each of which uses a part of it")]

use std::collections::BTreeMap;

use chatwal::format::acknowledged::Acknowledged;
use chatwal::format::block::{BLOCK_HEADER, BlockHeader};
use chatwal::format::coding::crc;
use chatwal::format::directory::ENTRY;
use chatwal::format::frame::{FRAME_HEADER, FRAME_MAGIC, FrameHeader, SEGMENT_HEADER};
use chatwal::format::snapshot_header::{SNAPSHOT_HEADER, SnapshotHeader};
use chatwal::store::{ACKNOWLEDGED_NAME, segment_name, snapshot_name};

use super::forge::reforged;
use super::sim::Choices;

/// The files of a store.
pub type Files = BTreeMap<String, Vec<u8>>;

/// What can be done to the files of a store.
pub const KINDS: [&str; 20] = [
    "nothing",
    "a bit",
    "a few bytes",
    "zeros",
    "cut",
    "bytes inserted",
    "bytes taken out",
    "bytes repeated",
    "a file gone",
    "a file of another name",
    "a file of another store",
    "bytes behind the end",
    "forged section",
    "forged directory",
    "forged frame header",
    "forged segment header",
    "forged frames",
    "forged block",
    "forged snapshot header",
    "forged record",
];

/// Does one of [`KINDS`] to some of the files; false where there is nothing to do it to.
pub fn spoil(files: &mut Files, other: &Files, kind: &str, choices: &mut Choices) -> bool {
    let names: Vec<String> = files.keys().cloned().collect();
    if names.is_empty() {
        return false;
    }
    let name = names[choices.of(names.len())].clone();
    match kind {
        "nothing" => true,
        "a file gone" => files.remove(&name).is_some() && !files.is_empty(),
        "a file of another name" => rename(files, &name, choices),
        "a file of another store" => {
            let names: Vec<&String> = other.keys().collect();
            let bytes = other[names[choices.of(names.len())]].clone();
            files.insert(name, bytes);
            true
        }
        "forged record" => forge_record(files, choices),
        forged if forged.starts_with("forged") => forge(files, forged, choices),
        _ => damage(files.get_mut(&name).unwrap(), kind, choices),
    }
}

fn damage(bytes: &mut Vec<u8>, kind: &str, choices: &mut Choices) -> bool {
    if bytes.is_empty() {
        return false;
    }
    let at = choices.of(bytes.len());
    let most = [2, 16, 80, 512][choices.of(4)];
    let length = 1 + choices.of(most);
    let end = (at + length).min(bytes.len());
    match kind {
        "a bit" => bytes[at] ^= 1 << choices.of(8),
        "a few bytes" => bytes[at..end].iter_mut().for_each(|byte| *byte = choices.of(256) as u8),
        "zeros" => bytes[at..end].fill(0),
        "cut" => bytes.truncate(at),
        "bytes inserted" => drop(bytes.splice(at..at, vec![7; length])),
        "bytes taken out" => drop(bytes.drain(at..end)),
        "bytes repeated" => {
            let again = bytes[at..end].to_vec();
            let to = choices.of(bytes.len());
            drop(bytes.splice(to..to, again));
        }
        "bytes behind the end" => bytes.extend(vec![choices.of(256) as u8; length]),
        _ => return false,
    }
    true
}

fn rename(files: &mut Files, name: &str, choices: &mut Choices) -> bool {
    let number = 1 + choices.of(4) as u64;
    let to = match choices.of(4) {
        0 => segment_name(number),
        1 => snapshot_name(&(number..=number + choices.of(3) as u64)),
        2 => format!("{name}.tmp"),
        _ => format!("{number}.wal"),
    };
    match files.remove(name) {
        Some(bytes) => files.insert(to, bytes).is_none() || choices.one_in(2),
        None => false,
    }
}

fn forge_record(files: &mut Files, choices: &mut Choices) -> bool {
    let Some(record) = files.get(ACKNOWLEDGED_NAME).and_then(|bytes| Acknowledged::decode(bytes)) else { return false };
    let mut forged = record;
    match choices.of(5) {
        0 => forged.sequence = choices.of(40) as u64,
        1 => forged.header_crc ^= 1,
        2 => forged.store[0] ^= 1,
        3 => forged.end = choices.of(5000) as u64,
        _ => forged.sequence += 1,
    }
    let mut bytes = forged.encode().to_vec();
    if choices.one_in(6) {
        bytes.push(0);
    }
    files.insert(ACKNOWLEDGED_NAME.into(), bytes);
    true
}

fn forge(files: &mut Files, kind: &str, choices: &mut Choices) -> bool {
    let of_snapshot = kind.contains("block") || kind.contains("snapshot");
    let ending = if of_snapshot { ".snap" } else { ".wal" };
    let names: Vec<String> = files.keys().filter(|name| name.ends_with(ending)).cloned().collect();
    if names.is_empty() {
        return false;
    }
    let name = &names[choices.of(names.len())];
    let bytes = files[name].clone();
    let forged = match kind {
        "forged block" => forge_block(&bytes, choices),
        "forged snapshot header" => forge_snapshot_header(&bytes, choices),
        "forged segment header" => forge_segment_header(&bytes, choices),
        _ => forge_frame(&bytes, kind, choices),
    };
    let Some(forged) = forged else { return false };
    files.insert(name.clone(), forged);
    if kind != "forged segment header" && !of_snapshot && !choices.one_in(4) {
        chain(files, name);
    }
    true
}

/// Changes some of the bytes: to anything, to a neighbour, to the ends of their range.
fn mutate(bytes: &mut Vec<u8>, choices: &mut Choices) {
    for _ in 0..1 + choices.of(2) {
        if bytes.is_empty() {
            return bytes.push(choices.of(256) as u8);
        }
        let at = choices.of(bytes.len());
        match choices.of(7) {
            0 => bytes[at] = choices.of(256) as u8,
            1 => bytes[at] = bytes[at].wrapping_add(1),
            2 => bytes[at] = bytes[at].wrapping_sub(1),
            3 => bytes[at] = [0, 0x7f, 0x80, 0xff, 65][choices.of(5)],
            4 => bytes.insert(at, choices.of(256) as u8),
            5 => drop(bytes.remove(at)),
            _ => bytes[at] ^= 1 << choices.of(8),
        }
    }
}

/// A frame taken apart.
#[derive(Clone)]
struct Parts {
    header: FrameHeader,
    /// Kind, shard, count of each section, and its bytes.
    sections: Vec<(u8, u8, u32, Vec<u8>)>,
}

/// The frames at the start of a segment that are whole.
fn take_apart(bytes: &[u8]) -> Vec<Parts> {
    let (mut frames, mut at) = (Vec::new(), SEGMENT_HEADER);
    while let Some(Ok(header)) = bytes.get(at..).map(FrameHeader::decode) {
        let end = at + header.length() as usize;
        let directory = at + FRAME_HEADER..at + FRAME_HEADER + header.directory();
        if end > bytes.len() || directory.end > end {
            break;
        }
        let (mut sections, mut from) = (Vec::new(), directory.end);
        for entry in bytes[directory].chunks(ENTRY) {
            let number = |at: usize| u32::from_le_bytes(entry[at..at + 4].try_into().unwrap());
            let to = from + number(6) as usize;
            if to > end {
                return frames;
            }
            sections.push((entry[0], entry[1], number(2), bytes[from..to].to_vec()));
            from = to;
        }
        frames.push(Parts { header, sections });
        at = end;
    }
    frames
}

/// The bytes of a frame at `offset`: lengths and checksums made right.
fn put_together(parts: &Parts, offset: u64) -> Vec<u8> {
    let (mut directory, mut payload) = (Vec::new(), Vec::new());
    for (kind, shard, count, bytes) in &parts.sections {
        directory.extend_from_slice(&[*kind, *shard]);
        for number in [*count, bytes.len() as u32, crc(bytes)] {
            directory.extend_from_slice(&number.to_le_bytes());
        }
        payload.extend_from_slice(bytes);
    }
    let header = FrameHeader {
        entries: parts.sections.len() as u16,
        offset,
        payload: (directory.len() + payload.len()) as u32,
        directory_crc: crc(&directory),
        ..parts.header
    };
    [&header.encode()[..], &directory, &payload].concat()
}

/// A byte of a header, and the checksum made right.
fn forge_header(bytes: &mut [u8], fields: std::ops::Range<usize>, choices: &mut Choices) {
    let at = fields.start + choices.of(fields.len());
    bytes[at] = match choices.of(4) {
        0 => choices.of(256) as u8,
        1 => bytes[at].wrapping_add(1),
        2 => bytes[at].wrapping_sub(1),
        _ => bytes[at] ^ 1 << choices.of(8),
    };
    let sum_at = bytes.len() - 4;
    let sum = crc(&bytes[..sum_at]).to_le_bytes();
    bytes[sum_at..].copy_from_slice(&sum);
}

fn forge_frame(bytes: &[u8], kind: &str, choices: &mut Choices) -> Option<Vec<u8>> {
    let mut frames = take_apart(bytes);
    let which = choices.of(frames.len().max(1));
    let behind = SEGMENT_HEADER + frames.iter().map(|frame| frame.header.length() as usize).sum::<usize>();
    match kind {
        "forged frames" if frames.len() > 1 => {
            let frame = frames[which].clone();
            match choices.of(3) {
                0 => drop(frames.remove(which)),
                1 => frames.insert(which, frame),
                _ => frames.rotate_left(1),
            }
        }
        "forged section" => {
            let frame = frames.get_mut(which).filter(|frame| !frame.sections.is_empty())?;
            let section = choices.of(frame.sections.len());
            mutate(&mut frame.sections[section].3, choices);
        }
        "forged directory" => {
            let frame = frames.get_mut(which).filter(|frame| !frame.sections.is_empty())?;
            let at = choices.of(frame.sections.len());
            let section = &mut frame.sections[at];
            match choices.of(6) {
                0 => section.0 = choices.of(9) as u8,
                1 => section.1 = choices.of(256) as u8,
                2 => section.2 = section.2.wrapping_add(1),
                3 => section.2 = [0, 1, u32::MAX][choices.of(3)],
                4 => drop(frame.sections.remove(at)),
                _ => {
                    let again = section.clone();
                    frame.sections.insert(at, again);
                }
            }
        }
        "forged frame header" => {
            let header = &mut frames.get_mut(which)?.header;
            match choices.of(5) {
                0 => header.durable_upto = choices.of(30) as u64,
                1 => header.sequence = choices.of(30) as u64,
                2 => header.kind = kind_of(choices.of(8) as u8),
                3 => header.previous ^= 1,
                _ => header.durable_upto = header.sequence,
            }
        }
        _ => return None,
    }
    let mut out = bytes[..SEGMENT_HEADER].to_vec();
    for frame in &frames {
        let frame = put_together(frame, out.len() as u64);
        out.extend_from_slice(&frame);
    }
    out.extend_from_slice(bytes.get(behind..).unwrap_or_default());
    Some(out)
}

fn kind_of(code: u8) -> chatwal::format::frame::FrameKind {
    use chatwal::format::frame::FrameKind::{Batch, Forget, Hole, Mark, Seal, Unknown};
    match code {
        1 => Batch,
        2 => Mark,
        3 => Seal,
        4 => Forget,
        5 => Hole,
        other => Unknown(other),
    }
}

fn forge_segment_header(bytes: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    let mut header = bytes.get(..SEGMENT_HEADER)?.to_vec();
    forge_header(&mut header, 8..60, choices);
    Some([&header, &bytes[SEGMENT_HEADER..]].concat())
}

fn forge_snapshot_header(bytes: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    let mut header = bytes.get(..SNAPSHOT_HEADER)?.to_vec();
    forge_header(&mut header, 8..188, choices);
    Some([&header, &bytes[SNAPSHOT_HEADER..]].concat())
}

fn forge_block(bytes: &[u8], choices: &mut Choices) -> Option<Vec<u8>> {
    // A snapshot that was damaged before cannot be taken apart.
    SnapshotHeader::decode(bytes).ok()?;
    let mut at = SNAPSHOT_HEADER;
    while at < bytes.len() {
        let header = BlockHeader::decode(&bytes[at..]).ok()?;
        at += BLOCK_HEADER + header.length as usize;
    }
    if at != bytes.len() {
        return None;
    }
    Some(reforged(bytes, |blocks| {
        let which = choices.of(blocks.len());
        let (header, payload) = &mut blocks[which];
        match choices.of(6) {
            0 => header.count = header.count.wrapping_add(1),
            1 => header.shard = choices.of(256) as u8,
            2 => drop(blocks.remove(which)),
            3 => {
                let again = blocks[which].clone();
                blocks.insert(which, again);
            }
            _ => mutate(payload, choices),
        }
    }))
}

/// Makes each frame from this file on follow the one before it again, in this and in all later segments.
fn chain(files: &mut Files, from: &str) {
    let mut previous = None;
    for (_, bytes) in files.iter_mut().filter(|(name, _)| name.ends_with(".wal") && name.as_str() >= from) {
        let mut at = SEGMENT_HEADER;
        while bytes.get(at..).is_some_and(|rest| rest.starts_with(&FRAME_MAGIC)) {
            let Ok(mut header) = FrameHeader::decode(&bytes[at..]) else { break };
            if let Some(previous) = previous {
                header.previous = previous;
            }
            let encoded = header.encode();
            bytes[at..at + FRAME_HEADER].copy_from_slice(&encoded);
            previous = Some(crc(&encoded[..FRAME_HEADER - 4]));
            at += header.length() as usize;
        }
    }
}
