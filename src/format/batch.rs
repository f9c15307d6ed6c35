//! The sections of a batch: where its input stands, the lines it rejects, and its events shard by shard.

use super::coding::{self, Decoded, Reader, put_packed, put_varint, site_hash, unzigzag, width_of, zigzag};
use super::frame::{Entry, MAX_PAYLOAD, SectionKind};
pub use super::rejects::{Reject, Rejects, RejectsEncoder, decode_rejects};
use super::{Digest, MAX_MARKS, MAX_OFFSET, MAX_SOURCE_NAME, SHARDS, Uid, WINDOW};
use crate::event::order::{Keyed, shared_length, sort_texts};
use crate::event::table::{Numbered, Row, Table};
use crate::event::{Id, Kind, MAX_NAME, Site, is_name, uuid_bytes, uuid_of};

/// What identifies an input at a place: its first bytes and those before the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Windows {
    /// Bytes of the head: the place or 4,096, whichever is less.
    pub head_length: u16,
    /// Digest of the head.
    pub head: Digest,
    /// Bytes before the place: the place or 4,096, whichever is less.
    pub tail_length: u16,
    /// Digest of the bytes before the place.
    pub tail: Digest,
}

/// How far an input was read when a batch was made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The instance of the input.
    pub instance: Uid,
    /// Offset, in the decompressed input, of the batch's first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// Line ends before `start`.
    pub start_line: u64,
    /// Line ends before `end`.
    pub end_line: u64,
    /// What the input looks like at `end`.
    pub windows: Windows,
    /// What the input was called: the bytes of a path, or `-`.
    pub name: Vec<u8>,
    /// Bytes behind `end` that were left for the next run, when the input had ended there.
    pub left: u64,
    /// Places before `end` at which the input can be checked, in ascending order: fewer the further they are behind.
    pub marks: Vec<Mark>,
}

/// What an input looks like before a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The place.
    pub end: u64,
    /// Digest of the 4,096 bytes before it, or of all there are.
    pub tail: Digest,
}

impl Checkpoint {
    /// The section's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let name = &self.name[..self.name.len().min(MAX_SOURCE_NAME)];
        let mut out = Vec::with_capacity(86 + name.len());
        out.extend_from_slice(&self.instance);
        for number in [self.start, self.end, self.start_line, self.end_line] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.windows.head_length.to_le_bytes());
        out.extend_from_slice(&self.windows.tail_length.to_le_bytes());
        out.extend_from_slice(&self.windows.head);
        out.extend_from_slice(&self.windows.tail);
        out.extend_from_slice(&(name.len() as u16).to_le_bytes());
        out.extend_from_slice(name);
        if self.left > 0 || !self.marks.is_empty() {
            put_varint(&mut out, self.left);
            put_varint(&mut out, self.marks.len() as u64);
            for Mark { end, tail } in &self.marks {
                put_varint(&mut out, *end);
                out.extend_from_slice(tail);
            }
        }
        out
    }

    /// The checkpoint in a section.
    pub fn decode(bytes: &[u8]) -> Decoded<Checkpoint> {
        let what = "the fields of a checkpoint";
        let mut reader = Reader::new(bytes);
        let instance = reader.array(what)?;
        let (start, end) = (reader.u64(what)?, reader.u64(what)?);
        let (start_line, end_line) = (reader.u64(what)?, reader.u64(what)?);
        let (head_length, tail_length) = (reader.u16(what)?, reader.u16(what)?);
        let windows = Windows { head_length, tail_length, head: reader.array(what)?, tail: reader.array(what)? };
        let length = usize::from(reader.u16(what)?);
        if length > MAX_SOURCE_NAME {
            return reader.malformed("a name of at most 4,096 bytes");
        }
        let name = reader.bytes(length, what)?.to_vec();
        let (left, marks) = if reader.left() > 0 { left_and_marks(&mut reader, end)? } else { (0, Vec::new()) };
        reader.end("the end of the checkpoint")?;
        if end >= MAX_OFFSET || end_line >= MAX_OFFSET {
            return reader.malformed("an offset and a line below 2^56");
        }
        if start > end || start_line > end_line {
            return reader.malformed("a batch that ends behind its start");
        }
        let window = end.min(WINDOW as u64);
        if u64::from(head_length) != window || u64::from(tail_length) != window {
            return reader.malformed("windows of 4,096 bytes, or all there are");
        }
        Ok(Checkpoint { instance, start, end, start_line, end_line, windows, name, left, marks })
    }

    /// The marks of a checkpoint that follows this one and ends at `end`: those of this one, and this one itself, as far as they
    /// are at growing distances from there.
    pub fn marks_before(&self, end: u64) -> Vec<Mark> {
        let itself = Mark { end: self.end, tail: self.windows.tail };
        let mut older = std::iter::once(itself).chain(self.marks.iter().rev().copied()).peekable();
        let (mut marks, mut newer) = (Vec::new(), end);
        while let Some(mark) = older.next() {
            // Without it, what is left would still be no further apart than it is from the end.
            let is_spare = older.peek().is_some_and(|next| newer - next.end <= MARK_GAP.max(end - newer));
            let is_near = end - mark.end < MARK_GAP && older.peek().is_none();
            if mark.end > 0 && !is_spare && !is_near && marks.len() < MAX_MARKS {
                newer = mark.end;
                marks.push(mark);
            }
        }
        marks.reverse();
        marks
    }
}

