# SPDX-License-Identifier: MIT
"""Recordings that begin and end with the trainings of a trainer, in a process that was not started by `nauha record`.

A recording finds the model, the losses and the epochs as `nauha record` does, so its trace is the same.

Threads: the thread that trains.
"""
import sys
import weakref

from nauha import autorecord, calls, compat, native, shards
from nauha.autorecord import AutoRecorder
from nauha.exporter import check_options
from nauha.steps import MODES, parameters_of

AUTO = "auto"  # evaluations: those that the trainer runs


class _Places:
    """What `status.Status` is under `nauha record`: this process writes each trace where it was asked to."""

    def tell(self, verb, text=""):
        return True

    def claim(self, paths):
        return next(paths)


class _Session(AutoRecorder):
    """The recorder of this process, for one training after another. It watches PyTorch once, and between trainings it does
    nothing."""

    def __init__(self):
        super().__init__({}, _Places())
        self._failed = True  # until a training begins
        self._optimizers.update(dict.fromkeys(compat.optimizers()))
        self._former = weakref.WeakSet()  # optimizers of former trainings
        self.install()
        calls.search(None)

    def begin(self, settings, model):
        """Records the next model that is trained, which is this one or a part of it; None: it is not known."""
        self.end()
        epochs, losses, former, kept_out = self._epochs, self._losses, self._former, self._kept_out
        optimizers = [optimizer for optimizer in self._optimizers if _trains(optimizer, model) or
                      model is None and optimizer not in former]
        AutoRecorder.__init__(self, settings, self.status)
        self._epochs, self._losses, self._former, self._kept_out = epochs, losses, former, kept_out
        self._optimizers.update(dict.fromkeys(optimizers))
        epochs.begin()
        losses.begin()
        self.guard(self._watch_models)

    def end(self):
        """Ends the recording, if there is one."""
        if self._failed:
            return
        if self.exporter is None or not self._trained:
            native.notice(f'"{self.settings["output"]}" was not written: no model was trained')
        self.guard(self._end)
        self._outputs.remove()
        self._former.update(self._optimizers)
        self.exporter, self._failed = None, True
        calls.search(None)

    def _say(self, text):
        native.notice(text.replace(f"{self._path}.untrained", str(self._path)))
        return True


def _trains(optimizer, model):
    return model is not None and not parameters_of(optimizer).isdisjoint(shards.ids_of([model]))


_session = None


def _watch():
    """Watches this process from now on, unless `nauha record` does."""
    global _session
    if _session is None and autorecord.recorder is None:
        _session = _Session()
    return _session


class Recording:
    """What a callback asks for: the trace, the evaluations that it has, and the options of the recording. Raises Error for an
    option that does not exist or has a wrong value."""

    def __init__(self, path, evaluation, step, rules, stop_on, options):
        if step not in MODES:
            raise native.Error(f'step "{step}" is unknown; steps: {", ".join(MODES)}')
        check_options(options)
        self.path = path
        self._settings = {"output": path, "options": options, "step": step, "command": " ".join(sys.orig_argv if hasattr(
            sys, "orig_argv") else sys.argv), "rules": list(rules), "stop_on": list(stop_on)}
        if evaluation != AUTO:
            self._settings["evaluation"] = evaluation
        _watch()

    def begin(self, model=None):
        """The training of a model begins. Under `nauha record`, which records it already, this only says so."""
        if autorecord.recorder is not None:
            native.notice(f'"nauha record" records this training to "{autorecord.recorder.settings["output"]}": nothing is written '
                          f'to "{self.path}", and the options of the callback have no effect')
            return
        _watch().begin(self._settings, model)

    def end(self):
        """The training has ended: its trace is complete."""
        if _session is not None and _session.settings is self._settings:
            _session.end()
