//! Lines that repeat an earlier one of their input byte for byte, as they do where a feed delivers at least once. The event
//! of such a line is in the log already, so it is counted and need not be parsed and stored again.
//!
//! Each worker of an ingest remembers the lines it has read itself, and no others: its chunks come in ascending order, so
//! what it remembers is in the same frame or in one before it, and in whatever prefix of the log a crash leaves.
//!
//! To look a line up costs nearly half of what it takes to parse, store and report it. So a worker first watches a sample of its
//! events, and looks lines up once a quarter of them have come before, for as long as a quarter of the lines have. A quarter
//! spares no time yet, only room on the disk; but copies that come from afar are found the more often the longer an input is.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::hint::black_box;

use memchr::memchr;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use crate::base::memory::Zeros;
use crate::event::{Event, Id};

/// Lines are looked up once at least one in `ENOUGH` sampled events is a repeat.
const ENOUGH: u64 = 4;
/// One event in so many is in the sample. A power of two.
const SAMPLE: u64 = 128;
/// The sample is judged whenever so many of its events were seen.
const WATCHED: u64 = 256;

/// Whether lines are looked up among those before them.
#[derive(Clone, Copy, Debug)]
pub struct Seek {
    /// Bytes in which all the threads of an ingest together remember lines: eleven a line, three million lines.
    pub memory: usize,
    /// Look every line up, and not only where a sample shows that it pays.
    pub always: bool,
}

impl Default for Seek {
    fn default() -> Seek {
        Seek { memory: 32 << 20, always: false }
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
    /// Lines that were read since the sample knew nothing.
    read: u64,
    /// Events of the sample that are passed over before it is watched again.
    rest: u64,
    /// What the next rest is, in times of the trial before it.
    patience: u64,
}

impl Default for Repeats {
    fn default() -> Repeats {
        Repeats::new(Seek { memory: 0, always: false }, 1)
    }
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
            read: 0,
            rest: 0,
            patience: 8,
        }
    }

    /// Looks at what became of a chunk, and decides about the next.
    pub fn judge(&mut self) {
        if let Some(filter) = &mut self.filter {
            // It began with no line known, as the sample did; what was just enough then has to be enough on the average now.
            let given = self.read.saturating_mul(4).min(filter.capacity());
            if self.always || filter.score.all < given || filter.score.close() {
                return;
            }
            // The ids repeat and the lines do not, or no longer.
            self.filter = None;
            self.rest = (given / SAMPLE).saturating_mul(self.patience);
            self.patience = self.patience.saturating_mul(4);
            self.read = 0;
        } else if self.watched.all >= WATCHED {
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
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        // An event that comes again later than a filter would remember is not a reason for a filter.
        if self.known.len() as u64 * SAMPLE >= lines_in(self.memory) {
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

/// A line of a chunk.
#[derive(Clone, Copy, Default)]
pub struct Line {
    /// Its bytes, `\n` included.
    pub length: usize,
    /// A hash of 128 bits with a secret seed.
    pub hash: u128,
}

/// Lines that are looked up together.
pub const BLOCK: usize = 64;

/// Remembers lines by their hashes, in sets of six of which the oldest makes room. The upper bits of a hash say which set, and
/// the lower 80 are kept: among a million million lines, one would be taken for another with a probability of 10^-11. The seed
/// is another in every run, so that nobody can choose lines that are.
pub struct Filter {
    sets: Zeros,
    seed: u64,
    score: Score,
}

/// What is read of memory at a time: as many times eight bytes of a hash, as many times two more, and what is left over.
type Set = [u8; 64];

/// Hashes of a set.
const WAYS: usize = 6;
/// Bits of a hash that are kept.
const KEPT: u32 = 80;

impl Filter {
    /// `None` if so much memory is refused: then all lines are parsed.
    fn new(memory: usize) -> Option<Filter> {
        let sets = Zeros::new(memory.max(size_of::<Set>()), "repeated lines").ok()?.in_large_pages();
        Some(Filter { sets, seed: RandomState::new().hash_one(()), score: Score::default() })
    }

    fn capacity(&self) -> u64 {
        lines_in(self.sets.len())
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
        let sets = self.sets.as_chunks().0;
        black_box(lines[..count].iter().fold(0, |sum, line| sum ^ sets[place(line.hash, sets)][0]));
        count
    }

    /// Whether a line came before and is still remembered.
    pub fn has(&mut self, hash: u128) -> bool {
        let sets = self.sets.as_chunks().0;
        let (words, rest) = sets[place(hash, sets)].split_at(8 * WAYS);
        let (word, end) = kept(hash);
        let pairs = words.as_chunks().0.iter().zip(rest.as_chunks().0);
        // All of them, as one is as likely as another.
        let found = pairs.fold(false, |found, pair| found | ((*pair.0 == word) & (*pair.1 == end)));
        self.score.add(found);
        found
    }

    /// Remembers a line.
    pub fn add(&mut self, hash: u128) {
        let sets = self.sets.as_chunks_mut().0;
        let (words, rest) = sets[place(hash, sets)].split_at_mut(8 * WAYS);
        let (word, end) = kept(hash);
        words.copy_within(..8 * (WAYS - 1), 8);
        words[..8].copy_from_slice(&word);
        rest.copy_within(..2 * (WAYS - 1), 2);
        rest[..2].copy_from_slice(&end);
    }
}

/// How many lines fit so many bytes.
fn lines_in(bytes: usize) -> u64 {
    (bytes / size_of::<Set>() * WAYS) as u64
}

/// The set of a hash.
fn place(hash: u128, sets: &[Set]) -> usize {
    (((hash >> KEPT) * sets.len() as u128) >> (u128::BITS - KEPT)) as usize
}

/// What is kept of a hash.
fn kept(hash: u128) -> ([u8; 8], [u8; 2]) {
    ((hash as u64).to_le_bytes(), ((hash >> 64) as u16).to_le_bytes())
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
        // One set of six.
        let mut filter = Filter::new(64).unwrap();
        look(&mut filter, &numbered(0..10));
        assert_eq!(look(&mut filter, &numbered(4..10)), [true; 6]);
        assert_eq!(look(&mut filter, &numbered(3..4)), [false]);
        // Many: what does not fit goes, and what comes again soon is found.
        let mut filter = Filter::new(1 << 14).unwrap();
        let capacity = filter.capacity() as u32;
        assert_eq!(capacity, 1536);
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
            assert_eq!(repeats.filter.as_ref().unwrap().capacity(), 6 << 14, "its share of the memory");
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
        assert!((2..=8).contains(&gives_up(repeats, 0).unwrap()), "some times as long as the sample took");
        assert!(begins(repeats, 90).unwrap() > first * 2);
        // Whoever asked for it gets it.
        let repeats = &mut Repeats::new(Seek { always: true, ..seek }, 1);
        assert_eq!(gives_up(repeats, 0), None);
    }
}
