#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the Python hooks cost: microseconds a message beside the copy, and the share of a step while paused.

Variants of one training take turns, block by block, so that a noisy machine is noisy for all of them; medians
of the blocks are compared. Usage: bench_python.py [--blocks N]
"""
import argparse
import pathlib
import statistics
import sys
import tempfile
import time

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))
import nauha  # noqa: E402

GOAL_US, GOAL_PAUSED = 15, 1.01


def small_tensors():
    """Messages of 256 bytes: what is left is the hook path."""
    layers = [layer for _ in range(40) for layer in (nn.Linear(8, 8), nn.Tanh())]
    return nn.Sequential(*layers), torch.randn(8, 8), torch.randn(8, 8), nn.MSELoss()


def convolutional():
    """A net of 11 modules and a batch of 64: a step as trainings have them."""
    net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(True), nn.MaxPool2d(2),
                        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(64 * 49, 10))
    return net, torch.randn(64, 1, 28, 28), torch.randint(10, (64,)), nn.CrossEntropyLoss()


class Training:
    def __init__(self, make, path=None, paused=False, **options):
        torch.manual_seed(0)
        self.model, self.x, self.y, self.loss = make()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        self.exporter = None
        if path is not None:
            self.exporter = nauha.Exporter(path, **options)
            self.exporter.set_model(self.model)
            self.exporter.add_modules(self.model)
            self.exporter.set_loss(self.loss)
            self.exporter.pause(paused)

    def run(self, steps):
        """Seconds a step."""
        started = time.perf_counter()
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.loss(self.model(self.x), self.y).backward()
            self.optimizer.step()
        return (time.perf_counter() - started) / steps

    def messages(self):
        return self.exporter.stats()["messages"]


def compare(trainings, steps, blocks):
    """Medians of seconds a step, by name."""
    times = {name: [] for name in trainings}
    for training in trainings.values():
        training.run(steps)
    for block in range(blocks):
        order = list(trainings.items())
        for name, training in order if block % 2 else reversed(order):
            times[name].append(training.run(steps))
    return {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=15)
    blocks = parser.parse_args().blocks
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        trainings = {"bare": Training(small_tensors), "recorded": Training(small_tensors, folder / "a.h5", codec="none"),
                     "selected": Training(small_tensors, folder / "b.h5", kinds="loss"),
                     "paused": Training(small_tensors, folder / "d.h5", paused=True)}
        before = trainings["recorded"].messages()
        times = compare(trainings, 20, blocks)
        messages = (trainings["recorded"].messages() - before) / (20 * (blocks + 1))
        cost = (times["recorded"] - times["bare"]) / messages * 1e6
        print(f"torch {torch.__version__}, {messages:.0f} messages of 256 bytes a step, one thread:")
        print(f"  bare {times['bare'] * 1e3:.2f} ms a step, recorded {times['recorded'] * 1e3:.2f} ms: "
              f"{cost:.1f} us a message (goal {GOAL_US})")
        modules = len(list(trainings["bare"].model.modules()))
        for name, what in (("selected", "loss alone recorded"), ("paused", "paused")):
            print(f"  {what}: {(times[name] - times['bare']) / modules * 1e6:.2f} us a run of a module")
        for training in list(trainings.values())[1:]:
            training.exporter.close()
        trainings = {"bare": Training(convolutional), "paused": Training(convolutional, folder / "c.h5", paused=True)}
        times = compare(trainings, 2, 4 * blocks)
        print(f"  paused, a step of {times['bare'] * 1e3:.0f} ms: {times['paused'] / times['bare']:.4f} of bare "
              f"(goal {GOAL_PAUSED})")
        trainings["paused"].exporter.close()


if __name__ == "__main__":
    main()
