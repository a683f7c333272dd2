# SPDX-License-Identifier: MIT
"""Metrics in Python, which receive messages as metrics in C do: during a training or at replay.

    class Sparsity(nauha.Subscriber):
        def compute(self, message):
            return (message.tensor == 0).mean()

    tables = nauha.replay("run.h5", [Sparsity("activations"), "norm:weights"])
    pandas.DataFrame(tables["activations_sparsity"])

or from the command line: nauha replay run.h5 --metric sparsity.py:Sparsity:activations
"""
import ctypes
import errno
import importlib.util
import inspect
import math
import os
import pathlib
import re
import sys
import warnings
from ctypes import c_char_p, c_double, c_uint32, c_uint64

import numpy as np

from nauha import native
from nauha.native import Error, Status, library
from nauha.pipeline import (ABI, COMPUTE, CREATE, DESTROY, FINISH, FORMS, INTEGER, LOST, REAL, SCOPES, STEP_FINISHED,
                            SYNCHRONIZED, TEXT, Analyzer, ParameterRow, Pipeline, Plot, sort_runs)
from nauha.trace import STAMPS, Message, make_selector


class Bundle:
    """Messages of one step and module, one of each kind, in the order of the kinds: bundle[0], bundle["weights"], or by
    iteration. bundle.weights is their data, see Message.data. The stamps (global_step, module, ...) are those of the first
    message."""

    def __init__(self, messages):
        self.messages = messages

    def __getitem__(self, key):
        if isinstance(key, str):
            for message in self.messages:
                if message.kind == key:
                    return message
            raise KeyError(key)
        return self.messages[key]

    def __iter__(self):
        return iter(self.messages)

    def __len__(self):
        return len(self.messages)

    @property
    def kinds(self):
        """The kinds of the messages, in the order in which they were named."""
        return tuple(message.kind for message in self.messages)

    @property
    def data(self):
        """The data of each kind, see Message.data."""
        return {message.kind: message.data for message in self.messages}

    def complete(self):
        """Whether there is a message of each kind: always, since a subscriber gets a bundle when it is complete."""
        return True

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        for message in self.messages:
            if message.kind == name:
                return message.data
        return getattr(self.messages[0], name)

    def __dir__(self):
        return [*super().__dir__(), *STAMPS, *self.kinds]

    def __repr__(self):
        return f"<bundle of {', '.join(map(repr, self.messages))}>"


