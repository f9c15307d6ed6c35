//! What is not JSON at all, recognised by its first bytes: named, with the command that helps.
//!
//! Two kinds of formats: some hold bytes at their start that no line of JSON has; of the others, which are text, nothing is said
//! where an event is among those first bytes.

use std::collections::BTreeMap;
use std::path::Path;

use serde::de::IgnoredAny;

use super::packed::{Packing, through};
use crate::base::shell::quoted;
use crate::error::Error;
use crate::format::acknowledged::ACKNOWLEDGED_MAGIC;
use crate::format::frame::SEGMENT_MAGIC;
use crate::format::snapshot_header::SNAPSHOT_MAGIC;

/// How many of the first bytes are looked at.
pub const HEAD: usize = 4096;

/// A format that is not taken.
#[derive(Clone, Copy)]
pub struct Foreign(&'static Format);

/// How to recognise a format, and what to do about it.
struct Format {
    /// With an article.
    name: &'static str,
    is: fn(&[u8]) -> bool,
    /// Whether it is this one though an event is among the first bytes: archives and databases may hold it as it was.
    certain: bool,
    help: Help,
}

/// What makes events of it.
enum Help {
    /// A command that takes a file's name, and the same as it reads its standard input.
    Command(&'static str, &'static str),
    /// A command that takes a file only: what stands before its name and behind it.
    OfFile(&'static str, &'static str),
    /// Words only.
    Words(&'static str),
}

/// What is told of a file of a store, behind the command that gives its events.
const OF_STORE: &str =
    " | chatwal ingest --store DIR -` takes its events; `chatwal report --store` wants the directory";

#[rustfmt::skip]
const FORMATS: [Format; 27] = [
    Format { name: "UTF-32 text", is: utf_32_le, certain: false, help: Help::Command("iconv -f UTF-32LE -t UTF-8", "iconv -f UTF-32LE -t UTF-8") },
    Format { name: "UTF-32 text", is: utf_32_be, certain: false, help: Help::Command("iconv -f UTF-32BE -t UTF-8", "iconv -f UTF-32BE -t UTF-8") },
    Format { name: "UTF-16 text", is: utf_16_le, certain: false, help: Help::Command("iconv -f UTF-16LE -t UTF-8", "iconv -f UTF-16LE -t UTF-8") },
    Format { name: "UTF-16 text", is: utf_16_be, certain: false, help: Help::Command("iconv -f UTF-16BE -t UTF-8", "iconv -f UTF-16BE -t UTF-8") },
    Format { name: "a zip archive (or a document of an office program, which is one)", is: zip, certain: true, help: Help::OfFile("unzip -p", "") },
    Format { name: "a tar archive", is: tar, certain: true, help: Help::Command("tar -xOf", "tar -xOf -") },
    Format { name: "a 7z archive", is: |head| head.starts_with(b"7z\xbc\xaf\x27\x1c"), certain: true, help: Help::OfFile("7z x -so", "") },
    Format { name: "a rar archive", is: |head| head.starts_with(b"Rar!\x1a\x07"), certain: true, help: Help::OfFile("unrar p -inul", "") },
    Format { name: "an lzma file", is: lzma, certain: true, help: Help::Command("xz -dc", "xz -dc") },
    Format { name: "an lzip file", is: |head| head.starts_with(b"LZIP\x01"), certain: true, help: Help::Command("lzip -dc", "lzip -dc") },
    Format { name: "an lz4 file of the old format", is: |head| head.starts_with(b"\x02\x21\x4c\x18"), certain: true, help: Help::Command("lz4 -dc", "lz4 -dc") },
    Format { name: "a file of compress (.Z)", is: |head| head.starts_with(b"\x1f\x9d"), certain: true, help: Help::Command("gzip -dc", "gzip -dc") },
    Format { name: "a Parquet file", is: |head| head.starts_with(b"PAR1\x15") || head.starts_with(b"PARE\x15"), certain: true, help: Help::OfFile("duckdb -jsonlines -c \"FROM read_parquet('/dev/stdin')\" <", "") },
    Format { name: "an Arrow or Feather file", is: arrow, certain: true, help: Help::OfFile("python3 -c 'import json, sys, pyarrow.feather as f; [print(json.dumps(row)) for row in f.read_table(sys.argv[1]).to_pylist()]'", "") },
    Format { name: "an Arrow stream", is: arrow_stream, certain: true, help: Help::OfFile("python3 -c 'import json, sys, pyarrow.ipc as f; [print(json.dumps(row)) for row in f.open_stream(sys.argv[1]).read_all().to_pylist()]'", "") },
    Format { name: "an ORC file", is: |head| head.starts_with(b"ORC") && has_control(&head[3..]), certain: true, help: Help::OfFile("orc-contents", "") },
    Format { name: "an Avro file", is: |head| head.starts_with(b"Obj\x01"), certain: true, help: Help::OfFile("avro-tools tojson", "") },
    Format { name: "an SQLite database", is: |head| head.starts_with(b"SQLite format 3\0"), certain: true, help: Help::OfFile("sqlite3 -readonly", " \"SELECT json_object('id', id, 'type', type, 'from', \\\"from\\\", 'site_id', site_id, 'timestamp', timestamp, 'data', json(data)) FROM events\" | chatwal ingest --store DIR -`; if the table has another name, `.tables` lists it") },
    Format { name: "a segment of a chatwal store", is: |head| head.starts_with(&SEGMENT_MAGIC), certain: true, help: Help::OfFile("chatwal dump --events", OF_STORE) },
    Format { name: "a snapshot of a chatwal store", is: |head| head.starts_with(&SNAPSHOT_MAGIC), certain: true, help: Help::OfFile("chatwal dump --events", OF_STORE) },
    Format { name: "the record of what a chatwal store acknowledged", is: |head| head.starts_with(&ACKNOWLEDGED_MAGIC), certain: true, help: Help::Words("name the inputs; `chatwal report --store` wants the directory that this file is in") },
    Format { name: "a PDF document", is: |head| trimmed(head).starts_with(b"%PDF-"), certain: false, help: Help::Words("name the file with the events, one JSON object a line") },
    Format { name: "an HTML page", is: html, certain: false, help: Help::Words("often it is what a server said instead of the file: look at it, and fetch the file again") },
    Format { name: "an XML document", is: |head| trimmed(head).starts_with(b"<?xml"), certain: false, help: Help::Words("often it is what a server said instead of the file; else make JSON of it, one object a line") },
    Format { name: "a table with tabs (TSV)", is: |head| is_table(head, b'\t'), certain: false, help: Help::Command(TSV, TSV) },
    Format { name: "a table with commas (CSV)", is: |head| is_table(head, b','), certain: false, help: Help::Command(CSV, CSV) },
    Format { name: "a table with semicolons (CSV)", is: |head| is_table(head, b';'), certain: false, help: Help::Command(SSV, SSV) },
];

/// Names stay strings, though they may look like numbers; a column `data.message` becomes the object `data`.
const CSV: &str = "mlr --icsv --ojsonl put '$id=string($id);$from=string($from);$site_id=string($site_id)'";
const SSV: &str = "mlr --icsv --ifs ';' --ojsonl put '$id=string($id);$from=string($from);$site_id=string($site_id)'";
const TSV: &str = "mlr --itsv --ojsonl put '$id=string($id);$from=string($from);$site_id=string($site_id)'";

/// What an input is that begins with these bytes, if it is known and no JSON: at most [`HEAD`] of them are looked at.
pub fn of(head: &[u8]) -> Option<Foreign> {
    let head = &head[..head.len().min(HEAD)];
    let format = FORMATS.iter().find(|format| (format.is)(head))?;
    (format.certain || !may_have_event(head)).then_some(Foreign(format))
}

impl Foreign {
    /// Its name, with an article.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// The error, for an input of this name that can be read only once.
    pub fn error(&self, name: &str) -> Error {
        self.error_of(name, None, &[])
    }

    /// The error, for an input of this name: its path, if it is a file, and how it is packed, the outermost first.
    pub fn error_of(&self, name: &str, file: Option<&Path>, layers: &[Packing]) -> Error {
        let unpack: Vec<&str> = layers.iter().map(|packing| packing.command()).collect();
        let hint = match (&self.0.help, file) {
            (Help::Words(words), _) => (*words).to_string(),
            (Help::Command(of_file, _), Some(_)) if unpack.is_empty() => through(file, &[of_file]),
            (Help::Command(_, filter), _) => through(file, &[&unpack[..], &[filter]].concat()),
            (Help::OfFile(before, after), Some(path)) if unpack.is_empty() => of_file(before, &quoted(path), after),
            (Help::OfFile(before, after), path) => {
                let whole = match path {
                    Some(path) => {
                        let rest = unpack[1..].iter().map(|command| format!(" | {command}")).collect::<String>();
                        format!("`{} {}{rest} > unpacked`", unpack[0], quoted(path))
                    }
                    None => "`… > unpacked`".into(),
                };
                format!("write it to a file of its own, {whole}, then {}", of_file(before, "unpacked", after))
            }
        };
        let packed = if layers.is_empty() { "" } else { "unpacked, " };
        let problem = format!("{packed}it is {}, and no JSON", self.0.name);
        Error::Input { input: name.into(), problem, hint }
    }
}

/// A command over a file, and what becomes of what it prints.
fn of_file(before: &str, file: &str, after: &str) -> String {
    match after.contains('`') {
        true => format!("`{before} {file}{after}"),
        false => format!("`{before} {file}{after} | chatwal ingest --store DIR -`"),
    }
}

/// Whether there is an event among these bytes, whole or cut by their end, or something so like one that nobody should say there is
/// none.
fn may_have_event(head: &[u8]) -> bool {
    let begins = memchr::memchr_iter(b'{', head);
    begins.into_iter().any(|at| {
        let mut values = serde_json::Deserializer::from_slice(&head[at..]).into_iter::<BTreeMap<String, IgnoredAny>>();
        match values.next() {
            Some(Ok(object)) => ["id", "site_id", "timestamp"].iter().all(|key| object.contains_key(*key)),
            Some(Err(error)) => error.is_eof(),
            None => false,
        }
    })
}

/// Without what may stand before an object.
fn trimmed(head: &[u8]) -> &[u8] {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    head.trim_ascii_start()
}

fn has_control(bytes: &[u8]) -> bool {
    bytes.iter().any(|byte| *byte < b' ' && !b"\t\n\r\x0c\x1b".contains(byte))
}

fn utf_32_le(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe\0\0") || is_wide(head, [true, false, false, false])
}

fn utf_32_be(head: &[u8]) -> bool {
    head.starts_with(b"\0\0\xfe\xff") || is_wide(head, [false, false, false, true])
}

fn utf_16_le(head: &[u8]) -> bool {
    head.starts_with(b"\xff\xfe") || is_wide(head, [true, false, true, false])
}

fn utf_16_be(head: &[u8]) -> bool {
    head.starts_with(b"\xfe\xff") || is_wide(head, [false, true, false, true])
}

/// Whether the first bytes are ASCII spread out with zeros, as text is that begins like JSON: a byte that is none where `filled`
/// says so, and zeros elsewhere. A hole of zeros before a line has no such order.
fn is_wide(head: &[u8], filled: [bool; 4]) -> bool {
    let head = &head[..head.len().min(32) / 4 * 4];
    let fits = |(at, byte): (usize, &u8)| if filled[at % 4] { (1..128).contains(byte) } else { *byte == 0 };
    head.len() >= 8 && head.iter().enumerate().all(fits)
}

/// A file of an archive, an empty archive, or one in several parts.
fn zip(head: &[u8]) -> bool {
    [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"].iter().any(|magic| head.starts_with(*magic))
}

/// A block of 512 bytes whose sum is right: it stands there in octal digits, and counts as spaces itself.
fn tar(head: &[u8]) -> bool {
    const SUM: std::ops::Range<usize> = 148..156;
    let Some(block) = head.get(..512) else { return false };
    let digits: Vec<u8> = block[SUM].iter().copied().filter(|byte| !b" \0".contains(byte)).collect();
    let told = str::from_utf8(&digits).ok().and_then(|digits| u32::from_str_radix(digits, 8).ok());
    let bytes = block.iter().enumerate();
    let sum = bytes.map(|(at, byte)| u32::from(if SUM.contains(&at) { b' ' } else { *byte })).sum();
    block[0] != 0 && block[257..262] == *b"ustar" && told == Some(sum)
}

/// Its header: a byte for the settings, a dictionary that is a power of two or one and a half of it, and the size, mostly unknown.
fn lzma(head: &[u8]) -> bool {
    let Some(([0x5d, dictionary @ ..], size)) = head.first_chunk::<5>().zip(head.get(5..13)) else { return false };
    let dictionary = u32::from_le_bytes(*dictionary);
    let power = |size: u32| size.is_power_of_two() || size.is_multiple_of(3) && (size / 3).is_power_of_two();
    dictionary >= 1 << 12 && power(dictionary) && (size == [0xff; 8] || size[5..] == [0; 3])
}

fn arrow(head: &[u8]) -> bool {
    head.starts_with(b"ARROW1\0\0") || head.starts_with(b"FEA1") && has_control(&head[4..])
}

/// The mark of a message, and the length of its header.
fn arrow_stream(head: &[u8]) -> bool {
    let length = |length: &[u8; 4]| (8..1 << 24).contains(&u32::from_le_bytes(*length));
    head.strip_prefix(&[0xff; 4]).and_then(|rest| rest.first_chunk()).is_some_and(length)
}

fn html(head: &[u8]) -> bool {
    let head = trimmed(head);
    let begins = |tag: &str| {
        let (name, rest) = head.split_at_checked(tag.len()).unwrap_or_default();
        name.eq_ignore_ascii_case(tag.as_bytes()) && rest.first().is_none_or(|byte| b" \t\r\n>".contains(byte))
    };
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| begins(tag))
}

/// Two lines or more, each with the same number of separators outside of quotes, two at least, and nothing that looks like JSON or
/// like no text.
fn is_table(head: &[u8], separator: u8) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    if head.contains(&b'{') || head.starts_with(b"[") || has_control(head) {
        return false;
    }
    // The last one may be cut.
    let Some(end) = memchr::memrchr(b'\n', head) else { return false };
    let mut counts = head[..end].split(|byte| *byte == b'\n').map(|line| separators(line, separator));
    let Some(Some(first)) = counts.next() else { return false };
    let mut others = 0;
    first >= 2
        && counts.all(|count| {
            others += 1;
            count == Some(first)
        })
        && others > 0
}

/// How many there are outside of quotes; `None` if a quote does not end.
fn separators(line: &[u8], separator: u8) -> Option<usize> {
    let (mut count, mut quoted) = (0, false);
    for byte in line {
        quoted ^= *byte == b'"';
        count += usize::from(*byte == separator && !quoted);
    }
    (!quoted).then_some(count)
}
