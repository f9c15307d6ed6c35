//! Why something is not an event: the reasons, their codes on disk, and their texts.

use std::fmt;

/// Why something is not an event.
///
/// It is flat, because it is kept on disk as one byte beside the text itself. If a text is wrong in several ways, the reason
/// tells the first one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Reason {
    /// Neither a fault nor an end in [`MAX_OBJECT`](super::MAX_OBJECT) bytes.
    TooLong = 1,
    /// A byte that is not UTF-8.
    NotUtf8 = 2,
    /// Not JSON: a syntax error outside the values of required keys, or an end in the middle.
    NotJson = 3,
    /// JSON, but not an object.
    NotAnObject = 4,
    /// A required key twice.
    DuplicateKey = 5,
    /// No `id`.
    MissingId = 6,
    /// `id` is not a string, or not a [name](crate::event::is_name).
    WrongId = 7,
    /// No `from`.
    MissingFrom = 8,
    /// `from` is not a string, or not a [name](crate::event::is_name).
    WrongFrom = 9,
    /// No `site_id`.
    MissingSiteId = 10,
    /// `site_id` is not a string, or not a [name](crate::event::is_name).
    WrongSiteId = 11,
    /// No `timestamp`.
    MissingTimestamp = 12,
    /// `timestamp` is not an integer, or not in the range of an i64.
    WrongTimestamp = 13,
    /// No `type`.
    MissingType = 14,
    /// `type` is neither `"message"` nor `"status"`.
    WrongType = 15,
    /// No `data`.
    MissingData = 16,
    /// `data` is not an object.
    WrongData = 17,
    /// A message without `data.message`.
    MissingMessage = 18,
    /// `data.message` of a message is not a string.
    WrongMessage = 19,
    /// A status without `data.status`.
    MissingStatus = 20,
    /// `data.status` of a status is neither `"online"` nor `"offline"`.
    WrongStatus = 21,
}

impl Reason {
    /// Every reason, in the order of their codes.
    pub const ALL: [Reason; 21] = [
        Reason::TooLong,
        Reason::NotUtf8,
        Reason::NotJson,
        Reason::NotAnObject,
        Reason::DuplicateKey,
        Reason::MissingId,
        Reason::WrongId,
        Reason::MissingFrom,
        Reason::WrongFrom,
        Reason::MissingSiteId,
        Reason::WrongSiteId,
        Reason::MissingTimestamp,
        Reason::WrongTimestamp,
        Reason::MissingType,
        Reason::WrongType,
        Reason::MissingData,
        Reason::WrongData,
        Reason::MissingMessage,
        Reason::WrongMessage,
        Reason::MissingStatus,
        Reason::WrongStatus,
    ];

    /// The code on disk; `wal-format.md` fixes it.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// The reason of a code on disk.
    pub fn from_code(code: u8) -> Option<Reason> {
        Reason::ALL.into_iter().find(|reason| reason.code() == code)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Reason::TooLong => "the object is longer than 1,048,576 bytes",
            Reason::NotUtf8 => "not valid UTF-8",
            Reason::NotJson => "not valid JSON",
            Reason::NotAnObject => "not a JSON object; expected {\"id\":…, …}",
            Reason::DuplicateKey => "a required key stands twice; expected once",
            Reason::MissingId => "`id` is missing",
            Reason::WrongId => "`id` is wrong; expected a string of 1 to 1,024 bytes without control characters",
            Reason::MissingFrom => "`from` is missing",
            Reason::WrongFrom => "`from` is wrong; expected a string of 1 to 1,024 bytes without control characters",
            Reason::MissingSiteId => "`site_id` is missing",
            Reason::WrongSiteId => {
                "`site_id` is wrong; expected a string of 1 to 1,024 bytes without control characters"
            }
            Reason::MissingTimestamp => "`timestamp` is missing",
            Reason::WrongTimestamp => {
                "`timestamp` is wrong; expected an integer of 64 bits without fraction or exponent"
            }
            Reason::MissingType => "`type` is missing",
            Reason::WrongType => "`type` is wrong; expected \"message\" or \"status\"",
            Reason::MissingData => "`data` is missing",
            Reason::WrongData => "`data` is wrong; expected an object",
            Reason::MissingMessage => "`data.message` is missing, and `type` is \"message\"",
            Reason::WrongMessage => {
                "`data.message` is wrong; expected a JSON string of valid Unicode, control characters escaped"
            }
            Reason::MissingStatus => "`data.status` is missing, and `type` is \"status\"",
            Reason::WrongStatus => "`data.status` is wrong; expected \"online\" or \"offline\"",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_have_codes_and_texts() {
        for (place, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(reason.code()), place + 1);
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            assert!(!reason.to_string().is_empty());
        }
        assert_eq!(Reason::from_code(0), None);
        assert_eq!(Reason::from_code(22), None);
    }
}
