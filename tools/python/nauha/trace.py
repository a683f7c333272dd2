# SPDX-License-Identifier: MIT
"""Reading traces: what a trace contains, its messages in order of publication, its tensors as NumPy arrays.

    trace = nauha.open("run.h5")
    for message in trace.messages(kinds="weights", steps="::10"):
        print(message.global_step, message.module, message.slot, abs(message.tensor).max())

Threads: one at a time per trace.
"""
import ctypes
import html
import os
import types
import typing
import warnings
import weakref
from ctypes import POINTER, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

import numpy as np

from nauha import native
from nauha.native import ERROR, NONE, STATUS, Error, Status, library


class _Info(ctypes.Structure):
    """struct nauha_trace_info"""

    _fields_ = [("path", c_char_p), ("format_major", c_uint32), ("format_minor", c_uint32), ("rank", c_uint32),
                ("world_size", c_uint32), ("created_ns", c_int64), ("codec", c_char_p), ("complete", c_bool),
                ("closed", c_bool), ("failure", c_char_p), ("messages", c_uint64), ("steps", c_uint64),
                ("first_step", c_uint64), ("epochs", c_uint32), ("bytes_published", c_uint64),
                ("bytes_stored", c_uint64), ("messages_lost", c_uint64), ("bytes_lost", c_uint64),
                ("duration_ns", c_uint64)]


class _Dump(ctypes.Structure):
    """struct nauha_trace_dump"""

    _fields_ = [("step", c_uint64), ("first_step", c_uint64), ("last_step", c_uint64), ("reason", c_char_p)]


native.mirror(library, {"struct nauha_trace_info": _Info, "struct nauha_trace_dump": _Dump, "struct nauha_stats": native.Stats,
                        "struct nauha_fingerprint": native.Fingerprint})
native.declare(library, {
    "nauha_trace_open": (STATUS, [c_char_p, c_void_p, POINTER(c_void_p), ERROR]),
    "nauha_trace_close": (None, [c_void_p]),
    "nauha_trace_get_info": (None, [c_void_p, POINTER(_Info)]),
    "nauha_trace_fact": (c_bool, [c_void_p, c_size_t, POINTER(c_char_p), POINTER(c_char_p)]),
    "nauha_trace_kind_totals": (None, [c_void_p, c_uint32, POINTER(c_uint64), POINTER(c_uint64)]),
    "nauha_trace_loss": (c_bool, [c_void_p, c_size_t, POINTER(c_uint32), POINTER(c_char_p), POINTER(c_uint64),
                                  POINTER(c_uint64)]),
    "nauha_trace_get_dump": (c_bool, [c_void_p, c_size_t, POINTER(_Dump)]),
    "nauha_names_tags": (c_uint32, [c_void_p]),
    "nauha_names_tag": (c_char_p, [c_void_p, c_uint32]),
    "nauha_cursor_new_ranks": (STATUS, [POINTER(c_void_p), c_size_t, c_void_p, POINTER(c_void_p), ERROR]),
    "nauha_trace_get_head": (None, [c_void_p, POINTER(_Info)]),
    "nauha_cursor_free": (None, [c_void_p]),
    "nauha_cursor_next": (STATUS, [c_void_p, POINTER(c_void_p), ERROR]),
    "nauha_message_info": (POINTER(native.MessageInfo), [c_void_p]),
    "nauha_message_tensor": (STATUS, [c_void_p, POINTER(native.Tensor), ERROR]),
    "nauha_message_take": (STATUS, [c_void_p, POINTER(native.Tensor), ERROR]),
    "nauha_message_hash": (STATUS, [c_void_p, c_uint64 * 2, ERROR]),
    "nauha_message_hash_by": (STATUS, [c_void_p, c_int, c_uint64 * 2, ERROR]),
    "nauha_message_fingerprint": (STATUS, [c_void_p, POINTER(native.Fingerprint), ERROR]),
    "nauha_fingerprint_difference": (c_double, [POINTER(native.Fingerprint), POINTER(native.Fingerprint), c_int]),
    "nauha_fingerprint_samples": (c_size_t, [c_uint64]),
    "nauha_fingerprint_position": (c_uint64, [c_uint64, c_size_t]),
    "nauha_memory_free": (None, [c_void_p]),
    "nauha_tensor_to_f64": (None, [POINTER(native.Tensor), c_size_t, c_size_t, POINTER(c_double)]),
})

