#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What several threads, or several processes under MPI, make of a replay.

Usage: bench_parallel.py [--rounds N] [--jobs 1,2,...] [--processes 1,2,...] [TRACE...]

Replays the traces (default: a training of AlexNetMini made for it) with the metrics below. Variants
take turns; printed are the medians of time, of the processor time of all threads, of that of the
busiest thread of a process, and by how much each is faster than -j 1. On a machine that has other
things to do, the last but one tells more: with a processor for every thread, that is how long it takes.
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


TICK = os.sysconf("SC_CLK_TCK")


def descendants(pid):
    found = [pid]
    for at in found:
        try:
            found += map(int, pathlib.Path(f"/proc/{at}/task/{at}/children").read_text().split())
        except OSError:
            pass
    return found


def look_at_threads(pid, seen):
    """Notes the processor seconds of every thread of a process and its children."""
    for process in descendants(pid):
        for path in pathlib.Path(f"/proc/{process}/task").glob("[0-9]*"):
            try:
                stat = (path / "stat").read_text()
            except OSError:
                continue
            name, fields = stat[stat.index("(") + 1:stat.rindex(")")], stat[stat.rindex(")") + 2:].split()
            if name == "nauha":
                seen[path.name] = (int(fields[11]) + int(fields[12])) / TICK


def run(command):
    """(seconds, processor seconds, those of the busiest thread, output)"""
    seen = {"none": 0}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    with tempfile.TemporaryFile() as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            look_at_threads(process.pid, seen)
            time.sleep(0.01)
        seconds = time.perf_counter() - start
        assert process.returncode == 0, command
        file.seek(0)
        output = file.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, max(seen.values()), output


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
        seconds, cpu, busiest = (statistics.median(column) for column in zip(*figures))
        base = base or seconds
        print(f"  {variant:<12} {seconds:7.2f} s  {cpu:7.2f} s of processors  {busiest:7.2f} s of the busiest thread  "
              f"{base / seconds:5.2f} times as fast")


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
