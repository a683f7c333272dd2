# SPDX-License-Identifier: MIT
"""What the messages of a training have that those of a trace have not: tensors of PyTorch, and the modules themselves.

Threads: one at a time, under the publisher's lock.
"""
import numpy as np
import torch

from nauha import tensors

_DTYPES = {number: dtype for dtype, number in tensors.DTYPES.items()}


class Live:
    def __init__(self, registry):
        self._registry = registry

    def module(self, number):
        """The module with this number; None if it no longer exists."""
        for record in list(self._registry.records.values()):
            if number == record.id or number in record.other_ids:
                return record.module()
        return None

    @staticmethod
    def tensor(elements, dtype):
        """A copy of the elements of a message. dtype: its number. Types that this PyTorch does not have stay bits."""
        copy = np.array(elements)
        if copy.dtype == np.uint16:  # bf16, of which NumPy has the bits
            copy = copy.view(np.int16)
        tensor = torch.from_numpy(copy)
        return tensor.view(_DTYPES[dtype]) if dtype in _DTYPES else tensor
