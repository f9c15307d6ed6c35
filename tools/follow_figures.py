#!/usr/bin/env python3
"""What following costs: the time from written to durable, an idle service, and a store of many small frames.

    cargo build --release && tools/follow_figures.py latency --rates 10,1000,50000 --seconds 20
    tools/follow_figures.py idle --files 1000 --seconds 60
    tools/follow_figures.py small --flushes 20000

latency: a writer appends at a steady rate to three files; for each piece, the time until chatwal says that it is durable. idle: the
processor time and memory of a service whose files do not change. small: a line a flush, as fast as flushes go, and the same events in
one go: bytes an event, files, the time of a report. Needs python3 and Linux; works in a temporary directory, or --directory DIR.
"""

import argparse
import bisect
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
CHATWAL = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release", "chatwal")


def line(number):
    kind = ("status", '{"status":"online"}') if number % 10 == 0 else ("message", '{"message":"Hi"}')
    return (
        f'{{"id":"{number:012}","type":"{kind[0]}","from":"person{number % 1000}","site_id":"{number % 200}",'
        f'"timestamp":{1_700_000_000 + number // 100},"data":{kind[1]}}}\n'
    ).encode()


class Follower:
    """The program, and what it says."""

    def __init__(self, directory, files, *options):
        command = [CHATWAL, "ingest", "--store", "store", "--follow", "--progress", "json", *options, *files]
        self.process = subprocess.Popen(command, cwd=directory, stderr=subprocess.PIPE)
        self.heard, self.lock = [], threading.Lock()
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        for text in self.process.stderr:
            now = time.monotonic()
            if text.startswith(b"{"):
                with self.lock:
                    self.heard.append((now, json.loads(text)))

    def events(self, kind):
        with self.lock:
            return [(when, event) for when, event in self.heard if event["event"] == kind]

    def cost(self):
        """Seconds of processor time, and the peak of memory in MiB."""
        fields = open(f"/proc/{self.process.pid}/stat").read().rsplit(")", 1)[1].split()
        ticks = int(fields[11]) + int(fields[12])
        status = open(f"/proc/{self.process.pid}/status").read()
        peak = int(next(it for it in status.splitlines() if it.startswith("VmHWM")).split()[1])
        return ticks / os.sysconf("SC_CLK_TCK"), peak / 1024

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait() == 143, "it ends as it is asked to"


def latency(args, directory):
    print("| lines a second | median, ms | 99 %, ms | longest, ms |\n|---|---|---|---|")
    for rate in args.rates:
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        names = [f"in{number}.jsonl" for number in range(3)]
        files = [open(os.path.join(directory, name), "ab", buffering=0) for name in names]
        follower = Follower(directory, names, *args.options)
        written = [([], []) for _ in names]
        number, begun = 0, time.monotonic()
        while time.monotonic() - begun < args.seconds:
            due = int((time.monotonic() - begun) * rate) - number
            if due > 0:
                which = (number // max(1, rate // 100)) % 3
                files[which].write(b"".join(line(number + at) for at in range(due)))
                number += due
                written[which][0].append(files[which].tell())
                written[which][1].append(time.monotonic())
            time.sleep(min(0.01, 1 / rate))
        time.sleep(2)
        follower.end()
        times = []
        for name, (offsets, moments) in zip(names, written):
            durable = [(event["durable_offset"], when) for when, event in follower.events("durable") if event["input"] == name]
            ends = [offset for offset, _ in durable]
            for offset, moment in zip(offsets, moments):
                at = bisect.bisect_left(ends, offset)
                assert at < len(durable), "all of it is durable in the end"
                times.append((durable[at][1] - moment) * 1000)
        times.sort()
        print(f"| {rate:,} | {statistics.median(times):.0f} | {times[int(len(times) * 0.99)]:.0f} | {times[-1]:.0f} |", flush=True)


def idle(args, directory):
    names = [f"in{number}.jsonl" for number in range(args.files)]
    for number, name in enumerate(names):
        with open(os.path.join(directory, name), "wb") as file:
            file.write(b"".join(line(number * 100 + at) for at in range(100)))
    follower = Follower(directory, ["*.jsonl"], *args.options)
    while len(follower.events("caught_up")) < args.files:
        time.sleep(0.1)
    time.sleep(2)
    before, _ = follower.cost()
    time.sleep(args.seconds)
    after, peak = follower.cost()
    follower.end()
    share = (after - before) / args.seconds * 100
    print(f"{args.files} files, idle for {args.seconds} s: {share:.2f} % of a core, peak {peak:.0f} MiB")


def report(directory, store):
    begun = time.monotonic()
    out = subprocess.run([CHATWAL, "report", "--store", store], cwd=directory, stdout=subprocess.PIPE, check=True).stdout
    return time.monotonic() - begun, out


def small(args, directory):
    path = os.path.join(directory, "in.jsonl")
    follower = Follower(directory, ["in.jsonl"], "--flush-interval", "10ms", "--poll", "10ms")
    with open(path, "ab", buffering=0) as file:
        for number in range(args.flushes):
            file.write(line(number))
            time.sleep(0.012)
    while not any(event["durable_offset"] == os.path.getsize(path) for _, event in follower.events("durable")[-3:]):
        time.sleep(0.1)
    flushes = len(follower.events("durable"))
    follower.end()
    subprocess.run([CHATWAL, "ingest", "--quiet", "--store", "once", "in.jsonl"], cwd=directory, check=True)
    size = lambda store: sum(os.path.getsize(os.path.join(directory, store, name)) for name in os.listdir(os.path.join(directory, store)))
    (small_time, small_out), (once_time, once_out) = report(directory, "store"), report(directory, "once")
    assert small_out == once_out, "the same report"
    files = len(os.listdir(os.path.join(directory, "store")))
    print(
        f"{args.flushes:,} lines in {flushes:,} flushes: {size('store') / args.flushes:.0f} bytes an event in {files} files, report {small_time:.3f} s; "
        f"in one go: {size('once') / args.flushes:.0f} bytes, {once_time:.3f} s"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["latency", "idle", "small"])
    parser.add_argument("--rates", type=lambda text: [int(rate) for rate in text.split(",")], default=[10, 1000, 50_000])
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--flushes", type=int, default=20_000)
    parser.add_argument("--directory", help="where to work; it is emptied")
    parser.add_argument("--options", nargs="*", default=[], help="more options for chatwal")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    with tempfile.TemporaryDirectory() as temporary:
        directory = args.directory or os.path.join(temporary, "work")
        shutil.rmtree(directory, ignore_errors=True)
        os.makedirs(directory)
        {"latency": latency, "idle": idle, "small": small}[args.what](args, directory)


if __name__ == "__main__":
    main()
