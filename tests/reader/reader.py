#!/usr/bin/env python3
"""A second reader of the log of chatwal, format 1, written from wal-format.md alone.

The parts below carry the numbers of the sections of that page, and the names are the page's.

    read(files)           what a store says, or why it is refused; files maps names to bytes
    intact_events(files)  what a repair can save of a damaged store (section 12, point 1)
    python3 reader.py DIRECTORY
"""

import json
import os
import re
import struct
import sys
from bisect import bisect_right
from binascii import hexlify
from collections import namedtuple
from zlib import crc32

# A forged run of rejects can stand for 2^32 of them. Above this many in all they are counted, not listed.
LISTED_REJECTS = 1_000_000


class Invalid(Exception):
    """A piece of bytes is not as the page says. Who reads it knows the file and the place."""


class NewerKind(Exception):
    """A kind of frame or section that is not in the page's tables."""


class Refused(Exception):
    """The reader stops: a verdict, and why."""

    def __init__(self, verdict, why):
        super().__init__(why)
        self.verdict, self.why = verdict, why


class at:
    """Turns what is Invalid inside into a refusal that names the file and the place."""

    def __init__(self, file, offset, what):
        self.file, self.offset, self.what = file, offset, what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if kind is Invalid:
            raise Refused("corrupt", f"{self.file}: {self.what} at offset {self.offset}: {error}") from None


# ---------------------------------------------------------------------------------------------------------
# 1. Conventions

SEQUENCE_BOUND = 1 << 40  # sequence numbers, segment numbers, tallies
OFFSET_BOUND = 1 << 56  # offsets and lines of inputs
LEAST, GREATEST = -(1 << 63), (1 << 63) - 1  # signed 64-bit numbers
PAYLOAD_MAX = 67_108_864
WHOLE_BYTES = {8: "B", 16: "H", 32: "I", 64: "Q"}  # widths that struct knows

plain_name = re.compile(rb"[ -~]{1,1024}").fullmatch
control = re.compile("[\x00-\x1f\x7f-\x9f]").search


def is_name(text):
    if plain_name(text):
        return True
    if not 1 <= len(text) <= 1024:
        return False
    try:
        return control(text.decode("utf-8")) is None
    except UnicodeDecodeError:
        return False


def unzigzag(z):
    return (z >> 1) ^ -(z & 1)


def packed_length(n, w):
    return (n * w + 7) // 8


def unpack(data, n, w):
    """The n values of packed(n, w). Eight values take w whole bytes."""
    if w == 0:
        return [0] * n
    if w in WHOLE_BYTES:
        return list(struct.unpack(f"<{n}{WHOLE_BYTES[w]}", data))
    mask = (1 << w) - 1
    shifts = range(0, 8 * w, w)
    values = []
    for start in range(0, len(data), w):
        eight = int.from_bytes(data[start : start + w], "little")
        values.extend([(eight >> shift) & mask for shift in shifts])
    return values[:n]


def set_bits(data, n):
    """The places of the ones among the n bits of packed(n, 1), ascending."""
    bits = int.from_bytes(data, "little") & ((1 << n) - 1)
    text = bin(bits)[:1:-1]  # the lowest bit first
    return [one.start() for one in re.finditer("1", text)]


class Cursor:
    """Takes fields off the front of some bytes. What does not fit is Invalid."""

    __slots__ = ("data", "place")

    def __init__(self, data):
        self.data, self.place = data, 0

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
        while True:
            if self.place == len(self.data):
                raise Invalid("a varint reaches over the end")
            if shift == 70:
                raise Invalid("a varint of more than ten bytes")
            byte = self.data[self.place]
            self.place += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if value >> 64:
            raise Invalid("a varint over 64 bits")
        return value

    def tally(self):
        return bounded(self.varint(), SEQUENCE_BOUND, "tally")

    def front_coded(self, before):
        """A plain name."""
        shared, following = self.varint(), self.varint()
        return self.text(before, shared, following)

    def front_coded_actor(self, before):
        shared, (following, code) = self.varint(), divmod(self.varint(), 6)
        return self.text(before, shared, following), code

    def text(self, before, shared, following):
        if shared > len(before):
            raise Invalid("a text shares more than there is of the one before it")
        text = before[:shared] + self.take(following)
        if not is_name(text):
            raise Invalid("a text is not a name")
        return text

    def done(self):
        if self.place != len(self.data):
            raise Invalid("bytes are left behind the last field")


def bounded(value, bound, what):
    if value >= bound:
        raise Invalid(f"{what} {value} is out of bounds")
    return value


# ---------------------------------------------------------------------------------------------------------
# 2. The directory

SEGMENT_NAME = re.compile(r"([0-9]{10})\.wal")
SNAPSHOT_NAME = re.compile(r"([0-9]{10})-([0-9]{10})\.snap")
ACKNOWLEDGED = struct.Struct("<8sHHI16sQQQII")

Acknowledged = namedtuple("Acknowledged", "magic version length frame_crc store segment offset sequence reserved crc")


