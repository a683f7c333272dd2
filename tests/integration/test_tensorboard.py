# SPDX-License-Identifier: MIT
"""The tensorboard sink, read with TensorBoard's own reader: the values of the CSV, in files that others can read while
they are written."""
import math
import os
import resource
import signal
import struct
import subprocess
import time
import unittest

import numpy as np

from tests.integration.arrays import Arrays
from tests.integration.program import BUILD, NAUHA, ROOT, folder_of, has_training, make_trace, nauha, read_csv

PYTHON = ROOT / "build/venv/bin/python"
METRICS = ["loss", "norm:weights", "ratio:weight_updates,weights", "histogram:activations:bins=5", "mean:biases"]
# Prints what is in a log directory: {run: {tag: [plugin, description, [[step, wall time, value], ...]]}}.
READER = """
import json, os, sys
from tensorboard.backend.event_processing import event_file_loader
from tensorboard.util import tensor_util
runs = {}
for folder, _, files in os.walk(sys.argv[1]):
    for name in sorted(name for name in files if "tfevents" in name):
        run = runs.setdefault(os.path.relpath(folder, sys.argv[1]), {})
        for event in event_file_loader.EventFileLoader(os.path.join(folder, name)).Load():
            for value in event.summary.value:
                about = value.metadata
                tag = run.setdefault(value.tag, [about.plugin_data.plugin_name, about.summary_description, []])
                array = tensor_util.make_ndarray(value.tensor)
                array = array.item().decode() if about.plugin_data.plugin_name == "text" else array.tolist()
                tag[2].append([event.step, event.wall_time, array])
print(json.dumps(runs))
"""


def has_tensorboard():
    return PYTHON.exists() and subprocess.run([PYTHON, "-c", "import tensorboard"], stderr=subprocess.DEVNULL).returncode == 0


