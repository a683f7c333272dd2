# SPDX-License-Identifier: MIT
"""The exporter for PyTorch, held against autograd and plain copies of tensors: what is published, with
which stamps, whatever a model does. Traces are read with h5py alone.

Run once for each PyTorch there is; see tests/run.py.
"""
import collections
import contextlib
import copy
import dataclasses
import io
import os
import pathlib
import re
import sys
import tempfile
import threading
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration import h5trace
from tests.integration.program import ROOT

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402
from nauha.staging import Ring, Stager  # noqa: E402

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
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = pathlib.Path(self.folder.name) / "run.h5"
        self.notices = []
        self.exporter = None
        torch.manual_seed(0)

    def export(self, *models, **options):
        """An exporter with models and all of their modules added."""
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


class Values(Case):
    """A whole small training against copies made by the training itself."""

    def test_every_message_of_two_steps(self):
        model = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
        exporter = self.export(model)
        loss_function = exporter.set_loss(nn.CrossEntropyLoss())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        expected = []
        for _ in range(2):
            x, y = torch.randn(5, 4), torch.randint(3, (5,))
            before = {name: p.detach().clone() for name, p in model.named_parameters()}
            optimizer.zero_grad()
            output = model(x)
            loss = loss_function(output, y)
            # The same graph once more, by hand.
            again = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
            h0 = nn.functional.linear(x, again["0.weight"], again["0.bias"])
            h1 = torch.tanh(h0)
            h2 = nn.functional.linear(h1, again["2.weight"], again["2.bias"])
            for h in (h0, h1, h2):
                h.retain_grad()
            nn.functional.cross_entropy(h2, y).backward()
            loss.backward()
            optimizer.step()
            after = {name: p.detach().clone() for name, p in model.named_parameters()}
            expected.append((x, y, output, loss, (h0, h1, h2), again, before, after))
        exporter.epoch_finished()
        trace = self.trace()
        for step, (x, y, output, loss, hidden, again, before, after) in enumerate(expected):
            self.same(self.one(trace, "input_data", step=step), x)
            self.same(self.one(trace, "input_labels", step=step), y)
            self.same(self.one(trace, "network_output", step=step), output)
            self.same(self.one(trace, "loss", step=step), loss)
            for i, h in enumerate(hidden):
                self.same(self.one(trace, "activations", str(i), step), h)
                self.same(self.one(trace, "layer_gradients", str(i), step), h.grad)
            self.same(self.one(trace, "activations", "", step), output)
            for name, leaf in again.items():
                module, slot = name.split(".")
                one = "bias" if slot == "bias" else "weight"
                many = "biases" if slot == "bias" else "weights"
                self.same(self.one(trace, f"{one}_gradients", module, step, slot), leaf.grad)
                self.same(self.one(trace, many, module, step, slot), before[name])
                self.same(self.one(trace, f"{one}_updates", module, step, slot), after[name] - before[name])
        self.assertEqual(self.notices, [])

    def test_order_within_a_step(self):
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        exporter = self.export(model)
        train(model, batches(2, 4, 3), loss_function=exporter.set_loss(nn.MSELoss()))
        exporter.epoch_finished()
        kinds = [m.kind for m in self.trace().messages if m.step == 0]
        groups = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        self.assertEqual(groups[:7], ["epoch_started", "batch_started", "input_data", "activations", "network_output",
                                      "input_labels", "loss"])
        backward = {"layer_gradients", "weight_gradients", "bias_gradients"}
        end = groups.index("buffers")
        self.assertEqual(set(groups[7:end]), backward)
        self.assertEqual(set(groups[end + 1:-1]), {"weights", "biases", "weight_updates", "bias_updates"})
        self.assertEqual(groups[-1], "batch_finished")

    def test_every_type_and_layout_is_exact(self):
        names = ["float32", "float64", "float16", "bfloat16", "uint8", "int8", "int16", "int32", "int64", "bool"]
        names += [n for n in ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz") if hasattr(torch, n)]
        base = torch.randn(4, 6) * 3
        exporter = self.export()
        exporter.register("anything", scope="network")
        given = []
        for name in names:
            dtype = getattr(torch, name)
            tensor = (base > 0) if name == "bool" else base.to(dtype)
            given += [tensor, tensor.t(), tensor[1:3, ::2], tensor[:1].expand(3, 6), tensor[0, 0], tensor[:0],
                      tensor[:, 1:2].squeeze(1)]
        given += [base.clone().requires_grad_(), (base.clone().requires_grad_() * 2), torch.full((3,), float("nan")),
                  torch.tensor([0.0, -0.0, float("inf"), 1e-45]), torch.conj(torch.randn(3, dtype=torch.complex64)).imag,
                  torch.eye(4).to_sparse()]
        for call, tensor in enumerate(given):
            exporter.publish("anything", tensor, call=call)
        trace = self.trace()
        for call, tensor in enumerate(given):
            tensor = tensor.to_dense() if tensor.is_sparse else tensor.resolve_neg()
            with self.subTest(call=call, dtype=tensor.dtype, shape=tuple(tensor.shape), stride=tensor.stride()):
                self.same(self.one(trace, "anything", call=call), tensor)
        self.assertEqual(self.notices, [])

    def test_what_a_trace_cannot_hold_is_said_once(self):
        exporter = self.export()
        exporter.register("anything", scope="network")
        for call in range(3):
            exporter.publish("anything", torch.zeros(2, dtype=torch.complex64), call=call)
        self.assertEqual(self.notices, ["tensors of type complex64 cannot be recorded"])

    def test_staged_equals_direct(self):
        def run(path, **options):
            torch.manual_seed(1)
            model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=True), nn.Linear(6, 3))
            with nauha.Exporter(path, **options) as exporter:
                exporter.set_model(model)
                exporter.add_modules(model)
                train(model, batches(4, 4, 3), loss_function=exporter.set_loss(nn.MSELoss()))
            return h5trace.Trace(path)

        direct, staged = run(self.path), run(self.path.with_name("staged.h5"), staging="always")
        self.assertEqual(len(direct.messages), len(staged.messages))
        for a, b in zip(direct.messages, staged.messages):
            self.assertEqual((a.kind, a.module, a.slot, a.step, a.call), (b.kind, b.module, b.slot, b.step, b.call))
            if a.has_data:
                self.assertEqual(a.values.tobytes(), b.values.tobytes())


