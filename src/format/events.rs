//! The section of events: the events of one shard of a batch or of a snapshot, column by column.
//!
//! The [encoder](EventsEncoder) writes sections, the [decoder](EventsDecoder) reads them. What both have to agree on is here.
//! `wal-format.md` describes each column.

mod decode;
mod encode;

pub use decode::{EventsDecoder, PackedEvents};
pub use encode::EventsEncoder;

use crate::event::Kind;

/// The number of codes that an actor may have. An actor is an entry of the dictionary: a name with a code, which tells the kind of its
/// events, and whether copies of them disagree. Only a snapshot knows the latter.
const ACTOR_CODES: u64 = 2 * KINDS as u64;

const KINDS: u8 = Kind::ALL.len() as u8;

/// The code of the actor of an event.
fn actor_code(kind: Kind, disputed: bool) -> u8 {
    kind.code() + if disputed { KINDS } else { 0 }
}

/// What a code says of the events of an actor: their kind, and whether copies of them disagree.
fn actor_of(code: u64) -> Option<(Kind, bool)> {
    let code = u8::try_from(code).ok()?;
    Kind::from_code(code % KINDS).map(|kind| (kind, code >= KINDS))
}

#[cfg(test)]
mod tests {
    use super::super::coding::{shard, site_hash};
    use super::super::directory::Entry;
    use super::*;
    use crate::event::table::Table;
    use crate::event::{Event, Id, Site, is_name};
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9]{1,20}", "visitor[0-9]{1,3}", "[a-c]{1,4}", "\\PC{1,9}"]
    }

    fn id() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[a-z0-9-]{1,40}"]
    }

    type Parts = (String, String, String, i64, u8);

    fn events() -> impl Strategy<Value = Vec<Parts>> {
        let timestamp = prop_oneof![0..1000i64, any::<i64>()];
        prop::collection::vec((name(), id(), name(), timestamp, 0..3u8), 1..80)
    }

    fn fill(parts: &[Parts]) -> Table {
        let mut table = Table::default();
        for (site, id, from, timestamp, kind) in parts {
            let site = Site::new(site.as_bytes());
            let kind = Kind::from_code(*kind).unwrap();
            let event = Event { site, id: Id::new(id.as_bytes()), from: from.as_bytes(), timestamp: *timestamp, kind };
            table.push(&event, shard(site_hash(site)));
        }
        table
    }

    fn sections(table: &Table) -> (Vec<Entry>, Vec<u8>) {
        let (mut entries, mut bytes) = (Vec::new(), Vec::new());
        EventsEncoder::default().encode(table, &mut entries, &mut bytes);
        (entries, bytes)
    }

    fn key(table: &Table) -> Vec<String> {
        let mut events: Vec<String> = table.rows.iter().map(|row| format!("{:?}", table.event(row))).collect();
        events.sort();
        events
    }

    proptest! {
        #[test]
        fn events_come_back(parts in events()) {
            prop_assume!(parts.iter().all(|part| is_name(part.0.as_bytes()) && is_name(part.2.as_bytes())));
            let table = fill(&parts);
            let (entries, bytes) = sections(&table);
            let mut back = Table::default();
            let mut decoder = EventsDecoder::default();
            let mut at = 0;
            for entry in &entries {
                let section = &bytes[at..at + entry.length as usize];
                at += section.len();
                decoder.decode(entry.packed_events(section), &mut back, |_| true).unwrap();
            }
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(key(&back), key(&table));
        }

        #[test]
        fn damaged_sections_are_refused_or_decoded_but_never_panic(
            parts in events(), flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), cut: prop::sample::Index,
        ) {
            let decode = |packed: PackedEvents<'_>| EventsDecoder::default().decode(packed, &mut Table::default(), |_| true);
            let table = fill(&parts);
            let (entries, mut bytes) = sections(&table);
            bytes.truncate(entries[0].length as usize);
            for (index, byte) in flips {
                let at = index.index(bytes.len());
                bytes[at] = byte;
            }
            let _ = decode(PackedEvents { shard: 0, ..entries[0].packed_events(&bytes) });
            bytes.truncate(cut.index(bytes.len()));
            let _ = decode(PackedEvents { shard: 0, ..entries[0].packed_events(&bytes) });
        }
    }

    #[test]
    fn only_wanted_sites_are_decoded() {
        let parts: Vec<Parts> = (0..50).map(|n| ((n % 7).to_string(), format!("e{n}"), "v".into(), n, 2)).collect();
        let table = fill(&parts);
        let (entries, bytes) = sections(&table);
        let mut back = Table::default();
        let mut at = 0;
        for entry in entries {
            let section = &bytes[at..at + entry.length as usize];
            at += section.len();
            let wanted = |site: Site<'_>| site == Site::Number(3);
            EventsDecoder::default().decode(entry.packed_events(section), &mut back, wanted).unwrap();
        }
        assert_eq!(back.rows.len(), 7);
    }
}
