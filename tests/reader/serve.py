#!/usr/bin/env python3
"""Answers for stores that come over standard input, one after another: what reader.py says of each, as a line of JSON.

A store is: a letter (r: read it, and check everything; i: the events that are intact in it), the number of its files (u32), and for each the length
of its name (u32), the name, the length of its bytes (u32), the bytes. All numbers are little-endian.
"""

import json
import struct
import sys

from reader import intact_events, read, verify


def main():
    source, out = sys.stdin.buffer, sys.stdout

    def number():
        return struct.unpack("<I", source.read(4))[0]

    while letter := source.read(1):
        files = {}
        for _ in range(number()):
            name = source.read(number()).decode()
            files[name] = source.read(number())
        if letter == b"i":
            answer = sorted([site.hex(), id.hex()] for site, id in intact_events(files))
        else:
            answer = read(files)
            answer["verify"] = verify(files)["verdict"] if answer["verdict"] == "corrupt" else answer["verdict"]
        out.write(json.dumps(answer) + "\n")
        out.flush()


if __name__ == "__main__":
    main()
