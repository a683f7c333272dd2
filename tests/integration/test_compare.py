# SPDX-License-Identifier: MIT
"""nauha_compare against NumPy, on random bits of every type: NaN, infinities, subnormal numbers, both zeros."""
import ctypes
import sys
import unittest

import numpy as np

from tests.integration.program import ROOT

sys.path.insert(0, str(ROOT / "tools/python"))
from nauha import native  # noqa: E402


class Tolerance(ctypes.Structure):
    _fields_ = [("rtol", ctypes.c_double), ("atol", ctypes.c_double), ("ulp", ctypes.c_uint64),
                ("rounding", ctypes.c_bool)]


class Difference(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("count", "differing", "other_bits", "zero_signs", "nan_payloads",
                                                     "not_finite", "first", "max_abs_at")] + [
        ("max_abs", ctypes.c_double), ("max_rel", ctypes.c_double), ("max_ulp", ctypes.c_uint64)] + [
        (name, ctypes.c_double) for name in ("squares_a", "squares_b", "products", "squares_difference")] + [
        (name, ctypes.c_uint64) for name in ("zeros_a", "zeros_b", "both", "alike")] + [
        (name, ctypes.c_double) for name in ("both_squares_a", "both_squares_b")]


native.library.nauha_difference_relative.restype = ctypes.c_double
native.library.nauha_difference_cosine.restype = ctypes.c_double

# name: bytes, sign bit or None, bits of exponent and mantissa, bias, kind of special values
FLOATS = {"f16": (2, 5, 10, 15, "ieee"), "bf16": (2, 8, 7, 127, "ieee"), "f8_e5m2": (1, 5, 2, 15, "ieee"),
          "f8_e4m3fn": (1, 4, 3, 7, "fn"), "f8_e4m3fnuz": (1, 4, 3, 8, "fnuz"), "f8_e5m2fnuz": (1, 5, 2, 16, "fnuz")}
INTEGERS = {"u8": "u1", "i8": "i1", "i16": "i2", "i32": "i4", "i64": "i8", "bool": "u1"}


def decode(bits, name):
    """The values of small floats, straight from the definition of their format."""
    _, exponent_bits, mantissa_bits, bias, special = FLOATS[name]
    bits = bits.astype(np.int64)
    sign = bits >> (exponent_bits + mantissa_bits) & 1
    exponent = bits >> mantissa_bits & ((1 << exponent_bits) - 1)
    mantissa = bits & ((1 << mantissa_bits) - 1)
    values = np.where(exponent == 0, mantissa * 2.0 ** (1 - bias - mantissa_bits),
                      (1 + mantissa / 2 ** mantissa_bits) * 2.0 ** (exponent - bias))
    top = exponent == (1 << exponent_bits) - 1
    if special == "ieee":
        values = np.where(top, np.where(mantissa == 0, np.inf, np.nan), values)
    if special == "fn":
        values = np.where(top & (mantissa == (1 << mantissa_bits) - 1), np.nan, values)
    values = np.where(sign == 1, -values, values)
    if special == "fnuz":
        values = np.where(bits == 1 << (exponent_bits + mantissa_bits), np.nan, values)
    return values


def values_of(raw, name):
    if name in FLOATS:
        return decode(raw.view(f"u{FLOATS[name][0]}"), name)
    if name in ("f32", "f64"):
        return raw.view("f4" if name == "f32" else "f8").astype(np.float64)
    return raw.view(INTEGERS[name])


def compare(a, b, dtype_a, count, tolerance=None, dtype_b=None):
    result, shape = Difference(), (ctypes.c_int64 * 1)(count)
    tensors = [native.Tensor(x.ctypes.data, native.DTYPES.index(dtype), 1, shape, None)
               for x, dtype in ((a, dtype_a), (b, dtype_b or dtype_a))]
    err = native.NativeError()
    status = native.library.nauha_compare(ctypes.byref(tensors[0]), ctypes.byref(tensors[1]),
                                          ctypes.byref(tolerance) if tolerance else None, ctypes.byref(result),
                                          ctypes.byref(err))
    assert status == 0, err.message
    return result