class Subscriber:
    """The base class of metrics in Python. Override compute(). A number that it returns is published on the topic
    `topic`, or by default on KIND_NAME, where NAME is the name of the class in lower case with underscores (and the
    kinds of a bundle are joined with underscores).

    kinds: one kind or several. tag: takes only messages with this tag; None or "*": with any. subsample: takes only every n-th message of each
    module and kind. every: takes only steps whose number is a multiple of n. synchronized: all kinds of one module and
    step come as one Bundle; this is the default if there are several kinds. ylims: (low, high), the limits of plots.
    log: a logarithmic axis. title, ylabel: texts of plots.

    On the command line, further keyword arguments of the constructor of a subclass are keys of the SPEC. Their types
    (int, float, bool or text) follow from their defaults or annotations.
    """

    def __init__(self, kinds, tag="default", subsample=1, synchronized=None, ylims=None, log=None, topic=None,
                 title=None, ylabel=None, every=1):
        self.kinds = kinds.split(",") if isinstance(kinds, str) else list(kinds)
        self.tag = "*" if tag is None else tag
        self.subsample = subsample
        self.every = every
        self.synchronized = len(self.kinds) > 1 if synchronized is None else synchronized
        self.ylims = ylims
        self.log = log
        self._title, self._ylabel = title, ylabel
        self._topics = {}  # name -> (scope, form, title, ylabel)
        self._default = topic
        self._host = None
        self._numbers = {}

    # ---- to override ----

    def compute(self, message):
        """Receives one message, or one Bundle. A number that it returns is published."""
        raise NotImplementedError(f"{type(self).__name__} has no compute(): define it")

    def step_finished(self, global_step):
        """Called after the last message of a step."""

    def lost(self, kind, messages, size):
        """Called before finish(), once for each kind of which messages were not recorded, with their number and bytes
        over all tags and modules."""

    def finish(self):
        """Called at the end of the run."""

    # ---- to use ----

    def add_topic(self, name, scope="module", form="scalar", title=None, ylabel=None):
        """Adds a topic that this subscriber publishes in addition to its default topic, or in place of it. Call it in the
        constructor. form: "scalar" or "histogram"."""
        if scope not in SCOPES or form not in ("scalar", "histogram"):
            raise Error(f'cannot add topic "{name}": its scope must be "network" or "module", its form "scalar" or "histogram"')
        self._topics[name] = (scope, form, title, ylabel)

    def publish(self, value, stamps, topic=None):
        """Publishes a number on a topic with the stamps (step, module, ...) of a message or bundle."""
        self._call(self._host.contents.publish_scalar, self._number(topic, stamps), stamps, float(value))

    def publish_histogram(self, edges, counts, stamps, topic=None):
        """Publishes a histogram. edges: n + 1 ascending numbers; counts: n whole numbers."""
        edges, counts = np.ascontiguousarray(edges, np.float64), np.ascontiguousarray(counts, np.uint64)
        if edges.ndim != 1 or counts.shape != (len(edges) - 1,):
            raise Error("publish_histogram() needs one more edge than counts")
        self._call(self._host.contents.publish_histogram, self._number(topic, stamps), stamps,
                   edges.ctypes.data_as(ctypes.POINTER(c_double)), counts.ctypes.data_as(ctypes.POINTER(c_uint64)),
                   len(counts))

    # ---- called by the pipeline ----

    def make_analyzer(self, position):
        """Returns an analyzer that creates this subscriber; its `spec` is the SPEC that names it."""
        name = f"{type(self).__name__}.{position}"
        analyzer = _Analyzer(name, lambda kinds, values: self, self.kinds, self.synchronized, [], type(self).__name__)
        analyzer.spec = f"{name}:tag={self.tag}:subsample={self.subsample}:every={self.every}"
        return analyzer

    def _call(self, function, number, stamps, *values):
        info = (stamps[0] if isinstance(stamps, Bundle) else stamps).info
        native.call(function, self._host, number, ctypes.byref(info), *values)

    def _number(self, topic, stamps):
        if topic is None:
            topic = self._default_topic(stamps.kind)
        if topic not in self._numbers:
            raise Error(f'{type(self).__name__} publishes no topic "{topic}": call add_topic() in the constructor',
                        Status.UNKNOWN)
        return self._numbers[topic]

    def _default_topic(self, kind):
        if self._default is not None:
            return self._default
        if len(self._topics) == 1:
            return next(iter(self._topics))
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(self).__name__).lower()
        return f"{'_'.join(self.kinds) if self.synchronized else kind}_{name}"

    def _register(self, host):
        self._host = host
        self._numbers = {}
        topics = dict(self._topics)
        if not topics:
            for kind in self.kinds[:1] if self.synchronized else self.kinds:
                topics.setdefault(self._default_topic(kind), ("module", "scalar", self._title, self._ylabel))
        for name, (scope, form, title, ylabel) in topics.items():
            low, high = self.ylims or (math.nan, math.nan)
            title = title or name.replace("_", " ")
            plot = Plot(None, title.encode(), b"step", (ylabel or "value").encode(), low, high, bool(self.log))
            number = c_uint32()
            native.call(host.contents.register_topic, host, name.encode(), SCOPES.index(scope), FORMS.index(form),
                        ctypes.byref(plot), ctypes.byref(number))
            self._numbers[name] = number.value


class _Callback(Subscriber):
    """See callback()."""

    def __init__(self, function, kinds, **options):
        super().__init__(kinds, **options)
        self.function = function

    def compute(self, message):
        self.function(message)

    def _register(self, host):
        self._host = host  # it publishes nothing


def callback(function, kinds, tag="default", subsample=1, every=1, synchronized=None):
    """A subscriber that calls function(message) for each message, or function(bundle) if there are several kinds. Its
    result is ignored. For replay(), which an exception ends, and for Exporter.subscribe(), where an exception ends only
    the calls."""
    return _Callback(function, kinds, tag=tag, subsample=subsample, every=every, synchronized=synchronized)


