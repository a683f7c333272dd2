# SPDX-License-Identifier: MIT
"""Metrics of single tensors against NumPy: no further from the true value than NumPy's float64, which is found with
math.fsum and long double."""
import math
import os
import unittest
import warnings

import numpy as np

from tests.integration.program import nauha, read_csv
from tests.integration.tensors import Recording, Tensor, adversarial_tensors, random_tensors

EPS = np.finfo(np.float64).eps
LONG = np.longdouble


def exact_sum(x):
    """Of doubles; of long doubles as exactly as they are."""
    if not np.isfinite(x).all() or x.dtype != np.float64:
        return x.sum(dtype=LONG)
    return LONG(math.fsum(x.ravel().tolist()))


def exact_mean(x):
    return exact_sum(x) / x.size


def apart(x):
    """Deviations from the mean, in long double."""
    return x.astype(LONG) - exact_mean(x)


def exact_variance(x):
    return (apart(x) ** 2).sum() / LONG(x.size - 1) if x.size > 1 else LONG("nan")


def is_constant(x):
    """scipy.stats's bound: nothing but rounding is left of the moments."""
    return not (apart(x) ** 2).mean() > (1e-15 * exact_mean(x)) ** 2


def exact_skewness(x):
    d = apart(x)
    return LONG("nan") if is_constant(x) else (d**3).mean() / (d**2).mean() ** LONG(1.5)


def exact_kurtosis(x):
    d = apart(x)
    return LONG("nan") if is_constant(x) else (d**4).mean() / (d**2).mean() ** 2 - 3


def numpy_skewness(x):
    d = x - x.mean()
    return (d**3).mean() / (d**2).mean() ** 1.5


def numpy_kurtosis(x):
    d = x - x.mean()
    return (d**4).mean() / (d**2).mean() ** 2 - 3


def norm(order):
    return lambda x: np.linalg.norm(x.ravel(), order)


def long_norm(order):
    return lambda x: (np.abs(x.astype(LONG)) ** order).sum() ** (1 / LONG(order))


def largest(function, empty=math.nan):
    return lambda x: function(x) if x.size else empty


# SPEC: (series, true value, NumPy's float64, what a rounding is relative to; NumPy's value where it is None)
METRICS = {
    "sum": ("sum", exact_sum, np.sum, lambda x: np.abs(x).sum()),
    "mean": ("mean", exact_mean, np.mean, lambda x: np.abs(x).mean()),
    "variance": ("variance", exact_variance, lambda x: np.var(x, ddof=1), None),
    "rms": ("rms", lambda x: np.sqrt((x.astype(LONG) ** 2).mean()), lambda x: np.sqrt((x**2).mean()), None),
    "norm": ("norm2", long_norm(2), norm(2), None),
    "norm:order=1": ("norm1", long_norm(1), norm(1), None),
    "norm:order=3": ("norm3", long_norm(3), norm(3), None),
    "norm:order=0.5": ("norm0.5", long_norm(0.5), norm(0.5), lambda x: 4 * norm(0.5)(x)),
    "norm:order=inf": ("norminf", largest(norm(np.inf), 0), None, None),
    "norm:order=0": ("norm0", norm(0), None, None),
    "min": ("min", largest(np.min), None, None),
    "max": ("max", largest(np.max), None, None),
    "absmax": ("absmax", largest(lambda x: np.abs(x).max()), None, None),
    "zeros": ("zeros", lambda x: np.mean(x == 0), None, None),
    "zeros:eps=0.25": ("zeros0.25", lambda x: np.mean(np.abs(x) <= 0.25), None, None),
    "nonfinite": ("nans", lambda x: np.isnan(x).sum(), None, None),
    "skewness": ("skewness", exact_skewness, numpy_skewness, lambda x: abs(numpy_skewness(x)) + 1),
    "kurtosis": ("kurtosis", exact_kurtosis, numpy_kurtosis, lambda x: numpy_kurtosis(x) + 3),
}
ROUNDINGS = 3  # of the last digit: a division, a root and a rounding of what stands under it


