# SPDX-License-Identifier: MIT
"""The hash of tensors, by the program of docs/format.md, and hashes of traces before format 1.5."""
import ctypes
import json
import re
import shutil
import sys
import unittest

import h5py
import numpy as np

from tests.integration.program import ROOT, folder_of, has_training, nauha
from tests.integration.test_versions import seal

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha as package  # noqa: E402
from nauha import native, trace  # noqa: E402, F401, which declares functions


def documented():
    """tensor_hash() as docs/format.md has it."""
    text = (ROOT / "docs/format.md").read_text()
    code, = re.findall(r"```python\n(def mix.*?)```", text, re.S)
    names = {"np": np}
    exec(code, names)
    return names["tensor_hash"]


def computed(data):
    """By the C library."""
    function = native.library.nauha_tensor_hash
    function.argtypes = [ctypes.c_void_p, ctypes.c_uint64 * 2, ctypes.c_void_p]
    function.restype = ctypes.c_int
    view, shape, words = native.Tensor(), (ctypes.c_int64 * 1)(len(data)), (ctypes.c_uint64 * 2)()
    memory = np.frombuffer(data, "u1")
    view.data, view.dtype, view.ndim, view.shape = memory.ctypes.data, native.DTYPES.index("u8"), 1, shape
    assert function(ctypes.byref(view), words, None) == 0
    return list(words)


class XXH128(ctypes.Structure):
    _fields_ = [("low", ctypes.c_uint64), ("high", ctypes.c_uint64)]


def xxh3(data):
    function = ctypes.CDLL("libxxhash.so.0").XXH3_128bits
    function.restype, function.argtypes = XXH128, [ctypes.c_char_p, ctypes.c_size_t]
    found = function(data, len(data))
    return found.low, found.high


class Definition(unittest.TestCase):
    def test_the_documented_program(self):
        tensor_hash, random = documented(), np.random.default_rng(1)
        with np.errstate(over="ignore"):
            for length in [*range(70), 4095, 4096, 4097, 8192, 12289, 100003]:
                for data in (random.bytes(length), bytes(length), b"\xff" * length):
                    self.assertEqual(list(tensor_hash(data)), computed(data), length)


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class OlderTraces(unittest.TestCase):
    """Traces as format 1.4 has them: made from new ones."""

    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.full = cls.train("full.h5")
        cls.hashes, cls.prints = (cls.train(f"{keep}.h5", "--keep", keep) for keep in ("hashes", "fingerprints"))
        with package.open(cls.full) as full:
            cls.bytes = {message.seq: message.tensor.tobytes() for message in full.messages() if message.dtype}
        cls.old_hashes, cls.old_prints = cls.older(cls.hashes), cls.older(cls.prints)

    @classmethod
    def train(cls, name, *options, seed=1):
        path = cls.folder / name
        nauha("train", "-q", "--seed", seed, "--max-steps", 2, "--batch-size", 8, "--test-every", 0, "--codec", "none", *options,
              "-o", path)
        return path

    @classmethod
    def older(cls, path):
        old = path.with_name(f"old_{path.name}")
        shutil.copy(path, old)
        with h5py.File(old, "r+", libver="latest") as file:
            file.attrs.modify("format_minor", np.uint32(4))
            del file.attrs["hash"]
            rows, chunks = file["index"][...], file["chunks"][...]
            per_chunk = int(file.attrs["chunk_bytes"]) // 8
            for row in rows:
                low, high = xxh3(cls.bytes[row["seq"]]) if row["flags"] & 12 else (0, 0)
                if row["flags"] & 4:
                    row["offset"], row["base"] = low, high
                elif row["flags"] & 8:
                    file["streams/%04d" % row["stream"]][int(row["offset"]):int(row["offset"]) + 2] = low, high
            file["index"][...] = seal(rows)
            function = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
            function.restype, function.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
            for chunk in chunks:
                at = int(chunk["number"]) * per_chunk if file["streams/%04d" % chunk["stream"]].dtype.itemsize == 8 else None
                if at is not None:
                    data = file["streams/%04d" % chunk["stream"]][at:at + per_chunk].tobytes()
                    chunk["hash"] = function(data.ljust(8 * per_chunk, b"\0"), 8 * per_chunk)
            file["chunks"][...] = seal(chunks)
        return old

    def test_a_new_trace_says_its_hash(self):
        tensor_hash = documented()
        for path, kept in ((self.hashes, "hash"), (self.prints, "fingerprint")):
            with h5py.File(path) as file:
                self.assertEqual(file.attrs["hash"].decode(), "sums")
            with package.open(path) as opened, np.errstate(over="ignore"):
                seen = set()
                for message in opened.messages():
                    if message.dtype:
                        low, high = tensor_hash(self.bytes[message.seq])
                        self.assertEqual((message.hash, message.hash_function), (high << 64 | low, "sums"))
                        seen.add(message.kept)
                self.assertIn(kept, seen)

    def test_they_are_sound(self):
        for path in (self.old_hashes, self.old_prints):
            self.assertEqual(nauha("verify", path).returncode, 0)

    def test_reading(self):
        for path in (self.old_hashes, self.old_prints):
            with package.open(path) as old, package.open(self.full) as full:
                for message, whole in zip(old.messages(), full.messages()):
                    if message.kept in ("hash", "fingerprint"):
                        low, high = xxh3(self.bytes[message.seq])
                        self.assertEqual((message.hash, message.hash_function), (high << 64 | low, "xxh3"))
                        self.assertEqual(whole.hash_by("xxh3"), message.hash)
                        self.assertNotEqual(whole.hash, message.hash)
                        with self.assertRaisesRegex(package.Error, "there is only a hash by the function xxh3, not by sums"):
                            message.hash_by("sums")

    def test_compared_with_elements(self):
        for path in (self.old_hashes, self.old_prints):
            for pair in ((path, self.full), (self.full, path)):
                done = nauha("diff", *pair)
                self.assertIn("equal (by their hashes", done.stdout)

    def test_compared_with_each_other(self):
        for path in (self.old_hashes, self.old_prints):
            self.assertEqual(nauha("diff", path, path).returncode, 0)

    def test_hashes_of_two_functions_are_not_compared(self):
        for old, new, advice in ((self.old_hashes, self.hashes, "record one again\n"),
                                 (self.old_prints, self.prints, "or compare statistics, with a tolerance\n")):
            for pair in ((old, new), (new, old)):
                done = nauha("diff", *pair, code=3)
                self.assertRegex(done.stderr, "cannot be compared: one trace has hashes of the function (xxh3|sums), the other of")
                self.assertTrue(done.stderr.endswith(advice), done.stderr)
        found = json.loads(nauha("diff", "--json", "--rtol", "1e-6", self.old_prints, self.prints).stdout)
        self.assertEqual(found["differing"], 0)
        self.assertGreater(found["compared"], 20)

    def test_statistics_tell_what_differs(self):
        other = self.train("other.h5", "--keep", "fingerprints", seed=2)
        done = nauha("diff", "--kinds", "input_data", "--rtol", "1e-6", self.old_prints, other, code=1)
        self.assertIn("statistics and samples differ", done.stdout)


if __name__ == "__main__":
    unittest.main()
