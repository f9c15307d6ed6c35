#!/usr/bin/env python3
"""chatwal beside DuckDB and ClickHouse on the same job: same answer, how fast, how much memory, how many bytes on disk.

    cargo build --release && pip install duckdb==2.0.1 chdb==4.4.0 && tools/compare.py

generates a workload, runs all of them in alternation (A B C A B C ...), chatwal into a fresh store each time, and prints
medians as Markdown. Programs that are not installed are left out. What else there is:

    tools/compare.py --workloads all     each order, skew and layout of the lines, and compressed ones
    tools/compare.py phases              each part of the job alone, beside writing and fsyncing as many bytes
    tools/compare.py growth              1, 10 and 100 million lines; one thread and several (100 M lines: 17 GB, some minutes)

The figures of the documentation are made by these two, in less than an hour with 22 GB of room on the disk:

    tools/compare.py workloads phases --workloads all --lines 3M --output docs/performance.md --chart docs/performance.svg --readme README.md
    tools/compare.py growth --rounds 5 --scales 10M,100M --append docs/performance.md

In each round as many bytes as the store has are written and fsynced, since the disk's mood decides. The exit status is 1 if an
answer differs. Needs python3 and Linux, for compressed workloads gzip and zstd. The versions above are those that the
figures in the README were made with.
"""

import argparse
import collections
import contextlib
import datetime
import importlib.metadata
import itertools
import os
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
CHATWAL = os.path.join(TARGET, "release", "chatwal")
GENERATE = os.path.join(TARGET, "release", "chatwal-generate")

# What peers may use; chatwal gets as many threads.
PEER_MEMORY = 1_600_000_000

# By name: lines for each site (10 million lines have 200,000 sites, or 2,000; none: they all have one), and what else
# `chatwal-generate` is told.
WORKLOADS = {
    "wide": (50, ["--copies", "0.1"]),
    "narrow": (5000, ["--copies", "0.1"]),
    "skewed": (50, ["--copies", "0.1", "--skew", "hot"]),
    "nearly-sorted": (50, ["--copies", "0.1", "--order", "nearly-sorted"]),
    "copies": (50, ["--copies", "15x"]),
    "spaced": (50, ["--copies", "0.1", "--style", "spaced"]),
    "shuffled": (50, ["--copies", "0.1", "--style", "shuffled"]),
    "one-site": (None, ["--copies", "0.1", "--visitors", "1000000"]),
    "many-sites": (5, ["--copies", "0.1"]),
    "long-names": (50, ["--copies", "0.1", "--name-bytes", "1000"]),
}

# These have so many times fewer lines: theirs are 3 KB long.
SHORTER = {"long-names": 10}

# Lines of a page between which a table goes, and how the page of figures begins.
MARKS = ("<!-- figures: tools/compare.py -->", "<!-- end of figures -->")
HEAD = """# Performance

Made by `tools/compare.py`; not edited by hand. Absolute times are this machine's: the pairs are what to look at, since all programs
of a round run one after the other, in turn. Make your own: `cargo build --release && pip install duckdb==2.0.1 chdb==4.4.0 &&
tools/compare.py`.
"""

# The wide workload, packed: beside the unpacker, and not beside peers.
PACKERS = {"gzip": ".gz", "zstd": ".zst"}

