//! The signals that ask the program to end: it ends in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// The signals that end an ingest: the first one in order, the second at once. A terminal that goes away may send SIGHUP more
/// than once, so that one never ends it at once.
pub struct Signals {
    pub stop: Arc<AtomicBool>,
    which: Arc<AtomicUsize>,
}

impl Signals {
    pub fn watch() -> std::io::Result<Signals> {
        use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
        use signal_hook::flag;
        let signals = Signals { stop: Arc::default(), which: Arc::default() };
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            if signal != SIGHUP {
                flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&signals.stop))?;
            } else if is_ignored(signal) {
                // Under nohup it is to outlive its terminal.
                continue;
            }
            flag::register(signal, Arc::clone(&signals.stop))?;
            flag::register_usize(signal, Arc::clone(&signals.which), usize::try_from(signal).unwrap_or(0))?;
        }
        Ok(signals)
    }

    pub fn status(&self) -> u8 {
        128 + u8::try_from(self.which.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

/// Whether a signal is ignored, as whoever started this process may have asked for.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
