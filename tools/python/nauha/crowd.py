# SPDX-License-Identifier: MIT
"""Whether a training stood in line for processors, and would not have if its threads slept: PyTorch's threads wait for
each other by turning in a loop, which takes the processors that others (the recorder, other programs) need, and on a
machine that is full they wait for a thread that waits for them.

Threads: any.
"""
import os
import time

import torch

LASTED_SECONDS = 5
WAITED_PART = 0.2  # of the time that each of PyTorch's threads was there


def _waited():
    """{thread: nanoseconds that it was ready to run and had no processor}, the recorder's own threads left out."""
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
    """Whether threads of OpenMP turn while they wait, and nobody has chosen that."""
    return not any(name in environment for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"))


def advice(waited, lasted, threads, environment):
    """What to tell of the two longest waits of threads (seconds) in a recording that lasted so long; None: nothing."""
    if threads < 2 or lasted < LASTED_SECONDS or len(waited) < 2 or not turns(environment):
        return None
    each = sum(sorted(waited)[-2:]) / 2
    if each < WAITED_PART * lasted:
        return None
    return (f"PyTorch's threads stood in line for a processor for {each:.0f} of {lasted:.0f} s, and keep processors busy "
            "while they wait for each other: set OMP_WAIT_POLICY=passive before the command, and they sleep instead (an "
            "MLP of 60 layers on a full machine then took 8 s instead of 57)")


class Crowd:
    def __init__(self):
        self._began = time.monotonic()
        self._before = _waited()

    def advice(self):
        lasted = time.monotonic() - self._began
        waited = [(now - self._before.get(thread, 0)) * 1e-9 for thread, now in _waited().items()]
        return advice(waited, lasted, torch.get_num_threads(), os.environ)
