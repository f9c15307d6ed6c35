//! The bad lines: good ones with something wrong, of every kind that a reader must notice.

use crate::event::{Event, Kind};
use crate::plain::{COMPACT, KEYS, plain_line, push};
use crate::random::Dice;

/// Ways in which a line can be wrong; each leaves something that no correct reader takes for an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Truncated,
    MissingKey,
    MistypedValue,
    NotAnInteger,
    UnknownTypeOrStatus,
    Garbage,
    EmptyName,
    LongName,
    ControlCharacter,
    DuplicateKey,
    LoneSurrogate,
    InvalidUtf8,
    NotOneObject,
}

impl Wrong {
    const ALL: [Wrong; 13] = [
        Wrong::Truncated,
        Wrong::MissingKey,
        Wrong::MistypedValue,
        Wrong::NotAnInteger,
        Wrong::UnknownTypeOrStatus,
        Wrong::Garbage,
        Wrong::EmptyName,
        Wrong::LongName,
        Wrong::ControlCharacter,
        Wrong::DuplicateKey,
        Wrong::LoneSurrogate,
        Wrong::InvalidUtf8,
        Wrong::NotOneObject,
    ];
}

/// A bad line instead of the line of `event`.
pub fn bad_line(event: &Event, dice: &mut Dice, out: &mut Vec<u8>) {
    let wrong = dice.pick(&Wrong::ALL);
    wrong_line(wrong, event, dice, out);
}

/// A line that is wrong in this way; bad lines are few, so this is plain rather than fast.
fn wrong_line(wrong: Wrong, event: &Event, dice: &mut Dice, out: &mut Vec<u8>) {
    let mut right = Vec::new();
    plain_line(&COMPACT, event, &mut right);
    let right = String::from_utf8_lossy(&right).into_owned();
    let members = Members::of(&right);
    let name = dice.pick(&["id", "from", "site_id"]);
    let line = match wrong {
        Wrong::Truncated => right[..1 + dice.index(right.len() - 1)].to_owned(),
        Wrong::MissingKey => match dice.index(7) {
            0 => members.with("data", "{}"),
            key => members.without(KEYS[key - 1]),
        },
        Wrong::MistypedValue => match dice.below(3) {
            0 => members.with("timestamp", dice.pick(&["null", "true", "[1]", "{}"])),
            1 => members.with("data", dice.pick(&["null", "[]", r#""Hi""#, r#"{"message":5,"status":5}"#])),
            _ => members.with(dice.pick(&["id", "type", "from", "site_id"]), dice.pick(&["7", "null", "[]", "{}"])),
        },
        Wrong::NotAnInteger => members.with("timestamp", &wrong_number(event.timestamp / 1_000, dice)),
        Wrong::UnknownTypeOrStatus => match event.kind {
            Kind::Message => members.with("type", dice.pick(&[r#""typing""#, r#""Message""#, r#""""#])),
            _ => members.with("data", dice.pick(&[r#"{"status":"away"}"#, r#"{"status":"Online"}"#])),
        },
        Wrong::Garbage => {
            for _ in 0..1 + dice.below(200) {
                let byte = dice.below(256) as u8;
                out.push(if byte == b'\n' { 0xff } else { byte });
            }
            out.push(0xff);
            return;
        }
        Wrong::EmptyName => members.with(name, r#""""#),
        Wrong::LongName => members.with(name, &format!("\"{}\"", "7".repeat(1_025))),
        Wrong::ControlCharacter => {
            let controls = [r"\u0001", r"\n", r"\u007F", r"\u0085", "\u{1}", "\t", "\u{7f}", "\u{9f}"];
            members.with("site_id", &format!("\"1{}2\"", dice.pick(&controls)))
        }
        Wrong::DuplicateKey => {
            let key = dice.pick(&KEYS);
            let value = members.value(key);
            match dice.below(3) {
                0 if key == "data" => members.with(key, &format!("{},{}", &value[..value.len() - 1], &value[1..])),
                // An escape does not make it another key.
                1 => members.and(&format!("\\u{:04x}{}", key.as_bytes()[0], &key[1..]), value),
                _ => members.and(key, value),
            }
        }
        Wrong::LoneSurrogate => {
            members.with(name, dice.pick(&[r#""\ud83d""#, r#""1\ude002""#, r#""\ud83d\u0031""#, r#""\uDBFFx""#]))
        }
        Wrong::InvalidUtf8 => {
            let place = right.find(":\"").unwrap_or_default() + 2;
            out.extend_from_slice(&right.as_bytes()[..place]);
            out.extend_from_slice(dice.pick(&[b"\xff", b"\xc3", b"\x80", b"\xed\xa0\x80", b"\xc0\xaf"]));
            push(out, &right[place..]);
            return;
        }
        Wrong::NotOneObject => match dice.below(5) {
            // A reject reaches to the end of its line, and nothing before it may be an event. (An array of objects would be a document.)
            0 => format!("[0,{right}]"),
            1 => format!(",{right}"),
            2 => format!("{{{right}}}"),
            3 => right.replacen(',', ",,", 1),
            _ => dice.pick(&["null", "{}", "[]", "0", "\"\"", "hello"]).to_owned(),
        },
    };
    push(out, &line);
}

/// A number of seconds, written as no integer that fits.
fn wrong_number(seconds: u64, dice: &mut Dice) -> String {
    let numbers = [
        &format!("{seconds}.5"),
        &format!("{seconds}.0"),
        &format!("{seconds}e3"),
        &format!("\"{seconds}\""),
        &format!("0{seconds}"),
        &format!("+{seconds}"),
        "-0",
        "9223372036854775808",
        "-9223372036854775809",
    ];
    dice.pick(&numbers).to_owned()
}

/// The members of a compact line, to be put together wrongly.
struct Members<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Members<'a> {
    /// The members of a line that [`plain_line`] wrote; no value in it holds a `,"`.
    fn of(line: &'a str) -> Members<'a> {
        let members = line[2..line.len() - 1].split(",\"");
        Members(members.filter_map(|member| member.split_once("\":")).collect())
    }

    fn value(&self, key: &str) -> &'a str {
        self.0.iter().find(|(other, _)| *other == key).map_or("null", |(_, value)| value)
    }

    fn with(&self, key: &str, value: &str) -> String {
        joined(self.0.iter().map(|&(other, old)| (other, if other == key { value } else { old })))
    }

    fn without(&self, key: &str) -> String {
        joined(self.0.iter().copied().filter(|(other, _)| *other != key))
    }

    /// With one more member at the end.
    fn and(&self, key: &str, value: &str) -> String {
        joined(self.0.iter().copied().chain([(key, value)]))
    }
}

fn joined<'m>(members: impl Iterator<Item = (&'m str, &'m str)>) -> String {
    let members: Vec<String> = members.map(|(key, value)| format!("\"{key}\":{value}")).collect();
    format!("{{{}}}", members.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{naive, workload};

    #[test]
    fn each_way_of_being_wrong_is_wrong() {
        let workload = workload("-n 5000 --status-share 0.5");
        for wrong in Wrong::ALL {
            for index in 0..500 {
                let mut line = Vec::new();
                wrong_line(wrong, &workload.events.event(index), &mut Dice(index), &mut line);
                assert!(!line.contains(&b'\n') && line.len() < 3_000);
                line.push(b'\n');
                let shown = String::from_utf8_lossy(&line);
                assert_eq!((naive(&line).events(), naive(&line).rejects()), (0, 1), "{wrong:?} {shown}");
            }
        }
    }
}
