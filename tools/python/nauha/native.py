# SPDX-License-Identifier: MIT
"""The C library behind this package: its structures, its functions and its errors.

Everything here mirrors `include/nauha/*.h`, where each call is documented. The library is loaded
once, when this module is imported; `NAUHA_LIBRARY` names another one.
"""
import ctypes
import enum
import errno
import logging
import os
import pathlib
import re
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_bool, c_char, c_char_p, c_double, c_int, c_int64, c_size_t,
                    c_uint8, c_uint32, c_uint64, c_void_p)

from nauha.guard import say

NONE = 0xFFFFFFFF  # NAUHA_NONE: no module


class Status(enum.IntEnum):
    """enum nauha_status"""

    OK = 0
    END = 1
    INVALID = 2
    UNKNOWN = 3
    STATE = 4
    NOMEM = 5
    IO = 6
    BUSY = 7
    FORMAT = 8
    VERSION = 9
    DAMAGED = 10
    LIMIT = 11
    UNAVAILABLE = 12
    SUBSCRIBER = 13


class Error(Exception):
    """An error of the C library or of this package; `status` is its code."""

    def __init__(self, message, status=Status.INVALID, saved_errno=0):
        super().__init__(message)
        self.status = status
        self.saved_errno = saved_errno  # of a system call that failed; else 0


class _SystemError(Error):
    """An Error that is also an OSError, with the text of the library."""

    def __init__(self, message, status, number):
        super().__init__(message, status, number)
        self.errno, self.strerror = number, os.strerror(number)

    def __str__(self):
        return self.args[0]


class NotFound(_SystemError, FileNotFoundError):
    """The file or directory does not exist."""


class NotPermitted(_SystemError, PermissionError):
    """The system does not permit this user to access the file."""


_SYSTEM_ERRORS = {errno.ENOENT: NotFound, errno.EACCES: NotPermitted, errno.EPERM: NotPermitted}


class Stopped(SystemExit):
    """Raised when a health rule ends the training. The program ends with exit code 1, unless it catches this."""

    def __init__(self, rule):
        super().__init__(1)
        self.rule = rule


def notice(text):
    """Reports a text to the user: as a warning of the logger "nauha", or on stderr if logging is not configured."""
    logger = logging.getLogger("nauha")
    if logger.hasHandlers():
        logger.warning("%s", text)
    else:
        say(text)


class UnknownName(Error, ValueError):
    """The name does not exist; the text suggests a similar one."""

    def __init__(self, message):
        super().__init__(message, Status.UNKNOWN)


class NativeError(Structure):
    """struct nauha_error"""

    _fields_ = [("code", c_int), ("saved_errno", c_int), ("message", c_char * 1024)]

    def text(self):
        return self.message.decode("utf-8", "replace")


class Tensor(Structure):
    """struct nauha_tensor; `strides` NULL: contiguous"""

    _fields_ = [("data", c_void_p), ("dtype", c_int), ("ndim", c_uint32), ("shape", POINTER(c_int64)),
                ("strides", POINTER(c_int64)), ("identity", c_uint64)]


class Parameter(Structure):
    """struct nauha_parameter"""

    _fields_ = [("module", c_uint32), ("slot", c_uint32), ("bias", c_bool), ("placement", c_uint32), ("tensor", Tensor)]


class Option(Structure):
    """struct nauha_option"""

    _fields_ = [("name", c_char_p), ("letter", c_char), ("value", c_char_p), ("fallback", c_char_p), ("help", c_char_p)]


class RecorderStats(Structure):
    """struct nauha_recorder_stats"""

    _fields_ = [(name, c_uint64) for name in
                ("messages", "bytes_published", "bytes_stored", "messages_lost", "bytes_lost", "blocked_ns",
                 "steps_held", "dumps")]


