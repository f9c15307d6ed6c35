//! `--allow-rejects`: how many rejects of the inputs named do not change the exit status to 3.

use chatwal::base::shell::quoted;
use std::path::Path;

use crate::console::{Console, count};
use crate::status;

/// Digits behind the point of a percentage, so that what is compared fits 128 bits.
const DECIMALS: usize = 12;

/// So many, or such a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    text: String,
    limit: Limit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Limit {
    Number(u64),
    /// `part` of `whole`; exact, as it was typed.
    Part {
        part: u64,
        whole: u64,
    },
}

impl Allowed {
    fn allows(&self, rejects: u64, lines: u64) -> bool {
        match self.limit {
            Limit::Number(most) => rejects <= most,
            Limit::Part { part, whole } => {
                u128::from(rejects) * u128::from(whole) <= u128::from(part) * u128::from(lines)
            }
        }
    }
}

/// `10`, `1%`, `0.5%`.
pub fn allowed(text: &str) -> Result<Allowed, String> {
    let wrong = || "a number of lines such as 10, or a part of all such as 1% or 0.5%".to_string();
    let limit = match text.strip_suffix('%') {
        None => Limit::Number(text.parse().map_err(|_| wrong())?),
        Some(percent) => {
            let (units, decimals) = percent.split_once('.').unwrap_or((percent, "0"));
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            if !digits(units) || !digits(decimals) {
                return Err(wrong());
            }
            let too_exact = || format!("a percentage has at most {DECIMALS} digits behind its point");
            let scale = u32::try_from(decimals.len()).ok().filter(|&count| count as usize <= DECIMALS);
            let whole = 100 * 10u64.pow(scale.ok_or_else(too_exact)?);
            let part = format!("{units}{decimals}").parse().ok().filter(|&part| part <= whole);
            Limit::Part { part: part.ok_or("a percentage is at most 100%")?, whole }
        }
    };
    Ok(Allowed { text: text.into(), limit })
}

/// Says that the store holds rejects of the inputs named, among so many lines, and gives the exit status.
pub fn judge(rejects: u64, lines: u64, allowed: Option<&Allowed>, store: &Path, console: &Console) -> u8 {
    let held = format!("the store holds {} of these inputs", count(rejects, "rejected line"));
    let listed = format!("`chatwal rejects --store {}` lists them", quoted(store));
    match allowed {
        None => console.warning(&format!("{held}; {listed}")),
        Some(allowed) if allowed.allows(rejects, lines) => {
            console.note(&format!("{held}, of {lines}, as --allow-rejects {} allows; {listed}", allowed.text));
            return status::DONE;
        }
        Some(allowed) => {
            console.warning(&format!("{held}, of {lines}, more than --allow-rejects {}; {listed}", allowed.text));
        }
    }
    status::PARTLY
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_exact() {
        for (text, rejects, lines, allows) in [
            ("0", 0, 9, true),
            ("0", 1, 9, false),
            ("3", 3, 3, true),
            ("3", 4, 1_000_000, false),
            ("0%", 1, u64::MAX, false),
            ("1%", 1, 100, true),
            ("1%", 1, 99, false),
            ("1.0%", 1, 100, true),
            ("0.5%", 1, 200, true),
            ("0.5%", 1, 199, false),
            ("33.3%", 1, 3, false),
            ("33.4%", 1, 3, true),
            ("0.000000000001%", 1, 100_000_000_000_000, true),
            ("0.000000000001%", 1, 99_999_999_999_999, false),
            ("100%", 7, 7, true),
            ("100.000%", u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(allowed(text).unwrap().allows(rejects, lines), allows, "{text} of {lines}: {rejects}");
        }
        for text in
            ["", "%", "-1", "1.5", ".5%", "5.%", "1 %", "101%", "100.1%", "+1%", "1e2%", "0.0000000000001%", "all"]
        {
            assert!(allowed(text).is_err(), "{text:?}");
        }
    }
}
