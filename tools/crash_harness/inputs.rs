//! Inputs of a harness run, and what the oracle says of them.

use std::fs;
use std::path::PathBuf;

use crate::dice::Dice;
use crate::naive::Naive;
use crate::work::{Failure, Harness, setup};

/// Inputs, and what the oracle says of them.
pub struct Inputs {
    /// Where they are.
    pub directory: PathBuf,
    /// Name and bytes.
    pub files: Vec<(String, Vec<u8>)>,
    /// What the oracle reports of all of them.
    pub report: Vec<u8>,
    /// Lines that are not events.
    pub rejects: usize,
}

impl Inputs {
    /// Writes `files` of them with `lines` lines together: out of order, with copies inside and across files, copies that
    /// disagree, and lines that are not events. `padding` is the most bytes of text in a message.
    pub fn write(harness: &Harness, seed: u64, files: u64, lines: u64, padding: u64) -> Result<Inputs, Failure> {
        let directory = harness.fresh("inputs");
        fs::create_dir(&directory).map_err(setup("make", &directory))?;
        let mut dice = Dice(seed);
        let sites = lines / 40 + 3;
        let text = "x".repeat(padding as usize);
        let mut whole = Vec::new();
        for number in 0..files {
            let mut bytes = Vec::new();
            for _ in 0..lines.div_ceil(files) {
                if dice.below(50) == 0 {
                    bytes.extend_from_slice(format!("{{\"no event\":{}}}\n", dice.below(1 << 20)).as_bytes());
                    continue;
                }
                // So few ids that some come twice, in one site or in two, with the same values or with others.
                let id = dice.below(lines * 2);
                let id = match id % 3 {
                    0 => format!("e{id}"),
                    _ => format!("{id:08x}-0000-4000-8000-{:012x}", id * 7),
                };
                let (site, at) = (dice.below(sites), dice.below(lines * 4));
                let (kind, from, data) = match dice.below(4) {
                    0 => ("status", "operator", r#""status":"online""#.to_owned()),
                    1 => ("status", "operator", r#""status":"offline""#.to_owned()),
                    _ => {
                        let text = text.get(..dice.below(padding + 1) as usize).unwrap_or_default();
                        ("message", "visitor", format!("\"message\":\"{text}\""))
                    }
                };
                let from = format!("{from}{}", dice.below(9));
                let line = format!(
                    "{{\"id\":\"{id}\",\"type\":\"{kind}\",\"from\":\"{from}\",\"site_id\":\"{site}\",\"timestamp\":{at},\"data\":{{{data}}}}}\n"
                );
                bytes.extend_from_slice(line.as_bytes());
            }
            let name = format!("{number}.jsonl");
            let path = directory.join(&name);
            fs::write(&path, &bytes).map_err(setup("write", &path))?;
            whole.push((name, bytes));
        }
        let mut inputs = Inputs { directory, files: whole, report: Vec::new(), rejects: 0 };
        let naive = inputs.oracle(|_| u64::MAX);
        (inputs.report, inputs.rejects) = (naive.report(), naive.rejects());
        Ok(inputs)
    }

    /// The oracle, fed of each input, by its name, as many bytes as `taken` says.
    pub fn oracle(&self, taken: impl Fn(&str) -> u64) -> Naive {
        let mut naive = Naive::new();
        for (name, bytes) in &self.files {
            naive.feed_input(bytes.get(..taken(name) as usize).unwrap_or(bytes));
        }
        naive
    }

    /// Removes them.
    pub fn remove(self) {
        let _ = fs::remove_dir_all(self.directory);
    }
}
