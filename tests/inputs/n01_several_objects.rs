//! A line may hold several objects, with or without white space between them. A reject reaches to the end of its line.

use crate::rows::{CHUNK, Row, WIDE, check, e, long, many, row, with};

const MIB: usize = 1 << 20;

/// The length of `e(1)` to `e(9)`.
fn n() -> usize {
    e(1).len()
}

#[test]
fn a_line_may_hold_several_objects() {
    let (one, two, three) = (e(1), e(2), e(3));
    check(vec![
        row("one", format!("{one}\n")).events(1),
        row("two, nothing between", format!("{one}{two}\n")).events(2),
        row("two, a space between", format!("{one} {two}\n")).events(2),
        row("tabs and carriage returns", format!("\t{one}\t\r {two} \r\n{three}\r\n")).events(3),
        row("blank lines", format!("\n\n{one}\n \t \r\n{two}\n\n")).events(2),
        row("no line end", format!("{one}\n{two}{three}")).events(3),
        row("no line end, a space", format!("{one} {two} ")).events(2),
        row(
            "with escapes, which are read more slowly",
            format!("{one}{two} {three}\n").replace("\"id\"", "\"\\u0069d\""),
        )
        .events(3),
        row("the same twice", format!("{one}{one}\n{one}\n{two}")).events(4).copies(2),
        row("two files, cat", format!("{one}\n{two}") + &format!("{three}\n")).events(3),
    ]);
}

#[test]
fn a_reject_reaches_to_the_end_of_its_line() {
    let (one, two, three, n) = (e(1), e(2), e(3), n());
    check(vec![
        row("a comma between", format!("{one},{two}\n{three}\n")).events(2).reject(1, n, n + 1),
        row("words behind", format!("{one} and so on\r\n{two}\n")).events(2).reject(1, n + 1, 10),
        row("words before", format!("host app: {one}{two}\n{three}\n")).events(1).reject(1, 0, 2 * n + 10),
        row("in the middle", format!("{one} {{}} {two}\n{three}\n")).events(2).reject(1, n + 1, n + 3),
        row("in the second line", format!("{one}\n \t{two}oops{three}\n")).events(2).reject(2, 2 * n + 3, n + 4),
        row("half an object", format!("{one}{{\"id\":{two}\n{three}\n")).events(2).reject(1, n, n + 6),
        row("a brace too many", format!("{one}}}{two}\n")).events(1).reject(1, n, n + 1),
        row("an array behind", format!("{one}[{two}]\n")).events(1).reject(1, n, n + 2),
        row("one a line", format!("oops\n{one}\noops\n")).events(1).reject(1, 0, 4).reject(3, n + 6, 4),
        row("not UTF-8 behind", [one.as_bytes(), b"\xff", two.as_bytes(), b"\n"].concat()).events(1).reject(
            1,
            n,
            n + 1,
        ),
        row("not UTF-8 in the second", [one.as_bytes(), &with(&two, "Hi", b"\xff!"), b"\n"].concat())
            .events(1)
            .reject(1, n, n),
        row("not UTF-8 far behind", [one.as_bytes(), two.as_bytes(), b" \xc3 \n", three.as_bytes()].concat())
            .events(3)
            .reject(1, 2 * n + 1, 2),
    ]);
}

#[test]
fn an_object_has_a_longest_length_and_a_line_has_none() {
    let (most, over) = (long(1, MIB), long(2, MIB + 1));
    let (first, two) = (e(8) + "\n", e(9));
    let n = first.len();
    // The first line keeps the head from being taken for that of a document.
    check(vec![
        row("the longest", format!("{first}{most}\n")).events(2),
        row("one byte more", format!("{first}{over}\n")).events(1).reject(2, n, MIB + 1),
        row("several of the longest", format!("{first}{most}{}{}\n", long(2, MIB), long(3, MIB))).events(4),
        row("a longer one among them", format!("{first}{most}{over}{most}\n{two}")).events(3).reject(
            2,
            n + MIB,
            2 * MIB + 1,
        ),
        row("white space does not count", format!("{first}{0}{most}{0}{two}{0}\n", " ".repeat(MIB + 7))).events(3),
    ]);
}

#[test]
fn chunks_end_anywhere() {
    let n = n();
    let mut rows = Vec::new();
    // An object that begins so many bytes before the end of a chunk, in a line of its own, or in one that goes on.
    for before in [0, 1, 2, n / 2, n - 1, n, n + 1] {
        let pad = "\n".to_owned() + &" ".repeat(CHUNK - 1 - before);
        rows.push(row(format!("a line {before} bytes before"), format!("{pad}{}\n{}\n", e(1), e(2))).events(2));
        rows.push(row(format!("an object {before} bytes before"), format!("{pad}{}{}\n", e(1), e(2))).events(2));
        rows.push(
            row(format!("a reject {before} bytes before"), format!("{pad}{}oops{}\n{}", e(1), e(2), e(3)))
                .events(2)
                .reject(2, CHUNK - before + n, n + 4),
        );
    }
    check(rows);
}

#[test]
fn a_line_may_be_longer_than_chunks() {
    let count = (9 << 20) / WIDE as u64;
    let (much, some) = (many(100_000, count, ""), many(900_000, 100, " "));
    let length = much.len();
    let rows: Vec<Row> = vec![
        row("9 MiB of objects", format!("\n{much}\n{some}\n")).events(count + 100),
        row("and no line end", format!("{}\n{much}", e(1))).events(count + 1),
        row("a reject in the middle", format!("\n{much}oops{much}\n{some}")).events(count + 100).reject(
            2,
            1 + length,
            length + 4,
        ),
        row("a reject at the start", format!("\noops{much}{much}\n{some}")).events(100).reject(2, 1, 2 * length + 4),
        row("half an object at the end", format!("\n{much}{{\"id\"\n{some}")).events(count + 100).reject(
            2,
            1 + length,
            5,
        ),
        row("the longest objects", format!("\n{}\n", (1..10).map(|it| long(it, MIB)).collect::<String>())).events(9),
        row("spaces between", format!("\n{}{}{}\n", e(1), " ".repeat(2 * CHUNK + 3), e(2))).events(2),
        row("spaces, then a reject", format!("\n{}{}x{}\n", e(1), " ".repeat(2 * CHUNK + 3), e(2))).events(1).reject(
            2,
            1 + n() + 2 * CHUNK + 3,
            n() + 1,
        ),
    ];
    check(rows);
}
