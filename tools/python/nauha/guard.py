# SPDX-License-Identifier: MIT
"""The way from a program into our code: what fails in ours costs the recording something, and the program nothing.

Every hook, every function that stands before one of PyTorch's and everything that runs as a process forks or ends
goes through a Guard. What is no Exception (KeyboardInterrupt, SystemExit) is the program's, and passes.

Threads: any. Needs nothing but the standard library.
"""
import sys


def say(text):
    """On standard error. False where it cannot be written to."""
    try:
        sys.stderr.write(f"nauha: {text}\n")
        sys.stderr.flush()
    except Exception:  # closed, full, replaced by the program, not there
        return False
    return True


class Guard:
    """failed(error): what is to come of an exception. What that raises in turn is nobody's."""

    def __init__(self, failed):
        self._failed = failed

    def __call__(self, function, *arguments):
        """What the function returns; None where it raises."""
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
