//! Records dealt to parts by a number, so that each part can be worked on alone.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Extent, Scratch, Spill};
use crate::base::secret;
use crate::error::Result;

/// The parts, and what was dealt to them.
pub struct Deal {
    spill: Spill,
    parts: Vec<Mutex<Part>>,
}

/// What was dealt to one part.
#[derive(Default)]
struct Part {
    extents: Vec<Extent>,
    /// What no file was needed for.
    held: Vec<Vec<u8>>,
}

impl Part {
    fn read(&self, spill: &Spill, buffer: &mut Vec<u8>, mut visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        for extent in &self.extents {
            spill.read(extent, buffer)?;
            visit(buffer)?;
        }
        self.held.iter().try_for_each(|held| visit(held))
    }
}

impl Deal {
    /// So many parts, all empty.
    pub fn new(scratch: &Scratch, parts: usize) -> Deal {
        let parts = (0..parts).map(|_| Mutex::default()).collect();
        Deal { spill: scratch.file(), parts }
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// A dealer that holds up to `most` bytes in memory. What it holds at its end stays there.
    pub fn dealer(&self, most: usize) -> Dealer<'_> {
        // All of it may be of one part, and a piece of a temporary file has less than 4 GiB.
        let most = most.min(MOST);
        Dealer { deal: self, buffers: vec![Vec::new(); self.parts.len()], held: 0, most }
    }

    /// Bytes of a part.
    pub fn length(&self, part: usize) -> u64 {
        let part = self.part(part);
        let extents = part.extents.iter().map(Extent::length).sum::<u64>();
        extents + part.held.iter().map(|held| held.len() as u64).sum::<u64>()
    }

    /// Gives the records of a part, in pieces of whole ones, and forgets them.
    pub fn take(&self, part: usize, buffer: &mut Vec<u8>, visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        let taken = std::mem::take(&mut *self.part(part));
        taken.read(&self.spill, buffer, visit)
    }

    /// Gives the records of a part, in pieces of whole ones.
    pub fn read(&self, part: usize, buffer: &mut Vec<u8>, visit: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.part(part).read(&self.spill, buffer, visit)
    }

    fn part(&self, part: usize) -> MutexGuard<'_, Part> {
        self.parts[part].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Deals for one thread.
pub struct Dealer<'d> {
    deal: &'d Deal,
    buffers: Vec<Vec<u8>>,
    held: usize,
    most: usize,
}

impl Dealer<'_> {
    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.buffers.len()
    }

    /// Deals one record, which `write` appends.
    #[inline]
    pub fn put(&mut self, part: usize, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        let buffer = &mut self.buffers[part];
        let before = buffer.len();
        write(buffer);
        self.held += buffer.len() - before;
        if self.held > self.most { self.put_aside() } else { Ok(()) }
    }

    #[cold]
    fn put_aside(&mut self) -> Result<()> {
        for (number, buffer) in self.buffers.iter_mut().enumerate().filter(|(_, buffer)| !buffer.is_empty()) {
            let extent = self.deal.spill.append(buffer)?;
            self.deal.part(number).extents.push(extent);
            buffer.clear();
        }
        self.held = 0;
        Ok(())
    }

    /// Ends. What it holds stays in memory.
    pub fn end(self) {
        for (number, buffer) in self.buffers.into_iter().enumerate().filter(|(_, buffer)| !buffer.is_empty()) {
            self.deal.part(number).held.push(buffer);
        }
    }
}

/// What works on parts that have to fit the memory, one after the other.
pub trait Parted {
    /// Takes some records of a part; gives the bytes behind them.
    fn take<'b>(&mut self, bytes: &'b [u8]) -> Result<&'b [u8]>;
    /// Whether what was taken is too much.
    fn is_full(&self) -> bool;
    /// Makes room without losing anything; says whether there is enough to go on.
    fn thin(&mut self) -> Result<bool>;
    /// Deals all that was taken to as many parts as there are, and forgets it. It deals by a hash, another one at each level, from 1.
    fn deal(&mut self, dealer: &mut Dealer<'_>, level: u32) -> Result<()>;
    /// Works on what was taken, which is a whole part, and forgets it.
    fn finish(&mut self) -> Result<()>;
}

