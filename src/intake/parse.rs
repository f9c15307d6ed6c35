//! The judge: which objects are events, and why the others are not.
//!
//! serde_json does the reading (`visit`), so JSON means here what it means everywhere else. [`super::fast`] is quicker and
//! knows less; it may only accept what this module accepts, with the same values.

mod reason;
mod visit;

use std::borrow::Cow;

pub use reason::Reason;
use visit::{Data, read};

use crate::event::{Event, Id, Site};

/// The longest object, in bytes from `{` to `}`.
pub const MAX_OBJECT: usize = 1_048_576;

/// Room for the names that are written with escapes. All others are borrowed from their text.
#[derive(Debug, Default)]
pub struct Scratch {
    id: String,
    from: String,
    site_id: String,
}

/// How many bytes at the start of `text` stand for nothing, and how many of them are NUL. Those are space, tab, `\r`, and what
/// gets between joined files by accident: byte-order marks, and the zeros that a truncated file has where its writer went on.
pub fn filler(text: &[u8]) -> (usize, u64) {
    let (mut rest, mut nuls) = (text, 0);
    loop {
        rest = match rest {
            [b' ' | b'\t' | b'\r', rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [0, ..] => {
                let count = leading_zeros(rest);
                nuls += count as u64;
                &rest[count..]
            }
            _ => return (text.len() - rest.len(), nuls),
        };
    }
}

/// How many bytes at the start are zero; there may be gigabytes of them.
fn leading_zeros(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<64>();
    let zero = blocks.iter().take_while(|block| block.iter().fold(0, |all, byte| all | byte) == 0).count() * 64;
    zero + bytes[zero..].iter().take_while(|byte| **byte == 0).count()
}

/// What the judge looks at: text from the first byte of an object on. Whatever comes behind the object may be part of it.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    text: &'a str,
    /// The text ends before a byte that is not UTF-8.
    broken: bool,
}

impl<'a> Text<'a> {
    /// As much of these bytes as is UTF-8.
    pub fn new(bytes: &'a [u8]) -> Text<'a> {
        match bytes.utf8_chunks().next() {
            Some(chunk) => Text { text: chunk.valid(), broken: chunk.valid().len() < bytes.len() },
            None => Text { text: "", broken: false },
        }
    }

    /// What is left of it behind so many bytes; nothing if these are not whole characters.
    pub fn behind(self, bytes: usize) -> Text<'a> {
        Text { text: self.text.get(bytes..).unwrap_or_default(), ..self }
    }
}

/// The event whose object `text` begins with, and the bytes of the object.
///
/// # Errors
///
/// The reason why it is not an event. An object that is valid JSON with every required key right is always an event, whatever
/// else it holds. Skipped values cost time in proportion to their length, and at most a byte of memory a level.
pub fn parse<'a>(text: Text<'a>, scratch: &'a mut Scratch) -> Result<(Event<'a>, usize), Reason> {
    let mut limit = text.text.len().min(MAX_OBJECT);
    while !text.text.is_char_boundary(limit) {
        limit -= 1;
    }
    let (window, cut) = (&text.text[..limit], limit < text.text.len());
    let at_end = match (cut, text.broken) {
        (true, _) => Reason::TooLong,
        (false, true) => Reason::NotUtf8,
        (false, false) => Reason::NotJson,
    };

    let (mut fields, mut length) = read(window, None, at_end)?;
    let subject = fields.subject.ok_or(Reason::MissingType)?;
    if let Some(Data::Skipped) = fields.data {
        // `data` came before `type`, so which of its keys is required was not known yet.
        (fields, length) = read(window, Some(subject), at_end)?;
    }
    let Some(Data::Read(kind)) = fields.data else {
        return Err(Reason::MissingData);
    };
    let id = fields.id.ok_or(Reason::MissingId)?;
    let from = fields.from.ok_or(Reason::MissingFrom)?;
    let site_id = fields.site_id.ok_or(Reason::MissingSiteId)?;
    let event = Event {
        site: Site::new(keep(site_id, &mut scratch.site_id)),
        id: Id::new(keep(id, &mut scratch.id)),
        from: keep(from, &mut scratch.from),
        timestamp: fields.timestamp.ok_or(Reason::MissingTimestamp)?,
        kind,
    };
    Ok((event, length))
}