def segments_listed(files):
    """{number: name}"""
    matches = [m for m in map(SEGMENT_NAME.fullmatch, files) if m]
    return {int(m[1]): m[0] for m in matches if int(m[1]) >= 1}


def snapshots_listed(files):
    """[(first, last, name)] by their first segment, the greatest last one first"""
    matches = [m for m in map(SNAPSHOT_NAME.fullmatch, files) if m]
    found = [(int(m[1]), int(m[2]), m[0]) for m in matches if 1 <= int(m[1]) <= int(m[2])]
    return sorted(found, key=lambda s: (s[0], -s[1]))


def listing(files):
    """The snapshots and segments that count: [(first, last, name)], [(number, name)]."""
    snapshots, segments = snapshots_listed(files), segments_listed(files)
    if not snapshots and not segments:
        raise Refused("no store", "there is neither a segment nor a snapshot")
    due, counting = 1, []
    for first, last, name in snapshots:
        if last < due:
            continue  # left over
        if first > due:
            raise Refused("corrupt", f"{name}: what holds segment {due} is missing before it")
        if first < due:
            raise Refused("corrupt", f"{name}: overlaps the snapshot before it, which ends with {due - 1}")
        counting.append((first, last, name))
        due = last + 1
    numbers = sorted(number for number in segments if number >= due)
    if not numbers:
        raise Refused("corrupt", f"{due:010}.wal: the last segment is missing")
    for place, number in enumerate(numbers):
        if number != due + place:
            raise Refused("corrupt", f"{due + place:010}.wal: missing before {segments[number]}")
    return counting, [(number, segments[number]) for number in numbers]


def acknowledged(data, store):
    """What ACKNOWLEDGED says, or None where it says nothing."""
    if data is None or len(data) < 64:
        return None
    a = Acknowledged(*ACKNOWLEDGED.unpack_from(data))
    if a.magic != b"chatwack" or a.version != 1 or a.length != 64 or a.crc != crc32(data[:60]):
        return None
    if a.segment >= SEQUENCE_BOUND or a.sequence >= SEQUENCE_BOUND or a.store != store:
        return None
    return a


# ---------------------------------------------------------------------------------------------------------
# 4. Segment header

SEGMENT_HEADER = struct.Struct("<8sHHI16sQ8sQII")

SegmentHeader = namedtuple(
    "SegmentHeader", "magic version length zeros store number salt first_sequence more_zeros crc"
)
Segment = namedtuple("Segment", "number name data header")


def versions(name, data, magic, length):
    """Section 4, "Versions", for segments and snapshots."""
    if data[:8] != magic:
        raise Refused("corrupt", f"{name}: header at offset 0: wrong magic")
    if len(data) < 12:
        raise Refused("corrupt", f"{name}: header at offset 0: cut off")
    version, claimed = struct.unpack_from("<HH", data, 8)
    if claimed < 16 or claimed > len(data):
        raise Refused("corrupt", f"{name}: header at offset 0: its length {claimed} cannot be")
    if crc32(data[: claimed - 4]) != struct.unpack_from("<I", data, claimed - 4)[0]:
        raise Refused("corrupt", f"{name}: header at offset 0: wrong CRC")
    if version != 1:
        raise Refused("newer", f"{name}: header at offset 0: version {version}")
    if claimed != length:
        raise Refused("corrupt", f"{name}: header at offset 0: {claimed} bytes instead of {length}")


def open_segment(number, name, data):
    versions(name, data, b"chatwal\0", 64)
    header = SegmentHeader(*SEGMENT_HEADER.unpack_from(data))
    with at(name, 0, "header"):
        if header.zeros or header.more_zeros:
            raise Invalid("reserved bytes that are not zero")
        if header.number != number:
            raise Invalid(f"it says segment {header.number}")
        bounded(header.first_sequence, SEQUENCE_BOUND, "first sequence")
    return Segment(number, name, data, header)


# ---------------------------------------------------------------------------------------------------------
# 5. Frame header

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
    if offset + 80 > len(data):
        raise Invalid("no room for a frame header")
    header = FrameHeader(*FRAME_HEADER.unpack_from(data, offset))
    if header.magic != b"CWfr":
        raise Invalid("no frame begins here")
    if header.crc != crc32(data[offset : offset + 76]):
        raise Invalid("wrong CRC of the frame header")
    bounded(header.sequence, SEQUENCE_BOUND, "sequence number")
    return header


def due_frame(segment, offset, sequence, previous):
    """Conditions 1 to 5 of the frame that is due at this place."""
    data, own = segment.data, segment.header
    header = frame_header(data, offset)
    if (header.store, header.number, header.salt) != (own.store, own.number, own.salt):
        raise Invalid("the frame is of another segment")  # condition 2
    if header.offset != offset:
        raise Invalid(f"the frame says that it stands at {header.offset}")
    if not BATCH <= header.kind <= HOLE:
        raise NewerKind(f"a frame of the kind {header.kind}")
    if header.sequence != sequence:
        raise Invalid(f"frame {header.sequence} stands where {sequence} is due")  # condition 3
    if header.previous != previous:
        raise Invalid("the frame does not go on from the one before it")
    if header.durable_upto >= header.sequence:
        raise Invalid("the frame says that it is durable itself")  # condition 4
    if offset + 80 + header.payload > len(data):
        raise Invalid("the payload reaches over the end of the file")
    return Frame(segment, offset, header, directory(data, offset, header))


