//! The site of an event, borrowed or owned, and the order of sites in the report.

use std::cmp::Ordering;

/// Digits of the longest number that [`Site::Number`] holds. Every such number is below 2^60.
const MAX_SITE_DIGITS: usize = 18;

/// The site an event belongs to.
///
/// A canonical decimal number (no leading zero, at most 18 digits) is always a `Number`, anything else always `Text`, so
/// equal sites have equal values. Almost all sites of the field are numbers, and a number costs two bytes on disk
/// where its text costs six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Site<'a> {
    /// A canonical decimal number below 10^18.
    Number(u64),
    /// Any other name.
    Text(&'a [u8]),
}

impl<'a> Site<'a> {
    /// The site of this name.
    pub fn new(name: &'a [u8]) -> Site<'a> {
        let canonical = match name {
            [b'0'] => true,
            [b'1'..=b'9', rest @ ..] => name.len() <= MAX_SITE_DIGITS && rest.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if canonical {
            Site::Number(name.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
        } else {
            Site::Text(name)
        }
    }

    /// The name as text; `buffer` serves numbers.
    pub fn name<'b>(&self, buffer: &'b mut [u8; 20]) -> &'b [u8]
    where
        'a: 'b,
    {
        match *self {
            Site::Text(name) => name,
            Site::Number(number) => decimal(number, buffer),
        }
    }
}

/// A [`Site`] of its own; a number takes no allocation. Ordered as the report is: by the bytes of the names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SiteName {
    /// A canonical decimal number below 10^18.
    Number(u64),
    /// Any other name.
    Text(Box<[u8]>),
}

impl SiteName {
    /// The site.
    pub fn site(&self) -> Site<'_> {
        match self {
            SiteName::Number(number) => Site::Number(*number),
            SiteName::Text(name) => Site::Text(name),
        }
    }

    /// The name as text; `buffer` serves numbers.
    pub fn text<'b>(&'b self, buffer: &'b mut [u8; 20]) -> &'b [u8] {
        self.site().name(buffer)
    }
}

impl From<Site<'_>> for SiteName {
    fn from(site: Site<'_>) -> SiteName {
        match site {
            Site::Number(number) => SiteName::Number(number),
            Site::Text(name) => SiteName::Text(name.into()),
        }
    }
}

impl Ord for SiteName {
    fn cmp(&self, other: &SiteName) -> Ordering {
        match (self, other) {
            // Filled up with zeros, numbers compare as their digits do; of `1` and `10` the shorter is the lower.
            (SiteName::Number(a), SiteName::Number(b)) => filled_up(*a).cmp(&filled_up(*b)).then(a.cmp(b)),
            _ => self.text(&mut [0; 20]).cmp(other.text(&mut [0; 20])),
        }
    }
}

impl PartialOrd for SiteName {
    fn partial_cmp(&self, other: &SiteName) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A number below 10^18 with its digits moved to the left end of eighteen.
fn filled_up(number: u64) -> u64 {
    /// By the number of digits but one: what moves them there.
    const FACTORS: [u64; 18] = {
        let mut factors = [1; 18];
        let mut digits = 17;
        while digits > 0 {
            factors[digits - 1] = factors[digits] * 10;
            digits -= 1;
        }
        factors
    };
    number * FACTORS[number.checked_ilog10().unwrap_or(0).min(17) as usize]
}

/// `number` in decimal, written to the end of `buffer`.
pub fn decimal(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut start = buffer.len();
    for (place, digit) in buffer.iter_mut().enumerate().rev() {
        *digit = b"0123456789"[(number % 10) as usize];
        number /= 10;
        start = place;
        if number == 0 {
            break;
        }
    }
    &buffer[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_sites_are_in_the_order_of_their_names() {
        let names = "! 0 1 10 100 12345678 123456780 1234567800 123456789 19 2 shop shop-2 shop-2024 shop-2025 é";
        let sorted: Vec<SiteName> = names.split(' ').map(|name| Site::new(name.as_bytes()).into()).collect();
        assert!(sorted.is_sorted());
        for turn in 0..sorted.len() {
            let mut list = sorted.clone();
            list.rotate_left(turn);
            list.swap(0, turn / 2);
            list.sort_unstable();
            assert_eq!(list, sorted);
        }
    }

    #[test]
    fn sites_are_numbers_only_in_canonical_form() {
        assert_eq!(Site::new(b"0"), Site::Number(0));
        assert_eq!(Site::new(b"200000"), Site::Number(200_000));
        assert_eq!(Site::new(b"999999999999999999"), Site::Number(999_999_999_999_999_999));
        for text in ["", "00", "01", "1000000000000000000", "-1", "1a", "1 ", "١"] {
            assert_eq!(Site::new(text.as_bytes()), Site::Text(text.as_bytes()), "{text:?}");
        }
        for name in ["0", "7", "10", "999999999999999999", "x"] {
            assert_eq!(Site::new(name.as_bytes()).name(&mut [0; 20]), name.as_bytes());
        }
    }
}
