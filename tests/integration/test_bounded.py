# SPDX-License-Identifier: MIT
"""Reading tensors larger than the memory it may take: piece by piece, or refused by name.

NAUHA_HUGE_MB says how large they are.
"""
import json
import os
import subprocess
import tempfile
import unittest

import numpy as np

from tests.integration.program import BUILD, NAUHA, folder_of, nauha, read_csv

MEGABYTES = int(os.environ.get("NAUHA_HUGE_MB", "400"))
STRIDE, LIMIT_KB = 64, 300_000


def peak_kb(*arguments, code=0):
    """The largest resident size of a run of the program, which has to end with that exit code."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen([NAUHA, *map(str, arguments)], stdout=subprocess.DEVNULL, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        if process.returncode != code:
            raise AssertionError(f"exit {process.returncode}: {errors.read().decode()[-2000:]}")
    return usage.ru_maxrss


class Bounded(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = cls.folder / "huge.h5"
        subprocess.run([str(BUILD / "tests/tools/make_huge"), str(MEGABYTES), str(cls.path)], check=True, timeout=600)
        count = MEGABYTES * 1_000_000 // 4
        cls.count = count
        cls.every = np.arange((count + STRIDE - 1) // STRIDE) % 7  # the elements that may not be 0, at step 0

    def replay(self, *specs):
        out = self.folder / "series"
        peak = peak_kb("replay", self.path, "-o", out, "--sink", "csv", "-q", *(f"--metric={spec}" for spec in specs))
        self.assertLess(peak, LIMIT_KB)
        return lambda series, key="value": [float(row[key]) for row in read_csv(out / f"{series}.csv")]

    def test_every_command(self):
        """What a command has to look at is no reason to hold it."""
        page, array = (self.folder / name for name in ("report.html", "weights.npy"))
        one = ("--kinds", "weights", "--steps", 0)
        for arguments in (("ls", self.path), ("info", self.path), ("cat", self.path, "--limit", 10), ("verify", self.path),
                          ("cat", self.path, *one, "--npy", array), ("check", self.path), ("report", self.path, "-o", page),
                          ("diff", self.path, self.path)):
            with self.subTest(arguments[0]):
                self.assertLess(peak_kb(*arguments), LIMIT_KB)
        # Not as a whole: what this process has held counts for those that it starts.
        head = array.stat().st_size - 4 * self.count
        self.assertIn(f"({self.count // 1000}, 1000,)".encode(), np.fromfile(array, "u1", head).tobytes())
        for first in (0, self.count // 2 // STRIDE * STRIDE):
            stored = np.fromfile(array, "<f4", 64 * STRIDE, offset=head + 4 * first)
            np.testing.assert_array_equal(stored[::STRIDE], self.every[first // STRIDE:][:64])

    def test_cat_shows_the_ends(self):
        done = nauha("cat", self.path, "--limit", 10, "--kinds", "weights", "--steps", 0).stdout
        rows = done.splitlines()[1:]
        self.assertEqual(len(rows), 7)
        begin = np.zeros(1000, int)
        begin[::STRIDE] = self.every[:16]
        self.assertEqual(rows[0], f"[[{' '.join(map(str, begin[:3]))} ... 0 0 0]")
        self.assertEqual(rows[3], " ...")

    def test_diff_of_the_last_element(self):
        other = self.folder / "other.h5"
        subprocess.run([str(BUILD / "tests/tools/make_huge"), str(MEGABYTES), str(other), "0.5"], check=True, timeout=600)
        self.assertLess(peak_kb("diff", self.path, other, "--kinds", "weights", code=1), LIMIT_KB)
        found = json.loads(nauha("diff", self.path, other, "--kinds", "weights", "--json", code=1).stdout)["first"]
        self.assertIn("0.5", json.dumps(found))
        other.unlink()

    def assert_close(self, got, want):
        np.testing.assert_allclose(got, want, rtol=1e-13)

    def test_reductions(self):
        series = self.replay("norm:weights,weight_updates,activations", "norm:weights:order=3", "mean:weights",
                             "variance:activations", "ratio:weight_updates,weights")
        powers = [np.sum((self.every + step).astype(np.float64) ** 2) for step in (0, 1)]
        self.assert_close(series("weights_norm2"), np.sqrt(powers))
        self.assert_close(series("activations_norm2"), np.sqrt(powers))
        self.assert_close(series("weight_updates_norm2"), [np.sqrt(len(self.every))] * 2)
        self.assert_close(series("weight_updates_weights_ratio"), np.sqrt(len(self.every)) / np.sqrt(powers))
        self.assert_close(series("weights_norm3"),
                          [np.cbrt(np.sum((self.every + step).astype(np.float64) ** 3)) for step in (0, 1)])
        sums = [np.sum(self.every + step) for step in (0, 1)]
        self.assert_close(series("weights_mean"), np.array(sums) / self.count)
        self.assert_close(series("activations_variance"),
                          [(power - total * total / self.count) / (self.count - 1) for power, total in zip(powers, sums)])

    def test_histogram(self):
        series = self.replay("histogram:weight_updates:bins=4")
        others = self.count - len(self.every)
        self.assertEqual(series("weight_updates_histogram", "count"), [others, 0, 0, len(self.every)] * 2)

    def test_what_needs_the_whole_tensor_is_refused(self):
        done = nauha("replay", self.path, "--metric", "message_mean:weights", code=4)
        for part in ('"weights" of module "layer" of step 0', f"{self.count * 4} bytes", "more than the tensor limit of 67108864",
                     "--tensor-limit"):
            self.assertIn(part, done.stderr)


if __name__ == "__main__":
    unittest.main()
