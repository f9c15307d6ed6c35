//! Where an input comes from, and where to go on in it.
//!
//! An input is known by its content, not by its name: the digests of its first bytes and of those before the place it was
//! read to. So a file that grew, was renamed, copied or compressed is gone on with where it was left, and one that was
//! changed is read from its start, which the identity of events makes harmless.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::known::Known;
use super::read_full;
use crate::error::{Error, Result};
use crate::format::batch::Checkpoint;
use crate::format::{MAX_SOURCE_NAME, Uid, WINDOW, digest};
use crate::shell::files_in;
use crate::threads::start;

/// Bytes of one piece that the thread behind a pipe hands over.
const PIECE: usize = 256 << 10;

/// How long a pipe may be silent before its reader is told so.
const IDLE: Duration = Duration::from_millis(200);

/// How long a pipe may speak before its reader is told that it is silent all the same: what trickles in without a pause
/// must not wait until a chunk is full.
const TRICKLE: Duration = Duration::from_millis(500);

/// One input.
pub struct Source {
    /// As it was named, for messages.
    pub name: String,
    /// Bytes of the file, if it is one.
    pub size: Option<u64>,
    /// Bytes read of it so far, compressed as they are.
    pub taken: Arc<AtomicU64>,
    path: PathBuf,
    body: Body,
}

enum Body {
    Plain(Whole),
    /// A compressed file, decompressed.
    Packed(Packing, Box<dyn Read + Send>),
    /// Something that can be read only once, by a thread of its own, so that a silent writer blocks nobody.
    Piped(Pipe),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    None,
    Gzip,
    Zstd,
}

/// Where to begin, and the bytes that make the digests of the first checkpoint.
#[derive(Default)]
pub struct Start {
    /// The instance whose checkpoint matches best.
    pub found: Option<Uid>,
    /// The first bytes of the input, 4,096 at most; fewer only where the place is nearer or nothing was found.
    pub head: Vec<u8>,
    /// The bytes before the place, 4,096 at most.
    pub tail: Vec<u8>,
    /// Bytes between the last `\n` before the place, or the input's start, and the place.
    pub column: u64,
}

/// What a read gave.
pub enum Got {
    /// Bytes; none at the end of the input.
    Bytes(usize),
    /// Nothing for now: the writer at the other end is silent.
    Idle,
}

impl Source {
    /// Opens a file, or anything else that has a path and can be read.
    pub fn open(path: &Path) -> Result<Source> {
        let name = path.display().to_string();
        let wrong = |error: io::Error| unreadable(&name, &error);
        let meta = std::fs::metadata(path).map_err(wrong)?;
        if meta.is_dir() {
            let (problem, hint) = ("a directory".into(), format!("name the files in it: {}", files_in(path)));
            return Err(Error::Input { input: name, problem, hint });
        }
        let taken = Arc::new(AtomicU64::new(0));
        let (body, size) = if meta.is_file() {
            let file = Whole::open(path).map_err(wrong)?;
            let mut magic = [0; 4];
            let length = crate::storage::File::read_at(&file.file, &mut magic, 0).map_err(wrong)?;
            let body = match packing(&magic[..length]) {
                Packing::None => Body::Plain(file),
                packing => Body::Packed(packing, unpack(packing, Counted(file, taken.clone())).map_err(wrong)?),
            };
            (body, Some(meta.len()))
        } else {
            // Opened by the thread behind it: that may take as long as nobody opens the other end.
            let path = path.to_owned();
            let pipe = Pipe::new(move || File::open(path), taken.clone());
            (Body::Piped(pipe.map_err(|error| no_thread(&name, &error))?), None)
        };
        Ok(Source { name, size, taken, path: path.into(), body })
    }

    /// Standard input.
    pub fn stdin() -> Result<Source> {
        let taken = Arc::new(AtomicU64::new(0));
        let pipe = Pipe::new(stdin, taken.clone()).map_err(|error| no_thread("-", &error))?;
        Ok(Source { name: "-".into(), size: None, taken, path: "-".into(), body: Body::Piped(pipe) })
    }

