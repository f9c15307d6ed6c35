//! The values of the required keys.

use super::rare::Member;
use super::words::{POWERS_OF_TEN, digit_count, digit_value, name_marks};
use super::{Cursor, MESSAGE, STATUS, once};
use crate::event::{Id, Kind, MAX_NAME, Site, UUID_TEXT, is_name, parse_uuid, uuid_of};

impl<'a, const LINE_ENDS: bool> Cursor<'a, LINE_ENDS> {
    #[inline(always)]
    pub(super) fn id(&mut self) -> Option<Id<'a>> {
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
    pub(super) fn site(&mut self) -> Option<Site<'a>> {
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
    pub(super) fn name(&mut self) -> Option<&'a [u8]> {
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
    pub(super) fn timestamp(&mut self) -> Option<i64> {
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
    pub(super) fn subject(&mut self) -> Option<u8> {
        if self.eat_text(b"\"message\"") {
            Some(MESSAGE)
        } else if self.eat_text(b"\"status\"") {
            Some(STATUS)
        } else {
            None
        }
    }

    /// The object under `data`; gives its status, if it has one. What `type` says may not be known yet. So both keys have to
    /// be right, though only one is required.
    #[inline(always)]
    pub(super) fn data(&mut self, seen: &mut u8) -> Option<Kind> {
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
}