def read(directory):
    import json
    done = subprocess.run([PYTHON, "-c", READER, directory], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


def arguments(metrics):
    return [word for spec in metrics for word in ("--metric", spec)]


def tag_of(series, row):
    """What docs/tensorboard.md says."""
    slot = "" if row["slot"] in ("weight", "bias") else row["slot"]
    if series == "loss":
        return series
    place = ".".join(word for word in (row["module"], slot) if word) or "(root)"
    return f"{series}/{place}" + (f" call {row['call']}" if row["call"] != "0" else "")


def single(value):
    """As TensorBoard holds scalars."""
    return struct.unpack("f", struct.pack("f", value))[0]


def expected_of(directory):
    """{tag: [[step, value], ...]} of the CSV in a directory; of a histogram, the value is its rows."""
    tags = {}
    for path in directory.glob("*.csv"):
        for row in read_csv(path):
            values = tags.setdefault(tag_of(path.stem, row), [])
            step = int(row["global_step"])
            if "value" in row:
                values.append([step, single(float(row["value"]))])
                continue
            if not values or values[-1][0] != step:
                values.append([step, []])
            values[-1][1].append([float(row["bin_low"]), float(row["bin_high"]), float(row["count"])])
    return tags


@unittest.skipUnless(has_tensorboard(), "skipped: build/venv has no tensorboard")
class TensorBoard(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)

    def same_as_csv(self, run, directory):
        got = {tag: [[step, value] for step, _, value in values] for tag, (plugin, _, values) in run.items() if plugin != "text"}
        expected = expected_of(directory)
        self.assertGreater(len(expected), 0)
        self.assertEqual(repr(sorted(got.items())), repr(sorted(expected.items())))  # repr: NaN is NaN

    def test_values_are_those_of_the_csv(self):
        trace = make_trace(self.dir / "run.h5", "--steps", 12)
        said = nauha("replay", trace, *arguments(METRICS), "-o", self.dir / "out", "--sink", "csv,tensorboard").stderr
        runs = read(self.dir / "out")
        self.assertEqual(list(runs), ["."])
        run = runs["."]
        self.same_as_csv(run, self.dir / "out")
        self.assertEqual({plugin for plugin, _, _ in run.values()}, {"scalars", "histograms", "text"})
        self.assertEqual(len(run["loss"][2]), 12)
        self.assertTrue(any(tag.startswith("activations_histogram/") for tag in run))
        self.assertEqual(run["weights_norm2/hidden"][1], "Norm of weights (p = 2)")
        self.assertRegex(said, r"out: \d+ values and \d+ histograms under \d+ tags; tensorboard --logdir shows them")

    def test_times_are_those_of_the_recording_and_the_card_tells_of_it(self):
        before = time.time()
        trace = make_trace(self.dir / "run.h5", "--steps", 5)
        after = time.time()
        time.sleep(1)
        nauha("replay", trace, "--metric", "loss", "-o", self.dir / "out", "--sink", "tensorboard")
        run = read(self.dir / "out")["."]
        times = [at for _, at, _ in run["loss"][2]]
        self.assertEqual(times, sorted(times))
        self.assertGreaterEqual(times[0], before - 0.01)
        self.assertLessEqual(times[-1], after + 0.01)
        card = run["configuration"][2][0][2]
        self.assertTrue(card.startswith("| | |\n|---|---|\n| trace | "), card)
        self.assertRegex(card, r"\| recorded \| \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC \|\n")

    def test_a_second_replay_replaces_the_first(self):
        trace = make_trace(self.dir / "run.h5", "--steps", 6)
        other = self.dir / "out/events.out.tfevents.1700000000.somebody.1.0"
        other.parent.mkdir()
        other.write_bytes(b"")
        for _ in range(2):
            nauha("replay", trace, "--metric", "loss", "-o", self.dir / "out", "--sink", "tensorboard")
        self.assertEqual(len(list((self.dir / "out").iterdir())), 2)
        self.assertTrue(other.exists())
        self.assertEqual([step for step, _, _ in read(self.dir / "out")["."]["loss"][2]], list(range(6)))

    def test_several_trainings_and_ranks_are_runs(self):
        for name, steps in (("a", 4), ("b", 5)):
            make_trace(self.dir / f"{name}.h5", "--steps", steps)
        nauha("replay", self.dir / "a.h5", self.dir / "b.h5", *arguments(METRICS), "-o", self.dir / "both", "--sink", "tensorboard")
        runs = read(self.dir / "both")
        self.assertEqual(sorted(runs), ["a", "b"])
        for name in runs:
            nauha("replay", self.dir / f"{name}.h5", *arguments(METRICS), "-o", self.dir / name, "--sink", "csv")
            self.same_as_csv(runs[name], self.dir / name)
            self.assertIn(f"{name}.h5", runs[name]["configuration"][2][0][2])
        ranks = [make_trace(self.dir / f"run.rank{rank}.h5", "--steps", 3, "--rank", rank) for rank in range(2)]
        nauha("replay", *ranks, "--metric", "loss", "-o", self.dir / "ranks", "--sink", "tensorboard")
        runs = read(self.dir / "ranks")
        self.assertEqual(sorted(runs), ["rank0", "rank1"])
        self.assertEqual([len(run["loss"][2]) for run in runs.values()], [3, 3])

    def test_names_of_runs_stay_in_the_directory(self):
        for name in ("x/run.h5", "run.h5"):
            (self.dir / name).parent.mkdir(exist_ok=True)
            make_trace(self.dir / name, "--steps", 2)
        nauha("replay", "../run.h5", "run.h5", "--metric", "loss", "-o", "logs", "--sink", "tensorboard", cwd=self.dir / "x")
        self.assertEqual(sorted(read(self.dir / "x")), ["logs/_/run", "logs/run"])

    def test_following_shows_what_there_is_while_it_is_recorded(self):
        path = self.dir / "run.h5"
        with subprocess.Popen([BUILD / "tests/tools/make_trace", "--tell", "10", "--pause-us", "2000", "--flush", "0.05",
                               "--steps", "100000", path], stdout=subprocess.PIPE, text=True) as writer:
            self.addCleanup(writer.kill)
            self.assertEqual(writer.stdout.readline(), "10\n")
            follower = subprocess.Popen([NAUHA, "replay", "-q", "--follow", path, "--metric", "loss", "-o", self.dir / "out",
                                         "--sink", "tensorboard"])
            self.addCleanup(follower.kill)
            seen, deadline = 0, time.monotonic() + 60
            while seen < 50:
                self.assertLess(time.monotonic(), deadline)
                self.assertIsNone(follower.poll())
                time.sleep(0.2)
                run = read(self.dir / "out").get(".", {}) if (self.dir / "out").exists() else {}
                seen = len(run["loss"][2]) if "loss" in run else 0
            self.assertIsNone(writer.poll())
            follower.send_signal(signal.SIGINT)
            self.assertEqual(follower.wait(60), 0)
            writer.kill()

    def test_not_finite_values_are_written_as_they_are(self):
        trace = make_trace(self.dir / "run.h5", "--steps", 3)
        script = ("import sys, nauha\n"
                  "class Odd(nauha.Subscriber):\n"
                  "    def compute(self, message):\n"
                  "        return [float('nan'), float('inf'), -float('inf')][message.global_step]\n"
                  "nauha.replay(sys.argv[1], [Odd('loss')], output=sys.argv[2], sinks=['tensorboard'])\n")
        subprocess.run([PYTHON, "-c", script, trace, self.dir / "out"], check=True, timeout=300,
                       env={**os.environ, "PYTHONPATH": str(ROOT / "tools/python")})
        run = read(self.dir / "out")["."]
        (values,) = [values for plugin, _, values in run.values() if plugin == "scalars"]
        values = [value for _, _, value in values]
        self.assertTrue(math.isnan(values[0]))
        self.assertEqual(values[1:], [math.inf, -math.inf])
        self.assertIn("configuration", run)

    def test_histograms_of_nothing_finite_are_gaps(self):
        trace = self.dir / "run.h5"
        with Arrays(trace) as arrays:
            for step in range(6):
                arrays.step()
                arrays.publish("activations", "fc", np.full(8, np.nan if step in (2, 3) else step, np.float32))
        nauha("replay", trace, "--metric", "histogram:activations:bins=4", "-o", self.dir / "out", "--sink", "tensorboard")
        tag = read(self.dir / "out")["."]["activations_histogram/fc"]
        self.assertEqual([step for step, _, _ in tag[2]], [0, 1, 4, 5])

    def test_a_full_disk_is_an_error_that_names_the_file(self):
        trace = make_trace(self.dir / "run.h5", "--steps", 200)

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

        said = nauha("replay", trace, *arguments(METRICS), "-o", self.dir / "out", "--sink", "tensorboard", code=3, preexec_fn=limit)
        self.assertRegex(said.stderr, r'cannot write ".*/out/events.out.tfevents.*\.nauha": File too large')
        self.assertIn("loss", read(self.dir / "out")["."])  # what was written before can be read

    def test_it_needs_a_directory_that_it_can_make(self):
        trace = make_trace(self.dir / "run.h5", "--steps", 2)
        said = nauha("replay", trace, "--metric", "loss", "--sink", "tensorboard", code=2).stderr
        self.assertIn('sink "tensorboard" needs a directory to write to', said)
        said = nauha("replay", trace, "--metric", "loss", "-o", trace / "out", "--sink", "tensorboard", code=3).stderr
        self.assertIn("cannot make directory", said)

    @unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
    def test_live_is_what_replay_gives(self):
        training = ["--model", "alexnetmini", "--batch-size", 8, "--max-steps", 4, "--kinds", "weights,weight_updates,loss"]
        metrics = arguments(["loss", "ratio:weight_updates,weights", "histogram:weights:bins=4"])
        nauha("train", "-o", self.dir / "run.h5", *training, *metrics, "--live", self.dir / "live", "--sink", "tensorboard")
        nauha("replay", self.dir / "run.h5", *metrics, "-o", self.dir / "after", "--sink", "tensorboard,csv")
        live, after = read(self.dir / "live")["."], read(self.dir / "after")["."]
        self.same_as_csv(live, self.dir / "after")
        self.same_as_csv(after, self.dir / "after")
        self.assertIn("weight_updates_weights_ratio/features.0", live)
        self.assertIn("| model | alexnetmini |\n", live["configuration"][2][0][2])
        self.assertLess(abs(live["loss"][2][0][1] - after["loss"][2][0][1]), 5)


if __name__ == "__main__":
    unittest.main()
