# SPDX-License-Identifier: MIT
"""Replays on several threads: byte for byte what one thread writes and says."""
import signal
import subprocess
import time
import unittest

import h5py

from tests.integration.program import NAUHA, folder_of, make_trace, nauha

METRICS = ["loss", "train_accuracy", "ratio:weight_updates,weights", "ratio:bias_updates,biases", "norm:layer_gradients",
           "norm:weight_gradients:order=1", "norm:biases:order=inf", "mean:activations", "sum:weight_gradients",
           "variance:weights", "histogram:weights:bins=5", "histogram:layer_gradients:subsample=3",
           "message_mean:weight_updates_weights_ratio", "message_mean:activations_mean", "ratio:weights,biases:tag=testing"]
ARGUMENTS = [word for spec in METRICS for word in ("--metric", spec)]


class WithTraces(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.paths = [make_trace(cls.dir / f"run.rank{rank}.h5", "--rank", rank, "--steps", 30 + rank, "--modules", 9)
                     for rank in range(3)]

    def damaged(self):
        """A copy of the first trace with a chunk and a row of the index changed."""
        with h5py.File(self.paths[0], "r") as trace:
            rows = trace["index"].id.get_chunk_info(0).byte_offset + 77 * trace["index"].dtype.itemsize
            kinds = [row["name"].split(b"\0")[0] for row in trace["kinds"]]
            weights = next(row for row in trace["index"] if kinds[row["kind"]] == b"weights")
            chunk = trace[f"streams/{weights['stream']:04d}"].id.get_chunk_info(0)
        data = bytearray(self.paths[0].read_bytes())
        for place in (rows, chunk.byte_offset + chunk.size // 2):
            data[place] ^= 1
        copy = self.dir / "damaged.h5"
        copy.write_bytes(data)
        return copy


class Threads(WithTraces):
    def same(self, *arguments, code=0):
        """What -j 1 writes and says, having checked that others write and say the same."""
        alone = nauha("replay", *arguments, "-j", 1, code=code)
        for jobs in (2, 3, 8, 50):
            done = nauha("replay", *arguments, "-j", jobs, code=code)
            self.assertEqual((done.stdout, done.stderr), (alone.stdout, alone.stderr), f"-j {jobs}")
        done = nauha("replay", *arguments, code=code)
        self.assertEqual((done.stdout, done.stderr), (alone.stdout, alone.stderr))
        return alone

    def test_one_trace_and_several_ranks(self):
        self.assertGreater(len(self.same(self.paths[0], *ARGUMENTS).stdout.splitlines()), 1000)
        self.same(*self.paths, *ARGUMENTS)
        self.same(*self.paths, *ARGUMENTS, "--modules", "*1,*2", "--steps", "3:20:2")

    def test_files(self):
        for jobs in (1, 4):
            nauha("replay", *self.paths, *ARGUMENTS, "-o", self.dir / f"out{jobs}", "--sink", "csv", "-j", jobs)
        names = sorted(path.name for path in (self.dir / "out1").iterdir())
        self.assertEqual(len(names), len(METRICS))
        for name in names:
            self.assertEqual((self.dir / "out1" / name).read_bytes(), (self.dir / "out4" / name).read_bytes(), name)

    def test_damage(self):
        path = self.damaged()
        self.assertIn("damaged messages were left out", self.same(path, *self.paths[1:], *ARGUMENTS).stderr)
        self.assertIn("does not match its checksum", self.same(path, *ARGUMENTS, "--strict", code=3).stderr)

    def test_wrong_usage(self):
        for jobs, words in (("0", "--jobs is 0: it must be 1 or more"), ("x", '--jobs takes a whole number, not "x"')):
            self.assertIn(words, nauha("replay", self.paths[0], "--metric", "loss", "-j", jobs, code=2).stderr)

    def test_what_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([NAUHA, "replay", *self.paths, *ARGUMENTS, "-j", "4"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertIn("No space left on device", done.stderr)

    def test_an_interrupt_ends_it(self):
        trace = make_trace(self.dir / "long.h5", "--steps", 3000, "--modules", 30)
        process = subprocess.Popen([NAUHA, "replay", trace, *ARGUMENTS, "-j", "4", "-o", self.dir / "interrupted"],
                                   stderr=subprocess.PIPE)
        partial = self.dir / "interrupted/loss.csv.partial"
        while not partial.exists():
            time.sleep(0.001)
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(60), -signal.SIGINT)
        process.stderr.close()


if __name__ == "__main__":
    unittest.main()
