//! Many inputs: directories, lists, and files that are named more than once.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use crate::support::cli::{Ran, Sandbox, gzip, message, run};

/// A line of a site that is called as its file.
fn event(name: &str) -> String {
    let name = name.replace('\n', " ");
    message(&name, &name, "v", 1)
}

/// Files with an event each, in the directories that they need.
fn files(sandbox: &Sandbox, names: &[&str]) {
    for name in names {
        fs::create_dir_all(sandbox.path(name).parent().unwrap()).unwrap();
        sandbox.write(name, event(name));
    }
}

/// The inputs in the order in which they were read.
fn read(ran: &Ran) -> Vec<String> {
    ran.done().iter().map(|done| done["input"].as_str().unwrap().to_owned()).collect()
}

/// The sites of the store, and so the files that were read.
fn sites(sandbox: &Sandbox) -> Vec<String> {
    sandbox.report().lines().map(|line| line.split(",messages=").next().unwrap().to_owned()).collect()
}

#[test]
fn a_directory_is_read_in_the_order_of_the_bytes_of_its_paths() {
    let sandbox = Sandbox::new();
    let names = ["d/Z", "d/a!", "d/a-b", "d/a.txt", "d/a/1", "d/a/10", "d/a/2", "d/a/b/c/d", "d/a0", "d/ü", "d/z z"];
    let mut sorted = names;
    sorted.sort_unstable();
    let mut shuffled = names;
    shuffled.reverse();
    files(&sandbox, &shuffled);
    files(&sandbox, &["e", "c"]);
    let ran = sandbox.run("ingest --store s --progress json --recursive e d c").expect(0);
    assert_eq!(read(&ran), [&["e"][..], &sorted, &["c"]].concat());
    let mut all = [&sorted[..], &["c", "e"]].concat();
    all.sort_unstable();
    assert_eq!(sites(&sandbox), all);
    // Named in another way, by a link or with a slash, it is the same content, and goes on.
    symlink(sandbox.path("d"), sandbox.path("link")).unwrap();
    for directory in ["d/", "./d", "link", "link/", "d/../d"] {
        let ran = sandbox.run(&format!("ingest --store s --recursive {directory}")).expect(0);
        ran.says(&["11 inputs, 11 with nothing new"]);
    }
}

#[test]
fn without_recursive_a_directory_is_an_error_that_names_it() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["my dir/a", "b"]);
    let mut command = sandbox.chatwal("ingest --store s");
    command.arg("my dir");
    run(command).fails(1, &["my dir: a directory"]).says(&["--recursive", "or name the files in it: 'my dir'/*"]);
    assert!(!sandbox.has("s"), "no store is made for a typing error");
    // The others are read all the same.
    let mut command = sandbox.chatwal("ingest --store s b");
    command.arg("my dir");
    run(command).fails(1, &["my dir: a directory"]);
    assert_eq!(sites(&sandbox), ["b"]);
    sandbox.write("list", "my dir\nb\n");
    sandbox.run("ingest --store s --files-from list").fails(1, &["my dir: a directory"]);
}

#[test]
fn what_is_no_input_in_a_directory_is_passed_over_and_said() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["d/a", "d/.hidden", "d/.git/b", "d/sub/.x", "d/sub/c", "other/f"]);
    sandbox.run("ingest -q --store d/a.chatwal d/a").expect(0);
    for (directory, file) in [("d/lock", "LOCK"), ("d/wal", "x.wal")] {
        fs::create_dir(sandbox.path(directory)).unwrap();
        sandbox.write(format!("{directory}/{file}"), event("in a store"));
        sandbox.write(format!("{directory}/y"), event("in a store"));
    }
    symlink(sandbox.path("other"), sandbox.path("d/link")).unwrap();
    symlink("..", sandbox.path("d/sub/up")).unwrap();
    symlink(sandbox.path("other/f"), sandbox.path("d/file")).unwrap();
    sandbox.shell("mkfifo d/pipe").expect(0);
    let ran = sandbox.run("ingest --store s --progress json --recursive d").expect(0);
    assert_eq!(read(&ran), ["d/a", "d/file", "d/sub/c"]);
    assert_eq!(sites(&sandbox), ["d/a", "d/sub/c", "other/f"]);
    let ran = ran
        .says(&["passed over, hidden: d/.git, d/.hidden, d/sub/.x"])
        .says(&["passed over, a chatwal store, by its LOCK or *.wal: d/a.chatwal, d/lock, d/wal"])
        .says(&["passed over, a link to a directory: d/link, d/sub/up"])
        .says(&["passed over, neither a file nor a directory: d/pipe"]);
    assert!(!ran.err.contains("error") && !ran.err.contains("warning"), "{ran:#?}");
    sandbox.run("ingest --store t -q --recursive d").expect(0).silently();
    // One by one with -v, else some and their number.
    sandbox.run("ingest --store s -v --recursive d").expect(0).says(&["d/sub/.x: passed over: hidden"]);
    files(&sandbox, &["h/.1", "h/.2", "h/.3", "h/.4", "h/.5"]);
    sandbox
        .run("ingest --store s --recursive h")
        .expect(0)
        .says(&["passed over, hidden: h/.1, h/.2, h/.3 and 2 more"])
        .says(&["warning: h: no file in it, nothing to read"]);
    // What is named is no find.
    assert_eq!(
        read(&sandbox.run("ingest --store s --progress json --recursive d/.git d/.hidden").expect(0)),
        ["d/.git/b", "d/.hidden"]
    );
    let mut command = sandbox.chatwal("ingest --store ../s --progress json --recursive .");
    command.current_dir(sandbox.path("other"));
    assert_eq!(read(&run(command).expect(0)), ["./f"]);
    sandbox.run("ingest --store s --recursive d/a.chatwal").fails(1, &["d/a.chatwal: a chatwal store"]);
}