    /// The name as a checkpoint keeps it.
    pub fn name_bytes(&self) -> Vec<u8> {
        let bytes = self.path.as_os_str().as_bytes();
        bytes[..bytes.len().min(MAX_SOURCE_NAME)].to_vec()
    }

    /// Whether it can be read only once, and may fall silent.
    pub fn is_pipe(&self) -> bool {
        matches!(self.body, Body::Piped(_))
    }

    /// An error while reading it.
    pub fn error(&self, offset: u64, error: &io::Error) -> Error {
        if let Some(shrank) = error.get_ref().and_then(|inner| inner.downcast_ref::<Shrank>()) {
            let hint = "the whole lines before that are stored; something cuts it or writes it anew: run again when it is \
                        at rest";
            return Error::Input { input: self.name.clone(), problem: shrank.to_string(), hint: hint.into() };
        }
        let problem = format!("cannot read on at byte {offset}: {error}");
        let hint = match self.body {
            Body::Packed(..) => {
                "what came before is stored; complete the input and run again, or mend it and run with --from-start"
            }
            Body::Piped(_) => {
                "what came before is stored; mend or complete the input and send it again from its start: what is \
                 stored counts once"
            }
            Body::Plain(_) => "what came before is stored; see to the cause and run again",
        };
        Error::Input { input: self.name.clone(), problem, hint: hint.into() }
    }

    /// Finds the checkpoint that this input matches and that is the furthest, and moves there; to the start if there is
    /// none. An input is matched if both digests verify over the checkpoint's own lengths; a pipe never is.
    pub fn seek(&mut self, known: &Known) -> Result<Start> {
        let name = self.name_bytes();
        let start = match &mut self.body {
            Body::Piped(_) => Ok(Start::default()),
            Body::Plain(whole) => seek_plain(&mut whole.file, &name, known, &self.taken),
            Body::Packed(packing, reader) => {
                let reopen = || {
                    self.taken.store(0, Ordering::Relaxed);
                    unpack(*packing, Counted(Whole::open(&self.path)?, self.taken.clone()))
                };
                seek_packed(reader, reopen, &name, known)
            }
        };
        start.map_err(|error| unreadable(&self.name, &error))
    }

    /// The first bytes, `most` of them or all there are; the source stays where it is. None of a pipe, which can be read only once.
    /// Of a packed input that is damaged: those before the damage, which whoever reads on meets again.
    pub fn head(&mut self, most: usize) -> io::Result<Vec<u8>> {
        let mut head = vec![0; most];
        let length = match &self.body {
            Body::Piped(_) => 0,
            Body::Plain(whole) => crate::storage::File::read_at(&whole.file, &mut head, 0)?,
            Body::Packed(packing, _) => {
                let mut reader = unpack(*packing, Whole::open(&self.path)?)?;
                read_good(&mut *reader, &mut head)
            }
        };
        head.truncate(length);
        Ok(head)
    }

    /// Back to the start. A pipe is always there when it is asked for: it matches no checkpoint.
    pub fn rewind(&mut self) -> Result<()> {
        let result = match &mut self.body {
            Body::Piped(_) => Ok(()),
            Body::Plain(whole) => whole.file.seek(SeekFrom::Start(0)).map(|_| ()),
            Body::Packed(packing, reader) => Whole::open(&self.path)
                .and_then(|file| unpack(*packing, Counted(file, self.taken.clone())))
                .map(|again| *reader = again),
        };
        self.taken.store(0, Ordering::Relaxed);
        result.map_err(|error| unreadable(&self.name, &error))
    }

    /// The next bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        match &mut self.body {
            Body::Plain(whole) => {
                let count = read_full(&mut whole.file, buffer)?;
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                // What came before it is taken first.
                if count == 0 && !buffer.is_empty() {
                    whole.check_end()?;
                }
                Ok(Got::Bytes(count))
            }
            // What decompresses before an error is a reader's last word on good bytes, so it reads piece by piece.
            Body::Packed(_, reader) => loop {
                match reader.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    other => return other.map(Got::Bytes),
                }
            },
            Body::Piped(pipe) => pipe.read(buffer),
        }
    }
}