/// The least distance of a mark from what comes behind it: nearer, it would say little.
const MARK_GAP: u64 = 4 * WINDOW as u64;

/// What may stand behind the name of a checkpoint: the bytes that were left, and the marks.
fn left_and_marks(reader: &mut Reader<'_>, end: u64) -> Decoded<(u64, Vec<Mark>)> {
    let what = "what was left, and marks of the input";
    let (left, count) = (reader.varint(what)?, reader.count(MAX_MARKS, "at most 64 marks")?);
    let mut marks = Vec::with_capacity(count);
    let mut least = 1;
    for _ in 0..count {
        let mark = Mark { end: reader.varint(what)?, tail: reader.array(what)? };
        if !(least..end).contains(&mark.end) {
            return reader.malformed("marks that ascend and lie before the end");
        }
        least = mark.end + 1;
        marks.push(mark);
    }
    match left < MAX_OFFSET {
        true => Ok((left, marks)),
        false => reader.malformed("a length below 2^56"),
    }
}

/// What stands beside a name in the dictionary of actors: the kind of its events, and whether copies of them disagree, which
/// only a snapshot knows.
const ACTOR_CODES: u64 = 6;

fn actor_code(kind: Kind, disputed: bool) -> u8 {
    kind.code() + if disputed { Kind::ALL.len() as u8 } else { 0 }
}

/// Bits of a code beside the rank of a name.
const CODE_BITS: u32 = 3;

/// What a section says of a name.
#[derive(Clone, Copy, Default)]
struct Mentions {
    /// The number of the section.
    section: u32,
    /// The place of its first actor in the dictionary.
    first: u32,
    /// The codes of its actors, a bit for each.
    codes: u8,
}

impl Mentions {
    /// The place of one of its actors in the dictionary.
    fn place(self, code: u32) -> u32 {
        self.first + (self.codes & ((1 << code) - 1)).count_ones()
    }
}

/// Writes the sections of events: groups the rows of a table by shard and packs each shard's.
#[derive(Default)]
pub struct EventsEncoder {
    /// Rows by shard, then by site, then in order of arrival.
    order: Vec<u64>,
    /// By the number of a `from`: its place in the order of all of them.
    ranks: Vec<u32>,
    /// The names in order.
    sorted: Vec<Keyed>,
    /// By rank: its mentions in the section that has it last.
    mentions: Vec<Mentions>,
    /// The number of the section, from 1, since the names were ranked.
    number: u32,
    /// The ranks of the names of a section.
    mentioned: Vec<u32>,
    /// By row: the rank of its name, and its code in the lowest bits.
    by_row: Vec<u32>,
    /// The numbers of the sites.
    numbers: Vec<u64>,
    /// Bytes of the dictionary of the last section.
    dictionary: usize,
}

