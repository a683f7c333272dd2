#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What the norm of every recorded tensor costs at replay, beside h5py with NumPy and torch.load with torch, which read
the same tensors from files of their own: a dataset for each in HDF5, a dictionary for each step of torch.save.

Everybody has one thread, and the files are in the page cache. Variants take turns, and the fastest round of each is
shown: seconds of CPU, which other programs on the machine disturb less than the clock. Usage:
    bench_replay.py [--rounds N] [--dir DIR] [--many N] [TRACE...]
Without traces, it trains two networks of `nauha train` and the transformer of the examples first.
"""
import argparse
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/python"))
import nauha  # noqa: E402

NAUHA, BENCH = ROOT / "build/nauha", ROOT / "build/release/tests/bench/bench_replay"
try:
    import h5py
except ImportError:
    h5py = None
try:
    import torch
    torch.set_num_threads(1)
except ImportError:
    torch = None


def run(*command, **options):
    return subprocess.run([*map(str, command)], check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def record_traces(folder):
    traces = []
    for model, batch, steps in (("alexnetmini", 128, 20), ("resnet", 32, 2)):
        traces.append(folder / f"{model}.h5")
        run(NAUHA, "train", "-q", "-m", model, "-b", batch, "--max-steps", steps, "--test-every", 0, "-o", traces[-1])
    if torch:
        traces.append(folder / "transformer.h5")
        run(NAUHA, "record", "-q", "-o", traces[-1], "--", sys.executable,
            ROOT / "docs/examples/transformer.py", stderr=subprocess.DEVNULL)
    return traces


# ---- the same tensors in other files ----

def copy_trace(path, folder):
    """Returns (messages, bytes, kinds) of the tensors."""
    files = {}
    if h5py:
        files = {"h5py gzip": h5py.File(folder / "gzip.h5", "w"), "h5py": h5py.File(folder / "plain.h5", "w")}
    messages, total, kinds, step, tensors = 0, 0, set(), None, {}

    def save():
        if torch and tensors:
            torch.save(tensors, folder / f"{step}.pt")

    with nauha.open(path) as trace:
        for message in trace.messages():
            if not message.nbytes or message.tensor.dtype.kind != "f":
                continue
            if message.global_step != step:
                save()
                step, tensors = message.global_step, {}
            name = str(message.seq)
            options = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if message.shape else {}
            for variant, file in files.items():
                file.create_dataset(name, data=message.tensor, **(options if variant == "h5py gzip" else {}))
            if torch:
                tensors[name] = torch.from_numpy(message.tensor.copy())
            messages, total = messages + 1, total + message.nbytes
            kinds.add(message.kind)
    save()
    for file in files.values():
        file.close()
    return messages, total, sorted(kinds)


# ---- variants: each computes all norms, and returns the seconds ----

def timed(function):
    start = time.process_time()
    count = function()
    return time.process_time() - start, count


def norms_of_h5py(path):
    with h5py.File(path) as file:
        return len([np.linalg.norm(file[name][()].ravel()) for name in file])


def norms_of_torch(folder):
    count = 0
    for path in folder.glob("*.pt"):
        count += len([torch.linalg.vector_norm(tensor) for tensor in torch.load(path, weights_only=True).values()])
    return count


def children_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def program_seconds(path, kinds, folder):
    start = children_seconds()
    jobs = ["-j", 1] if "--jobs" in run(NAUHA, "replay", "--help") else []
    run(NAUHA, "replay", path, "-q", *jobs, "-m", "norm:" + ",".join(kinds), "--sink", "csv", "-o", folder / "series")
    return children_seconds() - start


def variants_of(path, folder, messages, kinds):
    def checked(function, *arguments):
        def seconds():
            spent, count = timed(lambda: function(*arguments))
            assert count == messages, (count, messages)
            return spent
        return seconds

    variants = {name: lambda name=name: float(run(BENCH, "--once", name, path)) for name in
                ("decode", "decode and read", "norm")}
    variants["nauha replay"] = lambda: program_seconds(path, kinds, folder)
    if h5py:
        variants["h5py"] = checked(norms_of_h5py, folder / "plain.h5")
        variants["h5py gzip"] = checked(norms_of_h5py, folder / "gzip.h5")
    if torch:
        variants["torch.load"] = checked(norms_of_torch, folder)
    return variants


def compare(path, rounds, parent):
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        folder = pathlib.Path(folder)
        messages, total, kinds = copy_trace(path, folder)
        variants = variants_of(path, folder, messages, kinds)
        best = dict.fromkeys(variants, float("inf"))
        for _ in range(rounds):
            for name, seconds in variants.items():
                best[name] = min(best[name], seconds())
        sizes = {"h5py": folder / "plain.h5", "h5py gzip": folder / "gzip.h5"}
        print(f"{path.name}: norms of {messages} tensors, {total / 1e6:.0f} MB")
        for name, seconds in best.items():
            stored = sizes[name].stat().st_size if name in sizes else sum(
                p.stat().st_size for p in folder.glob("*.pt")) if name == "torch.load" else path.stat().st_size
            print(f"  {name:<16} {seconds * 1e3:9.0f} ms {total / seconds / 1e9:8.2f} GB/s"
                  f" {seconds / best['norm']:8.2f} of norm {stored / total:6.2f} stored", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("traces", nargs="*", type=pathlib.Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dir", help="for temporary files, some 3 GB")
    parser.add_argument("--many", type=int, default=1_000_000, help="messages of the trace that is opened; 0: none")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.dir) as folder:
        folder = pathlib.Path(folder)
        traces = args.traces or record_traces(folder)
        for path in traces:
            compare(path, args.rounds, folder)
        print(run(BENCH, "--rounds", args.rounds, *traces), end="", flush=True)
        if args.many:
            print(run(BENCH, "--many", args.many, folder / "many.h5"), end="")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
