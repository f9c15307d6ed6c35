//! The rooms of the library, from the ground up: what is imported points down, and a file can be read in one go.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms by layer. A room uses itself and what is in layers below its own; rooms of one layer know nothing of each other.
const LAYERS: &[&[&str]] = &[
    // What went wrong, and what every room needs to say so.
    &["error", "base"],
    &["event"],
    &["format"],
    &["disk"],
    &["segment", "snapshot"],
    &["store"],
    &["intake", "query"],
    &["upkeep"],
    &["show"],
];

/// Errors name paths in quotes, and refused memory is an error: these two know each other.
const GROUND: &[&str] = LAYERS[0];

/// The most lines of a file, its unit tests not counted.
const MOST_LINES: usize = 400;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// What a source names behind `crate::`, with the lines; not what comments lead to.
fn imports(source: &str) -> Vec<(usize, &str)> {
    let code = |line: &str| !line.trim_start().starts_with("//");
    (1..)
        .zip(source.lines())
        .filter(|(_, line)| code(line))
        .flat_map(|(number, line)| line.split("crate::").skip(1).map(move |rest| (number, rest)))
        .map(|(number, rest)| {
            let end = rest.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(rest.len());
            (number, &rest[..end])
        })
        .collect()
}

/// The layer of a room, from the ground.
fn layer(room: &str) -> Option<usize> {
    LAYERS.iter().position(|rooms| rooms.contains(&room))
}

/// Whether one room may use another.
fn may_use(room: &str, other: &str) -> bool {
    let both_below = GROUND.contains(&room) && GROUND.contains(&other);
    room == other || both_below || matches!((layer(room), layer(other)), (Some(own), Some(below)) if below < own)
}

#[test]
fn what_is_imported_points_down() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut wrong, mut uses) = (Vec::new(), BTreeMap::<String, usize>::new());
    for path in files {
        let place = path.strip_prefix(&root).unwrap();
        let first = place.iter().next().unwrap().to_str().unwrap();
        let room = first.strip_suffix(".rs").unwrap_or(first);
        if ["cli", "lib"].contains(&room) {
            continue;
        }
        assert!(layer(room).is_some(), "{}: is in no room of the table", place.display());
        let source = std::fs::read_to_string(&path).unwrap();
        for (line, other) in imports(&source) {
            *uses.entry(other.into()).or_default() += 1;
            if !may_use(room, other) {
                wrong.push(format!("src/{}:{line}: {room} uses {other}", place.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{} imports point up or across:\n{}", wrong.len(), wrong.join("\n"));
    assert!(uses.len() >= 8, "nearly all rooms are used by others: {uses:?}");
}

#[test]
fn an_import_that_points_up_or_across_is_found() {
    assert_eq!(
        imports("use crate::store::View;\n// crate::cli\nlet a = crate::event::X + crate::disk;"),
        [(1, "store"), (3, "event"), (3, "disk")]
    );
    for (room, other, may) in [
        ("store", "format", true),
        ("format", "store", false),
        ("intake", "query", false),
        ("base", "error", true),
        ("error", "event", false),
        ("event", "nothing", false),
    ] {
        assert_eq!(may_use(room, other), may, "{room} uses {other}");
    }
}

/// The lines of a source but for the unit tests, which are at its end.
fn lines(source: &str) -> usize {
    source.lines().take_while(|line| *line != "#[cfg(test)]").count()
}

#[test]
fn a_file_can_be_read_in_one_go() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    sources(&root.join("tools"), &mut files);
    let mut long = Vec::new();
    for path in files.iter().filter(|path| path.file_stem().is_none_or(|name| name != "tests")) {
        let count = lines(&std::fs::read_to_string(path).unwrap());
        if count > MOST_LINES {
            long.push(format!("{}: {count}", path.strip_prefix(root).unwrap().display()));
        }
    }
    assert!(long.is_empty(), "more than {MOST_LINES} lines without their tests:\n{}", long.join("\n"));
    assert_eq!(lines("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
}
