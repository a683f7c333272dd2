# SPDX-License-Identifier: MIT
"""Reading traces from Python, and metrics in Python: against h5py, NumPy and the command line."""
import fnmatch
import gc
import json
import os
import subprocess
import sys
import unittest
import warnings

import numpy as np

from tests.integration import h5trace
from tests.integration.program import ROOT, folder_of, make_trace, nauha as program, read_csv

sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

MODULE = '''
import numpy as np
import nauha

class AboveThreshold(nauha.Subscriber):
    """Fraction of elements above a threshold."""

    def __init__(self, kinds, threshold=0.0, times: int = 1, **options):
        super().__init__(kinds, **options)
        self.threshold, self.times = threshold, times

    def compute(self, message):
        return self.times * (message.tensor > self.threshold).mean()

class Ratio(nauha.Subscriber):
    def compute(self, bundle):
        a, b = (np.sqrt((message.tensor.astype(float) ** 2).sum()) for message in bundle)
        return a / b if b else np.inf

class Broken(nauha.Subscriber):
    def compute(self, message):
        raise KeyError("nothing here")
'''


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = make_trace(cls.dir / "run.h5")
        cls.reference = h5trace.Trace(cls.path)
        (cls.dir / "my_module.py").write_text(MODULE)

    @classmethod
    def tearDownClass(cls):
        cls.reference.file.close()

    def setUp(self):
        self.trace = nauha.open(self.path)
        self.addCleanup(self.trace.close)


