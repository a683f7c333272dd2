# SPDX-License-Identifier: MIT
"""The front end for PyTorch: records a training with a handful of lines.

    from nauha import Exporter

    with Exporter("run.h5") as exporter:
        exporter.set_model(model)
        exporter.add_modules(model)
        loss_function = exporter.set_loss(torch.nn.CrossEntropyLoss())
        for epoch in range(epochs):
            for x, y in loader:                      # as before
                optimizer.zero_grad()
                loss_function(model(x), y).backward()
                optimizer.step()
            exporter.epoch_finished()

The training is not changed: the same seed gives the same bits with and without an exporter. What
goes wrong while it runs is told once and never raised.

Threads: any; backward passes and replicas run in PyTorch's own.
"""
import atexit
import contextlib
import difflib
import functools
import multiprocessing.util
import os
import pathlib
import sys
import time
import weakref

import torch

from nauha import compat, hooks, native, probes
from nauha.crowd import Crowd, turns
from nauha.native import NONE
from nauha.observer import Observer
from nauha.publisher import Publisher

STEPS = ("forward", "optimizer", "manual")
_SCOPES = {"network": 0, "module": 1}
_FORMS = {"event": 0, "tensor": 1, "scalar": 2, "histogram": 3}
# The user is told of a training that waited for the recorder for so many seconds, and so much of its time.
WAITED_SECONDS = 2
WAITED_PART = 0.1


