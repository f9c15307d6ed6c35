//! Writes sections of events.

use super::{ACTOR_CODES, actor_code};
use crate::event::order::{Keyed, sort_texts};
use crate::event::table::{Row, Table};
use crate::event::{Id, Site, uuid_bytes};
use crate::format::SHARDS;
use crate::format::coding::{put_front_coded, put_packed, put_varint, width_of, zigzag};
use crate::format::directory::{Entry, SectionKind};

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

/// What the header of a section says of its rows as a whole.
struct Overview {
    earliest: i64,
    latest: i64,
    /// Rows whose ids are not UUIDs.
    texts: usize,
}

/// Writes the sections of events: groups the rows of a table by shard and packs the rows of each shard.
#[derive(Default)]
pub struct EventsEncoder {
    /// Rows by shard, then by site, then in order of arrival.
    order: Vec<u64>,
    /// By the number of a `from`: its place in the order of all of them.
    ranks: Vec<u32>,
    /// The names in order.
    sorted: Vec<Keyed>,
    /// By rank: its mentions in the last section that has it.
    mentions: Vec<Mentions>,
    /// The number of the section, from 1, since the names were ranked.
    number: u32,
    /// The ranks of the names of a section, in order.
    mentioned: Vec<u32>,
    /// By row: the rank of its name, and its code in the lowest bits.
    by_row: Vec<u32>,
    /// The numbered sites of a section.
    numbers: Vec<u64>,
    /// Bytes of the dictionary of the last section.
    dictionary: usize,
}

impl EventsEncoder {
    /// Appends a section for each shard that has rows, and its entry.
    pub fn encode(&mut self, table: &Table, entries: &mut Vec<Entry>, out: &mut Vec<u8>) {
        let ends = self.group(table);
        self.begin(table);
        let mut order = std::mem::take(&mut self.order);
        // The rows side by side, since each column is a pass over them.
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

    /// Groups the rows by shard; gives where each shard ends among them.
    fn group(&mut self, table: &Table) -> [u32; SHARDS] {
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
        ends
    }

    /// Begins with a table: orders all its names once, so that the dictionary of each section is ordered by numbers.
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
        let overview = self.look_at(rows);
        let actors = self.place_actors();
        let names = self.part_sites(table, rows);
        let Overview { earliest, latest, texts } = overview;

        let numbers = &self.numbers;
        let gaps = || numbers.windows(2).map(|pair| pair[1] - pair[0]);
        let gap_width = width_of(gaps().max().unwrap_or(0));
        let time_width = width_of(latest.wrapping_sub(earliest).cast_unsigned());
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
        self.put_dictionary(table, out);

        let changes = rows.windows(2).map(|pair| u64::from(pair[0].site != pair[1].site));
        put_packed(out, 1, std::iter::once(1).chain(changes));
        if texts > 0 {
            put_packed(out, 1, rows.iter().map(|row| u64::from(row.has_text_id())));
        }
        let since = |row: &Row| row.timestamp.wrapping_sub(earliest).cast_unsigned();
        put_packed(out, time_width, rows.iter().map(since));
        let mentions = &self.mentions;
        let place = |actor: u32| mentions[(actor >> CODE_BITS) as usize].place(actor & ((1 << CODE_BITS) - 1));
        put_packed(out, actor_width, self.by_row.iter().map(|actor| u64::from(place(*actor))));
        put_ids(table, rows, texts, out);
    }

    /// The first pass over the rows of the next section: which names it mentions, and with which codes.
    fn look_at(&mut self, rows: &[Row]) -> Overview {
        let EventsEncoder { ranks, mentions, number, mentioned, by_row, .. } = self;
        *number += 1;
        let this = *number;
        mentioned.clear();
        by_row.clear();
        let (mut earliest, mut latest, mut texts) = (i64::MAX, i64::MIN, 0usize);
        by_row.extend(rows.iter().map(|row| {
            let code = actor_code(row.kind, row.disputed);
            let rank = ranks[row.from as usize];
            let mention = &mut mentions[rank as usize];
            if mention.section != this {
                *mention = Mentions { section: this, ..Mentions::default() };
                mentioned.push(rank);
            }
            mention.codes |= 1 << code;
            earliest = earliest.min(row.timestamp);
            latest = latest.max(row.timestamp);
            texts += usize::from(row.has_text_id());
            rank << CODE_BITS | u32::from(code)
        }));
        Overview { earliest, latest, texts }
    }

    /// Orders the names that the section mentions, and gives each of their actors its place in the dictionary. Gives the number of
    /// actors. An actor is a pair of a name and a code, so that an event needs no bits for its kind.
    fn place_actors(&mut self) -> u32 {
        let EventsEncoder { sorted, mentions, number, mentioned, .. } = self;
        if mentioned.len() > sorted.len() / 8 {
            mentioned.clear();
            mentioned.extend((0u32..).zip(&*mentions).filter(|(_, m)| m.section == *number).map(|(rank, _)| rank));
        } else {
            mentioned.sort_unstable();
        }
        let mut actors = 0;
        for rank in &*mentioned {
            let mention = &mut mentions[*rank as usize];
            mention.first = actors;
            actors += mention.codes.count_ones();
        }
        actors
    }

    /// Notes the numbered sites of the rows; gives the named ones.
    fn part_sites<'t>(&mut self, table: &'t Table, rows: &[Row]) -> Vec<&'t [u8]> {
        self.numbers.clear();
        let mut names: Vec<&[u8]> = Vec::new();
        for row in rows.chunk_by(|a, b| a.site == b.site).filter_map(|site| site.first()) {
            match table.site_of(row) {
                Site::Number(number) => self.numbers.push(number),
                Site::Text(name) => names.push(name),
            }
        }
        names
    }

    /// Appends the dictionary: the actors of the section, in order.
    fn put_dictionary(&mut self, table: &Table, out: &mut Vec<u8>) {
        let start = out.len();
        let mut before: &[u8] = &[];
        for rank in &self.mentioned {
            let name = table.name_of(self.sorted[*rank as usize].number);
            let codes = self.mentions[*rank as usize].codes;
            for code in (0..ACTOR_CODES).filter(|code| codes >> code & 1 > 0) {
                put_front_coded(out, before, name, ACTOR_CODES, code);
                before = name;
            }
        }
        self.dictionary = out.len() - start;
    }
}

/// Appends the ids: the UUIDs, then the others. `texts` is the number of the latter.
fn put_ids(table: &Table, rows: &[Row], texts: usize, out: &mut Vec<u8>) {
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