class Models(Case):
    """What modules and parameters do in real models."""

    def test_a_module_called_twice(self):
        class Twice(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(4, 4)

            def forward(self, x):
                return self.layer(torch.tanh(self.layer(x)))

        model = Twice()
        self.export(model)
        (x, y), = batches(1, 4, 4)
        first = model.layer.weight.detach().clone(), model.layer.bias.detach().clone()
        output = model(x)
        nn.functional.mse_loss(output, y).backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "activations"), [("layer", "", 0), ("layer", "", 1), ("", "", 0)])
        self.same(self.one(trace, "activations", "layer", call=0), nn.functional.linear(x, *first))
        self.same(self.one(trace, "activations", "layer", call=1), output)
        self.assertEqual(sorted(self.keys(trace, "layer_gradients")), [("", "", 0), ("layer", "", 0), ("layer", "", 1)])
        self.same(self.one(trace, "weight_gradients", "layer", slot="weight"), model.layer.weight.grad)

    def test_shared_weights_and_modules(self):
        class Tied(nn.Module):
            def __init__(self):
                super().__init__()
                self.embed = nn.Embedding(7, 4)
                self.body = nn.Linear(4, 4)
                self.again = self.body
                self.head = nn.Linear(4, 7, bias=False)
                self.head.weight = self.embed.weight

            def forward(self, x):
                return self.head(self.again(self.body(self.embed(x))))

        model = Tied()
        self.export(model)
        nn.functional.cross_entropy(model(torch.tensor([1, 2, 3])), torch.tensor([0, 1, 2])).backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "weights"), [("embed", "weight", 0), ("body", "weight", 0)])
        self.assertEqual(sorted(self.keys(trace, "weight_gradients")), [("body", "weight", 0), ("embed", "weight", 0)])
        self.same(self.one(trace, "weight_gradients", "embed", slot="weight"), model.embed.weight.grad)
        self.assertEqual([k for k in self.keys(trace, "activations") if k[0] == "body"], [("body", "", 0), ("body", "", 1)])
        aliases = {(trace.modules[row["alias_module"]], trace.slots[row["alias_slot"]]): trace.modules[row["module"]]
                   for row in trace.file["aliases"][...]}
        self.assertEqual(aliases, {("head", "weight"): "embed", ("again", "weight"): "body", ("again", "bias"): "body"})

    def test_outputs_of_every_kind(self):
        Pair = collections.namedtuple("Pair", "left right")

        @dataclasses.dataclass
        class Result:
            hidden: torch.Tensor
            extra: object = None

        class Odd(nn.Module):
            def __init__(self, make):
                super().__init__()
                self.make = make

            def forward(self, x):
                return self.make(x)

        class All(nn.Module):
            def __init__(self):
                super().__init__()
                self.scale = nn.Parameter(torch.ones(3))
                self.tuple = Odd(lambda x: (x * 1, (x * 2, None)))
                self.dict = Odd(lambda x: {"a": x * 3, "deep": {"b": [x * 4]}})
                self.data = Odd(lambda x: Result(x * 5, "text"))
                self.named = Odd(lambda x: Pair(x * 6, 7))
                self.none = Odd(lambda x: None)

            def forward(self, x):
                x = x * self.scale
                self.none(x)
                return (self.tuple(x)[1][0] + self.dict(x)["deep"]["b"][0] + self.data(x).hidden + self.named(x).left)

        model, x = All(), torch.ones(3)
        self.export(model)
        model(x).sum().backward()
        trace = self.trace()
        slots = {(m.module, m.slot): m for m in trace.of("activations")}
        self.assertEqual(set(slots), {("tuple", "0"), ("tuple", "1.0"), ("dict", "a"), ("dict", "deep.b.0"),
                                      ("data", "hidden"), ("named", "left"), ("", "")})
        self.same(slots["dict", "deep.b.0"], x * 4)
        gradients = {(m.module, m.slot) for m in trace.of("layer_gradients")}
        self.assertEqual(gradients, {("tuple", "1.0"), ("dict", "deep.b.0"), ("data", "hidden"), ("named", "left"), ("", "")})

    def test_in_place_relu_after_batch_norm(self):
        def build(inplace):
            torch.manual_seed(3)
            return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(inplace=inplace), nn.Linear(6, 2))

        (x, y), = batches(1, 4, 2)
        plain = build(False)
        hidden = [x]
        for layer in plain:
            hidden.append(layer(hidden[-1]))
            hidden[-1].retain_grad()
        nn.functional.mse_loss(hidden[-1], y).backward()
        model = build(True)
        self.export(model)
        nn.functional.mse_loss(model(x), y).backward()
        trace = self.trace()
        for i in range(4):
            self.same(self.one(trace, "activations", str(i)), hidden[i + 1])
            self.same(self.one(trace, "layer_gradients", str(i)), hidden[i + 1].grad)

    def test_frozen_and_unfrozen_parameters(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2))
        exporter = self.export(model)
        exporter.freeze_module(model[0])
        data = batches(3, 3, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, data[:2], optimizer)
        model[0].requires_grad_(True)
        train(model, data[2:], optimizer)
        trace = self.trace()
        self.assertEqual({m.module for m in trace.of("weight_gradients") if m.step < 2}, {"1"})
        self.assertEqual({m.module for m in trace.of("weight_gradients") if m.step == 2}, {"0", "1"})
        for step in range(3):
            self.assertEqual({m.module for m in trace.of("weights") if m.step == step}, {"0", "1"})
        self.assertFalse(self.one(trace, "weight_updates", "0", 1, "weight").values.any())
        self.assertTrue(self.one(trace, "weight_updates", "0", 2, "weight").values.any())

    def test_a_module_unused_in_a_step(self):
        class Switch(nn.Module):
            def __init__(self):
                super().__init__()
                self.left, self.right, self.use = nn.Linear(3, 2), nn.Linear(3, 2), True

            def forward(self, x):
                return self.left(x) if self.use else self.right(x)

        model = Switch()
        self.export(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for model.use in (True, False):
            train(model, batches(1, 3, 2), optimizer)
        trace = self.trace()
        for step, ran in enumerate(("left", "right")):
            self.assertEqual({m.module for m in trace.of("activations") if m.step == step}, {ran, ""})
            self.assertEqual({m.module for m in trace.of("bias_gradients") if m.step == step}, {ran})
            self.assertEqual({m.module for m in trace.of("weights") if m.step == step}, {"left", "right"})

    def test_lstm_and_attention_publish_all_parameters(self):
        class Both(nn.Module):
            def __init__(self):
                super().__init__()
                self.lstm = nn.LSTM(4, 8, num_layers=2, bidirectional=True, proj_size=4, batch_first=True)
                self.attention = nn.MultiheadAttention(8, 2, batch_first=True, kdim=8, vdim=8)

            def forward(self, x):
                h, (last, cell) = self.lstm(x)
                return self.attention(h, h, h)[0] + last.sum() + cell.sum()

        model = Both()
        self.export(model)
        model(torch.randn(2, 5, 4)).sum().backward()
        trace = self.trace()
        published = {f"{m.module}.{m.slot}": m for kind in ("weights", "biases") for m in trace.of(kind)}
        self.assertEqual(set(published), {name for name, _ in model.named_parameters()})
        gradients = {f"{m.module}.{m.slot}": m for kind in ("weight_gradients", "bias_gradients") for m in trace.of(kind)}
        for name, parameter in model.named_parameters():
            self.same(published[name], parameter)
            self.same(gradients[name], parameter.grad)
            self.assertEqual(published[name].kind, "biases" if "bias" in name.rsplit(".", 1)[1] else "weights")
        self.assertEqual({m.slot for m in trace.of("activations") if m.module == "lstm"}, {"0", "1.0", "1.1"})

    def test_batch_norm_buffers(self):
        model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.export(model)
        expected = []
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for batch in batches(3, 3, 3):
            train(model, [batch], optimizer)
            expected.append({name: buffer.clone() for name, buffer in model[1].named_buffers()})
        trace = self.trace()
        for step, buffers in enumerate(expected):
            for name, buffer in buffers.items():
                self.same(self.one(trace, "buffers", "1", step, name), buffer)

    def test_replaced_and_lazy_parameters(self):
        model = nn.Sequential(nn.LazyLinear(3), nn.Linear(3, 2))
        self.export(model)
        (x, y), = batches(1, 4, 2)
        nn.functional.mse_loss(model(x), y).backward()
        model[1].weight = nn.Parameter(torch.full((2, 3), 0.5))
        nn.functional.mse_loss(model(x), y).backward()
        model[1].weight.data = torch.full((2, 3), 0.25)
        nn.functional.mse_loss(model(x), y).backward()
        trace = self.trace()
        self.assertTrue((self.one(trace, "weights", "1", 1, "weight").values == 0.5).all())
        self.assertTrue((self.one(trace, "weights", "1", 2, "weight").values == 0.25).all())
        self.assertEqual([m.step for m in trace.of("weight_gradients") if m.module == "1"], [0, 1, 2])
        self.assertEqual({m.step for m in trace.of("weights") if m.module == "0"}, {1, 2})

    def test_inputs_where_asked_for(self):
        class Adder(nn.Module):
            def forward(self, x, y=None):
                return x + y

        class Model(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.adder = nn.Linear(3, 3), Adder()

            def forward(self, x):
                return self.adder(self.layer(x), y=x)

        model, x = Model(), torch.randn(2, 3)
        self.export(model, kinds=["inputs", "activations"])
        model(x)
        trace = self.trace()
        self.same(self.one(trace, "inputs", "layer"), x)
        self.same(self.one(trace, "inputs", ""), x)
        self.assertEqual({m.slot for m in trace.of("inputs") if m.module == "adder"},
                         {"0", "y"} if TORCH >= (2, 0) else {""})
        self.assertEqual({m.kind for m in trace.messages}, {"inputs", "activations"})

    def test_depth_and_single_modules(self):
        model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2))), nn.Linear(2, 2))
        exporter = nauha.Exporter(self.path, depth=1)
        exporter.set_model(model)
        exporter.add_modules(model)
        model(torch.randn(1, 2))
        exporter.close()
        self.assertEqual(set(h5trace.Trace(self.path).modules), {"", "0", "1"})
        exporter = nauha.Exporter(self.path)
        single = nn.Sequential(exporter(nn.Linear(2, 2)), nn.ReLU(), exporter(nn.Linear(2, 2)))
        exporter.set_model(single)
        single(torch.randn(1, 2)).sum().backward()
        exporter.close()
        trace = h5trace.Trace(self.path)
        self.assertEqual(self.keys(trace, "activations"), [("0", "", 0), ("2", "", 0)])