#[test]
fn one_directory_that_cannot_be_read_stops_no_other() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["d/a", "d/m/b", "d/z"]);
    symlink("nowhere", sandbox.path("d/dangling")).unwrap();
    let ran = sandbox.run("ingest --store s --recursive d missing").expect(1);
    ran.says(&["error: d/dangling: no such file"]).says(&["error: missing: no such file"]);
    assert_eq!(sites(&sandbox), ["d/a", "d/m/b", "d/z"]);
    fs::remove_file(sandbox.path("d/dangling")).unwrap();
    let closed = sandbox.path("d/m");
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read everything, unless it gives up that right.
    let script = match fs::read_dir(&closed).is_ok() {
        true => "setpriv --bounding-set=-dac_override,-dac_read_search --inh-caps=-all $chatwal",
        false => "$chatwal",
    };
    let possible = sandbox.shell(&format!("{} true", script.trim_end_matches("$chatwal"))).code == Some(0);
    let ran = possible.then(|| sandbox.shell(&format!("{script} ingest --store t --recursive d")));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    let Some(ran) = ran else { return eprintln!("SKIPPED, for want of setpriv") };
    ran.fails(1, &["d/m: cannot look through it: Permission denied"]);
    let report = sandbox.run("report --store t").expect(0).out;
    assert_eq!(report.lines().count(), 2, "{report}");
}

#[test]
fn a_file_that_is_named_twice_is_read_once() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["a", "d/b", "d/c"]);
    fs::hard_link(sandbox.path("a"), sandbox.path("d/hard")).unwrap();
    symlink("b", sandbox.path("d/soft")).unwrap();
    for (arguments, inputs, said) in [
        ("a a", &["a"][..], "named more than once, and read once: a"),
        ("a ./a", &["a"], "./a (the same file as a)"),
        ("a d/hard", &["a"], "d/hard (the same file as a)"),
        ("d/hard a", &["d/hard"], "a (the same file as d/hard)"),
        ("--recursive d", &["d/b", "d/c", "d/hard"], "d/soft (the same file as d/b)"),
        ("--recursive d d", &["d/b", "d/c", "d/hard"], "d/soft (the same file as d/b), d/b, d/c and 2 more"),
        ("--recursive d/c d", &["d/c", "d/b", "d/hard"], "d/c"),
        ("a a a a a a", &["a"], "a, a, a and 2 more"),
    ] {
        let ran = sandbox.run(&format!("ingest --store s --from-start --progress json {arguments}")).expect(0);
        assert_eq!(read(&ran), inputs, "{arguments}");
        ran.says(&["named more than once, and read once: ", said]);
    }
    // What is not there is said once, too; standard input is read once.
    let ran = sandbox.run("ingest --store s missing missing a").expect(1);
    assert_eq!(ran.err.matches("no such file").count(), 1, "{ran:#?}");
    assert_eq!(read(&sandbox.run_with("ingest --store s --progress json - -", event("x").as_bytes()).expect(0)), ["-"]);
    // Two files that are alike are two.
    sandbox.write("copy", event("a"));
    assert_eq!(read(&sandbox.run("ingest --store t --progress json a copy").expect(0)), ["a", "copy"]);
}

