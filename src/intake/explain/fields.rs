//! What an object has of the keys that an event must have, up to the first fault, from left to right.

use super::near::{self, Seen};
use super::scan::{Kind, Scan, Stop, Token};
use super::string;
use super::words;
use crate::intake::parse::Reason;

/// A key that is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Required {
    Id,
    From,
    SiteId,
    Timestamp,
    Type,
    Data,
    Message,
    Status,
}

impl Required {
    /// Those of the object itself, in the order in which they are told if they are missing.
    pub const OUTER: [Required; 6] =
        [Required::Type, Required::Data, Required::Id, Required::From, Required::SiteId, Required::Timestamp];

    /// Those of `data`: of a message, of a status.
    pub const INNER: [Required; 2] = [Required::Message, Required::Status];

    /// What it is called in its object.
    pub fn key(self) -> &'static str {
        match self {
            Required::Id => "id",
            Required::From => "from",
            Required::SiteId => "site_id",
            Required::Timestamp => "timestamp",
            Required::Type => "type",
            Required::Data => "data",
            Required::Message => "message",
            Required::Status => "status",
        }
    }

    /// What it is called in a sentence.
    pub fn name(self) -> &'static str {
        match self {
            Required::Message => "data.message",
            Required::Status => "data.status",
            other => other.key(),
        }
    }

    pub fn missing(self) -> Reason {
        match self {
            Required::Id => Reason::MissingId,
            Required::From => Reason::MissingFrom,
            Required::SiteId => Reason::MissingSiteId,
            Required::Timestamp => Reason::MissingTimestamp,
            Required::Type => Reason::MissingType,
            Required::Data => Reason::MissingData,
            Required::Message => Reason::MissingMessage,
            Required::Status => Reason::MissingStatus,
        }
    }

    pub fn wrong(self) -> Reason {
        match self {
            Required::Id => Reason::WrongId,
            Required::From => Reason::WrongFrom,
            Required::SiteId => Reason::WrongSiteId,
            Required::Timestamp => Reason::WrongTimestamp,
            Required::Type => Reason::WrongType,
            Required::Data => Reason::WrongData,
            Required::Message => Reason::WrongMessage,
            Required::Status => Reason::WrongStatus,
        }
    }

    /// The key of the object itself with this content between its quotes.
    pub fn outer(content: &str) -> Option<Required> {
        Required::OUTER.into_iter().find(|key| string::is(content, key.key()))
    }
}

/// A fault of an object: the reason that the judge of lines has for it, where it is, what to say of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub reason: Reason,
    pub at: usize,
    pub text: String,
}

/// What was seen of `data` for one of the two types of events. Which of them it has to serve may be known only later.
#[derive(Default)]
struct Inner {
    seen: bool,
    fault: Option<Fault>,
}

/// A walk over an object.
pub(super) struct Fields<'t> {
    pub scan: Scan<'t>,
    /// Where the object begins.
    pub start: usize,
    /// Which of the keys were seen, in the order of [`Required::OUTER`].
    seen: [bool; 6],
    /// What the value of `type` asks of `data`.
    pub subject: Option<Required>,
    /// By [`Required::INNER`].
    inner: [Inner; 2],
    /// The key whose value comes next, if it is a required one.
    pub pending: Option<Required>,
    /// Where the object under `data` begins, while the walk is in it.
    pub data: Option<usize>,
    /// All keys, and what stands under them.
    pub all: Seen,
}

/// Why a walk ended before its object.
pub(super) enum Ended {
    /// What was kept of the text has no fault.
    Cut,
    Fault(Fault),
}

