//! Events in memory: those of one chunk on the way in, those of one shard on the way out.

use hashbrown::{DefaultHashBuilder, HashTable};
use std::cmp::Ordering;
use std::hash::BuildHasher;

use crate::base::secret;
use crate::event::{Event, Id, Kind, Site, Uuid, uuid_of};

/// Set in [`Row::site`] where the rest is the number of a text; numbers of sites stay below 2^60.
const TEXT: u64 = 1 << 63;

/// One event: 40 bytes, texts by number.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The site's number, or the place of its name with the top bit set: numbers sort before texts, texts not by name.
    pub site: u64,
    /// When.
    pub timestamp: i64,
    /// The UUID as two big-endian halves, or the place of the text.
    id: Uuid,
    /// The number of the `from`, equal for equal names within a table.
    pub from: u32,
    /// What.
    pub kind: Kind,
    /// The shard of the site.
    pub shard: u8,
    text_id: bool,
    /// Whether a copy of this event disagreed with it.
    pub disputed: bool,
}

impl Row {
    /// The number of its site. Names, which are numbered as they arrive and ordered otherwise, all have one above all others.
    pub fn number(&self) -> u64 {
        self.site.min(TEXT)
    }

    /// Whether its id is anything but a UUID.
    pub fn has_text_id(&self) -> bool {
        self.text_id
    }
}

/// Bytes of a record but for its texts.
const RECORD: usize = 35;

/// Bytes that a fold or an encoder keeps of a name, more or less.
const NAME: usize = 48;

/// Rows and the texts they refer to. Cleared and filled again, so that its memory is allocated once.
#[derive(Default)]
pub struct Table {
    /// The rows, in the order of arrival until somebody sorts them.
    pub rows: Vec<Row>,
    sites: Texts,
    froms: Texts,
    ids: Heap,
    /// See [`Table::without_lookup`].
    unsought: bool,
}