impl EventsEncoder {
    /// Appends a section a shard that has rows, and its entry.
    pub fn encode(&mut self, table: &Table, entries: &mut Vec<Entry>, out: &mut Vec<u8>) {
        let mut ends = [0u32; SHARDS];
        for row in &table.rows {
            ends[usize::from(row.shard)] += 1;
        }
        let mut total = 0;
        for end in &mut ends {
            (*end, total) = (total, total + *end);
        }
        self.order.clear();
        self.order.resize(table.rows.len(), 0);
        for (index, row) in (0u32..).zip(&table.rows) {
            let end = &mut ends[usize::from(row.shard)];
            self.order[*end as usize] = table.place(row, index);
            *end += 1;
        }
        self.begin(table);
        let mut order = std::mem::take(&mut self.order);
        // Side by side, since each column is a pass over them.
        let mut rows = Vec::new();
        let mut start = 0;
        for (shard, end) in (0u8..=255).zip(ends) {
            let places = &mut order[start as usize..end as usize];
            start = end;
            if places.is_empty() {
                continue;
            }
            rows.clear();
            rows.extend(table.sort_by_site(places));
            let from = out.len();
            self.section(table, &rows, out);
            entries.push(Entry::new(SectionKind::Events, shard, rows.len() as u32, &out[from..]));
        }
        self.order = order;
    }

    /// Begins with a table: orders all its names once, so that each section's dictionary is ordered by numbers.
    pub fn begin(&mut self, table: &Table) {
        let count = table.names() as u32;
        self.sorted.clear();
        self.sorted.extend((0..count).map(Keyed::new));
        sort_texts(&mut self.sorted, |from| table.name_of(from));
        self.ranks.clear();
        self.ranks.resize(count as usize, 0);
        for (rank, name) in (0u32..).zip(&self.sorted) {
            self.ranks[name.number as usize] = rank;
        }
        self.mentions.clear();
        self.mentions.resize(count as usize, Mentions::default());
        self.number = 0;
    }

    /// Bytes of names of visitors and operators in the last section.
    pub fn bytes_of_names(&self) -> usize {
        self.dictionary
    }

