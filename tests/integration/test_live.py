# SPDX-License-Identifier: MIT
"""A real training: live and replayed metrics are the same bytes, recording changes nothing, and
the messages come in the order and with the stamps that docs/messages.md promises."""
import filecmp
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from tests.integration import h5trace
from tests.integration.arrays import Arrays, native
from tests.integration.program import BUILD, ROOT, folder_of, has_training, make_trace, nauha
from tests.integration.test_compare import FLOATS, INTEGERS, values_of

METRICS = ["loss", "train_accuracy", "ratio:weight_updates,weights", "ratio:bias_updates,biases", "norm:layer_gradients",
           "norm:weight_gradients:order=1", "norm:biases:order=inf", "mean:activations", "sum:weight_gradients",
           "variance:weights", "histogram:weights:bins=16", "histogram:layer_gradients:subsample=5",
           "message_mean:weight_updates_weights_ratio", "message_mean:activations_mean"]
TRAINING = ["--model", "alexnetmini", "--dataset", "fashion-mnist", "--batch-size", "32", "--max-steps", "12", "--seed", "3"]


def metric_arguments():
    return [word for spec in METRICS for word in ("--metric", spec)]


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.recorded = cls.dir / "run.h5"
        nauha("train", "-o", cls.recorded, *TRAINING, *metric_arguments(), "--live", cls.dir / "live", "--sink", "csv")
        nauha("replay", cls.recorded, *metric_arguments(), "-o", cls.dir / "replayed", "--sink", "csv")
        cls.trace = h5trace.Trace(cls.recorded)

    @classmethod
    def tearDownClass(cls):
        cls.trace.file.close()

    def test_live_and_replayed_are_the_same_bytes_for_every_metric(self):
        live = sorted(p.name for p in (self.dir / "live").iterdir())
        self.assertEqual(live, sorted(p.name for p in (self.dir / "replayed").iterdir()))
        self.assertEqual(len(live), len(METRICS))
        for name in live:
            with self.subTest(name):
                self.assertTrue(filecmp.cmp(self.dir / "live" / name, self.dir / "replayed" / name, shallow=False))
                self.assertGreater(len((self.dir / "live" / name).read_text().splitlines()), 2)

    def test_a_failing_metric_does_not_end_the_training(self):
        done = nauha("train", "-o", self.dir / "failing.h5", *TRAINING, "--metric", "variance:batch_finished", "--metric", "loss",
                     "--rule", "exploding_tensor", "--live", self.dir / "failing", "--sink", "csv", code=4)
        self.assertIn('nauha: metric "variance:batch_finished" failed at step 0, "batch_finished" of the network: ', done.stderr)
        self.assertEqual(done.stderr.count("variance:batch_finished"), 1)
        self.assertEqual((self.dir / "failing/loss.csv").read_bytes(), (self.dir / "live/loss.csv").read_bytes())
        nauha("verify", self.dir / "failing.h5")

    def test_live_metrics_see_what_is_not_recorded(self):
        """Whatever a trace leaves out, live series are those of the training; replay's are of what is left."""
        metrics = ["--metric", "norm:activations", "--metric", "norm:weights", "--sink", "csv"]
        options = {"steps": ("::5", ["activations_norm2", "weights_norm2"]), "modules": ("features.0", ["activations_norm2", "weights_norm2"]),
                   "samples": ("4", ["activations_norm2"]), "precision": ("bf16", ["activations_norm2"]),
                   "kinds": ("weights", ["activations_norm2"])}
        series = {}
        for option, (value, others) in options.items():
            with self.subTest(option):
                trace, live, after = (self.dir / f"{option}{end}" for end in (".h5", "-live", "-after"))
                nauha("train", "-o", trace, *TRAINING, f"--{option}", value, *metrics, "--live", live)
                nauha("replay", trace, *(metrics[2:] if option == "kinds" else metrics), "-o", after)
                for name in ("activations_norm2", "weights_norm2"):
                    text = (live / f"{name}.csv").read_bytes()
                    self.assertEqual(series.setdefault(name, text), text)
                    if (after / f"{name}.csv").exists():
                        self.assertEqual((after / f"{name}.csv").read_bytes() != text, name in others)

    def test_recording_does_not_change_the_training(self):
        again = self.dir / "again.h5"
        nauha("train", "-o", again, *TRAINING, "--codec", "none")
        second = h5trace.Trace(again)
        for kind in ("loss", "weights", "weight_updates"):
            mine, theirs = self.trace.of(kind), second.of(kind)
            self.assertEqual(len(mine), len(theirs))
            for a, b in zip(mine, theirs):
                np.testing.assert_array_equal(a.values, b.values)
        second.file.close()

    def test_order_inside_a_step(self):
        rank = {kind: i for i, kinds in enumerate((
            ["epoch_started"], ["batch_started"], ["buffers"], ["input_data"], ["activations"], ["network_output"], ["input_labels"],
            ["loss"], ["layer_gradients", "weight_gradients", "bias_gradients"], ["weights", "biases"],
            ["weight_updates", "bias_updates"], ["batch_finished"], ["epoch_finished"])) for kind in kinds}
        self.assertEqual([m.seq for m in self.trace.messages], list(range(len(self.trace.messages))))
        for step in range(12):
            kinds = [m.kind for m in self.trace.messages if m.step == step]
            order = [rank[k] for k in kinds]
            self.assertEqual(order, sorted(order), f"step {step}: {kinds}")
            self.assertIn("batch_finished", kinds)
        self.assertEqual({m.train_step for m in self.trace.messages if m.step == 7}, {7})

    def test_all_kinds_are_there_in_every_step(self):
        for step in (0, 5, 11):
            kinds = {m.kind for m in self.trace.messages if m.step == step}
            self.assertLessEqual({"weights", "biases", "weight_gradients", "bias_gradients", "weight_updates", "bias_updates",
                                  "activations", "layer_gradients", "network_output", "input_data", "input_labels", "loss"}, kinds)

    def test_gradients_follow_from_the_recorded_tensors(self):
        """d loss/d weight of a linear layer is its output gradient, transposed, times its input."""
        def one(kind, module, step):
            found = [m for m in self.trace.messages if (m.kind, m.module, m.step) == (kind, module, step)]
            self.assertEqual(len(found), 1)
            return found[0].values.astype(np.float64)

        last = [m.module for m in self.trace.of("weights")][-1]
        modules = [m.module for m in self.trace.of("activations") if m.step == 4]
        before = modules[modules.index(last) - 1]
        gradient = one("layer_gradients", last, 4).T @ one("activations", before, 4)
        np.testing.assert_allclose(one("weight_gradients", last, 4), gradient, rtol=1e-4, atol=1e-7)

    def test_info_counts(self):
        info = json.loads(nauha("info", self.recorded, "--json").stdout)
        self.assertEqual(info["messages"], len(self.trace.messages))
        self.assertEqual(info["steps"], 12)
        self.assertEqual(info["lost"], 0)
        self.assertIs(info["complete"], True)
        published = sum(m.values.nbytes for m in self.trace.messages if m.has_data)
        self.assertEqual(info["bytes_published"], published)
        self.assertEqual(info["bytes_stored"], self.recorded.stat().st_size)

    def test_every_model_records_and_replays(self):
        for model in ("fc", "vgg", "resnet", "densenet"):
            with self.subTest(model):
                run = self.dir / f"{model}.h5"
                nauha("train", "-o", run, "--model", model, "--dataset", "fashion-mnist", "--batch-size", "8", "--max-steps", "2")
                nauha("replay", run, "--metric", "norm:layer_gradients", "--metric", "ratio:weight_updates,weights",
                      "-o", self.dir / model, "--sink", "csv", "--strict")
                rows = (self.dir / model / "layer_gradients_norm2.csv").read_text().splitlines()
                self.assertGreater(len(rows), 8)