impl Table {
    /// Forgets everything but the allocations.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.sites.clear();
        self.froms.clear();
        self.ids.clear();
    }

    /// Bytes of what it holds; its memory is at most about twice as much.
    pub fn size(&self) -> usize {
        self.rows.len() * size_of::<Row>() + self.sites.size() + self.froms.size() + self.ids.size()
    }

    /// Appends one event of this shard.
    pub fn push(&mut self, event: &Event<'_>, shard: u8) {
        let site = self.site(event.site);
        let from = self.froms.intern(event.from);
        self.push_row(site, event.timestamp, event.id, from, event.kind, shard, false);
    }

    /// The value of a site in [`Row::site`].
    pub fn site(&mut self, site: Site<'_>) -> u64 {
        match site {
            Site::Number(number) => number,
            Site::Text(name) => TEXT | u64::from(self.sites.intern(name)),
        }
    }

    /// The value of a `from` in [`Row::from`].
    pub fn from(&mut self, name: &[u8]) -> u32 {
        self.froms.intern(name)
    }

    /// The same for names that come in order, as they do in a section.
    pub fn from_in_order(&mut self, name: &[u8]) -> u32 {
        match self.froms.len().checked_sub(1) {
            _ if !self.unsought => self.froms.intern(name),
            Some(last) if self.froms.get(last as u32) == name => last as u32,
            _ => self.froms.push(name),
        }
    }

    /// From now on names in order are not looked up: one may have a number for each section that has it. For those who go by the names
    /// themselves.
    pub fn without_lookup(&mut self) {
        self.unsought = true;
    }

    /// Appends one event whose texts are known already.
    #[allow(clippy::too_many_arguments)] // The fields of a row; a struct of them would be the row.
    pub fn push_row(
        &mut self,
        site: u64,
        timestamp: i64,
        id: Id<'_>,
        from: u32,
        kind: Kind,
        shard: u8,
        disputed: bool,
    ) {
        let (id, text_id) = match id {
            Id::Uuid(uuid) => (uuid, false),
            Id::Text(text) => ([u64::from(self.ids.push(text)), 0], true),
        };
        self.rows.push(Row { site, timestamp, id, from, kind, shard, text_id, disputed });
    }

    /// Appends a row of another table.
    pub fn push_copy(&mut self, other: &Table, row: &Row) {
        let event = other.event(row);
        let (site, from) = (self.site(event.site), self.from(event.from));
        self.push_row(site, event.timestamp, event.id, from, event.kind, row.shard, row.disputed);
    }

    /// Appends events with UUIDs for ids: each by its site, timestamp, `from`, kind, whether it is disputed, and its id.
    #[allow(clippy::type_complexity)] // The fields of a row, as above.
    pub fn push_rows<'u>(
        &mut self,
        shard: u8,
        rows: impl Iterator<Item = ((u64, i64, u32, Kind, bool), &'u [u8; 16])>,
    ) {
        self.rows.extend(rows.map(|((site, timestamp, from, kind, disputed), uuid)| {
            let id = uuid_of(*uuid);
            Row { site, timestamp, id, from, kind, shard, text_id: false, disputed }
        }));
    }

    /// The site of a row.
    pub fn site_of(&self, row: &Row) -> Site<'_> {
        if row.site & TEXT == 0 {
            Site::Number(row.site)
        } else {
            Site::Text(self.sites.get((row.site & !TEXT) as u32))
        }
    }

    /// The id of a row.
    pub fn id_of(&self, row: &Row) -> Id<'_> {
        if row.text_id { Id::Text(self.ids.get(row.id[0] as u32)) } else { Id::Uuid(row.id) }
    }

    /// A `from` by its number.
    pub fn name_of(&self, from: u32) -> &[u8] {
        self.froms.get(from)
    }

    /// How many different `from` there are; their numbers are below it.
    pub fn names(&self) -> usize {
        self.froms.len()
    }

    /// The event of a row.
    pub fn event(&self, row: &Row) -> Event<'_> {
        Event {
            site: self.site_of(row),
            id: self.id_of(row),
            from: self.name_of(row.from),
            timestamp: row.timestamp,
            kind: row.kind,
        }
    }

    /// The order of sites: numbers by value, then texts by their bytes.
    pub fn compare_sites(&self, a: u64, b: u64) -> Ordering {
        if a & b & TEXT == 0 {
            a.cmp(&b)
        } else {
            self.sites.get((a & !TEXT) as u32).cmp(self.sites.get((b & !TEXT) as u32))
        }
    }

    /// A row as one number: as much of its site as half a word holds, and its index.
    pub fn place(&self, row: &Row, index: u32) -> u64 {
        row.site.min(u64::from(u32::MAX)) << 32 | u64::from(index)
    }

    /// The rows of some places by site, as [`Table::compare_sites`] has it, and index.
    pub fn sort_by_site<'a>(&'a self, places: &'a mut [u64]) -> impl Iterator<Item = Row> + 'a {
        let row = |place: &u64| self.rows[(place & u64::from(u32::MAX)) as usize];
        places.sort_unstable();
        // Of texts, and of large numbers, the places say nothing but their order of arrival.
        let known = places.partition_point(|place| place >> 32 < u64::from(u32::MAX));
        places[known..].sort_by(|a, b| self.compare_sites(row(a).site, row(b).site));
        places.iter().map(row)
    }

    /// Whether the two are copies of one event, given that their sites are equal.
    pub fn same_id(&self, a: &Row, b: &Row) -> bool {
        if a.text_id && b.text_id { self.id_of(a) == self.id_of(b) } else { a.text_id == b.text_id && a.id == b.id }
    }

    /// A hash of a row's id, equal for equal ids.
    pub fn hash_id(&self, row: &Row) -> u64 {
        if row.text_id {
            self.ids.hasher.hash_one(self.ids.get(row.id[0] as u32))
        } else {
            self.ids.hasher.hash_one(u128::from(row.id[0]) << 64 | u128::from(row.id[1]))
        }
    }

    /// The same with what a fold or an encoder keeps of each name.
    pub fn bytes(&self) -> usize {
        self.size() + (self.sites.len() + self.froms.len()) * NAME
    }

    /// Appends a row, with its texts, to bytes that [`Table::take_records`] reads.
    pub fn put_record(&self, row: &Row, out: &mut Vec<u8>) {
        let site = self.site_of(row);
        let is_text = matches!(site, Site::Text(_));
        let flags = row.kind.code() | u8::from(row.disputed) << 2 | u8::from(row.text_id) << 3 | u8::from(is_text) << 4;
        let mut fixed = [0; RECORD];
        fixed[0] = flags;
        fixed[1..9].copy_from_slice(&row.timestamp.to_le_bytes());
        fixed[9..17].copy_from_slice(&row.site.to_le_bytes());
        fixed[17..25].copy_from_slice(&row.id[0].to_le_bytes());
        fixed[25..33].copy_from_slice(&row.id[1].to_le_bytes());
        let from = self.name_of(row.from);
        fixed[33..35].copy_from_slice(&(from.len() as u16).to_le_bytes());
        out.extend_from_slice(&fixed);
        out.extend_from_slice(from);
        let mut text = |text: &[u8]| {
            out.extend_from_slice(&(text.len() as u16).to_le_bytes());
            out.extend_from_slice(text);
        };
        if let Site::Text(name) = site {
            text(name);
        }
        if let Id::Text(id) = self.id_of(row) {
            text(id);
        }
    }

    /// Appends up to so many rows of records of a shard, as [`Table::put_record`] writes them; gives the bytes behind them, or
    /// nothing if they are none.
    pub fn take_records<'b>(&mut self, mut bytes: &'b [u8], shard: u8, most: usize) -> Option<&'b [u8]> {
        for _ in 0..most {
            let Some((fixed, rest)) = bytes.split_first_chunk::<RECORD>() else {
                return bytes.is_empty().then_some(bytes);
            };
            bytes = rest;
            let word = |at: usize| fixed[at..].first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
            let (flags, timestamp, mut site, mut id) = (fixed[0], word(1).cast_signed(), word(9), [word(17), word(25)]);
            let mut text = |length: usize| {
                let (text, rest) = bytes.split_at_checked(length)?;
                bytes = rest;
                Some(text)
            };
            let from = self.froms.intern(text(usize::from(u16::from_le_bytes([fixed[33], fixed[34]])))?);
            let mut long = || text(2).and_then(|length| text(usize::from(u16::from_le_bytes([length[0], length[1]]))));
            if flags & 16 > 0 {
                site = TEXT | u64::from(self.sites.intern(long()?));
            }
            let text_id = flags & 8 > 0;
            if text_id {
                id = [u64::from(self.ids.push(long()?)), 0];
            }
            let (kind, disputed) = (Kind::from_code(flags & 3)?, flags & 4 > 0);
            self.rows.push(Row { site, timestamp, id, from, kind, shard, text_id, disputed });
        }
        Some(bytes)
    }

    /// A hash of the event of a row, equal for its copies in any table.
    pub fn hash_event(&self, row: &Row) -> u64 {
        match (self.site_of(row), self.id_of(row)) {
            (Site::Number(site), Id::Uuid([high, low])) => {
                secret::hash((site, u128::from(high) << 64 | u128::from(low)))
            }
            (site, id) => secret::hash((site, id)),
        }
    }

    /// The order of the events of one site: timestamp, statuses before messages, `id`, `from`, offline before online.
    pub fn compare(&self, a: &Row, b: &Row) -> Ordering {
        (a.timestamp, a.kind.is_message()).cmp(&(b.timestamp, b.kind.is_message())).then_with(|| {
            let ids = if a.text_id || b.text_id { self.id_of(a).cmp(&self.id_of(b)) } else { a.id.cmp(&b.id) };
            ids.then_with(|| match a.from == b.from {
                true => Ordering::Equal,
                false => self.name_of(a.from).cmp(self.name_of(b.from)),
            })
            .then_with(|| a.kind.code().cmp(&b.kind.code()))
        })
    }
}

