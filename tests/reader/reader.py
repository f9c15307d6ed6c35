#!/usr/bin/env python3
"""A second reader of the log of chatwal, format 1, written from wal-format.md alone.

The parts below carry the numbers of the sections of that page, and the names are the page's.

    read(files)           what a store says, or why it is refused; files maps names to bytes
    verify(files)         the same, but going on past damage (section 8.4): what is corrupt to a reader may be newer
    intact_events(files)  the events that a repair can save of a damaged store (section 12, point 1); a store that
                          verify calls newer is none that a repair touches
    python3 reader.py DIRECTORY
"""

import json
import os
import re
import struct
import sys
from binascii import hexlify
from collections import Counter, namedtuple
from contextlib import contextmanager
from functools import lru_cache
from itertools import accumulate, pairwise
from math import inf
from operator import attrgetter
from zlib import crc32

# A few bytes can stand for 2^32 - 1 rejects (6.2), of up to 1 MiB each. Above this many in all, or this many kept bytes,
# written out, they are counted, not listed.
LISTED_REJECTS = 1_000_000
LISTED_BYTES = 1 << 30


class Invalid(Exception):
    """A piece of bytes is not as the page says. Who reads it knows the file and the place."""


class NewerKind(Exception):
    """A kind of frame or section that is not in the page's tables."""


class Refused(Exception):
    """The reader stops: a verdict, and why."""

    def __init__(self, verdict, why):
        super().__init__(why)
        self.verdict, self.why = verdict, why


class Unreadable(Exception):
    """An error, and no verdict on the store (section 2)."""


@contextmanager
def at(file, offset, what):
    """Turns what is Invalid inside into a refusal that names the file and the place."""
    try:
        yield
    except Invalid as error:
        raise Refused("corrupt", f"{file}: {what} at offset {offset}: {error}") from None


def need(condition, otherwise):
    if not condition:
        raise Invalid(otherwise)


# 1. Conventions ------------------------------------------------------------------------------------------------------

SEQUENCE_BOUND = 1 << 40  # sequence numbers, segment numbers, tallies
INPUT_BOUND = 1 << 56  # end, end line and left of a checkpoint, the column of a reject
LEAST, GREATEST = -(1 << 63), (1 << 63) - 1  # signed 64-bit numbers
PAYLOAD_MAX = 67_108_864

control = re.compile("[\x00-\x1f\x7f-\x9f]").search


def is_name(text):
    try:
        return 1 <= len(text) <= 1024 and control(text.decode("utf-8")) is None
    except UnicodeDecodeError:
        return False


def bounded(value, bound, what):
    if value >= bound:
        raise Invalid(f"{what} {value} is out of bounds")
    return value


