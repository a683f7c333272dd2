# SPDX-License-Identifier: MIT
"""nauha diff as a command: exit codes, text, files, and memory. What it says of trainings: test_pytorch_diff.py."""
import re
import subprocess
import unittest

import numpy as np

from tests.integration.program import NAUHA, folder_of, make_trace, nauha, read_csv


class DiffTest(unittest.TestCase):
    def setUp(self):
        self.place = folder_of(self)

    def trace(self, name, *arguments):
        return make_trace(self.place / name, *arguments)

    def test_equal_traces(self):
        a, b = self.trace("a.h5"), self.trace("b.h5", "--codec", "lz4")
        text = nauha("diff", a, b).stdout
        self.assertIn("No difference: the 132 tensors that both have are equal, bit by bit", text)
        self.assertNotIn("only", text)

    def test_longer_and_shorter(self):
        a, b = self.trace("a.h5", "--steps", 6), self.trace("b.h5", "--steps", 9, "--kinds", "weights,batch_started")
        text = nauha("diff", a, b, code=1).stdout
        self.assertIn("No difference", text)
        self.assertIn("only b  3 steps, the first 6", text)
        self.assertRegex(text, r"only a  12 messages of biases, the first in step 0")
        nauha("diff", a, b, "--common")

    def test_hashes(self):
        a, b = self.trace("a.h5"), self.trace("b.h5", "--keep", "hashes")
        done = nauha("diff", a, b, "--atol", 1)
        self.assertIn("equal (by their hashes", done.stdout)
        self.assertIn("tolerance has no effect", done.stderr)

    def test_usage(self):
        a = self.trace("a.h5")
        for arguments, text in ((("a",), "diff needs A B"), ((a, a, a), "diff compares two trainings"),
                                ((a, a, "--rtol", "-1"), "not a number of 0 or more"),
                                ((a, a, "--map", "x"), "expected OLD=NEW"), ((a, a, "--kinds", "x"), 'kind "x" is unknown')):
            self.assertIn(text, nauha("diff", *arguments, code=2).stderr)
        nauha("diff", a, self.place / "none.h5", code=3)

    def test_damage_is_told(self):
        a, b = self.trace("a.h5", "--codec", "none"), self.trace("b.h5", "--codec", "none")
        data = bytearray(b.read_bytes())
        # The weights of hidden in step 0, as make_trace fills them: sin(0.7 i) of float32.
        at = data.find(np.sin(0.7 * np.arange(15)).astype(np.float32).tobytes())
        self.assertGreater(at, 0)
        data[at + 5] ^= 1
        b.write_bytes(data)
        self.assertRegex(nauha("diff", a, b, code=3).stdout, r"\d+ could not be compared: .*does not match its checksum")

    def test_files(self):
        a, out = self.trace("a.h5", "--steps", 4), self.place / "out"
        # make_trace's module number m has sin(0.7 i + 1.3 m) / (1 + 0.1 step): the second against the first.
        nauha("diff", a, a, "-o", out, "--kinds", "weights,loss", "--map", "hidden=output", code=1)
        self.assertEqual({path.name for path in out.glob("*.csv")},
                         {"weights_difference.csv", "loss_difference.csv", "difference.csv"})
        x, y = (np.sin(0.7 * np.arange(15) + 1.3 * m) for m in (0, 1))
        expected = np.linalg.norm(x - y) / max(np.linalg.norm(x), np.linalg.norm(y))
        for name, module in (("weights_difference", "hidden"), ("difference", "weights")):
            rows = [row for row in read_csv(out / f"{name}.csv") if row["module"] == module]
            self.assertEqual([row["global_step"] for row in rows], ["0", "1", "2", "3"])
            for row in rows:
                self.assertAlmostEqual(float(row["value"]), expected, places=6)
        self.assertIn("log=1", (out / "weights_difference.gp").read_text())
        self.assertTrue((out / "weights_difference.png").stat().st_size > 1000)

    def peak(self, *arguments):
        """Peak of resident memory of the command, in KB."""
        code = ("import subprocess, sys, resource; subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
                "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)")
        done = subprocess.run(["python3", "-c", code, NAUHA, *map(str, arguments)], stdout=subprocess.PIPE, check=True,
                              timeout=600)
        return int(done.stdout)

    def test_memory_does_not_grow_with_the_traces(self):
        peaks = []
        for steps in (100, 1500):
            a = self.trace("a.h5", "--steps", steps, "--modules", 20)
            b = self.trace("b.h5", "--steps", steps, "--modules", 20, "--kinds", "weights,activations,loss,biases")
            peaks.append(self.peak("diff", a, b))
        self.assertLess(peaks[1] - peaks[0], 16 * 1024, peaks)

    def test_help_names_every_option(self):
        text = nauha("help", "diff").stdout
        for option in ("--rtol", "--atol", "--ulp", "--map", "--common", "--output", "--rows", "--json", "--kinds"):
            self.assertTrue(re.search(rf"{option}\b", text), option)


if __name__ == "__main__":
    unittest.main()
