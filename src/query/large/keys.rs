//! Keys: events, sites and moments as bytes that sort as they do.

use crate::event::table::{Numbered, Row, Table};
use crate::event::{Id, Kind, Site};

/// Appends a site, so that keys sort as [`Table::compare_sites`] does and no site's key begins another's.
pub(super) fn put_site(site: Site<'_>, key: &mut Vec<u8>) {
    match site {
        Site::Number(number) => {
            key.push(0);
            key.extend_from_slice(&number.to_be_bytes());
        }
        Site::Text(name) => {
            key.push(1);
            put_name(name, key);
        }
    }
}

/// Appends a name, and an end to it: names have no control characters.
pub(super) fn put_name(name: &[u8], key: &mut Vec<u8>) {
    key.extend_from_slice(name);
    key.push(0);
}

/// Appends a moment, so that keys sort as moments do.
pub(super) fn put_moment(moment: i64, key: &mut Vec<u8>) {
    key.extend_from_slice(&(moment.cast_unsigned() ^ 1 << 63).to_be_bytes());
}

/// Makes the key of an event, so that keys sort as [`Table::compare_sites`] and [`Table::compare`] do.
pub(super) fn key_of(table: &Table, row: &Row, key: &mut Vec<u8>) {
    key.clear();
    put_site(table.site_of(row), key);
    put_moment(row.timestamp, key);
    key.push(u8::from(row.kind.is_message()));
    put_name(table.id_of(row).text(&mut [0; 36]), key);
    put_name(table.name_of(row.from), key);
    key.push(row.kind.code());
}

/// Reads a key, piece by piece; holds what is not read yet.
pub(super) struct Key<'k>(pub(super) &'k [u8]);

impl<'k> Key<'k> {
    fn take(&mut self, length: usize) -> Option<&'k [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    pub(super) fn name(&mut self) -> Option<&'k [u8]> {
        let name = self.take(memchr::memchr(0, self.0)?)?;
        self.take(1)?;
        Some(name)
    }

    pub(super) fn moment(&mut self) -> Option<i64> {
        let bytes = self.take(8)?.try_into().ok()?;
        Some((u64::from_be_bytes(bytes) ^ 1 << 63).cast_signed())
    }

    pub(super) fn site(&mut self) -> Option<Site<'k>> {
        match self.byte()? {
            0 => Some(Site::Number(u64::from_be_bytes(self.take(8)?.try_into().ok()?))),
            _ => self.name().map(Site::Text),
        }
    }

    /// The bytes of the site in the key.
    pub(super) fn site_bytes(&mut self) -> Option<&'k [u8]> {
        let whole = self.0;
        self.site()?;
        whole.get(..whole.len() - self.0.len())
    }
}

/// Adds an event to a table, from the key that [`key_of`] made of it.
pub(super) fn push_key(key: &[u8], disputed: bool, shard: u8, table: &mut Table) -> Option<()> {
    let mut key = Key(key);
    let site = table.site(key.site()?);
    let moment = key.moment()?;
    key.byte()?;
    let id = Id::new(key.name()?);
    let from = table.from(key.name()?);
    let kind = Kind::from_code(key.byte()?)?;
    table.push_row(Numbered { site, timestamp: moment, from, kind, disputed }, id, shard);
    Some(())
}
