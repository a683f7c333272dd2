# SPDX-License-Identifier: MIT
"""Records what each step of an optimizer went by: the hyperparameters of its parameter groups, and the parameters in them.

A group is recorded as a module "optimizer0.group0": the first number counts the optimizers as they are found, the second is the
group's position. Its class is that of the optimizer, its slots are the names of the settings.

Threads: one at a time, under the publisher's lock.
"""
import json
import weakref

import torch

from nauha import native, outside
from nauha.native import KINDS, library
from nauha.publisher import Counter

HYPERPARAMETERS, GROUPS = KINDS["hyperparameters"], KINDS["parameter_groups"]
MOST = 1000  # groups: a program that makes optimizers again and again would fill the trace with names
_NONE_OF_THEM = {"params", "param_names", "foreach", "fused", "capturable", "differentiable"}  # how, not what, they compute


class _Group:
    def __init__(self, module):
        self.module = module  # its number
        self.calls = Counter()
        self.of_groups = Counter()
        self.known = {}  # name of a setting -> (its value, tensor)
        self.parameters = None  # their ids when they were published

    def tensor(self, name, value):
        """The value as a tensor, which is the same object as long as the value is the same."""
        known = self.known.get(name)
        if known is None or known[0] != value:
            known = self.known[name] = value, torch.tensor(value, dtype=torch.float64, device="cpu")
        return known[1]


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
            call = group.calls.next(publisher.serial, 0)
            for name, value in _numbers_in(settings):
                tensor = value if isinstance(value, torch.Tensor) else group.tensor(name, value)
                publisher.publish(HYPERPARAMETERS, group.module, publisher.slot(name), call, 0, tensor)

    def _names(self, parameters):
        """The names of parameters, given their ids; None for one that is not recorded."""
        names = {id(value.parameter): ".".join(filter(None, (value.record.name, self._slot_name(value))))
                 for value in self._registry.values()}
        return [names.get(parameter) for parameter in parameters]

    def _slot_name(self, value):
        return library.nauha_names_slot(self._publisher.names, value.slot).decode()


def _numbers_in(settings):
    """(name, number or float64 tensor) of each setting that is a number; those of a tuple are NAME.0, NAME.1 and so on."""
    for name, value in settings.items():
        if name in _NONE_OF_THEM or value is None:
            continue
        if isinstance(value, (tuple, list)):
            for position, part in enumerate(value):
                yield from _number(f"{name}.{position}", part)
        else:
            yield from _number(name, value)


def _number(name, value):
    if isinstance(value, (bool, int, float)):
        yield name, float(value)
    elif isinstance(value, torch.Tensor) and value.numel() == 1 and not value.is_complex():
        yield name, value.detach().reshape(()).to(torch.float64, copy=True)
