# SPDX-License-Identifier: MIT
"""Finds where epochs end: when the DataLoader that feeds the training has been used up or is started again.

Loaders are told apart by the runs that follow their batches: those of the training, or those of an evaluation. Among
several that feed the training, the one with the most batches counts. A program may take one batch ahead, or all of them:
an epoch ends when the batches that were taken have been used, at the latest when the loader is started again.

Threads: one at a time, under a lock of its own.
"""
import functools
import threading
import weakref

from torch.utils.data import DataLoader, dataloader
from torch.utils.data.dataloader import _DatasetKind


class Loader:
    """A DataLoader and its latest pass."""

    def __init__(self, dataloader):
        self._dataloader = weakref.ref(dataloader)
        self.trains = False  # whether the run that followed its latest batch was one of the training
        self.size = 0  # batches of its longest pass
        self.given = 0
        self.latest = 0  # when it gave its latest batch, in batches of all loaders
        self.restart(0)

    def restart(self, now):
        self.began = now
        self.before = self.given  # batches of the pass before
        self.given = 0  # batches of this pass
        self.fresh = 0  # of them, since the latest run
        self.used = 0  # runs before which the pass gave a batch or its end
        self.over = False  # the pass has no more
        self.counted = False  # the pass has ended an epoch

    def is_gone(self):
        return self._dataloader() is None

    def goes_on(self):
        """Whether it is in the middle of a pass, as far as it has told."""
        return self.given > 0 and not self.over

    def has_more(self):
        """Whether it is in the middle of a pass. Some programs count batches and never ask for one too many."""
        return self.goes_on() and self.given < (self.before or self._length())

    def _length(self):
        dataloader = self._dataloader()
        try:
            return len(dataloader) if dataloader._dataset_kind == _DatasetKind.Map else float("inf")
        except (AttributeError, TypeError):  # gone, or of unknown length
            return float("inf")


class Epochs:
    """fed(): called for each batch and each end of a pass. finished(): called at the end of each epoch."""

    def __init__(self, fed, finished):
        self._fed = fed
        self._finished = finished
        self._lock = threading.RLock()
        self._loaders = weakref.WeakKeyDictionary()  # DataLoader -> Loader
        self._passes = weakref.WeakKeyDictionary()  # its iterator -> Loader
        self._known = []  # Loaders, as long as they can end an epoch
        self._active = []  # those that gave batches, or had no more, since the latest run
        self._batches = 0  # of all loaders
        self._trained = False  # since the latest epoch ended

    def watch(self, guard):
        """Watches all DataLoaders of the process from now on."""
        start, advance = DataLoader.__iter__, dataloader._BaseDataLoaderIter.__next__
        epochs = self

        @functools.wraps(start)
        def __iter__(loader):
            known = guard(epochs.starts, loader)
            iterator = start(loader)
            guard(epochs._passes.__setitem__, iterator, known)
            return iterator

        @functools.wraps(advance)
        def __next__(iterator):
            try:
                batch = advance(iterator)
            except StopIteration:
                guard(epochs.ends, iterator)
                raise
            guard(epochs.gave, iterator)
            return batch

        DataLoader.__iter__ = __iter__
        dataloader._BaseDataLoaderIter.__next__ = __next__

    def starts(self, dataloader):
        """Called when a pass through a DataLoader begins. Returns its Loader."""
        with self._lock:
            loader = self._loaders.get(dataloader)
            if loader is None:
                loader = self._loaders[dataloader] = Loader(dataloader)
                self._known = [known for known in self._known if not (known.counted and known.is_gone())] + [loader]
            if loader.given and loader.trains:
                self._end(loader)
            loader.restart(self._batches)
            return loader

    def gave(self, iterator):
        """Called when a pass has given a batch."""
        with self._lock:
            loader = self._passes.get(iterator)
            if loader is not None:
                loader.given += 1
                loader.fresh += 1
                self._batches += 1
                loader.latest = self._batches
                loader.size = max(loader.size, loader.given)
                self._tell(loader)

    def ends(self, iterator):
        """Called when a pass has no more batches."""
        with self._lock:
            loader = self._passes.get(iterator)
            if loader is not None and not loader.over:
                loader.over = True
                self._tell(loader)
                self._end_if_used_up(loader)

    def ran(self, trains):
        """Called before a model runs, in the training or in an evaluation."""
        with self._lock:
            for loader in self._training_loaders():
                self._end_if_used_up(loader)
                if trains and self._is_replaced(loader):
                    self._end(loader)
            for loader in self._active:
                if loader.fresh:
                    loader.trains = trains
                loader.used += 1
                loader.fresh = 0
            self._active.clear()

    def begin(self):
        """Called when another training begins, whose loader may have been started already."""
        with self._lock:
            self._trained = False
            for loader in self._known:
                loader.trains = False

    def trained(self):
        """Called at a backward pass."""
        self._trained = True

    def close(self):
        """Called at the end of the recording: the last pass may be over without anybody having noticed."""
        with self._lock:
            for loader in self._training_loaders():
                if not loader.has_more():
                    self._end(loader)

    def leave(self):
        """Called in a forked child."""
        self._lock = threading.RLock()  # another thread of the parent's may have held it

    def _tell(self, loader):
        """A loader gave a batch or its end."""
        if loader not in self._active:
            self._active.append(loader)
        self._fed()

    def _training_loaders(self):
        return [loader for loader in self._known if loader.trains and loader.given]

    def _end_if_used_up(self, loader):
        if loader.trains and loader.over and loader.used >= loader.given:
            self._end(loader)

    def _is_replaced(self, loader):
        """Whether the program let go of a loader, and another one gave the batch of the run that begins."""
        return loader.over and loader.is_gone() and loader not in self._active and any(other.fresh for other in self._active)

    def _goes_on_without(self, loader):
        """Whether a longer loader feeds the training, too, and is in the middle of a pass."""
        return any(other is not loader and other.goes_on() and other.latest > loader.began and
                   (other.size, other.given) >= (loader.size, loader.given) for other in self._training_loaders())

    def _end(self, loader):
        """A pass of a loader has ended: an epoch, unless a longer one goes on."""
        if self._trained and not loader.counted and not self._goes_on_without(loader):
            self._trained, loader.counted = False, True
            self._finished()
