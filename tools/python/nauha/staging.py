# SPDX-License-Identifier: MIT
"""Tensors on a GPU: they are copied to the host while the training goes on, and published in order when they
have arrived.

The training's stream makes a snapshot, a copy on the device in stream order, so that later writes of the
training do not affect it. A side stream copies the snapshot to a bounded ring of pinned memory, and a
thread of this module passes what has arrived to the sender. The training thread waits only while the ring is
full, or while the copies of parameters that are under way take more memory than the ring.

Where a recording keeps only the fingerprint or the hash of a tensor, that is made on the device if there is Triton
(see gpu_prints.py), and only its words come through the ring.

On a machine without a GPU, the same code runs with copies that are complete at once.

Threads: calls come one at a time, under the publisher's lock; a worker thread calls the sender.
"""
import collections
import operator
import queue
import threading

import torch

from nauha import compat, tensors
from nauha.guard import Guard
from nauha.native import KINDS
from nauha.sender import Value

RING_BYTES = 128 << 20
PRINT_BYTES = 240  # tensors that are no larger are copied: their fingerprints take as much
_ALIGNMENT = 64


def device_for(kind, tell):
    return CudaDevice(tell) if kind == "cuda" else HostDevice()


class HostDevice:
    """For devices whose tensors PyTorch copies synchronously: a copy is complete when copy() returns."""

    @staticmethod
    def host_memory(count):
        return torch.empty(count, dtype=torch.uint8)

    @staticmethod
    def can_print(tensor):
        """Whether this device makes fingerprints of such tensors, as far as is known."""
        return False

    @staticmethod
    def print_of(tensor):
        """The words of the tensor's fingerprint, on the device, or as they will be there; None: this device makes none."""
        return None

    @staticmethod
    def copy(source, host, private=False):
        """Copies source into host. Returns an event to wait for, or None if the copy is complete. private: nobody writes to
        source any more."""
        with torch.no_grad(), compat.transforms_off():
            host.copy_(source.detach())


class CudaDevice:
    def __init__(self, tell):
        self._tell = tell
        self._streams = {}
        self._printers = {}  # by device
        self._makes_prints = True

    @staticmethod
    def host_memory(count):
        return torch.empty(count, dtype=torch.uint8, pin_memory=True)

    def can_print(self, tensor):
        return tensor.is_cuda and self._makes_prints

    def print_of(self, tensor):
        if not self.can_print(tensor):
            return None
        try:
            with torch.no_grad(), compat.transforms_off(), torch.cuda.device(tensor.device):
                printer = self._printers.get(tensor.device)
                if printer is None:
                    from nauha import gpu_prints  # imports Triton, which a build of PyTorch may come without
                    printer = self._printers[tensor.device] = gpu_prints.Prints(tensor.device)
                return printer.make(tensor)
        except tensors.Unrecordable:
            raise
        except Exception as error:  # Triton compiles: many things can be missing
            self._makes_prints = False
            reason = str(error).strip().split("\n")[0]
            self._tell("tensors on the GPU are copied to the host for their fingerprints, as Triton cannot make these on the GPU: "
                       f"{type(error).__name__}: {reason}")
            return None

    def copy(self, source, host, private=False):
        if not source.is_cuda:
            return HostDevice.copy(source, host)
        with torch.no_grad(), compat.transforms_off(), torch.cuda.device(source.device):
            snapshot = source if private else source.detach().clone(memory_format=torch.contiguous_format)
            side = self._side(source.device)
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                host.copy_(snapshot, non_blocking=True)
                done = torch.cuda.Event()
                done.record(side)
            snapshot.record_stream(side)  # its memory is not used again before the copy is complete
        return done

    def _side(self, device):
        if device not in self._streams:
            self._streams[device] = torch.cuda.Stream(device)
        return self._streams[device]


