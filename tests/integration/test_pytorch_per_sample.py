# SPDX-License-Identifier: MIT
"""Metrics of per-sample gradients, from what the exporter recorded, against PyTorch with batches of one sample."""
import copy
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import nauha, read_csv
from tests.integration.pytorch_case import Case

class Net(nn.Module):
    """Convolutions of every sort that have to be told apart by what they do, and Linears."""

    def __init__(self):
        super().__init__()
        self.same = nn.Conv2d(3, 8, 3, padding=1)
        self.strided = nn.Conv2d(8, 8, 5, stride=2, padding=2, groups=2)
        self.dilated = nn.Conv2d(8, 6, 3, padding=2, dilation=2, bias=False)
        self.flat = nn.Conv2d(6, 4, (1, 5), padding=(0, 2))
        self.one = nn.Conv2d(4, 4, 1)
        self.last = nn.Conv2d(4, 16, 3, stride=2)
        self.hidden = nn.Linear(16 * 4 * 4, 20)
        self.tanh = nn.Tanh()
        self.output = nn.Linear(20, 5)

    def forward(self, x):
        x = torch.relu(self.same(x))
        x = torch.relu(self.strided(x))
        x = self.one(self.flat(torch.tanh(self.dilated(x))))
        return self.output(self.tanh(self.hidden(self.last(x).flatten(1))))


class Sequences(nn.Module):
    """Linear over positions, a convolution along them, and a layer that is used twice."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 8)
        self.twice = nn.Linear(8, 8, bias=False)
        self.along = nn.Conv1d(8, 4, 3, padding=1, stride=2)
        self.frozen = nn.Linear(4, 4).requires_grad_(False)
        self.output = nn.Linear(4, 3)

    def forward(self, x):
        x = torch.tanh(self.twice(torch.tanh(self.twice(self.embed(x)))))
        return self.output(self.frozen(self.along(x.transpose(1, 2)).transpose(1, 2)).mean(1))


def per_sample(model, loss_function, x, y):
    """name of a layer with weights: float64 array [samples, elements], of a loss that is a mean over the batch."""
    names = [name for name, module in model.named_modules() if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d))
             and module.weight.requires_grad]
    weights = [model.get_submodule(name).weight for name in names]
    rows = [torch.autograd.grad(loss_function(model(x[i : i + 1]), y[i : i + 1]), weights) for i in range(len(x))]
    return {name: np.stack([row[k].numpy().astype(np.float64).ravel() for row in rows]) for k, name in enumerate(names)}


def noise(g):
    """trace of the covariance, and |G|^2 by the paper's equations A.2 and A.3 from batches of 1 and of all samples"""
    b = len(g)
    small, big = (g**2).sum(1).mean(), (g.mean(0) ** 2).sum()
    return (small - big) / (1 - 1 / b), (b * big - small) / (b - 1)


def gsnr(g):
    variance = g.var(0, ddof=1)
    moved = variance > 0
    return (g.mean(0)[moved] ** 2 / variance[moved]).mean()