/// How many bytes at the start of `bytes` are events and filler, and why what comes next is not an event, if anything comes.
/// It stops where `margin` bytes or fewer are left.
pub fn events(bytes: &[u8], margin: usize) -> (usize, Option<Reason>) {
    let (mut at, mut scratch) = (filler(bytes).0, Scratch::default());
    let (start, text) = (at, Text::new(&bytes[at..]));
    loop {
        at += filler(&bytes[at..]).0;
        if bytes.len() - at <= margin {
            return (at, None);
        }
        match parse(text.behind(at - start), &mut scratch) {
            Ok((_, length)) => at += length,
            Err(reason) => return (at, Some(reason)),
        }
    }
}

/// The bytes of a text: its own, or those that `room` keeps for it.
fn keep<'a>(text: Cow<'a, str>, room: &'a mut String) -> &'a [u8] {
    match text {
        Cow::Borrowed(text) => text.as_bytes(),
        Cow::Owned(text) => {
            *room = text;
            room.as_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Kind, is_name};

    const ID: &str = r#""id":"x""#;
    const FROM: &str = r#""from":"visitor1""#;
    const SITE_ID: &str = r#""site_id":"1""#;
    const TIMESTAMP: &str = r#""timestamp":7"#;
    const TYPE: &str = r#""type":"message""#;
    const DATA: &str = r#""data":{"message":"Hi"}"#;
    const ALL: [&str; 6] = [ID, FROM, SITE_ID, TIMESTAMP, TYPE, DATA];

    fn object(members: &[&str]) -> String {
        format!("{{{}}}", members.join(","))
    }

    /// A right message line, but for one member: `instead` stands in its place.
    fn with(member: &str, instead: &str) -> String {
        assert!(ALL.contains(&member));
        object(&ALL).replace(member, instead)
    }

    fn status(data: &str) -> String {
        object(&[ID, FROM, SITE_ID, TIMESTAMP, r#""type":"status""#, data])
    }

    /// The event of a line that is one object.
    fn judge<'a>(line: &'a [u8], scratch: &'a mut Scratch) -> Result<Event<'a>, Reason> {
        let (event, length) = parse(Text::new(line), scratch)?;
        assert_eq!(filler(&line[length..]).0, line.len() - length, "{}", line.escape_ascii());
        Ok(event)
    }

    #[track_caller]
    fn accepts(line: impl AsRef<[u8]>) -> Kind {
        let line = line.as_ref();
        let mut scratch = Scratch::default();
        let event = judge(line, &mut scratch).unwrap_or_else(|reason| panic!("{}: {reason}", line.escape_ascii()));
        assert!(is_name(event.from));
        event.kind
    }

    #[track_caller]
    fn rejects(line: impl AsRef<[u8]>, reason: Reason) {
        let line = line.as_ref();
        assert_eq!(judge(line, &mut Scratch::default()), Err(reason), "{}", line.escape_ascii());
    }

    #[test]
    fn reads_every_field() {
        let line = br#"{"id":"7b4a5786-3574-4806-9988-25d109c284b8","type":"status","from":"operator2","site_id":"1","timestamp":533,"data":{"status":"offline"}}"#;
        let event = Event {
            site: Site::Number(1),
            id: Id::new(b"7b4a5786-3574-4806-9988-25d109c284b8"),
            from: b"operator2",
            timestamp: 533,
            kind: Kind::Offline,
        };
        assert_eq!(judge(line, &mut Scratch::default()), Ok(event));
        assert_eq!(accepts(status(r#""data":{"status":"online"}"#)), Kind::Online);
        assert_eq!(accepts(object(&ALL)), Kind::Message);
    }

    #[test]
    fn keys_stand_in_any_order() {
        // Heap's algorithm: all 720 of them.
        let mut members = ALL;
        let mut swaps = [0; 6];
        let mut place = 1;
        accepts(object(&members));
        while place < 6 {
            if swaps[place] < place {
                members.swap(if place % 2 == 0 { 0 } else { swaps[place] }, place);
                accepts(object(&members));
                swaps[place] += 1;
                place = 1;
            } else {
                swaps[place] = 0;
                place += 1;
            }
        }
    }

    #[test]
    fn white_space_stands_anywhere_between_tokens() {
        accepts(
            " \t\r { \"id\" : \"x\" , \"from\":\t\"f\",\r\"site_id\":\"1\",\"timestamp\": -7 ,\"type\" :\"message\",\"data\" : { \"message\"\t:\"\" } } \t\r",
        );
        rejects(format!("\u{a0}{}", object(&ALL)), Reason::NotJson);
        rejects(with(TYPE, &format!("\u{feff}{TYPE}")), Reason::NotJson);
        rejects(with(TYPE, &format!("\0{TYPE}")), Reason::NotJson);
    }

    #[test]
    fn filler_is_white_space_zeros_and_byte_order_marks() {
        for (text, expected) in [
            (&b""[..], (0, 0)),
            (b"{}", (0, 0)),
            (b" \t\r{", (3, 0)),
            (b"\0\0 \xef\xbb\xbf\0x", (7, 3)),
            (b"\xef\xbb{", (0, 0)),
            (b"\n", (0, 0)),
            (b"\x0b", (0, 0)),
            ("\u{a0}".as_bytes(), (0, 0)),
        ] {
            assert_eq!(filler(text), expected, "{}", text.escape_ascii());
        }
        for count in [1, 63, 64, 65, 1000, 4096, 70_000] {
            let mut hole = vec![0; count];
            assert_eq!(filler(&hole), (count, count as u64));
            hole.push(b'{');
            assert_eq!(filler(&hole), (count, count as u64));
        }
    }

    #[test]
    fn keys_and_values_are_compared_after_unescaping() {
        let line = with(ID, r#""\u0069d":"\u0041\ud83d\ude00\/""#);
        assert_eq!(judge(line.as_bytes(), &mut Scratch::default()).unwrap().id, Id::Text("A😀/".as_bytes()));
        let line = with(SITE_ID, r#""site\u005fid":"\u0031""#);
        assert_eq!(judge(line.as_bytes(), &mut Scratch::default()).unwrap().site, Site::Number(1));
        let line = with(FROM, r#""from":"\u006a\"\\""#);
        assert_eq!(judge(line.as_bytes(), &mut Scratch::default()).unwrap().from, br#"j"\"#);
        accepts(with(TYPE, r#""ty\u0070e":"mess\u0061ge""#));
        accepts(with(DATA, r#""d\u0061ta":{"m\u0065ssage":"\n"}"#));
        assert_eq!(accepts(status(r#""data":{"st\u0061tus":"\u006fnline"}"#)), Kind::Online);
        rejects(with(FROM, r#""from":"f","\u0069d":"y""#), Reason::DuplicateKey);
    }

    #[test]
    fn every_required_key_is_required() {
        for (place, reason) in [
            Reason::MissingId,
            Reason::MissingFrom,
            Reason::MissingSiteId,
            Reason::MissingTimestamp,
            Reason::MissingType,
            Reason::MissingData,
        ]
        .into_iter()
        .enumerate()
        {
            let mut members = ALL.to_vec();
            members.remove(place);
            rejects(object(&members), reason);
        }
        rejects("{}", Reason::MissingType);
        rejects(with(DATA, r#""data":{}"#), Reason::MissingMessage);
        rejects(with(DATA, r#""data":{"status":"online"}"#), Reason::MissingMessage);
        rejects(status(r#""data":{"message":"Hi"}"#), Reason::MissingStatus);
        rejects(with(ID, r#""ID":"x""#), Reason::MissingId);
    }

    #[test]
    fn a_required_key_stands_once() {
        for member in ALL {
            rejects(object(&[&ALL[..], &[member]].concat()), Reason::DuplicateKey);
            rejects(object(&[&[member], &ALL[..]].concat()), Reason::DuplicateKey);
        }
        rejects(with(DATA, r#""data":{"message":"a","message":"a"}"#), Reason::DuplicateKey);
        rejects(status(r#""data":{"status":"online","status":"online"}"#), Reason::DuplicateKey);
        accepts(with(ID, r#""id":"x","more":1,"more":2"#));
        accepts(with(DATA, r#""data":{"message":"","id":1,"id":2,"data":{}}"#));
    }

    #[test]
    fn data_of_the_other_type_is_unknown() {
        for other in [r#""online""#, "1", r#""\ud800""#, r#"{"a":[]}"#, r#""","status":"online""#] {
            let data = format!(r#""data":{{"status":{other},"message":""}}"#);
            assert_eq!(accepts(with(DATA, &data)), Kind::Message);
            assert_eq!(accepts(object(&[&data, ID, FROM, SITE_ID, TIMESTAMP, TYPE])), Kind::Message);
        }
        for other in [r#""Hi""#, "null", r#""\udc00\ud800""#, "[[]]", r#""","message":"""#] {
            let data = format!(r#""data":{{"status":"online","message":{other}}}"#);
            assert_eq!(accepts(status(&data)), Kind::Online);
            assert_eq!(accepts(status(&data).replace(ID, &format!("{ID},\"late\":0"))), Kind::Online);
            let first = object(&[&data, ID, FROM, SITE_ID, TIMESTAMP, r#""type":"status""#]);
            assert_eq!(accepts(first), Kind::Online);
        }
        // What is wrong in `data` is wrong before `type`, too.
        rejects(object(&[r#""data":{"message":1}"#, ID, FROM, SITE_ID, TIMESTAMP, TYPE]), Reason::WrongMessage);
        rejects(object(&[r#""data":[]"#, ID, FROM, SITE_ID, TIMESTAMP, TYPE]), Reason::WrongData);
        accepts(object(&[r#""data":{"\ud800":1,"message":""}"#, ID, FROM, SITE_ID, TIMESTAMP, TYPE]));
    }

    #[test]
    fn names_are_strings_without_control_characters() {
        let longest = format!("\"{}\"", "x".repeat(1024));
        let escaped = format!("\"{}\"", r"\u0078".repeat(1024));
        for value in [r#""Jürgen""#, r#""😀""#, r#"" ""#, r#""\u00a0""#, r#""\"""#, &longest, &escaped] {
            for (member, key) in [(ID, "id"), (FROM, "from"), (SITE_ID, "site_id")] {
                accepts(with(member, &format!("\"{key}\":{value}")));
            }
        }
        let too_long = format!("\"{}\"", "x".repeat(1025));
        for value in [
            "\"\"",
            "1",
            "null",
            "true",
            "[]",
            "{}",
            r#"["x"]"#,
            r#""\n""#,
            r#""\u0000""#,
            r#""\u007f""#,
            r#""\u0085""#,
            "\"\u{7f}\"",
            "\"\u{85}\"",
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\u0041""#,
            r#""\ud800\n""#,
            &too_long,
        ] {
            rejects(with(ID, &format!("\"id\":{value}")), Reason::WrongId);
            rejects(with(FROM, &format!("\"from\":{value}")), Reason::WrongFrom);
            rejects(with(SITE_ID, &format!("\"site_id\":{value}")), Reason::WrongSiteId);
        }
    }

    #[test]
    fn timestamps_are_integers_of_64_bits() {
        for (text, value) in
            [("0", 0), ("-1", -1), ("10", 10), ("9223372036854775807", i64::MAX), ("-9223372036854775808", i64::MIN)]
        {
            let line = with(TIMESTAMP, &format!("\"timestamp\":{text}"));
            assert_eq!(judge(line.as_bytes(), &mut Scratch::default()).unwrap().timestamp, value);
        }
        for wrong in [
            "-0",
            "1.0",
            "1e3",
            "1E0",
            "0.0",
            "-0.0",
            "0e0",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "1e999",
            "\"7\"",
            "null",
            "true",
            "[7]",
            "{}",
            "00",
            "07",
            "-07",
            "+1",
            ".5",
            "1.",
            "-",
            "--1",
            "1e",
            "NaN",
            "Infinity",
            "-Infinity",
            "0x10",
            "1_000",
            "1,000",
            "７",
        ] {
            let line = with(TIMESTAMP, &format!("\"timestamp\":{wrong}"));
            let reason = judge(line.as_bytes(), &mut Scratch::default()).expect_err(&line);
            assert!(matches!(reason, Reason::WrongTimestamp | Reason::NotJson), "{line}: {reason:?}");
        }
        rejects(with(TIMESTAMP, "\"timestamp\":1.0"), Reason::WrongTimestamp);
        rejects(with(TIMESTAMP, "\"timestamp\":-0"), Reason::WrongTimestamp);
        rejects(with(TIMESTAMP, "\"timestamp\":\"7\""), Reason::WrongTimestamp);
    }

    #[test]
    fn types_messages_and_statuses_are_what_they_say() {
        for wrong in ["\"\"", "\"Message\"", "\"message \"", "\"online\"", "1", "null", "{}", "[\"message\"]"] {
            rejects(with(TYPE, &format!("\"type\":{wrong}")), Reason::WrongType);
        }
        for wrong in ["[]", "\"\"", "null", "1", "[\"message\",\"\"]"] {
            rejects(with(DATA, &format!("\"data\":{wrong}")), Reason::WrongData);
        }
        for message in [
            r#""\ud800""#,
            r#""\ud83d\u0041""#,
            r#""\ude00\ud83d""#,
            "\"\"",
            r#""\u0000\ud83d\ude00\"\\\/\b\f\n\r\t""#,
            "\"\u{7f}\u{85}\u{10ffff}\"",
        ] {
            accepts(with(DATA, &format!("\"data\":{{\"message\":{message}}}")));
        }
        for wrong in ["1", "null", "[]", "{}", "true", "[1", "{", "\"\t\"", r#""\x""#, r#""\ud8""#] {
            rejects(with(DATA, &format!("\"data\":{{\"message\":{wrong}}}")), Reason::WrongMessage);
        }
        for wrong in ["1", "null", "[]", "{}", "true", "\"\"", "\"Online\"", "\"away\""] {
            rejects(status(&format!("\"data\":{{\"status\":{wrong}}}")), Reason::WrongStatus);
        }
    }

    /// Values of JSON, of every kind.
    const JSON: &[&str] = &[
        "0",
        "-0",
        "1.5",
        "1e999",
        "-1.5E+3",
        "1e-1",
        "123456789012345678901234567890",
        "true",
        "false",
        "null",
        "\"\"",
        r#""\ud800""#,
        r#""\u0000""#,
        "[]",
        "{}",
        "[1,[2,{\"a\":{}}],\"]\"]",
        r#"{"":1,"":2,"\ud800":3}"#,
        "[ ]",
        "{ }",
    ];

    /// What is nearly a value of JSON.
    const NOT_JSON: &[&str] = &[
        "",
        "01",
        "-01",
        "-",
        "+1",
        ".5",
        "1.",
        "1.e1",
        "1e",
        "1e+",
        "0x1",
        "NaN",
        "Infinity",
        "True",
        "nul",
        "truex",
        "'a'",
        "a",
        "\"a",
        "\"\t\"",
        "\"\0\"",
        r#""\x41""#,
        r#""\u12""#,
        r#""\u12g4""#,
        r#""\""#,
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "[}",
        "{]",
        "{,}",
        "{\"a\":1,}",
        "{\"a\"}",
        "{\"a\" 1}",
        "{1:1}",
        "{a:1}",
        "/**/1",
        "1//",
        "\u{feff}1",
        "\u{a0}1",
        "1 1",
        "1,",
        "1,,\"b\":1",
        ":1",
    ];

    #[test]
    fn unknown_values_are_any_json() {
        for value in JSON {
            accepts(with(ID, &format!("{ID},\"more\":{value}")));
            accepts(with(DATA, &format!("\"data\":{{\"more\":{value},\"message\":\"\"}}")));
        }
        for value in NOT_JSON {
            rejects(with(ID, &format!("{ID},\"more\":{value}")), Reason::NotJson);
        }
    }

    #[test]
    fn the_whole_line_is_one_object() {
        for line in ["[]", "1", "\"\"", "null", "true", &format!("[{}]", object(&ALL))] {
            rejects(line, Reason::NotAnObject);
        }
        for line in ["{", "}", "hello", "'", "\0", "{\"id\"", "{\"id\":", "{'id':1}", "{,}", "{id:1}"] {
            rejects(line, Reason::NotJson);
        }
        let line = object(&ALL);
        // What comes behind it is another matter.
        for tail in ["x", "}", ",", "{}", " null", "\0", "]", "//", "\u{a0}", "\x0c", "\"", &line] {
            let text = format!("{line}{tail}");
            let (event, length) = parse(Text::new(text.as_bytes()), &mut Scratch::default())
                .map(|(event, length)| (event.timestamp, length))
                .unwrap_or_else(|reason| panic!("{text}: {reason}"));
            assert_eq!((event, length), (7, line.len()), "{text}");
            let bytes = [text.as_bytes(), b"\xff"].concat();
            assert!(parse(Text::new(&bytes), &mut Scratch::default()).is_ok_and(|(_, length)| length == line.len()));
        }
        for (space, spread) in [(" ", 1), ("\n", 1), (" \r\n\t", 3), ("\n\n", 40)] {
            let spread = line.replace(',', &format!(",{}", space.repeat(spread)));
            for tail in ["", space, "\n\n{", "  x", "\n,"] {
                let text = format!("{spread}{tail}");
                let mut scratch = Scratch::default();
                let length = parse(Text::new(text.as_bytes()), &mut scratch).map(|(_, length)| length);
                assert_eq!(length, Ok(spread.len()), "{text}");
            }
        }
        for length in 0..line.len() {
            rejects(&line[..length], Reason::NotJson);
        }
        rejects(line.replace("}}", ",}}"), Reason::NotJson);
        rejects(line.replace("}}", "},}"), Reason::NotJson);
        rejects(line.replace('{', "{,"), Reason::NotJson);
        accepts(with(TYPE, r#""\ud800":1,"type":"message""#));
    }

    #[test]
    fn every_byte_is_utf8() {
        for bytes in [&b"\xff"[..], b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80"] {
            let line = with(ID, &format!("{ID},\"more\":\"?\""));
            let place = line.find('?').unwrap();
            let line = [&line.as_bytes()[..place], bytes, &line.as_bytes()[place + 1..]].concat();
            rejects(line, Reason::NotUtf8);
        }
    }

    #[test]
    fn objects_have_a_longest() {
        let line = object(&ALL);
        let text = "x".repeat(MAX_OBJECT - line.len() + 2);
        accepts(line.replace("Hi", &text));
        accepts(format!("{}{}", line.replace("Hi", &text), " ".repeat(5000)));
        rejects(line.replace("Hi", &format!("{text}x")), Reason::TooLong);
        // Whatever comes first: the fault, or the end of what is looked at, in the middle of a character or not.
        rejects(line.replace("Hi", &format!("\t{text}x")), Reason::WrongMessage);
        for spare in 0..4 {
            let wide = "😀".repeat(MAX_OBJECT / 4);
            rejects(line.replace("Hi", &format!("{}{wide}", "x".repeat(spare))), Reason::TooLong);
        }
        let late = [line.replace("Hi", &text).as_bytes(), b"\xff"].concat();
        assert!(parse(Text::new(&late), &mut Scratch::default()).is_ok());
        let (start, _) = line.split_at(line.len() - 4);
        let broken = |padding: usize| [start.as_bytes(), "x".repeat(padding).as_bytes(), b"\xff\"}}"].concat();
        rejects(broken(10), Reason::NotUtf8);
        rejects(broken(MAX_OBJECT), Reason::TooLong);
    }

    #[test]
    fn nesting_has_no_limit() {
        let line = with(ID, &format!("{ID},\"more\":?"));
        let depth = 500_000;
        accepts(line.replace('?', &format!("{}{}", "[".repeat(depth), "]".repeat(depth))));
        let depth = 170_000;
        accepts(line.replace('?', &format!("{}1{}", "{\"\":".repeat(depth), "}".repeat(depth))));
        rejects(line.replace('?', &"[".repeat(1_000_000)), Reason::NotJson);
        rejects("[".repeat(1_000_000), Reason::NotAnObject);
        rejects(line.replace('?', &"[".repeat(2_000_000)), Reason::TooLong);
    }
}
