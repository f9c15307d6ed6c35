//! Moments as people write them, and the unit that a store's timestamps are in.
//!
//! A store has no unit: timestamps are integers, and only the writer of the events knows what they count. So a date means something
//! only once the unit is known. `--unit` names it; otherwise the magnitude of the timestamps tells it, and a note says so.

use std::ops::Range;

use chatwal::event::summary::Window;
use chatwal::event::unit::Unit;
use chatwal::query::report::{Report, Totals};
use chatwal::store::View;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use crate::args::{Global, ReportArgs, UnitArg};
use crate::console::Console;
use crate::{Stop, report_options};

/// A moment on the command line.
#[derive(Clone, Debug)]
pub struct Moment {
    /// As it was typed, for messages.
    pub text: String,
    when: When,
}

#[derive(Clone, Debug)]
enum When {
    /// In the store's own unit.
    Stamp(i64),
    Date(Timestamp),
    /// Negative: what to add to now.
    Ago(Span),
}

/// An integer, a date of RFC 3339, or a duration before now.
pub fn moment(text: &str) -> Result<Moment, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let when = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        When::Stamp(text.parse().map_err(|_| "a timestamp has at most 64 bits".to_string())?)
    } else {
        date(text).or_else(|problem| ago(text).map_err(|no_duration| problem.or(no_duration).unwrap_or_else(other)))?
    };
    Ok(Moment { text: text.into(), when })
}

fn other() -> String {
    "write a timestamp in the events' own unit; a date such as 2026-11-27 or 2026-11-27T11:00:00Z; or a duration before now \
     such as -7d or -1h30m"
        .into()
}

/// The error says what is wrong with a date; it is none if the text does not look like one.
fn date(text: &str) -> Result<When, Option<String>> {
    let bytes = text.as_bytes();
    let parse = |text: &str| text.parse::<Timestamp>().map(When::Date);
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return parse(text).map_err(|_| None);
    }
    if bytes.len() == "2026-11-27".len() {
        return parse(&format!("{text}T00:00:00Z")).map_err(|_| Some(not_a_date(text)));
    }
    parse(text).map_err(|_| {
        Some(match parse(&format!("{text}Z")) {
            Ok(_) => format!("no offset; write {text}Z for UTC, or an offset such as +02:00 in the place of the Z"),
            Err(_) => not_a_date(text),
        })
    })
}

/// A date of RFC 3339 up to its seconds, as [`not_a_date`] reads it: 0 stands for a digit, T for a T or a space.
const PATTERN: &[u8] = b"0000-00-00T00:00:00";
/// The last moment that a date can name, to its hour.
const LAST_HOUR: &str = "9999-12-30T21";

/// What is wrong with a text that begins as a date does.
fn not_a_date(text: &str) -> String {
    let fits = |(byte, wanted): &(u8, &u8)| match wanted {
        b'0' => byte.is_ascii_digit(),
        b'T' => [b'T', b't', b' '].contains(byte),
        _ => byte == *wanted,
    };
    let fitting = text.bytes().zip(PATTERN).take_while(fits).count();
    let number = |range: Range<usize>| {
        text.get(..fitting).and_then(|text| text.get(range)).and_then(|digits| digits.parse::<i8>().ok())
    };
    let year = text.get(..4).and_then(|digits| digits.parse::<i16>().ok()).unwrap_or_default();
    let days = number(5..7).and_then(|month| Date::new(year, month, 1).ok()).map_or(31, Date::days_in_month);
    let parts = [(5..7, "month", 1, 12), (8..10, "day", 1, days), (11..13, "hour", 0, 23), (14..16, "minute", 0, 59)];
    let wrong = parts.into_iter().chain([(17..19, "second", 0, 60)]).find_map(|(range, part, least, most)| {
        let found = number(range).filter(|found| !(least..=most).contains(found))?;
        Some(format!("{part} {found}, which must be from {least} to {most}"))
    });
    let (front, rest) = text.split_at_checked(fitting).unwrap_or((text, ""));
    let found = match (wrong, rest) {
        (Some(wrong), _) => wrong,
        (None, _) if front > LAST_HOUR || fitting == "2026-11-27".len() && front > "9999-12-30" => {
            "a moment too late to count, after the year 9999".into()
        }
        (None, "") => format!("nothing after {front:?}"),
        (None, rest) => format!("{rest:?} after {front:?}"),
    };
    format!("expected a date of RFC 3339 such as 2026-11-27 or 2026-11-27T11:00:00Z, or a number; found {found}")
}