class PerSample(Case):
    def record(self, model, loss_function, data):
        """Trains a step on each batch; what per_sample says before it."""
        twin = copy.deepcopy(model)
        exporter = self.export(model, kinds="inputs,layer_gradients,weight_gradients")
        loss = exporter.set_loss(loss_function)
        optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.05)
        wanted = []
        for x, y in data:
            twin.load_state_dict(model.state_dict())
            wanted.append(per_sample(twin, loss_function, x, y))
            optimizer.zero_grad()
            loss(model(x), y).backward()
            optimizer.step()
        self.assertTrue(exporter.close())
        return wanted

    def replay(self, *specs, code=0):
        out = self.folder / "series"
        done = nauha("replay", self.path, *(word for spec in specs for word in ("--metric", spec)), "-o", out,
                     "--sink", "csv", code=code)
        if code:
            return done.stderr
        return {path.stem: {(int(row["global_step"]), row["module"]): float(row["value"]) for row in read_csv(path)}
                for path in out.glob("*.csv")}

    def compare(self, got, wanted, function):
        want = {(step, name): function(g) for step, layers in enumerate(wanted) for name, g in layers.items()}
        self.assertEqual(sorted(got), sorted(want))
        np.testing.assert_allclose([got[key] for key in want], list(want.values()), rtol=2e-3)

    def data(self, steps, shape, classes, batch=8):
        return [(torch.randn(batch, *shape), torch.randint(classes, (batch,))) for _ in range(steps)]

    def test_convolutions(self):
        model, loss = Net(), nn.CrossEntropyLoss()
        wanted = self.record(model, loss, self.data(3, (3, 19, 19), 5))
        series = self.replay("gsnr", "gradient_noise_scale")
        self.compare(series["gsnr"], wanted, gsnr)
        self.compare(series["gradient_noise_scale"], wanted, lambda g: np.divide(*noise(g)))
        for step, layers in enumerate(wanted):
            trace, square = np.sum([noise(g) for g in layers.values()], 0)
            np.testing.assert_allclose(series["network_gradient_noise_scale"][(step, "")], trace / square, rtol=2e-3)

    def test_positions_and_a_layer_used_twice(self):
        model, loss = Sequences(), nn.CrossEntropyLoss()
        wanted = self.record(model, loss, self.data(3, (7, 6), 3, batch=5))
        series = self.replay("gsnr", "gradient_noise_scale")
        self.compare(series["gsnr"], wanted, gsnr)
        self.compare(series["gradient_noise_scale"], wanted, lambda g: np.divide(*noise(g)))

    def test_volumes(self):
        model = nn.Sequential(nn.Conv3d(2, 4, (1, 3, 3), padding=(0, 1, 1), stride=(1, 2, 2)), nn.Tanh(),
                              nn.Conv3d(4, 3, (3, 1, 2), dilation=(2, 1, 1)), nn.Flatten(), nn.Linear(3 * 1 * 3 * 2, 3))
        wanted = self.record(model, nn.CrossEntropyLoss(), self.data(2, (2, 5, 6, 6), 3))
        self.compare(self.replay("gsnr")["gsnr"], wanted, gsnr)

    def test_same_padding_of_even_kernels(self):
        """One more zero behind the last element than before the first, in the dimensions whose reach is odd."""
        model = nn.Sequential(nn.Conv2d(2, 4, 4, padding="same"), nn.Tanh(), nn.Conv2d(4, 4, (2, 3), padding="same", groups=2),
                              nn.Tanh(), nn.Conv2d(4, 3, (4, 2), padding="same", dilation=(3, 2)), nn.Flatten(),
                              nn.Linear(3 * 9 * 8, 3))
        wanted = self.record(model, nn.CrossEntropyLoss(), self.data(2, (2, 9, 8), 3))
        series = self.replay("gsnr", "gradient_noise_scale")
        self.compare(series["gsnr"], wanted, gsnr)
        self.compare(series["gradient_noise_scale"], wanted, lambda g: np.divide(*noise(g)))

    def test_a_sum_over_the_batch_is_the_same(self):
        model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
        wanted = self.record(model, nn.CrossEntropyLoss(reduction="sum"), self.data(2, (6,), 3, batch=16))
        self.compare(self.replay("gradient_noise_scale")["gradient_noise_scale"], wanted, lambda g: np.divide(*noise(g)))

    def test_smooth(self):
        model = nn.Sequential(nn.Linear(6, 3))
        wanted = self.record(model, nn.CrossEntropyLoss(), self.data(6, (6,), 3))
        got = self.replay("gradient_noise_scale:smooth=0.75")["gradient_noise_scale"]
        average = np.array(noise(wanted[0]["0"]))
        for step, layers in enumerate(wanted):
            average = 0.75 * average + 0.25 * np.array(noise(layers["0"]))
            np.testing.assert_allclose(got[(step, "0")], average[0] / average[1], rtol=2e-3)

    def test_other_padding_is_refused(self):
        model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.Flatten(), nn.Linear(75, 3))
        self.record(model, nn.CrossEntropyLoss(), self.data(1, (1, 5, 5), 3))
        self.assertIn("Conv2d module \"0\": no stride, zero padding and dilation makes the gradients of its samples add up "
                      "to its weight_gradients", self.replay("gsnr", code=4))
        out = self.folder / "rest"
        nauha("replay", self.path, "--metric", "gsnr", "--exclude", "0", "-o", out, "--sink", "csv")
        self.assertEqual([row["module"] for row in read_csv(out / "gsnr.csv")], ["2"])

    def test_a_batch_of_one_has_no_variance(self):
        model = nn.Sequential(nn.Linear(6, 3))
        self.record(model, nn.CrossEntropyLoss(), self.data(1, (6,), 3, batch=1))
        self.assertTrue(np.isnan(self.replay("gsnr")["gsnr"][(0, "0")]))


if __name__ == "__main__":
    unittest.main()
