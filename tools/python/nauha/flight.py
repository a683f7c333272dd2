# SPDX-License-Identifier: MIT
"""The flight recorder's reasons: what makes it write the steps that it holds in memory (option "flight").

A loss that is not finite is found by the recorder itself. Here are the others: a rule that finds something, an exception that
ends the program, SIGUSR1, and a call of dump().

Threads: any. Signals arrive in the main thread, between two of Python's instructions.
"""
import signal
import sys
import threading
import weakref

from nauha import native
from nauha.native import library

# Exceptions that are a normal end.
_ENDS = StopIteration, GeneratorExit

_flights = weakref.WeakSet()  # of this process, for the signal


def of_process():
    """The exception that ends the process, when it is about to end; None if there is none."""
    return _serious(sys.exc_info()[1]) or _serious(getattr(sys, "last_value", None))


def of_caller():
    """The exception that is being handled; None if there is none."""
    return _serious(sys.exc_info()[1])


def _serious(error):
    ends = isinstance(error, _ENDS) or isinstance(error, SystemExit) and error.code in (None, 0)
    return None if ends else error


class Flight:
    """The flight recorder of one recording. publisher: see publisher.py. steps, buffer: the options, as texts."""

    def __init__(self, publisher, steps, buffer):
        self._publisher = publisher
        self._steps = int(steps)
        self._buffer = buffer
        self._dumps = 0  # that are known
        self._asked = 0
        self._fits = self._steps
        if self._steps:
            _flights.add(self)
            _watch_signal()

    def dump(self, reason):
        """Writes the held steps in full. Raises Error if there are none to hold."""
        recorder = self._publisher.recorder
        if recorder is None:
            return
        native.call(library.nauha_recorder_dump, recorder, reason.encode("utf-8", "replace"))
        self._asked += 1
        self._publisher.tell(f"the flight recorder writes its steps in full: {reason}")

    def found(self, reason):
        """As dump(), if there is a flight recorder."""
        if self._steps:
            self.dump(reason)

    def ended(self, error):
        """The program ends, with an exception if there is one."""
        if error is not None:
            self.found(f"{type(error).__name__}: {error}".split("\n")[0])

    def look(self):
        """Tells what has happened since the last step."""
        if not self._steps or self._publisher.recorder is None:
            return
        stats = native.RecorderStats()
        library.nauha_recorder_get_stats(self._publisher.recorder, native.byref(stats))
        if stats.dumps > max(self._dumps, self._asked):
            self._publisher.tell("the flight recorder writes its steps in full: the loss is not finite")
        self._dumps = stats.dumps
        self._asked = min(self._asked, stats.dumps)
        if stats.steps_held < self._fits:
            self._fits = stats.steps_held
            self._publisher.tell(f"the flight recorder holds {self._fits} of {self._steps} steps, as no more fit into "
                                 f"{self._buffer}: raise --buffer")

    def close(self):
        _flights.discard(self)
        if not _flights:
            _leave_signal()


# ---- the signal ----

def _dump_all(number, frame):
    for flight in list(_flights):
        try:
            flight.dump("SIGUSR1")
        except Exception as error:
            flight._publisher.trouble(error)


def _is_main():
    return threading.current_thread() is threading.main_thread()


def _watch_signal():
    """A program that uses SIGUSR1 itself keeps it."""
    if _is_main() and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, _dump_all)


def _leave_signal():
    if _is_main() and signal.getsignal(signal.SIGUSR1) is _dump_all:
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
