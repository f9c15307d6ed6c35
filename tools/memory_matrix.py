#!/usr/bin/env python3
"""Whether every command keeps its bound of memory, on the shapes of input that are worst for it.

    cargo build --release && tools/memory_matrix.py --lines 100k

runs each command on each shape with several --memory and --threads, under a cgroup limit of --memory + 48 MiB without swap,
and prints a row for each run as Markdown. A run is bad if it was killed, failed, ran into --timeout, gave another answer than
with all memory, or used more than --memory + 32 MiB. The exit status is 1 if there was a bad one.

The limit needs the right to make cgroups below the own one (root, or --cgroup with a directory that was delegated; v1 and v2);
without it, the peak is still measured and judged. The page cache counts towards the limit, but the system takes it back.

    tools/memory_matrix.py --memory 32M --threads 2,64 --only-bad     the corners that fail first, in a minute or two
    tools/memory_matrix.py --lines 30M --shapes one-site --memory 128M --commands ingest,report,compact --only-bad

The answer of an unlimited run is itself compared with a plain count in Python, up to 300,000 lines. What the columns say: read
and written are what went through read and write calls, the page cache included; spilled is what the program says of temporary
files on stderr ("N bytes in temporary files"), if it does. A peak below 20 MiB is shown as about 20: it begins with that of this
script. Needs python3 and Linux; room on the disk for the input once and the store three times.
"""

import argparse
import contextlib
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
CHATWAL = os.path.join(TARGET, "release", "chatwal")
GENERATE = os.path.join(TARGET, "release", "chatwal-generate")

MIB = 1 << 20
# What a process may use above --memory, and what its cgroup may.
SLACK, LIMIT_SLACK = 32 * MIB, 48 * MIB
# For the answers that others are compared with.
UNLIMITED = ["--memory", "16G"]
# A count in Python takes about 1 KB of memory a line, and 10 µs.
MOST_COUNTED = 300_000

