//! A frame of lz4, of which the end is known for sure.
//!
//! The decoder says the same of the end of a frame, of one that is cut between two blocks, and of a block without content. So
//! what it reads is followed here, block by block, as lz4's frame format has it.

use std::io::{self, Read};

use super::ahead::Ahead;

/// A frame that is being read.
pub struct Frame {
    decoder: lz4_flex::frame::FrameDecoder<Followed>,
}

impl Frame {
    /// One that begins here.
    pub fn new(ahead: Ahead) -> Frame {
        let followed = Followed { ahead, place: Place::Header { seen: [0; 6], count: 0 }, flags: 0 };
        Frame { decoder: lz4_flex::frame::FrameDecoder::new(followed) }
    }

    /// What comes behind it.
    pub fn into_inner(self) -> Ahead {
        self.decoder.into_inner().ahead
    }
}

impl Read for Frame {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.decoder.read(buffer)?;
            let followed = self.decoder.get_ref();
            if count > 0 || buffer.is_empty() || followed.place == Place::Trailer(0) {
                return Ok(count);
            }
            if followed.ahead.overdrawn {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// Where in a frame the decoder is.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    /// The magic, the flags, and the largest block: six bytes, of which some were seen.
    Header { seen: [u8; 6], count: usize },
    /// So many bytes of something, before the size of a block.
    Bytes(u64),
    /// The size of a block, of which some bytes were seen.
    Size { seen: [u8; 4], count: usize },
    /// So many bytes behind the last block.
    Trailer(u64),
}

const SIZE: Place = Place::Size { seen: [0; 4], count: 0 };

// The flags of a frame.
const BLOCK_CHECKSUM: u8 = 0x10;
const CONTENT_SIZE: u8 = 0x08;
const CONTENT_CHECKSUM: u8 = 0x04;
const DICTIONARY: u8 = 0x01;

/// Follows what the decoder reads.
struct Followed {
    ahead: Ahead,
    place: Place,
    flags: u8,
}

impl Followed {
    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    fn follow(&mut self, mut bytes: &[u8]) {
        while let [first, rest @ ..] = bytes {
            match &mut self.place {
                Place::Header { seen, count } => {
                    seen[*count] = *first;
                    *count += 1;
                    bytes = rest;
                    if *count == seen.len() {
                        self.flags = seen[4];
                        let length = 8 * u64::from(self.has(CONTENT_SIZE)) + 4 * u64::from(self.has(DICTIONARY));
                        // And a checksum.
                        self.place = Place::Bytes(length + 1);
                    }
                }
                Place::Size { seen, count } => {
                    seen[*count] = *first;
                    *count += 1;
                    bytes = rest;
                    if *count == seen.len() {
                        self.place = match u32::from_le_bytes(*seen) {
                            0 => Place::Trailer(4 * u64::from(self.has(CONTENT_CHECKSUM))),
                            // The highest bit says that it is not compressed.
                            size => {
                                let checksum = 4 * u64::from(self.has(BLOCK_CHECKSUM));
                                Place::Bytes(u64::from(size & 0x7fff_ffff) + checksum)
                            }
                        };
                    }
                }
                Place::Bytes(0) => self.place = SIZE,
                Place::Bytes(left) | Place::Trailer(left) => {
                    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                    // Nothing is read behind the end.
                    if count == 0 {
                        return;
                    }
                    *left -= count as u64;
                    bytes = &bytes[count..];
                }
            }
        }
        if self.place == Place::Bytes(0) {
            self.place = SIZE;
        }
    }
}

impl Read for Followed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.ahead.read(buffer)?;
        self.follow(&buffer[..count]);
        Ok(count)
    }
}
