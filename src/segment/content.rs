//! Checks sections beyond their checksums: that they hold what the format says.

use super::{Frame, Segment, next_section};
use crate::error::{Corruption, Result};
use crate::event::table::Table;
use crate::format::checkpoint::Checkpoint;
use crate::format::coding::{Decoded, Malformed};
use crate::format::directory::SectionKind;
use crate::format::events::{EventsDecoder, PackedEvents};
use crate::format::hole::Hole;
use crate::format::rejects::decode_rejects;

/// Checks the contents of frames, one after the other; keeps its buffers.
#[derive(Default)]
pub(crate) struct Contents {
    buffer: Vec<u8>,
    decoder: EventsDecoder,
    table: Table,
}

impl Contents {
    /// The sections of a frame that are bad, by their checksum or by what they hold: their places, and what is wrong.
    pub(crate) fn check(&mut self, segment: &Segment, frame: &Frame) -> Result<Vec<(usize, Corruption)>> {
        let Contents { buffer, decoder, table } = self;
        let mut checkpoint = None;
        let mut bad = Vec::new();
        let mut rest = segment.read_sections(&frame.sections, buffer)?;
        for (place, section) in frame.sections.iter().enumerate() {
            let bytes = next_section(&mut rest, section);
            let entry = section.entry;
            let checked = segment.check(section, bytes).and_then(|()| {
                let decoded = match entry.kind {
                    SectionKind::Checkpoint => Checkpoint::decode(bytes).map(|decoded| checkpoint = Some(decoded)),
                    SectionKind::Events => decode_events(decoder, entry.packed_events(bytes), table),
                    SectionKind::Hole => Hole::decode(bytes).map(|_| ()),
                    SectionKind::Rejects => match &checkpoint {
                        Some(checkpoint) => decode_rejects(bytes, entry.count, checkpoint).map(|_| ()),
                        None => Ok(()),
                    },
                    // Whoever read the directory has checked their lengths: instances of 16 bytes, and no bytes of repeats.
                    SectionKind::Forgotten | SectionKind::Repeats => Ok(()),
                };
                decoded.map_err(|Malformed { at, expected }| {
                    segment.corrupt(section.at + at as u64, expected, "something else")
                })
            });
            bad.extend(checked.err().map(|what| (place, what)));
        }
        Ok(bad)
    }
}

/// Decodes the events of a section or a block into a table that is cleared before.
pub(crate) fn decode_events(decoder: &mut EventsDecoder, packed: PackedEvents<'_>, table: &mut Table) -> Decoded<()> {
    table.clear();
    decoder.decode(packed, table, |_| true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Id, Kind, Site};
    use crate::format::coding::{shard, site_hash};
    use crate::format::events::EventsEncoder;

    #[test]
    fn a_site_of_another_shard_is_found() {
        let (mut table, site) = (Table::default(), Site::Number(1));
        let event = Event { site, id: Id::new(b"a"), from: b"x", timestamp: 1, kind: Kind::Message };
        let right = shard(site_hash(site));
        for (of, sound) in [(right, true), (right ^ 1, false)] {
            table.clear();
            table.push(&event, of);
            let (mut entries, mut bytes) = (Vec::new(), Vec::new());
            EventsEncoder::default().encode(&table, &mut entries, &mut bytes);
            let packed = PackedEvents { bytes: &bytes, count: 1, shard: of };
            let decoded = decode_events(&mut EventsDecoder::default(), packed, &mut Table::default());
            assert_eq!(decoded.is_ok(), sound);
        }
    }
}
