//! A later look at a store by whoever has looked before: it reads what is new. And positions, by which two looks are compared.
//!
//! Files only grow at their end, and the headers of all frames are one chain of CRCs. So if the last frame of the earlier look stands
//! where it stood, with the header that it had, all frames before it are those that were checked then, and the walk goes on behind it.
//! Whatever does not look like that (a snapshot has taken the place of segments, a repair rewrote files, the end was cut off)
//! is looked at from the start.

use std::fmt;
use std::io;
use std::str::FromStr;

use super::View;
use crate::disk::{File, Storage};
use crate::error::{Error, Result};
use crate::format::frame::{FrameKind, SEGMENT_HEADER};
use crate::format::{Uid, hex, unhex};
use crate::segment::{Link, Segment};
use crate::snapshot::Snapshot;
use crate::store::acknowledged::read_acknowledged;
use crate::store::files::{Purpose, open_segments};
use crate::store::inputs::Known;
use crate::store::listing::Listing;
use crate::store::names::{segment_name, snapshot_name};

/// A place in the log of one store: all frames up to one of them. The CRC of its header tells it from the frame with this number of
/// another history of the store, such as that of a backup which was put back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The store.
    pub store: Uid,
    /// The last frame; 0 before the first.
    pub sequence: u64,
    /// The CRC of its header.
    pub crc: u32,
}

/// Which frames are behind a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Those from this index of [`View::frames`] on.
    Frames(usize),
    /// Nobody can tell: the frame is in a snapshot by now, or it is of another history.
    Unknown,
    /// It is a position of another store.
    AnotherStore,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{:08x}", hex(self.store), self.sequence, self.crc)
    }
}

impl FromStr for Position {
    type Err = ();

    fn from_str(text: &str) -> std::result::Result<Position, ()> {
        let mut parts = text.split('-');
        let (Some(store), Some(sequence), Some(crc), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let store = unhex(store).ok_or(())?;
        let sequence = sequence.parse().map_err(drop)?;
        let position = Position { store, sequence, crc: u32::from_str_radix(crc, 16).map_err(drop)? };
        // Only what was printed, to the letter: a position that was cut short must not pass for another.
        if position.to_string() == text { Ok(position) } else { Err(()) }
    }
}

impl View {
    /// The position that the view is true at.
    pub fn position(&self) -> Position {
        let Link { sequence, previous } = self.link;
        // Only the dump of a lone file does not know what came before.
        Position { store: self.store(), sequence: sequence.saturating_sub(1), crc: previous.unwrap_or_default() }
    }

    /// Which frames are behind a position.
    pub fn since(&self, position: &Position) -> Since {
        let Position { store, sequence, crc } = *position;
        if store != self.store() {
            return Since::AnotherStore;
        }
        let first = self.first();
        if sequence + 1 == first.sequence && first.previous == Some(crc) {
            return Since::Frames(0);
        }
        let number = |index: usize| self.frames.get(index).map(|place| place.frame.header);
        let index = self.frames.partition_point(|place| place.frame.header.sequence < sequence);
        match number(index) {
            Some(header) if (header.sequence, header.crc) == (sequence, crc) => Since::Frames(index + 1),
            _ => Since::Unknown,
        }
    }

    /// Looks at the store again, and changes nothing, as [`View::open`] does. Reads what was appended since; the whole log only if files
    /// were replaced. An error if the directory, or the store in it, is another one.
    pub fn later(self, storage: &dyn Storage) -> Result<View> {
        storage.in_place()?;
        let store = self.store();
        let view = match self.grown(storage) {
            Ok(Some(view)) => view,
            // What looks like damage may be a writer at work: that is for a look from the start to find out.
            Ok(None) | Err(Error::Corruption(_)) => View::open(storage)?,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => View::open(storage)?,
            Err(error) => return Err(error),
        };
        view.is_store(storage, store).map(|()| view)
    }

    /// An error unless the view is of this store.
    pub fn is_store(&self, storage: &dyn Storage, store: Uid) -> Result<()> {
        if self.store() == store {
            return Ok(());
        }
        Err(Error::Displaced {
            path: storage.path().display().to_string(),
            problem: format!("another store: {} is here, and {} is expected", hex(self.store()), hex(store)),
            hint: "name the store that the position is of; or begin anew, without a position".into(),
        })
    }

