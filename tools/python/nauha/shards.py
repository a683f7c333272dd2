# SPDX-License-Identifier: MIT
"""Trainings of which this process does a part: DTensor, as tensor parallelism and fully_shard make them, the flat
parameters of FullyShardedDataParallel, and the stages of a pipeline.

What is recorded is the part that is in this process's memory. Nothing here communicates with other processes.

fully_shard and FullyShardedDataParallel replace the parameters of a module while it runs by gathered ones. The gradients of
those are reduced over the processes behind autograd's back, and are found in `.grad` when the backward pass has ended.

Threads: one at a time, under the publisher's lock; local() any.
"""
import functools
import sys
import weakref

import torch

from nauha import compat, native, transforms
from nauha.native import c_int64

PLAIN = (torch.Tensor, torch.nn.Parameter)  # types of tensors that are whole


def local(tensor):
    """The part of a tensor that this process holds; of others, the tensor itself. A tensor that a collective is still
    writing is waited for, as the training would wait for it."""
    if tensor is None or type(tensor) in PLAIN:
        return transforms.plain(tensor) if tensor is not None and transforms.active() else tensor
    if isinstance(tensor, FlatPart):
        return tensor.local()
    inner = getattr(tensor, "_local_tensor", None)  # of a DTensor; to_local() is differentiable, and would add to the graph
    if inner is not None:
        return local(inner)
    return tensor.trigger_wait() if hasattr(tensor, "trigger_wait") else tensor  # AsyncCollectiveTensor


def optimized(model):
    """The parameters of a model, and those that optimizers know while others take their places."""
    yield from model.parameters()
    yield from transforms.own_parameters(model)
    if transforms.active():
        yield from map(transforms.plain, model.parameters())
    for module in model.modules():
        yield from (part.sharded_param for part in _sharded(module))
        yield from _flat(module)._params or () if _flat(module) is not None else ()


def ids_of(models):
    """The ids of these parameters of all of the models."""
    return {id(parameter) for model in models for parameter in optimized(model)}


def _sharded(module):
    """What fully_shard knows of each parameter that it shards together with this module."""
    if not hasattr(type(module), "_get_fsdp_state"):
        return []
    state = module._get_fsdp_state()
    groups = getattr(state, "_fsdp_param_groups", None)  # before torch 2.11, there was one
    if groups is None:
        groups = [group for group in (state._fsdp_param_group,) if group is not None]
    return [part for group in groups for part in group.fsdp_params]


def _handle(module):
    """What FullyShardedDataParallel knows of the parameters that it shards together with what this module wraps."""
    return module.__dict__.get("_handle") if "_fsdp_wrapped_module" in module._modules else None


def _flat(module):
    handle = _handle(module)
    return None if handle is None else handle.flat_param


class FlatPart:
    """This process's elements of a parameter that FullyShardedDataParallel has put into a flat one: of one dimension, and
    none where they all are in other processes."""

    def __init__(self, handle, number):
        self._handle = weakref.ref(handle)
        self._number = number
        place = handle.flat_param._shard_param_infos[number]
        begin = place.offset_in_shard if place.in_shard else 0
        self._range = slice(begin, begin + (place.numel_in_shard if place.in_shard else 0))
        self.requires_grad = handle.flat_param.requires_grad
        self.whole = tuple(handle.flat_param._shapes[number])
        self.first = place.intra_param_start_idx if place.in_shard else 0

    def local(self):
        return self._handle().flat_param._local_shard[self._range]

    @property
    def grad(self):
        flat = self._handle().flat_param
        gradient = getattr(flat, "_saved_grad_shard", None)  # of the passes before, while one runs
        gradient = flat.grad if gradient is None else gradient
        if gradient is None or gradient.shape != flat._local_shard.shape:  # not yet reduced over the processes (no_sync)
            return None
        return gradient[self._range]


class Placements:
    """The numbers of the placements of shards: where in the whole tensor a shard lies. tell(text) tells a person something."""

    def __init__(self, names, tell):
        self._names = names
        self._tell = tell
        self._numbers = {}  # (local shape, shape of the whole, offset, whether flat, summand, summands) -> number
        self._of_dtensors = {}  # (shape, mesh, placements) -> number

    def of(self, tensor):
        """0: the tensor is whole."""
        if isinstance(tensor, FlatPart):
            return self._number(tuple(tensor.local().shape), tensor.whole, (tensor.first,), True, 0, 0)
        if not hasattr(tensor, "_local_tensor"):
            return 0
        key = tensor.shape, tensor.device_mesh, tensor.placements
        number = self._of_dtensors.get(key)
        if number is None:
            number = self._of_dtensors[key] = self._of_dtensor(tensor)
        return number

    def _of_dtensor(self, tensor):
        mesh, summand, summands = tensor.device_mesh, 0, 1
        for size, position, placement in zip(mesh.shape, mesh.get_coordinate() or (), tensor.placements):
            if placement.is_partial():
                if placement.reduce_op != "sum":
                    return 0
                summand, summands = summand * size + position, summands * size
        offset = compat.global_offset(tensor)
        local_shape = tuple(tensor._local_tensor.shape)
        return self._number(local_shape, tuple(tensor.shape), offset, False, summand, summands) if offset is not None else 0

    def _number(self, shape, whole, offset, flat, summand, summands):
        key = shape, whole, offset, flat, summand, summands
        number = self._numbers.get(key)
        if number is None:
            placement = native.Placement(len(whole), _numbers(whole), _numbers(offset), flat, summand, summands)
            try:
                number = native.number(native.library.nauha_names_add_placement, self._names, _numbers(shape), len(shape),
                                       native.byref(placement))
            except native.Error as error:
                self._tell(f"shards of tensors are recorded as tensors of their own: {error}")
                number = 0
            self._numbers[key] = number
        return number


