# SPDX-License-Identifier: MIT
"""nauha train with probes and test passes: what is recorded of them, and that the training is the same to the bit."""
import csv
import io
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import folder_of, has_training, nauha

TRAINING = ["--model", "alexnetmini", "--batch-size", "500", "--max-steps", "6", "--seed", "3", "--test-every", "0"]


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class ProbesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = cls.dir / "probed.h5"
        cls.live = nauha("train", "-o", cls.path, *TRAINING, "--test-steps", "3", "--probe-every", "2", "--probe-samples", "40",
                         "--probe-tag", "probing", "--metric", "test_accuracy", "--sink", "csv").stdout
        cls.trace = h5trace.Trace(cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.trace.file.close()

    def tagged(self, tag, kind):
        return [m for m in self.trace.of(kind) if m.tag == tag]

    def test_the_training_does_not_notice(self):
        bare = self.dir / "bare.h5"
        nauha("train", "-o", bare, *TRAINING)
        other = h5trace.Trace(bare)
        self.addCleanup(other.file.close)
        mine = [m for m in self.trace.messages if m.tag == "default"]
        self.assertEqual(len(mine), len(other.messages))
        for a, b in zip(mine, other.messages):
            self.assertEqual((a.kind, a.module, a.slot, a.step, a.call), (b.kind, b.module, b.slot, b.step, b.call))
            if a.kind in ("loss", "weights", "activations", "weight_gradients"):
                np.testing.assert_array_equal(a.values, b.values)

    def test_probes(self):
        """One batch with everything, whose last activations are the output."""
        outputs = self.tagged("probing", "network_output")
        self.assertEqual([(m.step, m.call, m.shape) for m in outputs], [(step, 0, (40, 10)) for step in (0, 2, 4)])
        last = [m for m in self.tagged("probing", "activations") if m.module == "classifier.4"]
        for output, activation in zip(outputs, last):
            np.testing.assert_array_equal(output.values, activation.values)
        self.assertEqual({m.kind for m in self.trace.messages if m.tag == "probing"},
                         {"input_data", "activations", "network_output", "input_labels", "loss"})
        first, second = (m.values for m in self.tagged("probing", "input_data")[:2])
        np.testing.assert_array_equal(first, second)

    def test_passes_over_the_test_set(self):
        labels = self.tagged("testing", "input_labels")
        self.assertEqual([(m.step, m.call) for m in labels], [(step, call) for step in (0, 3) for call in range(20)])
        self.assertEqual({m.kind for m in self.trace.messages if m.tag == "testing"}, {"network_output", "input_labels", "loss"})

    def test_accuracy(self):
        expected = []
        for step in (0, 3):
            right = [m.values.argmax(1) == n.values for m, n in zip(self.tagged("testing", "network_output"),
                                                                     self.tagged("testing", "input_labels")) if m.step == step]
            expected.append((step, np.concatenate(right).mean()))
        replayed = nauha("replay", self.path, "--metric", "test_accuracy", "--sink", "csv").stdout
        self.assertEqual(self.live, replayed)
        rows = list(csv.DictReader(io.StringIO(replayed)))
        self.assertEqual([(int(row["global_step"]), float(row["value"])) for row in rows], expected)
        self.assertEqual({(row["metric"], row["tag"], row["call"]) for row in rows}, {("test_accuracy", "testing", "0")})

    def test_refused(self):
        for arguments, text in ((["--probe-tag", "default"], '"default" is not a value of "probe-tag": expected a word of 1 to 127 '
                                                             'characters other than "default"'),
                                (["--probe-samples", "0"], '"0" is not a value of "probe-samples": expected a whole number from 1')):
            self.assertIn(text, nauha("train", *arguments, code=2).stderr)


if __name__ == "__main__":
    unittest.main()