def spec_of(name):
    metric, _, keys = name.partition(":")
    return f"{metric}:activations" + (f":{keys}" if keys else "")


class Numbers(unittest.TestCase):
    def compare(self, tensors, metrics):
        recording = Recording(tensors.values())
        self.addCleanup(recording.close)
        series = recording.replay(*map(spec_of, metrics))
        for metric in metrics:
            got = series[f"activations_{METRICS[metric][0]}"]
            self.assertEqual(sorted(got), list(range(len(tensors))))
            for step, (name, tensor) in enumerate(tensors.items()):
                with self.subTest(metric=metric, tensor=name):
                    self.compare_one(got[step], metric, tensor.doubles)

    def compare_one(self, got, metric, x):
        _, true_value, of_numpy, scale = METRICS[metric]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            want = LONG(true_value(x))
            numpy = want if of_numpy is None else LONG(of_numpy(x))
            unit = LONG(abs(numpy) if scale is None else scale(x))
        if not np.isfinite(np.float64(want)):
            np.testing.assert_equal(got, float(want))
            return
        if not np.isfinite(numpy):  # its squares of the smallest and largest numbers are none
            numpy = want
            unit = LONG(max(abs(want), 1) if scale else abs(want))
        allowed = 0 if of_numpy is None else max(abs(numpy - want), ROUNDINGS * EPS * unit)
        self.assertLessEqual(abs(got - want), allowed + abs(want) * EPS / 2, f"{got!r} for {want!r}, NumPy: {numpy!r}")

    def test_random(self):
        self.compare(random_tensors(), METRICS)

    def test_adversarial(self):
        self.compare(adversarial_tensors(), METRICS)

    def test_many_elements(self):
        """1e8 of them, where naive sums have lost their last five digits."""
        n = int(float(os.environ.get("NAUHA_ELEMENTS", "1e8")))
        x = np.resize((np.arange(2**20, dtype=np.uint32) * 2654435761 >> 8).astype(np.float32) / 2**20 + 0.1, n)
        tensor = Tensor(x, doubles=np.zeros(0))
        recording = Recording([tensor])
        self.addCleanup(recording.close)
        series = recording.replay("sum:activations", "mean:activations", "rms:activations", "variance:activations",
                                  "kurtosis:activations", "percentiles:activations:q=25")
        period = x[: 2**20].astype(np.float64)
        whole, rest = divmod(n, period.size)

        def total(values):
            return whole * exact_sum(values) + exact_sum(values[:rest])

        sum_, squares = total(period), total(period.astype(LONG) ** 2)
        d = period.astype(LONG) - sum_ / n
        second, fourth = total(d**2), total(d**4)
        for name, want in (("sum", sum_), ("mean", sum_ / n), ("rms", np.sqrt(squares / n)),
                           ("variance", second / (n - 1)), ("kurtosis", fourth * n / second**2 - 3)):
            less = 3 if name == "kurtosis" else 0  # is subtracted in the end, from something as large
            np.testing.assert_allclose(series[f"activations_{name}"][0] + less, float(want + less), rtol=4 * EPS, err_msg=name)
        place = (n - 1) * 0.25
        rank = int(place)
        ordered = np.partition(x, (rank, rank + 1))[rank : rank + 2].astype(np.float64)
        self.assertEqual(series["activations_p25"][0], between(*ordered, place - rank))


QUANTILES = (0, 1, 5, 33.3, 50, 75.25, 95, 99, 100)


def between(a, b, weight):
    """numpy.percentile's interpolation where that is a number."""
    if a == b or weight == 0:
        return a
    if not math.isfinite(b - a):
        return a * (1 - weight) + b * weight
    return a + (b - a) * weight if weight < 0.5 else b - (b - a) * (1 - weight)


def percentile(x, q):
    if x.size == 0 or np.isnan(x).any():
        return np.nan
    if np.isfinite(x).all():
        return np.percentile(x, q)
    place = (x.size - 1) * (q / 100)
    ordered, low = np.sort(x.ravel()), int(place)
    return between(ordered[low], ordered[min(low + 1, x.size - 1)], place - low)


