//! The fast path: one pass over an object, in any layout that real programs write.
//!
//! It knows less than [`super::parse`], on purpose. Escapes in names, deep nesting and
//! whatever else is rare make it give up, and the caller asks the judge. What it does accept, the
//! judge accepts with the same values; `tests/parser_agreement.rs` holds the two against each other.
//!
//! What makes it quick: strings are searched 16 or 32 bytes at a time, and digits read eight at a time, so most loops run
//! once and branches go the same way line after line; a key is compared as a whole, quotes and colon included, first
//! with the one that usually comes next; the cursor lives in registers, and what is rare works on a copy (`rare`); and nothing is looked for twice: the line ends
//! where its object ends, so no one searches for `\n` beforehand. It reads ahead, so of an object that has little or nothing
//! behind it, it may say nothing.

mod rare;

use wide::u8x16;

use self::rare::Member;
use super::parse::MAX_OBJECT;
use crate::event::{Event, Id, Kind, MAX_NAME, Site, UUID_TEXT, is_name, parse_uuid, uuid_of};

/// The deepest nesting of a skipped value, which bounds the recursion.
const MAX_DEPTH: u32 = 32;

// The required keys that a line has had, one bit each.
const ID: u8 = 1;
const FROM: u8 = 1 << 1;
const SITE_ID: u8 = 1 << 2;
const TIMESTAMP: u8 = 1 << 3;
const TYPE: u8 = 1 << 4;
const DATA: u8 = 1 << 5;
const MESSAGE: u8 = 1 << 6;
const STATUS: u8 = 1 << 7;

/// Reads the event of the object at the start of `input`, and how many bytes that takes, with the white space around it and
/// the `\n` behind that, if there is one: so a line of one object is taken whole.
///
/// `None` says nothing about the input: it may begin with an event, with none, be blank, or too long.
// In two places, each of which is a loop over most of the lines there are.
#[inline(always)]
pub fn parse(input: &[u8]) -> Option<(Event<'_>, usize)> {
    let mut line = Cursor::<false> { rest: input };
    line.space();
    let event = line.event()?;
    line.space();
    if let [b'\n', rest @ ..] = line.rest {
        line.rest = rest;
    }
    Some((event, input.len() - line.rest.len()))
}

/// Reads the event of the object that `input` begins with, and how many bytes it takes, `{` to `}`. It may have line ends
/// inside. `None` says nothing about it.
pub fn object(input: &[u8]) -> Option<(Event<'_>, usize)> {
    let mut object = Cursor::<true> { rest: input };
    let event = object.event()?;
    Some((event, input.len() - object.rest.len()))
}

/// Notes that a line has had `key`, unless it has had it before.
#[inline(always)]
fn once(seen: &mut u8, key: u8) -> Option<()> {
    let first = *seen & key == 0;
    *seen |= key;
    first.then_some(())
}

/// What an object had so far.
struct Found<'a> {
    event: Event<'a>,
    /// The key that its `type` requires in `data`.
    subject: u8,
    status: Kind,
    /// The required keys, one bit each.
    seen: u8,
}

/// The rest of the input, of which `\n` is white space or not. Every method reads on from its start, and gives `None` if it is
/// not what it expects, or too short to look at as many bytes as it looks at.
struct Cursor<'a, const LINE_ENDS: bool> {
    rest: &'a [u8],
}

impl<'a, const LINE_ENDS: bool> Cursor<'a, LINE_ENDS> {
    /// The event of an object.
    #[inline(always)]
    fn event(&mut self) -> Option<Event<'a>> {
        let start = self.rest.len();
        // What is not in `seen` still has its first value, which means nothing.
        let event = Event { site: Site::Number(0), id: Id::Text(b""), from: b"", timestamp: 0, kind: Kind::Message };
        let mut found = Found { event, subject: MESSAGE, status: Kind::Offline, seen: 0 };

        self.eat(b'{')?;
        let mut key = self.key_ahead()?;
        if !self.usual(&mut key, &mut found)? {
            self.members(key, &mut found)?;
        }

