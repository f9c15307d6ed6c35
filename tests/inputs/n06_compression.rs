//! Compressed inputs: what each row gives, as a file and through a pipe, at first and when it is read again.

use std::fs;
use std::io::Write as _;

use crate::support::cli::{Sandbox, generated, gzip, message, zstd};

const INGEST: &str = "ingest --store s in";

fn bzip2(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// With a window of so many bytes, as a logarithm.
fn zstd_long(bytes: &[u8], log: u32) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(log).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn xz_of(bytes: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = dictionary;
    let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;

/// Those that are built in.
fn packs() -> Vec<(&'static str, Pack)> {
    let all: [(&str, Pack); 5] = [("gzip", gzip), ("zstd", zstd), ("bzip2", bzip2), ("xz", xz), ("lz4", lz4)];
    all[..if cfg!(feature = "more-compression") { 5 } else { 2 }].to_vec()
}

fn a() -> Vec<u8> {
    message("1", "a", "v", 1).into_bytes()
}

fn b() -> Vec<u8> {
    message("2", "b", "w", 2).into_bytes()
}

/// What an input is, what is read of it, what is told (nothing, if there is no word), the exit status.
struct Row {
    name: String,
    input: Vec<u8>,
    content: Vec<u8>,
    told: Vec<String>,
    status: i32,
}

fn row(name: impl Into<String>, input: Vec<u8>, content: Vec<u8>, told: &[&str], status: i32) -> Row {
    let told = told.iter().map(|part| (*part).to_string()).collect();
    Row { name: name.into(), input, content, told, status }
}

#[rustfmt::skip]
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let both = [a(), b()].concat();
    for (name, pack) in packs() {
        let (one, two) = (pack(&a()), pack(&b()));
        let end = format!("the compressed data ends at byte {}", one.len());
        let is = |what: &str| format!("{name}: {what}");
        let zeros = |count: usize| [&one[..], &vec![0; count]].concat();
        rows.extend([
            row(is("one member"), one.clone(), a(), &[], 0),
            row(is("nothing in it"), pack(b""), vec![], &[], 0),
            row(is("two members"), [&one[..], &two].concat(), both.clone(), &[], 0),
            row(is("two members, cut in a line"), [pack(&both[..30]), pack(&both[30..])].concat(), both.clone(), &[], 0),
            row(is("an empty one between"), [&one[..], &pack(b""), &two].concat(), both.clone(), &[], 0),
            row(is("behind gzip"), [&gzip(&a())[..], &two].concat(), both.clone(), &[], 0),
            row(is("before zstd"), [&one[..], &zstd(&b())].concat(), both.clone(), &[], 0),
            row(is("behind a skipped frame"), [b"\x50\x2a\x4d\x18\x03\0\0\0abc", &one[..]].concat(), a(), &[], 0),
            row(is("a zero behind it"), zeros(1), a(), &[&end, "1 byte behind it not taken", "zeros"], 3),
            row(is("10,241 zeros"), zeros(10_241), a(), &[&end, "10241 bytes", "zeros"], 3),
            row(is("garbage"), [&one[..], b"garbage"].concat(), a(), &[&end, "7 bytes", "no compressed data"], 3),
            row(is("lines behind it"), [&one[..], &b()].concat(), a(), &[&end, "no compressed data"], 3),
            row(is("the start of a magic"), [&one[..], b"\x28\xb5\x2f"].concat(), a(), &[&end, "3 bytes"], 3),
            row(is("zeros, and a member"), [&zeros(5)[..], &two].concat(), a(), &[&end, "no compressed data"], 3),
            row(is("in gzip"), gzip(&one), a(), &[], 0),
            row(is("gzip in it"), pack(&gzip(&a())), a(), &[], 0),
            row(is("twice"), pack(&[&one[..], &two].concat()), both.clone(), &[], 0),
            row(is("twice, zeros in it"), pack(&zeros(9)), a(), &[&end, "unpacks to first", "9 bytes"], 3),
            row(is("cut"), one[..one.len() / 2].to_vec(), vec![], &["cannot read on", name, "ends in its middle"], 1),
            row(is("a second one that is cut"), [&one[..], &two[..two.len() / 2]].concat(), a(), &[name, "ends in its middle"], 1),
            row(is("thrice"), gzip(&zstd(&one)), vec![], &["compressed more than 2 times", name], 1),
        ]);
    }
    rows.push(row("a window of 64 MiB", zstd_long(&a(), 26), a(), &[], 0));
    rows.push(row("a window of 128 MiB", zstd_long(&a(), 27), vec![], &["a window of 128M", "the memory allows 64M"], 1));
    rows.push(row("a window of 2 GiB", zstd_long(&a(), 31), vec![], &["a window of 2G", "the memory allows 64M"], 1));
    if cfg!(feature = "more-compression") {
        rows.push(row("xz, four zeros behind it: it may", [xz(&a()), vec![0; 4]].concat(), a(), &[], 0));
        rows.push(row("a dictionary of 64 MiB", xz_of(&a(), 64 << 20), a(), &[], 0));
        rows.push(row("one of 96 MiB", xz_of(&a(), 96 << 20), vec![], &["a dictionary of 96M", "the memory allows 64M"], 1));
    } else {
        for (name, pack) in [("bzip2", bzip2 as Pack), ("xz", xz), ("lz4", lz4)] {
            rows.push(row(name, pack(&a()), vec![], &[name, "without the feature `more-compression`"], 1));
        }
    }
    rows
}

#[test]
fn a_file_gives_what_its_row_says_and_so_does_reading_it_again() {
    for Row { name, input, content, told, status } in rows() {
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let sandbox = Sandbox::new();
        sandbox.write("in", &input);
        for run in ["first", "second", "third, quiet"] {
            eprintln!("{name}, {run}");
            let ran = sandbox.run(&format!("{INGEST}{}", if run.ends_with("quiet") { " -q" } else { "" }));
            let ran = ran.expect(status);
            if !told.is_empty() {
                ran.says(&told).says(&["in: "]);
            }
        }
        if sandbox.has("s") {
            sandbox.reports(&content);
        } else {
            assert!(content.is_empty() && status == 1, "{name}");
        }
        // The report is printed, though not all was taken.
        let ran = sandbox.run("run in").expect(status);
        let sites = content.iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(ran.out.lines().count(), if status == 1 { 0 } else { sites }, "{name}");
    }
}

#[test]
fn a_pipe_gives_the_same() {
    for Row { name, input, content, told, status } in rows() {
        eprintln!("{name}");
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let sandbox = Sandbox::new();
        let ran = sandbox.run_with("ingest --store s -", &input).expect(status);
        if !told.is_empty() {
            ran.says(&told).says(&["-: "]);
        }
        sandbox.reports(&content);
    }
}

#[test]
fn every_packing_goes_on_where_it_was() {
    let input = generated("-n 3000");
    let middle = input[..input.len() / 2].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    for (name, pack) in packs() {
        eprintln!("{name}");
        let sandbox = Sandbox::new();
        let first = pack(&input[..middle]);
        sandbox.write("in", &first);
        let json = format!("{INGEST} --progress json");
        assert_eq!(sandbox.run(&json).expect(0).read(), (0, middle as u64));
        sandbox.append("in", pack(&input[middle..]));
        assert_eq!(sandbox.run(&json).expect(0).read(), (middle as u64, input.len() as u64));
        assert_eq!(sandbox.run(&json).expect(0).read(), (input.len() as u64, input.len() as u64));
        // Packed otherwise, or not at all, it is the same input.
        for other in [zstd(&input), gzip(&pack(&input)), input.clone()] {
            sandbox.write("in", other);
            assert_eq!(sandbox.run(&json).expect(0).read(), (input.len() as u64, input.len() as u64));
        }
        assert_eq!(sandbox.sources().len(), 1);
        sandbox.reports(&input);
    }
}

#[test]
fn a_member_that_is_still_written_is_read_when_it_is_whole() {
    for (name, pack) in packs() {
        eprintln!("{name}");
        let sandbox = Sandbox::new();
        let (one, two) = (pack(&a()), pack(&b()));
        // Zeros first, as where a disk was full; then what was meant.
        sandbox.write("in", [&one[..], &[0; 7]].concat());
        sandbox.run(INGEST).expect(3);
        sandbox.write("in", [&one[..], &two[..two.len() / 2]].concat());
        sandbox.run(INGEST).fails(1, &["ends in its middle"]);
        sandbox.write("in", [&one[..], &two].concat());
        sandbox.run(INGEST).expect(0);
        sandbox.reports([a(), b()].concat());
        assert_eq!(sandbox.sources().len(), 1);
    }
}

#[test]
fn what_cannot_be_unpacked_makes_no_store_and_names_a_command_that_works() {
    let more = cfg!(feature = "more-compression");
    let mut rows = vec![
        (
            zstd_long(&a(), 31),
            "",
            "run with --memory 4G, or unpack it before: `zstd -dc --long=31 'a b' | chatwal ingest --store DIR -`",
        ),
        (zstd_long(&a(), 31), "--memory 4095M", "--memory 4G"),
        (zstd_long(&a(), 27), "--memory 255M", "--memory 256M"),
        (gzip(&zstd_long(&a(), 27)), "", "`gzip -dc 'a b' | zstd -dc --long=31 | chatwal ingest --store DIR -`"),
        (gzip(&gzip(&gzip(&a()))), "", "`gzip -dc 'a b' | chatwal ingest --store DIR -`"),
        (zstd(&gzip(&gzip(&a()))), "", "`zstd -dc 'a b' | chatwal ingest --store DIR -`"),
    ];
    if more {
        rows.push((xz_of(&a(), 96 << 20), "", "--memory 192M, or unpack it before: `xz -dc 'a b' | chatwal"));
    } else {
        rows.push((xz(&a()), "", "`xz -dc 'a b' | chatwal ingest --store DIR -`"));
    }
    for (input, options, hint) in rows {
        let sandbox = Sandbox::new();
        sandbox.write("a b", &input);
        let mut command = sandbox.chatwal(&format!("ingest --store s {options}"));
        command.arg("a b");
        crate::support::cli::run(command).fails(1, &["a b: "]).says(&["hint: ", hint]);
        assert!(!sandbox.has("s"), "{hint}");
    }
    for (input, memory) in
        [(zstd_long(&a(), 27), "256M"), (zstd_long(&a(), 23), "1M"), (gzip(&zstd_long(&a(), 31)), "4G")]
    {
        let sandbox = Sandbox::new();
        sandbox.write("in", &input);
        sandbox.run(&format!("{INGEST} --memory {memory}")).expect(0);
        sandbox.reports(a());
    }
}

#[test]
fn what_is_behind_the_data_takes_no_longer_than_it_is_to_read() {
    let sandbox = Sandbox::new();
    sandbox.write("in", gzip(&a()));
    let file = fs::OpenOptions::new().write(true).open(sandbox.path("in")).unwrap();
    file.set_len(1 << 30).unwrap();
    let behind = format!("{} bytes", (1 << 30) - gzip(&a()).len());
    sandbox.run(INGEST).expect(3).says(&[&behind, "zeros"]);
    sandbox.reports(a());
}

#[test]
fn it_is_told_once_though_the_input_was_looked_through_before() {
    let input = generated("-n 200");
    let sandbox = Sandbox::new();
    // One that begins alike and is longer: its place is looked for, up to the end of the other.
    sandbox.write("longer", gzip(&[&input[..], &a()].concat()));
    sandbox.run("ingest --store s longer").expect(0);
    sandbox.write("in", [&gzip(&input)[..], b"\0"].concat());
    for _ in 0..2 {
        let ran = sandbox.run(INGEST).expect(3);
        assert_eq!(ran.err.lines().filter(|line| line.contains("not taken")).count(), 1, "{ran:?}");
    }
}

#[test]
fn one_of_many_inputs_that_is_not_taken_whole_is_told_and_the_exit_says_it() {
    let sandbox = Sandbox::new();
    for number in 0..12 {
        let packed = gzip(message(&number.to_string(), "a", "v", 1).as_bytes());
        let behind = if number == 5 { &b"\0\0"[..] } else { b"" };
        sandbox.write(format!("in-{number}"), [&packed[..], behind].concat());
    }
    let names: String = (0..12).map(|number| format!(" in-{number}")).collect();
    for _ in 0..2 {
        let ran = sandbox.run(&format!("ingest --store s{names}")).expect(3);
        assert_eq!(ran.err.lines().filter(|line| line.contains("not taken")).count(), 1, "{ran:?}");
        ran.says(&["in-5: the compressed data ends", "2 bytes"]);
    }
}