class Loops(Case):
    """What training loops do."""

    def test_gradient_accumulation(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="optimizer")
        optimizer = exporter.set_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        loss_function = exporter.set_loss(nn.MSELoss())
        for _ in range(2):
            optimizer.zero_grad()
            for x, y in batches(3, 3, 2):
                loss_function(model(x), y).backward()
            optimizer.step()
        trace = self.trace()
        for step in range(2):
            self.assertEqual(self.keys(trace, "activations", step), [("", "", 0), ("", "", 1), ("", "", 2)])
            self.assertEqual([m.call for m in trace.of("loss") if m.step == step], [0, 1, 2])
            self.assertEqual([m.call for m in trace.of("weight_gradients") if m.step == step], [0, 1, 2])
            self.assertEqual(len([m for m in trace.of("weight_updates") if m.step == step]), 1)
        total = sum(m.values for m in trace.of("weight_gradients") if m.step == 1)
        np.testing.assert_allclose(total, model.weight.grad.numpy(), rtol=1e-6)

    def test_forward_steps_without_an_optimizer_step(self):
        model = nn.Linear(3, 2)
        self.export(model)
        for x, y in batches(3, 3, 2):
            nn.functional.mse_loss(model(x), y).backward()
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("weight_updates")], [0, 1, 2])
        self.assertFalse(any(m.values.any() for m in trace.of("weight_updates")))

    def test_gan(self):
        generator = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
        critic = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.2), nn.Linear(4, 1))
        exporter = nauha.Exporter(self.path, step="optimizer", notice=self.notices.append)
        self.exporter = exporter
        for model, name in ((generator, "generator"), (critic, "critic")):
            exporter.set_model(model, name)
            exporter.add_modules(model)
        of_generator, of_critic = exporter.set_optimizer(torch.optim.Adam(generator.parameters()),
                                                         torch.optim.Adam(critic.parameters()))
        loss_function = exporter.set_loss(nn.BCEWithLogitsLoss())
        for _ in range(3):
            of_critic.zero_grad()
            loss_function(critic(torch.randn(5, 3)), torch.ones(5, 1)).backward()
            fake = generator(torch.randn(5, 2))
            loss_function(critic(fake.detach()), torch.zeros(5, 1)).backward()
            of_critic.step()
            of_generator.zero_grad()
            loss_function(critic(fake), torch.ones(5, 1)).backward()
            of_generator.step()
        trace = self.trace()
        self.assertEqual(trace.messages[-1].step, 2)
        for step in range(3):
            self.assertEqual([m.call for m in trace.of("loss") if m.step == step], [0, 1, 2])
            runs = [(m.module, m.call) for m in trace.of("activations") if m.step == step and m.module in ("generator", "critic")]
            self.assertEqual(sorted(runs), [("critic", 0), ("critic", 1), ("critic", 2), ("generator", 0)])
            updates = {m.module: m.values.any() for m in trace.of("weight_updates") if m.step == step}
            self.assertEqual(updates, {name: True for name in ("generator.0", "generator.2", "critic.0", "critic.2")})
        self.assertEqual(self.notices, [])

    def test_two_backward_passes_through_one_graph(self):
        model = nn.Linear(3, 2)
        self.export(model)
        output = model(torch.randn(4, 3))
        output.sum().backward(retain_graph=True)
        (output ** 2).sum().backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "layer_gradients"), [("", "", 0), ("", "", 1)])
        self.same(self.one(trace, "layer_gradients", call=1), 2 * output)

    def test_autocast_bf16(self):
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
        x = torch.randn(5, 4)
        self.export(model)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(x)
            expected = nn.functional.linear(x, model[0].weight, model[0].bias)
        output.float().sum().backward()
        trace = self.trace()
        self.assertIs(expected.dtype, torch.bfloat16)
        self.same(self.one(trace, "activations", "0"), expected)
        self.same(self.one(trace, "layer_gradients", "2"), torch.ones(5, 2, dtype=torch.bfloat16))
        self.assertEqual(self.one(trace, "weights", "0", slot="weight").values.dtype, np.float32)

    def test_gradient_checkpointing(self):
        from torch.utils.checkpoint import checkpoint

        class Model(nn.Module):
            def __init__(self, mode):
                super().__init__()
                self.first, self.block, self.mode = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 4), nn.Tanh()), mode

            def forward(self, x):
                x = self.first(x)
                for _ in range(2):
                    x = self.block(x) if self.mode is None else checkpoint(self.block, x, use_reentrant=self.mode)
                return x

        (x, y), = batches(1, 4, 4)
        traces = {}
        for mode in (None, True, False):
            torch.manual_seed(5)
            model = Model(mode)
            self.path = self.path.with_name(f"{mode}.h5")
            self.export(model)
            nn.functional.mse_loss(model(x), y).backward()
            traces[mode] = self.trace()
        plain = traces.pop(None)
        for mode, trace in traces.items():
            for kind in ("activations", "layer_gradients", "weight_gradients"):
                with self.subTest(reentrant=mode, kind=kind):
                    wanted = {(m.module, m.slot, m.call): m.values for m in plain.of(kind)}
                    found = {(m.module, m.slot, m.call): m.values for m in trace.of(kind)}
                    if kind == "weight_gradients" and mode:
                        # Each of the two segments has a backward pass of its own.
                        total = sum(values for key, values in found.items() if key[0] == "block.0")
                        np.testing.assert_allclose(total, wanted["block.0", "weight", 0], rtol=1e-5)
                        continue
                    self.assertEqual(found.keys(), wanted.keys())
                    for key, values in wanted.items():
                        np.testing.assert_array_equal(found[key], values, str(key))

    def test_evaluation_publishes_nothing_and_stays_evaluation(self):
        model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 2))
        exporter = self.export(model)
        loss_function = exporter.set_loss(nn.MSELoss())
        train(model, batches(2, 4, 2), loss_function=loss_function)
        with torch.no_grad():  # without gradients it is no training, whatever the mode
            loss_function(model(torch.randn(3, 4)), torch.randn(3, 2))
        model.eval()
        for x, y in batches(3, 4, 2):
            loss_function(model(x), y)
            self.assertFalse(model.training or model[1].training)
        model.train()
        train(model, batches(1, 4, 2), loss_function=loss_function)
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("loss")], [0, 1, 2])
        self.assertEqual([m.step for m in trace.of("activations") if m.module == "1"], [0, 1, 2])

    def test_tagged_passes(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model)
        loss_function = exporter.set_loss(nn.MSELoss())
        train(model, batches(2, 3, 2), loss_function=loss_function)
        exporter.test()
        self.assertFalse(model.training)
        with exporter.tag("testing"), torch.no_grad():
            for x, y in batches(2, 3, 2):
                loss_function(model(x), y)
        with exporter.tag("results", results_only=True), torch.no_grad():
            loss_function(model(x), y)
        exporter.train()
        train(model, batches(1, 3, 2), loss_function=loss_function)
        trace = self.trace()
        testing = [m for m in trace.messages if m.tag == "testing"]
        self.assertEqual({m.step for m in testing}, {1})
        self.assertEqual([m.call for m in testing if m.kind == "activations"], [0, 1])
        self.assertEqual({m.kind for m in testing}, {"input_data", "activations", "network_output", "input_labels", "loss"})
        self.assertEqual({m.kind for m in trace.messages if m.tag == "results"}, {"network_output", "input_labels", "loss"})
        self.assertEqual([m.step for m in trace.of("loss") if m.tag == "default"], [0, 1, 2])

    def test_an_exception_in_the_middle_of_a_step(self):
        class Fragile(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer, self.broken = nn.Linear(3, 2), False

            def forward(self, x):
                x = self.layer(x)
                if self.broken:
                    raise ValueError("out of luck")
                return x

        model = Fragile()
        self.export(model)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        data = batches(4, 3, 2)
        train(model, data[:1], optimizer)
        model.broken = True
        with self.assertRaisesRegex(ValueError, "out of luck"):
            train(model, data[1:2], optimizer)
        model.broken = False
        train(model, data[2:], optimizer)
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("activations") if m.module == "layer"], [0, 1, 2, 3])
        self.assertEqual([m.step for m in trace.of("weight_gradients")], [0, 2, 3])
        self.assertEqual([m.call for m in trace.of("activations")], [0] * 7)
        self.assertEqual(len(trace.of("batch_finished")), 4)

    def test_epochs(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model)
        for _ in range(2):
            train(model, batches(2, 3, 2))
            exporter.epoch_finished()
        stamps = [(m.step, m.train_step, m.epoch) for m in self.trace().of("batch_started")]
        self.assertEqual(stamps, [(0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1)])

    def test_steps_by_hand_and_pause(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="manual")
        for _ in range(2):
            model(torch.randn(1, 3))
            model(torch.randn(1, 3))
            exporter.step()
        exporter.pause()
        exporter.pause()
        self.assertEqual((len(model._forward_hooks), len(model._forward_pre_hooks)), (0, 1))
        self.assertFalse(model.weight._backward_hooks)
        for _ in range(2):
            model(torch.randn(1, 3)).sum().backward()
            exporter.step()
        exporter.pause(False)
        model(torch.randn(1, 3)).sum().backward()
        trace = self.trace()
        self.assertEqual([m.step for m in trace.of("weight_gradients")], [4])
        self.assertEqual([(m.step, m.call) for m in trace.of("activations")], [(0, 0), (0, 1), (1, 0), (1, 1), (4, 0)])

    def test_selected_steps_and_kinds(self):
        model = nn.Linear(3, 2)
        self.export(model, steps=slice(1, None, 2), kinds="weights,loss,activations")
        train(model, batches(5, 3, 2), loss_function=self.exporter.set_loss(nn.MSELoss()))
        trace = self.trace()
        self.assertEqual({m.step for m in trace.messages}, {1, 3})
        self.assertEqual({m.kind for m in trace.messages}, {"weights", "loss", "activations"})

    def test_an_optimizer_left_behind(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="optimizer", kinds="loss,batch_finished")
        optimizers = exporter.set_optimizer(*(torch.optim.SGD(model.parameters(), lr=0.01) for _ in range(2)))
        train(model, batches(110, 3, 2), optimizers[0])
        self.assertEqual([notice for notice in self.notices if "made no step in 100" in notice], self.notices)
        self.assertEqual(len(self.notices), 1)
        self.assertEqual(len(self.trace().of("batch_finished")), 11)

    def test_closure_based_optimizer(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="optimizer")
        optimizer = exporter.set_optimizer(torch.optim.LBFGS(model.parameters(), max_iter=4))
        loss_function = exporter.set_loss(nn.MSELoss())
        (x, y), = batches(1, 3, 2)

        def closure():
            optimizer.zero_grad()
            loss = loss_function(model(x), y)
            loss.backward()
            return loss

        before = model.weight.detach().clone()
        optimizer.step(closure)
        trace = self.trace()
        self.assertGreater(len(trace.of("loss")), 1)
        self.assertEqual({m.step for m in trace.messages}, {0})
        self.same(self.one(trace, "weights", slot="weight"), before)
        self.same(self.one(trace, "weight_updates", slot="weight"), model.weight.detach() - before)

    def test_learning_rate_scheduler_after_set_optimizer(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="optimizer")
        optimizer = exporter.set_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for batch in batches(3, 3, 2):
            train(model, [batch], optimizer)
            scheduler.step()
        self.assertEqual(len(self.trace().of("batch_started")), 3)


