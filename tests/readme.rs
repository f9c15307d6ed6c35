//! Every command that the README shows in its `sh` blocks works as it stands there.

use std::path::Path;
use std::process::Command;

/// The lines of the page's ```sh blocks.
fn commands(page: &str) -> Vec<&str> {
    let mut inside = false;
    let mut commands = Vec::new();
    for line in page.lines() {
        match line.trim() {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => commands.push(line),
            _ => {}
        }
    }
    commands
}

#[test]
fn its_commands_work() {
    let commands = commands(include_str!("../README.md"));
    assert!(commands.len() > 10, "the page shows commands");
    let programs = Path::new(env!("CARGO_BIN_EXE_chatwal")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let directory = tempfile::tempdir().unwrap();
    let script = format!("set -eu\n{}\n", commands.join("\n"));
    let output = Command::new("sh").args(["-c", &script]).env("PATH", path).current_dir(&directory).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert!(out.contains("site_id") && out.contains("\"type\":"), "{out}");
    assert!(!err.contains("error"), "{err}");
}
