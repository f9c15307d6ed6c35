//! Compressed inputs: recognised by their first bytes, unpacked member by member, and layer by layer.
//!
//! A member is what one run of a compressor makes: gzip's member, zstd's and lz4's frame, the stream of bzip2 and xz. Behind a
//! member may come another, of any packing. Anything else ends the input: it is counted, and told as [`Trailing`].
//! What was packed twice is unpacked twice.

use std::io::{self, Read};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::Extent;
use crate::base::shell::quoted;
use crate::error::Error;

mod ahead;
#[cfg(feature = "more-compression")]
mod lz4;
mod members;
mod sniff;

use ahead::{AHEAD, Ahead, retry};
use members::{Allowance, Members};
use sniff::{Sniffed, sniff};

/// How often what was packed may be packed again.
const LAYERS: usize = 2;

/// Windows and dictionaries of up to so many bytes are always had: `zstd -19` and `xz -6` need no more.
pub const LEAST_WINDOW: u64 = 8 << 20;

/// A way of compressing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip, pigz, bgzip.
    Gzip,
    /// zstd.
    Zstd,
    /// A frame that zstd and lz4 skip, whatever it holds.
    Skippable,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
    /// lz4's frames.
    Lz4,
}

impl Packing {
    /// What one calls it.
    pub fn name(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip",
            Packing::Zstd | Packing::Skippable => "zstd",
            Packing::Bzip2 => "bzip2",
            Packing::Xz => "xz",
            Packing::Lz4 => "lz4",
        }
    }

    /// The command that unpacks it: a file that is named behind it, or its standard input.
    pub fn command(self) -> &'static str {
        match self {
            Packing::Gzip => "gzip -dc",
            Packing::Zstd | Packing::Skippable => "zstd -dc",
            Packing::Bzip2 => "bzip2 -dc",
            Packing::Xz => "xz -dc",
            Packing::Lz4 => "lz4 -dc",
        }
    }
}

/// Whether a file that begins with these bytes is compressed; all of its bytes, if they are few.
pub fn is_packed(bytes: &[u8]) -> bool {
    matches!(sniff(bytes, Extent::Whole), Sniffed::Packed(_))
}

/// The command that takes in what others made of an input: of a file, or of what comes through a pipe.
pub fn through(file: Option<&Path>, commands: &[&str]) -> String {
    let file = file.map(|file| format!(" {}", quoted(file)));
    let mut line = String::new();
    for (number, command) in commands.iter().enumerate() {
        match (number, &file) {
            (0, Some(file)) => line = format!("{command}{file}"),
            (0, None) => line = format!("… | {command}"),
            _ => line += &format!(" | {command}"),
        }
    }
    format!("`{line} | chatwal ingest --store DIR -`")
}

/// Bytes behind the compressed data that are neither that nor the start of more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trailing {
    /// How many.
    pub bytes: u64,
    /// Offset of the first of them, in the packed input.
    pub offset: u64,
    /// Whether all of them are zeros: padding.
    pub zeros: bool,
    /// How many layers of packing are around that input: mostly 0.
    pub layer: usize,
}

/// What was found out about an input while it was read, to be asked for at the end.
#[derive(Clone, Debug, Default)]
pub struct Findings(Arc<Mutex<Vec<Trailing>>>);

impl Findings {
    /// The bytes that were not taken, a layer each.
    pub fn trailing(&self) -> Vec<Trailing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets them: the input is read again.
    pub(super) fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn add(&self, trailing: Trailing) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(trailing);
    }
}

/// What a packed input wants and does not get; the packings around it are given, its own last.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A window or dictionary that is larger than the memory it may have.
    #[error("the {} data wants {} of {}, and the memory allows {}", name(layers), window_of(layers),
        wanted.map_or_else(|| "more".into(), size), size(*memory))]
    Window {
        /// The packings.
        layers: Vec<Packing>,
        /// Bytes, where they are known.
        wanted: Option<u64>,
        /// What it may have.
        memory: u64,
    },
    /// It is packed once more than is unpacked.
    #[error("compressed more than {LAYERS} times: {}", nested(layers))]
    Layers {
        /// The packings.
        layers: Vec<Packing>,
    },
    /// This program cannot unpack it.
    #[error("compressed with {}, and this chatwal was built without the feature `more-compression`", name(layers))]
    NotBuiltIn {
        /// The packings.
        layers: Vec<Packing>,
    },
}

