//! Bytes in: from files, pipes and compressed streams to chunks that end at line ends, from lines to events, and from those to
//! batches of the log ([`ingest`]). It writes nothing itself, but through [`store::log`](crate::store::log).

pub mod chunk;
pub mod explain;
pub mod fast;
pub mod foreign;
pub mod framer;
pub mod ingest;
pub mod known;
mod marks;
pub mod packed;
pub mod parse;
pub(crate) mod pipe;
pub mod repeats;
mod seek;
pub mod shape;
pub mod source;

use std::io;

/// Reads until `buffer` is full or the input ends; gives the number of bytes read.
fn read_full(reader: &mut dyn io::Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
