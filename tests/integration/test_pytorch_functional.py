# SPDX-License-Identifier: MIT
"""nauha record on trainings with torch.func (tests/programs/functional_transforms.py). What must be in each trace was written
down by hand.

Run once for each PyTorch there is; see tests/run.py.
"""
import unittest

import numpy as np

from tests.integration.test_pytorch_programs import Programs
from tests.integration.test_pytorch_record import TORCH

SHAPES = {"0.weight": (16, 4), "0.bias": (16,), "2.weight": (3, 16), "2.bias": (3,)}
OUTPUTS = {"0": (16,), "1": (16,), "2": (3,), "": (3,)}


@unittest.skipUnless(TORCH >= (2, 0), "skipped: torch.func came with torch 2.0")
class Functional(Programs):
    def transformed(self, how, batch=(8,), parameters=(), gradients=(), options=()):
        """Records four steps. batch, parameters, gradients: the dimensions before those of a sample and of a parameter."""
        trace = self.recorded("functional_transforms", how, options=["--overwrite", *options])
        self.assertEqual(trace.of_network, ["", "0", "1", "2"])
        self.assertEqual([m.step for m in trace.of("batch_finished")], [0, 1, 2, 3])
        for kind in "activations", "layer_gradients":
            self.assertEqual(sorted((m.step, m.module, m.call, m.shape) for m in trace.of(kind)),
                             sorted((step, module, 0, batch + shape) for step in range(4) for module, shape in OUTPUTS.items()))
        for what, before in (("s", parameters), ("_gradients", gradients)):
            found = [(m.step, f"{m.module}.{m.slot}", m.call, m.shape) for name in ("weight", "bias")
                     for m in trace.of(("biases" if name == "bias" else "weights") if what == "s" else name + what)]
            self.assertEqual(sorted(found), sorted((step, name, 0, before + shape) for step in range(4)
                                                   for name, shape in SHAPES.items()))
        return trace

    def updates(self, trace, steps, rate=0.1, clip=None):
        """SGD: each update follows from the gradient, and leads to the next weights."""
        for kind in "weight", "bias":
            values = {(m.step, m.module): m.values for m in trace.of("biases" if kind == "bias" else "weights")}
            gradients = {(m.step, m.module): m.values for m in trace.of(f"{kind}_gradients")}
            updates = {(m.step, m.module): m.values for m in trace.of(f"{kind}_updates")}
            self.assertEqual(sorted({step for step, _ in updates}), list(range(steps)))
            for (step, module), update in updates.items():
                gradient = gradients[step, module] if clip is None else np.clip(gradients[step, module], -clip, clip).mean(0)
                np.testing.assert_allclose(update, -rate * gradient, rtol=1e-3, atol=1e-6)
                if (step + 1, module) in values:
                    np.testing.assert_allclose(values[step + 1, module], values[step, module] + update, rtol=1e-5, atol=1e-6)

    def test_parameters_of_the_program(self):
        trace = self.transformed("grad")
        np.testing.assert_allclose(self.steps_of_losses(trace, ()), self.numbers("loss"), rtol=1e-6)
        self.updates(trace, 3)
        self.assertIn("the last update of parameters that the program gives to torch.func.functional_call is not recorded",
                      " ".join(self.notices))

    def test_losses_alone(self):
        trace = self.recorded("functional_transforms", "grad", options=["--kinds", "loss"])
        np.testing.assert_allclose(self.steps_of_losses(trace, ()), self.numbers("loss"), rtol=1e-6)

    def test_parameters_of_an_optimizer(self):
        trace = self.transformed("optimizer")
        np.testing.assert_allclose(self.steps_of_losses(trace, ()), self.numbers("loss"), rtol=1e-6)
        self.updates(trace, 4)

    def test_a_gradient_for_each_sample(self):
        trace = self.transformed("per_sample", batch=(8, 1), gradients=(8,))
        self.steps_of_losses(trace, (8,))
        self.updates(trace, 4, clip=1)

    def test_several_models_at_once(self):
        trace = self.transformed("ensemble", batch=(3, 8), parameters=(3,), gradients=(3,))
        np.testing.assert_allclose(self.steps_of_losses(trace, ()), self.numbers("loss"), rtol=1e-6)
        self.updates(trace, 3)

    def steps_of_losses(self, trace, shape):
        losses = trace.of("loss")
        self.assertEqual([(m.step, m.call, m.slot, m.shape) for m in losses], [(step, 0, "", shape) for step in range(4)])
        return np.array([m.values for m in losses])


if __name__ == "__main__":
    unittest.main()