    /// Appends a section of some rows of the table that [`EventsEncoder::begin`] was given, ordered by site as
    /// [`Table::compare_sites`] does.
    pub fn section(&mut self, table: &Table, rows: &[Row], out: &mut Vec<u8>) {
        let EventsEncoder { ranks, sorted, mentions, number: this, mentioned, by_row, numbers, .. } = self;
        *this += 1;
        // The dictionary: each pair of a name and a code, so that an event needs no bits for its kind.
        mentioned.clear();
        by_row.clear();
        let (mut earliest, mut latest, mut texts) = (i64::MAX, i64::MIN, 0usize);
        by_row.extend(rows.iter().map(|row| {
            let code = actor_code(row.kind, row.disputed);
            let rank = ranks[row.from as usize];
            let mention = &mut mentions[rank as usize];
            if mention.section != *this {
                *mention = Mentions { section: *this, ..Mentions::default() };
                mentioned.push(rank);
            }
            mention.codes |= 1 << code;
            earliest = earliest.min(row.timestamp);
            latest = latest.max(row.timestamp);
            texts += usize::from(row.has_text_id());
            rank << CODE_BITS | u32::from(code)
        }));
        if mentioned.len() > sorted.len() / 8 {
            mentioned.clear();
            mentioned.extend((0u32..).zip(&*mentions).filter(|(_, m)| m.section == *this).map(|(rank, _)| rank));
        } else {
            mentioned.sort_unstable();
        }
        let mut actors = 0;
        for rank in &*mentioned {
            let mention = &mut mentions[*rank as usize];
            mention.first = actors;
            actors += mention.codes.count_ones();
        }

        numbers.clear();
        let mut names: Vec<&[u8]> = Vec::new();
        for row in rows.chunk_by(|a, b| a.site == b.site).filter_map(|site| site.first()) {
            match table.site_of(row) {
                Site::Number(number) => numbers.push(number),
                Site::Text(name) => names.push(name),
            }
        }
        let gaps = || numbers.windows(2).map(|pair| pair[1] - pair[0]);
        let gap_width = width_of(gaps().max().unwrap_or(0));
        let range = latest.wrapping_sub(earliest).cast_unsigned();
        let time_width = width_of(range);
        let actor_width = width_of(u64::from(actors) - 1);

        for count in [numbers.len(), names.len(), actors as usize, texts] {
            put_varint(out, count as u64);
        }
        put_varint(out, zigzag(earliest));
        out.extend_from_slice(&[gap_width, time_width, actor_width]);
        if let Some(first) = numbers.first() {
            put_varint(out, *first);
            put_packed(out, gap_width, gaps());
        }
        let mut before: &[u8] = &[];
        for name in names {
            put_front_coded(out, before, name, 1, 0);
            before = name;
        }
        before = &[];
        let dictionary = out.len();
        for rank in &*mentioned {
            let name = table.name_of(sorted[*rank as usize].number);
            let codes = mentions[*rank as usize].codes;
            for code in (0..ACTOR_CODES).filter(|code| codes >> code & 1 > 0) {
                put_front_coded(out, before, name, ACTOR_CODES, code);
                before = name;
            }
        }
        self.dictionary = out.len() - dictionary;
        let changes = rows.windows(2).map(|pair| u64::from(pair[0].site != pair[1].site));
        put_packed(out, 1, std::iter::once(1).chain(changes));
        if texts > 0 {
            put_packed(out, 1, rows.iter().map(|row| u64::from(row.has_text_id())));
        }
        let since = |row: &Row| row.timestamp.wrapping_sub(earliest).cast_unsigned();
        put_packed(out, time_width, rows.iter().map(since));
        let place = |actor: u32| mentions[(actor >> CODE_BITS) as usize].place(actor & ((1 << CODE_BITS) - 1));
        put_packed(out, actor_width, by_row.iter().map(|actor| u64::from(place(*actor))));
        let start = out.len();
        out.resize(start + 16 * (rows.len() - texts), 0);
        let (places, _) = out[start..].as_chunks_mut();
        for (place, row) in places.iter_mut().zip(rows.iter().filter(|row| !row.has_text_id())) {
            if let Id::Uuid(uuid) = table.id_of(row) {
                *place = uuid_bytes(uuid);
            }
        }
        for row in rows.iter().filter(|row| row.has_text_id()) {
            if let Id::Text(text) = table.id_of(row) {
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text);
            }
        }
    }
}

/// A text by how many bytes it shares with the one before it, how many follow (with `code`, one of `codes`, mixed in),
/// and those.
pub(super) fn put_front_coded(out: &mut Vec<u8>, before: &[u8], text: &[u8], codes: u64, code: u64) {
    let shared = shared_length(before, text);
    let rest = &text[shared..];
    put_varint(out, shared as u64);
    put_varint(out, rest.len() as u64 * codes + code);
    out.extend_from_slice(rest);
}

/// Reads the next front-coded text into `text`, which holds the one before it; gives its code.
pub(super) fn front_coded(reader: &mut Reader<'_>, text: &mut Vec<u8>, codes: u64) -> Decoded<u64> {
    let what = "a front-coded name";
    let shared = reader.count(text.len(), what)?;
    let length = reader.varint(what)?;
    let rest = reader.bytes(usize::try_from(length / codes).unwrap_or(usize::MAX), what)?;
    text.truncate(shared);
    text.extend_from_slice(rest);
    if !is_name(text) {
        return reader.malformed("a name of 1 to 1,024 bytes without control characters");
    }
    Ok(length % codes)
}

/// Decodes sections of events into a table; keeps its buffers.
#[derive(Default)]
pub struct EventsDecoder {
    gaps: Vec<u64>,
    sites: Vec<u64>,
    actors: Vec<(u32, Kind, bool)>,
    text: Vec<u8>,
    /// By event: its site.
    by_event: Vec<u64>,
    times: Vec<u64>,
    places: Vec<u64>,
}

