//! Whether one directory lies in another, whatever paths lead to them.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use super::Storage;

/// Whether a path leads into the directory of a store, or would once it is made; to the directory itself as well. By what the directories
/// are, not by their names: links and mounts lead to the same one.
pub fn lies_in(path: &Path, storage: &dyn Storage) -> bool {
    // One that is not of a file system has no place.
    let Ok(own) = storage.identity(".") else { return false };
    let there = |path: &Path| fs::canonicalize(if path.as_os_str().is_empty() { Path::new(".") } else { path }).ok();
    let nearest = path.ancestors().find_map(there);
    let is_own =
        |path: &Path| fs::metadata(path).is_ok_and(|found| (found.dev(), found.ino()) == (own.device, own.inode));
    nearest.is_some_and(|nearest| nearest.ancestors().any(is_own))
}
