//! Whether standard input and standard output were open when the program was started: the one module with `unsafe`.
//!
//! Before `main`, Rust's runtime opens `/dev/null` in the place of each standard descriptor that is closed. So an answer for a
//! closed standard output would vanish with exit status 0, and a closed standard input would be an empty one. Nothing that
//! can be seen later tells them from a `/dev/null` that somebody passed on purpose, and many do. So what they are is asked
//! before the runtime begins, by a function that the loader calls: the functions of the section `.init_array`.
//!
//! Contract: what stands in that section is called before `main`, on the only thread there is, by the convention of C and with
//! arguments that it may ignore. So it has to be the address of such a function and nothing else, which the type of [`LOOK`]
//! says; and the function may not count on anything that the runtime sets up, nor panic. It makes two system calls and
//! stores a number.

use std::io;

/// Checks that standard input can be read.
pub fn stdin() -> io::Result<()> {
    usable(STDIN)
}

/// Checks that standard output can be written.
pub fn stdout() -> io::Result<()> {
    usable(STDOUT)
}

const STDIN: u8 = 1;
const STDOUT: u8 = 2;

#[cfg(target_os = "linux")]
fn usable(descriptor: u8) -> io::Result<()> {
    match UNUSABLE.load(Ordering::Relaxed) & descriptor {
        0 => Ok(()),
        _ => Err(io::Error::other("it is not open")),
    }
}

/// Elsewhere nobody looks.
#[cfg(not(target_os = "linux"))]
fn usable(_: u8) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
use {
    rustix::fs::{OFlags, fcntl_getfl},
    std::sync::atomic::{AtomicU8, Ordering},
};

#[cfg(target_os = "linux")]
static UNUSABLE: AtomicU8 = AtomicU8::new(0);

// SAFETY: the address of a function that keeps the contract above.
#[cfg(target_os = "linux")]
#[used]
#[allow(unsafe_code)]
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

/// A descriptor for the other direction is of as little use as a closed one, and the standard library ignores the error that
/// says so.
#[cfg(target_os = "linux")]
extern "C" fn look() {
    let mut unusable = 0;
    let access = |flags: OFlags| flags & OFlags::ACCMODE;
    if fcntl_getfl(rustix::stdio::stdin()).map_or(true, |flags| access(flags) == OFlags::WRONLY) {
        unusable |= STDIN;
    }
    if fcntl_getfl(rustix::stdio::stdout()).map_or(true, |flags| access(flags) == OFlags::RDONLY) {
        unusable |= STDOUT;
    }
    UNUSABLE.store(unusable, Ordering::Relaxed);
}
