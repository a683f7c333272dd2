# SPDX-License-Identifier: MIT
"""Traces with something changed in them, and the checksums made right again or not."""
import ctypes
import pathlib
import struct

import h5py

from tests.attack import blocks

TABLES = ("index", "kinds", "modules", "slots", "tags", "shapes", "chunks", "streams_used", "aliases", "losses", "end")
NUMBERS = (0, 1, 2, 3, 7, 8, 127, 128, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
TEXTS = (b"", b"\x1b]0;owned\x07", b"$(touch PWNED)", b"../../../../tmp/x", b"a" * 600, b"\xff\xfe", b"<script>alert(1)</script>", b"%s%n%s",
         b"a\nb", b"'; set output '/tmp/x", b"-o", b"{\"a\": 1e999}", b"[" * 500)
ATTRIBUTES = ("format", "format_major", "format_minor", "rank", "world_size", "created_ns", "chunk_bytes", "codec", "facts", "hash")


def _hashes():
    library = ctypes.CDLL("libxxhash.so.0")
    library.XXH3_64bits.restype = ctypes.c_uint64
    library.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
    return library


class Template:
    """A sound trace: its bytes, and where in them rows, chunks and HDF5's structures lie."""

    def __init__(self, path):
        self.path = pathlib.Path(path)
        self.data = self.path.read_bytes()
        self.rows, self.fields, self.chunks = {}, {}, {}
        with h5py.File(path, "r") as file:
            for table in TABLES:
                self._find_rows(table, file[table])
            for name, stream in file["streams"].items():
                for i in range(stream.id.get_num_chunks()):
                    info = stream.id.get_chunk_info(i)
                    self.chunks[int(name), int(info.chunk_offset[0]) // stream.chunks[0]] = info.byte_offset, info.size
        self.blocks = blocks.find_blocks(self.data)

    def _find_rows(self, table, dataset):
        size = dataset.dtype.itemsize
        self.fields[table] = [(name, dataset.dtype.fields[name][1], dataset.dtype.fields[name][0].itemsize) for name in dataset.dtype.names]
        places = []
        for i in range(dataset.id.get_num_chunks()):
            info = dataset.id.get_chunk_info(i)
            first = int(info.chunk_offset[0])
            places += [info.byte_offset + size * k for k in range(min(dataset.chunks[0], len(dataset) - first))]
        self.rows[table] = [place for place in places if place + size <= len(self.data)], size


class Mutator:
    """mutate() makes a file of a template and says what was done to it."""

    def __init__(self, template, random):
        self.template, self.random = template, random
        self.hashes = _hashes()
        self.ways = {"metadata": self.metadata, "row": self.row, "chunk": self.chunk, "attribute": self.attribute, "flip": self.flip,
                     "cut": self.cut}

    def mutate(self, way, path):
        data = bytearray(self.template.data)
        path.write_bytes(data)
        said = self.ways[way](data, path)
        if way != "attribute":
            path.write_bytes(data)
        return f"{way}: {said} of {self.template.path.name}"

    def _number(self, size, before):
        random = self.random
        value = random.choice((random.choice(NUMBERS), before + random.choice((-1, 1, 2, 256)), random.getrandbits(8 * size)))
        return (value % 256**size).to_bytes(size, "little")

    def metadata(self, data, path):
        """A byte or a number in a structure of HDF5, whose checksum is right again."""
        block = self.random.choice(self.template.blocks)
        name, first, end = block
        size = self.random.choice((1, 1, 1, 2, 4, 8))
        at = self.random.randrange(first + 4, max(first + 5, end - 4 - size))
        data[at:at + size] = new = self._number(size, int.from_bytes(data[at:at + size], "little"))
        blocks.sign(data, block)
        return f"byte {at} ({name} + {at - first}) is {new.hex()}"

    def _seal(self, data, place, size):
        row = bytes(data[place:place + size - 4])
        struct.pack_into("<I", data, place + size - 4, self.hashes.XXH32(row, len(row), 0) & 0xFFFFFFFF)

    def row(self, data, path):
        """Fields of rows of a table, whose checksums are right again."""
        said = []
        for _ in range(self.random.choice((1, 1, 2, 5))):
            table = self.random.choice([table for table in TABLES if self.template.rows[table][0]])
            places, size = self.template.rows[table]
            place = self.random.choice(places)
            name, offset, length = self.random.choice(self.template.fields[table][:-1])
            old = data[place + offset:place + offset + length]
            if length <= 8:
                new = self._number(length, int.from_bytes(old, "little"))
            elif name == "dims":
                dim = 8 * self.random.randrange(4)
                new = old[:dim] + self._number(8, int.from_bytes(old[dim:dim + 8], "little")) + old[dim + 8:]
            else:
                new = self.random.choice(TEXTS)[:length].ljust(length, b"\0")
            data[place + offset:place + offset + length] = new
            self._seal(data, place, size)
            said.append(f"{name} of /{table} at {place} is {bytes(new[:24]).hex()}")
        return ", ".join(said)

    def chunk(self, data, path):
        """Bytes of a stored chunk, whose hash in /chunks is right again."""
        (stream, number), (place, size) = self.random.choice(sorted(self.template.chunks.items()))
        at = place + self.random.randrange(min(size, 400) if self.random.random() < 0.7 else size)
        new = self._number(self.random.choice((1, 2, 4)), 0)[:place + size - at]
        data[at:at + len(new)] = new
        places, length = self.template.rows["chunks"]
        fields = {name: (offset, n) for name, offset, n in self.template.fields["chunks"]}

        def field(row, name):
            offset, n = fields[name]
            return int.from_bytes(data[row + offset:row + offset + n], "little")

        for row in places:
            if (field(row, "stream"), field(row, "number")) == (stream, number):
                stored = bytes(data[place:place + size])
                struct.pack_into("<Q", data, row + fields["hash"][0], self.hashes.XXH3_64bits(stored, len(stored)))
                self._seal(data, row, length)
        return f"byte {at - place} of chunk {number} of stream {stream} is {new.hex()}"

    def attribute(self, data, path):
        """A root attribute of another value or type."""
        name = self.random.choice(ATTRIBUTES)
        value = self.random.choice((self.random.choice(TEXTS).replace(b"\0", b""), self.random.choice(NUMBERS[:-2]), 1.5, [1, 2]))
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            del file.attrs[name]
            if isinstance(value, bytes) and self.random.random() < 0.5:
                file.attrs.create(name, value, dtype=h5py.string_dtype())
            elif value != b"":
                file.attrs[name] = value
        return f"{name} is {value!r}"

    def flip(self, data, path):
        """Anything, and no checksum is made right."""
        at = self.random.randrange(len(data))
        data[at] ^= 1 << self.random.randrange(8)
        return f"bit of byte {at}"

    def cut(self, data, path):
        """The file ends early."""
        del data[self.random.randrange(len(data)):]
        return f"{len(data)} bytes"