class MessageInfo(Structure):
    """struct nauha_message_info"""

    _fields_ = [("seq", c_uint64), ("time_ns", c_uint64), ("global_step", c_uint64), ("train_step", c_uint32),
                ("epoch", c_uint32), ("rank", c_uint32), ("call", c_uint32), ("kind", c_uint32), ("tag", c_uint32),
                ("module", c_uint32), ("slot", c_uint32), ("kind_name", c_char_p), ("tag_name", c_char_p),
                ("module_name", c_char_p), ("module_class", c_char_p), ("slot_name", c_char_p),
                ("has_tensor", c_bool), ("dtype", c_int), ("ndim", c_uint32), ("shape", POINTER(c_int64)),
                ("bytes", c_uint64), ("kept", c_uint8), ("hash", c_uint8), ("placement", c_uint32)]


class Stats(Structure):
    """struct nauha_stats"""

    _fields_ = [(name, c_uint64) for name in ("count", "zeros", "nans", "infs")] + [
        (name, c_double) for name in ("sum", "sum_abs", "sum_squares", "mean", "deviations", "min", "max", "abs_max", "third",
                                      "fourth")] + [("first_nonfinite", c_uint64)]


class Fingerprint(Structure):
    """struct nauha_fingerprint"""

    _fields_ = [("hash", c_uint64 * 2), ("stats", Stats), ("samples", c_uint64 * 16)]


class Placement(Structure):
    """struct nauha_placement"""

    _fields_ = [("ndim", c_uint32), ("shape", POINTER(c_int64)), ("offset", POINTER(c_int64)), ("flat", c_bool),
                ("summand", c_uint32), ("summands", c_uint32)]


MESSAGE_FN = CFUNCTYPE(c_int, c_void_p, c_void_p, POINTER(NativeError))
ERROR = POINTER(NativeError)
STATUS = c_int