def directory(data, offset, header):
    """The end of condition 4, and condition 5. Entries are looked at one by one, in their order."""
    length = 14 * header.entries
    if header.payload > PAYLOAD_MAX or header.payload < length:
        raise Invalid(f"the payload cannot have {header.payload} bytes")
    entries = data[offset + 80 : offset + 80 + length]
    if len(entries) != length or crc32(entries) != header.directory_crc:
        raise Invalid("wrong CRC of the directory")
    sections, before, place = [], (-1, -1), offset + 80 + length
    for number, entry in enumerate(DIRECTORY_ENTRY.iter_unpack(entries)):
        section = Section(*entry, place)
        if not CHECKPOINT <= section.kind <= REPEATED:
            raise NewerKind(f"a section of the kind {section.kind}")
        if (section.kind, section.shard) <= before:
            raise Invalid("the directory does not ascend")
        if not belongs(header.kind, number, section):
            raise Invalid("the directory has a section that the frame cannot have")
        before = section.kind, section.shard
        place += section.length
        sections.append(section)
    if not sections and header.kind in (BATCH, FORGET, HOLE):
        raise Invalid("the directory is empty")
    if place != offset + 80 + header.payload:
        raise Invalid("the sections do not fill the payload")
    return sections


def belongs(frame_kind, number, section):
    """Whether a section may be entry `number` of a frame of this kind."""
    if section.shard and section.kind != EVENTS:
        return False
    if frame_kind == BATCH and number == 0:
        return section.kind == CHECKPOINT and section.count == 1
    if frame_kind == BATCH:
        if section.kind == REPEATED:
            return section.count >= 1 and section.length == 0
        return section.kind == REJECTS or (section.kind == EVENTS and section.count >= 1)
    if frame_kind == FORGET:
        return number == 0 and section.kind == FORGOTTEN and section.length == 16 * section.count
    return frame_kind == HOLE and number == 0 and section.kind == A_HOLE and section.count == 1


def section_bytes(data, section):
    """Condition 6 for one section."""
    content = data[section.offset : section.offset + section.length]
    if len(content) != section.length or crc32(content) != section.crc:
        raise Invalid("wrong CRC of the section")
    return content


def proof(segment, start):
    """The greatest durable_upto of the headers at this offset or behind it."""
    data, own, proven = segment.data, segment.header, 0
    place = data.find(b"CWfr", start)
    while place != -1:
        try:
            header = frame_header(data, place)
            if (header.store, header.number, header.salt) == (own.store, own.number, own.salt):
                proven = max(proven, header.durable_upto)
        except Invalid:
            pass
        place = data.find(b"CWfr", place + 1)
    return proven


# ---------------------------------------------------------------------------------------------------------
# 6.1 Checkpoint

CHECKPOINT_FIELDS = struct.Struct("<16sQQQQHH16s16sH")

Checkpoint = namedtuple("Checkpoint", "instance start end start_line end_line name")


def checkpoint(data):
    if len(data) < 86:
        raise Invalid("the checkpoint is cut off")
    instance, start, end, start_line, end_line, head, tail, _, _, name = CHECKPOINT_FIELDS.unpack_from(data)
    if start > end or start_line > end_line:
        raise Invalid("the checkpoint ends before its start")
    bounded(end, OFFSET_BOUND, "end")
    bounded(end_line, OFFSET_BOUND, "end line")
    if head != min(end, 4096) or tail != min(end, 4096):
        raise Invalid("the checkpoint's head or tail has a wrong length")
    if name > 4096 or len(data) != 86 + name:
        raise Invalid("the checkpoint's name has a wrong length")
    return Checkpoint(instance, start, end, start_line, end_line, data[86:])


# 6.2 Rejects

# n rejects, each so many bytes and lines behind the one before it; offset and line are those of the first
Run = namedtuple("Run", "offset line n step line_step reason length kept")