/// For an input that may fall silent, and so needs a thread of its own, where there is none to be had.
pub(crate) fn no_thread(name: &str, error: &io::Error) -> Error {
    Error::Input {
        input: name.into(),
        problem: format!("a pipe is read by a thread of its own, and none could be started: {error}"),
        hint: "raise the limit on processes and threads (ulimit -u, that of the container), or run again when there \
               are fewer; a file can be ingested without"
            .into(),
    }
}

fn unreadable(name: &str, error: &io::Error) -> Error {
    let (problem, hint) = match error.kind() {
        io::ErrorKind::NotFound => ("no such file".into(), "check the path"),
        io::ErrorKind::PermissionDenied => ("not readable: permission denied".into(), "check the permissions"),
        _ => (format!("cannot read it: {error}"), "see to the cause and run again"),
    };
    Error::Input { input: name.into(), problem, hint: hint.into() }
}

/// Which compression the first bytes announce. A JSON line begins with none of them.
fn packing(magic: &[u8]) -> Packing {
    match magic {
        [0x1f, 0x8b, ..] => Packing::Gzip,
        // A frame, or a skippable frame that a tool put before the first.
        [0x28, 0xb5, 0x2f, 0xfd] | [0x50..=0x5f, 0x2a, 0x4d, 0x18] => Packing::Zstd,
        _ => Packing::None,
    }
}

/// Decompresses all members or frames, one after the other.
fn unpack(packing: Packing, reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match packing {
        Packing::None => Box::new(reader),
        Packing::Gzip => {
            Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::with_capacity(128 << 10, reader)))
        }
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::new(reader)?),
    })
}

/// So many tails are looked at for one input, and one more for each window that it has. An input that has its head in common
/// with thousands of others, all of them of other lengths, costs no more than to read it; beyond, only those of its own name are
/// tried.
const TAILS: u64 = 256;

/// A place in an input that a checkpoint matches.
struct Match {
    checkpoint: Checkpoint,
    /// The bytes before the place.
    tail: Vec<u8>,
}

fn seek_plain(file: &mut File, name: &[u8], known: &Known, taken: &AtomicU64) -> io::Result<Start> {
    if known.is_empty() {
        return Ok(Start::default());
    }
    let size = file.metadata()?.len();
    let mut head = vec![0; WINDOW];
    let read = crate::storage::File::read_at(file, &mut head, 0)?;
    head.truncate(read);
    let tail_at = |end: u64| {
        let length = end.min(WINDOW as u64);
        let mut tail = vec![0; length as usize];
        let read = crate::storage::File::read_at(file, &mut tail, end - length)?;
        tail.truncate(read);
        io::Result::Ok(tail)
    };
    let Some(Match { checkpoint, tail }) = find_plain(tail_at, size, &head, name, known)? else {
        return Ok(Start::default());
    };
    let column = column_at(file, checkpoint.end, &tail)?;
    file.seek(SeekFrom::Start(checkpoint.end))?;
    taken.store(checkpoint.end, Ordering::Relaxed);
    head.truncate(usize::from(checkpoint.windows.head_length));
    Ok(Start { found: Some(checkpoint.instance), head, tail, column })
}

/// Bytes of one piece in which the start of a line is looked for.
const LOOK_BACK: usize = 256 << 10;

/// Bytes of the line that stand before `end`, of which `tail` is the last piece.
fn column_at(file: &File, end: u64, tail: &[u8]) -> io::Result<u64> {
    let mut piece = tail.to_vec();
    let mut start = end.saturating_sub(piece.len() as u64);
    loop {
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(end - start - at as u64 - 1);
        }
        if start == 0 {
            return Ok(end);
        }
        let before = start.saturating_sub(LOOK_BACK as u64);
        piece.resize((start - before) as usize, 0);
        let read = crate::storage::File::read_at(file, &mut piece, before)?;
        if read < piece.len() {
            return Err(io::Error::other(Shrank { from: end, to: before + read as u64 }));
        }
        start = before;
    }
}

