# SPDX-License-Identifier: MIT
"""nauha, a tape recorder for neural-network training: recording PyTorch trainings and reading traces.

Recording needs only torch, reading needs only NumPy. Each is imported when it is first used, so with only one of them
installed, the part that needs it works.
"""
import importlib

_HOME = {
    "Error": "native",
    "Exporter": "exporter",
    "Stopped": "native",
    "open": "trace",
    "Trace": "trace",
    "Message": "trace",
    "Key": "trace",
    "Placement": "trace",
    "Fingerprint": "trace",
    "Series": "trace",
    "to_float": "trace",
    "replay": "metrics",
    "Bundle": "metrics",
    "Subscriber": "metrics",
    "callback": "metrics",
    "check": "commands",
    "diff": "commands",
    "report": "commands",
    "verify": "proof",
}

__all__ = list(_HOME)


def _stand_in(name, package):
    """Stands in for a name that needs a missing package: help() shows it, and using it raises an error that says so."""

    def __init__(self, *_, **__):
        import sys
        torch = " (PyTorch)" if package == "torch" else ""
        raise ModuleNotFoundError(f"nauha.{name} needs {package}{torch}, which \"{sys.executable}\" does not have: install it "
                                  f"there, or run the Python that has it", name=package)

    return type(name, (), {"__init__": __init__, "__module__": "nauha",
                           "__doc__": f"Needs {package}, which this Python does not have."})


def __getattr__(name):
    if name == "__version__":
        value = importlib.import_module("nauha.native").version()
    elif name not in _HOME:
        raise AttributeError(f"module 'nauha' has no attribute {name!r}")
    else:
        try:
            value = getattr(importlib.import_module(f"nauha.{_HOME[name]}"), name)
        except ModuleNotFoundError as missing:
            if missing.name not in ("torch", "numpy"):
                raise
            return _stand_in(name, missing.name)
    globals()[name] = value
    return value


def __dir__():
    return sorted([*__all__, "__version__"])
