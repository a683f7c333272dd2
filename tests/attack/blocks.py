# SPDX-License-Identifier: MIT
"""HDF5's own structures in a file: where they are, and the checksums at their ends (HDF5 file format specification,
version 3: superblocks of version 2 and 3, and what has a signature)."""
import struct

import numpy as np

SIGNATURES = (b"OHDR", b"OCHK", b"FRHP", b"FHIB", b"BTHD", b"BTIN", b"BTLF", b"FAHD", b"FADB", b"EAHD", b"EAIB", b"EASB", b"EADB",
              b"FSHD", b"FSSE", b"SMTB")
SUPERBLOCK = b"\x89HDF\r\n\x1a\n"
LENGTHS = (256, 1024, 4096)
MASK = 0xFFFFFFFF


def _rotate(x, k):
    return (x << k | x >> (32 - k)) & MASK


def lookup3(data):
    """Bob Jenkins' lookup3 (hashlittle), from 0: the checksum of HDF5's metadata."""
    left = len(data)
    a = b = c = (0xDEADBEEF + left) & MASK
    at = 0
    while left > 12:
        x, y, z = struct.unpack_from("<III", data, at)
        a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
        a = ((a - c) & MASK) ^ _rotate(c, 4); c = (c + b) & MASK  # noqa: E702
        b = ((b - a) & MASK) ^ _rotate(a, 6); a = (a + c) & MASK  # noqa: E702
        c = ((c - b) & MASK) ^ _rotate(b, 8); b = (b + a) & MASK  # noqa: E702
        a = ((a - c) & MASK) ^ _rotate(c, 16); c = (c + b) & MASK  # noqa: E702
        b = ((b - a) & MASK) ^ _rotate(a, 19); a = (a + c) & MASK  # noqa: E702
        c = ((c - b) & MASK) ^ _rotate(b, 4); b = (b + a) & MASK  # noqa: E702
        at, left = at + 12, left - 12
    if left == 0:
        return c
    x, y, z = struct.unpack("<III", data[at:].ljust(12, b"\0"))
    a, b, c = (a + x) & MASK, (b + y) & MASK, (c + z) & MASK
    c = ((c ^ b) - _rotate(b, 14)) & MASK
    a = ((a ^ c) - _rotate(c, 11)) & MASK
    b = ((b ^ a) - _rotate(a, 25)) & MASK
    c = ((c ^ b) - _rotate(b, 16)) & MASK
    a = ((a ^ c) - _rotate(c, 4)) & MASK
    b = ((b ^ a) - _rotate(a, 14)) & MASK
    return ((c ^ b) - _rotate(b, 24)) & MASK


def _all_lookup3(data):
    """lookup3 of data[:n] for every n at once."""
    n = len(data)
    words = np.frombuffer(data + b"\0" * 16, np.uint8)
    lengths = np.arange(n + 1, dtype=np.uint32)
    state = [np.uint32(0xDEADBEEF) + lengths for _ in range(3)]
    result = np.zeros(n + 1, np.uint32)

    def turn(x, k):
        return x << np.uint32(k) | x >> np.uint32(32 - k)

    for at in range(0, n + 1, 12):
        # Those that end in these 12 bytes.
        ends = slice(max(at, 0) + (1 if at else 0), min(at + 12, n) + 1)
        size = lengths[ends] - np.uint32(at)
        tail = np.where(np.arange(12) < size[:, None], words[at:at + 12][None, :].astype(np.uint32) if at + 12 <= n + 16 else 0, 0)
        x, y, z = (sum(tail[:, 4 * w + i] << np.uint32(8 * i) for i in range(4)).astype(np.uint32) for w in range(3))
        a, b, c = state[0][ends] + x, state[1][ends] + y, state[2][ends] + z
        plain = c.copy()
        c = (c ^ b) - turn(b, 14); a = (a ^ c) - turn(c, 11); b = (b ^ a) - turn(a, 25)  # noqa: E702
        c = (c ^ b) - turn(b, 16); a = (a ^ c) - turn(c, 4); b = (b ^ a) - turn(a, 14)  # noqa: E702
        c = (c ^ b) - turn(b, 24)
        result[ends] = np.where(size == 0, plain, c)
        if at + 12 >= n:
            break
        x, y, z = np.frombuffer(words[at:at + 12].tobytes(), "<u4")
        a, b, c = state[0] + x, state[1] + y, state[2] + z
        a = (a - c) ^ turn(c, 4); c = c + b  # noqa: E702
        b = (b - a) ^ turn(a, 6); a = a + c  # noqa: E702
        c = (c - b) ^ turn(b, 8); b = b + a  # noqa: E702
        a = (a - c) ^ turn(c, 16); c = c + b  # noqa: E702
        b = (b - a) ^ turn(a, 19); a = a + c  # noqa: E702
        c = (c - b) ^ turn(b, 4); b = b + a  # noqa: E702
        state = [a, b, c]
    return result


def _length(data, at, known):
    """Of the structure that begins there, with its checksum; 0: none. Most are as long as others of their sort."""
    for length in known:
        if data[at + length - 4:at + length] == struct.pack("<I", lookup3(data[at:at + length - 4])):
            return length
    for most in LENGTHS:
        piece = data[at:at + most]
        with np.errstate(over="ignore"):
            sums = _all_lookup3(piece)[:len(piece) - 3]
        stored = np.lib.stride_tricks.sliding_window_view(np.frombuffer(piece, np.uint8), 4).copy().view("<u4")[:, 0]
        ends, = np.nonzero(sums == stored)
        if len(ends):
            known.append(int(ends[0]) + 4)
            return known[-1]
    return 0


def find_blocks(data):
    """[(name, first byte, end)] of the structures of a file whose last four bytes are a checksum of the others."""
    found = [("superblock", 0, 48)]
    for signature in SIGNATURES:
        known = []
        at = data.find(signature)
        while at >= 0:
            length = _length(data, at, known)
            if length:
                found.append((signature.decode(), at, at + length))
            at = data.find(signature, at + 4)
    # The direct blocks of a fractal heap have theirs in front, made with zeros in its place.
    at = data.find(b"FHDB")
    while at >= 0:
        for size in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
            for where in (17, 18, 19, 21):
                if sum_direct(data, at, size, where) == struct.unpack_from("<I", data, at + where)[0]:
                    found.append((f"FHDB {where}", at, at + size))
        at = data.find(b"FHDB", at + 4)
    return found


def sum_direct(data, at, size, where):
    return lookup3(bytes(data[at:at + where]) + b"\0" * 4 + bytes(data[at + where + 4:at + size]))


def sign(data, block):
    """Makes the checksum of a block right again."""
    name, first, end = block
    if name.startswith("FHDB"):
        where = int(name.split()[1])
        struct.pack_into("<I", data, first + where, sum_direct(data, first, end - first, where))
    else:
        struct.pack_into("<I", data, end - 4, lookup3(bytes(data[first:end - 4])))