/// The furthest checkpoint that a file of this size matches; `tail_at` reads the bytes before a place.
fn find_plain(
    mut tail_at: impl FnMut(u64) -> io::Result<Vec<u8>>,
    size: u64,
    head: &[u8],
    name: &[u8],
    known: &Known,
) -> io::Result<Option<Match>> {
    let matched = |checkpoint: &Checkpoint, tail| Ok(Some(Match { checkpoint: checkpoint.clone(), tail }));
    if head.len() == WINDOW {
        let candidates = known.long(head);
        let mut at = |end: u64| {
            let tail = tail_at(end)?;
            io::Result::Ok(candidates.at(end, digest(&tail)).map(|checkpoint| (checkpoint, tail)))
        };
        let mut next = candidates.end_up_to(size);
        for _ in 0..TAILS + size / WINDOW as u64 {
            let Some(end) = next else { break };
            if let Some((checkpoint, tail)) = at(end)? {
                return matched(checkpoint, tail);
            }
            next = end.checked_sub(1).and_then(|most| candidates.end_up_to(most));
        }
        if let Some(most) = next {
            for end in known.ends_of(name).rev().filter(|end| *end <= most).take(TAILS as usize) {
                if let Some((checkpoint, tail)) = at(end)? {
                    return matched(checkpoint, tail);
                }
            }
        }
    }
    match known.short(head) {
        Some(checkpoint) => matched(checkpoint, head.get(..checkpoint.end as usize).unwrap_or_default().to_vec()),
        None => Ok(None),
    }
}

/// A compressed input has no places to seek: it is decompressed up to the checkpoints, the nearest first. Usually the
/// furthest is the one, and reading goes on behind it.
fn seek_packed(
    reader: &mut Box<dyn Read + Send>,
    reopen: impl Fn() -> io::Result<Box<dyn Read + Send>>,
    name: &[u8],
    known: &Known,
) -> io::Result<Start> {
    if known.is_empty() {
        return Ok(Start::default());
    }
    let mut passed = Passed::new(reader);
    // An error on the way ends the search as the end of the input does: whoever reads on meets it again.
    let _ = passed.to(WINDOW as u64);
    let mut found = known.short(&passed.head);
    if passed.head.len() == WINDOW {
        let candidates = known.long(&passed.head);
        let (mut next, mut tries) = (candidates.end_from(0), 0);
        while let Some(end) = next {
            let _ = passed.to(end);
            if passed.offset != end {
                break;
            }
            found = candidates.at(end, digest(&passed.tail)).or(found);
            tries += 1;
            next = match tries < TAILS + end / WINDOW as u64 {
                true => candidates.end_from(end + 1),
                false => known.ends_of(name).find(|other| *other > end),
            };
        }
    }
    let wanted = found.map_or(0, |checkpoint| checkpoint.end);
    if passed.offset != wanted {
        *passed.reader = reopen()?;
        passed = Passed::new(passed.reader);
        passed.to(wanted)?;
    }
    let Passed { head, tail, column, .. } = passed;
    match found {
        Some(checkpoint) => Ok(Start { found: Some(checkpoint.instance), head, tail, column }),
        None => Ok(Start::default()),
    }
}

/// Reads on and keeps the first and the last bytes.
struct Passed<'a> {
    reader: &'a mut Box<dyn Read + Send>,
    offset: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes since the last `\n`.
    column: u64,
}

impl<'a> Passed<'a> {
    fn new(reader: &'a mut Box<dyn Read + Send>) -> Passed<'a> {
        Passed { reader, offset: 0, head: Vec::new(), tail: Vec::new(), column: 0 }
    }

    /// Up to `offset`, or the end.
    fn to(&mut self, offset: u64) -> io::Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.offset < offset {
            let want = usize::try_from(offset - self.offset).unwrap_or(usize::MAX).min(buffer.len());
            let read = match self.reader.read(&mut buffer[..want]) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.offset += read as u64;
            let piece = &buffer[..read];
            self.head.extend_from_slice(&piece[..piece.len().min(WINDOW - self.head.len())]);
            keep_last(&mut self.tail, piece);
            self.column = match memchr::memrchr(b'\n', piece) {
                Some(at) => (read - at - 1) as u64,
                None => self.column + read as u64,
            };
        }
        Ok(())
    }
}