/// Texts behind one another.
#[derive(Default)]
struct Heap {
    bytes: Vec<u8>,
    /// Where each text ends.
    ends: Vec<usize>,
    hasher: DefaultHashBuilder,
}

impl Heap {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn size(&self) -> usize {
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }

    fn push(&mut self, text: &[u8]) -> u32 {
        let number = self.ends.len() as u32;
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
        number
    }

    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = if number == 0 { 0 } else { self.ends[number - 1] };
        &self.bytes[start..self.ends[number]]
    }
}

/// Texts, each once. The hash is seeded anew in every process, since whoever writes a message chooses its `from`.
#[derive(Default)]
pub(crate) struct Texts {
    heap: Heap,
    /// Those of up to fifteen bytes, nearly all there are, by their bytes: no look into the heap, no call to compare.
    short: HashTable<(u128, u32)>,
    long: HashTable<u32>,
}

impl Texts {
    pub(crate) fn clear(&mut self) {
        self.heap.clear();
        self.short.clear();
        self.long.clear();
    }

    pub(crate) fn len(&self) -> usize {
        self.heap.ends.len()
    }

    pub(crate) fn size(&self) -> usize {
        self.heap.size() + self.short.len() * size_of::<(u128, u32)>() + self.long.len() * size_of::<u32>()
    }