/// The error says what is wrong with a duration; it is none if the text does not look like one.
fn ago(text: &str) -> Result<When, Option<String>> {
    let span = text.parse::<Span>();
    match (text.strip_prefix('-'), span) {
        (Some(_), Ok(span)) if !span.is_positive() => Ok(When::Ago(span)),
        (None, Ok(_)) => Err(Some(format!("a duration counts back from now: write -{text}"))),
        _ => Err(None),
    }
}

impl From<UnitArg> for Unit {
    fn from(unit: UnitArg) -> Unit {
        match unit {
            UnitArg::S => Unit::Seconds,
            UnitArg::Ms => Unit::Milliseconds,
            UnitArg::Us => Unit::Microseconds,
            UnitArg::Ns => Unit::Nanoseconds,
        }
    }
}

/// Warns if timestamps of a store are of different magnitudes, so that they cannot all be in one unit.
pub fn tell_mixed(totals: &Totals, console: &Console) {
    if let Some(problem) = mixed(totals) {
        console.warning(&problem);
    }
}

/// What is wrong if the timestamps of a store are of different magnitudes.
pub fn mixed(totals: &Totals) -> Option<String> {
    let Totals { earliest, latest, .. } = *totals;
    let (first, last) = Unit::mixed(earliest, latest)?;
    Some(format!(
        "timestamps go from {earliest} to {latest}, {} and {} by their magnitude: where units are mixed, events are out of \
         order and counts are wrong; bring the inputs to one unit and ingest them into a new store",
        first.name(),
        last.name(),
    ))
}

/// An offset from UTC, in minutes: `UTC`, `Z`, `+02:00`, `-0330`, `+5`.
pub fn timezone(text: &str) -> Result<i32, String> {
    let wrong =
        || format!("{text:?} is not an offset from UTC: write UTC, or hours and minutes such as +02:00 or -03:30");
    if ["utc", "z"].contains(&text.to_lowercase().as_str()) {
        return Ok(0);
    }
    let (sign, digits) = match (text.strip_prefix('+'), text.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return Err(wrong()),
    };
    let (hours, minutes) = match (digits.split_once(':'), digits.len()) {
        (Some(parts), _) => parts,
        (None, 4) => digits.split_at_checked(2).ok_or_else(wrong)?,
        (None, _) => (digits, "00"),
    };
    let number = |text: &str, most: i32| match text.parse::<u8>().map(i32::from) {
        Ok(number) if number <= most && text.len() <= 2 && !text.starts_with('+') => Ok(number),
        _ => Err(wrong()),
    };
    Ok(sign * (number(hours, 14)? * 60 + number(minutes, 59)?))
}

/// The moments that a report was asked for.
pub fn window(args: &ReportArgs, view: &View, global: &Global, console: &Console) -> std::result::Result<Window, Stop> {
    let ReportArgs { since, until, as_of, output, .. } = args;
    let is_stamp = |moment: &Option<Moment>| moment.as_ref().is_none_or(|it| matches!(it.when, When::Stamp(_)));
    let unit = match output.unit {
        Some(unit) => Some(Unit::from(unit)),
        None if [since, until, as_of].into_iter().all(is_stamp) => None,
        None => Some(guess(view, global, console)?),
    };
    let scale = Scale { unit, now: Timestamp::now() };
    let since = since.as_ref().map(|since| scale.bound("--since", since)).transpose()?;
    let until = until.as_ref().map(|until| scale.bound("--until", until)).transpose()?;
    let as_of = as_of.as_ref().map(|as_of| scale.bound("--as-of", as_of)).transpose()?;
    // As they were said, and not as they are rounded: two moments of one second are in order all the same.
    match (&since, &until, &as_of) {
        (Some(since), Some(until), _) if since.exact >= until.exact => {
            return Err(disorder("not before", since, until));
        }
        (Some(since), _, Some(as_of)) if since.exact > as_of.exact => return Err(disorder("after", since, as_of)),
        _ => {}
    }
    let from = since.map_or(Ok(i64::MIN), |since| scale.stamp(&since, Round::Up))?;
    let to = match (until, as_of) {
        (Some(until), _) => scale.stamp(&until, Round::Up)?.checked_sub(1),
        (None, Some(as_of)) => Some(scale.stamp(&as_of, Round::Down)?),
        (None, None) => Some(i64::MAX),
    };
    // Nothing is before the first moment there is.
    Ok(to.map_or(Window::NONE, |to| Window { from, to }))
}

fn disorder(how: &str, since: &Bound<'_>, end: &Bound<'_>) -> Stop {
    let problem = format!("--since {} is {how} {} {}", since.text, end.option, end.text);
    Stop::Usage(problem, "nothing is between them: name the earlier moment with --since".into())
}

