//! The pages tell the truth: their commands run as they stand there, they explain every option and command, what they say of messages
//! is what the program says, and their links lead somewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Commands in `console` blocks, which no test here runs, each with the reason.
const NOT_RUN: [(&str, &str, Why); 28] = [
    ("docs/guide.md", "cargo install --path .", Why::Installs),
    ("docs/guide.md", "cargo install --path . --no-default-features --features cli", Why::Installs),
    (
        "docs/guide.md",
        "cargo build --release && pip install duckdb==2.0.1 chdb==4.4.0 && tools/compare.py",
        Why::Installs,
    ),
    ("docs/promises.md", "crash-harness random --seconds 60 --directory DIR", Why::Test("crash_calls")),
    ("docs/promises.md", "crash-harness calls --directory DIR", Why::Test("crash_calls")),
    (
        "docs/promises.md",
        "CHATWAL_IMAGES=1000000 cargo test --release --test durability -- --nocapture",
        Why::Test("durability"),
    ),
    (
        "docs/promises.md",
        "CHATWAL_IMAGES=500000 cargo test --release --test compaction -- --nocapture",
        Why::Test("compaction"),
    ),
    ("docs/promises.md", "cargo test --test failed_writes --test compaction --test repair", Why::Test("failed_writes")),
    ("docs/promises.md", "cargo test --test failing_disk --test bad_input", Why::Test("failing_disk")),
    ("docs/promises.md", "CHATWAL_MOVES=1000 cargo test --test directory -- --nocapture", Why::Test("directory")),
    ("docs/guide.md", "chatwal ingest --store chats --follow '/var/log/chat/*.jsonl'", Why::Test("follow")),
    ("docs/guide.md", "systemctl enable --now chatwal-follow.service", Why::Installs),
    (
        "docs/promises.md",
        "CHATWAL_FOLLOW_SECONDS=600 CHATWAL_FOLLOW_KILLS=100 CHATWAL_FOLLOW_LINES=50000 cargo test --release --test follow_kills -- --nocapture",
        Why::Test("follow_kills"),
    ),
    ("docs/promises.md", "CHATWAL_RESUMES=100 cargo test --test watch -- --nocapture", Why::Test("watch")),
    ("docs/promises.md", "CHATWAL_STORES=100000 cargo test --release --test second_reader", Why::Test("second_reader")),
    ("docs/promises.md", "CHATWAL_REPAIRS=2000 cargo test --release --test second_reader", Why::Test("second_reader")),
    ("docs/promises.md", "CHATWAL_LOGS=300000 cargo test --test judge", Why::Test("judge")),
    ("docs/promises.md", "CHATWAL_FLIPS=all cargo test --test damage -- --nocapture", Why::Test("damage")),
    (
        "docs/promises.md",
        "CHATWAL_FILES=10000 cargo test --release --test mutated_files -- --nocapture",
        Why::Test("mutated_files"),
    ),
    (
        "docs/promises.md",
        "cargo +nightly fuzz run segment -- -malloc_limit_mb=64 -detect_leaks=0",
        Why::Test("fuzz_corpus"),
    ),
    ("CONTRIBUTING.md", "cargo build --release", Why::Installs),
    ("CONTRIBUTING.md", "cargo test", Why::Ci),
    ("CONTRIBUTING.md", ".ci/run", Why::IsCi),
    ("CONTRIBUTING.md", "tools/seeded_bugs.py --check", Why::Ci),
    ("CONTRIBUTING.md", "tools/seeded_bugs.py --only fsync-of-frames", Why::Bug("fsync-of-frames")),
    // The two commands of the README are not in a block but indented.
    ("README.md", "cargo run --release -- run examples/chat.jsonl", Why::Ci),
    ("README.md", "cargo test", Why::Ci),
    ("README.md", "cargo install --path .", Why::Installs),
];

