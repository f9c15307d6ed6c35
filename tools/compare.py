#!/usr/bin/env python3
"""chatwal beside DuckDB on the same job: same answer, how fast, how much memory, how many bytes on disk.

    cargo build --release && pip install duckdb==2.0.0 && tools/compare.py [--lines N] [--rounds N]

Generates the workload, then runs both in alternation (A B A B ...), a fresh store each time, and prints medians. DuckDB is left
out where it isn't installed. Needs nothing else. Prints Markdown; exits 1 if an answer differs.
"""

import argparse
import importlib.metadata
import itertools
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RELEASE = os.path.join(ROOT, "target", "release")

# Online operators at each event, by a running sum of their changes of state; right as long as no two events of a site
# share a timestamp and copies agree, which generated workloads keep to.
DUCKDB = """
import duckdb, sys
con = duckdb.connect()
con.execute("SET threads = %d; SET memory_limit = '1600MB'; SET temp_directory = ?" % int(sys.argv[2]), [sys.argv[3]])
rows = con.execute('''
WITH line AS (
    SELECT * FROM read_json(?, format = 'newline_delimited', columns = {id: 'UUID', "type": 'VARCHAR', "from": 'VARCHAR',
        site_id: 'VARCHAR', timestamp: 'BIGINT', data: 'STRUCT(status VARCHAR)'})),
event AS (
    SELECT site_id, id, any_value("type") = 'status' AS status, any_value("from") AS actor,
        any_value(timestamp) AS moment, any_value(data.status) = 'online' AS online
    FROM line GROUP BY ALL),
change AS (
    SELECT *, CASE WHEN status THEN online::INT - coalesce(lag(online::INT) OVER (
        PARTITION BY site_id, status, actor ORDER BY moment), 0) ELSE 0 END AS step
    FROM event),
moment AS (
    SELECT *, sum(step) OVER (PARTITION BY site_id ORDER BY moment ROWS UNBOUNDED PRECEDING) AS present FROM change)
SELECT site_id, count(*) FILTER (NOT status AND present > 0), count(*) FILTER (NOT status AND present <= 0),
    count(DISTINCT actor) FILTER (status), count(DISTINCT actor) FILTER (NOT status)
FROM moment GROUP BY site_id ORDER BY site_id''', [sys.argv[1]]).fetchall()
sys.stdout.writelines("%s,messages=%d,emails=%d,operators=%d,visitors=%d\\n" % row for row in rows)
"""


def run(command, output):
    """Runs a command to its end; gives wall seconds, CPU seconds and peak resident MB."""
    with open(output, "wb") as out:
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with {process.returncode}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def alike(paths, count):
    """Whether the answers are the same; says where they begin to differ. Line by line: see `compare` on memory."""
    answers = [open(path, "rb") for path in paths]
    for lines in itertools.zip_longest(*answers):
        if len(set(lines)) > 1:
            print(f"round {count}, the first lines that differ: {lines}", file=sys.stderr)
            return False
    return True


def dd(directory, size):
    """Seconds that writing and fsyncing `size` bytes takes here and now: the disk's mood."""
    path = os.path.join(directory, "dd")
    start = time.perf_counter()
    block = b"\xa5" * (1 << 20)
    with open(path, "wb") as out:
        for _ in range(0, size, len(block)):
            out.write(block)
        out.flush()
        os.fdatasync(out.fileno())
    seconds = time.perf_counter() - start
    os.remove(path)
    return seconds


def main():
    parser = argparse.ArgumentParser(description="chatwal beside DuckDB on the same job")
    parser.add_argument("--lines", type=int, default=10_000_000)
    parser.add_argument("--sites", type=int, default=200_000)
    parser.add_argument("--copies", default="0.1")
    parser.add_argument("--order", default="random")
    parser.add_argument("--skew", default="uniform")
    parser.add_argument("--style", default="compact")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--directory", help="where to work; has to have room for the input twice")
    args = parser.parse_args()
    work = tempfile.mkdtemp(prefix="chatwal-compare-", dir=args.directory)
    try:
        sys.exit(compare(args, work))
    finally:
        shutil.rmtree(work)


def compare(args, work):
    at = lambda name: os.path.join(work, name)
    lines = at("lines.jsonl")
    generate = [os.path.join(RELEASE, "generate"), "--lines", args.lines, "--sites", args.sites, "--copies", args.copies]
    generate += ["--order", args.order, "--skew", args.skew, "--style", args.style, "--seed", 1, "--output", lines]
    subprocess.run([str(word) for word in generate], check=True)
    with open(lines, "rb") as file:  # Both find the input in the page cache.
        while file.read(1 << 20):
            pass
    chatwal = [os.path.join(RELEASE, "chatwal"), "-q", "--threads", str(args.threads), "--store", at("store"), "run", lines]
    programs = {"chatwal run": chatwal}
    try:
        # Not imported here, nor anything large read: a child's peak memory counts what it was forked from.
        version = importlib.metadata.version("duckdb")
        # A file: given as -c, DuckDB takes the session for an interactive one and prints a progress bar into the answer.
        with open(at("duckdb_report.py"), "w") as script:
            script.write(DUCKDB)
        programs[f"DuckDB {version}"] = [sys.executable, at("duckdb_report.py"), lines, str(args.threads), at("spill")]
    except importlib.metadata.PackageNotFoundError:
        print("DuckDB is not installed: `pip install duckdb==2.0.0`", file=sys.stderr)
    figures = {name: [] for name in programs}
    disk, size, same = [], 0, True
    for count in range(args.rounds + 1):
        for name, command in programs.items():
            shutil.rmtree(at("store"), ignore_errors=True)
            result = run(command, at(name))
            if count > 0:  # The first round warms up.
                figures[name].append(result)
            if command is chatwal:
                size = sum(entry.stat().st_size for entry in os.scandir(at("store")))
        if count > 0:
            disk.append(dd(work, size))
        same = alike([at(name) for name in programs], count) and same
    print(f"{args.lines:,} lines ({os.path.getsize(lines) / 1e9:.2f} GB), {args.sites:,} sites, copies {args.copies}, "
          f"{args.order} order, {args.skew}, {args.style}; {args.threads} threads; medians of {args.rounds}, in alternation; "
          f"{platform.machine()}, Linux {platform.release().split('-')[0]}\n")
    print("| program | wall s (min–max) | CPU s | peak MB |\n|---|---|---|---|")
    medians = {}
    for name, results in figures.items():
        walls, cpus, peaks = zip(*results)
        medians[name] = statistics.median(walls)
        print(f"| {name} | {medians[name]:.2f} ({min(walls):.2f}–{max(walls):.2f}) | {statistics.median(cpus):.2f} | "
              f"{statistics.median(peaks):.0f} |")
    print(f"\nStore: {size:,} bytes, {size / args.lines:.1f} a line; writing and fsyncing as many alone: "
          f"{statistics.median(disk):.2f} s.")
    for name in list(programs)[1:]:
        pairs = [other[0] / own[0] for own, other in zip(figures["chatwal run"], figures[name])]
        print(f"{name} / chatwal run, pair by pair: median {statistics.median(pairs):.1f} ({min(pairs):.1f}–{max(pairs):.1f}).")
    print("Answers: " + ("the same, byte for byte." if same else "DIFFERENT."))
    return 0 if same else 1


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
