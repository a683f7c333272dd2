# SPDX-License-Identifier: MIT
"""Publishes messages to the recorder: keeps the open step, calls and tags, decides what is wanted, and
numbers each message.

Threads: any; a lock protects everything. Backward passes and replicas of a model run in threads of
PyTorch.
"""
import functools
import os
import threading
import weakref

from nauha import fast, native, shards, tensors, transforms
from nauha.fast import Counter  # noqa: F401, which others find here
from nauha.guard import Guard
from nauha.native import KINDS, Status, library
from nauha.sender import Sender


ELEMENTS = 3  # enum nauha_grade
NETWORK, EVENT = 0, 0  # enum nauha_scope, enum nauha_form
MAX_TOLD = 100  # each of them may have a number or an address in it


class Wanted(fast.Wanted):
    """Which messages the recording's selection takes: called with (kind, module, tag)."""

    def __init__(self, names, options, rank):
        self._keeping = _keeping(options)
        self._names = names
        self._options = options
        self._kinds = {}  # whether at all, by kind
        # A fingerprint is that of the elements as they are rounded and cut. A flight recorder holds the elements.
        self._whole = any(options.get(key, none) != none for key, none in (("samples", "all"), ("precision", "full"), ("flight", "0")))
        self._only_prints = not self._whole and "full" not in options and options.get("keep") in ("fingerprints", "hashes")
        super().__init__(fast.address(library.nauha_keeping_accepts), self._keeping, names, rank,
                         "inputs" in options.get("kinds", "").split(","))

    def kind(self, kind):
        """Whether messages of this kind are wanted at all."""
        answer = self._kinds.get(kind)
        if answer is None:
            answer = self._kinds[kind] = (kind != KINDS["inputs"] or self.inputs) and bool(
                self.tapped is not None and self.tapped(kind) or
                library.nauha_keeping_accepts_kind(self._keeping, self._names, kind))
        return answer

    def elements(self, kind, module, tag, step, epoch, rank):
        """Whether the elements of such a message are needed, not only their fingerprint or hash."""
        if self._whole or self.tapped is not None and self.tapped(kind):
            return True
        return library.nauha_keeping_grade(self._keeping, self._names, kind, module, tag, step, epoch, rank) == ELEMENTS

    def prints_of_parameters(self):
        """Whether fingerprints of parameters and of their updates are enough, in all steps."""
        return self._only_prints and not (self.tapped is not None and any(
            self.tapped(KINDS[kind]) for kind in ("weights", "biases", "weight_updates", "bias_updates")))

    def keep_in_full(self, kind, module):
        """From now on, with keep=proof. Call at() then."""
        native.call(library.nauha_keeping_except, self._keeping, kind, module)

    def check(self):
        """Raises Error where a kind or a pattern of modules chooses nothing there is. A tag may come later."""
        keeping = _keeping({key: value for key, value in self._options.items() if key != "tag"})
        try:
            native.call(library.nauha_keeping_check, keeping, self._names)
        finally:
            library.nauha_keeping_free(keeping)

    def free(self):
        keeping = self._keeping
        self.end()
        self._keeping = None
        library.nauha_keeping_free(keeping)


def _keeping(options):
    keeping = library.nauha_keeping_new()
    known = native.options(library.nauha_selector_options) + native.options(library.nauha_keeping_options)
    for key, value in options.items():
        if key in known:
            native.call(library.nauha_keeping_set, keeping, key.encode(), native.encoded(value))
    return keeping


def keeps_outside(options):
    """Whether a recording with these options holds what is needed to run each step again (see outside.py)."""
    return options.get("keep") == "proof" or "pass_context" in options.get("kinds", "").split(",")


