//! The names of a store's files: what each says of its file, and how it is made.

use std::ops::RangeInclusive;

use crate::disk::TEMPORARY;

const SEGMENT: &str = ".wal";
const SNAPSHOT: &str = ".snap";
const DIGITS: usize = 10;

/// The file that holds the record of what was acknowledged.
pub const ACKNOWLEDGED_NAME: &str = "ACKNOWLEDGED";

/// The empty file that marks a store as a backup: nothing but backups has written to it.
pub const BACKUP_NAME: &str = "BACKUP";

/// Stands between the name of a file and the number of the copy that a repair keeps of it.
pub(crate) const COPY: &str = ".repair-";

/// The name of a segment.
pub fn segment_name(number: u64) -> String {
    format!("{number:0DIGITS$}{SEGMENT}")
}

/// The name of the snapshot that covers these segments.
pub fn snapshot_name(covers: &RangeInclusive<u64>) -> String {
    format!("{:0DIGITS$}-{:0DIGITS$}{SNAPSHOT}", covers.start(), covers.end())
}

/// What a name in the directory says of its file.
pub(crate) enum Name {
    /// The segment of this number.
    Segment(u64),
    /// The snapshot that covers these segments.
    Snapshot(RangeInclusive<u64>),
    /// What an interrupted publish left.
    Temporary,
    /// Somebody else's file, or the lock.
    Foreign,
}

/// Reads a name.
pub(crate) fn parse_name(name: &str) -> Name {
    let number = |text: &str| match text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => text.parse::<u64>().ok().filter(|&number| number > 0),
        false => None,
    };
    if let Some(final_name) = name.strip_suffix(TEMPORARY) {
        // Only what a publish of ours may have left: any other file may be somebody else's.
        let copied = final_name.split_once(COPY).map_or(final_name, |(copied, _)| copied);
        return match parse_name(copied) {
            Name::Segment(_) | Name::Snapshot(_) => Name::Temporary,
            Name::Temporary | Name::Foreign => Name::Foreign,
        };
    }
    if let Some(number) = name.strip_suffix(SEGMENT).and_then(number) {
        return Name::Segment(number);
    }
    let interval = name.strip_suffix(SNAPSHOT).and_then(|interval| interval.split_once('-'));
    match interval.map(|(from, to)| (number(from), number(to))) {
        Some((Some(from), Some(to))) if from <= to => Name::Snapshot(from..=to),
        _ => Name::Foreign,
    }
}
