//! Where an input comes from, and where to go on in it.
//!
//! An input is known by its content, not by its name: by the digests of its first bytes and of those before the place it was
//! read to. So a file that grew, was renamed, copied or compressed goes on where it was left. One that was changed is read from
//! its start, which the identity of events makes harmless.

mod open;
mod whole;

use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(super) use self::whole::{Counted, Shrank, Whole, shrank_again};
use super::chunk::{is_array, last_of};
use super::foreign;
use super::framer::Framer;
use super::known::Known;
pub use super::marks::Span;
use super::marks::Spans;
use super::packed::{Findings, Refused, Trailing, Unpacked};
use super::pipe::Pipe;
pub(crate) use super::pipe::no_thread;
pub(super) use super::seek::keep_last;
use super::seek::{seek_packed, seek_plain};
use crate::error::{Error, Result};
use crate::format::{MAX_SOURCE_NAME, Uid};

/// One input.
pub struct Source {
    /// As it was named, for messages.
    pub name: String,
    /// Bytes of the file, if it is one.
    pub size: Option<u64>,
    /// Bytes read of it so far, compressed as they are.
    pub taken: Arc<AtomicU64>,
    /// What is found out about it while it is read, also for those who have not got it any more then.
    pub findings: Findings,
    options: SourceOptions,
    path: PathBuf,
    /// The file, if it was open already: its path may lead to another one by now.
    opened: Option<Arc<File>>,
    body: Body,
}

/// How to read an input.
#[derive(Clone, Copy, Debug)]
pub struct SourceOptions {
    /// Bytes that the windows and dictionaries of compressed data may take. Those of up to
    /// [`LEAST_WINDOW`](super::packed::LEAST_WINDOW) may in any case.
    pub memory: u64,
    /// Refuse a file that is not JSON at all, and say what it is.
    pub foreign: bool,
}

impl Default for SourceOptions {
    fn default() -> SourceOptions {
        SourceOptions { memory: 64 << 20, foreign: true }
    }
}

enum Body {
    Plain(Whole),
    /// A compressed file, decompressed.
    Packed(Box<Unpacked>),
    /// Something that can be read only once, by a thread of its own, so that a silent writer blocks nobody.
    Piped(Pipe),
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
    /// Bytes before the place that were others when they were read, if some are known to be.
    pub changed: Option<Range<u64>>,
    /// Where nothing was found: all of the input is the beginning of what was read of another one, as far as digests tell.
    pub is_part: bool,
}

/// What a read gave.
pub enum Got {
    /// Bytes; none at the end of the input.
    Bytes(usize),
    /// Nothing for now: the writer at the other end is silent.
    Idle,
}

impl Source {
    /// The bytes behind the compressed data that were not taken, as far as it was read: of an input that was packed twice there may
    /// be some in each layer.
    pub fn trailing(&self) -> Vec<Trailing> {
        self.findings.trailing()
    }

    /// The name as a checkpoint keeps it.
    pub fn name_bytes(&self) -> Vec<u8> {
        let bytes = self.path.as_os_str().as_bytes();
        bytes[..bytes.len().min(MAX_SOURCE_NAME)].to_vec()
    }

    /// An error that names what it is, if these first bytes are not JSON and nobody says that they are.
    pub fn foreign(&self, head: &[u8]) -> Option<Error> {
        foreign::of(head).filter(|_| self.options.foreign).map(|foreign| foreign.error(&self.name))
    }

    /// Whether it is a file that has to be unpacked.
    pub fn is_packed(&self) -> bool {
        matches!(self.body, Body::Packed(_))
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
        if let Some(refused) = Refused::of(error) {
            return refused.error(&self.name, (!self.is_pipe()).then_some(&*self.path));
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
            Body::Plain(whole) => {
                let start = seek_plain(&whole.file, &name, known);
                start.map(|(at, start)| {
                    self.taken.store(at, Ordering::Relaxed);
                    whole.at = at;
                    start
                })
            }
            Body::Packed(unpacked) => {
                let opened = self.opened.as_ref();
                let reopen = || open_packed(&self.path, opened, self.options, &self.taken, &self.findings);
                seek_packed(unpacked, reopen, &name, known)
            }
        };
        start.map_err(|error| unreadable(&self.name, &error))
    }

    /// The first bytes, `most` of them or all there are. The source stays where it is. Of a pipe, which can be read only once, none.
    /// Of a packed input that is damaged: those before the damage. Reading on meets the damage again.
    pub fn head(&mut self, most: usize) -> io::Result<Vec<u8>> {
        match &mut self.body {
            Body::Piped(_) => Ok(Vec::new()),
            Body::Plain(whole) => {
                let mut head = vec![0; most];
                let length = crate::disk::File::read_at(&*whole.file, &mut head, 0)?;
                head.truncate(length);
                Ok(head)
            }
            Body::Packed(unpacked) => {
                if let Some(head) = unpacked.peek(most)? {
                    return Ok(head.to_vec());
                }
                let (opened, unheard) = (self.opened.as_ref(), Findings::default());
                let mut again = open_packed(&self.path, opened, self.options, &Arc::default(), &unheard)?;
                let mut head = vec![0; most];
                let length = read_good(&mut again, &mut head)?;
                head.truncate(length);
                Ok(head)
            }
        }
    }

