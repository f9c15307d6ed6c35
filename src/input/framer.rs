//! Where the objects of a document begin and end.
//!
//! A document is a stream of JSON values: an array of objects, or objects with or without anything between them, however they
//! are spread over lines. One pass over its bytes, which may come in pieces, matches braces and brackets; it looks at strings
//! only to see where they end. Whether an item is an event is for the parsers to say. Of the structure just enough is checked to notice
//! where an item is broken, as by a quote that is missing: else the rest of the document would be taken for its text.

use super::fast::string_marks;
use super::parse::MAX_OBJECT;

/// What stands between two separators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// Offset of its first byte.
    pub start: u64,
    /// Offset behind its last byte.
    pub end: u64,
    /// It is an object that has a fault, and no end of its own.
    pub broken: bool,
}

/// What may come next inside an object or an array, white space apart.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    KeyOrEnd,
    Key,
    Colon,
    Value,
    ValueOrEnd,
    CommaOrEnd,
}

#[derive(Clone, Copy)]
enum State {
    /// No item is open.
    Between,
    /// In an object.
    Structure(Expect),
    /// In a string of an object; `escaped`, behind a `\`.
    Text { escaped: bool, then: Expect },
    /// In a number or a word of an object.
    Scalar,
    /// In a string that is an item.
    TextItem { escaped: bool },
    /// In an item that is a word, or a number.
    WordItem,
    /// In an object that is broken, behind the fault. A `{` begins the next item where it stands behind a line end or a `}`.
    Broken,
}

/// What stands before a byte, for the question whether an item may begin there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    LineEnd,
    /// A `}`, or one and then white space and commas.
    Object,
    Other,
}

impl Before {
    fn then(self, byte: u8) -> Before {
        match (self, byte) {
            (_, b'}') => Before::Object,
            (Before::Object, b' ' | b'\t' | b'\r' | b'\n' | b',') => Before::Object,
            (_, b'\n') => Before::LineEnd,
            _ => Before::Other,
        }
    }

    fn is_border(self) -> bool {
        self != Before::Other
    }
}

/// Finds items, piece by piece.
pub struct Framer {
    state: State,
    /// Offset of what was not looked at yet.
    at: u64,
    /// Where the open item begins.
    start: u64,
    /// For each level of nesting inside the open item whether it is an array.
    arrays: Vec<u64>,
    depth: usize,
    /// What stands before the byte that comes next, in the structure of an object.
    before: Before,
    /// The last byte between items that was no filler, or that an item ended with.
    last: Option<u8>,
}

impl Framer {
    /// Of a document from `offset` on, where no item is open.
    pub fn new(offset: u64) -> Framer {
        let (state, before) = (State::Between, Before::Other);
        Framer { state, at: offset, start: offset, arrays: Vec::new(), depth: 0, before, last: None }
    }

    /// Where the open item begins, if one is open.
    pub fn open(&self) -> Option<u64> {
        (!matches!(self.state, State::Between)).then_some(self.start)
    }

    /// Whether the open item is broken.
    pub fn is_broken(&self) -> bool {
        matches!(self.state, State::Broken)
    }

    /// Offset behind what it has looked at.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The last byte that it has seen and that stands for something.
    pub fn last(&self) -> Option<u8> {
        self.last
    }

    /// Looks at the bytes that follow those before, and adds the items that end in them to `items`, until there are `most`.
    pub fn feed(&mut self, bytes: &[u8], items: &mut Vec<Item>, most: usize) {
        let base = self.at;
        let mut at = 0;
        while at < bytes.len() && items.len() < most {
            at = self.step(bytes, at, base, items);
        }
        self.at = base + at as u64;
    }

