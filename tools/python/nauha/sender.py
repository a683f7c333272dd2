# SPDX-License-Identifier: MIT
"""Calls the recorder at once, with tensors in the memory of the CPU.

The stager (see staging.py) has the same functions and calls the recorder later, in the same order.

Threads: one at a time, under the publisher's lock.
"""
import ctypes

from nauha import fast, native, tensors
from nauha.native import Status, library


class Value:
    """A parameter to be recorded: the numbers of its module and slot, and the tensor that holds it now. That is another one
    than what the module has, the parameter, if this process holds a part of it (see shards.py)."""

    __slots__ = ("record", "module", "slot", "bias", "tensor", "parameter", "placement", "form")

    def __init__(self, record, slot, bias, tensor, parameter=None, placement=0):
        self.record = record
        self.module = record.id
        self.slot = slot
        self.bias = bias
        self.tensor = tensor
        self.parameter = tensor if parameter is None else parameter
        self.placement = placement  # the number of that of a shard; 0: the tensor is whole
        self.form = None  # (type, shape, strides) in the C structure


class Sender(fast.Sender):
    immediate = True  # publish() takes only tensors of the CPU

    def __init__(self, recorder, reader, tell):
        functions = library.nauha_recorder_publish, library.nauha_recorder_set_tag
        super().__init__(*map(fast.address, functions), recorder, reader, tell)
        self._recorder = recorder
        self._tell = tell
        self._views = tensors.Views()
        self._values = None  # the list whose parameters the array holds
        self._array = None
        self._error = native.NativeError()
        self._error_address = ctypes.byref(self._error)

    def publish_any(self, kind, module, slot, call, tag, tensor, identity=0, placement=0):
        """identity: see struct nauha_tensor. placement: see nauha_recorder_publish_shard."""
        if tag != self.tag:
            self._set_tag(tag)
        address = held = None
        if tensor is not None:
            view, address, held = self._views.view(tensor)
            view.identity = identity
        if placement:
            failed = library.nauha_recorder_publish_shard(self._recorder, kind, module, slot, call, address, placement,
                                                          self._error_address)
        else:
            failed = library.nauha_recorder_publish(self._recorder, kind, module, slot, call, address, self._error_address)
        if failed:
            self._tell(self._error.text())
        del held  # the tensor must stay alive until here

    def publish_fingerprint(self, kind, module, slot, call, tag, form, words, placement=0):
        """form: a tensor of the type and shape, without elements. words: those of the fingerprint, in the memory of the CPU."""
        if tag != self.tag:
            self._set_tag(tag)
        _, address, held = self._views.view(form)
        self._check(library.nauha_recorder_publish_fingerprint(self._recorder, kind, module, slot, call, address, placement,
                                                               words.data_ptr(), self._error_address))
        del held

    def begin_step(self, values):
        """values: a list of Value; the same object as in the last call if the parameters are the same."""
        self._set_tag(0)
        array = self._filled(values)
        self._check(library.nauha_recorder_begin_step(self._recorder, array, len(array), self._error_address))

    def end_step(self, values):
        self._set_tag(0)
        array = self._filled(values)
        self._check(library.nauha_recorder_end_step(self._recorder, array, len(array), self._error_address))

    def epoch_finished(self):
        self._set_tag(0)
        self._check(library.nauha_recorder_epoch_finished(self._recorder, self._error_address))

    def drain(self):
        pass

    def close(self):
        self._values = self._array = None

    def _check(self, status):
        if status != Status.OK:
            self._tell(self._error.text())

    def _set_tag(self, tag):
        if tag != self.tag:
            self._check(library.nauha_recorder_set_tag(self._recorder, tag, self._error_address))
            self.tag = tag

    def _filled(self, values):
        """The C array of the values, with their current addresses."""
        if values is not self._values:
            self._array = (native.Parameter * len(values))()
            self._values = values
            for row, value in zip(self._array, values):
                row.module, row.slot, row.bias, row.placement = value.module, value.slot, value.bias, value.placement
                value.form = None
        elif self.refresh(ctypes.addressof(self._array), [value.tensor for value in values]):
            return self._array
        for row, value in zip(self._array, values):
            tensor = value.tensor
            form = (tensor.dtype, tensor.shape, tensor.stride())
            if form != value.form:
                tensors.fill(row.tensor, tensor)
                value.form = form
            else:
                row.tensor.data = tensor.data_ptr()
        return self._array