def rejects(data, count, batch):
    cursor, runs, total = Cursor(data), [], 0
    offset, line, like = batch.start, batch.start_line, None
    while cursor.place < len(data):
        step, line_step, reason = cursor.varint(), cursor.varint(), cursor.u8()
        if reason == 0:
            n = cursor.varint()
            if like is None or n < 1 or step < 1:
                raise Invalid("a run of rejects that cannot be")
        else:
            n, length, k = 1, cursor.varint(), cursor.varint()
            if k > 4096 or k > length:
                raise Invalid("a reject keeps more bytes than it can")
            like = reason, length, cursor.take(k)
        runs.append(Run(offset + step, line + line_step, n, step, line_step, *like))
        offset += n * step
        line += n * line_step
        total += n
        if offset >= batch.end or line >= batch.end_line:
            raise Invalid("a reject stands behind the batch")
    if total != count:
        raise Invalid(f"{total} rejects instead of {count}")
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
    cursor = Cursor(data)
    a, b, c, t = cursor.varint(), cursor.varint(), cursor.varint(), cursor.varint()
    earliest = unzigzag(cursor.varint())
    wg, wt, wa = cursor.u8(), cursor.u8(), cursor.u8()
    if not 1 <= n <= 8 * len(data) or not 1 <= a + b <= n or c > n or t > n:
        raise Invalid("the counts of the section of events cannot be")
    if max(wg, wt, wa) > 64:
        raise Invalid("a width over 64 bits")
    # An id takes 16 bytes, or 2 at least if it is textual. So nothing below is much longer than the section.
    if 16 * (n - t) + 2 * t > len(data):
        raise Invalid("a field reaches over the end")
    sites = numbered_sites(cursor, a, wg) + named_sites(cursor, b)
    if any(site_hash(site) >> 56 != shard for site in sites):
        raise Invalid("a site of another shard")
    sender, kind, disagree = read_actors(cursor, c)
    is_message = [int(one == MESSAGE) for one in kind]
    begins = set_bits(cursor.take(packed_length(n, 1)), n)
    if begins[:1] != [0] or len(begins) != len(sites):
        raise Invalid("the new-site bits are not right")
    textual = set_bits(cursor.take(packed_length(n, 1)), n) if t else []
    if len(textual) != t:
        raise Invalid("the textual bits are not right")
    timestamps = read_timestamps(cursor, n, wt, earliest)
    places = unpack(cursor.take(packed_length(n, wa)), n, wa)
    if max(places) >= c:
        raise Invalid("an actor that is not in the list")
    ids = read_ids(cursor, n, textual)
    cursor.done()
    rows = [
        (when, is_message[actor], id, sender[actor], kind[actor])
        for when, id, actor in zip(timestamps, ids, places)
    ]
    runs = [(site, rows[i:j]) for site, i, j in zip(sites, begins, begins[1:] + [n])]
    odd = [place for place in range(n) if disagree[places[place]]] if any(disagree) else []
    return Events(runs, {(sites[bisect_right(begins, place) - 1], ids[place]) for place in odd})


def numbered_sites(cursor, a, wg):
    if a == 0:
        return []
    number = cursor.varint()
    numbers = [number]
    for gap in unpack(cursor.take(packed_length(a - 1, wg)), a - 1, wg):
        number += gap
        numbers.append(number)
    if number >= 10**18:
        raise Invalid("a numbered site is out of bounds")
    return [b"%d" % number for number in numbers]


def named_sites(cursor, b):
    sites, before = [], b""
    for _ in range(b):
        before = cursor.front_coded(before)
        if IS_NUMBER(before):
            raise Invalid("a named site is a number")
        sites.append(before)
    return sites


def read_actors(cursor, c):
    """Three lists: from, kind, and whether copies of its events disagree."""
    senders, kinds, disagree, before = [], [], [], b""
    for _ in range(c):
        before, code = cursor.front_coded_actor(before)
        senders.append(before)
        kinds.append(code % 3)
        disagree.append(code >= 3)
    return senders, kinds, disagree


def read_timestamps(cursor, n, wt, earliest):
    since = unpack(cursor.take(packed_length(n, wt)), n, wt)
    if earliest + max(since) <= GREATEST:
        return [earliest + more for more in since]
    return [(earliest + more - LEAST & WORD) + LEAST for more in since]  # modulo 2^64


def hyphenated(*digits):
    return b"-".join(digits)


def read_ids(cursor, n, textual):
    uuids = hexlify(cursor.take(16 * (n - len(textual))))
    ids = [hyphenated(*digits) for digits in struct.iter_unpack("8s4s4s4s12s", uuids)]
    if not textual:
        return ids
    texts = []
    for _ in textual:
        text = cursor.take(cursor.varint())
        if not is_name(text) or IS_UUID(text):
            raise Invalid("a textual id is no name, or a UUID")
        texts.append(text)
    if len(textual) == n:
        return texts
    is_textual, texts, ids = set(textual), iter(texts), iter(ids)
    return [next(texts) if place in is_textual else next(ids) for place in range(n)]


# 6.4 Forgotten inputs


def forgotten(data, count):
    if len(data) != 16 * count:
        raise Invalid("the forgotten inputs have not 16 bytes each")
    return [data[i : i + 16] for i in range(0, len(data), 16)]


# 6.5 Hole


def hole(data):
    cursor = Cursor(data)
    for what in "first segment", "last segment":
        bounded(int.from_bytes(cursor.take(8), "little"), SEQUENCE_BOUND, what)
    before = -1
    for _ in range(cursor.varint()):
        first = bounded(cursor.varint(), SEQUENCE_BOUND, "sequence number")
        last = bounded(cursor.varint(), SEQUENCE_BOUND, "sequence number")
        if first <= before or last < first:
            raise Invalid("the ranges of lost frames do not ascend")
        before = last
    for _ in range(cursor.varint()):
        cursor.take(16)
        first = bounded(cursor.varint(), OFFSET_BOUND, "offset")
        behind = bounded(cursor.varint(), OFFSET_BOUND, "offset")
        if behind < first:
            raise Invalid("a stretch of lost bytes ends before its start")
        length = cursor.varint()
        if length > 4096:
            raise Invalid("a name of more than 4,096 bytes")
        cursor.take(length)
    cursor.done()