class Ring:
    """A ring of host memory: pieces are given back in the order in which they were taken. Allocated when first used."""

    def __init__(self, device, capacity):
        self.capacity = capacity
        self._device = device
        self._memory = None
        self._taken = collections.deque()  # (begin, end) in order
        self._changed = threading.Condition()

    def take(self, count):
        """Returns a piece of count bytes, at most the capacity; waits until one is free."""
        count = -(-max(count, 1) // _ALIGNMENT) * _ALIGNMENT
        with self._changed:
            if self._memory is None:
                self._memory = self._device.host_memory(self.capacity)
            begin = self._changed.wait_for(lambda: self._place(count))
            self._taken.append((begin[0], begin[0] + count))
            return self._memory[begin[0]:begin[0] + count]

    def _place(self, count):
        """The position of count free bytes, in a tuple; an empty tuple if there is none."""
        if not self._taken:
            return (0,) if count <= self.capacity else ()
        first, last = self._taken[0][0], self._taken[-1][1]
        if last > first:  # the free bytes are after the last piece and before the first
            return (last,) if last + count <= self.capacity else (0,) if count < first else ()
        return (last,) if last + count < first else ()

    def give_back(self):
        """Gives the oldest piece back."""
        with self._changed:
            self._taken.popleft()
            self._changed.notify()


def _form(tensor):
    """A tensor of the same type and shape without memory."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")


class Parameters:
    """Parameters of which a recording keeps only fingerprints or hashes: these are made of their values as a step begins, and of
    the updates as it ends, for which the device keeps the values in between. The small ones, and those of types that
    PyTorch cannot subtract, are left to the recorder.

    wanted: as that of fast.Recording. enough: whether fingerprints are all that the recording needs, now."""

    def __init__(self, wanted, enough):
        self._wanted = wanted
        self._enough = enough
        self._held = []  # (value, its form, words of its fingerprint or None, its elements or None)
        self._device = None

    def begin(self, values, device):
        """Returns the values that the recorder needs."""
        self._held, self._device, rest = [], device, []
        enough = self._enough()
        for value in values:
            tensor = value.tensor
            if not enough or tensor.numel() * tensor.element_size() <= PRINT_BYTES or tensor.dtype not in _SUBTRACTED or \
                    tensor.layout is not torch.strided or not device.can_print(tensor):
                rest.append(value)
                continue
            kind, update = _VALUE_KINDS[value.bias]
            words = device.print_of(tensor) if self._wanted(kind, value.module, 0) else None
            if words is None and self._wanted(kind, value.module, 0):  # it could not be made, for the first time
                rest.append(value)
                continue
            before = None
            if self._wanted(update, value.module, 0):
                with torch.no_grad(), compat.transforms_off():
                    before = tensor.detach().clone(memory_format=torch.contiguous_format)
            self._held.append((value, _form(tensor), words, before))
        return rest

    def end(self, values):
        """Returns (module, slot, bias) of the parameters that are not left to the recorder, and a list of (kind, value, words or
        None, the tensor they are of)."""
        held, self._held = self._held, []
        now = {(value.module, value.slot, value.bias): value for value in values} if held else {}
        messages = [(_VALUE_KINDS[value.bias][0], value, words, form) for value, form, words, _ in held if words is not None]
        for value, _, _, before in held:
            after = now.get((value.module, value.slot, value.bias))
            if before is None or after is None or (after.tensor.shape, after.tensor.dtype) != (before.shape, before.dtype):
                continue
            with torch.no_grad(), compat.transforms_off():
                difference = torch.sub(after.tensor.detach(), before)
            messages.append((_VALUE_KINDS[value.bias][1], value, self._device.print_of(difference), difference))
        return {(value.module, value.slot, value.bias) for value, _, _, _ in held}, messages


_SUBTRACTED = {torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int8, torch.int16, torch.int32, torch.int64,
               torch.uint8}
_VALUE_KINDS = {False: (KINDS["weights"], KINDS["weight_updates"]), True: (KINDS["biases"], KINDS["bias_updates"])}


class Stager:
    """Makes the calls of the sender later, in a thread, in the order in which they came."""

    immediate = False

    def __init__(self, sender, device, tell, capacity=RING_BYTES, needs_elements=lambda kind, module, tag: True,
                 parameters=None):
        """needs_elements: False for messages of which a fingerprint is enough. parameters: a Parameters; None: the recorder needs the
        elements of parameters."""
        self._sender = sender
        self._parameters = parameters
        self._same = []  # the list of values that was last passed on
        self._device = device
        self._needs_elements = needs_elements
        self._guarded = Guard(lambda error: tell(f"a message was not recorded: {type(error).__name__}: {error}"))
        self._ring = Ring(device, capacity // _ALIGNMENT * _ALIGNMENT)
        self._calls = queue.SimpleQueue()
        self._values = None  # the list of parameters; _mirrors: the same with tensors in host memory
        self._mirrors = []
        self._mirrors_free = threading.Event()
        self._mirrors_free.set()
        self._worker = threading.Thread(target=self._work, name="nauha-stager", daemon=True)
        self._worker.start()

    # ---- the training's side ----

    def publish(self, kind, module, slot, call, tag, tensor, identity=0, placement=0):
        if tensor is None:
            self._later(self._sender.publish, kind, module, slot, call, tag, None)
            return
        tensor = tensors.dense(tensor)
        count = tensor.numel() * tensor.element_size()
        if count > PRINT_BYTES and not self._needs_elements(kind, module, tag):
            words = self._device.print_of(tensor)
            if words is not None:
                self._publish_words((kind, module, slot, call, tag), tensor, words, placement)
                return
        if count > self._ring.capacity:  # does not fit into the ring: wait until it is published
            host = torch.empty(tensor.shape, dtype=tensor.dtype)
            HostDevice.copy(tensor, host)
            self._later(self._sender.publish, kind, module, slot, call, tag, host, identity, placement)
            self.drain()
            return
        self._through_ring(tensor, False, self._sender.publish, (kind, module, slot, call, tag), (identity, placement))

    def _publish_words(self, at, tensor, words, placement):
        self._through_ring(words, True, self._sender.publish_fingerprint, (*at, _form(tensor)), (placement,))

    def _through_ring(self, tensor, private, function, before, after):
        """Has function called with the tensor in host memory, between its other arguments."""
        count = tensor.numel() * tensor.element_size()
        piece = self._ring.take(count)
        try:
            host = piece[:count].view(tensor.dtype).view(tensor.shape)
            done = self._device.copy(tensor, host, private)
        except Exception:
            self._later(self._ring.give_back)  # after the pieces before it
            raise
        self._calls.put((done, function, (*before, host, *after), self._ring.give_back))

    def begin_step(self, values):
        self._publish_parameters(values)
        if self._parameters is not None:
            values = self._with_elements(self._parameters.begin(values, self._device))
        self._with_parameters(self._sender.begin_step, values)

    def end_step(self, values):
        apart = self._publish_parameters(values)
        if self._parameters is not None:
            values = self._with_elements([value for value in values if (value.module, value.slot, value.bias) not in apart])
        self._with_parameters(self._sender.end_step, values)

    def _publish_parameters(self, values):
        """Publishes what the step that ends has of parameters without elements. Returns which these are."""
        if self._parameters is None:
            return ()
        apart, messages = self._parameters.end(values)
        for kind, value, words, tensor in messages:
            at = kind, value.module, value.slot, 0, 0
            if words is None:
                self.publish(*at, tensor, 0, value.placement)
            else:
                self._publish_words(at, tensor, words, value.placement)
        return apart

    def _with_elements(self, values):
        """The same list as last time if it has the same values: their copies are remembered with it."""
        if len(values) != len(self._same) or any(map(operator.is_not, values, self._same)):
            self._same = values
        return self._same

    def epoch_finished(self):
        self._later(self._sender.epoch_finished)

    def drain(self):
        """Waits until all calls so far have been made."""
        reached = threading.Event()
        self._later(reached.set)
        reached.wait()

    def close(self):
        self._calls.put(None)
        self._worker.join()
        self._sender.close()

    def _later(self, function, *arguments):
        self._calls.put((None, function, arguments, None))

    def _with_parameters(self, function, values):
        """Parameters have host memory of their own, not of the ring, because all of them are needed at once."""
        self._mirrors_free.wait()
        self._mirrors_free.clear()
        try:
            done = self._copied(values)
        except Exception:
            self._values = None
            self._mirrors_free.set()
            raise
        self._calls.put((_All(done), function, (self._mirrors,), self._mirrors_free.set))

    def _copied(self, values):
        """Starts to copy the values to their mirrors; returns the events to wait for."""
        if values is not self._values or any(value.tensor.shape != mirror.tensor.shape or
                                             value.tensor.dtype is not mirror.tensor.dtype
                                             for value, mirror in zip(values, self._mirrors)):
            self._values = values
            self._mirrors = [self._mirror(value) for value in values]
        done, under_way = [], 0
        for value, mirror in zip(values, self._mirrors):
            event = self._device.copy(value.tensor, mirror.tensor)
            if event is None:
                continue
            done.append(event)
            under_way += value.tensor.numel() * value.tensor.element_size()
            if under_way > self._ring.capacity:  # limits the memory of the device that snapshots take
                event.synchronize()
                under_way = 0
        return done

    def _mirror(self, value):
        count = value.tensor.numel() * value.tensor.element_size()
        memory = self._device.host_memory(max(count, 1))[:count]
        host = memory.view(value.tensor.dtype).view(value.tensor.shape)
        return Value(value.record, value.slot, value.bias, host, placement=value.placement)

    # ---- the worker's side ----

    def _work(self):
        while True:
            entry = self._calls.get()
            if entry is None:
                return
            self._guarded(self._do, *entry)

    @staticmethod
    def _do(done, function, arguments, afterwards):
        """Makes one call. afterwards: called even if the call fails, because the training waits for it."""
        try:
            if done is not None:
                done.synchronize()
            function(*arguments)
        finally:
            if afterwards is not None:
                afterwards()


class _All:
    """Several events as one."""

    def __init__(self, events):
        self._events = events

    def synchronize(self):
        for event in self._events:
            event.synchronize()
