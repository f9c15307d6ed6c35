//! The sections of a batch, under one name: where its input stands, the lines it rejects, and its events shard by shard.

pub use super::checkpoint::{Checkpoint, Mark, Windows};
pub use super::events::{EventsDecoder, EventsEncoder, PackedEvents};
pub use super::rejects::{Reject, Rejects, RejectsEncoder, decode_rejects};
