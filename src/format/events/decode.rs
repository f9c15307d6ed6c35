//! Reads sections of events.

use super::{ACTOR_CODES, actor_of};
use crate::event::table::{Numbered, Table};
use crate::event::{Id, Kind, MAX_NAME, Site, is_name, uuid_of};
use crate::format::coding::{self, Decoded, Packed, Reader, front_coded, site_hash, unzigzag};
use crate::format::frame::MAX_PAYLOAD;

/// Stands for a site that nobody asked for, in place of the value that a table has for it.
const UNWANTED: u64 = u64::MAX;

/// A section of events, or the payload of a block of events, with what its directory or header says of it.
#[derive(Clone, Copy)]
pub struct PackedEvents<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// How many events it holds.
    pub count: u32,
    /// The shard of its sites.
    pub shard: u8,
}

/// Decodes sections of events into a table; keeps its buffers.
#[derive(Default)]
pub struct EventsDecoder {
    gaps: Vec<u64>,
    sites: Vec<u64>,
    actors: Vec<Actor>,
    text: Vec<u8>,
    /// By event: its site.
    by_event: Vec<u64>,
    times: Vec<u64>,
    places: Vec<u64>,
}

/// An entry of the dictionary: a name, and what all its events have in common.
#[derive(Clone, Copy)]
struct Actor {
    from: u32,
    kind: Kind,
    disputed: bool,
}

impl EventsDecoder {
    /// Appends the events of a section to `table`: all, or those of the sites that `wanted` answers for.
    pub fn decode(
        &mut self,
        events: PackedEvents<'_>,
        table: &mut Table,
        wanted: impl Fn(Site<'_>) -> bool,
    ) -> Decoded<()> {
        let PackedEvents { bytes, count, shard } = events;
        let mut reader = Reader::new(bytes);
        let head = Head::read(&mut reader, count)?;
        let mut section = Decoding { reader, head, shard, room: MAX_PAYLOAD, buffers: self, table, wanted };
        section.numbered_sites()?;
        section.named_sites()?;
        section.dictionary()?;
        let columns = section.columns()?;
        // Where one site is asked for, or each pass takes a part of the sites, most sections hold none of them.
        if section.buffers.sites.iter().all(|site| *site == UNWANTED) {
            return Ok(());
        }
        section.unpack(&columns)?;
        match columns.textual {
            None => section.take_with_uuids(columns.uuids),
            Some(textual) => section.take_with_ids(columns.uuids, textual)?,
        }
        section.reader.end("the end of the events")
    }

    /// The events without their ids, once all columns are unpacked and checked.
    #[inline]
    fn events(&self, earliest: i64) -> impl Iterator<Item = Numbered> {
        let actors = &*self.actors;
        let rows = self.by_event.iter().zip(&self.places).zip(&self.times);
        rows.map(move |((site, place), time)| {
            let Actor { from, kind, disputed } = actors[*place as usize];
            let timestamp = earliest.wrapping_add_unsigned(*time);
            Numbered { site: *site, timestamp, from, kind, disputed }
        })
    }
}

/// The counts and widths that a section begins with.
struct Head {
    events: usize,
    /// Numbered sites.
    numbers: usize,
    /// Named sites.
    names: usize,
    /// Entries of the dictionary.
    actors: usize,
    /// Ids that are not UUIDs.
    texts: usize,
    earliest: i64,
    gap_width: u8,
    time_width: u8,
    actor_width: u8,
}

impl Head {
    fn read(reader: &mut Reader<'_>, count: u32) -> Decoded<Head> {
        let length = reader.left();
        let events = count as usize;
        // An event takes at least a bit, so this bounds every allocation by the bytes at hand.
        if events == 0 || events > length.saturating_mul(8) {
            return reader.malformed("at least one event, and a bit for each");
        }
        let numbers = reader.count(events, "the number of numbered sites")?;
        let names = reader.count(events - numbers, "the number of named sites")?;
        let actors = reader.count(events, "the number of actors")?;
        let texts = reader.count(events, "the number of textual ids")?;
        let earliest = unzigzag(reader.varint("the earliest timestamp")?);
        let [gap_width, time_width, actor_width] = reader.array("the widths")?;
        if numbers + names == 0 {
            return reader.malformed("at least one site");
        }
        // Before anything is taken by their number: an id has at least two bytes.
        if 16 * (events - texts) + 2 * texts > length {
            return reader.malformed("as many ids as events");
        }
        if gap_width.max(time_width).max(actor_width) > 64 {
            return reader.malformed("widths of at most 64 bits");
        }
        Ok(Head { events, numbers, names, actors, texts, earliest, gap_width, time_width, actor_width })
    }
}

/// The columns of a section, still packed.
struct Columns<'a> {
    /// A one where a site begins.
    new_site: Packed<'a>,
    /// A one where the id is not a UUID; nothing if all of them are.
    textual: Option<Packed<'a>>,
    /// Since the earliest timestamp.
    times: Packed<'a>,
    /// Places in the dictionary.
    places: Packed<'a>,
    uuids: &'a [u8],
}

/// A section that is being decoded.
struct Decoding<'a, 'd, W> {
    reader: Reader<'a>,
    head: Head,
    shard: u8,
    /// Bytes that names may still take. A name that begins as its neighbour takes a few bytes, and many once it is written out.
    room: usize,
    buffers: &'d mut EventsDecoder,
    table: &'d mut Table,
    wanted: W,
}

