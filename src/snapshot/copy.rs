//! The bytes of a snapshot, for a copy of it.

use super::Snapshot;
use crate::error::Result;
use crate::format::block::BlockKind;

impl Snapshot {
    /// Visits the bytes of the whole file, from front to back, each block once it was checked. Ends early, and gives false, once
    /// `visit` does.
    pub(crate) fn copy(&self, mut visit: impl FnMut(&[u8]) -> Result<bool>) -> Result<bool> {
        let mut goes_on = visit(&self.header.encode())?;
        let mut buffer = Vec::new();
        for kind in BlockKind::ALL {
            let mut pieces = Vec::new();
            // A stretch at a time, so that it can end early.
            self.split(kind, self.header.region(kind), &mut pieces)?;
            for piece in pieces {
                if !goes_on {
                    return Ok(false);
                }
                let mut bytes = Vec::new();
                self.blocks(kind, piece, &mut buffer, |header, payload| {
                    bytes.extend_from_slice(&header.encode());
                    bytes.extend_from_slice(payload);
                    Ok(())
                })?;
                goes_on = visit(&bytes)?;
            }
        }
        Ok(goes_on)
    }
}
