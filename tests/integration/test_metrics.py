# SPDX-License-Identifier: MIT
"""Every metric of a replayed trace against NumPy on tensors read with h5py alone."""
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import folder_of, make_trace, nauha, read_csv


def values(rows):
    return [(int(r["global_step"]), r["module"], r["slot"], float(r["value"])) for r in rows]


class Metrics(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = cls.folder / "run.h5"
        make_trace(cls.path)
        cls.trace = h5trace.Trace(cls.path)

    @classmethod
    def tearDownClass(cls):
        cls.trace.file.close()

    def replay(self, spec, series):
        out = self.folder / "series"
        nauha("replay", self.path, "--metric", spec, "-o", out, "--sink", "csv")
        return read_csv(out / f"{series}.csv")

    def compare(self, spec, series, kind, function, rtol=1e-12):
        """One row per message of `kind`, in order, each equal to function(float64 array)."""
        got = values(self.replay(spec, series))
        want = [(m.step, m.module, m.slot, function(m.values.astype(np.float64))) for m in self.trace.of(kind)]
        self.assertTrue(want)
        self.assertEqual([g[:3] for g in got], [w[:3] for w in want])
        np.testing.assert_allclose([g[3] for g in got], [w[3] for w in want], rtol=rtol, atol=0)

    def test_norms(self):
        for order, name, ord_ in (("2", "2", None), ("1", "1", 1), ("inf", "inf", np.inf), ("0", "0", 0), ("3", "3", 3)):
            self.compare(f"norm:layer_gradients:order={order}", f"layer_gradients_norm{name}", "layer_gradients",
                         lambda x: np.linalg.norm(x.ravel(), ord_))

    def test_norm_defaults_to_two(self):
        self.compare("norm:weights", "weights_norm2", "weights", np.linalg.norm)

    def test_mean(self):
        self.compare("mean:activations", "activations_mean", "activations", np.mean, 1e-9)

    def test_sum(self):
        self.compare("sum:weight_gradients", "weight_gradients_sum", "weight_gradients", np.sum, 1e-9)

    def test_variance_is_unbiased(self):
        self.compare("variance:weights", "weights_variance", "weights", lambda x: np.var(x, ddof=1), 1e-11)

    def test_derived_updates_are_the_difference_of_consecutive_weights(self):
        weights = {(m.step, m.module, m.slot): m.values for m in self.trace.of("weights")}
        checked = 0
        for update in self.trace.of("weight_updates"):
            after = weights.get((update.step + 1, update.module, update.slot))
            if after is not None:
                np.testing.assert_array_equal(update.values, after - weights[(update.step, update.module, update.slot)])
                checked += 1
        self.assertGreater(checked, 0)
        self.compare("norm:weight_updates", "weight_updates_norm2", "weight_updates", np.linalg.norm)

    def test_ratio(self):
        got = values(self.replay("ratio:weight_updates,weights", "weight_updates_weights_ratio"))
        weights = {(m.step, m.module): np.linalg.norm(m.values.astype(np.float64)) for m in self.trace.of("weights")}
        want = {(m.step, m.module): np.linalg.norm(m.values.astype(np.float64)) / weights[(m.step, m.module)]
                for m in self.trace.of("weight_updates")}
        self.assertEqual(len(got), len(want))
        for step, module, _, value in got:
            np.testing.assert_allclose(value, want[(step, module)], rtol=1e-12)

    def test_message_mean_of_a_published_topic(self):
        out = self.folder / "means"
        nauha("replay", self.path, "-o", out, "--sink", "csv", "--metric", "message_mean:weights_norm2",
              "--metric", "norm:weights")
        norms = {}
        for step, _, _, value in values(read_csv(out / "weights_norm2.csv")):
            norms.setdefault(step, []).append(value)
        got = values(read_csv(out / "weights_norm2_message_mean.csv"))
        self.assertEqual([g[0] for g in got], sorted(norms))
        np.testing.assert_allclose([g[3] for g in got], [np.mean(norms[g[0]]) for g in got], rtol=1e-13)

    def test_histogram(self):
        rows = self.replay("histogram:weights:bins=20", "weights_histogram")
        messages = self.trace.of("weights")
        self.assertEqual(len(rows), 20 * len(messages))
        for i, message in enumerate(messages):
            mine = rows[20 * i : 20 * i + 20]
            counts, edges = np.histogram(message.values.astype(np.float64), bins=20)
            self.assertEqual([int(r["count"]) for r in mine], counts.tolist())
            np.testing.assert_allclose([float(r["bin_low"]) for r in mine], edges[:-1], rtol=1e-12, atol=1e-15)
            np.testing.assert_allclose([float(r["bin_high"]) for r in mine], edges[1:], rtol=1e-12, atol=1e-15)

    def test_loss(self):
        got = values(self.replay("loss", "loss"))
        self.assertEqual([g[3] for g in got], [float(m.values) for m in self.trace.of("loss")])

    def test_train_accuracy(self):
        got = values(self.replay("train_accuracy", "train_accuracy"))
        labels = {m.step: m.values for m in self.trace.of("input_labels")}
        want = [np.mean(m.values.argmax(1) == labels[m.step]) for m in self.trace.of("network_output")]
        np.testing.assert_allclose([g[3] for g in got], want, rtol=1e-15)

    def test_subsample_counts_per_key_from_the_first(self):
        every = values(self.replay("norm:weights", "weights_norm2"))
        got = values(self.replay("norm:weights:subsample=2", "weights_norm2"))
        seen, want = {}, []
        for row in every:
            seen[row[1:3]] = seen.get(row[1:3], -1) + 1
            if seen[row[1:3]] % 2 == 0:
                want.append(row)
        self.assertEqual(got, want)


if __name__ == "__main__":
    unittest.main()
