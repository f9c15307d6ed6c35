//! The `chatwal` program: arguments in, exit status out. What it does is in the library.

#![deny(clippy::print_stdout, clippy::print_stderr)] // They panic where they fail.

mod allow;
mod args;
mod backup;
mod compaction;
mod console;
mod definition;
mod descriptors;
mod environment;
mod files;
mod forget;
mod health;
mod inputs;
mod lists;
mod manual;
mod output;
mod page;
mod periods;
mod process;
mod raw;
mod recovery;
mod signals;
mod times;
mod topics;
mod watch;

use std::io::{self, BufWriter, Write};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chatwal::base::shell::quoted;
use chatwal::base::text::printable;
use chatwal::base::threads::refused;
use chatwal::disk::Disk;
use chatwal::disk::scratch::{Limits, Scratch};
use chatwal::error::{Error, Result};
use chatwal::query::report::ReportOptions;
use chatwal::show::dump;
use chatwal::show::render;
use chatwal::store::View;

use args::{Command, FormatArg, Global, ReportArgs, SourcesAction};
use console::Console;
use output::Watched;
use page::Made;

/// What the program exits with, where it is not a signal's.
mod status {
    pub const DONE: u8 = 0;
    pub const FAILURE: u8 = 1;
    pub const USAGE: u8 = 2;
    pub const PARTLY: u8 = 3;
    pub const CORRUPT: u8 = chatwal::show::dump::CORRUPT;
    pub const NO_STORE: u8 = 10;
    pub const LOCKED: u8 = 11;
}

/// Why a command did not do what was asked.
enum Stop {
    Error(Error),
    /// The command line is wrong; what is, and what to type.
    Usage(String, String),
    /// The store that was named cannot be one; why, and what to do.
    Place(String, String),
    /// The reader of standard output is gone: nothing is wrong.
    Closed,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Stop {
        match error {
            Error::Io { path, source, .. } if path == STDOUT && source.kind() == io::ErrorKind::BrokenPipe => {
                Stop::Closed
            }
            error => Stop::Error(error),
        }
    }
}

const STDOUT: &str = "standard output";

fn main() -> ExitCode {
    process::fail_in_order();
    let cli = match definition::parse() {
        Ok(cli) => cli,
        Err(answer) => return parsed_away(&answer),
    };
    let console = Console::new(&cli.global);
    let code = match run(cli.command, &cli.global, &console) {
        Ok(code) => {
            tell_afterwards(&console);
            code
        }
        Err(Stop::Closed) => status::DONE,
        Err(Stop::Usage(problem, hint)) => {
            console.failure(&problem, &hint);
            status::USAGE
        }
        Err(Stop::Place(problem, hint)) => {
            console.failure(&problem, &hint);
            status::NO_STORE
        }
        Err(Stop::Error(error)) => {
            console.error(&error);
            status_of(&error)
        }
    };
    ExitCode::from(code)
}

/// What concerns the run as a whole.
fn tell_afterwards(console: &Console) {
    if output::deceived() {
        console.warning(
            "some names in the answer have characters that are not seen or that turn the order of others, so they may look \
             like other names; `--format table` shows them",
        );
    }
    if render::wrote_formulas() {
        console.warning(
            "some text begins with =, +, - or @, and spreadsheets take that for a formula; `--csv-safe` puts an apostrophe \
             before it",
        );
    }
    if let Some(error) = refused() {
        console.warning(&format!("this took longer: the system gave fewer threads than were asked for: {error}"));
    }
}

/// What the argument parser answers by itself: help and version to stdout, a wrong usage to stderr, in the form of every
/// other message.
fn parsed_away(answer: &clap::Error) -> ExitCode {
    if answer.use_stderr() {
        // It repeats what was typed.
        let text = answer.to_string();
        let lines: Vec<String> = text.trim_end().lines().map(printable).collect();
        process::say(&format!("chatwal: {}", lines.join("\n")));
        if let Some(hint) = definition::hint(answer) {
            process::say(&format!("chatwal: hint: {hint}"));
        }
        return ExitCode::from(status::USAGE);
    }
    match descriptors::stdout().and_then(|()| answer.print()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            process::say(&format!("chatwal: error: {}", Error::io("write to", STDOUT)(error)));
            ExitCode::from(status::FAILURE)
        }
        _ => ExitCode::from(status::DONE),
    }
}

/// Prints at the end how the threads shared the work, if `CHATWAL_SHARES` asks for it. For developers of this program.
struct Shares;

impl Shares {
    fn measured() -> Option<Shares> {
        let is_wanted = std::env::var_os("CHATWAL_SHARES").is_some_and(|value| value == "1");
        is_wanted.then(|| {
            chatwal::base::shares::switch_on();
            Shares
        })
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        chatwal::base::shares::lines().iter().for_each(|line| process::say(&format!("shares: {line}")));
    }
}

