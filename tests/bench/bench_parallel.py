#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What several threads, or several processes under MPI, make of a replay.

Usage: bench_parallel.py [--rounds N] [--jobs 1,2,...] [--processes 1,2,...] [TRACE...]

Replays the traces (default: a training of AlexNetMini made for it) with the metrics below. Variants
take turns; printed are the medians of time, the processor time of all threads, and by how much
each is faster than -j 1.
"""
import argparse
import os
import pathlib
import resource
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAUHA = os.environ.get("NAUHA", str(ROOT / "build/nauha"))
SETS = {
    "norms of everything": ["norm:" + kind for kind in ("activations", "layer_gradients", "weights", "weight_gradients",
                                                        "weight_updates", "biases", "bias_gradients", "bias_updates")],
    "histograms and ratios": ["histogram:activations", "histogram:layer_gradients", "variance:weight_gradients",
                              "ratio:weight_updates,weights", "message_mean:weight_updates_weights_ratio", "loss"],
}


def run(command):
    """(seconds, processor seconds, output)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    output = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True).stdout
    seconds = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, output


def measure(name, metrics, traces, variants, rounds):
    arguments = ["replay", *traces, *(word for metric in metrics for word in ("--metric", metric))]
    times = {variant: [] for variant in variants}
    output = {}
    for turn in range(rounds + 1):  # the first warms the page cache
        for variant, prefix in variants.items():
            *figures, output[variant] = run([*prefix[0], NAUHA, *arguments, *prefix[1]])
            if turn:
                times[variant].append(figures)
    assert len(set(output.values())) == 1, "the outputs differ"
    print(f"{name}, {len(next(iter(output.values())).splitlines())} rows")
    base = None
    for variant, figures in times.items():
        seconds, cpu = (statistics.median(column) for column in zip(*figures))
        base = base or seconds
        print(f"  {variant:<12} {seconds:7.2f} s  {cpu:7.2f} s of processors  {base / seconds:5.2f} times as fast")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--jobs", default="1,2")
    parser.add_argument("--processes", default="")
    parser.add_argument("traces", nargs="*")
    given = parser.parse_args()
    variants = {f"-j {jobs}": ([], ["-j", jobs]) for jobs in given.jobs.split(",")}
    for count in filter(None, given.processes.split(",")):
        variants[f"mpirun -n {count}"] = (["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", count], [])
    with tempfile.TemporaryDirectory() as folder:
        traces = given.traces or [f"{folder}/run.h5"]
        if not given.traces:
            subprocess.run([NAUHA, "train", "-q", "-o", traces[0], "--batch-size", "32", "--max-steps", "200"], check=True)
        for name, metrics in SETS.items():
            measure(name, metrics, traces, variants, given.rounds)


if __name__ == "__main__":
    main()
