# SPDX-License-Identifier: MIT
"""Records what each step of an optimizer went by: the hyperparameters of its parameter groups, and the parameters in them.

A group is recorded as a module "optimizer0.group0": the first number counts the optimizers as they are found, the second is the
group's position. Its class is that of the optimizer. Its settings of a step are one vector, whose slot names the elements: they
are "lr,betas.0,betas.1", so that a message says all by itself and costs as much as one, not as nine.

Threads: one at a time, under the publisher's lock.
"""
import array
import functools
import json
import weakref

import torch

from nauha import native, outside
from nauha.native import KINDS, library
from nauha.publisher import Counter
from nauha.registry import joined

HYPERPARAMETERS, GROUPS = KINDS["hyperparameters"], KINDS["parameter_groups"]
MOST = 1000  # groups: a program that makes optimizers again and again would fill the trace with names
MOST_OF_TUPLE = 16  # numbers
LONGEST = 127  # bytes of a slot's name
_PLAIN = {bool, int, float}
_NOT_THESE = {"params", "param_names", "foreach", "fused", "capturable", "differentiable"}  # how, not what, they compute


class _Group:
    def __init__(self, module):
        self.module = module  # its number
        self.calls = Counter()
        self.of_groups = Counter()
        self.settings = None  # (names, values) in the latest step
        self.vectors = []  # of them: (slot, tensor)
        self.parameters = None  # their ids when they were published


class Optimizers:
    def __init__(self, publisher, registry):
        self._publisher = publisher
        self._registry = registry
        self._groups = weakref.WeakKeyDictionary()  # optimizer -> list of _Group
        self._numbers = weakref.WeakKeyDictionary()  # optimizer -> its number
        self._found = 0  # optimizers
        self._named = 0  # groups

    def found(self, optimizer):
        """An optimizer gets its number."""
        if optimizer not in self._numbers:
            self._numbers[optimizer] = self._found
            self._found += 1

    def stepped(self, optimizer):
        """An optimizer has stepped: its settings are those that the step used."""
        publisher = self._publisher
        if not (publisher.active and publisher.step_open):
            return
        wanted = publisher.wanted
        if wanted.kind(HYPERPARAMETERS) or wanted.kind(GROUPS):
            self.found(optimizer)
            groups = self._groups.setdefault(optimizer, [])
            for number, settings in enumerate(optimizer.param_groups):
                if number == len(groups):
                    groups.append(self._new(optimizer, number))
                if groups[number] is not None:
                    self._publish(groups[number], settings)

    def _new(self, optimizer, number):
        """None where there are too many."""
        if self._named >= MOST:
            self._publisher.tell(f"of the parameter groups of optimizers, only the first {MOST} are recorded")
            return None
        self._named += 1
        name, kind = f"optimizer{self._numbers[optimizer]}.group{number}", type(optimizer).__name__
        return _Group(native.number(library.nauha_names_add_module, self._publisher.names, name.encode(), kind.encode()[:127]))

    def _publish(self, group, settings):
        publisher = self._publisher
        if publisher.wanted(GROUPS, group.module, 0):
            parameters = list(map(id, settings["params"]))
            if parameters != group.parameters:
                group.parameters = parameters
                call = group.of_groups.next(publisher.serial, 0)
                publisher.publish(GROUPS, group.module, 0, call, 0, outside.as_tensor(json.dumps(self._names(parameters))))
        if publisher.wanted(HYPERPARAMETERS, group.module, 0):
            names, values = _numbers(settings)
            if not _PLAIN.issuperset(map(type, values)) or (names, values) != group.settings:
                group.settings = names, values
                group.vectors = list(self._vectors(names, values))  # the same objects while the values are the same
            call = group.calls.next(publisher.serial, 0)
            for slot, vector in group.vectors:
                publisher.publish(HYPERPARAMETERS, group.module, slot, call, 0, vector)

    def _vectors(self, names, values):
        """(slot, vector) for as many names at a time as fit into a slot's."""
        while names:
            count = len(names)
            while len(",".join(names[:count]).encode()) > LONGEST:
                count -= 1
            yield self._publisher.slot(",".join(names[:count])), _vector(values[:count])
            names, values = names[count:], values[count:]

    def _names(self, parameters):
        """The names of parameters, given their ids; None for one that is not recorded."""
        names = {id(value.parameter): joined(value.record.name, self._slot_name(value))
                 for value in self._registry.values()}
        return [names.get(parameter) for parameter in parameters]

    def _slot_name(self, value):
        return library.nauha_names_slot(self._publisher.names, value.slot).decode()


def _numbers(settings):
    """The names and values of all settings that are numbers; those of a tuple are NAME.0, NAME.1 and so on."""
    names, values = [], []
    for name, value in settings.items():
        if name in _NOT_THESE or not _is_name(name):
            continue
        if isinstance(value, (tuple, list)):
            if len(value) <= MOST_OF_TUPLE and all(map(_is_number, value)):
                names += (f"{name}.{position}" for position in range(len(value)))
                values += value
        elif _is_number(value):
            names.append(name)
            values.append(value)
    return names, values


@functools.lru_cache(maxsize=1000)
def _is_name(name):
    return isinstance(name, str) and "," not in name and len(name.encode()) <= LONGEST - 4


def _is_number(value):
    return isinstance(value, (int, float)) or (isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex())


def _vector(values):
    """As float64: on the device of those that are tensors, so that nobody waits for it."""
    tensors = [value for value in values if torch.is_tensor(value)]
    if not tensors:
        return torch.frombuffer(array.array("d", values), dtype=torch.float64)
    like = {"dtype": torch.float64, "device": tensors[0].device}
    return torch.stack([torch.as_tensor(value, **like).detach().reshape(()) for value in values])