class Reading(Case):
    def test_hashes_in_place_of_tensors(self):
        hashed = nauha.open(make_trace(self.dir / "hashed.h5", "--keep", "hashes"))
        self.addCleanup(hashed.close)
        count = 0
        for message, other in zip(self.trace.messages(), hashed.messages()):
            self.assertEqual((message.kind, message.shape, message.hash), (other.kind, other.shape, other.hash))
            self.assertEqual(message.kept, "elements" if message.dtype else None)
            if other.dtype:
                count += 1
                self.assertEqual(other.kept, "hash")
                with self.assertRaisesRegex(nauha.Error, "only the hash of the tensor was recorded"):
                    other.tensor
        self.assertEqual(count, 132)
        hashes = [message.hash for message in hashed.messages() if message.dtype]
        hashed.close()
        # With HDF5 alone: the halves stand where the offsets of elements do.
        reference = h5trace.Trace(self.dir / "hashed.h5")
        self.addCleanup(reference.file.close)
        rows = [row for row in reference.file["index"][...] if row["flags"] & 1]
        self.assertEqual({(row["flags"], row["stream"]) for row in rows}, {(5, 65535)})
        self.assertEqual([int(row["base"]) << 64 | int(row["offset"]) for row in rows], hashes)

    def test_info(self):
        info = self.trace.info
        self.assertTrue(info.complete and info.closed)
        self.assertEqual(info.messages, len(self.reference.messages))
        self.assertEqual(info.steps, len({m.step for m in self.reference.messages}))
        self.assertEqual(info.bytes_stored, self.path.stat().st_size)
        self.assertEqual({kind: count for kind, (count, _) in info.kinds.items()},
                         {kind: len(self.reference.of(kind)) for kind in {m.kind for m in self.reference.messages}})
        self.assertEqual(list(self.trace.modules), self.reference.modules)
        self.assertEqual(list(self.trace.modules.values()), self.reference.classes)
        self.assertEqual(self.trace.tags, self.reference.tags)
        self.assertEqual(set(self.trace.kinds), set(info.kinds))

    def test_every_message_and_tensor(self):
        count = 0
        for message, expected in zip(self.trace, self.reference.messages):
            count += 1
            self.assertEqual((message.seq, message.global_step, message.train_step, message.epoch, message.kind,
                              message.tag, message.module or "", message.slot, message.call),
                             (expected.seq, expected.step, expected.train_step, expected.epoch, expected.kind, expected.tag,
                              expected.module, expected.slot, expected.call))
            self.assertEqual(message.module is None, int(expected.row["module"]) == h5trace.NONE)
            if expected.has_data:
                self.assertEqual(message.shape, expected.shape)
                self.assertEqual(message.tensor.shape, expected.shape)
                self.assertEqual(message.tensor.dtype, expected.values.dtype)
                self.assertEqual(message.tensor.tobytes(), expected.values.tobytes())
                self.assertEqual(message.nbytes, message.tensor.nbytes)
            else:
                self.assertIsNone(message.tensor)
                self.assertEqual((message.dtype, message.shape, message.nbytes), (None, (), 0))
        self.assertEqual(count, len(self.reference.messages))

    def test_tensors_are_views_of_the_librarys_memory_and_stay_valid(self):
        kept = []
        for message in self.trace.messages(kinds="weights"):
            self.assertFalse(message.tensor.flags.owndata)
            self.assertIs(message.tensor, message.tensor)
            kept.append(message.tensor)
        self.trace.close()
        del message
        gc.collect()
        for tensor, expected in zip(kept, self.reference.of("weights")):
            np.testing.assert_array_equal(tensor, expected.values)

    def test_a_tensor_asked_for_too_late(self):
        walk = self.trace.messages(kinds="weights")
        first = next(walk)
        next(walk)
        with self.assertRaisesRegex(nauha.Error, "before the next message"):
            first.tensor
        self.assertEqual(first.kind, "weights")

    def test_selection(self):
        everything = self.reference.messages
        names = sorted({m.module for m in self.reference.of("weights")})
        for selection, accepts in (
                ({"kinds": "weights,loss"}, lambda m: m.kind in ("weights", "loss")),
                ({"kinds": ["biases"]}, lambda m: m.kind == "biases"),
                ({"steps": slice(1, 6, 2)}, lambda m: m.step in (1, 3, 5)),
                ({"steps": range(0, 4)}, lambda m: m.step < 4),
                ({"steps": 2}, lambda m: m.step == 2),
                ({"epochs": "1:"}, lambda m: m.epoch >= 1),
                ({"modules": names[:1], "kinds": "weights"}, lambda m: m.kind == "weights" and m.module == names[0]),
                ({"exclude": names[0][:1] + "*", "kinds": "weights"},
                 lambda m: m.kind == "weights" and not fnmatch.fnmatchcase(m.module, names[0][:1] + "*")),
                ({"tag": "default", "rank": 0}, lambda m: m.tag == "default")):
            with self.subTest(selection=selection):
                wanted = [m.seq for m in everything if accepts(m)]
                self.assertTrue(wanted)
                self.assertEqual([m.seq for m in self.trace.messages(**selection)], wanted)
        for selection, text in (({"kinds": "wights"}, "weights"), ({"modules": "nope*"}, "nope"), ({"colour": 1}, "kinds"),
                                ({"steps": "x"}, "steps")):
            with self.subTest(selection=selection), self.assertRaisesRegex(nauha.Error, text):
                self.trace.messages(**selection)

    def test_one_tensor(self):
        expected = self.reference.of("weights")[4]
        got = self.trace.tensor("weights", expected.module, expected.step, expected.slot, expected.call)
        np.testing.assert_array_equal(got, expected.values)
        np.testing.assert_array_equal(self.trace.tensor("loss", step=1), [m for m in self.reference.of("loss") if m.step == 1][0].values)
        with self.assertRaisesRegex(nauha.Error, "there is no \"weights\" of module"):
            self.trace.tensor("weights", expected.module, 10**6)
        with self.assertRaisesRegex(nauha.Error, r"there are \d+ messages \"loss\": step 0, step 1"):
            self.trace.tensor("loss")

    def test_errors(self):
        with self.assertRaisesRegex(nauha.Error, "No such file"):
            nauha.open(self.dir / "none.h5")
        with self.assertRaisesRegex(nauha.Error, "my_module.py"):
            nauha.open(self.dir / "my_module.py")
        self.trace.close()
        self.trace.close()
        with self.assertRaisesRegex(nauha.Error, "is closed"):
            self.trace.info

    def test_damage_is_warned_of_and_costs_only_what_is_hit(self):
        damaged = self.dir / "damaged.h5"
        data = bytearray(self.path.read_bytes())
        stored = self.reference.file["chunks"][...]
        number = int(self.reference.of("weights")[0].row["stream"])
        dataset = self.reference.file[f"streams/{number:04d}"]
        offset = dataset.id.get_chunk_info(0).byte_offset
        self.assertTrue(len(stored))
        data[offset + 40] ^= 0xFF
        damaged.write_bytes(data)
        good = bad = 0
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with nauha.open(damaged) as trace:
                for message in trace:
                    try:
                        good += message.tensor is not None
                    except nauha.Error as error:
                        self.assertIn("checksum", str(error))
                        bad += 1
        self.assertGreater(bad, 0)
        self.assertGreater(good, 0)
        with self.assertWarnsRegex(UserWarning, "damaged messages were left out:\nmessage .* checksum"):
            series = nauha.replay(damaged, ["norm:weights", "loss"])
        self.assertLess(len(series["weights_norm2"]["value"]), len(self.reference.of("weights")))
        self.assertEqual(len(series["loss"]["value"]), len(self.reference.of("loss")))
        with self.assertRaisesRegex(nauha.Error, "checksum"):
            nauha.replay(damaged, ["norm:weights"], strict=True)

    def test_to_float(self):
        bits = np.arange(65536, dtype=np.uint16)
        expected = (bits.astype(np.uint32) << 16).view(np.float32)
        np.testing.assert_array_equal(nauha.to_float(bits, "bf16"), expected)
        self.assertEqual(nauha.to_float(np.array([[0x3C, 0xBC]], np.uint8), "f8_e5m2").tolist(), [[1.0, -1.0]])
        self.assertEqual(nauha.to_float(np.array([True, False])).tolist(), [1.0, 0.0])
        message = next(self.trace.messages(kinds="loss"))
        self.assertEqual(nauha.to_float(message), message.tensor.astype(np.float32))
        with self.assertRaisesRegex(nauha.Error, "types: f32"):
            nauha.to_float(bits, "f9")


