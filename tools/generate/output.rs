//! The output: blocks of lines, made by several threads and written in order.

use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, Scope};

use crate::workload::Workload;

/// Lines that a thread makes at a time, about 650 KB.
const BLOCK_LINES: u64 = 4_096;

/// Blocks that a thread is ahead of the writer.
const AHEAD: u64 = 2;

/// Writes the lines of a workload in order; `threads` others make them, or fewer where the system gives no more.
pub fn write_lines(workload: &Workload, threads: u64, output: &mut dyn Write) -> io::Result<()> {
    let blocks = workload.lines.div_ceil(BLOCK_LINES);
    thread::scope(|scope| {
        let maker = |_| Maker::start(scope, workload).ok();
        let makers: Vec<Maker> = (0..threads.min(blocks)).map_while(maker).collect();
        if makers.is_empty() {
            let mut lines = Vec::new();
            for block in 0..blocks {
                make(workload, block, &mut lines);
                output.write_all(&lines)?;
            }
            return output.flush();
        }
        let turn = |block: u64| &makers[(block % makers.len() as u64) as usize];
        let ahead = AHEAD * makers.len() as u64;
        for block in 0..blocks.min(ahead) {
            turn(block).order(block, Vec::new());
        }
        for block in 0..blocks {
            let lines = turn(block).made.recv().map_err(io::Error::other)?;
            output.write_all(&lines)?;
            if block + ahead < blocks {
                turn(block).order(block + ahead, lines);
            }
        }
        output.flush()
    })
}

/// A thread that makes the blocks that are ordered.
struct Maker {
    orders: Sender<(u64, Vec<u8>)>,
    made: Receiver<Vec<u8>>,
}

impl Maker {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, workload: &'scope Workload) -> io::Result<Maker> {
        let (orders, ordered) = mpsc::channel::<(u64, Vec<u8>)>();
        let (full, made) = mpsc::channel();
        thread::Builder::new().spawn_scoped(scope, move || {
            for (block, mut lines) in ordered {
                make(workload, block, &mut lines);
                if full.send(lines).is_err() {
                    return; // The writer failed; it says so itself.
                }
            }
        })?;
        Ok(Maker { orders, made })
    }

    /// Orders a block, to be made in this buffer.
    fn order(&self, block: u64, buffer: Vec<u8>) {
        // It ends before the writer only by a panic, which the writer meets where it waits for the block.
        let _ = self.orders.send((block, buffer));
    }
}

fn make(workload: &Workload, block: u64, lines: &mut Vec<u8>) {
    lines.clear();
    let end = workload.lines.min((block + 1) * BLOCK_LINES);
    for position in block * BLOCK_LINES..end {
        workload.line(position, lines);
    }
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
        assert_eq!(once, bytes_by(0, arguments), "where no thread can be started");
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
