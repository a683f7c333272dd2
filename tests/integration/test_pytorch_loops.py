# SPDX-License-Identifier: MIT
"""The exporter for PyTorch under what training loops do: steps, calls, tags, wrappers, compilers.

Run once for each PyTorch there is; see tests/run.py.
"""
import threading
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.pytorch_case import TORCH, Case, batches, nauha, train



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

    def test_parameters_in_no_module(self):
        model, scale = nn.Linear(3, 2), nn.Parameter(torch.ones(2))
        phase = torch.zeros(3, dtype=torch.complex64, requires_grad=True)
        optimizer = torch.optim.SGD([phase, *model.parameters(), scale], lr=0.1)
        self.export(model)
        values = []
        for x, y in batches(3, 3, 2):
            loss = nn.functional.mse_loss(model(x) * scale, y) + (phase - 1).abs().square().sum()
            loss.backward()
            values.append((scale.detach().clone(), scale.grad))
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        trace = self.trace()
        for step, (value, gradient) in enumerate(values):
            self.same(self.one(trace, "weights", "parameters", step, "1"), value)
            self.same(self.one(trace, "weight_gradients", "parameters", step, "1"), gradient)
            self.assertTrue(self.one(trace, "weight_updates", "parameters", step, "1").values.any())
        self.assertEqual(self.keys(trace, "weights", 0), [("", "weight", 0), ("parameters", "1", 0)])
        self.assertEqual(self.notices, ['parameters such as "parameters.0" (Tensor, torch.complex64, shape [3]) cannot be recorded'])

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
        self.export(model, step="forward")
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

    def test_counting_goes_on(self):
        """Where a training goes on, steps are selected, and probes run, by the numbers that an uninterrupted one has."""
        model = nn.Linear(3, 2)
        exporter = self.export(model, first_step=13, first_epoch=2, first_batch=3, steps=slice(14, None, 2))
        exporter.probe("testing", torch.randn(1, 3), every=4)
        for _ in range(2):
            train(model, batches(2, 3, 2))
            exporter.epoch_finished()
        trace = self.trace()
        self.assertEqual([(m.step, m.train_step, m.epoch) for m in trace.of("batch_started")], [(14, 4, 2), (16, 1, 3)])
        self.assertEqual([m.step for m in trace.messages if m.tag == "testing" and m.kind == "activations"], [16])

    def test_steps_by_hand_and_pause(self):
        model = nn.Linear(3, 2)
        exporter = self.export(model, step="manual")
        for _ in range(2):
            model(torch.randn(1, 3))
            model(torch.randn(1, 3))
            exporter.step()
        exporter.pause()
        exporter.pause()
        self.assertEqual((len(model._forward_hooks), len(model._forward_pre_hooks)), (0, 0))
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
        optimizers = exporter.set_optimizer(*(torch.optim.SGD([parameter], lr=0.01) for parameter in model.parameters()))
        train(model, batches(100, 3, 2), optimizers[0])
        self.assertEqual(self.notices, [])
        train(model, batches(10, 3, 2), optimizers[0])
        self.assertEqual([notice for notice in self.notices if "made no step in 100" in notice], self.notices)
        self.assertEqual(len(self.notices), 1)
        self.assertEqual(len(self.trace().of("batch_finished")), 10)

    def test_two_optimizers_of_the_same_parameters(self):
        model = nn.Linear(3, 2)
        first, second = (torch.optim.SGD(model.parameters(), lr=0.01) for _ in range(2))
        self.export(model, kinds="batch_finished")
        train(model, batches(3, 3, 2), first)
        train(model, batches(4, 3, 2), second)
        self.assertEqual(len(self.trace().of("batch_finished")), 7)

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

        def in_place_after(model):
            self.export(model)
            model.compile(backend="aot_eager")
            return self.exporter.set_model(model)

        def plain(model):
            self.export(model)
            return model

        traces = {}
        for way in (plain, before, after, in_place, in_place_after):
            self.path = self.path.with_name(f"{way.__name__}.h5")
            self.notices.clear()
            torch._dynamo.reset()
            torch._dynamo.utils.counters.clear()
            model = way(build())
            train(model, data, loss_function=self.exporter.set_loss(nn.MSELoss()))
            self.assertEqual(dict(torch._dynamo.utils.counters["graph_break"]), {})
            traces[way.__name__] = self.trace()
            if "in_place" in way.__name__:
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


if __name__ == "__main__":
    unittest.main()