class FormatPage(unittest.TestCase):
    def test_the_ten_lines_of_the_format_page_read_every_message(self):
        page = (ROOT / "docs/format.md").read_text()
        code = page.split("```python\n")[1].split("```")[0]
        with tempfile.TemporaryDirectory() as folder:
            make_trace(pathlib.Path(folder) / "run.h5")
            read = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True, stdout=subprocess.PIPE, text=True)
            trace = h5trace.Trace(pathlib.Path(folder) / "run.h5")
            self.assertEqual(len(read.stdout.splitlines()), sum(m.has_data for m in trace.messages))
            self.assertIn("0 weight_updates (5, 3)", read.stdout)
            trace.file.close()

    def page_reads(self, path, plugins):
        """What the lines of the page read, by kind and module of a step's rows, run as they stand but for their last line."""
        code = (ROOT / "docs/format.md").read_text().split("```python\n")[1].split("```")[0]
        self.assertIn("        print(", code)
        code = "found = []\n" + code + "        found.append(x)\nnp.savez('read.npz', *found)"
        subprocess.run([sys.executable, "-c", code], cwd=path.parent, check=True, stdout=subprocess.PIPE,
                       env={**os.environ, "HDF5_PLUGIN_PATH": str(plugins)})
        with np.load(path.parent / "read.npz") as read:
            return [read[name] for name in read.files]

    def test_they_read_every_type(self):
        """Parameters of all types and their updates, with our own plugins alone; against the types' definitions."""
        random = np.random.default_rng(3)
        parameters = {}
        for name in native.DTYPES:
            size, kind = ((4, None) if name == "f32" else (8, None) if name == "f64" else (FLOATS[name][0], None)
                          if name in FLOATS else (None, INTEGERS[name]))
            raw = [random.integers(0, 2 if name == "bool" else 256, (3, 1000 * (size or np.dtype(kind).itemsize)), np.uint8)
                   for _ in range(2)]
            item = "?" if name == "bool" else "f2" if name == "f16" else kind or {1: "u1", 2: "u2", 4: "f4", 8: "f8"}[size]
            parameters[name] = [values.view(item) for values in raw]
        parameters["f32 of one"] = [np.float32(2.5).reshape(()), np.float32(1.5).reshape(())]
        types = {name: name.split()[0] for name in parameters}
        for codec in ("zstd", "lz4", "auto"):
            with self.subTest(codec), tempfile.TemporaryDirectory() as folder, np.errstate(all="ignore"):
                path = pathlib.Path(folder) / "run.h5"
                with Arrays(path, codec=codec) as arrays:
                    arrays.step({name: (values[0], types[name]) for name, values in parameters.items()})
                    arrays.end_step({name: (values[1], types[name]) for name, values in parameters.items()})
                plugins = pathlib.Path(folder) / "plugins"
                plugins.mkdir()
                for plugin in (BUILD.parent / "plugins").glob("*.so"):
                    (plugins / plugin.name).symlink_to(plugin)
                read = self.page_reads(path, plugins)
                self.assertEqual(len(read), 2 * len(parameters))
                for i, (name, (before, after)) in enumerate(parameters.items()):
                    self.check_type(types[name], before, after, read[i], read[len(parameters) + i])

    def check_type(self, dtype, before, after, weights, updates):
        small = dtype in FLOATS and dtype != "f16"
        x, y = (values_of(values, dtype).reshape(values.shape) if small else values for values in (before, after))
        np.testing.assert_array_equal(weights, x.astype(np.float32) if small else x, err_msg=dtype)
        expected = np.logical_xor(x, y) if dtype == "bool" else (y.astype(np.float32) - x.astype(np.float32)) if small else y - x
        np.testing.assert_array_equal(updates, expected, err_msg=dtype)

    def test_they_read_the_same_from_sliced_streams(self):
        page = (ROOT / "docs/format.md").read_text()
        code = page.split("```python\n")[1].split("```")[0].replace("x.shape", "x.tobytes().hex()")
        read = {}
        for codec in ("zstd", "zstd,temporal", "auto", "auto,temporal"):
            with tempfile.TemporaryDirectory() as folder:
                make_trace(pathlib.Path(folder) / "run.h5", "--codec", codec, "--steps", "20")
                read[codec] = subprocess.run([sys.executable, "-c", code], cwd=folder, check=True,
                                             stdout=subprocess.PIPE, text=True).stdout
                trace = h5trace.Trace(pathlib.Path(folder) / "run.h5")
                self.assertEqual(any(s["slices"] > 1 for s in trace.file["streams_used"][...]), "temporal" in codec)
                trace.file.close()
        self.assertEqual(set(read.values()), {read["zstd"]})
        self.assertIn(" weight_updates ", read["zstd"])