# ---------------------------------------------------------------------------------------------------------
# 7. Snapshots

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
Summary = namedtuple(
    "Summary", "messages emails operators visitors events disputed earliest latest offset length"
)
Input = namedtuple("Input", "checkpoint events rejects")


class Snapshot:
    """The header, and what is read when it is opened: fences, shards, inputs, forgotten."""

    def __init__(self, name, data, header):
        self.name, self.data, self.header = name, data, header
        ends = [192, *header[12:19]]
        self.regions = [None, *zip(ends, ends[1:])]
        self.fences, self.shards, self.inputs, self.forgotten = [], [], [], []


def snapshot_header(name, data):
    """Point 1, and whether the fields agree."""
    versions(name, data, b"chatsnap", 192)
    header = SnapshotHeader(*SNAPSHOT_HEADER.unpack_from(data))
    ends = [192, *header[12:19]]
    with at(name, 0, "header"):
        if any(end < before for before, end in zip(ends, ends[1:])):
            raise Invalid("the regions descend")
        if not 1 <= header.first_segment <= header.last_segment:
            raise Invalid("the segments do not agree")
        if not 1 <= header.first_frame <= header.next_frame:
            raise Invalid("the frames do not agree")
        bounded(header.last_segment, SEQUENCE_BOUND, "last segment")
        bounded(header.next_frame, SEQUENCE_BOUND, "next frame")
        for tally in header.events, header.copies, header.disputed, header.sites:
            bounded(tally, SEQUENCE_BOUND, "tally")
        if ends[-1] != len(data):
            raise Invalid(f"the file ends at {len(data)}, the last region at {ends[-1]}")
    return header


def block_at(data, offset, limit, salt):
    """The block that stands there, wherever it says that it stands."""
    if offset + 40 > limit:
        raise Invalid("no room for a block header")
    header = BlockHeader(*BLOCK_HEADER.unpack_from(data, offset))
    if header.magic != b"CWbk" or header.crc != crc32(data[offset : offset + 36]):
        raise Invalid("no block begins here, or its header has a wrong CRC")
    if header.salt != salt:
        raise Invalid("the block is of another snapshot")
    end = offset + 40 + header.length
    if header.length > PAYLOAD_MAX or end > limit:
        raise Invalid("the block reaches over the end")
    payload = data[offset + 40 : end]
    if crc32(payload) != header.payload_crc:
        raise Invalid("wrong CRC of the payload")
    return header, Block(offset, end, header.shard, header.count, payload)


def blocks(snapshot, region):
    """Point 2: every byte of the region is in a block."""
    start, end = snapshot.regions[region]
    found = []
    while start < end:
        with at(snapshot.name, start, f"block of {REGIONS[region]}"):
            header, block = block_at(snapshot.data, start, end, snapshot.header.salt)
            if header.kind != region:
                raise Invalid(f"it is of the kind {header.kind}")
            if header.offset != start:
                raise Invalid(f"it says that it stands at {header.offset}")
        found.append(block)
        start = block.end
    return found


def open_snapshot(first, last, name, data):
    """Points 1 to 3, without the events, the index and the rejects."""
    header = snapshot_header(name, data)
    if (header.first_segment, header.last_segment) != (first, last):
        raise Refused("corrupt", f"{name}: header at offset 0: it covers other segments than its name says")
    snapshot = Snapshot(name, data, header)
    read_fences(snapshot)
    read_shards(snapshot)
    read_inputs(snapshot)
    for block in blocks(snapshot, R_FORGOTTEN):
        with at(name, block.offset, "block of forgotten"):
            snapshot.forgotten += forgotten(block.payload, block.count)
    return snapshot


def with_block(snapshot, region, reading):
    """Calls reading(block, cursor) for each block of a region."""
    for block in blocks(snapshot, region):
        cursor = Cursor(block.payload)
        with at(snapshot.name, block.offset, f"block of {REGIONS[region]}"):
            reading(block, cursor)
            cursor.done()


def read_fences(snapshot):
    fences = snapshot.fences

    def reading(block, cursor):
        site = b""
        for _ in range(block.count):
            site, offset = cursor.front_coded(site), cursor.varint()
            if fences and (site <= fences[-1][0] or offset <= fences[-1][1]):
                raise Invalid("the fences do not ascend")
            fences.append((site, offset))

    with_block(snapshot, R_FENCES, reading)
    start, end = snapshot.regions[R_INDEX]
    with at(snapshot.name, snapshot.regions[R_FENCES][0], "fences"):
        if [offset for _, offset in fences[:1]] != ([start] if start < end else []):
            raise Invalid("the first fence does not name the start of the index")


