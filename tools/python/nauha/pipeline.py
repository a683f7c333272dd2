# SPDX-License-Identifier: MIT
"""The C pipeline in Python: metrics by SPEC or as subscribers written in Python, and what they publish as tables.

Threads: one at a time.
"""
import contextlib
import ctypes
import os
from ctypes import CFUNCTYPE, POINTER, Structure, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint32, \
    c_uint64, c_void_p

import numpy as np

from nauha import native
from nauha.native import ERROR, STATUS, Error, MessageInfo, library
from nauha.trace import Message, Series

ABI = 1  # NAUHA_ANALYZER_ABI
SCOPES = ("network", "module")
FORMS = ("event", "tensor", "scalar", "histogram")
INTEGER, REAL, RANGE, TEXT = range(4)  # enum nauha_parameter_type
SYNCHRONIZED = 1  # NAUHA_ANALYZER_SYNCHRONIZED
RULE = 4  # NAUHA_ANALYZER_RULE


class Plot(Structure):
    """struct nauha_plot"""

    _fields_ = [("series", c_char_p), ("title", c_char_p), ("xlabel", c_char_p), ("ylabel", c_char_p),
                ("y_low", c_double), ("y_high", c_double), ("log_y", c_bool)]


class Host(Structure):
    """struct nauha_host"""


REGISTER = CFUNCTYPE(STATUS, POINTER(Host), c_char_p, c_int, c_int, POINTER(Plot), POINTER(c_uint32), ERROR)
PUBLISH_SCALAR = CFUNCTYPE(STATUS, POINTER(Host), c_uint32, POINTER(MessageInfo), c_double, ERROR)
PUBLISH_HISTOGRAM = CFUNCTYPE(STATUS, POINTER(Host), c_uint32, POINTER(MessageInfo), POINTER(c_double),
                              POINTER(c_uint64), c_size_t, ERROR)
Host._fields_ = [("abi", c_uint32), ("size", c_uint32), ("context", c_void_p), ("register_topic", REGISTER),
                 ("publish_scalar", PUBLISH_SCALAR), ("publish_histogram", PUBLISH_HISTOGRAM)] + \
    [(name, c_void_p) for name in ("bundle_count", "bundle_message", "info", "tensor", "stats", "sum_powers", "to_f64",
                                   "fail", "for_each_piece", "sum_powers_of", "subscribe", "finding", "stats_of", "service",
                                   "remark", "hash")]


class ParameterRow(Structure):
    """struct nauha_analyzer_parameter"""

    _fields_ = [("key", c_char_p), ("type", c_int), ("fallback", c_char_p), ("low", c_double), ("high", c_double),
                ("help", c_char_p)]


class Value(ctypes.Union):
    """union nauha_value"""

    _fields_ = [("integer", c_int64), ("real", c_double), ("range", c_double * 2), ("text", c_char_p)]


class Config(Structure):
    """struct nauha_analyzer_config"""

    _fields_ = [("kinds", POINTER(c_char_p)), ("kind_count", c_size_t), ("values", POINTER(Value))]


CREATE = CFUNCTYPE(STATUS, POINTER(Host), POINTER(Config), POINTER(c_void_p), ERROR)
COMPUTE = CFUNCTYPE(STATUS, c_void_p, c_void_p, ERROR)
STEP_FINISHED = CFUNCTYPE(STATUS, c_void_p, c_uint64, ERROR)
FINISH = CFUNCTYPE(STATUS, c_void_p, ERROR)
DESTROY = CFUNCTYPE(None, c_void_p)
LOST = CFUNCTYPE(STATUS, c_void_p, c_char_p, c_uint64, c_uint64, ERROR)


class Analyzer(Structure):
    """struct nauha_analyzer"""

    _fields_ = [("abi", c_uint32), ("size", c_uint32), ("name", c_char_p), ("summary", c_char_p), ("formula", c_char_p),
                ("flags", c_uint32), ("min_kinds", c_uint32), ("max_kinds", c_uint32),
                ("default_kinds", POINTER(c_char_p)), ("parameters", POINTER(ParameterRow)),
                ("parameter_count", c_size_t), ("create", CREATE), ("compute", COMPUTE),
                ("step_finished", STEP_FINISHED), ("finish", FINISH), ("destroy", DESTROY),
                ("lost", LOST), ("cost", c_uint32)]


class Finding(Structure):
    """struct nauha_finding"""

    _fields_ = [("rule", c_char_p), ("spec", c_char_p), ("kind", c_char_p), ("tag", c_char_p), ("module", c_char_p),
                ("module_class", c_char_p), ("slot", c_char_p), ("rank", c_uint32), ("first_step", c_uint64),
                ("last_step", c_uint64), ("count", c_uint64), ("measure", c_char_p), ("value", c_double),
                ("worst", c_double), ("worst_step", c_uint64), ("threshold", c_double), ("meaning", c_char_p)]