# name: (what it returns, what it takes). Handles (recorder, names, trace, ...) are plain pointers.
PROTOTYPES = {
    "nauha_struct_at": (c_char_p, [c_size_t, POINTER(c_size_t)]),
    "nauha_status_text": (c_char_p, [c_int]),
    "nauha_version": (c_char_p, [c_int, c_char_p, c_size_t]),
    "nauha_dtype_name": (c_char_p, [c_int]),
    "nauha_dtype_size": (c_size_t, [c_int]),
    "nauha_names_new": (c_void_p, []),
    "nauha_names_free": (None, [c_void_p]),
    "nauha_names_add_kind": (STATUS, [c_void_p, c_char_p, c_int, c_int, POINTER(c_uint32), ERROR]),
    "nauha_names_add_module": (STATUS, [c_void_p, c_char_p, c_char_p, POINTER(c_uint32), ERROR]),
    "nauha_names_add_slot": (STATUS, [c_void_p, c_char_p, POINTER(c_uint32), ERROR]),
    "nauha_names_add_tag": (STATUS, [c_void_p, c_char_p, POINTER(c_uint32), ERROR]),
    "nauha_names_add_placement": (STATUS, [c_void_p, POINTER(c_int64), c_uint32, POINTER(Placement), POINTER(c_uint32),
                                           ERROR]),
    "nauha_names_placement": (c_bool, [c_void_p, c_uint32, POINTER(Placement)]),
    "nauha_names_find_kind": (c_uint32, [c_void_p, c_char_p]),
    "nauha_names_find_module": (c_uint32, [c_void_p, c_char_p]),
    "nauha_names_find_tag": (c_uint32, [c_void_p, c_char_p]),
    "nauha_names_kinds": (c_uint32, [c_void_p]),
    "nauha_names_modules": (c_uint32, [c_void_p]),
    "nauha_names_kind": (c_char_p, [c_void_p, c_uint32]),
    "nauha_names_kind_scope": (c_int, [c_void_p, c_uint32]),
    "nauha_names_kind_form": (c_int, [c_void_p, c_uint32]),
    "nauha_names_slot": (c_char_p, [c_void_p, c_uint32]),
    "nauha_names_module": (c_char_p, [c_void_p, c_uint32]),
    "nauha_names_module_class": (c_char_p, [c_void_p, c_uint32]),
    "nauha_selector_new": (c_void_p, []),
    "nauha_selector_free": (None, [c_void_p]),
    "nauha_selector_options": (POINTER(Option), [POINTER(c_size_t)]),
    "nauha_selector_set": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_selector_accepts_kind": (c_bool, [c_void_p, c_void_p, c_uint32]),
    "nauha_selector_check": (STATUS, [c_void_p, c_void_p, ERROR]),
    "nauha_selector_accepts": (c_bool, [c_void_p, c_void_p, c_uint32, c_uint32, c_uint32, c_uint64, c_uint32,
                                        c_uint32]),
    "nauha_recorder_config_new": (c_void_p, []),
    "nauha_recorder_config_free": (None, [c_void_p]),
    "nauha_keeping_new": (c_void_p, []),
    "nauha_keeping_free": (None, [c_void_p]),
    "nauha_keeping_options": (POINTER(Option), [POINTER(c_size_t)]),
    "nauha_keeping_set": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_keeping_except": (STATUS, [c_void_p, c_uint32, c_uint32, ERROR]),
    "nauha_recorder_except": (STATUS, [c_void_p, c_uint32, c_uint32, ERROR]),
    "nauha_keeping_check": (STATUS, [c_void_p, c_void_p, ERROR]),
    "nauha_keeping_accepts_kind": (c_bool, [c_void_p, c_void_p, c_uint32]),
    "nauha_keeping_grade": (c_int, [c_void_p, c_void_p, c_uint32, c_uint32, c_uint32, c_uint64, c_uint32, c_uint32]),
    "nauha_keeping_accepts": (c_bool, [c_void_p, c_void_p, c_uint32, c_uint32, c_uint32, c_uint64, c_uint32, c_uint32]),
    "nauha_recorder_options": (POINTER(Option), [POINTER(c_size_t)]),
    "nauha_recorder_config_set": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_recorder_config_describe": (STATUS, [c_void_p, c_char_p, c_char_p, ERROR]),
    "nauha_recorder_config_set_rank": (STATUS, [c_void_p, c_uint32, c_uint32, ERROR]),
    "nauha_recorder_config_set_tentative": (None, [c_void_p, c_bool]),
    "nauha_recorder_settle": (STATUS, [c_void_p, ERROR]),
    "nauha_recorder_settled": (c_bool, [c_void_p]),
    "nauha_recorder_path": (c_char_p, [c_void_p]),
    "nauha_recorder_older": (c_char_p, [c_void_p]),
    "nauha_recorder_open": (STATUS, [c_char_p, c_void_p, POINTER(c_void_p), ERROR]),
    "nauha_recorder_depth": (c_int, [c_void_p]),
    "nauha_recorder_names": (c_void_p, [c_void_p]),
    "nauha_recorder_tap": (STATUS, [c_void_p, c_void_p, c_void_p, ERROR]),
    "nauha_recorder_wants": (c_bool, [c_void_p, c_uint32, c_uint32]),
    "nauha_recorder_pause": (None, [c_void_p, c_bool]),
    "nauha_recorder_set_tag": (STATUS, [c_void_p, c_uint32, ERROR]),
    "nauha_recorder_begin_step": (STATUS, [c_void_p, POINTER(Parameter), c_size_t, ERROR]),
    "nauha_recorder_end_step": (STATUS, [c_void_p, POINTER(Parameter), c_size_t, ERROR]),
    "nauha_recorder_epoch_finished": (STATUS, [c_void_p, ERROR]),
    "nauha_recorder_publish": (STATUS, [c_void_p, c_uint32, c_uint32, c_uint32, c_uint32, POINTER(Tensor), ERROR]),
    "nauha_recorder_publish_shard": (STATUS, [c_void_p, c_uint32, c_uint32, c_uint32, c_uint32, POINTER(Tensor),
                                              c_uint32, ERROR]),
    "nauha_recorder_publish_fingerprint": (STATUS, [c_void_p, c_uint32, c_uint32, c_uint32, c_uint32, POINTER(Tensor), c_uint32,
                                                    c_void_p, ERROR]),
    "nauha_recorder_alias": (STATUS, [c_void_p, c_uint32, c_uint32, c_uint32, c_uint32, ERROR]),
    "nauha_recorder_global_step": (c_uint64, [c_void_p]),
    "nauha_recorder_get_stats": (None, [c_void_p, POINTER(RecorderStats)]),
    "nauha_recorder_failure": (STATUS, [c_void_p, ERROR]),
    "nauha_recorder_dump": (STATUS, [c_void_p, c_char_p, ERROR]),
    "nauha_recorder_flush": (STATUS, [c_void_p, ERROR]),
    "nauha_recorder_close": (STATUS, [c_void_p, ERROR]),
}