class Percentiles(unittest.TestCase):
    def compare(self, tensors):
        recording = Recording(tensors.values())
        self.addCleanup(recording.close)
        series = recording.replay("percentiles:activations:q=" + ",".join(map(str, QUANTILES)))
        for q in QUANTILES:
            got = series[f"activations_p{q:g}"]
            for step, (name, tensor) in enumerate(tensors.items()):
                with self.subTest(q=q, tensor=name):
                    np.testing.assert_equal(got[step], float(percentile(tensor.doubles, q)))

    def test_to_the_last_bit(self):
        self.compare(random_tensors())
        self.compare(adversarial_tensors())

    def test_hidden_in_crowds(self):
        """Elements that take several passes to tell apart, and the same one many times."""
        r = np.random.default_rng(11)
        near = np.nextafter(1.0, 2.0) - 1.0
        self.compare({
            "neighbours": Tensor(1 + near * r.integers(0, 40000, 60000)),
            "every magnitude": Tensor(r.choice([-1.0, 1.0], 50000) * 2.0 ** r.uniform(-1070, 1020, 50000)),
            "mostly zeros": Tensor(np.where(r.random(70000) < 0.03, r.standard_normal(70000), 0)),
            "two values": Tensor(np.repeat([-1e-300, 1e300], 3000)),
            "an outlier each": Tensor(np.concatenate([[-np.inf], r.standard_normal(40000) * 1e-5 + 3, [np.inf]])),
        })


def extreme_tensors():
    """float64 whose squares, fourth powers or sums no double holds."""
    r = np.random.default_rng(23)
    big = np.finfo(np.float64).max
    tensors = {f"normal * {scale}": Tensor((r.standard_normal(3001) + 0.5) * scale)
               for scale in (1e77, 1e80, 1e150, 1e154, 1e200, 3e307, 1e-77, 1e-80, 1e-155, 1e-162, 1e-200, 1e-300, 1e-320)}
    return tensors | {
        "turns": Tensor(np.array([big, -big, big, -big])),
        "largest": Tensor(np.full(700, big)),
        "constant": Tensor(np.full(700, 3e200)),
        "smallest": Tensor(np.full(700, 5e-324)),
        "one element": Tensor(np.array([1e300])),
        "mixed": Tensor(np.repeat([1e300, 1e-300, -3.0, 0.0], 300)),
        "small beside a large one": Tensor(np.append(np.full(600, 1e-170), 1e170)),
        "close": Tensor(1e250 * (1 + 1e-3 * r.standard_normal(900))),
        "zeros": Tensor(np.zeros(300)),
        "infinite": Tensor(np.array([1e300, np.inf])),
        "no number": Tensor(np.array([1e300, np.nan])),
    }


