//! The index of a snapshot: its sites in the order of the report, each with its finished summary and the place of its events; and
//! the fences, by which the block of a site is found.

use super::coding::{Decoded, Reader, front_coded, put_front_coded, put_varint, unzigzag, zigzag};
use crate::event::summary::Summary;

/// What the index says of a site.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SiteEntry {
    /// Its finished summary.
    pub summary: Summary,
    /// Its events, each once.
    pub events: u64,
    /// Events whose copies disagree.
    pub disputed: u64,
    /// Its earliest timestamp.
    pub earliest: i64,
    /// Its latest timestamp.
    pub latest: i64,
    /// Offset of the first block with events of it.
    pub at: u64,
    /// Bytes from there to the end of the last such block; all blocks between are of its shard.
    pub length: u64,
}

/// Appends an entry of the index; `before` is the name of the entry before it in its block, or empty.
pub fn put_site(out: &mut Vec<u8>, before: &[u8], name: &[u8], entry: &SiteEntry) {
    put_front_coded(out, before, name, 1, 0);
    let Summary { messages, emails, operators, visitors } = entry.summary;
    for number in [messages, emails, operators, visitors, entry.events, entry.disputed] {
        put_varint(out, number);
    }
    put_varint(out, zigzag(entry.earliest));
    put_varint(out, entry.latest.wrapping_sub(entry.earliest).cast_unsigned());
    put_varint(out, entry.at);
    put_varint(out, entry.length);
}

/// Visits the entries of a block of the index, in order.
pub fn each_site(bytes: &[u8], count: u32, mut visit: impl FnMut(&[u8], SiteEntry)) -> Decoded<()> {
    let what = "the fields of a site";
    let mut reader = Reader::new(bytes);
    let (mut name, mut before) = (Vec::new(), Vec::new());
    for _ in 0..count {
        front_coded(&mut reader, &mut name, 1)?;
        if name <= before {
            return reader.malformed("a site behind the one before it");
        }
        let (messages, emails) = (reader.tally(what)?, reader.tally(what)?);
        let (operators, visitors) = (reader.tally(what)?, reader.tally(what)?);
        let summary = Summary { messages, emails, operators, visitors };
        let (events, disputed) = (reader.tally(what)?, reader.tally(what)?);
        let earliest = unzigzag(reader.varint(what)?);
        let Some(latest) = earliest.checked_add_unsigned(reader.varint(what)?) else {
            return reader.malformed("a latest timestamp that is one");
        };
        let (at, length) = (reader.varint(what)?, reader.varint(what)?);
        visit(&name, SiteEntry { summary, events, disputed, earliest, latest, at, length });
        before.clone_from(&name);
    }
    reader.end("the end of the sites")
}

/// The first site of a block of the index, and where the block is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The name of the site.
    pub site: Box<[u8]>,
    /// Offset of the block.
    pub at: u64,
}

/// The fences' bytes.
pub fn encode_fences(fences: &[Fence]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before: &[u8] = &[];
    for fence in fences {
        put_front_coded(&mut out, before, &fence.site, 1, 0);
        put_varint(&mut out, fence.at);
        before = &fence.site;
    }
    out
}

/// The fences of a block, appended to `fences`.
pub fn decode_fences(bytes: &[u8], count: u32, fences: &mut Vec<Fence>) -> Decoded<()> {
    let mut reader = Reader::new(bytes);
    let mut name = Vec::new();
    for _ in 0..count {
        front_coded(&mut reader, &mut name, 1)?;
        let at = reader.varint("the offset of a block of the index")?;
        if fences.last().is_some_and(|last| *last.site >= *name || last.at >= at) {
            return reader.malformed("a fence behind the one before it");
        }
        fences.push(Fence { site: name.as_slice().into(), at });
    }
    reader.end("the end of the fences")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites_come_back_and_every_cut_is_seen() {
        let entry = |at| SiteEntry {
            summary: Summary { messages: at, emails: 1, operators: 2, visitors: 3 },
            events: 5,
            disputed: 1,
            earliest: i64::MIN,
            latest: i64::MAX,
            at,
            length: u64::MAX,
        };
        let mut out = Vec::new();
        put_site(&mut out, b"", b"1", &entry(1));
        put_site(&mut out, b"1", b"10", &entry(2));
        let mut seen = Vec::new();
        each_site(&out, 2, |name, entry| seen.push((name.to_vec(), entry))).unwrap();
        assert_eq!(seen, [(b"1".to_vec(), entry(1)), (b"10".to_vec(), entry(2))]);
        for end in 0..out.len() {
            assert!(each_site(&out[..end], 2, |_, _| ()).is_err(), "{end}");
        }
        let mut twice = Vec::new();
        put_site(&mut twice, b"", b"1", &entry(1));
        put_site(&mut twice, b"1", b"1", &entry(1));
        assert!(each_site(&twice, 2, |_, _| ()).is_err());
    }

    #[test]
    fn fences_come_back() {
        let fences = [Fence { site: b"1"[..].into(), at: 5 }, Fence { site: b"12"[..].into(), at: 9 }];
        let bytes = encode_fences(&fences);
        let mut back = Vec::new();
        decode_fences(&bytes, 2, &mut back).unwrap();
        assert_eq!(back, fences);
        assert!(decode_fences(&bytes, 2, &mut back).is_err(), "they no longer ascend");
    }
}
