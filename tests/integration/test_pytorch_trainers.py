# SPDX-License-Identifier: MIT
"""What is recorded of trainings that a trainer runs: by nauha record, and by the trainers' callbacks. What must be in each trace
was written down by hand.

Run once for each PyTorch there is; see tests/run.py.
"""
import importlib.util
import json
import sys
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import NAUHA, ROOT
from tests.integration.test_pytorch_programs import PROGRAMS, Programs
from tests.integration.test_pytorch_record import ENVIRONMENT

WITH_PACKAGE = {**ENVIRONMENT, "PYTHONPATH": str(ROOT / "tools/python")}


def _needs(*packages):
    return unittest.skipUnless(all(map(importlib.util.find_spec, packages)), f"skipped: needs {' and '.join(packages)}")


def facts(trace):
    return json.loads(h5trace.text(trace.file.attrs["facts"]))


class Resumed(Programs):
    """Programs whose job ends after some of 12 steps, in 3 epochs of 4 steps with 2 micro-batches, and goes on from a checkpoint
    when they are started again."""

    def job(self, name, *arguments):
        """Records one job, of which another one goes on. Returns the trace, and what was printed."""
        done = self.record(sys.executable, PROGRAMS / f"{name}_resume.py", self.dir / "checkpoints", *arguments)
        return self.trace(), [line.split() for line in done.stdout.splitlines()]

    def numbers_go_on(self, trace, first, last):
        """first, last: numbers of the trace's steps."""
        stamps = [(m.step, m.train_step, m.epoch) for m in trace.of("batch_finished")]
        self.assertEqual(stamps, [(step, step % 4, step // 4) for step in range(first, last + 1)])
        whole = [step for step in range(first, last + 1) if step % 4 == 3]
        self.assertEqual([(m.step, m.epoch) for m in trace.of("epoch_finished")], [(step, step // 4) for step in whole])
        self.assertEqual([(m.step, m.epoch) for m in trace.of("epoch_started")],
                         [(step, step // 4) for step in range(first, last + 1) if step % 4 == 0])
        losses = [m for m in trace.of("loss") if m.tag == "default"]
        self.assertEqual([(m.step, m.call) for m in losses],
                         [(step, call) for step in range(first, last + 1) for call in range(2)])
        return np.array([float(m.values) for m in losses])

    def evaluated(self, trace):
        return [(m.step, m.call) for m in trace.of("loss") if m.tag == "testing"]

    @_needs("transformers", "peft")
    def test_hugging_face(self):
        for ended, saved, goes_on in ((7, 3, 6), (5, 4, 4)):
            with self.subTest(saved=saved):
                trace, printed = self.job("hf", ended, saved)
                self.check_hugging_face(trace, printed, 0, ended - 1, ended - 1)
                trace, printed = self.job("hf")
                self.check_hugging_face(trace, printed, goes_on, 11, 11)
                self.path.unlink()
                self.remove_checkpoints()

    def check_hugging_face(self, trace, printed, first, last, evaluated_last):
        losses = self.numbers_go_on(trace, first, last).reshape(-1, 2).sum(axis=1)
        logged = {int(words[1]): float(words[3]) for words in printed if words[0] == "loss"}
        np.testing.assert_allclose(losses, [logged[step + 1] for step in range(first, last + 1)], rtol=1e-5)
        steps = sorted({step for step in range(first, last) if step % 4 == 3} | {evaluated_last})
        self.assertEqual(self.evaluated(trace), [(step, call) for step in steps for call in range(2)])
        told = facts(trace)
        self.assertRegex(told["trainer"], r"^Trainer of transformers \d")
        self.assertEqual(told["run_name"], "adapters")
        hyperparameters = json.loads(told["hyperparameters"])
        expected = {"learning_rate": 0.01, "per_device_train_batch_size": 3, "gradient_accumulation_steps": 2, "bf16": True,
                    "num_train_epochs": 3, "weight_decay": 0.0}
        self.assertEqual({name: hyperparameters.get(name) for name in expected}, expected)
        self.assertNotIn("adam_beta1", hyperparameters)
        self.assertNotIn("hub_token", hyperparameters)

    def remove_checkpoints(self):
        for path in sorted((self.dir / "checkpoints").rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
        (self.dir / "checkpoints").rmdir()

    @_needs("lightning")
    def test_lightning(self):
        for ended, saved, goes_on in ((7, 3, 6), (5, 4, 4)):
            with self.subTest(saved=saved):
                for arguments, first, last in (((ended, saved), 0, ended - 1), ((), goes_on, 11)):
                    trace, printed = self.job("lightning", *arguments)
                    losses = self.numbers_go_on(trace, first, last)
                    np.testing.assert_allclose(losses * 2, [float(words[4]) for words in printed if words[0] == "loss"], rtol=1e-6)
                    self.assertEqual(self.evaluated(trace), [(step, call) for step in range(first, last + 1) if step % 4 == 3
                                                             for call in range(2)])
                    hyperparameters = json.loads(facts(trace)["hyperparameters"])
                    self.assertEqual((hyperparameters["width"], hyperparameters["rate"]), (16, 0.01))
                    self.assertEqual((hyperparameters["accumulate_grad_batches"], hyperparameters["learning_rate"]), (2, [0.01]))
                self.path.unlink()
                self.remove_checkpoints()

    @_needs("accelerate")
    def test_accelerate(self):
        for ended, saved, goes_on in ((7, 3, 6), (5, 4, 4)):
            with self.subTest(saved=saved):
                for arguments, first, last in (((ended, saved), 0, ended - 1), ((), goes_on, 11)):
                    trace, printed = self.job("accelerate", *arguments)
                    losses = self.numbers_go_on(trace, first, last)
                    np.testing.assert_allclose(losses * 2, [float(words[3]) for words in printed if words[0] == "loss"], rtol=1e-6)
                    self.assertEqual(self.evaluated(trace), [])
                    self.assertEqual(json.loads(facts(trace)["hyperparameters"])["gradient_accumulation_steps"], 2)
                self.path.unlink()
                self.remove_checkpoints()

    @_needs("lightning")
    def test_what_the_user_says_counts(self):
        self.job("lightning", 7)
        self.record(sys.executable, PROGRAMS / "lightning_resume.py", self.dir / "checkpoints",
                    options=["--first-step", "100", "--evaluation", "validation"])
        trace = self.trace()
        self.assertEqual([(m.step, m.train_step, m.epoch) for m in trace.of("batch_finished")][:3],
                         [(100, 0, 0), (101, 1, 0), (102, 0, 1)])
        self.assertEqual({m.tag for m in trace.of("loss")}, {"default", "validation"})


class Callbacks(Programs):
    """Each trainer with its callback: the trace is that of nauha record."""

    KINDS = "weights,weight_updates,activations,loss,input_labels,network_output,batch_finished,epoch_finished"

    def messages(self, path):
        return [(m.kind, m.module, m.slot, m.step, m.train_step, m.epoch, m.call, m.tag, None if m.kind.endswith("_finished")
                 else m.values.tobytes()) for m in h5trace.Trace(path).messages]

    def with_callback(self, trainer, *arguments):
        done = self.run_program([sys.executable, PROGRAMS / "callbacks.py", trainer, self.path, *arguments], env=WITH_PACKAGE)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def check(self, trainer):
        recorded = self.dir / "recorded.h5"
        done = self.run_program([NAUHA, "record", "-o", recorded, "--kinds", self.KINDS, "--", sys.executable,
                                 PROGRAMS / "callbacks.py", trainer])
        self.assertEqual(done.returncode, 0, done.stderr)
        expected = self.messages(recorded)
        self.with_callback(trainer, 2)  # the trace of the second training of the process replaces that of the first
        self.assertEqual(self.messages(f"{self.path}.old"), expected)
        self.assertEqual(self.messages(self.path), expected)
        told = facts(h5trace.Trace(self.path))
        self.assertEqual(told["step"], "optimizer")
        return expected, told

    def evaluations(self, messages):
        return [(step, call) for kind, _, _, step, _, _, call, tag, _ in messages if (kind, tag) == ("loss", "testing")]

    @_needs("transformers")
    def test_hugging_face(self):
        messages, told = self.check("hf")
        self.assertEqual(self.evaluations(messages), [(2, 0), (2, 1), (5, 0), (5, 1)])
        self.assertEqual(told["run_name"], "classifier")

    @_needs("lightning")
    def test_lightning(self):
        messages, told = self.check("lightning")
        self.assertEqual(self.evaluations(messages), [(3, 0), (3, 1), (7, 0), (7, 1)])
        self.assertEqual(told["run_name"], "classifier/version_0")
        self.assertEqual(json.loads(told["hyperparameters"])["rate"], 0.001)

    @_needs("accelerate")
    def test_accelerate(self):
        _, told = self.check("accelerate")
        self.assertEqual(told["run_name"], "classifier")
        self.assertEqual(json.loads(told["hyperparameters"])["learning_rate"], 0.001)

    @_needs("transformers")
    def test_one_trace_under_nauha_record(self):
        done = self.record(sys.executable, PROGRAMS / "callbacks.py", "hf", self.dir / "callback.h5")
        self.assertIn(f'"nauha record" records this training to "{self.path}": nothing is written to "{self.dir}/callback.h5"',
                      done.stderr)
        self.assertEqual([path.name for path in self.dir.glob("*.h5")], ["run.h5"])
        self.assertEqual(len(self.trace().of("batch_finished")), 6)

    @_needs("transformers")
    def test_options(self):
        done = self.run_program([sys.executable, "-c", """if True:
            from nauha import Error
            from nauha.trainers import HuggingFaceCallback
            for options in {"kinds": "wieghts"}, {"stpes": 1}, {"step": "never"}:
                try:
                    HuggingFaceCallback("run.h5", **options)
                except Error as error:
                    print(error)"""], env=WITH_PACKAGE)
        self.assertEqual(done.returncode, 0, done.stderr)
        first, second, third = done.stdout.splitlines()
        self.assertEqual(first, 'there is no kind "wieghts": did you mean "weights"?')
        self.assertIn('there is no recording option "stpes" (did you mean "steps"?)', second)
        self.assertEqual(third, 'step "never" is unknown; steps: auto, forward, optimizer, manual')


class Frozen(Programs):
    """Parameters that are frozen on purpose are no findings; those that were forgotten are."""

    SCRIPT = """
        model = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _ in range(4)))
        for part in model[0], model[1], model[2].bias, model[3].bias:
            part.requires_grad_(False)
        trained = [model[2].weight, model[3].bias] if sys.argv[1:] else [*model[2].parameters(), model[3].weight]
        optimizer = torch.optim.SGD(trained, lr=0.1)
        train(6)
    """

    def still(self):
        """The parameters that findings say do not change."""
        found = json.loads(self.run_program([NAUHA, "check", self.path, "--json"]).stdout)["findings"]
        return {f"{finding['module']}.{finding['slot']}" for finding in found if finding["value"] == 0 and
                finding["rule"] == "weight_update_ratio" or finding["rule"] == "unchanged_tensor"}

    def test_frozen_and_forgotten(self):
        """3.weight has gradients and no optimizer."""
        self.record(sys.executable, self.script(self.SCRIPT), "forget")
        self.assertEqual(json.loads(facts(self.trace())["frozen"]), ["0.weight", "1.weight", "0.bias", "1.bias", "2.bias"])
        self.assertEqual(self.still(), {"3.weight"})

    def test_during_the_training(self):
        self.record(sys.executable, self.script(self.SCRIPT), options=["--stop-on", "unchanged_tensor,weight_update_ratio"])
        self.assertEqual(len(self.trace().of("batch_finished")), 6)
        self.assertEqual(self.still(), set())

    def test_patterns(self):
        done = self.run_program([sys.executable, "-c", """if True:
            import torch
            from nauha import frozen
            layer = lambda: torch.nn.ModuleDict({"a": torch.nn.Linear(1, 1, bias=False), "b": torch.nn.Linear(1, 1, bias=False)})
            model = torch.nn.ModuleDict({"layers": torch.nn.ModuleList(layer() for _ in range(12)), "head": torch.nn.Linear(1, 1)})
            print(frozen.facts(model, set()))
            model["layers"].requires_grad_(False)
            model["layers"][7]["b"].requires_grad_(True)
            optimized = {id(model["layers"][3]["b"].weight)}
            print(frozen.facts(model, optimized)["frozen"])"""], env=WITH_PACKAGE)
        self.assertEqual(done.returncode, 0, done.stderr)
        none, patterns = done.stdout.splitlines()
        self.assertEqual(none, "{}")
        self.assertEqual(json.loads(patterns), ["layers.*.a.weight", *(f"layers.{i}.b.weight" for i in range(12) if i not in (3, 7))])


class WithoutTrainers(Programs):
    def test_nothing_is_imported(self):
        done = self.run_program([sys.executable, "-c", """if True:
            import sys, nauha, nauha.trainers
            nauha.Exporter
            from nauha import autorecord
            print(sorted({name.split(".")[0] for name in sys.modules} & {"transformers", "lightning", "accelerate"}))"""],
                                env=WITH_PACKAGE)
        self.assertEqual(done.stdout, "[]\n", done.stderr)

    def test_what_is_missing_is_named(self):
        if importlib.util.find_spec("lightning") or importlib.util.find_spec("pytorch_lightning"):
            self.skipTest("skipped: Lightning is there")
        done = self.run_program([sys.executable, "-c", "from nauha.trainers import LightningCallback"], env=WITH_PACKAGE)
        self.assertIn("ModuleNotFoundError: LightningCallback needs lightning or pytorch_lightning", done.stderr)

    def test_a_trainer_that_is_not_understood(self):
        """As one of another version may be: the training is recorded without what the trainer says."""
        done = self.record_script("""
            import types
            class Trainer:
                pass
            sys.modules["transformers.trainer"] = types.SimpleNamespace(Trainer=Trainer)
            trainer = Trainer()
            train(2)
        """)
        self.assertIn("what the trainer says is not in the trace: AttributeError: 'Trainer' object has no attribute 'is_in_train'",
                      done.stderr)
        self.assertEqual([m.step for m in self.trace().of("batch_finished")], [0, 1])

    def test_hyperparameters_that_are_long(self):
        done = self.run_program([sys.executable, "-c", """if True:
            import json
            from nauha.trainers import running
            values = {"rate": 0.5, "model": object, "long": "x" * 1000, "lists": [list(range(20000))], "some": {"a": (1, None)}}
            print(running._json(values))"""], env=WITH_PACKAGE)
        read = json.loads(done.stdout)
        self.assertEqual(read, {"rate": 0.5, "model": "<class 'object'>", "long": "x" * 200, "some": {"a": [1, None]}})


if __name__ == "__main__":
    unittest.main()
