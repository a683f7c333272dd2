# SPDX-License-Identifier: MIT
"""nauha, a tape recorder for neural-network training: recording PyTorch trainings and reading traces.

Recording needs torch alone, reading needs numpy alone; either is imported when it is first used.
"""
import importlib

_HOME = {
    "Error": "native",
    "Exporter": "exporter",
    "Stopped": "observer",
    "open": "trace",
    "Trace": "trace",
    "Series": "trace",
    "to_float": "trace",
    "replay": "metrics",
    "Bundle": "metrics",
    "Subscriber": "metrics",
    "callback": "metrics",
}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'nauha' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"nauha.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted(__all__)
