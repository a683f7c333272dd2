# SPDX-License-Identifier: MIT
"""nauha replay --model with TorchScript models of recorded PyTorch trainings, against what was recorded live and what
PyTorch itself computes.

Run once for each PyTorch there is; see tests/run.py. nauha_model.so is of the distribution's libtorch: with the same
version of PyTorch the results are the same bits, with another one they are close.
"""
import csv
import io
import pathlib
import unittest

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.integration.program import has_training, nauha
from tests.integration.pytorch_case import Case

KINDS = ["weights", "biases", "buffers", "activations", "network_output", "input_labels", "loss", "batch_finished"]
SPECS = ["sum:activations:tag=probing:every=2", "absmax:activations:tag=probing:every=2", "sum:network_output:tag=probing:every=2",
         "loss:tag=probing:every=2", "test_accuracy:tag=probing:every=2"]


def libtorch():
    """The version that nauha_model.so was built with, as far as the distribution says."""
    header = pathlib.Path("/usr/include/torch/csrc/api/include/torch/version.h")
    numbers = [line.split()[-1] for line in header.read_text().splitlines() if "define TORCH_VERSION_M" in line] \
        if header.exists() else []
    return ".".join(numbers)


SAME = torch.__version__.startswith(libtorch() + ".") if libtorch() else False


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        return x + functional.relu(self.norm(self.conv(x)))


