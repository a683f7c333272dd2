#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Attacks the program with traces that were changed to do harm: fields of rows, stored chunks and HDF5's own structures, with
the checksums over them made right again; attributes; and, without, bits and ends of the file.

Each of them goes through the commands that read traces. Found out are: an end by a signal, no end, memory over the limit,
an exit code that the program does not have, and, where checksums were left as they were, other values than before of
which `nauha verify` says nothing. What fails is kept, with a line in failures.txt on how it was made.

    attack.py --seconds 600 --seed 5 --keep DIR          or --mutants 100 in place of --seconds
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from tests.attack.mutate import Mutator, Template  # noqa: E402
from tests.integration.program import NAUHA, make_trace  # noqa: E402

TIMEOUT_S, MEMORY_KB, ADDRESSES = 60, 500_000, 16 << 30
CODES = (0, 1, 2, 3, 4)
CRASHED = "crashed while it read"  # what the program says of a signal that it outlives; see tools/commands/crash.c
TEMPLATES = {"zstd": ("--codec", "zstd"), "plain": ("--codec", "none"), "temporal": ("--codec", "lz4,temporal", "--steps", 40)}
WEIGHTS = {"metadata": 6, "row": 6, "chunk": 3, "attribute": 1, "flip": 3, "cut": 1}
PYTHON = ("import sys, nauha\nwith nauha.open(sys.argv[1]) as trace:\n    for message in trace.messages():\n"
          "        if message.nbytes < 1 << 28: message.tensor")