/// The most deals that follow one another. What has one hash at all levels is one thing, and is held whole.
const DEEPEST: u32 = 8;

/// The most bytes that one thread holds, whatever memory there is.
const MOST: usize = 1 << 30;

/// The most parts that one part is dealt to again.
const AGAIN: u64 = 64;

/// How a part is dealt again that does not fit.
#[derive(Clone, Copy)]
struct Deeper<'s> {
    scratch: &'s Scratch,
    /// Bytes that each of its parts is expected to take at most.
    most: usize,
    /// See [`Parted::deal`].
    level: u32,
}

impl Deal {
    /// Works on a part; deals it again, if it does not fit, so that each of those parts is expected to take up to `most` bytes.
    pub fn work(&self, part: usize, scratch: &Scratch, most: usize, work: &mut impl Parted) -> Result<()> {
        self.work_at(part, Deeper { scratch, most, level: 1 }, work)
    }

    fn work_at(&self, part: usize, deal: Deeper<'_>, work: &mut impl Parted) -> Result<()> {
        let Deeper { scratch, most, level } = deal;
        let parts = (self.length(part) / (most as u64).max(1)).clamp(2, AGAIN).next_power_of_two();
        let again = Deal::new(scratch, parts as usize);
        let mut deeper: Option<Dealer<'_>> = None;
        self.take(part, &mut Vec::new(), |mut bytes| {
            while !bytes.is_empty() {
                bytes = work.take(bytes)?;
                match &mut deeper {
                    Some(dealer) => work.deal(dealer, level)?,
                    None if level > DEEPEST || !work.is_full() || work.thin()? => {}
                    None => work.deal(deeper.insert(again.dealer(most)), level)?,
                }
            }
            Ok(())
        })?;
        let Some(dealer) = deeper else { return work.finish() };
        dealer.end();
        (0..again.parts()).try_for_each(|part| again.work_at(part, Deeper { level: level + 1, ..deal }, work))
    }
}

/// The part of a hash, among as many as a power of two.
#[inline]
pub fn part_of(hash: u64, level: u32, parts: usize) -> usize {
    // Records that are dealt again had the same part before, so their hash has bits in common.
    let hash = if level == 0 { hash } else { secret::hash((hash, level)) };
    // Not the lowest bits: those place it in tables.
    (hash >> 40) as usize & (parts - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_record_is_in_its_part_whatever_fits_the_memory() {
        let directory = tempfile::tempdir().unwrap();
        for most in [0, 100, 5000, 1 << 20] {
            let scratch = Scratch::new(directory.path());
            let deal = Deal::new(&scratch, 7);
            std::thread::scope(|scope| {
                for thread in 0..3u32 {
                    let deal = &deal;
                    scope.spawn(move || {
                        let mut dealer = deal.dealer(most);
                        for number in (thread..3000).step_by(3) {
                            dealer
                                .put(number as usize % 7, |out| out.extend_from_slice(&number.to_le_bytes()))
                                .unwrap();
                        }
                        dealer.end();
                    });
                }
            });
            assert_eq!(scratch.written() == 0, most >= 5000);
            for part in 0..deal.parts() {
                let mut found = Vec::new();
                let length = deal.length(part);
                let taken = deal.take(part, &mut Vec::new(), |bytes| {
                    let (numbers, rest) = bytes.as_chunks::<4>();
                    assert!(rest.is_empty());
                    found.extend(numbers.iter().map(|number| u32::from_le_bytes(*number)));
                    Ok(())
                });
                taken.unwrap();
                found.sort_unstable();
                assert_eq!(found, (part as u32..3000).step_by(7).collect::<Vec<_>>());
                assert_eq!((length, deal.length(part)), (4 * found.len() as u64, 0));
            }
        }
    }
}
