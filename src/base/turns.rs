//! One after the other: threads that work side by side, and have something to do in the order of their work.

use std::sync::Condvar;

use crate::base::shares::{Guard, Lock};

/// What is used in turn, by one at a time.
pub(crate) struct Turns<T> {
    turn: Lock<Turn<T>>,
    changed: Condvar,
}

/// Whose turn it is.
pub(crate) struct Turn<T> {
    /// What is used.
    pub(crate) value: T,
    next: usize,
    /// Nobody has another turn: somebody failed, or it is enough.
    pub(crate) over: bool,
}

impl<T> Turns<T> {
    /// Begins with turn 0; the lock has this name among those of a phase.
    pub(crate) fn new(phase: &'static str, name: &'static str, value: T) -> Turns<T> {
        Turns { turn: Lock::new(phase, name, Turn { value, next: 0, over: false }), changed: Condvar::new() }
    }

    /// Waits for a turn, or until all is over.
    pub(crate) fn wait(&self, number: usize) -> Guard<'_, Turn<T>> {
        let mut turn = self.turn.lock();
        while turn.next != number && !turn.over {
            turn = turn.wait(&self.changed);
        }
        turn
    }

    /// Ends a turn.
    pub(crate) fn end(&self, mut turn: Guard<'_, Turn<T>>) {
        turn.next += 1;
        drop(turn);
        self.changed.notify_all();
    }

    /// Lets the others end if this thread panics before its turn.
    pub(crate) fn watched(&self) -> Over<'_, T> {
        Over(self)
    }
}

/// See [`Turns::watched`].
pub(crate) struct Over<'t, T>(&'t Turns<T>);

impl<T> Drop for Over<'_, T> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.turn.lock().over = true;
            self.0.changed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn nobody_waits_for_the_turn_of_a_thread_that_panicked() {
        // For good: a thread that waits for ever must not make the test wait for it.
        let turns: &Turns<()> = Box::leak(Box::new(Turns::new("test", "turn", ())));
        let (send, waited) = std::sync::mpsc::channel();
        std::thread::spawn(move || send.send(turns.wait(1).over));
        let panics = std::thread::spawn(|| {
            let _watched = turns.watched();
            panic!("a bug, before turn 0");
        });
        assert!(panics.join().is_err());
        assert_eq!(waited.recv_timeout(Duration::from_secs(20)), Ok(true));
    }

    #[test]
    fn turns_come_in_order() {
        let turns = Turns::new("test", "turn", Vec::new());
        std::thread::scope(|scope| {
            for number in (0..20).rev() {
                let turns = &turns;
                scope.spawn(move || {
                    let mut turn = turns.wait(number);
                    turn.value.push(number);
                    turns.end(turn);
                });
            }
        });
        assert_eq!(turns.wait(20).value, (0..20).collect::<Vec<_>>());
    }
}
