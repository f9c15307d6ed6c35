//! Paths as a shell takes them: what a hint names can be pasted, whatever the file is called.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use crate::base::text::is_unprintable;

/// A path as one word of a shell, and one that no program takes for an option.
///
/// Bare, where it has letters, digits and harmless signs only; else in single quotes; in `$'…'`, which POSIX has too,
/// where something in it cannot be shown. Bytes stand as octal numbers there: always three digits, since what follows may be a
/// digit too.
pub fn quoted(path: impl AsRef<Path>) -> String {
    let path = path.as_ref().as_os_str();
    let bytes = path.as_bytes();
    match bytes.first() {
        // As a path, not as an option or as standard input.
        Some(b'-') => word(&[b"./", bytes].concat()),
        _ => word(bytes),
    }
}

/// The pattern of all files in a directory.
pub fn files_in(directory: impl AsRef<Path>) -> String {
    let word = quoted(directory);
    let end = if word.ends_with('/') { "*" } else { "/*" };
    word + end
}

fn word(bytes: &[u8]) -> String {
    let text = str::from_utf8(bytes).ok().filter(|text| !text.contains(is_unprintable));
    match text {
        Some(text) if !text.is_empty() && text.chars().all(is_harmless) => text.into(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => escaped(bytes),
    }
}

/// What means nothing to a shell, wherever in a word it stands.
fn is_harmless(char: char) -> bool {
    char.is_alphanumeric() || "/._-+:@%,".contains(char)
}

fn escaped(bytes: &[u8]) -> String {
    let mut out = String::from("$'");
    for piece in bytes.utf8_chunks() {
        for char in piece.valid().chars() {
            match char {
                '\'' | '\\' => out.extend(['\\', char]),
                '\n' => out.push_str("\\n"),
                '\t' => out.push_str("\\t"),
                _ if is_unprintable(char) => octal(&mut out, char.encode_utf8(&mut [0; 4]).as_bytes()),
                _ => out.push(char),
            }
        }
        octal(&mut out, piece.invalid());
    }
    out.push('\'');
    out
}

fn octal(out: &mut String, bytes: &[u8]) {
    for byte in bytes {
        out.push_str(&format!("\\{byte:03o}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;
    use std::process::Command;

    const NAMES: [(&[u8], &str); 19] = [
        (b"plain/file-1.jsonl", "plain/file-1.jsonl"),
        ("büro/日本".as_bytes(), "büro/日本"),
        (b"two words", "'two words'"),
        (b"it's", r"'it'\''s'"),
        (b"$HOME", "'$HOME'"),
        (b"~", "'~'"),
        (b"a`b\"c\\d", "'a`b\"c\\d'"),
        (b"*?[x]!#;&|<>(){}=^", "'*?[x]!#;&|<>(){}=^'"),
        (b"-rf", "./-rf"),
        (b"- x", "'./- x'"),
        (b"-", "./-"),
        (b"", "''"),
        (b"a\nb\tc\x1b", r"$'a\nb\tc\033'"),
        (b"nu\xff7", r"$'nu\3777'"),
        ("it's \u{202e}\\".as_bytes(), r"$'it\'s \342\200\256\\'"),
        (b"\xc2\xa0x", r"$'\302\240x'"),
        ("a\u{3000}1".as_bytes(), r"$'a\343\200\2001'"),
        ("\u{e000}\u{2003}\u{2800}".as_bytes(), r"$'\356\200\200\342\200\203\342\240\200'"),
        ("\u{feff}in".as_bytes(), r"$'\357\273\277in'"),
    ];

    #[test]
    fn a_path_is_one_word() {
        for (name, word) in NAMES {
            assert_eq!(quoted(OsStr::from_bytes(name)), word);
        }
        assert_eq!(files_in("my dir"), "'my dir'/*");
        assert_eq!(files_in("/"), "/*");
    }

    #[test]
    fn a_shell_takes_it_for_the_same_path() {
        // One that knows `$'…'`.
        let known = |shell: &&str| Command::new(shell).args(["-c", "true"]).status().is_ok();
        let Some(shell) = ["bash", "zsh", "ksh"].into_iter().find(known) else { return };
        for (name, _) in NAMES {
            let script = format!("printf '%s' {}", quoted(OsStr::from_bytes(name)));
            let read = Command::new(shell).args(["-c", &script]).output().unwrap().stdout;
            assert_eq!(read.strip_prefix(b"./").unwrap_or(&read), name, "{script}");
        }
    }
}
