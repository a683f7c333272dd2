# SPDX-License-Identifier: MIT
"""Python runs this file at the start of every process of a program under `nauha record`, which puts this
folder first in PYTHONPATH. It waits until torch is imported, and then lets nauha.autorecord watch it.

A failure here is reported on stderr and does not affect the program. The program's own sitecustomize runs
as it would without nauha.
"""
import importlib.machinery
import importlib.util
import json
import os
import sys


def _say(error):
    """Returns False if standard error cannot be written to."""
    try:
        sys.stderr.write("nauha: this process is not recorded: %s: %s\n" % (type(error).__name__, error))
        sys.stderr.flush()
    except Exception:
        return False
    return True


def _status(settings):
    """Loads only the module status: the package must not be on the program's path, and most programs need no more."""
    path = os.path.join(settings["package"], "nauha", "status.py")
    spec = importlib.util.spec_from_file_location("nauha_status", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Status(settings)


def _watch(settings, status):
    """Called when torch has been imported."""
    try:
        status.tell("torch")
        sys.path.insert(0, settings["package"])
        try:
            from nauha import autorecord
        finally:
            sys.path.remove(settings["package"])
        autorecord.install(settings, status)
    except Exception as error:
        status.tell("failed", "" if _say(error) else str(error))


class _TorchFinder(object):
    """Lets the other finders find torch, and calls _watch() when it has been imported."""

    def __init__(self, settings, status):
        self.settings = settings
        self.status = status

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        try:
            return self._find()
        except Exception as error:
            _say(error)
            return None  # the others find it

    def _find(self):
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            if spec is None:
                self.status.tell("torchless", sys.executable)
            return spec
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            del loader.exec_module  # the instance's; the class's is what it was
            execute(module)
            _watch(self.settings, self.status)

        loader.exec_module = exec_module
        return spec


def _chain():
    """Runs the sitecustomize that this one hides."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [entry for entry in sys.path if os.path.abspath(entry or ".") != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        module = importlib.util.module_from_spec(spec)
        sys.modules["sitecustomize"] = module
        spec.loader.exec_module(module)


def _start():
    try:
        settings = json.loads(os.environ["NAUHA_RECORD"])
    except (KeyError, ValueError):
        return  # not started by `nauha record`
    try:
        status = _status(settings)
        status.tell("python")
        sys.meta_path.insert(0, _TorchFinder(settings, status))
    except Exception as error:
        _say(error)


_start()
_chain()
