# SPDX-License-Identifier: MIT
"""The hooks on modules and parameters, and installing them. Hooks are small objects that return at once if there is
nothing to do, never raise, and are removed from copies and pickles of the model.
"""
import functools
import operator
import sys

from nauha import compat

# What stands for a hook in a copied or pickled model: takes anything, does nothing, needs no nauha.
NOTHING = functools.partial(sys.audit, "nauha.detached")


class Hook:
    """Calls one of the observer's methods, unless nothing is recorded or a compiler is looking."""

    __slots__ = ("observer", "record")
    is_on = operator.attrgetter("publisher.active")  # of the observer

    def __init__(self, observer, record=None):
        self.observer = observer
        self.record = record

    def __call__(self, module, *given):
        if compat.is_traced():
            return
        observer = self.observer
        try:  # the guard's part, in place: this runs for every module
            if self.is_on(observer):
                self.run(observer, *given)
        except Exception as error:
            observer.trouble(error)

    def __deepcopy__(self, memo):
        return NOTHING

    def __reduce__(self):
        return functools.partial, (sys.audit, "nauha.detached")


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


class ModuleRan(Hook):
    """Forward hook of a module."""

    __slots__ = ()

    def run(self, observer, args, output):
        observer.module_ran(self.record, output)


class LossRan(Hook):
    """Forward hook of a loss module, or what a loss function's wrapper calls."""

    __slots__ = ()

    def run(self, observer, args, output):
        observer.loss_ran(args, output)


class ParameterGradient(Hook):
    """Tensor hook of a parameter."""

    __slots__ = ("slot", "kind", "calls", "__torch_unserializable__")

    def __init__(self, observer, record, slot, kind, calls):
        super().__init__(observer, record)
        self.slot = slot
        self.kind = kind
        self.calls = calls

    def __call__(self, gradient):
        super().__call__(None, gradient)

    def run(self, observer, gradient):
        observer.parameter_gradient(self, gradient)


class InPlaceCompiled(Hook):
    """Stands before what module.compile() made: hooks on the module would be traced into it."""

    __slots__ = ("module", "before", "compiled", "after")

    def __init__(self, module):
        super().__init__(None)
        self.module, self.compiled = module, module._compiled_call_impl
        self.before, self.after = [], []

    def __call__(self, *args, **kwargs):
        for hook in self.before:
            hook(self.module, args, kwargs)
        output = self.compiled(*args, **kwargs)
        for hook in self.after:
            hook(self.module, args, output)
        return output


def is_compiled_in_place(module):
    """Whether module.compile() was called."""
    return getattr(module, "_compiled_call_impl", None) is not None


def _stand_before(module, before, after):
    """Hooks on what module.compile() made; returns what takes them off."""
    compiled = module._compiled_call_impl
    if not isinstance(compiled, InPlaceCompiled):
        compiled = module._compiled_call_impl = InPlaceCompiled(module)
    places = [(hooks, hook) for hooks, hook in ((compiled.before, before), (compiled.after, after)) if hook]
    for hooks, hook in places:
        hooks.append(hook)

    def remove():
        for hooks, hook in places:
            hooks.remove(hook)
        if not compiled.before and not compiled.after and module._compiled_call_impl is compiled:
            module._compiled_call_impl = compiled.compiled

    return remove


class Placed:
    """The hooks that were placed, to be taken off again."""

    def __init__(self):
        self._removers = []

    def add(self, remover):
        self._removers.append(remover)

    def on_module(self, module, before=None, after=None):
        """before(module, args, kwargs) and after(module, args, output) of every run; either may be None."""
        if is_compiled_in_place(module):
            self.add(_stand_before(module, before, after))
            return
        if before is not None:
            self.add(compat.add_forward_pre_hook(module, before).remove)
        if after is not None:
            self.add(module.register_forward_hook(after).remove)

    def remove(self):
        for remover in self._removers:
            remover()
        self._removers.clear()
