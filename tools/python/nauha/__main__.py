# SPDX-License-Identifier: MIT
"""`python3 -m nauha ...` is the program `nauha`, which can also run metrics in Python:

    python3 -m nauha replay run.h5 --metric my_module.py:MyMetric:weights
"""
import ctypes
import os
import pathlib
import sys
import traceback

from nauha import native
from nauha.native import ERROR, library


class _Python(ctypes.Structure):
    """struct nauha_python"""

    FIND = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ERROR)
    _fields_ = [("find", FIND), ("context", ctypes.c_void_p)]


native.mirror(library, {"struct nauha_python": _Python})


class Finder:
    """Makes analyzers from SPECs, one for each class, and keeps them."""

    def __init__(self):
        self._analyzers = {}
        self._loading = None  # the exception that loading a class raised

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

    def tell(self):
        """Prints the tracebacks of the metrics that failed."""
        for failure in [self._loading] + [analyzer.raised for analyzer in self._analyzers.values()]:
            if failure is not None:
                traceback.print_exception(type(failure), failure, failure.__traceback__)


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
    python = _Python(_Python.FIND(finder.find), None)
    code = library.nauha_main(len(words), argv, ctypes.byref(python))
    if code:
        finder.tell()
    sys.exit(code)


if __name__ == "__main__":
    main()
