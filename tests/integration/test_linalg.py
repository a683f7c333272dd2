# SPDX-License-Identifier: MIT
"""Metrics of singular values against NumPy, on random and on adversarial tensors."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import NAUHA, folder_of, make_trace, nauha, read_csv

EPSILON = np.finfo(float).eps


def hilbert(n):
    return 1 / (np.arange(n)[:, None] + np.arange(n)[None, :] + 1)


def with_values(random, rows, columns, values):
    """A matrix of these singular values, and random singular vectors."""
    u, _ = np.linalg.qr(random.standard_normal((rows, len(values))))
    v, _ = np.linalg.qr(random.standard_normal((columns, len(values))))
    return u * values @ v.T


def tensors():
    random = np.random.default_rng(0)
    normal = random.standard_normal
    return {
        "square": normal((40, 40)),
        "tall": normal((300, 20)).astype(np.float32),
        "wide": normal((8, 500)).astype(np.float32),
        "convolution": normal((16, 8, 3, 3)).astype(np.float32),
        "half": normal((30, 30)).astype(np.float16),
        "integers": random.integers(-9, 9, (12, 7)),
        "vector": normal(100),
        "row": normal((1, 100)),
        "scalar": np.array(-2.5),
        "one": np.array([[3.0]]),
        "hilbert5": hilbert(5),
        "hilbert9": hilbert(9),
        "hilbert40": hilbert(40),
        "duplicates": np.repeat(normal((20, 5)), 2, axis=1),
        "rank one": np.outer(normal(30), normal(20)),
        "zeros": np.zeros((4, 6)),
        "identity": np.eye(50),
        "huge": 1e300 * normal((60, 60)),
        "tiny": 1e-300 * normal((60, 60)),
        "denormal": 5e-324 * np.round(100 * normal((20, 30))),
        "far apart": np.diag([1e300, 1.0, 1e-300]),
        "pair": with_values(random, 200, 150, np.r_[1, 1 - 1e-9, np.linspace(0.9, 1e-3, 100)]),
        "cluster": with_values(random, 150, 160, np.r_[np.ones(20), np.linspace(0.99, 1e-6, 130)]),
        "steep": with_values(random, 120, 120, np.logspace(0, -11, 120)),
        "nan": np.where(np.arange(12).reshape(3, 4) == 5, np.nan, 1.0),
        "inf": np.where(np.arange(12).reshape(3, 4) == 5, -np.inf, 1.0),
        "no rows": np.zeros((0, 5)),
        "no columns": np.zeros((5, 0, 3)),
    }


def singular_values(x):
    """As float64, of the first dimension by the rest, scaled so that nothing overflows on the way."""
    x = np.asarray(x, float)
    matrix = x.reshape(x.shape[0] if x.ndim else 1, -1) if x.size else x
    if not x.size or not np.isfinite(matrix).all():
        return None, 1.0
    scale = np.abs(matrix).max() or 1.0
    return np.linalg.svd(matrix / scale, compute_uv=False), scale


class Linalg(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = cls.folder / "run.h5"
        cls.tensors = {name.replace(" ", "_"): x for name, x in tensors().items()}
        bits = np.random.default_rng(1).standard_normal((25, 35)).astype(np.float32).view(np.uint32) >> 16
        cls.tensors["bf16"] = (bits << 16).view(np.float32)
        with Arrays(cls.path) as arrays:
            arrays.step()
            for name, x in cls.tensors.items():
                if name == "bf16":
                    arrays.publish("weights", name, bits.astype(np.uint16), dtype="bf16")
                else:
                    arrays.publish("weights", name, x)

    def values(self, spec, series):
        out = self.folder / "series"
        nauha("replay", self.path, "--metric", spec, "-o", out, "--sink", "csv")
        rows = read_csv(out / f"{series}.csv")
        self.assertEqual([row["module"] for row in rows], list(self.tensors))
        return {row["module"]: float(row["value"]) for row in rows}

    def check(self, spec, series, function, rtol):
        """function(scaled singular values, scale), or what it gives for None where there are none."""
        for name, got in self.values(spec, series).items():
            with self.subTest(spec=spec, tensor=name):
                want = function(self.tensors[name], *singular_values(self.tensors[name]))
                tolerance = rtol(name) if callable(rtol) else rtol
                np.testing.assert_allclose(got, want, rtol=tolerance, atol=0)

    @staticmethod
    def spectral_norm(x, values, scale):
        if values is None:
            return np.nan if x.size else 0
        return values[0] * scale

    @staticmethod
    def condition_number(x, values, scale):
        if values is None:
            return np.nan
        longer = max(x.shape[0] if x.ndim else 1, x.size // (x.shape[0] if x.ndim else 1))
        if values[-1] <= longer * EPSILON * values[0]:
            return np.inf
        return values[0] / values[-1]

    def test_spectral_norm(self):
        # Denormal results have few digits.
        rtol = lambda name: 0.02 if name == "denormal" else 1e-13
        self.check("spectral_norm:weights", "weights_spectral_norm", self.spectral_norm, rtol)
        self.check("spectral_norm:weights:exact=0", "weights_spectral_norm", self.spectral_norm, rtol)

    def test_the_iteration_is_as_good_as_its_tolerance_says(self):
        for tolerance in (1e-3, 1e-5, 1e-8):
            self.check(f"spectral_norm:weights:exact=0:tolerance={tolerance}", "weights_spectral_norm",
                       self.spectral_norm, lambda name: max(tolerance, 0.02 if name == "denormal" else 0))

    def test_condition_number(self):
        # A singular value is known to about EPSILON * the largest: the more, the worse the condition.
        def rtol(name):
            values, _ = singular_values(self.tensors[name])
            return 0 if values is None else max(1e-12, 100 * EPSILON * values[0] / max(values[-1], EPSILON))

        self.check("condition_number:weights", "weights_condition_number", self.condition_number, rtol)
        self.check("condition_number:weights:exact=0", "weights_condition_number", self.condition_number, rtol)

    def test_condition_of_hilbert_matrices_is_that_of_exact_arithmetic(self):
        got = self.values("condition_number:weights", "weights_condition_number")
        # Todd (1954) and after him everybody: to the digits that the elements, rounded to doubles, allow.
        np.testing.assert_allclose(got["hilbert5"], 476607.2502422687, rtol=1e-9)
        np.testing.assert_allclose(got["hilbert9"], 4.931537564683e11, rtol=1e-3)
        self.assertEqual(got["hilbert40"], np.inf)

    def test_effective_rank(self):
        def effective_rank(x, values, scale):
            if values is None or not values.any():
                return np.nan
            p = values[values > 0] / values.sum()
            return np.exp(-(p * np.log(p)).sum())

        self.check("effective_rank:weights", "weights_effective_rank", effective_rank, 1e-12)

    def test_stable_rank(self):
        def stable_rank(x, values, scale):
            if values is None or not values.any():
                return np.nan
            return (values**2).sum() / values[0] ** 2

        self.check("stable_rank:weights", "weights_stable_rank", stable_rank, 1e-12)
        self.check("stable_rank:weights:exact=0", "weights_stable_rank", stable_rank, 1e-12)


def power_law(eigenvalues):
    """Clauset, Shalizi and Newman 2009, (3.1) and (3.9), by their words; as WeightWatcher for few."""
    x = np.sort(eigenvalues[eigenvalues > 1e-5])
    few = len(x) < 20
    fits = []
    for x_min in np.unique(x)[:-1]:
        tail = x[x >= x_min]
        if few and len(tail) < 8:
            continue
        alpha = 1 + (len(tail) - few) / np.log(tail / x_min).sum()
        below = np.searchsorted(tail, tail) / len(tail)
        fits.append((np.abs(1 - (tail / x_min) ** (1 - alpha) - below).max(), alpha))
    return min(fits)[1]


class Alpha(unittest.TestCase):
    def spectra(self):
        random = np.random.default_rng(3)
        heavy = (1 + random.pareto(2.0, 200)) ** 0.5
        return {
            "heavy": with_values(random, 300, 200, heavy),
            "normal": random.standard_normal((150, 90)),
            "wide": random.standard_normal((40, 400)).astype(np.float32),
            "few": random.standard_normal((12, 30)),
            "nineteen": random.standard_normal((19, 80)),
            "deficient": with_values(random, 100, 100, np.linspace(1, 9, 40)),
            "huge": 1e200 * random.standard_normal((50, 60)),
            "convolution": random.standard_normal((32, 16, 3, 3)).astype(np.float32),
            "one dimension": random.standard_normal((16, 24, 5)).astype(np.float32),
        }

    def test_exponents(self):
        spectra = self.spectra()
        refused = {"vector": np.ones(100), "scalar": np.array(1.0), "seven": np.eye(7), "empty": np.zeros((0, 9))}
        odd = {"zeros": np.zeros((9, 9)), "nan": np.full((9, 9), np.nan), "equal": np.eye(30)}
        with tempfile.TemporaryDirectory() as folder:
            with Arrays(f"{folder}/run.h5") as arrays:
                arrays.step()
                for name, x in {**spectra, **refused, **odd}.items():
                    arrays.publish("weights", name.replace(" ", "_"), x)
            nauha("replay", f"{folder}/run.h5", "--metric", "alpha:weights", "-o", folder, "--sink", "csv")
            got = {row["module"].replace("_", " "): float(row["value"]) for row in
                   read_csv(f"{folder}/weights_alpha.csv")}
        self.assertEqual(set(got), {*spectra, *odd})
        for name, x in spectra.items():
            x = x.astype(float) / (1e200 if name == "huge" else 1)
            slices = x.reshape(*x.shape[:2], -1)
            values = np.concatenate([np.linalg.svd(slices[:, :, i], compute_uv=False) for i in range(slices.shape[2])])
            with self.subTest(tensor=name):
                np.testing.assert_allclose(got[name], power_law(values**2 / (2 if x.ndim > 2 else 1)), rtol=1e-9)
        self.assertTrue(np.isnan(got["zeros"]) and np.isnan(got["nan"]))
        self.assertEqual(got["equal"], np.inf)

    def test_the_exponent_of_a_power_law_is_found(self):
        # The largest eigenvalues of a pure power law with density l^-2.5: 1 + 1.5.
        random = np.random.default_rng(4)
        eigenvalues = (1 - (np.arange(400) + 0.5) / 400) ** (-1 / 1.5)
        with tempfile.TemporaryDirectory() as folder:
            with Arrays(f"{folder}/run.h5") as arrays:
                arrays.step()
                arrays.publish("weights", "law", with_values(random, 400, 400, eigenvalues**0.5))
            nauha("replay", f"{folder}/run.h5", "--metric", "alpha:weights", "-o", folder, "--sink", "csv")
            (row,) = read_csv(f"{folder}/weights_alpha.csv")
        self.assertAlmostEqual(float(row["value"]), 2.5, delta=0.03)


class Module(unittest.TestCase):
    def test_without_the_module_everything_else_works(self):
        with tempfile.TemporaryDirectory() as folder:
            program = shutil.copy(NAUHA, folder)
            trace = make_trace(pathlib.Path(folder) / "run.h5")
            replay = [program, "replay", "-q", trace, "--metric"]
            subprocess.run([*replay, "norm:weights"], stdout=subprocess.DEVNULL, check=True)
            done = subprocess.run([*replay, "spectral_norm:weights"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  text=True)
            self.assertEqual(done.returncode, 3)
            self.assertIn('metric "spectral_norm:weights": linear algebra is not available: nauha_linalg.so:',
                          done.stderr)

    def test_it_lies_where_an_installed_program_looks(self):
        with tempfile.TemporaryDirectory() as folder:
            for name in ("bin", "lib/nauha"):
                (pathlib.Path(folder) / name).mkdir(parents=True)
            program = shutil.copy(NAUHA, f"{folder}/bin")
            shutil.copy(pathlib.Path(NAUHA).parent / "nauha_linalg.so", f"{folder}/lib/nauha")
            trace = make_trace(pathlib.Path(folder) / "run.h5")
            environment = {"PATH": f"{folder}/bin"}
            subprocess.run(["nauha", "replay", "-q", trace, "--metric", "spectral_norm:weights"], cwd=folder,
                           env=environment, stdout=subprocess.DEVNULL, check=True)
            self.assertEqual(pathlib.Path(program).name, "nauha")

    def test_nothing_of_openblas_is_visible_and_nothing_else_links_it(self):
        for name in ("nauha", "libnauha.so", "libnauha-replay.so", "libnauha-recorder.so"):
            needed = subprocess.run(["readelf", "-d", pathlib.Path(NAUHA).parent / name], stdout=subprocess.PIPE,
                                    check=True, text=True).stdout
            self.assertNotIn("blas", needed)
            self.assertNotIn("lapack", needed)
        symbols = subprocess.run(["nm", "-D", "--defined-only", pathlib.Path(NAUHA).parent / "nauha_linalg.so"],
                                 stdout=subprocess.PIPE, check=True, text=True).stdout.split("\n")
        self.assertEqual([line.split()[-1] for line in symbols if line], ["nauha_linalg"])


class Large(unittest.TestCase):
    """Beyond exact=, where the defaults iterate: weights as a training has them, against NumPy's SVD."""

    def test_extremes_of_large_matrices(self):
        random = np.random.default_rng(2)
        weights = {
            "random": random.uniform(-0.02, 0.02, (700, 900)).astype(np.float32),
            "spike": (random.standard_normal((500, 500)) / 500 + np.outer(np.ones(500), np.ones(500)) / 500),
            "deficient": random.standard_normal((400, 300)) @ random.standard_normal((300, 600)),
        }
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "run.h5"
            with Arrays(path) as arrays:
                arrays.step()
                for name, x in weights.items():
                    arrays.publish("weights", name, x)
            nauha("replay", path, "--metric", "spectral_norm:weights", "--metric", "condition_number:weights",
                  "-o", folder, "--sink", "csv")
            norms, conditions = ({row["module"]: float(row["value"]) for row in read_csv(f"{folder}/weights_{name}.csv")}
                                 for name in ("spectral_norm", "condition_number"))
        for name, x in weights.items():
            values = np.linalg.svd(x.astype(float), compute_uv=False)
            np.testing.assert_allclose(norms[name], values[0], rtol=1e-10)
            if name == "deficient":
                self.assertEqual(conditions[name], np.inf)
            else:
                np.testing.assert_allclose(conditions[name], values[0] / values[-1], rtol=1e-9)


