//! Strings: where they end, and that they are UTF-8.

use super::Cursor;
use super::words::{TextMarks, text_marks};

impl<const LINE_ENDS: bool> Cursor<'_, LINE_ENDS> {
    /// A string without escapes.
    #[inline(always)]
    pub(super) fn plain_string(&mut self) -> Option<()> {
        self.eat(b'"')?;
        let start = self.rest;
        let mut wide = false;
        loop {
            let TextMarks { marks, is_wide } = text_marks(self.rest.first_chunk()?);
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
    pub(super) fn string(&mut self) -> Option<bool> {
        self.eat(b'"')?;
        let start = self.rest;
        let (mut wide, mut escaped) = (false, false);
        loop {
            let TextMarks { marks, is_wide } = text_marks(self.rest.first_chunk()?);
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
                    // Whoever writes only ASCII writes every other script as long runs of them.
                    escaped = true;
                    while let [b'\\', ..] = self.rest {
                        self.escape()?;
                    }
                }
                _ => return None,
            }
        }
    }

    /// Checks that what was read since `start` is UTF-8, if it is `wide`: more than ASCII.
    #[inline(always)]
    fn utf8_since(&self, start: &[u8], wide: bool) -> Option<()> {
        if wide {
            std::str::from_utf8(start.get(..start.len() - self.rest.len())?).ok()?;
        }
        Some(())
    }

    /// An escape. All take one way through the code, because nothing predicts which one comes next.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_escapes_is_that_of_json() {
        for byte in 0..=u8::MAX {
            let escaped = [b'"', b'\\', byte, b'"'];
            let right = byte != b'u' && serde_json::from_slice::<String>(&escaped).is_ok();
            assert_eq!(SIMPLE_ESCAPES[usize::from(byte)], right, "{:?}", char::from(byte));
        }
    }
}
