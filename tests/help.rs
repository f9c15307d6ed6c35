//! What the program tells of itself: helps, topics, manual pages, completions, and the variables of the environment.

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use support::cli::{CHATWAL, Ran, Sandbox, run};

/// Two good lines, and one that is mended by a name.
const LINES: &str = "\
{\"id\":\"a\",\"type\":\"status\",\"from\":\"o1\",\"site_id\":\"123\",\"timestamp\":10,\"data\":{\"status\":\"online\"}}
{\"id\":\"b\",\"type\":\"message\",\"from\":\"v1\",\"siteId\":\"123\",\"timestamp\":20,\"data\":{\"message\":\"hi\"}}
{\"id\":\"c\",\"type\":\"message\",\"from\":\"v2\",\"site_id\":\"124\",\"timestamp\":5,\"data\":{\"message\":\"hi\"}}
";

/// A directory in which every example runs.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("chat.jsonl", LINES);
    std::fs::create_dir(sandbox.path("days")).unwrap();
    sandbox.write("days/first.jsonl", LINES.lines().next().unwrap());
    sandbox.shell("tail -n 2 chat.jsonl | gzip > old.jsonl.gz").expect(0);
    sandbox.run("-q --store chats ingest chat.jsonl old.jsonl.gz").expect(3);
    sandbox
}

/// Every command, by its words, with its help.
fn helps() -> BTreeMap<String, String> {
    let sandbox = Sandbox::new();
    let main = sandbox.run("--help").expect(0).silently().out;
    let is_command = |line: &&str| line.starts_with("  ") && line.as_bytes().get(2).is_some_and(u8::is_ascii_lowercase);
    let names: Vec<String> = main
        .lines()
        .take_while(|line| *line != "Global options:")
        .filter(is_command)
        .map(|line| line.split_whitespace().next().unwrap().to_string())
        .chain(["sources forget".to_string()])
        .collect();
    assert!(names.len() >= 15, "{names:?}");
    let mut helps: BTreeMap<String, String> = names
        .into_iter()
        .map(|name| (name.clone(), sandbox.run(&format!("{name} --help")).expect(0).silently().out))
        .collect();
    helps.insert(String::new(), main);
    helps
}

#[test]
fn every_example_of_a_help_runs() {
    let mut tried = 0;
    for (command, help) in helps().iter().filter(|(command, _)| !command.is_empty()) {
        let (_, examples) = help.split_once("\nExamples:\n").unwrap_or_else(|| panic!("{command}: no example"));
        for example in examples.lines().filter_map(|line| line.strip_prefix("  $ ")) {
            assert!(example.contains(&format!("chatwal {command}")), "{command}: {example}");
            let sandbox = sandbox();
            let programs = Path::new(CHATWAL).parent().unwrap();
            let ran = sandbox.shell(&format!("PATH={}:$PATH\n{example}", programs.display()));
            // Rejects of what was taken in are the reader's to look at.
            let has_rejects = ran.err.contains("rejects");
            assert!(ran.code == Some(0) || (ran.code == Some(3) && has_rejects), "{example}: {ran:#?}");
            tried += 1;
        }
    }
    assert!(tried >= 20, "{tried}");
}

#[test]
fn each_option_has_its_variable() {
    for (command, help) in helps() {
        let flat = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let options = help.lines().filter_map(|line| line.trim_start().strip_prefix('-'));
        let options = options.filter_map(|line| line.split("--").nth(1).or(line.strip_prefix('-')));
        let names =
            options.map(|line| line.split(|char: char| !(char.is_ascii_lowercase() || char == '-')).next().unwrap());
        let mut seen = 0;
        for name in names.filter(|name| !["help", "version"].contains(name)) {
            let variable = format!("[env: CHATWAL_{}]", name.to_uppercase().replace('-', "_"));
            assert!(flat.contains(&variable), "`chatwal {command}`: --{name} has no {variable}:\n{help}");
            seen += 1;
        }
        assert!(seen >= 8, "`chatwal {command}`: {seen} options");
    }
}

/// Runs chatwal with variables of the environment.
fn with(sandbox: &Sandbox, variables: &[(&str, &str)], arguments: &str) -> Ran {
    let mut command = sandbox.chatwal(arguments);
    command.envs(variables.iter().copied());
    run(command)
}

#[test]
fn the_command_line_goes_before_the_environment() {
    let sandbox = sandbox();
    let json = |ran: &Ran| ran.out.starts_with('[');
    let store = ("CHATWAL_STORE", "chats");
    let format = ("CHATWAL_FORMAT", "json");
    assert!(json(&with(&sandbox, &[store, format], "report").expect(0)));
    assert!(!json(&with(&sandbox, &[store, format], "report --format csv").expect(0)));
    // An empty one is none.
    assert!(!json(&with(&sandbox, &[store, ("CHATWAL_FORMAT", "")], "report").expect(0)));
    let wrong = with(&sandbox, &[store, ("CHATWAL_FORMAT", "xml")], "report").expect(2);
    assert!(wrong.err.contains("xml") && wrong.err.contains("--format"), "{}", wrong.err);
    assert!(with(&sandbox, &[store, ("CHATWAL_MEMORY", "lots")], "report").expect(2).err.contains("--memory"));
    // What does not go together: the one that is typed counts.
    let loud =
        |variables: &[(&str, &str)], arguments: &str| !with(&sandbox, variables, arguments).expect(0).err.is_empty();
    assert!(loud(&[store], "report -v"));
    assert!(!loud(&[store, ("CHATWAL_VERBOSE", "no")], "report"));
    assert!(loud(&[store, ("CHATWAL_VERBOSE", "1")], "report"));
    assert!(!loud(&[store, ("CHATWAL_VERBOSE", "1")], "report -q"));
    assert!(loud(&[store, ("CHATWAL_QUIET", "on")], "-v report"));
    for value in ["0", "off", "FALSE", ""] {
        assert!(loud(&[store, ("CHATWAL_QUIET", value), ("CHATWAL_VERBOSE", "yes")], "report"), "{value:?}");
    }
    with(&sandbox, &[store, ("CHATWAL_QUIET", "1"), ("CHATWAL_VERBOSE", "1")], "report").expect(2);
    with(&sandbox, &[store, ("CHATWAL_QUIET", "perhaps")], "report").expect(2);
    with(&sandbox, &[store, ("CHATWAL_MAX_REJECTS", "0")], "-q ingest --strict --from-start chat.jsonl").expect(1);
    with(&sandbox, &[store, ("CHATWAL_STRICT", "1")], "-q ingest --max-rejects all --from-start chat.jsonl").expect(3);
    with(&sandbox, &[store, ("CHATWAL_RAW", "1")], "rejects --format csv").expect(0);
}

#[test]
fn a_variable_concerns_what_is_asked() {
    let sandbox = sandbox();
    let store = ("CHATWAL_STORE", "chats");
    // A list of inputs stands in for inputs, and is not read beside those that are typed.
    sandbox.write("list", "days/first.jsonl\n");
    let list = ("CHATWAL_FILES_FROM", "list");
    with(&sandbox, &[store, list], "-q ingest chat.jsonl").expect(3);
    let sources = |sandbox: &Sandbox| sandbox.run("sources --store chats").expect(0).out;
    assert!(!sources(&sandbox).contains("days"), "{}", sources(&sandbox));
    with(&sandbox, &[store, list], "-q ingest").expect(0);
    assert!(sources(&sandbox).contains("days"));
    // Nothing is printed that a format could be for.
    with(&sandbox, &[store, ("CHATWAL_FORMAT", "json")], "sources forget days/first.jsonl").expect(0);
    // Nor is a site's name one for a report's options.
    with(&sandbox, &[store, ("CHATWAL_SITE", "123"), ("CHATWAL_UNIT", "fortnights")], "stat").expect(0);
    let one = with(&sandbox, &[store, ("CHATWAL_SITE", "123")], "report").expect(0).out;
    assert_eq!(one, "123,messages=0,emails=0,operators=1,visitors=0\n");
}

#[test]
fn without_a_command_the_likely_ones_are_shown() {
    let sandbox = Sandbox::new();
    for arguments in ["", "--store s"] {
        let ran = sandbox.run(arguments).expect(2);
        assert_eq!(ran.out, "");
        for text in ["chatwal run FILE", "chatwal ingest", "chatwal report", "--help"] {
            assert!(ran.err.contains(text), "{text}: {}", ran.err);
        }
        assert!(ran.err.lines().count() <= 6, "{}", ran.err);
    }
}

#[test]
fn topics_are_explained() {
    let sandbox = Sandbox::new();
    for (topic, parts) in [
        ("meaning", ["chat", "email", "copies", "reject"]),
        ("exit", ["10 ", "11 ", "130", "corruption"]),
        ("environment", ["CHATWAL_STORE", "NO_COLOR", "TMPDIR", "CHATWAL_MAX_REJECTS"]),
    ] {
        let text = sandbox.run(&format!("help {topic}")).expect(0).silently().out;
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        assert!(text.lines().all(|line| line.len() <= 120), "{text}");
        assert!(sandbox.run("--help").out.contains(&format!("\n  {topic} ")), "{topic} is not in the help");
    }
    let of = |arguments: &str| sandbox.run(arguments).expect(0).silently().out;
    assert_eq!(of("help"), of("--help"));
    assert_eq!(of("help report"), of("report --help"));
    assert_eq!(of("help sources forget"), of("sources forget --help"));
    let unknown = sandbox.run("help frobnicate").fails(2, &["frobnicate"]);
    assert!(unknown.err.contains("help meaning"), "{}", unknown.err);
}

#[test]
fn there_is_a_manual_page_for_each_command() {
    let sandbox = Sandbox::new();
    sandbox.run("man --into pages/man1").expect(0).silently();
    let main = String::from_utf8(sandbox.read("pages/man1/chatwal.1")).unwrap();
    assert_eq!(main, sandbox.run("man").expect(0).silently().out);
    let of_one = sandbox.run("man sources forget").expect(0).silently().out;
    assert_eq!(of_one.as_bytes(), sandbox.read("pages/man1/chatwal-sources-forget.1"));
    sandbox.run("man frobnicate").fails(2, &["frobnicate"]);
    for section in ["NAME", "SYNOPSIS", "WHAT IS COUNTED", "EXAMPLES", "EXIT STATUS", "ENVIRONMENT", "SEE ALSO"] {
        assert!(main.contains(section), "{section}");
    }
    for command in helps().keys().filter(|command| !command.is_empty()) {
        let name = format!("pages/man1/chatwal-{}.1", command.replace(' ', "-"));
        let page = String::from_utf8(sandbox.read(&name)).unwrap();
        assert!(page.contains("EXAMPLES") && page.contains("CHATWAL_MEMORY"), "{name}: {page}");
    }
    // A page that a formatter stumbles over is no page.
    if Command::new("mandoc").arg("-V").output().is_ok() {
        let ran = sandbox.shell("mandoc -T lint -W error pages/man1/*.1").expect(0);
        assert_eq!(ran.out, "");
    }
}

/// The shells in which completions are tried, and how: `$script` is what completes, `$line` what was typed before the tab.
const SHELLS: [(&str, &str); 3] = [
    (
        "bash",
        "source $script; COMP_LINE=\"$line\"; COMP_POINT=${#line}; read -ra COMP_WORDS <<< \"$line\"
        [[ $line == *' ' ]] && COMP_WORDS+=('')
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
        _chatwal chatwal \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"; printf '%s\\n' \"${COMPREPLY[@]}\"",
    ),
    (
        // zsh completes only at a terminal.
        "zsh",
        "zmodload zsh/zpty; zpty shell 'zsh -f -i'
        zpty -w shell \"PS1=; fpath=($PWD \\$fpath); autoload -U compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''\"
        zpty -w shell 'echo re''ady'; zpty -r shell seen '*ready*'
        zpty -n -w shell \"$line\"$'\\t\\t'; all=
        look() { while zpty -rt shell seen; do all+=$seen; done }
        repeat 80; do sleep 0.25; look; [[ $all == *$wanted* ]] && break; done
        sleep 0.25; look; print -r -- \"$all\"",
    ),
    ("fish", "source $script; complete -C \"$line\""),
];

#[test]
fn shells_complete_commands_and_values() {
    for (shell, how) in SHELLS {
        let sandbox = Sandbox::new();
        sandbox.shell(&format!("$chatwal completions {shell} > _chatwal")).expect(0).silently();
        assert!(sandbox.read("_chatwal").len() > 1000, "{shell}");
        if Command::new(shell).arg("--version").output().is_err() {
            println!("{shell} is not installed");
            continue;
        }
        for (line, wanted) in [
            ("chatwal rep", &["report", "repair"][..]),
            ("chatwal report --format ", &["line", "csv", "json", "ndjson", "table"]),
            ("chatwal ingest --dur", &["--durability"]),
        ] {
            let mut command = sandbox.program(shell, "-c");
            command
                .arg(how)
                .env("script", "./_chatwal")
                .env("line", line)
                .env("wanted", wanted[wanted.len() - 1])
                .env("TERM", "xterm")
                .env("HOME", sandbox.root());
            let ran = run(command);
            for word in wanted {
                assert!(ran.out.contains(word), "{shell}: {line}<TAB> does not give {word}: {ran:?}");
            }
        }
    }
}
