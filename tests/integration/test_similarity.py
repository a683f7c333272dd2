# SPDX-License-Identifier: MIT
"""Similarities between probes (svcca, cka) against NumPy, by other formulas than the program's."""
import unittest

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import folder_of, nauha, read_csv

TAG = "svcca_testing"


def points(x, neurons):
    """Data points by neurons."""
    x = np.asarray(x, float)
    if neurons == "flat" or x.ndim < 3:
        return x.reshape(len(x), -1)
    return (np.moveaxis(x, 1, -1) if neurons == "channels" else x).reshape(-1, x.shape[1 if neurons == "channels" else -1])


def directions(x, variance):
    """The SVD's directions that hold the variance: the data projected on them."""
    x = x / np.abs(x).max()
    x = x - x.mean(0)
    u, s, _ = np.linalg.svd(x, full_matrices=False)
    kept = np.searchsorted(np.cumsum(s**2) / (s**2).sum(), variance) + 1
    return (u * s)[:, :kept]


def inverse_root(covariance):
    values, vectors = np.linalg.eigh(covariance)
    return vectors / np.sqrt(values) @ vectors.T


def svcca(x, y, variance=0.99):
    """Hotelling's canonical correlations, from the covariances."""
    x, y = directions(x, variance), directions(y, variance)
    correlations = np.linalg.svd(inverse_root(x.T @ x) @ x.T @ y @ inverse_root(y.T @ y), compute_uv=False)
    return correlations.mean()


def cka(x, y):
    """HSIC of linear kernels, Kornblith et al. (2), (3)."""
    n = len(x)
    centre = np.eye(n) - 1 / n
    k, l = (a / np.abs(a).max() @ (a / np.abs(a).max()).T for a in (x, y))
    hsic = lambda a, b: np.trace(a @ centre @ b @ centre)
    return hsic(k, l) / np.sqrt(hsic(k, k) * hsic(l, l))


