//! Lines that repeat an earlier one of their input byte for byte, as they do where a feed delivers at least once. The event
//! of such a line is in the log already, so it is counted and need not be parsed and stored again.
//!
//! Each worker of an ingest remembers the lines it has read itself, and no others: its chunks come in ascending order, so
//! what it remembers is in the same frame or in one before it, and in whatever prefix of the log a crash leaves.
//!
//! To look every line up costs about a third of what it takes to parse, store and report it. So a worker first watches a sample of
//! its events, and looks lines up once a quarter of them have come before, for as long as a quarter of the lines have.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hint::black_box;

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::event::{Event, Id};
use crate::mmap::Zeros;

/// One of so many is enough for lines to be looked up.
const ENOUGH: u64 = 4;
/// One event of so many is in the sample, a power of two.
const SAMPLE: u64 = 128;
/// The sample is judged whenever so many of its events were seen.
const WATCHED: u64 = 256;

/// Whether lines are looked up among those before them.
#[derive(Clone, Copy, Debug)]
pub struct Seek {
    /// Bytes in which all the threads of an ingest together remember lines: sixteen a line, four million lines.
    pub memory: usize,
    /// Look every line up, and not only where a sample shows that it pays.
    pub always: bool,
}

impl Default for Seek {
    fn default() -> Seek {
        Seek { memory: 64 << 20, always: false }
    }
}

/// Decides whether a worker looks lines up.
pub struct Repeats {
    /// Bytes for the lines.
    memory: usize,
    always: bool,
    /// The lines, while they are looked up.
    pub filter: Option<Filter>,
    /// Events of the sample, by a hash of their ids: of as many lines as there is room for.
    known: HashSet<u64>,
    watched: Score,
    /// Events of the sample that are watched before the next judgement.
    patience: u64,
    /// Lines that were read since the sample knew nothing.
    read: u64,
}

impl Repeats {
    /// Those of one of so many threads.
    pub fn new(seek: Seek, threads: usize) -> Repeats {
        let memory = seek.memory / threads;
        let filter = if seek.always { Filter::new(memory) } else { None };
        Repeats {
            memory,
            always: seek.always,
            filter,
            known: HashSet::new(),
            watched: Score::default(),
            patience: WATCHED,
            read: 0,
        }
    }

    /// Looks at what became of a chunk, and decides about the next.
    pub fn judge(&mut self) {
        if let Some(filter) = &mut self.filter {
            // It began with no line known, as the sample did, so it is given as long, and as long again.
            let given = self.read.saturating_mul(2).min(filter.capacity());
            if self.always || filter.score.all < given || filter.score.close() {
                return;
            }
            self.filter = None;
            self.read = 0;
            // The ids repeat and the lines do not, or no longer.
            self.patience = self.patience.saturating_mul(4);
        } else if self.watched.all >= self.patience {
            self.read += self.watched.all * SAMPLE;
            if self.watched.close() {
                self.filter = Filter::new(self.memory);
                self.known = HashSet::new();
            }
        }
    }

