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

The exporter does not change the training: the same seed gives the same bits with and without it.
An error while the training runs is reported once and never raised.

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

from nauha import compat, flight, hooks, native, outside, probes, steps
from nauha.crowd import Crowd, turns
from nauha.live import Live
from nauha.native import NONE
from nauha.observer import Observer
from nauha.publisher import Publisher

_SCOPES = {"network": 0, "module": 1}
_FORMS = {"event": 0, "tensor": 1, "scalar": 2, "histogram": 3}
# A notice reports a training that waited for the recorder this many seconds, and this fraction of its time.
WAITED_SECONDS = 2
WAITED_PART = 0.1


def place_in_training():
    """(rank, world size) of this process, from torch.distributed, or else from the launcher's variables."""
    distributed = torch.distributed
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    try:
        return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    except ValueError:
        return 0, 1


def path_of_rank(path, rank, world_size):
    """run.h5 -> run.rank1.h5, if there is more than one rank."""
    path = pathlib.Path(path)
    return path if world_size == 1 else path.with_name(f"{path.stem}.rank{rank}{path.suffix}")


def _check_kinds(kinds):
    """Raises UnknownName for a misspelled built-in kind. Other kinds may be registered later; a kind that never is
    registered is reported when the first step begins."""
    for kind in kinds.split(","):
        meant = difflib.get_close_matches(kind, native.KINDS, 1, 0.8)
        if kind not in native.KINDS and meant and not kind.startswith(meant[0]):
            raise native.UnknownName(f'there is no kind "{kind}": did you mean "{meant[0]}"?')


def check_options(options):
    """Raises Error if these options of a recording do not exist, or have wrong values."""
    config = native.library.nauha_recorder_config_new()
    try:
        for key, value in option_texts(options).items():
            native.call(native.library.nauha_recorder_config_set, config, key.encode(), native.encoded(value))
    finally:
        native.library.nauha_recorder_config_free(config)


def option_texts(options):
    """Options of a recording, given as keyword arguments, as texts."""
    texts = {key.replace("_", "-"): native.option_text(value) for key, value in options.items()}
    _check_kinds(texts.get("kinds", ""))
    return texts


