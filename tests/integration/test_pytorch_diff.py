# SPDX-License-Identifier: MIT
"""nauha diff on pairs of trainings made to part in one known way: the first message, and the cause it names."""
import json
import sys
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import ROOT, folder_of, nauha as program

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

STEPS = 5
WITHOUT_SETTINGS = "--exclude", "optimizer*"  # as traces of programs that have no optimizer of PyTorch
torch.set_num_threads(1)  # the same order of summation every time


class ScaledGradient(torch.autograd.Function):
    @staticmethod
    def forward(context, x, factor):
        context.factor = factor
        return x.clone()

    @staticmethod
    def backward(context, gradient):
        return gradient * context.factor, None


class Scale(nn.Module):
    """A module whose code somebody changes."""

    def __init__(self, factor=1.0):
        super().__init__()
        self.factor = factor
        self.backward_factor = 1.0

    def forward(self, x):
        return ScaledGradient.apply(x * self.factor, self.backward_factor)


class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return self.inner(x)


def make_model(seed=0, activation=None, scale=1.0, dropout=0.0, momentum=0.1):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), activation or nn.ReLU(), nn.BatchNorm1d(8, momentum=momentum), Scale(scale),
                         nn.Dropout(dropout), nn.Linear(8, 3))


class DiffTest(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.count = 0

    def train(self, model=None, data_seed=1, batch=10, loss=None, optimizer=None, before_step=None, after_step=None,
              labels=None, dtype=torch.float32, wrap=None, steps=STEPS, **options):
        """Records a training; before_step and after_step get (step, model, optimizer)."""
        model = (model or make_model()).to(dtype)
        optimizer = optimizer(model.parameters()) if optimizer else torch.optim.SGD(model.parameters(), lr=0.1)
        loss = loss or nn.CrossEntropyLoss()
        path = self.folder / f"{self.count}.h5"
        self.count += 1
        random = torch.Generator().manual_seed(data_seed)
        torch.manual_seed(11)
        trained = wrap(model) if wrap else model
        with nauha.Exporter(path, notice=lambda text: None, **options) as exporter:
            exporter.set_model(trained)
            exporter.add_modules(trained)
            loss = exporter.set_loss(loss)
            for step in range(steps):
                x = torch.randn(batch, 6, generator=random).to(dtype)
                y = torch.randint(3, (batch,), generator=random)
                if labels:
                    y = labels(step, y)
                if before_step:
                    before_step(step, model, optimizer)
                optimizer.zero_grad()
                loss(trained(x), y).backward()
                optimizer.step()
                if after_step:
                    after_step(step, model, optimizer)
        return path

    def diff(self, a, b, *arguments, code=1):
        done = program("diff", a, b, "--json", *arguments, code=None)
        found = json.loads(done.stdout)
        self.assertEqual(done.returncode, code, done.stdout[:1000])
        return found

    def activations(self, path, module):
        with nauha.open(path) as trace:
            return nauha.to_float(next(trace.messages(kinds="activations", modules=module)))

    def assert_first(self, found, kind, step, module=None, says=()):
        first = found["first"]
        self.assertIsNotNone(first)
        self.assertEqual((first["kind"], first["step"], first["module"]), (kind, step, module), found["meaning"])
        for text in [says] if isinstance(says, str) else says:
            self.assertIn(text, found["meaning"])

    def test_the_same_training_twice(self):
        found = self.diff(self.train(), self.train(), code=0)
        self.assertIsNone(found["first"])
        self.assertEqual(found["meaning"], "")
        self.assertGreater(found["compared"], 100)

    def test_another_initialisation(self):
        found = self.diff(self.train(), self.train(make_model(seed=5)))
        self.assert_first(found, "weights", 0, "0", ["another initialization", "The first batch is the same"])

    def test_another_seed(self):
        found = self.diff(self.train(), self.train(make_model(seed=5), data_seed=6))
        self.assert_first(found, "weights", 0, "0", "another seed")

    def test_one_parameter_begins_otherwise(self):
        model = make_model()
        with torch.no_grad():
            model[5].weight[1, 2] += 1
        found = self.diff(self.train(), self.train(model))
        self.assert_first(found, "weights", 0, "5", 'only "5" differs')
        self.assertEqual(found["first"]["index"], [1, 2])
        self.assertEqual(found["first"]["elements_differing"], 1)

    def test_one_bit_of_one_parameter_at_some_step(self):
        def flip(step, model, optimizer):
            if step == 3:
                bits = model[5].weight.data.view(torch.int32)
                bits[2, 4] ^= 1
        found = self.diff(self.train(), self.train(before_step=flip))
        # The update of a step is what the parameters are before the next: so it shows there.
        self.assert_first(found, "weight_updates", 2, "5", ["or something changed the parameter after it",
                                                            "23 elements changed by the same amount and 1 did not",
                                                            "code that writes to the parameter after the optimizer's step"])
        self.assertNotIn("optimizer makes another step", found["meaning"])
        self.assertEqual(found["first"]["index"], [2, 4])
        found = self.diff(self.train(kinds="weights,loss"), self.train(before_step=flip, kinds="weights,loss"))
        self.assert_first(found, "weights", 3, "5", "the data, the model or the optimizer may be the cause")
        self.assertEqual(found["first"]["max_ulp"], 1)

    def test_other_order_of_batches(self):
        found = self.diff(self.train(), self.train(data_seed=2))
        self.assert_first(found, "input_data", 0, None, ["another order of samples", "parameters are still equal"])

    def test_other_data_from_some_step_on(self):
        a = self.train(steps=2)
        found = self.diff(a, self.train(labels=lambda step, y: y.roll(1) if step == 1 else y, steps=2))
        self.assert_first(found, "input_labels", 1, None, "The inputs are the same, but their labels differ")

    def test_other_batch_size(self):
        found = self.diff(self.train(), self.train(batch=7))
        self.assert_first(found, "input_data", 0, None, "10 samples in a, 7 in b")
        self.assertEqual(found["first"]["differs_in"], "shape")
        weights = [kind for kind in found["kinds"] if kind["kind"] == "weights"][0]
        self.assertEqual(weights["first_step"], 1)

    def test_other_batch_size_without_the_data(self):
        kinds = dict(kinds="activations,weights")
        found = self.diff(self.train(**kinds), self.train(batch=7, **kinds))
        self.assert_first(found, "activations", 0, "0", "10 samples in a, 7 in b")

    def test_a_module_more(self):
        model = make_model()
        model[1] = nn.Sequential(nn.ReLU(), nn.Tanh())
        found = self.diff(self.train(), self.train(model))
        self.assert_first(found, "activations", 0, "1", ['"1" is a ReLU in a and a Sequential in b',
                                                         '"1.0" (ReLU) runs only in b'])
        self.assertEqual(found["only_b"]["modules"], ["1.0", "1.1"])

    def test_another_class_of_module(self):
        found = self.diff(self.train(), self.train(make_model(activation=nn.GELU())))
        self.assert_first(found, "activations", 0, "1", '"1" is a ReLU in a and a GELU in b')

    def test_changed_code_of_a_module(self):
        found = self.diff(self.train(), self.train(make_model(scale=1.5)))
        self.assert_first(found, "activations", 0, "3", "changed code or settings, random numbers or nondeterminism")
        self.assertNotIn("rounding", found["meaning"])
        found = self.diff(self.train(), self.train(make_model(scale=1 + 2 ** -22)))
        self.assert_first(found, "activations", 0, "3", "has the size of rounding errors")

    def test_what_was_not_recorded_is_said(self):
        kinds = dict(kinds="activations,loss")
        found = self.diff(self.train(**kinds), self.train(make_model(seed=5), **kinds))
        self.assert_first(found, "activations", 0, "0", ["Parameters were not compared", "input_data was not compared"])
        kinds = dict(kinds="loss")
        found = self.diff(self.train(**kinds), self.train(make_model(seed=5), **kinds))
        self.assert_first(found, "loss", 0, None, "little of what it depends on was compared")

    def test_dropout(self):
        def draw(step, model, optimizer):
            if step == 2:
                torch.rand(1)
        found = self.diff(self.train(make_model(dropout=0.5)), self.train(make_model(dropout=0.5), before_step=draw))
        self.assert_first(found, "activations", 2, "4", ["drew different random numbers", "so its settings are"])
        found = self.diff(*(self.train(make_model(dropout=0.5), before_step=before, keep="hashes") for before in (None, draw)))
        self.assert_first(found, "activations", 2, "4", ["its output differs", "another seed", "or other settings"])

    def test_another_probability_of_dropout(self):
        for dtype in (torch.float32, torch.bfloat16):
            a, b = self.train(make_model(dropout=0.2), dtype=dtype), self.train(make_model(dropout=0.3), dtype=dtype)
            found = self.diff(a, b)
            self.assert_first(found, "activations", 0, "4", ["1.14", "times as large in b", "another drop probability"])
            self.assertNotIn("another seed", found["meaning"])
        zeros = {name: 100 * np.mean(self.activations(path, "4") == 0) for name, path in (("a", a), ("b", b))}
        for name, share in zeros.items():
            self.assertIn(f"{share:.3g} percent in {name}" if name == "b" else f"{share:.3g} percent of its output are 0 in {name}", found["meaning"])
        # None is dropped, or all are: what comes through in both, if anything, says how much was dropped.
        found = self.diff(a, self.train(make_model(dropout=0.0), dtype=dtype))
        self.assert_first(found, "activations", 0, "4", "another drop probability")
        found = self.diff(a, self.train(make_model(dropout=1.0), dtype=dtype))
        self.assert_first(found, "activations", 0, "4", "or other settings")

    def test_another_loss(self):
        found = self.diff(self.train(), self.train(loss=nn.CrossEntropyLoss(label_smoothing=0.1)))
        self.assert_first(found, "loss", 0, None, "another loss function")

    def test_backward_pass(self):
        def change(step, model, optimizer):
            model[3].backward_factor = 1.25 if step == 2 else 1.0
        found = self.diff(self.train(), self.train(before_step=change))
        self.assert_first(found, "layer_gradients", 2, "2", ["forward pass", "backward pass of what uses its output"])

    def test_scaled_loss(self):
        class Scaled(nn.CrossEntropyLoss):
            def forward(self, x, y):
                return ScaledGradient.apply(super().forward(x, y), 2.0)
        found = self.diff(self.train(), self.train(loss=Scaled()))
        self.assert_first(found, "layer_gradients", 0, "5", ["loss is equal", "scaled differently"])

    def test_running_statistics(self):
        found = self.diff(self.train(), self.train(make_model(momentum=0.2)))
        self.assert_first(found, "buffers", 1, "2", "another momentum of running statistics")

    def test_learning_rate_from_some_step_on(self):
        def slower(step, model, optimizer):
            if step == 3:
                optimizer.param_groups[0]["lr"] = 0.05
        b = self.train(before_step=slower)
        found = self.diff(self.train(), b)
        self.assert_first(found, "hyperparameters", 3, "optimizer0.group0", '"lr" of the parameter group "optimizer0.group0"')
        found = self.diff(self.train(), b, *WITHOUT_SETTINGS)
        self.assert_first(found, "weight_updates", 3, "0", ["gradients are equal", "0.5 times as long in b",
                                                            "or something changed the parameter after it", "another learning rate"])
        kinds = "weights,weight_gradients"
        found = self.diff(self.train(), b, "--kinds", kinds)
        self.assert_first(found, "weights", 4, "0", "The gradients of step 3 are the same in both")

    def test_optimizer(self):
        momentum = lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9)  # noqa: E731
        found = self.diff(self.train(), self.train(optimizer=momentum))
        self.assert_first(found, "hyperparameters", 0, "optimizer0.group0", '"momentum" of the parameter group "optimizer0.group0"')
        found = self.diff(self.train(), self.train(optimizer=momentum), *WITHOUT_SETTINGS)
        self.assert_first(found, "weight_updates", 1, "0", ["gradients are equal", "momentum"])
        self.assertNotIn("times as long", found["meaning"])

    def test_frozen_parameter(self):
        model = make_model()
        others = lambda parameters: torch.optim.SGD(list(parameters)[1:], lr=0.1)  # noqa: E731
        found = self.diff(self.train(), self.train(model, optimizer=others))
        self.assert_first(found, "parameter_groups", 0, "optimizer0.group0", "has other parameters")
        found = self.diff(self.train(), self.train(make_model(), optimizer=others), *WITHOUT_SETTINGS)
        self.assert_first(found, "weight_updates", 0, "0", "In b the parameter does not change")

    def test_other_precision(self):
        found = self.diff(self.train(), self.train(dtype=torch.float64))
        self.assert_first(found, "weights", 0, "0", "f32 in a and f64 in b")
        self.assertEqual(found["first"]["differs_in"], "dtype")
        for text in ("Its values are the same,", "no other cause, such as another initialization or seed"):
            self.assertIn(text, found["meaning"])
        self.assertNotIn("begin with different parameters", found["meaning"])
        found = self.diff(self.train(), self.train(dtype=torch.bfloat16))
        self.assert_first(found, "weights", 0, "0", "Its values are the same except for rounding")
        for seed, text in ((5, "another initialization or checkpoint"), (0, "Its values are the same")):
            found = self.diff(self.train(), self.train(make_model(seed=seed), dtype=torch.float64, data_seed=1))
            self.assert_first(found, "weights", 0, "0", ["f32 in a and f64 in b", text])
        found = self.diff(self.train(), self.train(make_model(seed=5), dtype=torch.float64, data_seed=6))
        self.assert_first(found, "weights", 0, "0", ["another seed", "f32 in a and f64 in b"])
        found = self.diff(self.train(), self.train(dtype=torch.float64), "--kinds", "input_data")
        self.assert_first(found, "input_data", 0, None, ["input_data is f32 in a and f64 in b", "Its values are the same"])
        # The values are the same in the beginning.
        found = self.diff(self.train(), self.train(dtype=torch.float64), "--rtol", "1e-3", "--atol", "1e-5", "--steps", "0",
                          code=0)
        self.assertNotIn("weights", [kind["kind"] for kind in found["kinds"] if kind["differing"]])

    def test_not_a_number(self):
        def poison(step, model, optimizer):
            if step == 2:
                with torch.no_grad():
                    model[5].bias[1] = float("nan")
        found = self.diff(self.train(), self.train(before_step=poison))
        self.assert_first(found, "bias_updates", 1, "5")
        self.assertEqual((found["first"]["not_finite"], found["first"]["index"]), (1, [1]))
        self.assertIn("nan", found["first"]["value_b"])

    def test_renamed_modules(self):
        a, b = self.train(), self.train(wrap=Wrapper)
        found = self.diff(a, b)
        self.assertEqual(found["suggested_map"], "=inner")
        self.assertEqual(len(found["only_b"]["modules"]), 7)
        found = self.diff(a, b, "--map", "=inner", "--common", code=0)
        self.assertIsNone(found["first"])
        self.assertIsNone(found["suggested_map"])
        self.assertEqual(self.diff(b, a, "--map", "inner=", "--common", code=0)["compared"], found["compared"])

    def test_different_recordings_of_one_training(self):
        a, b = self.train(), self.train(kinds="weights,loss", steps=3)
        found = self.diff(a, b)
        self.assertIsNone(found["first"])
        self.assertFalse(found["differ"])
        self.assertEqual(found["only_a"]["steps"], 2)
        self.assertEqual(found["only_a"]["messages"]["biases"], 9)
        self.assertEqual(found["only_b"]["messages"], {})
        self.assertEqual(self.diff(a, b, "--common", code=0)["compared"], found["compared"])

    def test_hashes(self):
        def slower(step, model, optimizer):
            if step == 3:
                optimizer.param_groups[0]["lr"] = 0.05
        a, b = self.train(keep="hashes"), self.train(before_step=slower, keep="hashes")
        self.assertEqual(self.diff(a, self.train(), code=0)["compared"], self.diff(self.train(), a, code=0)["compared"])
        for other in (b, self.train(before_step=slower)):
            found = self.diff(a, other, *WITHOUT_SETTINGS)
            self.assert_first(found, "weight_updates", 3, "0", ["gradients are equal", "another optimizer"])
            self.assertEqual(found["first"]["differs_in"], "hash")

    def test_replicas(self):
        def slower(step, model, optimizer):
            if step == 3:
                optimizer.param_groups[0]["lr"] = 0.05
        rank = [dict(rank=i, world_size=3) for i in range(3)]
        first, same = self.train(**rank[0]), self.train(**rank[1])
        drifting = self.train(before_step=slower, **rank[2])
        first_found, second_found = self.diff(drifting, same, first)  # in any order: each against rank 0
        self.assertEqual((first_found["b"]["rank"], first_found["first"]), (1, None))
        self.assertEqual({kind["kind"] for kind in first_found["kinds"]},
                         {"weights", "biases", "weight_updates", "bias_updates"})
        self.assert_first(second_found, "weight_updates", 3, "0", ["optimizers of the two ranks", "0.5 times as long in rank 2"])
        other_data = self.train(data_seed=8, **rank[1])
        found = self.diff(first, other_data, "--kinds", "input_data,activations")
        self.assert_first(found, "input_data", 0, None, "Each rank has its share of the data")
        found = self.diff(first, self.train(make_model(seed=4), **rank[1]))
        self.assert_first(found, "weights", 0, "0", "do not start from the same parameters")
        found = self.diff(first, drifting, "--kinds", "weights,biases")
        self.assert_first(found, "weights", 4, "0", "Up to step 3 the replicas were the same")


if __name__ == "__main__":
    unittest.main()