class Run:
    """A command: its exit code (negative: a signal, None: it did not end), its peak of memory, and what it said."""

    def __init__(self, *words, cwd):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tools/python"), "HDF5_USE_FILE_LOCKING": "FALSE"}
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(list(map(str, words)), cwd=cwd, stdin=subprocess.DEVNULL, stdout=out, stderr=errors, env=environment)
            resource.prlimit(process.pid, resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
            late = threading.Event()
            timer = threading.Timer(TIMEOUT_S, lambda: (late.set(), process.kill()))
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            self.code = None if late.is_set() else process.returncode
            self.peak_kb = usage.ru_maxrss
            out.seek(0)
            errors.seek(0)
            self.output, self.errors = out.read(1 << 20), errors.read(1 << 16).decode(errors="replace")


def commands(path, whole):
    """name: words, of all that read a trace."""
    return {"verify": (NAUHA, "verify", path), "info": (NAUHA, "info", path), "ls": (NAUHA, "ls", path, "--json"),
            "cat": (NAUHA, "cat", path, "--limit", 20), "check": (NAUHA, "check", path, "-q"), "diff": (NAUHA, "diff", path, whole, "-q"),
            "replay": (NAUHA, "replay", path, "-m", "norm:weights,weight_updates,activations", "-m", "histogram:activations", "-q", "-o", "series",
                       "--sink", "csv"),
            "report": (NAUHA, "report", path, "-o", "page.html", "-q"),
            "complete": (NAUHA, "complete", "--", "ls", path, "--modules", ""), "python": (sys.executable, "-c", PYTHON, path)}


class Attack:
    def __init__(self, folder, keep, seed, ways=None):
        self.weights = {way: WEIGHTS[way] for way in ways or WEIGHTS}
        self.folder, self.keep, self.seed = pathlib.Path(folder), pathlib.Path(keep), seed
        self.templates = [Template(make_trace(self.folder / f"{name}.h5", "--steps", 6, *options)) for name, options in TEMPLATES.items()]
        self.whole = {}
        self.values = {}
        for template in self.templates:
            self.whole[template.path] = shutil.copy(template.path, template.path.with_suffix(".whole"))
            self.values[template.path] = self.listed(template.path)
        self.counts = collections.Counter()
        self.failures, self.outlived = [], []
        self.lock = threading.Lock()

    def listed(self, path):
        """What the commands say that hold the most of it."""
        runs = commands(path.name, path.name)
        return [Run(*runs[name], cwd=path.parent).output for name in ("ls", "cat")]

    def judge(self, way, said, name, run):
        """What is wrong with a run; None: nothing."""
        if run.code is None:
            return f"{name} did not end in {TIMEOUT_S} s"
        if run.peak_kb > MEMORY_KB and name != "python":
            return f"{name} took {run.peak_kb} kB"
        # A library cannot outlive what HDF5 does to itself; docs/reliability.md says so.
        if name == "python":
            return f"python ended by signal {-run.code}" if run.code < 0 and way != "metadata" else None
        if run.code < 0:
            return f"{name} ended by signal {-run.code}"
        if run.code not in CODES:
            return f"{name} ended with exit code {run.code}"
        if CRASHED in run.errors:
            with self.lock:
                self.counts["crashes in HDF5 that the program outlived"] += 1
                self.outlived.append(f"{said}: {name}")
            return None if way == "metadata" else f"{name}: {run.errors.strip()}"
        return None

    def one(self, number, every):
        """Makes the mutant of that number and runs the commands on it."""
        chance = random.Random(f"{self.seed}:{number}")
        template = chance.choice(self.templates)
        way = chance.choices(list(self.weights), self.weights.values())[0]
        place = self.folder / f"{number}"
        place.mkdir()
        path = place / template.path.name
        said = f"{self.seed}:{number} {Mutator(template, chance).mutate(way, path)}"
        wrong, runs = [], {}
        table = commands(path.name, self.whole[template.path])
        chosen = [name for i, name in enumerate(table) if i == 0 or (number + i) % every == 0]
        for name in chosen:
            runs[name] = Run(*table[name], cwd=place)
            wrong.append(self.judge(way, said, name, runs[name]))
        if way in ("flip", "cut") and runs["verify"].code == 0 and self.listed(path) != self.values[template.path]:
            wrong.append("other values, and verify says nothing")
        if [*place.rglob("PWNED"), *self.folder.glob("PWNED")]:  # the folders of other mutants come and go
            wrong.append("a text of the trace was run")
        self.note(said, [each for each in wrong if each], path)
        shutil.rmtree(place)

    def note(self, said, wrong, path):
        with self.lock:
            self.counts["mutants"] += 1
            if not wrong:
                return
            self.keep.mkdir(parents=True, exist_ok=True)
            self.failures.append(f"{said}\n    {'; '.join(wrong)}")
            shutil.copy(path, self.keep / f"{said.split()[0].replace(':', '-')}.h5")
            with open(self.keep / "failures.txt", "a") as file:
                file.write(self.failures[-1] + "\n")
            print(self.failures[-1], flush=True)

    def run(self, mutants, seconds, every):
        end = time.monotonic() + seconds if seconds else None
        workers = len(os.sched_getaffinity(0))
        number = 0
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            waiting = set()
            while (number < mutants if end is None else time.monotonic() < end):
                waiting.add(pool.submit(self.one, number, every))
                number += 1
                if len(waiting) >= 2 * workers:
                    done, waiting = concurrent.futures.wait(waiting, return_when=concurrent.futures.FIRST_COMPLETED)
                    for each in done:
                        each.result()
            for each in waiting:
                each.result()


def attack(keep, seed, mutants=0, seconds=0, every=1, ways=None):
    """Returns the attack that was made. every: of the commands but verify, each mutant meets one in so many."""
    with tempfile.TemporaryDirectory() as folder:
        made = Attack(folder, keep, seed, ways)
        made.run(mutants, seconds, every)
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--mutants", type=int, default=0)
    parser.add_argument("--seed", default=str(random.randrange(10**6)))
    parser.add_argument("--every", type=int, default=1, help="each mutant meets one in so many of the commands")
    parser.add_argument("--ways", nargs="*", choices=WEIGHTS, help="of changing a trace; default: all")
    parser.add_argument("--keep", default="build/attack", help="where the mutants go that something fails on")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    made = attack(options.keep, options.seed, options.mutants, options.seconds, options.every, options.ways)
    print(*made.outlived, sep="\n")
    print(", ".join(f"{count} {what}" for what, count in made.counts.items()), f"{len(made.failures)} failures", sep=", ")
    sys.exit(1 if made.failures else 0)


if __name__ == "__main__":
    main()