class Publisher(fast.Recording):
    """One recording: opens the trace, stamps messages, ends it."""

    def __init__(self, path, options, facts, rank, world_size, notice=None, tentative=False):
        """Options are those of the command line without dashes, as text. Raises Error."""
        self.rank, self.world_size = rank, world_size
        self._told = set()
        self._failure = None  # of the recorder, which has been told
        self._notice = notice or native.notice
        self.facts = facts
        self.recorder = _open(path, options, facts, rank, world_size, tentative)
        self.names = library.nauha_recorder_names(self.recorder)
        self.depth = library.nauha_recorder_depth(self.recorder)
        super().__init__(threading.RLock(), fast.reader(), Wanted(self.names, options, rank))
        self.out = Sender(self.recorder, self.reader, self.tell)
        self.placements = shards.Placements(self.names, self.tell)
        self._slots = {"": 0}
        self._tags = {"default": 0}
        self.keeps_outside = keeps_outside(options)
        self.keeps_proof = options.get("keep") == "proof"
        self.first_step = int(options.get("first-step", 0))
        self.epoch = int(options.get("first-epoch", 0))
        self.active = True
        self.after_edge = lambda: None  # called when a step has begun or ended
        _close_in_children(self)

    # ---- telling ----

    def tell(self, text):
        """Tells a person something, once; nothing after MAX_TOLD different things. Never raises."""
        if text in self._told or len(self._told) > MAX_TOLD:
            return
        self._told.add(text)
        Guard(lambda error: None)(self._notice, text if len(self._told) <= MAX_TOLD else "further notices are not shown")

    def trouble(self, error):
        """A hook failed: the training goes on, and somebody is told."""
        if isinstance(error, tensors.Unrecordable):
            self.tell(str(error))
        else:
            reason = str(error).split("\n")[0]
            self.tell(f"a message was not recorded: {type(error).__name__}: {reason}")

    # ---- names ----

    def slot(self, name):
        number = self._slots.get(name)
        if number is None:
            number = self._slots[name] = native.number(library.nauha_names_add_slot, self.names, name.encode())
        return number

    def tag_number(self, name):
        number = self._tags.get(name)
        if number is None:
            number = self._tags[name] = native.number(library.nauha_names_add_tag, self.names, name.encode())
        return number

    def event(self, name):
        """The number of a kind of events of the network; adds it if there is none."""
        return native.number(library.nauha_names_add_kind, self.names, name.encode(), NETWORK, EVENT)

    # ---- steps ----

    def begin_step(self, parameters):
        """Begins the next step, which ends an open one. parameters: see Sender."""
        self.wanted.at(self.first_step + self.serial, self.epoch)
        if self.serial == 0:
            self._check_selection()
        self._stage_for(parameters)
        self.out.begin_step(parameters)
        self.serial += 1
        self.step_open = True
        self._check()

    def end_step(self, parameters):
        if self.step_open:
            self.step_open = False
            self._stage_for(parameters)
            self.out.end_step(parameters)
            self._check()

    def epoch_finished(self):
        self.out.epoch_finished()
        self.epoch += 1

    def pause(self, paused):
        self.out.drain()
        library.nauha_recorder_pause(self.recorder, paused)
        self.active = not paused

    def _check_selection(self):
        """All kinds and modules are known by now."""
        try:
            self.wanted.check()
        except native.Error as error:
            self.tell(f"the selection does not match this training: {error}")

    def _check(self):
        error = native.NativeError()
        if library.nauha_recorder_failure(self.recorder, native.byref(error)) != Status.OK:
            self._failure = error.text()
            self.tell(f"recording has stopped, but the training continues: {self._failure}")
        self.after_edge()

    # ---- messages ----

    def publish_any(self, kind, module, slot, call, tag, tensor, placement=0):
        """One message that is wanted, of any tensor. Call with the lock held. placement: the number of that of a shard; a
        DTensor has its own."""
        if tensor is not None and (type(tensor) not in shards.PLAIN or transforms.active()):
            placement, tensor = self.placements.of(tensor), shards.local(tensor)
        if tensor is not None and self.out.immediate and not tensor.is_cpu:
            self.stage(tensor.device.type)
        identity = 0 if tensor is None else self.reader.of(tensor)
        self.out.publish(kind, module, slot, call, tag, tensor, identity, placement)

    def publish_shard(self, kind, module, slot, call, tag, tensor, placement):
        """The same if it is wanted."""
        if self.wanted(kind, module, tag):
            self.publish_any(kind, module, slot, call, tag, tensor, placement)

    def _stage_for(self, values):
        if self.out.immediate:
            for value in values:
                if not value.tensor.is_cpu:
                    self.stage(value.tensor.device.type)
                    return

    def stage(self, device_type):
        """Tensors live on a device: from here on everything goes through the stager, in order."""
        from nauha.staging import Parameters, Stager, device_for
        self.out = Stager(self.out, device_for(device_type, self.tell), self.tell, needs_elements=self._needs_elements,
                          parameters=Parameters(self.wanted, lambda: self.active and self.wanted.prints_of_parameters()))

    def _needs_elements(self, kind, module, tag):
        return self.wanted.elements(kind, module, tag, self.first_step + max(self.serial - 1, 0), self.epoch, self.rank)

    def publish_all(self, kind, module, call, tag, pairs):
        """(path, tensor) pairs of one kind, the path being the slot."""
        if self.wanted(kind, module, tag):
            for path, tensor in pairs:
                self.publish(kind, module, self.slot(path), call, tag, tensor)

    # ---- the file ----

    @property
    def path(self):
        """The trace's absolute path as of now; None where there is none."""
        path = None if self.recorder is None else library.nauha_recorder_path(self.recorder)
        return None if path is None else os.fsdecode(path)

    @property
    def settled(self):
        """Whether the trace has its name."""
        return self.recorder is None or library.nauha_recorder_settled(self.recorder)

    def settle(self):
        """Gives the trace its name. Raises Error where it keeps the one that it has."""
        if self.recorder is not None:
            native.call(library.nauha_recorder_settle, self.recorder)

    def _tell_older(self):
        older = library.nauha_recorder_older(self.recorder)
        if older is not None:
            self.tell(f"the previous trace is kept as {os.fsdecode(older)}")

    # ---- ending ----

    def stats(self):
        self.out.drain()
        stats = native.RecorderStats()
        library.nauha_recorder_get_stats(self.recorder, native.byref(stats))
        return {name: getattr(stats, name) for name, _ in stats._fields_}

    def flush(self):
        self.out.drain()
        native.call(library.nauha_recorder_flush, self.recorder)

    def tap(self, pipeline):
        """Hands every message that the pipeline wants to it as well."""
        publish = native.ctypes.cast(library.nauha_pipeline_publish, native.c_void_p)
        native.call(library.nauha_recorder_tap, self.recorder, publish, pipeline.handle)
        self.wanted.tapped = functools.lru_cache(maxsize=None)(pipeline.wants)

    def finish(self):
        """Nothing more comes."""
        if self.recorder is not None:
            self.active = False
            self.out.drain()

    def close(self):
        """False, having told why, where the trace is not complete."""
        if self.recorder is None:
            return True
        self.active = False
        Guard(self.trouble)(self.out.close)
        Guard(self.trouble)(self._tell_older)
        recorder, self.recorder = self.recorder, None
        error = native.NativeError()
        status = library.nauha_recorder_close(recorder, native.byref(error))
        self.wanted.free()
        if status != Status.OK and error.text() != self._failure:
            self.tell(f"the recording is incomplete: {error.text()}")
        return status == Status.OK


def _open(path, options, facts, rank, world_size, tentative):
    config = library.nauha_recorder_config_new()
    try:
        for key, value in options.items():
            native.call(library.nauha_recorder_config_set, config, key.encode(), native.encoded(value))
        for key, value in facts.items():
            native.call(library.nauha_recorder_config_describe, config, key.encode(), value.encode("utf-8", "replace"))
        native.call(library.nauha_recorder_config_set_rank, config, rank, world_size)
        library.nauha_recorder_config_set_tentative(config, tentative)
        recorder = native.c_void_p()
        native.call(library.nauha_recorder_open, None if path is None else os.fsencode(path), config,
                    native.byref(recorder))
        return recorder.value
    finally:
        library.nauha_recorder_config_free(config)


def _close_in_children(publisher):
    """A forked child (a DataLoader's worker) must not record: the trace is its parent's."""
    weak = weakref.ref(publisher)

    def leave():
        child = weak()
        if child is not None:
            child.active = False
            child.recorder = None
            child.lock = threading.RLock()  # another thread of the parent's may have held it

    os.register_at_fork(after_in_child=leave)
