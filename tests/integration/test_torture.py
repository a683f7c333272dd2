# SPDX-License-Identifier: MIT
"""Recordings killed at random moments: every survivor opens, with stock HDF5 and with nauha, and holds what was
flushed, each message equal to that of an undisturbed recording.

NAUHA_TORTURE says how many; `make torture` kills 200.
"""
import json
import os
import random
import subprocess
import time
import unittest

from tests.integration import h5trace
from tests.integration.program import BUILD, folder_of, make_trace, nauha

KILLS = int(os.environ.get("NAUHA_TORTURE", "6"))
MOST_STEPS = 2000
OPTIONS = (["--codec", "zstd"], ["--codec", "none"], ["--codec", "auto"], ["--buffer", "1M"], ["--kinds", "weights,weight_updates,loss"],
           ["--codec", "zstd,temporal"])


class Torture(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.references = {}
        cls.random = random.Random(int(os.environ.get("NAUHA_TORTURE_SEED", "1")))

    def reference(self, options):
        """(stamps, bytes) of every message of the undisturbed recording; the messages of a kind come in order."""
        key = tuple(options)
        if key not in self.references:
            path = make_trace(self.dir / "reference.h5", "--steps", MOST_STEPS, *options)
            trace = h5trace.Trace(path)
            self.references[key] = [self.message(m) for m in trace.messages]
            trace.file.close()
        return self.references[key]

    @staticmethod
    def message(m):
        return (m.seq, m.step, m.train_step, m.epoch, m.kind, m.module, m.slot, m.call,
                m.values.tobytes() if m.has_data else None)

    def kill_one(self, path, options):
        """Records and is killed; returns how many steps it had said to be on file."""
        command = [BUILD / "tests/tools/make_trace", "--steps", MOST_STEPS, "--pause-us", 200, "--tell", 25, "--flush",
                   self.random.choice(["0.01", "0.05", "1"]), *options, path]
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, text=True)
        first = process.stdout.readline()
        time.sleep(self.random.random() * 0.5)
        process.kill()
        rest, _ = process.communicate()
        return int(([first] + rest.split())[-1])

    def check(self, path, options, flushed):
        trace = h5trace.Trace(path, swmr=True)
        try:
            survived = [self.message(m) for m in trace.messages]
        finally:
            trace.file.close()
        expected = self.reference(options)
        self.assertEqual(survived, expected[:len(survived)])
        # A step is complete with what begins the next: of the last one flushed only its end may be missing.
        self.assertGreaterEqual(survived[-1][1], flushed - 1)
        info = json.loads(nauha("info", "--json", path).stdout)
        self.assertEqual(info["messages"], len(survived))
        nauha("verify", path)

    def test_killed_at_random_moments(self):
        for number in range(KILLS):
            options = OPTIONS[number % len(OPTIONS)]
            path = self.dir / f"killed{number}.h5"
            with self.subTest(number=number, options=options):
                flushed = self.kill_one(path, options)
                self.check(path, options, flushed)
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    unittest.main()
