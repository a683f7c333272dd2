# SPDX-License-Identifier: MIT
"""nauha record on the programs of tests/programs, which are written as their authors would write them. What must be in each
trace was written down by hand.

Run once for each PyTorch there is; see tests/run.py.
"""
import csv
import importlib.util
import sys
import unittest

import numpy as np

from tests.integration.program import NAUHA, ROOT
from tests.integration.test_pytorch_record import TORCH, Case

PROGRAMS = ROOT / "tests/programs"


class Programs(Case):
    def recorded(self, name, *arguments, options=(), bare=True):
        """Records a program, which has to print the same as without, if bare; returns its trace."""
        command = [sys.executable, PROGRAMS / f"{name}.py", *arguments]
        done = self.record(*command, options=options)
        self.printed = [line.split() for line in done.stdout.splitlines()]
        if bare:
            without = self.run_program(command)
            self.assertEqual(without.returncode, 0, without.stderr)
            self.assertEqual([line for line in self.printed if "runtime" not in " ".join(line)],
                             [line.split() for line in without.stdout.splitlines() if "runtime" not in line])
        self.notices = [line for line in done.stderr.splitlines() if line.startswith("nauha: ")]
        return self.trace()

    def numbers(self, name):
        """What the program printed on lines that begin with this word."""
        return [float(words[-1]) for words in self.printed if words[0] == name]

    def steps_of(self, trace, epochs, micro_batches=1):
        """Every step ends with an update, in the right epoch; `epochs` says how many steps each has."""
        self.assertEqual([m.epoch for m in trace.of("batch_finished")],
                         [epoch for epoch, count in enumerate(epochs) for _ in range(count)])
        self.assertEqual([m.step for m in trace.of("batch_finished")], list(range(sum(epochs))))
        losses = [m for m in trace.of("loss") if m.tag == "default"]
        self.assertEqual([(m.step, m.call) for m in losses],
                         [(step, call) for step in range(sum(epochs)) for call in range(micro_batches)])
        first = next(m.module for m in trace.of("weight_updates"))
        moved = [m.step for m in trace.of("weight_updates") if m.module == first and m.values.any()]
        self.assertEqual(moved, list(range(sum(epochs))))
        return np.array([float(m.values) for m in losses]).reshape(-1, micro_batches)


    def assert_series(self, spec, expected, rtol=1e-6):
        """A metric of this SPEC gives one value at each of these steps: step -> value."""
        name = spec.partition(":")[0]
        done = self.run_program([NAUHA, "replay", self.path, "--metric", spec, "--sink", "csv", "-o", self.dir / spec])
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.dir / spec / f"{name}.csv", newline="") as file:
            rows = [(int(row["global_step"]), float(row["value"])) for row in csv.DictReader(file)]
        self.assertEqual([step for step, _ in rows], list(expected))
        np.testing.assert_allclose([value for _, value in rows], list(expected.values()), rtol=rtol)

    def counts(self, trace, tag, slot):
        """The numbers of samples or tokens of the losses that are sums (slot "") or means (slot "mean")."""
        return [float(m.values) for m in trace.of("samples_in_loss") if m.tag == tag and m.slot == slot]


