# SPDX-License-Identifier: MIT
"""Proof that a recording and a model belong together: runs recorded steps again and holds every message that this makes
against its recorded hash.

Threads: one at a time.
"""
import contextlib
import ctypes
import math
import pathlib

import numpy as np
import torch

from nauha import native, outside, remake
from nauha.metrics import load_file
from nauha.native import Error, Status, library
from nauha.remake import GIVEN, MADE, Key, Mismatch, NotMade
from nauha.trace import Trace, open_on, to_float

PROVEN, CLOSE, DIFFERENT, IN_FULL, NOT_MADE = "proven", "close", "different", "in_full", "not_made"
OUTCOMES = PROVEN, CLOSE, DIFFERENT, IN_FULL, NOT_MADE
TOLERANCE = 1e-3
JUDGED = [*MADE, "network_output"]


def load_model(spec):
    """The model that "FILE.py:NAME" names: NAME is a module, a dict, tuple or list of modules, or a function without arguments
    that returns one. Raises Error, whose cause is what the file raised."""
    path, _, name = spec.rpartition(":")
    file = pathlib.Path(path).resolve()
    if not file.is_file():
        raise Error(f'--model: there is no file "{path}"; expected FILE.py:NAME', Status.UNKNOWN)
    try:
        module = load_file(path)
    except (Exception, SystemExit) as failure:
        raise Error(f'--model: "{file.name}" cannot be imported: {_told(failure)}; what a program does belongs under '
                    'if __name__ == "__main__"', Status.UNAVAILABLE) from failure
    if not hasattr(module, name):
        there = [key for key, thing in vars(module).items() if getattr(thing, "__module__", None) == module.__name__ and
                 callable(thing)]
        raise Error(f'--model: "{file.name}" has no "{name}"; it has {", ".join(there[:10]) or "no functions and classes"}',
                    Status.UNKNOWN)
    model = getattr(module, name)
    if _is_builder(model):
        try:
            model = model()
        except Exception as failure:
            raise Error(f'--model: "{name}" of "{file.name}" failed when it was called without arguments: {_told(failure)}',
                        Status.UNAVAILABLE) from failure
    if not _is_model(model):
        does = "returns" if _is_builder(getattr(module, name)) else "is"
        raise Error(f'--model: "{name}" of "{file.name}" {does} {_told_type(model)}: expected a torch.nn.Module, or '
                    'several in a tuple, list or dict')
    return model


def _told(failure):
    return f"{type(failure).__name__}: {failure}".rstrip(": ")


def _told_type(thing):
    return "nothing" if thing is None else f"an object of the type {type(thing).__name__}"


def _is_builder(model):
    return callable(model) and not isinstance(model, torch.nn.Module)


def _is_model(model):
    parts = model.values() if isinstance(model, dict) else model if isinstance(model, (tuple, list)) else [model]
    return len(parts) > 0 and all(isinstance(part, torch.nn.Module) for part in parts)


def built(model):
    """A model, or what the function that was given builds."""
    model = model() if _is_builder(model) else model
    if not _is_model(model):
        raise Error(f"a model is a torch.nn.Module, several of them, or a function that returns one, not {model!r}")
    return model


def difference(recorded, made):
    """The largest difference of two arrays, as a part of the largest value in the first; infinite if only one of them has NaN or
    an infinity somewhere, or if there is nothing to compare."""
    recorded, made = recorded.astype(np.float64).ravel(), made.astype(np.float64).ravel()
    finite = np.isfinite(recorded)
    if recorded.shape != made.shape or not np.array_equal(finite, np.isfinite(made)) or \
            not np.array_equal(recorded[~finite], made[~finite], equal_nan=True):
        return math.inf
    largest = np.abs(recorded[finite]).max(initial=0.0)
    off = np.abs(recorded[finite] - made[finite]).max(initial=0.0)
    return 0.0 if off == 0 else off / largest if largest > 0 else math.inf


_OF_OTHER_OUTPUTS = "a loss function was given something else than what the model returned"


def _largest(elements):
    return float(np.abs(elements.astype(np.float64)).max(initial=0.0))


class Recorded:
    """What the trace says of a message that is to be made again."""

    __slots__ = ("hash", "hash_function", "kept", "fingerprint", "shape", "dtype", "module_class", "made", "outcome", "difference",
                 "elements", "largest")

    def __init__(self, message):
        self.hash, self.hash_function = message.hash, message.hash_function
        self.kept = message.kept
        self.fingerprint = message.fingerprint_struct() if self.kept == "fingerprint" else None
        self.shape, self.dtype, self.module_class = message.shape, message.dtype, message.module_class
        self.made = None  # its hash
        self.outcome, self.difference = NOT_MADE, None
        self.elements = None  # that were made, where they are not the same
        self.largest = math.inf  # the largest magnitude of what was recorded and made, where they are not the same


