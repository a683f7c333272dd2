# SPDX-License-Identifier: MIT
"""What runs for every message: each class twice, in C and in Python, with the same results.

The C code (tools/python/fast/) is in nauha_fast.so, beside the library. Where that was not built or does not suit this
Python, the classes of this file are what the rest of the package gets.

Threads: any with a publisher's lock held, unless a class says otherwise.
"""
import ctypes
import importlib.machinery
import importlib.util
import os
import pathlib
import sys
import sysconfig

import torch

from nauha import compat, native, tensors
from nauha.native import KINDS, library

LAYER_GRADIENTS = KINDS["layer_gradients"]


class Counter:
    """How often something happened in the open step, by tag."""

    __slots__ = ("serial", "counts")

    def __init__(self):
        self.serial = 0
        self.counts = {}

    def next(self, serial, tag):
        """The number of times so far, before this one."""
        if serial != self.serial:
            self.serial = serial
            self.counts = {}
        count = self.counts.get(tag, 0)
        self.counts[tag] = count + 1
        return count

    def count(self, serial, tag):
        return self.counts.get(tag, 0) if serial == self.serial else 0


class Reader(tensors.Identities):
    """Reads tensors, and gives those that are the same the same number: of(tensor)."""

    def __init__(self, *_):
        super().__init__()


class Wanted:
    """Which messages the recording's selection takes, so that nobody works for the others. inputs: whether that kind may
    be among them."""

    def __init__(self, accepts, keeping, names, rank, inputs):
        self._keeping = keeping
        self._names = names
        self._rank = rank
        self._answers = {}  # in the step that is open
        self._moment = 0, 0
        self.inputs = inputs
        self.tapped = None  # a function that says whether live metrics take a kind

    def at(self, step, epoch):
        """From now on messages are of this step and epoch."""
        self._moment = step, epoch
        self._answers.clear()

    def __call__(self, kind, module, tag):
        key = (kind, module, tag)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = self._keeping is not None and (kind != KINDS["inputs"] or self.inputs) and bool(
                self.tapped is not None and self.tapped(kind) or library.nauha_keeping_accepts(
                    self._keeping, self._names, kind, module, tag, *self._moment, self._rank))
        return answer

    def end(self):
        """Nothing is wanted any more."""
        self._keeping = None
        self._answers.clear()


class Sender:
    """Calls the recorder. A subclass has publish_any(), which takes any tensor.

    Threads: one at a time."""

    def __init__(self, publish, set_tag, recorder, reader, tell):
        self.tag = 0  # that the recorder has

    def publish(self, *message):
        """(kind, module, slot, call, tag, tensor or None, identity=0, placement=0); see Sender.publish_any()."""
        self.publish_any(*message)

    def refresh(self, parameters, tensors):
        """Sets the present addresses of tensors in the C structures at the address `parameters`. False: that did not
        suffice, or was not tried."""
        return False


class Recording:
    """What hooks have to know of a recording. A subclass has publish_any(), which takes any tensor, and publish_shard()."""

    def __init__(self, lock, reader, wanted):
        self.lock = lock
        self.reader = reader
        self.wanted = wanted
        self.out = None  # a Sender or Stager
        self.serial = 0  # steps begun
        self.tag = 0
        self.active = False  # neither paused nor closed: hooks return at once where it is false
        self.step_open = False
        self.latest_on = False  # whether the latest run of a model is recorded
        self.results_only = False
        self.transformed = False  # the latest run of a model is within a transform of torch.func

    def publish(self, kind, module, slot, call, tag, tensor):
        """One message if it is wanted; of the step that is open, or was last. tensor: None for events."""
        if self.wanted(kind, module, tag):
            self.publish_any(kind, module, slot, call, tag, tensor)


def ModuleRan(recording, observer, record, hook):
    """What is called after each run of a module. It records the common cases, and calls the hook for all others, which
    in Python are all.

    Threads: any."""
    return hook


class LayerGradient:
    """Hook on the node of a module's output, for the gradient at a position. calls: of the module.

    Threads: any."""

    __slots__ = ("recording", "observer", "calls", "module", "slot", "call", "tag", "serial", "position", "passes")

    def __init__(self, recording, observer, calls, module, slot, call, tag, serial, position):
        self.recording, self.observer, self.calls = recording, observer, calls
        self.module, self.slot, self.call, self.tag, self.serial = module, slot, call, tag, serial
        self.position = position
        self.passes = 0

    def __call__(self, gradients):
        self.observer.guarded(self._arrived, gradients[self.position])

    def _arrived(self, gradient):
        recording, tag = self.recording, self.tag
        if gradient is None or not recording.active:
            return
        with recording.lock:
            if self.serial != recording.serial or not (recording.step_open or tag):
                self.observer.late_gradient()
                return
            call, passes = self.call, self.passes
            self.passes += 1
            if passes:  # another backward pass through the same graph: behind the calls there were
                call += self.calls.count(self.serial, tag) * passes
            recording.publish(LAYER_GRADIENTS, self.module, self.slot, call, tag, gradient)


class ParameterGradient:
    """The gradient of a parameter: arrived(gradient). placement: its number in a shard, unless the gradient is a DTensor,
    which has its own; 0: the gradient is whole.

    Threads: any."""

    __slots__ = ("recording", "observer", "calls", "kind", "module", "slot", "placement")

    def __init__(self, recording, observer, calls, kind, module, slot, placement):
        self.recording, self.observer, self.calls = recording, observer, calls
        self.kind, self.module, self.slot, self.placement = kind, module, slot, placement

    def arrived(self, gradient):
        if self.recording.active:
            self.observer.guarded(self._publish, gradient)

    def _publish(self, gradient):
        recording = self.recording
        with recording.lock:
            tag = recording.tag
            if (recording.results_only if tag else not (recording.step_open and recording.latest_on)):
                return
            call = self.calls.next(recording.serial, tag)
            recording.publish_shard(self.kind, self.module, self.slot, call, tag, gradient, self.placement)


_NAMES = ("Counter", "Reader", "Wanted", "Sender", "Recording", "ModuleRan", "LayerGradient", "ParameterGradient")


def _load():
    """The C code; None where it cannot be used. NAUHA_FAST=no is for tests."""
    path = pathlib.Path(library._name).with_name("nauha_fast.so")
    if (os.environ.get("NAUHA_FAST") == "no" or not path.is_file() or sys.implementation.name != "cpython" or
            sysconfig.get_config_var("Py_GIL_DISABLED")):  # which has no limited API
        return None
    loader = importlib.machinery.ExtensionFileLoader("nauha_fast", str(path))
    try:
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader("nauha_fast", loader))
        loader.exec_module(module)
    except ImportError:
        return None
    sizes = {name: ctypes.sizeof(native.MIRRORS[name]) for name in module.sizes}
    return module if sizes == module.sizes else None


module = _load()
if module is not None:
    globals().update({name: getattr(module, name) for name in _NAMES})


def reader():
    in_backward = getattr(torch._C, "_current_graph_task_id", compat.in_backward)  # not in torch 1.13
    return Reader(torch.Tensor, torch.nn.Parameter, torch.strided, tensors.DTYPES, tensors.is_view_of_all, in_backward)


def address(function):
    """Of a function of the library, for the C code; None where there is none."""
    return None if module is None else ctypes.cast(function, ctypes.c_void_p).value