# Online operators at each event, by a running sum of their changes of state; right as long as no two events of a site
# share a timestamp and copies agree, which generated workloads keep to. Peers also take each line for an event.
#
# Tried with 500,000 lines of the wide workload and two threads (2.0.0, best of three on a busy machine, to be read as a
# comparison only; all right): as below 2.4 s; ids as VARCHAR 2.4; DISTINCT ON instead of GROUP BY 2.4; DISTINCT of whole rows 3.0, and with the
# persons of a site grouped first 2.4 (with GROUP BY 3.2); an ASOF JOIN of the messages with the changes 78. Of many-sites, as for wide 3.2,
# DISTINCT and persons first 2.6, and of one-site 3.3 and 2.7: so that is used there. Of copies, UUID 1.39, VARCHAR 1.26: so that is. Not tried yet: other
# ways to read the lines, and other ways than these for the other workloads.
DUCKDB = """
import duckdb, sys
lines, threads, memory, spill, workload = sys.argv[1:]
id_type = 'VARCHAR' if workload in ('long-names', 'copies') else 'UUID'
event = '''SELECT site_id, id, any_value("type") = 'status' AS status, any_value("from") AS actor,
        any_value(timestamp) AS moment, any_value(data.status) = 'online' AS online
    FROM line GROUP BY ALL'''
result = '''SELECT site_id, count(*) FILTER (NOT status AND present > 0), count(*) FILTER (NOT status AND present <= 0),
    count(DISTINCT actor) FILTER (status), count(DISTINCT actor) FILTER (NOT status)
FROM moment GROUP BY site_id ORDER BY site_id'''
if workload in ('one-site', 'many-sites'):
    event = '''SELECT DISTINCT site_id, id, "type" = 'status' AS status, "from" AS actor, timestamp AS moment,
        data.status = 'online' AS online
    FROM line'''
    result = '''SELECT site_id, coalesce(sum(chats) FILTER (NOT status), 0)::BIGINT,
    coalesce(sum(emails) FILTER (NOT status), 0)::BIGINT, count(*) FILTER (status), count(*) FILTER (NOT status)
FROM (
    SELECT site_id, status, actor, count(*) FILTER (present > 0) AS chats, count(*) FILTER (present <= 0) AS emails
    FROM moment GROUP BY ALL)
GROUP BY site_id ORDER BY site_id'''
con = duckdb.connect()
con.execute("SET threads = %s; SET memory_limit = '%dMB'; SET temp_directory = ?" % (threads, int(memory) // 10**6), [spill])
rows = con.execute('''
WITH line AS (
    SELECT * FROM read_json(?, format = 'newline_delimited', columns = {id: '%s', "type": 'VARCHAR', "from": 'VARCHAR',
        site_id: 'VARCHAR', timestamp: 'BIGINT', data: 'STRUCT(status VARCHAR)'})),
event AS (%s),
change AS (
    SELECT *, CASE WHEN status THEN online::INT - coalesce(lag(online::INT) OVER (
        PARTITION BY site_id, status, actor ORDER BY moment), 0) ELSE 0 END AS step
    FROM event),
moment AS (
    SELECT *, sum(step) OVER (PARTITION BY site_id ORDER BY moment ROWS UNBOUNDED PRECEDING) AS present FROM change)
%s''' % (id_type, event, result), [lines]).fetchall()
sys.stdout.writelines("%s,messages=%d,emails=%d,operators=%d,visitors=%d\\n" % row for row in rows)
"""

# The same, in all the memory it wants: with a limit, and groups and sorts that go to the disk, it takes 1.6 times as long. Its window functions leave the default of `lagInFrame` where there is none before. It passes over a key
# of `data` that is written with an escape, so of shuffled lines it knows some statuses less.
CLICKHOUSE = """
import chdb, sys
lines, threads, memory, spill, workload = sys.argv[1:]
id_type = 'String' if workload in ('shuffled', 'long-names') else 'UUID'  # It reads no UUID with an escape in it.
answer = chdb.query('''
WITH event AS (
    SELECT site_id, id, any(type) = 'status' AS is_status, any(`from`) AS actor, any(timestamp) AS moment,
        toInt8(any(data.status) = 'online') AS is_online
    FROM file('%s', 'JSONEachRow',
        'id %s, type LowCardinality(String), `from` String, site_id String, timestamp Int64, data Tuple(status String)')
    GROUP BY site_id, id),
change AS (
    SELECT site_id, is_status, actor, moment, if(is_status, is_online - lagInFrame(is_online) OVER (
        PARTITION BY site_id, is_status, actor ORDER BY moment ROWS UNBOUNDED PRECEDING), 0) AS step
    FROM event),
moment AS (
    SELECT site_id, is_status, actor, sum(step) OVER (
        PARTITION BY site_id ORDER BY moment ROWS UNBOUNDED PRECEDING) AS present
    FROM change)
SELECT format('{},messages={},emails={},operators={},visitors={}', site_id,
    toString(countIf(NOT is_status AND present > 0)), toString(countIf(NOT is_status AND present <= 0)),
    toString(uniqExactIf(actor, is_status)), toString(uniqExactIf(actor, NOT is_status)))
FROM moment GROUP BY site_id ORDER BY site_id
SETTINGS max_threads = %s
''' % (lines, id_type, threads), 'TSVRaw', path=spill)
sys.stdout.buffer.write(answer.bytes())
"""

# Name, package, script.
PEERS = [("DuckDB", "duckdb", DUCKDB), ("ClickHouse (chdb)", "chdb", CLICKHOUSE)]

