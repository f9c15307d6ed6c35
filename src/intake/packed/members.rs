//! Members, one after the other.

use std::io::{self, BufRead as _, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::ahead::{AHEAD, Ahead, retry};
#[cfg(feature = "more-compression")]
use super::lz4;
#[cfg(feature = "more-compression")]
use super::sniff::xz_dictionary;
use super::sniff::{SKIPPABLE_HEADER, Sniffed, skippable, zstd_window};
use super::{Findings, LEAST_WINDOW, Packing, Refused, Trailing, again};
#[cfg(feature = "more-compression")]
use crate::base::memory;

/// The largest window of zstd, as the logarithm that its decoder takes.
const ZSTD_LARGEST: u32 = if cfg!(target_pointer_width = "64") { 31 } else { 30 };

/// Packed bytes that give nothing, and after which the reader is asked whether to go on.
pub(super) const PAUSE: u64 = 64 << 20;

/// What a member without content counts for in those: it takes longer than its bytes.
pub(super) const EMPTY: u64 = 16 << 10;

/// The memory for windows that the layers of one input share.
#[derive(Clone)]
pub(super) struct Allowance {
    pub(super) memory: u64,
    pub(super) used: Arc<AtomicU64>,
}

impl Allowance {
    fn left(&self) -> u64 {
        self.memory.saturating_sub(self.used.load(Ordering::Relaxed)).max(LEAST_WINDOW)
    }

    fn take(&self, bytes: u64) -> Reserved {
        self.used.fetch_add(bytes, Ordering::Relaxed);
        Reserved { used: Arc::clone(&self.used), bytes }
    }
}

/// A part of the allowance. Dropping it gives it back.
struct Reserved {
    used: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// The content of members, one after the other.
pub(super) struct Members {
    state: State,
    /// The packing of the last member.
    last: Option<Packing>,
    allowance: Allowance,
    findings: Findings,
    layers: Vec<Packing>,
    /// Bytes since something was given.
    nothing: u64,
}

enum State {
    /// Where a member begins or the input ends.
    Between(Ahead),
    In(Member),
    /// In what is not a member.
    Behind(Ahead, Trailing),
    Ended,
    Failed(io::Error),
}

/// A member that is being read.
enum Member {
    Gzip(Box<flate2::bufread::GzDecoder<Ahead>>),
    Zstd(
        zstd::stream::read::Decoder<'static, Ahead>,
        #[allow(dead_code, reason = "held until it is dropped")] Reserved,
    ),
    /// So many bytes are still to be skipped.
    Skippable(Ahead, u64),
    #[cfg(feature = "more-compression")]
    Bzip2(Box<bzip2::bufread::BzDecoder<Ahead>>),
    #[cfg(feature = "more-compression")]
    Xz(Box<lzma_rust2::XzReader<Ahead>>, #[allow(dead_code, reason = "held until it is dropped")] Reserved),
    #[cfg(feature = "more-compression")]
    Lz4(Box<lz4::Frame>),
}

impl Member {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Member::Gzip(decoder) => decoder.read(buffer),
            Member::Zstd(decoder, _) => decoder.read(buffer),
            Member::Skippable(ahead, left) => {
                let count = ahead.fill_buf()?.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if *left > 0 && count == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                ahead.skip(count);
                *left -= count as u64;
                Ok(0)
            }
            #[cfg(feature = "more-compression")]
            Member::Bzip2(decoder) => decoder.read(buffer),
            #[cfg(feature = "more-compression")]
            Member::Xz(decoder, _) => decoder.read(buffer),
            #[cfg(feature = "more-compression")]
            Member::Lz4(decoder) => decoder.read(buffer),
        }
    }

    /// Whether there is more, though a read gave nothing.
    fn goes_on(&self) -> bool {
        matches!(self, Member::Skippable(_, 1..))
    }

    /// What comes behind it.
    fn rest(self) -> Ahead {
        match self {
            Member::Gzip(decoder) => decoder.into_inner(),
            Member::Zstd(decoder, _) => decoder.finish(),
            Member::Skippable(ahead, _) => ahead,
            #[cfg(feature = "more-compression")]
            Member::Bzip2(decoder) => decoder.into_inner(),
            #[cfg(feature = "more-compression")]
            Member::Xz(decoder, _) => decoder.into_inner(),
            #[cfg(feature = "more-compression")]
            Member::Lz4(decoder) => decoder.into_inner(),
        }
    }
}

impl Read for Members {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::In(member) = &mut self.state {
                match member.read(buffer) {
                    Ok(0) if member.goes_on() => self.nothing += AHEAD as u64,
                    Ok(0) => self.state = State::Between(self.leave()),
                    Ok(count) => {
                        self.nothing = 0;
                        return Ok(count);
                    }
                    Err(error) => return Err(self.broken(error)),
                }
            } else {
                match std::mem::replace(&mut self.state, State::Ended) {
                    State::Between(ahead) => self.next(ahead)?,
                    State::Behind(ahead, trailing) => self.count(ahead, trailing)?,
                    State::Failed(error) => return Err(self.fail(error)),
                    State::Ended | State::In(_) => return Ok(0),
                }
            }
            if self.nothing >= PAUSE {
                self.nothing = 0;
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }
}

impl Members {
    /// From where the first begins, in an input with these packings around it: the first member's last.
    pub(super) fn new(ahead: Ahead, layers: Vec<Packing>, allowance: Allowance, findings: Findings) -> Members {
        Members { state: State::Between(ahead), last: None, allowance, findings, layers, nothing: 0 }
    }

    fn packing(&self) -> Packing {
        self.last.unwrap_or(Packing::Gzip)
    }

    /// Takes the member apart.
    fn leave(&mut self) -> Ahead {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::In(member) => member.rest(),
            State::Between(ahead) | State::Behind(ahead, _) => ahead,
            State::Ended | State::Failed(_) => Ahead::empty(),
        }
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        let told = again(&error);
        self.state = State::Failed(error);
        told
    }

    /// What it means that a decoder gave this error.
    fn broken(&mut self, error: io::Error) -> io::Error {
        let (name, kind) = (self.packing().name(), error.kind());
        let error = match self.leave().or_own(error) {
            Err(own) => own,
            Ok(error) if Refused::of(&error).is_some() => error,
            Ok(_) if kind == io::ErrorKind::OutOfMemory => self.too_large(None).into(),
            Ok(_) if kind == io::ErrorKind::UnexpectedEof => {
                io::Error::new(kind, format!("the {name} data ends in its middle"))
            }
            Ok(error) => io::Error::new(io::ErrorKind::InvalidData, format!("the {name} data is damaged: {error}")),
        };
        self.fail(error)
    }

    /// The packings around the member at hand, its own last.
    fn around(&self) -> Vec<Packing> {
        let mut layers = self.layers.clone();
        layers.pop();
        layers.extend(self.last);
        layers
    }

    fn too_large(&self, wanted: Option<u64>) -> Refused {
        Refused::Window { layers: self.around(), wanted, memory: self.allowance.left() }
    }

    /// Begins the next member, if there is one.
    fn next(&mut self, mut ahead: Ahead) -> io::Result<()> {
        match retry(|| ahead.sniff()) {
            Ok(Sniffed::Packed(packing)) => self.enter(packing, ahead),
            Ok(_) if ahead.at_hand().is_empty() => Ok(()),
            Ok(_) => {
                let (offset, layer) = (ahead.offset, self.layers.len().saturating_sub(1));
                self.state = State::Behind(ahead, Trailing { bytes: 0, offset, zeros: true, layer });
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    fn enter(&mut self, packing: Packing, ahead: Ahead) -> io::Result<()> {
        self.last = Some(packing);
        self.nothing += EMPTY;
        match self.begin(packing, ahead) {
            Ok(member) => self.state = State::In(member),
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// A member with this packing; the error is final.
    fn begin(&self, packing: Packing, mut ahead: Ahead) -> io::Result<Member> {
        let cut =
            || io::Error::new(io::ErrorKind::UnexpectedEof, format!("the {} data ends in its middle", packing.name()));
        match packing {
            Packing::Gzip => Ok(Member::Gzip(Box::new(flate2::bufread::GzDecoder::new(ahead)))),
            Packing::Zstd => {
                let window = retry(|| ahead.header(zstd_window))?.ok_or_else(cut)?;
                let taken = self.reserve(window)?;
                let mut decoder = zstd::stream::read::Decoder::with_buffer(ahead)?.single_frame();
                decoder.window_log_max(ZSTD_LARGEST)?;
                Ok(Member::Zstd(decoder, taken))
            }
            Packing::Skippable => {
                let length = retry(|| ahead.header(skippable))?.ok_or_else(cut)?;
                ahead.skip(SKIPPABLE_HEADER);
                Ok(Member::Skippable(ahead, length))
            }
            #[cfg(feature = "more-compression")]
            Packing::Bzip2 => Ok(Member::Bzip2(Box::new(bzip2::bufread::BzDecoder::new(ahead)))),
            #[cfg(feature = "more-compression")]
            Packing::Xz => {
                let dictionary = retry(|| ahead.header(xz_dictionary))?.ok_or_else(cut)?;
                let limit = self.allowance.left();
                let taken = self.reserve(dictionary)?;
                // Its decoder would end the program if memory is refused.
                memory::probe(dictionary.max(1), "the dictionary of an xz stream").map_err(io::Error::other)?;
                // With what else it takes to decode.
                let kibibytes = u32::try_from((limit >> 10) + 1024).unwrap_or(u32::MAX);
                Ok(Member::Xz(Box::new(lzma_rust2::XzReader::new_mem_limit(ahead, false, kibibytes)), taken))
            }
            #[cfg(feature = "more-compression")]
            Packing::Lz4 => Ok(Member::Lz4(Box::new(lz4::Frame::new(ahead)))),
            #[cfg(not(feature = "more-compression"))]
            Packing::Bzip2 | Packing::Xz | Packing::Lz4 => Err(Refused::NotBuiltIn { layers: self.around() }.into()),
        }
    }

    /// Reserves the memory of a window.
    fn reserve(&self, bytes: u64) -> io::Result<Reserved> {
        match bytes > self.allowance.left() {
            true => Err(self.too_large(Some(bytes)).into()),
            false => Ok(self.allowance.take(bytes)),
        }
    }

    /// Reads on in what is not a member, up to its end. Zeros behind an xz stream may be part of the stream.
    fn count(&mut self, mut ahead: Ahead, mut trailing: Trailing) -> io::Result<()> {
        let mut may_pad = self.last == Some(Packing::Xz) && trailing.zeros;
        while self.nothing < PAUSE {
            let mut count = ahead.at_hand().len();
            if may_pad {
                count = ahead.at_hand().iter().take_while(|byte| **byte == 0).count();
                // The format wants a number that can be divided by four.
                let whole = (trailing.bytes + count as u64).is_multiple_of(4);
                if count < ahead.at_hand().len() {
                    ahead.skip(count);
                    match retry(|| ahead.sniff()) {
                        Ok(Sniffed::Packed(packing)) if whole => return self.enter(packing, ahead),
                        Ok(_) => {}
                        Err(error) => return Err(self.fail(error)),
                    }
                    (trailing.bytes, may_pad) = (trailing.bytes + count as u64, false);
                    continue;
                }
                if ahead.ended && whole {
                    return Ok(());
                }
            }
            trailing.bytes += count as u64;
            self.nothing += count as u64;
            trailing.zeros &= ahead.at_hand().iter().fold(0, |all, byte| all | byte) == 0;
            ahead.skip(count);
            if ahead.ended {
                self.findings.add(trailing);
                return Ok(());
            }
            match ahead.more() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => break,
                Err(error) => return Err(self.fail(error)),
                Ok(()) => {}
            }
        }
        self.state = State::Behind(ahead, trailing);
        Ok(())
    }
}