impl EventsDecoder {
    /// Appends the `count` events of a section to `table`: all, or those of the sites that `wanted` answers for.
    pub fn decode(
        &mut self,
        bytes: &[u8],
        count: u32,
        shard: u8,
        table: &mut Table,
        wanted: impl Fn(Site<'_>) -> bool,
    ) -> Decoded<()> {
        let mut reader = Reader::new(bytes);
        // A bit an event is the least there is, so this bounds every allocation by the bytes at hand.
        let events = count as usize;
        if events == 0 || events > bytes.len().saturating_mul(8) {
            return reader.malformed("at least one event, and a bit for each");
        }
        let numbers = reader.count(events, "the number of numbered sites")?;
        let names = reader.count(events - numbers, "the number of named sites")?;
        let actors = reader.count(events, "the number of actors")?;
        let texts = reader.count(events, "the number of textual ids")?;
        let earliest = unzigzag(reader.varint("the earliest timestamp")?);
        let [gap_width, time_width, actor_width] = reader.array("the widths")?;
        if numbers + names == 0 {
            return reader.malformed("at least one site");
        }
        // Before anything is taken by their number: an id has at least two bytes.
        if 16 * (events - texts) + 2 * texts > bytes.len() {
            return reader.malformed("as many ids as events");
        }
        if gap_width.max(time_width).max(actor_width) > 64 {
            return reader.malformed("widths of at most 64 bits");
        }

        const UNWANTED: u64 = u64::MAX;
        self.sites.clear();
        if numbers > 0 {
            let mut number = reader.varint("the first site")?;
            let gaps = reader.packed(numbers - 1, gap_width, "the gaps between sites")?;
            self.gaps.clear();
            self.gaps.push(0);
            gaps.unpack(&mut self.gaps);
            for gap in &self.gaps {
                number = match number.checked_add(*gap) {
                    Some(number) if number < 10u64.pow(18) => number,
                    _ => return reader.malformed("a site below 10^18"),
                };
                let site = Site::Number(number);
                if coding::shard(site_hash(site)) != shard {
                    return reader.malformed("sites of this shard");
                }
                self.sites.push(if wanted(site) { table.site(site) } else { UNWANTED });
            }
        }
        self.text.clear();
        // What shares its beginning with its neighbour takes a few bytes, and many when it is written out.
        let mut room = MAX_PAYLOAD;
        for _ in 0..names {
            front_coded(&mut reader, &mut self.text, 1)?;
            room = reader.within(room, self.text.len())?;
            match Site::new(&self.text) {
                Site::Number(_) => return reader.malformed("a number among the numbers"),
                site if coding::shard(site_hash(site)) != shard => return reader.malformed("sites of this shard"),
                site => self.sites.push(if wanted(site) { table.site(site) } else { UNWANTED }),
            }
        }
        self.actors.clear();
        self.text.clear();
        for _ in 0..actors {
            let code = front_coded(&mut reader, &mut self.text, ACTOR_CODES)?;
            room = reader.within(room, self.text.len())?;
            let (kind, disputed) = (code % Kind::ALL.len() as u64, code >= Kind::ALL.len() as u64);
            match Kind::from_code(kind as u8) {
                Some(kind) => self.actors.push((table.from_in_order(&self.text), kind, disputed)),
                None => return reader.malformed("a kind"),
            }
        }
        let new_site = reader.packed(events, 1, "a bit an event for its site")?;
        let textual = match texts {
            0 => None,
            _ => Some(reader.packed(events, 1, "a bit an event for its id")?),
        };
        let times = reader.packed(events, time_width, "the timestamps")?;
        let places = reader.packed(events, actor_width, "the actors of the events")?;
        let uuids = reader.bytes(16 * events.saturating_sub(texts), "the UUIDs")?;

        // Most sections hold nothing of what is asked for where that is one site, or one of many passes.
        if self.sites.iter().all(|site| *site == UNWANTED) {
            return Ok(());
        }
        // Column by column: each loop is short, and only of textual ids it has to ask anything.
        self.by_event.clear();
        new_site.unpack(&mut self.by_event);
        let mut begun = 0;
        for site in &mut self.by_event {
            begun += *site as usize;
            *site = match begun.checked_sub(1).and_then(|site| self.sites.get(site)) {
                Some(site) => *site,
                None => return reader.malformed("a site for each bit that asks for one, the first among them"),
            };
        }
        if begun != self.sites.len() {
            return reader.malformed("an event for each site");
        }
        self.times.clear();
        times.unpack(&mut self.times);
        self.places.clear();
        places.unpack(&mut self.places);
        if self.places.iter().max().is_some_and(|place| *place >= self.actors.len() as u64) {
            return reader.malformed("an actor of the dictionary");
        }
        let actors = &self.actors;
        let wanted = self.by_event.iter().zip(&self.places).zip(&self.times);
        let mut wanted = wanted.map(|((site, place), time)| {
            let (from, kind, disputed) = actors[*place as usize];
            let timestamp = earliest.wrapping_add_unsigned(*time);
            Numbered { site: *site, timestamp, from, kind, disputed }
        });
        let Some(textual) = textual else {
            let (uuids, _) = uuids.as_chunks::<16>();
            if self.sites.contains(&UNWANTED) {
                table.push_rows(shard, wanted.zip(uuids).filter(|(event, _)| event.site != UNWANTED));
            } else {
                table.push_rows(shard, wanted.zip(uuids));
            }
            return reader.end("the end of the events");
        };
        let mut uuids = Reader::new(uuids);
        for bit in textual.iter() {
            let id = match bit {
                1 => {
                    let length = reader.count(MAX_NAME, "an id of at most 1,024 bytes")?;
                    let text = reader.bytes(length, "an id")?;
                    match Id::new(text) {
                        Id::Text(_) if is_name(text) => Id::Text(text),
                        _ => return reader.malformed("an id that is a name and no UUID"),
                    }
                }
                _ => Id::Uuid(uuid_of(uuids.array("as many UUIDs as the bits say")?)),
            };
            match wanted.next() {
                Some(event) if event.site != UNWANTED => table.push_row(event, id, shard),
                _ => {}
            }
        }
        if uuids.left() > 0 {
            return reader.malformed("an event for each UUID");
        }
        reader.end("the end of the events")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::coding::{shard, site_hash};
    use super::*;
    use crate::event::Event;
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9]{1,20}", "visitor[0-9]{1,3}", "[a-c]{1,4}", "\\PC{1,9}"]
    }

