#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the unit tests (cmocka programs) and the integration tests (unittest modules).

Modules test_pytorch_* run once for each PyTorch there is: the distribution's, and that of build/venv,
which tools/dev/install-torch.sh makes. Prints one line per program, the whole output of those that failed, and at the end
'N passed, N failed[, N skipped]' counted in test cases.
"""
import argparse
import concurrent.futures
import fnmatch
import os
import pathlib
import re
import signal
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent
TIMEOUT_S = 1800


def pytorchs():
    """(version, interpreter) of every PyTorch there is."""
    found = []
    for interpreter in (sys.executable, str(ROOT.parent / "build/venv/bin/python")):
        done = subprocess.run([interpreter, "-c", "import h5py, torch; print(torch.__version__.split('+')[0])"],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) if os.path.exists(interpreter) else None
        if done and done.returncode == 0:
            found.append((done.stdout.decode().strip(), interpreter))
    return found


def integration_rows(path):
    module = f"tests.integration.{path.stem}"
    if not path.stem.startswith("test_pytorch_"):
        return [(path.stem, [sys.executable, "-m", "unittest", "-v", module])]
    return [(f"{path.stem} {version}", [interpreter, "-m", "unittest", "-v", module])
            for version, interpreter in pytorchs()]


def commands(build, only, units_only):
    """(name, argv) of every test program chosen by `only`, module names such as 'codec names'."""
    units = sorted(p for p in (build / "tests/unit").glob("test_*") if not p.suffix)
    sources = {p.stem for p in (ROOT / "unit").glob("test_*.c" if units_only else "test_*.c*")}
    rows = [(p.name, [str(p)]) for p in units if p.name in sources]
    for path in [] if units_only else sorted((ROOT / "integration").glob("test_*.py")):
        if not only or any(fnmatch.fnmatch(path.stem, f"test_{name}") for name in only.split()):
            rows += integration_rows(path)
    if only:
        rows = [row for row in rows if any(fnmatch.fnmatch(row[0].split()[0], f"test_{name}") for name in only.split())]
    return rows


def count(output, code):
    """(passed, failed, skipped) of one program, from cmocka's or unittest's closing lines."""
    ran = re.search(r"\[=+\] (?:\S+: )?(\d+) test\(s\) run", output)
    if ran:
        total = int(ran.group(1))
        failed = len(set(re.findall(r"^\[  FAILED  \] (?:\w+: )?(test\w+|\w+)$", output, re.M)))
        skipped = len(re.findall(r"^\[  SKIPPED \] \w+$", output, re.M)) // 2
        if code and not failed:
            failed = 1
        return max(total - failed - skipped, 0), failed, skipped
    ran = re.search(r"^Ran (\d+) tests? in", output, re.M)
    if ran:
        total = int(ran.group(1))
        tail = output[ran.end():]
        failed = sum(map(int, re.findall(r"(?:failures|errors)=(\d+)", tail)))
        skipped = sum(map(int, re.findall(r"skipped=(\d+)", tail)))
        if code and not failed:
            failed = 1
        return max(total - failed - skipped, 0), failed, skipped
    return (0, 1, 0)  # it died before it could count


def run(row, case):
    name, argv = row
    environment = dict(os.environ)
    environment.pop("HDF5_USE_FILE_LOCKING", None)
    # What libgomp does by itself, as somebody's choice: the remark on threads that spin comes and goes with the load.
    environment.setdefault("GOMP_SPINCOUNT", "300000")
    if case:
        environment["CMOCKA_TEST_FILTER"] = case
        if "unittest" in argv:
            argv = argv[:3] + ["-k", case] + argv[3:]
    started = time.monotonic()
    try:
        done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              env=environment, cwd=ROOT.parent, timeout=TIMEOUT_S)
        output, code = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        output, code = (late.stdout or b"").decode(errors="replace") + f"\nstopped after {TIMEOUT_S} s", 124
    return name, output, code, time.monotonic() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--only", help="modules: 'codec names' runs test_codec and test_names")
    parser.add_argument("--units", action="store_true", help="the cmocka programs only")
    parser.add_argument("--case", help="a pattern of test cases")
    options = parser.parse_args()
    # A shell that starts this in the background has it ignore interrupts, and tests would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rows = commands(options.build.resolve(), options.only, options.units)
    if not rows:
        sys.exit(f"no test is called test_{options.only}")
    totals = [0, 0, 0]
    with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        for name, output, code, seconds in pool.map(lambda row: run(row, options.case), rows):
            counts = count(output, code)
            totals = [a + b for a, b in zip(totals, counts)]
            verdict = "ok" if code == 0 and not counts[1] else f"FAILED (exit {code})"
            print(f"  {name:<32} {counts[0]:>4} passed {seconds:6.1f} s  {verdict}", flush=True)
            if counts[2]:
                for line in re.findall(r".*skip.*", output, re.I)[:8]:
                    print("      " + line.strip())
            if verdict != "ok" or len(rows) == 1:
                print(output)
    passed, failed, skipped = totals
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
