# SPDX-License-Identifier: MIT
"""Which modules and parameters are published, and their names.

Names are those of `state_dict`, without the parts that wrappers add (`module.` of DataParallel and
DistributedDataParallel, `_fsdp_wrapped_module.` of FullyShardedDataParallel, `_checkpoint_wrapped_module.` of
checkpoint_wrapper, `_orig_mod.` of torch.compile), so that traces of wrapped and of plain trainings can be compared.

Threads: one at a time, under the publisher's lock.
"""
import gc
import itertools
import operator
import weakref

import torch

from nauha import compat, native, shards, tensors, transforms
from nauha.native import NONE, library
from nauha.publisher import Counter
from nauha.sender import Value

_PARALLEL = (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)
_values_of = operator.methodcaller("values")
_INSIDE = ("_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # names of what the other wrappers wrap


def wrapped(module):
    """What a wrapper wraps, which runs within its run; None if the module is not a wrapper."""
    if isinstance(module, _PARALLEL):
        return module.module
    return next((module._modules[name] for name in _INSIDE if name in module._modules), None)


def unwrapped(module):
    """The model inside wrappers and torch.compile."""
    while True:
        inner = module._orig_mod if is_compiled(module) else wrapped(module)
        if inner is None:
            return module
        module = inner


def is_compiled(module):
    """Whether the module is the result of torch.compile(module)."""
    return "_orig_mod" in module._modules and type(module).__name__ == "OptimizedModule"


def all_modules():
    """The modules of the process."""
    return [thing for thing in gc.get_objects() if issubclass(type(thing), torch.nn.Module)]


def class_name(module):
    """The name of a module's class, without the one that fully_shard puts before it: FSDPLinear is a Linear."""
    kind = type(module)
    made = any(base.__name__ == "FSDPModule" for base in kind.__bases__) and len(kind.__bases__) == 2
    return kind.__bases__[1].__name__ if made else kind.__name__


def plain_name(name):
    return ".".join(part for part in name.split(".") if part != "_orig_mod" and part not in _INSIDE)


def joined(path, name):
    """The path of something below a module; either may be empty."""
    return f"{path}.{name}" if path and name else path or name


class Record:
    """A module that is published."""

    __slots__ = ("module", "id", "other_ids", "name", "class_name", "root", "calls", "recomputed", "__weakref__")

    def __init__(self, module):
        self.module = weakref.ref(module)
        self.id = NONE
        self.other_ids = []
        self.name = None
        self.class_name = class_name(module)
        self.root = self.module  # the model it is part of
        self.calls = Counter()
        self.recomputed = Counter()


class Registry:
    def __init__(self, names, slot, tell, alias, placements):
        """slot(text) returns the number of a slot; alias(module, slot, other module, other slot) records a shared parameter.
        placements: see shards.Placements."""
        self._names = names
        self._slot = slot
        self._tell = tell
        self._alias = alias
        self._placements = placements
        self._aliased = set()
        self._taken = {}  # module name -> Record
        self.records = {}  # id(module) -> Record
        self._attributes = {}  # id(module) -> its __dict__, as long as it exists: quicker than a look at the module itself
        self._weak = {}  # id(module) -> what ends that
        self._others = []  # what is no module, but has parameters
        self.roots = []  # (weak module, prefix)
        self.shards = shards.Shards(tell)
        self._unnamed = False
        self._last = []
        self._values = []
        self.lent = []  # those of them whose tensors functional_call may have lent
        self._parts = []  # those of them of which this process holds a part
        self._owners = {}  # id(parameter) -> Value

    # ---- modules ----

    def add_root(self, module, prefix):
        self.roots.append((weakref.ref(module), prefix))
        self._unnamed = True

    def add(self, module, fallback):
        """Returns (record, whether it is new). module: an unwrapped one. fallback: its name if it is not part of a
        model."""
        known = self.find(module)
        if known is not None:
            return known, False
        record = Record(module)
        record.name = fallback
        self.records[id(module)] = record
        self._watch(module)
        self._unnamed = True
        return record, True

    def _watch(self, module):
        if not isinstance(module, torch.nn.Module):
            self._others.append(module)
            return
        key, forget = id(module), self._attributes.pop
        self._attributes[key] = vars(module)
        self._weak[key] = weakref.ref(module, lambda dead: forget(key, None))

    def find(self, module):
        record = self.records.get(id(module))
        return record if record is not None and record.module() is module else None

    def name_modules(self):
        """Gives every module added since the last call its name and number."""
        if not self._unnamed:
            return
        self._unnamed = False
        paths, roots = {}, {}
        for weak, prefix in self.roots:
            root = weak()
            for name, module in root.named_modules(remove_duplicate=False) if root is not None else ():
                roots.setdefault(id(module), weak)
                name = joined(prefix, plain_name(name))
                found = paths.setdefault(id(module), [])
                if name not in found:
                    found.append(name)
        for record in self.records.values():
            if record.id != NONE:
                continue
            module = record.module()
            found = paths.get(id(module), [record.name])
            record.name = found[0]
            record.root = roots.get(id(module), record.module)
            record.id = self._number(record.name, record)
            record.other_ids = [self._number(name, record) for name in found[1:]]

    def _number(self, wanted, record):
        name, n = wanted, 2
        while True:
            owner = self._taken.get(name)
            if owner is None or owner is record or owner.module() is None:
                break
            name, n = f"{wanted}~{n}", n + 1
        if name != wanted:
            self._tell(f'two modules are called "{wanted}"; the second is recorded as "{name}"')
        self._taken[name] = record
        try:
            return native.number(library.nauha_names_add_module, self._names, name.encode(),
                                 record.class_name.encode()[:127])
        except native.Error as error:
            self._tell(f"a module is not recorded: {error}")
            return NONE

    def prefix(self, model):
        """With what the names of a model's modules begin."""
        return next((prefix for weak, prefix in self.roots if weak() is model), "")

    # ---- parameters ----

    @property
    def known(self):
        """What values() returned last: the same object as long as no parameter was replaced."""
        return self._values

    def values(self):
        """The current parameters, each under its first name: a list of Value, which is the same object as long as
        no parameter was replaced. Every call looks at all modules, because programs replace parameters."""
        self.name_modules()
        current = self._current()
        if len(current) != len(self._last) or any(map(operator.is_not, current, self._last)) or self._incomplete:
            self._last = current
            self.shards.look()
            self._collect()
        for value in self._parts:
            value.tensor = shards.local(value.parameter)
        return self._values

    _incomplete = False  # a lazy parameter has no value yet

    def _owned(self, attribute):
        """This attribute of each module."""
        return map(operator.itemgetter(attribute), list(self._attributes.values()))

    def _current(self):
        """What the modules have now."""
        current = []
        if self.shards.replace:
            for module in (record.module() for record in self.records.values()):
                current.extend(self.shards.of(module).values() if module is not None else ())
            return current
        current.extend(itertools.chain.from_iterable(map(_values_of, self._owned("_parameters"))))
        for other in self._others:
            current.extend(other._parameters.values())
        return current

    def _collect(self):
        self._values, self.lent, self._parts, self._owners, self._incomplete = [], [], [], {}, False
        for record in list(self.records.values()):
            module = record.module()
            if module is None or record.id == NONE:
                continue
            for key, parameter in self.shards.of(module).items():
                if parameter is None:
                    continue
                tensor = shards.local(parameter)
                if compat.is_lazy(parameter):
                    self._incomplete = True
                elif tensor.device.type == "meta":
                    continue
                elif tensor.dtype not in tensors.DTYPES or not tensors.has_memory(tensor):
                    self._tell(f"parameters such as \"{record.name}.{key}\" ({type(parameter).__name__}, {tensor.dtype}, "
                               f"shape {list(tensor.shape)}) cannot be recorded")
                else:
                    self._collect_one(record, key, transforms.reached(parameter), tensor)

    @property
    def has_parts(self):
        """Whether this process holds only a part of some parameter."""
        return bool(self._parts)

    def in_model(self, parameter):
        """Whether it was a parameter of a module when values() was called."""
        value = self._owners.get(id(parameter))
        return value is not None and isinstance(value.record.root(), torch.nn.Module)

    def has_any(self, parameters):
        """Whether any of them was a parameter of a model when values() was called."""
        return any(id(parameter) in self._owners for parameter in parameters)

    def _collect_one(self, record, key, parameter, tensor):
        slot = self._slot(key)
        value = self._owners.get(id(parameter))
        if value is None:
            place = 0 if tensor is parameter else self._placements.of(parameter)
            value = self._owners[id(parameter)] = Value(record, slot, "bias" in key, tensor, parameter, place)
            self._values.append(value)
            if type(parameter) is torch.Tensor:
                self.lent.append(value)
            if tensor is not parameter:
                self._parts.append(value)
        for other in (record.id, *record.other_ids):
            place = (value.module, value.slot, other, slot)
            if place[:2] != place[2:] and other != NONE and place not in self._aliased:
                self._aliased.add(place)
                self._alias(*place)

    def buffers(self):
        """(record, name, tensor) of every buffer."""
        if not any(self._owned("_buffers")):
            return
        for record in self.records.values():
            module = record.module()
            if module is not None and record.id != NONE and module._buffers:
                for key, tensor in module._buffers.items():
                    if tensor is not None:
                        yield record, key, tensor