    /// Reads it from its start up to the last of some places, and gives the first stretch that is not as expected; it stands
    /// somewhere then. Of a pipe, none. An input that ends before has changed from there on.
    pub fn check(&mut self, expected: &[Span]) -> Result<Option<Range<u64>>> {
        if self.is_pipe() {
            return Ok(None);
        }
        self.rewind()?;
        let mut spans = Spans::new(expected);
        let (mut buffer, mut offset) = (vec![0; 256 << 10], 0);
        while let Some(end) = spans.end().filter(|end| offset < *end) {
            match self.read(&mut buffer).map_err(|error| self.error(offset, &error))? {
                Got::Bytes(0) => return Ok(spans.changed.or(Some(offset..end))),
                Got::Bytes(count) => {
                    spans.pass(offset, &buffer[..count]);
                    offset += count as u64;
                }
                Got::Idle => {}
            }
        }
        Ok(spans.changed)
    }

    /// How many brackets of a document are open at `offset`, where it stands: what is before it was read in another run. It may have to
    /// be read again, where an array may have ended or not.
    pub fn open_brackets(&mut self, offset: u64, start: &Start) -> Result<i64> {
        match (is_array(&start.head), last_of(&start.tail)) {
            (true, Some(b',' | b'[')) => return Ok(1),
            (true, Some(b'}')) => self.rewind()?,
            _ => return Ok(0),
        }
        let (mut framer, mut items, mut buffer) = (Framer::new(0), Vec::new(), vec![0; 256 << 10]);
        while framer.at() < offset {
            let most = usize::try_from(offset - framer.at()).unwrap_or(usize::MAX).min(buffer.len());
            match self.read(&mut buffer[..most]).map_err(|error| self.error(framer.at(), &error))? {
                Got::Bytes(0) => break,
                Got::Bytes(count) => framer.feed(&buffer[..count], &mut items, usize::MAX),
                Got::Idle => {}
            }
            items.clear();
        }
        Ok(framer.level())
    }

    /// Back to the start. A pipe is always there when it is asked for: it matches no checkpoint.
    pub fn rewind(&mut self) -> Result<()> {
        let result = match &mut self.body {
            Body::Piped(_) => Ok(()),
            Body::Plain(whole) => {
                whole.at = 0;
                Ok(())
            }
            Body::Packed(unpacked) => {
                let opened = self.opened.as_ref();
                open_packed(&self.path, opened, self.options, &self.taken, &self.findings)
                    .map(|again| **unpacked = again)
            }
        };
        self.taken.store(0, Ordering::Relaxed);
        result.map_err(|error| unreadable(&self.name, &error))
    }

    /// The file, if it is a plain one, and the bytes that it had when it was opened.
    pub(super) fn plain(&self) -> Option<(Arc<File>, u64)> {
        match &self.body {
            Body::Plain(whole) => Some((Arc::clone(&whole.file), whole.length)),
            _ => None,
        }
    }

    /// Moves to a place in a plain file.
    pub(super) fn move_to(&mut self, offset: u64) {
        if let Body::Plain(whole) = &mut self.body {
            whole.at = offset;
            self.pass_to(offset);
        }
    }

    /// Takes note that what comes before a place in a plain file is taken by somebody else.
    pub(super) fn pass_to(&self, offset: u64) {
        self.taken.store(offset, Ordering::Relaxed);
    }

    /// The next bytes.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<Got> {
        match &mut self.body {
            Body::Plain(whole) => {
                let count = crate::disk::File::read_at(&*whole.file, buffer, whole.at)?;
                whole.at += count as u64;
                self.taken.fetch_add(count as u64, Ordering::Relaxed);
                // What came before it is taken first.
                if count == 0 && !buffer.is_empty() {
                    whole.check_end()?;
                }
                Ok(Got::Bytes(count))
            }
            // What decompresses before an error is a reader's last word on good bytes, so it reads piece by piece.
            Body::Packed(unpacked) => match unpacked.read(buffer) {
                // It found nothing for long, and asks whether to go on.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Got::Idle),
                other => other.map(Got::Bytes),
            },
            Body::Piped(pipe) => pipe.read(buffer),
        }
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

/// A packed file, from its start.
fn open_packed(
    path: &Path,
    opened: Option<&Arc<File>>,
    options: SourceOptions,
    taken: &Arc<AtomicU64>,
    findings: &Findings,
) -> io::Result<Unpacked> {
    taken.store(0, Ordering::Relaxed);
    findings.clear();
    let whole = match opened {
        Some(file) => Whole::shared(Arc::clone(file))?,
        None => Whole::open(path)?,
    };
    let reader = Box::new(Counted(whole, taken.clone()));
    Ok(Unpacked::new(reader, options.memory, findings.clone()))
}

/// Reads until the buffer is full, the input ends, or an error comes; gives the number of bytes read before that, or the error if
/// there are none.
fn read_good(reader: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if filled == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(filled)
}
