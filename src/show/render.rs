//! Answers as text: `line`, `csv`, `json`, `ndjson` or `table`, for every command that lists something.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde_json::{Map, Value};

use crate::base::text::{json, printable};
use crate::error::Result;
use crate::event::decimal;
use crate::event::summary::Summary;
use crate::query::report::{Report, Told};

/// How an answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// The command's own line, meant for other programs and for eyes alike.
    #[default]
    Line,
    /// RFC 4180, with a header.
    Csv,
    /// The same, where text that a spreadsheet would take for a formula begins with an apostrophe.
    CsvSafe,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Columns, for eyes: as wide as the first rows need, and with long values cut.
    Table,
}

/// The first rows, up to so many bytes of them, decide how wide the columns of a table are; a later row may be wider. So a table of
/// millions of rows is written as they come, and takes no more memory than these.
const MEASURED_ROWS: usize = 1000;
const MEASURED_BYTES: usize = 1 << 20;

/// The most characters of a cell of a table. A longer one is cut and ends with `…`.
const CELL: usize = 256;

/// One thing in a list; its serialized fields are columns and keys.
pub trait Record: Serialize {
    /// Writes the `line` format without its line end.
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()>;
}

/// One line of the report, with the stable keys of its formats.
#[derive(Serialize)]
struct ReportLine<'a> {
    site_id: &'a str,
    messages: u64,
    emails: u64,
    operators: u64,
    visitors: u64,
}

impl Record for ReportLine<'_> {
    fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
        let ReportLine { site_id, messages, emails, operators, visitors } = *self;
        report_line(site_id.as_bytes(), &Summary { messages, emails, operators, visitors }, out);
        Ok(())
    }
}

/// Appends a line of the report without its line end. There may be millions of them, and `write!` would take longer than all the rest
/// of a report.
fn report_line(site: &[u8], summary: &Summary, out: &mut Vec<u8>) {
    let Summary { messages, emails, operators, visitors } = *summary;
    out.extend_from_slice(site);
    count(out, b",messages=", messages);
    count(out, b",emails=", emails);
    count(out, b",operators=", operators);
    count(out, b",visitors=", visitors);
}

/// Appends a key, whose length the compiler knows, and a number, which mostly has one or two digits.
fn count<const N: usize>(out: &mut Vec<u8>, key: &[u8; N], number: u64) {
    out.extend_from_slice(key);
    let digit = |number: u64| b'0' + number as u8;
    match number {
        0..10 => out.push(digit(number)),
        10..100 => out.extend_from_slice(&[digit(number / 10), digit(number % 10)]),
        _ => out.extend_from_slice(decimal(number, &mut [0; 20])),
    }
}

/// Writes a report. The inner result is that of the report, which may have to be read back; the outer one is that of the output.
pub fn report(report: &Report, format: Format, out: &mut (dyn Write + Send)) -> io::Result<Result<Told>> {
    let columns = ["site_id", "messages", "emails", "operators", "visitors"];
    let mut written = Ok(());
    if format == Format::Line {
        let make = |name: &[u8], summary: &Summary, out: &mut Vec<u8>| {
            report_line(name, summary, out);
            out.push(b'\n');
        };
        let told = report.bytes(make, &mut |bytes| {
            written = out.write_all(bytes);
            written.is_ok()
        });
        return written.map(|()| told);
    }
    let mut writer = Writer::new(format, &columns, out)?;
    let told = report.each(&mut |name, summary| {
        // Every name is UTF-8. To check that is faster than to replace what is not.
        let site_id = str::from_utf8(name).map_or_else(|_| String::from_utf8_lossy(name), Cow::Borrowed);
        let Summary { messages, emails, operators, visitors } = *summary;
        written = writer.record(&ReportLine { site_id: &site_id, messages, emails, operators, visitors });
        written.is_ok()
    });
    written?;
    if told.is_ok() {
        writer.end()?;
    }
    Ok(told)
}

/// Writes records one after the other.
pub struct Writer<'a> {
    format: Format,
    out: &'a mut dyn Write,
    columns: Vec<&'static str>,
    /// The line at hand. Its pieces are put together here, not behind a `dyn`.
    line: Vec<u8>,
    /// The first rows of a table, until it is known how wide its columns are.
    rows: Vec<Vec<Cell>>,
    /// Bytes of these.
    held: usize,
    /// The widths of a table's columns, once they are known.
    widths: Vec<usize>,
    written: u64,
}

/// Text was written as CSV that a spreadsheet would take for a formula.
static FORMULAS: AtomicBool = AtomicBool::new(false);

