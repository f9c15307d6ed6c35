//! The tokens of a JSON text, one by one, up to the first fault.
//!
//! The walk is our own, because the positions that serde_json tells mean different things for different faults: the byte at
//! fault, the one behind it, or the last one that was read. Here a fault is where somebody has to look to mend it.
//!
//! It takes linear time and does not recurse: a text may be a million brackets.

mod number;

use self::number::{Number, is_begun, number};
use crate::base::text::is_unprintable;

/// What stands behind the last byte of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing: the text is whole.
    Whole,
    /// More of it, which was not kept.
    Cut,
    /// Bytes that are not UTF-8, so many of them.
    NotUtf8(usize),
}

/// A token and its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `{` or `[`.
    Open,
    /// `}` or `]`.
    Close,
    /// A string that is a key, with its quotes.
    Key,
    /// A string that is a value, with its quotes.
    Text,
    Number,
    /// `true`, `false` or `null`.
    Word,
}

/// What may stand at a place of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A value: at the start, and behind a colon.
    Value,
    /// A value, or the `]` of an array that has none.
    FirstItem,
    /// A value, behind a comma.
    Item,
    /// A key, or the `}` of an object that has none.
    FirstKey,
    /// A key, behind a comma.
    Key,
    Colon,
    /// A comma or a closing bracket.
    More,
    /// Nothing: the first value of the text has ended.
    Nothing,
}

/// What is wrong, and which bytes say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub what: What,
    pub at: usize,
    pub end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// The text ends in the middle.
    Ends,
    NotUtf8,
    /// A string that does not end; it is the string's first byte that is told.
    Unterminated,
    /// A control character in a string.
    Control,
    /// A backslash in a string with something behind it that makes no escape.
    Escape,
    /// A comma with a closing bracket behind it.
    TrailingComma,
    /// A comma where a key or a value has to be.
    Comma,
    /// A closing bracket that does not belong there.
    Close,
    /// No colon behind a key.
    NoColon,
    /// No comma and no closing bracket behind a value.
    NoComma,
    Comment,
    /// A word in the wrong quotes, or what begins like one.
    Quotes,
    /// `\"` outside of strings.
    EscapedQuote,
    /// What is neither a string nor a number nor a word of JSON.
    Bare,
    /// A character that is not seen.
    Invisible,
    /// Any other character.
    Other,
}

/// Why the walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// What was kept of the text ends, and there is no fault in it.
    Cut,
    Fault(Fault),
}

/// A walk over the first value of a text.
pub(super) struct Scan<'t> {
    pub text: &'t str,
    end: End,
    at: usize,
    pub next: Next,
    /// The closing brackets that are still to come, the innermost last.
    pub open: Vec<u8>,
    /// Where the last comma stands.
    comma: usize,
    /// The token before.
    pub last: Option<Token>,
}

impl<'t> Scan<'t> {
    /// Begins at a byte of a text.
    pub fn new(text: &'t str, start: usize, end: End) -> Scan<'t> {
        Scan { text, end, at: start, next: Next::Value, open: Vec::new(), comma: start, last: None }
    }

    /// How many brackets are open.
    pub fn depth(&self) -> usize {
        self.open.len()
    }

    /// Where it stands.
    pub fn at(&self) -> usize {
        self.at
    }

    /// The text of some bytes of it.
    pub fn slice(&self, start: usize, end: usize) -> &'t str {
        self.text.get(start..end).unwrap_or_default()
    }

