# SPDX-License-Identifier: MIT
"""What runs for every message is there twice, in C and in Python: both record the same."""
import os
import pathlib
import subprocess
import sys
import textwrap
import unittest

from tests.integration import h5trace
from tests.integration.program import NAUHA, ROOT, folder_of

MODULE = pathlib.Path(NAUHA).parent / "nauha_fast.so"
# Repeated tensors, views, other types and forms, a shared and a transposed parameter, several calls, two backward passes,
# outputs in tuples, an evaluation and a pause.
TRAINING = """
    import sys
    import torch
    from torch import nn
    import nauha
    from nauha import fast

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.norm = nn.Linear(20, 20), nn.Linear(20, 20), nn.BatchNorm1d(20)
            self.relu, self.flat, self.lstm, self.last = nn.ReLU(inplace=True), nn.Flatten(), nn.LSTM(20, 5), nn.Linear(5, 4)
            self.second.weight = self.first.weight
            self.first.weight.data = self.first.weight.data.t()

        def forward(self, x):
            x = self.relu(self.norm(self.second(self.flat(self.relu(self.first(x)))))).t().contiguous().t()
            x, _ = self.lstm(x)
            return self.last(x)

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model, loss_function = Model(), nn.MSELoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with nauha.Exporter(sys.argv[1], notice=print, kinds=list(nauha.native.KINDS)) as exporter:
        exporter.set_model(model)
        exporter.add_modules(model)
        exporter.set_loss(loss_function)
        for step in range(8):
            exporter.pause(step == 3)
            optimizer.zero_grad()
            for part in range(2):
                loss = loss_function(model(torch.randn(16, 20)), torch.randn(16, 4))
                loss.backward(retain_graph=True)
            loss.backward()
            optimizer.step()
            if step == 5:
                model.first.weight.data = model.first.weight.data.contiguous()  # the same values in another order
            if step == 6:
                with exporter.evaluation("testing"):
                    loss_function(model(torch.randn(16, 20)), torch.randn(16, 4))
    print(fast.module is not None, [parameter.sum().item().hex() for parameter in model.parameters()])
"""


def python(*arguments, fast, **more):
    return subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
                          env={**os.environ, "NAUHA_FAST": fast, "PYTHONPATH": str(ROOT / "tools/python")}, timeout=600, **more)


class BothWays(unittest.TestCase):
    def test_the_same_trace(self):
        folder = folder_of(self)
        (folder / "train.py").write_text(textwrap.dedent(TRAINING))
        traces, said = [], []
        for fast in ("yes", "no"):
            done = python(folder / "train.py", folder / f"{fast}.h5", fast=fast)
            self.assertEqual(done.returncode, 0, done.stdout)
            said.append(done.stdout)
            traces.append(h5trace.Trace(folder / f"{fast}.h5").messages)
        self.assertEqual(said, [said[0].replace("False", "True", 1), said[0].replace("True", "False", 1)]
                         if MODULE.exists() else [said[1]] * 2)
        self.assertEqual(len(traces[0]), len(traces[1]))
        self.assertGreater(len(traces[0]), 500)
        self.assertEqual(self.repeats(traces[0]), self.repeats(traces[1]))
        for one, other in zip(*traces):
            self.assertEqual(self.described(one), self.described(other))

    def described(self, message):
        place = message.kind, message.module, message.slot, message.call, message.tag, message.step
        if not message.has_data:
            return place
        values = message.values
        return (*place, message.shape, str(values.dtype), values.tobytes())

    def repeats(self, messages):
        """For each message the first one that has the same elements in the file."""
        first = {}
        return [first.setdefault((int(m.row["stream"]), int(m.row["offset"])), i) for i, m in enumerate(messages) if m.has_data]

    def test_values_in_python_alone(self):
        done = python("-m", "unittest", "tests.integration.test_pytorch_values", fast="no")
        self.assertEqual(done.returncode, 0, done.stdout[-4000:])


if __name__ == "__main__":
    unittest.main()
