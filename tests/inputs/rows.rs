//! Rows of inputs, each given to the real program as a file, packed, and through a pipe, with one thread and with two.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::cli::{Ran, Sandbox, gzip, message};
use crate::support::naive::{Naive, NaiveEnd, NaiveForm, NaiveReading, read};

/// A chunk of the program's. What lies across its bounds must mean the same.
pub const CHUNK: usize = 4 << 20;

/// A good object of one line, without its end. Each number is an event of its own.
pub fn e(number: u64) -> String {
    message("1", &number.to_string(), "v", 5).trim_end().to_owned()
}

/// One of exactly so many bytes.
pub fn long(number: u64, bytes: usize) -> String {
    let object = e(number);
    let text = "x".repeat(bytes - object.len());
    object.replacen("Hi", &format!("Hi{text}"), 1)
}

/// Bytes with a piece of them replaced.
pub fn with(bytes: impl AsRef<[u8]>, old: &str, new: &[u8]) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let at = bytes.windows(old.len()).position(|piece| piece == old.as_bytes()).unwrap();
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

/// The bytes of each object of `many`.
pub const WIDE: usize = 1000;

/// Many good objects, of the numbers from `first` on, with `between` behind each.
pub fn many(first: u64, count: u64, between: &str) -> String {
    (first..first + count).map(|number| long(number, WIDE) + between).collect()
}

/// The bytes of an incomplete end, in a record on an input; where there is none, they are null.
pub fn left_of(record: &serde_json::Value) -> u64 {
    record["left"].as_u64().unwrap_or(0)
}

/// An input, and what must become of it.
pub struct Row {
    name: String,
    input: Vec<u8>,
    form: Option<NaiveForm>,
    events: u64,
    copies: u64,
    visitors: u64,
    rejects: Vec<(u64, u64, u64)>,
    left: u64,
    endless: bool,
    says: Vec<&'static str>,
}

/// An input of which nothing is taken, unless the row goes on.
pub fn row(name: impl Into<String>, input: impl Into<Vec<u8>>) -> Row {
    let (name, input) = (name.into(), input.into());
    Row {
        name,
        input,
        form: None,
        events: 0,
        copies: 0,
        visitors: 1,
        rejects: Vec::new(),
        left: 0,
        endless: false,
        says: Vec::new(),
    }
}

impl Row {
    /// So many events.
    pub fn events(mut self, events: u64) -> Row {
        self.events = events;
        self
    }

    /// So many of them are copies of others.
    pub fn copies(mut self, copies: u64) -> Row {
        self.copies = copies;
        self
    }

    /// From so many visitors.
    pub fn visitors(mut self, visitors: u64) -> Row {
        self.visitors = visitors;
        self
    }

    /// A reject: its line, its first byte, its length.
    pub fn reject(mut self, line: u64, byte: usize, length: usize) -> Row {
        self.rejects.push((line, byte as u64, length as u64));
        self
    }

    /// So many bytes at the end are left of a file; of a pipe they are a reject.
    pub fn left(mut self, bytes: usize) -> Row {
        self.left = bytes as u64;
        self
    }

    /// It is an array without an end.
    pub fn endless(mut self) -> Row {
        self.endless = true;
        self
    }

    /// It is read as `--input` says.
    pub fn forced_to_lines(mut self) -> Row {
        self.form = Some(NaiveForm::Lines);
        self
    }

    /// The same.
    pub fn forced_to_json(mut self) -> Row {
        self.form = Some(NaiveForm::Document);
        self
    }

    /// This is said of it, in one line.
    pub fn says(mut self, part: &'static str) -> Row {
        self.says.push(part);
        self
    }

    /// The rejects of a pipe: what is left of a file is one more.
    fn rejects(&self, end: NaiveEnd) -> Vec<(u64, u64, u64)> {
        let mut rejects = self.rejects.clone();
        let is_hole = self.input.iter().rev().take(self.left as usize).all(|byte| *byte == 0);
        if end == NaiveEnd::Final && !is_hole {
            let offset = self.input.len() - self.left as usize;
            let line = 1 + self.input[..offset].iter().filter(|&&byte| byte == b'\n').count();
            rejects.push((line as u64, offset as u64, self.left));
        }
        rejects
    }

    fn report(&self) -> String {
        match self.events - self.copies {
            0 => String::new(),
            emails => format!("1,messages=0,emails={emails},operators=0,visitors={}\n", self.visitors),
        }
    }

