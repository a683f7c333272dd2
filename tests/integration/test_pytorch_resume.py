# SPDX-License-Identifier: MIT
"""Traces of a training that was interrupted and resumed, read as one: the series are those of the training that was not.

Run once for each PyTorch there is; see tests/run.py.
"""
import csv
import io
import unittest

import numpy as np
import torch
from torch import nn

from tests.integration.program import nauha as run
from tests.integration.pytorch_case import Case, nauha

METRICS = ["loss", "norm:weights", "mean:weight_updates", "test_accuracy"]
EPOCH, STEPS = 4, 12


class Training:
    """A training of 12 steps in 3 epochs, with an evaluation after each epoch."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.05)
        self.data = [(torch.randn(8, 3), torch.randint(2, (8,))) for _ in range(EPOCH)]
        self.done = 0

    def run(self, exporter, until):
        exporter.set_model(self.model)
        exporter.add_modules(self.model)
        loss_function = exporter.set_loss(nn.CrossEntropyLoss())
        while self.done < until:
            x, labels = self.data[self.done % EPOCH]
            self.optimizer.zero_grad()
            loss_function(self.model(x), labels).backward()
            self.optimizer.step()
            self.done += 1
            if self.done % EPOCH == 0:
                exporter.epoch_finished()
                with exporter.evaluation("testing", results_only=True):
                    loss_function(self.model(x), labels)


class Resume(Case):
    def record(self, name, training, until, rank=0, world_size=1, **options):
        first = {"first_step": training.done, "first_epoch": training.done // EPOCH, "first_batch": training.done % EPOCH}
        path = self.folder / f"{name}.h5"
        exporter = nauha.Exporter(path, notice=self.notices.append, rank=rank, world_size=world_size, **{**first, **options})
        training.run(exporter, until)
        self.assertTrue(exporter.close())
        return path

    def interrupted(self, *jobs, prefix="", **options):
        """The traces of jobs, each from a step to another one, where a later one goes on from a checkpoint."""
        traces = []
        for number, (first, until) in enumerate(jobs):
            training = Training()
            training.run(nauha.Exporter(None), first)
            traces.append(self.record(f"{prefix}{number}", training, until, **options))
        return traces

    def same(self, traces, whole, **options):
        joined = nauha.replay(traces, METRICS, resume=True, **options)
        expected = nauha.replay(whole, METRICS, **options)
        self.assertEqual(set(joined), set(expected))
        for name in expected:
            for column in ("global_step", "train_step", "epoch", "value"):
                np.testing.assert_array_equal(joined[name][column], expected[name][column], f"{column} of {name}")
        self.assertEqual(expected["loss"]["global_step"].tolist(), list(range(STEPS)))

    def test_joined(self):
        traces, whole = self.interrupted((0, 7), (5, 12)), self.record("whole", Training(), STEPS)
        for jobs in (1, 2):
            self.same(traces, whole, jobs=jobs)
        self.same(reversed(traces), whole)  # in whatever order they are given

    def test_from_an_older_checkpoint(self):
        """What the second trace has is repeated by the third."""
        self.same(self.interrupted((0, 6), (6, 9), (3, 12)), self.record("whole", Training(), STEPS))

    def test_at_the_end_of_an_epoch(self):
        self.same(self.interrupted((0, 8), (8, 12)), self.record("whole", Training(), STEPS))

    def test_ranks(self):
        traces = [trace for rank in range(2)
                  for trace in self.interrupted((0, 7), (5, 12), prefix=f"rank{rank}.", rank=rank, world_size=2)]
        series = nauha.replay(traces, "loss", resume=True)["loss"]
        self.assertEqual([(int(step), int(rank)) for step, rank in zip(series["global_step"], series["rank"])],
                         [(step, rank) for step in range(STEPS) for rank in range(2)])

    def test_the_command(self):
        traces, whole = self.interrupted((0, 7), (5, 12)), self.record("whole", Training(), STEPS)
        expected = run("replay", "--metric", "loss", whole).stdout
        self.assertEqual(run("replay", "--metric", "loss", "--resume", *traces).stdout, expected)
        self.assertEqual(run("replay", "--metric", "loss", "--resume", "--follow", *traces).stdout, expected)
        apart = list(csv.DictReader(io.StringIO(run("replay", "--metric", "loss", *traces).stdout)))
        self.assertEqual([row["run"] for row in apart], ["0"] * 7 + ["1"] * 7)
        self.assertEqual(nauha.check(traces, resume=True)["findings"], nauha.check(whole)["findings"])
        self.assertIn("both have rank 0", run("check", *traces, code=2).stderr)

    def test_a_trace_that_begins_anew(self):
        traces = [self.record(name, Training(), 2) for name in "ab"]
        self.assertIn('b.h5" begins with step 0, so it does not go on from', run("replay", "--metric", "loss", "--resume",
                                                                                 *traces, code=2).stderr)
        with self.assertRaisesRegex(nauha.Error, "--first-step"):
            nauha.replay(traces, "loss", resume=True)


if __name__ == "__main__":
    unittest.main()
