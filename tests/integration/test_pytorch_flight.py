# SPDX-License-Identifier: MIT
"""The flight recorder under nauha record and in an exporter: what makes it write the last steps, and what the trace then has.

Run once for each PyTorch there is; see tests/run.py.
"""
import json
import os
import signal
import subprocess
import sys

import torch

from tests.integration.program import NAUHA, ROOT, folder_of
from tests.integration.pytorch_case import Case, nauha
from tests.integration.test_pytorch_record import ENVIRONMENT

PROGRAM = ROOT / "tests/programs/diverging.py"
KEPT = {"weights", "biases", "activations", "layer_gradients", "weight_gradients", "bias_gradients", "weight_updates",
        "bias_updates", "network_output", "input_data", "input_labels", "loss"}


def tensors(path, steps):
    """The elements of a trace's messages of these steps, by place and kind."""
    with nauha.open(path) as trace:
        return {(m.global_step, m.kind, m.module, m.slot, m.call): m.tensor.tobytes()
                for m in trace.messages(steps=f"{steps[0]}:{steps[-1] + 1}", kinds=",".join(sorted(KEPT)))}


class Programs(Case):
    """A program of a stranger, recorded unmodified."""

    @classmethod
    def setUpClass(cls):
        cls.whole = folder_of(cls) / "whole.h5"
        subprocess.run([NAUHA, "record", "-q", "-o", cls.whole, "--", sys.executable, PROGRAM, "nothing"],
                       stdout=subprocess.DEVNULL, env=ENVIRONMENT, timeout=300, check=True)

    def record(self, how, *options):
        done = subprocess.run([NAUHA, "record", "-o", self.path, *options, "--", sys.executable, PROGRAM, how],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=300)
        return self.path, done

    def check(self, how, reason, step, steps, *options):
        """The trace is in full in `steps`, and has fingerprints elsewhere. Before the ninth step, when something goes wrong,
        the elements are those of a recording in full."""
        path, done = self.record(how, "--flight", "3", "--flight-after", "2", *options)
        self.assertIn(f"writes its steps in full: {reason}", done.stderr)
        with nauha.open(path) as trace:
            self.assertEqual([(dump[0], dump[1]) for dump in trace.info.dumps], [(step, steps[0])])
            self.assertTrue(trace.info.dumps[0][3].startswith(reason))
            in_full = {m.global_step for m in trace.messages(kinds="activations", modules="0") if m.kept == "elements"}
            fingerprints = {m.global_step for m in trace.messages(kinds="activations", modules="0") if m.kept == "fingerprint"}
        self.assertEqual(in_full, set(steps))
        self.assertLessEqual(set(range(steps[0])), fingerprints)
        self.assertTrue(fingerprints.isdisjoint(in_full))
        before = [step for step in steps if step < 8]
        expected = tensors(self.whole, before)
        self.assertGreater(len(expected), 10 * len(before))
        self.assertEqual(tensors(path, before), expected)
        return path, done

    def test_a_loss_that_is_not_finite(self):
        path, done = self.check("nan", "the loss is not finite", 8, range(6, 11))
        bare = subprocess.run([sys.executable, PROGRAM, "nan"], stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=300)
        self.assertEqual((done.stdout, done.returncode), (bare.stdout, bare.returncode))
        info = json.loads(subprocess.run([NAUHA, "info", "--json", path], stdout=subprocess.PIPE, check=True).stdout)
        self.assertEqual(info["dumps"], [{"step": 8, "first_step": 6, "last_step": 10, "reason": "the loss is not finite"}])
        for command in ("info", "check"):
            shown = subprocess.run([NAUHA, command, path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            self.assertIn("steps 6 to 10", shown.stdout)
        shown = subprocess.run([NAUHA, "verify", path], stdout=subprocess.PIPE, text=True, check=True).stdout
        self.assertRegex(shown, r"nothing is damaged\n\d+ messages whose elements were written later are equal to their fingerp")
        page = self.folder / "page.html"
        subprocess.run([NAUHA, "report", "-q", path, "-o", page], check=True, stderr=subprocess.DEVNULL)
        self.assertIn("steps 6 to 10", page.read_text())

    def test_an_exception(self):
        self.check("raise", "RuntimeError: the disk of the data set is gone", 8, range(6, 9))

    def test_the_signal(self):
        self.check("signal", "SIGUSR1", 7, range(5, 10))

    def test_a_rule(self):
        self.check("explode", "rule exploding_tensor", 9, range(7, 12), "--rule", "exploding_tensor")

    def test_metrics_use_the_steps_that_are_in_full(self):
        path, _ = self.record("nan", "--flight", "3", "--flight-after", "0")
        out = self.folder / "out"
        done = subprocess.run([NAUHA, "replay", path, "--metric", "histogram:activations", "-o", out, "--sink", "csv"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("left out 44 of 56 bundles, from step 0 to 13", done.stderr)
        steps = {int(row.split(",")[0]) for row in (out / "activations_histogram.csv").read_text().split("\n")[1:]
                 if row and row[0].isdigit()}
        self.assertEqual(steps, {6, 7, 8})


class InAnExporter(Case):
    def train(self, exporter, steps, fail_at=None):
        net = torch.nn.Linear(30, 30)
        exporter.set_model(net)
        exporter.add_modules(net)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        for step in range(steps):
            if step == fail_at:
                raise KeyError("label")
            optimizer.zero_grad()
            net(torch.randn(8, 30)).square().mean().backward()
            optimizer.step()

    def dumps(self):
        with nauha.open(self.path) as trace:
            return trace.info.dumps

    def test_an_exception_that_leaves_the_scope(self):
        with self.assertRaises(KeyError):
            with nauha.Exporter(self.path, flight=2, notice=self.notices.append) as exporter:
                self.train(exporter, 9, fail_at=6)
        self.assertEqual(self.dumps(), [(5, 4, 6, "KeyError: 'label'")])

    def test_a_call(self):
        with nauha.Exporter(self.path, flight=2, flight_after=3, notice=self.notices.append) as exporter:
            self.train(exporter, 6)
            exporter.dump("because of the program")
        self.assertEqual(self.dumps(), [(5, 4, 8, "because of the program")])
        with nauha.Exporter(self.path, overwrite=True) as exporter:
            with self.assertRaises(nauha.Error):
                exporter.dump("nothing is held")

    def test_what_has_no_room_is_said(self):
        with nauha.Exporter(self.path, flight=500, buffer="2M", notice=self.notices.append) as exporter:
            self.train(exporter, 120)
        self.assertTrue(any("of 500 steps, as no more fit into 2M" in notice for notice in self.notices), self.notices)
        self.assertEqual(self.dumps(), [])

    def test_the_signal_belongs_to_a_program_that_uses_it(self):
        caught = []
        before = signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
        self.addCleanup(signal.signal, signal.SIGUSR1, before)
        with nauha.Exporter(self.path, flight=2) as exporter:
            self.train(exporter, 3)
            os.kill(os.getpid(), signal.SIGUSR1)
        self.assertEqual(caught, [1])
        self.assertEqual(self.dumps(), [])

    def test_nothing_remains_of_the_signal(self):
        self.assertIs(signal.getsignal(signal.SIGUSR1), signal.SIG_DFL)
        with nauha.Exporter(self.path, flight=2) as exporter:
            self.assertIsNot(signal.getsignal(signal.SIGUSR1), signal.SIG_DFL)
            self.train(exporter, 3)
        self.assertIs(signal.getsignal(signal.SIGUSR1), signal.SIG_DFL)

    def test_the_parts_of_a_dump_are_in_the_file_for_any_reader(self):
        """With h5py alone: a row of /elements names a message, and its elements are those."""
        import h5py
        seen = []
        with nauha.Exporter(self.path, flight=2, codec="none") as exporter:
            net = torch.nn.Linear(30, 30)
            exporter.set_model(net)
            exporter.add_modules(net)
            for _ in range(4):
                seen.append(net(torch.randn(8, 30)))
                seen[-1].mean().backward()
            exporter.dump("h5py")
        with h5py.File(self.path, "r") as file:
            self.assertEqual(file["dumps"][0]["reason"].split(b"\0")[0], b"h5py")
            kinds = [row["name"].split(b"\0")[0].decode() for row in file["kinds"]]
            index = {row["seq"]: row for row in file["index"]}
            steps = []
            for row in file["elements"]:
                message = index[row["seq"]]
                if kinds[message["kind"]] != "activations":
                    continue
                items = file[f"streams/{row['stream']:04d}"][int(row["offset"]):int(row["offset"]) + 240]
                step = int(message["global_step"])
                self.assertEqual(items.view("f4").tobytes(), seen[step].detach().numpy().tobytes())
                steps.append(step)
        self.assertEqual(sorted(set(steps)), [2, 3])