/// Whether text was written as [`Format::Csv`] that a spreadsheet would take for a formula, and run.
pub fn wrote_formulas() -> bool {
    FORMULAS.load(Ordering::Relaxed)
}

/// Text that spreadsheets take for a formula.
fn is_formula(cell: &Cell) -> bool {
    !cell.number && cell.text.starts_with(['=', '+', '-', '@'])
}

struct Cell {
    text: String,
    number: bool,
}

impl<'a> Writer<'a> {
    /// Begins; the columns are the keys of every record.
    pub fn new(format: Format, columns: &[&'static str], out: &'a mut dyn Write) -> io::Result<Writer<'a>> {
        match format {
            Format::Csv | Format::CsvSafe => writeln!(out, "{}", columns.join(","))?,
            Format::Json => write!(out, "[")?,
            Format::Line | Format::Ndjson | Format::Table => {}
        }
        let (line, rows, widths) = (Vec::new(), Vec::new(), Vec::new());
        Ok(Writer { format, out, columns: columns.to_vec(), line, rows, held: 0, widths, written: 0 })
    }

    /// One record.
    pub fn record(&mut self, record: &impl Record) -> io::Result<()> {
        let first = self.written == 0;
        self.written += 1;
        match self.format {
            Format::Line => {
                self.line.clear();
                record.line(&mut self.line)?;
                self.line.push(b'\n');
                self.out.write_all(&self.line)
            }
            Format::Ndjson => {
                self.out.write_all(json(record)?.as_bytes())?;
                self.out.write_all(b"\n")
            }
            Format::Json => {
                self.out.write_all(if first { b"\n" } else { b",\n" })?;
                self.out.write_all(json(record)?.as_bytes())
            }
            Format::Csv | Format::CsvSafe => {
                let mut cells = self.cells(record)?;
                for cell in cells.iter_mut().filter(|cell| is_formula(cell)) {
                    match self.format {
                        Format::CsvSafe => cell.text.insert(0, '\''),
                        _ => FORMULAS.store(true, Ordering::Relaxed),
                    }
                }
                let quoted: Vec<String> = cells.iter().map(|cell| csv(&cell.text)).collect();
                writeln!(self.out, "{}", quoted.join(","))
            }
            Format::Table => {
                let mut cells = self.cells(record)?;
                cells.iter_mut().for_each(|cell| cell.text = short(&cell.text));
                if !self.widths.is_empty() {
                    return self.row(&cells);
                }
                self.held += cells.iter().map(|cell| cell.text.len()).sum::<usize>();
                self.rows.push(cells);
                match self.rows.len() < MEASURED_ROWS && self.held < MEASURED_BYTES {
                    true => Ok(()),
                    false => self.begin_table(),
                }
            }
        }
    }

    /// Ends the list.
    pub fn end(mut self) -> io::Result<()> {
        match self.format {
            Format::Json if self.written == 0 => writeln!(self.out, "]"),
            Format::Json => writeln!(self.out, "\n]"),
            Format::Table if self.widths.is_empty() => self.begin_table(),
            Format::Table => Ok(()),
            Format::Line | Format::Csv | Format::CsvSafe | Format::Ndjson => Ok(()),
        }
    }

    fn cells(&self, record: &impl Record) -> io::Result<Vec<Cell>> {
        let Value::Object(fields) = serde_json::to_value(record)? else {
            return Err(io::Error::other("a record is an object"));
        };
        Ok(self.columns.iter().map(|column| cell(&fields, column)).collect())
    }

    /// Writes the header of a table and the rows that were held back for it.
    fn begin_table(&mut self) -> io::Result<()> {
        let rows = std::mem::take(&mut self.rows);
        let width = |text: &str| text.chars().count();
        let widest = |(at, column): (usize, &&str)| {
            let cells = rows.iter().filter_map(|row| row.get(at)).map(|cell| width(&cell.text));
            cells.max().unwrap_or(0).max(width(column))
        };
        self.widths = self.columns.iter().enumerate().map(widest).collect();
        let header = self.columns.iter().enumerate().map(|(at, column)| {
            let number = rows.first().and_then(|row| row.get(at)).is_some_and(|cell| cell.number);
            Cell { text: column.to_string(), number }
        });
        let header: Vec<Cell> = header.collect();
        std::iter::once(&header).chain(&rows).try_for_each(|row| self.row(row))
    }

    /// Writes a row of a table.
    fn row(&mut self, cells: &[Cell]) -> io::Result<()> {
        let mut line = String::new();
        for (Cell { text, number }, width) in cells.iter().zip(&self.widths) {
            let text = if *number { format!("{text:>width$}  ") } else { format!("{text:<width$}  ") };
            line.push_str(&text);
        }
        writeln!(self.out, "{}", line.trim_end())
    }
}