class Wrappers(Case):
    def test_data_parallel_names(self):
        model = nn.Sequential(nn.Linear(3, 2))
        self.export(nn.DataParallel(model))
        nn.DataParallel(model)(torch.randn(4, 3)).sum().backward()
        trace = self.trace()
        self.assertEqual(self.keys(trace, "activations"), [("0", "", 0), ("", "", 0)])
        self.assertEqual(self.keys(trace, "weight_gradients"), [("0", "weight", 0)])

    def test_replicas_in_threads(self):
        model = nn.Sequential(nn.Linear(8, 8), nn.Tanh(), nn.Linear(8, 2))
        self.export(model, step="manual")
        model(torch.randn(1, 8))
        replicas = [model._replicate_for_data_parallel() for _ in range(4)]
        for replica in replicas:
            for name, child in model._modules.items():
                replica._modules[name] = child
        threads = [threading.Thread(target=lambda r=r: [r(torch.randn(16, 8)) for _ in range(50)]) for r in replicas]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        calls = [m.call for m in self.trace().of("activations") if m.module == "0"]
        self.assertEqual(sorted(calls), list(range(201)))

    @unittest.skipUnless(TORCH >= (2, 0), "skipped: torch.compile came with 2.0")
    def test_compiled(self):
        def build():
            torch.manual_seed(2)
            return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))

        data = batches(3, 4, 2)

        def before(model):
            compiled = torch.compile(model, backend="aot_eager")
            self.export(compiled)
            return compiled

        def after(model):
            self.export(model)
            return self.exporter.set_model(torch.compile(model, backend="aot_eager"))

        def in_place(model):
            model.compile(backend="aot_eager")
            self.export(model)
            return model

        def plain(model):
            self.export(model)
            return model

        traces = {}
        for way in (plain, before, after, in_place):
            self.path = self.path.with_name(f"{way.__name__}.h5")
            self.notices.clear()
            torch._dynamo.reset()
            torch._dynamo.utils.counters.clear()
            model = way(build())
            train(model, data, loss_function=self.exporter.set_loss(nn.MSELoss()))
            self.assertEqual(dict(torch._dynamo.utils.counters["graph_break"]), {})
            traces[way.__name__] = self.trace()
            if way is in_place:
                self.assertIs(type(model._compiled_call_impl), type(torch.nn.Linear(1, 1).forward.__func__))
            told = [n for n in self.notices if "torch.compile" in n]
            self.assertEqual(len(told), 0 if way is plain else 1, self.notices)
        reference = traces.pop("plain")
        for name, trace in traces.items():
            for kind in ("weights", "biases", "weight_gradients", "bias_gradients", "weight_updates", "loss",
                         "network_output", "input_data", "input_labels"):
                with self.subTest(way=name, kind=kind):
                    wanted = {(m.step, m.module, m.slot): m.values for m in reference.of(kind)}
                    found = {(m.step, m.module, m.slot): m.values for m in trace.of(kind)}
                    self.assertEqual(found.keys(), wanted.keys())
                    for key in wanted:
                        np.testing.assert_allclose(found[key], wanted[key], rtol=1e-5, atol=1e-7, err_msg=str(key))
            self.assertEqual({key for key in self.keys(trace, "activations")}, {("", "", 0)})
            self.assertEqual({key for key in self.keys(trace, "layer_gradients")}, {("", "", 0)})

    @unittest.skipUnless(TORCH >= (2, 0), "skipped: torch.compile came with 2.0")
    def test_a_compiled_part(self):
        model = nn.Sequential(nn.Linear(4, 6), torch.compile(nn.Sequential(nn.Linear(6, 6), nn.ReLU()), backend="aot_eager"),
                              nn.Linear(6, 2))
        self.export(model)
        train(model, batches(2, 4, 2))
        trace = self.trace()
        self.assertEqual({m.module for m in trace.of("activations")}, {"", "0", "1", "2"})
        self.assertEqual({m.module for m in trace.of("weight_gradients")}, {"0", "1.0", "2"})