class Loops(Programs):
    def test_sums_over_test_batches(self):
        trace = self.recorded("mnist_like", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [5, 5, 5])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        self.assertEqual(self.counts(trace, "default", "mean"), [20] * 15)
        self.assertEqual(self.counts(trace, "testing", ""), [30, 30, 30, 10] * 3)
        self.assert_series("step_loss", dict(enumerate(self.numbers("loss"))))
        self.assert_series("step_loss:tag=testing", dict(zip([4, 9, 14], self.numbers("testing"))))

    def test_dcgan(self):
        trace = self.recorded("generative", "dcgan")
        losses = self.steps_of(trace, [8, 8], micro_batches=3)
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        self.assertEqual(len(trace.of("epoch_finished")), 2)

    def test_wgan(self):
        trace = self.recorded("generative", "wgan")
        losses = self.steps_of(trace, [8, 8], micro_batches=11)
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)

    def test_loaders(self):
        for way in ("list", "ahead", "stream", "anew", "beside", "counted"):
            with self.subTest(way):
                trace = self.recorded("loaders", way, options=["--kinds", "loss,weight_updates,batch_finished,epoch_finished"],
                                      bare=way == "list")
                self.steps_of(trace, [8, 8, 8])
                self.assertEqual([m.step for m in trace.of("epoch_finished")], [7, 15, 23])

    def test_a_running_average_of_the_model(self):
        trace = self.recorded("averaged", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [6, 6])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        evaluated = [float(m.values) for m in trace.of("loss") if m.tag == "testing"]
        np.testing.assert_allclose(evaluated, self.numbers("testing"), rtol=1e-6)
        self.assertEqual(len([m for m in trace.of("network_output") if m.tag == "default"]), 12)

    def test_reinforce(self):
        trace = self.recorded("reinforce")
        losses = self.steps_of(trace, [5])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        runs = [m.step for m in trace.of("activations") if m.module == ""]
        self.assertEqual(runs, [step for step in range(5) for _ in range(4 + step)])

    def test_evaluation_mode(self):
        trace = self.recorded("evaluation_mode")
        losses = self.steps_of(trace, [4])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        self.assertEqual([m.values.shape for m in trace.of("network_output")], [(32, 3)] * 4)

    def test_a_language_model_without_an_optimizer(self):
        trace = self.recorded("language_model", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [10])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
        self.assertEqual(self.counts(trace, "default", "mean"), [80] * 10)
        self.assertEqual(self.counts(trace, "testing", "mean"), [120, 40] * 2)
        self.assert_series("step_loss:tag=testing", dict(zip([4, 9], self.numbers("validation"))))

    def test_a_gpt_on_two_ranks(self):
        if TORCH < (2, 0):
            self.skipTest("skipped: torchrun of that time does not start with Python 3.11")
        program = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", PROGRAMS / "nano_gpt.py"]
        bare = self.run_program([sys.executable, *program])
        done = self.record(sys.executable, *program, options=["--evaluation", "testing"])
        self.assertEqual((done.returncode, done.stdout), (0, bare.stdout))
        self.printed = [line.split() for line in bare.stdout.splitlines()]
        for rank in range(2):
            trace = self.trace(f"run.rank{rank}.h5")
            losses = self.steps_of(trace, [6], micro_batches=4)
            names = {m.module for m in trace.of("weights")}  # a tied weight has its first name
            self.assertTrue("wte" in names and "blocks.1.linear2" in names and "lm_head" not in names, names)
            if rank == 0:
                np.testing.assert_allclose(losses[:, -1] * 4, self.numbers("loss"), rtol=1e-6)
                evaluated = [(m.step, float(m.values)) for m in trace.of("loss") if m.tag == "testing"]
                self.assertEqual([step for step, _ in evaluated], [2, 2])  # that before the first step is not recorded
                self.assertAlmostEqual(np.mean([loss for _, loss in evaluated]), self.numbers("validation")[1], 5)

    def test_a_compiled_gpt(self):
        if TORCH < (2, 2):
            self.skipTest("skipped: torch.compile came later")
        trace = self.recorded("nano_gpt", "compile")
        losses = self.steps_of(trace, [6], micro_batches=4)
        np.testing.assert_allclose(losses[:, -1] * 4, self.numbers("loss"), rtol=1e-6)
        self.assertEqual(len(trace.of("weight_gradients")) % 24, 0)
        self.assertIn("compiled by torch.compile", " ".join(self.notices))

    def test_a_compiled_step(self):
        if TORCH < (2, 2):
            self.skipTest("skipped: torch.compile came later")
        for what in ("loss", "step"):
            with self.subTest(what):
                trace = self.recorded("compiled", what)
                losses = self.steps_of(trace, [4])
                np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)
                self.assertEqual(len(trace.of("weight_gradients")), 8)
                self.assertEqual(trace.of("activations") + trace.of("network_output"), [])
                self.assertIn("no activations and outputs", " ".join(self.notices))


