# SPDX-License-Identifier: MIT
"""Finds where epochs end: when the DataLoader that feeds the training is exhausted or restarted.

Threads: the training's.
"""
import functools
import weakref

from torch.utils.data import DataLoader, dataloader


class Epochs:
    """steps(): how many steps have begun. finished(): called at the end of each epoch."""

    def __init__(self, steps, finished):
        self._steps = steps
        self._finished = finished
        self._feeding = set()  # DataLoaders, as tokens, that gave batches when `_fed_at` steps had begun
        self._feeders = set()  # those that gave batches in the step before
        self._fed_at = -1
        self._epoch_began_at = 0

    def watch(self, guard):
        """Watches all DataLoaders of the process from now on."""
        start, advance = DataLoader.__iter__, dataloader._BaseDataLoaderIter.__next__
        loaders, iterators = weakref.WeakKeyDictionary(), weakref.WeakKeyDictionary()  # to a loader's token
        epochs = self

        def starts(loader):
            token = loaders.setdefault(loader, object())
            epochs.ends(token)
            return token

        @functools.wraps(start)
        def __iter__(loader):
            token = guard(starts, loader)
            iterator = start(loader)
            guard(iterators.__setitem__, iterator, token)
            return iterator

        @functools.wraps(advance)
        def __next__(iterator):
            try:
                batch = advance(iterator)
            except StopIteration:
                guard(lambda: epochs.ends(iterators.get(iterator)))
                raise
            guard(lambda: epochs.gave(iterators.get(iterator)))
            return batch

        DataLoader.__iter__ = __iter__
        dataloader._BaseDataLoaderIter.__next__ = __next__

    def gave(self, token):
        """Called when a loader has given a batch."""
        if self._steps() != self._fed_at:  # the first batch since a step began
            self._fed_at = self._steps()
            self._feeders, self._feeding = self._feeding, set()
        self._feeding.add(token)

    def ends(self, token):
        """Called when a loader is exhausted or restarted: an epoch has ended if it fed the latest step."""
        steps = self._steps()
        fed = self._feeders if steps == self._fed_at else self._feeding
        if token in fed and steps > self._epoch_began_at:
            self._epoch_began_at = steps
            self._finished()
        self._feeding.discard(token)
