//! What each program of this package does before anything else, and how it prints when nothing else can.

use std::io::{self, Write as _, stderr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Makes signals that stand for a failure what a failure is: a message and exit status 1.
///
/// If one cannot be registered, the signal kills the process, as it would by default.
pub fn fail_in_order() {
    let _ = catch_file_size_signal();
    let _ = exit_on_abort();
}

/// A file that outgrows the process's limit is an error of the write, as a full disk is, once the signal is caught.
fn catch_file_size_signal() -> io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::default()).map(|_| ())
}

/// The same number on every Linux this runs on but MIPS and PA-RISC; where it isn't, the signal keeps its default.
const SIGXFSZ: i32 = 25;

/// The standard library aborts where an allocation fails, after it has said so, and nothing but unstable features can
/// keep it from that. Nothing has to be brought in order: it is as if the process was killed.
fn exit_on_abort() -> io::Result<()> {
    let always = Arc::new(AtomicBool::new(true));
    signal_hook::flag::register_conditional_shutdown(signal_hook::consts::SIGABRT, 1, always).map(|_| ())
}

/// Writes a line to stderr. If stderr is full or gone, nobody can be told; the exit status still says what happened.
pub fn say(line: &str) {
    let _ = writeln!(stderr(), "{line}");
}
