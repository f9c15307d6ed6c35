//! The id of an event. Most ids are UUIDs, and a UUID is kept as 16 bytes.

use std::cmp::Ordering;

/// Length of a UUID as text.
pub const UUID_TEXT: usize = 36;

/// The id of an event within its site.
///
/// Text in the canonical form of a UUID (lower case) is always a `Uuid`, anything else always `Text`, so equal ids have
/// equal values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Id<'a> {
    /// The 16 bytes of a UUID.
    Uuid(Uuid),
    /// Any other id.
    Text(&'a [u8]),
}

impl<'a> Id<'a> {
    /// The id of this text.
    pub fn new(text: &'a [u8]) -> Id<'a> {
        match text.first_chunk::<UUID_TEXT>() {
            Some(head) if text.len() == UUID_TEXT => match parse_uuid(head) {
                Some(uuid) => Id::Uuid(uuid_of(uuid)),
                None => Id::Text(text),
            },
            _ => Id::Text(text),
        }
    }

    /// The id as text; `buffer` serves UUIDs.
    pub fn text<'b>(&self, buffer: &'b mut [u8; UUID_TEXT]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Id::Text(text) => text,
            Id::Uuid(uuid) => {
                *buffer = format_uuid(uuid);
                &buffer[..]
            }
        }
    }
}

impl Ord for Id<'_> {
    /// Bytewise by the text. The hex digits of two UUIDs stand in the same places and ascend with their values.
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Id::Uuid(a), Id::Uuid(b)) => a.cmp(b),
            (a, b) => a.text(&mut [0; UUID_TEXT]).cmp(b.text(&mut [0; UUID_TEXT])),
        }
    }
}

impl PartialOrd for Id<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The 16 bytes of a UUID in canonical form: lower-case hex, hyphens after 8, 12, 16 and 20 digits.
// In line it would take registers from the parser's loop, and cost more than the call.
#[inline(never)]
pub fn parse_uuid(text: &[u8; UUID_TEXT]) -> Option<[u8; 16]> {
    let [_, _, _, _, _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _, b'-', _, _, _, _, b'-', ..] = text else {
        return None;
    };
    // The digits without the hyphens, as words of what lies between these.
    let four = |at: usize| text[at..].first_chunk().map_or(0, |digits| u128::from(u32::from_le_bytes(*digits)));
    let eight = |at: usize| text[at..].first_chunk().map_or(0, |digits| u128::from(u64::from_le_bytes(*digits)));
    let left = eight(0) | four(9) << 64 | four(14) << 96;
    let right = four(19) | eight(24) << 32 | four(32) << 96;
    let digits = [left.to_le_bytes(), right.to_le_bytes()];
    // Arithmetic on whole arrays instead of a table: the compiler makes a handful of vector instructions of it.
    let mut nibbles = [0u8; 32];
    let mut wrong = 0u8;
    for (nibble, &digit) in nibbles.iter_mut().zip(digits.as_flattened()) {
        let number = digit.wrapping_sub(b'0');
        let letter = digit.wrapping_sub(b'a');
        wrong |= u8::from(number > 9) & u8::from(letter > 5);
        *nibble = if number <= 9 { number } else { letter.wrapping_add(10) };
    }
    if wrong != 0 {
        return None;
    }
    let mut uuid = [0u8; 16];
    for (byte, pair) in uuid.iter_mut().zip(nibbles.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Some(uuid)
}

/// The 16 bytes of a UUID as two numbers, big-endian: they fit registers, and ascend as the bytes do.
pub type Uuid = [u64; 2];

/// The UUID of these bytes.
#[inline]
pub fn uuid_of(bytes: [u8; 16]) -> Uuid {
    let uuid = u128::from_be_bytes(bytes);
    [(uuid >> 64) as u64, uuid as u64]
}

/// The bytes of a UUID.
#[inline]
pub fn uuid_bytes([high, low]: Uuid) -> [u8; 16] {
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

fn format_uuid(uuid: Uuid) -> [u8; UUID_TEXT] {
    let mut text = [b'-'; UUID_TEXT];
    let mut place = 0;
    for byte in uuid_bytes(uuid) {
        if matches!(place, 8 | 13 | 18 | 23) {
            place += 1;
        }
        text[place] = b"0123456789abcdef"[usize::from(byte >> 4)];
        text[place + 1] = b"0123456789abcdef"[usize::from(byte & 15)];
        place += 2;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_uuids_only_in_canonical_form() {
        let text = b"7b4a5786-3574-4806-9988-25d109c284b8";
        let uuid = [0x7b, 0x4a, 0x57, 0x86, 0x35, 0x74, 0x48, 0x06, 0x99, 0x88, 0x25, 0xd1, 0x09, 0xc2, 0x84, 0xb8];
        assert_eq!(Id::new(text), Id::Uuid(uuid_of(uuid)));
        assert_eq!(Id::new(text).text(&mut [0; UUID_TEXT]), text);
        for (place, wrong) in [(0, b'B'), (0, b'g'), (0, b'`'), (0, b'/'), (0, b':'), (8, b'0'), (35, b'-'), (23, b'_')]
        {
            let mut other = *text;
            other[place] = wrong;
            assert_eq!(Id::new(&other), Id::Text(&other));
        }
        assert_eq!(Id::new(&text[..35]), Id::Text(&text[..35]));
    }

    #[test]
    fn ids_order_by_their_text() {
        let low = Id::new(b"00000000-0000-0000-0000-00000000000f");
        let high = Id::new(b"00000000-0000-0000-0000-0000000000a0");
        assert!(low < high);
        assert!(Id::new(b"00000000-0000-0000-0000-00000000000") < low);
        assert!(Id::new(b"zz") > high);
    }
}
