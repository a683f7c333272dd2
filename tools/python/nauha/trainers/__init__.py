# SPDX-License-Identifier: MIT
"""Recording the trainings of a trainer: the Trainer of transformers, Lightning, and accelerate.

    from nauha.trainers import HuggingFaceCallback
    trainer = Trainer(..., callbacks=[HuggingFaceCallback("run.h5", kinds=["weights", "loss"])])

Each name imports its trainer when it is first used.
"""
import importlib

_HOME = {"HuggingFaceCallback": "huggingface", "LightningCallback": "lightning", "AccelerateTracker": "accelerate"}

__all__ = list(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'nauha.trainers' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"nauha.trainers.{_HOME[name]}"), name)
    return value


def __dir__():
    return sorted(__all__)
