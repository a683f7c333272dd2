# SPDX-License-Identifier: MIT
"""Watches the calls of modules from outside. Nothing is written into a module, so what a program copies, pickles,
scripts, exports or compiles is the same as without us.

Since torch 2.1, Module.__call__ calls module._compiled_call_impl, which module.compile() sets, if it is not None, and
otherwise module._call_impl. While modules are watched, this attribute is a property of torch.nn.Module. Where
Module.__call__ reads it, and no compiler looks, its value for a watched module is what runs the module between the
functions that watch it. Everybody else reads what the module has. So torch.compile sees the functions and hooks that it
sees without us, and no frame of ours is in the stacks that torch.jit.trace and torch.export keep. Before torch 2.1,
Module.__call__ itself is replaced.

A module is known by its dictionary of forward hooks, which the replicas of DataParallel share and copies do not.

Threads: any.
"""
import dis
import sys
import threading
import types
import weakref

import torch

from nauha import compat

NAME = "_compiled_call_impl"
_is_dynamo, _compiler, _compiling, _tracing = compat.is_dynamo, compat.compiler, compat.compiling, compat.tracing

_lock = threading.RLock()  # of all changes of what follows
_watched = {}  # id(dictionary of forward hooks) -> Watched
_search = None  # what stands for the Watched of all modules: see search()
_installed = False
_plain = None  # Module.__call__ as it was before it was replaced


class _Watched:
    """What is called before and after the calls of a module and of its replicas."""

    __slots__ = ("before", "after", "on", "hooks")

    def __init__(self, hooks=None):
        self.set((), ())
        self.hooks = hooks

    def set(self, before, after):
        self.before, self.after = before, after  # tuples, as another thread may be walking along the former ones
        self.on = bool(before or after)

    def run(self, module, /, *args, **kwargs):
        for function in self.before:
            function(module, args, kwargs)
        own = module.__dict__.get(NAME) if _plain is None else types.MethodType(_plain, module)
        output = (module._call_impl if own is None else own)(*args, **kwargs)
        for function in self.after:
            function(module, args, output)
        return output


class _Search(_Watched):
    """Finds modules that are to be watched."""

    __slots__ = ()

    def run(self, module, /, *args, **kwargs):
        for found in self.before:
            found(module, args, kwargs)
        watched = _watched.get(id(module.__dict__.get("_forward_hooks")), _NOTHING)
        return watched.run(module, *args, **kwargs)


_NOTHING = _Watched()


def watch(module, before=None, after=None):
    """before(module, args, kwargs) is called before and after(module, args, output) after every call of the module;
    either may be None. What they raise is raised by the call. Both are kept until the function that is returned is
    called, or as long as the module lives."""
    hooks = module._forward_hooks
    key = id(hooks)
    with _lock:
        _install()
        watched = _watched.get(key)
        if watched is None:
            # At the end of the process, the callback may run when the names of this file are gone.
            watched = _watched[key] = _Watched(weakref.ref(hooks, lambda dead, pop=_watched.pop: pop(key, None)))
        watched.set(watched.before + ((before,) if before else ()), watched.after + ((after,) if after else ()))

    def remove():
        with _lock:
            watched.set(_without(watched.before, before), _without(watched.after, after))
            if not watched.on and not _is_read():
                if _watched.get(key) is watched:
                    del _watched[key]
                _uninstall()

    return remove


def search(found):
    """From now on, found(module, args, kwargs) is called before every call of any module, until another function or None is given.
    What it begins to watch is watched in this call already."""
    global _search
    with _lock:
        if found is not None:
            _install()
            _search = _search or _Search()
            _search.set((found,), ())
        elif _search is not None:
            _search.set((), ())
            if not _is_read():
                _search = None
                _uninstall()


def is_compiled_in_place(module):
    """Whether module.compile() was called."""
    return module.__dict__.get(NAME) is not None


# ---- where Module.__call__ looks ----

@torch.jit.unused  # or torch.jit.script would compile it
def _read(module):
    """The value of the property."""
    if _is_dynamo():
        return None
    has = module.__dict__
    watched = _watched.get(id(has.get("_forward_hooks"))) if _search is None else _search
    if watched is None:
        return has.get(NAME)
    own, reader = has.get(NAME), sys._getframe(1)
    if reader.f_code is not _reader:
        return own
    if own is None and reader.f_lasti > _first_read:  # the first read gave something, so this one has to
        return types.MethodType(watched.run, module)
    if watched is _search and not watched.on:
        watched = _watched.get(id(has.get("_forward_hooks")))
    if watched is None or not watched.on or _compiler() is not None or _compiling() or _tracing():
        return own
    return types.MethodType(watched.run, module) if own is not None else watched  # which only is compared with None


def _write(module, value):
    module.__dict__[NAME] = value


def _delete(module):
    del module.__dict__[NAME]


def _call(module, /, *args, **kwargs):
    """Module.__call__ before torch 2.1."""
    watched = _watched.get(id(module.__dict__.get("_forward_hooks"))) if _search is None else _search
    if watched is None or _is_dynamo() or _tracing():
        return _plain(module, *args, **kwargs)
    return watched.run(module, *args, **kwargs)


# The function that reads the property, and where in it: once to compare it with None, and once more to call it.
_reader = getattr(torch.nn.Module, "_wrapped_call_impl", _call).__code__
_reads = [each.offset for each in dis.get_instructions(_reader) if each.argval == NAME]
_HAS_PLACE = len(_reads) == 2
_first_read, _last_read = _reads if _HAS_PLACE else (-1, -1)

for _function in _read, _Watched.run, _Search.run:
    compat.skip_in_dynamo(_function)


def _install():
    """Before anything is watched, as a read that began earlier may find it already."""
    global _installed, _plain
    if _installed:
        return
    _installed = True
    if _HAS_PLACE:
        torch.nn.Module._compiled_call_impl = property(_read, _write, _delete)
    else:
        _plain, torch.nn.Module.__call__ = torch.nn.Module.__call__, _call


def _uninstall():
    """Unless something is watched."""
    global _installed
    if _watched or _search is not None or not _installed:
        return
    if _HAS_PLACE:
        torch.nn.Module._compiled_call_impl = None
    elif torch.nn.Module.__call__ is _call:
        torch.nn.Module.__call__ = _plain
    else:  # somebody has wrapped it
        return
    _installed = False


def _is_read():
    """Whether a thread is between the two reads of Module.__call__: what the first has given must not go before the
    second. What has ended gives nothing to a first read, so the answer no stays true."""
    for frame in sys._current_frames().values():
        while frame is not None:
            if frame.f_code is _reader and frame.f_lasti <= _last_read:
                return True
            frame = frame.f_back
    return False


def _without(functions, one):
    """Without the last of them that is this one."""
    for i in reversed(range(len(functions))):
        if functions[i] is one:
            return functions[:i] + functions[i + 1:]
    return functions