#[test]
fn the_inputs_may_stand_in_a_list() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["a", "b c", "d/1", "d/2", "new\nline", "e"]);
    sandbox.write("z.gz", gzip(event("z").as_bytes()));
    for (list, arguments, inputs) in [
        ("a\nb c\n", "", &["a", "b c"][..]),
        ("b c\na", "", &["b c", "a"]),
        ("\n  \na\r\n\r\nz.gz\r\n", "", &["a", "z.gz"]),
        ("\u{feff}a\n", "", &["a"]),
        ("a\0new\nline\0", "", &["a", "new\nline"]),
        ("a\0b c", "", &["a", "b c"]),
        ("a\n", "e", &["e", "a"]),
        ("a\na\ne\n", "e", &["e", "a"]),
        ("d\na\n", "--recursive", &["d/1", "d/2", "a"]),
        ("d\n", "--recursive a d", &["a", "d/1", "d/2"]),
    ] {
        sandbox.write("list", list);
        for (list_option, input) in [("--files-from list", &b""[..]), ("--files-from -", list.as_bytes())] {
            let arguments = format!("ingest --store s --progress json {list_option} {arguments}");
            let ran = sandbox.run_with(&arguments, input).expect(0);
            assert_eq!(read(&ran), inputs, "{list:?} {arguments}");
        }
    }
    // In a file, a `-` is standard input as it is on the command line.
    sandbox.write("list", "a\n-\n");
    let ran = sandbox.run_with("ingest --store s --progress json --files-from list", event("p").as_bytes()).expect(0);
    assert_eq!(read(&ran), ["a", "-"]);
    let pipe = "find . -name '[abe]*' -type f -print0 | $chatwal ingest --store t --files-from -";
    sandbox.shell(pipe).expect(0);
    assert_eq!(sandbox.run("report --store t").expect(0).out.lines().count(), 3);
}

#[test]
fn a_list_that_is_wrong_is_said_to_be() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["a", "d/1"]);
    for (arguments, input, status, problem) in [
        ("ingest --store s --files-from - -", "a\n", 2, "standard input is the list"),
        ("ingest --store s --files-from -", "a\n-\n", 2, "standard input is the list"),
        ("ingest --store s --files-from none", "", 1, "none: cannot read the list of inputs: No such file"),
        ("ingest --store s --files-from d", "", 1, "d: cannot read the list of inputs: Is a directory"),
        // Not a list, but an input.
        ("ingest --store s --files-from -", &"{\"id\":1}\n".repeat(11), 1, "none of the 11 paths in it is there"),
        ("run --files-from -", "a\n", 2, "a list of files"),
        ("run --files-from - a", "a\n", 2, "a list of files"),
        ("run --recursive d", "", 2, "a directory"),
    ] {
        sandbox.run_with(arguments, input.as_bytes()).fails(status, &[problem]);
        assert!(!sandbox.has("s"), "{arguments}");
    }
    let endless = "$chatwal ingest --store s --files-from /dev/zero";
    sandbox.shell(endless).fails(1, &["/dev/zero: a list of inputs has at most 67108864 bytes"]);
    assert_eq!(sandbox.run("ingest --store s").expect(2).out, "");
    // Some that are not there are said one by one.
    let ran = sandbox.run_with("ingest --store s --files-from -", b"x\na\ny\n").expect(1);
    ran.says(&["error: x: no such file"]).says(&["error: y: no such file"]);
    assert_eq!(sites(&sandbox), ["a"]);
    // One with nothing in it is like an empty input.
    for (arguments, empty) in [("--files-from -", "-"), ("--recursive empty", "empty")] {
        fs::create_dir_all(sandbox.path("empty")).unwrap();
        let ran = sandbox.run_with(&format!("run --store s {arguments}"), b"\n").expect(0);
        assert_eq!(ran.says(&["warning: ", empty, "nothing to read"]).out, sandbox.report());
    }
}

#[test]
fn run_takes_many_inputs_too() {
    let sandbox = Sandbox::new();
    files(&sandbox, &["d/1", "d/2", "e"]);
    sandbox.write("list", "e\n");
    let ran = sandbox.run("run --store s --recursive d --files-from list").expect(0);
    assert_eq!(ran.out, sandbox.report());
    assert_eq!(sites(&sandbox), ["d/1", "d/2", "e"]);
    // A file is a file, also where directories would be read.
    sandbox.run("run --recursive e").expect(0);
    assert!(sandbox.has("e.chatwal/LOCK"));
}

#[test]
fn thousands_of_files_are_told_together() {
    let sandbox = Sandbox::new();
    let names: Vec<String> = (0..3000).map(|number| format!("d/{}/{number}", number % 7)).collect();
    files(&sandbox, &names.iter().map(String::as_str).collect::<Vec<_>>());
    sandbox.write("d/wrong", "oops\n");
    let ran = sandbox.run("ingest --store s --recursive d").expect(3);
    let ran = ran.says(&["3001 inputs: 3001 lines, 3000 events, 1 reject"]);
    assert!(ran.err.lines().count() < 8, "{ran:#?}");
    sandbox.run("ingest --store s --recursive d").expect(3).says(&["3001 inputs, 3001 with nothing new"]);
    assert_eq!(sites(&sandbox).len(), 3000);
}
