# SPDX-License-Identifier: MIT
"""Guards the calls from a program into nauha's code: a failure there may cost messages, but never affects the program.

Every hook, every function that wraps one of PyTorch's and everything that runs when a process forks or ends goes
through a Guard. KeyboardInterrupt, SystemExit and the like, which are not Exceptions, belong to the program and pass through.

Threads: any. Needs nothing but the standard library.
"""
import sys


def say(text):
    """Prints a line on standard error. Returns False if that fails."""
    try:
        sys.stderr.write(f"nauha: {text}\n")
        sys.stderr.flush()
    except Exception:  # closed, full, replaced by the program, not there
        return False
    return True


class Guard:
    """Calls functions and hands their exceptions to failed(error). Exceptions that failed() raises are ignored."""

    def __init__(self, failed):
        self._failed = failed

    def __call__(self, function, *arguments):
        """Returns what the function returns, or None if it raises an exception."""
        try:
            return function(*arguments)
        except Exception as error:
            self.trouble(error)
            return None

    def trouble(self, error):
        try:
            self._failed(error)
        except Exception:
            pass
