# SPDX-License-Identifier: MIT
"""What is called when modules run and when gradients of parameters arrive, and installing it. Hooks are small objects that
return at once if there is nothing to do, and never raise. Those of modules are not in the modules: see calls.py.
"""
import operator

from nauha import calls, compat, fast


class Hook:
    """Calls one of the observer's methods, unless nothing is recorded."""

    __slots__ = ("observer", "record")
    is_on = operator.attrgetter("publisher.active")  # of the observer

    def __init__(self, observer, record=None):
        self.observer = observer
        self.record = record

    def __call__(self, module, *given):
        observer = self.observer
        try:  # the guard's part, in place: this runs for every module
            if self.is_on(observer):
                self.run(observer, *given)
        except Exception as error:
            observer.trouble(error)


class ModelEnters(Hook):
    """Forward pre-hook of a model, whose record is a weak reference: begins steps, also while paused."""

    __slots__ = ()
    is_on = operator.attrgetter("is_open")

    def run(self, observer, args, kwargs):
        if observer.publisher.recorder is not None and not compat.in_backward():
            observer.model_enters(self.record, args, kwargs)


class ModuleEnters(Hook):
    """Forward pre-hook of a module whose inputs are recorded."""

    __slots__ = ()

    def run(self, observer, args, kwargs):
        if not compat.in_backward():
            observer.module_enters(self.record, args, kwargs)


def module_ran(observer, record):
    """Forward hook of a module."""
    return fast.ModuleRan(observer.publisher, observer, record, ModuleRan(observer, record))


class ModuleRan(Hook):
    """The part of such a hook that takes all outputs."""

    __slots__ = ()

    def run(self, observer, args, output):
        observer.module_ran(self.record, output)


class ModelRan(Hook):
    """Forward hook of a model."""

    __slots__ = ()

    def run(self, observer, args, output):
        observer.model_ran(output)


class LossRan(Hook):
    """Forward hook of a loss module, or what a loss function's wrapper calls."""

    __slots__ = ()
    is_on = operator.attrgetter("is_open")

    def run(self, observer, args, output):
        observer.loss_ran(args, output)


class ParameterGradient(fast.ParameterGradient):
    """Tensor hook of a parameter."""

    __slots__ = ("__torch_unserializable__",)

    def __call__(self, gradient):
        if not compat.is_traced():
            self.arrived(gradient)


class Placed:
    """The hooks that were placed, to be taken off again."""

    def __init__(self):
        self._removers = []

    def add(self, remover):
        self._removers.append(remover)

    def on_module(self, module, before=None, after=None):
        """before(module, args, kwargs) and after(module, args, output) of every run; either may be None."""
        self.add(calls.watch(module, before, after))

    def remove(self):
        for remover in self._removers:
            remover()
        self._removers.clear()