class Parallel(unittest.TestCase):
    """Several workers call linear algebra at the same time: to the bit what one computes."""

    METRICS = ("condition_number:weights", "spectral_norm:weights:exact=0", "stable_rank:weights",
               "effective_rank:weights", "alpha:weights")

    def test_four_workers_compute_what_one_does(self):
        random = np.random.default_rng(5)
        metrics = [argument for metric in self.METRICS for argument in ("--metric", metric)]
        with tempfile.TemporaryDirectory() as folder:
            with Arrays(f"{folder}/run.h5") as arrays:
                for _ in range(2):
                    arrays.step()
                    for module in range(8):
                        arrays.publish("weights", f"m{module}", random.uniform(-1, 1, (300, 320)).astype(np.float32))
            outputs = [nauha("replay", f"{folder}/run.h5", "-q", "-j", workers, *metrics).stdout
                       for workers in (1, 4, 4, 4)]
        self.assertGreater(outputs[0].count("\n"), 8 * 2 * len(self.METRICS) - 1)
        for output in outputs[1:]:
            self.assertEqual(output, outputs[0])

    def test_openblas_makes_no_threads(self):
        """So results do not depend on how many processors there are."""
        load = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1]); print(len(os.listdir('/proc/self/task')))"
        module = pathlib.Path(NAUHA).parent / "nauha_linalg.so"
        done = subprocess.run([sys.executable, "-c", load, module], stdout=subprocess.PIPE, check=True, text=True,
                              env={**os.environ, "OPENBLAS_NUM_THREADS": "4"})
        self.assertEqual(done.stdout, "1\n")


if __name__ == "__main__":
    unittest.main()