fn cell(fields: &Map<String, Value>, column: &str) -> Cell {
    match fields.get(column) {
        Some(Value::String(text)) => Cell { text: text.clone(), number: false },
        Some(Value::Null) | None => Cell { text: String::new(), number: false },
        Some(value) => Cell { text: value.to_string(), number: true },
    }
}

/// A cell of a table: printable, and not too wide.
fn short(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(CELL) {
        None => text,
        // The character before the last that would fit makes room for the sign.
        Some(_) => text.chars().take(CELL - 1).chain(['…']).collect(),
    }
}

/// A field of RFC 4180. What would end a line or speak to a terminal is escaped as in [`printable`]: only the names of
/// files and rejected lines can have it, and the JSON formats give them to the letter.
fn csv(text: &str) -> String {
    if text.contains(char::is_control) {
        return csv(&printable(text));
    }
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Named {
        name: &'static str,
        count: u64,
    }

    impl Record for Named {
        fn line(&self, out: &mut Vec<u8>) -> io::Result<()> {
            write!(out, "{}={}", self.name, self.count)
        }
    }

    fn rendered(format: Format, records: &[Named]) -> String {
        let mut out = Vec::new();
        let mut writer = Writer::new(format, &["name", "count"], &mut out).unwrap();
        records.iter().for_each(|record| writer.record(record).unwrap());
        writer.end().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_format_holds_awkward_names() {
        let records = [Named { name: "a,\"b\"", count: 7 }, Named { name: "ü", count: 123 }];
        assert_eq!(rendered(Format::Line, &records), "a,\"b\"=7\nü=123\n");
        assert_eq!(rendered(Format::Csv, &records), "name,count\n\"a,\"\"b\"\"\",7\nü,123\n");
        let json = "{\"name\":\"a,\\\"b\\\"\",\"count\":7}";
        assert_eq!(rendered(Format::Ndjson, &records).lines().next(), Some(json));
        assert_eq!(rendered(Format::Json, &records), format!("[\n{json},\n{{\"name\":\"ü\",\"count\":123}}\n]\n"));
        assert_eq!(rendered(Format::Table, &records), "name   count\na,\"b\"      7\nü        123\n");
        assert_eq!(rendered(Format::Json, &[]), "[]\n");
    }

    /// Counts the bytes, and how often it was written to.
    #[derive(Default)]
    struct Sink {
        lines: u64,
        longest: usize,
    }

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
            self.longest = self.longest.max(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_table_is_written_as_its_rows_come() {
        let mut sink = Sink::default();
        let mut writer = Writer::new(Format::Table, &["name", "count"], &mut sink).unwrap();
        for count in 0..5000 {
            writer.record(&Named { name: "a", count }).unwrap();
            assert!(writer.rows.len() < MEASURED_ROWS);
        }
        writer.end().unwrap();
        assert_eq!(sink.lines, 5001);
        // The first are few, and long.
        let name: &'static str = "x".repeat(100_000).leak();
        let mut sink = Sink::default();
        let mut writer = Writer::new(Format::Table, &["name", "count"], &mut sink).unwrap();
        (0..5000).for_each(|count| writer.record(&Named { name, count }).unwrap());
        writer.end().unwrap();
        assert_eq!(sink.lines, 5001);
        assert!(sink.longest < 2 * CELL, "{}", sink.longest);
    }

    #[test]
    fn a_later_row_may_be_wider_and_a_long_value_is_cut() {
        let rows = |last: &'static str| {
            let many = (0..MEASURED_ROWS as u64).map(|count| Named { name: "a", count });
            rendered(Format::Table, &many.chain([Named { name: last, count: 123_456_789 }]).collect::<Vec<_>>())
        };
        assert!(rows("abcdef").ends_with("a       999\nabcdef  123456789\n"), "{}", rows("abcdef"));
        let (fits, long) = ("é".repeat(CELL), "é".repeat(CELL + 1));
        assert_eq!(short(&fits), fits);
        assert_eq!(short(&long), "é".repeat(CELL - 1) + "…");
    }

    #[test]
    fn nothing_printable_moves_the_cursor() {
        let text = "a\u{1b}[2J\n\u{9b}\u{202e}\u{61c}\u{200f}é";
        assert_eq!(csv(text), "a\\u{1b}[2J\\n\\u{9b}\\u{202e}\\u{61c}\\u{200f}é");
    }
}