# The structures of this package by their names in C. Each module adds those that it declares when it is imported.
MIRRORS = {}


def _candidates():
    """Where the library may be: in NAUHA_LIBRARY, beside the package, in a build tree, or where the system looks."""
    named = os.environ.get("NAUHA_LIBRARY")
    if named:
        return [named]
    here = pathlib.Path(__file__).resolve().parent
    tree = here.parent.parent.parent
    return [here / "libnauha.so", tree / "build" / "libnauha.so", here.parent.parent / "libnauha.so", "libnauha.so"]


# The packages that contain a library, by the beginning of its name: on Debian and Ubuntu, on Fedora.
PACKAGES = {
    "libhdf5": ("libhdf5-103-1, or libhdf5-310 and the like", "hdf5"),
    "libzstd": ("libzstd1", "libzstd"),
    "liblz4": ("liblz4-1", "lz4-libs"),
    "libxxhash": ("libxxhash0", "xxhash-libs"),
    "libcjson": ("libcjson1", "cjson"),
    "libprotobuf-c": ("libprotobuf-c1", "protobuf-c"),
}


def _explain(failure, path):
    """What the dynamic linker's error means, and what to do about it."""
    missing = re.match(r"(\S+): cannot open shared object file", str(failure))
    if missing is not None and missing[1] == str(path):
        return f"nauha's C library \"{path}\" was not found: build it with `make`, or name it in NAUHA_LIBRARY"
    if missing is None:
        return f"nauha's C library \"{path}\" cannot be loaded: {failure}"
    name = missing[1]
    packages = next((packages for stem, packages in PACKAGES.items() if name.startswith(stem)), None)
    where = "the package that has it" if packages is None else f"the package {packages[0]} (Debian, Ubuntu) or " \
        f"{packages[1]} (Fedora)"
    return f"nauha's C library needs \"{name}\", which this system does not have in the version it was built with: " \
        f"install {where}, or build nauha here, with `pip install .` in a checkout"


def _load():
    failure = None
    for candidate in _candidates():
        if isinstance(candidate, pathlib.Path) and not candidate.exists():
            continue
        try:
            loaded = ctypes.CDLL(str(candidate))
            break
        except OSError as error:
            failure = failure or _explain(error, candidate)  # the first says more than the "not found" of the last
    else:
        raise ImportError(failure)
    declare(loaded, PROTOTYPES)
    return loaded


def declare(loaded, prototypes):
    """Gives functions of the library their types."""
    for name, (result, arguments) in prototypes.items():
        try:
            function = getattr(loaded, name)
        except AttributeError:
            raise ImportError(_misfit(loaded, f"it has no function {name}")) from None
        function.restype = result
        function.argtypes = arguments


