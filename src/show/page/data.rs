//! The figures that the page's script draws, column by column.
//!
//! Numbers are LEB128, signed ones in zigzag. In this order: the version of this order and the clock; messages by hour; messages by hour of
//! the week; sites by share of missed chats; the sites; the sites with details. `page.js` reads them.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::sites::Sites;
use crate::event::summary::Summary;
use crate::format::coding::{put_varint, zigzag};
use crate::query::activity::{Activity, Detail};

const VERSION: u64 = 1;

/// Most sites' counts take no more bytes than this.
const COUNTS_BYTES: usize = 8;

/// The highest level takes five times as long, to save a twentieth.
pub(super) fn deflated(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes)?;
    encoder.finish()
}

pub(super) fn encoded(activity: &Activity, sites: &Sites) -> Vec<u8> {
    let mut out = Vec::new();
    let Activity { clock, hours, week, details } = activity;
    put_varint(&mut out, VERSION);
    put_varint(&mut out, zigzag(clock.offset.into()));
    put_varint(&mut out, zigzag(hours.first()));
    put_varint(&mut out, hours.width());
    put_varint(&mut out, hours.counts().len() as u64);
    put_counts(&mut out, hours.counts());
    put_counts(&mut out, &week.0);
    sites.shares.iter().for_each(|number| put_varint(&mut out, *number));
    put_varint(&mut out, sites.silent);
    put_sites(&mut out, sites);
    put_details(&mut out, details, sites);
    out
}

/// All chats, then all emails.
fn put_counts(out: &mut Vec<u8>, counts: &[[u64; 2]]) {
    counts.iter().for_each(|[chats, _]| put_varint(out, *chats));
    counts.iter().for_each(|[_, emails]| put_varint(out, *emails));
}

fn put_sites(out: &mut Vec<u8>, sites: &Sites) {
    put_varint(out, sites.listed.len() as u64);
    // No name has a line end in it. There may be many long ones: they are copied once.
    let texts: usize = sites.listed.iter().map(|(name, _)| name.len()).sum();
    let length = texts + sites.listed.len().saturating_sub(1);
    put_varint(out, length as u64);
    out.reserve_exact(length + sites.listed.len() * COUNTS_BYTES);
    for (number, (name, _)) in sites.listed.iter().enumerate() {
        out.extend(if number > 0 { Some(b'\n') } else { None });
        out.extend_from_slice(name);
    }
    let columns: [fn(&Summary) -> u64; 4] =
        [|site| site.messages, |site| site.emails, |site| site.operators, |site| site.visitors];
    for column in columns {
        sites.listed.iter().for_each(|(_, summary)| put_varint(out, column(summary)));
    }
}

/// Details of the sites that are listed; both are in the order of names.
fn put_details(out: &mut Vec<u8>, details: &[Detail], sites: &Sites) {
    let place = |detail: &Detail| {
        let mut buffer = [0; 20];
        let name = detail.name.text(&mut buffer);
        sites.listed.binary_search_by(|(listed, _)| (**listed).cmp(name)).ok()
    };
    let placed: Vec<(usize, &Detail)> = details.iter().filter_map(|detail| Some((place(detail)?, detail))).collect();
    put_varint(out, placed.len() as u64);
    let mut before = 0;
    for (place, detail) in placed {
        put_varint(out, (place - before) as u64);
        before = place;
        put_counts(out, &detail.week.0);
        put_varint(out, detail.stretches);
        put_varint(out, detail.latest.len() as u64);
        let mut end = 0i64;
        for stretch in &detail.latest {
            put_varint(out, zigzag(stretch.from.saturating_sub(end)));
            put_varint(out, stretch.until.map_or(0, |until| until.saturating_sub(stretch.from).cast_unsigned() + 1));
            end = stretch.until.unwrap_or(stretch.from);
        }
    }
}
