# SPDX-License-Identifier: MIT
"""A tracker for accelerate."""
from accelerate.tracking import GeneralTracker

from nauha.trainers.session import AUTO, Recording


class AccelerateTracker(GeneralTracker):
    """Records a training from init_trackers() to end_training(), as `nauha record` does:

        accelerator = Accelerator(log_with=AccelerateTracker("run.h5", kinds=["weights", "weight_updates", "loss"]))
        accelerator.init_trackers("my_project", config={"learning_rate": 0.01})
        ...  # the training
        accelerator.end_training()

    path: the trace; a trace that exists is kept as run.h5.old. run_name: the name of the run. evaluation: a tag for the evaluations
    of the program, such as "testing"; by default they are not recorded. step, options: those of nauha.Exporter. rules, stop_on:
    health rules, as in Exporter.subscribe(). The configuration that init_trackers() is given is in the trace, what the program logs
    is not. Raises Error for a wrong option; what goes wrong during the training is told once, and does not affect it."""

    name = "nauha"
    requires_logging_directory = False
    main_process_only = False  # each rank has a trace

    def __init__(self, path, *, run_name=None, evaluation=AUTO, step="auto", rules=(), stop_on=(), **options):
        super().__init__()
        self.run_name = run_name
        self.nauha_config = {}
        self._recording = Recording(path, evaluation, step, rules, stop_on, options)

    @property
    def tracker(self):
        return self

    def start(self):
        self._recording.begin()

    def store_init_configuration(self, values):
        self.nauha_config.update(values)

    def log(self, values, step=None, **kwargs):
        pass

    def finish(self):
        self._recording.end()
