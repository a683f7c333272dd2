# SPDX-License-Identifier: MIT
"""The exporter beside a training on a GPU: what is recorded is what was computed, bit by bit, whatever the training
writes over it next; the training is the same as without, and is never waited for. Skipped where there is no GPU.
"""
import os
import unittest
import unittest.mock

import numpy as np
import torch
from torch import nn

from tests.integration.pytorch_case import Case, array, nauha
from nauha import staging

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # so that a training can be repeated exactly


class Net(nn.Module):
    """Convolutions whose outputs are written over in place, and a branch."""

    def __init__(self, width=32):
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.relu, self.second = nn.ReLU(inplace=True), nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        h = self.relu(self.norm(self.first(x)))
        h = (self.second(h) + h).mean((2, 3))
        return self.head(h)


def data(count=4, size=16, side=24):
    generator = torch.Generator().manual_seed(7)
    return [(torch.randn(size, 3, side, side, generator=generator).cuda(),
             torch.randint(10, (size,), generator=generator).cuda()) for _ in range(count)]


def train(model, loss_function, batches, optimizer=None, before=lambda: None):
    optimizer = optimizer or torch.optim.Adam(model.parameters(), lr=0.01)
    for x, y in batches:
        optimizer.zero_grad()
        before()
        loss_function(model(x), y).backward()
        optimizer.step()


class Seen:
    """What hooks of our own see, copied to the host at once: by (kind, module, slot), step by step."""

    def __init__(self, model):
        self.model, self.steps = model, []
        for name, module in model.named_modules():
            if name:
                module.register_forward_hook(lambda m, i, output, name=name: self.keep("activations", name, "", output))
        for module, slot, kind, parameter in self.parameters():
            parameter.register_hook(lambda g, at=(f"{slot}_gradients", module, slot): self.keep(*at, g))

    def parameters(self):
        for name, parameter in self.model.named_parameters():
            module, _, slot = name.rpartition(".")
            yield module, slot, {"weight": "weights", "bias": "biases"}[slot], parameter

    def keep(self, kind, module, slot, tensor):
        self.steps[-1].setdefault((kind, module, slot), tensor.detach().to("cpu", copy=True))

    def begin(self):
        self.steps.append({})
        for module, slot, kind, parameter in self.parameters():
            self.keep(kind, module, slot, parameter)


