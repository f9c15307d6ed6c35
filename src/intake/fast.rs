//! The fast path: one pass over an object, in any layout that real programs write.
//!
//! It knows less than [`super::parse`], on purpose. Escapes in names, deep nesting and whatever else is rare make it give up,
//! and the caller asks the judge. What it does accept, the judge accepts with the same values; `tests/parser_agreement.rs`
//! holds the two against each other.
//!
//! Why it is quick:
//!
//! * It searches strings 16 or 32 bytes at a time and reads digits eight at a time (`words`). So most loops run once, and
//!   branches go the same way line after line.
//! * It compares a key as a whole, quotes and colon included, first with the key that usually comes next.
//! * The cursor lives in registers. What is rare works on a copy (`rare`).
//! * It looks for nothing twice. The line ends where its object ends, so nobody searches for `\n` beforehand.
//!
//! It reads ahead, so it may say nothing about an object that has little or nothing behind it.

mod cursor;
mod rare;
mod strings;
mod values;
mod words;

use self::rare::Member;
pub(super) use self::words::string_marks;
use super::parse::MAX_OBJECT;
use crate::event::{Event, Id, Kind, Site};

/// The deepest nesting of a skipped value: each array or object around takes a bit of a word.
const MAX_DEPTH: u32 = 32;

// The required keys that an object has had, one bit each.
const ID: u8 = 1;
const FROM: u8 = 1 << 1;
const SITE_ID: u8 = 1 << 2;
const TIMESTAMP: u8 = 1 << 3;
const TYPE: u8 = 1 << 4;
const DATA: u8 = 1 << 5;
const MESSAGE: u8 = 1 << 6;
const STATUS: u8 = 1 << 7;

/// Reads the event of the object at the start of `input`. Gives the number of bytes too, with the white space around it and
/// the `\n` behind that, if there is one. So a line of one object is taken whole.
///
/// `None` says nothing about the input: it may begin with an event, with something else, be blank, or too long.
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

/// Reads the event of the object that `input` begins with. Gives the number of bytes too, `{` to `}`. The object may have line
/// ends inside. `None` says nothing about it.
pub fn object(input: &[u8]) -> Option<(Event<'_>, usize)> {
    let mut object = Cursor::<true> { rest: input };
    let event = object.event()?;
    Some((event, input.len() - object.rest.len()))
}

/// Notes that an object has had `key`; `None` if it has had it before.
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

/// The rest of the input; `LINE_ENDS` says whether `\n` is white space in it. Every method reads on from its start. It gives
/// `None` if it finds something else than it expects, or fewer bytes than it looks at.
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

    /// Reads the members of an object as long as they are the required ones in the usual order. Gives whether that was all; if
    /// not, `key` is the next one.
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

    /// Reads the members of an object from a key on, in any order.
    // As a separate function it would cost more to pass the arguments and the results than it saves.
    #[inline(always)]
    fn members(&mut self, mut key: u128, found: &mut Found<'a>) -> Option<()> {
        // The usual order of the keys takes one round. Any other takes a round for each step back, and one for each unknown key.
        // A jump by the key would be one branch instead of many, but the processor predicts it less well than all of these.
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::MAX_NAME;

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