# NumPy's names of the types. Types that NumPy lacks are read as integers with the same bits.
TYPES = {"f32": "<f4", "f64": "<f8", "f16": "<f2", "bf16": "<u2", "u8": "|u1", "i8": "|i1", "i16": "<i2", "i32": "<i4",
         "i64": "<i8", "bool": "|b1", "f8_e4m3fn": "|u1", "f8_e5m2": "|u1", "f8_e4m3fnuz": "|u1", "f8_e5m2fnuz": "|u1"}


class _Memory:
    """The library's memory of one tensor, which NumPy uses without a copy. Freed with the last array that uses it."""

    def __init__(self, address, typestr, shape):
        self.address = address
        self.__array_interface__ = {"data": (address, False), "typestr": typestr, "shape": shape, "version": 3}

    def __del__(self):
        library.nauha_memory_free(self.address)


def take_tensor(handle):
    """The tensor of a message (its address) as an array that owns the library's memory."""
    tensor = native.Tensor()
    native.call(library.nauha_message_take, handle, ctypes.byref(tensor))
    typestr = TYPES[native.DTYPES[tensor.dtype]]
    shape = tuple(tensor.shape[:tensor.ndim])
    if 0 in shape or not tensor.data:
        library.nauha_memory_free(tensor.data)
        return np.empty(shape, typestr)
    return np.asarray(_Memory(tensor.data, typestr, shape))


def to_float(values, dtype=None):
    """The values of a Message, or of an array that holds the bits of type `dtype` ("bf16", "f8_e4m3fn", ...), as
    float32, or as float64 for f64, i64 and i32. The result is exact for every floating-point type."""
    if isinstance(values, Message):
        values, dtype = values.tensor, values.dtype
    dtype = dtype or next(name for name, typestr in TYPES.items() if np.dtype(typestr) == values.dtype)
    if dtype not in TYPES:
        raise Error(f'there is no type "{dtype}"; types: {", ".join(TYPES)}')
    values = np.ascontiguousarray(values, TYPES[dtype])
    tensor = native.Tensor(values.ctypes.data, native.DTYPES.index(dtype), 1, (c_int64 * 1)(values.size), None)
    result = np.empty(values.shape, np.float64)
    library.nauha_tensor_to_f64(ctypes.byref(tensor), 0, values.size, result.ctypes.data_as(POINTER(c_double)))
    return result if dtype in ("f64", "i64", "i32") else result.astype(np.float32)


# The stamps of a message and the properties of its tensor: attributes that are read from the C structure.
STAMPS = ("seq", "time_ns", "global_step", "train_step", "epoch", "rank", "call", "kind", "tag", "slot", "module",
           "module_class", "dtype", "shape", "nbytes", "kept", "hash_function", "placement")


KEPT = "elements", "hash", "fingerprint"  # enum nauha_kept
HASHES = "sums", "xxh3", "other"  # enum nauha_hash


class Fingerprint(typing.NamedTuple):
    """What can be kept of a tensor in place of its elements. `deviations`, `third` and `fourth` are sums of
    (x - mean)^2, ^3 and ^4."""

    hash: int
    count: int
    zeros: int
    nans: int
    infs: int
    first_nonfinite: "int | None"  # position of the first NaN or infinity
    sum: float
    sum_abs: float
    sum_squares: float
    mean: float
    deviations: float
    third: float
    fourth: float
    min: float
    max: float
    abs_max: float
    positions: tuple  # of the samples, in row-major order
    samples: np.ndarray  # bf16 and fp8 come as their bits, see to_float()


def _fingerprint(found, dtype):
    stats = found.stats
    count = library.nauha_fingerprint_samples(stats.count)
    bits = np.array(found.samples[:count], np.uint64).view(np.uint8).reshape(count, 8)
    kind = np.dtype(TYPES[dtype])
    return Fingerprint(
        hash=found.hash[1] << 64 | found.hash[0],
        first_nonfinite=None if stats.first_nonfinite == 2**64 - 1 else stats.first_nonfinite,
        positions=tuple(library.nauha_fingerprint_position(stats.count, i) for i in range(count)),
        samples=np.ascontiguousarray(bits[:, :kind.itemsize]).view(kind)[:, 0],
        **{name: getattr(stats, name) for name in Fingerprint._fields if name not in ("hash", "first_nonfinite", "positions", "samples")})


class Key(typing.NamedTuple):
    """What tells a message from the others of its kind and step. module: None for messages of the network."""

    rank: int
    tag: str
    module: typing.Optional[str]
    slot: str
    call: int


