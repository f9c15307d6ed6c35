//! Opening an input: a file, a pipe, standard input.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::whole::{Counted, Whole};
use super::{Body, Source, SourceOptions, unreadable};
use crate::base::shell::files_in;
use crate::error::{Error, Result};
use crate::intake::foreign;
use crate::intake::packed::{Findings, Refused, Unpacked, is_packed};
use crate::intake::pipe::{Pipe, no_thread, stdin};

impl Source {
    /// Opens a file, or anything else that has a path and can be read, as is usual.
    pub fn open(path: &Path) -> Result<Source> {
        Source::open_with(path, SourceOptions::default())
    }

    /// Opens a file, or anything else that has a path and can be read.
    pub fn open_with(path: &Path, options: SourceOptions) -> Result<Source> {
        let name = path.display().to_string();
        let wrong = |error: io::Error| unreadable(&name, &error);
        let meta = std::fs::metadata(path).map_err(wrong)?;
        if meta.is_dir() {
            let (problem, hint) = ("a directory".into(), format!("name the files in it: {}", files_in(path)));
            return Err(Error::Input { input: name, problem, hint });
        }
        if meta.is_file() {
            return Source::of_file(path, Whole::open(path).map_err(wrong)?, None, options);
        }
        let (taken, findings) = (Arc::new(AtomicU64::new(0)), Findings::default());
        // Opened by the thread behind it: that may take as long as nobody opens the other end.
        let piped = path.to_owned();
        let pipe = Pipe::new(move || File::open(piped), taken.clone(), options.memory, findings.clone());
        let body = Body::Piped(pipe.map_err(|error| no_thread(&name, &error))?);
        Ok(Source { name, size: None, taken, findings, options, path: path.into(), opened: None, body })
    }

    /// A file that is open already, from its start, whatever its path leads to by now.
    pub fn of_open(path: &Path, file: &Arc<File>, options: SourceOptions) -> Result<Source> {
        let wrong = |error: io::Error| unreadable(&path.display().to_string(), &error);
        Source::of_file(path, Whole::shared(Arc::clone(file)).map_err(wrong)?, Some(Arc::clone(file)), options)
    }

    fn of_file(path: &Path, whole: Whole, opened: Option<Arc<File>>, options: SourceOptions) -> Result<Source> {
        let name = path.display().to_string();
        let (taken, findings, size) = (Arc::new(AtomicU64::new(0)), Findings::default(), Some(whole.length));
        let mut magic = [0; 16];
        let length = crate::disk::File::read_at(&*whole.file, &mut magic, 0);
        let length = length.map_err(|error| unreadable(&name, &error))?;
        let body = match is_packed(&magic[..length]) {
            false => Body::Plain(whole),
            true => {
                let reader = Box::new(Counted(whole, taken.clone()));
                Body::Packed(Box::new(Unpacked::new(reader, options.memory, findings.clone())))
            }
        };
        let mut source = Source { name, size, taken, findings, options, path: path.into(), opened, body };
        source.check_format()?;
        Ok(source)
    }

    /// Standard input.
    pub fn stdin(options: SourceOptions) -> Result<Source> {
        let (taken, findings) = (Arc::new(AtomicU64::new(0)), Findings::default());
        let pipe = Pipe::new(stdin, taken.clone(), options.memory, findings.clone());
        let body = Body::Piped(pipe.map_err(|error| no_thread("-", &error))?);
        let (name, path) = ("-".into(), "-".into());
        Ok(Source { name, size: None, taken, findings, options, path, opened: None, body })
    }

    /// That it can be unpacked, and is not known to be something else.
    fn check_format(&mut self) -> Result<()> {
        let head = match self.head(foreign::HEAD) {
            Ok(head) => head,
            Err(error) if Refused::of(&error).is_some() => return Err(self.error(0, &error)),
            // Reading meets it again.
            Err(_) => return Ok(()),
        };
        let layers = match &self.body {
            Body::Packed(unpacked) => unpacked.layers(),
            _ => &[],
        };
        match foreign::of(&head).filter(|_| self.options.foreign) {
            Some(foreign) => Err(foreign.error_of(&self.name, Some(&self.path), layers)),
            None => Ok(()),
        }
    }
}