class Similarity(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.path = self.folder / "run.h5"
        self.random = np.random.default_rng(5)

    def record(self, probes, same_call=False, tag=TAG):
        """probes: {module: [the batches of each probe]}; one probe every other step, training in between."""
        count = max(map(len, probes.values()))
        with Arrays(self.path) as arrays:
            for i in range(count):
                arrays.step()
                for module in probes:
                    arrays.publish("activations", module, self.random.standard_normal((3, 2)))
                arrays.step()
                for module, sequence in probes.items():
                    arrays.publish("activations", module, self.random.standard_normal((3, 2)))
                    for call, batch in enumerate(sequence[i] if i < len(sequence) else []):
                        arrays.publish("activations", module, batch, tag=tag, call_number=0 if same_call else call)

    def values(self, spec, series):
        nauha("replay", self.path, "--metric", spec, "-o", self.folder, "--sink", "csv")
        found = {}
        for row in read_csv(self.folder / f"{series}.csv"):
            self.assertEqual(row["call"], "0")
            found.setdefault(row["module"], []).append((int(row["global_step"]), float(row["value"])))
        return found

    def drift(self, *shape, count=4):
        """Activations that change from probe to probe, of a few strong directions and much noise."""
        base = self.random.standard_normal(shape)
        mixed = base * np.linspace(1, 0.01, shape[1]).reshape(1, -1, *[1] * (len(shape) - 2)) + 0.5
        return [mixed + 0.2 * i * self.random.standard_normal(shape) for i in range(count)]

    def networks(self):
        return {
            "linear": [[x] for x in self.drift(100, 12)],
            "wide": [[x] for x in self.drift(10, 40)],
            "convolution": [[x.astype(np.float32)] for x in self.drift(20, 6, 5, 4)],
            "tokens": [[x.astype(np.float32)] for x in self.drift(30, 7, 9)],
            "batches": [np.split(x, [16, 32, 40]) for x in self.drift(60, 8, 3, 3)],
            "one_neuron": [[x] for x in self.drift(50, 1)],
            "vector": [[x[:, 0]] for x in self.drift(50, 1)],
            "huge": [[1e305 * x] for x in self.drift(80, 9)],
            "tiny": [[1e-305 * x] for x in self.drift(80, 9)],
        }

    def check(self, spec, series, function, neurons, to_first=False, rtol=1e-9):
        networks = self.networks()
        self.record(networks)
        got = self.values(spec, series)
        self.assertEqual(set(got), set(networks))
        for module, sequence in networks.items():
            data = [points(np.concatenate(batches), neurons) for batches in sequence]
            want = [function(data[i + 1], data[0 if to_first else i]) for i in range(len(data) - 1)]
            with self.subTest(spec=spec, module=module):
                self.assertEqual([step for step, _ in got[module]], [3, 5, 7])
                np.testing.assert_allclose([value for _, value in got[module]], want, rtol=rtol)

    def test_svcca(self):
        self.check("svcca", "self_similarity", svcca, "channels")

    def test_svcca_of_other_neurons_and_variance(self):
        self.check("svcca:neurons=last:variance=0.9", "self_similarity", lambda x, y: svcca(x, y, 0.9), "last")
        self.check("svcca:neurons=flat:variance=0.5", "self_similarity", lambda x, y: svcca(x, y, 0.5), "flat")

    def test_svcca_to_the_first_probe(self):
        self.check("svcca:to=first", "self_similarity", svcca, "channels", to_first=True)

    def test_cka(self):
        self.check("cka", "cka", cka, "flat")
        self.check("cka:neurons=channels:to=first", "cka", cka, "channels", to_first=True)

    def test_rotated_and_scaled_activations_are_the_same(self):
        x = self.random.standard_normal((200, 10)) * np.logspace(0, -1, 10)
        turn, _ = np.linalg.qr(self.random.standard_normal((10, 10)))
        self.record({"turned": [[x], [3 * x @ turn + 7]], "same": [[x], [x]]})
        for spec, series in (("svcca", "self_similarity"), ("cka", "cka")):
            for module, ((_, value),) in self.values(spec, series).items():
                with self.subTest(spec=spec, module=module):
                    self.assertAlmostEqual(value, 1, delta=1e-9)

    def test_unrelated_activations_are_not_similar(self):
        self.record({"noise": [[self.random.standard_normal((5000, 3))] for _ in range(2)]})
        for spec, series in (("svcca", "self_similarity"), ("cka", "cka")):
            self.assertLess(self.values(spec, series)["noise"][0][1], 0.05)

    def test_what_cannot_be_compared_is_nan_and_the_next_is_compared_again(self):
        x = self.random.standard_normal((40, 5))
        broken = x.copy()
        broken[3, 2] = np.nan
        constant = np.full((40, 5), 0.1)
        self.record({"nan": [[x], [broken], [x], [x]], "dead": [[x], [constant], [x], [x]],
                     "cut": [[x[:20], x[20:]], [x[:20]], [x], [x]], "widths": [[x], [x[:20], x[20:, :4]], [x], [x]]})
        for spec, series in (("svcca", "self_similarity"), ("cka", "cka")):
            for module, found in self.values(spec, series).items():
                with self.subTest(spec=spec, module=module):
                    np.testing.assert_allclose([value for _, value in found], [np.nan, np.nan, 1], rtol=1e-12)

    def test_messages_of_one_key_in_a_step_are_one_probe(self):
        data = self.drift(60, 8, count=2)
        self.record({"same": [np.split(x, 3) for x in data]}, same_call=True)
        ((_, value),) = self.values("svcca", "self_similarity")["same"]
        np.testing.assert_allclose(value, svcca(data[1], data[0]), rtol=1e-9)

    def test_another_tag(self):
        data = self.drift(60, 8, count=2)
        self.record({"layer": [[x] for x in data]}, tag="probe")
        self.assertEqual(self.values("svcca", "self_similarity"), {})
        self.assertEqual(len(self.values("svcca:tag=probe", "self_similarity")["layer"]), 1)

    def test_words_it_does_not_know(self):
        self.record({"layer": [[np.ones((3, 2))]]})
        done = nauha("replay", self.path, "--metric", "svcca:neurons=rows", code=2)
        self.assertIn('metric "svcca:neurons=rows": key "neurons" is "rows": expected one of channels, flat, last', done.stderr)
        done = nauha("replay", self.path, "--metric", "cka:to=last", code=2)
        self.assertIn('key "to" is "last": expected one of previous, first', done.stderr)


if __name__ == "__main__":
    unittest.main()