class Placement(typing.NamedTuple):
    """Where a shard lies in the whole tensor: the box that begins at `offset` or, if `flat`, a range of its flattened
    elements. If summands is not 0, the whole is the sum of so many tensors, and this is a shard of that number `summand`."""

    shape: tuple  # of the whole
    offset: tuple
    flat: bool
    summand: int
    summands: int


class Message:
    """One message. Attributes: seq, time_ns, global_step, train_step, epoch, rank and call (numbers); kind, tag, slot,
    module and module_class (texts; module and module_class are None for messages of the network); dtype ("f32"), shape
    and nbytes (None, () and 0 for events); kept (what the trace has of the tensor: "elements", "fingerprint" or
    "hash"; None for events); placement (None if the tensor is whole, a Placement if it is a shard); tensor; data; hash;
    hash_function ("sums"; "xxh3" where a trace before format 1.5 has no elements); fingerprint; key; nn_module."""

    __slots__ = ("info", "_handle", "_names", "_source", "_tensor", "_live", "__weakref__")

    def __init__(self, handle, names=None, source=None, live=None):
        self._handle = handle  # None once the source has moved on
        self._names = names  # has the texts and shapes that `info` points to
        self._source = source  # kept alive as long as its current message
        self.info = native.MessageInfo.from_buffer_copy(library.nauha_message_info(handle).contents)
        self._tensor = None
        self._live = live  # see live.py; None at replay

    @property
    def key(self):
        """What tells this message from the others of its kind and step, as a Key."""
        return Key(self.rank, self.tag, self.module, self.slot, self.call)

    @property
    def nn_module(self):
        """In a training, the torch.nn.Module itself; None for messages of the network, and at replay."""
        return None if self._live is None or self.info.module == NONE else self._live.module(self.info.module)

    @property
    def data(self):
        """In a training, the elements as a torch.Tensor, a copy in the memory of the CPU; at replay the same as `tensor`. None for
        events. Read it before the next message comes."""
        elements = self.tensor
        return elements if self._live is None or elements is None else self._live.tensor(elements, self.info.dtype)

    @property
    def tensor(self):
        """The elements as a NumPy array, without a copy; None for events. Read it before the next message comes; the
        array then stays valid for as long as you keep it. bf16 and fp8 come as their bits, see to_float(). Raises Error
        if the message is damaged, or if it is read for the first time after the next message has come."""
        if self._tensor is None and self.info.has_tensor:
            if self._handle is None:
                raise Error("the tensor of this message can no longer be read: read it before the next message comes", Status.STATE)
            self._tensor = take_tensor(self._handle)
        return self._tensor

    @property
    def hash(self):
        """The 128-bit hash of the bytes of the elements, as an integer; None for events. It was recorded in place
        of the elements (--keep), or is computed from them. Read it before the next message comes. Hashes can be compared
        where they have the same `hash_function`."""
        return self.hash_by(self.hash_function)

    def hash_by(self, function):
        """The hash by a certain function, "sums" or "xxh3"; None for events. Raises Error where only one of another function was
        recorded. Read it before the next message comes."""
        if not self.info.has_tensor:
            return None
        halves = (c_uint64 * 2)()
        native.call(library.nauha_message_hash_by, self._readable("hash"), HASHES.index(function), halves)
        return halves[1] << 64 | halves[0]

    @property
    def fingerprint(self):
        """A Fingerprint: the hash, the statistics and 16 elements, as they were recorded in place of the elements
        (--keep), or computed from these; None for events. Read it before the next message comes. Raises Error where only
        the hash was recorded."""
        if not self.info.has_tensor:
            return None
        return _fingerprint(self.fingerprint_struct(), self.dtype)

    def fingerprint_struct(self):
        """The fingerprint as the C library has it, for nauha_fingerprint_difference."""
        found = native.Fingerprint()
        native.call(library.nauha_message_fingerprint, self._readable("fingerprint"), found)
        return found

    def _readable(self, what):
        if self._handle is None:
            raise Error(f"the {what} of this message can no longer be read: read it before the next message comes", Status.STATE)
        return self._handle

    def _placement(self):
        placement = native.Placement()
        if not self.info.placement or self._names is None or \
                not library.nauha_names_placement(self._names, self.info.placement, ctypes.byref(placement)):
            return None
        return Placement(tuple(placement.shape[:placement.ndim]),
                         tuple(placement.offset[:1 if placement.flat else placement.ndim]),
                         placement.flat, placement.summand, placement.summands)

    def passed(self):
        """Called when the next message comes: the tensor and the hash can no longer be read."""
        self._handle = self._source = None

    def __dir__(self):
        return [*super().__dir__(), *STAMPS]

    def __getattr__(self, name):
        info = self.info
        if name in ("seq", "time_ns", "global_step", "train_step", "epoch", "rank", "call"):
            return getattr(info, name)
        if name in ("kind", "tag", "slot"):
            return getattr(info, f"{name}_name").decode()
        if name in ("module", "module_class"):
            return None if info.module == NONE else getattr(info, name + ("_name" if name == "module" else "")).decode()
        if name == "dtype":
            return native.DTYPES[info.dtype] if info.has_tensor else None
        if name == "shape":
            return tuple(info.shape[:info.ndim]) if info.has_tensor else ()
        if name == "nbytes":
            return info.bytes
        if name == "kept":
            return KEPT[info.kept] if info.has_tensor else None
        if name == "hash_function":
            return HASHES[info.hash] if info.has_tensor else None
        if name == "placement":
            return self._placement()
        raise AttributeError(name)

    def __repr__(self):
        where = "" if self.module is None else f" of {self.module or '(root)'}{'.' + self.slot if self.slot else ''}"
        what = f" {self.dtype}{list(self.shape)}" if self.info.has_tensor else ""
        return f"<{self.kind}{where}, step {self.global_step}{what}>"

    def _repr_html_(self):
        return _html(repr(self), ["", ""], [(name, getattr(self, name)) for name in STAMPS])


