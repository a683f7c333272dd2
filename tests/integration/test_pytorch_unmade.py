# SPDX-License-Identifier: MIT
"""What cannot be made again by running steps again is recorded in full, and everybody is told.

Run once for each PyTorch there is; see tests/run.py.
"""
import collections
import json
import subprocess
import sys
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import NAUHA, ROOT
from tests.integration.pytorch_case import TORCH, Case
from tests.integration.test_pytorch_record import ENVIRONMENT

sys.path.insert(0, str(ROOT / "tests/programs"))
import nauha  # noqa: E402
import unmade  # noqa: E402

PROGRAM = ROOT / "tests/programs/unmade.py"
COMPILES = unittest.skipIf(TORCH < (2, 6) or sys.version_info >= (3, 13) and TORCH < (2, 8), "skipped: torch.compile of this version")
# Of the 4 steps, 0 and 2 have fingerprints of what is inside. The modules of Network are first, inside.0, inside.1, inside, last
# and the whole, of which all make activations of 2 kB and more, but for the last two of 320 bytes. Its parameters: three weights of
# 2.5 to 16 kB, and biases of 256 and 40 bytes, of which the small ones are always in full.
FULL, PRINT = "elements", "fingerprint"


def recorded(path):
    """(kind, how it is kept) -> number of the messages of more than 240 bytes."""
    with nauha.open(path) as trace:
        return collections.Counter((message.kind, message.kept) for message in trace.messages() if message.nbytes > 240)