class CompareTest(unittest.TestCase):
    def setUp(self):
        self.random = np.random.default_rng(7)

    def pair(self, size, count, boolean=False):
        """Two arrays of raw bytes: many elements equal, some a few numbers apart, some of any bits."""
        a = self.random.integers(0, 256, (count, size), dtype=np.uint8)
        b = a.copy()
        near = self.random.random(count) < 0.4
        b[near, 0] ^= self.random.integers(0, 4, near.sum(), dtype=np.uint8)
        far = self.random.random(count) < 0.3
        b[far] = self.random.integers(0, 256, (far.sum(), size), dtype=np.uint8)
        zero = self.random.random(count) < 0.05
        a[zero], b[zero] = 0, 0
        b[zero, size - 1] = 0x80
        if boolean:
            a &= 1
            b &= 1
        return a.reshape(-1), b.reshape(-1)

    def check_sums(self, got, x, y, finite):
        both, equal = finite & (x != 0) & (y != 0), x == y
        if got.other_bits:
            self.assertEqual((got.zeros_a, got.zeros_b), ((x == 0).sum(), (y == 0).sum()))
            self.assertEqual((got.both, got.alike), (both.sum(), (both & equal).sum()))
            for name, of in (("both_squares_a", x), ("both_squares_b", y)):
                of = of[both].astype(np.float64)
                np.testing.assert_allclose(getattr(got, name), of @ of, rtol=1e-9, err_msg=name)
        x, y = x[finite].astype(np.float64), y[finite].astype(np.float64)
        for name, expected in (("squares_a", x @ x), ("squares_b", y @ y), ("products", x @ y),
                               ("squares_difference", (x - y) @ (x - y))):
            np.testing.assert_allclose(getattr(got, name), expected, rtol=1e-9, err_msg=name)
        norms = np.linalg.norm(x), np.linalg.norm(y)
        if np.isfinite(x @ x + y @ y) and np.linalg.norm(x - y) > 0:
            relative = native.library.nauha_difference_relative(ctypes.byref(got))
            np.testing.assert_allclose(relative, np.linalg.norm(x - y) / max(norms), rtol=1e-9)
            cosine = native.library.nauha_difference_cosine(ctypes.byref(got))
            np.testing.assert_allclose(cosine, x @ y / (norms[0] * norms[1]), rtol=1e-9, atol=1e-9)

    def test_floats(self):
        sizes = {"f32": 4, "f64": 8, **{name: row[0] for name, row in FLOATS.items()}}
        for name, size in sizes.items():
            for count in (1, 511, 5000):
                with self.subTest(name, count=count), np.errstate(all="ignore"):
                    a, b = self.pair(size, count)
                    if name == "f64":  # squares that can be added up
                        for raw in (a, b):
                            raw.reshape(-1, 8)[:, 7] &= 0xBF
                            raw.reshape(-1, 8)[:, 7] |= 0x30
                    self.check_floats(name, size, a, b, count)

    def check_floats(self, name, size, a, b, count):
        got = compare(a, b, name, count)
        x, y = values_of(a, name), values_of(b, name)
        bits_a, bits_b = a.view(f"u{size}"), b.view(f"u{size}")
        other = bits_a != bits_b
        finite = np.isfinite(x) & np.isfinite(y)
        self.assertEqual(got.differing, other.sum())
        self.assertEqual(got.first, np.flatnonzero(other)[0] if other.any() else count)
        self.assertEqual(got.zero_signs, (other & (x == 0) & (y == 0)).sum())
        self.assertEqual(got.nan_payloads, (other & np.isnan(x) & np.isnan(y)).sum())
        self.assertEqual(got.not_finite, (other & ~finite & ~(np.isnan(x) & np.isnan(y))).sum())
        measured = other & finite
        distance = np.where(measured, np.abs(x - y), 0)
        self.assertEqual(got.max_abs, distance.max())
        if distance.max() > 0:
            self.assertEqual(got.max_abs_at, distance.argmax())
            relative = distance[measured] / np.maximum(np.abs(x), np.abs(y))[measured]
            np.testing.assert_allclose(got.max_rel, np.nanmax(relative), rtol=1e-15)
        # Numbers in order: the magnitude, negative below zero; as Python integers, which do not overflow.
        order = [np.array([int(m & (2 ** (8 * size - 1) - 1)) * (-1 if m >> (8 * size - 1) else 1)
                           for m in map(int, bits[measured])], object) for bits in (bits_a, bits_b)]
        self.assertEqual(got.max_ulp, max(np.abs(order[0] - order[1]), default=0))
        if other.any():  # else they are not computed
            self.check_sums(got, x, y, finite)
        for rtol, atol, ulp in ((0.01, 0, 0), (0, 0.5, 0), (0, 0, 2), (1e-3, 1e-20, 1), (0, 0, 0)):
            tolerant = compare(a, b, name, count, Tolerance(rtol, atol, ulp))
            within = (x == y) | (np.isnan(x) & np.isnan(y)) | ~other
            close = np.zeros(count, bool)
            close[measured] = (np.abs(x - y) <= atol + rtol * np.maximum(np.abs(x), np.abs(y)))[measured]
            close[measured] |= np.abs(order[0] - order[1]).astype(object) <= ulp
            self.assertEqual(tolerant.differing, (~(within | close)).sum(), (rtol, atol, ulp))

    def test_one_ulp_is_numpys_spacing(self):
        for name, dtype in (("f32", np.float32), ("f64", np.float64), ("f16", np.float16)):
            x = np.array([1, 0.1, -3, 1e-6, 60000], dtype)
            got = compare(x, x + np.abs(np.spacing(x)) * 3, name, len(x))
            self.assertEqual(got.max_ulp, 3)

    def test_integers(self):
        for name, dtype in INTEGERS.items():
            with self.subTest(name):
                a, b = self.pair(np.dtype(dtype).itemsize, 3000, boolean=name == "bool")
                got = compare(a, b, name, 3000)
                x, y = a.view(dtype), b.view(dtype)
                apart = [abs(int(p) - int(q)) for p, q in zip(x, y)]
                self.assertEqual(got.differing, (x != y).sum())
                self.assertEqual(got.max_ulp, max(apart))
                self.assertEqual(got.max_abs, float(max(apart)))
                self.assertEqual(got.zero_signs + got.nan_payloads + got.not_finite, 0)
                tolerant = compare(a, b, name, 3000, Tolerance(0, 0, 3))
                self.assertEqual(tolerant.differing, sum(n > 3 for n in apart))

    def test_two_types(self):
        x = self.random.standard_normal(1000).astype(np.float32)
        y = x.astype(np.float16)
        got = compare(x, y, "f32", 1000, dtype_b="f16")
        self.assertEqual(got.differing, (x != y.astype(np.float32)).sum())
        self.assertEqual(got.max_abs, np.abs(x.astype(np.float64) - y.astype(np.float64)).max())
        self.assertEqual(compare(x, y, "f32", 1000, Tolerance(1e-3, 1e-7, 0), "f16").differing, 0)


if __name__ == "__main__":
    unittest.main()