class _Kind:
    """How many messages of a kind came out how."""

    def __init__(self):
        self.counts = dict.fromkeys(OUTCOMES, 0)
        self.largest = 0.0  # difference

    def add(self, recorded):
        self.counts[recorded.outcome] += 1
        if recorded.outcome == CLOSE:
            self.largest = max(self.largest, recorded.difference)


def steps_of(trace, selection=None, kinds=None):
    """Yields (number, an iterator over the selected messages) for each step of a trace, in order. The messages of a step have to
    be read before the next step is asked for."""
    messages = trace.messages(**{**(selection or {}), **({"kinds": kinds} if kinds else {})})
    waiting = next(messages, None)

    def of_step(number):
        nonlocal waiting
        while waiting is not None and waiting.global_step == number:
            yield waiting
            waiting = next(messages, None)

    while waiting is not None:
        number = waiting.global_step
        rest = of_step(number)
        yield number, rest
        for _ in rest:
            pass


class Follower:
    """Messages of the steps of a trace, for somebody who goes through other messages of it."""

    def __init__(self, trace, selection, kinds):
        self._steps = steps_of(trace, selection, kinds) if kinds else iter(())
        self._next = next(self._steps, None)

    def at(self, number):
        """The messages of a step; numbers ascend."""
        while self._next is not None and self._next[0] < number:
            self._next = next(self._steps, None)
        return self._next[1] if self._next is not None and self._next[0] == number else ()


def chosen(kinds, selection):
    """Those of the kinds that a selection takes."""
    asked = selection.get("kinds")
    asked = asked.split(",") if isinstance(asked, str) else asked
    return [kind for kind in kinds if asked is None or kind in asked]


def steps_alone(selection):
    """The part of a selection that chooses steps, not messages of them."""
    return {key: value for key, value in selection.items() if key in ("steps", "epochs", "rank")}


