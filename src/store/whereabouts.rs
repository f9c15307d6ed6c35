//! Whether what is written is still where the store's path says. A writer looks before it acknowledges anything: a file that it holds
//! open stays writable after somebody moved, replaced or deleted it, and an acknowledgement of that would lead nowhere.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::disk::{File, Stamp, Storage, explained, leads_to, path_of};
use crate::error::{Error, Result};
use crate::store::listing::{Listing, RETRIES};
use crate::store::segment_name;

/// Checks where a log is.
///
/// A look costs two calls, one on the path and one on the segment's name. The directory is listed only after its names changed: then
/// the listing has to be that of a store that ends with this log.
pub(super) struct Whereabouts {
    storage: Arc<dyn Storage>,
    /// The directory's stamp at the last listing that was right.
    seen: Mutex<Option<Stamp>>,
}

impl Whereabouts {
    pub(super) fn new(storage: Arc<dyn Storage>) -> Whereabouts {
        Whereabouts { storage, seen: Mutex::default() }
    }

    /// Checks that the path leads to the directory, and the name of segment `number` to the `file` that is written, and that segment
    /// `last` is the last of the store. An error says what is not as it was.
    pub(super) fn check(&self, number: u64, file: &dyn File, last: u64) -> Result<()> {
        let storage = &*self.storage;
        let name = segment_name(number);
        let led = leads_to(storage, &name, file);
        let folded = match led {
            Ok(()) => false,
            // A compaction folds a segment as soon as it sees its seal, and may be done before the seal is fsynced.
            Err(Error::Displaced { .. }) if number < last => match storage.identity(&name) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => true,
                Err(error) => return Err(Error::io("look at", path_of(storage, &name))(error)),
                Ok(_) => return led,
            },
            Err(error) => return Err(explained(storage, error)),
        };
        // Before the listing: the next look sees what changes after it.
        let stamp = storage.in_place()?;
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if folded || stamp.is_none() || *seen != stamp {
            let first = first_before(storage, last)?;
            if folded && first <= number {
                return leads_to(storage, &name, file);
            }
            *seen = stamp;
        }
        Ok(())
    }
}

/// Checks that the listing is that of a store that ends with segment `last`; returns the first segment that is in no snapshot. A
/// compaction may be publishing and deleting meanwhile; what the listing looks like in between is not seen twice.
fn first_before(storage: &dyn Storage, last: u64) -> Result<u64> {
    let mut before = None;
    for _ in 0..RETRIES {
        let wrong = match Listing::read(storage) {
            Ok(listing) if *listing.segments.end() == last => return Ok(*listing.segments.start()),
            Ok(listing) => {
                format!("{} is the last segment, and {} was", segment_name(*listing.segments.end()), segment_name(last))
            }
            Err(error @ (Error::Corruption(_) | Error::NoStore { .. })) => error.to_string(),
            Err(error) => return Err(error),
        };
        if before.as_ref() == Some(&wrong) {
            return Err(Error::Displaced {
                path: storage.path().display().to_string(),
                problem: format!(
                    "files of the store were deleted, renamed or added while it was written: {wrong}"
                ),
                hint: "put back what was moved, take away what was added, or restore the store from a backup; then `chatwal verify`"
                    .into(),
            });
        }
        before = Some(wrong);
    }
    let busy = io::Error::other("it changed at every look");
    Err(Error::io("list", storage.path().display().to_string())(busy))
}
