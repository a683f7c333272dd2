# SPDX-License-Identifier: MIT
"""Running recorded steps again: what is recorded for it.

Run once for each PyTorch there is; see tests/run.py.
"""
import json
import random
import sys
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import ROOT
from tests.integration.pytorch_case import Case, batches, train

sys.path.insert(0, str(ROOT / "tests/programs"))
import networks  # noqa: E402
import nauha  # noqa: E402
from nauha import native  # noqa: E402

OUTSIDE = ["pass_context", "pass_state", "generator_state", "output_gradients"]
ALL = [kind for kind in native.KINDS if kind != "inputs"]


def context(message):
    return json.loads(bytes(message.values))


class Drawing(nn.Linear):
    def forward(self, x):
        return super().forward(x) * random.random() + torch.rand(3) * float(np.random.rand())


class Outside(Case):
    def contexts(self, trace, slot):
        return [context(message) for message in trace.of("pass_context") if message.slot == slot]

    def test_only_on_demand(self):
        model = nn.Linear(4, 3)
        self.export(model)
        train(model, batches(2, 4, 3))
        trace = self.trace()
        self.assertEqual([trace.of(kind) for kind in OUTSIDE], [[]] * 4)
        self.assertNotIn("processor", nauha.open(self.path).info.facts)

    def test_states_of_generators(self):
        model = nn.Sequential(nn.Linear(4, 3), Drawing(3, 3))
        self.export(model, kinds=ALL)
        before = []
        torch.rand(1), random.random(), np.random.rand()
        for x, y in batches(2, 4, 3):
            before.append((torch.get_rng_state(), random.getstate(), np.random.get_state()))
            train(model, [(x, y)])
        trace = self.trace()
        self.assertIn("processor", nauha.open(self.path).info.facts)
        for step, (of_torch, of_python, of_numpy) in enumerate(before):
            self.same(self.one(trace, "generator_state", slot="cpu", step=step), of_torch)
            version, numbers, gauss = context(self.one(trace, "generator_state", slot="python", step=step))
            self.assertEqual((version, tuple(numbers), gauss), of_python)
            self.assertEqual(context(self.one(trace, "generator_state", slot="numpy", step=step))[1],
                             of_numpy[1].tolist())

    def test_no_state_of_what_draws_nothing(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5).eval())
        self.export(model, kinds=ALL)
        train(model, batches(2, 4, 3))
        self.assertEqual(self.trace().of("generator_state"), [])

    def test_gradients_of_outputs_and_the_arguments(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.a, self.b = nn.Linear(4, 3), nn.Linear(3, 2)

            def forward(self, x, y, *, options, scale=1.0):
                x = self.a(x["x"]) * scale
                return x, {"b": self.b(x) + y}

        model = Two()
        self.export(model, kinds=ALL, step="forward")
        x, y = torch.randn(4, 5).t(), torch.randn(2, requires_grad=True)
        x_out, rest = model({"x": x}, y, options=[None, torch.float16, (1, "text")], scale=2.0)
        gradient = torch.randn(5, 3)
        ((x_out * gradient).sum() + rest["b"].sum()).backward()
        trace = self.trace()
        forward, = self.contexts(trace, "forward")
        self.assertEqual(forward["arguments"], {
            "args": [{"dict": [["x", {"tensor": "0.x", "stride": [1, 5]}]]}, {"tensor": "1", "grad": True}],
            "kwargs": {"options": [None, {"dtype": "float16"}, {"tuple": [1, "text"]}], "scale": 2.0}})
        self.assertEqual((forward["training"], forward["gradients"], forward["autocast"]), (True, True, {}))
        self.assertEqual(forward["switches"]["threads"], torch.get_num_threads())
        self.same(self.one(trace, "output_gradients", slot="1.b"), torch.ones(5, 2))
        self.same(self.one(trace, "output_gradients", slot="0"), gradient + torch.ones(5, 2) @ model.b.weight)
        self.assertEqual(len(self.contexts(trace, "backward")), 1)

    def test_states_of_a_model(self):
        model = networks.cnn()
        model[1].eval()
        model[0].weight.requires_grad_(False)
        model[3].to(memory_format=torch.channels_last)
        self.export(model, kinds=ALL)
        with torch.autocast("cpu", torch.bfloat16):
            loss = model(torch.randn(2, 1, 12, 12)).sum()
        loss.backward()
        forward, = self.contexts(self.trace(), "forward")
        self.assertEqual((forward["modes"], forward["frozen"], forward["autocast"]), (["1"], ["0.weight"], {"cpu": "bfloat16"}))
        self.assertEqual(forward["strides"], {"3.weight": list(model[3].weight.stride())})

    def test_what_changes_within_a_step(self):
        """The closure of L-BFGS runs with other parameters each time; something writes to a buffer."""
        model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=3)
        self.export(model, kinds=ALL).set_optimizer(optimizer)
        x, y = torch.randn(5, 4), torch.randn(5, 3)
        seen = []

        def closure():
            optimizer.zero_grad()
            if len(seen) == 1:
                model[1].running_mean.fill_(7)
            seen.append((model[0].weight.detach().clone(), model[1].running_mean.clone()))
            loss = nn.functional.mse_loss(model(x), y)
            loss.backward()
            return loss

        optimizer.step(closure)
        trace = self.trace()
        self.assertEqual(len(seen), 3)
        for call in (1, 2):
            self.same(self.one(trace, "pass_state", "0", slot="weight", call=call), seen[call][0])
        self.same(self.one(trace, "pass_state", "1", slot="running_mean", call=1), seen[1][1])
        self.assertNotIn(("1", "running_mean", 2), self.keys(trace, "pass_state"))  # the pass itself has changed it
        self.assertNotIn(0, [call for _, _, call in self.keys(trace, "pass_state")])

    def test_several_backward_passes(self):
        model = nn.Linear(4, 3)
        self.export(model, kinds=ALL, step="manual")
        outputs = [model(torch.randn(5, 4)) for _ in range(2)]
        outputs[1].sum().backward(retain_graph=True)
        sum(output.square().sum() for output in outputs).backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "output_gradients"), [("", "", 1), ("", "", 3), ("", "", 0)])
        self.assertEqual(len(self.contexts(trace, "backward")), 2)
        strides = [(message.slot, message.call) for message in trace.of("pass_context") if message.slot.startswith("gradient")]
        self.assertEqual(strides, [("gradient", 1)])  # that of sum()

    def test_the_training_is_the_same(self):
        def trained(**options):
            torch.manual_seed(1)
            model = networks.cnn()
            if options:
                self.export(model, **options)
            train(model, [(torch.randn(4, 1, 12, 12), torch.randn(4, 10)) for _ in range(3)])
            return [tensor.clone() for tensor in model.state_dict().values()] + [torch.get_rng_state()]

        for bare, recorded in zip(trained(), trained(kinds=ALL)):
            self.assertTrue(torch.equal(bare, recorded))
        self.assertEqual(self.notices, [])

    def test_an_argument_that_a_trace_cannot_hold(self):
        class Calls(nn.Linear):
            def forward(self, x, function):
                return super().forward(function(x))

        model = Calls(4, 3)
        self.export(model, kinds=ALL)
        model(torch.randn(2, 4), torch.relu).sum().backward()
        forward, = self.contexts(self.trace(), "forward")
        self.assertEqual(forward["arguments"]["args"][1], {"unknown": "builtin_function_or_method"})
        self.assertTrue(any("cannot be run again" in text for text in self.notices), self.notices)


if __name__ == "__main__":
    unittest.main()
