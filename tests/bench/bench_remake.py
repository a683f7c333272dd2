#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What it costs to run recorded steps again, by the training's own forward and backward pass.

Each net is trained and recorded with keep=proof in a process of its own. Then nauha.verify() and a replay of norms of activations run
all of its steps again; before each step, a copy of the net makes a forward and a backward pass on the same inputs, so that both
are measured at the same time. The time of a step is all of it, reading the trace included. Medians of all steps and rounds. "steps
with fingerprints" are every tenth, in which everything inside is held against its fingerprint. Usage:
    bench_remake.py [--models alexnetmini,resnet,transformer] [--rounds N] [--steps N] [--threads N] [--profile]
"""
import argparse
import contextlib
import copy
import cProfile
import json
import os
import pathlib
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
import warnings

import torch
from torch import nn

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools/python"))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from bench_recorder import COMMON, NETS  # noqa: E402

STEPS = {"alexnetmini": 100, "resnet": 20, "transformer": 20}


def record(net, x, y, steps, path):
    import nauha
    loss_function, optimizer = nn.CrossEntropyLoss(), torch.optim.Adam(net.parameters())
    with nauha.Exporter(path, keep="proof") as exporter:
        exporter.set_model(net)
        exporter.add_modules(net)
        exporter.set_loss(loss_function)
        for _ in range(steps):
            optimizer.zero_grad()
            loss_function(net(x), y).backward()
            optimizer.step()


class Beside:
    """Forward and backward passes of a copy of the net, one before each step that is run again."""

    def __init__(self, net, x, y):
        self._net, self._x, self._y, self._loss_function = copy.deepcopy(net), x, y, nn.CrossEntropyLoss()
        self.bare, self.made = [], []  # seconds of each

    def _run(self):
        for parameter in self._net.parameters():
            parameter.grad = None
        self._loss_function(self._net(self._x), self._y).backward()

    @contextlib.contextmanager
    def watching(self):
        from nauha import proof
        judge, ended = proof.Proof._judge, None

        def judged(proof, number):
            nonlocal ended
            began = time.perf_counter()
            self._run()
            bare = time.perf_counter() - began
            judge(proof, number)
            before, ended = ended, time.perf_counter()
            if before is not None:  # the first step opens the trace, too
                self.bare.append(bare)
                self.made.append(ended - before - bare)

        proof.Proof._judge = judged
        try:
            yield
        finally:
            proof.Proof._judge = judge

    def ratio(self, numbers=None):
        numbers = range(len(self.made)) if numbers is None else numbers
        return statistics.median(self.made[i] for i in numbers) / statistics.median(self.bare[i] for i in numbers)


def verify(net, path):
    import nauha
    report = nauha.verify(path, net)
    if report["different"] or report["close"] or report["not_made"] or not report["proven"]:
        raise SystemExit(f"not the same: {report}")


def replay(net, path):
    import nauha
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what was proven
        nauha.replay(path, "norm:activations", model=net)


def run(model, steps, rounds, folder, profile):
    torch.manual_seed(0)
    net, x = NETS[model]()
    y = torch.randint(10, (len(x),))
    path = folder / "run.h5"
    record(net, x, y, steps, path)
    verifying, replaying = Beside(net, x, y), Beside(net, x, y)
    verify(net, path)
    for _ in range(rounds):
        with verifying.watching():
            verify(net, path)
        with replaying.watching():
            replay(net, path)
    if profile:
        with cProfile.Profile() as profiled:
            verify(net, path)
        pstats.Stats(profiled, stream=sys.stderr).sort_stats("tottime").print_stats(25)
    steps = [i % (steps - 1) + 1 for i in range(len(verifying.made))]  # those that were measured
    return {"bare": statistics.median(verifying.bare + replaying.bare), "replay": replaying.ratio(),
            "verify": verifying.ratio([i for i, step in enumerate(steps) if step % 10]),
            "with fingerprints": verifying.ratio([i for i, step in enumerate(steps) if step % 10 == 0])}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", default=",".join(NETS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=0, help="0: as many as suit the net")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch's; by default one a processor")
    parser.add_argument("--profile", action="store_true", help="also print where the time of verify is spent")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        model, folder = options.one
        print(json.dumps(run(model, options.steps, options.rounds, pathlib.Path(folder), options.profile)))
        return
    threads = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    print(f"torch {torch.__version__}, {options.threads or torch.get_num_threads()} threads; medians of {options.rounds} rounds")
    print(f"  {'':<12} {'bare ms':>8} {'verify':>8} {'steps with fingerprints':>24} {'replay of norms':>16}   by bare")
    for model in options.models.split(","):
        with tempfile.TemporaryDirectory() as folder:
            words = [sys.executable, __file__, "--one", model, folder, "--steps", str(options.steps or STEPS[model]), "--rounds",
                     str(options.rounds), *(["--profile"] if options.profile else [])]
            done = subprocess.run(words, stdout=subprocess.PIPE, check=True, env={**os.environ, **COMMON, **threads})
        row = json.loads(done.stdout)
        print(f"  {model:<12} {row['bare'] * 1e3:8.1f} {row['verify']:8.2f} "
              f"{row['with fingerprints']:24.2f} {row['replay']:16.2f}", flush=True)


if __name__ == "__main__":
    main()