impl Refused {
    /// The refusal that this error is.
    pub fn of(error: &io::Error) -> Option<&Refused> {
        error.get_ref().and_then(|inner| inner.downcast_ref())
    }

    /// The error, for an input of this name; its path, if it is a file.
    pub fn error(&self, name: &str, file: Option<&Path>) -> Error {
        let (Refused::Window { layers, .. } | Refused::Layers { layers } | Refused::NotBuiltIn { layers }) = self;
        let mut commands: Vec<&str> = layers.iter().map(|packing| packing.command()).collect();
        let hint = match self {
            Refused::Window { wanted, memory, .. } => {
                if let (Some(Packing::Zstd), Some(last)) = (layers.last(), commands.last_mut()) {
                    *last = "zstd -dc --long=31";
                }
                let enough =
                    wanted.map(|wanted| format!("run with --memory {}, or ", size(wanted.saturating_mul(PARTS))));
                let enough = enough.unwrap_or_else(|| {
                    format!("run with more than --memory {}, or ", size(memory.saturating_mul(PARTS)))
                });
                format!("{enough}unpack it before: {}", through(file, &commands))
            }
            // One less is few enough.
            Refused::Layers { .. } => {
                format!("unpack it before: {}", through(file, &commands[..1.min(commands.len())]))
            }
            Refused::NotBuiltIn { .. } => {
                format!("unpack it before: {}; or build chatwal with that feature", through(file, &commands))
            }
        };
        Error::Input { input: name.into(), problem: self.to_string(), hint }
    }
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> io::Error {
        io::Error::other(refused)
    }
}

fn name(layers: &[Packing]) -> &'static str {
    layers.last().map_or("", |packing| packing.name())
}

fn window_of(layers: &[Packing]) -> &'static str {
    if layers.last() == Some(&Packing::Xz) { "a dictionary" } else { "a window" }
}

fn nested(layers: &[Packing]) -> String {
    let names: Vec<&str> = layers.iter().rev().map(|packing| packing.name()).collect();
    names.join(" in ")
}

/// Windows get one part of so many of `--memory`.
pub const PARTS: u64 = 2;

/// A number of bytes as `--memory` takes it, rounded up.
fn size(bytes: u64) -> String {
    match bytes.div_ceil(1 << 20) {
        mebibytes if mebibytes % 1024 == 0 && mebibytes > 0 => format!("{}G", mebibytes / 1024),
        mebibytes => format!("{mebibytes}M"),
    }
}

/// The same error once more: reading on after an error gives it again.
fn again(error: &io::Error) -> io::Error {
    if let Some(refused) = Refused::of(error) {
        return refused.clone().into();
    }
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => super::source::shrank_again(error).unwrap_or_else(|| io::Error::new(error.kind(), error.to_string())),
    }
}

/// The content of an input, which is packed as its first bytes say, or not at all.
///
/// A read gives an error of the kind `Interrupted` where it found nothing for long: it is to be called again, if the content is
/// still wanted. After any other error it gives the same again.
pub struct Unpacked {
    stage: Stage,
    allowance: Allowance,
    findings: Findings,
    /// The packings around it.
    layers: Vec<Packing>,
}

enum Stage {
    /// Its first bytes are still to be looked at.
    Unknown(Ahead),
    Plain(Ahead),
    Packed(Box<Unpacked>),
    Failed(io::Error),
}

impl Unpacked {
    /// Of what this reader gives. Windows may take so much memory; what is behind the packed data goes to `findings`.
    pub fn new(reader: Box<dyn Read + Send>, memory: u64, findings: Findings) -> Unpacked {
        let allowance = Allowance { memory, used: Arc::default() };
        Unpacked { stage: Stage::Unknown(Ahead::new(reader)), allowance, findings, layers: Vec::new() }
    }

