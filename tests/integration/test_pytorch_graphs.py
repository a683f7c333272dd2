# SPDX-License-Identifier: MIT
"""CUDA graphs, with a stand-in for them that needs no GPU: what is captured has run once, and a replay changes the same
tensors without running a module, a hook or an optimizer.

Run once for each PyTorch there is; see tests/run.py.
"""
import unittest
from unittest import mock

import torch
from torch import nn

from tests.integration.pytorch_case import Case


class Graph:
    """In place of torch.cuda.CUDAGraph. replayed: what a replay does."""

    def __init__(self):
        self.replayed = None

    def capture_begin(self):
        pass

    def capture_end(self):
        pass

    def replay(self):
        self.replayed()


class Graphs(Case):
    def setUp(self):
        super().setUp()
        begun = mock.patch.object(torch.cuda, "CUDAGraph", Graph)
        begun.start()
        self.addCleanup(begun.stop)

    def training(self, with_optimizer):
        """Records a step as usual, a capture, and three replays. Returns the gradients and losses of these
        four, and the trace."""
        model, loss_function = nn.Linear(4, 3), nn.MSELoss()
        exporter = self.export(model)
        loss_function = exporter.set_loss(loss_function)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        x, y, expected = torch.randn(5, 4), torch.randn(5, 3), []

        def keep():
            expected.append(([model.weight.grad.clone(), model.bias.grad.clone()], loss.detach().clone()))

        loss = loss_function(model(x), y)
        loss.backward()
        keep()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        exporter.flush()
        messages = exporter.stats()["messages"]
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        loss = loss_function(model(x), y)
        loss.backward()
        if with_optimizer:
            optimizer.step()
        graph.capture_end()
        exporter.flush()
        self.assertEqual(exporter.stats()["messages"], messages)  # nothing in the capture

        @torch.no_grad()
        def replayed():
            error = x @ model.weight.t() + model.bias - y
            loss.copy_(error.pow(2).mean())
            model.weight.grad.copy_(2 * error.t() @ x / error.numel())
            model.bias.grad.copy_(2 * error.sum(0) / error.numel())
            if with_optimizer:
                for parameter in model.parameters():
                    parameter.sub_(0.1 * parameter.grad)

        graph.replayed = replayed
        for _ in range(3):
            x.normal_()
            graph.replay()
            keep()
            if not with_optimizer:
                optimizer.step()
        return expected, self.trace()

    def test_replays_are_steps(self):
        for with_optimizer in (False, True):
            with self.subTest(with_optimizer=with_optimizer):
                self.notices.clear()
                expected, trace = self.training(with_optimizer)
                self.assertEqual([m.step for m in trace.of("batch_finished")], [0, 1, 2, 3])
                self.assertEqual([m.step for m in trace.of("activations")], [0])
                for step, (gradients, loss) in enumerate(expected):
                    self.same(self.one(trace, "weight_gradients", step=step, slot="weight"), gradients[0])
                    self.same(self.one(trace, "bias_gradients", step=step, slot="bias"), gradients[1])
                    self.same(self.one(trace, "loss", step=step), loss)
                    self.assertTrue(self.one(trace, "weight_updates", step=step, slot="weight").values.any())
                self.assertEqual(len([text for text in self.notices if "CUDA graphs" in text]), 1, self.notices)

    def test_nothing_stays(self):
        names = "capture_begin", "capture_end", "replay"
        before = [vars(Graph)[name] for name in names]
        exporter = self.export(nn.Linear(4, 3))
        self.assertNotEqual([vars(Graph)[name] for name in names], before)
        exporter.close()
        self.assertEqual([vars(Graph)[name] for name in names], before)

    def test_a_capture_that_fails(self):
        model = nn.Linear(4, 3)
        exporter = self.export(model)
        graph = torch.cuda.CUDAGraph()
        graph.capture_begin()
        with self.assertRaises(TypeError):
            graph.capture_end("too many arguments")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.randn(5, 4)).sum().backward()
        optimizer.step()
        self.assertTrue(exporter.publisher.active)
        self.assertEqual(len(self.trace().of("weight_gradients")), 1)


if __name__ == "__main__":
    unittest.main()
