//! Names of sites that the format's hash takes for one another: it is public and can be solved for a word, so whoever may
//! name sites may name as many as they like that share a hash.

use std::collections::BTreeSet;

use super::dice::Dice;

/// What a word of a name is multiplied by, and its inverse modulo 2^64; and the same of the last step.
const MIX: u64 = 0xff51_afd7_ed55_8ccd;
const LAST: u64 = 0xc4ce_b9fe_1a85_ec53;
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// The inverse of an odd number modulo 2^64: each step of Newton's doubles the bits that are right.
const fn inverse(odd: u64) -> u64 {
    let mut inverse = odd;
    let mut step = 0;
    while step < 6 {
        inverse = inverse.wrapping_mul(2u64.wrapping_sub(odd.wrapping_mul(inverse)));
        step += 1;
    }
    inverse
}

fn mix(hash: u64, word: u64) -> u64 {
    let product = (hash ^ word).wrapping_mul(MIX);
    product ^ product >> 32
}

/// The word that leads from one state to another.
fn word_between(from: u64, to: u64) -> u64 {
    (to ^ to >> 32).wrapping_mul(const { inverse(MIX) }) ^ from
}

/// The state before the last step, of a hash.
fn state_of(hash: u64) -> u64 {
    hash.wrapping_mul(const { inverse(LAST) })
}

/// A character that stands in JSON as it is.
fn is_plain(byte: u8) -> bool {
    (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\'
}

fn is_text(word: u64) -> bool {
    word & 0x8080_8080_8080_8080 == 0 && word.to_le_bytes().into_iter().all(is_plain)
}

/// So many names of 16 bytes, all with this hash: the first half is anything, and the second is what leads to the hash, of
/// which one in some thousands is text.
pub fn names(count: usize, hash: u64, dice: &mut Dice) -> Vec<String> {
    let (start, end) = (mix(SEED, 16), state_of(hash));
    let mut names = BTreeSet::new();
    while names.len() < count {
        // Eight letters, so that the first half is text.
        let letters = (0..8)
            .fold(0, |word, _| word << 8 | u64::from(b"abcdefghijklmnopqrstuvwxyzABCDEF"[dice.below(32) as usize]));
        // Each of them, with its last letters changed in any way, is one more.
        for change in 0..1 << 10 {
            let first = letters ^ (change & 31) ^ (change >> 5) << 8;
            let second = word_between(mix(start, first), end);
            if is_text(first) && is_text(second) && names.len() < count {
                let name = [first.to_le_bytes(), second.to_le_bytes()].concat();
                names.insert(String::from_utf8(name).unwrap());
            }
        }
    }
    names.into_iter().collect()
}

/// So many names that are numbers, with hashes that begin with the same 16 bits and end with the same 24: of numbers, no two
/// have one hash, but a table of up to 16 million places sees no difference.
pub fn numbers(count: usize, hash: u64, dice: &mut Dice) -> Vec<String> {
    const FREE: u64 = 0x0000_ffff_ff00_0000;
    let mut numbers = BTreeSet::new();
    while numbers.len() < count {
        let other = hash & !FREE | dice.below(u64::MAX) & FREE;
        let number = word_between(SEED, state_of(other));
        // Longer ones are names, and hashed otherwise.
        if number < 10u64.pow(18) {
            numbers.insert(number);
        }
    }
    numbers.into_iter().map(|number| number.to_string()).collect()
}

/// So many names of the same lengths as these, which share nothing.
pub fn random(like: &[String], dice: &mut Dice) -> Vec<String> {
    let mut names = BTreeSet::new();
    for name in like {
        let digits = name.bytes().all(|byte| byte.is_ascii_digit());
        loop {
            let byte = |at: usize, dice: &mut Dice| match digits {
                // A number does not begin with a zero.
                true => b'0' + u8::from(at == 0) + dice.below(10 - u64::from(at == 0)) as u8,
                false => b"abcdefghijklmnopqrstuvwxyzABCDEF"[dice.below(32) as usize],
            };
            let other: Vec<u8> = (0..name.len()).map(|at| byte(at, dice)).collect();
            if names.insert(String::from_utf8(other).unwrap()) {
                break;
            }
        }
    }
    let mut names: Vec<String> = names.into_iter().collect();
    dice.shuffle(&mut names);
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use chatwal::event::Site;
    use chatwal::format::coding::site_hash;

    #[test]
    fn they_collide() {
        let hash = 0x1234_5678_9abc_def0;
        let named = names(50, hash, &mut Dice(1));
        assert_eq!(named.len(), 50);
        assert!(named.iter().all(|name| name.len() == 16 && site_hash(Site::new(name.as_bytes())) == hash));
        let numbered = numbers(50, hash, &mut Dice(1));
        let same = |other: u64| (other ^ hash) & 0xffff_0000_00ff_ffff == 0;
        assert!(numbered.iter().all(|name| matches!(Site::new(name.as_bytes()), Site::Number(_))));
        assert!(numbered.iter().all(|name| same(site_hash(Site::new(name.as_bytes())))));
        assert_eq!(random(&named, &mut Dice(1)).len(), 50);
    }
}
