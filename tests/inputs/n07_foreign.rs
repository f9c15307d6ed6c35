//! What is no JSON: named, with a command that helps, and no store is made for it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use crate::support::cli::{Sandbox, gzip, message, run, zstd};

fn lines() -> Vec<u8> {
    (0..40).flat_map(|number| message("1", &format!("id {number}"), "v", number).into_bytes()).collect()
}

fn utf_16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(order).collect()
}

fn utf_32(text: &str, order: fn(u32) -> [u8; 4]) -> Vec<u8> {
    text.chars().flat_map(|char| order(char.into())).collect()
}

fn text() -> String {
    String::from_utf8(lines()).unwrap()
}

/// An archive of one file, as `tar` makes it.
fn tar(content: &[u8]) -> Vec<u8> {
    let mut header = vec![0; 512];
    let size = format!("{:011o}\0", content.len());
    let mut field = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    field(0, b"events.jsonl");
    field(100, b"0000644\0");
    field(124, size.as_bytes());
    field(136, b"00000000000\0");
    field(148, b"        ");
    field(156, b"0");
    field(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let padding = vec![0; content.len().next_multiple_of(512) - content.len() + 1024];
    [header, content.to_vec(), padding].concat()
}

/// An archive of one file that is stored as it is, as far as its first bytes go.
fn zip(content: &[u8]) -> Vec<u8> {
    [b"PK\x03\x04\x0a\0\0\0\0\0\0\0\0\0\0\0\0\0", &[0; 8][..], b"\x0c\0\0\0events.jsonl", content].concat()
}

const MARK: &str = "\u{feff}";

/// What it is, its bytes, a part of the message, a part of the hint.
#[rustfmt::skip]
fn rows() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let (text, marked) = (text(), format!("{MARK}{}", text()));
    let table = |separator: &str| {
        ["id,type,from,site_id,timestamp,data.message", "1,message,v,7,10,\"a, b\"", "2,message,w,7,11,c", "cut,"]
            .join("\n")
            .replace(',', separator)
            .into_bytes()
    };
    let page = b"\xef\xbb\xbf\n<!DOCTYPE html>\n<html><body>{\"error\":\"not found\"}</body></html>\n".to_vec();
    vec![
        ("UTF-16LE", utf_16(&text, u16::to_le_bytes), "UTF-16", "`iconv -f UTF-16LE -t UTF-8 'a b' | chatwal ingest --store DIR -`"),
        ("UTF-16BE", utf_16(&text, u16::to_be_bytes), "UTF-16", "`iconv -f UTF-16BE -t UTF-8 'a b' | chatwal ingest --store DIR -`"),
        ("UTF-16LE, marked", utf_16(&marked, u16::to_le_bytes), "UTF-16", "iconv -f UTF-16LE"),
        ("UTF-16BE, marked", utf_16(&marked, u16::to_be_bytes), "UTF-16", "iconv -f UTF-16BE"),
        ("UTF-32LE", utf_32(&text, u32::to_le_bytes), "UTF-32", "iconv -f UTF-32LE"),
        ("UTF-32BE", utf_32(&text, u32::to_be_bytes), "UTF-32", "iconv -f UTF-32BE"),
        ("UTF-32LE, marked", utf_32(&marked, u32::to_le_bytes), "UTF-32", "iconv -f UTF-32LE"),
        ("UTF-32BE, marked", utf_32(&marked, u32::to_be_bytes), "UTF-32", "iconv -f UTF-32BE"),
        ("zip", zip(&lines()), "a zip archive", "`unzip -p 'a b' | chatwal ingest --store DIR -`"),
        ("zip, empty", b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec(), "a zip archive", "unzip -p"),
        ("tar", tar(&lines()), "a tar archive", "`tar -xOf 'a b' | chatwal ingest --store DIR -`"),
        ("tar.gz", gzip(&tar(&lines())), "unpacked, it is a tar archive", "`gzip -dc 'a b' | tar -xOf - | chatwal ingest --store DIR -`"),
        ("UTF-16, packed twice", zstd(&gzip(&utf_16(&text, u16::to_le_bytes))), "UTF-16", "`zstd -dc 'a b' | gzip -dc | iconv -f UTF-16LE -t UTF-8 | chatwal"),
        ("zip in gzip", gzip(&zip(&lines())), "unpacked, it is a zip archive", "write it to a file of its own, `gzip -dc 'a b' > unpacked`, then `unzip -p unpacked | chatwal ingest --store DIR -`"),
        ("7z", b"7z\xbc\xaf\x27\x1c\0\x04".to_vec(), "a 7z archive", "`7z x -so 'a b' | chatwal"),
        ("rar", b"Rar!\x1a\x07\x01\0".to_vec(), "a rar archive", "unrar p -inul 'a b'"),
        ("lzma", b"\x5d\0\0\x80\0\xff\xff\xff\xff\xff\xff\xff\xff\0\x3d".to_vec(), "an lzma file", "`xz -dc 'a b' | chatwal"),
        ("lzip", b"LZIP\x01\x14".to_vec(), "an lzip file", "`lzip -dc 'a b' | chatwal"),
        ("lz4, old", b"\x02\x21\x4c\x18\x0a\0\0\0".to_vec(), "an lz4 file of the old format", "`lz4 -dc 'a b' | chatwal"),
        ("compress", b"\x1f\x9d\x90\x61".to_vec(), "a file of compress", "`gzip -dc 'a b' | chatwal"),
        ("Parquet", b"PAR1\x15\x04\x15".to_vec(), "a Parquet file", "FROM read_parquet('/dev/stdin')\" < 'a b' | chatwal"),
        ("Arrow", b"ARROW1\0\0\xff\xff\xff\xff".to_vec(), "an Arrow or Feather file", "to_pylist()]' 'a b' | chatwal"),
        ("Arrow, a stream", b"\xff\xff\xff\xff\x78\0\0\0\x10\0\0\0".to_vec(), "an Arrow stream", "pyarrow.ipc as f"),
        ("ORC", b"ORC\n\x05\x12\x03".to_vec(), "an ORC file", "`orc-contents 'a b' | chatwal"),
        ("Avro", b"Obj\x01\x04\x14avro.codec".to_vec(), "an Avro file", "`avro-tools tojson 'a b' | chatwal"),
        ("SQLite", [b"SQLite format 3\0".to_vec(), lines()].concat(), "an SQLite database", "sqlite3 -readonly 'a b' \"SELECT json_object('id', id,"),
        ("HTML", page, "an HTML page", "fetch the file again"),
        ("HTML, in small letters", b"<html lang=en>\n".to_vec(), "an HTML page", "fetch the file again"),
        ("XML", b"<?xml version=\"1.0\"?>\n<Error><Code>AccessDenied</Code></Error>".to_vec(), "an XML document", "make JSON of it, one object a line"),
        ("PDF", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n".to_vec(), "a PDF document", "one JSON object a line"),
        ("CSV", table(","), "a table with commas", "`mlr --icsv"),
        ("CSV, with semicolons", table(";"), "a table with semicolons", "--ifs ';'"),
        ("TSV", table("\t"), "a table with tabs", "`mlr --itsv"),
    ]
}

#[test]
fn a_file_is_named_and_makes_no_store() {
    for (name, input, problem, hint) in rows() {
        eprintln!("{name}");
        let sandbox = Sandbox::new();
        sandbox.write("a b", &input);
        let mut command = sandbox.chatwal("ingest --store s");
        command.arg("a b");
        run(command).fails(1, &["a b: ", problem, "no JSON"]).says(&["hint: ", hint]);
        assert!(!sandbox.has("s"), "{name}");
        let mut command = sandbox.chatwal("run");
        command.arg("a b");
        run(command).fails(1, &[problem]);
        assert!(!sandbox.has("a b.chatwal"), "{name}");
    }
}

#[test]
fn the_others_are_read_all_the_same() {
    let sandbox = Sandbox::new();
    sandbox.write("page", "<html>\n");
    sandbox.write("in", lines());
    for files in ["page in", "in page", "in page in"] {
        sandbox.run(&format!("ingest --store s {files}")).fails(1, &["page: it is an HTML page"]);
        sandbox.reports(lines());
    }
}

#[test]
fn a_file_of_a_store_is_known() {
    let sandbox = Sandbox::new();
    sandbox.write("in", lines());
    sandbox.run("ingest --store s in").expect(0);
    let segment = "s/0000000001.wal";
    let ran = sandbox.run(&format!("ingest --store t {segment}")).fails(1, &["a segment of a chatwal store"]);
    ran.says(&["hint: `chatwal dump --events s/0000000001.wal | chatwal ingest --store DIR -`"]);
    sandbox.run("ingest --store t s/ACKNOWLEDGED").fails(1, &["the record of what a chatwal store acknowledged"]);
    sandbox.run("compact --store s").expect(0);
    let snapshot = sandbox.listing("s").into_keys().find(|name| name.ends_with(".snap")).unwrap();
    sandbox.run(&format!("ingest --store t s/{snapshot}")).fails(1, &["a snapshot of a chatwal store"]);
    assert!(!sandbox.has("t"));
    // What the hint says works.
    sandbox.shell(&format!("\"$chatwal\" dump --events s/{snapshot} | \"$chatwal\" ingest --store t -")).expect(0);
    assert_eq!(sandbox.run("report --store t").expect(0).out, sandbox.report());
}

/// Bytes that look like something else, and are lines with an event among them, or nothing that is known.
#[test]
fn what_has_an_event_at_its_start_is_taken_as_it_was() {
    let event = message("1", "a", "v", 1);
    let long = "x".repeat(3000);
    let rows: [(&str, Vec<u8>, i32); 14] = [
        ("HTML before it", format!("<html>\n{event}").into(), 3),
        ("HTML in its line", format!("<html> {event}").into(), 3),
        ("XML before it", format!("<?xml version=\"1.0\"?>\n{event}").into(), 3),
        ("PDF before it", format!("%PDF-1.7\n{event}").into(), 3),
        ("a table before it", format!("a,b,c\n1,2,3\n{event}").into(), 3),
        ("HTML, and one that the first 4 KiB cut", format!("<html>{long}\n{}", event.replace("Hi", &long)).into(), 3),
        ("a marked line of UTF-16", [&utf_16("\u{feff}a\n", u16::to_le_bytes)[..], event.as_bytes()].concat(), 3),
        ("zeros", [&[0; 3000], event.as_bytes()].concat(), 0),
        ("ORC", format!("ORC\n{event}").into(), 3),
        ("PK", format!("PK\n{event}").into(), 3),
        ("LZIP", format!("LZIP\n{event}").into(), 3),
        ("lines of a log", b"2024-01-01, a, b\n2024-01-01, a\n".to_vec(), 3),
        ("one line with commas", b"a,b,c\n".to_vec(), 3),
        ("words", b"one\ntwo\n".to_vec(), 3),
    ];
    for (name, input, status) in rows {
        eprintln!("{name}");
        let sandbox = Sandbox::new();
        sandbox.write("in", &input);
        sandbox.run("ingest --store s in").expect(status);
        // A hole of zeros is left out by whoever reads lines; here it matters only that the file was opened.
        if !["zeros", "HTML in its line"].contains(&name) {
            sandbox.reports(&input);
        }
    }
}

#[test]
fn a_name_in_a_hint_can_be_pasted() {
    let sandbox = Sandbox::new();
    let name = OsStr::from_bytes(b"it's; rm -rf x\n");
    sandbox.write(name, utf_16(&text(), u16::to_le_bytes));
    let mut command = sandbox.chatwal("ingest --store s");
    command.arg(name);
    let ran = run(command).fails(1, &["UTF-16"]);
    let hint = ran.err.lines().find_map(|line| line.strip_prefix("chatwal: hint: `")).unwrap();
    let script = hint.trim_end_matches('`').replace("chatwal ingest --store DIR", "\"$chatwal\" ingest --store s");
    for shell in ["bash", "ksh", "zsh"] {
        let mut command = sandbox.program(shell, "-c");
        command.arg(&script).env("chatwal", crate::support::cli::CHATWAL);
        if command.status().is_ok_and(|status| status.success()) {
            sandbox.reports(lines());
            return;
        }
    }
    eprintln!("no shell with iconv here");
}