class Live(Case):
    METRICS = ["loss", "ratio:weight_updates,weights", "norm:layer_gradients", "histogram:weights:bins=5",
               "message_mean:weight_updates_weights_ratio"]

    class Sparsity(nauha.Subscriber):
        def compute(self, message):
            return (message.tensor == 0).mean()

    def test_live_equals_replayed(self):
        for options in ({}, {"staging": "always"}):
            torch.manual_seed(1)
            model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
            exporter = self.export(model, kinds="weights,weight_updates,loss,layer_gradients,activations", **options)
            out = self.path.parent / "live"
            exporter.subscribe(*self.METRICS, self.Sparsity("activations"), output=out)
            with self.assertRaisesRegex(nauha.Error, "once"):
                exporter.subscribe("loss")
            train(model, batches(4, 4, 3), loss_function=exporter.set_loss(nn.MSELoss()))
            self.assertTrue(exporter.close())
            replayed = nauha.replay(self.path, [*self.METRICS, self.Sparsity("activations")],
                                    output=self.path.parent / "replayed", sinks=["csv"])
            self.assertEqual(list(exporter.series), list(replayed))
            self.assertEqual(len(replayed), 6)
            for name, series in replayed.items():
                self.assertGreater(series.rows, 0)
                for column in series:
                    np.testing.assert_array_equal(series[column], exporter.series[name][column], f"{name} {column}")
                self.assertEqual((out / f"{name}.csv").read_bytes(),
                                 (self.path.parent / "replayed" / f"{name}.csv").read_bytes())
            self.assertEqual(self.notices, [])

    def test_live_alone(self):
        model = nn.Linear(3, 2)
        exporter = nauha.Exporter(None, notice=self.notices.append)
        exporter.set_model(model)
        exporter.add_modules(model)
        exporter.subscribe("norm:weights")
        train(model, batches(3, 3, 2))
        exporter.close()
        self.assertEqual(exporter.series["weights_norm2"]["global_step"].tolist(), [0, 1, 2])

    def test_a_failing_metric_does_not_end_the_training(self):
        class Broken(nauha.Subscriber):
            def compute(self, message):
                raise ZeroDivisionError("no luck")

        model = nn.Linear(3, 2)
        exporter = self.export(model)
        exporter.subscribe(Broken("weights"))
        train(model, batches(3, 3, 2))
        self.assertTrue(exporter.close())
        self.assertTrue(any("ZeroDivisionError: no luck" in notice for notice in self.notices), self.notices)
        self.assertEqual(len(h5trace.Trace(self.path).of("weights")), 3)