/// Takes the store's timestamps for what their magnitude says.
fn guess(view: &View, global: &Global, console: &Console) -> std::result::Result<Unit, Stop> {
    let totals = Report::of(view, &report_options(global))?.totals;
    if totals.earliest > totals.latest {
        // No event: whatever they would be in, none is in the window.
        return Ok(Unit::Seconds);
    }
    let unit = Unit::of(totals.latest);
    console.note(&format!("timestamps are taken for {}, by their magnitude; --unit says otherwise", unit.name()));
    // With -v the report says so.
    if !console.verbose {
        tell_mixed(&totals, console);
    }
    Ok(unit)
}

/// An end of a window.
struct Bound<'a> {
    option: &'static str,
    text: &'a str,
    /// In nanoseconds; where no unit is known and none is needed, in the store's own unit.
    exact: i128,
}

enum Round {
    Up,
    Down,
}

/// What turns moments into timestamps.
struct Scale {
    /// None where all moments are timestamps.
    unit: Option<Unit>,
    /// One for all.
    now: Timestamp,
}

impl Scale {
    /// Nanoseconds of the unit.
    fn size(&self) -> i128 {
        self.unit.map_or(1, |unit| 1_000_000_000 / i128::from(unit.per_second()))
    }

    fn bound<'a>(&self, option: &'static str, moment: &'a Moment) -> std::result::Result<Bound<'a>, Stop> {
        let Moment { text, when } = moment;
        let exact = match when {
            When::Stamp(timestamp) => i128::from(*timestamp) * self.size(),
            When::Date(date) => date.as_nanosecond(),
            // Days of UTC, which have 24 hours; months and years as the calendar has them.
            When::Ago(span) => match self.now.to_zoned_datetime(TimeZone::UTC).checked_add(*span) {
                Ok(then) => then.timestamp().as_nanosecond(),
                Err(_) => {
                    let problem = format!("{option} {text}: further back than the calendar goes");
                    return Err(Stop::Usage(problem, "leave it out to count from the first event on".into()));
                }
            },
        };
        Ok(Bound { option, text, exact })
    }

