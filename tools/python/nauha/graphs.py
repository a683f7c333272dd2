# SPDX-License-Identifier: MIT
"""CUDA graphs. While one is captured, nothing may be copied to the host, so nothing is recorded. A replay of it runs no Python:
what is known of it is what the capture has shown, and its tensors have the same memory in every replay. So after each
replay, the gradients that it makes and the losses are published, and the optimizers in it have stepped.

Threads: any; the publisher's lock protects all.
"""
import functools
import weakref

import torch

from nauha.native import KINDS, NONE
from nauha.publisher import Counter
from nauha.tensors import each_tensor


class Capture:
    """What a graph contains."""

    def __init__(self, before):
        self.before = before  # the gradient of each parameter when the capture began, by id
        self.trains = False  # a model runs in it, or it makes gradients
        self.losses = []
        self.optimizers = []  # weak
        self.gradients = []  # Values: the parameters whose gradients it makes

    def add_losses(self, loss):
        """loss: a tensor, or a structure of tensors."""
        self.losses += [tensor.detach() for _, tensor in each_tensor(loss)]


class Graphs:
    """The graphs that the program captures and replays while an observer records."""

    def __init__(self, observer):
        self._observer = observer
        self._captures = weakref.WeakKeyDictionary()  # graph -> Capture
        self._replays = Counter()
        self._was_active = True
        self.under_way = None  # the Capture that is under way

    def watch(self):
        """Returns a function that ends it."""
        kind = torch.cuda.CUDAGraph
        originals = {name: vars(kind)[name] for name in ("capture_begin", "capture_end", "replay") if name in vars(kind)}
        if len(originals) < 3:  # an older PyTorch
            return lambda: None
        ours = {"capture_begin": self._around(originals["capture_begin"], self._begins, None, self._abandon),
                "capture_end": self._around(originals["capture_end"], None, self._ended, self._abandon),
                "replay": self._around(originals["replay"], self._before_replay, self._replayed, None)}
        for name, function in ours.items():
            setattr(kind, name, function)

        def remove():
            for name, function in ours.items():
                if vars(kind).get(name) is function:  # nobody has wrapped it since
                    setattr(kind, name, originals[name])

        return remove

    def _around(self, original, before, after, failed):
        guarded = self._observer.guarded

        @functools.wraps(original)
        def run(graph, *args, **kwargs):
            if before is not None:
                guarded(before, graph)
            try:
                result = original(graph, *args, **kwargs)
            except BaseException:
                if failed is not None:
                    guarded(failed, graph)
                raise
            if after is not None:
                guarded(after, graph)
            return result

        return run

    def _begins(self, graph):
        observer = self._observer
        with observer.publisher.lock:
            self._was_active, observer.publisher.active = observer.publisher.active, False
            self.under_way = Capture({id(value.tensor): value.tensor.grad for value in observer.registry.values()})

    def _abandon(self, graph):
        with self._observer.publisher.lock:
            if self.under_way is not None:
                self.under_way, self._observer.publisher.active = None, self._was_active

    def _ended(self, graph):
        observer = self._observer
        with observer.publisher.lock:
            capture = self.under_way
            self._abandon(graph)
            if capture is None or not observer.is_open:
                return
            for value in observer.registry.values():
                gradient = value.tensor.grad
                if gradient is not None and capture.before.get(id(value.tensor)) is not gradient:
                    capture.gradients.append(value)
            capture.before = {}
            capture.trains = capture.trains or bool(capture.gradients)
            if capture.trains or capture.optimizers:
                self._captures[graph] = capture
                observer.publisher.tell("the training uses CUDA graphs: of what they run, parameters, their gradients and the "
                                        "loss are recorded, but no activations, outputs and labels, because a replay runs no "
                                        "Python; record without them to see more")

    def _before_replay(self, graph):
        capture = self._captures.get(graph)
        if capture is not None and capture.trains and self.under_way is None:
            self._observer.graph_runs()

    def _replayed(self, graph):
        observer, capture = self._observer, self._captures.get(graph)
        if capture is None or self.under_way is not None:
            return
        publisher = observer.publisher
        with publisher.lock:
            if publisher.active and publisher.step_open:
                call = self._replays.next(publisher.serial, publisher.tag)
                for value in capture.gradients:
                    kind = KINDS["bias_gradients" if value.bias else "weight_gradients"]
                    if value.tensor.grad is not None:
                        publisher.publish(kind, value.module, value.slot, call, publisher.tag, value.tensor.grad)
                for i, loss in enumerate(capture.losses):
                    publisher.publish(KINDS["loss"], NONE, 0, call * len(capture.losses) + i, publisher.tag, loss)
            for optimizer in (weak() for weak in capture.optimizers):
                if optimizer is not None:
                    observer.stepped(optimizer)
