# SPDX-License-Identifier: MIT
"""torch.func: what its transforms (grad, vmap) and functional_call put in the place of tensors and parameters.

Threads: any.
"""
import functools
import threading

import torch

from nauha import compat

_functorch = getattr(torch._C, "_functorch", None)
_level = getattr(_functorch, "maybe_current_level", lambda: None)  # before torch 2.0, functorch was a package of its own
_calls = threading.local()  # .running: [(module, its own parameters)] of the functional_calls that run


def active():
    """Whether a transform runs."""
    return _level() is not None


def plain(tensor):
    """The tensor whose memory a tensor of the transforms stands for. What vmap maps over are its first dimensions."""
    if not _functorch.is_functorch_wrapped_tensor(tensor):
        return tensor
    inner = _functorch.get_unwrapped(tensor)
    memory = plain(inner)
    if not _functorch.is_batchedtensor(tensor):
        return memory
    mapped = memory.dim() - inner.dim()
    position = mapped + _functorch.maybe_get_bdim(tensor)
    if position == mapped:
        return memory
    with compat.transforms_off(), torch.no_grad():
        return memory.detach().movedim(position, mapped)


def reached(tensor):
    """The tensor whose gradient a backward pass computes: outside of vmap, what a tensor within stands for."""
    return tensor if compat.has_graph(tensor) or not active() else plain(tensor)


def own_parameters(model):
    """The parameters that a model gets back when functional_call returns."""
    for module, parameters in getattr(_calls, "running", ()):
        if any(part is module for part in model.modules()) or any(part is model for part in module.modules()):
            yield from parameters


def watch():
    """From now on, own_parameters() knows of calls of torch.func.functional_call."""
    stateless = torch.nn.utils.stateless
    original = getattr(stateless, "_functional_call", None)
    if original is None or hasattr(original, "nauha_watches"):
        return

    @functools.wraps(original)
    def watched(module, *args, **kwargs):
        if compat.is_dynamo():
            return original(module, *args, **kwargs)
        running = _calls.__dict__.setdefault("running", [])
        running.append((module, list(module.parameters())))
        try:
            return original(module, *args, **kwargs)
        finally:
            running.pop()

    watched.nauha_watches = True
    stateless._functional_call = watched
