//! The value of a required key that is wrong, and what to write in its place.

use super::fields::Required;
use super::scan::{Kind, closing_quote};
use super::string::Unescaped;

/// Bytes of a value that is made into another one.
const LONGEST: usize = 64;

/// A wrong value, what was expected, and what to do.
pub(super) fn sentence(key: Required, seen: &str, advice: Option<String>) -> String {
    let advice = advice.map_or(String::new(), |advice| format!(": {advice}"));
    format!("\"{}\" is {seen}; expected {}{advice}", key.name(), expected(key))
}

/// What a required key has to hold.
pub(super) fn expected(key: Required) -> &'static str {
    match key {
        Required::Id | Required::From | Required::SiteId => "a string of 1 to 1,024 bytes",
        Required::Timestamp => "an integer",
        Required::Type => "\"message\" or \"status\"",
        Required::Data => "an object",
        Required::Message => "a string",
        Required::Status => "\"online\" or \"offline\"",
    }
}

/// What to write in the place of a value of this kind; `text` is the value, or what begins like one.
pub(super) fn advice(key: Required, kind: Kind, text: &str) -> Option<String> {
    let is_null = matches!(text, "null" | "None" | "undefined" | "nil");
    let content = unquoted(text);
    match key {
        Required::Id | Required::From | Required::SiteId | Required::Message => match kind {
            Kind::Open => None,
            _ if is_null => None,
            Kind::Number => Some(format!("write it in quotes, {}", literal(text)?)),
            _ => Some(format!("write {}", literal(content.unwrap_or(text))?)),
        },
        Required::Timestamp => timestamp(kind, text, content),
        Required::Type => word(content.unwrap_or(text), &["message", "status"]),
        Required::Status => word(content.unwrap_or(text), &["online", "offline"]),
        Required::Data => {
            let packed = content.is_some_and(|content| content.trim_start().starts_with('{'));
            packed.then(|| "jq -c '.data |= fromjson' unpacks it".to_owned())
        }
    }
}

fn timestamp(kind: Kind, text: &str, content: Option<&str>) -> Option<String> {
    if let Some(content) = content {
        return match integer(content.trim()) {
            Some(number) => Some(format!("write {number}, without quotes")),
            None => date(content),
        };
    }
    match integer(text) {
        Some(number) => Some(format!("write {number}")),
        None if kind != Kind::Number => None,
        None if text.contains(['e', 'E']) => Some("no exponent, and not more than 64 bits".to_owned()),
        None if text.contains('.') => Some("no fraction".to_owned()),
        None if text.starts_with('-') => Some(format!("at least {}", i64::MIN)),
        None => Some(format!("at most {}", i64::MAX)),
    }
}

/// What to do with a date in a string.
fn date(content: &str) -> Option<String> {
    let digits = |text: Option<&str>| text.is_some_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let is_date = digits(content.get(..4)) && content.get(4..5) == Some("-") && digits(content.get(5..7));
    // The one layout that jq reads.
    let of_jq = content.len() == 20 && content.get(10..11) == Some("T") && content.ends_with('Z');
    match (is_date, of_jq) {
        (true, true) => Some("jq -c '.timestamp |= fromdate' converts it to seconds".to_owned()),
        (true, false) => Some("convert the date, to seconds since 1970-01-01 for example".to_owned()),
        _ => None,
    }
}

/// One of these words, if the text is it but for case and spaces.
fn word(text: &str, words: &[&str]) -> Option<String> {
    let text = text.trim();
    words.iter().find(|word| word.eq_ignore_ascii_case(text)).map(|word| format!("write \"{word}\""))
}

/// The text between quotes, the right ones or not.
fn unquoted(text: &str) -> Option<&str> {
    let first = text.chars().next()?;
    let close = if first == '"' { '"' } else { closing_quote(first)? };
    text.strip_prefix(first)?.strip_suffix(close)
}

/// A text as a string of JSON, if it can be made one by quotes alone, and is not too long to be said.
pub(super) fn literal(text: &str) -> Option<String> {
    let plain =
        |char: char| (char == ' ' || char.is_ascii_graphic() || char.is_alphanumeric()) && !"\"\\".contains(char);
    let shown = !text.is_empty() && text.len() <= LONGEST && text.chars().all(plain);
    (shown && !text.chars().any(crate::base::text::is_unprintable)).then(|| format!("\"{text}\""))
}

