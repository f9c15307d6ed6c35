//! Sorting texts by their bytes, where each text has a number. The order of the events of a site is in
//! [`table`](super::table).

/// The first eight bytes of a text as a number, which orders as they do.
#[inline]
pub(crate) fn prefix(text: &[u8]) -> u64 {
    let mut word = [0; 8];
    match text.first_chunk() {
        Some(first) => word = *first,
        None => word.iter_mut().zip(text).for_each(|(byte, first)| *byte = *first),
    }
    u64::from_be_bytes(word)
}

/// Fewer texts than this are compared as they are: looking for what they share takes longer.
const FEW: usize = 12;

/// A text by its number, with the eight bytes of it that decide nearly every comparison beside it.
#[derive(Clone, Copy)]
pub(crate) struct Keyed {
    /// Eight bytes of the text, from wherever the texts around it begin to differ. Only [`sort_texts`] reads and writes them.
    word: u64,
    /// The number of the text.
    pub(crate) number: u32,
}

impl Keyed {
    /// The text of this number.
    #[inline]
    pub(crate) fn new(number: u32) -> Keyed {
        Keyed { word: 0, number }
    }
}

/// Sorts texts by their bytes. It compares the eight bytes behind what all of them begin with. Where these are alike, it goes on
/// with the next eight behind what those texts share.
pub(crate) fn sort_texts<'t>(texts: &mut [Keyed], text: impl Fn(u32) -> &'t [u8]) {
    // Not recursive: texts of 1,000 bytes may share nearly all of them, eight bytes at a time.
    let mut runs = vec![(0..texts.len(), 0)];
    while let Some((run, known)) = runs.pop() {
        let start = run.start;
        let some = &mut texts[run];
        let rest = |keyed: &Keyed| text(keyed.number).get(known..).unwrap_or_default();
        let Some(first) = some.first().map(rest) else { continue };
        let shared = some.iter().fold(first.len(), |shared, keyed| shared_length(&first[..shared], rest(keyed)));
        if some.len() < FEW || some.iter().all(|keyed| rest(keyed).len() == shared) {
            some.sort_unstable_by(|a, b| rest(a).cmp(rest(b)));
            continue;
        }
        for keyed in &mut *some {
            keyed.word = prefix(rest(keyed).get(shared..).unwrap_or_default());
        }
        some.sort_unstable_by_key(|keyed| keyed.word);
        let mut at = start;
        for alike in some.chunk_by_mut(|a, b| a.word == b.word) {
            let behind = known + shared + 8;
            // A text that ended is filled up with zeros. It may look like one that has such bytes.
            if alike.len() < FEW || alike.iter().any(|keyed| text(keyed.number).len() < behind) {
                alike.sort_unstable_by(|a, b| rest(a).cmp(rest(b)));
            } else {
                runs.push((at..at + alike.len(), behind));
            }
            at += alike.len();
        }
    }
}

/// The number of bytes that two texts share at their start.
#[inline]
pub(crate) fn shared_length(a: &[u8], b: &[u8]) -> usize {
    let (words, others) = (a.as_chunks::<8>().0, b.as_chunks::<8>().0);
    let word = |bytes: &[u8; 8]| u64::from_le_bytes(*bytes);
    let alike = words.iter().zip(others).map(|(a, b)| word(a) ^ word(b)).position(|differ| differ != 0);
    let start = 8 * alike.unwrap_or(words.len().min(others.len()));
    start + a[start..].iter().zip(&b[start..]).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_in_order(
            texts in prop::collection::vec(prop_oneof![
                "[ab]{0,3}", "shared by all of them[a-d]{0,12}", "visitor[01]{0,14}", "[\0a]{5,20}", "\\PC{0,9}",
            ], 0..200),
            alike: bool,
        ) {
            let text = |number: u32| {
                let text = texts[number as usize].as_bytes();
                if alike { text.get(1..).unwrap_or_default() } else { text }
            };
            let mut sorted: Vec<Keyed> = (0..texts.len() as u32).map(Keyed::new).collect();
            sort_texts(&mut sorted, text);
            prop_assert!(sorted.is_sorted_by(|a, b| text(a.number) <= text(b.number)));
            let mut numbers: Vec<u32> = sorted.iter().map(|keyed| keyed.number).collect();
            numbers.sort_unstable();
            prop_assert_eq!(numbers, (0..texts.len() as u32).collect::<Vec<_>>());
        }

        #[test]
        fn what_two_texts_share(a in "[ab]{0,30}", b in "[ab]{0,30}", both in "[ab]{0,30}") {
            let (a, b) = (format!("{both}{a}"), format!("{both}{b}"));
            let expected = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
            prop_assert_eq!(shared_length(a.as_bytes(), b.as_bytes()), expected);
        }
    }
}
