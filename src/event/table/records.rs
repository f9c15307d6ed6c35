//! Rows as records of bytes, for rows that are put aside because they do not fit the memory. This is not a format of the store.

use super::{Row, TEXT, Table};
use crate::event::{Id, Kind, Site};

/// Bytes of a record without its texts.
const RECORD: usize = 35;

/// What the first byte of a record says, beside the code of the kind in its lowest two bits.
const DISPUTED: u8 = 1 << 2;
const TEXT_ID: u8 = 1 << 3;
const NAMED_SITE: u8 = 1 << 4;

impl Table {
    /// Appends a row and its texts as a record. [`Table::take_records`] reads it.
    pub fn put_record(&self, row: &Row, out: &mut Vec<u8>) {
        let site = self.site_of(row);
        let is_named = matches!(site, Site::Text(_));
        let flags = [(row.disputed, DISPUTED), (row.text_id, TEXT_ID), (is_named, NAMED_SITE)];
        let mut fixed = [0; RECORD];
        fixed[0] = flags.iter().fold(row.kind.code(), |flags, (is, flag)| flags | (u8::from(*is) * flag));
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

    /// Appends the rows of up to `most` records of a shard. Gives the bytes behind them, or `None` if the bytes are not records.
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
            if flags & NAMED_SITE > 0 {
                site = TEXT | u64::from(self.sites.intern(long()?));
            }
            let text_id = flags & TEXT_ID > 0;
            if text_id {
                id = [u64::from(self.ids.push(long()?)), 0];
            }
            let (kind, disputed) = (Kind::from_code(flags & 3)?, flags & DISPUTED > 0);
            self.rows.push(Row { site, timestamp, id, from, kind, shard, text_id, disputed });
        }
        Some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

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
}