class Proof:
    """Runs the selected steps of a trace again and judges what they make. selection: the keyword arguments of Trace.messages().
    kinds: those that are judged. Raises Mismatch where the model has other parameters."""

    def __init__(self, trace, model, selection, tolerance, kinds):
        if not tolerance >= 0:
            raise Error(f"tolerance is {tolerance!r}: it must be a number of 0 or more")
        self._trace = trace
        self._selection = selection
        self._tolerance = tolerance
        self._kinds = kinds
        self._given = Follower(trace, steps_alone(selection), [*GIVEN, "weight_gradients", "bias_gradients"])
        self._step = None  # the Step that runs
        self._recorded = {}  # Key -> Recorded, of this step
        self._outputs = {}  # what the models returned in it: (function, hash) -> (dtype, elements)
        self._counts = {}  # kind -> _Kind
        self._reasons = {}  # why steps could not be run -> number of them
        self._hides = False  # whether the model has hidden any of the messages
        self._in_full = {}  # why messages were recorded in full -> {kind: number of them}
        self._steps = 0
        self.first = None  # what is known of the first message that is not the same
        self._remaker = remake.Remaker(built(model), trace.modules, self._made, inputs="inputs" in kinds)

    def close(self):
        self._remaker.close()

    def run(self):
        """Returns the report, see verify()."""
        for number, messages in steps_of(self._trace, self._selection, self._kinds):
            self._recorded = {Key.of(message): Recorded(message) for message in messages if message.info.has_tensor}
            self._judge(number)
        return self._report()

    # ---- one step ----

    def _judge(self, number):
        self._step = remake.Step(number)
        for message in self._given.at(number):
            self._step.take(message)
        reason = self._run()
        if reason is not None:
            self._reasons[reason] = self._reasons.get(reason, 0) + 1
        self._compare_elements(number)
        self._excuse_noise()
        self._judge_outputs(number)
        for key, recorded in self._recorded.items():
            self._settle(key, recorded, reason is None)
            self._counts.setdefault(key[0], _Kind()).add(recorded)
            if recorded.outcome == DIFFERENT and self.first is None:
                self.first = self._describe(key, recorded)
        self._steps += 1

    def _settle(self, key, recorded, ran):
        """What comes of a message that is not the same, or was not made. ran: whether the whole step was run."""
        kind, _, module, _, _ = key
        exception = self._step.exception(kind, module)
        if exception is not None and exception["again"] != "all" and recorded.outcome != PROVEN:
            recorded.outcome = NOT_MADE
        elif recorded.outcome == NOT_MADE and self._is_hidden(kind, module):
            self._hides = True
        elif recorded.outcome == NOT_MADE and ran and exception is None and kind != "network_output":
            recorded.outcome, recorded.difference = DIFFERENT, math.inf
        if recorded.outcome == NOT_MADE and recorded.kept == "elements":
            recorded.outcome = IN_FULL
            why = _OF_OTHER_OUTPUTS if kind == "network_output" and ran else exception["why"] if exception is not None else None
            counts = self._in_full.setdefault(why, {})
            counts[kind] = counts.get(kind, 0) + 1

    def _is_hidden(self, kind, module):
        """Whether a message is of what torch.compile or TorchScript hides in the model."""
        return kind in ("inputs", "activations", "layer_gradients") and self._remaker.hides(module)

    def _run(self):
        """Runs the step. Returns why not all of it could be run; None: it was."""
        self._outputs = {}
        if self._step.reason() is not None:
            return self._step.reason()
        if not self._step.passes:
            return "the trace does not hold what is needed to run them"
        try:
            self._remaker.run(self._step, self._needed())
        except NotMade as reason:
            return str(reason)
        return None

    def _needed(self):
        """The kinds of what is compared in this step."""
        kinds = {key[0] for key in self._recorded}
        return kinds | {"activations"} if "network_output" in kinds else kinds

    def _made(self, key, message):
        """A message was made."""
        kind, _, module, _, _ = key
        recorded = self._recorded.get(key)
        is_output = kind == "activations" and self._remaker.is_model(module)
        if recorded is None and not is_output:
            return
        if is_output:
            self._take_output(message)
        if recorded is None:
            return
        recorded.made = made = message.hash_by(recorded.hash_function)
        if (made, message.shape, message.dtype) == (recorded.hash, recorded.shape, recorded.dtype):
            recorded.outcome = PROVEN
        else:
            recorded.outcome, recorded.difference = CLOSE if self._tolerance == math.inf else DIFFERENT, math.inf
            recorded.elements = message.shape, message.dtype, to_float(message)
            self._compare_fingerprints(recorded, message)

    # ---- network_output ----

    def _take_output(self, message):
        """A model has returned a tensor."""
        given = [recorded for key, recorded in self._recorded.items() if key[0] == "network_output"]
        hashes = {(function, message.hash_by(function)) for function in {recorded.hash_function for recorded in given}}
        like = [recorded for recorded in given if (recorded.hash_function, recorded.hash) not in hashes
                and (math.prod(recorded.shape), recorded.dtype) == (math.prod(message.shape), message.dtype)]
        elements = to_float(message) if like else None
        for made in hashes:
            self._outputs[made] = message.dtype, elements
        for recorded in like:
            if recorded.fingerprint is not None:
                self._take_difference(recorded, library.nauha_fingerprint_difference(
                    recorded.fingerprint, message.fingerprint_struct(), message.info.dtype))

    @staticmethod
    def _take_difference(recorded, found):
        recorded.difference = found if recorded.difference is None else min(found, recorded.difference)

    def _judge_outputs(self, number):
        """What the loss functions were given is held against what the models returned."""
        left = {}
        for key, recorded in self._recorded.items():
            if key[0] == "network_output" and (recorded.hash_function, recorded.hash) in self._outputs:
                recorded.outcome, recorded.made = PROVEN, recorded.hash
            elif key[0] == "network_output":
                left[key] = recorded
        if not left or not self._outputs:
            return
        for message in self._trace.messages(kinds="network_output", steps=number):
            recorded = left.get(Key.of(message))
            if recorded is None or message.kept != "elements":
                continue
            for dtype, elements in self._outputs.values():
                if dtype == recorded.dtype and elements is not None and elements.size == math.prod(recorded.shape):
                    self._take_difference(recorded, difference(to_float(message), elements))
        for key, recorded in left.items():
            if recorded.difference is not None and recorded.difference <= self._tolerance:
                recorded.outcome = CLOSE
            elif (key[1], key[4]) in self._step.given_outputs:
                recorded.outcome = DIFFERENT
                recorded.difference = math.inf if recorded.difference is None else recorded.difference

    # ---- differences ----

    def _compare_fingerprints(self, recorded, message):
        """Where no elements were recorded, statistics and samples say how far what is not the same is from it."""
        if recorded.fingerprint is None or (message.shape, message.dtype) != (recorded.shape, recorded.dtype):
            return
        recorded.difference = library.nauha_fingerprint_difference(recorded.fingerprint, message.fingerprint_struct(),
                                                                   message.info.dtype)
        recorded.largest = max(recorded.fingerprint.stats.abs_max, _largest(recorded.elements[2]))
        if recorded.difference <= self._tolerance:
            recorded.outcome = CLOSE

    def _compare_elements(self, number):
        """Finds how far what is not the same is from what was recorded."""
        wrong = {key: recorded for key, recorded in self._recorded.items() if recorded.elements is not None}
        if not any(recorded.kept == "elements" for recorded in wrong.values()):
            return
        kinds = sorted({key[0] for key in wrong})
        for message in self._trace.messages(kinds=kinds, steps=number):
            recorded = wrong.get(Key.of(message))
            if recorded is None or message.kept != "elements":
                continue
            shape, dtype, elements = recorded.elements
            if (shape, dtype) == (message.shape, message.dtype):
                recorded.difference = difference(to_float(message), elements)
                recorded.largest = max(_largest(to_float(message)), _largest(elements))
                if recorded.difference <= self._tolerance:
                    recorded.outcome = CLOSE
        for recorded in wrong.values():
            recorded.elements = recorded.elements[:2] + (None,)

    def _excuse_noise(self):
        """The gradient of a bias before a normalization is 0 but for rounding errors, which may be entirely different ones. It is
        close if it is within the tolerance by the gradients of the module's weights."""
        for (kind, tag, module, _, call), recorded in self._recorded.items():
            if kind != "bias_gradients" or recorded.outcome != DIFFERENT:
                continue
            weights = max((other.largest for key, other in self._recorded.items() if other.outcome == CLOSE and
                           (key[0], key[1], key[2], key[4]) == ("weight_gradients", tag, module, call)), default=0.0)
            if recorded.largest <= self._tolerance * weights < math.inf:
                recorded.outcome, recorded.difference = CLOSE, recorded.largest / weights

    # ---- the first difference ----

    def _describe(self, key, recorded):
        kind, tag, module, slot, call = key
        found = {"kind": kind, "tag": tag, "module": module, "class": recorded.module_class, "slot": slot, "call": call,
                 "step": self._step.number,
                 "difference": recorded.difference if recorded.difference is not None and math.isfinite(recorded.difference)
                 else None}
        found["meaning"] = self._meaning(key, recorded)
        return found

    def _meaning(self, key, recorded):
        kind, _, module, _, _ = key
        if kind == "network_output":
            return "what the loss function was given is not the same: it was an output of the model, and is none of them here"
        what = f'the {kind.replace("_", " ")} of "{module}" ({recorded.module_class})'
        if recorded.made is None:
            return f"{what} were not made: the model has no such module, did not run it, or hides it because it is compiled"
        shape, dtype = recorded.elements[:2]
        if (shape, dtype) != (recorded.shape, recorded.dtype):
            return f"{what} are {dtype}{list(shape)} here and {recorded.dtype}{list(recorded.shape)} in the trace: it is " \
                "another model, or another precision"
        if self._changes(key, recorded):
            return f"{what} are other ones each time that the step runs: a kernel is not deterministic, or the model draws random " \
                "numbers from a generator of its own"
        if kind in ("weight_gradients", "bias_gradients") and self._are_proven("layer_gradients"):
            return f"{what} are not the same, though all activations and layer gradients are: the loss may have a term of the " \
                "parameters themselves, or a kernel of the backward pass may not be deterministic"
        if kind.endswith("gradients"):
            return f"{what} are the first that are not the same: another model behind this module, or a kernel of the backward " \
                "pass that is not deterministic"
        return f"{what} are the first that are not the same: the code or the settings of this module, or of what is called between " \
            "it and the modules before it, are other ones, or data are used that are neither inputs of the model, parameters " \
            "nor buffers"

    def _are_proven(self, kind):
        return all(recorded.outcome == PROVEN for key, recorded in self._recorded.items() if key[0] == kind)

    def _changes(self, key, recorded):
        """Whether the message comes out otherwise when the step is run once more."""
        before, others = recorded.made, self._recorded
        self._recorded = {key: recorded}
        try:
            self._run()
        except Mismatch:
            return False
        finally:
            self._recorded = others
        return recorded.made != before

    # ---- the report ----

    def _report(self):
        facts = self._trace.info.facts
        kinds = {kind: {**found.counts, "largest_difference": found.largest} for kind, found in self._counts.items()}
        total = {outcome: sum(found.counts[outcome] for found in self._counts.values())
                 for outcome in OUTCOMES}
        return {"steps": self._steps, "same": total[DIFFERENT] == 0 and total[PROVEN] + total[CLOSE] > 0, **total, "kinds": kinds,
                "first_difference": self.first,
                "not_run": [{"reason": reason, "steps": count} for reason, count in self._reasons.items()],
                "hidden": self._hides,
                "recorded_in_full": [{"reason": why, "kinds": counts} for why, counts in self._in_full.items()],
                "recorded_with": {"framework": facts.get("framework"), "processor": facts.get("processor")},
                "run_with": {"framework": f"torch {torch.__version__}", "processor": outside.processor()}}