FINDING_FN = CFUNCTYPE(None, c_void_p, POINTER(Finding))
FAILURE_FN = CFUNCTYPE(c_bool, c_void_p, c_char_p)
BUNDLE_FN = CFUNCTYPE(STATUS, c_void_p, c_void_p, ERROR)
PROGRESS_FN = CFUNCTYPE(None, c_void_p, c_uint64, c_uint64)
LINE_FN = CFUNCTYPE(None, c_void_p, c_char_p)
RUN_FN = CFUNCTYPE(None, c_void_p, c_size_t, c_char_p)

native.mirror(library, {
    "struct nauha_plot": Plot,
    "struct nauha_host": Host,
    "struct nauha_analyzer_parameter": ParameterRow,
    "union nauha_value": Value,
    "struct nauha_analyzer_config": Config,
    "struct nauha_analyzer": Analyzer,
    "struct nauha_finding": Finding,
})
native.declare(library, {
    "nauha_bundle_count": (c_size_t, [c_void_p]),
    "nauha_bundle_message": (c_void_p, [c_void_p, c_size_t]),
    "nauha_bus_set_strict": (None, [c_void_p, c_bool]),
    "nauha_bus_subscribe": (STATUS, [c_void_p, c_void_p, c_void_p, ERROR]),
    "nauha_bus_wants": (c_bool, [c_void_p, c_uint32]),
    "nauha_subscriber_from_function": (c_void_p, [c_char_p, BUNDLE_FN, c_void_p]),
    "nauha_subscriber_free": (None, [c_void_p]),
    "nauha_subscription_new": (c_void_p, [POINTER(c_char_p), c_size_t]),
    "nauha_subscription_set_tag": (STATUS, [c_void_p, c_char_p, ERROR]),
    "nauha_pipeline_new": (c_void_p, [c_void_p]),
    "nauha_pipeline_free": (None, [c_void_p]),
    "nauha_pipeline_bus": (c_void_p, [c_void_p]),
    "nauha_pipeline_add_analyzer": (STATUS, [c_void_p, POINTER(Analyzer), ERROR]),
    "nauha_pipeline_add_metric": (STATUS, [c_void_p, c_char_p, ERROR]),
    "nauha_pipeline_add_sink": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_pipeline_describe": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_pipeline_describe_trace": (STATUS, [c_void_p, c_void_p, ERROR]),
    "nauha_pipeline_set_workers": (None, [c_void_p, ctypes.c_uint32]),
    "nauha_pipeline_set_run": (STATUS, [c_void_p, c_char_p, ERROR]),
    "nauha_pipeline_finish_into": (STATUS, [c_void_p, c_void_p, ERROR]),
    "nauha_sort_runs": (STATUS, [POINTER(c_char_p), c_size_t, RUN_FN, c_void_p, ERROR]),
    "nauha_pipeline_start": (STATUS, [c_void_p, ERROR]),
    "nauha_pipeline_replay_ranks": (STATUS, [c_void_p, POINTER(c_void_p), c_size_t, c_void_p, PROGRESS_FN, c_void_p,
                                             ERROR]),
    "nauha_trace_join": (STATUS, [POINTER(c_void_p), c_size_t, ERROR]),
    "nauha_pipeline_finish": (STATUS, [c_void_p, ERROR]),
    "nauha_pipeline_remarks": (None, [c_void_p, LINE_FN, c_void_p]),
    "nauha_pipeline_report": (None, [c_void_p, LINE_FN, c_void_p]),
    "nauha_pipeline_on_finding": (None, [c_void_p, FINDING_FN, c_void_p]),
    "nauha_pipeline_on_failure": (None, [c_void_p, FAILURE_FN, c_void_p]),
    "nauha_pipeline_failures": (c_size_t, [c_void_p, LINE_FN, c_void_p]),
    "nauha_pipeline_analyzer": (POINTER(Analyzer), [c_void_p, c_size_t]),
    "nauha_pipeline_topics": (c_size_t, [c_void_p]),
    "nauha_pipeline_topic": (c_uint32, [c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p)]),
})


def sort_runs(paths, resume=False):
    """Sorts traces by training, as `nauha replay` does: [(name of the training, its paths)]. A directory stands for the
    traces in it. resume: all are of one training. Raises Error."""
    traces = []
    for path in map(os.fsencode, paths):
        if not os.path.isdir(path):
            traces.append(path)
            continue
        inside = sorted(name for name in os.listdir(path) if name.endswith(b".h5") and not name.startswith(b"."))
        if not inside:
            raise Error(f'directory "{os.fsdecode(path)}" contains no traces (*.h5)', native.Status.UNKNOWN)
        traces += [os.path.join(path, name) for name in inside]
    if resume:
        return [("", traces)]
    found = []
    native.call(library.nauha_sort_runs, (c_char_p * len(traces))(*traces), len(traces),
                RUN_FN(lambda context, run, name: found.append((run, name.decode("utf-8", "replace")))), None)
    runs = {}
    for path, (run, name) in zip(traces, found):
        runs.setdefault(run, (name, []))[1].append(path)
    return [runs[run] for run in sorted(runs)]