/// Why a command is not run here.
#[derive(Clone, Copy)]
enum Why {
    /// It builds or installs for minutes, from a registry.
    Installs,
    /// `.ci/run` runs it.
    Ci,
    /// It is `.ci/run`.
    IsCi,
    /// It is the long form of this test, which `cargo test` runs in small.
    Test(&'static str),
    /// It builds for minutes; that there is this bug is looked up.
    Bug(&'static str),
}

/// Messages of the troubleshooting table that are not the program's own.
const OF_OTHERS: [&str; 3] = ["No space left on device", "unexpected argument", "invalid value"];

fn root() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}

fn text(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The pages that people write, by name: those of which every shell block runs.
fn pages() -> BTreeMap<String, String> {
    let mut names = vec!["README.md".to_string(), "CONTRIBUTING.md".into()];
    for entry in fs::read_dir(root().join("docs")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "performance.md" {
            names.push(format!("docs/{name}"));
        }
    }
    assert!(names.len() >= 7, "{names:?}");
    names.into_iter().map(|name| (name.clone(), text(&name))).collect()
}

/// The lines of a page: in a fenced block of this language, or, where there is none, outside of blocks.
fn lines(page: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let mut language = None;
    page.lines().filter_map(move |line| match (line.trim().strip_prefix("```"), language) {
        (Some(_), Some(_)) => {
            language = None;
            None
        }
        (Some(name), None) => {
            language = Some(name);
            None
        }
        (None, _) => Some((language, line)),
    })
}

/// The cells of a row of a table, if the line is one.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(row.replace("\\|", "\u{0}").split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

/// What stands between backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Files under a directory of the repository.
fn files(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![root().join(directory)];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { left.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Runs the shell blocks of a page, one after the other in a fresh directory; gives stdout.
fn run_blocks(name: &str, page: &str) -> Option<String> {
    let commands: Vec<&str> =
        lines(page).filter(|(language, _)| *language == Some("sh")).map(|(_, line)| line).collect();
    if commands.is_empty() {
        return None;
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_chatwal")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let directory = tempfile::tempdir().unwrap();
    let script = format!("set -eu\n{}\n", commands.join("\n"));
    let output = Command::new("sh")
        .args(["-c", &script])
        .env("PATH", path)
        .env_remove("CHATWAL_STORE")
        .current_dir(&directory)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {}\n{out}{err}", output.status);
    assert!(!err.contains("chatwal: error"), "{name}: {err}");
    Some(out.into_owned())
}

#[test]
fn every_shell_block_runs() {
    let said: BTreeMap<String, String> =
        pages().into_iter().filter_map(|(name, page)| Some((name.clone(), run_blocks(&name, &page)?))).collect();
    // What the comments beside the commands say comes out.
    let readme = &said["README.md"];
    assert!(readme.contains("123,messages=1,emails=0,operators=1,visitors=1\n"), "{readme}");
    assert!(readme.contains("chat.jsonl:2 (byte 108): column"), "{readme}");
    let guide = &said["docs/guide.md"];
    assert!(guide.contains("site_id") && guide.contains("\"type\":") && guide.contains("sound: "), "{guide}");
}

#[test]
fn what_does_not_run_here_has_a_reason() {
    let pages = pages();
    let mut listed: BTreeSet<(&str, &str)> = NOT_RUN.iter().map(|(page, command, _)| (*page, *command)).collect();
    let known = listed.clone();
    for (name, page) in &pages {
        let name = name.as_str();
        for (language, line) in lines(page) {
            match language {
                Some("console") => {
                    let command = line.strip_prefix("$ ").unwrap_or_else(|| panic!("{name}: no command: {line}"));
                    assert!(known.contains(&(name, command)), "{name}: not run, and no reason is given: {command}");
                    listed.remove(&(name, command));
                }
                // What a program says, diagrams, bytes.
                Some("text" | "json") => assert!(!line.starts_with("$ "), "{name}: a command: {line}"),
                Some("sh") | None => {}
                Some(other) => panic!("{name}: a block of {other}, which nobody runs"),
            }
        }
    }
    let readme = text("README.md");
    for command in ["cargo run --release -- run examples/chat.jsonl", "cargo test"] {
        assert!(readme.contains(&format!("\n\n    {command}\n\n")), "the README shows {command}");
        listed.remove(&("README.md", command));
    }
    assert!(readme.contains("`cargo install --path .`"));
    listed.remove(&("README.md", "cargo install --path ."));
    assert!(listed.is_empty(), "listed here, and on no page: {listed:?}");

    let (ci, bugs) = (text(".ci/run"), text("tools/seeded_bugs.py"));
    for (_, command, why) in NOT_RUN {
        match why {
            Why::Ci => assert!(ci.contains(command), ".ci/run does not run {command}"),
            Why::Test(test) => {
                let is_there = |folder: &str| root().join(format!("{folder}/{test}.rs")).is_file();
                assert!(is_there("tests") || is_there("tools/tests"), "no test {test}");
            }
            Why::Bug(bug) => assert!(bugs.contains(&format!("\"{bug}\"")), "no bug {bug}"),
            Why::IsCi => assert!(command == ".ci/run"),
            Why::Installs => assert!(command.contains("cargo ") || command.starts_with("systemctl ")),
        }
    }
}

/// The help of a command, and that of the commands below it, by name.
fn collect_helps(command: &[&str], helps: &mut BTreeMap<String, String>) {
    let output = Command::new(env!("CARGO_BIN_EXE_chatwal")).args(command).arg("--help").output().unwrap();
    assert!(output.status.success(), "{command:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    // Commands stand before the options; lines that continue the one before are indented further.
    let below = help.lines().take_while(|line| !line.ends_with("ptions:"));
    let is_command = |line: &&str| {
        line.strip_prefix("  ").is_some_and(|line| line.starts_with(|char: char| char.is_ascii_lowercase()))
    };
    for name in below.filter(is_command).filter_map(|line| line.split_whitespace().next()) {
        collect_helps(&[command, &[name]].concat(), helps);
    }
    helps.insert(command.join(" "), help);
}

/// The long options in a text: `--name`.
fn long_options(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for word in text.split(|char: char| !(char.is_ascii_lowercase() || char == '-')) {
        if word.strip_prefix("--").is_some_and(|name| name.starts_with(|char: char| char.is_ascii_lowercase())) {
            found.insert(word.to_string());
        }
    }
    found
}

/// The options that a help lists: each begins a line, before what is said of it.
fn listed_options(help: &str) -> BTreeSet<String> {
    let is_option = |line: &&str| line.trim_start().starts_with('-');
    help.lines()
        .filter(is_option)
        .flat_map(|line| long_options(line.trim_start().split("  ").next().unwrap_or_default()))
        .collect()
}

/// The first cells of all tables of the pages under docs/.
fn explained() -> Vec<(String, String)> {
    let pages = pages();
    let docs = pages.iter().filter(|(name, _)| name.starts_with("docs/"));
    let rows = docs.flat_map(|(name, page)| {
        lines(page)
            .filter_map(|(language, line)| if language.is_none() { cells(line) } else { None })
            .filter_map(|cells| Some((name.clone(), cells.into_iter().next()?)))
            .collect::<Vec<_>>()
    });
    rows.collect()
}

#[test]
fn every_option_and_every_command_is_explained() {
    let mut all = BTreeMap::new();
    collect_helps(&[], &mut all);
    assert!(all.len() > 10 && all.contains_key("sources forget"), "{:?}", all.keys());
    let rows = explained();
    let in_rows: BTreeSet<String> = rows.iter().flat_map(|(_, cell)| spans(cell)).flat_map(long_options).collect();
    let mut options = BTreeSet::new();
    for (command, help) in &all {
        let listed = listed_options(help);
        assert!(listed.contains("--help") && listed.contains("--store"), "{command}: {listed:?}");
        for option in listed {
            assert!(in_rows.contains(&option), "no table under docs/ explains {option} of `chatwal {command}`");
            options.insert(option);
        }
        let has_row = |(_, cell): &(String, String)| {
            let mut words = spans(cell).map(|span| span.split(' '));
            words.any(|mut words| command.split(' ').all(|word| words.next() == Some(word)))
        };
        assert!(command.is_empty() || rows.iter().any(has_row), "no table under docs/ explains `chatwal {command}`");
    }
    // And the other way round: the guide's tables name nothing that is not there.
    let guide =
        rows.iter().filter(|(name, cell)| name == "docs/guide.md" && cell.starts_with('`') && cell.contains("`-"));
    for option in guide.flat_map(|(_, cell)| spans(cell)).filter(|span| span.starts_with('-')).flat_map(long_options) {
        assert!(options.contains(&option), "docs/guide.md explains {option}, which no help lists");
    }
}

#[test]
fn messages_are_those_of_the_program() {
    let mut source = String::new();
    for path in files("src").iter().filter(|path| path.extension() == Some(OsStr::new("rs"))) {
        let mut goes_on = false;
        let text = fs::read_to_string(path).unwrap();
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            let line = if goes_on { line.trim_start() } else { line };
            goes_on = line.ends_with('\\');
            source.push_str(line.trim_end_matches('\\'));
            source.push_str(if goes_on { "" } else { "\n" });
        }
    }
    let guide = text("docs/guide.md");
    let (_, table) = guide.split_once("\n## Troubleshooting by message\n").unwrap();
    let (table, _) = table.split_once("\n## ").unwrap();
    let mut looked_for = 0;
    for cell in table.lines().filter_map(cells).filter_map(|cells| cells.into_iter().next()) {
        for message in spans(&cell).filter(|message| !OF_OTHERS.contains(message)) {
            // Numbers and names are filled in.
            let is_filled_in =
                |word: &str| word.contains('…') || word.chars().all(|char| !char.is_lowercase()) && word != "JSON";
            let mut piece = String::new();
            for word in message.split(' ').chain(["…"]) {
                if !is_filled_in(word) {
                    piece += if piece.is_empty() { "" } else { " " };
                    piece += word;
                    continue;
                }
                let wanted = std::mem::take(&mut piece);
                let wanted = wanted.trim_matches(|char: char| !char.is_alphanumeric());
                assert!(source.contains(wanted), "the program does not say {wanted:?}, as docs/guide.md has it");
                looked_for += usize::from(!wanted.is_empty());
            }
        }
    }
    assert!(looked_for > 30, "{looked_for}");
}

/// What a heading is called in links, as code hosts make it.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || "-_ ".contains(*char));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    for (_, line) in lines(page).filter(|(language, line)| language.is_none() && line.starts_with('#')) {
        let base = anchor(line.trim_start_matches('#').trim());
        let mut name = base.clone();
        let mut number = 0;
        while !anchors.insert(name.clone()) {
            number += 1;
            name = format!("{base}-{number}");
        }
    }
    anchors
}

/// Where the links of a page lead.
fn links(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (_, line) in lines(page).filter(|(language, line)| language.is_none() && !line.starts_with("    ")) {
        // Without what stands between backticks.
        let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let targets = plain.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(str::to_string));
    }
    found
}

#[test]
fn every_link_leads_to_something() {
    let mut pages = pages();
    for name in ["wal-format.md", "CHANGELOG.md", "docs/performance.md"] {
        pages.insert(name.into(), text(name));
    }
    let mut followed = 0;
    for (name, page) in &pages {
        for link in links(page).iter().filter(|link| !link.contains("://")) {
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            assert!(!file.starts_with('/'), "{name}: {link} is not relative");
            let path = match file {
                "" => PathBuf::from(name),
                file => Path::new(name).parent().unwrap().join(file),
            };
            let full = root().join(&path);
            assert!(full.exists(), "{name}: {link} leads to no file");
            let inside = full.canonicalize().unwrap().starts_with(root().canonicalize().unwrap());
            assert!(inside, "{name}: {link} leads out of the repository");
            if !place.is_empty() {
                let there = anchors(&text(&path));
                assert!(there.contains(place), "{name}: {link}: no such heading among {there:?}");
            }
            followed += 1;
        }
    }
    assert!(followed > 40, "{followed}");
}

#[test]
fn every_path_is_there() {
    // The pages are written for the layout in rooms.
    if !root().join("src/event").is_dir() {
        return;
    }
    let mut looked_for = 0;
    for (name, page) in &pages() {
        for (_, line) in lines(page).filter(|(language, _)| language.is_none()) {
            for path in spans(line).filter_map(|span| span.split(' ').next()) {
                let own = ["src/", "tests/", "tools/", "benches/", "fuzz/", "examples/", "docs/"];
                if own.iter().any(|room| path.starts_with(room)) && !path.ends_with(".chatwal") {
                    assert!(root().join(path).exists(), "{name}: there is no {path}");
                    looked_for += 1;
                }
            }
        }
    }
    assert!(looked_for > 80, "{looked_for}");
}

#[test]
fn the_readme_is_short() {
    let page = text("README.md");
    assert!(page.lines().count() < 150, "{} lines", page.lines().count());
    for line in text("examples/chat.report").lines().take(3) {
        assert!(page.contains(&format!("\n    {line}\n")), "the bundled example prints {line}");
    }
    // A script puts a table between them.
    assert_eq!(page.matches("\n<!-- figures: tools/compare.py -->\n").count(), 1);
    assert_eq!(page.matches("\n<!-- end of figures -->\n").count(), 1);
}

/// The oldest Rust that is named works for all that chatwal is made of.
#[test]
fn no_dependency_needs_a_newer_rust_than_is_named() {
    let metadata =
        ["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu"];
    let output = Command::new(env!("CARGO")).args(metadata).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |version: &str| version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>();
    let ours = env!("CARGO_PKG_RUST_VERSION");
    let packages = metadata["packages"].as_array().unwrap();
    assert!(packages.len() > 50);
    for package in packages {
        let theirs = package["rust_version"].as_str().unwrap_or("1.0");
        assert!(number(theirs) <= number(ours), "{} needs Rust {theirs}; Cargo.toml says {ours}", package["name"]);
    }
    for page in ["README.md", "docs/guide.md"] {
        assert!(text(page).contains(ours), "{page} names another Rust than {ours}");
    }
}
