# SPDX-License-Identifier: MIT
"""`python3 -m nauha ...` is the program `nauha`, which can also run metrics in Python:

    python3 -m nauha replay run.h5 --metric my_module.py:MyMetric:weights
"""
import ctypes
import json
import os
import pathlib
import sys
import traceback

from nauha import native
from nauha.native import ERROR, library


class _Remaking(ctypes.Structure):
    """struct nauha_remaking"""

    TAKE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_char_p)
    _fields_ = [("model", ctypes.c_char_p), ("trace", ctypes.c_char_p), ("selection", ctypes.c_char_p),
                ("tolerance", ctypes.c_char_p), ("names", ctypes.c_void_p), ("pipeline", ctypes.c_void_p),
                ("json", ctypes.c_bool), ("take", TAKE), ("context", ctypes.c_void_p)]


class _Python(ctypes.Structure):
    """struct nauha_python"""

    FIND = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ERROR)
    REMAKE = ctypes.CFUNCTYPE(native.STATUS, ctypes.c_void_p, ctypes.POINTER(_Remaking), ctypes.POINTER(ctypes.c_bool), ERROR)
    LOAD = ctypes.CFUNCTYPE(native.STATUS, ctypes.c_void_p, ctypes.c_char_p, ERROR)
    _fields_ = [("find", FIND), ("load", LOAD), ("remake", REMAKE), ("context", ctypes.c_void_p)]


native.mirror(library, {"struct nauha_python": _Python, "struct nauha_remaking": _Remaking})


class Finder:
    """Makes analyzers from SPECs, one for each class, and keeps them."""

    def __init__(self):
        self._analyzers = {}
        self._loading = None  # the exception that loading a class or a model raised
        self._model = None

    def find(self, context, spec, error):
        try:
            from nauha import metrics
            path, rest = spec.decode().split(".py:", 1)
            key = os.path.realpath(path), rest.split(":")[0]
            if key not in self._analyzers:
                self._analyzers[key] = metrics.analyzer_of_spec(spec.decode())
            return ctypes.addressof(self._analyzers[key].descriptor)
        except Exception as failure:
            if not isinstance(failure, native.Error):
                self._loading = failure
            native.fill_error(error, failure)
            return None

    def load(self, context, model, error):
        try:
            self._model = _proof().load_model(os.fsdecode(model))
            return 0
        except Exception as failure:
            self._loading = _from_file(failure.__cause__) if isinstance(failure, native.Error) else failure
            return native.fill_error(error, failure)

    def remake(self, context, remaking, same, error):
        try:
            same[0] = _remake(remaking.contents, self._model)
            sys.stdout.flush()
            return 0
        except Exception as failure:
            if not isinstance(failure, native.Error):
                self._loading = failure
            return native.fill_error(error, failure)

    def tell(self):
        """Prints the tracebacks of the metrics that failed."""
        for failure in [self._loading] + [analyzer.raised for analyzer in self._analyzers.values()]:
            if failure is not None:
                traceback.print_exception(type(failure), failure, failure.__traceback__)


def _proof():
    try:
        import torch  # noqa: F401
        from nauha import proof
    except ImportError as missing:
        raise native.Error(f"--model needs PyTorch, which \"{sys.executable}\" cannot import ({missing}): set NAUHA_PYTHON to the "
                           "Python that the training ran with", native.Status.UNAVAILABLE) from None
    return proof


def _from_file(failure):
    """An exception with the part of its traceback that is in the user's files."""
    ours = os.path.dirname(__file__)
    while failure is not None and failure.__traceback__ is not None:
        file = failure.__traceback__.tb_frame.f_code.co_filename
        if not file.startswith((ours, "<frozen")):
            break
        failure.__traceback__ = failure.__traceback__.tb_next
    return failure


def _remake(remaking, model):
    """Runs the steps of a trace again, and gives the report. Returns whether nothing is different."""
    proof = _proof()
    tolerance = proof.TOLERANCE if remaking.tolerance is None else proof.tolerance_of(remaking.tolerance.decode())
    selection = json.loads(remaking.selection.decode())
    report = proof.run(os.fsdecode(remaking.trace), model, tolerance, selection, remaking.names, remaking.pipeline)
    for line in [json.dumps(report)] if remaking.json else proof.lines(report):
        remaking.take(remaking.context, line.encode())
    return report["same"]


def program():
    """The command `nauha` of an installed package: runs the program of the package in place of this process."""
    path = pathlib.Path(__file__).resolve().parent / "bin/nauha"
    os.environ.setdefault("NAUHA_PYTHON", sys.executable)
    os.execv(path, ["nauha", *sys.argv[1:]])


def main():
    library.nauha_main.restype = ctypes.c_int
    library.nauha_main.argtypes = [ctypes.c_int, ctypes.POINTER(ctypes.c_char_p), ctypes.POINTER(_Python)]
    finder = Finder()
    words = [b"nauha"] + [word.encode("utf-8", "surrogateescape") for word in sys.argv[1:]]
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    python = _Python(_Python.FIND(finder.find), _Python.LOAD(finder.load), _Python.REMAKE(finder.remake), None)
    code = library.nauha_main(len(words), argv, ctypes.byref(python))
    if code:
        finder.tell()
    sys.exit(code)


if __name__ == "__main__":
    main()
