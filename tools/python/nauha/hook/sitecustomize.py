# SPDX-License-Identifier: MIT
"""Started by Python itself in every process of a program under `nauha record`, which puts this folder
first in PYTHONPATH: waits for torch to be imported and then has nauha.autorecord watch it.

Whatever goes wrong here is said on stderr and otherwise leaves the program alone. The program's own
sitecustomize runs as it would have.
"""
import importlib.machinery
import importlib.util
import json
import os
import sys


def _say(text):
    sys.stderr.write("nauha: %s\n" % text)
    sys.stderr.flush()


def _note(settings, name, text=""):
    """Leaves a mark for the waiting `nauha record`."""
    try:
        with open(os.path.join(settings["status"], name), "a") as file:
            file.write(text)
    except OSError:
        pass


def _watch(settings):
    try:
        sys.path.insert(0, settings["package"])
        try:
            from nauha import autorecord
        finally:
            sys.path.remove(settings["package"])
        autorecord.install(settings)
    except Exception as error:
        _say("this process is not recorded: %s: %s" % (type(error).__name__, error))


class _TorchFinder(object):
    """Lets torch be found by the others, and acts when it has been imported."""

    def __init__(self, settings):
        self.settings = settings

    def find_spec(self, name, path=None, target=None):
        if name != "torch":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec("torch")
        if spec is None or spec.loader is None:
            sys.meta_path.insert(0, self)
            if spec is None:
                _note(self.settings, "torchless", "%s\0" % sys.executable)
            return spec
        loader = spec.loader
        execute = loader.exec_module

        def exec_module(module):
            del loader.exec_module  # the instance's; the class's is what it was
            execute(module)
            _note(self.settings, "torch")
            _watch(self.settings)

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
    _note(settings, "python")
    sys.meta_path.insert(0, _TorchFinder(settings))


_start()
_chain()
