#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What recording from Python costs for small steps, beside PyTorch's own hooks with empty functions: microseconds a message,
within a training and of hooks that are called in a row; the step's own work; and the share of a step while paused.

Times are processor time of the thread that trains. Variants of one training take turns, block by block; medians of the blocks
are compared. A recorder exists only while its variant runs. Usage: bench_python.py [--blocks N] [--modules N]
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
import nauha.exporter  # noqa: E402

GOAL_US, GOAL_STEP_US, GOAL_MODULE_US, GOAL_PAUSED = 3, 100, 1, 1.01
STEPS = 20
PARAMETERS = ["weights", "weight_updates", "biases", "bias_updates"]
# What is recorded, and the empty hooks that see as much.
ROWS = {"activations": (["activations"], ["forward"]),
        "layer gradients": (["layer_gradients"], ["forward", "node"]),
        "parameter gradients": (["weight_gradients", "bias_gradients"], ["forward", "tensor"]),
        "everything": ([kind for kind in nauha.native.KINDS if kind != "inputs"], ["forward", "node", "tensor"])}


def small_tensors(modules):
    """Messages of 256 bytes: what is left is the hook path."""
    layers = [layer for _ in range(modules // 2) for layer in (nn.Linear(8, 8), nn.Tanh())]
    return nn.Sequential(*layers), torch.randn(8, 8), torch.randn(8, 8), nn.MSELoss()


def convolutional(_):
    """A net of 11 modules and a batch of 64: a step as trainings have them."""
    net = nn.Sequential(nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(True), nn.MaxPool2d(2),
                        nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(True), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(64 * 49, 10))
    return net, torch.randn(64, 1, 28, 28), torch.randint(10, (64,)), nn.CrossEntropyLoss()


def nothing(*_):
    return None


def hook_node(module, args, output):
    output.grad_fn.register_prehook(nothing)


class Training:
    """One without a recorder; `empty` names the hooks that it has."""

    def __init__(self, make, modules=0, empty=()):
        torch.manual_seed(0)
        self.model, self.x, self.y, self.loss = make(modules)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-3)
        if "forward" in empty:
            for module in self.model.modules():
                module.register_forward_hook(hook_node if "node" in empty else nothing)
        if "tensor" in empty:
            for parameter in self.model.parameters():
                parameter.register_hook(nothing)

    def step(self):
        """Seconds of this thread on a processor."""
        started = time.thread_time()
        self.optimizer.zero_grad()
        self.loss(self.model(self.x), self.y).backward()
        self.optimizer.step()
        return time.thread_time() - started

    def run(self, count):
        """What each step took, by name."""
        self.step()
        return [{"step": self.step()} for _ in range(count)]


class Watch:
    """Adds up the seconds in a function."""

    def __init__(self, holder, name):
        self.seconds = 0
        self._function = getattr(holder, name)
        setattr(holder, name, self)

    def __call__(self, *arguments):
        started = time.thread_time()
        try:
            return self._function(*arguments)
        finally:
            self.seconds += time.thread_time() - started


class Recorded(Training):
    def __init__(self, make, modules, path, paused=False, **options):
        super().__init__(make, modules)
        self.path, self.paused, self.options = path, paused, {"codec": "none", "overwrite": True, **options}

    def run(self, count):
        """Of each step: its seconds, those of its own work and of the recorder's copies of parameters, and its messages
        through Python."""
        with nauha.Exporter(self.path, **self.options) as exporter:
            exporter.set_model(self.model)
            exporter.add_modules(self.model)
            exporter.set_loss(self.loss)
            exporter.pause(self.paused)
            begin = Watch(exporter.observer, "_begin_step")
            self.step()
            self.step()
            library, original = nauha.native.library, nauha.native.library.nauha_recorder_begin_step
            copies = Watch(library, "nauha_recorder_begin_step")
            before, steps = exporter.stats()["messages"], []
            try:
                for _ in range(count):
                    begin.seconds = copies.seconds = 0
                    seconds = self.step()
                    steps.append({"step": seconds, "own": begin.seconds - copies.seconds, "copies": copies.seconds})
            finally:
                library.nauha_recorder_begin_step = original
            messages = (exporter.stats()["messages"] - before) / count - self._of_parameters()
        return [{**step, "messages": messages} for step in steps]

    def _of_parameters(self):
        """The messages of a step that the recorder makes itself, of its copies."""
        return len(list(self.model.parameters())) * sum(kind in self.options.get("kinds", PARAMETERS) for kind in PARAMETERS[:2])


def compare(trainings, steps, blocks):
    """Medians of all steps, by name of the training."""
    results = {name: [] for name in trainings}
    for block in range(blocks):
        order = list(trainings.items())
        for name, training in order if block % 2 else reversed(order):
            results[name] += training.run(steps)
    return {name: {key: statistics.median(each[key] for each in runs) for key in runs[0]} for name, runs in results.items()}


def small_steps(folder, modules, blocks):
    trainings = {"bare": Training(small_tensors, modules)}
    for name, (kinds, empty) in ROWS.items():
        trainings["empty", name] = Training(small_tensors, modules, empty)
        trainings[name] = Recorded(small_tensors, modules, folder / "a.h5", kinds=kinds)
    trainings["the loss alone"] = Recorded(small_tensors, modules, folder / "b.h5", kinds=["loss"])
    trainings["nothing: paused"] = Recorded(small_tensors, modules, folder / "c.h5", paused=True)
    results = compare(trainings, STEPS, blocks)
    bare = results["bare"]["step"]
    print(f"torch {torch.__version__}, {'C' if nauha.fast.module else 'Python alone'}, {modules} modules, messages of 256 bytes, "
          f"one thread, a step of {bare * 1e3:.2f} ms")
    print(f"{'recorded':20} {'ms a step':>9} {'empty hooks':>11} {'messages':>8} {'us each':>8} {'own work, us':>12} {'parameters, us':>14}")
    for name in ROWS:
        row, empty = results[name], results["empty", name]["step"]
        each = (row["step"] - empty - row["own"] - row["copies"]) / row["messages"] * 1e6
        print(f"{name:20} {row['step'] * 1e3:9.2f} {empty * 1e3:11.2f} {row['messages']:8.0f} {each:8.2f} {row['own'] * 1e6:12.0f} "
              f"{row['copies'] * 1e6:14.0f}")
    print(f"{'goal':20} {'':9} {'':11} {'':8} {GOAL_US:8} {GOAL_STEP_US + GOAL_MODULE_US * modules:12}")
    for name in ("the loss alone", "nothing: paused"):
        row = results[name]
        print(f"{name:20} {row['step'] * 1e3:9.2f}: {(row['step'] - bare - row['own']) / modules * 1e6:.2f} us a run of a module")


def in_a_row(folder):
    """What the hooks take if nothing else runs between them, so that all that they need is in the processor's caches."""
    model, x = nn.Sequential(nn.Linear(8, 8)), torch.randn(8, 8)
    with nauha.Exporter(folder / "e.h5", codec="none", kinds=[kind for kinds, _ in list(ROWS.values())[:3] for kind in kinds]) as exporter:
        exporter.set_model(model)
        exporter.add_modules(model)
        output, observer, publisher = model(x), exporter.observer, exporter.publisher
        record, kinds = observer.registry.find(model[0]), nauha.native.KINDS
        output = output.detach()  # has no gradient, so there is no node to put a hook on
        ran = nauha.hooks.module_ran(observer, record)
        layer = nauha.fast.LayerGradient(publisher, observer, record.calls, record.id, 0, 0, 0, publisher.serial, 0)
        parameter = nauha.hooks.ParameterGradient(publisher, observer, nauha.fast.Counter(), kinds["weight_gradients"], record.id, 0, 0)
        calls = {"an empty function": (nothing, (model[0], (x,), output)), "activations": (ran, (model[0], (x,), output)),
                 "layer gradients": (layer, ((output,),)), "parameter gradients": (parameter, (output,))}
        print("called in a row, us: " + ", ".join(f"{name} {_each(*call):.2f}" for name, call in calls.items()))


def _each(function, arguments, count=200):
    """Microseconds of a call, the median of some rows of them."""
    rows = []
    for _ in range(101):
        started = time.thread_time()
        for _ in range(count):
            function(*arguments)
        rows.append((time.thread_time() - started) / count)
    return statistics.median(rows) * 1e6


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--blocks", type=int, default=15)
    parser.add_argument("--modules", type=int, default=80)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        small_steps(folder, given.modules, given.blocks)
        in_a_row(folder)
        results = compare({"bare": Training(convolutional), "paused": Recorded(convolutional, 0, folder / "d.h5", paused=True)},
                          2, 4 * given.blocks)
        paused, bare = results["paused"]["step"], results["bare"]["step"]
        print(f"paused, a step of {bare * 1e3:.0f} ms: {paused / bare:.4f} of bare (goal {GOAL_PAUSED})")


if __name__ == "__main__":
    main()