impl<'t> Fields<'t> {
    pub fn new(scan: Scan<'t>) -> Fields<'t> {
        let (start, all, inner) = (scan.at(), Seen::default(), Default::default());
        Fields { scan, start, seen: [false; 6], subject: None, inner, pending: None, data: None, all }
    }

    /// Walks to the end of the object, or to its first fault.
    pub fn walk(&mut self) -> Result<(), Ended> {
        loop {
            let (depth, before) = (self.scan.depth(), self.scan.last);
            let token = match self.scan.token() {
                Ok(Some(token)) => token,
                Ok(None) => return Ok(()),
                Err(Stop::Cut) => return Err(Ended::Cut),
                Err(Stop::Fault(fault)) => return Err(Ended::Fault(words::of_json(self, fault))),
            };
            self.all.see(&self.scan, depth, before, token);
            let found = match (depth, token.kind) {
                (1, Kind::Close) => self.whole(),
                (1, Kind::Key) => self.outer_key(token),
                (1, _) => self.outer_value(token),
                (2, Kind::Close) => self.data_whole(),
                (2, Kind::Key) if self.data.is_some() => self.inner_key(token),
                (2, _) => self.inner_value(token),
                _ => None,
            };
            if let Some(fault) = found {
                return Err(Ended::Fault(fault));
            }
        }
    }

    fn outer_key(&mut self, token: Token) -> Option<Fault> {
        let key = Required::outer(self.scan.content(token))?;
        self.pending = Some(key);
        let place = Required::OUTER.iter().position(|other| *other == key)?;
        let twice = std::mem::replace(self.seen.get_mut(place)?, true);
        twice.then(|| words::twice(key, token.start))
    }

    fn outer_value(&mut self, token: Token) -> Option<Fault> {
        let key = self.pending.take()?;
        let fault = words::of_value(&self.scan, key, token);
        match (key, &fault) {
            (Required::Data, None) => self.data = Some(token.start),
            (Required::Data, Some(_)) if self.subject.is_none() => {
                // The type comes later; whichever it is, this is wrong.
                self.inner.iter_mut().for_each(|inner| inner.fault.clone_from(&fault));
                return None;
            }
            (Required::Type, None) => {
                let message = string::is(self.scan.content(token), Required::Message.key());
                self.subject = Some(if message { Required::Message } else { Required::Status });
            }
            _ => {}
        }
        fault
    }

    fn inner_key(&mut self, token: Token) -> Option<Fault> {
        let content = self.scan.content(token);
        let key = Required::INNER.into_iter().find(|key| string::is(content, key.key()))?;
        self.pending = Some(key);
        let twice = std::mem::replace(&mut self.inner_of(key).seen, true);
        if twice { self.of_inner(key, words::twice(key, token.start)) } else { None }
    }

    fn inner_value(&mut self, token: Token) -> Option<Fault> {
        let key = self.pending.take()?;
        let fault = words::of_value(&self.scan, key, token)?;
        self.of_inner(key, fault)
    }

    fn inner_of(&mut self, key: Required) -> &mut Inner {
        let [message, status] = &mut self.inner;
        if key == Required::Message { message } else { status }
    }

    /// Notes a fault of a key of `data`. It is one if the key is that of the type; the other one's may be anything.
    fn of_inner(&mut self, key: Required, fault: Fault) -> Option<Fault> {
        match self.subject {
            Some(subject) if subject == key => Some(fault),
            Some(_) => None,
            None => {
                self.inner_of(key).fault.get_or_insert(fault);
                None
            }
        }
    }

    /// The end of what stands under a key of the object; under `data`, of the keys that it must have.
    fn data_whole(&mut self) -> Option<Fault> {
        let start = self.data.take()?;
        for key in Required::INNER {
            if !self.inner_of(key).seen {
                let fault = near::missing_inner(self, key, start);
                if let Some(fault) = self.of_inner(key, fault) {
                    return Some(fault);
                }
            }
        }
        None
    }

    /// The end of the object.
    fn whole(&mut self) -> Option<Fault> {
        // A fault of `data` was only noted if `data` stood before `type`.
        let noted = self.subject.and_then(|subject| self.inner_of(subject).fault.take());
        noted.or_else(|| near::missing(self))
    }

    /// The required keys that the object has not, in the order of [`Required::OUTER`].
    pub fn absent(&self) -> impl Iterator<Item = Required> + '_ {
        Required::OUTER.into_iter().zip(self.seen).filter(|(_, seen)| !seen).map(|(key, _)| key)
    }

    /// How many of the required keys it has.
    pub fn present(&self) -> usize {
        self.seen.iter().filter(|seen| **seen).count()
    }

    /// A fault of `data` that is one for one of the types, where the end of the object, and the type with it, was not kept.
    pub fn noted(&mut self, reason: Reason) -> Option<Fault> {
        self.inner.iter_mut().filter_map(|inner| inner.fault.take()).find(|fault| fault.reason == reason)
    }
}
