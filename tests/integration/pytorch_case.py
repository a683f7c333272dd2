# SPDX-License-Identifier: MIT
"""What the tests of the exporter for PyTorch share: an exporter on a trace that is read with h5py alone."""
import sys
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration import h5trace
from tests.integration.program import ROOT, folder_of

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

TORCH = tuple(int(part) for part in torch.__version__.split(".")[:2])


def array(tensor):
    """A tensor as h5trace gives it: bf16 and fp8 as bits."""
    tensor = tensor.detach().clone(memory_format=torch.contiguous_format)
    if tensor.dtype is torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(np.uint16)
    if "float8" in str(tensor.dtype):
        return tensor.view(torch.uint8).numpy()
    return tensor.numpy()


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.path = self.folder / "run.h5"
        self.notices = []
        self.exporter = None
        torch.manual_seed(0)

    def export(self, *models, **options):
        """An exporter with models and all of their modules added."""
        options = {"overwrite": True, **options}  # tests record several times
        self.exporter = nauha.Exporter(self.path, notice=self.notices.append, **options)
        for i, model in enumerate(models):
            self.exporter.set_model(model, f"model{i}" if i else "")
            self.exporter.add_modules(model)
        self.addCleanup(self.exporter.close)
        return self.exporter

    def trace(self):
        self.assertTrue(self.exporter.close())
        return h5trace.Trace(self.path)

    def one(self, trace, kind, module="", step=0, slot="", call=0, tag="default"):
        found = [m for m in trace.of(kind) if (m.module, m.step, m.slot, m.call, m.tag) == (module, step, slot, call, tag)]
        self.assertEqual(len(found), 1, f"{kind} of {module!r} slot {slot!r} call {call} in step {step}")
        return found[0]

    def same(self, message, tensor):
        expected = array(tensor)
        self.assertEqual(message.shape, tuple(expected.shape))
        self.assertEqual(message.values.dtype, expected.dtype)
        self.assertEqual(message.values.tobytes(), expected.tobytes(), f"{message.kind} of {message.module!r}")

    def keys(self, trace, kind, step=None):
        return [(m.module, m.slot, m.call) for m in trace.of(kind) if step is None or m.step == step]


def train(model, batches, optimizer=None, loss_function=None):
    optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
    loss_function = loss_function or nn.MSELoss()
    for x, y in batches:
        optimizer.zero_grad()
        loss_function(model(x), y).backward()
        optimizer.step()


def batches(count, inputs, outputs, size=5):
    return [(torch.randn(size, inputs), torch.randn(size, outputs)) for _ in range(count)]