Result = collections.namedtuple("Result", "wall cpu peak written kernel read")

# What a program took for a workload, for the chart: medians; `kept` bytes on disk; `ratio` of its wall to chatwal's.
Bar = collections.namedtuple("Bar", "workload what input program wall cpu peak kept ratio")


class Failed(Exception):
    """A program ended with an error."""


def run(command, output=os.devnull):
    """Runs a command to its end: wall seconds, CPU seconds, peak resident MB, bytes written to files, and read by calls."""
    # Nothing large is imported or read by this script: a child's peak memory counts what it was forked from.
    with open(output, "wb") as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=errors)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        taken = bytes_read(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            text = errors.read(1 << 16).decode(errors="replace").strip().splitlines()
            raise Failed(f"{os.path.basename(command[0])} ended with {process.returncode}: {text[-1] if text else ''}")
    return Result(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, usage.ru_oublock * 512, usage.ru_stime, taken)


def bytes_read(pid):
    """What a process that ended took in by read calls, from the page cache or the disk; 0 if the system does not say."""
    try:
        with open(f"/proc/{pid}/io") as file:
            return next((int(line.split()[1]) for line in file if line.startswith("rchar:")), 0)
    except OSError:
        return 0


def dd(directory, size):
    """Seconds that writing and fsyncing `size` bytes takes here and now: the disk's mood."""
    path = os.path.join(directory, "dd")
    block = memoryview(b"\xa5" * (1 << 20))
    start = time.perf_counter()
    with open(path, "wb", buffering=0) as out:
        for at in range(0, size, len(block)):
            out.write(block[: size - at])
        os.fdatasync(out.fileno())
    seconds = time.perf_counter() - start
    os.remove(path)
    return seconds


def read(path, until=lambda: False):
    """Brings a file into the page cache, or as much of it as it takes."""
    with open(path, "rb", buffering=0) as file:
        while not until() and file.read(1 << 20):
            pass


# Locks the file it is told in memory, says so, and holds it until its input ends.
LOCK = """
import ctypes, mmap, os, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.mlock.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
file = open(sys.argv[1], 'rb')
size = os.path.getsize(file.name)
place = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, file.fileno(), 0)
if place in (None, ctypes.c_void_p(-1).value) or libc.mlock(place, size) != 0:
    reason = os.strerror(ctypes.get_errno())
    print(f'{file.name} cannot be locked in memory, so it may be read from the disk: {reason}', file=sys.stderr)
print(flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def locked(path):
    """Keeps a file in the page cache, if the system lets it: `ulimit -l`, or root. Not in this process: see `run` on memory."""
    holder = subprocess.Popen([sys.executable, "-c", LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    holder.stdout.readline()
    try:
        yield
    finally:
        holder.communicate()


def memory(name):
    """Bytes of memory by their name in /proc/meminfo."""
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith(name + ":"))


def alike(paths, place):
    """Whether the answers are the same; says where they begin to differ. Line by line: see `run` on memory."""
    answers = [open(path, "rb") for path in paths]
    try:
        for lines in itertools.zip_longest(*answers):
            if len(set(lines)) > 1:
                print(f"{place}: the first lines that differ: {lines}", file=sys.stderr)
                return False
        return True
    finally:
        for answer in answers:
            answer.close()


def warm(path):
    """Brings a file into the page cache, where every program finds it."""
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def size_of(directory):
    return sum(entry.stat().st_size for entry in os.scandir(directory))


def spread(values, digits=2, unit=1):
    """Median (least–most)."""
    values = [value / unit for value in values]
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}–{max(values):.{digits}f})"


def pairs(others, owns):
    """How many times as long, round by round."""
    return [other / own for other, own in zip(others, owns)]


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


class Bench:
    """What is measured, where, and what came of it."""

    def __init__(self, args, work):
        self.args, self.work, self.same, self.bars = args, work, True, []
        path, mode = (args.append, "a") if args.append else (args.output, "w")
        self.output = open(path, mode) if path else None
        # At 10 million lines the copies of an answer alone are 8 MB each; nothing is kept but figures.
        self.peers = {}
        for name, package, script in PEERS:
            try:
                version = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                print(f"{name} is not installed, and left out: `pip install {package}`", file=sys.stderr)
                continue
            # A file: given as -c, DuckDB takes the session for an interactive one and prints a progress bar into the answer.
            # Not called like the package, which it would be taken for.
            path = self.at(package + "_report.py")
            with open(path, "w") as file:
                file.write(script)
            self.peers[f"{name} {version}"] = path

    def at(self, name):
        return os.path.join(self.work, name)

    def say(self, text):
        print(text, flush=True)
        if self.output:
            print(text, file=self.output, flush=True)

    def generate(self, name, lines):
        """Writes a workload; gives its path and what it is."""
        per_site, options = WORKLOADS[name]
        sites = 1 if per_site is None else self.args.sites or max(1, lines // per_site)
        path = self.at("lines.jsonl")
        command = [GENERATE, "--lines", lines, "--sites", sites, *options, "--seed", 1, "--output", path]
        subprocess.run([str(word) for word in command], check=True)
        warm(path)
        told = " ".join(options).replace("--", "")
        return path, f"{lines:,} lines ({os.path.getsize(path) / 1e9:.2f} GB), {sites:,} sites, {told}"

    def chatwal(self, *words, threads=None):
        return [CHATWAL, "-q", "--threads", threads or self.args.threads, "--store", self.at("store"), *words]

    def fresh(self, *words, threads=None):
        """A run into a store that is not there yet: gives its figures and the bytes of the store."""
        shutil.rmtree(self.at("store"), ignore_errors=True)
        result = run(self.chatwal(*words, threads=threads), self.at("answer"))
        return result, size_of(self.at("store"))

    def rounds(self):
        """Counts the rounds from 0, which warms up and is not counted."""
        for count in range(self.args.rounds + 1):
            print(f"round {count} of {self.args.rounds}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr)
            yield count

    # -- chatwal beside others, workload by workload

    def workload(self, name, lines):
        lines = max(1, lines // SHORTER.get(name, 1))
        path, what = self.generate(name, lines)
        self.say(f"\n### {name}\n\n{what}; medians of {self.args.rounds} rounds, in alternation.\n")
        run_it = ["run", "--durability", self.args.durability, path]
        peers = dict(self.peers)
        figures = {program: [] for program in ["chatwal run", *peers]}
        disk, size, broken, different = [], 0, {}, set()
        for count in self.rounds():
            for program in list(figures):
                try:
                    if program in peers:
                        shutil.rmtree(self.at("spill"), ignore_errors=True)
                        script = peers[program]
                        words = [path, self.args.threads, PEER_MEMORY, self.at("spill"), name]
                        result = run([sys.executable, script, *words], self.at("peer"))
                        if not alike([self.at("answer"), self.at("peer")], f"{name}, {program}"):
                            different.add(program)
                    else:
                        result, size = self.fresh(*run_it)
                except Failed as failed:
                    if program not in peers:
                        raise
                    broken[program] = str(failed)
                    del figures[program]
                    continue
                if count > 0:
                    figures[program].append(result)
            if count > 0:
                disk.append(dd(self.work, size))
        input_size = os.path.getsize(path)
        os.remove(path)
        self.same = self.same and not different
        own = [result.wall for result in figures["chatwal run"]]
        rows = []
        for program, results in figures.items():
            walls, cpus, peaks, written, _, taken = zip(*results)
            kept = size if program == "chatwal run" else 0
            ratios = pairs(walls, own)
            on_disk, ratio = ("none", spread(ratios, 1)) if program in peers else (f"{size / 1e6:.0f}", "")
            medians = [statistics.median(values) for values in (cpus, peaks, written, taken)]
            row = [program, spread(walls), f"{medians[0]:.2f}", f"{medians[1]:.0f}", on_disk,
                   f"{medians[3] / 1e6:.0f}", f"{medians[2] / 1e6:.0f}"]
            rows.append([*row, ratio])
            figure = [statistics.median(walls), medians[0], medians[1], kept, statistics.median(ratios)]
            self.bars.append(Bar(name, what, input_size, program, *figure))
        heads = ["program", "wall s (min–max)", "CPU s", "peak MB", "MB on disk", "MB read", "MB written", "times chatwal's wall"]
        self.say(table(heads, rows))
        self.say(f"\nStore: {size:,} bytes, {size / lines:.1f} a line; writing and fsyncing as many alone: {spread(disk)} s, "
                 f"{size / statistics.median(disk) / 1e9:.2f} GB/s.")
        for program, failure in broken.items():
            self.say(f"{program}: no answer; {failure}")
        if len(figures) > 1:
            told = f"that of {' and '.join(sorted(different))} DIFFERS, see stderr." if different else "the same, byte for byte."
            self.say(f"Answers: {told}")

    def packed(self, packer, lines):
        if not shutil.which(packer):
            return self.say(f"\n### {packer}\n\nNot measured: {packer} is not installed.")
        plain, what = self.generate("wide", lines)
        path = plain + PACKERS[packer]
        with open(path, "wb") as out:
            subprocess.run([packer, "-c", plain], stdout=out, check=True)
        warm(path)
        self.say(f"\n### {packer}\n\n{what}, packed by {packer} to {os.path.getsize(path) / 1e9:.2f} GB; "
                 f"medians of {self.args.rounds} rounds, in alternation. Not run on others.\n")
        names = ["chatwal run, packed", "chatwal run, plain", f"{packer} -dc, to nowhere"]
        figures = {name: [] for name in names}
        for count in self.rounds():
            results = []
            for input_, answer in ((path, "packed"), (plain, "plain")):
                results.append(self.fresh("run", "--durability", self.args.durability, input_)[0])
                os.replace(self.at("answer"), self.at(answer))
            results.append(run([packer, "-dc", path]))
            self.same = alike([self.at("packed"), self.at("plain")], packer) and self.same
            if count > 0:
                for name, result in zip(names, results):
                    figures[name].append(result)
        os.remove(path)
        os.remove(plain)
        self.say(self.simple(figures))
        own, run_plain, unpack = ([result.wall for result in figures[name]] for name in names)
        ratio = pairs(own, [a + b for a, b in zip(run_plain, unpack)])
        self.say(f"\nPacked, of unpacking and a plain run one after the other: {spread(ratio)}.")

    def simple(self, figures, digits=2):
        """The rows of a table by program."""
        rows = []
        for name, results in figures.items():
            walls, cpus, peaks, written, _, taken = zip(*results)
            medians = [statistics.median(values) for values in (cpus, peaks, written, taken)]
            rows.append([name, spread(walls, digits), f"{medians[0]:.{digits}f}", f"{medians[1]:.0f}",
                         f"{medians[3] / 1e6:.0f}", f"{medians[2] / 1e6:.0f}"])
        return table(["program", "wall s (min–max)", "CPU s", "peak MB", "MB read", "MB written"], rows)

    # -- each part of the job

    def phases(self, lines):
        path, what = self.generate("wide", lines)
        self.say(f"\n## Phases\n\n{what}; medians of {self.args.rounds} rounds.\n")
        figures, times = collections.defaultdict(list), collections.defaultdict(list)
        for count in self.rounds():
            results = {}
            results["ingest"], log = self.fresh("ingest", "--no-compact", path)
            writing = dd(self.work, log)
            steps = [
                ("ingest again, nothing new", ["ingest", "--no-compact", path], "nothing"),
                ("report", ["report"], "before"),
                ("run again, nothing new", ["run", "--no-compact", path], "again"),
                ("compact", ["compact", "--all"], "nothing"),
                ("report, compacted", ["report"], "after"),
                ("run again, compacted", ["run", "--no-compact", path], "again, compacted"),
            ]
            for name, words, answer in steps:
                results[name] = run(self.chatwal(*words), self.at(answer))
            answers = [self.at(answer) for answer in ("before", "again", "after", "again, compacted")]
            self.same = alike(answers, "phases") and self.same
            folded = sum(entry.stat().st_size for entry in os.scandir(self.at("store")) if entry.name.endswith(".snap"))
            rewriting = dd(self.work, folded)
            results["--version"] = sorted(run([CHATWAL, "--version"]) for _ in range(9))[4]
            if count > 0:
                for name, result in results.items():
                    figures[name].append(result)
                times["log"].append(writing)
                times["snapshot"].append(rewriting)
        os.remove(path)
        walls = {name: [result.wall for result in results] for name, results in figures.items()}
        self.say(self.simple(figures, 3))
        self.say(f"\nThe log has {log:,} bytes; writing and fsyncing as many alone: {spread(times['log'], 3)} s. "
                 f"Ingest takes {spread(pairs(walls['ingest'], times['log']))} times that.")
        floor = [a + b for a, b in zip(times["snapshot"], walls["report"])]
        self.say(f"The snapshot has {folded:,} bytes; writing and fsyncing as many alone: {spread(times['snapshot'], 3)} s. "
                 f"Compaction takes {spread(pairs(walls['compact'], floor))} times that and a report. "
                 "`--version`: the median of nine in each round.")

    # -- more lines, more threads

    def growth(self, scales):
        self.say(f"\n## Growth\n\n`chatwal run --no-compact`, the wide workload; {self.args.threads} threads; medians of "
                 f"{self.args.rounds} rounds. Memory that nothing has used yet costs a virtual machine more: its host has to find it, at "
                 "the first touch and on the program's time, and many lines touch much of it. So each is run with memory as "
                 "it is, and with no memory free: the page cache holds the input, which is locked there, and another file, "
                 "whose place is taken by what a run writes.\n")
        rows, costs = [], {}
        filler = self.at("filler")
        for lines in scales:
            path, what = self.generate("wide", lines)
            figures, disk = {"as it is": [], "full": []}, []
            for state, results in figures.items():
                with locked(path) if state == "full" else contextlib.nullcontext():
                    if state == "full":
                        with open(filler, "wb") as file:
                            # A hole takes memory when it is read, and no room on the disk.
                            file.truncate(memory("MemTotal"))
                    for count in self.rounds():
                        shutil.rmtree(self.at("store"), ignore_errors=True)
                        if state == "full":
                            read(filler, lambda: memory("MemFree") < 512 << 20)
                        read(path)
                        result, size = self.fresh("run", "--no-compact", "--durability", self.args.durability, path)
                        if count > 0:
                            results.append(result)
                            disk.append(dd(self.work, size))
            os.remove(filler)
            os.remove(path)
            for state, results in figures.items():
                walls, cpus, peaks, written, kernel, _ = zip(*results)
                cost, inside, bytes_ = (statistics.median(figure) / lines for figure in (cpus, kernel, written))
                costs.setdefault(state, []).append((lines, cost, bytes_))
                rows.append([what, state, spread(walls), f"{cost * 1e9:.0f}", f"{inside * 1e9:.0f}", f"{bytes_:.2f}",
                             f"{size / lines:.2f}", f"{statistics.median(peaks):.0f}", spread(disk)])
        heads = ["lines", "memory", "wall s (min–max)", "CPU ns a line", "of it in the kernel", "bytes written a line",
                 "bytes on disk a line", "peak MB", "writing and fsyncing as many bytes alone, s"]
        self.say(table(heads, rows) + "\n")
        for state, scaled in costs.items():
            for (few, cpu, written), (many, more_cpu, more_written) in itertools.pairwise(scaled):
                self.say(f"From {few:,} to {many:,} lines, memory {state}: CPU a line {more_cpu / cpu - 1:+.1%}, bytes written a line "
                         f"{more_written / written - 1:+.1%}.")
        self.threads(max([lines for lines in scales if lines <= 10_000_000], default=min(scales)))

    def threads(self, lines):
        path, what = self.generate("wide", lines)
        most = max(2, self.args.threads)
        self.say(f"\n## Threads and durability\n\n`chatwal run`, {what}; medians of {self.args.rounds} rounds, in alternation.\n")
        programs = {f"{threads} thread{'s'[:threads - 1]}, --durability {durability}": (threads, durability)
                    for durability in ("os", "sync") for threads in (1, most)}
        figures = {program: [] for program in programs}
        for count in self.rounds():
            for program, (threads, durability) in programs.items():
                result, _ = self.fresh("run", "--no-compact", "--durability", durability, path, threads=threads)
                if count > 0:
                    figures[program].append(result)
        os.remove(path)
        self.say(self.simple(figures) + "\n")
        walls = [[result.wall for result in results] for results in figures.values()]
        for durability, one, several in (("os", walls[0], walls[1]), ("sync", walls[2], walls[3])):
            self.say(f"--durability {durability}: {most} threads are {spread(pairs(one, several))} times as fast as one.")


def machine():
    """The machine, its system and what was measured, in a line or two."""
    info = {}
    for path in ("/proc/cpuinfo", "/proc/meminfo"):
        with open(path) as file:
            for line in file:
                key, _, value = line.partition(":")
                info.setdefault(key.strip(), value.strip())
    memory = round(int(info["MemTotal"].split()[0]) / (1 << 20))
    processor = info.get("model name", platform.machine())
    return f"{processor}, {os.cpu_count()} processors, {memory} GiB; Linux {platform.release().split('-')[0]}"


def build():
    """Version and commit of what is measured."""
    version = subprocess.run([CHATWAL, "--version"], capture_output=True, text=True, check=True).stdout.split(" (")[0].strip()
    git = subprocess.run(["git", "-C", ROOT, "describe", "--always", "--dirty"], capture_output=True, text=True)
    return f"{version} at {git.stdout.strip()}" if git.returncode == 0 else version


def chart(bars, footer):
    """An SVG: the first workload in four panels of bars, and for the others how many times as long each peer takes.

    Nothing but middle tones on no ground, so that it reads on a light page and on a dark one.
    """
    text, line = "#7d8590", 'font-family="system-ui, sans-serif" font-size="13"'
    colours = ["#2da44e", "#bf8700", "#8250df", "#0969da"]
    first = [bar for bar in bars if bar.what == bars[0].what]
    programs = [bar.program for bar in first]
    colour = {program: colours[number % len(colours)] for number, program in enumerate(programs)}
    out, y, left, width = [], 24, 190, 440

    def label(x, y, words, anchor="start", size=13, weight="normal"):
        words = words.replace("&", "&amp;").replace("<", "&lt;")
        style = f'fill="{text}" text-anchor="{anchor}" font-size="{size}" font-weight="{weight}"'
        out.append(f'<text x="{x:.0f}" y="{y}" {style}>{words}</text>')

    def panel(title, rows):
        nonlocal y
        label(16, y, title, weight="600")
        most = max([value for _, _, value, _ in rows]) or 1
        for name, fill, value, shown in rows:
            y += 22
            label(left - 10, y, name, "end")
            length = max(1.5, value / most * width)
            out.append(f'<rect x="{left}" y="{y - 12}" width="{length:.1f}" height="15" rx="2" fill="{fill}"/>')
            label(left + length + 8, y, shown)
        y += 36

    label(16, y, f"{first[0].workload}: {first[0].what}", size=14, weight="600")
    y += 32
    panel("Wall time", [(bar.program, colour[bar.program], bar.wall, f"{bar.wall:.2f} s") for bar in first])
    panel("CPU time", [(bar.program, colour[bar.program], bar.cpu, f"{bar.cpu:.2f} s") for bar in first])
    panel("Peak memory", [(bar.program, colour[bar.program], bar.peak, f"{bar.peak:,.0f} MB") for bar in first])
    kept = [(bar.program, colour[bar.program], bar.kept, f"{bar.kept / 1e6:,.0f} MB" if bar.kept else "nothing") for bar in first]
    panel("Left on disk", [("the input", text, first[0].input, f"{first[0].input / 1e6:,.0f} MB"), *kept])
    # Of a workload in several sizes, the first.
    rows, drawn = [], set()
    for bar in bars:
        if bar.program != programs[0] and (bar.workload, bar.program) not in drawn:
            head = "" if any(bar.workload == workload for workload, _ in drawn) else bar.workload
            drawn.add((bar.workload, bar.program))
            shown = f"{bar.ratio:.1f} × ({bar.program.split()[0]})"
            rows.append((head, colour.get(bar.program, text), bar.ratio, shown))
    if len({workload for workload, _ in drawn}) > 1:
        panel(f"Wall time of others by workload; {programs[0]} = 1", rows)
    for words in footer:
        label(16, y, words, size=11)
        y += 16
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 {y}" width="800" height="{y}" role="img" {line}>\n'
            + "\n".join(out) + "\n</svg>\n")


def summary(bars, footer):
    """The workloads, a row for each."""
    rows = []
    for what, some in itertools.groupby(bars, key=lambda bar: (bar.workload, bar.what)):
        own, *others = some
        peers = [f"{bar.wall:.2f} s ({bar.ratio:.1f} ×)" for bar in others]
        rows.append([f"{what[0]}: {what[1]}", f"{own.wall:.2f} s", f"{own.peak:.0f} MB", *peers])
    names = [bar.program for bar in bars if bar.what == bars[0].what][1:]
    most = max(len(row) for row in rows)
    rows = [row + [""] * (most - len(row)) for row in rows]
    return table(["workload", "chatwal run", "its peak memory", *names], rows) + "\n\n" + footer


def rewrite(path, text):
    """Puts a text between the marks of a file."""
    with open(path) as file:
        before, mark, rest = file.read().partition(MARKS[0] + "\n")
    _, end, behind = rest.partition(MARKS[1])
    if not (mark and end):
        sys.exit(f"{path}: no lines {MARKS[0]!r} and {MARKS[1]!r}")
    with open(path, "w") as file:
        file.write(f"{before}{mark}{text}\n{end}{behind}")


def counts(text):
    """Numbers such as 10000000, 10_000_000, 200k or 10M, separated by commas."""
    units = {"k": 10**3, "M": 10**6}
    return [int(word.rstrip("kM").replace("_", "")) * units.get(word[-1:], 1) for word in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description="chatwal beside DuckDB and ClickHouse on the same job")
    every = [*WORKLOADS, *PACKERS]
    parser.add_argument("modes", nargs="*", metavar="MODE", help="workloads (the default), phases, growth")
    parser.add_argument("--workloads", default="wide", metavar="NAME,...",
                        help=", ".join([*every, "all"]) + " [default: wide]")
    parser.add_argument("--lines", type=counts, metavar="N,...", help="[default: 10M]")
    parser.add_argument("--scales", type=counts, metavar="N,...", help="of growth [default: 1M,10M,100M]")
    parser.add_argument("--sites", type=int, metavar="N", help="[default: one for every 50 lines; narrow: 5,000]")
    parser.add_argument("--rounds", type=int, default=9, metavar="N", help="after one that warms up [default: 9]")
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="of each program [default: 2]")
    parser.add_argument("--durability", choices=["sync", "os"], default="sync", help="of chatwal [default: sync]")
    parser.add_argument("--no-peers", action="store_true", help="run chatwal alone")
    parser.add_argument("--directory", default=TARGET,
                        help="where to work; on a disk, with room for the input twice [default: target]")
    parser.add_argument("--output", metavar="FILE", help="write the Markdown here as well")
    parser.add_argument("--append", metavar="FILE", help="write it behind what is there")
    parser.add_argument("--readme", metavar="FILE", help=f"put a row for each workload between the lines {MARKS[0]!r} and {MARKS[1]!r} of it")
    parser.add_argument("--chart", metavar="FILE", help="write an SVG of the workloads here")
    args = parser.parse_args()
    modes = args.modes or ["workloads"]
    names = every if args.workloads == "all" else args.workloads.split(",")
    for words, known in ((modes, ["workloads", "phases", "growth"]), (names, every)):
        for word in words:
            if word not in known:
                parser.error(f"{word!r} is none of {', '.join(known)}")
    if args.rounds < 1:
        parser.error("at least one round")
    if not (os.path.exists(CHATWAL) and os.path.exists(GENERATE)):
        sys.exit(f"no {CHATWAL}: run `cargo build --release` first")
    work = tempfile.mkdtemp(prefix="chatwal-compare-", dir=args.directory)
    try:
        sys.exit(compare(args, modes, names, work))
    except Failed as failed:
        sys.exit(str(failed))
    finally:
        shutil.rmtree(work)


def compare(args, modes, names, work):
    own = build()  # Before this run writes to the pages, which would make the commit a dirty one.
    bench = Bench(args, work)
    if args.no_peers:
        bench.peers = {}
    versions = ", ".join([own, *bench.peers])
    date = datetime.date.today().isoformat()
    command = shlex.join(["tools/compare.py", *sys.argv[1:]])
    head = "" if args.append else HEAD
    bench.say(f"{head}\n`{command}`\n\n{versions}; {args.threads} threads each, --durability {args.durability}, DuckDB within "
              f"{PEER_MEMORY // 10**6:,} MB.\n{machine()}; {date}.")
    if "workloads" in modes:
        bench.say("\n## Workloads\n\nPeers answer from the file and keep nothing; chatwal leaves a durable store. Written is what "
                  "went to files, the answer and spilled data included. Peak memory below 20 MB is shown as about 20.")
        for lines in args.lines or [10_000_000]:
            for name in names:
                if name in PACKERS:
                    bench.packed(name, lines)
                else:
                    bench.workload(name, lines)
    if "phases" in modes:
        for lines in args.lines or [10_000_000]:
            bench.phases(lines)
    if "growth" in modes:
        bench.growth(args.scales or [1_000_000, 10_000_000, 100_000_000])
    if args.readme and bench.bars:
        rewrite(args.readme, summary(bench.bars, f"Medians of {args.rounds}, {versions}; {machine()}; {date}."))
    if args.chart and bench.bars:
        with open(args.chart, "w") as file:
            file.write(chart(bench.bars, [versions, f"medians of {args.rounds}; {machine()}; {date}"]))
    return 0 if bench.same else 1


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