def read_shards(snapshot):
    shards = snapshot.shards

    def reading(block, cursor):
        for _ in range(block.count):
            shard, length, count = cursor.u8(), cursor.varint(), cursor.tally()
            if shards and shard <= shards[-1][0]:
                raise Invalid("the shards do not ascend")
            if length == 0 or count == 0:
                raise Invalid("a shard without events")
            shards.append((shard, length, count))

    with_block(snapshot, R_SHARDS, reading)
    with at(snapshot.name, snapshot.regions[R_SHARDS][0], "shards"):
        if len(blocks(snapshot, R_SHARDS)) != 1:
            raise Invalid("there is not exactly one block")
        start, end = snapshot.regions[R_EVENTS]
        if sum(length for _, length, _ in shards) != end - start:
            raise Invalid("the shards do not fill the region of events")


def read_inputs(snapshot):
    def reading(block, cursor):
        for _ in range(block.count):
            last = checkpoint(cursor.take(cursor.varint()))
            snapshot.inputs.append(Input(last, cursor.tally(), cursor.tally()))

    with_block(snapshot, R_INPUTS, reading)


def read_index(snapshot):
    """Point 3 for the index: {site: summary}, ascending, and the fences that it has to have."""
    index, fences, last = {}, [], b""

    def reading(block, cursor):
        nonlocal last
        site = b""
        for place in range(block.count):
            site = cursor.front_coded(site)
            if site <= last:
                raise Invalid("the sites do not ascend")
            last = site
            if place == 0:
                fences.append((site, block.offset))
            six = [cursor.tally() for _ in range(6)]
            earliest = unzigzag(cursor.varint())
            latest = earliest + cursor.varint()
            if latest > GREATEST:
                raise Invalid("the latest timestamp does not fit 64 bits")
            index[site] = Summary(*six, earliest, latest, cursor.varint(), cursor.varint())
        if block.count == 0:
            raise Invalid("the block has no first site that a fence could name")

    with_block(snapshot, R_INDEX, reading)
    with at(snapshot.name, snapshot.regions[R_FENCES][0], "fences"):
        if fences != snapshot.fences:
            raise Invalid("they are not the first sites of the blocks of the index")
    return index


def read_rejects(snapshot):
    """Point 3 for the rejects: [(instance, runs, how many)]"""
    found = []

    def reading(block, cursor):
        batch = checkpoint(cursor.take(cursor.varint()))
        rest = cursor.take(len(block.payload) - cursor.place)
        found.append((batch.instance, rejects(rest, block.count, batch), block.count))

    with_block(snapshot, R_REJECTS, reading)
    return found


class SiteEvents:
    """The events of a site in a snapshot, and the blocks that they are in."""

    def __init__(self, offset):
        self.offset, self.end = offset, offset
        self.events, self.ids, self.disputed = [], set(), 0

    def add(self, rows, end):
        self.end = end
        if self.events and not self.events[-1] < rows[0] or any(not x < y for x, y in zip(rows, rows[1:])):
            raise Invalid("the events of a site are not in their order")
        self.events += rows
        self.ids.update([row[2] for row in rows])
        if len(self.ids) != len(self.events):
            raise Invalid("an identity stands there twice")

    def summary(self):
        earliest, latest = self.events[0][0], self.events[-1][0]
        return Summary(
            *fold(self.events), len(self.events), self.disputed, earliest, latest, self.offset, self.end - self.offset
        )


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
            if block.shard != shard or block.end > stop:
                raise Invalid(f"it is not of the stretch of shard {shard:#04x}")
            section = events(block.payload, block.count, block.shard)
            for site, rows in section.runs:
                if site != last and site in sites:
                    raise Invalid("the events of a site do not stand together")
                last = site
                sites.setdefault(site, SiteEvents(block.offset)).add(rows, block.end)
            for site, _ in section.disagreeing:
                sites[site].disputed += 1
            sections.append(section)
            due -= block.count
            if block.end == stop and due:
                raise Invalid(f"shard {shard:#04x} has not as many events as the table says")
    return sites, sections


def check_snapshot(snapshot):
    """Points 2 to 7, for what was not checked when the snapshot was opened."""
    sites, sections = read_events(snapshot)
    index = read_index(snapshot)
    found = read_rejects(snapshot)
    name, header = snapshot.name, snapshot.header
    with at(name, snapshot.regions[R_INDEX][0], "index"):  # point 5
        if index.keys() != sites.keys():
            raise Invalid("it does not name the sites that have events")
        for site, here in sites.items():
            if index[site] != here.summary():
                raise Invalid(f"site {site!r} is not what its events say: {here.summary()}")
    with at(name, 0, "header"):  # point 6
        sums = index.values()
        said = header.sites, header.events, header.disputed, header.earliest, header.latest
        if said != (
            len(index),
            sum(s.events for s in sums),
            sum(s.disputed for s in sums),
            min((s.earliest for s in sums), default=GREATEST),
            max((s.latest for s in sums), default=LEAST),
        ):
            raise Invalid("it is not what the index adds up to")
    with at(name, snapshot.regions[R_INPUTS][0], "inputs"):  # point 7
        counted = {one.checkpoint.instance: 0 for one in snapshot.inputs}
        if len(counted) != len(snapshot.inputs):
            raise Invalid("an instance stands there twice")
        for instance, _, count in found:
            if instance not in counted:
                raise Invalid("rejects of an instance that is not among the inputs")
            counted[instance] += count
        if any(counted[one.checkpoint.instance] != one.rejects for one in snapshot.inputs):
            raise Invalid("an input has not as many rejects as it says")
    return sections, found


