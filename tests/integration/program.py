# SPDX-License-Identifier: MIT
"""Running the program and its test tools, and reading what they write."""
import csv
import os
import pathlib
import pty
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAUHA = os.environ.get("NAUHA", str(ROOT / "build/nauha"))
BUILD = pathlib.Path(os.environ.get("NAUHA_BUILD", ROOT / "build/release"))


def has_training():
    """Whether this build has the libtorch part."""
    return (pathlib.Path(NAUHA).parent / "nauha_train.so").exists()


def has_terminals():
    """Whether a program can be given a terminal: a container may have none."""
    try:
        for end in pty.openpty():
            os.close(end)
    except OSError:
        return False
    return True


def nauha(*arguments, code=0, **options):
    """Runs the program, checks its exit code, and returns the finished process (text streams)."""
    done = subprocess.run([NAUHA, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, timeout=600, **options)
    if code is not None and done.returncode != code:
        raise AssertionError(f"nauha {' '.join(map(str, arguments))}: exit {done.returncode}, expected {code}\n"
                             f"stdout: {done.stdout[-2000:]}\nstderr: {done.stderr[-2000:]}")
    return done


def folder_of(case):
    """A folder for a test, or, of a class, for all of its tests; removed after them."""
    folder = tempfile.TemporaryDirectory()
    (case.addClassCleanup if isinstance(case, type) else case.addCleanup)(folder.cleanup)
    return pathlib.Path(folder.name)


def offered(*words, **options):
    """What may stand in the place of the last word of a command line."""
    return [line.split("\t")[0] for line in nauha("complete", "--", *words, **options).stdout.splitlines()]


def make_trace(path, *arguments):
    """The deterministic synthetic trace of tests/tools/make_trace.c."""
    subprocess.run([str(BUILD / "tests/tools/make_trace"), *map(str, arguments), str(path)], check=True, timeout=600)
    return path


def read_csv(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))
