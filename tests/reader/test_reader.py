"""Tests of reader.py: the worked example of the page, and stores that a small writer builds by the page."""

import copy
import hashlib
import json
import os
import random
import re
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock
from zlib import crc32

import reader

HERE = os.path.dirname(os.path.abspath(__file__))
PAGE = os.path.join(HERE, "..", "..", "wal-format.md")
PAGE = PAGE if os.path.exists(PAGE) else os.path.join(HERE, "wal-format.md")
STORE = b"0123456789abcdef"
SALT = b"89abcdef"
OFFLINE, ONLINE, MESSAGE = 0, 1, 2
BATCH, MARK, SEAL, FORGET, HOLE = 1, 2, 3, 4, 5
GREATEST, LEAST = (1 << 63) - 1, -(1 << 63)


# ------------------------------------------------------------------------------------------ a small writer


def crc(data):
    return struct.pack("<I", crc32(data))


def varint(value, longer=0):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    for _ in range(longer):
        out[-1] |= 0x80
        out.append(0)
    return bytes(out)


def zigzag(n):
    return n << 1 if n >= 0 else (-n << 1) - 1


def pack(values, w):
    bits = sum(value << (i * w) for i, value in enumerate(values))
    return bits.to_bytes((len(values) * w + 7) // 8, "little")


def front(text, before, times=1, code=0):
    shared = len(os.path.commonprefix([text, before]))
    return varint(shared) + varint((len(text) - shared) * times + code) + text[shared:]


def numbered(site):
    return re.fullmatch(rb"0|[1-9][0-9]{0,17}", site) is not None


def in_section(site):
    return (0, int(site), b"") if numbered(site) else (1, 0, site)


def mix(h, w):
    p = ((h ^ w) * 0xFF51AFD7ED558CCD) % 2**64
    return p ^ (p >> 32)


def site_hash(site):
    h = 0x9E3779B97F4A7C15
    if numbered(site):
        h = mix(h, int(site))
    else:
        h = mix(h, len(site))
        for i in range(0, len(site), 8):
            h = mix(h, struct.unpack("<Q", site[i : i + 8].ljust(8, b"\0"))[0])
    return h * 0xC4CEB9FE1A85EC53 % 2**64


def shard(site):
    return site_hash(site) >> 56


def uuid_of(id):
    return bytes.fromhex(id.decode().replace("-", "")) if reader.IS_UUID(id) else None


def event_section(events, wider=0, **forge):
    """events: [(site, id, timestamp, code, from)] of one shard, in the order of the section."""
    sites, begins = [], []
    for site, *_ in events:
        begins.append(int(not sites or sites[-1] != site))
        if begins[-1]:
            sites.append(site)
    numbers = [int(site) for site in sites if numbered(site)]
    names = [site for site in sites if not numbered(site)]
    actors = sorted({(sender, code) for _, _, _, code, sender in events})
    earliest = min(event[2] for event in events)
    since = [event[2] - earliest for event in events]
    textual = [int(uuid_of(event[1]) is None) for event in events]
    gaps = [y - x for x, y in zip(numbers, numbers[1:])]
    place = [actors.index((sender, code)) for _, _, _, code, sender in events]
    wg, wt, wa = (min(64, max(values, default=0).bit_length() + wider) for values in (gaps, since, place))
    counts = forge.get("counts", (len(numbers), len(names), len(actors), sum(textual)))
    out = b"".join(map(varint, counts)) + varint(zigzag(earliest)) + bytes([wg, wt, wa])
    if numbers:
        out += varint(numbers[0]) + pack(gaps, wg)
    before = b""
    for name in names:
        out, before = out + front(name, before), name
    before = b""
    for sender, code in actors:
        out, before = out + front(sender, before, 6, code), sender
    out += pack(forge.get("begins", begins), 1)
    if any(textual):
        out += pack(textual, 1)
    out += pack(since, wt) + pack(place, wa)
    out += b"".join(uuid_of(event[1]) or b"" for event in events)
    return out + b"".join(varint(len(e[1])) + e[1] for e in events if uuid_of(e[1]) is None)


def checkpoint(instance, start, end, start_line, end_line, name=b"chat", content=b"x", left=None, marks=()):
    """marks: places, or nothing; left: None for a checkpoint that ends with its name"""
    least = min(end, 4096)
    digest = hashlib.sha256(content).digest()[:16]
    fields = struct.pack("<16sQQQQHH", instance, start, end, start_line, end_line, least, least)
    data = fields + digest + digest + struct.pack("<H", len(name)) + name
    return data if left is None else data + varint(left) + marks_of(*marks)


def marks_of(*places):
    return varint(len(places)) + b"".join(varint(place) + b"digest of 4,096." for place in places)


def rejects_section(rejects, start, start_line):
    """rejects: [(offset, line from 0, column, reason, length, kept)]; what repeats becomes a run."""
    out, offset, line, i = b"", start, start_line, 0
    while i < len(rejects):
        step, line_step, n = rejects[i][0] - offset, rejects[i][1] - line, 0
        while (
            i and step and i + n < len(rejects) and rejects[i + n][2:] == rejects[i - 1][2:]
            and rejects[i + n][:2] == (offset + (n + 1) * step, line + (n + 1) * line_step)
        ):
            n += 1
        if n:
            out += varint(step) + varint(line_step) + b"\0" + varint(n)
            i += n
        else:
            _, _, column, reason, length, kept = rejects[i]
            out += varint(step) + varint(line_step) + bytes([reason | 0x80 * (column > 0)]) + varint(column) * (column > 0)
            out += varint(length) + varint(len(kept)) + kept
            i += 1
        offset, line = rejects[i - 1][:2]
    return out


def segment_header(number, first, store=STORE, salt=SALT, version=1, length=64, zeros=0):
    fields = struct.pack("<8sHHI16sQ8sQI", b"chatwal\0", version, length, zeros, store, number, salt, first, 0)
    return fields + crc(fields)


def header_crc(header):
    return struct.unpack("<I", header[-4:])[0]


class Log:
    """Segments, built frame by frame."""

    def __init__(self, number=1, first=1, previous=None, store=STORE, rng=None):
        self.files, self.frames, self.store, self.rng = {}, [], store, rng
        self.due, self.number = first, number
        self.begin(number, first)
        self.previous = header_crc(self.data) if previous is None else previous

    def begin(self, number, first):
        self.number, self.name = number, f"{number:010}.wal"
        self.salt = self.rng.randbytes(8) if self.rng else SALT
        self.files[self.name] = segment_header(number, first, self.store, self.salt)

    @property
    def data(self):
        return self.files[self.name]

    def frame(self, kind, sections=(), durable=None, **forge):
        """sections: [(kind, shard, count, bytes)]"""
        body = b"".join(section[3] for section in sections)
        directory = b"".join(
            struct.pack("<BBII", k, s, count, len(data)) + crc(data) for k, s, count, data in sections
        )
        offset = len(self.data)
        fields = struct.pack(
            "<4sBBH16sQ8sQQQIII", b"CWfr", forge.get("kind", kind), 0, forge.get("entries", len(sections)),
            self.store, forge.get("number", self.number), self.salt, forge.get("offset", offset),
            forge.get("sequence", self.due), self.due - 1 if durable is None else durable,
            forge.get("payload", len(directory) + len(body)), forge.get("previous", self.previous),
            crc32(directory),
        )  # fmt: skip
        header = fields + crc(fields)
        self.files[self.name] += header + directory + body
        self.frames.append((self.name, offset, self.due, header_crc(header), len(self.data)))
        self.previous = header_crc(header)
        self.due += 1

    def batch(self, point, events=(), rejects=None, repeated=0, durable=None, wider=0):
        """point: the arguments of checkpoint"""
        sections = [(1, 0, 1, checkpoint(*point))]
        if rejects is not None:
            sections.append((2, 0, len(rejects), rejects_section(rejects, point[1], point[3])))
        by_shard = {}
        for event in events:
            by_shard.setdefault(shard(event[0]), []).append(event)
        for number, some in sorted(by_shard.items()):
            some.sort(key=lambda event: in_section(event[0]))  # stable: the order of the input stays
            sections.append((3, number, len(some), event_section(some, wider)))
        if repeated:
            sections.append((6, 0, repeated, b""))
        self.frame(BATCH, sections, durable)

    def mark(self):
        self.frame(MARK)

    def forget(self, *instances):
        self.frame(FORGET, [(4, 0, len(instances), b"".join(instances))])

    def hole(self, first, last, ranges, inputs):
        data = struct.pack("<QQ", first, last) + varint(len(ranges))
        data += b"".join(varint(x) + varint(y) for x, y in ranges) + varint(len(inputs))
        for instance, start, behind, name in inputs:
            data += instance + varint(start) + varint(behind) + varint(len(name)) + name
        self.frame(HOLE, [(5, 0, 1, data)])

    def seal(self):
        self.frame(SEAL)
        self.begin(self.number + 1, self.due)

    def acknowledge(self, which=-1, **forge):
        name, _, sequence, frame_crc, behind = self.frames[which]
        fields = struct.pack(
            "<8sHHI16sQQQI", b"chatwack", 1, 64, forge.get("crc", frame_crc), forge.get("store", self.store),
            int(name[:10]), behind, forge.get("sequence", sequence), 0,
        )  # fmt: skip
        self.files["ACKNOWLEDGED"] = fields + crc(fields)


def block(kind, offset, count, payload, number=0, salt=SALT):
    fields = struct.pack("<4sBBHIIQ8s", b"CWbk", kind, number, 0, count, len(payload), offset, salt) + crc(payload)
    return fields + crc(fields) + payload


def cut(items, size):
    return [items[i : i + size] for i in range(0, len(items), size)]


def in_order(event):
    _, id, timestamp, code, sender = event
    return timestamp, code % 3 == MESSAGE, id, sender, code % 3


def naive_fold(events):
    """(chats, emails, operators, visitors) by the words of section 10"""
    states, operators, visitors, chats, emails = {}, set(), set(), 0, 0
    for _, _, _, code, sender in sorted(events, key=in_order):
        if code % 3 == MESSAGE:
            visitors.add(sender)
            if any(states.values()):
                chats += 1
            else:
                emails += 1
        else:
            operators.add(sender)
            states[sender] = code % 3 == ONLINE
    return chats, emails, len(operators), len(visitors)


class SnapshotWriter:
    def __init__(self, per_block=3, per_index=2, per_fence=2, per_input=1, forge=None):
        self.per_block, self.per_index, self.per_fence, self.per_input = per_block, per_index, per_fence, per_input
        self.forge = forge or (lambda what, value: value)

    def region(self, kind, pieces):
        """pieces: [(count, payload, shard)]; returns the offsets of the blocks."""
        offsets = []
        for count, payload, number in self.forge(f"region {kind}", pieces):
            offsets.append(len(self.data))
            self.data += block(kind, len(self.data), count, payload, number)
        self.ends.append(len(self.data))
        return offsets

    def write(self, segments, frames, previous, events, copies=0, inputs=(), forgotten=(), rejects=()):
        """inputs: [(checkpoint, events, rejects)]; rejects: [(arguments of checkpoint, [reject])]"""
        self.data, self.ends = bytes(192), []
        by_site = {}
        for event in events:
            by_site.setdefault(event[0], []).append(event)
        places, shards = self.events(by_site)
        self.index(by_site, places)
        self.region(4, [(len(shards), b"".join(bytes([n]) + varint(x) + varint(y) for n, x, y in shards), 0)])
        rows = [varint(len(c)) + c + varint(x) + varint(y) for c, x, y in inputs]
        self.region(5, [(len(some), b"".join(some), 0) for some in cut(rows, self.per_input)])
        self.region(6, [(len(some), b"".join(some), 0) for some in cut(list(forgotten), 2)])
        pieces = []
        for point, some in rejects:
            batch = checkpoint(*point)
            pieces.append((len(some), varint(len(batch)) + batch + rejects_section(some, point[1], point[3]), 0))
        self.region(7, pieces)
        times = [event[2] for event in events]
        tallies = [len(events), copies, sum(event[3] >= 3 for event in events), len(by_site)]
        fields = struct.pack(
            "<8sHHI16sQQ8sQQII7Q4QqqI", b"chatsnap", 1, 192, 0, STORE, *segments, SALT, *frames, *previous,
            *self.ends, *self.forge("tallies", tallies), min(times, default=GREATEST), max(times, default=LEAST), 0,
        )  # fmt: skip
        return fields + crc(fields) + self.data[192:]

    def events(self, by_site):
        places, shards, pieces, offset = {}, [], [], 192
        for number in sorted({shard(site) for site in by_site}):
            mine = sorted((site for site in by_site if shard(site) == number), key=in_section)
            rows = [event for site in mine for event in self.forge("order", sorted(by_site[site], key=in_order))]
            begin, rows = offset, self.forge("rows", rows)
            for some in cut(rows, self.per_block):
                payload = event_section(some)
                pieces.append((len(some), payload, number))
                for event in some:
                    places.setdefault(event[0], [offset, 0])[1] = offset + 40 + len(payload)
                offset += 40 + len(payload)
            shards.append((number, offset - begin, len(rows)))
        self.region(1, pieces)
        return places, shards

    def index(self, by_site, places):
        pieces, firsts = [], []
        for some in cut(sorted(by_site), self.per_index):
            payload, before = b"", b""
            for site in some:
                events, (start, end) = by_site[site], places[site]
                times = [event[2] for event in events]
                disputed = sum(event[3] >= 3 for event in events)
                tallies = self.forge("site", [*naive_fold(events), len(events), disputed])
                payload += front(site, before) + b"".join(map(varint, tallies))
                payload += varint(zigzag(min(times))) + varint(max(times) - min(times))
                payload += varint(start) + varint(end - start)
                before = site
            firsts.append(some[0])
            pieces.append((len(some), payload, 0))
        fences = []
        for some in cut(list(zip(firsts, self.region(2, pieces))), self.per_fence):
            payload, before = b"", b""
            for site, offset in some:
                payload, before = payload + front(site, before) + varint(offset), site
            fences.append((len(some), payload, 0))
        self.region(3, fences)


# -------------------------------------------------------------------------------------- a model of a store


class Model:
    """What a store has to say, kept by the words of section 10 while it is written."""

    def __init__(self):
        self.copies, self.inputs, self.rejects, self.accepted = {}, {}, {}, 0

    def event(self, event):
        site, id, timestamp, code, sender = event
        self.copies.setdefault((site, id), []).append((timestamp, code % 3, sender))

    def batch(self, point, events, rejects, repeated):
        instance = point[0]
        entry = self.inputs.setdefault(instance, [0, 0, 0, 0, b"", 0])
        name, left = point[5] if len(point) > 5 else b"chat", (point[7] if len(point) > 7 else None) or 0
        self.inputs[instance] = [point[2], point[4], entry[2] + len(events) + repeated, entry[3] + len(rejects), name, left]
        self.rejects.setdefault(instance, []).extend(rejects)
        self.accepted += len(events) + repeated
        for event in events:
            self.event(event)

    def forget(self, instance):
        self.inputs.pop(instance, None)
        self.rejects.pop(instance, None)

    def chosen(self):
        """[(site, id, timestamp, code, from)]: the first copy in the order, with a code that tells of disputes"""
        out = []
        for (site, id), copies in self.copies.items():
            all_of_them = [(site, id, *copy) for copy in copies]
            site, id, timestamp, kind, sender = min(all_of_them, key=in_order)
            out.append((site, id, timestamp, kind + 3 * (len(set(copies)) > 1), sender))
        return out

    def answer(self):
        events, by_site = self.chosen(), {}
        for event in events:
            by_site.setdefault(event[0], []).append(event)
        report = []
        for site in sorted(by_site):
            c, e, o, v = naive_fold(by_site[site])
            report.append(f"{site.decode()},messages={c},emails={e},operators={o},visitors={v}")
        return {
            "report": report,
            "inputs": sorted([i.hex(), *some, name.hex(), left] for i, (*some, name, left) in self.inputs.items()),
            "rejects": sorted(
                [i.hex(), offset, line + 1, column, reason, length, kept.hex()]
                for i, some in self.rejects.items()
                for offset, line, column, reason, length, kept in some
            ),
            "events": len(events),
            "copies": self.accepted - len(events),
            "disputed": sum(event[3] >= 3 for event in events),
            "sites": len(by_site),
            "earliest": min((event[2] for event in events), default=None),
            "latest": max((event[2] for event in events), default=None),
        }


class Random:
    """A random store with its model: segments, and snapshots in place of the first of them."""

    SITES = [b"1", b"0", b"2", b"10", b"100", b"shop", b"shop2", b"007", b"9" * 18, b"9" * 19, "caf\u00e9".encode(), b"x" * 1024]
    SENDERS = [b"visitor1", b"visitor2", b"operator1", b"operator2", "\u00fc".encode()]

    def __init__(self, seed, compacted=None, frames=None):
        self.rng = random.Random(seed)
        self.model, self.part = Model(), Model()
        self.log, self.inputs = Log(rng=self.rng), {}
        self.forgotten, self.batches_with_rejects, self.snapshots = [], [], {}
        self.begun = (1, 1, self.log.previous)
        many = frames or self.rng.randint(1, 14)
        compacted = self.rng.randint(0, 3) if compacted is None else compacted
        for _ in range(compacted):
            self.frames(many)
            self.compact()
        for _ in range(self.rng.randint(0, 2)):
            self.frames(many)
            self.log.seal()
        self.frames(many)

    @property
    def files(self):
        return {**self.log.files, **self.snapshots}

    def event(self):
        rng = self.rng
        if self.model.copies and rng.random() < 0.2:
            site, id = rng.choice(list(self.model.copies))
            timestamp, kind, sender = self.model.copies[site, id][0]
            return (site, id, timestamp + rng.choice([0, 0, 1]) * (timestamp < 99), kind, rng.choice([sender, sender, b"else"]))
        text = rng.randbytes(16).hex()
        id = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}".encode()
        if rng.random() < 0.3:
            id = b"m-%d" % rng.randrange(1000)
        timestamp = rng.choice([rng.randint(-5, 50), rng.randint(0, 10**12), LEAST, GREATEST])
        return rng.choice(self.SITES), id, timestamp, rng.choice([0, 1, 1, 2, 2]), rng.choice(self.SENDERS)

    def batch(self):
        rng = self.rng
        if not self.inputs or rng.random() < 0.3:
            self.inputs[rng.randbytes(16)] = (0, 0, b"in-%d" % len(self.inputs))
        instance = rng.choice(list(self.inputs))
        start, line, name = self.inputs[instance]
        events = [self.event() for _ in range(rng.choice([0, 1, 3, 20]))]
        rejects, offset, at_line = [], start + rng.randint(0, 5), line
        for _ in range(rng.choice([0, 0, 1, 8])):
            kept, column, lines = rng.choice([b"oops", b"", b"no"]), rng.choice([0, 0, 1, 300]), rng.choice([0, 1, 1])
            for _ in range(rng.choice([1, 1, 5])):
                rejects.append((offset, at_line, column, len(kept) + 1, len(kept) + rng.choice([0, 9]), kept))
                offset, at_line = offset + 10, at_line + lines
        end, end_line = offset + rng.randint(1, 6000), at_line + len(events) + rng.randint(0, 3)
        repeated = rng.choice([0, 0, 7])
        if not (events or rejects or repeated) and rng.random() < 0.5:
            end, end_line = start, line  # to note that left has changed
        self.inputs[instance] = (end, end_line, name)
        left = rng.choice([None, None, 0, 1, 1 << 20])
        marks = [] if left is None else sorted(rng.sample(range(1, end), min(rng.choice([0, 1, 64]), max(end - 1, 0))))
        point = (instance, start, end, line, end_line, name, b"x", left, marks)
        self.log.batch(point, events, rejects or rng.choice([None, []]), repeated, None, rng.choice([0, 0, 5]))
        for model in self.model, self.part:
            model.batch(point, events, rejects, repeated)
        if rejects:
            self.batches_with_rejects.append((point, rejects))

    def frames(self, many):
        for _ in range(self.rng.randint(0, many)):
            what = self.rng.random()
            if what < 0.7:
                self.batch()
            elif what < 0.8:
                self.log.mark()
            elif what < 0.9:
                self.log.hole(1, 2, [(1, 1), (3, 7)], [(b"i" * 16, 3, 9, b"name")])
            elif self.inputs:
                instance = self.rng.choice(list(self.inputs))
                del self.inputs[instance]
                self.log.forget(instance, b"never was known.")
                for model in self.model, self.part:
                    model.forget(instance)
                self.forgotten.append(instance)
                self.batches_with_rejects = [b for b in self.batches_with_rejects if b[0][0] != instance]

    def compact(self):
        """Seals, and puts a snapshot in the place of the segments since the last one."""
        self.log.seal()
        if self.rng.random() < 0.3:
            self.frames(5)
            self.log.seal()
        first, frame, previous = self.begun
        last, part = self.log.number - 1, self.part
        events = part.chosen()
        inputs = []
        for instance, (end, end_line, some, rejected, name, left) in part.inputs.items():
            point = (instance, end // 2, end, end_line // 2, end_line, name, b"x", left or self.rng.choice([None, 0]))
            inputs.append((checkpoint(*point), some, rejected))
        writer = SnapshotWriter(*(self.rng.randint(1, 30) for _ in range(4)))
        self.snapshots[f"{first:010}-{last:010}.snap"] = writer.write(
            (first, last), (frame, self.log.due), (previous, self.log.previous), events,
            part.accepted - len(events), inputs, self.forgotten if first > 1 else [], self.batches_with_rejects,
        )  # fmt: skip
        if self.rng.random() < 0.8:  # else they are left over
            for number in range(first, last + 1):
                self.log.files.pop(f"{number:010}.wal", None)
        self.begun = (last + 1, self.log.due, self.log.previous)
        self.part, self.forgotten, self.batches_with_rejects = Model(), [], []


# -------------------------------------------------------------------------------------------- forging


def replaced(data, offset, new):
    return data[:offset] + new + data[offset + len(new) :]


def repair_header(data, offset):
    """Makes the CRC of one frame header right."""
    return replaced(data, offset + 76, crc(data[offset : offset + 76]))


def repair_checksums(name, data):
    """Makes every CRC right that stands where it should, from the inside to the outside."""
    data = bytearray(data)

    def fix(start, end, place):
        if place + 4 <= len(data):
            data[place : place + 4] = crc(bytes(data[start:end]))

    if name.endswith(".snap"):
        fix(0, 188, 188)
        place = 192
        while data[place : place + 4] == b"CWbk" and place + 40 <= len(data):
            length = struct.unpack_from("<I", data, place + 12)[0]
            fix(place + 40, place + 40 + length, place + 32)
            fix(place, place + 36, place + 36)
            place += 40 + length
        return bytes(data)
    fix(0, 60, 60)
    place, previous = 64, None
    while data[place : place + 4] == b"CWfr" and place + 80 <= len(data):
        entries, payload = struct.unpack_from("<H", data, place + 6)[0], struct.unpack_from("<I", data, place + 64)[0]
        section = place + 80 + 14 * entries
        for entry in range(place + 80, min(section, len(data) - 13), 14):
            length = struct.unpack_from("<I", data, entry + 6)[0]
            fix(section, section + length, entry + 10)
            section += length
        fix(place + 80, place + 80 + 14 * entries, place + 72)
        if previous is not None:
            data[place + 68 : place + 72] = previous
        fix(place, place + 76, place + 76)
        previous = data[place + 76 : place + 80]
        place += 80 + payload
    return bytes(data)


# ---------------------------------------------------------------------------------------------- tests


def example():
    """The bytes of the page: the segment and the snapshot."""
    with open(PAGE, encoding="utf-8") as file:
        text = file.read().split("## 14.")[1]
    parts = []
    for part in text.split("### The snapshot"):
        data = b""
        for piece in re.findall(r"```hex\n(.*?)```", part, re.S):
            for line in piece.splitlines():
                data += bytes.fromhex(line.split("|")[0])
        parts.append(data)
    return parts


SEGMENT, SNAPSHOT = example()
EXAMPLE = {"0000000001.wal": SEGMENT}
ANSWER = {
    "report": [
        "1,messages=1,emails=0,operators=1,visitors=1",
        "shop,messages=0,emails=1,operators=0,visitors=1",
    ],
    "inputs": [[b"fedcba9876543210".hex(), 386, 4, 3, 1, b"chat".hex(), 0]],
    "rejects": [[b"fedcba9876543210".hex(), 278, 3, 0, 3, 4, b"oops".hex()]],
    "events": 3,
    "copies": 0,
    "disputed": 0,
    "sites": 2,
    "earliest": -1,
    "latest": 7391,
}
EVENTS = [
    (b"1", b"7b4a5786-3574-4806-9988-25d109c284b8", 7391, MESSAGE, b"visitor1"),
    (b"1", b"f0d6ebe9-4830-415b-a826-a6ef47ebb649", 5630, ONLINE, b"operator1"),
    (b"shop", b"m-1", -1, MESSAGE, b"visitor1"),
]
IDENTITIES = {event[:2] for event in EVENTS}
POINT = (b"fedcba9876543210", 0, 386, 0, 4)
INPUT = (
    b'{"id":"7b4a5786-3574-4806-9988-25d109c284b8","type":"message","from":"visitor1","site_id":"1",'
    b'"timestamp":7391,"data":{"message":"hello"}}\n'
    b'{"id":"f0d6ebe9-4830-415b-a826-a6ef47ebb649","type":"status","from":"operator1","site_id":"1",'
    b'"timestamp":5630,"data":{"status":"online"}}\noops\n'
    b'{"id":"m-1","type":"message","from":"visitor1","site_id":"shop","timestamp":-1,"data":{"message":"?"}}\n'
)


def example_log():
    """The store of the page, by the small writer."""
    log = Log()
    log.batch((*POINT, b"chat", INPUT), EVENTS, [(278, 2, 0, 3, 4, b"oops")])
    log.mark()
    return log


def loose(log, kind, sections=(), salt=None, store=None, **forge):
    """A frame as the log would write it next, by itself."""
    twin = copy.copy(log)
    twin.files, twin.frames = dict(log.files), []
    twin.salt, twin.store = salt or log.salt, store or log.store
    twin.frame(kind, sections, **forge)
    return twin.data[len(log.data) :]


class Case(unittest.TestCase):
    def check(self, files, verdict, why=""):
        got = reader.read(files)
        self.assertEqual(got["verdict"], verdict, got["why"])
        self.assertIn(why, got["why"])
        return got

    def says(self, files, expected, verdict="sound"):
        got = self.check(files, verdict)
        self.assertEqual({key: got[key] for key in expected}, expected)


class TheExample(Case):
    def test_segment(self):
        self.says(EXAMPLE, ANSWER)
        self.assertEqual(reader.intact_events(EXAMPLE), IDENTITIES)

    def test_the_small_writer_writes_the_page(self):
        log = example_log()
        self.assertEqual(log.data, SEGMENT)
        log.frame(SEAL, durable=2)
        self.assertEqual(log.previous, 0x5932C2C2)
        point = (*POINT, b"chat", INPUT)
        writer = SnapshotWriter(per_block=100, per_index=100, per_fence=100)
        written = writer.write(
            (1, 1), (1, 4), (header_crc(SEGMENT[:64]), log.previous), EVENTS, 0,
            [(checkpoint(*point), 3, 1)], [], [(point, [(278, 2, 0, 3, 4, b"oops")])],
        )  # fmt: skip
        self.assertEqual(written, SNAPSHOT)

    def test_snapshot(self):
        files = {"0000000001-0000000001.snap": SNAPSHOT, "0000000002.wal": segment_header(2, 4)}
        self.says(files, ANSWER)
        self.assertEqual(reader.intact_events(files), IDENTITIES)

    def test_hashes(self):
        self.assertEqual(reader.site_hash(b"1"), 0xEC23C8C7C3C1D06B)
        self.assertEqual(reader.site_hash(b"shop"), 0x76AA47564989E99C)

    def test_every_flipped_byte(self):
        for place in range(len(SEGMENT)):
            damaged = replaced(SEGMENT, place, bytes([SEGMENT[place] ^ 0x40]))
            got = reader.read({"0000000001.wal": damaged})
            # the mark proves frame 1; the mark itself is proven by nothing
            self.assertEqual(got["verdict"], "corrupt" if place < 398 else "torn", place)
        files = {"0000000001-0000000001.snap": SNAPSHOT, "0000000002.wal": segment_header(2, 4)}
        for place in range(len(SNAPSHOT)):
            files["0000000001-0000000001.snap"] = replaced(SNAPSHOT, place, bytes([SNAPSHOT[place] ^ 0x40]))
            self.assertEqual(reader.read(files)["verdict"], "corrupt", place)

    def test_every_length(self):
        for length in range(len(SEGMENT) + 1):
            got = reader.read({"0000000001.wal": SEGMENT[:length]})
            expected = "corrupt" if length < 64 else "sound" if length in (64, 398, 478) else "torn"
            self.assertEqual(got["verdict"], expected, length)

    def test_program(self):
        with tempfile.TemporaryDirectory() as folder:
            for files, status in ((EXAMPLE, 0), ({"0000000001.wal": b""}, 4), ({}, 10)):
                for name, data in files.items():
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(data)
                command = [sys.executable, os.path.join(HERE, "reader.py"), folder]
                done = subprocess.run(command, capture_output=True, check=False)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertEqual(json.loads(done.stdout), json.loads(json.dumps(reader.read(files))))
                for name in os.listdir(folder):
                    os.unlink(os.path.join(folder, name))


class Listing(Case):
    def test_names(self):
        self.check({}, "no store")
        self.check({"0000000000.wal": b"", "1.wal": b"", "0000000002-0000000001.snap": b"", "LOCK": b""}, "no store")
        self.check({"0000000001.wal.tmp": SEGMENT, "0000000001.wal.repair-1": SEGMENT}, "no store")
        self.check({"0000000002.wal": SEGMENT}, "corrupt", "0000000001.wal")
        self.check({**EXAMPLE, "0000000003.wal": b""}, "corrupt", "0000000002.wal")
        self.check({"0000000001-0000000001.snap": SNAPSHOT}, "corrupt", "missing")

    def test_left_over(self):
        files = {"0000000001-0000000001.snap": SNAPSHOT, "0000000002.wal": segment_header(2, 4)}
        self.says({**files, "0000000001.wal": b"whatever"}, ANSWER)
        wide = SNAPSHOT[:40] + struct.pack("<Q", 3) + SNAPSHOT[48:]
        wide = repair_checksums(".snap", wide)
        files = {"0000000001-0000000003.snap": wide, "0000000004.wal": segment_header(4, 4)}
        self.says({**files, "0000000001-0000000001.snap": b"", "0000000002-0000000003.snap": b""}, ANSWER)
        self.check({**files, "0000000002-0000000004.snap": b""}, "corrupt", "overlaps")
        self.check({**files, "0000000005-0000000005.snap": b""}, "corrupt", "missing")

    def test_only_regular_files(self):
        """A link with the name of a file that counts is an error and no verdict; as ACKNOWLEDGED it says nothing."""
        log = example_log()
        log.acknowledge(crc=1)
        with tempfile.TemporaryDirectory() as folder:
            for name, data in {**EXAMPLE, "else": log.files["ACKNOWLEDGED"]}.items():
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
            os.symlink("else", os.path.join(folder, "ACKNOWLEDGED"))
            os.symlink("0000000001.wal", os.path.join(folder, "0000000002.wal.tmp"))
            self.assertEqual(reader.answer_of(folder)["verdict"], "sound")
            for make in (
                lambda path: os.symlink("0000000001.wal", path),
                lambda path: os.symlink("nothing", path),
                lambda path: os.mkdir(path),
                lambda path: os.mkfifo(path),
            ):
                for name, verdict in (
                    ("0000000002.wal", None), ("0000000001-0000000001.snap", "corrupt"), ("0000000004.wal", "corrupt"),
                ):  # fmt: skip
                    path = os.path.join(folder, name)
                    make(path)
                    got = reader.answer_of(folder)
                    self.assertEqual(got["verdict"], verdict, name)
                    self.assertIn("missing" if verdict else "not a regular file", got["why"])
                    (os.rmdir if os.path.isdir(path) and not os.path.islink(path) else os.unlink)(path)
            for name, data in (
                ("0000000001-0000000001.snap", SNAPSHOT), ("0000000002.wal", segment_header(2, 4)),
            ):  # fmt: skip
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(data)
            os.unlink(os.path.join(folder, "0000000001.wal"))
            os.symlink("nothing", os.path.join(folder, "0000000001.wal"))  # left over: it does not count
            self.assertEqual(reader.answer_of(folder)["verdict"], "sound")

    def test_nothing_but_acknowledged(self):
        """It was a store, if the record says something; with no segment there is no id that it could not have."""
        log = example_log()
        log.acknowledge()
        ack = log.files["ACKNOWLEDGED"]
        ignored = {"0000000001.wal.repair-1": SEGMENT, "0000000001.wal.tmp": SEGMENT, "0000000000.wal": SEGMENT, "LOCK": b""}
        log.acknowledge(store=b"x" * 16)
        reserved = replaced(ack, 56, b"rest")
        reserved = reserved[:60] + crc(reserved[:60])
        for says in ack, ack + b"more", log.files["ACKNOWLEDGED"], reserved:
            self.check({"ACKNOWLEDGED": says}, "corrupt", "all of it is missing")
            self.check({"ACKNOWLEDGED": says, **ignored}, "corrupt", "all of it is missing")
            self.assertEqual(reader.verify({"ACKNOWLEDGED": says})["verdict"], "corrupt")
            self.assertEqual(reader.intact_events({"ACKNOWLEDGED": says, **ignored}), set())
        says_nothing = [b"", ack[:63], bytes(64), replaced(ack, 63, bytes([ack[63] ^ 1]))]
        for place, new in (0, b"?"), (8, b"\2"), (10, b"\x41"), (32, struct.pack("<Q", 1 << 40)), (48, struct.pack("<Q", 1 << 40)):
            forged = replaced(ack, place, new)[:60]
            says_nothing.append(forged + crc(forged))
        for data in says_nothing:
            self.check({"ACKNOWLEDGED": data, **ignored}, "no store")
        with tempfile.TemporaryDirectory() as folder:
            for data, verdict in (ack, "corrupt"), (ack[:63], "no store"):
                with open(os.path.join(folder, "ACKNOWLEDGED"), "wb") as file:
                    file.write(data)
                self.assertEqual(reader.answer_of(folder)["verdict"], verdict)


class Judge(Case):
    """The rows of 8.2."""

    def two(self):
        log = Log()
        log.batch(POINT, EVENTS)
        log.seal()
        return log

    def test_row_1_bytes_behind_a_seal(self):
        log = self.two()
        log.files["0000000001.wal"] += b"\0"
        self.check(log.files, "corrupt", "bytes behind a seal")

    def test_row_2_seal_without_successor(self):
        log = Log()
        log.frame(SEAL)
        self.check(log.files, "corrupt", "no successor")

    def test_row_4_goes_on(self):
        log = self.two()
        self.check(log.files, "sound")
        log.mark()
        self.check(log.files, "sound")

    def test_row_5_wrong_first_sequence(self):
        log = self.two()
        log.files["0000000002.wal"] = segment_header(2, 4)
        self.check(log.files, "corrupt", "begins with frame 4")

    def unsealed(self, first, more=b"", torn=b""):
        log = Log()
        log.batch(POINT, EVENTS)
        log.files["0000000001.wal"] += torn
        log.files["0000000002.wal"] = segment_header(2, first) + more
        return log.files

    def test_rows_6_to_9(self):
        self.check(self.unsealed(3), "sound")
        self.check(self.unsealed(3, torn=b"CWfr"), "torn")
        self.check(self.unsealed(3, b"x"), "corrupt", "bytes behind its header")
        self.check(self.unsealed(2), "corrupt", "begins with frame 2")
        files = self.unsealed(3)
        del files["0000000002.wal"]
        log = example_log()
        torn = log.data[398:]
        self.check({"0000000001.wal": log.data[:64] + b"?" + log.data[65:398] + torn}, "corrupt", "were durable")

    def test_two_headers_behind_one_another(self):
        files = self.unsealed(3)
        files["0000000003.wal"] = segment_header(3, 4)
        self.check(files, "corrupt", "is not the last")

    def test_the_example_of_the_rows(self):
        """k is 10: the next segment begins with frame 11."""
        log = Log()
        for _ in range(8):
            log.mark()
        log.batch(POINT, EVENTS)
        for first, verdict in (11, "sound"), (10, "corrupt"), (13, "corrupt"):
            self.check({**log.files, "0000000002.wal": segment_header(2, first)}, verdict)

    def test_one_step_behind_another(self):
        """Where several things are wrong, the first in the order of 8.1 is told, file by file within a step."""
        fields = struct.pack("<8sHH", b"chatsnap", 2, 16)
        newer_snapshot, newer_segment = fields + crc(fields), segment_header(2, 4, version=2)
        bad_table = replaced(SNAPSHOT, 488, b"?")
        one, two = "0000000001-0000000001.snap", "0000000002-0000000002.snap"
        tail = {"0000000003.wal": b""}
        self.check({one: bad_table, two: newer_snapshot, **tail}, "corrupt", one)
        self.check({one: SNAPSHOT, two: newer_snapshot, **tail}, "newer", two)
        self.check({one: newer_snapshot, two: b"", **tail}, "newer", one)
        self.check({one: newer_snapshot, "0000000004.wal": b""}, "corrupt", "missing")
        self.check({"0000000001.wal": b"", "0000000002.wal": newer_segment}, "corrupt", "0000000001.wal")
        self.check({**EXAMPLE, "0000000002.wal": newer_segment, "0000000003.wal": b""}, "newer", "0000000002.wal")
        foreign = segment_header(2, 4, store=b"x" * 16)
        self.check({**EXAMPLE, "0000000002.wal": foreign, "0000000003.wal": newer_segment}, "corrupt", "another store")
        # what is used later is checked later: the events of the first snapshot behind the header of the second
        self.check({one: replaced(SNAPSHOT, 232, b"?"), two: newer_snapshot, **tail}, "newer")
        self.check({one: replaced(SNAPSHOT, 810, b"?"), "0000000002.wal": newer_segment}, "corrupt", "header")

    def test_first_sequence_before_the_frames(self):
        log = Log()
        log.frame(9)
        self.check(log.files, "newer")
        for first in 2, 1 << 40:
            self.check({log.name: segment_header(1, first) + log.data[64:]}, "corrupt", "first sequence")
        log = self.two()
        log.frame(9)
        log.files["0000000002.wal"] = segment_header(2, 4) + log.data[64:]
        self.check(log.files, "corrupt", "begins with frame 4")

    def test_newer_behind_a_bad_section(self):
        """A newer kind in the chain (step 5) comes before a bad section (step 6) of a frame before it."""
        log = Log()
        log.batch(POINT, EVENTS, durable=0)
        log.files[log.name] = replaced(log.data, len(log.data) - 1, b"?")
        self.check(log.files, "torn")
        log.frame(9)
        self.check(log.files, "newer")

    def test_moved_proof(self):
        log = example_log()
        for junk in b"", b"junk", bytes(1000):
            data = log.data[:64] + junk + log.data[100:]
            self.check({log.name: data}, "corrupt", "were durable")

    def test_acknowledged_proves(self):
        log = Log()
        log.batch(POINT, EVENTS)
        log.acknowledge()
        self.check(log.files, "sound")
        cut_off = {**log.files, log.name: log.data[:64]}
        self.check(cut_off, "corrupt", "were durable")
        short = {**cut_off, "ACKNOWLEDGED": log.files["ACKNOWLEDGED"][:63]}
        self.check(short, "sound")
        self.check({**cut_off, "ACKNOWLEDGED": log.files["ACKNOWLEDGED"] + b"more"}, "corrupt")
        log.acknowledge(store=b"x" * 16)
        self.check({**cut_off, "ACKNOWLEDGED": log.files["ACKNOWLEDGED"]}, "sound")
        log.acknowledge(sequence=1 << 40)
        self.check({**cut_off, "ACKNOWLEDGED": log.files["ACKNOWLEDGED"]}, "sound")
        ack = log.files["ACKNOWLEDGED"]
        for place in 0, 8, 10, 12, 16, 48, 56, 60:
            torn = replaced(ack, place, bytes([ack[place] ^ 1]))
            self.check({**cut_off, "ACKNOWLEDGED": torn}, "sound")
        log.acknowledge(crc=1)
        self.check(log.files, "corrupt", "another one was acknowledged")

    def test_bad_section_behind_durable(self):
        log = Log()
        log.batch(POINT, EVENTS)
        log.batch((*POINT[:1], 386, 400, 4, 5), EVENTS, durable=0)
        files = {log.name: replaced(log.data, len(log.data) - 1, b"?")}
        self.assertEqual(self.check(files, "torn")["inputs"][0][1], 386)
        log.mark()
        files = {log.name: replaced(log.data, len(log.data) - 81, b"?")}
        self.check(files, "corrupt", "wrong CRC of the section")

    def test_chain(self):
        for forge in ({"sequence": 3}, {"previous": 7}, {"number": 2}, {"offset": 65}, {"payload": 1}):
            log = Log()
            log.batch(POINT, EVENTS)
            log.frame(MARK, (), 0, **forge)
            self.check(log.files, "torn")
            log.mark()
            self.check(log.files, "corrupt", "were durable")
        log = Log()
        log.frame(MARK, durable=1)
        self.check(log.files, "corrupt", "were durable")


class Newer(Case):
    def test_headers(self):
        self.check({"0000000001.wal": segment_header(1, 1, version=2)}, "newer")
        self.check({"0000000001.wal": segment_header(1, 1, version=0)}, "newer")
        fields = struct.pack("<8sHH", b"chatwal\0", 9, 16)
        self.check({"0000000001.wal": fields + crc(fields)}, "newer")
        fields = struct.pack("<8sHH", b"chatwal\0", 9, 12)
        self.check({"0000000001.wal": fields[:-4] + crc(fields[:-4]) + bytes(60)}, "corrupt")
        fields = struct.pack("<8sHH", b"chatsnap", 2, 16)
        newer = fields + crc(fields)
        self.check({"0000000001-0000000001.snap": newer, "0000000002.wal": b""}, "newer")
        self.check({"0000000001-0000000001.snap": SNAPSHOT, "0000000002.wal": b""}, "corrupt")
        self.check({"0000000001.wal": segment_header(1, 1, length=66)}, "corrupt")
        fields = segment_header(1, 1, length=66)[:60] + b"xx"
        self.check({"0000000001.wal": fields + crc(fields)}, "corrupt", "66 bytes instead of 64")
        self.check({"0000000001.wal": segment_header(1, 1, zeros=1)}, "corrupt", "zeros")

    def test_kinds(self):
        log = Log()
        log.frame(6, payload=99, durable=77, sequence=5, previous=1)
        self.check(log.files, "newer", "kind 6")
        for sections, verdict in (
            ([(1, 0, 1, checkpoint(*POINT)), (7, 0, 1, b"new")], "newer"),
            ([(7, 0, 1, b"new")], "newer"),
            ([(0, 0, 1, b"new")], "newer"),
            ([(1, 0, 2, checkpoint(*POINT)), (7, 0, 1, b"new")], "newer"),  # the table comes last
            ([(1, 0, 1, checkpoint(*POINT)), (6, 0, 0, b""), (7, 0, 1, b"new")], "newer"),
            ([(2, 0, 0, b""), (7, 9, 1, b"new")], "newer"),
            ([(1, 0, 1, b""), (7, 0, 1, b"new"), (1, 0, 1, b"")], "newer"),
            ([(2, 0, 0, b""), (1, 0, 1, b""), (7, 0, 1, b"new")], "torn"),  # its place
            ([(2, 0, 0, b""), (0, 0, 1, b"new")], "newer"),  # its kind before its place
            ([(1, 0, 1, b""), (1, 0, 1, b""), (7, 0, 1, b"new")], "torn"),
            ([(1, 0, 1, b""), (2, 1, 0, b""), (7, 0, 1, b"new")], "torn"),  # its shard
        ):
            for kind in BATCH, MARK, SEAL, FORGET, HOLE:
                log = Log()
                log.frame(kind, sections)
                self.check(log.files, verdict)
        log = Log()
        log.frame(BATCH, [(7, 0, 1, b"new")], payload=14)  # the sum of the lengths comes behind the kinds
        self.check(log.files, "newer")
        self.check({log.name: replaced(log.data, 64 + 72, bytes(4))}, "torn")
        self.check({log.name: repair_header(replaced(log.data, 64 + 72, bytes(4)), 64)}, "torn")
        for forge in {"payload": 13}, {"payload": 1 << 27}, {"durable": 1}, {"entries": 2}:
            log = Log()
            log.frame(BATCH, [(7, 0, 1, b"new")], **forge)
            self.assertNotEqual(reader.read(log.files)["verdict"], "newer")
        log = Log()
        log.frame(0)
        self.check(log.files, "newer")
        for forge in {"sequence": 1 << 40}, {"number": 2}, {"offset": 65}:
            log = Log()
            log.frame(9, **forge)
            self.check(log.files, "torn")
        log = Log()
        log.frame(BATCH, [(7, 0, 1, b"new")], previous=1)
        self.check(log.files, "torn")

    def test_behind_the_end(self):
        log = example_log()
        log.frame(9)
        self.check({log.name: replaced(log.data, 398, b"?")}, "corrupt")
        self.check({log.name: log.data}, "newer")


class Directories(Case):
    def test_frames(self):
        point, batch = checkpoint(*POINT), (1, 0, 1, checkpoint(*POINT))
        events = event_section(EVENTS[2:])
        good = [
            (BATCH, [batch]),
            (BATCH, [batch, (2, 0, 0, b"")]),
            (BATCH, [batch, (3, 0x76, 1, events)]),
            (BATCH, [batch, (6, 0, 5, b"")]),
            (FORGET, [(4, 0, 0, b"")]),
            (FORGET, [(4, 0, 1, b"i" * 16)]),
            (MARK, []),
        ]
        bad = [
            (BATCH, []),
            (BATCH, [(1, 1, 1, point)]),
            (BATCH, [batch, batch]),
            (BATCH, [batch, (3, 0x76, 0, events)]),
            (BATCH, [batch, (6, 0, 5, b"x")]),
            (BATCH, [batch, (6, 0, 5, b""), (2, 0, 0, b"")]),
            (BATCH, [batch, (4, 0, 0, b"")]),
            (BATCH, [batch, (2, 1, 0, b"")]),
            (FORGET, [(4, 0, 2, b"i" * 16)]),
            (FORGET, []),
            (HOLE, []),
            (HOLE, [(5, 0, 2, bytes(18))]),
            (MARK, [batch]),
            (SEAL, [(2, 0, 0, b"")]),
        ]
        for some, verdict in (good, "sound"), (bad, "torn"):
            for kind, sections in some:
                log = Log()
                log.frame(kind, sections)
                self.check(log.files, verdict)


class Sections(Case):
    def section(self, kind, count, data, shard=0):
        log = Log()
        if kind == 1:
            log.frame(BATCH, [(1, 0, 1, data)])
        elif kind == 5:
            log.frame(HOLE, [(5, 0, 1, data)])
        else:
            log.frame(BATCH, [(1, 0, 1, checkpoint(*POINT)), (kind, shard, count, data)])
        return log.files

    def test_checkpoints(self):
        good = checkpoint(*POINT)
        self.check(self.section(1, 1, good), "sound")
        self.check(self.section(1, 1, checkpoint(b"i" * 16, 0, (1 << 56) - 1, 0, 1)), "sound")
        for bad in (
            b"", good[:85], good + b"x", good[:-1], replaced(good, 48, b"\0\0"), replaced(good, 50, b"\0\0"),
            checkpoint(b"i" * 16, 5, 4, 0, 1), checkpoint(b"i" * 16, 5, 6, 2, 1),
            checkpoint(b"i" * 16, 0, 1 << 56, 0, 1), checkpoint(b"i" * 16, 0, 1, 0, 1 << 56),
            checkpoint(*POINT, b"n" * 4097),
        ):  # fmt: skip
            self.check(self.section(1, 1, bad), "corrupt")

    def test_left_and_marks(self):
        """They may be behind the name; if anything is, both are."""
        for name in b"a name", b"", b"n" * 4096:
            good = checkpoint(*POINT, name)
            for rest, left in (
                (b"", 0), (b"\0\0", 0), (b"\5\0", 5), (varint(5, 3) + varint(0, 9), 5), (varint((1 << 56) - 1) + b"\0", (1 << 56) - 1),
                (b"\0" + marks_of(1), 0), (b"\7" + marks_of(1, 2, 385), 7), (b"\7" + marks_of(385), 7),
                (b"\7" + marks_of(*range(1, 65)), 7), (b"\7\1" + varint(9, 8) + b"m" * 16, 7),
            ):  # fmt: skip
                got = self.check(self.section(1, 1, good + rest), "sound")
                self.assertEqual(got["inputs"], [[POINT[0].hex(), 386, 4, 0, 0, name.hex(), left]])
            for bad in (
                b"\0", b"\5", b"\x80", b"\0\0\0", b"\0\x80", varint(5, 10) + b"\0", varint(1 << 64) + b"\0",  # fields
                varint(1 << 56) + b"\0", varint((1 << 64) - 1) + b"\0",  # left
                b"\0" + marks_of(*range(1, 66)), b"\0\x41", b"\0" + varint((1 << 64) - 1),  # how many
                b"\0" + marks_of(0), b"\0" + marks_of(0, 1), b"\0" + marks_of(5, 5), b"\0" + marks_of(5, 4),  # they ascend
                b"\0" + marks_of(386), b"\0" + marks_of(5, 387), b"\0" + marks_of((1 << 64) - 1), b"\0" + marks_of(1 << 64),
                b"\0" + marks_of(1)[:-1], b"\0" + marks_of(1) + b"\0", b"\0\2" + marks_of(1)[1:], b"\0\0" + marks_of(1)[1:],
            ):  # fmt: skip
                self.check(self.section(1, 1, good + bad), "corrupt")
        at_start = checkpoint(b"i" * 16, 0, 0, 0, 0)  # no place is below this end
        self.check(self.section(1, 1, at_start + b"\5\0"), "sound")
        for mark in 0, 1:
            self.check(self.section(1, 1, at_start + b"\5" + marks_of(mark)), "corrupt")
        # nothing says that what is left ends within the bounds of an end
        self.check(self.section(1, 1, checkpoint(b"i" * 16, 0, (1 << 56) - 1, 0, 0) + varint((1 << 56) - 1) + b"\0"), "sound")
        long = checkpoint(*POINT, b"n" * 4097) + b"\0\0"
        self.check(self.section(1, 1, long), "corrupt", "name")
        short = replaced(long[:-3], 84, struct.pack("<H", 4096))  # the name is what its length says, and not the rest
        self.check(self.section(1, 1, short), "sound")
        self.check(self.section(1, 1, short[:-1]), "corrupt", "name")

    def test_left_is_that_of_the_last_checkpoint(self):
        """Where it does not say it is 0; a batch may be there for nothing else."""
        log, point = Log(), (b"i" * 16, 0, 9, 0, 1, b"chat", b"x")
        for more, left in ((7, [1, 8]), 7), ((), 0), ((9,), 9), ((0, [3]), 0), ((8,), 8):
            log.batch((*point, *more), EVENTS[:1] if point[1] == 0 else [])
            point = (point[0], 9, 9, 1, 1, b"chat", b"x")
            self.says(log.files, {"inputs": [[b"i".hex() * 16, 9, 1, 1, 0, b"chat".hex(), left]], "events": 1})
        log.forget(b"i" * 16)
        self.says(log.files, {"inputs": []})
        log.batch(point, [])
        self.says(log.files, {"inputs": [[b"i".hex() * 16, 9, 1, 0, 0, b"chat".hex(), 0]]})
        # no reject stands in a batch without bytes
        log.batch(point, [], [(9, 1, 0, 3, 4, b"oops")])
        self.check(log.files, "corrupt", "behind the batch")

    def test_rejects(self):
        one = bytes([3, 2, 3, 4, 2]) + b"oo"
        run = bytes([10, 0, 0, 30])
        self.check(self.section(2, 1, one), "sound")
        got = self.check(self.section(2, 31, one + run), "sound")
        self.assertEqual(got["rejects"][30][1:], [303, 3, 0, 3, 4, "6f6f"])
        self.check(self.section(2, 32, one + run + bytes([0, 1, 100, 0, 0])), "sound")
        for count, bad in (
            (2, one), (0, one), (1, one[:-1]), (1, one + b"\0"), (30, run), (31, run + one), (1, b""),
            (1, one + bytes([10, 0, 0, 0])), (31, one + bytes([0, 0, 0, 30])), (40, one + bytes([10, 0, 0, 39])),
            (31, one + bytes([1, 1, 0, 30])), (1, varint(386) + one[1:]), (1, bytes([3, 5]) + one[2:]),
            (1, bytes([3, 2, 3, 1, 2]) + b"oo"),
        ):  # fmt: skip
            self.check(self.section(2, count, bad), "corrupt")

    def test_the_line_of_a_reject(self):
        """It is at most the end line: a batch may end in the middle of a line, and a line may have several."""
        at_line = lambda line, offset=3: bytes([offset]) + varint(line) + bytes([3, 0, 0])
        for count, data, lines in (
            (1, at_line(4), [5]), (2, at_line(4) + at_line(0), [5, 5]), (2, at_line(2) + at_line(2), [3, 5]),
            (5, at_line(4) + bytes([1, 0, 0, 4]), [5] * 5), (5, at_line(0) + bytes([1, 1, 0, 4]), [1, 2, 3, 4, 5]),
            (2, at_line(1, 0) + at_line(0, 0), [2, 2]),  # the same place twice: every record counts
        ):  # fmt: skip
            got = self.check(self.section(2, count, data), "sound")
            self.assertEqual([row[2] for row in got["rejects"]], lines)
        for count, data in (
            (1, at_line(5)), (2, at_line(4) + at_line(1)), (6, at_line(0) + bytes([1, 1, 0, 5])),
            (1, at_line((1 << 64) - 1)), (1, bytes([3]) + varint((1 << 64) + 4) + bytes([3, 0, 0])),
        ):  # fmt: skip
            self.check(self.section(2, count, data), "corrupt")
        # a batch that goes on in the line that it begins in
        log = Log()
        log.batch((b"i" * 16, 10, 20, 7, 7), [], [(10, 7, 2, 3, 4, b"oops"), (19, 7, 11, 3, 1, b"?")])
        self.assertEqual([row[1:4] for row in self.check(log.files, "sound")["rejects"]], [[10, 8, 2], [19, 8, 11]])

    def test_columns(self):
        """The highest bit of the reason says that there is one. It is no part of the reason."""
        start, end = bytes([3, 2]), bytes([4, 2]) + b"oo"
        for reason, column, shown in (
            (b"\3", b"", [0, 3]), (b"\x83", b"\1", [1, 3]), (b"\x83", varint(300), [300, 3]),
            (b"\x83", varint((1 << 56) - 1), [(1 << 56) - 1, 3]),
            (b"\x83", b"\0", [0, 3]), (b"\x83", varint(0, 9), [0, 3]), (b"\x83", varint(5, 3), [5, 3]),
            (b"\x81", b"\1", [1, 1]), (b"\x95", b"\1", [1, 21]),
            (b"\x7f", b"", [0, 127]), (b"\xff", b"\1", [1, 127]), (b"\x16", b"", [0, 22]), (b"\x96", b"\1", [1, 22]),  # not in the table
        ):  # fmt: skip
            one = start + reason + column + end
            got = self.check(self.section(2, 1, one), "sound")
            self.assertEqual(got["rejects"], [[POINT[0].hex(), 3, 3, *shown, 4, "6f6f"]])
            # a run has all of it, and so has a run behind a run
            runs = bytes([10, 0, 0, 2]) + bytes([7, 1, 0, 1])
            got = self.check(self.section(2, 4, one + runs), "sound")
            places = [(3, 3), (13, 3), (23, 3), (30, 4)]
            self.assertEqual(got["rejects"], [[POINT[0].hex(), *place, *shown, 4, "6f6f"] for place in places])
            # what comes next has a column of its own
            got = self.check(self.section(2, 2, one + bytes([1, 0, 3, 0, 0])), "sound")
            self.assertEqual(got["rejects"][1], [POINT[0].hex(), 4, 3, 0, 3, 0, ""])
        for count, bad in (
            (1, start + b"\x80" + end), (1, start + b"\x80\1" + end), (1, start + b"\x80\0" + end),  # no reason is 0x80
            (3, start + b"\3" + end + bytes([10, 0, 0x80, 2])), (3, start + b"\3" + end + bytes([10, 0, 0x80, 1, 2])),
            (1, start + b"\x83" + varint(1 << 56) + end), (1, start + b"\x83" + varint((1 << 64) - 1) + end),
            (1, start + b"\x83" + varint(1 << 64) + end), (1, start + b"\x83" + varint(1, 10) + end),
            (1, start + b"\x83"), (1, start + b"\x83\x80"), (1, start + b"\x83\1"), (1, start + b"\x83\1\4"),
            (1, start + b"\x83\1" + end[:-1]), (1, start + b"\x83\1" + end + b"\0"), (1, start + b"\3\1" + end),
            (2, bytes([1, 0, 0x80, 1])), (1, start + b"\x83\1\1\2oo"),
        ):  # fmt: skip
            self.check(self.section(2, count, bad), "corrupt")
        # a column may be larger than the offset, which nobody compares
        got = self.check(self.section(2, 1, bytes([3, 0, 0x83, 200, 1, 0, 0])), "sound")
        self.assertEqual(got["rejects"], [[POINT[0].hex(), 3, 1, 200, 3, 0, ""]])

    def test_kept_bytes(self):
        """Up to 1 MiB, and no more than there are."""
        self.assertEqual(reader.KEPT_MAX, 1_048_576)
        raw = b"x" * 1_048_577
        record = lambda length, k: bytes([3, 2, 1]) + varint(length) + varint(k) + raw[:k]
        for length, k, verdict in (
            (4097, 4097, "sound"), (9999, 4097, "sound"), (1_048_576, 1_048_576, "sound"), ((1 << 64) - 1, 1_048_576, "sound"),
            (1_048_577, 1_048_577, "corrupt"), (1_048_575, 1_048_576, "corrupt"), (4096, 4097, "corrupt"), (0, 1, "corrupt"),
        ):  # fmt: skip
            got = self.check(self.section(2, 1, record(length, k)), verdict)
            if verdict == "sound":
                self.assertEqual(got["rejects"], [[POINT[0].hex(), 3, 3, 0, 1, length, "78" * k]])
        self.check(self.section(2, 1, record(5000, 5000)[:-1]), "corrupt", "over the end")

    def test_a_run_without_end(self):
        data = bytes([0, 0, 3, 0, 0, 1, 0, 0]) + varint((1 << 32) - 2)
        log = Log()
        log.frame(BATCH, [(1, 0, 1, checkpoint(b"i" * 16, 0, 1 << 40, 0, 1)), (2, 0, (1 << 32) - 1, data)])
        got = self.check(log.files, "sound")
        self.assertIsNone(got["rejects"])
        self.assertEqual(got["inputs"][0][4], (1 << 32) - 1)
        log.frame(BATCH, [(1, 0, 1, checkpoint(b"j" * 16, 0, 1 << 40, 0, 1)), (2, 0, (1 << 32) - 1, data)])
        log.frame(BATCH, [(1, 0, 1, checkpoint(b"j" * 16, 1 << 40, 1 << 41, 1, 2)), (2, 0, (1 << 32) - 1, data)])
        got = self.check(log.files, "sound")
        self.assertEqual([entry[4] for entry in got["inputs"]], [(1 << 32) - 1, (1 << 33) - 2])
        log.forget(b"i" * 16, b"j" * 16)
        self.assertEqual(self.check(log.files, "sound")["rejects"], [])

    def test_listed_up_to_a_million(self):
        self.assertEqual(reader.LISTED_REJECTS, 1_000_000)
        with unittest.mock.patch("reader.LISTED_REJECTS", 31):
            one, run = bytes([3, 2, 3, 4, 2]) + b"oo", bytes([10, 0, 0, 30])
            self.assertEqual(len(reader.read(self.section(2, 31, one + run))["rejects"]), 31)
            one_more = one + run + bytes([1, 0, 3, 0, 0])
            self.assertIsNone(self.check(self.section(2, 32, one_more), "sound")["rejects"])
        self.assertEqual(reader.LISTED_BYTES, 1 << 30)
        with unittest.mock.patch("reader.LISTED_BYTES", 62):
            self.assertEqual(len(reader.read(self.section(2, 31, one + run))["rejects"]), 31)
            for more in bytes([1, 0, 3, 1, 1]) + b"o", bytes([1, 0, 0, 1]):
                self.assertIsNone(self.check(self.section(2, 32, one + run + more), "sound")["rejects"])
            self.assertEqual(len(reader.read(self.section(2, 32, one + run + bytes([1, 0, 3, 1, 0])))["rejects"]), 32)
        # 1 MiB, 900,000 times
        data = bytes([0, 0, 3]) + varint(1 << 20) * 2 + bytes(1 << 20) + bytes([1, 0, 0]) + varint(899_999)
        log = Log()
        log.frame(BATCH, [(1, 0, 1, checkpoint(b"i" * 16, 0, 1 << 40, 0, 1)), (2, 0, 900_000, data)])
        got = self.check(log.files, "sound")
        self.assertEqual((got["rejects"], got["inputs"][0][4]), (None, 900_000))

    def test_sums_of_64_bits(self):
        word = varint((1 << 64) - 1)
        one = bytes([3, 2, 3, 0, 0])
        for count, bad in (
            (2, one + word + bytes([0, 3, 0, 0])), (2, one + bytes([1]) + word + bytes([3, 0, 0])),
            (5, one + bytes([1, 0, 0]) + word), (5, one + word + b"\0\0" + word), (5, one + b"\1" + word + b"\0" + word),
        ):  # fmt: skip
            self.check(self.section(2, count, bad), "corrupt")
        data = event_section([(b"1", b"a", 0, 2, b"v"), (b"2", b"a", 0, 2, b"v")], 63)
        self.assertEqual(data[5], 64)
        with self.assertRaisesRegex(reader.Invalid, "out of bounds"):
            reader.events(replaced(data, 9, b"\xff" * 8), 2, 0xEC)

    def test_forgotten_inputs(self):
        """Rejects of an instance that came again are those behind the forget frame."""
        log, i, j = Log(), b"i" * 16, b"j" * 16
        reject = [(1, 0, 0, 3, 4, b"oops")]
        log.batch((i, 0, 9, 0, 9), EVENTS, reject)
        log.batch((j, 0, 9, 0, 9), EVENTS[:1], reject, repeated=4)
        log.forget(i, j, b"never was known.")
        log.batch((i, 9, 20, 9, 20), [], [(11, 9, 0, 3, 4, b"oops")])
        got = self.check(log.files, "sound")
        self.assertEqual(got["inputs"], [[i.hex(), 20, 20, 0, 1, b"chat".hex(), 0]])
        self.assertEqual(got["rejects"], [[i.hex(), 11, 10, 0, 3, 4, b"oops".hex()]])
        self.assertEqual((got["events"], got["copies"]), (3, 5))

    def test_events(self):
        log = Log()
        log.batch(POINT, EVENTS, wider=60)
        self.says(log.files, {**ANSWER, "rejects": [], "inputs": [[POINT[0].hex(), 386, 4, 3, 0, "63686174", 0]]})
        good = bytearray(event_section(EVENTS[2:]))
        self.check(self.section(3, 1, bytes(good), 0x76), "sound")
        self.check(self.section(3, 1, bytes(good), 0x77), "corrupt", "another shard")
        self.check(self.section(3, 2, bytes(good), 0x76), "corrupt")
        for place, value in (
            (0, 1), (1, 0), (2, 0), (2, 2), (3, 0), (3, 2), (5, 65), (6, 65), (7, 65), (7, 1), (8, 1), (9, 3),
            (10, 1), (10, 0x80), (14, 1), (24, 0), (25, 0), (26, 2), (26, 4), (27, 0x1F), (27, 0xFF), (27, 0x7F),
        ):  # fmt: skip
            bad = bytes(good[:place] + bytes([value]) + good[place + 1 :])
            self.check(self.section(3, 1, bad, 0x76), "corrupt")
        free = bytes(good[:24] + b"\xff\xff" + good[26:])  # nobody looks at the bits left over
        self.check(self.section(3, 1, free, 0x76), "sound")
        code = bytes(good[:15] + bytes([53]) + good[16:])  # a code of a disagreement
        self.assertEqual(self.check(self.section(3, 1, code, 0x76), "sound")["disputed"], 1)

    def test_names(self):
        for id, verdict in (
            (b"x" * 1024, "sound"), (b"x" * 1025, "corrupt"), ("\u0080".encode(), "corrupt"),
            ("\u00a0".encode(), "sound"), (b"\xed\xa0\x80", "corrupt"), (b"A" * 8 + EVENTS[0][1][8:], "sound"),
        ):  # fmt: skip
            section = event_section([(b"shop", id, -1, MESSAGE, b"v")])
            self.check(self.section(3, 1, section, 0x76), verdict)
        uuid = EVENTS[0][1]
        section = event_section([(b"shop", b"y" * 36, -1, MESSAGE, b"v")]).replace(b"y" * 36, uuid)
        self.check(self.section(3, 1, section, 0x76), "corrupt", "UUID")

    def test_room_for_the_ids(self):
        """Point 2 of 6.3 is looked at before anything is made as long as a count says."""
        for n, a, t in ((1 << 31, 1 << 31, 1 << 31), (1 << 31, 1, 0), (9, 1, 9), (1, 1, 2), (40, 40, 40)):
            data = b"".join(map(varint, (a, 0, 1, t))) + bytes([0, 0, 0, 0, 1]) + b"\0\x08v" + bytes(8)
            start = time.process_time()
            with self.assertRaises(reader.Invalid):
                reader.events(data, n, 0xEC)
            self.assertLess(time.process_time() - start, 1)

    def test_names_written_out(self):
        """Named sites and actors take at most 67,108,864 bytes together, written out; here 1,048,576."""
        many = 1024
        first = varint(0) + varint(1024 * 6) + b"x" * 1018 + b"000000"
        actors = first + b"".join(varint(1018) + varint(6 * 6) + b"%06d" % i for i in range(1, many))

        def section(n, actors, counts=(1, 0), sites=b"\1"):
            head = b"".join(map(varint, (*counts, n, 0))) + bytes(4)
            return head + sites + actors + b"\1" + bytes((n + 7) // 8 - 1) + bytes(16 * n)

        self.assertEqual(reader.PAYLOAD_MAX, 67_108_864)
        with unittest.mock.patch("reader.PAYLOAD_MAX", 1 << 20):
            runs = reader.events(section(many, actors), many, 0xEC).runs
            self.assertEqual([(site, len(rows)) for site, rows in runs], [(b"1", many)])
            for n, data, number in (
                (many + 1, section(many + 1, actors + varint(0) + varint(6) + b"y"), 0xEC),
                (many, section(many, actors, (0, 1), b"\0\4shop"), 0x76),
            ):
                with self.assertRaisesRegex(reader.Invalid, "written out"):
                    reader.events(data, n, number)

    def test_sites(self):
        big = event_section([(b"9" * 18, b"a", 0, 2, b"v")])
        self.check(self.section(3, 1, big, shard(b"9" * 18)), "sound")
        big = big[:8] + varint(10**18) + big[8 + len(varint(10**18 - 1)) :]
        self.check(self.section(3, 1, big, shard(b"9" * 18)), "corrupt", "out of bounds")
        named = event_section([(b"x", b"a", 0, 2, b"v")])
        self.check(self.section(3, 1, named.replace(b"x", b"7"), shard(b"7")), "corrupt", "is a number")

    def test_modulo(self):
        events = [(b"1", b"a", LEAST, 2, b"v"), (b"1", b"b", GREATEST, 2, b"v")]
        log = Log()
        log.batch(POINT, events)
        got = self.check(log.files, "sound")
        self.assertEqual((got["earliest"], got["latest"]), (LEAST, GREATEST))
        data = event_section([(b"1", b"a", 5, 2, b"v"), (b"1", b"b", 6, 2, b"v")])
        data = replaced(data, 4, bytes([9]))  # the earliest is -5 now
        got = self.check(self.section(3, 2, data, 0xEC), "sound")
        self.assertEqual((got["earliest"], got["latest"]), (-5, -4))

    def test_holes(self):
        start = struct.pack("<QQ", 1, 2)
        one = b"i" * 16 + bytes([3, 9, 1]) + b"n"
        for data, verdict in (
            (start + b"\0\0", "sound"), (start + bytes([2, 1, 2, 3, 3]) + b"\1" + one, "sound"),
            (start + bytes([2, 1, 2, 2, 3, 0]), "corrupt"), (start + bytes([1, 2, 1, 0]), "corrupt"),
            (start + b"\0\0\0", "corrupt"), (start + b"\0", "corrupt"), (start + b"\0\2" + one, "corrupt"),
            (start + b"\0\1" + b"i" * 16 + bytes([9, 3, 0]), "corrupt"),
            (start + b"\0\1" + b"i" * 16 + bytes([0, 0]) + varint(4097) + bytes(4097), "corrupt"),
            (start + b"\0\1" + b"i" * 16 + bytes([0, 0]) + varint(4096) + bytes(4096), "sound"),
            (struct.pack("<QQ", 0, 0) + b"\0\0", "sound"), (struct.pack("<QQ", 9, 3) + b"\0\0", "sound"),
            (struct.pack("<QQ", 1, 1 << 40) + b"\0\0", "sound"),  # the numbers have no bounds
            (start + b"\1\0" + varint(WORD := (1 << 64) - 1) + b"\0", "sound"),
            (start + b"\0\1" + b"i" * 16 + varint(1 << 56) + varint(WORD) + b"\0", "sound"),
            (start + varint(WORD), "corrupt"), (start + b"\0" + varint(WORD), "corrupt"),
            (start[:15], "corrupt"), (start + b"\1\1", "corrupt"), (start + b"\0\1" + one[:-1], "corrupt"),
        ):  # fmt: skip
            self.check(self.section(5, 1, data), verdict)

    def test_varints(self):
        self.assertEqual(reader.Cursor(varint(7, 9)).varint(), 7)
        self.assertEqual(reader.Cursor(varint((1 << 64) - 1)).varint(), (1 << 64) - 1)
        for bad in varint(7, 10), varint(1 << 64), b"", b"\x80":
            with self.assertRaises(reader.Invalid):
                reader.Cursor(bad).varint()


class Snapshots(Case):
    def files(self, data):
        return {"0000000001-0000000001.snap": data, "0000000002.wal": segment_header(2, 4)}

    def writer(self, forge=None, events=EVENTS, verdict="sound", why="", **more):
        data = SnapshotWriter(forge=forge, **more).write((1, 1), (1, 4), (0, 0), events)
        return self.check(self.files(data), verdict, why)

    def test_good(self):
        many = [(site, b"%d" % i, i, code, b"v%d" % (i % 9)) for i in range(40) for site, code in ((b"1", 2), (b"s", 1), (b"7", 3))]
        for size in 1, 2, 7, 1000:
            got = self.writer(events=many, per_block=size, per_index=size, per_fence=size)
            self.assertEqual((got["events"], got["disputed"]), (120, 40))
        got = self.writer(events=[])
        self.assertEqual((got["events"], got["earliest"]), (0, None))

    def test_points_4_to_6(self):
        two = [*EVENTS[:2], (b"1", b"x", 9999, 2, b"v")]
        self.writer(lambda what, v: v[::-1] if what == "order" else v, two, "corrupt", "order")
        self.writer(None, [*EVENTS, (*EVENTS[0][:2], 7400, 2, b"v")], "corrupt", "twice", per_block=1)
        for i in range(6):
            change = lambda what, v, i=i: v[:i] + [v[i] + 1] + v[i + 1 :] if what == "site" else v
            self.writer(change, verdict="corrupt", why="site b")
        for i in (0, 2, 3):
            change = lambda what, v, i=i: v[:i] + [v[i] + 1] + v[i + 1 :] if what == "tallies" else v
            self.writer(change, verdict="corrupt", why="adds up")
        self.writer(lambda what, v: [v[0], 1 << 40, *v[2:]] if what == "tallies" else v, verdict="corrupt")
        got = self.writer(lambda what, v: [v[0], 9, *v[2:]] if what == "tallies" else v)
        self.assertEqual(got["copies"], 9)

    def test_forged_regions(self):
        many = [(site, b"%d" % i, i, 2, b"v%d" % i) for i in range(3) for site in (b"1", b"10", b"s", b"t")]

        def forged(kind, change, verdict="corrupt", why="", **more):
            self.writer(lambda what, v: change(v) if what == f"region {kind}" else v, many, verdict, why, **more)

        def payload(change):
            return lambda v: [(v[0][0], change(v[0][1]), v[0][2])] + v[1:]

        forged(1, lambda v: v[:1] + v[2:] + v[1:2], why="", per_block=1)
        forged(1, lambda v: v[1:], why="do not fill the region")
        forged(2, lambda v: [(2, v[0][1].replace(b"\0\x011", b"\0\x01x", 1), 0)] + v[1:], why="do not ascend")
        forged(2, lambda v: [*v, (0, b"", 0)], why="a block without a site")
        forged(3, lambda v: v[::-1], why="do not ascend", per_index=1, per_fence=1)
        forged(3, lambda v: v[1:], why="start of the index", per_index=1, per_fence=1)
        forged(3, lambda v: v[:1], why="not the first sites", per_index=1, per_fence=1)
        forged(3, lambda v: [*v, (0, b"", 0)], "sound")
        forged(1, lambda v: [*v, (0, b"", 0)])
        forged(7, lambda v: [(0, b"", 0)])  # a block of rejects has a checkpoint, whatever its count
        forged(4, lambda v: v * 2, why="not exactly one block")
        forged(4, lambda v: [(2 * v[0][0], 2 * v[0][1], 0)], why="do not ascend")
        forged(4, lambda v: [*v, (0, b"", 0)], why="not exactly one block")
        forged(4, payload(lambda p: p[:2] + b"\1" + p[3:]), why="not as many events")
        forged(4, payload(lambda p: p + b"\0"), why="left behind")
        forged(5, lambda v: [(0, b"", 0)], "sound")
        forged(5, lambda v: [(1, b"\3abc", 0)], why="cut off")
        forged(6, lambda v: [(1, b"i" * 16, 0)], "sound")
        forged(6, lambda v: [(1, b"i" * 17, 0)], why="left behind")

    def test_fences_when_the_snapshot_is_opened(self):
        """They ascend and lie inside the index; what they name is looked at with the index, behind the segments."""
        many = [(site, b"a", 1, 2, b"v") for site in (b"1", b"10", b"s", b"t")]
        newer = segment_header(2, 4, version=2)
        for place, change, verdict in (
            (0, lambda offset: offset - 1, "corrupt"), (1, lambda offset: offset + 1, "newer"),
            (3, lambda offset: offset + 999, "corrupt"), (3, lambda offset: 0, "corrupt"),
        ):  # fmt: skip

            def forge(what, value, place=place, change=change):
                if what != "region 3":
                    return value
                cursor = reader.Cursor(value[place][1])
                site, offset = cursor.front_coded(b""), cursor.varint()
                return [*value[:place], (1, front(site, b"") + varint(change(offset)), 0), *value[place + 1 :]]

            writer = SnapshotWriter(per_index=1, per_fence=1, forge=forge)
            files = self.files(writer.write((1, 1), (1, 4), (0, 0), many))
            self.check(files, "corrupt")
            self.check({**files, "0000000002.wal": newer}, verdict)

    def test_an_input_twice(self):
        """Point 7 is for who checks everything, behind the opening of the segments."""
        inputs = [(checkpoint(*POINT), 3, 0)] * 2
        files = self.files(SnapshotWriter().write((1, 1), (1, 4), (0, 0), EVENTS, 0, inputs))
        self.check(files, "corrupt", "twice")
        self.check({**files, "0000000002.wal": segment_header(2, 4, version=2)}, "newer")

    def test_standard_inputs_in_one(self):
        """A sum of inputs called `-` has digests of zeros. Its instance may come again, and go on in frames."""
        one, two = b"standard input 1", b"standard input 2"

        def as_one(instance, end, end_line):
            return replaced(checkpoint(instance, 0, end, 0, end_line, b"-"), 52, bytes(32))

        for of_second in one, two:
            first = SnapshotWriter().write((1, 1), (1, 4), (0, 77), EVENTS, 40, [(as_one(one, 9000, 43), 43, 0)])
            second = SnapshotWriter().write((2, 2), (4, 6), (77, 78), [], 5, [(as_one(of_second, 90, 5), 5, 0)])
            log = Log(3, 6, 78)
            log.batch((one, 90, 200, 5, 7, b"-"), EVENTS[:1], [(100, 5, 0, 3, 4, b"oops")])
            files = {"0000000001-0000000001.snap": first, "0000000002-0000000002.snap": second, **log.files}
            got = self.check(files, "sound")
            expected = [[one.hex(), 200, 7, 44 + 5 * (of_second == one), 1, b"-".hex(), 0]]
            expected += [[two.hex(), 90, 5, 5, 0, b"-".hex(), 0]] * (of_second == two)
            self.assertEqual(got["inputs"], expected)
            self.assertEqual((got["events"], got["copies"]), (3, 46))
        # what holds of every checkpoint and input holds of a sum
        good = as_one(one, 9000, 43)
        point = (one, 0, 9000, 0, 43, b"-")
        for inputs, rejects, verdict in (
            ([(good, 43, 0)], [], "sound"),
            ([(good, 43, 0), (as_one(two, 1, 1), 0, 0)], [], "sound"),
            ([(as_one(one, 0, 0), 0, 0)], [], "sound"),
            ([(good, 43, 0)] * 2, [], "corrupt"),
            ([(good, 43, 1)], [], "corrupt"),
            ([(good, 43, 0)], [(point, [(278, 2, 0, 3, 4, b"oops")])], "corrupt"),
            ([(good, 1 << 40, 0)], [], "corrupt"),
            ([(as_one(one, 1 << 56, 43), 43, 0)], [], "corrupt"),
            ([(replaced(good, 48, bytes(4)), 43, 0)], [], "corrupt"),
            ([(replaced(good, 16, varint(9001)), 43, 0)], [], "corrupt"),
        ):
            data = SnapshotWriter().write((1, 1), (1, 4), (0, 0), EVENTS, 40, inputs, [], rejects)
            self.check(self.files(data), verdict)

    def test_what_a_repair_publishes(self):
        """A snapshot over the missing files too, whose chain goes on two behind; then a segment with a hole and a mark."""
        data = SnapshotWriter().write((1, 4), (1, 9), (0, 77), EVENTS)
        log = Log(5, 9, 77)
        log.hole(2, 4, [(3, 7)], [(b"i" * 16, 3, 9, b"-")])
        log.mark()
        log.acknowledge()
        files = {"0000000001-0000000004.snap": data, **log.files, "0000000002.wal.repair-1": b"?", "0000000003.wal": b"?"}
        self.assertEqual(self.check(files, "sound")["events"], 3)
        self.assertEqual(reader.verify(files)["verdict"], "sound")
        # until the snapshot has its name, the store is damaged as before
        damaged = {"0000000001.wal": SEGMENT, "0000000002.wal": segment_header(2, 3)}
        self.check({**damaged, **log.files}, "corrupt", "0000000003.wal: missing")
        log = Log(2, 5, 77)
        log.hole(1, 1, [], [])
        log.mark()
        self.check({"0000000001.wal": replaced(SEGMENT, 200, b"?"), **log.files}, "corrupt")

    def test_together(self):
        twice = [(b"1", b"a", 1, 2, b"v"), (b"1", b"b", 2, 2, b"v")]
        other = next(b"%d" % i for i in range(2, 9999) if shard(b"%d" % i) == shard(b"1"))
        events = [twice[0], (other, b"c", 3, 2, b"v"), twice[1]]
        writer = SnapshotWriter(per_block=1, forge=lambda what, v: events if what == "rows" else v)
        data = writer.write((1, 1), (1, 4), (0, 0), events)
        self.check(self.files(data), "corrupt", "stand together")

    def test_first_frame(self):
        data = SnapshotWriter().write((1, 1), (2, 4), (0, 0), EVENTS)
        self.check(self.files(data), "corrupt", "begins with frame 2")

    def test_point_7(self):
        point, other = (*POINT, b"chat"), (b"another instance", *POINT[1:], b"chat")
        one = [(278, 2, 0, 3, 4, b"oops")]
        for inputs, rejects, verdict in (
            ([(checkpoint(*point), 3, 1)], [(point, one)], "sound"),
            ([(checkpoint(*point), 3, 2)], [(point, one), (point, one)], "sound"),
            ([(checkpoint(*point), 3, 2)], [(point, one)], "corrupt"),
            ([(checkpoint(*point), 3, 0)], [(point, one)], "corrupt"),
            ([(checkpoint(*point), 3, 0)], [(other, one)], "corrupt"),
            ([(checkpoint(*point), 3, 0)] * 2, [], "corrupt"),
        ):
            data = SnapshotWriter().write((1, 1), (1, 4), (0, 0), EVENTS, 0, inputs, [], rejects)
            self.check(self.files(data), verdict)

    def test_checkpoints_and_rejects_of_a_snapshot(self):
        """They are those of 6.1 and 6.2 there as well."""
        point = (*POINT, b"chat", b"x", 7, [1, 300])
        some = [(278, 2, 0, 3, 4, b"oops"), (280, 2, 2, 3, 4, b"oops"), (285, 4, 9, 2, 5000, b"x" * 5000), (290, 4, 9, 2, 5000, b"x" * 5000)]
        data = SnapshotWriter().write((1, 1), (1, 4), (0, 77), EVENTS, 0, [(checkpoint(*point), 3, 4)], [], [(point, some)])
        got = self.check(self.files(data), "sound")
        self.assertEqual(got["inputs"], [[POINT[0].hex(), 386, 4, 3, 4, b"chat".hex(), 7]])
        self.assertEqual(got["rejects"], [[POINT[0].hex(), r[0], r[1] + 1, *r[2:5], r[5].hex()] for r in some])
        # what comes later has the left that counts, and the rejects come together
        for left in None, 0, 5:
            second = SnapshotWriter().write((2, 2), (4, 6), (77, 78), [], 0, [(checkpoint(*POINT, b"chat", b"x", left), 0, 0)])
            log = Log(3, 6, 78)
            files = {"0000000001-0000000001.snap": data, "0000000002-0000000002.snap": second, **log.files}
            got = self.check(files, "sound")
            self.assertEqual(got["inputs"], [[POINT[0].hex(), 386, 4, 3, 4, b"chat".hex(), left or 0]])
            log.batch((POINT[0], 386, 400, 4, 4, b"chat", b"x", 9), [], [(390, 4, 1, 3, 1, b"?")])
            got = self.check({**files, **log.files}, "sound")
            self.assertEqual(got["inputs"], [[POINT[0].hex(), 400, 4, 3, 5, b"chat".hex(), 9]])
            self.assertEqual(got["rejects"][4], [POINT[0].hex(), 390, 5, 1, 3, 1, b"?".hex()])
        good = checkpoint(*POINT)
        for rest in b"\0", varint(1 << 56) + b"\0", b"\0" + marks_of(386), b"\0" + marks_of(2, 1), b"\0\0\0", b"\0\x41":
            # among the inputs: when the snapshot is opened, so before the segments; in a block of rejects: behind them
            newer = {"0000000002.wal": segment_header(2, 4, version=2)}
            files = self.files(SnapshotWriter().write((1, 1), (1, 4), (0, 0), EVENTS, 0, [(good + rest, 3, 0)]))
            self.check(files, "corrupt", "block of inputs")
            self.check({**files, **newer}, "corrupt", "block of inputs")
            block = lambda what, value, rest=rest: [(0, varint(len(good + rest)) + good + rest, 0)] if what == "region 7" else value
            files = self.files(SnapshotWriter(forge=block).write((1, 1), (1, 4), (0, 0), EVENTS, 0, [(good, 3, 0)]))
            self.check(files, "corrupt", "block of rejects")
            self.check({**files, **newer}, "newer")
        for record, verdict in (
            (bytes([3, 4, 0x83, 1, 0, 0]), "sound"), (bytes([3, 5, 0x83, 1, 0, 0]), "corrupt"), (bytes([3, 4, 0x80, 1, 0, 0]), "corrupt"),
            (bytes([3, 4, 0x83]) + varint(1 << 56) + bytes(2), "corrupt"),
            (bytes([3, 4, 3]) + varint(1_048_576) * 2 + bytes(1_048_576), "sound"),
            (bytes([3, 4, 3]) + varint(1_048_577) * 2 + bytes(1_048_577), "corrupt"),
        ):  # fmt: skip
            block = lambda what, value, record=record: [(1, varint(len(good)) + good + record, 0)] if what == "region 7" else value
            data = SnapshotWriter(forge=block).write((1, 1), (1, 4), (0, 0), EVENTS, 0, [(good, 3, 1)])
            self.check(self.files(data), verdict)

    def test_forged_bytes(self):
        """Every change is found, but for those of fields that nobody looks at or that nothing can check."""
        files, free = self.files(SNAPSHOT), set()
        for place in range(len(SNAPSHOT)):
            forged = repair_checksums(".snap", replaced(SNAPSHOT, place, bytes([SNAPSHOT[place] ^ 1])))
            if reader.read({**files, "0000000001-0000000001.snap": forged})["verdict"] == "sound":
                free.add(place)
        for name, start, length in (("reserved", 12, 4), ("previous", 72, 4), ("copies", 144, 5), ("reserved", 184, 4)):
            self.assertEqual({p for p in range(192) if start <= p < start + length} - free, set(), name)
        self.assertFalse(free & set(range(80, 144)) | free & set(range(149, 184)) | free & set(range(8, 12)))

    def test_chain_of_snapshots(self):
        for seed in range(40):
            store = Random(seed, compacted=2, frames=4)
            self.says(store.files, store.model.answer())
            second = sorted(store.snapshots)[1]
            data = store.snapshots[second]
            for place in 16, 32, 40, 56, 72:
                forged = replaced(data, place, bytes([data[place] ^ 1]))
                self.check({**store.files, second: repair_checksums(second, forged)}, "corrupt")


class Stores(Case):
    def test_random_stores(self):
        for seed in range(100):
            store = Random(seed)
            files = store.files
            self.says(files, store.model.answer())
            here = {(site, id) for site, id in store.model.copies}
            self.assertEqual(reader.intact_events(files), here)

    def test_cut_off(self):
        for seed in range(25):
            store = Random(seed, compacted=seed % 2, frames=6)
            name = store.log.name
            data = store.files[name]
            ends = {64} | {end for file, _, _, _, end in store.log.frames if file == name}
            for length in range(seed % 29, len(data), 29):
                got = reader.read({**store.files, name: data[:length]})["verdict"]
                expected = "corrupt" if length < 64 else "sound" if length in ends else "torn"
                self.assertEqual(got, expected, (seed, length))

    def test_intact_events_of_damaged_stores(self):
        """What is intact is what the frames and blocks hold that were not touched."""
        log = Log()
        parts = []
        for i in range(5):
            events = [(site, b"%d-%d" % (i, j), j, 2, b"v") for j in range(9) for site in (b"1", b"shop")]
            log.batch((b"i" * 16, i, i + 1, i, i + 1), events)
            parts.append({event[:2] for event in events})
        everything = set().union(*parts)
        start, end = log.frames[2][1], log.frames[2][4]
        for change, lost in (
            (replaced(log.data, start, b"?"), parts[2]),
            (replaced(log.data, start + 77, b"?"), parts[2]),
            (replaced(log.data, start + 100, b"?"), parts[2]),
            (replaced(log.data, end - 1, b"?"), {e for e in parts[2] if e[0] == b"1"}),
            (replaced(log.data, 0, b"?"), set()),
            (replaced(log.data, 40, b"?"), set()),
            (log.data[:start] + log.data[end:], parts[2]),
            (log.data[:start] + b"more" + log.data[start:], set()),
            (log.data[64:], set()),
            (log.data[:end] + log.data[start:], set()),
            (log.data[: len(log.data) - 1], {e for e in parts[4] if e[0] == b"1"}),
        ):
            self.assertEqual(reader.intact_events({log.name: change}), everything - lost)
        files = {"0000000001-0000000001.snap": replaced(SNAPSHOT, 0, b"?"), "0000000002.wal": b""}
        self.assertEqual(reader.intact_events(files), IDENTITIES)

    def test_intact_events_of_a_frame_cut_off(self):
        """Sections that are still whole count, as soon as the directory is."""
        header = 64 + 80 + 4 * 14
        shop = header + 90 + 10 + 30
        for length in range(64, len(SEGMENT)):
            expected = {e for e in IDENTITIES if length >= (shop if e[0] == b"shop" else shop + 68)}
            self.assertEqual(reader.intact_events({"0000000001.wal": SEGMENT[:length]}), expected, length)
        bad = replaced(SEGMENT[:shop], 64 + 80, b"\2")  # a directory that is not right
        self.assertEqual(reader.intact_events({"0000000001.wal": bad}), set())
        for durable in 1, 7, 1 << 40:  # condition 4
            proud = repair_header(replaced(SEGMENT, 64 + 56, struct.pack("<Q", durable)), 64)
            self.assertEqual(reader.intact_events({"0000000001.wal": proud}), set())

    def test_intact_events_under_another_name(self):
        """A segment is that of the number in its header, if it has the store's id: the one that most files have."""
        log, other = Log(), Log(store=b"x" * 16)
        for one in log, other:
            one.batch(POINT, EVENTS if one is log else [(b"1", b"foreign", 1, 2, b"v")])
            one.seal()
        first, second = log.files["0000000001.wal"], log.files["0000000002.wal"]
        foreign = other.files["0000000001.wal"]
        alien = {(b"1", b"foreign")}
        for files, expected in (
            ({"0000000007.wal": first}, IDENTITIES),
            ({"0000000007.wal": first, "0000000002.wal": second}, IDENTITIES),
            ({"0000000001.wal": second, "0000000002.wal": first}, IDENTITIES),
            ({"0000000001.wal": first, "0000000002.wal": second, "0000000007.wal": foreign}, IDENTITIES),
            ({"0000000001.wal": foreign, "0000000002.wal": second, "0000000007.wal": first}, IDENTITIES),
            ({"0000000001.wal": foreign, "0000000002.wal": other.files["0000000002.wal"], "0000000007.wal": first}, alien),
            # the header is bad: the name tells, and frames that name another segment are not its own
            ({"0000000007.wal": b"?" + first[1:], "0000000002.wal": second}, set()),
            ({"0000000001.wal": b"?" + first[1:], "0000000002.wal": second}, IDENTITIES),
            ({"0000000001.wal": b"?" + foreign[1:], "0000000002.wal": second}, set()),
        ):
            self.assertEqual(reader.intact_events(files), expected)

    def test_intact_events_of_snapshots(self):
        name, tail = "0000000001-0000000001.snap", {"0000000002.wal": segment_header(2, 4)}
        for data, expected in (
            (SNAPSHOT[:300], {e for e in IDENTITIES if e[0] == b"shop"}),  # a block counts if all of it is there
            (SNAPSHOT[:370], IDENTITIES),
            (SNAPSHOT[192:], IDENTITIES),
            (SNAPSHOT[:192] + b"more" + SNAPSHOT[192:], IDENTITIES),
            (repair_checksums(".snap", replaced(SNAPSHOT, 48, b"other")), IDENTITIES - IDENTITIES),  # another salt
            (replaced(SNAPSHOT, 48, b"other"), IDENTITIES),
        ):
            self.assertEqual(reader.intact_events({name: data, **tail}), expected)
            self.assertEqual(reader.intact_events({"0000000003-0000000004.snap": data}), expected)


    def test_intact_events_of_another_store(self):
        """Of a file of another store nothing is taken; the files that count vote, and the first file where it is a tie."""
        log, other = Log(), Log(store=b"x" * 16)
        for one in log, other:
            one.batch(POINT, EVENTS if one is log else [(b"1", b"foreign", 1, 2, b"v")])
            one.seal()
        first, second = log.files["0000000001.wal"], log.files["0000000002.wal"]
        foreign = SNAPSHOT[:16] + b"x" * 16 + SNAPSHOT[32:]
        foreign = repair_checksums(".snap", foreign)
        alien = other.files["0000000001.wal"]
        name = "0000000001-0000000001.snap"
        tail = {"0000000002.wal": second, "0000000003.wal": segment_header(3, 4)}
        bad = b"?" + foreign[1:]
        for files, expected in (
            ({name: foreign, **tail}, set()),
            ({name: foreign, "0000000002.wal": second}, IDENTITIES),  # a tie
            ({name: bad, **tail}, IDENTITIES),  # nobody knows whose it is
            ({"0000000001.wal": alien, **tail}, set()),
            # frames of this store, or of no store that is known, in a file of another
            ({"0000000001.wal": alien[:64] + first[64:], **tail}, set()),
            # left-over files have no vote
            ({name: SNAPSHOT, "0000000002.wal": segment_header(2, 4), "0000000001.wal": alien}, IDENTITIES),
            ({"0000000001-0000000003.snap": SNAPSHOT, "0000000004.wal": segment_header(4, 4),
              **{f"{i:010}.wal": segment_header(i, i, store=b"x" * 16) for i in (1, 2, 3)}}, IDENTITIES),
            # a snapshot of another store has lost all of this one
            ({name: foreign, **tail, "0000000001.wal": first}, IDENTITIES),
        ):  # fmt: skip
            self.assertEqual(reader.intact_events(files), expected)

    def test_the_store_where_no_header_is_sound(self):
        """It is the one that the first frame header names by which a segment is known."""
        x = b"x" * 16

        def log(number, id, store=STORE, bad=True):
            log = Log(number, 3, store=store)
            log.batch(POINT, [(b"1", id, 1, 2, b"v")])
            return {log.name: (b"?" if bad else b"c") + log.data[1:]}

        a, b, empty = {(b"1", b"a")}, {(b"1", b"b")}, {"0000000001.wal": b""}
        bad = {"0000000001-0000000001.snap": b"?" + SNAPSHOT[1:]}
        for files, store, expected in (
            ({**log(1, b"a"), **log(2, b"b", x)}, STORE, a),
            ({**log(1, b"a", x), **log(2, b"b")}, x, a),
            ({**log(2, b"a"), **log(1, b"b", x)}, x, b),  # the first of the files, in whatever order they come
            ({**empty, **log(2, b"a", x), **log(3, b"b"), **log(4, b"c")}, x, a),  # nobody votes
            ({**log(1, b"a", x), "0000000002.wal": log(3, b"b")["0000000003.wal"], **log(4, b"b", x)}, x, a | b),  # 2 is not known
            ({"0000000001.wal": log(2, b"b")["0000000002.wal"], **log(3, b"a", x)}, x, a),
            ({**log(1, b"a", x), **log(2, b"b", bad=False)}, STORE, b),  # a sound header is asked before
            ({**log(1, b"a"), **log(2, b"b", x), "0000000003.wal": segment_header(9, 3, store=x)}, x, b),  # be its number right or not
            ({**bad, **log(2, b"a", x), **log(3, b"b")}, x, IDENTITIES | a),  # a bad snapshot names none
            ({**bad, "0000000002.wal": b""}, None, IDENTITIES),
            # not even that: then nobody knows of a file that is of another store
            ({**bad, "0000000002.wal": b"", **log(1, b"a", bad=False)}, None, IDENTITIES | a),
            ({**bad, "0000000002.wal": b"", **log(1, b"a", x)}, None, IDENTITIES | a),
            ({"0000000001-0000000002.snap": b"", "0000000003.wal": b"", "0000000001-0000000001.snap": SNAPSHOT}, None, IDENTITIES),
        ):
            self.assertEqual(reader.store_of(files), store)
            self.assertEqual(reader.intact_events(files), expected)
        # those in their place are asked first
        twin = Log(3, 3)
        data = b"?" * 64 + loose(twin, MARK, store=x, offset=1)
        data += loose(twin, MARK, offset=len(data))
        self.assertEqual(reader.store_of({twin.name: data}), STORE)
        self.assertEqual(reader.store_of({twin.name: data[:-80]}), x)
        # and so a newer frame in a segment of another store is not met
        for first, verdict in (STORE, "newer"), (x, "corrupt"):
            newer = Log(2, 3)
            newer.frame(9)
            files = {**log(1, b"a", first), newer.name: b"?" + newer.data[1:]}
            self.assertEqual(reader.verify(files)["verdict"], verdict)

    def test_intact_events_of_left_over_files(self):
        """They are gone through only where the snapshot that replaced them lost something."""
        more = Log()
        more.batch(POINT, [*EVENTS, (b"1", b"more", 1, 2, b"v")])
        name, everything = "0000000001-0000000001.snap", IDENTITIES | {(b"1", b"more")}
        files = {"0000000001.wal": more.data, "0000000002.wal": segment_header(2, 4)}
        self.assertEqual(reader.intact_events({name: SNAPSHOT, **files}), IDENTITIES)
        for bad in SNAPSHOT[:300], b"", replaced(SNAPSHOT, 232, b"?"):
            self.assertEqual(reader.intact_events({name: bad, **files}), everything)
        # a segment before a snapshot that counts, but in none, is not left over
        del files["0000000002.wal"]
        self.assertEqual(reader.intact_events({"0000000002-0000000002.snap": SNAPSHOT, **files}), everything)


class Verify(Case):
    """8.4: what is corrupt to a reader may be newer to who goes on past damage."""

    def both(self, files, read, verify):
        self.check(files, read)
        got = reader.verify(files)
        self.assertEqual(got["verdict"], verify, got["why"])

    def test_nothing_is_wrong(self):
        self.both(EXAMPLE, "sound", "sound")
        self.both({}, "no store", "no store")
        self.both({"0000000001.wal": SEGMENT[:-1]}, "torn", "torn")
        self.both({"0000000001.wal": replaced(SEGMENT, 230, b"?")}, "corrupt", "corrupt")

    def test_newer_behind_damage(self):
        newer = segment_header(2, 4, version=2)
        self.both({"0000000001.wal": b"", "0000000002.wal": newer}, "corrupt", "newer")
        self.both({**EXAMPLE, "0000000003.wal": newer}, "corrupt", "newer")
        fields = struct.pack("<8sHH", b"chatsnap", 2, 16)
        snapshots = {"0000000001-0000000001.snap": b"", "0000000002-0000000002.snap": fields + crc(fields)}
        self.both({**snapshots, "0000000003.wal": b""}, "corrupt", "newer")
        self.both({"0000000001-0000000001.snap": b"", "0000000002.wal": newer}, "corrupt", "newer")
        left_over = {"0000000001-0000000001.snap": b"", "0000000001.wal": newer, "0000000002.wal": segment_header(2, 4)}
        self.both(left_over, "corrupt", "corrupt")

    def test_newer_frames_behind_a_gap(self):
        for section in None, [(7, 0, 1, b"new")]:

            def log(newer=True, section=section, **forge):
                log = example_log()
                log.mark()
                if newer:
                    log.frame(BATCH if section else 9, section or [], **forge)
                return log

            bad = lambda log, place=64: {log.name: replaced(log.data, place, b"?")}
            self.both(log().files, "newer", "newer")
            self.both(bad(log()), "corrupt", "newer")
            self.both(bad(log(False)), "corrupt", "corrupt")
            self.both(bad(log(previous=1), 398), "corrupt", "newer")  # its gap has no other bytes
            self.both(bad(log(offset=65)), "corrupt", "newer")
            self.both(bad(log(number=2)), "corrupt", "corrupt")
            self.both(bad(log(sequence=2)), "corrupt", "corrupt" if section else "newer")  # condition 4
        log = example_log()
        log.frame(MARK, durable=0)
        torn = {log.name: replaced(log.data, 478, b"?") + b"more"}
        self.both(torn, "torn", "torn")

    def test_newer_in_its_place_behind_a_torn_gap(self):
        """The first segment is damaged; the gap in the second is torn, but behind it the walk goes on."""
        log = example_log()
        log.seal()
        log.frame(MARK, durable=0)
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        damaged = {**log.files, "0000000001.wal": replaced(SEGMENT, 64, b"?") + log.files["0000000001.wal"][478:]}
        self.both(damaged, "corrupt", "newer")
        two = "0000000002.wal"
        self.both({**damaged, two: replaced(damaged[two], 64, b"?")}, "corrupt", "newer")
        self.both({**damaged, two: replaced(damaged[two][:-80], 64, b"?")}, "corrupt", "corrupt")
        log.acknowledge(3)
        self.both({**damaged, two: replaced(damaged[two], 64, b"?"), **{"ACKNOWLEDGED": log.files["ACKNOWLEDGED"]}}, "corrupt", "newer")

    def test_behind_a_seal(self):
        log = example_log()
        log.frame(SEAL)
        log.frame(9)
        for first in 4, 5:
            self.both({**log.files, "0000000002.wal": segment_header(2, first)}, "corrupt", "newer")

    def test_a_frame_before_the_one_that_was_due(self):
        """It is not the next one, so what stands behind it is still in the gap."""
        for sequence, verdict in (2, "newer"), (3, "corrupt"), (4, "corrupt"):
            log = example_log()
            log.acknowledge(sequence=9)  # so no gap is torn
            inside = loose(log, 9, offset=1)
            point = (b"i" * 16, 0, 999, 0, 9)
            sections = [(1, 0, 1, checkpoint(*point)), (2, 0, 1, rejects_section([(1, 1, 0, 3, 999, inside)], 0, 0))]
            log.frame(BATCH, sections, durable=0, sequence=sequence, previous=1)
            self.both(log.files, "corrupt", verdict)

    def test_a_gap_before_a_header_that_waits(self):
        """Rows 7 and 9: a gap in the place of the seal is torn, if the next header says so."""
        log = Log()
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        damaged = replaced(log.data, 64, b"?")
        self.both({log.name: damaged, "0000000002.wal": segment_header(2, 2)}, "torn", "torn")
        self.both({log.name: damaged, "0000000002.wal": segment_header(2, 5)}, "corrupt", "newer")

    def test_newer_out_of_its_place(self):
        """In a gap a newer frame is met at any offset, if it is of this segment and condition 4 holds."""
        section = [(7, 0, 1, b"new")]
        for sections, cases in (
            ([], [({}, "newer"), ({"durable": 99}, "newer"), ({"payload": 99}, "newer")]),
            (section, [({}, "newer"), ({"durable": 99}, "corrupt"), ({"payload": 1 << 20}, "newer"), ({"payload": 13}, "corrupt"),
                       ({"payload": (1 << 26) + 1}, "corrupt"), ({"payload": 1 << 26}, "newer"), ({"entries": 2}, "corrupt")]),
            ([(3, 0, 1, b"")] * 2 + section, [({}, "corrupt")]),  # another rule is broken before it
            (section + [(3, 0, 1, b"")], [({}, "newer")]),
        ):  # fmt: skip
            older = ({"sequence": 1, "durable": 0}, cases[0][1])
            for forge, verdict in cases + [older, ({"number": 2}, "corrupt"), ({"sequence": 1 << 40}, "corrupt")]:
                log = example_log()
                log.acknowledge(sequence=9)
                new = loose(log, BATCH if sections else 9, sections, **forge)
                self.both({**log.files, log.name: log.data + b"moved" + new}, "corrupt", verdict)
        for what in {"salt": b"another."}, {"store": b"x" * 16}:
            new = loose(log, 9, **what)
            self.both({**log.files, log.name: log.data + b"moved" + new}, "corrupt", "corrupt")
        new = loose(log, BATCH, section)
        for cut, verdict in (79, "corrupt"), (93, "corrupt"), (94, "newer"):  # the directory has to be there
            self.both({**log.files, log.name: log.data + new[:cut]}, "corrupt", verdict)
        self.both({**log.files, log.name: log.data + replaced(new, 76, b"?")}, "corrupt", "corrupt")

    def test_newer_bytes_inside_a_frame(self):
        """They are bytes of a gap only where the frame is not in the chain; behind the gap the chain goes on."""
        for kept, place, verdict in (True, 64, "newer"), (False, 64, "corrupt"), (True, None, "corrupt"):
            log = Log()
            new = loose(log, 9)
            sections = [(1, 0, 1, checkpoint(*POINT)), (2, 0, 1, rejects_section([(1, 1, 0, 3, 99, new if kept else b"")], 0, 0))]
            log.frame(BATCH, sections)
            log.mark()
            log.batch((b"i" * 16, 5, 4, 0, 0))  # corrupt by itself
            log.mark()
            files = {log.name: log.data if place is None else replaced(log.data, place, b"?")}
            self.both(files, "corrupt", verdict)

    def test_a_frame_that_is_not_the_next_one(self):
        """Out of its place, or cut off: its bytes are still those of the gap."""
        for more, end, verdict in (b"", None, "corrupt"), (b"moved", None, "newer"), (b"", -1, "newer"):
            log = Log()
            log.mark()
            log.acknowledge(sequence=9)
            sections = [(1, 0, 1, checkpoint(*POINT)), (2, 0, 1, rejects_section([(1, 1, 0, 3, 99, loose(log, 9) + b"end")], 0, 0))]
            new = loose(log, BATCH, sections, previous=1)
            self.both({**log.files, log.name: log.data + more + new[:end]}, "corrupt", verdict)

    def torn_gaps(self, change):
        """Segment 1 is damaged; in segment 2 nothing is proven, and frame 4 (at 64) and frame 6 (at 224) are torn."""
        log = Log()
        log.mark()
        log.seal()
        for _ in range(3):
            log.frame(MARK, durable=0)
        change(log)
        one, two = "0000000001.wal", "0000000002.wal"
        files = {one: replaced(log.files[one], 64, b"?"), two: replaced(replaced(log.files[two], 64, b"?"), 224, b"?")}
        self.assertEqual(reader.read({**log.files, two: replaced(log.files[two], 64, b"?")})["verdict"], "torn")
        return files, log

    def test_newer_in_a_torn_gap(self):
        """A gap reaches to the next frame in its place, or to the end of the file; behind a torn one the walk goes on."""
        section = [(7, 0, 1, b"new")]
        files, log = self.torn_gaps(lambda log: None)
        self.both(files, "corrupt", "corrupt")
        for sections in [], section:
            forge = {"sections": sections, "kind": BATCH if sections else 9, "durable": 0}
            new = lambda log: loose(log, **forge, offset=1)
            two = log.name
            data = files[two]
            self.both({**files, two: data[:144] + new(log) + data[144:]}, "corrupt", "newer")  # in the first, and all are moved
            self.both({**files, two: data + new(log)}, "corrupt", "newer")  # in the second, to the end of the file
            self.both({**files, two: data + new(log)[:-1]}, "corrupt", "newer" if sections else "corrupt")
            # between the second and a frame in its place behind it
            more = Log(number=2)
            more.files, more.name, more.number = {**files, two: data + new(log)}, two, 2
            more.frames, more.due = [], 7
            more.frame(MARK, durable=0)
            self.both(more.files, "corrupt", "newer")
            # in its place, behind two torn gaps
            more.files[two] = data
            more.due = 7
            more.frame(MARK, durable=0)
            self.both(more.files, "corrupt", "corrupt")
            more.frame(forge["kind"], sections, durable=0)
            self.both(more.files, "corrupt", "newer")

    def test_no_newer_inside_a_frame_behind_a_torn_gap(self):
        """A frame of the chain is one there as well, and what stands inside it is not looked for."""

        def batch(log):
            inside = loose(log, 9, durable=0, offset=1)
            sections = [(1, 0, 1, checkpoint(*POINT)), (2, 0, 1, rejects_section([(1, 1, 0, 3, 99, inside)], 0, 0))]
            log.frame(BATCH, sections, durable=0)

        files, log = self.torn_gaps(batch)
        self.both(files, "corrupt", "corrupt")
        self.both({**files, log.name: files[log.name] + b"a gap behind it"}, "corrupt", "corrupt")
        offset = log.frames[-1][1]
        self.both({**files, log.name: replaced(files[log.name], offset, b"?")}, "corrupt", "newer")

    def test_newer_before_the_first_frame_where_a_header_is_damaged(self):
        """From the very first byte on, also in a header that reaches behind byte 64; in a sound header nothing is looked for."""
        for sections in [], [(7, 0, 1, b"new")]:
            log = Log()
            new = loose(log, BATCH if sections else 9, sections, durable=0)
            for place in 0, 1, 30, 63, 64, 65:
                for behind in b"", b"end", loose(log, MARK, offset=place + len(new), durable=0):
                    data = b"?" * place + new + behind
                    self.both({log.name: data}, "corrupt", "newer")
            self.both({log.name: new[:79]}, "corrupt", "corrupt")
            old = loose(log, MARK, offset=64, durable=0)
            self.both({log.name: new + old}, "corrupt", "newer")
            self.both({log.name: b"?" * 64 + old}, "corrupt", "corrupt")
            self.both({log.name: loose(log, 9, number=2) + old}, "corrupt", "corrupt")

    def chain(self, many):
        """Segments of marks and a seal each, and a newer frame in the last one."""
        log = Log()
        for _ in range(many - 1):
            log.mark()
            log.mark()
            log.seal()
        log.mark()
        log.frame(9)
        return log

    def test_a_segment_whose_header_is_damaged(self):
        """It is known by the first frame header that names it."""
        bad = lambda data: b"?" + data[1:]
        log = self.chain(1)
        one = log.name
        self.both({one: bad(log.data)}, "corrupt", "newer")
        self.both({one: bad(log.data[:64]) + b"more" + log.data[64:]}, "corrupt", "newer")  # moved
        self.both({one: bad(log.data[:144])}, "corrupt", "corrupt")
        self.both({"0000000002.wal": bad(log.data)}, "corrupt", "corrupt")  # nothing names it
        # its salt is that of the first header in its place, or of the first one of all
        odd = loose(log, MARK, salt=b"another.", offset=1)
        self.both({one: bad(log.data[:64]) + odd + log.data[64:]}, "corrupt", "corrupt")
        start = len(odd) + 64
        moved = [loose(log, 9, offset=start), loose(log, 9, offset=1)]
        self.both({one: bad(log.data[:64]) + odd + moved[0]}, "corrupt", "newer")
        self.both({one: bad(log.data[:64]) + odd + moved[1]}, "corrupt", "corrupt")
        # where this store is known, headers of another one do not name it
        odd = loose(log, MARK, store=b"x" * 16, offset=64)
        self.both({one: bad(log.data[:64]) + odd + moved[1]}, "corrupt", "corrupt")
        self.both({one: bad(log.data[:64]) + odd + moved[1], "0000000002.wal": segment_header(2, 3)}, "corrupt", "newer")

    def test_the_first_sequence_where_a_header_is_damaged(self):
        """The header that names the segment is due first: a gap before it is judged with its number, and older ones are not next."""
        for acknowledged in 1, 3:  # whether it is torn makes no difference
            log = Log()
            for _ in range(4):
                log.frame(MARK, durable=0)
            log.frame(9, durable=0)
            data = replaced(replaced(log.data, 0, b"?"), 64, b"?")
            data = replaced(data, 144, b"?")  # so frame 3 is the first one
            log.acknowledge(0, sequence=acknowledged)
            self.both({**log.files, log.name: data}, "corrupt", "newer")
        # in its place, no gap
        log = Log(first=7)
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        self.both({log.name: replaced(log.data, 0, b"?")}, "corrupt", "newer")

    def behind(self, change, verdict):
        """Three segments; the first is damaged, the second changed, and the first frame of the third goes on from another one."""
        log = Log()
        log.mark()
        log.seal()
        log.mark()
        log.seal()
        log.previous = 1
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        one, two = "0000000001.wal", "0000000002.wal"
        self.both({**log.files, one: replaced(log.files[one], 64, b"?"), two: change(log.files[two])}, "corrupt", verdict)

    def test_behind_a_segment_that_is_not_as_it_should_be(self):
        """There the chain goes on with any previous; else there is a gap without bytes, and it goes on behind that."""
        alien = segment_header(2, 3, store=b"x" * 16)
        for change, verdict in (
            (lambda data: data, "newer"),
            (lambda data: data[:-1], "newer"),
            (lambda data: data[:-80], "newer"),
            (lambda data: b"?" + data[1:], "newer"),
            (lambda data: b"?", "newer"),
            (lambda data: segment_header(9, 3) + data[64:], "newer"),
            (lambda data: alien + data[64:], "newer"),
        ):
            self.behind(change, verdict)

    def test_the_numbers_do_not_go_on(self):
        """Row 5: frames are missing between, so any previous will do."""
        for sealed in True, False:  # a seal that is missing is a gap at the end
            log = Log()
            log.mark()
            if sealed:
                log.seal()
            log.previous, log.due = 1, 5 if sealed else 2
            log.begin(2, log.due)
            log.frame(MARK, durable=0)
            log.frame(9, durable=0)
            self.both(log.files, "corrupt", "newer")

    def test_before_a_segment_of_which_nothing_can_be_told(self):
        """Row 10: what stands in the place of the seal is not torn, though the header that waits says so."""
        log = Log()
        log.frame(MARK, durable=0)
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        damaged = replaced(log.data, 64, b"?")
        for header, read, verify in (
            (segment_header(2, 2), "torn", "torn"),
            (b"?" + segment_header(2, 2)[1:], "corrupt", "newer"),
            (segment_header(3, 2), "corrupt", "newer"),
            (segment_header(2, 2, store=b"x" * 16), "corrupt", "newer"),
        ):
            self.both({log.name: damaged, "0000000002.wal": header}, read, verify)
        log = Log(number=2)  # the same behind damage
        log.frame(MARK, durable=0)
        log.frame(MARK, durable=0)
        log.frame(9, durable=0)
        files = {"0000000001.wal": b"", log.name: replaced(log.data, 64, b"?")}
        for first in 2, 3:  # torn or not
            self.both({**files, "0000000003.wal": segment_header(3, first)}, "corrupt", "newer")

    def test_another_number_or_store(self):
        """Not gone into: what is newer there is nobody's business."""
        log = self.chain(3)
        one, two, three = sorted(log.files)
        other_store, other_number = Log(number=2, first=4, store=b"x" * 16), Log(number=9, first=4)
        other_store.frame(9)
        other_number.frame(9)
        rest = {one: log.files[one], three: log.files[three][:144]}
        for data in other_store.data, other_number.data:
            self.both({**rest, two: data}, "corrupt", "corrupt")
        # the store is the one that most files have, not that of the first
        alien = segment_header(1, 1, store=b"x" * 16)
        self.both({one: alien, two: log.files[two], three: log.files[three]}, "corrupt", "newer")
        self.both({one: alien, two: other_store.data}, "corrupt", "newer")  # a tie, and so of the first file

    def behind_a_torn_place(self, log, durable):
        """A newer frame that only who goes past damage meets."""
        log.frame(MARK, durable=durable)
        log.files[log.name] += b"?"
        log.frame(9, durable=durable)
        return log.files

    def test_contents_are_looked_at_where_nothing_else_is_wrong(self):
        """What is wrong in them is corrupt, whatever else there is."""
        for behind in False, True:  # D
            log = example_log()
            log.batch((b"j" * 16, 0, 9, 0, 9), [], repeated=1)
            log.forget(b"j" * 16)
            log.hole(1, 2, [], [])
            files = self.behind_a_torn_place(log, 1 if behind else 5)
            self.both(files, "torn", "torn")
            for frame in reader.open_store(files).frames:
                for section in frame.sections:
                    if section.length and not (behind and frame.header.sequence > 1):
                        bad = {log.name: replaced(log.data, section.offset, bytes([log.data[section.offset] ^ 255]))}
                        self.both(bad, "corrupt", "newer" if section.kind in (1, 4) else "corrupt")
        for kind, data, verdict in (1, checkpoint(b"i" * 16, 5, 1, 0, 0), "newer"), (5, b"?", "corrupt"):  # behind D, with a right CRC
            log = Log()
            log.frame(BATCH if kind == 1 else HOLE, [(kind, 0, 1, data)], durable=0)
            self.both(self.behind_a_torn_place(log, 0), "corrupt", verdict)
        log = example_log()
        log.acknowledge(1, crc=1)  # step 8
        self.both(self.behind_a_torn_place(log, 1), "corrupt", "newer")

    def test_contents_of_a_snapshot(self):
        name = "0000000001-0000000001.snap"
        header = reader.snapshot_header(name, SNAPSHOT)
        log = Log(2, header.next_frame, header.next_previous)
        tail = self.behind_a_torn_place(log, header.next_frame - 1)
        self.both({name: SNAPSHOT, **tail}, "torn", "torn")
        for region, (start, end) in enumerate(reader.Snapshot(name, SNAPSHOT, header).regions[1:], 1):
            for place in (start, start + 40) if start < end else ():
                bad = replaced(SNAPSHOT, place, bytes([SNAPSHOT[place] ^ 255]))
                self.both({name: bad, **tail}, "corrupt", "corrupt" if region in (1, 2, 7) else "newer")
        for place, verdict in (136, "corrupt"), (168, "corrupt"), (32, "newer"), (56, "newer"), (128, "newer"):  # points 6 and 1
            bad = bytearray(SNAPSHOT)
            bad[place] ^= 2
            bad[188:192] = crc(bad[:188])
            self.both({name: bytes(bad), **tail}, "corrupt", verdict)

    def test_which_files_count_behind_a_fault_of_the_listing(self):
        snapshot = lambda first, last: f"{first:010}-{last:010}.snap"
        segment = "{:010}.wal".format
        newer = {".snap": struct.pack("<8sHH", b"chatsnap", 2, 16), ".wal": struct.pack("<8sHH", b"chatwal\0", 2, 16)}
        for count, left_over in (
            ([segment(2)], []),
            ([snapshot(1, 1)], [segment(1)]),  # no segment
            ([segment(1), snapshot(2, 2)], []),
            ([segment(1), snapshot(2, 4), segment(5)], [snapshot(2, 3), segment(2), segment(3), segment(4)]),
            ([snapshot(1, 4), segment(5), snapshot(6, 6)], [snapshot(3, 6)]),  # overlaps
            ([segment(3)], []),
            ([snapshot(2, 3), segment(4)], [segment(2), snapshot(3, 9)]),
            ([segment(2), snapshot(5, 6), segment(9)], [snapshot(6, 7)]),
            ([segment(1), segment(3)], []),
            ([segment(3), snapshot(4, 4)], [segment(4)]),
        ):
            names = [*left_over, *reversed(count)]
            for name in names:
                files = dict.fromkeys(names, b"")
                files[name] = newer[name[-5:] if name.endswith("snap") else ".wal"]
                files[name] += crc(files[name])
                self.both(files, "corrupt", "newer" if name in count else "corrupt")

    def test_the_files_that_count_give_events_and_vote(self):
        first, alien = Log(), Log(3, store=b"x" * 16)
        first.batch(POINT, EVENTS)
        alien.batch(POINT, [(b"1", b"foreign", 1, 2, b"v")])
        files = {**first.files, **alien.files}
        self.assertEqual(reader.intact_events(files), IDENTITIES)  # a tie
        header = lambda number: {f"{number:010}.wal": segment_header(number, 9, store=b"x" * 16)}
        self.assertEqual(reader.intact_events({**files, **header(9)}), {(b"1", b"foreign")})
        own = SNAPSHOT[:32] + struct.pack("<QQ", 4, 6) + SNAPSHOT[48:]
        own = repair_checksums(".snap", own)
        covers = {"0000000004-0000000006.snap": own, "0000000008.wal": segment_header(8, 9)}
        self.assertEqual(reader.intact_events({**files, **header(5), **header(6), **covers}), IDENTITIES)  # 5 and 6 are left over
        # overlaps: left over, and looked at only where something is lost
        overlap = {"0000000001-0000000004.snap": SNAPSHOT, "0000000002-0000000005.snap": b"", "0000000005.wal": alien.data}
        self.assertEqual(reader.intact_events(overlap), IDENTITIES)
        # of a tie the first file is the one that begins first, segment or snapshot
        files = {"0000000003.wal": alien.data, "0000000004-0000000006.snap": own}
        self.assertEqual(reader.intact_events(files), {(b"1", b"foreign")})

    def left(self, number=5, hole=(1, 4), store=STORE, marks=1, more=None, first=9):
        log = Log(number, first, previous=7, store=store)
        if hole:
            log.hole(*hole, [], [])
        for _ in range(marks):
            log.mark()
        if more:
            more(log)
        return log.files

    def test_what_an_unfinished_repair_left_does_not_count(self):
        log = Log()
        log.batch(POINT, EVENTS)
        fault = {**log.files, "0000000003.wal": b"", "0000000004.wal": b""}
        x = b"x" * 16
        cut = lambda files: {name: data[:-1] for name, data in files.items()}
        alien = {"0000000003.wal": segment_header(3, 3, store=x)}
        for files, counts in (
            (self.left(store=x), False),
            (self.left(store=x, marks=0), False),
            (self.left(store=x, marks=3), False),
            (self.left(store=x, hole=(2, 4)), False),
            (self.left(store=x, hole=None), True),
            (self.left(store=x, hole=(1, 3)), True),
            (self.left(store=x, hole=(0, 4)), True),
            (self.left(store=x, hole=(5, 4)), True),
            (self.left(store=x, more=lambda log: log.batch((b"j" * 16, 0, 9, 0, 9))), True),
            (self.left(store=x, more=lambda log: log.hole(1, 4, [], [])), True),
            (self.left(store=x, hole=None, more=lambda log: log.hole(1, 4, [], [])), True),  # a hole, then marks
            (self.left(store=x, hole=None, more=lambda log: log.hole(1, 4, [], []) or log.mark()), True),
            (cut(self.left(store=x)), True),
            ({"0000000005.wal": self.left(6, store=x)["0000000006.wal"]}, True),  # another number
            ({**self.left(store=x), "0000000007.wal": b""}, True),  # not the last one
            ({**self.left(store=x), "0000000002-0000000004.snap": b""}, False),
        ):
            # one file of each store, and one more of the other: if it counts it decides
            everything = {**fault, **alien, **files}
            self.assertEqual(reader.intact_events(everything), set() if counts else IDENTITIES)
            self.assertEqual("0000000005.wal" in [name for *_, name in reader.counting(everything)[0]], counts)
        # a snapshot of just these
        files = {"0000000002-0000000004.snap": b"", **self.left(hole=(2, 4))}
        self.assertEqual([name for *_, name in reader.counting(files)[0]], sorted(files))
        # no fault of the listing
        files = {**log.files, **self.left(2, (1, 1))}
        self.assertEqual([name for *_, name in reader.counting(files)[0]], sorted(files))


def damage(rng, data):
    what, place = rng.random(), rng.randrange(len(data) + 1)
    if what < 0.4 and place < len(data):
        return replaced(data, place, bytes([data[place] ^ (1 << rng.randrange(8))]))
    if what < 0.5:
        return data[:place]
    if what < 0.6:
        return data[:place] + rng.randbytes(rng.randrange(100)) + data[place:]
    if what < 0.7:
        return data[:place] + data[place + rng.randrange(300) :]
    if what < 0.8:
        return data + data[place : place + 600]
    return replaced(data, place, rng.choice([b"\0", b"\xff", b"\x80"]) * min(len(data) - place, rng.choice([1, 4, 64])))


class AnyBytes(Case):
    def test_damaged_and_forged(self):
        """No exception; an undamaged copy of what is left is never called sound with another answer."""
        rng, verdicts = random.Random(5), {}
        for seed in range(50):
            store = Random(seed)
            files, answer = store.files, store.model.answer()
            for _ in range(10):
                name = rng.choice(sorted(files))
                data = damage(rng, files[name])
                got = reader.read({**files, name: data})
                verdicts[got["verdict"]] = verdicts.get(got["verdict"], 0) + 1
                if got["verdict"] == "sound" and data[: len(files[name])] == files[name]:
                    self.assertEqual(got["report"], answer["report"])
                reader.intact_events({**files, name: data})
                checked = reader.verify({**files, name: data})
                self.assertIn((got["verdict"], checked["verdict"]), [(got["verdict"],) * 2, ("corrupt", "newer")])
                forged = {**files, name: repair_checksums(name, data)}
                json.dumps(reader.read(forged))
                reader.intact_events(forged)
        self.assertGreater(verdicts["corrupt"], 250)

    def test_noise(self):
        rng = random.Random(6)
        for _ in range(2000):
            events = rng.randbytes(rng.randrange(60))
            some = [rng.choice([0, 1, 2, 3, b]) if rng.random() < 0.7 else b for b in events]
            data = bytes(some)
            for parse in (
                lambda: reader.events(data, rng.randrange(1, 9), 0),
                lambda: reader.rejects(data, rng.randrange(9), reader.Checkpoint(b"", 0, 1000, 0, 1000, b"", 0)),
                lambda: reader.hole(data),
                lambda: reader.checkpoint(data),
            ):
                try:
                    parse()
                except reader.Invalid:
                    pass
            reader.read({"0000000001.wal": data, "ACKNOWLEDGED": data})
            reader.intact_events({"0000000001.wal": data, "0000000001-0000000002.snap": data})

    def test_speed(self):
        """Thousands of small stores in a minute."""
        stores = [Random(seed, frames=12).files for seed in range(30)]
        size = sum(len(data) for files in stores for data in files.values())
        start = time.process_time()
        for files in stores:
            reader.read(files)
        took = time.process_time() - start
        print(f"\n{len(stores)} stores of {size // len(stores)} bytes: {took / len(stores) * 1000:.2f} ms each")
        self.assertLess(took / len(stores), 0.02)


if __name__ == "__main__":
    unittest.main()
