//! Byte-order marks and NUL bytes before an object are skipped like white space; NULs are counted and said.

use crate::rows::{CHUNK, Row, check, e, row};

const MARK: &str = "\u{feff}";

#[test]
fn marks_stand_before_any_object() {
    let (one, two, three) = (e(1), e(2), e(3));
    let n = one.len();
    check(vec![
        row("at the start", format!("{MARK}{one}\n{two}\n")).events(2),
        row("at the start of each line", format!("{MARK}{one}\n{MARK}{two}\n{MARK}{three}")).events(3),
        row("two files, cat", format!("{MARK}{one}{MARK}{two}")).events(2),
        row("several, and white space", format!("{MARK} {MARK}\t{MARK}{one} {MARK}{two}\r\n")).events(2),
        row("a line of its own", format!("{one}\n{MARK}\n{MARK}\r\n{two}")).events(2),
        row("at the end", format!("{one}\n{two}{MARK}\n{MARK}")).events(2),
        row("nothing but one", MARK),
        row("in an object", format!("{one}\n{{{MARK}{}\n{three}\n", &two[1..])).events(2).reject(2, n + 1, n + 3),
        row("in a value", format!("{}\n", one.replacen("Hi", "\u{feff}Hi", 1))).events(1),
        row("before words", format!("{one}\n {MARK}x\n{two}")).events(2).reject(2, n + 5, 1),
        row("the first two of its bytes", [one.as_bytes(), b"\n\xef\xbb", two.as_bytes(), b"\n"].concat())
            .events(1)
            .reject(2, n + 1, n + 2),
        row("another one", [b"\xfe\xff", one.as_bytes(), b"\n", two.as_bytes(), b"\n"].concat())
            .forced_to_lines()
            .events(1)
            .reject(1, 0, n + 2),
        row("a zero-width space is none", format!("{one}\u{200b}{two}\n")).events(1).reject(1, n, n + 3),
    ]);
}

#[test]
fn nuls_stand_before_any_object_and_are_counted() {
    let (one, two, three) = (e(1), e(2), e(3));
    let n = one.len();
    check(vec![
        row("at the start", format!("\0\0\0{one}\n{two}\n")).events(2).says("3 NUL"),
        row("at the start of lines", format!("{one}\n\0\0{two}\n\0{three}\n")).events(3).says("3 NUL"),
        row("between objects", format!("{one}\0\0\0\0{two}\n")).events(2).says("4 NUL"),
        row("at the end", format!("{one}\n{two}\n\0\0\0\0\0")).events(2).left(5).says("5 NUL"),
        row("before the line end", format!("{one}\0\n{two}\0\r\n")).events(2).says("2 NUL"),
        row("with marks and white space", format!("\0{MARK}\0 \0{one}\0{MARK}\t\0\r\n")).events(1).says("5 NUL"),
        row("nothing else", "\0\0\0\n\0\0").left(2).says(" NUL"),
        row("in an object", format!("{one}\n{{\0{}\n{three}\n", &two[1..])).events(2).reject(2, n + 1, n + 1),
        row("in a value", format!("{one}\n{}\n", two.replacen("Hi", "\0Hi", 1))).events(1).reject(2, n + 1, n + 1),
        row("before words", format!("{one}\n\0\0x\0\n{two}")).events(2).reject(2, n + 3, 2).says("2 NUL"),
        row("before half an object", format!("{one}\n\0\0{{\"id\"")).events(1).left(5).says("2 NUL"),
    ]);
}

/// A hole of several chunks, and of a few bytes more.
fn hole() -> String {
    "\0".repeat(2 * CHUNK + 4321)
}

#[test]
fn holes_of_megabytes_are_skipped() {
    let (one, two, three, hole) = (e(1), e(2), e(3), hole());
    let n = one.len();
    let count: &str = "8392929 NUL";
    assert_eq!(format!("{} NUL", hole.len()), count);
    let mut rows: Vec<Row> = vec![
        row("at the start", format!("{hole}{one}\n{two}\n")).events(2),
        row("in the middle", format!("{one}\n{hole}{two}\n{three}\n")).events(3),
        row("between objects of a line", format!("{one}\n{two}{hole}{three}\n")).events(3),
        row("at the end", format!("{one}\n{two}\n{hole}")).events(2).left(hole.len()),
        row("behind the last object, no line end", format!("{one}\n{two}{hole}")).events(2).left(hole.len()),
        row("before the line end", format!("{one}\n{two}{hole}\n{three}")).events(3),
        row("nothing else", hole.clone()).left(hole.len()),
        row("before words", format!("{one}\n{hole}x\n{two}\n")).events(2).reject(2, n + 1 + hole.len(), 1),
        row("before half an object", format!("{one}\n{hole}{{\"id\"")).events(1).left(5),
        row("before a mark", format!("{one}\n{hole}{MARK}{two}\n")).events(2),
    ];
    rows = rows.into_iter().map(|row| row.says(count)).collect();
    // A mark on the bounds of a chunk.
    for before in 0..=3 {
        let hole = "\0".repeat(CHUNK - n - 1 - before);
        rows.push(
            row(format!("a mark {before} bytes before a chunk"), format!("{one}\n{hole}{MARK}{two}\n")).events(2),
        );
    }
    check(rows);
}
