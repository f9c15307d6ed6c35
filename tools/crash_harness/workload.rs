//! The commands that are killed.

/// A command that is killed and run again until it ends.
pub struct Workload {
    /// Names it.
    pub name: &'static str,
    /// What makes the store before, undisturbed.
    pub before: &'static [&'static str],
    /// The command. A step is what follows `chatwal --store STORE`; INPUTS stands for all inputs, FIRST for the first half
    /// of them. `flip FILE AT` flips a bit of a file of the store, `*.wal` being its first segment.
    pub command: &'static str,
    /// What makes the store whole again afterwards, for a command that does not by itself.
    pub after: &'static [&'static str],
    /// The command goes on where an earlier run left the inputs, and the store holds what `sources` says of them.
    pub resumes: bool,
    /// The store is corrupt until the command is through: readers refuse it, or answer as after an undisturbed run.
    pub damaged: bool,
}

/// Everything that changes a store. Segments are so small that a few frames fill one.
pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "ingest",
        before: &[],
        command: "ingest --no-compact --segment-size 4096 INPUTS",
        after: &[],
        resumes: true,
        damaged: false,
    },
    Workload {
        name: "ingest-compacting",
        before: &[],
        command: "ingest --compact-at 1 --segment-size 4096 INPUTS",
        after: &[],
        resumes: true,
        damaged: false,
    },
    Workload {
        name: "compact",
        before: &["ingest --no-compact --segment-size 4096 INPUTS"],
        command: "compact",
        after: &[],
        resumes: true,
        damaged: false,
    },
    Workload {
        name: "compact-all",
        before: &[
            "ingest --no-compact --segment-size 4096 INPUTS",
            "compact",
            "ingest --no-compact --segment-size 4096 --from-start FIRST",
        ],
        command: "compact --all",
        after: &[],
        resumes: false,
        damaged: false,
    },
    Workload {
        name: "from-start",
        before: &["ingest --no-compact --segment-size 4096 INPUTS"],
        command: "ingest --no-compact --segment-size 4096 --from-start INPUTS",
        after: &[],
        resumes: false,
        damaged: false,
    },
    Workload {
        name: "repair",
        before: &[
            "ingest --no-compact --segment-size 4096 FIRST",
            "compact",
            "ingest --no-compact --segment-size 4096 INPUTS",
            // The first frame behind the snapshot.
            "flip *.wal 64",
        ],
        command: "repair",
        after: &["ingest --no-compact --segment-size 4096 INPUTS"],
        resumes: false,
        damaged: true,
    },
];
