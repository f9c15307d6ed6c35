//! How many wrong lines are too many, and what is said then.

use super::appender::Appender;
use super::chunk_parser::Parsed;
use super::notice::Rejected;
use super::options::{MaxRejects, WRONG_LINES};
use crate::error::{Error, Result};
use crate::format::checkpoint::Checkpoint;
use crate::format::directory::SectionKind;
use crate::format::rejects::{Reject, decode_rejects};
use crate::intake::parse::Reason;

impl Appender<'_> {
    /// Refuses a chunk with which the input has too many rejects.
    pub(super) fn check_rejects(&self, parsed: &Parsed, checkpoint: &Checkpoint) -> Result<()> {
        let events = self.stored.events + self.outcome.events;
        let held = self.stored.rejects + self.outcome.rejects;
        match self.max_rejects {
            MaxRejects::Number(most) if held + parsed.rejects > most => {
                Err(self.too_many(parsed, checkpoint, most, held))
            }
            MaxRejects::NotOnly if events == 0 && held + parsed.leading >= WRONG_LINES => Err(self.only_rejects(held)),
            _ => Ok(()),
        }
    }

    /// The error of one reject more than `most`, of which the store holds some.
    fn too_many(&self, parsed: &Parsed, checkpoint: &Checkpoint, most: u64, held: u64) -> Error {
        let nth = usize::try_from(most.saturating_sub(held)).unwrap_or(usize::MAX);
        let entry = parsed.batch.entries.iter().find(|entry| entry.kind == SectionKind::Rejects);
        let section = entry.and_then(|entry| {
            let bytes = parsed.batch.sections.get(..entry.length as usize)?;
            decode_rejects(bytes, entry.count, checkpoint).ok()
        });
        let found = section.and_then(|mut rejects| rejects.nth(nth));
        let told = match found {
            Some(reject) => Reason::from_code(reject.reason)
                .map(|reason| Rejected::new(&Reject { line: reject.line - 1, ..reject }, reason)),
            // What was written a moment ago can be read.
            None => self.first_reject.clone(),
        };
        let (line, byte, reason) = told.map(|told| (told.line, told.byte, told.fault())).unwrap_or_default();
        let reason = match most {
            0 => reason,
            most => format!("{reason}; that is reject {}, and {most} are allowed", held.max(most) + 1),
        };
        Error::Line { input: self.input.shown.clone(), line, byte, reason }
    }

    /// The error of an input that is something other than events.
    fn only_rejects(&self, held: u64) -> Error {
        let first = self
            .first_reject
            .as_ref()
            .map(|told| format!("; the first is line {} (byte {}): {}", told.line, told.byte, told.fault()));
        let again = match held {
            0 => String::new(),
            held => format!(", {held} of which the store holds"),
        };
        let problem = format!("its first {WRONG_LINES} lines are all wrong{again}{}", first.unwrap_or_default());
        let hint = "is it the right file? If it is, run again with --max-rejects all, or --max-rejects N: so many of its \
                    wrong lines are kept as rejects";
        Error::Input { input: self.input.shown.clone(), problem, hint: hint.into() }
    }
}
