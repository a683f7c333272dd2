# SPDX-License-Identifier: MIT
"""Probes and evaluations of PyTorch trainings: what is published of them, and that the training does not notice.

Run once for each PyTorch there is; see tests/run.py.
"""
import contextlib
import random
import subprocess
import sys
import textwrap

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from tests.integration import h5trace
from tests.integration.program import NAUHA
from tests.integration.pytorch_case import TORCH, Case, batches, nauha, train


class Noisy(nn.Module):
    """Draws random numbers of all generators and writes buffers, in any mode."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 3))
        self.register_buffer("runs", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))
        self.register_buffer("uncounted", torch.zeros(()))

    def forward(self, x):
        self.runs.add_(1)
        self.seen = self.seen + 1
        self.uncounted.data.add_(1)
        noise = random.random() + np.random.rand() + torch.randn(1)
        return self.layers(x + 0.01 * noise * self.runs * self.seen)


def fit(model, data, exporter=None, autocast=False):
    """Returns everything that a training leaves behind."""
    loss_function = nn.CrossEntropyLoss()
    if exporter is not None:
        exporter.set_loss(loss_function)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for x, y in data:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16) if autocast else contextlib.nullcontext():
            loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    return [*losses, *(tensor.detach().clone() for tensor in model.state_dict().values()), torch.randn(3),
            torch.tensor([random.random(), np.random.rand()], dtype=torch.float64)]


def seed():
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)


def classes(count, inputs, outputs, size=5):
    return [(torch.randn(size, inputs), torch.randint(outputs, (size,))) for _ in range(count)]


class ProbeTest(Case):
    def assert_unnoticed(self, make, shape, autocast=False, compiled=False):
        """Trains with and without probes; returns the trace."""
        data = classes(5, *shape)
        x, y = torch.randn(7, shape[0]), torch.randint(shape[1], (7,))
        results, modes = [], []
        for probed in (False, True):
            seed()
            model = make()
            runs = torch.compile(model, backend="aot_eager") if compiled else model
            exporter = None
            if probed:
                exporter = self.export(runs)
                exporter.probe("svcca_testing", x, every=2)
                exporter.probe("testing", x, y, every=3, results_only=True)
            results.append(fit(runs, data, exporter, autocast))
            modes.append([module.training for module in model.modules()])
        self.assertEqual(modes[0], modes[1])
        for bare, probed in zip(*results):
            self.assertTrue(torch.equal(bare, probed), (bare, probed))
        self.assertEqual(len(self.notices), 1 if compiled else 0)  # what cannot be seen
        return self.trace()

    def test_training_does_not_notice(self):
        def make():
            model = Noisy()
            model.layers[1].eval()  # as in fine-tuning
            return model

        trace = self.assert_unnoticed(make, (6, 3))
        self.assertEqual([m.step for m in trace.of("loss")], [0, 0, 1, 2, 3, 3, 4])
        self.assertEqual([(m.step, m.tag) for m in trace.of("activations") if m.module == "layers.4" and m.tag != "default"],
                         [(0, "svcca_testing"), (2, "svcca_testing"), (4, "svcca_testing")])
        self.assertEqual({m.kind for m in trace.messages if m.tag == "testing"}, {"network_output", "input_labels", "loss"})

    def test_autocast(self):
        trace = self.assert_unnoticed(lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (6, 3), autocast=True)
        self.assertEqual(len(trace.of("weight_gradients")), 10)
        self.assertEqual({m.values.dtype for m in trace.of("activations") if m.tag == "svcca_testing"}, {np.dtype("f4")})

    def test_compiled(self):
        if TORCH < (2, 6):
            self.skipTest("torch.compiler.set_stance came with 2.6")
        trace = self.assert_unnoticed(lambda: nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)), (6, 3), compiled=True)
        self.assertEqual([m.step for m in trace.of("network_output") if m.tag == "testing"], [0, 3])

    def test_values(self):
        """A probe sees what the step's weights, biases and buffers tell."""
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Dropout(0.5), nn.Linear(6, 3))
        x, y = torch.randn(9, 4), torch.randint(3, (9,))
        exporter = self.export(model)
        exporter.probe("testing", x, y, every=2)
        fit(model, classes(3, 4, 3), exporter)
        trace = self.trace()
        state = {f"{m.module}.{m.slot}": torch.tensor(m.values) for kind in ("weights", "biases", "buffers")
                 for m in trace.of(kind) if m.step == 2}
        self.assertEqual(set(state), set(model.state_dict()))
        self.assertGreater(state["1.running_mean"].abs().sum(), 0)
        model.load_state_dict(state)
        model.eval()
        with torch.no_grad():
            output = model(x)
            self.same(self.one(trace, "network_output", step=2, tag="testing"), output)
            self.same(self.one(trace, "loss", step=2, tag="testing"), functional.cross_entropy(output, y))
            self.same(self.one(trace, "activations", "1", step=2, tag="testing"), model[1](model[0](x)))
        self.same(self.one(trace, "input_labels", step=2, tag="testing"), y)
        self.same(self.one(trace, "input_data", step=2, tag="testing"), x)
        kinds = [(m.kind, m.tag) for m in trace.messages if m.step == 2]
        groups = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        self.assertEqual(groups[:8], [("batch_started", "default"), ("buffers", "default"), *(
            (kind, "testing") for kind in ("input_data", "activations", "network_output", "input_labels", "loss")),
            ("input_data", "default")])

    def test_without_a_loss_function(self):
        model = nn.Linear(4, 3)
        exporter = self.export(model)
        exporter.probe("testing", (torch.randn(2, 4),), torch.tensor([0, 1]), every=1)
        train(model, batches(2, 4, 3))
        trace = self.trace()
        self.assertEqual([(m.kind, m.step) for m in trace.messages if m.tag == "testing"],
                         [(kind, step) for step in (0, 1) for kind in ("input_data", "activations", "network_output",
                                                                       "input_labels")])

    def test_functions_and_evaluations(self):
        model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
        exporter = self.export(model)
        loss_function = exporter.set_loss(nn.MSELoss())
        data = batches(3, 4, 3)

        def evaluate():
            for x, y in data[:2]:
                loss_function(model(x), y)

        exporter.probe("testing", evaluate, every=2, results_only=True)
        train(model, data, loss_function=loss_function)
        with exporter.evaluation("validation"):
            self.assertFalse(model[1].training or torch.is_grad_enabled())
            output = model(data[0][0])
        self.assertTrue(model[1].training and torch.is_grad_enabled())
        trace = self.trace()
        self.assertEqual([(m.step, m.call) for m in trace.of("loss") if m.tag == "testing"],
                         [(0, 0), (0, 1), (2, 0), (2, 1)])
        self.same(self.one(trace, "activations", "1", step=2, tag="validation"), output)

    def test_lazy_modules_are_waited_for(self):
        results = []
        for probed in (False, True):
            seed()
            model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
            if probed:
                exporter = self.export(model)
                exporter.probe("testing", torch.randn(2, 4), every=1)
            seed()
            data = batches(3, 4, 2)
            optimizer = None
            for x, y in data:
                loss = functional.mse_loss(model(x), y)
                optimizer = optimizer or torch.optim.SGD(model.parameters(), lr=0.1)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            results.append([p.detach().clone() for p in model.parameters()])
        for bare, probed in zip(*results):
            self.assertTrue(torch.equal(bare, probed))
        self.assertEqual(self.notices, ["probes begin after the model's lazy modules have run once"])
        self.assertEqual([m.step for m in self.trace().of("input_data") if m.tag == "testing"], [1, 2])

    def test_what_is_not_recorded_is_not_run(self):
        model = nn.Linear(4, 3)
        runs = []
        exporter = self.export(model, kinds=["loss"], steps="4:")
        loss_function = exporter.set_loss(nn.MSELoss())
        exporter.probe("testing", lambda: runs.append(exporter.publisher.serial - 1), every=2)
        train(model, batches(7, 4, 3), loss_function=loss_function)
        self.assertEqual(runs, [4, 6])

    def test_a_failing_probe_is_told_and_the_training_goes_on(self):
        model = nn.Linear(4, 3)
        exporter = self.export(model)
        exporter.probe("testing", torch.randn(2, 5), every=1)
        train(model, batches(2, 4, 3))
        self.assertTrue(model.training)
        trace = self.trace()
        self.assertEqual(len(self.notices), 1, self.notices)
        self.assertIn("a probe failed: RuntimeError: mat1 and mat2", self.notices[0])
        self.assertEqual(len([m for m in trace.of("activations") if m.tag == "default"]), 2)

    def test_refused(self):
        exporter = self.export(nn.Linear(4, 3))
        with self.assertRaisesRegex(nauha.Error, '"default" cannot be the tag of probes'):
            exporter.probe("default", torch.zeros(1, 4), every=1)
        with self.assertRaisesRegex(nauha.Error, "every is 0: it must be 1 or more"):
            exporter.probe("testing", torch.zeros(1, 4), every=0)