    /// The row says what the oracle says.
    fn asks_the_oracle(&self, end: NaiveEnd) {
        let reading = read(&self.input, self.form, end);
        let rejects: Vec<_> = reading.rejects.iter().map(|it| (it.line, it.offset, it.length)).collect();
        assert_eq!(rejects, self.rejects(end), "the oracle's rejects");
        let NaiveReading { left, endless, .. } = reading;
        assert_eq!(left, if end == NaiveEnd::Final { 0 } else { self.left }, "what the oracle leaves");
        assert_eq!(endless, self.endless, "whether the oracle finds an end");
        let mut naive = Naive::new();
        naive.feed(reading);
        assert_eq!(naive.events(), self.events, "the oracle's events");
        assert_eq!(String::from_utf8(naive.report()).unwrap(), self.report(), "the oracle's report");
    }

    /// The program says what the row says.
    fn asks_the_program(&self, way: &str, threads: u64) {
        let sandbox = Sandbox::new();
        let form = match self.form {
            Some(NaiveForm::Lines) => " --input lines",
            Some(NaiveForm::Document) => " --input json",
            None => "",
        };
        let ingest = format!("ingest --store s --durability os --progress json --threads {threads}{form}");
        let piped = way == "a pipe";
        let ran = match way {
            "a pipe" => sandbox.run_with(&format!("{ingest} -"), &self.input),
            "a file" => {
                sandbox.write("in.jsonl", &self.input);
                sandbox.run(&format!("{ingest} in.jsonl"))
            }
            _ => {
                sandbox.write("in.jsonl", gzip(&self.input));
                sandbox.run(&format!("{ingest} in.jsonl"))
            }
        };
        let end = if piped { NaiveEnd::Final } else { NaiveEnd::MayGrow };
        let (rejects, left) = (self.rejects(end), if piped { 0 } else { self.left });
        let code = if rejects.is_empty() && left == 0 && !self.endless { 0 } else { 3 };
        self.holds(&sandbox, ran, code, &rejects, left, (0, self.input.len() as u64 - left));
        if !piped {
            // It is as if nothing had been said yet, but nothing is read twice.
            let end = self.input.len() as u64 - left;
            let ran = sandbox.run(&format!("{ingest} in.jsonl"));
            self.holds(&sandbox, ran, code, &rejects, left, (end, end));
        }
    }

    #[allow(clippy::too_many_arguments, reason = "what has to hold")]
    fn holds(&self, sandbox: &Sandbox, ran: Ran, code: i32, rejects: &[(u64, u64, u64)], left: u64, read: (u64, u64)) {
        let ran = ran.expect(code);
        assert_eq!(left_of(&ran.done()[0]), left, "{ran:#?}");
        // What stands before the first object alone may be read again.
        let is_empty = self.events == 0 && rejects.is_empty() && ran.read() == (0, 0);
        assert!(is_empty || ran.read() == read, "{read:?} is what is read: {ran:#?}");
        if left > 0 {
            assert!(ran.err.contains("left for the next run"), "{ran:#?}");
        }
        if read.0 == 0 {
            for part in &self.says {
                assert!(ran.err.contains(part), "{part}: {ran:#?}");
            }
        }
        let listed = sandbox.run("rejects --store s --format ndjson").expect(0).records();
        let number = |value: &serde_json::Value| value.as_u64().unwrap();
        let listed: Vec<_> =
            listed.iter().map(|it| (number(&it["line"]), number(&it["byte"]), number(&it["length"]))).collect();
        assert_eq!(listed, rejects, "line, byte and length of the rejects");
        assert_eq!(sandbox.report(), self.report(), "the report");
    }
}

/// All rows, one by one; those that fail are listed.
#[track_caller]
pub fn check(rows: Vec<Row>) {
    let failed: Vec<String> = rows.iter().flat_map(failures).collect();
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
}

fn failures(row: &Row) -> Vec<String> {
    let mut failed = Vec::new();
    let mut attempt = |what: String, test: &dyn Fn()| {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(test)) {
            let said = panic.downcast_ref::<String>().map_or("", String::as_str);
            let said: String = said.chars().take(400).collect();
            failed.push(format!("-- {}: {what}\n{said}", row.name));
        }
    };
    for end in [NaiveEnd::MayGrow, NaiveEnd::Final] {
        attempt(format!("the oracle, {end:?}"), &|| row.asks_the_oracle(end));
    }
    if std::env::var_os("CHATWAL_ORACLE_ONLY").is_none() {
        for (way, threads) in ["a file", "gzip", "a pipe"].into_iter().flat_map(|way| [(way, 1), (way, 2)]) {
            attempt(format!("{way}, threads: {threads}"), &|| row.asks_the_program(way, threads));
        }
    }
    failed
}
