# SPDX-License-Identifier: MIT
"""Tensors that are written where PyTorch does not count it: through memory that they share with NumPy, or through
`.data`. What is recorded is what lay there, held against copies that the program itself makes.

Run once for each PyTorch there is; see tests/run.py.
"""
import random
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.pytorch_case import Case


class Memory(Case):
    def check(self, kind, expected, module="", slot=""):
        """expected: a copy for each step."""
        trace = self.trace()
        for step, copy in enumerate(expected):
            self.same(self.one(trace, kind, module, step, slot), copy)
        self.assertEqual(self.notices, [])

    def test_input_that_is_shared_with_numpy(self):
        model = nn.Linear(1024, 1)
        self.export(model)
        memory = np.zeros((1, 1024), np.float32)
        x, expected = torch.from_numpy(memory), []
        for step in range(20):
            memory[0, random.randrange(1024)] = step
            expected.append(x.clone())
            model(x)
        self.check("input_data", expected)

    def test_module_that_writes_through_data(self):
        class Cut(nn.Module):
            def forward(self, x):
                x.data[:, 500] = 0
                return x

        model = nn.Sequential(nn.Linear(8, 1024), Cut(), nn.Linear(1024, 2))
        self.export(model)
        expected = []
        model[1].register_forward_hook(lambda module, given, output: expected.append(output.detach().clone()))
        for _ in range(20):
            model(torch.randn(3, 8)).sum().backward()
        self.assertTrue(all((copy[:, 500] == 0).all() for copy in expected))
        self.check("activations", expected, "1")

    def test_buffer_that_is_written_through_data(self):
        class Codebook(nn.Module):
            def __init__(self):
                super().__init__()
                self.register_buffer("codes", torch.zeros(64, 32))
                self.layer = nn.Linear(32, 32)

            def forward(self, x):
                return self.layer(x) + self.codes.mean(0)

        model = Codebook()
        self.export(model)
        expected = []
        for step in range(12):
            model.codes.data[5 * step, step] = 1 + step
            expected.append(model.codes.clone())
            model(torch.randn(4, 32)).sum().backward()
        self.check("buffers", expected, slot="codes")

    def test_reinforcement_loop(self):
        """The environment keeps its observation in one array; an agent walks in it."""
        policy = nn.Sequential(nn.Flatten(), nn.Linear(1024, 16), nn.ReLU(), nn.Linear(16, 4))
        self.export(policy)
        optimizer = torch.optim.SGD(policy.parameters(), lr=0.01)
        world, place, expected = np.zeros((1, 32, 32), np.float32), [16, 16], []
        seen = torch.from_numpy(world)
        for _ in range(50):
            world[0, place[0], place[1]] = 0
            place[random.randrange(2)] = random.randrange(32)
            world[0, place[0], place[1]] = 1
            expected.append(seen.clone())
            chosen = torch.distributions.Categorical(logits=policy(seen))
            action = chosen.sample()
            optimizer.zero_grad()
            (-chosen.log_prob(action) * (1 - 2 * (action == 3))).sum().backward()
            optimizer.step()
        self.check("input_data", expected)


if __name__ == "__main__":
    unittest.main()
