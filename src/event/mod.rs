//! One event of the chat: its identity, its parts, and the order of the events of a site.
//!
//! Nothing here reads or writes. Text is kept as bytes: every order in chatwal is bytewise, and whoever makes an
//! [`Event`] has already seen that the bytes are UTF-8 and pass [`is_name`].

pub(crate) mod order;
pub mod summary;
pub mod table;

use std::cmp::Ordering;

/// The longest `id`, `from` and `site_id`, in bytes after unescaping.
pub const MAX_NAME: usize = 1024;

/// Digits of the longest number that [`Site::Number`] holds: every such number is below 2^60.
const MAX_SITE_DIGITS: usize = 18;

/// Length of a UUID as text.
pub const UUID_TEXT: usize = 36;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An operator went offline.
    Offline,
    /// An operator came online.
    Online,
    /// A visitor wrote.
    Message,
}

impl Kind {
    /// Every kind, in the order of their codes on disk.
    pub const ALL: [Kind; 3] = [Kind::Offline, Kind::Online, Kind::Message];

    /// The code on disk; `wal-format.md` fixes it.
    pub fn code(self) -> u8 {
        match self {
            Kind::Offline => 0,
            Kind::Online => 1,
            Kind::Message => 2,
        }
    }

    /// The kind of a code on disk.
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code)).copied()
    }

    /// Whether it is a visitor's message, which sorts after the statuses of its moment.
    pub fn is_message(self) -> bool {
        self == Kind::Message
    }
}

/// The site an event belongs to.
///
/// A canonical decimal number (no leading zero, at most 18 digits) is always a `Number`, anything else always `Text`, so
/// equal sites have equal values. Almost all sites of the field are numbers, and a number costs two bytes on disk
/// where its text costs six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Site<'a> {
    /// A canonical decimal number below 10^18.
    Number(u64),
    /// Any other name.
    Text(&'a [u8]),
}

impl<'a> Site<'a> {
    /// The site of this name.
    pub fn new(name: &'a [u8]) -> Site<'a> {
        let canonical = match name {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => name.len() <= MAX_SITE_DIGITS && rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if canonical {
            Site::Number(name.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
        } else {
            Site::Text(name)
        }
    }

    /// The name as text; `buffer` serves numbers.
    pub fn name<'b>(&self, buffer: &'b mut [u8; 20]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Site::Text(name) => name,
            Site::Number(number) => decimal(number, buffer),
        }
    }
}

/// A [`Site`] of its own; a number takes no allocation. Ordered as the report is: by the bytes of the names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SiteName {
    /// A canonical decimal number below 10^18.
    Number(u64),
    /// Any other name.
    Text(Box<[u8]>),
}

impl SiteName {
    /// The site.
    pub fn site(&self) -> Site<'_> {
        match self {
            SiteName::Number(number) => Site::Number(*number),
            SiteName::Text(name) => Site::Text(name),
        }
    }

    /// The name as text; `buffer` serves numbers.
    pub fn text<'b>(&'b self, buffer: &'b mut [u8; 20]) -> &'b [u8] {
        self.site().name(buffer)
    }
}

impl From<Site<'_>> for SiteName {
    fn from(site: Site<'_>) -> SiteName {
        match site {
            Site::Number(number) => SiteName::Number(number),
            Site::Text(name) => SiteName::Text(name.into()),
        }
    }
}

impl Ord for SiteName {
    fn cmp(&self, other: &SiteName) -> Ordering {
        match (self, other) {
            // Filled up with zeros, numbers compare as their digits do; of `1` and `10` the shorter is the lower.
            (SiteName::Number(a), SiteName::Number(b)) => filled_up(*a).cmp(&filled_up(*b)).then(a.cmp(b)),
            _ => self.text(&mut [0; 20]).cmp(other.text(&mut [0; 20])),
        }
    }
}

impl PartialOrd for SiteName {
    fn partial_cmp(&self, other: &SiteName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A number below 10^18 with its digits moved to the left end of eighteen.
fn filled_up(number: u64) -> u64 {
    /// By the number of digits but one: what moves them there.
    const FACTORS: [u64; 18] = {
        let mut factors = [1; 18];
        let mut digits = 17;
        while digits > 0 {
            factors[digits - 1] = factors[digits] * 10;
            digits -= 1;
        }
        factors
    };
    number * FACTORS[number.checked_ilog10().unwrap_or(0).min(17) as usize]
}

/// `number` in decimal, written to the end of `buffer`.
pub fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (place, digit) in buffer.iter_mut().enumerate().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
        start = place;
        if number == 0 {
            break;
        }
    }
    &buffer[start..]
}

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

/// One event, borrowed from wherever it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Where it happened.
    pub site: Site<'a>,
    /// Which event of the site it is.
    pub id: Id<'a>,
    /// The visitor or operator, UTF-8.
    pub from: &'a [u8],
    /// When, in the input's own unit.
    pub timestamp: i64,
    /// What.
    pub kind: Kind,
}

/// Whether `text` may be an `id`, a `from` or a `site_id`: 1 to [`MAX_NAME`] bytes of UTF-8 without control characters
/// (U+0000–U+001F, U+007F–U+009F), so that no name can forge a line of output or a terminal sequence.
pub fn is_name(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > MAX_NAME {
        return false;
    }
    if text.iter().all(|byte| (b' '..0x7f).contains(byte)) {
        return true;
    }
    std::str::from_utf8(text).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_sites_are_in_the_order_of_their_names() {
        let names = "! 0 1 10 100 12345678 123456780 1234567800 123456789 19 2 shop shop-2 shop-2024 shop-2025 é";
        let sorted: Vec<SiteName> = names.split(' ').map(|name| Site::new(name.as_bytes()).into()).collect();
        assert!(sorted.is_sorted());
        for turn in 0..sorted.len() {
            let mut list = sorted.clone();
            list.rotate_left(turn);
            list.swap(0, turn / 2);
            list.sort_unstable();
            assert_eq!(list, sorted);
        }
    }

    #[test]
    fn sites_are_numbers_only_in_canonical_form() {
        assert_eq!(Site::new(b"0"), Site::Number(0));
        assert_eq!(Site::new(b"200000"), Site::Number(200_000));
        assert_eq!(Site::new(b"999999999999999999"), Site::Number(999_999_999_999_999_999));
        for text in ["", "00", "01", "1000000000000000000", "-1", "1a", "1 ", "١"] {
            assert_eq!(Site::new(text.as_bytes()), Site::Text(text.as_bytes()), "{text:?}");
        }
        for name in ["0", "7", "10", "999999999999999999", "x"] {
            assert_eq!(Site::new(name.as_bytes()).name(&mut [0; 20]), name.as_bytes());
        }
    }

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

    #[test]
    fn names_have_no_control_characters() {
        for name in ["a", "../x", "Jürgen", "\u{a0}", "😀", &"x".repeat(MAX_NAME)] {
            assert!(is_name(name.as_bytes()), "{name:?}");
        }
        for name in ["", "a\nb", "\u{1b}[31m", "\u{7f}", "\u{80}", "\u{9f}", "\0", &"x".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name.as_bytes()), "{name:?}");
        }
        assert!(!is_name(b"\xff"));
    }
}
