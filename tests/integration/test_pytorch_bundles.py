# SPDX-License-Identifier: MIT
"""Metrics of two kinds whose messages have only a part of their keys in common, replayed and live, held against NumPy.

Run once for each PyTorch there is; see tests/run.py.
"""
import unittest
import warnings

import numpy as np
import torch
from torch import nn

from tests.integration.program import nauha, read_csv
from tests.integration.pytorch_case import Case
from tests.integration.pytorch_case import nauha as nauha_package


class Tagger(nn.Module):
    """An LSTM, and a layer that is called twice in each pass."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 4, num_layers=2, batch_first=True)
        self.twice = nn.Linear(4, 4)

    def forward(self, x):
        return self.twice(torch.tanh(self.twice(self.rnn(x)[0])))


def stem(slot):
    return slot.replace("weight", "").replace("bias", "")


def norm(message):
    return np.linalg.norm(message.values.astype(np.float64))


# For each pair: what two messages of a module and step must have in common. Written down before it was recorded.
PAIRS = {
    ("activations", "weights"): lambda a, b: True,
    ("weights", "activations"): lambda a, b: True,
    ("biases", "weights"): lambda a, b: stem(a.slot) == stem(b.slot),
    ("bias_gradients", "weight_gradients"): lambda a, b: stem(a.slot) == stem(b.slot) and a.call == b.call,
    ("weight_gradients", "weights"): lambda a, b: a.slot == b.slot,
    ("layer_gradients", "activations"): lambda a, b: (a.slot, a.call) == (b.slot, b.call),
    ("weight_updates", "bias_gradients"): lambda a, b: stem(a.slot) == stem(b.slot),
    ("inputs", "activations"): lambda a, b: a.call == b.call,
    ("network_output", "loss"): lambda a, b: a.call == b.call,
}


class Bundles(Case):
    def train(self):
        model, loss = Tagger(), nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.export(model, depth=2, kinds=[*{kind for pair in PAIRS for kind in pair}])
        self.exporter.set_loss(loss)
        self.exporter.subscribe(*("ratio:" + ",".join(pair) for pair in PAIRS), output=self.folder / "live")
        for _ in range(3):
            for _ in range(2):
                (loss(model(torch.randn(2, 5, 3)), torch.randn(2, 5, 4)) / 2).backward()
            optimizer.step()
            optimizer.zero_grad()
        return self.trace()

    def expected(self, trace, first, second, agree):
        found = []
        for a in trace.of(first):
            for b in trace.of(second):
                if (a.step, a.module) == (b.step, b.module) and agree(a, b):
                    found.append((a.step, a.module or "", a.slot, a.call or b.call, norm(a) / norm(b)))
        return sorted(found)

    def rows(self, folder, first, second):
        return sorted((int(row["global_step"]), row["module"], row["slot"], int(row["call"]), float(row["value"]))
                      for row in read_csv(folder / f"{first}_{second}_ratio.csv"))

    def test_every_pair_gives_rows_live_and_replayed(self):
        trace = self.train()
        metrics = [part for pair in PAIRS for part in ("--metric", "ratio:" + ",".join(pair))]
        nauha("replay", self.path, *metrics, "-o", self.folder / "replayed")
        for (first, second), agree in PAIRS.items():
            expected = self.expected(trace, first, second, agree)
            for folder in ("replayed", "live"):
                with self.subTest(f"{first},{second} {folder}"):
                    rows = self.rows(self.folder / folder, first, second)
                    self.assertGreater(len(rows), 5)
                    self.assertEqual([row[:4] for row in rows], [row[:4] for row in expected])
                    np.testing.assert_allclose([row[4] for row in rows], [row[4] for row in expected], rtol=1e-12)

    def test_all_tags(self):
        class Seen(nauha_package.Subscriber):
            def __init__(self):
                super().__init__("loss", tag=None, topic="seen")

            def compute(self, message):
                return message.tensor

        model, loss = nn.Linear(3, 2), nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.export(model)
        self.exporter.set_loss(loss)
        self.exporter.subscribe("step_loss:tag=*", Seen(), output=self.folder / "live")
        printed = []
        for step in range(3):
            value = loss(model(torch.randn(4, 3)), torch.randn(4, 2))
            value.backward()
            optimizer.step()
            optimizer.zero_grad()
            printed.append((step, "default", value.item()))
            with self.exporter.tag("testing"), torch.no_grad():
                printed.append((step, "testing", loss(model(torch.randn(4, 3)), torch.randn(4, 2)).item()))
        self.assertTrue(self.exporter.close())
        nauha("replay", self.path, "--metric", "step_loss:tag=*", "-o", self.folder / "replayed")
        nauha_package.replay(self.path, Seen(), output=self.folder / "seen")
        for folder, series in (("live", "step_loss"), ("live", "seen"), ("replayed", "step_loss"), ("seen", "seen")):
            with self.subTest(f"{folder} {series}"):
                rows = [(int(row["global_step"]), row["tag"], float(row["value"]))
                        for row in read_csv(self.folder / folder / f"{series}.csv")]
                self.assertEqual(sorted(row[:2] for row in rows), sorted(row[:2] for row in printed))
                np.testing.assert_allclose([row[2] for row in sorted(rows)], [row[2] for row in sorted(printed)], rtol=1e-6)

    def test_messages_and_bundles_have_what_a_training_has(self):
        seen = {"live": [], "replayed": []}

        class Look(nauha_package.Subscriber):
            def __init__(self, where):
                super().__init__(["activations", "weights"])
                self.where = where

            def compute(self, bundle):
                seen[self.where].append((bundle.key, bundle.kinds, bundle.complete(), bundle.data, bundle.weights,
                                         bundle[0].nn_module, bundle["weights"].key))

        for dtype in (torch.float32, torch.bfloat16):
            model = nn.Sequential(nn.Linear(3, 2), nn.ReLU()).to(dtype)
            self.export(model)
            self.exporter.subscribe(Look("live"))
            expected = model(torch.randn(4, 3, dtype=dtype)).sum()
            expected.backward()
            self.assertTrue(self.exporter.close())
            nauha_package.replay(self.path, Look("replayed"))
            with self.subTest(str(dtype)):
                (key, kinds, complete, data, weights, module, of_weights), = seen["live"]
                self.assertEqual(key, (0, "default", "0", "", 0))
                self.assertEqual((key.module, key.call, of_weights.slot), ("0", 0, "weight"))
                self.assertEqual((kinds, complete), (("activations", "weights"), True))
                self.assertIs(module, model[0])
                self.assertTrue(torch.equal(weights, model[0].weight))
                self.assertEqual((data["activations"].dtype, data["activations"].shape), (dtype, (4, 2)))
                (*same, replayed, of_replay, module, _), = seen["replayed"]
                self.assertEqual(same, [key, kinds, complete])
                self.assertIsNone(module)
                np.testing.assert_array_equal(of_replay, weights.view(torch.int16).numpy().view(np.uint16)
                                              if dtype is torch.bfloat16 else weights.numpy())
                self.assertIsInstance(replayed["activations"], np.ndarray)
            for found in seen.values():
                found.clear()

    def test_a_metric_without_messages_says_so(self):
        metrics = {"norm:inputs": 'it got nothing, because there are no messages of "inputs"',
                   "loss:tag=validation": 'no message of "loss" has the tag "validation"; they have "default"',
                   "ratio:activations,weights:tag=validation":
                       'no message of "activations" has the tag "validation"; they have "default"'}
        model, loss = nn.Linear(3, 2), nn.MSELoss()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self.export(model)
        self.exporter.set_loss(loss)
        self.exporter.subscribe(*metrics, "norm:weights")
        for _ in range(2):
            loss(model(torch.randn(4, 3)), torch.randn(4, 2)).backward()
            optimizer.step()
        self.assertTrue(self.exporter.close())
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            nauha_package.replay(self.path, [*metrics, "norm:weights"])
        told = {"live": "\n".join(self.notices), "Python": "\n".join(str(warning.message) for warning in caught),
                "command": nauha("replay", self.path, "-o", self.folder / "replayed",
                                 *(part for metric in [*metrics, "norm:weights"] for part in ("--metric", metric))).stderr}
        for where, text in told.items():
            for metric, expected in metrics.items():
                with self.subTest(f"{where} {metric}"):
                    self.assertIn(f'metric "{metric}": ', text)
                    self.assertIn(expected, text)
            self.assertNotIn('metric "norm:weights"', text)

    def test_pairs_that_cannot_meet_are_refused(self):
        self.train()
        for pair, reason in (("loss,weights", "the first kind is of the network, and the second is of its modules"),
                             ("weights,batch_finished", "no tensors that belong to those of another kind")):
            with self.subTest(pair):
                self.assertIn(reason, nauha("replay", self.path, "--metric", f"ratio:{pair}", code=2).stderr)
                exporter = self.export(Tagger())
                with self.assertRaisesRegex(nauha_package.Error, reason):
                    exporter.subscribe(f"ratio:{pair}", output=self.folder / "refused")
                self.assertTrue(exporter.close())


if __name__ == "__main__":
    unittest.main()
