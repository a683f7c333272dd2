# SPDX-License-Identifier: MIT
"""Tensors of every type a trace can hold, recorded one a step, and a metric's series of them."""
import pathlib
import subprocess
import tempfile

import numpy as np

from tests.integration.program import BUILD, nauha, read_csv


def bf16(values):
    """The bits of float32 values as bf16, cut off."""
    return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


class Tensor:
    """Elements as stored, and as the doubles that metrics are of."""

    def __init__(self, stored, dtype=None, doubles=None):
        self.stored = np.ascontiguousarray(stored)
        self.dtype = dtype or {"float16": "f16", "float32": "f32", "float64": "f64", "bool": "bool"}.get(
            self.stored.dtype.name, self.stored.dtype.name.replace("uint", "u").replace("int", "i"))
        with np.errstate(all="ignore"):
            self.doubles = self.stored.astype(np.float64) if doubles is None else doubles

    @classmethod
    def of_bf16(cls, values):
        bits = bf16(values)
        return cls(bits, "bf16", (bits.astype(np.uint32) << 16).view(np.float32).astype(np.float64))

    @classmethod
    def of_f8_e5m2(cls, bits):
        """The upper halves of float16."""
        return cls(bits, "f8_e5m2", (bits.astype(np.uint16) << 8).view(np.float16).astype(np.float64))

    @classmethod
    def of_f8_e4m3fn(cls, bits):
        """4 bits of exponent with a bias of 7, 3 of mantissa; no infinity, and one NaN of each sign."""
        exponent, mantissa = (bits >> 3 & 15).astype(np.int64), (bits & 7) / 8
        magnitude = np.where(exponent == 0, np.ldexp(mantissa, -6), np.ldexp(1 + mantissa, exponent - 7))
        magnitude[bits & 127 == 127] = np.nan
        return cls(bits, "f8_e4m3fn", np.where(bits & 128, -magnitude, magnitude))


def random_tensors():
    """name: tensor, from a fixed seed; more elements than a block and than a piece of the implementation."""
    r = np.random.default_rng(7)
    normal = r.standard_normal
    return {
        "f32": Tensor(normal((37, 401)).astype(np.float32)),
        "f64": Tensor(normal((3, 5, 7, 211))),
        "f16": Tensor(normal(5000).astype(np.float16)),
        "bf16": Tensor.of_bf16(normal(10001).astype(np.float32)),
        "f8_e5m2": Tensor.of_f8_e5m2((r.integers(0, 124, 5003) | r.integers(0, 2, 5003) << 7).astype(np.uint8)),
        "f8_e4m3fn": Tensor.of_f8_e4m3fn((r.integers(0, 127, 5003) | r.integers(0, 2, 5003) << 7).astype(np.uint8)),
        "gradients": Tensor((normal(9999) * 10 ** r.uniform(-12, -2, 9999)).astype(np.float32)),
        "sparse": Tensor(np.maximum(normal((64, 300)).astype(np.float32), 0)),
        "shifted": Tensor((normal(4097) + 1e6)),
        "u8": Tensor(r.integers(0, 256, 8192, np.uint8)),
        "i8": Tensor(r.integers(-128, 128, 777, np.int8)),
        "i16": Tensor(r.integers(-(2**15), 2**15, 3000, np.int16)),
        "i32": Tensor(r.integers(-(2**31), 2**31, 3000, np.int32)),
        "i64": Tensor(r.integers(-(2**53), 2**53, 3000, np.int64)),
        "bool": Tensor(r.random(1000) < 0.3),
    }


def adversarial_tensors():
    inf, nan = np.inf, np.nan
    f32 = np.float32
    return {
        "empty": Tensor(np.zeros((0,), f32)),
        "empty 3x0": Tensor(np.zeros((3, 0), np.float64)),
        "scalar": Tensor(f32(-2.5).reshape(())),
        "one": Tensor(np.array([3.0], f32)),
        "one nan": Tensor(np.array([nan], f32)),
        "two": Tensor(np.array([1.5, -4.25])),
        "a nan": Tensor(np.array([[1, nan, 3], [4, 5, -6]], f32)),
        "an inf": Tensor(np.array([[1, 2, 3], [4, 5, inf]], f32)),
        "f8 nan": Tensor.of_f8_e4m3fn(np.array([1, 255, 8], np.uint8)),
        "f8 infs": Tensor.of_f8_e5m2(np.array([1, 124, 8, 252], np.uint8)),
        "both infs": Tensor(np.array([inf, 0, -inf, 1])),
        "all inf": Tensor(np.full(300, -inf, f32)),
        "zeros": Tensor(np.zeros(1000, f32)),
        "signed zeros": Tensor(np.array([-0.0, 0.0] * 200, f32)),
        "constant": Tensor(np.full(12345, 0.1, f32)),
        "f32 denormals": Tensor((np.arange(-600, 600) * 1e-45).astype(f32)),
        "f64 denormals": Tensor(np.arange(-600, 601) * 5e-324),
        "f16 denormals": Tensor((np.arange(-50, 50) * 6e-8).astype(np.float16)),
        "f32 largest": Tensor(np.array([3.4e38, -3.4e38, 1], f32)),
        "cancelling": Tensor(np.array([1e16, 1, -1e16, 1] * 700)),
        "outlier": Tensor(np.append(np.full(40000, 1e-3, f32), f32(1e6))),
    }


class Recording:
    """A trace of tensors, and what metrics make of it."""

    def __init__(self, tensors, *options):
        self.tensors = list(tensors)
        self._folder = tempfile.TemporaryDirectory()
        self.folder = pathlib.Path(self._folder.name)
        self.path = self.folder / "run.h5"
        lines = []
        for i, tensor in enumerate(self.tensors):
            raw = self.folder / f"{i}.raw"
            tensor.stored.tofile(raw)
            lines.append(f"{tensor.dtype} {','.join(map(str, tensor.stored.shape)) or '-'} {raw}\n")
        subprocess.run([str(BUILD / "tests/tools/record_tensors"), *options, str(self.path)], input="".join(lines),
                       text=True, check=True, timeout=600)
        for raw in self.folder.glob("*.raw"):
            raw.unlink()

    def close(self):
        self._folder.cleanup()

    def replay(self, *specs):
        """series: {step: value}"""
        out = self.folder / "series"
        nauha("replay", self.path, *(word for spec in specs for word in ("--metric", spec)), "-o", out, "--sink", "csv")
        series = {}
        for path in out.glob("*.csv"):
            series[path.stem] = {int(row["global_step"]): float(row["value"]) for row in read_csv(path)}
            path.unlink()
        return series