# By name: what `chatwal-generate` is told for N lines.
SHAPES = {
    "one-site": lambda lines: ["--sites", 1, "--visitors", max(1, lines // 3), "--operators", 1000],
    "long-names": lambda lines: ["--name-bytes", 1000],
    "many-sites": lambda lines: ["--sites", max(1, lines // 3), "--site-bytes", 1000],
    "wide": lambda lines: [],
}

# By name: the arguments, and which store it works on: a fresh one, a copy of the log or of the snapshot, or just the one of these.
# {input} and {site} are filled in; {files} are the files of the store.
INGEST = ["--max-rejects", "all", "--allow-rejects", "100%", "{input}"]
COMMANDS = {
    "ingest": (["ingest", *INGEST], "fresh"),
    "run": (["run", *INGEST], "fresh"),
    "run-again": (["run", *INGEST], "log copy"),
    "compact": (["compact", "--all"], "log copy"),
    "report": (["report"], "log"),
    "page": (["report", "--format", "html"], "log"),
    "page-compacted": (["report", "--format", "html"], "snapshot"),
    "report-site": (["report", "--site", "{site}"], "log"),
    "report-since": (["report", "--since", "2026-01-15"], "log"),
    "timeline": (["timeline", "{site}"], "log"),
    "verify": (["verify"], "log"),
    "repair": (["repair", "--dry-run"], "log"),
    "dump": (["dump", "{files}"], "log"),
    "dump-events": (["dump", "--events", "{files}"], "log"),
    "rejects": (["rejects"], "log"),
    "sources": (["sources"], "log"),
    "stat": (["stat"], "log"),
    "report-compacted": (["report"], "snapshot"),
    "timeline-compacted": (["timeline", "{site}"], "snapshot"),
    "verify-compacted": (["verify"], "snapshot"),
    "repair-compacted": (["repair", "--dry-run"], "snapshot"),
    # Only in versions that have it.
    "export": (["export", "--format", "ndjson", "-"], "log"),
}

# After these the store is asked for its report, since what they say themselves is not the answer.
CHANGES = {"ingest", "compact"}

# These list as much as the memory allows.
PAGES = {"page", "page-compacted"}


class Group:
    """A cgroup for one run, below the own one or below the directory given."""

    def __init__(self, parent, version, limit):
        self.path = os.path.join(parent, f"chatwal-matrix-{os.getpid()}")
        with contextlib.suppress(FileExistsError):
            os.mkdir(self.path)
        names = {
            1: [("memory.limit_in_bytes", limit), ("memory.swappiness", 0)],
            2: [("memory.max", limit), ("memory.swap.max", 0)],
        }
        for number, (name, value) in enumerate(names[version]):
            # Systems without swap have no file for it.
            with contextlib.nullcontext() if number == 0 else contextlib.suppress(OSError):
                with open(os.path.join(self.path, name), "w") as file:
                    file.write(str(value))

    def remove(self):
        for _ in range(100):
            try:
                return os.rmdir(self.path)
            except OSError:
                time.sleep(0.01)


def group_parent(given):
    """The directory to make cgroups in and their version, or (None, why there is none)."""
    candidates = []
    if given:
        candidates.append((given, 1 if os.path.exists(os.path.join(given, "memory.limit_in_bytes")) else 2))
    else:
        mounts = {}
        with open("/proc/self/mounts") as file:
            for line in file:
                _, place, kind, options, *_ = line.split()
                if kind == "cgroup2":
                    mounts[2] = place
                elif kind == "cgroup" and "memory" in options.split(","):
                    mounts[1] = place
        with open("/proc/self/cgroup") as file:
            for line in file:
                number, controllers, path = line.rstrip("\n").split(":", 2)
                version = 2 if number == "0" else 1 if "memory" in controllers.split(",") else None
                if version in mounts:
                    # A container may see its own group as the root of what is mounted.
                    below = mounts[version] + path.rstrip("/")
                    candidates.append((below if os.path.isdir(below) else mounts[version], version))
    why = "no cgroup with a memory controller"
    for parent, version in candidates:
        try:
            Group(parent, version, 1 << 30).remove()
            return parent, version
        except OSError as error:
            why = str(error)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.join(parent, f"chatwal-matrix-{os.getpid()}"))
    return None, why


class Ran:
    """What a run took and how it ended."""

    def __init__(self, wall, usage, status, io, spilled, error):
        self.wall, self.cpu, self.peak = wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss << 10
        self.status, self.read, self.written, self.spilled, self.error = status, *io, spilled, error


def io_of(pid):
    """Bytes that a process read and wrote, which ended and was not waited for."""
    try:
        with open(f"/proc/{pid}/io") as file:
            figures = dict(line.split(": ") for line in file)
        return int(figures["rchar"]), int(figures["wchar"])
    except (OSError, ValueError, KeyError):
        return 0, 0


def run(command, output, errors, group=None, timeout=None):
    """Runs a command to its end, in a group if there is one. Nothing large may be in this process: a child's peak begins with it."""
    # A shell enters the group, so that what comes after counts from its first page.
    enter = ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', os.path.join(group.path, "cgroup.procs")] if group else []
    with open(output, "wb") as out, open(errors, "w+b") as err:
        start = time.perf_counter()
        process = subprocess.Popen([*enter, *command], stdin=subprocess.DEVNULL, stdout=out, stderr=err)

        def late(*_):
            raise TimeoutError

        signal.signal(signal.SIGALRM, late)
        signal.setitimer(signal.ITIMER_REAL, timeout or 0)
        late_by = False
        try:
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        except TimeoutError:
            late_by = True
            process.kill()
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        wall = time.perf_counter() - start
        io = io_of(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        err.seek(0)
        text = err.read(1 << 16).decode(errors="replace")
    spilled = re.search(r"([\d,]+) bytes in temporary files", text)
    last = next((line for line in reversed(text.splitlines()) if "error" in line), "")
    return Ran(wall, usage, "late" if late_by else process.returncode, io, spilled and spilled[1], last[:200])


def digest(path):
    state = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        while block := file.read(1 << 18):
            state.update(block)
    return state.hexdigest()


def count(path):
    """The report of an input in the `line` format, as plainly as can be; lines that are wrong stand at its end."""
    import collections
    import json

    sites = collections.defaultdict(dict)
    with open(path, "rb") as lines:
        for line in lines:
            if line == b"!\n":
                break
            event = json.loads(line)
            message = event["type"] == "message"
            key = (event["timestamp"], message, event["id"], event["from"], event["data"].get("status") == "online")
            sites[event["site_id"].encode()][event["id"]] = key
    for site, events in sorted(sites.items()):
        online, counts, people = set(), [0, 0], [set(), set()]
        for _, message, _, name, on in sorted(events.values()):
            people[message].add(name)
            if message:
                counts[not online] += 1
            elif on:
                online.add(name)
            else:
                online.discard(name)
        text = ",messages=%d,emails=%d,operators=%d,visitors=%d\n" % (*counts, *map(len, people))
        sys.stdout.buffer.write(site + text.encode())


class Matrix:
    def __init__(self, args, work):
        self.args, self.work, self.bad, self.runs = args, work, 0, 0
        self.output = open(args.output, "w") if args.output else None
        self.parent, self.version = group_parent(args.cgroup)

    def at(self, name):
        return os.path.join(self.work, name)

    def say(self, text):
        print(text, flush=True)
        if self.output:
            print(text, file=self.output, flush=True)

    def chatwal(self, command, store, more):
        words, _ = COMMANDS[command]
        filled = []
        for word in words:
            if word == "{files}":
                filled += sorted(entry.path for entry in os.scandir(store) if entry.name.endswith((".wal", ".snap")))
            else:
                filled.append({"{input}": self.at("input"), "{site}": self.site}.get(word, word))
        return [str(word) for word in [CHATWAL, "--progress", "never", "--store", store, *more, *filled]]

    def once(self, command, more, group=None):
        """Runs a command on its store: what it took, and the digest of its answer."""
        base = COMMANDS[command][1]
        store = self.at(base.split()[0])
        if base in ("fresh", "log copy"):
            store = self.at("store")
            shutil.rmtree(store, ignore_errors=True)
            if base == "log copy":
                shutil.copytree(self.at("log"), store)
        ran = run(self.chatwal(command, store, more), self.at("answer"), self.at("errors"), group, self.args.timeout)
        if ran.status == 0 and command in CHANGES:
            report = run(self.chatwal("report", store, UNLIMITED), self.at("answer"), self.at("report-errors"))
            if report.status != 0:
                ran.error = f"then, report: {report.error}"
        answer = digest(self.at("answer"))
        shutil.rmtree(self.at("store"), ignore_errors=True)
        return ran, answer

    def must(self, command, store):
        ran = run(self.chatwal(command, store, UNLIMITED), self.at("answer"), self.at("errors"))
        if ran.status != 0:
            raise SystemExit(f"{command} with all memory ended with {ran.status}: {ran.error}")

    def prepare(self, shape):
        """Writes the input and makes the stores that readers work on: a log and a snapshot."""
        lines = self.args.lines
        path = self.at("input")
        good = [GENERATE, "--lines", lines, *SHAPES[shape](lines), "--copies", 0.1, "--output", path]
        subprocess.run([str(word) for word in good], check=True)
        with open(path, "ab") as file:
            file.write(b"!\n")
            file.flush()
            bad = [GENERATE, "--lines", max(1, lines // 100), *SHAPES[shape](lines), "--bad", 1]
            subprocess.run([str(word) for word in bad], check=True, stdout=file)
        self.site = ""
        for store in ("log", "snapshot"):
            shutil.rmtree(self.at(store), ignore_errors=True)
        words = ["--no-compact", *INGEST[:-1], path]
        ran = run([CHATWAL, "-q", "--store", self.at("log"), *UNLIMITED, "ingest", *words], self.at("answer"), self.at("errors"))
        if ran.status != 0:
            raise SystemExit(f"ingest with all memory ended with {ran.status}: {ran.error}")
        self.must("report", self.at("log"))
        with open(self.at("answer"), "rb") as report:
            self.site = report.readline().decode().rsplit(",", 4)[0]
        self.right = digest(self.at("answer"))
        if lines <= MOST_COUNTED:
            with open(self.at("counted"), "wb") as out:
                subprocess.run([sys.executable, os.path.abspath(__file__), "--count", path], stdout=out, check=True)
            if digest(self.at("counted")) != self.right:
                raise SystemExit(f"{shape}: the report with all memory is not what a plain count gives")
        if any(COMMANDS[command][1] == "snapshot" for command in self.args.commands):
            shutil.copytree(self.at("log"), self.at("snapshot"))
            self.must("compact", self.at("snapshot"))
        size = sum(entry.stat().st_size for entry in os.scandir(self.at("log")))
        self.say(f"\n### {shape}\n\n{lines:,} lines and {max(1, lines // 100):,} rejects, {os.path.getsize(path) / 1e6:,.1f} MB; "
                 f"the log has {size / 1e6:,.1f} MB.\n")

    def shape(self, shape):
        self.prepare(shape)
        heads = ["command", "--memory", "threads", "wall s", "CPU s", "peak MiB", "of MiB", "read MB", "written MB", "spilled", "outcome"]
        self.say("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
        for command in self.args.commands:
            # A report has one right answer. Of the others, the right one is what they say with all memory.
            right = self.right
            if command not in CHANGES | {"run", "run-again", "report", "report-compacted"}:
                ran, right = self.once(command, UNLIMITED)
                if ran.status != 0:
                    raise SystemExit(f"{shape}, {command} with all memory ended with {ran.status}: {ran.error}")
            for memory in self.args.memory:
                for threads in self.args.threads:
                    self.cell(command, memory, threads, right)

    def cell(self, command, memory, threads, right):
        words, size = memory
        group = Group(self.parent, self.version, size + LIMIT_SLACK) if self.parent else None
        try:
            ran, answer = self.once(command, ["--memory", words, "--threads", threads], group)
        finally:
            if group:
                group.remove()
        faults = []
        if ran.status == "late":
            faults.append(f"more than {self.args.timeout} s")
        elif ran.status == -signal.SIGKILL:
            faults.append("killed")
        elif ran.status != 0 or ran.error:
            faults.append(f"exit {ran.status}: {ran.error}")
        elif answer != right and command not in PAGES:
            faults.append("wrong")
        if ran.peak > size + SLACK:
            faults.append("too much memory")
        self.runs += 1
        self.bad += bool(faults)
        figures = [f"{ran.wall:.2f}", f"{ran.cpu:.2f}", f"{ran.peak / MIB:.0f}", f"{(size + SLACK) / MIB:.0f}",
                   f"{ran.read / 1e6:.1f}", f"{ran.written / 1e6:.1f}", ran.spilled or ""]
        if faults or not self.args.only_bad:
            outcome = f"**{', '.join(faults)}**" if faults else "right"
            self.say("| " + " | ".join([command, words, str(threads), *figures, outcome.replace("|", "\\|")]) + " |")


def number(text):
    """A count such as 100000, 100_000, 100k or 30M."""
    units = {"k": 10**3, "M": 10**6}
    return int(text.rstrip("kM").replace("_", "")) * units.get(text[-1:], 1)


def size(text):
    """Bytes such as 32M or 1G, and as they were written."""
    return text, int(text[:-1]) << {"K": 10, "M": 20, "G": 30}[text[-1].upper()]


def listed(known):
    def words(text):
        chosen = text.split(",")
        for word in chosen:
            if word not in known:
                raise argparse.ArgumentTypeError(f"{word!r} is none of {', '.join(known)}")
        return chosen
    return words


def several(each):
    return lambda text: [each(word) for word in text.split(",")]


def main():
    helps = subprocess.run([CHATWAL, "--help"], capture_output=True, text=True).stdout if os.path.exists(CHATWAL) else ""
    commands = [name for name, (words, _) in COMMANDS.items() if re.search(rf"^  {words[0]}\b", helps, re.MULTILINE)]
    parser = argparse.ArgumentParser(description="Whether every command keeps its bound of memory on the worst shapes")
    parser.add_argument("--lines", type=number, default=100_000, metavar="N", help="of each shape [default: 100k]")
    parser.add_argument("--shapes", type=listed(SHAPES), default=list(SHAPES), metavar="NAME,...", help=", ".join(SHAPES))
    parser.add_argument("--commands", type=listed(commands), default=commands, metavar="NAME,...", help=", ".join(commands))
    parser.add_argument("--memory", type=several(size), default="32M,128M,1G", metavar="BYTES,...", help="[default: 32M,128M,1G]")
    parser.add_argument("--threads", type=several(int), default="1,2,64", metavar="N,...", help="[default: 1,2,64]")
    parser.add_argument("--timeout", type=float, default=3600, metavar="SECONDS", help="of each run [default: 3600]")
    parser.add_argument("--cgroup", metavar="DIR", help="where to make cgroups [default: below the own one]")
    parser.add_argument("--only-bad", action="store_true", help="print no row that is as it should be")
    parser.add_argument("--directory", default=TARGET, help="where to work [default: target]")
    parser.add_argument("--output", metavar="FILE", help="write the Markdown here as well")
    parser.add_argument("--count", metavar="FILE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.count:
        return count(args.count)
    if not (helps and os.path.exists(GENERATE)):
        sys.exit(f"no {CHATWAL} and {GENERATE}: run `cargo build --release` first")
    # None of it comes back from a file that a run may have changed.
    os.environ.pop("CHATWAL_STORE", None)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    work = tempfile.mkdtemp(prefix="chatwal-matrix-", dir=args.directory)
    try:
        matrix = Matrix(args, work)
        limit = f"under a cgroup limit (v{matrix.version}) of --memory + 48 MiB"
        matrix.say(f"`{' '.join(['tools/memory_matrix.py', *sys.argv[1:]])}`, "
                   f"{limit if matrix.parent else f'without a cgroup limit ({matrix.version})'}")
        start = time.perf_counter()
        for shape in args.shapes:
            matrix.shape(shape)
        matrix.say(f"\n{matrix.runs} runs in {time.perf_counter() - start:.0f} s, {matrix.bad} of them bad.")
        return 1 if matrix.bad else 0
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
