#!/usr/bin/env python3
"""Runs a command as if the kernel were Linux 3.2, that of Ubuntu 12.04: every system call that came later answers ENOSYS.

    tools/old_kernel.py COMMAND [ARGUMENT...]

On x86_64 system calls are numbered in the order in which they came: the last one of Linux 3.2 is process_vm_writev, 311. So the
list is short: all above 311 are refused. One flag of an old call is refused as well, as an old kernel does: O_TMPFILE (3.11) of open and
openat answers EISDIR, since before that it was an O_DIRECTORY with the right to write. A seccomp filter does it, so it holds for all
threads and children. Needs python3 on x86_64 Linux, no rights.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

LAST, OPEN, OPENAT = 311, 2, 257
TMPFILE = 0o20000000
ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, EQUAL, GREATER, BITS, RETURN = 0x20, 0x15, 0x25, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT = 0, 4


def argument_at(number):
    """Where the lower half of an argument is in what the filter looks at."""
    return 16 + 8 * number


# An instruction: what, how many to skip if it holds and if not, a number.
PROGRAM = [
    (LOAD, 0, 0, ARCHITECTURE_AT),
    (EQUAL, 1, 0, ARCHITECTURE),
    (RETURN, 0, 0, KILL),
    (LOAD, 0, 0, NUMBER_AT),
    (GREATER, 0, 1, LAST),
    (RETURN, 0, 0, ERRNO | errno.ENOSYS),
    (EQUAL, 2, 0, OPEN),
    (EQUAL, 3, 0, OPENAT),
    (RETURN, 0, 0, ALLOW),
    (LOAD, 0, 0, argument_at(1)),
    (BITS, 3, 2, TMPFILE),
    (LOAD, 0, 0, argument_at(2)),
    (BITS, 1, 0, TMPFILE),
    (RETURN, 0, 0, ALLOW),
    (RETURN, 0, 0, ERRNO | errno.EISDIR),
]


def restrict():
    if platform.machine() != "x86_64":
        sys.exit("old_kernel.py: only for x86_64")
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in PROGRAM)
    code = ctypes.create_string_buffer(code, len(code))
    filter_ = struct.pack("HxxxxxxP", len(PROGRAM), ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privileges, set_seccomp = 38, 22
    if libc.prctl(set_no_new_privileges, 1, 0, 0, 0) or libc.prctl(set_seccomp, 2, ctypes.c_char_p(filter_), 0, 0):
        sys.exit(f"old_kernel.py: no filter: {os.strerror(ctypes.get_errno())}")


def main():
    if len(sys.argv) < 2 or sys.argv[1] in ("-h", "--help"):
        sys.exit(__doc__)
    restrict()
    # The proof that the filter is there: getrandom came with 3.17.
    try:
        os.getrandom(1)
        sys.exit("old_kernel.py: the filter does not work")
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
    try:
        os.execvp(sys.argv[1], sys.argv[1:])
    except OSError as error:
        sys.exit(f"old_kernel.py: {sys.argv[1]}: {error.strerror}")


if __name__ == "__main__":
    main()
