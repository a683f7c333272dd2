# SPDX-License-Identifier: MIT
"""How recorded processes report to the waiting `nauha record`: they write marks into a memory file that belongs to it,
which neither a full disk nor a cleaner of temporary folders affects. If a process cannot reach that memory (the recorder
has ended, or the process belongs to another user or user namespace), it reports nothing and records all the same.

Threads: any. Needs nothing but the standard library.
"""
import fcntl
import os
import time


class Status:
    """settings: "status" is the path of the memory in /proc, and "status_link" is what that path must point to: when the
    recorder has ended, another process may get its number."""

    def __init__(self, settings):
        self._path = settings.get("status", "")
        self._link = settings.get("status_link", "")

    def tell(self, verb, text=""):
        """Writes the mark "VERB PID TEXT". Returns False if that fails."""
        try:
            memory = self._open()
            try:
                _append(memory, verb, text)
            finally:
                os.close(memory)
        except (OSError, ValueError):
            return False
        return True

    def claim(self, paths):
        """Returns the first of the paths that no process of the program has claimed; if the processes cannot communicate,
        the first that does not exist."""
        try:
            memory = self._open()
        except (OSError, ValueError):
            return next(path for path in paths if not os.path.lexists(path))
        try:
            claimed = _claims(memory)
            for path in paths:
                name = _encoded(path.name)
                if name in claimed:
                    continue
                now = time.monotonic_ns()
                _append(memory, "claim", f"{now} {path.name}")
                claimed = _claims(memory)
                if claimed[name] == (os.getpid(), now):
                    return path
        finally:
            os.close(memory)

    def _open(self):
        if os.readlink(self._path) != self._link:
            raise FileNotFoundError(self._path)
        low = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:  # not 0 to 2: a program that has closed a standard stream may still write to it
            return fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(low)


def _encoded(text):
    try:
        return os.fsencode(text)
    except UnicodeEncodeError:  # not the name of a file
        return text.encode("utf-8", "replace")


def _append(memory, verb, text):
    os.write(memory, b"%s %d %s\0" % (verb.encode(), os.getpid(), _encoded(text).replace(b"\0", b" ")))


def _claims(memory):
    """name -> (process, time) of the claim that came first."""
    claims = {}
    for mark in os.pread(memory, os.fstat(memory).st_size, 0).split(b"\0")[:-1]:
        verb, process, text = mark.split(b" ", 2)
        if verb == b"claim":
            when, name = text.split(b" ", 1)
            claims.setdefault(name, (int(process), int(when)))
    return claims