def tolerance_of(text):
    """A tolerance from a command line. Raises Error."""
    try:
        return float(text)
    except ValueError:
        raise Error(f'"{text}" is not a value of "tolerance": expected a number') from None


def run(path, model, tolerance, selection, names=None, pipeline=None):
    """Runs steps again, as a command does, and feeds a pipeline (its address) with what they make, if there is one. Returns the
    report. Raises Error."""
    if pipeline is None:
        return verify(path, model, tolerance, **selection)
    from nauha.supplement import Supplement
    with open_on(path, ctypes.c_void_p(names)) as trace, contextlib.closing(
            Supplement(trace, model, selection, tolerance, pipeline)) as supplement:
        return supplement.run()


def verify(trace, model, tolerance=TOLERANCE, **selection):
    """Runs the steps of a trace again and compares every message that this makes with the recorded one.

    trace: a path, or a Trace of one process. model: a torch.nn.Module, several in a dict, tuple or list, or a function that
    returns one. tolerance: the largest difference of a tensor's elements, relative to its largest element, that counts as close.
    selection: the keyword arguments of Trace.messages().

    Returns a dict: "same" says whether something was run again and nothing is different; "proven", "close", "different",
    "in_full" (the trace has the elements, but they were not made again) and "not_made" count messages, in "kinds" by kind; "first_difference" says where the first difference is and what it may mean. The
    model keeps the values of the last step. Raises Error."""
    with contextlib.ExitStack() as stack:
        if not isinstance(trace, Trace):
            trace = stack.enter_context(Trace(trace))
        there = trace.kinds
        kinds = chosen([kind for kind in JUDGED if kind in there], selection)
        if not kinds:
            raise Error(f"none of the kinds that were chosen can be made again; these can: {', '.join(JUDGED)}", Status.UNKNOWN)
        proof = Proof(trace, model, selection, tolerance, kinds)
        stack.callback(proof.close)
        return proof.run()


