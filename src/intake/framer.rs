//! Where the objects of a document begin and end.
//!
//! A document is a stream of JSON values: an array of objects, or objects with or without anything between them, however they
//! are spread over lines. One pass over its bytes, which may come in pieces, matches braces and brackets; it looks at strings
//! only to see where they end. The parsers say whether an item is an event. The pass checks just enough of the structure to notice
//! where an item is broken, for example by a missing quote: otherwise it would take the rest of the document for the text of a string.

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
    /// In a byte-order mark, so many bytes of it, or an item that begins like one.
    Mark(usize),
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
    /// Brackets between items that were opened and not closed.
    level: i64,
    /// The last byte between items that was not filler, or that an item ended with.
    last: Option<u8>,
}

impl Framer {
    /// Of a document from `offset` on, where no item is open.
    pub fn new(offset: u64) -> Framer {
        let (state, before) = (State::Between, Before::Other);
        Framer { state, at: offset, start: offset, arrays: Vec::new(), depth: 0, before, level: 0, last: None }
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

    /// Brackets between items that are open.
    pub fn level(&self) -> i64 {
        self.level
    }

    /// The same, of a document in which so many are open at its start.
    pub fn at_level(self, level: i64) -> Framer {
        Framer { level, ..self }
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
            State::Mark(seen) if byte == MARK[seen] => {
                self.state = if seen + 1 == MARK.len() { State::Between } else { State::Mark(seen + 1) };
                at + 1
            }
            State::Mark(_) => {
                self.state = State::WordItem;
                at
            }
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
            State::Text { then, .. } => self.text(bytes, at, then),
            State::Scalar => {
                self.before = Before::Other;
                let length = word_length(&bytes[at..]);
                if at + length < bytes.len() {
                    self.state = State::Structure(Expect::CommaOrEnd);
                }
                at + length
            }
            State::TextItem { .. } => self.text_item(bytes, at, base, items),
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

    /// Looks at the text of a string in an object, as far as it is alike.
    fn text(&mut self, bytes: &[u8], at: usize, then: Expect) -> usize {
        self.before = Before::Other;
        let end = at + string_length(&bytes[at..]);
        match bytes.get(end) {
            None => return end,
            Some(b'"') => self.state = State::Structure(then),
            Some(b'\\') => self.state = State::Text { escaped: true, then },
            Some(_) => {
                self.state = State::Broken;
                return end;
            }
        }
        end + 1
    }

    /// Looks at the text of a string that is an item, as far as it is alike.
    fn text_item(&mut self, bytes: &[u8], at: usize, base: u64, items: &mut Vec<Item>) -> usize {
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

    /// Looks at a byte between items: a separator, or the first one of an item.
    fn between(&mut self, bytes: &[u8], at: usize, base: u64) -> usize {
        let byte = bytes[at];
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' | RECORD_SEPARATOR => return at + 1,
            0 => return at + bytes[at..].iter().take_while(|byte| **byte == 0).count(),
            b',' | b'[' | b']' => {
                self.level += i64::from(byte == b'[') - i64::from(byte == b']');
                self.last = Some(byte);
                return at + 1;
            }
            0xef => self.state = State::Mark(1),
            b'{' => {
                (self.depth, self.state) = (0, State::Structure(Expect::KeyOrEnd));
                self.before = Before::Other;
                self.push(Bracket::Brace);
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
                self.push(Bracket::Brace);
                State::Structure(Expect::KeyOrEnd)
            }
            b'[' => {
                self.push(Bracket::Square);
                State::Structure(Expect::ValueOrEnd)
            }
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => State::Scalar,
            _ => return None,
        };
        Some(Next::Goes(state))
    }

    fn push(&mut self, bracket: Bracket) {
        let (word, bit) = (self.depth / 64, self.depth % 64);
        if word == self.arrays.len() {
            self.arrays.push(0);
        }
        let is_array = u64::from(bracket == Bracket::Square);
        self.arrays[word] = self.arrays[word] & !(1 << bit) | is_array << bit;
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

/// What opens an object, or an array.
#[derive(PartialEq)]
enum Bracket {
    Brace,
    Square,
}

/// What a byte of the structure leads to.
enum Next {
    Goes(State),
    Ends,
    Fault,
}

/// U+FEFF.
pub const MARK: [u8; 3] = *b"\xef\xbb\xbf";

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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    /// The items of a text, and where an item is open at its end.
    fn items(text: &[u8]) -> (Vec<(&[u8], bool)>, Option<u64>) {
        let (mut framer, mut items) = (Framer::new(0), Vec::new());
        framer.feed(text, &mut items, usize::MAX);
        let text = |item: &Item| (&text[item.start as usize..item.end as usize], item.broken);
        (items.iter().map(text).collect(), framer.open())
    }

    #[track_caller]
    fn finds(text: &str, expected: &[&str], open: Option<u64>) {
        let (found, rest) = items(text.as_bytes());
        let shown =
            |(item, broken): &(&[u8], bool)| format!("{}{}", if *broken { "!" } else { "" }, item.escape_ascii());
        let found: Vec<String> = found.iter().map(shown).collect();
        let expected: Vec<String> = expected.iter().map(|item| item.as_bytes().escape_ascii().to_string()).collect();
        assert_eq!((found, rest), (expected, open), "{text:?}");
    }

    #[test]
    fn what_stands_between_separators_is_an_item() {
        finds("", &[], None);
        finds(" [\n{},\t{ } ]\r\n", &["{}", "{ }"], None);
        finds("{}{}[{}]\u{1e}{}\0\u{feff}{}", &["{}"; 5], None);
        finds("[[{}],[],{}]", &["{}", "{}"], None);
        finds(r#"1 -2.5e7,null"x\"]"true{"#, &["1", "-2.5e7", "null", r#""x\"]""#, "true"], Some(23));
        finds(
            r#"{"a":[1,{"b":{}},[[]],"}]",true],"c":"\\"},{}"#,
            &[r#"{"a":[1,{"b":{}},[[]],"}]",true],"c":"\\"}"#, "{}"],
            None,
        );
        finds("{\"a\"\n:\n1\n,\n\"b\"\n:\n[\n]\n}\n", &["{\"a\"\n:\n1\n,\n\"b\"\n:\n[\n]\n}"], None);
        finds("words: {}x}, 'a'", &["words:", "{}", "x}"], Some(13));
        finds("\"text\nmore", &["\"text"], Some(6));
        finds("{} {\"a\":", &["{}"], Some(3));
        finds("{\"a\":\"\\\"}", &[], Some(0));
    }

    #[test]
    fn a_broken_object_ends_where_the_next_begins() {
        for broken in [
            r#"{"a":"x, "b":1}"#,
            r#"{"a":"x},"#,
            r#"{"a" 1}"#,
            r#"{"a":1 "b":2}"#,
            r#"{a:1}"#,
            r#"{'a':1}"#,
            r#"{"a":1,}"#,
            r#"{"a":[1,]}"#,
            r#"{"a":[}"#,
            r#"{"a":{]}"#,
            r#"{"a":}"#,
            r#"{,}"#,
            r#"{"a":1]}"#,
            r#"{"a":NaN}"#,
            r#"{"a":/**/1}"#,
            "{\"a\":\0}",
            "{\"a\":\"\t\"}",
            "{\"a\":\"\\\u{1}\"}",
        ] {
            // One of them takes the comma of a text for its own end.
            let closed = if broken.ends_with('}') { broken.to_owned() } else { format!("{broken}\"a\":}}") };
            for between in [",", "", " , ", ",\n  ", "\n\n", "\r\n,"] {
                finds(&format!("[{closed}{between}{{}},{{}}]"), &[&format!("!{closed}{between}"), "{}", "{}"], None);
            }
        }
        // Behind a line end another one begins, whatever comes before it.
        finds("{\"a\":1,\n{}\n", &["!{\"a\":1,\n", "{}"], None);
        finds("{\"a\":\"x\n{}\n", &["!{\"a\":\"x\n", "{}"], None);
        finds("{\"a\":\"x\n {}\n", &[], Some(0));
        // An outer brace is missing.
        finds(r#"{"a":{},{"b":1}"#, &[r#"!{"a":{},"#, r#"{"b":1}"#], None);
        finds(r#"{"a":'x', "b":{}, {"c":1}"#, &[r#"!{"a":'x', "b":{}, "#, r#"{"c":1}"#], None);
    }

    #[test]
    fn nesting_is_bounded_by_what_an_object_can_have() {
        let deep = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        finds(&deep(500_000), &[&deep(500_000)], None);
        let (found, open) = items(&[b'['; 0]);
        assert_eq!((found.len(), open), (0, None));
        let endless = format!("{{\"a\":{}", "[".repeat(3 * MAX_OBJECT));
        let mut framer = Framer::new(0);
        framer.feed(endless.as_bytes(), &mut Vec::new(), usize::MAX);
        assert!(framer.is_broken() && framer.arrays.len() <= MAX_OBJECT / 64 + 1);
    }

    proptest! {
        /// However the bytes come in pieces, whatever they are.
        #[test]
        fn pieces_make_no_difference(
            tokens in prop::collection::vec(
                select(vec!["{", "}", "[", "]", ",", ":", "\"", "\\", "\n", " ", "\"a\"", "{\"a\":1}", "1", "x", "\0", "\u{feff}", "é", "\u{ff01}", "\t", "\u{1e}", "},{"]),
                0..60,
            ),
            cuts in prop::collection::vec(0..200usize, 0..8),
        ) {
            let text = tokens.concat().into_bytes();
            let mut whole = Vec::new();
            let mut framer = Framer::new(0);
            framer.feed(&text, &mut whole, usize::MAX);
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(text.len())).chain([0, text.len()]).collect();
            cuts.sort_unstable();
            let mut pieces = Framer::new(0);
            let mut found = Vec::new();
            for pair in cuts.windows(2) {
                pieces.feed(&text[pair[0]..pair[1]], &mut found, usize::MAX);
            }
            prop_assert_eq!(&found, &whole);
            prop_assert_eq!((pieces.open(), pieces.at(), pieces.last()), (framer.open(), framer.at(), framer.last()));
            // One at a time, as where a long one is passed over; and from the end of any of them.
            let mut single = Framer::new(0);
            let mut one_by_one = Vec::new();
            while single.at() < text.len() as u64 {
                single.feed(&text[single.at() as usize..], &mut one_by_one, 1);
                if let [.., last] = one_by_one.as_slice() && single.open().is_none() {
                    prop_assert!(single.at() >= last.end);
                }
                let rest = std::mem::take(&mut one_by_one);
                for item in rest {
                    prop_assert!(whole.contains(&item));
                    let mut again = Framer::new(item.end);
                    let mut behind = Vec::new();
                    again.feed(&text[item.end as usize..], &mut behind, usize::MAX);
                    let place = whole.iter().position(|other| *other == item).unwrap();
                    prop_assert_eq!(&behind, &whole[place + 1..]);
                }
            }
        }

        /// Whatever is JSON has the items that serde_json finds in it.
        #[test]
        fn of_json_the_items_are_its_values(
            values in prop::collection::vec((json_value(), select(vec!["", " ", "\n", ",", ",\n ", "]["])), 0..8),
            pretty in any::<bool>(),
        ) {
            let mut text = String::new();
            let mut expected = Vec::new();
            for (value, between) in values {
                let value = serde_json::json!({ "v": value });
                let item = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
                text += &item;
                text += between;
                expected.push(item);
            }
            let (found, open) = items(text.as_bytes());
            prop_assert_eq!(open, None);
            let found: Vec<_> = found.into_iter().map(|(item, broken)| (String::from_utf8_lossy(item).into_owned(), broken)).collect();
            let expected: Vec<_> = expected.into_iter().map(|item| (item, false)).collect();
            prop_assert_eq!(found, expected);
        }
    }

    fn json_value() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 30, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
