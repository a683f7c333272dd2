# SPDX-License-Identifier: MIT
"""Commands of the program as functions: check, diff and report.

They run the program in a process of its own, and return the JSON that it prints as lists and dicts. Keyword arguments
are the options of the command, with underscores: steps=slice(0, 100), exclude="frozen.*", rule=["dead_relu"], common=True.

Threads: any.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import warnings

from nauha import native
from nauha.native import Error, Status

# Options that are repeated for each value of a list; of the other options, a list is one value with commas.
_REPEATED = {"rule", "metric", "plugin", "map"}


def _words(options):
    for key, value in options.items():
        name = "--" + key.replace("_", "-")
        if value is None or value is False:
            continue
        values = value if key in _REPEATED and not isinstance(value, (str, os.PathLike)) else [value]
        for one in values:
            yield from [name] if one is True else [name, native.option_text(one)]


def _run(command, traces, options):
    """Runs a command and returns what it prints on standard output. Raises Error."""
    from nauha.trace import Trace
    paths = [os.fspath(path) for path in ([traces] if isinstance(traces, (str, bytes, os.PathLike)) else traces)]
    for path in paths:  # raises the same exceptions as open() for a trace that cannot be read
        if not os.path.isdir(path):
            Trace(path).close()
    package = str(pathlib.Path(__file__).resolve().parent.parent)
    path = os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")]))
    done = subprocess.run([sys.executable, "-m", "nauha", command, *_words(options), "--", *paths], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": path})
    said = done.stderr.decode("utf-8", "replace").strip()
    if done.returncode not in (0, 1, 4):  # 4: a metric or rule failed, all else is there
        text = said[said.rfind("nauha: ") + len("nauha: "):] if "nauha: " in said else said
        raise Error(text.split("\nTry ")[0] or f"nauha {command} ended with code {done.returncode}",
                    Status.INVALID if done.returncode == 2 else Status.IO)
    if said:
        warnings.warn(said, stacklevel=3)
    return done.stdout


def _numbers(found):
    """Converts the texts that stand for values that JSON cannot represent as numbers."""
    for key in ("value", "worst", "threshold"):
        if isinstance(found.get(key), str):
            found[key] = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}.get(found[key], found[key])
    return found


def check(traces, **options):
    """Returns what the health rules find in a training: the JSON of `nauha check --json` as a dict. "findings" is a list
    with a dict for each finding (rule, module, kind, first_step, value, threshold, meaning, ...), "checked" lists the
    rules that ran, "unchecked" the rules that did not, with the reason, "failed" those that ended with an error, which are
    also named in a warning. traces: a path, or the paths of the ranks of one
    training. options: those of `nauha check`: rule="dead_relu", steps="100:", exclude="frozen.*", ... Raises Error, also
    if there is nothing to check."""
    return json.loads(_run("check", traces, {**options, "json": True}), object_hook=_numbers)


def diff(a, b, *more, **options):
    """Returns where two trainings part: the JSON of `nauha diff --json` as a dict. "differ" says whether they differ,
    "first" where, "meaning" what the cause may be, "kinds" and "modules" how the difference grows. For three or more
    ranks of one training, it returns a list of such dicts. diff(single, *ranks) compares the whole tensors of a sharded
    training. options: those of `nauha diff`: rtol=1e-5,
    map=["features=layers"], common=True, ... Raises Error."""
    return json.loads(_run("diff", [a, b, *more], {**options, "json": True}))


def report(traces, output, **options):
    """Writes the page of `nauha report` about a training, an HTML file, and returns its path. options: those of `nauha
    report`: title="...", metric=["spectral_norm:weights"], steps="1000:", ... A metric or rule that fails is named on the page and in a
    warning. Raises Error."""
    _run("report", traces, {**options, "output": os.fspath(output), "quiet": True})
    return pathlib.Path(output)