    /// Whether an event is in the sample: then it is wherever it comes again.
    #[inline]
    pub fn samples(id: Id<'_>, timestamp: i64) -> bool {
        let id = match id {
            Id::Uuid([high, low]) => high ^ low,
            Id::Text(text) => tail(text),
        };
        // Both may be numbered, and both go in steps.
        let mixed = (id ^ timestamp.cast_unsigned().rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed >> (u64::BITS - SAMPLE.ilog2()) == 0
    }

    /// Takes note of an event that is in the sample.
    #[cold]
    #[inline(never)]
    pub fn watch(&mut self, event: Event<'_>) {
        // Whoever comes again later than a filter would remember is no reason for one.
        if self.known.len() >= self.memory / size_of::<u128>() / SAMPLE as usize {
            self.known.clear();
            self.read = 0;
        }
        let hash = self.known.hasher().hash_one((event.site, event.id));
        self.watched.add(!self.known.insert(hash));
    }
}

/// The last bytes of a text.
#[cold]
#[inline(never)]
fn tail(text: &[u8]) -> u64 {
    text.iter().rev().take(8).fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// How many of all came before.
#[derive(Default)]
struct Score {
    all: u64,
    repeats: u64,
}

impl Score {
    fn add(&mut self, repeats: bool) {
        self.all += 1;
        self.repeats += u64::from(repeats);
    }

    /// Whether they are enough. Begins anew.
    fn close(&mut self) -> bool {
        let Score { all, repeats } = std::mem::take(self);
        repeats * ENOUGH >= all
    }
}

/// A line of a chunk: its bytes, `\n` included, and their hash.
#[derive(Clone, Copy, Default)]
pub struct Line {
    /// How long it is.
    pub length: usize,
    /// 128 bits with a secret seed, so equal for equal lines alone: among a million million lines, two others would share
    /// theirs with a probability of 10^-15, and nobody can make some that do.
    pub hash: u128,
}

/// Lines that are looked up together.
pub const BLOCK: usize = 64;

/// Remembers lines by their hashes: sets of four, of which the oldest makes room.
pub struct Filter {
    sets: Zeros,
    seed: u64,
    score: Score,
}

/// What is read of memory at a time.
type Set = [u8; 64];

impl Filter {
    /// Nothing if there is no such memory: then all lines are parsed.
    fn new(memory: usize) -> Option<Filter> {
        let sets = Zeros::new(memory.max(size_of::<Set>())).ok()?;
        Some(Filter { sets, seed: RandomState::new().hash_one(()), score: Score::default() })
    }

    fn capacity(&self) -> u64 {
        (self.sets.len() / size_of::<u128>()) as u64
    }

    /// Cuts the first lines off `bytes` and gives their number. Their sets are fetched all at once, since each is a wait
    /// for memory and they are waited for together.
    pub fn cut(&self, bytes: &[u8], lines: &mut [Line; BLOCK]) -> usize {
        let mut rest = bytes;
        let mut count = 0;
        for line in lines.iter_mut() {
            if rest.is_empty() {
                break;
            }
            let (bytes, behind) = rest.split_at(memchr(b'\n', rest).map_or(rest.len(), |at| at + 1));
            *line = Line { length: bytes.len(), hash: xxh3_128_with_seed(bytes, self.seed) };
            rest = behind;
            count += 1;
        }
        let sets = self.sets.as_chunks::<{ size_of::<Set>() }>().0;
        black_box(lines[..count].iter().fold(0, |sum, line| sum ^ sets[place(line.hash, sets)][0]));
        count
    }

    /// Whether a line came before and is still remembered.
    pub fn has(&mut self, hash: u128) -> bool {
        let sets = self.sets.as_chunks::<{ size_of::<Set>() }>().0;
        let (hashes, _) = sets[place(hash, sets)].as_chunks();
        let found = hashes.iter().fold(false, |found, other| found | (*other == hash.to_le_bytes()));
        self.score.add(found);
        found
    }

    /// Remembers a line.
    pub fn add(&mut self, hash: u128) {
        let sets = self.sets.as_chunks_mut::<{ size_of::<Set>() }>().0;
        let set = &mut sets[place(hash, sets)];
        set.copy_within(..size_of::<Set>() - size_of::<u128>(), size_of::<u128>());
        set[..size_of::<u128>()].copy_from_slice(&hash.to_le_bytes());
    }
}

/// The set of a hash.
fn place(hash: u128, sets: &[Set]) -> usize {
    (((hash >> 64) * sets.len() as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Id, Kind, Site};

    /// Looks up all lines of `bytes`, and remembers them; says which of them came before.
    fn look(filter: &mut Filter, bytes: &[u8]) -> Vec<bool> {
        let (mut found, mut rest) = (Vec::new(), bytes);
        let mut lines = [Line::default(); BLOCK];
        while !rest.is_empty() {
            let count = filter.cut(rest, &mut lines);
            assert!((1..=BLOCK).contains(&count));
            for line in &lines[..count] {
                let known = filter.has(line.hash);
                if !known {
                    filter.add(line.hash);
                }
                found.push(known);
                rest = &rest[line.length..];
            }
        }
        found
    }

    fn numbered(range: std::ops::Range<u32>) -> Vec<u8> {
        range.flat_map(|number| format!("line {number}\n").into_bytes()).collect()
    }

    #[test]
    fn lines_that_came_before_are_found_and_no_others() {
        let mut filter = Filter::new(1 << 20).unwrap();
        assert_eq!(look(&mut filter, &numbered(0..1000)), vec![false; 1000]);
        assert_eq!(look(&mut filter, &numbered(500..1500)), [[true; 500], [false; 500]].concat());
        // Within one block, and at its ends.
        assert_eq!(look(&mut filter, b"a\nb\na\n\n\nb\r\nb"), [false, false, true, false, true, false, false]);
        assert_eq!(look(&mut filter, b"b\nb"), [true, true]);
        assert_eq!(look(&mut filter, &b"c\n".repeat(BLOCK * 2 + 1)), [vec![false], vec![true; BLOCK * 2]].concat());
    }

    #[test]
    fn the_oldest_lines_are_forgotten() {
        // One set of four.
        let mut filter = Filter::new(64).unwrap();
        look(&mut filter, &numbered(0..10));
        assert_eq!(look(&mut filter, &numbered(6..10)), [true; 4]);
        assert_eq!(look(&mut filter, &numbered(5..6)), [false]);
        // Many: what does not fit goes, and what comes again soon is found.
        let mut filter = Filter::new(1 << 14).unwrap();
        let capacity = filter.capacity() as u32;
        assert_eq!(capacity, 1024);
        look(&mut filter, &numbered(0..10 * capacity));
        let recent = look(&mut filter, &numbered(9 * capacity + capacity * 3 / 4..10 * capacity));
        let found = recent.iter().filter(|found| **found).count();
        assert!(found > recent.len() * 9 / 10, "{found} of {}", recent.len());
        assert!(!look(&mut filter, &numbered(0..capacity)).contains(&true));
    }

    /// The events of a chunk, `copies` of a hundred of which were in the chunks before it.
    fn chunk(repeats: &mut Repeats, number: u64, copies: u64, event: impl Fn(u64) -> (Vec<u8>, i64)) {
        for index in 0..20_000 {
            let of = if index % 100 < copies { 0 } else { number };
            let (id, timestamp) = event(of * 20_000 + index);
            let event = Event { site: Site::Number(1), id: Id::new(&id), from: b"a", timestamp, kind: Kind::Message };
            if Repeats::samples(event.id, timestamp) {
                repeats.watch(event);
            }
        }
        repeats.judge();
    }

    fn random(number: u64) -> (Vec<u8>, i64) {
        let half = |salt: u64| (number + salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = u128::from(half(1)) << 64 | u128::from(half(2) ^ half(3) >> 7);
        let text = format!("{word:032x}");
        let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
        (parts.join("-").into_bytes(), (number % 7919 * 1_000) as i64)
    }

    /// The sample is one of so many, whatever ids and timestamps look like; of some that it may well be none of.
    #[test]
    fn the_sample_is_a_share_of_any_events() {
        type Make = fn(u64) -> (Vec<u8>, i64);
        let any: [(&str, Make); 7] = [
            ("random", random),
            ("at one moment", |number| (random(number).0, 0)),
            ("in whole minutes", |number| (random(number).0, (number / 50) as i64 * 60_000)),
            ("numbered, at one moment", |number| (number.to_string().into_bytes(), 1_700_000_000)),
            ("numbered, each with its second", |number| {
                (format!("m-{number:09}").into_bytes(), number as i64 * 1_000_000_000)
            }),
            ("numbered UUIDs", |number| (format!("00000000-0000-0000-0000-{number:012x}").into_bytes(), number as i64)),
            ("one id a site", |number| (b"last".to_vec(), number as i64 * 1_000)),
        ];
        for (name, make) in any {
            let sampled = |number: &u64| {
                let (id, timestamp) = make(*number);
                Repeats::samples(Id::new(&id), timestamp)
            };
            let found = (0..100_000).filter(sampled).count();
            assert!((390..1_560).contains(&found), "{name}: {found} of 100,000, and not about 781");
        }
    }

    /// How many chunks are looked at before lines are looked up, or the other way round; none if not at all.
    fn turns(repeats: &mut Repeats, mut look_at: impl FnMut(&mut Repeats, u64)) -> Option<u64> {
        let before = repeats.filter.is_some();
        (1..200).find(|&number| {
            look_at(repeats, number);
            repeats.filter.is_some() != before
        })
    }

    #[test]
    fn lines_are_looked_up_while_many_repeat() {
        let seek = Seek { memory: 1 << 21, always: false };
        let begins =
            |repeats: &mut Repeats, copies| turns(repeats, |repeats, number| chunk(repeats, number, copies, random));
        for copies in [0, 10, 20] {
            assert_eq!(begins(&mut Repeats::new(seek, 1), copies), None, "{copies} %");
        }
        for copies in [33, 50, 95] {
            let repeats = &mut Repeats::new(seek, 2);
            assert!(begins(repeats, copies).unwrap() < 10, "{copies} %");
            assert_eq!(repeats.filter.as_ref().unwrap().capacity(), 1 << 16, "its share of the memory");
        }
        // Only their ids repeat: it is given up soon, and tried again less and less often.
        let repeats = &mut Repeats::new(seek, 1);
        let gives_up = |repeats: &mut Repeats, share: u64| {
            turns(repeats, |repeats, number| {
                let line = |index| if index % 100 < share { index } else { number * 20_000 + index };
                let lines: Vec<u8> = (0..20_000).flat_map(|index| format!("{}\n", line(index)).into_bytes()).collect();
                look(repeats.filter.as_mut().unwrap(), &lines);
                repeats.judge();
            })
        };
        let first = begins(repeats, 90).unwrap();
        assert_eq!(gives_up(repeats, 50), None);
        assert!((2..=8).contains(&gives_up(repeats, 0).unwrap()), "as long as the sample took, and as long again");
        assert!(begins(repeats, 90).unwrap() > first * 2);
        // Whoever asked for it gets it.
        let repeats = &mut Repeats::new(Seek { always: true, ..seek }, 1);
        assert_eq!(gives_up(repeats, 0), None);
    }
}
