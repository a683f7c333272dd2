# SPDX-License-Identifier: MIT
"""A metric that fails ends alone: what the others compute is what they compute without it."""
import contextlib
import json
import os
import re
import sys
import unittest
import warnings

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import folder_of, nauha, read_csv

import nauha as package  # noqa: E402  (arrays.py has put it in the path)

STEPS = 12
TWICE, AGAIN = 5, 7  # the steps in which something is wrong
WHY = {
    "variance:batch_finished": 'failed at step 0, "batch_finished" of the network: message "batch_finished" is an event',
    "train_accuracy": f'failed at step {TWICE}, "network_output" of the network: a second "network_output" of the network in '
                      f"step {TWICE} before its bundle was complete",
    "ratio:layer_gradients,activations": f'failed at step {AGAIN}, "activations" of module "b": a second "activations" of '
                                         f'module "b" in step {AGAIN} before its bundle was complete',
}
GOOD = ("loss", "norm:activations", "norm:layer_gradients", "nonfinite:activations")


def write(path):
    """A GAN's two outputs before the labels in step TWICE, and a layer that runs twice in step AGAIN."""
    random = np.random.default_rng(3)
    with Arrays(path) as arrays:
        for step in range(STEPS):
            arrays.step()
            for module in ("a", "b", "c", "b") if step == AGAIN else ("a", "b", "c"):
                arrays.publish("activations", module, random.standard_normal((4, 5)).astype(np.float32))
            for _ in range(2 if step == TWICE else 1):
                arrays.publish("network_output", None, random.standard_normal((4, 5)).astype(np.float32))
            arrays.publish("input_labels", None, np.arange(4))
            arrays.publish("loss", None, np.float32(1 / (1 + step)))
            for module in ("c", "b", "a"):
                arrays.publish("layer_gradients", module, random.standard_normal((4, 5)).astype(np.float32))
    return path


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = write(cls.dir / "run.h5")

    def replay(self, name, *specs, code=0, more=(), path=None):
        out = self.dir / name
        metrics = [word for spec in specs for word in ("--metric", spec)]
        return nauha("replay", *([path] if path else [self.path]), *metrics, "-o", out, "--sink", "csv", *more, code=code), out

    def files(self, folder):
        return {path.name: path.read_bytes() for path in folder.iterdir()}


class Replay(Case):
    def test_the_others_are_complete(self):
        _, without = self.replay("without", *GOOD)
        done, out = self.replay("with", *WHY, *GOOD, code=4)
        for spec, why in WHY.items():
            self.assertIn(f'nauha: metric "{spec}" {why}', done.stderr)
        files, expected = self.files(out), self.files(without)
        self.assertEqual([name for name in files if "partial" in name], [])
        self.assertEqual({name: files[name] for name in expected}, expected)
        self.assertEqual(len(set(files) - set(expected)), len(WHY), files.keys())

    def test_what_was_published_is_kept(self):
        _, out = self.replay("kept", "train_accuracy", "ratio:layer_gradients,activations", code=4)
        self.assertEqual([int(row["global_step"]) for row in read_csv(out / "train_accuracy.csv")], list(range(TWICE)))
        rows = read_csv(out / "layer_gradients_activations_ratio.csv")
        self.assertEqual({int(row["global_step"]) for row in rows}, set(range(AGAIN)))
        self.assertEqual(len(rows), 3 * AGAIN)

    def test_what_feeds_on_it_goes_on(self):
        done, out = self.replay("fed", "ratio:layer_gradients,activations",
                                "message_mean:layer_gradients_activations_ratio", code=4)
        rows = read_csv(out / "layer_gradients_activations_ratio.csv")
        means = read_csv(out / "layer_gradients_activations_ratio_message_mean.csv")
        self.assertEqual([int(row["global_step"]) for row in means], list(range(AGAIN)))
        for row in means:
            values = [float(other["value"]) for other in rows if other["global_step"] == row["global_step"]]
            self.assertAlmostEqual(float(row["value"]), np.mean(values))
        self.assertNotIn("message_mean", "".join(line for line in done.stderr.splitlines() if "failed" in line))

    def test_any_number_of_threads(self):
        results = []
        for jobs in (1, 2, 5):
            done, out = self.replay(f"jobs{jobs}", *WHY, *GOOD, code=4, more=("-j", jobs))
            results.append((self.files(out), done.stderr.replace(f"jobs{jobs}", "jobs")))
        self.assertEqual(results[1], results[0])
        self.assertEqual(results[2], results[0])

    def test_standard_output_and_quiet(self):
        done = nauha("replay", self.path, "-q", "--metric", "train_accuracy", "--metric", "loss", code=4)
        self.assertEqual(done.stdout.count("\nloss,"), STEPS)
        self.assertEqual(done.stdout.count("\ntrain_accuracy,"), TWICE)
        self.assertEqual(done.stderr, f'nauha: metric "train_accuracy" {WHY["train_accuracy"]}\n')

    def test_strict_ends_at_once(self):
        done, out = self.replay("strict", "loss", "train_accuracy", code=3, more=["--strict"])
        self.assertIn('subscriber "train_accuracy": a second "network_output" of the network', done.stderr)
        self.assertFalse((out / "loss.csv").exists())

    def test_a_run_of_several(self):
        sound = self.dir / "sound.h5"
        with Arrays(sound) as arrays:
            arrays.step()
            arrays.publish("network_output", None, np.eye(4, 5, dtype=np.float32))
            arrays.publish("input_labels", None, np.arange(4))
        out = self.dir / "runs"
        done = nauha("replay", self.path, sound, "--metric", "train_accuracy", "-o", out, "--sink", "csv", code=4)
        self.assertIn(f'nauha: run: metric "train_accuracy" {WHY["train_accuracy"]}', done.stderr)
        self.assertEqual(done.stderr.count("failed"), 1)
        rows = read_csv(out / "train_accuracy.csv")
        self.assertEqual([row["run"] for row in rows], ["run"] * TWICE + ["sound"])

    def test_a_metric_in_python(self):
        (self.dir / "mine.py").write_text("import nauha\nclass Broken(nauha.Subscriber):\n"
                                          "    def compute(self, message):\n        return 1 / (message.global_step - 2)\n")
        environment = {**os.environ, "NAUHA_PYTHON": sys.executable}
        done = nauha("replay", self.path, "--metric", f"{self.dir}/mine.py:Broken:activations", "--metric", "loss", "-o",
                     self.dir / "python", "--sink", "csv", code=4, env=environment)
        self.assertIn('metric "Broken:activations" failed at step 2, "activations" of module "a": ZeroDivisionError', done.stderr)
        self.assertIn("in compute", done.stderr)  # the traceback
        self.assertEqual(len(read_csv(self.dir / "python/loss.csv")), STEPS)
        self.assertEqual(len(read_csv(self.dir / "python/activations_broken.csv")), 2 * 3)


