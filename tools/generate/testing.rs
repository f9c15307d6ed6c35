//! What the tests of several modules need: the output for a command line, and counts.

use std::collections::BTreeMap;

use clap::Parser;
use serde_json::Value;

use crate::Options;
use crate::naive::Naive;
use crate::output::write_lines;
use crate::workload::Workload;

pub fn workload(arguments: &str) -> Workload {
    Workload::new(&Options::try_parse_from(format!("chatwal-generate {arguments}").split(' ')).unwrap())
}

pub fn bytes(arguments: &str) -> Vec<u8> {
    let mut output = Vec::new();
    write_lines(&workload(arguments), 2, &mut output).unwrap();
    output
}

pub fn lines(arguments: &str) -> Vec<String> {
    String::from_utf8(bytes(arguments)).unwrap().lines().map(str::to_owned).collect()
}

pub fn values(arguments: &str) -> Vec<Value> {
    lines(arguments).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn naive(bytes: &[u8]) -> Naive {
    let mut naive = Naive::new();
    naive.feed_lines(bytes);
    naive
}

/// How often each item is there.
pub fn count<T: Ord>(items: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    for item in items {
        *counts.entry(item).or_default() += 1;
    }
    counts
}