class RecordedEvaluationTest(Case):
    def record(self, *options):
        script = self.path.with_name("train.py")
        script.write_text(textwrap.dedent("""
            import torch
            torch.manual_seed(0)
            model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Dropout(0.5), torch.nn.Linear(8, 2))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            data = torch.randn(32, 4), torch.randint(2, (32,))
            for epoch in range(2):
                model.train()
                for _ in range(3):
                    optimizer.zero_grad()
                    loss = torch.nn.functional.cross_entropy(model(data[0]), data[1])
                    loss.backward()
                    optimizer.step()
                model.eval()
                with torch.no_grad():
                    for part in range(2):
                        x, y = (tensor[16 * part:16 * part + 16] for tensor in data)
                        output = model(x)
                        print(torch.nn.functional.cross_entropy(output, y).item(), (output.argmax(1) == y).sum().item())
        """))
        return subprocess.run([NAUHA, "record", "-q", "-o", self.path, *options, "--", sys.executable, script],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)

    def test_own_evaluations(self):
        done = self.record("--evaluation", "testing")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        trace = h5trace.Trace(self.path)
        tagged = [m for m in trace.messages if m.tag == "testing"]
        self.assertEqual([(m.kind, m.step, m.call) for m in tagged],
                         [(kind, step, call) for step in (2, 5) for call in (0, 1)
                          for kind in ("network_output", "input_labels", "samples_in_loss", "loss")])
        losses = [float(line.split()[0]) for line in done.stdout.splitlines()]
        self.assertEqual([float(m.values) for m in tagged if m.kind == "loss"], losses)
        right = [int(line.split()[1]) for line in done.stdout.splitlines()]
        replayed = subprocess.run([NAUHA, "replay", "-q", self.path, "--metric", "test_accuracy"], stdout=subprocess.PIPE,
                                  text=True, check=True)
        self.assertEqual([float(line.rsplit(",", 1)[1]) for line in replayed.stdout.splitlines()[1:]],
                         [sum(right[:2]) / 32, sum(right[2:]) / 32])
        self.assertEqual(len([m for m in trace.of("loss") if m.tag == "default"]), 6)
        bare = self.record()
        self.assertEqual(bare.stdout, done.stdout)
        self.assertEqual({m.tag for m in h5trace.Trace(self.path).messages}, {"default"})

    def test_refused(self):
        done = self.record("--evaluation", "default")
        self.assertEqual(done.returncode, 2)
        self.assertIn('"default" is not a value of "evaluation": expected a word of 1 to 127 characters', done.stderr)


