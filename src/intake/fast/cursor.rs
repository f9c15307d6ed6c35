//! The cursor's steps: single bytes, white space, and the keys of an object.

use super::Cursor;
use super::words::{is_in_first, key_difference};

impl<const LINE_ENDS: bool> Cursor<'_, LINE_ENDS> {
    /// The next eight bytes, the first one lowest.
    #[inline(always)]
    pub(super) fn word(&self) -> Option<u64> {
        self.rest.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
    }

    /// The next sixteen bytes, which hold every required key, its colon and some more.
    #[inline(always)]
    pub(super) fn double_word(&self) -> Option<u128> {
        self.rest.first_chunk().map(|bytes| u128::from_le_bytes(*bytes))
    }

    /// Reads what is rare. It works on a copy, so the cursor of the loop has no address and lives in registers.
    #[inline(always)]
    pub(super) fn aside<T>(&mut self, read: fn(&mut Self) -> Option<T>) -> Option<T> {
        let mut copy = Cursor { rest: self.rest };
        let found = read(&mut copy);
        self.rest = copy.rest;
        found
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    #[inline(always)]
    pub(super) fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte)
    }

    #[inline(always)]
    pub(super) fn advance(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    #[inline(always)]
    pub(super) fn eat(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then_some(())
    }

    #[inline(always)]
    pub(super) fn eat_text<const N: usize>(&mut self, text: &[u8; N]) -> bool {
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
    pub(super) fn space(&mut self) {
        while let [byte, rest @ ..] = self.rest
            && Self::is_space(*byte)
        {
            self.rest = rest;
        }
    }

    /// Where a `\n` ends the line, it is not white space.
    #[inline(always)]
    pub(super) fn is_space(byte: u8) -> bool {
        matches!(byte, b' ' | b'\t' | b'\r') || LINE_ENDS && byte == b'\n'
    }

    /// After a value: goes past the comma and gives true, or past the `close` and gives false.
    #[inline(always)]
    pub(super) fn more(&mut self, close: u8) -> Option<bool> {
        let mut byte = self.next()?;
        // One comparison instead of three, line after line, for whoever does not write a space here.
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
    pub(super) fn next_key(&mut self, key: &mut u128) -> Option<bool> {
        let more = self.more(b'}')?;
        if more {
            *key = self.key_ahead()?;
        }
        Some(more)
    }

    /// The bytes from the next key on, for [`eat_key`](Self::eat_key).
    #[inline(always)]
    pub(super) fn key_ahead(&mut self) -> Option<u128> {
        let word = self.double_word()?;
        match word.to_le_bytes() {
            [b'"', ..] => Some(word),
            _ => {
                self.space();
                self.double_word()
            }
        }
    }

    /// If the bytes `ahead` are `key`, goes on to its value and gives true.
    #[inline(always)]
    pub(super) fn eat_key<const N: usize>(&mut self, ahead: u128, key: &[u8; N]) -> Option<bool> {
        let difference = key_difference(ahead, key)?;
        if is_in_first(difference, N + 1) {
            // Hardly anyone writes a space before the colon.
            if is_in_first(difference, N) {
                return Some(false);
            }
            // A key that was read already has a NUL behind it (see `members`). In an input, a NUL is wrong here: then the key is
            // read for its value, and the NUL is not a comma.
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
    pub(super) fn colon(&mut self) -> Option<()> {
        self.space();
        self.eat(b':')?;
        self.space();
        Some(())
    }
}