class Collector:
    """Collects what is published on one topic into a Series; the rows of several runs follow one another."""

    def __init__(self, form):
        self._histogram = form == "histogram"
        self._rows = []
        self._runs = []  # (name, number of rows at its end)
        self.callback = BUNDLE_FN(self._take)

    def _take(self, context, bundle, error):
        try:
            handle = library.nauha_bundle_message(bundle, 0)
            message, tensor = Message(handle), native.Tensor()
            native.call(library.nauha_message_tensor, handle, ctypes.byref(tensor))
            info = message.info
            key = (info.global_step, info.train_step, info.epoch, info.rank, message.tag, message.module or "",
                   message.slot, info.call)
            values = ctypes.cast(tensor.data, POINTER(c_double))
            if self._histogram:
                for i in range(tensor.shape[0]):
                    self._rows.append(key + tuple(values[3 * i:3 * i + 3]))
            else:
                self._rows.append(key + (values[0],))
            return 0
        except Exception as failure:
            return native.fill_error(error, failure)

    def end_run(self, name):
        self._runs.append((name, len(self._rows)))

    def series(self):
        names = ["global_step", "train_step", "epoch", "rank", "tag", "module", "slot", "call"]
        names += ["bin_low", "bin_high", "count"] if self._histogram else ["value"]
        types = [np.int64] * 4 + [object] * 3 + [np.int64] + [np.float64] * (len(names) - 8)
        if self._histogram:
            types[-1] = np.int64
        columns = list(zip(*self._rows)) or [()] * len(names)
        series = Series((name, np.array(column, dtype)) for name, column, dtype in zip(names, columns, types))
        if self._runs:
            ends = [end for _, end in self._runs]
            series["run"] = np.repeat(np.array([name for name, _ in self._runs], object), np.diff([0, *ends]))
        return series