class Page(Case):
    """What docs/python.md and README.md show."""

    def blocks(self, page):
        return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)

    def test_the_examples_run(self):
        os.chdir(self.folder.name)
        self.addCleanup(os.chdir, ROOT)
        model = nn.Sequential(collections.OrderedDict(features=nn.Sequential(nn.Linear(4, 8), nn.ReLU()), head=nn.Linear(8, 3)))
        names = {"torch": torch, "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "epochs": 2,
                 "loader": [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(30)]}
        record, read, metric, use = self.blocks("docs/python.md")
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            for block in (record, read, metric, use):
                exec(block, names)
            os.rename("run.h5", "gan.h5")
            exec(self.blocks("README.md")[0], names)
        self.assertIn("features.0 weight", printed.getvalue())
        self.assertEqual(names["weights"].shape, (8, 4))
        self.assertEqual(names["table"].rows, 60 * 2)
        self.assertEqual(names["tables"]["activations_sparsity_message_mean"].rows, 60)
        self.assertIn("weights_norm2", printed.getvalue())


class LeavesNoMark(Case):
    def test_copies_and_pickles_work_and_are_not_recorded(self):
        model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
        self.export(model, kinds="inputs,activations")
        model(torch.randn(1, 3))
        twin = copy.deepcopy(model)
        twin(torch.randn(1, 3))
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        loaded = torch.load(file, **({"weights_only": False} if TORCH >= (1, 13) and TORCH >= (2, 0) else {}))
        self.assertEqual(loaded(torch.randn(1, 3)).shape, (1, 2))
        self.assertNotIn(b"nauha.hooks", file.getvalue())
        self.assertEqual({m.step for m in self.trace().messages}, {0})

    def test_close_takes_the_hooks_off(self):
        model = nn.Sequential(nn.Linear(3, 2))
        exporter = self.export(model, step="optimizer")
        optimizer = exporter.set_optimizer(torch.optim.SGD(model.parameters(), lr=0.1))
        train(model, batches(1, 3, 2), optimizer)
        exporter.close()
        for module in model.modules():
            self.assertEqual((len(module._forward_hooks), len(module._forward_pre_hooks)), (0, 0))
        self.assertFalse(any(p._backward_hooks for p in model.parameters()))
        train(model, batches(1, 3, 2), optimizer)
        self.assertEqual(exporter.stats(), {})

    def test_a_hook_that_fails_is_told_and_not_raised(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model)
        exporter.observer.module_ran = lambda *arguments: 1 / 0
        train(model, batches(2, 3, 2))
        self.assertEqual(self.notices, ["a message was not recorded: ZeroDivisionError: division by zero"])

    def test_with_closes_and_lets_exceptions_through(self):
        model = nn.Linear(3, 2)
        with self.assertRaises(KeyError):
            with nauha.Exporter(self.path) as exporter:
                exporter.set_model(model)
                exporter.add_modules(model)
                model(torch.randn(1, 3))
                raise KeyError
        trace = h5trace.Trace(self.path)
        self.assertEqual(trace.messages[-1].kind, "batch_finished")