    fn id() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[a-z0-9-]{1,40}"]
    }

    type Parts = (String, String, String, i64, u8);

    fn events() -> impl Strategy<Value = Vec<Parts>> {
        let timestamp = prop_oneof![0..1000i64, any::<i64>()];
        prop::collection::vec((name(), id(), name(), timestamp, 0..3u8), 1..80)
    }

    fn fill(parts: &[Parts]) -> Table {
        let mut table = Table::default();
        for (site, id, from, timestamp, kind) in parts {
            let site = Site::new(site.as_bytes());
            let kind = Kind::from_code(*kind).unwrap();
            let event = Event { site, id: Id::new(id.as_bytes()), from: from.as_bytes(), timestamp: *timestamp, kind };
            table.push(&event, shard(site_hash(site)));
        }
        table
    }

    fn sections(table: &Table) -> (Vec<Entry>, Vec<u8>) {
        let (mut entries, mut bytes) = (Vec::new(), Vec::new());
        EventsEncoder::default().encode(table, &mut entries, &mut bytes);
        (entries, bytes)
    }

    fn key(table: &Table) -> Vec<String> {
        let mut events: Vec<String> = table.rows.iter().map(|row| format!("{:?}", table.event(row))).collect();
        events.sort();
        events
    }

    proptest! {
        #[test]
        fn events_come_back(parts in events()) {
            prop_assume!(parts.iter().all(|part| is_name(part.0.as_bytes()) && is_name(part.2.as_bytes())));
            let table = fill(&parts);
            let (entries, bytes) = sections(&table);
            let mut back = Table::default();
            let mut decoder = EventsDecoder::default();
            let mut at = 0;
            for entry in &entries {
                let section = &bytes[at..at + entry.length as usize];
                at += section.len();
                decoder.decode(section, entry.count, entry.shard, &mut back, |_| true).unwrap();
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(key(&back), key(&table));
        }

        #[test]
        fn damaged_sections_are_refused_or_decoded_but_never_panic(
            parts in events(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index,
        ) {
            let table = fill(&parts);
            let (entries, mut bytes) = sections(&table);
            bytes.truncate(entries[0].length as usize);
            for (index, byte) in flips {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let mut back = Table::default();
            let _ = EventsDecoder::default().decode(&bytes, entries[0].count, 0, &mut back, |_| true);
            bytes.truncate(cut.index(bytes.len()));
            let _ = EventsDecoder::default().decode(&bytes, entries[0].count, 0, &mut back, |_| true);
            let _ = decode_rejects(&bytes, entries[0].count, &checkpoint());
            let _ = Checkpoint::decode(&bytes);
        }
    }

    pub(in crate::format) fn checkpoint() -> Checkpoint {
        Checkpoint {
            instance: [1; 16],
            start: 100,
            end: 5100,
            start_line: 3,
            end_line: 50,
            windows: Windows { head_length: 4096, head: [2; 16], tail_length: 4096, tail: [3; 16] },
            name: b"chat.json".to_vec(),
            left: 0,
            marks: Vec::new(),
        }
    }

    #[test]
    fn checkpoints_come_back() {
        let bytes = checkpoint().encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(checkpoint()));
        for length in 0..bytes.len() {
            assert!(Checkpoint::decode(&bytes[..length]).is_err());
        }
        let name_end = bytes.len();
        let marks = vec![Mark { end: 17, tail: [7; 16] }, Mark { end: 3000, tail: [8; 16] }];
        let more = Checkpoint { left: 300, marks: marks.clone(), ..checkpoint() };
        let bytes = more.encode();
        assert_eq!(Checkpoint::decode(&bytes), Ok(more));
        for length in (0..bytes.len()).filter(|length| *length != name_end) {
            assert!(Checkpoint::decode(&bytes[..length]).is_err(), "{length}");
        }
        for wrong in [vec![marks[1], marks[0]], vec![Mark { end: 5100, ..marks[0] }], vec![Mark { end: 0, ..marks[0] }]]
        {
            assert!(Checkpoint::decode(&Checkpoint { marks: wrong, ..checkpoint() }.encode()).is_err());
        }
        let too_far = Checkpoint { left: MAX_OFFSET, ..checkpoint() };
        assert!(Checkpoint::decode(&too_far.encode()).is_err());
        let backwards = Checkpoint { start: 9000, ..checkpoint() };
        assert!(Checkpoint::decode(&backwards.encode()).is_err());
    }

    /// However long an input gets, it has few marks, and one at about every distance.
    #[test]
    fn marks_are_at_growing_distances() {
        let mut checkpoint = Checkpoint { start: 0, end: 0, ..checkpoint() };
        for step in 0..20_000u64 {
            let end = checkpoint.end + 1 + step * 7919 % 200_000;
            let marks = checkpoint.marks_before(end);
            assert!(marks.len() <= 2 * end.max(MARK_GAP).ilog2() as usize - 20, "{} at {end}", marks.len());
            let ends: Vec<u64> = marks.iter().map(|mark| mark.end).chain([end]).collect();
            for pair in ends.windows(2) {
                let (gap, distance) = (pair[1] - pair[0], end - pair[1]);
                assert!(gap <= distance.max(200_000), "a hole of {gap} at a distance of {distance}: {ends:?}");
            }
            checkpoint = Checkpoint { end, marks, ..checkpoint };
        }
        assert!(checkpoint.marks.len() > 8 && checkpoint.marks[0].end < checkpoint.end / 2);
    }

    #[test]
    fn only_wanted_sites_are_decoded() {
        let parts: Vec<Parts> = (0..50).map(|n| ((n % 7).to_string(), format!("e{n}"), "v".into(), n, 2)).collect();
        let table = fill(&parts);
        let (entries, bytes) = sections(&table);
        let mut back = Table::default();
        let mut at = 0;
        for entry in entries {
            let section = &bytes[at..at + entry.length as usize];
            at += section.len();
            let wanted = |site: Site<'_>| site == Site::Number(3);
            EventsDecoder::default().decode(section, entry.count, entry.shard, &mut back, wanted).unwrap();
        }
        assert_eq!(back.rows.len(), 7);
    }
}