class Exporter:
    """Records the trainings of one process to one trace.

    path: the trace. An existing trace is kept as run.h5.old when the first step begins, unless `overwrite` is given;
        a file that is not a trace is not replaced. In a distributed training, the file name gets the number of the
        rank (run.rank0.h5), unless `rank` is given. None: nothing is stored, and messages reach only the metrics given
        to subscribe().
    step: what a step is. "auto": the step ends when every optimizer whose models ran in it has made a step, so that
        micro-batches and the rounds of a GAN are calls within it; without optimizers, as "forward". Optimizers are found,
        except with torch 1.x those that are made after the first step: give them to set_optimizer(). "forward": a forward
        pass of the model in training mode. "optimizer": as "auto", but only for the optimizers given to set_optimizer().
        "manual": step() ends the step.
    options: those of `nauha record`, with underscores: depth=2, codec="lz4", kinds=["weights", "loss"],
        steps=slice(0, None, 10), on_full="drop", overwrite=True, ...
    facts: a dict of texts that the trace keeps and `nauha info` shows.
    notice: a function that is called with each notice for the user, once; None: the logger "nauha", or stderr if
        logging is not configured.
    staging: "auto": tensors on a GPU are copied through a ring of pinned memory; "always": tensors on the CPU as
        well, which is useful only for tests.
    tentative: the trace gets its name when publisher.settle() is called; otherwise no trace is left.
    Raises Error if the file cannot be created or an option does not exist. For a misspelled kind, the error is also a
    ValueError.
    """

    def __init__(self, path=None, *, step="auto", facts=None, rank=None, world_size=None, notice=None,
                 staging="auto", tentative=False, **options):
        if step not in steps.MODES:
            raise native.Error(f'step "{step}" is unknown; steps: {", ".join(steps.MODES)}')
        here = place_in_training()
        by_place = rank is None
        rank = here[0] if rank is None else rank
        world_size = here[1] if world_size is None else world_size
        if path is not None and by_place:
            path = path_of_rank(path, rank, world_size)
        options = option_texts(options)
        facts = {"framework": f"torch {torch.__version__}", **outside.facts(options), **(facts or {})}
        self.publisher = Publisher(path, options, facts, rank, world_size, notice, tentative)
        if staging == "always":
            self.publisher.stage("cpu")
        self.observer = Observer(self.publisher, step)
        self._flight = flight.Flight(self.publisher, options.get("flight", 0), options.get("buffer", "256M"))
        self.publisher.after_edge = self._flight.look
        self._began = time.monotonic()
        self._crowd = self.observer.guarded(Crowd)
        self._pipeline = None
        self._told_rules = set()
        self.series = {}  # what live metrics published, by name; set by close()
        self._close_at_exit()

    # ---- what is recorded ----

    def set_model(self, model, name=""):
        """Names the model that is trained. Call it once for each model, with a name for each further one; the names
        of the modules begin with it. If you compile the model later, call it again with the compiled model. Returns
        the model."""
        self.observer.add_model(model, name)
        return model

    def add_modules(self, module, depth=None, name=None):
        """Records this module and `depth` levels of the modules in it (0: only this module; negative or None: as the
        option "depth" says, all by default). name: the name of a module outside of the model; by default its class.
        Returns the module."""
        self.observer.add_modules(module, self.publisher.depth if depth is None or depth < 0 else depth, name)
        return module

    def __call__(self, module):
        """Records one module and returns it: Sequential(exporter(Conv2d(3, 64, 5)), ReLU())."""
        return self.add_modules(module, 0)

    def set_loss(self, function):
        """Names the loss function, so that network_output, input_labels and loss are recorded: a module or a function
        of (output, labels). Returns the function to call in its place."""
        if isinstance(function, torch.nn.Module):
            self.observer.placed.on_module(function, after=hooks.LossRan(self.observer))
            self.observer.loss_function = function
            return function
        ran = hooks.LossRan(self.observer)

        @functools.wraps(function)
        def observed(*args, **kwargs):
            loss = function(*args, **kwargs)
            if not compat.is_traced():
                ran(None, args + tuple(kwargs.values()), loss)
            return loss

        self.observer.loss_function = observed
        return observed

    def set_optimizer(self, *optimizers):
        """Names the optimizers that end a step. Returns what it was given."""
        for optimizer in optimizers:
            self.observer.watch_optimizer(optimizer)
        return optimizers[0] if len(optimizers) == 1 else optimizers

    def subscribe(self, *metrics, output=None, sinks=None, rules=(), stop_on=()):
        """Computes metrics while the training runs: SPECs as on the command line, and nauha.Subscriber objects. The
        values are those that a replay of the trace gives. Call it once, before the first step. output: a directory for
        the files that `sinks` (["csv"] by default) write. After close(), `series` has what the metrics published. A metric
        that fails is named in a notice and ends there; the training and all other metrics go on.

        rules: SPECs of health rules, whose findings are reported as notices. stop_on: names of rules; when one of
        them finds something, the next step raises nauha.Stopped, which ends the program with exit code 1. Raises
        Error."""
        from nauha.pipeline import Pipeline
        with self.publisher.lock:
            if self._pipeline is not None or self.publisher.serial:
                raise native.Error("subscribe() can be called only once, before the first step", native.Status.STATE)
            pipeline = Pipeline(self.publisher.names)
            try:
                live = Live(self.observer.registry)
                for metric in metrics:
                    pipeline.add(metric, live)
                self._add_rules(pipeline, list(rules), list(stop_on))
                pipeline.on_failure(functools.partial(_tell_failure, weakref.ref(self.publisher)))
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
        """Reports a finding. Any thread that delivers messages may call this, so Stopped is raised later, by the next step."""
        rule = finding.rule.decode()
        if rule not in self._told_rules:
            self._told_rules.add(rule)
            place = "the network" if finding.module is None else f'module "{finding.module.decode()}"'
            self.publisher.tell(f"{rule} at step {finding.first_step}: {finding.measure.decode()} = {finding.value:.4g}, threshold "
                                f"{finding.threshold:.4g}, {finding.kind.decode()} of {place}: {finding.meaning.decode()}")
            self.observer.guarded(self._flight.found, f"rule {rule}: {finding.measure.decode()} = {finding.value:.4g} in {place}")
        if rule in stop_on and self.observer.stop is None:
            self.observer.stop = rule

    def freeze_module(self, module):
        """Stops training the parameters of a module."""
        for parameter in module.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None  # otherwise optimizers would go on with the last gradient

    # ---- how the training goes ----

    def step(self):
        """Ends the open step: publishes its weights, biases and updates."""
        with self.publisher.lock:
            self.observer.guarded(self.observer.end_step)

    def epoch_finished(self):
        """Ends the epoch, and the open step. Call it after each pass through the training set."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.observer.epoch_finished)

    def train(self, mode=True):
        """Puts the models in training mode."""
        for weak, _ in self.observer.registry.roots:
            model = weak()
            if model is not None:
                model.train(mode)

    def test(self):
        """Puts the models in evaluation mode: nothing is recorded unless a tag is set."""
        self.train(False)

    def pause(self, paused=True):
        """Pauses the recording, or resumes it (paused=False). While it is paused, steps are counted and nothing is
        recorded: the hooks on modules and parameters are inactive."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.observer.pause, paused)

    def tag(self, name, results_only=False):
        """A scope in which runs of the model are recorded under this tag, in any mode, and begin no step:

            model.eval()
            with exporter.tag("testing"):
                loss_function(model(x), y)

        results_only: records only network_output, input_labels and loss."""
        return _Tagged(self.publisher, self.publisher.tag_number(name), results_only)

    @contextlib.contextmanager
    def evaluation(self, name="testing", results_only=False):
        """A scope for an evaluation that does not change the training. Runs of the models are recorded under this
        tag; the models are in evaluation mode, without gradients and autocast, and not compiled. Afterwards, the modes
        and buffers of all modules and the states of the random generators of torch, Python and NumPy are restored:

            with exporter.evaluation("testing", results_only=True):
                for x, y in test_loader:
                    loss_function(model(x), y)
        """
        with self.tag(name, results_only), probes.untouched(self.observer.evaluated()):
            yield

    def probe(self, name, inputs, labels=None, *, every, results_only=False):
        """Runs the model in such an evaluation at the beginning of every n-th step, from the first step on:

            exporter.probe("svcca_testing", x_test[:500], every=100)
            exporter.probe("testing", x_test, y_test, every=500, results_only=True)
            exporter.probe("testing", lambda: evaluate(model, test_loader), every=500)

        inputs: a tensor, a tuple of the arguments of the model, or a function that runs the whole evaluation. labels:
        if given, the loss function that was given to set_loss() runs as well. The parameters and buffers are those
        that are recorded for the step. The evaluation is skipped in steps in which nothing of it would be recorded; an
        exception in it is reported once. Raises Error for a wrong tag or number."""
        tag = self.publisher.tag_number(name)
        if tag == 0:
            raise native.Error(f'"{name}" cannot be the tag of probes, as it is that of the training: choose another one',
                               native.Status.INVALID)
        if every < 1:
            raise native.Error(f"every is {every}: it must be 1 or more", native.Status.INVALID)
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

    # ---- messages of the program's own kinds ----

    def register(self, kind, scope="module", form="tensor"):
        """Registers a topic. scope: "network" or "module". form: "event", "tensor", "scalar" (one float64) or
        "histogram" (float64 of shape [bins, 3]: low edge, high edge, count). Raises Error."""
        if scope not in _SCOPES or form not in _FORMS:
            raise native.Error(f'cannot register "{kind}" with scope "{scope}" and form "{form}"; '
                               f"scopes: {', '.join(_SCOPES)}; forms: {', '.join(_FORMS)}")
        native.number(native.library.nauha_names_add_kind, self.publisher.names, kind.encode(), _SCOPES[scope],
                      _FORMS[form])

    def publish(self, kind, value=None, module=None, slot="", call=0):
        """Records a message of a registered kind in the open step. value: a tensor, array or number; None for events.
        module: a module that was added, or its name, for kinds of module scope. Raises Error."""
        names = self.publisher.names
        number = native.library.nauha_names_find_kind(names, kind.encode())
        if number == NONE:
            raise native.Error(f'there is no topic "{kind}": register it first', native.Status.UNKNOWN)
        form = native.library.nauha_names_kind_form(names, number)
        if value is not None:
            dtype = torch.float64 if form >= _FORMS["scalar"] else None
            value = torch.as_tensor(value, dtype=dtype)
        if (value is None) != (form == _FORMS["event"]):
            raise native.Error(f'kind "{kind}" {"does not take" if form == _FORMS["event"] else "needs"} a value')
        if (module is None) != (native.library.nauha_names_kind_scope(names, number) == _SCOPES["network"]):
            raise native.Error(f'kind "{kind}" {"needs" if module is None else "does not belong to"} a module')
        with self.publisher.lock:
            if self.publisher.active:
                where = NONE if module is None else self.observer.module_number(module)
                place = number, where, self.publisher.slot(slot), call, self.publisher.tag
                self.observer.guarded(self.publisher.publish, *place, value)

    # ---- ending ----

    def stats(self):
        """Counts so far, as a dict: messages and bytes_published (accepted and not lost), bytes_stored (in the file
        since the last flush), messages_lost, bytes_lost, blocked_ns (time that the training waited)."""
        with self.publisher.lock:
            return self.observer.guarded(self.publisher.stats) or {} if self.observer.is_open else {}

    def dump(self, reason):
        """Writes the steps in full that the option "flight" holds in memory, and those that follow. reason: a text for the
        trace. The recorder does so by itself when a loss is not finite, a rule finds something, an exception ends the
        program, or SIGUSR1 arrives. Raises Error without that option."""
        self._flight.dump(reason)

    def flush(self):
        """Waits until everything published so far is in the file. An error is reported, not raised."""
        with self.publisher.lock:
            if self.observer.is_open:
                self.observer.guarded(self.publisher.flush)

    def detach(self):
        """Removes all hooks from the models. What was recorded is kept, and close() still ends the recording."""
        self.observer.guarded(self.observer.detach)

    def close(self):
        """Ends the open step and the recording, and removes the hooks. Returns False if the trace is incomplete."""
        return self._close(None)

    def _close(self, error, ended=None):
        """error: the exception that ends the program, or None. If it does so in the first step, an older trace keeps its
        name. ended: the exception with which the training ended, where that is not known to end the program."""
        with self.publisher.lock:
            if not self.observer.is_open:
                return True
            observer = self.observer
            observer.guarded(self._flight.ended, error or ended or flight.of_caller())
            if self.publisher.settled or error is None:
                observer.guarded(observer.before_close)
                observer.guarded(observer.end_step)
            observer.is_open = False
            observer.guarded(observer.detach)
            observer.guarded(self.publisher.finish)
            observer.guarded(self._tell_waits)
            observer.guarded(self._tell_lack)
            observer.guarded(self._flight.look)
            observer.guarded(self._flight.close)
            if self._pipeline is not None:
                observer.guarded(self._finish_metrics)
            return bool(observer.guarded(self.publisher.close))

    def _tell_lack(self):
        if self.publisher.serial and self.observer.steps.lacks_optimizer():
            self.publisher.tell('with step="optimizer" the whole training was one step, because no optimizer was named: call '
                                'set_optimizer(), or leave step="auto", which finds optimizers by itself')

    def _tell_waits(self):
        if self.publisher.recorder is None:
            return
        waited, lasted = self.publisher.stats()["blocked_ns"] * 1e-9, time.monotonic() - self._began
        advice = self._crowd and self._crowd.advice()
        if advice:
            self.publisher.tell(advice)
        elif waited >= max(WAITED_SECONDS, WAITED_PART * lasted):
            sleeps = ", or set OMP_WAIT_POLICY=passive if it trains on CPUs" if turns(os.environ) else ""
            self.publisher.tell(f"the training waited {waited:.0f} of {lasted:.0f} s for the recorder: record fewer kinds or "
                                f"steps{sleeps}")

    def _finish_metrics(self):
        pipeline, self._pipeline = self._pipeline, None
        try:
            self.series = pipeline.finish()
            for remark in pipeline.remarks():
                self.publisher.tell(remark)
        finally:
            pipeline.free()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        self._close(value)

    def _close_at_exit(self):
        """Closes the recording at the end of the process, also of a process that multiprocessing forked."""
        weak = weakref.ref(self)
        mine = os.getpid()

        def close():
            exporter = weak()
            if exporter is not None and os.getpid() == mine:
                exporter._close(getattr(sys, "last_value", None), flight.of_process())

        atexit.register(close)
        multiprocessing.util.Finalize(None, close, exitpriority=100)


def _tell_failure(publisher, text):
    """publisher: a weak reference. Returns whether the other metrics go on."""
    if publisher() is not None:
        publisher().tell(text)
    return True


class _Tagged:
    """See Exporter.tag()."""

    def __init__(self, publisher, tag, results_only):
        self._publisher = publisher
        self._here = (tag, bool(results_only))

    def __enter__(self):
        publisher = self._publisher
        with publisher.lock:
            self._before = publisher.tag, publisher.results_only
            publisher.tag, publisher.results_only = self._here

    def __exit__(self, kind, value, traceback):
        publisher = self._publisher
        with publisher.lock:
            publisher.tag, publisher.results_only = self._before
