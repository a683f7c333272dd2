# SPDX-License-Identifier: MIT
"""Whether the threads of a training waited for processors, and would not have waited if idle threads slept: PyTorch's
threads wait for each other in a busy loop. That occupies processors that the recorder and other programs need, and on a
fully loaded machine also those that the awaited thread needs.

Threads: any.
"""
import os
import time

import torch

LASTED_SECONDS = 5
WAITED_PART = 0.2  # of the time, by each of PyTorch's threads


def _waited():
    """{thread: nanoseconds that it was ready to run and had no processor}, without the recorder's own threads."""
    waited = {}
    for thread in os.listdir("/proc/self/task"):
        try:
            with open(f"/proc/self/task/{thread}/comm") as name, open(f"/proc/self/task/{thread}/schedstat") as numbers:
                if not name.read().startswith("nauha"):
                    waited[thread] = int(numbers.read().split()[1])
        except (OSError, IndexError, ValueError):  # it has ended, or this Linux does not count
            pass
    return waited


def turns(environment):
    """Whether threads of OpenMP wait in a busy loop because no variable of the environment says how they wait."""
    return not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"))


def advice(waited, lasted, threads, environment):
    """The notice about a recording of `lasted` seconds whose threads waited `waited` seconds each; None if they did not
    wait for long. The two longest waits count."""
    if threads < 2 or lasted < LASTED_SECONDS or len(waited) < 2 or not turns(environment):
        return None
    each = sum(sorted(waited)[-2:]) / 2
    if each < WAITED_PART * lasted:
        return None
    return (f"PyTorch's threads waited for a processor for {each:.0f} of {lasted:.0f} s, because threads that wait for each "
            "other keep processors busy: set OMP_WAIT_POLICY=passive in the environment of the command, so that they "
            "sleep instead (an MLP of 60 layers on a fully loaded machine then took 8 s instead of 57 s)")


class Crowd:
    def __init__(self):
        self._began = time.monotonic()
        self._before = _waited()

    def advice(self):
        lasted = time.monotonic() - self._began
        waited = [(now - self._before.get(thread, 0)) * 1e-9 for thread, now in _waited().items()]
        return advice(waited, lasted, torch.get_num_threads(), os.environ)
