# SPDX-License-Identifier: MIT
"""A callback for Lightning, by either name of its package."""
import importlib
import importlib.util
import sys

from nauha.trainers.session import AUTO, Recording


def _callbacks():
    """The classes of callbacks of the packages that the program uses; it may have both."""
    names = ("lightning.pytorch", "pytorch_lightning")
    used = [name for name in names if name in sys.modules] or [
        name for name in names if importlib.util.find_spec(name.split(".")[0])][:1]
    if not used:
        raise ModuleNotFoundError("LightningCallback needs lightning or pytorch_lightning", name="lightning")
    return [importlib.import_module(name).Callback for name in used]


class LightningCallback(*_callbacks()):
    """Records each training of a Trainer, in fit(), as `nauha record` does:

        trainer = Trainer(..., callbacks=[LightningCallback("run.h5", kinds=["weights", "weight_updates", "loss"])])

    path: the trace; a trace that exists is kept as run.h5.old. evaluation: the tag of the evaluations in the trace; "auto": the
    validations of the Trainer are recorded as "testing"; None: none. step, options: those of nauha.Exporter. rules, stop_on:
    health rules, as in Exporter.subscribe(). The hyperparameters that the modules save, the name of the run, and the numbers with
    which a training goes on from a checkpoint are taken from the Trainer. Raises Error for a wrong option; what goes wrong
    during the training is told once, and does not affect it."""

    def __init__(self, path, *, evaluation=AUTO, step="auto", rules=(), stop_on=(), **options):
        self._recording = Recording(path, evaluation, step, rules, stop_on, options)

    def on_train_start(self, trainer, pl_module):
        self._recording.begin(pl_module)

    def on_train_end(self, trainer, pl_module):
        self._recording.end()

    def on_exception(self, trainer, pl_module, exception):
        self._recording.end()
