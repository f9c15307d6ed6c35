//! The hash for tables in memory whose keys strangers choose: its seed is another one in every process, so nobody can foresee
//! which keys collide. The hash of the format, which places sites in shards, is public, and serves for nothing else.

use std::hash::{BuildHasher as _, Hash};
use std::sync::LazyLock;

use hashbrown::DefaultHashBuilder;

static SEED: LazyLock<DefaultHashBuilder> = LazyLock::new(DefaultHashBuilder::default);

/// The hash of a key; in one process equal for equal keys.
#[inline]
pub(crate) fn hash(key: impl Hash) -> u64 {
    SEED.hash_one(key)
}
