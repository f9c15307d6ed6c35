//! The output: blocks of lines, made by several threads and written in order.

use std::io::{self, Write};
use std::sync::mpsc;
use std::thread;

use crate::workload::Workload;

/// Lines that a thread makes at a time, about 650 KB.
const BLOCK_LINES: u64 = 4_096;

/// Writes the lines of a workload in order; `threads` others make them.
pub fn write_lines(workload: &Workload, threads: u64, output: &mut dyn Write) -> io::Result<()> {
    let blocks = workload.lines.div_ceil(BLOCK_LINES);
    let threads = threads.min(blocks);
    thread::scope(|scope| {
        let mut makers = Vec::new();
        for first in 0..threads {
            let (full, blocks_made) = mpsc::sync_channel::<Vec<u8>>(2);
            let (give_back, emptied) = mpsc::channel::<Vec<u8>>();
            scope.spawn(move || {
                let mut block = first;
                while block < blocks {
                    let mut lines = emptied.try_recv().unwrap_or_default();
                    lines.clear();
                    let end = workload.lines.min((block + 1) * BLOCK_LINES);
                    for position in block * BLOCK_LINES..end {
                        workload.line(position, &mut lines);
                    }
                    if full.send(lines).is_err() {
                        return; // The writer failed; it says so itself.
                    }
                    block += threads;
                }
            });
            makers.push((blocks_made, give_back));
        }
        for block in 0..blocks {
            let (blocks_made, give_back) = &makers[(block % threads) as usize];
            let lines = blocks_made.recv().map_err(io::Error::other)?;
            output.write_all(&lines)?;
            // A maker that is done needs no buffer.
            let _ = give_back.send(lines);
        }
        output.flush()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::workload;

    fn bytes_by(threads: u64, arguments: &str) -> Vec<u8> {
        let mut output = Vec::new();
        write_lines(&workload(arguments), threads, &mut output).unwrap();
        output
    }

    #[test]
    fn the_output_depends_on_the_options_alone() {
        let arguments = "-n 20000 --copies 0.2 --style shuffled --bad 0.01 --seed 7";
        let once = bytes_by(1, arguments);
        assert_eq!(once, bytes_by(3, arguments));
        assert_ne!(once, bytes_by(1, &arguments.replace('7', "8")));
        assert!(bytes_by(2, "-n 0").is_empty());
    }

    #[test]
    fn a_failed_write_ends_it() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = write_lines(&workload("-n 100000"), 2, &mut Closed).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