class Extremes(unittest.TestCase):
    """What is made of large and small elements is as right as of others."""

    def test_float64(self):
        tensors = extreme_tensors()
        recording = Recording(tensors.values())
        self.addCleanup(recording.close)
        # relative to what a rounding is relative to: sums to the magnitudes, the moments to numbers around 1
        metrics = {"sum": lambda x: np.abs(x).sum(), "mean": lambda x: np.abs(x).mean(), "variance": None, "rms": None,
                   "norm": None, "norm:order=3": None, "skewness": lambda x: abs(exact_skewness(x)) + 1,
                   "kurtosis": lambda x: exact_kurtosis(x) + 6}
        series = recording.replay(*map(spec_of, metrics))
        for metric, unit in metrics.items():
            got = series[f"activations_{METRICS[metric][0]}"]
            for step, (name, tensor) in enumerate(tensors.items()):
                with self.subTest(metric=metric, tensor=name), np.errstate(all="ignore"):
                    x = tensor.doubles
                    want = METRICS[metric][1](x.astype(LONG))
                    if not np.isfinite(np.float64(want)):
                        np.testing.assert_equal(got[step], float(want))
                        continue
                    allowed = 32 * EPS * (abs(want) if unit is None else LONG(unit(x.astype(LONG)))) + LONG(5e-324)
                    self.assertLessEqual(abs(got[step] - want), allowed, f"{got[step]!r} for {want!r}")

    def test_orders(self):
        """Powers of elements of all types over- or underflow, the norms do not."""
        r = np.random.default_rng(29)
        x = r.standard_normal(5000)
        tensors = {"small": Tensor((x * 1e-4).astype(np.float32)), "large": Tensor((x * 1e3).astype(np.float32)),
                   "bf16 near its end": Tensor.of_bf16(x * 5e37), "f16": Tensor((x * 1e4).astype(np.float16)),
                   "f64": Tensor(x * 1e300), "denormals": Tensor(x * 1e-315), "zeros": Tensor(np.zeros(20)),
                   "infinite": Tensor(np.array([1e30, np.inf])), "ordinary": Tensor(x)}
        recording = Recording(tensors.values())
        self.addCleanup(recording.close)
        for order in (1.5, 10, 100, 1e4):
            got = recording.replay(f"norm:activations:order={order}")[f"activations_norm{order:g}"]
            for step, (name, tensor) in enumerate(tensors.items()):
                with self.subTest(order=order, tensor=name), np.errstate(all="ignore"):
                    x = np.abs(tensor.doubles.astype(LONG))
                    most = x.max()
                    want = most * ((x / most) ** LONG(order)).sum() ** (1 / LONG(order)) if 0 < most < np.inf else most
                    np.testing.assert_allclose(got[step], float(want), rtol=16 * EPS, atol=5e-324)

    def sequence(self):
        r = np.random.default_rng(31)
        big, x = np.finfo(np.float64).max, np.cumsum(r.standard_normal((9, 2001)), axis=0)
        scales = [1e200, 1e-200, 1e-200, 1, 1e307, 1e160, 1e-310, 1e-300, 1e155]
        return [x[t] * scale for t, scale in enumerate(scales)] + [np.full(2001, big), np.full(2001, -big), np.full(2001, -big)]

    def test_cosine_and_distance(self):
        x = self.sequence()
        recording = Recording([Tensor(a) for a in x])
        self.addCleanup(recording.close)
        series = recording.replay("cosine:activations", "distance:activations")
        x = [a.astype(LONG) for a in x]
        with np.errstate(over="ignore"):
            far = [np.sqrt(((a - x[0]) ** 2).sum()) for a in x]
            wants = {"cosine": [(a * b).sum() / np.sqrt((a ** 2).sum() * (b ** 2).sum()) for a, b in zip(x[1:], x)],
                     "distance": [np.float64(d) for d in far],
                     "relative_distance": [np.float64(d / far_from_zero) for d in far
                                           for far_from_zero in [np.sqrt((x[0] ** 2).sum())]]}
        for name, want in wants.items():
            got = [series[f"activations_{name}"][t] for t in sorted(series[f"activations_{name}"])]
            np.testing.assert_allclose(got, np.float64(want), rtol=16 * EPS, atol=16 * EPS if name == "cosine" else 0, err_msg=name)

    def test_distance_of_small_differences(self):
        """Beside elements whose squares are doubles."""
        first, second = np.array([1.0, 2e-170, -1.0]), np.array([1.0, 5e-170, -1.0])
        recording = Recording([Tensor(first), Tensor(second), Tensor(first)])
        self.addCleanup(recording.close)
        got = recording.replay("distance:activations")["activations_distance"]
        np.testing.assert_allclose([got[t] for t in range(3)], [0, 3e-170, 0], rtol=4 * EPS)