/// Reads until the buffer is full, the input ends, or an error comes; gives the number of bytes read before that.
fn read_good(reader: &mut dyn Read, buffer: &mut [u8]) -> usize {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    filled
}

/// Appends to a window of the last 4,096 bytes.
pub(super) fn keep_last(window: &mut Vec<u8>, bytes: &[u8]) {
    let bytes = &bytes[bytes.len().saturating_sub(WINDOW)..];
    let keep = (WINDOW - bytes.len()).min(window.len());
    window.drain(..window.len() - keep);
    window.extend_from_slice(bytes);
}

/// A file of which the end has to be at least as far as it was when it was opened, or as far as it was read. Of one that had
/// no length then it says nothing: some that are made as they are read, such as those in `/proc`, never have one.
struct Whole {
    file: File,
    length: u64,
}

impl Whole {
    fn open(path: &Path) -> io::Result<Whole> {
        Whole::of(File::open(path)?)
    }

    fn of(file: File) -> io::Result<Whole> {
        let length = file.metadata()?.len();
        Ok(Whole { file, length })
    }

    /// Where a read found nothing more: that this is the end and no cut. What was read of a file that was cut and written
    /// anew would otherwise be taken for all there is.
    fn check_end(&mut self) -> io::Result<()> {
        let from = self.length.max(self.file.stream_position()?);
        let to = self.file.metadata()?.len();
        if to < from && self.length > 0 { Err(io::Error::other(Shrank { from, to })) } else { Ok(()) }
    }
}

impl Read for Whole {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        if count == 0 && !buffer.is_empty() {
            self.check_end()?;
        }
        Ok(count)
    }
}

/// An input got shorter while it was read.
#[derive(Debug, thiserror::Error)]
#[error("shrank from {from} to {to} bytes while it was read")]
struct Shrank {
    from: u64,
    to: u64,
}

/// Standard input; a file that is redirected to it is one that may be cut.
fn stdin() -> io::Result<Box<dyn Read + Send>> {
    let file = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    Ok(match file.metadata()?.is_file() {
        true => Box::new(Whole::of(file)?),
        false => Box::new(file),
    })
}

/// Counts what is read.
struct Counted<R>(R, Arc<AtomicU64>);

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.0.read(buffer)?;
        self.1.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// A pipe and the thread that reads it.
struct Pipe {
    pieces: Receiver<io::Result<Vec<u8>>>,
    spent: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    used: usize,
    /// When it began to speak.
    since: Option<Instant>,
}

