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

/// Brings places of texts into the order of these: by the eight bytes behind what all of them begin with, which decide nearly
/// always, and are put beside each place.
pub(crate) fn sort_texts<'t>(places: &mut [(u64, u32)], text: impl Fn(u32) -> &'t [u8]) {
    let Some((_, first)) = places.first().copied() else { return };
    let first = text(first);
    let mut shared = first.len();
    for (_, place) in &*places {
        shared = first[..shared].iter().zip(text(*place)).take_while(|(a, b)| a == b).count();
    }
    for (word, place) in &mut *places {
        *word = prefix(text(*place).get(shared..).unwrap_or_default());
    }
    places.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| text(a.1).cmp(text(b.1))));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_in_order(
            texts in prop::collection::vec(prop_oneof!["[ab]{0,3}", "shared by all of them[a-d]{0,12}", "\\PC{0,9}"], 0..60),
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
    }
}
