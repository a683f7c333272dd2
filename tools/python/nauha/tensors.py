# SPDX-License-Identifier: MIT
"""PyTorch's tensors as the C library takes them: a pointer, a type, a shape and strides.

Only tensors without plain memory (sparse, lazily negated) are copied here.
"""
import ctypes
import dataclasses
import itertools
import weakref

import torch

from nauha import native

DTYPES = {}
for _name, _number in (("float32", "f32"), ("float64", "f64"), ("float16", "f16"), ("bfloat16", "bf16"),
                       ("uint8", "u8"), ("int8", "i8"), ("int16", "i16"), ("int32", "i32"), ("int64", "i64"),
                       ("bool", "bool"), ("float8_e4m3fn", "f8_e4m3fn"), ("float8_e5m2", "f8_e5m2"),
                       ("float8_e4m3fnuz", "f8_e4m3fnuz"), ("float8_e5m2fnuz", "f8_e5m2fnuz")):
    if hasattr(torch, _name):  # the fp8 types came with 2.1
        DTYPES[getattr(torch, _name)] = native.DTYPES.index(_number)

_MAX_FORMS = 4096  # remembered (type, shape, strides), and tensors: trainings with varying lengths have many
MAX_DEPTH = 8  # of nested tuples, dicts and dataclasses


class Unrecordable(Exception):
    """A tensor that a trace cannot hold; the text says why."""


def dense(tensor):
    """The tensor itself if it has plain memory, otherwise a copy that has."""
    if tensor.layout is not torch.strided or tensor.is_neg():
        with torch.no_grad():
            tensor = tensor.detach()
            tensor = tensor.to_dense() if tensor.layout is not torch.strided else tensor
            return tensor.resolve_neg()
    return tensor


def has_memory(tensor):
    """Whether the elements are where the tensor says: those of sparse tensors and of subclasses of Tensor that wrap others
    are not."""
    return tensor.layout is torch.strided and (tensor.numel() == 0 or tensor.data_ptr() != 0)


class Views:
    """Makes native.Tensor views of CPU tensors. One thread at a time: a view lasts until the next of
    the same type, shape and strides is made."""

    def __init__(self):
        self._forms = {}

    def view(self, tensor):
        """Returns (the view, its address, the tensor to keep alive while the view is used). Raises Unrecordable."""
        if tensor.layout is not torch.strided or tensor.is_neg():
            tensor = dense(tensor)
        form = (tensor.dtype, tensor.shape, tensor.stride())
        try:
            view, address = self._forms[form]
        except KeyError:
            view, address = self._add(form, tensor)
        view.data = tensor.data_ptr()
        return view, address, tensor

    def _add(self, form, tensor):
        if len(self._forms) >= _MAX_FORMS:
            self._forms.clear()
        view = native.Tensor()
        fill(view, tensor)
        self._forms[form] = view, ctypes.byref(view)
        return self._forms[form]


def fill(view, tensor):
    """Writes a dense CPU tensor into a native.Tensor. Raises Unrecordable."""
    if tensor.dtype not in DTYPES:
        raise Unrecordable(f"tensors of type {str(tensor.dtype).replace('torch.', '')} cannot be recorded")
    view.dtype = DTYPES[tensor.dtype]
    view.ndim = tensor.dim()
    view.shape = (ctypes.c_int64 * max(view.ndim, 1))(*tensor.shape)
    view.strides = None if tensor.is_contiguous() else (ctypes.c_int64 * max(view.ndim, 1))(*tensor.stride())
    view.data = tensor.data_ptr()


class Identities:
    """Numbers for tensors: tensors with the same number have the same elements according to PyTorch's version counter; the
    recorder checks it. A tensor is recognised while it exists, as itself or as a view of all of its elements."""

    def __init__(self):
        self._known = {}  # address -> (weak tensor, version, number)
        self._numbers = itertools.count(1)

    def of(self, tensor):
        """0 if PyTorch does not count versions, or if the memory does not hold the elements as they are."""
        if tensor.is_inference() or tensor.layout is not torch.strided or tensor.is_neg():
            return 0
        address, version = tensor.data_ptr(), tensor._version
        weak, known_version, number = self._known.get(address, (None, 0, 0))
        if number and known_version == version and is_view_of_all(tensor, weak()):
            return number
        if len(self._known) >= _MAX_FORMS:
            self._known.clear()
        number = next(self._numbers)
        self._known[address] = weakref.ref(tensor), version, number
        return number


def is_view_of_all(tensor, other):
    """Whether two tensors at the same address are one memory with the same elements; other: None if it no longer exists."""
    if tensor is other:
        return True
    if other is None or tensor.numel() != other.numel() or not (tensor.is_contiguous() and other.is_contiguous()):
        return False
    base, other_base = tensor._base, other._base
    return base is not None and (base is other or base is other_base)


def each_tensor(value, path="", depth=0, kind=torch.Tensor):
    """Yields (path, tensor) for every tensor, or object of another kind, in nested tuples, lists, dicts and dataclasses: `0`,
    `1.hidden`; the path of a bare tensor is empty."""
    if isinstance(value, kind):
        yield path, value
        return
    if depth >= MAX_DEPTH:
        return
    for key, item in items_of(value):
        if item is not None:
            yield from each_tensor(item, f"{path}.{key}" if path else str(key), depth + 1, kind)


def is_container(value):
    """Whether each_tensor looks into a value."""
    return isinstance(value, (dict, tuple, list)) or (dataclasses.is_dataclass(value) and not isinstance(value, type))


def items_of(value):
    """(key, item) of what each_tensor looks into."""
    if isinstance(value, dict):
        return value.items()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return zip(value._fields, value)
    if isinstance(value, (tuple, list)):
        return enumerate(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((field.name, getattr(value, field.name, None)) for field in dataclasses.fields(value))
    return ()


def each_argument(args, kwargs, kind=torch.Tensor):
    """Yields (path, tensor) of a call's arguments; the path is empty if there is only one argument. kind: see each_tensor()."""
    if len(args) == 1 and not kwargs:
        yield from each_tensor(args[0], kind=kind)
    else:
        yield from each_tensor(args, kind=kind)
        yield from each_tensor(kwargs, kind=kind)


def need_gradients(args, kwargs):
    """Whether any tensor among a call's arguments does."""
    return any(tensor.requires_grad for _, tensor in each_argument(args, kwargs))
