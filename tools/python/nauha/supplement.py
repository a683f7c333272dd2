# SPDX-License-Identifier: MIT
"""Feeds a pipeline with a trace, and with what the trace does not have in full: those messages are made again.

Messages come in the order of the trace. One that the trace has no row of comes with the pass that makes it.

Threads: one at a time.
"""
import ctypes

import numpy as np

from nauha import native, proof, remake
from nauha.native import KINDS, NONE, Error, Status, library
from nauha.publisher import EVENT
from nauha.remake import MADE, Key
from nauha.trace import make_selector

native.declare(library, {
    "nauha_pipeline_publish": (native.STATUS, [ctypes.c_void_p, ctypes.c_void_p, native.ERROR]),
    "nauha_pipeline_publish_made": (native.STATUS, [ctypes.c_void_p, ctypes.POINTER(native.MessageInfo),
                                                    ctypes.POINTER(native.Tensor), native.ERROR]),
    "nauha_pipeline_bus": (ctypes.c_void_p, [ctypes.c_void_p]),
    "nauha_bus_wants": (ctypes.c_bool, [ctypes.c_void_p, ctypes.c_uint32]),
    "nauha_bus_tell_lost": (native.STATUS, [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_uint64, ctypes.c_uint64, native.ERROR]),
})


class _Made:
    """The elements of a message that was made."""

    __slots__ = ("dtype", "shape", "elements", "pass_key")

    def __init__(self, message, pass_key):
        self.dtype, self.shape, self.pass_key = message.info.dtype, message.shape, pass_key
        self.elements = np.ascontiguousarray(message.tensor)

    def tensor(self):
        shape = (ctypes.c_int64 * max(len(self.shape), 1))(*self.shape)
        return native.Tensor(self.elements.ctypes.data, self.dtype, len(self.shape), shape, None)


class Supplement(proof.Proof):
    """pipeline: the address of one that has started, on the names of the trace. call(function, ...): calls the library, as
    native.call does. progress: see nauha.replay."""

    def __init__(self, trace, model, selection, tolerance, pipeline, call=native.call, progress=None):
        self._pipeline = pipeline
        self._bus = library.nauha_pipeline_bus(pipeline)
        self._call = call
        self._progress = progress
        self._names = trace._names
        self._wanted = proof.chosen([kind for kind in kinds_of(trace) if self._is_wanted(kind)], selection)
        kinds = {*trace.kinds, *self._wanted}
        super().__init__(trace, model, selection, tolerance, [kind for kind in proof.JUDGED if kind in kinds])
        self._asked = [kind for kind in MADE if kind in self._wanted]
        self._selector = make_selector(selection)
        self._is_proof = trace.info.facts.get("keep") == "proof"
        self._full = set()  # the keys of the step that the trace has in full
        self._kept = {}  # Key -> _Made, of the step

    def close(self):
        super().close()
        library.nauha_selector_free(self._selector)

    def _number(self, kind):
        return library.nauha_names_find_kind(self._names, kind.encode())

    def _is_wanted(self, kind):
        return library.nauha_bus_wants(self._bus, self._number(kind))

    def run(self):
        """Feeds the pipeline. Returns the report. Raises Error, also where a message does not come out as it was recorded."""
        evidence = proof.Follower(self._trace, proof.steps_alone(self._selection), self._kinds)
        rows, total = proof.Follower(self._trace, self._selection, self._asked), self._trace.info.messages
        for number, messages in proof.steps_of(self._trace, self._selection, self._published()):
            self._kept = {}
            if self._lacks(rows.at(number)):
                self._make(number, evidence.at(number))
            for message in messages:
                self._publish(message)
                done = message.seq + 1
            if self._progress is not None:
                self._progress(done, total)
        for kind, _, count, size in self._trace.info.losses:
            self._call(library.nauha_bus_tell_lost, self._bus, self._number(kind), count, size)
        return self._report()

    def _published(self):
        """The kinds that are read: those that the pipeline wants, the events, and those that say when a pass runs."""
        events = [kind for kind in kinds_of(self._trace) if library.nauha_names_kind_form(
            self._names, self._number(kind)) == EVENT]
        return sorted({*events, *self._wanted, "pass_context"})

    # ---- making ----

    def _lacks(self, rows):
        """Whether a message of the step is needed that the trace does not have in full."""
        there, self._full, lacks = set(), set(), False
        for message in rows:
            there.add(message.kind)
            lacks |= message.kept in ("hash", "fingerprint")
            if message.kept == "elements":
                self._full.add(Key.of(message))
        if self._is_proof and self._asked:  # of a kind, some modules alone may be there in full
            return True
        return lacks or any(kind not in there for kind in self._asked)

    def _make(self, number, evidence):
        """Runs a step again, and holds it against all that the trace has of it."""
        self._recorded = {Key.of(message): proof.Recorded(message) for message in evidence}
        self._judge(number)
        if self.first is not None:
            raise Error(f"step {number}: {self.first['meaning']}", Status.DAMAGED)

    def _is_hidden(self, kind, module):
        return False  # nothing that a metric asks for may be missing without notice

    def _needed(self):
        return super()._needed() | set(self._asked)

    def _made(self, key, message):
        super()._made(key, message)
        if key[0] in self._asked and key not in self._full and self._is_selected(message):
            self._kept[key] = _Made(message, self._remaker.running)

    def _is_selected(self, message):
        names, info = self._names, message.info
        module = NONE if message.module is None else library.nauha_names_find_module(names, message.module.encode())
        tag = library.nauha_names_find_tag(names, message.tag.encode())
        return tag != NONE and library.nauha_selector_accepts(
            self._selector, names, info.kind, module, tag, self._step.number, self._step.epoch, self._trace.info.rank)

    # ---- publishing ----

    def _publish(self, message):
        if message.kind == "pass_context":
            self._publish_new(message)
        made = self._kept.get(Key.of(message)) if message.kept in ("hash", "fingerprint") else None
        if made is not None:
            self._publish_made(message.info, made)
        elif message.kind in self._wanted or not message.info.has_tensor:
            self._call(library.nauha_pipeline_publish, self._pipeline, message._handle)

    def _publish_made(self, stamps, made):
        tensor = made.tensor()
        self._call(library.nauha_pipeline_publish_made, self._pipeline, ctypes.byref(stamps), ctypes.byref(tensor))

    def _publish_new(self, context):
        """Publishes what a pass makes and the trace has no row of."""
        key = context.slot, context.tag, context.call
        for of, made in self._kept.items():
            if made.pass_key != key or of in self._recorded:
                continue
            kind, _, module, slot, call = of
            stamps = native.MessageInfo.from_buffer_copy(context.info)
            stamps.kind, stamps.call = KINDS[kind], call
            stamps.module = NONE if module is None else library.nauha_names_find_module(self._names, module.encode())
            stamps.slot = native.number(library.nauha_names_add_slot, self._names, slot.encode())
            if stamps.module != NONE or module is None:
                self._publish_made(stamps, made)


def kinds_of(trace):
    """All kinds that messages of a trace may have."""
    names = trace._names
    return [library.nauha_names_kind(names, number).decode() for number in range(library.nauha_names_kinds(names))]
