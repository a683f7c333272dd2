# SPDX-License-Identifier: MIT
"""The exporter for PyTorch beside the training: live metrics, topics of one's own, no mark on the model, errors,
and the memory that tensors of a GPU pass through.

Run once for each PyTorch there is; see tests/run.py.
"""
import importlib
import collections
import contextlib
import copy
import io
import os
import re
import shutil
import sys
import threading
import unittest
from unittest import mock

import numpy as np
import torch
from torch import nn

from tests.integration import h5trace
from tests.integration.program import ROOT
from tests.integration.pytorch_case import TORCH, Case, batches, nauha, train
from nauha.staging import Ring, Stager



def fails_at(kind):
    """A question about kinds, asked for every message, that fails for one kind."""
    return lambda number: number == nauha.native.KINDS[kind] and 1 / 0


class Live(Case):
    METRICS = ["loss", "ratio:weight_updates,weights", "norm:layer_gradients", "histogram:weights:bins=5",
               "message_mean:weight_updates_weights_ratio"]

    class Sparsity(nauha.Subscriber):
        def compute(self, message):
            return (message.tensor == 0).mean()

    def test_steps_of_optimizers_that_nobody_named(self):
        for named in (False, True):
            with self.subTest(named):
                self.notices.clear()
                model = nn.Linear(3, 2)
                optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
                self.export(model, step="optimizer")
                if named:
                    self.exporter.set_optimizer(optimizer)
                for _ in range(3):
                    model(torch.ones(1, 3)).sum().backward()
                    optimizer.step()
                self.assertTrue(self.exporter.close())
                told = [notice for notice in self.notices if "no optimizer was named: call set_optimizer()" in notice]
                self.assertEqual(len(told), not named, self.notices)

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

    def test_a_loss_function_that_is_no_module(self):
        model = nn.Linear(4, 3)
        exporter = self.export(model)
        function = exporter.set_loss(lambda output, labels: (output - labels).square().mean())
        train(model, batches(2, 4, 3), loss_function=function)
        trace = self.trace()
        self.assertEqual(len(trace.of("loss")), 2)
        self.assertEqual(len(trace.of("input_labels")), 2)

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
        exporter.subscribe(Broken("weights"), "norm:weights", "variance:batch_finished", rules=["exploding_tensor:weights"])
        train(model, batches(3, 3, 2))
        self.assertTrue(exporter.close())
        self.assertEqual(len(self.notices), 2, self.notices)
        self.assertRegex(self.notices[0], 'metric "Broken.0:.*" failed at step 0, "weights" of .*: ZeroDivisionError: no luck')
        self.assertRegex(self.notices[1], 'metric "variance:batch_finished" failed at step 0, ')
        self.assertEqual(len(h5trace.Trace(self.path).of("weights")), 3)
        self.assertEqual(exporter.series["weights_norm2"]["global_step"].tolist(), [0, 1, 2])
        self.assertEqual(exporter.series["weights_broken"].rows, 0)


