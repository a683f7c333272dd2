# SPDX-License-Identifier: MIT
"""The arguments of a call as JSON, and back. Tensors are named by the paths that tensors.each_argument gives them; whoever
builds the arguments has their elements.

Constants are written as they are, everything else as an object with one key that says what it is:

    [1, {"tensor": "1", "stride": [1, 4], "grad": true, "device": "cuda"}, {"tuple": [...]}, {"dtype": "float16"}]

A random generator is {"generator": path, "device": "cpu"}; whoever builds the arguments makes one in the state that it had.

Of a tensor, "stride" is there if it is not contiguous, "grad" if it needs a gradient, "device" if it is not on the CPU.

Threads: any.
"""
import dataclasses
import functools
import sys

import torch

from nauha import native, tensors

_CONSTANTS = (type(None), bool, int, float, str)


class Unknown(native.Error):
    """An argument that a trace cannot hold; the text says which."""


def describe(args, kwargs):
    """The arguments as lists, dicts and constants for json. What cannot be described is {"unknown": type}."""
    if len(args) == 1 and not kwargs:
        return {"args": [_describe(args[0], "", 0)], "kwargs": {}}
    return {"args": [_describe(value, str(i), 1) for i, value in enumerate(args)],
            "kwargs": {key: _describe(value, key, 1) for key, value in kwargs.items()}}


def unknown(described):
    """The types of what could not be described."""
    if isinstance(described, dict):
        if "unknown" in described:
            return [described["unknown"]]
        described = list(described.values())
    return [name for value in described for name in unknown(value)] if isinstance(described, (list, tuple)) else []


def generators(args, kwargs):
    """[(path, generator)] of the random generators among the arguments."""
    return list(tensors.each_argument(args, kwargs, torch.Generator))


def _describe(value, path, depth):
    kind = type(value)
    if isinstance(value, torch.Tensor):
        return _describe_tensor(value, path)
    if kind in _CONSTANTS:
        return value
    if isinstance(value, torch.Generator):
        return {"generator": path, "device": str(value.device)}
    if isinstance(value, torch.Size):
        return {"size": list(value)}
    if isinstance(value, (torch.dtype, torch.device)):
        return {kind.__name__: str(value).replace("torch.", "")}
    if depth >= tensors.MAX_DEPTH or not tensors.is_container(value):
        return {"unknown": kind.__name__}
    items = [(key, _describe(item, f"{path}.{key}" if path else str(key), depth + 1))
             for key, item in tensors.items_of(value)]
    if kind is list:
        return [item for _, item in items]
    if kind is tuple:
        return {"tuple": [item for _, item in items]}
    if not all(type(key) in _CONSTANTS for key, _ in items):
        return {"unknown": f"{kind.__name__} with keys of other types"}
    return {"dict": items} if kind is dict else {"class": f"{kind.__module__}:{kind.__qualname__}", "items": items}


def _describe_tensor(tensor, path):
    if tensor.layout is not torch.strided:
        return {"unknown": f"tensor of layout {tensor.layout}"}
    if tensor.dtype not in tensors.DTYPES:
        return {"unknown": f"tensor of {tensor.dtype}"}
    described = {"tensor": path}
    if not tensor.is_contiguous():
        described["stride"] = list(tensor.stride())
    if tensor.requires_grad:
        described["grad"] = True
    if tensor.device.type != "cpu":
        described["device"] = tensor.device.type
    return described


def build(described, tensor):
    """(args, kwargs) of a description. tensor(description) returns the tensor of such an object, or the random generator. Raises
    Unknown."""
    make = functools.partial(_build, tensor=tensor)
    return tuple(map(make, described["args"])), {key: make(value) for key, value in described["kwargs"].items()}


def _build(described, tensor):
    make = functools.partial(_build, tensor=tensor)
    if isinstance(described, list):
        return list(map(make, described))
    if not isinstance(described, dict):
        return described
    if "tensor" in described or "generator" in described:
        return tensor(described)
    if "tuple" in described:
        return tuple(map(make, described["tuple"]))
    if "dict" in described:
        return {key: make(value) for key, value in described["dict"]}
    if "size" in described:
        return torch.Size(described["size"])
    if "dtype" in described:
        return getattr(torch, described["dtype"])
    if "device" in described:
        return torch.device(described["device"])
    if "class" in described:
        return _instance(described["class"], [(key, make(value)) for key, value in described["items"]])
    raise Unknown(f"an argument of the model was a {described['unknown']}, which the trace cannot hold")


def _instance(name, items):
    """An instance of a class of a module that is loaded: a trace imports nothing."""
    module, _, qualified = name.partition(":")
    kind = functools.reduce(lambda owner, part: getattr(owner, part, None), qualified.split("."), sys.modules.get(module))
    if not isinstance(kind, type):
        raise Unknown(f"an argument of the model was a {name}, which is not loaded")
    if issubclass(kind, dict) and not dataclasses.is_dataclass(kind):
        return kind(items)
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return kind(*(value for _, value in items))
    if issubclass(kind, tuple):
        return kind(value for _, value in items)
    if dataclasses.is_dataclass(kind):
        return kind(**dict(items))
    raise Unknown(f"an argument of the model was a {name}, which is no tuple, dict or dataclass")