fn run(command: Option<Command>, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let _shares = Shares::measured();
    let Some(command) = command else {
        process::say(definition::SHORT);
        return Err(Stop::Usage("no command".into(), definition::SHORT_HINT.into()));
    };
    match command {
        Command::Run(args) => inputs::run(&args, global, console),
        Command::Ingest(args) => inputs::ingest(&args, global, console),
        Command::Report(args) => report(&args, global, console),
        Command::Timeline(args) => periods::timeline(&args, global, console),
        Command::Watch(args) => watch::watch(&args, global, console),
        Command::Compact(args) => compaction::compact(&args, global, console),
        Command::Backup(args) => backup::backup(&args, global, console),
        Command::Verify => health::verify(global, console),
        Command::Repair(args) => health::repair(&args, global, console),
        Command::Dump(args) => {
            descriptors::stdout().map_err(Error::io("write to", STDOUT))?;
            // The same form as every other message.
            Ok(dump::command(&args.files, args.events, &|line| process::say(&format!("chatwal: {line}"))))
        }
        Command::Rejects(args) if args.raw => raw::raw(&open(global)?, global, console),
        Command::Rejects(args) => lists::rejects(&open(global)?, args.output.format()),
        Command::Sources(args) => match args.action {
            None => lists::sources(&open(global)?.inputs, args.output.format()),
            // Where both are given, clap can refuse all options before the action, `--store` too, or none.
            Some(_) if args.output.format != FormatArg::Line => {
                let hint = "`--format` is for the list of the inputs: leave it out".to_string();
                Err(Stop::Usage("`sources forget` prints nothing that has a format".into(), hint))
            }
            Some(SourcesAction::Forget { names }) => forget::forget(&names, global, console),
        },
        Command::Help(args) => topics::help(&args),
        Command::Completions(args) => Ok(manual::completions(&args)?),
        Command::Man(args) => manual::man(&args),
        Command::Stat(args) => lists::stat(&open(global)?, global, args.output.format(), console),
    }
}

fn status_of(error: &Error) -> u8 {
    match error {
        Error::Corruption(_) => status::CORRUPT,
        Error::NoStore { .. } => status::NO_STORE,
        Error::Locked { .. } => status::LOCKED,
        Error::Input { .. }
        | Error::Line { .. }
        | Error::Version { .. }
        | Error::Displaced { .. }
        | Error::Memory { .. }
        | Error::Io { .. } => status::FAILURE,
    }
}

/// The store that was named.
fn store(global: &Global) -> std::result::Result<PathBuf, Stop> {
    let named = global.store.clone().filter(|store| !store.as_os_str().is_empty()).ok_or_else(|| {
        let hint = "name it with --store DIR, or in the environment as CHATWAL_STORE";
        Stop::Usage("no store named".into(), hint.into())
    });
    named.and_then(led_somewhere)
}

/// A path, unless a link on its way leads to nothing: a new store would land in another place, or in none.
fn led_somewhere(path: PathBuf) -> std::result::Result<PathBuf, Stop> {
    let is_link = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_symlink());
    let is_missing = |path: &Path| path.metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let to_nothing = |path: &&Path| is_link(path) && is_missing(path);
    let Some(link) = path.ancestors().find(to_nothing) else { return Ok(path) };
    let target = link.read_link().unwrap_or_default();
    let problem = format!("{}: a symbolic link to {}, where nothing is", shown(link), shown(&target));
    let target = link.parent().unwrap_or(Path::new("")).join(target);
    let hint = format!("mount what it leads to, or make it: `mkdir -p {}`; or remove the link", quoted(target));
    Err(Stop::Place(problem, hint))
}

/// One look at the store that was named.
fn open(global: &Global) -> std::result::Result<View, Stop> {
    Ok(View::open(&Disk::open(&store(global)?)?)?)
}

/// The most threads where there are fewer processors.
const MOST_TURNS: usize = 4;

/// Threads that a command starts. More threads than processors would only take turns and share the memory; a few more do no harm.
fn threads(global: &Global) -> usize {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    global.threads.map_or(processors, usize::from).min(processors.max(MOST_TURNS))
}

fn report(args: &ReportArgs, global: &Global, console: &Console) -> std::result::Result<u8, Stop> {
    let view = open(global)?;
    let sites = (!args.site.is_empty()).then(|| args.site.iter().map(|site| site.clone().into_bytes()).collect());
    let window = times::window(args, &view, global, console)?;
    let options = ReportOptions { sites, window, ..report_options(global) };
    let made = Made::of(&view, &options, &args.output, page::filters(args))?;
    let report = &made.report;
    if !args.site.is_empty() {
        let found = report.sites()?;
        let known = |site: &&String| found.iter().any(|found| found.site(&mut [0; 20]) == site.as_bytes());
        for site in args.site.iter().filter(|site| !known(site)) {
            let shown = if site.is_empty() { "''" } else { site };
            console.warning(&format!("{shown}: no event of this site"));
        }
    }
    made.print(console)?;
    tell_read(&view, console);
    Ok(status::DONE)
}

fn report_options(global: &Global) -> ReportOptions {
    ReportOptions { limits: limits(global), ..ReportOptions::default() }
}

/// What an answer cost.
fn tell_read(view: &View, console: &Console) {
    if console.verbose {
        console.note(&format!("read {} bytes; the store has {}", view.bytes_read(), view.bytes()));
    }
}

/// What did not fit the memory.
fn tell_put_aside(bytes: u64, console: &Console) {
    if bytes > 0 && console.verbose {
        console.note(&format!("{bytes} bytes in temporary files: they did not fit --memory"));
    }
}

/// What a command that reads may take.
fn limits(global: &Global) -> Limits {
    let scratch = Scratch::for_readers(global.temp.as_deref());
    Limits { threads: threads(global), memory: global.memory, scratch }
}

/// Writes to standard output; every failure of it is an error.
fn print(write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    print_to(Watched::new(io::stdout()), write)
}

/// The same for bytes that a program is going to read: they may look like anything.
fn print_unwatched(write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    print_to(io::stdout(), write)
}

fn print_to(out: impl Write + Send, write: impl FnOnce(&mut (dyn Write + Send)) -> io::Result<()>) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 16, out);
    // Even an empty answer fails if standard output is closed.
    let written = descriptors::stdout().and_then(|()| write(&mut out)).and_then(|()| out.flush());
    written.map_err(Error::io("write to", STDOUT))
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
