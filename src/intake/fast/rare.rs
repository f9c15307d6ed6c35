//! What is rare: members whose key means nothing, whatever their value is, and words with escapes.

use super::{Cursor, MAX_DEPTH, MESSAGE, STATUS};
use crate::event::Kind;

/// A key, if it means something.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Id,
    Type,
    From,
    SiteId,
    Timestamp,
    Data,
    Message,
    Status,
    Unknown,
}

const MEMBERS: [(Member, &[u8]); 8] = [
    (Member::Id, b"id"),
    (Member::Type, b"type"),
    (Member::From, b"from"),
    (Member::SiteId, b"site_id"),
    (Member::Timestamp, b"timestamp"),
    (Member::Data, b"data"),
    (Member::Message, b"message"),
    (Member::Status, b"status"),
];

impl Member {
    /// Its key with quotes, as the low bytes of a word, and NULs.
    pub(super) fn quoted(self) -> u128 {
        let mut bytes = [0; 16];
        let key = MEMBERS.iter().find(|(member, _)| *member == self).map_or(&b""[..], |(_, key)| key);
        for (byte, letter) in bytes.iter_mut().zip([b"\"", key, b"\""].iter().flat_map(|part| part.iter())) {
            *byte = *letter;
        }
        u128::from_le_bytes(bytes)
    }
}

impl<'a, const LINE_ENDS: bool> Cursor<'a, LINE_ENDS> {
    /// Skips a member whose key means nothing here, or only goes to its value if the key has escapes and means something.
    #[inline(always)]
    fn unknown(&mut self, means_something: fn(Member) -> bool) -> Option<Member> {
        let mut line = Self { rest: self.rest };
        let mut member = line.key()?;
        if !means_something(member) {
            line.skip_value()?;
            member = Member::Unknown;
        }
        self.rest = line.rest;
        Some(member)
    }

    #[inline(never)]
    pub(super) fn unknown_in_object(&mut self) -> Option<Member> {
        self.unknown(|member| !matches!(member, Member::Message | Member::Status | Member::Unknown))
    }

    #[inline(never)]
    pub(super) fn unknown_in_data(&mut self) -> Option<Member> {
        self.unknown(|member| matches!(member, Member::Message | Member::Status))
    }

    /// A key that is not, as it is written, one of those that mean something here, and its colon. So it means nothing, unless it
    /// has escapes.
    #[inline(always)]
    fn key(&mut self) -> Option<Member> {
        let quoted = self.rest;
        let mut member = Member::Unknown;
        if self.string()? {
            let word = Word::new(quoted.get(1..quoted.len() - self.rest.len() - 1)?);
            member = MEMBERS.iter().find(|(_, key)| word.is(key)).map_or(member, |(member, _)| *member);
        }
        self.colon()?;
        Some(member)
    }

    /// The value of `type`, if it has escapes.
    #[inline(never)]
    pub(super) fn odd_subject(&mut self) -> Option<u8> {
        let text = self.text()?;
        if text.is(b"message") {
            Some(MESSAGE)
        } else if text.is(b"status") {
            Some(STATUS)
        } else {
            None
        }
    }

    /// The value of `data.status`, if it has escapes.
    #[inline(never)]
    pub(super) fn odd_status(&mut self) -> Option<Kind> {
        let text = self.text()?;
        if text.is(b"online") {
            Some(Kind::Online)
        } else if text.is(b"offline") {
            Some(Kind::Offline)
        } else {
            None
        }
    }

    /// Any string, as a word.
    #[inline(always)]
    fn text(&mut self) -> Option<Word> {
        let quoted = self.rest;
        self.string()?;
        Some(Word::new(quoted.get(1..quoted.len() - self.rest.len() - 1)?))
    }

    /// Skips any value. The arrays and objects around it are kept as bits, so this does not recurse.
    fn skip_value(&mut self) -> Option<()> {
        let mut line = Self { rest: self.rest };
        // A bit for each array (0) or object (1) around, the innermost lowest, and a bit above them.
        let mut around = 1u64;
        loop {
            // The most frequent ones first. A jump by the byte would be predicted badly.
            let byte = line.peek()?;
            if byte == b'"' {
                line.string()?;
            } else if byte < b'[' {
                line.number()?;
            } else if byte | 0x20 == b'{' {
                (around >> MAX_DEPTH == 0).then_some(())?;
                around = around << 1 | u64::from(byte == b'{');
                line.advance(1)?;
                line.space();
                if line.peek()? != byte + 2 {
                    line.skip_key(around)?;
                    continue;
                }
                line.advance(1)?;
                around >>= 1;
            } else {
                let is_word = line.eat_text(b"null") || line.eat_text(b"true") || line.eat_text(b"false");
                is_word.then_some(())?;
            }
            // Behind a value.
            loop {
                if around == 1 {
                    self.rest = line.rest;
                    return Some(());
                }
                if line.more(if around & 1 == 1 { b'}' } else { b']' })? {
                    line.space();
                    line.skip_key(around)?;
                    break;
                }
                around >>= 1;
            }
        }
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

    /// Skips the key before a value, if the innermost thing around is an object.
    #[inline(always)]
    fn skip_key(&mut self, around: u64) -> Option<()> {
        if around & 1 == 1 {
            self.string()?;
            self.colon()?;
        }
        Some(())
    }
}

/// The text of a string if it is short and all ASCII, like the words that mean something; else empty.
struct Word {
    text: [u8; 16],
    length: usize,
}

impl Word {
    /// Of the text between the quotes of a string; its escapes are right.
    fn new(text: &[u8]) -> Word {
        Word::unescape(text).unwrap_or(Word { text: [0; 16], length: 0 })
    }

    fn unescape(mut text: &[u8]) -> Option<Word> {
        let mut word = Word { text: [0; 16], length: 0 };
        while let [first, rest @ ..] = text {
            text = rest;
            let mut byte = *first;
            if byte == b'\\' {
                let (kind, rest) = text.split_first()?;
                text = rest;
                // No word has a control character in it.
                byte = *kind;
                if byte == b'u' {
                    let (digits, rest) = text.split_first_chunk::<4>()?;
                    text = rest;
                    byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
                } else if byte.is_ascii_alphabetic() {
                    return None;
                }
            }
            *word.text.get_mut(word.length)? = byte;
            word.length += 1;
        }
        Some(word)
    }

    #[inline(always)]
    fn is(&self, word: &[u8]) -> bool {
        self.text.get(..self.length) == Some(word)
    }
}
