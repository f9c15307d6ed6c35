//! 10. A mended file: an input whose bytes changed before the place that it was read to is noticed, where anything says so.

use super::support::cli::{Sandbox, gzip, message};

/// Lines of a file that is taken in by pieces: so it has places by which it is known.
fn lines(count: usize) -> Vec<String> {
    (0..count).map(|number| message("1", &format!("id-{number:06}"), "v", number as i64)).collect()
}

const INGEST: &str = "ingest --store s in.jsonl";

/// Takes in a file that grows to each of these numbers of lines, and gives its bytes; packed, if so.
fn grown(sandbox: &Sandbox, steps: &[usize], packed: bool) -> Vec<u8> {
    let all = lines(*steps.last().unwrap());
    for step in steps {
        let bytes = all[..*step].concat().into_bytes();
        sandbox.write("in.jsonl", if packed { gzip(&bytes) } else { bytes });
        sandbox.run(INGEST).expect(0);
    }
    all.concat().into_bytes()
}

#[test]
fn a_change_at_a_place_that_is_known_is_told() {
    for packed in [false, true] {
        let sandbox = Sandbox::new();
        let steps = [300, 1000, 3000, 10_000];
        let bytes = grown(&sandbox, &steps, packed);
        let place = |line: usize| lines(line).concat().len() + 10;
        // In the 4 KiB before where it was read to once, as far as that is kept; elsewhere nobody looks.
        for (line, told) in [(295, true), (2990, true), (500, false), (990, false), (6000, false)] {
            let mut mended = bytes.clone();
            mended[place(line)] ^= 1;
            sandbox.write("in.jsonl", if packed { gzip(&mended) } else { mended });
            let ran = sandbox.run(INGEST);
            if told {
                let ran = ran.expect(3).says(&["warning: in.jsonl", "changed since it was read", "--from-start"]);
                assert!(sandbox.run("ingest -q --store s in.jsonl").expect(3).err.contains("changed"), "{ran:?}");
            } else {
                assert!(!ran.expect(0).err.contains("changed"));
            }
        }
        sandbox.write("in.jsonl", if packed { gzip(&bytes) } else { bytes.clone() });
        assert!(!sandbox.run(INGEST).expect(0).err.contains("changed"));
        // What grew goes on all the same, and so does a compacted store.
        sandbox.run("compact --store s --all").expect(0);
        let mut mended = [bytes, message("2", "new", "v", 1).into_bytes()].concat();
        mended[place(295)] ^= 1;
        sandbox.write("in.jsonl", if packed { gzip(&mended) } else { mended });
        sandbox.run(INGEST).expect(3).says(&["going on"]).says(&["changed since it was read"]);
        assert!(sandbox.run("report --store s").expect(0).out.contains("2,messages=0,emails=1"));
    }
}

#[test]
fn from_start_reads_what_was_mended() {
    let sandbox = Sandbox::new();
    let bytes = grown(&sandbox, &[300, 1000], false);
    let mended = String::from_utf8(bytes).unwrap().replace("id-000290", "id-x00290");
    sandbox.write("in.jsonl", &mended);
    sandbox.run(INGEST).expect(3).says(&["changed"]);
    sandbox.run("ingest --store s --from-start in.jsonl").expect(0);
    assert_eq!(sandbox.stat()["events"], 1001);
    assert!(!sandbox.run(INGEST).expect(0).err.contains("changed"));
}

#[test]
fn check_compares_all_that_is_known() {
    for packed in [false, true] {
        let sandbox = Sandbox::new();
        let wrong = "{'id':1}\n";
        let mut all = lines(3000);
        all[1500] = wrong.into();
        let pack = |lines: &[String]| {
            let bytes = lines.concat().into_bytes();
            if packed { gzip(&bytes) } else { bytes }
        };
        sandbox.write("in.jsonl", pack(&all));
        sandbox.run(INGEST).expect(3);
        let check = "ingest --store s --check in.jsonl";
        assert!(!sandbox.run(check).expect(3).err.contains("changed"));
        // One that was wrong and is mended in its place, which nothing else tells.
        all[1500] = "{\"id\":1}\n".into();
        sandbox.write("in.jsonl", pack(&all));
        assert!(!sandbox.run(INGEST).expect(3).err.contains("changed"));
        sandbox.run(check).expect(3).says(&["in.jsonl: changed since it was read", "--from-start"]);
        sandbox.run("compact --store s --all").expect(0);
        sandbox.run(check).expect(3).says(&["in.jsonl: changed since it was read"]);
    }
}
