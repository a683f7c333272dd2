# SPDX-License-Identifier: MIT
"""Recordings that keep fingerprints in place of elements: what each command makes of them."""
import json
import pathlib
import sys
import tempfile
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.program import ROOT, has_training
from tests.integration.program import nauha as run

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

WORDS = ["hash", "hash2", "zeros", "nans", "infs", "first_nonfinite", "sum", "sum_abs", "sum_squares", "deviations", "third",
         "fourth", "min", "max"]


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Keeping(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        place = tempfile.TemporaryDirectory()
        cls.addClassCleanup(place.cleanup)
        cls.place = pathlib.Path(place.name)
        cls.full, cls.prints = cls.train("full.h5"), cls.train("prints.h5", "--keep", "fingerprints")

    @classmethod
    def train(cls, name, *options):
        path = cls.place / name
        run("train", "-q", "--seed", 1, "--max-steps", 5, "--batch-size", 32, "--test-every", 4, *options, "-o", path)
        return path

    def series(self, path, *specs):
        out = pathlib.Path(tempfile.mkdtemp(dir=self.place))
        run("replay", "-q", path, *(part for spec in specs for part in ("--metric", spec)), "-o", out, "--sink", "csv")
        return {file.name: file.read_bytes() for file in out.glob("*.csv")}

    def test_it_is_small(self):
        self.assertLess(self.prints.stat().st_size, self.full.stat().st_size / 30)

    def test_metrics_of_statistics_give_the_same_bytes(self):
        """Every metric and rule that says so, on every kind that it may have."""
        analyzers = [entry for entry in json.loads(run("analyzers", "--json").stdout) if entry["fingerprints"]]
        self.assertGreater(len(analyzers), 15)
        kinds = "weights", "weight_gradients", "weight_updates", "activations", "layer_gradients", "input_data"
        specs = []
        for entry in analyzers:
            if entry["default_kinds"] and entry["min_kinds"] == 0 == entry["max_kinds"]:
                specs.append(entry["name"])
            elif entry["min_kinds"] > 1:
                specs.append(f"{entry['name']}:weight_updates,weights")
            else:
                specs.append(f"{entry['name']}:{','.join(kinds)}")
        specs += ["norm:weights:order=1", "norm:activations:order=inf", "rms:network_output:tag=testing", "loss", "step_loss"]
        full, prints = self.series(self.full, *specs), self.series(self.prints, *specs)
        self.assertGreater(len(full), 60)
        self.assertEqual(full, prints)

    def test_what_needs_elements_says_so(self):
        done = run("replay", self.prints, "--metric", "histogram:activations", "--metric", "norm:weights", "-o",
                   self.place / "elements", code=4)
        self.assertIn('metric "histogram:activations" failed at the end of the run: reading "activations"', done.stderr)
        self.assertIn("only the fingerprint of the tensor was recorded; --full keeps it in full", done.stderr)
        self.assertTrue((self.place / "elements/weights_norm2.csv").exists())

    def test_health_rules(self):
        found = [json.loads(run("check", "--json", path, code=None).stdout) for path in (self.full, self.prints)]
        full, prints = ({(entry["spec"], entry.get("module"), entry["first_step"]) for entry in one["findings"]} for one in found)
        checked = {spec.split(":")[0] for spec in found[1]["checked"]}
        self.assertLessEqual({"exploding_tensor", "vanishing_gradient", "unchanged_tensor", "weight_update_ratio", "all_zero"},
                             checked)
        self.assertEqual(prints, {entry for entry in full if entry[0].split(":")[0] in checked})
        reasons = {entry["rule"]: entry["reason"] for entry in found[1]["unchecked"]}
        self.assertEqual(reasons["saturated_activation"], "activations: it needs elements, and only fingerprints were recorded")

    def test_diff(self):
        self.assertIn("equal (by their hashes", run("diff", self.full, self.prints).stdout)
        other = self.train("other.h5", "--keep", "fingerprints", "--learning-rate", "0.00100001")
        found = json.loads(run("diff", "--json", self.prints, other, "--kinds", "weights", "--modules", "classifier.1", code=1).stdout)
        self.assertEqual((found["first"]["differs_in"], found["first"]["step"]), ("hash", 1))
        self.assertLess(0, found["first"]["fingerprints_differ_by"])
        self.assertLess(found["first"]["fingerprints_differ_by"], 1e-2)
        self.assertRegex(run("diff", self.prints, other, "--kinds", "weights", "--modules", "classifier.1", code=1).stdout,
                         r"hashes differ; statistics and samples differ by up to [0-9.e-]+ of their size")
        run("diff", self.prints, other, "--rtol", "0.5")
        # the same difference as that of the elements, roughly
        exact = json.loads(run("diff", "--json", self.full, self.train("exact.h5", "--learning-rate", "0.00100001"),
                               "--kinds", "weights", "--modules", "classifier.1", code=1).stdout)
        self.assertLess(found["first"]["fingerprints_differ_by"], 100 * exact["first"]["max_rel"])

    def test_commands_show_how_it_was_kept(self):
        self.assertRegex(run("info", self.prints).stdout, r"(?s)keep +fingerprints\n.*activations +\d+ +[\d.]+ MB +.*fingerprints")
        kinds = json.loads(run("info", "--json", self.prints).stdout)["kinds"]
        self.assertEqual(kinds["weights"]["fingerprints"], kinds["weights"]["messages"] - 5)  # of one layer they are small
        self.assertNotIn("fingerprints", kinds["loss"])
        run("verify", self.prints)
        lines = [json.loads(line) for line in run("ls", "--json", self.prints, "--kinds", "activations,loss").stdout.splitlines()]
        self.assertEqual({(line["kind"], line.get("kept")) for line in lines}, {("activations", "fingerprint"), ("loss", None)})
        text = run("cat", self.prints, "--kinds", "input_data", "--steps", "0").stdout
        with nauha.open(self.full) as trace:
            data = next(trace.messages(kinds=["input_data"])).tensor
        self.assertIn(f"mean {data.mean(dtype='f8'):.6g}, standard deviation {data.std(dtype='f8'):.6g}, min {data.min():.6g}, "
                      f"max {data.max():.6g}", text)
        self.assertIn(f"{(data == 0).sum()} zeros", text)
        self.assertIn(f"16 of {data.size} elements, evenly spread: [{data.ravel()[0]!s} ", text)
        self.assertIn("only the fingerprint", run("cat", self.prints, "--kinds", "input_data", "--steps", "0", "--npy",
                                                  self.place / "x.npy", code=None).stderr)
        run("report", self.prints, "-o", self.place / "page.html")
        page = (self.place / "page.html").read_text()
        self.assertIn('id="c-weights_norm2"', page)
        self.assertNotIn('id="c-weights_histogram"', page)

    def test_python(self):
        with nauha.open(self.full) as full, nauha.open(self.prints) as prints:
            count = 0
            for message, other in zip(full.messages(kinds=["activations", "biases"]), prints.messages(kinds=["activations", "biases"])):
                a, b = message.fingerprint, other.fingerprint
                self.assertEqual(a._replace(samples=0), b._replace(samples=0))
                np.testing.assert_array_equal(a.samples, b.samples)
                np.testing.assert_array_equal(b.samples, message.tensor.ravel()[list(b.positions)])
                self.assertEqual((other.kept, other.hash), ("fingerprint" if message.nbytes > 240 else "elements", b.hash))
                count += other.kept == "fingerprint"
            self.assertGreater(count, 50)
        with self.assertRaisesRegex(nauha.Error, "can no longer be read"):
            other.fingerprint

    def test_with_h5py_alone(self):
        """As docs/format.md describes it, and the statistics as NumPy computes them."""
        full, prints = h5trace.Trace(self.full), h5trace.Trace(self.prints)
        self.addCleanup(full.file.close)
        self.addCleanup(prints.file.close)
        seen = 0
        for row, other in zip(full.file["index"][...], prints.file["index"][...]):
            if not other["flags"] & 8:
                continue
            x = h5trace.Message(full, row).values.astype("f8").ravel()
            words = prints.file["streams/%04d" % other["stream"]][int(other["offset"]):][:30]
            found = dict(zip(WORDS[6:], words[6:14].view("f8")))
            d = x - x.mean()
            for name, value in {"sum": x.sum(), "sum_abs": abs(x).sum(), "sum_squares": (x * x).sum(), "deviations": (d * d).sum(),
                                "min": x.min(), "max": x.max()}.items():
                scale = abs(x).sum() if name == "sum" else 0
                np.testing.assert_allclose(found[name], value, 2e-12, 1e-14 * scale)
            np.testing.assert_allclose(found["third"], (d ** 3).sum(), 1e-10, 1e-12 * abs(d ** 3).sum())
            np.testing.assert_allclose(found["fourth"], (d ** 4).sum(), 1e-11)
            self.assertEqual([int(word) for word in words[2:6]], [(x == 0).sum(), 0, 0, 2**64 - 1])
            seen += 1
        self.assertGreater(seen, 100)


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Options(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.path = pathlib.Path(place.name) / "run.h5"

    def kept(self, *options):
        run("train", "-q", "--max-steps", 4, "--test-every", 0, *options, "-o", self.path, "--overwrite")
        with nauha.open(self.path) as trace:
            return [(message.kind, message.global_step, message.module, message.kept) for message in trace.messages()
                    if message.nbytes > 240]

    def test_rules_of_the_command_line(self):
        for kind, step, module, kept in self.kept("--keep", "fingerprints", "--full", "activations modules=features.0 steps=1:3",
                                                  "--full", "weights"):
            full = kind == "weights" or (kind == "activations" and module == "features.0" and step in (1, 2))
            self.assertEqual(kept, "elements" if full else "fingerprint", (kind, step, module))
        for kind, _, _, kept in self.kept("--fingerprint", "activations,layer_gradients"):
            self.assertEqual(kept, "fingerprint" if kind in ("activations", "layer_gradients") else "elements")

    def test_mistakes(self):
        for arguments, text in ((("--keep", "most"), "is none of everything, proof, fingerprints, hashes"),
                                (("--full", "activatoins"), 'did you mean "activations"?'),
                                (("--full", "weights every=3"), "every"),
                                (("--keep", "proof"), "--keep proof is for trainings in Python")):
            self.assertIn(text, run("train", *arguments, "--max-steps", 1, "-o", self.path, code=2).stderr)
        self.assertFalse(self.path.exists())