class Topics(Case):
    def test_own_topics(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model)
        exporter.register("learning_rate", scope="network", form="scalar")
        exporter.register("note", scope="network", form="event")
        exporter.register("mask")
        model(torch.randn(1, 3))
        exporter.publish("learning_rate", 0.1)
        exporter.publish("note")
        exporter.publish("mask", np.arange(3), module=model, slot="left")
        exporter.publish("mask", [1.5], module="", call=4)
        for wrong, text in ((("nothing", 1), "no topic \"nothing\""), (("note", 1), "is an event"),
                            (("mask", 1), "is of module scope"), (("learning_rate",), "is no event")):
            with self.assertRaisesRegex(nauha.Error, text):
                exporter.publish(*wrong)
        with self.assertRaisesRegex(nauha.Error, "no such module"):
            exporter.publish("mask", 1, module=nn.Linear(1, 1))
        trace = self.trace()
        self.assertEqual(self.one(trace, "learning_rate").values.tolist(), 0.1)
        self.assertEqual(self.one(trace, "mask", slot="left").values.tolist(), [0, 1, 2])
        self.assertEqual(self.one(trace, "mask", call=4).values.tolist(), [1.5])
        self.assertEqual(len(trace.of("note")), 1)

    def test_errors_of_set_up(self):
        for options, text in (({"codec": "foo"}, "codecs: zstd"), ({"colour": 1}, "colour"), ({"step": "day"}, "forward")):
            with self.subTest(options=options), self.assertRaisesRegex(nauha.Error, text):
                nauha.Exporter(self.path, **options)
        with self.assertRaisesRegex(nauha.Error, "No such file"):
            nauha.Exporter(self.path.parent / "no" / "such.h5")

    def test_a_selection_of_nothing_is_told(self):
        for options, text in (({"kinds": ["wights"]}, 'kind "wights" is unknown'), ({"modules": "layer*"}, "layer*")):
            self.notices.clear()
            model = nn.Linear(1, 1)
            self.export(model, **options)
            model(torch.ones(1, 1))
            self.assertEqual(len(self.notices), 1)
            self.assertIn(text, self.notices[0])
            self.exporter.close()


