# SPDX-License-Identifier: MIT
"""The command line: golden outputs, exit codes, and what it says to bad input.

NAUHA_UPDATE_GOLDEN=1 rewrites the files under tests/golden/.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from tests.integration import h5trace
from tests.integration.program import NAUHA, ROOT, folder_of, has_training, make_trace, nauha, offered, read_csv

GOLDEN = ROOT / "tests/golden"


def masked(text, path):
    """Without what differs from run to run."""
    text = text.replace(str(path), "TRACE")
    text = re.sub(r"(recorded +)\S+ \S+ UTC", r"\1WHEN", text)
    text = re.sub(r"(duration +).*", r"\1TIME", text)
    text = re.sub(r"(chunks +).*", r"\1HOW", text)
    return re.sub(r"(stored +).* with", r"\1SIZE with", re.sub(r"[\d.]+ of what was", "R of what was", text))


class WithTrace(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.path = make_trace(cls.dir / "run.h5")


class Golden(WithTrace):
    def check(self, name, *arguments):
        text = masked(nauha(*arguments).stdout, self.path)
        self.assertNotIn("\033", text)
        if os.environ.get("NAUHA_UPDATE_GOLDEN"):
            (GOLDEN / name).write_text(text)
        self.assertEqual(text, (GOLDEN / name).read_text())

    def test_info(self):
        self.check("info.txt", "info", self.path)

    def test_ls(self):
        self.check("ls.txt", "ls", self.path, "--steps", "2:4")

    def test_cat(self):
        self.check("cat.txt", "cat", self.path, "--steps", "1", "--kinds", "weights,bias_updates,loss,input_labels,batch_finished")

    def test_cat_shortens(self):
        self.check("cat_limit.txt", "cat", self.path, "--steps", "1", "--kinds", "activations", "--limit", "10")

    def test_one_analyzer(self):
        self.check("analyzers_histogram.txt", "analyzers", "histogram")

    def test_help_of_replay(self):
        self.check("help_replay.txt", "help", "replay")

    def test_replay_to_standard_output(self):
        self.check("replay.csv", "replay", self.path, "--metric", "loss", "--metric", "norm:weights", "--steps", ":2")

    def test_replay_histograms_to_standard_output(self):
        self.check("replay_histogram.csv", "replay", self.path, "--metric", "histogram:biases:bins=3", "--metric", "loss",
                   "--steps", "1")


class Selection(WithTrace):
    def listed(self, *arguments):
        return [json.loads(line)["seq"] for line in nauha("ls", self.path, "--json", *arguments).stdout.splitlines()]

    def expected(self, chosen):
        trace = h5trace.Trace(self.path)
        sequence = [m.seq for m in trace.messages if chosen(m)]
        trace.file.close()
        return sequence

    def test_by_each_key(self):
        network = {"batch_started", "batch_finished", "epoch_started", "epoch_finished", "input_data", "input_labels",
                   "network_output", "loss"}
        cases = {
            ("--kinds", "weights,loss"): lambda m: m.kind in ("weights", "loss"),
            ("--kinds", "weight_updates"): lambda m: m.kind == "weight_updates",
            ("--modules", "hid*"): lambda m: m.module == "hidden" or m.kind in network,
            ("--exclude", "hidden,act*"): lambda m: m.module == "output" or m.kind in network,
            ("--steps", "2:4"): lambda m: 2 <= m.step < 4,
            ("--steps", "3"): lambda m: m.step == 3,
            ("--steps", "1::2"): lambda m: m.step % 2 == 1,
            ("--epochs", "1:"): lambda m: m.epoch >= 1,
            ("--tag", "default"): lambda m: True,
            ("--kinds", "biases", "--steps", ":1", "--modules", "output"):
                lambda m: (m.kind, m.module, m.step) == ("biases", "output", 0),
        }
        for arguments, chosen in cases.items():
            with self.subTest(arguments):
                self.assertEqual(self.listed(*arguments), self.expected(chosen))
                self.assertTrue(self.expected(chosen))

    def test_limit(self):
        self.assertEqual(self.listed("--limit", "3"), [0, 1, 2])

    def test_npy_is_the_tensor(self):
        trace = h5trace.Trace(self.path)
        for kind, module in (("weights", "hidden"), ("weight_updates", "output"), ("loss", ""), ("input_labels", "")):
            with self.subTest(kind):
                file = self.dir / "tensor.npy"
                nauha("cat", self.path, "--kinds", kind, "--steps", "2", *(["--modules", module] if module else []), "--npy", file)
                want = next(m.values for m in trace.of(kind) if m.step == 2 and m.module == module)
                got = np.load(file)
                self.assertEqual(got.dtype, want.dtype)
                np.testing.assert_array_equal(got, want)
        trace.file.close()

    def test_replay_of_selected_steps(self):
        out = self.dir / "selected"
        nauha("replay", self.path, "--metric", "norm:weight_updates", "--steps", "2:4", "-o", out, "--sink", "csv")
        self.assertEqual({row["global_step"] for row in read_csv(out / "weight_updates_norm2.csv")}, {"2", "3"})


class Json(WithTrace):
    def written(self):
        """The chunks and their stored bytes by their coding, as HDF5 has them."""
        names = {0: "raw", 7: "raw", 1: "compressed", 2: "sparse", 6: "sparse"}
        codings = {name: {"chunks": 0, "bytes": 0} for name in ("raw", "compressed", "sparse", "temporal")}
        with h5py.File(self.path, "r") as file:
            for stream in file["streams"].values():
                for i in range(stream.id.get_num_chunks()):
                    chunk = stream.id.get_chunk_info(i)
                    codings[names[chunk.filter_mask]]["chunks"] += 1
                    codings[names[chunk.filter_mask]]["bytes"] += chunk.size
        return codings

    def test_info(self):
        info = json.loads(nauha("info", "--json", self.path).stdout)
        self.assertEqual((info["steps"], info["epochs"], info["lost"], info["complete"]), (6, 2, 0, True))
        self.assertEqual(info["messages"], 148)
        self.assertEqual(info["facts"], {"model": "synthetic"})
        self.assertEqual(info["kinds"]["weights"], {"messages": 12, "bytes": 720})
        self.assertEqual(info["codec"], "zstd")
        self.assertEqual(set(info["chunks"]), {"raw", "compressed", "sparse", "temporal"})
        self.assertEqual(info["chunks"], self.written())
        self.assertEqual(info["bytes_direct"], 0)

    def test_whole_numbers_are_exact(self):
        def whole(value):
            if isinstance(value, dict):
                value = list(value.values())
            if isinstance(value, list):
                return all(map(whole, value))
            return not isinstance(value, float)

        info = json.loads(nauha("info", "--json", self.path).stdout)
        self.assertTrue(whole(info))
        with h5py.File(self.path) as file:
            created = int(file.attrs["created_ns"])
            times = [int(row["time_ns"]) for row in file["index"]]
        self.assertEqual(info["created_ns"], created)
        lines = [json.loads(line) for line in nauha("ls", "--json", self.path).stdout.splitlines()]
        self.assertTrue(all(map(whole, lines)))
        self.assertEqual([line["time_ns"] for line in lines], times)

    def test_analyzers(self):
        names = [entry["name"] for entry in json.loads(nauha("analyzers", "--json").stdout)]
        self.assertLessEqual({"ratio", "norm", "mean", "sum", "variance", "histogram", "loss", "train_accuracy", "message_mean"},
                             set(names))

    def test_verify(self):
        self.assertEqual(json.loads(nauha("verify", "--json", self.path).stdout), {"findings": [], "count": 0, "later_verified": 0})


class BadInput(WithTrace):
    def complains(self, code, text, *arguments, **options):
        done = nauha(*arguments, code=code, **options)
        self.assertIn(text, done.stderr)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("nauha: "), done.stderr)

    def broken(self, change):
        copy = self.dir / "broken.h5"
        shutil.copy(self.path, copy)
        with h5py.File(copy, "r+", libver="latest") as file:
            change(file)
        return copy

    def test_files_that_are_no_traces(self):
        (self.dir / "text.h5").write_text("not HDF5\n")
        (self.dir / "empty.h5").write_text("")
        (self.dir / "cut.h5").write_bytes(self.path.read_bytes()[:100000])
        with h5py.File(self.dir / "other.h5", "w") as file:
            file["x"] = 1
        cases = {"text.h5": "is not an HDF5 file", "empty.h5": "is empty", "cut.h5": "is truncated",
                 "other.h5": "is an HDF5 file but not a nauha trace", "missing.h5": "No such file or directory"}
        for command in (["info"], ["ls"], ["cat"], ["verify"], ["replay", "--metric", "loss"]):
            for name, text in cases.items():
                with self.subTest(command=command, file=name):
                    self.complains(3, text, *command, self.dir / name)
        self.complains(3, "Is a directory", "info", self.dir)

    def test_another_version(self):
        path = self.broken(lambda file: file.attrs.modify("format_major", np.uint32(2)))
        self.complains(3, "has format version 2.5, but this program reads 1.x", "info", path)

    def test_a_missing_table(self):
        def remove(file):
            del file["modules"]
        self.complains(3, '"/modules"', "info", self.broken(remove))

    def test_damage_is_found_and_named(self):
        trace = h5py.File(self.path, "r")
        used = int(trace["streams_used"][0]["stream"])
        place = trace[f"streams/{used:04d}"].id.get_chunk_info(0)
        trace.close()
        done = nauha("verify", self.flipped(place.byte_offset + place.size // 2), code=1)
        self.assertIn("chunk 0", done.stdout)
        self.assertRegex(done.stdout, r'it hits [a-z_]+( of "[a-z]+")?, step 0 \(index row [0-9]+\);')

    def flipped(self, *places):
        """A copy with one bit changed at each of these places."""
        copy = self.dir / "damaged.h5"
        data = bytearray(self.path.read_bytes())
        for place in places:
            data[place] ^= 1
        copy.write_bytes(data)
        return copy

    def test_replay_tells_what_the_recording_lost(self):
        path = make_trace(self.dir / "lossy.h5", "--steps", 500, "--modules", 60, "--on-full", "drop", "--buffer", "1M",
                          "--flush", 60)
        losses = json.loads(nauha("info", "--json", path).stdout)["losses"]
        self.assertTrue(losses)
        said = nauha("replay", path, "--metric", "norm:weights").stderr.splitlines()[0]
        self.assertTrue(said.startswith(f"nauha: {path}: messages were lost in the recording: "), said)
        parts = said.split("recording: ")[1].split("; ")
        self.assertEqual([part.rsplit(", ", 1)[0] for part in parts],
                         [f"{loss['messages']:,} {loss['kind']} ({loss['reason']})".replace(",", " ") for loss in losses])
        self.assertEqual(nauha("replay", "-q", path, "--metric", "norm:weights").stderr, "")

    def test_replay_leaves_out_what_is_damaged(self):
        with h5py.File(self.path, "r") as trace:
            kinds = [row["name"].split(b"\0")[0] for row in trace["kinds"]]
            rows = trace["index"][:]
            index = trace["index"].id.get_chunk_info(0).byte_offset
            size = trace["index"].dtype.itemsize
            losses = [i for i, row in enumerate(rows) if kinds[row["kind"]] == b"loss"]
            stream = trace[f"streams/{rows[losses[0]]['stream']:04d}"]
            chunk = stream.id.get_chunk_info(0)
        metric = ["--metric", "loss", "--metric", "norm:weights"]
        whole = nauha("replay", self.path, *metric).stdout.splitlines()

        # one row of the index: one message
        path = self.flipped(index + size * losses[2])
        done = nauha("replay", path, *metric)
        self.assertEqual(done.stdout.splitlines(), [line for line in whole if not line.startswith("loss,2,")])
        self.assertEqual(done.stderr, "1 damaged message was left out:\n"
                         f'index row {losses[2]} of trace "{path}" does not match its checksum\n')
        self.assertEqual(nauha("replay", "-q", path, *metric).stderr, "")
        self.assertIn("does not match its checksum", nauha("replay", "--strict", path, *metric, code=3).stderr)

        # one chunk: all losses lie in it
        path = self.flipped(chunk.byte_offset + chunk.size // 2)
        done = nauha("replay", path, *metric)
        self.assertEqual(done.stdout.splitlines(), [line for line in whole if not line.startswith("loss,")])
        lines = done.stderr.splitlines()
        self.assertEqual(lines[:2], ["loss: no messages", f"{len(losses)} damaged messages were left out:"])
        self.assertEqual(lines[2], f'message {rows[losses[0]]["seq"]}: reading "loss" of step 0: chunk 0 of stream '
                         f'"{rows[losses[0]]["stream"]:04d}" in trace "{path}" does not match its checksum')
        done = nauha("replay", "--strict", path, *metric, code=3)
        self.assertIn('subscriber "loss": reading "loss" of step 0: chunk 0', done.stderr)

    def test_unknown_names(self):
        replay = ["replay", self.path, "--metric"]
        self.complains(2, 'did you mean "replay"?', "repaly")
        self.complains(2, 'did you mean "--metric"?', "replay", self.path, "--metrik", "loss")
        self.complains(2, "metrics: ratio, norm", *replay, "nrm:weights")
        self.complains(2, "kinds: batch_started", *replay, "norm:weigths")
        self.complains(2, "keys: order", *replay, "norm:weights:ordr=2")
        self.complains(2, 'takes a number from 0 to inf, not "x"', *replay, "norm:weights:order=x")
        self.complains(2, "takes 2 kinds", *replay, "ratio:weights")
        self.complains(2, "sinks: " + ", ".join(offered("replay", self.path, "--sink", "")), *replay, "loss", "--sink", "no-sink")
        self.complains(2, 'kind "foo" is unknown', *replay, "loss", "--kinds", "foo")
        self.complains(2, 'no module matches "zz*"', *replay, "loss", "--modules", "zz*")
        self.complains(2, 'tag "foo" is unknown', *replay, "loss", "--tag", "foo")
        self.complains(2, "is empty", *replay, "loss", "--steps", "5:3")
        self.complains(2, 'both write the series "loss"', *replay, "loss", "--metric", "loss")
        self.complains(2, 'did you mean "norm"?', "analyzers", "nrm")
        for meant, *words in (("replay", "help", "replya"), ("loss", *replay, "los"), ("weights", *replay, "norm:weigths"),
                              ("order", *replay, "norm:weights:ordr=2"), ("gnuplot", *replay, "loss", "--sink", "gnuplt"),
                              ("weights", "ls", self.path, "--kinds", "weigths"), ("hidden", "ls", self.path, "--modules", "hiden"),
                              ("default", "ls", self.path, "--tag", "defualt"), ("all_zero", "check", self.path, "--rule", "al_zero")):
            self.complains(2, f' (did you mean "{meant}"?)', *words)
        # Where nothing is near, nothing is suggested.
        self.assertNotIn("mean", nauha("check", self.path, "--rule", "xyzzyxyzzy", code=2).stderr.split("; rules")[0])

    def test_a_selection_that_chooses_nothing(self):
        there = ' chooses no message of "%s", which has steps 0 to 5 in 2 epochs, rank 0' % self.path
        out = self.dir / "nothing"
        commands = (["check", self.path], ["ls", self.path], ["cat", self.path], ["replay", self.path, "--metric", "loss", "-o", out],
                    ["report", self.path, "-o", out])
        for command in commands:
            for selection in (["--steps", "1000:"], ["--epochs", "7"], ["--rank", "3"], ["--steps", "3", "--epochs", "9"]):
                self.complains(2, f'"{" ".join(selection)}"{there}\n', *command, *selection)
            self.complains(2, f'"--kinds inputs"{there}, and the kinds batch_started, ', *command, "--kinds", "inputs")
        self.assertFalse(out.exists())
        self.assertIn(f'"--steps 1000:"{there}', nauha("diff", self.path, self.path, "--steps", "1000:", code=2).stderr)
        # Of several trainings, one may have ended before.
        longer = make_trace(self.dir / "longer.h5", "--steps", "9")
        nauha("replay", self.path, longer, "--metric", "loss", "--steps", "7:")

    def test_wrong_usage(self):
        self.assertIn("usage: nauha COMMAND", nauha(code=2).stderr)
        self.complains(2, "info needs TRACE", "info")
        self.complains(2, 'info does not take "b"', "info", self.path, "b")
        self.complains(2, "replay needs --metric SPEC; metrics: ratio", "replay", self.path)
        self.complains(2, 'option "--steps" needs a value', "ls", self.path, "--steps")
        self.complains(2, "--limit takes a whole number", "ls", self.path, "--limit", "-1")
        self.complains(2, "--npy writes exactly one tensor, but 12 are chosen", "cat", self.path, "--kinds", "weights", "--npy", "x.npy")

    def test_unwritable_output(self):
        self.complains(3, "cannot make directory", "replay", self.path, "--metric", "loss", "-o", "/dev/null/x")
        self.complains(3, "/dev/full", "cat", self.path, "--kinds", "loss", "--steps", "1", "--npy", "/dev/full")

    def test_metrics_in_python_without_the_package(self):
        program = self.dir / "elsewhere/bin/nauha"
        program.parent.mkdir(parents=True)
        shutil.copy(NAUHA, program)
        done = subprocess.run([program, "replay", self.path, "--metric", "my_module.py:Mine:weights"], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stdout), (3, ""))
        self.assertIn("nauha: the Python package is not found in any of", done.stderr)
        # A key's value that looks like a file is none.
        done = subprocess.run([program, "replay", self.path, "--metric", "norm:weights:tag=x.py:order=1"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_nothing_partial_under_a_final_name(self):
        # The variance of an event cannot be computed: the replay fails after the loss was written.
        out = self.dir / "partial"
        nauha("replay", self.path, "--metric", "loss", "--metric", "variance:batch_finished", "-o", out, "--sink", "csv", "--strict",
              code=3)
        self.assertEqual([p.name for p in out.iterdir() if p.suffix == ".csv"], [])

    def test_a_reader_that_has_seen_enough(self):
        done = subprocess.run(f"'{NAUHA}' ls '{self.path}' | head -n 1", shell=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertIn("seq", done.stdout)
        self.assertEqual(done.stderr, "")


class Ranks(unittest.TestCase):
    """The traces of one training: rank 1 is longer, rank 2 lacks the first epoch."""

    METRICS = ("--metric", "norm:weights", "--metric", "ratio:weight_updates,weights", "--metric", "loss:subsample=2",
               "--metric", "histogram:biases:bins=3", "--sink", "csv")

    @classmethod
    def setUpClass(cls):
        cls.dir = folder_of(cls)
        cls.paths = [make_trace(cls.dir / f"run.rank{rank}.h5", "--rank", rank, *arguments)
                     for rank, arguments in enumerate(((), ("--steps", 9), ("--epochs", "1:")))]

    def series(self, name, *paths):
        out = self.dir / name
        nauha("replay", *paths, *self.METRICS, "-o", out)
        return {file.name: file.read_text().splitlines() for file in out.iterdir()}

    def test_series_are_interleaved_by_step_then_rank(self):
        single = [self.series(f"rank{rank}", path) for rank, path in enumerate(self.paths)]
        # Whatever the order of the arguments.
        merged = self.series("merged", self.paths[2], self.paths[0], self.paths[1])
        self.assertEqual(len(merged), 4)
        self.assertEqual(set(merged), set(single[0]))
        for name, lines in merged.items():
            with self.subTest(name):
                rows = [line for series in single for line in series[name][1:]]
                rows.sort(key=lambda line: (int(line.split(",")[0]), int(line.split(",")[3])))  # stable
                self.assertEqual(lines, [single[0][name][0], *rows])
                self.assertEqual({line.split(",")[3] for line in lines[1:]}, {"0", "1", "2"})

    def test_one_rank_of_several(self):
        arguments = ("--metric", "norm:weights")
        chosen = nauha("replay", *self.paths, *arguments, "--rank", "1").stdout
        self.assertEqual(chosen, nauha("replay", self.paths[1], *arguments).stdout)

    def test_following_takes_one_training(self):
        other = make_trace(self.dir / "other.h5")
        out = self.dir / "refused"
        done = nauha("replay", "--follow", *self.paths, other, *self.METRICS, "-o", out, code=2)
        self.assertIn(f'"{self.paths[0]}" and "{other}" both have rank 0', done.stderr)
        self.assertFalse(out.exists())

    def test_each_trace_that_was_cut_off_is_named(self):
        cut = []
        for path in self.paths[1:]:
            cut.append(self.dir / f"cut.{path.name}")
            shutil.copy(path, cut[-1])
            with h5py.File(cut[-1], "r+", libver="latest") as file:
                file["end"].resize((0,))
        done = nauha("replay", self.paths[0], *cut, "--metric", "loss")
        for path in cut:
            self.assertIn(f"{path} was cut off", done.stderr)
        self.assertNotIn(f"{self.paths[0]} was", done.stderr)


def two_columns(rows):
    """As the program prints them."""
    width = max(len(name) for name, _ in rows)
    return "".join(f"  {name:<{width}}  {text}\n" for name, text in rows)


def spec_form(entry):
    """How a SPEC of an analyzer begins."""
    if entry["default_kinds"]:
        return entry["name"] + ("[:KIND...]" if entry["max_kinds"] else "")
    more = "[,KIND...]" if entry["max_kinds"] > entry["min_kinds"] else ""
    return f"{entry['name']}:{','.join(['KIND'] * entry['min_kinds'])}{more}"


class Lists(unittest.TestCase):
    def test_help(self):
        rows = [line.split("\t") for line in nauha("complete", "--", "").stdout.splitlines()]
        self.assertEqual(nauha("help").stdout,
                         "nauha records neural-network trainings and computes metrics from the recordings.\n\n"
                         "usage: nauha COMMAND [arguments] [options]\n\n"
                         f"{two_columns(rows)}\n"
                         "Type \"nauha help COMMAND\" for the options of a command.\n")

    def test_analyzers(self):
        groups = {"Metrics of the kinds you name": [], "Metrics of kinds of their own": [], "Health rules, which nauha check runs": []}
        of_any_kind, of_their_own, rules = groups.values()
        for entry in json.loads(nauha("analyzers", "--json").stdout):
            group = rules if entry["rule"] else of_any_kind if entry["min_kinds"] else of_their_own
            group.append((spec_form(entry), entry["summary"]))
        self.assertEqual(nauha("analyzers").stdout, "\"nauha analyzers NAME\" explains one of them.\n" +
                         "".join(f"\n{heading}\n{two_columns(rows)}" for heading, rows in groups.items()))


class Help(unittest.TestCase):
    def test_every_command_explains_itself(self):
        for command in nauha("help", "--commands").stdout.split():
            with self.subTest(command):
                text = nauha(command, "--help").stdout
                self.assertEqual(text, nauha("help", command).stdout)
                self.assertIn(f"usage: nauha {command}", text)
                self.assertIn("--help", text)

    def test_man_pages_are_up_to_date(self):
        pages = {"nauha.1": nauha("help", "--man").stdout}
        for command in nauha("help", "--commands").stdout.split():
            pages[f"nauha-{command}.1"] = nauha("help", "--man", command).stdout
        committed = {page.name: page.read_text() for page in (ROOT / "docs/man").glob("*.1")}
        self.assertEqual(pages, committed, "run make man")

    def test_version(self):
        self.assertEqual(nauha("--version").stdout.splitlines()[0], f"nauha {(ROOT / 'VERSION').read_text().strip()}")


@unittest.skipUnless(has_training(), "skipped: this build has no libtorch")
class Train(unittest.TestCase):
    def setUp(self):
        self.dir = folder_of(self)
        self.trace = self.dir / "run.h5"

    def start(self, *arguments):
        process = subprocess.Popen([NAUHA, "train", "-o", self.trace, "--epochs", "50", "--batch-size", "16", *arguments],
                                   stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (self.trace.exists() and self.trace.stat().st_size > 1 << 20):
            time.sleep(0.05)
        return process

    def test_signals_end_the_recording_properly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number):
                self.trace.unlink(missing_ok=True)
                process = self.start()
                process.send_signal(number)
                _, stderr = process.communicate(timeout=60)
                self.assertEqual(process.returncode, 128 + number, stderr)
                self.assertIn("the recording is complete up to here", stderr)
                info = json.loads(nauha("info", "--json", self.trace).stdout)
                self.assertIs(info["complete"], True)
                self.assertGreater(info["steps"], 0)

    def test_a_second_writer_is_refused_and_a_killed_recording_is_readable(self):
        process = self.start("--flush", "0.1")
        done = nauha("train", "-o", self.trace, "--max-steps", "1", code=3)
        self.assertIn("is being written by another recorder", done.stderr)
        while json.loads(nauha("info", "--json", self.trace).stdout)["steps"] == 0:
            self.assertIsNone(process.poll())
            time.sleep(0.05)
        process.kill()
        process.communicate(timeout=60)
        info = json.loads(nauha("info", "--json", self.trace).stdout)
        self.assertIs(info["complete"], False)
        self.assertIs(info["closed"], False)
        self.assertGreater(info["steps"], 0)
        nauha("verify", self.trace)
        done = nauha("replay", self.trace, "--metric", "loss")
        self.assertIn("cut off", done.stderr)
        self.assertGreater(len(done.stdout.splitlines()), 1)

    def test_a_missing_dataset_leaves_an_older_trace_alone(self):
        make_trace(self.trace)
        before = self.trace.read_bytes()
        done = nauha("train", "-o", self.trace, "--data-dir", self.dir / "none", code=3)
        self.assertIn("cannot open dataset directory", done.stderr)
        nauha("train", "-o", self.trace, "--metric", "nrm:weights", code=2)
        self.assertEqual(self.trace.read_bytes(), before)

    def test_places_that_cannot_be_written(self):
        self.assertIn("No such file or directory", nauha("train", "-o", self.dir / "a/b.h5", "--max-steps", "1", code=3).stderr)
        self.assertIn("it is a directory", nauha("train", "-o", self.dir, "--max-steps", "1", code=2).stderr)

    def test_a_full_disk_stops_the_recording_and_not_the_training(self):
        script = 'ulimit -f 4096; trap "" XFSZ; exec "$0" train -o "$1" --max-steps 60 --batch-size 32'
        done = subprocess.run(["bash", "-c", script, NAUHA, str(self.trace)], stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(done.stderr.count("recording has stopped"), 1, done.stderr)
        self.assertIn("60 steps", done.stderr)
        self.assertIn("File too large", done.stderr)
        info = json.loads(nauha("info", "--json", self.trace).stdout)
        self.assertIs(info["complete"], False)

    def test_a_full_disk_at_the_last_flush_is_told(self):
        script = 'ulimit -f 1024; trap "" XFSZ; exec "$0" train -o "$1" --max-steps 3 --flush 100 $2'
        for quiet in ("", "--quiet"):
            done = subprocess.run(["bash", "-c", script, NAUHA, str(self.trace), quiet], stderr=subprocess.PIPE, text=True,
                                  timeout=120)
            self.assertEqual(done.returncode, 3, done.stderr)
            self.assertRegex(done.stderr, f"(?m)^nauha: {self.trace} is not complete: .*File too large")
            info = json.loads(nauha("info", "--json", self.trace).stdout)
            self.assertIs(info["complete"], False)
            self.assertGreater(info["lost"], 0)
            if not quiet:
                self.assertRegex(done.stderr, f"(?m)^{self.trace}: {info['messages']} messages, .* stored; "
                                              f"{info['lost']} messages, .* lost$")

    def test_a_limit_ends_the_recording_and_is_told(self):
        done = nauha("train", "-o", self.trace, "--max-steps", "60", "--limit", "4M", "--buffer", "2M", code=3)
        self.assertIn("recording stopped at its limit of 4194304 bytes", done.stderr)
        info = json.loads(nauha("info", "--json", self.trace).stdout)
        self.assertGreater(info["lost"], 0)
        self.assertIn("limit", info["failure"])
        self.assertLess(self.trace.stat().st_size, 12 << 20)
        nauha("verify", self.trace)

    def test_unrecorded(self):
        done = nauha("train", "--max-steps", "2")
        self.assertIn("2 steps", done.stderr)
        self.assertEqual(list(self.dir.iterdir()), [])


if __name__ == "__main__":
    unittest.main()