class Tables(Case):
    def test_series_are_the_command_lines(self):
        out = self.dir / "series"
        for spec, name in (("norm:weights:order=1", "weights_norm1"), ("loss", "loss"),
                           ("histogram:weights:bins=4", "weights_histogram")):
            program("replay", self.path, "--metric", spec, "-o", out, "--sink", "csv")
            rows = read_csv(out / f"{name}.csv")
            series = self.trace.series(spec)
            self.assertEqual(list(series), list(rows[0]))
            self.assertEqual(series.rows, len(rows))
            for column in series:
                text = column in ("tag", "module", "slot")
                self.assertEqual(list(series[column]), [row[column] if text else float(row[column]) for row in rows])

    def test_selected(self):
        series = self.trace.series("norm:weights", steps="::3")
        self.assertEqual(set(series["global_step"] % 3), {0})
        with self.assertRaisesRegex(nauha.Error, "several series"):
            self.trace.series("mean:weights,biases")

    def test_pandas_takes_them(self):
        try:
            import pandas
        except ImportError:
            self.skipTest("skipped: no pandas")
        frame = pandas.DataFrame(self.trace.series("norm:weights"))
        self.assertEqual(frame.groupby("module").size().sum(), len(self.reference.of("weights")))


class Metrics(Case):
    def load(self, name):
        from nauha.metrics import load_class
        return load_class(self.dir / "my_module.py", name)

    def test_against_the_same_in_c(self):
        Ratio = self.load("Ratio")

        class Mine(Ratio):
            pass

        tables = nauha.replay(self.path, [Mine(["weight_updates", "weights"]), "ratio:weight_updates,weights"])
        mine, theirs = tables["weight_updates_weights_mine"], tables["weight_updates_weights_ratio"]
        self.assertGreater(mine.rows, 0)
        for column in theirs:
            if column == "value":
                np.testing.assert_allclose(mine[column], theirs[column], rtol=1e-12)
            else:
                np.testing.assert_array_equal(mine[column], theirs[column])

    def test_several_threads_give_the_same(self):
        class Spread(nauha.Subscriber):
            def compute(self, message):
                return float(message.tensor.max() - message.tensor.min())

        metrics = ["norm:weights,weight_updates,activations", "histogram:weights:bins=4", "ratio:weight_updates,weights", "loss"]
        results = []
        for jobs in (1, 2, 5, None):
            out = self.dir / f"jobs{jobs}"
            tables = nauha.replay(self.path, [*metrics, Spread("activations")], output=out, sinks=["csv"], jobs=jobs)
            results.append({name: (out / f"{name}.csv").read_bytes() for name in tables})
        self.assertGreater(len(results[0]), 5)
        for result in results[1:]:
            self.assertEqual(result, results[0])
        for jobs in (0, -1, 2.5, "2"):
            with self.assertRaisesRegex(nauha.Error, "an integer of 1 or more"):
                nauha.replay(self.path, metrics, jobs=jobs)

    def test_topics_histograms_steps_and_the_end(self):
        class Everything(nauha.Subscriber):
            def __init__(self):
                super().__init__("weights,biases", synchronized=False, subsample=2)
                self.add_topic("seen")
                self.add_topic("sizes", form="histogram", title="Sizes")
                self.add_topic("total", scope="network")
                self.steps, self.last, self.count = [], None, 0

            def compute(self, message):
                self.count += 1
                self.last = message
                self.publish(message.nbytes, message, "seen")
                self.publish_histogram([0, 1, 2], [3, 4], message, "sizes")

            def step_finished(self, global_step):
                self.steps.append(global_step)

            def finish(self):
                self.publish(self.count, self.last, "total")

        metric = Everything()
        tables = nauha.replay(self.path, [metric, "message_mean:seen"])
        self.assertEqual(set(tables), {"seen", "sizes", "total", "seen_message_mean"})
        messages = self.reference.of("weights") + self.reference.of("biases")
        steps = sorted({m.step for m in messages})
        self.assertEqual(tables["seen"].rows, len([m for m in messages if m.step in steps[::2]]))
        self.assertEqual(tables["sizes"]["count"][:2].tolist(), [3, 4])
        self.assertEqual(tables["total"]["value"].tolist(), [tables["seen"].rows])
        self.assertEqual(sorted(set(metric.steps)), sorted({m.step for m in self.reference.messages}))

    def test_a_metric_hears_of_losses(self):
        class Listen(nauha.Subscriber):
            heard = ()

            def compute(self, message):
                pass

            def lost(self, kind, messages, size):
                self.heard += ((kind, messages, size),)

        path = make_trace(self.dir / "lossy.h5", "--steps", 500, "--modules", 60, "--on-full", "drop", "--buffer", "1M",
                          "--flush", 60)
        losses = {loss["kind"]: loss for loss in json.loads(program("info", "--json", path).stdout)["losses"]}
        listen = Listen("weight_gradients,layer_gradients", synchronized=False)
        nauha.replay(path, [listen, "norm:weights"])
        self.assertEqual(sorted(listen.heard), sorted((kind, losses[kind]["messages"], losses[kind]["bytes"])
                                                      for kind in listen.kinds if kind in losses))
        self.assertTrue(listen.heard)
        whole = Listen("weights")
        nauha.replay(self.path, [whole])
        self.assertEqual(whole.heard, ())

    def test_kept_tensors_stay_valid(self):
        class Keep(nauha.Subscriber):
            def compute(self, message):
                self.kept = getattr(self, "kept", []) + [message.tensor]

        keep = Keep("weights")
        nauha.replay(self.path, [keep, "norm:weights"])
        for tensor, expected in zip(keep.kept, self.reference.of("weights")):
            np.testing.assert_array_equal(tensor, expected.values)

    def test_what_a_metric_raises_arrives(self):
        with self.assertRaisesRegex(KeyError, "nothing here"):
            nauha.replay(self.path, [self.load("Broken")("weights")])
        with self.assertRaisesRegex(NotImplementedError, "no compute"):
            nauha.replay(self.path, [nauha.Subscriber("weights")])
        with self.assertRaisesRegex(nauha.Error, "wights"):
            nauha.replay(self.path, [self.load("Ratio")("wights")])
        with self.assertRaisesRegex(nauha.Error, "a SPEC or a nauha.Subscriber"):
            nauha.replay(self.path, [3])

        class Unknown(nauha.Subscriber):
            def compute(self, message):
                self.publish(1, message, "elsewhere")

        with self.assertRaisesRegex(nauha.Error, 'publishes no topic "elsewhere"'):
            nauha.replay(self.path, [Unknown("weights")])

    def test_files_and_progress(self):
        told = []
        out = self.dir / "out"
        nauha.replay(str(self.path), ["loss"], output=out, sinks=["csv"], progress=lambda done, total: told.append((done, total)))
        self.assertTrue((out / "loss.csv").exists())
        self.assertEqual(told[-1][0], told[-1][1])


