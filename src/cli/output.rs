//! What an answer looks like to whoever reads it on a terminal, now or later.
//!
//! `line` and `csv` are data: names stand in them as they are, even if they deceive the eye. If such a name is printed, a warning
//! says so once. The other formats escape them.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use chatwal::base::text::DECEPTIVE;
use chatwal::base::text::has_deceptive;

/// Something deceptive was written.
static DECEIVED: AtomicBool = AtomicBool::new(false);

/// Whether some answer of this run had characters that deceive.
pub fn deceived() -> bool {
    DECEIVED.load(Ordering::Relaxed)
}

/// Passes on what is written, in large pieces, and looks at it: a look at each name would take longer.
pub struct Watched<W> {
    out: W,
    /// The last bytes, which may be the start of a character.
    last: Vec<u8>,
}

impl<W: Write> Watched<W> {
    pub fn new(out: W) -> Watched<W> {
        Watched { out, last: Vec::new() }
    }

    fn look(&mut self, bytes: &[u8]) {
        self.last.extend_from_slice(&bytes[..bytes.len().min(DECEPTIVE - 1)]);
        if has_deceptive(&self.last) || has_deceptive(bytes) {
            DECEIVED.store(true, Ordering::Relaxed);
        }
        let kept = if bytes.len() < DECEPTIVE { &self.last } else { bytes };
        self.last = kept[kept.len().saturating_sub(DECEPTIVE - 1)..].to_vec();
    }
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        if !deceived() {
            self.look(&bytes[..count]);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_found_wherever_the_writes_end() {
        let text = "a\u{202e}b".as_bytes();
        for cuts in 0u32..1 << (text.len() - 1) {
            DECEIVED.store(false, Ordering::Relaxed);
            let mut out = Watched::new(Vec::new());
            let mut start = 0;
            for end in 1..=text.len() {
                if end == text.len() || cuts >> (end - 1) & 1 == 1 {
                    out.write_all(&text[start..end]).unwrap();
                    start = end;
                    assert_eq!(deceived(), end >= 4, "cuts {cuts:b}, at {end}");
                }
            }
            assert_eq!(out.out, text);
        }
    }
}
