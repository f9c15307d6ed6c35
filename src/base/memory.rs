//! Memory that the system may refuse: an error that says what it was for, where the usual way would end the program.
//!
//! Memory that is large, or grows with the input or the store, is asked for here. Small pieces are asked for as always. If even those
//! are refused, the standard library says so and aborts, which the program turns into its exit status 1.

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

use crate::error::{Error, Result};

/// Makes room for `more` elements; in steps, as pushing them would, so that growing costs little.
#[inline]
pub fn reserve<T>(list: &mut Vec<T>, more: usize, what: &'static str) -> Result<()> {
    match list.capacity() - list.len() {
        room if room >= more => Ok(()),
        _ => grow(list, more, what),
    }
}

#[cold]
fn grow<T>(list: &mut Vec<T>, more: usize, what: &'static str) -> Result<()> {
    // A step doubles the list at least. If that much is refused, the system may still give what is needed.
    list.try_reserve(more).or_else(|_| list.try_reserve_exact(more)).map_err(|_| {
        let length = list.len().saturating_add(more);
        refused(what, length.saturating_mul(size_of::<T>()))
    })
}

/// A list with room for so many elements and no more.
pub fn list<T>(count: usize, what: &'static str) -> Result<Vec<T>> {
    let mut list = Vec::new();
    list.try_reserve_exact(count).map_err(|_| refused(what, count.saturating_mul(size_of::<T>())))?;
    Ok(list)
}

/// Makes a list `length` elements long. New elements are `value`.
pub fn resize<T: Clone>(list: &mut Vec<T>, length: usize, value: T, what: &'static str) -> Result<()> {
    reserve(list, length.saturating_sub(list.len()), what)?;
    list.resize(length, value);
    Ok(())
}

/// Whether the system would give so much now; nothing is taken.
pub fn probe(bytes: u64, what: &'static str) -> Result<()> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    MmapMut::map_anon(bytes).map(drop).map_err(|_| refused(what, bytes))
}

fn refused(what: &'static str, bytes: usize) -> Error {
    Error::Memory { what, bytes: bytes as u64 }
}

/// Zeroed memory. Untouched pages use no RAM.
pub struct Zeros(MmapMut);

impl Zeros {
    /// So many bytes.
    pub fn new(bytes: usize, what: &'static str) -> Result<Zeros> {
        MmapMut::map_anon(bytes).map(Zeros).map_err(|_| refused(what, bytes))
    }

    /// Asks for large pages, if the system has them. A table that is read here and there waits longer for the addresses of pages than
    /// for bytes.
    pub fn in_large_pages(self) -> Zeros {
        // Small ones do as well.
        #[cfg(target_os = "linux")]
        let _ = self.0.advise(memmap2::Advice::HugePage);
        self
    }
}

impl Deref for Zeros {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl DerefMut for Zeros {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than any address space has.
    const TOO_MUCH: usize = isize::MAX as usize;

    fn refusal<T>(result: Result<T>) -> (&'static str, u64) {
        match result.map(|_| ()) {
            Err(Error::Memory { what, bytes }) => (what, bytes),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_refused_is_an_error_with_its_purpose_and_its_size() {
        let whole = ("a whole", TOO_MUCH as u64);
        assert_eq!(refusal(reserve(&mut Vec::<u8>::new(), TOO_MUCH, "a whole")), whole);
        assert_eq!(refusal(list::<u8>(TOO_MUCH, "a whole")), whole);
        assert_eq!(refusal(resize(&mut vec![1u8], TOO_MUCH, 0, "a whole")), whole);
        assert_eq!(refusal(Zeros::new(TOO_MUCH, "a whole")), whole);
        assert_eq!(refusal(probe(TOO_MUCH as u64, "a whole")), whole);
        assert_eq!(refusal(list::<u64>(usize::MAX, "words")), ("words", u64::MAX));
    }

    #[test]
    fn what_is_given_is_as_asked_for() {
        let mut bytes = vec![1u8; 3];
        resize(&mut bytes, 5, 7, "bytes").unwrap();
        assert_eq!(bytes, [1, 1, 1, 7, 7]);
        resize(&mut bytes, 2, 7, "bytes").unwrap();
        assert_eq!(bytes, [1, 1]);
        assert!(list::<u64>(9, "words").unwrap().capacity() >= 9);
        let mut zeros = Zeros::new(1 << 20, "zeros").unwrap().in_large_pages();
        assert!(zeros.iter().all(|byte| *byte == 0));
        zeros[5] = 1;
        assert_eq!(zeros.len(), 1 << 20);
        probe(1 << 20, "room").unwrap();
    }
}