class Trace:
    """A trace, or the traces of the ranks of one training. Close it with close(), or use it in a `with` statement. Raises
    Error if the trace is damaged or has an unsupported version; for a missing file the error is also a FileNotFoundError,
    for one that you may not read also a PermissionError.

    Messages of several ranks come step by step, within a step rank by rank. The shards that ranks hold of a tensor are one
    message of the whole. Everything else but `modules` is that of the lowest rank."""

    _names = None  # the names object that messages refer to

    def __init__(self, path):
        paths = [path] if isinstance(path, (str, bytes, os.PathLike)) else list(path)
        self._names = native.Names() if self._names is None else self._names
        self._handle = None
        self._handles = []  # by rank; the first is _handle
        self._cursors = weakref.WeakSet()
        opened = []  # (rank, path, handle)
        try:
            for one in paths:
                handle, head = c_void_p(), _Info()
                native.call(library.nauha_trace_open, os.fsencode(one), self._names, ctypes.byref(handle))
                library.nauha_trace_get_head(handle, ctypes.byref(head))
                opened.append((head.rank, os.fspath(one), handle))
            if not opened:
                raise Error("open() needs at least one trace")
        except Error:
            for _, _, handle in opened:
                library.nauha_trace_close(handle)
            raise
        opened.sort(key=lambda row: row[0])
        self.path, self._handle = opened[0][1:]
        self._paths = [one for _, one, _ in opened]
        self._handles = (c_void_p * len(opened))(*(handle for _, _, handle in opened))

    def close(self):
        if self._handle is not None:
            for cursor in self._cursors:
                cursor.close()
            for handle in self._handles:
                library.nauha_trace_close(handle)
            self._handle = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def __repr__(self):
        if self._handle is None:
            return f"<trace {self.path!r}, closed>"
        return f"<trace {self._summary()}>"

    def _summary(self):
        info = self.info
        state = "" if info.complete else ", incomplete" if info.closed else ", not closed by its writer"
        rank = f", rank {info.rank} of {info.world_size}" if info.world_size > 1 else ""
        rank += f", with {len(self._handles) - 1} other ranks" if len(self._handles) > 1 else ""
        return f"{self.path!r}: {info.steps:,} steps, {info.messages:,} messages, {len(self.modules)} modules{rank}{state}"

    def _repr_html_(self):
        if self._handle is None:
            return f"<p>{html.escape(repr(self))}</p>"
        kinds = [(kind, f"{messages:,}", f"{size:,}") for kind, (messages, size) in self._kind_totals().items()]
        return _html(self._summary(), ["kind", "messages", "bytes"], kinds)

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()

    def _open(self):
        if self._handle is None:
            raise Error(f'trace "{self.path}" is closed', Status.STATE)
        return self._handle

    # ---- what is in it ----

    @property
    def info(self):
        """What `nauha info` shows: path, rank, world_size, created_ns, codec, complete, closed, failure,
        messages, steps, first_step, epochs, bytes_published, bytes_stored, messages_lost, bytes_lost,
        duration_ns, format (major, minor); facts (dict), kinds (name: (messages, bytes)), losses (list of
        (kind, reason, messages, bytes)), dumps (of a flight recorder: list of (step, first_step, last_step, reason), where
        first_step is the first that was held, and last_step the last that was to follow in full)."""
        raw = _Info()
        library.nauha_trace_get_info(self._open(), ctypes.byref(raw))
        values = {name: getattr(raw, name) for name, _ in raw._fields_ if not name.startswith("format")}
        values = {name: value.decode() if isinstance(value, bytes) else value for name, value in values.items()}
        return types.SimpleNamespace(**values, format=(raw.format_major, raw.format_minor), facts=self._facts(),
                                     kinds=self._kind_totals(), losses=self._losses(), dumps=self._dumps())

    def _facts(self):
        facts, key, value = {}, c_char_p(), c_char_p()
        while library.nauha_trace_fact(self._open(), len(facts), ctypes.byref(key), ctypes.byref(value)):
            facts[key.value.decode()] = value.value.decode()
        return facts

    def _kind_totals(self):
        totals, messages, size = {}, c_uint64(), c_uint64()
        for kind in range(library.nauha_names_kinds(self._names)):
            library.nauha_trace_kind_totals(self._open(), kind, ctypes.byref(messages), ctypes.byref(size))
            if messages.value:
                totals[library.nauha_names_kind(self._names, kind).decode()] = (messages.value, size.value)
        return totals

    def _losses(self):
        losses, kind, reason, messages, size = [], c_uint32(), c_char_p(), c_uint64(), c_uint64()
        while library.nauha_trace_loss(self._open(), len(losses), ctypes.byref(kind), ctypes.byref(reason),
                                       ctypes.byref(messages), ctypes.byref(size)):
            losses.append((library.nauha_names_kind(self._names, kind.value).decode(), reason.value.decode(),
                           messages.value, size.value))
        return losses

    def _dumps(self):
        dumps, dump = [], _Dump()
        while library.nauha_trace_get_dump(self._open(), len(dumps), ctypes.byref(dump)):
            dumps.append((dump.step, dump.first_step, dump.last_step, dump.reason.decode()))
        return dumps

    @property
    def modules(self):
        """The class names of the modules, by module name, in the order of the model."""
        self._open()
        name, class_name = library.nauha_names_module, library.nauha_names_module_class
        return {name(self._names, i).decode(): class_name(self._names, i).decode()
                for i in range(library.nauha_names_modules(self._names))}

    @property
    def kinds(self):
        """The kinds that have messages."""
        return list(self._kind_totals())

    @property
    def tags(self):
        self._open()
        return [library.nauha_names_tag(self._names, i).decode() for i in range(library.nauha_names_tags(self._names))]

    # ---- messages ----

    def messages(self, **selection):
        """An iterator over the selected messages. The selection is as on the command line: kinds, modules, exclude
        (text with commas, or lists), steps, epochs (text such as "0:100:10", a number, a slice or a range), tag, rank.
        A damaged message is left out with a warning. Raises Error if a name in the selection does not exist."""
        return _Messages(self, selection)

    def __iter__(self):
        return self.messages()

    def tensor(self, kind, module=None, step=None, slot=None, call=0, tag="default", rank=None):
        """The tensor of the message with these stamps, as an array. module: None for kinds of the network. rank: None for
        any; a tensor that was put together of shards has the lowest rank. Raises Error if there is no such message, or if
        there are several (of different slots, steps or ranks)."""
        selection = {"kinds": kind, "tag": tag}
        if module is not None:
            selection["modules"] = _pattern(module)
        if step is not None:
            selection["steps"] = step
        found = None
        places = []
        for message in self.messages(**selection):
            if message.module == module and message.call == call and (slot is None or message.slot == slot) and \
                    (rank is None or message.rank == rank):
                places.append(f"step {message.global_step}" + (f" slot {message.slot!r}" if message.slot else "") +
                              (f" rank {message.rank}" if len(self._handles) > 1 else ""))
                if found is None:
                    found = message.tensor
        what = f'"{kind}"' + ("" if module is None else f' of module "{module}"')
        what += "" if step is None else f" in step {step}"
        if not places:
            raise Error(f"there is no {what}", Status.UNKNOWN)
        if len(places) > 1:
            shown = ", ".join(places[:6]) + (", ..." if len(places) > 6 else "")
            raise Error(f"there are {len(places)} messages {what}: {shown}", Status.UNKNOWN)
        return found

    def series(self, spec, **selection):
        """The values of a metric as a table; see nauha.replay and Series. spec: a SPEC as on the command line, or a
        nauha.Subscriber."""
        from nauha.metrics import replay
        self._open()
        tables = replay(self._paths, [spec], **selection)
        if len(tables) != 1:
            raise Error(f"\"{spec}\" gives several series ({', '.join(tables)}): use nauha.replay")
        return next(iter(tables.values()))


