# SPDX-License-Identifier: MIT
"""Finds the losses, the labels and the outputs of a program that was not changed for it.

The loss of the training is the tensor on which backward() is called. Labels and outputs are what the loss functions of
torch.nn.functional are called with. If a step calls none, the output is what the model returned. In an evaluation, the
loss is what a loss function returns.

Threads: any; the publisher's lock protects what is published.
"""
import collections
import functools
import inspect
import weakref

import torch
from torch.nn import functional

from nauha import compat, hooks, shards
from nauha.publisher import Counter
from nauha.tensors import each_tensor

_FUNCTIONS = ("cross_entropy", "nll_loss", "mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
              "binary_cross_entropy_with_logits", "kl_div", "poisson_nll_loss", "gaussian_nll_loss", "ctc_loss",
              "hinge_embedding_loss", "margin_ranking_loss", "cosine_embedding_loss", "multi_margin_loss",
              "multilabel_margin_loss", "multilabel_soft_margin_loss", "soft_margin_loss")


class Losses:
    """guard: see guard.py. exporter(): the Exporter, or None while nothing is recorded."""

    def __init__(self, guard, exporter):
        self._guard = guard
        self.trouble = guard.trouble  # for hooks
        self._exporter = exporter
        self.begin()

    def begin(self):
        """A training begins."""
        self._backwards = Counter()
        self._counts = collections.deque(maxlen=4)  # (weak loss, its count: see _count)
        self._output = None  # of the latest run in the training, until a loss function or a backward pass takes it
        self._model_outputs = shards.Outputs()
        self._labelled_since_run = False

    def watch(self):
        """Wraps the loss functions. Each wrapper has the function as __nauha_original__, for TorchScript."""
        for name in _FUNCTIONS:
            function = getattr(functional, name, None)
            if inspect.isfunction(function):
                setattr(functional, name, self._watched(function))

    def _watched(self, function):
        signature = inspect.signature(function)
        parameters = list(signature.parameters)
        target = next(name for name in ("target", "targets") if name in parameters)
        losses = self

        @functools.wraps(function)
        def watched(*args, **kwargs):
            call = given = None
            if losses._exporter() is not None and not compat.is_traced():
                given = losses._guard(lambda: signature.bind(*args, **kwargs).arguments)
            if given is not None:
                call = losses._guard(losses._labelled, given.get(parameters[0]), given.get(target))
            loss = function(*args, **kwargs)
            if call is not None:
                losses._guard(losses._computed, loss, call, given, target, "ignore_index" in parameters)
            return loss

        watched.__nauha_original__ = function
        return watched

    def run_begins(self):
        """Called before the model runs."""
        self._labelled_since_run = False

    def ran(self, output):
        """Keeps what a model returned for the backward pass, unless a loss function takes it. A model that computes its loss
        itself returns it, too: the output is the first tensor that is more than a number."""
        tensors = [tensor for _, tensor in each_tensor(output) if tensor.requires_grad]
        self._model_outputs.add(tensors)
        first = next((tensor for tensor in tensors if tensor.dim() > 0), None)
        self._output = None if first is None or self._labelled_since_run else first.detach()

    def _labelled(self, output, labels):
        """Returns the number of the call, or None if nothing is recorded."""
        exporter = self._exporter()
        if not exporter.publisher.active or compat.in_backward() or not isinstance(output, torch.Tensor):
            return None
        evaluates = exporter.observer.evaluates()
        if not (compat.has_graph(output) or exporter.publisher.tag or evaluates):
            return None
        try:
            with exporter.publisher.lock:
                if not evaluates:
                    self._output, self._labelled_since_run = None, True
                return exporter.observer.labelled(output, labels if isinstance(labels, torch.Tensor) else None)
        except Exception as error:
            exporter.observer.trouble(error)
            return None

    def _computed(self, loss, call, given, target, ignores):
        """Called with what a loss function returned, and what it was given by name."""
        exporter = self._exporter()
        if exporter is None:
            return
        count = _count(given, target, ignores)
        if exporter.observer.evaluates():
            with exporter.publisher.lock:
                exporter.observer.guarded(exporter.observer.loss, loss, call, count)
        elif count:
            self._counts.append((weakref.ref(loss), count))

    def backward(self, tensors, gradients):
        """Called before a backward pass of the training, with what it is called with."""
        exporter = self._exporter()
        publisher, capture = exporter.publisher, exporter.observer.graphs.under_way
        loss, outputs = self._model_outputs.apart(tensors, gradients)
        if capture is not None:
            capture.add_losses(loss)
        if not publisher.active:
            return
        try:
            with publisher.lock:
                if publisher.step_open and exporter.observer.latest_on:
                    self._publish(exporter, loss, outputs)
        except Exception as error:
            exporter.observer.trouble(error)

    def _publish(self, exporter, loss, outputs):
        """outputs: of the model, on which backward() was called in place of a loss. Lock held."""
        output, self._output = self._output, None
        for each in outputs or ([] if output is None else [output]):
            exporter.observer.labelled(each.detach(), None)
        if not outputs:
            count = next((count for weak, count in self._counts if weak() is loss), None)
            publisher = exporter.publisher
            exporter.observer.loss(loss, self._backwards.next(publisher.serial, publisher.tag), count)


def _count(given, target, ignores):
    """What a loss stands for, as Observer.loss takes it: ("", f) for the sum and ("mean", f) for the mean of samples or
    tokens, of which f() is the number: the labels that are not ignored, or the elements. None if that is not known.
    ignores: whether the loss function may ignore labels."""
    labels, reduction = given[target], given.get("reduction", "mean")
    if reduction not in ("sum", "mean", "batchmean") or not isinstance(labels, torch.Tensor):
        return None
    if given.get("size_average") is not None or given.get("reduce") is not None:  # which came before `reduction`
        return None
    slot = "" if reduction == "sum" else "mean"
    if ignores and not labels.is_floating_point():
        ignored = given.get("ignore_index", -100)
        return slot, lambda: (labels != ignored).sum().double()
    if reduction == "batchmean":
        number = labels.shape[0] if labels.dim() else 1
    elif "target_lengths" in given:
        number = len(given["target_lengths"])
    elif ignores:  # probabilities of classes, in dimension 1
        number = labels.numel() // labels.shape[min(1, labels.dim() - 1)]
    else:
        number = labels.numel()
    return slot, lambda: torch.tensor(float(number), dtype=torch.float64)


class ModelRan(hooks.Hook):
    """A forward hook of a model, whose observer is a Losses."""

    __slots__ = ()

    @staticmethod
    def is_on(losses):
        return True

    def run(self, losses, args, output):
        if not compat.in_backward():
            losses.ran(output)
