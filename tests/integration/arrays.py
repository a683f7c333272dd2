# SPDX-License-Identifier: MIT
"""Traces of given NumPy arrays, through the recorder's C API."""
import ctypes
import sys

import numpy as np

from tests.integration.program import ROOT

sys.path.insert(0, str(ROOT / "tools/python"))
from nauha import native  # noqa: E402
from nauha.native import byref, call, number  # noqa: E402

DTYPES = {"float32": "f32", "float64": "f64", "float16": "f16", "int64": "i64", "int8": "i8", "uint8": "u8"}


class Arrays:
    """One step after another, each of messages in the order of the calls."""

    def __init__(self, path, **options):
        library = native.library
        config = library.nauha_recorder_config_new()
        for name, value in options.items():
            call(library.nauha_recorder_config_set, config, name.encode(), value.encode())
        self.recorder = ctypes.c_void_p()
        call(library.nauha_recorder_open, str(path).encode(), config, byref(self.recorder))
        library.nauha_recorder_config_free(config)
        self.names = library.nauha_recorder_names(self.recorder)
        self.open = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end_step()
        call(native.library.nauha_recorder_close, self.recorder)

    def step(self, parameters=None):
        """parameters: module: (array, type), as the step begins."""
        if not parameters:
            self.end_step()
        call(native.library.nauha_recorder_begin_step, self.recorder, *self._parameters(parameters or {}))
        self.open = True

    def end_step(self, parameters=None):
        if self.open:
            call(native.library.nauha_recorder_end_step, self.recorder, *self._parameters(parameters or {}))
        self.open = False

    def _tensor(self, array, dtype):
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        return native.Tensor(array.ctypes.data, native.DTYPES.index(dtype), array.ndim, shape, None, 0)

    def _parameters(self, given):
        library = native.library
        self.held = [np.ascontiguousarray(array).reshape(np.shape(array)) for array, _ in given.values()]
        return (native.Parameter * len(given))(*(
            native.Parameter(number(library.nauha_names_add_module, self.names, module.encode(), b"Linear"), 0, False, 0,
                             self._tensor(array, dtype))
            for array, (module, (_, dtype)) in zip(self.held, given.items()))), len(given)

    def publish(self, kind, module, array, *, tag="default", call_number=0, dtype=None, class_name="Linear"):
        """module: None for kinds of the network. dtype: for arrays that hold the bits of a type which NumPy lacks."""
        library = native.library
        array = np.ascontiguousarray(array).reshape(np.shape(array))
        text = dtype or DTYPES[array.dtype.name]
        tensor = self._tensor(array, text)
        call(library.nauha_recorder_set_tag, self.recorder, number(library.nauha_names_add_tag, self.names, tag.encode()))
        owner = 2**32 - 1 if module is None else number(library.nauha_names_add_module, self.names, module.encode(),
                                                         class_name.encode())
        call(library.nauha_recorder_publish, self.recorder, library.nauha_names_find_kind(self.names, kind.encode()),
             owner, 0, call_number, byref(tensor))
        call(library.nauha_recorder_set_tag, self.recorder, 0)
