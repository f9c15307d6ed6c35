//! Events in memory: those of one chunk on the way in, those of one shard on the way out.
//!
//! A [`Table`] holds rows of one size, and the texts that they refer to by number. It also has the order of events. How rows
//! go to temporary files is in `records`; how they go to the store is for [`format`](crate::format).

mod records;
mod texts;

use std::cmp::Ordering;
use std::hash::BuildHasher;

use crate::base::secret;
use crate::event::{Event, Id, Kind, Site, Uuid, uuid_of};

use texts::Heap;
pub(crate) use texts::Texts;

/// Set in [`Row::site`] where the rest is the number of a text; numbers of sites stay below 2^60.
const TEXT: u64 = 1 << 63;

/// One event: 40 bytes, texts by number.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// The site's number, or the number of its name with the top bit set. Numbers sort before names; names are not in order.
    pub site: u64,
    /// When.
    pub timestamp: i64,
    /// The UUID as two big-endian halves, or the number of the text.
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
    /// The number of its site. All names have the same one, above all numbers: they are numbered as they arrive, not in order.
    pub fn number(&self) -> u64 {
        self.site.min(TEXT)
    }

    /// Whether its id is not a UUID.
    pub fn has_text_id(&self) -> bool {
        self.text_id
    }
}

/// What a row says of an event besides its id and its shard. The table has numbered its texts already.
#[derive(Clone, Copy, Debug)]
pub struct Numbered {
    /// See [`Table::site`].
    pub site: u64,
    /// When.
    pub timestamp: i64,
    /// See [`Table::from`].
    pub from: u32,
    /// What.
    pub kind: Kind,
    /// Whether a copy of this event disagreed with it.
    pub disputed: bool,
}

/// About as many bytes as a fold or an encoder keeps of a name.
const NAME: usize = 48;

/// Rows and the texts they refer to. A table is cleared and filled again, so that its memory is allocated once.
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
    /// Removes all rows and texts; keeps the allocations.
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

    /// Bytes of what it holds, and of what a fold or an encoder keeps of each name beside it.
    pub fn bytes(&self) -> usize {
        self.size() + (self.sites.len() + self.froms.len()) * NAME
    }

    /// Appends one event of this shard.
    pub fn push(&mut self, event: &Event<'_>, shard: u8) {
        let Event { timestamp, kind, .. } = *event;
        let (site, from) = (self.site(event.site), self.froms.intern(event.from));
        self.push_row(Numbered { site, timestamp, from, kind, disputed: false }, event.id, shard);
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

    /// The same for a name that does not sort before the last one, as in a section.
    pub fn from_in_order(&mut self, name: &[u8]) -> u32 {
        match self.froms.len().checked_sub(1) {
            _ if !self.unsought => self.froms.intern(name),
            Some(last) if self.froms.get(last as u32) == name => last as u32,
            _ => self.froms.push(name),
        }
    }

    /// From now on, [`Table::from_in_order`] does not look names up: a name may get a number for each section that has it. For callers
    /// that compare the names themselves.
    pub fn without_lookup(&mut self) {
        self.unsought = true;
    }

    /// Appends one event of this shard, whose site and `from` the table knows.
    pub fn push_row(&mut self, event: Numbered, id: Id<'_>, shard: u8) {
        let Numbered { site, timestamp, from, kind, disputed } = event;
        let (id, text_id) = match id {
            Id::Uuid(uuid) => (uuid, false),
            Id::Text(text) => ([u64::from(self.ids.push(text)), 0], true),
        };
        self.rows.push(Row { site, timestamp, id, from, kind, shard, text_id, disputed });
    }

    /// Appends a row of another table.
    pub fn push_copy(&mut self, other: &Table, row: &Row) {
        let Row { timestamp, kind, disputed, shard, .. } = *row;
        let (site, from) = (self.site(other.site_of(row)), self.from(other.name_of(row.from)));
        self.push_row(Numbered { site, timestamp, from, kind, disputed }, other.id_of(row), shard);
    }

    /// Appends events of one shard whose ids are UUIDs.
    pub fn push_rows<'u>(&mut self, shard: u8, events: impl Iterator<Item = (Numbered, &'u [u8; 16])>) {
        self.rows.extend(events.map(|(event, uuid)| {
            let Numbered { site, timestamp, from, kind, disputed } = event;
            Row { site, timestamp, id: uuid_of(*uuid), from, kind, shard, text_id: false, disputed }
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

    /// The order of sites: numbers by value, then names by their bytes.
    pub fn compare_sites(&self, a: u64, b: u64) -> Ordering {
        if a & b & TEXT == 0 {
            a.cmp(&b)
        } else {
            self.sites.get((a & !TEXT) as u32).cmp(self.sites.get((b & !TEXT) as u32))
        }
    }

    /// A row as one number: as much of its site as 32 bits hold, and its index.
    pub fn place(&self, row: &Row, index: u32) -> u64 {
        row.site.min(u64::from(u32::MAX)) << 32 | u64::from(index)
    }

    /// The rows of some places, by site in the order of [`Table::compare_sites`], then by index.
    pub fn sort_by_site<'a>(&'a self, places: &'a mut [u64]) -> impl Iterator<Item = Row> + 'a {
        let row = |place: &u64| self.rows[(place & u64::from(u32::MAX)) as usize];
        places.sort_unstable();
        // The places of names and of large numbers tell only their order of arrival.
        let known = places.partition_point(|place| place >> 32 < u64::from(u32::MAX));
        places[known..].sort_by(|a, b| self.compare_sites(row(a).site, row(b).site));
        places.iter().map(row)
    }

    /// Whether two rows of one site have the same id: they are copies of one event.
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
