# SPDX-License-Identifier: MIT
"""The hooks on modules and parameters: small objects that return at once where there is nothing to do,
never raise, and disappear from copies and pickles of the model they sit on.
"""
import functools
import sys

from nauha import compat
from nauha.tensors import each_tensor

# What stands for a hook in a copied or pickled model: takes anything, does nothing, needs no nauha.
NOTHING = functools.partial(sys.audit, "nauha.detached")


class Hook:
    """Knows the exporter; calls one of its methods."""

    __slots__ = ("exporter", "record")

    def __init__(self, exporter, record=None):
        self.exporter = exporter
        self.record = record

    def __deepcopy__(self, memo):
        return NOTHING

    def __reduce__(self):
        return functools.partial, (sys.audit, "nauha.detached")


class ModelEnters(Hook):
    """Forward pre-hook of a model: begins steps."""

    __slots__ = ()

    def __call__(self, module, args, kwargs):
        if compat.is_traced():
            return
        exporter = self.exporter
        if not exporter.is_open or compat.in_backward():
            return
        try:
            exporter._model_enters(self.record, args, kwargs)
        except Exception as error:
            exporter._trouble(error)


class ModuleEnters(Hook):
    """Forward pre-hook of a module whose inputs are recorded."""

    __slots__ = ()

    def __call__(self, module, args, kwargs):
        if compat.is_traced():
            return
        exporter = self.exporter
        if not exporter.publisher.active or compat.in_backward():
            return
        try:
            exporter._module_enters(self.record, args, kwargs)
        except Exception as error:
            exporter._trouble(error)


class ModuleRan(Hook):
    """Forward hook of a module."""

    __slots__ = ()

    def __call__(self, module, args, output):
        if compat.is_traced():
            return
        exporter = self.exporter
        if not exporter.publisher.active:
            return
        try:
            exporter._module_ran(self.record, output)
        except Exception as error:
            exporter._trouble(error)


class LossRan(Hook):
    """Forward hook of a loss module, or what a loss function's wrapper calls."""

    __slots__ = ()

    def __call__(self, module, args, output):
        if compat.is_traced():
            return
        exporter = self.exporter
        if not exporter.publisher.active:
            return
        try:
            exporter._loss_ran(args, output)
        except Exception as error:
            exporter._trouble(error)


class ParameterGradient:
    """Tensor hook of a parameter."""

    __slots__ = ("exporter", "record", "slot", "kind", "calls")

    def __init__(self, exporter, record, slot, kind, calls):
        self.exporter = exporter
        self.record = record
        self.slot = slot
        self.kind = kind
        self.calls = calls

    def __call__(self, gradient):
        exporter = self.exporter
        if not exporter.publisher.active or compat.is_traced():
            return
        try:
            exporter._parameter_gradient(self, gradient)
        except Exception as error:
            exporter._trouble(error)


class InPlaceCompiled(Hook):
    """Stands before what module.compile() made: hooks on the module would be traced into it."""

    __slots__ = ("module", "before", "compiled", "after")

    def __init__(self, module, before, compiled, after):
        self.module, self.before, self.compiled, self.after = module, before, compiled, after

    def __call__(self, *args, **kwargs):
        for hook in self.before:
            hook(self.module, args, kwargs)
        output = self.compiled(*args, **kwargs)
        for hook in self.after:
            hook(self.module, args, output)
        return output
