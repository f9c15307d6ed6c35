#!/usr/bin/env python3
"""The tests, tested: bugs that a log may have, put into chatwal one at a time; each has to turn a test red.

A crash test proves something only once it was seen failing. Below is a table: a bug, what it breaks, the test that kills
it, and the patch. One run goes through all of it:

    tools/seeded_bugs.py                 all; prints the table, ends with "N of N killed", exits with 1 unless it is all
    tools/seeded_bugs.py --only NAME ... only these
    tools/seeded_bugs.py --list          the table, without running anything
    tools/seeded_bugs.py --check         only that each patch still applies, exactly once; a second (.ci/run does it)

The tracked files are copied to target/seeded-bugs/tree, and compiled beside it: nothing is ever patched in place, and each
bug costs an incremental build. First the tests of the table run without a bug and have to be green. A bug counts as killed
only if it compiles, and its test fails, in time and by itself: no compile error, no timeout, no death by a signal.

Needs python3 and cargo; the bugs whose test looks over the program's shoulder need strace.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / "target" / "seeded-bugs"
TREE = PLACE / "tree"
BUILD = PLACE / "target"
# Seconds that one test may take, and one build.
PATIENCE, BUILDING = 240, 1800


class Bug:
    """Edits are a room, a text that is in one of its files once, and what it becomes: a room is a file without `.rs`, and the folder
    of that name, if there is one. `test` is the name of a file or folder in tests/, or `lib`, and what the names of its tests are filtered by, if anything."""

    def __init__(self, name, breaks, test, *edits):
        self.name, self.breaks, self.test, self.edits = name, breaks, test, edits


LOG, STORAGE, RECOVER, STORE = "src/store/log", "src/disk", "src/store/recover", "src/store"
JUDGE, CONTENT = "src/segment/judge", "src/segment/content"
SEGMENT, FRAME, DIRECTORY = "src/segment", "src/format/frame", "src/format/directory"
EVENTS, CHECKPOINT, FILE_HEADER, TABLES = [f"src/format/{name}" for name in ("events", "checkpoint", "file_header", "tables")]
DISK, HOLDER, WHEREABOUTS = "src/disk/real", "src/disk/holder", "src/store/whereabouts"
NAMES, RENAME = "src/disk/names", "src/disk/rename"
TURNS, LARGE, SCRATCH, SORTER = "src/base/turns", "src/query/large", "src/disk/scratch", "src/disk/scratch/sorter"
COMPACT, INGEST, REPEATS = "src/upkeep/compact", "src/intake/ingest", "src/intake/repeats"
MERGE, TABLE, REPORT, GATHER = "src/query/merge", "src/event/table", "src/query/report", "src/query/gather"
BACKUP, FRAME_COPY = "src/upkeep/backup", "src/segment/copy"
SNAPSHOT, REPAIR, SURVEY, VERIFY = "src/snapshot", "src/upkeep/repair", "src/upkeep/survey", "src/upkeep/verify"
ACKNOWLEDGED = "src/format/acknowledged"
LATER, LIVE, WATCH = "src/store/view/later", "src/query/live", "src/cli/watch"
DUMP, SEARCH, STORE_INPUTS = "src/show/dump", "src/disk/search", "src/store/inputs"
CHUNK_PARSER, CHUNK, FRAMER, SHAPE = "src/intake/ingest/chunk_parser", "src/intake/chunk", "src/intake/framer", "src/intake/shape"
RANGES, BUDGET = "src/intake/chunk/ranges", "src/intake/ingest/budget"
PARSE, FAST = "src/intake/parse", "src/intake/fast"
REJECTS, KNOWN, ROOM = "src/format/rejects", "src/intake/known", "src/upkeep/compact/room"
THREADS, MEMORY, SHELL, SOURCE = "src/base/threads", "src/base/memory", "src/base/shell", "src/intake/source"
MAIN, INPUTS, PROCESS, DESCRIPTORS = "src/cli/main", "src/cli/inputs", "src/cli/process", "src/cli/descriptors"
RENDER, SIGNALS, TEXT = "src/show/render", "src/cli/signals", "src/base/text"
EXPLAIN, SCAN, FIELDS, NEAR = [f"src/intake/explain{name}" for name in ("", "/scan", "/fields", "/near")]
WORDS, LISTS = "src/intake/explain/words", "src/cli/lists"
PACKED, MEMBERS, AHEAD = "src/intake/packed", "src/intake/packed/members", "src/intake/packed/ahead"
LZ4, SEEK, FOREIGN = "src/intake/packed/lz4", "src/intake/seek", "src/intake/foreign"
ALLOW, FILES, FORGET = "src/cli/allow", "src/cli/files", "src/cli/forget"
RAW, TIMES = "src/cli/raw", "src/cli/times"
FOLLOW, APPENDER = "src/intake/follow", "src/intake/ingest/appender"
ACTIVITY, PAGE, ENVIRONMENT, UNIT = "src/query/activity", "src/show/page", "src/cli/environment", "src/event/unit"

BUGS = [
    # Acknowledged is durable: each fsync left out in turn.
    Bug(
        "fsync-of-frames",
        "the syncer does not fsync what it calls durable",
        "durability every_image_at_every_stop",
        (LOG, "let result = written.file.sync();", "let result = std::io::Result::Ok(());"),
    ),
    Bug(
        "fsync-before-publish",
        "a file gets its name before its bytes are on the disk",
        "durability every_image_at_every_stop",
        (STORAGE, '        file.sync().map_err(Error::io("sync", &path))?;\n', ""),
    ),
    Bug(
        "directory-fsync-of-publish",
        "frames are acknowledged in a segment whose name can vanish; a log is deleted before its snapshot has a name",
        "durability every_image_at_every_stop",
        (
            STORAGE,
            "        sync_directory(storage)?;\n",
            "",
        ),
    ),
    Bug(
        "fsync-of-recovery",
        "what recovery cut and rewrote is called durable and is not",
        "durability what_a_killed_process_left",
        (RECOVER, '        segment.file.sync().map_err(Error::io("sync", &segment.path))?;\n', "        let _ = segment;\n"),
    ),
    Bug(
        "directory-fsync-of-recovery",
        "recovery appends to a segment whose name only the page cache has",
        "durability what_a_killed_process_left",
        (
            RECOVER,
            '    storage.sync_directory().map_err(Error::io("sync", &directory))?;\n    let mut changed',
            "    let mut changed",
        ),
    ),
    Bug(
        "directory-fsync-before-leftovers-go",
        "recovery deletes what a snapshot replaces before the snapshot's name is durable",
        "compaction every_stop_of_a_compaction",
        (RECOVER, "if !listing.replaced.is_empty() {", "if false {"),
    ),
    Bug(
        "directory-fsync-after-compaction",
        "what a compaction said to have freed comes back after a loss of power",
        "compaction what_a_compaction_has_freed",
        (
            COMPACT,
            '    storage.sync_directory().map_err(Error::io("sync", storage.path().display().to_string()))?;\n',
            "",
        ),
    ),
    Bug(
        "fsync-of-the-store's-name",
        "the directory of a new store vanishes, with all that was acknowledged in it",
        "durability the_name_of_a_new_store",
        (DISK, "let synced = sync_directory_at(&disk.directory, Path::new(\"..\"), names, Made::of(missing > 0));", "let synced = io::Result::Ok(Synced::Durable);"),
    ),
    Bug(
        "fsync-of-the-names-around-a-store",
        "the directory around a new store, which was made with it, vanishes with it",
        "durability the_name_of_a_new_store",
        (DISK, "            sync_name_of(parent, names, Made::of(made > 0))?;\n", "            let _ = (parent, made);\n"),
    ),
    Bug(
        "fsync-of-the-seal",
        "a segment gets frames before its predecessor's seal is durable",
        "durability every_image_at_every_stop",
        (LOG, "self.append(FrameKind::Seal)?;\n        self.flush()?;", "self.append(FrameKind::Seal)?;"),
    ),
    Bug(
        "fsync-before-the-successor",
        "a successor is published that promises frames which are not durable",
        "durability every_image_at_every_stop",
        (LOG, "        self.flush()?;\n        let number = self.header.number + 1;", "        let number = self.header.number + 1;"),
    ),
    # Acknowledged too early.
    Bug(
        "acknowledge-at-append",
        "a frame is acknowledged when it is written",
        "durability every_image_at_every_stop",
        (LOG, "Durability::Sync => state.acknowledged,", "Durability::Sync => state.appended.sequence,"),
    ),
    Bug(
        "acknowledge-without-proof",
        "a frame is acknowledged when it is fsynced, while nothing on the disk proves that it was",
        "durability every_image_at_every_stop",
        (LOG, "state.acknowledged.max(claim.durable_upto)", "state.acknowledged.max(claim.sequence)"),
    ),
    Bug(
        "settle-without-mark",
        "the end of a run writes no mark: its last frame is never acknowledged",
        "durability what_a_killed_process_left",
        (LOG, "if self.acknowledged() < self.last_content.map_or(0, |content| content.sequence) {", "if false {"),
    ),
    Bug(
        "fsync-covers-what-came-later",
        "an fsync counts for frames that were appended while it ran",
        "durability an_fsync_covers_only_what_was_appended_before_it",
        (LOG, "state.durable = claim.sequence;", "state.durable = state.appended.sequence;"),
    ),
    Bug(
        "durable-upto-one-too-high",
        "a header claims the frame before it to be durable, which it need not be: a power cut bricks the store",
        "durability every_image_of_frames_that_were_never_synced",
        (LOG, "            state.durable\n        };", "            (state.durable + 1).min(self.link.sequence - 1)\n        };"),
    ),
    Bug(
        "retry-after-failed-fsync",
        "a failed fsync is tried again, and the second one says yes to pages that are lost",
        "failed_writes a_writer_stops_at_the_first_failure",
        (LOG, "let result = written.file.sync();", "let result = written.file.sync().or_else(|_| written.file.sync());"),
    ),
    Bug(
        "goes-on-after-failed-write",
        "after a failed write the next frames are appended as if nothing had happened",
        "failed_writes a_writer_stops_at_the_first_failure",
        (LOG, "Err(error) => state.fail(error.again()),\n        }\n        // Whoever", "Err(_) => {}\n        }\n        // Whoever"),
    ),
    Bug(
        "checkpoint-before-its-events",
        "the place in the input is durable one frame before the events up to it",
        "failed_writes a_rerun_of_ingest",
        (
            INGEST,
            "let placed = self.log.place_batch(&checkpoint, parsed.prepared)?;",
            "self.log.append_batch(&checkpoint, &Batch::default())?;\n"
            "        let placed = self.log.place_batch(&checkpoint, parsed.prepared)?;",
        ),
    ),
    Bug(
        "a-permit-for-every-thread",
        "with many threads more is read than a rerun may have to read again",
        "durability no_more_is_read_ahead",
        (INGEST, "Permits::new(budget.in_flight)", "Permits::new(budget.in_flight + budget.threads * budget.chunk)"),
    ),
    Bug(
        "a-seal-waits-for-all-of-its-segment",
        "with --durability os the fsync of a whole segment begins when it is full",
        "durability with_durability_os_only_the_second_half",
        (LOG, "        state.wanted |= self.end > self.options.segment_size / 2;\n", ""),
    ),
    Bug(
        "os-becomes-sync",
        "with --durability os every frame behind the first segment is synced",
        "durability with_durability_os_only_the_second_half",
        (LOG, "        state.wanted = self.options.durability == Durability::Sync;\n", ""),
    ),
    # Frames that are written out of order, and ranges.
    Bug(
        "an-fsync-claims-past-a-straggler",
        "an fsync counts for a frame that stands behind one that is not written yet",
        "unordered_writes an_fsync_claims_nothing",
        (LOG, "self.placed.front().filter(|first| first.is_written)", "self.placed.front().filter(|first| first.claim.sequence <= sequence)"),
    ),
    Bug(
        "a-roll-does-not-wait",
        "a successor is published, and the seal written, while a frame before it is not",
        "unordered_writes a_roll_waits",
        (LOG, "        while state.durable < upto {\n            state = self.shared.wait_for_sync(state);", "        while state.durable < upto.min(state.appended.sequence) {\n            state = self.shared.wait_for_sync(state);"),
    ),
    Bug(
        "what-stands-behind-a-failed-write-counts",
        "a frame that was written before the failed one counts, though it stands behind it",
        "unordered_writes what_fails_takes_all",
        (LOG, "            frame.is_written = true;\n        }\n", "            frame.is_written = true;\n        }\n        self.placed.retain(|frame| frame.claim.sequence >= sequence);\n"),
    ),
    Bug(
        "a-write-after-a-failure",
        "who has a frame in hand writes it though another write has failed",
        "unordered_writes what_fails_takes_all",
        (LOG, "            // Nothing is written any more after a failure.\n            state.check()?;\n", ""),
    ),
    Bug(
        "a-place-given-up-in-silence",
        "a frame that nobody will write is waited for for ever",
        "unordered_writes a_place_that_is_given_up",
        (LOG, "        if !self.is_written {\n", "        if self.is_written {\n"),
    ),
    Bug(
        "any-length-while-others-write",
        "that somebody cut the file is not seen while another frame is in hand",
        "unordered_writes a_file_that_somebody_changed",
        (LOG, "(least..=most.max(least)).contains(&found)", "(found <= most.max(least) || least == most && found == least)"),
    ),
    Bug(
        "a-line-in-two-ranges",
        "the line that ends at the end of a range is taken by the next one, too",
        "same_bytes any_number_of_threads",
        (RANGES, "        (self.offset, self.column, self.is_behind) = (end, 0, true);\n        Some(range)", "        (self.offset, self.column, self.is_behind) = (end - 1, 0, true);\n        Some(range)"),
    ),
    Bug(
        "a-line-in-no-range",
        "what was read beyond a chunk and not taken is in no range",
        "lib a_range_is_the_chunk",
        (RANGES, "let (start, most) = (self.offset, self.offset + self.plan.range as u64);", "let (start, most) = (self.offset + self.carry.len() as u64, self.offset + self.plan.range as u64);"),
    ),
    Bug(
        "what-is-given-back-is-not-read-again",
        "of a file that is cut in a piece somebody has claimed, the lines before the cut are lost",
        "durability a_piece_that_is_cut",
        (INGEST, "        reader.chunker.give_back(range);\n", ""),
    ),
    Bug(
        "a-cut-file-goes-on-behind-the-cut",
        "of a file that is cut while it is read, what was claimed behind the cut counts",
        "durability a_piece_that_is_cut",
        (RANGES, "        if !is_whole || bytes.last() != Some(&b'\\n') {", "        if is_whole && bytes.is_empty() {"),
    ),
    Bug(
        "frames-as-they-come",
        "chunks get their numbers in the order in which they are parsed, and not in that of the input",
        "same_bytes any_number_of_threads",
        (INGEST, "let arrived = self.early.remove(&self.next)?;", "let (_, arrived) = self.early.pop_first()?;"),
    ),
    Bug(
        "a-batch-of-any-size",
        "a chunk of many names takes as much memory as it takes",
        "memory an_ingest_stays_within",
        (CHUNK_PARSER, "self.table.size() + self.rejects.size() > self.share", "self.share == 0"),
    ),
    Bug(
        "each-thread-the-largest-ranges",
        "many threads in little memory have buffers and tables as if they were few",
        "memory an_ingest_stays_within",
        (BUDGET, "let range = most.min(left / (threads + shares * COMMON / 100).max(1));", "let range = most.max(CHUNK).min(left * shares);"),
        (BUDGET, "let share = left.saturating_sub(threads * range) / shares;", "let share = left.max(threads * range) / 2;"),
    ),
    # Torn is not corrupt.
    Bug(
        "length-outside-the-crc",
        "the length of a frame is believed before anything has checked it",
        "lib headers_come_back",
        (
            FRAME,
            "out.extend_from_slice(&self.directory_crc.to_le_bytes());\n        let sum = crc(&out);",
            "out.extend_from_slice(&self.directory_crc.to_le_bytes());\n        let sum = crc(&[&out[..64], &out[68..]].concat());",
        ),
        (
            FRAME,
            "        if crc(&bytes[..FRAME_HEADER - 4]).to_le_bytes() != bytes[FRAME_HEADER - 4..] {\n"
            '            return Err("a frame header whose CRC',
            "        if crc(&[&bytes[..64], &bytes[68..FRAME_HEADER - 4]].concat()).to_le_bytes() != bytes[FRAME_HEADER - 4..] {\n"
            '            return Err("a frame header whose CRC',
        ),
        (
            LOG,
            "header.crc = crc(&encoded[..FRAME_HEADER - 4]);",
            "header.crc = crc(&[&encoded[..64], &encoded[68..FRAME_HEADER - 4]].concat());",
        ),
    ),
    Bug(
        "crc-of-sections-unchecked",
        "events are read whose bytes are not those that were written",
        "torn_or_corrupt a_flipped_bit",
        (SEGMENT, "if found != section.entry.crc {", "if found != section.entry.crc && false {"),
    ),
    Bug(
        "crc-of-directory-unchecked",
        "sections are looked for where a damaged directory says",
        "torn_or_corrupt a_flipped_bit",
        (SEGMENT, "if crc(bytes) != header.directory_crc {", "if crc(bytes) != header.directory_crc && false {"),
    ),
    Bug(
        "crc-of-blocks-unchecked",
        "a snapshot's bytes are taken for what was written",
        "compaction a_snapshot_with_any_bit_flipped",
        (SNAPSHOT, "            found if found == header.payload_crc => Ok(()),", "            found if found == header.payload_crc || true => Ok(()),"),
    ),
    Bug(
        "frames-of-other-places",
        "a frame is taken for one wherever its bytes are",
        "torn_or_corrupt frames_in_another_order",
        (SEGMENT, "match header.is_of(&self.header) && here {", "match header.is_of(&self.header) || here || at > 0 {"),
        (SEGMENT, "link.previous.filter(|&previous| previous != header.previous)", "link.previous.filter(|_| false)"),
        (SEGMENT, "if header.sequence != link.sequence {", "if header.sequence != link.sequence && false {"),
    ),
    Bug(
        "bad-checksum-is-the-end",
        "one flipped bit deletes everything that was acknowledged behind it, in silence",
        "torn_or_corrupt a_flipped_bit",
        (JUDGE, "_ if proven >= due => Corrupt(Why::Proven),", "_ if proven >= due && due == u64::MAX => Corrupt(Why::Proven),"),
    ),
    Bug(
        "a-later-frame-is-proof",
        "a valid frame behind a bad one is taken for proof of corruption: a power cut bricks the store",
        "durability every_image_of_frames_that_were_never_synced",
        (SEGMENT, "(from, proven) = (at + 1, header.durable_upto.max(proven));", "(from, proven) = (at + 1, header.sequence.max(proven));"),
    ),
    Bug(
        "proof-in-its-place-only",
        "bytes that were inserted move the proof of what is lost, and it counts no longer",
        "torn_or_corrupt bytes_that_were_inserted",
        (
            SEGMENT,
            "(from, proven) = (at + 1, header.durable_upto.max(proven));",
            "(from, proven) = (at + 1, if header.offset == at { header.durable_upto.max(proven) } else { proven });",
        ),
    ),
    Bug(
        "missing-last-segment",
        "a sealed segment without a successor passes for the end of the log",
        "torn_or_corrupt a_missing_or_foreign_segment",
        (JUDGE, "(Here::Seal, Next::Nothing) => Corrupt(Why::SuccessorMissing),", "(Here::Seal, Next::Nothing) => Ends,"),
    ),
    Bug(
        "a-reader-cuts",
        "whoever looks at a store cuts its torn end, also under a writer at work",
        "torn_or_corrupt the_last_segment_cut_at_any_byte",
        (
            STORE,
            "        view.leftovers.clone_from(&listing.replaced);\n        Ok((view, listing))\n",
            "        view.leftovers.clone_from(&listing.replaced);\n"
            "        if let Some(torn) = &view.torn {\n"
            "            let segment = &view.segments[torn.segment];\n"
            "            let _ = segment.file.truncate(segment.length - torn.bytes);\n"
            "        }\n"
            "        Ok((view, listing))\n",
        ),
    ),
    Bug(
        "a-count-is-believed",
        "memory is taken by a number in a file before anything has checked it (bounded here, for the sake of this machine)",
        "mutated_files whatever_is_in_a_file",
        (
            EVENTS,
            "let events = count as usize;",
            "let events = count as usize;\n        std::hint::black_box(vec![1u8; events.min(100 << 20)]);",
        ),
    ),
    # Recovery.
    Bug(
        "unproven-frames-not-rewritten",
        "recovery fsyncs pages that a failed fsync has marked clean, and believes that they are on the disk",
        "torn_or_corrupt frames_that_only_the_page_cache_has",
        (RECOVER, "place.frame.header.sequence > view.durable_upto)", "place.frame.header.sequence > view.durable_upto && false)"),
    ),
    Bug(
        "proof-that-was-cut-counts",
        "recovery counts as acknowledged what only the frame it cut off proved",
        "torn_or_corrupt a_proof_that_recovery_cuts_off",
        (LOG, "acknowledged: claim.durable_upto,", "acknowledged: view.durable_upto,"),
    ),
    Bug(
        "leftovers-stay",
        "what a crash left half written is never removed",
        "torn_or_corrupt leftovers_are_ignored",
        (RECOVER, "listing.temporary.iter().chain(&listing.replaced) {", "listing.temporary.iter().chain(&listing.replaced).take(0) {"),
    ),
    Bug(
        "other-peoples-files-go",
        "a writer deletes whatever ends in .tmp",
        "cli a_writer_removes_nobody_elses_files",
        (STORE, "Name::Temporary | Name::Foreign => Name::Foreign,", "Name::Temporary | Name::Foreign => Name::Temporary,"),
    ),
    Bug(
        "equal-snapshots-stay",
        "every compaction of a run as large as the last leaves one more snapshot",
        "cli snapshots_of_equal_runs_become_few",
        (COMPACT, "snapshot.length() / 2 > bytes", "snapshot.length() > bytes"),
    ),
    Bug(
        "a-giant-is-held-whole",
        "a shard that does not fit the memory is held whole",
        "memory the_largest_site",
        (GATHER, "_ if need > share => work", "_ if need > u64::MAX => work"),
    ),
    Bug(
        "spread-by-site-alone",
        "the rows of a site are in order of arrival, not of time",
        "lib spread_rows_are_in_the_order",
        (MERGE, "self.keys[start..end as usize].sort_unstable();", "self.keys[start..end as usize].sort_unstable_by_key(|key| key & (1 << index_bits) - 1);"),
    ),
    Bug(
        "escaped-keys-mean-nothing",
        "a required key that is written with an escape is skipped",
        "parser_agreement",
        ("src/intake/fast/rare", "if !means_something(member) {", "if !means_something(member) || true {"),
    ),
    Bug(
        "parts-stay-as-they-lie",
        "too many rows fall into parts, and the parts are not ordered",
        "lib spread_rows_are_in_the_order",
        (MERGE, "                rows.copy_from_slice(&self.moved);\n", ""),
    ),
    Bug(
        "any-bytes-are-text",
        "the fast path takes a message that is not UTF-8",
        "parser_agreement",
        ("src/intake/fast", "        if wide {\n", "        if wide && self.rest.is_empty() {\n"),
    ),
    Bug(
        "columns-end-early",
        "the last values of a column, which have less than eight bytes behind them, are unpacked as zeros",
        "lib packed_values_come_back",
        ("src/format/coding", "onward.len().saturating_sub(8) * 8 / width", "onward.len() * 8 / width"),
    ),
    Bug(
        "a-replaced-snapshot-counts",
        "between publishing a snapshot and deleting what it replaces, both count",
        "compaction every_stop_of_a_compaction",
        (STORE, "                listing.replaced.push(snapshot_name(&covers));\n", "                listing.snapshots.push(covers);\n"),
    ),
    Bug(
        "a-damaged-store-is-tidied",
        "the writer deletes leftovers before it has found the store sound",
        "torn_or_corrupt leftovers_are_ignored",
        (
            RECOVER,
            "    let (mut view, listing) = View::look(storage, Purpose::Append)?;\n",
            "    let names = storage.list().unwrap_or_default();\n"
            "    for name in names.iter().filter(|name| matches!(parse_name(name), Name::Temporary)) {\n"
            '        storage.remove(name).map_err(Error::io("remove", path_of(storage, name)))?;\n'
            "    }\n"
            "    let (mut view, listing) = View::look(storage, Purpose::Append)?;\n",
        ),
    ),
    # The right place.
    Bug(
        "path-unlooked",
        "a writer goes on in a directory that was moved away, and calls it durable",
        "displaced a_writer_whose_directory_is_moved",
        (WHEREABOUTS, "let stamp = storage.in_place()?;", "let stamp = None;"),
    ),
    Bug(
        "name-unlooked",
        "a writer goes on in a file that another one has taken the place of",
        "displaced a_writer_whose_files_are_meddled_with",
        (WHEREABOUTS, "let led = leads_to(storage, &name, file);", "let led = Some(file).map_or(Ok(()), |_| Ok(()));"),
    ),
    Bug(
        "list-unlooked",
        "a writer acknowledges in a store of which older files were deleted",
        "displaced a_writer_whose_files_are_meddled_with",
        (WHEREABOUTS, "if folded || stamp.is_none() || *seen != stamp {", "if folded {"),
    ),
    Bug(
        "list-looked-at-once",
        "a writer lists the directory when it begins, and no more",
        "displaced a_writer_whose_files_are_meddled_with",
        (WHEREABOUTS, "if folded || stamp.is_none() || *seen != stamp {", "if folded || seen.is_none() {"),
    ),
    Bug(
        "a-stamp-of-this-moment",
        "a change right after another leaves the directory's time as it was, and goes unseen",
        "lib the_stamp_is_another_one",
        (DISK, "(!changed_lately(&found)).then_some(stamp)", "(!changed_lately(&found) || true).then_some(stamp)"),
    ),
    Bug(
        "looks-only-when-it-syncs",
        "with --durability os nobody looks whether the store is still there",
        "displaced a_writer_that_does_not_sync",
        (LOG, "if self.durability == Durability::Os && written.is_ok() {", "if false {"),
    ),
    Bug(
        "the-end-unlooked",
        "a run that has nothing more to sync ends well, though its store is gone",
        "displaced a_writer_whose_files_are_meddled_with",
        (LOG, "acknowledged again.\n        self.check_place()?;", "acknowledged again."),
    ),
    Bug(
        "acknowledged-before-the-look",
        "what was fsynced is acknowledged wherever it is",
        "displaced a_writer_whose_directory_is_moved",
        (LOG, ".and_then(|()| self.look(&written));", ";"),
    ),
    Bug(
        "told-without-a-look",
        "an offset is told as durable long after anybody looked where it is",
        "displaced an_offset_is_told",
        (INGEST, "            self.log.check_place()?;\n", ""),
    ),
    Bug(
        "published-without-a-look",
        "a compaction deletes the log in a directory that was moved away, or for a snapshot that is not its own",
        "displaced",
        (STORAGE, "        leads_to(storage, &name, &*file)?;\n        storage.in_place().map(drop)", "        drop(file);\n        Ok(())"),
    ),
    Bug(
        "folded-means-gone",
        "a compaction that folds a segment before its seal is fsynced stops the writer beside it",
        "compaction compacted_stores",
        (WHEREABOUTS, "Err(Error::Displaced { .. }) if number < last =>", "Err(Error::Displaced { .. }) if number > last =>"),
    ),
    Bug(
        "calls-by-path",
        "a writer lists the directory that its path leads to, whatever it has open",
        "lib a_directory_that_is_moved",
        (DISK, "for entry in Dir::read_from(&self.directory)? {", "for entry in Dir::new(rustix::fs::openat(CWD, &self.path, DIRECTORY, Mode::empty())?)? {"),
    ),
    Bug(
        "moved-in-silence",
        "that a store was moved is said without a word on how far its inputs are safe",
        "directory whatever_happens_to_the_directory",
        (INGEST, "        (appender.notify)(Notice::Failed(&appender.outcome));\n", ""),
    ),
    Bug(
        "names-taken-over",
        "a new segment replaces a file that has its name",
        "strange_files a_roll_takes_no_name",
        (RENAME, "    match by_call(directory, from, to) {", "    match rustix::fs::renameat(directory, from, directory, to) {"),
    ),
    Bug(
        "no-way-to-rename",
        "on an older Linux no segment gets its name",
        "failing_disk a_system_without_a_renaming",
        (RENAME, "Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) => by_link(directory, from, to),", "Err(Errno::NOSYS | Errno::INVAL | Errno::OPNOTSUPP) if from == to => by_link(directory, from, to),"),
    ),
    Bug(
        "a-link-that-is-its-own",
        "a kill between the two steps of a renaming leaves a segment that no writer takes",
        "failing_disk a_system_without_a_renaming",
        (DISK, "is_ok_and(|other| other.is(&own));", "is_ok_and(|other| other.is(&own) && own.links == 0);"),
    ),
    Bug(
        "taken-by-a-look-too-late",
        "where there are no links, a name that is taken is taken over",
        "lib a_name_that_is_taken",
        (RENAME, "        Ok(_) => Err(Errno::EXIST),", "        Ok(_) => rustix::fs::renameat(directory, from, directory, to),"),
    ),
    Bug(
        "links-are-followed",
        "a link in the place of a file of the store leads readers and writers elsewhere",
        "strange_files what_stands_in_the_place_of_a_file",
        (DISK, "union(OFlags::NOFOLLOW)", "union(OFlags::empty())"),
    ),
    Bug(
        "pipes-are-waited-for",
        "whoever opens a pipe in the place of a file waits for its other end",
        "strange_files what_stands_in_the_place_of_a_file",
        (DISK, ".union(OFlags::NONBLOCK)", ""),
    ),
    Bug(
        "written-through-what-is-there",
        "a new file is written through whatever has its temporary name",
        "lib what_is_in_the_way",
        (DISK, "let new = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;", "let new = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;"),
    ),
    Bug(
        "hard-links-are-written-to",
        "a segment that has another name, in a copy of the store for example, changes under it",
        "strange_files a_second_name",
        (DISK, "if own.links <= 1 {", "if own.links <= 9 {"),
    ),
    Bug(
        "every-segment-is-opened-for-writing",
        "a store of which sealed files are hard links to a copy is refused",
        "strange_files a_second_name",
        (STORE, "Purpose::Append if number.saturating_add(1) >= *listing.segments.end() => Access::ReadWrite,", "Purpose::Append if number > 0 => Access::ReadWrite,"),
    ),
    Bug(
        "files-for-everybody",
        "rejects, which hold what visitors wrote, can be read by every user",
        "directory what_is_made",
        (DISK, "const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);", "const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::ROTH);"),
    ),
    Bug(
        "directories-for-everybody",
        "every user can take the writer's lock, of a directory that anybody can open",
        "directory what_is_made",
        (DISK, "const PRIVATE_DIRECTORY: u32 = 0o700;", "const PRIVATE_DIRECTORY: u32 = 0o755;"),
    ),
    Bug(
        "a-dead-process-is-named",
        "a process is named as the holder of the lock that took it and is gone",
        "one_writer a_process_that_is_gone",
        (HOLDER, "            Evidence::None => false,", "            Evidence::None => listed,"),
    ),
    Bug(
        "any-holder-is-named",
        "a process is named that holds the lock of another store",
        "lib a_process_is_named",
        (HOLDER, "            Evidence::Open | Evidence::Hidden => listed,", "            Evidence::Open | Evidence::Hidden | Evidence::None => true,"),
    ),
    Bug(
        "a-waiting-process-is-named",
        "a process is named that waits for the lock",
        "lib the_kernels_list",
        (HOLDER, "        if fields.next() != Some(\"FLOCK\") {", "        if fields.find(|field| *field != \"->\") != Some(\"FLOCK\") {"),
    ),
    Bug(
        "loose-modes-unsaid",
        "that any user can hold the lock is not said where one does",
        "one_writer a_holder_that_is_no_chatwal",
        (HOLDER, "    if modes == Modes::Loose {", "    if modes == Modes::Loose && pid.is_none() {"),
    ),
    Bug(
        "directories-that-cannot-be-fsynced",
        "names that no fsync made durable are called durable",
        "failing_disk a_file_system_that_cannot",
        (NAMES, "if names == Names::DurableIfPossible => {", "if names == Names::DurableIfPossible || true => {"),
    ),
    Bug(
        "any-failed-fsync-of-a-directory-will-do",
        "with --durability os a directory's fsync that fails is taken for one that cannot be",
        "failing_disk a_file_system_that_cannot",
        (NAMES, "        Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) if names", "        Err(_) if names"),
    ),
    Bug(
        "no-locks-no-matter",
        "on a file system without locks two writers append to one log",
        "failing_disk a_file_system_without_locks",
        (HOLDER, "            Ok(()) => return Ok(()),", "            Ok(()) => return Ok(()),\n            Err(error) if without_locks.contains(&error.raw_os_error()) => return Ok(()),"),
    ),
    # A backup is a store at every moment.
    Bug(
        "backup-claims-before-what-they-prove",
        "a frame gets into a backup before the frames that its header proves durable are",
        "backup every_stop_of_a_second_backup_after_more",
        (BACKUP, "                self.sync()?;\n                durable =", "                durable ="),
    ),
    Bug(
        "backup-of-frames-not-fsynced",
        "a backup is called finished whose last frames can vanish",
        "backup every_stop_of_a_second_backup_after_more",
        (BACKUP, "        self.sync()\n    }\n\n    /// Writes the segment anew.", "        Ok(())\n    }\n\n    /// Writes the segment anew."),
    ),
    Bug(
        "backup-snapshot-before-its-successor",
        "a snapshot gets its name in a backup that has no segment behind it",
        "backup every_stop_of_a_first_backup",
        (BACKUP, "            tip.bridge(&snapshot.header)?;\n", ""),
    ),
    Bug(
        "backup-segment-behind-begins-elsewhere",
        "the segment behind a snapshot begins with another frame than the one that follows",
        "backup every_stop_of_a_first_backup",
        (BACKUP, "self.mark_until(snapshot.next_sequence.saturating_sub(1))?;", "self.mark_until(0)?;"),
    ),
    Bug(
        "backup-record-ahead",
        "the record of what was acknowledged names a frame that the backup has not got yet",
        "backup every_stop_of_a_second_backup_after_more",
        (BACKUP, "        if !self.segments(&mut tip)? {", "        self.record()?;\n        if !self.segments(&mut tip)? {"),
    ),
    Bug(
        "backup-takes-damaged-sections",
        "a section whose checksum is wrong gets into a backup",
        "backup a_damaged_source",
        (FRAME_COPY, "self.check(section, next_section(&mut rest, section))?;", "let _ = (section, next_section(&mut rest, section));"),
    ),
    Bug(
        "backup-finds-damage-too-late",
        "damage of the store is found when part of the backup has changed",
        "backup a_damaged_source",
        (BACKUP, "Ok(goes_on && self.check_frames()?)", "Ok(goes_on)"),
    ),
    Bug(
        "backup-into-another-store",
        "the backup of another store is written over",
        "backup what_is_no_earlier_state",
        (BACKUP, "if self.source.store() != self.there.store() {", "if false {"),
    ),
    Bug(
        "backup-mark-stays",
        "what was ingested into a backup is lost with the next backup",
        "backup what_is_no_earlier_state",
        (RECOVER, "if writer == Writer::Any {", "if false && writer == Writer::Any {"),
    ),
    Bug(
        "backup-unlocked",
        "two backups, or a backup and an ingest, write to one directory",
        "backup what_is_no_earlier_state",
        (BACKUP, "let lock = dest.lock()?;", "let lock: Box<dyn Send + Sync> = Box::new(());"),
    ),
    Bug(
        "backup-has-what-the-source-can-lose",
        "a loss of power takes from the source what the backup has, and no later backup is possible",
        "backup what_was_not_fsynced",
        (BACKUP, "    sync_unproven(view)?;\n", ""),
    ),
    Bug(
        "backup-inside-the-store",
        "a backup is made inside the directory of its store",
        "backup the_command_says",
        (BACKUP, "match lies_in(dest, source) {", "match false && lies_in(dest, source) {"),
    ),
    # One writer.
    Bug(
        "lock-not-taken",
        "two writers append to one log",
        "one_writer every_second_writer",
        (HOLDER, "match fs2::FileExt::try_lock_exclusive(file) {", "match io::Result::Ok(()) {"),
    ),
    Bug(
        "lock-file-deleted-at-exit",
        "two processes lock two files of one name",
        "one_writer the_lock_dies",
        (
            DISK,
            "        Ok(Box::new((file, directory)))",
            "        struct Tidy(PathBuf);\n"
            "        impl Drop for Tidy {\n"
            "            fn drop(&mut self) {\n"
            "                let _ = fs::remove_file(&self.0);\n"
            "            }\n"
            "        }\n"
            "        Ok(Box::new((file, directory, Tidy(self.path.join(LOCK)))))",
        ),
    ),
    Bug(
        "directory-not-locked",
        "whoever deletes LOCK, taking it for stale, lets a second writer in",
        "one_writer who_deletes_the_lock_file",
        (DISK, "if let Err(error @ Error::Locked { .. }) = held {", "if let (true, Err(error @ Error::Locked { .. })) = (false, held) {"),
    ),
    Bug(
        "repair-judges-what-it-cannot-read",
        "a disk that fails for a moment decides what a repair takes for the end of the log",
        "repair a_repair_that_fails",
        (SURVEY, "Ok(None) | Err(Error::Corruption(_) | Error::Version { .. }) => return Ok(false),\n        Err(error) => return Err(error),", "Ok(None) | Err(_) => return Ok(false),"),
    ),
    Bug(
        "lock-through-a-link",
        "a link in the place of LOCK is followed: whatever it leads to is locked, and made if it is not there",
        "one_writer a_link_in_the_place",
        (DISK, "union(OFlags::NOFOLLOW)", "union(OFlags::empty())"),
    ),
    Bug(
        "interrupted-calls-fail",
        "a signal that nobody waits for ends a run with an error",
        "failing_disk calls_that_are_interrupted",
        (DISK, "let file = match retry_on_intr(open) {\n            Err(Errno::LOOP)", "let file = match open() {\n            Err(Errno::LOOP)"),
    ),
    Bug(
        "no-mark-in-a-lull",
        "the last lines of an open pipe are acknowledged only when the next ones come",
        "cli what_comes_on_an_open_pipe_is_acknowledged",
        (INGEST, "*seen == next && !appender.unproven.is_empty()", "*seen == next && appender.unproven.is_empty()"),
    ),
    Bug(
        "permits-lost-at-the-end",
        "each thread that sees the end keeps its permit, and those that have none wait for ever",
        "cli the_first_signal_ends_in_order",
        (INGEST, "            drop(permit);\n            return None;", "            std::mem::forget(permit);\n            return None;"),
    ),
    Bug(
        "padding-taken-for-bytes",
        "a text that ended is ordered by the zeros it was filled up with, and stands behind one that has such bytes",
        "lib texts_are_in_order",
        ("src/event/order", " || alike.iter().any(|keyed| text(keyed.number).len() < behind)", ""),
    ),
    Bug(
        "a-byte-of-a-text-is-left-out",
        "texts that differ first in the byte behind eight that are alike stand in any order",
        "lib texts_are_in_order",
        ("src/event/order", "let behind = known + shared + 8;", "let behind = known + shared + 9;"),
    ),
    Bug(
        "permit-gives-nothing-back",
        "a dropped permit gives no byte back, and an input longer than the budget is never read to its end",
        "lib a_permit_gives_itself_back",
        (INGEST, "self.permits.give_back(self.bytes);", "self.permits.give_back(0);"),
    ),
    Bug(
        "one-of-those-who-wait-hears",
        "a permit that comes back wakes one thread of those that wait, and it may be one that it is too small for",
        "lib all_who_wait_hear",
        (INGEST, "self.changed.notify_all();", "self.changed.notify_one();"),
    ),
    Bug(
        "nobody-waits-for-a-permit",
        "threads without a permit look again and again in place of waiting, and take the processor from those that work",
        "lib all_who_wait_hear",
        (INGEST, "|state| state.changes == changes", "|_| false"),
    ),
    Bug(
        "acknowledged-in-silence",
        "that all of a silent pipe is acknowledged is said only when the next line comes",
        "cli what_comes_on_an_open_pipe_is_acknowledged",
        ("src/cli/console", "was_behind && !self.behind || ", ""),
    ),
    Bug(
        "pipes-are-opened",
        "a reader waits for ever for the other end of a pipe that has the name of a segment",
        "bad_input a_pipe_in_the_place",
        (DISK, "        refuse_non_file(&file.metadata()?)?;\n", ""),
    ),
    Bug(
        "directory-that-cannot-be-opened",
        "a directory that cannot be opened for its sync counts as synced",
        "failing_disk files_and_directories",
        (NAMES, "        directory if made == Made::Now => sync_names(directory?, names),\n", "        Err(_) => Ok(Synced::Durable),\n        directory if made == Made::Now => sync_names(directory?, names),\n"),
    ),
    Bug(
        "compactor-fails-in-silence",
        "the error of a compaction beside an ingest is dropped",
        "compaction a_compactor_that_fails",
        (COMPACT, "self.failure.take().map_or(Ok(()), Err)", "self.failure.take().map_or(Ok(()), |_| Ok(()))"),
    ),
    Bug(
        "compact-makes-a-store",
        "a compaction of an empty directory makes a store of it",
        "bad_input an_empty_directory",
        ("src/cli/compaction", "    refuse_no_store(&*disk)?;\n", ""),
    ),
    Bug(
        "an-input-named-twice",
        "the rejects of an input that is named twice are added up",
        "cli an_input_that_is_named_twice",
        ("src/cli/inputs", "self.rejects.insert(outcome.instance, outcome.rejects_held);", "*self.rejects.entry(outcome.instance).or_insert(0) += outcome.rejects_held;"),
    ),
    Bug(
        "marks-of-direction",
        "an invisible character turns the order of what a terminal shows",
        "lib nothing_printable_moves",
        (TEXT, "            | '\\u{61c}'\n", ""),
    ),
    Bug(
        "spaces-of-other-kinds-are-spaces",
        "a space of another kind is shown as it is, and two names that differ by it look alike",
        "lib what_deceives",
        (TEXT, "            | '\\u{2000}'..='\\u{200f}'\n", "            | '\\u{200b}'..='\\u{200f}'\n"),
    ),
    Bug(
        "a-path-with-a-space-of-another-kind",
        "a hint names a path with a character that is shown escaped, and does not lead to it",
        "inputs the_path_of_a_hint",
        (SHELL, "ok().filter(|text| !text.contains(is_unprintable));", "ok().filter(|text| !text.contains(char::is_control));"),
    ),
    # Rejects say where.
    Bug(
        "a-trailing-comma-is-the-bracket-behind-it",
        "the place of a trailing comma is that of the bracket",
        "lib it_says_where",
        (SCAN, "at: self.comma, end: one", "at: self.at, end: one"),
    ),
    Bug(
        "what-was-not-kept-is-not-there",
        "where the kept bytes of a reject end, its text is said to end",
        "lib what_was_not_kept",
        (EXPLAIN, "let cut = whole > raw.len() as u64;", "let cut = whole == u64::MAX;"),
    ),
    Bug(
        "half-a-word-is-a-whole-one",
        "a number that the cut of the kept bytes goes through is taken for a whole one",
        "lib what_was_not_kept",
        (SCAN, "if !whole && self.end == End::Cut { Err(Stop::Cut) }", "if !whole && self.end == End::Cut && run.is_empty() { Err(Stop::Cut) }"),
    ),
    Bug(
        "the-second-of-two-is-anywhere",
        "of a required key that stands twice the object is told, not the place",
        "lib it_says_where",
        (WORDS, "Fault { reason: Reason::DuplicateKey, at, text }", "Fault { reason: Reason::DuplicateKey, at: at.min(0), text }"),
    ),
    Bug(
        "a-key-is-missing-whatever-stands-there",
        "a key that nearly is the missing one is not named",
        "lib it_says_where",
        (NEAR, "if letters == target {", "if letters == target && letters.is_empty() {"),
    ),
    Bug(
        "data-of-the-other-type-is-a-fault",
        "a fault is told in a value that the event's type does not ask for",
        "lib it_finds_the_judge_right",
        (FIELDS, "            Some(_) => None,\n", "            Some(_) => Some(fault),\n"),
    ),
    Bug(
        "lengths-in-characters",
        "a name that is too long is measured in characters, not in bytes",
        "lib long_names",
        (WORDS, "Ok(char) => length += char.len_utf8(),", "Ok(_) => length += 1,"),
    ),
    Bug(
        "a-look-at-all-for-each-string",
        "a walk takes time by the square of a text's length",
        "lib a_mebibyte",
        (SCAN, "let mut at = start + 1;", "let mut at = start + 1 + usize::from(start % 8 == 0 && self.text.bytes().filter(|byte| *byte == 7).count() == self.text.len());"),
    ),
    Bug(
        "columns-of-the-text",
        "a column is counted from the start of the reject, wherever in its line that is",
        "lib the_place_of_a_fault",
        (EXPLAIN, "None => (line, column + before.len() as u64),", "None => (line, 1 + before.len() as u64),"),
    ),
    Bug(
        "lines-of-a-reject-are-one",
        "the line ends inside of a reject are not counted",
        "lib the_place_of_a_fault",
        (EXPLAIN, "match memchr::memrchr(b'\\n', before) {", "match memchr::memrchr(0xff, before) {"),
    ),
    Bug(
        "what-looks-alike-is-explained-alike",
        "a reject is told with the explanation of the one before it, of the same reason and length",
        "inputs each_reject_is_told",
        (LISTS, " && std::ptr::eq(a.raw, b.raw)", ""),
    ),
    Bug(
        "columns-from-nought",
        "columns of faults count from 0",
        "inputs each_reject_is_told",
        (LISTS, "reject.column + 1", "reject.column"),
    ),
    # Surroundings that fail.
    Bug(
        "a-thread-or-a-panic",
        "where no thread can be started, the program panics",
        "surroundings where_no_thread",
        (THREADS, "Builder::new().spawn_scoped(scope, work).inspect_err(note).ok();", "Some(scope.spawn(work));"),
    ),
    Bug(
        "fewer-threads-in-silence",
        "nobody is told why it takes longer",
        "surroundings where_no_thread",
        (THREADS, "    let _ = REFUSED.set(io::Error::new(error.kind(), error.to_string()));\n", "    let _ = error;\n"),
    ),
    Bug(
        "durable-without-a-syncer",
        "without a thread that syncs, what nobody synced is acknowledged",
        "surroundings without_a_thread_that_syncs",
        (
            LOG,
            "        idle(|| self.sync(Until::Synced));\n        self.lock()",
            "        let mut state = self.lock();\n        state.durable = state.appended.sequence;\n        state.acknowledged = state.durable;\n        state",
        ),
    ),
    Bug(
        "a-pipe-without-a-worker",
        "an open pipe is read by the thread that should look for its lulls",
        "surroundings a_pipe_for_which",
        (INGEST, "(0, Some(name), Some(refused)) =>", "(usize::MAX, Some(name), Some(refused)) =>"),
    ),
    Bug(
        "rows-or-an-abort",
        "memory for events that is refused ends the program without a hint",
        "surroundings memory_that_is_refused",
        (MEMORY, "    match list.capacity() - list.len() {\n        room if room >= more => Ok(()),\n        _ => grow(list, more, what),\n    }", "    let _ = what;\n    list.reserve(more);\n    Ok(())"),
        (MEMORY, "#[cold]\nfn grow", "#[allow(dead_code)]\nfn grow"),
        (MEMORY, "MmapMut::map_anon(bytes).map(Zeros).map_err(|_| refused(what, bytes))", "MmapMut::map_anon(bytes).map(Zeros).map_err(|_| std::process::abort())"),
    ),
    Bug(
        "an-abort-is-a-signal",
        "an allocation that fails is a death by SIGABRT",
        "surroundings an_allocation_that_aborts",
        (PROCESS, "    let _ = exit_on_abort();\n", "    let _ = exit_on_abort;\n"),
    ),
    Bug(
        "a-compaction-without-memory",
        "a compaction beside an ingest begins without the memory that it takes",
        "surroundings a_compaction_without_memory",
        (COMPACT, "            memory::probe(options.memory.saturating_add(BESIDES), \"a compaction beside the ingest\")?;\n", "            let _ = BESIDES;\n"),
    ),
    Bug(
        "a-panic-of-the-compactor",
        "a panic of a compaction takes the ingest beside it down",
        "lib a_compaction_that_panics",
        (COMPACT, 'Err(_) => self.failure = Some(Error::io("compact", self.path())(io::Error::other("it panicked"))),', "Err(panic) => std::panic::resume_unwind(panic),"),
    ),
    Bug(
        "a-turn-that-never-comes",
        "the threads of a compaction wait for ever for one that panicked",
        "lib nobody_waits_for_the_turn",
        (TURNS, "self.0.turn.lock().over = true;", "self.0.turn.lock().over |= false;"),
    ),
    Bug(
        "a-compaction-fails-the-ingest",
        "an ingest fails because the compaction beside it did",
        "surroundings a_compaction_that_fails",
        ("src/cli/compaction", "                quoted(store)\n            ));\n            false", "                quoted(store)\n            ));\n            true"),
    ),
    Bug(
        "damage-beside-an-ingest",
        "damage that a compaction beside an ingest met does not show in the exit status",
        "surroundings damage_that_a_compaction_meets",
        ("src/cli/compaction", "            console.error(&error);\n            true", "            console.error(&error);\n            false"),
    ),
    Bug(
        "a-print-that-panics",
        "where stderr is full the exit status is that of a panic",
        "surroundings without_stderr",
        (PROCESS, '    let _ = writeln!(stderr(), "{line}");', '    writeln!(stderr(), "{line}").unwrap();'),
    ),
    Bug(
        "an-answer-for-nobody",
        "an answer to a closed standard output vanishes with exit status 0",
        "surroundings an_answer_that_nobody",
        (DESCRIPTORS, "        unusable |= STDOUT;", "        unusable |= 0;"),
    ),
    Bug(
        "a-closed-input-is-empty",
        "a closed standard input is taken for an empty one",
        "surroundings a_closed_standard_input",
        (DESCRIPTORS, "        unusable |= STDIN;", "        unusable |= 0;"),
    ),
    Bug(
        "an-input-that-shrank-ends",
        "the end of an input that was cut while it was read is taken for its end",
        "surroundings an_input_that_shrinks",
        (SOURCE, "if to < from && self.length > 0 {", "if to < from && to > from {"),
    ),
    Bug(
        "a-snapshot-that-is-cut",
        "a reader reads the last bytes of a snapshot that was cut again and again",
        "surroundings a_snapshot_that_is_cut",
        (SNAPSHOT, "            if read < length {\n", "            if read == 0 {\n"),
    ),
    Bug(
        "a-dumb-terminal",
        "a terminal that only prints gets colours and a bar",
        "surroundings a_terminal_that_only_prints",
        ("src/cli/console", 'set("TERM").is_none_or(|term| term == "dumb")', 'set("TERM").is_some_and(|term| term == "smart")'),
    ),
    Bug(
        "hints-without-quotes",
        "a command of a hint is another one when it is pasted",
        "surroundings a_command_of_a_hint",
        (SHELL, r"""format!("'{}'", text.replace('\'', r"'\''"))""", "text.to_string()"),
    ),
    Bug(
        "a-link-to-nothing",
        "a store that is a link to nothing is said not to be there",
        "surroundings a_link_to_nothing",
        (MAIN, "path.ancestors().find(to_nothing)", "path.ancestors().skip(99).find(to_nothing)"),
    ),
    Bug(
        "a-store-beside-a-pipe",
        "run tries to make a store beside a pipe",
        "surroundings a_pipe_has_no_place",
        (INPUTS, "    of_a_process || std::fs::metadata(file)", "    of_a_process && std::fs::metadata(file)"),
    ),
    Bug(
        "nohup-in-vain",
        "a hangup that is to be ignored ends an ingest",
        "surroundings a_hangup_ends",
        (SIGNALS, "mask >> (signal - 1) & 1 == 1", "mask >> (signal - 1) & 1 == 2"),
    ),
    Bug(
        "hung-up-at-once",
        "a hangup ends the program at once when it comes twice, as it does",
        "surroundings a_hangup_ends",
        (SIGNALS, "if signal != SIGHUP {", "if signal > 0 {"),
    ),
    Bug(
        "a-pipe-goes-on",
        "a pipe is said to be gone on with",
        "surroundings what_cannot_be_gone_on_with",
        (INPUTS, "console.note(match piped {", "console.note(match *piped && false {"),
    ),
    Bug(
        "names-that-look-alike",
        "characters that are not seen stand in what people read",
        "surroundings names_that_deceive",
        (TEXT, "            | '\\u{2000}'..='\\u{200f}'\n", "            | '\\u{2000}'..='\\u{200a}'\n            | '\\u{200e}'..='\\u{200f}'\n"),
    ),
    Bug(
        "names-that-deceive-unsaid",
        "nobody is warned of names in data that deceive the eye",
        "surroundings names_that_deceive",
        ("src/cli/output", "            self.look(&bytes[..count]);\n", "            self.look(&bytes[..count.min(0)]);\n"),
    ),
    # Hostile shapes.
    Bug(
        "copies-in-two-parts",
        "copies of an event that disagree are dealt to two parts and stay both",
        "lib large::tests::what_does_not_fit",
        (LARGE, "dealer.put(part_of(table.hash_event(row), level, parts),", "dealer.put(part_of(table.hash_event(row).rotate_left(row.kind.code().into()), level, parts),"),
    ),
    Bug(
        "messages-before-the-statuses-of-their-moment",
        "a message counts as an email that comes in the moment in which an operator comes",
        "lib large::tests::what_does_not_fit",
        (LARGE, "rest.next_if(|switch| *switch <= moment)", "rest.next_if(|switch| *switch < moment)"),
    ),
    Bug(
        "each-slice-begins-offline",
        "who was online when the memory for turns was full is forgotten",
        "lib large::tests",
        (LARGE, "switches = Switches { online: was, ..Switches::default() };", "switches = Switches::default();"),
    ),
    Bug(
        "a-visitor-of-one-site-is-none-of-another",
        "visitors of all sites of a shard are taken for those of one",
        "lib large::tests::what_does_not_fit",
        (LARGE, "if self.site > 0 {", "if self.site > u32::MAX - 1 {"),
    ),
    Bug(
        "operators-of-any-moment",
        "a window counts operators whose statuses are all before it",
        "lib large::tests::what_does_not_fit",
        (LARGE, "if status.moment >= window.from {", "if status.moment >= i64::MIN {"),
    ),
    Bug(
        "what-is-put-aside-is-believed",
        "a temporary file that somebody changed is read back as if nothing had happened",
        "lib what_somebody_changed",
        (SCRATCH, "if crc(buffer) == extent.crc {", "if crc(buffer) == extent.crc || true {"),
    ),
    Bug(
        "temporary-files-for-everybody",
        "others may read what a report puts aside",
        "lib a_temporary_file_has_no_name",
        (SCRATCH, "let mode = Mode::RUSR | Mode::WUSR;", "let mode = Mode::RUSR | Mode::WUSR | Mode::RGRP | Mode::ROTH;"),
    ),
    Bug(
        "a-run-without-its-last-block",
        "the last records of a run that was put aside are lost",
        "lib records_come_in_order",
        (SORTER, "if !self.bytes.is_empty() {", "if self.bytes.len() > 100 {"),
    ),
    Bug(
        "a-stretch-begins-a-block-late",
        "records between a key and the next block are in no stretch",
        "lib records_come_in_order",
        (SORTER, "blocks[before.saturating_sub(1)..].iter()", "blocks[before..].iter()"),
    ),
    Bug(
        "lines-out-of-turn",
        "a thread writes its stretch of the report as soon as it is made",
        "same_bytes a_report_of_many_sites",
        (TURNS, "while turn.next != number && !turn.over {", "while turn.next != number && !turn.over && number > 1000 {"),
    ),
    Bug(
        "readers-put-aside-in-the-store",
        "a report leaves its temporary files where the store is, whatever it is told",
        "memory what_does_not_fit_goes",
        (SCRATCH, "directory.map_or_else(|| Scratch::new(&std::env::temp_dir()), Scratch::new)", "directory.map_or_else(|| Scratch::new(&std::env::temp_dir()), |_| Scratch::new(&std::env::temp_dir()))"),
    ),
    Bug(
        "sites-by-the-public-hash",
        "whoever names sites makes them all collide in a table",
        "hash_attack names_that_collide",
        (REPORT, "let hash = |record: &IndexRecord| secret::hash(record.name.site());", "let hash = |record: &IndexRecord| site_hash(record.name.site());"),
    ),
    Bug(
        "a-run-of-more-than-there-are",
        "a few forged bytes stand for more rejects than the directory counts",
        "lib a_run_stands_for_no_more",
        (REJECTS, "if count == 0 || count > self.left || gap == 0 {", "if count == 0 || gap == 0 {"),
        (REJECTS, "self.left -= record.count;", "self.left = self.left.saturating_sub(record.count);"),
    ),
    Bug(
        "a-run-that-leaves-its-batch",
        "of a run only the first reject has to lie inside the batch",
        "lib a_run_stands_for_no_more",
        (REJECTS, "gap.checked_mul(record.count).and_then(|all| place.checked_add(all));", "place.checked_add(gap);"),
    ),
    Bug(
        "alike-rejects-are-written-out",
        "millions of equal wrong lines, a few kilobytes of input, become hundreds of megabytes of store",
        "hostile_shapes millions_of_wrong_lines",
        (REJECTS, "let alike = self.count > 0", "let alike = self.count > u32::MAX - 1"),
    ),
    Bug(
        "rejects-of-earlier-runs-do-not-count",
        "--max-rejects allows as many in every run",
        "hostile_shapes one_reject_more",
        (INGEST, "MaxRejects::Number(most) if held + parsed.rejects > most => {", "MaxRejects::Number(most) if parsed.rejects > most => {"),
    ),
    Bug(
        "the-wrong-reject-is-named",
        "the error names the first reject of the chunk, not the one that is too many",
        "hostile_shapes one_reject_more",
        (INGEST, "section.and_then(|mut rejects| rejects.nth(nth))", "section.and_then(|mut rejects| rejects.nth(nth.min(0)))"),
    ),
    Bug(
        "any-file-is-an-input",
        "a file that holds no event at all is kept as rejects, line by line",
        "hostile_shapes an_input_whose_first_lines",
        (INGEST, "MaxRejects::NotOnly if events == 0 &&", "MaxRejects::NotOnly if events > 0 &&"),
    ),
    Bug(
        "a-table-in-memory",
        "a table of millions of rows is held until its last row",
        "lib a_table_is_written",
        ("src/show/render", "match self.rows.len() < MEASURED_ROWS && self.held < MEASURED_BYTES {", "match self.rows.len() < usize::MAX {"),
    ),
    Bug(
        "a-nearer-place-will-do",
        "of the checkpoints that an input matches not the furthest is taken, and more is read again",
        "lib the_furthest_match_is_found",
        (KNOWN, "range(..=(most, [u8::MAX; 16])).next_back()?;", "range(..=(most, [u8::MAX; 16])).next()?;"),
    ),
    Bug(
        "a-moved-checkpoint-stays",
        "the index of known inputs keeps the places where they stood before",
        "lib what_moved_or_was_forgotten",
        (KNOWN, "            self.unindex(&before);", "            let _ = before;"),
    ),
    Bug(
        "every-tail-is-tried",
        "of thousands of inputs that begin alike each is compared with each",
        "lib of_many_that_begin_alike",
        (SEEK, "for _ in 0..TAILS + size / WINDOW as u64 {", "for _ in 0..size {"),
    ),
    Bug(
        "each-of-thousands-is-told-of",
        "20,000 inputs of which nothing is new say so twice each",
        "hostile_shapes of_thousands_of_inputs",
        (INPUTS, "files.paths.len() > FEW && !console.verbose", "files.paths.len() > FEW * 99_999 && !console.verbose"),
    ),
    Bug(
        "pipes-stay-for-ever",
        "each standard input there ever was stays an input of its own",
        "hostile_shapes standard_inputs_that_have_ended",
        (STORE_INPUTS, "let (2.., Some(instance)) = (gone.len(),", "let (99_999.., Some(instance)) = (gone.len(),"),
    ),
    Bug(
        "rejects-of-a-pipe-that-is-no-more",
        "standard inputs become one whose rejects name them",
        "hostile_shapes standard_inputs_that_have_ended",
        (STORE_INPUTS, "name == STDIN && input.rejects == 0 &&", "name == STDIN &&"),
    ),
    Bug(
        "a-pipe-that-is-being-read-goes",
        "a compaction beside an ingest takes the input away that is being read",
        "hostile_shapes a_standard_input_that_is_being_read",
        (COMPACT, "            elsewhere.extend(read);\n", "            let _ = read;\n"),
        (COMPACT, "filter(|place| place.segment >= folds.segments)", "filter(|place| place.segment == usize::MAX)"),
    ),
    Bug(
        "a-file-goes-on-behind-nothing",
        "a file goes on in an input that a compaction beside the ingest has taken away",
        "hostile_shapes a_file_does_not_go_on",
        (LOG, "let kept = !pipes.gone.contains(&instance);", "let kept = true;"),
    ),
    Bug(
        "no-look-at-the-room",
        "a compaction fills the disk to find out that it does not fit",
        "failing_disk a_compaction_without_room",
        (ROOM, "if needed.saturating_add(spare) <= room {", "if needed.saturating_add(spare) <= room || spare == 0 {"),
    ),
    Bug(
        "room-for-the-old-is-room-for-the-new",
        "a snapshot with long names takes more room than the segments, and that is not looked at",
        "failing_disk a_compaction_without_room",
        (ROOM, "const PLENTY: u64 = 3;", "const PLENTY: u64 = 1;"),
    ),
    Bug(
        "what-would-fit-is-refused",
        "a compaction is refused wherever there is not plenty of room",
        "failing_disk a_compaction_without_room",
        (ROOM, "if needed.saturating_add(spare) <= room {", "if needed.saturating_add(spare) <= room / 2 {"),
    ),
    Bug(
        "no-room-fails-the-ingest",
        "a compaction that has no room beside an ingest ends the ingest with an error",
        "failing_disk a_compaction_beside_an_ingest",
        (COMPACT, "            Ok(Err(error)) if error.is_full() => self.skipped = Some(error),\n", ""),
    ),
    Bug(
        "names-in-each-block",
        "the names of a large site's visitors are written again for every two thousand events",
        "hostile_shapes long_names_make",
        (COMPACT, "encoder.bytes_of_names() > bytes / 2 &&", "encoder.bytes_of_names() > bytes &&"),
    ),
    Bug(
        "a-fence-for-eight-sites",
        "long names are written a third time, one of eight, in the fences",
        "hostile_shapes long_names_make",
        (SNAPSHOT, "const INDEX_SITES: u32 = 64;", "const INDEX_SITES: u32 = 1;"),
    ),
    # The same bytes.
    Bug(
        "names-fall-into-two-parts",
        "the named sites of a large shard are parted by numbers that say nothing of their order",
        "lib parts_hold_every_row",
        (TABLE, "self.site.min(TEXT)", "self.site"),
    ),
    Bug(
        "parts-only-at-the-start",
        "where parts begin is told by the first rows alone, which are those of the first sites if they come from a snapshot",
        "lib parts_are_small",
        (GATHER, "            if part.rows.len() > part.most {", "            if part.rows.len() > part.most && arrival == Arrival::Mixed {"),
    ),
    Bug(
        "memory-of-a-giant-is-kept",
        "what one large site needed is held until the end",
        "lib parts_are_small",
        (GATHER, "        self.spare.retain(|rows| rows.capacity() <= 2 * PART_ROWS);\n", ""),
    ),
    Bug(
        "parts-without-a-snapshot",
        "what a snapshot holds of a site is left out if the rows of the tail fell into parts",
        "same_bytes a_large_shard",
        (GATHER, "let rows = self.parts.list.iter().flat_map(|part| &part.rows).chain(&table.rows);", "let rows = table.rows.iter();"),
    ),
    Bug(
        "names-ranked-by-the-last-shard",
        "a snapshot's dictionaries are written in the order of another shard's names",
        "same_bytes a_large_shard",
        (COMPACT, "            if first {\n                piece.encoder.begin(table);", "            if !first {\n                piece.encoder.begin(table);"),
    ),
    Bug(
        "rejects-counted-twice",
        "a rerun reads the last chunk again, whose events count once and whose rejects twice",
        "compaction a_store_cut_and_compacted_in_any_way",
        (INGEST, "            end: parsed.end,\n            start_line", "            end: if parsed.rejects > 0 { parsed.start } else { parsed.end },\n            start_line"),
    ),
    Bug(
        "the-last-copy-wins",
        "of copies that disagree the last in order counts, not the first",
        "lib copies_go_and_the_first_in_order_wins",
        (
            MERGE,
            "                    break;\n                }\n                slot = (slot + 1)",
            "                    (winner.timestamp, winner.kind, winner.from) = (row.timestamp, row.kind, row.from);\n"
            "                    break;\n                }\n                slot = (slot + 1)",
        ),
    ),
    Bug(
        "messages-before-statuses",
        "a message of the moment in which an operator comes online is an email",
        "compaction a_store_cut_and_compacted_in_any_way",
        (TABLE, "(a.timestamp, a.kind.is_message()).cmp(&(b.timestamp, b.kind.is_message()))", "(a.timestamp, !a.kind.is_message()).cmp(&(b.timestamp, !b.kind.is_message()))"),
    ),
    Bug(
        "window-before-copies",
        "a message before the window is left out before its copies are, so a later copy inside counts",
        "compaction a_store_cut_and_compacted_in_any_way",
        (
            REPORT,
            "        gather.finish(|Gathered { table, merged, .. }| {",
            "        gather.cut(window.from);\n        gather.finish(|Gathered { table, merged, .. }| {",
        ),
        (
            GATHER,
            "    /// Orders what was gathered, drops copies,",
            "    /// The bug.\n"
            "    pub fn cut(&mut self, from: i64) {\n"
            "        for table in &mut self.tables[..self.used] {\n"
            "            table.rows.retain(|row| !row.kind.is_message() || row.timestamp >= from);\n"
            "        }\n"
            "    }\n\n"
            "    /// Orders what was gathered, drops copies,",
        ),
    ),
    # Compaction.
    Bug(
        "delete-before-publish",
        "a compaction deletes the log before the snapshot that replaces it is there",
        "compaction every_stop_of_a_compaction",
        (COMPACT, "    let written = writer.publish(copies)?;\n    // Durable", "    // Durable"),
        (
            COMPACT,
            "        storage.remove(&name).map_err(Error::io(\"remove\", path_of(storage, &name)))?;\n    }\n",
            "        storage.remove(&name).map_err(Error::io(\"remove\", path_of(storage, &name)))?;\n    }\n"
            "    let written = writer.publish(copies)?;\n",
        ),
    ),
    Bug(
        "stale-summary-in-the-index",
        "the index of a snapshot holds the summary of a site as it was one event before",
        "compaction a_store_cut_and_compacted_in_any_way",
        (COMPACT, "let summary = self.fold.site(rows, table.names(), Window::ALL, &mut ());", "let summary = self.fold.site(&rows[..rows.len() - 1], table.names(), Window::ALL, &mut ());"),
    ),
    Bug(
        "tail-does-not-touch-the-index",
        "a site that has events behind a snapshot is answered from the snapshot's index as well",
        "compaction a_store_cut_and_compacted_in_any_way",
        (REPORT, "is_shared(record) || record.is_cut || is_read(record)", "is_shared(record) || record.is_cut"),
    ),
    Bug(
        "forgetting-is-forgotten",
        "a compaction drops the word that an input is to be forgotten, and an older snapshot brings it back",
        "compaction a_store_cut_and_compacted_in_any_way",
        (COMPACT, "if *folds.covers.start() == 1 {", "if *folds.covers.start() >= 1 {"),
    ),
    Bug(
        "rejects-of-the-forgotten",
        "a compaction keeps rejects of inputs that count no longer",
        "compaction a_compaction_drops_the_rejects",
        (STORE_INPUTS, "since.get(&checkpoint.instance).is_some_and(|since| *since <= position)", "since.get(&checkpoint.instance).is_none_or(|since| *since <= position)"),
    ),
    # Repair.
    Bug(
        "repair-deletes-first",
        "a repair deletes what it replaces before the snapshot that replaces it is there",
        "repair a_repair_that_is_interrupted_anywhere",
        (
            REPAIR,
            "        self.publish_segment(storage)?;\n        writer.publish(copies)?;",
            "        for name in std::mem::take(&mut self.repair.replaced) {\n"
            "            storage.remove(&name).map_err(Error::io(\"remove\", path_of(storage, &name)))?;\n"
            "        }\n"
            "        self.publish_segment(storage)?;\n        writer.publish(copies)?;",
        ),
    ),
    Bug(
        "repair-without-copies",
        "a repair destroys the evidence",
        "repair a_bad_section_costs_no_more",
        (
            REPAIR,
            "let kept = self.repair.replaced.iter().map(|name| copy_aside(storage, name)).collect();",
            "let kept: Result<Vec<String>> = self.repair.replaced.iter().take(0).map(|name| copy_aside(storage, name)).collect();",
        ),
    ),
    Bug(
        "repair-publishes-in-the-wrong-order",
        "a repair that dies between its two renamings leaves a store that passes for sound and has no last segment",
        "repair a_repair_that_is_interrupted_anywhere",
        (
            REPAIR,
            "        self.publish_segment(storage)?;\n        writer.publish(copies)?;",
            "        writer.publish(copies)?;\n        self.publish_segment(storage)?;",
        ),
    ),
    Bug(
        "repair-sees-no-gap",
        "a checkpoint stands behind bytes that are lost: nothing ever reads them again",
        "repair a_frame_whose_header_or_directory",
        (REPAIR, "let behind_a_hole = self.chain.loss && checkpoint.start > self.inputs.end_of(&checkpoint.instance);", "let behind_a_hole = false;"),
    ),
    Bug(
        "repair-keeps-the-checkpoint-of-a-damaged-batch",
        "events of a bad section are lost for good, since the input is not read again",
        "repair a_bad_section_costs_no_more",
        (REPAIR, "        if !bad.is_empty() {\n            self.inputs.touch(&checkpoint, checkpoint.end);", "        if false {\n            self.inputs.touch(&checkpoint, checkpoint.end);"),
    ),
    Bug(
        "repair-keeps-rejects-behind-a-hole",
        "rejects count twice once the input is read again",
        "repair a_bad_section_costs_no_more",
        (REPAIR, "            self.inputs.rejects_dropped += rejects;\n            return Ok(());", "            self.inputs.rejects_dropped += rejects;"),
    ),
    Bug(
        "repair-keeps-inputs-of-lost-events",
        "a snapshot has lost events, and its inputs still count as read",
        "repair lost_events_of_a_snapshot",
        (REPAIR, "if of.has_all_events && !of.lost_before && has_rejects", "if !of.lost_before && has_rejects"),
    ),
    Bug(
        "repair-loses-what-was-forgotten",
        "a repair brings back an input that was to be forgotten",
        "repair inputs_that_were_forgotten",
        (REPAIR, "place.forgotten(segment)?.into_iter().for_each(|instance| self.inputs.forget(instance));", "place.forgotten(segment)?;"),
    ),
    Bug(
        "repair-loses-sections-beside-a-bad-one",
        "a bad section costs its neighbours",
        "repair a_bad_section_costs_no_more",
        (REPAIR, "false => self.keep(std::mem::take(&mut run)),", "false => run.clear(),"),
    ),
    Bug(
        "an-unfinished-repair-is-a-stranger",
        "a repair that died cannot be finished",
        "repair a_repair_that_is_interrupted_anywhere",
        (SURVEY, "Ok(first > 0 && files.iter()", "Ok(first > u64::MAX - 1 && files.iter()"),
    ),
    Bug(
        "a-replaced-file-is-not-copied",
        "a segment of which nothing can be told is overwritten without a copy",
        "repair a_segment_that_is_cut_or_missing",
        (REPAIR, "matches!(part.content, Content::Nothing) && !names.contains(&part.name)", "matches!(part.content, Content::Nothing)"),
    ),
    Bug(
        "frames-that-moved-are-lost",
        "one byte too many costs all frames behind it",
        "repair bytes_that_are_missing",
        (SEGMENT, "strays.iter().try_for_each(|stray| visit(Found::Stray(stray)))?;", "let _ = &strays;"),
    ),
    Bug(
        "a-segment-without-a-header-begins-behind-it",
        "a byte too few in the header of a segment costs its first frame",
        "repair a_segment_that_lost_its_header",
        (SEGMENT, "Ok(Segment { path, header, length, file, least: 0, read: AtomicU64::new(0) })", "Ok(Segment { path, header, length, file, least: SEGMENT_HEADER as u64, read: AtomicU64::new(0) })"),
    ),
    Bug(
        "what-was-replaced-is-not-looked-at",
        "events are lost with a snapshot, though the segments it was made of are still there",
        "repair what_a_damaged_snapshot_lost",
        (REPAIR, "        if salvage.chain.loss {\n            let inside", "        if false {\n            let inside"),
    ),
    # The judge.
    Bug(
        "frames-before-a-seal-may-be-torn",
        "damage to what was durable before a roll is cut off, as nothing else proves it",
        "judge every_log_at_every_step",
        (JUDGE, "(_, Next::Empty(first)) if first.checked_sub(1) != Some(due) => Corrupt(Why::FramesMissing),", "(_, Next::Empty(0)) => Corrupt(Why::FramesMissing),"),
    ),
    Bug(
        "a-seal-may-be-missing-before-frames",
        "a log goes on behind a segment that lost its seal",
        "judge every_short_log_of_two",
        (JUDGE, "(_, Next::Frames(_)) => Corrupt(Why::SealMissing),", "(_, Next::Frames(0)) => Corrupt(Why::SealMissing),"),
    ),
    Bug(
        "dump-asks-for-no-proof",
        "dump calls torn what is proven durable",
        "judge every_log_of_one_segment",
        (DUMP, "let proven = durable_upto.max(claimed);", "let proven = durable_upto.max(claimed).min(0);"),
    ),
    Bug(
        "proof-behind-the-place-only",
        "the frame that was acknowledged last is taken out, and nobody sees it",
        "torn_or_corrupt the_frame_that_was_acknowledged_last",
        (STORE, "self.segments[end.segment].proven_from(end.at, due)?", "self.segments[end.segment].proven_from(end.at + 1, due)?"),
    ),
    Bug(
        "unknown-kinds-prove-nothing",
        "acknowledged data is cut off, since only a header of a newer kind says that it was durable",
        "torn_or_corrupt a_header_of_an_unknown_kind",
        (
            SEGMENT,
            "(from, proven) = (at + 1, header.durable_upto.max(proven));",
            "(from, proven) = (at + 1, if matches!(header.kind, FrameKind::Unknown(_)) { proven } else { header.durable_upto.max(proven) });",
        ),
    ),
    Bug(
        "unknown-kinds-of-strangers-are-newer",
        "bytes of another segment make a store one of a newer program",
        "torn_or_corrupt a_header_of_an_unknown_kind",
        (
            SEGMENT,
            "        let header = match self.check_header(&buffer, at, expected) {",
            "        if let Ok(FrameHeader { kind: FrameKind::Unknown(kind), .. }) = FrameHeader::decode(&buffer) {\n"
            '            return Err(self.newer(format!("a frame of unknown kind {kind}")));\n'
            "        }\n"
            "        let header = match self.check_header(&buffer, at, expected) {",
        ),
    ),
    Bug(
        "a-header-of-any-length",
        "a segment header that says another length is accepted, appended to, and then refused",
        "torn_or_corrupt a_newer_format_is_refused",
        (FILE_HEADER, "(true, VERSION) if length == own => Ok(reader),", "(true, VERSION) if length >= own => Ok(reader),"),
    ),
    Bug(
        "newer-headers-are-as-long-as-ours",
        "a newer version with a longer header is called corrupt",
        "torn_or_corrupt a_newer_format_is_refused",
        (SEARCH, "        if length > own {", "        if length > own && false {"),
    ),
    Bug(
        "a-seal-that-was-never-written-is-lost",
        "a repair behind damage says that a frame is lost which never was",
        "repair a_roll_that_was_interrupted",
        (REPAIR, "        if awaits_seal {", "        if awaits_seal && false {"),
    ),
    Bug(
        "a-roll-that-was-interrupted-is-damage",
        "verify of a damaged store blames a segment that waits for its predecessor's seal",
        "repair a_roll_that_was_interrupted",
        (SURVEY, "if let (Some(first), false, false, false) = (first, follows, behind_segment, own.headless) {", "if let (Some(first), false, false) = (first, follows, own.headless) {"),
    ),
    # What no chatwal writes.
    Bug(
        "events-of-no-site",
        "a section of events without a site is counted, and no report has them",
        "forged events_without_a_site",
        (EVENTS, "if numbers + names == 0 {", "if numbers + names == usize::MAX {"),
    ),
    Bug(
        "widths-of-what-is-not-there",
        "a width of more bits than there are passes where nothing has it",
        "forged a_width",
        (EVENTS, "if gap_width.max(time_width).max(actor_width) > 64 {", "if time_width.max(actor_width) > 64 {"),
    ),
    Bug(
        "two-tables-of-shards",
        "of two tables of shards the second counts",
        "forged tables_of_a_snapshot",
        (SNAPSHOT, "match shards.replace(table) {\n                None => Ok(()),", "match shards.replace(table).filter(|_| false) {\n                None => Ok(()),"),
    ),
    Bug(
        "shards-of-nothing",
        "a shard without events stands in the table",
        "forged tables_of_a_snapshot",
        (TABLES, "if length == 0 || events == 0 {", "if length == u64::MAX {"),
    ),
    Bug(
        "forgotten-inputs-uncounted",
        "a list of forgotten inputs has another length than it says",
        "forged tables_of_a_snapshot",
        (SNAPSHOT, "match (rest, whole.len() == header.count as usize) {", "match (rest, true) {"),
    ),
    Bug(
        "rejects-of-nobody",
        "rejects of an input that a snapshot does not know pass, and a compaction drops them",
        "verify rejects_of_an_input",
        (VERIFY, "findings.extend(counts.into_iter().map(|(instance, count)| {", "findings.extend(counts.into_iter().take(0).map(|(instance, count)| {"),
    ),
    Bug(
        "an-input-twice",
        "an input that stands twice in a snapshot passes",
        "verify an_input_that_stands_twice",
        (VERIFY, "if !known.insert(input.checkpoint.instance) {", "if !known.insert(input.checkpoint.instance) && false {"),
    ),
    Bug(
        "ingest-behind-nonsense",
        "the writer appends behind content that no reader accepts",
        "forged nothing_is_appended",
        (STORE, "if purpose == Purpose::Append {\n            self.check_contents(end.segment)?;", "if purpose == Purpose::Append && false {\n            self.check_contents(end.segment)?;"),
    ),
    # Verify.
    Bug(
        "verify-takes-torn-for-damage",
        "a sound store with an end that was never acknowledged is called corrupt",
        "repair an_end_that_was_never_acknowledged",
        (SURVEY, "_ => judged.torn = Some((what, at)),", "_ => judged.findings.push(what),"),
    ),
    Bug(
        "verify-stops-at-the-first-damage",
        "frames behind a bad one are not looked for",
        "verify everything_that_is_wrong",
        (
            SEGMENT,
            "let Behind { strays, next } = self.behind(offset, link.sequence, &mut search)?;",
            "let Behind { strays, next } = Behind { next: None, ..self.behind(offset, link.sequence, &mut search)? };",
        ),
    ),
    Bug(
        "verify-decodes-nothing",
        "a section that cannot be decoded passes, since its checksum is right",
        "verify a_section_that_cannot_be_decoded",
        (CONTENT, "SectionKind::Events => decode_events(decoder, entry.packed_events(bytes), table),", "SectionKind::Events => Ok(()),"),
    ),
    Bug(
        "verify-believes-the-index",
        "an index that does not say what the events say passes",
        "verify an_index_that_does_not_say",
        (VERIFY, "if line.stretches != 1 || line.entry != *entry {", "if line.stretches != 1 {"),
    ),
    Bug(
        "verify-does-not-count-rejects",
        "rejects that are missing pass",
        "verify inputs_that_do_not_have",
        (VERIFY, "if counted != input.rejects {", "if counted != input.rejects && false {"),
    ),
    Bug(
        "verify-writes",
        "a reader changes the disk",
        "verify of_a_sound_store",
        (VERIFY, "        let mut survey = Survey::read(storage)?;", "        storage.sync_directory().ok();\n        let mut survey = Survey::read(storage)?;"),
    ),
    # Repeated lines.
    Bug(
        "repeats-of-rejects",
        "a line that was no event is left out when it comes again",
        "same_bytes repeated_lines",
        (CHUNK_PARSER, "if is_event && bytes[at - 1] == b'\\n' {", "let _ = is_event;\n                if bytes[at - 1] == b'\\n' {"),
    ),
    Bug(
        "repeats-of-other-workers",
        "a line is left out because another worker has it, whose frame may come later and be lost",
        "same_bytes each_prefix",
        (
            CHUNK_PARSER,
            "if filter.has(*hash) {",
            "static ALL: std::sync::Mutex<std::collections::BTreeSet<u128>> = std::sync::Mutex::new(std::collections::BTreeSet::new());\n"
            "                let known = ALL.lock().is_ok_and(|mut all| !all.insert(*hash));\n"
            "                if filter.has(*hash) | known {",
        ),
        (REPEATS, "seed: RandomState::new().hash_one(())", "seed: RandomState::new().hash_one(()) & 1 >> 1"),
    ),
    Bug(
        "repeats-by-set",
        "a line is left out that is in the same set as another",
        "lib lines_that_came_before",
        (REPEATS, "((*pair.0 == word) & (*pair.1 == end))", "((*pair.0 == word) | (*pair.1 == end) | (*pair.0 != [0; 8]))"),
    ),
    Bug(
        "repeats-uncounted",
        "lines that are left out are in no total",
        "same_bytes repeated_lines",
        (CHUNK_PARSER, "            batch.entries.push(Entry::new(SectionKind::Repeats, 0, self.repeated, &[]));\n", ""),
    ),
    Bug(
        "repeats-uncounted-by-ingest",
        "an ingest does not tell of lines that it left out",
        "same_bytes repeated_lines",
        (CHUNK_PARSER, "self.table.rows.len() as u64 + u64::from(self.repeated)", "self.table.rows.len() as u64"),
    ),
    Bug(
        "repeats-uncounted-by-compaction",
        "a compaction forgets how many lines were left out",
        "compaction a_store_cut",
        (COMPACT, "copies_of(self.snapshots, self.frames)", "copies_of(self.snapshots, &[])"),
    ),
    Bug(
        "repeats-uncounted-by-repair",
        "a repair forgets how many lines were left out",
        "repair marks_seals",
        (REPAIR, "        self.events.copies += frame.count(SectionKind::Repeats);\n", ""),
    ),
    Bug(
        "dropped-copies-uncounted-by-repair",
        "a repair forgets how many copies the compactions before it dropped",
        "repair what_can_be_made",
        (REPAIR, "        self.events.copies += header.copies;\n", ""),
    ),
    Bug(
        "repeats-sampled-by-time",
        "where timestamps go in steps, all events are in the sample, or none is",
        "lib the_sample_is",
        (REPEATS, "let mixed = (id ^ timestamp", "let mixed = (id & 0 ^ timestamp"),
    ),
    Bug(
        "repeats-unbounded",
        "a snapshot is written whose count of copies no reader takes, and the log is deleted",
        "forged counts_of_repeated",
        (SNAPSHOT, "copies.min(MAX_COUNT - 1)", "copies.min(MAX_COUNT)"),
    ),
    Bug(
        "repeats-unbounded-by-input",
        "a snapshot is written whose count of an input's events no reader takes, and the log is deleted",
        "forged counts_of_repeated",
        (TABLES, "input.events.min(MAX_COUNT - 1)", "input.events"),
    ),
    Bug(
        "repeats-of-any-shape",
        "a section that counts repeated lines may count none, or have bytes that nobody checks",
        "forged counts_of_repeated",
        (DIRECTORY, "SectionKind::Repeats => entry.count > 0 && entry.length == 0,", "SectionKind::Repeats => true,"),
    ),
    Bug(
        "repeats-newest-forgotten",
        "a new line takes the place of the last one, and the old ones stay",
        "lib the_oldest_lines",
        (REPEATS, "        words.copy_within(..8 * (WAYS - 1), 8);\n", ""),
    ),
    Bug(
        "repeats-tried-at-once",
        "looking lines up in vain is tried again without a rest",
        "lib lines_are_looked_up",
        (REPEATS, "self.rest = (given / SAMPLE).saturating_mul(self.patience);", "self.rest = 0;"),
    ),
    Bug(
        "repeats-memory-of-all",
        "each thread takes the memory for lines that all of them may take together",
        "lib lines_are_looked_up",
        (REPEATS, "let memory = seek.memory / threads;", "let memory = seek.memory / threads.min(1);"),
    ),
    Bug(
        "repeats-untold-by-dump",
        "a dump says nothing of repeated lines",
        "cli dump_tells_every_frame",
        ("src/show/dump", "rejects={} repeats={} input", "rejects={} repeated={} input"),
    ),
    Bug(
        "repeats-sought-for-nothing",
        "every line is looked up, though none comes again",
        "lib lines_are_looked_up",
        (REPEATS, "|| filter.score.close() {", "|| filter.score.close() || given > 0 {"),
    ),
    Bug(
        "repeats-unsought",
        "lines that come again are never looked for",
        "lib lines_are_looked_up",
        (REPEATS, "self.watched.add(!self.known.insert(hash));", "self.watched.add(!self.known.insert(hash) && hash == 0);"),
    ),
    # The record of what was acknowledged.
    Bug(
        "no-record",
        "what was acknowledged is recorded nowhere, so that a cut end is taken for one that was never acknowledged",
        "torn_or_corrupt what_was_acknowledged_cannot",
        (LOG, "let Some(content) = self.last_content.filter(due) else { return Ok(()) };", "let Some(content) = self.last_content.filter(|_| false).filter(due) else { return Ok(()) };"),
    ),
    Bug(
        "recorded-before-it-is-durable",
        "the record is ahead of the log: after a loss of power a store is called corrupt that lost nothing acknowledged",
        "durability with_durability_os_a_kill",
        (LOG, "content.sequence <= proven && content.sequence > self.recorded", "content.sequence > self.recorded.min(proven)"),
    ),
    Bug(
        "marks-are-recorded",
        "the record names a mark, of which nothing is promised",
        "torn_or_corrupt what_was_acknowledged_cannot",
        (LOG, "        let (placed, header) = self.place(kind, head, rest)?;\n        self.last_content = Some(Acknowledged::of(&header));", "        let (placed, _) = self.place(kind, head, rest)?;"),
        (LOG, "        header.crc = crc(&encoded[..FRAME_HEADER - 4]);", "        header.crc = crc(&encoded[..FRAME_HEADER - 4]);\n        self.last_content = Some(Acknowledged::of(&header));"),
    ),
    Bug(
        "the-record-bounds-nothing",
        "a log that ends before what was acknowledged is taken for one with a torn end",
        "torn_or_corrupt what_was_acknowledged_cannot",
        (STORE, "acknowledged.map_or(0, |record| record.sequence).max(link.sequence - 1)", "acknowledged.map_or(0, |_| 0).max(link.sequence - 1)"),
    ),
    Bug(
        "another-history",
        "a log that was rolled back and went on otherwise is taken for the one that was acknowledged",
        "torn_or_corrupt a_log_that_went_on_differently",
        (STORE, "Some(place) if record.is_of_another_history(&place.frame.header) => {", "Some(place) if record.is_of_another_history(&place.frame.header) && false => {"),
    ),
    Bug(
        "verify-sees-no-other-history",
        "verify passes a log that was rolled back and went on otherwise",
        "repair of_a_log_that_went_on_differently",
        (SURVEY, "find(|frame| record.is_of_another_history(&frame.header))", "find(|frame| record.is_of_another_history(&frame.header) && false)"),
    ),
    Bug(
        "a-store-that-is-gone-begins-anew",
        "a writer begins a new log where one has vanished, and the loss is hidden",
        "torn_or_corrupt of_a_store_of_which_only_the_record",
        (RECOVER, "if let Some(record) = read_acknowledged(storage)? {", "if let Some(record) = read_acknowledged(storage)?.filter(|_| false) {"),
    ),
    Bug(
        "a-record-of-another-store",
        "the record of another store is held against this one",
        "damage whole_files",
        (STORE, "segments.iter().all(|segment| segment.header.store == record.store)", "segments.iter().all(|segment| segment.header.number > 0 || segment.header.store == record.store)"),
    ),
    Bug(
        "a-torn-record-counts",
        "a record that a loss of power tore is held against the log",
        "damage whole_files",
        (ACKNOWLEDGED, "ACKNOWLEDGED_MAGIC, ACKNOWLEDGED).ok()?;", "ACKNOWLEDGED_MAGIC, ACKNOWLEDGED).ok().or_else(|| Some(super::coding::Reader::new(bytes.get(12..)?)))?;"),
    ),
    Bug(
        "the-record-is-read-last",
        "what a writer acknowledges while a reader looks is called lost",
        "readers_beside_compaction a_writer_that_acknowledges",
        (STORE, "        let acknowledged = read_acknowledged(storage)?;\n        let listing = match", "        let mut acknowledged = read_acknowledged(storage)?;\n        let listing = match"),
        (STORE, "let files = Files::open(storage, &listing, purpose)?;\n        let mut view", "let files = Files::open(storage, &listing, purpose)?;\n        acknowledged = read_acknowledged(storage)?;\n        let mut view"),
    ),
    Bug(
        "acknowledged-and-gone-is-no-loss",
        "of a log that is cut where a frame ends, `repair` says that nothing is lost",
        "repair what_was_acknowledged_and_is_gone",
        (REPAIR, "filter(|due| self.lost_end || *due <= self.durable_upto)", "filter(|_| self.lost_end)"),
    ),
    Bug(
        "another-history-is-no-loss",
        "of a log that was rolled back and went on differently, `repair` says that nothing is lost",
        "repair of_a_log_that_went_on_differently",
        (REPAIR, "if self.chain.acknowledged.is_some_and(|record| record.is_of_another_history(&frame.header)) {", "if self.chain.acknowledged.is_some_and(|record| record.sequence == 0) {"),
    ),
    Bug(
        "the-first-file-says-where-a-log-begins",
        "a repaired store begins with the frame that a snapshot says that got the first place by a wrong name",
        "repair snapshots_under_names_of_others",
        (REPAIR, "filter(|first| index == 0 && first.sequence == 1)", "filter(|_| index == 0)"),
    ),
    Bug(
        "a-snapshot-counts-twice",
        "inputs and rejects of a snapshot that is there twice count twice after a repair",
        "repair snapshots_under_names_of_others",
        (REPAIR, "if self.chain.due.is_some_and(|due| header.first_sequence < due) {", "if self.chain.due.is_some_and(|due| due == 0) {"),
    ),
    Bug(
        "frames-of-a-snapshot-count-again",
        "inputs of frames count twice after a repair, if a snapshot with the name of another has them too",
        "repair snapshots_under_names_of_others",
        (REPAIR, "_ if covered.is_some_and(|covered| header.sequence < covered) =>", "_ if covered.is_some_and(|covered| covered == 0) =>"),
    ),
    Bug(
        "a-strangers-snapshot-is-saved",
        "a repair takes events of a snapshot of another store that is left over by its name",
        "repair nothing_is_taken_of_another_store",
        (REPAIR, "Ok(snapshot) if snapshot.header.store != store => return Ok(()),", ""),
    ),
    Bug(
        "written-on-behind-a-hole",
        "a writer goes on in a segment that somebody cut",
        "directory a_segment_that_somebody_cuts",
        (LOG, "        if (least..=most.max(least)).contains(&found) {", "        if least > 0 || (least..=most.max(least)).contains(&found) {"),
    ),
    Bug(
        "names-take-no-room",
        "a compaction begins where the snapshot fits to the byte, and the segment behind it does not",
        "failing_disk a_compaction_without_room",
        (ROOM, "const NAMES: u64 = 16 << 10;", "const NAMES: u64 = 0;"),
    ),
    # Inputs that are packed, or something else.
    Bug(
        "bytes-behind-packed-data-vanish",
        "what stands behind the compressed data is left out without a word",
        "inputs n06_compression::a_file_gives",
        (MEMBERS, "                self.findings.add(trailing);\n", ""),
    ),
    Bug(
        "bytes-behind-packed-data-exit-with-0",
        "a run that left out a part of an input says that it is done",
        "inputs n06_compression::a_file_gives",
        (INPUTS, "        taken.partly |= teller.left_out(&findings);\n", "        teller.left_out(&findings);\n"),
    ),
    Bug(
        "quiet-about-bytes-behind-packed-data",
        "with -q nobody is told that a part of an input was left out",
        "inputs n06_compression::a_file_gives",
        (INPUTS, "self.progress.aside(|| self.console.insist(&text));\n        }\n", "self.progress.aside(|| self.console.warning(&text));\n        }\n"),
    ),
    Bug(
        "findings-of-a-look-stay",
        "what is behind the compressed data is told twice where the input was looked through for its place",
        "inputs n06_compression::it_is_told_once",
        (SOURCE, "    findings.clear();\n", ""),
    ),
    Bug(
        "only-the-first-packing-goes-on",
        "behind a member only one of the same packing is read",
        "inputs n06_compression::a_file_gives",
        (
            MEMBERS,
            "Ok(Sniffed::Packed(packing)) => self.enter(packing, ahead),",
            "Ok(Sniffed::Packed(packing)) if self.last.is_none_or(|last| last == packing) => self.enter(packing, ahead),",
        ),
    ),
    Bug(
        "zstd-windows-without-bounds",
        "a zstd input takes gigabytes, whatever --memory says",
        "lib a_zstd_window_is_bounded",
        (MEMBERS, "                let taken = self.reserve(window)?;", "                let taken = self.allowance.take(window);"),
    ),
    Bug(
        "layers-have-the-memory-twice",
        "each layer of an input that is packed twice takes all of --memory",
        "lib a_zstd_window_is_bounded",
        (MEMBERS, "        self.used.fetch_add(bytes, Ordering::Relaxed);\n", "        self.used.fetch_add(0 * bytes, Ordering::Relaxed);\n"),
    ),
    Bug(
        "layers-without-bounds",
        "what is packed a thousand times is unpacked a thousand times",
        "lib what_was_packed_twice",
        (PACKED, "if outer == LAYERS {", "if outer > 99 * LAYERS {"),
    ),
    Bug(
        "a-cut-lz4-frame-is-whole",
        "of a cut lz4 input, what is missing is not missed",
        "lib a_member_that_is_cut_anywhere",
        (LZ4, "if followed.ahead.overdrawn {", "if followed.ahead.overdrawn && buffer.is_empty() {"),
        (LZ4, "followed.place == Place::Trailer(0) {", "followed.ahead.overdrawn || followed.place == Place::Trailer(0) {"),
    ),
    Bug(
        "an-empty-lz4-block-is-the-end",
        "an lz4 input ends at a block without content",
        "lib an_lz4_frame_ends_at_its_end_mark",
        (LZ4, "followed.place == Place::Trailer(0) {", "!followed.ahead.overdrawn {"),
    ),
    Bug(
        "a-failing-disk-is-damage",
        "an error of the system while packed data is read is told as damage of the data",
        "lib an_error_of_the_reader_stays",
        (AHEAD, "        match self.failure.take() {", "        match self.failure.take().filter(|_| false) {"),
    ),
    Bug(
        "an-error-is-the-end-the-next-time",
        "whoever reads on after an error in packed data finds the end of the input",
        "lib damage_is_an_error_or_without_effect",
        (PACKED, "        self.stage = Stage::Failed(error);", "        drop(error);"),
        (MEMBERS, "        self.state = State::Failed(error);", "        drop(error);"),
    ),
    Bug(
        "no-pause-in-what-gives-nothing",
        "Ctrl-C waits until gigabytes behind the packed data are read",
        "lib what_gives_nothing_for_long",
        (MEMBERS, "            if self.nothing >= PAUSE {", "            if self.nothing > u64::MAX - 1 {"),
    ),
    Bug(
        "any-zeros-pad-xz",
        "zeros behind an xz stream belong to it, however many",
        "lib zeros_between_xz_streams",
        (MEMBERS, "(trailing.bytes + count as u64).is_multiple_of(4);", "(trailing.bytes + count as u64).is_multiple_of(1);"),
    ),
    Bug(
        "another-column-on-going-on",
        "the column of a place in a long line is that in its last 4 KiB",
        "lib a_place_far_from_its_lines_start",
        (SEEK, "            return Ok(end);\n        }\n        let before", "            return Ok(piece.len() as u64);\n        }\n        let before"),
    ),
    Bug(
        "another-column-in-packed-inputs",
        "the column of a place in a packed input begins anew with each piece that was read",
        "lib a_place_far_from_its_lines_start",
        (SEEK, "None => self.column + read as u64,", "None => read as u64,"),
    ),
    Bug(
        "something-else-makes-a-store",
        "a file that is no JSON is found out when its store is made already",
        "inputs n07_foreign::a_file_is_named",
        (SOURCE, "        source.check_format()?;\n", "        let _ = source.check_format();\n"),
    ),
    Bug(
        "something-else-in-packed-files-goes-unseen",
        "what is unpacked is not looked at, only what is plain",
        "inputs n07_foreign::a_file_is_named",
        (SOURCE, "foreign::of(&head).filter(|_| self.options.foreign)", "foreign::of(&head).filter(|_| self.options.foreign && layers.is_empty())"),
    ),
    Bug(
        "events-behind-a-page-are-refused",
        "lines of events are refused since something else stands before them",
        "inputs n07_foreign::what_has_an_event",
        (FOREIGN, "(format.certain || !may_have_event(head))", "(format.certain || !may_have_event(&[]))"),
    ),
    Bug(
        "an-archive-of-events-is-events",
        "an archive is read as lines since the files in it are",
        "inputs n07_foreign::a_file_is_named",
        (FOREIGN, "(format.certain || !may_have_event(head))", "(!may_have_event(head))"),
    ),
    # Inputs as people have them.
    Bug(
        "one-object-a-line",
        "what stands behind the first object of a line is passed over",
        "inputs n01_several",
        (
            CHUNK_PARSER,
            "if at + length == end { behind(end, passed) } else { at + length }",
            "behind(end, passed)",
        ),
    ),
    Bug(
        "a-reject-is-one-object",
        "a reject ends with its object, so that what is behind it counts or not with the luck of the cut",
        "inputs n01_several",
        (
            CHUNK_PARSER,
            "let raw = &bytes[at..end];",
            "let end = memchr::memchr(b'}', &bytes[at..end]).map_or(end, |place| at + place + 1);\n                let raw = &bytes[at..end];",
        ),
    ),
    Bug(
        "a-long-line-is-a-reject",
        "a line of many events that does not fit a chunk is refused",
        "lib a_line_that_is_longer_than_a_chunk",
        (CHUNK, "let margin = if self.ended { 0 } else { MAX_OBJECT };", "let margin = if self.ended { 0 } else { usize::MAX };"),
    ),
    Bug(
        "columns-from-the-chunk",
        "the column of a reject counts from the start of its chunk",
        "lib chunks_are_whole_lines",
        (CHUNK, "Some(end) => (bytes.len() - end - 1) as u64,\n            None => self.column + bytes.len() as u64,", "Some(end) => (bytes.len() - end - 1) as u64,\n            None => bytes.len() as u64 + 1,"),
    ),
    Bug(
        "left-for-ever",
        "the incomplete end of a pipe is left for a run that never comes",
        "inputs n02_incomplete",
        (CHUNK, "if self.source.is_pipe() { ChunkKind::Reject(long) } else { ChunkKind::Left(long) }", "ChunkKind::Left(long)"),
    ),
    Bug(
        "left-is-done",
        "a run that left the end of a file exits with 0",
        "inputs n02_incomplete",
        (INPUTS, "self.partly |= outcome.left.is_some() || teller.left;", "self.partly |= teller.left && outcome.left.is_none();"),
    ),
    Bug(
        "left-unsaid-by-sources",
        "`sources` does not know that the end of an input was left",
        "inputs n02_incomplete",
        (INGEST, "let left = self.outcome.left.unwrap_or(0);", "let left = 0;"),
    ),
    Bug(
        "left-though-strict",
        "--strict passes over an incomplete end",
        "inputs n02_incomplete",
        (INGEST, "if self.max_rejects == MaxRejects::Number(0) {", "if self.max_rejects == MaxRejects::Number(u64::MAX) {"),
    ),
    Bug(
        "a-mark-at-the-start-alone",
        "a byte-order mark in the middle of an input makes a reject of its line",
        "inputs n03_marks",
        (PARSE, "[b' ' | b'\\t' | b'\\r', rest @ ..] | [0xef, 0xbb, 0xbf, rest @ ..] => rest,", "[b' ' | b'\\t' | b'\\r', rest @ ..] => rest,"),
    ),
    Bug(
        "holes-uncounted",
        "NUL bytes are skipped and nobody is told",
        "inputs n03_marks",
        (INGEST, "outcome.nuls += parsed.nuls;", "let _ = parsed.nuls;"),
    ),
    Bug(
        "half-an-emoji-costs-a-chat",
        "a message with half of a surrogate pair is a reject",
        "inputs n04_surrogates",
        (FAST, "all & digit.is_ascii_hexdigit());", "all & digit.is_ascii_hexdigit()) && !digits.to_ascii_lowercase().starts_with(b\"d8\");"),
        (PARSE, "Subject::Message if value == Some('\"') =>", "Subject::Message if value == Some('x') =>"),
    ),
    Bug(
        "half-an-emoji-in-a-key",
        "an unknown key with half of a surrogate pair makes a reject of its line",
        "inputs n04_surrogates",
        (PARSE, "serde_json::from_str(quoted).map_or(Cow::Borrowed(quoted), Cow::Owned)", "serde_json::from_str(quoted).map_or(Cow::Borrowed(\"id\"), Cow::Owned)"),
    ),
    Bug(
        "documents-are-lines",
        "an array is read line by line",
        "inputs n05_documents",
        (SHAPE, "Some(b'{' | b'[' | b']') => Some(Shape::Document),", "Some(b'{' | b'[' | b']') => Some(Shape::Lines),"),
    ),
    Bug(
        "objects-over-lines-are-lines",
        "objects that are spread over lines are read line by line",
        "inputs n05_documents",
        (SHAPE, "false if is_spread => Some(Shape::Document),", "false if is_spread => Some(Shape::Lines),"),
    ),
    Bug(
        "a-broken-object-takes-the-rest",
        "one object of a document that is broken costs all behind it",
        "lib a_broken_object_ends",
        (FRAMER, "self != Before::Other", "self == Before::LineEnd && false"),
    ),
    Bug(
        "an-array-without-an-end-is-done",
        "an array that was cut between its items is said to be read to its end",
        "inputs n05_documents",
        (CHUNK, "self.framer.level() > 0 && is_array", "self.framer.level() > 9 && is_array"),
    ),
    Bug(
        "braces-in-texts",
        "a brace in the text of a message ends its object",
        "lib what_stands_between",
        (FRAMER, "Some(b'\\\\') => self.state = State::Text { escaped: true, then },", "Some(b'\\\\') => self.state = State::Text { escaped: false, then },"),
    ),
    Bug(
        "mended-and-unseen",
        "a file that was changed where its digest is known goes on as if nothing was",
        "inputs n10_mended",
        (SEEK, "if changed.is_none() && digest(&tail_at(mark.end)?) != mark.tail {", "if changed.is_some() && digest(&tail_at(mark.end)?) != mark.tail {"),
    ),
    Bug(
        "mended-and-unseen-if-packed",
        "a packed file that was changed goes on as if nothing was",
        "inputs n10_mended",
        (SEEK, "passed.marks = candidates.marks(TAILS as usize);", "passed.marks = candidates.marks(0);"),
    ),
    Bug(
        "checked-without-rejects",
        "--check does not look at the lines that were wrong",
        "inputs n10_mended",
        (INGEST, "const CHECKED: usize = 100_000;", "const CHECKED: usize = 0;"),
    ),
    Bug(
        "marks-of-the-last-place-alone",
        "of the places at which an input can be checked only the last one is kept",
        "lib marks_are_at_growing",
        (CHECKPOINT, "newer - next.end <= MARK_GAP.max(end - newer)", "newer - next.end <= u64::MAX - end"),
    ),
    Bug(
        "holes-are-gone-for-good",
        "the zeros that a file ends in are passed over, and what is written over them later is never read",
        "inputs n03_marks",
        (CHUNK, "let end = filled - if may_grow || !self.ended { trailing_nuls(&buffer[..filled]) } else { 0 };", "let end = filled;"),
    ),
    # Rejects that can be mended.
    Bug(
        "raw-rejects-as-text",
        "rejected lines that are no UTF-8 come out as others, and cannot be mended",
        "inputs raw_is_what_was_rejected",
        (RAW, "out.write_all(reject.raw)", "out.write_all(String::from_utf8_lossy(reject.raw).as_bytes())"),
    ),
    Bug(
        "raw-rejects-cut-in-silence",
        "a line of which only a part was kept is printed as if it was all",
        "inputs a_line_that_was_kept_in_part",
        (RAW, "if cut == 0 {", "if cut < u64::MAX {"),
    ),
    Bug(
        "allowed-part-of-the-events",
        "--allow-rejects P% takes the rejects as a part of the events, and not of the lines",
        "inputs some_rejects_can_be_allowed",
        (INPUTS, ".map(|input| input.events + input.rejects)", ".map(|input| input.events)"),
    ),
    Bug(
        "allowed-rejects-unsaid",
        "--allow-rejects has no effect on the exit status",
        "inputs some_rejects_can_be_allowed",
        (ALLOW, "            return status::DONE;\n", ""),
    ),
    Bug(
        "forget-what-is-found",
        "sources forget drops some of the inputs although another name is wrong",
        "inputs what_no_input_is_called",
        (FORGET, "            Err(problem) => {", "            Err(_) if !wanted.is_empty() => {}\n            Err(problem) => {"),
    ),
    Bug(
        "forget-the-first-of-several",
        "digits that several instances begin with are taken for the first of them",
        "inputs what_several_inputs_may_be_called",
        (FORGET, "        ([], [instance]) => return", "        ([], [instance, ..]) => return"),
    ),
    # Moments.
    Bug(
        "until-rounded-down",
        "an event between --until and the unit before it does not count",
        "inputs what_is_between_two_units",
        (TIMES, "scale.stamp(&until, Round::Up)?", "scale.stamp(&until, Round::Down)?"),
    ),
    Bug(
        "since-rounded-down",
        "an event before --since counts",
        "inputs what_is_between_two_units",
        (TIMES, "scale.stamp(&since, Round::Up))?", "scale.stamp(&since, Round::Down))?"),
    ),
    Bug(
        "since-at-until",
        "a report of no moment at all looks like one of a quiet time",
        "inputs what_is_no_moment_and_what_is_out_of_order",
        (TIMES, "if since.exact >= until.exact", "if since.exact > until.exact"),
    ),
    Bug(
        "a-date-in-the-words-of-a-library",
        "a wrong date is answered in words that name parameters of a library, and not what was expected",
        "inputs what_is_no_moment_and_what_is_out_of_order",
        (TIMES, ".map_err(|_| Some(not_a_date(text)));", ".map_err(|error| Some(error.to_string()));"),
    ),
    Bug(
        "unit-of-the-earliest",
        "the unit of a store is told by a default of 0 among its timestamps",
        "inputs the_latest_timestamp_tells_the_unit",
        (TIMES, "Unit::of(totals.latest)", "Unit::of(totals.earliest)"),
    ),
    Bug(
        "zero-is-in-seconds",
        "a store with a timestamp of 0 is said to mix units",
        "inputs one_store_with_several_units",
        (UNIT, "const TELLING: u64 = 100_000_000;", "const TELLING: u64 = 0;"),
    ),
    # Many inputs.
    Bug(
        "directories-before-their-time",
        "the files below a directory are not read in the order of their paths",
        "inputs a_directory_is_read_in_the_order",
        (FILES, "if matches!(kind, Kind::Directory) {", "if false && matches!(kind, Kind::Directory) {"),
    ),
    Bug(
        "links-to-directories",
        "a link to a directory is walked through, in circles",
        "inputs what_is_no_input_in_a_directory",
        (FILES, "Ok(meta) if meta.is_dir() => Kind::Passed(Passed::Link),", "Ok(meta) if meta.is_dir() => Kind::Directory,"),
    ),
    Bug(
        "stores-as-inputs",
        "the files of a store in a directory of inputs are read as inputs",
        "inputs what_is_no_input_in_a_directory",
        (FILES, 'name == "LOCK" || name.as_bytes().ends_with(b".wal")', 'name == "LOCK.wal"'),
    ),
    Bug(
        "files-by-their-names-alone",
        "a file with two names is read twice",
        "inputs a_file_that_is_named_twice",
        (FILES, "                self.files.insert((meta.dev(), meta.ino()), self.paths.len());\n", ""),
    ),
    Bug(
        "unreadable-directories-unsaid",
        "a directory that could not be looked through does not show in the exit status",
        "inputs one_directory_that_cannot_be_read",
        (FILES, "        self.failed = Some(status_of(&error));\n", "        let _ = status_of(&error);\n"),
    ),
    Bug(
        "nuls-in-lists",
        "the list that find -print0 writes is taken for one path",
        "inputs the_inputs_may_stand_in_a_list",
        (FILES, "if list.contains(&0) {", "if list.is_empty() {"),
    ),
    Bug(
        "a-checkpoint-that-no-reader-accepts",
        "a checkpoint that makes the store unreadable is written and acknowledged",
        "forged a_checkpoint_that_no_reader_accepts",
        (LOG, "if let Err(malformed) = Checkpoint::decode(&checkpoint) {", "if let (Err(malformed), true) = (Checkpoint::decode(&checkpoint), checkpoint.is_empty()) {"),
    ),
    Bug(
        'days-of-utc-whatever-the-timezone',
        'the hours of a page are those of UTC, whatever --timezone says',
        'page every_figure',
        (ACTIVITY, '.saturating_add(i64::from(self.offset) * 60)', '.saturating_add(i64::from(self.offset) * 0)'),
    ),
    Bug(
        'the-sites-with-fewest-emails',
        'a page has details of the sites with fewest emails',
        'page every_figure',
        (ACTIVITY, 'self.kept.pop_first();', 'self.kept.pop_last();'),
    ),
    Bug(
        'the-unit-of-the-first-message',
        'the unit of timestamps is that of the first message, not of the latest',
        'page the_unit_is_said',
        (ACTIVITY, '(None, Some(seen), Some(told)) if seen != told => unit = Some(told),', '(None, Some(seen), Some(told)) if seen != told && seen == Unit::Nanoseconds => unit = Some(told),'),
    ),
    Bug(
        'messages-before-the-window-on-the-page',
        'messages before --since are counted for a site that does not fit the memory',
        'page every_figure',
        (ACTIVITY, 'Kind::Message if row.timestamp < self.watch.window.from => {}', 'Kind::Message if row.timestamp == i64::MIN => {}'),
    ),
    Bug(
        'stretches-as-they-began',
        'a stretch of a page begins before --since',
        'page every_figure',
        (ACTIVITY, 'self.since = Some(moment.max(self.window.from));', 'self.since = Some(moment);'),
    ),
    Bug(
        'names-are-markup',
        'a name in the words of a page is markup',
        'page names_are_text',
        (PAGE, '\'<\' => out.push_str("&lt;"),', "'<' => out.push('<'),"),
    ),
    Bug(
        'finished-lines-have-no-hours',
        'a page of a compacted store counts no message of it',
        'page every_figure',
        (REPORT, 'watch| messages + emails > 0 ||', 'watch| messages + emails > u64::from(u32::MAX) ||'),
    ),
    Bug(
        'lengths-of-shared-blocks-add-up',
        'sites that share blocks are taken for as large as all of their blocks',
        'page a_compacted_store_with_many',
        (REPORT, 'load.add(record.whole, making.bytes_of(snapshot, shard, record.whole));', 'load.add(record.whole, record.line.entry.length);'),
    ),
    Bug(
        'formulas-unguarded',
        '--csv-safe lets text through that spreadsheets run',
        'page csv_for_spreadsheets',
        (RENDER, "starts_with(['=', '+', '-', '@'])", "starts_with(['=', '+', '-'])"),
    ),
    Bug(
        'the-environment-goes-first',
        'a variable counts although the command line says what it excludes',
        'help the_command_line_goes_before',
        (ENVIRONMENT, 'if excluded || stands_in', 'if stands_in'),
    ),
    Bug(
        'a-list-beside-what-is-typed',
        'a list of inputs in the environment is read beside the inputs that are typed',
        'help a_variable_concerns',
        (ENVIRONMENT, '[("files_from", "files")]', '[("files_from", "none")]'),
    ),
    Bug(
        'an-empty-variable-is-a-value',
        'an empty variable is taken for a value',
        'help the_command_line_goes_before',
        (ENVIRONMENT, 'is_some_and(|value| value.is_empty() || is_flag && is_off(&value))', 'is_some_and(|value| is_flag && is_off(&value))'),
    ),
    Bug(
        'another-history-goes-on',
        'a later look goes on behind a frame that is another one by now',
        'watch a_history',
        (LATER, 'is_ok_and(|frame| frame.header.crc == header.crc)', 'is_ok_and(|_| true)'),
    ),
    Bug(
        'a-position-of-another-history',
        'a position is known by its number alone',
        'watch a_history',
        (LATER, '(header.sequence, header.crc) == (sequence, crc)', 'header.sequence == sequence'),
    ),
    Bug(
        'a-later-look-skips-a-frame',
        'the frame at a position is taken for the first that is new, and the next one is not looked at',
        'watch what_is_told',
        (LATER, 'Since::Frames(index + 1)', 'Since::Frames(index + 2)'),
    ),
    Bug(
        'snapshots-are-not-kept',
        'of a site that is folded again, the events in snapshots are left out',
        'watch what_is_told',
        (LIVE, 'if !pieces.with_snapshots {', 'if pieces.with_snapshots {'),
    ),
    Bug(
        'what-is-new-is-not-kept',
        'the second time a site is folded again, what came in the first time is missing',
        'watch what_is_told',
        (LIVE, '(Some(own), Change::More(piece)) => own.push(piece),', '(Some(_), Change::More(_)) => {}'),
    ),
    Bug(
        'minutes-are-counted-twice',
        'what a site had by minute is not taken back before it is counted again',
        'watch what_is_told',
        (LIVE, 'clock, times: -1 }', 'clock, times: 0 }'),
    ),
    Bug(
        'gone-sites-stay',
        'a site without events stays in the table',
        'watch a_history',
        (LIVE, 'changed.extend(self.sites.gone()', 'drop(self.sites.gone()'),
    ),
    Bug(
        'nobody-reads-and-it-goes-on',
        'a watch whose reader is gone waits for ever if nothing changes',
        'watch it_ends',
        (WATCH, 'if is_closed() {', 'if is_closed() && false {'),
    ),
    Bug(
        'the-terminal-is-kept',
        'the terminal is not given back',
        'watch the_terminal',
        (WATCH, '        ratatui::restore();', '        // nothing'),
    ),
    Bug(
        'another-store-goes-on',
        'a position of another store is taken for one that nobody can tell',
        'watch what_cannot_be_watched',
        (LIVE, 'view.is_store(storage, from.store)?;', 'let _ = view.is_store(storage, from.store);'),
    ),
    # Following files.
    Bug(
        "unread-files-count-as-read",
        "a file that lost its name before it was read hides those that were rotated before it",
        "follow a_rotation_while_older_ones",
        (FOLLOW, "self.taken.push(self.unread.remove(at));", "self.matched = true;\n            self.taken.push(self.unread.remove(at));"),
    ),
    Bug(
        "the-newer-file-first",
        "a kill between a new file and an older one that nobody read hides the older one for good",
        "follow what_is_older_comes_first",
        (FOLLOW, "let waits = name.walk.is_some() || name.old.iter().any(Tracked::comes_first);", "let waits = false;"),
    ),
    Bug(
        "copies-in-the-making-are-read",
        "a copy that is being made is read as another file, and its rejects count twice",
        "follow a_copy_in_the_making",
        (FOLLOW, "!file.is_stranger || before.contains(&(file.place, file.latest))", "!file.is_stranger || before.is_empty()"),
    ),
    Bug(
        "a-part-of-what-was-read-is-new",
        "a copy that is shorter than what was read of its original is read again, and its rejects count twice",
        "follow rejects_count_once_though",
        (FOLLOW, "None if start.is_part => Seen::Part,", "None if start.is_part => Seen::Never,"),
    ),
    Bug(
        "half-a-line-is-told",
        "a line that is being written is told as an incomplete end, and kept as one",
        "follow half_a_line",
        (APPENDER, "            if self.goes_on {\n", "            if false {\n"),
    ),
    Bug(
        "no-grace-for-old-files",
        "what is written to a file right after it was deleted is not read",
        "follow a_deleted_file",
        (FOLLOW, "now.saturating_duration_since(old.changed) < patience", "old.is_fresh"),
    ),
    Bug(
        "files-without-a-successor-stay-open",
        "each file of a pattern that is moved away costs a descriptor for ever",
        "follow a_file_of_a_pattern_that_is_moved_away",
        (FOLLOW, "let has_room = name.current.is_some() && ", "let has_room = "),
    ),
    Bug(
        "nobody-looks-beside",
        "what was rotated while nobody ran is never read",
        "follow rotations_that_nobody_saw",
        (FOLLOW, "if name.walk.is_some_and(|due| due <= now) {", "if name.walk.take().is_some_and(|due| due < due) {"),
    ),
    Bug(
        "what-was-there-before-is-read",
        "files that were rotated before a file was first followed are read too",
        "follow what_was_rotated_before",
        (FOLLOW, "found.taken.retain(|file| !file.is_stranger || is_new(file));", "found.taken.retain(|file| file.is_fresh || is_new(file));"),
    ),
    Bug(
        "what-was-followed-while-empty-is-forgotten",
        "a file that was followed before it had a line, and rotated while nobody ran, is never read",
        "follow what_was_followed_while_it_was_empty",
        (FOLLOW, "found.taken.retain(|file| !file.is_stranger || is_new(file));", "found.taken.retain(|file| !file.is_stranger && (file.is_fresh || is_new(file)));"),
    ),
    Bug(
        "old-files-are-closed-after-the-grace",
        "what is written to the file that was renamed last is not read before the next rotation",
        "follow the_newest_file_that_was_renamed",
        (FOLLOW, "if may_grow && number + 1 == name.old.len() {", "if may_grow && number > name.old.len() {"),
    ),
    Bug(
        "a-cut-file-is-known-by-its-length",
        "what a file had before it was cut and grew longer again between two looks is not looked for beside it",
        "follow what_only_the_copy_of_a_cut_file",
        (FOLLOW, "stamp.size >= self.offset && is_same", "stamp.size >= self.offset || is_same"),
    ),
    Bug(
        "changes-beside-go-unseen",
        "a file that came and went between two looks is never read",
        "follow a_file_that_came_and_went",
        (FOLLOW, "name.walk = (!is_same).then_some(now);", "name.walk = (is_same && !is_same).then_some(now);"),
    ),
    Bug(
        "durable-at-the-end-only",
        "what is followed becomes durable only when the service ends",
        "follow a_single_line_is_durable",
        ("src/cli/inputs/follow", "since.elapsed() >= self.args.flush_interval)", "since.elapsed() >= self.args.flush_interval * 1000)"),
    ),
    Bug(
        "segments-of-any-number-of-frames",
        "a line a second makes a segment of millions of frames, which whoever opens the store looks at one by one",
        "follow tiny_frames",
        (LOG, " || self.frames() >= SEGMENT_FRAMES;", ";"),
    ),
    Bug(
        "the-tail-by-bytes-alone",
        "tiny frames are never folded",
        "follow tiny_frames",
        (COMPACT, "let is_due = bytes >= self.bound || frames >= TAIL_FRAMES;", "let is_due = bytes >= self.bound || frames > u64::MAX - TAIL_FRAMES;"),
    ),
    Bug(
        "what-was-folded-is-still-counted",
        "a compaction of few frames begins again and again",
        "follow tiny_frames",
        (LOG, "self.frames.fetch_sub(gone.frames, Ordering::Relaxed);", "let _ = gone.frames;"),
    ),
    Bug(
        "a-variable-of-a-follower-counts-alone",
        "CHATWAL_POLL in the environment breaks every plain ingest",
        "follow what_cannot_be_followed",
        (ENVIRONMENT, "excluded || stands_in || is_alone", "excluded || stands_in || (is_alone && excluded)"),
    ),
]


def tracked():
    out = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    return [name for name in out.decode().split("\0") if name and (ROOT / name).is_file()]


def files_of(room):
    """The sources of a room."""
    own = ROOT / f"{room}.rs"
    return [*([own] if own.is_file() else []), *sorted((ROOT / room).rglob("*.rs"))]


def patched(bug):
    """The files of a bug, by name, as it makes them."""
    files = {}
    for room, old, new in bug.edits:
        known = {str(path.relative_to(ROOT)): path for path in files_of(room)}
        texts = {name: files.get(name) or path.read_text() for name, path in known.items()}
        places = {name: count for name, text in texts.items() if (count := text.count(old))}
        if list(places.values()) != [1]:
            raise ValueError(f"{bug.name}: in {room}, not once but {places}: {old!r}")
        (name,) = places
        files[name] = texts[name].replace(old, new)
    return files


def put(name, text):
    """Writes a file of the copy if it differs: what stays as it is need not be compiled again."""
    path = TREE / name
    data = text if isinstance(text, bytes) else text.encode()
    if not path.exists() or path.read_bytes() != data:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def mirror():
    """Makes the copy what the tracked files are."""
    names = tracked()
    for name in names:
        put(name, (ROOT / name).read_bytes())
    known = set(names)
    for path in sorted(TREE.rglob("*")):
        if path.is_file() and str(path.relative_to(TREE)) not in known and path.name != "Cargo.lock":
            path.unlink()


def cargo(arguments, seconds):
    """Runs cargo in the copy; gives its status, or None once it took too long, and what it said."""
    environment = {**os.environ, "CARGO_TARGET_DIR": str(BUILD), "CARGO_PROFILE_DEV_DEBUG": "0"}
    process = subprocess.Popen(
        ["cargo", *arguments], cwd=TREE, env=environment, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=seconds)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return None, said


def run(tests):
    """Compiles and runs some tests of one target; gives what became of them, the names of those that failed, what was said."""
    target, *names = tests.split()
    where = ["--lib"] if target == "lib" else ["--test", target]
    status, said = cargo(["test", *where, "--no-run"], BUILDING)
    if status != 0:
        # Somebody may have ended it; that says nothing of the bug.
        return ("does not compile" if "\nerror" in said else "the build was ended"), [], said
    status, said = cargo(["test", *where, "--", *names], PATIENCE)
    failed = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED$", said, re.MULTILINE)))
    ran = sum(map(int, re.findall(r"^running (\d+) tests?$", said, re.MULTILINE)))
    if status is None:
        return "timeout", failed, said
    if status == 0:
        return ("green" if ran else "no such test"), failed, said
    return ("red" if failed and "test result: FAILED" in said else "died"), failed, said


def check(bugs):
    wrong = []
    for bug in bugs:
        target = bug.test.split()[0]
        files = [ROOT / "tests" / f"{target}.rs", ROOT / "tests" / target / "main.rs"]
        if target != "lib" and not any(file.is_file() for file in files):
            wrong.append(f"{bug.name}: no tests/{target}.rs")
        try:
            patched(bug)
        except ValueError as error:
            wrong.append(str(error))
    for problem in wrong:
        print(problem, file=sys.stderr)
    return not wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--list", action="store_true", help="print the table and run nothing")
    parser.add_argument("--check", action="store_true", help="only see that each patch applies exactly once")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these bugs")
    parser.add_argument("--no-green", action="store_true", help="leave out the run without a bug")
    options = parser.parse_args()
    names = [bug.name for bug in BUGS]
    assert len(set(names)) == len(names), "a name twice"
    if unknown := set(options.only or ()) - set(names):
        parser.error(f"no such bug: {', '.join(sorted(unknown))}")
    bugs = [bug for bug in BUGS if not options.only or bug.name in options.only]
    if options.list:
        print("| bug | what it breaks | killed by |\n|---|---|---|")
        for bug in bugs:
            target, *filters = bug.test.split()
            where = "the tests in src" if target == "lib" else f"tests/{target}.rs"
            print(f"| {bug.name} | {bug.breaks} | {' '.join([where, *filters])} |")
        return 0
    if not check(bugs):
        return 1
    if options.check:
        print(f"{len(bugs)} seeded bugs, each applies exactly once")
        return 0

    mirror()
    if not options.no_green:
        for tests in sorted({bug.test for bug in bugs}):
            started = time.monotonic()
            outcome, failed, said = run(tests)
            print(f"without a bug: {tests}: {outcome}, {time.monotonic() - started:.0f} s", flush=True)
            if outcome != "green":
                print(said, *failed, sep="\n", file=sys.stderr)
                return 1
    killed, others = 0, []
    print("| bug | what it breaks | killed by | seconds |\n|---|---|---|---|", flush=True)
    for bug in bugs:
        started = time.monotonic()
        files = patched(bug)
        try:
            for name, text in files.items():
                put(name, text)
            outcome, failed, said = run(bug.test)
        finally:
            for name in files:
                put(name, (ROOT / name).read_bytes())
        killed += outcome == "red"
        shown = " ".join([bug.test.split()[0], *failed[:2], *(["…"] if len(failed) > 2 else [])])
        if outcome != "red":
            others.append(bug.name)
            shown = f"NOT KILLED: {outcome}"
            print(said[-3000:], file=sys.stderr)
        print(f"| {bug.name} | {bug.breaks} | {shown} | {time.monotonic() - started:.0f} |", flush=True)
    print(f"{killed} of {len(bugs)} killed" + "".join(f"\n  not killed: {name}" for name in others))
    return 0 if killed == len(bugs) else 1


if __name__ == "__main__":
    sys.exit(main())