@unittest.skipUnless(torch.cuda.is_available(), "no GPU")
class Cuda(Case):
    def compare(self, seen):
        trace = self.trace()
        self.assertEqual(self.notices, [])
        for step, tensors in enumerate(seen.steps):
            for (kind, module, slot), tensor in tensors.items():
                self.same(self.one(trace, kind, module, step, slot), tensor)
        return trace

    def test_values(self):
        model = Net().cuda()
        exporter, seen = self.export(model, codec="none"), Seen(model)
        train(model, exporter.set_loss(nn.CrossEntropyLoss()), data(), before=seen.begin)
        trace = self.compare(seen)
        self.assertEqual(len(seen.steps[0]), 5 + 2 * 8)
        self.assertEqual(len(trace.of("loss")), 4)

    def test_a_ring_smaller_than_what_comes(self):
        model = Net().cuda()
        with unittest.mock.patch.object(staging.Stager.__init__, "__defaults__", (1 << 20,)):
            exporter, seen = self.export(model, codec="none"), Seen(model)
            train(model, exporter.set_loss(nn.CrossEntropyLoss()), data(), before=seen.begin)
            self.compare(seen)

    def test_what_is_written_over_at_once(self):
        """Behind a long queue of work the copies run late: what they copy must be what it was."""
        class Overwriting(nn.Module):
            def __init__(self):
                super().__init__()
                self.first, self.second = nn.Identity(), nn.Linear(1 << 20, 1)

            def forward(self, x):
                h = self.first(x + 1)
                result = self.second(h)
                h.data.fill_(-1)
                return result

        model = Overwriting().cuda()
        exporter = self.export(model, codec="none", kinds="activations,input_data")
        busy = torch.randn(4096, 4096, device="cuda")
        for step in range(6):
            for _ in range(20):
                busy = busy @ busy
            x = torch.full((1, 1 << 20), float(step), device="cuda")
            loss = exporter.set_loss(nn.MSELoss())(model(x), torch.ones(1, 1, device="cuda"))
            x.fill_(-2)
            loss.backward()
        trace = self.trace()
        for step in range(6):
            for kind, module, value in (("input_data", "", step), ("activations", "first", step + 1)):
                values = self.one(trace, kind, module, step).values
                self.assertEqual((values.min(), values.max()), (value, value))

    def test_a_stream_of_the_trainings_own(self):
        model = Net().cuda()
        exporter, seen = self.export(model, codec="none"), Seen(model)
        batches, stream = data(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            train(model, exporter.set_loss(nn.CrossEntropyLoss()), batches, before=seen.begin)
        torch.cuda.current_stream().wait_stream(stream)
        self.compare(seen)

    def test_mixed_precision(self):
        model = Net().cuda()
        exporter, seen = self.export(model, codec="none"), Seen(model)
        scaler = torch.amp.GradScaler("cuda") if hasattr(torch, "amp") and hasattr(torch.amp, "GradScaler") \
            else torch.cuda.amp.GradScaler()
        optimizer, loss_function = torch.optim.SGD(model.parameters(), lr=0.1), exporter.set_loss(nn.CrossEntropyLoss())
        for x, y in data():
            optimizer.zero_grad()
            seen.begin()
            with torch.autocast("cuda", dtype=torch.float16):
                loss = loss_function(model(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
        trace = self.compare(seen)
        self.assertEqual(self.one(trace, "activations", "first").values.dtype, np.float16)

    def test_the_training_is_the_same(self):
        torch.use_deterministic_algorithms(True)
        self.addCleanup(torch.use_deterministic_algorithms, False)
        results = []
        for recorded in (False, True):
            torch.manual_seed(3)
            model, loss_function = Net().cuda(), nn.CrossEntropyLoss()
            if recorded:
                loss_function = self.export(model).set_loss(loss_function)
            train(model, loss_function, data(20))
            results.append([array(p.cpu()).tobytes() for p in model.parameters()])
        self.assertEqual(*results)

    def test_nothing_waits_for_the_device(self):
        """PyTorch fails where something in the training's thread waits for the device."""
        model = Net().cuda()
        loss_function = self.export(model).set_loss(nn.CrossEntropyLoss())
        batches, optimizer = data(5), torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, loss_function, batches[:2], optimizer)  # what is made once
        torch.cuda.set_sync_debug_mode("error")
        try:
            train(model, loss_function, batches[2:], optimizer)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        self.assertEqual(len(self.trace().of("batch_finished")), 5)

    def test_live_metrics(self):
        metrics = ["loss", "ratio:weight_updates,weights", "norm:layer_gradients"]
        model = Net().cuda()
        exporter = self.export(model)
        exporter.subscribe(*metrics)
        train(model, exporter.set_loss(nn.CrossEntropyLoss()), data())
        self.assertTrue(exporter.close())
        replayed = nauha.replay(self.path, metrics, output=self.path.parent / "replayed", sinks=["csv"])
        for name, series in replayed.items():
            self.assertGreater(series.rows, 0)
            for column in series:
                np.testing.assert_array_equal(series[column], exporter.series[name][column], f"{name} {column}")

    def test_host_and_device_in_one_model(self):
        class Two(nn.Module):
            def __init__(self):
                super().__init__()
                self.embedding, self.head = nn.Embedding(50, 8), nn.Linear(8, 3).cuda()

            def forward(self, x):
                return self.head(self.embedding(x).mean(1).cuda())

        model = Two()
        exporter, seen = self.export(model, codec="none"), Seen(model)
        batches = [(torch.randint(50, (6, 4)), torch.randint(3, (6,)).cuda()) for _ in range(3)]
        train(model, exporter.set_loss(nn.CrossEntropyLoss()), batches, before=seen.begin)
        self.compare(seen)