def _numbers(values):
    return (c_int64 * max(len(values), 1))(*values)


class Gradients:
    """What one backward pass adds to `.grad` of parameters. Make it when the pass begins."""

    def __init__(self, parameters):
        self._parameters = list(parameters)
        self._before = [self._noted(local(parameter.grad)) for parameter in self._parameters]

    @staticmethod
    def _noted(gradient):
        """What there is of earlier passes, as gradients are accumulated: (tensor, version, copy)."""
        return None if gradient is None else (gradient, gradient._version, gradient.detach().clone())

    def added(self):
        """Yields a tensor for each of the parameters, or None, in a backward pass that has ended."""
        for parameter, before in zip(self._parameters, self._before):
            gradient = local(parameter.grad)
            if before is None or gradient is None:
                yield gradient
            elif gradient is before[0] and gradient._version == before[1]:  # the reduction comes with a later pass
                yield None
            else:
                yield gradient.detach() - before[2]


class Outputs:
    """Outputs of models. A pipeline's stage calls backward() on its outputs, with gradients that another process sent."""

    def __init__(self):
        self._known = weakref.WeakValueDictionary()  # id -> tensor

    def add(self, outputs):
        self._known.update((id(tensor), tensor) for tensor in outputs)

    def apart(self, roots, gradients):
        """Returns (losses, outputs) of what backward() is called on; a single loss as it is."""
        roots, gradients = _listed(roots), _listed(gradients)
        outputs = [root for root, gradient in zip(roots, gradients)
                   if gradient is not None and root.numel() > 1 and self._known.get(id(root)) is root]
        losses = [root for root in roots if all(root is not output for output in outputs)]
        return losses[0] if len(losses) == 1 else losses, outputs


def _listed(given):
    return [given] if isinstance(given, torch.Tensor) else list(given or ())


class Shards:
    """Which parameters of the models are replaced while the models run. tell(text) tells a person something."""

    def __init__(self, tell):
        self._tell = tell
        self._models = []  # weak, as they were given: FullyShardedDataParallel is outside of what it wraps
        self._parameters = weakref.WeakKeyDictionary()  # module -> {name: function that returns the parameter}

    def add_model(self, model):
        self._models.append(weakref.ref(model))
        self.look()

    def look(self):
        """Looks for what was sharded since."""
        for model in (weak() for weak in self._models):
            for module in model.modules() if model is not None else ():  # a compiled model has no truth value
                try:
                    self._look_at(module)
                except (AttributeError, TypeError) as error:  # of a version that keeps it elsewhere
                    self._tell(f"parameters that {type(module).__name__} shards are not recorded: this PyTorch ("
                               f"{torch.__version__}) keeps them differently ({error})")

    def _look_at(self, module):
        for part in _sharded(module):
            weak, info = weakref.ref(part), part._module_info
            places = [(info.module, info.param_name), *zip(info.shared_modules, info.shared_param_names)]
            for owner, name in places:
                self._parameters.setdefault(owner, {})[name] = lambda weak=weak: weak().sharded_param
        flat = _flat(module)
        if flat is None:
            return
        self._parameters.setdefault(module._fsdp_wrapped_module, {})  # it has the flat parameter, or did have it
        for number, (name, owner, _) in enumerate(flat._param_infos):
            here = self._parameters.setdefault(owner, {})
            if name not in here:
                here[name] = functools.partial(_same, FlatPart(_handle(module), number))
        for name, owner, _, first_name, first_owner, _ in flat._shared_param_infos:
            self._parameters.setdefault(owner, {})[name] = self._parameters[first_owner][first_name]

    @property
    def replace(self):
        """Whether there are any."""
        return len(self._parameters) > 0

    def of(self, module):
        """name -> parameter of a module, which may be a FlatPart."""
        sharded = self._parameters.get(module) if self._parameters else None
        if sharded is None:
            return module._parameters
        own = {name: parameter for name, parameter in module._parameters.items() if name != "_flat_param"}
        return {**own, **{name: parameter() for name, parameter in sharded.items()}}

    def reduced(self):
        """The ids of the parameters whose gradients are reduced over the processes behind autograd's back."""
        return {id(parameter()) for sharded in self._parameters.values() for parameter in sharded.values()}


def _same(thing):
    return thing