def place_in_training():
    """(rank, world size) of this process: torch.distributed's, else the launcher's variables'."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    try:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    except ValueError:
        return 0, 1


def path_of_rank(path, rank, world_size):
    """run.h5 -> run.rank1.h5, where there is more than one rank."""
    path = pathlib.Path(path)
    return path if world_size == 1 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def _check_kinds(kinds):
    """Raises UnknownName for a kind that is a built-in one misspelt. Kinds of one's own are registered later; one
    that never is, is told of as the first step begins."""
    for kind in kinds.split(","):
        meant = difflib.get_close_matches(kind, native.KINDS, 1, 0.8)
        if kind not in native.KINDS and meant and not kind.startswith(meant[0]):
            raise native.UnknownName(f'no kind "{kind}" to record: did you mean "{meant[0]}"?')


class Exporter:
    """Records the trainings of one process to one trace.

    path: the trace; one that is there is kept as run.h5.old from this one's first step on, unless `overwrite` is
        given, and what is no trace is refused; in a distributed training each rank's file gets its number (run.rank0.h5), unless
        `rank` is given. None: nothing is stored, messages only reach what subscribe() was given.
    step: what a step is: "forward", a training-mode forward of the model; "optimizer", ended when
        every optimizer given to set_optimizer() has made a step (gradient accumulation, GANs);
        "manual", ended by step().
    options: those of `nauha record`, with underscores: depth=2, codec="lz4", kinds=["weights", "loss"],
        steps=slice(0, None, 10), on_full="drop", overwrite=True, ...
    facts: kept in the trace and shown by `nauha info`.
    notice: called with what a person should know, once each; prints to stderr where None.
    staging: "auto": tensors on a GPU are copied through a ring of pinned memory; "always": those of the
        CPU as well, which is of use to tests alone.
    tentative: the trace gets its name when publisher.settle() is called, and without it there will be none.
    Raises Error for a file that cannot be made and options that do not exist; for a misspelt kind one that is
    a ValueError too.
    """

    def __init__(self, path=None, *, step="forward", facts=None, rank=None, world_size=None, notice=None,
                 staging="auto", tentative=False, **options):
        if step not in STEPS:
            raise native.Error(f'no step "{step}"; steps: {", ".join(STEPS)}')
        here = place_in_training()
        by_place = rank is None
        rank = here[0] if rank is None else rank
        world_size = here[1] if world_size is None else world_size
        if path is not None and by_place:
            path = path_of_rank(path, rank, world_size)
        facts = {"framework": f"torch {torch.__version__}", **(facts or {})}
        options = {key.replace("_", "-"): native.option_text(value) for key, value in options.items()}
        _check_kinds(options.get("kinds", ""))
        self.publisher = Publisher(path, options, facts, rank, world_size, notice, tentative)
        if staging == "always":
            self.publisher.stage("cpu")
        self.observer = Observer(self.publisher, step)
        self._began = time.monotonic()
        self._crowd = self.observer.guarded(Crowd)
        self._pipeline = None
        self._told_rules = set()
        self.series = {}  # what live metrics published, by name; after close()
        self._close_at_exit()

    # ---- what is recorded ----

    def set_model(self, model, name=""):
        """Says which model is trained. Several may be: each further one with a name, which its modules'
        names begin with. A model that is compiled later has to be given again, as compiled. Returns the
        model."""
        self.observer.add_model(model, name)
        return model

    def add_modules(self, module, depth=None, name=None):
        """Publishes this module and what is in it, `depth` levels of it (0: the module alone; negative or
        None: as the option "depth" says, all by default). name: what a module outside the model is
        called; its class otherwise. Returns the module."""
        self.observer.add_modules(module, self.publisher.depth if depth is None or depth < 0 else depth, name)
        return module

    def __call__(self, module):
        """Publishes one module and returns it: Sequential(exporter(Conv2d(3, 64, 5)), ReLU())."""
        return self.add_modules(module, 0)

    def set_loss(self, function):
        """Says which loss function is used, so that network_output, input_labels and loss are published:
        a module or a function of (output, labels). Returns it; a function must be called as returned."""
        if isinstance(function, torch.nn.Module):
            self.observer.placed.on_module(function, after=hooks.LossRan(self.observer))
            self.observer.loss_function = function
            return function
        ran = hooks.LossRan(self.observer)

        @functools.wraps(function)
        def observed(*args, **kwargs):
            loss = function(*args, **kwargs)
            ran(None, args + tuple(kwargs.values()), loss)
            return loss

        self.observer.loss_function = observed
        return observed

    def set_optimizer(self, *optimizers):
        """Says which optimizers there are; with step="optimizer" a step ends when all have stepped.
        Returns what it was given."""
        for optimizer in optimizers:
            if self.observer.know_optimizer(optimizer):
                stepped = functools.partial(self.observer.guarded, self.observer.optimizer_stepped)
                self.observer.placed.add(compat.after_optimizer_step(optimizer, stepped))
        return optimizers[0] if len(optimizers) == 1 else optimizers

    def subscribe(self, *metrics, output=None, sinks=None, rules=(), stop_on=()):
        """Computes metrics live: SPECs as on the command line, and nauha.Subscriber objects, as replaying the trace
        would. To be called before the first step, and once. output: a directory for the files that `sinks`
        (["csv"] by default) write. What the metrics published is in `series` after close().

        rules: SPECs of health rules, whose findings are told as notices. stop_on: names of rules; when one of them
        has found something, the next step raises nauha.Stopped, which ends the program with code 1. Raises Error."""
        from nauha.pipeline import Pipeline
        with self.publisher.lock:
            if self._pipeline is not None or self.publisher.serial:
                raise native.Error("subscribe() is to be called once, and before the first step", native.Status.STATE)
            pipeline = Pipeline(self.publisher.names)
            try:
                for metric in metrics:
                    pipeline.add(metric)
                self._add_rules(pipeline, list(rules), list(stop_on))
                for sink in (sinks or ["csv"]) if output is not None else []:
                    pipeline.add_sink(sink, output)
                pipeline.describe(self.publisher.facts)
                pipeline.start(collect=bool(metrics))
                self.publisher.tap(pipeline)
            except Exception:
                pipeline.free()
                raise
            self._pipeline = pipeline

    def _add_rules(self, pipeline, rules, stop_on):
        there = pipeline.rules()
        given = [spec.split(":")[0] for spec in rules]
        for name in given + stop_on:
            if name not in there:
                raise native.Error(f'there is no rule "{name}"; rules: {", ".join(there)}', native.Status.UNKNOWN)
        for spec in rules + [name for name in stop_on if name not in given]:
            pipeline.add(spec)
        weak = weakref.ref(self)

        def found(finding):
            exporter = weak()
            if exporter is not None:
                exporter._found(finding, stop_on)

        if rules or stop_on:
            pipeline.on_finding(found)

    def _found(self, finding, stop_on):
        """In whatever thread hands messages on: what is to be raised is raised where the next step begins."""
        rule = finding.rule.decode()
        if rule not in self._told_rules:
            self._told_rules.add(rule)
            place = "the network" if finding.module is None else f'module "{finding.module.decode()}"'
            self.publisher.tell(f"{rule} at step {finding.first_step}: {finding.measure.decode()} = {finding.value:.4g}, threshold "
                                f"{finding.threshold:.4g}, {finding.kind.decode()} of {place}: {finding.meaning.decode()}")
        if rule in stop_on and self.observer.stop is None:
            self.observer.stop = rule

    def freeze_module(self, module):
        """Stops a module's parameters from being trained."""
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # or optimizers would go on with the last gradient

    # ---- how the training goes ----

    def step(self):
        """Ends the open step: publishes its weights, biases and updates."""
        with self.publisher.lock:
            self.observer.guarded(self.observer.end_step)

    def epoch_finished(self):
        """To be called when the training set has been run through once. Ends the open step."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.observer.end_step)
                self.observer.guarded(self.publisher.epoch_finished)

    def train(self, mode=True):
        """Puts the models in training mode."""
        for weak, _ in self.observer.registry.roots:
            model = weak()
            if model is not None:
                model.train(mode)

    def test(self):
        """Puts the models in evaluation mode: nothing is published unless a tag is set."""
        self.train(False)

    def pause(self, paused=True):
        """Paused, steps are counted and nothing is published: the hooks on modules and parameters are off."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.observer.pause, paused)

    def tag(self, name, results_only=False):
        """A scope in which runs of the model are published under this tag, in any mode, and begin no step:

            model.eval()
            with exporter.tag("testing"):
                loss_function(model(x), y)

        results_only: only network_output, input_labels and loss."""
        return _Tagged(self.publisher, self.publisher.tag_number(name), results_only)

    @contextlib.contextmanager
    def evaluation(self, name="testing", results_only=False):
        """A scope for an evaluation that leaves the training as it was: runs of the models are published under this
        tag; the models are in evaluation mode, without gradients and autocast, and not compiled. Afterwards every
        module has its mode and its buffers again, and the random generators of torch, Python and NumPy their states:

            with exporter.evaluation("testing", results_only=True):
                for x, y in test_loader:
                    loss_function(model(x), y)
        """
        with self.tag(name, results_only), probes.untouched(self.observer.evaluated()):
            yield

    def probe(self, name, inputs, labels=None, *, every, results_only=False):
        """Has the model run in such an evaluation as every n-th step begins, from the first on:

            exporter.probe("svcca_testing", x_test[:500], every=100)
            exporter.probe("testing", x_test, y_test, every=500, results_only=True)
            exporter.probe("testing", lambda: evaluate(model, test_loader), every=500)

        inputs: a tensor, a tuple of what the model takes, or a function that does it all. labels: with them the loss
        function that set_loss() was given runs as well. The parameters and buffers are those that the step's weights,
        biases and buffers tell. Steps in which nothing of it is recorded are left out; what it raises is told once.
        Raises Error for a wrong tag or number."""
        tag = self.publisher.tag_number(name)
        if tag == 0:
            raise native.Error(f'"{name}" cannot be the tag of probes', native.Status.INVALID)
        if every < 1:
            raise native.Error(f"probes every {every} steps: expected 1 or more", native.Status.INVALID)
        run = inputs if callable(inputs) and not isinstance(inputs, torch.Tensor) else functools.partial(
            self._run, inputs if isinstance(inputs, tuple) else (inputs,), labels)
        self.observer.add_probe(probes.Probe(tag, every, run, results_only))

    def _run(self, inputs, labels):
        output = self.observer.first_model()(*inputs)
        if labels is None:
            return
        if self.observer.loss_function is not None:
            self.observer.loss_function(output, labels)
        else:
            with self.publisher.lock:
                self.observer.labelled(output if isinstance(output, torch.Tensor) else None, labels)

    # ---- messages of one's own ----

    def register(self, kind, scope="module", form="tensor"):
        """Registers a topic. scope: "network" or "module"; form: "event", "tensor", "scalar" (one float64) or
        "histogram" (float64, [bins, 3]: low edge, high edge, count). Raises Error."""
        if scope not in _SCOPES or form not in _FORMS:
            raise native.Error(f"scopes: {', '.join(_SCOPES)}; forms: {', '.join(_FORMS)}")
        native.number(native.library.nauha_names_add_kind, self.publisher.names, kind.encode(), _SCOPES[scope],
                      _FORMS[form])

    def publish(self, kind, value=None, module=None, slot="", call=0):
        """Publishes a message of a registered kind in the step that is open. value: a tensor, array or number;
        None for events. module: a module that was added, or its name, for kinds of module scope."""
        names = self.publisher.names
        number = native.library.nauha_names_find_kind(names, kind.encode())
        if number == NONE:
            raise native.Error(f'no topic "{kind}": register it first', native.Status.UNKNOWN)
        form = native.library.nauha_names_kind_form(names, number)
        if value is not None:
            dtype = torch.float64 if form >= _FORMS["scalar"] else None
            value = torch.as_tensor(value, dtype=dtype)
        if (value is None) != (form == _FORMS["event"]):
            raise native.Error(f'"{kind}" is {"an event" if form == _FORMS["event"] else "no event"}')
        if (module is None) != (native.library.nauha_names_kind_scope(names, number) == _SCOPES["network"]):
            raise native.Error(f'"{kind}" is of {"module" if module is None else "network"} scope')
        with self.publisher.lock:
            if self.publisher.active:
                where = NONE if module is None else self.observer.module_number(module)
                place = number, where, self.publisher.slot(slot), call, self.publisher.tag
                self.observer.guarded(self.publisher.publish, *place, value)

    # ---- ending ----

    def stats(self):
        """What has become of the messages so far: messages and bytes_published of what was taken in and not lost,
        bytes_stored in the file as of the last flush, messages_lost, bytes_lost, blocked_ns."""
        with self.publisher.lock:
            return self.observer.guarded(self.publisher.stats) or {} if self.observer.is_open else {}

    def flush(self):
        """Waits until everything published so far is on file. What keeps it from being is told, not raised."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.publisher.flush)

    def detach(self):
        """Takes all hooks off the models; what was recorded stays, close() still ends it."""
        self.observer.guarded(self.observer.detach)

    def close(self):
        """Ends the open step and the recording, takes off the hooks; False where the trace is incomplete."""
        return self._close(crashed=False)

    def _close(self, crashed):
        """crashed: by an exception. A first step that ends so does not take an older trace's place."""
        with self.publisher.lock:
            if not self.observer.is_open:
                return True
            observer = self.observer
            if self.publisher.settled or not crashed:
                observer.guarded(observer.end_step)
            observer.is_open = False
            observer.guarded(observer.detach)
            observer.guarded(self.publisher.finish)
            observer.guarded(self._tell_waits)
            if self._pipeline is not None:
                observer.guarded(self._finish_metrics)
            return bool(observer.guarded(self.publisher.close))

    def _tell_waits(self):
        if self.publisher.recorder is None:
            return
        waited, lasted = self.publisher.stats()["blocked_ns"] * 1e-9, time.monotonic() - self._began
        advice = self._crowd and self._crowd.advice()
        if advice:
            self.publisher.tell(advice)
        elif waited >= max(WAITED_SECONDS, WAITED_PART * lasted):
            sleeps = "; so would OMP_WAIT_POLICY=passive where it trains on processors" if turns(os.environ) else ""
            self.publisher.tell(f"the training waited {waited:.0f} of {lasted:.0f} s for the recorder: fewer kinds or "
                                f"steps would cost less{sleeps}")

    def _finish_metrics(self):
        pipeline, self._pipeline = self._pipeline, None
        try:
            self.series = pipeline.finish()
        finally:
            pipeline.free()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self._close(crashed=kind is not None)

    def _close_at_exit(self):
        """At the end of the process, also of a process that multiprocessing forked."""
        weak = weakref.ref(self)
        mine = os.getpid()

        def close():
            exporter = weak()
            if exporter is not None and os.getpid() == mine:
                exporter._close(crashed=getattr(sys, "last_value", None) is not None)

        atexit.register(close)
        multiprocessing.util.Finalize(None, close, exitpriority=100)


class _Tagged:
    """See Exporter.tag()."""

    def __init__(self, publisher, tag, results_only):
        self._publisher = publisher
        self._here = (tag, results_only)

    def __enter__(self):
        publisher = self._publisher
        with publisher.lock:
            self._before = publisher.tag, publisher.results_only
            publisher.tag, publisher.results_only = self._here

    def __exit__(self, kind, value, traceback):
        publisher = self._publisher
        with publisher.lock:
            publisher.tag, publisher.results_only = self._before