class RingOfMemory(unittest.TestCase):
    """The staging memory by itself, and the stager with copies that arrive late."""

    class LateDevice:
        """Copies when it is waited for, as a stream may."""

        def host_memory(self, count):
            return torch.zeros(count, dtype=torch.uint8)

        def copy(self, source, host):
            snapshot = source.detach().clone()

            class Done:
                def synchronize(self):
                    host.copy_(snapshot)

            return Done()

    class Log:
        immediate = True

        def __init__(self):
            self.calls = []

        def publish(self, *arguments):
            self.calls.append(("publish", arguments[0], None if arguments[-1] is None else arguments[-1].clone()))

        def begin_step(self, values):
            self.calls.append(("begin", [value.tensor.clone() for value in values]))

        def end_step(self, values):
            self.calls.append(("end", [value.tensor.clone() for value in values]))

        def epoch_finished(self):
            self.calls.append(("epoch",))

        def close(self):
            self.calls.append(("close",))

    def test_order_and_values_through_a_small_ring(self):
        from nauha.sender import Value

        log, told = self.Log(), []
        stager = Stager(log, self.LateDevice(), told.append, capacity=1024)
        parameter = torch.zeros(4)
        values = [Value(type("R", (), {"id": 0}), 0, False, parameter)]
        expected = []
        generator = torch.Generator().manual_seed(0)
        for i in range(300):
            parameter += 1
            if i % 10 == 0:
                stager.begin_step(values)
                expected.append(("begin", [parameter.clone()]))
            size = int(torch.randint(0, 400, (1,), generator=generator))  # some larger than the ring
            tensor = torch.full((size,), float(i))
            stager.publish(i, 0, 0, 0, 0, tensor)
            expected.append(("publish", i, tensor.clone()))
            tensor.zero_()  # the training goes on
            if i % 7 == 0:
                stager.publish(i, 0, 0, 0, 0, None)
                expected.append(("publish", i, None))
        stager.end_step(values)
        stager.epoch_finished()
        stager.close()
        expected += [("end", [parameter.clone()]), ("epoch",), ("close",)]
        self.assertEqual(told, [])
        self.assertEqual(len(log.calls), len(expected))
        for got, wanted in zip(log.calls, expected):
            self.assertEqual(got[:-1] if len(got) > 1 else got, wanted[:-1] if len(wanted) > 1 else wanted)
            if len(got) > 1:
                same = got[-1] is None if wanted[-1] is None else (
                    all(torch.equal(a, b) for a, b in zip(got[-1], wanted[-1])) and len(got[-1]) == len(wanted[-1]))
                self.assertTrue(same, got)

    def test_a_full_ring_waits(self):
        ring = Ring(self.LateDevice(), 256)
        pieces = [ring.take(64) for _ in range(4)]
        self.assertEqual(sorted(p.data_ptr() - pieces[0].data_ptr() for p in pieces), [0, 64, 128, 192])
        waiting = threading.Thread(target=ring.take, args=(128,))
        waiting.start()
        waiting.join(0.05)
        self.assertTrue(waiting.is_alive())
        for _ in range(3):
            ring.give_back()
        waiting.join(5)
        self.assertFalse(waiting.is_alive())


if __name__ == "__main__":
    unittest.main()