class Net(nn.Module):
    """A module that runs twice, blocks of one class, in-place operations, a function of its own."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True))
        self.blocks = nn.ModuleList([Block(4), Block(4)])
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        x = self.blocks[0](x)
        return self.fc(self.drop(x.mean([2, 3])))


def metrics(specs):
    return [word for spec in specs for word in ("--metric", spec)]


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class RehydrationTest(Case):
    def train(self, model, x, y, steps=5, **options):
        """Records with probes on x and y, and writes model and data."""
        folder = self.path.parent
        exporter = self.export(model, **{"kinds": KINDS, **options})
        loss_function = exporter.set_loss(nn.CrossEntropyLoss() if y.dtype == torch.int64 else nn.MSELoss())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        exporter.probe("probing", x, y, every=2)
        for _ in range(steps):
            optimizer.zero_grad()
            loss_function(model(torch.randn_like(x)), y).backward()
            optimizer.step()
        self.assertTrue(exporter.close())
        self.assertEqual(self.notices, [])
        np.save(folder / "inputs.npy", x.numpy())
        np.save(folder / "labels.npy", y.numpy())
        with torch.no_grad():
            torch.jit.script(model).save(str(folder / "net.pt"))

    def replay(self, *arguments, code=0):
        return nauha("replay", "-q", self.path, *arguments, code=code)

    def model(self):
        return ["--model", self.path.with_name("net.pt"), "--data", self.path.parent]

    def assert_recomputed(self, specs, *options):
        recorded = self.replay(*metrics(specs)).stdout
        recomputed = self.replay(*metrics(specs), *self.model(), *options).stdout
        if SAME:
            self.assertEqual(recorded, recomputed)
        ours, theirs = rows(recomputed), rows(recorded)
        key = [name for name in theirs[0] if name != "value"]
        self.assertEqual([[row[name] for name in key] for row in ours], [[row[name] for name in key] for row in theirs])
        np.testing.assert_allclose([float(row["value"]) for row in ours], [float(row["value"]) for row in theirs],
                                   rtol=1e-4, atol=1e-4)
        return theirs

    def test_recomputed_equals_recorded(self):
        self.train(Net(), torch.randn(20, 1, 8, 8), torch.randint(3, (20,)))
        table = self.assert_recomputed(SPECS)
        modules = {(row["module"], row["call"]) for row in table if row["metric"] == "activations_sum"}
        self.assertLessEqual({("", "0"), ("stem", "0"), ("stem.0", "0"), ("blocks.0.norm", "1"), ("blocks.1.conv", "0"),
                              ("drop", "0"), ("fc", "0")}, modules)

    def test_regression(self):
        self.train(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), torch.randn(6, 3), torch.randn(6, 2))
        self.assert_recomputed(SPECS[:4])

    def test_traced_model(self):
        x, y = torch.randn(6, 3), torch.randint(2, (6,))
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
        self.train(model, x, y)
        torch.jit.trace(model.eval(), x).save(str(self.path.with_name("net.pt")))
        self.assert_recomputed(SPECS)

    def test_batches_are_pooled(self):
        self.train(Net(), torch.randn(20, 1, 8, 8), torch.randint(3, (20,)))
        self.assert_recomputed(SPECS[-1:], "--batch-size", "7")

    # ---- the Hessian ----

    def test_hessian(self):
        """Against the whole Hessian, by automatic differentiation, and its eigenvalues by LAPACK."""
        x, y = torch.randn(30, 4), torch.randint(3, (30,))
        self.train(nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 3)), x, y, steps=3)
        weights = {(m.module, m.slot): torch.tensor(m.values, dtype=torch.float64) for kind in ("weights", "biases")
                   for m in self.trace().of(kind) if m.step == 2}
        theta = torch.cat([weights[key].reshape(-1) for key in (("0", "weight"), ("0", "bias"), ("2", "weight"), ("2", "bias"))])

        def loss(theta):
            w0, b0, w2, b2 = theta.split([20, 5, 15, 3])
            hidden = torch.tanh(functional.linear(x.double(), w0.view(5, 4), b0))
            return functional.cross_entropy(functional.linear(hidden, w2.view(3, 5), b2), y)

        expected = torch.linalg.eigvalsh(torch.autograd.functional.hessian(loss, theta)).flip(0).numpy()
        got = rows(self.replay("--metric", "hessian_eig:k=6:every=2:tolerance=1e-10", "--steps", "2:", *self.model(),
                               "--batch-size", "7").stdout)
        self.assertEqual([row["metric"] for row in got], [f"hessian_eig{i}" for i in range(6)])
        np.testing.assert_allclose([float(row["value"]) for row in got], expected[:6], rtol=0, atol=1e-8 * expected[0])
        loose = rows(self.replay("--metric", "hessian_eig:k=2:every=2", "--steps", "2:", *self.model()).stdout)
        np.testing.assert_allclose([float(row["value"]) for row in loose], expected[:2], rtol=0,
                                   atol=1e-3 * np.abs(expected).max())

    def test_hessian_of_equal_eigenvalues(self):
        """Least squares: the Hessian is 2 / (N C) X'X for each of the C outputs, so each eigenvalue comes C times."""
        x, y = torch.randn(80, 30), torch.randn(80, 3)
        self.train(nn.Linear(30, 3), x, y, steps=1)
        ones = torch.cat([x, torch.ones(80, 1)], 1).double()
        once = torch.linalg.eigvalsh(2 / (80 * 3) * ones.t() @ ones).flip(0)
        expected = once.repeat_interleave(3).numpy()
        for k, tolerance in ((5, 1e-3), (8, 1e-8)):
            got = rows(self.replay("--metric", f"hessian_eig:k={k}:tolerance={tolerance}:products=1000", *self.model()).stdout)
            np.testing.assert_allclose([float(row["value"]) for row in got], expected[:k], rtol=0, atol=tolerance * expected[0])

    def test_hessian_misses_none(self):
        """Few products for each eigenvalue: the search from one direction misses some of these."""
        x, y = torch.randn(60, 12), torch.randn(60, 2)
        x[:, 1] = x[:, 0] + 1e-4 * torch.randn(60)
        x[:, 5:] *= 0.05
        self.train(nn.Linear(12, 2, bias=False), x, y, steps=1)
        once = torch.linalg.eigvalsh(2 / 120 * x.double().t() @ x.double()).flip(0)
        expected = once.repeat_interleave(2).numpy()
        got = rows(self.replay("--metric", "hessian_eig:k=6", *self.model()).stdout)
        np.testing.assert_allclose([float(row["value"]) for row in got], expected[:6], rtol=0, atol=1e-3 * expected[0])

    def test_hessian_of_as_many_as_there_are(self):
        x, y = torch.randn(8, 2), torch.randn(8, 1)
        self.train(nn.Linear(2, 1), x, y, steps=1)
        ones = torch.cat([x, torch.ones(8, 1)], 1).double()
        expected = torch.linalg.eigvalsh(2 / 8 * ones.t() @ ones).flip(0).numpy()  # of least squares
        got = rows(self.replay("--metric", "hessian_eig:k=5", *self.model()).stdout)
        np.testing.assert_allclose([float(row["value"]) for row in got], expected, rtol=1e-9)

    # ---- what does not fit ----

    def refused(self, text, *arguments):
        done = self.replay("--metric", "test_accuracy", *arguments, code=None)
        self.assertIn(done.returncode, (2, 3))
        self.assertIn(text, done.stderr)

    def test_refused(self):
        x, y = torch.randn(6, 3), torch.randint(2, (6,))
        self.train(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), x, y, steps=1)
        folder = self.path.parent
        torch.jit.script(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))).save(str(folder / "wide.pt"))
        torch.jit.script(nn.Sequential(nn.ReLU(), nn.Linear(3, 4))).save(str(folder / "other.pt"))
        torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))).save(str(folder / "norm.pt"))
        self.refused('another model was trained: parameter "0.weight" has the shape [4, 3] in the trace and [5, 3] in the model',
                     "--model", folder / "wide.pt", "--data", folder)
        self.refused('the trace lacks parameter "1.weight" of the model in step 0; it has "0.bias", "0.weight", "2.bias", "2.weight"',
                     "--model", folder / "other.pt", "--data", folder)
        self.refused('the trace lacks parameter "1.weight" of the model', "--model", folder / "norm.pt", "--data", folder)
        self.refused("nor a model of that name; models: alexnetmini,", "--model", folder / "nothing.pt", "--data", folder)
        (folder / "nothing.pt").write_text("nothing")
        self.refused("as TorchScript", "--model", folder / "nothing.pt", "--data", folder)
        np.save(folder / "inputs.npy", np.zeros((6, 9), np.float32))
        self.refused("the model cannot run: mat1 and mat2 shapes cannot be multiplied", *self.model())
        np.save(folder / "inputs.npy", x.numpy())
        np.save(folder / "labels.npy", y.numpy()[:4])
        self.refused('labels.npy" has 4 labels for 6 inputs', *self.model())
        (folder / "labels.npy").unlink()
        self.refused("the data have no labels: labels.npy is missing", *self.model())
        for data, text in ((b"no array", "is not a NumPy array"), (b"\x93NUMPY\x01\x00\x76\x00{'descr'", "is cut short"),
                           (self.npy("<c8", "(1,)"), 'holds elements of type "<c8"'),
                           (self.npy("<f4", "(9999999999, 9999999999)"), "has an impossible shape in its header"),
                           (self.npy("<f4", "(7, 3)"), "holds 4 bytes of elements, but its shape needs 84"),
                           (self.npy("<f4", "(1, 1)", "True"), "is in Fortran order")):
            (folder / "inputs.npy").write_bytes(data)
            self.refused(text, *self.model())

    @staticmethod
    def npy(descr, shape, fortran="False"):
        header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}".ljust(117) + "\n"
        return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + b"\0\0\0\0"

    def test_without_parameters(self):
        x, y = torch.randn(6, 3), torch.randint(2, (6,))
        self.train(nn.Sequential(nn.Linear(3, 2)), x, y, steps=1, kinds=["loss", "batch_finished"])
        self.refused('the trace lacks parameter "0.weight" of the model: it has no weights; record with --kinds '
                     "weights,biases,buffers,batch_finished", *self.model())
