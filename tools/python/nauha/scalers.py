# SPDX-License-Identifier: MIT
"""A step that a GradScaler left out ends a step, too: its gradients were not finite, and weights stay.

Threads: any.
"""
import functools

from nauha import compat
from nauha.native import NONE

SKIPPED = "optimizer_step_skipped"  # the kind of an event of the network


def watch(observer):
    """Returns what ends the watch."""
    before = {}

    def begins(optimizer):
        before[optimizer] = observer.steps.count(optimizer)

    def ended(optimizer):
        if before.pop(optimizer, -1) == observer.steps.count(optimizer) and observer.steps.knows(optimizer):
            _skipped(observer, optimizer)

    return compat.around_scaler_step(functools.partial(observer.guarded, begins), functools.partial(observer.guarded, ended))


def _skipped(observer, optimizer):
    publisher = observer.publisher
    with publisher.lock:
        observer.steps.stepped(optimizer)
        if publisher.recorder is None:
            return
        publisher.tell("a GradScaler left out a step of the optimizer because gradients were not finite; the trace has a "
                       f"message of kind {SKIPPED} for each such step")
        if publisher.active and publisher.step_open:
            publisher.publish(publisher.event(SKIPPED), NONE, 0, 0, 0, None)