    pub(crate) fn get(&self, number: u32) -> &[u8] {
        self.heap.get(number)
    }

    /// The number of a text: that of its first mention, from 0.
    #[inline]
    pub(crate) fn intern(&mut self, text: &[u8]) -> u32 {
        let Some(key) = short(text) else { return self.intern_long(text) };
        let hasher = &self.heap.hasher;
        let hash = hasher.hash_one(key);
        if let Some((_, number)) = self.short.find(hash, |(other, _)| *other == key) {
            return *number;
        }
        let number = self.heap.push(text);
        let hasher = &self.heap.hasher;
        self.short.insert_unique(hash, (key, number), |(key, _)| hasher.hash_one(key));
        number
    }

    /// Appends a text that is none of those before, and is not going to be looked up.
    fn push(&mut self, text: &[u8]) -> u32 {
        self.heap.push(text)
    }

    fn intern_long(&mut self, text: &[u8]) -> u32 {
        let hash = self.heap.hasher.hash_one(text);
        if let Some(&number) = self.long.find(hash, |&number| self.heap.get(number) == text) {
            return number;
        }
        let number = self.heap.push(text);
        let heap = &self.heap;
        self.long.insert_unique(hash, number, |&number| heap.hasher.hash_one(heap.get(number)));
        number
    }
}

