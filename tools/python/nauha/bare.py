# SPDX-License-Identifier: MIT
"""Parameters of optimizers that are in no module: a learned temperature, a soft prompt, an image that is optimized.

They are recorded as if the program had put them into a torch.nn.ParameterList called "parameters". Their slots are numbers, in
the order in which they are found: the optimizers in the order in which they were made, and the parameters of each in its order.
A number is not given twice.

Threads: one at a time, under the publisher's lock.
"""
import weakref

import torch

from nauha import registry, shards, tensors

NAME = "parameters"  # no module in a model has this name, because Module.parameters is a method
MOST = 1000  # of them: a program that makes optimizers again and again would fill the trace with names
_MOST_NODES = 1000


class ParameterList:
    """What the registry takes for the module that has them. tell(text) tells a person something.

    A parameter is in it as long as an optimizer has it, and until the end of the step in which the last one went."""

    _buffers = {}

    def __init__(self, tell):
        self._tell = tell
        self._of = weakref.WeakKeyDictionary()  # optimizer -> {slot: parameter}
        self._of_step = {}  # those that there were when the step began
        self._count = 0

    @property
    def _parameters(self):
        if not self._count:
            return {}
        current = dict(self._of_step)
        for own in self._of.values():
            current.update(own)
        return current

    def step_begins(self):
        """Returns whether some are gone."""
        if not self._count:
            return False
        before, self._of_step = self._of_step, {}
        self._of_step = self._parameters
        return not before.keys() <= self._of_step.keys()

    def add(self, optimizer, parameters):
        """Adds those of this optimizer."""
        slots = {id(parameter): slot for slot, parameter in self._parameters.items()}
        own = self._of.setdefault(optimizer, {})
        for parameter in parameters:
            slot = slots.get(id(parameter)) or self._new()
            if slot is not None:
                own[slot] = parameter

    def _new(self):
        if self._count >= MOST:
            self._tell(f"of the parameters that are in no module, only the first {MOST} are recorded")
            return None
        self._count += 1
        return str(self._count - 1)

    def ids(self):
        return set(map(id, self._parameters.values()))

    def ids_with_gradients(self):
        return {id(parameter) for parameter in self._parameters.values() if parameter.grad is not None}

    def is_all_behind(self, losses):
        """Whether a backward pass through these losses reaches parameters of this list and no others. False where that would
        take long to find out."""
        ours, reached = self.ids(), False
        nodes, seen = [tensor.grad_fn for _, tensor in tensors.each_tensor(losses)], {None}
        while nodes and ours and len(seen) <= _MOST_NODES:
            node = nodes.pop()
            if node in seen:
                continue
            seen.add(node)
            if hasattr(node, "variable"):  # where gradients are accumulated
                if id(node.variable) not in ours:
                    return False
                reached = True
            nodes.extend(behind for behind, _ in node.next_functions)
        return reached and not nodes


def of_optimizer(optimizer, ids):
    """Those of these parameters (ids) of an optimizer that are in no module of the process."""
    found = [parameter for group in optimizer.param_groups for parameter in group["params"] if id(parameter) in ids]
    if all(type(parameter) is torch.Tensor for parameter in found):  # which no module takes
        return found
    of_modules = shards.ids_of(registry.all_modules())
    return [parameter for parameter in found if id(parameter) not in of_modules]