class CommandLine(Case):
    def replay(self, *arguments, code=0):
        return program("replay", self.path, *arguments, code=code, cwd=self.dir,
                       env={**os.environ, "NAUHA_PYTHON": sys.executable})

    def test_metrics_in_python(self):
        out = self.dir / "series"
        self.replay("--metric", "my_module.py:AboveThreshold:weights:threshold=0.05:times=2:subsample=2", "--metric",
                    f"{self.dir}/my_module.py:AboveThreshold:biases", "--metric", "norm:weights", "-o", out, "--sink", "csv")
        rows = read_csv(out / "weights_above_threshold.csv")
        wanted = [m for m in self.reference.of("weights")]
        steps = sorted({m.step for m in wanted})[::2]
        wanted = [2 * (m.values > 0.05).mean() for m in wanted if m.step in steps]
        np.testing.assert_allclose([float(row["value"]) for row in rows], wanted)
        self.assertTrue((out / "biases_above_threshold.csv").exists())
        self.assertTrue((out / "weights_norm2.csv").exists())

    def test_bundles(self):
        stdout = self.replay("--metric", "my_module.py:Ratio:weight_updates,weights").stdout
        self.assertIn("weight_updates_weights_ratio", stdout)

    def test_what_goes_wrong(self):
        for spec, code, texts in (
                ("my_module.py:Broken:weights", 4, ["KeyError: 'nothing here'", "in compute"]),
                ("my_module.py:Nope:weights", 2, ['has no subscriber "Nope"', "AboveThreshold, Broken, Ratio"]),
                ("nowhere.py:Nope:weights", 3, ["No such file"]),
                ("my_module.py:Ratio:wights,weights", 2, ['"wights"']),
                ("my_module.py:AboveThreshold:weights:limit=1", 2, ['no key "limit"', "threshold"]),
                ("my_module.py:AboveThreshold:weights:threshold=x", 2, ["threshold"])):
            with self.subTest(spec=spec):
                done = self.replay("--metric", spec, code=code)
                for text in texts:
                    self.assertIn(text, done.stderr)
        done = program("replay", self.path, "--metric", "my_module.py:Ratio:weights", code=3,
                       env={**os.environ, "NAUHA_PYTHON": "no-such-python"})
        self.assertIn('need "no-such-python"', done.stderr)

    def test_ranks_are_merged_by_step(self):
        paths = [make_trace(self.dir / f"run.rank{rank}.h5", "--steps", str(5 - rank), "--rank", str(rank)) for rank in (0, 1)]
        single = [program("replay", path, "--metric", "norm:weights").stdout.splitlines() for path in paths]
        merged = program("replay", *reversed(paths), "--metric", "norm:weights").stdout.splitlines()
        self.assertEqual(merged[0], single[0][0])
        rows = [line for lines in single for line in lines[1:]]
        self.assertEqual(merged[1:], sorted(rows, key=lambda line: (int(line.split(",")[1]), int(line.split(",")[4]))))
        self.assertGreater(len({line.split(",")[4] for line in merged[1:]}), 1)
        one = program("replay", *paths, "--metric", "norm:weights", "--rank", "1").stdout.splitlines()
        self.assertEqual(one, single[1])
        # Two traces of one rank are two trainings.
        self.assertIn("run", nauha.replay([paths[0], paths[0]], ["norm:weights"])["weights_norm2"])
        tables = nauha.replay(paths, ["norm:weights"])
        self.assertEqual(tables["weights_norm2"].rows, len(rows))


class Package(unittest.TestCase):
    def test_reading_needs_no_torch_and_importing_needs_nothing(self):
        code = "import sys, nauha; assert 'numpy' not in sys.modules; nauha.open; assert 'torch' not in sys.modules"
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(ROOT / "tools/python")})

    def test_what_python_knows_of_the_headers_is_so(self):
        from nauha import native
        header = (ROOT / "include/nauha/status.h").read_text()
        names = [line.split("X(")[1].split(",")[0] for line in header.splitlines() if line.strip().startswith("X(") and '"' in line]
        self.assertEqual(names, [status.name for status in native.Status])


if __name__ == "__main__":
    unittest.main()