impl Pipe {
    fn new<R: Read + Send + 'static>(
        open: impl FnOnce() -> io::Result<R> + Send + 'static,
        taken: Arc<AtomicU64>,
    ) -> io::Result<Pipe> {
        let (send, pieces) = sync_channel(4);
        let (spent, recycled) = sync_channel::<Vec<u8>>(8);
        // It may sit in a read for ever; it is left behind when the program ends, and changes nothing.
        start("pipe", move || {
            let mut reader = match open().and_then(|reader| announced(Counted(reader, taken))) {
                Ok(reader) => reader,
                Err(error) => return drop(send.send(Err(error))),
            };
            loop {
                let mut piece = recycled.try_recv().unwrap_or_default();
                piece.resize(PIECE, 0);
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

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
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

/// A reader decompressed as its first bytes announce.
fn announced(mut reader: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = [0; 4];
    let mut length = 0;
    // Only as many as can still turn out to be the start of something: a line of JSON must not wait for a second one.
    while length < magic.len() {
        let could_be = match &magic[..length] {
            [] | [0x1f] | [0x28] | [0x28, 0xb5] | [0x28, 0xb5, 0x2f] => true,
            [first, rest @ ..] => (0x50..=0x5f).contains(first) && [0x2a, 0x4d, 0x18].starts_with(rest),
        };
        if !could_be {
            break;
        }
        match reader.read(&mut magic[length..length + 1]) {
            Ok(0) => break,
            Ok(_) => length += 1,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    unpack(packing(&magic[..length]), io::Cursor::new(magic).take(length as u64).chain(reader))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::batch::Windows;
    use proptest::prelude::*;
    use std::io::Write as _;

    /// The checkpoint that a reading of these bytes up to `end` leaves.
    fn checkpoint(number: u32, bytes: &[u8], end: usize) -> Checkpoint {
        let window = end.min(WINDOW);
        let windows = Windows {
            head_length: window as u16,
            head: digest(&bytes[..window]),
            tail_length: window as u16,
            tail: digest(&bytes[end - window..end]),
        };
        let (instance, end) = (u128::from(number).to_be_bytes(), end as u64);
        let name = number.to_string().into_bytes();
        Checkpoint { instance, start: 0, end, start_line: 0, end_line: 0, windows, name }
    }

    /// Whether both digests of a checkpoint verify.
    fn matches(checkpoint: &Checkpoint, bytes: &[u8]) -> bool {
        let (windows, end) = (&checkpoint.windows, checkpoint.end as usize);
        let tail = end.checked_sub(usize::from(windows.tail_length)).and_then(|start| bytes.get(start..end));
        bytes.get(..usize::from(windows.head_length)).is_some_and(|head| digest(head) == windows.head)
            && tail.is_some_and(|tail| digest(tail) == windows.tail)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Inputs that have much in common, and what was read of some of them.
        #[test]
        fn the_furthest_match_is_found_as_if_each_were_tried(
            read in prop::collection::vec((0..6usize, 0..4usize, 1..12_000usize), 0..40),
            input in (0..6usize, 0..4usize, 0..12_000usize),
        ) {
            // Bytes that differ from `from` on, and from then on in one of four ways.
            let bytes = |from: usize, way: usize, end: usize| -> Vec<u8> {
                let from = [0, 10, 4000, 4096, 5000, 11_000][from];
                (0..end).map(|at| if at < from { (at % 251) as u8 } else { (at % (241 + way)) as u8 }).collect()
            };
            let mut known = Known::default();
            let mut checkpoints = Vec::new();
            for (number, (from, way, end)) in (0u32..).zip(read) {
                let checkpoint = checkpoint(number, &bytes(from, way, end), end);
                known.advance(checkpoint.clone(), 0, 0);
                checkpoints.push(checkpoint);
            }
            let bytes = bytes(input.0, input.1, input.2);
            let expected = checkpoints.iter().filter(|checkpoint| matches(checkpoint, &bytes)).map(|it| it.end).max();
            let directory = tempfile::tempdir().unwrap();
            for packed in [false, true] {
                let path = directory.path().join("input");
                if packed {
                    let mut encoder = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
                    encoder.write_all(&bytes).unwrap();
                    encoder.finish().unwrap();
                } else {
                    std::fs::write(&path, &bytes).unwrap();
                }
                let mut source = Source::open(&path).unwrap();
                prop_assert_eq!(source.head(5000).unwrap(), &bytes[..bytes.len().min(5000)]);
                let start = source.seek(&known).unwrap();
                prop_assert_eq!(source.head(10).unwrap(), &bytes[..bytes.len().min(10)], "without being moved");
                let end = start.found.and_then(|instance| known.get(&instance)).map(|input| input.checkpoint.end);
                prop_assert_eq!(end, expected, "packed: {}", packed);
                let at = end.unwrap_or(0) as usize;
                if end.is_some() {
                    prop_assert_eq!(&start.head, &bytes[..at.min(WINDOW)]);
                    prop_assert_eq!(&start.tail, &bytes[at - at.min(WINDOW)..at]);
                    let line = bytes[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
                    prop_assert_eq!(start.column, (at - line) as u64);
                }
                let (mut rest, mut buffer) = (Vec::new(), [0; 5000]);
                while let Got::Bytes(count @ 1..) = source.read(&mut buffer).unwrap() {
                    rest.extend_from_slice(&buffer[..count]);
                }
                prop_assert_eq!(&rest, &bytes[at..]);
            }
        }
    }

    #[test]
    fn a_place_far_from_its_lines_start_has_its_column() {
        for (before, length) in
            [(0, 5), (0, 5000), (1, 4096), (1, 4097), (300, LOOK_BACK + 4096), (7, 3 * LOOK_BACK + 1)]
        {
            let mut bytes = vec![b'x'; before];
            bytes.extend((before > 0).then_some(b'\n'));
            bytes.extend(vec![b'x'; length]);
            let mut known = Known::default();
            known.advance(checkpoint(1, &bytes, bytes.len()), 0, 0);
            let directory = tempfile::tempdir().unwrap();
            let (plain, packed) = (directory.path().join("plain"), directory.path().join("packed"));
            std::fs::write(&plain, [&bytes, &b"more\n"[..]].concat()).unwrap();
            let mut encoder =
                flate2::write::GzEncoder::new(File::create(&packed).unwrap(), flate2::Compression::fast());
            encoder.write_all(&bytes).unwrap();
            encoder.finish().unwrap();
            for path in [plain, packed] {
                let start = Source::open(&path).unwrap().seek(&known).unwrap();
                assert!(start.found.is_some());
                assert_eq!(start.column, length as u64, "{path:?}, after a line of {before}");
            }
        }
    }

    #[test]
    fn of_a_damaged_packed_input_the_head_is_what_comes_before_the_damage() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("input");
        let bytes: Vec<u8> = (0..200_000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&bytes).unwrap();
        let mut packed = encoder.finish().unwrap();
        packed.truncate(packed.len() / 2);
        std::fs::write(&path, packed).unwrap();
        let head = Source::open(&path).unwrap().head(bytes.len()).unwrap();
        assert!(head.len() > 1000 && bytes.starts_with(&head), "{}", head.len());
    }

    /// Thousands of inputs that begin alike, as exports do, and are all of another length.
    #[test]
    fn of_many_that_begin_alike_few_tails_are_tried_and_those_of_the_same_name() {
        let bytes: Vec<u8> = (0..20_000u32).map(|number| (number % 251) as u8).collect();
        let mut known = Known::default();
        for number in 0..10_000 {
            let end = 5_000 + number as usize;
            let mut other = bytes[..end].to_vec();
            other[end - 1] ^= 1;
            known.advance(checkpoint(number, &other, end), 0, 0);
        }
        let tries = std::cell::Cell::new(0);
        let find = |name: &str, known: &Known| {
            tries.set(0);
            let tail_at = |end: u64| {
                tries.set(tries.get() + 1);
                Ok(bytes[end as usize - WINDOW..end as usize].to_vec())
            };
            let found = find_plain(tail_at, 20_000, &bytes[..WINDOW], name.as_bytes(), known).unwrap();
            found.map(|found| found.checkpoint.end)
        };
        assert_eq!(find("x", &known), None);
        assert!(tries.get() < 300, "{} tails", tries.get());
        // One that was so far away is found by its name.
        known.advance(checkpoint(77, &bytes, 6_000), 0, 0);
        assert_eq!(find("77", &known), Some(6_000));
        assert!(tries.get() < 300, "{} tails", tries.get());
        // And any that is near.
        known.advance(checkpoint(78, &bytes, 14_900), 0, 0);
        assert_eq!(find("x", &known), Some(14_900));
    }

    #[test]
    fn the_window_holds_the_last_bytes() {
        let mut window = Vec::new();
        let bytes: Vec<u8> = (0..20_000u32).map(|n| n as u8).collect();
        let mut at = 0;
        for length in [1, 100, 4095, 4096, 5000, 3, 0, 4000] {
            keep_last(&mut window, &bytes[at..at + length]);
            at += length;
            assert_eq!(window, &bytes[at.saturating_sub(WINDOW)..at]);
        }
    }
}
