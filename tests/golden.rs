//! What the program says, as scripts to be read: each file of `tests/golden` holds commands and, indented, what they print.
//!
//! A command begins with `$ `, its further lines with `> `. What it prints, on both outputs, stands below it behind two spaces;
//! last comes its exit status, unless it is 0. Everything else is prose. The commands of a file run in one fresh directory, with
//! `sh`. Ids, which are random, are numbered: the first is `<id 1>`.
//!
//! `GOLDEN=write cargo test --test golden` writes what the program says now: read the difference before you commit it.

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use support::cli::{CHATWAL, Sandbox};

const ID: usize = 32;

/// A text with random ids replaced by their numbers.
fn numbered(text: &str, ids: &mut BTreeMap<String, usize>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|char: char| !char.is_ascii_hexdigit()).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(if length > 0 { length } else { first.len_utf8() });
        if word.len() == ID && length > 0 {
            let next = ids.len() + 1;
            out.push_str(&format!("<id {}>", ids.entry(word.into()).or_insert(next)));
        } else {
            out.push_str(word);
        }
        rest = behind;
    }
    out
}

/// Runs a command; what it prints, and its exit status.
fn run(command: &str, sandbox: &Sandbox, ids: &mut BTreeMap<String, usize>) -> String {
    let programs = Path::new(CHATWAL).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &format!("{{ {command}\n}} 2>&1")])
        .current_dir(sandbox.root())
        .env("PATH", path)
        .env_remove("CHATWAL_STORE")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let said = numbered(&String::from_utf8(output.stdout).unwrap(), ids);
    let mut shown: String = said.lines().map(|line| format!("  {line}").trim_end().to_owned() + "\n").collect();
    match output.status.code() {
        Some(0) => {}
        code => shown.push_str(&format!("  [exit {}]\n", code.unwrap())),
    }
    shown
}

/// What a script would be if it said what the program says now.
fn replayed(script: &str) -> String {
    let (sandbox, mut ids, mut out) = (Sandbox::new(), BTreeMap::new(), String::new());
    let mut lines = script.lines().peekable();
    while let Some(line) = lines.next() {
        out.push_str(line);
        out.push('\n');
        let Some(first) = line.strip_prefix("$ ") else { continue };
        let mut command = first.to_owned();
        while let Some(more) = lines.next_if(|line| line.starts_with("> ")) {
            out.push_str(more);
            out.push('\n');
            command.push('\n');
            command.push_str(&more[2..]);
        }
        // What it said before. An empty line inside of it has no spaces.
        let is_answer = |line: &&str| line.starts_with("  ");
        while lines.next_if(is_answer).is_some() {}
        out.push_str(&run(&command, &sandbox, &mut ids));
    }
    out
}

#[test]
fn the_program_says_what_the_scripts_say() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(scripts.len() >= 4, "{scripts:?}");
    let mut differ = Vec::new();
    for path in scripts {
        let script = std::fs::read_to_string(&path).unwrap();
        let now = replayed(&script);
        if now == script {
            continue;
        }
        if std::env::var_os("GOLDEN").is_some_and(|value| value == "write") {
            std::fs::write(&path, now).unwrap();
            continue;
        }
        let pairs = script.lines().zip(now.lines());
        let (line, (then, now)) = (1..).zip(pairs).find(|(_, (a, b))| a != b).unwrap_or((0, ("", "")));
        differ.push(format!("{}:{line}:\n  is {then:?}\n now {now:?}", path.display()));
    }
    assert!(
        differ.is_empty(),
        "{}\nread the difference, then: GOLDEN=write cargo test --test golden",
        differ.join("\n")
    );
}

#[test]
fn what_is_said_stands_below_the_command() {
    let script = "Prose.\n$ printf 'a\\n\\nb'; exit 3\n  old\n\n$ cat <<E\n> x\n> E\nMore.\n";
    let now = "Prose.\n$ printf 'a\\n\\nb'; exit 3\n  a\n\n  b\n  [exit 3]\n\n$ cat <<E\n> x\n> E\n  x\nMore.\n";
    assert_eq!(replayed(script), now);
    let mut ids = BTreeMap::new();
    let (one, two) = ("0123456789abcdef".repeat(2), "f".repeat(32));
    let text = format!("é {one}, {two} and {one} {one}0");
    assert_eq!(numbered(&text, &mut ids), format!("é <id 1>, <id 2> and <id 1> {one}0"));
}
