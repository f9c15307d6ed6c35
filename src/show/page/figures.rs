//! Figures and moments as text.

/// A number with its thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// How much a part is of a whole, in percent: never 0 % of something, never 100 % of less than all.
pub(super) fn share(part: u64, whole: u64) -> String {
    match (part, whole) {
        (_, 0) => "–".into(),
        (0, _) => "0 %".into(),
        (part, whole) if part >= whole => "100 %".into(),
        (part, whole) => {
            let permille = (u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole);
            let permille = permille.clamp(1, 999);
            format!("{}.{} %", permille / 10, permille % 10)
        }
    }
}

/// A day of the calendar: year, month, day, by days from 1970 on (the algorithm of Howard Hinnant, "days_from_civil").
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// A moment, by seconds from 1970 on in UTC, on a clock that is so many minutes ahead.
pub(super) fn moment(seconds: i64, offset: i32) -> String {
    // Dates beyond the year 9999 say nothing to anybody.
    if !(-62_000_000_000..253_000_000_000).contains(&seconds) {
        return format!("{seconds} s");
    }
    let local = seconds + i64::from(offset) * 60;
    let (year, month, day) = civil(local.div_euclid(86_400));
    let time = local.rem_euclid(86_400);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} {}", time / 3600, time / 60 % 60, time % 60, zone(offset))
}

/// A time zone.
pub(super) fn zone(offset: i32) -> String {
    match offset {
        0 => "UTC".into(),
        _ => {
            let (sign, minutes) = (if offset < 0 { '-' } else { '+' }, offset.abs());
            format!("UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
        }
    }
}

/// Text that is no markup, wherever it stands in HTML.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            char => out.push(char),
        }
    }
    out
}

/// RFC 4648, with padding.
pub(super) fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let bits = chunk.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let is_padding = at > chunk.len();
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            out.push(if is_padding { '=' } else { char::from(digit) });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        let shares = [(0, 0), (0, 5), (5, 5), (1, 100_000), (99_999, 100_000), (1, 3), (u64::MAX - 1, u64::MAX)];
        let expected = ["–", "0 %", "100 %", "0.1 %", "99.9 %", "33.3 %", "99.9 %"];
        assert_eq!(shares.map(|(part, whole)| share(part, whole)), expected);
    }

    #[test]
    fn moments_are_those_of_the_calendar() {
        for (seconds, offset, text) in [
            (0, 0, "1970-01-01 00:00:00 UTC"),
            (-1, 0, "1969-12-31 23:59:59 UTC"),
            (951_782_400, 0, "2000-02-29 00:00:00 UTC"),
            (1_795_777_199, 120, "2026-11-27 12:59:59 UTC+02:00"),
            (1_795_777_200, -210, "2026-11-27 07:30:00 UTC-03:30"),
            (i64::MAX, 840, "9223372036854775807 s"),
        ] {
            assert_eq!(moment(seconds, offset), text);
        }
    }

    #[test]
    fn bytes_are_in_base64() {
        let texts: [(&[u8], &str); 5] =
            [(b"", ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd\xfc", "//79/A==")];
        for (bytes, text) in texts {
            assert_eq!(base64(bytes), text);
        }
    }
}