class BareParameters(Programs):
    """Of optimizers, and in no module: the trace has them as those of a ParameterList called "parameters"."""

    def check(self, trace, steps, losses, modules, **slots):
        """losses: of a step. modules: those that have parameters. slots: module -> its parameters of one element, of which the
        program printed the values before each step. All of them are trained in every step."""
        self.assertEqual([(m.step, m.call) for m in trace.of("loss")], [(step, call) for step in range(steps) for call in range(losses)])
        np.testing.assert_allclose([float(m.values) for m in trace.of("loss")], self.numbers("loss"), rtol=1e-6)
        self.assertEqual({m.module for m in trace.of("weights")}, modules)
        printed = np.reshape(self.numbers("parameter"), (steps, -1))
        places = [(module, slot) for module, names in slots.items() for slot in names]
        for column, place in zip(printed.T, places):
            weights, gradients, updates = ([m for m in trace.of(kind) if (m.module, m.slot) == place] for kind in (
                "weights", "weight_gradients", "weight_updates"))
            for found in weights, gradients, updates:
                self.assertEqual([m.step for m in found], list(range(steps)), place)
            np.testing.assert_allclose([m.values.item() for m in weights], column, rtol=1e-6)
            np.testing.assert_allclose([m.values.item() for m in updates][:-1], np.diff(column), rtol=1e-4)
            self.assertTrue(all(m.values.any() for m in gradients + updates))
        self.assertEqual(self.notices[:-1], [])
        return printed[:, len(places):]

    def test_a_temperature(self):
        trace = self.recorded("bare_parameters", "temperature")
        more = self.check(trace, 4, 1, {"first", "last", "parameters"}, parameters=["0"])
        gradients = [m.values for m in trace.of("weight_gradients") if m.module == "parameters"]
        np.testing.assert_allclose(gradients, more[:, 0], rtol=1e-6)
        self.assertEqual(trace.classes[trace.modules.index("parameters")], "ParameterList")

    def test_two_models_and_two_parameters_with_an_optimizer_of_their_own(self):
        trace = self.recorded("bare_parameters", "towers")
        models = {f"{model}.{part}" for model in ("Tower", "TextTower") for part in ("first", "last")}
        self.check(trace, 4, 1, {*models, "parameters"}, parameters=["0", "1"])

    def test_a_parameter_whose_loss_comes_from_no_run(self):
        trace = self.recorded("bare_parameters", "entropy")
        self.check(trace, 4, 3, {"Tower.first", "Tower.last", "Linear", "parameters"}, parameters=["0"])

    def test_a_parameter_of_a_module_around_the_model(self):
        trace = self.recorded("bare_parameters", "inside")
        self.check(trace, 4, 1, {"net.0", "net.2", ""}, **{"": ["log_variance"]})

    def test_nothing_but_parameters(self):
        trace = self.recorded("bare_parameters", "fit")
        self.check(trace, 4, 1, {"parameters"}, parameters=["1"])
        slopes = [m for m in trace.of("weight_updates") if m.slot == "0"]
        self.assertEqual([(m.step, m.shape) for m in slopes], [(step, (3,)) for step in range(4)])

    def test_images_through_a_frozen_network(self):
        trace = self.recorded("style_transfer")
        self.assertEqual([(m.step, m.call) for m in trace.of("loss")],
                         [(step, call) for step in range(3) for call in range(3)] + [(3, 0), (4, 0), (5, 0)])
        np.testing.assert_allclose([float(m.values) for m in trace.of("loss")], self.numbers("loss"), rtol=1e-6)
        for kind, calls in (("weights", 1), ("weight_updates", 1), ("weight_gradients", 3)):
            images = [m for m in trace.of(kind) if m.module == "parameters"]
            self.assertEqual([(m.step, m.slot, m.shape) for m in images],
                             [(step, "0", (1, 3, 8, 8)) for step in range(3) for _ in range(calls)] +
                             [(step, "1", (1, 3, 10, 10)) for step in range(3, 6)], kind)
            self.assertTrue(all(m.values.any() for m in images))
        norms = [np.linalg.norm(m.values) for m in trace.of("weight_gradients") if m.slot == "1"]
        np.testing.assert_allclose(norms, self.numbers("gradient"), rtol=1e-5)
        for slot, step, printed in (("0", 2, 0), ("1", 5, 1)):
            last = [next(m.values for m in trace.of(kind) if (m.step, m.slot) == (step, slot)) for kind in ("weights", "weight_updates")]
            self.assertAlmostEqual(float(sum(last).sum()), self.numbers("image")[printed], 4)
        runs = [(m.step, m.module) for m in trace.of("activations")]
        self.assertEqual(runs, [(step, f"features.{layer}") for step in [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4, 5] for layer in range(3)])


def _needs(package):
    return unittest.skipUnless(importlib.util.find_spec(package), f"skipped: needs {package}")


class Trainers(Programs):
    @_needs("transformers")
    def test_hugging_face(self):
        trace = self.recorded("hf_trainer", "checkpoint", "bf16", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [4, 4], micro_batches=2)
        np.testing.assert_allclose(losses.sum(axis=1), self.numbers("loss"), rtol=1e-5)
        self.assertEqual(len(trace.of("epoch_finished")), 2)
        self.assert_series("step_loss", dict(enumerate(self.numbers("loss"))), rtol=1e-5)
        self.assertEqual(self.counts(trace, "testing", "") + self.counts(trace, "testing", "mean"), [33, 33, 33, 33])
        self.assert_series("step_loss:tag=testing", dict(zip([3, 7], self.numbers("eval_loss"))), rtol=1e-5)

    @_needs("lightning")
    def test_lightning(self):
        trace = self.recorded("lightning_fit", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [4, 4], micro_batches=2)
        np.testing.assert_allclose(losses.ravel() * 2, self.numbers("loss"), rtol=1e-6)
        self.assert_series("step_loss", dict(enumerate(np.reshape(self.numbers("loss"), (-1, 2)).mean(axis=1))))
        self.assertEqual(len(trace.of("epoch_finished")), 2)
        evaluated = [float(m.values) for m in trace.of("loss") if m.tag == "testing"]
        np.testing.assert_allclose(evaluated, self.numbers("validation")[2:], rtol=1e-6)  # the first two: before the training

    @_needs("lightning")
    def test_lightning_with_manual_optimization(self):
        losses = self.steps_of(self.recorded("lightning_fit", "manual"), [8, 8])
        np.testing.assert_allclose(losses.ravel(), self.numbers("loss"), rtol=1e-6)

    @_needs("accelerate")
    def test_accelerate(self):
        trace = self.recorded("accelerated", options=["--evaluation", "testing"])
        losses = self.steps_of(trace, [4, 4, 4], micro_batches=2)
        np.testing.assert_allclose(losses.ravel() * 2, self.numbers("loss"), rtol=1e-6)
        evaluated = [float(m.values) for m in trace.of("loss") if m.tag == "testing"]
        np.testing.assert_allclose(evaluated, self.numbers("testing"), rtol=1e-6)
        self.assertEqual(len(trace.of("epoch_finished")), 3)


if __name__ == "__main__":
    unittest.main()