class Example(unittest.TestCase):
    def test_readme_shows_the_example_that_is_compiled(self):
        example = (ROOT / "docs/examples/record.cpp").read_text()
        self.assertIn("```cpp\n" + example + "```", (ROOT / "README.md").read_text())

    @unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
    def test_the_example_builds_against_the_installed_library_and_records(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            environment = {key: value for key, value in os.environ.items() if not key.startswith("MAKE") and key != "MFLAGS"}
            subprocess.run(["make", "-s", "install", f"DESTDIR={folder}", "PREFIX=/usr"], cwd=ROOT, check=True,
                           env=environment, stdout=subprocess.DEVNULL)
            torch = subprocess.run(["make", "-s", "torch-flags"], cwd=ROOT, check=True, env=environment,
                                   stdout=subprocess.PIPE, text=True).stdout
            subprocess.run(["g++", "-O0", "-I", folder / "usr/include", "docs/examples/record.cpp", "-o", folder / "record",
                            "-L", folder / "usr/lib", "-lnauha-recorder", *torch.split()], cwd=ROOT, check=True)
            subprocess.run([folder / "record"], cwd=folder, check=True, env={**os.environ, "LD_LIBRARY_PATH": str(folder / "usr/lib")})
            info = json.loads(nauha("info", folder / "run.h5", "--json").stdout)
            self.assertTrue(info["complete"])
            self.assertEqual(info["steps"], 100)


if __name__ == "__main__":
    unittest.main()
