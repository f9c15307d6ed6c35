//! What a writer says of its recovery.

use chatwal::store::recover::Recovery;

use crate::console::{Console, count};

/// Tells what was cut, removed and written again.
pub fn tell_recovery(recovery: &Recovery, console: &Console) {
    if let Some(torn) = &recovery.cut {
        console.note(&format!(
            "{} (byte {}): cut {} bytes that a crash left behind and that were never acknowledged",
            torn.what.file, torn.what.offset, torn.bytes
        ));
    }
    for name in &recovery.removed {
        console.note(&format!("{name}: removed, the leftover of an interrupted publish"));
    }
    if console.verbose && recovery.rewritten > 0 {
        console
            .note(&format!("written again, since nothing proved it durable: {}", count(recovery.rewritten, "frame")));
    }
}
