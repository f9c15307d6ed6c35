//! Room `format`: the only home of the bytes on disk.
//!
//! A segment is a header and [frames](frame), a frame is a header, a [`directory`] and sections; a snapshot is a header and
//! [blocks](block). `wal-format.md` tells what every byte means; a test compares its worked example with what is written here.
//! This room may use [`event`](crate::event) and what is below it. It knows nothing of files: [`segment`](crate::segment) and
//! [`snapshot`](crate::snapshot) read and write them.

pub mod acknowledged;
pub mod block;
pub mod checkpoint;
pub mod coding;
pub mod directory;
pub mod events;
pub mod file_header;
pub mod frame;
pub mod hole;
pub mod index;
pub mod rejects;
pub mod snapshot_header;
pub mod tables;

/// The version of the format this program writes, and the only one it reads.
pub const VERSION: u16 = 1;

/// Shards that sites are spread over.
pub const SHARDS: usize = 256;

/// Bytes at each end of what was read of an input that identify it.
pub const WINDOW: usize = 4096;

/// The bytes of a reject that are kept, unless more are asked for.
pub const KEPT: usize = 4096;

/// The most bytes of a reject that can be kept.
pub const MAX_KEPT: usize = 1 << 20;

/// The most marks of a checkpoint.
pub const MAX_MARKS: usize = 64;

/// What standard input is called in checkpoints.
pub const STDIN: &[u8] = b"-";

/// The longest name of an input, in bytes.
pub const MAX_SOURCE_NAME: usize = 4096;

/// Counts (of events, copies, sites, rejects), sequence numbers and segment numbers in a file are below this, so that sums of
/// as many as a file can hold fit 64 bits, whatever is in it.
pub const MAX_COUNT: u64 = 1 << 40;

/// Offsets and lines of an input are below this.
pub const MAX_OFFSET: u64 = 1 << 56;

/// Names a store, an instance of an input: random, so that two never meet.
pub type Uid = [u8; 16];

/// The first 16 bytes of the SHA-256 of some bytes.
pub type Digest = [u8; 16];

/// The digest of these bytes.
pub fn digest(bytes: &[u8]) -> Digest {
    let mut digester = Digester::default();
    digester.update(bytes);
    digester.digest()
}

/// Makes digests of bytes as they come.
#[derive(Clone, Default)]
pub struct Digester(sha2::Sha256);

impl Digester {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        sha2::Digest::update(&mut self.0, bytes);
    }

    /// The digest of all bytes so far.
    pub fn digest(&self) -> Digest {
        let mut digest = [0; 16];
        for (to, from) in digest.iter_mut().zip(sha2::Digest::finalize(self.0.clone())) {
            *to = from;
        }
        digest
    }
}

/// Sixteen bytes as 32 hex digits.
pub fn hex(uid: Uid) -> String {
    uid.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The sixteen bytes that [`hex`] writes so.
pub fn unhex(text: &str) -> Option<Uid> {
    let number = u128::from_str_radix(text, 16).ok()?;
    Some(number.to_be_bytes()).filter(|uid| hex(*uid) == text)
}