/// A text of up to fifteen bytes as one number, filled up with zeros and its length on top: different texts, different
/// numbers. Two loads that may overlap, as a copy of so many bytes would cost a call.
#[inline]
fn short(text: &[u8]) -> Option<u128> {
    let length = text.len();
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let half = |bytes: &[u8; 4]| u64::from(u32::from_le_bytes(*bytes));
    let (low, high) = match (text.first_chunk(), text.last_chunk()) {
        (Some(first), Some(last)) if length < 16 => (word(first), word(last).unbounded_shr(8 * (16 - length) as u32)),
        (Some(_), _) => return None,
        _ => match (text.first_chunk(), text.last_chunk()) {
            (Some(first), Some(last)) => (half(first) | half(last) >> (8 * (8 - length)) << 32, 0),
            _ => (text.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
        },
    };
    Some(u128::from(low) | u128::from(high) << 64 | (length as u128) << 120)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_small() {
        assert_eq!(size_of::<Row>(), 40);
    }

    #[test]
    fn events_come_back() {
        let events = [
            Event { site: Site::Number(7), id: Id::Uuid([3; 2]), from: b"a", timestamp: -1, kind: Kind::Message },
            Event { site: Site::Text(b"x"), id: Id::Text(b"i"), from: b"b", timestamp: 5, kind: Kind::Online },
            Event { site: Site::Text(b"y"), id: Id::Text(b"j"), from: b"a", timestamp: 5, kind: Kind::Offline },
        ];
        let mut table = Table::default();
        for _ in 0..2 {
            table.clear();
            events.iter().for_each(|event| table.push(event, 0));
            assert_eq!(table.rows.iter().map(|row| table.event(row)).collect::<Vec<_>>(), events);
            assert_eq!(table.names(), 2);
        }
    }

    #[test]
    fn records_come_back_in_another_table() {
        let events = [
            Event { site: Site::Number(7), id: Id::Uuid([3, 9]), from: b"a", timestamp: -1, kind: Kind::Message },
            Event { site: Site::Text(b"x"), id: Id::Text(b"i"), from: b"b", timestamp: 5, kind: Kind::Online },
            Event {
                site: Site::Text(b"y"),
                id: Id::Uuid([4, 0]),
                from: &[b'f'; 1024],
                timestamp: i64::MIN,
                kind: Kind::Offline,
            },
            Event {
                site: Site::Number(0),
                id: Id::Text(&[b'i'; 1024]),
                from: b"a",
                timestamp: i64::MAX,
                kind: Kind::Message,
            },
        ];
        let (mut table, mut back, mut records) = (Table::default(), Table::default(), Vec::new());
        back.push(&events[3], 5);
        events.iter().for_each(|event| table.push(event, 5));
        table.rows[2].disputed = true;
        table.rows.iter().for_each(|row| table.put_record(row, &mut records));
        let rest = back.take_records(&records, 5, 3).unwrap();
        assert_eq!(back.take_records(rest, 5, 9), Some(&[][..]));
        assert_eq!(back.rows[1..].iter().map(|row| back.event(row)).collect::<Vec<_>>(), events);
        for (row, found) in table.rows.iter().zip(&back.rows[1..]) {
            assert_eq!((row.disputed, row.shard), (found.disputed, found.shard));
            assert_eq!(table.hash_event(row), back.hash_event(found));
        }
        for cut in 1..records.len() {
            let whole = back.take_records(&records[..cut], 5, 9).is_some();
            let ends = (1..4).any(|count| {
                let mut bytes = Vec::new();
                table.rows[..count].iter().for_each(|row| table.put_record(row, &mut bytes));
                bytes.len() == cut
            });
            assert_eq!(whole, ends, "{cut}");
        }
    }

    #[test]
    fn the_order_is_the_one_of_the_meaning() {
        let text = |id: &'static str| Id::new(id.as_bytes());
        let event =
            |timestamp, kind, id, from: &'static [u8]| Event { site: Site::Number(1), id, from, timestamp, kind };
        // Ascending, each differing from the one before it in the first thing that counts.
        let ordered = [
            event(i64::MIN, Kind::Message, text("z"), b"z"),
            event(1, Kind::Online, text("00000000-0000-0000-0000-00000000000b"), b"z"),
            event(1, Kind::Offline, text("00000000-0000-0000-0000-00000000000c"), b"z"),
            event(1, Kind::Online, text("a"), b"a"),
            event(1, Kind::Offline, text("a"), b"b"),
            event(1, Kind::Online, text("a"), b"b"),
            event(1, Kind::Message, text("A"), b"a"),
            event(1, Kind::Message, text("a"), b"a"),
            event(2, Kind::Offline, text("A"), b"a"),
        ];
        let mut table = Table::default();
        ordered.iter().for_each(|event| table.push(event, 0));
        for (i, a) in table.rows.iter().enumerate() {
            for (j, b) in table.rows.iter().enumerate() {
                assert_eq!(table.compare(a, b), i.cmp(&j), "{i} {j}");
            }
        }
    }
}
