//! Threads, as many as the system gives. Fewer than were asked for make the work slower, and none leaves it to the thread that
//! asked: nothing here panics where a limit (`ulimit -u`, the pids of a container) or the memory for a stack is reached.

use std::io;
use std::sync::OnceLock;
use std::thread::{Builder, JoinHandle, Scope, ScopedJoinHandle};

use crate::base::shares::idle;

/// Why the first thread was refused that was.
static REFUSED: OnceLock<io::Error> = OnceLock::new();

/// Why a thread was refused, if one ever was in this process. Whoever works for people tells them why it takes longer.
pub fn refused() -> Option<&'static io::Error> {
    REFUSED.get()
}

/// Starts a thread that nobody has to wait for.
pub fn start<T: Send + 'static>(name: &str, work: impl FnOnce() -> T + Send + 'static) -> io::Result<JoinHandle<T>> {
    Builder::new().name(name.into()).spawn(work).inspect_err(note)
}

/// Starts up to `count` threads that do the same work; gives those that there are, which may be none.
pub fn others<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    work: &'scope (impl Fn() -> T + Sync),
) -> Vec<ScopedJoinHandle<'scope, T>> {
    let start = |_| Builder::new().spawn_scoped(scope, work).inspect_err(note).ok();
    // After the first refusal the next one would most likely be refused as well.
    (0..count).map_while(start).collect()
}

/// Does the same work on up to `threads` threads, the calling one among them; gives what each came to. A panic in any of them
/// goes on here.
pub fn together<T: Send>(threads: usize, work: impl Fn() -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let others = others(scope, threads.saturating_sub(1), &work);
        let mut results = vec![work()];
        idle(|| results.extend(others.into_iter().map(joined)));
        results
    })
}

/// Does two things at a time, `other` on a thread of its own; if there is none to be had, first that and then `own`.
pub fn beside<A: Send, B>(other: impl Fn() -> A + Sync, own: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| match others(scope, 1, &other).pop() {
        Some(running) => {
            let own = own();
            (joined(running), own)
        }
        None => (other(), own()),
    })
}

fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn note(error: &io::Error) {
    let _ = REFUSED.set(io::Error::new(error.kind(), error.to_string()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn every_thread_does_the_work_once() {
        for threads in [0, 1, 2, 5] {
            let number = AtomicU32::new(0);
            let mut results = together(threads, || number.fetch_add(1, Ordering::Relaxed));
            results.sort_unstable();
            assert_eq!(results, (0..threads.max(1) as u32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn two_things_are_done_at_a_time() {
        let (meet, other) = (std::sync::Barrier::new(2), std::thread::current().id());
        let (a, b) = beside(
            || {
                meet.wait();
                std::thread::current().id()
            },
            || {
                meet.wait();
                std::thread::current().id()
            },
        );
        assert_eq!((a != other, b), (true, other));
    }
}