class _Analyzer:
    """An analyzer's descriptor for the C library, and the subscribers that were created through it."""

    def __init__(self, name, make, kinds, synchronized, parameters, summary):
        """make(kinds, values) returns a Subscriber. kinds: those of the metric; None: those that the SPEC names."""
        self.name = name
        self.names = None  # the names object of the pipeline, which messages refer to
        self.live = None  # see live.py; None at replay
        self.raised = None
        self._make = make
        self._parameters = parameters
        self._made = {}  # number -> Subscriber
        self._fixed = (c_char_p * (len(kinds) + 1))(*(kind.encode() for kind in kinds), None) if kinds else None
        rows = [ParameterRow(key.encode(), kind, None if fallback is None else fallback.encode(), -math.inf, math.inf,
                             b"a parameter of the class") for key, kind, fallback in parameters]
        self._rows = (ParameterRow * max(len(rows), 1))(*rows)
        self.descriptor = Analyzer(
            ABI, ctypes.sizeof(Analyzer), name.encode(), summary.encode(), b"in Python",
            SYNCHRONIZED if synchronized else 0, 0 if kinds else 1, 0 if kinds else 64, self._fixed, self._rows, len(rows),
            CREATE(self._create), COMPUTE(self._compute), STEP_FINISHED(self._step_finished), FINISH(self._finish),
            DESTROY(self._destroy), LOST(self._lost))

    def _guard(self, error, function, *arguments):
        try:
            function(*arguments)
            return 0
        except Exception as failure:
            self.raised = failure  # the last one, because earlier ones did not end the run
            return native.fill_error(error, failure)

    def _create(self, host, config, out, error):
        def create():
            given = config.contents
            values = {}
            for i, (key, kind, _) in enumerate(self._parameters):
                value = given.values[i]
                values[key] = {INTEGER: value.integer, REAL: value.real}[kind] if kind != TEXT else value.text.decode()
            subscriber = self._make([given.kinds[i].decode() for i in range(given.kind_count)], values)
            subscriber._register(host)
            number = len(self._made) + 1
            self._made[number] = subscriber
            out[0] = number

        return self._guard(error, create)

    def _compute(self, number, bundle, error):
        def compute():
            subscriber = self._made[number]
            messages = [Message(library.nauha_bundle_message(bundle, i), self.names, live=self.live)
                        for i in range(library.nauha_bundle_count(bundle))]
            given = Bundle(messages) if subscriber.synchronized else messages[0]
            try:
                value = subscriber.compute(given)
            finally:
                for message in messages:
                    message.passed()
            if value is not None:
                subscriber.publish(value, given)

        return self._guard(error, compute)

    def _step_finished(self, number, global_step, error):
        return self._guard(error, lambda: self._made[number].step_finished(global_step))

    def _lost(self, number, kind, messages, size, error):
        return self._guard(error, lambda: self._made[number].lost(kind.decode(), messages, size))

    def _finish(self, number, error):
        return self._guard(error, lambda: self._made[number].finish())

    def _destroy(self, number):
        self._made.pop(number, None)


def _parameters_of(cls):
    """The keys that a SPEC may set for a class: (key, type, default as text)."""
    known = set(inspect.signature(Subscriber.__init__).parameters)
    rows = []
    for name, parameter in inspect.signature(cls.__init__).parameters.items():
        if name in known or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        default = parameter.default
        kind = type(default) if default is not parameter.empty and default is not None else parameter.annotation
        rows.append((name, {int: INTEGER, bool: INTEGER, float: REAL}.get(kind, TEXT),
                     None if default is parameter.empty else "" if default is None else str(int(default) if isinstance(
                         default, bool) else default)))
    return rows


def load_file(path):
    """Runs a Python file of the user's, which may import from its own folder, and returns its module. Raises Error."""
    path = pathlib.Path(path).resolve()
    if not path.exists():
        raise native.error_of(f'cannot open "{path}": No such file or directory', Status.IO, errno.ENOENT)
    sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def load_class(path, name):
    """Loads a file and returns the Subscriber class of this name in it; for a function, a class that calls it. Raises Error."""
    module = load_file(path)
    cls = getattr(module, name, None)
    if inspect.isfunction(cls):
        return _class_calling(cls)
    if not (isinstance(cls, type) and issubclass(cls, Subscriber)):
        there = sorted(key for key, value in vars(module).items()
                       if isinstance(value, type) and issubclass(value, Subscriber) and value is not Subscriber)
        raise Error(f'"{pathlib.Path(path).resolve().name}" has no subscriber "{name}"; subscribers: {", ".join(there) or "none"}',
                    Status.UNKNOWN)
    return cls


def _class_calling(function):
    class Calling(_Callback):
        def __init__(self, kinds, **options):
            super().__init__(function, kinds, **options)

    Calling.__doc__ = function.__doc__
    return Calling