class Series(dict):
    """A table as a dict of columns, each of which is a NumPy array; pandas.DataFrame(series) accepts it. The columns are
    global_step, train_step, epoch, rank, tag, module, slot and call, then value, or for histograms bin_low, bin_high and
    count; if several trainings were replayed, also run."""

    SHOWN = 10  # rows, from either end

    @property
    def rows(self):
        return len(self["global_step"])

    def _cells(self, row):
        return [f"{value:g}" if isinstance(value, float) else str(value) for value in (self[name][row] for name in self)]

    def _shown(self):
        """The rows that are shown, each as a list of texts; None in place of those that are left out."""
        if self.rows <= 2 * self.SHOWN:
            return [self._cells(row) for row in range(self.rows)]
        return [*(self._cells(row) for row in range(self.SHOWN)), None,
                *(self._cells(row) for row in range(self.rows - self.SHOWN, self.rows))]

    def __repr__(self):
        if not self:
            return "<series, empty>"
        rows = [list(self), *self._shown()]
        widths = [max(len(row[i]) for row in rows if row) for i in range(len(self))]
        lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths)) if row else "..." for row in rows]
        return "\n".join([*lines, f"<series, {self.rows} rows>"])

    def _repr_html_(self):
        return _html(f"{self.rows:,} rows" if self else "empty", list(self), self._shown() if self else [])