    /// The view with what was appended since. None if anything else has changed.
    fn grown(mut self, storage: &dyn Storage) -> Result<Option<View>> {
        let acknowledged = read_acknowledged(storage)?;
        let listing = Listing::read(storage)?;
        let store = self.store();
        if acknowledged.is_some_and(|record| record.store != store) || !self.has_files_of(storage, &listing) {
            return Ok(None);
        }
        // The last one that had frames, and the one behind it that had none yet, may be longer now.
        for segment in self.segments.iter_mut().rev().take(2) {
            let length = segment.file.length().map_err(Error::io("read", &segment.path))?;
            if length < segment.length {
                return Ok(None);
            }
            segment.length = length;
        }
        let Some((index, offset)) = self.last_stands()? else { return Ok(None) };
        let segments = std::mem::take(&mut self.segments);
        self.segments = open_segments(storage, &listing, Purpose::Read, &self.snapshots, segments)?;
        self.durable_upto = acknowledged.map_or(0, |record| record.sequence).max(self.durable_upto);
        self.acknowledged = acknowledged;
        self.leftovers.clone_from(&listing.replaced);
        (self.torn, self.unsealed) = (None, false);
        let walked = self.frames.len();
        self.go_on(index, offset, Purpose::Read)?;
        let View { inputs, since, .. } = &mut self;
        let mut known = Known { inputs: std::mem::take(inputs), since: std::mem::take(since), forgotten: Vec::new() };
        let fresh = self.frames.get(walked..).unwrap_or_default();
        known.frames(&self.segments, fresh, self.snapshots.len() + walked)?;
        (self.inputs, self.since) = (known.inputs, known.since);
        Ok(Some(self))
    }

    /// Whether all files of the view are files of the listing, under the names that they had, and no snapshot is new.
    fn has_files_of(&self, storage: &dyn Storage, listing: &Listing) -> bool {
        let covers = |snapshot: &Snapshot| snapshot.header.first..=snapshot.header.last;
        let number = |segment: &Segment| segment.header.number;
        let first = self.segments.first().map(number);
        let is_same = |name: String, file: &dyn File| match (file.identity(), storage.identity(&name)) {
            (Ok(own), Ok(found)) => own.is(&found),
            _ => false,
        };
        first == Some(*listing.segments.start())
            && self.segments.last().is_some_and(|last| listing.segments.contains(&number(last)))
            && self.snapshots.iter().map(covers).eq(listing.snapshots.iter().cloned())
            && self.snapshots.iter().all(|snapshot| is_same(snapshot_name(&covers(snapshot)), snapshot.file()))
            && self.segments.iter().all(|segment| is_same(segment_name(number(segment)), &*segment.file))
    }

    /// Where the walk goes on, if the last frame still stands where it was: the segment and the offset in it.
    fn last_stands(&self) -> Result<Option<(usize, u64)>> {
        let Some(last) = self.frames.last() else { return Ok(Some((0, SEGMENT_HEADER as u64))) };
        let (header, segment) = (&last.frame.header, &self.segments[last.segment]);
        let link = Link { sequence: header.sequence, previous: Some(header.previous) };
        let stands = segment.frame(header.offset, link)?.is_ok_and(|frame| frame.header.crc == header.crc);
        let end = last.frame.end();
        Ok(match header.kind {
            _ if !stands => None,
            // Nothing may stand behind a seal: a look from the start says so.
            FrameKind::Seal if segment.length > end => None,
            FrameKind::Seal => Some((last.segment + 1, SEGMENT_HEADER as u64)),
            _ => Some((last.segment, end)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_comes_back_to_the_letter_or_not_at_all() {
        let position = Position { store: [0x0a; 16], sequence: 170, crc: 0x00c0_ffee };
        let text = position.to_string();
        assert_eq!(text, "0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a-170-00c0ffee");
        assert_eq!(text.parse(), Ok(position));
        for length in 0..text.len() {
            assert_eq!(text[..length].parse::<Position>(), Err(()), "{}", &text[..length]);
        }
        for wrong in
            [text.replace("-170", "-0170"), text.to_uppercase(), format!("{text}-"), text.replace("170", "+170")]
        {
            assert_eq!(wrong.parse::<Position>(), Err(()), "{wrong}");
        }
    }
}
