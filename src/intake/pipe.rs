//! What can be read only once. Its own thread reads it, so that a silent writer blocks nobody.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::packed::{Findings, Unpacked};
use super::source::{Counted, Got, Whole};
use crate::base::threads::start;
use crate::error::Error;

/// Bytes that the thread behind a pipe reads and hands over at a time.
const HANDED_OVER: usize = 256 << 10;

/// How long a pipe may be silent before its reader is told so.
const IDLE: Duration = Duration::from_millis(200);

/// How long a pipe may speak before its reader is told that it is silent all the same: what trickles in without a pause
/// must not wait until a chunk is full.
const TRICKLE: Duration = Duration::from_millis(500);

/// A pipe and the thread that reads it.
pub(super) struct Pipe {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spent: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    used: usize,
    /// When it began to speak.
    since: Option<Instant>,
}

impl Pipe {
    pub(super) fn new<R: Read + Send + 'static>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        taken: Arc<AtomicU64>,
        memory: u64,
        findings: Findings,
    ) -> io::Result<Pipe> {
        let (send, pieces) = sync_channel(4);
        let (spent, recycled) = sync_channel::<Vec<u8>>(8);
        // It may sit in a read for ever; it is left behind when the program ends, and changes nothing.
        start("pipe", move || {
            let mut reader = match open() {
                Ok(reader) => Unpacked::new(Box::new(Counted(reader, taken)), memory, findings),
                Err(error) => return drop(send.send(Err(error))),
            };
            loop {
                let mut piece = recycled.try_recv().unwrap_or_default();
                piece.resize(HANDED_OVER, 0);
                let result = match reader.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Ok(count) => {
                        piece.truncate(count);
                        Ok(piece)
                    }
                    Err(error) => Err(error),
                };
                let last = result.as_ref().map_or(true, Vec::is_empty);
                if send.send(result).is_err() || last {
                    return;
                }
            }
        })?;
        Ok(Pipe { pieces, spent, piece: Vec::new(), used: 0, since: None })
    }

    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        if self.since.take_if(|since| since.elapsed() >= TRICKLE).is_some() {
            return Ok(Got::Idle);
        }
        if self.used == self.piece.len() {
            let spent = std::mem::take(&mut self.piece);
            self.used = 0;
            // If nobody waits for it, it is freed.
            let _ = self.spent.try_send(spent);
            match self.pieces.recv_timeout(IDLE) {
                Ok(piece) => self.piece = piece?,
                Err(RecvTimeoutError::Timeout) => {
                    self.since = None;
                    return Ok(Got::Idle);
                }
                // The thread ended after the last piece, which was empty.
                Err(RecvTimeoutError::Disconnected) => return Ok(Got::Bytes(0)),
            }
        }
        self.since.get_or_insert_with(Instant::now);
        let rest = &self.piece[self.used..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.used += count;
        Ok(Got::Bytes(count))
    }
}

/// Standard input; a file that is redirected to it is one that may be cut.
pub(super) fn stdin() -> io::Result<Box<dyn Read + Send>> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(match file.metadata()?.is_file() {
        true => Box::new(Whole::of(file)?),
        false => Box::new(file),
    })
}

/// The error for an input that may fall silent, and so needs its own thread, where no thread can be started.
pub(crate) fn no_thread(name: &str, error: &io::Error) -> Error {
    Error::Input {
        input: name.into(),
        problem: format!("a pipe is read by a thread of its own, and none could be started: {error}"),
        hint: "raise the limit on processes and threads (ulimit -u, that of the container), or run again when there \
               are fewer; a file can be ingested without"
            .into(),
    }
}
