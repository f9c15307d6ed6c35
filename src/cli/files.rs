//! Which inputs there are: those that are named, those in directories, those of a list.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use chatwal::base::shell::{files_in, quoted};
use chatwal::error::Error;

use crate::args::InputArgs;
use crate::console::Console;
use crate::{Stop, descriptors, shown, status_of};

/// Bytes of the longest list: more than half a million paths. What is longer is likely something else.
const LIST: u64 = 64 << 20;

/// A list of more paths than these, none of which exists, is likely not a list.
const SOME: usize = 10;

/// Names that are told of each kind that is passed over.
const TOLD: usize = 3;

/// The inputs of a run.
pub struct Files {
    /// Each once, in the order in which they are read.
    pub paths: Vec<OsString>,
    /// The status of what could not be looked through.
    pub failed: Option<u8>,
}

/// Finds the inputs, and says what is passed over.
pub fn find(args: &InputArgs, console: &Console) -> std::result::Result<Files, Stop> {
    let listed = match &args.files_from {
        Some(list) => listed(list, &args.files, console)?,
        None => Vec::new(),
    };
    let mut search = Search::new(console, args.recursive);
    for path in args.files.iter().chain(&listed) {
        search.add(path);
    }
    search.tell();
    Ok(Files { paths: search.paths, failed: search.failed })
}

/// The paths of a list.
pub fn listed(list: &OsStr, files: &[OsString], console: &Console) -> std::result::Result<Vec<OsString>, Stop> {
    let is_input = |paths: &[OsString]| list == "-" && paths.iter().any(|path| path == "-");
    let twice = || {
        let problem = "standard input is the list of the inputs, so it cannot be an input too";
        Err(Stop::Usage(problem.into(), "put the list into a file, or leave out the `-`".into()))
    };
    if is_input(files) {
        return twice();
    }
    let paths = split(&read(list)?);
    if is_input(&paths) {
        return twice();
    }
    let missing = |path: &OsString| path != "-" && Path::new(path).symlink_metadata().is_err();
    if paths.len() > SOME && paths.iter().all(missing) {
        let problem = format!("none of the {} paths in it is there", paths.len());
        let hint =
            "a list has one path a line, as seen from the current directory; an input is named without --files-from";
        return Err(Error::Input { input: shown(Path::new(list)), problem, hint: hint.into() }.into());
    }
    if paths.is_empty() {
        console.warning(&format!("{}: no path in it, nothing to read", shown(Path::new(list))));
    }
    Ok(paths)
}

fn read(list: &OsStr) -> Result<Vec<u8>, Error> {
    let path = Path::new(list);
    let wrong = |problem: String, hint: &str| Error::Input { input: shown(path), problem, hint: hint.into() };
    let mut bytes = Vec::new();
    let count = match list == "-" {
        true => descriptors::stdin().and_then(|()| io::stdin().lock().take(LIST + 1).read_to_end(&mut bytes)),
        false => File::open(path).and_then(|file| file.take(LIST + 1).read_to_end(&mut bytes)),
    };
    let count = count.map_err(|error| {
        wrong(
            format!("cannot read the list of inputs: {error}"),
            "--files-from takes a file with one path a line, or `-`",
        )
    })?;
    if count as u64 > LIST {
        let problem = format!("a list of inputs has at most {LIST} bytes");
        return Err(wrong(problem, "split it; or, if it is an input, name it without --files-from"));
    }
    Ok(bytes)
}

/// One path a line, or, where there is a NUL, as `find -print0` writes them: then a path may have line ends in it.
fn split(list: &[u8]) -> Vec<OsString> {
    let path = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    if list.contains(&0) {
        return list.split(|byte| *byte == 0).filter(|bytes| !bytes.is_empty()).map(path).collect();
    }
    // What an editor may have put before the first.
    let list = list.strip_prefix("\u{feff}".as_bytes()).unwrap_or(list);
    let lines = list.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    lines.filter(|line| !line.trim_ascii().is_empty()).map(path).collect()
}

/// What in a directory is not an input.
#[derive(Clone, Copy)]
enum Passed {
    Hidden,
    Store,
    Link,
    Special,
}

