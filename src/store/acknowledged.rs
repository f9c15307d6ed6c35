//! The record of what was acknowledged, beside the log: reading it, and what it says against a log that does not agree with it. Its
//! bytes are in [`format::acknowledged`](crate::format::acknowledged); the writer of the log writes it.

use std::io;

use super::names::{ACKNOWLEDGED_NAME, segment_name};
use crate::disk::{Access, Storage, path_of};
use crate::error::{Corruption, Error, Result};
use crate::format::acknowledged::{ACKNOWLEDGED, Acknowledged};
use crate::segment::{Frame, Segment};

/// The record of what was acknowledged. `None` if there is no such file, or if it is torn and says nothing.
pub(crate) fn read_acknowledged(storage: &dyn Storage) -> Result<Option<Acknowledged>> {
    let path = || path_of(storage, ACKNOWLEDGED_NAME);
    let file = match storage.open(ACKNOWLEDGED_NAME, Access::Read) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path())(error)),
    };
    let mut bytes = [0; ACKNOWLEDGED];
    let read = file.read_at(&mut bytes, 0).map_err(Error::io("read", path()))?;
    Ok(bytes.get(..read).and_then(Acknowledged::decode))
}

/// The corruption of a log in which another frame stands where one was acknowledged.
pub(crate) fn another_history(segment: &Segment, frame: &Frame, record: &Acknowledged) -> Corruption {
    let Acknowledged { sequence, header_crc, .. } = record;
    let expected = format!(
        "frame {sequence} with the header CRC {header_crc:08x}, which was acknowledged, says {ACKNOWLEDGED_NAME}"
    );
    segment.corrupt(frame.at, expected, format!("{:08x}", frame.header.crc))
}

/// The corruption of a store of which only the record of what was acknowledged is left.
pub(crate) fn all_gone(storage: &dyn Storage, record: &Acknowledged) -> Corruption {
    let expected = format!(
        "the files of a store of which frames up to {} were acknowledged, says {ACKNOWLEDGED_NAME}",
        record.sequence
    );
    let found = format!("no segment and no snapshot (to begin anew on purpose, delete {ACKNOWLEDGED_NAME} too)");
    Corruption { file: path_of(storage, &segment_name(1)), offset: 0, expected, found }
}
