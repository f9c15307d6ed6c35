//! Figures and names as the screen has them.

use chatwal::base::text::printable;
use jiff::Timestamp;
use ratatui::text::Span;

use crate::watch::picture::Row;

/// The share of messages that nobody could answer.
pub(super) fn missed(row: &Row) -> String {
    let all = row.counts.messages.saturating_add(row.counts.emails);
    if all == 0 { String::new() } else { format!("{} %", u128::from(row.counts.emails) * 100 / u128::from(all)) }
}

/// Some of those who are online.
pub(super) fn who(row: &Row) -> String {
    let names: Vec<String> = row.who.iter().map(|name| fitting(&printable(name), 20)).collect();
    let more = row.online.saturating_sub(row.who.len() as u64);
    if more > 0 { format!("{} +{}", names.join(" "), grouped(more)) } else { names.join(" ") }
}

/// A minute from 1970 on, as a date and a time.
pub(super) fn minute(minute: i64) -> Option<String> {
    let moment = Timestamp::from_second(minute.checked_mul(60)?).ok()?;
    Some(moment.strftime("%m-%d %H:%M").to_string())
}

/// A number with commas.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A time in the largest unit that says something.
pub(super) fn ago(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", grouped(seconds / 86_400)),
    }
}

/// A text cut to so many columns of the screen.
pub(super) fn fitting(text: &str, columns: usize) -> String {
    if Span::raw(text).width() <= columns {
        return text.into();
    }
    let mut cut = String::new();
    for char in text.chars() {
        cut.push(char);
        if Span::raw(&cut).width() >= columns {
            cut.pop();
            break;
        }
    }
    cut.push('…');
    cut
}
