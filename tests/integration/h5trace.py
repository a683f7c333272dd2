# SPDX-License-Identifier: MIT
"""Reads a trace with h5py alone, as docs/format.md describes it: the tests' independent reader."""
import h5py
import numpy as np

# bf16 and the fp8 types come as their raw bits.
DTYPES = ["f4", "f8", "f2", "u2", "u1", "i1", "i2", "i4", "i8", "?", "u1", "u1", "u1", "u1"]
ROW_DATA, ROW_DERIVED = 1, 2
NONE = 2**32 - 1


def text(field):
    return field.split(b"\0")[0].decode()


class Message:
    """One row of the index, with its names looked up."""

    def __init__(self, trace, row):
        self.trace, self.row = trace, row
        self.seq = int(row["seq"])
        self.step = int(row["global_step"])
        self.train_step, self.epoch, self.call = int(row["train_step"]), int(row["epoch"]), int(row["call"])
        self.kind = trace.kinds[row["kind"]]
        self.tag = trace.tags[row["tag"]]
        self.slot = trace.slots[row["slot"]]
        self.module = "" if row["module"] == NONE else trace.modules[row["module"]]
        self.derived = bool(row["flags"] & ROW_DERIVED)
        self.has_data = bool(row["flags"] & ROW_DATA)

    @property
    def shape(self):
        row = self.trace.shapes[self.row["shape"]]
        return tuple(int(n) for n in row["dims"][: row["ndim"]])

    def _elements(self, first):
        count = int(np.prod(self.shape, dtype=np.int64))
        if not count:
            return np.zeros(self.shape, DTYPES[self.row["dtype"]])
        number = int(self.row["stream"])
        each, part = self.trace.parts[number]
        within = first % part + np.arange(count)
        raw = self.trace.stream(number)[first - first % part + within // part * each + within % part]
        return raw.view(DTYPES[self.row["dtype"]]).reshape(self.shape)

    @property
    def values(self):
        data = self._elements(int(self.row["offset"]))
        return data - self._elements(int(self.row["base"])) if self.derived else data


class Trace:
    def __init__(self, path, swmr=False):
        self.file = h5py.File(path, "r", libver="latest", swmr=swmr)
        self.kinds = [text(r["name"]) for r in self.file["kinds"][...]]
        self.tags = [text(r["name"]) for r in self.file["tags"][...]]
        self.slots = [text(r["name"]) for r in self.file["slots"][...]]
        self.modules = [text(r["name"]) for r in self.file["modules"][...]]
        self.of_network = [name for name in self.modules if not name.startswith("optimizer")]
        self.classes = [text(r["class_name"]) for r in self.file["modules"][...]]
        self.shapes = self.file["shapes"][...]
        self.messages = [Message(self, row) for row in self.file["index"][...]]
        self._streams = {}
        # Elements of a chunk, and of one of its slices, through which messages run.
        self.parts = {}
        for row in self.file["streams_used"][...]:
            each = int(self.file.attrs["chunk_bytes"]) // int(row["item_size"])
            self.parts[int(row["stream"])] = each, each // max(1, int(row["slices"]))

    def stream(self, number):
        if number not in self._streams:
            self._streams[number] = self.file[f"streams/{number:04d}"][...]
        return self._streams[number]

    def of(self, kind):
        return [m for m in self.messages if m.kind == kind]