class Cursor:
    """Takes fields off the front of some bytes. What does not fit is Invalid."""

    __slots__ = ("data", "place", "room")

    def __init__(self, data, room=inf):
        self.data, self.place = data, 0
        self.room = room  # the bytes that front-coded texts may still take, written out

    def take(self, n):
        start = self.place
        if n > len(self.data) - start:
            raise Invalid("a field reaches over the end")
        self.place = start + n
        return self.data[start : self.place]

    def u8(self):
        return self.take(1)[0]

    def varint(self):
        value = shift = 0
        for byte in self.data[self.place : self.place + 10]:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        else:
            raise Invalid("a varint of more than ten bytes, or one that reaches over the end")
        if value >> 64:
            raise Invalid("a varint over 64 bits")
        self.place += shift // 7
        return value

    def zigzag(self):
        z = self.varint()
        return (z >> 1) ^ -(z & 1)

    def packed(self, n, w):
        """n values of w bits. Eight values take w whole bytes."""
        data, mask, values = self.take((n * w + 7) // 8), (1 << w) - 1, []
        if w == 0:
            return [0] * n
        shifts = range(0, 8 * w, w)
        for start in range(0, len(data), w):
            eight = int.from_bytes(data[start : start + w], "little")
            values.extend([(eight >> shift) & mask for shift in shifts])
        return values[:n]

    def bits(self, n):
        """The places of the ones among n bits, ascending."""
        bits = int.from_bytes(self.take((n + 7) // 8), "little") & ((1 << n) - 1)
        return [one.start() for one in re.finditer("1", bin(bits)[:1:-1])]  # the lowest bit first

    def tally(self):
        return bounded(self.varint(), SEQUENCE_BOUND, "tally")

    def front_coded(self, before):
        """A plain name."""
        return self.text(before, self.varint(), self.varint())

    def front_coded_actor(self, before):
        shared, (following, code) = self.varint(), divmod(self.varint(), 6)
        return self.text(before, shared, following), code

    def text(self, before, shared, following):
        if shared > len(before):
            raise Invalid("a text shares more than there is of the one before it")
        text = before[:shared] + self.take(following)
        if not is_name(text):
            raise Invalid("a text is not a name")
        self.room -= len(text)
        if self.room < 0:
            raise Invalid("the names are too long, written out")
        return text

    def done(self):
        need(self.place == len(self.data), "bytes are left behind the last field")


# 2. The directory ----------------------------------------------------------------------------------------------------

SEGMENT_NAME = re.compile(r"([0-9]{10})\.wal")
SNAPSHOT_NAME = re.compile(r"([0-9]{10})-([0-9]{10})\.snap")
ACKNOWLEDGED = struct.Struct("<8sHHI16sQQQII")

Acknowledged = namedtuple("Acknowledged", "magic version length frame_crc store segment offset sequence reserved crc")


def segments_listed(names):
    """{number: name}"""
    matches = [m for m in map(SEGMENT_NAME.fullmatch, names) if m]
    return {int(m[1]): m[0] for m in matches if int(m[1]) >= 1}


def snapshots_listed(names):
    """[(first, last, name)] by their first segment, the greatest last one first"""
    matches = [m for m in map(SNAPSHOT_NAME.fullmatch, names) if m]
    found = [(int(m[1]), int(m[2]), m[0]) for m in matches if 1 <= int(m[1]) <= int(m[2])]
    return sorted(found, key=lambda s: (s[0], -s[1]))


def listing(files):
    """The snapshots and segments that count: [(first, last, name)], [(number, name)]."""
    listed, numbers = snapshots_listed(files), segments_listed(files)
    if not listed and not numbers:
        if acknowledged(files.get("ACKNOWLEDGED")):
            raise Refused("corrupt", "ACKNOWLEDGED: there was a store, and all of it is missing")
        raise Refused("no store", "there is neither a segment nor a snapshot")
    due, snapshots = 1, []
    for first, last, name in listed:
        if last < due:
            continue  # left over
        if first > due:
            raise Refused("corrupt", f"{name}: what holds segment {due} is missing before it")
        if first < due:
            raise Refused("corrupt", f"{name}: overlaps the snapshot before it, which ends with {due - 1}")
        snapshots.append((first, last, name))
        due = last + 1
    segments = sorted(one for one in numbers.items() if one[0] >= due)
    missing = next((number for number, one in enumerate(segments, due) if one[0] != number), None)
    if not segments or missing:
        raise Refused("corrupt", f"{missing or due:010}.wal: missing")
    return snapshots, segments


def acknowledged(data, stores=()):
    """What ACKNOWLEDGED says, or None where it says nothing; stores: the ids of the segments that count, if there are any."""
    if data is None or len(data) < 64:
        return None
    a = Acknowledged(*ACKNOWLEDGED.unpack_from(data))
    right = (a.magic, a.version, a.length, a.crc) == (b"chatwack", 1, 64, crc32(data[:60]))
    return a if right and max(a.segment, a.sequence) < SEQUENCE_BOUND and {a.store}.issuperset(stores) else None


# 4. Segment header ---------------------------------------------------------------------------------------------------

SEGMENT_HEADER = struct.Struct("<8sHHI16sQ8sQII")

SegmentHeader = namedtuple("SegmentHeader", "magic version length zeros store number salt first_sequence zeros2 crc")
Segment = namedtuple("Segment", "number name data header")
identity = attrgetter("store", "number", "salt")  # of the header of a segment or of a frame


def versions(name, data, magic, length):
    """Section 4, "Versions", for segments and snapshots."""
    with at(name, 0, "header"):
        need(len(data) >= 12 and data[:8] == magic, "wrong magic, or cut off")
        version, claimed = struct.unpack_from("<HH", data, 8)
        need(16 <= claimed <= len(data), f"its length {claimed} cannot be")
        need(crc32(data[: claimed - 4]) == struct.unpack_from("<I", data, claimed - 4)[0], "wrong CRC")
        if version != 1:
            raise Refused("newer", f"{name}: header at offset 0: version {version}")
        need(claimed == length, f"{claimed} bytes instead of {length}")


def segment_header(name, data):
    versions(name, data, b"chatwal\0", 64)
    header = SegmentHeader(*SEGMENT_HEADER.unpack_from(data))
    with at(name, 0, "header"):
        need(header.zeros == header.zeros2 == 0, "zeros that are not zero")
        bounded(header.number, SEQUENCE_BOUND, "segment number")
        bounded(header.first_sequence, SEQUENCE_BOUND, "first sequence")
    return header


# 5. Frame header -----------------------------------------------------------------------------------------------------

FRAME_HEADER = struct.Struct("<4sBBH16sQ8sQQQIIII")
DIRECTORY_ENTRY = struct.Struct("<BBIII")
BATCH, MARK, SEAL, FORGET, HOLE = 1, 2, 3, 4, 5
CHECKPOINT, REJECTS, EVENTS, FORGOTTEN, A_HOLE, REPEATED = 1, 2, 3, 4, 5, 6

FrameHeader = namedtuple(
    "FrameHeader",
    "magic kind reserved entries store number salt offset sequence durable_upto payload previous directory_crc crc",
)
Section = namedtuple("Section", "kind shard count length crc offset")
Frame = namedtuple("Frame", "segment offset header sections")


def frame_header(data, offset):
    """Condition 1."""
    need(offset + 80 <= len(data), "no room for a frame header")
    header = FrameHeader(*FRAME_HEADER.unpack_from(data, offset))
    need(header.magic == b"CWfr", "no frame begins here")
    need(header.crc == crc32(data[offset : offset + 76]), "wrong CRC of the frame header")
    bounded(header.sequence, SEQUENCE_BOUND, "sequence number")
    return header


def due_frame(segment, offset, sequence, previous):
    """Conditions 1 to 5 of the frame that is due at this place; where previous is None, any will do."""
    data = segment.data
    header = frame_header(data, offset)
    need(identity(header) == identity(segment.header), "the frame is of another segment")  # condition 2
    need(header.offset == offset, f"the frame says that it stands at {header.offset}")
    if not BATCH <= header.kind <= HOLE:
        raise NewerKind(f"a frame of the kind {header.kind}")
    need(header.sequence == sequence, f"frame {header.sequence} stands where {sequence} is due")  # condition 3
    need(previous in (None, header.previous), "the frame does not go on from the one before it")
    need(header.durable_upto < header.sequence, "the frame says that it is durable itself")  # condition 4
    need(offset + 80 + header.payload <= len(data), "the payload reaches over the end of the file")
    return Frame(segment, offset, header, directory(data, offset, header))


def directory(data, offset, header):
    """The rest of condition 4, and condition 5 in its order."""
    length = 14 * header.entries
    need(length <= header.payload <= PAYLOAD_MAX, f"the payload cannot have {header.payload} bytes")
    entries = data[offset + 80 : offset + 80 + length]
    need(len(entries) == length and crc32(entries) == header.directory_crc, "wrong CRC of the directory")
    sections, before, place = [], (-1, -1), offset + 80 + length
    for entry in DIRECTORY_ENTRY.iter_unpack(entries):
        section = Section(*entry, place)
        if not CHECKPOINT <= section.kind <= REPEATED:
            raise NewerKind(f"a section of the kind {section.kind}")
        need((section.kind, section.shard) > before, "the directory does not ascend")
        need(section.kind == EVENTS or section.shard == 0, "a shard for a section that is not of events")
        before = section.kind, section.shard
        place += section.length
        sections.append(section)
    need(place == offset + 80 + header.payload, "the sections do not fill the payload")
    need(in_table(header.kind, sections), "the directory is not that of a frame of its kind")
    return sections


def in_table(frame_kind, sections):
    """Whether the sections, which ascend, are those that a frame of this kind has."""
    if frame_kind == BATCH:
        return (
            bool(sections)
            and (sections[0].kind, sections[0].count) == (CHECKPOINT, 1)
            and all(behind_checkpoint(section) for section in sections[1:])
        )
    if frame_kind in (MARK, SEAL):
        return not sections
    if len(sections) != 1:
        return False
    if frame_kind == FORGET:
        return sections[0].kind == FORGOTTEN and sections[0].length == 16 * sections[0].count
    return frame_kind == HOLE and (sections[0].kind, sections[0].count) == (A_HOLE, 1)


def behind_checkpoint(section):
    if section.kind == REPEATED:
        return section.count >= 1 and section.length == 0
    return section.kind == REJECTS or (section.kind == EVENTS and section.count >= 1)


def section_bytes(data, section):
    """Condition 6 for one section."""
    content = data[section.offset : section.offset + section.length]
    need(len(content) == section.length and crc32(content) == section.crc, "wrong CRC of the section")
    return content


def headers_of(data, magic, reading, start=0):
    """The headers that reading(data, place) finds, at this place or behind it: [(place, header)]"""
    found, place = [], data.find(magic, start)
    while place != -1:
        try:
            found.append((place, reading(data, place)))
        except Invalid:
            pass
        place = data.find(magic, place + 1)
    return found


def own_headers(segment, start):
    """The frame headers that name this segment, at this place or behind it: [(place, header)]"""
    own = identity(segment.header)
    return [one for one in headers_of(segment.data, b"CWfr", frame_header, start) if identity(one[1]) == own]


def proof(segment, start):
    """The greatest durable_upto of the headers of the segment at this place or behind it."""
    return max((header.durable_upto for _, header in own_headers(segment, start)), default=0)


# 6.1 Checkpoint ------------------------------------------------------------------------------------------------------

CHECKPOINT_FIELDS = struct.Struct("<16sQQQQHH16s16sH")

MARKS_MAX = 64

Checkpoint = namedtuple("Checkpoint", "instance start end start_line end_line name left")


def checkpoint(data):
    need(len(data) >= 86, "the checkpoint is cut off")
    instance, start, end, start_line, end_line, head, tail, _, _, name = CHECKPOINT_FIELDS.unpack_from(data)
    need(start <= end and start_line <= end_line, "the checkpoint ends before its start")
    bounded(end, INPUT_BOUND, "end")
    bounded(end_line, INPUT_BOUND, "end line")
    need(head == tail == min(end, 4096), "the checkpoint's head or tail has a wrong length")
    need(name <= 4096 and len(data) >= 86 + name, "the checkpoint's name has a wrong length")
    left = left_and_marks(data[86 + name :], end) if len(data) > 86 + name else 0
    return Checkpoint(instance, start, end, start_line, end_line, data[86 : 86 + name], left)


def left_and_marks(data, end):
    """What is behind the name, if anything is. The marks are for writers: no answer depends on them."""
    cursor, before = Cursor(data), 0
    left, many = bounded(cursor.varint(), INPUT_BOUND, "left"), cursor.varint()
    need(many <= MARKS_MAX, f"{many} marks")
    for _ in range(many):
        place = cursor.varint()
        need(before < place < end, "the places of the marks do not ascend, or one is not inside of what was read")
        cursor.take(16)
        before = place
    cursor.done()
    return left


# 6.2 Rejects

KEPT_MAX = 1_048_576
WITH_COLUMN = 0x80  # the highest bit of a reason

# n rejects, each so many bytes and lines behind the one before it; offset and line are those of the first
Run = namedtuple("Run", "offset line n step line_step column reason length kept")


def rejects(data, count, batch):
    cursor, runs, total = Cursor(data), [], 0
    offset, line, like = batch.start, batch.start_line, None
    while cursor.place < len(data):
        step, line_step, reason = cursor.varint(), cursor.varint(), cursor.u8()
        if reason == 0:
            n = cursor.varint()
            need(like and n >= 1 and step >= 1, "a run of rejects that cannot be")
        else:
            need(reason != WITH_COLUMN, "a reject without a reason")
            column = bounded(cursor.varint(), INPUT_BOUND, "column") if reason & WITH_COLUMN else 0
            n, length, k = 1, cursor.varint(), cursor.varint()
            need(k <= KEPT_MAX and k <= length, "a reject keeps more bytes than it can")
            like = column, reason & ~WITH_COLUMN, length, cursor.take(k)
        runs.append(Run(offset + step, line + line_step, n, step, line_step, *like))
        offset += n * step
        line += n * line_step
        total += n
        need(offset < batch.end and line <= batch.end_line, "a reject stands behind the batch")
    need(total == count, f"{total} rejects instead of {count}")
    return runs


# 6.3 Events of one shard

IS_NUMBER = re.compile(rb"0|[1-9][0-9]{0,17}").fullmatch
IS_UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}").fullmatch
WORD = (1 << 64) - 1
MESSAGE = 2

# An event is a tuple whose order is that of section 10:
# (timestamp, 0 for a status and 1 for a message, id, from, kind)
# runs: [(site_id, [event])], as they stand; disagreeing: the identities with the code of a disagreement
Events = namedtuple("Events", "runs disagreeing")


def mix(h, w):
    p = ((h ^ w) * 0xFF51AFD7ED558CCD) & WORD
    return p ^ (p >> 32)


@lru_cache(maxsize=4096)
def site_hash(site):
    h = 0x9E3779B97F4A7C15
    if IS_NUMBER(site):
        h = mix(h, int(site))
    else:
        h = mix(h, len(site))
        for start in range(0, len(site), 8):
            h = mix(h, int.from_bytes(site[start : start + 8], "little"))
    return (h * 0xC4CEB9FE1A85EC53) & WORD


def events(data, n, shard):
    cursor = Cursor(data, room=PAYLOAD_MAX)
    a, b, c, t = cursor.varint(), cursor.varint(), cursor.varint(), cursor.varint()
    earliest = cursor.zigzag()
    wg, wt, wa = cursor.u8(), cursor.u8(), cursor.u8()
    need(n >= 1 and t <= n and 16 * (n - t) + 2 * t <= len(data), "the section has no room for its ids")
    need(1 <= a + b <= n and c <= n, "more sites or actors than events, or no site")
    need(max(wg, wt, wa) <= 64, "a width over 64 bits")
    sites = numbered_sites(cursor, a, wg) + named_sites(cursor, b)
    need(all(site_hash(site) >> 56 == shard for site in sites), "a site of another shard")
    actors = read_actors(cursor, c)
    begins = cursor.bits(n)
    need(begins[:1] == [0] and len(begins) == len(sites), "the new-site bits are not right")
    textual = cursor.bits(n) if t else []
    need(len(textual) == t, "the textual bits are not right")
    timestamps = cursor.packed(n, wt)
    places = cursor.packed(n, wa)
    need(max(places) < c, "an actor that is not in the list")
    ids = read_ids(cursor, n, textual)
    cursor.done()
    rows, runs, disagreeing = [], [], set()
    for since, place, id in zip(timestamps, places, ids):
        sender, code = actors[place]
        when = (earliest + since - LEAST & WORD) + LEAST  # modulo 2^64, signed
        rows.append((when, int(code % 3 == MESSAGE), id, sender, code % 3))
    for site, i, j in zip(sites, begins, begins[1:] + [n]):
        runs.append((site, rows[i:j]))
        disagreeing.update((site, ids[place]) for place in range(i, j) if actors[places[place]][1] >= 3)
    return Events(runs, disagreeing)


def numbered_sites(cursor, a, wg):
    if a == 0:
        return []
    numbers = list(accumulate([cursor.varint(), *cursor.packed(a - 1, wg)]))
    need(numbers[-1] < 10**18, "a numbered site is out of bounds")
    return [b"%d" % number for number in numbers]


def named_sites(cursor, b):
    sites, before = [], b""
    for _ in range(b):
        before = cursor.front_coded(before)
        need(not IS_NUMBER(before), "a named site is a number")
        sites.append(before)
    return sites


def read_actors(cursor, c):
    """[(from, code)]"""
    actors, before = [], b""
    for _ in range(c):
        before, code = cursor.front_coded_actor(before)
        actors.append((before, code))
    return actors


def read_ids(cursor, n, textual):
    uuids = hexlify(cursor.take(16 * (n - len(textual))))
    ids = [b"-".join(digits) for digits in struct.iter_unpack("8s4s4s4s12s", uuids)]
    texts = []
    for _ in textual:
        text = cursor.take(cursor.varint())
        if not is_name(text) or IS_UUID(text):
            raise Invalid("a textual id is no name, or a UUID")
        texts.append(text)
    if not ids or not texts:
        return ids or texts
    is_textual, texts, ids = set(textual), iter(texts), iter(ids)
    return [next(texts) if place in is_textual else next(ids) for place in range(n)]


def forgotten(data):
    """6.4. Condition 5 saw to the length."""
    cursor = Cursor(data)
    return [cursor.take(16) for _ in range(len(data) // 16)]


def hole(data):
    """Checks a hole, 6.5. No answer depends on what it says, and its numbers have no bounds."""
    cursor, before = Cursor(data), -1
    cursor.take(16)  # the first and the last segment
    for _ in range(cursor.varint()):
        first, last = cursor.varint(), cursor.varint()
        need(before < first <= last, "the ranges of lost frames do not ascend")
        before = last
    for _ in range(cursor.varint()):
        cursor.take(16)
        first, behind, length = cursor.varint(), cursor.varint(), cursor.varint()
        need(first <= behind, "a stretch of lost bytes ends before its start")
        need(length <= 4096, "a name of more than 4,096 bytes")
        cursor.take(length)
    cursor.done()


# 7. Snapshots --------------------------------------------------------------------------------------------------------

SNAPSHOT_HEADER = struct.Struct("<8sHHI16sQQ8sQQII7Q4QqqII")
BLOCK_HEADER = struct.Struct("<4sBBHIIQ8sII")
R_EVENTS, R_INDEX, R_FENCES, R_SHARDS, R_INPUTS, R_FORGOTTEN, R_REJECTS = range(1, 8)
REGIONS = [None, "events", "index", "fences", "shards", "inputs", "forgotten", "rejects"]

SnapshotHeader = namedtuple(
    "SnapshotHeader",
    "magic version length reserved store first_segment last_segment salt first_frame next_frame previous next_previous "
    "end1 end2 end3 end4 end5 end6 end7 events copies disputed sites earliest latest more_reserved crc",
)
BlockHeader = namedtuple("BlockHeader", "magic kind shard reserved count length offset salt payload_crc crc")
Block = namedtuple("Block", "offset end shard count payload")
Summary = namedtuple("Summary", "messages emails operators visitors events disputed earliest latest offset length")
Input = namedtuple("Input", "checkpoint events rejects")


class Snapshot:
    """The header, and what is read when it is opened: fences, shards, inputs, forgotten."""

    def __init__(self, name, data, header):
        self.name, self.data, self.header = name, data, header
        self.regions = [None, *pairwise([192, *header[12:19]])]
        self.fences, self.shards, self.inputs, self.forgotten = [], [], [], []


def snapshot_header(name, data):
    """The header of 192 bytes, whose fields have to agree."""
    versions(name, data, b"chatsnap", 192)
    header = SnapshotHeader(*SNAPSHOT_HEADER.unpack_from(data))
    ends = [192, *header[12:19]]
    with at(name, 0, "header"):
        need(ends == sorted(ends), "the regions descend")
        need(1 <= header.first_segment <= header.last_segment, "the segments do not agree")
        need(1 <= header.first_frame <= header.next_frame, "the frames do not agree")
        bounded(header.last_segment, SEQUENCE_BOUND, "last segment")
        bounded(header.next_frame, SEQUENCE_BOUND, "next frame")
        for tally in header.events, header.copies, header.disputed, header.sites:
            bounded(tally, SEQUENCE_BOUND, "tally")
    return header


def block_header(data, offset):
    """The header with the right CRC that stands there."""
    need(offset + 40 <= len(data), "no room for a block header")
    header = BlockHeader(*BLOCK_HEADER.unpack_from(data, offset))
    need(header.magic == b"CWbk", "no block begins here")
    need(header.crc == crc32(data[offset : offset + 36]), "wrong CRC of the block's header")
    return header


def block_behind(header, data, offset, limit, salt):
    """The block that this header stands before, wherever it says that it stands."""
    need(header.salt == salt, "the block is of another snapshot")
    end = offset + 40 + header.length
    need(header.length <= PAYLOAD_MAX and end <= limit, "the block reaches over the end")
    payload = data[offset + 40 : end]
    need(crc32(payload) == header.payload_crc, "wrong CRC of the payload")
    return Block(offset, end, header.shard, header.count, payload)


def blocks(snapshot, region):
    """Point 2: every byte of the region is in a block."""
    start, end = snapshot.regions[region]
    found = []
    while start < end:
        with at(snapshot.name, start, f"block of {REGIONS[region]}"):
            header = block_header(snapshot.data, start)
            block = block_behind(header, snapshot.data, start, end, snapshot.header.salt)
            need(header.kind == region, f"it is of the kind {header.kind}")
            need(header.offset == start, f"it says that it stands at {header.offset}")
        found.append(block)
        start = block.end
    return found


def open_snapshot(first, last, name, data):
    """Points 1 to 3, without the events, the index and the rejects."""
    header = snapshot_header(name, data)
    snapshot = Snapshot(name, data, header)
    with at(name, 0, "header"):
        need(header.end7 == len(data), f"the file ends at {len(data)}, the last region at {header.end7}")
        need((header.first_segment, header.last_segment) == (first, last), "it covers others than its name says")
    snapshot.fences = read_fences(snapshot)
    snapshot.shards = read_shards(snapshot)
    snapshot.inputs = together(items(snapshot, R_INPUTS, read_input))
    snapshot.forgotten = together(items(snapshot, R_FORGOTTEN, lambda cursor, _: cursor.take(16)))
    return snapshot


def items(snapshot, region, read_item):
    """[(block, [item])], where read_item(cursor, before) knows the item before it in the block, or None."""
    found = []
    for block in blocks(snapshot, region):
        with at(snapshot.name, block.offset, f"block of {REGIONS[region]}"):
            cursor, before, here = Cursor(block.payload), None, []
            for _ in range(block.count):
                before = read_item(cursor, before)
                here.append(before)
            cursor.done()
        found.append((block, here))
    return found


def together(found):
    return [one for _, here in found for one in here]


def read_fences(snapshot):
    """What 8.1, step 3 asks of them now. What they name is looked at with the index."""

    def fence(cursor, before):
        return cursor.front_coded(before[0] if before else b""), cursor.varint()

    fences = together(items(snapshot, R_FENCES, fence))
    start, end = snapshot.regions[R_INDEX]
    with at(snapshot.name, snapshot.regions[R_FENCES][0], "fences"):
        need(all(x[0] < y[0] and x[1] < y[1] for x, y in pairwise(fences)), "they do not ascend")
        first = [offset for _, offset in fences[:1]]
        need(first == ([start] if start < end else []), "the first does not name the start of the index")
        need(not fences or fences[-1][1] < end, "the last lies behind the index")
    return fences


def read_shards(snapshot):
    found = items(snapshot, R_SHARDS, lambda cursor, _: (cursor.u8(), cursor.varint(), cursor.tally()))
    shards = together(found)
    start, end = snapshot.regions[R_EVENTS]
    with at(snapshot.name, snapshot.regions[R_SHARDS][0], "shards"):
        need(len(found) == 1, "there is not exactly one block")
        need(all(x[0] < y[0] for x, y in pairwise(shards)), "they do not ascend")
        need(all(length and count for _, length, count in shards), "one has no events")
        need(sum(length for _, length, _ in shards) == end - start, "they do not fill the region of events")
    return shards


def read_input(cursor, _):
    return Input(checkpoint(cursor.take(cursor.varint())), cursor.tally(), cursor.tally())


def read_index(snapshot):
    """Point 3 for the index: {site: summary}, and its fences."""

    def one(cursor, before):
        site = cursor.front_coded(before[0] if before else b"")
        six = [cursor.tally() for _ in range(6)]
        earliest = cursor.zigzag()
        latest = earliest + cursor.varint()
        need(latest <= GREATEST, "the latest timestamp does not fit 64 bits")
        return site, Summary(*six, earliest, latest, cursor.varint(), cursor.varint())

    found = items(snapshot, R_INDEX, one)
    index = together(found)
    with at(snapshot.name, snapshot.regions[R_INDEX][0], "index"):
        need(all(here for _, here in found), "a block without a site")
        need(all(x[0] < y[0] for x, y in pairwise(index)), "the sites do not ascend")
        fences = [(here[0][0], block.offset) for block, here in found]
        need(fences == snapshot.fences, "the fences are not the first sites of its blocks")
    return dict(index)


def read_rejects(snapshot):
    """Point 3 for the rejects: [(instance, runs, how many)]"""
    found = []
    for block in blocks(snapshot, R_REJECTS):
        with at(snapshot.name, block.offset, "block of rejects"):
            cursor = Cursor(block.payload)
            batch = checkpoint(cursor.take(cursor.varint()))
            runs = rejects(block.payload[cursor.place :], block.count, batch)
        found.append((batch.instance, runs, block.count))
    return found


class SiteEvents:
    """The events of a site in a snapshot, and the blocks that they are in."""

    def __init__(self, offset):
        self.offset, self.end = offset, offset
        self.events, self.ids, self.disputed = [], set(), 0

    def add(self, rows, end):
        self.end = end
        rising = all(x < y for x, y in pairwise(self.events[-1:] + rows))
        need(rising, "the events of a site are not in their order")
        self.events += rows
        self.ids.update([row[2] for row in rows])
        need(len(self.ids) == len(self.events), "an identity stands there twice")

    def summary(self):
        earliest, latest = self.events[0][0], self.events[-1][0]
        place = self.offset, self.end - self.offset
        return Summary(*fold(self.events), len(self.events), self.disputed, earliest, latest, *place)


def read_events(snapshot):
    """Points 3 and 4 for the events: {site: SiteEvents}, and the blocks as sections."""
    sites, sections, last = {}, [], None
    stretches = iter(snapshot.shards)
    shard = due = stop = 0
    for block in blocks(snapshot, R_EVENTS):
        with at(snapshot.name, block.offset, "block of events"):
            if block.offset >= stop:
                shard, length, due = next(stretches)  # the shards fill the region: there is one
                stop = block.offset + length
            need(block.shard == shard and block.end <= stop, f"it is not of the stretch of shard {shard:#04x}")
            section = events(block.payload, block.count, block.shard)
            for site, rows in section.runs:
                need(site == last or site not in sites, "the events of a site do not stand together")
                last = site
                sites.setdefault(site, SiteEvents(block.offset)).add(rows, block.end)
            for site, _ in section.disagreeing:
                sites[site].disputed += 1
            sections.append(section)
            due -= block.count
            need(block.end < stop or due == 0, f"shard {shard:#04x} has not as many events as the table says")
    return sites, sections


def check_snapshot(snapshot):
    """Points 2 to 7, for what was not checked when the snapshot was opened."""
    sites, sections = read_events(snapshot)
    index = read_index(snapshot)
    found = read_rejects(snapshot)
    name, header = snapshot.name, snapshot.header
    with at(name, snapshot.regions[R_INDEX][0], "index"):  # point 5
        need(index.keys() == sites.keys(), "it does not name the sites that have events")
        for site, here in sites.items():
            need(index[site] == here.summary(), f"site {site!r} is not what its events say")
    with at(name, 0, "header"):  # point 6
        sums = index.values()
        added_up = len(index), sum(s.events for s in sums), sum(s.disputed for s in sums)
        need((header.sites, header.events, header.disputed) == added_up, f"the index adds up to {added_up}")
        need(header.earliest == min((s.earliest for s in sums), default=GREATEST), "another earliest timestamp")
        need(header.latest == max((s.latest for s in sums), default=LEAST), "another latest timestamp")
    with at(name, snapshot.regions[R_INPUTS][0], "inputs"):  # point 7
        counted = {one.checkpoint.instance: 0 for one in snapshot.inputs}
        need(len(counted) == len(snapshot.inputs), "an instance stands there twice")
        for instance, _, count in found:
            need(instance in counted, "rejects of an instance that is not among the inputs")
            counted[instance] += count
        as_said = all(counted[one.checkpoint.instance] == one.rejects for one in snapshot.inputs)
        need(as_said, "an input has not as many rejects as it says")
    return sections, found


# 8. Reading ----------------------------------------------------------------------------------------------------------

# where the chain ends: what is "seal", "end" (of the file) or "bytes"; due is k
End = namedtuple("End", "segment offset due what why")


class Store:
    def __init__(self):
        self.snapshots, self.segments, self.frames = [], [], []
        self.acknowledged, self.torn, self.why = None, False, ""


def open_store(files):
    """Section 8.1, where steps 3 and 4 go file by file; of step 9 the checkpoints and the forgotten inputs. All else is contents."""
    store = Store()
    snapshots, segments = listing(files)  # step 2; step 1 is files as it is
    for first, last, name in snapshots:  # step 3
        snapshot = open_snapshot(first, last, name, files[name])
        goes_on(store.snapshots, snapshot)
        store.snapshots.append(snapshot)
    for number, name in segments:  # step 4
        segment = Segment(number, name, files[name], segment_header(name, files[name]))
        first = (store.snapshots + store.segments + [segment])[0]
        with at(name, 0, "header"):
            need(segment.header.number == number, f"it says segment {segment.header.number}")
            need(segment.header.store == first.header.store, "it is of another store")
        store.segments.append(segment)
    store.acknowledged = acknowledged(files.get("ACKNOWLEDGED"), {segment.header.store for segment in store.segments})
    end = follow(store)  # step 5
    durable = durable_upto(store)  # step 6
    end = check_behind(store, durable, end)
    judge(store, end, durable)  # step 7
    rolled_back(store)  # step 8
    for frame in store.frames:  # step 9
        check_frame(frame, (CHECKPOINT, FORGOTTEN))
    return store


def goes_on(before, snapshot):
    """The end of step 3."""
    header = snapshot.header
    with at(snapshot.name, 0, "header"):
        if not before:
            need(header.first_frame == 1, f"it begins with frame {header.first_frame}")
            return
        last = before[-1].header
        need(header.store == before[0].header.store, "it is of another store")
        here, due = (header.first_frame, header.previous), (last.next_frame, last.next_previous)
        need(here == due, "it does not go on where the snapshot before it ends")


def follow(store):
    """Step 5: fills store.frames, and says where the chain ends."""
    first = store.segments[0]
    due, previous = 1, first.header.crc
    if store.snapshots:
        last = store.snapshots[-1].header
        due, previous = last.next_frame, last.next_previous
    with at(first.name, 0, "header"):
        need(first.header.first_sequence == due, f"its first sequence is not {due}")
    for place, segment in enumerate(store.segments):
        offset, sealed = 64, False
        while offset < len(segment.data) and not sealed:
            try:
                frame = due_frame(segment, offset, due, previous)
            except NewerKind as kind:
                raise Refused("newer", f"{segment.name}: frame at offset {offset}: {kind}") from None
            except Invalid as why:
                return End(place, offset, due, "bytes", str(why))
            store.frames.append(frame)
            due, previous = due + 1, frame.header.crc
            offset += 80 + frame.header.payload
            sealed = frame.header.kind == SEAL
        end = End(place, offset, due, "seal" if sealed else "end", "")
        following = store.segments[place + 1 : place + 2]
        if not sealed or offset < len(segment.data) or [one.header.first_sequence for one in following] != [due]:
            break  # else it is row 4 of the judge
    return end


def durable_upto(store):
    """D of step 6."""
    candidates = [0] + [frame.header.durable_upto for frame in store.frames]
    if store.snapshots:
        candidates.append(store.snapshots[-1].header.next_frame - 1)
    if store.acknowledged:
        candidates.append(store.acknowledged.sequence)
    return max(candidates)


def check_behind(store, durable, end):
    """Step 6: condition 6 for the frames behind D. The first bad one ends the chain."""
    for place, frame in enumerate(store.frames):
        if frame.header.sequence <= durable:
            continue
        try:
            for section in frame.sections:
                section_bytes(frame.segment.data, section)
        except Invalid as why:
            del store.frames[place:]
            number = frame.segment.number - store.segments[0].number
            return End(number, frame.offset, frame.header.sequence, "bytes", str(why))
    return end


def judge(store, end, durable):
    """Section 8.2. Rows 3 and 10 do not come up here: all segments are there, with sound headers."""
    segment = store.segments[end.segment]
    following = store.segments[end.segment + 1] if end.segment + 1 < len(store.segments) else None
    store.why = f"{segment.name}: the log ends at offset {end.offset}"

    def corrupt(why):
        raise Refused("corrupt", f"{segment.name}: frame {end.due} at offset {end.offset}: {why} {end.why}".rstrip())

    if end.what == "seal":
        if end.offset < len(segment.data):
            corrupt("bytes behind a seal.")  # row 1
        if following is None:
            corrupt("the seal has no successor.")  # row 2
        corrupt(f"the next segment begins with frame {following.header.first_sequence}.")  # row 5
    if following and (len(following.data) > 64 or following is not store.segments[-1]):
        corrupt("the next segment has bytes behind its header, or is not the last.")  # row 6
    if following and following.header.first_sequence != end.due + 1:
        corrupt(f"the next segment begins with frame {following.header.first_sequence}.")  # row 7
    proven = max(durable, proof(segment, end.offset))
    if proven >= end.due:
        corrupt(f"frames up to {proven} were durable.")  # row 8
    if end.what == "bytes":  # rows 9 and 12; else 9 and 11, which are sound
        store.torn = True
        store.why = f"{segment.name}: torn at offset {end.offset}: {end.why}"


def rolled_back(store):
    """Step 8."""
    if not store.acknowledged or not store.frames:
        return
    place = store.acknowledged.sequence - store.frames[0].header.sequence
    if 0 <= place < len(store.frames):
        frame = store.frames[place]
        with at(frame.segment.name, frame.offset, "frame"):
            need(frame.header.crc == store.acknowledged.frame_crc, "another one was acknowledged")


def check_frame(frame, kinds=range(CHECKPOINT, REPEATED + 1)):
    """The sections of a frame that are of these kinds: {kind: [what it holds]}; rejects need the checkpoint."""
    found, batch = {kind: [] for kind in range(CHECKPOINT, REPEATED + 1)}, None
    for section in frame.sections:
        if section.kind not in kinds:
            continue
        with at(frame.segment.name, section.offset, f"section of the kind {section.kind}"):
            data = section_bytes(frame.segment.data, section)
            if section.kind == CHECKPOINT:
                batch = content = checkpoint(data)
            elif section.kind == REJECTS:
                content = rejects(data, section.count, batch), section.count
            elif section.kind == EVENTS:
                content = events(data, section.count, section.shard), section.count
            elif section.kind == FORGOTTEN:
                content = forgotten(data)
            elif section.kind == A_HOLE:
                content = hole(data)
            else:
                content = section.count
        found[section.kind].append(content)
    return found


# 10. From events to the report ---------------------------------------------------------------------------------------


def fold(ordered):
    """(messages, emails, operators, visitors) of the events of a site in their order"""
    online, operators, visitors, chats, emails = set(), set(), set(), 0, 0
    for _, is_message, _, sender, kind in ordered:
        if is_message:
            visitors.add(sender)
            chats += bool(online)
            emails += not online
        else:
            operators.add(sender)
            if kind == 1:
                online.add(sender)
            else:
                online.discard(sender)
    return chats, emails, len(operators), len(visitors)


class Merged:
    """All events, each once: {site: {id: event}}, and the identities that are disputed."""

    def __init__(self):
        self.sites, self.disputed, self.stored = {}, set(), 0

    def add(self, section):
        self.disputed |= section.disagreeing
        for site, rows in section.runs:
            self.stored += len(rows)
            known = self.sites.setdefault(site, {})
            for row in rows:
                other = known.setdefault(row[2], row)
                if other is not row and other != row:
                    self.disputed.add((site, row[2]))
                    known[row[2]] = min(row, other)


class Inputs:
    """The map {instance: [last checkpoint, events, rejects]}, and the list of rejects as {instance: [run]}"""

    def __init__(self):
        self.known, self.runs = {}, {}

    def forget(self, instance):
        self.known.pop(instance, None)
        self.runs.pop(instance, None)

    def add(self, last, events_of_it, rejects_of_it):
        entry = self.known.setdefault(last.instance, [last, 0, 0])
        entry[0] = last
        entry[1] += events_of_it
        entry[2] += rejects_of_it

    def add_rejects(self, instance, runs):
        self.runs.setdefault(instance, []).extend(runs)

    def listed(self):
        known = self.known.items()
        return sorted([i.hex(), last.end, last.end_line, *counts, last.name.hex(), last.left] for i, (last, *counts) in known)

    def listed_rejects(self):
        """Those of the instances in the map, or None where there are too many to list them."""
        runs = [(instance, run) for instance in self.known for run in self.runs.get(instance, [])]
        if sum(run.n for _, run in runs) > LISTED_REJECTS or sum(run.n * len(run.kept) for _, run in runs) > LISTED_BYTES:
            return None
        rows = []
        for instance, run in runs:
            name, rest = instance.hex(), [run.column, run.reason, run.length, run.kept.hex()]
            for i in range(run.n):
                rows.append([name, run.offset + i * run.step, run.line + i * run.line_step + 1, *rest])
        return sorted(rows)


def collect(store):
    """Checks everything that is left to check, and puts together what it says."""
    merged, inputs, copies = Merged(), Inputs(), 0
    for snapshot in store.snapshots:
        sections, found = check_snapshot(snapshot)
        for section in sections:
            merged.add(section)
        copies += snapshot.header.copies
        for instance in snapshot.forgotten:
            inputs.forget(instance)
        for one in snapshot.inputs:
            inputs.add(*one)
        for instance, runs, _ in found:
            inputs.add_rejects(instance, runs)
    for frame in store.frames:
        found = check_frame(frame)
        for section, _ in found[EVENTS]:
            merged.add(section)
        copies += sum(found[REPEATED])
        for batch in found[CHECKPOINT]:
            accepted = sum(count for _, count in found[EVENTS]) + sum(found[REPEATED])
            inputs.add(batch, accepted, sum(count for _, count in found[REJECTS]))
            for runs, _ in found[REJECTS]:
                inputs.add_rejects(batch.instance, runs)
        for instances in found[FORGOTTEN]:
            for instance in instances:
                inputs.forget(instance)
    return merged, inputs, copies


def answer(store):
    merged, inputs, copies = collect(store)
    report, count, times = [], 0, []
    for site in sorted(merged.sites):
        ordered = sorted(merged.sites[site].values())
        chats, emails, operators, visitors = fold(ordered)
        summary = f"messages={chats},emails={emails},operators={operators},visitors={visitors}"
        report.append(f"{site.decode()},{summary}")
        count += len(ordered)
        times += [ordered[0][0], ordered[-1][0]]
    return {
        "verdict": "torn" if store.torn else "sound",
        "why": store.why,
        "report": report,
        "inputs": inputs.listed(),
        "rejects": inputs.listed_rejects(),
        "events": count,
        "copies": copies + merged.stored - count,
        "disputed": len(merged.disputed),
        "sites": len(report),
        "earliest": min(times, default=None),
        "latest": max(times, default=None),
    }


def told(store):
    try:
        return answer(store)
    except Refused as refused:
        return {"verdict": refused.verdict, "why": refused.why}


def read(files):
    try:
        store = open_store(files)
    except Refused as refused:
        return {"verdict": refused.verdict, "why": refused.why}
    return told(store)


# 8.4 Checking everything ---------------------------------------------------------------------------------------------


def verify(files):
    """Goes past damage where open_store found some: behind it there may be something newer. A torn end is not damage, and what
    is found in contents later is corrupt, whatever else there is."""
    try:
        store = open_store(files)
    except Refused as refused:
        found = refused
        try:
            if found.verdict == "corrupt":
                past_damage(files)
        except Refused as newer:
            found = newer
        return {"verdict": found.verdict, "why": found.why}
    return told(store)


def counting(files):
    """The files that count, also behind a fault of the listing, in their order, and those that are left over: [(first, last, name)]"""
    listed = [(number, number, name) for number, name in segments_listed(files).items()]
    due, count, left_over = 1, [], []
    for one in sorted(snapshots_listed(files) + listed, key=lambda one: (one[0], -one[1], is_segment(one))):
        if one[0] < due:
            left_over.append(one)
        else:
            count.append(one)
            due = one[1] + 1
    try:
        listing(files)
    except Refused:
        if count and is_segment(count[-1]) and left_by_repair(*count[-1][1:], files):
            count.pop()
    return count, left_over


def is_segment(one):
    return one[2].endswith(".wal")


def left_by_repair(number, name, files):
    """Whether this last segment is what a repair published that did not come to its end: a hole, then marks (section 12, "Crashes")."""
    header = or_none(segment_header, name, files[name], newer=True)
    if header is None or header.number != number:
        return False
    segment, frames = Segment(number, name, files[name], header), []
    offset, due, previous = 64, header.first_sequence, None
    try:
        while offset < len(segment.data):
            frames.append(due_frame(segment, offset, due, previous))
            offset += 80 + frames[-1].header.payload
            due, previous = due + 1, frames[-1].header.crc
        if [frame.header.kind for frame in frames] != [HOLE] + [MARK] * (len(frames) - 1):
            return False
        data = next(section_bytes(segment.data, section) for frame in frames for section in frame.sections)
        hole(data)
    except (Invalid, NewerKind):
        return False
    first, last = struct.unpack_from("<QQ", data)
    return 1 <= first <= last == number - 1 and f"{first:010}-{last:010}.snap" not in files


def past_damage(files):
    """Refuses what is newer in the files that count, wherever the chain goes on behind damage."""
    count, _ = counting(files)
    headers = [(number, name, or_none(header_of(name), name, files[name])) for number, _, name in count]
    headers = [one for one in headers if header_of(one[1]) is segment_header]
    store = store_of(files)
    for number, name, header in headers:
        damaged = header is None
        if damaged:
            header = header_by_frames(number, files[name], store)
        elif (header.number, header.store) != (number, store):
            continue  # not gone into
        if header:
            segment = Segment(number, name, files[name], header)
            if damaged:
                newer_before_the_chain(segment)
            walk_past(segment)


def header_by_frames(number, data, store):
    """What the first frame header that names a segment says in the place of a damaged header, or None."""
    one = first_naming(number, headers_of(data, b"CWfr", frame_header), store)
    return one and SegmentHeader(b"", 1, 64, 0, one.store, one.number, one.salt, one.sequence, 0, None)


def newer_before_the_chain(segment):
    """Where a header is damaged its bytes are those of a gap, also if the first frame is in its place."""
    for place, header in own_headers(segment, 0):
        if place < 64:
            met(segment, place, header)


def walk_past(segment):
    """Follows the chain in a segment past its gaps, torn ones too: what is newer is met in all of them. So nothing is judged, and any
    previous will do: one that is wrong is a gap without bytes, and the same frame is the next one in its place."""
    offset, due, sealed, headers = 64, segment.header.first_sequence, False, None
    while offset < len(segment.data):
        try:
            frame = None if sealed else due_frame(segment, offset, due, None)
        except NewerKind as kind:
            raise Refused("newer", f"{segment.name}: frame at offset {offset}: {kind}") from None
        except Invalid:
            frame = None
        if frame is None:
            if headers is None:  # looked for once, however many gaps there are
                headers = own_headers(segment, offset)
            headers = [(place, header) for place, header in headers if place >= offset]
            frame = past_gap(segment, headers, due)
        if frame is None:
            return
        offset = frame.offset + 80 + frame.header.payload
        due, sealed = frame.header.sequence + 1, frame.header.kind == SEAL


def past_gap(segment, headers, due):
    """The next frame that meets conditions 1, 2, 4 and 5, and is not one before the one that was due; None if there is none.
    What is newer before it is met, whether in its place or not."""
    for place, header in headers:
        sections = met(segment, place, header)
        inside = place + 80 + header.payload <= len(segment.data)
        if sections is not None and inside and header.offset == place and header.sequence >= due:
            return Frame(segment, place, header, sections)
    return None


def met(segment, place, header):
    """The sections of a frame that is met in a gap, None if it breaks condition 4 or 5; what is newer is refused."""
    try:
        if not BATCH <= header.kind <= HOLE:
            raise NewerKind(f"a frame of the kind {header.kind}")
        need(header.durable_upto < header.sequence, "condition 4")
        return directory(segment.data, place, header)
    except NewerKind as kind:
        raise Refused("newer", f"{segment.name}: frame at offset {place}: {kind}") from None
    except Invalid:
        return None


# 12. Repair, point 1: what is intact, wherever it stands -------------------------------------------------------------


def intact_events(files):
    """The identities (site_id, id) in all intact blocks and sections, those of left-over files where it matters."""
    count, left_over = counting(files)
    snapshots, segments = [one for one in count if not is_segment(one)], [one for one in count if is_segment(one)]
    store = store_of(files)
    lost = [one for one in snapshots if left_over and not is_whole(*one, files, store)]
    for first, last, name in left_over:  # what a snapshot replaced that lost something
        if any(first <= end and start <= last for start, end, _ in lost):
            (segments if name.endswith(".wal") else snapshots).append((first, last, name))
    found = set()
    for *_, name in snapshots:
        data, header = files[name], or_none(snapshot_header, name, files[name], newer=True)
        if header is None or store in (None, header.store):  # of another store nothing is taken
            headers = headers_of(data, b"CWbk", block_header)
            take(blocks_of(data, headers, header or first_in_place(headers)), found)
    for number, _, name in segments:
        data, header = files[name], or_none(segment_header, name, files[name], newer=True)
        if header is None or store in (None, header.store):
            headers = headers_of(data, b"CWfr", frame_header)
            take(sections_of(data, headers, header or first_naming(number, headers, store)), found)
    return found


def store_of(files):
    """The id that most of the files that count have, by their sound headers, be their number right or not; of two with as many
    that of the first file. Where no header is sound, that of the first frame header by which a segment is known; else None."""
    count, _ = counting(files)
    headers = [or_none(header_of(name), name, files[name], newer=True) for *_, name in count]
    ids = Counter(header.store for header in headers if header)
    if ids:
        return max(ids, key=ids.get)
    known = (first_naming(one[0], headers_of(files[one[2]], b"CWfr", frame_header), None) for one in count if is_segment(one))
    return next((header.store for header in known if header), None)


def is_whole(first, last, name, files, store):
    """Whether nothing of a snapshot is lost: it is valid, and of this store."""
    try:
        snapshot = open_snapshot(first, last, name, files[name])
        check_snapshot(snapshot)
    except Refused:
        return False
    return snapshot.header.store == store


def header_of(name):
    return segment_header if name.endswith(".wal") else snapshot_header


def or_none(opening, name, data, newer=False):
    """The header, or None if it is damaged; or newer, where that is all the same."""
    try:
        return opening(name, data)
    except Refused as refused:
        if refused.verdict == "newer" and not newer:
            raise
        return None


def first_in_place(headers):
    """Those in their place are asked first."""
    in_place = [header for place, header in headers if header.offset == place]
    return (in_place + [header for _, header in headers] + [None])[0]


def first_naming(number, headers, store):
    """The first frame header that names this segment and, where it is known, this store; or None."""
    return first_in_place([(place, one) for place, one in headers if one.number == number and store in (None, one.store)])


def blocks_of(data, headers, own):
    """The blocks of events of this snapshot that are all there."""
    for place, header in headers:
        if header.kind == R_EVENTS:
            try:
                block = block_behind(header, data, place, len(data), own.salt)
            except Invalid:
                continue
            yield block.payload, block.count, block.shard


def sections_of(data, headers, own):
    """The sections of events that are all there, of frames of this segment that may be cut off."""
    for place, header in headers:
        if own is None or identity(header) != identity(own):
            continue
        try:
            need(header.durable_upto < header.sequence, "condition 4")
            sections = directory(data, place, header)
        except (Invalid, NewerKind):
            continue
        for section in sections:
            content = data[section.offset : section.offset + section.length]
            if section.kind == EVENTS and len(content) == section.length and crc32(content) == section.crc:
                yield content, section.count, section.shard


def take(pieces, found):
    """Adds the identities in the pieces that are valid."""
    for content, count, shard in pieces:
        try:
            runs = events(content, count, shard).runs
        except Invalid:
            continue
        found.update((site, row[2]) for site, rows in runs for row in rows)


# The program ---------------------------------------------------------------------------------------------------------

EXIT_STATUS = {None: 1, "sound": 0, "torn": 0, "corrupt": 4, "newer": 1, "no store": 10}


def read_directory(path):
    """The files that count, and ACKNOWLEDGED, which is read before all others (8.1, step 1)."""
    files = {}
    record = os.path.join(path, "ACKNOWLEDGED")
    if os.path.isfile(record) and not os.path.islink(record):
        files["ACKNOWLEDGED"] = file_bytes(record)
    snapshots, segments = listing({**dict.fromkeys(os.listdir(path)), "ACKNOWLEDGED": None, **files})
    for name in [name for *_, name in snapshots] + [name for _, name in segments]:
        file = os.path.join(path, name)
        if os.path.islink(file) or (os.path.exists(file) and not os.path.isfile(file)):
            raise Unreadable(f"{name}: not a regular file")  # section 2
        files[name] = file_bytes(file)
    return files


def file_bytes(path):
    """As many bytes as it had when it was opened (8.3)."""
    with open(path, "rb") as file:
        return file.read(os.fstat(file.fileno()).st_size)


def answer_of(path):
    """Looks again where a file has vanished. Corruption is told only if a second look finds the same (8.3)."""
    before = now = None
    while now is None or (now["verdict"] == "corrupt" and now != before):
        before = now
        try:
            now = read(read_directory(path))
        except FileNotFoundError:
            now = None
        except Unreadable as error:
            now = {"verdict": None, "why": str(error)}
        except Refused as refused:
            now = {"verdict": refused.verdict, "why": refused.why}
    return now


def main(arguments):
    if len(arguments) != 1 or not os.path.isdir(arguments[0]):
        print("usage: reader.py DIRECTORY", file=sys.stderr)
        return 2
    answered = answer_of(arguments[0])
    print(json.dumps(answered, indent=1))
    return EXIT_STATUS[answered["verdict"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