class Page(Case):
    """What docs/python.md and README.md show."""

    def blocks(self, page):
        return re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.S)

    def test_the_examples_run(self):
        os.chdir(self.folder)
        self.addCleanup(os.chdir, ROOT)
        model = nn.Sequential(collections.OrderedDict(features=nn.Sequential(nn.Linear(4, 8), nn.ReLU()), head=nn.Linear(8, 3)))
        names = {"torch": torch, "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "epochs": 2,
                 "loader": [(torch.randn(5, 4), torch.randint(3, (5,))) for _ in range(30)]}
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            record, *others = self.blocks("docs/python.md")
            exec(record, names)
            for name in ("a.h5", "b.h5"):
                shutil.copy("run.h5", name)
            for block in others:
                exec(block, names)
            os.rename("run.h5", "gan.h5")
            exec(self.blocks("README.md")[0], names)
        self.assertIn("features.0 weight", printed.getvalue())
        self.assertRegex(printed.getvalue(), r"(?m)^0 head \d")
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
        exporter.publisher.wanted.tapped = fails_at("activations")
        train(model, batches(2, 3, 2))
        self.assertEqual(self.notices, ["a message was not recorded: ZeroDivisionError: division by zero"])

    def test_a_training_that_stood_in_line_is_told(self):
        nauha.Exporter  # which is imported when it is asked for
        crowd = sys.modules["nauha.crowd"]
        for waited, lasted, threads, environment, told in (
                ([0.1, 8, 9], 20, 2, {}, True), ([0.1, 8, 9], 20, 2, {"OMP_WAIT_POLICY": "passive"}, False),
                ([8, 9], 20, 2, {"OMP_WAIT_POLICY": "active"}, False), ([8, 9], 20, 2, {"KMP_BLOCKTIME": "0"}, False),
                ([8, 9], 20, 1, {}, False), ([1, 1], 20, 2, {}, False), ([3, 3], 4, 2, {}, False), ([], 20, 2, {}, False)):
            with self.subTest(waited=waited, lasted=lasted, threads=threads, environment=environment):
                advice = crowd.advice(waited, lasted, threads, environment)
                self.assertEqual(advice is not None, told)
                if told:
                    self.assertRegex(advice, "for 8 of 20 s.*OMP_WAIT_POLICY=passive")
        exporter = self.export(nn.Linear(3, 2))
        exporter._crowd.advice = lambda: "told"
        exporter.close()
        self.assertEqual(self.notices, ["told"])

    def test_a_kind_that_is_misspelt(self):
        for kinds, meant in (("weigths", "weights"), (["loss", "activation"], "activations")):
            with self.assertRaisesRegex(ValueError, f'did you mean "{meant}"'):
                nauha.Exporter(self.path, kinds=kinds)
        self.assertFalse(self.path.exists())
        exporter = self.export(nn.Linear(3, 2), kinds=["loss2", "temperature", "losses"])
        exporter.close()

    def test_flushing_to_a_full_disk_is_told_and_not_raised(self):
        exporter = self.export(nn.Linear(3, 2))
        with mock.patch.object(exporter.publisher, "flush", side_effect=nauha.Error("no space")):
            exporter.flush()
        self.assertEqual(self.notices, ["a message was not recorded: Error: no space"])

    def test_a_notice_that_raises(self):
        exporter = nauha.Exporter(self.path, notice=lambda text: 1 / 0)
        model = nn.Linear(3, 2)
        exporter.set_model(model)
        exporter.add_modules(model)
        exporter.publisher.wanted.tapped = fails_at("activations")
        train(model, batches(2, 3, 2))
        self.assertTrue(exporter.close())

    def test_staging_goes_on_after_a_copy_that_failed(self):
        """A piece of the ring, or the parameters' copies, that nobody gives back would be waited for for ever."""
        staging = sys.modules.get("nauha.staging") or importlib.import_module("nauha.staging")
        model = nn.Linear(3, 2)
        for place in ("copy", "synchronize"):
            with self.subTest(place):
                exporter = self.export(model, staging="always")
                stager = exporter.publisher.out
                stager._ring.capacity = 256  # so that one lost piece is missed at once
                fails = iter([True, True] + 1000 * [False])

                class Late:
                    def synchronize(self):
                        if next(fails):
                            raise RuntimeError("the device is gone")

                class Device(staging.HostDevice):
                    def copy(self, source, host, private=False):
                        if place == "copy" and next(fails):
                            raise RuntimeError("the device is gone")
                        super().copy(source, host)
                        return Late() if place == "synchronize" else None

                stager._device = stager._ring._device = Device()
                train(model, batches(4, 3, 2))
                trace = self.trace()
                self.assertIn("a message was not recorded: RuntimeError: the device is gone", self.notices)
                self.assertGreaterEqual(len(trace.of("batch_finished")), 2)

    def test_a_training_that_waited_is_told(self):
        told = sys.modules[nauha.Exporter.__module__]
        for waited, policy, expected in ((0, None, "for the recorder.*OMP_WAIT_POLICY=passive"),
                                         (0, "active", "record fewer kinds or steps$"), (60, None, None)):
            variables = {"OMP_WAIT_POLICY": policy} if policy else {}
            self.notices.clear()
            with mock.patch.multiple(told, WAITED_SECONDS=waited, WAITED_PART=0), mock.patch.dict(os.environ, variables):
                if not policy:
                    os.environ.pop("OMP_WAIT_POLICY", None)
                    os.environ.pop("GOMP_SPINCOUNT", None)  # tests/run.py sets it
                exporter = self.export(nn.Linear(3, 2), buffer="1M")
                exporter._crowd = None  # which may see this machine full
                exporter.register("large", scope="network")
                for _ in range(5):
                    exporter.publish("large", torch.randn(2_000_000))
                self.assertGreater(exporter.stats()["blocked_ns"], 0)
                exporter.close()
            if expected is None:
                self.assertEqual(self.notices, [])
            else:
                self.assertRegex("\n".join(self.notices), expected)

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

    def test_an_older_trace_stays_until_a_step_is_over(self):
        older = self.path.with_name("run.h5.old")
        model = nn.Linear(3, 2)
        for steps, code in (2, 0), (1, KeyError), (3, KeyError):
            with self.subTest(steps=steps), contextlib.ExitStack() as stack:
                if code:
                    stack.enter_context(self.assertRaises(code))
                exporter = stack.enter_context(nauha.Exporter(self.path, notice=self.notices.append))
                exporter.set_model(model)
                exporter.add_modules(model)
                for _ in range(steps):
                    model(torch.randn(1, 3)).sum().backward()
                if code:
                    raise code
            self.assertEqual(len(h5trace.Trace(self.path).of("batch_finished")), 3 if steps == 3 else 2)
            self.assertEqual(older.exists(), steps == 3)
        self.assertEqual(len(h5trace.Trace(older).of("batch_finished")), 2)
        self.assertEqual(self.notices, [f"the previous trace is kept as {older}"])
        self.path.write_text("somebody's")
        with self.assertRaisesRegex(nauha.Error, "so it is not replaced"):
            nauha.Exporter(self.path)
        self.assertEqual(self.path.read_text(), "somebody's")


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
        for wrong, text in ((("nothing", 1), "no topic \"nothing\""), (("note", 1), "does not take a value"),
                            (("mask", 1), "needs a module"), (("learning_rate",), "needs a value")):
            with self.assertRaisesRegex(nauha.Error, text):
                exporter.publish(*wrong)
        with self.assertRaisesRegex(nauha.Error, "was not added"):
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
        for options, text in (({"kinds": ["altitudes"]}, 'kind "altitudes" is unknown'), ({"modules": "layer*"}, "layer*")):
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

        def copy(self, source, host, private=False):
            snapshot = source.detach().clone()

            class Done:
                def synchronize(self):
                    host.copy_(snapshot)

            return Done()

    class Log:
        immediate = True

        def __init__(self):
            self.calls = []

        def publish(self, kind, module, slot, call, tag, tensor, identity=0, placement=0):
            self.calls.append(("publish", kind, None if tensor is None else tensor.clone()))

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