class Rules(Case):
    # Sees the outputs and labels as train_accuracy does.
    NAMES = ("class_imbalance", "confusion")

    def test_check(self):
        done = nauha("check", self.path, code=4)
        said = " ".join(done.stderr.split())
        for name in self.NAMES:
            self.assertRegex(said, rf"nauha: not judged: .*{name} \({re.escape(WHY['train_accuracy'])}\)")
        self.assertRegex(done.stdout, r"run.h5: \d+ rules checked, nothing found")

    def test_check_json(self):
        done = nauha("check", self.path, "--json", code=4)
        found = json.loads(done.stdout)
        self.assertEqual(found["failed"], [{"rule": name, "reason": WHY["train_accuracy"]} for name in self.NAMES])
        self.assertFalse(set(self.NAMES) & set(spec.split(":")[0] for spec in found["checked"]))
        self.assertGreater(len(found["checked"]), 2)

    def test_all_rules_failed(self):
        done = nauha("check", "-q", self.path, "--rule", "confusion", code=4)
        self.assertIn("nauha: not judged: confusion (failed at step 5", done.stderr)

    def test_findings_before_and_beside(self):
        done = nauha("check", self.path, "--rule", "confusion", "--rule", "tensor_variance:activations:max=1e-9", "--json", code=4)
        found = json.loads(done.stdout)
        self.assertEqual({finding["rule"] for finding in found["findings"]}, {"tensor_variance"})
        self.assertEqual({finding["last_step"] for finding in found["findings"]}, {STEPS - 1})

    def test_report(self):
        page = self.dir / "report.html"
        done = nauha("report", self.path, "-o", page, code=4)
        text = page.read_text()
        for name in ("metric &quot;train_accuracy&quot;", *(f"rule &quot;{name}&quot;" for name in self.NAMES)):
            self.assertIn(f"<b class=bad>Not complete</b>: {name} {WHY['train_accuracy']}".replace('"', "&quot;"), text)
        self.assertIn(f'nauha: metric "train_accuracy" {WHY["train_accuracy"]}', done.stderr)
        self.assertIn("</html>", text)


class Python(Case):
    @contextlib.contextmanager
    def warned(self, *texts):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        said = "\n".join(str(warning.message) for warning in caught)
        for text in texts:
            self.assertIn(text, said)

    def test_replay(self):
        alone = package.replay(self.path, ["norm:activations"])
        with self.warned(f'metric "train_accuracy" {WHY["train_accuracy"]}'):
            tables = package.replay(self.path, ["train_accuracy", "norm:activations"])
        self.assertEqual(tables["train_accuracy"]["global_step"].tolist(), list(range(TWICE)))
        np.testing.assert_array_equal(tables["activations_norm2"]["value"], alone["activations_norm2"]["value"])

    def test_replay_strict(self):
        with self.assertRaisesRegex(package.Error, 'subscriber "train_accuracy": a second "network_output"'):
            package.replay(self.path, ["train_accuracy", "norm:activations"], strict=True)

    def test_an_exception_ends_the_replay_at_once(self):
        class Broken(package.Subscriber):
            calls = 0

            def compute(self, message):
                self.calls += 1
                if message.global_step == 2:
                    raise ZeroDivisionError("no luck")

        broken = Broken("loss")
        with self.assertRaisesRegex(ZeroDivisionError, "no luck"):
            package.replay(self.path, ["variance:batch_finished", broken, "norm:activations"])
        self.assertEqual(broken.calls, 3)

    def test_check_and_report(self):
        with self.warned("not judged", "confusion"):
            found = package.check(self.path)
        self.assertEqual([entry["rule"] for entry in found["failed"]], list(Rules.NAMES))
        page = self.dir / "python.html"
        with self.warned('metric "train_accuracy" failed at step 5'):
            self.assertEqual(package.report(self.path, page), page)
        self.assertIn("</html>", page.read_text())


if __name__ == "__main__":
    unittest.main()