    fn stamp(&self, bound: &Bound<'_>, round: Round) -> std::result::Result<i64, Stop> {
        let size = self.size();
        let rounded = match round {
            Round::Down => bound.exact.div_euclid(size),
            Round::Up => -(-bound.exact).div_euclid(size),
        };
        i64::try_from(rounded).map_err(|_| {
            let unit = self.unit.map_or("units", Unit::name);
            let problem =
                format!("{} {}: a timestamp of 64 bits in {unit} does not reach so far", bound.option, bound.text);
            Stop::Usage(problem, "leave it out, or name the unit of the timestamps with --unit".into())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i128 = 86_400_000_000_000;

    /// What a text means with now at the day 20,000 (2024-10-04), in a unit.
    fn stamps(text: &str, unit: Option<Unit>) -> [i64; 2] {
        let now = Timestamp::from_nanosecond(20_000 * DAY).unwrap();
        let (scale, moment) = (Scale { unit, now }, moment(text).unwrap());
        let Ok(bound) = scale.bound("--since", &moment) else { panic!("{text}") };
        [Round::Down, Round::Up].map(|round| scale.stamp(&bound, round).unwrap_or(i64::MIN))
    }

    #[test]
    fn a_moment_is_a_timestamp_a_date_or_a_duration() {
        let day = 20_000 * 86_400;
        for (text, seconds) in [
            ("0", 0),
            ("-7", -7),
            ("+7", 7),
            ("20261127", 20_261_127),
            ("1970-01-02", 86_400),
            ("1969-12-31", -86_400),
            ("1970-01-01T00:00:07Z", 7),
            ("1970-01-01 00:00:07Z", 7),
            ("1970-01-01t00:01z", 60),
            ("1970-01-01T02:00:00+02:00", 0),
            ("1969-12-31T22:30:00-01:30", 0),
            ("1970-01-01T00:00:00.000000000Z", 0),
            ("2024-10-04", day),
            ("-0s", day),
            ("-7d", day - 7 * 86_400),
            ("-90m", day - 90 * 60),
            ("-1w2d", day - 9 * 86_400),
            ("-36h", day - 36 * 3600),
            ("-1h30m", day - 90 * 60),
            ("-1.5h", day - 90 * 60),
            ("-1mo", day - 30 * 86_400),
            ("-1y", day - 366 * 86_400),
            ("-7 days", day - 7 * 86_400),
        ] {
            assert_eq!(stamps(text, Some(Unit::Seconds)), [seconds; 2], "{text}");
        }
        assert_eq!(stamps("-9223372036854775808", None), [i64::MIN; 2]);
        assert_eq!(stamps("9223372036854775807", Some(Unit::Seconds)), [i64::MAX; 2], "in the store's own unit");
    }

    #[test]
    fn what_is_between_two_units_is_rounded_either_way() {
        let (date, early) = ("1970-01-01T00:00:01.234567891Z", "1969-12-31T23:59:58.5Z");
        for (text, unit, stamp) in [
            (date, Unit::Seconds, [1, 2]),
            (date, Unit::Milliseconds, [1_234, 1_235]),
            (date, Unit::Microseconds, [1_234_567, 1_234_568]),
            (date, Unit::Nanoseconds, [1_234_567_891; 2]),
            (early, Unit::Seconds, [-2, -1]),
            (early, Unit::Milliseconds, [-1_500; 2]),
            // A unit that is too small for the date.
            ("2300-01-01", Unit::Nanoseconds, [i64::MIN; 2]),
            ("2300-01-01", Unit::Microseconds, [10_413_792_000_000_000; 2]),
        ] {
            assert_eq!(stamps(text, Some(unit)), stamp, "{text} in {unit:?}");
        }
    }

    #[test]
    fn what_is_no_moment_is_told_why() {
        for (text, why) in [
            ("", "write a timestamp"),
            ("-", "write a timestamp"),
            ("-q", "write a timestamp"),
            ("yesterday", "write a timestamp"),
            ("1.5", "write a timestamp"),
            ("9223372036854775808", "64 bits"),
            ("-99999999999999999999", "64 bits"),
            ("7d", "write -7d"),
            ("-7x", "write a timestamp"),
            ("--7d", "write a timestamp"),
            ("2026-11-27T11:00:00", "write 2026-11-27T11:00:00Z for UTC"),
        ] {
            let Err(problem) = moment(text) else { panic!("{text}") };
            assert!(problem.contains(why), "{text}: {problem}");
        }
    }

    #[test]
    fn a_wrong_date_is_told_what_was_expected_and_what_was_found() {
        for (text, found) in [
            ("2026-02-30", "day 30, which must be from 1 to 28"),
            ("2024-02-30", "day 30, which must be from 1 to 29"),
            ("2026-00-10", "month 0, which must be from 1 to 12"),
            ("2026-13-01T00:00:00Z", "month 13, which must be from 1 to 12"),
            ("2026-11-31T00:00:00", "day 31, which must be from 1 to 30"),
            ("2026-11-27T24:00:00Z", "hour 24, which must be from 0 to 23"),
            ("2026-11-27T11:60:00Z", "minute 60, which must be from 0 to 59"),
            ("2026-11-27T11:00:61Z", "second 61, which must be from 0 to 60"),
            ("2026-11-27T11:00:00 Z", "\" Z\" after \"2026-11-27T11:00:00\""),
            ("2026-11-27T11:00:00+99:00", "\"+99:00\" after \"2026-11-27T11:00:00\""),
            ("2026-11-27T1", "nothing after \"2026-11-27T1\""),
            ("2026-11-2x", "\"x\" after \"2026-11-2\""),
            ("2026-xx-27", "\"xx-27\" after \"2026-\""),
            ("2026-11-é", "\"é\" after \"2026-11-\""),
            ("9999-12-31", "a moment too late to count, after the year 9999"),
            ("9999-12-31T00:00:00Z", "a moment too late to count, after the year 9999"),
            ("9999-12-30T23:00:00Z", "a moment too late to count, after the year 9999"),
        ] {
            let Err(problem) = moment(text) else { panic!("{text}") };
            let expected =
                "expected a date of RFC 3339 such as 2026-11-27 or 2026-11-27T11:00:00Z, or a number; found ";
            assert_eq!(problem, format!("{expected}{found}"), "{text}");
        }
    }

    #[test]
    fn the_magnitude_tells_the_unit() {
        for (timestamp, unit) in [
            (0, Unit::Seconds),
            (99_999_999_999, Unit::Seconds),
            (-99_999_999_999, Unit::Seconds),
            (100_000_000_000, Unit::Milliseconds),
            (1_768_000_000_000, Unit::Milliseconds),
            (99_999_999_999_999, Unit::Milliseconds),
            (100_000_000_000_000, Unit::Microseconds),
            (99_999_999_999_999_999, Unit::Microseconds),
            (100_000_000_000_000_000, Unit::Nanoseconds),
            (i64::MIN, Unit::Nanoseconds),
        ] {
            assert_eq!(Unit::of(timestamp), unit, "{timestamp}");
        }
    }
}
