//! Numbers and words of JSON that may go on behind the end of what was kept.

/// Whether a word of JSON begins so.
pub(super) fn is_begun(run: &str) -> bool {
    !run.is_empty() && ["true", "false", "null"].iter().any(|word| word.starts_with(run))
}

/// How much of a number a text is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    Whole,
    /// A number may begin so.
    Begun,
    Wrong,
}

/// How much of a number of JSON a text is.
pub(super) fn number(text: &str) -> Number {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let behind = |text: &'_ str, count: usize| text.get(count..).unwrap_or_default().len();
    let text = text.strip_prefix('-').unwrap_or(text);
    let mut rest = text;
    let whole = digits(rest);
    match whole {
        0 => return if rest.is_empty() { Number::Begun } else { Number::Wrong },
        2.. if rest.starts_with('0') => return Number::Wrong,
        _ => rest = rest.get(whole..).unwrap_or_default(),
    }
    if let Some(fraction) = rest.strip_prefix('.') {
        let count = digits(fraction);
        if count == 0 {
            return if behind(fraction, count) == 0 { Number::Begun } else { Number::Wrong };
        }
        rest = fraction.get(count..).unwrap_or_default();
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let count = digits(exponent);
        if count == 0 {
            return if behind(exponent, count) == 0 { Number::Begun } else { Number::Wrong };
        }
        rest = exponent.get(count..).unwrap_or_default();
    }
    if rest.is_empty() { Number::Whole } else { Number::Wrong }
}