# ---------------------------------------------------------------------------------------------------------
# 8. Reading

# where the chain ends: what is "seal", "end" (of the file) or "bytes"; due is k
End = namedtuple("End", "segment offset due what why")


class Store:
    def __init__(self):
        self.snapshots, self.segments, self.frames = [], [], []
        self.acknowledged, self.torn, self.why = None, False, ""


def open_store(files):
    """Section 8.1."""
    store = Store()
    snapshots, segments = listing(files)  # step 2; step 1 is files as it is
    for first, last, name in snapshots:  # step 3
        snapshot = open_snapshot(first, last, name, files[name])
        goes_on(store.snapshots, snapshot)
        store.snapshots.append(snapshot)
    for number, name in segments:  # step 4
        segment = open_segment(number, name, files[name])
        first = (store.snapshots + store.segments + [segment])[0]
        if segment.header.store != first.header.store:
            raise Refused("corrupt", f"{name}: header at offset 0: it is of another store")
        store.segments.append(segment)
    store.acknowledged = acknowledged(files.get("ACKNOWLEDGED"), store.segments[0].header.store)
    end = follow(store)  # step 5
    durable = durable_upto(store)  # step 6
    end = check_behind(store, durable, end)
    judge(store, end, durable)  # step 7
    rolled_back(store)  # step 8
    return store


def goes_on(before, snapshot):
    """The end of step 3."""
    header = snapshot.header
    with at(snapshot.name, 0, "header"):
        if not before:
            if header.first_frame != 1:
                raise Invalid(f"it begins with frame {header.first_frame}")
            return
        last = before[-1].header
        if header.store != last.store:
            raise Invalid("it is of another store")
        if (header.first_frame, header.previous) != (last.next_frame, last.next_previous):
            raise Invalid("it does not go on where the snapshot before it ends")


def follow(store):
    """Step 5: fills store.frames, and says where the chain ends."""
    first = store.segments[0]
    due, previous = 1, first.header.crc
    if store.snapshots:
        last = store.snapshots[-1].header
        due, previous = last.next_frame, last.next_previous
    if first.header.first_sequence != due:
        raise Refused("corrupt", f"{first.name}: header at offset 0: its first sequence is not {due}")
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
        if not sealed or offset < len(segment.data):
            return end
        if not following or following[0].header.first_sequence != due:
            return end
    return end


def durable_upto(store):
    """D of step 6."""
    candidates = [frame.header.durable_upto for frame in store.frames]
    if store.snapshots:
        candidates.append(store.snapshots[-1].header.next_frame - 1)
    if store.acknowledged:
        candidates.append(store.acknowledged.sequence)
    return max(candidates, default=0)


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
    """Section 8.2. Rows 3 and 4 do not come up here, nor does row 10: all segments are there and sound."""
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
    if following and len(following.data) > 64:
        corrupt("the next segment has frames.")  # row 6
    if following and following.header.first_sequence != end.due + 1:
        corrupt(f"the next segment begins with frame {following.header.first_sequence}.")  # row 7
    proven = max(durable, proof(segment, end.offset))
    if proven >= end.due:
        corrupt(f"frames up to {proven} were durable.")  # row 8
    if following and end.segment + 2 < len(store.segments):
        corrupt("a segment without a seal, and behind it one without a frame, that has a successor.")
    if end.what == "bytes":  # rows 9 and 12, else 9 and 11
        store.torn = True
        store.why = f"{segment.name}: torn at offset {end.offset}: {end.why}"


def rolled_back(store):
    """Step 8."""
    if not store.acknowledged or not store.frames:
        return
    place = store.acknowledged.sequence - store.frames[0].header.sequence
    if 0 <= place < len(store.frames):
        frame = store.frames[place]
        if frame.header.crc != store.acknowledged.frame_crc:
            raise Refused(
                "corrupt", f"{frame.segment.name}: frame at offset {frame.offset}: another one was acknowledged"
            )


def check_frame(frame):
    """Step 9 and the end of 8.4: all sections of a frame, by their kinds: {kind: [what it holds]}"""
    found = {kind: [] for kind in range(CHECKPOINT, REPEATED + 1)}
    batch = None
    for section in frame.sections:
        with at(frame.segment.name, section.offset, f"section of the kind {section.kind}"):
            data = section_bytes(frame.segment.data, section)
            if section.kind == CHECKPOINT:
                batch = content = checkpoint(data)
            elif section.kind == REJECTS:
                content = rejects(data, section.count, batch), section.count
            elif section.kind == EVENTS:
                content = events(data, section.count, section.shard), section.count
            elif section.kind == FORGOTTEN:
                content = forgotten(data, section.count)
            elif section.kind == A_HOLE:
                content = hole(data)
            else:
                content = section.count
        found[section.kind].append(content)
    return found


# ---------------------------------------------------------------------------------------------------------
# 10. From events to the report


