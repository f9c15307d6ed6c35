//! Texts in the order of their bytes, by numbers.

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

/// Runs of fewer texts are compared as they are: looking for what they share takes longer.
const FEW: usize = 12;

/// Brings places of texts into the order of these: by the eight bytes behind what all of them begin with, which decide nearly
/// always, and are put beside each place; where they are alike, by the next eight behind what those texts share, and so on.
pub(crate) fn sort_texts<'t>(places: &mut [(u64, u32)], text: impl Fn(u32) -> &'t [u8]) {
    // Not recursive: texts of 1,000 bytes may share nearly all of them, eight bytes at a time.
    let mut runs = vec![(0..places.len(), 0)];
    while let Some((run, known)) = runs.pop() {
        let start = run.start;
        let some = &mut places[run];
        let rest = |place: u32| text(place).get(known..).unwrap_or_default();
        let Some((_, first)) = some.first().copied() else { continue };
        let first = rest(first);
        let shared = some.iter().fold(first.len(), |shared, (_, place)| shared_length(&first[..shared], rest(*place)));
        if some.len() < FEW || some.iter().all(|(_, place)| rest(*place).len() == shared) {
            some.sort_unstable_by(|a, b| rest(a.1).cmp(rest(b.1)));
            continue;
        }
        for (word, place) in &mut *some {
            *word = prefix(rest(*place).get(shared..).unwrap_or_default());
        }
        some.sort_unstable_by_key(|(word, _)| *word);
        let mut at = start;
        for alike in some.chunk_by_mut(|a, b| a.0 == b.0) {
            let behind = known + shared + 8;
            // Those that ended are filled up with zeros, and may be alike with those that have such.
            if alike.len() < FEW || alike.iter().any(|(_, place)| text(*place).len() < behind) {
                alike.sort_unstable_by(|a, b| rest(a.1).cmp(rest(b.1)));
            } else {
                runs.push((at..at + alike.len(), behind));
            }
            at += alike.len();
        }
    }
}

/// How many bytes two texts begin with that are the same.
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
            let text = |place: u32| {
                let text = texts[place as usize].as_bytes();
                if alike { text.get(1..).unwrap_or_default() } else { text }
            };
            let mut places: Vec<(u64, u32)> = (0..texts.len() as u32).map(|place| (0, place)).collect();
            sort_texts(&mut places, text);
            prop_assert!(places.is_sorted_by(|a, b| text(a.1) <= text(b.1)));
            let mut numbers: Vec<u32> = places.iter().map(|(_, place)| *place).collect();
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