def _html(title, names, rows):
    """A table for a notebook; None in rows stands for rows that are left out."""
    def line(tag, cells):
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    head = line("th", names) if any(names) else ""
    body = "".join(line("td", row if row is not None else ["..."] * len(names)) for row in rows)
    return f"<table><caption>{html.escape(title)}</caption>{head}{body}</table>"


def make_selector(selection):
    """Makes a selector of the library, which the caller frees with nauha_selector_free(). Raises Error."""
    selector = library.nauha_selector_new()
    try:
        for key, value in selection.items():
            if value is not None:
                native.call(library.nauha_selector_set, selector, key.encode(), native.option_text(value).encode())
    except Error:
        library.nauha_selector_free(selector)
        raise
    return selector


def _pattern(module):
    """A shell pattern that matches just this name."""
    return "".join(f"[{c}]" if c in "*?[" else c for c in module) or "(root)"


class _Messages:
    def __init__(self, trace, selection):
        self._trace = trace
        self._cursor = c_void_p()
        self._current = lambda: None  # a weak reference to the current message
        selector = make_selector(selection)
        try:
            trace._open()
            native.call(library.nauha_cursor_new_ranks, trace._handles, len(trace._handles), selector,
                        ctypes.byref(self._cursor))
        finally:
            library.nauha_selector_free(selector)
        trace._cursors.add(self)

    def __iter__(self):
        return self

    def __next__(self):
        handle, error = c_void_p(), native.NativeError()
        while self._cursor is not None:
            self._pass()
            status = library.nauha_cursor_next(self._cursor, ctypes.byref(handle), ctypes.byref(error))
            if status == Status.OK:
                message = Message(handle.value, self._trace._names, self)
                self._current = weakref.ref(message)
                return message
            if status != Status.DAMAGED:
                self.close()
                if status != Status.END:
                    raise Error(error.text(), Status(status))
            else:
                warnings.warn(f"a message was left out: {error.text()}", stacklevel=2)
        raise StopIteration

    def _pass(self):
        message = self._current()
        if message is not None:
            message.passed()

    def close(self):
        if self._cursor is not None:
            self._pass()
            library.nauha_cursor_free(self._cursor)
            self._cursor = None

    def __del__(self):
        if getattr(self, "_cursor", None) is not None and self._trace._handle is not None:
            self.close()


def open_on(path, names):
    """Opens a trace on a names object that others use, too."""
    trace = Trace.__new__(Trace)
    trace._names = names
    trace.__init__(path)
    return trace


def open(path):
    """Opens a trace for reading, or the traces of the ranks of one training, together: path is one path, or a list. A trace
    may be complete, still being written, or cut off because its writer died."""
    return Trace(path)
