# SPDX-License-Identifier: MIT
"""The power-law exponents of a model's weights against the packages weightwatcher and powerlaw."""
import contextlib
import importlib.util
import io
import logging
import pathlib
import tempfile
import unittest
import warnings

import numpy as np
import torch
from torch import nn

from tests.integration.arrays import Arrays
from tests.integration.program import nauha, read_csv


def has(package):
    return importlib.util.find_spec(package) is not None


def model():
    """Layers with heavy and with light tails, wide, tall, few and many eigenvalues, kernels of all kinds."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 16, 5), nn.Conv2d(16, 24, 3), nn.Conv2d(1, 4, 7), nn.Conv2d(8, 40, 1), nn.Linear(100, 60),
        nn.Linear(60, 10), nn.Linear(300, 200), nn.BatchNorm1d(7), nn.Linear(50, 7), nn.Embedding(90, 40),
        nn.Linear(30, 19), nn.Linear(30, 20), nn.Linear(128, 128))
    with torch.no_grad():
        for parameter in net.parameters():
            if parameter.ndim == 2:
                parameter.mul_(torch.distributions.Pareto(1.0, 2.0).sample(parameter.shape[:1])[:, None])
        net[12].weight[:100] = 0  # 28 eigenvalues are left
    return net


def alphas(net):
    """What nauha says of the weights, by the position of the layer."""
    with tempfile.TemporaryDirectory() as folder:
        with Arrays(f"{folder}/run.h5") as arrays:
            arrays.step()
            for name, parameter in net.named_parameters():
                if "weight" in name:
                    arrays.publish("weights", name.split(".")[0], parameter.detach().numpy())
        nauha("replay", f"{folder}/run.h5", "--metric", "alpha:weights", "-o", folder, "--sink", "csv")
        return {row["module"]: float(row["value"]) for row in read_csv(pathlib.Path(folder) / "weights_alpha.csv")}


class WeightWatcher(unittest.TestCase):
    @unittest.skipUnless(has("weightwatcher"), "there is no weightwatcher")
    def test_the_same_layers_and_exponents(self):
        net = model()
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            import weightwatcher

            logging.disable(logging.CRITICAL)
            try:
                table = weightwatcher.WeightWatcher(model=net).analyze()
            finally:
                logging.disable(logging.NOTSET)
        want = dict(zip(table["longname"], table["alpha"]))
        got = alphas(net)
        self.assertEqual(set(got), set(want))
        self.assertGreaterEqual(len(got), 10)
        for layer, alpha in want.items():
            with self.subTest(layer=layer):
                np.testing.assert_allclose(got[layer], alpha, rtol=1e-6)

    @unittest.skipUnless(has("powerlaw"), "there is no powerlaw")
    def test_the_fit_of_powerlaw(self):
        net = model()
        got = alphas(net)
        for layer in ("4", "6", "9"):
            weights = net[int(layer)].weight.detach().numpy().astype(float)
            with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), \
                    contextlib.redirect_stderr(io.StringIO()):
                warnings.simplefilter("ignore")
                import powerlaw

                want = powerlaw.Fit(np.linalg.svd(weights, compute_uv=False) ** 2, verbose=False).power_law.alpha
            with self.subTest(layer=layer):
                np.testing.assert_allclose(got[layer], want, rtol=1e-6)


if __name__ == "__main__":
    unittest.main()
