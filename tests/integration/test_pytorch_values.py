# SPDX-License-Identifier: MIT
"""The exporter for PyTorch, held against autograd and plain copies of tensors: what is published of a
model, whatever it is made of.

Run once for each PyTorch there is; see tests/run.py.
"""
import collections
import dataclasses
import unittest

import torch
from torch import nn

from tests.integration import h5trace
from tests.integration.pytorch_case import TORCH, Case, batches, nauha, train



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

    def test_updates_have_all_that_changes_parameters_within_a_step(self):
        """What the program does to weights behind the optimizer's step, too, but for what comes behind the step's end."""
        model = nn.Linear(4, 3)
        exporter = self.export(model)
        loss_function = exporter.set_loss(nn.CrossEntropyLoss())
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        begin, stepped = [], []
        for step, (x, y) in enumerate(batches(4, 4, 3)):
            begin.append(model.weight.detach().clone())
            optimizer.zero_grad()
            loss_function(model(x), y).backward()
            optimizer.step()
            stepped.append(model.weight.detach().clone())
            if step == 1:
                exporter.step()
            if step == 2:
                exporter.epoch_finished()
            with torch.no_grad():
                model.weight.clamp_(-0.05, 0.05)
        begin.append(model.weight.detach().clone())
        trace = self.trace()
        for step, end in enumerate((begin[1], stepped[1], stepped[2], begin[4])):
            self.assertFalse(torch.equal(stepped[step], begin[step + 1]))
            self.same(self.one(trace, "weights", "", step, "weight"), begin[step])
            self.same(self.one(trace, "weight_updates", "", step, "weight"), end - begin[step])

    def test_order_within_a_step(self):
        model = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 3))
        exporter = self.export(model)
        train(model, batches(2, 4, 3), loss_function=exporter.set_loss(nn.MSELoss()))
        exporter.epoch_finished()
        kinds = [m.kind for m in self.trace().messages if m.step == 0]
        groups = [kind for i, kind in enumerate(kinds) if i == 0 or kinds[i - 1] != kind]
        self.assertEqual(groups[:8], ["epoch_started", "batch_started", "buffers", "input_data", "activations",
                                      "network_output", "input_labels", "loss"])
        backward = {"layer_gradients", "weight_gradients", "bias_gradients"}
        end = groups.index("weights")
        self.assertEqual(set(groups[8:end - 2]), backward)
        self.assertEqual(groups[end - 2:end], ["parameter_groups", "hyperparameters"])
        self.assertEqual(set(groups[end:-1]), {"weights", "biases", "weight_updates", "bias_updates"})
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

    def test_one_tensor_under_several_names_is_stored_once(self):
        class Residual(nn.Module):
            def __init__(self):
                super().__init__()
                self.inner, self.short = nn.Linear(16, 16), nn.Identity()

            def forward(self, x):
                return self.inner(x) + self.short(x)

        model = nn.Sequential(nn.Unflatten(1, (4, 4)), nn.Flatten(), Residual(), nn.Sequential(nn.Linear(16, 16)))
        kept = {}
        for name, module in model.named_modules():
            module.register_forward_hook(lambda m, i, output, name=name: kept.__setitem__(name, output.detach().clone()))
        loss_function = nn.MSELoss()
        self.export(model).set_loss(loss_function)
        train(model, batches(1, 16, 16, size=64), loss_function=loss_function)
        trace = self.trace()
        place = {(m.kind, m.module): (int(m.row["stream"]), int(m.row["offset"])) for m in trace.messages if m.has_data}
        for kind, left, right in (("activations", "0", "1"), ("activations", "1", "2.short"), ("activations", "3.0", "3"),
                                  ("activations", "3.0", ""), ("layer_gradients", "3", "3.0"),
                                  ("layer_gradients", "2", "2.inner"), ("layer_gradients", "2", "2.short")):
            if (kind, left) in place and (kind, right) in place:  # what needs no gradient has none
                self.assertEqual(place[kind, left], place[kind, right], f"{kind} of {left!r} and {right!r}")
        self.assertEqual(place["network_output", ""], place["activations", ""])
        self.assertNotEqual(place["activations", "2"], place["activations", "2.inner"])
        for name, expected in kept.items():
            self.same(self.one(trace, "activations", name), expected)

    def test_a_tensor_written_in_place_is_another_one(self):
        class Doubled(nn.Module):
            def forward(self, x):
                return x.mul_(2)

        model = nn.Sequential(nn.Linear(16, 16), Doubled(), nn.Sequential(Doubled()))
        self.export(model)
        (x, y), = batches(1, 16, 16, size=64)
        first = model[0](x).detach()
        train(model, [(x, y)])
        trace = self.trace()
        for name, expected in (("0", first), ("1", 2 * first), ("2.0", 4 * first), ("2", 4 * first)):
            self.same(self.one(trace, "activations", name), expected)

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
            expected.append({name: buffer.clone() for name, buffer in model[1].named_buffers()})
            train(model, [batch], optimizer)
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
        self.assertEqual({m.slot for m in trace.of("inputs") if m.module == "adder"}, {"0", "y"})
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


if __name__ == "__main__":
    unittest.main()