_WORDS = "proven", "close", "not the same", "recorded in full and not made again", "not made again"


def lines(report):
    """A report as text, line by line."""
    kinds = report["kinds"]
    width = max(map(len, kinds), default=0)
    for kind, counts in kinds.items():
        parts = [f"{counts[outcome]:,} {word}" for outcome, word in zip(OUTCOMES, _WORDS) if counts[outcome]]
        if counts[CLOSE]:
            parts.append(f"largest difference {counts['largest_difference']:.2g}")
        yield f"{kind:{width}}  {', '.join(parts)}"
    for each in report["not_run"]:
        steps = f"{each['steps']:,} step{'s' if each['steps'] > 1 else ''}"
        yield f"{steps} could not be run again, or not completely: {each['reason']}"
    not_run = [each["reason"] for each in report["not_run"]]
    for each in report["recorded_in_full"]:
        if each["reason"] is not None and each["reason"] not in not_run:
            yield f"not made again, of {', '.join(each['kinds'])}: {each['reason']}"
    if report["hidden"]:
        yield "what is inside of compiled and scripted modules of the model is not made again: build it without torch.compile and " \
            "TorchScript to compare that, too"
    if report["in_full"]:
        yield "of what was recorded in full and not made again, this shows only that it is undamaged"
    first = report["first_difference"]
    if first is not None:
        size = "" if first["difference"] is None else f", by {first['difference']:.2g} of the largest element"
        yield f"step {first['step']}: {first['meaning']}{size}"
    if report["close"] or report["different"]:
        for key in ("framework", "processor"):
            then, now = report["recorded_with"][key], report["run_with"][key]
            if then and then != now:
                yield f"the {key} was {then} and is {now} here"
    if not report["proven"] and not report["close"]:
        yield "nothing is proven"
    elif not report["different"]:
        yield "nothing that was made again is different" if report["close"] else "all that was made again is the same to the bit"