    /// The text between the quotes of a string.
    pub fn content(&self, string: Token) -> &'t str {
        self.slice(string.start + 1, string.end.saturating_sub(1))
    }

    /// The next token; `None` once the first value has ended.
    pub fn token(&mut self) -> Result<Option<Token>, Stop> {
        loop {
            if self.next == Next::Nothing {
                return Ok(None);
            }
            while matches!(self.byte(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
                self.at += 1;
            }
            let Some(byte) = self.byte(self.at) else { return Err(self.ends()) };
            let token = match (self.next, byte) {
                (Next::Colon, b':') => {
                    (self.at, self.next) = (self.at + 1, Next::Value);
                    continue;
                }
                (Next::More, b',') => {
                    self.comma = self.at;
                    self.at += 1;
                    self.next = if self.open.last() == Some(&b'}') { Next::Key } else { Next::Item };
                    continue;
                }
                (Next::More | Next::FirstKey, b'}') | (Next::More | Next::FirstItem, b']') => self.close(byte)?,
                (Next::FirstKey | Next::Key, b'"') => self.string(Kind::Key)?,
                (Next::Value | Next::FirstItem | Next::Item, b'"') => self.string(Kind::Text)?,
                (Next::Value | Next::FirstItem | Next::Item, b'{' | b'[') => self.opened(byte),
                (Next::Value | Next::FirstItem | Next::Item, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                    self.plain()?
                }
                _ => return Err(self.unexpected(byte)),
            };
            self.next = match token.kind {
                Kind::Key => Next::Colon,
                Kind::Open if byte == b'{' => Next::FirstKey,
                Kind::Open => Next::FirstItem,
                _ if self.open.is_empty() => Next::Nothing,
                _ => Next::More,
            };
            self.at = token.end;
            self.last = Some(token);
            return Ok(Some(token));
        }
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    fn char(&self, at: usize) -> Option<char> {
        self.text.get(at..)?.chars().next()
    }

    fn opened(&mut self, byte: u8) -> Token {
        self.open.push(if byte == b'{' { b'}' } else { b']' });
        Token { kind: Kind::Open, start: self.at, end: self.at + 1 }
    }

    fn close(&mut self, byte: u8) -> Result<Token, Stop> {
        if self.open.last() != Some(&byte) {
            return Err(self.fault(What::Close, self.at + 1));
        }
        self.open.pop();
        Ok(Token { kind: Kind::Close, start: self.at, end: self.at + 1 })
    }

    /// A fault that begins at the byte at hand.
    fn fault(&self, what: What, end: usize) -> Stop {
        Stop::Fault(Fault { what, at: self.at, end })
    }

    /// What it means that the text ends while something is missing.
    fn ends(&self) -> Stop {
        let at = self.text.len();
        match self.end {
            End::Cut => Stop::Cut,
            End::Whole => Stop::Fault(Fault { what: What::Ends, at, end: at }),
            End::NotUtf8(bytes) => Stop::Fault(Fault { what: What::NotUtf8, at, end: at + bytes }),
        }
    }

    /// A string, from its quote.
    fn string(&self, kind: Kind) -> Result<Token, Stop> {
        let start = self.at;
        let mut at = start + 1;
        loop {
            match self.byte(at) {
                None if self.end == End::Whole => return Err(self.fault(What::Unterminated, self.text.len())),
                None => return Err(self.ends()),
                Some(b'"') => return Ok(Token { kind, start, end: at + 1 }),
                Some(b'\\') => at = self.escape(at)?,
                Some(0..b' ') => return Err(Stop::Fault(Fault { what: What::Control, at, end: at + 1 })),
                Some(_) => at += 1,
            }
        }
    }

    /// An escape, from its backslash; gives the byte behind it.
    fn escape(&self, at: usize) -> Result<usize, Stop> {
        let wrong = |end: usize| Err(Stop::Fault(Fault { what: What::Escape, at, end }));
        match self.byte(at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
            Some(b'u') => {
                for digit in at + 2..at + 6 {
                    match self.byte(digit) {
                        Some(byte) if byte.is_ascii_hexdigit() => {}
                        // The string has no end either, and that is what has to be mended first.
                        None if self.end == End::Whole => return Err(self.fault(What::Unterminated, digit)),
                        None => return Err(self.ends()),
                        Some(_) => return wrong(digit),
                    }
                }
                Ok(at + 6)
            }
            Some(_) => wrong(at + 1 + self.char(at + 1).map_or(1, char::len_utf8)),
            None if self.end == End::Whole => Err(self.fault(What::Unterminated, at)),
            None => Err(self.ends()),
        }
    }

    /// A number, or a word of JSON.
    fn plain(&self) -> Result<Token, Stop> {
        let (start, end) = (self.at, self.run_end(self.at));
        let run = self.slice(start, end);
        let whole = end < self.text.len();
        let kind = match run {
            "true" | "false" | "null" => Kind::Word,
            _ if number(run) == Number::Whole => Kind::Number,
            // It may go on.
            _ if !whole && (number(run) == Number::Begun || is_begun(run)) => return Err(self.ends()),
            _ => return Err(self.fault(What::Bare, end)),
        };
        // So may a number, and `true` may become `trueish`.
        if !whole && self.end == End::Cut { Err(Stop::Cut) } else { Ok(Token { kind, start, end }) }
    }

    /// Where a run of characters ends that do not separate tokens.
    fn run_end(&self, start: usize) -> usize {
        let rest = self.text.get(start..).unwrap_or_default();
        let ends = |(at, char): &(usize, char)| match char {
            '\0'..=' ' | '"' | ',' | ':' | ';' | '[' | ']' | '{' | '}' => true,
            '/' => matches!(rest.as_bytes().get(at + 1), Some(b'/' | b'*')),
            char => !char.is_ascii() && is_unprintable(*char),
        };
        rest.char_indices().find(ends).map_or(self.text.len(), |(at, _)| start + at)
    }

    /// Where a comment ends.
    fn comment_end(&self) -> usize {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = if rest.starts_with("/*") { rest.find("*/").map(|at| at + 2) } else { rest.find('\n') };
        end.map_or(self.text.len(), |end| self.at + end)
    }

    /// Whether a piece that ends here goes on in what was not kept.
    pub fn is_cut_at(&self, end: usize) -> bool {
        self.end == End::Cut && end == self.text.len()
    }

    /// What a byte is that cannot stand where it stands.
    fn unexpected(&self, byte: u8) -> Stop {
        let char = self.char(self.at).unwrap_or_default();
        let one = self.at + char.len_utf8();
        let rest = self.text.get(self.at..).unwrap_or_default();
        if is_unprintable(char) {
            return self.fault(What::Invisible, one);
        }
        if rest.starts_with("//") || rest.starts_with("/*") || byte == b'#' {
            return self.fault(What::Comment, self.comment_end());
        }
        match (self.next, byte) {
            (Next::Key, b'}') | (Next::Item, b']') => {
                Stop::Fault(Fault { what: What::TrailingComma, at: self.comma, end: one })
            }
            (_, b'}' | b']') => self.fault(What::Close, one),
            (Next::Colon, _) => self.fault(What::NoColon, one),
            (Next::More, _) => self.fault(What::NoComma, one.max(self.run_end(self.at))),
            (_, b',') => self.fault(What::Comma, one),
            (_, b'\\') if rest.starts_with("\\\"") => self.fault(What::EscapedQuote, one + 1),
            _ => match closing_quote(char) {
                Some(close) => self.fault(What::Quotes, self.quoted_end(one, close)),
                None if self.run_end(self.at) > self.at => self.fault(What::Bare, self.run_end(self.at)),
                None => self.fault(What::Other, one),
            },
        }
    }

    /// Where a word in the wrong quotes ends: behind the closing quote, or where it would end without quotes.
    fn quoted_end(&self, start: usize, close: char) -> usize {
        let rest = self.text.get(start..).unwrap_or_default();
        match rest.find(['"', '{', '}', close]) {
            Some(at) if rest.get(at..).is_some_and(|rest| rest.starts_with(close)) => start + at + close.len_utf8(),
            _ => self.run_end(start).max(start),
        }
    }
}

/// The quotation mark that ends what this one begins, if it is a wrong one.
pub(super) fn closing_quote(char: char) -> Option<char> {
    Some(match char {
        '\'' | '`' => char,
        '\u{201c}' | '\u{201d}' | '\u{201e}' => '\u{201d}',
        '\u{2018}' | '\u{2019}' | '\u{201a}' => '\u{2019}',
        '\u{ab}' => '\u{bb}',
        _ => return None,
    })
}