const PASSED: [(Passed, &str); 4] = [
    (Passed::Hidden, "hidden"),
    (Passed::Store, "a chatwal store, by its LOCK or *.wal"),
    (Passed::Link, "a link to a directory"),
    (Passed::Special, "neither a file nor a directory"),
];

/// Some things of one kind: how many, and the first of them.
#[derive(Default)]
struct Several {
    count: usize,
    first: Vec<String>,
}

impl Several {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.first.len() < TOLD {
            self.first.push(what());
        }
    }

    fn told(&self) -> String {
        let more = self.count - self.first.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{}{more}", self.first.join(", "))
    }
}

/// What is found.
struct Search<'a> {
    console: &'a Console,
    recursive: bool,
    paths: Vec<OsString>,
    /// What could not be looked through: how many, and the status that says so.
    failures: usize,
    failed: Option<u8>,
    /// Where among `paths` a file is, by its device and inode. Whoever makes files cannot foresee how these are hashed.
    files: HashMap<(u64, u64), usize>,
    /// What is not a file, and what cannot be told.
    others: HashSet<OsString>,
    passed: [Several; PASSED.len()],
    twice: Several,
}

impl<'a> Search<'a> {
    fn new(console: &'a Console, recursive: bool) -> Search<'a> {
        let (files, others) = (HashMap::new(), HashSet::new());
        let (passed, twice) = (Default::default(), Several::default());
        Search { console, recursive, paths: Vec::new(), failures: 0, failed: None, files, others, passed, twice }
    }

    /// Adds what was named.
    fn add(&mut self, path: &OsString) {
        let directory = match Path::new(path).metadata() {
            _ if path == "-" => return self.add_other(path),
            Ok(meta) if !meta.is_dir() => return self.add_found(path.clone(), &meta),
            // Whoever opens it says what is wrong with it.
            Err(_) => return self.add_other(path),
            Ok(_) => Path::new(path),
        };
        // What is wrong with a store is said as for one among directories.
        let is_store = list(directory).is_ok_and(|entries| entries.iter().any(|(name, _)| is_of_store(name)));
        if !self.recursive && !is_store {
            let hint = format!("--recursive reads all files in it; or name the files in it: {}", files_in(directory));
            return self.fail(directory, "a directory".into(), hint);
        }
        let seen = |search: &Search<'_>| (search.paths.len() + search.twice.count, search.failures);
        let before = seen(self);
        self.walk(directory);
        if before == seen(self) {
            self.console.warning(&format!("{}: no file in it, nothing to read", shown(directory)));
        }
    }

    /// Adds a file, if it is not there already under whatever name; or something that can be read only once.
    fn add_found(&mut self, path: OsString, meta: &Metadata) {
        if !meta.is_file() {
            return self.add_other(&path);
        }
        match self.files.get(&(meta.dev(), meta.ino())).and_then(|first| self.paths.get(*first)) {
            Some(first) if *first == path => self.twice.add(|| shown(Path::new(&path))),
            Some(first) => {
                let (first, path) = (Path::new(first), Path::new(&path));
                self.twice.add(|| format!("{} (the same file as {})", shown(path), shown(first)));
            }
            None => {
                self.files.insert((meta.dev(), meta.ino()), self.paths.len());
                self.paths.push(path);
            }
        }
    }

    fn add_other(&mut self, path: &OsString) {
        match self.others.insert(path.clone()) {
            true => self.paths.push(path.clone()),
            false => self.twice.add(|| shown(Path::new(path))),
        }
    }

    fn fail(&mut self, path: &Path, problem: String, hint: String) {
        let error = Error::Input { input: shown(path), problem, hint };
        self.console.error(&error);
        self.failures += 1;
        self.failed = Some(status_of(&error));
    }

    /// Adds the files below a directory, in the order of the bytes of their paths.
    fn walk(&mut self, root: &Path) {
        // Not by recursion: how deep they are nested is up to whoever made them.
        let mut left = vec![(root.to_owned(), Kind::Directory)];
        while let Some((path, kind)) = left.pop() {
            match kind {
                Kind::File => match path.metadata() {
                    Ok(meta) => self.add_found(path.into_os_string(), &meta),
                    Err(_) => self.add_other(&path.into_os_string()),
                },
                Kind::Passed(why) => self.pass(why, &path),
                Kind::Directory => match list(&path) {
                    Ok(entries) if entries.iter().any(|(name, _)| is_of_store(name)) => match path == root {
                        true => {
                            let hint = format!("`chatwal report --store {}` reads it", quoted(root));
                            self.fail(root, "a chatwal store, not a directory of inputs".into(), hint);
                        }
                        false => self.pass(Passed::Store, &path),
                    },
                    Ok(entries) => {
                        left.extend(entries.into_iter().rev().map(|(name, kind)| (path.join(name), kind)));
                    }
                    Err(error) => {
                        let hint = "see to the cause and run again; the other inputs are read".into();
                        self.fail(&path, format!("cannot look through it: {error}"), hint);
                    }
                },
            }
        }
    }

    fn pass(&mut self, why: Passed, path: &Path) {
        match self.console.verbose {
            true => self.console.note(&format!("{}: passed over: {}", shown(path), PASSED[why as usize].1)),
            false => self.passed[why as usize].add(|| shown(path)),
        }
    }

    fn tell(&self) {
        for (why, what) in PASSED {
            let passed = &self.passed[why as usize];
            if passed.count > 0 {
                self.console.note(&format!("passed over, {what}: {}", passed.told()));
            }
        }
        if self.twice.count > 0 {
            self.console.note(&format!("named more than once, and read once: {}", self.twice.told()));
        }
    }
}

/// What is in a directory.
#[derive(Clone, Copy)]
enum Kind {
    /// Also what cannot be told: whoever opens it says what is wrong with it.
    File,
    Directory,
    Passed(Passed),
}

/// The names in a directory and what they are, in the order of the paths below them.
fn list(directory: &Path) -> io::Result<Vec<(OsString, Kind)>> {
    let mut entries = Vec::new();
    for entry in directory.read_dir()? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = match entry.file_type() {
            _ if name.as_bytes().starts_with(b".") => Kind::Passed(Passed::Hidden),
            Ok(kind) if kind.is_dir() => Kind::Directory,
            Ok(kind) if kind.is_symlink() => of_link(&entry.path()),
            Ok(kind) if !kind.is_file() => Kind::Passed(Passed::Special),
            Ok(_) | Err(_) => Kind::File,
        };
        entries.push((name, kind));
    }
    // A directory stands where its files do: behind `a.txt` comes `a/b`, and not before it.
    let key = |(name, kind): &(OsString, Kind)| {
        let end = if matches!(kind, Kind::Directory) { &b"/"[..] } else { b"" };
        [name.as_bytes(), end].concat()
    };
    entries.sort_by_cached_key(key);
    Ok(entries)
}

fn of_link(path: &Path) -> Kind {
    match path.metadata() {
        Ok(meta) if meta.is_dir() => Kind::Passed(Passed::Link),
        Ok(meta) if !meta.is_file() => Kind::Passed(Passed::Special),
        Ok(_) | Err(_) => Kind::File,
    }
}

fn is_of_store(name: &OsStr) -> bool {
    name == "LOCK" || name.as_bytes().ends_with(b".wal")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_at_line_ends_or_at_nuls() {
        for (list, paths) in [
            (&b""[..], &[][..]),
            (b"a\nb\n", &["a", "b"]),
            (b"a\nb", &["a", "b"]),
            (b"\n \na b\n\t\n\n", &["a b"]),
            (b" a \n", &[" a "]),
            (b"a\r\nb\r\n\r\n", &["a", "b"]),
            (b"\xef\xbb\xbfa\n", &["a"]),
            (b"a\nb\0c\0", &["a\nb", "c"]),
            (b"\0a\0\0b\r\0 ", &["a", "b\r", " "]),
            (b"-\n--x\n", &["-", "--x"]),
        ] {
            assert_eq!(split(list), paths, "{:?}", String::from_utf8_lossy(list));
        }
    }
}