impl<'a, W: Fn(Site<'_>) -> bool> Decoding<'a, '_, W> {
    fn numbered_sites(&mut self) -> Decoded<()> {
        let Decoding { reader, head, shard, buffers, table, wanted, .. } = self;
        buffers.sites.clear();
        if head.numbers == 0 {
            return Ok(());
        }
        let mut number = reader.varint("the first site")?;
        let gaps = reader.packed(head.numbers - 1, head.gap_width, "the gaps between sites")?;
        buffers.gaps.clear();
        buffers.gaps.push(0);
        gaps.unpack(&mut buffers.gaps);
        for gap in &buffers.gaps {
            number = match number.checked_add(*gap) {
                Some(number) if number < 10u64.pow(18) => number,
                _ => return reader.malformed("a site below 10^18"),
            };
            let site = Site::Number(number);
            if coding::shard(site_hash(site)) != *shard {
                return reader.malformed("sites of this shard");
            }
            buffers.sites.push(if wanted(site) { table.site(site) } else { UNWANTED });
        }
        Ok(())
    }

    fn named_sites(&mut self) -> Decoded<()> {
        let Decoding { reader, head, shard, room, buffers, table, wanted } = self;
        buffers.text.clear();
        for _ in 0..head.names {
            front_coded(reader, &mut buffers.text, 1)?;
            *room = reader.within(*room, buffers.text.len())?;
            match Site::new(&buffers.text) {
                Site::Number(_) => return reader.malformed("a number among the numbers"),
                site if coding::shard(site_hash(site)) != *shard => return reader.malformed("sites of this shard"),
                site => buffers.sites.push(if wanted(site) { table.site(site) } else { UNWANTED }),
            }
        }
        Ok(())
    }

    fn dictionary(&mut self) -> Decoded<()> {
        let Decoding { reader, head, room, buffers, table, .. } = self;
        buffers.actors.clear();
        buffers.text.clear();
        for _ in 0..head.actors {
            let code = front_coded(reader, &mut buffers.text, ACTOR_CODES)?;
            *room = reader.within(*room, buffers.text.len())?;
            let Some((kind, disputed)) = actor_of(code) else { return reader.malformed("a kind") };
            buffers.actors.push(Actor { from: table.from_in_order(&buffers.text), kind, disputed });
        }
        Ok(())
    }

    fn columns(&mut self) -> Decoded<Columns<'a>> {
        let Decoding { reader, head, .. } = self;
        let Head { events, texts, .. } = *head;
        Ok(Columns {
            new_site: reader.packed(events, 1, "a bit an event for its site")?,
            textual: match texts {
                0 => None,
                _ => Some(reader.packed(events, 1, "a bit an event for its id")?),
            },
            times: reader.packed(events, head.time_width, "the timestamps")?,
            places: reader.packed(events, head.actor_width, "the actors of the events")?,
            uuids: reader.bytes(16 * events.saturating_sub(texts), "the UUIDs")?,
        })
    }

    /// Unpacks and checks the columns, one by one: each loop is short, and decides nothing else.
    fn unpack(&mut self, columns: &Columns<'_>) -> Decoded<()> {
        let Decoding { reader, buffers, .. } = self;
        let EventsDecoder { sites, actors, by_event, times, places, .. } = &mut **buffers;
        by_event.clear();
        columns.new_site.unpack(by_event);
        let mut begun = 0;
        for site in by_event {
            begun += *site as usize;
            *site = match begun.checked_sub(1).and_then(|site| sites.get(site)) {
                Some(site) => *site,
                None => return reader.malformed("a site for each bit that asks for one, the first among them"),
            };
        }
        if begun != sites.len() {
            return reader.malformed("an event for each site");
        }
        times.clear();
        columns.times.unpack(times);
        places.clear();
        columns.places.unpack(places);
        if places.iter().max().is_some_and(|place| *place >= actors.len() as u64) {
            return reader.malformed("an actor of the dictionary");
        }
        Ok(())
    }

    /// Appends the events to the table, where all ids are UUIDs.
    fn take_with_uuids(&mut self, uuids: &[u8]) {
        let Decoding { head, shard, buffers, table, .. } = self;
        let (uuids, _) = uuids.as_chunks::<16>();
        let rows = buffers.events(head.earliest).zip(uuids);
        if buffers.sites.contains(&UNWANTED) {
            table.push_rows(*shard, rows.filter(|(event, _)| event.site != UNWANTED));
        } else {
            table.push_rows(*shard, rows);
        }
    }

    /// Appends the events to the table, where some ids are not UUIDs: these stand behind the columns.
    fn take_with_ids(&mut self, uuids: &[u8], textual: Packed<'_>) -> Decoded<()> {
        let Decoding { reader, head, shard, buffers, table, .. } = self;
        let mut uuids = Reader::new(uuids);
        let mut events = buffers.events(head.earliest);
        for bit in textual.iter() {
            let id = match bit {
                1 => text_id(reader)?,
                _ => Id::Uuid(uuid_of(uuids.array("as many UUIDs as the bits say")?)),
            };
            match events.next() {
                Some(event) if event.site != UNWANTED => table.push_row(event, id, *shard),
                _ => {}
            }
        }
        match uuids.left() {
            0 => Ok(()),
            _ => reader.malformed("an event for each UUID"),
        }
    }
}

/// The next id that is not a UUID.
fn text_id<'a>(reader: &mut Reader<'a>) -> Decoded<Id<'a>> {
    let length = reader.count(MAX_NAME, "an id of at most 1,024 bytes")?;
    let text = reader.bytes(length, "an id")?;
    match Id::new(text) {
        Id::Text(_) if is_name(text) => Ok(Id::Text(text)),
        _ => reader.malformed("an id that is a name and no UUID"),
    }
}
