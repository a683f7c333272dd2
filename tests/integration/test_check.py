# SPDX-License-Identifier: MIT
"""nauha check: what it prints, its exit codes, and what it says to bad input."""
import json
import subprocess
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import NAUHA, folder_of, has_training, make_trace, nauha


class Check(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = folder_of(cls)
        cls.path = make_trace(cls.folder / "run.h5")

    def check(self, *arguments, code):
        return json.loads(nauha("check", self.path, "--json", *arguments, code=code).stdout)

    def test_a_healthy_trace(self):
        done = nauha("check", self.path)
        self.assertRegex(done.stdout, r"^\S+run\.h5: \d+ rules checked, nothing found\n$")
        self.assertEqual(nauha("check", "-q", self.path).stdout, "")
        found = self.check(code=0)
        self.assertEqual((found["findings"], found["count"]), ([], 0))
        self.assertIn("vanishing_gradient:weight_gradients", found["checked"])
        self.assertIn("weight_update_ratio", found["checked"])

    def test_a_finding_is_what_numpy_finds(self):
        trace = h5trace.Trace(self.path)
        found = self.check("--rule", "tensor_variance:weights:max=0.01", "--steps", "2:4", code=1)
        self.assertEqual(found["count"], 2)
        for finding in found["findings"]:
            self.assertEqual((finding["rule"], finding["kind"], finding["tag"], finding["rank"], finding["threshold"]),
                             ("tensor_variance", "weights", "default", 0, 0.01))
            self.assertEqual((finding["first_step"], finding["last_step"], finding["count"]), (2, 3, 2))
            variances = [np.var(m.values.astype(np.float64), ddof=1) for m in trace.of("weights")
                         if m.module == finding["module"] and m.step in (2, 3)]
            self.assertAlmostEqual(finding["value"], variances[0], 12)
            self.assertAlmostEqual(finding["worst"], max(variances), 12)
            self.assertEqual(finding["worst_step"], 2 + int(np.argmax(variances)))
        self.assertEqual({finding["module"] for finding in found["findings"]}, {"hidden", "output"})
        trace.file.close()

    def test_text_says_each_sentence_once(self):
        done = nauha("check", self.path, "--rule", "tensor_variance:weights:max=0.01", code=1)
        lines = done.stdout.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(lines[0].startswith("tensor_variance: the variance of these values is above the limit"))
        self.assertRegex(lines[1], r"^  hidden weight +weights +steps 0 to 5, 6 times: variance = 0\.\d+, threshold 0\.01")

    def test_many_places_are_cut_short(self):
        done = nauha("check", self.path, "--rule", "tensor_variance:weights,biases,activations,weight_gradients,bias_gradients,"
                     "weight_updates,bias_updates:min=1e9", code=1)
        self.assertIn('more; "nauha check --json" lists all', done.stdout)

    def test_rules_run_where_their_inputs_are(self):
        found = self.check("--kinds", "loss", code=0)
        self.assertIn("exploding_tensor:loss", found["checked"])
        reasons = {entry["rule"]: entry["reason"] for entry in found["unchecked"]}
        self.assertEqual(reasons["weight_update_ratio"], "no weight_updates, weights")
        self.assertIn("not checked: vanishing_gradient (no weight_gradients)", nauha("check", self.path, "--kinds", "loss").stderr)

    @unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
    def test_hashes_are_nothing_to_check(self):
        path = self.path.with_name("hashes.h5")
        nauha("train", "-q", "--keep", "hashes", "--max-steps", 3, "--test-every", 0, "-o", path)
        done = nauha("check", path, code=2)
        self.assertEqual(done.stdout, "")
        self.assertIn(f'nauha: no rule was checked: "{path}" has no messages for any rule\n', done.stderr)
        self.assertIn("not checked: vanishing_gradient (weight_gradients: only hashes were recorded), exploding_tensor (", done.stderr)

    def test_nothing_to_check_is_no_success(self):
        done = nauha("check", self.path, "--kinds", "input_labels", code=2)
        self.assertEqual(done.stdout, "")
        self.assertIn("has no messages for any rule among those that the options choose", done.stderr)
        self.assertEqual(self.check("--kinds", "input_labels", code=2)["checked"], [])

    def test_what_is_said_first_stands_first(self):
        """Findings and remarks in one file: neither within the other's lines."""
        done = subprocess.run([NAUHA, "check", self.path, "--rule", "tensor_variance:weights:max=0.01", "--rule", "overfit"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        lines = done.stdout.splitlines()
        self.assertTrue(lines[0].startswith("tensor_variance: "), lines)
        self.assertEqual(lines[-1], "not checked: overfit (no messages with the tag testing)")

    def test_what_a_rule_measures_is_a_series(self):
        csv = nauha("replay", self.path, "--metric", "weight_update_ratio").stdout.splitlines()
        self.assertEqual(len(csv), 1 + 12)
        self.assertTrue(csv[1].startswith("weight_update_ratio,0,"))

    def test_one_rule_with_several_thresholds(self):
        found = self.check("--rule", "tensor_variance:weights:max=0.01", "--rule", "tensor_variance:weights:max=0.02", code=1)
        self.assertEqual({finding["threshold"] for finding in found["findings"]}, {0.01, 0.02})
        done = nauha("replay", self.path, "--metric", "tensor_variance:weights:max=1", "--metric", "tensor_variance:weights:max=2", code=2)
        self.assertIn('both write the series "weights_tensor_variance"', done.stderr)

    def test_ranks_are_told_apart(self):
        ranks = [make_trace(self.path.parent / f"run.rank{rank}.h5", "--rank", rank) for rank in (0, 1)]
        rule = ["--rule", "tensor_variance:weights:max=0.01", "--modules", "hidden"]
        found = json.loads(nauha("check", *ranks, *rule, "--json", code=1).stdout)["findings"]
        self.assertEqual([(finding["module"], finding["rank"]) for finding in found], [("hidden", 0), ("hidden", 1)])
        lines = nauha("check", *ranks, *rule, code=1).stdout.splitlines()
        self.assertEqual([line.split("  ")[1] for line in lines[1:]], ["hidden weight, rank 0", "hidden weight, rank 1"])

    def test_usage(self):
        for arguments, text in ((["--rule", "norm:weights"], 'there is no rule "norm"; rules: vanishing_gradient'),
                                (["--rule", "all_zero:nope"], 'no kind "nope"'),
                                (["--rule", "all_zero:threshold=101"], "takes a number from 0 to 100"),
                                (["--rule", "all_zero:level=1"], 'has no key "level"')):
            with self.subTest(arguments):
                self.assertIn(text, nauha("check", self.path, *arguments, code=2).stderr)
        nauha("check", code=2)
        self.assertIn("cannot open", nauha("check", "/nowhere.h5", code=3).stderr)


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Live(unittest.TestCase):
    def setUp(self):
        self.folder = folder_of(self)
        self.trace = self.folder / "run.h5"

    def train(self, *arguments, code):
        return nauha("train", "-o", self.trace, "--batch-size", "32", "--max-steps", "40", *arguments, code=code)

    def test_a_rule_ends_the_training(self):
        done = self.train("--optimizer", "sgd", "--learning-rate", "1e6", "--stop-on", "overfit,exploding_tensor", code=1)
        self.assertEqual(done.stdout, "")
        self.assertIn("exploding_tensor: the values are no longer finite", done.stderr)
        self.assertIn("nauha: ended by the rule exploding_tensor", done.stderr)
        info = json.loads(nauha("info", "--json", self.trace).stdout)
        self.assertTrue(info["complete"])
        self.assertLess(info["steps"], 10)
        # What was found live is what is found in the recording.
        found = json.loads(nauha("check", self.trace, "--json", "--rule", "exploding_tensor", code=1).stdout)["findings"]
        self.assertEqual(found[0]["first_step"], info["steps"] - 1)
        self.assertIn(f"step {found[0]['first_step']}: nan or inf elements = {found[0]['value']:.4g}", done.stderr)

    def test_without_stop_on_it_goes_on(self):
        done = self.train("--optimizer", "sgd", "--learning-rate", "1e6", "--rule", "exploding_tensor:loss", code=1)
        self.assertIn("exploding_tensor", done.stderr)
        self.assertNotIn("ended by", done.stderr)
        self.assertEqual(json.loads(nauha("info", "--json", self.trace).stdout)["steps"], 40)

    def test_a_healthy_training_is_left_alone(self):
        done = self.train("--stop-on", "exploding_tensor,vanishing_gradient,weight_update_ratio", code=0)
        self.assertNotIn("exploding_tensor", done.stderr)
        self.assertEqual(json.loads(nauha("info", "--json", self.trace).stdout)["steps"], 40)

    def test_rules_see_what_is_not_recorded(self):
        done = self.train("--optimizer", "sgd", "--learning-rate", "1e6", "--kinds", "weights", "--steps", "::40",
                          "--stop-on", "exploding_tensor", "--rule", "exploding_tensor:activations", code=1)
        self.assertIn("ended by the rule exploding_tensor", done.stderr)
        self.assertEqual(set(json.loads(nauha("info", "--json", self.trace).stdout)["kinds"]), {"weights"})

    def test_given_rules_are_not_added_twice(self):
        self.train("--rule", "exploding_tensor:loss:only_nan=1", "--stop-on", "exploding_tensor", "--metric", "loss",
                   "--live", self.trace.parent / "live", "--sink", "csv", code=0)
        self.assertEqual(sorted(path.name for path in (self.trace.parent / "live").iterdir()),
                         ["loss.csv", "loss_exploding_tensor.csv"])

    def test_usage(self):
        for arguments in (["--stop-on", "norm"], ["--rule", "norm:weights"], ["--stop-on", "exploding_tensor,nope"]):
            self.assertIn("no rule", self.train(*arguments, code=2).stderr)
        self.assertFalse(self.trace.exists())
        self.assertIn("no rule", nauha("record", "-o", self.trace, "--stop-on", "norm", "--", "true", code=2).stderr)


if __name__ == "__main__":
    unittest.main()