class Pipeline:
    """A pipeline of the C library. names: the names object of its messages. run: the name of the training, if several are
    replayed. before: the pipeline of the training before this one, whose series this pipeline continues."""

    def __init__(self, names, run=None, before=None):
        self._names = names
        self._run = run
        self._before = before
        self.handle = library.nauha_pipeline_new(names)
        if run is not None:
            native.call(library.nauha_pipeline_set_run, self.handle, run.encode())
        self._traces = []  # open ones, handles
        self._analyzers = []  # kept alive
        self._subscribers = []
        self._collectors = {}

    def add(self, metric, live=None):
        """Adds a metric: a SPEC, or a Subscriber, whose messages get `live`."""
        if isinstance(metric, (str, bytes)):
            spec = metric
        else:
            if not hasattr(metric, "make_analyzer"):
                raise Error(f"a metric is a SPEC or a nauha.Subscriber, not {metric!r}")
            analyzer = metric.make_analyzer(len(self._analyzers))
            analyzer.names, analyzer.live = self._names, live
            self._analyzers.append(analyzer)
            native.call(library.nauha_pipeline_add_analyzer, self.handle, analyzer.descriptor)
            spec = analyzer.spec
        native.call(library.nauha_pipeline_add_metric, self.handle, os.fsencode(spec))

    def add_sink(self, name, directory):
        native.call(library.nauha_pipeline_add_sink, self.handle, name.encode(), os.fsencode(directory))

    def describe(self, facts):
        """Passes facts about the training, a dict of texts, to the sinks that show them."""
        for key, value in facts.items():
            native.call(library.nauha_pipeline_describe, self.handle, key.encode(), value.encode("utf-8", "replace"))

    def rules(self):
        """The names of all health rules."""
        names = []
        while True:
            analyzer = library.nauha_pipeline_analyzer(self.handle, len(names))
            if not analyzer:
                return [name for name, is_rule in names if is_rule]
            names.append((analyzer.contents.name.decode(), analyzer.contents.flags & RULE))

    def on_finding(self, function):
        """function(finding) is called when a rule finds something for the first time."""
        self._on_finding = FINDING_FN(lambda context, finding: function(finding.contents))  # kept alive
        library.nauha_pipeline_on_finding(self.handle, self._on_finding, None)

    def on_failure(self, function):
        """function(text) is called when a metric fails; the others go on if it returns true."""
        self._on_failure = FAILURE_FN(lambda context, text: function(text.decode("utf-8", "replace")))  # kept alive
        library.nauha_pipeline_on_failure(self.handle, self._on_failure, None)

    def is_of_subscriber(self, failure):
        """Whether a failure is that of a metric in Python."""
        return any(failure.startswith(f'metric "{analyzer.spec}" ') for analyzer in self._analyzers)

    def start(self, collect=True):
        """Starts the pipeline, and the collection of what it publishes."""
        self._guarded(library.nauha_pipeline_start, self.handle)
        if not collect:
            return
        name, tag = c_char_p(), c_char_p()
        bus = library.nauha_pipeline_bus(self.handle)
        for position in range(library.nauha_pipeline_topics(self.handle)):
            kind = library.nauha_pipeline_topic(self.handle, position, ctypes.byref(name), ctypes.byref(tag))
            collector = self._before._collectors.get(name.value.decode()) if self._before is not None else None
            collector = collector or Collector(FORMS[library.nauha_names_kind_form(self._names, kind)])
            subscriber = library.nauha_subscriber_from_function(b"series", collector.callback, None)
            self._subscribers.append(subscriber)
            self._collectors[name.value.decode()] = collector
            topic = (c_char_p * 1)(library.nauha_names_kind(self._names, kind))
            subscription = library.nauha_subscription_new(topic, 1)
            native.call(library.nauha_subscription_set_tag, subscription, tag.value)
            native.call(library.nauha_bus_subscribe, bus, subscription, subscriber)

    def set_strict(self, strict):
        library.nauha_bus_set_strict(library.nauha_pipeline_bus(self.handle), strict)

    def set_workers(self, count):
        library.nauha_pipeline_set_workers(self.handle, count)

    def wants(self, kind):
        return library.nauha_bus_wants(library.nauha_pipeline_bus(self.handle), kind)

    def open(self, paths, resume=False):
        """Opens the traces of the ranks of one training, and passes the facts of the first to the sinks. resume: each rank
        may have several, because it was interrupted and resumed."""
        for path in paths:
            handle = c_void_p()
            native.call(library.nauha_trace_open, os.fsencode(path), self._names, ctypes.byref(handle))
            self._traces.append(handle.value)
        if resume:
            native.call(library.nauha_trace_join, (c_void_p * len(self._traces))(*self._traces), len(self._traces))
        native.call(library.nauha_pipeline_describe_trace, self.handle, self._traces[0])

    def close(self):
        for handle in self._traces:
            library.nauha_trace_close(handle)
        self._traces = []

    def replay(self, selector, progress):
        traces = self._traces
        function = PROGRESS_FN(lambda context, done, total: progress(done, total)) if progress else PROGRESS_FN()
        self._guarded(library.nauha_pipeline_replay_ranks, self.handle, (c_void_p * len(traces))(*traces), len(traces),
                      selector, function, None)

    def replay_made(self, path, model, selection, tolerance, progress):
        """The same with messages that a model makes again; see supplement.py. Returns the report, see nauha.verify."""
        from nauha.supplement import Supplement
        from nauha.trace import open_on
        with open_on(path, self._names) as trace, contextlib.closing(
                Supplement(trace, model, selection, tolerance, self.handle, self._guarded, progress)) as supplement:
            return supplement.run()

    def _end_run(self):
        for collector in self._collectors.values() if self._run is not None else ():
            collector.end_run(self._run)

    def finish_into(self, following):
        """Ends a run. The pipeline of the following run, which has not been started, continues its sinks and series."""
        self._guarded(library.nauha_pipeline_finish_into, self.handle, following.handle)
        self._end_run()

    def finish(self):
        """Returns the series by name."""
        self._guarded(library.nauha_pipeline_finish, self.handle)
        self._end_run()
        return {name: collector.series() for name, collector in self._collectors.items()}

    def report(self):
        """The lines to show to the user: the files that were written, and remarks."""
        return self._lines(library.nauha_pipeline_report, self.handle)

    def remarks(self):
        """Metrics that failed, what metrics remarked, and what was left out: damaged messages, incomplete bundles."""
        return self._lines(library.nauha_pipeline_failures, self.handle) + \
            self._lines(library.nauha_pipeline_remarks, self.handle)

    @staticmethod
    def _lines(function, handle):
        lines = []
        function(handle, LINE_FN(lambda context, text: lines.append(text.decode("utf-8", "replace"))), None)
        return lines

    def free(self):
        if self.handle is not None:
            library.nauha_pipeline_free(self.handle)
            self.handle = None
            for subscriber in self._subscribers:
                library.nauha_subscriber_free(subscriber)
            self.close()

    def _guarded(self, function, *arguments):
        """Calls a function of the library that may call metrics in Python. Raises the exception of a metric, if any."""
        try:
            native.call(function, *arguments)
        except Error:
            for analyzer in self._analyzers:
                if analyzer.raised is not None:
                    raise analyzer.raised
            raise
