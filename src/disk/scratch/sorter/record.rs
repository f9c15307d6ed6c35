//! A record: a key and a payload, with their lengths before them.

/// Bytes before a record: the lengths of its key and its payload.
pub(super) const LENGTHS: usize = 4;

/// A record, as it stands among others.
pub(super) struct Record<'a> {
    pub(super) key: &'a [u8],
    pub(super) payload: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at the start of some bytes.
    #[inline]
    pub(super) fn first(bytes: &'a [u8]) -> Option<Record<'a>> {
        let (lengths, rest) = bytes.split_first_chunk::<LENGTHS>()?;
        let [a, b, c, d] = *lengths;
        let (key, payload) = (usize::from(u16::from_le_bytes([a, b])), usize::from(u16::from_le_bytes([c, d])));
        let (key, rest) = rest.split_at_checked(key)?;
        Some(Record { key, payload: rest.get(..payload)? })
    }

    /// Bytes that it takes.
    pub(super) fn length(&self) -> usize {
        LENGTHS + self.key.len() + self.payload.len()
    }

    /// Appends it. Key and payload have less than 65,536 bytes each.
    #[inline]
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let [a, b] = (self.key.len() as u16).to_le_bytes();
        let [c, d] = (self.payload.len() as u16).to_le_bytes();
        out.extend_from_slice(&[a, b, c, d]);
        out.extend_from_slice(self.key);
        out.extend_from_slice(self.payload);
    }
}

/// The key of the record at a place.
pub(super) fn key_at(bytes: &[u8], at: u32) -> &[u8] {
    Record::first(bytes.get(at as usize..).unwrap_or_default()).map_or(&[], |record| record.key)
}