class Sequences(unittest.TestCase):
    def sequences(self):
        r = np.random.default_rng(5)
        walk = np.cumsum(r.standard_normal((12, 9001)), axis=0)
        steps = {"f32": [Tensor(x) for x in walk.astype(np.float32)], "f64": [Tensor(x) for x in walk + 1e3],
                 "f16": [Tensor(x) for x in walk.astype(np.float16)], "bf16": [Tensor.of_bf16(x) for x in walk],
                 "denormals": [Tensor((x * 1e-42).astype(np.float32)) for x in walk],
                 "i16": [Tensor(x) for x in (100 * walk).astype(np.int16)]}
        for name, tensors in steps.items():
            recording = Recording(tensors)
            self.addCleanup(recording.close)
            yield name, [t.doubles.astype(LONG) for t in tensors], recording

    def test_cosine(self):
        for name, x, recording in self.sequences():
            got = recording.replay("cosine:activations")["activations_cosine"]
            want = {t: float((x[t] * x[t - 1]).sum() / np.sqrt((x[t] ** 2).sum() * (x[t - 1] ** 2).sum()))
                    for t in range(1, len(x))}
            self.assertEqual(sorted(got), sorted(want))
            np.testing.assert_allclose(list(got.values()), list(want.values()), rtol=0, atol=4 * EPS, err_msg=name)

    def test_distance(self):
        for name, x, recording in self.sequences():
            series = recording.replay("distance:activations:subsample=2")
            far = [np.sqrt(((x[t] - x[0]) ** 2).sum()) for t in range(0, len(x), 2)]
            start = np.sqrt((x[0] ** 2).sum())
            for series_name, want in (("distance", far), ("relative_distance", [d / start for d in far])):
                got = series[f"activations_{series_name}"]
                self.assertEqual(sorted(got), list(range(0, len(x), 2)))
                np.testing.assert_allclose(list(got.values()), np.float64(want), rtol=4 * EPS, atol=0, err_msg=name)


class Histograms(unittest.TestCase):
    def test_of_extreme_tensors(self):
        tensors = {name: t for name, t in adversarial_tensors().items() if np.isfinite(t.doubles).any()}
        recording = Recording(tensors.values())
        self.addCleanup(recording.close)
        out = recording.folder / "histograms"
        nauha("replay", recording.path, "--metric", "histogram:activations:bins=7", "-o", out, "--sink", "csv")
        rows = read_csv(out / "activations_histogram.csv")
        for step, (name, tensor) in enumerate(tensors.items()):
            x = tensor.doubles[np.isfinite(tensor.doubles)]
            with self.subTest(tensor=name):
                try:
                    with np.errstate(all="ignore"):
                        counts, _ = np.histogram(x, bins=7)
                except (ValueError, IndexError):  # what NumPy says to a range of the smallest numbers
                    continue
                self.assertEqual([int(row["count"]) for row in rows[7 * step : 7 * step + 7]], counts.tolist())


class FirstNonfinite(unittest.TestCase):
    def test_position(self):
        r = np.random.default_rng(3)
        tensors = []
        for shape, flat in (((7, 11, 130), 10009), ((5000,), 4096), ((2, 3), 0), ((40, 40), None), ((0, 4), None)):
            x = r.standard_normal(shape).astype(np.float32)
            if flat is not None:
                x.reshape(-1)[[flat, -1]] = r.permutation([np.nan, -np.inf])
            tensors.append(Tensor(x))
        recording = Recording(tensors)
        self.addCleanup(recording.close)
        series = recording.replay("nonfinite:activations:dims=2")
        bad = [np.argwhere(~np.isfinite(t.doubles.reshape(-1))) for t in tensors]
        first = {i: float(where[0, 0]) for i, where in enumerate(bad) if len(where)}
        self.assertEqual(series["activations_first_nonfinite"], first)
        for d in range(2):
            want = {i: float(np.unravel_index(int(at), tensors[i].stored.shape)[d]) for i, at in first.items()
                    if d < tensors[i].stored.ndim}
            self.assertEqual(series[f"activations_first_nonfinite_dim{d}"], want)
        self.assertEqual(series["activations_infs"], {i: float(np.isinf(t.doubles).sum()) for i, t in enumerate(tensors)})


if __name__ == "__main__":
    unittest.main()
