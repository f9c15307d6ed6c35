//! Room `event`: what a chat event is, and the tables that hold events in memory.
//!
//! [`Event`] with its [`Site`], [`Id`] and [`Kind`]; [`table`]; the order of texts; and [`summary`], what the report says of a
//! site. It may use [`base`](crate::base) and [`error`](crate::error). It does no i/o: the bytes on disk belong to
//! [`format`](crate::format), the parser to [`intake`](crate::intake). Text is kept as bytes, since every order in chatwal is
//! bytewise. Whoever makes an [`Event`] has already checked its names with [`is_name`].

mod id;
pub(crate) mod order;
mod site;
pub mod summary;
pub mod table;
pub mod unit;

pub use id::{Id, UUID_TEXT, Uuid, parse_uuid, uuid_bytes, uuid_of};
pub use site::{Site, SiteName, decimal};

/// The longest `id`, `from` and `site_id`, in bytes after unescaping.
pub const MAX_NAME: usize = 1024;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An operator went offline.
    Offline,
    /// An operator came online.
    Online,
    /// A visitor wrote.
    Message,
}

impl Kind {
    /// Every kind, in the order of their codes on disk.
    pub const ALL: [Kind; 3] = [Kind::Offline, Kind::Online, Kind::Message];

    /// The code on disk; `wal-format.md` fixes it.
    pub fn code(self) -> u8 {
        match self {
            Kind::Offline => 0,
            Kind::Online => 1,
            Kind::Message => 2,
        }
    }

    /// The kind of a code on disk.
    pub fn from_code(code: u8) -> Option<Kind> {
        Kind::ALL.get(usize::from(code)).copied()
    }

    /// Whether it is a visitor's message, which sorts after the statuses of its moment.
    pub fn is_message(self) -> bool {
        self == Kind::Message
    }
}

/// One event, borrowed from wherever it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Where it happened.
    pub site: Site<'a>,
    /// Which event of the site it is.
    pub id: Id<'a>,
    /// The visitor or operator, UTF-8.
    pub from: &'a [u8],
    /// When, in the input's own unit.
    pub timestamp: i64,
    /// What.
    pub kind: Kind,
}

/// Whether `text` may be an `id`, a `from` or a `site_id`: 1 to [`MAX_NAME`] bytes of UTF-8 without control characters
/// (U+0000–U+001F, U+007F–U+009F), so that no name can forge a line of output or a terminal sequence.
pub fn is_name(text: &[u8]) -> bool {
    if text.is_empty() || text.len() > MAX_NAME {
        return false;
    }
    if text.iter().all(|byte| (b' '..0x7f).contains(byte)) {
        return true;
    }
    std::str::from_utf8(text).is_ok_and(|text| !text.chars().any(char::is_control))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_no_control_characters() {
        for name in ["a", "../x", "Jürgen", "\u{a0}", "😀", &"x".repeat(MAX_NAME)] {
            assert!(is_name(name.as_bytes()), "{name:?}");
        }
        for name in ["", "a\nb", "\u{1b}[31m", "\u{7f}", "\u{80}", "\u{9f}", "\0", &"x".repeat(MAX_NAME + 1)] {
            assert!(!is_name(name.as_bytes()), "{name:?}");
        }
        assert!(!is_name(b"\xff"));
    }
}
