# SPDX-License-Identifier: MIT
"""Evaluations that do not change the training, and those that run automatically every n steps.

Threads: the training's.
"""
import contextlib
import random
import sys

import torch

from nauha import compat
from nauha.native import KINDS, NONE

RESULTS = [KINDS[kind] for kind in ("network_output", "input_labels", "loss")]


@contextlib.contextmanager
def untouched(models):
    """A scope in which the models are in evaluation mode, without gradients and autocast. Afterwards, the modes and
    buffers of all modules and the states of the random generators of torch, Python and NumPy are restored."""
    modules = {module: module.training for model in models for module in model.modules()}
    buffers = [(module, name, buffer, buffer.clone(), _version(buffer)) for module in modules
               for name, buffer in module._buffers.items() if buffer is not None and buffer.device.type != "meta"]
    restore_random = _random_states()
    try:
        for module in modules:
            module.training = False  # not by eval(), which may do more: LoRA layers merge their weights in it
        with torch.no_grad(), compat.autocast_off(), compat.compiled_off():
            yield
    finally:
        restore_random()
        for module, training in modules.items():
            module.training = training
        with torch.no_grad():
            for module, name, buffer, values, version in buffers:
                module._buffers[name] = buffer
                if _version(buffer) != version or not _equal(buffer, values):
                    buffer.data.copy_(values)


def _version(tensor):
    return None if tensor.is_inference() else tensor._version


def _equal(tensor, values):
    """Compares the values, because writes through `.data` or through memory shared with NumPy do not change the version."""
    try:
        return torch.equal(tensor, values)
    except RuntimeError:  # a type that PyTorch cannot compare
        return True


def _random_states():
    """Keeps the states of the random generators; returns a function that restores them."""
    setters = [(torch.set_rng_state, torch.get_rng_state()), (random.setstate, random.getstate())]
    for name in ("cuda", "xpu"):
        device = getattr(torch, name, None)
        if device is not None and device.is_available() and device.is_initialized():
            setters.append((device.set_rng_state_all, device.get_rng_state_all()))
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        setters.append((numpy.random.set_state, numpy.random.get_state()))

    def restore():
        for setter, state in setters:
            setter(state)

    return restore


class Probe:
    """An evaluation that runs at the beginning of every n-th step."""

    def __init__(self, tag, every, run, results_only):
        self.tag = tag
        self.every = every
        self.run = run
        self.results_only = results_only

    def is_due(self, step):
        return step % self.every == 0

    def is_wanted(self, publisher, records):
        """Whether any of its messages is recorded in the open step."""
        kinds = RESULTS if self.results_only else RESULTS + [KINDS["input_data"]]
        if any(publisher.wanted(kind, NONE, self.tag) for kind in kinds):
            return True
        return not self.results_only and any(publisher.wanted(KINDS[kind], record.id, self.tag) for record in records
                                             for kind in ("activations", "inputs") if record.id != NONE)


def has_values(models):
    """Whether all parameters and buffers have values. Lazy modules get theirs in their first run, which has to be a run of
    the training."""
    return not any(compat.is_lazy(tensor) for model in models for module in model.modules()
                   for tensor in [*module._parameters.values(), *module._buffers.values()] if tensor is not None)
