//! The bytes of a frame as they are in the file, for a copy of it.

use super::frame::next_section;
use super::{Frame, Segment};
use crate::base::memory;
use crate::error::{Error, Result};
use crate::format::coding::crc;
use crate::format::frame::{FRAME_HEADER, FrameHeader};

impl Segment {
    /// The bytes of a frame, read and checked: header, directory and every section. What is returned is what was checked.
    pub(crate) fn frame_bytes<'b>(&self, frame: &Frame, buffer: &'b mut Vec<u8>) -> Result<&'b [u8]> {
        let Frame { at, header, sections } = frame;
        // A frame fits its file and MAX_PAYLOAD, so the length is one that was checked.
        let length = usize::try_from(header.length()).unwrap_or(usize::MAX);
        if buffer.len() < length {
            memory::resize(buffer, length, 0, "a frame")?;
        }
        let room = buffer.get_mut(..length).unwrap_or_default();
        let read = self.file.read_at(room, *at).map_err(Error::io("read", &self.path))?;
        let bytes = buffer.get(..read).unwrap_or_default();
        let directory = bytes.get(FRAME_HEADER..FRAME_HEADER + header.directory()).unwrap_or_default();
        if FrameHeader::decode(bytes) != Ok(*header) || crc(directory) != header.directory_crc {
            return Err(self.corrupt(*at, "the frame that was there a moment ago", "another one").into());
        }
        let mut rest = bytes.get(FRAME_HEADER + header.directory()..).unwrap_or_default();
        for section in sections {
            self.check(section, next_section(&mut rest, section))?;
        }
        Ok(bytes)
    }
}