def mirror(loaded, structures):
    """Compares the size of each structure with its size in the library. If they differ, fields would be read and written at
    wrong places. Raises ImportError."""
    sizes, bytes_there = {}, c_size_t()
    while (name := loaded.nauha_struct_at(len(sizes), byref(bytes_there))) is not None:
        sizes[name.decode()] = bytes_there.value
    for name, structure in structures.items():
        if sizes.get(name) != ctypes.sizeof(structure):
            raise ImportError(_misfit(loaded, f"{name} has {sizes.get(name, 'no')} bytes there and "
                                              f"{ctypes.sizeof(structure)} here"))
    MIRRORS.update(structures)


def _misfit(loaded, why):
    return f"nauha's C library \"{loaded._name}\" and its Python package are of different versions ({why}): build both " \
        "from the same sources, with `make` or `pip install .`, or name the right library in NAUHA_LIBRARY"


library = _load()
mirror(library, {
    "struct nauha_error": NativeError,
    "struct nauha_tensor": Tensor,
    "struct nauha_parameter": Parameter,
    "struct nauha_option": Option,
    "struct nauha_recorder_stats": RecorderStats,
    "struct nauha_message_info": MessageInfo,
    "struct nauha_placement": Placement,
})


def call(function, *arguments):
    """Calls a function whose last argument is the error context; raises Error where it fails."""
    error = NativeError()
    status = function(*arguments, byref(error))
    if status != Status.OK:
        raise error_of(error.text() or library.nauha_status_text(status).decode(), Status(status), error.saved_errno)


def error_of(message, status, number=0):
    """The exception for an error of the library; number: the errno that it saved, or 0."""
    return _SYSTEM_ERRORS[number](message, status, number) if number in _SYSTEM_ERRORS else Error(message, status, number)


class Names:
    """A names object of the library, from which messages read their texts. Freed with the last object that uses it."""

    def __init__(self):
        self._as_parameter_ = c_void_p(library.nauha_names_new())  # ctypes passes this to functions

    def __del__(self):
        library.nauha_names_free(self._as_parameter_)


def number(function, *arguments):
    """Calls a function whose last arguments are the number that it sets and the error context; returns the number."""
    result = c_uint32()
    call(function, *arguments, byref(result))
    return result.value


def fill_error(error, exception):
    """Puts a Python exception into a C error context; returns the status for a callback to return."""
    status = exception.status if isinstance(exception, Error) else Status.SUBSCRIBER
    if error:
        text = str(exception) if isinstance(exception, Error) else f"{type(exception).__name__}: {exception}"
        error.contents.code = status
        error.contents.saved_errno = exception.saved_errno if isinstance(exception, Error) else 0
        error.contents.message = text.encode("utf-8", "replace")[:1023]
    return int(status)


def _dtype_names():
    names = []
    while True:
        name = library.nauha_dtype_name(len(names))
        if name is None:
            return names
        names.append(name.decode())


def _builtin_kinds():
    names = library.nauha_names_new()
    try:
        return {library.nauha_names_kind(names, kind).decode(): kind
                for kind in range(library.nauha_names_kinds(names))}
    finally:
        library.nauha_names_free(names)


def encoded(text):
    """Text as UTF-8. Bytes of the command line that were not UTF-8 become again what they were."""
    return text.encode("utf-8", "surrogateescape")


def options(table):
    """The names of an option table: "kinds", "on-full", ..."""
    count = c_size_t()
    rows = table(byref(count))
    return [rows[i].name.decode() for i in range(count.value)]


def option_text(value):
    """An option's value as the command line has it: lists with commas, slices and ranges with colons."""
    if isinstance(value, range):
        value = slice(value.start, value.stop, value.step)
    if isinstance(value, slice):
        ends = ["" if end is None else str(end) for end in (value.start, value.stop)]
        return ":".join(ends + ([str(value.step)] if value.step is not None else []))
    if isinstance(value, (list, tuple, set, frozenset)):
        return ",".join(map(str, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def version():
    """The version of the library and of this package."""
    text = ctypes.create_string_buffer(32)
    library.nauha_version(0, text, len(text))
    return text.value.decode()


DTYPES = _dtype_names()  # "f32", ... by number
KINDS = _builtin_kinds()  # number by name