/// What to write in the place of something that is not a value of JSON, wherever it stands.
pub(super) fn of_any(text: &str) -> Option<String> {
    match text {
        "True" | "TRUE" => Some("true".to_owned()),
        "False" | "FALSE" => Some("false".to_owned()),
        "None" | "Null" | "NULL" | "nil" | "undefined" | "NaN" | "nan" => Some("null".to_owned()),
        "Infinity" | "-Infinity" | "+Infinity" | "inf" | "-inf" => Some("null".to_owned()),
        _ if begins_number(text) => {
            let number = integer(text).map(|number| number.to_string()).or_else(|| decimal(text));
            number.or_else(|| literal(text).filter(|_| !text.ends_with(['e', 'E', '+', '-'])))
        }
        _ => literal(text),
    }
}

/// Whether somebody may have meant a value with this.
pub(super) fn is_word(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-', '.']);
    text.starts_with(|char: char| char.is_alphanumeric() || "_$@/%<".contains(char))
}

/// What something is that is not a value of JSON.
pub(super) fn described(text: &str) -> &'static str {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let next = digits.chars().nth(1);
    match digits.chars().next() {
        Some('+') if begins_number(text) => "no number of JSON: none begins with \"+\"",
        Some('.') if begins_number(text) => "no number of JSON: a digit is missing before the point",
        Some('0') if next.is_some_and(|char| char.is_ascii_digit()) => "no number of JSON: it has a leading zero",
        Some('0') if matches!(next, Some('x' | 'X')) => "no number of JSON: it is hexadecimal",
        Some('0'..='9') if digits.ends_with('.') => "no number of JSON: a digit is missing behind the point",
        Some('0'..='9') if digits.ends_with(['e', 'E', '+', '-']) => {
            "no number of JSON: a digit is missing in the exponent"
        }
        Some('0'..='9') if integer(text).is_some() || decimal(text).is_some() => "no number of JSON",
        Some('0'..='9') => "no number of JSON, and has no quotes",
        _ => "no word of JSON",
    }
}

fn begins_number(text: &str) -> bool {
    let text = text.trim_start_matches(['+', '-']);
    let text = text.strip_prefix('.').unwrap_or(text);
    text.starts_with(|char: char| char.is_ascii_digit())
}

/// The number that a text means which is not exactly one of JSON, such as `.5`, `+1.5` or `01.5`.
fn decimal(text: &str) -> Option<String> {
    if text.len() > LONGEST {
        return None;
    }
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.')?;
    let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let sign = if negative { "-" } else { "" };
    (are_digits(whole) && are_digits(fraction) && !fraction.is_empty()).then(|| format!("{sign}{whole}.{fraction}"))
}

/// The integer of 64 bits that a text means, however it is written: `1429026445.0`, `1.4e9`, `+1`, `007`, `0x10`, `1_000`,
/// `5L`. `None` if it means none, or another number.
fn integer(text: &str) -> Option<i64> {
    if text.is_empty() || text.len() > LONGEST {
        return None;
    }
    let negative = text.starts_with('-');
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let size = match digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        Some(hexadecimal) if !hexadecimal.starts_with(['+', '-']) => i128::from_str_radix(hexadecimal, 16).ok()?,
        Some(_) => return None,
        None => whole(digits.strip_suffix(['L', 'l', 'n']).unwrap_or(digits))?,
    };
    i64::try_from(if negative { -size } else { size }).ok()
}

/// A decimal number without sign, if it is an integer.
fn whole(text: &str) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok().filter(|exponent| exponent.abs() <= 99)?),
        None => (text, 0),
    };
    let (before, behind) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if before.is_empty() && behind.is_empty() {
        return None;
    }
    let mut number: i128 = 0;
    let mut scale = exponent;
    let fraction = before.len();
    for (at, byte) in before.bytes().chain(behind.bytes()).enumerate() {
        match byte {
            b'_' => continue,
            b'0'..=b'9' => number = number.checked_mul(10)?.checked_add(i128::from(byte - b'0'))?,
            _ => return None,
        }
        scale -= i32::from(at >= fraction);
    }
    while scale < 0 && number % 10 == 0 && number != 0 {
        (number, scale) = (number / 10, scale + 1);
    }
    match scale {
        _ if number == 0 => Some(0),
        0.. => number.checked_mul(10i128.checked_pow(scale.unsigned_abs())?),
        _ => None,
    }
}

/// Whether a text is what a string holds that is itself an object of JSON.
pub(super) fn is_packed(content: &str) -> bool {
    let mut chars = Unescaped::new(content).filter_map(|(_, char)| char.ok()).filter(|char| !char.is_whitespace());
    chars.next() == Some('{') && matches!(chars.next(), Some('"' | '}'))
}