        let length = start - self.rest.len();
        let required = ID | FROM | SITE_ID | TIMESTAMP | TYPE | DATA | found.subject;
        if found.seen & required != required || length > MAX_OBJECT {
            return None;
        }
        let Found { mut event, subject, status, .. } = found;
        if subject == STATUS {
            event.kind = status;
        }
        Some(event)
    }

    /// The members of an object as long as they are the required ones in the usual order; gives whether that was all. If not,
    /// `key` is the next one.
    #[inline(always)]
    fn usual(&mut self, key: &mut u128, found: &mut Found<'a>) -> Option<bool> {
        if !self.eat_key(*key, b"\"id\"")? {
            return Some(false);
        }
        found.seen |= ID;
        found.event.id = self.id()?;
        if !self.next_key(key)? {
            return Some(true);
        }
        if !self.eat_key(*key, b"\"type\"")? {
            return Some(false);
        }
        found.seen |= TYPE;
        found.subject = self.subject()?;
        if !self.next_key(key)? {
            return Some(true);
        }
        if !self.eat_key(*key, b"\"from\"")? {
            return Some(false);
        }
        found.seen |= FROM;
        found.event.from = self.name()?;
        if !self.next_key(key)? {
            return Some(true);
        }
        if !self.eat_key(*key, b"\"site_id\"")? {
            return Some(false);
        }
        found.seen |= SITE_ID;
        found.event.site = self.site()?;
        if !self.next_key(key)? {
            return Some(true);
        }
        if !self.eat_key(*key, b"\"timestamp\"")? {
            return Some(false);
        }
        found.seen |= TIMESTAMP;
        found.event.timestamp = self.timestamp()?;
        if !self.next_key(key)? {
            return Some(true);
        }
        if !self.eat_key(*key, b"\"data\"")? {
            return Some(false);
        }
        found.seen |= DATA;
        found.status = self.data(&mut found.seen)?;
        Some(!self.next_key(key)?)
    }

    /// The members of an object from a key on, in any order.
    // As a function of its own it would cost more for what it is told, and tells, than it saves.
    #[inline(always)]
    fn members(&mut self, mut key: u128, found: &mut Found<'a>) -> Option<()> {
        // The usual order of the keys takes one round; any other one a round for each step back, and each unknown key. A jump by
        // the key would be one branch instead of many, but the processor foretells it less well than all of these.
        loop {
            let before = self.rest.len();
            if self.eat_key(key, b"\"id\"")? {
                once(&mut found.seen, ID)?;
                found.event.id = self.id()?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.eat_key(key, b"\"type\"")? {
                once(&mut found.seen, TYPE)?;
                found.subject = self.subject().or_else(|| self.aside(Self::odd_subject))?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.eat_key(key, b"\"from\"")? {
                once(&mut found.seen, FROM)?;
                found.event.from = self.name()?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.eat_key(key, b"\"site_id\"")? {
                once(&mut found.seen, SITE_ID)?;
                found.event.site = self.site()?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.eat_key(key, b"\"timestamp\"")? {
                once(&mut found.seen, TIMESTAMP)?;
                found.event.timestamp = self.timestamp()?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.eat_key(key, b"\"data\"")? {
                once(&mut found.seen, DATA)?;
                found.status = self.data(&mut found.seen)?;
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
            if self.rest.len() == before {
                let member = self.aside(Self::unknown_in_object)?;
                if member != Member::Unknown {
                    // As if it had been written without escapes. What comes next is its value.
                    key = member.quoted();
                    continue;
                }
                if !self.next_key(&mut key)? {
                    return Some(());
                }
            }
        }
    }

    /// The next eight bytes, the first one lowest.
    #[inline(always)]
    fn word(&self) -> Option<u64> {
        self.rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The next sixteen bytes, which hold every required key, its colon and some more.
    #[inline(always)]
    fn double_word(&self) -> Option<u128> {
        self.rest.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
    }

    /// The marks of the next 32 bytes, more than most messages have, and whether one of these is above ASCII.
    #[inline(always)]
    fn string_marks(&self) -> Option<(u32, bool)> {
        let (blocks, _) = self.rest.first_chunk::<32>()?.as_chunks::<16>();
        let marks = blocks.iter().rev().fold(0, |marks, block| marks << 16 | u32::from(string_marks(*block)));
        let all = blocks.iter().fold(u8x16::ZERO, |all, block| all | u8x16::new(*block));
        Some((marks, all.move_mask() != 0))
    }

    /// Reads what is rare: on a copy, so that the cursor of the loop has no address and lives in registers.
    #[inline(always)]
    fn aside<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<T> {
        let mut copy = Cursor { rest: self.rest };
        let found = read(&mut copy);
        self.rest = copy.rest;
        found
    }

    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    #[inline(always)]
    fn advance(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    #[inline(always)]
    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline(always)]
    fn eat_text<const N: usize>(&mut self, text: &[u8; N]) -> bool {
        match self.rest.split_first_chunk() {
            Some((next, rest)) if next == text => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Goes past white space.
    #[inline(always)]
    fn space(&mut self) {
        while let [byte, rest @ ..] = self.rest
            && Self::is_space(*byte)
        {
            self.rest = rest;
        }
    }

    /// Where a `\n` ends the line, it is no white space.
    #[inline(always)]
    fn is_space(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\r') || LINE_ENDS && byte == b'\n'
    }

    /// After a value: goes past the comma and gives true, or past the `close` and gives false.
    #[inline(always)]
    fn more(&mut self, close: u8) -> Option<bool> {
        let mut byte = self.next()?;
        // One comparison instead of three, line after line, for whoever writes no space here.
        if byte <= b' ' {
            while Self::is_space(byte) {
                byte = self.next()?;
            }
        }
        match byte {
            b',' => Some(true),
            byte if byte == close => Some(false),
            _ => None,
        }
    }

    /// After a value: gives false if the object ends, else true, with the bytes from the next key on in `key`.
    #[inline(always)]
    fn next_key(&mut self, key: &mut u128) -> Option<bool> {
        let more = self.more(b'}')?;
        if more {
            *key = self.key_ahead()?;
        }
        Some(more)
    }

    /// The bytes from the next key on, for [`eat_key`](Self::eat_key).
    #[inline(always)]
    fn key_ahead(&mut self) -> Option<u128> {
        let word = self.double_word()?;
        match word.to_le_bytes() {
            [b'"', ..] => Some(word),
            _ => {
                self.space();
                self.double_word()
            }
        }
    }

    /// If `key` is what comes next, which is `ahead`, goes on to its value and gives true.
    #[inline(always)]
    fn eat_key<const N: usize>(&mut self, ahead: u128, key: &[u8; N]) -> Option<bool> {
        let mut text = [b':'; 16];
        text.first_chunk_mut().map(|start| *start = *key)?;
        let beyond = ahead ^ u128::from_le_bytes(text);
        if beyond << (120 - 8 * N) != 0 {
            // Hardly anyone writes a space before the colon.
            if beyond << (128 - 8 * N) != 0 {
                return Some(false);
            }
            // A key that was read already has a NUL behind it (see `members`). In an input there is none that is right: what
            // is read for its value is the key, and then the NUL is no comma.
            if (ahead >> (8 * N)).to_le_bytes()[0] == 0 {
                return Some(true);
            }
            self.advance(N)?;
            self.colon()?;
            return Some(true);
        }
        self.advance(N + 1)?;
        match (ahead >> (8 * N + 8)).to_le_bytes() {
            [b'!'..=u8::MAX, ..] => {}
            _ => self.space(),
        }
        Some(true)
    }

    #[inline(always)]
    fn colon(&mut self) -> Option<()> {
        self.space();
        self.eat(b':')?;
        self.space();
        Some(())
    }

    #[inline(always)]
    fn id(&mut self) -> Option<Id<'a>> {
        const QUOTED: usize = UUID_TEXT + 2;
        if let Some(([b'"', text @ .., b'"'], rest)) = self.rest.split_first_chunk::<QUOTED>()
            && let Some(uuid) = parse_uuid(text)
        {
            self.rest = rest;
            return Some(Id::Uuid(uuid_of(uuid)));
        }
        self.name().map(Id::new)
    }

    #[inline(always)]
    fn site(&mut self) -> Option<Site<'a>> {
        let quoted = self.rest;
        self.eat(b'"')?;
        let word = self.word()?;
        let count = digit_count(word);
        let [first, ..] = word.to_le_bytes();
        if let 1..8 = count
            && let [b'"', ..] = (word >> (8 * count)).to_le_bytes()
            && first != b'0'
        {
            self.advance(count + 1)?;
            return Some(Site::Number(digit_value(word, count)));
        }
        self.rest = quoted;
        self.name().map(Site::new)
    }

    #[inline(always)]
    fn name(&mut self) -> Option<&'a [u8]> {
        let quoted = self.rest;
        self.eat(b'"')?;
        let start = self.rest;
        loop {
            let marks = name_marks(*self.rest.first_chunk()?);
            if marks != 0 {
                self.advance(marks.trailing_zeros() as usize)?;
                break;
            }
            self.advance(16)?;
        }
        let name = start.get(..start.len() - self.rest.len())?;
        if self.next()? != b'"' {
            self.rest = quoted;
            return self.aside(Self::unusual_name);
        }
        (!name.is_empty() && name.len() <= MAX_NAME).then_some(name)
    }

    /// A name that is not all printable ASCII.
    #[inline(never)]
    fn unusual_name(&mut self) -> Option<&'a [u8]> {
        let quoted = self.rest;
        self.plain_string()?;
        let name = quoted.get(1..quoted.len() - self.rest.len() - 1)?;
        is_name(name).then_some(name)
    }

    #[inline(always)]
    fn timestamp(&mut self) -> Option<i64> {
        let first = self.peek()?;
        let negative = first == b'-';
        if negative {
            self.advance(1)?;
        }
        let digits = self.rest;
        let mut number = 0u64;
        loop {
            let word = self.word()?;
            let count = digit_count(word);
            number = number.checked_mul(*POWERS_OF_TEN.get(count)?)?;
            number = number.checked_add(digit_value(word, count))?;
            self.advance(count)?;
            if count < 8 {
                break;
            }
        }
        // A zero stands alone, and without a sign.
        match (digits, digits.len() - self.rest.len()) {
            (_, 0) => None,
            ([b'0', ..], 1) if !negative => Some(0),
            ([b'0', ..], _) => None,
            _ if negative => 0i64.checked_sub_unsigned(number),
            _ => i64::try_from(number).ok(),
        }
    }

    /// The value of `type`, as the key that it requires in `data`.
    #[inline(always)]
    fn subject(&mut self) -> Option<u8> {
        if self.eat_text(b"\"message\"") {
            Some(MESSAGE)
        } else if self.eat_text(b"\"status\"") {
            Some(STATUS)
        } else {
            None
        }
    }

    /// The object under `data`; gives its status, if it has one. What `type` says may not be known yet, so both keys
    /// have to be right, though only one is required.
    #[inline(always)]
    fn data(&mut self, seen: &mut u8) -> Option<Kind> {
        let mut status = Kind::Offline;
        self.eat(b'{')?;
        loop {
            let key = self.key_ahead()?;
            if self.eat_key(key, b"\"message\"")? {
                once(seen, MESSAGE)?;
                self.string()?;
            } else if self.eat_key(key, b"\"status\"")? {
                once(seen, STATUS)?;
                status = self.status().or_else(|| self.aside(Self::odd_status))?;
            } else {
                match self.aside(Self::unknown_in_data)? {
                    Member::Message => {
                        once(seen, MESSAGE)?;
                        self.string()?;
                    }
                    Member::Status => {
                        once(seen, STATUS)?;
                        status = self.status().or_else(|| self.aside(Self::odd_status))?;
                    }
                    _ => {}
                }
            }
            if !self.more(b'}')? {
                return Some(status);
            }
        }
    }

    #[inline(always)]
    fn status(&mut self) -> Option<Kind> {
        if self.eat_text(b"\"online\"") {
            Some(Kind::Online)
        } else if self.eat_text(b"\"offline\"") {
            Some(Kind::Offline)
        } else {
            None
        }
    }

    /// A string without escapes.
    #[inline(always)]
    fn plain_string(&mut self) -> Option<()> {
        self.eat(b'"')?;
        let start = self.rest;
        let mut wide = false;
        loop {
            let (marks, is_wide) = self.string_marks()?;
            wide |= is_wide;
            if marks != 0 {
                self.advance(marks.trailing_zeros() as usize)?;
                self.utf8_since(start, wide)?;
                return self.eat(b'"');
            }
            self.advance(32)?;
        }
    }

    /// Any string; gives whether it has escapes. It is not kept, so it may hold halves of surrogate pairs.
    #[inline(always)]
    fn string(&mut self) -> Option<bool> {
        self.eat(b'"')?;
        let start = self.rest;
        let (mut wide, mut escaped) = (false, false);
        loop {
            let (marks, is_wide) = self.string_marks()?;
            wide |= is_wide;
            if marks == 0 {
                self.advance(32)?;
                continue;
            }
            self.advance(marks.trailing_zeros() as usize)?;
            match self.peek()? {
                b'"' => {
                    self.utf8_since(start, wide)?;
                    self.advance(1)?;
                    return Some(escaped);
                }
                b'\\' => {
                    // Whoever writes ASCII only makes long runs of them of every other script.
                    escaped = true;
                    while let [b'\\', ..] = self.rest {
                        self.escape()?;
                    }
                }
                _ => return None,
            }
        }
    }

    /// That what was read since `start` is UTF-8, if it may be more than ASCII.
    #[inline(always)]
    fn utf8_since(&self, start: &[u8], wide: bool) -> Option<()> {
        if wide {
            std::str::from_utf8(start.get(..start.len() - self.rest.len())?).ok()?;
        }
        Some(())
    }

    /// An escape. All take one way through the code, since nothing foretells which comes next.
    #[inline(always)]
    fn escape(&mut self) -> Option<()> {
        let [_, byte, digits @ .., _, _] = self.rest.first_chunk::<8>()?;
        let is_unicode = *byte == b'u';
        let is_hex = digits.iter().fold(true, |all, digit| all & digit.is_ascii_hexdigit());
        if !(SIMPLE_ESCAPES[usize::from(*byte)] | is_unicode & is_hex) {
            return None;
        }
        self.advance(if is_unicode { 6 } else { 2 })
    }

    /// A number by the grammar of RFC 8259.
    #[inline(always)]
    fn number(&mut self) -> Option<()> {
        if self.peek()? == b'-' {
            self.advance(1)?;
        }
        if self.peek()? == b'0' {
            self.advance(1)?;
        } else {
            self.digits()?;
        }
        if self.peek()? == b'.' {
            self.advance(1)?;
            self.digits()?;
        }
        if let b'e' | b'E' = self.peek()? {
            self.advance(1)?;
            if let b'+' | b'-' = self.peek()? {
                self.advance(1)?;
            }
            self.digits()?;
        }
        Some(())
    }

    /// At least one digit.
    #[inline(always)]
    fn digits(&mut self) -> Option<()> {
        self.peek()?.is_ascii_digit().then_some(())?;
        while let [b'0'..=b'9', rest @ ..] = self.rest {
            self.rest = rest;
        }
        Some(())
    }
}

/// Which bytes behind a `\` make an escape of two characters.
static SIMPLE_ESCAPES: [bool; 256] = {
    let (mut simple, mut at) = ([false; 256], 0);
    let bytes = b"\"\\/bfnrt";
    while at < bytes.len() {
        simple[bytes[at] as usize] = true;
        at += 1;
    }
    simple
};

/// Marks `"`, `\` and control characters below space: a bit a byte, the lowest for the first.
#[inline(always)]
pub(super) fn string_marks(block: [u8; 16]) -> u16 {
    let block = u8x16::new(block);
    let control = block.min(u8x16::splat(0x1f)).cmp_eq(block);
    (control | block.cmp_eq(u8x16::splat(b'"')) | block.cmp_eq(u8x16::splat(b'\\'))).move_mask() as u16
}

/// Marks the same, and everything else that is not printable ASCII.
#[inline(always)]
fn name_marks(block: [u8; 16]) -> u16 {
    let block = u8x16::new(block);
    let other = block.min(u8x16::splat(0x1f)).cmp_eq(block) | block.max(u8x16::splat(0x7f)).cmp_eq(block);
    (other | block.cmp_eq(u8x16::splat(b'"')) | block.cmp_eq(u8x16::splat(b'\\'))).move_mask() as u16
}

const fn repeat(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// How many of the eight bytes are digits before the first that is none.
#[inline(always)]
fn digit_count(word: u64) -> usize {
    let digits = word ^ repeat(b'0');
    // The highest bit of each byte that is no digit. The addition carries into the next byte only behind such a one: so the
    // first is right, whatever those after it are, and only the first is used.
    let others = (digits | digits.wrapping_add(repeat(0x80 - 10))) & repeat(0x80);
    (others.trailing_zeros() / 8) as usize
}

const POWERS_OF_TEN: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The number that the first `count` bytes are the digits of, 0 to 8.
#[inline(always)]
fn digit_value(word: u64, count: usize) -> u64 {
    // The first byte is the lowest, so shifting up puts zeros before the digits. Then each sum makes one number of two
    // neighbours: pairs of digits, fours, the whole.
    let digits = (word ^ repeat(b'0')).checked_shl(64 - 8 * count as u32).unwrap_or(0);
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"id":"7b4a5786-3574-4806-9988-25d109c284b8","type":"message","from":"visitor1","site_id":"1","timestamp":7391,"data":{"message":"to and tangled"}}"#;

    /// The event of a line with other lines after it.
    #[track_caller]
    fn take(line: &str) -> Event<'static> {
        let input = format!("{line}\n{LINE}\n").leak();
        let (event, length) = parse(input.as_bytes()).unwrap_or_else(|| panic!("not taken: {line}"));
        assert_eq!(length, line.len() + 1);
        event
    }

    #[track_caller]
    fn leaves(line: &str) {
        assert_eq!(parse(format!("{line}\n{LINE}\n").as_bytes()), None, "{line}");
    }

    fn with(value: &str, other: &str) -> String {
        assert!(LINE.contains(value));
        LINE.replace(value, other)
    }

    #[test]
    fn reads_every_field() {
        let message = Event {
            site: Site::Number(1),
            id: Id::new(b"7b4a5786-3574-4806-9988-25d109c284b8"),
            from: b"visitor1",
            timestamp: 7391,
            kind: Kind::Message,
        };
        assert_eq!(take(LINE), message);
        let status =
            with(r#""message","#, r#""status","#).replace(r#""message":"to and tangled""#, r#""status":"online""#);
        assert_eq!(take(&status), Event { kind: Kind::Online, ..message });
        assert_eq!(take(&status.replace("online", "offline")), Event { kind: Kind::Offline, ..message });
    }

    #[test]
    fn takes_every_usual_layout() {
        let event = take(LINE);
        for line in [
            LINE.replace(':', ": ").replace(',', ", "),
            LINE.replace(':', " : ").replace(',', " ,\t"),
            format!(" {LINE}\r"),
            LINE.replace('{', "{ ").replace('}', " }"),
            with("\"type\"", r#""v":[1,{"a":null,"b":[]},"\n\ud800\udc00"],"ok":true,"x":-1.5e+3,"type""#),
            with("\"message\":\"to", r#""status":"offline","x":{},"message":"\u00e9\"\\ to"#),
            r#"{"data":{"message":"to and tangled"},"timestamp":7391,"site_id":"1","from":"visitor1","type":"message","id":"7b4a5786-3574-4806-9988-25d109c284b8"}"#.into(),
        ] {
            assert_eq!(take(&line), event);
        }
    }

    #[test]
    fn takes_an_object_and_the_end_of_its_line() {
        for length in 0..LINE.len() {
            assert_eq!(parse(&LINE.as_bytes()[..length]), None);
        }
        let spread = LINE.replace(',', " ,\n\t");
        for (behind, taken) in [
            ("", 0),
            ("\n", 1),
            (" \t\r\n", 4),
            ("   ", 3),
            ("\n\n", 1),
            ("{", 0),
            (" {", 1),
            ("x", 0),
            (",", 0),
            ("\0\n", 0),
            ("]", 0),
        ] {
            for line in [LINE.to_owned(), format!(" \t{LINE}")] {
                // It reads ahead.
                let input = format!("{line}{behind}{}", "x".repeat(40));
                let length = parse(input.as_bytes()).map(|(_, length)| length);
                assert_eq!(length, Some(line.len() + taken), "{input:?}");
            }
            let length =
                |object: &str| super::object(format!("{object}{behind}{LINE}").as_bytes()).map(|(_, length)| length);
            assert_eq!((length(LINE), length(&spread)), (Some(LINE.len()), Some(spread.len())));
        }
        assert_eq!(parse(spread.as_bytes()), None, "of more than one line");
        assert_eq!(object(format!(" {LINE}").as_bytes()), None);
        assert_eq!(object(LINE.replace("to and", "to\nand").as_bytes()), None);
    }

    #[test]
    fn sites_are_numbers_where_they_can_be() {
        for site in
            ["0", "1", "9999999", "12345678", "999999999999999999", "1000000000000000000", "01", "1a", "x", "é1"]
        {
            let line = with("\"site_id\":\"1\"", &format!("\"site_id\":\"{site}\""));
            assert_eq!(take(&line).site, Site::new(site.as_bytes()));
        }
    }

    #[test]
    fn timestamps_are_exact() {
        for timestamp in [0, 7, 99_999_999, 100_000_000, 10_000_000_000_000_000, -1, i64::MAX, i64::MIN] {
            assert_eq!(take(&with("7391", &timestamp.to_string())).timestamp, timestamp);
        }
        let wrong =
            ["", "-", "-0", "00", "07", "-07", "1.0", "1e3", "+1", "9223372036854775808", "-9223372036854775809"];
        for timestamp in wrong.into_iter().chain(["18446744073709551616", "123456789012345678901234567890"]) {
            leaves(&with("7391", timestamp));
        }
    }

    #[test]
    fn strings_end_where_they_end_in_every_place_of_a_word() {
        for length in 1..40 {
            let text = "x".repeat(length);
            assert_eq!(take(&with("visitor1", &text)).from, text.as_bytes());
            assert_eq!(take(&with("visitor1", &format!("{text}ü"))).from, format!("{text}ü").as_bytes());
            for end in [
                r#"\""#, r"\\", r"\u00e9", r"\ud800", r"\udc00", r"\ud83dx", "é", "!", "#", "[", "]", "\u{7f}",
                "\u{80}",
            ] {
                take(&with("to and tangled", &format!("{text}{end}")));
            }
            for wrong in ["\"", "\\", "\0", "\u{1f}", "\t", "\n", r"\x", r"\u00g0", r"\u+0ff", r"\ud8"] {
                leaves(&with("to and tangled", &format!("{text}{wrong}")));
            }
            for wrong in ["\"", r"\n", "\t", "\n", "\u{7f}", "\u{80}"] {
                leaves(&with("visitor1", &format!("{text}{wrong}")));
            }
        }
        take(&with("visitor1", &"x".repeat(MAX_NAME)));
        leaves(&with("visitor1", &"x".repeat(MAX_NAME + 1)));
        leaves(&with("visitor1", ""));
    }

    #[test]
    fn takes_words_with_escapes() {
        let event = take(LINE);
        let status =
            with(r#""message","#, r#""status","#).replace(r#""message":"to and tangled""#, r#""status":"online""#);
        for (word, escaped) in [
            (r#""id""#, r#""\u0069d""#),
            (r#""type""#, r#""t\u0079pe""#),
            (r#""from""#, r#""fro\u006D""#),
            (r#""site_id""#, r#""site\u005fid""#),
            (r#""timestamp""#, r#""timestam\u0070" "#),
            (r#""data""#, r#""d\u0061ta""#),
            (r#""message":"#, r#""mess\u0061ge":"#),
        ] {
            assert_eq!(take(&with(word, escaped)), event, "{escaped}");
            leaves(&with(word, &format!("{escaped}:7,{word}")));
        }
        // The type is looked for with escapes where the keys are in another order than the usual one.
        let last = |line: &str| {
            let id = &LINE[1..45];
            format!("{{{}{}}}", &line[1 + id.len()..line.len() - 1], format_args!(",{}", &id[..id.len() - 1]))
        };
        assert_eq!(take(&last(&with(r#""message","#, r#""mess\u0061ge","#))), event);
        assert_eq!(take(&last(&status.replace("\"status\",", "\"st\\u0061tus\","))), take(&status));
        assert_eq!(take(&status.replace("\"online", "\"\\u006fnline")), take(&status));
        assert_eq!(take(&status.replace("\"status\":", "\"st\\u0061tus\":")), take(&status));
        for other in [
            r#""\u0069""#,
            r#""\u0069dd""#,
            r#""\u00e9d""#,
            r#""\ud800""#,
            r#""mess\u0061ge""#,
            r#""\u0073tatus""#,
            r#""i\d""#,
        ] {
            let line = with("\"from\"", &format!("{other}:[],\"from\""));
            if other.contains("\\d") { leaves(&line) } else { assert_eq!(take(&line), event, "{other}") }
        }
        leaves(&with("\"id\":", "\"id\"\0:"));
        leaves(&with("\"id\":", "\"id\"\0"));
        leaves(&with("\"message\":\"to", "\"message\"\0\"to"));
        leaves(&with(r#""message","#, r#""mess\u0061g","#));
        leaves(&status.replace("\"online", "\"\\u006fnlin"));
    }

    #[test]
    fn leaves_what_is_wrong_or_rare() {
        let other = r#""from":"visitor1","#;
        for line in [
            "".into(),
            "{}".into(),
            "[]".into(),
            with(other, ""),
            with(other, &other.repeat(2)),
            with(r#""message","#, r#""mess\u0061ge","#),
            with("\"message\":\"to", "\"message\":\"\",\"message\":\"to"),
            with("\"message\":\"to", "\"status\":\"online\",\"status\":\"online\",\"message\":\"to"),
            with("}}", ",}}"),
            with("}}", "}"),
            with(other, r#""x":1,,"from":"visitor1","#),
            format!("\u{feff}{LINE}"),
        ] {
            leaves(&line);
        }
        let wrong = [
            "01", "1.", ".5", "-", "1e", "+1", "NaN", "tru", "truex", "'a'", "[1,]", "[,]", "[}", "{1:1}", "{\"a\"}",
            "",
        ];
        for value in wrong {
            leaves(&with(other, &format!("{other}\"x\":{value},")));
        }
    }

    #[test]
    fn nests_as_deep_as_it_says() {
        let nested =
            |depth: usize| with("\"from\"", &format!("\"x\":{}{},\"from\"", "[".repeat(depth), "]".repeat(depth)));
        take(&nested(MAX_DEPTH as usize));
        leaves(&nested(MAX_DEPTH as usize + 1));
        leaves(&nested(400_000));
    }

    #[test]
    fn objects_have_a_longest() {
        let text = "x".repeat(MAX_OBJECT - LINE.len() + "to and".len());
        take(&with("to and", &text));
        take(&format!("{}{}", with("to and", &text), " ".repeat(3000)));
        leaves(&with("to and", &format!("{text}x")));
    }
}