def fold(ordered):
    """(messages, emails, operators, visitors) of the events of a site in their order"""
    online, operators, visitors, chats, emails = set(), set(), set(), 0, 0
    for _, is_message, _, sender, kind in ordered:
        if is_message:
            visitors.add(sender)
            if online:
                chats += 1
            else:
                emails += 1
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
    """{instance: [last checkpoint, events, rejects]}, and {instance: [runs of rejects]}"""

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
        rows = []
        for instance, (last, events_of_it, rejects_of_it) in self.known.items():
            rows.append([instance.hex(), last.end, last.end_line, events_of_it, rejects_of_it, last.name.hex()])
        return sorted(rows)

    def listed_rejects(self):
        """None where there are too many to list them."""
        runs = [(instance, run) for instance in self.known for run in self.runs.get(instance, [])]
        if sum(run.n for _, run in runs) > LISTED_REJECTS:
            return None
        rows = []
        for instance, run in runs:
            name, rest = instance.hex(), [run.reason, run.length, run.kept.hex()]
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


def read(files):
    try:
        return answer(open_store(files))
    except Refused as refused:
        return {"verdict": refused.verdict, "why": refused.why}


# ---------------------------------------------------------------------------------------------------------
# 12. Repair, point 1: what is intact, wherever it stands


def places(data, magic):
    place = data.find(magic)
    while place != -1:
        yield place
        place = data.find(magic, place + 1)


def frame_headers(data):
    """All headers that meet condition 1: [(place, header)]"""
    found = []
    for place in places(data, b"CWfr"):
        try:
            found.append((place, frame_header(data, place)))
        except Invalid:
            pass
    return found


def block_headers(data):
    found = []
    for place in places(data, b"CWbk"):
        if place + 40 <= len(data):
            header = BlockHeader(*BLOCK_HEADER.unpack_from(data, place))
            if header.crc == crc32(data[place : place + 36]):
                found.append((place, header))
    return found


def or_none(opening, *arguments):
    """What is opened, or None if it is refused."""
    try:
        return opening(*arguments)
    except Refused:
        return None


def first_in_place(headers):
    """Those in their place are asked first."""
    in_place = [header for place, header in headers if header.offset == place]
    return (in_place + [header for _, header in headers] + [None])[0]


def header_of_snapshot(first, last, name, data):
    header = or_none(snapshot_header, name, data)
    return header if header and (header.first_segment, header.last_segment) == (first, last) else None


def intact_events(files):
    """The identities (site_id, id) in all intact blocks and sections, left-over files among them."""
    snapshots, segments = [], []
    for first, last, name in snapshots_listed(files):
        snapshots.append((name, header_of_snapshot(first, last, name, files[name])))
    for number, name in sorted(segments_listed(files).items()):
        segment = or_none(open_segment, number, name, files[name])
        segments.append((number, name, segment and segment.header))
    headers = [one[-1] for one in snapshots + segments if one[-1]]
    store = headers[0].store if headers else None  # the first file with a sound header names the store
    found = set()
    for name, header in snapshots:
        take_blocks(files[name], header if header and header.store == store else None, found)
    for number, name, header in segments:
        take_sections(files[name], number, store, header if header and header.store == store else None, found)
    return found


def take_blocks(data, header, found):
    headers = block_headers(data)
    asked = header or first_in_place(headers)
    for place, one in headers:
        if one.kind != R_EVENTS:
            continue
        try:
            _, block = block_at(data, place, len(data), asked.salt)
            take_events(events(block.payload, block.count, block.shard), found)
        except Invalid:
            pass


def take_sections(data, number, store, header, found):
    headers = frame_headers(data)
    if header is None:
        naming = [(place, h) for place, h in headers if h.number == number and store in (None, h.store)]
        header = first_in_place(naming)
    for place, one in headers:
        if header is None or (one.store, one.number, one.salt) != (header.store, number, header.salt):
            continue
        try:
            sections = directory(data, place, one)
        except (Invalid, NewerKind):
            continue
        for section in sections:
            if section.kind != EVENTS:
                continue
            try:
                take_events(events(section_bytes(data, section), section.count, section.shard), found)
            except Invalid:
                pass


def take_events(section, found):
    for site, rows in section.runs:
        found.update([(site, row[2]) for row in rows])


# ---------------------------------------------------------------------------------------------------------

EXIT_STATUS = {"sound": 0, "torn": 0, "corrupt": 4, "newer": 1, "no store": 10}


def read_directory(path):
    """The files whose names mean something."""
    files = {}
    for entry in os.scandir(path):
        name = entry.name
        known = name == "ACKNOWLEDGED" or SEGMENT_NAME.fullmatch(name) or SNAPSHOT_NAME.fullmatch(name)
        if known and entry.is_file():
            with open(entry.path, "rb") as file:
                files[name] = file.read()
    return files


def main(arguments):
    if len(arguments) != 1:
        print("usage: reader.py DIRECTORY", file=sys.stderr)
        return 2
    answered = read(read_directory(arguments[0]))
    json.dump(answered, sys.stdout, indent=1)
    print()
    return EXIT_STATUS[answered["verdict"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