    /// The packings, the outermost first, as far as something was read.
    pub fn layers(&self) -> &[Packing] {
        match &self.stage {
            Stage::Packed(inner) => inner.layers(),
            _ => &self.layers,
        }
    }

    /// The first bytes, so many or all there are, if nothing was read yet. What comes before an error is all there is; where
    /// nothing does, it is given.
    pub fn peek(&mut self, most: usize) -> io::Result<Option<&[u8]>> {
        retry(|| self.settle())?;
        let ahead = match &mut self.stage {
            Stage::Packed(inner) => return inner.peek(most),
            Stage::Failed(error) => return Err(again(error)),
            Stage::Unknown(ahead) | Stage::Plain(ahead) => ahead,
        };
        if ahead.offset > 0 {
            return Ok(None);
        }
        while ahead.at_hand().len() < most.min(AHEAD) && !ahead.ended {
            match retry(|| ahead.more()) {
                Err(error) if ahead.at_hand().is_empty() => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        let bytes = ahead.at_hand();
        Ok(Some(&bytes[..bytes.len().min(most)]))
    }

    /// Finds out what it is.
    fn settle(&mut self) -> io::Result<()> {
        let Stage::Unknown(ahead) = &mut self.stage else { return Ok(()) };
        let sniffed = match ahead.sniff() {
            Ok(sniffed) => sniffed,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.fail(error)),
        };
        let packing = match sniffed {
            Sniffed::Packed(packing) => packing,
            _ => {
                let ahead = std::mem::replace(ahead, Ahead::empty());
                self.stage = Stage::Plain(ahead);
                return Ok(());
            }
        };
        let ahead = std::mem::replace(ahead, Ahead::empty());
        let outer = self.layers.len();
        self.layers.push(packing);
        if outer == LAYERS {
            return Err(self.fail(Refused::Layers { layers: self.layers.clone() }.into()));
        }
        let (allowance, findings, layers) = (self.allowance.clone(), self.findings.clone(), self.layers.clone());
        let members = Members::new(ahead, layers, allowance, findings);
        let (allowance, findings, layers) = (self.allowance.clone(), self.findings.clone(), self.layers.clone());
        let stage = Stage::Unknown(Ahead::new(Box::new(members)));
        self.stage = Stage::Packed(Box::new(Unpacked { stage, allowance, findings, layers }));
        Ok(())
    }

    fn fail(&mut self, error: io::Error) -> io::Error {
        let told = again(&error);
        self.stage = Stage::Failed(error);
        told
    }
}

impl Read for Unpacked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.settle()?;
        let result = match &mut self.stage {
            // One look further in: what is found there settles by itself.
            Stage::Packed(inner) => return inner.read(buffer),
            Stage::Unknown(ahead) | Stage::Plain(ahead) => ahead.take(buffer),
            Stage::Failed(error) => return Err(again(error)),
        };
        match result {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => Err(self.fail(error)),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::members::{EMPTY, PAUSE};
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;

    const MANY: &[Packing] = &[Packing::Gzip, Packing::Zstd, Packing::Bzip2, Packing::Xz, Packing::Lz4];

    fn built_in() -> Vec<Packing> {
        let more = cfg!(feature = "more-compression");
        MANY.iter().copied().filter(|packing| more || [Packing::Gzip, Packing::Zstd].contains(packing)).collect()
    }

    /// One member, with a checksum over its content.
    fn pack(packing: Packing, bytes: &[u8]) -> Vec<u8> {
        match packing {
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
                encoder.include_checksum(true).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Skippable => {
                let length = u32::try_from(bytes.len()).unwrap().to_le_bytes();
                [&b"\x57\x2a\x4d\x18"[..], &length, bytes].concat()
            }
            Packing::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Xz => {
                let options = lzma_rust2::XzOptions::with_preset(1);
                let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Packing::Lz4 => {
                let info = lz4_flex::frame::FrameInfo::new().content_checksum(true);
                let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
        }
    }

    /// Gives what it has in pieces of such a length.
    struct Pieces(io::Cursor<Vec<u8>>, usize);

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }

    /// What came of it.
    struct Came {
        bytes: Vec<u8>,
        error: Option<io::Error>,
        trailing: Vec<Trailing>,
        pauses: usize,
    }

    fn unpack_with(packed: &[u8], piece: usize, memory: u64, buffer: usize) -> Came {
        let findings = Findings::default();
        let reader = Box::new(Pieces(io::Cursor::new(packed.to_vec()), piece));
        let mut unpacked = Unpacked::new(reader, memory, findings.clone());
        let (mut bytes, mut buffer, mut pauses) = (Vec::new(), vec![0; buffer], 0);
        let error = loop {
            match unpacked.read(&mut buffer) {
                Ok(0) => break None,
                Ok(count) => bytes.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => pauses += 1,
                Err(error) => break Some(error),
            }
        };
        let again = unpacked.read(&mut buffer);
        match &error {
            Some(error) => assert_eq!(again.unwrap_err().to_string(), error.to_string(), "the same error again"),
            None => assert_eq!(again.unwrap(), 0, "still at the end"),
        }
        Came { bytes, error, trailing: findings.trailing(), pauses }
    }

    fn unpack(packed: &[u8]) -> Came {
        unpack_with(packed, usize::MAX, 64 << 20, 10_000)
    }

    /// Lines, more than a buffer of them.
    fn lines(count: usize) -> Vec<u8> {
        (0..count).flat_map(|number| format!("{{\"id\":\"{}\"}}\n", number * number).into_bytes()).collect()
    }

    #[test]
    fn members_of_every_packing_follow_one_another() {
        let bytes = lines(20_000);
        for first in built_in() {
            for second in built_in() {
                let parts: Vec<&[u8]> = bytes.chunks(70_001).collect();
                let mut packed = pack(Packing::Skippable, b"skipped");
                for (number, part) in parts.iter().enumerate() {
                    packed.extend(pack(if number % 2 == 0 { first } else { second }, part));
                    packed.extend(pack(second, b""));
                }
                for (piece, buffer) in [(usize::MAX, 1 << 20), (1000, 300), (1, 200_000)] {
                    let read = unpack_with(&packed, piece, 64 << 20, buffer);
                    assert!(read.error.is_none(), "{first:?} and {second:?}: {:?}", read.error);
                    assert!(read.bytes == bytes && read.trailing.is_empty(), "{first:?} and {second:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_behind_a_member_and_is_none_is_counted() {
        let bytes = lines(300);
        for packing in built_in() {
            let member = pack(packing, &bytes);
            // A magic that is not whole, too.
            for behind in [
                &[0][..],
                &[0; 513],
                &[0; 300_000],
                b"garbage",
                b"\x1f",
                b"\x28\xb5\x2f",
                b"\0\0\0\0x",
                b"\0\0\0\0\0\x1f\x8b",
            ] {
                let packed = [&member, behind].concat();
                for piece in [usize::MAX, 1] {
                    let read = unpack_with(&packed, piece, 64 << 20, 1 << 20);
                    assert!(
                        read.error.is_none() && read.bytes == bytes,
                        "{packing:?} and {behind:?}: {:?}",
                        read.error
                    );
                    let zeros = behind.iter().all(|byte| *byte == 0);
                    let trailing =
                        Trailing { bytes: behind.len() as u64, offset: member.len() as u64, zeros, layer: 0 };
                    let padded = packing == Packing::Xz && zeros && behind.len() % 4 == 0;
                    let expected = if padded { vec![] } else { vec![trailing] };
                    assert_eq!(read.trailing, expected, "{packing:?} and {behind:?}");
                }
            }
        }
    }

    #[cfg(feature = "more-compression")]
    #[test]
    fn zeros_between_xz_streams_belong_to_them() {
        for zeros in 0..9 {
            let member = pack(Packing::Xz, b"a\n");
            let packed = [&member, &vec![0; zeros][..], &member].concat();
            for piece in [usize::MAX, 1] {
                let read = unpack_with(&packed, piece, 64 << 20, 100);
                match zeros % 4 {
                    0 => assert!(read.bytes == b"a\na\n" && read.trailing.is_empty(), "{zeros}"),
                    _ => {
                        let bytes = (zeros + member.len()) as u64;
                        let trailing = Trailing { bytes, offset: member.len() as u64, zeros: false, layer: 0 };
                        assert!(read.bytes == b"a\n" && read.trailing == [trailing], "{zeros}: {:?}", read.trailing);
                    }
                }
            }
        }
    }

    #[test]
    fn what_gives_nothing_for_long_lets_its_reader_ask() {
        let bytes = vec![0; 3 * PAUSE as usize];
        let read = unpack(&[&pack(Packing::Gzip, b"a\n"), &bytes[..]].concat());
        assert_eq!((read.bytes, read.trailing[0].bytes), (b"a\n".to_vec(), 3 * PAUSE));
        assert!(read.pauses >= 2, "{}", read.pauses);
        let skipped = unpack(&[&pack(Packing::Skippable, &bytes), &pack(Packing::Zstd, b"a\n")[..]].concat());
        assert_eq!((skipped.bytes, skipped.trailing), (b"a\n".to_vec(), vec![]));
        assert!(skipped.pauses >= 2, "{}", skipped.pauses);
        let empty = unpack(&pack(Packing::Gzip, b"").repeat(2 * (PAUSE / EMPTY) as usize));
        assert!(empty.bytes.is_empty() && empty.pauses >= 1, "{}", empty.pauses);
    }

    #[test]
    fn what_was_packed_twice_is_unpacked_twice_and_not_once_more() {
        let bytes = lines(50_000);
        for outer in built_in() {
            for inner in built_in() {
                let twice = pack(outer, &[pack(inner, &bytes), pack(inner, b"end\n"), b"rest".to_vec()].concat());
                let read = unpack(&[&twice[..], b"\0"].concat());
                assert!(read.error.is_none(), "{outer:?} around {inner:?}: {:?}", read.error);
                assert!(read.bytes == [&bytes, &b"end\n"[..]].concat(), "{outer:?} around {inner:?}");
                let found: Vec<_> = read.trailing.iter().map(|it| (it.layer, it.bytes, it.zeros)).collect();
                assert_eq!(found, [(0, 1, true), (1, 4, false)], "{outer:?} around {inner:?}");
            }
            let thrice = pack(outer, &pack(Packing::Zstd, &pack(Packing::Gzip, b"a\n")));
            let error = unpack(&thrice).error.unwrap();
            let layers = vec![outer, Packing::Zstd, Packing::Gzip];
            assert_eq!(Refused::of(&error), Some(&Refused::Layers { layers }));
        }
        let error = Refused::Layers { layers: vec![Packing::Gzip, Packing::Zstd, Packing::Gzip] };
        let error = error.error("x", Some(Path::new("a b")));
        assert_eq!(error.to_string(), "x: compressed more than 2 times: gzip in zstd in gzip");
        assert_eq!(error.hint(), "unpack it before: `gzip -dc 'a b' | chatwal ingest --store DIR -`");
    }

    #[test]
    fn a_zstd_window_is_bounded_by_the_memory() {
        let frame = |log| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(log).unwrap();
            encoder.write_all(&lines(1000)).unwrap();
            encoder.finish().unwrap()
        };
        for (log, memory, fits) in
            [(23, 1, true), (24, 1 << 20, false), (26, 64 << 20, true), (27, 64 << 20, false), (27, 128 << 20, true)]
        {
            let read = unpack_with(&frame(log), usize::MAX, memory, 10_000);
            assert_eq!(read.error.is_none(), fits, "{log}, {memory}: {:?}", read.error);
            assert_eq!(read.bytes == lines(1000), fits);
        }
        // Two layers share it.
        let twice = pack_long(&frame(26), 26);
        assert!(unpack_with(&twice, usize::MAX, 128 << 20, 10_000).error.is_none());
        let error = unpack_with(&twice, usize::MAX, 96 << 20, 10_000).error.unwrap();
        let (layers, wanted) = (vec![Packing::Zstd, Packing::Zstd], Some(64 << 20));
        assert_eq!(Refused::of(&error), Some(&Refused::Window { layers, wanted, memory: 32 << 20 }));

        let error = unpack(&frame(31)).error.unwrap();
        let error = Refused::of(&error).unwrap().error("x", Some(Path::new("x.zst")));
        assert_eq!(error.to_string(), "x: the zstd data wants a window of 2G, and the memory allows 64M");
        let command = "`zstd -dc --long=31 x.zst | chatwal ingest --store DIR -`";
        assert_eq!(error.hint(), format!("run with --memory 4G, or unpack it before: {command}"));
    }

    fn pack_long(bytes: &[u8], log: u32) -> Vec<u8> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[cfg(feature = "more-compression")]
    #[test]
    fn an_xz_dictionary_is_bounded_by_the_memory() {
        let stream = |size| {
            let mut options = lzma_rust2::XzOptions::with_preset(1);
            options.lzma_options.dict_size = size;
            let mut encoder = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
            encoder.write_all(&lines(1000)).unwrap();
            encoder.finish().unwrap()
        };
        for (size, memory, fits) in [(8 << 20, 1, true), (64 << 20, 64 << 20, true), (64 << 20, 63 << 20, false)] {
            let read = unpack_with(&stream(size), usize::MAX, memory, 10_000);
            assert_eq!(read.error.is_none(), fits, "{size}, {memory}: {:?}", read.error);
        }
        let error = unpack(&stream(96 << 20)).error.unwrap();
        let error = Refused::of(&error).unwrap().error("x", None);
        assert_eq!(error.to_string(), "x: the xz data wants a dictionary of 96M, and the memory allows 64M");
        let command = "`… | xz -dc | chatwal ingest --store DIR -`";
        assert_eq!(error.hint(), format!("run with --memory 192M, or unpack it before: {command}"));
    }

    #[cfg(not(feature = "more-compression"))]
    #[test]
    fn what_cannot_be_unpacked_is_named_with_the_command_that_can() {
        let error = unpack(&pack(Packing::Gzip, &pack(Packing::Xz, b"a\n"))).error.unwrap();
        let error = Refused::of(&error).unwrap().error("x", Some(Path::new("x")));
        assert!(error.to_string().contains("compressed with xz"), "{error}");
        assert!(error.hint().contains("`gzip -dc x | xz -dc | chatwal ingest --store DIR -`"), "{}", error.hint());
    }

    /// An error of the reader is told as it is, and not as damage.
    #[test]
    fn an_error_of_the_reader_stays_what_it_is() {
        struct Fails(io::Cursor<Vec<u8>>);
        impl Read for Fails {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                match self.0.read(buffer)? {
                    0 => Err(io::Error::from_raw_os_error(5)),
                    count => Ok(count),
                }
            }
        }
        for packing in built_in() {
            let packed = pack(packing, &lines(5000));
            for cut in [1, 2, 10, 30, packed.len() / 2, packed.len() - 1, packed.len()] {
                let reader = Box::new(Fails(io::Cursor::new(packed[..cut].to_vec())));
                let mut unpacked = Unpacked::new(reader, 64 << 20, Findings::default());
                let error = unpacked.read_to_end(&mut Vec::new()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(5), "{packing:?} cut at {cut}: {error:?}");
                let error = unpacked.read_to_end(&mut Vec::new()).unwrap_err();
                assert_eq!(error.raw_os_error(), Some(5), "{packing:?} cut at {cut}, again: {error:?}");
            }
        }
    }

    #[test]
    fn a_member_that_is_cut_anywhere_is_an_error() {
        let bytes = lines(400);
        for packing in built_in() {
            let packed = pack(packing, &bytes);
            let magic = [2, 4, 0, 4, 6, 4][packing as usize];
            for cut in magic..packed.len() {
                let read = unpack(&packed[..cut]);
                let error = read.error.unwrap_or_else(|| panic!("{packing:?}, cut at {cut}, is whole"));
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof, "{packing:?}, cut at {cut}: {error}");
                assert_eq!(error.to_string(), format!("the {} data ends in its middle", packing.name()));
                assert!(bytes.starts_with(&read.bytes), "{packing:?}, cut at {cut}");
                // And behind another one.
                let read = unpack(&[pack(Packing::Gzip, &bytes), packed[..cut].to_vec()].concat());
                assert!(read.error.is_some() && read.bytes.starts_with(&bytes), "{packing:?}, cut at {cut}");
            }
        }
    }

    /// Blocks without content are not the end.
    #[cfg(feature = "more-compression")]
    #[test]
    fn an_lz4_frame_ends_at_its_end_mark_only() {
        let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
        encoder.write_all(b"one\n").unwrap();
        let packed = encoder.finish().unwrap();
        let (begun, end) = packed.split_at(packed.len() - 4);
        let (header, block) = begun.split_at(7);
        assert_eq!(end, [0; 4]);
        // A compressed one, and one that is stored.
        for empty in [&b"\x01\0\0\0\0"[..], b"\0\0\0\x80"] {
            let frame = [header, empty, block, empty, empty, block, end].concat();
            let read = unpack(&[&frame[..], &frame].concat());
            assert!(read.error.is_none() && read.bytes == b"one\none\none\none\n", "{:?}", read.error);
        }
    }

    /// Every flag of a frame moves the place of its end.
    #[cfg(feature = "more-compression")]
    #[test]
    fn lz4_frames_with_any_flags_are_followed_to_their_end() {
        use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
        let bytes = lines(9000);
        for flags in 0..16 {
            let mode = if flags & 1 == 0 { BlockMode::Independent } else { BlockMode::Linked };
            let size = (flags & 2 != 0).then_some(bytes.len() as u64);
            let info = FrameInfo::new().block_mode(mode).content_size(size);
            let info = info.block_checksums(flags & 4 != 0).content_checksum(flags & 8 != 0);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&bytes).unwrap();
            let packed = encoder.finish().unwrap();
            let read = unpack(&[&packed[..], &packed, b"x"].concat());
            assert!(read.error.is_none() && read.bytes == [&bytes[..], &bytes].concat(), "{flags}: {:?}", read.error);
            assert_eq!(read.trailing[0].bytes, 1, "{flags}");
        }
    }

    proptest! {
        /// Any bit of packed data flipped, and any cut: an error, or the right bytes. Without its magic it is not packed.
        #[test]
        fn damage_is_an_error_or_without_effect(
            packing in 0..5usize, outer in 0..10usize, lines_of in 1..3000usize,
            place in any::<prop::sample::Index>(), bit in 0..8u8, cut in prop::option::of(any::<prop::sample::Index>()),
        ) {
            let built_in = built_in();
            let bytes = lines(lines_of);
            let mut packed = pack(built_in[packing % built_in.len()], &bytes);
            if outer < 5 {
                packed = pack(built_in[outer % built_in.len()], &packed);
            }
            match cut {
                Some(cut) => packed.truncate(cut.index(packed.len())),
                None => {
                    let at = place.index(packed.len());
                    packed[at] ^= 1 << bit;
                }
            }
            let read = unpack(&packed);
            let right = if is_packed(&packed) { &bytes } else { &packed };
            prop_assert!(read.error.is_some() || read.bytes == *right, "{} bytes, {:?}", read.bytes.len(), read.trailing);
        }

        /// Anything behind a magic: no panic, no hang.
        #[test]
        fn noise_is_no_worse_than_an_error(
            packing in 0..5usize, kept in 0..80usize, noise in prop::collection::vec(any::<u8>(), 0..3000),
        ) {
            let built_in = built_in();
            let mut packed = pack(built_in[packing % built_in.len()], &lines(50));
            packed.truncate(kept);
            packed.extend(noise);
            let _ = unpack_with(&packed, 100, 16 << 20, 1000);
        }
    }
}