class Programs(Case):
    def record(self, name, *options):
        done = subprocess.run([NAUHA, "record", "-o", self.path, "--keep", "proof", "--fingerprint-every", "2", *options, "--",
                               sys.executable, PROGRAM, name], env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.kept = recorded(self.path)
        self.notices = [line for line in done.stderr.splitlines() if "recorded in full" in line]

    def verified(self, model, **options):
        return nauha.verify(self.path, model, **options)

    def assert_kept(self, **expected):
        """expected: kind=(messages in full, fingerprints)."""
        for kind, (full, prints) in expected.items():
            self.assertEqual((self.kept[kind, FULL], self.kept[kind, PRINT]), (full, prints), kind)

    def counts(self, report, kind):
        """(proven, in full and not made again, anything else)"""
        found = report["kinds"][kind]
        return found["proven"], found["in_full"], found["close"] + found["different"] + found["not_made"]

    def test_everything_else_as_before(self):
        """Of a training that needs none of this."""
        path = self.folder / "plain.h5"
        code = f"import sys; sys.path.insert(0, {str(PROGRAM.parent)!r}); import torch, unmade; torch.manual_seed(0); " \
            "m = unmade.network(); unmade.train(m, lambda x, y: torch.nn.functional.cross_entropy(m(x), y))"
        done = subprocess.run([NAUHA, "record", "-o", path, "--keep", "proof", "--fingerprint-every", "2", "--", sys.executable,
                               "-c", code], env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, timeout=300)
        self.assertNotIn("in full", done.stderr)
        self.kept = recorded(path)
        self.assert_kept(activations=(0, 12), layer_gradients=(0, 12), weight_gradients=(0, 12), bias_gradients=(0, 8))
        report = nauha.verify(path, unmade.network)
        self.assertEqual((report["proven"], report["in_full"], report["recorded_in_full"]), (52, 0, []))

    @COMPILES
    def test_a_compiled_model(self):
        """The whole is seen from outside. It comes out as the model that is not compiled, for aot_eager computes in the same
        order."""
        self.record("whole")
        self.assert_kept(activations=(4, 0), layer_gradients=(4, 0), weight_gradients=(12, 0), bias_gradients=(8, 0))
        self.assertRegex(self.notices[0], "^nauha: outputs and gradients of the model may come out with other last bits .*"
                         "torch.compile")
        self.assertEqual(len(self.notices), 1)
        report = self.verified(unmade.network)
        self.assertEqual(self.counts(report, "weight_gradients"), (12, 0, 0))
        self.assertTrue(report["same"])

    @COMPILES
    def test_a_compiled_part(self):
        """The compiled module itself in each step, what is around it as ever."""
        self.record("part")
        self.assert_kept(activations=(4, 6), layer_gradients=(4, 6), weight_gradients=(4, 8), bias_gradients=(4, 4))
        self.assertIn('outputs and gradients of "inside" may come out', self.notices[0])
        report = self.verified(unmade.network)
        self.assertEqual(self.counts(report, "activations"), (10, 0, 0))

        class Slightly(unmade.Network):
            """As another compiler would compute it."""

            def __init__(self):
                super().__init__(nn.Sequential(nn.Linear(64, 64), nn.ReLU()))
                self.inside.register_forward_hook(lambda module, args, output: output * (1 + 1e-6))

        report = self.verified(Slightly)
        self.assertTrue(report["same"])
        self.assertGreater(report["close"], 0)
        self.assertFalse(self.verified(lambda: unmade.Network(nn.Sequential(nn.Linear(64, 64), nn.Tanh())))["same"])

        # Metrics of modules of which nothing was recorded, and of the one that was.
        series = nauha.replay(self.path, "norm:activations", model=unmade.network)["activations_norm2"]
        self.assertEqual(collections.Counter(series["module"]), dict.fromkeys(
            ("", "first", "inside", "inside.0", "inside.1", "last"), 4))

    @COMPILES
    def test_a_compiled_function(self):
        """The run of the model is not seen."""
        self.record("function")
        self.assert_kept(activations=(0, 0), weight_gradients=(12, 0), bias_gradients=(8, 0))
        self.assertEqual(len(self.notices), 1, self.notices)
        self.assertIn("the run of the model is not seen", self.notices[0])
        report = self.verified(unmade.network)
        self.assertFalse(report["same"])
        self.assertEqual(self.counts(report, "weight_gradients"), (0, 12, 0))
        self.assertIn("is not seen", report["not_run"][0]["reason"])

    def test_generators(self):
        """Of a module, of a file, and among the arguments: their states are recorded, and the steps run again."""
        self.record("generators")
        self.assertEqual(self.notices, [])
        with nauha.open(self.path) as trace:
            slots = collections.Counter(message.slot for message in trace.messages(kinds="generator_state"))
        self.assertEqual(slots, {"model:own": 4, "file::shared": 4, "argument:1": 4})
        report = self.verified(unmade.Noise)
        self.assertEqual((report["same"], report["proven"], report["in_full"], report["not_made"]), (True, 20, 0, 0), report)

    def test_an_odd_argument(self):
        self.record("odd")
        self.assert_kept(activations=(24, 0), layer_gradients=(24, 0), weight_gradients=(12, 0), bias_gradients=(8, 0))
        self.assertEqual(len(self.notices), 1)
        self.assertRegex(self.notices[0], "an argument of the model is a Settings, .*dataclass")
        report = self.verified(unmade.Scaled)
        self.assertEqual((report["same"], report["proven"], report["in_full"], report["not_made"]), (False, 0, 76, 0))
        self.assertEqual(report["not_run"], [{"reason": "an argument of the model is a Settings, which a trace cannot hold",
                                              "steps": 4}])
        self.record("odd", "--fingerprint", "activations")  # the user's word
        self.assert_kept(activations=(0, 24), layer_gradients=(24, 0))
        self.record("odd", "--proof-every", "2")
        self.assert_kept(activations=(12, 0), weight_gradients=(6, 0))

    def test_metrics_of_what_is_in_full(self):
        self.record("odd")
        series = nauha.replay(self.path, "histogram:activations", model=unmade.Scaled)
        self.assertEqual(len(np.unique(series["activations_histogram"]["global_step"])), 4)

    def test_losses_that_reach_parameters_otherwise(self):
        for name, model in (("penalty", unmade.Network), ("balanced", unmade.Balanced)):
            with self.subTest(name):
                self.record(name)
                self.assert_kept(activations=(0, 12), layer_gradients=(24, 0), weight_gradients=(12, 0), bias_gradients=(8, 0))
                self.assertEqual(len(self.notices), 1)
                self.assertIn("the loss depends on parameters other than through the outputs", self.notices[0])
                report = self.verified(model)
                self.assertTrue(report["same"], report)
                self.assertEqual(self.counts(report, "activations"), (12, 0, 0))
                self.assertEqual(self.counts(report, "network_output"), (4, 0, 0))
                self.assertEqual(sum(self.counts(report, "weight_gradients")[:2]), 12)
                self.assertGreater(self.counts(report, "weight_gradients")[1], 0)
                self.assertFalse(self.verified(lambda: model(nn.Sequential(nn.Linear(64, 64), nn.Tanh())))["same"])

    def test_outputs_that_are_not_found(self):
        self.record("packed")
        self.assert_kept(activations=(0, 10), layer_gradients=(20, 0), weight_gradients=(12, 0), bias_gradients=(8, 0))
        report = self.verified(unmade.Packed)
        self.assertEqual(self.counts(report, "activations"), (10, 0, 0))
        self.assertEqual(self.counts(report, "network_output"), (0, 4, 0))
        self.assertEqual(self.counts(report, "weight_gradients"), (0, 12, 0))

    def test_parameters_in_no_module(self):
        self.record("temperature")
        self.assert_kept(activations=(0, 12), weight_gradients=(4, 12), bias_gradients=(0, 8))
        self.assertRegex(self.notices[0], 'gradients of "parameters" cannot be made again')
        report = self.verified(unmade.network)
        self.assertTrue(report["same"], report)
        self.assertEqual(self.counts(report, "weight_gradients"), (12, 4, 0))
        self.assertEqual(sum(self.counts(report, "network_output")[:2]), 4)  # the scales are 1 in the first step

    def test_gradient_penalties(self):
        """Found when the first gradient has arrived."""
        self.record("smooth")
        self.assert_kept(activations=(0, 12), weight_gradients=(12, 0), bias_gradients=(8, 0))
        self.assertEqual(len(self.notices), 1)
        report = self.verified(unmade.network)
        self.assertEqual((report["different"], self.counts(report, "weight_gradients")), (0, (0, 12, 0)))
        self.assertEqual(self.counts(report, "activations"), (12, 0, 0))


class Told(Case):
    def test_only_proof_is_told_of_it(self):
        """Other recordings of the outside know the reason, but keep nothing else for it."""
        model = unmade.Scaled()
        self.export(model, kinds=["pass_context", "weights", "activations"], keep="fingerprints", full="pass_context")
        model(torch.randn(8, 16), unmade.Settings(1)).sum().backward()
        self.exporter.close()
        self.assertFalse([text for text in self.notices if "in full" in text])
        self.assertEqual(recorded(self.path)["activations", FULL], 0)
        with nauha.open(self.path) as trace:
            found, = [json.loads(bytes(message.tensor)) for message in trace.messages(kinds="pass_context")
                      if message.slot == "in_full"]
        self.assertEqual((found[0]["again"], found[0]["modules"]), ("none", [""]))

    def test_network_output_is_judged(self):
        """Where the loss function was given what the model returned, or a view of it; not where it was given something else."""
        for given, expected in ((lambda x: x, "different"), (lambda x: x.flatten(), "different"), (torch.tanh, "in_full")):
            model = nn.Linear(4, 3)
            self.export(model, keep="proof", overwrite=True)
            loss_function = self.exporter.set_loss(lambda output, y: (output - y).square().mean())
            loss_function(given(model(torch.randn(50, 4))), torch.zeros(3 if given is torch.tanh else 1)).backward()
            self.exporter.close()

            class Other(nn.Linear):
                factor = 1.0

                def forward(self, x):
                    return super().forward(x) * self.factor

            for factor, outcome in ((1.0, "proven"), (1 + 1e-6, "close"), (1.1, expected)):
                other = Other(4, 3)
                other.factor = factor
                outcome = "in_full" if expected == "in_full" else outcome
                found = nauha.verify(self.path, other, kinds="network_output")
                self.assertEqual(found["kinds"]["network_output"][outcome], 1, (factor, found))


if __name__ == "__main__":
    unittest.main()