def analyzer_of_spec(spec):
    """The analyzer for the SPEC "FILE.py:CLASS:KINDS...", which is called CLASS. The SPEC sets its kinds and keys."""
    path, rest = spec.split(".py:", 1)
    name, *words = rest.split(":")
    cls = load_class(path + ".py", name)
    kinds = words[0].split(",") if words and "=" not in words[0] else []
    takes = inspect.signature(cls.__init__).parameters
    default = takes["synchronized"].default if "synchronized" in takes else None
    synchronized = len(kinds) > 1 if default in (None, inspect.Parameter.empty) else bool(default)
    parameters = _parameters_of(cls)

    def make(kinds, values):
        subscriber = cls(kinds, **values)
        subscriber.synchronized = synchronized
        return subscriber

    summary = (inspect.getdoc(cls) or name).splitlines()[0].rstrip(".")
    return _Analyzer(name, make, None, synchronized, parameters, summary)


def _warn(report):
    """Warns of what a model did not make again, or not to the bit."""
    from nauha.proof import lines
    if report["close"] or report["not_run"]:
        warnings.warn("\n".join(lines(report)), stacklevel=3)


def replay(traces, metrics, output=None, sinks=None, strict=False, progress=None, jobs=None, resume=False, model=None,
           tolerance=1e-3, **selection):
    """Feeds traces through metrics, as `nauha replay` does.

    traces: one path or several, of the ranks of one training or of several trainings; a directory stands for the traces
    in it. metrics: one SPEC or Subscriber, or several. output: a directory for the files that `sinks` write (the names
    are in `nauha help replay`; ["csv", "gnuplot"] by default). progress(done, total) is called about twenty times a
    second. jobs: the number of threads that compute metrics of the library, by default one for each processor;
    Subscribers are called in the calling thread, and the result does not depend on the number. resume: the traces are of
    one training that was interrupted and resumed; steps that it repeated are those of the later trace. model: runs steps
    again, so that metrics see what the one trace does not have in full: a torch.nn.Module, several in a dict, tuple or list, or
    a function that returns one. A message that is not as it was recorded, by more than `tolerance` of the largest element, raises
    Error; see verify(). selection: the keyword arguments of Trace.messages().

    Returns {name: Series} with everything that the metrics published. Several trainings are replayed one after another,
    and each Series has a column `run` with their names; metrics of the library start again for each training, and
    finish() of a Subscriber is called at the end of each. A metric of the library that fails is named in a warning: its
    Series ends there, and all others are complete. Damaged messages and incomplete bundles are left out with a warning.
    With `strict` all these raise Error. What a metric remarks, such as that labels have no accuracy, is a warning, too.
    Raises Error, and exceptions of Subscribers, which end the replay.
    """
    paths = [traces] if isinstance(traces, (str, bytes, os.PathLike)) else list(traces)
    metrics = [metrics] if isinstance(metrics, (str, bytes, Subscriber)) else list(metrics)
    sinks = [sinks] if isinstance(sinks, str) else sinks
    jobs = len(os.sched_getaffinity(0)) if jobs is None else jobs
    if not isinstance(jobs, int) or jobs < 1:
        raise Error(f"jobs is {jobs!r}: it must be an integer of 1 or more")
    if not paths or not metrics:
        raise Error("replay() needs at least one trace and one metric")
    runs, pipelines = sort_runs(paths, resume), []
    if model is not None and [len(ranks) for _, ranks in runs] != [1]:
        raise Error("with a model, replay() takes the trace of one process")
    selector = make_selector(selection)
    try:
        for name, ranks in runs:
            pipeline = Pipeline(native.Names(), name if len(runs) > 1 else None, pipelines[-1] if pipelines else None)
            pipelines.append(pipeline)
            pipeline.open(ranks, resume)
            if len(pipelines) > 1:
                pipelines[-2].finish_into(pipeline)
                pipelines[-2].close()
            for metric in metrics:
                pipeline.add(metric)
            for sink in (sinks or ["csv", "gnuplot"]) if output is not None and len(pipelines) == 1 else []:
                pipeline.add_sink(sink, output)
            pipeline.set_strict(strict)
            pipeline.on_failure(lambda text, pipeline=pipeline: not pipeline.is_of_subscriber(text))
            pipeline.set_workers(min(jobs, 2**32 - 1))
            pipeline.start()
            if model is None:
                pipeline.replay(selector, progress)
            else:
                _warn(pipeline.replay_made(ranks[0], model, selection, tolerance, progress))
        series = pipelines[-1].finish()
        remarks = [line for pipeline in pipelines for line in pipeline.remarks()]
        if remarks:
            warnings.warn("\n".join(remarks), stacklevel=2)
        return series
    finally:
        for pipeline in reversed(pipelines):
            pipeline.free()
        library.nauha_selector_free(selector)