    /// Looks at one byte, or as many as are alike; gives the place of the next.
    fn step(&mut self, bytes: &[u8], at: usize, base: u64, items: &mut Vec<Item>) -> usize {
        let byte = bytes[at];
        match self.state {
            State::Between => self.between(bytes, at, base),
            State::Structure(expect) => match self.structure(expect, byte) {
                Next::Goes(state) => {
                    (self.state, self.before) = (state, self.before.then(byte));
                    at + 1
                }
                Next::Ends => self.end(base + at as u64 + 1, byte, items, at + 1),
                // This byte may be the first one of the next item.
                Next::Fault => {
                    self.state = State::Broken;
                    at
                }
            },
            // Whether the escape is right is for the parsers; a control character is a fault here as well.
            State::Text { escaped: true, then } => {
                self.state = State::Text { escaped: false, then };
                at + usize::from(byte >= b' ')
            }
            State::TextItem { escaped: true } => {
                self.state = State::TextItem { escaped: false };
                at + usize::from(byte >= b' ')
            }
            State::Text { then, .. } => {
                self.before = Before::Other;
                let end = at + string_length(&bytes[at..]);
                match bytes.get(end) {
                    None => {}
                    Some(b'"') => self.state = State::Structure(then),
                    Some(b'\\') => self.state = State::Text { escaped: true, then },
                    Some(_) => {
                        self.state = State::Broken;
                        return end;
                    }
                }
                end + 1
            }
            State::Scalar => {
                self.before = Before::Other;
                let length = word_length(&bytes[at..]);
                if at + length < bytes.len() {
                    self.state = State::Structure(Expect::CommaOrEnd);
                }
                at + length
            }
            State::TextItem { .. } => {
                let end = at + string_length(&bytes[at..]);
                match bytes.get(end) {
                    None => end,
                    Some(b'\\') => {
                        self.state = State::TextItem { escaped: true };
                        end + 1
                    }
                    Some(b'"') => self.end(base + end as u64 + 1, b'"', items, end + 1),
                    Some(_) => self.end(base + end as u64, b'"', items, end),
                }
            }
            State::WordItem => match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b',' | b'[' | b']' | b'{' | b'"' | 0 | RECORD_SEPARATOR => {
                    self.end(base + at as u64, b'x', items, at)
                }
                _ => at + 1,
            },
            State::Broken if byte == b'{' && self.before.is_border() => self.end(base + at as u64, b'}', items, at),
            State::Broken => {
                self.before = self.before.then(byte);
                at + 1
            }
        }
    }

    /// Looks at a byte between items: a separator, or the first one of an item.
    fn between(&mut self, bytes: &[u8], at: usize, base: u64) -> usize {
        let byte = bytes[at];
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | RECORD_SEPARATOR => return at + 1,
            0 => return at + super::parse::filler(&bytes[at..]).0,
            b',' | b'[' | b']' => {
                self.last = Some(byte);
                return at + 1;
            }
            _ if bytes[at..].starts_with(MARK) => return at + MARK.len(),
            b'{' => {
                (self.depth, self.state) = (0, State::Structure(Expect::KeyOrEnd));
                self.before = Before::Other;
                self.push(false);
            }
            b'"' => self.state = State::TextItem { escaped: false },
            _ => self.state = State::WordItem,
        }
        self.start = base + at as u64;
        at + 1
    }

    /// Ends the open item.
    fn end(&mut self, end: u64, last: u8, items: &mut Vec<Item>, next: usize) -> usize {
        items.push(Item { start: self.start, end, broken: self.is_broken() });
        (self.state, self.last) = (State::Between, Some(last));
        next
    }

    fn structure(&mut self, expect: Expect, byte: u8) -> Next {
        let goes = |expect| Next::Goes(State::Structure(expect));
        match (expect, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => goes(expect),
            (Expect::KeyOrEnd | Expect::Key, b'"') => Next::Goes(State::Text { escaped: false, then: Expect::Colon }),
            (Expect::Colon, b':') => goes(Expect::Value),
            (Expect::Value | Expect::ValueOrEnd, _) => self.value(byte).unwrap_or_else(|| match (expect, byte) {
                (Expect::ValueOrEnd, b']') => self.pop(),
                _ => Next::Fault,
            }),
            (Expect::KeyOrEnd, b'}') => self.pop(),
            (Expect::CommaOrEnd, b',') => goes(if self.in_array() { Expect::Value } else { Expect::Key }),
            (Expect::CommaOrEnd, b'}') if !self.in_array() => self.pop(),
            (Expect::CommaOrEnd, b']') if self.in_array() => self.pop(),
            _ => Next::Fault,
        }
    }

    /// What the first byte of a value leads to, if it is one.
    fn value(&mut self, byte: u8) -> Option<Next> {
        let state = match byte {
            b'"' => State::Text { escaped: false, then: Expect::CommaOrEnd },
            // Deeper than an object has bytes: then it is too long, and this must not take memory without bounds.
            b'{' | b'[' if self.depth > MAX_OBJECT => return None,
            b'{' => {
                self.push(false);
                State::Structure(Expect::KeyOrEnd)
            }
            b'[' => {
                self.push(true);
                State::Structure(Expect::ValueOrEnd)
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Scalar,
            _ => return None,
        };
        Some(Next::Goes(state))
    }

    fn push(&mut self, array: bool) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.arrays.len() {
            self.arrays.push(0);
        }
        self.arrays[word] = self.arrays[word] & !(1 << bit) | u64::from(array) << bit;
        self.depth += 1;
    }

    fn pop(&mut self) -> Next {
        self.depth -= 1;
        if self.depth == 0 { Next::Ends } else { Next::Goes(State::Structure(Expect::CommaOrEnd)) }
    }

    fn in_array(&self) -> bool {
        let level = self.depth - 1;
        self.arrays[level / 64] >> (level % 64) & 1 == 1
    }
}

/// What a byte of the structure leads to.
enum Next {
    Goes(State),
    Ends,
    Fault,
}

/// U+FEFF.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What stands before each text of a sequence (RFC 7464).
pub const RECORD_SEPARATOR: u8 = 0x1e;

/// How many bytes of a string come before a `"`, a `\`, a control character or the end.
fn string_length(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<16>();
    for (number, block) in blocks.iter().enumerate() {
        let marks = string_marks(*block);
        if marks != 0 {
            return number * 16 + marks.trailing_zeros() as usize;
        }
    }
    let end = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len());
    blocks.len() * 16 + end
}

/// How many bytes a number or a word goes on.
fn word_length(bytes: &[u8]) -> usize {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    bytes.iter().position(|byte| !is_word(byte)).unwrap_or(bytes.len())
}
