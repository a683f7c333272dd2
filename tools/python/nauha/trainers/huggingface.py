# SPDX-License-Identifier: MIT
"""A callback for the Trainer of transformers, and for the trainers that are made of it, such as those of trl."""
from transformers import TrainerCallback

from nauha.trainers.session import AUTO, Recording


class HuggingFaceCallback(TrainerCallback):
    """Records each training of a Trainer, from train() to its end, as `nauha record` does:

        trainer = Trainer(..., callbacks=[HuggingFaceCallback("run.h5", kinds=["weights", "weight_updates", "loss"])])

    path: the trace; a trace that exists is kept as run.h5.old. evaluation: the tag of the evaluations in the trace; "auto": those
    of the Trainer are recorded as "testing"; None: none. step, options: those of nauha.Exporter. rules, stop_on: health rules,
    as in Exporter.subscribe(). The learning rate and the other arguments, the name of the run, and the numbers with which a
    training goes on from a checkpoint are taken from the Trainer. Raises Error for a wrong option; what goes wrong during the
    training is told once, and does not affect it."""

    def __init__(self, path, *, evaluation=AUTO, step="auto", rules=(), stop_on=(), **options):
        self._recording = Recording(path, evaluation, step, rules, stop_on, options)

    def on_train_begin(self, args, state, control, model=None, **kwargs):
        self._recording.begin(model)

    def on_train_end(self, args, state, control, **kwargs):
        self._recording.end()
