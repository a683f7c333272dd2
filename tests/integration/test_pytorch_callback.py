# SPDX-License-Identifier: MIT
"""Functions as subscribers: live and at replay they are handed the same messages.

Run once for each PyTorch there is; see tests/run.py.
"""
import os
import subprocess
import sys

import numpy as np
from torch import nn

from tests.integration.program import NAUHA, ROOT
from tests.integration.pytorch_case import Case, batches, nauha, train


class CallbackTest(Case):
    def see(self, message):
        self.seen.append((message.kind, message.tag, message.global_step, message.module, np.array(message.tensor)))

    def assert_same(self, first, second):
        self.assertEqual([row[:4] for row in first], [row[:4] for row in second])
        for a, b in zip(first, second):
            np.testing.assert_array_equal(a[4], b[4])

    def record(self, *subscribers):
        model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
        exporter = self.export(model)
        exporter.subscribe(*subscribers)
        x, y = batches(1, 4, 3)[0]
        exporter.probe("probing", x, y, every=2)
        train(model, batches(5, 4, 3), loss_function=exporter.set_loss(nn.MSELoss()))
        self.assertTrue(exporter.close())
        self.assertEqual(self.notices, [])

    def test_live_and_replayed(self):
        for options in ({"kinds": "weights,activations", "every": 2}, {"kinds": ["activations"], "tag": "probing"},
                        {"kinds": "layer_gradients", "subsample": 3}):
            with self.subTest(options):
                self.seen = []
                subscriber = nauha.callback(self.see, synchronized=False, **options)
                self.record(subscriber)
                live, self.seen = self.seen, []
                self.assertEqual(nauha.replay(self.path, [subscriber]), {})
                self.assertGreater(len(live), 5)
                self.assert_same(live, self.seen)

    def test_every_and_tag(self):
        self.seen = []
        self.record(nauha.callback(self.see, "loss", every=2), nauha.callback(self.see, "loss", tag="probing"))
        self.assertEqual([row[1:3] for row in self.seen], [("probing", 0), ("default", 0), ("probing", 2), ("default", 2),
                                                           ("probing", 4), ("default", 4)])

    def test_bundles(self):
        self.seen = []
        self.record(nauha.callback(lambda bundle: self.seen.append((bundle.module, len(bundle),
                                                                    bundle["weight_updates"].tensor.shape)),
                                   ["weights", "weight_updates"]))
        self.assertEqual(self.seen, [("0", 2, (6, 4)), ("2", 2, (3, 6))] * 5)

    def test_beside_other_metrics(self):
        self.seen = []
        self.record(nauha.callback(self.see, "loss"), "loss")
        self.assertEqual(list(self.exporter.series["loss"]["value"]), [float(row[4]) for row in self.seen])

    def test_what_it_raises_ends_the_replay(self):
        self.record(nauha.callback(lambda message: None, "loss"))

        def fail(message):
            raise KeyError("no more")

        with self.assertRaisesRegex(KeyError, "no more"):
            nauha.replay(self.path, [nauha.callback(fail, "loss")])

    def test_from_the_command_line(self):
        self.record(nauha.callback(lambda message: None, "loss"))
        file = self.path.with_name("look.py")
        file.write_text("def look(message):\n    print('seen', message.global_step, message.module)\n")
        done = subprocess.run([NAUHA, "replay", "-q", self.path, "--metric", f"{file}:look:weights:every=4"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              env={**os.environ, "NAUHA_PYTHON": sys.executable, "PYTHONPATH": str(ROOT / "tools/python")})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual([line for line in done.stdout.splitlines() if line.startswith("seen")],
                         [f"seen {step} {module}" for step in (0, 4) for module in "02"])
